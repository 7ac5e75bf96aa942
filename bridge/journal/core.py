"""The journal: which commands there are, what became of them, and what happened to an account.

Pure: no clock, no thread, no file. Times are arguments, the disk is a store, and every method
that writes takes ``done``, which is called exactly once, with ``None`` when what was asked for is
on disk or with the ``JournalError`` that kept it from getting there. It is called through the
store's ``deliver``: for what is written, in the order of the calls; for what is on disk already, at
the next opportunity.

Nothing may leave the process before ``done(None)``: not a NEW before its reservation, not a reply
before its verdict, not an EVENT_ACK before its event.

Memory holds what is open and what is on its way to the disk, and of the rest the newest.
"""

from __future__ import annotations

import bisect
import contextlib
import dataclasses
import functools
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias, TypeVar

from bridge.exceptions import JournalError
from bridge.journal.answers import Change, Diverged, Known, Reservation, Reserved
from bridge.journal.entry import (
    Account,
    AliasState,
    Audit,
    Entry,
    EventKey,
    Verdict,
    successor,
)
from bridge.journal.life import Step, extended
from bridge.journal.pipeline import WritePipeline
from bridge.journal.store import (
    SENT_HORIZON_MSC,
    Done,
    PutAudit,
    PutCursor,
    PutEntry,
    PutEventKey,
    PutState,
    PutTrade,
    PutVerdict,
    RemoveOld,
    Store,
    TradeRange,
    Write,
)
from bridge.model.enums import TradeRequestActions
from bridge.wire.spec import OrderOutcome, TradingState
from bridge.wire.structures import EventCursor

__all__ = [
    "RETENTION_DAYS_MIN",
    "Journal",
    "MakeBody",
]

#: A client may ask again for as long; the broker's history is trusted for longer.
RETENTION_DAYS_MIN: Final = 30
_DAY_MSC: Final = 86_400_000
#: Entries with a final verdict, and event keys, that are at hand without the store.
_RECENT_MAX: Final = 2_048
_EVENTS_MAX: Final = 8_192
#: Before every event.
_NO_PLACE: Final = EventCursor(-(2**63), 0)

#: Given epoch and seq of ``trade/<alias>``, returns the body of the message.
MakeBody: TypeAlias = Callable[[int, int], bytes]

_K = TypeVar("_K")
_V = TypeVar("_V")


class _Live:
    # An entry that is open, or has writes on their way.
    __slots__ = ("durable", "entry", "writes")

    def __init__(self, entry: Entry, *, durable: bool) -> None:
        self.entry = entry
        self.durable = durable
        self.writes = 0


class Journal:
    """
    The commands of all terminals, their events and their trading states. One thread uses it.
    """

    def __init__(self, store: Store, retention_days: int = RETENTION_DAYS_MIN) -> None:
        if retention_days < RETENTION_DAYS_MIN:
            raise ValueError(f"retention_days is at least {RETENTION_DAYS_MIN}")
        self._store = store
        self._retention_msc = retention_days * _DAY_MSC
        self._epoch = 0
        self._pipeline = WritePipeline(store)
        self._live: dict[str, _Live] = {}
        self._tags: dict[str, str] = {}
        self._recent: OrderedDict[str, Entry] = OrderedDict()
        self._events: OrderedDict[EventKey, None] = OrderedDict()
        self._new_events: set[EventKey] = set()
        self._cursors: dict[Account, EventCursor] = {}
        self._new_cursors: dict[Account, EventCursor] = {}
        self._states: dict[str, AliasState] = {}
        self._seqs: dict[str, int] = {}
        self._newest: dict[str, int] = {}
        #: when commands were reserved, in order: clocks are set back at times
        self._sent: dict[str, list[int]] = {}

    # Start and end

    def load(self) -> None:
        """
        Open the store and take what is open into memory.

        Raises:
            JournalError: the journal cannot be trusted; the hint says what to do.
        """
        loaded = self._store.open()
        self._epoch = loaded.epoch
        for entry in sorted(loaded.open, key=_age):
            self._live[entry.command_id] = _Live(entry, durable=True)
            self._tags[entry.tag] = entry.command_id
        self._cursors = dict(loaded.cursors)
        self._new_cursors = dict(loaded.cursors)
        self._states = dict(loaded.states)
        self._newest = {alias: held.newest for alias, held in loaded.trade.items()}
        self._seqs = dict(self._newest)
        self._sent = {alias: sorted(times) for alias, times in loaded.sent.items()}

    def close(self) -> None:
        """
        Write what waits and close the store.
        """
        self._store.close()

    @property
    def epoch(self) -> int:
        """
        The epoch of all ``trade/`` topics: that of the journal, the same as long as it lives.
        """
        return self._epoch

    @property
    def healthy(self) -> JournalError | None:
        """
        ``None``, or why no new risk may be taken. While it is ``writable``, what ends or reduces
        something still can be reserved.
        """
        return self._store.problem

    @property
    def pending(self) -> int:
        """
        How many writes are on their way to the disk.
        """
        return len(self._pipeline)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """
        What is written inside is one transaction: a verdict and the event that tells of it.
        """
        with self._pipeline.together():
            yield

    # Commands

    def open_entries(self, alias: str | None = None) -> list[Entry]:
        """
        Return the commands without a final verdict, oldest first: what may have been sent.

        One whose reservation is not on disk yet is not among them: it was not sent.
        """
        found = [
            live.entry
            for live in self._live.values()
            if live.durable and not live.entry.final and alias in (None, live.entry.alias)
        ]
        return sorted(found, key=_age)

    def find(self, command_id: str) -> Entry | None:
        """
        Return a command as it is known now, be it on disk or on its way.
        """
        live = self._live.get(command_id)
        if live is not None:
            return live.entry
        entry = self._recent.get(command_id)
        if entry is not None:
            self._recent.move_to_end(command_id)
            return entry
        entry = self._store.find(command_id)
        if entry is not None:
            self._remember(entry)
        return entry

    def find_by_tag(self, tag: str) -> Entry | None:
        """
        Return the command whose order has this comment at the broker.
        """
        command_id = self._tags.get(tag)
        return self.find(command_id) if command_id is not None else self._store.find_by_tag(tag)

    def children(self, command_id: str) -> list[Entry]:
        """
        Return the parts of a command, by id.
        """
        found = {entry.command_id: entry for entry in self._store.children(command_id)}
        for live in self._live.values():
            if live.entry.parent == command_id:
                found[live.entry.command_id] = live.entry
        return [found[key] for key in sorted(found)]

    def is_durable(self, command_id: str) -> bool:
        """
        Return whether the reservation of a command is on disk.
        """
        live = self._live.get(command_id)
        return live.durable if live is not None else self.find(command_id) is not None

    def known(self, command_id: str, content_hash: bytes, done: Done) -> Known | Diverged | None:
        """
        Return what is there under an id, without reserving it; ``done`` as with ``reserve``.

        A command that is known is answered from the journal, whatever the policy says by now:
        ask this first, then the policy, then ``reserve``.
        """
        entry = self.find(command_id)
        if entry is None:
            return None
        if entry.content_hash != content_hash:
            return Diverged(entry)
        self._when_durable(command_id, done)
        return Known(entry)

    def reserve(
        self, entries: Sequence[Entry], done: Done, *, reducing: bool = False
    ) -> Reservation:
        """
        Reserve new commands, all in one transaction (a ``close_all`` and its parts), or none.

        The first one whose id is there decides: ``Known`` or ``Diverged``, and nothing is written.
        ``done`` is called once for Reserved and Known, not for Diverged, and with a store that
        delivers later never before this returned. After an error the ids are free again and
        nothing may be sent.
        While the journal is not ``healthy`` only what is ``reducing`` is written, if anything.

        Raises:
            ValueError: no entry, an id twice, or one with a verdict: a defect of the caller.
        """
        ids = [entry.command_id for entry in entries]
        if not ids or len(set(ids)) != len(ids):
            raise ValueError("reserve needs entries with different ids")
        for entry in entries:
            if entry.verdict is not None:
                raise ValueError(f"{entry.command_id} has a verdict before it is reserved")
            known = self.known(entry.command_id, entry.content_hash, done)
            if known is not None:
                return known
        reserved = Reserved(tuple(entries))
        problem = self._store.problem
        if problem is not None and not (reducing and problem.writable):
            self._store.deliver(functools.partial(done, problem))
            return reserved
        for entry in entries:
            self._live[entry.command_id] = _Live(entry, durable=False)
            self._tags[entry.tag] = entry.command_id
            if entry.request is not None:
                self._count(entry.alias, entry.reserved_utc_msc)
        self._pipeline.submit(
            [PutEntry(entry) for entry in entries],
            done,
            undo=functools.partial(self._unreserve, reserved.entries),
            settle=functools.partial(self._settle_reservation, ids),
        )
        return reserved

    def note(self, command_id: str, step: Step) -> None:
        """
        Keep a step of a command's life that changes nothing. It gets to disk with what does.
        """
        live = self._live.get(command_id)
        if live is not None:
            live.entry = dataclasses.replace(live.entry, life=extended(live.entry.life, step))

    def record(
        self,
        command_id: str,
        verdict: Verdict,
        now_utc_msc: int,
        done: Done,
        *,
        step: Step | None = None,
    ) -> Change:
        """
        Take a verdict, if the rule of ``successor`` lets it replace the present one.

        A command that is not on disk cannot have one: ``Change(None, False, False)``, and then,
        as when nothing changes, ``done`` is called when what is known of the command is on disk.
        ``step`` is the verdict's in the command's life.
        """
        live = self._live.get(command_id)
        entry = live.entry if live is not None else self.find(command_id)
        if entry is None or (live is not None and not live.durable):
            self._pipeline.submit((), done)
            return Change(None, changed=False, corrected=False)
        if verdict.utc_msc == 0:
            verdict = dataclasses.replace(verdict, utc_msc=now_utc_msc)
        after = successor(entry.verdict, verdict)
        if after is None:
            if step is not None and not entry.final:
                self.note(command_id, step)
            self._when_durable(command_id, done)
            return Change(entry, changed=False, corrected=False)
        was_corrected = entry.verdict is not None and entry.verdict.corrected
        return self._amend(entry, after, (), was_corrected=was_corrected, done=done, step=step)

    def resolve(
        self,
        command_id: str,
        executed: bool,  # noqa: FBT001 - the whole question, and the method's only answer
        evidence: str,
        who: str,
        order: int,
        deal: int,
        now_utc_msc: int,
        done: Done,
        *,
        step: Step | None = None,
    ) -> Change:
        """
        Take a person's word for what became of a command that nobody else can find out about.

        Executed: PLACED for a pending order, DONE for all else; not executed: NOT_FOUND. It is
        in the audit with ``who`` and ``evidence``. A command with a final verdict is not
        changed. The rules of ``record`` go on to hold: evidence of the trade server that a
        command resolved as not executed was executed after all is a correction.
        """
        live = self._live.get(command_id)
        entry = live.entry if live is not None else self.find(command_id)
        if entry is None or entry.final or (live is not None and not live.durable):
            self._pipeline.submit((), done)
            return Change(entry, changed=False, corrected=False)
        pending = entry.request is not None and entry.request.action == TradeRequestActions.PENDING
        outcome = OrderOutcome.NOT_FOUND
        if executed:
            outcome = OrderOutcome.PLACED if pending else OrderOutcome.DONE
        before = entry.verdict if entry.verdict is not None else Verdict(outcome=outcome)
        verdict = dataclasses.replace(
            before,
            outcome=outcome,
            order=order or before.order,
            deal=deal or before.deal,
            deals=tuple(dict.fromkeys((*before.deals, *([deal] if deal else [])))),
            reason="" if executed else "NOT_EXECUTED",
            text="",
            hop="relay",
            evidence_text=evidence,
            resolved_by=who,
            utc_msc=now_utc_msc,
        )
        word = "executed" if executed else "not executed"
        audit = Audit(now_utc_msc, who, f"resolve: {word}", command_id, evidence)
        was_corrected = before.corrected
        return self._amend(
            entry, verdict, (PutAudit(audit),), was_corrected=was_corrected, done=done, step=step
        )

    def sent_since(self, alias: str, utc_msc: int) -> int:
        """
        Return how many commands to a terminal were reserved at or after a time, over restarts;
        it may lie up to an hour back.
        """
        times = self._sent.get(alias, [])
        return len(times) - bisect.bisect_left(times, utc_msc)

    # Events

    def note_event(
        self,
        alias: str,
        account: Account,
        kind: int,
        ticket: int,
        cursor: EventCursor | None,
        make_body: MakeBody,
        done: Done,
        *,
        now_utc_msc: int,
        state: str = "",
    ) -> int | None:
        """
        Take an event of a terminal and return its number in ``trade/<alias>``.

        ``None``: it is a repetition, and ``done`` is called when the first one is on disk, and
        whatever was noted before the repetition. An event is known by account, kind, ticket and
        ``state``; one without ``cursor`` and ``state`` (ORDER, POSITION, REQUEST) is never a
        repetition. ``make_body`` is called before this returns, and only for an event that is
        new; publish its body at ``done(None)``.
        """
        key = EventKey(account, kind, ticket, state) if cursor is not None or state else None
        if key is not None and self._is_repetition(key, done):
            return None
        writes: list[Write] = [PutEventKey(key, now_utc_msc)] if key is not None else []
        place_before = self._new_cursors.get(account)
        place = cursor if cursor is not None and cursor > (place_before or _NO_PLACE) else None
        if place is not None:
            writes.append(PutCursor(account, place))
        seq = self._append(alias, make_body, now_utc_msc, writes)
        if place is not None:
            self._new_cursors[account] = place
        if key is not None:
            self._new_events.add(key)

        def undo() -> None:
            self._seqs[alias] = seq - 1
            if key is not None:
                self._new_events.discard(key)
            if place is not None:
                _restore(self._new_cursors, account, place_before)

        def settle() -> None:
            self._newest[alias] = seq
            if key is not None:
                self._new_events.discard(key)
                self._remember_event(key)
            if place is not None:
                self._cursors[account] = place

        self._pipeline.submit(writes, done, undo=undo, settle=settle)
        return seq

    def append_life(self, alias: str, make_body: MakeBody, done: Done, *, now_utc_msc: int) -> int:
        """
        Number an ORDER_LIFE or VERDICT_CORRECTED event of the relay in ``trade/<alias>``.

        Call it inside of ``together`` with the ``reserve`` or ``record`` that it tells of.
        """
        writes: list[Write] = []
        seq = self._append(alias, make_body, now_utc_msc, writes)

        def undo() -> None:
            self._seqs[alias] = seq - 1

        def settle() -> None:
            self._newest[alias] = seq

        self._pipeline.submit(writes, done, undo=undo, settle=settle)
        return seq

    def read_trade(
        self, alias: str, first: int, last: int, max_bytes: int
    ) -> tuple[int, list[bytes]]:
        """
        Return what is on disk of ``first..last``: the number of the first body, and the bodies
        from there on without a gap, of at most ``max_bytes`` but at least one if any is held.
        """
        return self._store.read_trade(
            alias, first, min(last, self._newest.get(alias, 0)), max_bytes
        )

    def newest(self, alias: str) -> tuple[int, int]:
        """
        Return epoch and number of the newest event on disk; number 0: none yet.
        """
        return self._epoch, self._newest.get(alias, 0)

    def trade_range(self, alias: str) -> TradeRange:
        """
        Return the oldest and the newest number of ``trade/<alias>`` that can be read.
        """
        return self._store.trade_range(alias)

    def event_cursor(self, alias: str, login: int, server: str) -> EventCursor | None:
        """
        Return the place for WELCOME: that of the newest event on disk of the account.
        """
        del alias  # an account keeps its place when its terminal gets another name
        return self._cursors.get(Account(login, server))

    def begin_events(self, account: Account, cursor: EventCursor, done: Done) -> None:
        """
        Note from where an account's events are wanted, if none of them was noted yet.

        Without it, a kill before the first event is on disk would lose that event: WELCOME
        without a place means "begin now".
        """
        if account in self._new_cursors:
            self._pipeline.submit((), done)
            return
        self._new_cursors[account] = cursor

        def undo() -> None:
            del self._new_cursors[account]

        def settle() -> None:
            self._cursors.setdefault(account, cursor)

        self._pipeline.submit([PutCursor(account, cursor)], done, undo=undo, settle=settle)

    # Trading states

    def state_of(self, alias: str) -> AliasState:
        """
        Return the trading state of a terminal, with who set it, when and why.
        """
        return self._states.get(alias, AliasState())

    def set_state(
        self,
        alias: str,
        state: TradingState,
        reason: str,
        who: str,
        done: Done,
        *,
        now_utc_msc: int,
    ) -> None:
        """
        Set the trading state. It holds at once, and after a restart when ``done(None)`` was called.

        Should it not get to disk, the stricter of the old and the new one stays.
        """
        before = self._states.get(alias)
        after = AliasState(state, reason, who, now_utc_msc)
        self._states[alias] = after

        def undo() -> None:
            now = self._states.get(alias, AliasState())
            old = before if before is not None else AliasState()
            if old.state >= now.state:
                _restore(self._states, alias, before)

        audit = Audit(now_utc_msc, who, state.name, alias, reason)
        self._pipeline.submit([PutState(alias, after), PutAudit(audit)], done, undo=undo)

    def audit(self, limit: int = 100) -> list[Audit]:
        """
        Return what persons did, the newest ``limit`` lines, oldest first.
        """
        return self._store.audit(limit)

    # Retention

    def expire(self, now_utc_msc: int) -> None:
        """
        Forget what is older than the retention, a part of it: call it every minute or so.

        A command without a final verdict is never forgotten.
        """
        before = now_utc_msc - self._retention_msc
        for command_id in [
            key for key, old in self._recent.items() if old.touched_utc_msc < before
        ]:
            del self._recent[command_id]
        self._events.clear()
        self._pipeline.submit([RemoveOld(before)], _ignore)

    # Inside

    def _amend(
        self,
        entry: Entry,
        verdict: Verdict,
        more: Sequence[Write],
        *,
        was_corrected: bool,
        done: Done,
        step: Step | None,
    ) -> Change:
        command_id = entry.command_id
        corrected = verdict.corrected and not was_corrected
        life = entry.life
        if step is not None:
            life = extended(life, step._replace(changed=True, corrected=corrected))
        after = dataclasses.replace(entry, verdict=verdict, life=life)
        live = self._live.get(command_id)
        if live is None:
            live = self._live[command_id] = _Live(entry, durable=True)
            self._tags[entry.tag] = command_id
            self._recent.pop(command_id, None)
        live.entry = after
        live.writes += 1

        def undo() -> None:
            # What was said stays said.
            live.entry = dataclasses.replace(entry, life=live.entry.life)
            live.writes -= 1
            self._rest(command_id)

        def settle() -> None:
            live.writes -= 1
            self._rest(command_id)

        self._pipeline.submit([PutVerdict(after, verdict), *more], done, undo=undo, settle=settle)
        return Change(after, changed=True, corrected=corrected)

    def _rest(self, command_id: str) -> None:
        # An entry with a final verdict and no write on its way may leave the memory.
        live = self._live[command_id]
        if live.writes == 0 and live.durable and live.entry.final:
            del self._live[command_id]
            if self._tags.get(live.entry.tag) == command_id:
                del self._tags[live.entry.tag]
            self._remember(live.entry)

    def _remember(self, entry: Entry) -> None:
        self._recent[entry.command_id] = entry
        self._recent.move_to_end(entry.command_id)
        if len(self._recent) > _RECENT_MAX:
            self._recent.popitem(last=False)

    def _is_repetition(self, key: EventKey, done: Done) -> bool:
        if key in self._new_events:
            self._pipeline.submit((), done)
            return True
        if key not in self._events:
            if not self._store.has_event(key):
                return False
            self._remember_event(key)
        if len(self._pipeline):
            # What is told in its turn says that everything before it is on disk as well.
            self._pipeline.submit((), done)
        else:
            self._store.deliver(functools.partial(done, None))
        return True

    def _remember_event(self, key: EventKey) -> None:
        self._events[key] = None
        if len(self._events) > _EVENTS_MAX:
            self._events.popitem(last=False)

    def _append(
        self, alias: str, make_body: MakeBody, now_utc_msc: int, writes: list[Write]
    ) -> int:
        seq = self._seqs.get(alias, 0) + 1
        writes.append(PutTrade(alias, seq, make_body(self._epoch, seq), now_utc_msc))
        self._seqs[alias] = seq
        return seq

    def _count(self, alias: str, utc_msc: int) -> None:
        times = self._sent.setdefault(alias, [])
        bisect.insort(times, utc_msc)
        del times[: bisect.bisect_left(times, times[-1] - SENT_HORIZON_MSC)]

    def _unreserve(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            del self._live[entry.command_id]
            if self._tags.get(entry.tag) == entry.command_id:
                del self._tags[entry.tag]
            if entry.request is not None and entry.reserved_utc_msc in self._sent[entry.alias]:
                self._sent[entry.alias].remove(entry.reserved_utc_msc)

    def _settle_reservation(self, command_ids: Sequence[str]) -> None:
        for command_id in command_ids:
            self._live[command_id].durable = True

    def _when_durable(self, command_id: str, done: Done) -> None:
        live = self._live.get(command_id)
        if live is not None and (not live.durable or live.writes):
            self._pipeline.submit((), done)
        else:
            # On disk already: it can be answered even when the disk takes no more.
            self._store.deliver(functools.partial(done, None))


def _age(entry: Entry) -> tuple[int, str]:
    return entry.reserved_utc_msc, entry.command_id


def _ignore(error: JournalError | None) -> None:
    del error  # what was not forgotten now is forgotten next time


def _restore(table: dict[_K, _V], key: _K, value: _V | None) -> None:
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value
