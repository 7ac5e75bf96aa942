"""What a deal does to positions, in netting and in hedging, and what the account is worth then.

Netting (MetaTrader 5 Help, "General Principles"): a symbol has one position. A deal of its side
adds to it at the average price; one against it takes from it, closes it, or reverses it, all of
which is one deal. Stop loss and take profit come from the newest order that adds or reverses,
also when it has none; an order that only takes leaves them. Hedging: a deal opens a position of
its own unless its order names the one it closes.

A position's ticket is that of the order which opened it; a reversal changes the ticket and keeps
the identifier.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from bridge.model.enums import (
    DealEntry,
    OrderReason,
    OrderState,
    OrderType,
    PositionReason,
    PositionType,
    TradeRequestActions,
)
from bridge.model.trade import (
    AccountRecord,
    DealRecord,
    OrderRecord,
    PositionRecord,
    TradeRequest,
    replace,
)
from bridge.sim.exchange_books import Books, is_buy_order
from bridge.sim.margin import Exposure, base_margin, hedging_margin, netting_margin

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bridge.sim.exchange_rules import BrokerRules

__all__ = [
    "account_allows",
    "account_state",
    "close_by",
    "close_position",
    "fill",
    "margin_of",
]

_STOPS: Final = frozenset(
    {
        OrderType.BUY_STOP,
        OrderType.SELL_STOP,
        OrderType.BUY_STOP_LIMIT,
        OrderType.SELL_STOP_LIMIT,
    }
)
#: Less than any step of a volume.
_NOTHING: Final = 1e-9


def fill(
    books: Books,
    rules: BrokerRules,
    order: OrderRecord,
    volume: float,
    price: float,
    time_msc: int,
) -> DealRecord:
    """
    Execute a part or all of an open order; return the deal. The order stays open.
    """
    is_buy = is_buy_order(order.type)
    position = (
        books.positions.get(order.position_id) if books.hedging else books.position_of(order.symbol)
    )
    if position is None:
        deal = _open(books, rules, order, volume, price, time_msc)
    elif (position.type == PositionType.BUY) == is_buy:
        deal = _add(books, rules, order, position, volume, price, time_msc)
    else:
        deal = _take(books, rules, order, position, volume, price, time_msc)
    left = order.volume_current - volume
    state = OrderState.FILLED if left < _NOTHING else OrderState.PARTIAL
    changed = replace(
        order,
        volume_current=0.0 if left < _NOTHING else left,
        state=int(state),
        position_id=deal.position_id,
    )
    if left < _NOTHING:
        # It ends next, and nobody sees it between.
        books.orders[order.ticket] = changed
    else:
        books.update_order(changed, time_msc)
    return deal


def close_by(
    books: Books, rules: BrokerRules, order: OrderRecord, time_msc: int
) -> tuple[DealRecord, DealRecord]:
    """
    Close the two positions of a close-by order against one another; return both deals.

    Each closes at the other's open price; the profit is in the first deal alone. What is left of
    the larger one keeps its ticket and price.
    """
    first = books.positions[order.position_id]
    second = books.positions[order.position_by_id]
    volume = min(first.volume, second.volume)
    is_buy = first.type == PositionType.BUY
    profit = books.profit(order.symbol, volume, first.price_open, second.price_open, is_buy=is_buy)
    deals = []
    for one, other, gained in ((first, second, profit), (second, first, 0.0)):
        swap = _share_of_swap(books, one, volume)
        deals.append(
            books.add_deal(
                order,
                entry=DealEntry.OUT_BY,
                volume=volume,
                price=other.price_open,
                time_msc=time_msc,
                position=one.identifier,
                position_by=other.identifier,
                reason=order.reason,
                profit=gained,
                swap=swap,
                commission=_charge(books, rules.commission_per_lot, volume),
                fee=_charge(books, rules.fee_per_lot, volume),
                is_buy=one.type != PositionType.BUY,
            )
        )
        _reduce(books, one, volume, swap, time_msc)
    books.orders[order.ticket] = replace(order, volume_current=0.0, state=int(OrderState.FILLED))
    return deals[0], deals[1]


def close_position(
    books: Books,
    rules: BrokerRules,
    position: PositionRecord,
    price: float,
    reason: OrderReason,
    comment: str,
    time_msc: int,
) -> None:
    """
    Close a position by an order of the server's own: a stop loss, take profit or stop-out.
    """
    is_buy = position.type == PositionType.BUY
    request = TradeRequest(
        action=TradeRequestActions.DEAL,
        magic=position.magic,
        symbol=position.symbol,
        volume=position.volume,
        type=OrderType.SELL if is_buy else OrderType.BUY,
        comment=comment,
        position=position.ticket,
    )
    order = books.new_order(request, comment=comment, time_msc=time_msc, reason=reason, price=price)
    fill(books, rules, order, position.volume, price, time_msc)
    books.end_order(books.orders[order.ticket], OrderState.FILLED, time_msc)


def account_state(
    books: Books,
    rules: BrokerRules,
    *,
    positions: Iterable[PositionRecord],
    orders: Iterable[OrderRecord],
    balance: float,
) -> AccountRecord:
    """
    Return the account as it is with these positions, orders and balance at the present prices.

    ``trade_allowed`` and ``trade_expert`` are what the rules leave of them.
    """
    held = tuple(positions)
    trade_allowed, trade_expert = account_allows(books.account, rules)
    values = (books.value_of(one) for one in held)
    floating = sum(value[1] for value in values if value is not None)
    profit = books.money(floating + sum(one.swap for one in held))
    margin = books.money(_margin(books, rules, held, orders))
    equity = books.money(balance + books.account.credit + profit)
    return replace(
        books.account,
        balance=balance,
        profit=profit,
        equity=equity,
        margin=margin,
        margin_free=books.money(equity - margin),
        margin_level=equity / margin * 100 if margin else 0.0,
        trade_allowed=trade_allowed,
        trade_expert=trade_expert,
    )


def account_allows(account: AccountRecord, rules: BrokerRules) -> tuple[bool, bool]:
    """
    Return whether the account may trade, and whether programs may, as the rules leave it.
    """
    return (
        account.trade_allowed and not rules.trade_disabled,
        account.trade_expert and not rules.server_disables_at,
    )


def margin_of(
    books: Books,
    rules: BrokerRules,
    order_type: int,
    symbol: str,
    volume: float,
    price: float,
) -> float:
    """
    Return the margin of one new order, as if the account had nothing else.
    """
    is_buy, ratios = is_buy_order(order_type), rules.ratios_of(symbol)
    at_once = ratios.buy if is_buy else ratios.sell
    ratio = ratios.pending if order_type > OrderType.SELL else at_once
    margin = base_margin(books.spec(symbol), volume, price, books.account.leverage)
    return books.money(margin * _rate(books, symbol, is_buy=is_buy) * ratio)


def _margin(
    books: Books,
    rules: BrokerRules,
    positions: Iterable[PositionRecord],
    orders: Iterable[OrderRecord],
) -> float:
    held: defaultdict[str, list[Exposure]] = defaultdict(list)
    waiting: defaultdict[str, list[Exposure]] = defaultdict(list)
    for position in positions:
        is_buy = position.type == PositionType.BUY
        ratios = rules.ratios_of(position.symbol)
        held[position.symbol].append(
            Exposure(
                is_buy=is_buy,
                volume=position.volume,
                price=position.price_open,
                rate=books.margin_rates.get(position.ticket)
                or _rate(books, position.symbol, is_buy=is_buy),
                ratio=ratios.buy if is_buy else ratios.sell,
            )
        )
    for order in orders:
        if OrderType.SELL < order.type < OrderType.CLOSE_BY:
            is_buy = is_buy_order(order.type)
            ratio = rules.ratios_of(order.symbol).pending
            waiting[order.symbol].append(
                Exposure(
                    is_buy=is_buy,
                    volume=order.volume_current,
                    price=order.price_open,
                    rate=_rate(books, order.symbol, is_buy=is_buy),
                    ratio=ratio,
                    is_stop=order.type in _STOPS,
                )
            )
    leverage = books.account.leverage
    total = 0.0
    for symbol in held.keys() | waiting.keys():
        spec = books.spec(symbol)
        if books.hedging:
            total += hedging_margin(spec, held[symbol], waiting[symbol], leverage)
        else:
            position_held = held[symbol][0] if held[symbol] else None
            total += netting_margin(spec, position_held, waiting[symbol], leverage)
    return total


def _rate(books: Books, symbol: str, *, is_buy: bool) -> float:
    currency = books.spec(symbol).currency_margin
    return books.rates.rate(currency, books.account.currency, buy=is_buy)


def _charge(books: Books, per_lot: float, volume: float) -> float:
    return books.money(-per_lot * volume)


def _share_of_swap(books: Books, position: PositionRecord, volume: float) -> float:
    return books.money(position.swap * volume / position.volume)


def _open(
    books: Books,
    rules: BrokerRules,
    order: OrderRecord,
    volume: float,
    price: float,
    time_msc: int,
    *,
    before: PositionRecord | None = None,
    deal: DealRecord | None = None,
) -> DealRecord:
    # ``before`` and ``deal``: what a reversal leaves is opened by the deal that closed the rest.
    is_buy = is_buy_order(order.type)
    identifier = order.ticket if before is None else before.identifier
    if deal is None:
        deal = _deal(books, rules, order, DealEntry.IN, volume, price, time_msc, identifier)
    position = PositionRecord(
        ticket=order.ticket,
        time=time_msc // 1000,
        time_msc=time_msc,
        type=int(PositionType.BUY if is_buy else PositionType.SELL),
        magic=order.magic,
        identifier=identifier,
        reason=int(min(order.reason, PositionReason.EXPERT)),
        volume=volume,
        price_open=price,
        sl=order.sl,
        tp=order.tp,
        symbol=order.symbol,
        comment=order.comment,
    )
    books.put_position(position, time_msc)
    books.margin_rates[position.ticket] = _rate(books, order.symbol, is_buy=is_buy)
    return deal


def _add(
    books: Books,
    rules: BrokerRules,
    order: OrderRecord,
    position: PositionRecord,
    volume: float,
    price: float,
    time_msc: int,
) -> DealRecord:
    deal = _deal(books, rules, order, DealEntry.IN, volume, price, time_msc, position.identifier)
    together = position.volume + volume
    average = (position.price_open * position.volume + price * volume) / together
    rate = _rate(books, order.symbol, is_buy=is_buy_order(order.type))
    before = books.margin_rates.get(position.ticket, rate)
    books.margin_rates[position.ticket] = (before * position.volume + rate * volume) / together
    books.put_position(
        replace(position, volume=together, price_open=average, sl=order.sl, tp=order.tp),
        time_msc,
    )
    return deal


def _take(
    books: Books,
    rules: BrokerRules,
    order: OrderRecord,
    position: PositionRecord,
    volume: float,
    price: float,
    time_msc: int,
) -> DealRecord:
    closed = min(volume, position.volume)
    rest = volume - closed
    reverses = rest > _NOTHING
    swap = _share_of_swap(books, position, closed)
    profit = books.profit(
        order.symbol,
        closed,
        position.price_open,
        price,
        is_buy=position.type == PositionType.BUY,
    )
    deal = _deal(
        books,
        rules,
        order,
        DealEntry.INOUT if reverses else DealEntry.OUT,
        volume,
        price,
        time_msc,
        position.identifier,
        profit=profit,
        swap=swap,
    )
    _reduce(books, position, closed, swap, time_msc)
    if reverses:
        _open(books, rules, order, rest, price, time_msc, before=position, deal=deal)
    return deal


def _reduce(
    books: Books, position: PositionRecord, volume: float, swap: float, time_msc: int
) -> None:
    left = position.volume - volume
    if left < _NOTHING:
        books.drop_position(position.ticket)
    else:
        swap_left = books.money(position.swap - swap)
        books.put_position(replace(position, volume=left, swap=swap_left), time_msc)


def _deal(
    books: Books,
    rules: BrokerRules,
    order: OrderRecord,
    entry: DealEntry,
    volume: float,
    price: float,
    time_msc: int,
    position: int,
    *,
    profit: float = 0.0,
    swap: float = 0.0,
) -> DealRecord:
    return books.add_deal(
        order,
        entry=entry,
        volume=volume,
        price=price,
        time_msc=time_msc,
        position=position,
        reason=order.reason,
        profit=profit,
        swap=swap,
        commission=_charge(books, rules.commission_per_lot, volume),
        fee=_charge(books, rules.fee_per_lot, volume),
    )
