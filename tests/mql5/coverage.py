"""``make ea-coverage``: which lines of ``mql5/Include`` the tests execute.

The Expert Advisor is built with gcov's counters, the scenarios run with it, and its counters
come back to the lines of the .mqh files through ``#line``. What C++ does not even emit, such
as a short method that nobody calls, is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.mql5 import building

__all__ = ["main", "missed", "share"]

_TESTS: Final = Path(__file__).resolve().parent
_ROOT: Final = _TESTS.parents[1]
_INCLUDE: Final = _ROOT / "mql5" / "Include"
_LEAST: Final = 0.90
_RUN: Final = ("test_scenarios.py", "test_ea_cut_at_every_byte.py", "test_ea_hostile_relay.py")

Lines = dict[Path, dict[int, int]]


def notes() -> list[Path]:
    """
    Return gcov's notes of the programs as they are now.
    """
    building.build(_ROOT / "mql5" / "Experts" / "Bridge.mq5", mode="coverage")
    found: dict[str, Path] = {}
    for path in sorted(building.BUILD.glob("objects/Bridge-*/*.gcno"), key=_age):
        found["Bridge"] = path
    return list(found.values())


def counted(data: Path) -> Lines:
    """
    Return how often each line of ``mql5/Include`` was executed, by one program.
    """
    done = subprocess.run(
        ["gcov", "--json-format", "--stdout", data.name],
        cwd=data.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    lines: Lines = defaultdict(dict)
    for document in done.stdout.splitlines():
        for file in json.loads(document)["files"]:
            path = (data.parent / file["file"]).resolve()
            if _INCLUDE in path.parents:
                own = lines[path]
                for line in file["lines"]:
                    number = line["line_number"]
                    own[number] = own.get(number, 0) + line["count"]
    return lines


def share(lines: Mapping[int, int]) -> float:
    """
    Return which share of the lines was executed.
    """
    return sum(count > 0 for count in lines.values()) / len(lines) if lines else 1.0


def missed(lines: Mapping[int, int]) -> str:
    """
    Return the lines that were not, as ``3, 7-9``: a range also over lines without code.
    """
    parts: list[list[int]] = []
    before_missed = False
    for number in sorted(lines):
        if lines[number]:
            before_missed = False
            continue
        if before_missed:
            parts[-1][1] = number
        else:
            parts.append([number, number])
        before_missed = True
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in parts)


def main(arguments: list[str] | None = None) -> int:
    """
    Run the tests and report; return the exit code.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="only report what was counted before")
    options = parser.parse_args(arguments)
    folders = [path.parent for path in notes()]
    code = 0
    if not options.keep:
        for folder in folders:
            for old in folder.glob("*.gcda"):
                old.unlink()
        os.environ["BRIDGE_EA_BUILD"] = "coverage"
        run = [str(_TESTS / name) for name in _RUN]
        code = int(pytest.main(["-q", "--no-header", "-k", "not python_terminal", *run]))
    lines: Lines = defaultdict(dict)
    for data in (path for folder in folders for path in folder.glob("*.gcda")):
        for path, own in counted(data).items():
            for number, count in own.items():
                lines[path][number] = lines[path].get(number, 0) + count
    for text in report(lines):
        print(text)
    every = {(path, number): count for path, own in lines.items() for number, count in own.items()}
    total = sum(count > 0 for count in every.values()) / len(every) if every else 0.0
    print(f"total {total:.1%} of {len(every)} lines, at least {_LEAST:.0%} are wanted")
    return code or (0 if total >= _LEAST else 1)


def report(lines: Lines) -> Iterator[str]:
    """
    Yield a line for each file.
    """
    width = max((len(str(path.relative_to(_INCLUDE))) for path in lines), default=0)
    for path in sorted(lines):
        own = lines[path]
        name = str(path.relative_to(_INCLUDE))
        yield f"{name:<{width}}  {share(own):>6.1%}  {missed(own)}"


def _age(path: Path) -> float:
    return path.stat().st_mtime


if __name__ == "__main__":
    sys.exit(main())
