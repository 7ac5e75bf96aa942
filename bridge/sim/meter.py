"""How long a terminal's loop takes, and how late it comes: heartbeats tell the relay."""

from __future__ import annotations

from typing import Final

__all__ = ["LoopMeter"]

_U32_MAX: Final = 0xFFFF_FFFF


class LoopMeter:
    """
    Measures the turns of the loop, in microseconds.
    """

    def __init__(self) -> None:
        self._turned_us: int | None = None
        self._expected_us: int | None = None
        self._interval_us = 0
        self._lag_us = 0

    @property
    def interval_us(self) -> int:
        """
        Mean time between the last turns.
        """
        return min(self._interval_us, _U32_MAX)

    @property
    def lag_us(self) -> int:
        """
        How much later than expected the last turn came.
        """
        return min(self._lag_us, _U32_MAX)

    def expect(self, at_us: int) -> None:
        """
        The next turn should come then.
        """
        self._expected_us = at_us

    def turned(self, now_us: int) -> None:
        """
        A turn begins. The interval is a mean of the last ones, the lag that of this one alone.
        """
        if self._turned_us is not None and now_us > self._turned_us:
            self._interval_us += (now_us - self._turned_us - self._interval_us) // 8
        if self._expected_us is not None:
            self._lag_us = max(0, now_us - self._expected_us)
        self._turned_us = now_us
        self._expected_us = None
