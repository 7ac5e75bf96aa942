"""``python -m tests.chaos``: real processes, broken on purpose, and what came of the orders.

Progress goes to stderr; the last line of stdout is one JSON document. Exit code 1: an order was
lost, doubled, told wrong or left open, or something took longer to recover than it may.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import sys
import tempfile
from pathlib import Path

from tests.chaos.run import Plan, report, run_chaos, say
from tests.mql5.scenarios import expert

__all__ = ["main"]

#: Of each of the two programs with strategies. The Expert Advisor waits for its timer between
#: two orders: of more at once all but the first only wait longer.
_THREADS = {"python": 10, "ea": 4}


def main(arguments: list[str] | None = None) -> int:
    """
    Run it; return the exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--orders", type=int, default=Plan.orders)
    parser.add_argument("--seed", type=int, default=None, help="of faults and strategies")
    parser.add_argument("--cuts", type=int, default=None, help="default: 5 for 100 orders")
    parser.add_argument("--relay-kills", type=int, default=None, help="default: 1 for 100 orders")
    parser.add_argument("--terminal-kills", type=int, default=None, help="default: 1 for 200")
    parser.add_argument("--rows", type=int, default=Plan.rows, help="of the journal before")
    parser.add_argument("--terminal", default="python", help="python or ea")
    parser.add_argument("--keep", type=Path, default=None, help="a folder for all files")
    given = parser.parse_args(arguments)
    is_ea = given.terminal == "ea"
    problem = expert.why_not() if is_ea else ""
    if given.terminal not in _THREADS:
        problem = (
            f"no terminal {given.terminal!r}: TERMINAL=python and TERMINAL=ea is what there is"
        )
    if problem:
        say(f"chaos: {problem}")
        return 2
    if is_ea:
        # How long the compiler takes is no matter of the run.
        expert.binary("plain")
    orders = given.orders
    plan = Plan(
        orders=orders,
        seed=secrets.randbelow(2**32) if given.seed is None else given.seed,
        is_ea=is_ea,
        threads=_THREADS[given.terminal],
        cuts=_share(given.cuts, orders, Plan.cuts),
        relay_kills=_share(given.relay_kills, orders, Plan.relay_kills),
        terminal_kills=_share(given.terminal_kills, orders, Plan.terminal_kills),
        rows=given.rows,
    )
    say(f"chaos: seed {plan.seed} (repeat with SEED={plan.seed}), {orders} orders")
    # However it is ended: no process of it stays behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="bridge-chaos-") as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
            # Programs that were installed have their modules compiled: else every start after
            # a kill would compile all of them again, and that is what would be measured.
            os.environ["PYTHONPYCACHEPREFIX"] = str(Path(temporary) / "compiled")
        outcome = run_chaos(plan, folder)
    line, problems = report(outcome)
    for problem in problems:
        say(f"chaos: {problem}")
    print(json.dumps(line))
    return 1 if problems else 0


def _share(given: int | None, orders: int, whole: int) -> int:
    # A smaller run has as many faults for each order as the whole one.
    return max(1, round(whole * orders / Plan.orders)) if given is None else given


if __name__ == "__main__":
    sys.exit(main())
