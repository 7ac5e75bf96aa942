"""Healing: which topic is asked for when, until nothing is missing. Pure.

One replay a topic and a few at a time, each for exactly what is missing and not more than
``CHUNK`` messages, so that a slow reader is not flooded. A refusal for its rate holds all
replays back, because the relay counts them together.

Patience: what the relay answers wrongly is asked for ``ATTEMPTS`` times. A relay that does
not answer at all is asked again without end: while it is silent nothing newer waits
behind the hole, and when it is back it still has what was missed. A relay that was just
restarted holds nothing until the terminal has sent it again, and says "missing" of
everything; this is not believed before its snapshot shows that the topic is filled again.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

from bridge.bus.requests import Method
from bridge.client.core import NOT_HELD, Range, Topic
from bridge.client.replies import MalformedReply, RateLimited, read_replay, read_snapshot
from bridge.exceptions import (
    DeadlineExceeded,
    InvalidRequest,
    NotAvailable,
    RelayUnreachable,
    RequestError,
    TerminalUnavailable,
)

__all__ = ["ATTEMPTS", "CHUNK", "PATIENCE_S", "Asker", "Healer"]

CHUNK: Final = 4_000
ATTEMPTS: Final = 8
#: The terminal of a relay that was restarted has this long to send its ticks again.
PATIENCE_S: Final = 30.0
_REFUSALS: Final = 100
_PARALLEL: Final = 4
_TIMEOUT_S: Final = 3.0
_REST_S: Final = 0.1
_REST_MAX_S: Final = 2.0
_NOTHING: Final = Range(0, 0, None)


class Asker(Protocol):
    """
    Sends a request; exactly one of the two is called with its outcome and the time.
    """

    def __call__(
        self,
        method: Method,
        params: dict[str, Any],
        timeout_s: float,
        done: Callable[[dict[str, Any], float], None],
        failed: Callable[[RequestError, float], None],
    ) -> None: ...


@dataclasses.dataclass(slots=True, eq=False)
class _Case:
    """
    A topic that is behind, and how asking for it goes.
    """

    topic: Topic
    since: float
    asked: Range = _NOTHING
    attempts: int = 0
    refusals: int = 0
    rests: int = 0


class Healer:
    """
    Replays what the topics of one stream miss.

    ``is_silent`` tells whether the relay is heard at all. After every call that can change
    something, call ``pump``.
    """

    def __init__(self, ask: Asker, is_silent: Callable[[float], bool]) -> None:
        self.paused = False
        self._ask = ask
        self._is_silent = is_silent
        self._cases: dict[Topic, _Case] = {}
        self._queue: deque[_Case] = deque()
        self._resting: list[tuple[float, int, _Case]] = []
        self._order = itertools.count()
        self._asked = 0
        self._held_until = 0.0

    @property
    def deadline(self) -> float:
        """
        When ``pump`` has something to do again, if nothing happens before.
        """
        if self.paused:
            return float("inf")
        rested = self._resting[0][0] if self._resting else float("inf")
        if self._queue and self._asked < _PARALLEL:
            return min(rested, self._held_until)
        return rested

    def note(self, topic: Topic, now: float) -> None:
        """
        Take care of this topic if it is behind.
        """
        if topic not in self._cases and topic.behind:
            case = self._cases[topic] = _Case(topic, now)
            self._queue.append(case)

    def pump(self, now: float) -> None:
        """
        Ask for as much as may be asked for now.
        """
        while self._resting and self._resting[0][0] <= now:
            self._queue.append(heapq.heappop(self._resting)[2])
        while self._queue and self._asked < _PARALLEL and not self.paused:
            if now < self._held_until:
                return
            case = self._queue.popleft()
            wanted = case.topic.wanted()
            if wanted is None:
                del self._cases[case.topic]
                continue
            if wanted.last is not None:
                wanted = wanted._replace(last=min(wanted.last, wanted.first + CHUNK - 1))
            case.asked = wanted
            params: dict[str, Any] = {
                "topic": case.topic.info.name,
                "epoch": wanted.epoch,
                "first": wanted.first,
            }
            if wanted.last is not None:
                params["last"] = wanted.last
            self._asked += 1
            self._ask(
                Method.REPLAY,
                params,
                _TIMEOUT_S,
                partial(self._replayed, case),
                partial(self._refused, case),
            )

    # --- inside --------------------------------------------------------------------------

    def _replayed(self, case: _Case, result: dict[str, Any], now: float) -> None:
        self._asked -= 1
        try:
            page = read_replay(result)
        except MalformedReply as error:
            self._rest(case, now, error.message)
            return
        asked = case.asked
        if (
            case.topic.info.kind == "tick"
            and asked.last is not None
            and not page.bodies
            and any(first <= asked.first and asked.last <= last for first, last in page.missing)
        ):
            self._confirm(case)
            return
        progress = case.topic.take_replay(
            asked, page.bodies, page.missing, complete=page.next_seq is None
        )
        said_nothing = not page.bodies and not page.missing
        if not progress and said_nothing and now - case.since < PATIENCE_S:
            # It does not have it yet: a terminal is just sending it again.
            self._rest(case, now, None)
            return
        self._go_on(case, now, progress=progress)

    def _go_on(self, case: _Case, now: float, *, progress: bool) -> None:
        if not case.topic.behind:
            del self._cases[case.topic]
        elif progress:
            case.attempts = case.refusals = case.rests = 0
            case.since = now
            self._queue.append(case)
        else:
            self._rest(case, now, "the relay did not say what became of it")

    def _confirm(self, case: _Case) -> None:
        self._asked += 1
        self._ask(
            Method.SNAPSHOT,
            {"topics": [case.topic.info.name], "wait_ms": 0},
            _TIMEOUT_S,
            partial(self._confirmed, case),
            partial(self._refused, case),
        )

    def _confirmed(self, case: _Case, result: dict[str, Any], now: float) -> None:
        self._asked -= 1
        try:
            entries = read_snapshot(result)
        except MalformedReply as error:
            self._rest(case, now, error.message)
            return
        asked = case.asked
        for entry in entries:
            if entry.topic != case.topic.info.name or entry.oldest_seq is not None:
                continue
            away = isinstance(entry.error, TerminalUnavailable)
            if (entry.epoch or 0) <= asked.epoch and (away or now - case.since < PATIENCE_S):
                self._rest(case, now, None)
                return
        if asked.last is not None:
            case.topic.take_replay(asked, [], [(asked.first, asked.last)], complete=True)
        self._go_on(case, now, progress=True)

    def _refused(self, case: _Case, error: RequestError, now: float) -> None:
        self._asked -= 1
        if isinstance(error, RateLimited) and case.refusals < _REFUSALS:
            case.refusals += 1
            self._held_until = max(self._held_until, now + error.retry_after_s)
            self._queue.appendleft(case)
        elif isinstance(error, NotAvailable | InvalidRequest):
            case.topic.give_up(case.asked, error.message)
            self._go_on(case, now, progress=True)
        elif isinstance(error, RelayUnreachable | DeadlineExceeded) and self._is_silent(now):
            self._rest(case, now, None)
        else:
            self._rest(case, now, error.message)

    def _rest(self, case: _Case, now: float, reason: str | None) -> None:
        # Without a reason the wait is nobody's fault and does not count.
        if reason is not None:
            case.attempts += 1
            if case.attempts >= ATTEMPTS:
                case.topic.give_up(case.asked, f"{NOT_HELD} ({reason})"[:200])
                case.attempts = 0
                self._go_on(case, now, progress=True)
                return
        pause = min(_REST_S * 2 ** min(case.rests, 10), _REST_MAX_S)
        case.rests += 1
        heapq.heappush(self._resting, (now + pause, next(self._order), case))
