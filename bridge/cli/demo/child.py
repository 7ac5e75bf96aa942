"""A relay as a child process, which can be killed and comes back on the same ports."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from bridge.cli.control import ControlFile, read_control_file, stop_relay
from bridge.cli.demo.ports import HeldPorts
from bridge.config import init_config, load
from bridge.exceptions import BridgeError
from bridge.relay.control import CONTROL_FILE

__all__ = ["RelayChild"]

_START_S: Final = 20.0
_STOP_S: Final = 5.0
_LOOK_AGAIN_S: Final = 0.01
_ENDPOINTS: Final = ("terminal", "request", "publish", "control")
_LOG_LINES: Final = 5


class RelayChild:
    """
    ``bridge run`` with a home of its own. The caller **must** ``close`` it. ``trading``:
    settings of the terminal's section ``trading``.

    All starts bind the same free ports, as those of a supervisor that restarts a relay would.
    """

    def __init__(self, home: Path, alias: str, **trading: object) -> None:
        self.home = home
        prefix = f"BRIDGE_TERMINALS_{alias.upper()}_TRADING"
        self._trading = {f"{prefix}_{name.upper()}": str(value) for name, value in trading.items()}
        self.starts = 0
        self.kills = 0
        self._process: subprocess.Popen[bytes] | None = None
        init_config(home, [alias])
        settings = load(home / "bridge.toml", self._environment())
        self._data_dir = settings.relay.data_dir
        self.key_file = settings.terminals[alias].key_file
        self._log = home / "relay-stderr.log"
        self._ports = HeldPorts(len(_ENDPOINTS))
        # Without held ports the first start finds some.
        self._endpoints = {
            name: f"tcp://127.0.0.1:{port}"
            for name, port in zip(_ENDPOINTS, self._ports.numbers, strict=False)
        }

    @property
    def endpoints(self) -> dict[str, str]:
        """
        Return where the relay listens; known for certain after the first start.
        """
        return dict(self._endpoints)

    @property
    def pid(self) -> int | None:
        """
        Return the process id while there is one.
        """
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """
        Start the relay and wait until it serves.

        Raises:
            BridgeError: it ended, or is not ready in time; the text has the end of its log.
        """
        # What a killed relay left behind must not be taken for the new one's.
        (self._data_dir / CONTROL_FILE).unlink(missing_ok=True)
        flags = [
            f"--{name}-endpoint={self._endpoints.get(name, 'tcp://127.0.0.1:0')}"
            for name in _ENDPOINTS
        ]
        command = [sys.executable, "-m", "bridge", "run", f"--home={self.home}", *flags]
        with self._log.open("ab") as log:
            # A session or group of its own: Ctrl-C is for us, and we tell the child.
            self._process = subprocess.Popen(  # noqa: S603 - our own program, no shell
                command,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=sys.platform != "win32",
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        self._endpoints = self._wait_until_ready(self._process).endpoints
        self.starts += 1

    def kill(self) -> None:
        """
        Kill the relay: SIGKILL, on Windows TerminateProcess. Nothing is flushed.
        """
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self.kills += 1

    def stop(self) -> int:
        """
        Stop the relay in order and return its exit code.

        Raises:
            BridgeError: it does not end in time.
        """
        if self._process is None:
            return 0
        stop_relay(self._data_dir, _STOP_S)
        try:
            code = self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            raise BridgeError(f"the relay has not ended within {_STOP_S:g} s") from None
        self._process = None
        return code

    def close(self) -> None:
        """
        Make sure that no process is left. May be called in any state.
        """
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._ports.close()

    def log_end(self) -> str:
        """
        Return the last lines of what the relay said.
        """
        try:
            text = self._log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return " | ".join(text.splitlines()[-_LOG_LINES:])

    def _environment(self) -> dict[str, str]:
        # The user's own settings are for the user's own relay.
        kept = {name: value for name, value in os.environ.items() if not _is_ours(name)}
        return {**kept, "BRIDGE_HOME": str(self.home), **self._trading}

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> ControlFile:
        deadline = time.monotonic() + _START_S
        while True:
            # Not by process id: a virtual environment on Windows has a launcher in between.
            found = read_control_file(self._data_dir)
            if found is not None:
                return found
            code = process.poll()
            if code is not None:
                self._process = None
                raise BridgeError(f"the relay ended with code {code}: {self.log_end()}")
            if time.monotonic() > deadline:
                raise BridgeError(f"the relay is not ready after {_START_S:g} s: {self.log_end()}")
            time.sleep(_LOOK_AGAIN_S)


def _is_ours(name: str) -> bool:
    return name.upper().startswith("BRIDGE_")
