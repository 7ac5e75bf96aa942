"""``bridge demo``: the command."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

import click

from bridge.cli.demo.expert import checkout
from bridge.cli.demo.scenario import TICKS_MIN, Scenario
from bridge.cli.demo.show import Show
from bridge.cli.demo.source import (
    FileTicks,
    SyntheticTicks,
    TickSource,
    expected,
)
from bridge.cli.exits import ExitCode
from bridge.cli.market import server_time_msc
from bridge.cli.options import seconds
from bridge.cli.output import ReaderGone, document, write
from bridge.cli.parameters import FULL_SPEED, SPEED, SYMBOLS
from bridge.cli.signals import stop_signals
from bridge.exceptions import BridgeError

__all__ = ["demo"]

#: With start, repairs and end about 15 s.
_SECONDS: Final = 9.0
_COUNT_MAX: Final = 5_000_000
_RATE_HZ: Final = 20.0


@click.command(short_help="Show everything at work, with proof that nothing got lost.")
@click.option(
    "--ticks",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file exported by MetaTrader, EURUSD_20190101.csv; may be given again, and further "
    "files may follow.  [default: a synthetic market]",
)
@click.argument(
    "more_files",
    metavar="[FILE]...",
    nargs=-1,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option(
    "--speed",
    type=SPEED,
    help="How many times as fast as the market, or max.  [default: as --seconds says]",
)
@click.option(
    "--seconds",
    "duration",
    type=seconds(86_400),
    default=_SECONDS,
    show_default=True,
    help="How long ticks are played, unless --speed says so.",
)
@click.option(
    "--symbols",
    type=SYMBOLS,
    default="5",
    show_default=True,
    help="Symbols of the synthetic market.",
)
@click.option(
    "--count",
    type=click.IntRange(TICKS_MIN, _COUNT_MAX),
    help=f"Ticks of the synthetic market.  [default: {_RATE_HZ:g} a second and symbol]",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the synthetic market.")
@click.option(
    "--terminal",
    type=click.Choice(["simulated", "ea"]),
    default="simulated",
    show_default=True,
    help="ea: the Expert Advisor itself, translated to C++ and executed; in a source checkout, with g++.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document at the end on stdout.")
@click.option("--keep", is_flag=True, help="Keep the folder with configuration, data and logs.")
@click.pass_context
def demo(
    ctx: click.Context,
    files: tuple[Path, ...],
    more_files: tuple[Path, ...],
    speed: float | None,
    duration: float,
    symbols: tuple[str, ...],
    count: int | None,
    seed: int,
    terminal: str,
    *,
    as_json: bool,
    keep: bool,
) -> None:
    """
    Show relay, terminal and subscribers at work, in about 15 s.

    The relay is a process of its own, everything talks over TCP on free ports of this machine.
    The link is cut twice, the relay is killed and started again, a subscriber comes late; at
    the end every tick is accounted for. Exit code 0 only if everything that is claimed held.
    """
    if more_files and not files:
        raise click.UsageError("files are given with --ticks")
    if terminal == "ea":
        checkout()
    show = Show(to_stderr=as_json)
    show.say("preparing the ticks ...")
    source = _source(files + more_files, symbols, count, seed, duration)
    wanted = expected(source, lambda number: show.live(f"  {number:,} ticks prepared"))
    for symbol, one in wanted.items():
        if not one.ticks:
            raise BridgeError(f"there are no ticks of {symbol}: nothing could be shown of it")
    total = sum(one.ticks for one in wanted.values())
    if total < TICKS_MIN:
        raise click.UsageError(f"{total} ticks: expected at least {TICKS_MIN}")
    pace = _pace(source, speed, duration)
    with stop_signals(_interrupt):
        report = Scenario(source, wanted, pace, show, keep=keep, terminal=terminal).run()
    if as_json:
        # Nobody reads it: the exit code is still wanted.
        with contextlib.suppress(ReaderGone):
            write(document(report.as_dict()))
    for text in report.as_text():
        show.say(text)
    if not report.ok:
        ctx.exit(ExitCode.ERROR)


def _source(
    files: tuple[Path, ...],
    symbols: tuple[str, ...],
    count: int | None,
    seed: int,
    duration: float,
) -> TickSource:
    if files:
        return FileTicks(files)
    count = count or max(TICKS_MIN, round(_RATE_HZ * len(symbols) * duration))
    return SyntheticTicks(
        symbols=symbols,
        count=count,
        rate_hz=count / len(symbols) / duration,
        seed=seed,
        start_msc=server_time_msc(),
    )


def _pace(source: TickSource, speed: float | None, duration: float) -> float | None:
    """
    Return how many times as fast as the market to play, ``None`` for as fast as it goes.
    """
    if speed is not None:
        return None if speed == FULL_SPEED else speed
    begin_msc = end_msc = 0
    for _, tick in source.pairs():
        begin_msc = begin_msc or tick.time_msc
        end_msc = tick.time_msc
    return max((end_msc - begin_msc) / 1000 / duration, 0.001)


def _interrupt() -> None:
    # SIGTERM and Ctrl-Break are to clean up like Ctrl-C: a child process and a folder wait.
    raise KeyboardInterrupt
