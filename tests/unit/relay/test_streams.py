"""A stream takes runs, keeps its place, and knows what to offer for resumption."""

from __future__ import annotations

import pytest

from bridge.exceptions import RemoteProtocolError
from bridge.model.record import Cursor, pack_record, unpack_records
from bridge.model.tick import MqlTick, TickFlag
from bridge.relay.rings import RingBudget
from bridge.relay.streams import SavedStream, Stream, StreamState
from bridge.wire.protocol import Run

EPOCH = 7


def make_run(first: int, length: int, *, epoch: int = EPOCH, flags: int = 0) -> Run:
    records = b"".join(
        pack_record(epoch, seq, MqlTick(1_000 + seq, 1.0, 2.0), 0, flags)
        for seq in range(first, first + length)
    )
    last = first + length - 1
    cursor = (
        (1_000 + last).to_bytes(8, "little")
        + (1).to_bytes(4, "little")
        + last.to_bytes(4, "little")
    )
    return Run(1, length, first, 0, cursor, records)


def cursor_at(seq: int) -> Cursor:
    return Cursor(1_000 + seq, 1, seq)


@pytest.fixture
def stream() -> Stream:
    made = Stream("demo", "EURUSD", 1_000_000, RingBudget(10_000_000), 100)
    made.begin(1, EPOCH, 1, "Server", 5)
    return made


def seqs(data: bytes) -> list[int]:
    return [record.seq for record in unpack_records(data)]


def test_runs_in_order_are_published_whole(stream):
    """The ordinary case: everything is new."""
    first = stream.take(make_run(1, 10))
    second = stream.take(make_run(11, 5))

    assert (1, 10, 0, 0) == (first.first, first.length, first.skipped, first.repeated)
    assert list(range(11, 16)) == seqs(second.records)
    assert cursor_at(15) == stream.cursor
    assert 15 == stream.newest


def test_repeated_records_are_dropped_by_sequence_number(stream):
    """After a cut the terminal resends what was not acknowledged; only the new part goes on."""
    stream.take(make_run(1, 10))
    taken = stream.take(make_run(6, 10))

    assert 5 == taken.repeated
    assert list(range(11, 16)) == seqs(taken.records)

    again = stream.take(make_run(6, 10))

    assert (0, 10) == (again.length, again.repeated)
    assert 15 == stream.newest


def test_a_hole_is_seen(stream):
    """A terminal that skips records is told on, never smoothed over."""
    stream.take(make_run(1, 10))

    assert 5 == stream.take(make_run(16, 1)).skipped


@pytest.mark.parametrize(
    "run",
    [
        make_run(1, 3, epoch=8),
        make_run(1, 3)._replace(first_seq=2),
        make_run(1, 3)._replace(records=make_run(1, 3).records[:-66] + bytes(66)),
        make_run(1, 1)._replace(records=pack_record(EPOCH, 1, MqlTick(1, float("nan"), 1.0), 0)),
    ],
)
def test_records_that_do_not_fit_are_refused(stream, run):
    """Another epoch, other numbers, no records, no prices: nothing of it is published."""
    with pytest.raises(RemoteProtocolError):
        stream.take(run)

    assert 0 == stream.newest


def test_late_ticks_are_noticed(stream):
    """The relay must write its cursor at once when a late tick got a number."""
    assert not stream.take(make_run(1, 3, flags=int(TickFlag.BACKLOG))).late
    assert stream.take(make_run(4, 3, flags=int(TickFlag.LATE))).late


def test_resumption_after_a_cut_asks_for_the_next_record(stream):
    """With everything in memory nothing is asked for twice."""
    stream.take(make_run(1, 10))
    stream.suspend()
    offer = stream.resume("Server")

    assert (EPOCH, 10, cursor_at(10), 11) == offer
    assert StreamState.WAITING is stream.state


def test_another_server_is_never_resumed(stream):
    """The cursor of one trade server says nothing about the history of another."""
    stream.take(make_run(1, 10))

    assert stream.resume("Other") is None


def restarted() -> Stream:
    made = Stream("demo", "EURUSD", 1_000_000, RingBudget(10_000_000), 100)
    made.restore(SavedStream("demo", "Server", "EURUSD", EPOCH, 500, cursor_at(500), 5))
    return made


def test_a_restarted_relay_asks_for_an_overlap():
    """What subscribers may have missed around the restart comes into the ring again."""
    assert (EPOCH, 500, cursor_at(500), 401) == restarted().resume("Server")


def test_a_restarted_relay_publishes_only_what_is_behind_the_checkpoint():
    """The overlap fills the ring; subscribers do not get it a second time."""
    stream = restarted()
    stream.begin(1, EPOCH, 401, "Server", 5)
    overlap = stream.take(make_run(401, 90))
    across = stream.take(make_run(491, 20))

    assert 0 == overlap.length
    assert list(range(501, 511)) == seqs(across.records)
    assert 401 == stream.ring.oldest
    assert 510 == stream.newest


def test_a_checkpoint_in_the_middle_of_the_overlap_keeps_the_old_cursor():
    """Sequence number and cursor of a checkpoint always belong together."""
    stream = restarted()
    stream.begin(1, EPOCH, 401, "Server", 5)
    stream.take(make_run(401, 50))
    saved = stream.save()

    assert saved is not None
    assert (500, cursor_at(500)) == (saved.seq, saved.cursor)

    stream.suspend()

    assert (EPOCH, 500, cursor_at(500), 451) == stream.resume("Server")


def test_a_new_epoch_begins_anew(stream):
    """Nothing of the old epoch is held or counted on."""
    stream.take(make_run(1, 10))
    stream.begin(2, 9, 1, "Server", 5)

    assert stream.ring.oldest is None
    assert stream.save() is None
    assert 3 == stream.take(make_run(1, 3, epoch=9)).length


def test_an_evicted_ring_does_not_publish_twice(stream):
    """When the budget emptied the ring, the overlap is kept, not published again."""
    stream.take(make_run(1, 200))
    stream.ring.clear()
    stream.suspend()
    offer = stream.resume("Server")

    assert offer is not None
    assert 101 == offer.from_seq

    stream.begin(1, EPOCH, 101, "Server", 5)

    assert 0 == stream.take(make_run(101, 100)).length
    assert [201] == seqs(stream.take(make_run(201, 1)).records)
