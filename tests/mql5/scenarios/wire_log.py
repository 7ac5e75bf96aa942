"""What a recorded connection says, without what differs between any two runs.

Two terminals that do the same put the same on the wire: types and order of frames in each
lane, and every record byte for byte. Clocks, nonces, tags, names of programs, and where a
burst was cut into frames may differ. So may the mark of a backlog: the first ticks of a
stream have it or not, by who is quicker.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgpack

from bridge.model.record import RECORD_SIZE
from bridge.model.tick import TickFlag
from bridge.sim.link import Recording
from bridge.wire.frame import read_header, read_runs
from bridge.wire.messages import MESSAGES, Stream, Subscribe, unpack_message
from bridge.wire.spec import HEADER_SIZE, TAG_SIZE, FrameType, PageKind

__all__ = ["Said", "frames_of", "said_by"]

#: When these come, and how often, is a matter of time.
_UNCOUNTED: Final = {
    FrameType.HEARTBEAT,
    FrameType.TEST_REQUEST,
    FrameType.ACK,
    FrameType.BUSY,
}
#: Fields that differ between any two runs, by frame type.
_IGNORED: Final = {
    FrameType.HELLO: {"nonce", "program", "build", "incarnation", "connection_counter"}
    | {"relay_epoch_seen"},
    FrameType.STREAM: {"epoch"},
    FrameType.GAP: {"epoch", "old_epoch"},
    FrameType.RESULT: {"time_msc", "incarnation"},
}


class Said(NamedTuple):
    """
    What a terminal said in one or more connections.

    ``commands`` and ``pages`` are the frames of those lanes in their order, ``records`` those
    of each symbol, with epochs numbered from 1 in the order of their coming.
    """

    commands: list[tuple[str, dict[str, Any]]]
    pages: list[tuple[int, int, bool, int, Any]]
    records: dict[str, list[bytes]]


def frames_of(data: bytes | bytearray) -> Iterator[tuple[FrameType, bytes]]:
    """
    Yield type and bytes of each whole frame; what is cut at the end is left out.
    """
    at = 0
    while at + HEADER_SIZE <= len(data):
        length = int.from_bytes(data[at : at + 4], "little")
        frame = bytes(data[at : at + length])
        if len(frame) < length:
            return
        kind, _ = read_header(frame)
        yield FrameType(kind), frame
        at += length


def said_by(recordings: Sequence[Recording]) -> Said:
    """
    Return what the terminal said in these connections, one behind the other.
    """
    said = Said([], [], {})
    epochs: dict[tuple[str, int], int] = {}
    for recording in recordings:
        asked = dict(_symbols_asked(recording.to_terminal))
        streams: dict[int, tuple[str, int]] = {}
        pages: dict[int, bytes] = {}
        for kind, frame in frames_of(recording.to_relay):
            body = frame[HEADER_SIZE:-TAG_SIZE]
            if kind is FrameType.TICKS:
                for run in read_runs(frame):
                    symbol, epoch = streams[run.symbol_id]
                    records = said.records.setdefault(symbol, [])
                    number = epochs.setdefault((symbol, epoch), len(epochs) + 1)
                    records += _records(run.records, number)
            elif kind is FrameType.PROOF:
                said.commands.append((kind.name, {}))
            elif kind is FrameType.PAGE:
                _note_page(said.pages, pages, unpack_message(MESSAGES[kind], body))
            elif kind not in _UNCOUNTED:
                message = unpack_message(MESSAGES[kind], body)
                if isinstance(message, Stream) and not message.code:
                    streams[message.symbol_id] = asked[message.request_id], message.epoch
                said.commands.append((kind.name, _fields(kind, message)))
    return said


def _symbols_asked(data: bytearray) -> Iterable[tuple[int, str]]:
    for kind, frame in frames_of(data):
        if kind is FrameType.SUBSCRIBE:
            message = unpack_message(Subscribe, frame[HEADER_SIZE:-TAG_SIZE])
            yield message.request_id, message.symbol


def _records(records: bytes, epoch: int) -> Iterator[bytes]:
    for at in range(0, len(records), RECORD_SIZE):
        record = records[at : at + RECORD_SIZE]
        flags = int.from_bytes(record[61:63], "big") & ~TickFlag.BACKLOG
        yield (
            record[:2]
            + epoch.to_bytes(4, "big")
            + record[6:61]
            + flags.to_bytes(2, "big")
            + (record[63:])
        )


def _note_page(said: list[Any], begun: dict[int, bytes], page: Any) -> None:
    payload: Any = page.payload
    if page.kind == PageKind.MSGPACK:
        # An answer of several pages is one value.
        whole = begun.pop(page.request_id, b"") + payload
        if not page.last:
            begun[page.request_id] = whole
            payload = len(payload)
        else:
            payload = msgpack.unpackb(whole) if whole else None
            if isinstance(payload, dict) and isinstance(payload.get("symbol"), dict):
                # The simulated broker tells a fixed one, MetaTrader that of the last tick.
                payload["symbol"].pop("spread", None)
    said.append((page.request_id, page.page, page.last, page.code, payload))


def _fields(kind: FrameType, message: Any) -> dict[str, Any]:
    ignored = _IGNORED.get(kind, set())
    names = [field.name for field in dataclasses.fields(message)]
    return {name: getattr(message, name) for name in names if name not in ignored}
