"""The bus protocol as JSON Schema and AsyncAPI, made from the code.

Envelope and parameters come from the pydantic models of ``bridge.bus.requests``. Bodies
and results have no models, because nothing is validated on the way out: their fields are
listed here, once, for schema and tables alike. ``names_of_bodies`` compares them with
``bridge.bus.bodies``; the integration tests compare results with a real relay's.

A schema describes a value as it stands in JSON. There an integer beyond 2^53 is decimal
text; in msgpack it is an integer always.
"""

from __future__ import annotations

import dataclasses
from enum import IntEnum, IntFlag
from typing import Any, Final, NamedTuple

from bridge.bus.bodies import BulkBody, RelayBody, StatusBody, StatusEvent, SyncBody, Tail
from bridge.bus.requests import BUS_VERSION, PARAMS, ControlMethod, ErrorName, Hop, Method, Request
from bridge.bus.topics import ALIAS_PATTERN, NONCE_PATTERN
from bridge.model.record import TickRecord
from bridge.model.symbol import SymbolSpec
from bridge.wire.spec import Permission, Role

__all__ = [
    "BODIES",
    "RESULTS",
    "Body",
    "FieldRow",
    "asyncapi",
    "names_of_bodies",
    "schemas",
    "symbol_rows",
]

Schema = dict[str, Any]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_ID: Final = "urn:mt5-zmq-bridge:bus:{version}:{name}"


class FieldRow(NamedTuple):
    """
    One field: its name, its schema, how msgpack writes it, and what it means.
    """

    name: str
    schema: Schema
    wire: str
    meaning: str


class Body(NamedTuple):
    """
    The array behind a topic: the topic's form, a title, its elements.
    """

    address: str
    title: str
    fields: list[FieldRow]


def _integer(least: int, most: int) -> Schema:
    schema: Schema = {"type": "integer", "minimum": least, "maximum": most}
    if max(-least, most) > 2**53:
        digits = "^(0|[1-9][0-9]{0,19})$" if least >= 0 else "^-?(0|[1-9][0-9]{0,18})$"
        return {"anyOf": [schema, {"type": "string", "pattern": digits}]}
    return schema


U16: Final = _integer(0, 2**16 - 1)
U32: Final = _integer(0, 2**32 - 1)
U64: Final = _integer(0, 2**64 - 1)
I16: Final = _integer(-(2**15), 2**15 - 1)
I64: Final = _integer(-(2**63), 2**63 - 1)
F64: Final[Schema] = {"type": "number"}
TEXT: Final[Schema] = {"type": "string"}
BOOL: Final[Schema] = {"type": "boolean"}
MAP: Final[Schema] = {"type": "object"}
HEX: Final[Schema] = {"type": "string", "pattern": "^([0-9a-f]{2})*$"}
NOTHING: Final[Schema] = {"type": "null"}


def _or_null(schema: Schema) -> Schema:
    members = schema.get("anyOf", [schema])
    return {"anyOf": [*members, NOTHING]}


def _array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _one_of(values: list[str]) -> Schema:
    return {"enum": values}


# --- bodies ------------------------------------------------------------------------------

_EPOCH: Final = FieldRow("epoch", U32, "u32", "the numbering that `seq` belongs to")
_SEQ: Final = FieldRow("seq", U64, "u64", "number of this message in its topic and epoch, from 1")
_TIME: Final = FieldRow("time_utc_msc", I64, "i64", "when it was published: ms since 1970, UTC")

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
            _EPOCH,
            _SEQ,
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
            _EPOCH,
            _SEQ,
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
            _EPOCH,
            _SEQ,
            _TIME,
            FieldRow("event", TEXT, "str", "name of the event; names may be added"),
            FieldRow("details", MAP, "map", "what the event has to tell; keys may be added"),
        ],
    ),
    "relay": Body(
        "relay",
        "The relay lives, and which topics moved since the last time",
        [
            _EPOCH,
            _SEQ,
            _TIME,
            FieldRow(
                "tails",
                _array(
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
    "sync": Body("sync/{nonce}", "A client's own barrier", [_EPOCH, _SEQ, _TIME]),
}


def names_of_bodies() -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """
    Return for each body its field names here and in the code; a test compares them.
    """
    code = {
        "tick": TickRecord._fields,
        "ticks": BulkBody._fields,
        "status": StatusBody._fields,
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


def _row(name: str, schema: Schema, meaning: str) -> FieldRow:
    return FieldRow(name, schema, "", meaning)


def _object(rows: list[FieldRow]) -> Schema:
    # Fields may be added in this version: so more than these are allowed.
    return {
        "type": "object",
        "properties": {row.name: {"description": row.meaning, **row.schema} for row in rows},
        "required": [row.name for row in rows],
    }


_ERROR: Final = [
    _row("code", TEXT, "what went wrong, one of the codes below; codes may be added"),
    _row("hop", TEXT, f"where: {', '.join(f'`{hop}`' for hop in Hop)}"),
    _row("message", TEXT, "a sentence for people; not stable"),
    _row("field", TEXT, "dotted name of the offending field, or empty"),
    _row("hint", TEXT, "what to do about it, or empty"),
]
_RETRY: Final = _row("retry_after_ms", U32, "only with TOO_MANY_REQUESTS: wait so long")

#: What every tick tells, whether it streams or was asked for alone.
_PRICE: Final = [
    row._replace(wire="") for row in BODIES["tick"].fields if row.name not in {"epoch", "seq"}
]

_PONG: Final = [
    _row("version", U16, "version of the wire protocol towards terminals"),
    _row("bus_version", U16, "version of this protocol"),
    _row("program", TEXT, "name and version of the relay"),
    _row("time_utc_msc", I64, "the relay's clock: ms since 1970, UTC"),
    _row("relay_epoch", U32, "grows with every start of the relay"),
    _row("publish", TEXT, "the publish endpoint: connect the SUB socket here"),
]

_TERMINAL: Final = [
    _row("alias", TEXT, "the terminal's name in topics and requests"),
    _row("state", _one_of(["connected", "away"]), "whether it has a session now"),
    _row("login", U64, "account number, 0 before the first session"),
    _row("server", TEXT, "name of the trade server"),
    _row("company", TEXT, "name of the dealer"),
    _row("currency", TEXT, "the account's currency"),
    _row("leverage", U32, "the account's leverage"),
    _row("trade_mode", U16, "ENUM_ACCOUNT_TRADE_MODE: 0 demo, 1 contest, 2 real"),
    _row("margin_mode", U16, "ENUM_ACCOUNT_MARGIN_MODE: 0 netting, 1 exchange, 2 hedging"),
    _row("build", U32, "build of MetaTrader"),
    _row("program", TEXT, "name and version of the terminal's side of the bridge"),
    _row(
        "role",
        _one_of(["", *(role.name.lower() for role in Role)]),
        "what the session carries, empty before the first",
    ),
    _row("since_utc_msc", I64, "since when `state` is so, 0 before the first session"),
    _row("sessions", U32, "sessions since the relay started"),
    _row(
        "permissions",
        {
            "type": "object",
            "properties": {str(flag.name).lower(): BOOL for flag in Permission},
            "required": [str(flag.name).lower() for flag in Permission],
        },
        "; ".join(f"`{str(flag.name).lower()}`" for flag in Permission).replace(";", ","),
    ),
    _row("server_time_msc", I64, "the trade server's clock at the last heartbeat"),
    _row("utc_offset_min", I16, "that clock minus UTC, in minutes"),
    _row("ping_last_us", _integer(-1, 2**31 - 1), "terminal to trade server and back"),
    _row("rtt_us", _or_null(U64), "relay to terminal and back, null while not measured"),
    _row("loop_interval_us", U32, "how often the terminal's program comes round"),
    _row("lag_us", U32, "how late it was"),
    _row("busy", BOOL, "it said that it may block: answers take longer"),
    _row("streams", U32, "symbols it streams now"),
    _row("gaps", U32, "gaps it announced since the relay started"),
]

_TOPIC_STATE: Final = [
    _row("topic", TEXT, "the topic as it was asked for"),
    _row(
        "status",
        _one_of(["ok", "idle", "error"]),
        "`ok`: live. `idle`: nothing is published, and nobody asked for it. `error`: see there",
    ),
    _row("epoch", U32, "epoch of the newest message, 0 when there is none"),
    _row("seq", U64, "`seq` of the newest message, 0 when this epoch has none yet"),
    _row("body", _or_null({"type": "array"}), "body of the newest message if it is held"),
    _row("oldest_seq", _or_null(U64), "oldest message that can be replayed, null: none"),
    _row("error", _or_null(_object(_ERROR)), "why it does not stream; same form as in a reply"),
]

_REPLAY: Final = [
    _row("topic", TEXT, "as asked"),
    _row("epoch", U32, "as asked"),
    _row("messages", _array({"type": "array"}), "bodies, in order and without holes"),
    _row("first", U64, "`seq` of the first of `messages`; as asked when there are none"),
    _row("next", _or_null(U64), "more is held: ask again with this as `first`"),
    _row(
        "missing",
        _array({"type": "array", "prefixItems": [U64, U64], "minItems": 2}),
        "`[first, last]` of what was asked for and is not held",
    ),
]


def symbol_rows() -> list[FieldRow]:
    """
    Return the fields of a symbol, with the types that ``SymbolSpec`` gives them.
    """
    rows = []
    for field in dataclasses.fields(SymbolSpec):
        default = field.default
        if field.name == "name":
            default = ""
        if isinstance(default, bool):
            schema, meaning = BOOL, ""
        elif isinstance(default, IntEnum | IntFlag):
            schema, meaning = U32, f"`{type(default).__name__}`"
        elif isinstance(default, int):
            schema, meaning = I64, ""
        elif isinstance(default, float):
            schema, meaning = F64, ""
        else:
            schema, meaning = TEXT, ""
        rows.append(_row(field.name, schema, meaning))
    return rows


def _symbol() -> Schema:
    # Terminals tell what they know: name and digits always, the rest where it applies.
    return {**_object(symbol_rows()), "required": ["name", "digits"]}


RESULTS: Final[dict[str, list[FieldRow]]] = {
    Method.PING: _PONG,
    Method.STATUS: [
        *_PONG,
        _row("uptime_ms", U64, "since the relay is ready"),
        _row("endpoints", MAP, "`terminal`, `request`, `publish`, `control`: where it listens"),
        _row("terminals", _array(_object(_TERMINAL)), "as in `terminals`"),
        _row("streams", _array(MAP), "one map for each stream, for people"),
        _row("published", U64, "ticks published since the start"),
    ],
    Method.TERMINALS: [
        _row("terminals", _array(_object(_TERMINAL)), "every configured terminal, see below")
    ],
    Method.SYMBOLS: [
        _row("symbols", _array(_symbol()), "the symbols of this page, fields as in `symbol`"),
        _row("total", U32, "symbols in the whole group"),
        _row("next_offset", _or_null(U32), "`offset` of the next page, null: this was the last"),
    ],
    Method.SYMBOL: [_row("symbol", _symbol(), "see below")],
    Method.TICK: [
        _row(
            "tick",
            _object(_PRICE),
            "a map with the names of the tick's body; `epoch` and `seq` only when `streaming`",
        ),
        _row("streaming", BOOL, "true: the newest published tick. false: the terminal was asked"),
    ],
    Method.SNAPSHOT: [_row("topics", _array(_object(_TOPIC_STATE)), "in the order of the request")],
    Method.SYNC: [],
    Method.REPLAY: _REPLAY,
}

#: The entries of lists inside of results, for the tables.
PARTS: Final = {
    "terminal": _TERMINAL,
    "topic-state": _TOPIC_STATE,
    "error": [*_ERROR, _RETRY],
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
    error = _object(_ERROR)
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
    for name, rows in RESULTS.items():
        method = Method(name)
        files[f"result-{method}.json"] = {"title": f"Result of {method}", **_object(rows)}
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
                    if method in PARAMS
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
