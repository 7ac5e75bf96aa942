"""The control endpoint: who has the token may ask, and stop."""

from __future__ import annotations

import json
import os
import sys

import msgpack
import pytest
import zmq

from bridge.exceptions import JournalError
from bridge.journal import Journal, MemoryStore
from bridge.relay.clock import SystemClock
from bridge.relay.control import CONTROL_FILE, Control, write_control_file
from bridge.relay.order_requests import OrderRequests
from bridge.relay.sockets import RequestPort


class Bench:
    """
    A control socket with a REQ before it; ``ask`` lets the control answer.
    """

    def __init__(self):
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        self.client = self.context.socket(zmq.REQ)
        self.client.rcvtimeo = 10_000
        self.client.connect(f"tcp://127.0.0.1:{port}")
        self.stopped: list[str] = []
        self.orders = OrderRequests(Journal(MemoryStore()), {})
        self.port = RequestPort(self.socket)
        self.control = Control(
            self.port,
            "secret",
            lambda: {"up": 1},
            lambda: {"pong": 1},
            self.stopped.append,
            self.orders,
            SystemClock(),
        )

    def raw(self, *frames):
        self.client.send_multipart(frames)

        assert self.socket.poll(10_000)

        self.port.read(self.control.receive, 10)
        return self.client.recv()

    def ask(self, method, **envelope):
        envelope = {"id": 1, "token": "secret", **envelope}
        return msgpack.unpackb(self.raw(msgpack.packb({"method": method, **envelope})))


@pytest.fixture
def bench():
    made = Bench()
    yield made
    made.context.destroy(linger=0)


@pytest.mark.parametrize(
    ("method", "result"),
    [("ping", {"pong": 1}), ("status", {"up": 1}), ("stop", {"stopping": True})],
)
def test_the_methods(bench, method, result):
    """Each answers with the id of its request."""
    assert {"v": 1, "id": 1, "ok": True, "result": result} == bench.ask(method)
    assert (["asked for on the control endpoint"] if method == "stop" else []) == bench.stopped


@pytest.mark.parametrize("token", [None, "", "Secret", "secret ", "s" * 128, "sécret"])
@pytest.mark.parametrize("method", ["ping", "stop", "nope"])
def test_without_the_token_nothing_is_done_or_told(bench, method, token):
    """Not even which methods there are."""
    reply = bench.ask(method, token=token)

    assert ("NOT_ALLOWED", "token") == (reply["error"]["code"], reply["error"]["field"])
    assert CONTROL_FILE in reply["error"]["hint"]
    assert [] == bench.stopped


def test_an_unknown_method_is_answered_with_the_known_ones(bench):
    """For somebody who has the token."""
    error = bench.ask("explode")["error"]

    assert ("UNKNOWN_METHOD", "method") == (error["code"], error["field"])
    assert "halt, order_resolve, ping, resume, status, stop" in error["hint"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", ""),
        (b"\xc1", ""),
        (b"{", ""),
        (b"[1]", ""),
        (msgpack.packb({"method": "ping"}), "id"),
        (msgpack.packb({"id": 1, "method": 5}), "method"),
        (msgpack.packb({"id": 1, "method": "ping", "token": 5}), "token"),
        (msgpack.packb({"id": 1, "method": "ping", "tokn": "secret"}), "tokn"),
        (msgpack.packb({"id": 1, "method": "ping", "params": "x" * 9_000}), ""),
    ],
)
def test_bad_requests_are_answered(bench, body, field):
    """An error that names the field, in the encoding of the request."""
    data = bench.raw(body)
    reply = json.loads(data) if body[:1] in (b"{", b"[") else msgpack.unpackb(data)

    assert ("INVALID_REQUEST", field) == (reply["error"]["code"], reply["error"]["field"])
    assert not reply["ok"]


def test_json_is_answered_in_json(bench):
    """For a person with a script."""
    reply = json.loads(bench.raw(b'{"id":"a","method":"ping","token":"secret"}'))

    assert {"v": 1, "id": "a", "ok": True, "result": {"pong": 1}} == reply


def test_reading_is_bounded(bench):
    """A flood of requests does not hold the loop."""
    with bench.context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        dealer.rcvtimeo = 10_000
        dealer.connect(bench.socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0"))
        for number in range(5):
            dealer.send(msgpack.packb({"id": number, "method": "ping", "token": "secret"}))
        ids = []
        while len(ids) < 5:
            bench.port.read(bench.control.receive, 2)
            while dealer.poll(20):
                ids.append(msgpack.unpackb(dealer.recv())["id"])

    assert list(range(5)) == ids


def test_a_client_that_left_costs_a_line_in_the_log(bench, caplog):
    """A reply that cannot be sent is dropped; the control goes on."""
    bench.socket.router_mandatory = 1
    bench.control.receive([b"nobody", msgpack.packb({"id": 1, "method": "ping"})])

    assert ["reply dropped"] == [record.getMessage() for record in caplog.records]
    assert bench.ask("ping")["ok"]


def test_the_control_file_tells_where_and_lets_in(tmp_path):
    """Process, token and endpoints, for the user alone."""
    path = write_control_file(tmp_path, "secret", {"request": "tcp://127.0.0.1:1"})
    found = json.loads(path.read_text())

    assert {
        "v": 1,
        "pid": os.getpid(),
        "token": "secret",
        "endpoints": {"request": "tcp://127.0.0.1:1"},
    } == found
    if sys.platform != "win32":
        assert 0o600 == path.stat().st_mode & 0o777


def test_the_control_file_replaces_an_old_one_as_a_whole(tmp_path):
    """Whoever reads it meanwhile sees the old or the new one; leftovers of a crash go."""
    (tmp_path / CONTROL_FILE).write_text("old")
    (tmp_path / "control.new").write_text("half")
    write_control_file(tmp_path, "secret", {})

    assert "secret" == json.loads((tmp_path / CONTROL_FILE).read_text())["token"]
    assert [CONTROL_FILE] == [path.name for path in tmp_path.iterdir()]


def test_a_request_on_which_the_relay_fails_gets_its_reply(bench, monkeypatch):
    def unreadable(*args):
        raise JournalError("the record is damaged")

    monkeypatch.setattr(bench.orders, "resolve", unreadable)
    params = {"command_id": "c/1", "executed": True, "evidence": "seen"}
    reply = bench.ask("order_resolve", params=params)

    assert (1, False, "INTERNAL") == (reply["id"], reply["ok"], reply["error"]["code"])
    assert bench.ask("ping")["ok"]
