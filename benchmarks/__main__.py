"""``python -m benchmarks [--quick]``: the relay against the limits of pyzmq and libzmq.

The method is told in ``benchmarks/README.md``. The last line of the output is one JSON
document; the exit code is 1 when a gate fails and 2 when nothing could be measured.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.building import CannotBuildError, build
from benchmarks.processes import BenchmarkError, OtherLoad, Processes, rss_mib
from benchmarks.rounds import Run, Source, c_source, pyzmq_source, relay_source
from benchmarks.rows import PAIRS_MIN, Row, document, measured, quartile_ratio, ratios, table

_STARTED: Final = time.monotonic()
_CALIBRATION_TICKS: Final = 40_000
_TICKS_MIN: Final = 20_000
_TICKS_MAX: Final = 2_000_000
_FAN_OUT: Final = 10
_OTHERS_MAX: Final = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """
    How much is measured. The ends are seconds since the start: a section that is not done
    by then stops after the round it is in.
    """

    #: at the rate that calibration found, one run takes about so long
    run_s: float
    #: all processes are started anew so many times: a process can be lucky
    blocks: int
    #: rounds in a block
    pairs: int
    ceilings_end_s: float
    small_end_s: float
    latencies_end_s: float
    fan_out_end_s: float
    python_runs: int

    def later(self, seconds: float) -> Plan:
        """
        Return the same plan for a block that begins later.
        """
        return dataclasses.replace(
            self,
            ceilings_end_s=self.ceilings_end_s + seconds,
            small_end_s=self.small_end_s + seconds,
            latencies_end_s=self.latencies_end_s + seconds,
            fan_out_end_s=self.fan_out_end_s + seconds,
        )


_QUICK: Final = Plan(0.45, 1, 9, 25.0, 33.0, 43.0, 51.0, 0)
_FULL: Final = Plan(1.5, 3, 7, 70.0, 110.0, 130.0, 160.0, 3)


@dataclass(slots=True)
class Sources:
    """
    Everything that publishes.
    """

    relay: Source
    #: the same relay a second time, or another checkout
    other: Source
    pyzmq: Source
    c: Source
    #: over TCP to a second process first; used for latencies only
    c_hop: Source
    all: tuple[Source, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.all = (self.relay, self.other, self.pyzmq, self.c, self.c_hop)


Measure = Callable[[], Run]


class Section:
    """
    Runs that are compared with each other: all of them in each round, one behind the
    other, forwards in one round and backwards in the next.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.runs: dict[str, list[Run]] = {}

    def measure(self, measures: Mapping[str, Measure], pairs: int, end_s: float) -> None:
        """
        Run the rounds of a block.
        """
        names = list(measures)
        for number in range(pairs):
            if number >= PAIRS_MIN and time.monotonic() - _STARTED > end_s:
                break
            for name in reversed(names) if number % 2 else names:
                progress(f"{self.title}: round {number + 1} of {pairs}, {name}")
                self.runs.setdefault(name, []).append(measures[name]())
        progress("")

    def describe(self) -> None:
        """
        Say what the runs were in absolute figures, which only belong to this hour.
        """
        for name, runs in self.runs.items():
            middle = sorted(runs, key=lambda run: run.rate)[len(runs) // 2]
            tell(
                f"  {self.title}: {name}: {middle.rate / 1e3:,.0f} k ticks/s, "
                f"{middle.cpu_us_per_tick:.2f} us CPU a tick"
                + (f", p50 {middle.p50_us:,.0f} us" if middle.p50_us else "")
            )

    def problem(self, *names: str) -> str:
        """
        Return what was wrong with any run of these, or ``""``.
        """
        return next((run.problem for name in names for run in self.runs[name] if run.problem), "")

    def ratio(self, row: str, ours: str, theirs: str, of: Callable[[Run], float]) -> Row:
        """
        Return the row that compares two of the runs.
        """
        return ratios(row, self._pairs(ours, theirs, of), self.problem(ours, theirs))

    def latency_ratio(self, row: str, ours: str, theirs: str) -> Row:
        """
        Return the row that compares the median latencies.
        """
        pairs = self._pairs(ours, theirs, lambda run: run.p50_us)
        return quartile_ratio(row, pairs, self.problem(ours, theirs))

    def values(self, row: str, name: str, of: Callable[[Run], float]) -> Row:
        """
        Return the row of one of the runs alone.
        """
        runs = [run for run in self.runs[name] if not run.saturated]
        return measured(row, [of(run) for run in runs], self.problem(name))

    def _pairs(
        self, ours: str, theirs: str, of: Callable[[Run], float]
    ) -> list[tuple[float, float]]:
        # Where the sender could not keep the rate, latencies are those of another rate.
        return [
            (of(a), of(b))
            for a, b in zip(self.runs[ours], self.runs[theirs], strict=True)
            if not a.saturated and not b.saturated
        ]


def tell(line: str) -> None:
    """
    Print for a person: on stderr, stdout is for the result alone.
    """
    print(line, file=sys.stderr, flush=True)


def progress(line: str) -> None:
    """
    Show what runs now; on a terminal only, and in one line.
    """
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{line}")
        sys.stderr.flush()


def calibrated(source: Source, seconds: float, **options: int) -> Measure:
    """
    Return a flood of this source that takes about ``seconds``; the trial is the warm-up.
    """
    progress(f"warming up: {source.name}")
    rate = source.flood(_CALIBRATION_TICKS, **options).rate
    # Whole batches and whole turns of the symbols, so that each run has the same frames.
    count = int(min(max(rate * seconds, _TICKS_MIN), _TICKS_MAX)) // 1280 * 1280
    return lambda: source.flood(count, **options)


class Benchmark:
    """
    All sections, over all blocks.
    """

    def __init__(self, plan: Plan, *, against: bool) -> None:
        self._plan = plan
        self._second = "--against" if against else "relay again"
        self._against = against
        self._ceiling = Section("ceiling")
        self._small = Section("small frames")
        self._latency = Section("latency")
        self._slow = Section("slow")
        self._fan_out = Section("fan-out")
        self._python = Section("python")
        self._memory: list[float] = []

    def block(self, sources: Sources, plan: Plan) -> None:
        """
        Measure everything once, with processes that have no load behind them.
        """
        self._memory.append(rss_mib(sources.relay.pid))
        self._measure_ceilings(sources, plan)
        self._measure_small_frames(sources, plan)
        self._measure_latencies(sources, plan)
        self._measure_fan_out(sources, plan)
        if plan.python_runs:
            sources.relay.join(1, python=True)
            measures = {"relay": calibrated(sources.relay, plan.run_s, batch=64)}
            self._python.measure(measures, plan.python_runs, plan.fan_out_end_s)

    def rows(self) -> list[Row]:
        """
        Return what came out.
        """
        rows = [
            self._ceiling.ratio("ceiling_vs_pyzmq", "relay", "pyzmq loop", _rate),
            self._ceiling.ratio("ceiling_vs_c", "relay", "C libzmq", _rate),
            self._ceiling.ratio("cpu_vs_pyzmq", "relay", "pyzmq loop", _cpu),
            self._latency.latency_ratio("p50_10k_vs_c", "relay at 10 k/s", "C libzmq at 10 k/s"),
            self._fan_out.ratio("fanout10_vs_c", "relay to 10", "C libzmq to 10", _rate),
            measured("rss_idle_mib", self._memory),
            self._ceiling.ratio(
                "ab_ceiling" if self._against else "aa_ceiling", "relay", self._second, _rate
            ),
            self._small.ratio("ea_batch8_vs_pyzmq", "batches of 8", "pyzmq loop", _rate),
            self._small.ratio("ea_run4_vs_pyzmq", "runs of 4", "pyzmq loop", _rate),
            self._latency.latency_ratio(
                "p50_10k_vs_c_hop", "relay at 10 k/s", "C two hops at 10 k/s"
            ),
            self._slow.values("p50_1k_us", "relay at 1 k/s", _p50),
            self._latency.values("p50_10k_us", "relay at 10 k/s", _p50),
            self._latency.values("p99_10k_us", "relay at 10 k/s", _p99),
        ]
        if self._python.runs:
            rows.append(self._python.values("python_sub_per_s", "relay", _rate))
        return rows

    def describe(self) -> None:
        """
        Say what was measured in absolute figures.
        """
        for section in (
            self._ceiling,
            self._small,
            self._latency,
            self._slow,
            self._fan_out,
            self._python,
        ):
            section.describe()

    def _measure_ceilings(self, sources: Sources, plan: Plan) -> None:
        measures = {
            "relay": calibrated(sources.relay, plan.run_s, batch=64),
            "pyzmq loop": calibrated(sources.pyzmq, plan.run_s),
            "C libzmq": calibrated(sources.c, plan.run_s),
            self._second: calibrated(sources.other, plan.run_s, batch=64),
        }
        self._ceiling.measure(measures, plan.pairs, plan.ceilings_end_s)

    def _measure_small_frames(self, sources: Sources, plan: Plan) -> None:
        # Behind the ceilings, because small runs leave other rings behind them than large
        # ones, and the two relays of the A/A row must have the same past.
        measures = {
            "batches of 8": calibrated(sources.relay, plan.run_s, batch=8),
            "pyzmq loop": calibrated(sources.pyzmq, plan.run_s),
            "runs of 4": calibrated(sources.relay, plan.run_s, batch=64, run=4),
        }
        self._small.measure(measures, plan.pairs, plan.small_end_s)

    def _measure_latencies(self, sources: Sources, plan: Plan) -> None:
        seconds = plan.run_s
        measures = {
            "relay at 10 k/s": lambda: sources.relay.pace(int(10_000 * seconds), 10_000),
            "C libzmq at 10 k/s": lambda: sources.c.pace(int(10_000 * seconds), 10_000),
            "C two hops at 10 k/s": lambda: sources.c_hop.pace(int(10_000 * seconds), 10_000),
        }
        self._latency.measure(measures, plan.pairs, plan.latencies_end_s)
        slow = {"relay at 1 k/s": lambda: sources.relay.pace(int(1_000 * seconds), 1_000)}
        self._slow.measure(slow, PAIRS_MIN, plan.latencies_end_s)

    def _measure_fan_out(self, sources: Sources, plan: Plan) -> None:
        for source in (sources.relay, sources.c):
            source.join(_FAN_OUT)
        measures = {
            "relay to 10": calibrated(sources.relay, plan.run_s, batch=64),
            "C libzmq to 10": calibrated(sources.c, plan.run_s),
        }
        self._fan_out.measure(measures, plan.pairs, plan.fan_out_end_s)


def _rate(run: Run) -> float:
    return run.rate


def _cpu(run: Run) -> float:
    return run.cpu_us_per_tick


def _p50(run: Run) -> float:
    return run.p50_us


def _p99(run: Run) -> float:
    return run.p99_us


def describe_machine(sources: Sources, pyzmq: str) -> None:
    """
    Say what the figures belong to.
    """
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    tell(f"machine: {os.cpu_count()} CPUs, {model}; {platform.system()} {platform.release()}")
    tell(f"python: {platform.python_version()}; relay and reference: {pyzmq}")
    tell(f"C programs: libzmq {', '.join(sorted(sources.c.libzmq))}")
    if importlib.util.find_spec("numpy") is not None:
        tell("numpy is installed here: the gates are meant for an installation without it")


def run(plan: Plan, programs: Mapping[str, Path], against: Path | None) -> list[Row]:
    """
    Measure everything.

    Raises:
        BenchmarkError: a process failed.
    """
    benchmark = Benchmark(plan, against=against is not None)
    load = OtherLoad()
    for block in range(plan.blocks):
        begun = time.monotonic() - _STARTED if block else 0.0
        with tempfile.TemporaryDirectory(prefix="bridge-bench-") as name, Processes() as processes:
            folder = Path(name)
            loop, pyzmq = pyzmq_source(programs, processes)
            sources = Sources(
                relay_source("relay", programs, processes, folder / "a"),
                relay_source("relay again", programs, processes, folder / "b", against),
                loop,
                c_source(programs, processes),
                c_source(programs, processes, hop=True),
            )
            for source in sources.all:
                source.join(1)
            if not block:
                describe_machine(sources, pyzmq)
            benchmark.block(sources, plan.later(begun))
    benchmark.describe()
    others = load.share()
    tell(
        f"other programs took {others:.0%} of the machine meanwhile"
        + ("; the figures are not worth much" if others > _OTHERS_MAX else "")
    )
    return benchmark.rows()


def main() -> int:
    """
    Return the exit code.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure the relay against its gates."
    )
    parser.add_argument("--quick", action="store_true", help="less than a minute")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="DIR",
        help="another checkout, whose relay takes the place of the second one",
    )
    options = parser.parse_args()
    against: Path | None = options.against
    if against is not None:
        against = against.resolve()
        if not (against / "bridge").is_dir():
            parser.error(f"--against: there is no bridge/ in {against}")
    # Killed from outside, the processes started here must still go.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not sys.platform.startswith("linux"):
        tell("the benchmarks need Linux: they read /proc")
        return 2
    try:
        progress("compiling")
        rows = run(_QUICK if options.quick else _FULL, build(), against)
    except (CannotBuildError, BenchmarkError) as error:
        tell(str(error))
        return 2
    except KeyboardInterrupt:
        return 130
    tell(f"\n{table(rows)}\n\n{time.monotonic() - _STARTED:.0f} s")
    print(document(rows), flush=True)
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
