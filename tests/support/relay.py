"""A real relay for tests: in a thread, or as a process that can be killed.

``RelayThread`` is quick and shares the test's process: log, coverage and monkeypatching
reach it. ``RelayProcess`` is what users run: ``kill`` is SIGKILL, and a restart binds
the same ports, as a supervisor would.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgpack
import zmq

from bridge.cli.demo.ports import HeldPorts
from bridge.config import (
    EndpointSettings,
    Key,
    LimitSettings,
    RelaySettings,
    SessionSettings,
    Settings,
    TerminalSettings,
    TickSettings,
)
from bridge.config.keys import write_key
from bridge.relay.app import Endpoints, Relay
from bridge.relay.checkpoints import CheckpointFile
from bridge.relay.clock import SystemClock

ANY = "tcp://127.0.0.1:0"
DEADLINE_S = 20.0


def make_settings(
    folder: Path,
    *,
    aliases: tuple[str, ...] = ("demo",),
    endpoints: dict[str, str] | None = None,
    ticks: dict[str, Any] | None = None,
    limits: dict[str, Any] | None = None,
    session: dict[str, Any] | None = None,
    terminals: dict[str, dict[str, Any]] | None = None,
) -> tuple[Settings, dict[str, bytes]]:
    """
    Return settings with all state below ``folder``, and the key of each alias.
    """
    keys: dict[str, bytes] = {}
    pins: dict[str, TerminalSettings] = {}
    for alias in aliases:
        path = folder / "keys" / f"{alias}.key"
        if path.exists():
            key = Key(bytes.fromhex(path.read_text().strip()))
        else:
            key = Key.generate()
            write_key(path, key)
        keys[alias] = key.reveal()
        pins[alias] = TerminalSettings(key_file=path, **(terminals or {}).get(alias, {}))
    where = dict.fromkeys(("terminal", "request", "publish", "control"), ANY)
    where.update(endpoints or {})
    settings = Settings(
        relay=RelaySettings(data_dir=folder / "data", log_dir=folder / "logs"),
        endpoints=EndpointSettings(**where),
        terminals=pins,
        ticks=TickSettings(**(ticks or {})),
        limits=LimitSettings(**(limits or {})),
        session=SessionSettings(**(session or {})),
    )
    return settings, keys


def port_of(endpoint: str) -> int:
    """
    Return the port of a tcp endpoint.
    """
    return int(endpoint.rsplit(":", 1)[1])


class RelayThread:
    """
    A relay in a thread of this process; stopping it is the graceful way.
    """

    def __init__(self, settings: Settings) -> None:
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self.relay = Relay(settings, on_ready=lambda _: self._ready.set())
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    def _run(self) -> None:
        try:
            self.relay.run()
        except BaseException as error:  # noqa: BLE001 - handed to the test's thread
            self._error = error
        finally:
            self._ready.set()

    @property
    def endpoints(self) -> Endpoints:
        assert self.relay.endpoints is not None
        return self.relay.endpoints

    def start(self) -> RelayThread:
        """
        Start and wait until it serves.
        """
        self._thread.start()
        assert self._ready.wait(DEADLINE_S), "the relay did not get ready"
        if self._error is not None:
            raise self._error
        return self

    def stop(self) -> None:
        """
        Stop and wait for the end; fail loudly if it does not come.
        """
        self.relay.stop("the test is over")
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "the relay did not stop"
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.stop()


_CHILD = """
import sys
from pathlib import Path
from tests.support.relay import make_settings
from bridge.relay.app import run_relay
import json
folder, endpoints, options = sys.argv[1:4]
settings, _ = make_settings(Path(folder), endpoints=json.loads(endpoints), **json.loads(options))
run_relay(settings)
"""


class RelayProcess:
    """
    A relay as a process of its own. All starts bind the same free ports.

    ``ablation`` is Python that runs in the process before the relay: it takes a mechanism
    out, to see that a test notices.
    """

    def __init__(self, folder: Path, *, ablation: str = "", **options: Any) -> None:
        self.folder = folder
        self.ablation = ablation
        self._options = options
        _, self.keys = make_settings(folder, **options)
        self._ports = HeldPorts(4)
        self._fixed = {
            name: f"tcp://127.0.0.1:{port}"
            for name, port in zip(
                ("terminal", "request", "publish", "control"), self._ports.numbers, strict=False
            )
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def endpoints(self) -> Endpoints:
        return Endpoints(**self._fixed)

    def start(self) -> RelayProcess:
        """
        Start and wait until ``control.json`` of this very process is there.
        """
        deadline = time.monotonic() + DEADLINE_S
        root = Path(__file__).resolve().parents[2]
        log = (self.folder / "relay.log").open("ab")
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                self.ablation + _CHILD,
                str(self.folder),
                json.dumps(self._fixed),
                json.dumps(self._options),
            ],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        log.close()
        control = self.folder / "data" / "control.json"
        while True:
            try:
                found = json.loads(control.read_text())
                if found["pid"] == self.process.pid:
                    break
            except (OSError, ValueError):
                pass
            said = (self.folder / "relay.log").read_text()
            assert self.process.poll() is None, said
            assert time.monotonic() < deadline, f"the relay did not get ready: {said}"
            threading.Event().wait(0.01)
        self._fixed = found["endpoints"]
        return self

    def kill(self) -> None:
        """
        SIGKILL: nothing is flushed, nobody is told.
        """
        assert self.process is not None
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def checkpointed(self) -> set[str]:
        """
        Return the symbols whose streams a new relay would go on with.
        """
        files = CheckpointFile(self.folder / "data", SystemClock())
        try:
            return {stream.symbol for stream in files.load().streams}
        finally:
            files.close(None)

    def pause(self) -> None:
        """
        SIGSTOP: alive, but silent from here on.
        """
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)

    def go_on(self) -> None:
        """
        SIGCONT.
        """
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """
        SIGTERM and the exit code.
        """
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(DEADLINE_S)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self._ports.close()
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(DEADLINE_S)


class Requester:
    """
    A bare REQ client: one request, one decoded reply.
    """

    def __init__(self, endpoint: str) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.REQ)
        self._socket.linger = 0
        self._socket.rcvtimeo = int(DEADLINE_S * 1000)
        self._socket.connect(endpoint)

    def __call__(self, method: str, **params: Any) -> Any:
        """
        Ask and return the ``result``; an error reply fails the test.
        """
        reply = self.ask(method, params)
        assert reply["ok"], reply
        return reply["result"]

    def ask(self, method: str, params: dict[str, Any], **envelope: Any) -> Any:
        """
        Ask and return the whole reply.
        """
        self._socket.send(msgpack.packb({"id": 1, "method": method, "params": params, **envelope}))
        return msgpack.unpackb(self._socket.recv())

    def raw(self, *frames: bytes) -> list[bytes]:
        """
        Send frames as they are and return the reply's.
        """
        self._socket.send_multipart(frames)
        return self._socket.recv_multipart()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._context.destroy(0)
