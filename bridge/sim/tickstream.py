"""One symbol's stream on the terminal's side: numbers, log, and the memory of what was taken.

The log holds the records numbered last, the cursor behind each, and is the send queue: what
the relay did not take is sent again byte for byte. The memory holds the last minute of ticks
that were taken, so that a second reading of the history shows what came late and what is gone.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, deque
from typing import TYPE_CHECKING, Final, NamedTuple

from bridge.model.record import RECORD_SIZE, Cursor, extend_cursor, pack_record
from bridge.model.tick import MqlTick, TickFlag
from bridge.sim.tickreader import cursor_over, is_usable, time_of

if TYPE_CHECKING:
    from bridge.model.symbol import SymbolSpec

__all__ = ["BATCH", "MEMORY_MSC", "Settling", "TickLog", "TickStream"]

#: Ticks taken of a symbol in one poll.
BATCH: Final = 512
#: How far back re-reading finds late ticks, in server time and in ticks.
MEMORY_MSC: Final = 60_000
_MEMORY_TICKS: Final = 65_536

_LATE: Final = int(TickFlag.LATE)
#: MetaTrader's flags; the bits above are ours.
_MQL_FLAGS: Final = 0xFF

#: What makes two ticks the same one: all but the flags, as in the cursor's CRC.
_Key = tuple[int, float, float, float, float]


class Settling(NamedTuple):
    """
    After an outage, until two readings of the history agree.
    """

    since_us: int
    previous: list[MqlTick] | None = None


class TickLog:
    """
    Numbered records and the cursor behind each.
    """

    __slots__ = ("before", "cursors", "first_seq", "records")

    def __init__(self, first_seq: int, before: Cursor) -> None:
        self.first_seq = first_seq
        #: the cursor before the first record
        self.before = before
        self.records = bytearray()
        self.cursors: list[Cursor] = []

    def read(self, seq: int, length: int) -> bytearray:
        """
        Return ``length`` records from ``seq`` on; the log must hold them.
        """
        start = (seq - self.first_seq) * RECORD_SIZE
        return self.records[start : start + length * RECORD_SIZE]

    def drop(self, length: int) -> None:
        """
        Forget the oldest ``length`` records.
        """
        self.before = self.cursors[length - 1]
        del self.records[: length * RECORD_SIZE], self.cursors[:length]
        self.first_seq += length

    def set_last_cursor(self, cursor: Cursor) -> None:
        """
        The place behind the newest record has changed.
        """
        if self.cursors:
            self.cursors[-1] = cursor
        else:
            self.before = cursor


class TickStream:
    """
    The state of one stream. ``TickCollector`` decides, this keeps it consistent.
    """

    __slots__ = (
        "acknowledged",
        "behind",
        "catching_up",
        "cursor",
        "digits",
        "disorder_seq",
        "epoch",
        "gone",
        "kept",
        "late",
        "late_numbered",
        "log",
        "look_again_us",
        "memory",
        "memory_from_msc",
        "next_seq",
        "not_before_us",
        "pinned_msc",
        "point",
        "queued",
        "send_seq",
        "settling",
        "symbol",
        "symbol_id",
        "unusable",
        "watch_until_us",
    )

    def __init__(self, symbol: str, spec: SymbolSpec) -> None:
        self.symbol = symbol
        self.digits = spec.digits
        self.point = spec.point
        #: 0 while the relay does not listen
        self.symbol_id = 0
        #: -1: never begun
        self.epoch = 0
        #: whether the relay has taken a record of this epoch
        self.acknowledged = False
        #: the next record to send, and whether the stream waits for its turn
        self.send_seq = 1
        self.queued = False
        #: ticks left out because no relay would take them
        self.unusable = 0
        #: newest number that a second reading of the history might give to another tick
        self.disorder_seq = 0
        #: the memory reaches back to here, however old that is
        self.pinned_msc: int | None = None
        self.watch_until_us = 0
        self.look_again_us = 0
        self.not_before_us = 0
        self.place(-1, 1, Cursor(0, 0, 0), [], 0)

    def place(
        self, epoch: int, next_seq: int, cursor: Cursor, taken: list[MqlTick], from_msc: int
    ) -> None:
        """
        Number from here on: ``taken`` are the ticks through the cursor, from a time on.
        """
        if epoch != self.epoch:
            self.disorder_seq = 0
            #: late ticks of this epoch with their numbers
            self.late_numbered: deque[tuple[int, MqlTick]] = deque(maxlen=_MEMORY_TICKS)
            self.acknowledged = False
        self.epoch = epoch
        self.next_seq = next_seq
        self.cursor = cursor
        self.log = TickLog(next_seq, cursor)
        #: False when the log was given up
        self.kept = True
        #: what was taken, in order of time, complete from ``memory_from_msc`` on
        self.memory = list(taken)
        self.memory_from_msc = from_msc
        #: taken, and not in the history any more
        self.gone: Counter[_Key] = Counter()
        #: found behind the cursor and not numbered yet
        self.late: list[MqlTick] = []
        self.settling: Settling | None = None
        #: ticks are not live until the first read that did not fill its slice
        self.catching_up = True
        #: whether the last read filled its slice
        self.behind = True

    def give_up(self) -> None:
        """
        The relay unsubscribed: what it has not taken can only be had by reading again.
        """
        self.log = TickLog(self.next_seq, self.cursor)
        self.settling = None
        self.symbol_id = 0
        self.kept = False

    def late_since(self, seq: int, before_msc: int) -> list[MqlTick]:
        """
        Return the ticks before a time that were found late and numbered behind ``seq``.
        """
        numbered = [tick for number, tick in self.late_numbered if number > seq]
        return [tick for tick in (*numbered, *self.late) if tick.time_msc < before_msc]

    @property
    def unsent(self) -> int:
        return self.next_seq - self.send_seq

    def number(self, ticks: list[MqlTick], extra_flags: int, utc_offset_min: int) -> None:
        """
        Make records of ticks that follow the cursor. Hot path: 2 us a tick.
        """
        log = self.log
        records, append = log.records, log.cursors.append
        epoch, seq, cursor, gone = self.epoch, self.next_seq, self.cursor, self.gone
        silent = False
        for tick in ticks:
            cursor = extend_cursor(cursor, tick)
            if not is_usable(tick):
                self.unusable += 1
                silent = True
            elif gone and self._came_back(tick):
                silent = True
            else:
                known = tick if tick[5] <= _MQL_FLAGS else _without_our_flags(tick)
                records += pack_record(epoch, seq, known, utc_offset_min, extra_flags)
                append(cursor)
                seq += 1
                silent = False
        if silent:
            log.set_last_cursor(cursor)
        self.next_seq = seq
        self.cursor = cursor
        self.memory += ticks

    def number_late(self, utc_offset_min: int) -> None:
        """
        Make records of the next late ticks. The cursor behind each fits no history, except
        behind the last one: from there on nothing is missing.
        """
        log, cursor = self.log, self.cursor
        unfit = cursor._replace(crc=cursor.crc ^ 0xFFFF_FFFF)
        portion = self.late[:BATCH]
        del self.late[:BATCH]
        for tick in portion:
            log.records += pack_record(
                self.epoch, self.next_seq, _without_our_flags(tick), utc_offset_min, _LATE
            )
            log.cursors.append(unfit)
            self.late_numbered.append((self.next_seq, tick))
            self.next_seq += 1
        if not self.late:
            log.set_last_cursor(cursor)
        self.disorder_seq = self.next_seq - 1

    def compare(self, found: list[MqlTick], through_msc: int) -> tuple[int, int]:
        """
        Compare the history from ``memory_from_msc`` through a time with what was taken.

        Return how many ticks were found late, and how many are gone. The late ones wait in
        ``late``; the cursor is at the same time, and fits the history as it is now.
        """
        cursor = self.cursor
        time_msc, count, _ = cursor
        if through_msc >= time_msc:
            begin = bisect_left(found, time_msc, key=time_of)
            end = bisect_right(found, time_msc, key=time_of)
            if cursor_over(time_msc, found[begin : min(begin + count, end)]) == cursor:
                # Further ticks of this millisecond simply follow.
                found = found[: begin + count]
            else:
                found = found[:end]
                cursor = cursor_over(time_msc, found[begin:])
        split = bisect_right(self.memory, through_msc, key=time_of)
        if found == self.memory[:split]:
            return 0, 0
        taken = Counter(tick[:5] for tick in self.memory[:split])
        there = Counter(tick[:5] for tick in found)
        missing, gone = there - taken, taken - there
        late = []
        for tick in found:
            if missing.get(tick[:5], 0) > 0:
                missing[tick[:5]] -= 1
                late.append(tick)
        # What was known to be gone is not counted again.
        new_gone = (gone - self.gone).total()
        self.gone = gone + Counter({k: n for k, n in self.gone.items() if k[0] > through_msc})
        self.memory = sorted(
            (*found, *(MqlTick(*key, flags=0) for key in gone.elements()), *self.memory[split:]),
            key=time_of,
        )
        self.late += [tick for tick in late if is_usable(tick)]
        if cursor != self.cursor:
            self.cursor = cursor
            self.log.set_last_cursor(cursor)
        if new_gone:
            self.disorder_seq = self.next_seq - 1
        return len(late), new_gone

    def prune(self, log_records: int) -> None:
        """
        Forget the oldest of log and memory; never what is not sent yet.
        """
        excess = len(self.log.cursors) - max(log_records, self.unsent)
        if excess > 0:
            self.log.drop(excess)
        memory = self.memory
        newest_msc = self.cursor.time_msc
        oldest_msc = newest_msc - MEMORY_MSC
        if self.pinned_msc is not None:
            oldest_msc = min(oldest_msc, self.pinned_msc)
        # In portions, because each cut moves the whole list.
        too_many = len(memory) > _MEMORY_TICKS * 5 // 4
        if too_many or (memory and memory[0][0] < oldest_msc - MEMORY_MSC // 4):
            if too_many:
                oldest_msc = max(oldest_msc, memory[-_MEMORY_TICKS][0])
            oldest_msc = min(oldest_msc, newest_msc)
            del memory[: bisect_left(memory, oldest_msc, key=time_of)]
            self.memory_from_msc = max(self.memory_from_msc, oldest_msc)
            if self.gone:
                self.gone = Counter({k: n for k, n in self.gone.items() if k[0] >= oldest_msc})

    def _came_back(self, tick: MqlTick) -> bool:
        # It had disappeared from the history after it was taken, and is there again.
        key = tick[:5]
        if self.gone.get(key, 0) <= 0:
            return False
        self.gone -= Counter([key])
        # number() remembers it once more: forget the first time.
        for index in range(bisect_left(self.memory, tick[0], key=time_of), len(self.memory)):
            if self.memory[index][:5] == key:
                del self.memory[index]
                break
        return True


def _without_our_flags(tick: MqlTick) -> MqlTick:
    return tick._replace(flags=tick.flags & _MQL_FLAGS)
