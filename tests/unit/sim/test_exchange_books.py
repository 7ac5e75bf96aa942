"""The simulated broker's books under random trading: they add up, whatever happens."""

from __future__ import annotations

import dataclasses
import math
import random
from collections import defaultdict

import pytest

from bridge.model.enums import (
    DealType,
    OrderState,
    OrderType,
    OrderTypeFilling,
    PositionType,
    SymbolSwapMode,
    TradeRequestActions,
)
from bridge.model.symbol import spec_for
from bridge.model.tick import MqlTick
from bridge.model.trade import TradeRequest
from bridge.sim.exchange import Exchange
from tests.support.exchange_bench import MS, START_MSC, ExchangeBench, instant

SYMBOLS = ("EURUSD", "GBPUSD", "USDJPY")
STEPS = 600


class Trader:
    """
    Sends anything, valid or not, and lets prices move.
    """

    def __init__(self, rng, bench):
        self.rng = rng
        self.bench = bench
        self.sent = []
        self.prices = {"EURUSD": 110_000, "GBPUSD": 125_000, "USDJPY": 150_000}

    def step(self):
        for symbol in SYMBOLS:
            self.prices[symbol] += self.rng.randint(-60, 60)
            scale = 10 ** spec_for(symbol).digits
            bid = self.prices[symbol] / scale
            ask = (self.prices[symbol] + self.rng.randint(1, 20)) / scale
            time_msc = START_MSC + self.bench.now_us // MS
            self.bench.market.history.append(symbol, MqlTick(time_msc, bid, ask, bid))
        if self.rng.random() < 0.6:
            self.bench.exchange.order_send(self.request(), self.bench.now_us)
        self.bench.wait(self.rng.choice((0, 1, 50, 400, 3_600_000)))

    def request(self):
        rng, exchange = self.rng, self.bench.exchange
        symbol = rng.choice(SYMBOLS)
        tickets = [0, 10_000, *(one.ticket for one in exchange.positions())]
        orders = [10_000, *(one.ticket for one in exchange.orders())]
        position = rng.choice(tickets)
        action = rng.choice([*TradeRequestActions, *[TradeRequestActions.DEAL] * 4])
        order_type = rng.choice(list(OrderType)[:2])
        held = exchange.positions(ticket=position)
        if action == TradeRequestActions.PENDING:
            order_type = rng.choice(list(OrderType)[2:8])
        elif held:
            symbol, order_type = held[0].symbol, 1 - held[0].type
        fillings = [OrderTypeFilling.FOK, OrderTypeFilling.IOC]
        if action == TradeRequestActions.PENDING:
            fillings = [OrderTypeFilling.RETURN]
        digits = spec_for(symbol).digits
        now = self.prices[symbol]
        # Limit orders of buys are below, stops of buys above; half of the rest fits as well.
        sign = -1 if order_type in {2, 5, 7} else 1
        away = rng.randint(-10, 120) * sign
        price = round((now + away) / 10**digits, digits)
        below, above = (round((now + rng.choice((-90, 90))) / 10**digits, digits) for _ in "ab")
        return TradeRequest(
            action=action,
            symbol=symbol,
            volume=rng.randint(0, 40) / 100,
            price=price,
            stoplimit=below if order_type in {6, 7} else 0.0,
            sl=rng.choice((0.0, 0.0, below)),
            tp=rng.choice((0.0, 0.0, above)),
            deviation=150,
            type=order_type,
            type_filling=rng.choice([*OrderTypeFilling, *fillings * 4]),
            type_time=rng.choice((0, 0, 0, 1)),
            magic=rng.randint(0, 3),
            position=position,
            position_by=rng.choice(tickets),
            order=rng.choice(orders),
            comment=f"tag{rng.randrange(10**9)}",
        )


def run(rng, margin_mode, seed):
    swap = {"swap_mode": SymbolSwapMode.POINTS, "swap_long": -3.0, "swap_short": 1.0}
    bench = ExchangeBench(
        instant("GBPUSD", **swap),
        dataclasses.replace(spec_for("EURUSD"), **swap),
        account={"margin_mode": margin_mode, "balance": 50_000.0, "margin_so_so": 50.0},
        seed=seed,
        partial=0.3,
        reject=0.1,
        requote=0.1,
        lose_reply=0.1,
        lose_request=0.05,
        execution_ms=(0, 200),
        fill_ms=(0, 100),
        reply_ms=(0, 100),
        visibility_ms=(0, 2_000),
        state_delay_ms=(0, 500),
        commission_per_lot=3.0,
        fee_per_lot=1.0,
        slippage_points=4,
    )
    trader = Trader(rng, bench)
    for _ in range(STEPS):
        trader.step()
        yield bench


def assert_they_add_up(exchange):
    books = exchange._books
    ledger = exchange.ledger()
    money = sum(deal.profit + deal.swap + deal.commission + deal.fee for deal in ledger.deals)

    assert 50_000.0 + money == pytest.approx(books.account.balance, abs=0.005)
    # Positions are what the deals made of them.
    net = defaultdict(float)
    by_position = defaultdict(float)
    for deal in ledger.deals:
        signed = deal.volume if deal.type == DealType.BUY else -deal.volume
        net[deal.symbol] += signed
        by_position[deal.position_id] += signed
    held = defaultdict(float)
    for one in books.positions.values():
        signed = one.volume if one.type == PositionType.BUY else -one.volume
        held[one.symbol] += signed

        assert signed == pytest.approx(by_position[one.identifier])
        assert one.volume > 0
        assert math.isclose(one.volume * 100, round(one.volume * 100), abs_tol=1e-6)
    for symbol in SYMBOLS:
        assert held[symbol] == pytest.approx(net[symbol], abs=1e-6)
    # An order is open or ended, and its deals are what it is filled by.
    assert not books.orders.keys() & books.history.keys()
    filled = defaultdict(float)
    for deal in ledger.deals:
        filled[deal.order] += deal.volume
    for order in ledger.orders:
        done = order.volume_initial - order.volume_current
        sides = 2 if order.type == OrderType.CLOSE_BY else 1

        assert filled[order.ticket] == pytest.approx(done * sides, abs=1e-6)
        assert (order.ticket in books.history) == (order.time_done_msc > 0)
        assert order.state != OrderState.FILLED or order.volume_current == 0
    if not books.hedging:
        assert len({one.symbol for one in books.positions.values()}) == len(books.positions)


@pytest.mark.parametrize("margin_mode", [0, 2], ids=["netting", "hedging"])
def test_the_books_add_up_at_every_step(rng, seed, margin_mode):
    reached = None
    for bench in run(rng, margin_mode, seed):
        assert_they_add_up(bench.exchange)
        reached = bench
    retcodes = {one.retcode for one in reached.exchange.ledger().requests}

    assert len(reached.exchange.ledger().deals) > 20
    assert len(retcodes) > 6


@pytest.mark.parametrize("margin_mode", [0, 2], ids=["netting", "hedging"])
def test_when_all_has_arrived_the_terminal_sees_the_truth(rng, seed, margin_mode):
    bench = None
    for bench in run(rng, margin_mode, seed):
        cut = rng.random() < 0.1
        bench.set(connected=not cut)
    bench.set(connected=True)
    bench.wait(10_000)
    books, view = bench.exchange._books, bench.exchange._view

    assert books.orders == view.orders
    assert books.positions == view.positions
    assert books.history == view.history
    assert books.deals == view.deals
    assert books.account.balance == view.balance


@pytest.mark.parametrize("margin_mode", [0, 2], ids=["netting", "hedging"])
def test_the_same_seed_gives_the_same_trades_also_when_saved_in_between(rng, seed, margin_mode):
    numbers = rng.random()

    def play(*, saving):
        bench = None
        for step, bench in enumerate(run(random.Random(numbers), margin_mode, seed)):
            if saving and step % 50 == 0:
                rules, data = bench.exchange.rules, bench.exchange.save()
                bench.exchange = Exchange.load(data, bench.market, rules=rules)
        return bench.exchange.ledger()

    plain, saved = play(saving=False), play(saving=True)

    assert plain.deals == saved.deals
    assert plain.orders == saved.orders
    assert plain.requests == saved.requests
