"""Strategies: what they want, how long they wait, how they ask again, and that they crash.

A client is the real request state machine and the real flows of ``bridge.client``. Its list of
ids is on a disk that never fails; everything else it forgets when it is started anew.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from bridge.bus.requests import Method
from bridge.client.flows import Calls, Flow, Inquiry
from bridge.client.orders import OrderCalls
from bridge.client.requests import OpenRequests
from bridge.exceptions import NotAvailable, OrderUnknown, RelayUnreachable, RequestError
from tests.simulation.broker import POINT, PRICE
from tests.simulation.claims import Claim, Said, Wish
from tests.simulation.hosts import ALIAS
from tests.simulation.loop import MS, SECOND, Alarm
from tests.simulation.network import BusLine

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["Strategy", "plain"]

#: Longer than any frame is on its way in this world.
_UNDER_WAY_US: Final = 3 * SECOND
_ATTEMPTS_MAX: Final = 8
_TIMEOUTS_S: Final = (0.6, 4.0, 6.0, 6.0, 8.0, 8.0)
_HELD_MAX: Final = 2
_PENDING_MAX: Final = 3
#: How often a client looks at what is open before it decides.
_LOOKS: Final = 0.06
#: What a denial says that time heals.
_PASSING: Final = frozenset(
    {"TERMINAL_AWAY", "TERMINAL_BUSY", "NOT_CONNECTED", "UNRESOLVED", "JOURNAL", "EXPIRED"}
)
_EXECUTED: Final = frozenset({"DONE", "PARTIAL"})
#: Stops are far from every price, and each is another one: so a change shows whose it was.
_LOW, _HIGH = 0.5, 1.7


class _Held:
    # A position that the client knows of.
    __slots__ = ("buys", "closing", "symbol", "ticket")

    def __init__(self, ticket: int, symbol: str, *, buys: bool) -> None:
        self.ticket = ticket
        self.symbol = symbol
        self.buys = buys
        self.closing = 0


class Strategy:
    """
    One client, with symbols that no other one trades.
    """

    def __init__(self, world: World, number: int, symbols: list[str]) -> None:
        self.client_id = f"s{number}"
        self.wishes: dict[str, Wish] = {}
        self.open: dict[str, Wish] = {}
        self.restarts = 0
        self._world = world
        self._loop = world.loop
        self._rng = world.rng_of(f"client/{number}")
        self._magic = number + 1
        self._symbols = symbols
        self._held: dict[int, _Held] = {}
        #: open orders: ticket to (symbol, whether it buys)
        self._pending: dict[int, tuple[str, bool]] = {}
        self._locks: set[Any] = set()
        self.line = BusLine(world.loop, self._rng, self._heard, self._flush, world.latency_us)
        self._begin()

    def _begin(self) -> None:
        self._requests = OpenRequests("tcp://127.0.0.1:1", self.client_id)
        self.calls = OrderCalls(Calls(ALIAS), self.client_id)
        self._alarm = Alarm(self._loop, self._timer)

    # --- life --------------------------------------------------------------------------------

    def restart(self) -> None:
        """
        Crash and begin anew: of every question only the ids are left.
        """
        self.restarts += 1
        self._alarm.off()
        now = self._loop.now
        for wish in self.open.values():
            wish.threads = 0
            for claim in wish.claims:
                if not claim.at_us:
                    claim.at_us, claim.until_us = now, now + _UNDER_WAY_US
        self._begin()
        for wish in self.open.values():
            self._loop.after(self._rng.randint(0, SECOND), self.pursue, wish, self.restarts)

    # --- what it wants -----------------------------------------------------------------------

    def decide(self, number: int) -> None:
        """
        Decide to have something, and ask for it: perhaps from two threads at once.
        """
        if self._rng.random() < _LOOKS:
            self._look()
        method, params, locks = self._decision(number)
        wish = Wish(self.client_id, f"o{number}", method, params, locks)
        self._locks.update(locks)
        self.wishes[wish.name] = self.open[wish.name] = wish
        self.pursue(wish, self.restarts)
        if self._rng.random() < 0.08:
            delay = self._rng.randint(0, 2 * SECOND)
            self._loop.after(delay, self.pursue, wish, self.restarts)

    def _look(self) -> None:
        # What is open really: pending orders were filled, and replies were lost.
        life = self.restarts

        def positions(found: Any, error: RequestError | None) -> None:
            if error is None and life == self.restarts:
                seen = {one.ticket: one for one in found if one.ticket not in self._held}
                for ticket, one in seen.items():
                    self._held[ticket] = _Held(ticket, one.symbol, buys=one.type == 0)
                open_now = {one.ticket for one in found}
                for ticket in [t for t, h in self._held.items() if not h.closing]:
                    if ticket not in open_now:
                        del self._held[ticket]

        def orders(found: Any, error: RequestError | None) -> None:
            if error is None and life == self.restarts:
                self._pending = {
                    one.ticket: (one.symbol, one.type % 2 == 0) for one in found if one.type > 1
                }

        self.run(self.calls.positions(None, self._magic, None), 3.0, positions)
        self.run(self.calls.orders(None, self._magic, None), 3.0, orders)

    def _decision(self, number: int) -> tuple[Method, dict[str, Any], tuple[Any, ...]]:
        rng = self._rng
        chance = rng.random()
        held = [one for one in self._held.values() if not self._is_locked(one)]
        idle = [one for one in held if not one.closing]
        full = len(idle) >= _HELD_MAX
        if held and chance < (0.92 if full else self._world.plan.closing):
            double = not idle or rng.random() < self._world.plan.doubles
            chosen = rng.choice(held if double else idle)
            made = self._about_position(chosen, idle, number)
            if made is not None:
                return made
        orders = [ticket for ticket in self._pending if ("order", ticket) not in self._locks]
        if orders and (chance > 0.90 or len(self._pending) >= _PENDING_MAX):
            return self._about_order(rng.choice(orders), number)
        if chance > 0.80 and len(self._pending) < _PENDING_MAX:
            return self._new_pending()
        symbol = self._free_symbol()
        if ("symbol", symbol) in self._locks:
            return self._new_pending()
        params: dict[str, Any] = {
            "action": "DEAL",
            "symbol": symbol,
            "volume": rng.randint(1, 5) / 100,
            "type": rng.choice(("BUY", "SELL")),
            "magic": self._magic,
            "deviation": 50,
        }
        return Method.ORDER_SEND, params, ()

    def _free_symbol(self) -> str:
        # In netting a deal changes the position's stops: not while a change of them is open.
        free = [one for one in self._symbols if ("symbol", one) not in self._locks]
        return self._rng.choice(free or self._symbols)

    def _is_locked(self, held: _Held) -> bool:
        return not self._locks.isdisjoint({("position", held.ticket), ("symbol", held.symbol)})

    def _about_position(
        self, held: _Held, others: list[_Held], number: int
    ) -> tuple[Method, dict[str, Any], tuple[Any, ...]] | None:
        rng = self._rng
        chance = rng.random()
        if chance < 0.12:
            level = (_LOW if held.buys else _HIGH) + (number % 20_000) * POINT
            name = ("symbol", held.symbol) if self._world.netting else ("position", held.ticket)
            if self._is_moving(held):
                return None
            params = {"position": held.ticket, "sl": round(level, 5)}
            return Method.POSITION_MODIFY, params, (name,)
        opposite = [one for one in others if one.symbol == held.symbol and one.buys != held.buys]
        if opposite and not self._world.netting and chance < 0.30 and not held.closing:
            other = rng.choice(opposite)
            held.closing += 1
            other.closing += 1
            params = {"position": held.ticket, "position_by": other.ticket}
            return Method.POSITION_CLOSE_BY, params, ()
        if chance > (0.7 if len(self._held) > 3 * _HELD_MAX else 0.985) and not self._locks:
            params = {"symbol": held.symbol, "magic": self._magic, "orders": rng.random() < 0.5}
            return Method.CLOSE_ALL, params, ()
        held.closing += 1
        params = {"position": held.ticket}
        if rng.random() < 0.3:
            params["volume"] = 0.01
        return Method.POSITION_CLOSE, params, ()

    def _is_moving(self, held: _Held) -> bool:
        # Something under way may close the position: then nobody could see its stops.
        return any(
            wish.params.get("symbol") == held.symbol
            or held.ticket in {wish.params.get("position"), wish.params.get("position_by")}
            for wish in self.open.values()
        )

    def _about_order(
        self, ticket: int, number: int
    ) -> tuple[Method, dict[str, Any], tuple[Any, ...]]:
        lock = (("order", ticket),)
        if self._rng.random() < 0.5:
            _, buys = self._pending[ticket]
            level = (_LOW if buys else _HIGH) + (number % 20_000) * POINT
            return Method.ORDER_MODIFY, {"order": ticket, "sl": round(level, 5)}, lock
        return Method.ORDER_CANCEL, {"order": ticket}, lock

    def _new_pending(self) -> tuple[Method, dict[str, Any], tuple[Any, ...]]:
        rng = self._rng
        kind = rng.choice(("BUY_LIMIT", "SELL_LIMIT", "BUY_STOP", "SELL_STOP"))
        below = kind in {"BUY_LIMIT", "SELL_STOP"}
        # In netting none is filled: a fill on its way to us and a close would cross.
        far = self._world.netting or rng.random() < 0.6
        points = rng.randint(450, 900) if far else rng.randint(50, 300)
        price = PRICE + (-points if below else points) * POINT
        params = {
            "action": "PENDING",
            "symbol": self._free_symbol(),
            "volume": rng.randint(1, 5) / 100,
            "type": kind,
            "price": round(price, 5),
            "magic": self._magic,
        }
        return Method.ORDER_SEND, params, ()

    # --- how it asks ----------------------------------------------------------------------------

    def pursue(self, wish: Wish, life: int) -> None:
        """
        Ask for a wish, or what became of it.
        """
        if life != self.restarts or wish.over or self._world.over:
            return
        rng = self._rng
        timeout_s = rng.choice(_TIMEOUTS_S)
        claim = Claim(self._loop.now, traded=True)
        wish.attempts += 1
        wish.threads += 1
        if wish.attempts > 1 and rng.random() < 0.4:
            claim.traded = False
            flow: Flow[Any] = self.calls.status(wish.name, None, None)
        else:
            flow = self.calls.trade(wish.method, wish.name, wish.params)
        wish.claims.append(claim)
        self._world.trace(wish, "asks", f"{'trade' if claim.traded else 'status'} {timeout_s} s")
        self.run(flow, timeout_s, functools.partial(self._told, wish, claim, life))

    def run(
        self,
        flow: Flow[Any],
        timeout_s: float,
        done: Callable[[Any, RequestError | None], None],
    ) -> None:
        """
        Run a flow of the client to its end; ``done(value, error)`` is called once.
        """
        self._go_on(flow, timeout_s, done, None, None)
        self._flush()

    def _go_on(
        self,
        flow: Flow[Any],
        timeout_s: float,
        done: Callable[[Any, RequestError | None], None],
        value: Any,
        error: RequestError | None,
    ) -> None:
        try:
            step = flow.send(value) if error is None else flow.throw(error)
        except StopIteration as end:
            done(end.value, None)
            return
        except RequestError as failed:
            done(None, failed)
            return
        if isinstance(step, Inquiry):
            goes_on = functools.partial(self._go_on, flow, timeout_s, done)
            self._requests.ask(
                step,
                timeout_s,
                lambda result: goes_on(result, None),
                lambda failed: goes_on(None, failed),
                self._now_s,
            )
        else:
            delay = int(step.seconds * SECOND)
            self._loop.after(delay, self._go_on, flow, timeout_s, done, None, None)

    @property
    def _now_s(self) -> float:
        return self._loop.now / SECOND

    def _heard(self, frame: bytes) -> None:
        self._requests.receive(frame, self._now_s)
        self._flush()

    def _timer(self) -> None:
        self._requests.timer(self._now_s)
        self._flush()

    def _flush(self) -> None:
        self._requests.send(self.line.take, self._now_s)
        deadline = self._requests.deadline
        if deadline < float("inf"):
            self._alarm.set(int(deadline * SECOND) + 1)

    # --- what it is told ------------------------------------------------------------------------

    def _told(
        self, wish: Wish, claim: Claim, life: int, value: Any, error: RequestError | None
    ) -> None:
        if life != self.restarts:
            return
        now = self._loop.now
        wish.threads -= 1
        wish.hears(claim, now)
        again = False
        if error is None:
            claim.said = Said.RESULT
            claim.result = plain(value)
            again = self._learn(wish, claim)
        elif isinstance(error, OrderUnknown | RelayUnreachable):
            claim.until_us = now + _UNDER_WAY_US
            again = True
        elif isinstance(error, NotAvailable) and not claim.traded:
            claim.said = Said.UNHEARD
            again = self._rng.random() < 0.9
        elif claim.traded and error.code != "INTERNAL":
            claim.said = Said.REFUSED
            again = self._rng.random() < 0.9
        else:
            again = True
        claim.error = "" if error is None else f"{error.code}: {error.message}"
        self._world.trace(wish, "told", claim.error or _words(claim.result))
        self._world.told(wish, claim)
        gives_up = wish.attempts >= _ATTEMPTS_MAX and claim.said is not Said.NOTHING
        if again and not (gives_up and claim.outcome != "UNKNOWN"):
            delay = self._rng.randint(200 * MS, 3 * SECOND)
            if wish.attempts > _ATTEMPTS_MAX:
                delay *= 3
            self._loop.after(delay, self.pursue, wish, life)
        elif not wish.threads:
            self._end(wish)

    def _learn(self, wish: Wish, claim: Claim) -> bool:
        # Returns whether to ask again.
        result = claim.result or {}
        outcome, reason = claim.outcome, str(result.get("reason", ""))
        if not claim.final:
            return True
        if outcome == "DENIED" and reason in _PASSING and wish.attempts < _ATTEMPTS_MAX:
            return self._rng.random() < 0.9
        wish.ended = True
        if wish.method is Method.ORDER_SEND:
            self._opened(wish, outcome, int(result["position"]), int(result["order"]))
        else:
            self._changed(wish.method, wish.params, outcome)
        return False

    def _opened(self, wish: Wish, outcome: str, position: int, order: int) -> None:
        symbol, buys = str(wish.params["symbol"]), str(wish.params["type"]).startswith("BUY")
        if outcome == "PLACED":
            self._pending[order] = (symbol, buys)
        elif outcome in _EXECUTED and position:
            if position not in self._held:
                self._held[position] = _Held(position, symbol, buys=buys)
            if self._world.netting:
                for ticket in [t for t, h in self._held.items() if h.symbol == symbol]:
                    if ticket != position:
                        del self._held[ticket]

    def _changed(self, method: Method, params: dict[str, Any], outcome: str) -> None:
        if method is Method.ORDER_CANCEL:
            self._pending.pop(int(params["order"]), None)
        elif method is Method.POSITION_CLOSE:
            self._closed(params["position"], gone="volume" not in params or outcome != "DONE")
        elif method is Method.POSITION_CLOSE_BY:
            self._closed(params["position"], gone=True)
            self._closed(params["position_by"], gone=True)
        elif method is Method.CLOSE_ALL:
            gone = [t for t, h in self._held.items() if h.symbol == params["symbol"]]
            for ticket in gone:
                del self._held[ticket]
            self._pending.clear()
        elif method is Method.ORDER_MODIFY and outcome != "DONE":
            # It may be filled or expired by now.
            self._pending.pop(int(params["order"]), None)

    def _closed(self, ticket: int, *, gone: bool) -> None:
        held = self._held.get(ticket)
        if held is not None:
            held.closing -= 1
            if gone and held.closing <= 0:
                del self._held[ticket]

    def _end(self, wish: Wish) -> None:
        if wish.over:
            return
        if wish.ended and self._rng.random() < 0.02 and wish.attempts < 2 * _ATTEMPTS_MAX:
            # Another thread that has not heard of it yet, or somebody who wants to be sure.
            delay = self._rng.randint(SECOND, 20 * SECOND)
            self._loop.after(delay, self.pursue, wish, self.restarts)
            wish.attempts += _ATTEMPTS_MAX
            return
        wish.over = True
        del self.open[wish.name]
        self._locks.difference_update(wish.locks)


def plain(result: Any) -> dict[str, Any]:
    """
    Return a result of the client as the oracle reads it.
    """
    return {**vars(result), "children": [vars(child) for child in result.children]}


def _words(result: dict[str, Any] | None) -> str:
    if result is None:
        return "nothing"
    names = ("outcome", "final", "reason", "retcode_name", "order", "deals", "volume", "price")
    told = {name: result[name] for name in names if result.get(name)}
    return (
        " ".join(f"{name}={value}" for name, value in told.items())
        + (" replayed" if result.get("replayed") else "")
        + f" {result.get('message', '')}"
    )
