"""Every exception the bridge raises on purpose.

BridgeError
├── ConfigError                 a setting is missing, unknown or out of range
├── DataFolderInUse             another relay owns this data folder
├── EndpointInUse               a port is taken by another program
├── TickFileError               a tick file has a line that cannot be read
├── JournalError                the journal of orders cannot be trusted, or cannot be written
├── ProtocolError
│   ├── LocalProtocolError      this program broke the protocol: a defect here
│   └── RemoteProtocolError     the peer broke the protocol: it is cut
└── RequestError                a request of a client did not succeed
    ├── InvalidRequest          the request itself is wrong; ``field`` says where
    ├── RelayUnreachable        nothing answers at the relay's endpoint
    ├── TerminalUnavailable     the relay answers, the terminal is away
    ├── UnknownSymbol           the terminal has no such symbol
    ├── DeadlineExceeded        no answer within the deadline
    ├── NotAvailable            asked for something that is no longer held
    ├── OrderError              an order is not done; ``result`` is all that is known
    │   ├── OrderRejected       the terminal or the trade server refused it
    │   ├── OrderDenied         the bridge refused it; it reached no broker
    │   └── OrderUnknown        it may have been executed: ask ``order_status``
    └── RequestRefused          any other error reply; see ``code``

Facts are attributes; the sentence is built from them. Texts are lower case,
without a full stop, and name the failing hop and what to do.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "BridgeError",
    "ConfigError",
    "DataFolderInUse",
    "DeadlineExceeded",
    "EndpointInUse",
    "InvalidRequest",
    "JournalError",
    "LocalProtocolError",
    "NotAvailable",
    "OrderDenied",
    "OrderError",
    "OrderRejected",
    "OrderUnknown",
    "ProtocolError",
    "RelayUnreachable",
    "RemoteProtocolError",
    "RequestError",
    "RequestRefused",
    "TerminalUnavailable",
    "TickFileError",
    "UnknownSymbol",
]


class BridgeError(Exception):
    """
    Base of all exceptions of the bridge.
    """


class ConfigError(BridgeError):
    """
    A setting is missing, unknown, malformed or refused.

    ``source`` is the file, environment variable or flag; ``key`` the dotted
    name of the setting; ``hint`` what to do.
    """

    def __init__(self, problem: str, *, source: str = "", key: str = "", hint: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.source = source
        self.key = key
        self.hint = hint

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.source, self.key) if part)
        text = f"{where}: {self.problem}" if where else self.problem
        return f"{text} ({self.hint})" if self.hint else text


class DataFolderInUse(BridgeError):
    """
    Another relay holds the lock of this data folder.
    """

    def __init__(self, folder: str, pid: int | None = None) -> None:
        super().__init__(folder, pid)
        self.folder = folder
        self.pid = pid

    def __str__(self) -> str:
        owner = f" (process {self.pid})" if self.pid is not None else ""
        return (
            f"another relay{owner} is running on the data folder {self.folder}; "
            "stop it with 'bridge stop', or give this one its own folder with --data-dir"
        )


class EndpointInUse(BridgeError):
    """
    The address of an endpoint is taken.
    """

    def __init__(self, endpoint: str, key: str) -> None:
        super().__init__(endpoint, key)
        self.endpoint = endpoint
        self.key = key

    def __str__(self) -> str:
        return (
            f"{self.endpoint} is in use by another program; "
            f"stop that program or choose another port with the setting {self.key}"
        )


class TickFileError(BridgeError):
    """
    A line of a tick file cannot be read. ``line`` counts from 1.
    """

    def __init__(self, path: str, line: int, problem: str) -> None:
        super().__init__(path, line, problem)
        self.path = path
        self.line = line
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.problem}"


class JournalError(BridgeError):
    """
    The journal of orders cannot be trusted, or cannot be written: no new orders.

    ``path`` is the journal's file, ``hint`` what to do. ``writable`` is true while what ends or
    reduces something can still be written: the disk is full, and the room kept for that is not.
    """

    def __init__(
        self, problem: str, *, path: str = "", hint: str = "", writable: bool = False
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.path = path
        self.hint = hint
        self.writable = writable

    def __str__(self) -> str:
        text = f"{self.path}: {self.problem}" if self.path else self.problem
        return f"{text} ({self.hint})" if self.hint else text


class ProtocolError(BridgeError):
    """
    The wire protocol was broken. ``code`` is a ``LogoutCode`` of the specification.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class LocalProtocolError(ProtocolError):
    """
    This program asked the protocol core for something the state forbids.
    """


class RemoteProtocolError(ProtocolError):
    """
    The peer sent something the protocol forbids; the connection is over.
    """


class RequestError(BridgeError):
    """
    A request did not succeed.

    ``code`` is the stable name from the bus protocol, ``hop`` one of
    ``client``, ``relay``, ``terminal``, ``trade_server``; ``field`` the dotted
    name of the offending field or ``""``; ``hint`` what to do about it.
    """

    code = "ERROR"
    hop = "relay"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hop: str | None = None,
        field: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        if hop is not None:
            self.hop = hop
        self.field = field
        self.hint = hint

    def __str__(self) -> str:
        field = f"{self.field}: " if self.field else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"[{self.hop}] {self.code}: {field}{self.message}{hint}"


class InvalidRequest(RequestError):
    """
    The request is malformed; nothing was done.
    """

    code = "INVALID_REQUEST"
    hop = "client"


class RelayUnreachable(RequestError):
    """
    Nothing answers at the relay's endpoint.
    """

    code = "RELAY_UNREACHABLE"
    hop = "relay"


class TerminalUnavailable(RequestError):
    """
    The relay is up, the terminal is not connected to it.
    """

    code = "TERMINAL_UNAVAILABLE"
    hop = "terminal"


class UnknownSymbol(RequestError):
    """
    The terminal knows no symbol of this name.
    """

    code = "UNKNOWN_SYMBOL"
    hop = "terminal"


class DeadlineExceeded(RequestError):
    """
    No answer came within the deadline of the call.
    """

    code = "DEADLINE_EXCEEDED"
    hop = "relay"


class NotAvailable(RequestError):
    """
    What was asked for is not held any more (or not yet).
    """

    code = "NOT_AVAILABLE"
    hop = "relay"


class OrderError(RequestError):
    """
    An order is not done.

    ``client_id`` and ``client_order_id`` are its identity; ``result`` the ``OrderResult``
    that tells everything, ``None`` when there was no answer.
    """

    code = "ORDER_ERROR"

    def __init__(
        self,
        message: str,
        *,
        client_id: str = "",
        client_order_id: str = "",
        result: Any = None,
        code: str | None = None,
        hop: str | None = None,
        field: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, code=code, hop=hop, field=field, hint=hint)
        self.client_id = client_id
        self.client_order_id = client_order_id
        self.result = result


class OrderRejected(OrderError):
    """
    The terminal or the trade server refused the order; it was not executed.
    """

    code = "REJECTED"
    hop = "trade_server"


class OrderDenied(OrderError):
    """
    The bridge refused the order: it was not executed, and never will be.
    """

    code = "DENIED"
    hop = "relay"


class OrderUnknown(OrderError):
    """
    The order may have been executed or not, and may still be.

    Never send it under another id. Ask ``order_status``, or send the same again with the
    same ids: it is executed once at most.
    """

    code = "UNKNOWN"
    hop = "relay"


class RequestRefused(RequestError):
    """
    An error reply without a class of its own; ``code`` tells which.
    """
