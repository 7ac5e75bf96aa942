"""What a program hears of trades: OnTradeTransaction, its order, its limits."""

from __future__ import annotations

import pytest

from bridge.model.enums import AccountMarginMode, OrderType, TradeRequestActions
from bridge.model.tick import MqlTick
from bridge.model.trade import TradeRequest
from bridge.wire.spec import Permission
from tests.mql5.broker_trade import TradeFaults
from tests.mql5.scenarios.expert import why_not
from tests.mql5.trader import BUY, LIMIT, START_S, one, order
from tests.support.exchange_bench import START_MSC, ExchangeBench

pytestmark = [pytest.mark.skipif(bool(why_not()), reason=why_not()), pytest.mark.timeout(600)]

NETTING = AccountMarginMode.RETAIL_NETTING
ALL = ~Permission(0)


def kinds(ea):
    """
    Return the types of the transactions so far, and OnTrade.
    """
    words = [line.split() for line in ea.said()]
    return [
        line[1] if line[0] == "transaction" else line[0]
        for line in words
        if line[0] in {"transaction", "OnTrade"}
    ]


def test_a_market_order_has_its_transactions(start):
    ea = start()
    order(ea, f"send {BUY} sl=1.05 comment=tag")

    assert ["ORDER_ADD", "DEAL_ADD", "ORDER_DELETE", "HISTORY_ADD", "REQUEST", "OnTrade"] == kinds(
        ea
    )
    deal = next(line for line in ea.said() if "DEAL_ADD" in line)
    assert (
        "transaction DEAL_ADD deal 1 order 1 EURUSD type 0 state 0 of 0 price 1.1001 sl 1.05 "
        "tp 0.0 volume 0.5 position 1 by 0"
    ) == deal
    assert "request 1 EURUSD 0.5 0 tag result 10009 id 1 deal 1 order 1" in ea.said()


def test_what_others_do_is_told_too(start):
    bench = ExchangeBench()
    ea = start(bench)
    bench.exchange.order_send(
        TradeRequest(
            action=TradeRequestActions.DEAL, symbol="GBPUSD", volume=1.0, type=OrderType.SELL
        ),
        0,
    )
    ea.settle()

    assert "DEAL_ADD" in kinds(ea)
    assert any(" GBPUSD " in line for line in ea.said())


def test_a_tick_that_fills_an_order_is_told(start):
    ea = start()
    order(ea, f"send {LIMIT}")
    before = len(kinds(ea))
    ea.quote("EURUSD", MqlTick(START_MSC + 1, 1.04, 1.0401))
    ea.settle()

    assert "DEAL_ADD" in kinds(ea)[before:]


def test_an_expiration_comes_by_the_clock_alone(start):
    ea = start()
    order(ea, f"send {LIMIT} time=2 expiration={START_S + 60}")
    ea.advance(59_000)
    before = kinds(ea)
    ea.advance(2_000)

    assert "ORDER_DELETE" not in before
    assert ["ORDER_DELETE", "HISTORY_ADD", "OnTrade"] == kinds(ea)[len(before) :]
    assert "orders 0" == one(ea, "orders")


def test_transactions_wait_for_the_handler_and_the_oldest_are_displaced(start):
    ea = start(InpTradeQuiet=True)
    ea.chart_event(1, 1000, 0.0, "sleep")
    ea.settle()
    for number in range(300):
        ea.exchange.order_send(
            TradeRequest(
                action=TradeRequestActions.DEAL,
                symbol="EURUSD",
                volume=0.01,
                type=OrderType.SELL if number % 2 else OrderType.BUY,
            ),
            ea.now_us,
        )
        ea.deal_out()
    ea.advance(500)
    waiting = ea.said()
    ea.advance(1000)

    assert [] == waiting
    line = one(ea, "count")
    assert line.startswith("transactions 1024 first ")
    assert "first 1 " not in line


@pytest.mark.parametrize(
    ("faults", "least", "most"),
    [
        (TradeFaults(drop=1.0), 0, 0),
        (TradeFaults(double=1.0), 10, 10),
        (TradeFaults(drop=0.5, seed=3), 0, 4),
    ],
)
def test_transactions_are_lost_and_doubled(start, faults, least, most):
    ea = start()
    ea.broker.trade.faults = faults
    order(ea, f"send {BUY}")

    assert least <= len([kind for kind in kinds(ea) if kind != "OnTrade"]) <= most


def test_transactions_come_in_any_order(start):
    ea = start()
    ea.broker.trade.faults = TradeFaults(shuffle=True, seed=1)
    for _ in range(5):
        order(ea, f"send {BUY}")
    told = [kind for kind in kinds(ea) if kind != "OnTrade"]
    usual = ["ORDER_ADD", "DEAL_ADD", "ORDER_DELETE", "HISTORY_ADD", "REQUEST"]
    batches = [told[at : at + 5] for at in range(0, 25, 5)]

    assert all(sorted(usual) == sorted(batch) for batch in batches)
    assert any(batch != usual for batch in batches)
