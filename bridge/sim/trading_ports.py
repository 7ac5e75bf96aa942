"""What the trading side of a terminal is given: the broker's functions, and the moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from bridge.model.trade import (
        AccountRecord,
        DealRecord,
        OrderRecord,
        PositionRecord,
        TradeCheckResult,
        TradeRequest,
        TradeResult,
    )
    from bridge.sim.exchange_records import Transaction
    from bridge.sim.exchange_rules import BrokerRules
    from bridge.wire.spec import Permission

__all__ = ["Broker", "Moment", "Sending"]


class Moment(NamedTuple):
    """
    What holds while something is done: the terminal's clock, the server's clock, the flags.

    ``clock_offset_us`` leads from a time of the relay's clock to this terminal's.
    """

    now_us: int
    server_msc: int
    utc_offset_min: int
    permissions: Permission
    clock_offset_us: int


class Sending(Protocol):
    """
    An ``OrderSend`` that has not returned yet; ``bridge.sim.exchange_records.Sent``.
    """

    at_us: int
    #: what the terminal numbers it with
    request_id: int

    @property
    def result(self) -> TradeResult | None:
        """
        What it returned; ``None``: no answer came.
        """


class Broker(Protocol):
    """
    The trade functions of MQL5, as ``bridge.sim.exchange.Exchange`` has them.
    """

    rules: BrokerRules

    def order_check(self, request: TradeRequest, now_us: int) -> TradeCheckResult:
        """
        Do what ``OrderCheck`` does.
        """

    def order_send(self, request: TradeRequest, now_us: int) -> Sending:
        """
        Do what ``OrderSend`` does.
        """

    def advance(self, now_us: int) -> None:
        """
        Let the broker work up to this time.
        """

    def transactions(self) -> list[Transaction]:
        """
        Return the calls of ``OnTradeTransaction`` since the last time.
        """

    def positions(
        self, *, symbol: str | None = None, ticket: int | None = None
    ) -> list[PositionRecord]:
        """
        Return the open positions.
        """

    def orders(self, *, symbol: str | None = None, ticket: int | None = None) -> list[OrderRecord]:
        """
        Return the open orders.
        """

    def history_orders(self, from_msc: int, to_msc: int) -> list[OrderRecord]:
        """
        Return the closed orders of a time, as the terminal sees them now.
        """

    def history_deals(self, from_msc: int, to_msc: int) -> list[DealRecord]:
        """
        Return the deals of a time, as the terminal sees them now.
        """

    def account(self) -> AccountRecord:
        """
        Return the account.
        """

    def server_time_msc(self, now_us: int) -> int:
        """
        Do what ``TimeTradeServer`` does, in milliseconds.
        """
