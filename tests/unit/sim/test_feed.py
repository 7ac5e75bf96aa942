"""``bridge.sim.feed``: ticks put into a history in time."""

from __future__ import annotations

import pytest

from bridge.model.symbol import spec_for
from bridge.model.tick import MqlTick
from bridge.sim.collector import TickCollector
from bridge.sim.feed import SLICE, ReplayFeed, SyntheticFeed
from bridge.sim.history import TickHistory
from bridge.sim.synthetic import SyntheticMarket
from bridge.wire.messages import Subscribe
from bridge.wire.protocol import NEVER_US

T0 = 1_546_383_600_000
MS = 1_000


def tick(number):
    return MqlTick(T0 + number, 1.0 + number / 1e5, 2.0)


def times(history, symbol):
    return [tick.time_msc - T0 for tick in history.ticks_of(symbol)]


class Reader:
    """
    A collector whose relay takes everything at once.
    """

    def __init__(self, *symbols):
        self.history = TickHistory(symbols)
        self.collector = TickCollector(self.history, {s: spec_for(s) for s in symbols})
        self.now = 1_000
        self.sent = []
        self.collector.on_taken = lambda symbol, first, length: self.sent.append(
            (symbol, first, length)
        )

    def subscribe(self, symbol):
        self.collector.begin(Subscribe(1, 1, symbol, 0, 1, 0, None), self.now)

    def turn(self, feed=None):
        self.now += 1_000
        played = feed.due(self.now) if feed else 0
        self.collector.poll(self.now)
        while self.collector.take(self.now):
            pass
        return played


def test_symbols_are_merged_by_time():
    history = TickHistory(["A", "B"])
    order = []
    history.append = lambda symbol, new: order.append((symbol, new.time_msc - T0))
    feed = ReplayFeed(
        history,
        {"A": [tick(1), tick(3), tick(3)], "B": [tick(2), tick(3), tick(4)]},
        speed=None,
    )
    feed.due(0)

    assert [("A", 1), ("B", 2), ("A", 3), ("A", 3), ("B", 3), ("B", 4)] == order
    assert (True, 6) == (feed.finished, feed.played)


def test_the_first_tick_is_due_at_once_and_the_others_at_their_time():
    history = TickHistory(["A"])
    feed = ReplayFeed(history, {"A": [tick(0), tick(10), tick(25)]})
    moved = [feed.due(now * MS) for now in (1_000, 1_009, 1_010, 1_024, 1_025)]

    assert [1, 0, 1, 0, 1] == moved
    assert [0, 10, 25] == times(history, "A")


@pytest.mark.parametrize(("speed", "due_ms"), [(1.0, 100), (10.0, 10), (0.5, 200)])
def test_the_speed_scales_the_time_between_ticks(speed, due_ms):
    history = TickHistory(["A"])
    feed = ReplayFeed(history, {"A": [tick(0), tick(100)]}, speed=speed)
    before = feed.next_due()
    feed.due(0)

    assert (NEVER_US, due_ms * MS) == (before, feed.next_due())
    assert (0, 1) == (feed.due(feed.next_due() - 1), feed.due(feed.next_due()))
    assert NEVER_US == feed.next_due()


def test_what_was_missed_while_nobody_looked_comes_in_slices():
    history = TickHistory(["A"])
    feed = ReplayFeed(history, {"A": [tick(n) for n in range(3 * SLICE)]})
    feed.due(0)

    assert [SLICE, SLICE, SLICE - 1, 0] == [feed.due(10**9) for _ in range(4)]


def test_at_full_speed_a_feed_waits_for_its_reader():
    reader = Reader("A")
    feed = ReplayFeed(
        reader.history,
        {"A": [tick(n) for n in range(10_000)]},
        speed=None,
        collector=reader.collector,
        hold_until_subscribed=True,
    )
    reader.turn(feed)
    held = feed.played
    reader.subscribe("A")
    while not feed.finished:
        reader.turn(feed)
        assert feed.played - reader.collector.numbered <= SLICE
    reader.turn()
    reader.turn()

    assert 0 == held
    assert 10_000 == reader.collector.numbered == sum(length for _, _, length in reader.sent)
    assert ("A", 1) == reader.sent[0][:2]


def test_at_full_speed_without_a_stream_nothing_is_waited_for():
    reader = Reader("A")
    feed = ReplayFeed(
        reader.history, {"A": [tick(n) for n in range(5)]}, speed=None, collector=reader.collector
    )
    feed.due(0)

    assert feed.finished


def test_at_full_speed_a_cut_link_stops_the_feed():
    reader = Reader("A")
    feed = ReplayFeed(
        reader.history,
        {"A": [tick(n) for n in range(10_000)]},
        speed=None,
        collector=reader.collector,
    )
    reader.subscribe("A")
    reader.turn(feed)
    reader.turn(feed)
    reader.collector.rewind()
    before = feed.played
    reader.turn(feed)

    assert before == feed.played < 10_000


def test_a_held_feed_begins_when_all_its_symbols_are_listened_to():
    reader = Reader("A", "B")
    feed = ReplayFeed(
        reader.history,
        {"A": [tick(1), tick(2)], "B": [tick(3)]},
        speed=1.0,
        collector=reader.collector,
        hold_until_subscribed=True,
    )
    reader.subscribe("A")
    moved = [reader.turn(feed) for _ in range(3)]
    reader.subscribe("B")
    moved += [reader.turn(feed) for _ in range(6)]

    assert [0, 0, 0, 0, 1, 1, 1, 0, 0] == moved
    assert {("A", 1, 1), ("A", 2, 1), ("B", 1, 1)} == set(reader.sent)


def test_a_held_feed_at_a_speed_counts_from_its_beginning():
    reader = Reader("A")
    feed = ReplayFeed(
        reader.history,
        {"A": [tick(0), tick(50)]},
        collector=reader.collector,
        hold_until_subscribed=True,
    )
    feed.due(10**9)
    reader.subscribe("A")
    reader.collector.poll(10**9)
    feed.due(2 * 10**9)

    assert (1, 2 * 10**9 + 50 * MS) == (feed.played, feed.next_due())


def test_a_synthetic_market_is_played_likewise():
    market = SyntheticMarket(
        [spec_for("EURUSD"), spec_for("ES")], seed=3, start_msc=T0, rate_hz=100.0
    )
    history = TickHistory(["EURUSD", "ES"])
    feed = SyntheticFeed(history, market, count=5_000, speed=None)
    while not feed.finished:
        feed.due(0)
    expected = market.generate(5_000)

    assert {"EURUSD", "ES"} == feed.symbols
    for symbol in feed.symbols:
        assert [t for s, t in expected if s == symbol] == history.ticks_of(symbol)


def test_a_synthetic_market_without_an_end_is_played_in_real_time():
    market = SyntheticMarket([spec_for("EURUSD")], seed=3, start_msc=T0, rate_hz=1_000.0)
    feed = SyntheticFeed(TickHistory(["EURUSD"], max_ticks=100), market)
    for now in range(0, 2_000 * MS, 10 * MS):
        feed.due(now)

    assert 1_500 < feed.played < 2_500
    assert not feed.finished


def test_a_feed_without_ticks_is_finished():
    feed = ReplayFeed(TickHistory(["A"]), {"A": []})

    assert (True, 0, NEVER_US) == (feed.finished, feed.due(0), feed.next_due())


@pytest.mark.parametrize("speed", [0.0, -1.0, float("inf"), float("nan")])
def test_a_speed_is_positive(speed):
    with pytest.raises(ValueError, match="speed"):
        ReplayFeed(TickHistory(["A"]), {"A": []}, speed=speed)


def test_holding_needs_a_collector_to_ask():
    with pytest.raises(ValueError, match="collector"):
        ReplayFeed(TickHistory(["A"]), {"A": []}, hold_until_subscribed=True)
