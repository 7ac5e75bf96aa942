"""What the server's clock and the account's worth do: expirations, swaps and stop-out.

Orders for a day end with the server's day. A position held over midnight is charged the swap of
the day that ended, three times on one weekday and not on Saturday and Sunday. Stop-out begins
when the margin level falls below the account's: first orders that hold margin are cancelled,
then the position that loses most is closed, one after the other, until the level is met
(MetaTrader 5 Help, "Trading Account").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bridge.model.enums import (
    AccountStopoutMode,
    OrderReason,
    OrderState,
    OrderType,
    OrderTypeTime,
    PositionType,
    SymbolSwapMode,
)
from bridge.model.trade import replace
from bridge.sim.exchange_fills import account_state, close_position

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bridge.model.trade import AccountRecord, OrderRecord, PositionRecord
    from bridge.sim.exchange_books import Books
    from bridge.sim.exchange_rules import BrokerRules

__all__ = ["Upkeep"]

_DAY_MSC: Final = 86_400_000
#: 1970-01-01 was a Thursday; Sunday is 0.
_FIRST_WEEKDAY: Final = 4
_WEEKEND: Final = frozenset({0, 6})
_BANK_YEAR_DAYS: Final = 360
_COMMENT_MAX: Final = 31
_UNTIL_CANCELLED: Final = int(OrderTypeTime.GTC)


class Upkeep:
    """
    Looks after one account's books as time passes.
    """

    def __init__(self, books: Books) -> None:
        self.books = books
        #: the server's day that was looked at last, counted from 1970
        self.day: int | None = None

    def time_passed(self, rules: BrokerRules, time_msc: int) -> None:
        """
        Do what the server's clock does: expirations and swaps.
        """
        self._expire(time_msc)
        self._roll_over(rules, time_msc)

    def stop_out(self, rules: BrokerRules, time_msc: int) -> None:
        """
        Do what the account's worth does.
        """
        books = self.books
        if not books.account.margin_so_so:
            return
        while books.positions:
            state = self._account(rules, books.positions.values(), books.orders.values())
            if not _must_stop_out(state):
                return
            waiting = [one for one in books.orders.values() if one.type > OrderType.SELL]
            without = self._account(rules, books.positions.values(), ())
            if waiting and without.margin < state.margin:
                books.end_order(waiting[0], OrderState.CANCELED, time_msc)
                continue
            open_now = [
                books.valued(one)
                for one in books.positions.values()
                if one.symbol not in rules.market_closed and one.symbol not in rules.no_quotes
            ]
            if not open_now:
                return
            worst = min(open_now, key=lambda one: one.profit + one.swap)
            comment = f"[so {state.margin_level:.1f}%/{state.equity:.2f}/{state.margin:.2f}]"
            close_position(
                books,
                rules,
                worst,
                worst.price_current,
                OrderReason.SO,
                comment[:_COMMENT_MAX],
                time_msc,
            )

    def next_expiration_msc(self) -> int | None:
        """
        Return when an order expires next, or a day with open positions ends; server clock.
        """
        times = map(_expires_msc, self._limited())
        known = [one for one in times if one is not None]
        if self.books.positions and self.day is not None:
            known.append((self.day + 1) * _DAY_MSC)
        return min(known, default=None)

    def _expire(self, time_msc: int) -> None:
        for order in self._limited():
            expires_msc = _expires_msc(order)
            if expires_msc is not None and time_msc >= expires_msc:
                self.books.end_order(order, OrderState.EXPIRED, time_msc)

    def _limited(self) -> list[OrderRecord]:
        # Looked at in every turn: most orders never expire.
        return [one for one in self.books.orders.values() if one.type_time != _UNTIL_CANCELLED]

    def _roll_over(self, rules: BrokerRules, time_msc: int) -> None:
        day = time_msc // _DAY_MSC
        first = day if self.day is None else self.day
        self.day = max(day, first)
        for ended in range(first, day):
            for position in list(self.books.positions.values()):
                swap = self._swap(position, ended) if rules.swap else 0.0
                if swap:
                    charged = self.books.money(position.swap + swap)
                    self.books.put_position(
                        replace(position, swap=charged), time_msc, by_deal=False
                    )

    def _swap(self, position: PositionRecord, day: int) -> float:
        spec = self.books.spec(position.symbol)
        weekday = (day + _FIRST_WEEKDAY) % 7
        if spec.swap_mode == SymbolSwapMode.DISABLED or weekday in _WEEKEND:
            return 0.0
        is_buy = position.type == PositionType.BUY
        rate = spec.swap_long if is_buy else spec.swap_short
        times = 3 if weekday == spec.swap_rollover3days else 1
        size = position.volume * spec.trade_contract_size
        unit, currency = position.volume, self.books.account.currency
        if spec.swap_mode == SymbolSwapMode.POINTS:
            unit, currency = size * spec.point, spec.currency_profit
        elif spec.swap_mode == SymbolSwapMode.CURRENCY_SYMBOL:
            currency = spec.currency_base
        elif spec.swap_mode == SymbolSwapMode.CURRENCY_MARGIN:
            currency = spec.currency_margin
        elif spec.swap_mode == SymbolSwapMode.INTEREST_OPEN:
            unit = size * position.price_open / 100 / _BANK_YEAR_DAYS
            currency = spec.currency_profit
        elif spec.swap_mode == SymbolSwapMode.INTEREST_CURRENT:
            unit = size * self.books.valued(position).price_current / 100 / _BANK_YEAR_DAYS
            currency = spec.currency_profit
        amount = unit * rate * times
        converted = amount * self.books.rates.rate(
            currency, self.books.account.currency, buy=amount < 0
        )
        return self.books.money(converted)

    def _account(
        self,
        rules: BrokerRules,
        positions: Iterable[PositionRecord],
        orders: Iterable[OrderRecord],
    ) -> AccountRecord:
        return account_state(
            self.books,
            rules,
            positions=positions,
            orders=orders,
            balance=self.books.account.balance,
        )


def _expires_msc(order: OrderRecord) -> int | None:
    if not OrderType.SELL < order.type < OrderType.CLOSE_BY:
        # A market order is executed or not; its lifetime says nothing.
        return None
    if order.type_time == OrderTypeTime.DAY:
        return (order.time_setup_msc // _DAY_MSC + 1) * _DAY_MSC
    if order.type_time == OrderTypeTime.SPECIFIED:
        return order.time_expiration * 1000
    if order.type_time == OrderTypeTime.SPECIFIED_DAY:
        return (order.time_expiration * 1000 // _DAY_MSC + 1) * _DAY_MSC
    return None


def _must_stop_out(account: AccountRecord) -> bool:
    if account.margin_so_mode == AccountStopoutMode.MONEY:
        return account.equity < account.margin_so_so
    if not account.margin:
        # Covered in full: there is no level, but nobody can owe the broker.
        return account.equity < 0
    return account.margin_level < account.margin_so_so
