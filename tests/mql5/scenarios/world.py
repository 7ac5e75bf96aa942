"""Everything of one scenario: broker, terminal, link, relay. The terminal is the EA or Python's.

::

    broker --> terminal --TCP--> link --TCP--> relay --ZeroMQ--> audience
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, Self

from bridge.model.symbol import default_symbols, spec_for
from bridge.model.tick import MqlTick, TickFlag
from bridge.sim.link import Link, Recording
from bridge.sim.market import Market
from bridge.sim.runner import TerminalThread
from bridge.sim.terminal import Account, TerminalCore
from bridge.wire.spec import Permission, Role
from tests.mql5.scenarios.audience import Audience
from tests.mql5.scenarios.modes import Mode
from tests.support.relay import RelayProcess, RelayThread, Requester, make_settings, port_of

__all__ = ["ACCOUNT", "ALIAS", "DEADLINE_S", "PythonTerminal", "Terminal", "World", "Worlds"]

DEADLINE_S = 20.0
ALIAS = "demo"
START_MSC = 1_546_383_600_000
ACCOUNT = Account(login=1001, server="Demo-Server")
#: dead links are noticed quickly: nobody wants to wait for them
SESSION = {"heartbeat_interval_ms": 200, "silence_limit_ms": 1_500}


class Terminal(Protocol):
    """
    What scenarios need of a terminal, whoever it is.
    """

    #: whether it is the Expert Advisor
    is_ea: bool

    def start(self) -> None: ...
    def stop(self) -> None: ...

    def change(self, change: Callable[[Market], object]) -> None:
        """
        Change the market where it is safe; when this returns, it has happened.
        """
        ...

    def tick(self, symbol: str, ticks: list[MqlTick]) -> None:
        """
        Let these ticks happen now.
        """
        ...

    def set_account(self, account: Account) -> None: ...
    def set_connected(self, connected: bool) -> None: ...
    def said(self) -> str:
        """
        Return what it told its user, for messages of failed tests.
        """
        ...


class PythonTerminal:
    """
    ``bridge.sim``: the reference.
    """

    is_ea = False

    def __init__(
        self, world: World, key: bytes, account: Account = ACCOUNT, *, market_only: bool = False
    ) -> None:
        self.core = TerminalCore(
            key=key,
            key_id=ALIAS,
            account=account,
            market=world.market,
            incarnation=bytes(range(16)),
            role=Role.MARKET if market_only else Role.BOTH,
        )
        self.thread = TerminalThread(self.core, world.link.port)

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self.thread.stop()
        self.thread.join()

    def change(self, change: Callable[[Market], object]) -> None:
        self._run(lambda: change(self.core.market))

    def tick(self, symbol: str, ticks: list[MqlTick]) -> None:
        self._run(lambda: self.core.market.history.extend(symbol, ticks))

    def set_account(self, account: Account) -> None:
        self._run(lambda: setattr(self.core, "account", account))

    def set_connected(self, connected: bool) -> None:
        flag = Permission.TERMINAL_CONNECTED
        self._run(
            lambda: setattr(
                self.core,
                "permissions",
                self.core.permissions | flag if connected else self.core.permissions & ~flag,
            )
        )

    def said(self) -> str:
        return repr(self.core.last_closed)

    def _run(self, call: Callable[[], object]) -> None:
        done = threading.Event()

        def run() -> None:
            call()
            done.set()

        self.thread.call_soon(run)
        assert done.wait(DEADLINE_S), "the terminal's thread does not answer"


class World:
    """
    One scenario's world; a context manager. ``begin`` starts the terminal.

    ``truth``: of each symbol all ticks that must arrive, in their order.
    """

    def __init__(
        self,
        folder: Path,
        make_terminal: Callable[[World, bytes], Terminal],
        mode: Mode,
        *,
        symbols: int = 3,
        killable: bool = False,
        **relay: Any,
    ) -> None:
        self.folder = folder
        self.mode = mode
        known = [*default_symbols(), *(spec_for(f"STOCK{n:02}") for n in range(symbols))]
        self.specs = [dataclasses.replace(spec, select=True) for spec in known[:symbols]]
        self.symbols = [spec.name for spec in self.specs]
        self.truth: dict[str, list[MqlTick]] = {symbol: [] for symbol in self.symbols}
        self.market = Market(self.specs)
        self.terminal: Terminal
        #: added to the EA's at its next beginning
        self.options: dict[str, Any] = {}
        self.inputs: dict[str, Any] = {}
        self.on_end: Callable[[], object] = lambda: None
        self._numbers = itertools.count(1)
        self._make_terminal = make_terminal
        self._at_msc = START_MSC
        self._started = False
        #: whether ``check`` also changes the past and waits for that
        self.rewrites = True
        self._rewritten: set[str] = set()
        options = {"session": SESSION, **relay}
        with contextlib.ExitStack() as stack:
            if killable:
                self.relay: Any = stack.enter_context(RelayProcess(folder / "relay", **options))
                self.keys = self.relay.keys
            else:
                settings, self.keys = make_settings(folder / "relay", **options)
                self.relay = stack.enter_context(RelayThread(settings))
            self.endpoints = self.relay.endpoints
            self.link = stack.enter_context(Link(port_of(self.endpoints.terminal), record=True))
            self._exit = stack.pop_all()
        for symbol in self.symbols:
            # A stream begins with the latest tick: the first one is there before it.
            ticks = self.some_ticks(symbol, 1)
            self.truth[symbol] += ticks
            self.market.history.extend(symbol, ticks)
        mode.prepare(self.market)

    # --- the market -----------------------------------------------------------------------

    def some_ticks(self, symbol: str, count: int, *, at_once: bool = False) -> list[MqlTick]:
        """
        Return the next ticks of a symbol: no two alike, three of four share their millisecond.
        """
        found = []
        for _ in range(count):
            number = next(self._numbers)
            self._at_msc += 0 if at_once else number % 4 == 0
            bid = 1.0 + number * 1e-5
            flags = TickFlag.BID | TickFlag.ASK
            found.append(MqlTick(self._at_msc, bid, bid + 2e-5, 0.0, float(number % 3), flags))
        return found

    def happen(self, count: int, *, symbols: list[str] | None = None, burst: int = 1) -> None:
        """
        Let ``count`` ticks happen of each symbol, in turn, ``burst`` at a time.
        """
        for at in range(0, count, burst):
            for symbol in symbols or self.symbols:
                ticks = self.some_ticks(symbol, min(burst, count - at))
                self.truth[symbol] += ticks
                self.terminal.tick(symbol, ticks)

    # --- lives ----------------------------------------------------------------------------

    def begin(self, terminal: Callable[[World, bytes], Terminal] | None = None) -> None:
        """
        Start a terminal; the one before has stopped.
        """
        make = terminal or self._make_terminal
        self.terminal = make(self, self.keys[ALIAS])
        self.terminal.start()
        self._started = True

    def end(self) -> None:
        """
        Stop the terminal in order.
        """
        if self._started:
            self._started = False
            self.terminal.stop()

    @contextlib.contextmanager
    def audience(self, *symbols: str) -> Iterator[Audience]:
        """
        Subscribe a client to symbols, or to all.
        """
        with Audience(self.endpoints.request, symbols or self.symbols) as audience:
            yield audience

    # --- what the relay knows --------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """
        Return what the relay says of the terminal.
        """
        with Requester(self.endpoints.request) as ask:
            (terminal,) = ask("terminals")["terminals"]
            found: dict[str, Any] = terminal
            return found

    def wait_connected(self, connected: bool = True) -> dict[str, Any]:
        """
        Wait until the terminal is logged on at the relay, or is not any more.
        """
        state = "connected" if connected else "away"
        return self.wait_status(lambda status: status["state"] == state)

    def wait_status(self, happened: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """
        Wait until something is true of what the relay says of the terminal.
        """
        found: dict[str, Any] = {}

        def look() -> bool:
            found.update(self.status())
            return bool(happened(found))

        self.wait_for(look, lambda: f"{found}")
        return found

    def wait_for(
        self, happened: Callable[[], Any], about: Callable[[], str] = str, within_s: float = 0
    ) -> None:
        """
        Wait until something is true.
        """
        deadline = time.monotonic() + (within_s or DEADLINE_S)
        while not happened():
            assert time.monotonic() < deadline, (
                f"it did not happen in time: {about()}; the terminal said: {self.terminal.said()}"
            )
            threading.Event().wait(0.005)

    def check(self, audience: Audience, *symbols: str) -> None:
        """
        Wait for everything that happened, then compare: every tick, in order, once, no gap.
        """
        names = symbols or tuple(audience.ticks)
        total = sum(len(self.truth[name]) for name in names)
        try:
            audience.wait_for(total)
        except AssertionError as error:
            raise AssertionError(f"{error}; the terminal said: {self.terminal.said()}") from None

        self._compare(audience, names)
        if self.rewrites and not self._rewritten.issuperset(names):
            self._rewrite(audience, names)

    def _compare(self, audience: Audience, names: tuple[str, ...]) -> None:
        assert [] == audience.gaps
        assert {name: self.truth[name] for name in names} == {
            name: audience.ticks[name] for name in names
        }

    def _rewrite(self, audience: Audience, names: tuple[str, ...]) -> None:
        # MQL5 tells nobody that the past has changed. A terminal that lost its trade server
        # looks, and one whose newest tick is another than it took.
        history = self.market.history
        before = audience.late
        found: dict[str, MqlTick | None] = {}
        self.terminal.change(
            lambda _: found.update({name: self.mode.rewrite(history, name) for name in names})
        )
        late = {name: tick for name, tick in found.items() if tick is not None}
        self._rewritten.update(names)
        if not late:
            return
        for name, tick in late.items():
            self.truth[name].append(tick)
        self.terminal.set_connected(False)
        # Whose link breaks meanwhile, on a busy machine, stays away until it has its server back.
        self.wait_status(
            lambda status: (
                status["state"] == "away" or not status["permissions"].get("terminal_connected")
            )
        )
        self.terminal.set_connected(True)
        self.wait_status(
            lambda status: (
                status["state"] == "connected" and status["permissions"].get("terminal_connected")
            )
        )
        audience.wait_for(sum(len(self.truth[name]) for name in names))
        self._compare(audience, names)

        assert len(late) == audience.late - before

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.end()
        finally:
            self._exit.close()
            self.on_end()


class Worlds:
    """
    Makes worlds with one kind of terminal in one mode: what a scenario is given.
    """

    def __init__(
        self, folder: Path, make_terminal: Callable[[World, bytes], Terminal], mode: Mode
    ) -> None:
        self._folder = folder
        self._make = make_terminal
        self._count = 0
        self.mode = mode
        #: the connections of all worlds so far
        self.recordings: list[Recording] = []

    def new(self, **options: Any) -> World:
        """
        Return a new world. The caller enters it.
        """
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir(parents=True)
        world = World(folder, self._make, self.mode, **options)
        world.on_end = lambda: self.recordings.extend(world.link.recordings)
        return world
