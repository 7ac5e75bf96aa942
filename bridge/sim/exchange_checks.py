"""Why the simulated broker refuses a request, in the order in which it looks.

``refusal`` has no side effect and no randomness: ``OrderCheck`` and ``OrderSend`` ask the same
questions. Pages: constants/structures/mqltraderequest, constants/tradingconstants/orderproperties
and constants/errorswarnings/enum_trade_return_codes below https://www.mql5.com/en/docs/.

Where the manual is silent, this module decides: an unknown symbol, order or action is INVALID,
a number that is none is INVALID_VOLUME, INVALID_PRICE or INVALID_STOPS by its field, and in
netting the ``position`` of a DEAL is not looked at: the symbol names the position, so that a
second close opens the reverse.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from bridge.model.enums import (
    AccountTradeMode,
    OrderType,
    OrderTypeFilling,
    OrderTypeTime,
    PositionType,
    SymbolExpirationMode,
    SymbolFillingMode,
    SymbolOrderMode,
    SymbolTradeExecution,
    SymbolTradeMode,
    TradeRequestActions,
    TradeRetcode,
)
from bridge.model.trade import replace
from bridge.sim.exchange_books import ScratchBooks, is_buy_order
from bridge.sim.exchange_fills import account_state, close_by, fill

if TYPE_CHECKING:
    from bridge.model.symbol import SymbolSpec
    from bridge.model.tick import MqlTick
    from bridge.model.trade import AccountRecord, OrderRecord, PositionRecord, TradeRequest
    from bridge.sim.exchange_books import Books
    from bridge.sim.exchange_rules import BrokerRules

__all__ = [
    "can_pay",
    "closes",
    "foreseen",
    "outlook",
    "points_between",
    "refusal",
    "target_position",
]

#: How far a price may be from its step, in steps: the error of its binary form, and no more.
_STEP_TOLERANCE: Final = 1e-6
_NOTHING: Final = 1e-9

_LIMITS: Final = (OrderType.BUY_LIMIT, OrderType.SELL_LIMIT)
_STOP_LIMITS: Final = (OrderType.BUY_STOP_LIMIT, OrderType.SELL_STOP_LIMIT)
_ORDER_MODES: Final = {
    OrderType.BUY_LIMIT: SymbolOrderMode.LIMIT,
    OrderType.SELL_LIMIT: SymbolOrderMode.LIMIT,
    OrderType.BUY_STOP: SymbolOrderMode.STOP,
    OrderType.SELL_STOP: SymbolOrderMode.STOP,
    OrderType.BUY_STOP_LIMIT: SymbolOrderMode.STOP_LIMIT,
    OrderType.SELL_STOP_LIMIT: SymbolOrderMode.STOP_LIMIT,
}
_FILLING_BITS: Final = {
    OrderTypeFilling.FOK: SymbolFillingMode.FOK,
    OrderTypeFilling.IOC: SymbolFillingMode.IOC,
    OrderTypeFilling.BOC: SymbolFillingMode.BOC,
}
_EXPIRATION_BITS: Final = {
    OrderTypeTime.GTC: SymbolExpirationMode.GTC,
    OrderTypeTime.DAY: SymbolExpirationMode.DAY,
    OrderTypeTime.SPECIFIED: SymbolExpirationMode.SPECIFIED,
    OrderTypeTime.SPECIFIED_DAY: SymbolExpirationMode.SPECIFIED_DAY,
}
_DAY_S: Final = 86_400


def refusal(
    books: Books, rules: BrokerRules, request: TradeRequest, time_msc: int
) -> TradeRetcode | None:
    """
    Return why a request is refused, ``None`` when nothing is against it.
    """
    if request.action not in _CHECKS:
        return TradeRetcode.INVALID
    return (
        _refused_number(request)
        or _refused_account(books, rules)
        or _CHECKS[TradeRequestActions(request.action)](books, rules, request, time_msc)
    )


def target_position(books: Books, request: TradeRequest) -> PositionRecord | None:
    """
    Return the position that a request is about: by ticket, in netting by symbol.
    """
    if books.hedging:
        return books.positions.get(request.position)
    if not request.symbol:
        return books.positions.get(request.position)
    return books.position_of(request.symbol)


def closes(books: Books, request: TradeRequest) -> bool:
    """
    Tell whether a DEAL only takes from a position, so that it opens nothing.
    """
    position = target_position(books, request)
    if books.hedging:
        return bool(request.position)
    return (
        position is not None
        and (position.type == PositionType.BUY) != is_buy_order(request.type)
        and request.volume <= position.volume + _NOTHING
    )


def outlook(
    books: Books, rules: BrokerRules, request: TradeRequest, time_msc: int
) -> AccountRecord:
    """
    Return the account as it would be after a request that nothing is against.
    """
    copy = ScratchBooks(books)
    action = request.action
    # Only a deal has to name its symbol.
    tick = books.tick(request.symbol) if action == TradeRequestActions.DEAL else None
    if tick is not None:
        price = tick.ask if is_buy_order(request.type) else tick.bid
        order = copy.new_order(request, comment="", time_msc=time_msc, reason=0, price=price)
        fill(copy, rules, order, request.volume, price, time_msc)
        del copy.orders[order.ticket]
    elif action == TradeRequestActions.PENDING:
        copy.new_order(request, comment="", time_msc=time_msc, reason=0, price=request.price)
    elif action == TradeRequestActions.REMOVE:
        copy.orders.pop(request.order, None)
    elif action == TradeRequestActions.CLOSE_BY:
        named = replace(request, symbol=books.positions[request.position].symbol)
        order = copy.new_order(named, comment="", time_msc=time_msc, reason=0, price=0.0)
        close_by(copy, rules, order, time_msc)
        del copy.orders[order.ticket]
    return account_state(
        copy,
        rules,
        positions=copy.positions.values(),
        orders=copy.orders.values(),
        balance=copy.balance,
    )


def can_pay(books: Books, rules: BrokerRules, request: TradeRequest, time_msc: int) -> bool:
    """
    Tell whether the account has the margin for a request; what needs no more is always paid.
    """
    if foreseen(books, rules, request) is not None:
        return True
    after = outlook(books, rules, request, time_msc)
    if after.margin_free < 0:
        before = account_state(
            books,
            rules,
            positions=books.positions.values(),
            orders=books.orders.values(),
            balance=books.account.balance,
        )
        if after.margin > before.margin:
            return False
    books.foreseen = (request, rules, after)
    return True


def foreseen(books: Books, rules: BrokerRules, request: TradeRequest) -> AccountRecord | None:
    """
    Return ``outlook`` as it was found when this request was last looked at, while it holds.
    """
    if books.foreseen is None or books.outbox:
        return None
    same, by_rules, after = books.foreseen
    return after if by_rules is rules and same == request else None


def points_between(spec: SymbolSpec, higher: float, lower: float) -> int:
    """
    Return how many points one price is above another.
    """
    return round((higher - lower) / spec.point)


# --- what every request must be ------------------------------------------------------------


def _refused_number(request: TradeRequest) -> TradeRetcode | None:
    for value, retcode in (
        (request.volume, TradeRetcode.INVALID_VOLUME),
        (request.price, TradeRetcode.INVALID_PRICE),
        (request.stoplimit, TradeRetcode.INVALID_PRICE),
        (request.sl, TradeRetcode.INVALID_STOPS),
        (request.tp, TradeRetcode.INVALID_STOPS),
    ):
        if not (math.isfinite(value) and value >= 0):
            return retcode
    return None


def _refused_account(books: Books, rules: BrokerRules) -> TradeRetcode | None:
    account = books.account
    if rules.trade_disabled or not account.trade_allowed:
        return TradeRetcode.TRADE_DISABLED
    if rules.server_disables_at or not account.trade_expert:
        return TradeRetcode.SERVER_DISABLES_AT
    if rules.only_real and account.trade_mode != AccountTradeMode.REAL:
        return TradeRetcode.ONLY_REAL
    return None


def _refused_symbol(books: Books, rules: BrokerRules, symbol: str) -> TradeRetcode | None:
    if symbol not in books.market.specs:
        return TradeRetcode.INVALID
    if books.spec(symbol).trade_mode == SymbolTradeMode.DISABLED:
        return TradeRetcode.TRADE_DISABLED
    if symbol in rules.market_closed:
        return TradeRetcode.MARKET_CLOSED
    if symbol in rules.no_quotes or books.tick(symbol) is None:
        return TradeRetcode.PRICE_OFF
    return None


def _quote(books: Books, symbol: str) -> MqlTick:
    tick = books.tick(symbol)
    if tick is None:
        raise LookupError(f"{symbol} has no tick: expected to be refused before")
    return tick


# --- the actions ---------------------------------------------------------------------------


def _check_deal(
    books: Books, rules: BrokerRules, request: TradeRequest, time_msc: int
) -> TradeRetcode | None:
    refused = _refused_symbol(books, rules, request.symbol)
    if refused:
        return refused
    spec, tick = books.spec(request.symbol), _quote(books, request.symbol)
    if request.type not in {OrderType.BUY, OrderType.SELL}:
        return TradeRetcode.INVALID_ORDER
    if not spec.order_mode & SymbolOrderMode.MARKET:
        return TradeRetcode.INVALID_ORDER
    is_buy = request.type == OrderType.BUY
    refused = (
        _refused_volume(spec, request.volume)
        or _refused_filling(spec, request.type_filling)
        or _refused_market_price(spec, request, tick.ask if is_buy else tick.bid)
    )
    if refused:
        return refused
    if books.hedging and request.position:
        return _refused_close(books, request, tick)
    reference = tick.bid if is_buy else tick.ask
    refused = _refused_stops(spec, reference, request.sl, request.tp, is_buy=is_buy)
    if refused or closes(books, request):
        return refused
    return (
        _refused_direction(books, rules, spec, request.symbol, is_buy=is_buy)
        or _refused_size(books, spec, request.volume, is_buy=is_buy)
        or _refused_count(books, rules, request.symbol)
        or (None if can_pay(books, rules, request, time_msc) else TradeRetcode.NO_MONEY)
    )


def _check_pending(
    books: Books, rules: BrokerRules, request: TradeRequest, time_msc: int
) -> TradeRetcode | None:
    refused = _refused_symbol(books, rules, request.symbol)
    if refused:
        return refused
    spec = books.spec(request.symbol)
    if request.type not in _ORDER_MODES:
        return TradeRetcode.INVALID_ORDER
    order_type = OrderType(request.type)
    if not spec.order_mode & _ORDER_MODES[order_type]:
        return TradeRetcode.INVALID_ORDER
    is_buy = is_buy_order(order_type)
    limit = rules.max_orders or books.account.limit_orders
    if limit and sum(1 for one in books.orders.values() if one.type > OrderType.SELL) >= limit:
        return TradeRetcode.LIMIT_ORDERS
    return (
        _refused_volume(spec, request.volume)
        or _refused_pending_filling(spec, order_type, request.type_filling)
        or _refused_pending_price(
            spec, _quote(books, request.symbol), order_type, request.price, request.stoplimit
        )
        or _refused_stops(
            spec, request.stoplimit or request.price, request.sl, request.tp, is_buy=is_buy
        )
        or _refused_expiration(spec, request.type_time, request.expiration, time_msc)
        or _refused_direction(books, rules, spec, request.symbol, is_buy=is_buy)
        or _refused_size(books, spec, request.volume, is_buy=is_buy)
        or _refused_count(books, rules, request.symbol)
        or (None if can_pay(books, rules, request, time_msc) else TradeRetcode.NO_MONEY)
    )


def _check_modify(
    books: Books, rules: BrokerRules, request: TradeRequest, time_msc: int
) -> TradeRetcode | None:
    order = books.orders.get(request.order)
    refused = _refused_order(books, request, order)
    if refused or order is None:
        return refused
    refused = _refused_symbol(books, rules, order.symbol)
    if refused:
        return refused
    spec, tick = books.spec(order.symbol), _quote(books, order.symbol)
    if _is_frozen_order(spec, order, tick):
        return TradeRetcode.FROZEN
    wanted = (
        request.price,
        request.stoplimit,
        request.sl,
        request.tp,
        request.type_time,
        request.expiration,
    )
    present = (
        order.price_open,
        order.price_stoplimit,
        order.sl,
        order.tp,
        order.type_time,
        order.time_expiration,
    )
    if wanted == present:
        return TradeRetcode.NO_CHANGES
    is_buy = is_buy_order(order.type)
    return (
        _refused_pending_price(spec, tick, OrderType(order.type), request.price, request.stoplimit)
        or _refused_stops(
            spec, request.stoplimit or request.price, request.sl, request.tp, is_buy=is_buy
        )
        or _refused_expiration(spec, request.type_time, request.expiration, time_msc)
    )


def _check_remove(
    books: Books, rules: BrokerRules, request: TradeRequest, time_msc: int
) -> TradeRetcode | None:
    del time_msc
    order = books.orders.get(request.order)
    refused = _refused_order(books, request, order)
    if refused or order is None:
        return refused
    if order.symbol in rules.market_closed:
        return TradeRetcode.MARKET_CLOSED
    tick = books.tick(order.symbol)
    if tick is not None and _is_frozen_order(books.spec(order.symbol), order, tick):
        return TradeRetcode.FROZEN
    return None


def _check_sltp(
    books: Books, rules: BrokerRules, request: TradeRequest, time_msc: int
) -> TradeRetcode | None:
    del time_msc
    position = target_position(books, request)
    if position is None:
        return TradeRetcode.POSITION_CLOSED
    refused = _refused_symbol(books, rules, position.symbol)
    if refused:
        return refused
    if _close_orders(books, position):
        return TradeRetcode.LOCKED
    spec, tick = books.spec(position.symbol), _quote(books, position.symbol)
    if _is_frozen_position(spec, position, tick):
        return TradeRetcode.FROZEN
    if (request.sl, request.tp) == (position.sl, position.tp):
        return TradeRetcode.NO_CHANGES
    is_buy = position.type == PositionType.BUY
    # A level that stays may be nearer by now than a new one could be set.
    sl = 0.0 if request.sl == position.sl else request.sl
    tp = 0.0 if request.tp == position.tp else request.tp
    return _refused_stops(spec, tick.bid if is_buy else tick.ask, sl, tp, is_buy=is_buy)


def _check_close_by(
    books: Books, rules: BrokerRules, request: TradeRequest, time_msc: int
) -> TradeRetcode | None:
    del time_msc
    if not books.hedging:
        return TradeRetcode.INVALID
    first = books.positions.get(request.position)
    second = books.positions.get(request.position_by)
    if first is None or second is None:
        return TradeRetcode.POSITION_CLOSED
    if first.symbol != second.symbol or first.type == second.type:
        return TradeRetcode.INVALID
    refused = _refused_symbol(books, rules, first.symbol)
    if refused:
        return refused
    if not books.spec(first.symbol).order_mode & SymbolOrderMode.CLOSEBY:
        return TradeRetcode.INVALID_ORDER
    if _close_orders(books, first) or _close_orders(books, second):
        return TradeRetcode.CLOSE_ORDER_EXIST
    if not (_is_oldest(books, first) and _is_oldest(books, second)):
        return TradeRetcode.FIFO_CLOSE
    return None


_CHECKS: Final = {
    TradeRequestActions.DEAL: _check_deal,
    TradeRequestActions.PENDING: _check_pending,
    TradeRequestActions.SLTP: _check_sltp,
    TradeRequestActions.MODIFY: _check_modify,
    TradeRequestActions.REMOVE: _check_remove,
    TradeRequestActions.CLOSE_BY: _check_close_by,
}


# --- their parts ---------------------------------------------------------------------------


def _refused_close(books: Books, request: TradeRequest, tick: MqlTick) -> TradeRetcode | None:
    position = books.positions.get(request.position)
    if position is None:
        return TradeRetcode.POSITION_CLOSED
    if position.symbol != request.symbol or (position.type == PositionType.BUY) == is_buy_order(
        request.type
    ):
        return TradeRetcode.INVALID
    if request.volume > position.volume + _NOTHING:
        return TradeRetcode.INVALID_CLOSE_VOLUME
    under_way = sum(order.volume_current for order in _close_orders(books, position))
    if under_way and under_way + request.volume > position.volume + _NOTHING:
        return TradeRetcode.CLOSE_ORDER_EXIST
    if not _is_oldest(books, position):
        return TradeRetcode.FIFO_CLOSE
    if _is_frozen_position(books.spec(position.symbol), position, tick):
        return TradeRetcode.FROZEN
    return None


def _close_orders(books: Books, position: PositionRecord) -> list[OrderRecord]:
    # Orders under way that close a position; the rest of the one that opened it is none.
    if not books.hedging:
        return []
    return [
        order
        for order in books.orders.values()
        if position.ticket in {order.position_id, order.position_by_id}
        and (position.type == PositionType.BUY) != is_buy_order(order.type)
    ]


def _is_oldest(books: Books, position: PositionRecord) -> bool:
    if not books.account.fifo_close:
        return True
    return all(
        one.ticket >= position.ticket
        for one in books.positions.values()
        if one.symbol == position.symbol and one.type == position.type
    )


def _refused_order(
    books: Books, request: TradeRequest, order: OrderRecord | None
) -> TradeRetcode | None:
    if order is None:
        if request.order in books.rejected:
            return TradeRetcode.REJECT_CANCEL
        return TradeRetcode.INVALID
    if order.type not in _ORDER_MODES:
        return TradeRetcode.LOCKED
    return None


def _on_step(value: float, step: float) -> bool:
    steps = value / step
    return abs(steps - round(steps)) < _STEP_TOLERANCE


def _refused_volume(spec: SymbolSpec, volume: float) -> TradeRetcode | None:
    fits = spec.volume_min - _NOTHING <= volume <= spec.volume_max + _NOTHING
    if fits and _on_step(volume, spec.volume_step):
        return None
    return TradeRetcode.INVALID_VOLUME


def _refused_filling(spec: SymbolSpec, filling: int) -> TradeRetcode | None:
    mode = spec.trade_exemode
    if filling == OrderTypeFilling.RETURN:
        allowed = mode != SymbolTradeExecution.MARKET
    elif filling not in {OrderTypeFilling.FOK, OrderTypeFilling.IOC}:
        allowed = False
    elif mode in {SymbolTradeExecution.REQUEST, SymbolTradeExecution.INSTANT}:
        allowed = True
    else:
        allowed = bool(spec.filling_mode & _FILLING_BITS[OrderTypeFilling(filling)])
    return None if allowed else TradeRetcode.INVALID_FILL


def _refused_pending_filling(
    spec: SymbolSpec, order_type: OrderType, filling: int
) -> TradeRetcode | None:
    if filling == OrderTypeFilling.RETURN:
        return None
    if filling == OrderTypeFilling.BOC and order_type not in (*_LIMITS, *_STOP_LIMITS):
        return TradeRetcode.INVALID_FILL
    if filling in _FILLING_BITS and spec.filling_mode & _FILLING_BITS[OrderTypeFilling(filling)]:
        return None
    return TradeRetcode.INVALID_FILL


def _refused_market_price(
    spec: SymbolSpec, request: TradeRequest, price: float
) -> TradeRetcode | None:
    mode = spec.trade_exemode
    if mode not in {SymbolTradeExecution.REQUEST, SymbolTradeExecution.INSTANT}:
        return None
    if request.price <= 0 or not _on_step(request.price, spec.trade_tick_size):
        return TradeRetcode.INVALID_PRICE
    if abs(points_between(spec, price, request.price)) <= request.deviation:
        return None
    if mode == SymbolTradeExecution.INSTANT:
        return TradeRetcode.REQUOTE
    return TradeRetcode.PRICE_CHANGED


def _refused_pending_price(
    spec: SymbolSpec, tick: MqlTick, order_type: OrderType, price: float, stoplimit: float
) -> TradeRetcode | None:
    step = spec.trade_tick_size
    if price <= 0 or not _on_step(price, step):
        return TradeRetcode.INVALID_PRICE
    is_buy = is_buy_order(order_type)
    nearest = max(spec.trade_stops_level, 1)
    above = points_between(spec, price, tick.ask if is_buy else tick.bid)
    waits_below = order_type in {
        OrderType.BUY_LIMIT,
        OrderType.SELL_STOP,
        OrderType.SELL_STOP_LIMIT,
    }
    is_far = (-above if waits_below else above) >= nearest
    # On an exchange a limit order may cross the book.
    if not is_far and not (order_type in _LIMITS and spec.has_last):
        return TradeRetcode.INVALID_PRICE
    if order_type not in _STOP_LIMITS:
        return TradeRetcode.INVALID_PRICE if stoplimit else None
    if stoplimit <= 0 or not _on_step(stoplimit, step):
        return TradeRetcode.INVALID_PRICE
    below = points_between(spec, price, stoplimit)
    return None if (below if is_buy else -below) >= nearest else TradeRetcode.INVALID_PRICE


def _refused_stops(
    spec: SymbolSpec, reference: float, sl: float, tp: float, *, is_buy: bool
) -> TradeRetcode | None:
    nearest = max(spec.trade_stops_level, 1)
    for level, mode, is_below in (
        (sl, SymbolOrderMode.SL, is_buy),
        (tp, SymbolOrderMode.TP, not is_buy),
    ):
        if not level:
            continue
        below = points_between(spec, reference, level)
        if (
            not spec.order_mode & mode
            or not _on_step(level, spec.trade_tick_size)
            or (below if is_below else -below) < nearest
        ):
            return TradeRetcode.INVALID_STOPS
    return None


def _refused_expiration(
    spec: SymbolSpec, type_time: int, expiration: int, time_msc: int
) -> TradeRetcode | None:
    bit = _EXPIRATION_BITS.get(OrderTypeTime(type_time)) if 0 <= type_time <= 3 else None
    if bit is None or not spec.expiration_mode & bit:
        return TradeRetcode.INVALID_EXPIRATION
    now_s = time_msc // 1000
    if type_time == OrderTypeTime.SPECIFIED and expiration <= now_s:
        return TradeRetcode.INVALID_EXPIRATION
    if type_time == OrderTypeTime.SPECIFIED_DAY and expiration < now_s // _DAY_S * _DAY_S:
        return TradeRetcode.INVALID_EXPIRATION
    return None


def _refused_direction(
    books: Books, rules: BrokerRules, spec: SymbolSpec, symbol: str, *, is_buy: bool
) -> TradeRetcode | None:
    mode = spec.trade_mode
    if mode == SymbolTradeMode.CLOSEONLY:
        return TradeRetcode.CLOSE_ONLY
    if mode == SymbolTradeMode.LONGONLY and not is_buy:
        return TradeRetcode.LONG_ONLY
    if mode == SymbolTradeMode.SHORTONLY and is_buy:
        return TradeRetcode.SHORT_ONLY
    against = PositionType.SELL if is_buy else PositionType.BUY
    if (
        rules.hedge_prohibited
        and books.hedging
        and any(one.symbol == symbol and one.type == against for one in books.positions.values())
    ):
        return TradeRetcode.HEDGE_PROHIBITED
    return None


def _refused_size(
    books: Books, spec: SymbolSpec, volume: float, *, is_buy: bool
) -> TradeRetcode | None:
    if not spec.volume_limit:
        return None
    if books.volume_of(spec.name, is_buy=is_buy) + volume > spec.volume_limit + _NOTHING:
        return TradeRetcode.LIMIT_VOLUME
    return None


def _refused_count(books: Books, rules: BrokerRules, symbol: str) -> TradeRetcode | None:
    limit = rules.max_positions
    if not limit:
        return None
    if books.hedging:
        # Each pending order may become a position of its own.
        taken = len(books.positions) + len(books.orders)
    else:
        taken = 0 if books.position_of(symbol) else len(books.positions)
    return TradeRetcode.LIMIT_POSITIONS if taken >= limit else None


def _is_frozen_order(spec: SymbolSpec, order: OrderRecord, tick: MqlTick) -> bool:
    price = tick.ask if is_buy_order(order.type) else tick.bid
    return _is_within(spec, order.price_open, price)


def _is_frozen_position(spec: SymbolSpec, position: PositionRecord, tick: MqlTick) -> bool:
    price = tick.bid if position.type == PositionType.BUY else tick.ask
    return any(_is_within(spec, level, price) for level in (position.sl, position.tp) if level)


def _is_within(spec: SymbolSpec, level: float, price: float) -> bool:
    freeze = spec.trade_freeze_level
    return bool(freeze) and abs(points_between(spec, level, price)) <= freeze
