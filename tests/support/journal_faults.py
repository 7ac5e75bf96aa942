"""Everything that can happen to the files of journal and ledger: ``make journal-faults``.

Every byte of the last 64 KiB of file and log turned and every length of them cut, programs killed
again and again, power lost behind every acknowledgement. Progress goes to stderr; the last line on
stdout is one JSON document.
"""

from __future__ import annotations

import argparse
import collections
import json
import multiprocessing
import os
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.damage import (
    REFUSED,
    SOUND,
    JournalSpecimen,
    LedgerSpecimen,
    PowerLosses,
    Specimen,
)
from tests.support.journal_lives import Acknowledged, live_and_die
from tests.support.ledger_lives import LedgerLives

__all__ = ["damages", "kills", "power_losses"]

_KINDS: dict[str, type[Specimen]] = {"journal": JournalSpecimen, "ledger": LedgerSpecimen}
_AT_ONCE = 512
_specimens: dict[tuple[str, bool], Specimen] = {}


class Task(NamedTuple):
    """
    Some bytes of a file, counted from its end: two specimens may differ in length.
    """

    kind: str
    killed: bool
    log: bool
    first: int
    step: int
    seed: int


def damages(
    task: Task, folder: Path, count: int = _AT_ONCE
) -> collections.Counter[tuple[str, str]]:
    """
    Damage a file at every ``step``-th byte of a part of it, and count what became of it.
    """
    key = task.kind, task.killed
    if key not in _specimens:
        place = Path(tempfile.mkdtemp(prefix=task.kind, dir=folder))
        _specimens[key] = _KINDS[task.kind](place, killed=task.killed)
    specimen = _specimens[key]
    target = f"{specimen.name}-wal" if task.log else specimen.name
    places = specimen.places(target)[::-1][task.first : task.first + count * task.step : task.step]
    rng = random.Random(f"{task.seed}/{task}")
    found: collections.Counter[tuple[str, str]] = collections.Counter()
    for place in places:
        found[_counted(specimen.flipped(target, place, 1 << rng.randrange(8)), target, place)] += 1
        found[_counted(specimen.truncated(target, place), target, place)] += 1
    return found


def _counted(verdict: str, target: str, place: int) -> tuple[str, str]:
    # Where it happened is worth knowing only when it must not.
    return verdict, "" if verdict in (REFUSED, SOUND) else f"{target} at {place}"


def power_losses(folder: Path, rng: random.Random, count: int) -> list[str]:
    """
    Lose power so often, and return what was acknowledged and is not there.
    """
    losses = PowerLosses(folder)
    return [name for _ in range(count) for name in losses.missing(rng)]


def kills(folder: Path, rng: random.Random, lives: int) -> Iterator[list[str]]:
    """
    Kill a journal's program and a ledger's so often; yield what is missing behind each kill.
    """
    acknowledged = Acknowledged(folder)
    ledger = LedgerLives(folder)
    for life in range(1, lives + 1):
        live_and_die(folder, acknowledged, life, "", rng.randrange(1, 400))
        ledger.live_and_die(life, rng.randrange(1, 200))
        yield [*acknowledged.missing(), *ledger.missing()]


def _tasks(step: int, seed: int) -> list[Task]:
    # A program that was killed leaves its log, one that ended its file.
    return [
        Task(kind, killed, killed, first, step, seed)
        for kind in _KINDS
        for killed in (True, False)
        for first in range(0, 65_536, _AT_ONCE * step)
    ]


def _damaged(given: tuple[Task, str]) -> collections.Counter[tuple[str, str]]:
    return damages(given[0], Path(given[1]))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """
    Return 1 when something acknowledged was lost, or something doubtful believed.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    parser.add_argument("--step", type=int, default=1, help="damage every so-many-th byte only")
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--power-losses", type=int, default=1_000)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    begin = time.monotonic()
    _say(f"seed {given.seed}")
    memory = Path("/dev/shm")  # noqa: S108 - only to be fast; the folder in it is our own
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        found: collections.Counter[tuple[str, str]] = collections.Counter()
        tasks = _tasks(given.step, given.seed)
        # One process for each core, and each with files of its own.
        with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
            work = pool.imap_unordered(_damaged, [(task, name) for task in tasks], 4)
            for number, counted in enumerate(work, 1):
                found.update(counted)
                for what, where in counted:
                    if what not in (REFUSED, SOUND):
                        _say(f"FAILED {what}: {where}")
                if number % 32 == 0 or number == len(tasks):
                    seconds = time.monotonic() - begin
                    _say(f"damage: {sum(found.values())} openings, {seconds:.0f} s")
        power = folder / "power"
        power.mkdir()
        lost = power_losses(power, rng, given.power_losses)
        _say(f"power lost: {given.power_losses} times")
        with tempfile.TemporaryDirectory() as disk:
            for life, missing in enumerate(kills(Path(disk), rng, given.kills), 1):
                lost += missing
                if life % 10 == 0:
                    _say(f"killed: {life} times")
    wrong = [f"{what}: {where}" for what, where in found if what not in (REFUSED, SOUND)]
    for problem in lost:
        _say(f"FAILED {problem}")
    summary = {
        "v": 1,
        "openings": sum(found.values()),
        "refused": found[REFUSED, ""],
        "knew_all": found[SOUND, ""],
        "lost_silently": len(wrong),
        "kills": given.kills,
        "power_losses": given.power_losses,
        "acknowledged_lost": len(lost),
        "seed": given.seed,
        "seconds": round(time.monotonic() - begin, 1),
    }
    print(json.dumps(summary))
    return 1 if wrong or lost else 0


if __name__ == "__main__":
    raise SystemExit(main())
