"""Feeds: ticks of files or of a synthetic market, put into a terminal's history in time.

A feed is driven like everything here: ``due(now)`` puts what is due into the history,
``next_due`` says when there is more. With a speed of ``None`` ticks come as fast as the
terminal sends them, in slices, so that sessions and heartbeats keep running in between.
"""

from __future__ import annotations

import heapq
import itertools
import math
from typing import TYPE_CHECKING, Final

from bridge.wire.protocol import NEVER_US

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bridge.model.tick import MqlTick
    from bridge.sim.collector import TickCollector
    from bridge.sim.history import TickHistory
    from bridge.sim.synthetic import SyntheticMarket

__all__ = ["SLICE", "Feed", "ReplayFeed", "SyntheticFeed"]

#: Ticks put into the history in one call at most; twice what a collector reads at once.
SLICE: Final = 1_024

_Pair = tuple[str, "MqlTick"]


class Feed:
    """
    Plays ``(symbol, tick)`` in order of time.

    Args:
        history: where the ticks go; it knows the symbols.
        pairs: what is played, read as it is needed.
        symbols: the names in ``pairs``.
        speed: 1.0 is real time, 10.0 ten times as fast, ``None`` as fast as it is sent.
        collector: who sends; with it, a feed without a speed waits until what it gave before
            was read, and ``hold_until_subscribed`` is possible.
        hold_until_subscribed: begin when the relay listens to all ``symbols``. A stream begins
            with the latest tick, so a feed that is ahead of it loses its first ones.

    Raises:
        ValueError: the speed is not positive, or ``hold_until_subscribed`` without collector.
    """

    def __init__(
        self,
        history: TickHistory,
        pairs: Iterable[_Pair],
        *,
        symbols: Iterable[str],
        speed: float | None = 1.0,
        collector: TickCollector | None = None,
        hold_until_subscribed: bool = False,
    ) -> None:
        if speed is not None and not (math.isfinite(speed) and speed > 0):
            raise ValueError(f"speed {speed}: expected more than 0, or None")
        if hold_until_subscribed and collector is None:
            raise ValueError("hold_until_subscribed: expected a collector to ask")
        #: ticks put into the history so far
        self.played = 0
        #: nothing is left
        self.finished = False
        self.symbols = frozenset(symbols)
        self._history = history
        self._pairs: Iterator[_Pair] = iter(pairs)
        self._speed = speed
        self._collector = collector
        self._held = hold_until_subscribed
        self._next: _Pair | None = None
        self._start_us: int | None = None
        self._start_msc = 0
        self._advance()

    def due(self, now_us: int) -> int:
        """
        Put the ticks that are due into the history, ``SLICE`` of them at most; return how many.

        Raises:
            KeyError: the history does not know a symbol.
            ValueError: a tick is older than the newest one of its symbol.
        """
        if self.finished or self._waits():
            return 0
        if self._next is not None and self._start_us is None:
            self._start_us, self._start_msc = now_us, self._next[1].time_msc
        until_msc = self._until_msc(now_us)
        append = self._history.append
        count = 0
        while self._next is not None and self._next[1][0] <= until_msc and count < SLICE:
            append(*self._next)
            count += 1
            self._advance()
        self.played += count
        return count

    def next_due(self) -> int:
        """
        Return when ``due`` has something to do, ``NEVER_US`` when that is not known: then call
        it at every turn.
        """
        if self.finished or self._next is None or self._start_us is None or self._speed is None:
            return NEVER_US
        elapsed_msc = self._next[1].time_msc - self._start_msc
        return self._start_us + math.ceil(elapsed_msc * 1000 / self._speed)

    @property
    def is_ready(self) -> bool:
        """
        Whether, without a speed, ``due`` has something to do now.
        """
        return self._speed is None and not self.finished and not self._waits()

    def _advance(self) -> None:
        self._next = next(self._pairs, None)
        self.finished = self._next is None

    def _waits(self) -> bool:
        if self._collector is None:
            return False
        if self._held:
            if not self.symbols <= self._collector.streaming:
                return True
            self._held = False
        return self._speed is None and not self._collector.keeps_up

    def _until_msc(self, now_us: int) -> int:
        if self._speed is None or self._start_us is None:
            return NEVER_US
        return self._start_msc + int((now_us - self._start_us) * self._speed / 1000)


class ReplayFeed(Feed):
    """
    Plays the ticks of files, merged by time; at equal times in the order of the mapping.

    Arguments are those of ``Feed``, but for ``ticks_by_symbol``: each in order of time.
    """

    def __init__(
        self,
        history: TickHistory,
        ticks_by_symbol: Mapping[str, Iterable[MqlTick]],
        *,
        speed: float | None = 1.0,
        collector: TickCollector | None = None,
        hold_until_subscribed: bool = False,
    ) -> None:
        streams = [zip(itertools.repeat(s), ticks) for s, ticks in ticks_by_symbol.items()]
        super().__init__(
            history,
            # Merging costs as much as all the rest: one symbol needs none.
            streams[0] if len(streams) == 1 else heapq.merge(*streams, key=_time_msc_of),
            symbols=ticks_by_symbol,
            speed=speed,
            collector=collector,
            hold_until_subscribed=hold_until_subscribed,
        )


class SyntheticFeed(Feed):
    """
    Plays a synthetic market, endlessly or ``count`` ticks of it.

    Other arguments are those of ``Feed``. Without a speed and without an end, give the history
    a ``max_ticks``: it keeps everything otherwise.
    """

    def __init__(
        self,
        history: TickHistory,
        market: SyntheticMarket,
        *,
        count: int | None = None,
        speed: float | None = 1.0,
        collector: TickCollector | None = None,
        hold_until_subscribed: bool = False,
    ) -> None:
        super().__init__(
            history,
            itertools.islice(market, count),
            symbols=(spec.name for spec in market.symbols),
            speed=speed,
            collector=collector,
            hold_until_subscribed=hold_until_subscribed,
        )


def _time_msc_of(pair: _Pair) -> int:
    return pair[1][0]
