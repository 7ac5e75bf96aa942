"""Every request ends in exactly one reply, on the way it came."""

from __future__ import annotations

import json

import msgpack
import pytest
import zmq

from bridge.bus.bodies import read_tick
from bridge.bus.requests import Method
from bridge.exceptions import JournalError
from bridge.relay import router as module
from bridge.relay.terminals import Terminal
from bridge.wire.messages import Request, Subscribe
from bridge.wire.spec import ErrorCode
from tests.support.router_bench import TOPIC, RouterBench
from tests.support.terminal import now_us, tick_of


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


# --- envelopes --------------------------------------------------------------------------------


def test_requests_are_counted(bench):
    """And errors among them; the status shows both."""
    bench.result("ping")
    bench.error("nope")

    assert (4, 1) == (bench.router.requests, bench.router.errors)  # two end the reading


def test_json_is_answered_in_json(bench):
    """With integers beyond 2^53 as text, because most readers have doubles."""
    client = bench.connect(zmq.DEALER)
    bench.router._pong = lambda: {"big": 2**53 + 1, "small": 2**53}
    bench.send(b' {"id": 9007199254740993, "method": "ping"}', client=client)
    reply = json.loads(client.recv())

    assert {"big": "9007199254740993", "small": 2**53} == reply["result"]
    assert "9007199254740993" == reply["id"]


@pytest.mark.parametrize("before", [[], [b""], [b"a", b""], [b"x"] * 6])
def test_what_stands_before_the_body_comes_back(bench, before):
    """REQ, DEALER, and proxies that add frames of their own."""
    client = bench.connect(zmq.DEALER)
    bench.send(*before, msgpack.packb({"id": 1, "method": "ping"}), client=client)
    *frames, body = client.recv_multipart()

    assert before == frames
    assert msgpack.unpackb(body)["ok"]


def test_too_many_frames_are_answered_once(bench):
    """Without an id, because nobody knows which frame would be the body."""
    client = bench.connect(zmq.DEALER)
    bench.send(*[b"x"] * 8, client=client)
    reply = msgpack.unpackb(client.recv_multipart()[-1])

    assert ("INVALID_REQUEST", None) == (reply["error"]["code"], reply["id"])
    assert "9 frames" in reply["error"]["message"]


def test_an_id_that_is_none_comes_back_as_none(bench):
    """What cannot be an id is not echoed."""
    client = bench.connect(zmq.DEALER)
    for body in (b"\xc1", msgpack.packb([1]), msgpack.packb({"id": [1], "method": "ping"})):
        bench.send(body, client=client)
        reply = msgpack.unpackb(client.recv())

        assert (None, False) == (reply["id"], reply["ok"])


def test_a_defect_of_ours_is_one_error_reply(bench, caplog):
    """The client is not left waiting; the log has the traceback."""

    def broken():
        raise RuntimeError("broken")

    bench.router._status = broken
    error = bench.error("status")

    assert ("INTERNAL", "relay") == (error["code"], error["hop"])
    assert caplog.records[0].exc_info is not None


def test_an_unknown_method_is_answered_with_the_known_ones(bench):
    """All of them."""
    error = bench.error("tikc")

    assert ("UNKNOWN_METHOD", "method", "client") == (error["code"], error["field"], error["hop"])
    assert ", ".join(sorted(Method)) in error["hint"]


def test_reading_is_bounded(bench):
    """A flood of requests does not hold the loop."""
    for number in range(5):
        bench.client.send(msgpack.packb({"id": number, "method": "ping"}))
    counts = []
    while sum(counts) < 5:
        assert bench.socket_router.poll(10_000)

        before = bench.router.requests
        more = bench.port.read(bench.router.receive, 2)
        counts.append(bench.router.requests - before)

        assert more == (counts[-1] == 2)

    assert max(counts) <= 2


def test_a_reply_that_nobody_takes_is_dropped(make, caplog):
    """The client is gone; the next one is served."""
    bench = make()
    bench.socket_router.router_mandatory = 1
    bench.router.receive([b"nobody", msgpack.packb({"id": 1, "method": "ping"})])

    assert ["reply dropped"] == [record.getMessage() for record in caplog.records]
    assert bench.ask("ping")["ok"]


# --- snapshot -----------------------------------------------------------------------------------


def snapshot(bench, *topics, wait_ms=0):
    return bench.result("snapshot", {"topics": list(topics), "wait_ms": wait_ms})["topics"]


def test_a_topic_nobody_wanted_is_idle(bench):
    """Nothing is known of it, and that is no error."""
    bench.connected()

    assert [
        {
            "topic": TOPIC,
            "status": "idle",
            "epoch": 0,
            "seq": 0,
            "body": None,
            "oldest_seq": None,
            "error": None,
        }
    ] == snapshot(bench, TOPIC)


def test_a_stream_is_ok_with_its_last_tick(bench):
    """Where its numbers are, what came last, and from where it can be replayed."""
    bench.streaming()
    epoch = bench.take(1, 5)
    (state,) = snapshot(bench, TOPIC)

    assert ("ok", epoch, 5, 1) == (
        state["status"],
        state["epoch"],
        state["seq"],
        state["oldest_seq"],
    )
    assert tick_of(5).time_msc == read_tick(msgpack.packb(state["body"])).time_msc


def test_a_snapshot_waits_for_the_first_tick(bench):
    """Of a stream that is just being started; one reply, when it is there."""
    link = bench.connected()
    bench.terminal().subscribe("EURUSD")
    bench.start("snapshot", {"topics": [TOPIC], "wait_ms": 60_000})
    bench.begin(link)
    bench.router.poll(now_us())

    assert [] == bench.replies()

    bench.take(1, 1)
    bench.router.poll(now_us())
    (reply,) = bench.replies()

    assert "ok" == reply["result"]["topics"][0]["status"]


def test_a_snapshot_that_fails_while_it_waits_gets_its_reply(bench, monkeypatch):
    """As when the journal, which has the trade/ topics, cannot be read any more."""

    def unreadable(names):
        raise JournalError("the record is damaged")

    link = bench.connected()
    bench.terminal().subscribe("EURUSD")
    bench.start("snapshot", {"topics": [TOPIC, "trade/demo"], "wait_ms": 60_000})
    bench.begin(link)
    bench.take(1, 1)
    monkeypatch.setattr(bench.router, "_snapshot", unreadable)
    bench.router.poll(now_us())
    bench.router.poll(now_us())
    (reply,) = bench.replies()

    assert (False, "INTERNAL") == (reply["ok"], reply["error"]["code"])


def test_a_snapshot_waits_no_longer_than_asked(bench):
    """A terminal may take 45 s for its first synchronisation of a symbol."""
    bench.connected()
    bench.publisher._topics.add(TOPIC.encode() + b"\0")
    bench.terminal().subscribe("EURUSD")
    bench.start("snapshot", {"topics": [TOPIC], "wait_ms": 1_000})
    bench.router.poll(now_us() + 900_000)

    assert [] == bench.replies()

    bench.router.poll(now_us() + 1_000_000)
    (reply,) = bench.replies()
    (state,) = reply["result"]["topics"]

    assert ("error", "DEADLINE_EXCEEDED") == (state["status"], state["error"]["code"])


def test_a_snapshot_does_not_wait_for_a_symbol_without_ticks(bench):
    """A stream begins with the latest tick; where none comes at once there is none."""
    link = bench.connected()
    bench.terminal().subscribe("EURUSD")
    bench.begin(link)
    bench.start("snapshot", {"topics": [TOPIC], "wait_ms": 60_000})
    bench.router.poll(now_us() + 400_000)
    (reply,) = bench.replies()
    (state,) = reply["result"]["topics"]

    assert ("ok", 0, None) == (state["status"], state["seq"], state["body"])


def test_without_patience_a_snapshot_answers_at_once(bench):
    """``wait_ms`` 0: the state as it is."""
    bench.connected()
    bench.publisher._topics.add(TOPIC.encode() + b"\0")
    bench.terminal().subscribe("EURUSD")
    (state,) = snapshot(bench, TOPIC)

    assert ("error", "DEADLINE_EXCEEDED") == (state["status"], state["error"]["code"])


def test_the_snapshots_that_wait_are_bounded(bench, monkeypatch):
    """One too many is refused at once."""
    monkeypatch.setattr(module, "_WAITING_SNAPSHOTS_MAX", 1)
    bench.connected()
    bench.terminal().subscribe("EURUSD")
    bench.start("snapshot", {"topics": [TOPIC], "wait_ms": 60_000})

    assert (
        "TOO_MANY_REQUESTS"
        == bench.error("snapshot", {"topics": [TOPIC], "wait_ms": 60_000})["code"]
    )
    assert snapshot(bench, TOPIC)


@pytest.mark.parametrize(
    ("topic", "code"),
    [("tick/nope/EURUSD", "UNKNOWN_TERMINAL"), (TOPIC, "TERMINAL_UNAVAILABLE")],
)
def test_a_topic_that_cannot_stream_says_why(bench, topic, code):
    """No such alias, or the terminal is away."""
    (state,) = snapshot(bench, topic, wait_ms=60_000)

    assert ("error", code) == (state["status"], state["error"]["code"])


def test_the_last_tick_is_known_while_the_terminal_is_away(bench):
    """With the error beside it, so that nobody takes it for a live one."""
    link = bench.streaming()
    epoch = bench.take(1, 5)
    bench.terminal().link_down(link, 0, "gone")
    (state,) = snapshot(bench, TOPIC)

    assert ("error", epoch, 5, 1) == (
        state["status"],
        state["epoch"],
        state["seq"],
        state["oldest_seq"],
    )
    assert state["body"] is not None


def test_a_refused_symbol_is_the_error_of_its_topic(bench):
    """Other topics in the same snapshot are not affected."""
    link = bench.streaming()
    bench.take(1, 1)
    bench.terminal().subscribe("NOPE")
    bench.begin(link, code=int(ErrorCode.UNKNOWN_SYMBOL), text="no symbol NOPE")
    good, bad = snapshot(bench, TOPIC, "tick/demo/NOPE")

    assert "ok" == good["status"]
    assert ("error", "UNKNOWN_SYMBOL", "terminal") == (
        bad["status"],
        bad["error"]["code"],
        bad["error"]["hop"],
    )


def test_asking_for_a_refused_symbol_tries_it_again(bench):
    """When somebody subscribes to it and some time has passed."""
    link = bench.connected()
    bench.terminal().subscribe("NOPE")
    bench.begin(link, code=int(ErrorCode.UNKNOWN_SYMBOL))
    bench.terminal().streams["NOPE"].failed_at_us = now_us() - 3_000_000
    bench.start("snapshot", {"topics": ["tick/demo/NOPE"], "wait_ms": 60_000})

    assert 2 == len(link.sent_of(Subscribe))

    bench.begin(link, symbol_id=3)
    bench.take(1, 1, "NOPE", 3)
    bench.router.poll(now_us())

    assert "ok" == bench.replies()[0]["result"]["topics"][0]["status"]


def test_a_symbol_beyond_the_limit_is_told_so(make):
    """Not that the terminal was slow. When another symbol ends, the next snapshot starts it."""
    bench = make(ticks={"max_streams_per_terminal": 1})
    link = bench.streaming("A")
    bench.publisher._topics.add(b"tick/demo/B\0")
    bench.terminal().subscribe("B")
    (state,) = snapshot(bench, "tick/demo/B", wait_ms=60_000)

    assert ("error", "TOO_MANY_REQUESTS") == (state["status"], state["error"]["code"])

    bench.terminal().unsubscribe("A", 0)
    bench.terminal().end_unused(100_000_000)
    snapshot(bench, "tick/demo/B")

    assert ["A", "B"] == [wanted.symbol for wanted in link.sent_of(Subscribe)]


def test_the_relays_own_topics_have_a_state(bench):
    """Status events are replayable like ticks."""
    bench.connected()
    status, relay = snapshot(bench, "status/demo", "relay")

    assert ("ok", 5, 1, 1) == (
        status["status"],
        status["epoch"],
        status["seq"],
        status["oldest_seq"],
    )
    assert ("ok", 5, 0, None) == (relay["status"], relay["epoch"], relay["seq"], relay["body"])
    assert "idle" == snapshot(bench, "status/nope")[0]["status"]


@pytest.mark.parametrize("topic", ["x", "tick/demo", "tick/demo/", "sync/abcdefgh", "Relay"])
def test_what_is_no_topic_is_named(bench, topic):
    """A barrier has no state either."""
    error = bench.error("snapshot", {"topics": [TOPIC, topic]})

    assert ("INVALID_REQUEST", "params.topics") == (error["code"], error["field"])
    assert repr(topic) in error["message"]


# --- reads that need the terminal --------------------------------------------------------------------


def test_a_streamed_tick_is_answered_from_the_ring(bench):
    """The terminal is not asked for what is here."""
    link = bench.streaming()
    bench.take(1, 5)
    result = bench.result("tick", {"symbol": "EURUSD"})

    assert result["streaming"]
    assert (5, tick_of(5).time_msc) == (result["tick"]["seq"], result["tick"]["time_msc"])
    assert [] == link.sent_of(Request)


@pytest.mark.parametrize("streams", [False, True])
def test_another_tick_is_asked_of_the_terminal(bench, streams):
    """Of a symbol that does not stream, or has no tick yet."""
    link = bench.streaming() if streams else bench.connected()
    bench.start("tick", {"symbol": "EURUSD"})
    bench.answer(link, {"tick": {"bid": 1.5}})
    (reply,) = bench.replies()

    assert {"tick": {"bid": 1.5}, "streaming": False} == reply["result"]


def test_a_tick_from_before_an_outage_is_not_given_as_live(bench):
    """While the terminal is away it is asked, and says so."""
    link = bench.streaming()
    bench.take(1, 5)
    bench.terminal().link_down(link, 0, "gone")

    assert "TERMINAL_UNAVAILABLE" == bench.error("tick", {"symbol": "EURUSD"})["code"]


@pytest.mark.parametrize(
    ("method", "params", "passed"),
    [
        ("symbol", {"symbol": "X"}, {"symbol": "X"}),
        ("symbols", {}, {"group": "*", "offset": 0, "limit": 500}),
        (
            "symbols",
            {"group": "E*", "offset": 5, "limit": 9},
            {"group": "E*", "offset": 5, "limit": 9},
        ),
    ],
)
def test_reads_are_passed_on(bench, method, params, passed):
    """With their defaults spelled out, and answered with what the terminal said."""
    link = bench.connected()
    bench.start(method, params, valid_for_ms=1_000)
    request = link.sent_of(Request)[-1]

    assert (method, passed) == (request.method, request.params)
    assert 0 < request.deadline_us - now_us() <= 1_000_000

    bench.answer(link, {"symbols": [], "total": 0})

    assert [{"symbols": [], "total": 0}] == [reply["result"] for reply in bench.replies()]


def test_an_error_of_the_terminal_names_its_hop(bench):
    """The client sees where it failed."""
    link = bench.connected()
    bench.start("symbol", {"symbol": "NOPE"})
    bench.answer(link, None, code=int(ErrorCode.UNKNOWN_SYMBOL), text="no symbol NOPE")
    (reply,) = bench.replies()

    assert ("UNKNOWN_SYMBOL", "terminal", "no symbol NOPE") == (
        reply["error"]["code"],
        reply["error"]["hop"],
        reply["error"]["message"],
    )


@pytest.mark.parametrize("value", [None, 1, "text", [1]])
def test_an_answer_that_is_no_map_is_the_terminals_error(bench, value):
    """A result is always a map."""
    link = bench.connected()
    bench.start("symbol", {"symbol": "X"})
    bench.answer(link, value)
    (reply,) = bench.replies()

    assert ("TERMINAL_ERROR", "terminal") == (reply["error"]["code"], reply["error"]["hop"])


@pytest.mark.parametrize(
    "value", [{"nan": float("nan")}, {"bin": b"\xff"}, {"deep": [[[[1]]]]}, {"big": 2**64 - 1}]
)
def test_an_odd_answer_still_reaches_a_json_client(bench, value):
    """What JSON cannot carry is written as the specification says."""
    link = bench.connected()
    client = bench.connect(zmq.DEALER)
    bench.send(b'{"id": 1, "method": "symbol", "params": {"symbol": "X"}}', client=client)
    bench.answer(link, value)

    assert json.loads(client.recv())["ok"]


def test_the_terminal_may_be_left_out_when_there_is_one(make):
    """With several it must be named; one that is not configured is named back."""
    bench = make(aliases=("demo", "ftmo1"))
    error = bench.error("symbol", {"symbol": "X"})

    assert ("INVALID_REQUEST", "terminal") == (error["code"], error["field"])
    assert "demo, ftmo1" in error["hint"]

    error = bench.error("symbol", {"symbol": "X"}, terminal="nope")

    assert ("UNKNOWN_TERMINAL", "terminal") == (error["code"], error["field"])
    assert "TERMINAL_UNAVAILABLE" == bench.error("symbol", {"symbol": "X"}, terminal="demo")["code"]


def test_a_nul_in_a_mask_is_one_error_that_names_it(bench):
    """The wire's text has no NUL; the link to the terminal is not harmed."""
    bench.connected()
    error = bench.error("symbols", {"group": "a\0b"})

    assert ("INVALID_REQUEST", "params.group", "client") == (
        error["code"],
        error["field"],
        error["hop"],
    )
    assert 0 == len(bench.terminal().asks)


def test_terminals_are_described(make):
    """All that are configured, connected or not."""
    bench = make(aliases=("demo", "ftmo1"))
    bench.connected()
    found = bench.result("terminals")["terminals"]

    assert [("demo", "connected"), ("ftmo1", "away")] == [
        (terminal["alias"], terminal["state"]) for terminal in found
    ]
    assert Terminal.describe(bench.terminal())["login"] == found[0]["login"]
