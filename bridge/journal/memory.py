"""A store in memory, for tests: it commits when told, and can lose what it did not."""

from __future__ import annotations

import dataclasses
import functools
from collections import deque
from collections.abc import Callable, Sequence

from bridge.exceptions import JournalError
from bridge.journal.entry import Account, AliasState, Audit, Entry, EventKey
from bridge.journal.store import (
    SENT_HORIZON_MSC,
    Deliver,
    Done,
    Loaded,
    PutAudit,
    PutCursor,
    PutEntry,
    PutEventKey,
    PutState,
    PutTrade,
    PutVerdict,
    TradeRange,
    Write,
)
from bridge.wire.structures import EventCursor

__all__ = ["MemoryStore"]


class MemoryStore:
    """
    Keeps the journal in memory.

    Without ``deliver``, nothing is durable and no completion is called before ``flush``. With it
    (``loop.call_soon``), every write is durable at once and its completion delivered.
    ``crash`` forgets what was not flushed; a new journal on the same store then starts as after
    a kill. ``fail`` makes writes fail until it is set to ``None``.
    """

    def __init__(self, *, deliver: Deliver | None = None, epoch: int = 1) -> None:
        self.deliver: Deliver = deliver if deliver is not None else self._deliver_later
        self.fail: JournalError | None = None
        self.commits = 0
        self._auto = deliver is not None
        self._epoch = epoch
        self._generation = 0
        self._failed_generation = -1
        self._waiting: deque[tuple[Sequence[Write], Done, int]] = deque()
        self._calls: deque[Callable[[], None]] = deque()
        self._entries: dict[str, Entry] = {}
        self._trade: dict[str, dict[int, tuple[bytes, int]]] = {}
        self._newest: dict[str, int] = {}
        self._events: dict[EventKey, int] = {}
        self._cursors: dict[Account, EventCursor] = {}
        self._states: dict[str, AliasState] = {}
        self._audit: list[Audit] = []

    @property
    def problem(self) -> JournalError | None:
        return self.fail

    def open(self) -> Loaded:
        """
        Return what a start needs.
        """
        newest = max((entry.reserved_utc_msc for entry in self._entries.values()), default=0)
        sent: dict[str, list[int]] = {}
        for entry in self._entries.values():
            if entry.request is not None and entry.reserved_utc_msc > newest - SENT_HORIZON_MSC:
                sent.setdefault(entry.alias, []).append(entry.reserved_utc_msc)
        return Loaded(
            self._epoch,
            [entry for entry in self._entries.values() if not entry.final],
            {alias: self.trade_range(alias) for alias in self._newest},
            dict(self._cursors),
            dict(self._states),
            sent,
        )

    def write(self, writes: Sequence[Write], done: Done) -> None:
        """
        Keep the writes until ``flush``, or apply them now when there is a ``deliver``.
        """
        self._waiting.append((tuple(writes), done, self._generation))
        if self._auto:
            self.flush()

    def flush(self, count: int | None = None) -> None:
        """
        Commit what waits, or the oldest ``count`` writes, and call what is then complete.
        """
        while self._waiting and count != 0:
            self._commit(*self._waiting.popleft())
            if count is not None:
                count -= 1
        self.run_deliveries()

    def commit(self, count: int | None = None) -> None:
        """
        Commit and call nothing: the moment between the disk and the completion.
        """
        while self._waiting and count != 0:
            self._commit(*self._waiting.popleft())
            if count is not None:
                count -= 1

    def run_deliveries(self, count: int | None = None) -> None:
        """
        Call what was delivered, or the oldest ``count`` calls of it.
        """
        while self._calls and count != 0:
            self._calls.popleft()()
            if count is not None:
                count -= 1

    def crash(self) -> None:
        """
        Forget what is not durable, and every completion.
        """
        self._waiting.clear()
        self._calls.clear()
        self._generation += 1

    def recover(self) -> None:
        """
        After a failure: try again.
        """
        self._generation += 1

    def find(self, command_id: str) -> Entry | None:
        """
        Return a durable entry.
        """
        return self._entries.get(command_id)

    def find_by_tag(self, tag: str) -> Entry | None:
        """
        Return the newest durable entry with this tag.
        """
        found = [entry for entry in self._entries.values() if entry.tag == tag]
        return max(found, key=lambda entry: entry.reserved_utc_msc, default=None)

    def children(self, command_id: str) -> list[Entry]:
        """
        Return the durable parts of a command, by id.
        """
        found = [entry for entry in self._entries.values() if entry.parent == command_id]
        return sorted(found, key=lambda entry: entry.command_id)

    def has_event(self, key: EventKey) -> bool:
        """
        Return whether an event is durable.
        """
        return key in self._events

    def read_trade(
        self, alias: str, first: int, last: int, max_bytes: int
    ) -> tuple[int, list[bytes]]:
        """
        Return the first sequence number held, and bodies.
        """
        held = self._trade.get(alias, {})
        start = first
        bodies: list[bytes] = []
        size = 0
        for seq in sorted(seq for seq in held if first <= seq <= last):
            body = held[seq][0]
            if bodies and size + len(body) > max_bytes:
                break
            if not bodies:
                start = seq
            bodies.append(body)
            size += len(body)
        return start, bodies

    def trade_range(self, alias: str) -> TradeRange:
        """
        Return what is held of ``trade/<alias>``.
        """
        held = self._trade.get(alias, {})
        newest = self._newest.get(alias, 0)
        return TradeRange(min(held, default=newest + 1), newest)

    def audit(self, limit: int) -> list[Audit]:
        """
        Return the newest lines of the audit, oldest first.
        """
        return self._audit[-limit:] if limit > 0 else []

    def close(self) -> None:
        """
        Commit what waits.
        """
        self.flush()

    def _deliver_later(self, call: Callable[[], None]) -> None:
        self._calls.append(call)

    def _commit(self, writes: Sequence[Write], done: Done, generation: int) -> None:
        if self.fail is not None or generation <= self._failed_generation:
            error = self.fail or JournalError("a write before this one was lost")
            self._failed_generation = generation
            self.deliver(functools.partial(done, error))
            return
        for write in writes:
            self._apply(write)
        self.commits += 1
        self.deliver(functools.partial(done, None))

    def _apply(self, write: Write) -> None:
        match write:
            case PutEntry(entry):
                if entry.command_id in self._entries:
                    raise AssertionError(f"{entry.command_id} is reserved twice")
                self._entries[entry.command_id] = entry
            case PutVerdict(entry, verdict):
                self._entries[entry.command_id] = dataclasses.replace(entry, verdict=verdict)
            case PutTrade(alias, seq, body, utc_msc):
                self._trade.setdefault(alias, {})[seq] = (body, utc_msc)
                self._newest[alias] = seq
            case PutEventKey(key, utc_msc):
                self._events[key] = utc_msc
            case PutCursor(account, cursor):
                self._cursors[account] = cursor
            case PutState(alias, state):
                self._states[alias] = state
            case PutAudit(audit):
                self._audit.append(audit)
            case _:
                self._remove_old(write.utc_msc)

    def _remove_old(self, utc_msc: int) -> None:
        self._entries = {
            command_id: entry
            for command_id, entry in self._entries.items()
            if not entry.final or entry.touched_utc_msc >= utc_msc
        }
        for alias, held in self._trade.items():
            self._trade[alias] = {seq: kept for seq, kept in held.items() if kept[1] >= utc_msc}
        self._events = {key: taken for key, taken in self._events.items() if taken >= utc_msc}
