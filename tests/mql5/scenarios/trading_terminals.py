"""The terminals of a trading scenario, on its virtual clock: the Expert Advisor, or Python's."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from bridge.model.tick import MqlTick
from bridge.sim.exchange import Exchange
from bridge.sim.ledger import SqliteLedger
from bridge.sim.terminal import TerminalCore
from bridge.sim.trading import TradingLimits
from bridge.wire.spec import Permission
from tests.mql5.broker import account_of
from tests.mql5.host import EaProcess, ExitCode, Peer
from tests.mql5.posix import dial, receive_at_once, send_at_once
from tests.mql5.scenarios.expert import LIMIT_INPUTS
from tests.mql5.scenarios.trading_relay import ALIAS
from tests.mql5.scenarios.virtual import KEY

__all__ = [
    "OTHER",
    "SYMBOL",
    "UTC_OFFSET_MIN",
    "ExpertOnVirtual",
    "NobodyOnVirtual",
    "PythonOnVirtual",
    "VirtualTerminal",
]

SYMBOL: Final = "EURUSD"
#: streams, and is not traded
OTHER: Final = "GBPUSD"
UTC_OFFSET_MIN: Final = 120
_LOOK_US: Final = 10_000
_TURNS_MAX: Final = 100


class VirtualTerminal(Protocol):
    """
    A terminal from its start to its end, and the time in which it lives.
    """

    is_ea: bool

    @property
    def now_us(self) -> int: ...
    @property
    def running(self) -> bool: ...
    def start(self) -> None: ...
    def stop(self) -> None:
        """
        End in order.
        """
        ...

    def kill(self) -> None:
        """
        End at once; it may be dead already.
        """
        ...

    def advance(self, ms: float) -> None:
        """
        Let time pass.
        """
        ...

    def wait_for(self, condition: Callable[[], Any], within_s: float) -> Any:
        """
        Let time pass until something is true.
        """
        ...

    def quote(self, symbol: str, tick: MqlTick) -> None:
        """
        Let a tick happen.
        """
        ...

    def set_connected(self, connected: bool) -> None:
        """
        Let it lose its trade server, or find it again.
        """
        ...

    def said(self) -> str:
        """
        Return what it told its user.
        """
        ...


class ExpertOnVirtual:
    """
    ``mql5/Experts/Bridge.mq5``, translated and running.
    """

    is_ea = True

    def __init__(
        self,
        exchange: Exchange,
        relay: Peer,
        relay_path: Path,
        folder: Path,
        *,
        binary: Path,
        limits: dict[str, Any],
        start_utc_msc: int,
        inputs: dict[str, Any],
        options: dict[str, Any],
    ) -> None:
        self.process = EaProcess(
            binary,
            exchange=exchange,
            inputs={
                "InpAlias": ALIAS,
                "InpKey": KEY.hex(),
                "InpRelayPort": 5555,
                "InpPumpMs": 0,
                **{LIMIT_INPUTS[name]: value for name, value in limits.items()},
                **inputs,
            },
            options={"unix_socket": relay_path, "start_utc_ms": start_utc_msc, **options},
            clock="virtual",
            folder=folder,
            symbol=SYMBOL,
        )
        self.process.peers.append(relay)

    @property
    def now_us(self) -> int:
        return self.process.now_us

    @property
    def running(self) -> bool:
        return self.process.running

    def start(self) -> None:
        self.process.start()

    def stop(self) -> None:
        process = self.process
        if process.running:
            process.deinit()
        process.close()

        assert process.exit_code == ExitCode.ENDED, process.crash
        assert "" == process.crash

    def kill(self) -> None:
        process = self.process
        if process.running:
            process.kill()
        process.close()

        assert "" == process.crash

    def advance(self, ms: float) -> None:
        self.process.advance(ms)

    def wait_for(self, condition: Callable[[], Any], within_s: float) -> Any:
        return self.process.wait_for(condition, within_s)

    def quote(self, symbol: str, tick: MqlTick) -> None:
        self.process.quote(symbol, tick)

    def set_connected(self, connected: bool) -> None:
        if connected:
            self.process.reconnect_trade_server()
        else:
            self.process.disconnect_trade_server()

    def said(self) -> str:
        lines = self.process.said()[-20:]
        return "\n".join([self.process.comment, *lines, self.process.crash])


class _Walking:
    # Time in steps of a timer, without a process of its own.

    is_ea = False

    def __init__(self, exchange: Exchange, relay: Peer) -> None:
        self.now_us = exchange.now_us
        self.running = False
        self.exchange = exchange
        self.relay = relay

    def start(self) -> None:
        self.running = True
        self._turn()

    def advance(self, ms: float) -> None:
        until_us = self.now_us + round(ms * 1000)
        self._turn()
        while self.now_us < until_us:
            self._step(until_us)

    def wait_for(self, condition: Callable[[], Any], within_s: float) -> Any:
        until_us = self.now_us + round(within_s * 1e6)
        self._turn()
        while not (result := condition()):
            assert self.now_us < until_us, f"it did not happen: {self.said()}"
            self._step(until_us)
        return result

    def quote(self, symbol: str, tick: MqlTick) -> None:
        self.exchange.market.history.append(symbol, tick)
        self._turn()

    def said(self) -> str:
        return ""

    def _step(self, until_us: int) -> None:
        later_us = (self.now_us // _LOOK_US + 1) * _LOOK_US
        due_us = self.exchange.next_deadline()
        if due_us is not None and due_us > self.now_us:
            later_us = min(later_us, due_us)
        self.now_us = min(later_us, until_us)
        self._turn()

    def _turn(self) -> None:
        self.exchange.advance(self.now_us)
        self.relay.run(self.now_us)


class NobodyOnVirtual(_Walking):
    """
    No terminal: time passes for relay and broker.
    """

    def stop(self) -> None:
        """
        Nothing.
        """

    def kill(self) -> None:
        """
        Nothing.
        """

    def set_connected(self, connected: bool) -> None:
        """
        Nothing.
        """


class PythonOnVirtual(_Walking):
    """
    ``bridge.sim``: the reference. Its ledger is a file.
    """

    def __init__(
        self,
        exchange: Exchange,
        relay: Peer,
        relay_path: Path,
        folder: Path,
        *,
        limits: dict[str, Any],
    ) -> None:
        super().__init__(exchange, relay)
        folder.mkdir(parents=True, exist_ok=True)
        symbols = frozenset(str(limits.get("symbols", "")).split(",")) - {""}
        ledger = self._ledger = SqliteLedger(folder / "ledger.sqlite")
        self.core = TerminalCore(
            key=KEY,
            key_id=ALIAS,
            account=account_of(exchange),
            market=exchange.market,
            incarnation=ledger.incarnation,
            connection_counter=ledger.connection_counter,
            commit_counter=ledger.commit_counter,
            exchange=exchange,
            ledger=ledger,
            limits=TradingLimits(**{**limits, "symbols": symbols}),
        )
        self.core.utc_offset_min = UTC_OFFSET_MIN
        self._path = relay_path
        self._socket: socket.socket | None = None

    def stop(self) -> None:
        if self.running:
            self.core.log_out("the terminal ends")
            self._send()
            self.relay.run(self.now_us)
        self.kill()

    def kill(self) -> None:
        self.running = False
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._ledger.close()

    def set_connected(self, connected: bool) -> None:
        flag = Permission.TERMINAL_CONNECTED
        allowed = self.core.permissions
        self.core.permissions = allowed | flag if connected else allowed & ~flag

    def said(self) -> str:
        return repr(self.core.last_closed)

    def _turn(self) -> None:
        self.exchange.advance(self.now_us)
        for _ in range(_TURNS_MAX):
            moved = self._receive()
            self.core.poll(self.now_us)
            moved = self._send() or moved
            moved = self._tend() or moved
            moved = self.relay.run(self.now_us) or moved
            if not moved:
                return
        raise AssertionError("the terminal does not come to rest")

    def _receive(self) -> bool:
        moved = False
        while self._socket is not None and (self.core.closing or self.core.wants_to_receive):
            data = receive_at_once(self._socket)
            if data is None:
                break
            moved = True
            if data:
                self.core.data_received(data, self.now_us)
            else:
                self._lose()
        return moved

    def _send(self) -> bool:
        moved = False
        while self._socket is not None and (data := self.core.data_to_send()):
            moved = True
            try:
                sent = send_at_once(self._socket, data)
            except OSError:
                self._lose()
                break
            assert sent == len(data), "the relay reads at once"
        return moved

    def _tend(self) -> bool:
        if self._socket is None:
            if not self.core.may_connect(self.now_us):
                return False
            self._socket = dial(self._path)
            self._socket.setblocking(False)
            self.core.connection_made(self.now_us)
            return True
        if self.core.closing and not self.core.wants_to_send:
            self._lose()
            return True
        return False

    def _lose(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
        self._socket = None
        self.core.connection_lost(self.now_us)
