"""The tick record: one tick in the form in which it is published.

A msgpack array of fixed width, so that the terminal writes it once, the relay
forwards it untouched and any msgpack library reads it::

    offset  bytes          field            unit
     0      99             array of 9
     1      ce + u32       epoch
     6      cf + u64       seq
    15      d3 + i64       time_msc         ms since 1970, trade server's clock
    24      cb + f64       bid
    33      cb + f64       ask
    42      cb + f64       last
    51      cb + f64       volume_real
    60      cd + u16       flags            TickFlag
    63      d1 + i16       utc_offset_min   server clock minus UTC, minutes
    66      (end)

All numbers are big endian, as msgpack has them.
What must change together: this table, ``docs/reference/bus-protocol.md``,
``docs/reference/wire-protocol.md``, the golden vectors and the MQL5 writer.
"""

from __future__ import annotations

import functools
import re
import struct
import zlib
from typing import Final, NamedTuple

from bridge.model.tick import MqlTick

__all__ = [
    "RECORD_SIZE",
    "Cursor",
    "TickRecord",
    "check_records",
    "extend_cursor",
    "pack_record",
    "unpack_record",
    "unpack_records",
]

_RECORD: Final = struct.Struct(">BBIBQBqBdBdBdBdBHBh")
RECORD_SIZE: Final = _RECORD.size  # 66

_FIELDS: Final = struct.Struct(">xxIxQxqxdxdxdxdxHxh")

#: The first 13 bytes: array marker, epoch, and all but the lowest two bytes of seq. They are
#: the same in all records of a run that does not pass a multiple of 65,536.
_PREFIX: Final = struct.Struct(">HIBHI")
#: The first 15 bytes of one record: array marker, epoch, seq.
_HEAD: Final = struct.Struct(">BBIBQ")
#: offset of each type marker behind them, and the marker that must stand there
_MARKERS: Final = (
    (15, 0xD3),
    (24, 0xCB),
    (33, 0xCB),
    (42, 0xCB),
    (51, 0xCB),
    (60, 0xCD),
    (63, 0xD1),
)
#: one run holds at most this many records (a frame is 8 KiB), so the tables below are long enough
_RUN_MAX: Final = 1024
#: the columns that hold the same byte in all records of such a run
_FIXED_OFFSETS: Final = (*range(_PREFIX.size), *(offset for offset, _ in _MARKERS))
#: the lowest byte of consecutive sequence numbers, and the one above it
_SEQ_LOW: Final = bytes(range(256)) * (_RUN_MAX // 256 + 2)
_SEQ_ABOVE: Final = b"".join(bytes([high]) * 256 for high in range(256)) + bytes(_RUN_MAX)
#: A double whose first byte is 7f or ff is infinite, NaN or beyond 5e303: never a price.
_FINITE: Final = bytes(b for b in range(256) if b not in (0x7F, 0xFF))
_PRICE_OFFSETS: Final = (25, 34, 43, 52)
#: up to so many records one expression is faster than the columns
_FEW: Final = 16
_DOUBLE: Final = rb"\xcb[^\x7f\xff].{7}"
_is_well_formed: Final = re.compile(
    rb"(?:\x99\xce.{4}\xcf.{8}\xd3.{8}" + _DOUBLE * 4 + rb"\xcd..\xd1..)*+", re.DOTALL
).fullmatch
_TICK_CRC: Final = struct.Struct("<qdddd")


class TickRecord(NamedTuple):
    """
    The decoded fields of a record, in their order on the wire.
    """

    epoch: int
    seq: int
    time_msc: int
    bid: float
    ask: float
    last: float
    volume_real: float
    flags: int
    utc_offset_min: int


class Cursor(NamedTuple):
    """
    A place in a symbol's tick history.

    ``time_msc`` of the last tick taken, how many ``ticks`` of that millisecond were
    taken, and a CRC-32 over them. Several ticks share a millisecond and more can be
    added to it later; the CRC shows whether history behind the cursor was revised.
    """

    time_msc: int
    ticks: int
    crc: int


def extend_cursor(cursor: Cursor, tick: MqlTick) -> Cursor:
    """
    Return the cursor behind ``tick``, which follows ``cursor`` in the history.
    """
    data = _TICK_CRC.pack(tick[0], tick[1], tick[2], tick[3], tick[4])
    if tick[0] == cursor[0]:
        return Cursor(tick[0], cursor[1] + 1, zlib.crc32(data, cursor[2]))
    return Cursor(tick[0], 1, zlib.crc32(data))


def pack_record(
    epoch: int, seq: int, tick: MqlTick, utc_offset_min: int, extra_flags: int = 0
) -> bytes:
    """
    Return the 66 bytes of one record.

    Raises:
        struct.error: a field is out of its range.
    """
    return _RECORD.pack(
        0x99,
        0xCE,
        epoch,
        0xCF,
        seq,
        0xD3,
        tick[0],
        0xCB,
        tick[1],
        0xCB,
        tick[2],
        0xCB,
        tick[3],
        0xCB,
        tick[4],
        0xCD,
        tick[5] | extra_flags,
        0xD1,
        utc_offset_min,
    )


def unpack_record(record: bytes | memoryview, offset: int = 0) -> TickRecord:
    """
    Return the fields of the record at ``offset``; the markers are not looked at.
    """
    return TickRecord._make(_FIELDS.unpack_from(record, offset))


def unpack_records(records: bytes | memoryview) -> list[TickRecord]:
    """
    Return the fields of concatenated records; ``len(records)`` is a multiple of 66.
    """
    return [TickRecord._make(fields) for fields in _FIELDS.iter_unpack(records)]


def check_records(records: bytes, epoch: int, first_seq: int) -> str | None:
    """
    Check a run of records in bulk; return what is wrong, or ``None``.

    Every type marker, every epoch and sequence number, and that every price is finite.
    Columns are compared, nothing is decoded per tick: a run of 64 costs a few microseconds.
    """
    count, rest = divmod(len(records), RECORD_SIZE)
    if rest or not 0 < count <= _RUN_MAX:
        return f"{len(records)} bytes are not 1..{_RUN_MAX} records"
    if not 0 <= first_seq <= 2**64 - count:
        return f"sequence number {first_seq} is out of range"
    if count == 1:
        return None if _is_sound(records, epoch, first_seq) else _problem(records)
    above = first_seq & 0xFFFF
    cut = 0x1_0000 - above
    if cut < count:
        first, second = records[: cut * RECORD_SIZE], records[cut * RECORD_SIZE :]
        return check_records(first, epoch, first_seq) or check_records(
            second, epoch, first_seq + cut
        )
    low = first_seq & 0xFF
    prefix = _PREFIX.pack(0x99CE, epoch, 0xCF, first_seq >> 48, first_seq >> 16 & 0xFFFF_FFFF)
    if (
        records[14::RECORD_SIZE] != _SEQ_LOW[low : low + count]
        or records[13::RECORD_SIZE] != _SEQ_ABOVE[above : above + count]
    ):
        return _problem(records)
    if count <= _FEW:
        # Prices cannot look like the prefix: their first byte is not 99 with ce behind it.
        sound = records.count(prefix) >= count and _is_well_formed(records)
        return None if sound else _problem(records)
    columns = [records[offset::RECORD_SIZE] for offset in _FIXED_OFFSETS]
    if columns != _fixed_columns(prefix, count) or _not_finite(records):
        return _problem(records)
    return None


def _problem(records: bytes) -> str:
    # Something is wrong; this says what, and has the time to look.
    count = len(records) // RECORD_SIZE
    for offset, marker in _MARKERS:
        if records[offset::RECORD_SIZE] != bytes([marker]) * count:
            return f"wrong type marker at offset {offset}"
    for offset in _PRICE_OFFSETS:
        if records[offset::RECORD_SIZE].translate(None, _FINITE):
            return f"a price or volume at offset {offset} is not a finite number"
    return "epoch or sequence numbers do not follow the run's header"


def _not_finite(records: bytes) -> bytes:
    columns = [records[offset::RECORD_SIZE] for offset in _PRICE_OFFSETS]
    return b"".join(columns).translate(None, _FINITE)


@functools.lru_cache(maxsize=1024)
def _fixed_columns(prefix: bytes, count: int) -> list[bytes]:
    # What stands in each column of _FIXED_OFFSETS; a stream's changes every 65,536 ticks.
    markers = bytes(marker for _, marker in _MARKERS)
    return [bytes([byte]) * count for byte in prefix + markers]


def _is_sound(record: bytes, epoch: int, seq: int) -> bool:
    # A single tick is the ordinary case of a calm market, and strides cost ten times this.
    # What is wrong is for the strides to say.
    return (
        0 <= seq < 2**64
        and record[:15] == _HEAD.pack(0x99, 0xCE, epoch, 0xCF, seq)
        and record[15] == 0xD3
        and record[24] == record[33] == record[42] == record[51] == 0xCB
        and record[60] == 0xCD
        and record[63] == 0xD1
        and record[25] & 0x7F != 0x7F
        and record[34] & 0x7F != 0x7F
        and record[43] & 0x7F != 0x7F
        and record[52] & 0x7F != 0x7F
    )
