"""``bridge.wire.clock``: the peer's clock, through a link that only ever delays."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.wire.clock import ClockOffset
from bridge.wire.spec import BUSY_LIMIT_MS, CLOCK_WINDOW_MS

SECOND = 1_000_000
WINDOW = CLOCK_WINDOW_MS * 1000


def test_the_least_delayed_stamp_counts():
    clock = ClockOffset(0)

    assert clock.observe(5_000, 105_000) == 100_000
    assert clock.observe(6_000, 106_300) == 100_000
    assert clock.observe(7_000, 106_900) == 99_900


def test_a_block_of_the_longest_allowed_length_does_not_move_the_offset():
    """A command that waited in the socket meanwhile must be seen to be old."""
    clock = ClockOffset(0)
    for second in range(1, 300):
        clock.observe(second * SECOND, second * SECOND)
    block = BUSY_LIMIT_MS * 1000
    at = 299 * SECOND + block

    offsets = [clock.observe(299 * SECOND + i * SECOND, at) for i in range(1, 60)]

    assert max(offsets) == 0


def test_a_clock_that_drifts_is_followed():
    """50 parts in a million are four seconds a day; two windows of them are 12 ms."""
    clock = ClockOffset(0)
    for second in range(24 * 3600):
        now = second * SECOND
        offset = clock.observe(now - now // 20_000, now)

    assert 0 <= 24 * 3600 * SECOND // 20_000 - offset <= 2 * WINDOW // 20_000 + 50


@given(
    delays=st.lists(st.integers(0, 5 * SECOND), min_size=1, max_size=300),
    base=st.integers(-(2**40), 2**40),
)
def test_the_offset_is_never_less_than_the_truth(delays, base):
    clock = ClockOffset(0)

    for i, delay in enumerate(delays):
        stamp = i * SECOND + base
        assert clock.observe(stamp, i * SECOND + delay) >= -base
