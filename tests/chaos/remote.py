"""The terminal's side of its broker: the trade functions, asked of the broker's process.

What a terminal may see arrives with ``advance``, as with the ``Exchange`` itself: history stays
here, because it does not change any more, the open orders and positions until the next time.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, TypeVar

from bridge.model.trade import (
    AccountRecord,
    DealRecord,
    OrderRecord,
    PositionRecord,
    TradeCheckResult,
    TradeRequest,
    TradeResult,
)
from bridge.sim.exchange_fills import account_allows
from bridge.sim.exchange_records import Transaction, TransactionType
from bridge.sim.exchange_view import Timeline
from tests.chaos.rpc import Connection, from_values, to_values

if TYPE_CHECKING:
    from bridge.sim.exchange_rules import BrokerRules

__all__ = ["RemoteBroker"]

#: News are fetched so often at most while nothing is under way.
_FETCH_US = 4_000
_TIMEOUT_S = 30.0

_R = TypeVar("_R", PositionRecord, OrderRecord)


class _Sending:
    # An OrderSend under way.

    def __init__(self, at_us: int) -> None:
        self.at_us = at_us
        self.request_id = 0
        self.result: TradeResult | None = None


class RemoteBroker:
    """
    ``bridge.sim.trading_ports.Broker`` over a connection. One thread uses it.

    ``offset_us``: the server's clock minus this machine's.
    """

    def __init__(self, port: int, rules: BrokerRules, offset_us: int) -> None:
        self.rules = rules
        self._offset_us = offset_us
        stream = socket.create_connection(("127.0.0.1", port), _TIMEOUT_S)
        self._connection = Connection(stream)
        self._next_us = 0
        self._transactions: list[Transaction] = []
        self._deals: Timeline[DealRecord] = Timeline({}, lambda one: one.time_msc)
        self._history: Timeline[OrderRecord] = Timeline({}, lambda one: one.time_done_msc)
        self._sent: dict[int, _Sending] = {}
        #: what is open, by what was asked for
        self._open: dict[tuple[str, str | None, int | None], list[Any]] = {}
        self.advance(1)

    def server_time_msc(self, now_us: int) -> int:
        return (now_us + self._offset_us) // 1000

    def advance(self, now_us: int) -> None:
        if now_us < self._next_us and not any(one.at_us <= now_us for one in self._sent.values()):
            return
        self._next_us = now_us + _FETCH_US
        self._open.clear()
        transactions, deals, history, settled = self._ask("advance")
        self._transactions += [_transaction(values) for values in transactions]
        for values in deals:
            deal = from_values(DealRecord, values)
            self._deals[deal.ticket] = deal
        for values in history:
            order = from_values(OrderRecord, values)
            self._history[order.ticket] = order
        for number, values in settled:
            if values is not None:
                self._sent[number].result = from_values(TradeResult, values)
            del self._sent[number]

    def transactions(self) -> list[Transaction]:
        found, self._transactions = self._transactions, []
        return found

    def order_check(self, request: TradeRequest, now_us: int) -> TradeCheckResult:
        return from_values(TradeCheckResult, self._ask("check", to_values(request)))

    def order_send(self, request: TradeRequest, now_us: int) -> _Sending:
        number, at_us = self._ask("send", to_values(request))
        sending = self._sent[number] = _Sending(at_us)
        return sending

    def positions(
        self, *, symbol: str | None = None, ticket: int | None = None
    ) -> list[PositionRecord]:
        return self._of(PositionRecord, "positions", symbol, ticket)

    def orders(self, *, symbol: str | None = None, ticket: int | None = None) -> list[OrderRecord]:
        return self._of(OrderRecord, "orders", symbol, ticket)

    def history_orders(self, from_msc: int, to_msc: int) -> list[OrderRecord]:
        return self._history.between(from_msc, to_msc)

    def history_deals(self, from_msc: int, to_msc: int) -> list[DealRecord]:
        return self._deals.between(from_msc, to_msc)

    def account(self) -> AccountRecord:
        return from_values(AccountRecord, self._ask("account"))

    def account_allows(self) -> tuple[bool, bool]:
        # The rules are its own.
        return account_allows(AccountRecord(login=1), self.rules)

    def ledger(self) -> dict[str, Any]:
        """
        Return the broker's own ledger, plain. Not for a terminal.
        """
        return self._ask("ledger")

    def close(self) -> None:
        self._connection.close()

    def _of(self, kind: type[_R], name: str, symbol: str | None, ticket: int | None) -> list[_R]:
        asked = (name, symbol, ticket)
        found = self._open.get(asked)
        if found is None:
            found = [from_values(kind, values) for values in self._ask(*asked)]
            self._open[asked] = found
        # Whoever gets it may put it in another order.
        return found.copy()

    def _ask(self, *request: Any) -> Any:
        self._connection.send(request)
        answer = self._connection.receive()
        if answer is None:
            raise ConnectionError("the broker's process is gone")
        return answer


def _transaction(values: list[Any]) -> Transaction:
    values[0] = TransactionType(values[0])
    if values[-2] is not None:
        values[-2] = from_values(TradeRequest, values[-2])
    if values[-1] is not None:
        values[-1] = from_values(TradeResult, values[-1])
    return from_values(Transaction, values)
