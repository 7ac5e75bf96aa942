"""What a demo needs running: a relay process, a link, a terminal, and their ends.

::

    terminal (thread here) --TCP--> link (thread here) --TCP--> relay (child process)
    subscribers (threads here) <--------- ZeroMQ ---------------'
"""

from __future__ import annotations

import contextlib
import io
import itertools
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bridge.cli.demo.audience import SendTimes, Subscriber
from bridge.cli.demo.child import RelayChild
from bridge.cli.demo.source import TickSource
from bridge.config import load_key, split_endpoint
from bridge.exceptions import BridgeError
from bridge.logs import configure_logging
from bridge.model.tick import MqlTick
from bridge.sim.feed import Feed
from bridge.sim.link import Link
from bridge.sim.market import Market
from bridge.sim.runner import TerminalThread
from bridge.sim.terminal import Account, TerminalCore

__all__ = ["ALIAS", "Stage"]

ALIAS: Final = "demo"
_LOGIN: Final = 5_000_001
_SERVER: Final = "Simulated-Demo"
_LOGON_S: Final = 20.0


class Stage:
    """
    Relay, link and terminal of one demo, and the folder they live in. A context manager:
    at its end no process is left, and no folder unless ``keep``.

    Ticks are played in parts: ``play`` hands the terminal so many, ``playing`` tells
    whether it still is at it.
    """

    def __init__(self, source: TickSource, speed: float | None, *, keep: bool) -> None:
        self.source = source
        self.symbols = [spec.name for spec in source.symbols]
        self.send_times = SendTimes(self.symbols)
        self.played = 0
        self.link: Link
        self.terminal: TerminalThread
        self._speed = speed
        self._market = Market(source.symbols)
        self._put_first_ticks()
        self._pairs = self._rest()
        self._feed: Feed | None = None
        self._trigger: tuple[int, Callable[[], None]] | None = None
        with contextlib.ExitStack() as stack:
            self.home = Path(tempfile.mkdtemp(prefix="bridge-demo-"))
            if not keep:
                # ignore_errors: an antivirus that reads a log must not fail the demo on Windows.
                stack.callback(shutil.rmtree, self.home, ignore_errors=True)
            # What client and terminal say is for whoever looks for a reason afterwards.
            nowhere = io.StringIO()
            stack.enter_context(configure_logging("info", self.home / "demo", stream=nowhere))
            self.relay = RelayChild(self.home, ALIAS)
            stack.callback(self.relay.close)
            self._exit = stack.pop_all()

    def start(self) -> None:
        """
        Start relay, link and terminal, and wait until the terminal has logged on.

        Raises:
            BridgeError: the relay does not start, or the terminal does not get through.
        """
        self.relay.start()
        host, port = split_endpoint(self.relay.endpoints["terminal"])
        self.link = self._exit.enter_context(Link(port, relay_host=host))
        key = load_key(self.relay.key_file)
        core = TerminalCore(
            key=key.reveal(),
            key_id=ALIAS,
            account=Account(login=_LOGIN, server=_SERVER),
            market=self._market,
            incarnation=secrets.token_bytes(16),
        )
        self.terminal = TerminalThread(core, self.link.port, on_sent=self._sent)
        self._exit.enter_context(self.terminal)
        if not self.terminal.wait_for(lambda: core.active, _LOGON_S):
            closed = core.last_closed
            reason = "the relay was not reached" if closed is None else closed.reason
            raise BridgeError(f"the terminal has not logged on in {_LOGON_S:g} s: {reason}")

    def subscriber(self) -> Subscriber:
        """
        Return a new subscriber of all symbols that has joined and not started.

        Raises:
            RequestError: it cannot join.
        """
        made = Subscriber(self.relay.endpoints["request"], ALIAS, self.symbols)
        self._exit.callback(made.close)
        return made

    def play(self, count: int) -> None:
        """
        Begin to play the next ``count`` ticks; the part before must have ended.
        """
        feed = Feed(
            self._market.history,
            itertools.islice(self._pairs, count),
            symbols=self.symbols,
            speed=self._speed,
        )
        self._feed = feed
        self.played += count
        self.terminal.call_soon(lambda: setattr(self.terminal.runner, "feed", feed))

    @property
    def playing(self) -> bool:
        return self._feed is not None and not self._feed.finished

    def when_sent(self, count: int, action: Callable[[], None]) -> None:
        """
        Run ``action`` in the terminal's thread when so many more ticks went to the socket,
        right before the next bytes do.
        """
        self._trigger = (self.terminal.ticks_sent + count, action)

    @property
    def waits_for_trigger(self) -> bool:
        return self._trigger is not None

    def check_terminal(self) -> None:
        """
        Make sure that the terminal still runs.

        Raises:
            BridgeError: it does not.
            Exception: what ended it.
        """
        try:
            self.terminal.join(0)
        except TimeoutError:
            return
        raise BridgeError("the simulated terminal has ended")

    def end_terminal(self) -> None:
        """
        Let the terminal log out and end.

        Raises:
            TimeoutError: it does not.
        """
        self.terminal.stop()
        self.terminal.join()

    def close(self) -> None:
        """
        End everything. May be called twice.
        """
        self._exit.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def _sent(self, symbol: str, first_seq: int, length: int, stamp_ns: int) -> None:
        self.send_times.taken(symbol, first_seq, length, stamp_ns)
        trigger = self._trigger
        if trigger is not None and self.terminal.ticks_sent >= trigger[0]:
            self._trigger = None
            trigger[1]()

    def _put_first_ticks(self) -> None:
        # A stream begins with the latest tick there is. With one tick of each symbol in the
        # history, that one is the first, and the subscriber misses none before it.
        for symbol in self.symbols:
            self._market.history.append(symbol, self.source.first(symbol))
            self.played += 1

    def _rest(self) -> Iterator[tuple[str, MqlTick]]:
        begun: set[str] = set()
        for symbol, tick in self.source.pairs():
            if symbol in begun:
                yield symbol, tick
            begun.add(symbol)
