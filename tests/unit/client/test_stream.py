"""``bridge.client.stream``: joining, running, and what makes a stream fail."""

from __future__ import annotations

import pytest

from bridge.bus.bodies import pack_body
from bridge.bus.topics import exact, sync_topic
from bridge.client.actions import Ask, Connect, Fail, Joined, Subscribe, Unsubscribe
from bridge.client.core import BEGAN_ANEW, epoch_seq
from bridge.client.stream import SILENCE_S, Phase
from bridge.exceptions import (
    DeadlineExceeded,
    InvalidRequest,
    RelayUnreachable,
    RequestRefused,
    TerminalUnavailable,
    UnknownSymbol,
)
from bridge.model.tick import Gap
from tests.support.relay_model import Refusal, RelayModel, tick_body
from tests.support.wire_model import NONCE, WireModel

EURUSD = "tick/demo/EURUSD"
GBPUSD = "tick/demo/GBPUSD"
SYNC = exact(sync_topic(NONCE)) + pack_body(1, 1, 0)


def delivered(wire):
    return [(info.name, *epoch_seq(body)) for info, body, _ in wire.items if body is not None]


def gaps(wire):
    return [gap for _, body, gap in wire.items if body is None]


@pytest.fixture
def relay():
    """
    Return a relay with three messages of EURUSD.
    """
    model = RelayModel()
    for _ in range(3):
        model.publish(EURUSD)
    return model


@pytest.fixture
def wire(relay):
    """
    Return a stream of EURUSD that was joined and has heard the relay once.
    """
    joined = WireModel(relay, EURUSD)
    joined.join()
    joined.deliver(relay.beat())
    relay.asked.clear()
    return joined


# --- joining


def test_topics_are_subscribed_before_the_barrier_and_the_snapshot_is_asked_for_behind_it(relay):
    wire = WireModel(relay, EURUSD, "status/*")
    wire.core.start(0.0)
    [ping] = wire.core.take_actions()
    wire.core.replied(ping.token, relay.answer("ping", {}), 0.0)

    assert [
        Connect("tcp://127.0.0.1:5557"),
        Subscribe(b"tick/demo/EURUSD\0"),
        Subscribe(b"status/"),
        Subscribe(b"relay\0"),
        Subscribe(b"sync/" + NONCE.encode() + b"\0"),
    ] == wire.core.take_actions()

    wire.core.timer(0.0)
    wire.core.timer(0.05)
    assert ["sync", "sync"] == [ask.method for ask in wire.core.take_actions()]

    wire.core.receive(SYNC, 0.06)
    unsubscribe, snapshot = wire.core.take_actions()
    assert Unsubscribe(b"sync/" + NONCE.encode() + b"\0") == unsubscribe
    assert {"topics": [EURUSD], "wait_ms": 2964} == snapshot.params


def test_the_current_value_comes_first_and_then_what_follows(relay):
    wire = WireModel(relay, EURUSD)
    wire.core.start(wire.now)
    wire.settle()
    wire.core.timer(wire.now)
    wire.settle()
    wire.deliver(relay.publish(EURUSD))  # seen before the snapshot is taken
    wire.held_replies = []
    wire.core.receive(SYNC, wire.now)
    wire.settle()
    early = relay.answer("snapshot", {"topics": [EURUSD]})
    wire.deliver(relay.publish(EURUSD))  # seen after it was taken, before it arrives
    assert Phase.SNAPSHOT is wire.core.phase
    wire.core.replied(wire.held_replies[0].token, early, wire.now)
    wire.settle()

    assert [(EURUSD, 7, 4), (EURUSD, 7, 5)] == delivered(wire)
    assert wire.joined


def test_another_clients_barrier_is_not_ours(relay):
    wire = WireModel(relay, "*")
    wire.core.start(wire.now)
    wire.settle()
    wire.core.receive(exact("sync/somebodyelse") + pack_body(1, 1, 0), wire.now)

    assert Phase.BARRIER is wire.core.phase
    assert 0 == wire.core.stats.malformed


def test_without_topics_to_ask_for_a_stream_runs_behind_the_barrier(relay):
    wire = WireModel(relay, "status/*", "relay")
    wire.join()

    assert wire.joined
    assert ["ping", "sync"] == [method for method, _ in relay.asked]


def test_many_topics_are_asked_for_in_several_snapshots(relay):
    names = [f"tick/demo/S{number}" for number in range(600)]
    for name in names:
        relay.publish(name)
    wire = WireModel(relay, *names)
    wire.join()

    asked = [len(params["topics"]) for method, params in relay.asked if method == "snapshot"]
    assert [256, 256, 88] == asked
    assert 600 == len(delivered(wire))
    assert wire.joined


def test_the_relay_is_unreachable(relay):
    wire = WireModel(relay, EURUSD)
    wire.core.start(wire.now)
    [ping] = wire.core.take_actions()
    wire.core.refused(ping.token, RelayUnreachable("nobody there"), wire.now)

    assert isinstance(wire.core.take_actions()[0].error, RelayUnreachable)


def test_another_version_is_refused(relay):
    wire = WireModel(relay, EURUSD)
    wire.core.start(wire.now)
    [ping] = wire.core.take_actions()
    wire.core.replied(ping.token, {"bus_version": 2}, wire.now)

    [fail] = wire.core.take_actions()
    assert isinstance(fail.error, RequestRefused)
    assert "version 2" in str(fail.error)


def test_a_publish_endpoint_that_is_none_is_refused(relay):
    relay.publish_endpoint = "ipc:///tmp/x"
    wire = WireModel(relay, EURUSD)
    wire.join()

    assert "MALFORMED_REPLY" == wire.error.code


def test_a_barrier_that_never_arrives_names_both_endpoints(relay):
    wire = WireModel(relay, EURUSD)
    wire.core.start(wire.now)
    wire.settle()
    wire.advance(6.0)

    assert isinstance(wire.error, DeadlineExceeded)
    assert "nothing arrives from tcp://127.0.0.1:5557 within 5 s" in str(wire.error)


def test_a_refused_barrier_ends_the_stream_only_if_it_can_never_be_had(relay):
    wire = WireModel(relay, EURUSD)
    wire.refusals = [Refusal("SHUTTING_DOWN"), Refusal("SHUTTING_DOWN"), Refusal("INVALID_REQUEST")]
    wire.core.start(wire.now)
    [ping] = wire.core.take_actions()
    wire.core.replied(ping.token, relay.answer("ping", {}), wire.now)
    wire.settle()
    wire.advance(0.07)
    assert wire.error is None
    wire.advance(0.07)

    assert isinstance(wire.error, InvalidRequest)


def test_a_snapshot_that_is_not_answered_is_a_deadline(relay):
    wire = WireModel(relay, EURUSD)
    wire.core.start(wire.now)
    wire.settle()
    wire.core.timer(wire.now)
    wire.settle()
    wire.held_replies = []
    wire.core.receive(SYNC, wire.now)
    wire.settle()
    wire.advance(6.0)

    assert "did not answer snapshot within 5 s" in str(wire.error)


@pytest.mark.parametrize("code", ["SHUTTING_DOWN", "TOO_MANY_REQUESTS", "DEADLINE_EXCEEDED"])
def test_a_snapshot_is_asked_for_again_after_an_error_that_passes(relay, code):
    wire = WireModel(relay, EURUSD)
    wire.core.start(wire.now)
    wire.settle()
    wire.core.timer(wire.now)
    wire.settle()
    wire.refusals = [Refusal(code, retry_after_ms=100)]
    wire.core.receive(SYNC, wire.now)
    wire.settle()
    assert not wire.joined
    wire.advance(0.3)

    assert wire.joined


def test_a_snapshot_that_is_refused_for_good_ends_the_stream(relay):
    wire = WireModel(relay, EURUSD)
    wire.core.start(wire.now)
    wire.settle()
    wire.core.timer(wire.now)
    wire.settle()
    wire.refusals = [Refusal("INTERNAL")]
    wire.core.receive(SYNC, wire.now)
    wire.settle()

    assert "INTERNAL" == wire.error.code


def test_a_malformed_snapshot_ends_the_stream(relay):
    wire = WireModel(relay, EURUSD)
    relay._snapshot = lambda _: {"topics": 1}
    wire.join()

    assert "MALFORMED_REPLY" == wire.error.code


def test_an_unknown_symbol_ends_the_stream_with_the_relays_error(relay):
    topic = relay.topic(GBPUSD)
    topic.status = "error"
    topic.error = Refusal("UNKNOWN_SYMBOL", "no such symbol", "terminal").error
    wire = WireModel(relay, EURUSD, GBPUSD)
    wire.join()

    assert isinstance(wire.error, UnknownSymbol)
    assert Phase.FAILED is wire.core.phase
    assert float("inf") == wire.core.deadline


def test_a_terminal_that_is_away_is_waited_for_and_said(relay):
    topic = relay.topic(GBPUSD)
    topic.status = "error"
    topic.error = Refusal("TERMINAL_UNAVAILABLE", "not connected", "terminal").error
    wire = WireModel(relay, GBPUSD)
    wire.core.start(wire.now)
    wire.settle()
    wire.core.timer(wire.now)
    wire.settle()
    wire.core.receive(SYNC, wire.now)
    [_, ask] = wire.core.take_actions()
    wire.core.replied(ask.token, relay.answer("snapshot", ask.params), wire.now)

    assert [Joined((f"{GBPUSD}: not connected",))] == wire.core.take_actions()


def test_its_ticks_come_as_soon_as_the_terminal_does(relay):
    topic = relay.topic(GBPUSD)
    topic.epoch = 0
    topic.status = "error"
    topic.error = Refusal("TERMINAL_UNAVAILABLE", "not connected", "terminal").error
    wire = WireModel(relay, GBPUSD)
    wire.join()
    topic.status, topic.error, topic.epoch = "ok", None, 7
    wire.deliver(relay.publish(GBPUSD))

    assert wire.joined
    assert [(GBPUSD, 7, 1)] == delivered(wire)


def test_what_came_while_joining_is_delivered_though_the_terminal_is_away_again(relay):
    """The snapshot knows the tick and calls it old; but it is newer than the subscription."""
    wire = WireModel(relay, GBPUSD)
    wire.held_replies = []
    wire.core.start(wire.now)
    wire.settle()
    wire.answer(wire.held_replies.pop(0))
    wire.settle()
    wire.core.timer(wire.now)
    wire.settle()
    wire.deliver(relay.publish(GBPUSD))
    relay.publish(GBPUSD)
    topic = relay.topic(GBPUSD)
    topic.status = "error"
    topic.error = Refusal("TERMINAL_UNAVAILABLE", "not connected", "terminal").error
    wire.held_replies = None
    wire.core.receive(SYNC, wire.now)
    wire.settle()

    assert wire.joined
    assert [(GBPUSD, 7, 1), (GBPUSD, 7, 2)] == delivered(wire)


def test_without_waiting_a_terminal_that_is_away_is_an_error(relay):
    topic = relay.topic(GBPUSD)
    topic.status = "error"
    topic.error = Refusal("TERMINAL_UNAVAILABLE", "not connected", "terminal").error
    wire = WireModel(relay, GBPUSD, wait=False)
    wire.join()

    assert isinstance(wire.error, TerminalUnavailable)


def test_a_relay_that_has_not_read_the_subscription_yet_is_asked_again(relay):
    wire = WireModel(relay, GBPUSD)
    wire.join()
    assert not wire.joined
    relay.publish(GBPUSD)
    wire.advance(0.1)

    assert wire.joined
    assert [(GBPUSD, 7, 1)] == delivered(wire)


def test_and_after_a_second_it_is_believed(relay):
    wire = WireModel(relay, GBPUSD)
    wire.join()
    wire.advance(1.1)

    assert wire.joined


def test_a_restarted_relay_knows_a_number_and_holds_less(relay):
    """The newest is replayed when the terminal has sent it again."""
    wire = WireModel(relay, EURUSD)
    again = relay.restart()
    relay.topics[EURUSD].held = {1: again[EURUSD][1]}
    wire.join()
    assert wire.joined
    assert [] == delivered(wire)
    relay.refill(again)
    wire.advance(1.0)

    assert [(EURUSD, 7, 3)] == delivered(wire)


# --- running


def test_a_lost_message_in_the_middle_is_replayed(wire, relay):
    relay.publish(EURUSD)
    wire.deliver(relay.publish(EURUSD))

    assert [3, 4, 5] == [seq for _, _, seq in delivered(wire)]
    asked = {"topic": EURUSD, "epoch": 7, "first": 4, "last": 4}
    assert [("replay", asked)] == relay.asked


def test_a_lost_tail_is_told_by_the_relay_and_replayed(wire, relay):
    relay.publish(EURUSD)
    wire.deliver(relay.beat())

    assert [3, 4] == [seq for _, _, seq in delivered(wire)]


def test_a_lost_tail_whose_tail_was_lost_is_found_by_the_next(wire, relay):
    relay.publish(EURUSD)
    relay.beat()
    wire.deliver(relay.beat())

    assert [3, 4] == [seq for _, _, seq in delivered(wire)]
    assert "snapshot" == relay.asked[0][0]


def test_the_first_message_of_the_relay_is_not_trusted(relay):
    wire = WireModel(relay, EURUSD)
    wire.join()
    relay.publish(EURUSD)
    relay.beat()
    wire.deliver(relay.beat())

    assert [3, 4] == [seq for _, _, seq in delivered(wire)]


def test_a_silent_relay_is_asked_for_the_tails(wire, relay):
    relay.publish(EURUSD)
    wire.advance(SILENCE_S + 0.1)

    assert [3, 4] == [seq for _, _, seq in delivered(wire)]
    assert {"snapshot", "ping"} == {method for method, _ in relay.asked}


def test_a_relay_that_publishes_elsewhere_by_now_is_followed(wire, relay):
    relay.publish_endpoint = "tcp://127.0.0.1:6000"
    wire.advance(SILENCE_S + 0.1)

    assert ["tcp://127.0.0.1:5557", "tcp://127.0.0.1:6000"] == wire.connected


def test_a_subscriber_that_stays_silent_while_requests_are_answered_dials_again(wire):
    wire.advance(3 * SILENCE_S + 0.1)

    assert ["tcp://127.0.0.1:5557"] * 2 == wire.connected


def test_a_relay_that_cannot_say_where_it_publishes_changes_nothing(wire, relay):
    relay.publish_endpoint = "nowhere"
    wire.advance(SILENCE_S + 0.1)

    assert 1 == len(wire.connected)
    assert 1 == wire.core.stats.malformed


def test_a_restarted_relay_is_asked_for_the_tails(wire, relay):
    again = relay.restart()
    relay.refill(again)
    relay.publish(EURUSD)
    relay.beat()
    wire.deliver(relay.beat())

    assert [3, 4] == [seq for _, _, seq in delivered(wire)]


def test_a_relay_whose_epochs_begin_anew_is_believed(wire, relay):
    relay.epoch = 5
    relay.relay_seq = 0
    topic = relay.topics[EURUSD]
    topic.epoch, topic.seq = 2, 0
    topic.held.clear()
    wire.deliver(relay.beat())
    wire.deliver(relay.publish(EURUSD))

    assert [(EURUSD, 7, 3), (EURUSD, 2, 1)] == delivered(wire)
    assert [Gap(EURUSD, 7, 4, None, BEGAN_ANEW)] == gaps(wire)


def test_while_paused_nothing_is_asked_for(wire, relay):
    wire.core.pause()
    relay.publish(EURUSD)
    wire.deliver(relay.publish(EURUSD))
    wire.advance(60.0)
    assert [] == relay.asked
    wire.core.resume(wire.now)
    wire.settle()

    assert [3, 4, 5] == [seq for _, _, seq in delivered(wire)]


def test_pausing_before_it_runs_is_remembered(relay):
    wire = WireModel(relay, EURUSD)
    wire.core.pause()
    wire.join()
    wire.advance(60.0)
    assert ["ping", "sync", "snapshot"] == [method for method, _ in relay.asked]
    wire.core.resume(wire.now)
    wire.advance(SILENCE_S + 0.1)

    assert "ping" == relay.asked[-1][0]


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"tick/demo/EURUSD",
        b"tick/demo/EURUSD\0",
        b"tick/demo/EURUSD\0\xc0",
        b"relay\0\x90",
        b"relay\0\x94\x01\x02\x03\x91\x01",
        b"relay\0" + b"\x94\x01\x02\x03\xc0",
    ],
)
def test_malformed_frames_are_counted_and_dropped(wire, relay, frame):
    wire.core.receive(frame, wire.now)
    wire.settle()
    wire.deliver(relay.publish(EURUSD))

    assert 1 == wire.core.stats.malformed
    assert [3, 4] == [seq for _, _, seq in delivered(wire)]


def test_a_tick_in_another_msgpack_form_is_taken(wire):
    body = pack_body(7, 4, 1_600_000_000_000, 1.0, 2.0, 0.0, 0.0, 6, 120)
    wire.deliver(exact(EURUSD) + body)

    assert [3, 4] == [seq for _, _, seq in delivered(wire)]


@pytest.mark.parametrize("epoch", [6, 8])
def test_the_number_that_is_due_in_another_epoch_is_another_message(wire, relay, epoch):
    wire.deliver(relay.publish(EURUSD))
    assert wire.core.topics[0].steady
    wire.held_replies = []
    wire.core.receive(exact(EURUSD) + tick_body(epoch, 5), wire.now)
    wire.settle()

    assert [(EURUSD, 7, 3), (EURUSD, 7, 4)] == delivered(wire)


@pytest.mark.parametrize("offset", [0, 1, 6])
def test_a_body_of_a_ticks_length_with_other_markers_is_read_as_msgpack(wire, relay, offset):
    wire.deliver(relay.publish(EURUSD))
    body = bytearray(tick_body(7, 5))
    body[offset] = 0xC0
    wire.core.receive(exact(EURUSD) + bytes(body), wire.now)
    wire.settle()

    assert [(EURUSD, 7, 3), (EURUSD, 7, 4)] == delivered(wire)
    assert 1 == wire.core.stats.malformed


# --- prefixes and the relay itself


def test_a_prefix_begins_with_the_first_message_of_each_topic(relay):
    wire = WireModel(relay, "tick/demo/*")
    wire.join()
    wire.deliver(relay.beat())
    wire.deliver(relay.publish(GBPUSD))
    relay.publish(GBPUSD)
    wire.deliver(relay.publish(GBPUSD))
    wire.deliver(relay.publish("status/demo"))

    assert [(GBPUSD, 7, 1), (GBPUSD, 7, 2), (GBPUSD, 7, 3)] == delivered(wire)


def test_a_topic_of_a_prefix_whose_only_message_was_lost_is_found_by_its_tail(relay):
    wire = WireModel(relay, "tick/demo/*")
    wire.join()
    wire.deliver(relay.beat())
    relay.publish(GBPUSD)
    wire.deliver(relay.beat())

    assert [(GBPUSD, 7, 1)] == delivered(wire)


def test_what_moved_before_the_prefix_was_subscribed_is_not_ours(relay):
    wire = WireModel(relay, "tick/demo/*")
    wire.join()
    wire.deliver(relay.beat())  # tells of EURUSD

    assert [] == delivered(wire)


def test_topics_of_a_newer_relay_are_delivered_and_never_asked_for(relay):
    wire = WireModel(relay, "*")
    wire.join()
    wire.core.receive(exact("weather/demo/rain") + pack_body(1, 1, 0), wire.now)
    wire.deliver(relay.beat())
    wire.settle()

    assert ("weather/demo/rain", 1, 1) in delivered(wire)
    asked = [params["topics"] for method, params in relay.asked if method == "snapshot"]
    assert all("weather/demo/rain" not in topics for topics in asked)


def test_a_prefix_that_finds_too_much_ends_the_stream(relay, monkeypatch):
    monkeypatch.setattr("bridge.client.subscriptions.TOPICS_MAX", 2)
    wire = WireModel(relay, "tick/*")
    wire.join()
    for number in range(3):
        wire.deliver(relay.publish(f"tick/demo/S{number}"))

    assert "more than" in str(wire.error)
    assert 2 == len(delivered(wire))


def test_a_name_that_is_no_text_is_dropped(relay):
    wire = WireModel(relay, "*")
    wire.join()
    wire.core.receive(b"\xff\xff\0" + pack_body(1, 1, 0), wire.now)

    assert 1 == wire.core.stats.malformed


def test_the_relays_own_topic_is_delivered_when_asked_for_and_its_losses_told(relay):
    wire = WireModel(relay, "relay")
    wire.join()
    wire.deliver(relay.beat())
    relay.beat()
    wire.deliver(relay.beat())
    relay.restart()
    wire.deliver(relay.beat())

    assert [("relay", 100, 1), ("relay", 100, 3), ("relay", 101, 1)] == delivered(wire)
    told = [(gap.epoch, gap.first, gap.last) for gap in gaps(wire)]
    assert [(100, 2, 2), (100, 4, None)] == told


def test_nothing_happens_to_a_stream_that_failed(wire, relay):
    wire.core.start(wire.now)
    [ping] = wire.core.take_actions()
    wire.core.refused(ping.token, RelayUnreachable("gone"), wire.now)
    [fail] = wire.core.take_actions()
    wire.core.receive(exact("relay") + b"\xc0", wire.now)
    wire.core.timer(wire.now + 100)
    wire.core.resume(wire.now)

    assert isinstance(fail, Fail)
    assert not [action for action in wire.core.take_actions() if isinstance(action, Ask)]
    assert 0 == wire.core.stats.malformed


def test_outcomes_that_come_after_the_failure_are_taken_without_effect(relay):
    wire = WireModel(relay, EURUSD)
    wire.held_replies = []
    wire.join()
    [ping] = wire.held_replies
    wire.advance(6.0)
    wire.core.replied(ping.token, {}, wire.now)

    assert isinstance(wire.error, DeadlineExceeded)
    assert "did not answer ping" in str(wire.error)
