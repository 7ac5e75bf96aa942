"""
``bridge.sim.trading_freshness``: a close waits until the position shows our last deal, and a change
until what it changes shows our last one.
"""

from __future__ import annotations

import pytest

from bridge.model.enums import AccountMarginMode
from bridge.model.trade import (
    AccountRecord,
    DealRecord,
    OrderRecord,
    PositionRecord,
    TradeRequest,
)
from bridge.sim.exchange_rules import BrokerRules
from bridge.sim.ledger import LedgerEntry
from bridge.sim.trading_evidence import EvidenceFinder
from bridge.sim.trading_freshness import Freshness
from bridge.sim.trading_ports import Moment
from bridge.sim.trading_results import ResultMaker
from bridge.wire.messages import New
from bridge.wire.spec import NewFlag, OrderOutcome, Permission
from tests.support.desk_bench import (
    DEAL,
    INCARNATION,
    LOGIN,
    MODIFY,
    PENDING,
    REMOVE,
    SLTP,
    buy,
    request,
)

S = 1_000_000
NOW = 50 * S
T0 = 1_700_000_000_000
MOMENT = Moment(NOW, T0, 0, Permission(31), 0)
CLOSE = request(DEAL, symbol="EURUSD", position=7)
MOVE = request(SLTP, position=7, tp=1.2)
CHANGE = request(MODIFY, order=9, tp=1.2)
#: stop loss and take profit of a position; what MODIFY changes of an order
LEVELS = (0.0, 0.0)
VALUES = (1.1, 0.0, 1.0, 0.0, 0.0, 0.0)
STOPS = {"action": int(SLTP), "position": 7, "sl": 1.05}
PRICE = {"action": int(MODIFY), "order": 9, "price": 1.09, "sl": 1.0}


class Books:
    """
    Positions and deals of a netting account, and nothing else.
    """

    rules = BrokerRules()

    def __init__(self, *, netting=True):
        self.netting = netting
        self.open = [PositionRecord(ticket=7, symbol="EURUSD", time_update_msc=T0, volume=1.0)]
        self.pending = [OrderRecord(ticket=9, symbol="EURUSD", price_open=1.1, sl=1.0)]
        self.deals = []

    def account(self):
        modes = AccountMarginMode
        mode = modes.RETAIL_NETTING if self.netting else modes.RETAIL_HEDGING
        return AccountRecord(login=LOGIN, margin_mode=int(mode))

    def positions(self, symbol=None, ticket=None):
        return [
            one
            for one in self.open
            if symbol in {None, one.symbol} and ticket in {None, one.ticket}
        ]

    def orders(self, ticket=None, **_):
        return [one for one in self.pending if ticket in {None, one.ticket}]

    def history_orders(self, *_):
        return []

    def history_deals(self, from_msc, to_msc):
        return [one for one in self.deals if from_msc <= one.time_msc <= to_msc]


class Desk:
    """
    ``Freshness`` with its finder.
    """

    def __init__(self, books):
        finder = EvidenceFinder(books, lambda *_: False, lambda _: 0)
        self.fresh = Freshness(books, finder, hedging=not books.netting)

    def traded(self, outcome=OrderOutcome.DONE, *, order=5, action=DEAL, symbol="EURUSD", at=NOW):
        entry = LedgerEntry(
            command_id="test/a",
            tag="zb1:A",
            flags=0,
            request=buy(0.2),
            sent=TradeRequest(action=int(action), symbol=symbol, volume=0.2),
            intent_msc=T0,
        )
        result = ResultMaker(INCARNATION).make("test/a", outcome, MOMENT, order=order)
        self.fresh.traded(entry, result, at)
        return self

    def changed(self, outcome=OrderOutcome.DONE, *, before=None, at=NOW, **sent):
        entry = LedgerEntry(
            command_id="test/a",
            tag="zb1:A",
            flags=0,
            request=request(sent["action"], position=7, order=9),
            sent=TradeRequest(**{"symbol": "EURUSD"} | sent),
            intent_msc=T0,
            before=LEVELS if before is None else before,
        )
        result = ResultMaker(INCARNATION).make("test/a", outcome, MOMENT)
        self.fresh.traded(entry, result, at)
        return self

    def holds(self, wanted=CLOSE, flags=NewFlag.REDUCE_ONLY, now_us=NOW + S):
        new = New("test/b", "zb1:B", 0, 10**15, 1, bytes(16), LOGIN, int(flags), wanted)
        return self.fresh.holds(new, now_us)


@pytest.fixture
def books():
    return Books()


def deal(at_ms=100, order=5):
    return DealRecord(
        ticket=order + 4, order=order, time_msc=T0 + at_ms, symbol="EURUSD", volume=0.2
    )


def test_a_close_waits_until_our_deal_and_the_position_are_seen(books):
    """
    Else a second close sees what the first one closed already, and opens the reverse.
    """
    desk = Desk(books)
    assert not desk.holds()
    desk.traded()
    assert desk.holds()
    books.deals = [deal()]
    assert desk.holds()
    books.open = [PositionRecord(ticket=7, symbol="EURUSD", time_update_msc=T0 + 100)]
    assert not desk.holds()


def test_a_position_that_is_what_it_was_before_the_order_shows_nothing_of_it(books):
    """
    Another one's deal changed it in the very millisecond of ours: its time says nothing.
    """
    books.open = [
        PositionRecord(ticket=7, symbol="EURUSD", time_update_msc=T0 + 100, volume=1.0),
        PositionRecord(ticket=8, symbol="GBPUSD", time_update_msc=T0 + 100, volume=1.0),
    ]
    books.deals = [deal()]
    desk = Desk(books)
    desk.fresh.sends()
    desk.traded()
    assert desk.holds()
    books.open[0] = PositionRecord(ticket=7, symbol="EURUSD", time_update_msc=T0 + 100, volume=0.8)
    assert not desk.holds()


def test_a_position_that_was_not_there_before_the_order_is_not_waited_for(books):
    books.deals, there = [deal(0)], books.open
    books.open = []
    desk = Desk(books)
    desk.fresh.sends()
    desk.traded()
    books.open = there

    assert not desk.holds()


@pytest.mark.parametrize("outcome", [OrderOutcome.PARTIAL, OrderOutcome.PLACED])
def test_a_part_and_what_is_to_be_filled_count_too(books, outcome):
    assert Desk(books).traded(outcome).holds()


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": OrderOutcome.REJECTED},
        {"outcome": OrderOutcome.UNKNOWN},
        {"action": PENDING},
        {"symbol": "GBPUSD"},
    ],
)
def test_what_did_not_trade_in_the_symbol_holds_nothing(books, changes):
    assert not Desk(books).traded(**changes).holds()


def test_only_closes_are_held(books):
    desk = Desk(books).traded()

    assert not desk.holds(buy(0.2), NewFlag(0))
    assert not desk.holds(CLOSE, NewFlag(0))
    assert not desk.holds(request(PENDING, symbol="EURUSD", position=7))
    assert not desk.holds(request(DEAL, symbol="GBPUSD", position=7))
    assert not desk.holds(request(DEAL, symbol="EURUSD", position=8))
    assert desk.holds(request(DEAL, position=7))
    assert desk.holds(request(DEAL, symbol="EURUSD"))


def test_with_hedging_nothing_is_held():
    assert not Desk(Books(netting=False)).traded().holds()


def test_the_last_order_of_a_symbol_counts(books):
    desk = Desk(books).traded().traded(order=6, symbol="GBPUSD")
    books.deals = [deal()]
    books.open = [PositionRecord(ticket=7, symbol="EURUSD", time_update_msc=T0 + 100)]
    assert not desk.holds()
    desk.traded(order=8)
    assert desk.holds()
    books.deals.append(deal(100, order=8))
    assert not desk.holds()


def test_nothing_is_held_for_ever(books):
    """
    A server that does not tell when a position changed, or a position that another one changed.
    """
    desk = Desk(books).traded()

    assert desk.holds(now_us=NOW + 9 * S)
    assert not desk.holds(now_us=NOW + 10 * S)
    # It is forgotten.
    assert not desk.holds(now_us=NOW + 9 * S)


# Changes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("netting", [True, False])
def test_a_change_of_a_position_waits_until_our_last_one_is_seen(netting):
    """
    Else it would put back the stop loss, which it leaves out.
    """
    books = Books(netting=netting)
    desk = Desk(books).changed(**STOPS)
    assert desk.holds(MOVE, NewFlag(0))
    assert desk.holds(MOVE, NewFlag(0))
    books.open = [PositionRecord(ticket=7, symbol="EURUSD", sl=1.05)]
    assert not desk.holds(MOVE, NewFlag(0))


def test_a_change_of_an_order_waits_until_our_last_one_is_seen(books):
    desk = Desk(books).changed(**PRICE, before=VALUES)
    assert desk.holds(CHANGE, NewFlag(0))
    books.pending = [OrderRecord(ticket=9, symbol="EURUSD", price_open=1.09, sl=1.0)]
    assert not desk.holds(CHANGE, NewFlag(0))


def test_what_somebody_else_changed_meanwhile_is_not_waited_for(books):
    desk = Desk(books).changed(**STOPS)
    books.open = [PositionRecord(ticket=7, symbol="EURUSD", sl=1.01)]
    assert not desk.holds(MOVE, NewFlag(0))
    # It is forgotten.
    books.open = [PositionRecord(ticket=7, symbol="EURUSD")]
    assert not desk.holds(MOVE, NewFlag(0))


def test_what_is_closed_or_filled_is_not_waited_for(books):
    desk = Desk(books).changed(**STOPS).changed(**PRICE, before=VALUES)
    books.open = books.pending = []
    assert not desk.holds(MOVE, NewFlag(0))
    assert not desk.holds(CHANGE, NewFlag(0))


@pytest.mark.parametrize(
    "change",
    [
        STOPS | {"outcome": OrderOutcome.REJECTED},
        STOPS | {"outcome": OrderOutcome.UNKNOWN},
        STOPS | {"position": 8},
        STOPS | {"sl": 0.0},
        STOPS | {"before": ()},
        PRICE | {"before": VALUES},
    ],
)
def test_what_changed_nothing_of_a_position_holds_no_change_of_it(books, change):
    assert not Desk(books).changed(**change).holds(MOVE, NewFlag(0))


def test_only_changes_wait_for_a_change(books):
    desk = Desk(books).changed(**STOPS).changed(**PRICE, before=VALUES)

    assert not desk.holds()
    assert not desk.holds(buy(0.2), NewFlag(0))
    assert not desk.holds(request(REMOVE, order=9), NewFlag(0))
    assert not desk.holds(request(SLTP, position=9, sl=1.0), NewFlag(0))
    assert not desk.holds(request(MODIFY, order=7, sl=1.0), NewFlag(0))
    assert not desk.holds(request(SLTP, sl=1.0), NewFlag(0))


def test_the_last_change_counts(books):
    desk = Desk(books).changed(**STOPS).changed(**STOPS | {"sl": 1.06}, before=(1.05, 0.0))
    books.open = [PositionRecord(ticket=7, symbol="EURUSD", sl=1.05)]
    assert desk.holds(MOVE, NewFlag(0))
    books.open = [PositionRecord(ticket=7, symbol="EURUSD", sl=1.06)]
    assert not desk.holds(MOVE, NewFlag(0))


def test_no_change_is_held_for_ever(books):
    desk = Desk(books).changed(**STOPS).changed(**PRICE, before=VALUES, at=NOW + 2 * S)

    assert desk.holds(MOVE, NewFlag(0), now_us=NOW + 9 * S)
    assert not desk.holds(MOVE, NewFlag(0), now_us=NOW + 10 * S)
    assert not desk.holds(MOVE, NewFlag(0), now_us=NOW + 9 * S)
    assert desk.holds(CHANGE, NewFlag(0), now_us=NOW + 11 * S)
    desk.changed(**STOPS, at=NOW + 12 * S)
    assert not desk.holds(CHANGE, NewFlag(0), now_us=NOW + 11 * S)
