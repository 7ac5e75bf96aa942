"""A relay without sockets: what it publishes, what it holds, what it answers.

The pure client is tested against it directly, and ``ScriptedRelay`` puts it behind real
sockets. It knows nothing of the client.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import msgpack

from bridge.bus.bodies import pack_body
from bridge.bus.topics import exact, parse_topic
from bridge.model.record import pack_record
from bridge.model.tick import MqlTick

PUBLISH = "tcp://127.0.0.1:5557"


class Refusal(Exception):
    """
    An error reply.
    """

    def __init__(self, code: str, message: str = "no", hop: str = "relay", **more: Any) -> None:
        super().__init__(code)
        self.error = {"code": code, "hop": hop, "message": message, "field": "", "hint": "", **more}


@dataclasses.dataclass
class TopicModel:
    """
    A topic: ``held`` maps the sequence numbers that can be replayed to their bodies.
    """

    name: str
    epoch: int = 7
    seq: int = 0
    held: dict[int, bytes] = dataclasses.field(default_factory=dict)
    status: str = "ok"
    error: dict[str, Any] | None = None


def tick_body(epoch: int, seq: int) -> bytes:
    """
    Return the record of a tick whose prices tell which one it is.
    """
    tick = MqlTick(1_600_000_000_000 + seq, 1.0 + seq, 2.0 + seq, 0.0, float(epoch), 6)
    return pack_record(epoch, seq, tick, 120)


class RelayModel:
    """
    ``ring`` messages of each topic are held, ``page`` of them are replayed at once.
    """

    def __init__(self, *, ring: int = 1_000_000, page: int = 1_000_000) -> None:
        self.ring = ring
        self.page = page
        self.epoch = 100
        self.relay_seq = 0
        self.topics: dict[str, TopicModel] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.publish_endpoint = PUBLISH
        self.terminals: list[dict[str, Any]] = [{"alias": "demo", "state": "connected"}]
        #: newest sequence number of every epoch there was
        self.ends: dict[tuple[str, int], int] = {}
        self._changed: set[str] = set()

    def topic(self, name: str) -> TopicModel:
        """
        Return a topic, made when it is first named.
        """
        return self.topics.setdefault(name, TopicModel(name))

    def publish(self, name: str) -> bytes:
        """
        Publish the next message of a topic; return the frame.
        """
        topic = self.topic(name)
        topic.seq += 1
        body = tick_body(topic.epoch, topic.seq)
        if not name.startswith("tick/"):
            body = pack_body(topic.epoch, topic.seq, 0, "READY", {})
        topic.held[topic.seq] = body
        # In the order of their numbers, so the first is the oldest.
        while (oldest := next(iter(topic.held))) <= topic.seq - self.ring:
            del topic.held[oldest]
        self._changed.add(name)
        self.ends[name, topic.epoch] = topic.seq
        return exact(name) + body

    def begin_epoch(self, name: str) -> None:
        """
        The terminal's history was revised, or too old to go on from.
        """
        topic = self.topic(name)
        topic.epoch += 1
        topic.seq = 0
        topic.held.clear()

    def beat(self) -> bytes:
        """
        Return the next message on ``relay``.
        """
        self.relay_seq += 1
        tails = [[t, self.topics[t].epoch, self.topics[t].seq] for t in sorted(self._changed)]
        self._changed.clear()
        return exact("relay") + pack_body(self.epoch, self.relay_seq, 0, tails)

    def restart(self) -> dict[str, dict[int, bytes]]:
        """
        Lose what a restarted relay loses; return what the terminals will send again.
        """
        self.epoch += 1
        self.relay_seq = 0
        self._changed.clear()
        again = {}
        for topic in self.topics.values():
            if topic.name.startswith("tick/"):
                again[topic.name] = topic.held
                topic.held = {}
            else:
                self.begin_epoch(topic.name)
        return again

    def refill(self, again: dict[str, dict[int, bytes]]) -> None:
        """
        The terminals have sent again what the relay had held before it was restarted.
        """
        for name, held in again.items():
            self.topics[name].held = {**held, **self.topics[name].held}

    # --- requests ---------------------------------------------------------------------------

    def answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """
        Return the result of a request.

        Raises:
            Refusal: the error of it.
        """
        self.asked.append((method, params))
        answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "ping": self._ping,
            "status": self._ping,
            "sync": lambda _: {},
            "snapshot": self._snapshot,
            "replay": self._replay,
            "terminals": lambda _: {"terminals": self.terminals},
            "symbols": self._symbols,
            "symbol": self._symbol,
            "tick": self._tick,
        }
        if method not in answers:
            raise Refusal("UNKNOWN_METHOD")
        return answers[method](params)

    def _ping(self, _: dict[str, Any]) -> dict[str, Any]:
        return {
            "version": 1,
            "bus_version": 1,
            "program": "model",
            "time_utc_msc": 0,
            "relay_epoch": self.epoch,
            "publish": self.publish_endpoint,
        }

    def _snapshot(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"topics": [self._state(name) for name in params["topics"]]}

    def _state(self, name: str) -> dict[str, Any]:
        topic = self.topics.get(name)
        if topic is None:
            nothing = {"epoch": 0, "seq": 0, "body": None, "oldest_seq": None, "error": None}
            return {"topic": name, "status": "idle", **nothing}
        newest = topic.held.get(max(topic.held)) if topic.held else None
        return {
            "topic": name,
            "status": topic.status,
            "epoch": topic.epoch,
            "seq": topic.seq,
            "body": None if newest is None else msgpack.unpackb(newest),
            "oldest_seq": min(topic.held) if topic.held else None,
            "error": topic.error,
        }

    def _replay(self, params: dict[str, Any]) -> dict[str, Any]:
        topic = self.topics.get(params["topic"])
        first, last = params["first"], params.get("last")
        answer = {"topic": params["topic"], "epoch": params["epoch"], "first": first}
        if topic is None or topic.epoch != params["epoch"] or not topic.held:
            # As bridge.relay.router: nothing of this epoch is held, so all of it is missing.
            missing = [] if last is None else [[first, last]]
            return {**answer, "messages": [], "next": None, "missing": missing}
        newest = next(reversed(topic.held))
        end = newest if last is None else min(last, newest)
        found = [seq for seq in range(first, end + 1) if seq in topic.held]
        page = found[: self.page]
        oldest = next(iter(topic.held))
        missing = []
        if first < oldest:
            missing = [[first, min(oldest - 1, last or oldest - 1)]]
        return {
            **answer,
            "messages": [msgpack.unpackb(topic.held[seq]) for seq in page],
            "next": page[-1] + 1 if len(page) < len(found) else None,
            "missing": missing,
        }

    def _symbols(self, params: dict[str, Any]) -> dict[str, Any]:
        names = sorted(parse_topic(name).symbol for name in self.topics if name[:5] == "tick/")
        page = names[params["offset"] :][: min(params["limit"], self.page)]
        following = params["offset"] + len(page)
        return {
            "symbols": [{"name": name, "digits": 5} for name in page],
            "total": len(names),
            "next_offset": following if following < len(names) else None,
        }

    def _symbol(self, params: dict[str, Any]) -> dict[str, Any]:
        if f"tick/demo/{params['symbol']}" not in self.topics:
            raise Refusal("UNKNOWN_SYMBOL", f"no symbol {params['symbol']!r}", "terminal")
        return {"symbol": {"name": params["symbol"], "digits": 5, "made_up": 1}}

    def _tick(self, params: dict[str, Any]) -> dict[str, Any]:
        topic = self.topics.get(f"tick/demo/{params['symbol']}")
        if topic is None:
            raise Refusal("UNKNOWN_SYMBOL", f"no symbol {params['symbol']!r}", "terminal")
        names = ("epoch", "seq", "time_msc", "bid", "ask", "last", "volume_real", "flags")
        body = msgpack.unpackb(topic.held[topic.seq])
        return {"tick": dict(zip((*names, "utc_offset_min"), body, strict=True)), "streaming": True}
