"""The trade functions of a translated program, served by ``bridge.sim.exchange.Exchange``.

What the C++ side keeps (what is selected) and what this side decides (everything else) is in
``runtime/terminal_trade.cpp``. Without an exchange there is an account without anything on it,
on which no program may trade.

What must change together: this file, ``link.py``, ``runtime/terminal_structs.cpp`` and
``runtime/terminal_trade.cpp``.
"""

from __future__ import annotations

import dataclasses
import math
import random
import struct
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from bridge.model.enums import MqlError, OrderType, TradeRetcode
from bridge.model.trade import TradeCheckResult, TradeRequest, TradeResult
from bridge.sim.exchange import Exchange
from bridge.sim.exchange_records import Sent, Transaction
from bridge.wire.spec import Permission
from tests.mql5 import manifest
from tests.mql5.link import GIVEN_BEFORE, HOLDS_UNTIL_WAIT, Call, Reader, Writer

__all__ = ["Answer", "TradeFaults", "TradeFunctions", "pack_transaction"]

_U64: Final = 2**64 - 1
_U32: Final = 2**32 - 1
#: The answer to a request: its number, and how long the call blocks. Number 0: it did not, and
#: what came back is behind that.
_SENT: Final = struct.Struct("<Iq")
_RETURNED: Final = _SENT.pack(0, 0)
#: So many positions are told with their number.
_FEW: Final = 4
_KINDS: Final = ("INTEGER", "DOUBLE", "STRING")
_DONE: Final = frozenset({TradeRetcode.PLACED, TradeRetcode.DONE, TradeRetcode.DONE_PARTIAL})
#: What the terminal refuses by itself, by the flag that is missing; the first one counts.
_REFUSED: Final = (
    (Permission.TERMINAL_TRADE_ALLOWED, TradeRetcode.CLIENT_DISABLES_AT),
    (Permission.MQL_TRADE_ALLOWED, TradeRetcode.CLIENT_DISABLES_AT),
    (Permission.TERMINAL_CONNECTED, TradeRetcode.CONNECTION),
    (Permission.ACCOUNT_TRADE_ALLOWED, TradeRetcode.TRADE_DISABLED),
    (Permission.ACCOUNT_TRADE_EXPERT, TradeRetcode.SERVER_DISABLES_AT),
)


class Answer(NamedTuple):
    """
    ``error`` is _LastError (0 for none), ``blocked_ms`` how long MQL5 would have waited, ``next``
    what a program asks next, and the answers.
    """

    payload: bytes = b""
    error: int = 0
    blocked_ms: int = 0
    next: tuple[tuple[bytes, bytes], ...] = ()


@dataclasses.dataclass(slots=True)
class TradeFaults:
    """
    What goes wrong between a terminal and its program; may be changed while it runs.

    Attributes:
        shuffle: transactions that come together come in any order.
        drop: probability that a transaction is lost.
        double: probability that it comes twice.
        true_when_sent: OrderSend returns true for every answer of the server, refusals too.
        list_order: of positions and open orders, which the manual does not name: ``ticket``,
            ``reversed`` or ``shuffled`` (anew for each call).
        whole_last_second: HistorySelect finds what happened within the last second of its time.
        history_error: _LastError of HistorySelect, which then fails.
        history_blocks_ms: how long HistorySelect takes.
        history_loads_ms: how long it takes when it reaches further back than ever before.
        seed: of everything that happens by chance.
    """

    shuffle: bool = False
    drop: float = 0.0
    double: float = 0.0
    true_when_sent: bool = False
    list_order: str = "ticket"
    whole_last_second: bool = False
    history_error: int = 0
    history_blocks_ms: int = 0
    history_loads_ms: int = 0
    seed: int = 0

    @property
    def shuffles(self) -> bool:
        """
        Whether lists come in another order with each call.
        """
        return self.list_order == "shuffled"


class TradeFunctions:
    """
    Answers the calls of trade functions.

    Args:
        exchange: the broker, ``None`` for none.
        now_us: the time on the exchange's clock.
        permissions: flags of terminal, program and account, without what the broker takes away.
    """

    def __init__(
        self,
        exchange: Exchange | None,
        now_us: Callable[[], int],
        permissions: Callable[[], Permission],
    ) -> None:
        self.exchange = exchange
        self.faults = TradeFaults()
        self._now_us = now_us
        self._permissions = permissions
        self._rng: random.Random | None = None
        self._sent: dict[int, Sent] = {}
        self._serial = 0
        #: set where nothing changes but by what the program does and ``look_again`` is called for
        self.keeps_lists = False
        self._lists: dict[str, list[Any]] = {}
        #: a list of so many comes with its number
        self.few = _FEW
        #: as far back the terminal has the history
        self._loaded_s = sys.maxsize
        self._position = _Layout("POSITION")
        self._order = _Layout("ORDER")
        self._deal = _Layout("DEAL")
        self.answers: dict[Call, Callable[[Reader], Answer]] = {
            Call.ORDER_CHECK: self._order_check,
            Call.ORDER_SEND: self._order_send,
            Call.ORDER_SEND_ASYNC: self._order_send_async,
            Call.ORDER_RETURNED: self._order_returned,
            Call.CALC_MARGIN: self._calc_margin,
            Call.CALC_PROFIT: self._calc_profit,
            Call.POSITIONS_TOTAL: self._positions_total,
            Call.POSITION_AT: self._position_at,
            Call.POSITION_OF_SYMBOL: self._position_of_symbol,
            Call.POSITION_OF_TICKET: self._position_of_ticket,
            Call.ORDERS_TOTAL: self._orders_total,
            Call.ORDER_AT: self._order_at,
            Call.ORDER_OF_TICKET: self._order_of_ticket,
            Call.HISTORY_OF_TIME: self._history_of_time,
            Call.HISTORY_OF_POSITION: self._history_of_position,
            Call.HISTORY_ORDER: self._history_order,
            Call.HISTORY_DEAL: self._history_deal,
        }

    def look_again(self) -> None:
        """
        Forget the lists of positions and orders: something may have changed.
        """
        self._lists.clear()

    def advance(self) -> None:
        """
        Let the broker do what is due.
        """
        if self.exchange is not None:
            self.exchange.advance(self._now_us())

    def transactions(self) -> list[bytes]:
        """
        Return the calls of OnTradeTransaction since the last time, as the program hears of them.
        """
        if self.exchange is None:
            return []
        heard = self.exchange.transactions()
        faults = self.faults
        if heard and (faults.shuffle or faults.drop or faults.double):
            rng = self._chance()
            kept = [one for one in heard if rng.random() >= faults.drop]
            heard = [one for one in kept for _ in range(1 + (rng.random() < faults.double))]
            if faults.shuffle:
                rng.shuffle(heard)
        return [pack_transaction(one) for one in heard]

    def forget(self) -> None:
        """
        Drop what a program that is gone waited for, had and would have heard.
        """
        self._sent.clear()
        self._order.given.clear()
        self._deal.given.clear()
        if self.exchange is not None:
            self.exchange.transactions()

    def _chance(self) -> random.Random:
        if self._rng is None:
            self._rng = random.Random(f"{self.faults.seed}/terminal")
        return self._rng

    # --- sending -----------------------------------------------------------------------------

    def _refused(self) -> TradeRetcode | None:
        if self.exchange is None:
            return TradeRetcode.CLIENT_DISABLES_AT
        permissions = self._permissions()
        for flag, retcode in _REFUSED:
            if not permissions & flag:
                return retcode
        return None

    def _order_check(self, fields: Reader) -> Answer:
        request = _read_request(fields)
        refused = self._refused()
        if refused is not None or self.exchange is None:
            result = TradeCheckResult(retcode=int(refused or 0), comment=_words(refused))
        else:
            result = self.exchange.order_check(request, self._now_us())
        packed = Writer().pack(
            "Idddddd",
            result.retcode,
            result.balance,
            result.equity,
            result.profit,
            result.margin,
            result.margin_free,
            result.margin_level,
        )
        return Answer(packed.text(result.comment).bytes(), _error_of(result.retcode, ok=(0,)))

    def _send(self, fields: Reader) -> Sent:
        self.look_again()
        request = _read_request(fields)
        refused = self._refused()
        if refused is None and self.exchange is not None:
            return self.exchange.order_send(request, self._now_us())
        sent = Sent(self._now_us(), left=False)
        sent.settle(TradeResult(retcode=int(refused or 0), comment=_words(refused)))
        return sent

    def _order_send(self, fields: Reader) -> Answer:
        sent = self._send(fields)
        blocks_us = max(0, sent.at_us - self._now_us())
        if not blocks_us:
            returned = self._returned(sent)
            return returned._replace(payload=_RETURNED + returned.payload)
        self._serial = self._serial % _U32 + 1
        self._sent[self._serial] = sent
        return Answer(_SENT.pack(self._serial, blocks_us))

    def _order_returned(self, fields: Reader) -> Answer:
        self.look_again()
        (serial,) = fields.unpack("I")
        return self._returned(self._sent.pop(serial))

    def _returned(self, sent: Sent) -> Answer:
        if not sent.known and self.exchange is not None:
            self.exchange.advance(max(self._now_us(), sent.at_us))
        result = sent.result
        if result is None:
            connected = (
                bool(self._permissions() & Permission.TERMINAL_CONNECTED)
                and self.exchange is not None
                and self.exchange.rules.connected
            )
            retcode = TradeRetcode.TIMEOUT if connected else TradeRetcode.CONNECTION
            result = TradeResult(
                retcode=int(retcode), comment=_words(retcode), request_id=sent.request_id
            )
        ok = (*_DONE, result.retcode) if self.faults.true_when_sent and sent.left else _DONE
        return Answer(_pack_result(Writer(), result).bytes(), _error_of(result.retcode, ok=ok))

    def _order_send_async(self, fields: Reader) -> Answer:
        sent = self._send(fields)
        if sent.left:
            retcode, comment, error = int(TradeRetcode.PLACED), "", 0
        else:
            assert sent.result is not None
            retcode, comment = sent.result.retcode, sent.result.comment
            error = _error_of(retcode, ok=())
        return Answer(Writer().pack("II", retcode, sent.request_id).text(comment).bytes(), error)

    def _calc_margin(self, fields: Reader) -> Answer:
        (order_type,) = fields.unpack("i")
        symbol = fields.text()
        volume, price = fields.unpack("dd")
        exchange = self.exchange
        if (
            exchange is None
            or symbol not in exchange.market.specs
            or not OrderType.BUY <= order_type <= OrderType.SELL_STOP_LIMIT
            or not _all_positive(volume, price)
        ):
            return Answer(error=MqlError.TRADE_CALC_FAILED)
        return Answer(struct.pack("<d", exchange.calc_margin(order_type, symbol, volume, price)))

    def _calc_profit(self, fields: Reader) -> Answer:
        (order_type,) = fields.unpack("i")
        symbol = fields.text()
        volume, price_open, price_close = fields.unpack("ddd")
        exchange = self.exchange
        if (
            exchange is None
            or symbol not in exchange.market.specs
            or order_type not in {OrderType.BUY, OrderType.SELL}
            or not _all_positive(volume, price_open, price_close)
        ):
            return Answer(error=MqlError.TRADE_CALC_FAILED)
        profit = exchange.calc_profit(
            symbol, volume, price_open, price_close, is_buy=order_type == OrderType.BUY
        )
        return Answer(struct.pack("<d", profit))

    # --- positions and open orders -----------------------------------------------------------

    def _seen(self) -> Exchange | None:
        # What is read is what is there now.
        exchange = self.exchange
        if exchange is not None and exchange.now_us < self._now_us():
            exchange.advance(self._now_us())
        return exchange

    def _positions(self) -> list[Any]:
        return self._listed("positions")

    def _orders(self) -> list[Any]:
        return self._listed("orders")

    def _listed(self, what: str) -> list[Any]:
        # A program asks for a list one by one, and each time all of them are valued.
        if what in self._lists:
            return self._lists[what]
        exchange = self._seen()
        if exchange is None:
            return []
        records: list[Any] = exchange.positions() if what == "positions" else exchange.orders()
        if self.faults.shuffles:
            self._chance().shuffle(records)
            return records
        if self.faults.list_order == "reversed":
            records.reverse()
        if self.keeps_lists:
            self._lists[what] = records
        return records

    def _positions_total(self, _: Reader) -> Answer:
        calls = Call.POSITION_AT, Call.POSITION_OF_TICKET
        return self._total(self._positions(), self._position, *calls)

    def _orders_total(self, _: Reader) -> Answer:
        return self._total(self._orders(), self._order, Call.ORDER_AT, Call.ORDER_OF_TICKET)

    def _total(self, records: list[Any], layout: _Layout, at: Call, of_ticket: Call) -> Answer:
        # A program that asks how many there are looks at each of them. All of them hold together,
        # or none: what the broker changes meanwhile would be in one half of a list only.
        told = []
        few = len(records) <= self.few and not self.faults.shuffles
        for index, record in enumerate(records if few else ()):
            body = layout.write(record)
            told.append((struct.pack("<Bi", at, index), body))
            told.append((struct.pack("<BQ", of_ticket, record.ticket), body))
        held = HOLDS_UNTIL_WAIT if few or self._keeps else 0
        return Answer(struct.pack("<i", len(records)), blocked_ms=held, next=tuple(told))

    @property
    def _keeps(self) -> bool:
        return self.keeps_lists and not self.faults.shuffles

    def _position_at(self, fields: Reader) -> Answer:
        (index,) = fields.unpack("i")
        return self._listed_at(
            self._position.at(self._positions(), index, MqlError.TRADE_POSITION_NOT_FOUND)
        )

    def _listed_at(self, answer: Answer) -> Answer:
        held = self._keeps and not answer.error
        return answer._replace(blocked_ms=HOLDS_UNTIL_WAIT) if held else answer

    def _position_of_symbol(self, fields: Reader) -> Answer:
        exchange, symbol = self._seen(), fields.text()
        found = [] if exchange is None else exchange.positions(symbol=symbol)
        return self._position.at(found, 0, MqlError.TRADE_POSITION_NOT_FOUND)

    def _position_of_ticket(self, fields: Reader) -> Answer:
        exchange, (ticket,) = self._seen(), fields.unpack("Q")
        found = [] if exchange is None else exchange.positions(ticket=ticket)
        return self._position.at(found, 0, MqlError.TRADE_POSITION_NOT_FOUND)

    def _order_at(self, fields: Reader) -> Answer:
        (index,) = fields.unpack("i")
        return self._listed_at(
            self._order.at(self._orders(), index, MqlError.TRADE_ORDER_NOT_FOUND)
        )

    def _order_of_ticket(self, fields: Reader) -> Answer:
        exchange, (ticket,) = self._seen(), fields.unpack("Q")
        found = [] if exchange is None else exchange.orders(ticket=ticket)
        return self._order.at(found, 0, MqlError.TRADE_ORDER_NOT_FOUND)

    # --- the history -------------------------------------------------------------------------

    def _history_of_time(self, fields: Reader) -> Answer:
        from_s, to_s = fields.unpack("qq")
        faults, exchange = self.faults, self._seen()
        if faults.history_error:
            return Answer(error=faults.history_error, blocked_ms=faults.history_blocks_ms)
        if to_s < from_s:
            return Answer(error=MqlError.INVALID_PARAMETER)
        from_msc, to_msc = from_s * 1000, to_s * 1000 + 999 * faults.whole_last_second
        reaches_back, self._loaded_s = from_s < self._loaded_s, min(from_s, self._loaded_s)
        blocked_ms = faults.history_blocks_ms + faults.history_loads_ms * reaches_back
        if exchange is None:
            return self._history([], [], blocked_ms)
        return self._history(
            exchange.history_orders(from_msc, to_msc),
            exchange.history_deals(from_msc, to_msc),
            blocked_ms,
        )

    def _history_of_position(self, fields: Reader) -> Answer:
        (position,) = fields.unpack("Q")
        faults, exchange = self.faults, self._seen()
        if faults.history_error:
            return Answer(error=faults.history_error, blocked_ms=faults.history_blocks_ms)
        blocked_ms = faults.history_blocks_ms
        if exchange is None:
            return self._history([], [], blocked_ms)
        ever = (0, _U64)
        return self._history(
            [one for one in exchange.history_orders(*ever) if one.position_id == position],
            [one for one in exchange.history_deals(*ever) if one.position_id == position],
            blocked_ms,
        )

    def _history(self, orders: list[Any], deals: list[Any], blocked_ms: int) -> Answer:
        packed = self._order.list_of(orders) + self._deal.list_of(deals)
        return Answer(packed, blocked_ms=blocked_ms)

    def _history_order(self, fields: Reader) -> Answer:
        exchange, (ticket,) = self._seen(), fields.unpack("Q")
        found = None if exchange is None else exchange.history_order(ticket)
        if found is None:
            return Answer(error=MqlError.TRADE_ORDER_NOT_FOUND)
        return Answer(self._order.entry(found))

    def _history_deal(self, fields: Reader) -> Answer:
        exchange, (ticket,) = self._seen(), fields.unpack("Q")
        found = None if exchange is None else exchange.history_deal(ticket)
        if found is None:
            return Answer(error=MqlError.TRADE_DEAL_NOT_FOUND)
        return Answer(self._deal.entry(found))


class _Layout:
    """
    How records of one kind are written: properties by their numbers and in their groups.
    """

    def __init__(self, kind: str) -> None:
        enums = manifest.load().enums
        integers, numbers, texts = (
            [
                (number, name.removeprefix(f"{kind}_").lower())
                for name, number in enums[f"ENUM_{kind}_PROPERTY_{of}"].items()
            ]
            for of in _KINDS
        )
        self._counts = bytes([len(integers), len(numbers), len(texts)])
        self._struct = struct.Struct("<" + "iQ" * len(integers) + "id" * len(numbers))
        self._integers, self._numbers, self._texts = integers, numbers, texts
        # Records of the history that the program was given, which do not change any more, and how
        # they are told again.
        self.given: dict[int, tuple[Any, bytes]] = {}

    def write(self, record: Any) -> bytes:
        """
        Return a record's properties; what it has no field for is 0.
        """
        values: list[float] = []
        for number, field in self._integers:
            values += (number, int(getattr(record, field, 0)) & _U64)
        for number, field in self._numbers:
            values += (number, getattr(record, field, 0.0))
        texts = Writer()
        for number, field in self._texts:
            texts.pack("i", number).text(getattr(record, field, ""))
        return self._counts + self._struct.pack(*values) + texts.bytes()

    def entry(self, record: Any) -> bytes:
        """
        Return ticket and properties of a record of the history; of one that the program was given
        already, only the ticket.
        """
        given, again = self.given.get(record.ticket, (None, b""))
        if given is record:
            return again
        ticket = record.ticket & _U64
        self.given[record.ticket] = (record, struct.pack("<QI", ticket, GIVEN_BEFORE))
        body = self.write(record)
        return struct.pack("<QI", ticket, len(body)) + body

    def list_of(self, records: list[Any]) -> bytes:
        """
        Return a list of the history.
        """
        nothing = (None, b"")
        entries = []
        for record in records:
            given, again = self.given.get(record.ticket, nothing)
            entries.append(again if given is record else self.entry(record))
        return struct.pack("<I", len(records)) + b"".join(entries)

    def at(self, records: list[Any], index: int, not_found: int) -> Answer:
        """
        Return the answer to a select.
        """
        if not 0 <= index < len(records):
            return Answer(error=not_found)
        return Answer(self.write(records[index]))


def pack_transaction(one: Transaction) -> bytes:
    """
    Return a call of OnTradeTransaction as ``runtime/terminal_structs.cpp`` reads it.
    """
    types = manifest.load().enums["ENUM_TRADE_TRANSACTION_TYPE"]
    fields = Writer().pack("QQ", one.deal, one.order).text(one.symbol)
    fields.pack(
        "iiiii", types[one.type.value], one.order_type, one.order_state, one.deal_type,
        one.time_type,
    )  # fmt: skip
    fields.pack(
        "qddddd", one.time_expiration, one.price, one.price_trigger, one.price_sl, one.price_tp,
        one.volume,
    )  # fmt: skip
    fields.pack("QQ", one.position, one.position_by)
    if one.request is not None and one.result is not None:
        _pack_result(_pack_request(fields, one.request), one.result)
    return fields.bytes()


def _pack_request(fields: Writer, request: TradeRequest) -> Writer:
    fields.pack("iQQ", request.action, request.magic & _U64, request.order & _U64)
    fields.text(request.symbol)
    fields.pack(
        "dddddQiiiq", request.volume, request.price, request.stoplimit, request.sl, request.tp,
        request.deviation & _U64, request.type, request.type_filling, request.type_time,
        request.expiration,
    )  # fmt: skip
    fields.text(request.comment)
    return fields.pack("QQ", request.position & _U64, request.position_by & _U64)


def _pack_result(fields: Writer, result: TradeResult) -> Writer:
    fields.pack(
        "IQQdddd", result.retcode, result.deal & _U64, result.order & _U64, result.volume,
        result.price, result.bid, result.ask,
    )  # fmt: skip
    fields.text(result.comment)
    return fields.pack("Ii", result.request_id & _U32, result.retcode_external)


def _read_request(fields: Reader) -> TradeRequest:
    action, magic, order = fields.unpack("iQQ")
    symbol = fields.text()
    volume, price, stoplimit, sl, tp = fields.unpack("ddddd")
    deviation, order_type, filling, time_type, expiration = fields.unpack("Qiiiq")
    comment = fields.text()
    position, position_by = fields.unpack("QQ")
    return TradeRequest(
        action=action, magic=magic, order=order, symbol=symbol, volume=volume, price=price,
        stoplimit=stoplimit, sl=sl, tp=tp, deviation=deviation, type=order_type,
        type_filling=filling, type_time=time_type, expiration=expiration, comment=comment,
        position=position, position_by=position_by,
    )  # fmt: skip


def _error_of(retcode: int, *, ok: Iterable[int]) -> int:
    if retcode in ok:
        return 0
    if retcode == TradeRetcode.CLIENT_DISABLES_AT:
        return int(MqlError.TRADE_DISABLED)
    return int(MqlError.TRADE_SEND_FAILED)


def _words(retcode: TradeRetcode | None) -> str:
    return "" if retcode is None else retcode.name.replace("_", " ").capitalize()


def _all_positive(*values: float) -> bool:
    return all(math.isfinite(value) and value > 0 for value in values)
