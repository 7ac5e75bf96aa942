"""The Python terminal as a side under test: program, disk, broker and market, without sockets."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from bridge.model.enums import (
    AccountMarginMode,
    AccountTradeMode,
    DealType,
    OrderState,
    OrderType,
    PositionType,
    TradeRequestActions,
    TradeRetcode,
)
from bridge.model.symbol import spec_for
from bridge.model.tick import MqlTick
from bridge.model.trade import TradeRequest
from bridge.sim.account import Account, account_record
from bridge.sim.exchange import Exchange
from bridge.sim.exchange_rules import BrokerRules, CommentMode
from bridge.sim.ledger import MemoryLedger
from bridge.sim.market import Market
from bridge.sim.terminal import ALL_PERMISSIONS, TerminalCore
from bridge.sim.trading import TradingDesk, TradingLimits
from bridge.wire.spec import Permission, Role
from tests.conformance.speech import KEYS, tag_of
from tests.conformance.values import SyntaxProblem

__all__ = ["OFFSET_MIN", "SERVER_MSC", "START_US", "TerminalPeer"]

#: Wednesday, 2024-01-10, 10:00 on the server's clock, which is two hours before UTC.
SERVER_MSC: Final = 1_704_880_800_000
OFFSET_MIN: Final = 120
START_US: Final = 1_000_000_000
#: the program is called so often, and looks for ticks; rarely when nothing has happened for long
_TURN_US: Final = 10_000
_LONG_TURN_US: Final = 50_000
_SOON_US: Final = 1_000_000
_QUIET_TURNS: Final = 2
_POINT: Final = 0.00001
_PRICES: Final = {"EURUSD": (1.1, 1.1001), "GBPUSD": (1.25, 1.2502)}
#: a symbol that has never had a tick
_NO_TICKS: Final = "USDJPY"
_RANGES: Final = ("execution_ms", "fill_ms", "reply_ms", "visibility_ms", "state_delay_ms")
_SYMBOLS: Final = ("market_closed", "no_quotes")
_BUYS: Final = {DealType.BUY: 1.0, DealType.SELL: -1.0}


class TerminalPeer:
    """
    Implements ``ports.Peer``.

    ``terminal`` makes the program: a test that takes a mechanism out gives another.
    """

    def __init__(self, terminal: type[TerminalCore] = TerminalCore) -> None:
        self.now_us = START_US
        self._make = terminal
        self._account = Account(login=1001, server="Demo-Server")
        self._role = Role.BOTH
        specs = [spec_for(name) for name in (*_PRICES, _NO_TICKS)]
        self._market = Market(specs)
        self._ledger = MemoryLedger(bytes(range(16)))
        self._ledgers = 1
        self._exchange: Exchange | None = None
        self._core: TerminalCore | None = None
        self._open = 0
        self._out: dict[int, bytearray] = {}
        for name, (bid, ask) in _PRICES.items():
            self._quote(name, bid, ask)

    # --- the port ---------------------------------------------------------------------------

    @property
    def utc_msc(self) -> int:
        return self.server_msc - OFFSET_MIN * 60_000

    @property
    def server_msc(self) -> int:
        return SERVER_MSC + (self.now_us - START_US) // 1000

    def connect(self, number: int) -> bool:
        core = self._program()
        if self._open or not core.may_connect(self.now_us):
            return False
        self._open = number
        self._out[number] = bytearray()
        core.connection_made(self.now_us)
        self._run()
        return True

    def send(self, number: int, data: bytes) -> None:
        if number == self._open:
            self._program().data_received(data, self.now_us)
            self._run()

    def receive(self, number: int) -> bytes:
        data = bytes(self._out.get(number, b""))
        self._out[number] = bytearray()
        return data

    def is_open(self, number: int) -> bool:
        return number == self._open

    def cut(self, number: int) -> None:
        if number == self._open:
            self._hang_up()

    def advance(self, until_us: int) -> None:
        soon = self.now_us + _SOON_US
        while self.now_us < until_us:
            is_long = self.now_us >= soon
            self.now_us = min(until_us, self.now_us + (_LONG_TURN_US if is_long else _TURN_US))
            self._run(quiet_turns=1)

    def command(self, name: str, values: dict[str, Any]) -> None:
        getattr(self, f"_do_{name}")(**values)
        if self._core is not None:
            self._run()

    def question(self, name: str, values: dict[str, Any]) -> str:
        return str(getattr(self, f"_is_{name}")(**values))

    def ask(self, label: str, request: dict[str, Any]) -> None:
        raise NotImplementedError

    def reply(self, label: str) -> dict[str, Any] | None:
        raise NotImplementedError

    def subscribe(self, topic: str, *, wanted: bool = True) -> None:
        raise NotImplementedError

    def published(self, topic: str) -> list[Any]:
        raise NotImplementedError

    # --- inside -------------------------------------------------------------------------------

    def _broker(self) -> Exchange:
        if self._exchange is None:
            self._exchange = Exchange(
                self._market,
                account=account_record(self._account),
                server_clock_offset_us=SERVER_MSC * 1000 - START_US,
            )
        return self._exchange

    def _program(self) -> TerminalCore:
        if self._core is None:
            self._do_start()
        assert self._core is not None
        return self._core

    def _run(self, quiet_turns: int = _QUIET_TURNS) -> None:
        # Until nothing moves any more at this moment.
        core = self._core
        quiet = 0
        while core is not None and quiet < quiet_turns:
            core.poll(self.now_us)
            moved = False
            while data := core.data_to_send():
                moved = True
                if self._open:
                    self._out[self._open] += data
            if core.closing:
                self._hang_up()
            quiet = 0 if moved else quiet + 1

    def _hang_up(self) -> None:
        self._open = 0
        self._program().connection_lost(self.now_us)

    def _quote(self, symbol: str, bid: float, ask: float, time_msc: int | None = None) -> None:
        at = self.server_msc if time_msc is None else time_msc
        self._market.history.append(symbol, MqlTick(at, bid, ask, 0.0, 0.0, 6))

    # --- what = says ----------------------------------------------------------------------------

    def _do_settings(self, **values: Any) -> None:
        if self._core is not None:
            raise SyntaxProblem("settings: the terminal runs already")
        if "role" in values:
            self._role = Role[values.pop("role")]
        self._account = self._account_with(values)

    def _do_account(self, **values: Any) -> None:
        self._account = self._account_with(values)
        self._program().account = self._account

    def _account_with(self, values: dict[str, Any]) -> Account:
        if "margin_mode" in values:
            values["margin_mode"] = AccountMarginMode[values["margin_mode"]]
        if "trade_mode" in values:
            values["trade_mode"] = AccountTradeMode[values["trade_mode"]]
        return dataclasses.replace(self._account, **values)

    def _do_start(self) -> None:
        if self._core is not None:
            raise SyntaxProblem("start: the terminal runs already")
        self._core = self._make(
            key=KEYS["demo"],
            key_id="demo",
            account=self._account,
            market=self._market,
            incarnation=self._ledger.incarnation,
            connection_counter=self._ledger.connection_counter,
            commit_counter=self._ledger.commit_counter,
            role=self._role,
            exchange=self._broker(),
            ledger=self._ledger,
        )

    def _do_kill(self) -> None:
        # Nothing is told to anybody; what the broker has on its way goes on without us.
        self._core = None
        self._open = 0

    def _do_ledger(self, *, durable: bool = True, new: bool = False) -> None:
        if new:
            if self._core is not None:
                raise SyntaxProblem("ledger new: kill the terminal first")
            self._ledgers += 1
            counter = self._ledger.connection_counter
            self._ledger = MemoryLedger(bytes([self._ledgers]) * 16)
            self._ledger.connection_counter = counter
        self._ledger.broken = not durable

    def _do_tick(
        self,
        *,
        symbol: str,
        bid: float,
        ask: float = 0.0,
        time_msc: int | None = None,
        count: int = 1,
    ) -> None:
        # Several end now, a millisecond apart and a point higher each.
        last = self.server_msc if time_msc is None else time_msc
        for i in range(count):
            price = round(bid + i * _POINT, 5)
            spread = ask - bid if ask else 10 * _POINT
            self._quote(symbol, price, round(price + spread, 5), last - count + 1 + i)

    def _do_history(self, *, symbol: str, **values: Any) -> None:
        history = self._market.history
        at = values.pop("time_msc", self.server_msc)
        for name, value in values.items():
            match name:
                case "late":
                    history.insert_late(symbol, MqlTick(at, value, value + 0.0001, 0.0, 0.0, 6))
                case "bid":
                    history.revise(symbol, at, 0, MqlTick(at, value, value + 0.0001, 0.0, 0.0, 6))
                case "lost":
                    for tick in history.ticks_of(symbol):
                        if tick.time_msc <= at:
                            history.revise(symbol, tick.time_msc, 0, None)
                case "loading":
                    history.answer_in_part(symbol, calls=value, blocked_ms=1000)
                case "first_call_ms":
                    history.block_first_call(symbol, value)

    def _do_broker(self, **values: Any) -> None:
        known = {field.name for field in dataclasses.fields(BrokerRules)}
        for name, value in values.items():
            if name not in known:
                raise SyntaxProblem(f"broker {name}: there is no such rule")
            if name in _RANGES:
                values[name] = (value, value)
            elif name in _SYMBOLS:
                values[name] = frozenset([value] if value else [])
            elif name == "comment":
                values[name] = CommentMode[value]
            elif name == "pending_retcode":
                values[name] = TradeRetcode[value]
        self._broker().rules = dataclasses.replace(self._broker().rules, **values)

    def _do_answer(self, *, retcode: str | int, executed: bool = False) -> None:
        code = retcode if isinstance(retcode, int) else TradeRetcode[retcode]
        self._broker().force(int(code), executed=executed)

    def _do_permissions(self, *, off: str) -> None:
        flag = Permission(0) if off == "none" else Permission[off]
        self._program().permissions = ALL_PERMISSIONS & ~flag

    def _do_limits(self, **values: Any) -> None:
        if "symbols" in values:
            values["symbols"] = frozenset([values["symbols"]])
        trading = self._program().trading
        assert isinstance(trading, TradingDesk)
        trading.limits = TradingLimits(**values)

    def _do_user(self, *, symbol: str = "EURUSD", **values: Any) -> None:
        # Somebody trades by hand in the same account: no tag.
        for name, value in values.items():
            fields: dict[str, Any] = {"symbol": symbol, "volume": value}
            if name == "close":
                (position,) = self._broker().positions(ticket=value)
                side = OrderType.SELL if position.type == PositionType.BUY else OrderType.BUY
                fields |= {"volume": position.volume, "position": value}
            else:
                side = OrderType[name.upper()]
            request = TradeRequest(action=TradeRequestActions.DEAL, type=side, **fields)
            self._broker().order_send(request, self.now_us)

    # --- what =? asks ---------------------------------------------------------------------------

    def _is_executed(self, *, command_id: str, times: int) -> str:
        found = self._broker().ledger().executions_of(tag_of(command_id))
        return "" if found == times else f"the broker executed {command_id} {found} times"

    def _is_position(self, *, symbol: str, volume: float) -> str:
        deals = self._broker().ledger().deals
        found = sum(
            _BUYS.get(DealType(d.type), 0.0) * d.volume for d in deals if d.symbol == symbol
        )
        good = abs(found - volume) < 1e-9
        return "" if good else f"{found:g} lots of {symbol} are open at the broker"

    def _is_orders(self, *, count: int) -> str:
        open_states = {OrderState.PLACED, OrderState.PARTIAL, OrderState.STARTED}
        found = sum(order.state in open_states for order in self._broker().ledger().orders)
        return "" if found == count else f"{found} orders are open at the broker"
