"""Ticks: as MetaTrader has them (``MqlTick``) and as they are published (``Tick``).

Source: https://www.mql5.com/en/docs/constants/structures/mqltick
"""

from __future__ import annotations

import enum
from typing import Any, NamedTuple

__all__ = ["Gap", "MqlTick", "Tick", "TickFlag"]


class TickFlag(enum.IntFlag):
    """
    What a tick changed (MetaTrader's bits), and how it reached us (ours, from 256).
    """

    BID = 2
    ASK = 4
    LAST = 8
    VOLUME = 16
    BUY = 32
    SELL = 64
    #: Read after an outage: true history, not a live price.
    BACKLOG = 256
    #: Found in the terminal's history behind ticks that were sent already.
    LATE = 512


class MqlTick(NamedTuple):
    """
    One tick of the terminal's history.

    ``time_msc`` counts milliseconds since 1970 on the **trade server's** clock.
    Fields without a change carry the last known value; ``flags`` tell what changed.
    ``time`` is ``time_msc // 1000``; ``volume`` is ``volume_real`` truncated.
    """

    time_msc: int
    bid: float
    ask: float
    last: float = 0.0
    volume_real: float = 0.0
    flags: int = int(TickFlag.BID | TickFlag.ASK)

    @property
    def time(self) -> int:
        return self.time_msc // 1000

    @property
    def volume(self) -> int:
        return int(self.volume_real)


class Gap(NamedTuple):
    """
    Messages of a topic that are known to be missing and cannot be had any more.

    ``first`` and ``last`` are sequence numbers of ``epoch``, both included.
    ``last`` is ``None`` when the end is not known (the stream began anew).
    """

    topic: str
    epoch: int
    first: int
    last: int | None
    reason: str


class Tick:
    """
    One published tick.

    ``time_msc``: ms since 1970 on the trade server's clock; ``time_utc_msc``: the same
    instant in UTC, by the offset the terminal measured. ``backlog``: read after an
    outage, not a live price. ``late``: found behind the cursor, out of order in time.
    ``gap``: what is missing directly before this tick, or ``None``.
    """

    __slots__ = (
        "ask",
        "bid",
        "epoch",
        "flags",
        "gap",
        "last",
        "seq",
        "symbol",
        "terminal",
        "time_msc",
        "utc_offset_min",
        "volume_real",
    )

    def __init__(
        self,
        terminal: str,
        symbol: str,
        epoch: int,
        seq: int,
        time_msc: int,
        bid: float,
        ask: float,
        last: float,
        volume_real: float,
        flags: int,
        utc_offset_min: int,
        gap: Gap | None = None,
    ) -> None:
        self.terminal = terminal
        self.symbol = symbol
        self.epoch = epoch
        self.seq = seq
        self.time_msc = time_msc
        self.bid = bid
        self.ask = ask
        self.last = last
        self.volume_real = volume_real
        self.flags = flags
        self.utc_offset_min = utc_offset_min
        self.gap = gap

    @property
    def backlog(self) -> bool:
        return bool(self.flags & TickFlag.BACKLOG)

    @property
    def late(self) -> bool:
        return bool(self.flags & TickFlag.LATE)

    @property
    def time_utc_msc(self) -> int:
        return self.time_msc - self.utc_offset_min * 60_000

    def as_dict(self) -> dict[str, Any]:
        """
        Return the fields as plain JSON-ready values, ``backlog`` and ``late`` spelled out.
        """
        return {
            "terminal": self.terminal,
            "symbol": self.symbol,
            "epoch": self.epoch,
            "seq": self.seq,
            "time_msc": self.time_msc,
            "time_utc_msc": self.time_utc_msc,
            "bid": self.bid,
            "ask": self.ask,
            "last": self.last,
            "volume_real": self.volume_real,
            "flags": self.flags & 0xFF,
            "backlog": self.backlog,
            "late": self.late,
            "gap": None if self.gap is None else self.gap._asdict(),
        }

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tick):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    def __hash__(self) -> int:
        return hash((self.terminal, self.symbol, self.epoch, self.seq))

    def __repr__(self) -> str:
        marks = "".join(f" {name}" for name in ("backlog", "late", "gap") if getattr(self, name))
        return (
            f"<Tick {self.terminal}/{self.symbol} {self.epoch}:{self.seq} "
            f"{self.time_msc} bid={self.bid!r} ask={self.ask!r}{marks}>"
        )
