"""The type of every expression."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tests.mql5 import tree
from tests.mql5.analysis_calls import CallAnalysis
from tests.mql5.constants import size_of
from tests.mql5.conversions import (
    common_type,
    constant_fits,
    is_number,
    is_text,
    is_truth,
    is_whole,
    misfit,
    promoted,
    sign_mismatch,
)
from tests.mql5.symbols import Symbol, VariableSymbol
from tests.mql5.tree import LiteralKind
from tests.mql5.types import (
    BOOL,
    COLOR,
    DATETIME,
    DOUBLE,
    ERROR,
    INT,
    LONG,
    NULL,
    STRING,
    UINT,
    ULONG,
    USHORT,
    VOID,
    ArrayType,
    ClassType,
    EnumType,
    PointerType,
    Scalar,
    Type,
    integer_range,
    pointer_to,
)

__all__ = ["ExpressionAnalysis"]

_ORDERINGS: Final = frozenset({"<", ">", "<=", ">="})
_EQUALITIES: Final = frozenset({"==", "!="})
_LITERALS: Final = {
    LiteralKind.REAL: DOUBLE,
    LiteralKind.STRING: STRING,
    LiteralKind.CHARACTER: USHORT,
    LiteralKind.BOOL: BOOL,
    LiteralKind.DATETIME: DATETIME,
    LiteralKind.COLOR: COLOR,
    LiteralKind.NULL: NULL,
}


class ExpressionAnalysis(CallAnalysis):
    """
    ``type_of`` for all nodes.
    """

    def type_of(self, expression: tree.Expression) -> Type:
        found = _TYPERS[type(expression)](self, expression)
        expression.type = found
        return found

    def condition(self, expression: tree.Expression) -> None:
        """
        Type something that has to be a truth value.
        """
        of = self.type_of(expression)
        if not is_truth(of):
            self.report(expression.place, "T017", f"{of} is no condition: compare it")

    # --- leaves

    def _literal(self, literal: tree.Literal) -> Type:
        found = _LITERALS.get(literal.kind)
        if found is not None:
            return found
        value = literal.value
        decimal = literal.text.isdigit()
        for of in (INT, LONG, ULONG) if decimal else (INT, UINT, LONG, ULONG):
            limits = integer_range(of)
            if limits is not None and value <= limits[1]:
                return of
        return ULONG

    def _name(self, name: tree.Name) -> Type:
        symbol = self._find(name)
        if symbol is None:
            return ERROR
        name.symbol = symbol
        return symbol.type  # type: ignore[union-attr]  # _find gives no functions

    def _find(self, name: tree.Name) -> Symbol | None:
        text = name.name
        if name.scope is not None:
            return self._find_member(name)
        if not name.is_global:
            for block in reversed(self.blocks):
                if text in block:
                    return block[text]
            if self.owner is not None:
                field = self.owner.find_field(text)
                if field is not None:
                    return self._own_field(field, name)
        symbol = self.scope.values.get(text) or self.scope.api.values.get(text)
        if symbol is not None:
            return symbol
        functions = self.scope.functions.get(text) or self.scope.api.functions.get(text)
        if functions or (self.owner is not None and self.owner.find_methods(text)):
            self.report(name.place, "N001", f"{text} is a function: call it")
        elif text in self.scope.places:
            where = self.scope.places[text]
            self.report(name.place, "N001", f"{text} is declared later, in {where}")
        else:
            self.report(name.place, "N001", f"{text} is not declared")
        return None

    def _own_field(self, field: VariableSymbol, name: tree.Name) -> VariableSymbol | None:
        assert field.owner is not None
        self.check_access(field.owner, field.access, field.name, name.place)
        if field.kind == "field" and (self.function is None or self.function.static):
            self.report(name.place, "C008", f"{name.name} needs an object")
            return None
        return field

    def _find_member(self, name: tree.Name) -> Symbol | None:
        assert name.scope is not None
        found = self.scope.types.get(name.scope) or self.scope.api.types.get(name.scope)
        if isinstance(found, EnumType):
            self.report(name.place, "N006", f"write {name.name} without {name.scope}::")
            return None
        owner = self.class_named(name.scope, name.place)
        if owner is None:
            return None
        field = owner.find_field(name.name)
        if field is None:
            self.report(name.place, "N006", f"{owner.name} has no member {name.name}")
            return None
        if field.kind == "field":
            if self.owner is None or not self.owner.derives_from(owner):
                self.report(name.place, "C008", f"{owner.name}::{name.name} needs an object")
                return None
            return self._own_field(field, name)
        self.check_access(owner, field.access, field.name, name.place)
        return field

    def _this(self, this: tree.This) -> Type:
        if self.owner is None or self.function is None or self.function.static:
            self.report(this.place, "C008", "this is only in methods that are not static")
            return ERROR
        return pointer_to(self.owner.type, const=self.function.const)

    def _member(self, member: tree.Member) -> Type:
        owner = self.object_of(member)
        if owner is None:
            return ERROR
        field = owner.find_field(member.name)
        if field is None:
            if owner.find_methods(member.name):
                message = f"{owner.name}::{member.name} is a method: call it"
            else:
                message = f"{owner.name} has no member {member.name}"
            self.report(member.place, "N006", message)
            return ERROR
        member.symbol = field
        assert field.owner is not None
        self.check_access(field.owner, field.access, field.name, member.place)
        return field.type

    def _index(self, index: tree.Index) -> Type:
        of = self.type_of(index.array)
        at = self.type_of(index.index)
        if at is not ERROR:
            if not is_whole(at) or at is BOOL:
                self.report(index.index.place, "T003", f"{at} is no index")
            elif isinstance(at, Scalar) and at.bits > INT.bits:
                self.report(index.index.place, "T001", f"{at} as an index: write (int)")
        if of is STRING:
            self.report(index.place, "T004", "characters of a string: use StringGetCharacter()")
            return ERROR
        if not isinstance(of, ArrayType):
            if of is not ERROR:
                self.report(index.place, "T004", f"{of} is no array")
            return ERROR
        if of.size is not None and at is not ERROR:
            value = self.constant(index.index)
            if isinstance(value, int) and not 0 <= value < of.size:
                self.report(index.index.place, "T003", f"index {value} is outside of {of}")
        return of.element

    # --- operators

    def _unary(self, unary: tree.Unary) -> Type:
        of = self.type_of(unary.operand)
        operator = unary.op
        if of is ERROR:
            return BOOL if operator == "!" else ERROR
        if operator == "!":
            if not is_truth(of):
                self.report(unary.place, "T017", f"! on {of}: compare it")
            return BOOL
        if operator == "&":
            return self._address(unary, of)
        if operator in {"++", "--"}:
            if not is_number(of) or of is BOOL or isinstance(of, EnumType):
                self.report(unary.place, "T004", f"{operator} on {of}")
                return ERROR
            self.changed(unary.operand, operator)
            return of
        if not is_number(of) or (operator == "~" and not is_whole(of)):
            self.report(unary.place, "T004", f"{operator} on {of}")
            return ERROR
        if of is BOOL:
            self.report(unary.place, "T004", f"{operator} on bool")
        return promoted(of)

    def _address(self, unary: tree.Unary, of: Type) -> Type:
        if not isinstance(of, ClassType) or of.symbol.kind != "class":
            self.report(unary.place, "T016", f"& of {of}: only objects of classes have pointers")
            return ERROR
        if not self.is_variable(unary.operand):
            self.report(unary.place, "T005", "& needs a variable")
            return ERROR
        return pointer_to(of, const=self.why_constant(unary.operand) is not None)

    def _binary(self, binary: tree.Binary) -> Type:
        operator = binary.op
        if operator in {"&&", "||"}:
            self.condition(binary.left)
            self.condition(binary.right)
            return BOOL
        left, right = self.type_of(binary.left), self.type_of(binary.right)
        if operator in _EQUALITIES or operator in _ORDERINGS:
            if left is not ERROR and right is not ERROR:
                self._compare(binary, left, right)
            return BOOL
        if left is ERROR or right is ERROR:
            return ERROR
        if STRING in {left, right}:
            return self._concatenate(binary, left, right)
        if not is_number(left) or not is_number(right):
            self.report(binary.place, "T004", f"{operator} on {left} and {right}")
            return ERROR
        if operator in {"<<", ">>"}:
            if not is_whole(left) or not is_whole(right) or BOOL in {left, right}:
                self.report(binary.place, "T004", f"{operator} on {left} and {right}")
                return ERROR
            return promoted(left)
        if operator in {"%", "&", "|", "^"} and not (is_whole(left) and is_whole(right)):
            self.report(binary.place, "T004", f"{operator} on {left} and {right}")
            return ERROR
        if operator in {"/", "%"} and self.constant(binary.right) == 0:
            self.report(binary.place, "T004", f"{operator} by a constant zero")
        if DATETIME in {left, right} and operator in {"+", "-"} and left is not right:
            other = right if left is DATETIME else left
            return DATETIME if is_whole(other) else DOUBLE
        return common_type(left, right)

    def _concatenate(self, binary: tree.Binary, left: Type, right: Type) -> Type:
        if binary.op != "+" or not (is_text(left) and is_text(right)):
            self.report(binary.place, "T004", f"{binary.op} on {left} and {right}")
            return ERROR
        return STRING

    def _compare(self, binary: tree.Binary, left: Type, right: Type) -> None:
        code = self._compare_code(binary, left, right)
        if code is not None:
            self.report(binary.place, code, f"{binary.op} on {left} and {right}")
        elif is_number(left) and is_number(right) and sign_mismatch(left, right):
            self._check_signs(binary)

    def _compare_code(self, binary: tree.Binary, left: Type, right: Type) -> str | None:
        if isinstance(left, PointerType) or isinstance(right, PointerType):
            related = NULL in {left, right} or not misfit(left, right) or not misfit(right, left)
            return None if related and binary.op in _EQUALITIES else "T004"
        if STRING in {left, right}:
            return None if {left, right} <= {STRING, NULL} else "T002"
        if not is_number(left) or not is_number(right):
            return "T004"
        if isinstance(left, EnumType) and isinstance(right, EnumType):
            return None if left is right else "T014"
        return "T004" if BOOL in {left, right} and left is not right else None

    def _check_signs(self, binary: tree.Binary) -> None:
        for operand in (binary.left, binary.right):
            of = operand.type
            if isinstance(of, EnumType) or of.signed:
                value = self.constant(operand)
                if value is not None and value >= 0:
                    return
        left, right = binary.left.type, binary.right.type
        self.report(binary.place, "T015", f"{binary.op} on {left} and {right}: write a cast")

    def _assign(self, assign: tree.Assign) -> Type:
        target = self.type_of(assign.target)
        value = self.type_of(assign.value)
        operator = assign.op
        if isinstance(target, ArrayType):
            self.report(assign.place, "T007", "arrays are not assigned: use ArrayCopy()")
            return ERROR
        if not self.changed(assign.target, operator) or value is ERROR:
            return target
        if operator == "=":
            self.convert(assign.value, target, "=")
        else:
            self._assign_operation(assign, target, value)
        return target

    def _assign_operation(self, assign: tree.Assign, target: Type, value: Type) -> None:
        operator = assign.op
        place = assign.place
        if target is STRING:
            if operator != "+=" or not is_text(value):
                self.report(place, "T004", f"{operator} on string and {value}")
            return
        if not is_number(target) or not is_number(value):
            self.report(place, "T004", f"{operator} on {target} and {value}")
            return
        if isinstance(target, EnumType):
            self.report(place, "T004", f"{operator} on the enum {target}")
            return
        if target is BOOL or value is BOOL:
            if target is not value or operator not in {"&=", "|=", "^="}:
                self.report(place, "T004", f"{operator} on {target} and {value}")
            return
        if operator in {"<<=", ">>=", "%=", "&=", "|=", "^="} and not (
            is_whole(target) and is_whole(value)
        ):
            self.report(place, "T004", f"{operator} on {target} and {value}")
        elif operator in {"/=", "%="} and self.constant(assign.value) == 0:
            self.report(place, "T004", f"{operator} by a constant zero")
        elif operator not in {"<<=", ">>="} and not (operator == "-=" and target is DATETIME):
            self.convert(assign.value, target, operator)

    def _ternary(self, ternary: tree.Ternary) -> Type:
        self.condition(ternary.condition)
        left, right = self.type_of(ternary.then), self.type_of(ternary.otherwise)
        if ERROR in {left, right}:
            return ERROR
        if isinstance(left, ArrayType) or VOID in {left, right}:
            self.report(ternary.place, "T013", f"a ternary of {left}")
            return ERROR
        if left is right:
            return left
        for one, other, value in (
            (left, right, ternary.otherwise),
            (right, left, ternary.then),
        ):
            if other is NULL and isinstance(one, PointerType):
                return one
            if (
                isinstance(one, Scalar)
                and isinstance(other, Scalar)
                and one.integer
                and other.integer
            ):
                constant = self.constant(value)
                if constant is not None and constant_fits(constant, one):
                    return one
        self.report(ternary.place, "T013", f"a ternary of {left} and {right}: write a cast")
        return ERROR

    # --- casts, new, sizeof

    def _cast(self, cast: tree.Cast) -> Type:
        to = self.resolve(cast.to)
        of = self.type_of(cast.operand)
        if to is ERROR or of is ERROR:
            return to
        if cast.dynamic:
            related = isinstance(to, PointerType) and isinstance(of, PointerType)
            if not related:
                self.report(cast.place, "T019", f"dynamic_cast of {of} to {to}")
            else:
                self._check_pointer_cast(cast, of, to)
        elif isinstance(to, PointerType) and isinstance(of, PointerType):
            self._check_pointer_cast(cast, of, to)
        elif not (is_text(to) and is_text(of)):
            self.report(cast.place, "T019", f"a cast of {of} to {to}")
        return to

    def _check_pointer_cast(self, cast: tree.Cast, of: Any, to: Any) -> None:
        up = of.target.symbol.derives_from(to.target.symbol)
        down = to.target.symbol.derives_from(of.target.symbol)
        if not up and not down:
            self.report(cast.place, "T019", f"{of.target} and {to.target} are not related")
        elif of.const and not to.const:
            self.report(cast.place, "C005", f"a cast of {of} to {to} would allow changes")
        elif not up and not cast.dynamic:
            self.report(cast.place, "T019", f"{of} to {to}: write dynamic_cast")

    def _new(self, new: tree.New) -> Type:
        of = self.object_type(new.class_name)
        for argument in new.arguments:
            self.type_of(argument)
        if not isinstance(of, ClassType) or of.symbol.kind != "class":
            if of is not ERROR:
                self.report(new.place, "T016", f"new {of}: only objects of classes are made so")
            return ERROR
        new.constructor = self.construct(of.symbol, new.arguments, new.place)
        return pointer_to(of)

    def _sizeof(self, sizeof: tree.SizeOf) -> Type:
        if isinstance(sizeof.of, tree.TypeName):
            of = self.object_type(sizeof.of)
        else:
            of = self.type_of(sizeof.of)
        if isinstance(of, ArrayType) and of.size is None:
            self.report(sizeof.place, "T003", "sizeof of a dynamic array: use ArraySize()")
        elif of is not ERROR and size_of(of) is None:
            self.report(sizeof.place, "T003", f"sizeof of {of}: the terminal's own business")
        return INT


_TYPERS: Final[dict[type, Callable[[Any, Any], Type]]] = {
    tree.Literal: ExpressionAnalysis._literal,
    tree.Name: ExpressionAnalysis._name,
    tree.This: ExpressionAnalysis._this,
    tree.Member: ExpressionAnalysis._member,
    tree.Index: ExpressionAnalysis._index,
    tree.Call: ExpressionAnalysis.call,
    tree.Unary: ExpressionAnalysis._unary,
    tree.Binary: ExpressionAnalysis._binary,
    tree.Assign: ExpressionAnalysis._assign,
    tree.Ternary: ExpressionAnalysis._ternary,
    tree.Cast: ExpressionAnalysis._cast,
    tree.New: ExpressionAnalysis._new,
    tree.SizeOf: ExpressionAnalysis._sizeof,
}
