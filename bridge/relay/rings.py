"""Rings: what can be replayed of a topic.

Ticks lie in chunks of fixed-width records: keeping a run costs one append, replaying it one
slice. Short runs, the ordinary case of a calm market, are put together. A shared ``RingBudget`` bounds
all rings together: past it, the largest gives way.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from bridge.model.record import RECORD_SIZE

__all__ = ["BodyRing", "RecordRing", "Replay", "RingBudget"]

#: what a chunk costs beside its records (its object, the spare room of a bytearray)
_CHUNK_OVERHEAD: Final = 240
#: short runs fill a chunk up to this many records
_CHUNK_FILL: Final = 64


class Replay(NamedTuple):
    """
    Consecutive bodies: ``length`` of them from ``first`` on, msgpack one behind the other.
    """

    first: int
    length: int
    data: bytes


class RingBudget:
    """
    The memory that all rings may hold together.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._rings: dict[RecordRing, None] = {}

    def join(self, ring: RecordRing) -> None:
        """
        Count this ring from now on.
        """
        self._rings[ring] = None

    def leave(self, ring: RecordRing) -> None:
        """
        Forget a ring that was cleared.
        """
        self._rings.pop(ring, None)

    def enforce(self) -> None:
        """
        Take from the largest ring until the limit is kept.
        """
        while self.used > self.limit and self._rings:
            largest = max(self._rings, key=lambda ring: ring.size)
            if not largest.size:
                return
            largest.shrink(max(largest.size // 8, 1))


class RecordRing:
    """
    The newest tick records of one topic and epoch, bounded in bytes.
    """

    def __init__(self, limit: int, budget: RingBudget) -> None:
        self.size = 0
        self._limit = limit
        self._budget = budget
        #: first sequence number and records; only the last one grows
        self._chunks: deque[tuple[int, bytearray]] = deque()
        self._next = 0
        budget.join(self)

    @property
    def oldest(self) -> int | None:
        """
        Sequence number of the oldest record held, ``None`` when empty.
        """
        return self._chunks[0][0] if self._chunks else None

    @property
    def newest(self) -> int | None:
        """
        Sequence number of the newest record held, ``None`` when empty.
        """
        return self._next - 1 if self._chunks else None

    def last_record(self) -> bytes | None:
        """
        Return the newest record.
        """
        return bytes(self._chunks[-1][1][-RECORD_SIZE:]) if self._chunks else None

    def append(self, first: int, length: int, records: bytes) -> None:
        """
        Keep a run; one that does not follow the newest record clears what was held.
        """
        if first != self._next and self._chunks:
            self.clear()
        self._next = first + length
        added = len(records)
        chunks = self._chunks
        if chunks and len(chunks[-1][1]) + added <= _CHUNK_FILL * RECORD_SIZE:
            chunks[-1][1].extend(records)
        else:
            chunks.append((first, bytearray(records)))
            added += _CHUNK_OVERHEAD
        self.size += added
        self._budget.used += added
        if self.size > self._limit:
            # A sixteenth at once, or every append would have to make room.
            self.shrink(self.size - self._limit + self._limit // 16)
        if self._budget.used > self._budget.limit:
            self._budget.enforce()

    def read(self, first: int, last: int, max_bytes: int) -> Replay:
        """
        Return what is held of ``first..last``, from the first held one on, in one page.
        """
        parts: list[bytearray] = []
        begin = 0
        length = 0
        room = max(max_bytes // RECORD_SIZE, 1)
        for chunk_first, records in self._chunks:
            if chunk_first > last or length >= room:
                break
            low = max(first, chunk_first)
            high = min(
                last,
                chunk_first + len(records) // RECORD_SIZE - 1,
                low + room - length - 1,
            )
            if low > high:
                continue
            if not parts:
                begin = low
            parts.append(
                records[(low - chunk_first) * RECORD_SIZE : (high - chunk_first + 1) * RECORD_SIZE]
            )
            length += high - low + 1
        return Replay(begin, length, b"".join(parts))

    def shrink(self, size: int) -> None:
        """
        Drop the oldest runs, ``size`` bytes of them or a little more.
        """
        freed = 0
        while freed < size and self._chunks:
            freed += len(self._chunks.popleft()[1]) + _CHUNK_OVERHEAD
        self.size -= freed
        self._budget.used -= freed

    def clear(self) -> None:
        """
        Drop everything.
        """
        self._chunks.clear()
        self._budget.used -= self.size
        self.size = 0

    def close(self) -> None:
        """
        Drop everything and leave the budget.
        """
        self.clear()
        self._budget.leave(self)


class BodyRing:
    """
    The newest bodies of a quiet topic (status), bounded in number.
    """

    def __init__(self, limit: int) -> None:
        self._bodies: deque[bytes] = deque(maxlen=limit)
        self._next = 1

    @property
    def oldest(self) -> int | None:
        return self._next - len(self._bodies) if self._bodies else None

    @property
    def newest(self) -> int | None:
        return self._next - 1 if self._bodies else None

    def last_record(self) -> bytes | None:
        """
        Return the newest body.
        """
        return self._bodies[-1] if self._bodies else None

    def append(self, seq: int, body: bytes) -> None:
        """
        Keep the body of the next message.
        """
        self._bodies.append(body)
        self._next = seq + 1

    def read(self, first: int, last: int, max_bytes: int) -> Replay:
        """
        Return what is held of ``first..last``, from the first held one on, in one page.
        """
        oldest = self._next - len(self._bodies)
        low = max(first, oldest)
        parts: list[bytes] = []
        size = 0
        for seq in range(low, min(last, self._next - 1) + 1):
            body = self._bodies[seq - oldest]
            if parts and size + len(body) > max_bytes:
                break
            parts.append(body)
            size += len(body)
        return Replay(low, len(parts), b"".join(parts))
