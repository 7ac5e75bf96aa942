"""Function bodies: local names, statements, and whether every way out has its value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tests.mql5 import tree
from tests.mql5.analysis_expressions import ExpressionAnalysis
from tests.mql5.conversions import constant_fits, is_whole, misfit
from tests.mql5.symbols import VariableSymbol
from tests.mql5.tree import Place
from tests.mql5.types import (
    BOOL,
    ERROR,
    VOID,
    ArrayType,
    ClassType,
    EnumType,
    PointerType,
    Type,
    array_of,
)

__all__ = ["StatementAnalysis"]

_EFFECTS: Final = (tree.Call, tree.Assign)


class StatementAnalysis(ExpressionAnalysis):
    """
    Variables and statements.
    """

    loops = 0
    switches = 0

    # --- variables

    def array_type(self, element: Type, declarator: tree.Declarator | tree.Parameter) -> Type:
        """
        Return the type with the dimensions of a declarator.
        """
        if not declarator.dimensions:
            return element
        size = declarator.dimensions[0]
        if size is None:
            return array_of(element)
        of = self.type_of(size)
        value = self.constant(size)
        if of is ERROR:
            return ERROR
        if not isinstance(value, int) or isinstance(value, bool):
            self.report(size.place, "T012", f"the size of {declarator.name} is not constant")
            return ERROR
        if value <= 0:
            self.report(size.place, "T012", f"{declarator.name} has the size {value}")
            return ERROR
        return array_of(element, value)

    def variable_type(self, element: Type, declarator: tree.Declarator) -> Type:
        """
        Return the type of a variable; ``T a[]={1,2}`` has a fixed size.
        """
        of = self.array_type(element, declarator)
        initial = declarator.initial
        if isinstance(of, ArrayType) and of.size is None and isinstance(initial, tree.InitList):
            return array_of(of.element, len(initial.values) or None)
        return of

    def local(self, declaration: tree.Declaration) -> None:
        element = self.object_type(declaration.type_name)
        const = declaration.type_name.const and not declaration.type_name.pointer
        static = declaration.storage == "static"
        for declarator in declaration.declarators:
            of = self.variable_type(element, declarator)
            symbol = VariableSymbol(
                declarator.name, of, "static" if static else "local", const, node=declarator
            )
            declarator.symbol = symbol
            self.initialise(declarator, of, static=static, const=const)
            self.declare(symbol, declarator.place)

    def declare(self, symbol: VariableSymbol, place: Place) -> None:
        """
        Add a local name; it hides no other.
        """
        name = symbol.name
        if name in self.blocks[-1]:
            self.report(place, "N004", f"{name} is already declared here")
        elif any(name in block for block in self.blocks):
            self.report(place, "N005", f"{name} hides a local variable or parameter")
        elif self.owner is not None and self.owner.find_field(name) is not None:
            self.report(place, "N005", f"{name} hides a member of {self.owner.name}")
        elif name in self.scope.places:
            self.report(place, "N005", f"{name} hides what {self.scope.places[name]} declares")
        elif name in self.scope.api.values or name in self.scope.api.functions:
            self.report(place, "N005", f"{name} hides a name of MQL5 itself")
        self.blocks[-1][name] = symbol

    def initialise(
        self, declarator: tree.Declarator, of: Type, *, static: bool, const: bool
    ) -> None:
        """
        Check the initial value of a variable, or that its class can do without.
        """
        name = declarator.name
        for argument in declarator.arguments or []:
            self.type_of(argument)
        initial = declarator.initial
        if isinstance(initial, tree.InitList):
            self._init_list(initial, of, name)
        elif initial is not None:
            self.typed(initial, of, name)
            if isinstance(of, ArrayType):
                return
        if initial is None:
            if const and declarator.arguments is None:
                self.report(declarator.place, "T011", f"the constant {name} has no value")
            self._default(declarator, of)
        elif static:
            self.check_constant(initial, name)

    def _default(self, declarator: tree.Declarator, of: Type) -> None:
        element = of.element if isinstance(of, ArrayType) else of
        arguments = declarator.arguments
        if isinstance(element, ClassType):
            if arguments and isinstance(of, ArrayType):
                self.report(declarator.place, "C006", f"arguments for the array {declarator.name}")
            else:
                declarator.constructor = self.construct(
                    element.symbol, arguments or [], declarator.place
                )
        elif arguments is not None and of is not ERROR:
            self.report(
                declarator.place, "C006", f"{declarator.name} is no object: write = and the value"
            )

    def check_constant(self, initial: tree.Expression | tree.InitList, name: str) -> None:
        """
        Report what is not known before the program runs.
        """
        if isinstance(initial, tree.InitList):
            for value in initial.values:
                self.check_constant(value, name)
            return
        if isinstance(initial, tree.Literal) or initial.type in {ERROR, None}:
            return
        if self.constant(initial) is None:
            self.report(initial.place, "T011", f"the initial value of {name} is not constant")

    def _init_list(self, values: tree.InitList, of: Type, name: str) -> None:
        if of is ERROR:
            for value in values.values:
                if isinstance(value, tree.Expression):
                    self.type_of(value)
            return
        if isinstance(of, ArrayType):
            if of.size is not None and len(values.values) > of.size:
                self.report(values.place, "T018", f"{name}: more than {of.size} values")
            for value in values.values:
                self._init_value(value, of.element, name)
        elif isinstance(of, ClassType) and of.symbol.kind != "class":
            self._init_struct(values, of, name)
        else:
            for value in values.values:
                if isinstance(value, tree.Expression):
                    self.type_of(value)
            self.report(values.place, "T018", f"{name}: {of} has no values in braces")

    def _init_struct(self, values: tree.InitList, of: ClassType, name: str) -> None:
        symbol = of.symbol
        if symbol.constructors:
            self.report(values.place, "C006", f"{name}: {of} has a constructor, so no braces")
        fields = [field for field in symbol.fields.values() if field.kind == "field"]
        if symbol.base is not None and values.values:
            self.report(values.place, "T018", f"{name}: values for {of}, which has a base")
            fields = []
        if symbol.kind == "union":
            fields = fields[:1]
        if len(values.values) > len(fields) and symbol.base is None:
            self.report(values.place, "T018", f"{name}: {of} has {len(fields)} members")
        for value, field in zip(values.values, fields, strict=False):
            self._init_value(value, field.type, f"{name}.{field.name}")
        for value in values.values[len(fields) :]:
            if isinstance(value, tree.Expression):
                self.type_of(value)

    def _init_value(self, value: tree.Expression | tree.InitList, of: Type, name: str) -> None:
        if isinstance(value, tree.InitList):
            self._init_list(value, of, name)
            return
        self.typed(value, of, name)

    # --- statements

    def statement(self, statement: tree.Statement) -> None:
        _CHECKS[type(statement)](self, statement)

    def block(self, block: tree.Block) -> None:
        self.blocks.append({})
        for statement in block.statements:
            self.statement(statement)
        self.blocks.pop()

    def inner(self, statement: tree.Statement) -> None:
        # The body of an if or loop, with names of its own even without braces.
        if isinstance(statement, tree.Block):
            self.block(statement)
        else:
            self.statement(statement)

    def _declaration(self, statement: tree.DeclarationStatement) -> None:
        self.local(statement.declaration)

    def effect(self, expression: tree.Expression) -> None:
        """
        Type an expression that stands for what it does.
        """
        self.type_of(expression)
        if isinstance(expression, _EFFECTS):
            return
        if isinstance(expression, tree.Unary) and expression.op in {"++", "--"}:
            return
        what = "an object that nobody deletes" if isinstance(expression, tree.New) else "no effect"
        self.report(expression.place, "S008", f"this statement has {what}")

    def _expression(self, statement: tree.ExpressionStatement) -> None:
        self.effect(statement.expression)

    def _if(self, statement: tree.If) -> None:
        self.condition(statement.condition)
        self.inner(statement.then)
        if statement.otherwise is not None:
            self.inner(statement.otherwise)

    def _loop_body(self, body: tree.Statement) -> None:
        self.loops += 1
        self.inner(body)
        self.loops -= 1

    def _while(self, statement: tree.While) -> None:
        self.condition(statement.condition)
        self._loop_body(statement.body)

    def _do_while(self, statement: tree.DoWhile) -> None:
        self._loop_body(statement.body)
        self.condition(statement.condition)

    def _for(self, statement: tree.For) -> None:
        self.blocks.append({})
        if statement.first is not None:
            self.statement(statement.first)
        if statement.condition is not None:
            self.condition(statement.condition)
        for step in statement.step:
            self.effect(step)
        self._loop_body(statement.body)
        self.blocks.pop()

    def _switch(self, statement: tree.Switch) -> None:
        of = self.type_of(statement.value)
        if of is not ERROR and (not is_whole(of) or of is BOOL):
            self.report(statement.value.place, "S003", f"switch on {of}")
            of = ERROR
        seen: dict[Any, Place] = {}
        self.switches += 1
        self.blocks.append({})
        for case in statement.cases:
            for label in case.labels:
                self._label(label, of, seen, case.place)
            for inner in case.statements:
                if isinstance(inner, tree.DeclarationStatement):
                    self.report(inner.place, "S005", "a case that declares a variable needs braces")
                self.statement(inner)
        self.blocks.pop()
        self.switches -= 1

    def _label(
        self, label: tree.Expression | None, of: Type, seen: dict[Any, Place], place: Place
    ) -> None:
        value: Any = "default"
        if label is not None:
            place = label.place
            found = self.type_of(label)
            if found is ERROR:
                return
            value = self.constant(label)
            if not isinstance(value, int) or not is_whole(found):
                self.report(place, "T012", "a case label is a constant integer")
                return
            self._label_type(found, of, value, place)
        if value in seen:
            self.report(place, "S004", f"{value} is already in {seen[value]}")
        seen[value] = place

    def _label_type(self, found: Type, of: Type, value: int, place: Place) -> None:
        if isinstance(of, EnumType) or isinstance(found, EnumType):
            if isinstance(of, EnumType) and found is not of:
                self.report(place, "T014", f"a label of {found} in a switch on {of}")
        elif misfit(found, of) is not None and not constant_fits(value, of):
            self.report(place, "T001", f"{value} is no {of}")

    def _break(self, statement: tree.Break) -> None:
        if not self.loops and not self.switches:
            self.report(statement.place, "S006", "break outside of a loop or switch")

    def _continue(self, statement: tree.Continue) -> None:
        if not self.loops:
            self.report(statement.place, "S006", "continue outside of a loop")

    def _return(self, statement: tree.Return) -> None:
        function = self.function
        assert function is not None
        if statement.value is None:
            if function.returns is not VOID and function.returns is not ERROR:
                self.report(statement.place, "S002", f"{function.full_name} returns a value")
            return
        if function.returns is VOID:
            self.type_of(statement.value)
            self.report(statement.place, "S002", f"{function.full_name} returns nothing")
            return
        self.typed(statement.value, function.returns, "return")

    def _delete(self, statement: tree.Delete) -> None:
        of = self.type_of(statement.operand)
        if not isinstance(of, PointerType) and of is not ERROR:
            self.report(statement.place, "S007", f"delete of {of}")

    def _empty(self, statement: tree.Empty) -> None:
        pass  # a loop may have nothing left to do

    # --- the end of a function

    def body(self, function: tree.Function) -> None:
        """
        Check a body whose owner, function symbol and parameters are set.
        """
        assert function.body is not None
        self.loops = self.switches = 0
        # Parameters and the outermost locals share one scope.
        for statement in function.body.statements:
            self.statement(statement)
        returns = self.function.returns if self.function else VOID
        if returns not in {VOID, ERROR} and not _returns(function.body):
            self.report(
                function.body.end, "S001", f"{function.name} may end without returning a value"
            )


def _returns(statement: tree.Statement | None) -> bool:
    # Only what any compiler sees: no loop counts as endless, no switch as complete.
    if isinstance(statement, tree.Return):
        return True
    if isinstance(statement, tree.Block):
        return bool(statement.statements) and _returns(statement.statements[-1])
    if isinstance(statement, tree.If):
        return _returns(statement.then) and _returns(statement.otherwise)
    return False


_CHECKS: Final[dict[type, Callable[[Any, Any], None]]] = {
    tree.Block: StatementAnalysis.block,
    tree.DeclarationStatement: StatementAnalysis._declaration,
    tree.ExpressionStatement: StatementAnalysis._expression,
    tree.If: StatementAnalysis._if,
    tree.While: StatementAnalysis._while,
    tree.DoWhile: StatementAnalysis._do_while,
    tree.For: StatementAnalysis._for,
    tree.Switch: StatementAnalysis._switch,
    tree.Break: StatementAnalysis._break,
    tree.Continue: StatementAnalysis._continue,
    tree.Return: StatementAnalysis._return,
    tree.Delete: StatementAnalysis._delete,
    tree.Empty: StatementAnalysis._empty,
}
