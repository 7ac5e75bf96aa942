"""The dead man's switch of the Expert Advisor: what it does when its relay is gone for long."""

from __future__ import annotations

import pytest

from bridge.model.enums import AccountMarginMode, DealEntry, OrderType
from bridge.wire.spec import DenyReason, NewFlag, OrderOutcome, TradingState
from tests.mql5.scenarios.expert import why_not
from tests.mql5.trade_bench import trade_bench
from tests.support.desk_bench import PENDING, buy, request, sell

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
    pytest.mark.timeout(300, func_only=True),
]

SECONDS = 20
STOP, CANCEL, CLOSE = 1, 2, 3


def switch(action, seconds=SECONDS):
    return {"InpDeadManS": seconds, "InpDeadManAction": action}


@pytest.fixture
def bench(tmp_path):
    with trade_bench(tmp_path) as made:
        yield made


@pytest.fixture
def netting(tmp_path):
    with trade_bench(tmp_path, account={"margin_mode": AccountMarginMode.RETAIL_NETTING}) as made:
        yield made


def limit(price=1.0, volume=0.1):
    return request(PENDING, symbol="EURUSD", volume=volume, type=2, price=price)


def trade(bench):
    """
    Let the bridge have a position and an order, and somebody else too.
    """
    bench.order(buy(0.1), "a/1")
    bench.order(limit(), "a/2")
    bench.bench.now_us = bench.exchange.now_us
    bench.bench.deal(OrderType.BUY, 0.3)
    bench.wait(0.5)


def volumes(bench):
    return sorted(one.volume for one in bench.exchange.positions())


def closing_deals(bench):
    return [
        one
        for one in bench.exchange.history_deals(0, 2**60)
        if one.entry in {DealEntry.OUT, DealEntry.INOUT, DealEntry.OUT_BY}
    ]


def fired(bench):
    return [line for line in bench.process.said() if "the relay has been gone" in line]


# --- what it does --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "orders", "left"),
    [(STOP, 1, [0.1, 0.3]), (CANCEL, 0, [0.1, 0.3]), (CLOSE, 0, [0.3])],
)
def test_it_does_what_it_was_set_to_and_touches_nothing_of_others(bench, action, orders, left):
    bench.start(**switch(action))
    trade(bench)
    bench.leave().wait(SECONDS - 1)
    before = (len(bench.exchange.orders()), volumes(bench), fired(bench))
    bench.wait(5)
    after = (len(bench.exchange.orders()), volumes(bench))
    bench.come_back()
    denied = bench.order(buy(0.2), "a/3")
    bench.halt(TradingState.ACTIVE)
    resumed = bench.order(buy(0.2), "a/4")

    assert (1, [0.1, 0.3], []) == before
    assert (orders, left) == after
    assert (OrderOutcome.DENIED, DenyReason.REDUCING) == (denied.outcome, denied.reason)
    assert OrderOutcome.DONE == resumed.outcome
    assert not [one for one in bench.results if one.command_id.startswith("!")]


def test_without_it_nothing_happens(bench):
    bench.start()
    trade(bench)
    bench.leave().wait(200)

    assert (1, [0.1, 0.3]) == (len(bench.exchange.orders()), volumes(bench))
    assert OrderOutcome.DONE == bench.come_back().order(buy(), "a/3").outcome


def test_a_relay_that_is_back_in_time_finds_everything_as_it_was(bench):
    bench.start(**switch(CLOSE))
    trade(bench)
    for _ in range(3):
        bench.leave().wait(SECONDS - 3)
        bench.come_back()
    bench.wait(2)

    assert (1, [0.1, 0.3]) == (len(bench.exchange.orders()), volumes(bench))
    assert not fired(bench)
    assert OrderOutcome.DONE == bench.order(buy(), "a/3").outcome


def test_the_latch_holds_over_restarts_and_lets_closing_pass(bench):
    bench.start(**switch(STOP))
    position = bench.order(buy(), "a/1").position
    bench.leave().wait(SECONDS + 5)
    bench.kill()
    bench.relay.away = False
    bench.start(**switch(STOP))
    denied = bench.order(buy(), "a/2")
    close = request(1, symbol="EURUSD", position=position)
    closed = bench.order(close, "a/3", flags=int(NewFlag.REDUCE_ONLY))
    bench.halt(TradingState.ACTIVE).wait(0.2)
    bench.kill().start(**switch(STOP))

    assert (DenyReason.REDUCING, OrderOutcome.DONE) == (denied.reason, closed.outcome)
    assert OrderOutcome.DONE == bench.order(buy(), "a/4").outcome


def test_its_own_limits_hold_for_it_too(bench):
    bench.start(**switch(CLOSE))
    bench.order(buy(), "a/1")
    bench.kill().start(InpReadOnly=True, **switch(CLOSE))
    bench.leave().wait(SECONDS + 5)

    assert [0.1] == volumes(bench)
    assert any("cannot close" in line for line in bench.process.said())


# --- among faults --------------------------------------------------------------------------


@pytest.mark.parametrize("sends_async", [False, True])
def test_a_relay_that_goes_while_an_order_is_under_way(netting, sends_async):
    """
    The order's answer is lost; in netting a second close would open the reverse.
    """
    bench = netting
    bench.start(InpSendAsync=sends_async, **switch(CLOSE))
    bench.order(buy(0.5), "a/1")
    bench.bench.set(lose_reply=1.0, reply_timeout_ms=4_000)
    bench.relay.send(bench.new(sell(0.2), "a/2"))
    bench.wait(0.1)
    bench.leave().wait(SECONDS + 100)

    assert [] == volumes(bench)
    assert not bench.exchange.orders()
    assert 1 == len(fired(bench))


@pytest.mark.parametrize("place", ["OrderSend.before", "OrderSend.sent", "OrderSend.after"])
@pytest.mark.parametrize("number", [1, 2])
def test_a_terminal_that_is_killed_while_it_closes_closes_once(netting, place, number):
    bench = netting
    bench.start(**switch(CLOSE))
    bench.order(buy(0.5), "a/1")
    bench.order(request(PENDING, symbol="GBPUSD", volume=0.1, type=2, price=1.0), "a/2")
    bench.kill()
    bench.relay.away = True
    bench.start(wait=False, options={"die_at": f"{place}:{number}"}, **switch(CLOSE))
    bench.process.wait_for_exit(SECONDS + 60)
    bench.kill().start(wait=False, **switch(CLOSE))
    bench.wait(SECONDS - 2)
    early = fired(bench)
    bench.wait(90)

    assert not early
    assert [] == volumes(bench)
    assert not bench.exchange.orders()
    assert 1 == len(closing_deals(bench))


def test_a_relay_that_comes_back_meanwhile_takes_over(bench):
    bench.start(**switch(CLOSE))
    for number in range(20):
        bench.order(buy(), f"a/{number}")
    bench.bench.set(execution_ms=(4_000, 4_000))
    bench.leave().wait(SECONDS + 10)
    bench.come_back().wait(5)
    some = len(volumes(bench))
    bench.wait(60)

    assert 0 < some < 20
    assert some == len(volumes(bench))


def test_what_cannot_be_closed_now_is_closed_later(bench):
    bench.start(**switch(CLOSE))
    bench.order(buy(), "a/1")
    bench.bench.set(market_closed=frozenset({"EURUSD"}))
    bench.leave().wait(SECONDS + 10)
    closed = volumes(bench)
    bench.bench.set(market_closed=frozenset())
    bench.wait(40)

    assert [0.1] == closed
    assert [] == volumes(bench)


def test_without_the_trade_server_it_waits_for_it(bench):
    bench.start(**switch(CLOSE))
    bench.order(buy(), "a/1")
    bench.leave().wait(5)
    bench.process.disconnect_trade_server()
    bench.wait(SECONDS + 20)
    before = volumes(bench)
    bench.process.reconnect_trade_server()
    bench.wait(30)

    assert [0.1] == before
    assert [] == volumes(bench)
