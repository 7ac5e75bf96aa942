"""The Expert Advisor as a side under test: translated, running, on the player's clock.

Its connection is a UNIX socket. It dials when it wants to, so a connection may wait here until the
script takes it; nothing is said on it meanwhile.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bridge.model.tick import MqlTick
from bridge.sim.terminal import ALL_PERMISSIONS
from bridge.wire.spec import Permission, Role
from tests.conformance.speech import KEYS
from tests.conformance.terminal_peer import OFFSET_MIN, SERVER_MSC, START_US, TerminalPeer
from tests.conformance.values import SyntaxProblem
from tests.mql5.host import NEVER_US, EaProcess
from tests.mql5.posix import listen_at, send_at_once
from tests.mql5.scenarios.expert import LIMIT_INPUTS

__all__ = ["ExpertPeer", "expert_peer"]

_CHART: Final = "EURUSD"
#: Turns without anything new after which there will be nothing at this moment.
_QUIET_TURNS: Final = 2
_SIZE: Final = 65_536
#: No longer is nobody there to read what it says.
_STEP_US: Final = 250_000


@contextlib.contextmanager
def expert_peer(folder: Path, binary: Path, *, sends_async: bool = False) -> Iterator[ExpertPeer]:
    """
    Give a peer; at its end the program must not have crashed.
    """
    peer = ExpertPeer(folder, binary, sends_async=sends_async)
    try:
        yield peer
    finally:
        crash = peer.close()
    assert not crash, crash


class ExpertPeer(TerminalPeer):
    """
    Implements ``ports.Peer``; broker, market and what scripts ask of them are those of the
    Python terminal.
    """

    def __init__(self, folder: Path, binary: Path, *, sends_async: bool) -> None:
        self._process: EaProcess | None = None
        super().__init__()
        self._binary = binary
        self._folder = folder
        self._listener = listen_at(folder / "relay.sock")
        self._listener.setblocking(False)
        self._socket: socket.socket | None = None
        #: a connection that the program made and the script has not taken
        self._waiting: socket.socket | None = None
        self._unsent = bytearray()
        self._inputs: dict[str, object] = {"InpDemoOnly": False, "InpSendAsync": sends_async}
        self._ledger_fails = False
        self._permissions = ALL_PERMISSIONS
        self._crash = ""

    def close(self) -> str:
        """
        End everything; return what was wrong with the program.
        """
        self._do_kill()
        self._listener.close()
        return self._crash

    # --- the port ---------------------------------------------------------------------------

    def connect(self, number: int) -> bool:
        if self._process is None:
            self._do_start()
        self._run()
        if self._open or self._waiting is None:
            return False
        self._socket, self._waiting = self._waiting, None
        self._open = number
        self._out[number] = bytearray()
        self._run()
        return True

    def send(self, number: int, data: bytes) -> None:
        if number == self._open:
            self._unsent += data
            self._run()

    def advance(self, until_us: int) -> None:
        self._broker()
        while self.now_us < until_us:
            self.now_us = min(until_us, self.now_us + _STEP_US)
            if self._process is None:
                self._broker().advance(self.now_us)
            else:
                self._process.advance((self.now_us - self._process.now_us) / 1000)
                self._hear()

    def command(self, name: str, values: dict[str, Any]) -> None:
        getattr(self, f"_do_{name}")(**values)
        self._run()

    # --- inside -------------------------------------------------------------------------------

    def _run(self, quiet_turns: int = _QUIET_TURNS) -> None:
        # A tick is what makes it look at what has come.
        quiet = 0
        while self._process is not None and quiet < quiet_turns:
            self._process.tick(_CHART)
            self._process.settle()
            quiet = 0 if self._hear() else quiet + 1

    def _hear(self) -> bool:
        # Move bytes; tell whether there were any, or a connection came or went.
        process = self._process
        if process is not None and not process.running:
            raise SyntaxProblem(f"the program is gone: {process.crash}")
        moved = False
        with contextlib.suppress(BlockingIOError):
            came, _ = self._listener.accept()
            came.setblocking(False)
            if self._waiting is not None:
                self._waiting.close()
            self._waiting = came
            moved = True
        if self._waiting is not None and _is_over(self._waiting):
            self._waiting.close()
            self._waiting = None
        if self._socket is not None:
            moved = self._exchange_bytes(self._socket) or moved
        return moved

    def _exchange_bytes(self, connection: socket.socket) -> bool:
        moved = False
        with contextlib.suppress(OSError):
            while self._unsent and (sent := send_at_once(connection, self._unsent)):
                del self._unsent[:sent]
                moved = True
        try:
            data = connection.recv(_SIZE)
        except BlockingIOError:
            return moved
        except OSError:
            data = b""
        if data:
            self._out[self._open] += data
        else:
            self._end_connection()
        return True

    def _end_connection(self) -> None:
        self._open = 0
        self._unsent.clear()
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _hang_up(self) -> None:
        self._end_connection()
        self._run()

    def _quote(self, symbol: str, bid: float, ask: float, time_msc: int | None = None) -> None:
        at = self.server_msc if time_msc is None else time_msc
        tick = MqlTick(at, bid, ask, 0.0, 0.0, 6)
        if self._process is None:
            self._market.history.append(symbol, tick)
        else:
            self._process.quote(symbol, tick)

    # --- what = says ----------------------------------------------------------------------------

    def _do_settings(self, **values: Any) -> None:
        if self._process is not None:
            raise SyntaxProblem("settings: the terminal runs already")
        if "role" in values:
            self._inputs["InpMarketOnly"] = Role[values.pop("role")] is Role.MARKET
        self._account = self._account_with(values)

    def _do_account(self, **values: Any) -> None:
        self._account = self._account_with(values)
        if self._process is not None:
            self._process.set_account(self._account)

    def _do_start(self) -> None:
        if self._process is not None:
            raise SyntaxProblem("start: the terminal runs already")
        self._broker().advance(self.now_us)
        utc_ms = SERVER_MSC - OFFSET_MIN * 60_000 - START_US // 1000
        self._process = EaProcess(
            self._binary,
            exchange=self._broker(),
            account=self._account,
            symbol=_CHART,
            inputs={
                "InpAlias": "demo",
                "InpKey": KEYS["demo"].hex(),
                "InpRelayPort": 5555,
                "InpPumpMs": 0,
                **self._inputs,
            },
            options={
                "unix_socket": self._folder / "relay.sock",
                "start_utc_ms": utc_ms,
                "timer_floor_ms": 10,
                # A link that ends is seen at once, as Winsock shows it.
                "socket_mode": "close_readable_1_read_minus_1",
                "sqlite": "full" if self._ledger_fails else "",
            },
            clock="virtual",
            folder=self._folder / "terminal",
            now_us=self.now_us,
        )
        self._process.peers.append(_Nobody())
        self._process.start()
        self._process.set_permissions(self._permissions)

    def _do_kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            if process.running:
                process.kill()
            process.close()
            self._crash = self._crash or process.crash
        self._end_connection()
        if self._waiting is not None:
            self._waiting.close()
        self._waiting = None

    def _do_ledger(self, *, durable: bool = True, new: bool = False) -> None:
        if new:
            if self._process is not None:
                raise SyntaxProblem("ledger new: kill the terminal first")
            for path in (self._folder / "terminal").glob("MQL5/Files/Bridge/*"):
                path.unlink()
        self._ledger_fails = not durable
        if self._process is not None:
            self._process.set_option("sqlite", "" if durable else "full")

    def _do_permissions(self, *, off: str) -> None:
        flag = Permission(0) if off == "none" else Permission[off]
        self._permissions = ALL_PERMISSIONS & ~flag
        if self._process is None:
            self._do_start()
        else:
            self._process.set_permissions(self._permissions)

    def _do_limits(self, **values: Any) -> None:
        if self._process is not None:
            raise SyntaxProblem("limits: inputs do not change while the program runs")
        self._inputs |= {LIMIT_INPUTS[name]: value for name, value in values.items()}


class _Nobody:
    # Keeps the virtual clock in steps that the player can see.

    def run(self, now_us: int) -> bool:
        return False

    def next_deadline(self) -> int:
        return NEVER_US


def _is_over(connection: socket.socket) -> bool:
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
