"""Which value goes where, and what operators make of their operands.

MQL5 converts nearly everything to nearly everything and warns sometimes. Here a conversion that
may lose something needs a cast; a constant that fits does not.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from tests.mql5.types import (
    ANY,
    BOOL,
    COLOR,
    DATETIME,
    DOUBLE,
    ERROR,
    FLOAT,
    INT,
    LONG,
    NULL,
    STRING,
    UINT,
    ULONG,
    ClassType,
    EnumType,
    PointerType,
    Scalar,
    Type,
    integer_range,
)

__all__ = [
    "common_type",
    "constant_fits",
    "is_number",
    "is_text",
    "is_truth",
    "misfit",
    "promoted",
    "sign_mismatch",
    "wrapped",
]

_ENUM_BITS: Final = 32
_MANTISSA: Final = {DOUBLE: 53, FLOAT: 24}


def is_number(of: Type) -> bool:
    """
    Whether there is arithmetic on it: numbers, bool, datetime, color and enums.
    """
    return isinstance(of, EnumType) or (isinstance(of, Scalar) and of.bits > 0)


def is_whole(of: Type) -> bool:
    """
    Whether it is a number that is not float or double.
    """
    return isinstance(of, EnumType) or (isinstance(of, Scalar) and of.bits > 0 and not of.real)


def is_text(of: Type) -> bool:
    """
    Whether + with a string makes text of it, and Print prints it.
    """
    return of is STRING or is_number(of)


def is_truth(of: Type) -> bool:
    """
    Whether it can be a condition.
    """
    return is_whole(of) or isinstance(of, PointerType) or of is ERROR


def promoted(of: Type) -> Type:
    """
    Return what a single operand of arithmetic becomes.
    """
    if isinstance(of, EnumType):
        return INT
    if not isinstance(of, Scalar) or of.real:
        return of
    if of is DATETIME:
        return LONG
    if of is COLOR:
        return UINT
    return INT if of.bits < INT.bits else of


def common_type(left: Type, right: Type) -> Type:
    """
    Return the type of arithmetic on two numbers.
    """
    left, right = promoted(left), promoted(right)
    if DOUBLE in {left, right}:
        return DOUBLE
    if FLOAT in {left, right}:
        return FLOAT
    if ULONG in {left, right}:
        return ULONG
    if LONG in {left, right}:
        return LONG
    return UINT if UINT in {left, right} else INT


def sign_mismatch(left: Type, right: Type) -> bool:
    """
    Whether a comparison takes a negative number for a large one.
    """
    common = common_type(left, right)
    if not isinstance(common, Scalar) or common.real or common.signed:
        return False
    # A uchar is an int after promotion, but never a negative one.
    return any(isinstance(one, EnumType) or one.signed for one in (left, right))  # type: ignore[attr-defined]  # a number that is no enum is a Scalar


def wrapped(value: Any, of: Type) -> Any:
    """
    Return a constant as it is in a type: integers wrap around.
    """
    if of is BOOL:
        return bool(value)
    if isinstance(of, Scalar) and of.real and isinstance(value, int | float):
        return _as_float(float(value)) if of is FLOAT else float(value)
    limits = integer_range(INT if isinstance(of, EnumType) else of)
    if limits is None or not isinstance(value, int | float):
        return value
    low, high = limits
    return (int(value) - low) % (high - low + 1) + low


def _as_float(value: float) -> float:
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return value


def constant_fits(value: Any, to: Type) -> bool:
    """
    Whether a constant number goes into a type without loss.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if to is FLOAT and isinstance(value, float):
        return True  # 0.1 is as near in a float as it can be
    if to in _MANTISSA:
        return abs(value) <= 1 << _MANTISSA[to] or float(value) == value
    limits = integer_range(to)
    return limits is not None and isinstance(value, int) and limits[0] <= value <= limits[1]


def misfit(source: Type, to: Type) -> tuple[str, str] | None:
    """
    Return why a value of one type does not go into another, as (code, reason), None if it does.

    Constants that fit nevertheless are the caller's business.
    """
    if source is to or ERROR in {source, to} or to is ANY:
        return None
    if isinstance(to, PointerType):
        return _pointer_misfit(source, to)
    if isinstance(to, ClassType):
        if isinstance(source, ClassType) and source.symbol.derives_from(to.symbol):
            return None
        return "T003", f"{source} is no {to}"
    if isinstance(source, ClassType | PointerType) or not isinstance(to, Scalar | EnumType):
        return "T003", f"{source} is no {to}"
    if to is STRING:
        return None if source is NULL else ("T002", f"{source} to string: write (string)")
    if source is STRING:
        return "T002", f"string to {to}: write ({to})"
    if not is_number(source) or not is_number(to):
        return "T003", f"{source} is no {to}"
    return _number_misfit(source, to)


def _pointer_misfit(source: Type, to: PointerType) -> tuple[str, str] | None:
    if source is NULL:
        return None
    if not isinstance(source, PointerType):
        return "T016", f"{source} is no pointer to {to.target}"
    if not source.target.symbol.derives_from(to.target.symbol):
        if to.target.symbol.derives_from(source.target.symbol):
            return "T003", f"{source} to {to}: write dynamic_cast<{to.target} *>"
        return "T003", f"{source} is no {to}"
    if source.const and not to.const:
        return "C005", f"{source} to {to} would allow changes"
    return None


def _number_misfit(source: Type, to: Type) -> tuple[str, str] | None:
    loss = "T001", f"{source} to {to}: write ({to})"
    if isinstance(to, EnumType):
        if isinstance(source, EnumType):
            return "T014", f"{source} is not the enum {to}"
        return loss
    if to is BOOL:
        return "T001", f"{source} to bool: write a comparison"
    bits = _ENUM_BITS if isinstance(source, EnumType) else source.bits  # type: ignore[attr-defined]  # a number that is no enum is a Scalar
    if to is DATETIME:
        return None if isinstance(source, Scalar) and source.integer else loss
    if to is COLOR:
        return (
            None if isinstance(source, Scalar) and source.integer and bits <= COLOR.bits else loss
        )
    if to in _MANTISSA:
        if source is FLOAT:
            return None
        whole = isinstance(source, Scalar) and source.integer and bits < _MANTISSA[to]
        return None if whole else loss
    if isinstance(source, Scalar) and source.real:
        return loss
    return None if source is BOOL or bits <= to.bits else loss  # type: ignore[attr-defined]  # see above
