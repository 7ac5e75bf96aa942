"""Rings hold what can be replayed, within their bounds."""

from __future__ import annotations

import msgpack
from hypothesis import given
from hypothesis import strategies as st

from bridge.model.record import RECORD_SIZE, pack_record, unpack_records
from bridge.model.tick import MqlTick
from bridge.relay.rings import BodyRing, RecordRing, RingBudget


def run(first: int, length: int) -> bytes:
    return b"".join(
        pack_record(7, seq, MqlTick(1_000 + seq, 1.0, 2.0), 0)
        for seq in range(first, first + length)
    )


def seqs(data: bytes) -> list[int]:
    return [record.seq for record in unpack_records(data)]


def test_replay_returns_exactly_what_was_asked_for():
    """A range across several runs comes back whole and in order."""
    ring = RecordRing(1_000_000, RingBudget(1_000_000))
    for first in range(1, 101, 10):
        ring.append(first, 10, run(first, 10))

    page = ring.read(25, 67, 1_000_000)

    assert (25, 43) == (page.first, page.length)
    assert list(range(25, 68)) == seqs(page.data)


def test_replay_is_cut_into_pages():
    """A page never exceeds its bytes, and the next one goes on where it ended."""
    ring = RecordRing(1_000_000, RingBudget(1_000_000))
    ring.append(1, 100, run(1, 100))
    got: list[int] = []
    first = 1
    while first <= 100:
        page = ring.read(first, 100, 7 * RECORD_SIZE + 5)

        assert len(page.data) <= 7 * RECORD_SIZE

        got += seqs(page.data)
        first = page.first + page.length

    assert list(range(1, 101)) == got


def test_a_page_holds_at_least_one_record():
    """A limit below one record does not make a replay go on for ever."""
    ring = RecordRing(1_000_000, RingBudget(1_000_000))
    ring.append(1, 3, run(1, 3))

    assert [2] == seqs(ring.read(2, 3, 1).data)


def test_the_oldest_records_give_way():
    """A full ring keeps the newest."""
    ring = RecordRing(20_000, RingBudget(1_000_000))
    for first in range(1, 1001, 10):
        ring.append(first, 10, run(first, 10))

    assert 1000 == ring.newest
    assert ring.oldest is not None
    assert ring.oldest > 700
    assert ring.size <= 20_000
    assert ring.oldest == ring.read(1, 1000, 1_000_000).first


def test_a_run_that_does_not_follow_clears_the_ring():
    """What is held is always without a hole, so that a replay can be trusted."""
    ring = RecordRing(1_000_000, RingBudget(1_000_000))
    ring.append(1, 10, run(1, 10))
    ring.append(21, 10, run(21, 10))

    assert 21 == ring.oldest
    assert [] == seqs(ring.read(1, 10, 1_000_000).data)


def test_the_budget_takes_from_the_largest():
    """Past the common limit the largest ring shrinks, the small one stays."""
    budget = RingBudget(50_000)
    small = RecordRing(1_000_000, budget)
    large = RecordRing(1_000_000, budget)
    small.append(1, 10, run(1, 10))
    for first in range(1, 2001, 10):
        large.append(first, 10, run(first, 10))

    assert budget.used <= 50_000
    assert 1 == small.oldest
    assert 2000 == large.newest
    assert budget.used == small.size + large.size


def test_a_closed_ring_gives_its_bytes_back():
    """A stream that ends no longer counts."""
    budget = RingBudget(1_000_000)
    ring = RecordRing(1_000_000, budget)
    ring.append(1, 10, run(1, 10))
    ring.close()

    assert 0 == budget.used
    assert ring.last_record() is None


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=30),
    limit=st.integers(500, 20_000),
    first=st.integers(1, 600),
    span=st.integers(0, 600),
)
def test_a_ring_is_the_tail_of_everything(lengths, limit, first, span):
    """Whatever comes in, a replay is a hole-free part of the newest records."""
    budget = RingBudget(1_000_000)
    ring = RecordRing(limit, budget)
    at = 1
    for length in lengths:
        ring.append(at, length, run(at, length))
        at += length
    got = seqs(ring.read(first, first + span, 1_000_000).data)
    oldest = ring.oldest
    expected = (
        [] if oldest is None else list(range(max(first, oldest), min(first + span, at - 1) + 1))
    )

    assert expected == got


def test_bodies_of_a_quiet_topic():
    """Status messages are held by number and replayed by sequence number."""
    ring = BodyRing(3)
    for seq in range(1, 6):
        ring.append(seq, msgpack.packb([1, seq]))

    page = ring.read(1, 10, 1_000)

    assert (3, 5) == (ring.oldest, ring.newest)
    assert (3, 3) == (page.first, page.length)
    assert msgpack.packb([1, 5]) == ring.last_record()
