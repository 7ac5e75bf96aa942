"""A stream core and a relay model, joined by a wire that loses what the test says."""

from __future__ import annotations

import heapq
import itertools
from typing import Any

from bridge.bus.topics import exact, sync_topic
from bridge.client.actions import Ask, Connect, Fail, Joined, Subscribe, Unsubscribe
from bridge.client.core import Item
from bridge.client.replies import error_from
from bridge.client.stream import StreamCore
from bridge.exceptions import DeadlineExceeded, RequestError
from tests.support.relay_model import Refusal, RelayModel

REQUEST = "tcp://127.0.0.1:5556"
NONCE = "abcdefgh1234"


class WireModel:
    """
    Time stands still unless ``advance`` is called. A request is answered at once, or, when
    ``lose_replies`` is positive, times out; ``refusals`` are used up before any answer.
    """

    def __init__(self, relay: RelayModel, *names: str, wait: bool = True) -> None:
        self.relay = relay
        self.now = 1_000.0
        self.items: list[Item] = []
        self.error: RequestError | None = None
        self.joined = False
        self.connected: list[str] = []
        self.filters: list[bytes] = []
        self.lose_replies = 0
        self.refusals: list[Refusal] = []
        self.held_replies: list[Ask] | None = None
        self._timeouts: list[tuple[float, int, Ask]] = []
        self._order = itertools.count()
        self.core = StreamCore(names, endpoint=REQUEST, nonce=NONCE, timeout_s=5.0, wait=wait)

    def join(self) -> None:
        """
        Join, the barrier included.
        """
        self.core.start(self.now)
        self.settle()
        self.core.timer(self.now)
        self.settle()
        self.core.receive(exact(sync_topic(NONCE)) + b"\x93\x01\x01\x00", self.now)
        self.settle()

    def deliver(self, frame: bytes) -> None:
        """
        Let a published frame arrive, if it is subscribed.
        """
        if any(frame.startswith(prefix) for prefix in self.filters):
            self.core.receive(frame, self.now)
            self.settle()

    def advance(self, seconds: float) -> None:
        """
        Let time pass; timers and time-outs happen when they are due.
        """
        end = self.now + seconds
        while True:
            due = min(self.core.deadline, self._timeouts[0][0] if self._timeouts else end)
            if due >= end:
                break
            self.now = max(self.now, due)
            while self._timeouts and self._timeouts[0][0] <= self.now:
                ask = heapq.heappop(self._timeouts)[2]
                self.core.refused(ask.token, DeadlineExceeded("no answer"), self.now)
                self.settle()
            if self.core.deadline <= self.now:
                self.core.timer(self.now)
                self.settle()
                self.now += 1e-6
        self.now = end

    def settle(self) -> None:
        """
        Do what the core wants done.
        """
        while True:
            self.items += self.core.take_items()
            actions = self.core.take_actions()
            if not actions:
                return
            for action in actions:
                self._do(action)

    def answer(self, ask: Ask) -> None:
        """
        Answer a request.
        """
        try:
            if self.refusals:
                raise self.refusals.pop(0)
            result = self.relay.answer(ask.method, ask.params)
        except Refusal as refusal:
            self.core.refused(ask.token, error_from(refusal.error), self.now)
        else:
            self.core.replied(ask.token, result, self.now)

    def _do(self, action: Any) -> None:
        match action:
            case Ask():
                if self.held_replies is not None:
                    self.held_replies.append(action)
                elif self.lose_replies:
                    self.lose_replies -= 1
                    due = self.now + action.timeout_s
                    heapq.heappush(self._timeouts, (due, next(self._order), action))
                else:
                    self.answer(action)
            case Connect():
                self.connected.append(action.endpoint)
            case Subscribe():
                self.filters.append(action.prefix)
            case Unsubscribe():
                self.filters.remove(action.prefix)
            case Joined():
                self.joined = True
            case Fail():
                self.error = action.error
