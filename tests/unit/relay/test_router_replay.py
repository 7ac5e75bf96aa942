"""``bridge.relay.router``: barriers, and what is sent once more."""

from __future__ import annotations

import msgpack
import pytest
import zmq

from bridge.config import LimitSettings
from bridge.relay import router as module
from tests.support.router_bench import TOPIC, RouterBench


@pytest.fixture
def make(tmp_path):
    made: list[RouterBench] = []

    def make_one(**options):
        made.append(RouterBench(tmp_path, **options))
        return made[-1]

    yield make_one
    for bench in made:
        bench.close()


@pytest.fixture
def bench(make):
    return make()


# --- sync and replay ------------------------------------------------------------------------------


def test_a_barrier_goes_out_before_its_reply(bench):
    """Through the same socket as the ticks."""
    assert {} == bench.result("sync", {"nonce": "abcdefgh"})
    assert 1 == len(bench.socket.bodies("sync/abcdefgh"))


def seqs(result):
    return [body[1] for body in result["messages"]]


def replay(bench, epoch, first, last=None, topic=TOPIC):
    params = {"topic": topic, "epoch": epoch, "first": first}
    if last is not None:
        params["last"] = last
    return bench.result("replay", params)


@pytest.mark.parametrize(
    ("first", "last", "expected", "missing"),
    [
        (1, 10, range(1, 11), []),
        (1, None, range(1, 11), []),
        (4, 6, range(4, 7), []),
        (10, 10, [10], []),
        (5, 50, range(5, 11), []),
        (11, None, [], []),
        (11, 20, [], []),
        (0, 3, [1, 2, 3], [[0, 0]]),
        (0, 0, [], [[0, 0]]),
        (2**64 - 1, None, [], []),
    ],
)
def test_a_range_of_a_stream(bench, first, last, expected, missing):
    """Exactly what was asked for and is held; what is not published yet is not missing."""
    bench.streaming()
    epoch = bench.take(1, 10)
    result = replay(bench, epoch, first, last)

    assert list(expected) == seqs(result)
    assert missing == result["missing"]
    assert result["next"] is None


@pytest.mark.parametrize(
    ("first", "last", "missing"),  # None: up to the oldest that is held
    [
        (1, 300, (1, None)),
        (1, None, (1, None)),
        (1, 5, (1, 5)),
        (7, 7, (7, 7)),
        (0, 0, (0, 0)),
    ],
)
def test_what_the_ring_dropped_is_named(make, first, last, missing):
    """The subscriber knows exactly which numbers cannot be had any more."""
    bench = make(ticks={"ring_bytes_per_topic": 8192})
    bench.streaming()
    for at in range(1, 301, 10):
        epoch = bench.take(at, 10)
    oldest = bench.terminal().streams["EURUSD"].ring.oldest
    result = replay(bench, epoch, first, last)
    low, high = missing

    assert oldest > 100
    assert [[low, oldest - 1 if high is None else high]] == result["missing"]
    assert list(range(oldest, (last or 300) + 1 if high is None else 0)) == seqs(result)


def test_pages_follow_each_other(make):
    """Each is bounded, ``next`` says where the following one begins."""
    bench = make(limits=LimitSettings(replay_page_bytes=4096))
    bench.streaming()
    epoch = bench.take(1, 123)
    bench.take(124, 77)
    got, first = [], 1
    while first is not None:
        result = replay(bench, epoch, first)

        assert len(msgpack.packb(result["messages"])) <= 4096

        got += seqs(result)
        first = result["next"]

    assert list(range(1, 201)) == got


@pytest.mark.parametrize("topic", [TOPIC, "tick/demo/NOPE", "tick/nope/EURUSD"])
def test_another_epoch_is_missing_as_a_whole(bench, topic):
    """Nothing of it is held, whoever it was."""
    bench.streaming()
    epoch = bench.take(1, 10)
    result = replay(bench, epoch + 1, 3, 9, topic)

    assert ([], [[3, 9]], None) == (result["messages"], result["missing"], result["next"])
    assert [] == replay(bench, epoch + 1, 3, None, topic)["missing"]


def test_status_events_are_replayed(bench):
    """By number, in the epoch of the relay."""
    bench.connected()
    bench.publisher.publish_status("demo", 1, "BUSY", {})
    result = replay(bench, 5, 1, None, "status/demo")

    assert ["LINK_UP", "BUSY"] == [body[3] for body in result["messages"]]


@pytest.mark.parametrize("topic", ["ticks/demo", "sync/abcdefgh", "nonsense", "status/other"])
def test_what_cannot_be_replayed_is_named(bench, topic):
    """With what can be asked for instead."""
    error = bench.error("replay", {"topic": topic, "epoch": 5, "first": 1})

    assert ("NOT_AVAILABLE", "params.topic") == (error["code"], error["field"])
    assert "replay the tick topics" in error["hint"]


def test_a_range_that_ends_before_it_begins(bench):
    """A mistake of the client, named."""
    error = bench.error("replay", {"topic": TOPIC, "epoch": 5, "first": 9, "last": 8})

    assert ("INVALID_REQUEST", "params.last") == (error["code"], error["field"])


def test_replays_are_bounded_in_time(make):
    """One client cannot keep the relay busy; it is told when to come back."""
    bench = make(
        limits=LimitSettings(replay_bytes_per_s_per_client=65_536, replay_page_bytes=65_536)
    )
    bench.streaming()
    for at in range(1, 2_401, 100):
        epoch = bench.take(at, 100)
    for _ in range(2):
        replay(bench, epoch, 1)
    error = bench.error("replay", {"topic": TOPIC, "epoch": epoch, "first": 1})

    assert "TOO_MANY_REQUESTS" == error["code"]
    assert 0 < error["retry_after_ms"] <= 1_100

    # The bucket of this client is refilled by time; that of another one is full.
    bench.router._buckets[next(iter(bench.router._buckets))].at_us -= 1_100_000

    assert seqs(replay(bench, epoch, 1))


def test_the_buckets_of_clients_are_bounded(bench, monkeypatch):
    """A client that comes under ever new names does not fill the memory."""
    monkeypatch.setattr(module, "_CLIENTS_MAX", 3)
    bench.streaming()
    epoch = bench.take(1, 1)
    for _ in range(5):
        client = bench.connect(zmq.DEALER)
        request = {"topic": TOPIC, "epoch": epoch, "first": 1}
        bench.send(msgpack.packb({"id": 1, "method": "replay", "params": request}), client=client)
        client.recv()

    assert 3 == len(bench.router._buckets)
