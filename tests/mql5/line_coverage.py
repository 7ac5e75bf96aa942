"""Which lines of the MQL5 sources ran: counters of gcov, told by the lines of .mqh and .mq5.

Programs built with ``mode="coverage"`` write their counters into ``.mql5-build/`` when they end,
each run adding to the last. ``reset()`` forgets them, ``collect()`` reads them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.mql5.building import BUILD, BuildError

__all__ = ["FileCoverage", "collect", "main", "report", "reset"]

_ROOT: Final = BUILD.parent
#: What is measured: the sources that users install.
_MEASURED: Final = _ROOT / "mql5" / "Include"


@dataclass(slots=True)
class FileCoverage:
    """
    ``counts``: how often each line with code ran, in all programs together.
    """

    path: Path
    counts: dict[int, int] = field(default_factory=dict)

    @property
    def covered(self) -> int:
        return sum(count > 0 for count in self.counts.values())

    @property
    def missing(self) -> list[int]:
        return sorted(line for line, count in self.counts.items() if count == 0)

    @property
    def percent(self) -> float:
        return 100.0 * self.covered / len(self.counts) if self.counts else 100.0


def reset() -> None:
    """
    Forget what ran so far.
    """
    for path in BUILD.glob("objects/*/*.gcda"):
        path.unlink()


def collect(measured: Path = _MEASURED) -> list[FileCoverage]:
    """
    Return the coverage of all files below a folder, by path.

    Files that no program includes are listed without lines.

    Raises:
        BuildError: gcov is not there, or no program wrote counters.

    """
    gcov = shutil.which("gcov")
    if gcov is None:
        raise BuildError("gcov is not installed: it comes with g++")
    counters = sorted(BUILD.glob("objects/*/*.gcda"))
    if not counters:
        raise BuildError("nothing was counted: run programs that were built for coverage")
    lines: dict[Path, dict[int, int]] = defaultdict(dict)
    for counter in counters:
        for entry in _read(gcov, counter):
            path = Path(entry["file"])
            path = (path if path.is_absolute() else _ROOT / path).resolve()
            if measured.resolve() not in path.parents:
                continue
            found = lines[path]
            for line in entry["lines"]:
                number = int(line["line_number"])
                found[number] = found.get(number, 0) + int(line["count"])
    every = {path.resolve() for path in measured.rglob("*.mq[h5]")} | set(lines)
    return [FileCoverage(path, lines.get(path, {})) for path in sorted(every)]


def _read(gcov: str, counter: Path) -> list[dict[str, Any]]:
    # Lines that stand in several functions are told once for each.
    command = [gcov, "--json-format", "--stdout", str(counter)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=counter.parent)
    if done.returncode != 0:
        raise BuildError(f"gcov: {done.stderr.strip()}")
    return [
        entry for line in done.stdout.splitlines() if line for entry in json.loads(line)["files"]
    ]


def report(files: list[FileCoverage]) -> str:
    """
    Return a table: lines, lines that ran, percent and the lines that did not, and the total.
    """
    width = max((len(_shown(item.path)) for item in files), default=0)
    rows = [f"{'file':<{width}}  lines    ran  percent  missing"]
    for item in files:
        missing = _ranges(item.missing) if item.counts else "in no program"
        rows.append(
            f"{_shown(item.path):<{width}}  {len(item.counts):>5}  {item.covered:>5}"
            f"  {item.percent:>6.1f}%  {missing}".rstrip()
        )
    total = sum(len(item.counts) for item in files)
    ran = sum(item.covered for item in files)
    percent = 100.0 * ran / total if total else 0.0
    rows.append(f"{'total':<{width}}  {total:>5}  {ran:>5}  {percent:>6.1f}%")
    return "\n".join(rows)


def _shown(path: Path) -> str:
    return str(path.relative_to(_ROOT)) if _ROOT in path.parents else str(path)


def _ranges(numbers: list[int]) -> str:
    # 1, 2, 3, 7 as 1-3, 7
    pieces: list[list[int]] = []
    for number in numbers:
        if pieces and number == pieces[-1][1] + 1:
            pieces[-1][1] = number
        else:
            pieces.append([number, number])
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in pieces)


def main(arguments: list[str]) -> int:
    """
    ``coverage``: print the table. ``coverage --reset``: forget the counters.
    ``coverage --fail-under 90``: exit code 2 when the total is below.
    """
    if arguments == ["--reset"]:
        reset()
        return 0
    files = collect()
    print(report(files))  # the report is what was asked for
    if arguments[:1] == ["--fail-under"]:
        total = sum(len(item.counts) for item in files)
        ran = sum(item.covered for item in files)
        return 2 if 100.0 * ran < float(arguments[1]) * total else 0
    return 0
