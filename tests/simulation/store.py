"""The relay's disk: slow, in groups, torn by a kill, full for a while.

``Disk`` is what survives. ``SimulatedStore`` is one relay's open journal on it: writes wait for
the group before them, and a kill leaves a random beginning of what was on its way.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

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
from tests.simulation.loop import MS, SECOND, Loop

__all__ = ["Disk", "SimulatedStore"]


class Disk:
    """
    What is on the disk; every look-up and every write costs the same, however much there is.
    """

    def __init__(self, epoch: int = 1) -> None:
        self.epoch = epoch
        self.entries: dict[str, Entry] = {}
        self.open: dict[str, Entry] = {}
        self.trade: dict[str, dict[int, tuple[bytes, int]]] = {}
        self.newest: dict[str, int] = {}
        self.events: dict[EventKey, int] = {}
        self.cursors: dict[Account, EventCursor] = {}
        self.states: dict[str, AliasState] = {}
        self.audit: list[Audit] = []
        self.by_tag: dict[str, str] = {}
        self.children: dict[str, list[str]] = {}
        self.sent: dict[str, deque[int]] = {}

    def copy(self) -> Disk:
        """
        Return another disk with the same on it.
        """
        other = Disk(self.epoch)
        for name, value in vars(self).items():
            setattr(other, name, copy.copy(value))
        other.trade = {alias: dict(held) for alias, held in self.trade.items()}
        other.children = {name: list(parts) for name, parts in self.children.items()}
        other.sent = {alias: deque(times) for alias, times in self.sent.items()}
        return other

    def apply(self, writes: Sequence[Write]) -> None:
        """
        Write all of these.
        """
        for write in writes:
            self._apply(write)

    def _apply(self, write: Write) -> None:
        match write:
            case PutTrade(alias, seq, body, utc_msc):
                self.trade.setdefault(alias, {})[seq] = (body, utc_msc)
                self.newest[alias] = seq
            case PutEventKey(key, utc_msc):
                self.events[key] = utc_msc
            case PutCursor(account, cursor):
                self.cursors[account] = cursor
            case PutVerdict(entry, verdict):
                self._keep(dataclasses.replace(entry, verdict=verdict))
            case PutEntry(entry):
                if entry.command_id in self.entries:
                    raise AssertionError(f"{entry.command_id} is reserved twice")
                self._add(entry)
            case PutState(alias, state):
                self.states[alias] = state
            case PutAudit(audit):
                self.audit.append(audit)
            case _:
                self._remove_old(write.utc_msc)

    def _add(self, entry: Entry) -> None:
        self._keep(entry)
        known = self.entries.get(self.by_tag.get(entry.tag, ""))
        if known is None or entry.reserved_utc_msc >= known.reserved_utc_msc:
            self.by_tag[entry.tag] = entry.command_id
        if entry.parent:
            self.children.setdefault(entry.parent, []).append(entry.command_id)
        if entry.request is not None:
            self.sent.setdefault(entry.alias, deque()).append(entry.reserved_utc_msc)

    def _keep(self, entry: Entry) -> None:
        self.entries[entry.command_id] = entry
        if entry.final:
            self.open.pop(entry.command_id, None)
        else:
            self.open[entry.command_id] = entry

    def _remove_old(self, utc_msc: int) -> None:
        gone = [
            name
            for name, entry in self.entries.items()
            if entry.final and entry.touched_utc_msc < utc_msc
        ]
        for name in gone:
            entry = self.entries.pop(name)
            if self.by_tag.get(entry.tag) == name:
                del self.by_tag[entry.tag]
            if entry.parent:
                self.children[entry.parent].remove(name)
        for alias, held in self.trade.items():
            self.trade[alias] = {seq: kept for seq, kept in held.items() if kept[1] >= utc_msc}
        self.events = {key: taken for key, taken in self.events.items() if taken >= utc_msc}

    def load(self) -> Loaded:
        """
        Return what a start needs.
        """
        newest = max((times[-1] for times in self.sent.values() if times), default=0)
        since = newest - SENT_HORIZON_MSC
        return Loaded(
            self.epoch,
            list(self.open.values()),
            {alias: self.range_of(alias) for alias in self.newest},
            dict(self.cursors),
            dict(self.states),
            {alias: [at for at in times if at > since] for alias, times in self.sent.items()},
        )

    def range_of(self, alias: str) -> TradeRange:
        """
        Return what is held of ``trade/<alias>``.
        """
        newest = self.newest.get(alias, 0)
        return TradeRange(next(iter(self.trade.get(alias, {})), newest + 1), newest)


class SimulatedStore:
    """
    One relay's store, as the ``Store`` port wants it.

    Without ``loop`` every write is on the disk at once. ``latency`` returns how long the next
    group takes.
    """

    def __init__(
        self,
        disk: Disk,
        *,
        deliver: Deliver,
        loop: Loop | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.disk = disk
        self.deliver = deliver
        #: why writes fail, and whether that is all that fails
        self.full: JournalError | None = None
        self._loop = loop
        self._rng = rng or random.Random(0)
        self._waiting: deque[tuple[Sequence[Write], Done, int]] = deque()
        self._group: list[tuple[Sequence[Write], Done, int]] = []
        self._generation = 0
        self._failed_generation = -1
        self._alive = True

    @property
    def problem(self) -> JournalError | None:
        return self.full

    def open(self) -> Loaded:
        return self.disk.load()

    def write(self, writes: Sequence[Write], done: Done) -> None:
        self._waiting.append((tuple(writes), done, self._generation))
        if self._loop is None:
            self._commit()
        elif not self._group:
            self._begin()

    def recover(self) -> None:
        self._generation += 1

    def find(self, command_id: str) -> Entry | None:
        return self.disk.entries.get(command_id)

    def find_by_tag(self, tag: str) -> Entry | None:
        return self.disk.entries.get(self.disk.by_tag.get(tag, ""))

    def children(self, command_id: str) -> list[Entry]:
        names = sorted(self.disk.children.get(command_id, ()))
        return [self.disk.entries[name] for name in names]

    def has_event(self, key: EventKey) -> bool:
        return key in self.disk.events

    def read_trade(
        self, alias: str, first: int, last: int, max_bytes: int
    ) -> tuple[int, list[bytes]]:
        held = self.disk.trade.get(alias, {})
        start = max(first, next(iter(held), first))
        bodies: list[bytes] = []
        size = 0
        for seq in range(start, last + 1):
            if seq not in held:
                break
            body = held[seq][0]
            if bodies and size + len(body) > max_bytes:
                break
            bodies.append(body)
            size += len(body)
        return (start if bodies else first), bodies

    def trade_range(self, alias: str) -> TradeRange:
        return self.disk.range_of(alias)

    def audit(self, limit: int) -> list[Audit]:
        return self.disk.audit[-limit:] if limit > 0 else []

    def close(self) -> None:
        self._group, rest = [], [*self._group, *self._waiting]
        self._waiting.clear()
        self._waiting.extend(rest)
        self._commit()

    # --- what the world does -------------------------------------------------------------

    def crash(self) -> None:
        """
        The relay is killed: of what was on its way a random beginning is on the disk.
        """
        under_way = self._group
        self._alive = False
        self._group = []
        self._waiting.clear()
        if self.full is None:
            for writes, _, generation in under_way[: self._rng.randint(0, len(under_way))]:
                if generation > self._failed_generation:
                    self.disk.apply(writes)

    def _latency_us(self) -> int:
        # A disk of a small virtual machine: mostly quick, sometimes busy, now and then stuck.
        chance = self._rng.random()
        if chance < 0.9:
            return self._rng.randint(100, 1_500)
        if chance < 0.998:
            return self._rng.randint(2 * MS, 40 * MS)
        return self._rng.randint(SECOND // 2, SECOND)

    def _begin(self) -> None:
        if self._loop is None or not self._waiting:
            return
        self._group = list(self._waiting)
        self._waiting.clear()
        self._loop.after(self._latency_us(), self._synced)

    def _synced(self) -> None:
        if not self._alive:
            return
        group, self._group = self._group, []
        self._finish(group)
        self._begin()

    def _commit(self) -> None:
        group = list(self._waiting)
        self._waiting.clear()
        self._finish(group)

    def _finish(self, group: Sequence[tuple[Sequence[Write], Done, int]]) -> None:
        calls: list[Callable[[], Any]] = []
        for writes, done, generation in group:
            lost = generation <= self._failed_generation
            failed = self.full is not None and not self.full.writable and bool(writes)
            if lost or failed:
                self._failed_generation = generation
                error = self.full or JournalError("a write before this one was lost")
                calls.append(functools.partial(done, error))
            else:
                self.disk.apply(writes)
                calls.append(functools.partial(done, None))
        for call in calls:
            self.deliver(call)
