"""The simulated broker's books: orders, positions, history and deals, and what changed in them.

Every change goes into ``outbox`` with the transaction it causes, in the order in which it
happened; who empties it decides when the terminal gets to see it.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bridge.model.enums import (
    AccountMarginMode,
    DealEntry,
    DealType,
    OrderState,
    OrderType,
    PositionType,
)
from bridge.model.trade import (
    AccountRecord,
    DealRecord,
    OrderRecord,
    PositionRecord,
    asdict,
    replace,
)
from bridge.sim.exchange_records import Transaction, TransactionType
from bridge.sim.margin import Rates, deposit_profit

if TYPE_CHECKING:
    from bridge.model.symbol import SymbolSpec
    from bridge.model.tick import MqlTick
    from bridge.model.trade import TradeRequest
    from bridge.sim.exchange_rules import BrokerRules
    from bridge.sim.market import Market

__all__ = ["BUYS", "Books", "Change", "Kind", "Record", "ScratchBooks", "is_buy_order"]

#: Types of orders that buy.
BUYS: Final = frozenset(
    {OrderType.BUY, OrderType.BUY_LIMIT, OrderType.BUY_STOP, OrderType.BUY_STOP_LIMIT}
)
#: Volumes are whole steps; sums of them in binary are not.
_VOLUME_DIGITS: Final = 8

Record = OrderRecord | PositionRecord | DealRecord | float | None


def is_buy_order(order_type: int) -> bool:
    """
    Tell whether an order of this type buys.
    """
    return order_type in BUYS


class Kind(enum.StrEnum):
    """
    What a change is about: which of the terminal's lists it belongs to.
    """

    ORDER = "order"
    POSITION = "position"
    HISTORY = "history"
    DEAL = "deal"
    BALANCE = "balance"


class Change(NamedTuple):
    """
    A new value of one thing in the books; ``None``: it is gone.
    """

    kind: Kind
    ticket: int
    record: Record
    transaction: Transaction | None = None


class Books:
    """
    One account at one broker, as the broker has it.

    ``account`` has what does not change by itself; its balance is the broker's.
    """

    #: whether what changes goes into ``outbox``
    tells = True

    def __init__(
        self, market: Market, account: AccountRecord, *, rates: Rates | None = None
    ) -> None:
        self.market = market
        self.account = account
        self.rates = rates or Rates(market.specs.values(), self.tick)
        #: what the account was last found to have the margin for, by which rules, and how it would
        #: be then; whoever changes prices or empties ``outbox`` forgets it
        self.foreseen: tuple[TradeRequest, BrokerRules, AccountRecord] | None = None
        self.orders: dict[int, OrderRecord] = {}
        self.positions: dict[int, PositionRecord] = {}
        self.history: dict[int, OrderRecord] = {}
        self.deals: dict[int, DealRecord] = {}
        #: comment of the request, by order
        self.tags: dict[int, str] = {}
        #: what a unit of the margin currency cost when a position was opened
        self.margin_rates: dict[int, float] = {}
        #: pending orders that were cancelled because they could not be executed
        self.rejected: set[int] = set()
        self.next_order = 1
        self.next_deal = 1
        self.outbox: list[Change] = []
        #: orders and positions as they were last priced: asked for much more often than changed
        self._priced: dict[int, tuple[OrderRecord, OrderRecord]] = {}
        self._valued: dict[int, tuple[PositionRecord, PositionRecord]] = {}

    # --- what there is -----------------------------------------------------------------

    @property
    def balance(self) -> float:
        """
        The account's balance.
        """
        return self.account.balance

    @property
    def hedging(self) -> bool:
        """
        Whether a symbol may have several positions.
        """
        return self.account.margin_mode == AccountMarginMode.RETAIL_HEDGING

    def spec(self, symbol: str) -> SymbolSpec:
        """
        Return a symbol's properties.

        Raises:
            KeyError: the broker has no such symbol.
        """
        return self.market.specs[symbol]

    def tick(self, symbol: str) -> MqlTick | None:
        """
        Return a symbol's newest tick.
        """
        return self.market.history.newest_of(symbol)

    def position_of(self, symbol: str) -> PositionRecord | None:
        """
        Return the position of a symbol: in netting there is at most one.
        """
        for position in self.positions.values():
            if position.symbol == symbol:
                return position
        return None

    def valued(self, position: PositionRecord) -> PositionRecord:
        """
        Return a position at the price at which it could be closed now.
        """
        value = self.value_of(position)
        if value is None:
            return position
        price, profit = value
        last = self._valued.get(position.ticket)
        if last is not None and last[0] is position:
            valued = last[1]
            if valued.price_current == price and valued.profit == profit:
                return valued
        valued = replace(position, price_current=price, profit=profit)
        self._valued[position.ticket] = (position, valued)
        return valued

    def value_of(self, position: PositionRecord) -> tuple[float, float] | None:
        """
        Return the price at which a position could be closed now, and the profit of that.
        """
        tick = self.tick(position.symbol)
        if tick is None:
            return None
        is_buy = position.type == PositionType.BUY
        price = tick.bid if is_buy else tick.ask
        return price, self.profit(
            position.symbol, position.volume, position.price_open, price, is_buy=is_buy
        )

    def priced(self, order: OrderRecord) -> OrderRecord:
        """
        Return an open order with the price that it waits for.
        """
        tick = self.tick(order.symbol)
        if tick is None:
            return order
        price = tick.ask if is_buy_order(order.type) else tick.bid
        last = self._priced.get(order.ticket)
        if last is not None and last[0] is order and last[1].price_current == price:
            return last[1]
        priced = replace(order, price_current=price)
        self._priced[order.ticket] = (order, priced)
        return priced

    def profit(
        self, symbol: str, volume: float, price_open: float, price_close: float, *, is_buy: bool
    ) -> float:
        """
        Return a profit in the deposit's currency, rounded as that is.
        """
        profit = deposit_profit(
            self.spec(symbol),
            self.rates,
            self.account.currency,
            volume,
            price_open,
            price_close,
            is_buy=is_buy,
        )
        return self.money(profit)

    def money(self, amount: float) -> float:
        """
        Return an amount rounded to the digits of the deposit's currency; never minus nothing.
        """
        return round(amount, self.account.currency_digits) + 0.0

    def volume_of(self, symbol: str, *, is_buy: bool) -> float:
        """
        Return the lots of positions and open orders of one direction.
        """
        side = PositionType.BUY if is_buy else PositionType.SELL
        held = sum(
            one.volume
            for one in self.positions.values()
            if one.symbol == symbol and one.type == side
        )
        waiting = sum(
            one.volume_current
            for one in self.orders.values()
            if one.symbol == symbol
            and one.type != OrderType.CLOSE_BY
            and not one.position_id
            and is_buy_order(one.type) == is_buy
        )
        return round(held + waiting, _VOLUME_DIGITS)

    # --- changes -----------------------------------------------------------------------

    def new_order(
        self,
        request: TradeRequest,
        *,
        comment: str,
        time_msc: int,
        reason: int,
        price: float,
        state: OrderState = OrderState.PLACED,
    ) -> OrderRecord:
        """
        Take up an order; return it.
        """
        ticket, self.next_order = self.next_order, self.next_order + 1
        order = OrderRecord(
            ticket=ticket,
            time_setup=time_msc // 1000,
            time_setup_msc=time_msc,
            time_expiration=request.expiration,
            type=int(request.type),
            type_time=int(request.type_time),
            type_filling=int(request.type_filling),
            state=int(state),
            magic=request.magic,
            position_id=request.position if self.hedging else 0,
            position_by_id=request.position_by,
            reason=int(reason),
            volume_initial=request.volume,
            volume_current=request.volume,
            price_open=price,
            sl=request.sl,
            tp=request.tp,
            price_stoplimit=request.stoplimit,
            symbol=request.symbol,
            comment=comment,
        )
        self.tags[ticket] = request.comment
        self._put_order(order, TransactionType.ORDER_ADD, time_msc)
        return order

    def update_order(self, order: OrderRecord, time_msc: int) -> OrderRecord:
        """
        Replace an open order; return it.
        """
        self._put_order(order, TransactionType.ORDER_UPDATE, time_msc)
        return order

    def end_order(self, order: OrderRecord, state: OrderState, time_msc: int) -> OrderRecord:
        """
        Move an order into the history, in its last state; return it.
        """
        ended = replace(order, state=int(state), time_done=time_msc // 1000, time_done_msc=time_msc)
        del self.orders[order.ticket]
        self._priced.pop(order.ticket, None)
        self.history[order.ticket] = ended
        gone = _of_order(ended, TransactionType.ORDER_DELETE, time_msc)
        self.outbox.append(Change(Kind.ORDER, order.ticket, None, gone))
        added = _of_order(ended, TransactionType.HISTORY_ADD, time_msc)
        self.outbox.append(Change(Kind.HISTORY, order.ticket, ended, added))
        return ended

    def add_deal(
        self,
        order: OrderRecord,
        *,
        entry: DealEntry,
        volume: float,
        price: float,
        time_msc: int,
        position: int,
        reason: int,
        profit: float = 0.0,
        swap: float = 0.0,
        commission: float = 0.0,
        fee: float = 0.0,
        is_buy: bool | None = None,
        position_by: int = 0,
        comment: str | None = None,
    ) -> DealRecord:
        """
        Book a deal of an order, with what it does to the balance; return it.
        """
        ticket, self.next_deal = self.next_deal, self.next_deal + 1
        self.set_balance(self.balance + profit + swap + commission + fee)
        if not self.tells:
            return DealRecord(ticket=ticket, position_id=position)
        buys = is_buy_order(order.type) if is_buy is None else is_buy
        deal = DealRecord(
            ticket=ticket,
            order=order.ticket,
            time=time_msc // 1000,
            time_msc=time_msc,
            type=int(DealType.BUY if buys else DealType.SELL),
            entry=int(entry),
            magic=order.magic,
            position_id=position,
            reason=int(reason),
            volume=volume,
            price=price,
            commission=commission,
            swap=swap,
            profit=profit,
            fee=fee,
            symbol=order.symbol,
            comment=order.comment if comment is None else comment,
        )
        self.deals[ticket] = deal
        transaction = Transaction(
            type=TransactionType.DEAL_ADD,
            deal=ticket,
            order=order.ticket,
            symbol=order.symbol,
            order_type=order.type,
            deal_type=deal.type,
            price=price,
            price_sl=order.sl,
            price_tp=order.tp,
            volume=volume,
            position=position,
            position_by=position_by,
            time_msc=time_msc,
        )
        self.outbox.append(Change(Kind.DEAL, ticket, deal, transaction))
        return deal

    def set_balance(self, balance: float) -> None:
        """
        Set the account's balance.
        """
        self.account = replace(self.account, balance=self.money(balance))
        self.outbox.append(Change(Kind.BALANCE, 0, self.account.balance))

    def put_position(
        self, position: PositionRecord, time_msc: int, *, by_deal: bool = True
    ) -> PositionRecord:
        """
        Open or replace a position; return it. Only changes without a deal have a transaction.
        """
        position = replace(
            position,
            volume=round(position.volume, _VOLUME_DIGITS),
            time_update=time_msc // 1000,
            time_update_msc=time_msc,
        )
        self.positions[position.ticket] = position
        transaction = None
        if not by_deal:
            transaction = Transaction(
                type=TransactionType.POSITION,
                symbol=position.symbol,
                # The numbers of a position's type are those of its deal.
                deal_type=position.type,
                price=position.price_open,
                price_sl=position.sl,
                price_tp=position.tp,
                volume=position.volume,
                position=position.ticket,
                time_msc=time_msc,
            )
        self.outbox.append(Change(Kind.POSITION, position.ticket, position, transaction))
        return position

    def drop_position(self, ticket: int) -> None:
        """
        Take a closed position out.
        """
        del self.positions[ticket]
        self._valued.pop(ticket, None)
        self.margin_rates.pop(ticket, None)
        self.outbox.append(Change(Kind.POSITION, ticket, None))

    def _put_order(self, order: OrderRecord, kind: TransactionType, time_msc: int) -> None:
        volume = round(order.volume_current, _VOLUME_DIGITS)
        if volume != order.volume_current:
            order = replace(order, volume_current=volume)
        self.orders[order.ticket] = order
        if self.tells:
            transaction = _of_order(order, kind, time_msc)
            self.outbox.append(Change(Kind.ORDER, order.ticket, order, transaction))

    # --- save and load -----------------------------------------------------------------

    def plain(self) -> dict[str, Any]:
        """
        Return the books as maps and lists of plain values, ``outbox`` being empty.
        """
        return {
            "account": asdict(self.account),
            "orders": [asdict(one) for one in self.orders.values()],
            "positions": [asdict(one) for one in self.positions.values()],
            "history": [asdict(one) for one in self.history.values()],
            "deals": [asdict(one) for one in self.deals.values()],
            "tags": list(self.tags.items()),
            "margin_rates": list(self.margin_rates.items()),
            "rejected": sorted(self.rejected),
            "next_order": self.next_order,
            "next_deal": self.next_deal,
        }

    @classmethod
    def from_plain(cls, market: Market, plain: dict[str, Any]) -> Books:
        """
        Return the books of ``plain``.
        """
        books = cls(market, AccountRecord(**plain["account"]))
        books.orders = {one["ticket"]: OrderRecord(**one) for one in plain["orders"]}
        books.positions = {one["ticket"]: PositionRecord(**one) for one in plain["positions"]}
        books.history = {one["ticket"]: OrderRecord(**one) for one in plain["history"]}
        books.deals = {one["ticket"]: DealRecord(**one) for one in plain["deals"]}
        books.tags = dict(plain["tags"])
        books.margin_rates = dict(plain["margin_rates"])
        books.rejected = set(plain["rejected"])
        books.next_order = plain["next_order"]
        books.next_deal = plain["next_deal"]
        return books


class ScratchBooks(Books):
    """
    A copy of the books without history, to see what a deal would do: nobody is told of orders and
    deals. ``balance`` is what comes of it, ``account`` stays as it is.
    """

    tells = False

    def __init__(self, books: Books) -> None:
        super().__init__(books.market, books.account, rates=books.rates)
        self._balance = books.account.balance
        self.orders = dict(books.orders)
        self.positions = dict(books.positions)
        self.margin_rates = dict(books.margin_rates)
        self.next_order, self.next_deal = books.next_order, books.next_deal

    @property
    def balance(self) -> float:
        """
        The account's balance as it would be.
        """
        return self._balance

    def set_balance(self, balance: float) -> None:
        """
        Set ``balance``.
        """
        self._balance = self.money(balance)


def _of_order(order: OrderRecord, kind: TransactionType, time_msc: int) -> Transaction:
    # The position is told of orders that execute at once, and not when they are new.
    tells = order.type <= OrderType.SELL or order.type == OrderType.CLOSE_BY
    tells = tells and kind is not TransactionType.ORDER_ADD
    return Transaction(
        type=kind,
        order=order.ticket,
        symbol=order.symbol,
        order_type=order.type,
        order_state=order.state,
        time_type=order.type_time,
        time_expiration=order.time_expiration,
        price=order.price_open,
        price_trigger=order.price_stoplimit,
        price_sl=order.sl,
        price_tp=order.tp,
        volume=order.volume_current,
        position=order.position_id if tells else 0,
        position_by=order.position_by_id if tells else 0,
        time_msc=time_msc,
    )
