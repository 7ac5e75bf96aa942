"""
What subscribers wrote down is compared number by number.
"""

from __future__ import annotations

from array import array
from types import SimpleNamespace

import pytest

from bridge.cli.demo.audience import SendTimes, compare_late, latency


def subscriber(numbers, ticks=None, gaps=0):
    """
    Return what a subscriber of one symbol wrote down.
    """
    ticks = ticks or [f"tick {seq}".encode() for _, seq in numbers]
    return SimpleNamespace(
        received=len(numbers),
        gaps=gaps,
        numbers={"EURUSD": numbers},
        ticks={"EURUSD": ticks},
        times={"EURUSD": array("q", [seq * 10_000 for _, seq in numbers])},
    )


FIRST = subscriber([(1, seq) for seq in range(1, 11)])


def test_a_late_subscriber_that_has_the_end_is_consistent():
    late = compare_late(FIRST, subscriber([(1, seq) for seq in range(7, 11)]))

    assert late.consistent
    assert (late.joined_after, late.received, late.compared, late.gaps) == (6, 4, 4, 0)


@pytest.mark.parametrize(
    "late",
    [
        subscriber([]),
        subscriber([(1, 7), (1, 9), (1, 10)]),
        subscriber([(1, 7), (1, 8)]),
        subscriber([(1, 9), (1, 10)], [b"tick 9", b"another"]),
        subscriber([(2, 9), (2, 10)]),
        subscriber([(1, 9), (1, 10)], gaps=1),
        subscriber([(1, 10), (1, 9)]),
        subscriber([(1, 10), (1, 10)]),
    ],
)
def test_anything_else_is_not(late):
    assert not compare_late(FIRST, late).consistent


def test_latency_is_of_ticks_that_were_sent_in_steady_times():
    times = SendTimes(["EURUSD"])
    times.taken("EURUSD", 1, 1, 0)
    times.steady = True
    times.taken("EURUSD", 2, 2, 15_000)
    times.taken("EURUSD", 3, 1, 25_000)
    times.steady = False
    times.taken("EURUSD", 4, 1, 0)

    found = latency(times, FIRST)

    assert (found.samples, found.p50, found.p99) == (2, 15, 15)


def test_without_a_sample_there_is_no_latency():
    assert latency(SendTimes(["EURUSD"]), FIRST).p50 is None
