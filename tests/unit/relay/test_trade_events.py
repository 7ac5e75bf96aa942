"""An event is told when it is on disk, once, under the journal's number."""

from __future__ import annotations

import pytest

from bridge.bus.bodies import TradeKind, read_trade
from bridge.exceptions import JournalError
from bridge.journal import Account, Journal, MemoryStore
from bridge.relay.order_comments import OrderComments
from bridge.relay.trade_events import TradeEvents, TradeLog
from bridge.wire.messages import Event, EventAck
from bridge.wire.spec import EventKind

ACCOUNT = Account(1001, "Demo-Server")
TAG = "zb1:ABCDEFGHIJKLMNOP"


class Bench:
    """
    A journal on a disk of the test, and what left it.
    """

    def __init__(self):
        self.store = MemoryStore()
        self.start()

    def start(self):
        self.store.crash()
        self.journal = Journal(self.store)
        self.journal.load()
        self.published = []
        self.sent = []
        self.noticed = []
        self.events = TradeEvents(
            "demo",
            self.journal,
            OrderComments(self.journal),
            lambda epoch, seq, body: self.published.append((epoch, seq, read_trade(body))),
            lambda tag, **tickets: self.noticed.append((tag, tickets)),
        )
        self.log = TradeLog("demo", self.journal)

    def event(self, kind=EventKind.DEAL, ticket=5, time_msc=100, *, recovered=False, **record):
        placed = kind in (EventKind.DEAL, EventKind.ORDER_CLOSED)
        cursor = (time_msc, ticket) if placed else (0, 0)
        values = {"ticket": ticket, "comment": "", **record}
        event = Event(int(kind), recovered, *cursor, time_msc, 120, values)
        self.events.receive(event, ACCOUNT, self.sent.append, 77)

    def bodies(self):
        return [body for _, _, body in self.published]


@pytest.fixture
def bench():
    return Bench()


def test_nothing_is_told_or_acknowledged_before_it_is_on_disk(bench):
    bench.event()

    assert ([], []) == (bench.published, bench.sent)

    bench.store.flush()

    (body,) = bench.bodies()
    assert ("DEAL", False, 77, 1) == (body.kind, body.recovered, body.time_utc_msc, body.seq)
    assert [EventAck(100, 5)] == bench.sent


def test_a_repetition_is_acknowledged_and_not_told_again(bench):
    bench.event()
    bench.event(recovered=True)
    bench.store.flush()
    bench.event(recovered=True)
    bench.store.flush()

    assert (1, [EventAck(100, 5)] * 3) == (len(bench.published), bench.sent)


def test_numbers_go_on_over_a_restart(bench):
    bench.event(ticket=5)
    bench.events.life(TradeKind.ORDER_LIFE, {"outcome": "DONE"}, 88)
    bench.store.flush()
    bench.start()
    bench.event(ticket=5)
    bench.event(ticket=6, time_msc=101)
    bench.store.flush()

    ((epoch, seq, body),) = bench.published
    assert (bench.log.epoch, 3, 6) == (epoch, seq, body.record["ticket"])
    assert (1, 3) == (bench.log.oldest, bench.log.newest)
    page = bench.log.read(1, 3, 1_000_000)
    assert (1, 3) == (page.first, page.length)
    assert read_trade(bench.log.last_record()) == body


def test_what_was_not_on_disk_at_a_kill_is_told_when_it_comes_again(bench):
    bench.event()
    bench.start()
    bench.event(recovered=True)
    bench.store.flush()

    assert [True] == [body.recovered for body in bench.bodies()]


def test_what_cannot_be_written_is_not_acknowledged(bench):
    bench.event()
    bench.store.fail = JournalError("the disk is full")
    bench.store.flush()

    assert ([], [], 1) == (bench.published, bench.sent, bench.events.lost)


def test_behind_what_could_not_be_written_nothing_is_taken_in_this_session(bench):
    """Its place on disk would be behind the lost one: the next WELCOME would pass that over."""
    bench.event(ticket=5, time_msc=100)
    bench.store.fail = JournalError("the disk is full")
    bench.store.flush()
    bench.store.fail = None
    bench.event(ticket=6, time_msc=900_000)
    bench.store.flush()

    assert ([], [], None) == (
        bench.published,
        bench.sent,
        bench.journal.event_cursor("demo", *ACCOUNT),
    )

    bench.events.link_up()
    bench.event(ticket=5, time_msc=100, recovered=True)
    bench.event(ticket=6, time_msc=900_000, recovered=True)
    bench.store.flush()

    assert [EventAck(100, 5), EventAck(900_000, 6)] == bench.sent


def test_what_comes_between_the_disks_failure_and_the_news_of_it_is_not_taken_either(bench):
    bench.event(ticket=5, time_msc=100)
    bench.store.fail = JournalError("the disk is full")
    bench.store.commit()
    bench.store.fail = None
    bench.store.run_deliveries(1)
    bench.event(ticket=6, time_msc=900_000)
    bench.store.flush()

    assert ([], None) == (bench.sent, bench.journal.event_cursor("demo", *ACCOUNT))


def test_an_event_that_cannot_be_looked_up_counts_as_lost(bench, monkeypatch):
    def unreadable(*args):
        raise JournalError("the record is damaged")

    monkeypatch.setattr(bench.store, "has_event", unreadable)
    monkeypatch.setattr(bench.store, "find_by_tag", unreadable)
    bench.event(comment=TAG)
    bench.store.flush()

    assert ([], [], 1) == (bench.published, bench.sent, bench.events.lost)


def test_a_comment_that_cannot_be_looked_up_stays_the_brokers(bench, monkeypatch):
    def unreadable(*args):
        raise JournalError("the record is damaged")

    monkeypatch.setattr(bench.store, "find_by_tag", unreadable)
    record = {"ticket": 1, "comment": TAG}

    assert {**record, "tag": TAG, "command_id": ""} == OrderComments(bench.journal).put_back(record)


def test_changes_of_state_have_no_place_and_are_each_told(bench):
    bench.event(EventKind.POSITION)
    bench.event(EventKind.POSITION)
    bench.store.flush()

    assert (["POSITION", "POSITION"], []) == ([body.kind for body in bench.bodies()], bench.sent)


def test_a_kind_of_a_later_version_is_passed_on(bench):
    bench.event(99)
    bench.store.flush()

    assert ["99"] == [body.kind for body in bench.bodies()]


@pytest.mark.parametrize(
    ("kind", "record", "noticed"),
    [
        (EventKind.DEAL, {"order": 4, "position_id": 3}, {"deal": 5, "order": 4, "position": 3}),
        (EventKind.ORDER, {"state": 1}, {"deal": 0, "order": 5, "position": 0}),
        (EventKind.ORDER_CLOSED, {"state": 4}, {"deal": 0, "order": 5, "position": 0}),
        (EventKind.ORDER_CLOSED, {"state": 5}, None),
        (EventKind.POSITION, {}, None),
    ],
)
def test_what_has_a_tag_is_noticed(bench, kind, record, noticed):
    """An order that the broker rejected was not placed."""
    bench.event(kind, comment=TAG, **record)

    assert ([] if noticed is None else [(TAG, noticed)]) == bench.noticed


def test_what_has_no_tag_is_not_noticed(bench):
    bench.event(comment="bought by hand")

    assert [] == bench.noticed


def test_where_the_events_of_an_account_begin_is_noted_once(bench):
    """Else a kill before the first event is on disk would lose it: no place means "from now"."""
    bench.events.begin(ACCOUNT, 90)
    bench.events.begin(ACCOUNT, 95)
    bench.store.flush()

    assert (90, 0) == bench.journal.event_cursor("demo", *ACCOUNT)

    bench.event()
    bench.store.flush()
    bench.events.link_up()
    bench.events.begin(ACCOUNT, 99)
    bench.store.flush()

    assert (100, 5) == bench.journal.event_cursor("demo", *ACCOUNT)


def test_a_log_without_events_is_empty(bench):
    assert (None, None, None) == (bench.log.oldest, bench.log.newest, bench.log.last_record())
    assert 0 == bench.log.read(1, 10, 1000).length


@pytest.mark.parametrize("run", range(30))
def test_nothing_is_passed_over_whenever_the_disk_fails(run, rng):
    """A terminal that reads its history again from the relay's place, hours apart, at each logon."""
    bench = Bench()
    bench.events.begin(ACCOUNT, 0)
    bench.store.flush()
    history: list[tuple[int, int]] = []
    queue: list[tuple[int, int]] = []

    def log_on():
        bench.events.link_up()
        place = bench.journal.event_cursor("demo", *ACCOUNT)
        queue[:] = [one for one in history if one[0] >= place.time_msc - 60_000]

    def happen():
        time_msc = history[-1][0] if history else 0
        history.append((time_msc + rng.choice([1, 1_000, 3_600_000]), len(history) + 1))
        queue.append(history[-1])

    def send():
        for time_msc, ticket in queue[:1]:
            bench.event(ticket=ticket, time_msc=time_msc)
        del queue[:1]

    def fail_or_mend():
        error = JournalError("the disk is full")
        bench.store.fail = error if bench.store.fail is None else None

    def kill():
        bench.store.fail = None
        bench.start()
        log_on()

    steps = {
        happen: 30,
        send: 30,
        lambda: bench.store.flush(rng.choice([1, 2, None])): 10,
        lambda: bench.store.commit(1): 5,
        lambda: bench.store.run_deliveries(1): 5,
        fail_or_mend: 5,
        kill: 1,
    }
    for _ in range(150):
        rng.choices(list(steps), list(steps.values()))[0]()
        if bench.events.lost and bench.journal.healthy is None:
            log_on()
    bench.store.fail = None
    bench.store.flush()
    log_on()
    while queue:
        send()
    bench.store.flush()

    assert {ticket for _, ticket in history} == {key.ticket for key in bench.store._events}
