"""Trading as MetaTrader tells it: request, result, positions, orders, deals, account.

Records have the fields of the official Python package in its order; ``asdict`` gives the plain
map that travels. Times without ``_msc`` are seconds, all on the trade server's clock, in
milliseconds or seconds since 1970 as if it were UTC.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import operator
from collections.abc import Callable
from typing import Any, Final, TypeVar

__all__ = [
    "TAG_PREFIX",
    "AccountRecord",
    "DealRecord",
    "OrderRecord",
    "PositionRecord",
    "TradeCheckResult",
    "TradeRequest",
    "TradeResult",
    "asdict",
    "order_tag",
    "replace",
]

_R = TypeVar("_R")

#: How a broker's comment of ours begins.
TAG_PREFIX: Final = "zb1:"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TradeRequest:
    """
    ``MqlTradeRequest``; 0 and ``""`` are what a zeroed structure has.

    Volumes are lots, prices the symbol's, ``deviation`` points, ``expiration`` seconds of the
    server's clock.

    MQL5 page: constants/structures/mqltraderequest
    """

    action: int
    magic: int = 0
    order: int = 0
    symbol: str = ""
    volume: float = 0.0
    price: float = 0.0
    stoplimit: float = 0.0
    sl: float = 0.0
    tp: float = 0.0
    deviation: int = 0
    type: int = 0
    type_filling: int = 0
    type_time: int = 0
    expiration: int = 0
    comment: str = ""
    position: int = 0
    position_by: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TradeResult:
    """
    ``MqlTradeResult``: what came back for a request.

    MQL5 page: constants/structures/mqltraderesult
    """

    retcode: int
    deal: int = 0
    order: int = 0
    volume: float = 0.0
    price: float = 0.0
    bid: float = 0.0
    ask: float = 0.0
    comment: str = ""
    request_id: int = 0
    retcode_external: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TradeCheckResult:
    """
    ``MqlTradeCheckResult``: what the account would be like. ``retcode`` 0: nothing against it.

    MQL5 page: constants/structures/mqltradecheckresult
    """

    retcode: int
    balance: float = 0.0
    equity: float = 0.0
    profit: float = 0.0
    margin: float = 0.0
    margin_free: float = 0.0
    margin_level: float = 0.0
    comment: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PositionRecord:
    """
    An open position: ``TradePosition`` of the official package.
    """

    ticket: int
    time: int = 0
    time_msc: int = 0
    time_update: int = 0
    time_update_msc: int = 0
    type: int = 0
    magic: int = 0
    identifier: int = 0
    reason: int = 0
    volume: float = 0.0
    price_open: float = 0.0
    sl: float = 0.0
    tp: float = 0.0
    price_current: float = 0.0
    swap: float = 0.0
    profit: float = 0.0
    symbol: str = ""
    comment: str = ""
    external_id: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """
    An order, open or in the history: ``TradeOrder`` of the official package.
    """

    ticket: int
    time_setup: int = 0
    time_setup_msc: int = 0
    time_done: int = 0
    time_done_msc: int = 0
    time_expiration: int = 0
    type: int = 0
    type_time: int = 0
    type_filling: int = 0
    state: int = 0
    magic: int = 0
    position_id: int = 0
    position_by_id: int = 0
    reason: int = 0
    volume_initial: float = 0.0
    volume_current: float = 0.0
    price_open: float = 0.0
    sl: float = 0.0
    tp: float = 0.0
    price_current: float = 0.0
    price_stoplimit: float = 0.0
    symbol: str = ""
    comment: str = ""
    external_id: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DealRecord:
    """
    A deal: ``TradeDeal`` of the official package.
    """

    ticket: int
    order: int = 0
    time: int = 0
    time_msc: int = 0
    type: int = 0
    entry: int = 0
    magic: int = 0
    position_id: int = 0
    reason: int = 0
    volume: float = 0.0
    price: float = 0.0
    commission: float = 0.0
    swap: float = 0.0
    profit: float = 0.0
    fee: float = 0.0
    symbol: str = ""
    comment: str = ""
    external_id: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AccountRecord:
    """
    An account: ``AccountInfo`` of the official package.
    """

    login: int
    trade_mode: int = 0
    leverage: int = 100
    limit_orders: int = 0
    margin_so_mode: int = 0
    trade_allowed: bool = True
    trade_expert: bool = True
    margin_mode: int = 2
    currency_digits: int = 2
    fifo_close: bool = False
    balance: float = 0.0
    credit: float = 0.0
    profit: float = 0.0
    equity: float = 0.0
    margin: float = 0.0
    margin_free: float = 0.0
    margin_level: float = 0.0
    margin_so_call: float = 0.0
    margin_so_so: float = 0.0
    margin_initial: float = 0.0
    margin_maintenance: float = 0.0
    assets: float = 0.0
    liabilities: float = 0.0
    commission_blocked: float = 0.0
    name: str = ""
    server: str = ""
    currency: str = ""
    company: str = ""


def asdict(record: Any) -> dict[str, Any]:
    """
    Return a record as a plain map, in the order of its fields.
    """
    return {name: getattr(record, name) for name in _names_of(record.__class__)}


def replace(record: _R, /, **changes: Any) -> _R:
    """
    Return a record with some of its fields changed: ``dataclasses.replace`` for what has slots,
    several fields and no ``__post_init__``, in half of its time.

    Raises:
        TypeError: there is no such field.
    """
    kind: Any = type(record)
    new, places, values, named = _parts_of(kind)
    copy: _R = new()
    for place, value in zip(places, values(record), strict=True):
        place(copy, value)
    try:
        for name, value in changes.items():
            named[name](copy, value)
    except KeyError as error:
        raise TypeError(f"{kind.__name__} has no field {error}") from None
    return copy


_Place = Callable[[Any, Any], None]


@functools.cache
def _parts_of(
    kind: Any,
) -> tuple[
    Callable[[], Any], tuple[_Place, ...], Callable[[Any], tuple[Any, ...]], dict[str, _Place]
]:
    names = _names_of(kind)
    # A frozen class guards its attributes, not its slots.
    places: tuple[_Place, ...] = tuple(getattr(kind, name).__set__ for name in names)
    new = functools.partial(object.__new__, kind)
    return new, places, operator.attrgetter(*names), dict(zip(names, places, strict=True))


@functools.cache
def _names_of(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


@functools.lru_cache(maxsize=1_024)
def order_tag(command_id: str) -> str:
    """
    Return the comment that a command's order gets at the broker (wire protocol, "NEW").
    """
    digest = hashlib.sha256(command_id.encode()).digest()
    return TAG_PREFIX + base64.b32encode(digest)[:16].decode()
