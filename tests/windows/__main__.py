"""``make test-windows``: the tests of this folder, and others, as Windows processes.

On Windows pytest is started as it is. On Linux a Windows of Wine is made first (``parts.py``),
and pytest itself runs in it: so the tests are the same, and start their processes the same way.
Where a part cannot be had, one line says which, and that is no failure.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.windows import parts

__all__ = ["SELECTION", "main"]

_ROOT: Final = Path(__file__).resolve().parents[2]
#: What differs between systems: processes, files, locks, paths, encodings, sockets.
SELECTION: Final = (
    "tests/windows",
    "tests/unit/config",
    "tests/unit/test_logs.py",
    "tests/unit/cli/test_output.py",
    "tests/unit/cli/test_signals.py",
    "tests/unit/relay/test_checkpoints.py",
    "tests/unit/relay/test_lock.py",
    "tests/unit/sim/test_brokerfile.py",
    "tests/unit/sim/test_ledger.py",
    "tests/unit/journal",
)
#: With ``--wide``: the same again as on Linux, many times as slow under Wine.
_WIDE: Final = ("tests/unit", "tests/integration/test_cli.py")
_DEADLINE_S: Final = 3600.0
_LAST_WORDS_S: Final = 2.0


def main(arguments: Sequence[str]) -> int:
    """
    Run the selection, or what pytest is told by ``arguments``, and return its exit code.
    """
    options = [one for one in arguments if one != "--wide"]
    tests = [*SELECTION, "-m", "not slow"]
    if "--wide" in arguments:
        tests = ["tests/windows", *_WIDE]
    if any((_ROOT / one.partition("::")[0]).exists() for one in options):
        tests = []
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, *options]
    if sys.platform == "win32":
        return subprocess.run([sys.executable, *command], check=False, cwd=_ROOT).returncode
    try:
        with parts.only_one():
            python = parts.prepare()
            launcher = parts.windows_path(_ROOT / "tests" / "windows" / "launcher.py")
            return _streamed([*python, launcher, *command])
    except parts.Unavailable as error:
        print(f"test-windows skipped: {error}", flush=True)
        return 0


def _streamed(command: Sequence[str]) -> int:
    process = subprocess.Popen(
        command,
        cwd=_ROOT,
        env=parts.environment(os.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    printer = threading.Thread(target=_print, args=(process,), daemon=True)
    printer.start()
    try:
        return process.wait(_DEADLINE_S)
    except subprocess.TimeoutExpired:
        print(f"test-windows has not ended within {_DEADLINE_S:g} s", flush=True)
        return 1
    finally:
        # Not to the end of the pipe: Wine's own processes hold it open for a while, and its
        # server lists in it what they did not close.
        printer.join(_LAST_WORDS_S)
        # Whatever a test left behind: the processes of this Windows, and no others.
        process.stdout = None
        parts.end_all()
        process.kill()
        process.wait()


def _print(process: subprocess.Popen[bytes]) -> None:
    pipe = process.stdout
    assert pipe is not None
    # As it comes: pytest's dots are no lines. Code page 1252 has one byte a letter.
    while (data := pipe.read1()) and process.stdout is not None:
        print(data.decode("cp1252", "replace").replace("\r\n", "\n"), end="", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
