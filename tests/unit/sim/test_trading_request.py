"""``bridge.sim.trading_request``: what is sent for what was asked, and what is refused."""

from __future__ import annotations

import dataclasses

import pytest

from bridge.model.enums import (
    OrderTypeFilling,
    OrderTypeTime,
    SymbolExpirationMode,
    SymbolFillingMode,
    SymbolTradeExecution,
)
from bridge.model.symbol import SymbolSpec, spec_for
from bridge.sim.trading_request import Refused, RequestMaker, reduces
from bridge.wire.spec import DenyReason, NewFlag
from tests.support.desk_bench import (
    CLOSE_BY,
    DEAL,
    MODIFY,
    PENDING,
    REMOVE,
    SLTP,
    DeskBench,
    buy,
    request,
    sell,
)

REDUCE = int(NewFlag.REDUCE_ONLY)
POINTS = int(NewFlag.SL_POINTS | NewFlag.TP_POINTS)


@pytest.fixture
def bench():
    return DeskBench().connect()


def maker_of(bench, **spec):
    specs = dict(bench.market.specs)
    if spec:
        specs["EURUSD"] = dataclasses.replace(specs["EURUSD"], **spec)
    return RequestMaker(bench.exchange, specs, bench.core._quote)


def made(bench, wanted, flags=0, **spec):
    maker = maker_of(bench, **spec)
    maker.check(wanted, flags)
    return maker.make(wanted, flags, "zb1:T").request


def refused(bench, wanted, flags=0, **spec):
    with pytest.raises(Refused) as caught:
        made(bench, wanted, flags, **spec)
    return caught.value


def limit_buy(price=1.05, kind=2, **fields):
    return request(
        PENDING, **({"symbol": "EURUSD", "volume": 0.1, "price": price, "type": kind} | fields)
    )


# Market orders ------------------------------------------------------------------------------


def test_a_market_order_gets_the_price_of_its_side(bench):
    assert (1.1001, 1.1) == (made(bench, buy()).price, made(bench, sell()).price)
    assert 1.0999 == made(bench, buy(price=1.0999)).price


def test_without_a_quote_the_trade_server_decides(bench):
    maker = RequestMaker(bench.exchange, bench.market.specs, lambda _: None)

    assert 0.0 == maker.make(buy(), 0, "").request.price


@pytest.mark.parametrize(
    ("execution", "mask", "expected"),
    [
        (SymbolTradeExecution.MARKET, 3, OrderTypeFilling.IOC),
        (SymbolTradeExecution.MARKET, 2, OrderTypeFilling.IOC),
        (SymbolTradeExecution.MARKET, 1, OrderTypeFilling.FOK),
        (SymbolTradeExecution.EXCHANGE, 1, OrderTypeFilling.FOK),
        (SymbolTradeExecution.EXCHANGE, 0, OrderTypeFilling.RETURN),
        (SymbolTradeExecution.INSTANT, 0, OrderTypeFilling.FOK),
        (SymbolTradeExecution.REQUEST, 2, OrderTypeFilling.FOK),
    ],
)
def test_a_filling_that_is_left_out_is_one_that_the_symbol_has(bench, execution, mask, expected):
    """
    INVALID_FILL must not reach a user who left it out.
    """
    spec = {"trade_exemode": execution, "filling_mode": SymbolFillingMode(mask)}

    assert expected == made(bench, buy(), **spec).type_filling
    assert OrderTypeFilling.RETURN == made(bench, limit_buy(), **spec).type_filling
    assert OrderTypeFilling.BOC == made(bench, limit_buy(type_filling=3), **spec).type_filling
    assert OrderTypeFilling.RETURN == made(bench, buy(type_filling=2), **spec).type_filling


def test_the_chosen_filling_is_taken_by_the_broker_for_every_known_symbol():
    names = ["EURUSD", "USDJPY", "XAUUSD"]
    bench = DeskBench(symbols=[spec_for(name) for name in names])
    maker = maker_of(bench)

    for name in names:
        draft = maker.make(buy(1.0, symbol=name), 0, "")
        assert 10030 != bench.exchange.order_check(draft.request, bench.now).retcode


def test_a_magic_that_is_left_out_is_the_positions(bench):
    ticket = bench.order(buy(magic=77)).position

    assert 77 == made(bench, request(DEAL, position=ticket), REDUCE).magic
    assert 5 == made(bench, request(DEAL, position=ticket, magic=5), REDUCE).magic
    assert 0 == made(bench, buy()).magic


def test_the_tag_is_the_comment_whatever_the_user_says(bench):
    assert "zb1:T" == made(bench, buy(comment="mine")).comment


# Stop loss and take profit ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (buy(sl=100.0, tp=200.0), (1.0991, 1.1021)),
        (sell(sl=100.0, tp=200.0), (1.101, 1.098)),
        (buy(price=1.2, sl=100.0, tp=0.0), (1.199, 0.0)),
        (limit_buy(1.05, sl=100.0, tp=200.0), (1.049, 1.052)),
        (limit_buy(1.15, kind=3, sl=100.0, tp=200.0), (1.151, 1.148)),
        (limit_buy(1.15, kind=6, stoplimit=1.14, sl=100.0, tp=200.0), (1.139, 1.142)),
    ],
)
def test_points_count_from_the_price_that_is_sent(bench, wanted, expected):
    sent = made(bench, wanted, POINTS)

    assert expected == (sent.sl, sent.tp)


def test_points_of_a_position_count_from_its_opening_price(bench):
    """
    The price of the moment would give another level each time it is sent.
    """
    ticket = bench.order(buy()).position
    bench.quote(1.2, 1.2001)
    sent = made(bench, request(SLTP, position=ticket, sl=100.0, tp=200.0), POINTS)

    assert (1.0991, 1.1021) == (sent.sl, sent.tp)


def test_points_without_a_price_are_refused(bench):
    maker = RequestMaker(bench.exchange, bench.market.specs, lambda _: None)

    with pytest.raises(Refused, match="no price") as caught:
        maker.make(buy(sl=10.0), int(NewFlag.SL_POINTS), "")

    assert DenyReason.OTHER is caught.value.reason


def test_points_that_lead_below_0_are_refused(bench):
    assert refused(bench, buy(sl=200_000.0), int(NewFlag.SL_POINTS)).text.startswith("sl:")


def test_left_out_keeps_and_0_removes(bench):
    ticket = bench.order(buy(sl=1.05, tp=1.2)).position
    levels = [
        made(bench, request(SLTP, position=ticket, **given))
        for given in ({}, {"sl": 1.06}, {"sl": 0.0}, {"tp": 0.0})
    ]

    assert [(1.05, 1.2), (1.06, 1.2), (0.0, 1.2), (1.05, 0.0)] == [
        (sent.sl, sent.tp) for sent in levels
    ]


def test_a_modification_keeps_what_is_left_out(bench):
    ticket = bench.order(
        limit_buy(1.05, sl=1.01, tp=1.2, type_time=2, expiration=1_800_000_000)
    ).order
    sent = made(bench, request(MODIFY, order=ticket, price=1.04))

    assert (1.04, 1.01, 1.2, 2, 1_800_000_000) == (
        sent.price,
        sent.sl,
        sent.tp,
        sent.type_time,
        sent.expiration,
    )
    forever = made(bench, request(MODIFY, order=ticket, type_time=0))
    assert (1.05, 0, 0) == (forever.price, forever.type_time, forever.expiration)


def test_a_lifetime_that_is_left_out_is_one_that_the_symbol_has(bench):
    day = {"expiration_mode": SymbolExpirationMode.DAY}

    assert OrderTypeTime.GTC == made(bench, limit_buy()).type_time
    assert OrderTypeTime.DAY == made(bench, limit_buy(), **day).type_time


def test_an_unknown_ticket_is_left_to_the_trade_server(bench):
    assert 99 == made(bench, request(SLTP, position=99, sl=1.0, tp=2.0)).position
    assert 99 == made(bench, request(REMOVE, order=99)).order


@pytest.mark.parametrize(
    ("wanted", "flags"),
    [
        (request(SLTP, position=99, sl=1.0), 0),
        (request(SLTP, position=99, tp=1.0), 0),
        (request(SLTP, position=99, sl=30.0, tp=30.0), POINTS),
        (request(MODIFY, order=99, price=1.0), 0),
        (request(MODIFY, order=99, price=1.0, sl=0.9, tp=1.1), 0),
    ],
)
def test_a_change_of_what_cannot_be_seen_is_refused_if_it_leaves_something_out(
    bench, wanted, flags
):
    """
    It may be open, and not be seen yet: what is left out would be sent as 0, and taken away.
    """
    refusal = refused(bench, wanted, flags)

    assert DenyReason.OTHER is refusal.reason
    assert "99 is not open, or cannot be seen yet" in refusal.text


# Rounding ---------------------------------------------------------------------------------


def test_prices_are_multiples_of_the_tick_size_and_not_of_the_digits():
    spec = SymbolSpec(name="ES", digits=2, trade_tick_size=0.25, volume_min=1, volume_step=1)
    bench = DeskBench(symbols=[spec])
    bench.quote(4000.0, 4000.25, symbol="ES")

    sent = made(bench, buy(2.0, symbol="ES", sl=30.0), int(NewFlag.SL_POINTS))
    assert (4000.25, 4000.0) == (sent.price, sent.sl)
    assert refused(bench, buy(2.0, symbol="ES", sl=3990.1)).text.startswith("sl:")


@pytest.mark.parametrize("volume", [0.01, 0.07, 0.29, 0.3, 1.1, 33.33, 0.1 + 0.2])
def test_volumes_keep_their_value_and_lose_the_doubles_noise(bench, volume):
    assert round(volume, 2) == made(bench, buy(volume)).volume


# What is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "flags", "field"),
    [
        (request(0), 0, "action"),
        (request(99), 0, "action"),
        (buy(), 16, "flags"),
        (buy(), 2**31, "flags"),
        (limit_buy(), REDUCE, "flags"),
        (buy(0.0), 0, "volume"),
        (buy(-0.1), 0, "volume"),
        (buy(0.015), 0, "volume"),
        (buy(0.001), 0, "volume"),
        (buy(100.01), 0, "volume"),
        (buy(float("nan")), 0, "volume"),
        (buy(float("inf")), 0, "volume"),
        (buy(None), 0, "volume"),
        (request(DEAL, symbol="EURUSD", volume=0.1), 0, "type"),
        (request(DEAL, volume=0.1, type=0), 0, "symbol"),
        (request(DEAL, symbol="EURUSD", volume=0.1, type=2), 0, "type"),
        (request(DEAL, symbol="EURUSD", volume=0.1, type=9), 0, "type"),
        (buy(symbol="eurusd"), 0, "symbol"),
        (buy(symbol="X" * 128), 0, "symbol"),
        (buy(price=-1.0), 0, "price"),
        (buy(price=1.100001), 0, "price"),
        (buy(sl=1.0000001), 0, "sl"),
        (buy(tp=-1.0), 0, "tp"),
        (buy(type_filling=4), 0, "type_filling"),
        (buy(), int(NewFlag.SL_POINTS), "sl"),
        (buy(), int(NewFlag.TP_POINTS), "tp"),
        (buy(), REDUCE, "position"),
        (limit_buy(None), 0, "price"),
        (limit_buy(0.0), 0, "price"),
        (limit_buy(symbol=None), 0, "symbol"),
        (limit_buy(volume=None), 0, "volume"),
        (limit_buy(kind=0), 0, "type"),
        (limit_buy(kind=8), 0, "type"),
        (limit_buy(kind=6), 0, "stoplimit"),
        (limit_buy(type_time=2), 0, "expiration"),
        (limit_buy(type_time=7), 0, "type_time"),
        (limit_buy(expiration=-1), 0, "expiration"),
        (request(SLTP, sl=1.0), 0, "position"),
        (request(MODIFY, price=1.0), 0, "order"),
        (request(REMOVE), 0, "order"),
        (request(CLOSE_BY, position=1), 0, "position_by"),
    ],
)
def test_what_cannot_be_meant_names_its_field(bench, wanted, flags, field):
    refusal = refused(bench, wanted, flags)

    assert DenyReason.INVALID is refusal.reason
    assert field == refusal.text.partition(":")[0]


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (lambda ticket, _: request(DEAL, position=ticket, volume=0.015), "volume"),
        (lambda ticket, _: request(SLTP, position=ticket, sl=1.0000001), "sl"),
        (lambda _, ticket: request(MODIFY, order=ticket, price=1.0000001), "price"),
    ],
)
def test_values_without_a_symbol_are_checked_with_that_of_the_ticket(bench, wanted, field):
    position, order = bench.order(buy()).position, bench.order(limit_buy()).order
    asked = wanted(position, order)

    assert field == refused(bench, asked, REDUCE if asked.volume else 0).text.partition(":")[0]


def test_what_counts_as_a_close_is_one(bench):
    """
    A deal of a position passes limits and REDUCING with a hedging account: whether the server
    would let it add to the position is not written.
    """
    ticket = bench.order(buy()).position

    assert DenyReason.NOTHING_TO_CLOSE is refused(bench, buy(0.1, position=ticket)).reason
    assert ticket == made(bench, sell(0.1, position=ticket)).position


def test_what_only_closes_is_told_apart():
    assert reduces(request(REMOVE, order=1), 0, hedging=False)
    assert reduces(request(CLOSE_BY, position=1, position_by=2), 0, hedging=True)
    assert reduces(request(DEAL, position=1), REDUCE, hedging=False)
    assert reduces(request(DEAL, position=1), 0, hedging=True)
    assert not reduces(request(DEAL, position=1), 0, hedging=False)
    assert not reduces(buy(), 0, hedging=True)
    assert not reduces(limit_buy(), REDUCE, hedging=True)
    assert not reduces(request(SLTP, position=1), 0, hedging=True)
