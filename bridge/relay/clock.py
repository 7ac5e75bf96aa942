"""The relay's two clocks: one that only goes forward, and UTC.

Durations and deadlines are always measured by the first. Only the composition root (``app``)
has the real ones; every other part is given a ``Clock``, so that time can be a test's.
"""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """
    What tells the relay the time.
    """

    def now_us(self) -> int:
        """
        Return microseconds of a clock that only goes forward; positive, for 0 means "never".
        """

    def utc_msc(self) -> int:
        """
        Return milliseconds since 1970, UTC.
        """


class SystemClock:
    """
    The clocks of this computer.
    """

    def now_us(self) -> int:
        # Not monotonic(): on Windows it moves in steps of 16 ms before Python 3.13.
        return time.perf_counter_ns() // 1000

    def utc_msc(self) -> int:
        return time.time_ns() // 1_000_000
