"""The tables of docs/reference/conformance-scripts.md: all scripts, made from their first lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.conformance.language import COMMANDS, QUESTIONS, Script, read_script
from tests.conformance.scripts import all_paths

__all__ = ["TABLES"]


def _scripts() -> str:
    groups: dict[str, list[Script]] = {}
    for path in all_paths():
        groups.setdefault(path.parent.name, []).append(read_script(path))
    count = sum(map(len, groups.values()))
    blocks = [f"{count} scripts."]
    for group, scripts in groups.items():
        rows = ["| Script | For | Shows | Holds |", "|---|---|---|---|"]
        rows += [
            f"| `{script.path.stem}` | {script.side} | {script.title} | {'; '.join(script.holds)} |"
            for script in scripts
        ]
        blocks.append(f"### {group}\n\n" + "\n".join(rows))
    return "\n\n".join(blocks)


def _commands() -> str:
    rows = ["| Line | For | Fields |", "|---|---|---|"]
    for side, commands in COMMANDS.items():
        for name, fields in commands.items():
            told = "see below" if fields is None else ", ".join(f"`{field}`" for field in fields)
            rows.append(f"| `= {name}` | {side} | {told} |")
    for name, fields in QUESTIONS.items():
        rows.append(f"| `=? {name}` | terminal | {', '.join(f'`{field}`' for field in fields)} |")
    return "\n".join(rows)


TABLES: Final[dict[str, Callable[[], str]]] = {
    "conformance-commands": _commands,
    "conformance-scripts": _scripts,
}
