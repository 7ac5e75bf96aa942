"""Profit and margin by MetaTrader's formulas, and the conversion of their currencies.

The formulas for each ``SymbolCalcMode`` are on constants/environment_state/marketinfoconstants
below https://www.mql5.com/en/docs/; how positions and orders of one symbol are summed up is in
MetaTrader 5 Help, "Margin Calculation: Retail Forex, Futures", for netting and for hedging.

Three stages, in this order: the formula gives an amount in the margin currency; the rate of that
currency turns it into the deposit's; the margin ratio of the kind of order multiplies it.

Where the manual is silent, this module decides: a rate without a symbol of its own goes over one
third currency, and without that over ``REFERENCE_USD``, so that a market of one symbol can be
traded in any currency.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from bridge.model.enums import SymbolCalcMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bridge.model.symbol import SymbolSpec
    from bridge.model.tick import MqlTick

__all__ = [
    "REFERENCE_USD",
    "Exposure",
    "Rates",
    "base_margin",
    "base_profit",
    "deposit_profit",
    "hedging_margin",
    "netting_margin",
]

#: US dollars per unit, for a market that has no symbol to tell.
REFERENCE_USD: Final[Mapping[str, float]] = {
    "AUD": 0.66,
    "CAD": 0.74,
    "CHF": 1.14,
    "EUR": 1.09,
    "GBP": 1.27,
    "JPY": 0.0069,
    "NZD": 0.61,
    "USD": 1.0,
    "XAU": 2000.0,
}

_FOREX: Final = (SymbolCalcMode.FOREX, SymbolCalcMode.FOREX_NO_LEVERAGE)
_FUTURES: Final = (
    SymbolCalcMode.FUTURES,
    SymbolCalcMode.EXCH_FUTURES,
    SymbolCalcMode.EXCH_OPTIONS,
    SymbolCalcMode.EXCH_OPTIONS_MARGIN,
)
_BONDS: Final = (SymbolCalcMode.EXCH_BONDS, SymbolCalcMode.EXCH_BONDS_MOEX)
#: Modes whose result is divided by the account's leverage.
_LEVERAGED: Final = (SymbolCalcMode.FOREX, SymbolCalcMode.CFDLEVERAGE)


class Rates:
    """
    What one currency costs in another, by the quotes of the broker's currency pairs.

    Args:
        specs: the broker's symbols; those that are calculated as Forex are pairs.
        tick_of: the newest tick of a symbol, ``None`` without one.
    """

    def __init__(
        self, specs: Iterable[SymbolSpec], tick_of: Callable[[str], MqlTick | None]
    ) -> None:
        self._pairs = {
            (spec.currency_base, spec.currency_profit): spec.name
            for spec in reversed(tuple(specs))
            if spec.trade_calc_mode in _FOREX and spec.currency_base and spec.currency_profit
        }
        self._pivots = sorted({currency for pair in self._pairs for currency in pair})
        self._tick_of = tick_of

    def rate(self, source: str, target: str, *, buy: bool) -> float:
        """
        Return what a unit of ``source`` costs in ``target``: the ask when it is bought.

        An empty currency, as of a symbol that names none, counts as the same one.
        """
        if source == target or not source or not target:
            return 1.0
        direct = self._direct(source, target, buy=buy)
        if direct is not None:
            return direct
        for pivot in self._pivots:
            first = self._direct(source, pivot, buy=buy)
            second = self._direct(pivot, target, buy=buy)
            if first is not None and second is not None:
                return first * second
        return REFERENCE_USD.get(source, 1.0) / REFERENCE_USD.get(target, 1.0)

    def _direct(self, source: str, target: str, *, buy: bool) -> float | None:
        price = self._price(source, target, ask=buy)
        if price is not None:
            return price
        # To buy the source with the target is to sell the target for the source.
        inverse = self._price(target, source, ask=not buy)
        return None if inverse is None else 1 / inverse

    def _price(self, base: str, quoted: str, *, ask: bool) -> float | None:
        name = self._pairs.get((base, quoted))
        tick = None if name is None else self._tick_of(name)
        if tick is None:
            return None
        price = tick.ask if ask else tick.bid
        return price if price > 0 else None


class Exposure(NamedTuple):
    """
    A position or an order, as far as margin is concerned.

    ``rate`` converts the margin currency into the deposit's, ``ratio`` is the margin ratio of
    this kind of order (``SymbolInfoMarginRate``).
    """

    is_buy: bool
    volume: float
    price: float
    rate: float = 1.0
    ratio: float = 1.0
    #: a pending stop or stop-limit order: no opposite order covers it
    is_stop: bool = False


def base_profit(
    spec: SymbolSpec, volume: float, price_open: float, price_close: float, *, is_buy: bool
) -> float:
    """
    Return the profit in the profit currency, not rounded.

    MQL5 page: trading/ordercalcprofit
    """
    mode = spec.trade_calc_mode
    if mode is SymbolCalcMode.SERV_COLLATERAL:
        return 0.0
    move = (price_close - price_open) if is_buy else (price_open - price_close)
    if mode in _FUTURES:
        return move * volume * spec.trade_tick_value / spec.trade_tick_size
    if mode in _BONDS:
        return move * volume * spec.trade_contract_size * spec.trade_face_value / 100
    return move * volume * spec.trade_contract_size


def deposit_profit(
    spec: SymbolSpec,
    rates: Rates,
    currency: str,
    volume: float,
    price_open: float,
    price_close: float,
    *,
    is_buy: bool,
) -> float:
    """
    Return the profit in the deposit's currency, not rounded.

    A pair that is itself the rate converts at the price it closes at; of others a profit is sold
    and a loss is bought.
    """
    profit = base_profit(spec, volume, price_open, price_close, is_buy=is_buy)
    if spec.trade_calc_mode in _FOREX and spec.currency_base == currency and price_close > 0:
        return profit / price_close if spec.currency_profit != currency else profit
    return profit * rates.rate(spec.currency_profit, currency, buy=profit < 0)


def base_margin(
    spec: SymbolSpec,
    volume: float,
    price: float,
    leverage: int,
    *,
    maintain: bool = False,
    contract_size: float | None = None,
    amount: float | None = None,
) -> float:
    """
    Return the margin in the margin currency, before conversion and ratio.

    ``maintain``: of an open position, not of a new one. ``contract_size`` and ``amount`` stand
    in for the symbol's contract size and initial margin. A leverage of 0 counts as 1.

    MQL5 page: trading/ordercalcmargin
    """
    mode = spec.trade_calc_mode
    if mode is SymbolCalcMode.SERV_COLLATERAL:
        return 0.0
    fixed = spec.margin_initial if amount is None else amount
    if maintain and amount is None and spec.margin_maintenance:
        fixed = spec.margin_maintenance
    divisor = max(leverage, 1) if mode in _LEVERAGED else 1
    if (fixed or amount is not None) and contract_size is None:
        # Forex divides also a fixed margin by the leverage, CFDs do not.
        return volume * fixed / (divisor if mode is SymbolCalcMode.FOREX else 1)
    size = volume * (spec.trade_contract_size if contract_size is None else contract_size)
    if mode in _FOREX:
        return size / divisor
    if mode in _FUTURES:
        options = (SymbolCalcMode.EXCH_OPTIONS, SymbolCalcMode.EXCH_OPTIONS_MARGIN)
        return size * price if mode in options else 0.0
    if mode in _BONDS:
        return size * spec.trade_face_value * price / 100
    if mode is SymbolCalcMode.CFDINDEX:
        return size * price * spec.trade_tick_value / spec.trade_tick_size
    return size * price / divisor


def netting_margin(
    spec: SymbolSpec, position: Exposure | None, orders: Sequence[Exposure], leverage: int
) -> float:
    """
    Return the margin of one symbol in netting, in the deposit's currency.

    What lies on opposite sides covers one another, and the greater side counts. Stop orders are
    charged one by one, unless they are against the position.
    """
    sides = {True: 0.0, False: 0.0}
    extra = 0.0
    if position is not None:
        sides[position.is_buy] += _charge(spec, position, leverage, maintain=True)
    for order in orders:
        charged = _charge(spec, order, leverage)
        if order.is_stop and (position is None or order.is_buy == position.is_buy):
            extra += charged
        else:
            sides[order.is_buy] += charged
    return max(sides.values()) + extra


def hedging_margin(
    spec: SymbolSpec, positions: Sequence[Exposure], orders: Sequence[Exposure], leverage: int
) -> float:
    """
    Return the margin of one symbol in hedging, in the deposit's currency.

    By the larger leg where the symbol says so, else for the volume that is not covered, for the
    covered one (``margin_hedged``), and for each pending order.
    """
    legs = {
        side: _together([one for one in positions if one.is_buy is side]) for side in (True, False)
    }
    pending = {
        side: sum(_charge(spec, one, leverage) for one in orders if one.is_buy is side)
        for side in (True, False)
    }
    if spec.margin_hedged_use_leg:
        return max(
            _charge(spec, leg, leverage, maintain=True) + pending[side]
            for side, leg in legs.items()
        )
    larger, smaller = sorted(legs.values(), key=lambda leg: leg.volume, reverse=True)
    open_volume = larger.volume - smaller.volume
    total = _charge(spec, larger._replace(volume=open_volume), leverage, maintain=True)
    if smaller.volume and spec.margin_hedged:
        both = _together(positions)
        covered = base_margin(
            spec,
            smaller.volume,
            both.price,
            leverage,
            contract_size=None if spec.margin_initial else spec.margin_hedged,
            amount=spec.margin_hedged if spec.margin_initial else None,
        )
        total += covered * both.rate * both.ratio
    return total + sum(pending.values())


def _charge(
    spec: SymbolSpec, exposure: Exposure, leverage: int, *, maintain: bool = False
) -> float:
    margin = base_margin(spec, exposure.volume, exposure.price, leverage, maintain=maintain)
    return margin * exposure.rate * exposure.ratio


def _together(exposures: Sequence[Exposure]) -> Exposure:
    # Their whole volume, and price, rate and ratio weighted by volume.
    volume = math.fsum(one.volume for one in exposures)
    if not volume:
        return Exposure(is_buy=True, volume=0.0, price=0.0)
    return Exposure(
        is_buy=exposures[0].is_buy,
        volume=volume,
        price=math.fsum(one.price * one.volume for one in exposures) / volume,
        rate=math.fsum(one.rate * one.volume for one in exposures) / volume,
        ratio=math.fsum(one.ratio * one.volume for one in exposures) / volume,
    )
