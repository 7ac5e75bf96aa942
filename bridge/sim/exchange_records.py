"""What the simulated broker hands out: answers, transactions and its own ledger."""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.model.trade import DealRecord, OrderRecord, TradeRequest, TradeResult

__all__ = ["Ledger", "Processed", "Sent", "Transaction", "TransactionType"]


class TransactionType(enum.StrEnum):
    """
    ``ENUM_TRADE_TRANSACTION_TYPE`` by MQL5's names; no public source gives the values.

    MQL5 page: constants/tradingconstants/enum_trade_transaction_type
    """

    ORDER_ADD = "TRADE_TRANSACTION_ORDER_ADD"
    ORDER_UPDATE = "TRADE_TRANSACTION_ORDER_UPDATE"
    ORDER_DELETE = "TRADE_TRANSACTION_ORDER_DELETE"
    DEAL_ADD = "TRADE_TRANSACTION_DEAL_ADD"
    HISTORY_ADD = "TRADE_TRANSACTION_HISTORY_ADD"
    POSITION = "TRADE_TRANSACTION_POSITION"
    REQUEST = "TRADE_TRANSACTION_REQUEST"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """
    What ``OnTradeTransaction`` is called with; fields that a type does not fill are 0.

    ``time_msc``: when it happened, server clock, which MQL5 does not tell. ``request`` and
    ``result`` are there for the type REQUEST only.

    MQL5 page: constants/structures/mqltradetransaction
    """

    type: TransactionType
    deal: int = 0
    order: int = 0
    symbol: str = ""
    order_type: int = 0
    order_state: int = 0
    deal_type: int = 0
    time_type: int = 0
    time_expiration: int = 0
    price: float = 0.0
    price_trigger: float = 0.0
    price_sl: float = 0.0
    price_tp: float = 0.0
    volume: float = 0.0
    position: int = 0
    position_by: int = 0
    time_msc: int = 0
    request: TradeRequest | None = None
    result: TradeResult | None = None


class Sent:
    """
    A request on its way: what the caller's ``OrderSend`` returns, and when.

    The caller is blocked until ``at_us``. ``result`` is there once the exchange was advanced to
    that time (at once, when nothing delays it); ``None``: no answer came, and the terminal
    says TIMEOUT or CONNECTION by itself. Nothing is said by that about what the server did.

    ``request_id`` is what ``OrderSendAsync`` returns at once; ``left``: the request left the
    terminal.
    """

    __slots__ = ("_known", "_result", "at_us", "left", "request_id")

    def __init__(self, at_us: int, *, request_id: int = 0, left: bool = True) -> None:
        self.at_us = at_us
        self.request_id = request_id
        self.left = left
        self._result: TradeResult | None = None
        self._known = False

    @property
    def known(self) -> bool:
        """
        Whether ``result`` may be read.
        """
        return self._known

    @property
    def result(self) -> TradeResult | None:
        """
        Return the answer.

        Raises:
            RuntimeError: the server did not come to it: advance the exchange to ``at_us``.
        """
        if not self._known:
            raise RuntimeError(f"the answer is known at {self.at_us} us: advance the exchange")
        return self._result

    def settle(self, result: TradeResult | None) -> None:
        """
        Set the answer, once; what comes later does not count.
        """
        if not self._known:
            self._known, self._result = True, result

    def __repr__(self) -> str:
        return f"<Sent at_us={self.at_us} {self._result if self._known else 'on its way'}>"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Processed:
    """
    A request that the server worked on, and what it made of it.

    ``comment`` is the request's own, before the broker rewrote it.
    """

    at_us: int
    action: int
    comment: str
    retcode: int
    order: int = 0
    deal: int = 0
    position: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """
    The truth at the broker, whatever the terminal can see: orders, deals, requests, by time.

    ``tags`` has the comment that came with the request of each order, by ticket.
    """

    orders: tuple[OrderRecord, ...]
    deals: tuple[DealRecord, ...]
    requests: tuple[Processed, ...]
    tags: dict[int, str]

    def orders_of(self, tag: str) -> list[OrderRecord]:
        """
        Return the orders that were sent with a comment.
        """
        return [order for order in self.orders if self.tags.get(order.ticket) == tag]

    def deals_of(self, tag: str) -> list[DealRecord]:
        """
        Return the deals of the orders that were sent with a comment.
        """
        return [deal for deal in self.deals if self.tags.get(deal.order) == tag]

    def executions_of(self, tag: str) -> int:
        """
        Return how many requests with a comment were executed or placed.
        """
        accepted = {10008, 10009, 10010}
        return sum(1 for one in self.requests if one.comment == tag and one.retcode in accepted)
