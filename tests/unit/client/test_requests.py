"""``bridge.client.requests``: what becomes of a request, at exact times and without sockets."""

from __future__ import annotations

import math
import random
from collections import Counter

import msgpack
import pytest

from bridge.bus.requests import Method
from bridge.client import requests as requests_module
from bridge.client.flows import Inquiry
from bridge.client.replies import MalformedReply
from bridge.client.requests import OpenRequests
from bridge.exceptions import (
    DeadlineExceeded,
    InvalidRequest,
    OrderUnknown,
    RelayUnreachable,
    RequestRefused,
    UnknownSymbol,
)

ENDPOINT = "tcp://127.0.0.1:5556"
READ = Inquiry(Method.SYMBOL, {"symbol": "EURUSD"}, "demo")
NOW = 1000.0


def order(name="1"):
    return Inquiry(Method.ORDER_SEND, {"symbol": "EURUSD"}, "demo", name)


def result(request_id, **fields):
    return msgpack.packb({"v": 1, "id": request_id, "ok": True, "result": fields})


def refusal(request_id, code="NOT_ALLOWED", message="no"):
    error = {"code": code, "hop": "relay", "message": message}
    return msgpack.packb({"v": 1, "id": request_id, "ok": False, "error": error})


class Talk:
    """
    A client's requests and a socket that takes frames while ``relay`` is there.
    """

    def __init__(self):
        self.requests = OpenRequests(ENDPOINT, "me")
        self.now = NOW
        self.relay = True
        self.frames = []
        self.ends = []

    def take(self, frame):
        if self.relay:
            self.frames.append(msgpack.unpackb(frame))
        return self.relay

    def send(self):
        self.requests.send(self.take, self.now)

    def ask(self, inquiry=READ, timeout_s=4.0):
        ends = []
        self.ends.append(ends)
        self.requests.ask(inquiry, timeout_s, ends.append, ends.append, self.now)
        self.send()
        return ends

    def at(self, now):
        """
        Go to a time, the way the engine does: from one deadline to the next.
        """
        while self.requests.deadline <= now:
            self.now = max(self.now, self.requests.deadline)
            self.requests.timer(self.now)
            self.send()
            assert self.requests.deadline > self.now, "the engine would spin"
        self.now = now

    def receive(self, frame):
        self.requests.receive(frame, self.now)

    @property
    def ids(self):
        return [frame["id"] for frame in self.frames]


@pytest.fixture
def talk():
    """
    Return the requests of a client whose relay is there.
    """
    return Talk()


# --- one outcome


def test_a_result_is_told_once_and_nothing_is_left(talk):
    ends = talk.ask()
    talk.receive(result(1, a=1))
    talk.receive(result(1, a=2))
    talk.at(NOW + 100)

    assert [{"a": 1}] == ends
    assert [1] == talk.ids
    assert (0, 0, math.inf) == (len(talk.requests), talk.requests.unsent, talk.requests.deadline)


def test_an_error_of_the_relay_ends_what_only_reads(talk):
    ends = talk.ask()
    talk.receive(refusal(1, "UNKNOWN_SYMBOL"))

    assert [UnknownSymbol] == [type(end) for end in ends]
    assert 0 == len(talk.requests)


def test_what_only_reads_is_asked_twice_and_fails_at_its_deadline(talk):
    """
    The first frame may have gone into a connection that was just ending.
    """
    ends = talk.ask(timeout_s=4.0)
    talk.requests.hear(NOW)

    assert NOW + 1.0 == talk.requests.deadline
    talk.at(NOW + 1.0)
    assert NOW + 4.0 == talk.requests.deadline
    talk.at(NOW + 3.999)
    assert [] == ends
    talk.at(NOW + 4.0)
    assert [DeadlineExceeded] == [type(end) for end in ends]
    assert "did not answer symbol within 4 s" in str(ends[0])
    assert [1, 2] == talk.ids


def test_the_words_for_a_missed_deadline_depend_on_whether_the_relay_was_heard_since(talk):
    talk.requests.hear(NOW - 0.001)
    before = talk.ask(timeout_s=1.0)
    talk.at(NOW + 1)

    assert [RelayUnreachable] == [type(end) for end in before]
    assert f"nothing answered symbol at {ENDPOINT} within 1 s" in str(before[0])

    for sign in (talk.requests.hear, lambda now: talk.requests.receive(b"\xc1", now)):
        since = talk.ask(timeout_s=1.0)
        sign(talk.now)
        talk.at(talk.now + 1)

        assert [DeadlineExceeded] == [type(end) for end in since]


def test_a_reply_to_another_request_is_a_sign_of_life_too(talk):
    mute, answered = talk.ask(timeout_s=1.0), talk.ask(timeout_s=1.0)
    talk.receive(result(2))
    talk.at(NOW + 1)

    assert [{}] == answered
    assert [DeadlineExceeded] == [type(end) for end in mute]


def test_frames_that_are_no_replies_are_counted_and_change_nothing(talk):
    ends = talk.ask()
    for frame in (b"", b"\xc1", msgpack.packb([1]), msgpack.packb({"id": "1"}), b"\x91" * 5000):
        talk.receive(frame)
    talk.receive(result(77))

    assert 5 == talk.requests.malformed
    assert [] == ends
    talk.receive(result(1))
    assert [{}] == ends


def test_a_reply_behind_the_deadline_is_nobodys(talk):
    ends = talk.ask(timeout_s=1.0)
    talk.at(NOW + 1)
    talk.receive(result(1))

    assert [RelayUnreachable] == [type(end) for end in ends]
    assert 0 == talk.requests.malformed


def test_too_many_are_refused_at_once(talk, monkeypatch):
    monkeypatch.setattr(requests_module, "_OPEN_MAX", 2)
    first, second, third = talk.ask(), talk.ask(), talk.ask()

    assert "TOO_MANY_REQUESTS" == third[0].code
    assert [1, 2] == talk.ids
    talk.receive(result(1))
    talk.ask()
    assert ([{}], [], [1, 2, 3]) == (first, second, talk.ids)


# --- what waits for the socket


def test_what_the_socket_does_not_take_waits_in_order(talk):
    talk.relay = False
    for _ in range(3):
        talk.ask()

    assert ([], 3) == (talk.frames, talk.requests.unsent)
    talk.relay = True
    talk.send()
    assert ([1, 2, 3], 0) == (talk.ids, talk.requests.unsent)


def test_a_frame_that_was_not_taken_is_offered_again(talk):
    taken = iter([True, False])
    for _ in range(2):
        talk.requests.ask(READ, 4.0, talk.ends.append, talk.ends.append, NOW)
    talk.requests.send(lambda frame: talk.take(frame) and next(taken), NOW)

    assert 1 == talk.requests.unsent
    talk.send()
    assert [1, 2, 2] == talk.ids


@pytest.mark.parametrize("inquiry", [READ, order()])
def test_what_waited_beyond_its_deadline_is_never_sent(talk, inquiry):
    """
    Not even when the relay is back before anybody was told that it is too late.
    """
    talk.relay = False
    ends = talk.ask(inquiry, timeout_s=1.0)
    talk.relay = True
    talk.now = NOW + 1.0
    talk.send()

    assert ([], []) == (talk.frames, ends)
    talk.at(NOW + 1.0)
    talk.send()
    assert [RelayUnreachable] == [type(end) for end in ends]
    assert ([], 0) == (talk.frames, talk.requests.unsent)


def test_just_before_its_deadline_it_is_sent_and_the_relay_is_told_what_is_left(talk):
    talk.relay = False
    talk.ask(timeout_s=1.0)
    talk.relay = True
    talk.now = NOW + 0.75
    talk.send()

    [frame] = talk.frames
    assert 225 == frame["valid_for_ms"]  # a tenth less, so that the relay answers in time


def test_what_is_given_up_makes_room_for_those_behind_it(talk):
    talk.relay = False
    talk.ask(timeout_s=1.0)
    waiting = talk.ask(timeout_s=9.0)
    talk.at(NOW + 2)

    assert (1, 1) == (len(talk.requests), talk.requests.unsent)
    talk.relay = True
    talk.send()
    talk.receive(result(2))
    assert [{}] == waiting


def test_what_cannot_be_packed_fails_and_holds_nothing_up(talk):
    talk.relay = False
    broken = talk.ask(Inquiry(Method.SYMBOL, {"symbol": "\ud800"}))
    sound = talk.ask()
    talk.relay = True
    talk.send()
    talk.receive(result(2))

    assert [InvalidRequest] == [type(end) for end in broken]
    assert [{}] == sound
    assert 0 == len(talk.requests)


def test_whoever_hears_an_outcome_may_ask_and_send_at_once(talk):
    """
    An outcome is told last: what it makes somebody do must find everything in order.
    """
    follow_up = []

    def failed(_):
        talk.requests.ask(READ, 4.0, follow_up.append, follow_up.append, talk.now)
        talk.send()

    broken = Inquiry(Method.SYMBOL, {"symbol": "\ud800"})
    for inquiry in (broken, broken, READ):
        talk.requests.ask(inquiry, 4.0, failed, failed, NOW)
    talk.send()
    talk.relay = False  # what is asked at the deadlines stays here
    talk.at(NOW + 4)

    # Each broken one led to a question that was sent (4, 5), the end of 3 to one that waits.
    assert [3, 4, 5] == sorted(talk.ids)
    assert [RelayUnreachable] * 2 == [type(end) for end in follow_up]
    assert (1, 1) == (len(talk.requests), talk.requests.unsent)


# --- orders


def test_an_order_without_a_reply_is_asked_again_under_its_ids(talk):
    talk.ask(order("7"), timeout_s=4.0)

    assert NOW + 1.0 == talk.requests.deadline
    talk.at(NOW + 3.5)
    assert [1, 2, 3, 4] == talk.ids
    assert {("me", "7", "order_send", "demo")} == {
        (frame["client_id"], frame["client_order_id"], frame["method"], frame["terminal"])
        for frame in talk.frames
    }
    assert [3750, 2750, 1800, 900] == [frame["valid_for_ms"] for frame in talk.frames]


@pytest.mark.parametrize(("timeout_s", "again_s"), [(0.4, 0.1), (4.0, 1.0), (60.0, 1.0)])
def test_when_an_order_is_asked_again(talk, timeout_s, again_s):
    talk.ask(order(), timeout_s)

    assert NOW + again_s == talk.requests.deadline
    talk.at(NOW + again_s - 0.001)
    assert 1 == len(talk.frames)
    talk.at(NOW + again_s)
    assert 2 == len(talk.frames)


def test_while_the_relay_is_away_a_question_waits_once(talk):
    """
    However long it is away: a queue of the same question would only be a burst later.
    """
    ends = talk.ask(order(), timeout_s=60.0)
    talk.relay = False
    talk.at(NOW + 50)
    assert 1 == talk.requests.unsent
    talk.relay = True
    talk.send()

    assert [1, 2] == talk.ids
    assert NOW + 51 == talk.requests.deadline
    talk.receive(result(1))
    assert [{}] == ends


@pytest.mark.parametrize("answered", [1, 2])
def test_any_answer_is_the_answer(talk, answered):
    ends = talk.ask(order())
    talk.at(NOW + 1)
    talk.receive(result(answered, outcome="DONE"))
    talk.receive(result(3 - answered, outcome="OTHER"))
    talk.at(NOW + 100)

    assert [{"outcome": "DONE"}] == ends
    assert [1, 2] == talk.ids


def test_at_its_deadline_an_order_that_was_sent_is_unknown(talk):
    ends = talk.ask(order("7"), timeout_s=4.0)
    talk.at(NOW + 4)

    [unknown] = ends
    assert isinstance(unknown, OrderUnknown)
    assert ("me", "7", "relay") == (unknown.client_id, unknown.client_order_id, unknown.hop)
    assert "the order may have been executed" in unknown.message
    assert "order_status('7')" in unknown.hint


def test_an_order_that_was_never_sent_is_not_unknown(talk):
    talk.relay = False
    ends = talk.ask(order(), timeout_s=1.0)
    talk.at(NOW + 1)

    assert [RelayUnreachable] == [type(end) for end in ends]


def test_an_error_to_the_only_question_is_the_outcome(talk):
    ends = talk.ask(order())
    talk.receive(refusal(1))

    assert [("NOT_ALLOWED", RequestRefused)] == [(end.code, type(end)) for end in ends]


def test_an_error_proves_nothing_while_another_question_has_no_answer(talk):
    ends = talk.ask(order())
    talk.at(NOW + 1)
    talk.receive(refusal(2, "TOO_MANY_REQUESTS", "later"))

    assert [] == ends
    talk.at(NOW + 4)
    [unknown] = ends
    assert isinstance(unknown, OrderUnknown)
    assert "last heard: later" in unknown.message


def test_errors_to_every_question_are_the_outcome(talk):
    ends = talk.ask(order())
    talk.at(NOW + 1)
    talk.receive(refusal(2))
    talk.receive(refusal(1))

    assert ["NOT_ALLOWED"] == [end.code for end in ends]


def test_a_denial_of_one_question_proves_nothing_while_another_has_no_answer(talk):
    """
    It left no trace at the relay, which takes the other question of this id as the first.
    """
    ends = talk.ask(order())
    talk.at(NOW + 1)
    talk.receive(result(1, outcome="DENIED", reason="TERMINAL_AWAY", tag=""))
    talk.at(NOW + 3)
    assert ([], [1, 2]) == (ends, talk.ids)

    talk.receive(result(2, outcome="DONE", tag="zb1:X"))
    assert ["DONE"] == [end["outcome"] for end in ends]


def test_a_denial_of_every_question_is_the_outcome(talk):
    ends = talk.ask(order())
    talk.at(NOW + 1)
    for request_id in (2, 1):
        talk.receive(result(request_id, outcome="DENIED", reason="TERMINAL_AWAY"))

    assert ["DENIED"] == [end["outcome"] for end in ends]


def test_a_denial_that_the_journal_has_holds_for_every_question(talk):
    ends = talk.ask(order())
    talk.at(NOW + 1)
    talk.receive(result(1, outcome="DENIED", reason="EXPIRED", tag="zb1:X"))

    assert ["DENIED"] == [end["outcome"] for end in ends]


def test_a_denial_beside_a_lost_question_ends_in_unknown_and_says_what_was_heard(talk):
    ends = talk.ask(order())
    talk.at(NOW + 1)
    talk.receive(result(2, outcome="DENIED", reason="TERMINAL_AWAY"))
    talk.at(NOW + 4)

    [unknown] = ends
    assert isinstance(unknown, OrderUnknown)
    assert "last heard: denied (TERMINAL_AWAY)" in unknown.message
    assert [1, 2] == talk.ids


def test_a_question_that_still_waits_for_the_socket_proves_nothing_either_way(talk):
    """
    It was not sent, so an error to all that were is the outcome, and it is never sent.
    """
    ends = talk.ask(order())
    talk.relay = False
    talk.at(NOW + 1)
    talk.receive(refusal(1))
    talk.relay = True
    talk.send()

    assert ["NOT_ALLOWED"] == [end.code for end in ends]
    assert ([1], 0) == (talk.ids, talk.requests.unsent)


@pytest.mark.parametrize(
    "doubt",
    [
        lambda request_id: refusal(request_id, "INTERNAL", "a defect"),
        lambda request_id: msgpack.packb({"v": 1, "id": request_id}),
        lambda request_id: msgpack.packb({"id": request_id, "ok": True, "result": 7}),
        lambda request_id: msgpack.packb({"id": request_id, "ok": False, "error": "no"}),
    ],
    ids=["defect", "neither", "no map", "no error map"],
)
def test_after_a_doubtful_answer_only_a_result_counts(talk, doubt):
    ends = talk.ask(order())
    talk.receive(doubt(1))
    assert [] == ends
    talk.at(NOW + 1)
    talk.receive(refusal(2))

    assert [] == ends
    talk.at(NOW + 2)
    talk.receive(result(3, outcome="DONE"))
    assert [{"outcome": "DONE"}] == ends

    unknown = talk.ask(order("2"))
    talk.receive(doubt(talk.ids[-1]))
    talk.at(talk.now + 4)
    assert [OrderUnknown] == [type(end) for end in unknown]


def test_what_only_reads_fails_with_a_reply_that_cannot_be_read(talk):
    ends = talk.ask()
    talk.receive(msgpack.packb({"v": 1, "id": 1}))

    assert [MalformedReply] == [type(end) for end in ends]


def test_the_same_order_asked_twice_is_two_requests_with_one_name(talk):
    first, second = talk.ask(order("7")), talk.ask(order("7"))
    talk.receive(result(2))

    assert ([], [{}]) == (first, second)
    assert {"7"} == {frame["client_order_id"] for frame in talk.frames}


# --- the end


def test_at_the_end_what_was_sent_is_unknown_if_it_trades_and_failed_if_not(talk):
    error = InvalidRequest("the client is closed", code="CLIENT_CLOSED", hop="client")
    read, sent = talk.ask(), talk.ask(order("1"))
    talk.relay = False
    waiting = talk.ask(order("2"))
    talk.requests.fail_all(error)
    talk.relay = True
    talk.send()
    talk.at(NOW + 100)
    talk.receive(result(2))

    assert [error] == read
    assert [error] == waiting
    assert [("client", "the client is closed; the order may have been executed")] == [
        (end.hop, end.message) for end in sent
    ]
    assert [1, 2] == talk.ids
    assert (0, 0) == (len(talk.requests), talk.requests.unsent)


# --- whatever happens


class AnyNetwork:
    """
    One client, and a relay and a network that do anything to its orders.

    The relay executes an order when a question arrives at it, or refuses it when it did not
    execute it. Questions and answers are lost and delayed; the relay is away and comes back.
    ``wrong`` is what the client was told wrongly, ``seen`` how many orders had which end.
    """

    def __init__(self, seed, orders=150):
        self.rng = random.Random(seed)
        self.talk = Talk()
        self.executed = set()
        self.on_their_way = []
        self.sent = 0
        self.asked = {}
        self.wrong = []
        for number in range(orders):
            self.ask(f"order-{number}")
            self.step()
        while len(self.talk.requests) or self.on_their_way:
            self.step()
        self.seen = Counter(type(end) for _, ends in self.asked.values() for end in ends)
        for name, (_, ends) in self.asked.items():
            self.judge(name, ends)

    def ask(self, name):
        self.talk.relay = self.rng.random() < 0.8
        timeout_s = self.rng.choice([0.2, 1.0, 5.0])
        self.asked[name] = self.talk.now + timeout_s, self.talk.ask(order(name), timeout_s)

    def step(self):
        talk, rng = self.talk, self.rng
        talk.send()
        for request in talk.frames[self.sent :]:
            if talk.now >= self.asked[request["client_order_id"]][0]:
                self.wrong.append(f"{request['client_order_id']} was sent behind its deadline")
            if rng.random() < 0.8:
                self.travel(self.arrive, request, [0.001, 0.05, 2.0])
        self.sent = len(talk.frames)
        talk.now += rng.choice([0.001, 0.02, 0.3])
        due = [one for one in self.on_their_way if one[0] <= talk.now]
        self.on_their_way = [one for one in self.on_their_way if one[0] > talk.now]
        for _, deliver, what in sorted(due, key=lambda one: one[0]):
            deliver(what)
        if talk.now >= talk.requests.deadline:
            talk.requests.timer(talk.now)
        for name, (deadline, ends) in self.asked.items():
            if not ends and talk.now >= deadline:
                self.wrong.append(f"{name} has no outcome at its deadline")

    def travel(self, deliver, what, delays):
        self.on_their_way.append((self.talk.now + self.rng.choice(delays), deliver, what))

    def arrive(self, request):
        name = request["client_order_id"]
        fault = self.rng.choice(
            ["answer", "answer", "lose", "refuse", "refuse", "defect", "garble"]
        )
        if fault != "refuse" and (fault != "defect" or self.rng.random() < 0.5):
            self.executed.add(name)
        reply = {
            "answer": result(request["id"], name=name),
            "lose": None,
            # An order that was executed may be refused all the same: too many questions.
            "refuse": refusal(request["id"]),
            "defect": refusal(request["id"], "INTERNAL"),
            "garble": msgpack.packb({"v": 1, "id": request["id"]}),
        }[fault]
        if reply is not None:
            self.travel(self.talk.receive, reply, [0.001, 0.05, 3.0])

    def judge(self, name, ends):
        if 1 != len(ends):
            self.wrong.append(f"{name} has {len(ends)} outcomes")
        for end in ends:
            if isinstance(end, dict) and (end != {"name": name} or name not in self.executed):
                self.wrong.append(f"{name} was not executed, but is said to be")
            if not isinstance(end, dict | OrderUnknown) and name in self.executed:
                self.wrong.append(f"{name} was executed, but {end!r} says that it was not")


def test_whatever_happens_no_order_is_said_to_be_what_it_is_not(seed):
    seen = Counter()
    for number in range(10):
        run = AnyNetwork(f"{seed}/{number}")
        seen += run.seen

        assert [] == run.wrong
    assert {dict, OrderUnknown, RequestRefused, RelayUnreachable} == set(seen)


def believes_any_error(self, request, error):
    del self, request, error
    return True


def believes_defects(self, request, error):
    del self
    request.error = error
    return not request.unanswered


def forgets_what_was_sent(self, request, error):
    del self, request
    return error


@pytest.mark.parametrize(
    ("name", "ablation"),
    [
        ("_concludes", believes_any_error),
        ("_concludes", believes_defects),
        ("_lost", forgets_what_was_sent),
    ],
)
def test_without_one_of_its_rules_executed_orders_are_said_not_to_be(
    seed, monkeypatch, name, ablation
):
    monkeypatch.setattr(OpenRequests, name, ablation)
    wrong = [one for number in range(10) for one in AnyNetwork(f"{seed}/{number}").wrong]

    assert wrong
    assert all("was executed, but" in one for one in wrong)
