"""Memory that has no value yet: locals, structs, fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tests.mql5 import symbols, tree, types
from tests.mql5.findings import Finding
from tests.mql5.rules.assignment import unassigned_reads
from tests.mql5.rules.walking import Program, root_of, walk

__all__ = ["RULES"]


def locals_read(program: Program) -> Iterator[Finding]:
    """
    R501: on some path to a use of a variable nothing has given it a value.
    """
    for function in program.functions:
        for name in unassigned_reads(function):
            yield Finding(name.place, "R501", f"{name.name} may have no value here")


def structs(program: Program) -> Iterator[Finding]:
    """
    R502: ``MqlTick tick;`` in a function begins with what was there before.
    """
    for function in program.functions:
        for node in walk(function):
            if isinstance(node, tree.Declaration) and node.storage != "static":
                for declarator in node.declarators:
                    if _is_bare_struct(declarator):
                        message = f"{declarator.name} needs ={{}}"
                        yield Finding(declarator.place, "R502", message)


def _is_bare_struct(declarator: tree.Declarator) -> bool:
    of = declarator.symbol.type if declarator.symbol is not None else None
    if not isinstance(of, types.ClassType) or declarator.initial or declarator.arguments:
        return False
    symbol = of.symbol
    return symbol.kind != "class" and not symbol.constructors and _has_plain_field(symbol)


def _has_plain_field(symbol: symbols.ClassSymbol) -> bool:
    # Strings and dynamic arrays begin empty.
    current: symbols.ClassSymbol | None = symbol
    while current is not None:
        for field in current.fields.values():
            of = field.type
            if isinstance(of, types.ArrayType) and of.size is None:
                continue
            if of is not types.STRING and field.kind == "field":
                return True
        current = current.base
    return False


def fields(program: Program) -> Iterator[Finding]:
    """
    R503: numbers, enums and pointers of a class, which only a constructor can begin.
    """
    bodies = {id(function.symbol): function for function in program.functions}
    for item in program.unit.items:
        if not isinstance(item, tree.Class) or item.symbol is None:
            continue
        # A struct without a constructor is begun with ={}: R502.
        if item.kind != "class" and not item.symbol.constructors:
            continue
        plain = {
            field.name: field
            for field in item.symbol.fields.values()
            if field.kind == "field" and _is_plain(field.type)
        }
        if not plain:
            continue
        constructors = [bodies.get(id(symbol)) for symbol in item.symbol.constructors]
        if not constructors:
            message = f"{item.name} has no constructor that gives {', '.join(plain)} a value"
            yield Finding(item.place, "R503", message)
        for constructor in constructors:
            if constructor is not None:
                missing = plain.keys() - _given(constructor, bodies, set())
                if missing:
                    names = ", ".join(sorted(missing))
                    message = f"the constructor leaves {names} without a value"
                    yield Finding(constructor.place, "R503", message)


def _is_plain(of: types.Type) -> bool:
    if isinstance(of, types.EnumType | types.PointerType):
        return True
    return isinstance(of, types.Scalar) and of is not types.STRING


def _given(function: tree.Function, bodies: dict[int, tree.Function], seen: set[int]) -> set[str]:
    # Fields that a constructor sets, also through methods of its own object.
    seen.add(id(function))
    found = {initialiser.name for initialiser in function.initialisers}
    for node in walk(function):
        if isinstance(node, tree.Assign) and node.op == "=":
            found.add(_own_field(node.target))
        elif isinstance(node, tree.Call) and node.target is not None:
            for parameter, argument in zip(node.target.parameters, node.arguments, strict=False):
                if parameter.reference and not parameter.const:
                    found.add(_own_field(argument))
            called = bodies.get(id(node.target))
            own = isinstance(node.callee, tree.Name) or isinstance(
                getattr(node.callee, "object", None), tree.This
            )
            if called is not None and own and id(called) not in seen:
                found |= _given(called, bodies, seen)
    found.discard("")
    return found


def _own_field(target: tree.Node) -> str:
    if isinstance(target, tree.Member) and isinstance(root_of(target), tree.This):
        return target.name
    symbol: Any = getattr(target, "symbol", None)
    if isinstance(target, tree.Name) and isinstance(symbol, symbols.VariableSymbol):
        return target.name if symbol.kind == "field" else ""
    return ""


RULES: Final = (locals_read, structs, fields)
