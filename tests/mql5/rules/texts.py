"""Code pages and formats."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tests.mql5 import tree, types
from tests.mql5.findings import Finding
from tests.mql5.rules.walking import Program, api_name, calls_in, constant_of

__all__ = ["RULES"]

_CODEPAGE_AT: Final = {"CharArrayToString": 3, "StringToCharArray": 4, "FileOpen": 3}
_CP_UTF8: Final = 65001
_FORMATTERS: Final = frozenset({"PrintFormat", "StringFormat"})
_SPECIFICATION: Final = re.compile(
    r"%(?P<flags>[-+ 0#]*)(?P<width>\*|\d+)?(?:\.(?P<precision>\*|\d+)?)?"
    r"(?P<size>I64|I32|ll|l|hh|h)?(?P<kind>.)?",
    re.DOTALL,
)
_WIDE: Final = frozenset({"I64", "ll"})


def code_pages(program: Program) -> Iterator[Finding]:
    """
    R201: without a code page, or with CP_ACP, bytes mean something else on each computer.
    """
    for call in calls_in(program.unit):
        name = api_name(call)
        if name not in _CODEPAGE_AT:
            continue
        at = _CODEPAGE_AT[name]
        if name == "FileOpen" and _is_binary(call):
            continue
        if len(call.arguments) <= at:
            yield Finding(call.place, "R201", f"{name} without CP_UTF8 takes the code page CP_ACP")
        elif constant_of(call.arguments[at]) != _CP_UTF8:
            yield Finding(call.place, "R201", f"{name} with another code page than CP_UTF8")


def _is_binary(call: tree.Call) -> bool:
    # Text is only converted in files that are not opened with FILE_BIN.
    return any(
        isinstance(node, tree.Name) and node.name == "FILE_BIN"
        for argument in call.arguments[1:2]
        for node in _flags(argument)
    )


def _flags(node: tree.Node) -> Iterator[tree.Node]:
    if isinstance(node, tree.Binary) and node.op == "|":
        yield from _flags(node.left)
        yield from _flags(node.right)
    else:
        yield node


def formats(program: Program) -> Iterator[Finding]:
    """
    R202, R203, R204: MQL5 leaves open what a wrong format does.
    """
    for call in calls_in(program.unit):
        name = api_name(call)
        if name not in _FORMATTERS or not call.arguments:
            continue
        format_text = constant_of(call.arguments[0])
        if not isinstance(format_text, str):
            yield Finding(call.place, "R204", f"the format of {name} is no constant text")
            continue
        yield from _check(call, name, format_text)


def _check(call: tree.Call, name: str, format_text: str) -> Iterator[Finding]:
    wanted: list[tuple[str, str, str]] = []  # size, kind, text
    for match in _SPECIFICATION.finditer(format_text):
        if match["kind"] == "%" and match.group() == "%%":
            continue
        wanted += [("", "*", "*")] * match.group().count("*")
        wanted.append((match["size"] or "", match["kind"] or "", match.group()))
    values = call.arguments[1:]
    if len(wanted) != len(values):
        message = f"{name}: {len(wanted)} arguments in the format, {len(values)} behind it"
        yield Finding(call.place, "R202", message)
        return
    for (size, kind, text), value in zip(wanted, values, strict=True):
        problem = _mismatch(size, kind, value.type)
        if problem is not None:
            yield Finding(value.place, "R203", f"{text} for a value of type {value.type}{problem}")


def _mismatch(size: str, kind: str, of: types.Type) -> str | None:
    # What is wrong, as an addition to the sentence; None if nothing is.
    if of is types.ERROR:
        return None
    if kind == "s":
        return None if of is types.STRING else ""
    if kind in "eEfFgGaA" and kind:
        return None if of in {types.DOUBLE, types.FLOAT} else ""
    if kind in "cC" and kind:
        return None if _bits(of) in {8, 16} else ""
    if kind == "*":
        return None if of is types.INT or isinstance(of, types.EnumType) else ""
    if kind not in {"d", "i", "u", "x", "X", "o"}:
        return ": there is no such specification"
    bits = _bits(of)
    if bits is None:
        return ""
    if (bits == 64) != (size in _WIDE):
        return ": 64 bits need I64" if bits == 64 else ": I64 needs 64 bits"
    if bits >= 32 and kind in {"d", "i", "u"} and _signed(of) == (kind == "u"):
        return ": %u is for uint and ulong, %d for int and long"
    return None


def _bits(of: types.Type) -> int | None:
    if isinstance(of, types.EnumType):
        return 32
    if isinstance(of, types.Scalar) and of.bits and not of.real:
        return of.bits
    return None


def _signed(of: types.Type) -> bool:
    return isinstance(of, types.EnumType) or (isinstance(of, types.Scalar) and of.signed)


RULES: Final = (code_pages, formats)
