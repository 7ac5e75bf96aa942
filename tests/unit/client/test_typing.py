"""What users write is typed as they would expect: ``tests/typing`` passes mypy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def test_the_typing_examples_pass(tmp_path):
    pytest.importorskip("mypy", reason="mypy is among the tools for development")
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", tmp_path, "tests/typing/client_api.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "") == (run.returncode, run.stderr), run.stdout
