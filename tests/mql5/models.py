"""The tests of a Python class, which is the model of an MQL5 one, to be run with that one."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

from tests.mql5.scenarios.expert import why_not

__all__ = ["MARKS", "load_model"]

#: Of a module whose tests are mostly a model's: each makes many calls to a translated program.
MARKS: Final = [
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
    pytest.mark.slow,
    pytest.mark.timeout(600),
]
_FOLDER: Final = Path(__file__).resolve().parents[1] / "unit" / "sim"


def load_model(name: str) -> ModuleType:
    """
    Return a copy of the Python tests: other tests must not see what is changed in it.
    """
    path = _FOLDER / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{name}_of_the_ea", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
