"""The first look at a unit: types, signatures and constants, before any body.

MQL5 lets a function be called before it stands there, so all signatures are known before the first
body is looked at. Types and constants have to stand before their use.
"""

from __future__ import annotations

from tests.mql5 import tree
from tests.mql5.analysis_statements import StatementAnalysis
from tests.mql5.conversions import is_whole, wrapped
from tests.mql5.symbols import (
    ClassSymbol,
    ConstantSymbol,
    EnumSymbol,
    FunctionSymbol,
    ParameterSymbol,
    VariableSymbol,
    is_plain,
)
from tests.mql5.types import (
    BOOL,
    ERROR,
    INT,
    STRING,
    VOID,
    ArrayType,
    ClassType,
    PointerType,
    Type,
)

__all__ = ["DeclarationAnalysis"]


class DeclarationAnalysis(StatementAnalysis):
    """
    Makes the symbols of enums, macros, classes and functions.
    """

    def collect(self, unit: tree.Unit) -> None:
        """
        Look at all items, in order.
        """
        for item in unit.items:
            if isinstance(item, tree.Define):
                self._define(item)
            elif isinstance(item, tree.Enumeration):
                self._enumeration(item)
            elif isinstance(item, tree.ForwardClass):
                self._announce(item.name, item.kind, item.place)
            elif isinstance(item, tree.Class):
                self._class(item)
            elif isinstance(item, tree.Function):
                self._function(item)

    # --- constants

    def _define(self, define: tree.Define) -> None:
        of = self.type_of(define.value)
        if not self.scope.claim(define.name, define.place) or of is ERROR:
            return
        value = self.constant(define.value)
        if value is None:
            self.report(define.place, "D005", f"the macro {define.name} is no constant")
            return
        define.symbol = ConstantSymbol(define.name, of, value, "define", node=define)
        self.scope.values[define.name] = define.symbol

    def _enumeration(self, enumeration: tree.Enumeration) -> None:
        if not self.scope.claim(enumeration.name, enumeration.place):
            return
        symbol = enumeration.symbol = EnumSymbol(enumeration.name, node=enumeration)
        self.scope.enums[symbol.name] = symbol
        self.scope.types[symbol.name] = symbol.type
        following = 0
        for name, value, place in enumeration.members:
            number = following
            if value is not None:
                given = self._enum_value(value, name)
                number = following if given is None else given
            following = number + 1
            if not self.scope.claim(name, place):
                continue
            if number in symbol.members.values():
                self.report(place, "N004", f"{name} has the number of another value: {number}")
            symbol.members[name] = number
            self.scope.values[name] = ConstantSymbol(name, symbol.type, number, "enum", symbol)

    def _enum_value(self, value: tree.Expression, name: str) -> int | None:
        of = self.type_of(value)
        if of is ERROR:
            return None
        number = self.constant(value)
        if not is_whole(of) or of is BOOL or not isinstance(number, int):
            self.report(value.place, "T012", f"the value of {name} is no constant integer")
            return None
        if wrapped(number, INT) != number:
            self.report(value.place, "T001", f"the value of {name} does not fit into an int")
        return number

    # --- classes

    def _announce(self, name: str, kind: str, place: tree.Place) -> ClassSymbol | None:
        # class CFoo; or the beginning of its definition.
        known = self.scope.classes.get(name)
        if known is not None and known.node is None and known.kind == kind:
            return known
        if not self.scope.claim(name, place):
            return None
        symbol = ClassSymbol(name, kind, place=place)
        self.scope.classes[name] = symbol
        self.scope.types[name] = symbol.type
        return symbol

    def _class(self, node: tree.Class) -> None:
        symbol = self._announce(node.name, node.kind, node.place)
        if symbol is None:
            return
        node.symbol = symbol
        symbol.base = self._base(node)
        for member in node.members:
            declaration = member.declaration
            if isinstance(declaration, tree.Declaration):
                self._fields(symbol, declaration, member.access)
            else:
                self._method(symbol, declaration, member.access)
        symbol.node = node
        symbol.place = node.place
        for name in symbol.fields.keys() & symbol.methods.keys():
            place = symbol.methods[name][0].declaration.place  # type: ignore[union-attr]  # no API
            self.report(place, "N004", f"{node.name}::{name} is already a field")
        for overloads in symbol.methods.values():
            for method in overloads:
                self._override(symbol, method)
        if symbol.base is not None:
            for name, field in symbol.fields.items():
                if symbol.base.find_field(name) is not None:
                    place = field.node.place
                    self.report(place, "N005", f"{name} hides a member of {symbol.base.name}")

    def _base(self, node: tree.Class) -> ClassSymbol | None:
        if node.base is None:
            return None
        found = self.scope.types.get(node.base) or self.scope.api.types.get(node.base)
        if not isinstance(found, ClassType):
            self.report(node.place, "C004", f"{node.base} is no class")
            return None
        base: ClassSymbol = found.symbol
        if base.kind != node.kind:
            self.report(
                node.place, "C004", f"the {node.kind} {node.name} has a {base.kind} as base"
            )
        elif not self.is_defined(base):
            self.report(node.place, "C004", f"{base.name} is only announced here, not yet defined")
        else:
            return base
        return None

    def _fields(self, owner: ClassSymbol, declaration: tree.Declaration, access: str) -> None:
        element = self.object_type(declaration.type_name)
        const = declaration.type_name.const and not declaration.type_name.pointer
        static = declaration.storage == "static"
        for declarator in declaration.declarators:
            of = self.array_type(element, declarator)
            if owner.kind == "union":
                self._union_field(of, declarator)
            symbol = VariableSymbol(
                declarator.name,
                of,
                "static field" if static else "field",
                const,
                owner=owner,
                access=access,
                node=declarator,
            )
            declarator.symbol = symbol
            if declarator.name in owner.fields:
                message = f"{owner.name}::{declarator.name} is already declared"
                self.report(declarator.place, "N004", message)
            owner.fields[declarator.name] = symbol

    def _union_field(self, of: Type, declarator: tree.Declarator) -> None:
        dynamic = isinstance(of, ArrayType) and of.size is None
        element = of.element if isinstance(of, ArrayType) else of
        if element is ERROR:
            return
        plain = not isinstance(element, PointerType) and element is not STRING
        if isinstance(element, ClassType):
            plain = is_plain(element.symbol)
        if dynamic or not plain:
            self.report(declarator.place, "C007", f"a union with {declarator.name} of type {of}")

    def _method(self, owner: ClassSymbol, node: tree.Function, access: str) -> None:
        symbol = self.signature(node, owner)
        symbol.access = access
        words = node.specifiers
        symbol.static = "static" in words
        symbol.pure = "pure" in words
        symbol.virtual = bool(words & {"virtual", "override", "pure"})
        self._check_words(owner, node, symbol)
        if node.returns is None:
            if node.name.startswith("~"):
                symbol.virtual = owner.kind == "class"
                if owner.destructor is not None:
                    self.report(node.place, "N004", f"{owner.name} has two destructors")
                owner.destructor = node.symbol = symbol
                return
            self._add(owner.constructors, symbol, node)
            return
        self._add(owner.methods.setdefault(node.name, []), symbol, node)

    def _check_words(self, owner: ClassSymbol, node: tree.Function, symbol: FunctionSymbol) -> None:
        words, place = node.specifiers, node.place
        if owner.kind != "class":
            if symbol.virtual:
                self.report(place, "C007", f"a {owner.kind} has no virtual methods: {node.name}")
            if owner.kind == "union" and node.returns is None:
                self.report(place, "C007", "a union has no constructor or destructor here")
        if symbol.static and (symbol.virtual or symbol.const):
            self.report(place, "C007", f"a static method is neither virtual nor const: {node.name}")
        if symbol.pure and "virtual" not in words:
            self.report(place, "C007", f"a pure method is virtual: {node.name}")
        if symbol.pure and node.returns is None:
            self.report(place, "C007", f"{node.name} cannot be pure")

    def _override(self, owner: ClassSymbol, method: FunctionSymbol) -> None:
        node = method.declaration
        assert node is not None
        base_overloads = owner.base.find_methods(method.name) if owner.base else []
        same = next((base for base in base_overloads if _same_signature(base, method)), None)
        words = node.specifiers
        if same is not None and same.virtual:
            method.overrides = same
            method.virtual = True
            if same.returns is not method.returns:
                message = f"{method.full_name} returns {method.returns}, its base {same.returns}"
                self.report(node.place, "C002", message)
            if "override" not in words:
                self.report(node.place, "C003", f"{method.full_name} overrides: write override")
            if same.declaration is not None and "final" in same.declaration.specifiers:
                self.report(node.place, "C002", f"{same.full_name} is final")
        elif same is not None:
            self.report(node.place, "N005", f"{method.full_name} hides {same.full_name}")
        elif "override" in words:
            self.report(node.place, "C002", f"{method.full_name} overrides nothing")
        elif any(base.virtual for base in base_overloads) and not any(
            other.overrides for other in owner.methods[method.name] if other is not method
        ):
            message = f"{method.full_name} has other parameters than {base_overloads[0].full_name}"
            self.report(node.place, "C002", message)

    # --- functions

    def signature(self, node: tree.Function, owner: ClassSymbol | None) -> FunctionSymbol:
        """
        Return the symbol of a function as one node declares it.
        """
        kind = "function" if owner is None else "method"
        returns: Type = VOID
        if node.returns is None:
            kind = "destructor" if node.name.startswith("~") else "constructor"
        else:
            returns = self.resolve(node.returns)
            if isinstance(returns, ClassType) and returns.symbol.kind == "class":
                message = f"{node.name} returns the object {returns}: return a pointer"
                self.report(node.returns.place, "T006", message)
        parameters = [self._parameter(parameter) for parameter in node.parameters]
        for before, after in zip(node.parameters, node.parameters[1:], strict=False):
            if before.default is not None and after.default is None:
                message = f"{after.name} has no default value, {before.name} before it has"
                self.report(after.place, "T009", message)
        return FunctionSymbol(
            node.name,
            returns,
            parameters,
            kind,
            owner,
            const="const" in node.specifiers,
            declaration=node,
            definition=node if node.body is not None else None,
        )

    def _parameter(self, node: tree.Parameter) -> ParameterSymbol:
        element = self.resolve(node.type_name)
        of = self.array_type(element, node)
        place, name = node.place, node.name
        if not node.reference:
            if node.dimensions:
                self.report(place, "T006", f"the array {name} by value: write &{name}[]")
            elif isinstance(of, ClassType):
                self.report(place, "T006", f"{name} of type {of} by value: write &{name}")
        elif isinstance(of, PointerType):
            self.report(place, "T006", f"{name} is a reference to a pointer: not in the subset")
        if node.default is not None and node.reference:
            self.report(place, "T005", f"the reference {name} cannot have a default value")
        const = node.type_name.const and (node.reference or not node.type_name.pointer)
        node.symbol = VariableSymbol(
            name, of, "parameter", const, reference=node.reference, node=node
        )
        return ParameterSymbol(name, of, const, node.reference, node.default)

    def _add(
        self, overloads: list[FunctionSymbol], symbol: FunctionSymbol, node: tree.Function
    ) -> None:
        node.symbol = symbol
        if any(_same_signature(other, symbol) for other in overloads):
            self.report(node.place, "N004", f"{symbol.full_name} is already declared so")
            return
        overloads.append(symbol)

    def _function(self, node: tree.Function) -> None:
        if node.owner is not None:
            self._outside(node)
            return
        symbol = self.signature(node, None)
        if "const" in node.specifiers:
            self.report(node.place, "C007", f"{node.name} is no method: it cannot be const")
        overloads = self.scope.functions.get(node.name)
        if overloads is None:
            if not self.scope.claim(node.name, node.place):
                return
            overloads = self.scope.functions[node.name] = []
        known = next((other for other in overloads if _same_signature(other, symbol)), None)
        if known is None:
            node.symbol = symbol
            overloads.append(symbol)
            return
        node.symbol = known
        if known.returns is not symbol.returns:
            self.report(node.place, "N004", f"{node.name} differs only in what it returns")
        elif node.body is None or known.definition is not None:
            self.report(node.place, "N004", f"{node.name} is already there so")
        else:
            self._define_known(known, symbol, node)

    def _outside(self, node: tree.Function) -> None:
        # void CFoo::Bar() { } of a method that is declared inside.
        assert node.owner is not None
        owner = self.scope.classes.get(node.owner)
        if owner is None or owner.node is None:
            self.report(node.place, "N003", f"class {node.owner} is not known here")
            return
        symbol = self.signature(node, owner)
        if node.body is None:
            self.report(node.place, "N009", f"{symbol.full_name} has no body here")
            return
        if node.name.startswith("~"):
            declared = [owner.destructor] if owner.destructor else []
        elif node.returns is None:
            declared = owner.constructors
        else:
            declared = owner.methods.get(node.name, [])
        known = next((other for other in declared if _same_signature(other, symbol)), None)
        if known is None:
            reason = "with other parameters or const" if declared else f"in {owner.name}"
            message = f"{symbol.full_name} is not declared so: see {reason}"
            if not declared:
                message = f"{symbol.full_name} is not declared {reason}"
            self.report(node.place, "N009", message)
            return
        node.symbol = known
        if known.returns is not symbol.returns:
            message = f"{symbol.full_name} returns {known.returns} where it is declared"
            self.report(node.place, "N009", message)
        elif known.definition is not None:
            self.report(node.place, "N004", f"{symbol.full_name} already has a body")
        elif known.pure:
            self.report(node.place, "N004", f"{symbol.full_name} is pure")
        else:
            self._define_known(known, symbol, node)

    def _define_known(
        self, known: FunctionSymbol, symbol: FunctionSymbol, node: tree.Function
    ) -> None:
        known.definition = node
        for parameter in node.parameters:
            if parameter.default is not None:
                message = f"the default of {parameter.name} belongs to the declaration"
                self.report(parameter.place, "N009", message)
        for before, after in zip(known.parameters, symbol.parameters, strict=True):
            if before.const != after.const:
                self.report(node.place, "N009", f"const of {after.name} differs from declaration")


def _same_signature(one: FunctionSymbol, other: FunctionSymbol) -> bool:
    if len(one.parameters) != len(other.parameters) or one.const != other.const:
        return False
    return all(
        mine.type is theirs.type and mine.reference == theirs.reference
        for mine, theirs in zip(one.parameters, other.parameters, strict=True)
    )
