"""What stands inside of messages: texts with their bounds, and arrays with named elements."""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge.model.record import Cursor
from bridge.wire.fields import (
    F64,
    I16,
    I32,
    I64,
    U8,
    U32,
    U64,
    BinField,
    Field,
    OptionalField,
    TextField,
    TupleField,
)

__all__ = [
    "COMMAND_ID",
    "CURSOR",
    "EVENT_CURSOR",
    "INCARNATION",
    "ORDER_REQUEST",
    "ORDER_TAG",
    "QUERIED_COMMAND",
    "RESUME",
    "SYMBOL",
    "TERMINAL_STATE",
    "TEXT",
    "EventCursor",
    "OrderRequest",
    "QueriedCommand",
    "Resume",
    "TerminalState",
]

SYMBOL: Final = TextField(128)
TEXT: Final = TextField(256)
COMMAND_ID: Final = TextField(160)
INCARNATION: Final = BinField(16)
CURSOR: Final = TupleField(Cursor, (("time_msc", I64), ("ticks", U32), ("crc", U32)))


class Resume(NamedTuple):
    """
    What the relay holds of a stream: the last record taken, the cursor behind it, and
    from which sequence number it would like to have the records again.
    """

    epoch: int
    seq: int
    cursor: Cursor
    from_seq: int


class TerminalState(NamedTuple):
    """
    The part of a heartbeat that only a terminal sends.
    """

    permissions: int
    trading_state: int
    loop_interval_us: int
    lag_us: int
    server_time_msc: int
    utc_offset_min: int
    ping_last_us: int
    streams: int
    unacked_bytes: int


class OrderRequest(NamedTuple):
    """
    MqlTradeRequest in the order of its declaration; nil means not given.
    """

    action: int
    magic: int | None
    order: int | None
    symbol: str | None
    volume: float | None
    price: float | None
    stoplimit: float | None
    sl: float | None
    tp: float | None
    deviation: int | None
    type: int | None
    type_filling: int | None
    type_time: int | None
    expiration: int | None
    comment: str | None
    position: int | None
    position_by: int | None


class EventCursor(NamedTuple):
    """
    The newest deal or closed order that the relay has on disk.
    """

    time_msc: int
    ticket: int


class QueriedCommand(NamedTuple):
    """
    What a terminal needs to look for the traces of a command that its ledger does not
    have: the tag, about when it was sent, its flags and the request itself.
    """

    tag: str
    time_utc_msc: int
    flags: int
    request: OrderRequest


def _optional(*fields: tuple[str, Field]) -> tuple[tuple[str, Field], ...]:
    return tuple((name, OptionalField(field)) for name, field in fields)


RESUME: Final = TupleField(
    Resume, (("epoch", U32), ("seq", U64), ("cursor", CURSOR), ("from_seq", U64))
)
TERMINAL_STATE: Final = TupleField(
    TerminalState,
    (
        ("permissions", U32),
        ("trading_state", U8),
        ("loop_interval_us", U32),
        ("lag_us", U32),
        ("server_time_msc", I64),
        ("utc_offset_min", I16),
        ("ping_last_us", I32),
        ("streams", U32),
        ("unacked_bytes", U32),
    ),
)
EVENT_CURSOR: Final = TupleField(EventCursor, (("time_msc", I64), ("ticket", U64)))
ORDER_TAG: Final = TextField(31)
ORDER_REQUEST: Final = TupleField(
    OrderRequest,
    (
        ("action", U8),
        *_optional(
            ("magic", U64),
            ("order", U64),
            ("symbol", SYMBOL),
            ("volume", F64),
            ("price", F64),
            ("stoplimit", F64),
            ("sl", F64),
            ("tp", F64),
            ("deviation", U64),
            ("type", U8),
            ("type_filling", U8),
            ("type_time", U8),
            ("expiration", I64),
            ("comment", TextField(128)),
            ("position", U64),
            ("position_by", U64),
        ),
    ),
)
QUERIED_COMMAND: Final = TupleField(
    QueriedCommand,
    (
        ("tag", ORDER_TAG),
        ("time_utc_msc", I64),
        ("flags", U32),
        ("request", ORDER_REQUEST),
    ),
)
