"""A market whose prices turn, so that strategies trade: a relay, a terminal and its broker."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Self

from bridge.model.enums import AccountMarginMode
from bridge.model.symbol import spec_for
from bridge.model.tick import MqlTick
from bridge.model.trade import order_tag
from bridge.sim.account import Account, account_record
from bridge.sim.exchange import Exchange
from bridge.sim.exchange_rules import BrokerRules
from bridge.sim.feed import ReplayFeed
from bridge.sim.ledger import MemoryLedger
from bridge.sim.market import Market
from bridge.sim.runner import TerminalThread, clock_us
from bridge.sim.terminal import TerminalCore
from tests.support.relay import RelayThread, Requester, make_settings, port_of

__all__ = ["BAR_MS", "TurningMarket"]

SYMBOL: Final = "EURUSD"
#: One tick in each bar: its price is the bar's close.
BAR_MS: Final = 50
DEADLINE_S: Final = 20.0
_UTC_OFFSET_MIN: Final = 120
_INCARNATION: Final = b"turning market.."
#: In points. A whole swing is less than the stops of the tests are away.
_LOWEST: Final = 110_000
_STEP: Final = 10
_SPREAD: Final = 2
_POINTS_PER_UNIT: Final = 100_000
#: Prices rise for so many bars, then fall: averages of 3 and 8 bars cross at every turn.
_SWING: Final = 10


class TurningMarket:
    """
    A relay with the terminal ``demo``, whose EURUSD rises and falls by turns in real time.

    Entering waits until it takes orders. What the broker did stands in ``exchange``, also
    afterwards; ask it then, because it belongs to the terminal's thread meanwhile.

    Args:
        folder: of the relay's files.
        bars: how many there are, each of ``BAR_MS``; then the market is silent.
        netting: one position for a symbol.
        rules: the broker's.
        start_msc: time of the first bar on the trade server's clock; now when left out.
        trading: settings of the terminal's section ``trading``, over those of this class.
    """

    def __init__(
        self,
        folder: Path,
        *,
        bars: int = 4_000,
        netting: bool = False,
        rules: BrokerRules | None = None,
        start_msc: int | None = None,
        trading: dict[str, Any] | None = None,
    ) -> None:
        # The pace of a test is no strategy gone wild: no limit, unless it asks for one.
        given = {"enabled": True, "max_orders_per_minute": 0, **(trading or {})}
        self._settings, keys = make_settings(folder, terminals={"demo": {"trading": given}})
        self._key = keys["demo"]
        self._bars = bars
        self._start_msc = start_msc
        mode = AccountMarginMode.RETAIL_NETTING if netting else AccountMarginMode.RETAIL_HEDGING
        self._account = Account(login=5_012_345, server="Broker-Demo", margin_mode=mode)
        self._market = Market([spec_for(SYMBOL)])
        self.exchange = Exchange(
            self._market,
            account=account_record(self._account),
            rules=BrokerRules() if rules is None else rules,
        )
        #: of the relay, for requests
        self.endpoint = ""
        self._stack = contextlib.ExitStack()

    def executions(self, client_id: str, client_order_id: str) -> int:
        """
        Return how often the broker executed an order.
        """
        tag = order_tag(f"{client_id}/{client_order_id}")
        return self.exchange.ledger().executions_of(tag)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            relay = stack.enter_context(RelayThread(self._settings))
            self.endpoint = relay.endpoints.request
            stack.enter_context(self._terminal(port_of(relay.endpoints.terminal)))
            self._wait_until_ready()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _terminal(self, port: int) -> TerminalThread:
        start_msc = self._start_msc
        if start_msc is None:
            start_msc = time.time_ns() // 1_000_000 + _UTC_OFFSET_MIN * 60_000
        self.exchange.server_clock_offset_us = start_msc * 1000 - clock_us()
        core = TerminalCore(
            key=self._key,
            key_id="demo",
            account=self._account,
            market=self._market,
            incarnation=_INCARNATION,
            exchange=self.exchange,
            ledger=MemoryLedger(_INCARNATION),
        )
        core.utc_offset_min = _UTC_OFFSET_MIN
        feed = ReplayFeed(self._market.history, {SYMBOL: _ticks(start_msc, self._bars)})
        return TerminalThread(core, port, feed=feed)

    def _wait_until_ready(self) -> None:
        # The account is read after the logon: until then it is not known what may be traded.
        deadline = time.monotonic() + DEADLINE_S
        with Requester(self.endpoint) as ask:
            while not ask("status")["terminals"][0]["permissions"]["mql_trade_allowed"]:
                assert time.monotonic() < deadline, "the terminal does not take orders"
                threading.Event().wait(0.01)


def _ticks(start_msc: int, bars: int) -> Iterator[MqlTick]:
    for bar in range(bars):
        swings, at = divmod(bar, _SWING)
        bid = _LOWEST + _STEP * (_SWING - at if swings % 2 else at)
        # Divided once, from whole numbers: the float that the decimal text gives.
        yield MqlTick(
            start_msc + bar * BAR_MS, bid / _POINTS_PER_UNIT, (bid + _SPREAD) / _POINTS_PER_UNIT
        )
