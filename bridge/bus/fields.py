"""Types of the fields of requests: identity, tickets, symbols, volumes, prices, enumerations.

Each type refuses what cannot be meant with one message for one field. A number that is not
finite, negative or absurdly large never gets behind this module.
"""

from __future__ import annotations

import enum
import re
from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)

from bridge.bus.topics import ALIAS_PATTERN, TOPIC_MAX

__all__ = [
    "COMMENT_MAX",
    "DECIMALS_MAX",
    "NAME_PATTERN",
    "PRICE_MAX",
    "SYMBOL_BYTES_MAX",
    "U64",
    "VOLUME_MAX",
    "Alias",
    "Comment",
    "Deviation",
    "Expiration",
    "Id",
    "Level",
    "Name",
    "Points",
    "Price",
    "Strict",
    "Symbol",
    "Ticket",
    "TopicName",
    "Volume",
    "mql5_enumeration",
]

_ID_MAX: Final = 64
_U64_MAX: Final = 2**64 - 1
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,19}")

#: Both parts of an order's identity. ASCII, so that both and a ticket fit into a COMMAND id of
#: the wire protocol; no slash, because that is what joins them there.
NAME_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}"
#: What the wire protocol carries of a symbol's name.
SYMBOL_BYTES_MAX: Final = 128
COMMENT_MAX: Final = 128
#: Far above what any broker takes, far below where doubles stop telling lots apart. The limit
#: that protects an account is the setting ``max_volume``.
VOLUME_MAX: Final = 10_000_000.0
PRICE_MAX: Final = 1e12
#: The finest volume step and price that MetaTrader has.
DECIMALS_MAX: Final = 8
#: MQL5's datetime ends with the year 3000.
_EXPIRATION_MAX: Final = 32_535_215_999
_POINTS_MAX: Final = 1_000_000_000


def _check_id(value: Any) -> Any:
    if isinstance(value, str):
        ok = 0 < len(value) <= _ID_MAX
    else:
        ok = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
    if not ok:
        raise ValueError("must be a text of 1 to 64 characters or an integer from 0 to 2^63-1")
    return value


def _check_u64(value: Any) -> Any:
    # A JSON client whose numbers are doubles sends what is beyond 2^53 as text.
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _U64_MAX:
        raise ValueError("must be an integer from 0 to 2^64-1, or the same as decimal text")
    return value


def _check_ticket(value: Any) -> Any:
    number = _check_u64(value)
    if number == 0:
        raise ValueError("must be a ticket: 0 is none")
    return number


def _check_symbol(value: str) -> str:
    if len(value.encode()) > SYMBOL_BYTES_MAX:
        raise ValueError(f"must have at most {SYMBOL_BYTES_MAX} bytes as UTF-8")
    return value


def _check_decimals(value: float) -> float:
    # 0.1 + 0.2 is meant as 0.3: noise of the arithmetic goes, digits that were meant do not.
    rounded = round(value, DECIMALS_MAX)
    if abs(rounded - value) > 1e-10 + 1e-14 * abs(value):
        raise ValueError(f"must have at most {DECIMALS_MAX} decimals")
    # -0.0 equals 0.0 and is written with other bytes.
    return rounded + 0.0


def _check_positive(value: float) -> float:
    if value <= 0:
        raise ValueError(f"must be at least {10.0**-DECIMALS_MAX:.{DECIMALS_MAX}f}")
    return value


def _unsigned(least: int) -> dict[str, Any]:
    return {
        "anyOf": [
            {"type": "integer", "minimum": least, "maximum": _U64_MAX},
            {"type": "string", "pattern": f"^({_DECIMAL.pattern})$"},
        ]
    }


# The checks stand in front of the type, so that one field has one message.
Id = Annotated[
    str | int,
    BeforeValidator(_check_id),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1, "maxLength": _ID_MAX},
                {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
            ]
        }
    ),
]
U64 = Annotated[int, BeforeValidator(_check_u64), WithJsonSchema(_unsigned(0))]
Ticket = Annotated[int, BeforeValidator(_check_ticket), WithJsonSchema(_unsigned(1))]
Name = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")]
Alias = Annotated[str, Field(pattern=f"^{ALIAS_PATTERN}$")]
Symbol = Annotated[
    str,
    Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f]+$"),
    AfterValidator(_check_symbol),
]
TopicName = Annotated[str, Field(min_length=1, max_length=TOPIC_MAX, pattern=r"^[^\x00]+$")]
Comment = Annotated[str, Field(max_length=COMMENT_MAX, pattern=r"^[^\x00-\x1f]*$")]
Volume = Annotated[
    float,
    Field(gt=0, le=VOLUME_MAX, allow_inf_nan=False),
    AfterValidator(_check_decimals),
    AfterValidator(_check_positive),
]
Price = Annotated[
    float,
    Field(gt=0, le=PRICE_MAX, allow_inf_nan=False),
    AfterValidator(_check_decimals),
    AfterValidator(_check_positive),
]
#: A stop loss or take profit: 0 removes it.
Level = Annotated[
    float,
    Field(ge=0, le=PRICE_MAX, allow_inf_nan=False),
    AfterValidator(_check_decimals),
]
Points = Annotated[int, Field(ge=1, le=_POINTS_MAX)]
Deviation = Annotated[int, Field(ge=0, le=_POINTS_MAX)]
Expiration = Annotated[int, Field(ge=1, le=_EXPIRATION_MAX)]

_Member = TypeVar("_Member", bound=enum.IntEnum)


def mql5_enumeration(kind: type[_Member]) -> tuple[BeforeValidator, WithJsonSchema]:
    """
    Return the validator and the schema of a field that takes a member by name or by value.
    """
    names = list(kind.__members__)

    def check(value: Any) -> Any:
        if isinstance(value, str) and value in kind.__members__:
            return kind[value]
        if isinstance(value, int) and not isinstance(value, bool) and value in set(kind):
            return kind(value)
        raise ValueError(f"must be one of {', '.join(names)}, or MQL5's number of it")

    schema = {"anyOf": [{"enum": names}, {"enum": [int(member) for member in kind]}]}
    return BeforeValidator(check), WithJsonSchema(schema)


class Strict(BaseModel):
    """
    Base of every model of this protocol: unknown fields and other types are refused.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
