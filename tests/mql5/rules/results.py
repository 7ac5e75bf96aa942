"""Results that nobody looks at, handles taken for truth values, stale errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from tests.mql5 import tree
from tests.mql5.findings import Finding
from tests.mql5.rules.walking import Program, api_name, constant_of, in_order, symbol_of, walk

__all__ = ["RULES"]

#: Functions that give a handle. They start at any number, 0 as well.
_GIVE_HANDLES: Final = frozenset(
    {"SocketCreate", "FileOpen", "FileFindFirst", "DatabaseOpen", "DatabasePrepare"}
)
_ORDERINGS: Final = frozenset({"<", ">", "<=", ">=", "==", "!="})


def ignored(program: Program) -> Iterator[Finding]:
    """
    R101: ``SocketSend(...);`` as a statement of its own.
    """
    for node in walk(program.unit):
        calls: list[tree.Node] = []
        if isinstance(node, tree.ExpressionStatement):
            calls = [node.expression]
        elif isinstance(node, tree.For):
            calls = list(node.step)
        for call in calls:
            name = _may_fail(program, call)
            if name:
                yield Finding(call.place, "R101", f"the result of {name} is not looked at")


def kept(program: Program) -> Iterator[Finding]:
    """
    R102: ``bool done=FileDelete(...);`` and ``done`` is never read.
    """
    for function in program.functions:
        reads: Counter[int] = Counter()
        given: dict[int, tuple[Any, str, tree.Place]] = {}
        targets: set[int] = set()
        for node in walk(function):
            if isinstance(node, tree.Declarator) and isinstance(node.initial, tree.Call):
                _give(program, given, node.symbol, node.initial)
            elif isinstance(node, tree.Assign) and node.op == "=":
                targets.add(id(node.target))
                _give(program, given, symbol_of(node.target), node.value)
            elif isinstance(node, tree.Name) and id(node) not in targets:
                reads[id(node.symbol)] += 1
        for symbol, name, place in given.values():
            if not reads[id(symbol)] and symbol.kind == "local":
                message = f"{symbol.name}, the result of {name}, is never looked at"
                yield Finding(place, "R102", message)


def _give(program: Program, given: dict[int, Any], symbol: Any, value: tree.Node) -> None:
    name = _may_fail(program, value)
    if name and symbol is not None:
        given[id(symbol)] = (symbol, name, value.place)


def _may_fail(program: Program, call: tree.Node) -> str | None:
    name = api_name(call)
    if name and program.manifest.functions[name][0].may_fail:
        return name
    return None


def handles(program: Program) -> Iterator[Finding]:
    """
    R103: ``if(socket)``, ``handle>0``.
    """
    known = _handles(program)

    def is_handle(node: tree.Node) -> bool:
        return id(symbol_of(node)) in known or api_name(node) in _GIVE_HANDLES

    for node in walk(program.unit):
        tested: list[tree.Node | None] = []
        match node:
            case tree.If() | tree.While() | tree.DoWhile() | tree.For() | tree.Ternary():
                tested = [node.condition]
            case tree.Unary(op="!"):
                tested = [node.operand]
            case tree.Binary(op="&&" | "||"):
                tested = [node.left, node.right]
            case tree.Binary() if node.op in _ORDERINGS:
                for one, other in ((node.left, node.right), (node.right, node.left)):
                    if is_handle(one) and not _fits_handle(node.op, other):
                        yield Finding(node.place, "R103", "compare a handle with INVALID_HANDLE")
        for operand in tested:
            if operand is not None and is_handle(operand):
                message = "a handle is no truth value: compare it with INVALID_HANDLE"
                yield Finding(operand.place, "R103", message)


def _fits_handle(operator: str, other: tree.Node) -> bool:
    # Equality with another handle is a question too; with a number it is a mistake.
    if operator not in {"==", "!="}:
        return False
    value = constant_of(other)
    return value is None or (isinstance(other, tree.Name) and other.name == "INVALID_HANDLE")


def _handles(program: Program) -> set[int]:
    found: set[int] = set()
    for node in walk(program.unit):
        if isinstance(node, tree.Declarator) and api_name(_call(node.initial)) in _GIVE_HANDLES:
            found.add(id(node.symbol))
        elif isinstance(node, tree.Assign) and api_name(node.value) in _GIVE_HANDLES:
            found.add(id(symbol_of(node.target)))
    found.discard(id(None))
    return found


def _call(initial: tree.Node | None) -> tree.Node | None:
    return initial if isinstance(initial, tree.Call) else None


def stale_errors(program: Program) -> Iterator[Finding]:
    """
    R104: an error is read that an earlier call may have left.

    ``_LastError`` is sticky, so it says something only behind ``ResetLastError();`` and a call.
    """
    for function in program.functions:
        reset = called = False
        for node in in_order(function):
            name = api_name(node)
            if name == "ResetLastError":
                reset, called = True, False
            elif name == "GetLastError" or (
                isinstance(node, tree.Name) and node.name == "_LastError"
            ):
                if not reset:
                    message = "no ResetLastError() before this in the function"
                    yield Finding(node.place, "R104", message)
                elif not called:
                    message = "nothing is called between ResetLastError() and this"
                    yield Finding(node.place, "R104", message)
            elif isinstance(node, tree.Call):
                called = called or name is None or _sets_error(program, name)


def _sets_error(program: Program, name: str) -> bool:
    return program.manifest.functions[name][0].sets_last_error


RULES: Final = (ignored, kept, handles, stale_errors)
