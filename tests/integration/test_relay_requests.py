"""Requests over real sockets: every one ends in exactly one reply, whoever sent what."""

from __future__ import annotations

import json
import random
import time

import msgpack
import pytest
import zmq

from bridge.bus.bodies import read_tick
from bridge.wire.messages import Request, Subscribe
from tests.support.relay import RelayThread, make_settings
from tests.support.subscriber import Asker, Subscriber
from tests.support.terminal import ScriptedTerminal, SteadyTerminal, tick_of

TOPIC = "tick/demo/EURUSD"
FUZZ_INPUTS = 5_000


class Served:
    """
    A relay with a terminal that streams, and sockets of all kinds to ask it.
    """

    def __init__(self, relay, terminal, context):
        self.relay = relay
        self.terminal = terminal
        self.context = context
        self.endpoints = relay.endpoints
        self.asker = Asker(context, relay.endpoints.request)
        self._sockets = []

    def connect(self, kind, **options):
        socket = self.context.socket(kind)
        socket.linger = 0
        socket.rcvtimeo = 20_000
        for name, value in options.items():
            setattr(socket, name, value)
        socket.connect(self.endpoints.request)
        self._sockets.append(socket)
        return socket

    def subscribe(self, *topics, **options):
        subscriber = Subscriber(self.context, self.endpoints.publish, *topics, **options)
        self._sockets.append(subscriber)
        return subscriber

    def stream(self, count=10):
        """
        Let EURUSD stream; return the epoch and the subscriber.
        """
        subscriber = self.subscribe(TOPIC)
        self.terminal.release("EURUSD", count)
        (*_, (_, body)) = subscriber.until(lambda _, body: read_tick(body).seq >= count)
        return read_tick(body).epoch, subscriber

    def close(self):
        for socket in (*self._sockets, self.asker):
            socket.close()


@pytest.fixture
def serve(tmp_path):
    context = zmq.Context()
    made = []

    def make(**options):
        settings, keys = make_settings(tmp_path, **options)
        relay = RelayThread(settings).start()
        made.append(relay)
        terminal = SteadyTerminal(
            relay.endpoints.terminal, keys["demo"], symbols=("EURUSD", "USDJPY")
        ).start()
        made.append(terminal)
        served = Served(relay, terminal, context)
        made.append(served)
        return served

    yield make
    for one in reversed(made):
        (one.close if isinstance(one, Served) else one.stop)()
    context.destroy(0)


@pytest.fixture
def served(serve):
    return serve()


# --- methods ------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["msgpack", "json"])
def test_every_method_answers(served, encoding):
    """The whole surface, in both encodings, over one REQ."""
    epoch, _ = served.stream()
    req = served.connect(zmq.REQ)

    def ask(method, **params):
        request = {"id": method, "method": method, "params": params, "terminal": "demo"}
        pack, unpack = (
            (msgpack.packb, msgpack.unpackb)
            if encoding == "msgpack"
            else (lambda value: json.dumps(value).encode(), json.loads)
        )
        req.send(pack(request))
        reply = unpack(req.recv())

        assert (1, method, True) == (reply["v"], reply["id"], reply["ok"]), reply

        return reply["result"]

    assert served.endpoints.publish == ask("ping")["publish"]
    assert 10 == ask("status")["published"]
    assert ["connected"] == [one["state"] for one in ask("terminals")["terminals"]]
    assert ["EURUSD", "USDJPY"] == ask("symbols")["symbols"]
    assert {"name": "USDJPY"} == ask("symbol", symbol="USDJPY")["symbol"]
    assert (True, 10) == (
        ask("tick", symbol="EURUSD")["streaming"],
        ask("tick", symbol="EURUSD")["tick"]["seq"],
    )
    assert not ask("tick", symbol="USDJPY")["streaming"]
    assert {} == ask("sync", nonce="abcdefgh")
    assert [("ok", epoch, 10)] == [
        (one["status"], one["epoch"], one["seq"])
        for one in ask("snapshot", topics=[TOPIC])["topics"]
    ]
    replayed = ask("replay", topic=TOPIC, epoch=epoch, first=3, last=7)
    assert [3, 4, 5, 6, 7] == [body[1] for body in replayed["messages"]]
    assert tick_of(3).time_msc == replayed["messages"][0][2]


def test_a_plain_dealer_is_answered_without_a_delimiter(served):
    """What stood before the body stands before the reply, and nothing else."""
    dealer = served.connect(zmq.DEALER)
    body = msgpack.packb({"id": 1, "method": "ping"})
    dealer.send_multipart([body])
    plain = dealer.recv_multipart()
    dealer.send_multipart([b"", body])
    delimited = dealer.recv_multipart()

    assert (1, 2) == (len(plain), len(delimited))
    assert b"" == delimited[0]


def test_a_relaxed_and_correlated_req_survives_a_lost_reply(serve):
    """REQ_RELAXED with REQ_CORRELATE puts a number before the body; it comes back."""
    served = serve()
    req = served.connect(zmq.REQ, req_relaxed=1, req_correlate=1)
    for number in range(5):
        # Asked again without waiting for the answer to the one before.
        req.send(msgpack.packb({"id": number, "method": "ping"}))

    assert 4 == msgpack.unpackb(req.recv())["id"]
    assert not req.poll(0)


def test_requests_of_many_clients_do_not_mix(served):
    """Each reply finds its way, whatever the order of the answers."""
    dealers = [served.connect(zmq.DEALER) for _ in range(20)]
    methods = ("ping", "symbols", "status", "terminals")
    for number in range(20):
        for place, dealer in enumerate(dealers):
            request = {"id": f"{place}/{number}", "method": methods[(place + number) % 4]}
            dealer.send(msgpack.packb(request))
    for place, dealer in enumerate(dealers):
        replies = [msgpack.unpackb(dealer.recv()) for _ in range(20)]

        assert {f"{place}/{number}" for number in range(20)} == {reply["id"] for reply in replies}
        assert all(reply["ok"] for reply in replies)
        assert not dealer.poll(0)


# --- hostile requests -------------------------------------------------------------------------------


def nested(depth):
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


def packed(**fields):
    return msgpack.packb({"id": 1, "method": "ping", **fields})


HOSTILE = {
    "empty": (b"", "INVALID_REQUEST", ""),
    "text": (b"hello relay", "INVALID_REQUEST", ""),
    "reserved byte": (b"\xc1", "INVALID_REQUEST", ""),
    "cut msgpack": (packed()[:-1], "INVALID_REQUEST", ""),
    "cut JSON": (b'{"id": 1, "method": "ping"', "INVALID_REQUEST", ""),
    "two values": (packed() + packed(), "INVALID_REQUEST", ""),
    "an array": (msgpack.packb([1, 2]), "INVALID_REQUEST", ""),
    "a JSON array": (b"[1]", "INVALID_REQUEST", ""),
    "a number": (b"\x05", "INVALID_REQUEST", ""),
    "too deep": (packed(params=nested(40)), "INVALID_REQUEST", ""),
    "far too deep": (b"\x91" * 60_000 + b"\x01", "INVALID_REQUEST", ""),
    "far too deep in JSON": (b"[" * 30_000 + b"]" * 30_000, "INVALID_REQUEST", ""),
    "announces a billion": (b"\xdd\x3f\xff\xff\xff\x01", "INVALID_REQUEST", ""),
    "a key twice": (b'{"id": 1, "id": 2, "method": "ping"}', "INVALID_REQUEST", ""),
    "a key that is a number": (msgpack.packb({1: 2}), "INVALID_REQUEST", ""),
    "an extension": (packed(params=msgpack.ExtType(5, b"x")), "INVALID_REQUEST", ""),
    "NaN": (packed(params={"x": float("nan")}), "INVALID_REQUEST", ""),
    "NaN in JSON": (b'{"id": NaN, "method": "ping"}', "INVALID_REQUEST", ""),
    "half a surrogate pair": (b'{"id": "\\ud800", "method": "ping"}', "INVALID_REQUEST", ""),
    "bytes that are no text": (b'{"id": "\xff", "method": "ping"}', "INVALID_REQUEST", ""),
    "a huge number": (b'{"id": 1' + b"0" * 5_000 + b', "method": "ping"}', "INVALID_REQUEST", ""),
    "no id": (msgpack.packb({"method": "ping"}), "INVALID_REQUEST", "id"),
    "id of nothing": (packed(id=""), "INVALID_REQUEST", "id"),
    "id too long": (packed(id="x" * 65), "INVALID_REQUEST", "id"),
    "id that is negative": (packed(id=-1), "INVALID_REQUEST", "id"),
    "id that is true": (packed(id=True), "INVALID_REQUEST", "id"),
    "id that is a fraction": (packed(id=1.5), "INVALID_REQUEST", "id"),
    "id that is a map": (packed(id={"a": 1}), "INVALID_REQUEST", "id"),
    "no method": (msgpack.packb({"id": 1}), "INVALID_REQUEST", "method"),
    "method of a wrong type": (packed(method=5), "INVALID_REQUEST", "method"),
    "an unknown method": (packed(method="order"), "UNKNOWN_METHOD", "method"),
    "an unknown field": (packed(symbl="X"), "INVALID_REQUEST", "symbl"),
    "params of a wrong type": (packed(params=[1]), "INVALID_REQUEST", "params"),
    "a parameter too many": (packed(params={"a": 1}), "INVALID_REQUEST", "params.a"),
    "a terminal that is none": (packed(terminal="A B"), "INVALID_REQUEST", "terminal"),
    "an unknown terminal": (
        packed(method="symbols", terminal="nope"),
        "UNKNOWN_TERMINAL",
        "terminal",
    ),
    "no symbol": (packed(method="symbol"), "INVALID_REQUEST", "params.symbol"),
    "a symbol that is empty": (
        packed(method="symbol", params={"symbol": ""}),
        "INVALID_REQUEST",
        "params.symbol",
    ),
    "a symbol with a NUL": (
        packed(method="tick", params={"symbol": "A\0B"}),
        "INVALID_REQUEST",
        "params.symbol",
    ),
    "an unknown symbol": (packed(method="symbol", params={"symbol": "NOPE"}), "UNKNOWN_SYMBOL", ""),
    "a limit out of range": (
        packed(method="symbols", params={"limit": 1_001}),
        "INVALID_REQUEST",
        "params.limit",
    ),
    "a mask with a NUL": (
        packed(method="symbols", params={"group": "\0"}),
        "INVALID_REQUEST",
        "params.group",
    ),
    "patience beyond all bounds": (packed(valid_for_ms=10**9), "INVALID_REQUEST", "valid_for_ms"),
    "no topics": (packed(method="snapshot"), "INVALID_REQUEST", "params.topics"),
    "no topic": (
        packed(method="snapshot", params={"topics": []}),
        "INVALID_REQUEST",
        "params.topics",
    ),
    "too many topics": (
        packed(method="snapshot", params={"topics": ["relay"] * 257}),
        "INVALID_REQUEST",
        "params.topics",
    ),
    "a topic that is none": (
        packed(method="snapshot", params={"topics": ["nonsense"]}),
        "INVALID_REQUEST",
        "params.topics",
    ),
    "a barrier with a short nonce": (
        packed(method="sync", params={"nonce": "short"}),
        "INVALID_REQUEST",
        "params.nonce",
    ),
    "a replay of everything": (
        packed(method="replay", params={"topic": "", "epoch": 1, "first": 1}),
        "INVALID_REQUEST",
        "params.topic",
    ),
    "a replay from a negative number": (
        packed(method="replay", params={"topic": TOPIC, "epoch": 1, "first": -1}),
        "INVALID_REQUEST",
        "params.first",
    ),
    "a replay of what has no ring": (
        packed(method="replay", params={"topic": "ticks/demo", "epoch": 1, "first": 1}),
        "NOT_AVAILABLE",
        "params.topic",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_request_is_one_error_that_names_the_field(served, name):
    """Nothing else happens: the relay answers the next one."""
    body, code, field = HOSTILE[name]
    dealer = served.connect(zmq.DEALER)
    dealer.send(body)
    data = dealer.recv()
    reply = json.loads(data) if data[:1] == b"{" else msgpack.unpackb(data)

    assert not reply["ok"]
    assert (code, field) == (reply["error"]["code"], reply["error"]["field"])
    assert reply["error"]["message"]

    dealer.send(packed(id="next"))

    assert "next" == msgpack.unpackb(dealer.recv())["id"]


@pytest.mark.parametrize("frames", [8, 9, 50])
def test_too_many_frames_are_one_error(served, frames):
    """Nobody needs more than a few hops before the body."""
    dealer = served.connect(zmq.DEALER)
    dealer.send_multipart([b"x"] * frames)
    reply = msgpack.unpackb(dealer.recv_multipart()[-1])

    assert f"{frames + 1} frames" in reply["error"]["message"]

    dealer.send(packed(id="next"))

    assert "next" == msgpack.unpackb(dealer.recv())["id"]


def test_an_oversized_request_cuts_only_its_sender(served):
    """It is refused before it is read; everybody else is served, and so is its reconnection."""
    epoch, subscriber = served.stream()
    other = served.connect(zmq.DEALER)
    rude = served.connect(zmq.DEALER, reconnect_ivl=10)
    monitor = rude.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    try:
        rude.send(b"x" * 70_000)

        assert monitor.poll(20_000)

        other.send(packed(id=1))

        assert msgpack.unpackb(other.recv())["ok"]

        rude.send(packed(id="back"))

        assert "back" == msgpack.unpackb(rude.recv())["id"]
    finally:
        rude.disable_monitor()
        monitor.close()
    served.terminal.release("EURUSD")

    assert (epoch, 11) == read_tick(subscriber.receive()[1])[:2]


def mutations(rng):
    """
    Requests that were valid once: bytes changed, cut, doubled, inserted; or only noise.
    """
    base = [
        packed(),
        packed(method="symbol", params={"symbol": "EURUSD"}),
        packed(method="replay", params={"topic": TOPIC, "epoch": 7, "first": 1, "last": 5}),
        packed(method="snapshot", params={"topics": [TOPIC], "wait_ms": 0}),
        packed(method="sync", params={"nonce": "abcdefgh"}),
        b'{"id": 1, "method": "tick", "params": {"symbol": "EURUSD"}}',
        b'{"id": "a", "method": "snapshot", "params": {"topics": ["relay"], "wait_ms": 0}}',
        b'{"id": 2, "method": "symbols", "terminal": "demo", "valid_for_ms": 500}',
    ]
    while True:
        data = bytearray(rng.choice(base))
        kind = rng.randrange(6)
        if kind == 0:
            data = bytearray(rng.randbytes(rng.randrange(1, 200)))
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data) + 1)
            if kind == 1:
                data[at : at + 1] = rng.randbytes(1)
            elif kind == 2:
                data[at:at] = rng.randbytes(rng.randint(1, 4))
            elif kind == 3:
                del data[at : at + rng.randint(1, 8)]
            elif kind == 4:
                data[at:at] = data[: rng.randrange(len(data) + 1)]
            elif kind == 5 and data:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        yield bytes(data)


@pytest.mark.slow
def test_thousands_of_random_requests_have_as_many_replies(served, rng, caplog):
    """Not one without an answer, not one with two, none that is our defect."""
    epoch, subscriber = served.stream()
    dealer = served.connect(zmq.DEALER, sndhwm=0, rcvhwm=0)
    source = mutations(rng)
    sent, got = 0, 0
    internal = []
    while got < FUZZ_INPUTS:
        while sent < min(got + 200, FUZZ_INPUTS):
            dealer.send(next(source))
            sent += 1
        data = dealer.recv()
        got += 1
        reply = json.loads(data) if data[:1] == b"{" else msgpack.unpackb(data)

        assert reply["ok"] == ("result" in reply) != ("error" in reply)

        if not reply["ok"] and reply["error"]["code"] == "INTERNAL":
            internal.append(reply)
    dealer.send(packed(id="the end"))

    assert "the end" == msgpack.unpackb(dealer.recv())["id"]
    assert [] == internal
    assert [] == [record.getMessage() for record in caplog.records if record.exc_info]

    served.terminal.release("EURUSD")

    assert (epoch, 11) == read_tick(subscriber.receive()[1])[:2]


# --- replays -----------------------------------------------------------------------------------------


def replay_all(asker, topic, epoch, first=1):
    """
    Replay page by page, with the patience that the relay asks for.
    """
    messages, missing, refusals = [], [], 0
    while first is not None:
        params = {"topic": topic, "epoch": epoch, "first": first}
        reply = asker.reply(asker.start("replay", params))
        if not reply["ok"]:
            assert "TOO_MANY_REQUESTS" == reply["error"]["code"], reply

            refusals += 1
            again = time.monotonic() + reply["error"]["retry_after_ms"] / 1000
            while time.monotonic() < again:
                asker.ask("ping")
            continue
        messages += reply["result"]["messages"]
        missing += reply["result"]["missing"]
        first = reply["result"]["next"]
    return messages, missing, refusals


def test_a_long_replay_comes_in_pages(serve):
    """In order, without a hole, each page within its bound."""
    served = serve(limits={"replay_page_bytes": 8_192})
    epoch, _ = served.stream(5_000)
    messages, missing, refusals = replay_all(served.asker, TOPIC, epoch)

    assert list(range(1, 5_001)) == [body[1] for body in messages]
    assert ([], 0) == (missing, refusals)


def test_a_client_that_replays_much_is_slowed_down(serve):
    """It is told for how long to wait, and gets everything in the end; others do not wait."""
    served = serve(limits={"replay_page_bytes": 65_536, "replay_bytes_per_s_per_client": 262_144})
    epoch, _ = served.stream(6_000)
    messages, missing, refusals = replay_all(served.asker, TOPIC, epoch)

    assert list(range(1, 6_001)) == [body[1] for body in messages]
    assert [] == missing
    assert refusals > 0

    other = Asker(served.context, served.endpoints.request)
    try:
        assert len(other.ask("replay", {"topic": TOPIC, "epoch": epoch, "first": 1})["messages"])
    finally:
        other.close()


def test_what_the_ring_lost_is_told(serve):
    """The rest is replayed: together everything is accounted for."""
    served = serve(ticks={"ring_bytes_per_topic": 65_536})
    epoch, _ = served.stream(5_000)
    messages, missing, _ = replay_all(served.asker, TOPIC, epoch)
    ((low, high),) = missing

    assert 1 == low
    assert list(range(high + 1, 5_001)) == [body[1] for body in messages]
    assert 300 < len(messages) < 1_000


# --- the terminal's part -----------------------------------------------------------------------------


@pytest.fixture
def scripted(tmp_path):
    """
    A relay, a terminal that the test plays, and an asker.
    """
    settings, keys = make_settings(tmp_path)
    context = zmq.Context()
    with (
        RelayThread(settings) as relay,
        ScriptedTerminal(relay.endpoints.terminal, keys["demo"]) as terminal,
    ):
        terminal.log_on()
        asker = Asker(context, relay.endpoints.request)
        yield relay, terminal, asker
        asker.close()
    context.destroy(0)


def test_a_terminal_that_is_away_is_said_at_once(tmp_path):
    """Which hop failed, and what to do."""
    settings, _ = make_settings(tmp_path)
    context = zmq.Context()
    with RelayThread(settings) as relay:
        asker = Asker(context, relay.endpoints.request)
        for method, params in (("symbols", {}), ("tick", {"symbol": "EURUSD"})):
            error = asker.reply(asker.start(method, params))["error"]

            assert ("TERMINAL_UNAVAILABLE", "terminal") == (error["code"], error["hop"])
            assert "start MetaTrader" in error["hint"]
        asker.close()
    context.destroy(0)


def test_a_terminal_that_does_not_answer_ends_at_the_deadline(scripted):
    """The client's own; what comes afterwards is dropped."""
    _, terminal, asker = scripted
    begin = time.monotonic()
    number = asker.start("symbol", {"symbol": "EURUSD"}, valid_for_ms=200)
    request = terminal.expect(Request)
    reply = asker.reply(number)

    assert ("DEADLINE_EXCEEDED", "terminal") == (reply["error"]["code"], reply["error"]["hop"])
    assert 0.2 <= time.monotonic() - begin < 2.0

    terminal.answer(request, {"symbol": {}})
    number = asker.start("symbol", {"symbol": "EURUSD"})
    terminal.answer(terminal.expect(Request), {"symbol": {"name": "second"}})

    assert "second" == asker.reply(number)["result"]["symbol"]["name"]


def test_answers_may_come_in_any_order(scripted):
    """Each finds the request that it belongs to."""
    _, terminal, asker = scripted
    numbers = [asker.start("symbol", {"symbol": f"S{n}"}) for n in range(10)]
    requests = [terminal.expect(Request) for _ in range(10)]
    for request in reversed(requests):
        terminal.answer(request, {"symbol": request.params["symbol"]})

    assert [f"S{n}" for n in range(10)] == [
        asker.reply(number)["result"]["symbol"] for number in numbers
    ]


def test_a_lost_link_answers_what_was_under_way(scripted):
    """At once, and once, with the reason."""
    _, terminal, asker = scripted
    numbers = [asker.start("symbol", {"symbol": "X"}, valid_for_ms=60_000) for _ in range(5)]
    for _ in numbers:
        terminal.expect(Request)
    terminal.close()
    replies = [asker.reply(number) for number in numbers]

    assert {"TERMINAL_UNAVAILABLE"} == {reply["error"]["code"] for reply in replies}
    assert all("lost" in reply["error"]["message"] for reply in replies)


def test_an_answer_in_parts_is_put_together(scripted):
    """A list of thousands of symbols does not fit one frame."""
    _, terminal, asker = scripted
    number = asker.start("symbols")
    request = terminal.expect(Request)
    names = [f"SYMBOL{n:05}" for n in range(10_000)]
    data = msgpack.packb({"symbols": names, "total": len(names)})
    parts = [data[at : at + 50_000] for at in range(0, len(data), 50_000)]
    for place, part in enumerate(parts):
        terminal.answer(request, None, page=place, last=part is parts[-1], payload=part)
        terminal.pump(0.01)

    assert names == asker.reply(number)["result"]["symbols"]


def test_an_answer_that_nobody_can_read_cuts_the_terminal(scripted):
    """The client gets its one reply all the same."""
    _, terminal, asker = scripted
    number = asker.start("symbol", {"symbol": "X"})
    terminal.answer(terminal.expect(Request), {b"bytes": 1})

    assert "PAGE" in terminal.expect_end().reason
    assert "TERMINAL_UNAVAILABLE" == asker.reply(number)["error"]["code"]


def test_a_subscription_is_acknowledged_by_its_snapshot(scripted):
    """It waits for the terminal's answer: here a refusal, for that topic alone."""
    relay, terminal, asker = scripted
    subscriber = Subscriber(
        asker.socket.context, relay.endpoints.publish, "tick/demo/GOOD", "tick/demo/BAD"
    )
    try:
        wanted = [terminal.expect(Subscribe) for _ in range(2)]
        number = asker.start("snapshot", {"topics": ["tick/demo/GOOD", "tick/demo/BAD"]})
        for place, one in enumerate(wanted, 1):
            if one.symbol == "GOOD":
                epoch = terminal.accept_stream(one, place)
                terminal.send_ticks(place, epoch, 1, 1)
            else:
                terminal.refuse_stream(one, "BAD is not in Market Watch")
        good, bad = asker.reply(number)["result"]["topics"]
    finally:
        subscriber.close()

    assert ("ok", epoch, 1) == (good["status"], good["epoch"], good["seq"])
    assert ("error", "UNKNOWN_SYMBOL") == (bad["status"], bad["error"]["code"])
    assert "Market Watch" in bad["error"]["message"]


def test_a_flood_of_requests_leaves_the_ticks_alone(served, rng):
    """One client asks as fast as it can; every tick arrives, in order."""
    epoch, subscriber = served.stream()
    dealer = served.connect(zmq.DEALER, sndhwm=0, rcvhwm=0)
    for number in range(2_000):
        dealer.send(packed(id=number, method=random.Random(number).choice(["ping", "terminals"])))
        if number % 20 == 0:
            served.terminal.release("EURUSD")
    seen = [read_tick(subscriber.receive()[1]).seq for _ in range(100)]
    replies = [msgpack.unpackb(dealer.recv())["id"] for _ in range(2_000)]

    assert list(range(11, 111)) == seen
    assert list(range(2_000)) == replies
    assert epoch
