"""The judge: what the broker did against what clients were told. It believes nobody else.

Theory of operation. The broker's ledger has the comment of every request; that of a command is
``order_tag(command_id)``. A cancel has no order of its own: it is found by the ticket that it names.
The journal's word (``order_status``) is one more thing that a client is told, at the very end.

duplicated: the broker executed what one id asked for more than once.
lost: the broker executed it and the end says that it did not or knows nothing, or a client was
told of a command that is not known any more.
wrong: anybody was told an end that is not true of the ledger; also when it was put right later.
unresolved: no end at all.
"""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from bridge.model.enums import OrderState, TradeRequestActions
from bridge.model.trade import order_tag

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from bridge.sim.exchange_records import Ledger, Processed

__all__ = ["Judgement", "Told", "judge", "read_answers"]

_EXECUTED = frozenset({"DONE", "PARTIAL", "PLACED"})
_NOT_EXECUTED = frozenset({"REJECTED", "DENIED"})
_ACCEPTED = frozenset({10_008, 10_009, 10_010})
_SHOWN = 20
_TINY = 1e-9


@dataclasses.dataclass(slots=True)
class Told:
    """
    What was asked under one id, and everything that was said about it.

    ``waiting``: who asked and was not told that nothing came of it, and nothing will.
    """

    method: str = ""
    args: list[Any] = dataclasses.field(default_factory=list)
    results: list[tuple[float, dict[str, Any]]] = dataclasses.field(default_factory=list)
    asks: int = 0
    first_ask: float = 0.0
    unanswered: int = 0
    errors: int = 0
    askers: set[str] = dataclasses.field(default_factory=set)
    waiting: set[str] = dataclasses.field(default_factory=set)
    #: ``order_status`` at the end; ``None``: the relay does not know the id
    status: dict[str, Any] | None = None

    @property
    def first_end(self) -> float | None:
        """
        When somebody was told the end for the first time.
        """
        return next(
            (at for at, told in self.results if told.get("final") and told.get("tag")), None
        )


@dataclasses.dataclass(slots=True)
class Judgement:
    """
    The counts, and for each that is not zero the first ones by name.
    """

    orders: int = 0
    executed: int = 0
    lost: int = 0
    duplicated: int = 0
    wrong: int = 0
    unresolved: int = 0
    shown: list[str] = dataclasses.field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (self.lost or self.duplicated or self.wrong or self.unresolved)

    def blame(self, kind: str, name: str, why: str) -> None:
        """
        Count one.
        """
        setattr(self, kind, getattr(self, kind) + 1)
        if len(self.shown) < _SHOWN:
            self.shown.append(f"{kind}: {name}: {why}")


def read_answers(paths: Iterable[Path]) -> dict[str, Told]:
    """
    Return what the files of all clients say, by command id.
    """
    told: dict[str, Told] = defaultdict(Told)
    lines = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    for at, name, event, details in sorted(lines, key=lambda line: line[0]):
        entry = told[name]
        if event == "ask":
            entry.asks += 1
            entry.first_ask = entry.first_ask or at
            entry.askers.add(details["asker"])
            entry.waiting.add(details["asker"])
            entry.method, entry.args = details["method"], details["args"]
        elif event == "result":
            entry.results.append((at, details))
        elif event == "unanswered":
            entry.unanswered += 1
        elif event == "error":
            entry.errors += 1
        else:
            # Its last word was a denial that left the id free.
            entry.waiting.discard(details["asker"])
    return dict(told)


def judge(told: dict[str, Told], ledger: Ledger) -> Judgement:
    """
    Compare. Names that differ behind a colon only are one wish, which may come true once.
    """
    judgement = Judgement(orders=len(told))
    requests: dict[str, list[Processed]] = defaultdict(list)
    removed: dict[int, int] = defaultdict(int)
    for one in ledger.requests:
        if one.retcode in _ACCEPTED:
            if one.action == TradeRequestActions.REMOVE:
                removed[one.order] += 1
            else:
                requests[one.comment].append(one)
    books = _Books(ledger)
    wishes: dict[str, int] = defaultdict(int)
    for name, entry in told.items():
        if entry.method == "order_cancel":
            count = removed[entry.args[0]]
        else:
            count = len(requests.pop(order_tag(name), ()))
        wishes[name.partition(":")[0]] += count
        judgement.executed += bool(count)
        _judge_one(judgement, name, entry, count, books)
    for name, count in wishes.items():
        if count > 1:
            judgement.blame("duplicated", name, f"executed {count} times")
    for tag, left in requests.items():
        judgement.blame("duplicated", tag or "an order without a tag", f"not ours: {left[0]}")
    return judgement


class _Books:
    # The ledger, by what a result names.

    def __init__(self, ledger: Ledger) -> None:
        self.tags = ledger.tags
        self.orders = {order.ticket: order for order in ledger.orders}
        self.deals: dict[int, dict[int, float]] = defaultdict(dict)
        for deal in ledger.deals:
            self.deals[deal.order][deal.ticket] = deal.volume

    def was_refused_later(self, ticket: int) -> bool:
        """
        Return whether a pending order was placed and then, when its price came, refused.
        """
        order = self.orders.get(ticket)
        refused = order is not None and order.state == OrderState.REJECTED
        return refused and not self.deals[ticket]


def _judge_one(judgement: Judgement, name: str, entry: Told, count: int, books: _Books) -> None:
    for _, result in entry.results:
        problem = _problem(name, entry, result, count, books)
        if problem is not None:
            judgement.blame("wrong", name, f"a client was told {result}, but {problem}")
            break
    if count and not entry.waiting:
        judgement.blame("wrong", name, "everybody was told that nothing was sent, and it was")
    status = entry.status
    if status is None:
        if count:
            judgement.blame("lost", name, f"executed {count} times and not known any more")
        elif any(result.get("tag") for _, result in entry.results):
            judgement.blame("lost", name, "a client was told of it, and it is not known any more")
        return
    if not status.get("final"):
        judgement.blame("unresolved", name, str(status))
        return
    problem = _problem(name, entry, status, count, books)
    if problem is not None:
        kind = "lost" if count and status["outcome"] in _NOT_EXECUTED else "wrong"
        judgement.blame(kind, name, f"the journal says {status}, but {problem}")


def _problem(
    name: str, entry: Told, result: dict[str, Any], count: int, books: _Books
) -> str | None:
    # What is not true of a result; None: nothing.
    if result.get("corrected"):
        return "an end was taken back"
    outcome = result["outcome"]
    if outcome in _EXECUTED and not count:
        return "the broker never executed it"
    if outcome in _NOT_EXECUTED and result.get("tag") and result.get("final") and count:
        if outcome == "REJECTED" and books.was_refused_later(result.get("order", 0)):
            return None
        return f"the broker executed it {count} times"
    if not result.get("final") or outcome not in _EXECUTED:
        return None
    order = result.get("order", 0)
    if entry.method == "order_cancel":
        cancelled = books.orders[entry.args[0]].state == OrderState.CANCELED
        return None if cancelled else "the order is not cancelled"
    if books.tags.get(order) != order_tag(name):
        return f"order {order} is not its order"
    deals = books.deals[order]
    if outcome == "PLACED":
        return None
    if sorted(result.get("deals", ())) != sorted(deals):
        return f"its deals are {sorted(deals)}"
    volume = sum(deals.values())
    if abs(result.get("volume", 0.0) - volume) > _TINY:
        return f"{volume:g} lots were executed"
    return None
