"""What a terminal may do where MQL5's reference is silent, and what a broker does anyway.

A choice of each axis makes a mode. Names and values of the socket modes are explained in
``tests/mql5/runtime/terminal_sockets.cpp``; the first of each axis is what its author finds
most likely.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from bridge.model.tick import MqlTick
from bridge.sim.history import TickHistory
from bridge.sim.market import Market
from tests.mql5.pairwise import product

__all__ = ["AXES", "COPY_TICKS", "PLAIN", "SOCKETS", "Mode", "every_mode", "mode_of"]

#: one socket mode at a time, and none: for the full product
SOCKETS: Final = (
    "",
    "readable_speculative_1",
    "close_readable_0_5273",
    "close_readable_1_read_minus_1",
    "connected_probes",
    "timeout_dropped",
    "timeout_no_error",
    "reads_wait_full",
    "short_reads",
    "short_writes",
    "send_minus_1_after_part",
    "stale_tail",
)
#: how the history answers the first calls for a symbol, or what it changes behind the reader
COPY_TICKS: Final = ("complete", "first call blocks", "in parts", "inserted late", "revised")
#: the same, as choices that exclude each other: for pairs
AXES: Final[Mapping[str, tuple[str, ...]]] = {
    "empty": ("", "readable_speculative_1"),
    "closed": ("", "close_readable_0_5273", "close_readable_1_read_minus_1"),
    "connected": ("", "connected_probes"),
    "timeout": ("", "timeout_dropped", "timeout_no_error"),
    "reads": ("", "short_reads", "reads_wait_full"),
    "writes": ("", "short_writes", "send_minus_1_after_part"),
    "tail": ("", "stale_tail"),
    "ticks": COPY_TICKS,
    "sleep": ("1", "15.6"),
}
_SOCKET_AXES: Final = tuple(name for name in AXES if name not in {"ticks", "sleep"})
_BLOCKED_MS: Final = 120


@dataclasses.dataclass(frozen=True)
class Mode:
    """
    One way to behave: socket modes, what the history does, what ``Sleep`` rounds up to.
    """

    sockets: tuple[str, ...] = ()
    ticks: str = "complete"
    sleep_ms: float = 1.0

    @property
    def name(self) -> str:
        """
        Return what to call it in a list of tests.
        """
        return "+".join([*self.sockets, *self.ticks.split(), f"{self.sleep_ms:g}ms"])

    def options(self, seed: int) -> dict[str, Any]:
        """
        Return the options of the EA's process.
        """
        return {
            "socket_mode": ",".join(self.sockets),
            "socket_seed": seed,
            "sleep_granularity_us": round(self.sleep_ms * 1000),
        }

    def prepare(self, market: Market) -> None:
        """
        Let the history behave so from now on.
        """
        for symbol in market.specs:
            if self.ticks == "first call blocks":
                market.history.block_first_call(symbol, _BLOCKED_MS)
            elif self.ticks == "in parts":
                market.history.answer_in_part(symbol, calls=2, blocked_ms=_BLOCKED_MS)

    def rewrite(self, history: TickHistory, symbol: str) -> MqlTick | None:
        """
        Change what a reader took already; return the tick that it must find, ``None`` for none.
        """
        ticks = history.ticks_of(symbol)
        newest = ticks[-1]
        other = newest.bid + 0.5
        alike = [tick for tick in ticks if tick.time_msc == newest.time_msc]
        older = ticks[: -len(alike)]
        # What is older than the beginning of a stream is no part of it.
        if self.ticks == "inserted late" and older:
            late = older[-1]._replace(bid=other)
            history.insert_late(symbol, late)
            return late
        if self.ticks == "revised":
            changed = newest._replace(bid=other)
            history.revise(symbol, newest.time_msc, len(alike) - 1, changed)
            return changed
        return None


PLAIN: Final = Mode()


def mode_of(choice: Mapping[str, str]) -> Mode:
    """
    Return the mode of one choice from each of ``AXES``.
    """
    sockets = tuple(choice[name] for name in _SOCKET_AXES if choice[name])
    return Mode(sockets, choice["ticks"], float(choice["sleep"]))


def every_mode() -> list[Mode]:
    """
    Return every socket mode with every way of the history and of ``Sleep``.
    """
    axes = {"socket": SOCKETS, "ticks": COPY_TICKS, "sleep": AXES["sleep"]}
    return [
        Mode((one["socket"],) if one["socket"] else (), one["ticks"], float(one["sleep"]))
        for one in product(axes)
    ]
