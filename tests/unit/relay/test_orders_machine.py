"""Whatever fails, and whenever: no order is executed twice, and what is told of it is true.

A terminal with a ledger, a disk that is late, fails and recovers, a link that is cut, a relay
that is killed, halts, requests and the same requests again, all in random order. At the end
all works again, and everything told must be what happened.
"""

from __future__ import annotations

import random
from collections import deque

import pytest

from bridge.bus.requests import Method
from bridge.exceptions import JournalError
from bridge.relay.asks import Answer
from bridge.wire.messages import Halt, New, Query
from bridge.wire.spec import DenyReason, OrderOutcome, TradingState
from tests.support.orders import SECOND, OrderBench, make_result

RUNS = 40
STEPS = 250


class ModelTerminal:
    """
    Executes an id once at most; ``executed`` is the truth, with the tags of the deals.
    """

    def __init__(self, rng):
        self.rng = rng
        self.state = TradingState.ACTIVE
        self.executed = {}
        #: ``None``: there is the intent, and what became of it is not known yet
        self.ledger = {}
        self.received = deque()
        self.told = deque()

    def cut(self):
        self.received.clear()
        self.told.clear()

    def work(self, now_us):
        message = self.received.popleft() if self.received else None
        if isinstance(message, Halt):
            self.state = TradingState(message.trading_state)
        elif isinstance(message, New):
            self._new(message, now_us)
        elif isinstance(message, Query):
            for name in message.command_ids:
                self._query(name)

    def _tell(self, name, outcome, **fields):
        self.told.append(make_result(name, outcome, **fields))

    def _new(self, new, now_us):
        name, chance = new.command_id, self.rng.random()
        if name in self.ledger:
            self._replay(name)
        elif self.state is TradingState.HALTED:
            self._tell(name, OrderOutcome.DENIED, reason=DenyReason.HALTED)
        elif chance < 0.1:
            self._tell(name, OrderOutcome.DENIED, reason=DenyReason.RATE_LIMIT)
        elif now_us > new.deadline_us:
            self._tell(name, OrderOutcome.EXPIRED_NOT_SENT)
        else:
            if chance < 0.7:
                assert name not in self.executed
                self.executed[name] = new.tag
            self.ledger[name] = self._truth(name, OrderOutcome.REJECTED)
            if self.rng.random() < 0.3:
                self.ledger[name] = None
            self._replay(name)

    def _query(self, name):
        if name not in self.ledger:
            self._tell(name, OrderOutcome.NEVER_SEEN, replayed=True)
            return
        if self.ledger[name] is None and self.rng.random() < 0.5:
            self.ledger[name] = self._truth(name, OrderOutcome.NOT_FOUND)
        self._replay(name)

    def _truth(self, name, otherwise):
        return OrderOutcome.DONE if name in self.executed else otherwise

    def _replay(self, name):
        outcome = self.ledger[name]
        open_ones = [OrderOutcome.INTENT, OrderOutcome.UNKNOWN]
        self._tell(name, self.rng.choice(open_ones) if outcome is None else outcome)


class Machine:
    """
    The order path, the terminal, and what goes wrong between them.
    """

    def __init__(self, rng):
        self.rng = rng
        self.bench = OrderBench(max_orders_per_minute=0)
        self.terminal = ModelTerminal(rng)
        self.connected = False
        self.asked = []
        #: name, reply, and the relay that was asked
        self.replies = []
        self.steps = {
            self.ask: 18,
            self.ask_again: 7,
            self.cut_or_connect: 10,
            self.write: 12,
            self.fail_or_mend_the_disk: 3,
            self.kill: 0.5,
            self.halt_or_resume: 3,
            self.be_busy: 3,
            self.read: 4,
            self.show_a_deal: 2,
            self.let_the_terminal_work: 18,
            self.hear: 12,
            self.pass_time: 8,
        }

    def step(self):
        (step,) = self.rng.choices(list(self.steps), list(self.steps.values()))
        step()
        self.bench.orders.poll(self.bench.now)
        self.pump()

    def pump(self):
        if self.bench.ends:  # the relay ended the session
            self.bench.ends.clear()
            self.connected = False
            self.terminal.cut()
        if self.connected:
            self.terminal.received.extend(self.bench.sent)
        self.bench.sent.clear()

    # --- what happens ---------------------------------------------------------------------

    def ask(self, again=None):
        if again is None:
            method = self.rng.choices([Method.ORDER_SEND, Method.CLOSE_ALL], [85, 15])[0]
            params = {} if method is Method.CLOSE_ALL else None
            valid_for_ms = self.rng.choice([200, 1_000, 5_000, 20_000])
            again = (str(len(self.asked)), method, params), valid_for_ms
            self.asked.append(again)
        order, valid_for_ms = again
        reply = self.bench.submit(*order, valid_for_ms=valid_for_ms)
        self.replies.append((f"c/{order[0]}", reply, self.bench.epoch))

    def ask_again(self):
        if self.asked:
            self.ask(self.rng.choice(self.asked[-4:]))

    def cut_or_connect(self):
        if self.connected:
            self.bench.orders.link_down(self.bench.now)
            self.connected = False
            self.terminal.cut()
        else:
            self.connect()

    def connect(self):
        if not self.connected:
            self.connected = True
            self.terminal.state = self.bench.orders.state
            self.bench.link_up()

    def write(self):
        if self.rng.random() < 0.2:
            self.bench.store.commit(1)
        else:
            self.bench.store.flush(self.rng.choice([1, 2, None]))

    def fail_or_mend_the_disk(self):
        store = self.bench.store
        error = JournalError("the disk is full", writable=self.rng.random() < 0.5)
        store.fail = error if store.fail is None else None

    def kill(self):
        self.bench.store.fail = None
        self.connected = False
        self.terminal.cut()
        self.bench.start()
        self.bench.sent.clear()

    def halt_or_resume(self):
        state = self.rng.choice([TradingState.HALTED, TradingState.ACTIVE, TradingState.ACTIVE])
        self.bench.orders.set_state(state, "x", "test", lambda _: None, self.bench.now)

    def be_busy(self):
        self.bench.view.busy_us = self.bench.us + self.rng.choice([0, SECOND, 3 * SECOND])

    def read(self):
        tickets = {self.rng.randint(1, 5), 9}
        records = [{"ticket": ticket, "symbol": "EURUSD"} for ticket in tickets]
        for method, _, done, _ in self.bench.view.asked:
            done(Answer({method: records}))
        self.bench.view.asked.clear()

    def show_a_deal(self):
        if self.connected and self.terminal.executed:
            tag = self.rng.choice(list(self.terminal.executed.values()))
            self.bench.orders.noticed(tag, deal=1, order=1, position=1, now=self.bench.now)

    def let_the_terminal_work(self):
        for _ in range(self.rng.randint(1, 3)):
            self.terminal.work(self.bench.us)

    def hear(self):
        for _ in range(self.rng.randint(1, 3)):
            if self.terminal.told:
                self.bench.orders.receive(self.terminal.told.popleft(), self.bench.now)
                self.bench.orders.poll(self.bench.now)
                self.pump()

    def pass_time(self):
        self.bench.us += self.rng.choice([10_000, 300_000, SECOND, 5 * SECOND])

    # --- the end --------------------------------------------------------------------------

    def settle(self):
        self.bench.store.fail = None
        self.bench.view.busy_us = 0
        for _ in range(200):
            self.connect()
            self.bench.orders.stir()
            self.bench.orders.poll(self.bench.now)
            self.bench.store.flush()
            self.read()
            self.pump()
            while self.terminal.received:
                self.terminal.work(self.bench.us)
            while self.terminal.told:
                self.hear()
            self.bench.us += SECOND

    def check(self):
        bench, executed = self.bench, self.terminal.executed
        names = [name for name, _, _ in self.replies]
        for name, reply, epoch in self.replies:
            # A relay that was killed answers no more.
            assert reply.is_used or epoch != bench.epoch
            # The id of what the relay denied is free: it may have been asked for again.
            is_final = names.count(name) == 1 and not reply.outcome.startswith("UNKNOWN")
            if is_final and reply.results and not reply.results[0]["children"]:
                assert (name in executed) == (reply.outcome in {"DONE", "PARTIAL"}), name
        described = bench.orders.describe()
        assert (0, 0) == (described["open_orders"], described["waiting"])
        for entry in bench.store._entries.values():
            if entry.request is not None:
                done = bench.status(entry.command_id) == "DONE"
                assert (entry.command_id in executed) == done, entry.command_id
        assert executed.keys() <= bench.store._entries.keys()


@pytest.mark.parametrize("run", range(RUNS))
def test_everything_told_is_what_happened(run, rng):
    machine = Machine(random.Random(f"{rng.random()}/{run}"))
    for _ in range(STEPS):
        machine.step()
    machine.settle()
    machine.check()
