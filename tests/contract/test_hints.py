"""A message that says what to do names commands that are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import click
import pytest

from bridge.cli.app import cli

ROOT = Path(__file__).resolve().parents[2]
#: 'bridge run', `bridge order status ...`: as messages name commands
COMMAND = re.compile(r"['`]bridge ((?:[a-z][a-z-]*[ '`])+)")


def texts():
    """
    Yield (module and line, text) of every text in the source, parts of f-strings included.
    """
    for path in sorted((ROOT / "bridge").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node.value


def missing(text):
    """
    Return what a text names as a command and is none.
    """
    found = []
    for words in COMMAND.findall(text):
        group = cli
        for word in words.strip(" '`").split():
            command = group.get_command(click.Context(group), word)
            if command is None:
                found.append(words.strip(" '`"))
                break
            if not isinstance(command, click.Group):
                break  # what follows are its arguments
            group = command
    return found


def test_every_command_that_a_message_names_is_there():
    assert [] == [(where, name) for where, text in texts() for name in missing(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("start it with 'bridge run'", []),
        ("'bridge order status cli/1' tells", []),
        ("ask `bridge order nope`", ["order nope"]),
        ("'bridge fly'", ["fly"]),
        ("a bridge between two", []),
        ("'bridge init --home' or 'bridge land'", ["land"]),
    ],
)
def test_what_the_check_finds(text, expected):
    assert expected == missing(text)


def test_the_check_looks_at_many():
    assert 30 < sum(len(COMMAND.findall(text)) for _, text in texts())
