"""Subscribers and requesters of the tests: bare sockets, and a join written from the protocol.

They share nothing with ``bridge.client``: what both get right was specified right.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgpack
import zmq

from bridge.bus.bodies import read_epoch_seq, read_relay
from bridge.bus.topics import exact, split_message
from bridge.model.record import pack_record
from bridge.model.tick import MqlTick

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


def said_by(record: bytes) -> bytes:
    """
    Return the part of a tick record that is the terminal's: time, prices, MetaTrader's flags.
    """
    return record[15:60] + record[62:63]


def digest_of(ticks: Iterable[MqlTick]) -> str:
    """
    Return the digest of a reader that saw exactly these ticks.
    """
    digest = hashlib.blake2b(digest_size=16)
    for tick in ticks:
        digest.update(said_by(pack_record(0, 0, tick, 0)))
    return digest.hexdigest()


class TopicLog:
    """
    What a reader saw of a topic, treated as section 8 of the bus protocol says.

    ``runs`` are (epoch, first, last, digest) of messages delivered one behind the other.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.epoch = 0
        self.seq = 0
        self.top = 0
        self.kept: dict[int, bytes] = {}
        #: (epoch, first, last) of what is known to be lost; last ``None``: no end is known
        self.gaps: list[tuple[int, int, int | None]] = []
        self.runs: list[tuple[int, int, int, str]] = []
        self.delivered = 0
        self.repeated = 0
        self.replayed = 0
        #: nothing says where the present epoch begins for us
        self.open_start = True
        self._first = 0
        self._digest = hashlib.blake2b(digest_size=16)

    @property
    def is_behind(self) -> bool:
        """
        Tell whether something is to be replayed.
        """
        return self.seq < self.top

    def start_at(self, epoch: int, seq: int) -> None:
        """
        Begin with the message ``seq``.
        """
        self.epoch, self.seq, self.top = epoch, seq - 1, seq - 1
        self.open_start = False

    def take(self, epoch: int, seq: int, body: bytes) -> None:
        """
        A message arrived: 8.1.
        """
        if (epoch, seq) <= (self.epoch, self.seq):
            self.repeated += 1
            return
        self.hear(epoch, seq)
        if seq != self.seq + 1:
            self.kept[seq] = body
            return
        self.deliver(body)
        while self.kept and (body_kept := self.kept.pop(self.seq + 1, None)) is not None:
            self.deliver(body_kept)

    def hear(self, epoch: int, seq: int) -> None:
        """
        The message ``seq`` of ``epoch`` is known to exist: 8.2.
        """
        if epoch > self.epoch:
            if self.epoch:
                self.gaps.append((self.epoch, self.seq + 1, None))
            self.end_run()
            self.kept.clear()
            self.epoch, self.seq, self.top = epoch, 0, 0
            self.open_start = True
        if epoch == self.epoch:
            self.top = max(self.top, seq)

    def deliver(self, body: bytes) -> None:
        """
        The next message goes to the application: here, into a digest.
        """
        if not self._first:
            self._first = self.seq + 1
        self.seq += 1
        self.delivered += 1
        self.open_start = False
        self._digest.update(said_by(body))

    def deliver_many(self, count: int, said: bytes) -> None:
        """
        The same for many at once that are known to follow each other.
        """
        if not self._first:
            self._first = self.seq + 1
        self.seq += count
        self.delivered += count
        self.top = max(self.top, self.seq)
        self.open_start = False
        self._digest.update(said)

    def lose(self, last: int) -> None:
        """
        What follows, up to ``last``, cannot be had any more.
        """
        if last <= self.seq:
            return
        if not self.open_start:
            self.gaps.append((self.epoch, self.seq + 1, last))
        self.end_run()
        self.seq = last
        while self.kept and (body_kept := self.kept.pop(self.seq + 1, None)) is not None:
            self.deliver(body_kept)

    def end_run(self) -> None:
        """
        Close the run of messages that followed each other: (epoch, first, last, digest).
        """
        if self._first:
            self.runs.append((self.epoch, self._first, self.seq, self._digest.hexdigest()))
        self._first = 0
        self._digest = hashlib.blake2b(digest_size=16)

    def account(self) -> tuple[int, int]:
        """
        Return the first and last number of the last epoch that were delivered or told as
        lost. Every one between them must be accounted for, once.
        """
        runs = [(first, last) for epoch, first, last, _ in self.seen() if epoch == self.epoch]
        gaps = [(first, last) for epoch, first, last in self.gaps if epoch == self.epoch]
        parts = sorted(runs + gaps)
        ends = [last + 1 for _, last in parts[:-1]]
        assert ends == [first for first, _ in parts[1:]], f"not accounted for: {parts}"
        return parts[0][0], parts[-1][1]

    def seen(self) -> list[tuple[int, int, int, str]]:
        """
        Return all runs; nothing is delivered after this.
        """
        self.end_run()
        return self.runs


class Reader:
    """
    A client written from the bus protocol's page: joins, heals, hears tails, joins again.

    It blocks while it heals, which is simple and right: what arrives meanwhile waits in the
    socket. ``pump`` does one round. With ``ignores_tails`` it does not listen to ``relay``:
    the ablation that shows what tails are for.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        request: str,
        publish: str,
        *topics: str,
        rcvhwm: int = 0,
        rcvbuf: int = -1,
        ignores_tails: bool = False,
    ) -> None:
        self.logs = {topic: TopicLog(topic) for topic in topics}
        self.asker = Asker(context, request)
        self.relay: tuple[int, int] | None = None
        #: fault: sequence numbers that are dropped when they arrive live, as RCVHWM does
        self.dropping: frozenset[int] = frozenset()
        self.joins = 0
        self.refusals = 0
        names = () if ignores_tails else ("relay",)
        self.subscriber = Subscriber(
            context, publish, *names, *topics, rcvhwm=rcvhwm, rcvbuf=rcvbuf
        )
        self._by_prefix = {exact(topic): log for topic, log in self.logs.items()}
        self._join_again = False

    def log(self, topic: str) -> TopicLog:
        """
        Return what was seen of a topic.
        """
        return self.logs[topic]

    def join(self) -> Reader:
        """
        Pass the barrier, take the snapshot, begin or go on.
        """
        self.joins += 1
        self._join_again = False
        self._pass_barrier()
        first = {log.name: log.epoch == 0 for log in self.logs.values()}
        for state in self._snapshot():
            log = self.logs[state["topic"]]
            begins = first[log.name] and log.epoch == 0
            if begins and state["epoch"]:
                log.start_at(state["epoch"], state["seq"] + 1)
            elif state["epoch"]:
                log.hear(state["epoch"], state["seq"])
        return self

    def pump(self, wait_s: float = 0.05, burst: int = 20_000) -> int:
        """
        Take what is here, waiting for it for a moment; then heal. Return how many came.
        """
        socket = self.subscriber.socket
        if not socket.poll(int(wait_s * 1000)):
            return 0
        count = 0
        receive = socket.recv
        logs, dropping = self._by_prefix, self.dropping
        try:
            for _ in range(burst):
                message = receive(zmq.NOBLOCK)
                count += 1
                cut = message.index(0) + 1
                log = logs.get(message[:cut])
                if log is None:
                    self._hear_relay(message, cut)
                    continue
                # The fixed-width record of the protocol: epoch and seq by their place.
                epoch = int.from_bytes(message[cut + 2 : cut + 6], "big")
                seq = int.from_bytes(message[cut + 7 : cut + 15], "big")
                if seq in dropping:
                    continue
                if seq == log.seq + 1 and epoch == log.epoch and not log.kept:
                    log.deliver_many(1, message[cut + 15 : cut + 60] + message[cut + 62 : cut + 63])
                else:
                    log.take(epoch, seq, message[cut:])
        except zmq.Again:
            pass
        if self._join_again:
            self.join()
        self.heal()
        return count

    def until(self, happened: Callable[[], Any], within_s: float = DEADLINE_S) -> None:
        """
        Pump until something is true.
        """
        deadline = time.monotonic() + within_s
        while not happened():
            assert time.monotonic() < deadline, (
                f"not in time: {[(log.name, log.epoch, log.seq) for log in self.logs.values()]}"
            )
            self.pump()

    def heal(self) -> None:
        """
        Replay what is missing of every topic, or learn that it cannot be had.
        """
        for log in self.logs.values():
            deadline = time.monotonic() + DEADLINE_S
            while log.is_behind:
                assert time.monotonic() < deadline, f"{log.name} does not heal from {log.seq + 1}"
                self._replay(log)

    def close(self) -> None:
        """
        Close both sockets.
        """
        self.subscriber.close()
        self.asker.close()

    # --- inside -----------------------------------------------------------------------

    def _hear_relay(self, message: bytes, cut: int) -> None:
        if not message.startswith(b"relay\0"):
            return
        body = read_relay(message[cut:])
        before, self.relay = self.relay, (body.epoch, body.seq)
        if before is not None and body.epoch != before[0]:
            self._join_again = True
        elif before is None or body.seq != before[1] + 1:
            # The first one says nothing of what was lost between it and our snapshot.
            self._hear_states()
        for tail in body.tails:
            log = self.logs.get(tail.topic)
            if log is not None:
                log.hear(tail.epoch, tail.seq)

    def _hear_states(self) -> None:
        # Tails were lost: the snapshot tells the same and more.
        for state in self._snapshot():
            if state["epoch"]:
                self.logs[state["topic"]].hear(state["epoch"], state["seq"])

    def _snapshot(self) -> list[dict[str, Any]]:
        states: list[dict[str, Any]] = self._ask("snapshot", {"topics": list(self.logs)})["topics"]
        return states

    def _ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        # Without a reply ask again: the relay may just be away.
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            number = self.asker.start(method, params)
            try:
                reply = self.asker.reply(number, within_s=1.0)
            except AssertionError:
                continue
            if reply["ok"]:
                result: dict[str, Any] = reply["result"]
                return result
            assert reply["error"]["code"] == "TOO_MANY_REQUESTS", reply
            self.refusals += 1
            threading.Event().wait(reply["error"]["retry_after_ms"] / 1000)
        raise AssertionError(f"no answer to {method}")

    def _replay(self, log: TopicLog) -> None:
        first, last = log.seq + 1, min(log.kept) - 1 if log.kept else log.top
        params = {"topic": log.name, "epoch": log.epoch, "first": first, "last": last}
        result = self._ask("replay", params)
        missing = result["missing"]
        if not result["messages"] and missing == [[first, last]]:
            (state,) = self._ask("snapshot", {"topics": [log.name], "wait_ms": 0})["topics"]
            if state["oldest_seq"] is None and state["epoch"] <= log.epoch:
                threading.Event().wait(0.1)  # a relay that was just restarted: not held yet
                return
        for low, high in missing:
            if low <= log.seq + 1:
                log.lose(high)
        for fields in result["messages"]:
            epoch, seq, time_msc, bid, ask, last_price, volume, flags, offset = fields
            if (epoch, seq) == (log.epoch, log.seq + 1):
                log.replayed += 1
                tick = MqlTick(time_msc, bid, ask, last_price, volume, flags)
                log.take(epoch, seq, pack_record(epoch, seq, tick, offset))

    def _pass_barrier(self) -> None:
        nonce = secrets.token_hex(8)
        sync = exact(f"sync/{nonce}")
        self.subscriber.socket.subscribe(sync)
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            self.asker.start("sync", {"nonce": nonce})
            again = time.monotonic() + 0.05
            while time.monotonic() < again:
                if not self.subscriber.socket.poll(5):
                    continue
                message = self.subscriber.socket.recv()
                cut = message.index(0) + 1
                log = self._by_prefix.get(message[:cut])
                if log is not None:
                    epoch, seq = read_epoch_seq(message[cut:])
                    if not log.epoch:
                        log.start_at(epoch, seq)
                    log.take(epoch, seq, message[cut:])
                elif message.startswith(sync):
                    self.subscriber.socket.unsubscribe(sync)
                    return
        raise AssertionError("the barrier did not arrive")
