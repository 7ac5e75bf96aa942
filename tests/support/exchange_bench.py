"""A simulated broker with a clock, prices and short names for what tests ask of it."""

from __future__ import annotations

import dataclasses
from typing import Any

from bridge.model.enums import (
    AccountMarginMode,
    OrderType,
    OrderTypeFilling,
    SymbolTradeExecution,
    SymbolTradeMode,
    TradeRequestActions,
)
from bridge.model.symbol import SymbolSpec, spec_for
from bridge.model.tick import MqlTick
from bridge.model.trade import AccountRecord, TradeRequest, TradeResult
from bridge.sim.exchange import Exchange
from bridge.sim.exchange_rules import BrokerRules
from bridge.sim.market import Market

__all__ = [
    "BUY",
    "MS",
    "NETTING",
    "START_MSC",
    "ExchangeBench",
    "instant",
    "netting",
    "with_mode",
]

MS = 1_000
NETTING = AccountMarginMode.RETAIL_NETTING
#: Wednesday, 2024-01-10, 10:00 on the server's clock.
START_MSC = 1_704_880_800_000
BUY = TradeRequest(action=TradeRequestActions.DEAL, symbol="EURUSD", volume=1.0, type=OrderType.BUY)
_SYMBOLS = ("EURUSD", "GBPUSD", "USDJPY", "EURJPY", "XAUUSD", "ES")
_PRICES = {
    "EURUSD": (1.1, 1.1001),
    "GBPUSD": (1.25, 1.2502),
    "USDJPY": (150.0, 150.01),
    "EURJPY": (165.0, 165.02),
    "XAUUSD": (2000.0, 2000.2),
    "ES": (5000.0, 5000.25),
}


def instant(name: str = "EURUSD", **fields: Any) -> SymbolSpec:
    """
    Return a symbol of instant execution.
    """
    return dataclasses.replace(spec_for(name), trade_exemode=SymbolTradeExecution.INSTANT, **fields)


def with_mode(mode: SymbolTradeMode) -> SymbolSpec:
    """
    Return EURUSD as it is in a trade mode.
    """
    return dataclasses.replace(spec_for("EURUSD"), trade_mode=mode)


def netting(**rules: Any) -> ExchangeBench:
    """
    Return the bench with a netting account.
    """
    return ExchangeBench(account={"margin_mode": NETTING}, **rules)


class ExchangeBench:
    """
    An exchange in hedging with 10,000 USD, all prices there, no delays, and its own clock.

    Args:
        specs: replace the default symbols of their names.
        account: fields of the account.
        rules: fields of the rules.
    """

    def __init__(
        self,
        *specs: SymbolSpec,
        account: dict[str, Any] | None = None,
        seed: int = 0,
        **rules: Any,
    ) -> None:
        named = {name: spec_for(name) for name in _SYMBOLS} | {spec.name: spec for spec in specs}
        self.market = Market(named.values())
        for name in named:
            bid, ask = _PRICES[name]
            self.market.history.append(name, MqlTick(START_MSC, bid, ask, bid))
        fields = {"login": 7, "currency": "USD", "balance": 10_000.0} | (account or {})
        self.now_us = 0
        self.exchange = Exchange(
            self.market,
            account=AccountRecord(**fields),
            seed=seed,
            rules=BrokerRules(**rules),
            server_clock_offset_us=START_MSC * MS,
        )
        self.exchange.advance(self.now_us)

    # --- the world ---------------------------------------------------------------------

    def set(self, **rules: Any) -> None:
        """
        Change some rules.
        """
        self.exchange.rules = dataclasses.replace(self.exchange.rules, **rules)

    def wait(self, ms: float) -> None:
        """
        Let time pass.
        """
        self.now_us += int(ms * MS)
        self.exchange.advance(self.now_us)

    def quote(self, bid: float, ask: float, symbol: str = "EURUSD", last: float = 0.0) -> None:
        """
        Let a tick come, a millisecond later.
        """
        self.now_us += MS
        time_msc = START_MSC + self.now_us // MS
        self.market.history.append(symbol, MqlTick(time_msc, bid, ask, last or bid))
        self.exchange.advance(self.now_us)

    # --- requests ----------------------------------------------------------------------

    def send(self, action: TradeRequestActions, **fields: Any) -> TradeResult:
        """
        Send a request, wait for its answer and return it.
        """
        sent = self.exchange.order_send(TradeRequest(action=action, **fields), self.now_us)
        self.now_us = max(self.now_us, sent.at_us)
        self.exchange.advance(self.now_us)
        assert sent.result is not None, "the answer was lost"
        return sent.result

    def deal(self, order_type: OrderType, volume: float = 1.0, **fields: Any) -> TradeResult:
        """
        Send a market order of EURUSD.
        """
        fields = {"symbol": "EURUSD"} | fields
        return self.send(TradeRequestActions.DEAL, type=order_type, volume=volume, **fields)

    def buy(self, volume: float = 1.0, **fields: Any) -> TradeResult:
        """
        Buy at the market.
        """
        return self.deal(OrderType.BUY, volume, **fields)

    def sell(self, volume: float = 1.0, **fields: Any) -> TradeResult:
        """
        Sell at the market.
        """
        return self.deal(OrderType.SELL, volume, **fields)

    def pending(
        self, order_type: OrderType, price: float, volume: float = 1.0, **fields: Any
    ) -> TradeResult:
        """
        Place a pending order of EURUSD.
        """
        fields = {"symbol": "EURUSD", "type_filling": OrderTypeFilling.RETURN} | fields
        return self.send(
            TradeRequestActions.PENDING, type=order_type, price=price, volume=volume, **fields
        )

    # --- what there is -----------------------------------------------------------------

    @property
    def position(self):
        """
        The one open position.
        """
        (position,) = self.exchange.positions()
        return position

    @property
    def order(self):
        """
        The one open order.
        """
        (order,) = self.exchange.orders()
        return order

    def deals(self):
        """
        Return the deals that the terminal sees.
        """
        return self.exchange.history_deals(0, 2**62)

    def ended(self):
        """
        Return the ended orders that the terminal sees.
        """
        return self.exchange.history_orders(0, 2**62)
