"""What all parts of the analysis share: where it is, which types are meant, what may change."""

from __future__ import annotations

from typing import Any

from tests.mql5 import tree
from tests.mql5.constants import value_of
from tests.mql5.conversions import constant_fits, misfit
from tests.mql5.scope import Scope
from tests.mql5.symbols import ClassSymbol, FunctionSymbol, VariableSymbol
from tests.mql5.tree import Place
from tests.mql5.types import (
    ERROR,
    VOID,
    ArrayType,
    ClassType,
    EnumType,
    PointerType,
    Scalar,
    Type,
    pointer_to,
)

__all__ = ["AnalysisBase"]


class AnalysisBase:
    """
    ``owner`` and ``function``: what surrounds the code that is looked at; ``blocks``: the local
    names, the innermost block last; ``announced``: classes whose definition comes later.
    """

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.owner: ClassSymbol | None = None
        self.function: FunctionSymbol | None = None
        self.blocks: list[dict[str, VariableSymbol]] = []
        self.announced: set[str] = set()

    def report(self, place: Place, code: str, message: str) -> None:
        self.scope.report(place, code, message)

    def type_of(self, expression: tree.Expression) -> Type:
        """
        Set and return the type of an expression; ERROR after a finding.
        """
        raise NotImplementedError

    # --- types

    def resolve(self, name: tree.TypeName) -> Type:
        """
        Return the type that is written.
        """
        found = self.scope.types.get(name.name) or self.scope.api.types.get(name.name)
        if found is None:
            self.report(name.place, "N003", f"type {name.name} is not known here")
            found = ERROR
        if name.pointer and found is not ERROR:
            if isinstance(found, ClassType) and found.symbol.kind == "class":
                found = pointer_to(found, const=name.const)
            else:
                self.report(name.place, "T016", f"{found} is no class: no pointers to it")
                found = ERROR
        name.type = found
        return found

    def object_type(self, name: tree.TypeName) -> Type:
        """
        Return the type of a variable: its class is defined, not only announced.
        """
        found = self.resolve(name)
        if isinstance(found, ClassType) and not self.is_defined(found.symbol):
            self.report(name.place, "N003", f"{found} is only announced here, not yet defined")
            return ERROR
        return found

    def is_defined(self, symbol: ClassSymbol) -> bool:
        return symbol.from_api or (symbol.node is not None and symbol.name not in self.announced)

    # --- values

    def constant(self, expression: tree.Expression) -> Any:
        """
        Return the value of a typed expression, None if it is not constant.
        """
        return None if expression.type is ERROR else value_of(expression)

    def convert(self, expression: tree.Expression, to: Type, what: str) -> None:
        """
        Report if a typed expression does not go into ``to``.
        """
        source = expression.type
        if source is ERROR or to is ERROR:
            return
        if isinstance(to, ClassType) and to.symbol.kind == "class" and source is to:
            self.report(expression.place, "T006", f"{what}: objects of classes are not copied")
            return
        if source is to and not isinstance(to, ArrayType):
            return
        if isinstance(source, ArrayType) or isinstance(to, ArrayType):
            self.report(expression.place, "T007", f"{what}: arrays are not copied with =")
            return
        if source is VOID:
            self.report(expression.place, "T003", f"{what}: nothing is returned")
            return
        problem = misfit(source, to)
        if problem is not None:
            code, reason = problem
            if code == "T001" and not isinstance(to, EnumType):
                value = self.constant(expression)
                if value is not None and constant_fits(value, to):
                    return
            self.report(expression.place, code, f"{what}: {reason}")
            return
        if isinstance(to, ClassType) and to.symbol.kind == "class":
            self.report(expression.place, "T006", f"{what}: objects of classes are not copied")
        elif isinstance(to, Scalar) and to.integer and not to.signed:
            self._check_negative(expression, to, what)

    def _check_negative(self, expression: tree.Expression, to: Scalar, what: str) -> None:
        source = expression.type
        if isinstance(source, EnumType) or not source.signed:
            return
        value = self.constant(expression)
        if value is not None and value < 0:
            self.report(expression.place, "T001", f"{what}: {value} to {to}: write ({to})")

    def typed(self, expression: tree.Expression, to: Type, what: str) -> None:
        """
        Type an expression and convert it.
        """
        self.type_of(expression)
        self.convert(expression, to, what)

    # --- variables

    def is_variable(self, expression: tree.Expression) -> bool:
        """
        Whether it is something that a reference can be to.
        """
        if isinstance(expression, tree.Name):
            return isinstance(expression.symbol, VariableSymbol)
        if isinstance(expression, tree.Index):
            return self.is_variable(expression.array)
        if isinstance(expression, tree.Member):
            if not isinstance(expression.symbol, VariableSymbol):
                return False
            return expression.through_pointer or self.is_variable(expression.object)
        return False

    def why_constant(self, expression: tree.Expression) -> str | None:
        """
        Return why a variable cannot be changed, None if it can.
        """
        if isinstance(expression, tree.Name):
            symbol = expression.symbol
            if not isinstance(symbol, VariableSymbol):
                return None
            if symbol.const:
                return f"{symbol.name} is {_CONST_KINDS.get(symbol.kind, 'constant')}"
            if symbol.kind == "field" and self.function is not None and self.function.const:
                return f"the method {self.function.full_name} is const"
            return None
        if isinstance(expression, tree.Index):
            return self.why_constant(expression.array)
        if isinstance(expression, tree.Member):
            symbol = expression.symbol
            if isinstance(symbol, VariableSymbol) and symbol.const:
                return f"{symbol.name} is constant"
            if not expression.through_pointer:
                return self.why_constant(expression.object)
            pointer = expression.object.type
            if isinstance(pointer, PointerType) and pointer.const:
                return f"it belongs to a {pointer}"
        return None

    def changed(self, expression: tree.Expression, what: str) -> bool:
        """
        Report if a typed expression is nothing that can be changed.
        """
        if expression.type is ERROR:
            return False
        if not self.is_variable(expression):
            self.report(expression.place, "T008", f"{what}: not a variable")
            return False
        reason = self.why_constant(expression)
        if reason is not None:
            self.report(expression.place, "T008", f"{what}: {reason}")
            return False
        return True


_CONST_KINDS = {
    "input": "an input, which is read only",
    "predefined": "a variable of the terminal, which is read only",
}
