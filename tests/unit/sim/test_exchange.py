"""``bridge.sim.exchange``: what requests and ticks do to orders, positions and deals."""

from __future__ import annotations

import dataclasses

import pytest

from bridge.model.enums import (
    DealEntry,
    DealReason,
    DealType,
    OrderReason,
    OrderState,
    OrderType,
    OrderTypeFilling,
    PositionType,
    SymbolTradeExecution,
    TradeRequestActions,
    TradeRetcode,
)
from bridge.model.symbol import spec_for
from bridge.model.tick import MqlTick
from bridge.model.trade import order_tag
from bridge.sim.exchange_rules import BrokerRules
from tests.support.exchange_bench import BUY, START_MSC, ExchangeBench, netting

DONE, PLACED = TradeRetcode.DONE, TradeRetcode.PLACED


def entries(bench):
    return [(deal.entry, deal.volume, deal.position_id) for deal in bench.deals()]


# Hedging.


def test_every_deal_opens_a_position_of_its_own():
    bench = ExchangeBench()
    bench.buy(0.5)
    bench.buy(0.5)
    bench.sell(0.2)
    held = [(one.ticket, one.type, one.volume) for one in bench.exchange.positions()]

    assert [
        (1, PositionType.BUY, 0.5),
        (2, PositionType.BUY, 0.5),
        (3, PositionType.SELL, 0.2),
    ] == (held)


def test_a_position_has_what_its_order_had():
    bench = ExchangeBench()
    bench.buy(sl=1.09, tp=1.12, magic=2**63, comment="zb1:ABC")
    position = bench.position

    assert (1, 1, 2**63, "zb1:ABC", 1.09, 1.12, OrderReason.EXPERT) == (
        position.ticket,
        position.identifier,
        position.magic,
        position.comment,
        position.sl,
        position.tp,
        position.reason,
    )
    assert (START_MSC, START_MSC // 1000) == (position.time_msc, position.time)


def test_a_close_in_parts_books_each_parts_profit():
    bench = ExchangeBench()
    bench.buy()
    bench.quote(1.102, 1.1021)
    part = bench.sell(0.4, position=1, comment="part")
    left = bench.position.volume
    bench.quote(1.099, 1.0991)
    rest = bench.sell(0.6, position=1, comment="rest")

    assert [DONE, DONE] == [part.retcode, rest.retcode]
    assert 0.6 == left
    # 190 points of 0.4 lots and -110 of 0.6.
    assert [0.0, 76.0, -66.0] == [deal.profit for deal in bench.deals()]
    assert 10_010.0 == bench.exchange.account().balance
    assert [(DealEntry.IN, 1.0, 1), (DealEntry.OUT, 0.4, 1), (DealEntry.OUT, 0.6, 1)] == (
        entries(bench)
    )
    assert ["", "part", "rest"] == [deal.comment for deal in bench.deals()]
    assert [1, 1, 1] == [order.position_id for order in bench.ended()]
    assert [] == bench.exchange.positions() == bench.exchange.orders()


def test_an_opposite_deal_without_a_position_hedges():
    bench = ExchangeBench()
    bench.buy()
    bench.sell()

    assert 2 == len(bench.exchange.positions())


def test_positions_close_one_another_and_save_a_spread():
    bench = ExchangeBench()
    bench.buy(1.0)
    bench.sell(0.4)
    tag = order_tag("a/1")
    result = bench.send(
        TradeRequestActions.CLOSE_BY, position=1, position_by=2, comment=tag, magic=5
    )
    first, second = bench.deals()[2:]

    assert (DONE, 3, 0.4) == (result.retcode, result.order, result.volume)
    # Each closes at the other's open price; the spread is paid once, in the first deal.
    assert (1.1, 1.1001, -4.0, 0.0) == (first.price, second.price, first.profit, second.profit)
    assert [DealEntry.OUT_BY] * 2 == [first.entry, second.entry]
    assert [(1, DealType.SELL), (2, DealType.BUY)] == [
        (deal.position_id, deal.type) for deal in (first, second)
    ]
    assert (1, 0.6, 1.1001) == (
        bench.position.ticket,
        bench.position.volume,
        bench.position.price_open,
    )
    order = bench.ended()[-1]
    assert (OrderType.CLOSE_BY, 1, 2, "close #1 by #2") == (
        order.type,
        order.position_id,
        order.position_by_id,
        order.comment,
    )
    assert [order] == bench.exchange.ledger().orders_of(tag)


# Netting.


def test_two_deals_of_a_half_are_one_position_of_a_lot():
    bench = netting()
    bench.buy(0.5)
    bench.quote(1.102, 1.1021)
    bench.buy(0.5)

    assert (1, 1.0) == (bench.position.ticket, bench.position.volume)
    assert 1.1011 == pytest.approx(bench.position.price_open)


def test_an_opposite_deal_reduces_then_closes():
    bench = netting()
    bench.buy()
    bench.sell(0.4)
    left = bench.position.volume
    bench.sell(0.6)

    assert 0.6 == left
    assert [] == bench.exchange.positions()
    assert [(DealEntry.IN, 1.0, 1), (DealEntry.OUT, 0.4, 1), (DealEntry.OUT, 0.6, 1)] == (
        entries(bench)
    )


def test_a_greater_opposite_deal_reverses_keeps_the_identifier_and_changes_the_ticket():
    bench = netting()
    bench.buy(magic=1)
    result = bench.sell(1.5, magic=2)
    position = bench.position

    assert (2, 1, PositionType.SELL, 0.5, 1.1, 2) == (
        position.ticket,
        position.identifier,
        position.type,
        position.volume,
        position.price_open,
        position.magic,
    )
    assert (DONE, 1.5) == (result.retcode, result.volume)
    assert [(DealEntry.IN, 1.0, 1), (DealEntry.INOUT, 1.5, 1)] == entries(bench)
    assert [0.0, -10.0] == [deal.profit for deal in bench.deals()]


def test_a_second_close_opens_the_reverse():
    """
    What the bridge has to prevent, the broker does not: ``position`` is not looked at.
    """
    bench = netting()
    bench.buy()
    closes = [bench.sell(position=1).retcode for _ in range(2)]

    assert [DONE, DONE] == closes
    assert (PositionType.SELL, 1.0) == (bench.position.type, bench.position.volume)


@pytest.mark.parametrize(
    ("order_type", "volume", "expected"),
    [
        (OrderType.BUY, 0.5, (1.08, 1.15)),
        (OrderType.SELL, 0.5, (1.09, 1.12)),
        (OrderType.SELL, 1.5, (1.15, 1.08)),
    ],
)
def test_stops_come_from_the_newest_order_that_adds_or_reverses(order_type, volume, expected):
    bench = netting()
    bench.buy(sl=1.09, tp=1.12)
    sl, tp = (1.08, 1.15) if order_type == OrderType.BUY else (1.15, 1.08)
    bench.deal(order_type, volume, sl=sl, tp=tp)

    assert expected == (bench.position.sl, bench.position.tp)


def test_an_order_without_stops_that_adds_removes_them():
    bench = netting()
    bench.buy(sl=1.09, tp=1.12)
    bench.buy(0.1)

    assert (0.0, 0.0) == (bench.position.sl, bench.position.tp)


def test_stops_can_be_set_by_the_symbol_alone():
    bench = netting()
    bench.buy()
    result = bench.send(TradeRequestActions.SLTP, symbol="EURUSD", sl=1.09)

    assert (DONE, 1.09) == (result.retcode, bench.position.sl)


# Pending orders.


@pytest.mark.parametrize(
    ("order_type", "price", "bid", "ask", "filled_at"),
    [
        (OrderType.BUY_LIMIT, 1.09, 1.0898, 1.09, 1.09),
        (OrderType.BUY_LIMIT, 1.09, 1.0798, 1.08, 1.08),
        (OrderType.SELL_LIMIT, 1.11, 1.11, 1.1102, 1.11),
        (OrderType.SELL_LIMIT, 1.11, 1.12, 1.1202, 1.12),
        (OrderType.BUY_STOP, 1.11, 1.1098, 1.11, 1.11),
        (OrderType.BUY_STOP, 1.11, 1.1198, 1.12, 1.12),
        (OrderType.SELL_STOP, 1.09, 1.09, 1.0902, 1.09),
        (OrderType.SELL_STOP, 1.09, 1.08, 1.0802, 1.08),
    ],
)
def test_limits_fill_at_their_price_or_better_and_stops_at_the_market(
    order_type, price, bid, ask, filled_at
):
    bench = ExchangeBench()
    ticket = bench.pending(order_type, price, comment="tag", magic=3).order
    waiting = bench.order.state
    bench.quote(bid, ask)
    (deal,) = bench.deals()

    assert OrderState.PLACED == waiting
    assert (ticket, filled_at, 3, "tag") == (deal.order, deal.price, deal.magic, deal.comment)
    assert (ticket, "tag") == (bench.position.ticket, bench.position.comment)
    assert [OrderState.FILLED] == [order.state for order in bench.ended()]


@pytest.mark.parametrize(
    ("order_type", "price", "bid", "ask"),
    [
        (OrderType.BUY_LIMIT, 1.09, 1.0899, 1.09001),
        (OrderType.SELL_LIMIT, 1.11, 1.10999, 1.1102),
        (OrderType.BUY_STOP, 1.11, 1.1098, 1.10999),
        (OrderType.SELL_STOP, 1.09, 1.09001, 1.0902),
    ],
)
def test_buys_wait_for_the_ask_and_sells_for_the_bid(order_type, price, bid, ask):
    bench = ExchangeBench()
    bench.pending(order_type, price)
    bench.quote(bid, ask)

    assert [] == bench.deals()
    assert price == bench.order.price_open


def test_every_tick_since_the_last_look_counts_in_its_order():
    """
    A price that was there for one tick of many triggers; one before the order does not.
    """
    bench = ExchangeBench()
    bench.market.history.append("EURUSD", MqlTick(START_MSC, 1.0, 1.0001))
    bench.market.history.append("EURUSD", MqlTick(START_MSC, 1.1, 1.1001))
    bench.pending(OrderType.BUY_LIMIT, 1.05)
    untouched = list(bench.deals())
    for number, bid in enumerate((1.06, 1.04, 1.08, 1.1), 1):
        time_msc = START_MSC + number
        bench.market.history.append("EURUSD", MqlTick(time_msc, bid, bid + 0.0001))
    bench.wait(10)

    assert [] == untouched
    assert [(1.0401, START_MSC + 2)] == [(one.price, one.time_msc) for one in bench.deals()]


def test_ticks_of_the_same_millisecond_count_one_by_one():
    bench = ExchangeBench()
    bench.pending(OrderType.BUY_LIMIT, 1.05)
    bench.market.history.append("EURUSD", MqlTick(START_MSC, 1.06, 1.0601))
    bench.wait(1)
    bench.market.history.append("EURUSD", MqlTick(START_MSC, 1.04, 1.0401))
    bench.wait(1)

    assert [1.0401] == [deal.price for deal in bench.deals()]


def test_a_stop_limit_order_becomes_a_limit_order():
    bench = ExchangeBench()
    bench.pending(OrderType.BUY_STOP_LIMIT, 1.11, stoplimit=1.105)
    bench.quote(1.1099, 1.11)
    limit = bench.order
    bench.quote(1.1049, 1.105)

    assert (OrderType.BUY_LIMIT, 1.105, 0.0) == (
        limit.type,
        limit.price_open,
        limit.price_stoplimit,
    )
    assert 1.105 == bench.position.price_open


def test_a_pending_order_is_modified_and_removed():
    bench = ExchangeBench()
    ticket = bench.pending(OrderType.BUY_LIMIT, 1.09, sl=1.08, comment="tag").order
    changed = bench.send(TradeRequestActions.MODIFY, order=ticket, price=1.085, tp=1.1)
    after = bench.order
    removed = bench.send(TradeRequestActions.REMOVE, order=ticket)

    assert [DONE, DONE] == [changed.retcode, removed.retcode]
    assert (1.085, 0.0, 1.1, "tag") == (after.price_open, after.sl, after.tp, after.comment)
    assert [(OrderState.CANCELED, "tag", 1.0)] == [
        (order.state, order.comment, order.volume_current) for order in bench.ended()
    ]


def test_in_netting_a_triggered_order_takes_from_the_position():
    bench = netting()
    bench.buy()
    bench.pending(OrderType.SELL_STOP, 1.09, 0.7)
    bench.quote(1.089, 1.0891)

    assert 0.3 == bench.position.volume


def test_an_exchange_fills_a_limit_that_crosses_at_the_quote_and_books_or_cancels():
    bench = ExchangeBench(account={"balance": 100_000.0})
    booked = bench.pending(
        OrderType.BUY_LIMIT, 5001.0, symbol="ES", type_filling=OrderTypeFilling.BOC
    )
    taken = bench.pending(OrderType.BUY_LIMIT, 5001.0, symbol="ES")
    bench.quote(5000.25, 5000.5, "ES")

    assert [TradeRetcode.REJECT, PLACED] == [booked.retcode, taken.retcode]
    assert [5000.5] == [deal.price for deal in bench.deals()]


def test_stops_of_an_exchanges_symbol_wait_for_the_last_price():
    bench = ExchangeBench(account={"balance": 100_000.0})
    bench.pending(OrderType.BUY_STOP, 5010.0, symbol="ES")
    bench.quote(5009.75, 5010.0, "ES", last=5009.75)
    waiting = len(bench.exchange.orders())
    bench.quote(5010.0, 5010.25, "ES", last=5010.0)

    assert 1 == waiting
    assert [5010.25] == [deal.price for deal in bench.deals()]


# Stop loss and take profit.


@pytest.mark.parametrize(
    ("order_type", "fields", "bid", "ask", "price", "reason"),
    [
        (OrderType.BUY, {"sl": 1.09}, 1.09, 1.0901, 1.09, DealReason.SL),
        (OrderType.BUY, {"sl": 1.09}, 1.08, 1.0801, 1.08, DealReason.SL),
        (OrderType.BUY, {"tp": 1.11}, 1.11, 1.1101, 1.11, DealReason.TP),
        (OrderType.SELL, {"sl": 1.11}, 1.1099, 1.11, 1.11, DealReason.SL),
        (OrderType.SELL, {"tp": 1.09}, 1.0899, 1.09, 1.09, DealReason.TP),
    ],
)
@pytest.mark.parametrize("margin_mode", [0, 2])
def test_stops_close_at_the_price_there_is(
    margin_mode, order_type, fields, bid, ask, price, reason
):
    bench = ExchangeBench(account={"margin_mode": margin_mode})
    bench.deal(order_type, comment="tag", magic=9, **fields)
    bench.quote(bid, ask)
    deal = bench.deals()[-1]
    name, level = next(iter(fields.items()))

    assert [] == bench.exchange.positions()
    assert (price, reason, 9, 1) == (deal.price, deal.reason, deal.magic, deal.position_id)
    assert f"[{name} {level:.5f}]" == deal.comment
    assert bench.exchange.account().balance == 10_000.0 + deal.profit


@pytest.mark.parametrize(("bid", "ask"), [(1.09001, 1.0901), (1.10999, 1.12)])
def test_stops_of_a_buy_wait_for_the_bid(bid, ask):
    bench = ExchangeBench()
    bench.buy(sl=1.09, tp=1.11)
    bench.quote(bid, ask)

    assert 1 == len(bench.exchange.positions())


# Rules.


@pytest.mark.parametrize(
    "fields",
    [
        {"reject": 1.1},
        {"partial": -0.1},
        {"lose_reply": float("nan")},
        {"execution_ms": (2, 1)},
        {"visibility_ms": (-1, 1)},
        {"max_orders": -1},
        {"commission_per_lot": float("inf")},
        {"pending_retcode": TradeRetcode.REJECT},
    ],
    ids=str,
)
def test_rules_out_of_range_are_refused(fields):
    with pytest.raises(ValueError, match="expected"):
        BrokerRules(**fields)


def test_pending_orders_are_answered_as_the_server_does():
    bench = ExchangeBench(pending_retcode=DONE)

    assert DONE == bench.pending(OrderType.BUY_LIMIT, 1.09).retcode


def test_forced_answers_wait_in_line():
    bench = ExchangeBench()
    bench.exchange.force(TradeRetcode.ERROR)
    bench.exchange.force(12_345, executed=True)

    assert [10_011, 12_345, 10_009] == [bench.buy(0.1).retcode for _ in range(3)]
    assert 2 == len(bench.exchange.positions())


def test_positions_and_orders_can_be_asked_for_by_symbol_and_ticket():
    bench = ExchangeBench()
    bench.buy(0.1)
    bench.buy(0.1, symbol="GBPUSD")
    bench.pending(OrderType.BUY_LIMIT, 1.09)
    exchange = bench.exchange

    assert [1] == [one.ticket for one in exchange.positions(symbol="EURUSD")]
    assert [2] == [one.ticket for one in exchange.positions(ticket=2)]
    assert [3] == [one.ticket for one in exchange.orders(symbol="EURUSD")]
    assert [] == exchange.orders(ticket=4) == exchange.positions(symbol="USDJPY")


def test_history_is_asked_for_by_time_with_both_ends():
    bench = ExchangeBench()
    bench.buy(0.1)
    bench.wait(10)
    bench.buy(0.1)
    exchange = bench.exchange

    assert [1, 2] == [one.ticket for one in exchange.history_deals(START_MSC, START_MSC + 10)]
    assert [2] == [one.ticket for one in exchange.history_deals(START_MSC + 1, START_MSC + 10)]
    assert [1] == [one.ticket for one in exchange.history_orders(START_MSC, START_MSC + 9)]


def test_history_is_asked_for_by_ticket_when_the_terminal_sees_it():
    bench = ExchangeBench(visibility_ms=(50, 50))
    exchange = bench.exchange
    bench.buy()

    assert (None, None) == (exchange.history_order(1), exchange.history_deal(1))

    bench.wait(50)

    assert bench.ended() == [exchange.history_order(1)]
    assert bench.deals() == [exchange.history_deal(1)]
    assert exchange.history_deal(2) is None


def test_what_was_sent_has_its_number_and_whether_it_left():
    bench = ExchangeBench()
    sent = [bench.exchange.order_send(BUY, 0) for _ in range(2)]
    bench.set(connected=False)
    sent.append(bench.exchange.order_send(BUY, 0))

    assert [(1, True), (2, True), (3, False)] == [(one.request_id, one.left) for one in sent]


def test_market_execution_ignores_the_price_and_instant_does_not():
    spec = dataclasses.replace(spec_for("GBPUSD"), trade_exemode=SymbolTradeExecution.INSTANT)
    bench = ExchangeBench(spec)

    assert DONE == bench.buy(0.1, price=5.0).retcode
    assert TradeRetcode.INVALID_PRICE == bench.buy(0.1, symbol="GBPUSD").retcode
    assert TradeRetcode.REQUOTE == bench.buy(0.1, symbol="GBPUSD", price=1.25).retcode
