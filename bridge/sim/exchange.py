"""The simulated broker: one account, its orders and positions, and how well it can be reached.

Theory of operation
-------------------
The books are the truth (``ledger``). What the terminal sees of them comes later, and each thing
by its own delay (``positions``, ``orders``, ``history_orders``, ``history_deals``, ``account``,
``transactions``). ``BrokerRules`` say what is delayed, refused and lost; they may be assigned at
any time.

Nothing waits and no clock is read. ``advance(now)`` does everything that is due, in this order:
ticks that came since (of all symbols, by time), requests and fills, then expirations, swaps and
stop-out, which are looked at once per call: so it is called often. ``order_send`` says when the
caller's ``OrderSend`` would return, and the caller blocks itself until then.

Times: ``now_us`` is the caller's monotonic clock. The trade server's is
``server_clock_offset_us`` ahead of it; without an offset it is the time of the newest tick, as
with a market that is replayed.
"""

from __future__ import annotations

import dataclasses
import heapq
import random
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import msgpack

from bridge.model.enums import TradeRetcode
from bridge.model.trade import TradeCheckResult, TradeRequest, TradeResult, asdict, replace
from bridge.sim.exchange_books import Books, Kind
from bridge.sim.exchange_checks import foreseen, outlook, refusal
from bridge.sim.exchange_fills import account_allows, account_state, margin_of
from bridge.sim.exchange_records import Ledger, Sent, Transaction, TransactionType
from bridge.sim.exchange_rules import BrokerRules
from bridge.sim.exchange_server import TradeServer
from bridge.sim.exchange_upkeep import Upkeep
from bridge.sim.exchange_view import View

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.model.tick import MqlTick
    from bridge.model.trade import AccountRecord, DealRecord, OrderRecord, PositionRecord
    from bridge.sim.market import Market

__all__ = ["Exchange"]

_Open = TypeVar("_Open", "OrderRecord", "PositionRecord")

_SAVED_VERSION: Final = 1
_SECOND_US: Final = 1_000_000
#: Changes that wait for the delay of positions and open orders; all others for that of deals.
_STATE: Final = frozenset({Kind.ORDER, Kind.POSITION})
_NOT_SENT: Final = "The request did not leave the terminal"


@dataclasses.dataclass(slots=True)
class _Job:
    # A request on its way to the server. ``sent`` is None when its terminal is gone.
    due_us: int
    serial: int
    request: TradeRequest
    request_id: int
    answer_us: int
    order_was_open: bool
    answered: bool
    sent: Sent | None

    def __lt__(self, other: _Job) -> bool:
        return (self.due_us, self.serial) < (other.due_us, other.serial)


class Exchange:
    """
    One account at one broker, and the connection of one terminal to it.

    Args:
        market: symbols and ticks; its ticks come from elsewhere.
        account: who trades, with the balance at the start. ``margin_mode`` makes it netting or
            hedging; ``leverage``, ``margin_so_so``, ``fifo_close``, ``limit_orders`` and the
            trade flags count too.
        seed: of everything that happens by chance.
        rules: how the broker behaves; without them all is allowed and nothing is delayed.
        server_clock_offset_us: the server's clock minus the caller's, ``None``: the newest tick.
    """

    def __init__(
        self,
        market: Market,
        *,
        account: AccountRecord,
        seed: int = 0,
        rules: BrokerRules | None = None,
        server_clock_offset_us: int | None = None,
    ) -> None:
        self.market = market
        #: assign others to change them
        self.rules = BrokerRules() if rules is None else rules
        #: assign another one to set the server's clock
        self.server_clock_offset_us = server_clock_offset_us
        self._rng = random.Random(f"{seed}/exchange")  # noqa: S311  # chance of a simulation
        self._start(Books(market, account))

    def _start(self, books: Books) -> None:
        self._books = books
        self._server = TradeServer(books, self._rng)
        self._upkeep = Upkeep(books)
        self._view = View(books)
        self._now_us = 0
        self._time_msc = 0
        self._serial = 0
        self._request_id = 0
        self._jobs: list[_Job] = []
        self._answers: list[tuple[int, int, Sent, TradeResult, Transaction]] = []
        self._sent_us: deque[int] = deque()
        # Until when the terminal was cut off.
        self._away_us = 0
        # Whether prices or books changed since the account's worth was looked at, and by what
        # rules that was.
        self._stirred = True
        self._rules_seen = self.rules
        # The newest tick that was looked at, and how many there were of its millisecond.
        self._ticks: dict[str, tuple[MqlTick | None, int]] = {
            symbol: self._newest(symbol) for symbol in self.market.specs
        }
        if self.server_clock_offset_us is None:
            self._time_msc = self.server_time_msc(0)

    # --- what the terminal's functions do ----------------------------------------------

    def order_check(self, request: TradeRequest, now_us: int) -> TradeCheckResult:
        """
        Do what ``OrderCheck`` does; ``retcode`` 0: nothing is against the request.

        MQL5 page: trading/ordercheck
        """
        self.advance(now_us)
        refused: TradeRetcode | None
        if self.rules.client_disables_at:
            refused = TradeRetcode.CLIENT_DISABLES_AT
        elif not self.rules.connected:
            refused = TradeRetcode.CONNECTION
        else:
            refused = refusal(self._books, self.rules, request, self._time_msc)
        if refused is not None:
            comment = refused.name.replace("_", " ").capitalize()
            return TradeCheckResult(retcode=int(refused), comment=comment)
        after = foreseen(self._books, self.rules, request) or outlook(
            self._books, self.rules, request, self._time_msc
        )
        return TradeCheckResult(
            retcode=0,
            balance=after.balance,
            equity=after.equity,
            profit=after.profit,
            margin=after.margin,
            margin_free=after.margin_free,
            margin_level=after.margin_level,
            comment="Done",
        )

    def order_send(self, request: TradeRequest, now_us: int) -> Sent:
        """
        Do what ``OrderSend`` does: send a request, and say when the answer comes.

        What the server does with it, it does in its own time, answer or not. The request is
        worked on before this returns when the rules delay nothing.

        MQL5 page: trading/ordersend
        """
        self.advance(now_us)
        rules, now_us = self.rules, self._now_us
        self._request_id += 1
        refused = self._refused_here()
        if refused is not None:
            sent = Sent(now_us, request_id=self._request_id, left=False)
            sent.settle(
                TradeResult(retcode=int(refused), comment=_NOT_SENT, request_id=self._request_id)
            )
            return sent
        # Drawn in any case: rules then do not change the numbers of later requests.
        draw = self._rng.random
        lost, unanswered, late = draw(), draw(), draw()
        due_us = now_us + self._delay_us(rules.execution_ms)
        answer_us = due_us + self._delay_us(rules.reply_ms)
        if late < rules.late_reply:
            answer_us += rules.late_reply_ms * 1000
        answered = lost >= rules.lose_request and unanswered >= rules.lose_reply
        returns_us = answer_us if answered else now_us + rules.reply_timeout_ms * 1000
        sent = Sent(returns_us, request_id=self._request_id)
        if not answered:
            sent.settle(None)
        if lost >= rules.lose_request:
            self._serial += 1
            job = _Job(
                due_us=due_us,
                serial=self._serial,
                request=request,
                request_id=self._request_id,
                answer_us=answer_us,
                order_was_open=request.order in self._books.orders,
                answered=answered,
                sent=sent,
            )
            heapq.heappush(self._jobs, job)
            self._work(now_us)
        return sent

    def _refused_here(self) -> TradeRetcode | None:
        # What the terminal refuses without asking the server, and the server at its door.
        rules = self.rules
        if rules.client_disables_at:
            return TradeRetcode.CLIENT_DISABLES_AT
        if not rules.connected:
            return TradeRetcode.CONNECTION
        if rules.max_requests_per_s:
            while self._sent_us and self._sent_us[0] <= self._now_us - _SECOND_US:
                self._sent_us.popleft()
            if len(self._sent_us) >= rules.max_requests_per_s:
                return TradeRetcode.TOO_MANY_REQUESTS
            self._sent_us.append(self._now_us)
        return None

    def positions(
        self, *, symbol: str | None = None, ticket: int | None = None
    ) -> list[PositionRecord]:
        """
        Return the open positions that the terminal knows of, by ticket, at present prices.
        """
        found = _selected(self._view.positions, symbol, ticket)
        return [self._books.valued(one) for one in found]

    def orders(self, *, symbol: str | None = None, ticket: int | None = None) -> list[OrderRecord]:
        """
        Return the open orders that the terminal knows of, by ticket.
        """
        found = _selected(self._view.orders, symbol, ticket)
        return [self._books.priced(one) for one in found]

    def history_orders(self, from_msc: int, to_msc: int) -> list[OrderRecord]:
        """
        Return the ended orders that the terminal knows of, by the time they ended (server clock,
        both ends included) and ticket.
        """
        return self._view.history.between(from_msc, to_msc)

    def history_deals(self, from_msc: int, to_msc: int) -> list[DealRecord]:
        """
        Return the deals that the terminal knows of, by time (server clock, both ends included)
        and ticket.
        """
        return self._view.deals.between(from_msc, to_msc)

    def history_order(self, ticket: int) -> OrderRecord | None:
        """
        Return an ended order that the terminal knows of.
        """
        return self._view.history.get(ticket)

    def history_deal(self, ticket: int) -> DealRecord | None:
        """
        Return a deal that the terminal knows of.
        """
        return self._view.deals.get(ticket)

    def calc_profit(
        self, symbol: str, volume: float, price_open: float, price_close: float, *, is_buy: bool
    ) -> float:
        """
        Do what ``OrderCalcProfit`` does.

        Raises:
            KeyError: there is no such symbol.

        MQL5 page: trading/ordercalcprofit
        """
        return self._books.profit(symbol, volume, price_open, price_close, is_buy=is_buy)

    def calc_margin(self, order_type: int, symbol: str, volume: float, price: float) -> float:
        """
        Do what ``OrderCalcMargin`` does: as if there were no positions and orders.

        Raises:
            KeyError: there is no such symbol.

        MQL5 page: trading/ordercalcmargin
        """
        return margin_of(self._books, self.rules, order_type, symbol, volume, price)

    def account(self) -> AccountRecord:
        """
        Return the account as the terminal knows it, at present prices.
        """
        return account_state(
            self._books,
            self.rules,
            positions=self._view.positions.values(),
            orders=self._view.orders.values(),
            balance=self._view.balance,
        )

    def account_allows(self) -> tuple[bool, bool]:
        """
        Return whether the account may trade, and whether programs may: ``trade_allowed`` and
        ``trade_expert`` of ``account``, without what prices make of the rest.
        """
        return account_allows(self._books.account, self.rules)

    def transactions(self) -> list[Transaction]:
        """
        Return what ``OnTradeTransaction`` is called with since the last time, in order.

        With ``shuffle_transactions`` the order is any. More than 1,024 that nobody fetched are
        dropped, as MetaTrader does; ``overflown`` counts them.
        """
        found, self._view.transactions = self._view.transactions, []
        if self.rules.shuffle_transactions:
            self._rng.shuffle(found)
        return found

    @property
    def overflown(self) -> int:
        """
        How many transactions were dropped because nobody fetched them.
        """
        return self._view.overflown

    # --- time --------------------------------------------------------------------------

    @property
    def now_us(self) -> int:
        """
        The latest time to which it was advanced, on the caller's clock.
        """
        return self._now_us

    def server_time_msc(self, now_us: int) -> int:
        """
        Return the time on the trade server's clock; it never goes back.
        """
        if self.server_clock_offset_us is not None:
            time_msc = (now_us + self.server_clock_offset_us) // 1000
        else:
            ticks = map(self.market.history.newest_of, self.market.specs)
            time_msc = max((tick.time_msc for tick in ticks if tick is not None), default=0)
        return max(time_msc, self._time_msc)

    def advance(self, now_us: int) -> None:
        """
        Do everything that is due: ticks, requests, expirations, swaps, stop-out, deliveries.
        """
        self._now_us = max(self._now_us, now_us)
        self._look_at_ticks()
        self._time_msc = self.server_time_msc(self._now_us)
        self._work(self._now_us)
        self._upkeep.time_passed(self.rules, self._time_msc)
        self._schedule(self._now_us)
        if self._stirred or self.rules is not self._rules_seen:
            # Else the account is worth what it was.
            self._stirred, self._rules_seen = False, self.rules
            self._upkeep.stop_out(self.rules, self._time_msc)
        self._deliver(self._now_us)

    def next_deadline(self) -> int | None:
        """
        Return when ``advance`` has something to do without a new tick, ``None`` when never.
        """
        times = [self._server.next_due(), self._jobs[0].due_us if self._jobs else None]
        # Nothing arrives at a terminal that is cut off.
        times.append(self._view.next_due() if self.rules.connected else None)
        times.append(self._answers[0][0] if self._answers else None)
        expires_msc = self._upkeep.next_expiration_msc()
        if expires_msc is not None and self.server_clock_offset_us is not None:
            times.append(expires_msc * 1000 - self.server_clock_offset_us)
        return min((one for one in times if one is not None), default=None)

    # --- what a test does --------------------------------------------------------------

    def force(self, retcode: int, *, executed: bool = False) -> None:
        """
        Let the server answer the next request with this retcode; ``executed``: and execute it.

        For what no rule of this broker brings about (CANCEL, ERROR, TIMEOUT, a code that nobody
        knows). Several calls wait in line.
        """
        self._server.force(retcode, executed=executed)

    def deposit(self, amount: float) -> None:
        """
        Add money to the balance, or take it away, without a deal.
        """
        self._books.set_balance(self._books.account.balance + amount)
        self._deliver(self._now_us)

    def ledger(self) -> Ledger:
        """
        Return the truth: every order and deal ever, and every request that arrived.
        """
        books = self._books
        orders = {**books.history, **books.orders}
        return Ledger(
            orders=tuple(orders[ticket] for ticket in sorted(orders)),
            deals=tuple(books.deals.values()),
            requests=tuple(self._server.processed),
            tags=dict(books.tags),
        )

    def save(self) -> bytes:
        """
        Return everything but the market and the rules, for ``load`` in another process.

        Answers on their way are left out: their terminal is gone. Requests on their way arrive.
        """
        version, numbers, gauss = self._rng.getstate()
        plain = {
            "version": _SAVED_VERSION,
            "books": self._books.plain(),
            "server": self._server.plain(),
            "view": self._view.plain(self._books),
            "rng": [version, list(numbers), gauss],
            "now_us": self._now_us,
            "time_msc": self._time_msc,
            "day": self._upkeep.day,
            "offset_us": self.server_clock_offset_us,
            "jobs": [
                [one.due_us, asdict(one.request), one.order_was_open] for one in sorted(self._jobs)
            ],
        }
        packed: bytes = msgpack.packb(plain)
        return packed

    @classmethod
    def load(
        cls,
        data: bytes,
        market: Market,
        *,
        rules: BrokerRules | None = None,
        now_us: int | None = None,
    ) -> Self:
        """
        Return the broker that ``save`` packed, as a terminal finds it that was started anew.

        Ticks of the market that are there already are taken for known. ``now_us``: the caller's
        clock now, when it is another one than at ``save``.

        Raises:
            ValueError: it is not what this version's ``save`` gives.
        """
        try:
            plain: dict[str, Any] = msgpack.unpackb(data, strict_map_key=False)
            version = plain["version"]
            if version == _SAVED_VERSION:
                return cls._restored(plain, market, rules, now_us)
        except (ValueError, TypeError, LookupError, msgpack.UnpackException) as error:
            raise ValueError("expected what save() gave") from error
        raise ValueError(f"version {version}: expected {_SAVED_VERSION}")

    # --- inside ------------------------------------------------------------------------

    @classmethod
    def _restored(
        cls, plain: dict[str, Any], market: Market, rules: BrokerRules | None, now_us: int | None
    ) -> Self:
        books = Books.from_plain(market, plain["books"])
        exchange = cls(market, account=books.account, rules=rules)
        generator, numbers, gauss = plain["rng"]
        exchange._rng.setstate((generator, tuple(numbers), gauss))
        exchange._start(books)
        shift_us = 0 if now_us is None else now_us - plain["now_us"]
        exchange._server.restore(plain["server"], shift_us)
        exchange._view.restore(plain["view"], shift_us)
        exchange._now_us = plain["now_us"] + shift_us
        exchange._time_msc = plain["time_msc"]
        exchange._upkeep.day = plain["day"]
        offset_us = plain["offset_us"]
        exchange.server_clock_offset_us = None if offset_us is None else offset_us - shift_us
        for due_us, request, order_was_open in plain["jobs"]:
            exchange._serial += 1
            job = _Job(
                due_us=due_us + shift_us,
                serial=exchange._serial,
                request=TradeRequest(**request),
                request_id=0,
                answer_us=due_us + shift_us,
                order_was_open=order_was_open,
                answered=False,
                sent=None,
            )
            heapq.heappush(exchange._jobs, job)
        return exchange

    def _delay_us(self, bounds: tuple[int, int]) -> int:
        low, high = bounds
        return self._rng.randint(low, high) * 1000

    def _newest(self, symbol: str) -> tuple[MqlTick | None, int]:
        history = self.market.history
        newest = history.newest_of(symbol)
        if newest is None:
            return None, 0
        return newest, len(history.ticks_from(symbol, newest.time_msc))

    def _look_at_ticks(self) -> None:
        history = self.market.history
        watched: set[str] | None = None
        newest_msc = 0
        new: list[tuple[int, int, str, MqlTick]] = []
        for symbol, (seen, count) in self._ticks.items():
            newest = history.newest_of(symbol)
            if newest is seen or newest is None:
                continue
            self._ticks[symbol] = self._newest(symbol)
            if watched is None:
                self._stirred, self._books.foreseen = True, None
                watched = self._server.watched
            if symbol not in watched:
                newest_msc = max(newest_msc, newest.time_msc)
            else:
                ticks = history.ticks_from(symbol, 0 if seen is None else seen.time_msc)
                # Those of the last millisecond that were there before come first.
                new.extend(
                    (tick.time_msc, place, symbol, tick)
                    for place, tick in enumerate(ticks)
                    if place >= count
                )
        for time_msc, _, symbol, tick in sorted(new):
            self._time_msc = max(self._time_msc, time_msc)
            self._server.tick_came(symbol, tick, self.rules, self._time_msc)
        self._schedule(self._now_us)
        if self.server_clock_offset_us is None:
            self._time_msc = max(self._time_msc, newest_msc)

    def _work(self, now_us: int) -> None:
        # Requests and fills that are due, in order of time.
        while True:
            job_us = self._jobs[0].due_us if self._jobs else None
            fill_us = self._server.next_due()
            due = [one for one in (job_us, fill_us) if one is not None and one <= now_us]
            if not due:
                break
            if fill_us is not None and fill_us == min(due):
                self._server.fill_due(self.rules, fill_us, self._time_msc)
                self._schedule(fill_us)
            else:
                self._do(heapq.heappop(self._jobs))
        self._deliver(now_us)

    def _do(self, job: _Job) -> None:
        result = self._server.process(
            job.request,
            self.rules,
            job.due_us,
            self._time_msc,
            order_was_open=job.order_was_open,
        )
        self._schedule(job.due_us)
        if job.answered and job.sent is not None:
            answer = replace(result, request_id=job.request_id)
            told = Transaction(
                type=TransactionType.REQUEST,
                time_msc=self._time_msc,
                request=job.request,
                result=answer,
            )
            heapq.heappush(self._answers, (job.answer_us, job.serial, job.sent, answer, told))

    def _schedule(self, at_us: int) -> None:
        # What changed in the books will show in the terminal.
        outbox, self._books.outbox = self._books.outbox, []
        if not outbox:
            return
        self._stirred, self._books.foreseen = True, None
        state_us = at_us + self._delay_us(self.rules.state_delay_ms)
        deals_us = at_us + self._delay_us(self.rules.visibility_ms)
        for change in outbox:
            self._view.schedule(change, state_us if change.kind in _STATE else deals_us)

    def _deliver(self, now_us: int) -> None:
        self._schedule(now_us)
        if not self.rules.connected:
            # The answers that would come now or later went into the void.
            for *_, sent, _, _ in self._answers:
                sent.settle(None)
            self._answers = []
            for job in self._jobs:
                job.answered = False
                if job.sent is not None:
                    job.sent.settle(None)
            self._away_us = now_us
            return
        if self._away_us:
            self._view.arrive(self._away_us, silent=True)
            self._away_us = 0
        self._view.arrive(now_us)
        while self._answers and self._answers[0][0] <= now_us:
            _, _, sent, answer, told = heapq.heappop(self._answers)
            sent.settle(answer)
            self._view.announce(told)


def _selected(records: Mapping[int, _Open], symbol: str | None, ticket: int | None) -> list[_Open]:
    # By ticket.
    if ticket is not None:
        records = {ticket: records[ticket]} if ticket in records else {}
    return [one for _, one in sorted(records.items()) if symbol in (None, one.symbol)]
