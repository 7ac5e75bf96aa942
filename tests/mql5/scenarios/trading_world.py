"""Everything of one trading scenario, on one virtual clock, with the broker's books as the oracle.

::

    broker --> terminal --UNIX socket--> relay's core --> its client

The terminal is the Expert Advisor or Python's. What a client was told is judged in the end as in
``tests.simulation``: never two trades for one id, none forgotten, every verdict true, every deal
told of once.
"""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

from bridge.bus.requests import Method
from bridge.model.tick import MqlTick
from bridge.model.trade import TradeRequest, TradeResult, order_tag
from bridge.sim.exchange import Exchange
from bridge.sim.link import Recording
from tests.mql5.scenarios.modes import Mode
from tests.mql5.scenarios.trading_relay import CLIENT, TradingRelay
from tests.mql5.scenarios.trading_terminals import (
    OTHER,
    SYMBOL,
    UTC_OFFSET_MIN,
    ExpertOnVirtual,
    NobodyOnVirtual,
    PythonOnVirtual,
    VirtualTerminal,
)
from tests.simulation.broker import Processed
from tests.simulation.claims import Claim, Said, Wish
from tests.simulation.oracle import Oracle
from tests.support.exchange_bench import START_MSC, ExchangeBench

__all__ = ["BUY", "WITHIN_S", "TradingWorld", "TradingWorlds", "make_expert", "make_python"]

BUY: Final[dict[str, Any]] = {"action": "DEAL", "symbol": SYMBOL, "volume": 0.1, "type": "BUY"}
_START_UTC_MSC: Final = START_MSC - UTC_OFFSET_MIN * 60_000
WITHIN_S: Final = 200.0
_VALID_FOR_MS: Final = 20_000
_AGAIN_S: Final = 0.2
_ATTEMPTS_MAX: Final = 50
#: what the relay says while its link to the terminal is down, and so in some modes after any send
_AWAY: Final = frozenset({"TERMINAL_AWAY", "TERMINAL_BUSY"})
#: denied by the relay for now, and not kept: the same may be asked again under the same id
_PASSING: Final = _AWAY | {"NOT_CONNECTED", "UNRESOLVED"}


class TradingWorld:
    """
    A context manager. ``begin`` starts the terminal; ``order`` is a client that wants an end.

    Args:
        folder: of this world alone.
        make_terminal: called with this world for every life of the terminal.
        mode: how terminal and history behave.
        limits: the terminal's own, as ``TradingLimits`` has them.
        rules: fields of the broker's rules.
    """

    def __init__(
        self,
        folder: Path,
        make_terminal: Callable[[TradingWorld], VirtualTerminal],
        mode: Mode,
        *,
        limits: dict[str, Any] | None = None,
        account: dict[str, Any] | None = None,
        **rules: Any,
    ) -> None:
        self.folder = folder
        self.mode = mode
        self.limits = limits or {}
        #: added to the Expert Advisor's at its next beginning
        self.inputs: dict[str, Any] = {}
        self.options: dict[str, Any] = {}
        self.bench = ExchangeBench(account=account, **rules)
        self.exchange: Exchange = self.bench.exchange
        self.relay = TradingRelay(folder, _START_UTC_MSC)
        self.terminal: VirtualTerminal = NobodyOnVirtual(self.exchange, self.relay)
        self.wishes: dict[str, Wish] = {}
        self._make_terminal = make_terminal
        self._open: dict[int, Claim] = {}
        self._rewritten = False
        self._processed: list[Processed] = []
        self._record()
        mode.prepare(self.bench.market)

    # --- lives ----------------------------------------------------------------------------

    def begin(self, *, wait: bool = True) -> Self:
        """
        Start the terminal, and wait until it takes orders; the one before has ended.
        """
        self.terminal = self._make_terminal(self)
        self.terminal.start()
        if wait:
            self.ready()._rewrite()
        return self

    def ready(self) -> Self:
        """
        Wait until the terminal takes orders: its account was read after the logon.
        """
        self.until(lambda: self.relay.active and self._allowed())
        return self

    def kill(self) -> Self:
        """
        Kill the terminal, or bury it. Without one, time goes on for relay and broker.
        """
        self.terminal.kill()
        return self._nobody()

    def end(self) -> Self:
        """
        End the terminal in order.
        """
        self.terminal.stop()
        return self._nobody()

    def cut(self) -> Self:
        """
        Cut the connection.
        """
        self.relay.hang_up()
        return self

    def wait(self, seconds: float) -> Self:
        """
        Let time go by.
        """
        self.terminal.advance(seconds * 1000)
        self._hear()
        return self

    def until(self, condition: Callable[[], Any], within_s: float = WITHIN_S) -> Any:
        """
        Let time go by until something is so; return what it gave.
        """

        def happened() -> Any:
            self._hear()
            return condition()

        return self.terminal.wait_for(happened, within_s)

    def until_dead(self, name: str) -> int:
        """
        Ask for an order until the terminal's program has died of it, and bury it; return the
        number of the request.
        """
        number = self.start(name)
        for _ in range(_ATTEMPTS_MAX):
            # The end of a program is the end of what it is waited for.
            with contextlib.suppress(AssertionError):
                self._reply(number)
                self.wait(_AGAIN_S)
            if not self.terminal.running:
                self.kill()
                return number
            if self.leaves_it_free(self.answer(number)):
                number = self.start(name)
        raise AssertionError(f"{name} does not kill it")

    def set(self, **rules: Any) -> Self:
        """
        Change some rules of the broker.
        """
        self.bench.set(**rules)
        return self

    def quote(self, bid: float = 1.1, ask: float = 1.1001, symbol: str = SYMBOL) -> Self:
        """
        Let a tick happen.
        """
        now_msc = START_MSC + self.terminal.now_us // 1000
        self.terminal.quote(symbol, MqlTick(now_msc, bid, ask, bid))
        return self

    def by_hand(self, volume: float = 0.1) -> TradeResult:
        """
        Buy as a person does, with another program.
        """
        self.bench.now_us = self.exchange.now_us
        return self.bench.buy(volume)

    # --- the client -------------------------------------------------------------------------

    def start(
        self,
        name: str,
        params: dict[str, Any] | None = None,
        method: Method = Method.ORDER_SEND,
        **more: Any,
    ) -> int:
        """
        Ask for an order; return the number of the request.
        """
        params = BUY if params is None else params
        wish = self.wishes.setdefault(name, Wish(CLIENT, name, method, params))
        return self._ask(wish, method, params, traded=True, **more)

    def status(self, name: str) -> int:
        """
        Ask what became of an order; return the number of the request.
        """
        wish = self.wishes[name]
        return self._ask(wish, Method.ORDER_STATUS, {}, traded=False)

    def answer(self, number: int) -> dict[str, Any]:
        """
        Return the result that a request is answered with, waiting for it.
        """
        reply = self._reply(number)
        assert reply["ok"], reply
        result: dict[str, Any] = reply["result"]
        return result

    def outcome(self, number: int, name: str) -> dict[str, Any]:
        """
        Return the end of an order that was asked for, from its answer or later.
        """
        result = self.answer(number)
        return result if result["final"] else self.final(name)

    def order(
        self,
        name: str,
        params: dict[str, Any] | None = None,
        method: Method = Method.ORDER_SEND,
        **more: Any,
    ) -> dict[str, Any]:
        """
        Want an order until it has an end, as a strategy does; return its result.
        """
        self.quote()
        for _ in range(_ATTEMPTS_MAX):
            result = self.answer(self.start(name, params, method, **more))
            if not self.leaves_it_free(result):
                return result if result["final"] else self.final(name)
            self.wait(_AGAIN_S)
        raise AssertionError(f"always denied: {result}")

    @staticmethod
    def leaves_it_free(result: dict[str, Any]) -> bool:
        """
        Tell whether it is a denial without a trace, for a reason that passes: the same is asked
        again.
        """
        if result["outcome"] != "DENIED" or result.get("tag"):
            return False
        reason = result["reason"]
        return reason in _AWAY or (result["hop"] == "relay" and reason in _PASSING)

    def final(self, name: str) -> dict[str, Any]:
        """
        Return the end of an order, asking for it until there is one.
        """
        until_us = self.terminal.now_us + round(WITHIN_S * 1e6)
        while self.terminal.now_us < until_us:
            result = self.answer(self.status(name))
            if result["final"]:
                return result
            self.wait(_AGAIN_S)
        raise AssertionError(f"no end of {name}: {result}; {self.terminal.said()}")

    def read(self, method: Method, **params: Any) -> dict[str, Any]:
        """
        Return the answer to a question about the account.
        """
        for _ in range(_ATTEMPTS_MAX):
            number = self.relay.ask(method, params, valid_for_ms=_VALID_FOR_MS)
            reply = self._reply(number)
            if reply["ok"]:
                result: dict[str, Any] = reply["result"]
                return result
            # In some modes any send may fail.
            assert reply["error"]["code"] == "TERMINAL_UNAVAILABLE", reply
            self.wait(_AGAIN_S)
        raise AssertionError("never answered")

    # --- the truth --------------------------------------------------------------------------

    def executions(self, name: str) -> int:
        """
        Return how often the broker executed an order.
        """
        return self.exchange.ledger().executions_of(order_tag(f"{CLIENT}/{name}"))

    def has_order(self, name: str) -> bool:
        """
        Return whether the broker has an order of this name.
        """
        return order_tag(f"{CLIENT}/{name}") in self.exchange.ledger().tags.values()

    def told_of(self, kind: str) -> collections.Counter[int]:
        """
        Return the tickets that events of a kind told of, and how often.
        """
        return collections.Counter(
            int(one.record["ticket"]) for one in self.relay.events() if one.kind == kind
        )

    def check(self) -> None:
        """
        Ask about everything a last time, wait for the last event, then judge.
        """
        if not self.relay.active:
            self.ready()
        for name in self.wishes:
            self._last_question(name)
        self.until(self._all_told)
        # What comes too often comes soon.
        self.wait(1.0)
        ledger = self.exchange.ledger()
        oracle = Oracle(
            ledger.orders, ledger.deals, ledger.tags, self._processed, self.relay.bodies()
        )
        failures = oracle.judge(list(self.wishes.values())).failures

        assert [] == failures, self.terminal.said()
        assert self._ended() == self.told_of("ORDER_CLOSED")

    # --- inside -----------------------------------------------------------------------------

    def _ask(
        self, wish: Wish, method: Method, params: dict[str, Any], *, traded: bool, **more: Any
    ) -> int:
        claim = Claim(self.terminal.now_us + 1, traded=traded)
        wish.claims.append(claim)
        number = self.relay.ask(
            method, params, wish.name, **{"valid_for_ms": _VALID_FOR_MS, **more}
        )
        self._open[number] = claim
        self._hear()
        return number

    def _reply(self, number: int) -> dict[str, Any]:
        self.until(lambda: number in self.relay.replies)
        return self.relay.replies[number]

    def _hear(self) -> None:
        for number in [one for one in self._open if one in self.relay.replies]:
            claim, reply = self._open.pop(number), self.relay.replies[number]
            claim.at_us = claim.until_us = self.terminal.now_us + 1
            if reply["ok"]:
                claim.said, claim.result = Said.RESULT, reply["result"]
            else:
                unheard = reply["error"]["code"] == "NOT_AVAILABLE"
                claim.said = Said.UNHEARD if unheard else Said.REFUSED
                claim.error = str(reply["error"])

    def _last_question(self, name: str) -> None:
        number = self.status(name)
        claim = self._open.get(number) or self.wishes[name].claims[-1]
        self.until(lambda: claim.at_us)
        # What the relay denied is not in its journal.
        if claim.said is not Said.UNHEARD:
            self.final(name)
            claim = self.wishes[name].claims[-1]
        claim.asked_last = True

    def _all_told(self) -> bool:
        deals = collections.Counter(one.ticket for one in self.exchange.ledger().deals)
        return not deals - self.told_of("DEAL") and not self._ended() - self.told_of("ORDER_CLOSED")

    def _ended(self) -> collections.Counter[int]:
        return collections.Counter(one.ticket for one in self.exchange.history_orders(0, 2**62))

    def _allowed(self) -> bool:
        return bool(self.relay.terminal()["permissions"]["mql_trade_allowed"])

    def _nobody(self) -> Self:
        self.terminal = NobodyOnVirtual(self.exchange, self.relay)
        return self.wait(0)

    def _rewrite(self) -> None:
        # Of a symbol that only streams: prices that change behind its back are no trader's.
        if not self._rewritten:
            self._rewritten = True
            for number in range(2):
                self.quote(1.25 + number / 1e4, 1.2502, OTHER)
            self.mode.rewrite(self.bench.market.history, OTHER)

    def _record(self) -> None:
        # What the server worked on, whole: its own list has no prices.
        server = self.exchange._server
        note = server._note

        def noting(request: TradeRequest, result: TradeResult, now_us: int) -> None:
            self._processed.append(Processed(now_us, request, result))
            note(request, result, now_us)

        server._note = noting  # type: ignore[method-assign]  # an observer, for the oracle

    def __enter__(self) -> Self:
        self.relay.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.terminal.stop()
        finally:
            self.relay.__exit__()


class TradingWorlds:
    """
    Makes worlds with one kind of terminal in one mode: what a scenario is given.
    """

    def __init__(
        self,
        folder: Path,
        make_terminal: Callable[[TradingWorld], VirtualTerminal],
        mode: Mode,
        *,
        sends_async: bool = False,
    ) -> None:
        self._folder = folder
        self._make = make_terminal
        self._count = 0
        self.mode = mode
        self.sends_async = sends_async
        #: the connections of all worlds so far
        self.recordings: list[Recording] = []

    def new(self, **options: Any) -> TradingWorld:
        """
        Return a new world. The caller enters it.
        """
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir(parents=True)
        world = TradingWorld(folder, self._make, self.mode, **options)
        self.recordings = world.relay.recordings
        return world


def make_expert(
    world: TradingWorld, *, binary: Path, seed: int = 1, sends_async: bool = False
) -> VirtualTerminal:
    """
    Return the Expert Advisor for a life in this world.
    """
    return ExpertOnVirtual(
        world.exchange,
        world.relay,
        world.relay.path,
        world.folder / "terminal",
        binary=binary,
        limits=world.limits,
        start_utc_msc=_START_UTC_MSC,
        # Looks as seldom as an order can wait: each look costs.
        inputs={"InpSendAsync": sends_async, "InpTimerMs": 25, **world.inputs},
        options={**world.mode.options(seed), **world.options},
    )


def make_python(world: TradingWorld) -> VirtualTerminal:
    """
    Return the Python terminal for a life in this world.
    """
    return PythonOnVirtual(
        world.exchange,
        world.relay,
        world.relay.path,
        world.folder / "terminal",
        limits=world.limits,
    )
