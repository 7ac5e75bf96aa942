"""``python -m benchmarks.orders [--quick]``: what it costs that no order is lost.

Orders go one by one through a relay with its journal on disk and through one with a journal in
memory, side by side with bare commits of SQLite to the same disk. Then ticks are timed with and
without 100 orders a second. The method is told in ``benchmarks/README.md``; the last line of the
output is one JSON document, as that of ``python -m benchmarks``.
"""

from __future__ import annotations

import argparse
import itertools
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import msgpack
import zmq

from benchmarks.building import CannotBuildError, build
from benchmarks.processes import BenchmarkError, OtherLoad, Processes, Relay
from benchmarks.rounds import Run, Source, relay_source
from benchmarks.rows import PAIRS_MIN, Row, document, measured, ratios, table

__all__ = ["Commits", "OrderRelay", "Orders", "Plan", "main", "rows_of", "run"]

_ALIAS: Final = "orders"
_HERE: Final = Path(__file__).resolve().parent
_CONFIG: Final = """
[terminals.orders]

[terminals.orders.trading]
enabled = true
max_orders_per_minute = 0
max_volume = 0
max_open_positions = 0
"""
_BUY: Final = {"action": "DEAL", "symbol": "EURUSD", "volume": 0.1, "type": "BUY"}
_REPLY_S: Final = 10.0
_WARM_UP: Final = 100
_OTHERS_MAX: Final = 0.05
_TICK_RATE: Final = 1_000
_ORDER_RATE: Final = 100
#: as large as a command's row in the journal
_ROW: Final = bytes(600)


class Plan(NamedTuple):
    """
    How much is measured.
    """

    rounds: int
    orders: int
    tick_rounds: int
    tick_s: float


_QUICK: Final = Plan(7, 150, 5, 1.5)
_FULL: Final = Plan(25, 400, 15, 4.0)


class Timed(NamedTuple):
    """
    One round: how long each took, in milliseconds, shortest first.
    """

    p50: float
    p99: float

    @classmethod
    def of(cls, seconds: list[float]) -> Timed:
        """
        Return the quantiles of these.
        """
        ordered = sorted(seconds)
        return cls(
            ordered[len(ordered) // 2] * 1e3,
            ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)] * 1e3,
        )


class Orders:
    """
    A client that sends one order behind the other. Each has a name of its own.
    """

    def __init__(self, endpoint: str) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.connect(endpoint)
        self._numbers = itertools.count(1)

    def send(self) -> dict[str, Any]:
        """
        Send an order and return its result.

        Raises:
            BenchmarkError: there is no reply, or it is an error.
        """
        number = next(self._numbers)
        request = {
            "id": number,
            "method": "order_send",
            "client_id": "bench",
            "client_order_id": str(number),
            "terminal": _ALIAS,
            "params": _BUY,
        }
        self._socket.send(msgpack.packb(request))
        if not self._socket.poll(int(_REPLY_S * 1000)):
            raise BenchmarkError(f"no reply to order {number} within {_REPLY_S:.0f} s")
        reply = msgpack.unpackb(self._socket.recv())
        if not reply["ok"]:
            raise BenchmarkError(f"order {number}: {reply['error']['message']}")
        result: dict[str, Any] = reply["result"]
        return result

    def done(self) -> None:
        """
        Send an order that must be executed.

        Raises:
            BenchmarkError: it was not.
        """
        result = self.send()
        if result["outcome"] != "DONE":
            raise BenchmarkError(f"an order ended {result['outcome']}: {result['message']}")

    def ready(self) -> None:
        """
        Wait until the terminal takes orders.

        Raises:
            BenchmarkError: it does not.
        """
        deadline = time.monotonic() + _REPLY_S
        while (result := self.send())["outcome"] != "DONE":
            if time.monotonic() > deadline:
                raise BenchmarkError(f"the terminal takes no orders: {result['message']}")
            time.sleep(0.05)

    def timed(self, count: int) -> Timed:
        """
        Send so many orders, one behind the other.
        """
        seconds = []
        for _ in range(count):
            begun = time.perf_counter()
            self.done()
            seconds.append(time.perf_counter() - begun)
        return Timed.of(seconds)

    def close(self) -> None:
        """
        Close the socket.
        """
        self._context.destroy(0)


class OrderRelay:
    """
    A relay with a terminal that executes at once, and a client of it.
    """

    def __init__(self, processes: Processes, folder: Path, *, memory: bool = False) -> None:
        program = [str(_HERE / "memory_relay.py")] if memory else None
        self.relay = Relay(processes, folder, more=_CONFIG, aliases=(_ALIAS,), program=program)
        terminal = processes.helper(
            "order terminal",
            [
                sys.executable,
                *("-m", "benchmarks.order_terminal"),
                *("--port", str(self.relay.terminal_port)),
                *("--alias", _ALIAS),
                *("--key-file", str(self.relay.key_file.with_name(f"{_ALIAS}.key"))),
            ],
        )
        terminal.answer()
        self.orders = Orders(self.relay.request)
        self.orders.ready()
        self.orders.timed(_WARM_UP)


class Commits:
    """
    Bare transactions of SQLite, made durable as the journal's are: one row, WAL, FULL.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, row BLOB)")

    def timed(self, count: int) -> Timed:
        """
        Commit so many rows, one a transaction.
        """
        seconds = []
        for _ in range(count):
            begun = time.perf_counter()
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute("INSERT INTO rows (row) VALUES (?)", (_ROW,))
            self._database.execute("COMMIT")
            seconds.append(time.perf_counter() - begun)
        return Timed.of(seconds)

    def close(self) -> None:
        """
        Close the file.
        """
        self._database.close()


class Load:
    """
    Orders at a rate while something else is measured. A context manager.
    """

    def __init__(self, orders: Orders, rate: int) -> None:
        self.sent = 0
        self.problem = ""
        self._orders = orders
        self._every_s = 1 / rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        next_s = time.monotonic()
        while not self._stop.is_set():
            try:
                self._orders.done()
            except BenchmarkError as error:
                self.problem = str(error)
                return
            self.sent += 1
            next_s += self._every_s
            self._stop.wait(max(next_s - time.monotonic(), 0))


def tell(line: str) -> None:
    """
    Print for a person: on stderr, stdout is for the result alone.
    """
    print(line, file=sys.stderr, flush=True)


def interleaved(
    title: str, measures: Mapping[str, Callable[[], Any]], rounds: int
) -> dict[str, list[Any]]:
    """
    Run all of them in each round, forwards in one, backwards in the next.
    """
    found: dict[str, list[Any]] = {name: [] for name in measures}
    names = list(measures)
    for number in range(rounds):
        if number % max(rounds // 5, 1) == 0:
            tell(f"{title}: round {number + 1} of {rounds}")
        for name in reversed(names) if number % 2 else names:
            found[name].append(measures[name]())
    return found


def rows_of(orders: Mapping[str, list[Timed]], ticks: Mapping[str, list[Run]]) -> list[Row]:
    """
    Return the rows: differences and ratios are taken within a round.
    """
    disk, memory, again, bare = (
        orders[name] for name in ("on disk", "in memory", "on disk again", "bare commit")
    )
    added = [ours.p50 - theirs.p50 for ours, theirs in zip(disk, memory, strict=True)]
    late = [ours.p99 - theirs.p99 for ours, theirs in zip(disk, memory, strict=True)]
    own = [more - 2 * commit.p50 for more, commit in zip(added, bare, strict=True)]
    alone, loaded = ticks["ticks alone"], ticks["ticks with orders"]
    problem = next((one.problem for one in [*alone, *loaded] if one.problem), "")
    pairs = [
        (ours.p99_us, theirs.p99_us)
        for ours, theirs in zip(loaded, alone, strict=True)
        if not ours.saturated and not theirs.saturated
    ]
    return [
        measured("durable_p50_ms", added, least=PAIRS_MIN),
        measured("durable_p99_ms", late, least=PAIRS_MIN),
        ratios(
            "durable_p50_vs_fsync",
            [(more, commit.p50) for more, commit in zip(added, bare, strict=True)],
        ),
        measured("durable_p50_own_ms", own, least=PAIRS_MIN),
        measured("fsync_p50_ms", [one.p50 for one in bare]),
        measured("fsync_p99_ms", [one.p99 for one in bare]),
        measured("order_p50_ms", [one.p50 for one in disk]),
        measured("order_p99_ms", [one.p99 for one in disk]),
        measured("order_memory_p50_ms", [one.p50 for one in memory]),
        ratios(
            "aa_order_p50",
            [(ours.p50, theirs.p50) for ours, theirs in zip(disk, again, strict=True)],
        ),
        ratios("tick_p99_with_orders_ratio", pairs, problem),
        measured("tick_p99_us", [one.p99_us for one in alone]),
        measured("tick_p99_with_orders_us", [one.p99_us for one in loaded]),
        ratios(
            "aa_tick_p99",
            [
                (ours.p99_us, theirs.p99_us)
                for ours, theirs in zip(alone, ticks["ticks alone again"], strict=True)
            ],
        ),
    ]


def run(plan: Plan, programs: Mapping[str, Path]) -> list[Row]:
    """
    Measure everything.

    Raises:
        BenchmarkError: a process failed.
    """
    with (
        tempfile.TemporaryDirectory(prefix="bridge-bench-", dir=_HERE) as name,
        Processes() as all_,
    ):
        # Beside the sources, because /tmp may be memory.
        folder = Path(name)
        disk = OrderRelay(all_, folder / "a")
        memory = OrderRelay(all_, folder / "b", memory=True)
        again = OrderRelay(all_, folder / "c")
        with closing(Commits(folder / "bare.sqlite")) as commits:
            commits.timed(_WARM_UP)
            orders = interleaved(
                "orders",
                {
                    "on disk": lambda: disk.orders.timed(plan.orders),
                    "in memory": lambda: memory.orders.timed(plan.orders),
                    "bare commit": lambda: commits.timed(plan.orders),
                    "on disk again": lambda: again.orders.timed(plan.orders),
                },
                plan.rounds,
            )
        source = relay_source("relay", programs, all_, relay=disk.relay)
        source.join(1)
        ticks = interleaved(
            "ticks",
            {
                "ticks alone": lambda: _paced(source, plan),
                "ticks with orders": lambda: _with_orders(source, disk.orders, plan),
                "ticks alone again": lambda: _paced(source, plan),
            },
            plan.tick_rounds,
        )
        for one in (disk, memory, again):
            one.orders.close()
    return rows_of(orders, ticks)


def _paced(source: Source, plan: Plan) -> Run:
    return source.pace(int(_TICK_RATE * plan.tick_s), _TICK_RATE)


def _with_orders(source: Source, orders: Orders, plan: Plan) -> Run:
    with Load(orders, _ORDER_RATE) as load:
        found = _paced(source, plan)
    least = 0.9 * _ORDER_RATE * plan.tick_s
    if load.problem or load.sent < least:
        problem = load.problem or f"only {load.sent} orders in {plan.tick_s:g} s"
        return found._replace(problem=found.problem or problem)
    return found


def main() -> int:
    """
    Return the exit code: 1 when a gate fails, 2 when nothing could be measured.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.orders", description="Measure what durable orders cost."
    )
    parser.add_argument("--quick", action="store_true", help="less than a minute")
    options = parser.parse_args()
    # Killed from outside, the processes started here must still go.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not sys.platform.startswith("linux"):
        tell("the benchmarks need Linux: they read /proc")
        return 2
    load, begun = OtherLoad(), time.monotonic()
    try:
        rows = run(_QUICK if options.quick else _FULL, build())
    except (CannotBuildError, BenchmarkError) as error:
        tell(str(error))
        return 2
    except KeyboardInterrupt:
        return 130
    others = load.share()
    tell(
        f"\n{table(rows)}\n\n{time.monotonic() - begun:.0f} s; other programs took {others:.0%} of "
        f"the machine meanwhile{'; the figures are not worth much' * (others > _OTHERS_MAX)}"
    )
    print(document(rows), flush=True)
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
