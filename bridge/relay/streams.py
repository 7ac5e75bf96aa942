"""Streams: one symbol of one terminal, from its records to its topic.

The terminal is the authority for (epoch, seq); the stream is the relay's memory of it:
what came last, the cursor behind it, and a ring of what can be replayed.
"""

from __future__ import annotations

import enum
import struct
from typing import Final, NamedTuple

from bridge.bus.topics import exact, tick_topic
from bridge.exceptions import RemoteProtocolError
from bridge.model.record import RECORD_SIZE, Cursor, check_records
from bridge.relay.rings import RecordRing, RingBudget
from bridge.wire.messages import Resume
from bridge.wire.protocol import Run
from bridge.wire.spec import LogoutCode

__all__ = ["Checkpoint", "SavedStream", "Stream", "StreamError", "StreamState", "Taken"]

_CURSOR: Final = struct.Struct("<qII")
_FLAGS_HIGH: Final = 61
#: flags bytes without LATE
_NOT_LATE: Final = bytes((0, 1))


def is_late(records: bytes) -> bool:
    """
    Tell whether any record has the flag ``LATE``.
    """
    if len(records) == RECORD_SIZE:
        return records[_FLAGS_HIGH] > 1
    return bool(records[_FLAGS_HIGH::RECORD_SIZE].translate(None, _NOT_LATE))


class StreamState(enum.Enum):
    """
    How far a stream is.
    """

    #: wanted, but the terminal is away
    WAITING = "waiting"
    #: SUBSCRIBE is out
    REQUESTED = "requested"
    STREAMING = "streaming"
    #: the terminal said no
    FAILED = "failed"


class StreamError(NamedTuple):
    """
    Why a stream does not run.
    """

    code: str
    hop: str
    message: str
    hint: str


class SavedStream(NamedTuple):
    """
    What a checkpoint holds of a stream.
    """

    alias: str
    server: str
    symbol: str
    epoch: int
    seq: int
    cursor: Cursor
    digits: int


class Checkpoint(NamedTuple):
    """
    What survives the relay: its streams, an epoch below which none may be given to a stream
    again, and the epoch of the relay itself.
    """

    epoch: int
    saved_utc_msc: int
    streams: list[SavedStream]
    relay_epoch: int = 0


class Taken(NamedTuple):
    """
    What became of a run: the records to publish (all of it but what was published
    before), and how many the terminal skipped or repeated.
    """

    first: int
    length: int
    records: bytes
    skipped: int
    repeated: int
    late: bool


class Stream:
    """
    The relay's side of one symbol's ticks.
    """

    __slots__ = (
        "_cursor",
        "alias",
        "digits",
        "epoch",
        "error",
        "failed_at_us",
        "first_record_by_us",
        "last_subscriber_left_us",
        "next_seq",
        "noted",
        "overlap",
        "prefix",
        "published",
        "request_id",
        "ring",
        "server",
        "state",
        "subscribed",
        "symbol",
        "symbol_id",
        "ticks",
        "topic",
    )

    def __init__(
        self, alias: str, symbol: str, ring_bytes: int, budget: RingBudget, overlap: int
    ) -> None:
        self.alias = alias
        self.symbol = symbol
        self.topic = tick_topic(alias, symbol)
        self.prefix = exact(self.topic)
        self.ring = RecordRing(ring_bytes, budget)
        self.overlap = overlap
        self.state = StreamState.WAITING
        self.error: StreamError | None = None
        self.failed_at_us = 0
        self.first_record_by_us = 0
        self.request_id = 0
        self.symbol_id: int | None = None
        self.server = ""
        self.epoch = 0
        self.next_seq = 1
        #: newest sequence number known to be published by an earlier relay
        self.published = 0
        #: whether a checkpoint was asked for since the epoch began
        self.noted = False
        #: 16 bytes as on the wire; taken apart only when a checkpoint or SUBSCRIBE needs it
        self._cursor: bytes | None = None
        self.digits = 0
        self.subscribed = False
        self.last_subscriber_left_us = 0
        self.ticks = 0

    @property
    def cursor(self) -> Cursor | None:
        """
        The place in the terminal's history behind the newest record.
        """
        return None if self._cursor is None else Cursor._make(_CURSOR.unpack(self._cursor))

    @property
    def newest(self) -> int:
        """
        Sequence number of the newest record taken or restored, 0 for none.
        """
        return max(self.next_seq - 1, self.published)

    def restore(self, saved: SavedStream) -> None:
        """
        Go on from a checkpoint of an earlier relay.
        """
        self.server = saved.server
        self.epoch = saved.epoch
        self.next_seq = saved.seq + 1
        self.published = saved.seq
        self._cursor = _CURSOR.pack(*saved.cursor)
        self.digits = saved.digits

    def save(self) -> SavedStream | None:
        """
        Return what a checkpoint needs, ``None`` when there is nothing to go on from.
        """
        cursor = self.cursor
        if cursor is None:
            return None
        return SavedStream(
            self.alias,
            self.server,
            self.symbol,
            self.epoch,
            self.newest,
            cursor,
            self.digits,
        )

    def resume(self, server: str) -> Resume | None:
        """
        Return what to offer the terminal at SUBSCRIBE.

        With the ring in memory the next record suffices. After a restart of the relay the
        ring is empty: then the records before are asked for too, as far as the terminal
        still holds them, because a subscriber may have missed them.
        """
        cursor = self.cursor
        if cursor is None or self.server != server:
            return None
        last = self.newest
        from_seq = self.next_seq
        if self.ring.newest is None:
            from_seq = max(1, last + 1 - self.overlap)
        return Resume(self.epoch, last, cursor, from_seq)

    def begin(self, symbol_id: int, epoch: int, first_seq: int, server: str, digits: int) -> None:
        """
        The terminal streams: its first record will be (epoch, first_seq).
        """
        if epoch != self.epoch:
            self.published = 0
            self.noted = False
            self._cursor = None
            self.ring.clear()
        elif self.ring.newest is None:
            self.published = self.newest
        elif first_seq > self.ring.newest + 1:
            self.ring.clear()
        if epoch != self.epoch or self.ring.newest is None or first_seq > self.next_seq:
            self.next_seq = first_seq
        self.epoch = epoch
        self.symbol_id = symbol_id
        self.server = server
        self.digits = digits
        self.state = StreamState.STREAMING
        self.error = None

    def fail(self, error: StreamError, now_us: int) -> None:
        """
        The terminal refused the stream.
        """
        self.state = StreamState.FAILED
        self.error = error
        self.failed_at_us = now_us
        self.symbol_id = None

    def suspend(self) -> None:
        """
        The terminal is away; the stream goes on from here when it is back.
        """
        if self.state is not StreamState.FAILED:
            self.state = StreamState.WAITING
        self.symbol_id = None
        self.request_id = 0

    def is_next(self, run: Run) -> bool:
        """
        Tell whether the run is well-formed, follows the newest record, is new as a whole,
        and has no late tick in it: the ordinary case, to be published as it is.
        """
        first = run.first_seq
        records = run.records
        return (
            first == self.next_seq
            and first > self.published
            and check_records(records, self.epoch, first) is None
            and not is_late(records)
        )

    def keep(self, run: Run) -> None:
        """
        Remember a run for which ``is_next`` was true.
        """
        length = run.length
        self.next_seq += length
        self.ticks += length
        self._cursor = run.cursor
        self.ring.append(run.first_seq, length, run.records)

    def take(self, run: Run) -> Taken:
        """
        Check a run, keep it in the ring, and return what is to be published of it.

        Raises:
            RemoteProtocolError: the records are malformed or do not fit their header.
        """
        _, length, first, _, cursor, records = run
        problem = check_records(records, self.epoch, first)
        if problem is not None:
            raise RemoteProtocolError(LogoutCode.BAD_RECORDS, f"{self.topic}: {problem}")
        skipped = repeated = 0
        expected = self.next_seq
        if first != expected:
            if first > expected:
                skipped = first - expected
            else:
                repeated = min(expected - first, length)
                first += repeated
                length -= repeated
                records = records[repeated * RECORD_SIZE :]
                if not length:
                    return Taken(first, 0, b"", 0, repeated, False)
        self.next_seq = first + length
        self.ticks += length
        if self.next_seq > self.published:
            self._cursor = cursor
        self.ring.append(first, length, records)
        late = is_late(records)
        if first <= self.published:
            known = min(self.published - first + 1, length)
            return Taken(
                first + known,
                length - known,
                records[known * RECORD_SIZE :],
                skipped,
                repeated,
                late,
            )
        return Taken(first, length, records, skipped, repeated, late)
