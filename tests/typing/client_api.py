"""How users write it: mypy must accept this file as it is, and it is never run."""

from __future__ import annotations

from typing import assert_type

from bridge import (
    AccountInfo,
    AsyncClient,
    CheckResult,
    Client,
    DealInfo,
    Gap,
    OrderDenied,
    OrderInfo,
    OrderRejected,
    OrderResult,
    OrderStatus,
    OrderStep,
    OrderUnknown,
    PositionInfo,
    RequestError,
    Tick,
    TickFlag,
    TradeEvent,
    UnknownSymbol,
)
from bridge.bus.bodies import BulkBody, RelayBody, StatusBody
from bridge.client.aio import AsyncStream
from bridge.client.models import Pong, RelayStatus, SymbolInfo, TerminalInfo, TopicSnapshot
from bridge.client.sync import Stream
from bridge.client.values import AccountEvent, Event, Message, PositionEvent
from bridge.model.enums import OrderType, OrderTypeFilling, TradeRequestActions


def calls() -> None:
    with Client("tcp://127.0.0.1:5556", terminal="demo", timeout=2.5, client_id="me") as mt:
        assert_type(mt, Client)
        assert_type(mt.terminal, str)
        assert_type(mt.ping(), Pong)
        assert_type(mt.status(), RelayStatus)
        assert_type(mt.terminals(), list[TerminalInfo])
        assert_type(mt.symbols(), list[SymbolInfo])
        assert_type(mt.symbols("*USD*,!*JPY*"), list[SymbolInfo])
        assert_type(mt.symbol("EURUSD").digits, int)
        assert_type(mt.symbol("EURUSD").point, float | None)
        assert_type(mt.tick("EURUSD"), Tick)
        assert_type(mt.snapshot("tick/demo/EURUSD"), list[TopicSnapshot])
        assert_type(mt.replay("tick/demo/EURUSD", 7, 1), list[Event])
        assert_type(mt.replay("tick/demo/EURUSD", 7, 1, 100), list[Event])
        assert_type(mt.status().terminals[0].connected, bool)


def ticks() -> float:
    mt = Client()
    mt.connect()
    spread = 0.0
    try:
        for tick in mt.ticks("EURUSD", "GBPUSD", timeout=30, buffer=1_000, wait=False):
            assert_type(tick, Tick)
            assert_type(tick.gap, Gap | None)
            if tick.backlog or tick.late or tick.flags & TickFlag.BID:
                continue
            spread = max(spread, tick.ask - tick.bid)
    except UnknownSymbol as error:
        assert_type(error.hint, str)
    except RequestError as error:
        assert_type(error.hop, str)
    finally:
        mt.close()
    return spread


def streams(mt: Client) -> None:
    with mt.ticks("EURUSD") as stream:
        assert_type(stream, Stream[Tick])
        assert_type(next(stream), Tick)
        assert_type(stream.stats.replayed, int)
    for event in mt.events("tick/demo/*", "status/demo", "relay", timeout=5):
        match event:
            case Tick():
                assert_type(event.bid, float)
            case Gap():
                assert_type(event.last, int | None)
            case StatusBody():
                assert_type(event.event, str)
            case RelayBody():
                assert_type(event.tails[0].topic, str)
            case TradeEvent():
                assert_type(event.recovered, bool)
            case AccountEvent():
                assert_type(event.account, AccountInfo)
            case PositionEvent():
                assert_type(event.positions, list[PositionInfo])
            case BulkBody():
                assert_type(event.records, bytes)
            case Message():
                assert_type(event.topic, str)


def orders(mt: Client) -> str:
    result = mt.buy("EURUSD", 0.1, sl_points=200, tp=1.25, client_order_id="run-17")
    assert_type(result, OrderResult)
    assert_type(result.done, bool)
    assert_type(result.children, tuple[OrderResult, ...])
    assert_type(result.raise_on_reject(), OrderResult)
    mt.sell("EURUSD", 1, price=1.25, deviation=10, magic=7, comment="mine", client_order_id="2")
    mt.order_send(
        TradeRequestActions.PENDING,
        type=OrderType.BUY_LIMIT,
        type_filling=OrderTypeFilling.RETURN,
        type_time="DAY",
        symbol="EURUSD",
        volume=0.1,
        price=1.05,
        client_order_id="3",
        timeout=30,
    )
    mt.order_modify(5, price=1.0, sl=0, client_order_id="4")
    mt.position_modify(7, sl=0, tp=None, client_order_id="5")
    mt.position_close(7, volume=0.05, client_order_id="6")
    mt.position_close_by(7, 8, client_order_id="7")
    mt.order_cancel(5, client_order_id="8")
    mt.close_all(symbol="EURUSD", orders=True, client_order_id="9")
    assert_type(mt.order_check(1, type=0, symbol="EURUSD", volume=0.1), CheckResult)
    assert_type(mt.order_status("run-17"), OrderStatus)
    assert_type(mt.order_status(command_id="me/run-17"), OrderStatus)
    assert_type(mt.order_status("run-17").life, tuple[OrderStep, ...])
    assert_type(mt.positions("EURUSD", magic=7), list[PositionInfo])
    assert_type(mt.orders(ticket=5), list[OrderInfo])
    assert_type(mt.account().demo, bool)
    try:
        mt.buy("EURUSD", 0.1, client_order_id="10", raise_on_reject=True)
    except OrderUnknown as unknown:
        assert_type(unknown.client_order_id, str)
    except (OrderRejected, OrderDenied) as refused:
        return refused.hint
    for event in mt.trades(timeout=30):
        assert_type(event, TradeEvent)
        assert_type(event.gap, Gap | None)
        if isinstance(event.record, DealInfo):
            assert_type(event.record.profit, float)
    return ""


async def asynchronous_orders(mt: AsyncClient) -> None:
    assert_type(await mt.buy("EURUSD", 0.1, client_order_id="1"), OrderResult)
    assert_type(await mt.close_all(client_order_id="2", timeout=60), OrderResult)
    assert_type(await mt.positions(), list[PositionInfo])
    assert_type(await mt.account(), AccountInfo)
    async for event in mt.trades():
        assert_type(event, TradeEvent)


async def asynchronous() -> None:
    async with AsyncClient() as mt:
        assert_type(mt, AsyncClient)
        assert_type(await mt.ping(), Pong)
        assert_type(await mt.symbols(), list[SymbolInfo])
        assert_type(await mt.tick("EURUSD"), Tick)
        assert_type(await mt.snapshot("relay"), list[TopicSnapshot])
        async for tick in mt.ticks("EURUSD", timeout=30):
            assert_type(tick, Tick)
        async with mt.events("relay") as stream:
            assert_type(stream, AsyncStream[Event])
            assert_type(await anext(stream), Event)
