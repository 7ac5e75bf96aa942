"""``make simulate``: many seeds, and what was wrong; the last line is one JSON document."""

from __future__ import annotations

import argparse
import json
import sys
import time

from tests.simulation.runs import KINDS, Report, quiet, run_many, run_seed
from tests.simulation.world import Options, Plan

_TOLD_MAX = 5
#: how many orders a seed has, by terminal: what the Expert Advisor looks for it finds in a history
#: that it reads whole
_EACH = {"python": 5_000, "ea": 500}
#: how often its process is killed among 1,000 orders
_KILLS = 26.0


def main(arguments: list[str]) -> int:
    """
    Run; return the exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument(
        "--orders", type=int, help="of all seeds together; else 5,000 of each, 500 with ea"
    )
    parser.add_argument("--seed", type=int, help="the first seed, else 1")
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--trace", default="", help="a command id: tell its life (one seed)")
    parser.add_argument(
        "--terminal",
        choices=sorted(_EACH),
        default="python",
        help="the simulated one, or the Expert Advisor, translated and executed",
    )
    parser.add_argument(
        "--ablations",
        action=argparse.BooleanOptionalAction,
        help="of ea: take out each mechanism first; else without a seed",
    )
    given = parser.parse_args(arguments)
    unnoticed = _ablations(given)
    first = given.seed if given.seed is not None else 1
    each = _EACH[given.terminal]
    if given.orders is not None:
        each = max(1, given.orders // max(1, given.seeds))
    plan, options = Plan(orders=each), Options()
    if given.terminal == "ea":
        plan, options = Plan(orders=each, terminal_kills=_KILLS), _with_ea()
    since = time.monotonic()
    reports: list[Report] = []
    if given.trace:
        quiet()
        reports.append(run_seed(first, plan, options, given.trace))
        print("\n".join(reports[0].lines), file=sys.stderr)
    else:
        seeds = range(first, first + given.seeds)
        jobs = min(given.jobs, given.seeds)
        for report in run_many(seeds, plan, jobs, options=options):
            reports.append(report)
            _tell(report, each, given.terminal)
            _progress(reports, given.seeds, since)
    failing = sorted(report.seed for report in reports if report.failed)
    document = {
        "v": 1,
        "terminal": given.terminal,
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
    return 1 if failing or unnoticed else 0


def _ablations(given: argparse.Namespace) -> list[str]:
    # What the simulation does not notice although it has to.
    wanted = given.seed is None if given.ablations is None else given.ablations
    if given.terminal != "ea" or given.trace or not wanted:
        return []
    from tests.simulation.ablations_ea import unnoticed

    quiet()
    return unnoticed(lambda text: print(text, file=sys.stderr, flush=True))


def _with_ea() -> Options:
    # Not above: where there is no g++ the other terminal is there all the same.
    from tests.simulation.terminal_ea import options_of_ea

    return options_of_ea()


def _tell(report: Report, orders: int, terminal: str) -> None:
    if not report.failed:
        return
    print(f"seed {report.seed} failed:", file=sys.stderr)
    for failure in report.failures[:_TOLD_MAX]:
        print(f"  {failure.kind}: {failure.command_id}: {failure.text}", file=sys.stderr)
    if len(report.failures) > _TOLD_MAX:
        print(f"  and {len(report.failures) - _TOLD_MAX} more", file=sys.stderr)
    print(
        f"  again: make simulate{_given(orders, terminal)} SEED={report.seed} SEEDS=1\n"
        f"  the life of one: python -m tests.simulation --terminal {terminal} --orders {orders} "
        f"--seed {report.seed} --seeds 1 --trace {report.failures[0].command_id}",
        file=sys.stderr,
    )


def _given(orders: int, terminal: str) -> str:
    chosen = "" if terminal == "python" else f" TERMINAL={terminal}"
    return chosen if orders == _EACH[terminal] else f"{chosen} ORDERS={orders}"


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
