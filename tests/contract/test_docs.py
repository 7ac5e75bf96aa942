"""
The pages agree with the code and with each other.
"""

from __future__ import annotations

import re
import urllib.parse
from pathlib import Path

import pytest

from tools import docs as generator

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
INDEX = DOCS / "README.md"

LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(?P<text>.+?) *#*$", re.MULTILINE)
FENCE = re.compile(r"^(?P<fence>```+|~~~+).*?^(?P=fence) *$", re.MULTILINE | re.DOTALL)


def pages():
    folders = (DOCS, ROOT / "examples", ROOT / "tests", ROOT / "benchmarks", ROOT / "mql5")
    below = (page for folder in folders for page in folder.rglob("*.md"))
    return sorted(
        [*ROOT.glob("*.md"), *(page for page in below if "node_modules" not in page.parts)]
    )


def name_of(path):
    return str(path.relative_to(ROOT))


def prose(path):
    # Links and headings in examples of code are none.
    return FENCE.sub("", path.read_text(encoding="utf-8"))


def anchors(path):
    """
    Return the anchors that GitHub makes of the headings of a page.
    """
    found = set()
    for match in HEADING.finditer(prose(path)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", match["text"]).lower()
        anchor = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        number = 0
        while (anchor if not number else f"{anchor}-{number}") in found:
            number += 1
        found.add(anchor if not number else f"{anchor}-{number}")
    return found


def problem_with(page, target):
    """
    Return why a link of a page leads nowhere, or ``None``.
    """
    if re.match(r"[a-z]+:", target):
        return None
    path, _, anchor = target.partition("#")
    other = (page.parent / urllib.parse.unquote(path)).resolve() if path else page
    if not other.exists():
        return f"{target}: there is no such file"
    if ROOT not in other.parents and other != ROOT:
        return f"{target}: leaves the repository"
    if anchor and other.suffix == ".md" and anchor not in anchors(other):
        return f"{target}: there is no such heading"
    return None


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=name_of)
def test_generated_tables_are_in_step_with_the_code(page):
    text = page.read_text(encoding="utf-8")

    assert text == generator.rendered(text), "run: make docs"


def test_every_table_of_the_generator_is_on_a_page():
    text = "".join(page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md"))

    assert [] == [name for name in generator.TABLES if f"BEGIN GENERATED {name} " not in text]


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_links_lead_somewhere(page):
    found = [
        problem
        for match in LINK.finditer(prose(page))
        if (problem := problem_with(page, match["target"]))
    ]

    assert [] == found


@pytest.mark.parametrize("page", sorted(set(DOCS.rglob("*.md")) - {INDEX}), ids=name_of)
def test_the_index_lists_every_page(page):
    targets = {match["target"] for match in LINK.finditer(prose(INDEX))}

    assert page.relative_to(DOCS).as_posix() in targets


def test_decisions_are_numbered_without_gaps():
    numbers = sorted(int(page.name[:4]) for page in (DOCS / "adr").glob("*.md"))

    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("page", sorted((DOCS / "adr").glob("*.md")), ids=name_of)
def test_a_decision_has_a_status_and_its_parts(page):
    text = page.read_text(encoding="utf-8")

    assert re.match(rf"# {page.name[:4]} \S", text)
    for part in ("Status: ", "## Context", "## Decision", "## Consequences"):
        assert part in text


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("# Bad input", "bad-input"),
        ("## 5.1 Frames and logon", "51-frames-and-logon"),
        ("### `[terminals.<alias>]`", "terminalsalias"),
        ("## [A link](x.md) and more", "a-link-and-more"),
    ],
)
def test_anchors_are_those_of_github(tmp_path, heading, anchor):
    page = tmp_path / "page.md"
    page.write_text(heading, encoding="utf-8")

    assert {anchor} == anchors(page)
