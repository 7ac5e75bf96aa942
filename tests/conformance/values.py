"""Values of conformance scripts: what stands behind ``field=``, read, made and compared."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgpack

from bridge.wire.fields import (
    BinField,
    Field,
    ListField,
    MapField,
    NumberField,
    OptionalField,
    TextField,
    TupleField,
)

__all__ = [
    "Assignment",
    "Clock",
    "Mismatch",
    "SyntaxProblem",
    "Value",
    "blank",
    "make",
    "match",
    "names_in",
    "read_words",
]

#: What may stand between a name and its value; only ``=`` where something is sent.
_OPERATORS: Final = ("!=", ">=", "<=", "=", ">", "<", "~")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BARE: Final = re.compile(r"[^\s{}\[\]\"]+")
_INTEGER: Final = re.compile(r"-?(?:0x[0-9a-fA-F_]+|[0-9][0-9_]*)")
_FLOAT: Final = re.compile(r"-?[0-9]+\.[0-9]+(?:e-?[0-9]+)?|-?[0-9]+e-?[0-9]+")
_VARIABLE: Final = re.compile(r"\$([a-z][a-z0-9_]*)([+-][0-9]+)?")
_TIME: Final = re.compile(r"(now|utc|server)(?:([+-][0-9]+(?:\.[0-9]+)?)(us|ms|s|min|h))?")
_HEX: Final = re.compile(r"hex:((?:[0-9a-fA-F]{2})*)(?:\*([0-9]+))?")
_UNIT_US: Final = {"us": 1, "ms": 1_000, "s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000}
_TOLERANCE: Final = 1e-9


class SyntaxProblem(ValueError):
    """
    The text is not of the language; whoever reads the file adds file and line.
    """


class Mismatch(AssertionError):
    """
    What came is not what was expected.
    """


@dataclass(frozen=True, slots=True)
class Value:
    """
    ``kind`` is one of number, text, word, variable, time, bytes, map, list, any.

    ``word``: an enumeration's name, ``nil``, ``true``, ``false``, or text without quotes.
    """

    kind: str
    content: Any
    text: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """
    ``name``, an operator, a value.
    """

    name: str
    operator: str
    value: Value


@dataclass(frozen=True, slots=True)
class Clock:
    """
    The three clocks of a script at this moment: microseconds, and twice milliseconds.
    """

    now_us: int
    utc_msc: int
    server_msc: int


# --- reading ----------------------------------------------------------------------------------


def read_words(text: str) -> list[str | Assignment]:
    """
    Return the words and assignments of a line.

    Raises:
        SyntaxProblem: something is neither.
    """
    found, at = _sequence(text, 0, "")
    if at != len(text):
        raise SyntaxProblem(f"{text[at:]!r} is not understood")
    return found


def _sequence(text: str, at: int, end: str) -> tuple[list[Any], int]:
    # Words and assignments up to ``end``.
    found: list[Any] = []
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        if at >= len(text):
            if end:
                raise SyntaxProblem(f"a {end!r} is missing")
            return found, at
        if end and text[at] == end:
            return found, at + 1
        name = _NAME.match(text, at)
        operator = _operator(text, name.end()) if name else ""
        if name and operator:
            value, at = _value(text, name.end() + len(operator))
            found.append(Assignment(name[0], operator, value))
        else:
            word = _BARE.match(text, at)
            if word is None:
                raise SyntaxProblem(f"{text[at:]!r} is not understood")
            found.append(word[0])
            at = word.end()


def _operator(text: str, at: int) -> str:
    return next((one for one in _OPERATORS if text.startswith(one, at)), "")


def _value(text: str, at: int) -> tuple[Value, int]:
    begin = at
    if at >= len(text) or text[at].isspace():
        raise SyntaxProblem("a value is missing")
    if text[at] == '"':
        end = text.find('"', at + 1)
        if end < 0:
            raise SyntaxProblem("a text does not end")
        return Value("text", text[at + 1 : end], text[begin : end + 1]), end + 1
    if text[at] == "{":
        parts, at = _sequence(text, at + 1, "}")
        for part in parts:
            if isinstance(part, str):
                raise SyntaxProblem(f"{part!r} within braces: expected name=value")
        return Value("map", tuple(parts), text[begin:at]), at
    if text[at] == "[":
        items, at = _items(text, at + 1)
        return Value("list", items, text[begin:at]), at
    bare = _BARE.match(text, at)
    if bare is None:
        raise SyntaxProblem(f"{text[at:]!r} is no value")
    return _bare(bare[0]), bare.end()


def _items(text: str, at: int) -> tuple[tuple[Value, ...], int]:
    # The values of a list, up to its end.
    items: list[Value] = []
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        if at >= len(text):
            raise SyntaxProblem("a ']' is missing")
        if text[at] == "]":
            return tuple(items), at + 1
        item, at = _value(text, at)
        items.append(item)


def _bare(word: str) -> Value:
    if word == "*":
        return Value("any", None, word)
    if _FLOAT.fullmatch(word):
        return Value("number", float(word), word)
    if _INTEGER.fullmatch(word):
        return Value("number", int(word.replace("_", ""), 0), word)
    if found := _VARIABLE.fullmatch(word):
        return Value("variable", (found[1], int(found[2] or 0)), word)
    if found := _TIME.fullmatch(word):
        us = round(float(found[2]) * _UNIT_US[found[3]]) if found[2] else 0
        return Value("time", (found[1], us), word)
    if found := _HEX.fullmatch(word):
        return Value("bytes", bytes.fromhex(found[1]) * int(found[2] or 1), word)
    if word.startswith(("$", "hex:")):
        raise SyntaxProblem(f"{word!r} is no value")
    return Value("word", word, word)


def names_in(value: Value) -> set[str]:
    """
    Return the variables that a value uses.
    """
    if value.kind == "variable":
        return {value.content[0]}
    if value.kind == "map":
        return {name for part in value.content for name in names_in(part.value)}
    if value.kind == "list":
        return {name for item in value.content for name in names_in(item)}
    return set()


# --- making -----------------------------------------------------------------------------------

Named = Callable[[str, str], int | None]


def blank(field: Field) -> Any:
    """
    Return the value of a field that a script leaves out: nil, zero or empty.
    """
    match field:
        case OptionalField():
            return None
        case TupleField():
            return [blank(part) for _, part in field.fields]
        case ListField():
            return []
        case MapField():
            return {}
        case TextField():
            return ""
        case BinField():
            return bytes(field._size) if field._exact else b""
        case NumberField():
            return 0.0 if field._high is None else 0
    return False


def make(
    value: Value,
    field: Field | None,
    name: str,
    names: Named,
    variables: dict[str, Any],
    clock: Clock,
) -> Any:
    """
    Return what is put on the wire for a value.

    ``names`` finds the number of an enumeration's name in a field; ``field`` is ``None``
    within maps, where every name is free.

    Raises:
        SyntaxProblem: the value cannot be made.
    """
    match value.kind:
        case "number" | "text" | "bytes":
            return value.content
        case "variable":
            known, plus = value.content
            if known not in variables:
                raise SyntaxProblem(f"${known} has no value yet")
            return variables[known] + plus if plus else variables[known]
        case "time":
            return _moment(value.content, clock)
        case "any":
            raise SyntaxProblem("* stands for anything that is received: it cannot be sent")
        case "list":
            inner = field.field if isinstance(field, ListField) else None
            return [make(one, inner, name, names, variables, clock) for one in value.content]
        case "map":
            return _make_map(value, field, names, variables, clock)
    return _word(value.content, field, name, names)


def _make_map(
    value: Value,
    field: Field | None,
    names: Named,
    variables: dict[str, Any],
    clock: Clock,
) -> Any:
    inner = field.field if isinstance(field, OptionalField) else field
    if isinstance(inner, TupleField):
        parts = dict(inner.fields)
        made = {part: blank(kind) for part, kind in inner.fields}
        for one in value.content:
            if one.name not in parts:
                raise SyntaxProblem(f"{one.name}: there is no such field")
            made[one.name] = make(one.value, parts[one.name], one.name, names, variables, clock)
        return list(made.values())
    plain = {
        one.name: make(one.value, None, one.name, names, variables, clock) for one in value.content
    }
    return msgpack.packb(plain) if isinstance(inner, BinField) else plain


def _word(word: str, field: Field | None, name: str, names: Named) -> Any:
    if word in {"nil", "true", "false"}:
        return {"nil": None, "true": True, "false": False}[word]
    if word == "NaN":
        return math.nan
    inner = field.field if isinstance(field, OptionalField) else field
    if field is not None and not isinstance(inner, TextField):
        number = names(name, word)
        if number is None:
            raise SyntaxProblem(f"{name}: {word!r} is not known")
        return number
    return word


def _moment(content: tuple[str, int], clock: Clock) -> int:
    which, us = content
    if which == "now":
        return clock.now_us + us
    return (clock.utc_msc if which == "utc" else clock.server_msc) + us // 1000


# --- comparing --------------------------------------------------------------------------------


def match(
    assignment: Assignment,
    actual: Any,
    field: Field | None,
    names: Named,
    variables: dict[str, Any],
    clock: Clock,
) -> None:
    """
    Compare one field; a variable without a value takes what came.

    Raises:
        Mismatch: it differs.
        SyntaxProblem: the value has no meaning here.
    """
    name, operator, value = assignment.name, assignment.operator, assignment.value
    if value.kind == "any":
        return
    if value.kind == "variable" and value.content[0] not in variables and operator == "=":
        variables[value.content[0]] = actual
        return
    if value.kind == "map" and operator == "=":
        _match_map(assignment, actual, field, names, variables, clock)
        return
    if value.kind == "list" and operator == "=":
        inner = field.field if isinstance(field, ListField) else None
        if not isinstance(actual, list | tuple) or len(actual) != len(value.content):
            raise Mismatch(f"{name}: expected {value.text}, got {actual!r}")
        for item, one in zip(value.content, actual, strict=True):
            match(Assignment(name, "=", item), one, inner, names, variables, clock)
        return
    expected = make(value, field, name, names, variables, clock)
    if not _holds(operator, actual, expected):
        raise Mismatch(f"{name}: expected {operator}{value.text}, got {actual!r}")


def _match_map(
    assignment: Assignment,
    actual: Any,
    field: Field | None,
    names: Named,
    variables: dict[str, Any],
    clock: Clock,
) -> None:
    inner = field.field if isinstance(field, OptionalField) else field
    kinds: dict[str, Field] = {}
    if isinstance(inner, BinField) and isinstance(actual, bytes):
        with contextlib.suppress(ValueError):
            actual = msgpack.unpackb(actual)
    if isinstance(inner, TupleField) and isinstance(actual, list | tuple):
        kinds = dict(inner.fields)
        actual = dict(zip(kinds, actual, strict=False))
    if not isinstance(actual, dict):
        raise Mismatch(f"{assignment.name}: expected {assignment.value.text}, got {actual!r}")
    for part in assignment.value.content:
        if part.name not in actual:
            raise Mismatch(f"{assignment.name}: no {part.name} in {actual!r}")
        try:
            match(part, actual[part.name], kinds.get(part.name), names, variables, clock)
        except Mismatch as problem:
            raise Mismatch(f"{assignment.name}.{problem}") from None


def _holds(operator: str, actual: Any, expected: Any) -> bool:
    match operator:
        case "=":
            return _same(actual, expected)
        case "!=":
            return not _same(actual, expected)
        case "~":
            if isinstance(actual, int) and isinstance(expected, int):
                return actual & expected == expected
            return isinstance(actual, str | list | tuple) and expected in actual
    if isinstance(actual, str | bytes | dict | list) or actual is None:
        return False
    compare = {">": actual > expected, "<": actual < expected}
    equal = _same(actual, expected)
    return compare[operator] if operator in compare else compare[operator[0]] or equal


def _same(actual: Any, expected: Any) -> bool:
    if isinstance(actual, bool) or isinstance(expected, bool):
        return actual is expected
    if isinstance(actual, float) or isinstance(expected, float):
        if isinstance(actual, int | float) and isinstance(expected, int | float):
            return math.isclose(actual, expected, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
        return False
    if isinstance(actual, tuple):
        actual = list(actual)
    return type(actual) is type(expected) and actual == expected
