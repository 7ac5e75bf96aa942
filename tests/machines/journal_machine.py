"""Any order of calls, commits, failures and crashes: the journal against what must hold.

The model knows what was acknowledged. Whatever happens, the journal may know more than that,
never less, and nothing of what it said was lost, but for what is older than the retention.
"""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis.stateful import invariant, precondition, rule

from bridge.exceptions import JournalError
from bridge.journal import (
    EXECUTED,
    NOT_EXECUTED,
    Account,
    Diverged,
    EventKey,
    Journal,
    Known,
    MemoryStore,
    Reserved,
    Verdict,
    is_final,
)
from bridge.model.enums import TradeRequestActions
from bridge.wire.spec import EventKind, OrderOutcome, TradingState
from bridge.wire.structures import EventCursor
from tests.machines.journal_file import HeldFile
from tests.machines.running import Machine
from tests.support.journal import ALIAS, DAY, LOGIN, NOW, SERVER, make_entry

__all__ = ["JournalFileMachine", "JournalMachine"]

EPOCH = 7
ACCOUNT = Account(LOGIN, SERVER)
MINUTE = 60_000
HOUR = 3_600_000
RETENTION = 30 * DAY
CONTENTS = ("x", "y")
NAMES = st.sampled_from([f"s/{number}" for number in range(6)])
OUTCOMES = st.sampled_from(
    [outcome for outcome in OrderOutcome if outcome != OrderOutcome.NEVER_SEEN]
)
TICKETS = st.integers(1, 5)
HASHES = {content: make_entry("s/1", content=content).content_hash for content in CONTENTS}


class JournalMachine(Machine):
    """
    Drives one store through many lives of the journal.
    """

    def __init__(self):
        super().__init__()
        self.store = self.make_store()
        self.journal = None
        self.waiting = 0
        self.now = NOW
        #: the time before which things may be forgotten
        self.forgotten_before = 0
        # What was acknowledged, over all lives.
        self.contents = {}
        self.executed = set()
        self.ended = set()
        #: what has an end on disk, although a crash may have kept anybody from hearing of it
        self.maybe_ended = set()
        self.denied_by_a_person = set()
        self.events = {}
        self.noted = {}
        self.bodies = {}
        self.touched = {}
        #: every reservation that was tried
        self.tried = []
        self.begin()
        for number in range(3):
            self.reserve(f"s/{number}", "x")

    def make_store(self):
        return MemoryStore(epoch=EPOCH)

    def begin(self):
        self.journal = Journal(self.store)
        self.journal.load()
        self.waiting = 0

    def done(self, acknowledge):
        # Each completion comes at most once; in a life that is not ended, exactly once.
        self.waiting += 1
        life = self.journal
        called = []

        def done(error):
            assert not called
            called.append(error)
            assert life is self.journal
            self.waiting -= 1
            if error is None:
                acknowledge()

        return done

    # --- commands -------------------------------------------------------------------------

    @rule(name=NAMES, content=st.sampled_from(CONTENTS), written=st.booleans())
    def reserve(self, name, content, written=True):
        now = self.now
        entry = make_entry(name, content=content, reserved=now)

        def acknowledge():
            if self.contents.setdefault(name, content) != content:
                # The first one is older than the retention.
                assert self.touched[name] < self.forgotten_before
                self.contents[name] = content
            if isinstance(answer, Reserved):
                self.touch(name, now)

        done = self.done(acknowledge)
        known = self.journal.find(name)
        answer = self.journal.reserve([entry], done)
        if isinstance(answer, Diverged):
            self.waiting -= 1
            assert answer.entry.content_hash != entry.content_hash
            assert known is not None
            return
        assert isinstance(answer, Known | Reserved)
        assert isinstance(answer, Known) == (known is not None)
        if isinstance(answer, Reserved):
            self.tried.append((name, self.now))
            if name in self.touched:
                self.forget(name)
        if written:
            self.store.flush()

    def forget(self, name):
        # It may only be gone when its end is old.
        assert name in self.maybe_ended
        assert self.touched[name] < self.forgotten_before
        del self.touched[name]
        self.contents.pop(name, None)
        for names in (self.executed, self.ended, self.maybe_ended, self.denied_by_a_person):
            names.discard(name)

    def touch(self, name, now):
        self.touched[name] = max(now, self.touched.get(name, 0))

    @rule(name=NAMES, outcome=OUTCOMES, deal=TICKETS, written=st.booleans())
    def record(self, name, outcome, deal, written):
        deals = (deal,) if outcome in EXECUTED else ()
        now = self.now

        def acknowledge():
            if not change.changed:
                return
            self.touch(name, now)
            if change.entry.verdict.outcome in EXECUTED:
                self.executed.add(name)
            if change.entry.verdict.outcome in NOT_EXECUTED:
                self.ended.add(name)

        before = self.journal.find(name)
        durable = before is not None and self.journal.is_durable(name)
        change = self.journal.record(
            name, Verdict(outcome=outcome, deals=deals), self.now, self.done(acknowledge)
        )
        assert durable == (change.entry is not None)
        if change.changed and change.entry.final:
            self.maybe_ended.add(name)
        if change.corrected:
            assert before.verdict.outcome in NOT_EXECUTED
            assert outcome in EXECUTED
        if written:
            self.store.flush()

    @rule(name=NAMES, executed=st.booleans())
    def resolve(self, name, executed):
        now = self.now

        def acknowledge():
            if change.changed:
                self.touch(name, now)
                (self.executed if executed else self.ended).add(name)

        before = self.journal.find(name)
        done = self.done(acknowledge)
        change = self.journal.resolve(name, executed, "seen", "ann", 1, 2, self.now, done)
        assert not (change.changed and before.final)
        if change.changed:
            self.maybe_ended.add(name)
            if not executed:
                # PLACED is no end of a deal: a person knows that nothing came of it.
                self.denied_by_a_person.add(name)

    # --- events ---------------------------------------------------------------------------

    @rule(ticket=TICKETS, kind=st.sampled_from([EventKind.DEAL, EventKind.ORDER_CLOSED]))
    def note_event(self, ticket, kind):
        made = []

        def make(epoch, seq):
            made.append(seq)
            return f"{epoch}/{seq}/{kind}/{ticket}".encode()

        now = self.now

        def acknowledge():
            if seq is None:
                # It is on disk, although a crash may have kept anybody from hearing of it.
                is_old = self.noted[kind, ticket] < self.forgotten_before
                assert self.store.has_event(EventKey(ACCOUNT, kind, ticket)) or is_old
            else:
                told = self.events.get((kind, ticket))
                assert told is None or told < self.forgotten_before
                self.events[kind, ticket] = now
                self.publish(seq, f"{EPOCH}/{seq}/{kind}/{ticket}".encode(), now)

        seq = self.journal.note_event(
            ALIAS,
            ACCOUNT,
            kind,
            ticket,
            EventCursor(ticket * 10, ticket),
            make,
            self.done(acknowledge),
            now_utc_msc=self.now,
        )
        assert made == ([] if seq is None else [seq])
        if seq is not None:
            self.noted[kind, ticket] = now

    @rule()
    def append_life(self):
        now = self.now

        def acknowledge():
            self.publish(seq, b"life %d" % seq, now)

        seq = self.journal.append_life(
            ALIAS, lambda _, seq: b"life %d" % seq, self.done(acknowledge), now_utc_msc=now
        )

    def publish(self, seq, body, now):
        # Subscribers see each number once, and in order.
        assert seq not in self.bodies
        assert seq > max(self.bodies, default=0)
        self.bodies[seq] = (body, now)

    @rule(state=st.sampled_from(list(TradingState)))
    def set_state(self, state):
        def acknowledge():
            assert self.journal.state_of(ALIAS).reason == "x"

        done = self.done(acknowledge)
        self.journal.set_state(ALIAS, state, "x", "ann", done, now_utc_msc=self.now)

    # --- the disk -------------------------------------------------------------------------

    @rule(count=st.none() | st.integers(1, 3))
    def flush(self, count):
        self.store.flush(count)
        if count is None:
            assert 0 == self.waiting == self.journal.pending

    @rule(count=st.integers(1, 3))
    def fail(self, count):
        self.store.fail = JournalError("the disk is full")
        self.store.flush(count)
        self.store.fail = None
        self.store.flush()
        assert 0 == self.waiting == self.journal.pending

    @rule(committed=st.integers(0, 3))
    def crash(self, committed):
        self.store.commit(committed)
        self.store.crash()
        self.journal = None
        self.begin()

    @rule(ms=st.sampled_from([1, MINUTE, HOUR, 2 * DAY, 40 * DAY]))
    def pass_time(self, ms):
        self.now += ms

    @rule()
    def expire(self):
        self.forgotten_before = self.now - RETENTION
        self.journal.expire(self.now)

    # --- what holds -----------------------------------------------------------------------

    @precondition(lambda self: self.journal.pending == 0)
    @rule()
    def a_restart_changes_nothing(self):
        before = self.journal
        facts = self.facts()
        self.restart()
        # A halt that could not be written holds in that life only.
        assert self.journal.state_of(ALIAS).state <= before.state_of(ALIAS).state
        assert facts == self.facts()

    def restart(self):
        # Deliveries of what is on disk already may be on their way.
        self.store.flush()
        self.store.crash()
        self.begin()

    def facts(self):
        journal = self.journal
        return (
            [(entry.command_id, entry.verdict) for entry in journal.open_entries()],
            journal.newest(ALIAS),
            journal.event_cursor(ALIAS, *ACCOUNT),
            journal.sent_since(ALIAS, self.now - MINUTE),
        )

    @invariant()
    def nothing_acknowledged_is_lost(self):
        for name, content in list(self.contents.items()):
            entry = self.journal.find(name)
            if entry is None:
                self.forget(name)
                continue
            assert HASHES[content] == entry.content_hash
            if name in self.denied_by_a_person:
                continue
            if name in self.executed and entry.verdict.outcome != OrderOutcome.REJECTED:
                assert entry.verdict.outcome in EXECUTED
            elif name in self.ended:
                assert is_final(entry.verdict.outcome) or entry.verdict.outcome in EXECUTED

    @invariant()
    def numbers_have_no_holes_and_what_was_published_can_be_read_again(self):
        last = max(self.bodies, default=0)
        newest = self.journal.newest(ALIAS)[1]
        assert newest >= last
        first, held = self.journal.read_trade(ALIAS, 1, max(newest, 1), 10**9)
        assert not held or first + len(held) - 1 == newest
        for seq in list(self.bodies):
            body, told = self.bodies[seq]
            if held and seq >= first:
                assert held[seq - first] == body
            else:
                assert told < self.forgotten_before
                if seq != last:
                    del self.bodies[seq]

    @invariant()
    def what_may_have_been_sent_is_open(self):
        names = {entry.command_id for entry in self.journal.open_entries()}
        for name in self.contents:
            verdict = self.journal.find(name).verdict
            final = verdict is not None and is_final(verdict.outcome, TradeRequestActions.DEAL)
            assert (name in names) == (not final)

    @invariant()
    def orders_of_the_last_minute_are_counted(self):
        since = self.now - MINUTE
        count = self.journal.sent_since(ALIAS, since)
        recent = [(name, time) for name, time in self.tried if time >= since]
        found = {name: self.journal.find(name) for name, _ in recent}
        # Where nothing is on its way all is known exactly.
        there = {(name, entry.reserved_utc_msc) for name, entry in found.items() if entry}
        assert count == len({one for one in recent if one in there})

    def teardown(self):
        self.store.close()


class JournalFileMachine(JournalMachine):
    """
    The same with a file.
    """

    def make_store(self):
        return HeldFile(EPOCH)
