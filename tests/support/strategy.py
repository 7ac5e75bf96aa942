"""A strategy as a process that can be killed: it knows from its own file what it has asked for.

It writes down what it is about to ask before it asks, and every end that it is told. After a
kill it asks again, under the same ids, for all of which it has no end. It goes on with new orders
until its standard input says ``finish``; then it waits for the ends of all and stops.
"""

from __future__ import annotations

import json
import os
import random
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import msgpack
import zmq

CLIENT_ID = "strategy"
DEADLINE_S = 60.0
_AT_ONCE = 4
_VALID_FOR_MS = 3_000
_PATIENCE_S = 4.0


class StrategyLog:
    """
    The strategy's own file: what it asked for, and the ends.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: dict[str, tuple[str, dict[str, Any]]] = {}
        self.ends: dict[str, dict[str, Any]] = {}
        for line in path.read_text().splitlines() if path.exists() else []:
            try:
                kind, name, *rest = json.loads(line)
            except ValueError:
                continue  # a kill in the middle of a line: what it said was not asked yet
            if kind == "ask":
                self.asked[name] = (rest[0], rest[1])
            else:
                self.ends[name] = rest[0]
        self._file: Any = None

    @property
    def open(self) -> list[str]:
        """
        What was asked for and has no end.
        """
        return [name for name in self.asked if name not in self.ends]

    def ask(self, name: str, method: str, params: dict[str, Any]) -> None:
        self.asked[name] = (method, params)
        self._write("ask", name, method, params)

    def end(self, name: str, result: dict[str, Any]) -> None:
        self.ends[name] = result
        self._write("end", name, result)

    def _write(self, *fields: Any) -> None:
        if self._file is None:
            self._file = self.path.open("a")
            self._file.write("\n")  # behind a line that a kill has cut
        self._file.write(json.dumps(fields) + "\n")
        self._file.flush()


class Strategy:
    """
    Orders of all kinds, a few at once.
    """

    def __init__(self, endpoint: str, folder: str, seed: str) -> None:
        self.log = StrategyLog(Path(folder) / "strategy.log")
        self._rng = random.Random(f"{seed}/{len(self.log.asked)}")
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 0
        # What a relay that is away would get later, nobody waits for any more.
        self._socket.immediate = True
        self._socket.sndtimeo = 100
        self._socket.connect(endpoint)
        self._waiting: dict[str, float] = {}
        self._serial = 0
        self._finishing = False

    def run(self) -> None:
        """
        Trade until told to finish and everything has its end.
        """
        print("started", flush=True)
        while not (self._finishing and not self.log.open):
            self._listen()
            self._send()
            self._receive()
        print("finished", flush=True)

    def _listen(self) -> None:
        if select.select([sys.stdin], [], [], 0)[0]:
            self._finishing = sys.stdin.readline() != ""

    def _send(self) -> None:
        now = time.monotonic()
        self._waiting = {name: until for name, until in self._waiting.items() if until > now}
        idle = [name for name in self.log.open if name not in self._waiting]
        while len(self._waiting) < _AT_ONCE and (idle or not self._finishing):
            name = idle.pop(0) if idle else self._new()
            method, params = self.log.asked[name]
            self._serial += 1
            request = {
                "id": f"{name}|{self._serial}",
                "method": method,
                "params": params,
                "client_id": CLIENT_ID,
                "client_order_id": name,
                "valid_for_ms": _VALID_FOR_MS,
            }
            self._waiting[name] = now + _PATIENCE_S
            try:
                self._socket.send(msgpack.packb(request))
            except zmq.Again:
                self._waiting[name] = now + 0.1
                return

    def _new(self) -> str:
        name = f"order-{len(self.log.asked)}"
        self.log.ask(name, *self._choose())
        return name

    def _choose(self) -> tuple[str, dict[str, Any]]:
        rng = self._rng
        symbol = rng.choice(["EURUSD", "GBPUSD"])
        positions = [end["position"] for end in self.log.ends.values() if end["position"]]
        placed = [end["order"] for end in self.log.ends.values() if end["outcome"] == "PLACED"]
        kind = rng.random()
        if kind < 0.25 and positions:
            return "position_close", {"position": rng.choice(positions[-10:])}
        if kind < 0.35 and placed:
            return "order_cancel", {"order": rng.choice(placed[-10:])}
        if kind < 0.5:
            limit = {"action": "PENDING", "type": "BUY_LIMIT", "price": 1.0}
            return "order_send", {**limit, "symbol": symbol, "volume": 0.01}
        volume = 0.0101 if kind > 0.97 else 0.01  # off its step, now and then
        side = rng.choice(["BUY", "SELL"])
        return "order_send", {"action": "DEAL", "symbol": symbol, "volume": volume, "type": side}

    def _receive(self) -> None:
        wait_ms = 20
        while self._socket.poll(wait_ms):
            wait_ms = 0
            reply = msgpack.unpackb(self._socket.recv())
            name = reply["id"].split("|")[0]
            self._waiting.pop(name, None)
            if reply["ok"] and reply["result"]["final"] and name not in self.log.ends:
                if _id_is_used(reply["result"]):
                    self.log.end(name, reply["result"])
                else:
                    # Denied by the relay, the id is free: asked for again until it is taken.
                    self._waiting[name] = time.monotonic() + 0.2


def _id_is_used(result: dict[str, Any]) -> bool:
    # What is not in the journal has no tag.
    return bool(result["tag"])


_CHILD = """
import sys
from tests.support.strategy import Strategy
Strategy(*sys.argv[1:]).run()
"""


class StrategyProcess:
    """
    The strategy as a process of its own; ``kill`` is SIGKILL.
    """

    def __init__(self, endpoint: str, folder: Path, seed: int) -> None:
        self._arguments = [endpoint, str(folder), str(seed)]
        self.log_path = folder / "strategy.log"
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> Self:
        root = Path(__file__).resolve().parents[2]
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CHILD, *self._arguments],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._expect("started\n")
        return self

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def finish(self) -> StrategyLog:
        """
        Let it wait for the ends of all, and return its file.
        """
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write("finish\n")
        self.process.stdin.flush()
        self._expect("finished\n")
        self.kill()
        return StrategyLog(self.log_path)

    def _expect(self, line: str) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], DEADLINE_S)
        log = StrategyLog(self.log_path)
        assert ready, f"the strategy did not get to {line!r}: {log.open}"
        assert line == self.process.stdout.readline()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
