"""
A ZeroMQ message bus for MetaTrader 5.

``Client`` is the blocking client, ``AsyncClient`` the same for asyncio::

    from bridge import Client

    with Client() as mt:
        for tick in mt.ticks("EURUSD", timeout=30):
            print(tick.time_msc, tick.bid, tick.ask)

Names are imported when they are first used, so that ``import bridge`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bridge.client.aio import AsyncClient
    from bridge.client.sync import Client
    from bridge.client.trade import (
        AccountInfo,
        CheckResult,
        DealInfo,
        OrderInfo,
        OrderResult,
        OrderStatus,
        OrderStep,
        PositionInfo,
    )
    from bridge.client.values import TradeEvent
    from bridge.exceptions import (
        BridgeError,
        ConfigError,
        DataFolderInUse,
        DeadlineExceeded,
        EndpointInUse,
        InvalidRequest,
        JournalError,
        LocalProtocolError,
        NotAvailable,
        OrderDenied,
        OrderError,
        OrderRejected,
        OrderUnknown,
        ProtocolError,
        RelayUnreachable,
        RemoteProtocolError,
        RequestError,
        RequestRefused,
        TerminalUnavailable,
        TickFileError,
        UnknownSymbol,
    )
    from bridge.model.tick import Gap, Tick, TickFlag

    __version__: str

__all__ = [
    "AccountInfo",
    "AsyncClient",
    "BridgeError",
    "CheckResult",
    "Client",
    "ConfigError",
    "DataFolderInUse",
    "DeadlineExceeded",
    "DealInfo",
    "EndpointInUse",
    "Gap",
    "InvalidRequest",
    "JournalError",
    "LocalProtocolError",
    "NotAvailable",
    "OrderDenied",
    "OrderError",
    "OrderInfo",
    "OrderRejected",
    "OrderResult",
    "OrderStatus",
    "OrderStep",
    "OrderUnknown",
    "PositionInfo",
    "ProtocolError",
    "RelayUnreachable",
    "RemoteProtocolError",
    "RequestError",
    "RequestRefused",
    "TerminalUnavailable",
    "Tick",
    "TickFileError",
    "TickFlag",
    "TradeEvent",
    "UnknownSymbol",
    "__version__",
]

_HOMES: Final = {
    "AccountInfo": "bridge.client.trade",
    "AsyncClient": "bridge.client.aio",
    "CheckResult": "bridge.client.trade",
    "Client": "bridge.client.sync",
    "DealInfo": "bridge.client.trade",
    "Gap": "bridge.model.tick",
    "OrderInfo": "bridge.client.trade",
    "OrderResult": "bridge.client.trade",
    "OrderStatus": "bridge.client.trade",
    "OrderStep": "bridge.client.trade",
    "PositionInfo": "bridge.client.trade",
    "Tick": "bridge.model.tick",
    "TickFlag": "bridge.model.tick",
    "TradeEvent": "bridge.client.values",
}
_DISTRIBUTION: Final = "mt5-zmq-bridge"

if not TYPE_CHECKING:
    # Hidden from type checkers: they would take every misspelt name for an ``Any``.
    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if name == "__version__":
            value = _read_version()
        else:
            home = importlib.import_module(_HOMES.get(name, "bridge.exceptions"))
            value = getattr(home, name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _read_version() -> str:
    from importlib import metadata  # noqa: PLC0415 - slower than the rest of this module

    try:
        return metadata.version(_DISTRIBUTION)
    except metadata.PackageNotFoundError:
        # Run from a source tree that is not installed.
        return "0+source"
