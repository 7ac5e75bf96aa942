"""``bridge.sim.collector`` with its streams, reader and resumption, against a naive relay."""

from __future__ import annotations

import collections
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.model.record import RECORD_SIZE, Cursor, check_records, unpack_records
from bridge.model.symbol import spec_for
from bridge.model.tick import MqlTick, TickFlag
from bridge.sim.collector import FRAME_BODY_MAX, UNSENT_MAX, TickCollector
from bridge.sim.history import TickHistory
from bridge.wire.frame import RUN_HEADER
from bridge.wire.messages import Resume, Subscribe, pack_message
from bridge.wire.spec import (
    RUN_HEADER_SIZE,
    Continuity,
    ErrorCode,
    GapReason,
    StreamKind,
)

T0 = 1_546_383_600_000
S = 1_000_000  # a second in microseconds
SYMBOL = "EURUSD"
LATE = int(TickFlag.LATE)
BACKLOG = int(TickFlag.BACKLOG)


def tick(number, time_msc=None):
    return MqlTick(T0 + number if time_msc is None else time_msc, 1.0 + number / 1e5, 2.0)


def content(ticks):
    """
    Return what must arrive of ticks: a multiset without flags.
    """
    return collections.Counter(tuple(tick[:5]) for tick in ticks)


class NaiveRelay:
    """
    Keeps every record it ever got, and a checkpoint behind every run.
    """

    def __init__(self):
        self.records = {}  # symbol -> {(epoch, seq): fields without BACKLOG and offset}
        self.checkpoints = collections.defaultdict(list)  # symbol -> [(epoch, seq, cursor)]
        self.answers = []
        self.gaps = []
        self.fresh_epoch = 100
        self._by_id = {}
        self._expected = {}

    def subscribe(self, symbol=SYMBOL, *, resume=True, overlap=0, max_age_s=86_400):
        self.fresh_epoch += 1
        offered = None
        if resume and self.checkpoints[symbol]:
            epoch, seq, cursor = self.checkpoints[symbol][-1]
            offered = Resume(epoch, seq, cursor, max(1, seq + 1 - overlap))
        return Subscribe(7, int(StreamKind.TICK), symbol, 0, self.fresh_epoch, max_age_s, offered)

    def begun(self, symbol, answer, gap):
        pack_message(answer)
        self.answers.append(answer)
        if gap is not None:
            pack_message(gap)
            assert (gap.symbol_id, gap.epoch, gap.first_seq) == (
                answer.symbol_id,
                answer.epoch,
                answer.first_seq,
            )
            self.gaps.append(gap)
        if self.checkpoints[symbol] and self.checkpoints[symbol][-1][0] != answer.epoch:
            # As the relay does: nothing of the new epoch is there to go on from yet.
            self.checkpoints[symbol].clear()
        self._by_id[answer.symbol_id] = symbol, answer.epoch
        self._expected[answer.symbol_id] = answer.first_seq

    def receive(self, body):
        """
        Take the body of a TICKS frame as the relay does, and return how many records it had.
        """
        assert len(body) <= FRAME_BODY_MAX
        at = count = 0
        while at < len(body):
            symbol_id, length, first_seq, _ = RUN_HEADER.unpack_from(body, at)
            begin = at + RUN_HEADER_SIZE
            cursor = Cursor(*_unpack_cursor(body[begin - 16 : begin]))
            at = begin + length * RECORD_SIZE
            symbol, epoch = self._by_id[symbol_id]
            assert self._expected[symbol_id] == first_seq, "numbers are contiguous"
            self._expected[symbol_id] += length
            records = bytes(body[begin:at])
            assert check_records(records, epoch, first_seq) is None
            known = self.records.setdefault(symbol, {})
            for record in unpack_records(records):
                fields = record._replace(flags=record.flags & ~BACKLOG, utc_offset_min=0)
                key = (record.epoch, record.seq)
                assert known.setdefault(key, fields) == fields, "sent again, it is the same"
            self.checkpoints[symbol].append((epoch, first_seq + length - 1, cursor))
            count += length
        return count

    def received(self, symbol=SYMBOL, epoch=None):
        records = self.records.get(symbol, {})
        return [records[key] for key in sorted(records) if epoch in (None, key[0])]

    def content(self, symbol=SYMBOL, epoch=None):
        return collections.Counter(tuple(record[2:7]) for record in self.received(symbol, epoch))


def _unpack_cursor(data):
    return (
        int.from_bytes(data[:8], "little", signed=True),
        int.from_bytes(data[8:12], "little"),
        int.from_bytes(data[12:], "little"),
    )


class Bench:
    """
    A history, a collector that can be restarted, and the naive relay; a virtual clock.
    """

    def __init__(self, *symbols, ticks=(), seed=0, **options):
        self.symbols = symbols or (SYMBOL,)
        self.history = TickHistory(self.symbols, seed=seed)
        self.options = options
        self.now = 1_000
        self.relay = NaiveRelay()
        self.collector = self.new_collector()
        for new in ticks:
            self.history.append(SYMBOL, new)

    def new_collector(self):
        return TickCollector(
            self.history, {name: spec_for(name) for name in self.symbols}, **self.options
        )

    def restart(self):
        self.collector = self.new_collector()

    def begin(self, symbol=SYMBOL, **options):
        answer, gap = self.collector.begin(self.relay.subscribe(symbol, **options), self.now)
        if answer.code == 0:
            self.relay.begun(symbol, answer, gap)
        return answer, gap

    def append(self, *numbers):
        for number in numbers:
            self.history.append(SYMBOL, tick(number))

    def wait(self, seconds=0.0):
        self.now += int(seconds * S) + 1_000

    def pump(self, *, rounds=None, deliver=True):
        """
        Poll and send until nothing moves any more, or so many rounds.
        """
        idle = 0
        while idle < 3 and rounds != 0:
            self.wait()
            before = self.collector.numbered
            self.collector.poll(self.now)
            body = self.collector.take(self.now)
            idle = idle + 1 if body is None and self.collector.numbered == before else 0
            while body is not None:
                if deliver:
                    self.relay.receive(body)
                body = self.collector.take(self.now)
            rounds = None if rounds is None else rounds - 1

    def settle(self, seconds=100):
        """
        Let the clock run, as long as anything may still be looked at again.
        """
        for _ in range(seconds):
            self.wait(1)
            self.pump()


# Beginning.


def test_a_fresh_stream_begins_with_the_latest_tick():
    bench = Bench(ticks=[tick(1), tick(2), tick(3, T0 + 2)])

    answer, gap = bench.begin()
    bench.pump()

    assert (0, 101, 1, Continuity.FRESH, 5, 1e-5, None) == (
        answer.code,
        answer.epoch,
        answer.first_seq,
        answer.continuity,
        answer.digits,
        answer.point,
        gap,
    )
    assert content([tick(3, T0 + 2)]) == bench.relay.content()


def test_the_first_record_is_backlog_and_the_next_ones_are_live():
    bench = Bench(ticks=[tick(1)])
    bench.begin()
    flags = []
    for number in (2, 3):
        bench.collector.poll(bench.now)
        flags += [r.flags for r in unpack_records(bench.collector.take(0)[RUN_HEADER_SIZE:])]
        bench.append(number)
    bench.collector.poll(bench.now)
    flags += [r.flags for r in unpack_records(bench.collector.take(0)[RUN_HEADER_SIZE:])]

    assert [BACKLOG | 6, 6, 6] == flags


def test_a_symbol_without_ticks_begins_with_its_first_one():
    bench = Bench()
    answer, _ = bench.begin()
    bench.pump()
    bench.append(1, 2, 3)
    bench.pump()

    assert Continuity.FRESH == answer.continuity
    assert [1, 2, 3] == [record.time_msc - T0 for record in bench.relay.received()]


def test_a_symbol_without_ticks_begins_at_the_current_time():
    """History that is only being loaded must not be taken for new ticks."""
    bench = Bench()
    bench.collector.begin(bench.relay.subscribe(), 0, T0 + 2)
    bench.append(1, 2, 3)
    bench.collector.poll(bench.now)
    records = unpack_records(bench.collector.take(0)[RUN_HEADER_SIZE:])

    assert [2, 3] == [record.time_msc - T0 for record in records]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"symbol": "NOPE"}, ErrorCode.UNKNOWN_SYMBOL),
        ({"symbol": "X" * 128}, ErrorCode.UNKNOWN_SYMBOL),
        ({"kind": 2}, ErrorCode.UNSUPPORTED),
        ({"kind": 99}, ErrorCode.UNSUPPORTED),
    ],
)
def test_what_cannot_begin_is_refused_with_a_reason(changes, code):
    bench = Bench(ticks=[tick(1)])
    subscribe = bench.relay.subscribe()
    fields = {name: getattr(subscribe, name) for name, _ in subscribe.FIELDS} | changes

    answer, gap = bench.collector.begin(Subscribe(**fields), 0)

    assert (code, 0, None, 0) == (answer.code, answer.symbol_id, gap, len(bench.collector))
    assert pack_message(answer)
    assert answer.text


def test_a_history_that_is_being_loaded_is_not_believed():
    bench = Bench(ticks=[tick(n) for n in range(50)])
    bench.history.answer_in_part(SYMBOL, calls=2, blocked_ms=45_000)
    answers = [bench.begin()[0].code for _ in range(3)]

    assert [ErrorCode.NOT_SYNCHRONISED] * 2 + [ErrorCode.OK] == answers
    assert 90_000 == bench.collector.reader.take_blocked_ms()
    bench.pump()
    assert content([tick(49)]) == bench.relay.content()


def test_the_cursor_is_behind_the_last_record_of_the_run():
    bench = Bench(ticks=[tick(1), tick(2), tick(3, T0 + 2)])
    bench.begin()
    bench.append(4)
    bench.pump()

    assert [(101, 2, (T0 + 4, 1))] == [
        (epoch, seq, cursor[:2]) for epoch, seq, cursor in bench.relay.checkpoints[SYMBOL][-1:]
    ]


# Reading.


def test_ticks_added_to_a_millisecond_that_was_read_simply_follow():
    bench = Bench(ticks=[tick(1)])
    bench.begin()
    for number in range(2, 40):
        bench.history.append(SYMBOL, tick(number, T0 + 1 + number // 5))
        bench.pump()

    assert content(bench.history.ticks_of(SYMBOL)) == bench.relay.content()
    assert 0 == sum(record.flags & LATE for record in bench.relay.received())


def test_partial_answers_are_not_taken():
    bench = Bench(ticks=[tick(1)])
    bench.begin()
    bench.append(*range(2, 60))
    bench.history.answer_in_part(SYMBOL, calls=3, blocked_ms=0)
    bench.collector.poll(bench.now)

    assert 1 == bench.collector.numbered
    assert bench.collector.wants_blocking(bench.now + S)
    bench.settle(3)
    assert content(bench.history.ticks_of(SYMBOL)) == bench.relay.content()


def test_without_leave_to_block_nothing_unsynchronised_is_read():
    bench = Bench(ticks=[tick(1)])
    bench.begin()
    bench.pump()
    bench.collector.outage_began()
    bench.collector.outage_ended(bench.now)
    bench.append(2)
    bench.collector.poll(bench.now, may_block=False)

    assert bench.collector.wants_blocking(bench.now)
    assert 1 == bench.collector.numbered


def test_reading_stops_while_too_much_is_unsent():
    bench = Bench(ticks=[tick(1)])
    bench.begin()
    bench.append(*range(2, 5_000))
    for _ in range(20):
        bench.wait()
        bench.collector.poll(bench.now)

    assert UNSENT_MAX < bench.collector.numbered <= 2 * UNSENT_MAX + 1
    assert not bench.collector.keeps_up
    bench.pump()
    assert bench.collector.keeps_up
    assert content(bench.history.ticks_of(SYMBOL)) == bench.relay.content()


def test_a_tick_that_no_relay_would_take_is_left_out():
    bench = Bench(ticks=[tick(1)])
    bench.begin()
    bench.append(2)
    bench.history.append(SYMBOL, MqlTick(T0 + 3, float("inf"), 1.0))
    bench.history.append(SYMBOL, MqlTick(T0 + 3, 1.0, float("nan")))
    bench.append(4)
    bench.pump()

    assert [1, 2, 4] == [record.time_msc - T0 for record in bench.relay.received()]


def test_undocumented_flags_of_the_terminal_do_not_look_like_ours():
    bench = Bench(ticks=[tick(1)])
    bench.begin()
    bench.history.append(SYMBOL, tick(2)._replace(flags=0xF06))
    bench.pump()

    assert [6, 6] == [record.flags for record in bench.relay.received()]


def test_records_carry_the_offset_of_the_time_of_reading():
    bench = Bench(ticks=[tick(1)])
    bench.begin()
    bench.collector.utc_offset_min = 180
    bench.append(2)
    bench.collector.poll(bench.now)
    records = unpack_records(bench.collector.take(0)[RUN_HEADER_SIZE:])

    assert [0, 180] == [record.utc_offset_min for record in records]


def test_a_symbol_taken_out_of_market_watch_is_put_back():
    bench = Bench(ticks=[tick(1)])
    bench.begin()
    bench.history.select(SYMBOL, False)
    bench.append(2)
    bench.settle(2)

    assert [1, 2] == [record.time_msc - T0 for record in bench.relay.received()]


def test_a_millisecond_with_more_ticks_than_a_slice_is_read_whole(monkeypatch):
    monkeypatch.setattr("bridge.sim.tickreader._SLICE", 10)
    bench = Bench(ticks=[tick(n, T0 + 5) for n in range(45)])
    bench.begin()
    for number in range(45, 95):
        bench.history.append(SYMBOL, tick(number, T0 + 5))
    bench.settle(5)

    assert content(tick(n, T0 + 5) for n in range(44, 95)) == bench.relay.content()


# Sending.


def test_symbols_take_turns_in_a_frame():
    names = ("EURUSD", "USDJPY", "GBPUSD")
    bench = Bench(*names)
    for name in names:
        bench.history.append(name, tick(0))
        bench.begin(name)
    for number in range(1, 400):
        for name in names:
            bench.history.append(name, tick(number))
    bench.collector.poll(bench.now)
    symbols = []
    bench.collector.on_taken = lambda symbol, first, length: symbols.append((symbol, length))
    while bench.collector.take(0):
        pass

    assert ["EURUSD", "USDJPY", "GBPUSD"] * 2 == [symbol for symbol, _ in symbols[:6]]
    assert dict.fromkeys(names, 400) == {
        name: sum(length for symbol, length in symbols if symbol == name) for name in names
    }


def test_a_frame_takes_several_small_runs():
    names = tuple(f"SYM{n:02}" for n in range(30))
    bench = Bench(*names)
    for name in names:
        bench.history.append(name, tick(0))
        bench.begin(name)
    body = bench.collector.take(0)

    assert len(names) == bench.relay.receive(body)
    assert bench.collector.take(0) is None


@pytest.mark.parametrize("max_bytes", [0, 40, 105, 106, 200, FRAME_BODY_MAX])
def test_a_frame_is_never_larger_than_asked(max_bytes):
    bench = Bench(ticks=[tick(1)])
    bench.begin()
    bench.append(*range(2, 200))
    bench.collector.poll(bench.now)
    body = bench.collector.take(0, max_bytes)

    if max_bytes < RUN_HEADER_SIZE + RECORD_SIZE:
        assert body is None
    else:
        assert (max_bytes - RUN_HEADER_SIZE) // RECORD_SIZE == bench.relay.receive(body)


def test_an_ended_stream_sends_nothing_more():
    bench = Bench(ticks=[tick(1)])
    answer, _ = bench.begin()
    bench.collector.end(answer.symbol_id)
    bench.collector.end(answer.symbol_id)
    bench.append(2)
    bench.collector.poll(bench.now)

    assert bench.collector.take(0) is None
    assert 0 == len(bench.collector)


def test_an_old_unsubscribe_does_not_end_a_stream_that_began_again():
    bench = Bench(ticks=[tick(1)])
    first, _ = bench.begin()
    second, _ = bench.begin()
    bench.collector.end(first.symbol_id)
    bench.pump()

    assert 1 == len(bench.collector)
    assert {second.epoch} == {record.epoch for record in bench.relay.received()}


# Resumption.


def test_after_a_cut_the_log_sends_again_what_was_not_taken():
    bench = Bench(ticks=[tick(1)])
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
    bench = Bench(ticks=[tick(1)])
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
    bench = Bench(ticks=[tick(1)])
    bench.begin()
    bench.append(*range(2, 101))
    bench.pump()
    bench.collector.rewind()
    answer, _ = bench.begin(overlap=30)
    assert (Continuity.RESUMED, 71) == (answer.continuity, answer.first_seq)
    answer, _ = bench.begin(overlap=1_000)

    assert (Continuity.RESUMED, 1) == (answer.continuity, answer.first_seq)


def test_an_overlap_beyond_the_log_gets_what_the_log_has():
    bench = Bench(ticks=[tick(1)], log_records=50)
    bench.begin()
    for number in range(2, 201):
        bench.append(number)
        bench.pump()
    answer, gap = bench.begin(overlap=1_000)

    assert (Continuity.RESUMED, 151, None) == (answer.continuity, answer.first_seq, gap)


def test_behind_the_log_the_history_is_read_again_with_the_same_numbers():
    bench = Bench(ticks=[tick(1)], log_records=10)
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
    bench = Bench(ticks=[tick(2 * n) for n in range(2)], log_records=10)
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
    bench = Bench(ticks=[tick(1)], log_records=10, audit_every_us=0)
    bench.begin()
    for number in range(2, 100):
        bench.append(number)
        bench.pump()
    bench.history.revise(SYMBOL, T0 + 50, 0, None)
    del bench.relay.checkpoints[SYMBOL][30:]
    _, gap = bench.begin()

    assert GapReason.ORDER_LOST == gap.reason


def test_a_restarted_terminal_goes_on_behind_the_relays_cursor():
    bench = Bench(ticks=[tick(1)])
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
    bench = Bench(ticks=[tick(n) for n in range(1, 10)])
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
    bench = Bench(ticks=[tick(1)])
    bench.begin()
    bench.pump()
    bench.history = TickHistory([SYMBOL])
    bench.restart()
    answer, gap = bench.begin()

    assert (Continuity.GAP, GapReason.HISTORY_MISSING) == (answer.continuity, gap.reason)


def test_a_relay_that_fell_back_to_an_older_epoch_gets_the_log():
    bench = Bench(ticks=[tick(1)], log_records=20)
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
    bench = Bench(ticks=[tick(1)])
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
    bench = Bench(ticks=[tick(1)], log_records=10)
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
    bench = Bench(ticks=[tick(1)], log_records=10)
    bench.begin()
    for number in range(2, 60):
        bench.append(number)
        bench.pump()
    del bench.relay.checkpoints[SYMBOL][30:]
    _, gap = bench.begin()

    assert GapReason.ORDER_LOST == gap.reason


def test_a_history_that_got_shorter_does_not_lead_anywhere():
    bench = Bench(ticks=[tick(1)], log_records=10, audit_every_us=0)
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
    bench = Bench(ticks=[tick(n) for n in range(1, 50)])
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
    bench = Bench(ticks=[tick(1)])
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
    bench = Bench()
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
    bench = Bench(ticks=[tick(1)])
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
    bench = Bench(ticks=[tick(n) for n in range(10)])
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
    bench = Bench(ticks=[tick(1)])
    bench.relay.fresh_epoch = 2**32 - 2
    first, _ = bench.begin()
    bench.pump()
    bench.collector.acknowledged()
    second, _ = bench.collector.begin(Subscribe(1, 1, SYMBOL, 0, 5, 0, None), 0)

    assert (ErrorCode.OK, ErrorCode.INVALID) == (first.code, second.code)


# Late and revised ticks.


def test_a_tick_inserted_at_the_cursors_millisecond_is_found_at_once():
    bench = Bench(ticks=[tick(1), tick(2, T0 + 2), tick(3, T0 + 2)])
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
    bench = Bench(ticks=[tick(0)])
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
    bench = Bench(ticks=[tick(0)])
    bench.begin()
    bench.pump()
    bench.settle(120)
    bench.append(10, 20)
    bench.pump()
    bench.history.insert_late(SYMBOL, tick(15))
    bench.settle(25)

    assert content(bench.history.ticks_of(SYMBOL)) == bench.relay.content()


def test_ticks_that_are_gone_are_counted_once_and_not_sent_again_when_they_return():
    bench = Bench(ticks=[tick(n) for n in range(5)])
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
    bench = Bench(ticks=[tick(n) for n in range(5)])
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
    bench = Bench(ticks=[tick(0)])
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
    bench = Bench(ticks=[tick(0)])
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
    bench = Bench(ticks=[tick(0)])
    bench.begin()
    bench.append(2_000)
    bench.pump()
    for number in range(500, 1_500):
        bench.history.insert_late(SYMBOL, tick(number))
    bench.settle(100)

    assert content(bench.history.ticks_of(SYMBOL)) == bench.relay.content()
    assert 1_000 == bench.collector.late


def test_after_a_restart_late_ticks_are_found_too():
    bench = Bench(ticks=[tick(0)])
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
    bench = Bench(ticks=[tick(0)])
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
    bench = Bench(ticks=[tick(0)])
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
    bench = Bench(ticks=[tick(0)])
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
    bench = Bench(ticks=[tick(0)])
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
    bench = Bench(ticks=[tick(0)])
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


# What a feed asks.


def test_streaming_names_what_was_caught_up_with():
    bench = Bench("EURUSD", "USDJPY")
    bench.begin("EURUSD")
    before = bench.collector.streaming
    bench.pump()
    during = bench.collector.streaming
    bench.collector.rewind()

    assert (frozenset(), {"EURUSD"}, frozenset()) == (before, during, bench.collector.streaming)
    assert not bench.collector.keeps_up


def test_memory_is_bounded():
    bench = Bench(ticks=[tick(0)])
    bench.begin()
    for first in range(1, 200_000, 5_000):
        bench.append(*(number // 1_000 + first for number in range(5_000)))
        bench.pump()
    stream = bench.collector._streams[SYMBOL]

    assert len(stream.memory) <= 65_536 * 5 // 4
    assert len(stream.log.cursors) <= 4_096
    assert len(stream.log.records) == RECORD_SIZE * len(stream.log.cursors)
    assert len(bench.history.ticks_of(SYMBOL)) == bench.collector.numbered


# Against a model: whatever happens, in whatever order.

# Some come more often than others.
OPERATION_NAMES = (
    "append append append late partial poll poll cut amnesia lose restart unsubscribe outage wait"
)
OPERATIONS = st.lists(
    st.tuples(st.sampled_from(OPERATION_NAMES.split()), st.integers(0, 2**32 - 1)), max_size=40
)


class Story(Bench):
    """
    A bench that is told what happens.
    """

    def __init__(self, seed, **options):
        super().__init__(seed=seed, **options)
        self.rng = random.Random(seed)
        self.number = 0
        self.time_msc = T0
        self.append_some(3)
        self.first_msc = self.time_msc
        self.begin()
        self.pump()

    def append_some(self, count):
        for _ in range(count):
            self.number += 1
            self.time_msc += self.rng.choice((0, 0, 1, 7))
            self.history.append(SYMBOL, tick(self.number, self.time_msc))

    def tell(self, operation, value):
        getattr(self, f"tell_{operation}")(value)

    def tell_append(self, value):
        self.append_some(value % 700)

    def tell_late(self, value):
        self.number += 1
        # Never before the stream began: that is not part of it.
        time_msc = self.rng.randint(self.first_msc + 1, self.time_msc + 1)
        if time_msc <= self.time_msc:
            self.history.insert_late(SYMBOL, tick(self.number, time_msc))

    def tell_partial(self, value):
        self.history.answer_in_part(SYMBOL, calls=1 + value % 3, blocked_ms=0)

    def tell_poll(self, value):
        self.pump(rounds=1 + value % 4)

    def tell_lose(self, value):
        # What is on its way is lost, and then the link.
        self.pump(rounds=1 + value % 2, deliver=False)
        self.reconnect()

    def tell_cut(self, value):
        self.reconnect(overlap=value % 100)

    def tell_amnesia(self, value):
        checkpoints = self.relay.checkpoints[SYMBOL]
        del checkpoints[1 + value % max(1, len(checkpoints)) :]
        self.reconnect(overlap=value % 100)

    def tell_restart(self, value):
        self.restart()
        self.reconnect()

    def tell_unsubscribe(self, value):
        self.collector.end(self.relay.answers[-1].symbol_id)
        self.reconnect()

    def tell_outage(self, value):
        self.collector.outage_began()
        self.append_some(value % 50)
        self.collector.outage_ended(self.now)

    def tell_wait(self, value):
        self.wait(value % 25)

    def reconnect(self, **options):
        self.collector.rewind()
        while self.begin(**options)[0].code == ErrorCode.NOT_SYNCHRONISED:
            pass

    def expected(self):
        ticks = self.history.ticks_of(SYMBOL)
        # The third tick was the latest when the stream began.
        return content(t for t in ticks if t not in (tick(1, t.time_msc), tick(2, t.time_msc)))

    def check_numbers(self):
        by_epoch = collections.defaultdict(list)
        for record in self.relay.received():
            by_epoch[record.epoch].append(record.seq)
        for numbers in by_epoch.values():
            assert list(range(1, len(numbers) + 1)) == numbers


def without(operations, *names):
    return [operation for operation in operations if operation[0] not in names]


@given(OPERATIONS, st.integers(0, 2**32 - 1))
def test_every_tick_arrives_once_whatever_restarts(operations, seed):
    """A log of ten records, restarts of the terminal, a relay that falls back: no gap."""
    story = Story(seed, log_records=10)
    for operation in without(operations, "late"):
        story.tell(*operation)
    story.settle(5)

    assert story.expected() == story.relay.content()
    assert [] == story.relay.gaps
    assert {101} == {record.epoch for record in story.relay.received()}
    story.check_numbers()


@given(OPERATIONS, st.integers(0, 2**32 - 1))
def test_every_tick_arrives_once_late_ones_too(operations, seed):
    """A log that holds everything, late ticks anywhere, a relay that falls back: no gap."""
    story = Story(seed, log_records=1_000_000)
    for operation in without(operations, "restart", "unsubscribe"):
        story.tell(*operation)
    story.settle(100)

    assert story.expected() == story.relay.content()
    assert [] == story.relay.gaps
    story.check_numbers()


@given(OPERATIONS, st.integers(0, 2**32 - 1))
def test_when_the_order_is_lost_it_is_said_and_nothing_else_is_lost(operations, seed):
    """
    Late ticks, and a relay that falls back behind them and behind the log. The log is longer
    than what can be on its way unacknowledged, as it is in earnest.
    """
    story = Story(seed, log_records=1_200)
    for operation in without(operations, "restart", "unsubscribe"):
        story.tell(*operation)
    story.settle(100)

    expected = story.expected()
    assert expected == expected & story.relay.content()
    assert {GapReason.ORDER_LOST, GapReason.HISTORY_REVISED} >= {
        gap.reason for gap in story.relay.gaps
    }
    for epoch in {record.epoch for record in story.relay.received()}:
        of_epoch = story.relay.content(epoch=epoch)
        assert of_epoch == of_epoch & expected
    story.check_numbers()
