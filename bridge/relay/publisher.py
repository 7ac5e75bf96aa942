"""The publisher: what streams through it, and who listens.

Rule 1: one frame a message, ``topic NUL body``; two frames cost five times as much.
Rule 2: never XPUB_NODROP: one stuck subscriber would stop everybody. A message that
does not fit a subscriber's queue is dropped for that one alone; its sequence numbers
show it, and the ring heals it.
Rule 3: the file descriptor of a ZeroMQ socket is edge-triggered; whoever sent on this
socket must read its events before the loop waits again (``Turn``).
"""

from __future__ import annotations

import functools
import struct
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from bridge.bus.bodies import TAILS_PER_MESSAGE, pack_body
from bridge.bus.topics import RELAY, bulk_topic, exact, status_topic, sync_topic, trade_topic
from bridge.model.record import RECORD_SIZE
from bridge.relay.rings import BodyRing
from bridge.relay.streams import Stream

__all__ = ["PublishSocket", "Publisher", "Subscriptions"]

_STATUS_RING: Final = 256
#: account and positions: the newest is what counts, and a list of positions can be long
_STATE_RING: Final = 16
#: a hostile client may subscribe to as many names as it likes; we remember so many
_SUBSCRIPTIONS_MAX: Final = 100_000


class PublishSocket(Protocol):
    """
    What the publisher needs of its XPUB socket.
    """

    def send(self, message: bytes, /) -> object:
        """
        Publish a message; whoever cannot take it does without.
        """


class Subscriptions(Protocol):
    """
    Who wants to know that the first subscriber of a topic came or the last one left.
    """

    def subscribed(self, topic: bytes) -> None:
        """
        The first subscriber of ``topic`` (as it was sent) is here.
        """

    def unsubscribed(self, topic: bytes) -> None:
        """
        The last subscriber of ``topic`` left.
        """


class _Quiet:
    """
    A topic of the relay's own: status of a terminal, its account and positions, relay.
    """

    __slots__ = ("prefix", "ring", "seq", "topic")

    def __init__(self, topic: str, ring: int = _STATUS_RING) -> None:
        self.topic = topic
        self.prefix = exact(topic)
        self.seq = 0
        self.ring = BodyRing(ring)


class Publisher:
    """
    What goes through the XPUB socket. ``epoch`` is the relay's, for the topics that are its own.
    """

    def __init__(self, socket: PublishSocket, epoch: int) -> None:
        self.epoch = epoch
        self.published = 0
        self._send = socket.send
        # In the order of the changes, not of a set: the same run gives the same bytes.
        self._changed: dict[Stream, None] = {}
        self._quiet: dict[str, _Quiet] = {}
        self._quiet_changed: dict[str, None] = {}
        self._trade_changed: dict[str, tuple[int, int]] = {}
        self._bulk: dict[str, tuple[bytes, list[int]]] = {}
        self._bulk_wanted: dict[str, bool] = {}
        self._bulk_changed: dict[str, None] = {}
        self._topics: set[bytes] = set()
        self._relay = _Quiet(RELAY)

    def publish_run(self, stream: Stream, first: int, length: int, records: bytes) -> None:
        """
        Publish ``length`` records from ``first`` on, one message each: the hot path.
        """
        if length == 1:
            self._send(stream.prefix + records)
        else:
            deque(map(self._send, map(stream.prefix.__add__, _splitter(length)(records))), 0)
        self.published += length
        self._changed[stream] = None
        if self._bulk_wanted[stream.alias]:
            self._publish_bulk(stream, first, length, records)

    def publish_status(self, alias: str, time_utc_msc: int, event: str, details: object) -> None:
        """
        Publish on ``status/<alias>``.
        """
        self._publish_quiet(status_topic(alias), _STATUS_RING, time_utc_msc, str(event), details)

    def publish_state(self, topic: str, time_utc_msc: int, state: object) -> None:
        """
        Publish the account or the positions of a terminal as they are now.
        """
        self._publish_quiet(topic, _STATE_RING, time_utc_msc, state)

    def publish_trade(self, alias: str, epoch: int, seq: int, body: bytes) -> None:
        """
        Publish on ``trade/<alias>`` what the journal has numbered and has on disk.
        """
        topic = trade_topic(alias)
        self._trade_changed[topic] = (epoch, seq)
        self._send(exact(topic) + body)

    def publish_sync(self, nonce: str, time_utc_msc: int) -> None:
        """
        Publish a client's barrier.
        """
        self._send(exact(sync_topic(nonce)) + pack_body(self.epoch, 1, time_utc_msc))

    def publish_tails(self, time_utc_msc: int) -> None:
        """
        Publish on ``relay`` what moved since the last time, and that the relay lives.
        """
        tails = [(s.topic, s.epoch, s.newest) for s in self._changed]
        tails += [(topic, self.epoch, self._quiet[topic].seq) for topic in self._quiet_changed]
        tails += [(topic, *newest) for topic, newest in self._trade_changed.items()]
        for alias in self._bulk_changed:
            tails.append((bulk_topic(alias), self.epoch, self._bulk[alias][1][0]))
        self._bulk_changed.clear()
        self._changed.clear()
        self._quiet_changed.clear()
        self._trade_changed.clear()
        for at in range(0, max(len(tails), 1), TAILS_PER_MESSAGE):
            self._relay.seq += 1
            self._send(
                self._relay.prefix
                + pack_body(
                    self.epoch, self._relay.seq, time_utc_msc, tails[at : at + TAILS_PER_MESSAGE]
                )
            )

    def quiet_ring(self, topic: str) -> tuple[int, BodyRing] | None:
        """
        Return (seq, ring) of a topic of the relay's own, ``None`` if nothing was published.
        """
        if topic == RELAY:
            return self._relay.seq, self._relay.ring
        quiet = self._quiet.get(topic)
        return None if quiet is None else (quiet.seq, quiet.ring)

    def is_subscribed(self, topic: bytes) -> bool:
        """
        Tell whether anybody subscribed to exactly these bytes.
        """
        return topic in self._topics

    def add_alias(self, alias: str) -> None:
        """
        Make the bulk topic of a terminal known.
        """
        self._bulk[alias] = (exact(bulk_topic(alias)), [0])
        self._bulk_wanted[alias] = False

    def receive(self, frame: bytes, listener: Subscriptions) -> None:
        """
        Take what a subscriber sent; ``listener`` hears of first and last subscribers.
        """
        kind, topic = frame[:1], frame[1:]
        if kind == b"\x01" and len(self._topics) < _SUBSCRIPTIONS_MAX:
            self._topics.add(topic)
            self._watch_bulk()
            listener.subscribed(topic)
        elif kind == b"\x00" and topic in self._topics:
            self._topics.discard(topic)
            self._watch_bulk()
            listener.unsubscribed(topic)

    def _publish_quiet(self, topic: str, ring: int, *fields: object) -> None:
        quiet = self._quiet.get(topic)
        if quiet is None:
            quiet = self._quiet[topic] = _Quiet(topic, ring)
        quiet.seq += 1
        body = pack_body(self.epoch, quiet.seq, *fields)
        quiet.ring.append(quiet.seq, body)
        self._quiet_changed[topic] = None
        self._send(quiet.prefix + body)

    def _watch_bulk(self) -> None:
        # Topics are few hundred at most and change rarely; a tick costs one look-up.
        for alias, (prefix, _) in self._bulk.items():
            self._bulk_wanted[alias] = any(
                prefix[:length] in self._topics for length in range(len(prefix) + 1)
            )

    def _publish_bulk(self, stream: Stream, first: int, length: int, records: bytes) -> None:
        prefix, counter = self._bulk[stream.alias]
        counter[0] += 1
        self._bulk_changed[stream.alias] = None
        body = pack_body(
            self.epoch, counter[0], stream.symbol, stream.epoch, first, length, records
        )
        self._send(prefix + body)


@functools.cache
def _splitter(length: int) -> Callable[[bytes], tuple[bytes, ...]]:
    # One call splits a run, at half the price of slicing. A run has at most 1,024 records.
    return struct.Struct(f"{RECORD_SIZE}s" * length).unpack
