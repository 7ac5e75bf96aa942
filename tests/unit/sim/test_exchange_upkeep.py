"""``bridge.sim.exchange_upkeep``: expirations, swaps and stop-out."""

from __future__ import annotations

import dataclasses

import pytest

from bridge.model.enums import (
    AccountStopoutMode,
    DealReason,
    OrderState,
    OrderType,
    OrderTypeTime,
    SymbolSwapMode,
)
from bridge.model.symbol import spec_for
from bridge.sim.exchange_records import TransactionType
from bridge.sim.exchange_rules import MarginRatios
from tests.support.exchange_bench import MS, NETTING, START_MSC, ExchangeBench

HOUR = 3_600_000
DAY = 24 * HOUR
#: The bench begins on a Wednesday at 10:00.
MIDNIGHT = 14 * HOUR


# Expirations.


@pytest.mark.parametrize(
    ("type_time", "expiration_s", "lives_ms"),
    [
        (OrderTypeTime.DAY, 0, MIDNIGHT),
        (OrderTypeTime.SPECIFIED, START_MSC // 1000 + 90, 90_000),
        (OrderTypeTime.SPECIFIED_DAY, START_MSC // 1000 + 1, MIDNIGHT),
        (OrderTypeTime.SPECIFIED_DAY, START_MSC // 1000 + 24 * 3600, MIDNIGHT + DAY),
    ],
)
def test_an_order_expires_at_its_time_and_not_before(type_time, expiration_s, lives_ms):
    bench = ExchangeBench()
    bench.pending(OrderType.BUY_LIMIT, 1.09, type_time=type_time, expiration=expiration_s)
    deadline = bench.exchange.next_deadline()
    bench.wait(lives_ms - 1)
    before = len(bench.exchange.orders())
    bench.wait(1)
    (order,) = bench.ended()

    assert (lives_ms * MS, 1) == (deadline, before)
    assert (OrderState.EXPIRED, START_MSC + lives_ms) == (order.state, order.time_done_msc)
    assert [] == bench.exchange.orders()


def test_an_order_till_cancelled_stays():
    bench = ExchangeBench()
    bench.pending(OrderType.BUY_LIMIT, 1.09)
    bench.wait(40 * DAY)

    assert 1 == len(bench.exchange.orders())


# Swaps.


def with_swap(mode=SymbolSwapMode.POINTS, long=-5.0, short=2.0, name="EURUSD"):
    return dataclasses.replace(
        spec_for(name), swap_mode=mode, swap_long=long, swap_short=short, swap_rollover3days=3
    )


def swaps_by_day(bench, days):
    found, before = [], 0.0
    bench.wait(MIDNIGHT - 1)
    for _ in range(days):
        bench.wait(1)
        found.append(round(bench.position.swap - before, 2))
        before = bench.position.swap
        bench.wait(DAY - 1)
    return found


def test_swap_is_charged_over_midnight_three_times_on_wednesday_and_not_at_weekends():
    bench = ExchangeBench(with_swap())
    bench.buy()

    # Wednesday, Thursday, Friday, Saturday, Sunday, Monday.
    assert [-15.0, -5.0, -5.0, 0.0, 0.0, -5.0] == swaps_by_day(bench, 6)


def test_days_that_passed_unseen_are_charged_all():
    bench = ExchangeBench(with_swap())
    bench.sell()
    bench.wait(7 * DAY)

    assert 2.0 * (3 + 1 + 1 + 0 + 0 + 1 + 1) == bench.position.swap


@pytest.mark.parametrize(
    ("mode", "name", "expected"),
    [
        (SymbolSwapMode.DISABLED, "EURUSD", 0.0),
        (SymbolSwapMode.POINTS, "EURUSD", -15.0),
        # -5 EUR three times: bought at the ask.
        (SymbolSwapMode.CURRENCY_SYMBOL, "EURUSD", -16.5),
        (SymbolSwapMode.CURRENCY_MARGIN, "EURUSD", -16.5),
        (SymbolSwapMode.CURRENCY_DEPOSIT, "EURUSD", -15.0),
        # 5 % of 110,010 USD a year of 360 days, three days.
        (SymbolSwapMode.INTEREST_OPEN, "EURUSD", -45.84),
        (SymbolSwapMode.INTEREST_CURRENT, "EURUSD", -45.83),
        # 5 points of USDJPY are 500 JPY.
        (SymbolSwapMode.POINTS, "USDJPY", -10.0),
    ],
)
def test_swap_has_the_unit_of_its_mode(mode, name, expected):
    bench = ExchangeBench(with_swap(mode, name=name))
    bench.buy(symbol=name)
    bench.wait(MIDNIGHT)

    assert expected == bench.position.swap


def test_swap_moves_the_equity_at_once_and_the_balance_with_the_close():
    bench = ExchangeBench(with_swap(), account={"margin_mode": NETTING})
    bench.buy()
    bench.exchange.transactions()
    bench.wait(MIDNIGHT)
    told = bench.exchange.transactions()
    open_account = bench.exchange.account()
    bench.sell(0.4)
    left = bench.position.swap
    bench.sell(0.6)

    assert [TransactionType.POSITION] == [one.type for one in told]
    assert (10_000.0, 9_975.0) == (open_account.balance, open_account.equity)
    assert -9.0 == left
    assert [0.0, -6.0, -9.0] == [deal.swap for deal in bench.deals()]
    assert 10_000.0 - 10.0 - 15.0 == bench.exchange.account().balance


def test_a_broker_may_charge_no_swap():
    bench = ExchangeBench(with_swap(), swap=False)
    bench.buy()
    bench.wait(3 * DAY)

    assert 0.0 == bench.position.swap


def test_the_end_of_the_day_is_a_deadline_of_who_holds_a_position():
    bench = ExchangeBench(with_swap())
    bench.buy()
    bench.wait(1)

    assert MIDNIGHT * MS == bench.exchange.next_deadline()


# Stop-out.

PERCENT = {"margin_so_so": 50.0, "margin_so_mode": AccountStopoutMode.PERCENT}


def test_below_the_level_the_position_that_loses_most_goes_first():
    bench = ExchangeBench(account=PERCENT | {"balance": 2_500.0})
    bench.buy(0.5)
    bench.buy(1.0, comment="tag")
    # 1.5 lots hold 1,650.15: the level is 50 % at an equity of 825.
    bench.quote(1.0890, 1.0891)
    held = len(bench.exchange.positions())
    bench.quote(1.0885, 1.0886)
    deal = bench.deals()[-1]

    assert 2 == held
    assert [0.5] == [one.volume for one in bench.exchange.positions()]
    assert (2, DealReason.SO, 1.0885) == (deal.position_id, deal.reason, deal.price)
    assert deal.comment.startswith("[so 46.")
    assert bench.exchange.account().margin_level > 50


def test_stop_out_goes_on_until_the_level_is_met():
    bench = ExchangeBench(account=PERCENT | {"balance": 2_500.0})
    for _ in range(4):
        bench.buy(0.5)
    bench.quote(1.0800, 1.0801)

    assert [] == bench.exchange.positions()
    assert [DealReason.SO] * 4 == [deal.reason for deal in bench.deals()[4:]]


def test_orders_that_hold_margin_go_before_positions():
    ratios = {"EURUSD": MarginRatios(pending=1.0)}
    bench = ExchangeBench(account=PERCENT | {"balance": 2_500.0}, margin_ratios=ratios)
    bench.buy(1.0)
    bench.pending(OrderType.BUY_LIMIT, 1.05, 1.0)
    bench.quote(1.0850, 1.0851)

    assert 1.0 == bench.position.volume
    assert [OrderState.CANCELED] == [
        order.state for order in bench.ended() if order.type == OrderType.BUY_LIMIT
    ]


def test_in_money_the_level_is_an_equity():
    account = {"margin_so_so": 1_000.0, "margin_so_mode": AccountStopoutMode.MONEY}
    bench = ExchangeBench(account=account | {"balance": 2_000.0})
    bench.buy(1.0)
    bench.quote(1.0901, 1.0902)
    held = len(bench.exchange.positions())
    bench.quote(1.0900, 1.0901)

    assert (1, 0) == (held, len(bench.exchange.positions()))


def test_a_covered_account_goes_when_nothing_is_left():
    bench = ExchangeBench(account=PERCENT | {"balance": 1_500.0})
    bench.buy(1.0)
    bench.sell(1.0)
    level = bench.exchange.account().margin_level
    bench.exchange.deposit(-1_495.0)
    bench.wait(1)

    assert 0.0 == level
    assert [] == bench.exchange.positions()


def test_nothing_is_closed_while_the_market_is():
    bench = ExchangeBench(account=PERCENT | {"balance": 2_500.0})
    bench.buy(1.5)
    bench.set(market_closed=frozenset({"EURUSD"}))
    bench.quote(1.0800, 1.0801)
    held = len(bench.exchange.positions())
    bench.set(market_closed=frozenset())
    bench.wait(1)

    assert (1, 0) == (held, len(bench.exchange.positions()))


def test_without_a_level_nothing_is_stopped_out():
    bench = ExchangeBench(account={"balance": 2_500.0})
    bench.buy(1.5)
    bench.quote(1.0, 1.0001)

    assert bench.exchange.account().equity < 0
    assert 1 == len(bench.exchange.positions())
