"""``bridge.sim.history``: CopyTicks' semantics and its faults."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from bridge.model.enums import CopyTicks, MqlError
from bridge.model.tick import MqlTick, TickFlag
from bridge.sim.history import DEFAULT_COUNT, MAX_BLOCKED_MS, CopyTicksResult, TickHistory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SYMBOL = "EURUSD"
QUOTE = int(TickFlag.BID | TickFlag.ASK)
TRADE = int(TickFlag.LAST | TickFlag.VOLUME | TickFlag.BUY)


def tick(time_msc: int, number: int = 0, flags: int = QUOTE) -> MqlTick:
    return MqlTick(time_msc, 1.0 + number / 10**5, 2.0, 1.5, 1.0, flags)


def ticks(*times: int) -> list[MqlTick]:
    return [tick(time_msc, number) for number, time_msc in enumerate(times)]


def history_of(held: Iterable[MqlTick] = (), **arguments: Any) -> TickHistory:
    history = TickHistory(**arguments)
    history.add_symbol(SYMBOL, selected=True)
    history.extend(SYMBOL, held)
    return history


# CopyTicks.


def test_from_takes_the_first_count_from_there() -> None:
    """With ``from``, the oldest ticks at or after it come first, ``count`` at most."""
    known = ticks(10, 20, 20, 30, 40)
    history = history_of(known)

    assert CopyTicksResult(known[1:4]) == history.copy_ticks(SYMBOL, from_msc=20, count=3)
    assert CopyTicksResult(known[1:4]) == history.copy_ticks(SYMBOL, from_msc=11, count=3)
    assert CopyTicksResult(known) == history.copy_ticks(SYMBOL, from_msc=1, count=100)
    assert CopyTicksResult([]) == history.copy_ticks(SYMBOL, from_msc=41, count=3)


def test_from_zero_takes_the_last_count() -> None:
    """With ``from`` 0, the newest ``count`` ticks are returned, oldest first."""
    known = ticks(10, 20, 20, 30)
    history = history_of(known)

    assert CopyTicksResult(known[2:]) == history.copy_ticks(SYMBOL, count=2)
    assert CopyTicksResult(known) == history.copy_ticks(SYMBOL, count=5)


def test_count_zero_is_2000() -> None:
    """``count`` 0 means 2000 ticks: the latest with ``from`` 0, else the first from there."""
    known = ticks(*range(1, 2_501))
    history = history_of(known)

    assert 2_000 == DEFAULT_COUNT
    assert known[-2_000:] == history.copy_ticks(SYMBOL).ticks
    assert known[99:2_099] == history.copy_ticks(SYMBOL, from_msc=100).ticks


@pytest.mark.parametrize("everything", [CopyTicks.ALL, -1, 3, 0xFFFF_FFFF])
def test_every_spelling_of_all(everything: int) -> None:
    """COPY_TICKS_ALL is understood as -1, as INFO|TRADE, and as MQL5's unsigned -1."""
    known = [tick(1, 0, QUOTE), tick(2, 1, TRADE), tick(3, 2, 0)]

    assert known == history_of(known).copy_ticks(SYMBOL, everything).ticks


def test_info_and_trade_filter_before_counting() -> None:
    """INFO returns changes of bid or ask, TRADE of last or volume; others do not count."""
    known = [tick(n, n, flags) for n, flags in enumerate([6, 56, 2, 88, 4, 30, 64, 128], start=1)]
    history = history_of(known)
    info = [known[i] for i in (0, 2, 4, 5)]
    trade = [known[i] for i in (1, 3, 5, 6)]

    assert info == history.copy_ticks(SYMBOL, CopyTicks.INFO).ticks
    assert trade == history.copy_ticks(SYMBOL, CopyTicks.TRADE).ticks
    assert info[-2:] == history.copy_ticks(SYMBOL, CopyTicks.INFO, 0, 2).ticks
    assert trade[1:3] == history.copy_ticks(SYMBOL, CopyTicks.TRADE, 3, 2).ticks
    assert info[1:3] == history.copy_ticks_range(SYMBOL, CopyTicks.INFO, 2, 5).ticks


def test_fields_of_filtered_ticks_stay_whole() -> None:
    """A filtered tick carries all its fields, as at its time."""
    traded = MqlTick(5, 1.1, 1.2, 1.15, 3.0, TRADE)

    assert [traded] == history_of([traded]).copy_ticks(SYMBOL, CopyTicks.TRADE).ticks


def test_answers_are_the_callers_own() -> None:
    """Changing a returned list does not change the history."""
    history = history_of(ticks(1, 2))
    answer = history.copy_ticks(SYMBOL).ticks
    assert answer is not None
    answer.clear()

    assert ticks(1, 2) == history.copy_ticks(SYMBOL).ticks


# CopyTicksRange.


@pytest.mark.parametrize(
    ("from_msc", "to_msc", "expected"),
    [
        (20, 30, [1, 2, 3, 4]),
        (30, 20, [1, 2, 3, 4]),
        (20, 20, [1, 2]),
        (21, 29, []),
        (0, 20, [0, 1, 2]),
        (30, 0, [3, 4, 5]),
        (0, 0, [0, 1, 2, 3, 4, 5]),
        (41, 99, []),
    ],
)
def test_range_includes_both_ends(from_msc: int, to_msc: int, expected: list[int]) -> None:
    """Both ends are included, in either order, and 0 is the open end."""
    known = ticks(10, 20, 20, 30, 30, 40)
    actual = history_of(known).copy_ticks_range(SYMBOL, from_msc=from_msc, to_msc=to_msc)

    assert CopyTicksResult([known[index] for index in expected]) == actual


def test_range_has_no_limit_of_its_own() -> None:
    """A range returns more than 2000 ticks."""
    history = history_of(ticks(*range(1, 3_001)))

    assert 3_000 == len(history.copy_ticks_range(SYMBOL).ticks or [])


def test_small_static_buffer() -> None:
    """A static array gets what it holds, and 4407 only when that is not all."""
    known = ticks(1, 2, 3)
    history = history_of(known)

    assert CopyTicksResult(known[:2], 4407) == history.copy_ticks_range(SYMBOL, buffer_size=2)
    assert CopyTicksResult(known) == history.copy_ticks_range(SYMBOL, buffer_size=3)


# Errors.

CALLS: list[Callable[[TickHistory, str], Any]] = [
    lambda history, symbol: history.copy_ticks(symbol)[:2],
    lambda history, symbol: history.copy_ticks_range(symbol)[:2],
    lambda history, symbol: tuple(history.symbol_info_tick(symbol)),
]


@pytest.mark.parametrize("call", CALLS)
def test_unknown_symbol_is_4301(call: Callable[[TickHistory, str], Any]) -> None:
    """A name the terminal does not know gives no ticks and 4301."""
    assert (None, 4301) == call(history_of(ticks(1)), "NOSUCH")


@pytest.mark.parametrize("call", CALLS)
def test_unselected_symbol_is_4302(call: Callable[[TickHistory, str], Any]) -> None:
    """A symbol out of Market Watch gives no ticks and 4302, and all its ticks when selected."""
    history = TickHistory([SYMBOL])
    history.append(SYMBOL, tick(1))
    refused = call(history, SYMBOL)
    selected = history.select(SYMBOL, True)
    answered = call(history, SYMBOL)

    assert (None, 4302) == refused
    assert (0, 0) == (selected, answered[1])
    assert answered[0] in ([tick(1)], tick(1))
    assert 0 == history.select(SYMBOL, False)
    assert (None, 4302) == call(history, SYMBOL)


def test_selecting_an_unknown_symbol_is_4301() -> None:
    """SymbolSelect fails for a name that is not known."""
    assert MqlError.MARKET_UNKNOWN_SYMBOL == TickHistory().select("NOSUCH", True)


@pytest.mark.parametrize("flags", [0, 4, 0x100])
def test_flags_of_no_kind_are_4003(flags: int) -> None:
    """Flags that name neither INFO nor TRADE are a wrong parameter."""
    assert (None, 4003, 0) == history_of(ticks(1)).copy_ticks(SYMBOL, flags)


def test_no_ticks_is_zero_without_error() -> None:
    """A selected symbol that has no ticks gives none, without an error."""
    assert CopyTicksResult([]) == history_of().copy_ticks(SYMBOL)
    assert CopyTicksResult([]) == history_of().copy_ticks_range(SYMBOL)


@pytest.mark.parametrize(
    "call",
    [
        lambda history: history.copy_ticks(SYMBOL, from_msc=-1),
        lambda history: history.copy_ticks(SYMBOL, count=-1),
        lambda history: history.copy_ticks_range(SYMBOL, from_msc=-1),
        lambda history: history.copy_ticks_range(SYMBOL, to_msc=-1),
        lambda history: history.copy_ticks_range(SYMBOL, buffer_size=-1),
        lambda history: history.hold_back(SYMBOL, 2, 1),
        lambda history: history.answer_in_part(SYMBOL, calls=0),
        lambda history: history.answer_in_part(SYMBOL, blocked_ms=MAX_BLOCKED_MS + 1),
        lambda history: history.block_first_call(SYMBOL, -1),
        lambda history: history.append(SYMBOL, tick(9)),
        lambda history: history.extend(SYMBOL, ticks(11, 9)),
        lambda history: history.revise(SYMBOL, 10, 0, tick(11)),
        lambda history: history.add_symbol(SYMBOL),
        lambda _: TickHistory(max_ticks=0),
    ],
)
def test_misuse_is_a_value_error(call: Callable[[TickHistory], Any]) -> None:
    """What MQL5's types cannot express, or what makes no history, raises."""
    with pytest.raises(ValueError, match=r"expected|known already"):
        call(history_of(ticks(10)))


@pytest.mark.parametrize(
    "call",
    [
        lambda history: history.append("NOSUCH", tick(1)),
        lambda history: history.extend("NOSUCH", []),
        lambda history: history.insert_late("NOSUCH", tick(1)),
        lambda history: history.revise("NOSUCH", 1, 0, None),
        lambda history: history.hold_back("NOSUCH", 1, 2),
        lambda history: history.release("NOSUCH"),
        lambda history: history.block_first_call("NOSUCH", 1),
        lambda history: history.answer_in_part("NOSUCH"),
        lambda history: history.ticks_of("NOSUCH"),
        lambda history: history.oldest_msc("NOSUCH"),
    ],
)
def test_the_world_outside_gets_a_key_error(call: Callable[[TickHistory], Any]) -> None:
    """A scenario that names an unknown symbol is wrong, and told so."""
    with pytest.raises(KeyError):
        call(history_of())


# SymbolInfoTick.


def test_symbol_info_tick_is_the_newest() -> None:
    """SymbolInfoTick gives the newest tick, of several in a millisecond the last."""
    known = ticks(1, 2, 2)

    assert (known[2], 0) == history_of(known).symbol_info_tick(SYMBOL)


def test_symbol_info_tick_without_ticks_is_4304() -> None:
    """Without any tick there is no price, and the error says so."""
    assert (None, 4304) == history_of().symbol_info_tick(SYMBOL)


# Bounded memory.


def test_the_oldest_ticks_fall_out() -> None:
    """Beyond ``max_ticks`` the oldest are gone; a cursor before them goes on without an error."""
    known = ticks(1, 2, 2, 3, 4)
    history = history_of(known, max_ticks=3)

    assert known[2:] == history.ticks_of(SYMBOL)
    assert 2 == history.oldest_msc(SYMBOL)
    assert CopyTicksResult(known[2:]) == history.copy_ticks(SYMBOL, from_msc=1)
    assert CopyTicksResult(known[2:3]) == history.copy_ticks_range(SYMBOL, from_msc=1, to_msc=2)


def test_a_tick_older_than_a_full_history_does_not_stay() -> None:
    """A late tick before the oldest kept one falls out at once."""
    known = ticks(5, 6, 7)
    history = history_of(known, max_ticks=3)
    history.insert_late(SYMBOL, tick(1))

    assert known == history.ticks_of(SYMBOL)


@pytest.mark.parametrize("max_ticks", [1, 100, 3_000])
def test_memory_is_bounded(max_ticks: int) -> None:
    """What is in memory stays below twice the limit, or some thousand, however many came."""
    history = history_of(max_ticks=max_ticks)
    most = 0
    for time_msc in range(1, 10_001):
        history.append(SYMBOL, tick(time_msc))
        most = max(most, history._stores[SYMBOL].end)

    assert most <= max_ticks + max(max_ticks, 1_024)
    assert list(range(10_001 - max_ticks, 10_001)) == [
        known.time_msc for known in history.ticks_of(SYMBOL)
    ]


def test_no_oldest_tick() -> None:
    """A history without ticks has no oldest time."""
    assert history_of().oldest_msc(SYMBOL) is None


# Faults.


def test_first_call_blocks_once() -> None:
    """The first call waits and is whole, and the following do not wait."""
    known = ticks(1, 2)
    history = history_of(known)
    history.block_first_call(SYMBOL, 12_000)

    assert (known, 0, 12_000) == history.copy_ticks(SYMBOL)
    assert (known, 0, 0) == history.copy_ticks(SYMBOL)


def test_blocking_is_per_symbol_and_not_for_quotes() -> None:
    """Another symbol's call and SymbolInfoTick neither wait nor use the wait up."""
    history = history_of(ticks(1))
    history.add_symbol("USDJPY", selected=True)
    history.block_first_call(SYMBOL, 500)

    assert (tick(1), 0) == history.symbol_info_tick(SYMBOL)
    assert ([], 0, 0) == history.copy_ticks("USDJPY")
    assert 500 == history.copy_ticks_range(SYMBOL).blocked_ms


@pytest.mark.parametrize("seed", range(20))
def test_partial_answers_grow_until_complete(seed: int) -> None:
    """Each timed-out call is the first part of the truth, at least as long as the one before."""
    known = ticks(*(n // 3 for n in range(3, 63)))
    history = history_of(known, seed=seed)
    history.answer_in_part(SYMBOL, calls=4)
    shown = 0
    for _ in range(4):
        found, error, blocked_ms = history.copy_ticks(SYMBOL, from_msc=1)
        assert found is not None

        assert (4403, MAX_BLOCKED_MS) == (error, blocked_ms)
        assert shown <= len(found) < len(known)
        assert known[: len(found)] == found
        shown = len(found)

    assert (known, 0, 0) == history.copy_ticks(SYMBOL, from_msc=1)


def test_partial_answers_are_seeded() -> None:
    """The same seed gives the same parts, and seeds differ."""

    def parts(seed: int) -> list[int]:
        history = history_of(ticks(*range(1, 1_000)), seed=seed)
        history.answer_in_part(SYMBOL, calls=5, blocked_ms=7)
        return [len(history.copy_ticks(SYMBOL, from_msc=1).ticks or []) for _ in range(5)]

    assert parts(1) == parts(1)
    assert parts(1) != parts(2)
    assert "seed=2" in repr(TickHistory(seed=2))


def test_what_was_shown_needs_no_synchronisation() -> None:
    """A call for ticks that a timed-out call has shown is whole and does not wait or count."""
    known = ticks(*range(1, 101))
    history = history_of(known, seed=3)
    history.answer_in_part(SYMBOL, calls=1)
    shown = history.copy_ticks(SYMBOL, from_msc=1).ticks
    assert shown
    history.answer_in_part(SYMBOL, calls=2)
    again = history.copy_ticks(SYMBOL, from_msc=1).ticks
    assert again

    assert (again[:1], 0, 0) == history.copy_ticks(SYMBOL, from_msc=1, count=1)
    assert 4403 == history.copy_ticks(SYMBOL, from_msc=1).error
    assert (known, 0, 0) == history.copy_ticks(SYMBOL, from_msc=1, count=100)


def test_empty_answer_times_out_too() -> None:
    """While synchronising, even a call that will find nothing waits and says 4403."""
    history = history_of(ticks(1))
    history.answer_in_part(SYMBOL, blocked_ms=9)

    assert ([], 4403, 9) == history.copy_ticks(SYMBOL, from_msc=2)
    assert ([], 0, 0) == history.copy_ticks(SYMBOL, from_msc=2)


def test_partial_range_with_a_static_buffer() -> None:
    """A range can time out too; a buffer smaller than the part reports itself."""
    history = history_of(ticks(*range(1, 1_001)), seed=1)
    history.answer_in_part(SYMBOL, calls=2)

    assert 4403 == history.copy_ticks_range(SYMBOL).error
    assert ([tick(1)], 4407, MAX_BLOCKED_MS) == history.copy_ticks_range(SYMBOL, buffer_size=1)


def test_held_range_is_missing_without_an_error() -> None:
    """Newer ticks are there before the held ones, and no error tells; release brings them."""
    known = ticks(10, 20, 30, 30, 40)
    history = history_of(known[:3])
    history.hold_back(SYMBOL, 20, 30)
    history.extend(SYMBOL, known[3:])
    newer = [known[0], known[4]]

    assert (newer, 0, 0) == history.copy_ticks(SYMBOL)
    assert (newer[1:], 0, 0) == history.copy_ticks(SYMBOL, from_msc=20)
    assert (newer, 0, 0) == history.copy_ticks(SYMBOL, count=2)
    assert (newer, 0, 0) == history.copy_ticks_range(SYMBOL)
    assert known == history.ticks_of(SYMBOL)
    history.release(SYMBOL)

    assert (known, 0, 0) == history.copy_ticks(SYMBOL)


def test_held_range_fills_from_its_old_end() -> None:
    """Partly released, a hole shows its older ticks first; two holes fill one after the other."""
    known = ticks(10, 20, 30, 40, 50)
    history = history_of(known)
    history.hold_back(SYMBOL, 20, 30)
    history.hold_back(SYMBOL, 40, 40)
    history.release(SYMBOL, through_msc=20)
    part = history.copy_ticks(SYMBOL).ticks
    history.release(SYMBOL, through_msc=35)

    assert [known[0], known[1], known[4]] == part
    assert [*known[:3], known[4]] == history.copy_ticks(SYMBOL).ticks


def test_held_newest_tick_is_no_quote() -> None:
    """SymbolInfoTick shows the newest tick the terminal has, not a held one."""
    history = history_of(ticks(10, 20))
    history.hold_back(SYMBOL, 15, 99)

    assert (tick(10), 0) == history.symbol_info_tick(SYMBOL)


def test_late_tick_comes_after_its_equals() -> None:
    """A late tick lands where its time belongs, last of its millisecond."""
    known = ticks(10, 20, 20, 30)
    history = history_of(known)
    late = [tick(20, 90), tick(5, 91), tick(30, 92), tick(15, 93), tick(40, 94)]
    for one in late:
        history.insert_late(SYMBOL, one)
    expected = [
        late[1], known[0], late[3], known[1], known[2], late[0], known[3], late[2], late[4]
    ]  # fmt: skip

    assert expected == history.copy_ticks(SYMBOL, from_msc=1).ticks


def test_revision_replaces_or_removes_one_tick() -> None:
    """A tick is found by its time and its place in the millisecond, then replaced or removed."""
    known = ticks(10, 20, 20, 20, 30)
    history = history_of(known)
    history.revise(SYMBOL, 20, 1, tick(20, 99))
    history.revise(SYMBOL, 20, 0, None)

    assert [known[0], tick(20, 99), known[3], known[4]] == history.copy_ticks(SYMBOL).ticks


@pytest.mark.parametrize(("time_msc", "index"), [(20, 2), (20, -1), (15, 0), (99, 0)])
def test_revision_of_nothing_is_refused(time_msc: int, index: int) -> None:
    """There is no revising a tick that is not there."""
    with pytest.raises(IndexError):
        history_of(ticks(10, 20, 20, 30)).revise(SYMBOL, time_msc, index, None)


@pytest.mark.parametrize(
    ("change", "more"),
    [
        (lambda history: history.insert_late(SYMBOL, tick(1, 7)), 1),
        (lambda history: history.revise(SYMBOL, 1, 0, None), -1),
        (lambda history: history.revise(SYMBOL, 1, 0, tick(1, 8)), 0),
        (lambda history: history.append(SYMBOL, tick(201)), 0),
        (lambda history: history.insert_late(SYMBOL, tick(200, 9)), 0),
        (lambda history: history.revise(SYMBOL, 200, 0, None), 0),
    ],
)
def test_exactly_what_was_shown_stays_shown(
    change: Callable[[TickHistory], None], more: int
) -> None:
    """When history changes between two parts, the ticks shown stay shown, and no other is."""
    history = history_of(ticks(*range(1, 201)), seed=5)
    history.answer_in_part(SYMBOL, calls=2)
    shown = len(history.copy_ticks(SYMBOL, from_msc=1).ticks or [])
    change(history)

    assert 10 < shown < 190
    assert 0 == history.copy_ticks(SYMBOL, from_msc=1, count=shown + more).error
    assert 4403 == history.copy_ticks(SYMBOL, from_msc=1, count=shown + more + 1).error


def test_ticks_that_took_the_place_of_dropped_ones_were_not_shown() -> None:
    """When all that was shown has fallen out, the next tick still needs synchronisation."""
    history = history_of(ticks(*range(1, 1_501)), seed=5, max_ticks=1_500)
    history.answer_in_part(SYMBOL, calls=2)
    history.copy_ticks(SYMBOL, from_msc=1)
    history.extend(SYMBOL, ticks(*range(1_501, 3_001)))

    assert 1_501 == history.oldest_msc(SYMBOL)
    assert 4403 == history.copy_ticks(SYMBOL, from_msc=1, count=1).error


# A reader's cursor, as the bridge keeps it: time, and how many ticks of that time were taken.


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(3, 20))
def test_a_cursor_loses_nothing_to_timeouts_and_bursts(seed: int, count: int) -> None:
    """Advancing only without an error, a reader gets every tick once, while they still arrive."""
    numbers = random.Random(seed)
    times = sorted(numbers.randrange(1, 60) for _ in range(100))
    # At most this many of a millisecond: a page that holds no more than the ticks already taken
    # of one millisecond would not get on.
    times = [t for i, t in enumerate(times) if i < count - 1 or times[i - count + 1] != t]
    known = ticks(*times)
    arriving = iter(known)
    history = history_of(seed=seed)
    taken: list[MqlTick] = []
    time_msc, taken_at_time = 1, 0
    for _ in range(1_000):
        for one in [next(arriving, None) for _ in range(numbers.randrange(4))]:
            if one is not None:
                history.append(SYMBOL, one)
        if numbers.random() < 0.2:
            history.answer_in_part(SYMBOL, calls=2)
        found, error, _ = history.copy_ticks(SYMBOL, from_msc=time_msc, count=count)
        if found is None or error:
            continue
        for one in found[taken_at_time:]:
            taken_at_time = taken_at_time + 1 if one.time_msc == time_msc else 1
            time_msc = one.time_msc
            taken.append(one)

    assert known == taken


# Everything at once, against lists and comprehensions.


class AgainstNaiveModel(RuleBasedStateMachine):
    """The history and a plain list get the same changes and must give the same answers."""

    times = st.integers(1, 12)
    flags = st.sampled_from([0, 2, 4, 6, 8, 24, 56, 88, 128])

    @initialize(max_ticks=st.none() | st.integers(1, 12))
    def begin(self, max_ticks: int | None) -> None:
        self.history = history_of(max_ticks=max_ticks)
        self.max_ticks = max_ticks
        self.model: list[MqlTick] = []
        self.held: list[tuple[int, int]] = []
        self.number = 0

    def made(self, time_msc: int, flags: int) -> MqlTick:
        self.number += 1
        return tick(time_msc, self.number, flags)

    def put(self, one: MqlTick) -> None:
        self.model = sorted([*self.model, one], key=lambda known: known.time_msc)
        if self.max_ticks is not None:
            self.model = self.model[-self.max_ticks :]

    @rule(later=st.integers(0, 3), flags=flags)
    def append(self, later: int, flags: int) -> None:
        newest = self.model[-1].time_msc if self.model else 1
        one = self.made(newest + later, flags)
        self.history.append(SYMBOL, one)
        self.put(one)

    @rule(time_msc=times, flags=flags)
    def insert_late(self, time_msc: int, flags: int) -> None:
        one = self.made(time_msc, flags)
        self.history.insert_late(SYMBOL, one)
        self.put(one)

    @rule(data=st.data(), flags=flags, remove=st.booleans())
    def revise(self, data: st.DataObject, flags: int, remove: bool) -> None:
        if not self.model:
            return
        index = data.draw(st.integers(0, len(self.model) - 1))
        time_msc = self.model[index].time_msc
        first = [known.time_msc for known in self.model].index(time_msc)
        one = None if remove else self.made(time_msc, flags)
        self.history.revise(SYMBOL, time_msc, index - first, one)
        self.model[index : index + 1] = [] if one is None else [one]

    @rule(from_msc=times, length=st.integers(0, 4))
    def hold_back(self, from_msc: int, length: int) -> None:
        self.history.hold_back(SYMBOL, from_msc, from_msc + length)
        self.held.append((from_msc, from_msc + length))

    @rule()
    def release(self) -> None:
        self.history.release(SYMBOL)
        self.held = []

    @rule(through_msc=times)
    def release_through(self, through_msc: int) -> None:
        self.history.release(SYMBOL, through_msc)
        self.held = [(max(a, through_msc + 1), b) for a, b in self.held if b > through_msc]

    def visible(self, flags: int) -> list[MqlTick]:
        masks = {-1: -1, 1: 2 | 4, 2: 8 | 16 | 32 | 64}
        return [
            known
            for known in self.model
            if (flags == -1 or known.flags & masks[flags])
            and not any(a <= known.time_msc <= b for a, b in self.held)
        ]

    @rule(flags=st.sampled_from([-1, 1, 2]), from_msc=st.integers(0, 14), count=st.integers(0, 8))
    def copy_ticks(self, flags: int, from_msc: int, count: int) -> None:
        known = self.visible(flags)
        if from_msc:
            expected = [one for one in known if one.time_msc >= from_msc][: count or 2_000]
        else:
            expected = known[-(count or 2_000) :]

        assert (expected, 0, 0) == self.history.copy_ticks(SYMBOL, flags, from_msc, count)

    @rule(flags=st.sampled_from([-1, 1, 2]), from_msc=st.integers(0, 14), to_msc=st.integers(0, 14))
    def copy_ticks_range(self, flags: int, from_msc: int, to_msc: int) -> None:
        low, high = sorted((from_msc, to_msc)) if to_msc else (from_msc, 10**9)
        expected = [one for one in self.visible(flags) if low <= one.time_msc <= high]

        assert (expected, 0, 0) == self.history.copy_ticks_range(SYMBOL, flags, from_msc, to_msc)

    @rule()
    def symbol_info_tick(self) -> None:
        known = self.visible(-1)

        assert (known[-1] if known else None) == self.history.symbol_info_tick(SYMBOL).tick

    @rule()
    def truth(self) -> None:
        assert self.model == self.history.ticks_of(SYMBOL)


AgainstNaiveModel.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None
)
TestAgainstNaiveModel = AgainstNaiveModel.TestCase


def test_the_world_outside_sees_the_newest_ticks_whatever_is_held_back() -> None:
    history = history_of(ticks(1, 2, 2, 3))
    history.hold_back(SYMBOL, 2, 9)
    empty = TickHistory([SYMBOL])

    assert ticks(1, 2, 2, 3)[-1] == history.newest_of(SYMBOL)
    assert ticks(1, 2, 2, 3)[1:] == history.ticks_from(SYMBOL, 2)
    assert [] == history.ticks_from(SYMBOL, 4)
    assert (None, []) == (empty.newest_of(SYMBOL), empty.ticks_from(SYMBOL, 0))
