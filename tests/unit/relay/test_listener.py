"""The port that terminals connect to: bound, named when it is taken, left in order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import sys
import warnings

import pytest

from bridge.exceptions import EndpointInUse
from bridge.relay.listener import Listener
from bridge.wire.spec import LogoutCode
from tests.support.bench import Bench
from tests.support.terminal import ScriptedTerminal

KEY = bytes(32)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.fixture
def links(bench):
    return bench.make_links()


async def serve_and_stop(links, during) -> None:
    listener = Listener(links)
    port = await listener.listen("127.0.0.1", 0)
    try:
        await asyncio.to_thread(during, port)
    finally:
        await listener.stop()
        await asyncio.sleep(0)


def test_stopping_logs_every_terminal_out(bench, links):
    """A terminal that is told so reconnects later instead of wondering."""
    terminals: list[ScriptedTerminal] = []

    def connect(port: int) -> None:
        terminals.append(ScriptedTerminal(f"tcp://127.0.0.1:{port}", KEY))
        terminals[0].log_on()

    asyncio.run(serve_and_stop(links, connect))
    with terminals[0] as terminal:
        end = terminal.expect_end()

        assert (LogoutCode.SHUTTING_DOWN, 1_000) == (end.code, end.retry_after_ms)
    assert bench.terminal().link is None


@pytest.mark.parametrize("turns", range(5))
def test_what_was_accepted_last_is_closed_as_well(links, turns):
    """A terminal that dials while the relay stops must not wait for its silence limit."""

    async def dial_and_stop() -> list[socket.socket]:
        listener = Listener(links)
        port = await listener.listen("127.0.0.1", 0)
        dialled = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        for _ in range(turns):
            await asyncio.sleep(0)
        await listener.stop()
        return dialled

    with warnings.catch_warnings(record=True) as unclosed:
        warnings.simplefilter("always", ResourceWarning)
        for terminal in asyncio.run(dial_and_stop()):
            with terminal:
                terminal.settimeout(10)
                with contextlib.suppress(ConnectionResetError):
                    while terminal.recv(1024):
                        pass
        gc.collect()

    assert [] == [str(one.message) for one in unclosed]


def test_a_port_that_is_taken_is_named(links):
    """The setting that has to change, too."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        async def listen() -> None:
            await Listener(links).listen("127.0.0.1", port)

        with pytest.raises(EndpointInUse, match=f"127.0.0.1:{port}.*endpoints.terminal"):
            asyncio.run(listen())


@pytest.mark.skipif(sys.platform == "win32", reason="sets SO_EXCLUSIVEADDRUSE there instead")
def test_a_restart_gets_its_port_back(links):
    """Connections of the relay before may still be in TIME_WAIT."""

    async def listen_twice() -> tuple[int, int]:
        listener = Listener(links)
        first = await listener.listen("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", first)
        await listener.stop()
        await reader.read()
        writer.close()
        again = Listener(links)
        second = await again.listen("127.0.0.1", first)
        await again.stop()
        return first, second

    first, second = asyncio.run(listen_twice())

    assert first == second


def test_what_is_sent_to_a_terminal_does_not_wait_for_more(links):
    """An order must not wait until the one before it is acknowledged by the other side's TCP."""
    found: list[int] = []
    connected = links.connected

    def look(link):
        connection = link._transport.get_extra_info("socket")
        found.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        connected(link)

    links.connected = look

    def connect(port: int) -> None:
        with ScriptedTerminal(f"tcp://127.0.0.1:{port}", KEY) as terminal:
            terminal.log_on()

    asyncio.run(serve_and_stop(links, connect))

    assert [True] == [bool(one) for one in found]
