"""The offset between two monotonic clocks, seen through a link that only ever delays."""

from __future__ import annotations

from bridge.wire.spec import CLOCK_WINDOW_MS

__all__ = ["ClockOffset"]


class ClockOffset:
    """
    The least (receive time - stamp) of the last one to two windows of ``CLOCK_WINDOW_MS``.

    The least, because a delay can only make the difference larger. Not of the whole
    session, because two clocks drift: at 50 parts in a million a command would look four
    seconds too old after a day.
    """

    def __init__(self, now_us: int) -> None:
        self._window_us = now_us
        self._before: int | None = None
        self._now: int | None = None

    def observe(self, stamp_us: int, now_us: int) -> int:
        """
        Take a stamp of the peer that arrived now; return the offset.
        """
        if now_us - self._window_us >= CLOCK_WINDOW_MS * 1000:
            self._window_us = now_us
            self._before, self._now = self._now, None
        offset = now_us - stamp_us
        if self._now is None or offset < self._now:
            self._now = offset
        return self._now if self._before is None else min(self._before, self._now)
