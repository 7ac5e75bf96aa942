"""``python -m tests.mql5 run``: an Expert Advisor in a simulated terminal, until it is stopped.

On stdout, one JSON object a line: what the program says (``event`` is print, alert, comment or
error), what happens to it, and how many ticks were played. The end of stdin, where that is a
pipe, is the end of the terminal: OnDeinit comes with REASON_CLOSE.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import stat
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bridge.cli.market import server_time_msc, synthetic_market
from bridge.model.enums import AccountMarginMode
from bridge.model.symbol import spec_for
from bridge.model.tick import MqlTick
from bridge.sim.account import BALANCE, account_record
from bridge.sim.brokerfile import KeptExchange
from bridge.sim.exchange import Exchange
from bridge.sim.exchange_rules import BrokerRules
from bridge.sim.feed import Feed, ReplayFeed, SyntheticFeed
from bridge.sim.market import Market
from bridge.sim.terminal import Account
from bridge.sim.tickfile import read_ticks, symbol_from_filename
from tests.mql5 import building
from tests.mql5.feed import FeedThread, Reading, play_lines
from tests.mql5.host import EaProcess

__all__ = ["main"]

_REASON_CLOSE: Final = 9
_TELL_EVERY_S: Final = 0.5
_LOOK_AGAIN_S: Final = 0.05
_MAX_TICKS: Final = 2_000_000
_out = threading.Lock()


def parser() -> argparse.ArgumentParser:
    """
    Return the parser of the command line.
    """
    made = argparse.ArgumentParser(prog="python -m tests.mql5 run", description=__doc__)
    made.add_argument("source", type=Path, help="an .mq5 file")
    mode = os.environ.get("MQL5_BUILD", "plain")
    made.add_argument("--mode", default=mode, help="of the build: plain, asan or coverage")
    made.add_argument("--input", action="append", default=[], metavar="NAME=VALUE")
    made.add_argument(
        "--input-file", action="append", default=[], metavar="NAME=FILE",
        help="an input whose value is the first line of a file: keys stay off the command line",
    )  # fmt: skip
    made.add_argument("--option", action="append", default=[], metavar="NAME=VALUE")
    made.add_argument("--port", help="InpRelayPort")
    made.add_argument("--alias", help="InpAlias")
    made.add_argument("--key-file", help="InpKey, from a file")
    made.add_argument("--login", type=int, default=5_000_001)
    made.add_argument("--server", default="Simulated-Demo")
    made.add_argument("--symbols", default="", help="names with commas; the first is the chart's")
    made.add_argument("--data", type=Path, help="folder that stands for the terminal's data")
    made.add_argument(
        "--ticks", nargs="+", default=[], metavar="FILE",
        help="files exported by MetaTrader, or -: lines 'SYMBOL time_msc bid ask last volume "
        "flags' on stdin, each played as it comes; '?tags NUMBER' asks for the broker's orders",
    )  # fmt: skip
    made.add_argument("--synthetic", type=int, metavar="COUNT", help="ticks of a synthetic market")
    made.add_argument("--rate", type=float, default=20.0, help="ticks a second and symbol")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument(
        "--speed", default="1", help="how many times as fast as the market, or max [default: 1]"
    )
    made.add_argument(
        "--trade", action="store_true",
        help="give the account to a simulated broker; without it no program can trade",
    )  # fmt: skip
    made.add_argument("--balance", type=float, default=BALANCE, help="of a new account")
    made.add_argument("--netting", action="store_true", help="one position for a symbol")
    made.add_argument(
        "--broker", type=Path, metavar="FILE",
        help="keep the broker's books there, so that they outlive the terminal",
    )  # fmt: skip
    made.add_argument(
        "--rule", action="append", default=[], metavar="NAME=JSON",
        help="how the broker behaves, a field of BrokerRules: reply_ms=[10,50]",
    )  # fmt: skip
    made.add_argument(
        "--linger", type=float, default=2.0, metavar="S",
        help="how long the program may go on when it has read the last tick",
    )  # fmt: skip
    return made


def main(words: Sequence[str]) -> int:
    """
    Run the command; return the program's exit code.
    """
    arguments = parser().parse_args(words)
    files = {symbol_from_filename(path): path for path in arguments.ticks if path != "-"}
    symbols = [name for name in arguments.symbols.split(",") if name] or list(files) or ["EURUSD"]
    market = Market([spec_for(name) for name in symbols], max_ticks=_MAX_TICKS)
    for name in symbols:
        market.select(name, True)
    lock = threading.RLock()
    stdin = _Stdin(market, lock, plays="-" in arguments.ticks)
    stdin.start()
    _tell({"event": "building"})
    program = building.build(arguments.source, mode=arguments.mode)
    account = Account(
        login=arguments.login,
        server=arguments.server,
        margin_mode=(
            AccountMarginMode.RETAIL_NETTING
            if arguments.netting
            else AccountMarginMode.RETAIL_HEDGING
        ),
    )
    now_us = time.monotonic_ns() // 1000
    ea = EaProcess(
        program,
        market=market,
        account=account,
        exchange=_exchange(arguments, market, account, now_us) if arguments.trade else None,
        now_us=now_us,
        inputs=_inputs(arguments),
        options=dict(_pair(text) for text in arguments.option),
        folder=arguments.data,
        symbol=symbols[0],
        lock=lock,
    )

    def heard(event: dict[str, Any]) -> None:
        # Before anybody hears of it: who does may send ticks at once.
        stdin.program = ea
        _tell(event)

    ea.on_event = heard
    with ea:
        _tell({"event": "running", "pid": ea.pid})
        with contextlib.suppress(KeyboardInterrupt):
            _play(ea, _feed(arguments, market, files, ea), stdin, arguments.linger)
        code = ea.exit_code if ea.exit_code is not None else ea.deinit(_REASON_CLOSE)
        error = ea.crash if code else ""
    if stdin.error is not None:
        error = f"stdin: {stdin.error}"
        code = code or 1
    _tell({"event": "ended", "code": code, "text": error})
    return code


def _exchange(
    arguments: argparse.Namespace, market: Market, account: Account, now_us: int
) -> Exchange:
    # The server's clock is that of `bridge sim`; it does not wait for ticks.
    how: dict[str, Any] = {
        "account": account_record(account, arguments.balance),
        "seed": arguments.seed,
        "rules": BrokerRules(**_rules(arguments.rule)),
        "server_clock_offset_us": server_time_msc() * 1000 - now_us,
    }
    if arguments.broker is None:
        return Exchange(market, **how)
    return KeptExchange.open(arguments.broker, market, now_us=now_us, **how)


def _rules(texts: Sequence[str]) -> dict[str, Any]:
    rules = {}
    for name, text in map(_pair, texts):
        value = json.loads(text)
        if name in {"market_closed", "no_quotes"}:
            value = frozenset(value)
        rules[name] = tuple(value) if isinstance(value, list) else value
    return rules


def _feed(
    arguments: argparse.Namespace, market: Market, files: dict[str, str], ea: EaProcess
) -> Feed | None:
    speed = None if arguments.speed == "max" else float(arguments.speed)
    how: dict[str, Any] = {
        "speed": speed,
        "collector": Reading(ea.broker),
        # As fast as it goes would be over before the relay has subscribed.
        "hold_until_subscribed": speed is None,
    }
    if files:
        streams = {symbol: read_ticks(path) for symbol, path in files.items()}
        for symbol, ticks in streams.items():
            # A stream begins with the latest tick there is: so one has to be there.
            market.history.append(symbol, next(ticks))
        return ReplayFeed(market.history, streams, **how)
    if arguments.synthetic is None:
        return None
    made = synthetic_market(
        list(market.specs),
        seed=arguments.seed,
        start_msc=server_time_msc(),
        rate_hz=arguments.rate,
    )
    for symbol in market.specs:
        bid = next(made.ticks_of(symbol)).bid
        market.history.append(symbol, MqlTick(made.start_msc, bid, bid))
    return SyntheticFeed(market.history, made, count=arguments.synthetic, **how)


def _play(ea: EaProcess, feed: Feed | None, stdin: _Stdin, linger_s: float) -> None:
    # Returns when the program has to end, or has.
    if feed is None:
        _wait(ea, stdin, lambda: False)
        return
    progress = _Progress()
    with FeedThread(ea, feed, progress.played) as thread:
        _wait(ea, stdin, lambda: thread.finished)
        if thread.error is not None:
            raise thread.error
    reading = Reading(ea.broker)
    _wait(ea, stdin, lambda: reading.keeps_up)
    _tell({"event": "played", "ticks": feed.played, "read": ea.broker.read})
    until = time.monotonic() + linger_s
    _wait(ea, stdin, lambda: time.monotonic() >= until)


def _wait(ea: EaProcess, stdin: _Stdin, done: Any) -> None:
    while ea.running and not stdin.ended.is_set() and not done():
        stdin.ended.wait(_LOOK_AGAIN_S)


class _Stdin(threading.Thread):
    # Reads stdin to its end: ticks, if they come that way. ``program`` is told of each.

    def __init__(self, market: Market, lock: threading.RLock, *, plays: bool) -> None:
        super().__init__(name="stdin", daemon=True)
        self.ended = threading.Event()
        self.error: BaseException | None = None
        self._market = market
        self._lock = lock
        self.program: EaProcess | None = None
        self._plays = plays

    def run(self) -> None:
        try:
            if self._plays:
                history = self._market.history
                play_lines(sys.stdin, history, self._lock, self._tell_program, self._answer)
            elif stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
                sys.stdin.read()
            else:
                return
        except (OSError, ValueError, KeyError) as error:
            self.error = error
        self.ended.set()

    def _answer(self, line: str) -> None:
        # "?tags NUMBER": the comments of all orders that the broker ever took.
        exchange = None if self.program is None else self.program.exchange
        with self._lock:
            tags = [] if exchange is None else list(exchange.ledger().tags.values())
        _tell({"event": "tags", "number": line.rsplit(maxsplit=1)[-1], "tags": tags})

    def _tell_program(self, symbol: str) -> None:
        if self.program is not None:
            self.program.tick(symbol)


class _Progress:
    # Tells now and then how many ticks were played.

    def __init__(self) -> None:
        self._next = 0.0

    def played(self, ticks: int) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _TELL_EVERY_S
            _tell({"event": "ticks", "ticks": ticks})


def _inputs(arguments: argparse.Namespace) -> dict[str, str]:
    inputs = dict(_pair(text) for text in arguments.input)
    files = dict(_pair(text) for text in arguments.input_file)
    if arguments.key_file is not None:
        files["InpKey"] = arguments.key_file
    for name, path in files.items():
        inputs[name] = Path(path).read_text("utf-8").split("\n", 1)[0].strip()
    if arguments.port is not None:
        inputs["InpRelayPort"] = arguments.port
    if arguments.alias is not None:
        inputs["InpAlias"] = arguments.alias
    return inputs


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise SystemExit(f"{text}: expected name=value")
    return name, value


def _tell(event: dict[str, Any]) -> None:
    # Whoever started this may be gone: then nobody is to be told.
    with _out, contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
