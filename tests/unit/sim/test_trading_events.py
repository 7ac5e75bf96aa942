"""``bridge.sim.trading_events``: every deal and closed order reaches the relay, in its place."""

from __future__ import annotations

import dataclasses

import pytest

from bridge.model.enums import AccountMarginMode
from bridge.model.trade import TradeRequest
from bridge.sim.account import Account
from bridge.sim.exchange_rules import BrokerRules
from bridge.sim.trading_events import EVENT_WINDOW
from bridge.wire.messages import EventAck, EventCursor
from bridge.wire.spec import EventKind, OrderOutcome
from tests.support.desk_bench import (
    DEAL,
    LOGIN,
    PENDING,
    SERVER_MSC,
    SLTP,
    DeskBench,
    buy,
    request,
)

HISTORIC = {EventKind.DEAL, EventKind.ORDER_CLOSED}


@pytest.fixture
def bench():
    return DeskBench().connect()


@pytest.fixture
def netting():
    """
    Return a bench whose trades make one position: many cost no more than few.
    """
    account = Account(
        login=LOGIN, server="Demo-Server", margin_mode=AccountMarginMode.RETAIL_NETTING
    )
    return DeskBench(account=account).connect()


def historic(bench, first=0):
    return [event for event in bench.events[first:] if event.kind in HISTORIC]


def keys(events):
    return [(event.kind, event.record["ticket"]) for event in events]


def trade(bench, count=1):
    """
    Trade without the terminal, as another program on the account does.
    """
    for _ in range(count):
        bench.exchange.order_send(
            TradeRequest(action=1, symbol="EURUSD", volume=0.01, price=1.1001, type_filling=1),
            bench.now,
        )


def everything(bench):
    """
    The keys of all that is in the broker's history, in the order of their places.
    """
    ledger = bench.exchange.ledger()
    places = [(deal.time_msc, deal.ticket, int(EventKind.DEAL)) for deal in ledger.deals]
    places += [
        (order.time_done_msc, order.ticket, int(EventKind.ORDER_CLOSED))
        for order in ledger.orders
        if order.time_done_msc
    ]
    return [(kind, ticket) for _, ticket, kind in sorted(places)]


def place_of(event):
    return EventCursor(event.cursor_time_msc, event.cursor_ticket)


def test_a_deal_and_its_order_are_told_with_their_place(bench):
    result = bench.order(buy(0.2, magic=5))
    bench.advance(100)
    deal, order = historic(bench)

    assert (EventKind.DEAL, EventKind.ORDER_CLOSED) == (deal.kind, order.kind)
    assert (result.deal, 0.2, 5) == tuple(
        deal.record[name] for name in ("ticket", "volume", "magic")
    )
    assert (deal.record["time_msc"], deal.record["ticket"]) == place_of(deal)
    assert (order.record["time_done_msc"], order.record["ticket"]) == place_of(order)
    assert [False, False] == [deal.recovered, order.recovered]


def test_trades_of_others_are_told_too(bench):
    trade(bench)
    bench.advance(100)

    assert everything(bench) == keys(historic(bench))


def test_without_a_place_the_events_begin_now():
    bench = DeskBench()
    trade(bench, 3)
    bench.connect().advance(2_500)
    trade(bench)
    bench.advance(100)

    assert everything(bench)[-2:] == keys(historic(bench))


def test_after_an_outage_the_events_go_on_from_the_relays_place(bench):
    trade(bench)
    bench.advance(100)
    bench.place = place_of(bench.events[-1])
    told = len(bench.events)
    bench.disconnect()
    trade(bench, 2)
    bench.advance(70_000, step=500)
    trade(bench, 2)
    bench.advance(1_000).connect().advance(100)
    again = historic(bench, told)

    # The overlap brings some again; the relay drops what it has.
    assert set(everything(bench)) == set(keys(again))
    assert {True} == {event.recovered for event in again}
    assert keys(again) == [key for key in everything(bench) if key in keys(again)]


def test_a_place_long_ago_does_not_bring_everything(bench):
    trade(bench)
    bench.advance(70_000, step=500)
    trade(bench)
    bench.advance(1_000)
    bench.place = place_of(bench.events[-1])
    told = len(bench.events)
    bench.reconnect().advance(100)

    assert everything(bench)[-2:] == keys(historic(bench, told))


def test_a_program_that_crashed_tells_what_it_missed(bench):
    trade(bench)
    bench.advance(100)
    bench.place = place_of(bench.events[-1])
    bench.crash()
    trade(bench, 3)
    bench.connect().advance(100)

    assert set(everything(bench)) == set(keys(historic(bench)))


def test_deals_that_appear_late_are_told_late(bench):
    """
    The transaction comes first, the deal cannot be selected yet.
    """
    bench.exchange.rules = BrokerRules(visibility_ms=(3_000, 3_000))
    trade(bench)
    bench.advance(2_900)
    early = historic(bench)
    bench.advance(300)

    assert [] == early
    assert everything(bench) == keys(historic(bench))


def test_a_late_deal_behind_newer_ones_is_told(bench):
    """
    Whoever reads on from the newest place alone never sees it.
    """
    bench.exchange.rules = BrokerRules(visibility_ms=(20_000, 20_000))
    trade(bench)
    bench.advance(100)
    bench.exchange.rules = BrokerRules()
    bench.advance(10_000, step=100)
    trade(bench)
    bench.advance(100)
    newest = keys(historic(bench))
    bench.advance(11_000, step=100)

    assert everything(bench)[-2:] == newest
    assert set(everything(bench)) == set(keys(historic(bench)))


def test_a_deal_that_appears_during_an_outage_behind_newer_ones_is_told(bench):
    """
    The relay's place is behind it already: without an overlap it would be lost.
    """
    bench.exchange.rules = BrokerRules(visibility_ms=(20_000, 20_000))
    trade(bench)
    bench.advance(100)
    bench.exchange.rules = BrokerRules()
    bench.advance(5_000, step=100)
    trade(bench)
    bench.advance(100)
    bench.place = place_of(bench.events[-1])
    bench.disconnect().advance(20_000, step=500).connect().advance(100)

    assert set(everything(bench)) == set(keys(historic(bench)))


def test_transactions_that_were_lost_are_made_up_for(bench):
    """
    MetaTrader drops the oldest of more than 1,024; without looking by itself the terminal would
    never know.
    """
    bench.exchange.transactions, kept = list, bench.exchange.transactions
    trade(bench)
    bench.advance(1_500)
    bench.exchange.transactions = kept

    assert everything(bench) == keys(historic(bench))
    assert {True} == {event.recovered for event in historic(bench)}


def test_what_happened_without_the_trade_server_is_told_afterwards(bench):
    bench.order(request(PENDING, symbol="EURUSD", volume=0.1, price=1.05, type=2))
    bench.exchange.rules = BrokerRules(connected=False)
    bench.advance(100)
    bench.quote(1.0400, 1.0401)
    bench.advance(5_000, step=50)
    during = historic(bench)
    bench.exchange.rules = BrokerRules()
    bench.advance(2_000)

    assert [] == during
    assert everything(bench) == keys(historic(bench))


def test_nothing_is_told_twice_in_a_session(bench):
    for _ in range(5):
        trade(bench)
        bench.advance(1_300)

    assert everything(bench) == keys(historic(bench))


def test_shuffled_transactions_change_nothing():
    bench = DeskBench(rules=BrokerRules(shuffle_transactions=True)).connect()
    trade(bench, 20)
    bench.advance(200)

    assert everything(bench) == keys(historic(bench))


def test_no_more_than_the_window_is_in_flight(bench):
    bench.place = EventCursor(SERVER_MSC, 0)
    bench.acknowledges = False
    bench.disconnect()
    trade(bench, 200)
    bench.connect().advance(3_000, step=100)
    first = historic(bench)
    bench.session.send(EventAck(*place_of(first[99])))
    bench.pump().advance(500)
    second = historic(bench)
    bench.session.send(EventAck(*place_of(second[-1])))
    bench.pump().advance(500)

    assert EVENT_WINDOW == len(first)
    # Deals and orders have numbers of their own: an acknowledged place may be two events'.
    acknowledged = [event for event in first if place_of(event) <= place_of(first[99])]
    assert EVENT_WINDOW + len(acknowledged) == len(second)
    assert set(everything(bench)) == set(keys(historic(bench)))
    assert len(everything(bench)) == len(historic(bench))


def test_an_acknowledgement_of_nothing_does_no_harm(bench):
    bench.session.send(EventAck(0, 0))
    bench.session.send(EventAck(2**62, 2**63))
    trade(bench)
    bench.pump().advance(100)

    assert everything(bench) == keys(historic(bench))


def test_a_long_outage_is_told_in_order_and_in_full(netting):
    bench = netting
    bench.place = EventCursor(SERVER_MSC, 0)
    bench.disconnect()
    trade(bench, 900)
    bench.connect().advance(3_000, step=50)

    assert everything(bench) == keys(historic(bench))


def test_what_was_sent_and_not_acknowledged_comes_again(bench):
    """
    The relay's place decides, not what the terminal remembers to have sent.
    """
    bench.place = EventCursor(SERVER_MSC, 0)
    bench.reconnect()
    bench.acknowledges = False
    trade(bench)
    bench.advance(100)
    once = keys(historic(bench))
    bench.reconnect().advance(100)

    assert once * 2 == keys(historic(bench))


def test_a_link_that_is_cut_again_and_again_gets_on(netting, monkeypatch):
    """
    Sessions that are shorter than the last minute's events take: each goes on where it was.
    """
    bench = netting
    bench.place = EventCursor(SERVER_MSC, 0)
    bench.disconnect()
    trade(bench, 200)
    wanted = everything(bench)
    take, turns = bench._take, []

    def take_and_cut():
        # The logon takes some turns, each later one brings no more than 32 events.
        take()
        turns.append(len(historic(bench)))
        if len(turns) >= 12:
            bench.disconnect()

    monkeypatch.setattr(bench, "_take", take_and_cut)
    for _ in range(len(wanted) // 32):
        turns.clear()
        bench.connect().disconnect()
        bench.place = max([bench.place, *map(place_of, historic(bench))])

    assert set(wanted) == set(keys(historic(bench)))


def test_an_older_journal_is_told_everything_again(bench):
    """
    Its place lies before what was acknowledged: it is a copy from before, or another one.
    """
    bench.place = EventCursor(SERVER_MSC, 0)
    bench.reconnect()
    trade(bench, 5)
    bench.advance(100)
    once = keys(historic(bench))
    again = len(bench.events)
    bench.reconnect().advance(100)

    assert once == everything(bench)
    assert once == keys(historic(bench, again))


def test_what_was_acknowledged_does_not_come_again(bench):
    trade(bench, 5)
    bench.advance(100)
    bench.place = place_of(historic(bench)[-1])
    again = len(bench.events)
    bench.reconnect().advance(100)

    # But for the last place, deal and order: the RESULT behind it may have been lost.
    assert everything(bench)[-2:] == keys(historic(bench, again))


# Events without a place ---------------------------------------------------------------------


def kinds(bench):
    return [EventKind(event.kind) for event in bench.events]


def test_an_order_that_was_placed_is_told(bench):
    bench.order(request(PENDING, symbol="EURUSD", volume=0.1, price=1.05, type=2))
    bench.advance(100)
    (event,) = [event for event in bench.events if event.kind == EventKind.ORDER]

    assert (1.05, (0, 0)) == (event.record["price_open"], place_of(event))


def test_levels_of_a_position_are_told(bench):
    ticket = bench.order(buy()).position
    bench.order(request(SLTP, position=ticket, sl=1.05))
    bench.advance(100)
    (event,) = [event for event in bench.events if event.kind == EventKind.POSITION]

    assert (ticket, 1.05) == (event.record["ticket"], event.record["sl"])


def test_the_account_is_told_when_its_balance_changes(bench):
    ticket = bench.order(buy(1.0)).position
    bench.quote(1.2000, 1.2001)
    bench.advance(1_500)
    assert EventKind.ACCOUNT not in kinds(bench)
    bench.order(request(DEAL, position=ticket), flags=1)
    bench.advance(1_500)
    (event,) = [event for event in bench.events if event.kind == EventKind.ACCOUNT]

    assert bench.exchange.account().balance == event.record["balance"] > 10_000


def test_the_reply_to_a_request_is_told(bench):
    result = bench.order(buy())
    bench.advance(100)
    (event,) = [event for event in bench.events if event.kind == EventKind.REQUEST]

    assert result.request_id == event.record["result"]["request_id"]
    assert "EURUSD" == event.record["request"]["symbol"]


def test_a_state_is_told_as_it_is_when_it_is_told(bench):
    """
    A transaction is a hint: the order is gone already, and a closed order tells of it.
    """
    bench.core.block(200)
    sent = bench.exchange.order_send(
        TradeRequest(action=5, symbol="EURUSD", volume=0.1, price=1.05, type=2, type_filling=2),
        bench.now,
    )
    bench.exchange.order_send(TradeRequest(action=8, order=sent.result.order), bench.now)
    bench.advance(500)

    assert EventKind.ORDER not in kinds(bench)
    assert everything(bench) == keys(historic(bench))


def test_commands_pass_a_flood_of_events(netting):
    """
    Events share the lane of commands: they are made in small portions.
    """
    bench = netting
    bench.place = EventCursor(SERVER_MSC, 0)
    bench.disconnect()
    trade(bench, 500)
    bench.connect()
    bench.acknowledges = False
    result = bench.order(buy())

    assert OrderOutcome.DONE == result.outcome
    assert {True} == {event.recovered for event in historic(bench)[:100]}


def test_a_terminal_with_many_events_forgets_the_old_ones(bench):
    bench.core.trading._events._known.update(
        {(EventKind.DEAL, 10_000 + number): 1 for number in range(9_000)}
    )
    trade(bench)
    bench.advance(1_500)

    assert len(bench.core.trading._events._known) < 10


def test_rules_that_only_delay_lose_nothing(rng):
    bench = DeskBench(seed=rng.randrange(2**32)).connect()
    bench.place = EventCursor(SERVER_MSC, 0)
    seen = set()
    for _ in range(40):
        bench.exchange.rules = dataclasses.replace(
            bench.exchange.rules,
            visibility_ms=(0, rng.choice([0, 2_000])),
            fill_ms=(0, rng.choice([0, 300])),
            shuffle_transactions=True,
        )
        trade(bench, rng.randint(0, 3))
        bench.advance(rng.choice([10, 100, 700]))
        if rng.random() < 0.2:
            acknowledged = [place_of(event) for event in historic(bench)]
            bench.place = max([bench.place, *acknowledged])
            bench.crash() if rng.random() < 0.5 else bench.disconnect()
            bench.advance(rng.choice([10, 1_000]))
            bench.connect()
    bench.exchange.rules = BrokerRules()
    bench.advance(4_000, step=50)
    seen |= set(keys(historic(bench)))

    assert set(everything(bench)) == seen
