"""Rows: what is compared with what, the gates, and how the result is told."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["GATES", "Row", "document", "measured", "quartile_ratio", "ratios", "table"]

#: performance.md section 7: below 1 is the floor of a ceiling, above it the roof of a cost
GATES: Final[dict[str, tuple[str, float]]] = {
    "ceiling_vs_pyzmq": (">=", 0.60),
    "ceiling_vs_c": (">=", 0.35),
    "p50_10k_vs_c": ("<=", 1.8),
    "cpu_vs_pyzmq": ("<=", 1.8),
    "fanout10_vs_c": (">=", 0.7),
    "rss_idle_mib": ("<=", 60.0),
    "ea_tick_p50_ms": ("<=", 5.0),
    "ea_command_p50_ms": ("<=", 5.0),
    "ea_command_p99_ms": ("<=", 20.0),
    "durable_p50_ms": ("<=", 0.5),
    "durable_p99_ms": ("<=", 3.0),
    "tick_p99_with_orders_ratio": ("<=", 1.25),
}
#: fewer pairs than this prove nothing
PAIRS_MIN: Final = 3

_ABOUT: Final[dict[str, str]] = {
    "ceiling_vs_pyzmq": "ticks/s, batches of 64, C subscriber / pyzmq loop",
    "ceiling_vs_c": "the same / C libzmq, one hop",
    "cpu_vs_pyzmq": "CPU a tick of the relay process / of the pyzmq loop's, flat out",
    "p50_10k_vs_c": "latency terminal to subscriber at 10 k/s / C libzmq (lower quartiles)",
    "p50_10k_vs_c_hop": "the same / C that goes the relay's way: TCP to a process, libzmq there",
    "fanout10_vs_c": "ticks/s to 10 subscribers / C libzmq",
    "rss_idle_mib": "memory of the relay, a terminal logged on and 20 streams, MiB",
    "aa_ceiling": "the relay against itself: what a ratio of 1 looks like here",
    "ab_ceiling": "ticks/s, this checkout / --against",
    "ea_batch8_vs_pyzmq": "ticks/s, batches of 8 / pyzmq loop",
    "ea_run4_vs_pyzmq": "ticks/s, batches of 64 in 16 runs of 4 symbols / pyzmq loop",
    "p50_1k_us": "latency at 1 k/s, us",
    "p50_10k_us": "latency at 10 k/s, us",
    "p99_10k_us": "the same, 99th percentile, us",
    "python_sub_per_s": "ticks/s of one subscriber in Python behind the relay",
    "ea_tick_p50_ms": "from the tick in the market to the EA's socket, any symbol",
    "ea_tick_chart_p50_ms": "the same, the chart's symbol (NewTick)",
    "ea_tick_other_p50_ms": "the same, other symbols (found by looking)",
    "ea_tick_p99_ms": "the same, any symbol, 99th percentile",
    "ea_tick_sleep16_p50_ms": "the same where Sleep(1) takes 15.6 ms",
    "ea_idle_cpu_percent": "CPU of the EA, 20 streams, nothing happens, percent of one core",
    "ea_ticks_per_s": "ticks/s of a burst over 20 symbols",
    "ea_cpu_us_per_tick": "CPU of the EA a tick of it, us",
    "ea_command_p50_ms": "an order to the EA and its RESULT back, a broker that answers at once",
    "ea_command_p99_ms": "the same, 99th percentile",
    "ea_command_own_ms": "the same, without what the simulated terminal and broker take",
    "machine_sync_p50_ms": "a synced write as large as a commit of the ledger; an order needs two",
    "machine_sync_p99_ms": "the same, 99th percentile",
    "machine_sleep_p99_ms": "a sleep of 1 ms, 99th percentile",
    "durable_p50_ms": "what a journal on disk adds to an order, over one in memory, ms",
    "durable_p99_ms": "the same, of the 99th percentiles, ms",
    "durable_p50_vs_fsync": "durable_p50_ms / a bare commit of SQLite; an order needs two",
    "durable_p50_own_ms": "durable_p50_ms without two bare commits: what is not the disk's, ms",
    "fsync_p50_ms": "a bare commit of SQLite (WAL, FULL) of one row, ms",
    "fsync_p99_ms": "the same, 99th percentile, ms",
    "order_p50_ms": "an order from the client and back, journal on disk, ms",
    "order_p99_ms": "the same, 99th percentile, ms",
    "order_memory_p50_ms": "an order from the client and back, journal in memory, ms",
    "aa_order_p50": "the relay against itself: what a ratio of 1 looks like here",
    "tick_p99_with_orders_ratio": "tick p99 at 1 k/s with 100 orders/s / without",
    "tick_p99_us": "tick p99 at 1 k/s, us",
    "tick_p99_with_orders_us": "the same with 100 orders/s, us",
    "aa_tick_p99": "ticks without orders against themselves",
}


@dataclass(frozen=True, slots=True)
class Row:
    """
    One line of the result: a median between its quartiles, and whether it may be so.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    pairs: int
    problem: str = ""

    @property
    def gate(self) -> str | None:
        """
        The bound of the value, or ``None`` for a row that only informs.
        """
        if self.name not in GATES:
            return None
        relation, bound = GATES[self.name]
        return f"{relation} {bound}"

    @property
    def ok(self) -> bool:
        """
        Whether the row was measured and keeps its gate.
        """
        if self.value is None or self.problem:
            return False
        if self.name not in GATES:
            return True
        relation, bound = GATES[self.name]
        return self.value >= bound if relation == ">=" else self.value <= bound


def measured(name: str, values: Sequence[float], problem: str = "", least: int = 1) -> Row:
    """
    Return the row of these values.
    """
    if not problem and len(values) < least:
        problem = f"only {len(values)} of {least} measurements"
    if not values:
        return Row(name, None, None, None, 0, problem)
    low, middle, high = _quartiles(values)
    return Row(name, middle, low, high, len(values), problem)


def ratios(name: str, pairs: Sequence[tuple[float, float]], problem: str = "") -> Row:
    """
    Return the row of the ratios within pairs: only what ran side by side is compared.
    """
    return measured(name, [ours / theirs for ours, theirs in pairs], problem, PAIRS_MIN)


def quartile_ratio(name: str, pairs: Sequence[tuple[float, float]], problem: str = "") -> Row:
    """
    Return a row whose value is the ratio of the lower quartiles.

    Latencies have long tails upwards from whatever else the machine does; the lower
    quartile of several short runs is what can be repeated. ``low`` and ``high`` are still
    the quartiles of the ratios within pairs, so the value need not lie between them.
    """
    row = ratios(name, pairs, problem)
    if row.value is None:
        return row
    ours = _quartiles([pair[0] for pair in pairs])[0]
    theirs = _quartiles([pair[1] for pair in pairs])[0]
    return Row(name, ours / theirs, row.low, row.high, row.pairs, row.problem)


def document(rows: Sequence[Row]) -> str:
    """
    Return the JSON document on one line.
    """
    return json.dumps({"v": 1, "rows": {row.name: _fields(row) for row in rows}})


def table(rows: Sequence[Row]) -> str:
    """
    Return the rows for a person to read.
    """
    head = ("row", "value", "quartiles", "gate", "pairs", "")
    lines = [
        (
            row.name,
            _number(row.value),
            f"{_number(row.low)} .. {_number(row.high)}",
            row.gate or "",
            str(row.pairs),
            ("ok  " if row.ok else "FAIL  ") + (row.problem or _ABOUT.get(row.name, "")),
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in [head, *lines]) for column in range(5)]
    return "\n".join(
        "  ".join(
            [*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[5]]
        )
        for line in [head, *lines]
    )


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def _fields(row: Row) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "value": _rounded(row.value),
        "low": _rounded(row.low),
        "high": _rounded(row.high),
        "gate": row.gate,
        "ok": row.ok,
        "pairs": row.pairs,
    }
    if row.problem:
        fields["problem"] = row.problem
    return fields


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
