"""A client that writes down what it gets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import ParamSpec, Self, TypeVar

from bridge import BridgeError, Client, TerminalUnavailable
from bridge.model.tick import MqlTick

__all__ = ["Audience"]

DEADLINE_S = 20.0

P = ParamSpec("P")
T = TypeVar("T")


class Audience:
    """
    ``bridge.Client`` in a thread, subscribed to the ticks of some symbols. A context manager.

    ``ticks``: of each symbol what came, in its order, as it was in the market. ``gaps``: what
    was told as missing. ``backlog``: how many were marked as read after an outage.
    """

    def __init__(self, endpoint: str, symbols: Iterable[str], terminal: str = "demo") -> None:
        self.ticks: dict[str, list[MqlTick]] = {symbol: [] for symbol in symbols}
        self.epochs: dict[str, set[int]] = {symbol: set() for symbol in self.ticks}
        self.gaps: list[str] = []
        self.backlog = 0
        self.late = 0
        self.error: BridgeError | None = None
        self._changed = threading.Condition()
        self.client = Client(endpoint, terminal=terminal, timeout=DEADLINE_S)
        self._stream = self.client.ticks(*self.ticks, wait=True)
        self._thread = threading.Thread(target=self._run, name="audience", daemon=True)

    def _run(self) -> None:
        try:
            for tick in self._stream:
                with self._changed:
                    if tick.gap is not None:
                        self.gaps.append(f"{tick.symbol}: {tick.gap}")
                    self.backlog += tick.backlog
                    self.late += tick.late
                    self.epochs[tick.symbol].add(tick.epoch)
                    self.ticks[tick.symbol].append(
                        MqlTick(
                            tick.time_msc,
                            tick.bid,
                            tick.ask,
                            tick.last,
                            tick.volume_real,
                            tick.flags & 0xFF,
                        )
                    )
                    self._changed.notify_all()
        except BridgeError as error:
            with self._changed:
                self.error = error
                self._changed.notify_all()

    def wait_for(self, count: int, symbol: str | None = None) -> None:
        """
        Wait until so many ticks came, of one symbol or of all.
        """
        names = [symbol] if symbol else list(self.ticks)

        def enough() -> bool:
            return self.error is not None or sum(len(self.ticks[name]) for name in names) >= count

        with self._changed:
            seen = -1
            # By progress: a machine that is busy may take as long as it needs.
            while not self._changed.wait_for(enough, DEADLINE_S):
                now = sum(map(len, self.ticks.values()))
                counts = {name: len(ticks) for name, ticks in self.ticks.items()}
                assert now > seen, f"{counts}, waiting for {count}; gaps {self.gaps}"
                seen = now
            if self.error is not None:
                raise self.error

    def ask(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """
        Return what a call of the client gives; when the link breaks under the question, ask
        again, as the error says: in some modes any send may fail.
        """
        until = time.monotonic() + DEADLINE_S
        while True:
            try:
                return call(*args, **kwargs)
            except TerminalUnavailable:
                if time.monotonic() > until:
                    raise
                with self._changed:
                    self._changed.wait(0.05)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "the audience did not end"
