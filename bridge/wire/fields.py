"""Field kinds of wire messages: one check, both when packing and when unpacking.

A message body is a msgpack array of its fields in order. Elements behind the last
known field are ignored, so that a later version may append; a missing one is an error.
"""

from __future__ import annotations

import math
from typing import Any, Final, Protocol

__all__ = [
    "BOOL",
    "F64",
    "I16",
    "I32",
    "I64",
    "U8",
    "U16",
    "U32",
    "U64",
    "BinField",
    "Field",
    "FieldError",
    "ListField",
    "MapField",
    "NumberField",
    "OptionalField",
    "TextField",
    "TupleField",
    "clip",
    "printable",
]

#: the text of a LOGOUT, cut to this, fits its field whatever the last character was
_CLIPPED: Final = 250


class FieldError(ValueError):
    """
    A value does not fit its field; the text begins with the field's name.
    """


class Field(Protocol):
    """
    One kind of field.
    """

    #: how the specification names it
    label: str

    def check(self, value: Any, name: str) -> Any:
        """
        Return the value as the program keeps it.

        Raises:
            FieldError: it is of the wrong type or out of range.
        """


class NumberField:
    """
    An integer between two bounds, or a finite double.
    """

    def __init__(self, label: str, low: int | None = None, high: int | None = None) -> None:
        self.label = label
        self._low = low
        self._high = high

    def check(self, value: Any, name: str) -> int | float:
        if self._low is None or self._high is None:
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise FieldError(f"{name}: expected a number, got {type(value).__name__}")
            try:
                number = float(value)
            except OverflowError:
                raise FieldError(f"{name}: {value} does not fit a double") from None
            if not math.isfinite(number):
                raise FieldError(f"{name}: {number} is not finite")
            return number
        if isinstance(value, bool) or not isinstance(value, int):
            raise FieldError(f"{name}: expected an integer, got {type(value).__name__}")
        if not self._low <= value <= self._high:
            raise FieldError(f"{name}: {value} is outside {self._low}..{self._high}")
        return int(value)


class _BoolField:
    label = "bool"

    def check(self, value: Any, name: str) -> bool:
        if not isinstance(value, bool):
            raise FieldError(f"{name}: expected true or false, got {type(value).__name__}")
        return value


class TextField:
    """
    UTF-8 text of at most ``max_bytes``, without NUL (MQL5 strings end there).
    """

    def __init__(self, max_bytes: int) -> None:
        self.label = f"str <= {max_bytes}"
        self._max = max_bytes

    def check(self, value: Any, name: str) -> str:
        if not isinstance(value, str):
            raise FieldError(f"{name}: expected text, got {type(value).__name__}")
        size = len(_encoded(value, name))
        if size > self._max:
            raise FieldError(f"{name}: {size} bytes are more than {self._max}")
        return value


class BinField:
    """
    Bytes, of exactly ``size`` or of at most ``size``.
    """

    def __init__(self, size: int, *, exact: bool = True) -> None:
        self.label = f"bin {'=' if exact else '<='} {size}"
        self._size = size
        self._exact = exact

    def check(self, value: Any, name: str) -> bytes:
        if not isinstance(value, bytes):
            raise FieldError(f"{name}: expected bytes, got {type(value).__name__}")
        if len(value) > self._size or (self._exact and len(value) != self._size):
            raise FieldError(f"{name}: {len(value)} bytes, expected {self.label[4:]}")
        return value


class OptionalField:
    """
    Another field, or nil.
    """

    def __init__(self, field: Field) -> None:
        self.label = f"{field.label} | nil"
        self.field: Final = field

    def check(self, value: Any, name: str) -> Any:
        return None if value is None else self.field.check(value, name)


class ListField:
    """
    An array of at most ``max_items`` values of one kind; kept as a tuple.
    """

    def __init__(self, field: Field, max_items: int) -> None:
        self.label = f"array <= {max_items} of {field.label}"
        self.field: Final = field
        self.max_items: Final = max_items

    def check(self, value: Any, name: str) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise FieldError(f"{name}: expected an array, got {type(value).__name__}")
        if len(value) > self.max_items:
            raise FieldError(f"{name}: {len(value)} elements are more than {self.max_items}")
        return tuple(self.field.check(item, f"{name}[{i}]") for i, item in enumerate(value))


class TupleField:
    """
    An array of named values of different kinds; kept as the named tuple ``make``.
    """

    def __init__(self, make: Any, fields: tuple[tuple[str, Field], ...]) -> None:
        self.label = "[" + ", ".join(f"{n} {f.label}" for n, f in fields) + "]"
        self.fields: Final = fields
        self._make = make

    def check(self, value: Any, name: str) -> Any:
        if not isinstance(value, list | tuple):
            raise FieldError(f"{name}: expected an array, got {type(value).__name__}")
        if len(value) < len(self.fields):
            raise FieldError(f"{name}: {len(value)} of {len(self.fields)} elements")
        return self._make(
            *(
                field.check(item, f"{name}.{part}")
                for (part, field), item in zip(self.fields, value, strict=False)
            )
        )


class MapField:
    """
    A map from text to plain values (nil, bool, number, text, bytes) and, ``max_depth`` deep
    in all, to maps and arrays of them; each with at most ``max_items``.
    """

    def __init__(self, max_items: int, max_depth: int = 4) -> None:
        self.label = f"map <= {max_items}, depth <= {max_depth}"
        self._max = max_items
        self._depth = max_depth

    def check(self, value: Any, name: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise FieldError(f"{name}: expected a map, got {type(value).__name__}")
        self._walk(value, name, self._depth)
        return value

    def _walk(self, value: Any, name: str, depth: int) -> None:
        if isinstance(value, dict | list | tuple):
            if depth == 0:
                raise FieldError(f"{name}: nested too deeply")
            if len(value) > self._max:
                raise FieldError(f"{name}: {len(value)} entries are more than {self._max}")
            if isinstance(value, dict):
                for key, item in value.items():
                    if not isinstance(key, str):
                        raise FieldError(f"{name}: keys must be text")
                    if not _is_sound(key):
                        _encoded(key, name)
                    if not _is_sound(item):
                        self._walk(item, f"{name}.{key}", depth - 1)
            else:
                for i, item in enumerate(value):
                    self._walk(item, f"{name}[{i}]", depth - 1)
        else:
            _check_plain(value, name)


def _is_sound(value: Any) -> bool:
    # Told at a glance of almost every plain value; whatever is not is looked at closely.
    kind = type(value)
    if kind is str:
        return bool(value.isascii()) and "\0" not in value
    if kind is float:
        return math.isfinite(value)
    if kind is int:
        return bool(-(2**63) <= value < 2**64)
    return kind is bool or value is None


def _check_plain(value: Any, name: str) -> None:
    if value is None or isinstance(value, bool | bytes):
        return
    if isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise FieldError(f"{name}: {value} does not fit 64 bits")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise FieldError(f"{name}: {value} is not finite")
    elif isinstance(value, str):
        _encoded(value, name)
    else:
        raise FieldError(f"{name}: {type(value).__name__} is not allowed")


def _encoded(value: str, name: str) -> bytes:
    # The UTF-8 form of a text that MQL5 can hold: its strings end at the first NUL.
    if "\0" in value:
        raise FieldError(f"{name}: contains a NUL")
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise FieldError(f"{name}: is not valid Unicode") from None


U8: Final = NumberField("u8", 0, 2**8 - 1)
U16: Final = NumberField("u16", 0, 2**16 - 1)
U32: Final = NumberField("u32", 0, 2**32 - 1)
U64: Final = NumberField("u64", 0, 2**64 - 1)
I16: Final = NumberField("i16", -(2**15), 2**15 - 1)
I32: Final = NumberField("i32", -(2**31), 2**31 - 1)
I64: Final = NumberField("i64", -(2**63), 2**63 - 1)
F64: Final = NumberField("f64")
BOOL: Final = _BoolField()


def clip(text: str) -> str:
    """
    Return a text of our own so that it fits a field for sentences.
    """
    return text.replace("\0", " ").encode(errors="replace")[:_CLIPPED].decode(errors="ignore")


def printable(text: str) -> str:
    """
    Return a text of the peer's so that it may stand in a log or on a terminal: without line
    breaks and escape sequences.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else " " for char in text)
