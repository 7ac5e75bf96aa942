"""Orders on the bus: outcomes, reasons, the result map.

The models of the parameters are in ``order_params`` and can be imported from here as well.

``command_of`` turns validated parameters into what a terminal is asked to do.
"""

from __future__ import annotations

import enum
from typing import Any, Final

from bridge.bus.fields import Strict
from bridge.bus.order_params import (
    AccountParams,
    CloseAllParams,
    HaltParams,
    OrderCancelParams,
    OrderModifyParams,
    OrderResolveParams,
    OrderSendParams,
    OrdersParams,
    OrderStatusParams,
    PositionCloseByParams,
    PositionCloseParams,
    PositionModifyParams,
    PositionsParams,
    ResumeParams,
)
from bridge.exceptions import InvalidRequest
from bridge.model.command import OrderCommand, OrderValues
from bridge.model.enums import TradeRequestActions

__all__ = [
    "RESULT_DEFAULTS",
    "RESULT_FIELDS",
    "STATUS_DEFAULTS",
    "STEP_DEFAULTS",
    "AccountParams",
    "CloseAllParams",
    "HaltParams",
    "LifeStep",
    "OrderCancelParams",
    "OrderModifyParams",
    "OrderResolveParams",
    "OrderSendParams",
    "OrderStatusParams",
    "OrdersParams",
    "Outcome",
    "PositionCloseByParams",
    "PositionCloseParams",
    "PositionModifyParams",
    "PositionsParams",
    "Reason",
    "ResumeParams",
    "cancel_command",
    "close_command",
    "command_id",
    "command_of",
    "order_result",
    "status_command_id",
]


class Outcome(enum.StrEnum):
    """
    How a trading request ended, or that nobody knows yet.
    """

    DONE = "DONE"
    PARTIAL = "PARTIAL"
    PLACED = "PLACED"
    REJECTED = "REJECTED"
    DENIED = "DENIED"
    UNKNOWN = "UNKNOWN"


class Reason(enum.StrEnum):
    """
    Why an outcome is DENIED, or REJECTED without a return code of the trade server.
    """

    TRADING_DISABLED = "TRADING_DISABLED"
    SYMBOL_NOT_ALLOWED = "SYMBOL_NOT_ALLOWED"
    VOLUME_LIMIT = "VOLUME_LIMIT"
    POSITION_LIMIT = "POSITION_LIMIT"
    RATE_LIMIT = "RATE_LIMIT"
    STALE_PRICE = "STALE_PRICE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"
    NOT_CONNECTED = "NOT_CONNECTED"
    NOT_PERMITTED = "NOT_PERMITTED"
    TERMINAL_AWAY = "TERMINAL_AWAY"
    TERMINAL_BUSY = "TERMINAL_BUSY"
    UNRESOLVED = "UNRESOLVED"
    DIVERGED = "DIVERGED"
    JOURNAL = "JOURNAL"
    EXPIRED = "EXPIRED"
    INVALID = "INVALID"
    NOTHING_TO_CLOSE = "NOTHING_TO_CLOSE"
    WRONG_ACCOUNT = "WRONG_ACCOUNT"
    WRONG_INCARNATION = "WRONG_INCARNATION"
    STALE_RELAY = "STALE_RELAY"
    NOT_DURABLE = "NOT_DURABLE"
    READ_ONLY = "READ_ONLY"
    DEMO_ONLY = "DEMO_ONLY"
    ROLE = "ROLE"
    TOO_MANY = "TOO_MANY"
    NOT_EXECUTED = "NOT_EXECUTED"
    OTHER = "OTHER"


class LifeStep(enum.StrEnum):
    """
    What a step in the life of a command was.
    """

    RESERVED = "RESERVED"
    SENT = "SENT"
    NOT_SENT = "NOT_SENT"
    ASKED = "ASKED"
    RESULT = "RESULT"
    NOTICED = "NOTICED"
    LINK_LOST = "LINK_LOST"
    RESTORED = "RESTORED"
    PARTS = "PARTS"
    RESOLVED = "RESOLVED"
    LEFT_OUT = "LEFT_OUT"


#: The result of a trading method: every field in its order, with what it is when nothing is
#: known. Also the result of ``order_status`` and the record of an ``ORDER_LIFE`` event.
RESULT_DEFAULTS: Final[dict[str, Any]] = {
    "outcome": Outcome.UNKNOWN.value,
    "final": False,
    "reason": "",
    "hop": "",
    "message": "",
    "field": "",
    "hint": "",
    "command_id": "",
    "client_order_id": "",
    "replayed": False,
    "retcode": 0,
    "retcode_name": "",
    "retcode_external": 0,
    "order": 0,
    "deal": 0,
    "position": 0,
    "deals": (),
    "volume": 0.0,
    "price": 0.0,
    "bid": 0.0,
    "ask": 0.0,
    "comment": "",
    "broker_comment": "",
    "tag": "",
    "request_id": 0,
    "time_msc": 0,
    "utc_offset_min": 0,
    "evidence": "",
    "corrected": False,
    "error": 0,
    "children": (),
}
RESULT_FIELDS: Final = tuple(RESULT_DEFAULTS)
#: What the result of ``order_status`` has besides.
STATUS_DEFAULTS: Final[dict[str, Any]] = {"waiting_for": "", "advice": "", "life": ()}
#: A step of ``life``.
STEP_DEFAULTS: Final[dict[str, Any]] = {
    "step": "",
    "time_utc_msc": 0,
    "relay_epoch": 0,
    "relay_us": 0,
    "said": "",
    "evidence": "",
    "retcode": 0,
    "retcode_name": "",
    "order": 0,
    "deal": 0,
    "volume": 0.0,
    "text": "",
    "who": "",
    "changed": False,
    "corrected": False,
    "times": 1,
    "last_utc_msc": 0,
}


def order_result(**known: Any) -> dict[str, Any]:
    """
    Return a result map: what is known, and the defaults for the rest, in the fields' order.

    Raises:
        TypeError: there is no such field.
    """
    unknown = known.keys() - RESULT_DEFAULTS.keys()
    if unknown:
        raise TypeError(f"a result has no field {', '.join(sorted(unknown))}")
    result = {**RESULT_DEFAULTS, **known}
    result["deals"] = list(result["deals"])
    result["children"] = list(result["children"])
    return result


# --- identity ------------------------------------------------------------------------------


def command_id(client_id: str, client_order_id: str, part: int | str | None = None) -> str:
    """
    Return the name of a command for ever; with a ticket that of a part of ``close_all``.
    """
    name = f"{client_id}/{client_order_id}"
    return name if part is None else f"{name}/{part}"


def status_command_id(
    params: OrderStatusParams, client_id: str | None, client_order_id: str | None
) -> str:
    """
    Return which command ``order_status`` asks for; the envelope's names fill in.

    Raises:
        InvalidRequest: neither names a command.
    """
    if params.command_id is not None:
        return params.command_id
    client_id = params.client_id or client_id
    client_order_id = params.client_order_id or client_order_id
    if client_order_id is None:
        raise InvalidRequest("give client_order_id or command_id", field="params.client_order_id")
    if client_id is None:
        raise InvalidRequest("give client_id or command_id", field="params.client_id")
    return command_id(client_id, client_order_id)


# --- what the terminal is asked to do --------------------------------------------------------


def close_command(
    position: int,
    *,
    volume: float | None = None,
    deviation: int | None = None,
    comment: str | None = None,
) -> OrderCommand:
    """
    Return the command that closes a position.

    Symbol, side and magic are not given: the terminal reads them, and what is open, just
    before it sends (REDUCE_ONLY).
    """
    return OrderCommand(
        values=OrderValues(
            action=int(TradeRequestActions.DEAL),
            volume=volume,
            deviation=deviation,
            position=position,
        ),
        reduce_only=True,
        comment=comment or "",
    )


def cancel_command(order: int) -> OrderCommand:
    """
    Return the command that cancels a pending order.
    """
    return OrderCommand(values=OrderValues(action=int(TradeRequestActions.REMOVE), order=order))


def _number(value: enum.IntEnum | None) -> int | None:
    return None if value is None else int(value)


def _levels(
    params: OrderSendParams | OrderModifyParams | PositionModifyParams,
) -> tuple[float | None, float | None]:
    sl = params.sl if params.sl_points is None else float(params.sl_points)
    tp = params.tp if params.tp_points is None else float(params.tp_points)
    return sl, tp


def _command_of_send(params: OrderSendParams) -> OrderCommand:
    sl, tp = _levels(params)
    deal = params.action == TradeRequestActions.DEAL
    return OrderCommand(
        values=OrderValues(
            action=int(params.action),
            magic=params.magic,
            order=params.order,
            symbol=params.symbol,
            volume=params.volume,
            price=params.price,
            stoplimit=params.stoplimit,
            sl=sl,
            tp=tp,
            deviation=params.deviation,
            type=_number(params.type),
            type_filling=_number(params.type_filling),
            type_time=_number(params.type_time),
            expiration=params.expiration,
            position=params.position,
            position_by=params.position_by,
        ),
        # A deal that names a position means to close it: it must never open the reverse.
        reduce_only=deal and params.position is not None,
        sl_points=params.sl_points is not None,
        tp_points=params.tp_points is not None,
        comment=params.comment or "",
    )


def _command_of_modify(params: OrderModifyParams | PositionModifyParams) -> OrderCommand:
    sl, tp = _levels(params)
    if isinstance(params, OrderModifyParams):
        values = OrderValues(
            action=int(TradeRequestActions.MODIFY),
            order=params.order,
            price=params.price,
            stoplimit=params.stoplimit,
            sl=sl,
            tp=tp,
            type_time=_number(params.type_time),
            expiration=params.expiration,
        )
    else:
        values = OrderValues(
            action=int(TradeRequestActions.SLTP), sl=sl, tp=tp, position=params.position
        )
    return OrderCommand(
        values=values,
        sl_points=params.sl_points is not None,
        tp_points=params.tp_points is not None,
    )


def command_of(params: Strict) -> OrderCommand:
    """
    Return what the parameters of a trading method ask of a terminal.

    ``close_all`` is no command: the relay makes one of each position and order, with
    ``close_command`` and ``cancel_command``.

    Raises:
        TypeError: these are not the parameters of a method that sends one command.
    """
    match params:
        case OrderSendParams():
            return _command_of_send(params)
        case OrderModifyParams() | PositionModifyParams():
            return _command_of_modify(params)
        case PositionCloseParams():
            return close_command(
                params.position,
                volume=params.volume,
                deviation=params.deviation,
                comment=params.comment,
            )
        case PositionCloseByParams():
            values = OrderValues(
                action=int(TradeRequestActions.CLOSE_BY),
                position=params.position,
                position_by=params.position_by,
            )
            return OrderCommand(values=values)
        case OrderCancelParams():
            return cancel_command(params.order)
        case _:
            raise TypeError(f"{type(params).__name__} is no single command")
