"""How users write it: mypy must accept this file as it is, and it is never run."""

from __future__ import annotations

from typing import assert_type

from bridge import AsyncClient, Client, Gap, RequestError, Tick, TickFlag, UnknownSymbol
from bridge.bus.bodies import BulkBody, RelayBody, StatusBody
from bridge.client.aio import AsyncStream
from bridge.client.models import Pong, RelayStatus, SymbolInfo, TerminalInfo, TopicSnapshot
from bridge.client.sync import Stream
from bridge.client.values import Event, Message


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
            case BulkBody():
                assert_type(event.records, bytes)
            case Message():
                assert_type(event.topic, str)


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
