"""What a command writes: data on stdout, everything else on stderr.

Nothing here can raise because of a console: what code page 1252 cannot show is written
as an escape, and a reader that went away ends the command quietly.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import click

__all__ = [
    "ReaderGone",
    "discard_stdout",
    "document",
    "form",
    "make_printable",
    "printable",
    "say",
    "table",
    "write",
    "write_records",
]

#: Of the JSON documents, as the option -o json gives them.
_VERSION: Final = 1


class ReaderGone(Exception):
    """
    Whoever read stdout has closed it: the command ends, and that is no error.
    """


def make_printable() -> None:
    """
    Let both streams escape what their encoding cannot show, instead of raising.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(text: str) -> None:
    """
    Write one line to stderr; without anybody to read it, to nobody.
    """
    try:
        click.echo(text, err=True)
    except (OSError, ValueError):
        return


def write(text: str) -> None:
    """
    Write one line of data to stdout, at once.

    Raises:
        ReaderGone: nobody reads it any more.
    """
    try:
        click.echo(text)
    except BrokenPipeError:
        raise ReaderGone from None
    except OSError as error:
        # Windows tells a closed pipe so.
        if sys.platform == "win32":
            raise ReaderGone from error
        raise


def discard_stdout() -> None:
    """
    Send what is still buffered to nowhere, so that the interpreter's end does not fail.
    """
    # A stream without a descriptor has no buffer that is flushed at the end either.
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def form(wanted: str | None, otherwise: str = "json") -> str:
    """
    Return what ``-o`` said; without it a table for people and ``otherwise`` for programs.
    """
    return wanted or ("table" if sys.stdout.isatty() else otherwise)


def document(content: Mapping[str, Any]) -> str:
    """
    Return one JSON document on one line. ASCII: it survives every console and pipe.
    """
    return json.dumps({"v": _VERSION, **content}, allow_nan=False, separators=(",", ":"))


def write_records(name: str, records: Sequence[Mapping[str, Any]], wanted: str | None) -> None:
    """
    Write records as a table, as one document ``{"v":1,name:[...]}``, or one document each.

    Raises:
        ReaderGone: nobody reads it any more.
    """
    match form(wanted):
        case "json":
            write(document({name: [dict(record) for record in records]}))
        case "jsonl":
            for record in records:
                write(document(record))
        case _:
            columns = list(records[0]) if records else []
            write(table(columns, [list(record.values()) for record in records]))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """
    Return aligned columns: numbers to the right, everything else to the left.
    """
    rows = [list(row) for row in rows]
    cells = [[title.upper() for title in columns], *([_text(cell) for cell in row] for row in rows)]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    right = [
        all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in column)
        and bool(column)
        for column in (zip(*rows, strict=True) if rows else ((),) * len(widths))
    ]
    return "\n".join(
        "  ".join(
            " " * (width - _width(cell)) + cell if to_right else cell + " " * (width - _width(cell))
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in cells
    )


def printable(text: str) -> str:
    """
    Return text from outside so that it can neither forge lines nor move the cursor.
    """
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def _text(cell: Any) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return printable(str(cell))


def _width(text: str) -> int:
    # Brokers have names in scripts whose letters take two columns.
    return sum(1 + (unicodedata.east_asian_width(char) in "WF") for char in text)
