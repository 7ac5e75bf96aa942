"""What a demo claims, and whether it held."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["Check", "Late", "Latency", "Orders", "Report", "percentile"]


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """
    One claim. ``name`` is part of the JSON document and stays.
    """

    name: str
    ok: bool
    detail: str


@dataclasses.dataclass(frozen=True, slots=True)
class Latency:
    """
    From the terminal's market to the subscriber's iterator, in microseconds, of ticks that
    were published when the terminal saw them; not of those read after an outage.
    """

    samples: int
    p50: int | None
    p99: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class Late:
    """
    The subscriber that joined while ticks went on.

    ``joined_after``: ticks of the first one that lie before its own. ``compared`` of its own
    ticks were equal to those of the first one, number by number.
    """

    joined_after: int
    received: int
    compared: int
    gaps: int
    consistent: bool


@dataclasses.dataclass(slots=True)
class Orders:
    """
    How the orders ended, each counted once by its last outcome.

    ``unknown``: of which nobody can tell in the end. ``duplicates``: orders at the broker
    beyond one for each of ours. ``resolved``: without an answer at first and found out later.
    ``replayed``: answered from the journal, nothing was sent.
    """

    done: int = 0
    rejected: int = 0
    denied: int = 0
    unknown: int = 0
    duplicates: int = 0
    resolved: int = 0
    replayed: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """
    The outcome. ``ok`` when every check held.
    """

    #: "simulated" or "ea"
    terminal: str
    source: str
    #: times the market's; ``None`` for as fast as it goes
    speed: float | None
    symbols: int
    sent: int
    received: int
    gaps: int
    replayed: int
    backlog: int
    link_cuts: int
    reconnects: int
    relay_restarts: int
    digest_sent: str
    digest_received: str
    latency: Latency
    late: Late | None
    orders: Orders
    duration_s: float
    checks: Sequence[Check]

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """
        Return the JSON document, without its version.
        """
        return {
            "ok": self.ok,
            "terminal": self.terminal,
            "source": self.source,
            "speed": "max" if self.speed is None else round(self.speed, 3),
            "symbols": self.symbols,
            "ticks": {
                "sent": self.sent,
                "received": self.received,
                "gaps": self.gaps,
                "replayed": self.replayed,
                "backlog": self.backlog,
            },
            "link_cuts": self.link_cuts,
            "reconnects": self.reconnects,
            "relay_restarts": self.relay_restarts,
            "digest_sent": self.digest_sent,
            "digest_received": self.digest_received,
            "latency_us": dataclasses.asdict(self.latency),
            "late_subscriber": None if self.late is None else dataclasses.asdict(self.late),
            "orders": dataclasses.asdict(self.orders),
            "duration_s": round(self.duration_s, 3),
            "checks": [dataclasses.asdict(check) for check in self.checks],
        }

    def as_text(self) -> Iterator[str]:
        """
        Yield the lines of the summary.
        """
        width = max((len(check.name) for check in self.checks), default=0)
        for check in self.checks:
            mark = "ok  " if check.ok else "FAIL"
            yield f"  {mark}  {check.name:<{width}}  {check.detail}"
        yield ""
        latency = self.latency
        queues = ", with the queues of full speed" if self.speed is None else ""
        if latency.p50 is not None:
            yield (
                f"latency, terminal to subscriber: p50 {_ms(latency.p50)}, p99 {_ms(latency.p99)} "
                f"({latency.samples} live ticks, everything on this machine{queues})"
            )
        failed = sum(not check.ok for check in self.checks)
        took = f"in {self.duration_s:.1f} s"
        yield (
            f"all {len(self.checks)} claims held, {took}"
            if self.ok
            else (f"{failed} of {len(self.checks)} claims did not hold, {took}")
        )


def percentile(ordered: Sequence[int], share: float) -> int | None:
    """
    Return the value below which ``share`` of the ordered samples lie; ``None`` without any.
    """
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _ms(microseconds: int | None) -> str:
    return "-" if microseconds is None else f"{microseconds / 1000:.1f} ms"
