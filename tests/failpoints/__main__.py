"""Try every point of every story with every fault: ``make failpoints``.

Progress goes to stderr; the last line on stdout is one JSON document.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import sys
import time

from tests.failpoints.points import POINTS, cases
from tests.failpoints.stories import STORIES
from tests.failpoints.telling import points_of, tried

_EVERY = 400


def main() -> int:
    """
    Return 1 when an order did not survive.
    """
    logging.disable(logging.CRITICAL)
    begin = time.monotonic()
    # Also the points that a story shares with others, and those that are passed again and again.
    found = {name: dict.fromkeys([*POINTS[name], *points_of(name)]) for name in STORIES}
    every = [case for name, points in found.items() for case in cases(name, tuple(points))]
    failed = []
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        for number, (title, problem) in enumerate(pool.imap_unordered(tried, every, 20), 1):
            if problem:
                failed.append(title)
                print(f"FAILED {title}: {problem}", file=sys.stderr, flush=True)
            if number % _EVERY == 0 or number == len(every):
                seconds = time.monotonic() - begin
                print(f"{number}/{len(every)} cases, {seconds:.0f} s", file=sys.stderr, flush=True)
    summary = {
        "v": 1,
        "stories": len(found),
        "points": len({point for points in found.values() for point in points}),
        "cases": len(every),
        "failed": failed,
        "seconds": round(time.monotonic() - begin, 1),
    }
    print(json.dumps(summary))
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
