"""``bridge.client.learning``: tails by snapshot, and terminals that are waited for."""

from __future__ import annotations

import pytest

from bridge.client.core import epoch_seq
from bridge.exceptions import UnknownSymbol
from tests.support.relay_model import Refusal, RelayModel
from tests.support.wire_model import WireModel

EURUSD = "tick/demo/EURUSD"
GBPUSD = "tick/demo/GBPUSD"


def seqs(wire):
    return [epoch_seq(body)[1] for _, body, _ in wire.items if body is not None]


def snapshots(relay):
    return [params for method, params in relay.asked if method == "snapshot"]


@pytest.fixture
def relay():
    """
    Return a relay with one message of EURUSD.
    """
    model = RelayModel()
    model.publish(EURUSD)
    return model


@pytest.fixture
def wire(relay):
    """
    Return a stream of EURUSD, joined behind message 1.
    """
    made = WireModel(relay, EURUSD)
    made.join()
    made.deliver(relay.beat())
    made.items.clear()
    relay.asked.clear()
    return made


@pytest.fixture
def away(relay):
    """
    Return a stream of GBPUSD whose terminal is away.
    """
    topic = relay.topic(GBPUSD)
    topic.epoch = 0
    topic.status = "error"
    topic.error = Refusal("TERMINAL_UNAVAILABLE", "not connected", "terminal").error
    made = WireModel(relay, GBPUSD)
    made.join()
    made.deliver(relay.beat())
    relay.asked.clear()
    return made


def jump(wire, relay):
    relay.beat()
    wire.deliver(relay.beat())


def test_a_snapshots_message_that_is_due_is_taken_from_it(wire, relay):
    relay.publish(EURUSD)
    jump(wire, relay)

    assert [2] == seqs(wire)
    assert ["snapshot"] == [method for method, _ in relay.asked]


def test_else_it_is_a_tail(wire, relay):
    relay.publish(EURUSD)
    relay.publish(EURUSD)
    jump(wire, relay)

    assert [2, 3] == seqs(wire)
    assert ["snapshot", "replay"] == [method for method, _ in relay.asked]


def test_asked_again_under_way_it_is_asked_once_more(wire, relay):
    wire.held_replies = []
    jump(wire, relay)
    jump(wire, relay)
    jump(wire, relay)
    held, wire.held_replies = wire.held_replies, None
    assert 1 == len(held)
    relay.publish(EURUSD)
    for ask in held:
        wire.answer(ask)
        wire.settle()

    assert 2 == len(snapshots(relay))
    assert [2] == seqs(wire)


def test_a_snapshot_that_fails_is_asked_for_again(wire, relay):
    relay.publish(EURUSD)
    wire.refusals = [Refusal("TOO_MANY_REQUESTS", retry_after_ms=300), Refusal("INTERNAL")]
    jump(wire, relay)
    assert [] == seqs(wire)
    wire.advance(1.0)

    assert [2] == seqs(wire)


def test_malformed_snapshots_change_nothing(wire, relay):
    relay._snapshot = lambda _: {"topics": [{"topic": 1}]}
    jump(wire, relay)
    relay._snapshot = lambda _: {"topics": [{"topic": "tick/x/Y"}, {"topic": EURUSD, "body": [1]}]}
    jump(wire, relay)
    relay._snapshot = lambda _: {
        "topics": [{"topic": EURUSD, "epoch": 7, "seq": 1, "body": ["x", "y"]}]
    }
    jump(wire, relay)

    assert 1 == wire.core.stats.malformed
    assert [] == seqs(wire)


def test_a_terminal_that_is_away_is_asked_for_less_and_less_often(away, relay):
    for _ in range(40):
        away.deliver(relay.beat())
        away.advance(1.0)

    waits = [params["wait_ms"] for params in snapshots(relay) if params["wait_ms"]]
    assert 8 <= len(waits) <= 12


def test_until_it_is_there(away, relay):
    topic = relay.topic(GBPUSD)
    topic.status, topic.error, topic.epoch = "ok", None, 7
    relay.publish(GBPUSD)  # lost
    away.advance(2.0)
    relay.asked.clear()
    for _ in range(10):
        away.deliver(relay.beat())
        away.advance(1.0)

    assert [1] == seqs(away)
    assert [] == [params for params in snapshots(relay) if params["wait_ms"]]


def test_or_until_it_says_that_there_is_no_such_symbol(away, relay):
    relay.topic(GBPUSD).error = Refusal("UNKNOWN_SYMBOL", "no such symbol", "terminal").error
    away.advance(2.0)

    assert isinstance(away.error, UnknownSymbol)


def test_asking_for_it_may_fail(away, relay):
    topic = relay.topic(GBPUSD)
    away.refusals = [Refusal("INTERNAL")]
    away.advance(1.0)
    assert away.error is None
    topic.status, topic.error, topic.epoch = "ok", None, 7
    relay.publish(GBPUSD)
    away.advance(4.0)

    assert [1] == seqs(away)


def test_more_than_one_request_can_name_take_turns(relay):
    names = [f"tick/demo/S{number}" for number in range(300)]
    for name in names:
        topic = relay.topic(name)
        topic.epoch = 0
        topic.status = "error"
        topic.error = Refusal("DEADLINE_EXCEEDED", "slow", "terminal").error
    wire = WireModel(relay, *names)
    wire.join()
    relay.asked.clear()
    wire.advance(2.0)

    first, second = (params["topics"] for params in snapshots(relay))
    assert names[:256] == first
    assert [*names[256:], *names[:212]] == second
