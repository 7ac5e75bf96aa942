"""One scenario for each retcode of the trade server that MQL5's manual lists."""

from __future__ import annotations

import dataclasses

import pytest

from bridge.model.enums import (
    AccountTradeMode,
    OrderType,
    OrderTypeFilling,
    OrderTypeTime,
    SymbolOrderMode,
    SymbolTradeExecution,
    SymbolTradeMode,
    TradeRequestActions,
    TradeRetcode,
)
from bridge.model.symbol import spec_for
from bridge.model.trade import TradeRequest
from tests.support.exchange_bench import START_MSC, ExchangeBench, instant, with_mode

SCENARIOS = {}


def scenario(retcode):
    def register(function):
        SCENARIOS[retcode] = function
        return function

    return register


@scenario(TradeRetcode.REQUOTE)
def price_left_the_deviation():
    bench = ExchangeBench(instant())

    result = bench.buy(price=1.1, deviation=9, tp=1.2)

    assert (1.1, 1.1001) == (result.bid, result.ask)
    assert TradeRetcode.DONE == bench.buy(price=1.1, deviation=10).retcode
    return result


@scenario(TradeRetcode.REJECT)
def dealer_rejects():
    return ExchangeBench(reject=1.0).buy()


@scenario(TradeRetcode.CANCEL)
def trader_cancels():
    bench = ExchangeBench()
    bench.exchange.force(TradeRetcode.CANCEL)
    result = bench.buy()

    assert [] == bench.exchange.positions()
    return result


@scenario(TradeRetcode.PLACED)
def pending_order_is_placed():
    bench = ExchangeBench()
    result = bench.pending(OrderType.BUY_LIMIT, 1.09)

    assert result.order == bench.order.ticket
    return result


@scenario(TradeRetcode.DONE)
def market_order_is_executed():
    bench = ExchangeBench()
    result = bench.buy()

    assert (1, 1, 1.0, 1.1001) == (result.deal, result.order, result.volume, result.price)
    return result


@scenario(TradeRetcode.DONE_PARTIAL)
def only_a_part_is_there():
    bench = ExchangeBench(partial=1.0)
    result = bench.buy(type_filling=OrderTypeFilling.IOC)

    assert 0 < result.volume < 1
    assert result.volume == bench.position.volume
    return result


@scenario(TradeRetcode.ERROR)
def server_fails():
    bench = ExchangeBench()
    bench.exchange.force(TradeRetcode.ERROR)
    return bench.buy()


@scenario(TradeRetcode.TIMEOUT)
def server_times_out_and_executes_it_all_the_same():
    bench = ExchangeBench()
    bench.exchange.force(TradeRetcode.TIMEOUT, executed=True)
    result = bench.buy()

    assert (0, 0) == (result.deal, result.order)
    assert 1.0 == bench.position.volume
    return result


@scenario(TradeRetcode.INVALID)
def symbol_is_unknown():
    return ExchangeBench().buy(symbol="NOPE")


@scenario(TradeRetcode.INVALID_VOLUME)
def volume_is_off_its_step():
    return ExchangeBench().buy(0.015)


@scenario(TradeRetcode.INVALID_PRICE)
def buy_limit_is_above_the_ask():
    return ExchangeBench().pending(OrderType.BUY_LIMIT, 1.1002)


@scenario(TradeRetcode.INVALID_STOPS)
def stop_loss_of_a_buy_is_above_the_bid():
    return ExchangeBench().buy(sl=1.1)


@scenario(TradeRetcode.TRADE_DISABLED)
def nobody_trades_on_the_account():
    return ExchangeBench(trade_disabled=True).buy()


@scenario(TradeRetcode.MARKET_CLOSED)
def market_is_closed():
    return ExchangeBench(market_closed=frozenset({"EURUSD"})).buy()


@scenario(TradeRetcode.NO_MONEY)
def margin_is_more_than_there_is():
    bench = ExchangeBench()
    # 1,100.10 each: nine are in, and the spread is 10.00 each.
    for _ in range(9):
        bench.buy()

    result = bench.buy()

    assert 9 == len(bench.exchange.positions())
    return result


@scenario(TradeRetcode.PRICE_CHANGED)
def price_left_the_deviation_of_a_quoted_price():
    spec = dataclasses.replace(spec_for("EURUSD"), trade_exemode=SymbolTradeExecution.REQUEST)
    return ExchangeBench(spec).sell(price=1.1002, deviation=1)


@scenario(TradeRetcode.PRICE_OFF)
def there_are_no_quotes():
    return ExchangeBench(no_quotes=frozenset({"EURUSD"})).buy()


@scenario(TradeRetcode.INVALID_EXPIRATION)
def expiration_is_past():
    return ExchangeBench().pending(
        OrderType.BUY_LIMIT,
        1.09,
        type_time=OrderTypeTime.SPECIFIED,
        expiration=START_MSC // 1000,
    )


@scenario(TradeRetcode.ORDER_CHANGED)
def order_was_filled_while_its_removal_was_on_its_way():
    bench = ExchangeBench(execution_ms=(50, 50))
    order = bench.pending(OrderType.BUY_LIMIT, 1.09).order
    sent = bench.exchange.order_send(_removal(order), bench.now_us)
    bench.quote(1.0899, 1.09)
    bench.wait(50)

    assert 1.09 == bench.position.price_open
    return sent.result


@scenario(TradeRetcode.TOO_MANY_REQUESTS)
def third_request_within_a_second():
    bench = ExchangeBench(max_requests_per_s=2)
    bench.buy(0.1)
    bench.buy(0.1)
    result = bench.buy(0.1)
    bench.wait(1000)

    assert TradeRetcode.DONE == bench.buy(0.1).retcode
    return result


@scenario(TradeRetcode.NO_CHANGES)
def stops_are_those_already_set():
    bench = ExchangeBench()
    bench.buy(sl=1.09, tp=1.12)
    return bench.send(TradeRequestActions.SLTP, position=bench.position.ticket, sl=1.09, tp=1.12)


@scenario(TradeRetcode.SERVER_DISABLES_AT)
def broker_lets_no_program_trade():
    return ExchangeBench(account={"trade_expert": False}).buy()


@scenario(TradeRetcode.CLIENT_DISABLES_AT)
def autotrading_is_switched_off():
    bench = ExchangeBench(client_disables_at=True)
    result = bench.buy()

    assert () == bench.exchange.ledger().requests
    return result


@scenario(TradeRetcode.LOCKED)
def position_is_being_closed():
    bench = ExchangeBench()
    bench.buy()
    bench.set(fill_ms=(100, 100))
    position = bench.position.ticket
    bench.sell(position=position)
    return bench.send(TradeRequestActions.SLTP, position=position, sl=1.09)


@scenario(TradeRetcode.FROZEN)
def price_is_within_the_freeze_level():
    bench = ExchangeBench(dataclasses.replace(spec_for("EURUSD"), trade_freeze_level=20))
    order = bench.pending(OrderType.BUY_LIMIT, 1.0998).order
    bench.quote(1.0999, 1.1)
    return bench.send(TradeRequestActions.REMOVE, order=order)


@scenario(TradeRetcode.INVALID_FILL)
def market_execution_knows_no_return():
    return ExchangeBench().buy(type_filling=OrderTypeFilling.RETURN)


@scenario(TradeRetcode.CONNECTION)
def terminal_is_cut_off():
    bench = ExchangeBench(connected=False)
    result = bench.buy()

    assert () == bench.exchange.ledger().requests
    return result


@scenario(TradeRetcode.ONLY_REAL)
def demo_account_where_only_real_ones_trade():
    assert (
        TradeRetcode.DONE
        == ExchangeBench(account={"trade_mode": AccountTradeMode.REAL}, only_real=True)
        .buy()
        .retcode
    )
    return ExchangeBench(only_real=True).buy()


@scenario(TradeRetcode.LIMIT_ORDERS)
def second_pending_order_of_one():
    bench = ExchangeBench(account={"limit_orders": 1})
    bench.pending(OrderType.BUY_LIMIT, 1.09)
    return bench.pending(OrderType.BUY_LIMIT, 1.08)


@scenario(TradeRetcode.LIMIT_VOLUME)
def one_direction_holds_more_than_the_symbol_allows():
    # The manual's own example: 5 lots allowed, 5 bought; a sell limit of 5 may be placed.
    spec = dataclasses.replace(spec_for("EURUSD"), volume_limit=5.0)
    bench = ExchangeBench(spec, account={"balance": 100_000.0})
    bench.buy(5.0)

    assert TradeRetcode.PLACED == bench.pending(OrderType.SELL_LIMIT, 1.2, 5.0).retcode
    assert TradeRetcode.LIMIT_VOLUME == bench.pending(OrderType.SELL_LIMIT, 1.2, 0.01).retcode
    return bench.pending(OrderType.BUY_LIMIT, 1.0, 0.01)


@scenario(TradeRetcode.INVALID_ORDER)
def symbol_allows_no_stop_orders():
    spec = dataclasses.replace(spec_for("EURUSD"), order_mode=SymbolOrderMode.MARKET)
    return ExchangeBench(spec).pending(OrderType.BUY_STOP, 1.2)


@scenario(TradeRetcode.POSITION_CLOSED)
def position_was_closed_before():
    bench = ExchangeBench()
    position = bench.buy().order
    bench.sell(position=position)
    return bench.sell(position=position)


@scenario(TradeRetcode.INVALID_CLOSE_VOLUME)
def close_of_more_than_is_open():
    bench = ExchangeBench()
    position = bench.buy().order
    return bench.sell(1.01, position=position)


@scenario(TradeRetcode.CLOSE_ORDER_EXIST)
def close_orders_together_are_more_than_the_position():
    bench = ExchangeBench()
    position = bench.buy().order
    bench.set(fill_ms=(100, 100))

    assert TradeRetcode.PLACED == bench.sell(0.6, position=position).retcode
    assert TradeRetcode.PLACED == bench.sell(0.4, position=position).retcode
    return bench.sell(0.01, position=position)


@scenario(TradeRetcode.LIMIT_POSITIONS)
def pending_orders_count_as_positions_in_hedging():
    bench = ExchangeBench(max_positions=2)
    bench.buy()
    bench.pending(OrderType.BUY_LIMIT, 1.09)
    return bench.buy()


@scenario(TradeRetcode.REJECT_CANCEL)
def activation_was_rejected_and_the_order_cancelled():
    bench = ExchangeBench(account={"balance": 1_000.0})
    order = bench.pending(OrderType.BUY_LIMIT, 1.09).order
    bench.quote(1.08, 1.0801)

    assert [] == bench.exchange.orders() == bench.exchange.positions()
    return bench.send(TradeRequestActions.REMOVE, order=order)


@scenario(TradeRetcode.LONG_ONLY)
def only_long_positions():
    return ExchangeBench(with_mode(SymbolTradeMode.LONGONLY)).sell()


@scenario(TradeRetcode.SHORT_ONLY)
def only_short_positions():
    return ExchangeBench(with_mode(SymbolTradeMode.SHORTONLY)).buy()


@scenario(TradeRetcode.CLOSE_ONLY)
def only_closing():
    return ExchangeBench(with_mode(SymbolTradeMode.CLOSEONLY)).buy()


@scenario(TradeRetcode.FIFO_CLOSE)
def newer_position_first():
    bench = ExchangeBench(account={"fifo_close": True})
    first, second = bench.buy().order, bench.buy().order
    result = bench.sell(position=second)

    assert TradeRetcode.DONE == bench.sell(position=first).retcode
    assert TradeRetcode.DONE == bench.sell(position=second).retcode
    return result


@scenario(TradeRetcode.HEDGE_PROHIBITED)
def opposite_position_where_that_is_prohibited():
    bench = ExchangeBench(hedge_prohibited=True)
    bench.buy()

    assert TradeRetcode.HEDGE_PROHIBITED == bench.pending(OrderType.SELL_LIMIT, 1.2).retcode
    assert TradeRetcode.DONE == bench.buy().retcode
    return bench.sell()


def _removal(order):
    return TradeRequest(action=TradeRequestActions.REMOVE, order=order)


def test_every_retcode_has_a_scenario():
    assert set(TradeRetcode) == set(SCENARIOS)


@pytest.mark.parametrize("retcode", SCENARIOS, ids=lambda retcode: retcode.name)
def test_the_scenario_ends_in_its_retcode(retcode):
    assert retcode == SCENARIOS[retcode]().retcode
