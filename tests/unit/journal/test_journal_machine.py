"""
Any order of calls, commits, failures and crashes: the journal against a model of what must hold.

The model knows what was acknowledged. Whatever happens, the journal may know more than that,
never less, and nothing of what it said was lost.
"""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

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
from tests.support.journal import ALIAS, LOGIN, NOW, SERVER, make_entry

ACCOUNT = Account(LOGIN, SERVER)
NAMES = st.sampled_from([f"s/{number}" for number in range(6)])
CONTENTS = st.sampled_from(["x", "y"])
OUTCOMES = st.sampled_from(
    [outcome for outcome in OrderOutcome if outcome != OrderOutcome.NEVER_SEEN]
)
TICKETS = st.integers(1, 5)


class JournalMachine(RuleBasedStateMachine):
    """
    Drives one store through many lives of the journal.
    """

    def __init__(self):
        super().__init__()
        self.store = MemoryStore(epoch=7)
        self.journal = None
        self.waiting = 0
        # What was acknowledged, over all lives.
        self.contents = {}
        self.executed = set()
        self.ended = set()
        self.events = {}
        self.bodies = {}
        self.states = TradingState.ACTIVE
        self.begin()

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

    @rule(name=NAMES, content=CONTENTS)
    def reserve(self, name, content):
        entry = make_entry(name, content=content)

        def acknowledge():
            assert self.contents.setdefault(name, content) == content

        done = self.done(acknowledge)
        answer = self.journal.reserve([entry], done)
        if isinstance(answer, Diverged):
            self.waiting -= 1
            assert answer.entry.content_hash != entry.content_hash
        else:
            assert isinstance(answer, Known | Reserved)
            assert self.contents.get(name, content) == content
        if name in self.contents:
            assert not isinstance(answer, Reserved)

    @rule(name=NAMES, outcome=OUTCOMES, deal=TICKETS)
    def record(self, name, outcome, deal):
        deals = (deal,) if outcome in EXECUTED else ()

        def acknowledge():
            if not change.changed:
                return
            if change.entry.verdict.outcome in EXECUTED:
                self.executed.add(name)
            if change.entry.verdict.outcome in NOT_EXECUTED:
                self.ended.add(name)

        before = self.journal.find(name)
        durable = before is not None and self.journal.is_durable(name)
        change = self.journal.record(
            name, Verdict(outcome=outcome, deals=deals), NOW, self.done(acknowledge)
        )
        assert durable == (change.entry is not None)
        if change.corrected:
            assert before.verdict.outcome in NOT_EXECUTED
            assert outcome in EXECUTED

    @rule(ticket=TICKETS, kind=st.sampled_from([EventKind.DEAL, EventKind.ORDER_CLOSED]))
    def note_event(self, ticket, kind):
        made = []

        def make(epoch, seq):
            made.append(seq)
            return f"{epoch}/{seq}/{kind}/{ticket}".encode()

        def acknowledge():
            if seq is None:
                # It is on disk, although a crash may have kept anybody from hearing of it.
                assert self.store.has_event(EventKey(ACCOUNT, kind, ticket))
            else:
                assert (kind, ticket) not in self.events
                self.events[kind, ticket] = seq
                self.publish(seq, f"7/{seq}/{kind}/{ticket}".encode())

        seq = self.journal.note_event(
            ALIAS,
            ACCOUNT,
            kind,
            ticket,
            EventCursor(ticket * 10, ticket),
            make,
            self.done(acknowledge),
            now_utc_msc=NOW,
        )
        assert made == ([] if seq is None else [seq])

    @rule()
    def append_life(self):
        def acknowledge():
            self.publish(seq, b"life %d" % seq)

        seq = self.journal.append_life(
            ALIAS, lambda _, seq: b"life %d" % seq, self.done(acknowledge), now_utc_msc=NOW
        )

    @rule(state=st.sampled_from(list(TradingState)))
    def set_state(self, state):
        def acknowledge():
            self.states = state

        self.journal.set_state(ALIAS, state, "", "ann", self.done(acknowledge), now_utc_msc=NOW)

    def publish(self, seq, body):
        # Subscribers see each number once, and in order.
        assert seq not in self.bodies
        assert seq > max(self.bodies, default=0)
        self.bodies[seq] = body

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

    @precondition(lambda self: self.journal.pending == 0)
    @rule()
    def a_restart_changes_nothing(self):
        fresh = Journal(self.store)
        fresh.load()
        assert fresh.open_entries() == self.journal.open_entries()
        assert fresh.newest(ALIAS) == self.journal.newest(ALIAS)
        # A halt that could not be written holds in this life only.
        assert fresh.state_of(ALIAS).state <= self.journal.state_of(ALIAS).state

    @invariant()
    def nothing_acknowledged_is_lost(self):
        for name, content in self.contents.items():
            entry = self.journal.find(name)
            assert entry is not None
            assert make_entry(name, content=content).content_hash == entry.content_hash
            if name in self.executed and entry.verdict.outcome != OrderOutcome.REJECTED:
                assert entry.verdict.outcome in EXECUTED
            elif name in self.ended:
                assert is_final(entry.verdict.outcome) or entry.verdict.outcome in EXECUTED

    @invariant()
    def what_was_published_can_be_read_again(self):
        last = max(self.bodies, default=0)
        _, held = self.journal.read_trade(ALIAS, 1, max(last, 1), 10**9)
        newest = self.journal.newest(ALIAS)[1]
        assert newest >= last
        for seq, body in self.bodies.items():
            assert held[seq - 1] == body

    @invariant()
    def what_may_have_been_sent_is_open(self):
        names = {entry.command_id for entry in self.journal.open_entries()}
        for name in self.contents:
            verdict = self.journal.find(name).verdict
            final = verdict is not None and is_final(verdict.outcome, TradeRequestActions.DEAL)
            assert (name in names) == (not final)


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
