"""Plays ticks into the market of a running program, and tells it of them.

The feeds are those of ``bridge.sim.feed``. As fast as it goes means as fast as the program reads:
``Reading`` tells the feed how far its CopyTicks has got.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, Self

from bridge.model.tick import MqlTick
from bridge.sim.feed import Feed
from bridge.sim.history import TickHistory
from tests.mql5.broker import Broker
from tests.mql5.host import EaProcess

__all__ = ["FeedThread", "Reading", "play_lines", "tick_of_line"]

_LOOK_AGAIN_S: Final = 0.001


class Reading:
    """
    How far a program has read, in the place of a ``TickCollector``: give it to a feed.

    A symbol streams as soon as the program has copied a tick of it. Nobody sees what a program
    does with the ticks that it copied.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    @property
    def streaming(self) -> set[str]:
        return set(self._broker.read_msc)

    @property
    def keeps_up(self) -> bool:
        """
        Whether the program has the newest tick of every symbol that it reads.
        """
        history = self._broker.market.history
        for symbol, read_msc in list(self._broker.read_msc.items()):
            newest = history.symbol_info_tick(symbol).tick
            if newest is not None and newest.time_msc > read_msc:
                return False
        return True


class FeedThread:
    """
    Plays a feed in a thread, in real time; a context manager.

    Args:
        process: whose market it is; it hears NewTick when its chart's symbol has a new tick.
        feed: puts its ticks into that market's history.
        on_played: called with the number of ticks, whenever there are more.
    """

    def __init__(
        self, process: EaProcess, feed: Feed, on_played: Callable[[int], None] = lambda _: None
    ) -> None:
        self.feed = feed
        self.error: BaseException | None = None
        self._process = process
        self._on_played = on_played
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mql5 feed", daemon=True)

    @property
    def finished(self) -> bool:
        return self.feed.finished or not self._thread.is_alive()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stop.is_set() and not self.feed.finished:
                self._turn()
        except BaseException as error:  # noqa: BLE001  # whoever started the thread asks for it
            self.error = error

    def _turn(self) -> None:
        process, feed = self._process, self.feed
        history = process.broker.market.history
        with process.lock:
            before = {symbol: history.symbol_info_tick(symbol).tick for symbol in feed.symbols}
            count = feed.due(time.perf_counter_ns() // 1000)
            changed = [
                symbol
                for symbol, tick in before.items()
                if history.symbol_info_tick(symbol).tick is not tick
            ]
        for symbol in changed:
            process.tick(symbol)
        if count:
            self._on_played(feed.played)
        else:
            self._stop.wait(_LOOK_AGAIN_S)


def tick_of_line(line: str) -> tuple[str, MqlTick]:
    """
    Read ``SYMBOL time_msc bid ask last volume_real flags``.

    Raises:
        ValueError: it is something else.
    """
    symbol, *fields = line.split()
    if len(fields) != 6:
        raise ValueError(f"{line!r}: expected a symbol and six numbers")
    msc, bid, ask, last, volume, flags = fields
    tick = MqlTick(int(msc), float(bid), float(ask), float(last), float(volume), int(flags))
    return symbol, tick


def play_lines(
    lines: Iterable[str],
    history: TickHistory,
    lock: Any,
    tell: Callable[[str], None],
    answer: Callable[[str], None] | None = None,
) -> int:
    """
    Let a tick happen for each line as it comes, and tell of it; return how many. Lines that begin
    with a question mark go to ``answer``.

    Raises:
        ValueError: a line is no tick, or a tick is older than the one before it.
        KeyError: the market has no such symbol.
    """
    count = 0
    for line in lines:
        if answer is not None and line.startswith("?"):
            answer(line)
            continue
        symbol, tick = tick_of_line(line)
        with lock:
            history.append(symbol, tick)
        tell(symbol)
        count += 1
    return count
