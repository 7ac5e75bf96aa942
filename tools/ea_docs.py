"""The table of the Expert Advisor's inputs, read from its source.

What MetaTrader shows in the tab Inputs is the comment behind an ``input``; it is the meaning
in the table as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["SOURCE", "TABLES", "Input", "inputs"]

_FOLDER: Final = Path(__file__).resolve().parent.parent / "mql5"
SOURCE: Final = _FOLDER / "Experts" / "Bridge.mq5"

_INPUT: Final = re.compile(
    r"^s?input\s+(?P<type>\w+)\s+(?P<name>\w+)\s*=\s*(?P<value>[^;]*?)\s*;"
    r"[ \t]*(?://[ \t]*(?P<meaning>.*?))?[ \t]*$",
    re.MULTILINE,
)
_DEFINE: Final = re.compile(r"^#define\s+(?P<name>\w+)\s+(?P<value>\S+)", re.MULTILINE)
_ENUM: Final = re.compile(r"^enum\s+(?P<name>\w+)\s*\{(?P<body>[^}]*)\}", re.MULTILINE)
_ENUM_VALUE: Final = re.compile(
    r"^\s*(?P<name>\w+)\s*=[^/\n]*//\s*(?P<meaning>.+?)\s*$", re.MULTILINE
)
_KEYWORD: Final = re.compile(r"^s?input\s+(?!group\b)", re.MULTILINE)
_KINDS: Final = {
    "string": "text",
    "int": "integer",
    "uint": "integer",
    "double": "number",
    "bool": "true or false",
}


class Input(NamedTuple):
    """
    One input: its type and default as in the source, and what MetaTrader shows for its name.
    """

    name: str
    type: str
    default: str
    meaning: str


def inputs(text: str) -> list[Input]:
    """
    Return the inputs of a source, in its order.

    Raises:
        ValueError: an input has no comment, or stands in a form that is not understood.
    """
    found = [
        Input(match["name"], match["type"], match["value"], match["meaning"] or "")
        for match in _INPUT.finditer(text)
    ]
    if len(found) != len(_KEYWORD.findall(text)):
        raise ValueError("an input is not written as: input TYPE NAME = DEFAULT; // MEANING")
    for one in found:
        if not one.meaning:
            raise ValueError(f"{one.name} has no comment: MetaTrader would show its bare name")
    return found


def _rows() -> Iterator[str]:
    headers = sorted((_FOLDER / "Include").rglob("*.mqh"))
    included = "\n".join(path.read_text(encoding="utf-8") for path in headers)
    named = {match["name"]: match["value"] for match in _DEFINE.finditer(included)}
    enums = {match["name"]: match["body"] for match in _ENUM.finditer(included)}
    yield "| Input | What it is | Default | |"
    yield "|---|---|---|---|"
    for one in inputs(SOURCE.read_text(encoding="utf-8")):
        default = named.get(one.default, one.default)
        default = "empty" if default == '""' else f"`{default}`".replace('"', "")
        if one.type in enums:
            shown = dict(_ENUM_VALUE.findall(enums[one.type]))
            default = shown.get(one.default, default)
            kind = "one of: " + "; ".join(shown.values())
        else:
            kind = _KINDS[one.type]
        yield f"| `{one.name}` | {one.meaning} | {default} | {kind} |"


def _inputs_table() -> str:
    return "\n".join(_rows())


#: every generated table: the name in the markers, and what makes the text
TABLES: Final[dict[str, Callable[[], str]]] = {"ea-inputs": _inputs_table}
