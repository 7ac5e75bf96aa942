"""The simulated broker's answers to what a translated program asks of its terminal.

Market and account are those of ``bridge.sim``; properties have the numbers of the manifest.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from bridge.model.enums import AccountMarginMode, AccountTradeMode, MqlError, OrderType
from bridge.model.symbol import SymbolSpec
from bridge.sim.exchange import Exchange
from bridge.sim.history import CopyTicksResult
from bridge.sim.market import Market
from bridge.sim.terminal import ALL_PERMISSIONS, Account
from bridge.wire.spec import Permission
from tests.mql5 import manifest
from tests.mql5.broker_trade import Answer, TradeFunctions
from tests.mql5.link import Call, Reader, Writer, pack_ticks

__all__ = ["Answer", "BookLevel", "Broker"]

_KINDS: Final = ("INTEGER", "DOUBLE", "STRING")
_LAYOUTS: Final = ("q", "d")
_BOOK: Final = struct.Struct("<idqd")
#: What a terminal says of itself, unless a test sets something else.
_TERMINAL: Final[Mapping[str, int | float | str]] = {
    "TERMINAL_BUILD": 5836,
    "TERMINAL_X64": 1,
    "TERMINAL_MAXBARS": 100_000,
    "TERMINAL_PING_LAST": 20_000,
    "TERMINAL_CODEPAGE": 1252,
    "TERMINAL_CPU_CORES": 2,
    "TERMINAL_NAME": "MetaTrader 5",
    "TERMINAL_COMPANY": "MetaQuotes Ltd.",
    "TERMINAL_LANGUAGE": "English",
    "TERMINAL_PATH": "C:\\Program Files\\MetaTrader 5",
    "TERMINAL_DATA_PATH": "C:\\Users\\user\\MetaTrader 5",
    "TERMINAL_COMMONDATA_PATH": "C:\\Users\\user\\Common",
}
_MONEY: Final[Mapping[str, int | float | str]] = {
    "ACCOUNT_BALANCE": 10_000.0,
    "ACCOUNT_EQUITY": 10_000.0,
    "ACCOUNT_MARGIN_FREE": 10_000.0,
    "ACCOUNT_NAME": "Simulated",
    "ACCOUNT_LIMIT_ORDERS": 200,
    "ACCOUNT_CURRENCY_DIGITS": 2,
    "ACCOUNT_MARGIN_SO_CALL": 50.0,
    "ACCOUNT_MARGIN_SO_SO": 30.0,
}
_PERMISSIONS: Final = {
    "TERMINAL_CONNECTED": Permission.TERMINAL_CONNECTED,
    "TERMINAL_TRADE_ALLOWED": Permission.TERMINAL_TRADE_ALLOWED,
    "MQL_TRADE_ALLOWED": Permission.MQL_TRADE_ALLOWED,
    "ACCOUNT_TRADE_ALLOWED": Permission.ACCOUNT_TRADE_ALLOWED,
    "ACCOUNT_TRADE_EXPERT": Permission.ACCOUNT_TRADE_EXPERT,
}
_PRICES: Final = ("bid", "ask", "last", "volume_real", "volume", "time", "time_msc")
_NO_VALUE: Final = (0, 0.0, "")


class BookLevel(NamedTuple):
    """
    One level of an order book; ``type``: 1 sell, 2 buy.
    """

    type: int
    price: float
    volume: float


@dataclass
class Broker:
    """
    One terminal's world. Whoever changes it while a program runs holds the host's lock.

    Attributes:
        market: symbols and ticks.
        account: who is logged on; login 0 for nobody.
        permissions: flags of terminal, program and account.
        properties: values by name (``TERMINAL_PING_LAST``), before any other.
        books: order books by symbol.
        read_msc: time of the newest tick that a program has got of each symbol by CopyTicks.
        read: number of ticks that CopyTicks has returned.
        calls: how often each function was called.
        exchange: where the account trades; without one no program can.
        clock: the time on the exchange's clock.
    """

    market: Market
    account: Account
    permissions: Permission = ALL_PERMISSIONS
    properties: dict[str, int | float | str] = field(default_factory=dict)
    books: dict[str, list[BookLevel]] = field(default_factory=dict)
    book_subscriptions: dict[str, int] = field(default_factory=dict)
    read_msc: dict[str, int] = field(default_factory=dict)
    read: int = 0
    calls: dict[str, int] = field(default_factory=dict)
    exchange: Exchange | None = None
    clock: Callable[[], int] = lambda: 0

    def __post_init__(self) -> None:
        self._names = _names_of_properties()
        self.trade = TradeFunctions(self.exchange, self.clock, lambda: self.permissions)
        self._answers: dict[Call, Callable[[Reader], Answer]] = {
            Call.COPY_TICKS: self._copy_ticks,
            Call.COPY_TICKS_RANGE: self._copy_ticks_range,
            Call.SYMBOL_TICK: self._symbol_tick,
            Call.SYMBOL_INFO: self._symbol_info,
            Call.SYMBOL_SELECT: self._symbol_select,
            Call.SYMBOLS_TOTAL: self._symbols_total,
            Call.SYMBOL_NAME: self._symbol_name,
            Call.SYMBOL_EXIST: self._symbol_exist,
            Call.SYMBOL_SYNCHRONIZED: self._symbol_synchronized,
            Call.BOOK_ADD: self._book_add,
            Call.BOOK_RELEASE: self._book_release,
            Call.BOOK_GET: self._book_get,
            Call.ACCOUNT_INFO: self._account_info,
            Call.TERMINAL_INFO: self._terminal_info,
            Call.MQL_INFO: self._mql_info,
            Call.TIME_LAST: self._time_last,
            Call.TIME_SERVER: self._time_server,
            Call.MARGIN_RATE: self._margin_rate,
            **self.trade.answers,
        }

    def answer(self, question: bytes) -> Answer:
        """
        Answer one call.

        Raises:
            KeyError: there is no such call.
        """
        call = Call(question[0])
        self.calls[call.name] = self.calls.get(call.name, 0) + 1
        return self._answers[call](Reader(question[1:]))

    def allows(self, flag: Permission) -> bool:
        """
        Tell whether a flag is set when the broker has had its say.
        """
        allowed = bool(self.permissions & flag)
        if not allowed or self.exchange is None:
            return allowed
        rules = self.exchange.rules
        match flag:
            case Permission.TERMINAL_CONNECTED:
                return rules.connected
            case Permission.TERMINAL_TRADE_ALLOWED:
                return not rules.client_disables_at
            case Permission.ACCOUNT_TRADE_ALLOWED:
                return self.exchange.account_allows()[0]
            case Permission.ACCOUNT_TRADE_EXPERT:
                return self.exchange.account_allows()[1]
        return True

    # --- ticks -----------------------------------------------------------------------------

    def _copy_ticks(self, fields: Reader) -> Answer:
        symbol = fields.text()
        flags, from_msc, count = fields.unpack("IQI")
        return self._ticks(symbol, self.market.copy_ticks(symbol, flags, from_msc, count))

    def _copy_ticks_range(self, fields: Reader) -> Answer:
        symbol = fields.text()
        flags, from_msc, to_msc, size = fields.unpack("IQQq")
        return self._ticks(
            symbol,
            self.market.history.copy_ticks_range(
                symbol, flags, from_msc, to_msc, buffer_size=None if size < 0 else size
            ),
        )

    def _ticks(self, symbol: str, result: CopyTicksResult) -> Answer:
        ticks = result.ticks
        if ticks is None:
            return Answer(b"\0", result.error, result.blocked_ms)
        if ticks:
            self.read += len(ticks)
            self.read_msc[symbol] = max(self.read_msc.get(symbol, 0), ticks[-1].time_msc)
        return Answer(b"\1" + pack_ticks(ticks), result.error, result.blocked_ms)

    def _symbol_tick(self, fields: Reader) -> Answer:
        result = self.market.history.symbol_info_tick(fields.text())
        if result.tick is None:
            return Answer(error=result.error)
        return Answer(pack_ticks([result.tick]))

    def _time_last(self, _: Reader) -> Answer:
        return Answer(struct.pack("<q", self.market.time_current_msc()))

    def _time_server(self, _: Reader) -> Answer:
        assert self.exchange is not None
        return Answer(struct.pack("<q", self.exchange.server_time_msc(self.clock())))

    # --- symbols ---------------------------------------------------------------------------

    def _symbols(self, selected: int) -> list[str]:
        names = self.market.names()
        return [name for name in names if not selected or self._is_selected(name)]

    def _is_selected(self, symbol: str) -> bool:
        # Market keeps it to itself; the history tells by its error.
        error = self.market.history.symbol_info_tick(symbol).error
        return error not in {MqlError.MARKET_NOT_SELECTED, MqlError.MARKET_UNKNOWN_SYMBOL}

    def _symbols_total(self, fields: Reader) -> Answer:
        (selected,) = fields.unpack("B")
        return Answer(struct.pack("<i", len(self._symbols(selected))))

    def _symbol_name(self, fields: Reader) -> Answer:
        position, selected = fields.unpack("iB")
        names = self._symbols(selected)
        if not 0 <= position < len(names):
            return Answer(error=MqlError.INVALID_PARAMETER)
        return Answer(Writer().text(names[position]).bytes())

    def _symbol_exist(self, fields: Reader) -> Answer:
        return Answer(bytes([fields.text() in self.market.specs]))

    def _symbol_synchronized(self, fields: Reader) -> Answer:
        known = fields.text() in self.market.specs
        synchronized = known and self.allows(Permission.TERMINAL_CONNECTED)
        return Answer(bytes([synchronized]), 0 if known else MqlError.MARKET_UNKNOWN_SYMBOL)

    def _symbol_select(self, fields: Reader) -> Answer:
        symbol = fields.text()
        (select,) = fields.unpack("B")
        return Answer(error=self.market.select(symbol, bool(select)))

    def _symbol_info(self, fields: Reader) -> Answer:
        symbol = fields.text()
        spec = self.market.specs.get(symbol)
        if spec is None:
            return Answer(error=MqlError.MARKET_UNKNOWN_SYMBOL)
        kind, number = fields.unpack("Bi")
        name = self._names.get(("SYMBOL", kind, number))
        if name is None:
            return Answer(error=MqlError.MARKET_WRONG_PROPERTY)
        value = self.properties.get(f"{symbol}.{name}", self._symbol_value(spec, name))
        if isinstance(value, MqlError):
            return Answer(error=value)
        return _value(kind, value)

    def _symbol_value(self, spec: SymbolSpec, name: str) -> Any:
        short = name.removeprefix("SYMBOL_").lower()
        if short in {"select", "visible"}:
            return int(self._is_selected(spec.name))
        if short == "exist":
            return 1
        if short in _PRICES or short == "spread":
            tick = self.market.history.symbol_info_tick(spec.name)
            if tick.error == MqlError.MARKET_NOT_SELECTED:
                return MqlError.MARKET_NOT_SELECTED
            if tick.tick is None:
                return None
            if short == "spread":
                return round((tick.tick.ask - tick.tick.bid) / spec.point)
            return getattr(tick.tick, short)
        return getattr(spec, short, None)

    def _margin_rate(self, fields: Reader) -> Answer:
        symbol = fields.text()
        (order_type,) = fields.unpack("i")
        if symbol not in self.market.specs:
            return Answer(error=MqlError.MARKET_UNKNOWN_SYMBOL)
        if self.exchange is None:
            return Answer(struct.pack("<dd", 1.0, 1.0))
        ratios = self.exchange.rules.ratios_of(symbol)
        ratio = ratios.pending
        if order_type <= OrderType.SELL:
            ratio = ratios.buy if order_type == OrderType.BUY else ratios.sell
        return Answer(struct.pack("<dd", ratio, ratio))

    # --- books -----------------------------------------------------------------------------

    def _book_add(self, fields: Reader) -> Answer:
        symbol = fields.text()
        if symbol not in self.market.specs or not self.market.specs[symbol].ticks_bookdepth:
            return Answer(error=MqlError.BOOKS_CANNOT_ADD)
        self.market.select(symbol, True)
        self.book_subscriptions[symbol] = self.book_subscriptions.get(symbol, 0) + 1
        return Answer()

    def _book_release(self, fields: Reader) -> Answer:
        symbol = fields.text()
        if not self.book_subscriptions.get(symbol):
            return Answer(error=MqlError.BOOKS_CANNOT_DELETE)
        self.book_subscriptions[symbol] -= 1
        return Answer()

    def _book_get(self, fields: Reader) -> Answer:
        symbol = fields.text()
        if not self.book_subscriptions.get(symbol):
            return Answer(error=MqlError.BOOKS_CANNOT_GET)
        levels = self.books.get(symbol, [])
        return Answer(b"".join(_BOOK.pack(t, p, int(v), v) for t, p, v in levels))

    # --- account, terminal, program ----------------------------------------------------------

    def _account_info(self, fields: Reader) -> Answer:
        return self._property(fields, "ACCOUNT", MqlError.ACCOUNT_WRONG_PROPERTY, _MONEY)

    def _terminal_info(self, fields: Reader) -> Answer:
        return self._property(fields, "TERMINAL", MqlError.INVALID_PARAMETER, _TERMINAL)

    def _mql_info(self, fields: Reader) -> Answer:
        return self._property(fields, "MQL", MqlError.INVALID_PARAMETER, {})

    def _property(
        self, fields: Reader, group: str, wrong: MqlError, usual: Mapping[str, int | float | str]
    ) -> Answer:
        kind, number = fields.unpack("Bi")
        name = self._names.get((group, kind, number))
        if name is None:
            return Answer(error=wrong)
        if name in self.properties:
            return _value(kind, self.properties[name])
        if name in _PERMISSIONS:
            return _value(kind, int(self.allows(_PERMISSIONS[name])))
        if name == "MQL_PROGRAM_TYPE":
            return _value(kind, manifest.load().enums["ENUM_PROGRAM_TYPE"]["PROGRAM_EXPERT"])
        if group == "ACCOUNT":
            short = name.removeprefix("ACCOUNT_").lower()
            mine = getattr(self.account, short, None)
            if mine is None and self.exchange is not None:
                mine = self._of_exchange(self.exchange, short)
            if mine is not None:
                return _value(kind, mine)
        return _value(kind, usual.get(name))

    @staticmethod
    def _of_exchange(exchange: Exchange, short: str) -> Any:
        if short == "hedge_allowed":
            return not exchange.rules.hedge_prohibited
        if short == "limit_orders" and exchange.rules.max_orders:
            return exchange.rules.max_orders
        return getattr(exchange.account(), short, None)


def account_of(exchange: Exchange) -> Account:
    """
    Return who is logged on at an exchange.
    """
    account = exchange.account()
    return Account(
        login=account.login,
        server=account.server,
        company=account.company,
        currency=account.currency,
        leverage=account.leverage,
        margin_mode=AccountMarginMode(account.margin_mode),
        trade_mode=AccountTradeMode(account.trade_mode),
    )


def _names_of_properties() -> dict[tuple[str, int, int], str]:
    enums = manifest.load().enums
    return {
        (group, kind, number): name
        for group, enum in (
            ("SYMBOL", "SYMBOL_INFO"),
            ("ACCOUNT", "ACCOUNT_INFO"),
            ("TERMINAL", "TERMINAL_INFO"),
            ("MQL", "MQL_INFO"),
        )
        for kind, of in enumerate(_KINDS)
        for name, number in enums.get(f"ENUM_{enum}_{of}", {}).items()
    }


def _value(kind: int, value: Any) -> Answer:
    # A property that this terminal has nothing for is 0 or empty, as MetaTrader's often are.
    if value is None:
        value = _NO_VALUE[kind]
    if kind < len(_LAYOUTS):
        number = float(value) if _LAYOUTS[kind] == "d" else int(value)
        return Answer(struct.pack("<" + _LAYOUTS[kind], number))
    return Answer(Writer().text(str(value)).bytes())
