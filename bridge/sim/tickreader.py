"""Reading a terminal's tick history by cursor, and believing only what may be believed.

MQL5's ``CopyTicks`` may return ticks and be incomplete all the same: then it leaves an error.
Such an answer is not taken. It may also block, for up to 45 s, while a symbol is synchronised:
``may_block`` tells when to send BUSY first.

Only symbols in Market Watch can be read. The reader remembers which ones it put there, to take
them out again: the others are the user's.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final, Protocol

from bridge.model.enums import CopyTicks, MqlError
from bridge.model.record import Cursor, extend_cursor
from bridge.wire.spec import GapReason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bridge.model.tick import MqlTick
    from bridge.sim.history import CopyTicksResult

__all__ = ["TickReader", "TickSource", "cursor_over", "is_usable", "time_of"]

#: Ticks asked for at once when history is read again; MetaTrader holds 4096 in its fast cache.
_SLICE: Final = 4_096
#: Ticks of one range; a longer one is read in several. More than a stream's memory holds, so
#: that a comparison with it gets further each time.
_RANGE_MAX: Final = 262_144
#: A cursor counts no more ticks of one millisecond than this; one that does is refused.
_CURSOR_TICKS_MAX: Final = 65_536
#: How far back a tick is looked for to tell "revised" from "history begins later".
_REACH_MSC: Final = 7 * 86_400_000
#: The relay refuses prices beyond 1e304, infinities and NaN, and ends the session for them.
_PRICE_SUM_MAX: Final = 1e300


class TickSource(Protocol):
    """
    MQL5's functions that are needed here; ``TickHistory`` has them.
    """

    def select(self, symbol: str, on: bool, /) -> int:  # noqa: FBT001  # SymbolSelect's argument
        """
        ``SymbolSelect``: 0 or an error.
        """

    def is_selected(self, symbol: str, /) -> bool:
        """
        ``SYMBOL_SELECT``.
        """

    def copy_ticks(
        self, symbol: str, flags: int = ..., from_msc: int = ..., count: int = ...
    ) -> CopyTicksResult:
        """
        ``CopyTicks``.
        """


def time_of(tick: MqlTick) -> int:
    """
    Return ``time_msc``: by position, twice as fast as by name.
    """
    return tick[0]


def is_usable(tick: MqlTick) -> bool:
    """
    Tell whether a relay would take the tick: finite prices and volume.
    """
    return -_PRICE_SUM_MAX < tick[1] + tick[2] + tick[3] + tick[4] < _PRICE_SUM_MAX


def cursor_over(time_msc: int, ticks: Iterable[MqlTick]) -> Cursor:
    """
    Return the cursor behind ticks that are the first ones of their millisecond.
    """
    cursor = Cursor(time_msc, 0, 0)
    for tick in ticks:
        cursor = extend_cursor(cursor, tick)
    return cursor


class TickReader:
    """
    A history, and which of its symbols are known to answer at once.
    """

    def __init__(self, source: TickSource) -> None:
        self.source = source
        #: reads whose answer was not taken
        self.refused = 0
        self._synchronised: set[str] = set()
        #: put into Market Watch by us
        self._selected: set[str] = set()
        self._blocked_ms = 0

    def may_block(self, symbol: str) -> bool:
        """
        Tell whether reading this symbol may block for up to 45 s: send BUSY first.
        """
        return symbol not in self._synchronised

    def connection_was_lost(self) -> None:
        """
        After an outage of the trade server's link every symbol may block again.
        """
        self._synchronised.clear()

    def select(self, symbol: str) -> int:
        """
        Put a symbol into Market Watch if it is not there; 0 or an error.
        """
        if self.source.is_selected(symbol):
            return 0
        error = self.source.select(symbol, True)
        if not error:
            self._selected.add(symbol)
        return error

    def release(self, symbol: str) -> None:
        """
        Take a symbol out of Market Watch that ``select`` put there.
        """
        if symbol in self._selected:
            self._selected.remove(symbol)
            self._synchronised.discard(symbol)
            self.source.select(symbol, False)

    def release_all(self) -> None:
        """
        Leave Market Watch as it was found.
        """
        for symbol in tuple(self._selected):
            self.release(symbol)

    def take_blocked_ms(self) -> int:
        """
        Return for how long MQL5 would have blocked since the last call.
        """
        blocked_ms, self._blocked_ms = self._blocked_ms, 0
        return blocked_ms

    def read(self, symbol: str, from_msc: int, count: int) -> list[MqlTick] | None:
        """
        Return what ``CopyTicks`` gives: ``count`` ticks from a time on, or the last ones with
        ``from_msc`` 0. ``None`` when the answer must not be taken.
        """
        result = self.source.copy_ticks(symbol, CopyTicks.ALL, from_msc, count)
        self._blocked_ms += result.blocked_ms
        if result.ticks is None or result.error:
            self.refused += 1
            self._synchronised.discard(symbol)
            if result.error == MqlError.MARKET_NOT_SELECTED:
                self.select(symbol)
            return None
        self._synchronised.add(symbol)
        return result.ticks

    def must_read(self, symbol: str, from_msc: int, count: int) -> list[MqlTick]:
        """
        Do what ``read`` does.

        Raises:
            TimeoutError: the answer must not be taken; ask again later.
        """
        ticks = self.read(symbol, from_msc, count)
        if ticks is None:
            raise TimeoutError(f"the terminal is still loading the ticks of {symbol!r}; ask again")
        return ticks

    def read_range(
        self, symbol: str, from_msc: int, through_msc: int
    ) -> tuple[list[MqlTick], int] | None:
        """
        Return all ticks of a time range, both ends included, and the end; an earlier end when
        the range holds too many. ``None`` when an answer must not be taken.
        """
        found: list[MqlTick] = []
        at_msc, seen = max(1, from_msc), 0
        while True:
            ticks = self.read(symbol, at_msc, seen + _SLICE)
            if ticks is None:
                return None
            found += ticks[seen:]
            if len(ticks) < seen + _SLICE or found[-1][0] > through_msc:
                return found[: bisect_right(found, through_msc, key=time_of)], through_msc
            at_msc = found[-1][0]
            first = bisect_left(found, at_msc, key=time_of)
            if len(found) >= _RANGE_MAX and first:
                return found[:first], at_msc - 1
            seen = len(found) - first

    def find(self, symbol: str, cursor: Cursor) -> tuple[GapReason | None, list[MqlTick]]:
        """
        Return the ticks that a cursor counts, or why they cannot be had.

        Raises:
            TimeoutError: the history cannot be read now.
        """
        time_msc, count, _ = cursor
        if time_msc <= 0 or count > _CURSOR_TICKS_MAX:
            return GapReason.HISTORY_MISSING, []
        taken = self.must_read(symbol, time_msc, count) if count else []
        if count and cursor_over(time_msc, taken) == cursor:
            return None, taken
        before = self.must_read(symbol, max(1, time_msc - _REACH_MSC), 1)
        if not before or before[0].time_msc >= time_msc:
            return GapReason.HISTORY_MISSING, []
        return (None if cursor == (time_msc, 0, 0) else GapReason.HISTORY_REVISED), []

    def walk(self, symbol: str, cursor: Cursor, usable: int) -> Cursor | None:
        """
        Return the cursor behind so many further usable ticks, ``None`` if there are fewer.

        Raises:
            TimeoutError: the history cannot be read now.
        """
        while usable > 0:
            wanted = cursor.ticks + min(usable, _SLICE)
            ticks = self.must_read(symbol, max(1, cursor.time_msc), wanted)[cursor.ticks :]
            if not ticks:
                return None
            for tick in ticks:
                cursor = extend_cursor(cursor, tick)
                usable -= is_usable(tick)
        return cursor
