"""The stories: what a client asks for, from its request to the end that it is told.

Each is told once without a fault, which gives its points (``points``), and once for every point
and fault. The client asks again under the same id until it is told an end, as the client library
does. What must be true at the end of every one is ``check``.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any, ClassVar, Final

from bridge.bus.bodies import read_trade
from bridge.journal import Entry
from bridge.model.enums import OrderType, OrderTypeFilling, TradeRequestActions
from bridge.model.trade import TradeRequest
from bridge.wire.spec import OrderOutcome, TradingState
from tests.failpoints.processes import SETTLE_MS
from tests.failpoints.world import ALIAS, MS, SECOND, World

__all__ = ["STORIES", "Story"]

#: how long anything may take once faults have ended: the settle time and 5 s
_LIMIT_US: Final = SETTLE_MS * MS + 5 * SECOND
_AGAIN_US: Final = 100 * MS
_NO_REPLY_US: Final = 3 * SECOND
_BUY: Final = {"action": "DEAL", "symbol": "EURUSD", "volume": 0.1, "type": "BUY"}
_LIMIT: Final = {
    "action": "PENDING",
    "symbol": "EURUSD",
    "volume": 0.1,
    "type": "BUY_LIMIT",
    "price": 1.09,
}
_EXECUTED: Final = {"DONE", "PARTIAL", "PLACED"}


class Order:
    """
    An order that a client wants under one id, whatever happens.
    """

    def __init__(self, world: World, name: str, method: str, params: dict[str, Any]) -> None:
        self.name = name
        #: every end that was told
        self.ends: list[dict[str, Any]] = []
        self._world = world
        self._wanted = name, method, params
        self._number = 0
        self._asked: tuple[Any, int] = (None, 0)
        self._not_before_us = 0

    def tend(self) -> bool:
        """
        Ask if nobody was asked, or nobody answered; return whether an end was told.
        """
        world = self._world
        if self.ends:
            return True
        reply = world.replies.get(self._number)
        relay, asked_us = self._asked
        if reply is not None:
            self._number = 0
            self._not_before_us = world.us + _AGAIN_US
            result = reply["result"] if reply["ok"] else {"final": False}
            if result["final"] and world.store.find(f"c/{self.name}") is not None:
                self.ends.append(result)
                return True
        elif self._number and (world.relay is not relay or world.us > asked_us + _NO_REPLY_US):
            self._number = 0
        if not self._number and world.us >= self._not_before_us and world.relay is not None:
            self._asked = world.relay, world.us
            self._number = world.ask(*self._wanted)
        return False

    def again(self) -> None:
        """
        Ask once more for what has an end.
        """
        number = self._world.ask(*self._wanted)
        assert self._world.run(lambda: number in self._world.replies, _LIMIT_US), "no reply"
        reply = self._world.replies[number]
        assert reply["ok"], reply
        assert reply["result"]["replayed"]
        self.ends.append(reply["result"])


class Story:
    """
    A story: ``prepare`` the world, then ``begin``, then ``goes_on`` until it is over.
    """

    name = ""
    #: what it is about, for the table
    about = ""
    netting = False
    rules: ClassVar[dict[str, Any]] = {}
    #: how it ends when nothing happens
    outcome = "DONE"

    def __init__(self, world: World) -> None:
        self.world = world
        self.orders: list[Order] = []

    def prepare(self) -> None:
        """
        Do what is before the story: nothing of it is stopped.
        """
        self.connect()

    def begin(self) -> None:
        """
        Do the first thing.
        """
        self.want("1", "order_send", _BUY)

    def goes_on(self) -> bool:
        """
        Do what is next; return whether there is more to come.
        """
        # Every one is tended, also behind one that has no end.
        ended = [order.tend() for order in self.orders]
        return not all(ended)

    # --- for the stories --------------------------------------------------------------------

    def want(self, name: str, method: str, params: dict[str, Any]) -> Order:
        """
        Want an order from now on.
        """
        order = Order(self.world, name, method, params)
        self.orders.append(order)
        return order

    def connect(self) -> None:
        """
        Wait for a session in which nothing is going on.
        """
        world = self.world

        def ready() -> bool:
            return world.relay is not None and bool(
                world.relay.core.tradings[ALIAS].permissions_now()
            )

        assert world.run(ready, _LIMIT_US), "the terminal does not log on"
        world.run(lambda: False, 50 * MS)

    def send(self, **fields: Any) -> None:
        """
        Have the broker execute something that no command asked for.
        """
        sent = self.world.exchange.order_send(TradeRequest(**fields), self.world.us)
        self.world.us = max(self.world.us, sent.at_us)
        self.world.exchange.advance(self.world.us)
        assert sent.result is not None
        assert sent.result.retcode in {10008, 10009}, sent.result

    def position(self, volume: float = 0.1) -> int:
        """
        Open a position and return its ticket.
        """
        self.send(action=TradeRequestActions.DEAL, symbol="EURUSD", volume=volume, type=0)
        return self.world.exchange.positions()[-1].ticket

    def pending(self) -> int:
        """
        Place a pending order and return its ticket.
        """
        self.send(
            action=TradeRequestActions.PENDING,
            symbol="EURUSD",
            volume=0.1,
            type=OrderType.BUY_LIMIT,
            price=1.09,
            type_filling=OrderTypeFilling.RETURN,
        )
        return self.world.exchange.orders()[-1].ticket

    # --- the whole ----------------------------------------------------------------------------

    def tell(self) -> None:
        """
        Tell the story to its end.
        """
        self.prepare()
        world = self.world
        world.recording = True
        self.begin()
        assert world.run(lambda: not self.goes_on(), _LIMIT_US), self.why()
        assert world.run(self._is_at_rest, _LIMIT_US), self.why()
        world.recording = False

    def check(self) -> None:
        """
        Check what must be true, whatever happened.
        """
        world = self.world
        for order in self.orders:
            order.again()
            order.again()
            first, second, third = map(_plain, order.ends)
            assert second == third, "an end that was told has changed"
            assert [] == _contradictions(first, second), "an end that was told was not true"
        twice = [call for call, count in collections.Counter(world.calls).items() if count > 1]
        assert [] == twice, "OrderSend was called twice for one id"
        for entry in world.store._entries.values():
            if entry.request is not None:
                self._check_entry(entry)
        self._check_events()

    def _check_entry(self, entry: Entry) -> None:
        books = self.world.exchange.ledger()
        assert entry.verdict is not None
        assert entry.final
        assert not entry.verdict.corrected, "an end was told that was not true"
        assert entry.request is not None
        if entry.request.action == TradeRequestActions.REMOVE:
            times = sum(
                one.action == TradeRequestActions.REMOVE
                and one.order == entry.request.order
                and one.retcode == 10009
                for one in books.requests
            )
        else:
            times = books.executions_of(entry.tag)
            assert len(books.orders_of(entry.tag)) <= 1
        said = OrderOutcome(entry.verdict.outcome)
        assert int(said.name in _EXECUTED) == times, f"{entry.command_id} is said to be {said.name}"
        if entry.request.action == TradeRequestActions.DEAL:
            deals = books.deals_of(entry.tag)
            assert [deal.ticket for deal in deals] == list(entry.verdict.deals)
            assert sum(deal.volume for deal in deals) == entry.verdict.volume

    def _check_events(self) -> None:
        # Every deal of the broker since the beginning is told once, and every number has one body.
        world = self.world
        newest = world.store.trade_range(ALIAS).newest
        first, bodies = world.store.read_trade(ALIAS, 1, newest, 10**9)
        assert newest == len(bodies) + first - 1
        told = [read_trade(body) for body in bodies]
        deals = [one.record["ticket"] for one in told if one.kind == "DEAL"]
        assert len(deals) == len(set(deals)), "an event has two numbers"
        assert {deal.ticket for deal in world.exchange.ledger().deals[self.deals_before() :]} <= {
            *deals
        }, "an event is lost"
        kept = dict(enumerate(bodies, first))
        for (_, seq), body in world.published.items():
            assert body == kept[seq], "what was published is not what is on the disk"

    def deals_before(self) -> int:
        """
        Return how many deals there were before the relay had ever seen the account.
        """
        return 0

    def _is_at_rest(self) -> bool:
        world = self.world
        if world.relay is None or world.terminal is None or not world.terminal.core.active:
            return False
        trading = world.relay.core.tradings[ALIAS]
        deals = {deal.ticket for deal in world.exchange.ledger().deals[self.deals_before() :]}
        at_rest = not trading.orders.describe()["open_orders"] and not world.relay.journal.pending
        return at_rest and deals <= self._told_deals()

    def _told_deals(self) -> set[int]:
        held = self.world.store._trade.get(ALIAS, {})
        told = (read_trade(body) for body, _ in held.values())
        return {one.record["ticket"] for one in told if one.kind == "DEAL"}

    def why(self) -> str:
        """
        Return what hangs, for a failing test.
        """
        world = self.world
        open_ones = {
            name: entry.verdict and entry.verdict.text
            for name, entry in world.store._entries.items()
            if not entry.final
        }
        return f"not resolved in time: {open_ones}; reached: {world.reached[-12:]}"


class MarketOrder(Story):
    name = "market order"
    about = "a market order, filled at once"


class LostAnswer(Story):
    name = "lost answer"
    about = "the broker executes, and its answer is lost: found by a question"
    rules: ClassVar = {"lose_reply": 1.0, "reply_timeout_ms": 50, "visibility_ms": (300, 300)}


class LostRequest(Story):
    name = "lost request"
    about = "nothing arrives at the broker: not found when the settle time is over"
    rules: ClassVar = {"lose_request": 1.0, "reply_timeout_ms": 50}
    outcome = "REJECTED"


class RejectedOrder(Story):
    name = "rejected order"
    about = "the broker refuses"
    rules: ClassVar = {"reject": 1.0}
    outcome = "REJECTED"


class NettingClose(Story):
    name = "netting close"
    about = "the position of a netting account is closed"
    netting = True

    def prepare(self) -> None:
        self._position = self.position()
        self.connect()

    def begin(self) -> None:
        self.want("1", "position_close", {"position": self._position})

    def deals_before(self) -> int:
        return 1


class Cancel(Story):
    name = "cancel"
    about = "a pending order is taken back"

    def prepare(self) -> None:
        self._order = self.pending()
        self.connect()

    def begin(self) -> None:
        self.want("1", "order_cancel", {"order": self._order})


class PendingOrder(Story):
    name = "pending order"
    about = "a pending order is placed, and filled when the price comes"
    outcome = "PLACED"

    def begin(self) -> None:
        self.want("1", "order_send", _LIMIT)

    def goes_on(self) -> bool:
        if super().goes_on():
            return True
        world = self.world
        # Only then, once: a price that comes earlier would fill it in another story.
        if not hasattr(self, "_quoted") and world.terminal is not None:
            self._quoted = True
            world.quote(1.0899, 1.09)
        return False


class CloseAll(Story):
    name = "close all"
    about = "two positions and a pending order are closed by one command"

    def prepare(self) -> None:
        for _ in range(2):
            self.position()
        self.pending()
        self.connect()

    def begin(self) -> None:
        self.want("1", "close_all", {"orders": True})

    def deals_before(self) -> int:
        return 2


class OpenAtLogon(Story):
    name = "logon with an open order"
    about = "the link is lost while OrderSend blocks: asked for at the next logon"
    rules: ClassVar = {"reply_ms": (100, 100)}

    def prepare(self) -> None:
        self.connect()
        order = self.want("1", "order_send", _BUY)

        def executed() -> bool:
            order.tend()
            return bool(self.world.calls)

        assert self.world.run(executed, _LIMIT_US)
        self.world.cut()

    def begin(self) -> None:
        pass


class Halted(Story):
    name = "halt"
    about = "trading is halted, an order denied, and trading resumed"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._steps: list[Callable[[], bool]] = [
            lambda: self._is_set(TradingState.HALTED),
            self._is_denied,
            lambda: self._is_set(TradingState.ACTIVE),
            self._is_done,
        ]
        self._told: list[Any] = []
        self._asked: tuple[Any, int] | None = None
        self._number = 0

    def begin(self) -> None:
        pass

    def goes_on(self) -> bool:
        if self._steps and self._steps[0]():
            self._steps.pop(0)
            self._asked = None
            self._told = []
        return bool(self._steps)

    def _is_set(self, state: TradingState) -> bool:
        # Acknowledged, and true of every program that runs.
        world = self.world
        if self._told and "terminals" in self._told[-1]:
            return True
        if world.relay is not None and (self._asked is None or self._asked[0] is not world.relay):
            self._asked = world.relay, world.us
            self._told = []
            world.set_state(state, self._told)
        return False

    def _is_denied(self) -> bool:
        # Acknowledged once, a halt holds whatever happens then.
        world = self.world
        reply = world.replies.get(self._number)
        if reply is not None and reply["ok"]:
            assert reply["result"]["outcome"] == "DENIED"
            assert [] == world.calls
            if reply["result"]["reason"] == "HALTED":
                return True
            self._number = 0
        if world.relay is not None and (self._asked is None or self._asked[0] is not world.relay):
            self._number = 0
        if not self._number and world.relay is not None:
            self._asked = world.relay, world.us
            self._number = world.ask("denied", "order_send", _BUY)
        return False

    def _is_done(self) -> bool:
        if not self.orders:
            self.want("1", "order_send", _BUY)
        return self.orders[0].tend()


def _plain(result: dict[str, Any]) -> dict[str, Any]:
    # Without what tells an answer from its repetition.
    children = [_plain(child) for child in result["children"]]
    return {**result, "replayed": False, "children": children}


def _contradictions(told: dict[str, Any], later: dict[str, Any]) -> list[str]:
    # What was told and is not so. More may become known: a position shows before its deal, and
    # a placed order is filled.
    if told["outcome"] == "PLACED" != later["outcome"] == "DONE":
        return []
    found = []
    for name, value in told.items():
        if name == "children":
            for one, other in zip(value, later["children"], strict=True):
                found += _contradictions(one, other)
        elif name == "deals":
            found += [name] * (not set(value) <= set(later[name]))
        elif name != "evidence" and value and value != later[name]:
            found.append(name)
    return found


STORIES: Final[dict[str, type[Story]]] = {
    story.name: story
    for story in (
        MarketOrder,
        LostAnswer,
        LostRequest,
        RejectedOrder,
        NettingClose,
        Cancel,
        PendingOrder,
        CloseAll,
        OpenAtLogon,
        Halted,
    )
}
