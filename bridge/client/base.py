"""What both shells share: the checked arguments, the engine, the flows."""

from __future__ import annotations

import math
import os
import re
import secrets
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from bridge.bus.topics import ALIAS_PATTERN
from bridge.client.core import Item
from bridge.client.engine import Engine, StreamHandle
from bridge.client.flows import Calls
from bridge.client.replies import host_of
from bridge.client.stream import StreamCore
from bridge.exceptions import InvalidRequest

__all__ = ["BUFFER", "ENDPOINT", "TIMEOUT_S", "Opening", "Parts", "check_buffer", "check_timeout"]

T = TypeVar("T")

ENDPOINT: Final = "tcp://127.0.0.1:5556"
TIMEOUT_S: Final = 5.0
#: Items that wait for an iterator before the engine stops reading; a tick takes about 170
#: bytes there, and a hundred thousand more fit into ZeroMQ's queue behind it.
BUFFER: Final = 10_000
_BUFFER_MAX: Final = 1_000_000
_TIMEOUT_MAX_S: Final = 86_400.0
_CLIENT_ID_MAX: Final = 64


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
        if client_id is None:
            client_id = f"python-{os.getpid()}-{secrets.token_hex(4)}"
        elif not 0 < len(client_id) <= _CLIENT_ID_MAX:
            raise InvalidRequest(f"1 to {_CLIENT_ID_MAX} characters", field="client_id")
        self.endpoint = endpoint
        self.client_id = client_id
        self.timeout = check_timeout(timeout)
        self.engine = Engine(endpoint, client_id)
        self.calls = Calls(terminal)

    def open(self, topics: Sequence[str], buffer: int, *, wait: bool) -> StreamHandle:
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
        )
        return self.engine.open(core, buffer)


class Opening(Generic[T]):
    """
    What a stream was asked for.
    """

    def __init__(
        self, what: Sequence[str], decode: Callable[[Item], T | None], timeout: float | None
    ) -> None:
        self.what = ", ".join(what)
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
