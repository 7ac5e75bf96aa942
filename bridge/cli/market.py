"""``bridge generate``, and the synthetic markets that ``sim`` and ``demo`` play."""

from __future__ import annotations

import datetime as dt
import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from bridge.cli.output import say, write
from bridge.cli.parameters import SYMBOLS
from bridge.exceptions import BridgeError
from bridge.model.symbol import spec_for
from bridge.model.tick import MqlTick
from bridge.sim.synthetic import SyntheticMarket
from bridge.sim.tickfile import write_ticks

__all__ = ["UTC_OFFSET_MIN", "generate", "server_time_msc", "synthetic_market"]

#: The simulated trade server's clock: two hours before UTC, as many brokers' in winter.
UTC_OFFSET_MIN: Final = 120
#: Often enough that equal milliseconds are the rule and not a rare case.
_BURST_PROBABILITY: Final = 0.2
_COUNT_MAX: Final = 5_000_000
#: A Monday, fixed: the same seed gives the same files.
_START: Final = dt.datetime(2024, 1, 8, tzinfo=dt.UTC)


def server_time_msc() -> int:
    """
    Return the time on the simulated trade server's clock.
    """
    return time.time_ns() // 1_000_000 + UTC_OFFSET_MIN * 60_000


def synthetic_market(
    symbols: Sequence[str], *, seed: int, start_msc: int, rate_hz: float
) -> SyntheticMarket:
    """
    Return a market of these symbols, with bursts of ticks in one millisecond.

    Raises:
        ValueError: a number is out of range.
    """
    return SyntheticMarket(
        [spec_for(name) for name in symbols],
        seed=seed,
        start_msc=start_msc,
        rate_hz=rate_hz,
        burst_probability=_BURST_PROBABILITY,
    )


@click.command(short_help="Write tick files of a synthetic market.")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--symbols", type=SYMBOLS, default="5", show_default=True, help="Which, or how many.")
@click.option(
    "--count",
    type=click.IntRange(1, _COUNT_MAX),
    default=100_000,
    show_default=True,
    help="Ticks of all symbols together.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0.001, 100_000),
    default=5.0,
    show_default=True,
    help="Ticks a second of each symbol.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same gives the same.")
@click.option("--force", is_flag=True, help="Write over files that are there.")
def generate(
    folder: Path, symbols: tuple[str, ...], count: int, rate: float, seed: int, *, force: bool
) -> None:
    """
    Write tick files of a synthetic market into DIR, one for each symbol.

    The format is that of MetaTrader's tick export; several ticks often share a millisecond.
    """
    start_msc = int(_START.timestamp() * 1000)
    market = synthetic_market(symbols, seed=seed, start_msc=start_msc, rate_hz=rate)
    ticks: dict[str, list[MqlTick]] = {name: [] for name in symbols}
    for name, tick in itertools.islice(market, count):
        ticks[name].append(tick)
    files = {name: folder / f"{_file_name(name)}_{_START:%Y%m%d}.csv" for name in symbols}
    there = [path for path in files.values() if path.exists()]
    if there and not force:
        raise BridgeError(f"{there[0]} exists; name another folder, or write over it with --force")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, path in files.items():
            write_ticks(path, ticks[name], digits=spec_for(name).digits)
            write(str(path))
    except OSError as error:
        raise BridgeError(f"{error.filename or folder}: {error.strerror or error}") from error
    say(f"{count} ticks of {len(symbols)} symbols written")


def _file_name(symbol: str) -> str:
    if any(character in '<>:"/\\|?*' for character in symbol):
        raise BridgeError(f"{symbol!r} cannot be the name of a file")
    return symbol
