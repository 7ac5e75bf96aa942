"""``bridge.sim.exchange``: parts, delays and losses, and what is told of them."""

from __future__ import annotations

import pytest

from bridge.model.enums import (
    DealReason,
    OrderState,
    OrderType,
    OrderTypeFilling,
    OrderTypeTime,
    PositionType,
    TradeRequestActions,
    TradeRetcode,
)
from bridge.model.trade import order_tag
from bridge.sim.exchange_records import TransactionType
from bridge.sim.exchange_rules import CommentMode
from tests.support.exchange_bench import BUY, MS, START_MSC, ExchangeBench, instant, netting

DONE, PARTIAL, PLACED = TradeRetcode.DONE, TradeRetcode.DONE_PARTIAL, TradeRetcode.PLACED


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
