"""Subscribers that write down what they get, to compare it afterwards."""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Mapping, Sequence
from typing import Final

from bridge import Client
from bridge.cli.demo.report import Late, Latency, percentile
from bridge.cli.demo.source import Expected, digest, pack
from bridge.exceptions import BridgeError
from bridge.model.tick import MqlTick, Tick

__all__ = ["SendTimes", "Subscriber", "compare_late", "latency"]

_TIMEOUT_S: Final = 10.0
_END_S: Final = 10.0


class SendTimes:
    """
    When the terminal put each tick on the wire. Used by the terminal's thread.

    While ``steady`` is false nothing is noted: what is sent around an outage waited for it.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        self.steady = False
        self._by_symbol: dict[str, dict[int, int]] = {symbol: {} for symbol in symbols}

    def taken(self, symbol: str, first_seq: int, length: int, stamp_ns: int) -> None:
        """
        Note that these records went to the socket at this time (``time.monotonic_ns``).
        """
        if self.steady:
            times = self._by_symbol[symbol]
            for seq in range(first_seq, first_seq + length):
                times.setdefault(seq, stamp_ns)

    def of(self, symbol: str) -> Mapping[int, int]:
        """
        Return the times of a symbol, by seq.
        """
        return self._by_symbol[symbol]


class Subscriber:
    """
    A client of its own, iterating over the ticks of all symbols in a thread.

    The lists may be read while it runs (``received`` at any time) and belong to the caller
    after ``close``.
    """

    def __init__(self, endpoint: str, alias: str, symbols: Sequence[str]) -> None:
        self.received = 0
        self.gaps = 0
        self.backlog = 0
        self.replayed = 0
        self.error: BridgeError | None = None
        #: of each symbol, in the order of arrival: the numbers, the ticks, when they came
        self.numbers: dict[str, list[tuple[int, int]]] = {symbol: [] for symbol in symbols}
        self.ticks: dict[str, list[bytes]] = {symbol: [] for symbol in symbols}
        self.times: dict[str, array[int]] = {symbol: array("q") for symbol in symbols}
        self._client = Client(endpoint, terminal=alias, timeout=_TIMEOUT_S)
        self._stream = self._client.ticks(*symbols)
        self._thread = threading.Thread(target=self._run, name="demo subscriber", daemon=True)

    def start(self) -> None:
        """
        Begin to take ticks: everything after this call is seen.
        """
        self._thread.start()

    def close(self) -> None:
        """
        End the stream and the client. May be called twice.
        """
        self.replayed = self._stream.stats.replayed
        self._client.close()
        if self._thread.is_alive():
            self._thread.join(_END_S)

    def digests(self) -> dict[str, Expected]:
        """
        Return number and digest of the ticks of each symbol.
        """
        return {symbol: digest(iter(ticks)) for symbol, ticks in sorted(self.ticks.items())}

    def _run(self) -> None:
        try:
            for tick in self._stream:
                self.take(tick)
        except BridgeError as error:
            self.error = error

    def take(self, tick: Tick) -> None:
        """
        Write down one tick.
        """
        now = time.monotonic_ns()
        self.gaps += tick.gap is not None
        self.backlog += tick.backlog
        self.numbers[tick.symbol].append((tick.epoch, tick.seq))
        self.ticks[tick.symbol].append(pack(MqlTick(tick.time_msc, tick.bid, tick.ask)))
        self.times[tick.symbol].append(now)
        self.received += 1


def latency(sent: SendTimes, subscriber: Subscriber) -> Latency:
    """
    Return how long ticks were on their way, of those that were sent in steady times.
    """
    samples = []
    for symbol, numbers in subscriber.numbers.items():
        times = sent.of(symbol)
        for (_, seq), came in zip(numbers, subscriber.times[symbol], strict=True):
            went = times.get(seq)
            if went is not None:
                samples.append((came - went) // 1000)
    samples.sort()
    return Latency(len(samples), percentile(samples, 0.5), percentile(samples, 0.99))


def compare_late(first: Subscriber, late: Subscriber) -> Late:
    """
    Return whether a late subscriber saw what the first one saw, from its snapshot to the end.

    Consistent: of each symbol its numbers follow each other without a hole, every tick is
    the one that the first subscriber has under that number, and the last is the same.
    """
    compared = 0
    consistent = late.gaps == 0 and late.received > 0
    for symbol, numbers in first.numbers.items():
        behind = late.numbers[symbol]
        known = dict(zip(numbers, first.ticks[symbol], strict=True))
        seen = list(zip(behind, late.ticks[symbol], strict=True))
        equal = sum(known.get(number) == tick for number, tick in seen)
        compared += equal
        whole = bool(behind) and behind == numbers[len(numbers) - len(behind) :]
        consistent = consistent and equal == len(seen) and whole
    return Late(first.received - late.received, late.received, compared, late.gaps, consistent)
