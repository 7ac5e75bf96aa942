"""``bridge.sim.exchange``: money, time, and a broker that is saved and goes on."""

from __future__ import annotations

import dataclasses

import pytest

from bridge.model.enums import OrderType, TradeRetcode
from bridge.model.symbol import spec_for
from bridge.model.tick import MqlTick
from bridge.model.trade import AccountRecord, TradeRequest
from bridge.sim.exchange import Exchange
from bridge.sim.exchange_rules import MarginRatios
from bridge.sim.market import Market
from tests.support.exchange_bench import BUY, MS, ExchangeBench

DONE = TradeRetcode.DONE


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


@pytest.mark.parametrize(
    "happens",
    [
        lambda bench: bench.quote(1.4, 1.4001),
        lambda bench: bench.buy(),
        lambda bench: bench.exchange.deposit(-1_000.0),
        lambda bench: bench.set(margin_ratios={"EURUSD": MarginRatios(buy=2.0)}),
    ],
    ids=["a price", "a deal", "a payment", "a rule"],
)
def test_what_could_be_paid_when_it_was_checked_may_be_too_dear_when_it_is_sent(happens):
    bench = ExchangeBench(account={"balance": 1_200.0})
    request = TradeRequest(action=1, symbol="EURUSD", volume=1.0, type_filling=1)
    checked = bench.exchange.order_check(request, bench.exchange.now_us)
    happens(bench)
    sent = bench.exchange.order_send(request, bench.exchange.now_us)

    assert (0, TradeRetcode.NO_MONEY) == (checked.retcode, sent.result.retcode)


def test_what_would_be_is_told_of_every_request_that_is_checked():
    """
    Also of one that was found affordable just before another one.
    """
    bench = ExchangeBench()
    margins = [
        bench.exchange.order_check(
            TradeRequest(action=1, symbol="EURUSD", volume=volume, type_filling=1), 0
        ).margin
        for volume in (1.0, 1.0, 2.0, 1.0)
    ]

    assert [1_100.1, 1_100.1, 2_200.2, 1_100.1] == margins


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


def test_what_an_order_costs_and_gains_is_told_before():
    bench = ExchangeBench()
    exchange = bench.exchange

    assert 1100.1 == exchange.calc_margin(OrderType.BUY, "EURUSD", 1.0, 1.1001)
    assert 0.0 == exchange.calc_margin(OrderType.BUY_LIMIT, "EURUSD", 1.0, 1.05)
    assert -100.0 == exchange.calc_profit("EURUSD", 0.1, 1.1, 1.11, is_buy=False)

    bench.set(margin_ratios={"EURUSD": MarginRatios(buy=2.0, sell=3.0, pending=0.5)})

    assert [2200.2, 3300.0, 550.0] == [
        exchange.calc_margin(order_type, "EURUSD", 1.0, 1.1001)
        for order_type in (OrderType.BUY, OrderType.SELL, OrderType.SELL_STOP)
    ]


def test_what_an_order_costs_is_what_it_is_charged():
    bench = ExchangeBench()
    told = bench.exchange.calc_margin(OrderType.BUY, "USDJPY", 0.3, 150.01)
    bench.buy(0.3, symbol="USDJPY")

    assert told == bench.exchange.account().margin
