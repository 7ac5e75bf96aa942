"""Pairs of sources for the tests of the checker: one with a fault, one without.

A line of the bad source that ends with ``//!`` is where the finding has to be.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tests.mql5.findings import Finding
from tests.mql5.frontend import check

__all__ = ["HEAD", "Case", "body", "case", "found_in", "problem_of"]

#: What every program has.
HEAD = '#property version "1.00"\n#property description "a test"\n'


class Case(NamedTuple):
    """
    ``code``: of the finding in ``bad``.
    """

    name: str
    code: str
    clean: str
    bad: str


def case(name: str, code: str, clean: str, bad: str, before: str = "") -> Case:
    """
    Make a case; ``before`` stands in front of both sources.
    """
    return Case(name, code, before + clean, before + bad)


def body(*lines: str) -> str:
    """
    Return a function with these lines.
    """
    return "void Work()\n{\n" + "".join(f"   {line}\n" for line in lines) + "}\n"


def found_in(folder: Path, source: str) -> list[Finding]:
    """
    Check a source as a main file.
    """
    path = folder / "Test.mq5"
    path.write_text(HEAD + source, "utf-8")
    return check([path], folder)


def problem_of(folder: Path, one: Case) -> str | None:
    """
    Return why the bad source is not found as it has to be, None if it is.
    """
    lines = (HEAD + one.bad).splitlines()
    marked = {number for number, line in enumerate(lines, 1) if line.endswith("//!")}
    found = found_in(folder, one.bad)
    places = {finding.place.line for finding in found if finding.code == one.code}
    if marked and places == marked:
        return None
    told = "".join(f"\n{finding}" for finding in found)
    return f"{one.code} on the lines {sorted(places)}, not {sorted(marked)}:{told}"
