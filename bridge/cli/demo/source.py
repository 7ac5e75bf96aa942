"""The ticks of a demo, and the digests that must arrive.

The digest of a symbol is SHA-256 over (time_msc, bid, ask) of its ticks in order, each
packed as ``<qdd``. What is expected is computed from the files, or from the generator
anew, and not from what went to the terminal: a tick that is lost on the way there shows.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from bridge.cli.market import synthetic_market
from bridge.exceptions import TickFileError
from bridge.model.symbol import SymbolSpec, spec_for
from bridge.model.tick import MqlTick
from bridge.sim.tickfile import read_ticks, symbol_from_filename

__all__ = [
    "Expected",
    "FileTicks",
    "SyntheticTicks",
    "TickSource",
    "combined",
    "digest",
    "expected",
    "pack",
]

_PROGRESS_EVERY: Final = 100_000
_PACK: Final = struct.Struct("<qdd").pack


class Expected(NamedTuple):
    """
    What must arrive of one symbol.
    """

    ticks: int
    digest: str


class TickSource(Protocol):
    """
    Where the ticks of a demo come from. ``pairs`` and ``each`` begin anew every time.
    """

    @property
    def name(self) -> str:
        """
        Return what to call it.
        """
        ...

    @property
    def symbols(self) -> Sequence[SymbolSpec]:
        """
        Return what it has ticks of.
        """
        ...

    def pairs(self) -> Iterator[tuple[str, MqlTick]]:
        """
        Return all ticks of all symbols in the order of their times.
        """
        ...

    def each(self) -> Iterator[tuple[str, MqlTick]]:
        """
        Return all ticks again, those of one symbol in order, straight from their origin.
        """
        ...

    def first(self, symbol: str) -> MqlTick:
        """
        Return the first tick of a symbol that has one.
        """
        ...


class FileTicks:
    """
    Ticks of files as MetaTrader exports them; the name of a file begins with its symbol.

    Raises:
        TickFileError: no symbol in a name, or the same one in two.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths: dict[str, Path] = {}
        for path in paths:
            symbol = symbol_from_filename(path)
            if symbol in self._paths:
                raise TickFileError(
                    str(path), 1, f"the symbol {symbol} has the file {self._paths[symbol]} already"
                )
            self._paths[symbol] = path
        self.symbols = [spec_for(symbol) for symbol in self._paths]
        self.name = ", ".join(path.name for path in paths[:3]) + (", ..." if paths[3:] else "")

    def pairs(self) -> Iterator[tuple[str, MqlTick]]:
        streams = [
            zip(itertools.repeat(symbol), read_ticks(path)) for symbol, path in self._paths.items()
        ]
        return heapq.merge(*streams, key=_time_msc)

    def each(self) -> Iterator[tuple[str, MqlTick]]:
        # File by file: what merges them for the terminal has no part in it.
        for symbol, path in self._paths.items():
            for tick in read_ticks(path):
                yield symbol, tick

    def first(self, symbol: str) -> MqlTick:
        return next(read_ticks(self._paths[symbol]))


class SyntheticTicks:
    """
    The first ``count`` ticks of a seeded market.

    Raises:
        ValueError: a number is out of range.
    """

    def __init__(
        self, *, symbols: Sequence[str], count: int, rate_hz: float, seed: int, start_msc: int
    ) -> None:
        self.symbols = [spec_for(name) for name in symbols]
        self.name = f"synthetic, seed {seed}"
        self._count = count
        self._market = synthetic_market(symbols, seed=seed, start_msc=start_msc, rate_hz=rate_hz)

    def pairs(self) -> Iterator[tuple[str, MqlTick]]:
        return itertools.islice(self._market, self._count)

    def each(self) -> Iterator[tuple[str, MqlTick]]:
        return self.pairs()

    def first(self, symbol: str) -> MqlTick:
        return next(tick for name, tick in self.pairs() if name == symbol)


def pack(tick: MqlTick) -> bytes:
    """
    Return what of a tick goes into the digest.
    """
    return _PACK(tick.time_msc, tick.bid, tick.ask)


def digest(packed: Iterator[bytes]) -> Expected:
    """
    Return number and digest of one symbol's ticks.
    """
    hashed = hashlib.sha256()
    count = 0
    for part in packed:
        hashed.update(part)
        count += 1
    return Expected(count, hashed.hexdigest())


def expected(
    source: TickSource, progress: Callable[[int], None] = lambda _: None
) -> dict[str, Expected]:
    """
    Return what must arrive of each symbol. Reads everything once; symbols in name order.

    ``progress`` is told from time to time how many ticks were read.

    Raises:
        TickFileError: a file cannot be read.
        OSError: a file cannot be opened.
    """
    hashes = {spec.name: hashlib.sha256() for spec in source.symbols}
    counts = dict.fromkeys(hashes, 0)
    for number, (name, tick) in enumerate(source.each(), 1):
        hashes[name].update(pack(tick))
        counts[name] += 1
        if number % _PROGRESS_EVERY == 0:
            progress(number)
    return {name: Expected(counts[name], hashes[name].hexdigest()) for name in sorted(hashes)}


def combined(digests: Mapping[str, Expected]) -> str:
    """
    Return one digest of all symbols: SHA-256 over the lines ``<symbol> <ticks> <digest>``.
    """
    lines = (f"{name} {one.ticks} {one.digest}\n" for name, one in sorted(digests.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _time_msc(pair: tuple[str, MqlTick]) -> int:
    return pair[1].time_msc
