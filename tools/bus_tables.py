"""Tables of the bus protocol's page: a schema in a few words, fields as rows, messages as JSON."""

from __future__ import annotations

import json
from typing import Any

from tools.bus_rows import FieldRow

__all__ = ["json_block", "params_table", "record_table", "rows_table", "table", "type_words"]


def table(head: list[str], rows: list[list[str]]) -> str:
    """
    Return a table of Markdown.
    """
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _power(number: float) -> str:
    if number == int(number):
        number = int(number)
    for bits in (64, 63, 53, 32, 31, 16, 15):
        if number == 2**bits:
            return f"2^{bits}"
        if number == 2**bits - 1:
            return f"2^{bits}-1"
        if number == -(2**bits):
            return f"-2^{bits}"
    return f"{number:,}" if abs(number) >= 10_000 else str(number)


def _bounds(schema: dict[str, Any]) -> str:
    least = schema.get("minimum")
    most = schema.get("maximum")
    if most is None and "exclusiveMaximum" in schema:
        most = schema["exclusiveMaximum"] - 1
    if "exclusiveMinimum" in schema and most is not None:
        return f" above {_power(schema['exclusiveMinimum'])}, up to {_power(most)}"
    return "" if least is None or most is None else f" {_power(least)}..{_power(most)}"


def type_words(schema: dict[str, Any]) -> str:
    """
    Return a schema in a few words.
    """
    if "anyOf" in schema:
        members = [member for member in schema["anyOf"] if member != {"type": "null"}]
        if any(member.get("type") == "integer" for member in members) and any(
            "pattern" in member for member in members
        ):
            members = [member for member in members if "pattern" not in member]
        words = " or ".join(type_words(member) for member in members)
        return words + (" or null" if {"type": "null"} in schema["anyOf"] else "")
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    kind = schema.get("type", "any")
    if kind in {"integer", "number"}:
        return f"{kind}{_bounds(schema)}"
    if kind == "string":
        least, most = schema.get("minLength", 0), schema.get("maxLength")
        length = f" of {least} to {most} characters" if most else ""
        pattern = schema.get("pattern", "")
        return f"text{length}" + (f", `{pattern}`" if pattern else "")
    if kind == "array":
        least, most = schema.get("minItems", 0), schema.get("maxItems")
        count = f" of {least} to {most}" if most else ""
        inner = schema.get("items")
        return f"array{count}" + (f" of: {type_words(inner)}" if inner else "")
    return "map" if kind == "object" else str(kind)


def params_table(model_schema: dict[str, Any]) -> str:
    """
    Return the table of a model of parameters.
    """
    required = set(model_schema.get("required", ()))
    rows = []
    for name, schema in model_schema.get("properties", {}).items():
        default = "required" if name in required else json.dumps(schema.get("default", {}))
        default = "absent" if default == "null" else default
        kind = type_words(schema).removesuffix(" or null")
        rows.append([f"`{name}`", kind, default, schema.get("description", "")])
    return table(["Field", "Type", "Default", "Meaning"], rows)


def rows_table(rows: list[FieldRow]) -> str:
    """
    Return the table of the fields of a result.
    """
    return table(
        ["Field", "Type", "Meaning"],
        [[f"`{row.name}`", type_words(row.schema), row.meaning] for row in rows],
    )


def record_table(rows: list[FieldRow]) -> str:
    """
    Return the table of a record whose fields are MQL5's properties: few need words.
    """
    return table(
        ["Field", "Type"],
        [
            [f"`{row.name}`", type_words(row.schema) + (f", {row.meaning}" if row.meaning else "")]
            for row in rows
        ],
    )


def json_block(value: dict[str, Any]) -> str:
    """
    Return a message as a block of JSON, folded where it is long.
    """
    return f"```json\n{_folded(value)}\n```"


def _folded(value: Any, indent: str = "", width: int = 92) -> str:
    # json.dumps either writes one line or one line for each number.
    flat = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(flat) <= width or not isinstance(value, dict | list) or not value:
        return flat
    inner = indent + "  "
    if isinstance(value, dict):
        parts = [
            f"{inner}{json.dumps(key)}: {_folded(item, inner, width - len(key) - 5)}"
            for key, item in value.items()
        ]
        return "{\n" + ",\n".join(parts) + f"\n{indent}}}"
    return "[\n" + ",\n".join(f"{inner}{_folded(item, inner)}" for item in value) + f"\n{indent}]"
