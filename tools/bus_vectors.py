"""Write the golden vectors of the bus protocol: bytes, and what they mean.

Deterministic: the same code writes the same files. Values are written by the rules for
JSON of the specification: an integer beyond 2^53 is decimal text, bytes are hexadecimal.

    python -m tools.bus_vectors            write tests/vectors/bus/*.json
    python -m tools.bus_vectors --check    only tell what differs; exit code 1 if anything does
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
from pathlib import Path
from typing import Any, Final

import msgpack

from bridge.bus.bodies import StatusEvent, TradeKind, pack_body
from bridge.bus.codec import Encoding, decode, encode
from bridge.bus.requests import Method, validate_params, validate_request
from bridge.bus.topics import (
    RELAY,
    account_topic,
    bulk_topic,
    exact,
    join_message,
    parse_topic,
    position_topic,
    status_topic,
    sync_topic,
    tick_topic,
    trade_topic,
)
from bridge.exceptions import InvalidRequest
from bridge.model.record import TickRecord, pack_record
from bridge.model.tick import MqlTick, TickFlag
from tools.bus_examples import CONTROL, ERRORS, EXAMPLES, to_json
from tools.bus_order_examples import (
    CONTROL_EXAMPLES,
    DEAL,
    DENIED,
    ORDER_EXAMPLES,
    POSITION,
    UNKNOWN,
)

__all__ = ["VECTORS", "files", "main"]

VECTORS: Final = Path(__file__).resolve().parent.parent / "tests" / "vectors" / "bus"

_Rows = list[dict[str, Any]]

_EPOCH: Final = 1_767_225_600
_MSC: Final = 1_767_362_400_123
_BACKLOG: Final = int(TickFlag.BACKLOG)
_LATE: Final = int(TickFlag.LATE)


def _record(record: TickRecord) -> bytes:
    return pack_record(record.epoch, record.seq, MqlTick(*record[2:8]), record.utc_offset_min)


def _message(name: str, topic: str, body: bytes) -> dict[str, Any]:
    return {
        "name": name,
        "hex": join_message(topic, body).hex(),
        "topic": topic,
        "body": to_json({"body": msgpack.unpackb(body)})["body"],
    }


def _bodies() -> _Rows:
    eurusd = tick_topic("demo", "EURUSD")
    ticks = [
        ("a forex tick", TickRecord(_EPOCH, 4_711, _MSC, 1.17421, 1.17429, 0.0, 0.0, 6, 120)),
        (
            "the same millisecond",
            TickRecord(_EPOCH, 4_712, _MSC, 1.17422, 1.17429, 0.0, 0.0, 2, 120),
        ),
        ("the first of an epoch", TickRecord(_EPOCH, 1, _MSC, 1.0, 1.5, 0.0, 0.0, 6, 0)),
        ("west of Greenwich", TickRecord(_EPOCH, 2, _MSC, 1.0, 1.5, 0.0, 0.0, 6, -300)),
        ("from the backlog", TickRecord(_EPOCH, 3, _MSC, 1.0, 1.5, 0.0, 0.0, 6 | _BACKLOG, 0)),
        ("late", TickRecord(_EPOCH, 4, _MSC - 60_000, 1.0, 1.5, 0.0, 0.0, 6 | _LATE, 0)),
        ("a negative price", TickRecord(_EPOCH, 5, _MSC, -37.63, -37.6, 0.0, 0.0, 6, -300)),
        ("seq beyond 2^53", TickRecord(_EPOCH, 2**53 + 1, _MSC, 1.0, 1.5, 0.0, 0.0, 6, 0)),
        ("the smallest", TickRecord(0, 0, -(2**63), 0.0, 0.0, 0.0, 0.0, 0, -(2**15))),
        (
            "the largest",
            TickRecord(
                2**32 - 1, 2**64 - 1, 2**63 - 1, 1e300, 5e-324, 0.1, 1e15, 2**16 - 1, 2**15 - 1
            ),
        ),
    ]
    rows = [_message(name, eurusd, _record(record)) for name, record in ticks]
    trade = TickRecord(_EPOCH, 9, _MSC, 6_812.25, 6_812.5, 6_812.5, 3.0, 8 | 16 | 32, 120)
    rows.append(_message("a deal on an exchange", tick_topic("demo", "ES"), _record(trade)))
    odd = "#US 500/Ä€😀"
    rows.append(
        _message("a symbol of many kinds of characters", tick_topic("demo", odd), _record(trade))
    )
    short = pack_body(7, 41, 1_000, 1.5, 2.5, 0.0, 0.0, 6, 0)
    rows.append(_message("a tick in another form of msgpack", eurusd, short))
    longer = pack_body(*ticks[0][1], "appended in a later release", {"more": [1, None, True]})
    rows.append(_message("a tick with appended elements", eurusd, longer))
    run = b"".join(_record(ticks[place][1]) for place in (0, 1))
    rows += [
        _message(
            "a run of ticks",
            bulk_topic("demo"),
            pack_body(_EPOCH, 17, "EURUSD", _EPOCH, 4_711, 2, run),
        ),
        _message(
            "a terminal is connected",
            status_topic("demo"),
            pack_body(
                _EPOCH,
                1,
                _MSC,
                str(StatusEvent.LINK_UP),
                {"login": 5_012_345, "server": "Broker-Demo"},
            ),
        ),
        _message(
            "an event without details",
            status_topic("ftmo-1"),
            pack_body(_EPOCH, 2, _MSC, str(StatusEvent.READY), {}),
        ),
        *_trade_bodies(),
        _message("nothing moved", RELAY, pack_body(_EPOCH, 1, _MSC, [])),
        _message(
            "topics moved",
            RELAY,
            pack_body(
                _EPOCH,
                70_000,
                _MSC,
                [[eurusd, _EPOCH, 4_712], [status_topic("demo"), _EPOCH, 1], ["x", 1, 2**60]],
            ),
        ),
        _message("a barrier", sync_topic("k3Jv9_xQ"), pack_body(_EPOCH, 1, _MSC)),
    ]
    return rows


def _trade_bodies() -> _Rows:
    trade = trade_topic("demo")
    bought = ORDER_EXAMPLES[Method.ORDER_SEND][1]
    account = ORDER_EXAMPLES[Method.ACCOUNT][1]["account"]
    corrected = {**UNKNOWN, "outcome": "DONE", "final": True, "corrected": True, "order": 2**63 + 9}
    events: list[tuple[str, TradeKind, bool, dict[str, Any]]] = [
        ("a command is done", TradeKind.ORDER_LIFE, False, bought),
        ("its deal", TradeKind.DEAL, False, DEAL),
        ("a deal found in the history", TradeKind.DEAL, True, DEAL),
        ("a command is denied", TradeKind.ORDER_LIFE, False, DENIED),
        ("nobody knows yet", TradeKind.ORDER_LIFE, False, UNKNOWN),
        ("a verdict was wrong", TradeKind.VERDICT_CORRECTED, False, corrected),
    ]
    rows = [
        _message(name, trade, pack_body(_EPOCH, 2**53 + seq, _MSC, str(kind), recovered, record))
        for seq, (name, kind, recovered, record) in enumerate(events)
    ]
    flat = position_topic("demo")
    return [
        *rows,
        _message("the account", account_topic("demo"), pack_body(_EPOCH, 3, _MSC, account)),
        _message("one position", position_topic("demo"), pack_body(_EPOCH, 4, _MSC, [POSITION])),
        _message("no position is open", flat, pack_body(_EPOCH, 5, _MSC, [])),
    ]


def _both(name: str, message: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "msgpack": encode(message, Encoding.MSGPACK).hex(),
        "json": encode(message, Encoding.JSON).decode(),
        "value": to_json(message),
    }


def _requests() -> _Rows:
    rows = [_both(str(method), request) for method, (request, _) in EXAMPLES.items()]
    everything = {
        "id": 2**63 - 1,
        "method": "replay",
        "client_id": "strategy-1",
        "terminal": "demo",
        "params": {"topic": "tick/demo/EURUSD", "epoch": 7, "first": 2**53 + 1, "last": 2**64 - 1},
        "client_order_id": None,
        "valid_for_ms": 600_000,
        "token": None,
    }
    rows.append(_both("every field, and 64 bits", everything))
    rows.append(_both("control: stop", CONTROL[0]))
    rows += [
        _both(f"control: {method}", request) for method, (request, _) in CONTROL_EXAMPLES.items()
    ]
    return rows


def _replies() -> _Rows:
    rows = [
        _both(str(method), {"v": 1, "id": request["id"], "ok": True, "result": result})
        for method, (request, result) in EXAMPLES.items()
    ]
    rows += [
        _both(error["code"], {"v": 1, "id": request["id"], "ok": False, "error": error})
        for request, error in ERRORS
    ]
    large = {
        "topic": "tick/demo/EURUSD",
        "epoch": 7,
        "messages": [[7, 2**64 - 1, 1_000, 1.5, 2.5, 0.0, 0.0, 6, 0]],
        "first": 2**64 - 1,
        "next": None,
        "missing": [[2**53 + 1, 2**64 - 2]],
    }
    rows.append(_both("64 bits", {"v": 1, "id": "x", "ok": True, "result": large}))
    return rows


def _topics() -> _Rows:
    pairs = [
        ("tick/demo/EURUSD", ["tick/demo/EURUSD"], ["tick/demo/EURUSD.r", "tick/demo/EURUS"]),
        ("tick/demo/EURUSD.r", ["tick/demo/EURUSD.r"], ["tick/demo/EURUSD", "ticks/demo"]),
        ("tick/demo/BTC/USD", ["tick/demo/BTC/USD"], ["tick/demo/BTC", "tick/demo/BTC/USDT"]),
        ("tick/demo/\u00c4", ["tick/demo/\u00c4"], ["tick/demo/A\u0308", "tick/demo/A"]),
        ("ticks/demo", ["ticks/demo"], ["ticks/demo-2", "tick/demo/EURUSD"]),
        ("trade/demo", ["trade/demo"], ["trade/demo-2", "tick/demo/EURUSD"]),
        ("account/demo", ["account/demo"], ["account/demo2"]),
        ("position/demo", ["position/demo"], ["position/demo_2"]),
        ("status/demo", ["status/demo"], ["status/demo2"]),
        ("relay", ["relay"], ["relay2"]),
        ("sync/k3Jv9_xQ", ["sync/k3Jv9_xQ"], ["sync/k3Jv9_xQQ"]),
        ("bar/demo/BTC/USD/M5", ["bar/demo/BTC/USD/M5"], ["bar/demo/BTC/USD/M15"]),
    ]
    rows = []
    for topic, same, others in pairs:
        parts = parse_topic(topic)
        if parts is None or not all(parse_topic(other) for other in same):
            raise ValueError(f"{topic} is no topic")
        rows.append(
            {
                "topic": topic,
                "subscription": exact(topic).hex(),
                "parts": {name: part for name, part in parts._asdict().items() if part},
                "matches": [join_message(other, b"\x93\x01\x02\x03").hex() for other in same],
                "does_not_match": [
                    join_message(other, b"\x93\x01\x02\x03").hex() for other in others
                ],
            }
        )
    return rows


_BUY: Final = {"action": "DEAL", "symbol": "EURUSD", "volume": 0.1, "type": "BUY"}
_LIMIT: Final = {**_BUY, "action": "PENDING", "type": "BUY_LIMIT", "price": 1.1}
_ORDERS_REFUSED: Final[list[tuple[str, Method, dict[str, Any]]]] = [
    ("a volume of nothing", Method.ORDER_SEND, {**_BUY, "volume": 0}),
    ("a negative volume", Method.ORDER_SEND, {**_BUY, "volume": -0.1}),
    ("an absurd volume", Method.ORDER_SEND, {**_BUY, "volume": 1e12}),
    ("a volume as text", Method.ORDER_SEND, {**_BUY, "volume": "0.1"}),
    ("a volume of nine decimals", Method.ORDER_SEND, {**_BUY, "volume": 0.123456789}),
    ("no volume", Method.ORDER_SEND, {**_BUY, "volume": None}),
    ("a negative price", Method.ORDER_SEND, {**_LIMIT, "price": -1.1}),
    ("a price of nothing", Method.ORDER_SEND, {**_BUY, "price": 0}),
    ("a negative stop loss", Method.ORDER_SEND, {**_BUY, "sl": -1}),
    ("two stop losses", Method.ORDER_SEND, {**_BUY, "sl": 1.1, "sl_points": 100}),
    ("half a point", Method.ORDER_SEND, {**_BUY, "tp_points": 0.5}),
    ("no action", Method.ORDER_SEND, {name: _BUY[name] for name in ("symbol", "volume", "type")}),
    ("an action that is none", Method.ORDER_SEND, {**_BUY, "action": 2}),
    ("an action that is true", Method.ORDER_SEND, {**_BUY, "action": True}),
    ("a type with its prefix", Method.ORDER_SEND, {**_BUY, "type": "ORDER_TYPE_BUY"}),
    ("a pending type at once", Method.ORDER_SEND, {**_BUY, "type": "BUY_LIMIT"}),
    ("a market type pending", Method.ORDER_SEND, {**_LIMIT, "type": 0}),
    ("a field of another action", Method.ORDER_SEND, {**_BUY, "expiration": 1_767_362_400}),
    ("a misspelt field", Method.ORDER_SEND, {**_BUY, "stoploss": 1.1}),
    ("a limit order without a price", Method.ORDER_SEND, {**_LIMIT, "price": None}),
    ("a stop-limit order without its limit", Method.ORDER_SEND, {**_LIMIT, "type": 6}),
    ("an expiration without its type", Method.ORDER_SEND, {**_LIMIT, "expiration": 1}),
    ("a type without its expiration", Method.ORDER_SEND, {**_LIMIT, "type_time": "SPECIFIED"}),
    ("a comment of 129 characters", Method.ORDER_SEND, {**_BUY, "comment": "x" * 129}),
    ("a change of nothing", Method.POSITION_MODIFY, {"position": 1}),
    ("an order changed in nothing", Method.ORDER_MODIFY, {"order": 1}),
    ("ticket 0", Method.POSITION_CLOSE, {"position": 0}),
    ("a ticket beyond 64 bits", Method.ORDER_CANCEL, {"order": "18446744073709551616"}),
    ("a position with itself", Method.POSITION_CLOSE_BY, {"position": 7, "position_by": 7}),
    ("all of nothing", Method.CLOSE_ALL, {"positions": False}),
    ("two names of a command", Method.ORDER_STATUS, {"command_id": "a/b", "client_id": "a"}),
    ("half a name", Method.ORDER_STATUS, {"command_id": "a"}),
]


def _nested(depth: int) -> bytes:
    return b"\x82\xa2id\x01\xa6params" + b"\x81\xa1a" * depth + b"\xc0"


def _refused() -> _Rows:
    ping = {"id": "1", "method": "ping"}
    replay = {"topic": "relay", "epoch": 1, "first": 1}
    packed: list[tuple[str, Any]] = [
        ("no map", [ping]),
        ("no id", {"method": "ping"}),
        ("an id of the wrong type", {**ping, "id": 1.5}),
        ("an id that is too long", {**ping, "id": "x" * 65}),
        ("a boolean is no integer", {**ping, "id": True}),
        ("an unknown field", {**ping, "client-id": "x"}),
        ("an alias in upper case", {**ping, "terminal": "Demo"}),
        ("params that are no map", {**ping, "params": []}),
        ("a deadline of nothing", {**ping, "valid_for_ms": 0}),
        ("a missing parameter", {"id": 1, "method": "symbol", "params": {}}),
        ("an unknown parameter", {"id": 1, "method": "ping", "params": {"symbol": "X"}}),
        ("a symbol with a NUL", {"id": 1, "method": "tick", "params": {"symbol": "X\0"}}),
        ("bytes for text", {"id": 1, "method": "tick", "params": {"symbol": b"X"}}),
        ("no topics", {"id": 1, "method": "snapshot", "params": {"topics": []}}),
        ("a topic that is a number", {"id": 1, "method": "snapshot", "params": {"topics": [1]}}),
        ("a short nonce", {"id": 1, "method": "sync", "params": {"nonce": "x"}}),
        ("beyond 64 bits", {"id": 1, "method": "replay", "params": {**replay, "last": "9" * 20}}),
        ("hexadecimal text", {"id": 1, "method": "replay", "params": {**replay, "last": "0x10"}}),
        ("a fraction", {"id": 1, "method": "replay", "params": {**replay, "last": 1.5}}),
    ]
    packed += [
        (name, {"id": 1, "method": str(method), "params": params})
        for name, method, params in _ORDERS_REFUSED
    ]
    raw = [
        ("nothing", b""),
        ("not msgpack", b"\xc1"),
        ("msgpack that is cut", msgpack.packb(ping)[:-1]),
        ("msgpack with something behind it", msgpack.packb(ping) + b"\0"),
        ("a key twice", b"\x82\xa2id\x01\xa2id\x02"),
        ("a key that is no text", b"\x81\x01\x02"),
        ("not a number", b"\x81\xa2id\xcb" + struct.pack(">d", float("nan"))),
        ("an extension type", b"\x81\xa2id\xd6\xff\0\0\0\1"),
        ("text that is not UTF-8", b"\x81\xa2id\xa1\xff"),
        ("17 levels", _nested(16)),
        ("an array of 4,294,967,295 elements", b"\xdd\xff\xff\xff\xff"),
        ("nested arrays that promise too much", b"\xdd\x00\x00\xff\xff" * 30),
        ("JSON that is cut", b'{"id":1,"method":"ping"'),
        ("JSON with something behind it", b'{"id":1,"method":"ping"} 1'),
        ("JSON with a key twice", b'{"id":1,"id":2,"method":"ping"}'),
        ("JSON with NaN", b'{"id":1,"method":"ping","valid_for_ms":NaN}'),
        ("JSON with an infinite number", b'{"id":1,"method":"ping","valid_for_ms":1e999}'),
        ("JSON with half of a surrogate pair", b'{"id":"\\ud800","method":"ping"}'),
        ("JSON with a byte order mark", b'\xef\xbb\xbf{"id":1,"method":"ping"}'),
        ("JSON, 17 levels", b"[" * 17 + b"]" * 17),
        ("a line of HTTP", b"GET / HTTP/1.1\r\n\r\n"),
    ]
    cases = [(name, msgpack.packb(value)) for name, value in packed] + raw
    return [{"name": name, "hex": data.hex(), "field": _refusal(data)} for name, data in cases]


def _refusal(data: bytes) -> str:
    try:
        request = validate_request(decode(data, max_bytes=65_536))
        validate_params(request.method, request.params)  # type: ignore[arg-type]  # a StrEnum equals its text
    except InvalidRequest as error:
        return error.field
    raise ValueError(f"{data!r} is not refused")


def files() -> dict[str, str]:
    """
    Return every file of vectors by its name.
    """
    rows = {
        "bodies.json": _bodies(),
        "requests.json": _requests(),
        "replies.json": _replies(),
        "topics.json": _topics(),
        "refused.json": _refused(),
    }
    return {
        name: "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in part) + "\n]\n"
        for name, part in rows.items()
    }


def main(arguments: list[str] | None = None) -> int:
    """
    Write or check the vectors; return the exit code.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, tell what differs")
    check = parser.parse_args(arguments).check
    stale = False
    VECTORS.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        path = VECTORS / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale = True
        if not check:
            path.write_text(text, encoding="utf-8", newline="\n")
        print(f"{'stale' if check else 'written'}: tests/vectors/bus/{name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
