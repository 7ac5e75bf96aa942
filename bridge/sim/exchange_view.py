"""What a terminal can see of its broker's books, which is later than what is in them.

Each thing has its own delay, so news can overtake one another: a value that is older than the one
shown does not replace it. While the terminal is cut off nothing arrives; afterwards everything
does, and the transactions of that time are lost.
"""

from __future__ import annotations

import bisect
import contextlib
import heapq
from typing import TYPE_CHECKING, Any, Final, TypeVar

from bridge.model.trade import DealRecord, OrderRecord, PositionRecord, asdict
from bridge.sim.exchange_books import Change, Kind, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bridge.sim.exchange_books import Books
    from bridge.sim.exchange_records import Transaction

__all__ = ["Timeline", "View"]

_R = TypeVar("_R")

_RECORDS: Final[Mapping[Kind, type[OrderRecord | PositionRecord | DealRecord]]] = {
    Kind.ORDER: OrderRecord,
    Kind.HISTORY: OrderRecord,
    Kind.POSITION: PositionRecord,
    Kind.DEAL: DealRecord,
}
#: Transactions that nobody fetched; MetaTrader's own queue has as many places.
_TRANSACTIONS_MAX: Final = 1_024


class Timeline(dict[int, _R]):
    """
    Records by ticket, and by a time of theirs.
    """

    def __init__(self, records: dict[int, _R], time_of: Callable[[_R], int]) -> None:
        super().__init__(records)
        self._time_of = time_of
        self._places = sorted((time_of(one), ticket) for ticket, one in self.items())
        self._in_order = [self[ticket] for _, ticket in self._places]

    def __setitem__(self, ticket: int, record: _R) -> None:
        self._leave(ticket)
        super().__setitem__(ticket, record)
        place = (self._time_of(record), ticket)
        at = bisect.bisect_left(self._places, place)
        self._places.insert(at, place)
        self._in_order.insert(at, record)

    def __delitem__(self, ticket: int) -> None:
        self._leave(ticket)
        super().__delitem__(ticket)

    def between(self, first_msc: int, last_msc: int) -> list[_R]:
        """
        Return the records of these times, both included, by time and ticket.
        """
        begin = bisect.bisect_left(self._places, (first_msc, 0))
        end = bisect.bisect_left(self._places, (last_msc + 1, 0))
        return self._in_order[begin:end]

    def _leave(self, ticket: int) -> None:
        record = self.get(ticket)
        if record is not None:
            place = (self._time_of(record), ticket)
            at = bisect.bisect_left(self._places, place)
            del self._places[at], self._in_order[at]


class View:
    """
    The lists of one terminal. It begins with all that is in ``books``.
    """

    def __init__(self, books: Books) -> None:
        self.orders = dict(books.orders)
        self.positions = dict(books.positions)
        self.history = Timeline(books.history, lambda order: order.time_done_msc)
        self.deals = Timeline(books.deals, lambda deal: deal.time_msc)
        self.balance = books.account.balance
        #: transactions that arrived and were not fetched
        self.transactions: list[Transaction] = []
        #: transactions dropped because nobody fetched them
        self.overflown = 0
        self._serial = 0
        self._shown: dict[tuple[Kind, int], int] = {}
        self._waiting: list[tuple[int, int, Change]] = []

    def schedule(self, change: Change, at_us: int) -> None:
        """
        Let a change show from this time on.
        """
        self._serial += 1
        heapq.heappush(self._waiting, (at_us, self._serial, change))

    def announce(self, transaction: Transaction) -> None:
        """
        Add a transaction that belongs to no change.
        """
        if len(self.transactions) >= _TRANSACTIONS_MAX:
            self.overflown += 1
        else:
            self.transactions.append(transaction)

    def arrive(self, now_us: int, *, silent: bool = False) -> None:
        """
        Show what is due; ``silent``: without its transactions.
        """
        while self._waiting and self._waiting[0][0] <= now_us:
            _, serial, change = heapq.heappop(self._waiting)
            self._show(change, serial)
            if change.transaction is not None and not silent:
                self.announce(change.transaction)

    def next_due(self) -> int | None:
        """
        Return when something more shows, ``None`` when nothing waits.
        """
        return self._waiting[0][0] if self._waiting else None

    def _show(self, change: Change, serial: int) -> None:
        key = (change.kind, change.ticket)
        if self._shown.get(key, 0) > serial:
            return
        if self._waiting:
            # Only what is still on its way can be older than what is shown.
            self._shown[key] = serial
        else:
            self._shown.clear()
        record = change.record
        if isinstance(record, float):
            self.balance = record
        elif change.kind is Kind.ORDER:
            _put(self.orders, change.ticket, record)
        elif change.kind is Kind.POSITION:
            _put(self.positions, change.ticket, record)
        elif change.kind is Kind.HISTORY:
            _put(self.history, change.ticket, record)
        else:
            _put(self.deals, change.ticket, record)

    # --- save and load -----------------------------------------------------------------

    def plain(self, books: Books) -> dict[str, Any]:
        """
        Return what shows and what is on its way as plain values; transactions are left out.

        Of history and deals only what is not yet seen is named: ``books`` has them all.
        """
        return {
            "orders": [asdict(one) for one in self.orders.values()],
            "positions": [asdict(one) for one in self.positions.values()],
            "unseen_history": sorted(books.history.keys() - self.history.keys()),
            "unseen_deals": sorted(books.deals.keys() - self.deals.keys()),
            "balance": self.balance,
            "serial": self._serial,
            "shown": [[kind.value, ticket, at] for (kind, ticket), at in self._shown.items()],
            "waiting": [
                [at_us, serial, change.kind.value, change.ticket, _plain(change.record)]
                for at_us, serial, change in sorted(self._waiting)
            ],
        }

    def restore(self, plain: dict[str, Any], shift_us: int) -> None:
        """
        Set all of it from ``plain``, in a view of the same books; what is on its way comes
        ``shift_us`` later.
        """
        self.orders = {one["ticket"]: OrderRecord(**one) for one in plain["orders"]}
        self.positions = {one["ticket"]: PositionRecord(**one) for one in plain["positions"]}
        for ticket in plain["unseen_history"]:
            del self.history[ticket]
        for ticket in plain["unseen_deals"]:
            del self.deals[ticket]
        self.balance = plain["balance"]
        self._serial = plain["serial"]
        self._shown = {(Kind(kind), ticket): serial for kind, ticket, serial in plain["shown"]}
        self._waiting = [
            (at_us + shift_us, serial, Change(Kind(kind), ticket, _record(Kind(kind), record)))
            for at_us, serial, kind, ticket, record in plain["waiting"]
        ]
        heapq.heapify(self._waiting)


def _put(where: dict[int, Any], ticket: int, record: Record) -> None:
    if record is not None:
        where[ticket] = record
        return
    with contextlib.suppress(KeyError):
        del where[ticket]


def _plain(record: Record) -> Any:
    return record if record is None or isinstance(record, float) else asdict(record)


def _record(kind: Kind, plain: Any) -> Record:
    if plain is None or isinstance(plain, float):
        return plain
    return _RECORDS[kind](**plain)
