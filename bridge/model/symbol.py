"""What a terminal knows about a symbol, with MetaTrader's names and well-known defaults.

Field names equal the package's ``SymbolInfo`` (``SymbolInfoInteger/Double/String`` in MQL5);
only what quotes and trading need is here, and the rest has room: every field has a default.
The defaults describe a typical broker for the simulated terminal. They are never used in place
of what a real terminal reports.
"""

from __future__ import annotations

import dataclasses
import functools
import math

from bridge.model.enums import (
    SymbolCalcMode,
    SymbolExpirationMode,
    SymbolFillingMode,
    SymbolOrderMode,
    SymbolSwapMode,
    SymbolTradeExecution,
    SymbolTradeMode,
)

__all__ = ["SymbolSpec", "default_symbols", "spec_for"]

#: More digits than any broker quotes, few enough that prices stay exact in a double.
_MAX_DIGITS = 8

#: Fields that may be 0, and not less.
_NOT_NEGATIVE = (
    "trade_stops_level",
    "trade_freeze_level",
    "ticks_bookdepth",
    "volume_limit",
    "trade_tick_value",
    "trade_face_value",
    "margin_initial",
    "margin_maintenance",
    "margin_hedged",
)

_ALL_ORDERS = SymbolOrderMode(127)
_ALL_EXPIRATIONS = SymbolExpirationMode(15)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SymbolSpec:
    """
    The properties of one symbol. Immutable; derive a changed one with ``dataclasses.replace``.

    ``digits`` are decimals of a price, ``point`` is ``10**-digits`` and, when left out, derived
    from it (pass ``point=0.0`` to ``replace`` together with new digits). Prices are multiples of
    ``trade_tick_size``, which is the point when left out and can be coarser on an exchange.
    ``volume_*`` are lots, ``volume_limit`` 0 means no limit. ``trade_stops_level``,
    ``trade_freeze_level`` and ``spread`` (a typical one) are points. ``trade_contract_size`` is
    units of ``currency_base`` per lot. ``ticks_bookdepth`` 0 means that there is no order book.
    ``select``: in Market Watch; ``visible``: shown there.

    ``trade_tick_value`` is what a lot gains by one tick, in the profit currency, and what it is
    by size when left out. ``margin_initial`` and ``margin_maintenance`` are in the margin
    currency per lot; 0: by formula, and as the initial one. ``margin_hedged`` is a contract size,
    or with ``margin_initial`` an amount, for a lot on both sides. ``swap_*`` are in the unit of
    ``swap_mode``; ``swap_rollover3days`` is the weekday (Sunday 0) that counts three times.

    Raises:
        ValueError: a field is out of range or contradicts another one.
    """

    name: str
    description: str = ""
    path: str = ""
    currency_base: str = ""
    currency_profit: str = ""
    currency_margin: str = ""
    digits: int = 5
    point: float = 0.0
    spread: int = 10
    spread_float: bool = True
    ticks_bookdepth: int = 0
    trade_calc_mode: SymbolCalcMode = SymbolCalcMode.FOREX
    trade_mode: SymbolTradeMode = SymbolTradeMode.FULL
    trade_exemode: SymbolTradeExecution = SymbolTradeExecution.MARKET
    filling_mode: SymbolFillingMode = SymbolFillingMode.FOK | SymbolFillingMode.IOC
    order_mode: SymbolOrderMode = _ALL_ORDERS
    expiration_mode: SymbolExpirationMode = _ALL_EXPIRATIONS
    trade_stops_level: int = 0
    trade_freeze_level: int = 0
    trade_tick_size: float = 0.0
    trade_contract_size: float = 100_000.0
    volume_min: float = 0.01
    volume_max: float = 100.0
    volume_step: float = 0.01
    volume_limit: float = 0.0
    trade_tick_value: float = 0.0
    trade_face_value: float = 0.0
    margin_initial: float = 0.0
    margin_maintenance: float = 0.0
    margin_hedged: float = 0.0
    margin_hedged_use_leg: bool = False
    swap_mode: SymbolSwapMode = SymbolSwapMode.DISABLED
    swap_long: float = 0.0
    swap_short: float = 0.0
    swap_rollover3days: int = 3
    select: bool = False
    visible: bool = False

    def __post_init__(self) -> None:
        if not self.name or not self.name.isprintable():
            # The NUL among them ends a topic of the bus, so it may be in no name.
            raise ValueError(f"name {self.name!r}: expected printable text, not empty")
        if not 0 <= self.digits <= _MAX_DIGITS:
            raise ValueError(f"{self.name}: digits {self.digits}: expected 0 to {_MAX_DIGITS}")
        point = 1 / 10**self.digits
        if self.point not in {0.0, point}:
            raise ValueError(f"{self.name}: point {self.point}: expected {point} by the digits")
        object.__setattr__(self, "point", point)
        if self.trade_tick_size == 0.0:
            object.__setattr__(self, "trade_tick_size", point)
        self._check_numbers()
        if self.trade_tick_value == 0.0:
            value = self.trade_tick_size * self.trade_contract_size
            object.__setattr__(self, "trade_tick_value", value)

    def _check_numbers(self) -> None:
        for field in ("trade_tick_size", "trade_contract_size", "volume_min", "volume_step"):
            value = getattr(self, field)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{self.name}: {field} {value}: expected more than 0")
        points = self.trade_tick_size / self.point
        if round(points) < 1 or abs(points - round(points)) > 1e-6:
            raise ValueError(
                f"{self.name}: trade_tick_size {self.trade_tick_size}: expected a multiple of "
                f"the point {self.point}"
            )
        if not (math.isfinite(self.volume_max) and self.volume_max >= self.volume_min):
            raise ValueError(
                f"{self.name}: volume_max {self.volume_max}: expected at least the volume_min "
                f"{self.volume_min}"
            )
        for field in _NOT_NEGATIVE:
            if not getattr(self, field) >= 0:
                raise ValueError(f"{self.name}: {field}: expected 0 or more")
        if self.spread < 1:
            raise ValueError(f"{self.name}: spread {self.spread}: expected 1 point or more")

    @property
    def has_last(self) -> bool:
        """
        Whether ticks carry trades (LAST and VOLUME): an exchange's do, a dealer's do not.
        """
        return self.trade_exemode is SymbolTradeExecution.EXCHANGE

    @property
    def tick_size_points(self) -> int:
        """
        ``trade_tick_size`` in points, exact.
        """
        return round(self.trade_tick_size / self.point)


_CURRENCIES = {
    "AUD": "Australian Dollar",
    "CAD": "Canadian Dollar",
    "CHF": "Swiss Franc",
    "EUR": "Euro",
    "GBP": "Pound Sterling",
    "JPY": "Japanese Yen",
    "NZD": "New Zealand Dollar",
    "USD": "US Dollar",
}

#: The 28 pairs of the eight currencies, in market order, with a typical spread in points.
_FOREX = {
    "EURUSD": 8,
    "GBPUSD": 10,
    "USDJPY": 9,
    "USDCHF": 11,
    "USDCAD": 12,
    "AUDUSD": 9,
    "NZDUSD": 13,
    "EURGBP": 11,
    "EURJPY": 13,
    "EURCHF": 15,
    "EURAUD": 20,
    "EURCAD": 19,
    "EURNZD": 30,
    "GBPJPY": 20,
    "GBPCHF": 24,
    "GBPAUD": 27,
    "GBPCAD": 27,
    "GBPNZD": 38,
    "AUDJPY": 15,
    "AUDCHF": 17,
    "AUDCAD": 18,
    "AUDNZD": 21,
    "CADJPY": 16,
    "CADCHF": 17,
    "CHFJPY": 19,
    "NZDJPY": 18,
    "NZDCHF": 20,
    "NZDCAD": 22,
}


def _forex(name: str, spread: int) -> SymbolSpec:
    base, profit = name[:3], name[3:6]
    return SymbolSpec(
        name=name,
        description=f"{_CURRENCIES.get(base, base)} vs {_CURRENCIES.get(profit, profit)}",
        path=f"Forex\\{name}",
        currency_base=base,
        currency_profit=profit,
        currency_margin=base,
        digits=_guessed_digits(name),
        spread=spread,
    )


def _guessed_digits(name: str) -> int:
    return 3 if "JPY" in name.upper() else 5


@functools.cache
def default_symbols() -> tuple[SymbolSpec, ...]:
    """
    Return the simulated broker's symbols: 28 currency pairs, ``XAUUSD`` and ``ES``.

    ``ES`` is traded as on an exchange: trades in its ticks, whole lots, an order book, and a
    price step of 25 points, so that rounding to digits instead of the tick size shows.
    """
    gold = SymbolSpec(
        name="XAUUSD",
        description="Gold vs US Dollar",
        path="Metals\\XAUUSD",
        currency_base="XAU",
        currency_profit="USD",
        # The formula of this mode has the price in it: what comes out is money of the price.
        currency_margin="USD",
        digits=2,
        spread=20,
        trade_calc_mode=SymbolCalcMode.CFDLEVERAGE,
        trade_contract_size=100.0,
    )
    future = SymbolSpec(
        name="ES",
        description="E-mini S&P 500 future",
        path="Futures\\ES",
        currency_base="USD",
        currency_profit="USD",
        currency_margin="USD",
        digits=2,
        spread=25,
        ticks_bookdepth=10,
        trade_calc_mode=SymbolCalcMode.EXCH_FUTURES,
        trade_exemode=SymbolTradeExecution.EXCHANGE,
        filling_mode=SymbolFillingMode.FOK | SymbolFillingMode.IOC | SymbolFillingMode.BOC,
        trade_tick_size=0.25,
        trade_contract_size=50.0,
        margin_initial=12_000.0,
        margin_maintenance=11_000.0,
        volume_min=1.0,
        volume_max=1_000.0,
        volume_step=1.0,
    )
    pairs = (_forex(name, spread) for name, spread in _FOREX.items())
    return (*pairs, gold, future)


def spec_for(name: str) -> SymbolSpec:
    """
    Return the default of this name, or a guess for a name nobody listed.

    A broker's suffix after a known name (``EURUSD.r``, ``XAUUSDm``) keeps what is known. Any
    other name is taken for a currency pair with 3 digits when it has JPY in it, else 5.

    Raises:
        ValueError: the name is empty or not printable.
    """
    for spec in default_symbols():
        rest = name.removeprefix(spec.name)
        if rest == name:
            continue
        # ESP35 is not ES: a suffix begins with a sign or a small letter.
        if not rest or not (rest[0].isupper() or rest[0].isdigit()):
            path = f"{spec.path}{rest}"
            return dataclasses.replace(spec, name=name, path=path)
    if len(name) >= 6 and name[:6].isascii() and name[:6].isalpha() and name[:6].isupper():
        return _forex(name, spread=20)
    return SymbolSpec(name=name, path=name, digits=_guessed_digits(name), spread=20)
