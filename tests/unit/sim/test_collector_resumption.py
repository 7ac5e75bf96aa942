"""``bridge.sim.collector``: after cuts, restarts and outages, and with ticks that come late."""

from __future__ import annotations

import pytest

from bridge.model.record import Cursor, unpack_records
from bridge.sim.history import TickHistory
from bridge.wire.messages import Resume, Subscribe, pack_message
from bridge.wire.spec import RUN_HEADER_SIZE, Continuity, ErrorCode, GapReason
from tests.support.collector_bench import BACKLOG, LATE, SYMBOL, T0, CollectorBench, content, tick

# Resumption.


def test_after_a_cut_the_log_sends_again_what_was_not_taken():
    bench = CollectorBench(ticks=[tick(1)])
    bench.begin()
    bench.pump()
    bench.append(*range(2, 300))
    bench.pump(deliver=False)
    bench.collector.rewind()
    bench.append(*range(300, 310))
    answer, gap = bench.begin()
    bench.pump()

    assert (Continuity.RESUMED, 101, 2, None) == (
        answer.continuity,
        answer.epoch,
        answer.first_seq,
        gap,
    )
    assert content(bench.history.ticks_of(SYMBOL)) == bench.relay.content()


def test_what_was_live_when_it_was_read_is_resent_byte_for_byte():
    bench = CollectorBench(ticks=[tick(1)])
    bench.begin()
    bench.pump()
    bench.append(2, 3)
    bench.wait()
    bench.collector.poll(bench.now)
    before = bench.collector.take(0)
    bench.collector.rewind()
    bench.append(4)
    bench.begin()
    bench.collector.poll(bench.now)
    again = bench.collector.take(0)

    assert before[RUN_HEADER_SIZE:] == again[RUN_HEADER_SIZE : len(before)]
    assert BACKLOG | 6 == unpack_records(again[RUN_HEADER_SIZE:])[-1].flags


def test_records_before_are_sent_too_when_the_relay_asks():
    bench = CollectorBench(ticks=[tick(1)])
    bench.begin()
    bench.append(*range(2, 101))
    bench.pump()
    bench.collector.rewind()
    answer, _ = bench.begin(overlap=30)
    assert (Continuity.RESUMED, 71) == (answer.continuity, answer.first_seq)
    answer, _ = bench.begin(overlap=1_000)

    assert (Continuity.RESUMED, 1) == (answer.continuity, answer.first_seq)


def test_an_overlap_beyond_the_log_gets_what_the_log_has():
    bench = CollectorBench(ticks=[tick(1)], log_records=50)
    bench.begin()
    for number in range(2, 201):
        bench.append(number)
        bench.pump()
    answer, gap = bench.begin(overlap=1_000)

    assert (Continuity.RESUMED, 151, None) == (answer.continuity, answer.first_seq, gap)


def test_behind_the_log_the_history_is_read_again_with_the_same_numbers():
    bench = CollectorBench(ticks=[tick(1)], log_records=10)
    bench.begin()
    for number in range(2, 200):
        bench.append(number)
        bench.pump()
    del bench.relay.checkpoints[SYMBOL][20:]
    answer, gap = bench.begin()
    bench.pump()

    assert (Continuity.RESUMED, 101, None) == (answer.continuity, answer.epoch, gap)
    assert answer.first_seq < 100
    assert content(bench.history.ticks_of(SYMBOL)) == bench.relay.content()


def test_behind_the_log_late_ticks_lose_the_order_and_nothing_else():
    bench = CollectorBench(ticks=[tick(2 * n) for n in range(2)], log_records=10)
    bench.begin()
    for number in range(2, 100):
        bench.append(2 * number)
        bench.pump()
    bench.history.insert_late(SYMBOL, tick(21))
    bench.settle(30)
    bench.relay.records.clear()
    del bench.relay.checkpoints[SYMBOL][30:]
    epoch, seq, cursor = bench.relay.checkpoints[SYMBOL][-1]
    answer, gap = bench.begin()
    bench.pump()

    assert (Continuity.GAP, 1, GapReason.ORDER_LOST) == (
        answer.continuity,
        answer.first_seq,
        gap.reason,
    )
    assert (epoch, seq, cursor, cursor) == (gap.old_epoch, gap.old_seq, gap.old_cursor, gap.cursor)
    behind = [t for t in bench.history.ticks_of(SYMBOL) if t.time_msc > cursor.time_msc]
    assert content([tick(21), *behind]) == bench.relay.content()
    assert LATE | 6 == bench.relay.received()[0].flags


def test_a_changed_history_on_the_way_loses_the_order():
    """The same numbers would go to other ticks."""
    bench = CollectorBench(ticks=[tick(1)], log_records=10, audit_every_us=0)
    bench.begin()
    for number in range(2, 100):
        bench.append(number)
        bench.pump()
    bench.history.revise(SYMBOL, T0 + 50, 0, None)
    del bench.relay.checkpoints[SYMBOL][30:]
    _, gap = bench.begin()

    assert GapReason.ORDER_LOST == gap.reason


def test_a_restarted_terminal_goes_on_behind_the_relays_cursor():
    bench = CollectorBench(ticks=[tick(1)])
    bench.begin()
    bench.append(*range(2, 100))
    bench.pump()
    bench.restart()
    bench.append(*range(100, 2_000))
    answer, gap = bench.begin()
    bench.pump()

    assert (Continuity.RESUMED, 101, 100, None) == (
        answer.continuity,
        answer.epoch,
        answer.first_seq,
        gap,
    )
    assert content(bench.history.ticks_of(SYMBOL)) == bench.relay.content()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda h: h.append(SYMBOL, tick(7_200_000)), GapReason.TOO_OLD),
        (lambda h: h.revise(SYMBOL, T0 + 9, 0, tick(99, T0 + 9)), GapReason.HISTORY_REVISED),
        (lambda h: h.revise(SYMBOL, T0 + 9, 0, None), GapReason.HISTORY_REVISED),
        (
            lambda h: [h.revise(SYMBOL, T0 + n, 0, None) for n in range(1, 10)],
            GapReason.HISTORY_MISSING,
        ),
    ],
)
def test_what_cannot_be_resumed_is_a_gap_with_both_cursors(change, reason):
    bench = CollectorBench(ticks=[tick(n) for n in range(1, 10)])
    bench.begin()
    bench.pump()
    bench.append(10, 11)
    old = bench.relay.checkpoints[SYMBOL][-1]
    change(bench.history)
    bench.restart()
    answer, gap = bench.begin(max_age_s=3_600)
    bench.pump()
    newest = bench.history.ticks_of(SYMBOL)[-1]

    assert (Continuity.GAP, 102, 1) == (answer.continuity, answer.epoch, answer.first_seq)
    assert (reason, *old) == (gap.reason, gap.old_epoch, gap.old_seq, gap.old_cursor)
    assert (newest.time_msc, 0, 0) == gap.cursor
    assert content([newest]) == bench.relay.content(epoch=102)
    assert gap.text


def test_a_symbol_without_history_is_missing():
    bench = CollectorBench(ticks=[tick(1)])
    bench.begin()
    bench.pump()
    bench.history = TickHistory([SYMBOL])
    bench.restart()
    answer, gap = bench.begin()

    assert (Continuity.GAP, GapReason.HISTORY_MISSING) == (answer.continuity, gap.reason)


def test_a_relay_that_fell_back_to_an_older_epoch_gets_the_log():
    bench = CollectorBench(ticks=[tick(1)], log_records=20)
    bench.begin()
    bench.pump()
    bench.collector.acknowledged()
    old = bench.relay.checkpoints[SYMBOL][-1]
    bench.begin(resume=False)
    for number in range(2, 100):
        bench.append(number)
        bench.pump()
    bench.relay.checkpoints[SYMBOL].append(old)
    answer, gap = bench.begin()
    bench.pump()

    assert (Continuity.GAP, 102, 80) == (answer.continuity, answer.epoch, answer.first_seq)
    assert (GapReason.OTHER, 101, T0 + 79) == (gap.reason, gap.old_epoch, gap.cursor.time_msc)


def test_a_relay_that_fell_back_behind_an_ended_stream_begins_anew():
    bench = CollectorBench(ticks=[tick(1)])
    bench.begin()
    bench.pump()
    bench.collector.acknowledged()
    old = bench.relay.checkpoints[SYMBOL][-1]
    answer, _ = bench.begin(resume=False)
    bench.append(2, 3)
    bench.pump()
    bench.collector.end(answer.symbol_id)
    bench.relay.checkpoints[SYMBOL].append(old)
    answer, gap = bench.begin()
    bench.pump()

    assert (103, 1, GapReason.OTHER) == (answer.epoch, answer.first_seq, gap.reason)
    assert content([tick(3)]) == bench.relay.content(epoch=103)


def test_behind_the_log_a_revised_history_is_a_gap():
    bench = CollectorBench(ticks=[tick(1)], log_records=10)
    bench.begin()
    for number in range(2, 60):
        bench.append(number)
        bench.pump()
    del bench.relay.checkpoints[SYMBOL][30:]
    time_msc = bench.relay.checkpoints[SYMBOL][-1][2].time_msc
    bench.history.revise(SYMBOL, time_msc, 0, tick(99, time_msc))
    answer, gap = bench.begin()

    assert (Continuity.GAP, GapReason.HISTORY_REVISED) == (answer.continuity, gap.reason)


def test_a_way_too_long_to_prove_is_not_promised(monkeypatch):
    monkeypatch.setattr("bridge.sim.resumption._PATH_MAX", 20)
    bench = CollectorBench(ticks=[tick(1)], log_records=10)
    bench.begin()
    for number in range(2, 60):
        bench.append(number)
        bench.pump()
    del bench.relay.checkpoints[SYMBOL][30:]
    _, gap = bench.begin()

    assert GapReason.ORDER_LOST == gap.reason


def test_a_history_that_got_shorter_does_not_lead_anywhere():
    bench = CollectorBench(ticks=[tick(1)], log_records=10, audit_every_us=0)
    bench.begin()
    for number in range(2, 60):
        bench.append(number)
        bench.pump()
    del bench.relay.checkpoints[SYMBOL][30:]
    for number in range(40, 60):
        bench.history.revise(SYMBOL, T0 + number, 0, None)
    _, gap = bench.begin()

    assert GapReason.ORDER_LOST == gap.reason


def test_while_the_history_is_being_loaded_nothing_is_decided():
    bench = CollectorBench(ticks=[tick(n) for n in range(1, 50)])
    bench.begin()
    bench.append(*range(50, 99))
    bench.pump()
    bench.restart()
    codes = []
    while not codes or codes[-1]:
        bench.history.answer_in_part(SYMBOL, calls=1, blocked_ms=0)
        for _ in range(len(codes)):
            # Each reading of a beginning gets its turn to fail.
            bench.history.copy_ticks(SYMBOL, -1, T0 + 1, 100)
        codes.append(bench.begin()[0].code)
        assert len(codes) < 20
    bench.pump()

    assert ErrorCode.NOT_SYNCHRONISED == codes[0]
    assert Continuity.RESUMED == bench.relay.answers[-1].continuity
    assert [] == bench.relay.gaps


def test_without_an_offer_the_stream_begins_anew_in_an_unused_epoch():
    bench = CollectorBench(ticks=[tick(1)])
    bench.begin()
    bench.append(*range(2, 10))
    bench.pump()
    bench.collector.acknowledged()
    bench.relay.fresh_epoch = 50
    answer, _ = bench.begin(resume=False)
    bench.pump()

    assert (Continuity.FRESH, 102, 1) == (answer.continuity, answer.epoch, answer.first_seq)
    assert content([tick(9)]) == bench.relay.content(epoch=102)


def test_a_beginning_that_the_relay_never_saw_is_not_lost():
    """
    The link is cut before the first record arrives: the relay has nothing to offer, and its
    subscribers wait from the first tick on all the same.
    """
    bench = CollectorBench()
    bench.begin()
    bench.append(*range(1, 50))
    bench.pump(deliver=False)
    bench.collector.rewind()
    bench.append(50)
    answer, gap = bench.begin()
    bench.pump()

    assert (Continuity.FRESH, 101, 1, None) == (
        answer.continuity,
        answer.epoch,
        answer.first_seq,
        gap,
    )
    assert content(bench.history.ticks_of(SYMBOL)) == bench.relay.content()


def test_a_stream_that_ended_is_resumed_by_reading_again():
    bench = CollectorBench(ticks=[tick(1)])
    answer, _ = bench.begin()
    bench.append(*range(2, 10))
    bench.pump()
    bench.collector.end(answer.symbol_id)
    bench.append(*range(10, 20))
    answer, gap = bench.begin()
    bench.pump()

    assert (Continuity.RESUMED, 10, None) == (answer.continuity, answer.first_seq, gap)
    assert content(bench.history.ticks_of(SYMBOL)) == bench.relay.content()


@pytest.mark.parametrize(
    "resume",
    [
        Resume(0, 0, Cursor(0, 0, 0), 0),
        Resume(2**32 - 1, 2**64 - 1, Cursor(T0 + 5, 1, 1), 2**64 - 1),
        Resume(101, 2**64 - 1, Cursor(T0 + 5, 1, 1), 0),
        Resume(101, 0, Cursor(-(2**63), 2**32 - 1, 0), 0),
        Resume(101, 1, Cursor(2**63 - 1, 2**32 - 1, 2**32 - 1), 2**64 - 1),
        Resume(7, 1, Cursor(T0 + 5, 2**32 - 1, 0), 1),
        Resume(2**32 - 1, 1, Cursor(T0 + 5, 0, 0), 1),
    ],
)
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("fresh_epoch", [0, 102, 2**32 - 1])
def test_no_offer_whatever_raises(resume, known, fresh_epoch):
    bench = CollectorBench(ticks=[tick(n) for n in range(10)])
    if known:
        bench.begin()
        bench.pump()
    answer, gap = bench.collector.begin(
        Subscribe(1, 1, SYMBOL, 0, fresh_epoch, 2**32 - 1, resume), 0
    )
    assert pack_message(answer)
    if gap is not None:
        assert pack_message(gap)
    bench.append(11, 12)
    bench.wait(1)
    bench.collector.poll(bench.now)
    while bench.collector.take(0):
        pass


def test_no_epoch_is_left_behind_the_last_one():
    bench = CollectorBench(ticks=[tick(1)])
    bench.relay.fresh_epoch = 2**32 - 2
    first, _ = bench.begin()
    bench.pump()
    bench.collector.acknowledged()
    second, _ = bench.collector.begin(Subscribe(1, 1, SYMBOL, 0, 5, 0, None), 0)

    assert (ErrorCode.OK, ErrorCode.INVALID) == (first.code, second.code)


# Late and revised ticks.


def test_a_tick_inserted_at_the_cursors_millisecond_is_found_at_once():
    bench = CollectorBench(ticks=[tick(1), tick(2, T0 + 2), tick(3, T0 + 2)])
    bench.begin()
    bench.append(4, 5)
    bench.pump()
    # History now has another tick first in the newest millisecond.
    newest = bench.history.ticks_of(SYMBOL)[-1]
    bench.history.revise(SYMBOL, T0 + 5, 0, tick(77, T0 + 5))
    bench.history.insert_late(SYMBOL, newest)
    bench.pump()

    assert content([tick(3, T0 + 2), tick(4), tick(5), tick(77, T0 + 5)]) == bench.relay.content()
    assert [LATE | 6] == [r.flags for r in bench.relay.received() if r.flags & LATE]
    assert (1, 0) == (bench.collector.late, bench.collector.revised)


def test_a_late_tick_is_found_by_the_next_look_back():
    bench = CollectorBench(ticks=[tick(0)])
    bench.begin()
    bench.append(*range(10, 100, 10))
    bench.pump()
    bench.history.insert_late(SYMBOL, tick(35))
    bench.history.insert_late(SYMBOL, tick(36))
    bench.settle(30)
    bench.append(200)
    bench.pump()

    late = [record.time_msc - T0 for record in bench.relay.received() if record.flags & LATE]
    assert [35, 36] == late
    assert content(bench.history.ticks_of(SYMBOL)) == bench.relay.content()
    assert (T0 + 200, 1) == bench.relay.checkpoints[SYMBOL][-1][2][:2]


def test_a_late_tick_is_found_by_audits_later_on_too():
    bench = CollectorBench(ticks=[tick(0)])
    bench.begin()
    bench.pump()
    bench.settle(120)
    bench.append(10, 20)
    bench.pump()
    bench.history.insert_late(SYMBOL, tick(15))
    bench.settle(25)

    assert content(bench.history.ticks_of(SYMBOL)) == bench.relay.content()


def test_ticks_that_are_gone_are_counted_once_and_not_sent_again_when_they_return():
    bench = CollectorBench(ticks=[tick(n) for n in range(5)])
    bench.begin()
    bench.append(*range(5, 20))
    bench.pump()
    bench.history.hold_back(SYMBOL, T0 + 10, T0 + 30)
    bench.settle(10)
    gone = bench.collector.revised
    bench.history.release(SYMBOL)
    bench.append(20)
    bench.settle(10)

    assert (10, 10, 0) == (gone, bench.collector.revised, bench.collector.late)
    assert content([tick(n) for n in range(4, 21)]) == bench.relay.content()


def test_a_changed_tick_is_sent_in_its_new_form_and_counted():
    bench = CollectorBench(ticks=[tick(n) for n in range(5)])
    bench.begin()
    bench.append(*range(5, 20))
    bench.pump()
    bench.history.revise(SYMBOL, T0 + 10, 0, tick(99, T0 + 10))
    bench.settle(10)

    assert (1, 1) == (bench.collector.late, bench.collector.revised)
    assert LATE | 6 == bench.relay.received()[-1].flags


def test_a_stop_between_late_ticks_is_not_resumed_silently():
    """
    The cursor behind a late record stays where it was: a terminal that lost its memory there
    must not think that everything before it was sent.
    """
    bench = CollectorBench(ticks=[tick(0)])
    bench.begin()
    bench.append(*range(1_000, 11_000, 10))
    bench.pump()
    for number in range(5_001, 5_200):
        bench.history.insert_late(SYMBOL, tick(number))
    bench.wait(3)
    bench.collector.poll(bench.now)
    bench.relay.receive(bench.collector.take(0))
    bench.restart()
    answer, gap = bench.begin()

    assert (Continuity.GAP, GapReason.HISTORY_REVISED) == (answer.continuity, gap.reason)


def test_behind_the_last_late_tick_a_restarted_terminal_goes_on():
    bench = CollectorBench(ticks=[tick(0)])
    bench.begin()
    bench.append(*range(1_000, 11_000, 10))
    bench.pump()
    for number in range(5_001, 5_200):
        bench.history.insert_late(SYMBOL, tick(number))
    bench.settle(3)
    bench.restart()
    bench.append(12_000)
    answer, gap = bench.begin()
    bench.pump()

    assert (Continuity.RESUMED, None) == (answer.continuity, gap)
    assert content(bench.history.ticks_of(SYMBOL)) == bench.relay.content()


def test_more_late_ticks_than_one_reading_takes_are_found_in_several(monkeypatch):
    monkeypatch.setattr("bridge.sim.tickreader._SLICE", 10)
    monkeypatch.setattr("bridge.sim.tickreader._RANGE_MAX", 100)
    monkeypatch.setattr("bridge.sim.tickstream._MEMORY_TICKS", 50)
    bench = CollectorBench(ticks=[tick(0)])
    bench.begin()
    bench.append(2_000)
    bench.pump()
    for number in range(500, 1_500):
        bench.history.insert_late(SYMBOL, tick(number))
    bench.settle(100)

    assert content(bench.history.ticks_of(SYMBOL)) == bench.relay.content()
    assert 1_000 == bench.collector.late


def test_after_a_restart_late_ticks_are_found_too():
    bench = CollectorBench(ticks=[tick(0)])
    bench.begin()
    bench.append(*range(10, 100, 10))
    bench.pump()
    bench.restart()
    bench.begin()
    bench.history.insert_late(SYMBOL, tick(35))
    bench.settle(5)

    assert content(bench.history.ticks_of(SYMBOL)) == bench.relay.content()
    assert 1 == bench.collector.late


# Outages of the trade server's link.


def test_after_an_outage_the_hole_is_read_before_the_newest_ticks():
    bench = CollectorBench(ticks=[tick(0)])
    bench.begin()
    bench.append(*range(1, 100))
    bench.pump()
    bench.collector.outage_began()
    bench.history.hold_back(SYMBOL, T0 + 100, T0 + 199)
    bench.append(*range(100, 300))
    bench.collector.outage_ended(bench.now)
    bench.pump(rounds=2)
    before = len(bench.relay.received())
    bench.history.release(SYMBOL)
    bench.settle(3)

    assert 100 == before
    assert list(range(300)) == [record.time_msc - T0 for record in bench.relay.received()]
    assert 0 == bench.collector.late


def test_what_was_missed_in_an_outage_is_backlog():
    bench = CollectorBench(ticks=[tick(0)])
    bench.begin()
    bench.append(1)
    bench.pump()
    bench.collector.outage_began()
    bench.collector.outage_ended(bench.now)
    bench.append(2, 3)
    flags = []
    for number in (4, 5):
        for _ in range(3):
            bench.wait(1)
            bench.collector.poll(bench.now)
        body = bench.collector.take(0)
        flags.append({record.flags for record in unpack_records(body[RUN_HEADER_SIZE:])})
        bench.append(number)

    assert [{BACKLOG | 6}, {6}] == flags


def test_a_hole_that_is_filled_after_the_stream_went_on_is_late():
    bench = CollectorBench(ticks=[tick(0)])
    bench.begin()
    bench.append(*range(1, 100))
    bench.pump()
    bench.collector.outage_began()
    bench.history.hold_back(SYMBOL, T0 + 100, T0 + 600_000)
    bench.append(*range(100, 600_000, 1_000), *range(600_001, 600_100))
    bench.collector.outage_ended(bench.now)
    bench.settle(5)
    gone_on = len(bench.relay.received())
    bench.history.release(SYMBOL, T0 + 300_000)
    bench.settle(5)
    bench.history.release(SYMBOL)
    bench.settle(5)

    assert 199 == gone_on
    assert 600 == bench.collector.late
    assert content(bench.history.ticks_of(SYMBOL)) == bench.relay.content()


def test_a_history_that_never_settles_does_not_stop_live_prices():
    bench = CollectorBench(ticks=[tick(0)])
    bench.begin()
    bench.pump()
    bench.collector.outage_began()
    bench.collector.outage_ended(bench.now)
    for number in range(1, 41):
        bench.append(10 * number)
        bench.history.insert_late(SYMBOL, tick(10 * number - 5))
        bench.wait(1)
        bench.pump()

    assert content(bench.history.ticks_of(SYMBOL)) == bench.relay.content()


def test_an_outage_while_the_relay_is_away_is_looked_at_when_it_is_back():
    bench = CollectorBench(ticks=[tick(0)])
    bench.begin()
    bench.append(*range(1, 100))
    bench.pump()
    bench.collector.rewind()
    bench.collector.outage_began()
    bench.history.hold_back(SYMBOL, T0 + 100, T0 + 199)
    bench.append(*range(100, 300))
    bench.collector.outage_ended(bench.now)
    bench.begin()
    bench.pump(rounds=2)
    bench.history.release(SYMBOL)
    bench.settle(3)

    assert list(range(300)) == [record.time_msc - T0 for record in bench.relay.received()]
