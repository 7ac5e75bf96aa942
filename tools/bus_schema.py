"""The bus protocol as JSON Schema and AsyncAPI, made from the code.

Envelope and parameters come from the pydantic models of ``bridge.bus.requests``. Bodies
and results have no models, because nothing is validated on the way out: their fields are
listed here, once, for schema and tables alike. ``names_of_bodies`` compares them with
``bridge.bus.bodies``; the integration tests compare results with a real relay's.

A schema describes a value as it stands in JSON. There an integer beyond 2^53 is decimal
text; in msgpack it is an integer always.
"""

from __future__ import annotations

from typing import Any, Final

from bridge.bus.bodies import (
    AccountBody,
    BulkBody,
    PositionBody,
    RelayBody,
    StatusBody,
    StatusEvent,
    SyncBody,
    Tail,
    TradeBody,
)
from bridge.bus.requests import (
    BUS_VERSION,
    CONTROL_PARAMS,
    PARAMS,
    ControlMethod,
    ErrorName,
    Hop,
    Method,
    Request,
)
from bridge.bus.topics import ALIAS_PATTERN, NONCE_PATTERN
from bridge.model.record import TickRecord
from bridge.model.symbol import SymbolSpec
from bridge.wire.spec import Permission, Role
from tools.bus_order_rows import (
    CONTROL_RESULTS,
    ORDER_BODIES,
    ORDER_PARTS,
    ORDER_RESULTS,
    TRADING,
)
from tools.bus_rows import (
    BOOL,
    EPOCH,
    F64,
    HEX,
    I16,
    I64,
    MAP,
    NOTHING,
    SEQ,
    TEXT,
    TIME,
    U16,
    U32,
    U64,
    Body,
    FieldRow,
    Schema,
    array,
    integer,
    object_of,
    one_of,
    or_null,
    record_rows,
    row,
)

__all__ = [
    "BODIES",
    "RESULTS",
    "asyncapi",
    "names_of_bodies",
    "schemas",
    "symbol_rows",
]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_ID: Final = "urn:mt5-zmq-bridge:bus:{version}:{name}"


# --- bodies ------------------------------------------------------------------------------

_TAIL: Final = [
    FieldRow("topic", TEXT, "str", "name of the topic, without the NUL"),
    FieldRow("epoch", U32, "u32", "epoch of its newest message"),
    FieldRow("seq", U64, "u64", "`seq` of its newest message"),
]

BODIES: Final = {
    "tick": Body(
        "tick/{alias}/{symbol}",
        "A tick",
        [
            EPOCH,
            SEQ,
            FieldRow(
                "time_msc", I64, "i64", "ms since 1970 on the **trade server's** clock, not UTC"
            ),
            FieldRow("bid", F64, "f64", "bid price"),
            FieldRow("ask", F64, "f64", "ask price"),
            FieldRow("last", F64, "f64", "price of the last deal, 0 where there are none"),
            FieldRow("volume_real", F64, "f64", "volume of the last deal"),
            FieldRow("flags", U16, "u16", "what changed, and how it came: see below"),
            FieldRow(
                "utc_offset_min",
                I16,
                "i16",
                "server clock minus UTC in minutes: UTC is `time_msc - utc_offset_min * 60000`",
            ),
        ],
    ),
    "ticks": Body(
        "ticks/{alias}",
        "Many ticks of one symbol",
        [
            EPOCH,
            SEQ,
            FieldRow("symbol", TEXT, "str", "whose ticks these are"),
            FieldRow("tick_epoch", U32, "u32", "epoch of the records"),
            FieldRow("first_seq", U64, "u64", "`seq` of the first record"),
            FieldRow("length", U32, "u32", "number of records"),
            FieldRow(
                "records", HEX, "bin", "`length` tick bodies of 66 bytes, one behind the other"
            ),
        ],
    ),
    "status": Body(
        "status/{alias}",
        "What happened to a terminal's link or streams",
        [
            EPOCH,
            SEQ,
            TIME,
            FieldRow("event", TEXT, "str", "name of the event; names may be added"),
            FieldRow("details", MAP, "map", "what the event has to tell; keys may be added"),
        ],
    ),
    "relay": Body(
        "relay",
        "The relay lives, and which topics moved since the last time",
        [
            EPOCH,
            SEQ,
            TIME,
            FieldRow(
                "tails",
                array(
                    {
                        "type": "array",
                        "prefixItems": [row.schema for row in _TAIL],
                        "minItems": len(_TAIL),
                    }
                ),
                "array of arrays",
                "`[topic, epoch, seq]` of the newest message of each of these topics",
            ),
        ],
    ),
    **ORDER_BODIES,
    "sync": Body("sync/{nonce}", "A client's own barrier", [EPOCH, SEQ, TIME]),
}


def names_of_bodies() -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """
    Return for each body its field names here and in the code; a test compares them.
    """
    code = {
        "tick": TickRecord._fields,
        "ticks": BulkBody._fields,
        "status": StatusBody._fields,
        "trade": TradeBody._fields,
        "account": AccountBody._fields,
        "position": PositionBody._fields,
        "relay": RelayBody._fields,
        "sync": SyncBody._fields,
    }
    pairs = {
        name: (tuple(row.name for row in body.fields), code[name]) for name, body in BODIES.items()
    }
    return {**pairs, "tail": (tuple(row.name for row in _TAIL), Tail._fields)}


def _body_schema(body: Body) -> Schema:
    return {
        "title": body.title,
        "type": "array",
        "prefixItems": [
            {"title": row.name, "description": row.meaning, **row.schema} for row in body.fields
        ],
        "minItems": len(body.fields),
    }


# --- results -----------------------------------------------------------------------------


_ERROR: Final = [
    row("code", TEXT, "what went wrong, one of the codes below; codes may be added"),
    row("hop", TEXT, f"where: {', '.join(f'`{hop}`' for hop in Hop)}"),
    row("message", TEXT, "a sentence for people; not stable"),
    row("field", TEXT, "dotted name of the offending field, or empty"),
    row("hint", TEXT, "what to do about it, or empty"),
]
_RETRY: Final = row("retry_after_ms", U32, "only with TOO_MANY_REQUESTS: wait so long")

#: What every tick tells, whether it streams or was asked for alone.
_PRICE: Final = [
    row._replace(wire="") for row in BODIES["tick"].fields if row.name not in {"epoch", "seq"}
]

_PONG: Final = [
    row("version", U16, "version of the wire protocol towards terminals"),
    row("bus_version", U16, "version of this protocol"),
    row("program", TEXT, "name and version of the relay"),
    row("time_utc_msc", I64, "the relay's clock: ms since 1970, UTC"),
    row("relay_epoch", U32, "grows with every start of the relay"),
    row("publish", TEXT, "the publish endpoint: connect the SUB socket here"),
]

_TERMINAL: Final = [
    row("alias", TEXT, "the terminal's name in topics and requests"),
    row("state", one_of(["connected", "away"]), "whether it has a session now"),
    row("login", U64, "account number, 0 before the first session"),
    row("server", TEXT, "name of the trade server"),
    row("company", TEXT, "name of the dealer"),
    row("currency", TEXT, "the account's currency"),
    row("leverage", U32, "the account's leverage"),
    row("trade_mode", U16, "ENUM_ACCOUNT_TRADE_MODE: 0 demo, 1 contest, 2 real"),
    row("margin_mode", U16, "ENUM_ACCOUNT_MARGIN_MODE: 0 netting, 1 exchange, 2 hedging"),
    row("build", U32, "build of MetaTrader"),
    row("program", TEXT, "name and version of the terminal's side of the bridge"),
    row(
        "role",
        one_of(["", *(role.name.lower() for role in Role)]),
        "what the session carries, empty before the first",
    ),
    row("since_utc_msc", I64, "since when `state` is so, 0 before the first session"),
    row("sessions", U32, "sessions since the relay started"),
    row(
        "permissions",
        {
            "type": "object",
            "properties": {str(flag.name).lower(): BOOL for flag in Permission},
            "required": [str(flag.name).lower() for flag in Permission],
        },
        "; ".join(f"`{str(flag.name).lower()}`" for flag in Permission).replace(";", ","),
    ),
    row("server_time_msc", I64, "the trade server's clock at the last heartbeat"),
    row("utc_offset_min", I16, "that clock minus UTC, in minutes"),
    row("ping_last_us", integer(-1, 2**31 - 1), "terminal to trade server and back"),
    row("rtt_us", or_null(U64), "relay to terminal and back, null while not measured"),
    row("loop_interval_us", U32, "how often the terminal's program comes round"),
    row("lag_us", U32, "how late it was"),
    row("busy", BOOL, "it said that it may block: answers take longer"),
    row("streams", U32, "symbols it streams now"),
    row("gaps", U32, "gaps it announced since the relay started"),
]

_TOPIC_STATE: Final = [
    row("topic", TEXT, "the topic as it was asked for"),
    row(
        "status",
        one_of(["ok", "idle", "error"]),
        "`ok`: live. `idle`: nothing is published, and nobody asked for it. `error`: see there",
    ),
    row("epoch", U32, "epoch of the newest message, 0 when there is none"),
    row("seq", U64, "`seq` of the newest message, 0 when this epoch has none yet"),
    row("body", or_null({"type": "array"}), "body of the newest message if it is held"),
    row("oldest_seq", or_null(U64), "oldest message that can be replayed, null: none"),
    row("error", or_null(object_of(_ERROR)), "why it does not stream; same form as in a reply"),
]

_REPLAY: Final = [
    row("topic", TEXT, "as asked"),
    row("epoch", U32, "as asked"),
    row("messages", array({"type": "array"}), "bodies, in order and without holes"),
    row("first", U64, "`seq` of the first of `messages`; as asked when there are none"),
    row("next", or_null(U64), "more is held: ask again with this as `first`"),
    row(
        "missing",
        array({"type": "array", "prefixItems": [U64, U64], "minItems": 2}),
        "`[first, last]` of what was asked for and is not held",
    ),
]


def symbol_rows() -> list[FieldRow]:
    """
    Return the fields of a symbol, with the types that ``SymbolSpec`` gives them.
    """
    return record_rows(SymbolSpec)


def _symbol() -> Schema:
    # Terminals tell what they know: name and digits always, the rest where it applies.
    return {**object_of(symbol_rows()), "required": ["name", "digits"]}


RESULTS: Final[dict[str, list[FieldRow]]] = {
    Method.PING: _PONG,
    Method.STATUS: [
        *_PONG,
        row("uptime_ms", U64, "since the relay is ready"),
        row("endpoints", MAP, "`terminal`, `request`, `publish`, `control`: where it listens"),
        row("terminals", array(object_of(_TERMINAL)), "as in `terminals`"),
        row("streams", array(MAP), "one map for each stream, for people"),
        row("published", U64, "ticks published since the start"),
        row("trading", array(object_of(TRADING)), "state of trading of every terminal, see below"),
    ],
    Method.TERMINALS: [
        row("terminals", array(object_of(_TERMINAL)), "every configured terminal, see below")
    ],
    Method.SYMBOLS: [
        row("symbols", array(_symbol()), "the symbols of this page, fields as in `symbol`"),
        row("total", U32, "symbols in the whole group"),
        row("next_offset", or_null(U32), "`offset` of the next page, null: this was the last"),
    ],
    Method.SYMBOL: [row("symbol", _symbol(), "see below")],
    Method.TICK: [
        row(
            "tick",
            object_of(_PRICE),
            "a map with the names of the tick's body; `epoch` and `seq` only when `streaming`",
        ),
        row("streaming", BOOL, "true: the newest published tick. false: the terminal was asked"),
    ],
    Method.SNAPSHOT: [row("topics", array(object_of(_TOPIC_STATE)), "in the order of the request")],
    Method.SYNC: [],
    Method.REPLAY: _REPLAY,
    **ORDER_RESULTS,
}

#: The entries of lists inside of results, for the tables.
PARTS: Final = {
    "terminal": _TERMINAL,
    "topic-state": _TOPIC_STATE,
    "error": [*_ERROR, _RETRY],
    **ORDER_PARTS,
}


# --- files -------------------------------------------------------------------------------


def _named(name: str, schema: Schema) -> Schema:
    head = {"$schema": _DIALECT, "$id": _ID.format(version=BUS_VERSION, name=name)}
    return {**head, **schema}


def _pruned(schema: Any) -> Any:
    # pydantic gives every property a title that says the name again.
    if isinstance(schema, dict):
        return {
            key: _pruned(value)
            for key, value in schema.items()
            if key != "title" or not isinstance(value, str)
        }
    if isinstance(schema, list):
        return [_pruned(item) for item in schema]
    return schema


def _reply() -> Schema:
    request_id = Request.model_json_schema()["properties"]["id"]["anyOf"]
    version = {"const": BUS_VERSION}
    error = object_of(_ERROR)
    error["properties"][_RETRY.name] = {"description": _RETRY.meaning, **_RETRY.schema}
    done = {
        "type": "object",
        "properties": {
            "v": version,
            "id": {"anyOf": request_id},
            "ok": {"const": True},
            "result": {"description": "as the method has it", **MAP},
        },
        "required": ["v", "id", "ok", "result"],
    }
    failed = {
        "type": "object",
        "properties": {
            "v": version,
            "id": {"anyOf": [*request_id, NOTHING]},
            "ok": {"const": False},
            "error": error,
        },
        "required": ["v", "id", "ok", "error"],
    }
    return {"title": "A reply", "oneOf": [done, failed]}


def schemas() -> dict[str, Schema]:
    """
    Return every schema by its file name.
    """
    files = {
        "request.json": {
            **_pruned(Request.model_json_schema()),
            "title": "A request: the envelope",
        },
        "reply.json": _reply(),
    }
    for method, model in PARAMS.items():
        title = f"Parameters of {method}"
        files[f"params-{method}.json"] = {**_pruned(model.model_json_schema()), "title": title}
    for control, model in CONTROL_PARAMS.items():
        title = f"Parameters of {control}"
        files[f"params-{control}.json"] = {**_pruned(model.model_json_schema()), "title": title}
    for name, rows in {**RESULTS, **CONTROL_RESULTS}.items():
        files[f"result-{name}.json"] = {"title": f"Result of {name}", **object_of(rows)}
    for name, body in BODIES.items():
        files[f"body-{name}.json"] = _body_schema(body)
    return {
        file: _named(file.removesuffix(".json"), schema) for file, schema in sorted(files.items())
    }


_PARAMETERS: Final = {
    "alias": ("a terminal", ALIAS_PATTERN),
    "symbol": ("a symbol, exactly as the terminal has it", ""),
    "nonce": ("text that no other client uses", NONCE_PATTERN),
}


def _payload(file: str) -> Schema:
    return {
        "schemaFormat": "application/schema+json;version=2020-12",
        "schema": {"$ref": f"./{file}.json"},
    }


def asyncapi() -> Schema:
    """
    Return the AsyncAPI 3.0 document; there is no ZeroMQ binding, so ``x-zmq`` tells it.
    """
    channels: Schema = {}
    operations: Schema = {}
    messages: Schema = {}
    for name, body in BODIES.items():
        parameters = {
            part: {"description": f"{what}; pattern {pattern}" if pattern else what}
            for part, (what, pattern) in _PARAMETERS.items()
            if f"{{{part}}}" in body.address
        }
        channels[name] = {
            "address": body.address,
            "servers": [{"$ref": "#/servers/publish"}],
            "messages": {name: {"$ref": f"#/components/messages/{name}"}},
            **({"parameters": parameters} if parameters else {}),
            "x-zmq": {
                "socket": "XPUB",
                "peer": "SUB",
                "frames": 1,
                "frame": "address NUL payload",
                "subscription": "address NUL",
            },
        }
        operations[f"publish-{name}"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{name}"},
        }
        messages[name] = {
            "title": body.title,
            "contentType": "application/msgpack",
            "payload": _payload(f"body-{name}"),
        }
    for channel, methods in (("request", Method), ("control", ControlMethod)):
        channels[channel] = {
            "address": None,
            "servers": [{"$ref": f"#/servers/{channel}"}],
            "messages": {
                "request": {"$ref": "#/components/messages/request"},
                "reply": {"$ref": "#/components/messages/reply"},
            },
            "x-zmq": {"socket": "ROUTER", "peer": "DEALER or REQ"},
        }
        for method in methods:
            operations[f"{channel}-{method}"] = {
                "action": "receive",
                "channel": {"$ref": f"#/channels/{channel}"},
                "messages": [{"$ref": f"#/channels/{channel}/messages/request"}],
                "reply": {
                    "channel": {"$ref": f"#/channels/{channel}"},
                    "messages": [{"$ref": f"#/channels/{channel}/messages/reply"}],
                },
                **(
                    {
                        "x-params": {"$ref": f"./params-{method}.json"},
                        "x-result": {"$ref": f"./result-{method}.json"},
                    }
                    if method in PARAMS or method in CONTROL_PARAMS
                    else {}
                ),
            }
    for name in ("request", "reply"):
        messages[name] = {
            "contentType": "application/msgpack",
            "description": "msgpack or JSON, told by the first byte; the reply as the request",
            "payload": _payload(name),
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "mt5-zmq-bridge: bus protocol",
            "version": f"{BUS_VERSION}.0.0",
            "description": "Relay to clients. The specification is ../bus-protocol.md.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/msgpack",
        "servers": {
            name: {"host": f"127.0.0.1:{port}", "protocol": "zmq", "description": what}
            for name, port, what in (
                ("publish", 5557, "XPUB; a client learns the address from ping"),
                ("request", 5556, "ROUTER; the one address a client is given"),
                ("control", 5558, "ROUTER; the address and the token are in control.json"),
            )
        },
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
        "x-error-codes": [str(name) for name in ErrorName],
        "x-status-events": [str(event) for event in StatusEvent],
    }
