"""How a field of a body or result is described: its schema, and what the tables say of it.

A schema describes a value as it stands in JSON. There an integer beyond 2^53 is decimal
text; in msgpack it is an integer always.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from enum import IntEnum, IntFlag
from typing import Any, Final, NamedTuple

__all__ = [
    "BOOL",
    "EPOCH",
    "F64",
    "HEX",
    "I16",
    "I32",
    "I64",
    "MAP",
    "NOTHING",
    "SEQ",
    "TEXT",
    "TIME",
    "U16",
    "U32",
    "U64",
    "Body",
    "FieldRow",
    "Schema",
    "array",
    "integer",
    "object_of",
    "one_of",
    "or_null",
    "record_rows",
    "row",
]

Schema = dict[str, Any]


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


def integer(least: int, most: int) -> Schema:
    """
    Return the schema of an integer; beyond 2^53 it may be decimal text.
    """
    schema: Schema = {"type": "integer", "minimum": least, "maximum": most}
    if max(-least, most) > 2**53:
        digits = "^(0|[1-9][0-9]{0,19})$" if least >= 0 else "^-?(0|[1-9][0-9]{0,18})$"
        return {"anyOf": [schema, {"type": "string", "pattern": digits}]}
    return schema


U16: Final = integer(0, 2**16 - 1)
U32: Final = integer(0, 2**32 - 1)
U64: Final = integer(0, 2**64 - 1)
I16: Final = integer(-(2**15), 2**15 - 1)
I32: Final = integer(-(2**31), 2**31 - 1)
I64: Final = integer(-(2**63), 2**63 - 1)
F64: Final[Schema] = {"type": "number"}
TEXT: Final[Schema] = {"type": "string"}
BOOL: Final[Schema] = {"type": "boolean"}
MAP: Final[Schema] = {"type": "object"}
HEX: Final[Schema] = {"type": "string", "pattern": "^([0-9a-f]{2})*$"}
NOTHING: Final[Schema] = {"type": "null"}


def or_null(schema: Schema) -> Schema:
    """
    Return a schema that also takes null.
    """
    members = schema.get("anyOf", [schema])
    return {"anyOf": [*members, NOTHING]}


def array(items: Schema) -> Schema:
    """
    Return the schema of an array of these.
    """
    return {"type": "array", "items": items}


def one_of(values: Iterable[str]) -> Schema:
    """
    Return the schema of a text that is one of these.
    """
    return {"enum": [str(value) for value in values]}


EPOCH: Final = FieldRow("epoch", U32, "u32", "the numbering that `seq` belongs to")
SEQ: Final = FieldRow("seq", U64, "u64", "number of this message in its topic and epoch, from 1")
TIME: Final = FieldRow("time_utc_msc", I64, "i64", "when it was published: ms since 1970, UTC")


def row(name: str, schema: Schema, meaning: str) -> FieldRow:
    """
    Return a field of a result: it has no form of its own in msgpack.
    """
    return FieldRow(name, schema, "", meaning)


def object_of(rows: list[FieldRow]) -> Schema:
    """
    Return the schema of a map with these fields and perhaps others.
    """
    # Fields may be added in this version: so more than these are allowed.
    return {
        "type": "object",
        "properties": {row.name: {"description": row.meaning, **row.schema} for row in rows},
        "required": [row.name for row in rows],
    }


#: What MQL5 declares as ulong.
_U64_FIELDS: Final = frozenset(
    {"login", "ticket", "order", "magic", "position", "position_id", "position_by_id", "identifier"}
)


def record_rows(kind: type[Any], meanings: dict[str, str] | None = None) -> list[FieldRow]:
    """
    Return the fields of a record (a dataclass of the model), with the types of its defaults.

    A field without a default is a ticket or a name: ``name`` is text, every other one a u64.
    """
    meanings = meanings or {}
    rows = []
    for field in dataclasses.fields(kind):
        default: Any = field.default
        if default is dataclasses.MISSING:
            default = "" if field.name == "name" else None
        meaning = meanings.get(field.name, "")
        if isinstance(default, bool):
            schema = BOOL
        elif isinstance(default, IntEnum | IntFlag):
            schema, meaning = U32, f"`{type(default).__name__}`"
        elif default is None or field.name in _U64_FIELDS:
            schema = U64
        elif isinstance(default, int):
            schema = I64
        elif isinstance(default, float):
            schema = F64
        else:
            schema = TEXT
        rows.append(row(field.name, schema, meaning))
    return rows
