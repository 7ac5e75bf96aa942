"""How rules get around in a tree."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.mql5 import symbols, tree
from tests.mql5.lexer import Token
from tests.mql5.manifest import Manifest
from tests.mql5.types import ArrayType, Type

__all__ = [
    "Program",
    "api_name",
    "calls_in",
    "children",
    "constant_of",
    "element_of",
    "functions_of",
    "in_order",
    "root_of",
    "symbol_of",
    "walk",
]


class Program:
    """
    One unit with what is known of it.

    ``kind``: expert, script, service, indicator; None for a header on its own.
    """

    def __init__(
        self, unit: tree.Unit, tokens_by_file: Mapping[str, Sequence[Token]], manifest: Manifest
    ) -> None:
        self.unit = unit
        self.tokens_by_file = tokens_by_file
        self.manifest = manifest
        self.functions = list(functions_of(unit))
        self.kind = _kind(unit)


def _kind(unit: tree.Unit) -> str | None:
    if not unit.files[0].endswith(".mq5"):
        return None
    properties = {item.name for item in unit.items if isinstance(item, tree.Property)}
    names = {item.name for item in unit.items if isinstance(item, tree.Function)}
    if "service" in properties:
        return "service"
    if "OnCalculate" in names or any(name.startswith("indicator_") for name in properties):
        return "indicator"
    if "OnStart" in names:
        return "script"
    return "expert"


def functions_of(unit: tree.Unit) -> Iterator[tree.Function]:
    """
    Yield every function, method, constructor and destructor that has a body.
    """
    for item in unit.items:
        if isinstance(item, tree.Function):
            if item.body is not None:
                yield item
        elif isinstance(item, tree.Class):
            for member in item.members:
                if isinstance(member.declaration, tree.Function) and member.declaration.body:
                    yield member.declaration


_LEAVES = frozenset({"str", "str | None", "bool", "Any", "LiteralKind", "Place", "frozenset[str]"})


@functools.cache
def _fields(of: type) -> tuple[str, ...]:
    # What the parser sets; what the analysis adds would lead out of the tree.
    fields = dataclasses.fields(of)
    return tuple(item.name for item in fields if item.init and item.type not in _LEAVES)


def children(node: tree.Node) -> list[tree.Node]:
    """
    Return the nodes right below, in the order of the source.
    """
    found: list[tree.Node] = []
    for name in _fields(type(node)):  # type: ignore[arg-type]  # a class is hashable
        value = getattr(node, name)
        if isinstance(value, tree.Node):
            found.append(value)
        elif isinstance(value, list):
            _gather(value, found)
    return found


def _gather(values: list[Any] | tuple[Any, ...], found: list[tree.Node]) -> None:
    for value in values:
        if isinstance(value, tree.Node):
            found.append(value)
        elif isinstance(value, list | tuple) and not isinstance(value, tree.Place):
            _gather(value, found)


def walk(node: tree.Node) -> Iterator[tree.Node]:
    """
    Yield a node and all below it, a node before what is in it.
    """
    left = [node]
    while left:
        current = left.pop()
        yield current
        below = children(current)
        below.reverse()
        left += below


def in_order(node: tree.Node) -> Iterator[tree.Node]:
    """
    Yield all below a node and then itself: arguments before their call, values before targets.
    """
    if isinstance(node, tree.Assign):
        yield from in_order(node.value)
        yield from in_order(node.target)
    else:
        for child in children(node):
            yield from in_order(child)
    yield node


def calls_in(node: tree.Node) -> Iterator[tree.Call]:
    return (item for item in walk(node) if isinstance(item, tree.Call))


def api_name(call: tree.Node | None) -> str | None:
    """
    The name of the API's function that a call calls, None for another.
    """
    if isinstance(call, tree.Call) and call.target is not None and call.target.kind == "api":
        return str(call.target.name)
    return None


def symbol_of(node: tree.Node | None) -> Any:
    """
    The variable that an expression is, None for anything else.
    """
    if isinstance(node, tree.Name | tree.Member):
        found = node.symbol
        return found if isinstance(found, symbols.VariableSymbol) else None
    return None


def root_of(node: tree.Node) -> tree.Node:
    """
    The ``request`` of ``request.items[2].price``.
    """
    while isinstance(node, tree.Member | tree.Index):
        node = node.object if isinstance(node, tree.Member) else node.array
    return node


def constant_of(node: tree.Node | None) -> Any:
    """
    The value of a literal or named constant, None for anything else.
    """
    if isinstance(node, tree.Literal):
        return node.value
    if isinstance(node, tree.Name) and isinstance(node.symbol, symbols.ConstantSymbol):
        return node.symbol.value
    if isinstance(node, tree.Unary) and node.op == "-":
        value = constant_of(node.operand)
        return -value if isinstance(value, int | float) else None
    if isinstance(node, tree.Cast):
        return constant_of(node.operand)
    return None


def element_of(of: Type) -> Type:
    """
    The type of an array's cells, or the type itself.
    """
    return of.element if isinstance(of, ArrayType) else of
