"""``bridge sim``: a simulated terminal as a process, in place of a MetaTrader with the EA."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import click

from bridge.cli.exits import ExitCode
from bridge.cli.market import UTC_OFFSET_MIN, server_time_msc, synthetic_market
from bridge.cli.options import Access, seconds, terminal_options
from bridge.cli.output import say
from bridge.cli.parameters import FULL_SPEED, SPEED, SYMBOLS
from bridge.cli.signals import stop_signals
from bridge.config import Settings, load_key, split_endpoint
from bridge.exceptions import ConfigError, DataFolderInUse, TickFileError
from bridge.logs import configure_logging, get_logger
from bridge.model.enums import AccountMarginMode
from bridge.model.symbol import default_symbols, spec_for
from bridge.relay.lock import FolderLock
from bridge.sim.account import BALANCE, Account, account_record
from bridge.sim.brokerfile import KeptExchange
from bridge.sim.feed import Feed, ReplayFeed
from bridge.sim.ledger import SqliteLedger
from bridge.sim.market import Market
from bridge.sim.runner import TerminalThread, clock_us
from bridge.sim.terminal import TerminalCore
from bridge.sim.tickfile import read_ticks, symbol_from_filename
from bridge.wire.events import Closed

__all__ = ["sim"]

log = get_logger(__name__)

_LOGIN: Final = 5_000_001
_NETTING_LOGIN: Final = 5_000_002
_SERVER: Final = "Simulated-Demo"
_RATE_HZ: Final = 5.0
#: What the market did before it was looked at: every symbol has a price at once.
_PAST_MSC: Final = 10_000
#: An hour of thirty symbols; a terminal that was away for longer shows a gap.
_MAX_TICKS: Final = 100_000
_LOOK_EVERY_S: Final = 0.1
_TELL_EVERY_S: Final = 10.0
#: A logon takes milliseconds.
_FIRST_TELL_S: Final = 2.0


@click.command(short_help="Be a simulated terminal.")
@terminal_options
@click.option(
    "--ticks",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file exported by MetaTrader, EURUSD_20190101.csv; further files may follow.  "
    "[default: a synthetic market]",
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
    default="1",
    show_default=True,
    help="How many times as fast as the market, or max.",
)
@click.option("--hold", is_flag=True, help="Begin when clients listen to all symbols of the files.")
@click.option(
    "--symbols", type=SYMBOLS, help="Symbols of the synthetic market.  [default: 30 known ones]"
)
@click.option(
    "--rate",
    type=click.FloatRange(0.001, 10_000),
    default=_RATE_HZ,
    show_default=True,
    help="Ticks a second of each symbol of the synthetic market.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the synthetic market.")
@click.option(
    "--balance",
    type=click.FloatRange(0.0, 1e12),
    default=BALANCE,
    show_default=True,
    help="What a new account begins with.",
)
@click.option("--netting", is_flag=True, help="One position for a symbol, in an account beside.")
@click.option("--seconds", "duration", type=seconds(), help="End after this time.")
@click.pass_context
def sim(
    ctx: click.Context,
    access: Access,
    files: tuple[Path, ...],
    more_files: tuple[Path, ...],
    speed: float,
    symbols: tuple[str, ...] | None,
    rate: float,
    seed: int,
    balance: float,
    duration: float | None,
    *,
    hold: bool,
    netting: bool,
) -> None:
    """
    Be a simulated terminal: the relay cannot tell it from a MetaTrader with the EA.

    It has a demo account at a broker of its own, whose orders outlive it. It dials until the
    relay is there, and again when the link is lost. Ctrl-C ends it in order.
    """
    if more_files and not files:
        raise click.UsageError("files are given with --ticks")
    if hold and not files:
        raise click.UsageError("--hold is for files: a synthetic market has no first tick")
    settings = access.place.settings({"relay.log_level": access.log_level})
    alias = _alias(settings, access.terminal)
    endpoint = access.terminal_endpoint()
    key = load_key(settings.terminals[alias].key_file)
    folder = settings.relay.data_dir / "sim" / alias
    try:
        lock = _locked(folder)
    except DataFolderInUse as error:
        say(f"bridge: a simulated terminal {alias} runs already (process {error.pid})")
        ctx.exit(ExitCode.ALREADY_RUNNING)
    with contextlib.ExitStack() as stack:
        stack.callback(lock.release)
        stack.enter_context(configure_logging(settings.relay.log_level))
        pace = None if speed == FULL_SPEED else speed
        if files:
            play = _play_files(files + more_files, pace, hold=hold)
        else:
            names = symbols or tuple(spec.name for spec in default_symbols())
            play = _play_synthetic(names, rate, seed, pace)
        account = _account(netting=netting)
        ledger = stack.enter_context(
            contextlib.closing(SqliteLedger(folder / f"ledger-{account.login}.sqlite"))
        )
        # A market at its own speed has its own clock; otherwise the newest tick is the time.
        offset_us = server_time_msc() * 1000 - clock_us() if pace == 1 and not files else None
        exchange = KeptExchange.open(
            folder / f"broker-{account.login}.bin",
            play.market,
            account=account_record(account, balance),
            now_us=clock_us(),
            seed=seed,
            server_clock_offset_us=offset_us,
        )
        core = TerminalCore(
            key=key.reveal(),
            key_id=alias,
            account=account,
            market=play.market,
            incarnation=ledger.incarnation,
            connection_counter=ledger.connection_counter,
            commit_counter=ledger.commit_counter,
            seed=seed,
            exchange=exchange,
            ledger=ledger,
        )
        core.utc_offset_min = UTC_OFFSET_MIN
        host, port = split_endpoint(endpoint)
        terminal = TerminalThread(core, port, host=host, feed=play.feed(core))
        _run(terminal, endpoint, duration)


def _account(*, netting: bool) -> Account:
    # Each mode has its own account: a broker does not change one into the other.
    if netting:
        mode = AccountMarginMode.RETAIL_NETTING
        return Account(login=_NETTING_LOGIN, server=_SERVER, margin_mode=mode)
    return Account(login=_LOGIN, server=_SERVER)


class _Play(NamedTuple):
    # The feed is made last: it asks the terminal whether it keeps up.
    market: Market
    feed: Callable[[TerminalCore], Feed]


def _play_synthetic(names: Sequence[str], rate_hz: float, seed: int, pace: float | None) -> _Play:
    now_msc = server_time_msc()
    source = synthetic_market(names, seed=seed, start_msc=now_msc - _PAST_MSC, rate_hz=rate_hz)
    market = Market(source.symbols, seed=seed, max_ticks=_MAX_TICKS)
    pairs = iter(source)
    for symbol, tick in pairs:
        market.history.append(symbol, tick)
        if tick.time_msc >= now_msc:
            break
    return _Play(
        market,
        lambda core: Feed(
            market.history, pairs, symbols=names, speed=pace, collector=core.collector
        ),
    )


def _play_files(paths: Sequence[Path], pace: float | None, *, hold: bool) -> _Play:
    files: dict[str, Path] = {}
    for path in paths:
        symbol = symbol_from_filename(path)
        if symbol in files:
            raise TickFileError(str(path), 1, f"{files[symbol]} has the symbol {symbol} as well")
        files[symbol] = path
        # A line that cannot be read is better found now than in the middle of a replay.
        for _ in read_ticks(path):
            pass
    market = Market([spec_for(symbol) for symbol in files])
    ticks = {symbol: read_ticks(path) for symbol, path in files.items()}
    return _Play(
        market,
        lambda core: ReplayFeed(
            market.history,
            ticks,
            speed=pace,
            collector=core.collector,
            hold_until_subscribed=hold,
        ),
    )


def _alias(settings: Settings, wanted: str | None) -> str:
    known = ", ".join(settings.terminals) or "none"
    if not settings.terminals:
        raise ConfigError(
            "no terminal is configured",
            key="terminals",
            hint="'bridge init' writes a configuration with one, and its key",
        )
    if wanted is None and len(settings.terminals) == 1:
        return next(iter(settings.terminals))
    if wanted is None:
        raise click.UsageError(f"there are several terminals: say --terminal, one of {known}")
    if wanted not in settings.terminals:
        raise ConfigError(
            "no such terminal is configured", key=f"terminals.{wanted}", hint=f"known: {known}"
        )
    return wanted


def _locked(folder: Path) -> FolderLock:
    # Two with one identity would replace each other at the relay for ever.
    lock = FolderLock(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise ConfigError(
            f"the folder cannot be used: {error.strerror}", key="relay.data_dir", hint=str(folder)
        ) from error
    return lock


def _run(terminal: TerminalThread, endpoint: str, duration: float | None) -> None:
    stopping = threading.Event()
    until = float("inf") if duration is None else time.monotonic() + duration
    watch = _Watch(terminal, endpoint)
    with terminal, stop_signals(stopping.set):
        while not stopping.is_set() and time.monotonic() < until:
            # In the terminal's thread: what is looked at belongs to it.
            terminal.call_soon(watch.look)
            # While it runs this is a TimeoutError; if it failed, its error.
            with contextlib.suppress(TimeoutError):
                terminal.join(_LOOK_EVERY_S)
                break
    log.info("simulated terminal stopped", ticks_sent=terminal.ticks_sent)


class _Watch:
    # Turns what the terminal does into lines of the log.

    def __init__(self, terminal: TerminalThread, endpoint: str) -> None:
        self._terminal = terminal
        self._endpoint = endpoint
        self._up = False
        self._closed: Closed | None = None
        self._streams: frozenset[str] = frozenset()
        self._finished = False
        self._tell_at = time.monotonic() + _FIRST_TELL_S
        log.info("simulated terminal started", relay=endpoint)

    def look(self) -> None:
        core, feed = self._terminal.core, self._terminal.runner.feed
        up = core.active
        if core.last_closed is not self._closed:
            self._closed = core.last_closed
            if self._closed is not None:
                log.warning(
                    "session ended",
                    reason=self._closed.reason,
                    code=self._closed.code,
                    by_relay=self._closed.by_peer,
                )
        if up != self._up:
            self._up = up
            if up:
                log.info("logged on", relay=self._endpoint, account=core.account.login)
            self._tell_at = time.monotonic() + _TELL_EVERY_S
        elif not up and time.monotonic() >= self._tell_at:
            last = {} if self._closed is None else {"last": self._closed.reason}
            log.warning(
                "no session with the relay, dialling",
                relay=self._endpoint,
                **last,
                hint="is it running ('bridge run'), and is this its endpoint for terminals?",
            )
            self._tell_at = time.monotonic() + _TELL_EVERY_S
        streams = core.collector.streaming
        if streams != self._streams:
            for symbol in sorted(streams - self._streams):
                log.info("stream started", symbol=symbol)
            for symbol in sorted(self._streams - streams):
                log.info("stream stopped", symbol=symbol)
            self._streams = streams
        if feed is not None and feed.finished and not self._finished:
            self._finished = True
            log.info("all ticks are played", ticks=feed.played)
