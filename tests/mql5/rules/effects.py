"""Side effects where MQL5 has an order of its own.

Arguments are evaluated from right to left, operands in no order that is documented. So a call
with several arguments has none with a side effect, unless everything else in it is constant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from tests.mql5 import tree
from tests.mql5.findings import Finding
from tests.mql5.rules.walking import (
    Program,
    api_name,
    constant_of,
    root_of,
    symbol_of,
    walk,
)

__all__ = ["RULES"]

_STEPS: Final = frozenset({"++", "--"})
_SEQUENCED: Final = frozenset({"&&", "||"})
# What these do stays in the world outside. The rest of the API changes its arguments at most, or
# only writes to the journal, where the order of two lines matters to nobody.
_ACTING: Final = re.compile(
    r"Socket|File|Folder|Database|GlobalVariable|Order|Position|History|Event|MarketBook|Sleep"
    r"|SymbolSelect|ChartSet|ChartRedraw|ExpertRemove|ResetLastError|SetUserError|MathS?[Rr]and"
)
_READING: Final = re.compile(
    r"SocketIs(Connected|Writable)|FileIs\w+|FileSize|FileTell|FileGetInteger"
    r"|Database(TableExists|Column(sCount|Type|Size))|GlobalVariable(Check|Get|Time|Name)"
    r"|GlobalVariablesTotal|OrderCalc\w+|(Order|Position|HistoryOrder|HistoryDeal)s?"
    r"(Get(Double|Integer|String)|Total)"
)


class _Effects:
    # Which functions change more than their own locals: found by going round until nothing new.

    def __init__(self, program: Program) -> None:
        self._changing: set[int] = set()
        growing = True
        while growing:
            growing = False
            for function in program.functions:
                symbol = function.symbol
                known = symbol is None or id(symbol) in self._changing
                if not known and self._changes(function):
                    self._changing.add(id(symbol))
                    growing = True

    def _changes(self, function: tree.Function) -> bool:
        return any(self._changes_outside(node) for node in walk(function))

    def _changes_outside(self, node: tree.Node) -> bool:
        if isinstance(node, tree.Assign):
            return not _is_own(node.target)
        if isinstance(node, tree.Unary) and node.op in _STEPS:
            return not _is_own(node.operand)
        if isinstance(node, tree.Delete):
            return True
        if isinstance(node, tree.Call):
            return self._call(node, outside=True)
        return False

    def of(self, node: tree.Node) -> tree.Node | None:
        """
        The first part of an expression that changes something, None if nothing does.
        """
        for part in walk(node):
            if isinstance(part, tree.Assign | tree.New):
                return part
            if isinstance(part, tree.Unary) and part.op in _STEPS:
                return part
            if isinstance(part, tree.Call) and self._call(part, outside=False):
                return part
        return None

    def _call(self, call: tree.Call, *, outside: bool) -> bool:
        # ``outside``: what it changes of the caller's own locals does not count.
        target = call.target
        if target is None:
            return True
        for parameter, argument in zip(target.parameters, call.arguments, strict=False):
            changed = parameter.reference and not parameter.const
            if changed and not (outside and _is_own(argument)):
                return True
        name = api_name(call)
        if name is not None:
            return bool(_ACTING.match(name)) and not _READING.fullmatch(name)
        if target.virtual or target.pure:
            # Any override may be meant.
            return not target.const
        return id(target) in self._changing


def _is_own(target: tree.Node) -> bool:
    root = root_of(target)
    symbol: Any = symbol_of(root)
    if symbol is None:
        return False
    return symbol.kind == "local" or (symbol.kind == "parameter" and not symbol.reference)


def arguments(program: Program) -> Iterator[Finding]:
    """
    R301: ``Pack(Next(), Next())`` packs the second value first.
    """
    effects = _Effects(program)
    for node in walk(program.unit):
        if not isinstance(node, tree.Call | tree.New | tree.Declarator):
            continue
        values = node.arguments or []
        changing = [part for part in map(effects.of, values) if part is not None]
        varying = [value for value in values if constant_of(value) is None]
        if changing and len(varying) > 1:
            message = "a side effect beside another argument: take it out of the call"
            yield Finding(changing[0].place, "R301", message)


def operands(program: Program) -> Iterator[Finding]:
    """
    R302: ``Next()<<8|Next()``.
    """
    effects = _Effects(program)
    for node in walk(program.unit):
        if isinstance(node, tree.Binary) and node.op not in _SEQUENCED:
            first, second = effects.of(node.left), effects.of(node.right)
            if first is not None and second is not None:
                message = "two side effects in one expression: give them lines of their own"
                yield Finding(second.place, "R302", message)


RULES: Final = (arguments, operands)
