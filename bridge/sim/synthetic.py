"""Synthetic ticks for any number of symbols at any rate, the same for the same seed.

Every symbol walks by its own random numbers, seeded with (seed, name): its ticks do not change
when other symbols are added or when somebody reads only some of them. The streams are merged by
time; at equal times by the order in which the symbols were given.

Prices walk in whole ``trade_tick_size`` steps and become floats last, by one division, so each is
exactly the float that its decimal text gives.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from bridge.model.tick import MqlTick, TickFlag

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bridge.model.symbol import SymbolSpec

__all__ = ["SyntheticMarket"]

#: One change in four of an exchange's symbol is a trade, the rest are quotes.
_TRADE_SHARE: Final = 0.25

_BOTH: Final = int(TickFlag.BID | TickFlag.ASK)
_BID: Final = int(TickFlag.BID)
_ASK: Final = int(TickFlag.ASK)
_BOUGHT: Final = int(TickFlag.LAST | TickFlag.VOLUME | TickFlag.BUY)
_SOLD: Final = int(TickFlag.LAST | TickFlag.VOLUME | TickFlag.SELL)

#: Largest move of one price within a tick, in tick sizes.
_MAX_MOVE: Final = 3

#: Where a walk begins, so that a chart looks familiar.
_START_PRICES: Final = {
    "AUDCAD": 0.9, "AUDCHF": 0.59, "AUDJPY": 97.0, "AUDNZD": 1.08, "AUDUSD": 0.66,
    "CADCHF": 0.65, "CADJPY": 108.0, "CHFJPY": 166.0, "ES": 5000.0, "EURAUD": 1.64,
    "EURCAD": 1.47, "EURCHF": 0.96, "EURGBP": 0.86, "EURJPY": 158.0, "EURNZD": 1.77,
    "EURUSD": 1.09, "GBPAUD": 1.91, "GBPCAD": 1.71, "GBPCHF": 1.12, "GBPJPY": 184.0,
    "GBPNZD": 2.06, "GBPUSD": 1.27, "NZDCAD": 0.83, "NZDCHF": 0.54, "NZDJPY": 89.0,
    "NZDUSD": 0.61, "USDCAD": 1.35, "USDCHF": 0.88, "USDJPY": 145.0, "XAUUSD": 2000.0,
}  # fmt: skip


class SyntheticMarket:
    """
    An endless stream of ``(symbol, tick)`` in time order, reproducible from its ``repr``.

    Iterating begins anew at ``start_msc`` each time; iterators do not disturb one another.

    Of each symbol: the first tick has both prices; then a tick changes the bid, the ask or both,
    and ``flags`` name exactly the prices that changed, while the others carry the last known
    value. The spread stays positive. A symbol with ``has_last`` also trades (LAST, VOLUME and
    BUY or SELL) at the bid or the ask. A tick always differs from the one before it, apart from
    its time, but may equal an earlier one of the same millisecond, as in a real feed.

    Args:
        symbols: their names must differ.
        seed: of every random number.
        start_msc: no tick is before it; milliseconds since 1970 on the trade server's clock.
        rate_hz: mean ticks per second of each symbol, bursts included, or a rate for each name.
        burst_probability: how often, from 0 to 1, several ticks share one millisecond.
        burst_max: most ticks of one burst; the number is drawn evenly from 2 to this.

    Raises:
        ValueError: no symbols, a name twice, or a number out of range.
    """

    def __init__(
        self,
        symbols: Sequence[SymbolSpec],
        *,
        seed: int,
        start_msc: int,
        rate_hz: float | Mapping[str, float],
        burst_probability: float = 0.05,
        burst_max: int = 4,
    ) -> None:
        names = [spec.name for spec in symbols]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"symbols {names}: expected at least one, and no name twice")
        if start_msc < 0:
            raise ValueError(f"start_msc {start_msc}: expected 0 or more")
        if not 0 <= burst_probability <= 1:
            raise ValueError(f"burst_probability {burst_probability}: expected 0 to 1")
        if burst_max < 2:
            raise ValueError(f"burst_max {burst_max}: expected 2 or more")
        self.symbols = tuple(symbols)
        self.seed = seed
        self.start_msc = start_msc
        self.rate_hz = rate_hz
        self.burst_probability = burst_probability
        self.burst_max = burst_max
        self._rates = _rates_by_name(names, rate_hz)
        self._specs = dict(zip(names, self.symbols, strict=True))

    def __repr__(self) -> str:
        names = " ".join(self._specs)
        return (
            f"<SyntheticMarket seed={self.seed} start_msc={self.start_msc} "
            f"rate_hz={self.rate_hz!r} burst_probability={self.burst_probability} "
            f"burst_max={self.burst_max} symbols={names}>"
        )

    def __iter__(self) -> Iterator[tuple[str, MqlTick]]:
        streams = [self._pairs(spec) for spec in self.symbols]
        # Equal times come in the order of the streams: heapq.merge keeps it.
        return iter(heapq.merge(*streams, key=_time_msc_of_pair))

    def generate(self, count: int) -> list[tuple[str, MqlTick]]:
        """
        Return the first ``count`` pairs of the stream.
        """
        return list(itertools.islice(self, count))

    def ticks_of(self, symbol: str) -> Iterator[MqlTick]:
        """
        Yield the ticks of one symbol alone: the same as in the merged stream.

        Raises:
            KeyError: the market has no such symbol.
        """
        pairs = self._pairs(self._specs[symbol])
        return (tick for _, tick in pairs)

    def _pairs(self, spec: SymbolSpec) -> Iterator[tuple[str, MqlTick]]:
        name, start_msc = spec.name, self.start_msc
        burst_probability, burst_sizes = self.burst_probability, self.burst_max - 1
        # Text as a seed is hashed the same way in every process.
        numbers = random.Random(f"{self.seed}/{name}")  # noqa: S311  # prices are no secret
        uniform, log = numbers.random, math.log
        mean_burst = 1 + burst_probability * (burst_sizes + 1) / 2
        interval_msc = 1000 * mean_burst / self._rates[name]
        next_tick = _Walk(spec, numbers).next_tick

        elapsed_msc = 0.0
        while True:
            elapsed_msc -= log(1.0 - uniform()) * interval_msc
            time_msc = start_msc + int(elapsed_msc)
            yield name, next_tick(time_msc)
            if uniform() < burst_probability:
                for _ in range(1 + int(uniform() * burst_sizes)):
                    yield name, next_tick(time_msc)


class _Walk:
    # The prices of one symbol, in whole steps of its tick size.

    __slots__ = (
        "_ask",
        "_bid",
        "_flags",
        "_has_last",
        "_highest",
        "_last",
        "_lowest",
        "_numbers",
        "_points",
        "_scale",
        "_usual_spread",
        "_volume",
        "_volume_step",
        "_widest_spread",
    )

    def __init__(self, spec: SymbolSpec, numbers: random.Random) -> None:
        self._numbers = numbers
        self._has_last = spec.has_last
        self._volume_step = spec.volume_step
        self._scale = 10**spec.digits
        self._points = spec.tick_size_points
        self._usual_spread = max(1, round(spec.spread / self._points))
        # Wide enough that a bid or an ask alone can take a step from any spread.
        self._widest_spread = max(2 * self._usual_spread, _MAX_MOVE + 2)
        start = round(_start_price(spec) / spec.trade_tick_size)
        self._bid = max(start, 100 * self._widest_spread)
        self._ask = self._bid + self._usual_spread
        self._lowest, self._highest = self._bid // 2, self._bid * 2
        self._last = self._volume = 0.0
        self._flags = 0

    def next_tick(self, time_msc: int) -> MqlTick:
        bits = self._numbers.getrandbits(12)
        if not self._flags:
            flags = _BOTH
        elif self._has_last and self._numbers.random() < _TRADE_SHARE:
            flags = self._trade(bits)
        else:
            flags = self._quote(bits)
        self._flags = flags
        # Rounded once, from whole numbers: the same float as the decimal text of the price.
        bid, ask = self._bid * self._points / self._scale, self._ask * self._points / self._scale
        return MqlTick(time_msc, bid, ask, self._last, self._volume, flags)

    def _trade(self, bits: int) -> int:
        flags, steps = (_BOUGHT, self._ask) if bits & 1 else (_SOLD, self._bid)
        volume = round((1 + (bits >> 1 & 15)) * self._volume_step, 8)
        if volume == self._volume:
            # A trade must not equal the tick before it.
            volume = round(volume + self._volume_step, 8)
        self._last, self._volume = steps * self._points / self._scale, volume
        return flags

    def _quote(self, bits: int) -> int:
        move = 1 + (bits >> 3) % _MAX_MOVE
        if bits & 4:
            move = -move
        if not self._lowest <= self._bid + move <= self._highest:
            move = -move
        if not bits & 1:
            # One price alone, where the spread allows it.
            if bits & 2 and 1 <= self._ask - self._bid - move <= self._widest_spread:
                self._bid += move
                return _BID
            if not bits & 2 and 1 <= self._ask + move - self._bid <= self._widest_spread:
                self._ask += move
                return _ASK
        self._bid += move
        ask = self._bid + max(1, self._usual_spread + (bits >> 6 & 3) - 1)
        flags = _BID if ask == self._ask else _BOTH
        self._ask = ask
        return flags


def _rates_by_name(names: list[str], rate_hz: float | Mapping[str, float]) -> dict[str, float]:
    rates = dict(rate_hz) if isinstance(rate_hz, Mapping) else dict.fromkeys(names, rate_hz)
    if rates.keys() != set(names):
        raise ValueError(f"rate_hz of {sorted(rates)}: expected one rate for each symbol")
    for name, rate in rates.items():
        if not (math.isfinite(rate) and rate > 0):
            raise ValueError(f"rate_hz {rate} of {name}: expected more than 0")
    return rates


def _start_price(spec: SymbolSpec) -> float:
    # The currencies tell what a name with a broker's suffix is.
    for name in (spec.name, spec.currency_base + spec.currency_profit):
        if name in _START_PRICES:
            return _START_PRICES[name]
    return {5: 1.0, 4: 1.0, 3: 100.0}.get(spec.digits, 1000.0)


def _time_msc_of_pair(pair: tuple[str, MqlTick]) -> int:
    # By position: twice as fast as the attribute, and this runs once for every tick.
    return pair[1][0]
