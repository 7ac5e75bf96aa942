"""What a modification changes, and whether a terminal sees its own last one.

A terminal learns of its own change a moment after its answer. What the next request for the same
order or position leaves out is filled in from what is seen, so it would put back what the first one
has just changed; and if its answer were lost, nobody could tell it from the first one. It is held
back until the first one is seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from bridge.model.enums import TradeRequestActions
from bridge.sim.trading_results import EXECUTED

if TYPE_CHECKING:
    from bridge.model.trade import OrderRecord, PositionRecord, TradeRequest
    from bridge.sim.ledger import LedgerEntry
    from bridge.sim.trading_ports import Broker
    from bridge.wire.messages import OrderRequest, Result

__all__ = ["HELD_MAX_US", "TINY", "OwnChanges", "asked_by", "is_near", "levels_of", "values_of"]

#: What shows nothing of our last order or change for so long is taken as it is: somebody else's
#: deals, or a server that does not tell when a position changed.
HELD_MAX_US: Final = 10_000_000
#: Numbers that differ by less are equal.
TINY: Final = 1e-9
_CHANGED: Final[dict[int, tuple[str, ...]]] = {
    TradeRequestActions.SLTP: ("sl", "tp"),
    TradeRequestActions.MODIFY: ("price", "stoplimit", "sl", "tp", "type_time", "expiration"),
}


def levels_of(position: PositionRecord) -> tuple[float, ...]:
    """
    Return what SLTP changes of a position.
    """
    return (position.sl, position.tp)


def values_of(order: OrderRecord) -> tuple[float, ...]:
    """
    Return what MODIFY changes of an order.
    """
    return (
        order.price_open,
        order.price_stoplimit,
        order.sl,
        order.tp,
        float(order.type_time),
        float(order.time_expiration),
    )


def asked_by(request: OrderRequest | TradeRequest) -> tuple[float | None, ...]:
    """
    Return what a modification asks for, as ``levels_of`` and ``values_of`` do; ``None`` is what it
    leaves out, and nothing is what another action changes.
    """
    return tuple(getattr(request, name) for name in _CHANGED.get(request.action, ()))


def is_near(values: tuple[float | None, ...], others: tuple[float, ...]) -> bool:
    """
    Tell whether values are the same but for noise; ``None`` is not looked at.
    """
    return len(values) == len(others) and all(
        value is None or abs(value - other) < TINY
        for value, other in zip(values, others, strict=True)
    )


class _Change(NamedTuple):
    before: tuple[float, ...]
    since_us: int


class OwnChanges:
    """
    The last changes of ours, of one account.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._last: dict[tuple[int, int], _Change] = {}

    def changed(self, entry: LedgerEntry, result: Result, now_us: int) -> None:
        """
        Note what a command of ours came to.
        """
        asked = asked_by(entry.sent)
        if not asked or result.outcome not in EXECUTED or is_near(asked, entry.before):
            return
        for key in [key for key, one in self._last.items() if _is_old(one, now_us)]:
            del self._last[key]
        if len(entry.before) == len(asked):
            self._last[_key(entry.sent)] = _Change(entry.before, now_us)

    def holds(self, request: OrderRequest, now_us: int) -> bool:
        """
        Tell whether a request changes what does not show our last change yet.
        """
        key = _key(request)
        last = self._last.get(key)
        if last is None:
            return False
        seen = self._seen(request)
        if seen is not None and is_near(last.before, seen) and not _is_old(last, now_us):
            return True
        del self._last[key]
        return False

    def _seen(self, request: OrderRequest) -> tuple[float, ...] | None:
        if request.action == TradeRequestActions.SLTP:
            position = next(iter(self._broker.positions(ticket=request.position)), None)
            return None if position is None else levels_of(position)
        order = next(iter(self._broker.orders(ticket=request.order)), None)
        return None if order is None else values_of(order)


def _key(request: OrderRequest | TradeRequest) -> tuple[int, int]:
    # Of an SLTP the position, of a MODIFY the order; of no other action one that is noted.
    of_position = request.action == TradeRequestActions.SLTP
    return int(request.action), (request.position if of_position else request.order) or 0


def _is_old(one: _Change, now_us: int) -> bool:
    return now_us - one.since_us >= HELD_MAX_US
