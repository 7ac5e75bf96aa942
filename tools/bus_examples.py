"""One request and its result for every method of the bus protocol.

They stand in the specification, become golden vectors, and a test checks them against
the models and the schemas. Numbers are as msgpack has them: ``to_json`` writes JSON.
"""

from __future__ import annotations

import json
from typing import Any, Final

from bridge.bus.codec import Encoding, encode
from bridge.bus.requests import ErrorName, Hop, Method, error_map
from tools.bus_order_examples import ORDER_EXAMPLES

__all__ = ["CONTROL", "ERRORS", "EXAMPLES", "to_json"]

_EPOCH: Final = 1_767_225_600
_TICK: Final = [_EPOCH, 4_711, 1_767_362_400_123, 1.17421, 1.17429, 0.0, 0.0, 6, 120]
_NEXT: Final = [_EPOCH, 4_712, 1_767_362_400_123, 1.17422, 1.17429, 0.0, 0.0, 2, 120]

_PONG: Final = {
    "version": 1,
    "bus_version": 1,
    "program": "mt5-zmq-bridge 0.1.0",
    "time_utc_msc": 1_767_355_200_200,
    "relay_epoch": 1_767_350_000,
    "publish": "tcp://127.0.0.1:5557",
}
_TERMINAL: Final = {
    "alias": "demo",
    "state": "connected",
    "login": 5_012_345,
    "server": "Broker-Demo",
    "company": "Broker Ltd",
    "currency": "USD",
    "leverage": 100,
    "trade_mode": 0,
    "margin_mode": 2,
    "build": 5_430,
    "program": "Bridge.mq5 0.1.0",
    "role": "both",
    "since_utc_msc": 1_767_351_000_000,
    "sessions": 1,
    "permissions": {
        "terminal_connected": True,
        "terminal_trade_allowed": True,
        "mql_trade_allowed": True,
        "account_trade_allowed": True,
        "account_trade_expert": True,
    },
    "server_time_msc": 1_767_362_400_100,
    "utc_offset_min": 120,
    "ping_last_us": 31_200,
    "rtt_us": 180,
    "loop_interval_us": 10_050,
    "lag_us": 90,
    "busy": False,
    "streams": 2,
    "gaps": 0,
}
_SYMBOL: Final = {
    "name": "EURUSD",
    "description": "Euro vs US Dollar",
    "path": "Forex\\EURUSD",
    "currency_base": "EUR",
    "currency_profit": "USD",
    "currency_margin": "EUR",
    "digits": 5,
    "point": 0.00001,
}

#: For each method: a request, and the result of its reply.
EXAMPLES: Final[dict[Method, tuple[dict[str, Any], dict[str, Any]]]] = {
    Method.PING: ({"id": "1", "method": "ping"}, _PONG),
    Method.STATUS: (
        {"id": "2", "method": "status"},
        {
            **_PONG,
            "uptime_ms": 5_200_000,
            "endpoints": {
                "terminal": "tcp://127.0.0.1:5555",
                "request": "tcp://127.0.0.1:5556",
                "publish": "tcp://127.0.0.1:5557",
                "control": "tcp://127.0.0.1:5558",
            },
            "terminals": [],
            "streams": [],
            "published": 0,
            "trading": [
                {
                    "alias": "demo",
                    "enabled": True,
                    "state": "REDUCING",
                    "reason": "news at 14:30",
                    "open_orders": 1,
                    "unresolved": ["ma-cross/2026-01-02T12:10"],
                    "waiting": 0,
                }
            ],
        },
    ),
    Method.TERMINALS: ({"id": "3", "method": "terminals"}, {"terminals": [_TERMINAL]}),
    Method.SYMBOLS: (
        {
            "id": "4",
            "method": "symbols",
            "terminal": "demo",
            "params": {"group": "EUR*,!*.r", "limit": 1},
        },
        {"symbols": [_SYMBOL], "total": 7, "next_offset": 1},
    ),
    Method.SYMBOL: (
        {"id": "5", "method": "symbol", "terminal": "demo", "params": {"symbol": "EURUSD"}},
        {"symbol": _SYMBOL},
    ),
    Method.TICK: (
        {
            "id": "6",
            "method": "tick",
            "terminal": "demo",
            "params": {"symbol": "EURUSD"},
            "valid_for_ms": 2_000,
        },
        {
            "tick": {
                "epoch": _EPOCH,
                "seq": 4_711,
                "time_msc": 1_767_362_400_123,
                "bid": 1.17421,
                "ask": 1.17429,
                "last": 0.0,
                "volume_real": 0.0,
                "flags": 6,
                "utc_offset_min": 120,
            },
            "streaming": True,
        },
    ),
    Method.SNAPSHOT: (
        {
            "id": "7",
            "method": "snapshot",
            "params": {"topics": ["tick/demo/EURUSD", "tick/demo/EURUSX", "trade/demo"]},
        },
        {
            "topics": [
                {
                    "topic": "tick/demo/EURUSD",
                    "status": "ok",
                    "epoch": _EPOCH,
                    "seq": 4_711,
                    "body": _TICK,
                    "oldest_seq": 1_200,
                    "error": None,
                },
                {
                    "topic": "tick/demo/EURUSX",
                    "status": "error",
                    "epoch": 0,
                    "seq": 0,
                    "body": None,
                    "oldest_seq": None,
                    "error": error_map(
                        ErrorName.UNKNOWN_SYMBOL,
                        "the terminal has no symbol 'EURUSX'",
                        hop=Hop.TERMINAL,
                    ),
                },
                {
                    "topic": "trade/demo",
                    "status": "idle",
                    "epoch": 0,
                    "seq": 0,
                    "body": None,
                    "oldest_seq": None,
                    "error": None,
                },
            ]
        },
    ),
    Method.SYNC: ({"id": "8", "method": "sync", "params": {"nonce": "k3Jv9_xQ"}}, {}),
    Method.REPLAY: (
        {
            "id": "9",
            "method": "replay",
            "params": {"topic": "tick/demo/EURUSD", "epoch": _EPOCH, "first": 1_190, "last": 4_712},
        },
        {
            "topic": "tick/demo/EURUSD",
            "epoch": _EPOCH,
            "messages": [_TICK, _NEXT],
            "first": 4_711,
            "next": None,
            "missing": [[1_190, 4_710]],
        },
    ),
    **ORDER_EXAMPLES,
}

#: Error replies: the request that is answered, and the error.
ERRORS: Final[list[tuple[dict[str, Any], dict[str, Any]]]] = [
    (
        {"id": 10, "method": "tick", "params": {"symbool": "EURUSD"}},
        error_map(
            ErrorName.INVALID_REQUEST, "field required", hop=Hop.CLIENT, field="params.symbol"
        ),
    ),
    (
        {"id": 11, "method": "symbol", "terminal": "demo", "params": {"symbol": "EURUSD"}},
        error_map(
            ErrorName.TERMINAL_UNAVAILABLE,
            "the terminal 'demo' is not connected to the relay",
            hop=Hop.TERMINAL,
            hint="start MetaTrader with the EA attached",
        ),
    ),
    (
        {"id": 12, "method": "replay", "params": {"topic": "relay", "epoch": 1, "first": 1}},
        {
            **error_map(
                ErrorName.TOO_MANY_REQUESTS, "this client replays faster than the limit allows"
            ),
            "retry_after_ms": 120,
        },
    ),
    (
        {
            "id": 13,
            "method": "order_send",
            "client_id": "ma-cross",
            "client_order_id": "2026-01-02T12:15",
            "params": {"action": "DEAL", "symbol": "EURUSD", "volume": -0.1, "type": "BUY"},
        },
        error_map(
            ErrorName.INVALID_REQUEST,
            "input should be greater than 0",
            hop=Hop.CLIENT,
            field="params.volume",
        ),
    ),
]

#: A request to the control endpoint and its result.
CONTROL: Final[tuple[dict[str, Any], dict[str, Any]]] = (
    {"id": "1", "method": "stop", "token": "Zb3cJv0o7hFqk1yWmS9tQx2LrPd5uEiA"},
    {"stopping": True},
)


def to_json(value: dict[str, Any]) -> dict[str, Any]:
    """
    Return a message as a reader of its JSON form has it: what is large is text.
    """
    decoded: dict[str, Any] = json.loads(encode(value, Encoding.JSON))
    return decoded
