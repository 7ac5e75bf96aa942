"""The relay's two clocks: one that only goes forward, and UTC.

Durations and deadlines are always measured by the first.
"""

from __future__ import annotations

import time

__all__ = ["now_us", "utc_msc"]


def now_us() -> int:
    """
    Return microseconds of a clock that only goes forward.
    """
    # Not monotonic(): on Windows it moves in steps of 16 ms before Python 3.13.
    return time.perf_counter_ns() // 1000


def utc_msc() -> int:
    """
    Return milliseconds since 1970, UTC.
    """
    return time.time_ns() // 1_000_000
