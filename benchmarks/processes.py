"""The processes of a benchmark: helpers that are driven by lines, and the relay.

Each is the leader of its own process group, and all are killed when the benchmark ends,
however it ends. What a process costs is read from ``/proc``.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

__all__ = [
    "ALIAS",
    "BenchmarkError",
    "Helper",
    "OtherLoad",
    "Processes",
    "Relay",
    "cpu_ns",
    "rss_mib",
]

ALIAS: Final = "bench"
_ROOT: Final = Path(__file__).resolve().parent.parent
_START_S: Final = 20.0

#: Everything on, as a user has it; only the queue of a subscriber is as long as it may be,
#: so that a ceiling is never reached by dropping.
_CONFIG: Final = """\
[relay]
data_dir = "data"
log_dir = "logs"

[endpoints]
terminal = "tcp://127.0.0.1:0"
request = "tcp://127.0.0.1:0"
publish = "tcp://127.0.0.1:0"
control = "tcp://127.0.0.1:0"

[terminals.bench]

[limits]
send_hwm = 10_000_000
"""


class BenchmarkError(Exception):
    """
    A process of the benchmark failed or said nothing in time.
    """


class Helper:
    """
    A process that takes commands on stdin and answers in JSON lines on stdout.
    """

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self.name = name
        self.process = process
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def answer(self, timeout_s: float = 30.0) -> dict[str, Any]:
        """
        Return the next answer.

        Raises:
            BenchmarkError: there was none in time, or it tells of an error.
        """
        fields = self.poll(timeout_s)
        if fields is None:
            raise BenchmarkError(f"{self.name}: no answer within {timeout_s:.0f} s")
        return fields

    def poll(self, timeout_s: float) -> dict[str, Any] | None:
        """
        Return the next answer, or ``None`` when there is none yet.

        Raises:
            BenchmarkError: the answer tells of an error, or the process has ended.
        """
        try:
            line = self._lines.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if not line:
            raise BenchmarkError(f"{self.name}: ended with code {self.process.wait()}")
        fields: dict[str, Any] = json.loads(line)
        if fields["event"] == "error":
            raise BenchmarkError(f"{self.name}: {fields['text']}")
        return fields

    def tell(self, command: str) -> None:
        """
        Send a command; its answer is read with ``answer``.
        """
        stdin = self.process.stdin
        if stdin is None:
            raise BenchmarkError(f"{self.name}: takes no commands")
        try:
            stdin.write(f"{command}\n")
            stdin.flush()
        except OSError:
            # Its last answer says why it is gone.
            self.answer(1.0)

    def ask(self, command: str, timeout_s: float = 30.0) -> dict[str, Any]:
        """
        Send a command and return the answer.
        """
        self.tell(command)
        return self.answer(timeout_s)

    def close(self) -> None:
        """
        Let the helper end by itself.
        """
        with contextlib.suppress(OSError):
            if self.process.stdin is not None:
                self.process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5.0)

    def _read(self) -> None:
        stdout = self.process.stdout
        if stdout is not None:
            with stdout:
                for line in stdout:
                    self._lines.put(line)
        self._lines.put("")


class Relay:
    """
    A relay process with a folder, a key and free ports of its own.

    ``more`` is added to its configuration; each of ``aliases`` gets a key as well. ``program``
    is what Python runs instead of the relay's own module.
    """

    def __init__(
        self,
        processes: Processes,
        folder: Path,
        root: Path | None = None,
        *,
        more: str = "",
        aliases: Sequence[str] = (),
        program: Sequence[str] | None = None,
    ) -> None:
        self._folder = folder
        self.key_file = folder / "keys" / f"{ALIAS}.key"
        self.key_file.parent.mkdir(parents=True)
        for alias in (ALIAS, *aliases):
            key_file = self.key_file.with_name(f"{alias}.key")
            key_file.touch(0o600)
            key_file.write_text(secrets.token_hex(32), encoding="ascii")
        config = folder / "bridge.toml"
        config.write_text(_CONFIG + more, encoding="ascii")
        # What the user has set for his own relay must not reach this one.
        env = {name: text for name, text in os.environ.items() if not name.startswith("BRIDGE_")}
        env["PYTHONPATH"] = str(root or _ROOT)
        with (folder / "stderr.txt").open("w", encoding="utf-8") as stderr:
            self.process = processes.start(
                [sys.executable, *(program or ("-m", "bridge")), "run", "--config", str(config)],
                cwd=root or _ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
        endpoints = self._wait()
        self.publish: str = endpoints["publish"]
        self.request: str = endpoints["request"]
        self.terminal_port = int(endpoints["terminal"].rpartition(":")[2])

    @property
    def pid(self) -> int:
        return self.process.pid

    def _wait(self) -> dict[str, str]:
        # The relay writes this file when all its sockets are bound.
        control = self._folder / "data" / "control.json"
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if control.exists():
                endpoints: dict[str, str] = json.loads(control.read_text("utf-8"))["endpoints"]
                return endpoints
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        said = (self._folder / "stderr.txt").read_text("utf-8", "replace").strip()
        last = said.splitlines()[-1] if said else "and said nothing"
        raise BenchmarkError(f"the relay did not start: {last}")


class Processes:
    """
    All processes of a benchmark. A context manager: none is left behind it.
    """

    def __init__(self) -> None:
        self._all: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._all:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        for process in self._all:
            process.wait()
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()

    def start(self, command: Sequence[str], **how: Any) -> subprocess.Popen[str]:
        """
        Start a process in a group of its own.
        """
        process: subprocess.Popen[str] = subprocess.Popen(
            command, text=True, start_new_session=True, **how
        )
        self._all.append(process)
        return process

    def helper(self, name: str, command: Sequence[str]) -> Helper:
        """
        Start a helper.
        """
        return Helper(name, self.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))


class OtherLoad:
    """
    How much of the machine other programs take while a benchmark runs.
    """

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._machine = _machine_s()
        self._own = _own_s()

    def share(self) -> float:
        """
        Return the share of all CPUs, 0 to 1. Processes that were waited for count as own.
        """
        seconds = (time.monotonic() - self._begun) * (os.cpu_count() or 1)
        others = (_machine_s() - self._machine) - (_own_s() - self._own)
        return min(max(others / seconds, 0.0), 1.0)


def _machine_s() -> float:
    # user, nice, system, idle, iowait, irq, softirq, steal: all but idle and iowait is work.
    fields = Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:9]
    ticks = [int(field) for field in fields]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def _own_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def cpu_ns(pid: int) -> int:
    """
    Return what all threads of a process have run, in nanoseconds; the first field of schedstat.
    """
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        # A thread may end between the listing and the reading.
        with contextlib.suppress(FileNotFoundError):
            total += int((task / "schedstat").read_text("ascii").split()[0])
    return total


def rss_mib(pid: int) -> float:
    """
    Return the memory a process has resident, in MiB.
    """
    for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise BenchmarkError(f"process {pid} has no VmRSS: it has ended")
