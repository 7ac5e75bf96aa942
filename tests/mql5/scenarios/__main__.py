"""``make test-ea``: every scenario in every socket mode, and what else executes the EA.

The last line is ``N passed, N failed``; the exit code is 0 only if none failed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

_TESTS = Path(__file__).resolve().parents[1]


class _Counts:
    # A pytest plugin that counts how tests ended.

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.passed += 1
        elif report.failed:
            self.failed += 1


def main(arguments: list[str]) -> int:
    """
    Run the tests; return the exit code.
    """
    os.environ["BRIDGE_EA_MODES"] = "all"
    counts = _Counts()
    words = ["-q", "--no-header", "-n", "auto", "--dist", "worksteal", *arguments]
    if not any(Path(word).exists() for word in arguments):
        words.append(str(_TESTS))
    code = pytest.main(words, plugins=[counts])
    print(f"{counts.passed} passed, {counts.failed} failed")
    return int(code) or (0 if counts.passed else 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
