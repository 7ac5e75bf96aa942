"""A router with terminals, and a client that asks it."""

from __future__ import annotations

import msgpack
import zmq

from bridge.journal import Journal, MemoryStore
from bridge.relay.clock import SystemClock
from bridge.relay.order_requests import OrderRequests
from bridge.relay.router import Router
from bridge.relay.sockets import RequestPort
from bridge.wire.messages import Page, Request
from tests.support.bench import Bench, run_of

__all__ = ["TOPIC", "RouterBench"]

TOPIC = "tick/demo/EURUSD"


class RouterBench(Bench):
    """
    A router with a DEALER before it and terminals of the bench behind it.
    """

    def __init__(self, tmp_path, **options):
        super().__init__(tmp_path, **options)
        self.context = zmq.Context()
        self.socket_router = self.context.socket(zmq.ROUTER)
        port = self.socket_router.bind_to_random_port("tcp://127.0.0.1")
        self.endpoint = f"tcp://127.0.0.1:{port}"
        self.peers: list = []
        self.client = self.connect(zmq.DEALER)
        self.port = RequestPort(self.socket_router)
        self.router = Router(
            self.port,
            self.terminals,
            self.publisher,
            self.settings,
            lambda: {"up": 1},
            lambda: {"pong": 1},
            OrderRequests(Journal(MemoryStore()), {}),
            SystemClock(),
        )
        self.next_id = 0

    def connect(self, kind):
        socket = self.context.socket(kind)
        socket.rcvtimeo = 10_000
        socket.connect(self.endpoint)
        self.peers.append(socket)
        return socket

    def close(self):
        for socket in (*self.peers, self.socket_router):
            socket.close(0)
        self.context.destroy(0)

    def send(self, *frames, client=None):
        (client or self.client).send_multipart(frames)

        assert self.socket_router.poll(10_000)

        self.port.read(self.router.receive, 100)

    def replies(self) -> list:
        """
        Return the replies that are there.
        """
        # A reply to a second request shows that nothing else is under way on this link.
        self.send(msgpack.packb({"id": "end of replies", "method": "ping"}))
        found = []
        while (reply := msgpack.unpackb(self.client.recv()))["id"] != "end of replies":
            found.append(reply)
        return found

    def start(self, method, params=None, **envelope):
        self.next_id += 1
        request = {"id": self.next_id, "method": method, "params": params or {}, **envelope}
        self.send(msgpack.packb(request))

    def ask(self, method, params=None, **envelope):
        """
        Return the one reply to a request.
        """
        self.start(method, params, **envelope)
        (reply,) = self.replies()

        assert {"v", "id", "ok", "result" if reply["ok"] else "error"} == set(reply)
        assert self.next_id == reply["id"]

        return reply

    def result(self, method, params=None, **envelope):
        reply = self.ask(method, params, **envelope)

        assert reply["ok"], reply

        return reply["result"]

    def error(self, method, params=None, **envelope):
        reply = self.ask(method, params, **envelope)

        assert not reply["ok"], reply

        return reply["error"]

    def take(self, first, length, symbol="EURUSD", symbol_id=1):
        epoch = self.terminal().streams[symbol].epoch
        self.terminal().receive_ticks(run_of(epoch, first, length, symbol_id), 0)
        return epoch

    def answer(self, link, value, **fields):
        request = link.sent_of(Request)[-1]
        values = {"page": 0, "last": True, "code": 0, "text": "", "kind": 0}
        values["payload"] = msgpack.packb(value)
        self.terminal().receive(Page(request.request_id, **{**values, **fields}), 0)
