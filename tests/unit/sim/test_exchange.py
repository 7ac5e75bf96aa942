"""``bridge.sim.exchange``: what requests, ticks and time do to orders, positions and deals."""

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
    OrderTypeTime,
    PositionType,
    SymbolTradeExecution,
    TradeRequestActions,
    TradeRetcode,
)
from bridge.model.symbol import spec_for
from bridge.model.tick import MqlTick
from bridge.model.trade import AccountRecord, TradeRequest, order_tag
from bridge.sim.exchange import Exchange
from bridge.sim.exchange_records import TransactionType
from bridge.sim.exchange_rules import BrokerRules, CommentMode, MarginRatios
from bridge.sim.market import Market
from tests.support.exchange_bench import MS, NETTING, START_MSC, ExchangeBench, instant

DONE, PARTIAL, PLACED = TradeRetcode.DONE, TradeRetcode.DONE_PARTIAL, TradeRetcode.PLACED
BUY = TradeRequest(action=TradeRequestActions.DEAL, symbol="EURUSD", volume=1.0, type=OrderType.BUY)


def netting(**rules):
    return ExchangeBench(account={"margin_mode": NETTING}, **rules)


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


# Parts, delays and losses.


def test_fill_or_kill_takes_no_part():
    bench = ExchangeBench(partial=1.0)
    result = bench.buy(type_filling=OrderTypeFilling.FOK)

    assert (TradeRetcode.REJECT, 0) == (result.retcode, result.deal)
    assert [] == bench.exchange.positions()
    assert [OrderState.CANCELED] == [order.state for order in bench.ended()]


def test_immediate_or_cancel_keeps_the_part():
    bench = ExchangeBench(partial=1.0)
    result = bench.buy(type_filling=OrderTypeFilling.IOC)
    (order,) = bench.ended()

    assert PARTIAL == result.retcode
    assert OrderState.PARTIAL == order.state
    assert order.volume_initial == pytest.approx(order.volume_current + result.volume)


def test_return_keeps_the_rest_in_the_market_until_the_next_tick():
    bench = ExchangeBench(instant(), partial=1.0)
    result = bench.buy(type_filling=OrderTypeFilling.RETURN, price=1.1001)
    waiting = bench.order
    bench.quote(1.1005, 1.1006)
    first, second = bench.deals()

    assert PARTIAL == result.retcode
    assert (OrderState.PARTIAL, 1.0 - result.volume) == (
        waiting.state,
        pytest.approx(waiting.volume_current),
    )
    assert (result.volume, 1.1001) == (first.volume, first.price)
    assert (pytest.approx(1.0 - result.volume), 1.1006) == (second.volume, second.price)
    assert 1.0 == bench.position.volume
    assert [(OrderState.FILLED, 0.0)] == [(one.state, one.volume_current) for one in bench.ended()]


def test_a_part_of_a_pending_order_keeps_the_rest_waiting():
    bench = ExchangeBench(partial=1.0)
    bench.pending(OrderType.BUY_LIMIT, 1.09)
    bench.quote(1.0899, 1.09)
    held = bench.position.volume
    bench.quote(1.0899, 1.09)

    assert 0 < held < 1
    assert (1.0, 1) == (bench.position.volume, bench.position.ticket)
    assert [] == bench.exchange.orders()


def test_the_rest_of_an_opening_order_does_not_lock_its_position():
    bench = ExchangeBench(instant(), partial=1.0)
    part = bench.buy(type_filling=OrderTypeFilling.RETURN, price=1.1001)
    bench.set(partial=0.0)
    result = bench.sell(part.volume, position=1, price=1.1)
    bench.quote(1.1005, 1.1006)

    assert DONE == result.retcode
    # Its position is gone: what was left opens no other one.
    assert [] == bench.exchange.positions() == bench.exchange.orders()


def test_execution_happens_in_its_own_time_at_the_price_of_that_time():
    bench = ExchangeBench(execution_ms=(100, 100), reply_ms=(40, 40))
    sent = bench.exchange.order_send(BUY, bench.now_us)
    bench.wait(99)
    before = len(bench.exchange.ledger().deals)
    bench.quote(1.2, 1.2001)
    executed = len(bench.exchange.ledger().deals)
    known = sent.known
    bench.wait(40)

    assert (0, 1, False, 140 * MS) == (before, executed, known, sent.at_us)
    assert (DONE, 1.2001) == (sent.result.retcode, sent.result.price)
    assert START_MSC + 100 == bench.deals()[0].time_msc


def test_an_answer_cannot_be_read_before_it_is_there():
    bench = ExchangeBench(reply_ms=(5, 5))
    sent = bench.exchange.order_send(BUY, bench.now_us)

    with pytest.raises(RuntimeError, match="advance"):
        _ = sent.result


def test_delays_are_drawn_from_their_range_and_repeat_with_the_seed(seed):
    def at_times():
        bench = ExchangeBench(seed=seed, execution_ms=(10, 300), reply_ms=(0, 50))
        return [bench.exchange.order_send(BUY, 0).at_us for _ in range(50)]

    times = at_times()

    assert times == at_times()
    assert 10 * MS <= min(times) < max(times) <= 350 * MS


def test_a_lost_answer_blocks_the_caller_and_the_order_is_executed():
    bench = ExchangeBench(lose_reply=1.0, reply_timeout_ms=5_000)
    sent = bench.exchange.order_send(BUY, 0)

    assert (5_000 * MS, None) == (sent.at_us, sent.result)
    assert 1 == len(bench.exchange.positions())
    assert TransactionType.REQUEST not in {one.type for one in bench.exchange.transactions()}


def test_a_lost_request_blocks_the_caller_and_nothing_is_executed():
    bench = ExchangeBench(lose_request=1.0, reply_timeout_ms=5_000)
    sent = bench.exchange.order_send(BUY, 0)
    bench.wait(60_000)

    assert (5_000 * MS, None) == (sent.at_us, sent.result)
    assert ((), ()) == (bench.exchange.ledger().orders, bench.exchange.ledger().requests)


def test_a_late_answer_comes_when_the_deal_is_long_known():
    bench = ExchangeBench(late_reply=1.0, late_reply_ms=30_000)
    sent = bench.exchange.order_send(BUY, 0)
    bench.wait(1)

    assert 30_000 * MS == sent.at_us
    assert 1 == len(bench.deals())
    bench.wait(30_000)
    assert DONE == sent.result.retcode


def test_deals_appear_late_and_their_position_does_not():
    bench = ExchangeBench(visibility_ms=(2_000, 2_000))
    bench.buy(comment="tag")
    seen = (len(bench.exchange.positions()), len(bench.deals()), len(bench.ended()))
    bench.wait(1_999)
    almost = len(bench.deals())
    bench.wait(1)

    assert (1, 0, 0) == seen
    assert 0 == almost
    assert (1, 1) == (len(bench.deals()), len(bench.ended()))
    # A late deal has its true time: it lies before what a reader has seen since.
    assert START_MSC == bench.deals()[0].time_msc


def test_positions_appear_late_too_and_the_truth_is_there_at_once():
    bench = ExchangeBench(state_delay_ms=(500, 500))
    bench.buy(comment="tag")
    seen = bench.exchange.positions()

    assert [] == seen
    assert 1 == bench.exchange.ledger().executions_of("tag")
    bench.wait(500)
    assert 1.0 == bench.position.volume


def test_news_that_overtake_one_another_end_in_the_newest(rng):
    bench = netting(state_delay_ms=(0, 1_000), visibility_ms=(0, 1_000))
    volume = 0
    for _ in range(50):
        step = rng.choice((-3, -2, -1, 1, 2, 3))
        bench.deal(OrderType.BUY if step > 0 else OrderType.SELL, abs(step) / 10)
        bench.wait(rng.randrange(100))
        volume += step
    bench.wait(1_000)
    seen = sum(
        one.volume if one.type == PositionType.BUY else -one.volume
        for one in bench.exchange.positions()
    )

    assert volume / 10 == pytest.approx(seen)
    assert 50 == len(bench.deals()) == len(bench.ended())
    assert [] == bench.exchange.orders()


def test_an_accepted_order_is_filled_later():
    bench = ExchangeBench(fill_ms=(200, 200))
    result = bench.buy()
    state = bench.order.state
    bench.quote(1.2, 1.2001)
    bench.wait(200)

    assert (PLACED, 1, 0) == (result.retcode, result.order, result.deal)
    assert OrderState.STARTED == state
    assert 1.2001 == bench.position.price_open


def test_an_accepted_close_opens_nothing_when_a_stop_was_faster():
    bench = ExchangeBench()
    bench.buy(sl=1.09)
    bench.set(fill_ms=(200, 200))
    bench.sell(position=1)
    bench.quote(1.08, 1.0801)
    bench.wait(200)

    assert [] == bench.exchange.positions() == bench.exchange.orders()
    assert [DealReason.EXPERT, DealReason.SL] == [deal.reason for deal in bench.deals()]
    assert [OrderState.CANCELED] == [one.state for one in bench.ended() if one.ticket == 2]


def test_an_accepted_market_order_has_no_lifetime():
    bench = ExchangeBench(fill_ms=(200, 200))
    bench.buy(type_time=OrderTypeTime.SPECIFIED)
    bench.wait(200)

    assert 1.0 == bench.position.volume


def test_a_cut_off_terminal_sees_what_it_saw_and_misses_the_transactions():
    bench = ExchangeBench()
    bench.buy(sl=1.09)
    bench.exchange.transactions()
    bench.set(connected=False)
    bench.quote(1.08, 1.0801)
    seen = (len(bench.exchange.positions()), len(bench.deals()))
    truth = len(bench.exchange.ledger().deals)
    bench.set(connected=True)
    bench.wait(1)

    assert ((1, 1), 2) == (seen, truth)
    assert (0, 2) == (len(bench.exchange.positions()), len(bench.deals()))
    assert [] == bench.exchange.transactions()


@pytest.mark.parametrize("cut_at_ms", [50, 150])
def test_a_cut_while_a_request_is_on_its_way_loses_the_answer_and_not_the_order(cut_at_ms):
    bench = ExchangeBench(execution_ms=(100, 100), reply_ms=(100, 100))
    sent = bench.exchange.order_send(BUY, 0)
    bench.wait(cut_at_ms)
    bench.set(connected=False)
    bench.wait(10)
    bench.set(connected=True)
    bench.wait(500)

    assert sent.result is None
    assert 1 == len(bench.exchange.positions())


def test_requotes_are_for_those_modes_that_have_them():
    bench = ExchangeBench(instant("GBPUSD"), requote=1.0)

    assert TradeRetcode.REQUOTE == bench.buy(symbol="GBPUSD", price=1.2502).retcode
    assert DONE == bench.buy().retcode
    assert [] == bench.exchange.positions(symbol="GBPUSD")


def test_slippage_is_against_the_trader_and_has_a_limit():
    bench = ExchangeBench(account={"balance": 1e6}, slippage_points=5)
    for _ in range(40):
        bench.buy(0.01)
        bench.sell(0.01)
    paid = {round((deal.price - 1.1001) * 1e5) for deal in bench.deals() if not deal.type}
    got = {round((deal.price - 1.1) * 1e5) for deal in bench.deals() if deal.type}

    assert {0, 1, 2, 3, 4, 5} == paid
    assert {0, -1, -2, -3, -4, -5} == got


# Transactions.


def test_a_market_order_goes_through_the_manuals_transactions():
    bench = ExchangeBench()
    result = bench.buy(comment="tag")
    told = bench.exchange.transactions()

    assert [
        TransactionType.ORDER_ADD,
        TransactionType.DEAL_ADD,
        TransactionType.ORDER_DELETE,
        TransactionType.HISTORY_ADD,
        TransactionType.REQUEST,
    ] == [one.type for one in told]
    # The position is told from the deal on, and not of a new order.
    assert [0, 1, 1, 1, 0] == [one.position for one in told]
    assert (result, "tag") == (told[-1].result, told[-1].request.comment)
    assert [] == bench.exchange.transactions()


def test_a_change_of_stops_is_a_position_transaction():
    bench = ExchangeBench()
    bench.buy()
    bench.exchange.transactions()
    bench.send(TradeRequestActions.SLTP, position=1, sl=1.09)
    told = bench.exchange.transactions()

    assert [TransactionType.POSITION, TransactionType.REQUEST] == [one.type for one in told]
    assert (1, 1.09) == (told[0].position, told[0].price_sl)


def test_transactions_can_come_in_any_order(seed):
    bench = ExchangeBench(seed=seed, shuffle_transactions=True)
    orders = set()
    for _ in range(40):
        bench.buy(0.01)
        orders.add(tuple(one.type for one in bench.exchange.transactions()))

    assert len(orders) > 10
    assert 1 == len({tuple(sorted(order)) for order in orders})


def test_more_transactions_than_the_queue_holds_are_dropped_and_counted():
    bench = ExchangeBench(account={"balance": 1e6})
    for _ in range(300):
        bench.buy(0.01)

    assert 1_024 == len(bench.exchange.transactions())
    assert 300 * 5 - 1_024 == bench.exchange.overflown


def test_request_ids_count_from_one():
    bench = ExchangeBench()

    assert [1, 2] == [bench.buy(0.1).request_id for _ in range(2)]


# Comments.


@pytest.mark.parametrize(
    ("mode", "shown"),
    [(CommentMode.KEEP, order_tag("a/1")), (CommentMode.DROP, ""), (CommentMode.TRUNCATE, None)],
)
def test_a_broker_may_rewrite_comments_and_the_ledger_knows_them(mode, shown):
    tag = order_tag("a/1")
    bench = ExchangeBench(comment=mode)
    bench.buy(comment=tag)
    shown = tag[:10] if shown is None else shown
    ledger = bench.exchange.ledger()

    assert [shown] * 3 == [
        bench.position.comment,
        bench.deals()[0].comment,
        bench.ended()[0].comment,
    ]
    assert (1, 1, 1) == (
        len(ledger.orders_of(tag)),
        len(ledger.deals_of(tag)),
        ledger.executions_of(tag),
    )
    assert 0 == ledger.executions_of("other")


def test_comments_have_metatraders_length():
    bench = ExchangeBench()
    bench.buy(comment="x" * 40)

    assert "x" * 31 == bench.position.comment


# The account.


def test_the_account_is_valued_at_present_prices():
    bench = ExchangeBench()
    bench.buy()
    bench.quote(1.105, 1.1051)
    account = bench.exchange.account()

    assert (10_000.0, 490.0, 10_490.0, 1_100.1) == (
        account.balance,
        account.profit,
        account.equity,
        account.margin,
    )
    assert (9_389.9, pytest.approx(953.55, abs=0.01)) == (
        account.margin_free,
        account.margin_level,
    )
    assert (490.0, 1.105) == (bench.position.profit, bench.position.price_current)


def test_the_price_of_the_margin_is_that_of_the_opening():
    bench = ExchangeBench()
    bench.buy()
    bench.quote(1.2, 1.2001)

    assert 1_100.1 == bench.exchange.account().margin


def test_profits_are_converted_into_the_deposits_currency():
    bench = ExchangeBench(account={"currency": "EUR"})
    bench.buy(symbol="USDJPY")
    bench.quote(151.0, 151.01, "USDJPY")

    # 99,000 JPY: sold for EUR at the ask of EURJPY.
    assert round(99_000 / 165.02, 2) == bench.position.profit


def test_commission_and_fee_are_charged_by_the_deal():
    bench = ExchangeBench(commission_per_lot=3.5, fee_per_lot=0.5)
    bench.buy(2.0)
    bench.sell(2.0, position=1)

    assert [(-7.0, -1.0)] * 2 == [(deal.commission, deal.fee) for deal in bench.deals()]
    assert 10_000.0 - 20.0 - 16.0 == bench.exchange.account().balance


def test_money_can_be_paid_in_and_out():
    bench = ExchangeBench()
    bench.exchange.deposit(-2_500.0)

    assert 7_500.0 == bench.exchange.account().balance


def test_margin_of_pending_orders_is_charged_where_the_broker_says_so():
    bench = ExchangeBench(margin_ratios={"EURUSD": MarginRatios(pending=0.5)})
    bench.pending(OrderType.BUY_LIMIT, 1.09)

    assert 550.05 == bench.exchange.account().margin


def test_a_pending_order_that_holds_its_margin_needs_no_second_one():
    ratios = {"EURUSD": MarginRatios(pending=1.0)}
    bench = ExchangeBench(account={"balance": 1_300.0}, margin_ratios=ratios)
    bench.pending(OrderType.BUY_LIMIT, 1.09)
    bench.quote(1.0899, 1.09)

    assert 1.0 == bench.position.volume


def test_what_lowers_the_margin_is_never_too_dear():
    """
    In hedging the other side of a symbol without a hedged margin.
    """
    bench = ExchangeBench(account={"balance": 1_200.0})
    bench.buy()
    bench.quote(1.08, 1.0801)

    assert TradeRetcode.NO_MONEY == bench.buy(0.01).retcode
    assert DONE == bench.sell(1.0).retcode


def test_a_close_needs_no_margin():
    bench = ExchangeBench(account={"balance": 1_200.0})
    bench.buy()
    bench.quote(1.08, 1.0801)

    assert bench.exchange.account().margin_free < 0
    assert DONE == bench.sell(position=1).retcode


# Time.


def test_without_an_offset_the_servers_time_is_the_newest_tick_and_never_goes_back():
    market = Market([spec_for("EURUSD"), spec_for("GBPUSD")])
    exchange = Exchange(market, account=AccountRecord(login=1))
    market.history.append("EURUSD", MqlTick(5_000, 1.0, 1.1))
    before = exchange.server_time_msc(9)
    exchange.advance(9)
    market.history.append("GBPUSD", MqlTick(4_000, 1.0, 1.1))

    assert (5_000, 5_000) == (before, exchange.server_time_msc(10))


def test_the_next_deadline_is_the_first_thing_that_happens_by_itself():
    bench = ExchangeBench(execution_ms=(10, 10), reply_ms=(5, 5), visibility_ms=(20, 20))
    idle = bench.exchange.next_deadline()
    bench.exchange.order_send(BUY, 0)
    deadlines = []
    while (deadline := bench.exchange.next_deadline()) is not None and len(deadlines) < 3:
        deadlines.append(deadline // MS)
        bench.exchange.advance(deadline)

    assert idle is None
    assert [10, 15, 30] == deadlines


def test_who_is_cut_off_waits_for_no_news():
    """
    A deadline that is past and stays would let its caller run in circles.
    """
    bench = ExchangeBench(visibility_ms=(50, 50))
    bench.buy()
    bench.set(connected=False)
    bench.wait(100)

    assert bench.exchange.next_deadline() > bench.now_us


# Save and load.


def test_a_saved_broker_goes_on_where_it_was():
    bench = ExchangeBench(execution_ms=(50, 50), visibility_ms=(500, 500))
    bench.buy(sl=1.09, comment="one")
    bench.pending(OrderType.BUY_LIMIT, 1.095, comment="two")
    bench.exchange.order_send(dataclasses.replace(BUY, comment="three"), bench.now_us)
    rules = bench.exchange.rules
    loaded = Exchange.load(bench.exchange.save(), bench.market, rules=rules)
    before = (bench.exchange.ledger(), bench.exchange.positions(), bench.exchange.account())
    after = (loaded.ledger(), loaded.positions(), loaded.account())
    bench.exchange = loaded
    bench.wait(50)

    assert before == after
    # What was on its way to the server arrives, though nobody waits for the answer.
    assert 1 == loaded.ledger().executions_of("three")
    assert 4 == bench.buy().order
    assert [] == bench.deals()
    bench.wait(500)
    assert 3 == len(bench.deals())
    bench.quote(1.0949, 1.095)
    assert 1 == loaded.ledger().executions_of("two") == len(loaded.ledger().deals_of("two"))


def test_a_loaded_broker_draws_the_same_numbers(seed):
    bench = ExchangeBench(seed=seed, reject=0.5)
    loaded = Exchange.load(bench.exchange.save(), bench.market, rules=bench.exchange.rules)
    ours = [bench.buy(0.01).retcode for _ in range(20)]
    bench.exchange, bench.now_us = loaded, 0

    assert ours == [bench.buy(0.01).retcode for _ in range(20)]


def test_a_loaded_broker_follows_another_clock():
    bench = ExchangeBench(execution_ms=(50, 50))
    bench.wait(1_000)
    bench.exchange.order_send(BUY, bench.now_us)
    time_msc = bench.exchange.server_time_msc(bench.now_us)
    loaded = Exchange.load(bench.exchange.save(), bench.market, now_us=7)

    assert 7 + 50 * MS == loaded.next_deadline()
    assert time_msc == loaded.server_time_msc(7)


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x80", b"\x81\xa7version\x02", b"\x01"])
def test_what_save_did_not_give_is_refused(data):
    with pytest.raises(ValueError, match="expected"):
        Exchange.load(data, Market([]))


def test_a_file_that_lost_its_end_is_refused_at_any_byte(rng):
    bench = ExchangeBench()
    bench.buy()
    data = bench.exchange.save()
    for size in rng.sample(range(len(data)), 100):
        with pytest.raises(ValueError, match="expected"):
            Exchange.load(data[:size], bench.market)


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


def test_market_execution_ignores_the_price_and_instant_does_not():
    spec = dataclasses.replace(spec_for("GBPUSD"), trade_exemode=SymbolTradeExecution.INSTANT)
    bench = ExchangeBench(spec)

    assert DONE == bench.buy(0.1, price=5.0).retcode
    assert TradeRetcode.INVALID_PRICE == bench.buy(0.1, symbol="GBPUSD").retcode
    assert TradeRetcode.REQUOTE == bench.buy(0.1, symbol="GBPUSD", price=1.25).retcode
