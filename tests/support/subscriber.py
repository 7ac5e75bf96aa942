"""Subscribers and requesters of the tests: bare sockets, and a join written from the protocol.

They share nothing with ``bridge.client``: what both get right was specified right.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgpack
import zmq

from bridge.bus.bodies import read_epoch_seq
from bridge.bus.topics import exact, split_message

DEADLINE_S = 20.0


class Asker:
    """
    A DEALER: many requests may be under way, replies are found by their id.
    """

    def __init__(self, context: zmq.Context[Any], endpoint: str) -> None:
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(endpoint)
        self._last_id = 0
        self._replies: dict[Any, dict[str, Any]] = {}

    def start(self, method: str, params: dict[str, Any] | None = None, **envelope: Any) -> int:
        """
        Send a request; return its id.
        """
        self._last_id += 1
        request = {"id": self._last_id, "method": method, "params": params or {}, **envelope}
        self.socket.send(msgpack.packb(request))
        return self._last_id

    def reply(self, request_id: int, within_s: float = DEADLINE_S) -> dict[str, Any]:
        """
        Return the reply to a request, waiting for it; others are kept.
        """
        deadline = time.monotonic() + within_s
        while request_id not in self._replies:
            left = deadline - time.monotonic()
            assert left > 0, f"no reply to request {request_id} within {within_s} s"
            if self.socket.poll(int(left * 1000) + 1):
                reply = msgpack.unpackb(self.socket.recv())
                assert reply["id"] not in self._replies, f"a second reply: {reply}"
                self._replies[reply["id"]] = reply
        return self._replies.pop(request_id)

    def ask(
        self, method: str, params: dict[str, Any] | None = None, **envelope: Any
    ) -> dict[str, Any]:
        """
        Return the result; an error reply fails the test.
        """
        reply = self.reply(self.start(method, params, **envelope))
        assert reply["ok"], reply
        result: dict[str, Any] = reply["result"]
        return result

    def close(self) -> None:
        """
        Close the socket.
        """
        self.socket.close()


class Subscriber:
    """
    A SUB socket for exact topics.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        endpoint: str,
        *topics: str,
        rcvhwm: int = 0,
        rcvbuf: int = -1,
    ) -> None:
        self.socket = context.socket(zmq.SUB)
        self.socket.linger = 0
        self.socket.rcvhwm = rcvhwm
        self.socket.rcvbuf = rcvbuf
        self.socket.reconnect_ivl = 20
        self.socket.reconnect_ivl_max = 100
        for topic in topics:
            self.socket.subscribe(exact(topic))
        self.socket.connect(endpoint)

    def receive(self, within_s: float = DEADLINE_S) -> tuple[str, bytes]:
        """
        Return (topic, body) of the next message, waiting for it.
        """
        assert self.socket.poll(int(within_s * 1000)), f"no message within {within_s} s"
        return split_message(self.socket.recv())

    def waiting(self) -> Iterator[tuple[str, bytes]]:
        """
        Yield what is here, without waiting.
        """
        while self.socket.poll(0):
            yield split_message(self.socket.recv())

    def until(
        self, happened: Callable[[str, bytes], bool], within_s: float = DEADLINE_S
    ) -> list[tuple[str, bytes]]:
        """
        Return all messages up to the one that ``happened`` names, waiting for it.
        """
        deadline = time.monotonic() + within_s
        seen = []
        while True:
            left = deadline - time.monotonic()
            assert left > 0, f"not in time; the last of {len(seen)}: {seen[-3:]}"
            if self.socket.poll(int(left * 1000) + 1):
                seen.append(split_message(self.socket.recv()))
                if happened(*seen[-1]):
                    return seen

    def close(self) -> None:
        """
        Close the socket.
        """
        self.socket.close()


class Follower:
    """
    One topic, joined and merged by the book; what is delivered comes in order, each once.

    ``lost`` has every number that was passed over without being delivered: the protocol's
    promise is that it stays empty, or that the relay said so. ``meanwhile`` is called before
    every step of the join: what happens in the world in between.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        asker: Asker,
        publish: str,
        topic: str,
        *,
        barrier: bool = True,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        self.topic = topic
        self.epoch = 0
        self.next = 0
        self.delivered = 0
        self.lost: list[int] = []
        self.repeated = 0
        self._meanwhile = meanwhile
        nonce = secrets.token_hex(8)
        meanwhile()
        self.subscriber = Subscriber(context, publish, topic, f"sync/{nonce}")
        held = self._pass_barrier(asker, nonce) if barrier else []
        meanwhile()
        request = asker.start("snapshot", {"topics": [topic]})
        meanwhile()
        (state,) = asker.reply(request)["result"]["topics"]
        self.epoch, self.next = state["epoch"], state["seq"] + 1
        for body in held:
            self.take(body)

    def take(self, body: bytes) -> None:
        """
        Merge a message by its number.
        """
        epoch, seq = read_epoch_seq(body)
        if (epoch, seq) < (self.epoch, self.next):
            self.repeated += 1
            return
        if epoch != self.epoch:
            self.epoch, self.next = epoch, 1
        self.lost += range(self.next, seq)
        self.next = seq + 1
        self.delivered += 1

    def follow(self, count: int) -> None:
        """
        Take live messages until ``count`` were delivered.
        """
        deadline = time.monotonic() + DEADLINE_S
        while self.delivered < count:
            assert time.monotonic() < deadline, f"{self.delivered} of {count} messages in time"
            self._meanwhile()
            if self.subscriber.socket.poll(1):
                for topic, body in self.subscriber.waiting():
                    if topic == self.topic:
                        self.take(body)

    def close(self) -> None:
        """
        Close the SUB socket.
        """
        self.subscriber.close()

    def _pass_barrier(self, asker: Asker, nonce: str) -> list[bytes]:
        held = []
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            self._meanwhile()
            asker.ask("sync", {"nonce": nonce})
            self._meanwhile()
            # Again after a moment by the clock: ticks may come without a pause.
            again = time.monotonic() + 0.002
            while time.monotonic() < again:
                if self.subscriber.socket.poll(1):
                    topic, body = self.subscriber.receive()
                    if topic == f"sync/{nonce}":
                        return held
                    held.append(body)
        raise AssertionError("the barrier did not arrive")
