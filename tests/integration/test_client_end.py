"""How both clients end: closed, dropped, forked, interrupted, and with them what is open."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest

from bridge import AsyncClient, Client
from bridge.exceptions import InvalidRequest
from tests.support.relay_model import RelayModel, tick_body
from tests.support.scripted_relay import DEADLINE_S, ScriptedRelay

ROOT = Path(__file__).resolve().parents[2]
EURUSD = "tick/demo/EURUSD"


@pytest.fixture
def relay():
    """
    Return a running relay with five messages of EURUSD.
    """
    model = RelayModel()
    for _ in range(5):
        model.publish(EURUSD)
    with ScriptedRelay(model) as scripted:
        yield scripted


@pytest.fixture
def client(relay):
    """
    Return a connected client; its thread has ended when the test has.
    """
    with Client(relay.endpoint) as connected:
        yield connected
    assert not connected._parts.engine._thread.is_alive()


def seqs(stream, count):
    return [next(stream).seq for _ in range(count)]


# --- the end


def test_closing_ends_iterators_and_fails_calls_that_wait(relay):
    relay.mute.add("symbol")
    client = Client(relay.endpoint, timeout=DEADLINE_S)
    client.connect()
    stream = client.ticks("EURUSD")
    found, failed = [], []

    def iterate():
        found.extend(tick.seq for tick in stream)

    def call():
        with pytest.raises(InvalidRequest, match="closed") as caught:
            client.symbol("EURUSD")
        failed.append(caught.value.code)

    threads = [threading.Thread(target=iterate), threading.Thread(target=call)]
    for thread in threads:
        thread.start()
    relay.wait_for(lambda: relay.asked("symbol"))
    client.close()
    client.close()
    for thread in threads:
        thread.join(DEADLINE_S)
        assert not thread.is_alive()

    assert [5] == found
    assert ["CLIENT_CLOSED"] == failed
    with pytest.raises(InvalidRequest):
        client.ticks("EURUSD")


def test_the_same_end_from_asyncio(relay):
    relay.mute.add("symbol")

    async def main():
        client = AsyncClient(relay.endpoint, timeout=DEADLINE_S)
        await client.connect()
        stream = client.ticks("EURUSD")
        await anext(stream)
        calls = [
            asyncio.ensure_future(client.symbol("EURUSD")),
            asyncio.ensure_future(anext(stream)),
        ]
        await asyncio.to_thread(relay.wait_for, lambda: relay.asked("symbol"))
        await client.close()
        await client.close()
        results = await asyncio.gather(*calls, return_exceptions=True)
        return [type(result) for result in results]

    assert [InvalidRequest, StopAsyncIteration] == asyncio.run(main())


def test_a_cancelled_call_leaves_the_client_usable(relay):
    relay.mute.add("symbol")

    async def main():
        async with AsyncClient(relay.endpoint, timeout=DEADLINE_S) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await client.symbol("EURUSD")
            stream = client.ticks("EURUSD")
            await anext(stream)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await anext(stream)
            await asyncio.to_thread(relay.publish, EURUSD)
            return (await anext(stream)).seq

    assert 6 == asyncio.run(main())


def test_a_busy_iterator_lets_other_tasks_run(relay):
    async def main():
        turns = 0

        async def count():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async with AsyncClient(relay.endpoint) as client, client.ticks("EURUSD") as stream:
            await anext(stream)
            # All of it is there: nothing below has to wait.
            info = stream._handle.core.topics[0].info
            stream._handle.mailbox.put([(info, tick_body(7, seq), None) for seq in range(5_000)])
            task = asyncio.create_task(count())
            for _ in range(5_000):
                await anext(stream)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        return turns

    assert asyncio.run(main()) >= 40


def test_a_loop_that_is_closed_is_no_reason_to_fail(relay):
    client = AsyncClient(relay.endpoint)

    async def main():
        stream = client.ticks("EURUSD")
        await anext(stream)
        task = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        return stream, task

    loop = asyncio.new_event_loop()
    stream, task = loop.run_until_complete(main())
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()
    relay.publish(EURUSD)

    async def again():
        found = (await anext(stream)).seq
        await client.close()
        return found

    assert 6 == asyncio.run(again())


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_client_that_is_dropped_warns_and_ends_its_thread(relay, kind):
    client = kind(relay.endpoint)
    if kind is Client:
        client.connect()
    else:
        asyncio.run(client.connect())
    thread = client._parts.engine._thread
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del client
        gc.collect()
    thread.join(DEADLINE_S)

    assert not thread.is_alive()
    assert [ResourceWarning] == [warning.category for warning in caught]


def test_an_iterator_keeps_its_client(relay):
    stream = Client(relay.endpoint).ticks("EURUSD")
    gc.collect()
    relay.publish(EURUSD)

    assert [5, 6] == seqs(stream, 2)
    stream._client.close()


def test_a_program_that_closes_nothing_ends_at_once_and_in_silence(relay):
    program = (
        "import sys; from bridge import Client\n"
        "client = Client(sys.argv[1]); stream = client.ticks('EURUSD'); print(next(stream).seq)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, relay.endpoint],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )

    assert (0, "5\n", "") == (run.returncode, run.stdout, run.stderr)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_is_told_and_harms_nothing(client):
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that is the point of the test
        child = os.fork()
    if child == 0:
        try:
            client.ping()
        except InvalidRequest as error:
            os.write(writer, error.code.encode())
        client.close()
        os._exit(0)
    os.waitpid(child, 0)

    assert b"FORKED" == os.read(reader, 100)
    assert 1 == client.ping().bus_version
    os.close(reader)
    os.close(writer)


def test_ctrl_c_during_a_call_leaves_the_client_usable(relay):
    program = """
import os, signal, sys, threading
from bridge import Client
client = Client(sys.argv[1], timeout=20)
client.connect()
stream = client.ticks("EURUSD")
next(stream)
def press():
    # On Windows os.kill would end the process; raise_signal is as good as Ctrl-C there.
    signal.raise_signal(signal.SIGINT) if os.name == "nt" else os.kill(os.getpid(), signal.SIGINT)
threading.Timer(0.3, press).start()
try:
    next(stream)
except KeyboardInterrupt:
    print(client.ping().bus_version)
client.close()
"""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, relay.endpoint],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )

    assert (0, "1\n", "") == (run.returncode, run.stdout, run.stderr)
