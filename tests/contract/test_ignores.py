"""
Whoever switches a check off says why, on the same line.
"""

from __future__ import annotations

import io
import re
import tokenize
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("bridge", "tools", "tests", "benchmarks", "examples")

NOQA = re.compile(r"#\s*noqa\b(?P<codes>:\s*[A-Z]+[0-9]+(?:,\s*[A-Z]+[0-9]+)*)?(?P<reason>.*)")
TYPE_IGNORE = re.compile(r"#\s*type:\s*ignore(?P<codes>\[[\w, -]+\])?(?P<reason>.*)")
NO_COVER = re.compile(r"#\s*pragma:\s*no cover(?P<codes>)(?P<reason>.*)")


def problem_with(comment):
    """
    Return what is missing in a comment that switches a check off, or ``None``.
    """
    for pattern, needs_codes in ((NOQA, True), (TYPE_IGNORE, True), (NO_COVER, False)):
        match = pattern.search(comment)
        if match is None:
            continue
        if needs_codes and not match["codes"]:
            return "names no rule"
        if not re.search(r"\w{2,}", match["reason"]):
            return "gives no reason"
    return None


def comments():
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "node_modules" in path.parts:
                continue
            source = path.read_text(encoding="utf-8")
            for token in tokenize.generate_tokens(io.StringIO(source).readline):
                if token.type == tokenize.COMMENT:
                    yield f"{path.relative_to(ROOT)}:{token.start[0]}", token.string


def test_every_switch_in_the_source_names_rule_and_reason():
    found = [
        f"{where}: {problem}" for where, comment in comments() if (problem := problem_with(comment))
    ]

    assert [] == found


def test_every_rule_that_ruff_leaves_out_has_its_reason_on_the_line():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lint = tomllib.loads(text)["tool"]["ruff"]["lint"]
    ignored = [
        *lint["ignore"],
        *(code for codes in lint["per-file-ignores"].values() for code in codes),
    ]
    with_reason = re.findall(r'^    "([A-Z]+[0-9]*)", +# \w.{10,}$', text, re.MULTILINE)

    assert sorted(ignored) == sorted(with_reason)


def test_all_rules_are_selected():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")

    assert ["ALL"] == tomllib.loads(text)["tool"]["ruff"]["lint"]["select"]


@pytest.mark.parametrize(
    ("comment", "problem"),
    [
        ("# an ordinary comment", None),
        ("# noqa: S101 - our own model", None),
        ("# noqa: S101, ARG002  asyncio gives it", None),
        ("# type: ignore[attr-defined]  # Windows only", None),
        ("# pragma: no cover - Windows only", None),
        ("# noqa", "names no rule"),
        ("# noqa - because", "names no rule"),
        ("# noqa: S101", "gives no reason"),
        ("# type: ignore", "names no rule"),
        ("# type: ignore[attr-defined]", "gives no reason"),
        ("# pragma: no cover", "gives no reason"),
    ],
)
def test_the_rule_itself(comment, problem):
    assert problem == problem_with(comment)
