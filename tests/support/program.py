"""A program of ``examples/`` as a process, which says what it does in lines of JSON."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, Final, Self

__all__ = ["Program"]

ROOT: Final = Path(__file__).resolve().parents[2]
DEADLINE_S: Final = 60.0


class Program:
    """
    A running program. Leaving the ``with`` block kills it if it still runs.

    ``said`` are the events that it printed, ``err`` its lines on stderr.
    """

    def __init__(self, command: Sequence[str], folder: Path | None = None) -> None:
        self.said: list[dict[str, Any]] = []
        self.err: list[str] = []
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            command,
            cwd=folder or ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self._event)),
            threading.Thread(target=self._read, args=(self.process.stderr, self.err.append)),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, pipe: IO[str], take: Callable[[str], None]) -> None:
        with pipe:
            for line in pipe:
                # A kill in the middle of a line leaves a part of it: that was not said.
                if line.endswith("\n"):
                    with self._changed:
                        take(line.rstrip())
                        self._changed.notify_all()

    def _event(self, line: str) -> None:
        # What is meant for a person tells a failing test why.
        if line.startswith("{"):
            self.said.append(json.loads(line))
        else:
            self.err.append(line)

    def results(self, outcome: str | None = None) -> list[dict[str, Any]]:
        """
        Return what became of its orders: of all, or of those with this outcome.
        """
        with self._changed:
            return [
                line
                for line in self.said
                if line["event"] == "result" and outcome in {None, line["outcome"]}
            ]

    def wait_for(self, happened: Callable[[], object]) -> None:
        """
        Wait until something is true; it is looked at whenever the program said something.
        """
        with self._changed:
            assert self._changed.wait_for(happened, DEADLINE_S), (self.said, self.err)

    def end(self) -> int:
        """
        Wait until it ends by itself and return its exit code.
        """
        try:
            code = self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it still runs: {self.said} {self.err}") from None
        self._join()
        return code

    def kill(self) -> None:
        """
        SIGKILL; ``said`` is all that it said then.
        """
        self.process.kill()
        self.process.wait(DEADLINE_S)
        self._join()

    def _join(self) -> None:
        for reader in self._readers:
            reader.join(DEADLINE_S)
            assert not reader.is_alive(), "its output did not end"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
