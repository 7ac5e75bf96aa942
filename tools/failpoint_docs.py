"""The table of the points at which an order is stopped, made from the tests' own list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.failpoints.points import POINTS, Fault, place_of

__all__ = ["TABLES"]

_WRITTEN: Final = {"at the disk": "the relay's journal", "at the ledger": "the terminal's ledger"}


def points_table() -> str:
    """
    Return every point with where it lies, what is written there, and the stories it is part of.
    """
    names = sorted({point.partition(" (")[0] for points in POINTS.values() for point in points})
    first = {
        name: min(
            (place, points.index(point))
            for place, points in enumerate(POINTS.values())
            for point in points
            if point.partition(" (")[0] == name
        )
        for name in names
    }
    rows = ["| Point | Where | Written there | Stopped in |", "|---|---|---|---|"]
    for name in sorted(names, key=lambda name: first[name]):
        written = next(
            (what for place, what in _WRITTEN.items() if name.endswith(place)), "nothing"
        )
        stories = [
            story
            for story, points in POINTS.items()
            if any(point.partition(" (")[0] == name for point in points)
        ]
        rows.append(f"| {name} | {place_of(name)} | {written} | {', '.join(stories)} |")
    return "\n".join(rows)


def faults_table() -> str:
    """
    Return the faults.
    """
    said = {
        Fault.KILL_RELAY: "the relay knows what is on its disk, and nothing else",
        Fault.KILL_TERMINAL: "the terminal knows what is in its ledger, and nothing else",
        Fault.KILL_BOTH: "both, at once",
        Fault.CUT: "what is on the wire is lost, also half of a frame; both programs go on",
        Fault.POWER: "both, at once, and what is not synced is gone",
    }
    rows = ["| Fault | What is left |", "|---|---|"]
    rows += [f"| {fault.value} | {said[fault]} |" for fault in Fault]
    return "\n".join(rows)


TABLES: Final[dict[str, Callable[[], str]]] = {
    "failpoints": points_table,
    "failpoint-faults": faults_table,
}
