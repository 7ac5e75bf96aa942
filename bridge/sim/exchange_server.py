"""The trade server: works on requests, and on what ticks do to orders and positions.

Prices come from the ticks of the market. Pending orders and stops are looked at tick by tick: a
limit order is filled at its price or better, a stop order and a stop loss at the price there is.
Buys wait for the ask and sells for the bid; on symbols with trades, stop orders, stop loss and
take profit wait for the last price (MetaTrader 5 Help, "General Principles").

A request is answered once. With ``fill_ms`` a market order is only accepted at first (PLACED) and
filled later, as on an exchange.
"""

from __future__ import annotations

import dataclasses
import heapq
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from bridge.model.enums import (
    OrderReason,
    OrderState,
    OrderType,
    OrderTypeFilling,
    OrderTypeTime,
    PositionType,
    SymbolTradeExecution,
    TradeRequestActions,
    TradeRetcode,
)
from bridge.model.trade import OrderRecord, TradeRequest, TradeResult, replace
from bridge.sim.exchange_books import Books, ScratchBooks, is_buy_order
from bridge.sim.exchange_checks import can_pay, refusal, target_position
from bridge.sim.exchange_fills import close_by, close_position, fill
from bridge.sim.exchange_records import Processed

if TYPE_CHECKING:
    import random

    from bridge.model.tick import MqlTick
    from bridge.model.trade import DealRecord, PositionRecord
    from bridge.sim.exchange_rules import BrokerRules

__all__ = ["TradeServer"]

#: Requests that the server remembers; a day of a busy strategy.
_PROCESSED_MAX: Final = 100_000
_VOLUME_DIGITS: Final = 8

_LIMITS: Final = frozenset({OrderType.BUY_LIMIT, OrderType.SELL_LIMIT})
_STOPS: Final = frozenset({OrderType.BUY_STOP, OrderType.SELL_STOP})
_TRIGGERED: Final = {
    OrderType.BUY_STOP_LIMIT: OrderType.BUY_LIMIT,
    OrderType.SELL_STOP_LIMIT: OrderType.SELL_LIMIT,
}
_REQUOTING: Final = frozenset({SymbolTradeExecution.REQUEST, SymbolTradeExecution.INSTANT})
_ADDRESSED: Final = frozenset({TradeRequestActions.MODIFY, TradeRequestActions.REMOVE})


class TradeServer:
    """
    One account's server side.

    Args:
        books: the account's.
        rng: of everything that happens by chance.
    """

    def __init__(self, books: Books, rng: random.Random) -> None:
        self.books = books
        self.processed: deque[Processed] = deque(maxlen=_PROCESSED_MAX)
        self._rng = rng
        # Answers that the next requests get, whatever they are: (retcode, executed).
        self._forced: deque[tuple[int, bool]] = deque()
        # Market orders to be filled: (when, ticket).
        self._fills: list[tuple[int, int]] = []
        # Orders whose rest waits for the next tick of their symbol.
        self._rests: set[int] = set()

    # --- requests ----------------------------------------------------------------------

    def force(self, retcode: int, *, executed: bool) -> None:
        """
        Answer the next request with this, and execute it or not.
        """
        self._forced.append((int(retcode), executed))

    def process(
        self,
        request: TradeRequest,
        rules: BrokerRules,
        now_us: int,
        time_msc: int,
        *,
        order_was_open: bool = False,
    ) -> TradeResult:
        """
        Work on a request; return the answer, without its request id.

        ``order_was_open``: the order it names was open when the request was sent.
        """
        if self._forced:
            retcode, executed = self._forced.popleft()
            result = self._answer(request, retcode)
            if executed:
                done = self._work(request, rules, now_us, time_msc, order_was_open=order_was_open)
                self._note(request, done, now_us)
                return result
        else:
            result = self._work(request, rules, now_us, time_msc, order_was_open=order_was_open)
        self._note(request, result, now_us)
        return result

    def _work(
        self,
        request: TradeRequest,
        rules: BrokerRules,
        now_us: int,
        time_msc: int,
        *,
        order_was_open: bool,
    ) -> TradeResult:
        # Drawn whatever comes of it: rules then do not change the numbers of later requests.
        rejected, requoted = self._rng.random(), self._rng.random()
        request = self._completed(request)
        refused: int | None = refusal(self.books, rules, request, time_msc)
        if refused == TradeRetcode.INVALID and order_was_open and request.action in _ADDRESSED:
            refused = TradeRetcode.ORDER_CHANGED
        if refused is None and rejected < rules.reject:
            refused = TradeRetcode.REJECT
        if refused is None and requoted < rules.requote and self._may_requote(request):
            refused = TradeRetcode.REQUOTE
        if refused is not None:
            return self._answer(request, refused)
        action = request.action
        if action == TradeRequestActions.DEAL:
            return self._deal(request, rules, now_us, time_msc)
        if action == TradeRequestActions.PENDING:
            return self._pending(request, rules, time_msc)
        if action == TradeRequestActions.SLTP:
            return self._sltp(request, time_msc)
        if action == TradeRequestActions.MODIFY:
            return self._modify(request, time_msc)
        if action == TradeRequestActions.REMOVE:
            order = self.books.orders[request.order]
            self.books.end_order(order, OrderState.CANCELED, time_msc)
            return self._answer(request, TradeRetcode.DONE, order=order.ticket)
        return self._close_by(request, rules, time_msc)

    def _completed(self, request: TradeRequest) -> TradeRequest:
        # The symbol is not needed where a ticket names the order or position.
        if request.symbol:
            return request
        about = self.books.orders.get(request.order) or self.books.positions.get(request.position)
        return request if about is None else replace(request, symbol=about.symbol)

    def _may_requote(self, request: TradeRequest) -> bool:
        if request.action != TradeRequestActions.DEAL:
            return False
        return self.books.spec(request.symbol).trade_exemode in _REQUOTING

    def _note(self, request: TradeRequest, result: TradeResult, now_us: int) -> None:
        self.processed.append(
            Processed(
                at_us=now_us,
                action=request.action,
                comment=request.comment,
                retcode=result.retcode,
                order=result.order or request.order,
                deal=result.deal,
                position=request.position,
            )
        )

    def _answer(
        self,
        request: TradeRequest,
        retcode: int,
        *,
        order: int = 0,
        deal: DealRecord | None = None,
        volume: float = 0.0,
        price: float = 0.0,
    ) -> TradeResult:
        tick = (
            self.books.tick(request.symbol) if request.symbol in self.books.market.specs else None
        )
        return TradeResult(
            retcode=int(retcode),
            deal=0 if deal is None else deal.ticket,
            order=order,
            volume=volume,
            price=price,
            bid=0.0 if tick is None else tick.bid,
            ask=0.0 if tick is None else tick.ask,
            comment=_SAID.get(retcode, f"retcode {retcode}"),
        )

    def _deal(
        self, request: TradeRequest, rules: BrokerRules, now_us: int, time_msc: int
    ) -> TradeResult:
        tick = self._tick(request.symbol)
        order = self.books.new_order(
            request,
            comment=rules.rewritten(request.comment),
            time_msc=time_msc,
            reason=OrderReason.EXPERT,
            price=tick.ask if is_buy_order(request.type) else tick.bid,
            state=OrderState.STARTED,
        )
        delay_us = self._delay_us(rules.fill_ms)
        if delay_us:
            heapq.heappush(self._fills, (now_us + delay_us, order.ticket))
            return self._answer(
                request, TradeRetcode.PLACED, order=order.ticket, volume=request.volume
            )
        retcode, deal = self._fill_market(order, rules, time_msc)
        if deal is None:
            return self._answer(request, retcode, order=order.ticket)
        return self._answer(
            request,
            retcode,
            order=order.ticket,
            deal=deal,
            volume=deal.volume,
            price=deal.price,
        )

    def _pending(self, request: TradeRequest, rules: BrokerRules, time_msc: int) -> TradeResult:
        if request.type_time in {OrderTypeTime.GTC, OrderTypeTime.DAY}:
            request = replace(request, expiration=0)
        tick = self._tick(request.symbol)
        if (
            request.type_filling == OrderTypeFilling.BOC
            and request.type in _LIMITS
            and _limit_price(request.type, request.price, tick) is not None
        ):
            # Book or cancel: it would take liquidity at once.
            return self._answer(request, TradeRetcode.REJECT)
        order = self.books.new_order(
            replace(request, position=0, position_by=0),
            comment=rules.rewritten(request.comment),
            time_msc=time_msc,
            reason=OrderReason.EXPERT,
            price=request.price,
        )
        return self._answer(
            request, rules.pending_retcode, order=order.ticket, volume=request.volume
        )

    def _sltp(self, request: TradeRequest, time_msc: int) -> TradeResult:
        position = target_position(self.books, request)
        if position is None:
            return self._answer(request, TradeRetcode.POSITION_CLOSED)
        changed = replace(position, sl=request.sl, tp=request.tp)
        self.books.put_position(changed, time_msc, by_deal=False)
        return self._answer(request, TradeRetcode.DONE)

    def _modify(self, request: TradeRequest, time_msc: int) -> TradeResult:
        order = replace(
            self.books.orders[request.order],
            price_open=request.price,
            price_stoplimit=request.stoplimit,
            sl=request.sl,
            tp=request.tp,
            type_time=request.type_time,
            time_expiration=request.expiration,
        )
        self.books.update_order(order, time_msc)
        return self._answer(request, TradeRetcode.DONE, order=order.ticket, price=order.price_open)

    def _close_by(self, request: TradeRequest, rules: BrokerRules, time_msc: int) -> TradeResult:
        first = self.books.positions[request.position]
        second = self.books.positions[request.position_by]
        volume = min(first.volume, second.volume)
        closing = replace(
            request, symbol=first.symbol, volume=volume, type=OrderType.CLOSE_BY, sl=0.0, tp=0.0
        )
        order = self.books.new_order(
            closing,
            # The server writes its own comment into these orders, whatever came with them.
            comment=f"close #{first.ticket} by #{second.ticket}",
            time_msc=time_msc,
            reason=OrderReason.EXPERT,
            price=second.price_open,
            state=OrderState.STARTED,
        )
        deal, _ = close_by(self.books, rules, order, time_msc)
        self.books.end_order(self.books.orders[order.ticket], OrderState.FILLED, time_msc)
        return self._answer(
            closing,
            TradeRetcode.DONE,
            order=order.ticket,
            deal=deal,
            volume=volume,
            price=deal.price,
        )

    # --- fills -------------------------------------------------------------------------

    def _fill_market(
        self, order: OrderRecord, rules: BrokerRules, time_msc: int
    ) -> tuple[int, DealRecord | None]:
        # Fill a market order as far as its filling and the market allow; end it unless a rest
        # stays.
        books = self.books
        is_buy = is_buy_order(order.type)
        left = order.volume_current
        if books.hedging and order.position_id and order.position_id not in books.positions:
            # A stop was faster; filled now, it would open the other side.
            books.end_order(order, OrderState.CANCELED, time_msc)
            return TradeRetcode.POSITION_CLOSED, None
        volume = self._available(order.symbol, left, rules)
        if volume < left and order.type_filling == OrderTypeFilling.FOK:
            books.end_order(order, OrderState.CANCELED, time_msc)
            return TradeRetcode.REJECT, None
        tick = self._tick(order.symbol)
        price = self._slipped(order.symbol, tick.ask if is_buy else tick.bid, rules, is_buy=is_buy)
        deal = fill(books, rules, order, volume, price, time_msc)
        filled = books.orders[order.ticket]
        if filled.state == OrderState.FILLED:
            books.end_order(filled, OrderState.FILLED, time_msc)
            return TradeRetcode.DONE, deal
        if volume < left and order.type_filling == OrderTypeFilling.RETURN:
            self._rests.add(order.ticket)
        else:
            books.end_order(filled, OrderState.PARTIAL, time_msc)
        return TradeRetcode.DONE_PARTIAL, deal

    def _available(self, symbol: str, volume: float, rules: BrokerRules) -> float:
        chance, share = self._rng.random(), self._rng.random()
        step = self.books.spec(symbol).volume_step
        steps = round(volume / step)
        if chance >= rules.partial or steps < 2:
            return volume
        return round((1 + int(share * (steps - 1))) * step, _VOLUME_DIGITS)

    def _slipped(self, symbol: str, price: float, rules: BrokerRules, *, is_buy: bool) -> float:
        drawn = self._rng.random()
        spec = self.books.spec(symbol)
        if spec.trade_exemode in _REQUOTING or not rules.slippage_points:
            return price
        points = int(drawn * (rules.slippage_points + 1))
        points -= points % spec.tick_size_points
        return round(price + (points if is_buy else -points) * spec.point, spec.digits)

    def _delay_us(self, bounds: tuple[int, int]) -> int:
        low, high = bounds
        return self._rng.randint(low, high) * 1000

    def _tick(self, symbol: str) -> MqlTick:
        tick = self.books.tick(symbol)
        if tick is None:
            raise LookupError(f"{symbol} has no tick: expected to be refused before")
        return tick

    def next_due(self) -> int | None:
        """
        Return when an accepted order is filled next, ``None`` when none waits for that.
        """
        return self._fills[0][0] if self._fills else None

    def fill_due(self, rules: BrokerRules, now_us: int, time_msc: int) -> None:
        """
        Fill the accepted market orders whose time has come.
        """
        while self._fills and self._fills[0][0] <= now_us:
            _, ticket = heapq.heappop(self._fills)
            order = self.books.orders.get(ticket)
            if order is not None:
                self._fill_market(order, rules, time_msc)

    # --- ticks -------------------------------------------------------------------------

    @property
    def watched(self) -> set[str]:
        """
        The symbols whose every tick counts.
        """
        return {one.symbol for one in self.books.orders.values()} | {
            one.symbol for one in self.books.positions.values()
        }

    def tick_came(self, symbol: str, tick: MqlTick, rules: BrokerRules, time_msc: int) -> None:
        """
        Do what a tick does to the orders and positions of its symbol.
        """
        if symbol in rules.market_closed or symbol in rules.no_quotes:
            return
        for order in [one for one in self.books.orders.values() if one.symbol == symbol]:
            if order.ticket in self._rests:
                self._fill_rest(order, tick, rules, time_msc)
            elif OrderType.SELL < order.type < OrderType.CLOSE_BY:
                self._look_at_order(order, tick, rules, time_msc)
        for position in [one for one in self.books.positions.values() if one.symbol == symbol]:
            self._look_at_stops(position, tick, rules, time_msc)

    def _fill_rest(
        self, order: OrderRecord, tick: MqlTick, rules: BrokerRules, time_msc: int
    ) -> None:
        # The rest of a partly filled order, at this tick.
        self._rests.discard(order.ticket)
        books = self.books
        if books.hedging and order.position_id not in books.positions:
            books.end_order(order, OrderState.PARTIAL, time_msc)
            return
        is_buy = is_buy_order(order.type)
        if order.type > OrderType.SELL:
            price = order.price_open
        else:
            price = tick.ask if is_buy else tick.bid
        fill(books, rules, order, order.volume_current, price, time_msc)
        books.end_order(books.orders[order.ticket], OrderState.FILLED, time_msc)

    def _look_at_order(
        self, order: OrderRecord, tick: MqlTick, rules: BrokerRules, time_msc: int
    ) -> None:
        is_buy = is_buy_order(order.type)
        market = tick.ask if is_buy else tick.bid
        spec = self.books.spec(order.symbol)
        seen = tick.last if spec.has_last and tick.last > 0 else market
        reached = seen >= order.price_open if is_buy else seen <= order.price_open
        kind = OrderType(order.type)
        if kind in _TRIGGERED:
            if not reached:
                return
            order = self.books.update_order(
                replace(
                    order,
                    type=int(_TRIGGERED[kind]),
                    price_open=order.price_stoplimit,
                    price_stoplimit=0.0,
                ),
                time_msc,
            )
            kind = OrderType(order.type)
        price = _limit_price(kind, order.price_open, tick) if kind in _LIMITS else None
        if kind in _STOPS and reached:
            price = self._slipped(order.symbol, market, rules, is_buy=is_buy)
        if price is not None:
            self._activate(order, price, rules, time_msc)

    def _activate(
        self, order: OrderRecord, price: float, rules: BrokerRules, time_msc: int
    ) -> None:
        books = self.books
        rejected = self._rng.random() < rules.reject
        if rejected or not self._affordable(order, rules, time_msc):
            books.rejected.add(order.ticket)
            books.end_order(order, OrderState.REJECTED, time_msc)
            return
        volume = self._available(order.symbol, order.volume_current, rules)
        fill(books, rules, order, volume, price, time_msc)
        filled = books.orders[order.ticket]
        if filled.state == OrderState.FILLED:
            books.end_order(filled, OrderState.FILLED, time_msc)
        else:
            self._rests.add(order.ticket)

    def _affordable(self, order: OrderRecord, rules: BrokerRules, time_msc: int) -> bool:
        is_buy = is_buy_order(order.type)
        as_market = TradeRequest(
            action=TradeRequestActions.DEAL,
            symbol=order.symbol,
            volume=order.volume_current,
            type=OrderType.BUY if is_buy else OrderType.SELL,
        )
        # It is a position or an order, not both.
        copy = ScratchBooks(self.books)
        del copy.orders[order.ticket]
        return can_pay(copy, rules, as_market, time_msc)

    def _look_at_stops(
        self, position: PositionRecord, tick: MqlTick, rules: BrokerRules, time_msc: int
    ) -> None:
        is_buy = position.type == PositionType.BUY
        price = tick.bid if is_buy else tick.ask
        spec = self.books.spec(position.symbol)
        seen = tick.last if spec.has_last and tick.last > 0 else price
        sl, tp = position.sl, position.tp
        if sl and (seen <= sl if is_buy else seen >= sl):
            reason, comment = OrderReason.SL, f"[sl {sl:.{spec.digits}f}]"
        elif tp and (seen >= tp if is_buy else seen <= tp):
            reason, comment = OrderReason.TP, f"[tp {tp:.{spec.digits}f}]"
        else:
            return
        close_position(self.books, rules, position, price, reason, comment, time_msc)

    # --- save and load -----------------------------------------------------------------

    def plain(self) -> dict[str, Any]:
        """
        Return what is under way as plain values; the books are apart.
        """
        return {
            "processed": [dataclasses.asdict(one) for one in self.processed],
            "forced": [list(one) for one in self._forced],
            "fills": [list(one) for one in self._fills],
            "rests": sorted(self._rests),
        }

    def restore(self, plain: dict[str, Any], shift_us: int) -> None:
        """
        Set it from ``plain``; what is due comes ``shift_us`` later.
        """
        self.processed.extend(Processed(**one) for one in plain["processed"])
        self._forced.extend((retcode, executed) for retcode, executed in plain["forced"])
        self._fills = [(at_us + shift_us, ticket) for at_us, ticket in plain["fills"]]
        heapq.heapify(self._fills)
        self._rests = set(plain["rests"])


_SAID: Final = {
    int(retcode): retcode.name.replace("_", " ").capitalize() for retcode in TradeRetcode
}


def _limit_price(order_type: int, price: float, tick: MqlTick) -> float | None:
    # What a limit order is filled at by this tick, None when it waits.
    if is_buy_order(order_type):
        return min(price, tick.ask) if tick.ask <= price else None
    return max(price, tick.bid) if tick.bid >= price else None
