"""Calls: which function is meant, and whether the arguments fit."""

from __future__ import annotations

from tests.mql5 import tree
from tests.mql5.analysis_api import CHECKS, check_printable
from tests.mql5.analysis_base import AnalysisBase
from tests.mql5.conversions import (
    is_number,
    misfit,
    promoted,
)
from tests.mql5.symbols import ClassSymbol, FunctionSymbol, ParameterSymbol
from tests.mql5.tree import Place
from tests.mql5.types import (
    ANY,
    DATETIME,
    DOUBLE,
    ERROR,
    FLOAT,
    STRING,
    ArrayType,
    ClassType,
    EnumType,
    PointerType,
    Type,
    pointer_to,
)

__all__ = ["CallAnalysis"]

# How near an argument is to a parameter, as in C++: the translation has to mean the same.
_EXACT, _PROMOTION, _CONVERSION, _NEVER = 0, 1, 2, 3


class CallAnalysis(AnalysisBase):
    """
    Functions, methods and constructors that are called.
    """

    def call(self, call: tree.Call) -> Type:
        for argument in call.arguments:
            self.type_of(argument)
        callee = call.callee
        if isinstance(callee, tree.Member):
            overloads, const_object = self._methods_of(callee)
        else:
            overloads, const_object = self._functions_named(callee), None
        if not overloads:
            return ERROR
        chosen = self.choose(overloads, call.arguments, callee.place)
        if chosen is None:
            return ERROR
        call.target = callee.symbol = chosen  # type: ignore[attr-defined]  # Name and Member have one
        callee.type = chosen.returns
        self._check_access(chosen, callee.place)
        if chosen.kind == "method":
            self._check_object(chosen, callee, const_object)
        check = CHECKS.get(chosen.name) if chosen.kind == "api" else None
        if check is not None:
            return check(self, call)
        return chosen.returns

    # --- which function

    def _methods_of(self, callee: tree.Member) -> tuple[list[FunctionSymbol], str | None]:
        owner = self.object_of(callee)
        if owner is None:
            return [], None
        overloads = owner.find_methods(callee.name)
        if not overloads:
            kind = "no method" if owner.find_field(callee.name) else "no member"
            self.report(callee.place, "N006", f"{owner.name} has {kind} {callee.name}")
            return [], None
        const_object: str | None = None
        if callee.through_pointer:
            pointer = callee.object.type
            if pointer.const:
                const_object = f"through a {pointer}"
        else:
            const_object = self.why_constant(callee.object)
        return overloads, const_object

    def object_of(self, member: tree.Member) -> ClassSymbol | None:
        """
        Type the object of ``object.name``; return its class, None after a finding.
        """
        of = self.type_of(member.object)
        if isinstance(of, PointerType):
            member.through_pointer = True
            of = of.target
        if isinstance(of, ClassType):
            if self.is_defined(of.symbol):
                return of.symbol  # type: ignore[no-any-return]  # symbols are Any in types
            self.report(member.place, "N003", f"{of} is only announced here, not yet defined")
        elif of is STRING:
            self.report(member.place, "N006", f"methods of string ({member.name}): use String...()")
        elif of is not ERROR:
            self.report(member.place, "N006", f"{of} has no members such as {member.name}")
        return None

    def _functions_named(self, callee: tree.Expression) -> list[FunctionSymbol]:
        assert isinstance(callee, tree.Name)  # the parser calls nothing else
        name, place = callee.name, callee.place
        if callee.scope is not None:
            owner = self.class_named(callee.scope, place)
            if owner is None:
                return []
            overloads = owner.find_methods(name)
            if not overloads:
                self.report(place, "N006", f"{owner.name} has no method {name}")
            return overloads
        if not callee.is_global:
            if self.owner is not None:
                overloads = self.owner.find_methods(name)
                if overloads:
                    return overloads
            if any(name in block for block in self.blocks):
                self.report(place, "N002", f"{name} is a variable, not a function")
                return []
        overloads = self.scope.functions.get(name) or self.scope.api.functions.get(name) or []
        if not overloads:
            self.report(place, "N002", f"no function {name}")
        return overloads

    def class_named(self, name: str, place: Place) -> ClassSymbol | None:
        found = self.scope.types.get(name)
        if isinstance(found, ClassType):
            return found.symbol  # type: ignore[no-any-return]  # symbols are Any in types
        self.report(place, "N003", f"{name} is no class")
        return None

    def choose(
        self, overloads: list[FunctionSymbol], arguments: list[tree.Expression], place: Place
    ) -> FunctionSymbol | None:
        """
        Return the overload that fits typed arguments best and check them, None after a finding.
        """
        count = len(arguments)
        name = overloads[0].full_name
        candidates = [
            function
            for function in overloads
            if function.required <= count
            and (count <= len(function.parameters) or function.variadic)
        ]
        if not candidates:
            forms = " or ".join(sorted({_arity(function) for function in overloads}))
            self.report(place, "T009", f"{name} takes {forms}, not {count}")
            return None
        if len(candidates) == 1:
            self.check_arguments(candidates[0], arguments)
            return candidates[0]
        if any(argument.type is ERROR for argument in arguments):
            return None
        ranked = [(self._distances(function, arguments), function) for function in candidates]
        ranked = [
            (distances, function) for distances, function in ranked if _NEVER not in distances
        ]
        types = ", ".join(str(argument.type) for argument in arguments)
        if not ranked:
            self.report(place, "T003", f"no {name} takes ({types})")
            return None
        best = [
            function
            for distances, function in ranked
            if all(_not_worse(distances, others) for others, _ in ranked)
        ]
        if len(best) != 1:
            self.report(place, "T010", f"several {name} take ({types}): write casts")
            return None
        self.check_arguments(best[0], arguments)
        return best[0]

    def _distances(self, function: FunctionSymbol, arguments: list[tree.Expression]) -> list[int]:
        pairs = zip(function.parameters, arguments, strict=False)
        return [self._argument_distance(parameter, argument) for parameter, argument in pairs]

    def _argument_distance(self, parameter: ParameterSymbol, argument: tree.Expression) -> int:
        source, to = argument.type, parameter.type
        if isinstance(to, ArrayType) and isinstance(source, ArrayType):
            return _EXACT if to.element in {source.element, ANY} else _NEVER
        if isinstance(to, ArrayType) or isinstance(source, ArrayType):
            return _NEVER
        if parameter.reference:
            return self._reference_distance(parameter, argument)
        if source is to:
            return _EXACT
        if is_number(source) and is_number(to) and not isinstance(to, EnumType):
            near = promoted(source) is to or (source is FLOAT and to is DOUBLE)
            return _PROMOTION if near and source is not DATETIME else _CONVERSION
        return _NEVER if misfit(source, to) else _CONVERSION

    def _reference_distance(self, parameter: ParameterSymbol, argument: tree.Expression) -> int:
        source, to = argument.type, parameter.type
        if not self.is_variable(argument) and not isinstance(source, PointerType):
            return _NEVER
        if source is to:
            return _EXACT
        pointed = source.target if isinstance(source, PointerType) else source
        if isinstance(to, ClassType) and misfit(pointed, to) is None:
            return _CONVERSION
        return _NEVER

    # --- whether it may be called from here

    def _check_access(self, function: FunctionSymbol, place: Place) -> None:
        if function.owner is not None:
            self.check_access(function.owner, function.access, function.name, place)

    def check_access(self, owner: ClassSymbol, access: str, name: str, place: Place) -> None:
        """
        Report a member that is private or protected where the analysis is.
        """
        if access == "public" or owner is self.owner:
            return
        if access == "protected" and self.owner is not None and self.owner.derives_from(owner):
            return
        self.report(place, "N007", f"{owner.name}::{name} is {access}")

    def _check_object(
        self, method: FunctionSymbol, callee: tree.Expression, const_object: str | None
    ) -> None:
        if method.static:
            return
        if isinstance(callee, tree.Name):
            inside = self.owner is not None and method.owner is not None
            if not inside or not self.owner.derives_from(method.owner):  # type: ignore[union-attr,arg-type]  # inside says so
                self.report(callee.place, "C008", f"{method.full_name} needs an object")
                return
            if self.function is not None and self.function.static:
                self.report(callee.place, "C008", f"{self.function.full_name} is static")
                return
            if callee.scope is not None and method.pure:
                self.report(callee.place, "C001", f"{method.full_name} is pure: nothing to call")
            if self.function is not None and self.function.const:
                const_object = f"the method {self.function.full_name} is const"
        if const_object is not None and not method.const:
            self.report(
                callee.place, "C005", f"{method.full_name} is not const, but {const_object}"
            )

    # --- arguments

    def check_arguments(self, function: FunctionSymbol, arguments: list[tree.Expression]) -> None:
        count = len(function.parameters)
        for index, argument in enumerate(arguments):
            if argument.type is ERROR:
                continue
            if index < count:
                parameter = function.parameters[index]
                what = f"argument {parameter.name} of {function.full_name}"
                self._check_argument(parameter, argument, what)
            else:
                check_printable(self, argument, f"argument {index + 1} of {function.full_name}")

    def _check_argument(
        self, parameter: ParameterSymbol, argument: tree.Expression, what: str
    ) -> None:
        source, to = argument.type, parameter.type
        if parameter.any_pointer:
            if not isinstance(source, PointerType):
                self.report(argument.place, "T016", f"{what}: {source} is no pointer")
        elif isinstance(to, ArrayType):
            self._check_array(parameter, to, argument, what)
        elif parameter.reference:
            self._check_reference(parameter, argument, what)
        elif to is ANY:
            if parameter.any_number and not is_number(source):
                self.report(argument.place, "T003", f"{what}: {source} is no number")
            elif isinstance(source, ArrayType):
                self.report(argument.place, "T003", f"{what}: an array is no single value")
        elif isinstance(source, ArrayType):
            self.report(argument.place, "T003", f"{what}: an array is no {to}")
        else:
            self.convert(argument, to, what)

    def _check_array(
        self, parameter: ParameterSymbol, to: ArrayType, argument: tree.Expression, what: str
    ) -> None:
        source = argument.type
        if not isinstance(source, ArrayType):
            self.report(argument.place, "T003", f"{what}: {source} is no array")
        elif to.element not in {source.element, ANY}:
            self.report(argument.place, "T003", f"{what}: {source} is no {to.element}[]")
        elif to.size is not None and to.size != source.size:
            self.report(argument.place, "T003", f"{what}: {source} is no {to}")
        elif not parameter.const:
            self.changed(argument, what)

    def _check_reference(
        self, parameter: ParameterSymbol, argument: tree.Expression, what: str
    ) -> None:
        source, to = argument.type, parameter.type
        if isinstance(source, PointerType) and isinstance(to, ClassType):
            # MQL5 passes the object that it points to.
            if misfit(source, pointer_to(to, const=parameter.const)) is not None:
                self.report(argument.place, "T003", f"{what}: {source} is no {to}")
            return
        if not self.is_variable(argument):
            self.report(argument.place, "T005", f"{what} is a reference: pass a variable")
            return
        if isinstance(to, ClassType):
            problem = misfit(source, to)
            if problem is not None:
                self.report(argument.place, problem[0], f"{what}: {problem[1]}")
                return
        elif to is not ANY and source is not to:
            self.report(argument.place, "T003", f"{what}: a reference to {to}, not {source}")
            return
        if not parameter.const:
            self.changed(argument, what)

    # --- constructors

    def construct(
        self, owner: ClassSymbol, arguments: list[tree.Expression], place: Place
    ) -> FunctionSymbol | None:
        """
        Return the constructor for typed arguments, None if none is declared (or after a finding).
        """
        pure = owner.pure_methods()
        if pure:
            names = ", ".join(sorted(method.full_name for method in pure))
            self.report(place, "C001", f"{owner.name} is abstract: {names}")
        return self.constructor(owner, arguments, place)

    def constructor(
        self, owner: ClassSymbol, arguments: list[tree.Expression], place: Place
    ) -> FunctionSymbol | None:
        if not owner.constructors:
            if arguments:
                self.report(place, "C006", f"{owner.name} has no constructor with arguments")
            return None
        chosen = self.choose(owner.constructors, arguments, place)
        if chosen is not None:
            self._check_access(chosen, place)
        return chosen


def _not_worse(distances: list[int], others: list[int]) -> bool:
    return all(mine <= theirs for mine, theirs in zip(distances, others, strict=False))


def _arity(function: FunctionSymbol) -> str:
    low, high = function.required, len(function.parameters)
    if function.variadic:
        return f"at least {low}"
    return f"{low}" if low == high else f"{low} to {high}"
