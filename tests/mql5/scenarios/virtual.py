"""The EA and the real relay's side of a link on one virtual clock: the same run every time.

The relay is what ``bridge.relay`` has between a connection and its publisher; the connection
is a UNIX socket, on which bytes are there as soon as they are sent. Between two waits of the
EA nothing happens, so an hour costs what is done in it.
"""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import Any, Self

from bridge.bus.bodies import read_tick
from bridge.model.tick import MqlTick
from bridge.relay.links import Link, Links
from bridge.sim.link import Direction, Recording
from bridge.sim.market import Market
from tests.mql5.host import EaProcess
from tests.mql5.posix import listen_at, receive_at_once
from tests.mql5.scenarios.world import ACCOUNT
from tests.support.bench import Bench, FakeTransport

__all__ = ["KEY", "RelayEnd", "VirtualRelay", "program_on"]

KEY = bytes(32)
#: the relay looks at its timers so often
_TURN_US = 10_000
#: clocks begin long after zero, as real ones do
_START_US = 1_000_000_000
_START_UTC_MSC = 1_700_000_000_000


class _RelayClock:
    # The clock of the relay's parts.

    def __init__(self, relay: RelayEnd, start_utc_msc: int) -> None:
        self._relay = relay
        self._start_utc_msc = start_utc_msc

    def now_us(self) -> int:
        return _START_US + self._relay.now_us

    def utc_msc(self) -> int:
        return self._start_utc_msc + self._relay.now_us // 1000


class RelayEnd:
    """
    A peer of a terminal on the virtual clock: the relay's ``links`` behind a UNIX socket.

    ``cut_after`` ends the next connection behind so many bytes in one direction; ``passed``
    counts those of the present one; ``recordings`` has the bytes of all. While it is ``away``,
    who dials is not heard.
    """

    def __init__(self, folder: Path, start_utc_msc: int = _START_UTC_MSC) -> None:
        self.path = folder / "relay.sock"
        self.now_us = 0
        self.away = False
        self.connections = 0
        self.passed = dict.fromkeys(Direction, 0)
        self.recordings: list[Recording] = []
        self.links: Links
        self.clock = _RelayClock(self, start_utc_msc)
        self._budget: tuple[Direction, int] | None = None
        self._listener = listen_at(self.path)
        self._listener.setblocking(False)
        self._socket: socket.socket | None = None
        self._link: Link | None = None
        self._transport = FakeTransport()

    def __exit__(self, *_: object) -> None:
        self.hang_up()
        self._listener.close()

    @property
    def active(self) -> bool:
        """
        Whether the terminal is logged on.
        """
        return self._link is not None and self._link.logged_on

    # --- faults -----------------------------------------------------------------------------

    def cut_after(self, direction: Direction, size: int) -> None:
        """
        End the next connection when so many bytes have passed.
        """
        self._budget = (direction, size)

    def hang_up(self) -> None:
        """
        End the connection for both.
        """
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._link is not None:
            link, self._link = self._link, None
            link.connection_lost(ConnectionResetError())

    # --- the peer ---------------------------------------------------------------------------

    def run(self, now_us: int) -> bool:
        """
        Do what is due; return whether there is something for the terminal.
        """
        self.now_us = now_us
        moved = self._accept()
        moved = self._receive() or moved
        self._tick()
        return self._send() or moved

    def next_deadline(self) -> int:
        """
        Return when it wants to run again.
        """
        return self.now_us + _TURN_US

    # --- inside -----------------------------------------------------------------------------

    def _tick(self) -> None:
        self.links.tick(self.clock.now_us())

    def _accept(self) -> bool:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return False
        if self.away:
            connection.close()
            return True
        self.hang_up()
        connection.setblocking(False)
        self._socket = connection
        self.connections += 1
        self.passed = dict.fromkeys(Direction, 0)
        self.recordings.append(Recording())
        self._transport = FakeTransport()
        self._link = self.links.new_link()
        self._link.connection_made(self._transport)
        return True

    def _receive(self) -> bool:
        moved = False
        while self._socket is not None and self._link is not None:
            data = receive_at_once(self._socket)
            if data is None:
                break
            moved = True
            part, cut = self._within_budget(Direction.TO_RELAY, data)
            if part:
                self.recordings[-1].to_relay += part
                self._link.get_buffer(-1)[: len(part)] = part
                self._link.buffer_updated(len(part))
            if cut or not data:
                self._send()
                self.hang_up()
        return moved

    def _send(self) -> bool:
        data, self._transport.written = bytes(self._transport.written), bytearray()
        if self._socket is None:
            return False
        part, cut = self._within_budget(Direction.TO_TERMINAL, data)
        if part:
            self.recordings[-1].to_terminal += part
            # A write to somebody who is gone fails here, and is seen by the next read.
            with contextlib.suppress(OSError):
                self._socket.sendall(part)
        if cut or self._transport.closing:
            self.hang_up()
            return True
        return bool(part)

    def _within_budget(self, direction: Direction, data: bytes) -> tuple[bytes, bool]:
        cut = False
        if self._budget is not None and self._budget[0] is direction:
            left = self._budget[1] - self.passed[direction]
            cut = len(data) >= left and bool(data)
            if cut:
                data, self._budget = data[:left], None
        self.passed[direction] += len(data)
        return data, cut


class VirtualRelay(RelayEnd):
    """
    The relay's links and streams, recording what is published. A context manager.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder
        self.published: list[bytes] = []
        #: of each symbol how many of these were read, and the ticks in them
        self._read: dict[str, tuple[list[int], list[tuple[int, int, MqlTick]]]] = {}
        self.bench: Bench

    # --- lives ------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._begin(100)
        return self

    def restart(self) -> None:
        """
        Be a new relay with the checkpoint of the old one; the subscribers are still there.
        """
        self.hang_up()
        self._keep()
        saved = [stream.save() for stream in self.bench.terminal().streams.values()]
        self._begin(self.bench.minted)
        for stream in saved:
            if stream is not None:
                self.bench.terminal().restore(stream, _START_US + self.now_us)

    def subscribe(self, symbol: str) -> None:
        """
        Have a subscriber for a symbol.
        """
        self.bench.terminal().subscribe(symbol)

    def ticks(self, symbol: str) -> list[tuple[int, int, MqlTick]]:
        """
        Return epoch, number and tick of what was published.
        """
        self._keep()
        topic = f"tick/demo/{symbol}\0".encode()
        read, found = self._read.setdefault(symbol, ([0], []))
        for message in self.published[read[0] :]:
            if message.startswith(topic):
                one = read_tick(message[len(topic) :])
                found.append((one.epoch, one.seq, MqlTick(*one[2:7], one.flags & 0xFF)))
        read[0] = len(self.published)
        return list(found)

    # --- inside -----------------------------------------------------------------------------

    def _begin(self, minted: int) -> None:
        self.bench = Bench(self.folder, clock=self.clock)
        self.bench.minted = minted
        self.links = self.bench.make_links()

    def _keep(self) -> None:
        self.published += self.bench.socket.sent
        self.bench.socket.sent.clear()


def program_on(relay: Any, binary: Path, market: Market, folder: Path, **options: Any) -> EaProcess:
    """
    Return an EA that dials a relay with a path, on the virtual clock; not started yet.
    """
    process = EaProcess(
        binary,
        market=market,
        account=ACCOUNT,
        # Without the pump an hour has ten times fewer waits in it.
        inputs={
            "InpAlias": "demo",
            "InpKey": KEY.hex(),
            "InpRelayPort": 5555,
            "InpPumpMs": 0,
            "InpTimerMs": 100,
        },
        options={"unix_socket": relay.path, **options},
        clock="virtual",
        folder=folder,
    )
    process.peers.append(relay)
    return process
