"""Write what docs/ has of the wire protocol from the code.

``TABLES`` are the generated parts of ``docs/reference/wire-protocol.md``; ``tools/docs.py``
puts them between their markers.

    python -m tools.wire_docs            write them (make docs does so too)
    python -m tools.wire_docs --check    only tell what differs; exit code 1 if anything does
"""

from __future__ import annotations

import argparse
import enum
import json
import sys
import textwrap
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from bridge.wire import spec, structures
from bridge.wire.fields import Field, ListField, OptionalField, TupleField
from bridge.wire.messages import MESSAGES
from bridge.wire.spec import FrameType
from bridge.wire.states import RELAY_RECEIVES, TERMINAL_RECEIVES, State
from tools.wire_vectors import vectors
from tools.wire_words import DIRECTIONS, ENUMS, FIELDS, LIMITS, STATES

__all__ = ["PAGE", "TABLES", "main", "render_tables"]

#: below docs/
PAGE: Final = "reference/wire-protocol.md"

#: the nested structures, in the order in which the page explains them
_STRUCTURES: Final[dict[str, TupleField]] = {
    "Cursor": structures.CURSOR,
    "Resume": structures.RESUME,
    "TerminalState": structures.TERMINAL_STATE,
    "EventCursor": structures.EVENT_CURSOR,
    "OrderRequest": structures.ORDER_REQUEST,
    "QueriedCommand": structures.QUERIED_COMMAND,
}
_VECTOR_WIDTH: Final = 64


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _label(field: Field) -> str:
    # A structure is named and has a table of its own.
    match field:
        case OptionalField(field=inner):
            return f"{_label(inner)}, nil"
        case ListField(field=inner, max_items=most):
            return f"array ≤ {most} of {_label(inner)}"
    for name, structure in _STRUCTURES.items():
        if field is structure:
            return name
    return field.label.replace("<=", "≤")


def _fields(name: str, fields: tuple[tuple[str, Field], ...]) -> str:
    meanings = FIELDS[name]
    return _table(
        ("#", "Field", "Type", "Meaning"),
        ((i, f"`{part}`", _label(field), meanings[part]) for i, (part, field) in enumerate(fields)),
    )


def _frame_types() -> str:
    return _table(
        ("Number", "Type", "Sent by", "Lane", "Capability"),
        (
            (f"0x{kind:02x}", kind.name, *(cell or "none" for cell in DIRECTIONS[kind]))
            for kind in FrameType
        ),
    )


def _messages(first: int, last: int) -> str:
    parts = []
    for number, cls in sorted(MESSAGES.items()):
        if first <= number <= last:
            text = " ".join(textwrap.dedent(cls.__doc__ or "").split())
            text = text.replace("``", "`")
            parts.append(f"#### {cls.TYPE.name} (0x{number:02x})\n\n{text}\n")
            parts.append(_fields(cls.__name__, cls.FIELDS) + "\n")
    return "\n".join(parts)


def _structures() -> str:
    parts = []
    for name, structure in _STRUCTURES.items():
        parts.append(f"#### {name}\n")
        parts.append(_fields(name, structure.fields) + "\n")
    return "\n".join(parts)


def _enumerations() -> str:
    parts = []
    for kind, meanings in ENUMS.items():
        is_flag = issubclass(kind, enum.IntFlag)
        rows = zip(kind, meanings, strict=True)
        parts.append(f"#### {kind.__name__}{' (bits)' if is_flag else ''}\n")
        parts.append(
            _table(
                ("Value", "Name", "Meaning"),
                ((member.value, member.name, meaning) for member, meaning in rows),
            )
            + "\n"
        )
    return "\n".join(parts)


def _limits() -> str:
    rows = []
    for name, (unit, reason) in LIMITS.items():
        value = getattr(spec, name)
        shown = f"{value:,}" if unit else f"0x{value:02x}"
        rows.append((f"`{name}`", f"{shown} {unit}".strip(), reason))
    return _table(("Name", "Value", "Why"), rows)


def _states() -> str:
    parts = []
    for title, states in (("The terminal", TERMINAL_RECEIVES), ("The relay", RELAY_RECEIVES)):
        rows = []
        for state in State:
            if state in states:
                types = ", ".join(kind.name for kind in sorted(states[state])) or "none"
                rows.append((state.name, STATES[state], types))
        parts.append(f"#### {title}\n")
        parts.append(_table(("State", "", "May arrive"), rows) + "\n")
    return "\n".join(parts)


def _data(name: str) -> object:
    data: object = json.loads(vectors()[name])["data"]
    return data


def _hex(text: str) -> str:
    return "\n".join("    " + line for line in textwrap.wrap(text, _VECTOR_WIDTH))


def _logon_vector() -> str:
    logon = _data("logon.json")
    assert isinstance(logon, dict)  # noqa: S101  # tells the type checker what the file has
    names = ("key", "transcript", "relay_proof", "terminal_proof", "relay_key", "terminal_key")
    parts = [f"{name}\n{_hex(logon[name])}" for name in names]
    parts += [
        f"frame {frame['seq']} from the {frame['from']}: {frame['type']}\n{_hex(frame['hex'])}"
        for frame in logon["frames"]
    ]
    return "```text\n" + "\n".join(parts) + "\n```"


def _ticks_vector() -> str:
    records = _data("records.json")
    assert isinstance(records, dict)  # noqa: S101  # tells the type checker what the file has
    parts = []
    for case in records["records"][1:3]:
        tick = case["tick"]
        parts.append(
            f"epoch {case['epoch']} seq {case['seq']} time_msc {tick['time_msc']} "
            f"bid {tick['bid']} ask {tick['ask']} flags {tick['flags']} "
            f"utc_offset_min {case['utc_offset_min']}\n{_hex(case['record'])}"
        )
        parts.append(
            "cursor behind it: time_msc {}, ticks {}, crc 0x{:08x}".format(*case["cursor"])
        )
    return "```text\n" + "\n".join(parts) + "\n```"


def render_tables() -> dict[str, str]:
    """
    Return every generated part of the page, by the name in its markers.

    Raises:
        KeyError: a name of the code has no meaning in ``tools/wire_words.py``.
        ValueError: an enumeration has more or fewer names than meanings.
    """
    return {name: table() for name, table in TABLES.items()}


#: every generated table: the name in the markers, and what makes the text
TABLES: Final[dict[str, Callable[[], str]]] = {
    "wire-frame-types": _frame_types,
    "wire-logon-messages": partial(_messages, 0x01, 0x04),
    "wire-session-messages": partial(_messages, 0x05, 0x0F),
    "wire-stream-messages": partial(_messages, 0x10, 0x1F),
    "wire-read-messages": partial(_messages, 0x20, 0x2F),
    "wire-trade-messages": partial(_messages, 0x30, 0x3F),
    "wire-structures": _structures,
    "wire-states": _states,
    "wire-limits": _limits,
    "wire-enumerations": _enumerations,
    "wire-logon-vector": _logon_vector,
    "wire-ticks-vector": _ticks_vector,
}


def main(arguments: list[str] | None = None) -> int:
    """
    Write or check the page; return the exit code.
    """
    from tools.docs import DOCS, rendered  # noqa: PLC0415  # docs.py imports this module's tables

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, tell what differs")
    check = parser.parse_args(arguments).check
    page = DOCS / PAGE
    before = page.read_text(encoding="utf-8")
    after = rendered(before)
    if after == before:
        return 0
    print(f"{'stale' if check else 'written'}: {page.relative_to(DOCS.parent)}")
    if not check:
        page.write_text(after, encoding="utf-8", newline="\n")
    return 1 if check else 0


if __name__ == "__main__":
    sys.exit(main())
