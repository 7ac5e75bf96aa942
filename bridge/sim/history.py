"""One terminal's tick history behind the semantics of MQL5's ``CopyTicks`` and its relatives.

Pages: series/copyticks, series/copyticksrange, marketinformation/symbolinfotick and
marketinformation/symbolselect below https://www.mql5.com/en/docs/, and "Working with real tick
arrays" in MetaQuotes' book, which adds: ``count`` 0 means at most 2000 with any ``from``, and
``CopyTicksRange`` takes its two times in either order.

Theory of operation
-------------------
The history keeps what is *true* of each symbol; a call shows what the terminal *has* of it. The
difference is the faults, which a test or a scenario turns on one by one:

===========================  ==========================================================
``block_first_call``         the next call waits, then answers in full
``answer_in_part``           calls time out (4403) with the first part; later ones have more
``hold_back``, ``release``   a time range is missing, newer ticks are there, no error
``insert_late``              a tick appears behind ticks that were returned already
``revise``                   a tick that was returned is changed or gone
``max_ticks``                the oldest ticks fall out
===========================  ==========================================================

A reader must survive them all. With ``hold_back`` and ``insert_late`` MQL5 reports no error, so
only re-reading finds the ticks.

Nothing waits here: ``blocked_ms`` in a result is how long MQL5 would have blocked the caller's
thread, and the caller moves its own clock by that.

Where the manual is silent, this module decides: no ticks in an answer are 0 without an error, not
-1; ``flags`` without INFO or TRADE are refused with 4003; ``SymbolInfoTick`` without any tick
fails with 4304.
"""

from __future__ import annotations

import bisect
import random
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from bridge.model.enums import CopyTicks, MqlError
from bridge.model.tick import MqlTick, TickFlag

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = [
    "DEFAULT_COUNT",
    "MAX_BLOCKED_MS",
    "CopyTicksResult",
    "SymbolInfoTickResult",
    "TickHistory",
]

#: Ticks that ``CopyTicks`` returns at most when ``count`` is 0.
DEFAULT_COUNT: Final = 2_000

#: How long ``CopyTicks`` waits for synchronisation in an expert or a script.
MAX_BLOCKED_MS: Final = 45_000

_INFO_FLAGS: Final = int(TickFlag.BID | TickFlag.ASK)
_TRADE_FLAGS: Final = int(TickFlag.LAST | TickFlag.VOLUME | TickFlag.BUY | TickFlag.SELL)
_INFO: Final = int(CopyTicks.INFO)
_TRADE: Final = int(CopyTicks.TRADE)

#: Dropped ticks are cut off a list's front together, because each cut moves the whole list.
_MIN_CUT: Final = 1_024


class CopyTicksResult(NamedTuple):
    """
    What a call of ``CopyTicks`` or ``CopyTicksRange`` gave.

    ``ticks`` is ``None`` where MQL5 returns -1, else its length is the returned number. ``error``
    is ``_LastError`` after the call (an ``MqlError``), 0 for none: **with 4403 and 4407 there are
    ticks and an error**. ``blocked_ms``: how long the caller's thread would have waited.
    """

    ticks: list[MqlTick] | None
    error: int = 0
    blocked_ms: int = 0


class SymbolInfoTickResult(NamedTuple):
    """
    What ``SymbolInfoTick`` gave: ``tick`` is ``None`` where MQL5 returns false.
    """

    tick: MqlTick | None
    error: int = 0


class TickHistory:
    """
    The tick store of one simulated terminal.

    Args:
        symbols: names the terminal knows; more with ``add_symbol``. None is selected at first.
        seed: of the random sizes of partial answers.
        max_ticks: most ticks kept of a symbol, ``None`` for all. When the oldest are dropped, a
            reader whose cursor is before them gets the ticks from the oldest kept one on,
            **without an error**, as from a terminal whose history begins there; ``oldest_msc``
            tells where that is.

    Methods that stand for MQL5's functions answer unknown symbols with MQL5's error codes. The
    others are for the world outside the terminal and raise ``KeyError`` for an unknown symbol.

    Raises:
        ValueError: ``max_ticks`` is less than 1.
    """

    def __init__(
        self, symbols: Iterable[str] = (), *, seed: int = 0, max_ticks: int | None = None
    ) -> None:
        if max_ticks is not None and max_ticks < 1:
            raise ValueError(f"max_ticks {max_ticks}: expected 1 or more, or None")
        self._seed = seed
        self._max_ticks = max_ticks
        self._stores: dict[str, _Store] = {}
        for symbol in symbols:
            self.add_symbol(symbol)

    def __repr__(self) -> str:
        sizes = " ".join(f"{symbol}:{len(store)}" for symbol, store in self._stores.items())
        return f"<TickHistory seed={self._seed} max_ticks={self._max_ticks} {sizes}>"

    # What MQL5's functions do.

    def select(self, symbol: str, on: bool) -> int:  # noqa: FBT001  # SymbolSelect's own argument
        """
        Put a symbol into Market Watch or take it out (``SymbolSelect``); its history stays.

        Return 0, or ``MqlError.MARKET_UNKNOWN_SYMBOL``.
        """
        store = self._stores.get(symbol)
        if store is None:
            return MqlError.MARKET_UNKNOWN_SYMBOL
        store.selected = on
        return MqlError.SUCCESS

    def is_selected(self, symbol: str) -> bool:
        """
        Tell whether a symbol is in Market Watch (``SYMBOL_SELECT``); an unknown one is not.
        """
        store = self._stores.get(symbol)
        return store is not None and store.selected

    def copy_ticks(
        self, symbol: str, flags: int = CopyTicks.ALL, from_msc: int = 0, count: int = 0
    ) -> CopyTicksResult:
        """
        Do what ``CopyTicks`` does: return ticks in ascending order of time.

        With ``from_msc`` 0 they are the last ``count`` ones, else the first ``count`` ones with
        ``time_msc >= from_msc``. ``count`` 0 stands for ``DEFAULT_COUNT``. With ``CopyTicks.INFO``
        or ``TRADE``, ``count`` counts the ticks of that kind.

        Errors: 4301 unknown symbol, 4302 not selected, 4003 wrong flags (no ticks);
        4403 synchronisation timed out (the ticks are the first part).

        Raises:
            ValueError: a number is negative, which MQL5's unsigned types cannot be.
        """
        if from_msc < 0 or count < 0:
            raise ValueError(f"from_msc {from_msc}, count {count}: expected 0 or more")
        store = self._stores.get(symbol)
        error, mask = _refusal(store, flags)
        if store is None or error:
            return CopyTicksResult(None, error)
        first = store.index_of(from_msc) if from_msc else store.head
        limit = count or DEFAULT_COUNT
        if from_msc:
            found = store.earliest(first, store.end, mask, limit)
        else:
            found = store.latest(first, store.end, mask, limit)
        return store.answer(found)

    def copy_ticks_range(
        self,
        symbol: str,
        flags: int = CopyTicks.ALL,
        from_msc: int = 0,
        to_msc: int = 0,
        *,
        buffer_size: int | None = None,
    ) -> CopyTicksResult:
        """
        Do what ``CopyTicksRange`` does: return the ticks from ``from_msc`` to ``to_msc``, both
        included, in ascending order of time.

        ``from_msc`` 0 is the beginning of the history, ``to_msc`` 0 its end; the two may be given
        in either order. ``buffer_size`` is the size of a static receiving array.

        Errors: as ``copy_ticks``, and 4407 when ``buffer_size`` cut the ticks.

        Raises:
            ValueError: a number is negative, which MQL5's unsigned types cannot be.
        """
        if from_msc < 0 or to_msc < 0 or (buffer_size is not None and buffer_size < 0):
            raise ValueError(
                f"from_msc {from_msc}, to_msc {to_msc}, buffer_size {buffer_size}: "
                "expected 0 or more"
            )
        store = self._stores.get(symbol)
        error, mask = _refusal(store, flags)
        if store is None or error:
            return CopyTicksResult(None, error)
        if to_msc and from_msc > to_msc:
            from_msc, to_msc = to_msc, from_msc
        first = store.index_of(from_msc)
        end = store.index_of(to_msc + 1) if to_msc else store.end
        result = store.answer(store.earliest(first, end, mask, None))
        if buffer_size is not None and result.ticks is not None and len(result.ticks) > buffer_size:
            cut = result.ticks[:buffer_size]
            return CopyTicksResult(cut, MqlError.HISTORY_SMALL_BUFFER, result.blocked_ms)
        return result

    def symbol_info_tick(self, symbol: str) -> SymbolInfoTickResult:
        """
        Do what ``SymbolInfoTick`` does: return the newest tick. It never waits.

        Errors: 4301 unknown symbol, 4302 not selected, 4304 no tick yet.
        """
        store = self._stores.get(symbol)
        error, _ = _refusal(store, CopyTicks.ALL)
        if store is None or error:
            return SymbolInfoTickResult(None, error)
        newest = store.latest(store.head, store.end, None, 1)
        if not newest:
            return SymbolInfoTickResult(None, MqlError.MARKET_LASTTIME_UNKNOWN)
        return SymbolInfoTickResult(store.ticks[newest[-1]])

    # What the market does.

    def add_symbol(self, symbol: str, *, selected: bool = False) -> None:
        """
        Make a symbol known to the terminal.

        Raises:
            ValueError: it is known already.
        """
        if symbol in self._stores:
            raise ValueError(f"symbol {symbol!r} is known already")
        # Each symbol has its own random numbers: one symbol's calls do not change another's.
        numbers = random.Random(f"{self._seed}/{symbol}")  # noqa: S311  # a fault is no secret
        self._stores[symbol] = _Store(self._max_ticks, numbers, selected=selected)

    def append(self, symbol: str, tick: MqlTick) -> None:
        """
        Add a new tick, also of a symbol that is not selected (the trade server has it).

        Raises:
            KeyError: unknown symbol.
            ValueError: the tick is older than the newest one (see ``insert_late``).
        """
        self._stores[symbol].append(tick)

    def extend(self, symbol: str, ticks: Iterable[MqlTick]) -> None:
        """
        Add new ticks in order; those before a faulty one stay added.

        Raises:
            KeyError: unknown symbol.
            ValueError: a tick is older than the one before it.
        """
        append = self._stores[symbol].append
        for tick in ticks:
            append(tick)

    def ticks_of(self, symbol: str) -> list[MqlTick]:
        """
        Return all ticks kept, faults aside: the truth to compare a reader's result with.

        Raises:
            KeyError: unknown symbol.
        """
        store = self._stores[symbol]
        return store.ticks[store.head :]

    def newest_of(self, symbol: str) -> MqlTick | None:
        """
        Return the newest tick, faults aside, ``None`` without one.

        Raises:
            KeyError: unknown symbol.
        """
        store = self._stores[symbol]
        ticks = store.ticks
        return ticks[-1] if len(ticks) > store.head else None

    def ticks_from(self, symbol: str, from_msc: int) -> list[MqlTick]:
        """
        Return the kept ticks from a time on, faults aside.

        Raises:
            KeyError: unknown symbol.
        """
        store = self._stores[symbol]
        return store.ticks[store.index_of(from_msc) :]

    def oldest_msc(self, symbol: str) -> int | None:
        """
        Return the time of the oldest tick kept, ``None`` without one.

        Raises:
            KeyError: unknown symbol.
        """
        store = self._stores[symbol]
        return store.times[store.head] if len(store) else None

    # Faults.

    def block_first_call(self, symbol: str, blocked_ms: int) -> None:
        """
        Let the next copying call of a symbol wait for ``blocked_ms``, then answer in full.

        Raises:
            KeyError: unknown symbol.
            ValueError: ``blocked_ms`` is not from 0 to ``MAX_BLOCKED_MS``.
        """
        self._stores[symbol].blocked_ms = _checked_blocked_ms(blocked_ms)

    def answer_in_part(
        self, symbol: str, *, calls: int = 1, blocked_ms: int = MAX_BLOCKED_MS
    ) -> None:
        """
        Let the next ``calls`` copying calls time out: each waits ``blocked_ms`` and returns the
        first part of its answer with 4403. What one call has shown, later ones show too, and
        mostly more; after ``calls`` of them the history is complete.

        The part may end between two ticks of one millisecond, and may be empty. A call whose
        whole answer is there already waits for nothing and does not count.

        Raises:
            KeyError: unknown symbol.
            ValueError: ``calls`` is less than 1, or ``blocked_ms`` out of range.
        """
        if calls < 1:
            raise ValueError(f"calls {calls}: expected 1 or more")
        store = self._stores[symbol]
        store.partial_blocked_ms = _checked_blocked_ms(blocked_ms)
        store.partial_calls = calls
        store.frontier = store.head

    def hold_back(self, symbol: str, from_msc: int, to_msc: int) -> None:
        """
        Let the ticks of a time range, both ends included, be missing without an error, also those
        that come while it is held: a hole left by a lost trade-server connection.

        Raises:
            KeyError: unknown symbol.
            ValueError: the range is empty.
        """
        if from_msc > to_msc:
            raise ValueError(f"range {from_msc} to {to_msc}: expected an end not before its start")
        self._stores[symbol].held.append((from_msc, to_msc))

    def release(self, symbol: str, through_msc: int | None = None) -> None:
        """
        Give the held ticks back: all, or those up to ``through_msc``, as a hole fills from its
        old end.

        Raises:
            KeyError: unknown symbol.
        """
        store = self._stores[symbol]
        if through_msc is None:
            store.held = []
            return
        store.held = [
            (max(start, through_msc + 1), stop) for start, stop in store.held if stop > through_msc
        ]

    def insert_late(self, symbol: str, tick: MqlTick) -> None:
        """
        Put a tick where its time belongs, behind those of the same millisecond, whether or not
        the ticks around it were returned already.

        Raises:
            KeyError: unknown symbol.
        """
        self._stores[symbol].insert(tick)

    def revise(self, symbol: str, time_msc: int, index_at_msc: int, tick: MqlTick | None) -> None:
        """
        Replace a tick, or remove it with ``None``. ``index_at_msc`` counts the ticks of its
        millisecond from 0.

        Raises:
            KeyError: unknown symbol.
            IndexError: there is no such tick.
            ValueError: the new tick has another time (remove and ``insert_late`` instead).
        """
        if tick is not None and tick.time_msc != time_msc:
            raise ValueError(f"new tick at {tick.time_msc}: expected the time {time_msc}")
        store = self._stores[symbol]
        index = store.index_of(time_msc) + index_at_msc
        if index_at_msc < 0 or index >= store.index_of(time_msc + 1):
            raise IndexError(f"{symbol} has no tick {index_at_msc} at {time_msc} msc")
        if tick is None:
            store.remove(index)
        else:
            store.ticks[index] = tick


def _refusal(store: _Store | None, flags: int) -> tuple[int, int | None]:
    # (error, 0 or the tick flags to filter by); the mask None is for all ticks.
    if store is None:
        return MqlError.MARKET_UNKNOWN_SYMBOL, None
    if not store.selected:
        return MqlError.MARKET_NOT_SELECTED, None
    # COPY_TICKS_ALL is -1 in MetaQuotes' package and INFO|TRADE in their book; as MQL5's uint it
    # is 4294967295. All have both bits.
    kinds = flags & (_INFO | _TRADE)
    if kinds == _INFO | _TRADE:
        return MqlError.SUCCESS, None
    if kinds:
        return MqlError.SUCCESS, _INFO_FLAGS if kinds == _INFO else _TRADE_FLAGS
    return MqlError.INVALID_PARAMETER, None


def _checked_blocked_ms(blocked_ms: int) -> int:
    if not 0 <= blocked_ms <= MAX_BLOCKED_MS:
        raise ValueError(f"blocked_ms {blocked_ms}: expected 0 to {MAX_BLOCKED_MS}")
    return blocked_ms


class _Store:
    # One symbol's ticks, ascending by time, and its faults. Positions are list indexes from
    # ``head`` on: what lies before it is dropped and waits to be cut off.

    __slots__ = (
        "blocked_ms",
        "frontier",
        "head",
        "held",
        "max_ticks",
        "numbers",
        "partial_blocked_ms",
        "partial_calls",
        "selected",
        "ticks",
        "times",
    )

    def __init__(self, max_ticks: int | None, numbers: random.Random, *, selected: bool) -> None:
        self.max_ticks = max_ticks
        self.numbers = numbers
        self.selected = selected
        self.ticks: list[MqlTick] = []
        self.times: list[int] = []
        self.head = 0
        self.held: list[tuple[int, int]] = []
        self.blocked_ms = 0
        self.partial_calls = 0
        self.partial_blocked_ms = 0
        # The first position that no partial answer has shown.
        self.frontier = 0

    def __len__(self) -> int:
        return len(self.ticks) - self.head

    @property
    def end(self) -> int:
        return len(self.ticks)

    def index_of(self, time_msc: int) -> int:
        # The first position whose tick is at this time or later.
        return bisect.bisect_left(self.times, time_msc, self.head)

    def append(self, tick: MqlTick) -> None:
        times = self.times
        time_msc = tick.time_msc
        if len(times) > self.head and time_msc < times[-1]:
            raise ValueError(f"tick at {time_msc} msc: expected {times[-1]} msc or later")
        times.append(time_msc)
        self.ticks.append(tick)
        if self.max_ticks is not None:
            self._drop_oldest(self.max_ticks)

    def insert(self, tick: MqlTick) -> None:
        index = bisect.bisect_right(self.times, tick.time_msc, self.head)
        self.times.insert(index, tick.time_msc)
        self.ticks.insert(index, tick)
        if index < self.frontier:
            self.frontier += 1
        if self.max_ticks is not None:
            self._drop_oldest(self.max_ticks)

    def remove(self, index: int) -> None:
        del self.times[index], self.ticks[index]
        if index < self.frontier:
            self.frontier -= 1

    def _drop_oldest(self, max_ticks: int) -> None:
        if len(self) > max_ticks:
            self.head += 1
        # So at most twice max_ticks are in memory, and a cut is paid by as many appends.
        if self.head >= max(max_ticks, _MIN_CUT):
            del self.times[: self.head], self.ticks[: self.head]
            self.frontier -= self.head
            self.head = 0

    def earliest(self, first: int, end: int, mask: int | None, limit: int | None) -> Sequence[int]:
        # Positions of the first ``limit`` visible ticks of [first, end), ascending.
        if mask is None and not self.held:
            return range(first, end if limit is None else min(end, first + limit))
        return list(islice(self._visible(range(first, end), mask), limit))

    def latest(self, first: int, end: int, mask: int | None, limit: int) -> Sequence[int]:
        # Positions of the last ``limit`` visible ticks of [first, end), ascending.
        if mask is None and not self.held:
            return range(max(first, end - limit), end)
        found = list(islice(self._visible(range(end - 1, first - 1, -1), mask), limit))
        found.reverse()
        return found

    def _visible(self, indexes: range, mask: int | None) -> Iterator[int]:
        ticks, held = self.ticks, self.held
        for index in indexes:
            tick = ticks[index]
            if mask is not None and not tick.flags & mask:
                continue
            if any(start <= tick.time_msc <= stop for start, stop in held):
                continue
            yield index

    def answer(self, found: Sequence[int]) -> CopyTicksResult:
        blocked_ms, self.blocked_ms = self.blocked_ms, 0
        error = MqlError.SUCCESS
        if self.partial_calls:
            shown = bisect.bisect_left(found, self.frontier)
            missing = len(found) - shown
            # An empty answer times out too: the terminal cannot know yet that it is empty.
            if missing or not found:
                shown += int(self.numbers.random() * missing)
                if missing:
                    self.frontier = found[shown]
                found = found[:shown]
                self.partial_calls -= 1
                blocked_ms = max(blocked_ms, self.partial_blocked_ms)
                error = MqlError.HISTORY_TIMEOUT
        if isinstance(found, range):
            return CopyTicksResult(self.ticks[found.start : found.stop], error, blocked_ms)
        ticks = self.ticks
        return CopyTicksResult([ticks[index] for index in found], error, blocked_ms)
