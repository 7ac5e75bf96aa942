"""The processes of a chaos run, each of which can be killed and started again.

Who kills one starts it again at once, as a service does.
"""

from __future__ import annotations

import json
import random
import resource
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from bridge.config import Key
from bridge.config.keys import write_key
from tests.chaos.account import ALIAS
from tests.support.processes import environment

__all__ = ["BrokerProcess", "Child", "ClientProcess", "RelayProcess", "TerminalProcess"]

ROOT = Path(__file__).resolve().parents[2]
_DEADLINE_S = 30.0
#: Below what the kernel gives to connections: nobody takes them while the relay is down.
_PORTS = (20_000, 32_000)
_ENDPOINTS = ("terminal", "request", "publish", "control")


class Child:
    """
    A process of this run. What it says on stderr is in ``<name>.log``.
    """

    def __init__(self, name: str, folder: Path, command: list[str], env: dict[str, str]) -> None:
        self.name = name
        self.folder = folder
        self.command = [sys.executable, *command]
        self.env = env
        self.process: subprocess.Popen[str] | None = None
        #: seconds of CPU of all that were killed
        self.cpu_s = 0.0

    def spawn(self) -> subprocess.Popen[str]:
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        return self.process

    @property
    def running(self) -> subprocess.Popen[str]:
        assert self.process is not None, f"{self.name} was not started"
        return self.process

    def kill(self) -> None:
        """
        SIGKILL: nothing is flushed, nobody is told.
        """
        if self.process is None:
            return
        before = _spent()
        self.process.kill()
        self.process.wait(_DEADLINE_S)
        self.cpu_s += _spent() - before
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process = None

    def check(self) -> None:
        """
        Fail if the process ended by itself.
        """
        if self.process is not None and self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended by itself:\n{self.log()}")

    def log(self) -> str:
        """
        Return the end of what it said on stderr.
        """
        path = self.folder / f"{self.name}.log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""


def _spent() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class RelayProcess(Child):
    """
    ``bridge run``, as users start it. Its ports are always the same.
    """

    def __init__(self, folder: Path, trading: dict[str, Any]) -> None:
        super().__init__("relay", folder, ["-m", "bridge", "run"], environment(folder))
        self.key = Key(secrets.token_bytes(32))
        self.ports = dict(zip(_ENDPOINTS, _free_ports(len(_ENDPOINTS)), strict=True))
        self.data = folder / "data"
        write_key(folder / "keys" / f"{ALIAS}.key", self.key)
        lines = [
            "[relay]",
            f"data_dir = {json.dumps(str(self.data))}",
            f"log_dir = {json.dumps(str(folder / 'logs'))}",
            "[endpoints]",
            *(f'{name} = "tcp://127.0.0.1:{port}"' for name, port in self.ports.items()),
            f"[terminals.{ALIAS}]",
            f"key_file = {json.dumps(str(folder / 'keys' / f'{ALIAS}.key'))}",
            f"[terminals.{ALIAS}.trading]",
            "enabled = true",
            *(f"{name} = {json.dumps(value)}" for name, value in trading.items()),
        ]
        (folder / "bridge.toml").write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        """
        Start it; do not wait.
        """
        self.spawn()

    def endpoint(self, name: str) -> str:
        return f"tcp://127.0.0.1:{self.ports[name]}"


class BrokerProcess(Child):
    """
    The broker: never killed, because its machine is another one.
    """

    def __init__(self, folder: Path, options: dict[str, Any]) -> None:
        command = ["-m", "tests.chaos.broker", json.dumps(options)]
        super().__init__("broker", folder, command, environment(folder))
        self.port = 0

    def start(self) -> None:
        """
        Start it, and wait for its port.
        """
        process = self.spawn()
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"the broker did not start:\n{self.log()}"
        self.port = json.loads(line)["port"]


class TerminalProcess(Child):
    """
    The Python terminal, or the Expert Advisor. ``told`` is what it said: when its sessions began and ended.
    """

    def __init__(self, folder: Path, options: dict[str, Any]) -> None:
        module = "tests.chaos.terminal_ea" if options["is_ea"] else "tests.chaos.terminal"
        command = ["-m", module, json.dumps(options)]
        super().__init__("terminal", folder, command, environment(folder))
        self.told: list[tuple[str, float]] = []

    def start(self) -> None:
        """
        Start it; do not wait.
        """
        process = self.spawn()
        threading.Thread(target=self._read, args=(process,), daemon=True).start()

    def pause(self) -> None:
        """
        SIGSTOP: alive, but silent; its kernel goes on acknowledging.
        """
        self.running.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """
        SIGCONT.
        """
        self.running.send_signal(signal.SIGCONT)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                event, at = json.loads(line)
                self.told.append((event, at))
        except ValueError:
            return  # killed in the middle of a line, or the pipe is closed


class ClientProcess(Child):
    """
    A process of strategies.
    """

    def __init__(self, folder: Path, options: dict[str, Any]) -> None:
        command = ["-m", "tests.chaos.clients", json.dumps(options)]
        name = f"clients-{options['number']}"
        super().__init__(name, folder, command, environment(folder))
        self.orders = 0
        self.lives = 0
        self.finished = threading.Event()
        self.answers = folder / f"answers-{options['number']}.jsonl"

    def start(self) -> None:
        """
        Start it; it waits to be allowed to.
        """
        process = self.spawn()
        threading.Thread(target=self._read, args=(process,), daemon=True).start()

    def say(self, words: str) -> None:
        """
        Tell it something.
        """
        assert self.running.stdin is not None
        self.running.stdin.write(f"{words}\n")
        self.running.stdin.flush()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                word, *rest = line.split()
                if word == "finished":
                    self.finished.set()
                else:
                    self.orders, self.lives = int(rest[0]), int(rest[1])
        except ValueError:
            return  # the pipe was closed


def _free_ports(count: int) -> list[int]:
    found: list[int] = []
    until = time.monotonic() + _DEADLINE_S
    while len(found) < count:
        assert time.monotonic() < until, "no free ports"
        # Not by the seed of the run: two runs of one seed may go on side by side.
        port = random.SystemRandom().randint(*_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found
