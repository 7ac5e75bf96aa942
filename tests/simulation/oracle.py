"""The oracle: compares what clients were told with what the broker has written down.

It knows nothing of relay and terminal: only the wishes with their questions and answers, and the
broker's own records, in which an order has the tag that was sent with it. A change of a position
or an order has no tag: its stop loss is another one in each.

What counts as which kind of failure:

* ``lost``: a client was told that an order was executed or placed, and the broker has none;
  or a deal of the broker is missing among the events of the journal;
* ``duplicated``: more than one order for an id, more volume than was asked for, a close that
  opened something; or an event that the journal has twice;
* ``wrong_verdicts``: told of an end without a trade, and there was one; told of other tickets,
  another volume or price than the broker has; two ends of one id that exclude each other;
* ``unresolved``: no end when there had to be one.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from bridge.bus.bodies import read_trade
from bridge.bus.requests import Method
from bridge.model.enums import DealEntry, DealType, OrderState, OrderType, TradeRequestActions
from bridge.model.trade import DealRecord, OrderRecord, order_tag
from tests.simulation.broker import Processed
from tests.simulation.claims import Claim, Said, Wish

__all__ = ["Failure", "Oracle", "Verdicts"]

_EXECUTED: Final = frozenset({"DONE", "PARTIAL", "PLACED"})
_ACCEPTED: Final = frozenset({10008, 10009, 10010})
_TINY: Final = 1e-9
_PRICE_TINY: Final = 1e-7


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """
    One thing that is wrong, in words.
    """

    kind: str
    command_id: str
    text: str


@dataclasses.dataclass(slots=True)
class Verdicts:
    """
    What the oracle found.
    """

    failures: list[Failure] = dataclasses.field(default_factory=list)

    def count(self, kind: str) -> int:
        """
        Return how many commands failed in this way.
        """
        return len({failure.command_id for failure in self.failures if failure.kind == kind})


class Oracle:
    """
    Judges one run.

    Args:
        orders, deals, tags: the broker's own, as ``Exchange.ledger`` has them.
        processed: the requests that its server worked on.
        bodies: of ``trade/<alias>``, from the first to the newest.
    """

    def __init__(
        self,
        orders: tuple[OrderRecord, ...],
        deals: tuple[DealRecord, ...],
        tags: dict[int, str],
        processed: list[Processed],
        bodies: list[bytes],
    ) -> None:
        self._deals = deals
        self._bodies = bodies
        self._verdicts = Verdicts()
        self._orders_of: dict[str, list[OrderRecord]] = {}
        self._by_ticket = {order.ticket: order for order in orders}
        for order in orders:
            self._orders_of.setdefault(tags.get(order.ticket, ""), []).append(order)
        self._deals_of: dict[int, list[DealRecord]] = {}
        for deal in deals:
            self._deals_of.setdefault(deal.order, []).append(deal)
        #: accepted changes by (ticket, stop loss), accepted removals by ticket
        self._changes: dict[tuple[int, float], int] = {}
        self._removals: set[int] = set()
        #: orders that are to close something
        self._closing: set[int] = set()
        for one in processed:
            if one.result.retcode not in _ACCEPTED:
                continue
            request = one.request
            if request.action == TradeRequestActions.SLTP:
                key = (request.position, request.sl)
                self._changes[key] = self._changes.get(key, 0) + 1
            elif request.action == TradeRequestActions.MODIFY:
                key = (request.order, request.sl)
                self._changes[key] = self._changes.get(key, 0) + 1
            elif request.action == TradeRequestActions.REMOVE:
                self._removals.add(request.order)

    def judge(self, wishes: list[Wish]) -> Verdicts:
        """
        Return all that is wrong.
        """
        for wish in wishes:
            if wish.method is Method.POSITION_CLOSE:
                self._closing.update(one.ticket for one in self._orders_of.get(wish.tag, ()))
        for wish in wishes:
            if wish.method is Method.CLOSE_ALL:
                self._judge_close_all(wish)
            else:
                truth = self._truth(wish)
                self._judge_execution(wish, truth)
                self._judge_claims(wish.command_id, wish.claims, truth)
            self._judge_end(wish)
        self._judge_events()
        return self._verdicts

    # --- the truth -----------------------------------------------------------------------------

    def _truth(self, wish: Wish) -> _Truth:
        match wish.method:
            case Method.ORDER_SEND | Method.POSITION_CLOSE | Method.POSITION_CLOSE_BY:
                pending = wish.params.get("action") == "PENDING"
                return self._truth_of_tag(wish.tag, pending=pending)
            case Method.POSITION_MODIFY | Method.ORDER_MODIFY:
                ticket = wish.params.get("position") or wish.params["order"]
                count = self._changes.get((int(ticket), wish.params["sl"]), 0)
                return _Truth(executions=count, executed=count > 0)
            case _:
                return self._truth_of_removal(int(wish.params["order"]))

    def _truth_of_tag(self, tag: str, *, pending: bool) -> _Truth:
        orders = self._orders_of.get(tag, [])
        deals = [deal for order in orders for deal in self._deals_of.get(order.ticket, ())]
        stands = [
            order
            for order in orders
            if order.state != OrderState.REJECTED
            and (pending or self._deals_of.get(order.ticket) or not order.time_done_msc)
        ]
        return _Truth(
            executions=len(stands),
            executed=bool(stands),
            orders=orders,
            deals=deals,
            placed=bool(orders),
        )

    def _truth_of_removal(self, ticket: int) -> _Truth:
        order = self._by_ticket.get(ticket)
        done = order is not None and order.state == OrderState.CANCELED
        # Two commands may cancel the same order, so only one direction is certain.
        return _Truth(executions=int(done), executed=done and ticket in self._removals, loose=True)

    # --- what the broker did ---------------------------------------------------------------------

    def _judge_execution(self, wish: Wish, truth: _Truth) -> None:
        name = wish.command_id
        if truth.executions > 1:
            self._fail("duplicated", name, f"the broker has {truth.executions} executions of it")
        asked = wish.params.get("volume")
        volume = round(sum(deal.volume for deal in truth.deals), 8)
        if asked is not None and volume > asked + _TINY:
            self._fail("duplicated", name, f"{volume:g} lots were traded, {asked:g} asked for")
        if wish.method is Method.POSITION_CLOSE:
            self._judge_closes(name, truth)

    def _judge_closes(self, name: str, truth: _Truth) -> None:
        # In order of the deals, and if that says no, as it was when the server took the close:
        # with another order of ours between its acceptance and its fill the sum is the same.
        if all(deal.entry == DealEntry.OUT for deal in truth.deals):
            return
        for order in truth.orders:
            if self._opens(order):
                text = f"a close opened something: order {order.ticket}"
                self._fail("duplicated", name, text)

    def _opens(self, close: OrderRecord) -> bool:
        # Netting: what was open of the symbol when this order was taken, less what the closes
        # taken before it were still to take.
        net = 0.0
        for deal in self._deals:
            order = self._by_ticket[deal.order]
            if deal.symbol != close.symbol or deal.order == close.ticket:
                continue
            volume = deal.volume if deal.type == DealType.BUY else -deal.volume
            before = deal.time_msc < close.time_setup_msc or (
                deal.time_msc == close.time_setup_msc and deal.order < close.ticket
            )
            taken = deal.order < close.ticket and order.ticket in self._closing
            if before or taken:
                net += volume
        wanted = sum(deal.volume for deal in self._deals_of.get(close.ticket, ()))
        open_now = net if close.type == OrderType.SELL else -net
        return wanted > open_now + _TINY

    # --- what clients were told ------------------------------------------------------------------

    def _judge_claims(self, name: str, claims: list[Claim], truth: _Truth) -> None:
        ends = sorted((one for one in claims if one.at_us), key=lambda one: (one.at_us, one.place))
        before: Claim | None = None
        for claim in ends:
            if claim.said is Said.RESULT and claim.result is not None:
                self._judge_result(name, claim.result, truth)
                if claim.final:
                    if before is not None:
                        self._judge_pair(name, before, claim)
                    before = claim
            denied = claim.said in {Said.REFUSED, Said.UNHEARD} or claim.outcome == "DENIED"
            if (
                (denied and claim.traded)
                or claim.outcome == "DENIED"
                or (claim.said is Said.UNHEARD)
            ):
                self._judge_denial(name, claim, ends, truth)
        last = before
        if last is not None and last.result is not None and last.outcome in {"DONE", "PARTIAL"}:
            self._judge_last(name, last, last.result, truth)

    def _judge_result(self, name: str, result: dict[str, Any], truth: _Truth) -> None:
        outcome = str(result["outcome"])
        if outcome in _EXECUTED:
            if not truth.executions and not truth.placed:
                self._fail("lost", name, f"told {outcome}, and the broker has nothing of it")
            elif truth.orders:
                self._judge_details(name, result, truth)
        elif outcome == "REJECTED" and truth.executed and not truth.loose:
            reason = result["reason"] or result["retcode_name"]
            self._fail("wrong_verdicts", name, f"told REJECTED ({reason}), and it was executed")

    def _judge_details(self, name: str, result: dict[str, Any], truth: _Truth) -> None:
        tickets = {order.ticket for order in truth.orders}
        deals = {deal.ticket: deal for deal in truth.deals}
        if result["order"] and result["order"] not in tickets:
            self._fail("wrong_verdicts", name, f"told of order {result['order']}, not its own")
        strange = set(result["deals"]) - deals.keys()
        if strange:
            self._fail("wrong_verdicts", name, f"told of deals that are not its own: {strange}")
        volume = round(sum(deal.volume for deal in truth.deals), 8)
        told = result["volume"] if result["outcome"] in {"DONE", "PARTIAL"} else 0.0
        if result["final"] and told > volume + _TINY and "by #" not in _comments(truth):
            self._fail("wrong_verdicts", name, f"told of {told:g} lots, {volume:g} were traded")

    def _judge_last(self, name: str, claim: Claim, result: dict[str, Any], truth: _Truth) -> None:
        # The last end that was told agrees with what there is in the end.
        if not truth.deals or "by #" in _comments(truth):
            return
        volume = round(sum(deal.volume for deal in truth.deals), 8)
        if abs(result["volume"] - volume) > _TINY:
            told = f"told of {result['volume']:g} lots at last, {volume:g} were traded"
            self._fail("wrong_verdicts", name, told)
        elif len(truth.deals) == 1 and abs(result["price"] - truth.deals[0].price) > _PRICE_TINY:
            told = f"told of price {result['price']}, it was {truth.deals[0].price}"
            self._fail("wrong_verdicts", name, told)
        elif claim.asked_last and {deal.ticket for deal in truth.deals} != set(result["deals"]):
            # Before the end some of them may not have been seen yet.
            self._fail("wrong_verdicts", name, f"told of deals {result['deals']} at last")

    def _judge_denial(self, name: str, claim: Claim, claims: list[Claim], truth: _Truth) -> None:
        # "Nothing was done for this" is wrong if something was, unless for another question
        # that may have reached a relay behind it.
        if not truth.executed or truth.loose:
            return
        later = any(
            other is not claim and other.traded and other.until_us > claim.since_us
            for other in claims
        )
        if not later:
            told = claim.error or f"{claim.outcome} {(claim.result or {}).get('reason', '')}"
            self._fail("wrong_verdicts", name, f"told {told}, and it was executed")

    def _judge_pair(self, name: str, earlier: Claim, later: Claim) -> None:
        one, other = earlier.outcome, later.outcome
        if one == other or (later.result or {}).get("corrected"):
            return
        if one in _EXECUTED and other not in _EXECUTED:
            if (one, other) != ("PLACED", "REJECTED"):
                self._fail("wrong_verdicts", name, f"told {one} and then {other}")
        elif one == "REJECTED" or (one == "DONE" and other != "DONE"):
            self._fail("wrong_verdicts", name, f"told {one} and then {other}")

    def _judge_close_all(self, wish: Wish) -> None:
        # Its parts are commands with tags of their own.
        parts: dict[str, list[Claim]] = {}
        for claim in wish.claims:
            for child in (claim.result or {}).get("children", ()):
                told = dataclasses.replace(claim, result=child)
                parts.setdefault(child["command_id"], []).append(told)
        for name, claims in parts.items():
            truth = self._truth_of_tag(order_tag(name), pending=False)
            if truth.executions > 1:
                self._fail("duplicated", name, "a part of close_all was executed twice")
            self._judge_closes(name, truth)
            if truth.orders:
                self._judge_claims(name, claims, truth)

    def _judge_end(self, wish: Wish) -> None:
        last = wish.claims[-1]
        if last.final or last.said in {Said.UNHEARD, Said.REFUSED}:
            return
        told = last.error or last.outcome or "nothing"
        self._fail("unresolved", wish.command_id, f"no end in time: {told}")

    # --- events ------------------------------------------------------------------------------------

    def _judge_events(self) -> None:
        seen: dict[int, int] = {}
        for place, body in enumerate(self._bodies, 1):
            if b"\xa4DEAL" not in body[:48]:
                continue
            event = read_trade(body)
            if event.seq != place:
                self._fail("lost", f"trade/{place}", f"event {place} has number {event.seq}")
            ticket = int(event.record["ticket"])
            seen[ticket] = seen.get(ticket, 0) + 1
        for deal in self._deals:
            count = seen.get(deal.ticket, 0)
            name = f"deal/{deal.ticket}"
            if not count:
                self._fail("lost", name, "no event tells of this deal")
            elif count > 1:
                self._fail("duplicated", name, f"{count} events tell of this deal")

    def _fail(self, kind: str, name: str, text: str) -> None:
        self._verdicts.failures.append(Failure(kind, name, text))


@dataclasses.dataclass(slots=True)
class _Truth:
    # What the broker has of a command. ``loose``: somebody else may have done it.
    executions: int
    executed: bool
    orders: list[OrderRecord] = dataclasses.field(default_factory=list)
    deals: list[DealRecord] = dataclasses.field(default_factory=list)
    placed: bool = False
    loose: bool = False


def _comments(truth: _Truth) -> str:
    return " ".join(order.comment for order in truth.orders)
