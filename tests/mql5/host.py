"""Runs a translated program as a process and is its terminal: market, account, time, events.

Theory of operation. The program asks over a stream socket and this side answers; events go
the other way and the program's runtime queues them as MetaTrader does. There are two clocks:

real
    A thread answers. Tests act from outside and wait for what must happen.
virtual
    No thread. Every wait of the program comes as a message and stays open until ``advance``
    lets that much time pass: between two calls the program stands still, and the same calls
    give the same run. What the program talks to over a socket is a ``Peer``, which gets its
    turn at every wait.

What must change together: this file, ``link.py`` and ``runtime/terminal.cpp``.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Protocol, Self

from bridge.model.tick import MqlTick
from bridge.sim.exchange import Exchange
from bridge.sim.market import Market
from bridge.sim.terminal import Account
from bridge.wire.spec import Permission
from tests.mql5.broker import Answer, Broker, account_of
from tests.mql5.link import EventKind, Link, LinkEnded, Reader, Why, Writer
from tests.mql5.power import lose_power
from tests.mql5.steady import holds

__all__ = ["NEVER_US", "EaProcess", "ExitCode", "Line", "Peer", "ProgramFailed"]

#: How long anything may take that has to happen: CI machines are slow, ASan too.
WITHIN_S: Final = 30.0
NEVER_US: Final = 2**63 - 1
_LOOK_AGAIN_S: Final = 0.01
_SOON_US: Final = 500
_LINES_MAX: Final = 200_000
#: What the runtime's virtual clocks show at their start.
_UTC_MS: Final = 1_704_153_600_000
_UPTIME_MS: Final = 1_000_000_000


class ExitCode:
    """
    Of the process; ``runtime/program.hpp`` says more.
    """

    ENDED = 0
    INIT_FAILED = 3
    USAGE = 64
    CRITICAL = 70
    DEINIT_TIMEOUT = 71
    LINK_LOST = 72
    BUSY_LOOP = 73
    SANITIZER = 77


class Line(NamedTuple):
    """
    What the program said. ``kind``: print, alert, comment, error or note; ``us``: when, on
    the program's clock.
    """

    kind: str
    us: int
    text: str


class ProgramFailed(AssertionError):
    """
    The program is gone, or did not do in time what it had to.
    """


class Peer(Protocol):
    """
    Something outside of the terminal that lives by the virtual clock.
    """

    def run(self, now_us: int) -> bool:
        """
        Do what is due; return whether the program may have something to look at now.
        """
        ...

    def next_deadline(self) -> int:
        """
        Return when ``run`` has to be called, ``NEVER_US`` if only for what comes.
        """
        ...


class EaProcess:
    """
    One translated program, running. A context manager: at its end no process is left.

    Args:
        binary: what ``tests.mql5.building`` made.
        market: its symbols and ticks; change it only with ``lock`` held, or by ``quote``. With an
            exchange it is the exchange's.
        account: who is logged on; with an exchange it is the exchange's.
        exchange: where the account trades. Ticks and time advance it; use it with ``lock`` held.
        inputs: values of the program's inputs, by name.
        options: of the runtime, by name (``socket_mode``, ``timer_floor_ms`` ...).
        clock: ``real`` or ``virtual``.
        folder: holds MQL5/Files and what goes to standard error; kept, unless it is made here.
        symbol: the chart's.
        lock: guards market and broker; another one only if the market has other users.
        now_us: when the program starts, on the exchange's and the virtual clock, so that several
            lives have one time line. The program's own clock begins at 0. Without it, it starts
            when the exchange was last used.
        steady: the broker's rules do not change, or the option ``told`` does with them: what
            follows from them is asked once.
    """

    def __init__(
        self,
        binary: Path,
        *,
        market: Market | None = None,
        account: Account | None = None,
        exchange: Exchange | None = None,
        inputs: Mapping[str, object] | None = None,
        options: Mapping[str, object] | None = None,
        clock: str = "real",
        folder: Path | None = None,
        symbol: str | None = None,
        lock: threading.RLock | None = None,
        now_us: int | None = None,
        steady: bool = False,
    ) -> None:
        self._steady = steady
        if exchange is not None:
            market, account = exchange.market, account or account_of(exchange)
        if market is None or account is None:
            raise ValueError("expected an exchange, or a market and an account")
        self.lock = lock or threading.RLock()
        self.exchange = exchange
        self.broker = Broker(market, account, exchange=exchange, clock=self._exchange_us)
        #: everything that the program said, and what happened to it (``event`` is its name)
        self.journal: list[Line] = []
        self.events: list[dict[str, Any]] = []
        self.comment = ""
        self.alerts: list[str] = []
        #: calls of each handler and events lost, as of the last event
        self.counts: dict[str, int] = {}
        #: the process's, once it has ended; negative for a signal
        self.exit_code: int | None = None
        #: time of the virtual clock
        self.now_us = now_us or 0
        if now_us is None and exchange is not None:
            self.now_us = exchange.now_us
        self._began_us = self.now_us
        self.peers: list[Peer] = []
        #: called with each line and event as it comes, in the thread that serves
        self.on_event: Callable[[dict[str, Any]], None] = lambda _: None
        self._binary = binary
        self._virtual = clock == "virtual"
        self.broker.trade.keeps_lists = self._virtual
        self._symbol = symbol or next(iter(market.specs), "EURUSD")
        self._inputs = {name: _text(value) for name, value in (inputs or {}).items()}
        self._options = {name: _text(value) for name, value in (options or {}).items()}
        self._options |= {"clock": clock, "symbol": self._symbol}
        self._options |= self._options_of_time()
        self._given_folder = folder
        self._changed = threading.Condition(self.lock)
        self._send_lock = threading.Lock()
        self._waits: tuple[int, Why] | None = None
        self._news = False
        self._exit = contextlib.ExitStack()
        self.folder: Path
        self._process: subprocess.Popen[bytes]
        self._link: Link
        self._thread: threading.Thread | None = None
        self._exchange_thread: threading.Thread | None = None
        self._began_monotonic_us = self._looks_us = 0

    # --- its life --------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """
        Start the process. With a virtual clock it has run up to its first wait afterwards.
        """
        with contextlib.ExitStack() as stack:
            self.folder = self._given_folder or Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="mql5-"))
            )
            self.folder.mkdir(parents=True, exist_ok=True)
            self._options.setdefault("data", str(self.folder))
            log = stack.enter_context((self.folder / "stderr.log").open("ab"))
            ours, theirs = socket.socketpair()
            stack.enter_context(ours)
            self._link = Link(ours)
            # Over the link and not as arguments, which everybody on the machine can read.
            for name, value in self._options.items():
                self.set_option(name, value)
            for name, value in self._inputs.items():
                self._give_input(name, value)
            with theirs:
                self._process = subprocess.Popen(
                    [str(self._binary), "--link-fd", str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            stack.callback(self._end_process)
            self._exit = stack.pop_all()
        self._began_monotonic_us = time.monotonic_ns() // 1000
        # What happened before is not told to a program that was not there.
        self.broker.trade.forget()
        if self._virtual:
            ours.settimeout(WITHIN_S)
            self._run_until(self.now_us)
            return
        self._thread = threading.Thread(target=self._serve, name="mql5 host", daemon=True)
        self._thread.start()
        if self.exchange is not None:
            self._exchange_thread = threading.Thread(
                target=self._drive_exchange, name="mql5 exchange", daemon=True
            )
            self._exchange_thread.start()

    def wait_until_initialized(self) -> Self:
        """
        Wait until OnInit has returned: events that come before it are dropped.

        Raises:
            ProgramFailed: it has not, or said no.
        """
        lives = self.wait_for(lambda: self.happened("initialized"))
        if lives[-1]["code"]:
            raise ProgramFailed(self._story("OnInit failed"))
        return self

    def close(self) -> None:
        """
        End the process, in order if it is still there, and free everything. May be called twice.
        """
        if self.exit_code is None and hasattr(self, "_process"):
            with contextlib.suppress(ProgramFailed):
                self.deinit(1, within_s=5.0)
        self._exit.close()

    def kill(self) -> None:
        """
        SIGKILL, as when the terminal is killed; returns when the process is gone.
        """
        self._process.kill()
        self._process.wait(WITHIN_S)
        if self.exit_code is not None:
            return
        if self._virtual:
            self._ended()
        else:
            self.wait_for(lambda: self.exit_code is not None)

    def power_loss(self, rng: random.Random) -> list[str]:
        """
        ``kill``, and the disk keeps of the databases only what was synced, and perhaps pieces of
        the rest. Needs the option ``losing_disk``; the process may be dead already.

        Return what became of files with something pending, for the story of a failing test.
        """
        self.kill()
        return lose_power(Path(self._options["data"]), rng)

    @property
    def running(self) -> bool:
        return self.exit_code is None

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def crash(self) -> str:
        """
        What ended the program against its will: errors of the journal and standard error.
        """
        log = self.folder / "stderr.log"
        said = log.read_text(errors="replace")[-20_000:] if log.exists() else ""
        return "\n".join([*self.said("error"), said]).strip()

    # --- what it said ------------------------------------------------------------------------

    def said(self, kind: str = "print") -> list[str]:
        """
        Return the lines of one kind.
        """
        with self.lock:
            return [line.text for line in self.journal if line.kind == kind]

    def happened(self, event: str) -> list[dict[str, Any]]:
        """
        Return the events of this name: initialized, deinitialized, started.
        """
        with self.lock:
            return [one for one in self.events if one["event"] == event]

    def wait_for(self, condition: Callable[[], Any], within_s: float = WITHIN_S) -> Any:
        """
        Wait until a condition holds, asked with the lock held; return what it gave.

        With a virtual clock, time goes from one wait of the program to the next, at most
        ``within_s`` of its seconds.

        Raises:
            ProgramFailed: it did not hold in time, or the program ended without it.
        """
        if self._virtual:
            return self._advance_until(condition, within_s)
        deadline = time.monotonic() + within_s
        with self._changed:
            while not (result := condition()):
                left = deadline - time.monotonic()
                if left <= 0 or self.exit_code is not None:
                    raise ProgramFailed(self._story("it did not happen"))
                self._changed.wait(min(left, _LOOK_AGAIN_S))
            return result

    def wait_for_line(self, text: str, kind: str = "print", within_s: float = WITHIN_S) -> str:
        """
        Wait for a line with this text in it, and return the line.
        """
        found = self.wait_for(
            lambda: [line for line in self.said(kind) if text in line], within_s=within_s
        )
        return str(found[0])

    def wait_for_exit(self, within_s: float = WITHIN_S) -> int:
        """
        Wait for the end of the process, and return its exit code.
        """
        self.wait_for(lambda: self.exit_code is not None, within_s)
        assert self.exit_code is not None
        return self.exit_code

    # --- what the terminal tells it ------------------------------------------------------------

    def quote(self, symbol: str, *ticks: MqlTick) -> None:
        """
        Let ticks happen: into the history, and NewTick for each.
        """
        with self.lock:
            self.broker.market.history.extend(symbol, ticks)
            self._run_exchange()
        for _ in ticks:
            self.tick(symbol)

    def tick(self, symbol: str) -> None:
        """
        Tell of a new tick; the program hears of it when the symbol is its chart's.
        """
        self._tell(EventKind.TICK, Writer().text(symbol))

    def book_event(self, symbol: str) -> None:
        """
        Tell that an order book changed.
        """
        self._tell(EventKind.BOOK, Writer().text(symbol))

    def chart_event(self, number: int, lparam: int, dparam: float, sparam: str) -> None:
        """
        Tell of an event of the chart.
        """
        self._tell(EventKind.CHART, Writer().pack("iqd", number, lparam, dparam).text(sparam))

    def trade(self) -> None:
        """
        Tell that something of the account's trade changed (OnTrade).
        """
        self._tell(EventKind.TRADE, Writer())

    def transaction(self, fields: bytes) -> None:
        """
        Tell of a trade transaction; ``fields`` as ``runtime/terminal.cpp`` reads them.
        """
        self._tell(EventKind.TRANSACTION, Writer().raw(fields))

    def set_option(self, name: str, value: object) -> None:
        """
        Change an option of the runtime while it runs, such as ``socket_mode``.
        """
        self._tell(EventKind.OPTION, Writer().text(name).text(_text(value)))

    def set_permissions(self, permissions: Permission) -> None:
        """
        Set what terminal, program and account are allowed.
        """
        with self.lock:
            self.broker.permissions = permissions

    def set_account(self, account: Account | None = None, **changes: Any) -> None:
        """
        Log another account on, or change fields of this one. The program is not told: it has
        to look. MetaTrader then loads it anew: ``reinit(6)``.
        """
        with self.lock:
            self.broker.account = replace(account or self.broker.account, **changes)

    def disconnect_trade_server(self) -> None:
        """
        Let the terminal lose its trade server. The broker goes on trading.
        """
        with self.lock:
            self.broker.permissions &= ~Permission.TERMINAL_CONNECTED
            self._connect_exchange(False)

    def reconnect_trade_server(self) -> None:
        """
        Let the terminal find its trade server again.
        """
        with self.lock:
            self.broker.permissions |= Permission.TERMINAL_CONNECTED
            self._connect_exchange(True)

    def deal_out(self) -> None:
        """
        Let the broker do what is due, and tell the program of it; the virtual clock stands.
        """
        with self.lock:
            self._run_exchange()

    def ask_to_end(self, reason: int = 1) -> None:
        """
        Let OnDeinit come with this reason, and the end of the program after it.
        """
        self._tell(EventKind.DEINIT, Writer().pack("iB", reason, 0))

    def deinit(self, reason: int = 1, within_s: float = WITHIN_S) -> int:
        """
        ``ask_to_end``, wait for the end, and return the exit code.

        Raises:
            ProgramFailed: it does not end.
        """
        self.ask_to_end(reason)
        return self.wait_for_exit(within_s)

    def reinit(
        self,
        reason: int = 3,
        inputs: Mapping[str, object] | None = None,
        symbol: str | None = None,
    ) -> None:
        """
        Let OnDeinit and OnInit come; globals keep their values, inputs are assigned anew.

        Raises:
            ProgramFailed: the program ended over it.
        """
        before = len(self.happened("initialized"))
        for name, value in (inputs or {}).items():
            self._give_input(name, _text(value))
        if symbol is not None:
            self.set_option("symbol", symbol)
        self._tell(EventKind.DEINIT, Writer().pack("iB", reason, 1))
        self.wait_for(lambda: len(self.happened("initialized")) > before)

    # --- the virtual clock -----------------------------------------------------------------------

    def advance(self, ms: float) -> None:
        """
        Let time pass on the virtual clock. Afterwards the program waits for a later time.

        Raises:
            ProgramFailed: the program neither waits nor ends.
        """
        assert self._virtual, "the clock is real"
        self._run_until(self.now_us + round(ms * 1000))

    def settle(self) -> None:
        """
        Let the program do what there is to do now, without any time passing.
        """
        self.advance(0)

    def _advance_until(self, condition: Callable[[], Any], within_s: float) -> Any:
        until_us = self.now_us + round(within_s * 1e6)
        self._run_until(self.now_us)
        while not (result := condition()):
            next_us = min(self._next_us(), until_us)
            if self.exit_code is not None or (self.now_us >= until_us and next_us >= until_us):
                raise ProgramFailed(self._story("it did not happen"))
            self._run_until(next_us)
        return result

    def _next_us(self) -> int:
        waits_us = NEVER_US if self._waits is None else self._waits[0]
        # A peer had its turn at this very time: it is not asked again before the next one.
        later_us = self.now_us + 1
        times = [waits_us, *(max(peer.next_deadline(), later_us) for peer in self.peers)]
        due_us = self._due_us()
        if due_us > self.now_us:
            times.append(due_us)
        return min(times)

    def _run_until(self, until_us: int) -> None:
        # Serves the program until it waits for a later time; the wait stays open.
        while self.exit_code is None:
            if self._waits is None:
                try:
                    self._receive()
                except LinkEnded:
                    self._ended()
                except TimeoutError:
                    raise ProgramFailed(self._story("it neither waits nor ends")) from None
                continue
            self.broker.trade.look_again()
            self._run_exchange()
            delivered = [peer.run(self.now_us) for peer in self.peers]
            if not (self._news or any(delivered)):
                # Never back: a peer may be late.
                next_us = max(self.now_us, self._next_us())
                if next_us > until_us:
                    self.now_us = until_us
                    if self._run_exchange():
                        continue
                    return
                self.now_us = next_us
                if next_us < self._waits[0]:
                    continue
            self._waits, self._news = None, False
            self._answer(Answer(struct.pack("<q", self.now_us - self._began_us)))

    # --- inside: the exchange ----------------------------------------------------------------------

    def _exchange_us(self) -> int:
        # The time on the exchange's clock.
        if self._virtual:
            return self.now_us
        return self._began_us + time.monotonic_ns() // 1000 - self._began_monotonic_us

    def _options_of_time(self) -> dict[str, str]:
        usual = "own" if self.exchange is None else "asked"
        told = {"server_time": self._options.get("server_time", usual)}
        if self._virtual and self._began_us:
            for name, at_zero in (("start_utc_ms", _UTC_MS), ("start_uptime_ms", _UPTIME_MS)):
                told[name] = str(int(self._options.get(name, at_zero)) + self._began_us // 1000)
        return told

    def _run_exchange(self) -> bool:
        # Returns whether the program was told something.
        if self.exchange is not None:
            self.broker.trade.advance()
        return self._tell_transactions()

    def _tell_transactions(self) -> bool:
        heard = self.broker.trade.transactions()
        for one in heard:
            self.transaction(one)
        if heard:
            self.trade()
        return bool(heard)

    def _drive_exchange(self) -> None:
        while self.exit_code is None:
            with self._changed:
                self._run_exchange()
                now_us = self._exchange_us()
                left_us = min(max(self._due_us() - now_us, _SOON_US), _LOOK_AGAIN_S * 1e6)
                self._looks_us = now_us + int(left_us)
                self._changed.wait(left_us / 1e6)

    def _due_us(self) -> int:
        due_us = None if self.exchange is None else self.exchange.next_deadline()
        return NEVER_US if due_us is None else due_us

    def _connect_exchange(self, connected: bool) -> None:
        if self.exchange is not None:
            self.exchange.rules = replace(self.exchange.rules, connected=connected)
            self._run_exchange()

    # --- inside: serving ---------------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            while True:
                self._receive()
        except LinkEnded:
            self._ended()

    def _receive(self) -> None:
        kind, body = self._link.receive()
        if kind == "Q":
            trades = body[0] in self.broker.trade.answers
            with self.lock:
                answer = self.broker.answer(body)
                if trades and self._virtual:
                    self._tell_transactions()
            if not (answer.error or answer.blocked_ms or self.broker.trade.faults.shuffles):
                answer = answer._replace(blocked_ms=holds(body, told=self._steady))
            self._answer(answer)
            if trades and not self._virtual:
                # The program goes on meanwhile: it hears of them when this event is over.
                with self._changed:
                    self._tell_transactions()
                    if self._due_us() < self._looks_us:
                        self._changed.notify_all()
        elif kind == "W":
            _, until_us, why = Reader(body).unpack("qqB")
            until_us = min(NEVER_US, until_us + self._began_us)
            self._waits = (until_us, Why(why))
        else:
            self._note(json.loads(body.decode(errors="replace")))

    def _note(self, event: dict[str, Any]) -> None:
        with self._changed:
            if "text" in event:
                line = Line(event["event"], event["us"], event["text"])
                if len(self.journal) < _LINES_MAX:
                    self.journal.append(line)
                if line.kind == "comment":
                    self.comment = line.text
                elif line.kind == "alert":
                    self.alerts.append(line.text)
            else:
                self.events.append(event)
                self.counts = event.get("counts", self.counts)
            self._changed.notify_all()
        self.on_event(event)

    def _answer(self, answer: Answer) -> None:
        head = struct.pack("<iI", answer.error, answer.blocked_ms)
        with self._send_lock:
            self._link.send("A", head + answer.payload, answer.next)

    def _tell(self, kind: EventKind, fields: Writer) -> None:
        with self._send_lock:
            self._link.send("E", bytes([kind]) + fields.bytes())
        self._news = True

    def _give_input(self, name: str, value: str) -> None:
        self._tell(EventKind.INPUT, Writer().text(name).text(value))

    def _ended(self) -> None:
        try:
            code = self._process.wait(WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait(WITHIN_S)
        with self._changed:
            self.exit_code = code
            self._changed.notify_all()

    def _end_process(self) -> None:
        if self._process.poll() is None:
            # Its own session: only this process gets the signal.
            self._process.kill()
            self._process.wait(WITHIN_S)
        if self._thread is not None:
            self._thread.join(WITHIN_S)
        if self.exit_code is None:
            self.exit_code = self._process.returncode
        if self._exchange_thread is not None:
            self._exchange_thread.join(WITHIN_S)

    def _story(self, what: str) -> str:
        lines = "\n".join(f"  {line.us} {line.kind}: {line.text}" for line in self.journal[-40:])
        events = "\n".join(f"  {event}" for event in self.events[-10:])
        return (
            f"{what}; exit code {self.exit_code}, waits {self._waits}, now {self.now_us} us,\n"
            f"calls {self.broker.calls}\n{events}\n{lines}\n{self.crash}"
        )


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Iterable) and not isinstance(value, str):
        return ",".join(_text(part) for part in value)
    return str(value)
