"""The client, the relay and a terminal, with real sockets between them."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from bridge import AsyncClient, Client
from bridge.exceptions import (
    InvalidRequest,
    RelayUnreachable,
    RequestRefused,
    TerminalUnavailable,
    UnknownSymbol,
)
from tests.support.relay import DEADLINE_S, RelayProcess, RelayThread, make_settings
from tests.support.terminal import SteadyTerminal, tick_of


@pytest.fixture
def place(tmp_path):
    """
    Return a running relay and the key of its terminal.
    """
    settings, keys = make_settings(tmp_path)
    with RelayThread(settings) as relay:
        yield relay.endpoints, keys["demo"]


@pytest.fixture
def terminal(place):
    """
    Return a connected terminal with 10 ticks of EURUSD.
    """
    endpoints, key = place
    with SteadyTerminal(endpoints.terminal, key, symbols=("EURUSD", "GBPUSD")) as steady:
        steady.release("EURUSD", 10)
        yield steady


def take(stream, count):
    return [next(stream) for _ in range(count)]


def check(ticks, first, last):
    """
    Every tick from ``first`` to ``last`` is there, and is the terminal's.
    """
    assert list(range(first, last + 1)) == [tick.seq for tick in ticks]
    assert [tick_of(seq).bid for seq in range(first, last + 1)] == [tick.bid for tick in ticks]
    assert [] == [tick.gap for tick in ticks if tick.gap is not None]


def test_ticks_from_the_terminal_to_the_strategy(place, terminal):
    with Client(place[0].request) as client, client.ticks("EURUSD", timeout=DEADLINE_S) as stream:
        terminal.release("EURUSD", 5_000)
        first = next(stream)
        ticks = take(stream, 5_010 - first.seq)

        check([first, *ticks], first.seq, 5_010)
        assert ("demo", "EURUSD", 120) == (first.terminal, first.symbol, first.utc_offset_min)
        assert first.epoch == client.tick("EURUSD").epoch
        check(client.replay("tick/demo/EURUSD", first.epoch, 11, 20), 11, 20)
        assert [stream.topic for stream in client.status().streams] == ["tick/demo/EURUSD"]


def test_a_strategy_may_be_started_before_the_terminal(place):
    endpoints, key = place
    with Client(endpoints.request) as client:
        with pytest.raises(TerminalUnavailable):
            client.ticks("EURUSD", wait=False)
        with client.ticks("EURUSD", timeout=DEADLINE_S) as stream:
            with SteadyTerminal(endpoints.terminal, key) as steady:
                steady.release("EURUSD", 100)
                check(take(stream, 100), 1, 100)


def test_a_symbol_that_the_terminal_does_not_have(place, terminal):
    with Client(place[0].request) as client:
        with pytest.raises(UnknownSymbol) as caught:
            client.ticks("EURUSD", "NOPE")
        with pytest.raises(UnknownSymbol):
            client.events("tick/demo/NOPE")

    assert "terminal" == caught.value.hop


def test_another_terminal_than_there_is(place, terminal):
    with Client(place[0].request, terminal="other") as client:
        with pytest.raises(RequestRefused) as caught:
            client.ticks("EURUSD")
        assert "UNKNOWN_TERMINAL" == caught.value.code


def test_several_terminals_need_a_name(tmp_path):
    settings, _ = make_settings(tmp_path, aliases=("demo", "live"))
    with RelayThread(settings) as relay, Client(relay.endpoints.request) as client:
        with pytest.raises(InvalidRequest, match="demo, live"):
            client.ticks("EURUSD")


def test_a_publish_endpoint_taken_for_the_request_endpoint(place):
    client = Client(place[0].publish, timeout=0.5)
    with pytest.raises(RelayUnreachable, match="request endpoint"), client:
        pass


@pytest.mark.parametrize("joins", [50])
def test_joining_while_ticks_flow_loses_none(place, terminal, joins):
    stop = threading.Event()

    def flow():
        while not stop.wait(0.0005):
            terminal.release("EURUSD", 3)

    flowing = threading.Thread(target=flow)
    flowing.start()
    try:
        with Client(place[0].request) as client:
            for _ in range(joins):
                with client.ticks("EURUSD", timeout=DEADLINE_S) as stream:
                    ticks = take(stream, 20)
                    check(ticks, ticks[0].seq, ticks[0].seq + 19)
                    # Nothing needed healing: the barrier did its work.
                    assert 0 == stream.stats.replayed
    finally:
        stop.set()
        flowing.join(DEADLINE_S)


def test_a_relay_that_is_killed_and_comes_back_loses_no_tick(tmp_path):
    with RelayProcess(tmp_path) as relay:
        key = relay.keys["demo"]
        with SteadyTerminal(relay.endpoints.terminal, key) as steady:
            steady.release("EURUSD", 10)
            with Client(relay.endpoints.request) as client:
                stream = client.ticks("EURUSD", timeout=DEADLINE_S)
                first = next(stream)
                steady.release("EURUSD", 1_000)
                ticks = [first, *take(stream, 500)]
                with client.events("relay") as beats:
                    take(beats, 3)  # it writes its checkpoint every second, too
                relay.kill()
                steady.release("EURUSD", 1_000)
                relay.start()
                steady.release("EURUSD", 1_000)
                ticks += take(stream, 3_010 - ticks[-1].seq)

                check(ticks, first.seq, 3_010)
                assert 0 == stream.stats.gaps
                stream.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot stop a process and let it go on")
def test_a_relay_that_stands_still_is_unreachable_and_heals_afterwards(tmp_path):
    with RelayProcess(tmp_path) as relay:
        with SteadyTerminal(relay.endpoints.terminal, relay.keys["demo"]) as steady:
            steady.release("EURUSD", 10)
            with Client(relay.endpoints.request, timeout=1.0) as client:
                stream = client.ticks("EURUSD", timeout=DEADLINE_S)
                first = next(stream)
                # Behind all that was asked to join: what is on its way now would be heard later.
                client.ping()
                relay.pause()
                try:
                    with pytest.raises(RelayUnreachable):
                        client.ping()
                finally:
                    relay.go_on()
                steady.release("EURUSD", 100)
                check([first, *take(stream, 110 - first.seq)], first.seq, 110)
                stream.close()


def test_the_same_from_asyncio(place, terminal):
    async def main():
        async with AsyncClient(place[0].request) as client:
            async with client.ticks("EURUSD", timeout=DEADLINE_S) as stream:
                terminal.release("EURUSD", 1_000)
                ticks = [await anext(stream)]
                while ticks[-1].seq < 1_010:
                    ticks.append(await anext(stream))
                return ticks

    ticks = asyncio.run(main())
    check(ticks, ticks[0].seq, 1_010)
