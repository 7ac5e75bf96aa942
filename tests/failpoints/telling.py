"""Telling a story in a world of its own, with a fault or without."""

from __future__ import annotations

import logging
from typing import Any

from tests.failpoints.points import Case, Strike
from tests.failpoints.stories import STORIES, Story
from tests.failpoints.world import World

__all__ = ["points_of", "tell", "tried", "try_case"]


def tell(name: str, strike: Strike | None = None, **disks: Any) -> Story:
    """
    Tell a story to its end and return it; ``disks`` are those of the world.
    """
    kind = STORIES[name]
    story = kind(World(strike, netting=kind.netting, rules=kind.rules, **disks))
    story.tell()
    return story


def points_of(name: str) -> tuple[str, ...]:
    """
    Return the points that a story passes when nothing happens, in their order.
    """
    return tuple(dict.fromkeys(tell(name).world.reached))


def try_case(case: Case, **disks: Any) -> str:
    """
    Return what is wrong behind a case, "" when nothing is.
    """
    try:
        story = tell(case.story, case.strike, **disks)
        if not story.world.struck:
            return "the point was never reached"
        story.check()
    except AssertionError as error:
        return str(error) or "an assertion failed"
    return ""


def tried(case: Case) -> tuple[str, str]:
    """
    Return a case's title and what is wrong behind it; for a process of its own, which is quiet.
    """
    logging.disable(logging.CRITICAL)
    return case.title, try_case(case)
