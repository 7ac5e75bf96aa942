"""What both shells share: the checked arguments, the engine, the flows."""

from __future__ import annotations

import math
import os
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeAlias, TypeVar

from bridge.bus.requests import Method
from bridge.bus.topics import ALIAS_PATTERN
from bridge.client.core import Item
from bridge.client.engine import Engine, StreamHandle
from bridge.client.flows import Calls, Flow
from bridge.client.orders import OrderCalls, check_identity, params_of
from bridge.client.replies import host_of
from bridge.client.stream import StreamCore
from bridge.client.trade import OrderResult
from bridge.exceptions import InvalidRequest
from bridge.model.enums import OrderType, OrderTypeFilling, OrderTypeTime, TradeRequestActions

__all__ = [
    "BUFFER",
    "ENDPOINT",
    "TIMEOUT_S",
    "Action",
    "Filling",
    "Opening",
    "Parts",
    "TypeOfOrder",
    "TypeTime",
    "check_buffer",
    "check_timeout",
]

T = TypeVar("T")

#: What takes a member of an enumeration of MQL5 also takes its name and its number.
Action: TypeAlias = TradeRequestActions | str | int
TypeOfOrder: TypeAlias = OrderType | str | int
Filling: TypeAlias = OrderTypeFilling | str | int
TypeTime: TypeAlias = OrderTypeTime | str | int

ENDPOINT: Final = "tcp://127.0.0.1:5556"
TIMEOUT_S: Final = 5.0
#: Items that wait for an iterator before the engine stops reading; a tick takes about 170
#: bytes there, and a hundred thousand more fit into ZeroMQ's queue behind it.
BUFFER: Final = 10_000
_BUFFER_MAX: Final = 1_000_000
_TIMEOUT_MAX_S: Final = 86_400.0


class Parts:
    """
    The engine and the flows of one client.

    Raises:
        InvalidRequest: an argument is malformed or out of range.
    """

    def __init__(
        self, endpoint: str, terminal: str | None, timeout: float, client_id: str | None
    ) -> None:
        host_of(endpoint)
        if terminal is not None and not re.fullmatch(ALIAS_PATTERN, terminal):
            raise InvalidRequest(
                f"{terminal!r} is not an alias", field="terminal", hint="for example 'demo'"
            )
        if client_id is not None:
            check_identity(client_id, "client_id")
        self.endpoint = endpoint
        self.client_id = client_id or f"python-{os.getpid()}-{secrets.token_hex(4)}"
        self.timeout = check_timeout(timeout)
        self.engine = Engine(endpoint, self.client_id)
        self.calls = Calls(terminal)
        # A made-up name is another one after a restart: not good enough for orders.
        self.orders = OrderCalls(self.calls, client_id)

    def open(
        self, topics: Sequence[str], buffer: int, *, wait: bool, current: bool = True
    ) -> StreamHandle:
        """
        Start a stream of these topics.

        Raises:
            InvalidRequest: a name is no topic, or the client is closed.
        """
        core = StreamCore(
            topics,
            endpoint=self.endpoint,
            nonce=secrets.token_hex(12),
            timeout_s=self.timeout,
            wait=wait,
            current=current,
        )
        return self.engine.open(core, buffer)

    def trade(
        self, method: Method, arguments: Mapping[str, Any]
    ) -> tuple[Flow[OrderResult], float | None]:
        """
        Return the flow of a trading call, and how long it may take: all its arguments at once.

        Raises:
            InvalidRequest: ``timeout`` is wrong.
        """
        timeout = arguments["timeout"]
        flow = self.orders.trade(
            method,
            arguments["client_order_id"],
            params_of(arguments),
            raise_on_reject=arguments["raise_on_reject"],
        )
        return flow, None if timeout is None else check_timeout(timeout)


class Opening(Generic[T]):
    """
    What a stream was asked for: ``what``, in words, is missing when nothing comes.
    """

    def __init__(
        self,
        what: str,
        decode: Callable[[Item], T | None],
        timeout: float | None,
        *,
        current: bool = True,
    ) -> None:
        self.what = what
        self.current = current
        self.decode = decode
        self.timeout = None if timeout is None else check_timeout(timeout)


def check_timeout(timeout: float) -> float:
    """
    Return a time in seconds.

    Raises:
        InvalidRequest: it is not a positive number of at most a day.
    """
    if not isinstance(timeout, int | float) or not math.isfinite(timeout):
        raise InvalidRequest(f"{timeout!r} is not a number of seconds", field="timeout")
    if not 0 < timeout <= _TIMEOUT_MAX_S:
        raise InvalidRequest(
            f"{timeout!r} is not between 0 and {_TIMEOUT_MAX_S:g} seconds", field="timeout"
        )
    return float(timeout)


def check_buffer(buffer: int) -> int:
    """
    Return a number of items.

    Raises:
        InvalidRequest: it is not a whole number from 1 to a million.
    """
    if type(buffer) is not int or not 0 < buffer <= _BUFFER_MAX:
        raise InvalidRequest(f"{buffer!r} is not between 1 and {_BUFFER_MAX}", field="buffer")
    return buffer
