"""The parameters of methods about orders: which fields there are, and which belong together.

A model refuses what cannot be meant: a volume that is not finite, a field that belongs to
another action, a stop loss as price and as points at once. What a broker may see differently
(the volume step, the side of a stop loss) is left to terminal and trade server.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Annotated, Any, Final, Self

from pydantic import ConfigDict, Field, model_validator

from bridge.bus.fields import (
    NAME_PATTERN,
    U64,
    Comment,
    Deviation,
    Expiration,
    Level,
    Name,
    Points,
    Price,
    Strict,
    Symbol,
    Ticket,
    Volume,
    mql5_enumeration,
)
from bridge.exceptions import InvalidRequest
from bridge.model.enums import OrderType, OrderTypeFilling, OrderTypeTime, TradeRequestActions

__all__ = [
    "ACTION_FIELDS",
    "AccountParams",
    "CloseAllParams",
    "HaltParams",
    "OrderCancelParams",
    "OrderModifyParams",
    "OrderResolveParams",
    "OrderSendParams",
    "OrderStatusParams",
    "OrdersParams",
    "PositionCloseByParams",
    "PositionCloseParams",
    "PositionModifyParams",
    "PositionsParams",
    "ResumeParams",
]

_Action = Annotated[TradeRequestActions, *mql5_enumeration(TradeRequestActions)]
_OrderType = Annotated[OrderType, *mql5_enumeration(OrderType)]
_Filling = Annotated[OrderTypeFilling, *mql5_enumeration(OrderTypeFilling)]
_TypeTime = Annotated[OrderTypeTime, *mql5_enumeration(OrderTypeTime)]

_MARKET: Final = frozenset({OrderType.BUY, OrderType.SELL})
_STOP_LIMIT: Final = frozenset({OrderType.BUY_STOP_LIMIT, OrderType.SELL_STOP_LIMIT})
_PENDING: Final = frozenset(OrderType) - _MARKET - {OrderType.CLOSE_BY}
_SPECIFIED: Final = frozenset({OrderTypeTime.SPECIFIED, OrderTypeTime.SPECIFIED_DAY})

_LEVELS: Final = frozenset({"sl", "tp", "sl_points", "tp_points"})
#: For each action the fields it needs and those it may have; every other one is refused.
ACTION_FIELDS: Final[dict[TradeRequestActions, tuple[tuple[str, ...], frozenset[str]]]] = {
    TradeRequestActions.DEAL: (
        ("symbol", "volume", "type"),
        _LEVELS
        | {"magic", "price", "deviation", "type_filling", "type_time", "comment", "position"},
    ),
    TradeRequestActions.PENDING: (
        ("symbol", "volume", "type", "price"),
        _LEVELS | {"magic", "stoplimit", "type_filling", "type_time", "expiration", "comment"},
    ),
    TradeRequestActions.SLTP: (("position",), _LEVELS | {"symbol"}),
    TradeRequestActions.MODIFY: (
        ("order",),
        _LEVELS | {"price", "stoplimit", "type_time", "expiration"},
    ),
    TradeRequestActions.REMOVE: (("order",), frozenset()),
    TradeRequestActions.CLOSE_BY: (("position", "position_by"), frozenset({"magic", "comment"})),
}


# --- what belongs together, as JSON Schema ---------------------------------------------------

_NULL: Final[dict[str, Any]] = {"type": "null"}
_GIVEN: Final[dict[str, Any]] = {"not": _NULL}


def _either(kind: Iterable[IntEnum]) -> dict[str, Any]:
    members = sorted(kind)
    return {"enum": [*(member.name for member in members), *(int(member) for member in members)]}


def _rule(given: Iterable[str] = (), **others: dict[str, Any]) -> dict[str, Any]:
    # Absent and null are the same: a field that is given is there and not null.
    rule: dict[str, Any] = {"properties": {**dict.fromkeys(given, _GIVEN), **others}}
    return {**rule, "required": [*given]} if given else rule


def _excluding(*names: str) -> dict[str, Any]:
    return {"anyOf": [_rule(**{name: _NULL}) for name in names]}


_ONE_FORM_EACH: Final = [_excluding("sl", "sl_points"), _excluding("tp", "tp_points")]
_CHANGES_LEVELS: Final[dict[str, Any]] = {"anyOf": [_rule([name]) for name in sorted(_LEVELS)]}
_CHANGES_ORDER: Final[dict[str, Any]] = {
    "anyOf": [
        _rule([name])
        for name in (*sorted(_LEVELS), "price", "stoplimit", "type_time", "expiration")
    ]
}
_UNLIMITED: Final = frozenset(OrderTypeTime) - _SPECIFIED
_LIFETIME: Final[dict[str, Any]] = {
    "anyOf": [
        _rule(["type_time", "expiration"], type_time=_either(_SPECIFIED)),
        _rule(expiration=_NULL, type_time={"anyOf": [_either(_UNLIMITED), _NULL]}),
    ]
}
_LIFETIME_KEPT: Final[dict[str, Any]] = {"anyOf": [*_LIFETIME["anyOf"], _rule(type_time=_NULL)]}
_STOP_LIMIT_PRICE: Final[dict[str, Any]] = {
    "anyOf": [
        _rule(["stoplimit"], type=_either(_STOP_LIMIT)),
        _rule(type=_either(_PENDING - _STOP_LIMIT), stoplimit=_NULL),
    ]
}
_MARKET_TYPE: Final = _rule(
    type=_either(_MARKET), type_time={"anyOf": [_either(_UNLIMITED), _NULL]}
)
_RULES_OF: Final = {
    TradeRequestActions.DEAL: [_MARKET_TYPE],
    TradeRequestActions.PENDING: [_STOP_LIMIT_PRICE, _LIFETIME],
    TradeRequestActions.SLTP: [_CHANGES_LEVELS],
    TradeRequestActions.MODIFY: [_CHANGES_ORDER, _LIFETIME_KEPT],
}


def _actions_schema(schema: dict[str, Any]) -> None:
    branches = []
    for action, (needed, possible) in ACTION_FIELDS.items():
        foreign = schema["properties"].keys() - possible - {"action", *needed}
        branch = _rule(needed, action=_either([action]), **dict.fromkeys(sorted(foreign), _NULL))
        rules = _RULES_OF.get(action)
        branches.append({**branch, "allOf": rules} if rules else branch)
    schema["oneOf"] = branches
    schema["allOf"] = _ONE_FORM_EACH


# --- models ----------------------------------------------------------------------------------


def _refuse(field: str, message: str) -> InvalidRequest:
    return InvalidRequest(message, field=f"params.{field}")


_StopLoss = Annotated[
    Level | None,
    Field(
        description="stop loss as a price; absent: none on a new order, else kept; 0: removed",
    ),
]
_TakeProfit = Annotated[
    Level | None,
    Field(
        description="take profit as a price; absent: none on a new order, else kept; 0: removed",
    ),
]
_StopLossPoints = Annotated[
    Points | None, Field(description="stop loss as a distance in points; excludes `sl`")
]
_TakeProfitPoints = Annotated[
    Points | None, Field(description="take profit as a distance in points; excludes `tp`")
]


class _Levels(Strict):
    """
    Stop loss and take profit: as a price or as points, never both.
    """

    @model_validator(mode="after")
    def _one_form_each(self) -> Self:
        for name in ("sl", "tp"):
            if getattr(self, name) is not None and getattr(self, f"{name}_points") is not None:
                raise _refuse(f"{name}_points", f"excludes {name}: give one of the two")
        return self

    def _says_nothing(self, *names: str) -> bool:
        return all(getattr(self, name) is None for name in (*_LEVELS, *names))


def _check_lifetime(type_time: OrderTypeTime | None, expiration: int | None) -> None:
    if type_time in _SPECIFIED and expiration is None:
        raise _refuse("expiration", "required with type_time SPECIFIED and SPECIFIED_DAY")
    if type_time is not None and type_time not in _SPECIFIED and expiration is not None:
        raise _refuse("expiration", "only with type_time SPECIFIED and SPECIFIED_DAY")


class OrderSendParams(_Levels):
    """
    A trade request: the fields that its action has.
    """

    model_config = ConfigDict(json_schema_extra=_actions_schema)

    action: _Action = Field(description="what is asked for: ENUM_TRADE_REQUEST_ACTIONS")
    magic: U64 | None = Field(default=None, description="the strategy's number at the broker")
    order: Ticket | None = Field(default=None, description="ticket of the pending order")
    symbol: Symbol | None = Field(
        default=None, description="name of the symbol, exactly as the terminal has it"
    )
    volume: Volume | None = Field(default=None, description="lots")
    price: Price | None = Field(
        default=None, description="absent with DEAL: the price at the moment of sending"
    )
    stoplimit: Price | None = Field(
        default=None, description="price of the limit order that a stop-limit order places"
    )
    sl: _StopLoss = None
    tp: _TakeProfit = None
    sl_points: _StopLossPoints = None
    tp_points: _TakeProfitPoints = None
    deviation: Deviation | None = Field(
        default=None, description="the most points that the price may be worse"
    )
    type: _OrderType | None = Field(default=None, description="ENUM_ORDER_TYPE")
    type_filling: _Filling | None = Field(
        default=None, description="ENUM_ORDER_TYPE_FILLING; absent: the terminal chooses"
    )
    type_time: _TypeTime | None = Field(
        default=None,
        description="ENUM_ORDER_TYPE_TIME; absent: the terminal chooses, a changed order keeps its own",
    )
    expiration: Expiration | None = Field(
        default=None, description="when the order ends: seconds since 1970, trade server's clock"
    )
    comment: Comment | None = Field(
        default=None, description="the user's own; kept by the relay, not sent to the broker"
    )
    position: Ticket | None = Field(default=None, description="ticket of the position")
    position_by: Ticket | None = Field(
        default=None, description="ticket of the opposite position, for CLOSE_BY"
    )

    @model_validator(mode="after")
    def _fits_the_action(self) -> Self:
        needed, possible = ACTION_FIELDS[self.action]
        for name in type(self).model_fields:
            given = getattr(self, name) is not None
            if name in needed and not given:
                raise _refuse(name, f"field required with action {self.action.name}")
            if given and name != "action" and name not in needed and name not in possible:
                raise _refuse(name, f"not a field of action {self.action.name}")
        match self.action:
            case TradeRequestActions.DEAL:
                self._check_deal()
            case TradeRequestActions.PENDING:
                self._check_pending()
            case TradeRequestActions.SLTP:
                _check_changes_levels(self)
            case TradeRequestActions.MODIFY:
                _check_changes_order(self)
            case TradeRequestActions.CLOSE_BY:
                _check_two_positions(self)
        return self

    def _check_deal(self) -> None:
        if self.type not in _MARKET:
            raise _refuse("type", "must be BUY or SELL with action DEAL")
        if self.type_time in _SPECIFIED:
            raise _refuse("type_time", "must be GTC or DAY with action DEAL")

    def _check_pending(self) -> None:
        if self.type not in _PENDING:
            names = ", ".join(kind.name for kind in sorted(_PENDING))
            raise _refuse("type", f"must be one of {names} with action PENDING")
        if self.type in _STOP_LIMIT and self.stoplimit is None:
            raise _refuse("stoplimit", "field required with stop-limit orders")
        if self.type not in _STOP_LIMIT and self.stoplimit is not None:
            raise _refuse("stoplimit", "only with stop-limit orders")
        if self.type_time is None and self.expiration is not None:
            raise _refuse("expiration", "only with type_time SPECIFIED and SPECIFIED_DAY")
        _check_lifetime(self.type_time, self.expiration)


class OrderModifyParams(_Levels):
    """
    What is changed of a pending order; what is not given is kept.
    """

    model_config = ConfigDict(
        json_schema_extra={"allOf": [*_ONE_FORM_EACH, _CHANGES_ORDER, _LIFETIME_KEPT]}
    )

    order: Ticket = Field(description="ticket of the pending order")
    price: Price | None = Field(default=None, description="absent: kept")
    stoplimit: Price | None = Field(
        default=None, description="limit price of a stop-limit order; absent: kept"
    )
    sl: _StopLoss = None
    tp: _TakeProfit = None
    sl_points: _StopLossPoints = None
    tp_points: _TakeProfitPoints = None
    type_time: _TypeTime | None = Field(
        default=None, description="ENUM_ORDER_TYPE_TIME; absent: kept"
    )
    expiration: Expiration | None = Field(
        default=None, description="seconds since 1970, trade server's clock; absent: kept"
    )

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        _check_changes_order(self)
        return self


class PositionModifyParams(_Levels):
    """
    Stop loss and take profit of a position.
    """

    model_config = ConfigDict(json_schema_extra={"allOf": [*_ONE_FORM_EACH, _CHANGES_LEVELS]})

    position: Ticket = Field(description="ticket of the position")
    sl: _StopLoss = None
    tp: _TakeProfit = None
    sl_points: _StopLossPoints = None
    tp_points: _TakeProfitPoints = None

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        _check_changes_levels(self)
        return self


class PositionCloseParams(Strict):
    """
    A position, or a part of it; never more than is open.
    """

    position: Ticket = Field(description="ticket of the position")
    volume: Volume | None = Field(default=None, description="lots; absent: all that is open")
    deviation: Deviation | None = Field(
        default=None, description="the most points that the price may be worse"
    )
    comment: Comment | None = Field(
        default=None, description="the user's own; kept by the relay, not sent to the broker"
    )


class PositionCloseByParams(Strict):
    """
    Two opposite positions of one symbol (hedging accounts).
    """

    position: Ticket = Field(description="ticket of the position")
    position_by: Ticket = Field(description="ticket of the opposite position")

    @model_validator(mode="after")
    def _two_positions(self) -> Self:
        _check_two_positions(self)
        return self


class OrderCancelParams(Strict):
    """
    A pending order.
    """

    order: Ticket = Field(description="ticket of the pending order")


class CloseAllParams(Strict):
    """
    Which positions are closed and which pending orders are cancelled.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [_rule(positions={"const": True}), _rule(["orders"], orders={"const": True})]
        }
    )

    symbol: Symbol | None = Field(default=None, description="only of this symbol")
    magic: U64 | None = Field(default=None, description="only with this number")
    positions: bool = Field(default=True, description="close positions")
    orders: bool = Field(default=False, description="cancel pending orders")
    deviation: Deviation | None = Field(
        default=None, description="the most points that a price may be worse"
    )

    @model_validator(mode="after")
    def _closes_something(self) -> Self:
        if not self.positions and not self.orders:
            raise _refuse("positions", "nothing is asked for: positions and orders are false")
        return self


_COMMAND_ID: Final = rf"^{NAME_PATTERN}/{NAME_PATTERN}(/[1-9][0-9]{{0,19}}(-order)?)?$"
_CommandId = Annotated[str, Field(pattern=_COMMAND_ID)]


class OrderStatusParams(Strict):
    """
    Which command: by the client's names, or by the id of the journal.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [_rule(command_id=_NULL), _rule(client_id=_NULL, client_order_id=_NULL)]
        }
    )

    client_id: Name | None = Field(default=None, description="absent: the one of the envelope")
    client_order_id: Name | None = Field(
        default=None, description="absent: the one of the envelope"
    )
    command_id: _CommandId | None = Field(
        default=None,
        description="`client_id/client_order_id`, for a part of `close_all` with `/ticket`; "
        "excludes the other two",
    )

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if self.command_id is not None:
            for name in ("client_id", "client_order_id"):
                if getattr(self, name) is not None:
                    raise _refuse(name, "excluded by command_id: give one of the two")
        return self


class OrderResolveParams(Strict):
    """
    What a person found out about a command whose outcome is UNKNOWN.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [_rule(executed={"const": True}), _rule(order=_NULL, deal=_NULL)]
        }
    )

    command_id: _CommandId = Field(description="`client_id/client_order_id`, or with `/ticket`")
    executed: bool = Field(description="whether the trade server executed it")
    evidence: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f]+$")] = (
        Field(description="how this is known; kept for ever with who said it")
    )
    order: Ticket | None = Field(default=None, description="ticket of the order, with executed")
    deal: Ticket | None = Field(default=None, description="ticket of the deal, with executed")

    @model_validator(mode="after")
    def _tickets_of_what_happened(self) -> Self:
        for name in ("order", "deal"):
            if not self.executed and getattr(self, name) is not None:
                raise _refuse(name, "only with executed true")
        return self


class HaltParams(Strict):
    """
    Stop trading: of the terminal of the envelope, without one of all.
    """

    reducing: bool = Field(
        default=False, description="true: closes, cancels and stop losses still pass (REDUCING)"
    )
    reason: Annotated[str, Field(max_length=256, pattern=r"^[^\x00-\x1f]*$")] = Field(
        default="", description="for people; comes back with every order that is denied"
    )


class ResumeParams(Strict):
    """
    Trade again: the terminal of the envelope, without one all.
    """


class _Selection(Strict):
    """
    Which positions or orders are read.
    """

    symbol: Symbol | None = Field(default=None, description="only of this symbol")
    magic: U64 | None = Field(default=None, description="only with this number")
    ticket: Ticket | None = Field(default=None, description="only the one of this ticket")


class PositionsParams(_Selection):
    """
    Which positions are read; without parameters all.
    """


class OrdersParams(_Selection):
    """
    Which pending orders are read; without parameters all.
    """


class AccountParams(Strict):
    """
    No parameters.
    """


def _check_changes_levels(params: OrderSendParams | PositionModifyParams) -> None:
    if params._says_nothing():  # noqa: SLF001 - the same module's own model
        raise _refuse("sl", "nothing to change: give sl, tp, sl_points or tp_points")


def _check_changes_order(params: OrderSendParams | OrderModifyParams) -> None:
    if params._says_nothing("price", "stoplimit", "type_time", "expiration"):  # noqa: SLF001 - the same module's own model
        raise _refuse("price", "nothing to change: every field but order is absent")
    _check_lifetime(params.type_time, params.expiration)


def _check_two_positions(params: OrderSendParams | PositionCloseByParams) -> None:
    if params.position == params.position_by:
        raise _refuse("position_by", "must be another position")
