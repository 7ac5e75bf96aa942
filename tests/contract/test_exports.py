"""
``__all__`` is the promise of a module: complete, sorted, and kept.
"""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def public_modules():
    for path in sorted((ROOT / "bridge").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        if not any(part.startswith("_") for part in name.split(".")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            # A package that only explains itself promises nothing.
            if any(not isinstance(node, ast.Expr) for node in tree.body):
                yield name


def sort_key(name):
    # As ruff's RUF022: CONSTANTS, then Classes, then functions, numbers by value.
    kind = 0 if re.fullmatch(r"[A-Z0-9_]{2,}", name) else 1 if name[:1].isupper() else 2
    return kind, [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


@pytest.mark.parametrize("name", list(public_modules()))
def test_all_is_there_and_sorted(name):
    exported = importlib.import_module(name).__all__

    assert list(exported) == sorted(exported, key=sort_key)
    assert len(exported) == len(set(exported))


@pytest.mark.parametrize("name", list(public_modules()))
def test_everything_in_all_exists_and_is_public(name):
    module = importlib.import_module(name)

    missing = [export for export in module.__all__ if not hasattr(module, export)]
    private = [
        export for export in module.__all__ if export.startswith("_") and export != "__version__"
    ]

    assert ([], []) == (missing, private)
