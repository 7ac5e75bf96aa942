"""The Node.js example as processes: where it can be had, and what its programs say."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any, Self

import pytest

__all__ = ["DEADLINE_S", "Node", "node_folder"]

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "node"
DEADLINE_S = 40.0


def _works(folder: Path) -> bool:
    # The package brings its native part for common platforms; elsewhere it does not load.
    check = "Promise.all([import('zeromq'), import('@msgpack/msgpack')]).then(() => {})"
    found = subprocess.run(
        ["node", "--input-type=module", "-e", check],
        cwd=folder,
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )
    return found.returncode == 0


def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    Return a folder with the client and its packages; skip where they cannot be had.
    """
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed, the Node.js client cannot be tried")
    major = subprocess.run(
        ["node", "-p", "process.versions.node"], capture_output=True, text=True, check=False
    )
    if major.returncode or int(major.stdout.split(".")[0]) < 20:
        pytest.skip(f"node {major.stdout.strip() or 'does not run'}: 20 or newer is needed")
    if (EXAMPLE / "node_modules").is_dir() and _works(EXAMPLE):
        return EXAMPLE
    copy = tmp_path_factory.mktemp("node") / "client"
    shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns("node_modules"))
    try:
        installed = subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund", "--no-update-notifier"],
            cwd=copy,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=90,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.skip("npm ci took more than 90 s: no package registry?")
    if installed.returncode or not _works(copy):
        told = [line for line in installed.stderr.splitlines() if line.startswith("npm error")]
        reason = told[0] if told else "they were installed and do not load"
        pytest.skip(f"the packages of the Node.js client cannot be had: {reason}")
    return copy


class Node:
    """
    A program of the example as a process; its output line by line as it comes.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            ["node", *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "NODE_OPTIONS": "--unhandled-rejections=strict"},
            text=True,
        )
        self.err: list[str] = []
        self._out: queue.Queue[str | None] = queue.Queue()
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._read_out, daemon=True),
            threading.Thread(target=self._read_err, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _read_out(self) -> None:
        for line in self.process.stdout:
            self._out.put(line)
        self._out.put(None)

    def _read_err(self) -> None:
        for line in self.process.stderr:
            with self._changed:
                self.err.append(line.strip())
                self._changed.notify_all()

    def wait_for_err(self, beginning: str) -> str:
        """
        Wait until it said something that begins so on stderr.
        """

        def found() -> list[str]:
            return [line for line in self.err if line.startswith(beginning)]

        with self._changed:
            assert self._changed.wait_for(found, DEADLINE_S), self.err
        return found()[0]

    def line(self) -> dict[str, Any] | None:
        """
        Return the next line of stdout, ``None`` at its end.
        """
        try:
            text = self._out.get(timeout=DEADLINE_S)
        except queue.Empty:
            pytest.fail(f"no line within {DEADLINE_S} s; stderr: {self.err}")
        if text is None:
            return None
        if not text.endswith("\n"):
            code = self.process.wait(DEADLINE_S)
            pytest.fail(f"it ended within a line, exit code {code}; stderr: {self.err}")
        return json.loads(text)

    def lines_up_to(self, seq: int) -> list[dict[str, Any]]:
        """
        Return the lines up to the one with this number.
        """
        lines: list[dict[str, Any]] = []
        while not lines or lines[-1]["seq"] < seq:
            line = self.line()
            assert line is not None, self.err
            lines.append(line)
        return lines

    def rest(self) -> list[dict[str, Any]]:
        """
        Return all further lines, and wait for the end.
        """
        lines = list(iter(self.line, None))
        self.process.wait(DEADLINE_S)
        for thread in self._threads:
            thread.join(DEADLINE_S)
        return lines

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE_S)
        for thread in self._threads:
            thread.join(DEADLINE_S)
        self.process.stdout.close()
        self.process.stderr.close()
