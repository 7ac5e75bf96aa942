"""Frames: cutting a byte stream into them, and putting one together.

::

    offset  size  field
     0      4     length   u32, of the whole frame, header and tag included
     4      1     type     FrameType
     5      1     flags    0
     6      2     magic    "M5"
     8      8     seq      u64, 1 for the first frame of a direction, then +1
    16      n     body
    16+n    16    tag      of bytes 0..16+n; zeros before the session keys exist

Little endian. A length is checked before anything is held for it. The body of a TICKS
frame is one or more runs: 40 bytes of header, then the records (``bridge.model.record``)::

     0      4     symbol_id  u32, from STREAM
     4      4     length     u32, number of records
     8      8     first_seq  u64, of the first record
    16      8     sent_us    u64, the terminal's clock when the run was put together
    24     16     cursor     behind the last record: time_msc i64, ticks u32, crc u32
    40  66 * n    records
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from bridge.exceptions import RemoteProtocolError
from bridge.model.record import RECORD_SIZE
from bridge.wire.spec import (
    FRAME_MAGIC,
    FRAME_OVERHEAD,
    HEADER_SIZE,
    MARKET_FRAME_MAX,
    RUN_HEADER_SIZE,
    TAG_SIZE,
    LogoutCode,
)

__all__ = [
    "NO_TAG",
    "RUN_HEADER",
    "FrameBuffer",
    "Run",
    "pack_header",
    "pack_run_header",
    "read_header",
    "read_runs",
]

_HEADER: Final = struct.Struct("<IBBHQ")
_LENGTH: Final = struct.Struct("<I")
NO_TAG: Final = bytes(TAG_SIZE)

#: symbol_id u32, length u32 (records), first_seq u64, sent_us u64; the cursor's 16 bytes follow
_RUN: Final = struct.Struct("<IIQQ")
_CURSOR: Final = struct.Struct("<qII")
#: The same 24 bytes, for the receiving side.
RUN_HEADER: Final = _RUN


class Run(NamedTuple):
    """
    ``length`` consecutive records of one stream; ``cursor`` is 16 bytes as on the wire.
    """

    symbol_id: int
    length: int
    first_seq: int
    sent_us: int
    cursor: bytes
    records: bytes


def pack_header(length: int, frame_type: int, seq: int) -> bytes:
    """
    Return the 16 bytes of a header; ``length`` is that of the whole frame.
    """
    return _HEADER.pack(length, frame_type, 0, FRAME_MAGIC, seq)


def read_header(frame: bytes | memoryview) -> tuple[int, int]:
    """
    Return (type, seq) of a frame.

    Raises:
        RemoteProtocolError: the magic or the flags are wrong.
    """
    _, frame_type, flags, magic, seq = _HEADER.unpack_from(frame)
    if magic != FRAME_MAGIC:
        raise RemoteProtocolError(
            LogoutCode.BAD_MAGIC, f"bytes 6..8 of a frame are {magic:#06x}, not the magic"
        )
    if flags:
        raise RemoteProtocolError(LogoutCode.BAD_FRAME, f"frame flags are {flags}, not 0")
    return frame_type, seq


def pack_run_header(
    symbol_id: int, length: int, first_seq: int, sent_us: int, cursor: tuple[int, int, int]
) -> bytes:
    """
    Return the 40 bytes that stand before a run of records.
    """
    return _RUN.pack(symbol_id, length, first_seq, sent_us) + _CURSOR.pack(*cursor)


def read_runs(frame: bytes | memoryview) -> list[Run]:
    """
    Return the runs of a TICKS frame; their bytes are copies.

    Raises:
        RemoteProtocolError: the frame is too large, empty, or a run does not fit into it.
    """
    end = len(frame) - TAG_SIZE
    if len(frame) > MARKET_FRAME_MAX:
        raise RemoteProtocolError(LogoutCode.FRAME_TOO_LARGE, f"TICKS of {len(frame)} bytes")
    runs: list[Run] = []
    at = HEADER_SIZE
    while at < end:
        begin = at + RUN_HEADER_SIZE
        if begin > end:
            raise RemoteProtocolError(LogoutCode.BAD_RECORDS, "TICKS: a run header is cut")
        symbol_id, count, first_seq, sent_us = RUN_HEADER.unpack_from(frame, at)
        at = begin + count * RECORD_SIZE
        if not count or at > end:
            raise RemoteProtocolError(
                LogoutCode.BAD_RECORDS, f"TICKS: a run of {count} records does not fit"
            )
        cursor, records = bytes(frame[begin - 16 : begin]), bytes(frame[begin:at])
        runs.append(Run(symbol_id, count, first_seq, sent_us, cursor, records))
    if not runs:
        raise RemoteProtocolError(LogoutCode.BAD_RECORDS, "TICKS: no run in it")
    return runs


class FrameBuffer:
    """
    Cuts received bytes into frames, however they were split on the way.

    A view handed out by ``feed`` is valid only until the next step of the iteration.
    """

    def __init__(self, frame_max: int) -> None:
        #: Largest frame accepted; raised once the peer has proved itself.
        self.frame_max = frame_max
        self._partial = bytearray()
        self._wanted = HEADER_SIZE

    @property
    def pending(self) -> int:
        """
        Bytes held of a frame that is not complete.
        """
        return len(self._partial)

    @property
    def missing(self) -> int:
        """
        Bytes that the frame begun, or its header, still needs; 0 between two frames.
        """
        return self._wanted - len(self._partial) if self._partial else 0

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[memoryview]:
        """
        Take received bytes and yield every complete frame.

        Raises:
            RemoteProtocolError: a length is out of bounds; the stream cannot be read on.
        """
        view = memoryview(data)
        at = 0
        end = len(view)
        partial = self._partial
        while partial:
            # Complete the frame that began in an earlier read: header first, then the rest.
            take = min(self._wanted - len(partial), end - at)
            partial += view[at : at + take]
            at += take
            if len(partial) < self._wanted:
                return
            length = self._length(partial, 0)
            if length > len(partial):
                self._wanted = length
                continue
            frame = bytes(partial)
            partial.clear()
            self._wanted = HEADER_SIZE
            yield memoryview(frame)
        while end - at >= HEADER_SIZE:
            length = self._length(view, at)
            if at + length > end:
                self._wanted = length
                partial += view[at:end]
                return
            frame_view = view[at : at + length]
            at += length
            yield frame_view
        if at < end:
            self._wanted = HEADER_SIZE
            partial += view[at:end]

    def _length(self, data: bytearray | memoryview, at: int) -> int:
        length: int = _LENGTH.unpack_from(data, at)[0]
        if not FRAME_OVERHEAD <= length <= self.frame_max:
            code = LogoutCode.FRAME_TOO_LARGE if length > self.frame_max else LogoutCode.BAD_FRAME
            raise RemoteProtocolError(
                code, f"a frame of {length} bytes is outside {FRAME_OVERHEAD}..{self.frame_max}"
            )
        return length
