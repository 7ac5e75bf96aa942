"""Receiving TICKS frames, the hot path of the protocol core."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from bridge.exceptions import RemoteProtocolError
from bridge.model.record import RECORD_SIZE
from bridge.wire.auth import same
from bridge.wire.events import SessionEvent, Ticks
from bridge.wire.frame import Run, read_runs
from bridge.wire.spec import (
    FRAME_MAGIC,
    FRAME_OVERHEAD,
    HEADER_SIZE,
    MARKET_FRAME_MAX,
    RUN_HEADER_SIZE,
    TAG_SIZE,
    FrameType,
)

__all__ = ["receive_ticks"]

#: length, then type, flags and magic as one number, seq; symbol_id, records, first_seq, sent_us
_head: Final = struct.Struct("<IIQIIQQ").unpack_from
_KIND: Final = FrameType.TICKS | FRAME_MAGIC << 16
_CURSOR: Final = HEADER_SIZE + 24
_RECORDS: Final = HEADER_SIZE + RUN_HEADER_SIZE
_OVERHEAD: Final = FRAME_OVERHEAD + RUN_HEADER_SIZE
_SIZE_MIN: Final = _OVERHEAD + RECORD_SIZE


def receive_ticks(
    view: memoryview,
    seq: int,
    tag: Callable[[bytes | memoryview], bytes],
    events: list[SessionEvent],
) -> tuple[int, int]:
    """
    Take the whole, sound TICKS frames that ``view`` begins with; they follow frame ``seq``.

    The hot path: one loop, and nothing is looked at twice. Returns how many bytes were taken
    and the number of the last frame. It stops, without an error, at the first frame that is
    anything else: another type, cut, out of sequence, with a wrong tag or a wrong run.
    """
    at = 0
    end = len(view)
    while end - at >= _SIZE_MIN:
        length, kind, number, symbol_id, count, first_seq, sent_us = _head(view, at)
        stop = at + length
        if kind != _KIND or number != seq + 1 or stop > end or length > MARKET_FRAME_MAX:
            break
        frame = bytes(view[at:stop])
        if not same(frame[-TAG_SIZE:], tag(frame[:-TAG_SIZE])):
            break
        if count and length == _OVERHEAD + count * RECORD_SIZE:
            records = frame[_RECORDS:-TAG_SIZE]
            runs = [Run(symbol_id, count, first_seq, sent_us, frame[_CURSOR:_RECORDS], records)]
        else:
            try:
                runs = read_runs(frame)
            except RemoteProtocolError:
                break
        seq = number
        events.append(Ticks(seq, runs))
        at = stop
    return at, seq
