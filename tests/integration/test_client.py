"""Both clients against a relay of real sockets that does what the test says."""

from __future__ import annotations

import asyncio
import gc
import threading
import time

import msgpack
import pytest
import zmq

from bridge import AsyncClient, Client
from bridge.bus.bodies import RelayBody, StatusBody
from bridge.exceptions import (
    DeadlineExceeded,
    InvalidRequest,
    RelayUnreachable,
    TerminalUnavailable,
    UnknownSymbol,
)
from bridge.model.tick import Gap, Tick
from tests.support.relay_model import Refusal, RelayModel
from tests.support.scripted_relay import DEADLINE_S, ScriptedRelay

EURUSD = "tick/demo/EURUSD"
GBPUSD = "tick/demo/GBPUSD"


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


@pytest.fixture
def dead_endpoint():
    """
    Return an endpoint at which nobody listens.
    """
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        socket.bind("tcp://127.0.0.1:0")
        return socket.last_endpoint.decode()


def away(relay, name):
    def command():
        topic = relay.model.topic(name)
        topic.epoch = 0
        topic.status = "error"
        error = Refusal("TERMINAL_UNAVAILABLE", "the terminal is not connected", "terminal")
        topic.error = error.error

    relay.run(command)


def refuse(relay, name):
    def command():
        topic = relay.model.topic(name)
        topic.status = "error"
        topic.error = Refusal("UNKNOWN_SYMBOL", "no such symbol", "terminal").error

    relay.run(command)


def keep_peers(relay):
    """
    Return the list of who asked, in order: to send a peer more than the answer to its request.
    """
    peers = []
    original = relay._answer

    def remember(frames):
        peers.append(frames[0])
        original(frames)

    relay._answer = remember
    return peers


def seqs(stream, count):
    return [next(stream).seq for _ in range(count)]


# --- calls


def test_every_call_returns_what_it_promises(client, relay):
    relay.publish("tick/demo/X")

    assert 1 == client.ping().bus_version
    assert "model" == client.status().program
    assert [("demo", True)] == [(info.alias, info.connected) for info in client.terminals()]
    assert ["EURUSD", "X"] == [info.name for info in client.symbols()]
    assert 5 == client.symbol("EURUSD").digits
    assert 5 == client.tick("EURUSD").seq
    assert "demo" == client.terminal
    assert [5] == [snapshot.value.seq for snapshot in client.snapshot(EURUSD)]
    assert [2, 3] == [tick.seq for tick in client.replay(EURUSD, 7, 2, 3)]


def test_the_same_from_asyncio(relay):
    async def main():
        async with AsyncClient(relay.endpoint) as client:
            assert 1 == (await client.ping()).bus_version
            assert "model" == (await client.status()).program
            assert ["demo"] == [info.alias for info in await client.terminals()]
            assert ["EURUSD"] == [info.name for info in await client.symbols()]
            assert 5 == (await client.symbol("EURUSD")).digits
            assert 5 == (await client.tick("EURUSD")).seq
            assert "demo" == client.terminal
            assert [5] == [snapshot.value.seq for snapshot in await client.snapshot(EURUSD)]
            assert [2, 3] == [tick.seq for tick in await client.replay(EURUSD, 7, 2, 3)]
            return client

    client = asyncio.run(main())
    assert not client._parts.engine._thread.is_alive()


def test_an_error_of_the_relay_names_the_hop(client):
    with pytest.raises(UnknownSymbol) as caught:
        client.symbol("NOPE")

    assert "[terminal] UNKNOWN_SYMBOL: no symbol 'NOPE'" == str(caught.value)


def test_where_nobody_listens_the_relay_is_unreachable(dead_endpoint):
    client = Client(dead_endpoint, timeout=0.3)
    begin = time.monotonic()
    with pytest.raises(RelayUnreachable) as caught, client:
        pass

    assert 0.25 < time.monotonic() - begin < 3
    assert f"nothing answered ping at {dead_endpoint} within" in str(caught.value)
    assert "bridge run" in caught.value.hint
    assert "relay" == caught.value.hop
    assert client._parts.engine.closed


def test_the_same_from_asyncio_where_nobody_listens(dead_endpoint):
    async def main():
        async with AsyncClient(dead_endpoint, timeout=0.3):
            pass

    with pytest.raises(RelayUnreachable):
        asyncio.run(main())


def test_a_relay_that_says_nothing_at_all_is_unreachable_too(relay):
    relay.mute.update({"ping"})
    relay.beat_s = None
    with pytest.raises(RelayUnreachable), Client(relay.endpoint, timeout=0.3):
        pass


def test_a_relay_that_is_heard_but_does_not_answer_misses_the_deadline(relay):
    relay.mute.add("symbol")
    with Client(relay.endpoint, timeout=1.0) as client, client.events("relay") as heard:
        assert isinstance(next(heard), RelayBody)
        with pytest.raises(DeadlineExceeded) as caught:
            client.symbol("EURUSD")

    assert "is there but did not answer symbol within" in str(caught.value)
    assert "relay" == caught.value.hop


def test_a_request_that_waited_for_the_relay_beyond_its_deadline_is_never_sent(relay):
    """Nothing is queued for a relay that is away: an order sent late would be worse."""
    with Client(relay.endpoint, timeout=0.5) as client:
        relay.stop()
        with pytest.raises(RelayUnreachable):
            client.symbol("LATE")
        relay.start()
        client._parts.timeout = DEADLINE_S
        client.symbol("EURUSD")

    assert ["EURUSD"] == [request["params"]["symbol"] for request in relay.asked("symbol")]


def test_requests_go_on_when_the_relay_is_back(client, relay):
    relay.stop()
    relay.start()

    assert 5 == client.tick("EURUSD").seq


def test_a_late_reply_is_nobodys(relay):
    relay.mute.add("symbol")
    peers = keep_peers(relay)
    with Client(relay.endpoint, timeout=0.3) as client:
        with pytest.raises((DeadlineExceeded, RelayUnreachable)):
            client.symbol("EURUSD")
        late, _ = relay.asked("symbol")

        def answer(params):
            frame = msgpack.packb({"v": 1, "id": late["id"], "ok": True, "result": {}})
            relay._router.send_multipart([peers[-1], frame])
            return relay.model.answer("ping", params)

        relay.wrong["ping"] = answer
        client._parts.timeout = DEADLINE_S
        assert 1 == client.ping().bus_version
        assert 0 == len(client._parts.engine._requests)
        assert 0 == client._parts.engine._requests.malformed


def test_replies_that_are_none_are_counted_and_dropped(client, relay):
    peers = keep_peers(relay)

    def answer(params):
        del params
        relay._router.send_multipart([peers[-1], b"\xc1"])
        return {"symbol": {"name": "EURUSD"}}

    relay.wrong["symbol"] = answer

    assert "EURUSD" == client.symbol("EURUSD").name
    assert 1 == client._parts.engine._requests.malformed


def test_calls_from_many_threads(client):
    failed = []

    def call():
        try:
            for _ in range(20):
                assert "EURUSD" == client.symbol("EURUSD").name
        except Exception as error:  # noqa: BLE001 - handed to the test's thread
            failed.append(error)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)

    assert [] == failed


def test_a_replay_that_is_limited_waits_and_one_that_cannot_ends(relay):
    with Client(relay.endpoint, timeout=2.0) as client:
        left = [Refusal("TOO_MANY_REQUESTS", retry_after_ms=50)]

        def answer(params):
            if left:
                raise left.pop()
            return relay.model._replay(params)

        relay.wrong["replay"] = answer
        assert [1] == [tick.seq for tick in client.replay(EURUSD, 7, 1, 1)]
        left.append(Refusal("TOO_MANY_REQUESTS", retry_after_ms=60_000))
        with pytest.raises(DeadlineExceeded, match="patience"):
            client.replay(EURUSD, 7, 1, 1)


def test_an_endpoint_that_zeromq_refuses_is_named(monkeypatch):
    monkeypatch.setattr("bridge.client.base.host_of", lambda _: "*")
    client = Client("tcp://*:5556")
    with pytest.raises(InvalidRequest, match=r"tcp://\*:5556: Invalid argument") as caught:
        client.connect()

    assert "endpoint" == caught.value.field
    client.close()


def test_what_cannot_be_sent_is_an_invalid_request_and_nothing_else_is_held_up(client):
    with pytest.raises(InvalidRequest) as caught:
        client.symbol("\ud800")

    assert "params" == caught.value.field
    assert 1 == client.ping().bus_version


def test_the_same_limited_replay_from_asyncio(relay):
    left = [Refusal("TOO_MANY_REQUESTS", retry_after_ms=50)]

    def answer(params):
        if left:
            raise left.pop()
        return relay.model._replay(params)

    relay.wrong["replay"] = answer

    async def main():
        async with AsyncClient(relay.endpoint, timeout=2.0) as client:
            assert [1] == [tick.seq for tick in await client.replay(EURUSD, 7, 1, 1)]
            left.append(Refusal("TOO_MANY_REQUESTS", retry_after_ms=60_000))
            with pytest.raises(DeadlineExceeded, match="patience"):
                await client.replay(EURUSD, 7, 1, 1)

    asyncio.run(main())


# --- ticks


def test_ticks_begin_with_the_current_one(client, relay):
    with client.ticks("EURUSD") as stream:
        assert 5 == next(stream).seq
        relay.publish(EURUSD, 3)
        assert [6, 7, 8] == seqs(stream, 3)

    relay.wait_for(lambda: b"tick/demo/EURUSD\0" in relay.unsubscribed)


def test_the_same_ticks_from_asyncio(relay):
    async def main():
        async with AsyncClient(relay.endpoint) as client, client.ticks("EURUSD") as stream:
            found = [(await anext(stream)).seq]
            await asyncio.to_thread(relay.publish, EURUSD, 300)
            async for tick in stream:
                found.append(tick.seq)
                if tick.seq == 305:
                    break
            return found

    assert list(range(5, 306)) == asyncio.run(main())


def test_what_was_lost_is_replayed(client, relay):
    with client.ticks("EURUSD") as stream:
        relay.publish(EURUSD, 10, lost=True)
        relay.publish(EURUSD)
        relay.publish(EURUSD, 3, lost=True)

        assert list(range(5, 20)) == seqs(stream, 15)
        assert 13 == stream.stats.replayed
        assert 0 == stream.stats.gaps


def test_what_cannot_be_had_is_told_on_the_tick_and_among_the_events(client, relay):
    relay.run(lambda: setattr(relay.model, "ring", 2))
    with client.ticks("EURUSD") as ticks, client.events(EURUSD) as events:
        relay.publish(EURUSD, 6, lost=True)
        relay.publish(EURUSD)
        found = [next(ticks) for _ in range(3)]
        told = [next(events) for _ in range(4)]

    expected = Gap(EURUSD, 7, 6, 10, "the relay does not hold it any more")
    assert [(5, None), (11, expected), (12, None)] == [(tick.seq, tick.gap) for tick in found]
    assert [Tick, Gap, Tick, Tick] == [type(event) for event in told]
    assert expected == told[1] == told[2].gap


def test_a_relay_that_was_away_is_caught_up_with(client, relay):
    with client.ticks("EURUSD") as stream:
        assert 5 == next(stream).seq
        relay.stop()
        for _ in range(20):
            relay.model.publish(EURUSD)
        relay.start()

        assert list(range(6, 26)) == seqs(stream, 20)


def test_a_relay_that_publishes_on_another_port_is_followed(client, relay):
    with client.ticks("EURUSD") as stream:
        assert 5 == next(stream).seq
        relay.stop()
        relay.start(publish_port=0)
        relay.wait_for(lambda: relay.subscribed.count(b"tick/demo/EURUSD\0") == 2)
        relay.publish(EURUSD)

        assert 6 == next(stream).seq


def test_an_unknown_symbol_is_raised_before_anything_else(client, relay):
    refuse(relay, GBPUSD)
    with pytest.raises(UnknownSymbol, match="no such symbol"):
        client.ticks("EURUSD", "GBPUSD")

    relay.wait_for(lambda: b"tick/demo/GBPUSD\0" in relay.unsubscribed)


def test_the_same_unknown_symbol_from_asyncio(relay):
    refuse(relay, GBPUSD)

    async def main():
        async with AsyncClient(relay.endpoint) as client:
            stream = client.ticks("GBPUSD")
            with pytest.raises(UnknownSymbol):
                await anext(stream)
            with pytest.raises(UnknownSymbol):
                async with client.ticks("GBPUSD"):
                    pass

    asyncio.run(main())


def test_a_terminal_that_is_away_is_waited_for_by_default(client, relay, caplog):
    away(relay, GBPUSD)
    with client.ticks("GBPUSD") as stream:

        def come():
            topic = relay.model.topic(GBPUSD)
            topic.status, topic.error, topic.epoch = "ok", None, 7

        relay.run(come)
        relay.publish(GBPUSD)

        assert 1 == next(stream).seq
    assert "tick/demo/GBPUSD: the terminal is not connected; waiting" in caplog.text


def test_and_is_an_error_on_request(client, relay):
    away(relay, GBPUSD)

    with pytest.raises(TerminalUnavailable):
        client.ticks("GBPUSD", wait=False)
    with pytest.raises(TerminalUnavailable):
        client.events(GBPUSD, wait=False)


def test_a_symbol_that_turns_out_to_be_unknown_ends_the_iteration(client, relay):
    away(relay, GBPUSD)
    with client.ticks("GBPUSD") as stream:
        refuse(relay, GBPUSD)
        for _ in range(2):
            with pytest.raises(UnknownSymbol):
                next(stream)


def test_a_silence_is_explained_and_the_iteration_goes_on(client, relay):
    relay.run(lambda: relay.model.terminals[0].update(state="away"))
    with client.ticks("EURUSD", timeout=0.2) as stream:
        next(stream)
        with pytest.raises(DeadlineExceeded, match="not connected to the relay") as caught:
            next(stream)
        assert "terminal" == caught.value.hop
        relay.publish(EURUSD)

        assert 6 == next(stream).seq


def test_the_same_silence_from_asyncio(relay):
    async def main():
        async with AsyncClient(relay.endpoint) as client:
            async with client.ticks("EURUSD", timeout=0.2) as stream:
                await anext(stream)
                with pytest.raises(DeadlineExceeded, match="market may be closed"):
                    await anext(stream)
                await asyncio.to_thread(relay.publish, EURUSD)
                assert 6 == (await anext(stream)).seq

    asyncio.run(main())


def test_a_publish_port_that_says_nothing_is_named(relay):
    relay.synced = False
    with Client(relay.endpoint, timeout=0.7) as client:
        with pytest.raises(DeadlineExceeded) as caught:
            client.ticks("EURUSD")

    assert f"nothing arrives from {relay.publish_endpoint}" in str(caught.value)


def test_events_are_what_their_topics_say(client, relay):
    with client.events("status/demo", "relay", EURUSD) as stream:
        relay.publish("status/demo")
        kinds = set()
        while kinds < {Tick, StatusBody, RelayBody}:
            kinds.add(type(next(stream)))

    assert {Tick, StatusBody, RelayBody} == kinds


def test_two_iterators_have_their_own_subscriptions(client, relay):
    first = client.ticks("EURUSD")
    second = client.ticks("EURUSD")
    assert [5, 5] == [next(first).seq, next(second).seq]
    first.close()
    relay.publish(EURUSD)

    assert 6 == next(second).seq
    assert [] == list(first)
    second.close()


def test_a_slow_iterator_stops_its_own_reading_alone_and_loses_nothing(monkeypatch):
    """The relay drops for it when every queue is full; the numbers show it and it heals."""
    monkeypatch.setattr("bridge.client.engine._RCVHWM", 100)
    count = 30_000
    model = RelayModel()
    for _ in range(5):
        model.publish(EURUSD)
    small = {zmq.SNDHWM: 100, zmq.SNDBUF: 8_192}
    with ScriptedRelay(model, small) as relay, Client(relay.endpoint) as client:
        slow = client.ticks("EURUSD", buffer=10)
        quick = client.ticks("EURUSD", buffer=1_000_000)
        for _ in range(count // 5_000):
            relay.publish(EURUSD, 5_000)
            assert "EURUSD" == client.symbol("EURUSD").name
        quick_seqs = seqs(quick, count + 1)
        assert slow._handle.paused
        waiting = len(slow._handle.mailbox._items)
        slow_seqs = seqs(slow, count + 1)

        assert 10 <= waiting < 100
        assert list(range(5, count + 6)) == quick_seqs == slow_seqs
        assert 0 == slow.stats.gaps == quick.stats.gaps
        assert slow.stats.replayed


def test_an_iterator_that_is_dropped_ends_its_subscription(client, relay):
    for tick in client.ticks("EURUSD"):
        assert 5 == tick.seq
        break
    gc.collect()

    relay.wait_for(lambda: b"tick/demo/EURUSD\0" in relay.unsubscribed)


def test_too_many_iterators_are_refused(client, monkeypatch):
    monkeypatch.setattr("bridge.client.engine._STREAMS_MAX", 1)
    with client.ticks("EURUSD"), pytest.raises(InvalidRequest, match="are open"):
        client.ticks("EURUSD")


def test_too_many_requests_are_refused(client, relay, monkeypatch):
    relay.mute.add("symbol")
    monkeypatch.setattr("bridge.client.requests._OPEN_MAX", 0)
    with pytest.raises(InvalidRequest, match="wait for their replies"):
        client.symbol("EURUSD")
