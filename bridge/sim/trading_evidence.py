"""What became of a command whose answer never came: its traces at the broker.

Theory of operation. A command is looked for where its action leaves traces: orders, history and
positions by the tag in their comment and by magic; a modification by the present values; a
cancellation by the order's state; a close-by by its deals. What is found is a ``Finding``;
``NOT_FOUND`` says that there is no trace *now*, which means something only when the settle
time is over, and ``UNKNOWN`` that the traces cannot decide. Who asks turns the first into
INTENT while it is too early.

Rule 1: a trace decides, its absence does not: what could have been done and undone since, or by
somebody else, is UNKNOWN.
Rule 2: what counts as not executed is changed by its tag alone: what happened since without it is
another's doing.
Rule 3: a broker that rewrites comments leaves magic, symbol, side, volume and time. A command
that two orders fit, or an order that two commands fit, is UNKNOWN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from bridge.model.enums import DealEntry, OrderReason, OrderState, OrderType, TradeRequestActions
from bridge.model.trade import TAG_PREFIX
from bridge.sim.ledger import LedgerError
from bridge.sim.trading_changes import TINY, asked_by, is_near, levels_of, values_of
from bridge.wire.spec import Evidence, OrderOutcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bridge.model.trade import DealRecord, OrderRecord, PositionRecord, TradeRequest
    from bridge.sim.trading_ports import Broker
    from bridge.wire.messages import OrderRequest

__all__ = ["Case", "EvidenceFinder", "Finding"]

#: How far before the intent the history is read: the server's clock is known roughly, and an
#: hour may be missing or twice there when summer time changes.
_MARGIN_MSC: Final = 24 * 3_600_000
#: The same where time alone tells two orders apart.
_NARROW_MSC: Final = 5_000
_END_OF_TIME: Final = 2**62


class Case(NamedTuple):
    """
    What is known of a command: its tag, what was asked and, with its ledger, what was sent and
    what it was about to change. Times are the server's; ``until_msc`` bounds what an order
    without a tag may be taken for. ``ended``: it counts as not executed.
    """

    command_id: str
    tag: str
    request: OrderRequest
    sent: TradeRequest | None
    before: tuple[float, ...]
    from_msc: int
    until_msc: int
    ended: bool = False


class Finding(NamedTuple):
    """
    What the traces say: one of PLACED, PARTIAL, DONE, REJECTED, NOT_FOUND and UNKNOWN.

    ``complete``: all of it can be seen. What was executed may be seen by its position or its
    order first, and by its deals a moment later.
    """

    outcome: OrderOutcome
    evidence: Evidence = Evidence.NONE
    order: int = 0
    deals: tuple[int, ...] = ()
    position: int = 0
    volume: float = 0.0
    price: float = 0.0
    time_msc: int = 0
    text: str = ""
    complete: bool = True


class _Traces(NamedTuple):
    # Orders, open and closed, and deals of one command.
    open: list[OrderRecord]
    closed: list[OrderRecord]
    deals: list[DealRecord]

    @property
    def tickets(self) -> set[int]:
        orders = {order.ticket for order in (*self.open, *self.closed)}
        return orders | {deal.order for deal in self.deals}

    def of(self, tickets: set[int]) -> _Traces:
        return _Traces(
            [order for order in self.open if order.ticket in tickets],
            [order for order in self.closed if order.ticket in tickets],
            [deal for deal in self.deals if deal.order in tickets],
        )


class EvidenceFinder:
    """
    Looks for the traces of commands.

    Args:
        broker: what the terminal sees.
        belongs_to_another: whether an order's ticket is known to be another command's.
        rivals: how many other commands without an end would leave the same trace. Both may
            raise ``LedgerError``.
    """

    def __init__(
        self,
        broker: Broker,
        belongs_to_another: Callable[[str, int], bool],
        rivals: Callable[[Case], int],
    ) -> None:
        self._broker = broker
        self._belongs_to_another = belongs_to_another
        self._rivals = rivals

    def look(self, case: Case) -> Finding:
        """
        Return what the broker's records say of a command now.
        """
        try:
            return self._search(case)
        except LedgerError as error:
            # Whose an order is cannot be told, so neither can it that there is none.
            return Finding(OrderOutcome.UNKNOWN, text=str(error))

    def _search(self, case: Case) -> Finding:
        action = case.request.action
        if action in {TradeRequestActions.DEAL, TradeRequestActions.PENDING}:
            return self._order(case)
        if case.ended:
            return Finding(OrderOutcome.UNKNOWN, text="others may have done the same since")
        match action:
            case TradeRequestActions.SLTP:
                return self._levels(case)
            case TradeRequestActions.MODIFY:
                return self._modification(case)
            case TradeRequestActions.REMOVE:
                return self._removal(case)
            case TradeRequestActions.CLOSE_BY:
                return self._close_by(case)
        return Finding(OrderOutcome.UNKNOWN, text="this action leaves no trace that is known")

    def deals_of(self, order: int, from_msc: int) -> list[DealRecord]:
        """
        Return the deals of an order that can be seen now, in their order.
        """
        deals = self._broker.history_deals(from_msc - _NARROW_MSC, _END_OF_TIME)
        return _sorted(deal for deal in deals if order and deal.order == order)

    # --- DEAL and PENDING ------------------------------------------------------------------

    def _order(self, case: Case) -> Finding:
        seen = self._traces(case.from_msc - _MARGIN_MSC)
        magic = case.request.magic if case.sent is None else case.sent.magic
        tickets = {
            order.ticket
            for order in (*seen.open, *seen.closed)
            if order.comment == case.tag and magic in {None, order.magic}
        }
        tickets |= {
            deal.order
            for deal in seen.deals
            if deal.comment == case.tag and magic in {None, deal.magic}
        }
        if tickets:
            # The first one is the command's own: what closes its position later may have
            # got the position's comment from the broker.
            return self._judge(case, seen.of({min(tickets)}))
        for position in self._broker.positions():
            if position.comment == case.tag and magic in {None, position.magic}:
                return _judge_position(case, position)
        return self._untagged(case, seen)

    def _untagged(self, case: Case, seen: _Traces) -> Finding:
        sent = case.sent
        if sent is None or case.ended:
            return Finding(OrderOutcome.NOT_FOUND)
        low, high = case.from_msc - _NARROW_MSC, case.until_msc
        candidates = {
            order.ticket
            for order in (*seen.open, *seen.closed)
            if low <= order.time_setup_msc <= high
            and order.reason == OrderReason.EXPERT
            and (order.symbol, order.type, order.magic) == (sent.symbol, sent.type, sent.magic)
            and abs(order.volume_initial - sent.volume) < TINY
            and _may_be_rewritten(order.comment, case.tag)
            and not self._belongs_to_another(case.command_id, order.ticket)
        }
        orders = {order.ticket for order in (*seen.open, *seen.closed)}
        candidates |= {
            deal.order
            for deal in seen.deals
            if deal.order not in orders
            and low <= deal.time_msc <= high
            and deal.reason == OrderReason.EXPERT
            and (deal.symbol, deal.type, deal.magic) == (sent.symbol, sent.type, sent.magic)
            and deal.volume < sent.volume + TINY
            and _may_be_rewritten(deal.comment, case.tag)
            and not self._belongs_to_another(case.command_id, deal.order)
        }
        if not candidates:
            return Finding(OrderOutcome.NOT_FOUND)
        if len(candidates) > 1 or self._rivals(case):
            return Finding(
                OrderOutcome.UNKNOWN,
                text="the broker rewrites comments, and more than one order fits",
            )
        return self._judge(case, seen.of(candidates))

    def _judge(self, case: Case, traces: _Traces) -> Finding:
        # ``traces`` are those of one order.
        pending = case.request.action == TradeRequestActions.PENDING
        deals = _sorted(traces.deals)
        volume = round(sum(deal.volume for deal in deals), 8)
        price = sum(deal.price * deal.volume for deal in deals) / volume if volume else 0.0
        (ticket,) = traces.tickets
        finding = Finding(
            OrderOutcome.PLACED,
            Evidence.ORDERS,
            order=ticket,
            deals=tuple(deal.ticket for deal in deals),
            position=deals[0].position_id if deals else 0,
            volume=volume,
            price=price,
            time_msc=deals[-1].time_msc if deals else 0,
        )
        if traces.closed:
            return _judge_closed(traces.closed[0], finding, pending=pending)
        if traces.open:
            order = traces.open[0]
            filled = round(order.volume_initial - order.volume_current, 8)
            return finding._replace(
                outcome=OrderOutcome.PARTIAL if filled > TINY or deals else OrderOutcome.PLACED,
                time_msc=finding.time_msc or order.time_setup_msc,
                price=finding.price or order.price_open,
                volume=max(volume, filled),
                complete=volume >= filled - TINY,
            )
        wanted = case.request.volume if case.sent is None else case.sent.volume
        whole = wanted is None or volume >= wanted - TINY
        return finding._replace(
            outcome=OrderOutcome.DONE if whole else OrderOutcome.PARTIAL,
            evidence=Evidence.HISTORY_DEALS,
            complete=whole,
        )

    # --- modifications -----------------------------------------------------------------------

    def _levels(self, case: Case) -> Finding:
        ticket = case.request.position or 0
        position = next(iter(self._broker.positions(ticket=ticket)), None)
        if position is None:
            return Finding(
                OrderOutcome.UNKNOWN, text="the position is closed: its levels cannot be seen"
            )
        return _compare(
            levels_of(position),
            _wanted(case),
            case.before,
            Finding(
                OrderOutcome.DONE,
                Evidence.POSITIONS,
                position=ticket,
                time_msc=position.time_update_msc,
            ),
        )

    def _modification(self, case: Case) -> Finding:
        ticket = case.request.order or 0
        order = next(iter(self._broker.orders(ticket=ticket)), None)
        evidence = Evidence.ORDERS
        if order is None:
            order = self._closed_order(case, ticket)
            evidence = Evidence.HISTORY_ORDERS
        if order is None:
            return Finding(OrderOutcome.UNKNOWN, text="the order is not to be found")
        return _compare(
            values_of(order),
            _wanted(case),
            case.before,
            Finding(OrderOutcome.DONE, evidence, order=ticket),
        )

    def _removal(self, case: Case) -> Finding:
        ticket = case.request.order or 0
        order = self._closed_order(case, ticket)
        if order is None:
            if any(self._broker.orders(ticket=ticket)):
                return Finding(OrderOutcome.NOT_FOUND, text="the order is still open")
            return Finding(OrderOutcome.UNKNOWN, text="the order is not to be found")
        if order.state == OrderState.CANCELED:
            return Finding(
                OrderOutcome.DONE,
                Evidence.HISTORY_ORDERS,
                order=ticket,
                time_msc=order.time_done_msc,
            )
        return Finding(
            OrderOutcome.NOT_FOUND,
            Evidence.HISTORY_ORDERS,
            text=f"the order ended by itself: {_state(order)}",
        )

    def _close_by(self, case: Case) -> Finding:
        wanted = (case.request.position or 0, case.request.position_by or 0)
        since = case.from_msc - _NARROW_MSC
        seen = self._traces(since)
        of_order: dict[int, list[DealRecord]] = {}
        for deal in seen.deals:
            if deal.entry == DealEntry.OUT_BY and deal.time_msc >= since:
                of_order.setdefault(deal.order, []).append(deal)
        for order, deals in of_order.items():
            if {deal.position_id for deal in deals} >= set(wanted):
                ordered = _sorted(deals)
                return Finding(
                    OrderOutcome.DONE,
                    Evidence.HISTORY_DEALS,
                    order=order,
                    deals=tuple(deal.ticket for deal in ordered),
                    position=wanted[0],
                    volume=min(deal.volume for deal in ordered),
                    price=ordered[0].price,
                    time_msc=ordered[-1].time_msc,
                )
        for order_record in seen.closed:
            tickets = (order_record.position_id, order_record.position_by_id)
            if (
                order_record.type == OrderType.CLOSE_BY
                and order_record.state == OrderState.FILLED
                and order_record.time_done_msc >= since
                and (tickets == wanted or order_record.comment == case.tag)
            ):
                return Finding(
                    OrderOutcome.DONE,
                    Evidence.HISTORY_ORDERS,
                    order=order_record.ticket,
                    position=wanted[0],
                    volume=order_record.volume_initial,
                    time_msc=order_record.time_done_msc,
                )
        return Finding(OrderOutcome.NOT_FOUND)

    # --- inside ------------------------------------------------------------------------------

    def _traces(self, from_msc: int) -> _Traces:
        return _Traces(
            self._broker.orders(),
            self._broker.history_orders(from_msc, _END_OF_TIME),
            self._broker.history_deals(from_msc, _END_OF_TIME),
        )

    def _closed_order(self, case: Case, ticket: int) -> OrderRecord | None:
        closed = self._broker.history_orders(case.from_msc - _MARGIN_MSC, _END_OF_TIME)
        return next((order for order in closed if order.ticket == ticket), None)


def _judge_position(case: Case, position: PositionRecord) -> Finding:
    # A position that nothing has changed is what the order that opened it has filled.
    wanted = case.request.volume if case.sent is None else case.sent.volume
    unchanged = (
        position.ticket == position.identifier
        and position.time_update_msc == position.time_msc
        and (wanted is None or position.volume < wanted + TINY)
    )
    if not unchanged:
        return Finding(
            OrderOutcome.UNKNOWN,
            text="its position has changed since: how much was executed will be told by its deals",
        )
    whole = wanted is None or position.volume >= wanted - TINY
    return Finding(
        OrderOutcome.DONE if whole else OrderOutcome.PARTIAL,
        Evidence.POSITIONS,
        order=position.ticket,
        position=position.ticket,
        volume=position.volume,
        price=position.price_open,
        time_msc=position.time_msc,
        complete=False,
    )


def _judge_closed(order: OrderRecord, finding: Finding, *, pending: bool) -> Finding:
    filled = max(finding.volume, round(order.volume_initial - order.volume_current, 8))
    finding = finding._replace(
        evidence=Evidence.HISTORY_DEALS if finding.deals else Evidence.HISTORY_ORDERS,
        volume=filled,
        price=finding.price or order.price_open,
        time_msc=finding.time_msc or order.time_done_msc,
        position=finding.position or order.position_id,
        complete=finding.volume >= filled - TINY,
    )
    if order.state == OrderState.FILLED:
        return finding._replace(outcome=OrderOutcome.DONE)
    if filled > TINY:
        return finding._replace(outcome=OrderOutcome.PARTIAL)
    text = f"the order is closed without a deal: {_state(order)}"
    if order.state == OrderState.REJECTED or not pending:
        return finding._replace(outcome=OrderOutcome.REJECTED, price=0.0, text=text)
    return finding._replace(outcome=OrderOutcome.PLACED, text=text)


def _compare(
    present: tuple[float, ...],
    wanted: tuple[float | None, ...],
    before: tuple[float, ...],
    done: Finding,
) -> Finding:
    # ``None`` among the wanted values is one that is not looked at.
    if all(value is None for value in wanted):
        return Finding(OrderOutcome.UNKNOWN, text="it is not known which values were asked for")
    if is_near(wanted, present):
        return done
    if is_near(before, present):
        return Finding(OrderOutcome.NOT_FOUND, text="the values are what they were before")
    return Finding(
        OrderOutcome.UNKNOWN, text="the values are neither what was asked nor what they were"
    )


def _wanted(case: Case) -> tuple[float | None, ...]:
    # With the ledger what was sent; without it what was asked, as far as it was given.
    return asked_by(case.request if case.sent is None else case.sent)


def _may_be_rewritten(comment: str, tag: str) -> bool:
    # Nothing of ours, or the beginning of this very tag. Another tag is another command.
    return not comment.startswith(TAG_PREFIX) or tag.startswith(comment)


def _sorted(deals: Iterable[DealRecord]) -> list[DealRecord]:
    return sorted(deals, key=lambda deal: (deal.time_msc, deal.ticket))


def _state(order: OrderRecord) -> str:
    try:
        return OrderState(order.state).name
    except ValueError:
        return f"state {order.state}"
