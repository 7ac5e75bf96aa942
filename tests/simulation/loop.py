"""The one clock of a simulated world: what happens next, and nothing in between."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, Final

__all__ = ["MS", "NEVER", "SECOND", "Alarm", "Loop"]

MS: Final = 1_000
SECOND: Final = 1_000_000
NEVER: Final = 2**62


class Loop:
    """
    A heap of calls by time; those of the same moment run in the order in which they were made.
    """

    def __init__(self) -> None:
        #: microseconds since the world began
        self.now = 0
        self.turns = 0
        self._calls: list[tuple[int, int, Callable[..., object], tuple[Any, ...]]] = []
        self._serial = 0

    def at(self, when_us: int, call: Callable[..., object], *args: Any) -> None:
        """
        Call something at a time; what lies in the past is called next.
        """
        self._serial += 1
        heapq.heappush(self._calls, (max(when_us, self.now), self._serial, call, args))

    def after(self, delay_us: int, call: Callable[..., object], *args: Any) -> None:
        """
        Call something later.
        """
        self.at(self.now + delay_us, call, *args)

    def run(self, is_over: Callable[[], bool], until_us: int = NEVER) -> None:
        """
        Let time go by until something is true, or a time has come.
        """
        calls = self._calls
        while calls and calls[0][0] <= until_us and not is_over():
            self.now, _, call, args = heapq.heappop(calls)
            self.turns += 1
            call(*args)
        if not is_over() and until_us < NEVER:
            self.now = max(self.now, until_us)


class Alarm:
    """
    The next call of something that wants to be called at one time, which it keeps changing.
    """

    def __init__(self, loop: Loop, call: Callable[[], object]) -> None:
        self._loop = loop
        self._call = call
        self._at = NEVER
        self._on = True

    def set(self, when_us: int) -> None:
        """
        Call at this time. An earlier call that was asked for stays, and asks anew.
        """
        when_us = max(when_us, self._loop.now)
        if self._on and when_us < self._at:
            self._at = when_us
            self._loop.at(when_us, self._ring, when_us)

    def off(self) -> None:
        """
        Never call again.
        """
        self._on = False

    def _ring(self, when_us: int) -> None:
        if self._on and when_us == self._at:
            self._at = NEVER
            self._call()
