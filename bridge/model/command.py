"""An order command: what a client wants done, before a terminal fills in the rest."""

from __future__ import annotations

import dataclasses

__all__ = ["OrderCommand", "OrderValues"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OrderValues:
    """
    The fields of ``MqlTradeRequest`` in its order; ``None`` means not given.

    A field that is not given is filled by the terminal (price of a market order, filling, side
    of a position that is closed) or keeps its value (``sl``, ``tp`` of a modification). 0 as
    ``sl`` or ``tp`` removes it.

    Volumes are lots, prices the symbol's, ``deviation`` points, ``expiration`` seconds of the
    server's clock.

    MQL5 page: constants/structures/mqltraderequest
    """

    action: int
    magic: int | None = None
    order: int | None = None
    symbol: str | None = None
    volume: float | None = None
    price: float | None = None
    stoplimit: float | None = None
    sl: float | None = None
    tp: float | None = None
    deviation: int | None = None
    type: int | None = None
    type_filling: int | None = None
    type_time: int | None = None
    expiration: int | None = None
    comment: str | None = None
    position: int | None = None
    position_by: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OrderCommand:
    """
    What one command of the journal asks of a terminal.

    The flags are those of the wire protocol's NEW. With ``sl_points`` (``tp_points``) the
    value in ``values.sl`` (``values.tp``) is a distance in points. ``comment`` is the user's
    own: it stays in the journal, and ``values.comment`` is never set, because the terminal
    writes the tag there.
    """

    values: OrderValues
    reduce_only: bool = False
    sl_points: bool = False
    tp_points: bool = False
    comment: str = ""
