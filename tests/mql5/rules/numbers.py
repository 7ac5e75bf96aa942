"""Numbers of enums that MetaQuotes publishes nowhere: names are all that may be relied on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tests.mql5 import tree, types
from tests.mql5.findings import Finding
from tests.mql5.rules.walking import Program, api_name, walk

__all__ = ["RULES"]

#: Combined, compared or returned as numbers, as the reference shows it.
_NUMBERS_BY_DESIGN: Final = frozenset(
    {"ENUM_INIT_RETCODE", "ENUM_DATABASE_OPEN_FLAGS", "ENUM_CHART_EVENT"}
)
_COMPARISONS: Final = frozenset({"==", "!=", "<", ">", "<=", ">="})
_SHOWING: Final = frozenset(
    {"Print", "PrintFormat", "StringFormat", "Alert", "Comment", "IntegerToString", "FileWrite"}
)


def unpublished(program: Program) -> Iterator[Finding]:
    """
    R601: ``(int)trans.type`` on the wire, ``if(trans.type==6)``.
    """
    secret = {
        name
        for name, members in program.manifest.enums.items()
        if name not in _NUMBERS_BY_DESIGN
        and any(member in program.manifest.unpublished for member in members)
    }

    def is_secret(node: Any) -> bool:
        of = getattr(node, "type", None)
        if not isinstance(of, types.EnumType) or of.name not in secret:
            return False
        if isinstance(node, tree.Name) and node.name in program.manifest.enums[of.name]:
            # Of some enums most numbers are published.
            return node.name in program.manifest.unpublished
        return True

    for node in walk(program.unit):
        for value in _as_numbers(node):
            if is_secret(value):
                message = f"{value.type} as a number: MetaQuotes publishes only the names"
                yield Finding(value.place, "R601", message)


def _as_numbers(node: tree.Node) -> Iterator[tree.Expression]:
    # The parts of a node that are used as numbers.
    match node:
        case tree.Cast() if not isinstance(node.type, types.EnumType):
            yield node.operand
        case tree.Binary(op="+") if types.STRING in {node.left.type, node.right.type}:
            yield from (node.left, node.right)
        case tree.Binary() if node.op in _COMPARISONS:
            for one, other in ((node.left, node.right), (node.right, node.left)):
                if not isinstance(other.type, types.EnumType):
                    yield one
        case tree.Binary() if node.op not in {"&&", "||"}:
            yield from (node.left, node.right)
        case tree.Assign() if not isinstance(node.target.type, types.EnumType):
            yield node.value
        case tree.Declarator() if isinstance(node.initial, tree.Expression):
            if node.symbol is not None and not isinstance(node.symbol.type, types.EnumType):
                yield node.initial
        case tree.Index():
            yield node.index
        case tree.Call():
            yield from _arguments(node)


def _arguments(call: tree.Call) -> Iterator[tree.Expression]:
    name = api_name(call)
    if name is not None:
        # Other functions of the API take an enum as int and know what it means.
        if name in _SHOWING:
            yield from call.arguments
        return
    if call.target is not None:
        for parameter, argument in zip(call.target.parameters, call.arguments, strict=False):
            if not isinstance(parameter.type, types.EnumType):
                yield argument


RULES: Final = (unpublished,)
