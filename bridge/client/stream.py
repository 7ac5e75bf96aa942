"""A stream of topics from the first subscription to the end. Pure: driven with ``now``.

::

    DIALLING ──ping──▶ BARRIER ──sync arrived──▶ SNAPSHOT ──every topic──▶ RUNNING
        └──────────────────┴───────── refused, or out of time ──┴─────────────┴──▶ FAILED

Joining (ZeroMQ Guide, chapter 5, "Clone"): subscribe to the topics, to ``relay`` and last
to ``sync/<nonce>``; request ``sync`` until it arrives, because then every subscription
before it is in force; then ask for the snapshot. What arrives meanwhile is kept and merged
by (epoch, seq).

Running: the messages themselves show a hole in the middle, the tails on ``relay`` one at
the end. ``relay`` is watched in turn: when its numbers jump, its epoch changes, or it is
silent for ``SILENCE_S``, the tails may be among what was lost, and a snapshot tells them.

A terminal that is away is no error here unless ``wait`` is false: the topic is joined
without a value, the snapshot is asked again from time to time, and the ticks come as soon
as the terminal does. An error that will not pass by itself (no such symbol) ends the
stream whenever it becomes known.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

from bridge.bus.bodies import RelayBody, Tail, read_relay
from bridge.bus.requests import BUS_VERSION, Method
from bridge.bus.topics import RELAY, SEPARATOR, exact, sync_topic
from bridge.client.actions import Action, Ask, Connect, Fail, Joined, Subscribe, Unsubscribe
from bridge.client.core import BEGAN_ANEW, Item, StreamStats, Topic, TopicInfo, epoch_seq
from bridge.client.healing import Healer
from bridge.client.learning import PASSING, SNAPSHOT_TOPICS, SNAPSHOT_WAIT_MS, Learner, position
from bridge.client.replies import (
    MalformedReply,
    RateLimited,
    TopicEntry,
    publish_endpoint,
    read_snapshot,
)
from bridge.client.subscriptions import Subscriptions, TooManyTopics
from bridge.exceptions import (
    DeadlineExceeded,
    InvalidRequest,
    RelayUnreachable,
    RequestError,
    RequestRefused,
    TerminalUnavailable,
)
from bridge.model.record import RECORD_SIZE
from bridge.model.tick import Gap

__all__ = ["SILENCE_S", "Phase", "StreamCore", "wrong_version"]

SILENCE_S: Final = 3.0
_SYNC_EVERY_S: Final = 0.05
#: A relay that has not yet read our subscription calls its topic idle.
_IDLE_PATIENCE_S: Final = 1.0
_RETRY_S: Final = 0.2
#: Rounds of silence with answered pings between them, after which the subscriber redials.
_SILENT_ROUNDS: Final = 3
_NEVER: Final = float("inf")
_RELAY_BYTES: Final = RELAY.encode()
_RELAY_INFO: Final = TopicInfo(RELAY, RELAY, "", "")
_SYNC_PREFIX: Final = b"sync/"
#: markers of array, epoch and seq: the beginning of a tick record
_HEAD: Final = struct.Struct(">BBIBQ").unpack_from

_Done: TypeAlias = Callable[[dict[str, Any], float], None]
_Failed: TypeAlias = Callable[[RequestError, float], None]


class Phase(enum.Enum):
    """
    How far a stream is.
    """

    DIALLING = "dialling"
    BARRIER = "barrier"
    SNAPSHOT = "snapshot"
    RUNNING = "running"
    FAILED = "failed"


class StreamCore:
    """
    The state of one stream.

    After every call, do what ``take_actions`` returns and hand on what ``take_items``
    returns; call ``timer`` when ``deadline`` has come. The outcome of an ``Ask`` goes to
    ``replied`` or ``refused``, once.

    ``timeout_s`` is how long joining may take; ``wait``: a terminal that is away is waited
    for. ``nonce`` is 8 to 64 letters and digits that nobody else uses. ``current``: begin with
    the newest message there is, and not with the next one.

    Raises (from the constructor):
        InvalidRequest: a name is neither a topic nor a prefix.
    """

    def __init__(
        self,
        names: Iterable[str],
        *,
        endpoint: str,
        nonce: str,
        timeout_s: float,
        wait: bool,
        current: bool = True,
    ) -> None:
        self.phase = Phase.DIALLING
        self.stats = StreamStats()
        self._wait = wait
        self._current = current
        self._endpoint = endpoint
        self._sync = sync_topic(nonce)
        self._nonce = nonce
        self._timeout_s = timeout_s
        self._items: list[Item] = []
        self._actions: list[Action] = []
        self._subscriptions = Subscriptions(names, self._items, self.stats)
        self._topics = self._subscriptions.topics
        self._unjoined = dict.fromkeys(self._subscriptions)
        self._waiting: list[str] = []
        self._last_token = 0
        self._asks: dict[int, tuple[_Done, _Failed]] = {}
        self._healer = Healer(self._ask, self._is_silent)
        self._learner = Learner(self._subscriptions, self._healer, self._ask)
        self._publish = ""
        self._relay_epoch: Any = None
        self._paused = False
        #: (epoch, seq) of the last message on ``relay``, and when it came
        self._relay: tuple[int, int] | None = None
        self._heard = 0.0
        self._silent_rounds = 0
        self._join_by = _NEVER
        self._sync_at = _NEVER
        self._snapshot_at = _NEVER
        self._idle_until = _NEVER
        self._silent_at = _NEVER

    # --- what the engine reads --------------------------------------------------------------

    @property
    def deadline(self) -> float:
        """
        When ``timer`` is to be called, if nothing happens before.
        """
        if self.phase is Phase.FAILED:
            return _NEVER
        return min(
            self._join_by,
            self._sync_at,
            self._snapshot_at,
            self._silent_at,
            self._learner.deadline,
            self._healer.deadline,
        )

    @property
    def topics(self) -> list[Topic]:
        """
        The state of every topic.
        """
        return list(self._subscriptions)

    def take_items(self) -> list[Item]:
        """
        Return what is to be delivered, and forget it here.
        """
        items = self._items.copy()
        self._items.clear()
        self.stats.items += len(items)
        return items

    def take_actions(self) -> list[Action]:
        """
        Return what is to be done, and forget it here.
        """
        actions, self._actions = self._actions, []
        return actions

    # --- what the engine tells --------------------------------------------------------------

    def start(self, now: float) -> None:
        """
        Begin to join.
        """
        self._join_by = now + self._timeout_s
        self._heard = now
        self._ask(Method.PING, {}, self._timeout_s, self._dialled, self._fail)

    def receive(self, frame: bytes, now: float) -> None:
        """
        Take a published frame. Hot path: a tick that is due is one look-up and one compare.
        """
        name, separator, body = frame.partition(SEPARATOR)
        topic = self._topics.get(name)
        if topic is not None and topic.steady and len(body) == RECORD_SIZE:
            array, u32, epoch, u64, seq = _HEAD(body)
            if (
                seq == topic.next
                and epoch == topic.epoch
                and array == 0x99
                and u32 == 0xCE
                and u64 == 0xCF
            ):
                topic.next = seq + 1
                self._items.append((topic.info, body, None))
                return
        if self.phase is Phase.FAILED:
            return
        if not separator:
            self.stats.malformed += 1
        elif name == _RELAY_BYTES:
            self._receive_relay(body, now)
            self._after(now)
        elif name.startswith(_SYNC_PREFIX):
            if self.phase is Phase.BARRIER and name == self._sync.encode():
                self._pass_barrier(now)
        else:
            self._receive(name, topic, body, now)

    def replied(self, token: int, result: dict[str, Any], now: float) -> None:
        """
        Take the result of an ``Ask``.
        """
        done, _ = self._asks.pop(token)
        if self.phase is not Phase.FAILED:
            done(result, now)
            self._after(now)

    def refused(self, token: int, error: RequestError, now: float) -> None:
        """
        Take the error of an ``Ask``: the relay's, or that no answer came in time.
        """
        _, failed = self._asks.pop(token)
        if self.phase is not Phase.FAILED:
            failed(error, now)
            self._after(now)

    def pause(self) -> None:
        """
        The iterator is full: nothing more is asked for, and nothing is read.
        """
        self._paused = self._healer.paused = True
        self._silent_at = _NEVER

    def resume(self, now: float) -> None:
        """
        The iterator has room again. What ``relay`` said meanwhile is still to be read.
        """
        self._paused = self._healer.paused = False
        if self.phase is Phase.RUNNING:
            self._heard = now
            self._silent_at = now + SILENCE_S
        self._after(now)

    def timer(self, now: float) -> None:
        """
        Do what is due.
        """
        if self.phase is Phase.FAILED:
            return
        if now >= self._join_by:
            self._fail(self._join_timeout(), now)
            return
        if now >= self._sync_at:
            self._sync_at = now + _SYNC_EVERY_S
            self._ask(Method.SYNC, {"nonce": self._nonce}, 1.0, _ignore, self._sync_refused)
        if now >= self._snapshot_at:
            self._snapshot_at = _NEVER
            self._ask_unjoined(now)
        if now >= self._silent_at:
            self._silent(now)
        self._learner.timer(now)
        self._after(now)

    # --- joining ----------------------------------------------------------------------------

    def _dialled(self, result: dict[str, Any], now: float) -> None:
        if result.get("bus_version") != BUS_VERSION:
            self._fail(wrong_version(result), now)
            return
        try:
            self._publish = publish_endpoint(self._endpoint, str(result.get("publish")))
        except RequestError as error:
            self._fail(error, now)
            return
        self._relay_epoch = result.get("relay_epoch")
        self.phase = Phase.BARRIER
        self._actions.append(Connect(self._publish))
        self._actions += [Subscribe(prefix) for prefix in self._subscriptions.filters]
        self._actions.append(Subscribe(exact(self._sync)))
        self._sync_at = now

    def _sync_refused(self, error: RequestError, now: float) -> None:
        if self.phase is Phase.BARRIER and isinstance(error, InvalidRequest):
            self._fail(error, now)

    def _pass_barrier(self, now: float) -> None:
        self._actions.append(Unsubscribe(exact(self._sync)))
        self._sync_at = _NEVER
        self.phase = Phase.SNAPSHOT
        self._idle_until = now + _IDLE_PATIENCE_S
        self._ask_unjoined(now)

    def _ask_unjoined(self, now: float) -> None:
        names = [topic.info.name for topic in self._unjoined]
        if not names:
            self._run(now)
            return
        # The relay gives up on slow terminals before our own patience ends.
        wait_ms = min(SNAPSHOT_WAIT_MS, max(int((self._join_by - now) * 600), 0))
        for at in range(0, len(names), SNAPSHOT_TOPICS):
            self._ask(
                Method.SNAPSHOT,
                {"topics": names[at : at + SNAPSHOT_TOPICS], "wait_ms": wait_ms},
                max(self._join_by - now, 0.1),
                self._snapshot_came,
                self._snapshot_refused,
            )

    def _snapshot_came(self, result: dict[str, Any], now: float) -> None:
        try:
            entries = read_snapshot(result)
        except MalformedReply as error:
            self._fail(error, now)
            return
        for entry in entries:
            topic = self._subscriptions.find(entry.topic)
            if topic is not None and topic in self._unjoined:
                problem = self._join(topic, entry, now)
                if problem is not None:
                    self._fail(problem, now)
                    return
        if self._unjoined:
            self._snapshot_at = min(self._snapshot_at, now + _SYNC_EVERY_S)
        elif self.phase is Phase.SNAPSHOT:
            self._run(now)

    def _snapshot_refused(self, error: RequestError, now: float) -> None:
        if error.code not in PASSING and not isinstance(error, RelayUnreachable):
            self._fail(error, now)
            return
        pause = error.retry_after_s if isinstance(error, RateLimited) else _RETRY_S
        self._snapshot_at = min(self._snapshot_at, now + pause)

    def _join(self, topic: Topic, entry: TopicEntry, now: float) -> RequestError | None:
        if entry.error is not None:
            waits = self._wait or not isinstance(entry.error, TerminalUnavailable)
            if entry.error.code not in PASSING or not waits:
                return entry.error
        if topic.info.kind == "tick" and entry.status != "ok":
            if entry.error is None and now < self._idle_until:
                return None
            self._learner.watch(topic)
            if entry.error is not None:
                self._waiting.append(f"{topic.info.name}: {entry.error.message}")
        del self._unjoined[topic]
        body = entry.body if entry.status == "ok" and self._current else None
        held = None if entry.epoch is None else topic.first_held(entry.epoch)
        if entry.epoch is not None and body is None and held is not None:
            # It came after the subscription, so it is wanted, whatever the snapshot says of it.
            topic.join(entry.epoch, min(held - 1, entry.seq), None)
            topic.hear_tail(entry.epoch, entry.seq)
        elif entry.epoch is None or body is None or position(body) == (entry.epoch, entry.seq):
            topic.join(entry.epoch, entry.seq, body)
        else:
            # After a restart the relay knows the newest number from its checkpoint and may
            # hold only older messages yet: have the newest replayed when it is there.
            topic.join(entry.epoch, entry.seq - 1, None)
            topic.hear_tail(entry.epoch, entry.seq)
        self._healer.note(topic, now)
        return None

    def _run(self, now: float) -> None:
        self.phase = Phase.RUNNING
        self._join_by = self._snapshot_at = _NEVER
        self._heard = now
        if not self._paused:
            self._silent_at = now + SILENCE_S
        self._learner.start(now)
        self._actions.append(Joined(tuple(self._waiting)))

    def _join_timeout(self) -> RequestError:
        within = f"within {self._timeout_s:g} s"
        if self.phase is Phase.BARRIER:
            return DeadlineExceeded(
                f"the relay answers requests at {self._endpoint}, but nothing arrives from "
                f"{self._publish} {within}",
                hint="is that port forwarded too, or held up by a firewall?",
            )
        what = "snapshot" if self.phase is Phase.SNAPSHOT else "ping"
        return DeadlineExceeded(
            f"the relay at {self._endpoint} did not answer {what} {within}",
            hint="'bridge status' shows what it is doing; or allow more with timeout=",
        )

    # --- running ----------------------------------------------------------------------------

    def _receive(self, name: bytes, topic: Topic | None, body: bytes, now: float) -> None:
        try:
            epoch, seq = epoch_seq(body)
        except ValueError:
            self.stats.malformed += 1
            return
        if topic is None:
            topic = self._discover(name, now)
            if topic is None:
                return
            topic.start_at(epoch, seq)
        topic.receive(epoch, seq, body)
        if topic.behind:
            self._healer.note(topic, now)
            self._healer.pump(now)

    def _receive_relay(self, body: bytes, now: float) -> None:
        try:
            relay = read_relay(body)
        except (ValueError, TypeError):
            self.stats.malformed += 1
            return
        before, self._relay = self._relay, (relay.epoch, relay.seq)
        self._heard = now
        self._silent_rounds = 0
        if self._subscriptions.relay_wanted:
            self._deliver_relay(before, relay, body)
        if before is not None and relay.epoch < before[0]:
            # Another installation, or its data folder was removed: its numbers begin anew.
            for topic in self._subscriptions:
                topic.restart()
        if self.phase is not Phase.RUNNING:
            return
        if not self._paused:
            self._silent_at = now + SILENCE_S
        in_order = before is not None and self._relay == (before[0], before[1] + 1)
        for tail in relay.tails:
            self._hear_tail(tail, now, in_order=in_order)
        if in_order:
            return
        # The first message shows nothing of what was lost between it and the snapshot.
        self._learner.refresh()
        if before is not None or relay.epoch != self._relay_epoch:
            for topic in self._subscriptions:
                topic.interrupt()

    def _hear_tail(self, tail: Tail, now: float, *, in_order: bool) -> None:
        topic = self._subscriptions.find(tail.topic)
        if topic is None:
            topic = self._discover(tail.topic.encode(errors="replace"), now)
            if topic is None:
                return
            # Heard of for the first time: if it moved since the last tails, its newest
            # message was meant for us; how far back before that, nobody can tell.
            topic.start_at(tail.epoch, tail.seq if in_order else tail.seq + 1)
        topic.hear_tail(tail.epoch, tail.seq)
        self._healer.note(topic, now)

    def _deliver_relay(self, before: tuple[int, int] | None, relay: RelayBody, body: bytes) -> None:
        gap = None
        if before is not None and relay.epoch != before[0]:
            gap = Gap(RELAY, before[0], before[1] + 1, None, BEGAN_ANEW)
        elif before is not None and relay.seq > before[1] + 1:
            gap = Gap(RELAY, relay.epoch, before[1] + 1, relay.seq - 1, "heartbeats are not kept")
            self.stats.missing += relay.seq - 1 - before[1]
        if gap is not None:
            self.stats.gaps += 1
            self._items.append((_RELAY_INFO, None, gap))
        self._items.append((_RELAY_INFO, body, gap))

    def _discover(self, name: bytes, now: float) -> Topic | None:
        try:
            return self._subscriptions.discover(name)
        except TooManyTopics as error:
            self._fail(error, now)
            return None

    def _silent(self, now: float) -> None:
        self._silent_at = now + SILENCE_S
        self._silent_rounds += 1
        self._learner.refresh()
        # The publish port may be another one since the relay was restarted.
        self._ask(Method.PING, {}, SILENCE_S, self._pinged, _ignore)

    def _pinged(self, result: dict[str, Any], _now: float) -> None:
        try:
            publish = publish_endpoint(self._endpoint, str(result.get("publish")))
        except RequestError:
            self.stats.malformed += 1
            return
        if publish != self._publish or self._silent_rounds >= _SILENT_ROUNDS:
            self._publish = publish
            self._silent_rounds = 0
            self._actions.append(Connect(publish))

    # --- inside -----------------------------------------------------------------------------

    def _after(self, now: float) -> None:
        if self._learner.error is not None:
            self._fail(self._learner.error, now)
        if self.phase is not Phase.FAILED:
            self._healer.pump(now)

    def _is_silent(self, now: float) -> bool:
        return not self._paused and now - self._heard > SILENCE_S

    def _ask(
        self,
        method: Method,
        params: dict[str, Any],
        timeout_s: float,
        done: _Done,
        failed: _Failed,
    ) -> None:
        self._last_token += 1
        self._asks[self._last_token] = (done, failed)
        self._actions.append(Ask(self._last_token, method, params, timeout_s))

    def _fail(self, error: RequestError, _now: float) -> None:
        if self.phase is not Phase.FAILED:
            self.phase = Phase.FAILED
            self._actions.append(Fail(error))


def wrong_version(pong: dict[str, Any]) -> RequestError:
    """
    Return the error for a relay that speaks another version of the bus protocol.
    """
    return RequestRefused(
        f"the relay speaks version {pong.get('bus_version')!r} of the bus protocol, "
        f"this client {BUS_VERSION}",
        code="WRONG_VERSION",
        hint="install the same release of mt5-zmq-bridge on both sides",
    )


def _ignore(_outcome: object, _now: float) -> None:
    # What was asked for shows elsewhere: it arrives on the subscriber.
    return
