"""
Aim for 150 to 300 lines in a module, look hard at 500, stop at 700.
"""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAX_LINES = 700


def sources():
    for folder in ("bridge", "tools", "benchmarks", "examples", "mql5"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".mqh", ".mq5", ".js", ".mjs"} and (
                "node_modules" not in path.parts
            ):
                yield path


@pytest.mark.parametrize("path", list(sources()), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_fits_into_a_head(path):
    lines = path.read_text(encoding="utf-8").count("\n")

    assert lines <= MAX_LINES
