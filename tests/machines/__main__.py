"""``make machines``: 10,000 examples of 50 steps of each state machine, in two processes.

The last line is ``N examples, N failed``; the exit code is 0 only if none failed. A machine runs in
parts, each with a seed of its own; a part that fails says how to repeat it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import secrets
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.machines.machines import MACHINES, run_part
from tests.machines.running import STEPS

EXAMPLES = 10_000
#: examples of one part: as many as a failing part may cost to repeat
_PART = 250
_SAY_EVERY_S = 10.0


def parts_of(names, examples, seed):
    """
    Return the parts in the order in which they are run: all machines get on at the same pace.
    """
    rng = random.Random(seed)
    parts = []
    for name in names:
        wanted = max(1, round(examples * MACHINES[name].share))
        for at in range(0, wanted, _PART):
            size = min(_PART, wanted - at)
            parts.append((at / wanted, name, size, rng.randrange(2**32)))
    return [(name, size, part_seed) for _, name, size, part_seed in sorted(parts)]


def main(arguments):
    """
    Run the machines; return the exit code.
    """
    options = _options(arguments)
    names = options.machine or list(MACHINES)
    if options.repeat is not None:
        parts = [(name, options.examples, options.repeat) for name in names]
    else:
        seed = secrets.randbelow(2**32) if options.seed is None else options.seed
        print(f"machines: seed {seed} (repeat with --seed {seed})", file=sys.stderr)
        parts = parts_of(names, options.examples, seed)
    total = sum(size for _, size, _ in parts)
    done = failed = 0
    began = said = time.monotonic()
    context = multiprocessing.get_context("spawn")
    workers = min(options.processes, len(parts))
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        running = {pool.submit(run_part, *part): part for part in parts}
        try:
            for future in as_completed(running):
                name, size, part_seed = running[future]
                examples, problem = future.result()
                done += examples
                if problem:
                    failed += 1
                    again = f"--machine {name} --examples {size} --repeat {part_seed}"
                    print(f"{problem}\nmachines: repeat with {again}", file=sys.stderr)
                now = time.monotonic()
                if now - said >= _SAY_EVERY_S:
                    said = now
                    text = f"{done:,} of {total:,} examples, {failed} failed, {now - began:.0f} s"
                    print(f"machines: {text}", file=sys.stderr, flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    seconds = time.monotonic() - began
    print(
        f"machines: {', '.join(names)}; {STEPS} steps each; {seconds:.0f} s",
        file=sys.stderr,
        flush=True,
    )
    print(f"{done} examples, {failed} failed")
    return 1 if failed else 0


def _options(arguments):
    parser = argparse.ArgumentParser(prog="make machines")
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="of each machine")
    parser.add_argument("--machine", action="append", choices=list(MACHINES), help="only this one")
    parser.add_argument("--seed", type=int, help="of the whole run")
    parser.add_argument("--repeat", type=int, help="the seed of a part that failed")
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
