"""A run and its judgement, and many of them on several cores."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import logging
import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.simulation.hosts import ALIAS
from tests.simulation.oracle import Failure, Oracle
from tests.simulation.world import Options, Plan, World

__all__ = ["KINDS", "Report", "quiet", "run_many", "run_seed"]

KINDS = ("lost", "duplicated", "wrong_verdicts", "unresolved")


@dataclasses.dataclass(frozen=True)
class Report:
    """
    What became of one seed.
    """

    seed: int
    orders: int
    cuts: int
    relay_kills: int
    terminal_kills: int
    counts: dict[str, int]
    failures: list[Failure]
    digest: str
    lines: list[str]
    executed: int
    cpu_s: float

    @property
    def failed(self) -> bool:
        """
        Whether anything is wrong.
        """
        return bool(self.failures)


def run_seed(seed: int, plan: Plan, options: Options | None = None, traced: str = "") -> Report:
    """
    Run one world to its end and judge it.
    """
    since = time.process_time()
    world = World(seed, plan, options, traced)
    with contextlib.closing(world):
        world.run()
    ledger = world.broker.exchange.ledger()
    held = world.disk.trade.get(ALIAS, {})
    bodies = [held[seq][0] for seq in sorted(held)]
    oracle = Oracle(ledger.orders, ledger.deals, ledger.tags, world.broker.processed, bodies)
    verdicts = oracle.judge(world.wishes())
    counts = world.counts
    return Report(
        seed,
        counts.orders,
        counts.cuts,
        counts.relay_kills,
        counts.terminal_kills,
        {kind: verdicts.count(kind) for kind in KINDS},
        verdicts.failures,
        world.digest,
        world.lines,
        len(ledger.orders),
        time.process_time() - since,
    )


def _run(work: tuple[int, Plan, Options | None]) -> Report:
    return run_seed(*work)


def quiet() -> None:
    """
    Let nobody log: a simulated fault is no news.
    """
    logging.disable(logging.CRITICAL)
    # What a run makes is dropped as a whole at its end.
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)


def run_many(
    seeds: range, plan: Plan, jobs: int, *, options: Options | None = None
) -> Iterator[Report]:
    """
    Run many seeds, in any order, on so many cores; nothing logs.
    """
    work = [(seed, plan, options) for seed in seeds]
    if jobs <= 1:
        quiet()
        yield from map(_run, work)
        return
    # Not a Pool of multiprocessing, which replaces for ever a process that cannot begin.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=quiet) as pool:
        try:
            for future in as_completed([pool.submit(_run, one) for one in work]):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
