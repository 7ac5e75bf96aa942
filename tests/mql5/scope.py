"""The names of a unit, and those of the API."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

from tests.mql5.findings import Finding
from tests.mql5.manifest import ApiParameter, Manifest, Signature
from tests.mql5.symbols import (
    ClassSymbol,
    ConstantSymbol,
    EnumSymbol,
    FunctionSymbol,
    ParameterSymbol,
    VariableSymbol,
)
from tests.mql5.tree import Place
from tests.mql5.types import ANY, BASIC, Type, array_of

__all__ = ["Api", "Scope", "api_of"]


@dataclass(eq=False, slots=True)
class Api:
    """
    What is there without a declaration. The same for all units, never changed.
    """

    types: dict[str, Type] = field(default_factory=dict)
    values: dict[str, VariableSymbol | ConstantSymbol] = field(default_factory=dict)
    functions: dict[str, list[FunctionSymbol]] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class Scope:
    """
    What a unit declares, beside the API.

    ``types``: of the unit and of the API. ``values``: constants and global variables that are
    visible where the analysis is; at the end, all. ``functions``: overloads by name.
    ``places``: where a name was declared.
    """

    api: Api
    types: dict[str, Type] = field(default_factory=dict)
    classes: dict[str, ClassSymbol] = field(default_factory=dict)
    enums: dict[str, EnumSymbol] = field(default_factory=dict)
    values: dict[str, VariableSymbol | ConstantSymbol] = field(default_factory=dict)
    functions: dict[str, list[FunctionSymbol]] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def report(self, place: Place, code: str, message: str) -> None:
        self.findings.append(Finding(place, code, message))

    def claim(self, name: str, place: Place) -> bool:
        """
        Take a name that only one thing can have; False with a finding if it is taken.
        """
        if name in self.places:
            self.report(place, "N004", f"{name} is already declared in {self.places[name]}")
            return False
        api = self.api
        if name in api.values or name in api.functions or name in api.types:
            self.report(place, "N004", f"{name} is a name of MQL5 itself")
            return False
        self.places[name] = place
        return True


# Manifests are few and kept anyway, see manifest.load.
_APIS: dict[int, tuple[Manifest, Api]] = {}


def api_of(manifest: Manifest) -> Api:
    """
    Return the symbols of a manifest.
    """
    known = _APIS.get(id(manifest))
    if known is None:
        known = _APIS[id(manifest)] = (manifest, _made(manifest))
    return known[1]


def _made(manifest: Manifest) -> Api:
    api = Api(types=dict(BASIC))
    for name, members in manifest.enums.items():
        enum = EnumSymbol(name, dict(members))
        api.types[name] = enum.type
        for member, value in members.items():
            api.values[member] = ConstantSymbol(member, enum.type, value, "enum", enum)
    for struct in manifest.structs.values():
        symbol = ClassSymbol(struct.name, "struct", from_api=True)
        api.types[struct.name] = symbol.type
    for struct in manifest.structs.values():
        symbol = api.types[struct.name].symbol  # type: ignore[attr-defined]  # a ClassType
        for type_name, name, size in struct.fields:
            of = api.types[type_name]
            symbol.fields[name] = VariableSymbol(
                name, of if size is None else array_of(of, size), "field", owner=symbol
            )
    for name, (type_name, constant) in manifest.constants.items():
        api.values[name] = ConstantSymbol(name, api.types[type_name], constant, "api")
    for name, type_name in manifest.variables.items():
        api.values[name] = VariableSymbol(name, api.types[type_name], "predefined", const=True)
    for name, type_name in manifest.macros.items():
        if name.startswith("__MQL"):
            api.values[name] = ConstantSymbol(name, api.types[type_name], None, "api")
    convert = functools.partial(_function, api)
    for name, overloads in manifest.functions.items():
        api.functions[name] = [convert(overload) for overload in overloads]
    return api


def _function(api: Api, signature: Signature) -> FunctionSymbol:
    returns = signature.returns.removesuffix(" *")
    return FunctionSymbol(
        signature.name,
        ANY if returns in {"any", "number"} else api.types[returns],
        [_parameter(api, parameter) for parameter in signature.parameters],
        "api",
        variadic=signature.variadic,
        signature=signature,
    )


def _parameter(api: Api, parameter: ApiParameter) -> ParameterSymbol:
    of = ANY if parameter.type in {"any", "number"} else api.types[parameter.type]
    return ParameterSymbol(
        parameter.name,
        array_of(of) if parameter.array else of,
        const=parameter.const,
        reference=parameter.reference,
        default=parameter.default,
        any_number=parameter.type == "number",
        any_pointer=parameter.pointer,
    )
