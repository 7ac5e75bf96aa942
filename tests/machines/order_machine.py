"""The relay's order path: whatever fails, one order is one order, and what is told is true."""

from __future__ import annotations

import dataclasses
import itertools
import random

import hypothesis.strategies as st
from hypothesis.stateful import initialize, invariant, rule

from bridge.bus.requests import Method
from bridge.exceptions import JournalError
from bridge.journal import EXECUTED, NOT_EXECUTED
from bridge.relay.asks import Answer
from bridge.wire.messages import New
from bridge.wire.spec import OrderOutcome, TradingState
from tests.machines.order_terminal import ModelTerminal
from tests.machines.running import Machine
from tests.support.orders import BUY, LIMIT, SECOND, FakeReply, OrderBench

__all__ = ["OrderMachine"]

#: how much later than its deadline a request is answered, when the disk has its answer
GRACE_US = 1_000_000
ORDERS = (
    (Method.ORDER_SEND, BUY),
    (Method.ORDER_SEND, BUY | {"symbol": "GBPUSD", "type": "SELL"}),
    (Method.ORDER_SEND, LIMIT),
    (Method.ORDER_SEND, BUY | {"volume": 3.0}),
    (Method.POSITION_CLOSE, {"position": 9}),
    (Method.ORDER_CANCEL, {"order": 9}),
    (Method.CLOSE_ALL, {}),
)
WEIGHTS = (30, 20, 15, 5, 15, 10, 15)
_RANK = {
    OrderOutcome.PLACED: 1,
    OrderOutcome.PARTIAL: 2,
    OrderOutcome.DONE: 3,
}

draws = st.binary(min_size=4, max_size=4)


class OrderMachine(Machine):
    """
    The order path, the terminal, and what goes wrong between them.
    """

    def __init__(self):
        super().__init__()
        self.bench = None

    @initialize(draw=draws)
    def begin(self, draw):
        rng = random.Random(draw)
        settings = {"max_orders_per_minute": rng.choice([0, 0, 4])}
        if rng.random() < 0.5:
            settings["max_volume"] = 1.0
        self.bench = OrderBench(**settings)
        self.netting = rng.random() < 0.5
        self.terminal = ModelTerminal(corrects=rng.random() < 0.3)
        self.connected = False
        self.rng = rng
        #: what was asked, and each reply with the relay that was asked and its deadline
        self.asked = []
        self.contents = {}
        self.replies = []
        self.verdicts = {}
        self.connect()
        for number in range(2):
            self.ask(draw + bytes([number]))

    def pump(self):
        self.bench.orders.poll(self.bench.now)
        for message in self.bench.sent:
            if isinstance(message, New):
                # Nothing leaves before it is on disk.
                assert message.command_id in self.bench.store._entries
                assert message.relay_epoch == self.bench.epoch
        if self.bench.ends:
            # The relay ended the session: the journal works again.
            self.bench.ends.clear()
            self.connected = False
            self.terminal.cut()
        if self.connected:
            self.terminal.received.extend(self.bench.sent)
        self.bench.sent.clear()

    # --- what happens ---------------------------------------------------------------------

    @rule(draw=draws)
    def ask(self, draw):
        rng = random.Random(draw)
        if rng.random() < 0.7:
            self.connect()
        for _ in range(rng.randint(1, 3)):
            ((method, params),) = rng.choices(ORDERS, WEIGHTS)
            client = rng.choice("cd")
            number = sum(name.startswith(client) for name, *_ in self.asked)
            one = f"{client}/{number}", method, params, rng.choice([200, 1_000, 5_000, 20_000])
            self.asked.append(one)
            self.submit(*one, admin=rng.random() < 0.05)
        if rng.random() < 0.5:
            self.go_on(rng)

    @rule(draw=draws)
    def all_goes_well(self, draw):
        self.go_on(random.Random(draw))

    def go_on(self, rng):
        for _ in range(rng.randint(1, 3)):
            self.bench.store.flush()
            self.pump()
            self.read(b"")
            while self.terminal.received:
                self.terminal.work(self.bench.us, rng)
            if rng.random() < 0.7:
                self.hear(len(self.terminal.told))

    def submit(self, name, method, params, valid_for_ms, *, admin=False):
        bench = self.bench
        wanted = bench.want("x", method, params, valid_for_ms=valid_for_ms, admin=admin)
        wanted = dataclasses.replace(wanted, command_id=name)
        self.contents.setdefault(name, set()).add(wanted.content_hash)
        reply = FakeReply()
        bench.orders.submit(wanted, reply, bench.now)
        deadline_us = bench.us + valid_for_ms * 1000
        self.replies.append((name, reply, bench.epoch, deadline_us, wanted.content_hash))
        self.pump()

    @rule(draw=draws)
    def ask_again(self, draw):
        """
        The same once more, or another order under its id.
        """
        rng = random.Random(draw)
        if not self.asked:
            return
        name, method, params, valid_for_ms = rng.choice(self.asked[-6:])
        if rng.random() < 0.15 and method is Method.ORDER_SEND:
            params = params | {"volume": 0.07}
        self.submit(name, method, params, valid_for_ms)

    @rule()
    def look_up(self):
        for name, *_ in self.asked[-3:]:
            self.bench.orders.status(name)
        self.pump()

    @rule(again=st.sampled_from([True, True, False]))
    def cut_or_connect(self, again):
        if self.connected:
            self.bench.orders.link_down(self.bench.now)
            self.connected = False
            self.terminal.cut()
            self.pump()
        if again:
            self.connect()

    def connect(self):
        if not self.connected:
            self.connected = True
            self.terminal.state = self.bench.orders.state
            self.bench.link_up(netting=self.netting)
            self.pump()

    @rule(commit=st.booleans(), count=st.sampled_from([1, 2, None, None]))
    def write(self, commit, count):
        if commit:
            self.bench.store.commit(1)
        else:
            self.bench.store.flush(count)
        self.pump()

    @rule(fails=st.sampled_from(["", "", "", "full", "broken"]))
    def fail_or_mend_the_disk(self, fails):
        error = JournalError("the disk is full", writable=fails == "full") if fails else None
        self.bench.store.fail = error
        self.pump()

    @rule(again=st.sampled_from([True, True, False]))
    def kill(self, again):
        self.bench.store.fail = None
        self.connected = False
        self.terminal.cut()
        self.bench.start()
        self.bench.sent.clear()
        if again:
            self.connect()

    @rule(state=st.sampled_from([*TradingState, *[TradingState.ACTIVE] * 4]))
    def halt_or_resume(self, state):
        self.bench.orders.set_state(state, "x", "test", lambda _: None, self.bench.now)
        self.pump()

    @rule(seconds=st.sampled_from([0, 1, 3]))
    def be_busy(self, seconds):
        self.bench.view.busy_us = self.bench.us + seconds * SECOND
        self.bench.orders.stir()
        self.pump()

    @rule(draw=draws)
    def read(self, draw):
        rng = random.Random(draw)
        tickets = {rng.randint(1, 5), 9}
        records = [{"ticket": ticket, "symbol": "EURUSD"} for ticket in tickets]
        for method, _, done, _ in self.bench.view.asked:
            done(Answer({method: records}))
        self.bench.view.asked.clear()
        self.pump()

    @rule(draw=draws)
    def show_a_deal(self, draw):
        rng = random.Random(draw)
        if self.connected and self.terminal.executed:
            tag = rng.choice(list(self.terminal.executed.values()))
            self.bench.orders.noticed(tag, deal=1, order=1, position=1, now=self.bench.now)
            self.pump()

    @rule(draw=draws)
    def let_the_terminal_work(self, draw):
        rng = random.Random(draw)
        for _ in range(rng.randint(1, 3)):
            self.terminal.work(self.bench.us, rng)
        if rng.random() < 0.3 and self.connected:
            self.terminal.speak(rng)

    @rule(count=st.integers(1, 3))
    def hear(self, count):
        for _ in range(count):
            if self.terminal.told:
                self.bench.orders.receive(self.terminal.told.popleft(), self.bench.now)
                self.pump()

    @rule(draw=draws)
    def hear_again(self, draw):
        """
        An older RESULT once more, which says less.
        """
        rng = random.Random(draw)
        if self.connected and self.terminal.replays:
            result = rng.choice(self.terminal.replays[-8:])
            self.bench.orders.receive(result, self.bench.now)
            self.pump()

    @rule(us=st.sampled_from([10_000, 300_000, SECOND, 5 * SECOND]))
    def pass_time(self, us):
        # What is on disk is told within the turn, not seconds later.
        self.bench.store.run_deliveries()
        self.pump()
        self.bench.us += us
        self.pump()

    # --- what holds -------------------------------------------------------------------------

    @invariant()
    def every_request_is_answered_in_time(self):
        if self.bench is None:
            return
        bench = self.bench
        for name, reply, epoch, deadline_us, _ in self.replies:
            if epoch == bench.epoch and not reply.is_used:
                busy_us = bench.view.busy_us if self.connected else 0
                assert bench.us < max(deadline_us, busy_us) + GRACE_US, name

    @invariant()
    def verdicts_only_get_better(self):
        if self.bench is None:
            return
        for name, entry in self.bench.store._entries.items():
            now = None if entry.verdict is None else entry.verdict
            before = self.verdicts.get(name)
            if now is before:
                continue
            assert before is None or _may_follow(before, now), (name, before, now)
            self.verdicts[name] = now

    def teardown(self):
        if self.bench is not None:
            self.settle()
            self.check()

    def settle(self):
        rng = self.rng
        self.bench.store.fail = None
        self.bench.view.busy_us = 0
        for _ in range(400):
            self.connect()
            told = self.bench.orders.describe()
            if not (told["open_orders"] or told["waiting"]):
                break
            self.bench.orders.stir()
            self.pump()
            self.bench.store.flush()
            self.read(b"")
            while self.terminal.received:
                self.terminal.work(self.bench.us, rng)
            while self.terminal.better and rng.random() < 0.5:
                self.terminal.speak(rng)
            self.hear(len(self.terminal.told))
            self.bench.us += SECOND
        while self.terminal.better:
            self.terminal.speak(rng)
        # What is not told twice by RESULTs is by events, which come until they are on disk: a
        # write may be lost with an earlier one, whose failure is not known yet.
        for _ in range(3):
            for name, tag in self.terminal.executed.items():
                if name in self.terminal.tagged:
                    self.bench.orders.noticed(tag, deal=1, order=1, position=1, now=self.bench.now)
            self.hear(len(self.terminal.told))
            self.bench.store.flush()
            self.pump()
        self.every_request_is_answered_in_time()
        self.verdicts_only_get_better()

    def check(self):
        bench, executed = self.bench, self.terminal.executed
        described = bench.orders.describe()
        assert (0, 0) == (described["open_orders"], described["waiting"])
        entries = bench.store._entries
        for entry in entries.values():
            if entry.request is not None:
                done = entry.verdict.outcome in EXECUTED
                assert (entry.command_id in executed) == done, entry
        assert executed.keys() <= entries.keys()
        for name in {name for name, *_ in self.replies}:
            self.check_replies(name, entries.get(name))

    def check_replies(self, name, entry):
        """
        Who asked for the same got the same, and who asked for something else a denial.
        """
        finals = []
        for of, reply, epoch, _, content in self.replies:
            if of != name:
                continue
            assert reply.is_used or epoch != self.bench.epoch
            if not reply.results:
                continue
            result = reply.results[0]
            assert result["command_id"] == name
            if result["reason"] == "DIVERGED":
                # The namespace of a client is its own.
                assert len(self.contents[name]) > 1
            elif entry is not None and content != entry.content_hash:
                # Nothing was sent for it: the id was free when it was denied, or a relay was killed
                # that did not know whether its disk has it. It had not.
                lost = epoch < entry.relay_epoch and not result["final"]
                assert result["outcome"] == ("UNKNOWN" if lost else "DENIED")
            elif result["final"] and not result["children"]:
                finals.append(result)
        if entry is None:
            # Denied by the relay: the id stayed free.
            assert name not in self.terminal.executed
            assert {result["outcome"] for result in finals} <= {"DENIED"}
            return
        ends = [one for one in finals if one["tag"] == entry.tag and entry.request is not None]
        for before, after in itertools.pairwise(ends):
            assert _tells_no_less(before, after), (before, after)
        for end in ends:
            done = end["outcome"] in {"DONE", "PARTIAL", "PLACED"}
            assert done == (name in self.terminal.executed) or self.terminal.corrects


def _may_follow(before, now):
    if before.outcome in NOT_EXECUTED:
        return now.outcome in EXECUTED and now.corrected
    if before.outcome in EXECUTED:
        rank = _RANK.get(now.outcome, 0)
        taken_back = (before.outcome, now.outcome) == (OrderOutcome.PLACED, OrderOutcome.REJECTED)
        return taken_back or (rank >= _RANK[before.outcome] and set(before.deals) <= set(now.deals))
    return now.outcome != OrderOutcome.NEVER_SEEN


def _tells_no_less(before, after):
    if before["outcome"] in {"DENIED", "REJECTED"}:
        return after["outcome"] == before["outcome"] or after["corrected"]
    order = ["PLACED", "PARTIAL", "DONE"]
    return order.index(after["outcome"]) >= order.index(before["outcome"])
