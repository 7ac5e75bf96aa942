"""``bridge.sim.exchange_checks``: limits, prices and stops beyond one scenario for each retcode."""

from __future__ import annotations

import dataclasses

import pytest

from bridge.model.enums import (
    OrderType,
    OrderTypeFilling,
    OrderTypeTime,
    SymbolExpirationMode,
    SymbolTradeExecution,
    SymbolTradeMode,
    TradeRequestActions,
    TradeRetcode,
)
from bridge.model.symbol import spec_for
from bridge.model.trade import TradeRequest
from tests.support.exchange_bench import MS, NETTING, START_MSC, ExchangeBench, with_mode

# What the scenarios leave open.


def test_a_symbol_without_a_tick_has_no_quotes():
    bench = ExchangeBench()
    bench.market.history.add_symbol("AUDUSD")
    bench.market.specs["AUDUSD"] = spec_for("AUDUSD")

    assert TradeRetcode.PRICE_OFF == bench.buy(symbol="AUDUSD").retcode


@pytest.mark.parametrize("netting", [False, True])
def test_close_only_and_long_only_let_positions_be_closed(netting):
    account = {"margin_mode": NETTING} if netting else {}
    bench = ExchangeBench(account=account)
    position = bench.buy().order
    bench.market.specs["EURUSD"] = with_mode(SymbolTradeMode.CLOSEONLY)
    part = bench.sell(0.4, position=position)
    bench.market.specs["EURUSD"] = with_mode(SymbolTradeMode.LONGONLY)
    rest = bench.sell(0.6, position=position)

    assert [TradeRetcode.DONE] * 2 == [part.retcode, rest.retcode]
    assert [] == bench.exchange.positions()


def test_in_netting_a_reversal_is_no_close():
    bench = ExchangeBench(account={"margin_mode": NETTING})
    bench.buy()
    bench.market.specs["EURUSD"] = with_mode(SymbolTradeMode.LONGONLY)

    assert TradeRetcode.LONG_ONLY == bench.sell(1.01).retcode


def test_in_netting_the_number_of_positions_is_that_of_symbols():
    bench = ExchangeBench(account={"margin_mode": NETTING}, max_positions=1)
    bench.buy(0.1)

    assert TradeRetcode.DONE == bench.buy(0.1).retcode
    assert TradeRetcode.LIMIT_POSITIONS == bench.buy(0.1, symbol="GBPUSD").retcode
    assert TradeRetcode.LIMIT_POSITIONS == (
        bench.pending(OrderType.BUY_LIMIT, 1.2, symbol="GBPUSD").retcode
    )


@pytest.mark.parametrize(
    ("field", "retcode"),
    [
        ("volume", TradeRetcode.INVALID_VOLUME),
        ("price", TradeRetcode.INVALID_PRICE),
        ("stoplimit", TradeRetcode.INVALID_PRICE),
        ("sl", TradeRetcode.INVALID_STOPS),
        ("tp", TradeRetcode.INVALID_STOPS),
    ],
)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), -1.0], ids=str)
@pytest.mark.parametrize("action", list(TradeRequestActions))
def test_numbers_that_are_none_are_refused(action, field, value, retcode):
    bench = ExchangeBench()
    bench.buy()
    fields = {"symbol": "EURUSD", "volume": 1.0, "price": 1.0, "position": 1} | {field: value}

    assert retcode == bench.send(action, **fields).retcode


@pytest.mark.parametrize("volume", [0.0, 0.009, 0.0100001, 100.01, 1e300])
def test_volumes_off_the_symbols_are_refused(volume):
    assert TradeRetcode.INVALID_VOLUME == ExchangeBench().buy(volume).retcode


@pytest.mark.parametrize("volume", [0.01, 0.07, 0.29, 1.1, 4.35])
def test_volumes_on_a_step_are_taken_whatever_their_binary_form(volume):
    bench = ExchangeBench(account={"balance": 1_000_000.0})

    assert volume == bench.buy(volume).volume


@pytest.mark.parametrize("action", [0, 2, 9, 11])
def test_an_unknown_action_is_invalid(action):
    assert TradeRetcode.INVALID == ExchangeBench().send(action, symbol="EURUSD").retcode


@pytest.mark.parametrize("order_type", [OrderType.BUY_LIMIT, OrderType.CLOSE_BY, 9])
def test_a_deal_buys_or_sells(order_type):
    assert TradeRetcode.INVALID_ORDER == ExchangeBench().deal(order_type).retcode


@pytest.mark.parametrize("order_type", [OrderType.BUY, OrderType.SELL, OrderType.CLOSE_BY, 9])
def test_a_pending_order_waits(order_type):
    assert TradeRetcode.INVALID_ORDER == ExchangeBench().pending(order_type, 1.0).retcode


FOK, IOC, RETURN, BOC = OrderTypeFilling
REQUEST, INSTANT, MARKET, EXCHANGE = SymbolTradeExecution


@pytest.mark.parametrize("mask", range(8))
@pytest.mark.parametrize("filling", list(OrderTypeFilling))
@pytest.mark.parametrize("mode", list(SymbolTradeExecution))
def test_fillings_of_market_orders_are_those_of_the_manual(mode, filling, mask):
    """
    Any of FOK, IOC, RETURN by request and instant; else by mask, RETURN not in MARKET.
    """
    if filling is BOC:
        allowed = False
    elif filling is RETURN:
        allowed = mode is not MARKET
    else:
        allowed = mode in {REQUEST, INSTANT} or bool(mask & (1 if filling is FOK else 2))
    spec = dataclasses.replace(spec_for("EURUSD"), trade_exemode=mode, filling_mode=mask)
    result = ExchangeBench(spec).buy(type_filling=filling, price=1.1001)

    assert allowed == (result.retcode == TradeRetcode.DONE)
    assert allowed or result.retcode == TradeRetcode.INVALID_FILL


@pytest.mark.parametrize("mask", range(8))
@pytest.mark.parametrize("order_type", list(OrderType)[2:8])
def test_pending_orders_return_always_and_book_or_cancel_by_mask(order_type, mask):
    prices = {2: 1.09, 3: 1.12, 4: 1.12, 5: 1.09, 6: 1.12, 7: 1.09}
    stoplimits = {6: 1.11, 7: 1.1}
    spec = dataclasses.replace(spec_for("EURUSD"), filling_mode=mask)
    bench = ExchangeBench(spec)
    price, stoplimit = prices[order_type], stoplimits.get(order_type, 0.0)
    retcodes = [
        bench.pending(order_type, price, stoplimit=stoplimit, type_filling=filling).retcode
        for filling in (RETURN, BOC)
    ]
    limits = order_type not in {OrderType.BUY_STOP, OrderType.SELL_STOP}
    booked = TradeRetcode.PLACED if mask & 4 and limits else TradeRetcode.INVALID_FILL

    assert [TradeRetcode.PLACED, booked] == retcodes


@pytest.mark.parametrize("bit", list(SymbolExpirationMode))
@pytest.mark.parametrize("type_time", list(OrderTypeTime))
def test_lifetimes_are_those_that_the_symbol_allows(type_time, bit):
    spec = dataclasses.replace(spec_for("EURUSD"), expiration_mode=bit)
    expiration = START_MSC // 1000 + 3600 if type_time > OrderTypeTime.DAY else 0
    result = ExchangeBench(spec).pending(
        OrderType.BUY_LIMIT, 1.09, type_time=type_time, expiration=expiration
    )

    assert (bit == 1 << type_time) == (result.retcode == TradeRetcode.PLACED)


@pytest.mark.parametrize(
    ("order_type", "nearest", "too_near"),
    [
        (OrderType.BUY_LIMIT, 1.0998, 1.09981),
        (OrderType.SELL_LIMIT, 1.1003, 1.10029),
        (OrderType.BUY_STOP, 1.1004, 1.10039),
        (OrderType.SELL_STOP, 1.0997, 1.09971),
    ],
)
def test_pending_orders_keep_the_stops_level(order_type, nearest, too_near):
    bench = ExchangeBench(dataclasses.replace(spec_for("EURUSD"), trade_stops_level=30))

    assert TradeRetcode.INVALID_PRICE == bench.pending(order_type, too_near).retcode
    assert TradeRetcode.PLACED == bench.pending(order_type, nearest).retcode


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({"sl": 1.0997}, True),
        ({"sl": 1.09971}, False),
        ({"tp": 1.1003}, True),
        ({"tp": 1.10029}, False),
        ({"sl": 1.09, "tp": 1.11}, True),
        ({"sl": 1.090001}, False),
        ({"sl": 1.11}, False),
        ({"tp": 1.09}, False),
    ],
    ids=str,
)
def test_stops_of_a_buy_are_measured_from_the_bid(fields, fits):
    bench = ExchangeBench(dataclasses.replace(spec_for("EURUSD"), trade_stops_level=30))
    at_once = bench.buy(**fields).retcode
    position = bench.buy().order
    later = bench.send(TradeRequestActions.SLTP, position=position, **fields).retcode

    assert fits == (at_once == TradeRetcode.DONE) == (later == TradeRetcode.DONE)


def test_stops_of_a_sell_are_measured_from_the_ask():
    bench = ExchangeBench(dataclasses.replace(spec_for("EURUSD"), trade_stops_level=30))

    assert TradeRetcode.DONE == bench.sell(sl=1.1004, tp=1.0998).retcode
    assert TradeRetcode.INVALID_STOPS == bench.sell(sl=1.10039).retcode
    assert TradeRetcode.INVALID_STOPS == bench.sell(tp=1.09981).retcode


def test_stops_of_a_pending_order_are_measured_from_its_price():
    bench = ExchangeBench()

    assert TradeRetcode.PLACED == bench.pending(OrderType.BUY_LIMIT, 1.05, sl=1.04, tp=1.06).retcode
    assert TradeRetcode.INVALID_STOPS == bench.pending(OrderType.BUY_LIMIT, 1.05, tp=1.05).retcode


def test_prices_keep_the_tick_size_and_not_the_digits():
    """
    ES has two digits and moves by 25 points.
    """
    bench = ExchangeBench(account={"balance": 100_000.0})

    def place(price):
        return bench.pending(OrderType.BUY_LIMIT, price, symbol="ES").retcode

    assert TradeRetcode.INVALID_PRICE == place(4990.10)
    assert TradeRetcode.PLACED == place(4990.25)


def test_a_stop_limit_order_has_its_limit_behind_the_stop():
    bench = ExchangeBench()

    def place(order_type, price, stoplimit):
        return bench.pending(order_type, price, stoplimit=stoplimit).retcode

    assert TradeRetcode.PLACED == place(OrderType.BUY_STOP_LIMIT, 1.11, 1.105)
    assert TradeRetcode.INVALID_PRICE == place(OrderType.BUY_STOP_LIMIT, 1.11, 1.115)
    assert TradeRetcode.INVALID_PRICE == place(OrderType.BUY_STOP_LIMIT, 1.11, 0.0)
    assert TradeRetcode.PLACED == place(OrderType.SELL_STOP_LIMIT, 1.09, 1.095)
    assert TradeRetcode.INVALID_PRICE == place(OrderType.SELL_STOP_LIMIT, 1.09, 1.085)
    assert TradeRetcode.INVALID_PRICE == place(OrderType.BUY_LIMIT, 1.09, 1.08)


def test_modifying_asks_the_same_of_prices_as_placing():
    bench = ExchangeBench()
    order = bench.pending(OrderType.BUY_LIMIT, 1.09, sl=1.08).order

    def modify(**fields):
        return bench.send(TradeRequestActions.MODIFY, order=order, **fields).retcode

    assert TradeRetcode.NO_CHANGES == modify(price=1.09, sl=1.08)
    assert TradeRetcode.INVALID_PRICE == modify(price=1.2, sl=1.08)
    assert TradeRetcode.INVALID_STOPS == modify(price=1.09, sl=1.1)
    assert TradeRetcode.INVALID_EXPIRATION == modify(price=1.09, type_time=OrderTypeTime.SPECIFIED)
    assert TradeRetcode.DONE == modify(price=1.0895)
    assert (1.0895, 0.0) == (bench.order.price_open, bench.order.sl)


@pytest.mark.parametrize("action", [TradeRequestActions.MODIFY, TradeRequestActions.REMOVE])
def test_an_order_that_never_was_is_invalid(action):
    assert TradeRetcode.INVALID == ExchangeBench().send(action, order=99, price=1.0).retcode


def test_frozen_positions_can_be_neither_changed_nor_closed():
    bench = ExchangeBench(dataclasses.replace(spec_for("EURUSD"), trade_freeze_level=20))
    position = bench.buy(sl=1.0995).order
    bench.quote(1.0997, 1.0998)

    assert TradeRetcode.FROZEN == bench.sell(position=position).retcode
    assert TradeRetcode.FROZEN == bench.send(TradeRequestActions.SLTP, position=position).retcode


def test_a_close_under_way_takes_no_room_on_the_other_side():
    bench = ExchangeBench(dataclasses.replace(spec_for("EURUSD"), volume_limit=1.0))
    position = bench.buy().order
    bench.set(fill_ms=(100, 100))
    bench.sell(position=position)

    assert TradeRetcode.PLACED == bench.pending(OrderType.SELL_LIMIT, 1.2).retcode


def test_a_level_that_stays_may_be_nearer_than_a_new_one():
    bench = ExchangeBench(dataclasses.replace(spec_for("EURUSD"), trade_stops_level=30))
    position = bench.buy(sl=1.0995, tp=1.11).order
    bench.quote(1.0996, 1.0997)

    def change(sl, tp):
        return bench.send(TradeRequestActions.SLTP, position=position, sl=sl, tp=tp).retcode

    assert TradeRetcode.DONE == change(1.0995, 1.12)
    assert TradeRetcode.INVALID_STOPS == change(1.09951, 1.12)


def test_close_by_needs_two_sides_of_one_symbol():
    bench = ExchangeBench()
    buy, other = bench.buy(0.1).order, bench.buy(0.1).order
    pound = bench.sell(0.1, symbol="GBPUSD").order

    def close_by(position, position_by):
        action = TradeRequestActions.CLOSE_BY
        return bench.send(action, position=position, position_by=position_by).retcode

    assert TradeRetcode.INVALID == close_by(buy, other)
    assert TradeRetcode.INVALID == close_by(buy, pound)
    assert TradeRetcode.POSITION_CLOSED == close_by(buy, 99)


def test_close_by_is_for_hedging():
    bench = ExchangeBench(account={"margin_mode": NETTING})
    bench.buy()

    assert TradeRetcode.INVALID == (
        bench.send(TradeRequestActions.CLOSE_BY, position=1, position_by=1).retcode
    )


def test_a_check_says_what_sending_would_and_changes_nothing():
    bench = ExchangeBench(max_requests_per_s=1)
    request = TradeRequest(
        action=TradeRequestActions.DEAL, symbol="EURUSD", volume=1.0, type=OrderType.BUY
    )
    before = bench.exchange.save()
    checks = [bench.exchange.order_check(request, bench.now_us) for _ in range(5)]
    bad = bench.exchange.order_check(dataclasses.replace(request, volume=0.001), bench.now_us)

    assert before == bench.exchange.save()
    assert [0] * 5 == [check.retcode for check in checks]
    assert (10_000.0, -10.0, 9_990.0, 1_100.1, 8_889.9) == (
        checks[0].balance,
        checks[0].profit,
        checks[0].equity,
        checks[0].margin,
        checks[0].margin_free,
    )
    assert TradeRetcode.INVALID_VOLUME == bad.retcode
    assert checks[0].margin == _account_after(bench).margin


def _account_after(bench):
    bench.buy()
    bench.now_us += MS
    return bench.exchange.account()


def test_a_check_is_refused_where_nothing_can_be_sent():
    bench = ExchangeBench()
    request = TradeRequest(
        action=TradeRequestActions.DEAL, symbol="EURUSD", volume=1.0, type=OrderType.BUY
    )
    bench.set(connected=False)
    cut_off = bench.exchange.order_check(request, bench.now_us).retcode
    bench.set(connected=True, client_disables_at=True)
    switched_off = bench.exchange.order_check(request, bench.now_us).retcode

    assert (TradeRetcode.CONNECTION, TradeRetcode.CLIENT_DISABLES_AT) == (cut_off, switched_off)
