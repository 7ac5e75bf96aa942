"""Requests: what a client can ask, and the errors it can get.

A request is one map. ``Request`` is its envelope; ``PARAMS`` has the model of the
parameters for each method. Unknown fields are refused: a misspelt field of an order
must never be dropped silently.
"""

from __future__ import annotations

import enum
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field, ValidationError

from bridge.bus import orders
from bridge.bus.fields import U64, Alias, Id, Name, Strict, Symbol, TopicName
from bridge.bus.topics import NONCE_PATTERN
from bridge.exceptions import InvalidRequest

__all__ = [
    "BUS_VERSION",
    "CONTROL_PARAMS",
    "DEFAULT_VALID_FOR_MS",
    "PARAMS",
    "TRADING_METHODS",
    "U64",
    "ControlMethod",
    "EmptyParams",
    "ErrorName",
    "Hop",
    "Method",
    "ReplayParams",
    "Request",
    "SnapshotParams",
    "SymbolParams",
    "SymbolsParams",
    "SyncParams",
    "error_map",
    "identity_of",
    "validate_control_params",
    "validate_params",
    "validate_request",
]

BUS_VERSION: Final = 1
DEFAULT_VALID_FOR_MS: Final = 5_000


class Method(enum.StrEnum):
    """
    The methods of the request endpoint.
    """

    PING = "ping"
    STATUS = "status"
    TERMINALS = "terminals"
    SYMBOLS = "symbols"
    SYMBOL = "symbol"
    TICK = "tick"
    SNAPSHOT = "snapshot"
    SYNC = "sync"
    REPLAY = "replay"
    ORDER_SEND = "order_send"
    ORDER_CHECK = "order_check"
    ORDER_MODIFY = "order_modify"
    POSITION_MODIFY = "position_modify"
    POSITION_CLOSE = "position_close"
    POSITION_CLOSE_BY = "position_close_by"
    ORDER_CANCEL = "order_cancel"
    CLOSE_ALL = "close_all"
    ORDER_STATUS = "order_status"
    POSITIONS = "positions"
    ORDERS = "orders"
    ACCOUNT = "account"


#: What may trade: each needs an identity, and ends in a result with an outcome.
TRADING_METHODS: Final = frozenset(
    {
        Method.ORDER_SEND,
        Method.ORDER_MODIFY,
        Method.POSITION_MODIFY,
        Method.POSITION_CLOSE,
        Method.POSITION_CLOSE_BY,
        Method.ORDER_CANCEL,
        Method.CLOSE_ALL,
    }
)


class ControlMethod(enum.StrEnum):
    """
    The methods of the control endpoint; each carries the control token.
    """

    PING = "ping"
    STATUS = "status"
    STOP = "stop"
    HALT = "halt"
    RESUME = "resume"
    ORDER_RESOLVE = "order_resolve"


class Hop(enum.StrEnum):
    """
    Where a request failed.
    """

    CLIENT = "client"
    RELAY = "relay"
    TERMINAL = "terminal"
    TRADE_SERVER = "trade_server"


class ErrorName(enum.StrEnum):
    """
    The codes of error replies.
    """

    INVALID_REQUEST = "INVALID_REQUEST"
    UNKNOWN_METHOD = "UNKNOWN_METHOD"
    UNKNOWN_TERMINAL = "UNKNOWN_TERMINAL"
    TERMINAL_UNAVAILABLE = "TERMINAL_UNAVAILABLE"
    TERMINAL_ERROR = "TERMINAL_ERROR"
    UNKNOWN_SYMBOL = "UNKNOWN_SYMBOL"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    NOT_AVAILABLE = "NOT_AVAILABLE"
    TOO_MANY_REQUESTS = "TOO_MANY_REQUESTS"
    UNSUPPORTED = "UNSUPPORTED"
    NOT_ALLOWED = "NOT_ALLOWED"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    INTERNAL = "INTERNAL"


#: A field's name is the client's own text and comes back in the reply.
_NAME_SHOWN_MAX: Final = 100


class Request(Strict):
    """
    The envelope of every request.
    """

    id: Id = Field(description="comes back in the reply, unchanged; the client's own")
    method: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        description="what is asked; see the methods"
    )
    client_id: Name | None = Field(
        default=None, description="who asks; part of an order's identity, else for logs only"
    )
    terminal: Alias | None = Field(
        default=None, description="alias of the terminal; may be left out when there is only one"
    )
    params: dict[str, Any] = Field(default_factory=dict, description="the parameters of the method")
    client_order_id: Name | None = Field(
        default=None,
        description="the client's name of an order; required by methods that may trade",
    )
    valid_for_ms: Annotated[int, Field(ge=1, le=600_000)] | None = Field(
        default=None,
        description="how long the answer of a terminal is waited for, from the arrival at the relay",
    )
    token: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="the control token; the control endpoint only"
    )


class EmptyParams(Strict):
    """
    No parameters.
    """


class SymbolsParams(Strict):
    """
    A page of the terminal's symbols.
    """

    group: Annotated[str, Field(max_length=255)] = Field(
        default="*",
        description="masks separated by commas, `*` for any text, `!` before one that is left out",
    )
    offset: Annotated[int, Field(ge=0, lt=2**31)] = Field(
        default=0, description="how many symbols of the group to pass over"
    )
    limit: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=500, description="the most symbols in this page"
    )


class SymbolParams(Strict):
    """
    One symbol.
    """

    symbol: Symbol = Field(description="name of the symbol, exactly as the terminal has it")


class SnapshotParams(Strict):
    """
    The state of topics; waits for streams that are just being started.
    """

    topics: Annotated[list[TopicName], Field(min_length=1, max_length=256)] = Field(
        description="names of topics, without the NUL"
    )
    wait_ms: Annotated[int, Field(ge=0, le=60_000)] = Field(
        default=3_000, description="the longest wait for streams that are being started"
    )


class SyncParams(Strict):
    """
    Publish ``sync/<nonce>``.
    """

    nonce: Annotated[str, Field(pattern=f"^{NONCE_PATTERN}$")] = Field(
        description="text that no other client uses, new for every barrier"
    )


class ReplayParams(Strict):
    """
    Messages ``first`` to ``last`` (both included; ``last`` absent: to the newest) of an epoch.
    """

    topic: TopicName = Field(description="name of the topic, without the NUL")
    epoch: Annotated[int, Field(ge=0, lt=2**32)] = Field(description="the epoch that is asked for")
    first: U64 = Field(description="first sequence number wanted")
    last: U64 | None = Field(
        default=None, description="last sequence number wanted; absent: the newest there is"
    )


PARAMS: Final[dict[Method, type[BaseModel]]] = {
    Method.PING: EmptyParams,
    Method.STATUS: EmptyParams,
    Method.TERMINALS: EmptyParams,
    Method.SYMBOLS: SymbolsParams,
    Method.SYMBOL: SymbolParams,
    Method.TICK: SymbolParams,
    Method.SNAPSHOT: SnapshotParams,
    Method.SYNC: SyncParams,
    Method.REPLAY: ReplayParams,
    Method.ORDER_SEND: orders.OrderSendParams,
    Method.ORDER_CHECK: orders.OrderSendParams,
    Method.ORDER_MODIFY: orders.OrderModifyParams,
    Method.POSITION_MODIFY: orders.PositionModifyParams,
    Method.POSITION_CLOSE: orders.PositionCloseParams,
    Method.POSITION_CLOSE_BY: orders.PositionCloseByParams,
    Method.ORDER_CANCEL: orders.OrderCancelParams,
    Method.CLOSE_ALL: orders.CloseAllParams,
    Method.ORDER_STATUS: orders.OrderStatusParams,
    Method.POSITIONS: orders.PositionsParams,
    Method.ORDERS: orders.OrdersParams,
    Method.ACCOUNT: orders.AccountParams,
}
#: Control methods with parameters; the others look at none.
CONTROL_PARAMS: Final[dict[ControlMethod, type[BaseModel]]] = {
    ControlMethod.HALT: orders.HaltParams,
    ControlMethod.RESUME: orders.ResumeParams,
    ControlMethod.ORDER_RESOLVE: orders.OrderResolveParams,
}


def _first_problem(error: ValidationError, prefix: str) -> tuple[str, str]:
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    parts = [str(part)[:_NAME_SHOWN_MAX] for part in problem["loc"]]
    field = ".".join(([prefix] if prefix else []) + parts)
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = "unknown field"
    return field, message[0].lower() + message[1:]


def validate_request(values: Any) -> Request:
    """
    Return the envelope of a decoded request.

    Raises:
        InvalidRequest: a field is missing, unknown, of the wrong type or out of range.
    """
    if not isinstance(values, dict):
        raise InvalidRequest("a request is a map", hint="see docs/reference/bus-protocol.md")
    try:
        return Request.model_validate(values)
    except ValidationError as error:
        field, message = _first_problem(error, "")
        raise InvalidRequest(message, field=field) from None


def validate_params(method: Method, params: dict[str, Any]) -> Any:
    """
    Return the parameter model of a method.

    Raises:
        InvalidRequest: a parameter is missing, unknown, of the wrong type or out of range.
    """
    return _validated(PARAMS[method], params)


def validate_control_params(method: ControlMethod, params: dict[str, Any]) -> Any:
    """
    Return the parameter model of a control method; an ``EmptyParams`` where none is used.

    Raises:
        InvalidRequest: a parameter is missing, unknown, of the wrong type or out of range.
    """
    model = CONTROL_PARAMS.get(method)
    return EmptyParams() if model is None else _validated(model, params)


def _validated(model: type[BaseModel], params: dict[str, Any]) -> Any:
    try:
        return model.model_validate(params)
    except ValidationError as error:
        field, message = _first_problem(error, "params")
        raise InvalidRequest(message, field=field) from None


def identity_of(request: Request) -> tuple[str, str]:
    """
    Return (client_id, client_order_id) of a request of a trading method.

    Raises:
        InvalidRequest: one of them is missing.
    """
    for field in ("client_order_id", "client_id"):
        if getattr(request, field) is None:
            raise InvalidRequest(
                f"required with {request.method}",
                field=field,
                hint="chosen by the client, the same again when it asks again",
            )
    return str(request.client_id), str(request.client_order_id)


def error_map(
    code: str, message: str, *, hop: str = Hop.RELAY, field: str = "", hint: str = ""
) -> dict[str, Any]:
    """
    Return the ``error`` of an error reply.
    """
    return {"code": str(code), "hop": str(hop), "message": message, "field": field, "hint": hint}
