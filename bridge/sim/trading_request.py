"""From what a NEW asks for to what ``OrderSend`` is given: checks, prices, filling, volumes.

Nothing here sends or remembers anything. A request that cannot be meant is ``Refused``, with
the reason and a sentence that begins with the field's name.

Rule 1: what was not given is filled in from what the terminal sees just before sending: the
price of a market order, side and volume of a position that is closed, the values that a
modification keeps.
Rule 2: what was given is never changed beyond the rounding of a double.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bridge.model.enums import (
    AccountMarginMode,
    OrderType,
    OrderTypeFilling,
    OrderTypeTime,
    PositionType,
    SymbolExpirationMode,
    SymbolFillingMode,
    SymbolTradeExecution,
    TradeRequestActions,
)
from bridge.model.trade import TradeRequest
from bridge.sim.trading_changes import levels_of, values_of
from bridge.wire.spec import DenyReason, NewFlag

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bridge.model.symbol import SymbolSpec
    from bridge.model.tick import MqlTick
    from bridge.model.trade import OrderRecord, PositionRecord
    from bridge.sim.trading_ports import Broker
    from bridge.wire.messages import OrderRequest

__all__ = ["KNOWN_FLAGS", "Draft", "Refused", "RequestMaker", "reduces"]

#: Bits of ``New.flags`` that this terminal knows.
KNOWN_FLAGS: Final = NewFlag.REDUCE_ONLY | NewFlag.ADMIN | NewFlag.SL_POINTS | NewFlag.TP_POINTS

_IN_POINTS: Final = NewFlag.SL_POINTS | NewFlag.TP_POINTS
_BUYS: Final = frozenset(
    {OrderType.BUY, OrderType.BUY_LIMIT, OrderType.BUY_STOP, OrderType.BUY_STOP_LIMIT}
)
_MARKET: Final = frozenset({OrderType.BUY, OrderType.SELL})
_STOP_LIMIT: Final = frozenset({OrderType.BUY_STOP_LIMIT, OrderType.SELL_STOP_LIMIT})
_PENDING: Final = frozenset(OrderType) - _MARKET - {OrderType.CLOSE_BY}
_SPECIFIED: Final = frozenset({OrderTypeTime.SPECIFIED, OrderTypeTime.SPECIFIED_DAY})
#: What an action cannot do without; DEAL of a position is filled in from it.
_NEEDED: Final[Mapping[int, tuple[str, ...]]] = {
    TradeRequestActions.DEAL: (),
    TradeRequestActions.PENDING: ("symbol", "volume", "price", "type"),
    TradeRequestActions.SLTP: ("position",),
    TradeRequestActions.MODIFY: ("order",),
    TradeRequestActions.REMOVE: ("order",),
    TradeRequestActions.CLOSE_BY: ("position", "position_by"),
}
#: How far a double may be from a multiple of its step, in steps.
_STEP_TOLERANCE: Final = 1e-5
#: What a quotient of two doubles is wrong by at most, relative to it.
_DOUBLE_NOISE: Final = 1e-15
#: No volume and no price is larger, and a double still counts their steps.
_NUMBER_MAX: Final = 1e9


class Refused(Exception):
    """
    Why a request is not sent: for DENIED. The text of INVALID begins with the field.
    """

    def __init__(self, reason: DenyReason, text: str) -> None:
        super().__init__(reason, text)
        self.reason = reason
        self.text = text


class Draft:
    """
    A request as it would be sent, and the values that it is about to change.
    """

    __slots__ = ("before", "request")

    def __init__(self, request: TradeRequest, before: tuple[float, ...] = ()) -> None:
        self.request = request
        self.before = before


def reduces(request: OrderRequest, flags: int, *, hedging: bool) -> bool:
    """
    Tell whether a request can only close or cancel: what REDUCING lets pass besides changes.
    """
    if request.action in {TradeRequestActions.REMOVE, TradeRequestActions.CLOSE_BY}:
        return True
    if request.action != TradeRequestActions.DEAL:
        return False
    # With a hedging account a deal of a position cannot be larger than the position.
    return bool(flags & NewFlag.REDUCE_ONLY) or (hedging and bool(request.position))


class RequestMaker:
    """
    Makes requests for one account.

    Args:
        broker: positions, orders and the account, as the terminal sees them.
        specs: the broker's symbols.
        quote: the newest tick of a symbol, ``None`` without one.
    """

    def __init__(
        self,
        broker: Broker,
        specs: Mapping[str, SymbolSpec],
        quote: Callable[[str], MqlTick | None],
    ) -> None:
        self._broker = broker
        self._specs = specs
        self._quote = quote
        account = broker.account()
        #: whether a symbol may have many positions
        self.hedging = account.margin_mode == AccountMarginMode.RETAIL_HEDGING
        #: demo, contest or real; neither changes in the life of an account
        self.trade_mode = account.trade_mode

    def check(self, request: OrderRequest, flags: int) -> None:
        """
        Look at every field by itself: what a terminal can tell without looking at the market.

        Raises:
            Refused: INVALID.
        """
        if flags & ~int(KNOWN_FLAGS):
            raise _invalid("flags", f"{flags:#x} has a bit that this terminal does not know")
        needed = _NEEDED.get(request.action)
        if needed is None:
            raise _invalid("action", f"{request.action} is no ENUM_TRADE_REQUEST_ACTIONS")
        for name in needed:
            if not getattr(request, name):
                raise _invalid(name, "is needed for this action")
        self._check_numbers(request, flags)
        self._check_kinds(request)
        if request.symbol and request.symbol not in self._specs:
            raise _invalid("symbol", f"the terminal has no symbol {request.symbol!r}"[:150])
        if request.action == TradeRequestActions.DEAL:
            self._check_deal(request, flags)
        elif flags & NewFlag.REDUCE_ONLY and request.action == TradeRequestActions.PENDING:
            raise _invalid("flags", "a pending order cannot be reduce-only")
        if request.symbol and request.action in {
            TradeRequestActions.DEAL,
            TradeRequestActions.PENDING,
        }:
            self._check_steps(self._specs[request.symbol], request, flags)

    def make(self, request: OrderRequest, flags: int, tag: str) -> Draft:
        """
        Return what is sent, as the market, positions and orders are now.

        Raises:
            Refused: nothing is open to be closed, or there is no price to count from.
        """
        match request.action:
            case TradeRequestActions.DEAL:
                return self._deal(request, flags, tag)
            case TradeRequestActions.PENDING:
                return self._pending(request, flags, tag)
            case TradeRequestActions.SLTP:
                return self._sltp(request, flags)
            case TradeRequestActions.MODIFY:
                return self._modify(request, flags)
            case TradeRequestActions.CLOSE_BY:
                return self._close_by(request, tag)
        return Draft(
            TradeRequest(action=request.action, order=request.order or 0, magic=request.magic or 0)
        )

    def position(self, ticket: int) -> PositionRecord | None:
        """
        Return an open position.
        """
        return next(iter(self._broker.positions(ticket=ticket)), None) if ticket else None

    def order(self, ticket: int) -> OrderRecord | None:
        """
        Return an open order.
        """
        return next(iter(self._broker.orders(ticket=ticket)), None) if ticket else None

    # --- checks ------------------------------------------------------------------------

    def _check_numbers(self, request: OrderRequest, flags: int) -> None:
        for name in ("volume", "price", "stoplimit", "sl", "tp"):
            value = getattr(request, name)
            if value is not None and not 0 <= value <= _NUMBER_MAX:
                raise _invalid(name, f"{value} is no number from 0 to {_NUMBER_MAX:g}")
        for name, flag in (("sl", NewFlag.SL_POINTS), ("tp", NewFlag.TP_POINTS)):
            if flags & flag and getattr(request, name) is None:
                raise _invalid(name, "is missing, and the flags say that it is in points")
        if request.volume == 0:
            raise _invalid("volume", "0 lots")
        if request.expiration is not None and request.expiration < 0:
            raise _invalid("expiration", f"{request.expiration} is before 1970")

    def _check_kinds(self, request: OrderRequest) -> None:
        for name, kinds in (
            ("type", OrderType),
            ("type_filling", OrderTypeFilling),
            ("type_time", OrderTypeTime),
        ):
            value = getattr(request, name)
            if value is not None and value not in list(kinds):
                raise _invalid(name, f"{value} is not known")
        if request.action == TradeRequestActions.PENDING:
            if request.type not in _PENDING:
                raise _invalid("type", "is no pending order's")
            if request.type in _STOP_LIMIT and not request.stoplimit:
                raise _invalid("stoplimit", "is needed for stop-limit orders")
        if request.type_time in _SPECIFIED and not request.expiration:
            raise _invalid("expiration", "is needed with this type_time")

    def _check_deal(self, request: OrderRequest, flags: int) -> None:
        if request.type is not None and request.type not in _MARKET:
            raise _invalid("type", "must be BUY or SELL")
        closes = bool(request.position)
        if flags & NewFlag.REDUCE_ONLY:
            if not closes and self.hedging:
                raise _invalid("position", "is needed to close with a hedging account")
            if not closes and not request.symbol:
                raise _invalid("symbol", "is needed, or the position")
            return
        if not closes and not request.symbol:
            raise _invalid("symbol", "is needed for this action")
        if not closes and request.type is None:
            raise _invalid("type", "is needed for this action")
        if request.volume is None:
            raise _invalid("volume", "is needed for this action")

    def _check_steps(self, spec: SymbolSpec, request: OrderRequest, flags: int) -> None:
        # Prices and volumes that were given are sent as they are, or not at all.
        volume = request.volume
        if volume is not None and not flags & NewFlag.REDUCE_ONLY:
            if volume < spec.volume_min * (1 - 1e-9):
                raise _invalid("volume", f"{volume:g} is below the least, {spec.volume_min:g}")
            if volume > spec.volume_max * (1 + 1e-9):
                raise _invalid("volume", f"{volume:g} is above the most, {spec.volume_max:g}")
        if volume is not None and not _fits(volume, spec.volume_step):
            raise _invalid("volume", f"{volume!r} is no multiple of {spec.volume_step:g}")
        points = {"sl": NewFlag.SL_POINTS, "tp": NewFlag.TP_POINTS}
        for name in ("price", "stoplimit", "sl", "tp"):
            value = getattr(request, name)
            if value is None or (name in points and flags & points[name]):
                continue
            if not _fits(value, spec.trade_tick_size):
                raise _invalid(name, f"{value!r} is no multiple of {spec.trade_tick_size:g}")

    # --- requests ------------------------------------------------------------------------

    def _deal(self, request: OrderRequest, flags: int, tag: str) -> Draft:
        symbol, kind, volume = request.symbol or "", request.type, request.volume
        position = self._to_close(request, flags)
        if position is not None:
            symbol = symbol or position.symbol
            opposite = OrderType.SELL if position.type == PositionType.BUY else OrderType.BUY
            kind = opposite if kind is None else kind
            # What counts as a close must be one: limits and REDUCING have let it pass.
            if kind != opposite and reduces(request, flags, hedging=self.hedging):
                raise Refused(
                    DenyReason.NOTHING_TO_CLOSE, "the position is on the side of this request"
                )
            if flags & NewFlag.REDUCE_ONLY:
                volume = position.volume if volume is None else min(volume, position.volume)
        if kind is None or volume is None or symbol not in self._specs:
            raise Refused(DenyReason.NOTHING_TO_CLOSE, "the position is not open")
        spec = self._specs[symbol]
        self._check_steps(spec, request, flags)
        price = request.price or self._price(symbol, kind)
        filling = _filling(spec) if request.type_filling is None else request.type_filling
        magic = request.magic
        if magic is None:
            magic = 0 if position is None else position.magic
        return Draft(
            TradeRequest(
                action=request.action,
                magic=magic,
                symbol=symbol,
                volume=_stepped(volume, spec.volume_step),
                price=_rounded(price, spec),
                sl=self._level(request.sl, flags & NewFlag.SL_POINTS, spec, price, _loss(kind)),
                tp=self._level(request.tp, flags & NewFlag.TP_POINTS, spec, price, -_loss(kind)),
                deviation=request.deviation or 0,
                type=kind,
                type_filling=filling,
                type_time=request.type_time or OrderTypeTime.GTC,
                comment=tag,
                position=0 if position is None else position.ticket,
            )
        )

    def _to_close(self, request: OrderRequest, flags: int) -> PositionRecord | None:
        # The position that a deal is about, read now.
        if request.position:
            position = self.position(request.position)
            if position is None or (request.symbol and position.symbol != request.symbol):
                raise Refused(
                    DenyReason.NOTHING_TO_CLOSE,
                    f"the position {request.position} is not open",
                )
            return position
        if not flags & NewFlag.REDUCE_ONLY:
            return None
        # Netting: the symbol names its one position.
        found = self._broker.positions(symbol=request.symbol)
        if not found:
            raise Refused(
                DenyReason.NOTHING_TO_CLOSE, f"{request.symbol} has no open position"[:150]
            )
        return found[0]

    def _pending(self, request: OrderRequest, flags: int, tag: str) -> Draft:
        spec = self._specs[request.symbol or ""]
        kind = OrderType(request.type or 0)
        # The stops of a stop-limit order are counted from where its limit order will be.
        base = (request.stoplimit if kind in _STOP_LIMIT else request.price) or 0.0
        return Draft(
            TradeRequest(
                action=request.action,
                magic=request.magic or 0,
                symbol=spec.name,
                volume=_stepped(request.volume or 0.0, spec.volume_step),
                price=_rounded(request.price or 0.0, spec),
                stoplimit=_rounded(request.stoplimit or 0.0, spec),
                sl=self._level(request.sl, flags & NewFlag.SL_POINTS, spec, base, _loss(kind)),
                tp=self._level(request.tp, flags & NewFlag.TP_POINTS, spec, base, -_loss(kind)),
                deviation=request.deviation or 0,
                type=kind,
                type_filling=(
                    OrderTypeFilling.RETURN
                    if request.type_filling is None
                    else request.type_filling
                ),
                type_time=_lifetime(spec) if request.type_time is None else request.type_time,
                expiration=request.expiration or 0,
                comment=tag,
            )
        )

    def _sltp(self, request: OrderRequest, flags: int) -> Draft:
        position = self.position(request.position or 0)
        if position is None:
            if request.sl is None or request.tp is None or flags & _IN_POINTS:
                raise _unseen("position", request.position)
            # The trade server is to say so.
            return Draft(
                TradeRequest(
                    action=request.action,
                    symbol=request.symbol or "",
                    sl=request.sl or 0.0,
                    tp=request.tp or 0.0,
                    position=request.position or 0,
                )
            )
        spec = self._specs[position.symbol]
        self._check_steps(spec, request, flags)
        loss = -1 if position.type == PositionType.BUY else 1
        base = position.price_open
        return Draft(
            TradeRequest(
                action=request.action,
                magic=request.magic or 0,
                symbol=position.symbol,
                sl=self._level(
                    request.sl, flags & NewFlag.SL_POINTS, spec, base, loss, position.sl
                ),
                tp=self._level(
                    request.tp, flags & NewFlag.TP_POINTS, spec, base, -loss, position.tp
                ),
                position=position.ticket,
            ),
            levels_of(position),
        )

    def _modify(self, request: OrderRequest, flags: int) -> Draft:
        order = self.order(request.order or 0)
        if order is None:
            raise _unseen("order", request.order)
        spec = self._specs[order.symbol]
        self._check_steps(spec, request, flags)
        kind = OrderType(order.type)
        price = order.price_open if request.price is None else request.price
        stoplimit = order.price_stoplimit if request.stoplimit is None else request.stoplimit
        type_time = order.type_time if request.type_time is None else request.type_time
        expiration = request.expiration
        if expiration is None:
            expiration = order.time_expiration if type_time in _SPECIFIED else 0
        base = stoplimit if kind in _STOP_LIMIT else price
        return Draft(
            TradeRequest(
                action=request.action,
                magic=order.magic,
                order=order.ticket,
                symbol=order.symbol,
                price=_rounded(price, spec),
                stoplimit=_rounded(stoplimit, spec),
                sl=self._level(
                    request.sl, flags & NewFlag.SL_POINTS, spec, base, _loss(kind), order.sl
                ),
                tp=self._level(
                    request.tp, flags & NewFlag.TP_POINTS, spec, base, -_loss(kind), order.tp
                ),
                type=order.type,
                type_time=type_time,
                expiration=expiration,
            ),
            values_of(order),
        )

    def _close_by(self, request: OrderRequest, tag: str) -> Draft:
        tickets = (request.position or 0, request.position_by or 0)
        positions = [self.position(ticket) for ticket in tickets]
        first = positions[0]
        return Draft(
            TradeRequest(
                action=request.action,
                magic=(0 if first is None else first.magic)
                if request.magic is None
                else request.magic,
                symbol="" if first is None else first.symbol,
                position=tickets[0],
                position_by=tickets[1],
                comment=tag,
            ),
            tuple(0.0 if position is None else position.volume for position in positions),
        )

    # --- prices ----------------------------------------------------------------------------

    def _price(self, symbol: str, kind: int) -> float:
        # 0 without a quote: the trade server says what it thinks of that.
        tick = self._quote(symbol)
        if tick is None:
            return 0.0
        return tick.ask if kind == OrderType.BUY else tick.bid

    def _level(
        self,
        value: float | None,
        in_points: int,
        spec: SymbolSpec,
        base: float,
        direction: int,
        present: float = 0.0,
    ) -> float:
        # ``direction``: -1 below the price, 1 above.
        if value is None:
            return present
        if not in_points or not value:
            return _rounded(value, spec)
        if not base:
            raise Refused(
                DenyReason.OTHER, f"{spec.name} has no price to count {value:g} points from"
            )
        level = _rounded(base + direction * value * spec.point, spec)
        if level <= 0:
            raise _invalid(
                "sl" if direction == -1 else "tp", f"{value:g} points lead below the price 0"
            )
        return level


def _invalid(field: str, problem: str) -> Refused:
    return Refused(DenyReason.INVALID, f"{field}: {problem}")


def _unseen(what: str, ticket: int | None) -> Refused:
    # A value that is left out is sent as 0, and the trade server would take the old one away.
    return Refused(
        DenyReason.OTHER,
        f"the {what} {ticket or 0} is not open, or cannot be seen yet: "
        "what this request leaves out could not be kept",
    )


def _loss(kind: int) -> int:
    # On which side of the price an order loses.
    return -1 if kind in _BUYS else 1


def _fits(value: float, step: float) -> bool:
    steps = value / step
    return abs(steps - round(steps)) <= _STEP_TOLERANCE + steps * _DOUBLE_NOISE


def _rounded(price: float, spec: SymbolSpec) -> float:
    # To the tick size, which is not always the digits.
    return round(round(price / spec.trade_tick_size) * spec.trade_tick_size, spec.digits)


def _stepped(volume: float, step: float) -> float:
    # 3 * 0.1 is not 0.3: as many decimals as a step can have.
    return round(round(volume / step) * step, 8)


def _filling(spec: SymbolSpec) -> OrderTypeFilling:
    # MQL5 page: constants/tradingconstants/orderproperties, "ENUM_ORDER_TYPE_FILLING"
    if spec.trade_exemode in {SymbolTradeExecution.REQUEST, SymbolTradeExecution.INSTANT}:
        return OrderTypeFilling.FOK
    if spec.filling_mode & SymbolFillingMode.IOC:
        return OrderTypeFilling.IOC
    if spec.filling_mode & SymbolFillingMode.FOK:
        return OrderTypeFilling.FOK
    return OrderTypeFilling.RETURN


def _lifetime(spec: SymbolSpec) -> OrderTypeTime:
    if not spec.expiration_mode & SymbolExpirationMode.GTC and (
        spec.expiration_mode & SymbolExpirationMode.DAY
    ):
        return OrderTypeTime.DAY
    return OrderTypeTime.GTC
