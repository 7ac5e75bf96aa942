"""What a demo needs running: a relay process, a link, a terminal, and their ends.

::

    terminal (thread or child) --TCP--> link (thread here) --TCP--> relay (child process)
    subscribers (threads here) <------------- ZeroMQ ---------------'
"""

from __future__ import annotations

import contextlib
import io
import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from bridge.cli.demo.audience import SendTimes, Subscriber
from bridge.cli.demo.child import RelayChild
from bridge.cli.demo.expert import ExpertTerminal
from bridge.cli.demo.orders import MAX_VOLUME, SETTLE_MS, OrderSteps
from bridge.cli.demo.source import TickSource
from bridge.cli.demo.terminals import ALIAS, DemoTerminal, SimulatedTerminal
from bridge.config import split_endpoint
from bridge.logs import configure_logging
from bridge.model.tick import MqlTick
from bridge.sim.link import Direction, Link

__all__ = ["ALIAS", "Stage"]


class Stage:
    """
    Relay, link and terminal of one demo, and the folder they live in. A context manager:
    at its end no process is left, and no folder unless ``keep``.

    Ticks are played in parts: ``play`` hands the terminal so many, ``playing`` tells
    whether it still is at it. ``terminal`` is ``"simulated"`` or ``"ea"``.

    Raises:
        BridgeError: this terminal cannot be had here.
    """

    def __init__(
        self, source: TickSource, speed: float | None, *, keep: bool, terminal: str = "simulated"
    ) -> None:
        self.source = source
        self.symbols = [spec.name for spec in source.symbols]
        self.send_times = SendTimes(self.symbols)
        self.played = 0
        self.link: Link
        self.terminal: DemoTerminal
        with contextlib.ExitStack() as stack:
            self.home = Path(tempfile.mkdtemp(prefix="bridge-demo-"))
            if not keep:
                # ignore_errors: an antivirus that reads a log must not fail the demo on Windows.
                stack.callback(shutil.rmtree, self.home, ignore_errors=True)
            specs = list(source.symbols)
            self.terminal = (
                ExpertTerminal(specs, speed, self.send_times, self.home)
                if terminal == "ea"
                else SimulatedTerminal(specs, speed, self.send_times)
            )
            # What client and terminal say is for whoever looks for a reason afterwards.
            nowhere = io.StringIO()
            stack.enter_context(configure_logging("info", self.home / "demo", stream=nowhere))
            self.relay = RelayChild(
                self.home, ALIAS, enabled="true", max_volume=MAX_VOLUME, settle_ms=SETTLE_MS
            )
            stack.callback(self.relay.close)
            self._exit = stack.pop_all()
        self._put_first_ticks()
        self._pairs = self._rest()

    def start(self) -> None:
        """
        Start relay, link and terminal, and wait until the terminal has logged on.

        Raises:
            BridgeError: the relay does not start, or the terminal does not get through.
        """
        self.relay.start()
        host, port = split_endpoint(self.relay.endpoints["terminal"])
        self.link = self._exit.enter_context(Link(port, relay_host=host))
        self._exit.callback(self.terminal.close)
        self.terminal.start(self.link, self.relay.key_file)

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
        self.played += count
        self.terminal.play(itertools.islice(self._pairs, count))

    @property
    def playing(self) -> bool:
        return self.terminal.playing

    def orders(self) -> OrderSteps | None:
        """
        Return the orders to send, ``None`` when the terminal does not trade.
        """
        if self.terminal.tags() is None:
            return None
        return OrderSteps(
            self.relay.endpoints["request"],
            ALIAS,
            self.symbols[0],
            lambda: self.terminal.tags() or [],
            lambda: self.link.freeze(Direction.TO_RELAY),
            self._cut_muted,
        )

    def _cut_muted(self) -> None:
        self.link.cut()
        self.link.thaw()

    def end_terminal(self) -> None:
        """
        Let the terminal log out and end.

        Raises:
            BridgeError: it ended otherwise.
            TimeoutError: it does not.
        """
        self.terminal.end()

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

    def _put_first_ticks(self) -> None:
        # A stream begins with the latest tick there is. With one tick of each symbol in the
        # history, that one is the first, and the subscriber misses none before it.
        for symbol in self.symbols:
            self.terminal.put_first(symbol, self.source.first(symbol))
            self.played += 1

    def _rest(self) -> Iterator[tuple[str, MqlTick]]:
        begun: set[str] = set()
        for symbol, tick in self.source.pairs():
            if symbol in begun:
                yield symbol, tick
            begun.add(symbol)
