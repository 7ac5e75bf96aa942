"""The command ``bridge`` as users run it: a process with its own streams and exit code.

Every process is checked at its end: no traceback on stderr, ever.
"""

from __future__ import annotations

import contextlib
import locale
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, Self

from bridge.cli.demo.ports import HeldPorts
from tests.support.press import FLAGS, press

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 30.0
#: Of what a program writes into a pipe: on Windows that of the system, code page 1252 or so.
ENCODING = locale.getpreferredencoding(False) if sys.platform == "win32" else "utf-8"
FREE_PORTS = (
    "--terminal-endpoint=tcp://127.0.0.1:0",
    "--request-endpoint=tcp://127.0.0.1:0",
    "--publish-endpoint=tcp://127.0.0.1:0",
    "--control-endpoint=tcp://127.0.0.1:0",
)


@contextlib.contextmanager
def ports_of_ones_own(count: int) -> Iterator[list[int]]:
    """
    Hold free ports on which nobody listens yet.
    """
    held = HeldPorts(count)
    try:
        # Where none can be held, what is free now most likely still is in a moment.
        yield held.numbers or [_free_port() for _ in range(count)]
    finally:
        held.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port: int = nobody.getsockname()[1]
        return port


class Finished(NamedTuple):
    """
    How a command ended.
    """

    code: int
    out: str
    err: str


def environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """
    Return an environment in which ``bridge`` sees only what is below ``home``.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
    return {**kept, "BRIDGE_HOME": str(home), "PYTHONPATH": str(ROOT), **(extra or {})}


class Process:
    """
    A running program. Leaving the ``with`` block kills it if it still runs.
    """

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], cwd: Path | None = None
    ) -> None:
        self._command = " ".join(command)
        self.process = subprocess.Popen(
            command,
            cwd=cwd or ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            creationflags=FLAGS,
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._out = _Lines(self.process.stdout)
        self._err = _Lines(self.process.stderr)

    def out_line(self, containing: str = "") -> str:
        """
        Wait for a line of stdout that contains this, and return it.
        """
        return self._out.wait(containing, self._explain)

    def err_line(self, containing: str = "") -> str:
        """
        Wait for a line of stderr that contains this, and return it.
        """
        return self._err.wait(containing, self._explain)

    def interrupt(self) -> None:
        """
        Ctrl-C.
        """
        if sys.platform == "win32":
            press(self.process.pid, "c")
        else:
            self.process.send_signal(signal.SIGINT)

    def close_out(self) -> None:
        """
        Close our end of its stdout: who reads a pipe may go away.
        """
        self._out.close()

    def finish(self, deadline_s: float = DEADLINE_S) -> Finished:
        """
        Wait for the end and return it; fail on a traceback.
        """
        try:
            code = self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running: {self._explain()}") from None
        finished = Finished(code, self._out.rest(), self._err.rest())
        assert "Traceback" not in finished.err
        assert "Traceback" not in finished.out
        return finished

    def kill(self) -> None:
        """
        SIGKILL, or TerminateProcess.
        """
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def _explain(self) -> str:
        return f"{self._command}\n--- out\n{self._out.text()}\n--- err\n{self._err.text()}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.kill()
        self._out.rest()
        self._err.rest()


class Bridge(Process):
    """
    A running command of ours.
    """

    def __init__(
        self,
        *arguments: str | Path,
        home: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        command = [sys.executable, "-m", "bridge", *map(str, arguments)]
        super().__init__(command, environment(home, env), cwd)


def run_bridge(
    *arguments: str | Path,
    home: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Finished:
    """
    Run a command to its end.
    """
    with Bridge(*arguments, home=home, env=env, cwd=cwd) as command:
        return command.finish()


class _Lines:
    # A thread reads the pipe, so that a child is never held up by a full one.

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._lines: list[str] = []
        self._closing = False
        self._new: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._pipe:
            if self._closing:
                break
            text = line.decode(ENCODING, "replace").rstrip("\r\n")
            self._lines.append(text)
            self._new.put(text)
        self._new.put(None)

    def wait(self, containing: str, explain: object) -> str:
        until = time.monotonic() + DEADLINE_S
        while True:
            try:
                line = self._new.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                line = None
            assert line is not None, f"no line with {containing!r}: {explain()}"  # type: ignore[operator]  # a method
            if containing in line:
                return line

    def close(self) -> None:
        # A file object is not closed while another thread reads it: the next line ends that.
        self._closing = True
        self._thread.join(DEADLINE_S)
        self._pipe.close()

    def rest(self) -> str:
        self._thread.join(DEADLINE_S)
        self._pipe.close()
        return self.text()

    def text(self) -> str:
        return "".join(f"{line}\n" for line in self._lines)
