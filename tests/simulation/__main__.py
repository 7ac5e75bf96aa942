"""``make simulate``: many seeds, and what was wrong; the last line is one JSON document."""

from __future__ import annotations

import argparse
import gc
import json
import logging
import sys
import time

from tests.simulation.runs import KINDS, Report, run_many, run_seed
from tests.simulation.world import Plan

_TOLD_MAX = 5
_EACH = 5_000


def quiet() -> None:
    """
    Let nobody log: a simulated fault is no news.
    """
    logging.disable(logging.CRITICAL)
    # What a run makes is dropped as a whole at its end.
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)


def main(arguments: list[str]) -> int:
    """
    Run; return the exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--orders", type=int, help="of all seeds together; 5,000 of each")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--trace", default="", help="a command id: tell its life (one seed)")
    given = parser.parse_args(arguments)
    each = _EACH if given.orders is None else max(1, given.orders // given.seeds)
    plan = Plan(orders=each)
    since = time.monotonic()
    reports: list[Report] = []
    if given.trace:
        quiet()
        reports.append(run_seed(given.seed, plan, traced=given.trace))
        print("\n".join(reports[0].lines), file=sys.stderr)
    else:
        seeds = range(given.seed, given.seed + given.seeds)
        for report in run_many(seeds, plan, min(given.jobs, given.seeds), quiet=quiet):
            reports.append(report)
            _tell(report, each)
            _progress(reports, given.seeds, since)
    failing = sorted(report.seed for report in reports if report.failed)
    document = {
        "v": 1,
        "orders": sum(report.orders for report in reports),
        "cuts": sum(report.cuts for report in reports),
        "relay_kills": sum(report.relay_kills for report in reports),
        "terminal_kills": sum(report.terminal_kills for report in reports),
        **{kind: sum(report.counts[kind] for report in reports) for kind in KINDS},
        "seeds": len(reports),
        "failing_seeds": failing,
        "seconds": round(time.monotonic() - since, 1),
    }
    print(json.dumps(document, separators=(",", ":")))
    return 1 if failing else 0


def _tell(report: Report, orders: int) -> None:
    if not report.failed:
        return
    print(f"seed {report.seed} failed:", file=sys.stderr)
    for failure in report.failures[:_TOLD_MAX]:
        print(f"  {failure.kind}: {failure.command_id}: {failure.text}", file=sys.stderr)
    if len(report.failures) > _TOLD_MAX:
        print(f"  and {len(report.failures) - _TOLD_MAX} more", file=sys.stderr)
    print(
        f"  again: make simulate{_given(orders)} SEED={report.seed} SEEDS=1\n"
        f"  the life of one: python -m tests.simulation --orders {orders} --seed {report.seed} "
        f"--seeds 1 --trace {report.failures[0].command_id}",
        file=sys.stderr,
    )


def _given(orders: int) -> str:
    return "" if orders == _EACH else f" ORDERS={orders}"


def _progress(reports: list[Report], seeds: int, since: float) -> None:
    step = max(1, seeds // 40)
    if len(reports) % step and len(reports) != seeds:
        return
    orders = sum(report.orders for report in reports)
    failing = sum(report.failed for report in reports)
    elapsed = time.monotonic() - since
    print(
        f"{len(reports)}/{seeds} seeds, {orders:,} orders, {failing} seeds failed, "
        f"{elapsed:.0f} s, {orders / max(elapsed, 0.001):.0f} orders/s",
        file=sys.stderr,
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
