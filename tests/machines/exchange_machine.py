"""The simulated broker itself: whatever is asked of it, its books are those of a bank."""

from __future__ import annotations

import dataclasses
import math
import random

import hypothesis.strategies as st
from hypothesis.stateful import initialize, invariant, rule

from bridge.model.enums import (
    AccountMarginMode,
    DealEntry,
    DealType,
    OrderState,
    OrderType,
    OrderTypeFilling,
    OrderTypeTime,
    PositionType,
    SymbolFillingMode,
    SymbolSwapMode,
    SymbolTradeExecution,
    TradeRequestActions,
    TradeRetcode,
)
from bridge.model.retcodes import RETCODES
from bridge.model.symbol import spec_for
from bridge.model.tick import MqlTick
from bridge.model.trade import AccountRecord, TradeRequest
from bridge.sim.exchange import Exchange
from bridge.sim.exchange_rules import BrokerRules, CommentMode
from bridge.sim.market import Market
from tests.machines.running import Machine

__all__ = ["ExchangeMachine"]

MS = 1_000
DAY_MS = 86_400_000
#: Wednesday, 2024-01-10, 10:00 on the server's clock.
START_MSC = 1_704_880_800_000
BALANCE = 3_000.0
SYMBOLS = ("EURUSD", "USDJPY", "GBPUSD")
PRICES = {"EURUSD": (1.1, 0.0001), "USDJPY": (150.0, 0.01), "GBPUSD": (1.25, 0.0002)}
#: A code that no table has.
UNLISTED = 12_345
#: What no delay of the rules below exceeds.
SETTLED_MS = 20_000

USUAL = (
    {},
    {"partial": 0.5},
    {"fill_ms": (0, 900), "partial": 0.5},
    {"commission_per_lot": 3.5, "fee_per_lot": 0.25, "slippage_points": 3, "partial": 0.2},
)
RULES = (
    {},
    {"partial": 0.7},
    {"reject": 0.3, "requote": 0.3},
    {"commission_per_lot": 3.5, "fee_per_lot": 0.25, "slippage_points": 3},
    {"fill_ms": (0, 400), "partial": 0.5},
    {"execution_ms": (0, 400), "reply_ms": (0, 200)},
    {"visibility_ms": (0, 2_000), "state_delay_ms": (0, 700), "shuffle_transactions": True},
    {"lose_request": 0.3, "lose_reply": 0.3, "late_reply": 0.3, "late_reply_ms": 5_000},
    {"connected": False},
    {"comment": CommentMode.TRUNCATE, "pending_retcode": TradeRetcode.DONE},
    {"market_closed": frozenset({"EURUSD"})},
    {"no_quotes": frozenset({"USDJPY"}), "max_orders": 3, "max_positions": 3},
    {"hedge_prohibited": True},
    {"client_disables_at": True},
    {"max_requests_per_s": 2},
)
MODES = (SymbolTradeExecution.MARKET, SymbolTradeExecution.MARKET, SymbolTradeExecution.EXCHANGE)
#: The first two do what the broker of this machine accepts.
FILLINGS = (*[OrderTypeFilling.FOK, OrderTypeFilling.IOC] * 6, *OrderTypeFilling)
RESTING = (*[OrderTypeFilling.RETURN] * 8, *OrderTypeFilling)
FIELDS = [field.name for field in dataclasses.fields(TradeRequest)]
WILD = {
    "comment": ("", "x" * 60),
    "symbol": (*SYMBOLS, "", "NONE"),
    "volume": (0.0, -1.0, 0.01, 0.015, 1e9, math.nan, math.inf),
    "price": (0.0, -1.0, 1.1, 150.0, math.nan, math.inf),
    "stoplimit": (0.0, 1.1, math.nan),
    "sl": (0.0, 1.0, 1.2, -1.0, math.nan),
    "tp": (0.0, 1.0, 1.2, -1.0, math.inf),
}
_SIGN = {DealType.BUY: 1, DealType.SELL: -1}

#: a step's details: its own random numbers
draws = st.binary(min_size=4, max_size=4)


class ExchangeMachine(Machine):
    """
    One account.
    """

    def __init__(self):
        super().__init__()
        self.exchange = None

    @initialize(draw=draws)
    def open_account(self, draw):
        rng = random.Random(draw)
        self.netting = rng.random() < 0.5
        specs = [
            dataclasses.replace(
                spec_for(name),
                filling_mode=SymbolFillingMode.FOK | SymbolFillingMode.IOC,
                trade_exemode=rng.choice(MODES),
                swap_mode=SymbolSwapMode.POINTS,
                swap_long=-7.5,
                swap_short=2.5,
            )
            for name in SYMBOLS
        ]
        #: how this broker is when nothing is wrong
        self.usual = BrokerRules(**rng.choice(USUAL))
        self.market = Market(specs)
        self.prices = dict(PRICES)
        self.now_us = 0
        for name, (bid, spread) in PRICES.items():
            self.market.history.append(name, MqlTick(START_MSC, bid, bid + spread, bid))
        mode = (
            AccountMarginMode.RETAIL_NETTING if self.netting else (AccountMarginMode.RETAIL_HEDGING)
        )
        self.account = AccountRecord(
            login=7,
            currency="USD",
            balance=BALANCE,
            margin_mode=mode,
            margin_so_so=50.0,
            fifo_close=rng.random() < 0.1,
        )
        self.exchange = Exchange(
            self.market,
            account=self.account,
            seed=rng.random(),
            rules=self.usual,
            server_clock_offset_us=START_MSC * MS,
        )
        self.paid_in = BALANCE
        #: requests whose answer is not known yet
        self.sent = []
        self.count = 0
        #: what was ever seen of tags and deals: neither changes
        self.tags = {}
        self.deals = {}
        for _ in range(3):
            self.send_deal(rng)

    # --- what happens --------------------------------------------------------------------

    def send(self, action, **fields):
        self.count += 1
        values = {"comment": f"zb1:{self.count:016}"} | fields
        request = TradeRequest(action=action, **values)
        check = self.exchange.order_check(request, self.now_us)
        assert check.retcode == 0 or check.retcode in RETCODES
        self.sent.append((request, self.exchange.order_send(request, self.now_us)))

    def ticket_of(self, rng, records):
        tickets = [one.ticket for one in records]
        return rng.choice(tickets) if tickets and rng.random() < 0.95 else rng.randint(0, 20)

    @rule(draw=draws)
    def deal(self, draw):
        rng = random.Random(draw)
        for _ in range(rng.randint(1, 3)):
            self.send_deal(rng)

    def send_deal(self, rng):
        symbol = rng.choice(SYMBOLS)
        side = rng.choice([OrderType.BUY, OrderType.SELL])
        bid, spread = self.prices[symbol]
        price = bid + spread if side == OrderType.BUY else bid
        levels = {}
        if rng.random() < 0.3:
            way = -1 if side == OrderType.BUY else 1
            levels["sl"] = round(price + way * 20 * spread, 5)
            levels["tp"] = round(price - way * 20 * spread, 5)
        self.send(
            TradeRequestActions.DEAL,
            symbol=symbol,
            volume=rng.choice([rng.randint(1, 30), rng.randint(30, 100)]) / 100,
            type=side,
            price=price,
            type_filling=rng.choice(FILLINGS),
            **levels,
        )

    @rule(draw=draws)
    def close(self, draw):
        rng = random.Random(draw)
        positions = self.exchange.positions()
        if not positions:
            return
        position = rng.choice(positions)
        steps = round(position.volume * 100)
        for _ in range(rng.randint(1, 3)):
            self.send(
                TradeRequestActions.DEAL,
                symbol=position.symbol,
                volume=rng.choice([steps, rng.randint(1, steps), steps + 1]) / 100,
                type=OrderType.SELL if position.type == PositionType.BUY else OrderType.BUY,
                type_filling=rng.choice(FILLINGS),
                position=position.ticket,
            )

    @rule(draw=draws)
    def place(self, draw):
        rng = random.Random(draw)
        symbol = rng.choice(SYMBOLS)
        kind = rng.choice(list(OrderType)[2:8])
        bid, spread = self.prices[symbol]
        below = kind in {OrderType.BUY_LIMIT, OrderType.SELL_STOP, OrderType.SELL_STOP_LIMIT}
        digits = self.market.specs[symbol].digits
        price = round(bid + (-1 if below else 1) * rng.randint(2, 8) * spread, digits)
        stop_limit = kind >= OrderType.BUY_STOP_LIMIT
        behind = spread if kind == OrderType.SELL_STOP_LIMIT else -spread
        type_time = rng.choice(list(OrderTypeTime))
        server_s = (START_MSC + self.now_us // MS) // 1000
        self.send(
            TradeRequestActions.PENDING,
            symbol=symbol,
            volume=rng.randint(1, 20) / 100,
            type=kind,
            price=price,
            stoplimit=round(price + behind, digits) if stop_limit else 0.0,
            type_filling=rng.choice(RESTING),
            type_time=type_time,
            expiration=server_s + rng.choice([5, 90_000]) if type_time > 1 else 0,
        )

    @rule(draw=draws)
    def change(self, draw):
        rng = random.Random(draw)
        action = rng.choice(
            [
                TradeRequestActions.MODIFY,
                TradeRequestActions.REMOVE,
                TradeRequestActions.SLTP,
                TradeRequestActions.CLOSE_BY,
            ]
        )
        positions, orders = self.exchange.positions(), self.exchange.orders()
        fields = {"comment": ""}
        if action in {TradeRequestActions.MODIFY, TradeRequestActions.REMOVE}:
            fields["order"] = self.ticket_of(rng, orders)
        else:
            fields["position"] = self.ticket_of(rng, positions)
        if action == TradeRequestActions.CLOSE_BY:
            fields["position_by"] = self.ticket_of(rng, positions)
            del fields["comment"]
        if action == TradeRequestActions.MODIFY:
            fields["price"] = next(
                (one.price_open for one in orders if one.ticket == fields["order"]), 1.0
            )
            fields["tp"] = rng.choice([0.0, 1.5, 200.0])
        if action == TradeRequestActions.SLTP:
            fields["sl"] = rng.choice([0.0, 1.05, 1.2, 140.0, 160.0])
        self.send(action, **fields)

    @rule(draw=draws)
    def ask_for_nonsense(self, draw):
        rng = random.Random(draw)
        fields = {
            name: rng.choice(WILD[name]) if name in WILD else rng.randint(0, 12)
            for name in FIELDS
            if name != "action" and rng.random() < 0.7
        }
        self.send(rng.choice([0, 1, 5, 6, 7, 8, 10, 11]), **fields)

    @rule(draw=draws)
    def tick(self, draw):
        rng = random.Random(draw)
        self.now_us += rng.choice([1, 1, 50, 1000]) * MS
        for symbol in rng.sample(SYMBOLS, rng.randint(1, 3)):
            _, spread = PRICES[symbol]
            bid, _ = self.prices[symbol]
            move = rng.choice([-40, -9, -3, -1, 1, 3, 9, 40]) * spread
            bid = round(max(bid + move, 100 * spread), 5)
            spread = round(spread * rng.choice([1, 1, 3]), 5)
            self.prices[symbol] = bid, spread
            tick = MqlTick(START_MSC + self.now_us // MS, bid, round(bid + spread, 5), bid)
            self.market.history.append(symbol, tick)
        self.exchange.advance(self.now_us)

    @rule(ms=st.sampled_from([0, 1, 100, 1_000, SETTLED_MS, DAY_MS // 2, 3 * DAY_MS]))
    def wait(self, ms):
        self.now_us += ms * MS
        self.exchange.advance(self.now_us)

    @rule(rules=st.sampled_from(RULES), more=st.sampled_from(RULES))
    def behave(self, rules, more):
        self.exchange.rules = BrokerRules(**(rules | more))

    @rule()
    def behave_well(self):
        self.exchange.rules = self.usual

    @rule(code=st.sampled_from([10_006, 10_011, 10_012, 10_031, UNLISTED]), executed=st.booleans())
    def force(self, code, executed):
        self.exchange.force(code, executed=executed)

    @rule(amount=st.sampled_from([-500.0, 250.25, 2_000.0]))
    def deposit(self, amount):
        self.exchange.deposit(amount)
        self.paid_in += amount

    @rule()
    def fetch_transactions(self):
        books = self.exchange.ledger()
        deals = {deal.ticket for deal in books.deals}
        orders = {order.ticket for order in books.orders}
        for transaction in self.exchange.transactions():
            assert transaction.deal in deals | {0}
            assert transaction.order in orders | {0}

    @rule()
    def save_and_load(self):
        """
        Another process goes on with the books.
        """
        before = self.exchange.ledger()
        self.exchange = Exchange.load(
            self.exchange.save(), self.market, rules=self.exchange.rules, now_us=self.now_us
        )
        # Whoever waited for an answer is gone.
        self.sent = []
        assert before == self.exchange.ledger()

    # --- what holds ----------------------------------------------------------------------

    @invariant()
    def money_and_volume_are_those_of_the_deals(self):
        if self.exchange is None:
            return
        books = self.exchange._books
        gained = sum(
            deal.profit + deal.commission + deal.swap + deal.fee for deal in books.deals.values()
        )
        assert abs(books.account.balance - self.paid_in - gained) < 0.005
        of_position, of_symbol, of_order = {}, {}, {}
        for deal in books.deals.values():
            volume = _SIGN[deal.type] * deal.volume
            of_position[deal.position_id] = of_position.get(deal.position_id, 0.0) + volume
            of_symbol[deal.symbol] = of_symbol.get(deal.symbol, 0.0) + volume
            # A close-by has a deal in each position.
            share = deal.volume / 2 if deal.entry == DealEntry.OUT_BY else deal.volume
            of_order[deal.order] = of_order.get(deal.order, 0.0) + share
        held, held_of_symbol = {}, {}
        for ticket, position in books.positions.items():
            assert ticket == position.ticket
            assert position.volume > 0
            assert _steps(position.volume)
            volume = position.volume if position.type == PositionType.BUY else -position.volume
            held[position.identifier] = held.get(position.identifier, 0.0) + volume
            held_of_symbol[position.symbol] = held_of_symbol.get(position.symbol, 0.0) + volume
        for number, volume in of_position.items():
            assert abs(held.get(number, 0.0) - volume) < 1e-9
        for symbol, volume in of_symbol.items():
            assert abs(held_of_symbol.get(symbol, 0.0) - volume) < 1e-9
        assert held.keys() <= of_position.keys()
        assert books.margin_rates.keys() == books.positions.keys()
        for order in (*books.orders.values(), *books.history.values()):
            filled = of_order.get(order.ticket, 0.0)
            assert abs(order.volume_initial - order.volume_current - filled) < 1e-9

    @invariant()
    def what_is_in_the_books_is_there_once_and_stays(self):
        if self.exchange is None:
            return
        books = self.exchange._books
        assert not books.orders.keys() & books.history.keys()
        assert books.orders.keys() | books.history.keys() == set(range(1, books.next_order))
        assert list(books.deals) == list(range(1, books.next_deal))
        for ticket, tag in self.tags.items():
            assert tag == books.tags[ticket]
        for ticket, deal in self.deals.items():
            assert deal is books.deals[ticket] or deal == books.deals[ticket]
        self.tags = dict(books.tags)
        self.deals = dict(books.deals)
        times = [deal.time_msc for deal in books.deals.values()]
        assert times == sorted(times)
        for order in books.history.values():
            if order.state == OrderState.FILLED:
                assert order.volume_current == 0
            assert order.time_done_msc >= order.time_setup_msc
        if self.netting:
            symbols = [position.symbol for position in books.positions.values()]
            assert len(symbols) == len(set(symbols))
            assert all(deal.entry != DealEntry.OUT_BY for deal in books.deals.values())
        else:
            assert all(deal.entry != DealEntry.INOUT for deal in books.deals.values())

    @invariant()
    def no_request_is_executed_twice(self):
        if self.exchange is None:
            return
        tags = [tag for tag in self.exchange._books.tags.values() if tag.startswith("zb1:")]
        assert len(tags) == len(set(tags))

    @invariant()
    def the_account_adds_up(self):
        if self.exchange is None:
            return
        account = self.exchange.account()
        assert account.margin >= 0
        assert abs(account.equity - account.balance - account.credit - account.profit) < 0.005
        assert abs(account.margin_free - account.equity + account.margin) < 0.005
        assert all(math.isfinite(value) for value in (account.equity, account.margin_level))

    @invariant()
    def answers_are_of_the_table(self):
        if self.exchange is None:
            return
        for _, sent in self.sent:
            if sent.known and sent.result is not None:
                assert sent.result.retcode in RETCODES or sent.result.retcode == UNLISTED
        self.sent = [one for one in self.sent if not one[1].known]

    def teardown(self):
        if self.exchange is None:
            return
        # Whatever was delayed shows in the end, and every call has returned.
        self.exchange.rules = BrokerRules()
        for _ in range(3):
            self.now_us += 60_000 * MS
            self.exchange.advance(self.now_us)
        books = self.exchange._books
        assert all(sent.known for _, sent in self.sent)
        assert books.positions.keys() == {one.ticket for one in self.exchange.positions()}
        assert books.orders.keys() == {one.ticket for one in self.exchange.orders()}
        assert list(books.deals.values()) == self.exchange.history_deals(0, 2**62)
        assert set(books.history) == {one.ticket for one in self.exchange.history_orders(0, 2**62)}
        assert books.account.balance == self.exchange.account().balance


def _steps(volume):
    return abs(volume * 100 - round(volume * 100)) < 1e-6
