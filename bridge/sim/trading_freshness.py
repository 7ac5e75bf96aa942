"""Whether the positions that a terminal sees have its own last deals in them.

A netting account has one position a symbol, and closing is a deal against it: more than is open
opens the reverse, whatever position the request names. What is open is read just before sending,
and a terminal learns of its own deals a moment after their answers. A close is held back until
then, and a change until our last one of the same order or position is seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bridge.model.enums import TradeRequestActions
from bridge.sim.trading_changes import HELD_MAX_US, OwnChanges
from bridge.sim.trading_results import EXECUTED
from bridge.wire.spec import NewFlag

if TYPE_CHECKING:
    from bridge.model.trade import PositionRecord
    from bridge.sim.ledger import LedgerEntry
    from bridge.sim.trading_evidence import EvidenceFinder
    from bridge.sim.trading_ports import Broker
    from bridge.wire.messages import New, Result

__all__ = ["Freshness"]


class _Own(NamedTuple):
    # The last order of ours that traded in a symbol, and what the position was when it was sent.
    order: int
    intent_msc: int
    since_us: int
    before: _Seen | None


class _Seen(NamedTuple):
    # All that a deal changes of a position.
    ticket: int
    volume: float
    time_update_msc: int


class Freshness:
    """
    Looks after the symbols of one account.

    Args:
        broker: what the terminal sees.
        finder: reads the deals of an order.
        hedging: the account has many positions a symbol, and its server closes no more than one.
    """

    def __init__(self, broker: Broker, finder: EvidenceFinder, *, hedging: bool) -> None:
        self._broker = broker
        self._finder = finder
        self._hedging = hedging
        self._last: dict[str, _Own] = {}
        self._before: dict[str, _Seen] = {}
        self._changes = OwnChanges(broker)

    def sends(self) -> None:
        """
        A command is about to be sent.
        """
        if not self._hedging:
            self._before = {one.symbol: _seen(one) for one in self._broker.positions()}

    def traded(self, entry: LedgerEntry, result: Result, now_us: int) -> None:
        """
        Note what a command of ours came to.
        """
        self._changes.changed(entry, result, now_us)
        traded = result.outcome in EXECUTED and entry.sent.action == TradeRequestActions.DEAL
        if traded and not self._hedging:
            symbol = entry.sent.symbol
            before = self._before.get(symbol)
            self._last[symbol] = _Own(result.order, entry.intent_msc, now_us, before)

    def holds(self, new: New, now_us: int) -> bool:
        """
        Tell whether a NEW closes or changes something, and what there is cannot be told yet.
        """
        request = new.request
        if self._changes.holds(request, now_us):
            return True
        closes = new.flags & NewFlag.REDUCE_ONLY and request.action == TradeRequestActions.DEAL
        if not closes or not self._last:
            return False
        for position in self._broker.positions(symbol=request.symbol or None):
            if request.position and position.ticket != request.position:
                continue
            own = self._last.get(position.symbol)
            if own is None:
                continue
            if now_us - own.since_us >= HELD_MAX_US:
                del self._last[position.symbol]
                continue
            if own.before == _seen(position):
                return True
            deals = self._finder.deals_of(own.order, own.intent_msc)
            if not deals or position.time_update_msc < deals[-1].time_msc:
                return True
        return False


def _seen(position: PositionRecord) -> _Seen:
    return _Seen(position.ticket, position.volume, position.time_update_msc)
