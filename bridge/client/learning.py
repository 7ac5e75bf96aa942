"""Learning by snapshot what the messages themselves did not show. Pure.

``refresh``: the tails of all topics, when those on ``relay`` may have been lost.
``watch``: topics whose terminal has not answered the subscription yet; they are asked for
again until it has, because only the snapshot tells that there is no such symbol.
"""

from __future__ import annotations

from typing import Any, Final

from bridge.bus.requests import ErrorName, Method
from bridge.client.core import Topic, epoch_seq
from bridge.client.healing import Asker, Healer
from bridge.client.replies import MalformedReply, RateLimited, read_snapshot
from bridge.client.subscriptions import Subscriptions
from bridge.exceptions import RequestError

__all__ = ["PASSING", "SNAPSHOT_TOPICS", "SNAPSHOT_WAIT_MS", "Learner", "position"]

#: Most topics of one snapshot, and how long it may wait for terminals.
SNAPSHOT_TOPICS: Final = 256
SNAPSHOT_WAIT_MS: Final = 3_000

#: Errors of a topic that pass by themselves; any other ends the stream.
PASSING: Final = frozenset(
    {
        ErrorName.TERMINAL_UNAVAILABLE,
        ErrorName.DEADLINE_EXCEEDED,
        ErrorName.NOT_AVAILABLE,
        ErrorName.TOO_MANY_REQUESTS,
        ErrorName.SHUTTING_DOWN,
    }
)

_TIMEOUT_S: Final = 3.0
_RETRY_S: Final = 0.2
_RETRY_MAX_S: Final = 5.0
_WATCH_S: Final = 0.5
_WATCH_MAX_S: Final = 5.0
_NEVER: Final = float("inf")


def position(body: list[Any]) -> tuple[int, int] | None:
    """
    Return (epoch, seq) of a decoded body, ``None`` when it is malformed.
    """
    try:
        return epoch_seq(body)
    except ValueError:
        return None


class Learner:
    """
    Keeps the topics of one stream informed. ``error`` is set when one of them cannot be had.
    """

    def __init__(self, subscriptions: Subscriptions, healer: Healer, ask: Asker) -> None:
        self.error: RequestError | None = None
        self._subscriptions = subscriptions
        self._healer = healer
        self._ask = ask
        self._asked = 0
        self._again = False
        self._refresh_at = _NEVER
        self._retry_s = _RETRY_S
        self._watched: dict[Topic, None] = {}
        self._watch_at = _NEVER
        self._watch_s = _WATCH_S

    @property
    def deadline(self) -> float:
        """
        When ``timer`` is to be called, if nothing happens before.
        """
        return min(self._refresh_at, self._watch_at)

    def timer(self, now: float) -> None:
        """
        Do what is due.
        """
        if now >= self._refresh_at:
            self.refresh()
        if now >= self._watch_at:
            self._ask_watched()

    def refresh(self) -> None:
        """
        Ask for the tails of all topics, once more if that is under way already.
        """
        self._refresh_at = _NEVER
        if self._asked:
            self._again = True
            return
        self._again = False
        # A name that is no topic of this version (a prefix found it) cannot be asked for.
        names = [topic.info.name for topic in self._subscriptions if topic.info.kind]
        for at in range(0, len(names), SNAPSHOT_TOPICS):
            self._asked += 1
            self._ask(
                Method.SNAPSHOT,
                {"topics": names[at : at + SNAPSHOT_TOPICS], "wait_ms": 0},
                _TIMEOUT_S,
                self._refreshed,
                self._refresh_failed,
            )

    def watch(self, topic: Topic) -> None:
        """
        Ask for this topic until its terminal has answered. Call ``start`` after the last.
        """
        self._watched[topic] = None

    def start(self, now: float) -> None:
        """
        Begin to ask for the topics that are watched.
        """
        if self._watched:
            self._watch_at = now + self._watch_s

    # --- inside --------------------------------------------------------------------------

    def _refreshed(self, result: dict[str, Any], now: float) -> None:
        self._asked -= 1
        self._retry_s = _RETRY_S
        self._learn(result, now)
        if not self._asked and self._again:
            self.refresh()

    def _refresh_failed(self, error: RequestError, now: float) -> None:
        self._asked -= 1
        pause = error.retry_after_s if isinstance(error, RateLimited) else self._retry_s
        self._retry_s = min(self._retry_s * 2, _RETRY_MAX_S)
        self._refresh_at = min(self._refresh_at, now + pause)

    def _ask_watched(self) -> None:
        self._watch_at = _NEVER
        names = [topic.info.name for topic in self._watched][:SNAPSHOT_TOPICS]
        self._ask(
            Method.SNAPSHOT,
            {"topics": names, "wait_ms": SNAPSHOT_WAIT_MS},
            SNAPSHOT_WAIT_MS / 1000 + _TIMEOUT_S,
            self._watched_came,
            lambda _error, now: self._plan_watch(now),
        )

    def _watched_came(self, result: dict[str, Any], now: float) -> None:
        self._learn(result, now)
        self._plan_watch(now)

    def _plan_watch(self, now: float) -> None:
        if self._watched:
            self._watch_s = min(self._watch_s * 2, _WATCH_MAX_S)
            self._watch_at = now + self._watch_s

    def _learn(self, result: dict[str, Any], now: float) -> None:
        try:
            entries = read_snapshot(result)
        except MalformedReply:
            self._subscriptions.stats.malformed += 1
            return
        for entry in entries:
            topic = self._subscriptions.find(entry.topic)
            if topic is None:
                continue
            if topic in self._watched:
                del self._watched[topic]
                if entry.error is not None and entry.error.code not in PASSING:
                    self.error = self.error or entry.error
                elif entry.status != "ok":
                    # Behind the others, so that more than one request's worth take turns.
                    self._watched[topic] = None
            if entry.epoch is None:
                continue
            at = None if entry.body is None else position(entry.body)
            if entry.body is not None and at is not None and at == (topic.epoch, topic.next):
                topic.receive(*at, entry.body)
            topic.hear_tail(entry.epoch, entry.seq)
            self._healer.note(topic, now)
