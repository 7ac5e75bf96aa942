"""Requests: what a client can ask, and the errors it can get.

A request is one map. ``Request`` is its envelope; ``PARAMS`` has the model of the
parameters for each method. Unknown fields are refused: a misspelt field of an order
must never be dropped silently.
"""

from __future__ import annotations

import enum
import re
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
)

from bridge.bus.topics import ALIAS_PATTERN, NONCE_PATTERN, TOPIC_MAX
from bridge.exceptions import InvalidRequest

__all__ = [
    "BUS_VERSION",
    "DEFAULT_VALID_FOR_MS",
    "PARAMS",
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


class ControlMethod(enum.StrEnum):
    """
    The methods of the control endpoint; each carries the control token.
    """

    PING = "ping"
    STATUS = "status"
    STOP = "stop"


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


_ID_MAX: Final = 64
_U64_MAX: Final = 2**64 - 1
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,19}")
#: A field's name is the client's own text and comes back in the reply.
_NAME_SHOWN_MAX: Final = 100


def _check_id(value: Any) -> Any:
    if isinstance(value, str):
        ok = 0 < len(value) <= _ID_MAX
    else:
        ok = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
    if not ok:
        raise ValueError("must be a text of 1 to 64 characters or an integer from 0 to 2^63-1")
    return value


def _check_u64(value: Any) -> Any:
    # A JSON client whose numbers are doubles sends what is beyond 2^53 as text.
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _U64_MAX:
        raise ValueError("must be an integer from 0 to 2^64-1, or the same as decimal text")
    return value


# The checks stand in front of the type, so that one field has one message.
_Id = Annotated[
    str | int,
    BeforeValidator(_check_id),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1, "maxLength": _ID_MAX},
                {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
            ]
        }
    ),
]
U64 = Annotated[
    int,
    BeforeValidator(_check_u64),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": _U64_MAX},
                {"type": "string", "pattern": f"^({_DECIMAL.pattern})$"},
            ]
        }
    ),
]
#: Both parts of an order's identity. ASCII, so that both and a ticket fit into a COMMAND id of
#: the wire protocol; no slash, because that is what joins them there.
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")]
_Alias = Annotated[str, Field(pattern=f"^{ALIAS_PATTERN}$")]
_Symbol = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f]+$")]
_TopicName = Annotated[str, Field(min_length=1, max_length=TOPIC_MAX, pattern=r"^[^\x00]+$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Request(_Strict):
    """
    The envelope of every request.
    """

    id: _Id = Field(description="comes back in the reply, unchanged; the client's own")
    method: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        description="what is asked; see the methods"
    )
    client_id: _Name | None = Field(
        default=None, description="who asks; part of an order's identity, else for logs only"
    )
    terminal: _Alias | None = Field(
        default=None, description="alias of the terminal; may be left out when there is only one"
    )
    params: dict[str, Any] = Field(default_factory=dict, description="the parameters of the method")
    client_order_id: _Name | None = Field(
        default=None, description="reserved for orders: the client's name of an order"
    )
    valid_for_ms: Annotated[int, Field(ge=1, le=600_000)] | None = Field(
        default=None,
        description="how long the answer of a terminal is waited for, from the arrival at the relay",
    )
    token: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="the control token; the control endpoint only"
    )


class EmptyParams(_Strict):
    """
    No parameters.
    """


class SymbolsParams(_Strict):
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


class SymbolParams(_Strict):
    """
    One symbol.
    """

    symbol: _Symbol = Field(description="name of the symbol, exactly as the terminal has it")


class SnapshotParams(_Strict):
    """
    The state of topics; waits for streams that are just being started.
    """

    topics: Annotated[list[_TopicName], Field(min_length=1, max_length=256)] = Field(
        description="names of topics, without the NUL"
    )
    wait_ms: Annotated[int, Field(ge=0, le=60_000)] = Field(
        default=3_000, description="the longest wait for streams that are being started"
    )


class SyncParams(_Strict):
    """
    Publish ``sync/<nonce>``.
    """

    nonce: Annotated[str, Field(pattern=f"^{NONCE_PATTERN}$")] = Field(
        description="text that no other client uses, new for every barrier"
    )


class ReplayParams(_Strict):
    """
    Messages ``first`` to ``last`` (both included; ``last`` absent: to the newest) of an epoch.
    """

    topic: _TopicName = Field(description="name of the topic, without the NUL")
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
    try:
        return PARAMS[method].model_validate(params)
    except ValidationError as error:
        field, message = _first_problem(error, "params")
        raise InvalidRequest(message, field=field) from None


def error_map(
    code: str, message: str, *, hop: str = Hop.RELAY, field: str = "", hint: str = ""
) -> dict[str, Any]:
    """
    Return the ``error`` of an error reply.
    """
    return {"code": str(code), "hop": str(hop), "message": message, "field": field, "hint": hint}
