"""One market for the broker, for every life of the terminal, and for who looks at the prices.

A tick is a function of its time, every 50 ms one of each symbol: a terminal that is killed comes
back with the history that it had, and a price tells when it was made.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bridge.model.symbol import spec_for
from bridge.model.tick import MqlTick
from bridge.sim.market import Market

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["STEP_MSC", "SYMBOLS", "GridFeed", "make_market", "tick_at"]

SYMBOLS = ("EURUSD", "GBPUSD")
STEP_MSC = 50
#: What a terminal finds in its history when it starts.
_PAST_MSC = 60_000
_SPREAD = 0.0002
_SWING = 0.0030
_SWING_MSC = 30_000


def tick_at(time_msc: int) -> MqlTick:
    """
    Return the tick of a moment: the price swings by 30 points around 1.1.
    """
    angle = 2 * math.pi * (time_msc % _SWING_MSC) / _SWING_MSC
    bid = round(1.1 + _SWING * math.sin(angle), 5)
    return MqlTick(time_msc, bid, round(bid + _SPREAD, 5))


def make_market(server_msc: int) -> Market:
    """
    Return the market as it is at a moment of the server's clock, with its last minute.
    """
    market = Market([spec_for(symbol) for symbol in SYMBOLS])
    for time_msc in _grid(server_msc - _PAST_MSC, server_msc):
        for symbol in SYMBOLS:
            market.history.append(symbol, tick_at(time_msc))
    return market


def _grid(after_msc: int, until_msc: int) -> Iterator[int]:
    first = after_msc // STEP_MSC + 1
    return iter(range(first * STEP_MSC, until_msc + 1, STEP_MSC))


class GridFeed:
    """
    Plays the market on: what ``TerminalRunner`` wants of a feed.

    ``offset_us``: the server's clock minus the caller's.
    """

    finished = False
    is_ready = False

    def __init__(self, market: Market, server_msc: int, offset_us: int) -> None:
        self._market = market
        self._done_msc = server_msc
        self._offset_us = offset_us

    def due(self, now_us: int) -> int:
        """
        Add the ticks up to now; return how many.
        """
        until_msc = (now_us + self._offset_us) // 1000
        count = 0
        for time_msc in _grid(self._done_msc, until_msc):
            for symbol in SYMBOLS:
                self._market.history.append(symbol, tick_at(time_msc))
                count += 1
            self._done_msc = time_msc
        return count

    def next_due(self) -> int:
        """
        Return when the next tick is made, on the caller's clock.
        """
        next_msc = (self._done_msc // STEP_MSC + 1) * STEP_MSC
        return next_msc * 1000 - self._offset_us
