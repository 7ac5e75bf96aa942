"""``trade/<alias>`` from the terminal's event to the subscriber: once each, in order, gaps told."""

from __future__ import annotations

import random
from collections import deque

import hypothesis.strategies as st
from hypothesis.stateful import initialize, invariant, rule

from bridge.bus.bodies import TradeKind, read_trade
from bridge.client.core import Budget, StreamStats, Topic, TopicInfo, epoch_seq
from bridge.exceptions import JournalError
from bridge.journal import Account, EventKey, Journal, MemoryStore
from bridge.relay.order_comments import OrderComments
from bridge.relay.trade_events import TradeEvents, TradeLog
from bridge.wire.messages import Event
from bridge.wire.spec import EventKind
from tests.machines.running import Machine
from tests.support.journal import DAY, NOW

__all__ = ["TradeStreamMachine"]

EPOCH = 7
ACCOUNT = Account(1001, "Demo-Server")
INFO = TopicInfo("trade/demo", "trade", "demo", "")
KINDS = (EventKind.DEAL, EventKind.ORDER_CLOSED)
#: so little that overflow matters
LIMIT = 5

draws = st.binary(min_size=4, max_size=4)


class Subscriber:
    """
    A topic of the client, and what it delivered: ``seen`` has a body or ``None`` by number.
    """

    def __init__(self, log):
        self.out = []
        self.topic = Topic(INFO, self.out, StreamStats(), Budget(1_000_000), LIMIT)
        self.bodies = {}
        self.missing = set()
        self.asked = None
        # As bridge.relay.router: the epoch is known before anything was published.
        self.topic.join(log.epoch, log.newest or 0, None)
        self.start = self.topic.next

    def take(self):
        """
        Rules of a stream: the numbers delivered and those in gaps are all there are, in order.
        """
        last = max([self.start - 1, *self.bodies, *self.missing])
        for _, body, gap in self.out:
            if body is not None:
                epoch, seq = epoch_seq(body)
                assert epoch == EPOCH
                assert seq == last + 1
                self.bodies[seq] = body
                last = seq
            else:
                assert (gap.epoch, gap.first) == (EPOCH, last + 1)
                assert gap.last is not None
                self.missing.update(range(gap.first, gap.last + 1))
                last = gap.last
        self.out.clear()


class TradeStreamMachine(Machine):
    """
    A terminal that sends its history again from the relay's place, a disk, a wire, subscribers.
    """

    def __init__(self):
        super().__init__()
        self.store = None

    @initialize()
    def begin(self):
        self.store = MemoryStore(epoch=EPOCH)
        self.now = NOW
        #: every event of the account: kind, ticket, time
        self.history = []
        #: what the terminal is about to send
        self.queue = deque()
        self.wire = deque()
        #: everything ever published, and when it was made
        self.published = {}
        self.made = {}
        self.has_expired = False
        self.start()
        self.events.begin(ACCOUNT, 0)
        self.store.flush()
        self.subscribers = [Subscriber(self.log)]

    def start(self):
        self.store.crash()
        self.journal = Journal(self.store)
        self.journal.load()
        self.events = TradeEvents(
            "demo",
            self.journal,
            OrderComments(self.journal),
            self.publish,
            lambda tag, **tickets: None,
        )
        self.log = TradeLog("demo", self.journal)

    def publish(self, epoch, seq, body):
        assert epoch == EPOCH
        # Each number once, in order, and only when it is on disk.
        assert seq > max(self.published, default=0)
        assert self.store._newest["demo"] >= seq
        held = self.store._trade["demo"].get(seq)
        assert self.has_expired if held is None else held[0] == body
        self.published[seq] = body
        self.wire.append((epoch, seq, body))

    def log_on(self):
        self.events.link_up()
        place = self.journal.event_cursor("demo", *ACCOUNT)
        again = [one for one in self.history if one[2] >= place.time_msc - 60_000]
        self.queue = deque(again)

    # --- the terminal -----------------------------------------------------------------------

    @rule(draw=draws)
    def happen(self, draw):
        rng = random.Random(draw)
        for _ in range(rng.randint(1, 3)):
            time_msc = max((one[2] for one in self.history), default=0)
            # A deal that shows late is behind what was told already, by less than the overlap.
            time_msc += rng.choice([0, 1, 1_000, 3_600_000, -20_000])
            number = len(self.history) + 1
            one = (rng.choice(KINDS), number, max(time_msc, 0))
            self.history.append(one)
            self.queue.append(one)
        self.send(rng.randint(0, 3))
        if rng.random() < 0.3:
            self.flush(None)

    @rule(count=st.integers(1, 4))
    def send(self, count):
        for _ in range(min(count, len(self.queue))):
            kind, ticket, time_msc = self.queue.popleft()
            record = {"ticket": ticket, "comment": ""}
            event = Event(int(kind), False, time_msc, ticket, time_msc, 120, record)
            self.events.receive(event, ACCOUNT, self.acknowledged, self.now)

    def acknowledged(self, ack):
        keys = [EventKey(ACCOUNT, kind, ack.cursor_ticket) for kind in KINDS]
        assert any(self.store.has_event(key) for key in keys) or self.has_expired

    @rule()
    def log_on_again(self):
        self.log_on()

    @rule()
    def tell_a_life(self):
        self.events.life(TradeKind.ORDER_LIFE, {"outcome": "DONE"}, self.now)

    # --- the relay's disk -------------------------------------------------------------------

    @rule(count=st.sampled_from([1, 2, None, None]))
    def flush(self, count):
        self.store.flush(count)
        self.read_again_what_was_lost()

    @rule()
    def commit(self):
        """
        On disk, and the news of it not here yet.
        """
        self.store.commit(1)

    @rule(fails=st.sampled_from([True, False, False]))
    def fail_or_mend(self, fails):
        self.store.fail = JournalError("the disk is full") if fails else None
        self.read_again_what_was_lost()

    @rule()
    def fail_for_a_moment(self):
        self.store.fail = JournalError("the disk is full")
        self.store.flush(1)
        self.store.fail = None
        self.read_again_what_was_lost()

    def read_again_what_was_lost(self):
        # As ``TerminalTrading.poll``: the link is closed, and the next WELCOME has the place.
        if self.events.lost and self.journal.healthy is None:
            self.log_on()

    @rule()
    def kill(self):
        self.store.fail = None
        self.wire.clear()
        self.start()
        self.log_on()

    @rule(days=st.sampled_from([0, 0, 0, 1, 20, 40]))
    def expire(self, days):
        self.now += days * DAY
        # Where nothing is as old, nothing may go.
        self.has_expired = self.now - 30 * DAY > NOW
        self.journal.expire(self.now)

    # --- the subscribers --------------------------------------------------------------------

    @rule(draw=draws)
    def deliver(self, draw):
        """
        What is published arrives in order, but not all of it.
        """
        rng = random.Random(draw)
        lost = rng.choice([0.0, 0.0, 0.5])
        while self.wire:
            message = self.wire.popleft()
            for subscriber in self.subscribers:
                if rng.random() >= lost:
                    subscriber.topic.receive(*message)
                    subscriber.take()

    @rule()
    def beat(self):
        newest = self.log.newest
        if newest is not None and not self.wire:
            for subscriber in self.subscribers:
                subscriber.topic.hear_tail(self.log.epoch, newest)
                subscriber.take()

    @rule()
    def join(self):
        # The relay's sockets are one after the other: a snapshot is of what was published.
        if len(self.subscribers) < 3 and not self.wire and self.journal.pending == 0:
            self.subscribers.append(Subscriber(self.log))

    @rule(page=st.sampled_from([1, 200, 100_000]), answer=st.booleans())
    def heal(self, page, answer):
        """
        Ask for a replay, and take the answer now or later.
        """
        for subscriber in self.subscribers:
            if subscriber.asked is None:
                subscriber.asked = subscriber.topic.wanted()
            if subscriber.asked is not None and answer:
                asked, subscriber.asked = subscriber.asked, None
                self.replay(subscriber, asked, page)

    def replay(self, subscriber, asked, page):
        # As bridge.relay.router does.
        newest, oldest = self.log.newest, self.log.oldest
        last = newest if asked.last is None else min(asked.last, newest)
        held = self.log._read(asked.first, last, page)
        missing = []
        if asked.first < oldest:
            end = oldest - 1 if asked.last is None else min(asked.last, oldest - 1)
            missing.append((asked.first, end))
        following = held[0] + len(held[1])
        complete = not held[1] or following > last
        subscriber.topic.take_replay(asked, held[1], missing, complete=complete)
        subscriber.take()

    # --- what holds ---------------------------------------------------------------------------

    @invariant()
    def what_is_delivered_is_what_was_written(self):
        if self.store is None:
            return
        trade = self.store._trade.get("demo", {})
        for subscriber in self.subscribers:
            for seq, body in subscriber.bodies.items():
                # Bodies of before a kill were written, and never published.
                known = self.published.get(seq) or self.made.get(seq) or trade[seq][0]
                assert body == known
            assert not subscriber.missing or self.has_expired
        self.made.update((seq, body) for seq, (body, _) in trade.items())

    def teardown(self):
        if self.store is None:
            return
        self.store.fail = None
        self.store.flush()
        self.log_on()
        while self.queue:
            self.send(4)
        self.store.flush()
        self.wire.clear()
        self.beat()
        for subscriber in self.subscribers:
            for _ in range(200):
                asked = subscriber.topic.wanted()
                if asked is None:
                    break
                self.replay(subscriber, asked, 300)
            newest = self.log.newest or 0
            assert subscriber.topic.next == newest + 1
            there = subscriber.bodies.keys() | subscriber.missing
            assert there == set(range(subscriber.start, newest + 1))
            self.what_is_delivered_is_what_was_written()
        if not self.has_expired:
            self.check_events()

    def check_events(self):
        """
        Every event is in the log once.
        """
        told = []
        for body in self.log._read(1, self.log.newest or 0, 10**9)[1]:
            trade = read_trade(body)
            if trade.kind in {"DEAL", "ORDER_CLOSED"}:
                told.append((trade.kind, trade.record["ticket"]))
        assert sorted(told) == sorted((kind.name, ticket) for kind, ticket, _ in self.history)
