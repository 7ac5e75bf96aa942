"""
What README, tutorial and how-tos tell people to type can be typed.

The commands of the tutorial are also run (``tests/integration/test_tutorial.py``), and so
is the demo of the README (``tests/integration/test_demo.py``).
"""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from pathlib import Path

import click
import pytest

from bridge.cli.app import cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs" / "tutorial").glob("*.md")),
    *sorted((ROOT / "docs" / "howto").glob("*.md")),
    *sorted((ROOT / "docs" / "explanation").glob("*.md")),
    ROOT / "docs" / "reference" / "command-line.md",
]
FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
SHELLS = {"sh", "bash", "powershell", "console"}
INLINE = re.compile(r"`(?P<text>(?:bridge|make) [^`]+)`")


def blocks(page, languages):
    text = page.read_text(encoding="utf-8")
    return [match["text"] for match in FENCE.finditer(text) if match["language"] in languages]


def commands():
    """
    Yield page and command, one a line of a block, or in the middle of a sentence.
    """
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines = [line for block in blocks(page, SHELLS) for line in block.splitlines()]
        inline = [match["text"] for match in INLINE.finditer(FENCE.sub("", text))]
        for line in [*lines, *inline]:
            command = re.sub(r"^\S*[/\\](bridge|python)\b", r"\1", line.strip())
            if command:
                yield pytest.param(command, id=f"{page.name}: {command}")


def parsed(words):
    """
    Parse the arguments of a bridge command; click raises at what it does not know.
    """
    ctx = click.Context(cli, info_name="bridge")
    command = cli.get_command(ctx, words[0])
    assert command is not None, words[0]
    rest = words[1:]
    while isinstance(command, click.Group) and rest:
        command = command.get_command(ctx, rest.pop(0))
        assert command is not None, words
    if rest in (["--help"], ["-h"]):
        return
    parser = command.make_parser(click.Context(command, ctx))
    parser.parse_args(rest)


@pytest.mark.parametrize("command", list(commands()))
def test_a_command_exists(command):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    # "bridge tail | head": what is behind the pipe is not ours.
    words = shlex.split(command.partition("|")[0].partition(" #")[0], posix=True)
    match words:
        case ["bridge", *rest] if not (rest and rest[0].isupper()):
            parsed(rest)
        case ["make", *rest]:
            assert [word for word in rest if "=" not in word and word not in targets] == []
        case ["python", "-m", "bridge", *rest] if rest:
            parsed(rest)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_compiles_and_imports_what_exists(page):
    for block in blocks(page, {"python"}):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "bridge":
                module = importlib.import_module(node.module)
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_say_their_language(page):
    fences = FENCE.finditer(page.read_text(encoding="utf-8"))

    assert {match["language"] for match in fences} <= {
        *SHELLS,
        "python",
        "toml",
        "text",
        "json",
        "",
    }


@pytest.mark.parametrize(
    "command", ["nonsense", "run --nonsense", "config nonsense", "tail --count"]
)
def test_what_does_not_exist_is_found(command):
    with pytest.raises((AssertionError, click.UsageError)):
        parsed(command.split())
