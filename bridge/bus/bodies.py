"""Bodies: what stands behind a topic.

Every body is a msgpack array that begins with ``epoch`` and ``seq``. ``seq`` grows by one
per message of a topic and epoch; a subscriber that sees it jump has missed messages.
Elements may be appended later: a reader ignores what it does not know.

===================  =====================================================================
topic                body
===================  =====================================================================
``tick/…``           epoch, seq, time_msc, bid, ask, last, volume_real, flags,
                     utc_offset_min (``bridge.model.record``: the fixed-width form)
``ticks/<alias>``    epoch, seq, symbol, tick_epoch, first_seq, length, records (bin: the
                     66-byte records one behind the other)
``status/<alias>``   epoch, seq, time_utc_msc, event, details (map)
``trade/<alias>``    epoch, seq, time_utc_msc, kind, recovered, record (map)
``account/<alias>``  epoch, seq, time_utc_msc, account (map)
``position/<alias>`` epoch, seq, time_utc_msc, positions (list of maps)
``relay``            epoch, seq, time_utc_msc, tails ([[topic, epoch, seq], …])
``sync/<nonce>``     epoch, seq, time_utc_msc
===================  =====================================================================
"""

from __future__ import annotations

import enum
import operator
from typing import Any, Final, NamedTuple

import msgpack

from bridge.model.record import RECORD_SIZE, TickRecord, unpack_record

__all__ = [
    "TAILS_PER_MESSAGE",
    "AccountBody",
    "BulkBody",
    "PositionBody",
    "RelayBody",
    "StatusBody",
    "StatusEvent",
    "SyncBody",
    "Tail",
    "TradeBody",
    "TradeKind",
    "pack_body",
    "read_account",
    "read_bulk",
    "read_epoch_seq",
    "read_position",
    "read_relay",
    "read_status",
    "read_tick",
    "read_trade",
]

#: The type markers of the fixed-width form and where they stand (``bridge.model.record``).
_MARKERS_OF: Final = operator.itemgetter(0, 1, 6, 15, 24, 33, 42, 51, 60, 63)
_MARKERS: Final = (0x99, 0xCE, 0xCF, 0xD3, 0xCB, 0xCB, 0xCB, 0xCB, 0xCD, 0xD1)

#: More changed topics than this are told in several ``relay`` messages.
TAILS_PER_MESSAGE: Final = 500


class StatusEvent(enum.StrEnum):
    """
    What a message on ``status/<alias>`` tells.
    """

    LINK_UP = "LINK_UP"
    LINK_DOWN = "LINK_DOWN"
    LOGON_REFUSED = "LOGON_REFUSED"
    BUSY = "BUSY"
    READY = "READY"
    PERMISSIONS = "PERMISSIONS"
    UTC_OFFSET = "UTC_OFFSET"
    STREAM_STARTED = "STREAM_STARTED"
    STREAM_STOPPED = "STREAM_STOPPED"
    STREAM_FAILED = "STREAM_FAILED"
    GAP = "GAP"


class TradeKind(enum.StrEnum):
    """
    What a message on ``trade/<alias>`` tells.
    """

    DEAL = "DEAL"
    ORDER_CLOSED = "ORDER_CLOSED"
    ORDER = "ORDER"
    POSITION = "POSITION"
    REQUEST = "REQUEST"
    ORDER_LIFE = "ORDER_LIFE"
    VERDICT_CORRECTED = "VERDICT_CORRECTED"


class Tail(NamedTuple):
    """
    The latest message of a topic.
    """

    topic: str
    epoch: int
    seq: int


class BulkBody(NamedTuple):
    """
    Many records of one symbol in one message.
    """

    epoch: int
    seq: int
    symbol: str
    tick_epoch: int
    first_seq: int
    length: int
    records: bytes


class StatusBody(NamedTuple):
    """
    An event of a terminal's link or streams.
    """

    epoch: int
    seq: int
    time_utc_msc: int
    event: str
    details: dict[str, Any]


class TradeBody(NamedTuple):
    """
    Something happened to an account, or to a command.
    """

    epoch: int
    seq: int
    time_utc_msc: int
    kind: str
    recovered: bool
    record: dict[str, Any]


class AccountBody(NamedTuple):
    """
    The account as it is now.
    """

    epoch: int
    seq: int
    time_utc_msc: int
    account: dict[str, Any]


class PositionBody(NamedTuple):
    """
    Every open position as it is now.
    """

    epoch: int
    seq: int
    time_utc_msc: int
    positions: list[dict[str, Any]]


class RelayBody(NamedTuple):
    """
    The relay's heartbeat: which topics moved, and to where.
    """

    epoch: int
    seq: int
    time_utc_msc: int
    tails: list[Tail]


class SyncBody(NamedTuple):
    """
    A barrier: everything subscribed before it now arrives.
    """

    epoch: int
    seq: int
    time_utc_msc: int


def pack_body(*fields: Any) -> bytes:
    """
    Return a body: ``epoch``, ``seq`` and what the topic's table says.
    """
    packed: bytes = msgpack.packb(fields)
    return packed


def _unpack(body: bytes, *types: type | tuple[type, ...]) -> list[Any]:
    # What stands behind the elements we know was appended later and is not for us.
    fields = msgpack.unpackb(body, raw=False, strict_map_key=True)
    if not isinstance(fields, list) or len(fields) < len(types):
        raise ValueError(f"a body is an array of at least {len(types)} elements")
    return _typed(fields, *types)


def _typed(fields: list[Any], *types: type | tuple[type, ...]) -> list[Any]:
    for position, (field, kind) in enumerate(zip(fields, types, strict=False)):
        if not isinstance(field, kind) or (isinstance(field, bool) and kind is not bool):
            raise ValueError(f"element {position} has the wrong type {type(field).__name__}")
    return fields[: len(types)]


def read_epoch_seq(body: bytes) -> tuple[int, int]:
    """
    Return (epoch, seq) of any body.

    Raises:
        ValueError: it is not a body.
    """
    if len(body) == RECORD_SIZE and body[0] == 0x99 and body[1] == 0xCE and body[6] == 0xCF:
        return int.from_bytes(body[2:6], "big"), int.from_bytes(body[7:15], "big")
    if not body:
        raise ValueError("a body that is empty")
    unpacker = msgpack.Unpacker(raw=False, read_size=len(body), max_buffer_size=len(body))
    unpacker.feed(body)
    try:
        length = unpacker.read_array_header()
        numbers = [unpacker.unpack() for _ in range(min(length, 2))]
    except msgpack.OutOfData:
        raise ValueError("a body that is cut") from None
    if len(numbers) < 2 or not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError("a body begins with two integers, epoch and seq")
    return numbers[0], numbers[1]


def read_tick(body: bytes) -> TickRecord:
    """
    Return the fields of a tick's body, the fixed-width form or any other msgpack of it.

    Raises:
        ValueError: it is not one.
    """
    if len(body) == RECORD_SIZE and _MARKERS_OF(body) == _MARKERS:
        return unpack_record(body)
    price = (float, int)
    return TickRecord._make(_unpack(body, int, int, int, price, price, price, price, int, int))


def read_bulk(body: bytes) -> BulkBody:
    """
    Return the fields of a ``ticks/<alias>`` body.

    Raises:
        ValueError: it is not one.
    """
    bulk = BulkBody._make(_unpack(body, int, int, str, int, int, int, bytes))
    if len(bulk.records) != bulk.length * RECORD_SIZE:
        raise ValueError(f"{len(bulk.records)} bytes are not {bulk.length} records")
    return bulk


def read_status(body: bytes) -> StatusBody:
    """
    Return the fields of a ``status/<alias>`` body.

    Raises:
        ValueError: it is not one.
    """
    return StatusBody._make(_unpack(body, int, int, int, str, dict))


def read_trade(body: bytes) -> TradeBody:
    """
    Return the fields of a ``trade/<alias>`` body.

    Raises:
        ValueError: it is not one.
    """
    return TradeBody._make(_unpack(body, int, int, int, str, bool, dict))


def read_account(body: bytes) -> AccountBody:
    """
    Return the fields of an ``account/<alias>`` body.

    Raises:
        ValueError: it is not one.
    """
    return AccountBody._make(_unpack(body, int, int, int, dict))


def read_position(body: bytes) -> PositionBody:
    """
    Return the fields of a ``position/<alias>`` body.

    Raises:
        ValueError: it is not one.
    """
    positions = PositionBody._make(_unpack(body, int, int, int, list))
    if not all(isinstance(position, dict) for position in positions.positions):
        raise ValueError("positions are maps")
    return positions


def read_relay(body: bytes) -> RelayBody:
    """
    Return the fields of a ``relay`` body.

    Raises:
        ValueError: it is not one.
    """
    epoch, seq, time_utc_msc, tails = _unpack(body, int, int, int, list)
    read = []
    for tail in tails:
        if not isinstance(tail, list) or len(tail) < len(Tail._fields):
            raise ValueError("a tail is an array of topic, epoch and seq")
        read.append(Tail._make(_typed(tail, str, int, int)))
    return RelayBody(epoch, seq, time_utc_msc, read)
