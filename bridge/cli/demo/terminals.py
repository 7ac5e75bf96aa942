"""The terminals that a demo may have: the simulated one, or the Expert Advisor executed.

Both take parts of the ticks to play, and tell how far they are. ``Stage`` has one of them.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol

from bridge.cli.demo.audience import SendTimes
from bridge.config import load_key
from bridge.exceptions import BridgeError
from bridge.model.symbol import SymbolSpec
from bridge.model.tick import MqlTick
from bridge.sim.account import account_record
from bridge.sim.exchange import Exchange
from bridge.sim.feed import Feed
from bridge.sim.link import Link
from bridge.sim.market import Market
from bridge.sim.runner import TerminalThread
from bridge.sim.terminal import Account, TerminalCore

__all__ = ["ACCOUNT", "ALIAS", "LOGON_S", "DemoTerminal", "SimulatedTerminal"]

ALIAS: Final = "demo"
ACCOUNT: Final = Account(login=5_000_001, server="Simulated-Demo")
LOGON_S: Final = 20.0

Pairs = Iterator[tuple[str, MqlTick]]


class DemoTerminal(Protocol):
    """
    What a demo needs of a terminal.
    """

    @property
    def kind(self) -> str:
        """
        Return what it is, in a few words.
        """
        ...

    def start(self, link: Link, key_file: Path) -> None:
        """
        Start it and wait until it has logged on; it dials ``link``.

        Raises:
            BridgeError: it cannot be started, or does not get through.
        """
        ...

    def put_first(self, symbol: str, tick: MqlTick) -> None:
        """
        Put the tick into the history with which a symbol begins; before ``start``.
        """
        ...

    def play(self, pairs: Pairs) -> None:
        """
        Begin to play these ticks; those before are played.
        """
        ...

    @property
    def playing(self) -> bool:
        """
        Whether ticks are still to be played.
        """
        ...

    def when_sent(self, count: int, action: Callable[[], None]) -> None:
        """
        Run ``action`` once when so many more ticks are sent, in the middle of the next ones.
        """
        ...

    @property
    def progress(self) -> int:
        """
        Return a number that grows while it sends.
        """
        ...

    @property
    def reconnects(self) -> int:
        """
        Return how often it came back.
        """
        ...

    def tags(self) -> list[str] | None:
        """
        Return the comments of all orders that its broker ever took; ``None``: it does not trade.
        """
        ...

    def check(self) -> None:
        """
        Make sure that it still runs.

        Raises:
            BridgeError: it does not.
            Exception: what ended it.
        """
        ...

    def end(self) -> None:
        """
        Let it log out and end.

        Raises:
            BridgeError: it ended otherwise.
            TimeoutError: it does not end.
        """
        ...

    def close(self) -> None:
        """
        Make sure that nothing of it is left. May be called in any state.
        """
        ...


class SimulatedTerminal:
    """
    ``bridge.sim`` in a thread of this process.
    """

    kind = "simulated"

    def __init__(self, specs: list[SymbolSpec], speed: float | None, send_times: SendTimes) -> None:
        self._symbols = [spec.name for spec in specs]
        self._speed = speed
        self._send_times = send_times
        self._market = Market(specs)
        self._exchange = Exchange(self._market, account=account_record(ACCOUNT))
        self._feed: Feed | None = None
        self._trigger: tuple[int, Callable[[], None]] | None = None
        self._started: TerminalThread | None = None

    def start(self, link: Link, key_file: Path) -> None:
        core = TerminalCore(
            key=load_key(key_file).reveal(),
            key_id=ALIAS,
            account=ACCOUNT,
            market=self._market,
            incarnation=secrets.token_bytes(16),
            exchange=self._exchange,
        )
        self._started = TerminalThread(core, link.port, on_sent=self._sent)
        self._thread.start()
        if not self._thread.wait_for(lambda: core.active, LOGON_S):
            closed = core.last_closed
            reason = "the relay was not reached" if closed is None else closed.reason
            raise BridgeError(f"the terminal has not logged on in {LOGON_S:g} s: {reason}")

    def put_first(self, symbol: str, tick: MqlTick) -> None:
        self._market.history.append(symbol, tick)

    def play(self, pairs: Pairs) -> None:
        feed = Feed(self._market.history, pairs, symbols=self._symbols, speed=self._speed)
        self._feed = feed
        self._thread.call_soon(lambda: setattr(self._thread.runner, "feed", feed))

    @property
    def playing(self) -> bool:
        return self._feed is not None and not self._feed.finished

    def when_sent(self, count: int, action: Callable[[], None]) -> None:
        # In the terminal's thread, right before the next bytes go to the socket.
        self._trigger = (self._thread.ticks_sent + count, action)

    @property
    def progress(self) -> int:
        return self._thread.ticks_sent

    @property
    def reconnects(self) -> int:
        return self._thread.reconnects

    def tags(self) -> list[str] | None:
        found: list[str] = []
        done = threading.Event()

        def look() -> None:
            # In the terminal's thread, to which its broker belongs.
            found.extend(self._exchange.ledger().tags.values())
            done.set()

        self._thread.call_soon(look)
        if not done.wait(LOGON_S):
            raise BridgeError("the simulated terminal does not answer")
        return found

    def check(self) -> None:
        try:
            self._thread.join(0)
        except TimeoutError:
            return
        raise BridgeError("the simulated terminal has ended")

    def end(self) -> None:
        self._thread.stop()
        self._thread.join()

    def close(self) -> None:
        if self._started is not None:
            self._started.stop()
            self._started.join()

    @property
    def _thread(self) -> TerminalThread:
        if self._started is None:
            raise BridgeError("the simulated terminal was not started")
        return self._started

    def _sent(self, symbol: str, first_seq: int, length: int, stamp_ns: int) -> None:
        self._send_times.taken(symbol, first_seq, length, stamp_ns)
        trigger = self._trigger
        if trigger is not None and self._thread.ticks_sent >= trigger[0]:
            self._trigger = None
            trigger[1]()
