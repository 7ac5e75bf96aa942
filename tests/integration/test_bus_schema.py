"""
What a real relay publishes and answers is what the schemas and the page say.
"""

from __future__ import annotations

import contextlib
import json
import re
import time

import msgpack
import pytest
import zmq

from bridge.bus.bodies import StatusEvent, read_relay
from bridge.bus.codec import Encoding, decode, encode
from bridge.bus.requests import Method
from bridge.bus.topics import exact, split_message
from bridge.model.symbol import spec_for
from bridge.sim.feed import ReplayFeed
from bridge.sim.market import Market
from bridge.sim.runner import TerminalThread
from bridge.sim.terminal import Account, TerminalCore
from tests.support.json_schema import problems
from tests.support.relay import RelayThread, make_settings, port_of
from tests.support.terminal import tick_of
from tools import bus_schema
from tools.bus_docs import STATUS_DETAILS
from tools.bus_examples import to_json

DEADLINE_S = 20.0
SCHEMAS = bus_schema.schemas()
TOPIC = "tick/demo/EURUSD"
TOPICS = [TOPIC, "tick/demo/NOSUCH", "tick/nobody/X", "status/demo", "relay", "ticks/demo"]
#: Those about orders are in ``test_bus_orders``, with a terminal that trades.
REQUESTS = {
    Method.PING: {},
    Method.STATUS: {},
    Method.TERMINALS: {},
    Method.SYMBOLS: {"group": "EUR*", "limit": 1},
    Method.SYMBOL: {"symbol": "EURUSD"},
    Method.TICK: {"symbol": "EURUSD"},
    Method.SNAPSHOT: {"topics": TOPICS},
    Method.SYNC: {"nonce": "n0nce_-Z"},
    Method.REPLAY: {"topic": TOPIC, "epoch": 0, "first": 0, "last": 2**64 - 1},
}


class Seen:
    """
    A relay with a simulated terminal, one subscriber, and all that it received.
    """

    def __init__(self, folder, stack: contextlib.ExitStack) -> None:
        settings, keys = make_settings(folder)
        relay = stack.enter_context(RelayThread(settings))
        self.folder = folder
        self.endpoints = relay.endpoints
        self.bodies: dict[str, list[bytes]] = {}
        self._context = stack.enter_context(zmq.Context())
        self._subscriber = self.socket(stack, zmq.SUB, relay.endpoints.publish)
        self._requester = self.socket(stack, zmq.REQ, relay.endpoints.request)
        for topic in TOPICS:
            self._subscriber.subscribe(exact(topic))
        self._subscriber.subscribe("sync/")
        self.join()
        market = Market([spec_for("EURUSD"), spec_for("EURGBP")])
        core = TerminalCore(
            key=keys["demo"],
            key_id="demo",
            account=Account(login=5_012_345, server="Broker-Demo"),
            market=market,
            incarnation=bytes(16),
        )
        feed = ReplayFeed(
            market.history,
            {"EURUSD": [tick_of(seq) for seq in range(1, 101)]},
            speed=None,
            collector=core.collector,
            hold_until_subscribed=True,
        )
        port = port_of(relay.endpoints.terminal)
        stack.enter_context(TerminalThread(core, port, feed=feed))
        self.receive(lambda: self.newest(TOPIC) == 100)

    def join(self) -> None:
        """
        Wait until the subscriptions are in force: the barrier of the page, section 9.
        """
        sync = {"id": 1, "method": "sync", "params": {"nonce": "barrier_1"}}

        def passed() -> bool:
            if "sync/barrier_1" not in self.bodies:
                self.ask(sync, Encoding.JSON)
            return "sync/barrier_1" in self.bodies

        self.receive(passed)

    def socket(self, stack, kind: int, endpoint: str) -> zmq.Socket[bytes]:
        """
        Return a socket that is connected and closed with the stack.
        """
        socket = stack.enter_context(self._context.socket(kind))
        socket.linger = 0
        socket.rcvtimeo = int(DEADLINE_S * 1000)
        socket.connect(endpoint)
        return socket

    def receive(self, enough) -> None:
        """
        Take what is published until it is enough.
        """
        deadline = time.monotonic() + DEADLINE_S
        while not enough():
            assert time.monotonic() < deadline, {name: len(b) for name, b in self.bodies.items()}
            if self._subscriber.poll(50):
                topic, body = split_message(self._subscriber.recv())
                self.bodies.setdefault(topic, []).append(body)

    def newest(self, topic: str) -> int:
        """
        Return the number of the newest message that came of a topic.
        """
        bodies = self.bodies.get(topic)
        return msgpack.unpackb(bodies[-1])[1] if bodies else 0

    def ask(self, request: dict[str, object], encoding: Encoding) -> dict[str, object]:
        """
        Return the reply as a reader of JSON has it.
        """
        self._requester.send(encode(request, encoding))
        reply = decode(self._requester.recv(), max_bytes=2**24)
        return reply if encoding is Encoding.JSON else to_json(reply)


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    with contextlib.ExitStack() as stack:
        yield Seen(tmp_path_factory.mktemp("relay"), stack)


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("method", REQUESTS)
def test_a_result_is_as_its_schema_says(seen, method, encoding):
    params = dict(REQUESTS[method])
    if method is Method.REPLAY:
        params["epoch"] = msgpack.unpackb(seen.bodies[TOPIC][-1])[0]
    reply = seen.ask({"id": "x", "method": str(method), "params": params}, encoding)

    assert problems(SCHEMAS["reply.json"], reply) == []
    assert reply["ok"], reply
    assert problems(SCHEMAS[f"result-{method}.json"], reply["result"]) == []


@pytest.mark.parametrize("encoding", Encoding)
def test_an_error_is_as_its_schema_says(seen, encoding):
    for request in (
        {"id": 1, "method": "nonsense"},
        {"id": 2, "method": "tick", "params": {"symbol": "NOSUCH"}},
        {"id": 3, "method": "symbol", "terminal": "nobody", "params": {"symbol": "X"}},
        {"id": 4, "method": "replay", "params": {"topic": "ticks/demo", "epoch": 1, "first": 1}},
        {"id": 5},
        {},
    ):
        reply = seen.ask(request, encoding)

        assert problems(SCHEMAS["reply.json"], reply) == []
        assert (False, request.get("id")) == (reply["ok"], reply["id"])


def test_replayed_bodies_equal_the_published_ones(seen):
    epoch = msgpack.unpackb(seen.bodies[TOPIC][-1])[0]
    params = {"topic": TOPIC, "epoch": epoch, "first": 1}
    request = {"id": 1, "method": "replay", "params": params}
    result = seen.ask(request, Encoding.MSGPACK)["result"]

    assert [msgpack.unpackb(body) for body in seen.bodies[TOPIC]] == result["messages"]
    assert (1, None, []) == (result["first"], result["next"], result["missing"])


def test_a_tick_of_a_symbol_that_does_not_stream_is_as_its_schema_says(seen):
    request = {"id": 1, "method": "tick", "params": {"symbol": "EURGBP"}}
    reply = seen.ask(request, Encoding.JSON)

    # It has no tick yet: an answer of the terminal, not of the relay.
    assert problems(SCHEMAS["reply.json"], reply) == []
    assert (False, "terminal") == (reply["ok"], reply["error"]["hop"])


def test_published_bodies_are_as_their_schemas_say(seen):
    seen.ask({"id": 1, "method": "sync", "params": {"nonce": "n0nce_-Z"}}, Encoding.JSON)
    seen.receive(
        lambda: {"relay", "ticks/demo", "status/demo", "sync/n0nce_-Z"} <= set(seen.bodies)
    )
    for topic, bodies in seen.bodies.items():
        schema = SCHEMAS[f"body-{topic.partition('/')[0]}.json"]
        for body in bodies:
            assert problems(schema, to_json({"body": msgpack.unpackb(body)})["body"]) == []


def test_numbers_begin_with_1_and_follow_each_other(seen):
    for topic, bodies in seen.bodies.items():
        numbers = [msgpack.unpackb(body)[1] for body in bodies]
        first = numbers[0] if topic == "relay" else 1

        if not topic.startswith("sync/"):
            assert list(range(first, first + len(numbers))) == numbers


def test_tails_tell_the_newest_number_of_each_topic(seen):
    wanted = {TOPIC, "status/demo", "ticks/demo"}

    def told() -> dict[str, int]:
        tails = [tail for body in seen.bodies.get("relay", ()) for tail in read_relay(body).tails]
        return {tail.topic: tail.seq for tail in tails}

    seen.receive(lambda: wanted <= set(told()))

    assert {topic: seen.newest(topic) for topic in wanted} == {
        topic: seq for topic, seq in told().items() if topic in wanted
    }


def test_status_events_have_the_documented_keys(seen):
    events = [msgpack.unpackb(body)[3:5] for body in seen.bodies["status/demo"]]

    assert {"LINK_UP", "PERMISSIONS", "UTC_OFFSET", "STREAM_STARTED", "STREAM_FAILED"} <= {
        event for event, _ in events
    }
    for event, details in events:
        documented = set(re.findall(r"`([a-z_]+)`", STATUS_DETAILS[StatusEvent(event)][1]))

        assert set(details) == documented


def test_the_control_file_and_endpoint_are_as_the_page_says(seen):
    control = json.loads((seen.folder / "data" / "control.json").read_text())

    assert {"v", "pid", "token", "endpoints"} == set(control)
    assert seen.endpoints._asdict() == control["endpoints"]
    with contextlib.ExitStack() as stack:
        socket = seen.socket(stack, zmq.REQ, control["endpoints"]["control"])
        for token, ok in ((control["token"], True), ("wrong", False), (None, False)):
            socket.send(encode({"id": 1, "method": "ping", "token": token}, Encoding.JSON))
            reply = json.loads(socket.recv())

            assert problems(SCHEMAS["reply.json"], reply) == []
            assert ok == reply["ok"]
            assert ok or reply["error"]["code"] == "NOT_ALLOWED"
