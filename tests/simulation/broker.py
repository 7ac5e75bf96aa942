"""The broker: the real simulated exchange, its prices, its moods, and what it has written down.

It is another machine: it survives every kill, and its own records are the truth.
"""

from __future__ import annotations

import contextlib
import dataclasses
import heapq
import random
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple
from unittest import mock

from bridge.model.enums import AccountMarginMode, SymbolTradeExecution
from bridge.model.symbol import SymbolSpec
from bridge.model.tick import MqlTick
from bridge.model.trade import AccountRecord, TradeCheckResult, TradeRequest, TradeResult
from bridge.sim import exchange_checks
from bridge.sim.account import Account, account_record
from bridge.sim.exchange import Exchange
from bridge.sim.exchange_books import Kind
from bridge.sim.exchange_checks import refusal
from bridge.sim.exchange_rules import BrokerRules
from bridge.sim.market import Market
from tests.simulation.loop import Loop

__all__ = ["LOGIN", "POINT", "PRICE", "SERVER", "SERVER_US", "Broker", "Processed", "lending"]

LOGIN: Final = 1001
SERVER: Final = "Simulated-Server"
#: the trade server's clock when the world begins: Wednesday, 10:00
SERVER_US: Final = 1_704_880_800_000_000
PRICE: Final = 1.1
POINT: Final = 0.00001
_BALANCE: Final = 1e9
#: how far prices go from where they began, in points
_RANGE: Final = 400
_SPREAD: Final = 10
_TICK_US: Final = 4_000_000


class _Lender(Exchange):
    # Lends without limit: what an account is worth is not what is simulated here, and costs most.
    def order_check(self, request: TradeRequest, now_us: int) -> TradeCheckResult:
        self.advance(now_us)
        refused = refusal(self._books, self.rules, request, self._time_msc)
        return TradeCheckResult(retcode=0 if refused is None else int(refused), comment="")

    def account(self) -> AccountRecord:
        return dataclasses.replace(self._books.account, balance=self._view.balance)


@contextlib.contextmanager
def lending() -> Iterator[None]:
    """
    Let every account have the margin for everything.
    """
    with mock.patch.object(exchange_checks, "can_pay", return_value=True):
        yield


class Processed(NamedTuple):
    """
    A request that reached the trade server, as it was, and what became of it.
    """

    at_us: int
    request: TradeRequest
    result: TradeResult


class Broker:
    """
    One account. ``clock_offset_us``: the terminal's clock minus the world's.
    """

    def __init__(
        self,
        loop: Loop,
        rng: random.Random,
        seed: int,
        *,
        netting: bool,
        symbols: list[str],
        clock_offset_us: int,
        execution_ms: int = 0,
        lossy: bool = False,
    ) -> None:
        self._execution_ms = execution_ms
        self._lossy = lossy
        self._keeps = False
        self.processed: list[Processed] = []
        #: called when a terminal that looks would see something else
        self.stirred: Callable[[], None] = lambda: None
        self._loop = loop
        self._rng = rng
        self._offset_us = clock_offset_us
        mode = AccountMarginMode.RETAIL_NETTING if netting else AccountMarginMode.RETAIL_HEDGING
        self.account = Account(login=LOGIN, server=SERVER, margin_mode=mode)
        self.market = Market([_spec(name, place) for place, name in enumerate(symbols)])
        self._points = dict.fromkeys(symbols, 0)
        for symbol in symbols:
            self.market.select(symbol, True)
            self._quote(symbol)
        self.exchange = _Lender(
            self.market,
            # No stop-out either.
            account=dataclasses.replace(account_record(self.account, _BALANCE), margin_so_so=0.0),
            seed=seed,
            rules=self._moods(),
            server_clock_offset_us=SERVER_US - clock_offset_us,
        )
        self._record()
        self.exchange.advance(clock_offset_us)
        self._closed = False
        loop.after(_TICK_US, self._tick)

    # --- time ------------------------------------------------------------------------------

    def advance(self) -> None:
        """
        Let the trade server work, whether a terminal looks or not.
        """
        self.exchange.advance(self._loop.now + self._offset_us)

    def next_deadline(self) -> int | None:
        """
        Return when it has something to do, in the world's time.
        """
        due_us = self.exchange.next_deadline()
        return None if due_us is None else due_us - self._offset_us

    # --- faults ----------------------------------------------------------------------------

    def disconnect(self, duration_us: int) -> None:
        """
        Cut the terminal off from its trade server for a while.
        """
        self._rule(connected=False)
        self._loop.after(duration_us, self._reconnect)

    def _reconnect(self) -> None:
        self._rule(connected=True)

    def change_mood(self) -> None:
        """
        Become quicker or slower, more or less reliable.
        """
        connected = self.exchange.rules.connected
        moods = dataclasses.replace(self._moods(), connected=connected)
        self.exchange.rules = self._kept(moods)

    def keep_answers(self, keeps: bool) -> None:
        """
        Lose no request and no reply from now on, or as many as before.
        """
        self._keeps = keeps
        self.exchange.rules = self._kept(self.exchange.rules)

    def calm(self) -> None:
        """
        Be without faults from now on.
        """
        rules = self.exchange.rules
        self.exchange.rules = BrokerRules(
            connected=rules.connected,
            execution_ms=(5, 40),
            reply_ms=(1, 10),
            visibility_ms=(0, 500),
            state_delay_ms=(0, 20),
        )

    def close_market(self) -> None:
        """
        Let no price change any more: no pending order is filled, no level is touched.
        """
        self._closed = True

    def forget_unsent(self) -> None:
        """
        The terminal is killed: what it was about to send may never arrive, and nobody hears.
        """
        jobs = self.exchange._jobs
        if jobs and self._rng.random() < 0.5:
            jobs.clear()
        self.exchange.transactions()

    def synchronise(self) -> None:
        """
        A terminal that starts is told of positions and open orders as they are; not so of history.
        """
        view = self.exchange._view
        states = [one for one in view._waiting if one[2].kind in {Kind.ORDER, Kind.POSITION}]
        # They wait until all are shown: the view has forgotten what is newer when nothing waits.
        for _, serial, change in sorted(states, key=lambda one: one[1]):
            view._show(change, serial)
        view._waiting = [one for one in view._waiting if one not in states]
        heapq.heapify(view._waiting)
        self.exchange.transactions()

    # --- inside ----------------------------------------------------------------------------

    def _kept(self, rules: BrokerRules) -> BrokerRules:
        if not self._keeps:
            return rules
        return dataclasses.replace(rules, lose_request=0.0, lose_reply=0.0, late_reply=0.0)

    def _moods(self) -> BrokerRules:
        rules = self._drawn()
        if self._lossy:
            rules = dataclasses.replace(
                rules, lose_reply=0.3, reply_timeout_ms=300, state_delay_ms=(500, 2_500)
            )
        return rules

    def _drawn(self) -> BrokerRules:
        rng = self._rng
        slow = rng.choice((10, 20, 40, 60, 400))
        return BrokerRules(
            execution_ms=(self._execution_ms // 2 or 2, self._execution_ms or slow),
            reply_ms=(1, rng.choice((3, 5, 30))),
            fill_ms=rng.choice(((0, 0), (0, 0), (0, 0), (20, 600))),
            visibility_ms=(0, rng.choice((50, 500, 2_000))),
            state_delay_ms=(0, rng.choice((0, 20, 500))),
            requote=0.02,
            reject=0.02,
            partial=0.05,
            lose_request=rng.choice((0.0, 0.01, 0.03)),
            lose_reply=rng.choice((0.0, 0.01, 0.03)),
            late_reply=0.005,
            late_reply_ms=1_500,
            reply_timeout_ms=2_000,
            slippage_points=3,
            max_requests_per_s=rng.choice((0, 0, 20)),
            shuffle_transactions=rng.random() < 0.5,
        )

    def _rule(self, **changes: Any) -> None:
        self.advance()
        self.exchange.rules = dataclasses.replace(self.exchange.rules, **changes)
        self.advance()
        self.stirred()

    def _record(self) -> None:
        # What the server worked on, whole: its own list has no prices.
        server = self.exchange._server
        note = server._note

        def noting(request: TradeRequest, result: TradeResult, now_us: int) -> None:
            self.processed.append(Processed(self._loop.now, request, result))
            note(request, result, now_us)

        server._note = noting  # type: ignore[method-assign]  # an observer, for the oracle

    def _tick(self) -> None:
        if self._closed:
            return
        symbol = self._rng.choice(list(self._points))
        step = self._rng.randint(-60, 60)
        self._points[symbol] = max(-_RANGE, min(_RANGE, self._points[symbol] + step))
        self._quote(symbol)
        self.advance()
        self._loop.after(int(_TICK_US * (0.5 + self._rng.random())), self._tick)

    def _quote(self, symbol: str) -> None:
        time_msc = (self._loop.now + SERVER_US) // 1000
        bid = round(PRICE + self._points[symbol] * POINT, 5)
        ask = round(bid + _SPREAD * POINT, 5)
        self.market.history.append(symbol, MqlTick(time_msc, bid, ask))


def _spec(name: str, place: int) -> SymbolSpec:
    # Every other symbol can requote.
    mode = SymbolTradeExecution.INSTANT if place % 2 else SymbolTradeExecution.MARKET
    return SymbolSpec(
        name=name,
        currency_base="EUR",
        currency_profit="USD",
        currency_margin="USD",
        trade_exemode=mode,
        select=True,
    )
