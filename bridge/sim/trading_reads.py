"""What is read of an account: ``positions``, ``orders``, ``account`` and ``order_check``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bridge.model.trade import asdict
from bridge.sim.trading_request import Refused, RequestMaker
from bridge.wire.fields import FieldError
from bridge.wire.messages import OrderRequest
from bridge.wire.spec import DenyReason, ErrorCode
from bridge.wire.structures import ORDER_REQUEST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bridge.model.symbol import SymbolSpec
    from bridge.model.tick import MqlTick
    from bridge.model.trade import OrderRecord, PositionRecord
    from bridge.sim.trading_ports import Broker

__all__ = ["TRADE_READS", "ReadProblem", "TradeReads", "make_reads"]

#: Methods of REQUEST that need an account at a broker.
TRADE_READS: Final = frozenset({"positions", "orders", "account", "order_check"})

_U64_MAX: Final = 2**64 - 1
_U32_MAX: Final = 2**32 - 1


class ReadProblem(Exception):
    """
    Ends a request: code and text of its last page.
    """

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text


class TradeReads:
    """
    Answers from a broker; nothing is changed and nothing is kept.
    """

    def __init__(
        self,
        broker: Broker,
        specs: Mapping[str, SymbolSpec],
        quote: Callable[[str], MqlTick | None],
        clock_us: Callable[[], int],
    ) -> None:
        self._broker = broker
        self._specs = specs
        self._maker = RequestMaker(broker, specs, quote)
        self._clock_us = clock_us

    def answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """
        Return the answer to one of ``TRADE_READS``.

        Raises:
            ReadProblem: a parameter is wrong.
        """
        match method:
            case "positions":
                symbol, ticket = self._filter(params)
                positions = self._broker.positions(symbol=symbol, ticket=ticket)
                return {"positions": _chosen(positions, params)}
            case "orders":
                symbol, ticket = self._filter(params)
                orders = self._broker.orders(symbol=symbol, ticket=ticket)
                return {"orders": _chosen(orders, params)}
            case "account":
                return {"account": asdict(self._broker.account())}
        return self._order_check(params)

    # --- inside ------------------------------------------------------------------------

    def _filter(self, params: dict[str, Any]) -> tuple[str | None, int | None]:
        symbol = params.get("symbol")
        if symbol is not None and (not isinstance(symbol, str) or symbol not in self._specs):
            raise ReadProblem(
                ErrorCode.UNKNOWN_SYMBOL, f"the terminal has no symbol {symbol!r}"[:200]
            )
        return symbol, _number(params, "ticket", _U64_MAX)

    def _order_check(self, params: dict[str, Any]) -> dict[str, Any]:
        # The fields of OrderRequest by their names, and ``flags`` as in NEW.
        given = {name: value for name, value in params.items() if name != "flags"}
        unknown = given.keys() - set(OrderRequest._fields)
        if unknown:
            raise ReadProblem(ErrorCode.INVALID, f"{min(unknown)}: no field of a request"[:200])
        flags = _number(params, "flags", _U32_MAX) or 0
        try:
            request = ORDER_REQUEST.check([given.get(name) for name in OrderRequest._fields], "")
            self._maker.check(request, flags)
            draft = self._maker.make(request, flags, "")
        except FieldError as error:
            raise ReadProblem(ErrorCode.INVALID, str(error).removeprefix(".")) from None
        except Refused as refused:
            code = (
                ErrorCode.INVALID if refused.reason is DenyReason.INVALID else ErrorCode.NOT_FOUND
            )
            raise ReadProblem(code, refused.text) from None
        check = self._broker.order_check(draft.request, self._clock_us())
        return {"check": asdict(check), "request": asdict(draft.request)}


def make_reads(
    broker: Broker | None,
    specs: Mapping[str, SymbolSpec],
    quote: Callable[[str], MqlTick | None],
    clock_us: Callable[[], int],
) -> TradeReads | None:
    """
    Return what answers for this broker, ``None`` without one.
    """
    return None if broker is None else TradeReads(broker, specs, quote, clock_us)


def _chosen(
    records: list[PositionRecord] | list[OrderRecord], params: dict[str, Any]
) -> list[dict[str, Any]]:
    magic = _number(params, "magic", _U64_MAX)
    return [asdict(record) for record in records if magic in {None, record.magic}]


def _number(params: dict[str, Any], name: str, high: int) -> int | None:
    value = params.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= high:
        raise ReadProblem(ErrorCode.INVALID, f"{name}: expected a whole number from 0 to {high}")
    return value
