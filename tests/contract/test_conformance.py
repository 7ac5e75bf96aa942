"""
The conformance scripts: enough of them, each different, each naming what it holds.
"""

from __future__ import annotations

import re

import pytest

from tests.conformance.language import read_script
from tests.conformance.scripts import all_paths, name_of
from tools.docs import DOCS

FAULTS = 38
ENOUGH = 120
ENOUGH_ORDERS = 50
WIRE = (DOCS / "reference" / "wire-protocol.md").read_text(encoding="utf-8")
PYTHON_ONLY = re.compile(r"bridge\.|python|import |_core|pytest|\.py", re.IGNORECASE)


def headings():
    """
    Return the numbers of the specification's sections, each with the headings in it.
    """
    found = {}
    section = ""
    for line in WIRE.splitlines():
        if match := re.match(r"## (\d+)\. ", line):
            section = match[1]
            found[section] = set()
        elif section and line.startswith("### "):
            found[section].add(line[4:].strip())
    return found


SECTIONS = headings()


def test_there_are_enough_of_them():
    orders = [path for path in all_paths() if path.parent.name in {"orders", "halt"}]

    assert len(all_paths()) >= ENOUGH
    assert len(orders) >= ENOUGH_ORDERS


def test_both_sides_have_them():
    sides = [read_script(path).side for path in all_paths()]

    assert min(sides.count("relay"), sides.count("terminal")) >= ENOUGH // 3


@pytest.mark.parametrize("path", all_paths(), ids=name_of)
def test_it_names_faults_and_sections_that_exist(path):
    wrong = []
    for part in read_script(path).holds:
        kind, number, *rest = part.split(maxsplit=2)
        if kind == "fault":
            good = 1 <= int(number) <= FAULTS
        else:
            good = number in SECTIONS and (not rest or rest[0] in SECTIONS[number])
        if not good:
            wrong.append(part)

    assert [] == wrong


def test_no_two_show_the_same():
    scripts = [read_script(path) for path in all_paths()]
    shown = [(script.side, script.title) for script in scripts]
    played = [(script.side, tuple(step.text for step in script.steps)) for script in scripts]

    assert len(shown) == len(set(shown))
    assert len(played) == len(set(played))


@pytest.mark.parametrize("path", all_paths(), ids=name_of)
def test_it_is_named_after_its_side_and_names_nothing_of_python(path):
    script = read_script(path)
    lines = path.read_text(encoding="utf-8").splitlines()

    assert [] == [line for line in lines if PYTHON_ONLY.search(line)]
    assert path.stem.startswith(f"{script.side}_") or script.side not in path.stem


def test_every_fault_that_a_link_can_show_is_held():
    held = {
        int(part.split()[1])
        for path in all_paths()
        for part in read_script(path).holds
        if part.startswith("fault ")
    }
    # The others are of clients, subscribers, processes, files and logs: they have no place in a
    # conversation between a terminal and a relay.
    elsewhere = {9, 25, 28, 29, 32, 35}

    assert set(range(1, FAULTS + 1)) - elsewhere == held
