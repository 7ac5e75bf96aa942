"""The compiled Expert Advisor as the terminal of a simulated world.

Theory of operation. The program is a process of ``tests.mql5.host`` on its virtual clock: each of
its waits is a message that stays open until the world's clock has come there, so it runs only while
the world stands still. Its TCP connection is a UNIX socket, on which bytes are there as soon as they
are sent. This side of it hands them to a ``Wire``, which has the delays and the cuts, and gives the
program what the wire has delivered. The broker is the world's.

Its timer is honoured as a busy machine does: at once while something happens, late while nothing
does. What is due while it is late comes when it is heard next.

Its ledger is an SQLite file on a disk that loses what was not synced.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import functools
import random
import signal
import tempfile
import termios
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bridge.sim.market import Market
from tests.mql5.broker_trade import TradeFaults
from tests.mql5.posix import listen_at, receive_at_once
from tests.mql5.scenarios.expert import binary
from tests.mql5.scenarios.modes import SOCKETS
from tests.simulation.broker import Broker
from tests.simulation.hosts import ALIAS, KEY, UTC_MSC
from tests.simulation.loop import MS, SECOND, Alarm
from tests.simulation.network import Wire
from tests.simulation.program_ea import Program
from tests.simulation.world import Options, World

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

__all__ = ["EaHost", "options_of_ea"]

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - only to be fast; the folder in it is our own
_TURNS_MAX: Final = 50
#: a session's frames without orders: what is not longer is no reason to look often
_QUIET_BYTES: Final = 160
_LATE_MAX_US: Final = 400 * MS
#: who sends without waiting waits so long for an answer (Constants.mqh), most of a run's time: few do
_PATIENCE_US: Final = 60 * SECOND
_LOSSY: Final = 0.1
#: at these places it dies by itself, with the number of times that it passes them before, at most
_PLACES: Final = {
    "OrderSend.before": 12,
    "OrderSend.sent": 12,
    "OrderSend.after": 12,
    "OrderSendAsync.before": 12,
    "OrderSendAsync.sent": 12,
    "OrderSendAsync.after": 12,
    "Database.before": 60,
    "Database.after": 60,
    "Commit.before": 60,
    "Commit.after": 60,
}
#: ways of MetaTrader's sockets that nobody has written down; not the one in which a read takes time
_SOCKETS: Final = tuple(mode for mode in SOCKETS if mode != "reads_wait_full")
_LEDGER_FAULTS: Final = ("locked", "write_full", "write_fails", "sync_fails")


class _Connection:
    # The relay's end of the program's socket, and the wire behind it.

    def __init__(self, connection: socket.socket, wire: Wire) -> None:
        connection.setblocking(False)
        self.socket = connection
        self._unread = bytearray(4)
        self.wire = wire
        #: what has arrived for the program; ``ended``: and the end behind it
        self.inbox = bytearray()
        self.ended = False

    def waits(self) -> bool:
        """
        Whether there is something that the program has not read.
        """
        if self.inbox or self.ended:
            return True
        fcntl.ioctl(self.socket, termios.TIOCOUTQ, self._unread)
        return any(self._unread)


class EaHost:
    """
    The terminal's machine: the program's processes one after the other, and its files, which stay.

    ``inputs`` are given to each of them; ``options`` too, of the runtime.
    """

    def __init__(
        self,
        world: World,
        broker: Broker,
        clock_offset_us: int,
        *,
        binary: Path,
        inputs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.broker = broker
        self._world = world
        self._loop = world.loop
        self._rng = world.rng_of("terminal")
        self._offset_us = clock_offset_us
        self._binary = binary
        self._inputs = dict(inputs or {})
        self._options = dict(options or {})
        self._program: Program | None = None
        self._connection: _Connection | None = None
        self._alarm = Alarm(world.loop, self._step)
        #: when something happened, and when the program had its last turn
        self._stirred_us = self._ran_us = 0
        #: it has sent something in its last turn: there may be more
        self._moved = False
        self._patient = False
        self._ledger_fault = ""
        self._exit = contextlib.ExitStack()
        memory = _MEMORY if _MEMORY.is_dir() else None
        self.folder = Path(
            self._exit.enter_context(tempfile.TemporaryDirectory(prefix="ea-", dir=memory))
        )
        self._listener = self._exit.enter_context(listen_at(self.folder / "relay.sock"))
        self._listener.setblocking(False)
        broker.stirred = self._stir
        self.start()

    # --- life ------------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        """
        Whether the program runs.
        """
        return self._program is not None

    @property
    def patience_us(self) -> int:
        """
        How long it may wait for an answer that does not come.
        """
        return _PATIENCE_US if self._patient else 0

    @property
    def wire(self) -> Wire | None:
        """
        The connection, if one is up.
        """
        return None if self._connection is None else self._connection.wire

    def start(self) -> None:
        """
        Start the program, with nothing but its files.
        """
        if self._program is not None:
            return
        self.broker.advance()
        self.broker.synchronise()
        rng = self._rng
        inputs = self._drawn_inputs(rng)
        program = self._program = Program(
            self._binary,
            exchange=self.broker.exchange,
            account=self.broker.account,
            inputs=inputs,
            options=self._drawn_options(rng),
            clock="virtual",
            folder=self.folder / "terminal",
            symbol=_chart_of(self.broker.market),
            now_us=self._now,
        )
        # An answer that is lost is one that is waited for, by who does not ask for it in a call.
        self._patient = bool(inputs["InpSendAsync"]) and rng.random() < _LOSSY
        loses = (self._patient or not inputs["InpSendAsync"]) and not self._world.calm
        program.broker.trade.faults = _drawn_faults(rng, loses=loses)
        self.broker.keep_answers(not loses)
        if self._world.traced:
            program.on_event = self._tell
        program.start()
        self._stirred_us = self._loop.now
        self._step()

    def kill(self, *, power: bool = False) -> None:
        """
        Be no more, at once; with ``power`` the disk forgets what was not synced.
        """
        program = self._program
        if program is None:
            return
        self.broker.advance()
        self._bury(program, power=power)
        self._step()

    def close(self) -> None:
        """
        End for ever: nothing of it stays behind.
        """
        if self._program is not None:
            self._bury(self._program, power=False)
        self._exit.close()

    def break_ledger(self) -> None:
        """
        Let nothing be written to it.
        """
        self._set_ledger(self._rng.choice(_LEDGER_FAULTS))

    def mend_ledger(self) -> None:
        """
        It can be written to again.
        """
        self._set_ledger("")

    def calm(self) -> None:
        """
        Let nothing more go wrong with it: no transaction is lost any more either.
        """
        self.mend_ledger()
        if self._program is not None:
            trade = self._program.broker.trade
            trade.faults = dataclasses.replace(trade.faults, drop=0.0)

    def arrived(self, wire: Wire, data: bytes) -> None:
        connection = self._connection
        if connection is None or connection.wire is not wire:
            return
        if data:
            connection.inbox += data
        else:
            connection.ended = True
        if len(data) > _QUIET_BYTES or not data:
            self._stirred_us = self._loop.now
        self._hurry()

    # --- what differs from life to life -------------------------------------------------------

    def _drawn_inputs(self, rng: random.Random) -> dict[str, Any]:
        return {
            "InpAlias": ALIAS,
            "InpKey": KEY.hex(),
            "InpRelayPort": 5555,
            "InpDemoOnly": False,
            "InpSendAsync": rng.random() < 0.4,
            # The program waits in an event for what comes, or it does not: then it costs less.
            "InpPumpMs": 10 if rng.random() < 0.03 else 0,
            **self._inputs,
        }

    def _drawn_options(self, rng: random.Random) -> dict[str, Any]:
        options: dict[str, Any] = {
            "unix_socket": self.folder / "relay.sock",
            "losing_disk": 1,
            "timer_floor_ms": rng.choice((16, 40, 80)),
            "socket_mode": rng.choice(_SOCKETS),
            "socket_seed": rng.randrange(1, 10**9),
            "start_utc_ms": UTC_MSC - self._offset_us // 1000 + rng.randint(-2_000, 2_000),
            "sqlite": self._ledger_fault,
        }
        if not self._world.calm and rng.random() < 0.4:
            place = rng.choice(list(_PLACES))
            options["die_at"] = f"{place}:{rng.randint(1, _PLACES[place])}"
        given = dict(self._options)
        always = given.pop("sqlite", "")
        if always:
            options["sqlite"] = always
        return options | given

    # --- inside: steps -----------------------------------------------------------------------

    @property
    def _now(self) -> int:
        return self._loop.now + self._offset_us

    def _stir(self) -> None:
        self._stirred_us = self._loop.now
        self._step()

    def _step(self) -> None:
        program = self._program
        if program is None:
            self.broker.advance()
            self._set_alarm()
            return
        if program.hear(self._now):
            self._stirred_us = self._loop.now
            self._run(program)
        elif self._next_look() <= self._loop.now:
            self._run(program)
        self._set_alarm()

    def _run(self, program: Program) -> None:
        self._ran_us = self._loop.now
        self._moved = False
        for _ in range(_TURNS_MAX):
            self._moved = self._feed() or self._moved
            program.leap(self._now)
            if not program.running:
                self._died(program)
                return
            moved = self._drain()
            self._moved = self._moved or moved
            if program.idle or not moved:
                return

    def _hurry(self) -> None:
        if self._program is not None:
            self._alarm.set(self._next_look())

    def _next_look(self) -> int:
        # When the program is to run next, in the world's time.
        program = self._program
        assert program is not None
        waits_us = program.waits_us - self._offset_us
        connection = self._connection
        if not program.idle or self._moved or (connection and connection.waits()):
            return waits_us
        quiet_us = self._loop.now - self._stirred_us
        return max(waits_us, self._ran_us + min(quiet_us // 2, _LATE_MAX_US))

    def _set_alarm(self) -> None:
        due = self.broker.next_deadline()
        times = [] if due is None else [due]
        if self._program is not None:
            times.append(self._next_look())
        if times:
            self._alarm.set(max(min(times), self._loop.now + 1))

    # --- inside: the connection ------------------------------------------------------------------

    def _feed(self) -> bool:
        # Give the program what has arrived; its end comes behind it.
        connection = self._connection
        if connection is None or not (connection.inbox or connection.ended):
            return False
        if connection.inbox:
            try:
                sent = connection.socket.send(connection.inbox)
            except BlockingIOError:
                return False
            except OSError:
                sent = len(connection.inbox)  # it has closed: its end is read below
            del connection.inbox[:sent]
        if connection.ended and not connection.inbox:
            self._drop()
        return True

    def _drain(self) -> bool:
        # Take what the program has sent, closed and opened.
        moved = False
        while True:
            moved = self._receive() or moved
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return moved
            moved = True
            self._stirred_us = self._loop.now
            self._drop()
            relay = self._world.dialled()
            if relay is None:
                connection.close()
                continue
            wire = relay.accept(self, self._rng, self._world.latency_us)
            self._connection = _Connection(connection, wire)
            self._world.connected(wire)

    def _receive(self) -> bool:
        moved = False
        while (connection := self._connection) is not None:
            data = receive_at_once(connection.socket)
            if data is None:
                break
            moved = True
            if len(data) > _QUIET_BYTES:
                self._stirred_us = self._loop.now
            if not data or not connection.wire.send(data):
                self._drop()
        return moved

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.socket.close()
            connection.wire.hang_up()

    # --- inside: ends ------------------------------------------------------------------------------

    def _died(self, program: Program) -> None:
        if program.exit_code != -signal.SIGKILL or not program.dies_at:
            raise AssertionError(f"seed {self._world.seed}: the program has ended\n{program.crash}")
        power = self._rng.random() < 0.4
        self._bury(program, power=power)
        self._world.terminal_died()

    def _bury(self, program: Program, *, power: bool) -> None:
        # Before the first log-on there is no ledger to lose anything of.
        if power and (self.folder / "terminal" / "power").is_dir():
            program.power_loss(self._rng)
        else:
            program.kill()
        program.close()
        self._program = None
        self._drop()
        with contextlib.suppress(BlockingIOError):
            self._listener.accept()[0].close()
        self.broker.forget_unsent()

    def _set_ledger(self, fault: str) -> None:
        if fault == self._ledger_fault:
            return
        self._ledger_fault = fault
        if self._program is not None and "sqlite" not in self._options:
            self._program.set_option("sqlite", fault)

    def _tell(self, event: dict[str, Any]) -> None:
        if "text" in event:
            self._world.note(f"the program's {event['event']}: {event['text']}")


def options_of_ea(program: Path | None = None, **given: Any) -> Options:
    """
    Return the options of a world with the Expert Advisor, or a program in its place.

    ``given``: more arguments of ``EaHost``.
    """
    chosen = binary("plain") if program is None else program
    return Options(make_terminal=functools.partial(EaHost, binary=chosen, **given))


def _chart_of(market: Market) -> str:
    return next(iter(market.specs))


def _drawn_faults(rng: random.Random, *, loses: bool) -> TradeFaults:
    return TradeFaults(
        shuffle=rng.random() < 0.3,
        drop=rng.choice((0.0, 0.1, 0.5)) if loses else 0.0,
        double=rng.choice((0.0, 0.0, 0.2)),
        true_when_sent=rng.random() < 0.2,
        list_order=rng.choice(("ticket", "ticket", "reversed")),
        whole_last_second=rng.random() < 0.3,
        seed=rng.randrange(10**9),
    )
