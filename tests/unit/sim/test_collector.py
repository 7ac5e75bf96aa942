"""``bridge.sim.collector`` with its streams, reader and resumption, against a naive relay."""

from __future__ import annotations

import collections
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.model.record import RECORD_SIZE, unpack_records
from bridge.model.tick import MqlTick
from bridge.sim.collector import FRAME_BODY_MAX, UNSENT_MAX
from bridge.wire.messages import Subscribe, pack_message
from bridge.wire.spec import RUN_HEADER_SIZE, Continuity, ErrorCode, GapReason
from tests.support.collector_bench import (
    BACKLOG,
    LATE,
    SECOND_US,
    SYMBOL,
    T0,
    CollectorBench,
    content,
    tick,
)

# Beginning.


def test_a_fresh_stream_begins_with_the_latest_tick():
    bench = CollectorBench(ticks=[tick(1), tick(2), tick(3, T0 + 2)])

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
    bench = CollectorBench(ticks=[tick(1)])
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
    bench = CollectorBench()
    answer, _ = bench.begin()
    bench.pump()
    bench.append(1, 2, 3)
    bench.pump()

    assert Continuity.FRESH == answer.continuity
    assert [1, 2, 3] == [record.time_msc - T0 for record in bench.relay.received()]


def test_a_symbol_without_ticks_begins_at_the_current_time():
    """History that is only being loaded must not be taken for new ticks."""
    bench = CollectorBench()
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
    bench = CollectorBench(ticks=[tick(1)])
    subscribe = bench.relay.subscribe()
    fields = {name: getattr(subscribe, name) for name, _ in subscribe.FIELDS} | changes

    answer, gap = bench.collector.begin(Subscribe(**fields), 0)

    assert (code, 0, None, 0) == (answer.code, answer.symbol_id, gap, len(bench.collector))
    assert pack_message(answer)
    assert answer.text


def test_a_history_that_is_being_loaded_is_not_believed():
    bench = CollectorBench(ticks=[tick(n) for n in range(50)])
    bench.history.answer_in_part(SYMBOL, calls=2, blocked_ms=45_000)
    answers = [bench.begin()[0].code for _ in range(3)]

    assert [ErrorCode.NOT_SYNCHRONISED] * 2 + [ErrorCode.OK] == answers
    assert 90_000 == bench.collector.reader.take_blocked_ms()
    bench.pump()
    assert content([tick(49)]) == bench.relay.content()


def test_the_cursor_is_behind_the_last_record_of_the_run():
    bench = CollectorBench(ticks=[tick(1), tick(2), tick(3, T0 + 2)])
    bench.begin()
    bench.append(4)
    bench.pump()

    assert [(101, 2, (T0 + 4, 1))] == [
        (epoch, seq, cursor[:2]) for epoch, seq, cursor in bench.relay.checkpoints[SYMBOL][-1:]
    ]


# Reading.


def test_ticks_added_to_a_millisecond_that_was_read_simply_follow():
    bench = CollectorBench(ticks=[tick(1)])
    bench.begin()
    for number in range(2, 40):
        bench.history.append(SYMBOL, tick(number, T0 + 1 + number // 5))
        bench.pump()

    assert content(bench.history.ticks_of(SYMBOL)) == bench.relay.content()
    assert 0 == sum(record.flags & LATE for record in bench.relay.received())


def test_partial_answers_are_not_taken():
    bench = CollectorBench(ticks=[tick(1)])
    bench.begin()
    bench.append(*range(2, 60))
    bench.history.answer_in_part(SYMBOL, calls=3, blocked_ms=0)
    bench.collector.poll(bench.now)

    assert 1 == bench.collector.numbered
    assert bench.collector.wants_blocking(bench.now + SECOND_US)
    bench.settle(3)
    assert content(bench.history.ticks_of(SYMBOL)) == bench.relay.content()


def test_without_leave_to_block_nothing_unsynchronised_is_read():
    bench = CollectorBench(ticks=[tick(1)])
    bench.begin()
    bench.pump()
    bench.collector.outage_began()
    bench.collector.outage_ended(bench.now)
    bench.append(2)
    bench.collector.poll(bench.now, may_block=False)

    assert bench.collector.wants_blocking(bench.now)
    assert 1 == bench.collector.numbered


def test_reading_stops_while_too_much_is_unsent():
    bench = CollectorBench(ticks=[tick(1)])
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
    bench = CollectorBench(ticks=[tick(1)])
    bench.begin()
    bench.append(2)
    bench.history.append(SYMBOL, MqlTick(T0 + 3, float("inf"), 1.0))
    bench.history.append(SYMBOL, MqlTick(T0 + 3, 1.0, float("nan")))
    bench.append(4)
    bench.pump()

    assert [1, 2, 4] == [record.time_msc - T0 for record in bench.relay.received()]


def test_undocumented_flags_of_the_terminal_do_not_look_like_ours():
    bench = CollectorBench(ticks=[tick(1)])
    bench.begin()
    bench.history.append(SYMBOL, tick(2)._replace(flags=0xF06))
    bench.pump()

    assert [6, 6] == [record.flags for record in bench.relay.received()]


def test_records_carry_the_offset_of_the_time_of_reading():
    bench = CollectorBench(ticks=[tick(1)])
    bench.begin()
    bench.collector.utc_offset_min = 180
    bench.append(2)
    bench.collector.poll(bench.now)
    records = unpack_records(bench.collector.take(0)[RUN_HEADER_SIZE:])

    assert [0, 180] == [record.utc_offset_min for record in records]


def test_a_symbol_taken_out_of_market_watch_is_put_back():
    bench = CollectorBench(ticks=[tick(1)])
    bench.begin()
    bench.history.select(SYMBOL, False)
    bench.append(2)
    bench.settle(2)

    assert [1, 2] == [record.time_msc - T0 for record in bench.relay.received()]


def test_a_millisecond_with_more_ticks_than_a_slice_is_read_whole(monkeypatch):
    monkeypatch.setattr("bridge.sim.tickreader._SLICE", 10)
    bench = CollectorBench(ticks=[tick(n, T0 + 5) for n in range(45)])
    bench.begin()
    for number in range(45, 95):
        bench.history.append(SYMBOL, tick(number, T0 + 5))
    bench.settle(5)

    assert content(tick(n, T0 + 5) for n in range(44, 95)) == bench.relay.content()


# Sending.


def test_symbols_take_turns_in_a_frame():
    names = ("EURUSD", "USDJPY", "GBPUSD")
    bench = CollectorBench(*names)
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
    bench = CollectorBench(*names)
    for name in names:
        bench.history.append(name, tick(0))
        bench.begin(name)
    body = bench.collector.take(0)

    assert len(names) == bench.relay.receive(body)
    assert bench.collector.take(0) is None


@pytest.mark.parametrize("max_bytes", [0, 40, 105, 106, 200, FRAME_BODY_MAX])
def test_a_frame_is_never_larger_than_asked(max_bytes):
    bench = CollectorBench(ticks=[tick(1)])
    bench.begin()
    bench.append(*range(2, 200))
    bench.collector.poll(bench.now)
    body = bench.collector.take(0, max_bytes)

    if max_bytes < RUN_HEADER_SIZE + RECORD_SIZE:
        assert body is None
    else:
        assert (max_bytes - RUN_HEADER_SIZE) // RECORD_SIZE == bench.relay.receive(body)


def test_an_ended_stream_sends_nothing_more():
    bench = CollectorBench(ticks=[tick(1)])
    answer, _ = bench.begin()
    bench.collector.end(answer.symbol_id)
    bench.collector.end(answer.symbol_id)
    bench.append(2)
    bench.collector.poll(bench.now)

    assert bench.collector.take(0) is None
    assert 0 == len(bench.collector)


def test_an_old_unsubscribe_does_not_end_a_stream_that_began_again():
    bench = CollectorBench(ticks=[tick(1)])
    first, _ = bench.begin()
    second, _ = bench.begin()
    bench.collector.end(first.symbol_id)
    bench.pump()

    assert 1 == len(bench.collector)
    assert {second.epoch} == {record.epoch for record in bench.relay.received()}


# What a feed asks.


def test_streaming_names_what_was_caught_up_with():
    bench = CollectorBench("EURUSD", "USDJPY")
    bench.begin("EURUSD")
    before = bench.collector.streaming
    bench.pump()
    during = bench.collector.streaming
    bench.collector.rewind()

    assert (frozenset(), {"EURUSD"}, frozenset()) == (before, during, bench.collector.streaming)
    assert not bench.collector.keeps_up


def test_memory_is_bounded():
    bench = CollectorBench(ticks=[tick(0)])
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


class Story(CollectorBench):
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
