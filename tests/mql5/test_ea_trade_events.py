"""
The EA's events of trading are run through the tests of the Python ones, one by one.

``bridge.sim.trading_events`` is the model: what its tests say of it must be true of
``TradeEvents.mqh``, with the same broker, delays and losses.
"""

from __future__ import annotations

import itertools

import pytest

from bridge.model.enums import MqlError
from bridge.model.trade import (
    AccountRecord,
    DealRecord,
    OrderRecord,
    TradeRequest,
    TradeResult,
)
from bridge.sim import trading, trading_executor
from bridge.sim.exchange_records import Transaction, TransactionType
from bridge.sim.exchange_rules import BrokerRules
from bridge.sim.trading_ports import Moment
from bridge.wire.messages import EventAck, EventCursor
from bridge.wire.spec import EventKind, Permission
from tests.mql5.broker_trade import TradeFaults
from tests.mql5.evidence_program import MqlEvents, patched, running
from tests.mql5.models import MARKS, load_model

pytestmark = MARKS

#: What the tests ask of the Python class alone, and why.
NOT_OF_THE_EA = {
    "test_a_terminal_with_many_events_forgets_the_old_ones": "looks inside the Python object",
}

model = load_model("test_trading_events")


@pytest.fixture(scope="module", autouse=True)
def program(tmp_path_factory):
    """
    Let the model's desks make their events with the translated program.
    """
    with running(tmp_path_factory.mktemp("events")) as program:
        with patched(program, trading, trading_executor, model):
            yield program


def of_the_model():
    """
    Return the model's tests and fixtures.
    """
    found = {
        name: item
        for name, item in vars(model).items()
        if name.startswith("test_") and name not in NOT_OF_THE_EA
    }
    return found | {"bench": model.bench, "netting": model.netting}


globals().update(of_the_model())


# What only the EA can meet ------------------------------------------------------------------------

MS, S = 1_000, 1_000_000
T0 = 1_700_000_000_000
ADDED, ENDED = TransactionType.DEAL_ADD, TransactionType.HISTORY_ADD


class Books:
    """
    A broker's history, and nothing else. ``hidden``: tickets that only a search by ticket finds.
    """

    rules = BrokerRules()

    def __init__(self):
        self.deals, self.closed, self.hidden = [], [], set()

    def deal(self, ticket, at_ms=0, **fields):
        self.deals.append(DealRecord(ticket=ticket, order=ticket, time_msc=T0 + at_ms, **fields))

    def order(self, ticket, at_ms=0, **fields):
        self.closed.append(OrderRecord(ticket=ticket, time_done_msc=T0 + at_ms, state=4, **fields))

    def history_deals(self, from_msc, to_msc):
        ever = from_msc <= -(2**62)
        return [
            one
            for one in sorted(self.deals, key=lambda one: (one.time_msc, one.ticket))
            if ever or (from_msc <= one.time_msc <= to_msc and one.ticket not in self.hidden)
        ]

    def history_orders(self, from_msc, to_msc):
        found = [one for one in self.closed if from_msc <= one.time_done_msc <= to_msc]
        return sorted(found, key=lambda one: (one.time_done_msc, one.ticket))

    def orders(self, **_):
        return []

    def positions(self, **_):
        return []

    def account(self):
        return AccountRecord(login=1)

    def account_allows(self):
        return True, True


class Stream:
    """
    The program's event stream with a clock of its own.
    """

    def __init__(self, program, *, cursor=T0, told=True):
        self.program = program
        self.books = Books()
        self.events = MqlEvents(self.books)
        self.now_us = 0
        place = None if cursor is None else EventCursor(cursor, 0)
        self.events.begin(place, self.moment, told=told)

    @property
    def moment(self):
        return Moment(self.now_us, T0 + self.now_us // 1000, 0, Permission(31), 0)

    def hint(self, *transactions):
        self.events.hint(list(transactions), self.now_us)

    def take(self, limit=2_000):
        """
        Return kind, ticket and ``recovered`` of what is told now.
        """
        taken = self.events.take(self.moment, limit)
        return [(EventKind(event.kind), event.cursor_ticket, event.recovered) for event, _ in taken]

    def after(self, us):
        self.now_us += us
        return self.take()


@pytest.fixture
def faults(program):
    """
    Return the faults between the terminal and its program, which end with the test.
    """
    trade = program.process.broker.trade
    trade.faults = TradeFaults()
    yield trade.faults
    trade.faults = TradeFaults()


def test_what_a_transaction_names_is_told_without_waiting_for_the_next_look(program):
    stream = Stream(program)
    assert [] == stream.take()
    stream.now_us += 10 * MS
    stream.books.deal(5, 10)
    stream.books.order(5, 10)
    stream.hint(
        Transaction(type=ENDED, order=5), Transaction(type=ADDED, deal=5), Transaction(type=ADDED)
    )

    assert [(EventKind.DEAL, 5, False), (EventKind.ORDER_CLOSED, 5, False)] == stream.take()
    assert [] == stream.after(2 * S)


def test_a_deal_with_a_time_long_ago_is_told(program):
    """
    A correction that the broker dates back: no reading of the last minute brings it.
    """
    stream = Stream(program, cursor=T0 + 3_600_000)
    stream.books.deal(7, 1_000)
    assert [] == stream.take()
    stream.hint(Transaction(type=ADDED, deal=7))

    assert [(EventKind.DEAL, 7, False)] == stream.take()


def test_a_deal_that_was_told_by_its_ticket_moves_nothing(program):
    """
    Behind it are two minutes in which the program could not look: what no transaction tells of in
    them is told all the same.
    """
    stream = Stream(program)
    stream.take()
    stream.books.deal(5, 10_000)
    stream.books.deal(6, 130_000)
    stream.now_us += 500 * MS
    stream.hint(Transaction(type=ADDED, deal=6))

    assert [(EventKind.DEAL, 6, False)] == stream.take()
    assert [(EventKind.DEAL, 5, True)] == stream.after(1 * S)


def test_a_queue_that_may_have_overflown_is_made_up_for_from_the_relays_place(program):
    """
    The transaction of a deal that shows late is among the lost ones: reading the last minute
    does not find it, reading from what the relay has does.
    """
    stream = Stream(program)
    stream.books.deal(9, 300_000)
    assert [(EventKind.DEAL, 9, True)] == stream.take()
    stream.books.deal(4, 5_000)
    assert [] == stream.after(2 * S)
    stream.hint(*[Transaction(type=TransactionType.POSITION, position=1)] * 1_022)
    assert [] == stream.take()
    assert not program.overflown
    stream.hint(Transaction(type=TransactionType.POSITION, position=1))

    assert [(EventKind.DEAL, 4, True)] == stream.take()
    assert not program.overflown


def test_what_the_relay_has_is_not_read_again_after_an_overflow(program):
    stream = Stream(program)
    stream.books.deal(9, 300_000)
    assert [(EventKind.DEAL, 9, True)] == stream.take()
    stream.events.acknowledge(EventAck(T0 + 300_000, 9))
    stream.books.deal(4, 5_000)
    stream.now_us += 2 * S
    stream.hint(*[Transaction(type=TransactionType.POSITION, position=1)] * 1_023)

    assert [] == stream.take()


def test_many_transactions_at_a_distance_are_no_overflow(program):
    stream = Stream(program)
    for _ in range(3):
        stream.now_us += S
        stream.hint(*[Transaction(type=TransactionType.POSITION, position=1)] * 500)

    stream.take()
    assert not program.overflown


def test_a_history_that_cannot_be_read_for_a_while_loses_nothing(program, faults):
    stream = Stream(program)
    faults.history_error = MqlError.HISTORY_NOT_FOUND
    stream.books.deal(5, 10)
    first = stream.take()
    stream.books.deal(6, 200_000)
    second = stream.after(5 * S)
    faults.history_error = 0

    assert [] == first == second
    assert [(EventKind.DEAL, 5, True), (EventKind.DEAL, 6, True)] == stream.after(2 * S)


def test_a_begin_without_a_place_waits_until_it_knows_what_was_there(program, faults):
    faults.history_error = MqlError.HISTORY_NOT_FOUND
    stream = Stream(program, cursor=None)
    stream.books.deal(5, -10)
    first = stream.take()
    faults.history_error = 0
    second = stream.after(2 * S)
    stream.books.deal(6, 2_100)

    assert [] == first == second
    assert [(EventKind.DEAL, 6, True)] == stream.after(2 * S)


def test_more_tickets_than_are_looked_for_one_by_one_are_found(program):
    stream = Stream(program)
    stream.take()
    stream.now_us += 10 * MS
    for ticket in range(1, 301):
        stream.books.deal(ticket, ticket)
    stream.hint(*[Transaction(type=ADDED, deal=ticket) for ticket in range(300, 0, -1)])
    first = stream.take()
    stream.events.acknowledge(EventAck(2**62, 0))

    assert [(EventKind.DEAL, ticket, False) for ticket in range(1, 257)] == first
    assert list(range(257, 301)) == [ticket for _, ticket, _ in stream.after(50 * MS)]


def test_every_ticket_that_is_waited_for_gets_its_turn(program):
    """
    More than one look asks for, and none of them in the last minute.
    """
    stream = Stream(program, cursor=T0 + 3_600_000)
    stream.take()
    stream.hint(*[Transaction(type=ADDED, deal=ticket) for ticket in range(1, 151)])
    stream.take()
    for ticket in range(1, 151):
        stream.books.deal(ticket, ticket)
    found = list(itertools.chain.from_iterable(stream.after(60 * MS) for _ in range(8)))

    assert set(range(1, 151)) == {ticket for _, ticket, _ in found}
    assert 150 == len(found)


def test_what_never_comes_is_given_up(program):
    stream = Stream(program)
    stream.take()
    stream.hint(Transaction(type=ADDED, deal=5))
    stream.take()
    assert program.look_us == stream.now_us + 50 * MS
    stream.after(601 * S)
    assert program.look_us == stream.now_us + 1 * S


def test_a_long_session_forgets_what_no_look_reads_again(program):
    stream = Stream(program, told=False)
    for ticket in range(1, 9_001):
        stream.books.deal(ticket, ticket * 100)
    told = [ticket for _ in range(12) for _, ticket, _ in stream.after(10 * MS)]
    known = program.known
    stream.books.deal(9_001, 9_001 * 100)
    again = [ticket for _, ticket, _ in stream.after(2 * S)]

    assert list(range(1, 9_001)) == told
    assert known < 1_000
    assert [9_001] == again


def test_without_a_relay_that_takes_events_there_is_no_window(program):
    stream = Stream(program, told=False)
    for ticket in range(1, 401):
        stream.books.deal(ticket, ticket)

    assert 400 == len(stream.take())


def test_replies_that_nobody_took_are_kept_up_to_a_limit(program):
    """
    The oldest go: what became of their commands is told by RESULT.
    """
    stream = Stream(program)
    for first in (1, 1_001):
        stream.hint(
            *[
                Transaction(
                    type=TransactionType.REQUEST,
                    request=TradeRequest(action=1, symbol="EURUSD", volume=0.1),
                    result=TradeResult(retcode=10009, request_id=number, retcode_external=-7),
                )
                for number in range(first, first + 1_000)
            ]
        )
        stream.now_us += S
    taken = [event.record for event, _ in stream.events.take(stream.moment, 3_000)]

    assert list(range(977, 2_001)) == [one["result"]["request_id"] for one in taken]
    assert (-7, 1) == (taken[0]["result"]["retcode_external"], taken[0]["request"]["action"])


def test_transactions_that_are_shuffled_doubled_and_lost_change_nothing(program, rng):
    """
    What a transaction says is a hint: every deal and order is told once, whatever is heard of it.
    """
    stream = Stream(program, told=False)
    told, ticket = [], 0
    for _ in range(30):
        heard = []
        for _ in range(rng.randint(0, 12)):
            ticket += 1
            at_ms = stream.now_us // 1000 - rng.choice([0, 0, 0, 20_000])
            stream.books.deal(ticket, at_ms)
            stream.books.order(ticket, at_ms)
            heard += [Transaction(type=ADDED, deal=ticket), Transaction(type=ENDED, order=ticket)]
        heard = [one for one in heard * 2 if rng.random() < 0.6]
        rng.shuffle(heard)
        stream.hint(*heard)
        told += stream.after(rng.choice([1 * MS, 60 * MS, 1_500 * MS]))
    told += stream.after(5 * S)

    keys = [(kind, ticket) for kind, ticket, _ in told]
    kinds = (EventKind.DEAL, EventKind.ORDER_CLOSED)
    assert {(kind, one) for one in range(1, ticket + 1) for kind in kinds} == set(keys)
    assert len(set(keys)) == len(keys)
