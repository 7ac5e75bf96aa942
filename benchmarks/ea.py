"""``python -m benchmarks.ea``: how long the Expert Advisor keeps a tick or an order, and its cost.

The EA is the real source, translated and compiled with -O2; the terminal around it has the
documented floor of the timer. A tick counts from the moment in which it is in the market
(and NewTick was told, if it is of the chart's symbol) to its arrival at a socket that
does nothing but wait for it. An order counts from NEW on the socket to RESULT on it; relay and terminal
are processes, as in life; the ledger is on this disk, with two commits. ``ea_command_own_ms`` is less
what the stand-in for terminal and broker took for its answers, each a message between two processes
where MetaTrader looks into its memory. ``machine_sync`` and ``machine_sleep`` are what this machine takes,
before and behind the orders, for a synced write as large as a commit of the ledger and for a sleep of 1 ms:
an order needs two of the one and several of the other, so a tail of theirs is one of its own.

The last line of the output is one JSON document, as that of ``python -m benchmarks``.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import operator
import os
import random
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, Self

from benchmarks.processes import OtherLoad, cpu_ns
from benchmarks.rows import Row, document, measured, table
from bridge.model.enums import AccountMarginMode
from bridge.model.record import RECORD_SIZE
from bridge.model.symbol import default_symbols
from bridge.model.tick import MqlTick, TickFlag
from bridge.model.trade import AccountRecord, order_tag
from bridge.sim.exchange import Exchange
from bridge.sim.market import Market
from bridge.sim.terminal import Account
from bridge.wire.messages import New, OrderRequest, Result, Stream
from bridge.wire.protocol import Ticks
from bridge.wire.spec import Capability, OrderOutcome
from tests.mql5.host import EaProcess
from tests.mql5.scenarios.expert import SOURCE, binary, why_not
from tests.mql5.scenarios.scripted import ScriptedRelay

__all__ = ["main"]

_KEY: Final = bytes(range(32))
_SYMBOLS: Final = 20
_START_MSC: Final = 1_546_383_600_000
#: Ticks are this far apart, at random: at any phase of the timer.
_PAUSE_S: Final = (0.020, 0.050)
_OTHERS_MAX: Final = 0.05
_ARRIVES_S: Final = 5.0
_BURST: Final = 50_000
_LOGIN: Final = 1001
_WARM: Final = 10
_SPAN: Final = struct.Struct("<qq")
_SYMBOL: Final = "EURUSD"
_SWITCH_S: Final = 0.0002
#: as large as a commit of the ledger in its log, and how many of them the log has room for
_COMMIT: Final = bytes(7 * 4120)
_WAL_COMMITS: Final = 140


class Bench:
    """
    An EA that streams 20 symbols to a relay that only acknowledges. A context manager.
    """

    def __init__(self, program: Path, folder: Path, **options: object) -> None:
        specs = [replace(spec, select=True) for spec in default_symbols()[:_SYMBOLS]]
        self.symbols = [spec.name for spec in specs]
        self._market = Market(specs)
        self._numbers = dict.fromkeys(self.symbols, 0)
        for symbol in self.symbols:
            self._market.history.append(symbol, self._next(symbol))
        self.relay = ScriptedRelay(_KEY)
        self.ea = EaProcess(
            program,
            market=self._market,
            account=Account(login=1001, server="Bench"),
            inputs={"InpAlias": "bench", "InpKey": _KEY.hex(), "InpRelayPort": self.relay.port},
            options=options,
            folder=folder,
            symbol=self.symbols[0],
        )
        self._came: list[tuple[int, int]] = []
        self._received = 0
        self._stop = threading.Event()
        self._new = threading.Condition()
        self._thread = threading.Thread(target=self._live, daemon=True)

    def __enter__(self) -> Self:
        self.ea.start()
        self.relay.log_on()
        for number, symbol in enumerate(self.symbols, 1):
            answer: Stream = self.relay.subscribe(symbol, number)
            if answer.code:
                raise RuntimeError(f"{symbol} does not stream: {answer.text}")
        self._thread.start()
        self._wait(len(self.symbols))
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.ea.close()
        self.relay.__exit__()

    def latency_ms(self, symbol: str) -> float:
        """
        Let a tick happen and return how long it took to the socket.
        """
        tick = self._next(symbol)
        before = self._received
        begun = time.perf_counter_ns()
        self.ea.quote(symbol, tick)
        arrived = self._wait(before + 1)
        return (arrived - begun) / 1e6

    def idle_share(self, seconds: float) -> float:
        """
        Return which share of a CPU the EA takes while nothing happens.
        """
        cpu, begun = cpu_ns(self.ea.pid), time.perf_counter_ns()
        time.sleep(seconds)
        return (cpu_ns(self.ea.pid) - cpu) / (time.perf_counter_ns() - begun)

    def burst_per_s(self, count: int) -> tuple[float, float]:
        """
        Let ticks of all symbols happen at once; return ticks a second and CPU us a tick.
        """
        part = count // len(self.symbols)
        ticks = {symbol: [self._next(symbol) for _ in range(part)] for symbol in self.symbols}
        before, cpu = self._received, cpu_ns(self.ea.pid)
        begun = time.perf_counter_ns()
        with self.ea.lock:
            for symbol, own in ticks.items():
                self._market.history.extend(symbol, own)
        self.ea.tick(self.symbols[0])
        ended = self._wait(before + part * len(self.symbols))
        total = part * len(self.symbols)
        return total / (ended - begun) * 1e9, (cpu_ns(self.ea.pid) - cpu) / total / 1e3

    def _next(self, symbol: str) -> MqlTick:
        number = self._numbers[symbol] = self._numbers[symbol] + 1
        bid = 1.0 + number % 10_000 * 1e-5
        return MqlTick(_START_MSC + number, bid, bid + 2e-5, 0.0, 0.0, TickFlag.BID | TickFlag.ASK)

    def _live(self) -> None:
        relay = self.relay
        while not self._stop.is_set():
            relay.pump(0.05)
            now = time.perf_counter_ns()
            frames = [event for event in relay.events if isinstance(event, Ticks)]
            relay.events.clear()
            if frames:
                with self._new:
                    self._received += sum(
                        len(run.records) // RECORD_SIZE for frame in frames for run in frame.runs
                    )
                    self._came.append((self._received, now))
                    self._new.notify_all()

    def _wait(self, count: int) -> int:
        # When the tick of this number arrived.
        with self._new:
            seen = -1
            while not self._new.wait_for(lambda: self._received >= count, _ARRIVES_S):
                if seen == self._received:
                    raise RuntimeError(f"{self._received} of {count} ticks came: {self.ea.crash}")
                seen = self._received
            arrived = next(now for received, now in self._came if received >= count)
            self._came.clear()
            return arrived


def live(program: Path, folder: Path, port: int, host: Connection) -> None:
    """
    Be an account with an EA that trades, until something is said or the host is gone.
    """
    _wait_for_nothing()
    now_msc = time.time_ns() // 1_000_000
    market = Market([replace(spec, select=True) for spec in default_symbols()[:1]])
    market.history.append(_SYMBOL, MqlTick(now_msc, 1.1, 1.1001))
    expert = EaProcess(
        program,
        exchange=Exchange(
            market,
            account=AccountRecord(
                login=_LOGIN,
                currency="USD",
                balance=1e9,
                margin_mode=int(AccountMarginMode.RETAIL_NETTING),
            ),
            server_clock_offset_us=now_msc * 1000,
        ),
        inputs={"InpAlias": "bench", "InpKey": _KEY.hex(), "InpRelayPort": port},
        folder=folder,
        symbol=_SYMBOL,
        # A terminal knows the server's time by its own clock, and has the rules in its memory.
        options={"asks_log": _asks_of(folder), "server_time": "own", "server_offset_s": 0},
        steady=True,
    )
    with expert:
        host.poll(None)


class Machine:
    """
    What one synced write and one sleep take here and now. A context manager.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self.syncs: list[float] = []
        self.sleeps: list[float] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def look(self, count: int, rng: random.Random) -> None:
        """
        Do so many of each, as far apart as orders are; times are in ms.
        """
        for _ in range(count):
            time.sleep(rng.uniform(*_PAUSE_S))
            begun = time.perf_counter()
            time.sleep(0.001)
            slept = time.perf_counter()
            self._file.seek(len(self.syncs) % _WAL_COMMITS * len(_COMMIT))
            self._file.write(_COMMIT)
            os.fdatasync(self._file.fileno())
            self.sleeps.append((slept - begun) * 1e3)
            self.syncs.append((time.perf_counter() - slept) * 1e3)


class OrderBench:
    """
    An EA that trades, and a relay that waits for one RESULT after the other. A context manager.
    """

    def __init__(self, program: Path, folder: Path) -> None:
        self._asks = _asks_of(folder)
        self.relay = ScriptedRelay(_KEY)
        self.relay.capabilities |= Capability.TRADE | Capability.EVENTS
        spawn = multiprocessing.get_context("spawn")
        self._end, theirs = spawn.Pipe()
        self._terminal = spawn.Process(
            target=live, args=(program, folder, self.relay.port, theirs), daemon=True
        )
        self._sent = 0

    def __enter__(self) -> Self:
        self._terminal.start()
        self.relay.log_on()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.send("end")
        self._terminal.join()
        self.relay.__exit__()

    def latency(self) -> tuple[int, int]:
        """
        Send an order, and a close of it every second time; return when it went to the socket, and
        when the answer came from it, in ns.
        """
        session = self.relay.session
        if session is None or session.hello is None:
            raise RuntimeError(f"the terminal is not there: {self.relay.ends}")
        self._sent += 1
        name = f"bench/{self._sent}"
        fields: dict[str, Any] = dict.fromkeys(OrderRequest._fields)
        fields |= {"action": 1, "symbol": _SYMBOL, "volume": 0.01, "type": self._sent % 2}
        order = New(
            command_id=name,
            tag=order_tag(name),
            sent_us=self.relay.clock(),
            deadline_us=self.relay.clock() + 5_000_000,
            relay_epoch=7,
            incarnation=session.hello.incarnation,
            login=_LOGIN,
            flags=0,
            request=OrderRequest(**fields),
        )
        self.relay.send(order)
        begun = self.relay.sent_ns
        # An earlier one's may come once more, when a look was before its transaction.
        result = self.relay.expect(Result, lambda one: one.command_id == name)
        ended = self.relay.received_ns
        self.relay.events.clear()
        if result.outcome != OrderOutcome.DONE:
            raise RuntimeError(f"an order was not done: {result}")
        return begun, ended

    def asked_ms(self, spans: Sequence[tuple[int, int]]) -> list[float]:
        """
        Return how long the EA waited for answers of the terminal within each of some spans.
        """
        asks = list(_SPAN.iter_unpack(self._asks.read_bytes()))
        return [
            sum(max(0, min(end, until) - max(start, since)) for start, until in asks) / 1e6
            for since, end in spans
        ]


def _wait_for_nothing() -> None:
    # Neither for the GIL nor for the garbage collector's look at everything: that is not measured.
    sys.setswitchinterval(_SWITCH_S)
    gc.freeze()


def _asks_of(folder: Path) -> Path:
    return folder.with_suffix(".asks")


def _p99(samples: Sequence[float]) -> float:
    return sorted(samples)[int(len(samples) * 0.99)]


def latencies(bench: Bench, symbols: Sequence[str], count: int, rng: random.Random) -> list[float]:
    """
    Return latencies of ticks at random moments.
    """
    found = []
    for _ in range(count):
        time.sleep(rng.uniform(*_PAUSE_S))
        found.append(bench.latency_ms(rng.choice(symbols)))
    return found


def run(samples: int, folder: Path) -> list[Row]:
    """
    Measure everything.
    """
    program = binary("plain")
    rng = random.Random(1)  # noqa: S311  # when a tick happens is no secret
    with Bench(program, folder / "1ms") as bench:
        latencies(bench, bench.symbols, 20, rng)
        chart = latencies(bench, bench.symbols[:1], samples, rng)
        others = latencies(bench, bench.symbols[1:], samples, rng)
        idle = [bench.idle_share(1.0) * 100 for _ in range(3)]
        bursts = [bench.burst_per_s(_BURST) for _ in range(3)]
    with Bench(program, folder / "16ms", sleep_granularity_us=15_600) as bench:
        latencies(bench, bench.symbols, 20, rng)
        coarse = latencies(bench, bench.symbols, samples // 2, rng)
    with Machine(folder / "machine") as machine:
        # Not between the orders: that would be more for this disk to do.
        machine.look(samples // 2, rng)
        with OrderBench(program, folder / "orders") as orders:
            for _ in range(_WARM):
                orders.latency()
            spans = []
            for _ in range(2 * samples):
                time.sleep(rng.uniform(*_PAUSE_S))
                spans.append(orders.latency())
            whole = [(ended - begun) / 1e6 for begun, ended in spans]
            own = list(map(operator.sub, whole, orders.asked_ms(spans)))
        machine.look(samples // 2, rng)
    both = chart + others
    return [
        measured("ea_tick_p50_ms", both),
        measured("ea_tick_chart_p50_ms", chart),
        measured("ea_tick_other_p50_ms", others),
        measured("ea_tick_p99_ms", [_p99(both)]),
        measured("ea_tick_sleep16_p50_ms", coarse),
        measured("ea_command_p50_ms", whole),
        measured("ea_command_p99_ms", [_p99(whole)]),
        measured("ea_command_own_ms", own),
        measured("machine_sync_p50_ms", machine.syncs),
        measured("machine_sync_p99_ms", [_p99(machine.syncs)]),
        measured("machine_sleep_p99_ms", [_p99(machine.sleeps)]),
        measured("ea_idle_cpu_percent", idle),
        measured("ea_ticks_per_s", [rate for rate, _ in bursts]),
        measured("ea_cpu_us_per_tick", [cpu for _, cpu in bursts]),
    ]


def main() -> int:
    """
    Return the exit code: 1 when a gate fails, 2 when nothing could be measured.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ea", description="Measure the Expert Advisor's own time."
    )
    parser.add_argument("--samples", type=int, default=300, metavar="N", help="ticks of each kind")
    options = parser.parse_args()
    problem = why_not() or ("" if SOURCE.exists() else f"there is no {SOURCE}")
    if not sys.platform.startswith("linux"):
        problem = "the benchmarks need Linux: they read /proc"
    if problem:
        print(problem, file=sys.stderr)
        return 2
    load, begun = OtherLoad(), time.monotonic()
    _wait_for_nothing()
    with tempfile.TemporaryDirectory(prefix="bridge-bench-ea-") as folder:
        rows = run(options.samples, Path(folder))
    others = load.share()
    print(
        f"\n{table(rows)}\n\n{time.monotonic() - begun:.0f} s; other programs took {others:.0%} of "
        f"the machine meanwhile{'; the figures are not worth much' * (others > _OTHERS_MAX)}",
        file=sys.stderr,
        flush=True,
    )
    print(document(rows), flush=True)
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
