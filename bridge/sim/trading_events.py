"""What happens to the account: the stream of EVENTs with its cursor.

Theory of operation. Deals and closed orders have a place in an order, (done time, ticket).
They are read from the history, from a minute before the newest one that was sent, whenever a
transaction hints at one and once a second: deals can appear late, and transactions can be
lost. What was sent in this session is remembered by (kind, ticket), so a look at the history
costs nothing but itself. After a logon the history is read from the relay's place.

Everything else (open orders, positions without a deal, the account, replies) has no place: it
is told once, as it is when it is told.

What the relay acknowledged is not read out to it again while this program lives: else a link that
is cut more often than the last minute's events take to send would never get beyond them.

Rule 1: a transaction is only a hint. What an event says is read from orders, deals, positions.
Rule 2: no more than 256 events of the history are sent and not acknowledged.
Rule 3: ``recovered`` is what no transaction of this session told of.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bridge.model.trade import AccountRecord, DealRecord, OrderRecord, asdict
from bridge.sim.exchange_records import TransactionType
from bridge.wire.messages import Event
from bridge.wire.spec import EventKind

if TYPE_CHECKING:
    from bridge.sim.exchange_records import Transaction
    from bridge.sim.trading_ports import Broker, Moment
    from bridge.wire.messages import EventAck, EventCursor

__all__ = ["EVENT_WINDOW", "TRANSACTIONS_MAX", "EventStream"]

#: Events of the history that are sent and not acknowledged.
EVENT_WINDOW: Final = 256
#: MetaTrader's queue of transactions: what more there was is lost.
TRANSACTIONS_MAX: Final = 1_024
#: How far before the last place the history is read again.
_OVERLAP_MSC: Final = 60_000
_LOOK_EVERY_US: Final = 1_000_000
#: A deal that a transaction told of and that cannot be seen yet.
_AWAITED_EVERY_US: Final = 50_000
_AWAITED_FOR_US: Final = 600_000_000
_AWAITED_MAX: Final = 4_096
#: What one look at the history queues; the rest at the next one.
_QUEUED_MAX: Final = 1_024
_KEPT_MAX: Final = 8_192
_END_OF_TIME: Final = 2**62

_Key = tuple[EventKind, int]


class _Historic(NamedTuple):
    time_msc: int
    ticket: int
    kind: EventKind
    record: DealRecord | OrderRecord


class _Awaited(NamedTuple):
    time_msc: int
    until_us: int


class EventStream:
    """
    The events of one session after the other.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._on = False
        self._told = False
        self._from_msc = 0
        self._next_look_us = 0
        self._queue: deque[_Historic] = deque()
        self._in_flight: deque[tuple[int, int]] = deque()
        #: in the order in which they were sent, from the last one that was acknowledged on
        self._sent: deque[_Historic] = deque(maxlen=_KEPT_MAX)
        #: what the relay's journal has for certain, with its time, and the furthest place of it
        self._acknowledged: dict[_Key, int] = {}
        self._acknowledged_to = (0, 0)
        #: what was queued in this session, with its time
        self._known: dict[_Key, int] = {}
        self._hinted: dict[_Key, None] = {}
        self._awaited: dict[_Key, _Awaited] = {}
        self._states: dict[_Key, None] = {}
        self._replies: deque[Transaction] = deque(maxlen=TRANSACTIONS_MAX)
        self._account: tuple[object, ...] = ()
        self._changed: Event | None = None

    def begin(self, cursor: EventCursor | None, moment: Moment, *, told: bool) -> None:
        """
        A session is open: begin at the relay's place, or now when it has none.

        Without ``told`` the relay takes no events: there is no window, and the caller drops
        them.
        """
        self.end()
        self._on = True
        self._told = told
        self._next_look_us = moment.now_us
        self._account = _account_of(self._broker.account())
        if cursor is None or tuple(cursor) < self._acknowledged_to:
            # Another journal, or an older copy of it.
            self._acknowledged.clear()
            self._acknowledged_to = (0, 0)
        if cursor is not None:
            self._from_msc = cursor.time_msc
            self._known.update(self._acknowledged)
            return
        self._from_msc = moment.server_msc
        for found in self._read():
            self._known[found.kind, found.ticket] = found.time_msc
            self._from_msc = max(self._from_msc, found.time_msc)

    def end(self) -> None:
        """
        The session is over: the next one begins at what its relay has.
        """
        self._on = False
        self._changed = None
        for kept in (
            self._queue,
            self._in_flight,
            self._sent,
            self._known,
            self._hinted,
            self._awaited,
            self._states,
            self._replies,
        ):
            kept.clear()

    def hint(self, transactions: list[Transaction], now_us: int) -> None:
        """
        Take what ``OnTradeTransaction`` was called with.
        """
        if not self._on or not transactions:
            return
        if len(transactions) >= TRANSACTIONS_MAX:
            # The oldest are lost in MetaTrader: what is found then is ``recovered``.
            transactions = transactions[-TRANSACTIONS_MAX + 1 :]
        self._next_look_us = min(self._next_look_us, now_us)
        for transaction in transactions:
            match transaction.type:
                case TransactionType.DEAL_ADD:
                    self._await(EventKind.DEAL, transaction.deal, transaction, now_us)
                case TransactionType.HISTORY_ADD:
                    self._await(EventKind.ORDER_CLOSED, transaction.order, transaction, now_us)
                case TransactionType.ORDER_ADD | TransactionType.ORDER_UPDATE:
                    self._states[EventKind.ORDER, transaction.order] = None
                case TransactionType.POSITION:
                    self._states[EventKind.POSITION, transaction.position] = None
                case TransactionType.REQUEST:
                    self._replies.append(transaction)

    def acknowledge(self, ack: EventAck) -> None:
        """
        The relay has what it was sent up to this place.
        """
        place = (ack.cursor_time_msc, ack.cursor_ticket)
        self._in_flight = deque(sent for sent in self._in_flight if sent > place)
        self._acknowledged_to = max(self._acknowledged_to, place)
        for at, sent in enumerate(self._sent):
            if (sent.time_msc, sent.ticket) == place:
                # Those sent before it, not itself: only then the RESULT behind each has arrived
                # as well. Nor what lies before it and was sent later.
                for _ in range(at):
                    told = self._sent.popleft()
                    self._acknowledged[told.kind, told.ticket] = told.time_msc
                break

    def take(
        self, moment: Moment, limit: int
    ) -> list[tuple[Event, DealRecord | OrderRecord | None]]:
        """
        Return the next events, each with the deal or closed order that it tells of.
        """
        if not self._on:
            return []
        if not self._queue and moment.now_us >= self._next_look_us:
            self._look(moment)
            self._look_at_account(moment)
        taken: list[tuple[Event, DealRecord | OrderRecord | None]] = [
            (event, None) for event in self._take_states(moment, limit)
        ]
        while self._queue and len(taken) < limit and len(self._in_flight) < EVENT_WINDOW:
            found = self._queue.popleft()
            if self._told:
                self._in_flight.append((found.time_msc, found.ticket))
                self._sent.append(found)
            taken.append((self._event(found, moment), found.record))
        return taken

    # --- the history -------------------------------------------------------------------

    def _await(self, kind: EventKind, ticket: int, transaction: Transaction, now_us: int) -> None:
        key = (kind, ticket)
        self._hinted[key] = None
        if key not in self._known and len(self._awaited) < _AWAITED_MAX:
            self._awaited[key] = _Awaited(transaction.time_msc, now_us + _AWAITED_FOR_US)

    def _read(self) -> list[_Historic]:
        times = [waited.time_msc for waited in self._awaited.values() if waited.time_msc]
        from_msc = min([self._from_msc, *times]) - _OVERLAP_MSC
        found = [
            _Historic(deal.time_msc, deal.ticket, EventKind.DEAL, deal)
            for deal in self._broker.history_deals(from_msc, _END_OF_TIME)
        ]
        found += [
            _Historic(order.time_done_msc, order.ticket, EventKind.ORDER_CLOSED, order)
            for order in self._broker.history_orders(from_msc, _END_OF_TIME)
        ]
        return sorted(found, key=lambda one: one[:3])

    def _look(self, moment: Moment) -> None:
        self._next_look_us = moment.now_us + _LOOK_EVERY_US
        for found in self._read():
            key = (found.kind, found.ticket)
            if key in self._known:
                continue
            if len(self._queue) >= _QUEUED_MAX:
                self._next_look_us = moment.now_us
                break
            self._known[key] = found.time_msc
            self._awaited.pop(key, None)
            self._queue.append(found)
            self._from_msc = max(self._from_msc, found.time_msc)
        self._awaited = {
            key: waited for key, waited in self._awaited.items() if moment.now_us < waited.until_us
        }
        if self._awaited:
            self._next_look_us = min(self._next_look_us, moment.now_us + _AWAITED_EVERY_US)
        self._forget()

    def _forget(self) -> None:
        # What is older than any look at the history goes; not while something is awaited,
        # whose look goes further back.
        if len(self._acknowledged) > _KEPT_MAX:
            oldest_msc = self._acknowledged_to[0] - _OVERLAP_MSC
            self._acknowledged = {
                key: time for key, time in self._acknowledged.items() if time >= oldest_msc
            }
        if len(self._known) <= _KEPT_MAX or self._awaited:
            return
        oldest_msc = self._from_msc - _OVERLAP_MSC
        self._known = {key: time for key, time in self._known.items() if time >= oldest_msc}
        self._hinted = {key: None for key in self._hinted if key in self._known}

    def _event(self, found: _Historic, moment: Moment) -> Event:
        recovered = (found.kind, found.ticket) not in self._hinted
        return Event(
            int(found.kind),
            recovered,
            found.time_msc,
            found.ticket,
            found.time_msc,
            moment.utc_offset_min,
            asdict(found.record),
        )

    # --- the rest ------------------------------------------------------------------------

    def _take_states(self, moment: Moment, limit: int) -> list[Event]:
        events: list[Event] = []
        while self._replies and len(events) < limit:
            events.append(self._plain(EventKind.REQUEST, _reply(self._replies.popleft()), moment))
        while self._states and len(events) < limit:
            kind, ticket = next(iter(self._states))
            del self._states[kind, ticket]
            records: list[Any] = (
                list(self._broker.orders(ticket=ticket))
                if kind is EventKind.ORDER
                else list(self._broker.positions(ticket=ticket))
            )
            # What is gone meanwhile is told by a deal or a closed order.
            events += [self._plain(kind, asdict(record), moment) for record in records[:1]]
        if self._changed is not None and len(events) < limit:
            events.append(self._changed)
            self._changed = None
        return events

    def _look_at_account(self, moment: Moment) -> None:
        account = self._broker.account()
        if _account_of(account) != self._account:
            self._account = _account_of(account)
            self._changed = self._plain(EventKind.ACCOUNT, asdict(account), moment)

    @staticmethod
    def _plain(kind: EventKind, record: dict[str, Any], moment: Moment) -> Event:
        return Event(int(kind), False, 0, 0, moment.server_msc, moment.utc_offset_min, record)


def _account_of(account: AccountRecord) -> tuple[object, ...]:
    # What an ACCOUNT event tells of; equity and margin change with every tick.
    return (
        account.balance,
        account.credit,
        account.leverage,
        account.trade_allowed,
        account.trade_expert,
    )


def _reply(transaction: Transaction) -> dict[str, Any]:
    return {
        "request": None if transaction.request is None else asdict(transaction.request),
        "result": None if transaction.result is None else asdict(transaction.result),
    }
