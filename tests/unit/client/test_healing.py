"""``bridge.client.healing``: when what is asked for, and when no more."""

from __future__ import annotations

import pytest

from bridge.client.core import NOT_HELD, TopicState, epoch_seq
from bridge.client.healing import ATTEMPTS, CHUNK, PATIENCE_S
from tests.support.relay_model import Refusal, RelayModel
from tests.support.wire_model import WireModel

EURUSD = "tick/demo/EURUSD"
NAMES = [f"tick/demo/S{number}" for number in range(10)]


def seqs(wire):
    return [epoch_seq(body)[1] for _, body, _ in wire.items if body is not None]


def ranges(wire):
    return [(gap.first, gap.last) for _, body, gap in wire.items if body is None]


def replays(relay):
    return [
        (params["first"], params.get("last"))
        for method, params in relay.asked
        if method == "replay"
    ]


def joined(relay, *names):
    for name in names:
        relay.publish(name)
    wire = WireModel(relay, *names)
    wire.join()
    wire.deliver(relay.beat())
    wire.items.clear()
    relay.asked.clear()
    return wire


@pytest.fixture
def relay():
    """
    Return a relay that holds everything.
    """
    return RelayModel()


@pytest.fixture
def wire(relay):
    """
    Return a stream of EURUSD, joined behind message 1.
    """
    return joined(relay, EURUSD)


def lose(relay, count, name=EURUSD):
    for _ in range(count):
        relay.publish(name)


def test_a_long_hole_is_asked_for_in_parts(wire, relay):
    lose(relay, 10_000)
    wire.deliver(relay.publish(EURUSD))

    assert [(2, CHUNK + 1), (CHUNK + 2, 2 * CHUNK + 1), (2 * CHUNK + 2, 10_001)] == replays(relay)
    assert list(range(2, 10_003)) == seqs(wire)


def test_pages_are_followed(wire, relay):
    relay.page = 3
    lose(relay, 7)
    wire.deliver(relay.publish(EURUSD))

    assert [(2, 8), (5, 8), (8, 8)] == replays(relay)
    assert list(range(2, 10)) == seqs(wire)


def test_one_replay_a_topic_and_four_at_a_time(relay):
    wire = joined(relay, *NAMES)
    for name in NAMES:
        lose(relay, 1, name)
    wire.held_replies = []
    for _ in range(3):
        for name in NAMES:
            wire.deliver(relay.publish(name))
    first, wire.held_replies = wire.held_replies, None

    assert NAMES[:4] == [ask.params["topic"] for ask in first]
    for ask in first:
        wire.answer(ask)
        wire.settle()
    assert 4 * len(NAMES) == len(seqs(wire))


def test_a_replay_without_an_answer_is_asked_again(wire, relay):
    wire.lose_replies = 2
    lose(relay, 1)
    wire.deliver(relay.publish(EURUSD))
    assert [] == seqs(wire)
    for _ in range(9):
        wire.deliver(relay.beat())
        wire.advance(1.0)

    assert [2, 3] == seqs(wire)
    assert [] == ranges(wire)


def test_a_relay_that_answers_nothing_but_publishes_is_given_up(wire, relay):
    wire.lose_replies = 1_000
    lose(relay, 1)
    wire.deliver(relay.publish(EURUSD))
    for _ in range(60):
        wire.deliver(relay.beat())
        wire.advance(1.0)

    assert [3] == seqs(wire)
    assert [(2, 2)] == ranges(wire)
    assert "no answer" in wire.items[0][2].reason


def test_a_relay_that_is_silent_is_asked_again_without_end(wire, relay):
    wire.lose_replies = 10_000
    lose(relay, 1)
    wire.deliver(relay.publish(EURUSD))
    wire.advance(600.0)
    assert [] == seqs(wire)
    wire.lose_replies = 0
    wire.advance(10.0)

    assert [2, 3] == seqs(wire)
    assert [] == ranges(wire)


def test_a_limit_holds_all_replays_back_for_as_long_as_the_relay_says(relay):
    wire = joined(relay, *NAMES[:2])
    wire.refusals = [Refusal("TOO_MANY_REQUESTS", retry_after_ms=700)]
    for name in NAMES[:2]:
        lose(relay, 1, name)
        wire.deliver(relay.publish(name))
    wire.advance(0.6)
    assert [] == seqs(wire)
    wire.advance(0.2)

    assert [2, 3, 2, 3] == seqs(wire)
    assert [] == ranges(wire)


def test_a_limit_that_never_ends_is_given_up_at_last(wire, relay):
    wire.refusals = [Refusal("TOO_MANY_REQUESTS", retry_after_ms=100) for _ in range(1_000)]
    lose(relay, 1)
    wire.deliver(relay.publish(EURUSD))
    for _ in range(60):
        wire.advance(1.0)
        wire.core.receive(relay.beat(), wire.now)
        wire.settle()

    assert [3] == seqs(wire)
    assert [(2, 2)] == ranges(wire)


def test_what_cannot_be_replayed_is_a_gap_at_once(wire, relay):
    wire.refusals = [Refusal("NOT_AVAILABLE", "this cannot be replayed")]
    lose(relay, 1)
    wire.deliver(relay.publish(EURUSD))

    assert [3] == seqs(wire)
    assert "this cannot be replayed" == wire.items[0][2].reason


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"messages": 1, "missing": [], "next": None},
        {"messages": [1], "missing": [], "next": None},
        {"messages": [], "missing": [[2, 1]], "next": None},
        {"messages": [], "missing": [], "next": "x"},
        {"messages": [[6, 2]], "missing": [], "next": None},
    ],
)
def test_wrong_answers_are_given_up_after_some_attempts(wire, relay, answer):
    relay._replay = lambda _: answer
    lose(relay, 1)
    wire.deliver(relay.publish(EURUSD))
    for _ in range(30):
        wire.deliver(relay.beat())
        wire.advance(1.0)

    assert [3] == seqs(wire)
    assert [(2, 2)] == ranges(wire)
    assert ATTEMPTS == len(replays(relay))


def test_what_the_relay_does_not_have_yet_is_waited_for(wire, relay):
    replay = relay._replay
    relay._replay = lambda _: {"messages": [], "missing": [], "next": None}
    lose(relay, 1)
    wire.deliver(relay.publish(EURUSD))
    for _ in range(int(PATIENCE_S) - 5):
        wire.deliver(relay.beat())
        wire.advance(1.0)
    assert [] == wire.items
    relay._replay = replay
    wire.advance(3.0)

    assert [2, 3] == seqs(wire)
    assert [] == ranges(wire)


def test_but_not_for_ever(wire, relay):
    relay._replay = lambda _: {"messages": [], "missing": [], "next": None}
    lose(relay, 1)
    wire.deliver(relay.publish(EURUSD))
    for _ in range(int(PATIENCE_S) + 30):
        wire.deliver(relay.beat())
        wire.advance(1.0)

    assert [3] == seqs(wire)
    assert [(2, 2)] == ranges(wire)


def test_a_restarted_relay_is_not_believed_before_its_terminal_was_back(wire, relay):
    lose(relay, 2)
    again = relay.restart()
    wire.deliver(relay.beat())
    wire.advance(5.0)
    assert [] == wire.items
    relay.refill(again)
    wire.advance(5.0)

    assert [2, 3] == seqs(wire)
    assert [] == ranges(wire)


def test_nor_as_long_as_the_terminal_is_away(wire, relay):
    lose(relay, 2)
    again = relay.restart()
    topic = relay.topics[EURUSD]
    topic.status = "error"
    topic.error = Refusal("TERMINAL_UNAVAILABLE").error
    for _ in range(int(PATIENCE_S) * 3):
        wire.deliver(relay.beat())
        wire.advance(1.0)
    assert [] == wire.items
    topic.status, topic.error = "ok", None
    relay.refill(again)
    wire.advance(5.0)

    assert [2, 3] == seqs(wire)


def test_but_patience_has_an_end(wire, relay):
    lose(relay, 2)
    relay.restart()
    for _ in range(int(PATIENCE_S) + 5):
        wire.deliver(relay.beat())
        wire.advance(1.0)

    assert [(2, 3)] == ranges(wire)
    assert [] == seqs(wire)


def test_what_was_evicted_is_missing_without_patience(wire, relay):
    relay.ring = 2
    lose(relay, 6)
    wire.deliver(relay.publish(EURUSD))

    assert [7, 8] == seqs(wire)
    assert [(2, 6)] == ranges(wire)
    assert NOT_HELD == wire.items[0][2].reason


def test_a_question_whether_to_believe_it_may_fail(wire, relay):
    lose(relay, 2)
    again = relay.restart()
    relay._snapshot = lambda _: {"topics": None}
    wire.deliver(relay.beat())
    wire.advance(0.5)
    del relay._snapshot
    relay.refill(again)
    wire.advance(5.0)

    assert [2, 3] == seqs(wire)


def test_nothing_is_asked_for_twice_when_it_came_by_itself(wire, relay):
    wire.held_replies = []
    missed = relay.publish(EURUSD)
    wire.deliver(relay.publish(EURUSD))
    wire.deliver(missed)
    assert [2, 3] == seqs(wire)
    [ask], wire.held_replies = wire.held_replies, None
    wire.answer(ask)
    wire.advance(10.0)

    assert [2, 3] == seqs(wire)
    assert 1 == len(replays(relay))
    assert TopicState.LIVE is wire.core.topics[0].state
