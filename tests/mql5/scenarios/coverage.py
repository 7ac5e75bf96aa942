"""``make ea-coverage``: which lines of ``mql5/Include`` the tests execute; fails below 90 %.

The Expert Advisor is built with gcov's counters, and the tests that run it are run. What C++
does not even emit, such as a short method that nobody calls, is not counted.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.mql5 import building, line_coverage

_TESTS = Path(__file__).resolve().parents[1]
_LEAST = 90


def main(arguments: list[str]) -> int:
    """
    Run the tests and report; return the exit code.
    """
    line_coverage.reset()
    build = building.build
    # Whatever a test asks for: every program that has the EA's files in it counts.
    building.build = lambda source, mode="asan": build(source, "coverage")
    run = [_TESTS / "test_scenarios.py", *sorted(_TESTS.glob("test_ea_*.py"))]
    words = ["-q", "--no-header", "-p", "no:logging", "-k", "not python_terminal"]
    code = int(pytest.main([*words, *arguments, *map(str, run)]))
    return line_coverage.main(["--fail-under", str(_LEAST)]) or code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
