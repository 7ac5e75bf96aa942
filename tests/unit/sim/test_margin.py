"""``bridge.sim.margin``: the figures of MetaQuotes' own examples, and what lies between them."""

from __future__ import annotations

import dataclasses

import pytest

from bridge.model.enums import SymbolCalcMode
from bridge.model.symbol import SymbolSpec, spec_for
from bridge.model.tick import MqlTick
from bridge.sim.margin import (
    Exposure,
    Rates,
    base_margin,
    base_profit,
    deposit_profit,
    hedging_margin,
    netting_margin,
)

EURUSD = spec_for("EURUSD")


def rates(**quotes):
    ticks = {name: MqlTick(1, bid, ask) for name, (bid, ask) in quotes.items()}
    return Rates([spec_for(name) for name in quotes], ticks.get)


def cfd(mode=SymbolCalcMode.CFD, **fields):
    fields = {"trade_contract_size": 100.0, "digits": 2, "point": 0.0} | fields
    return SymbolSpec(name="OIL", trade_calc_mode=mode, **fields)


# MetaTrader 5 Help, "Margin Calculation": one lot of EURUSD, 100,000, 1:100; oil at 80.


def test_one_lot_of_eurusd_at_1_to_100_is_1000_eur():
    assert 1_000.0 == base_margin(EURUSD, 1.0, 1.279, 100)


def test_1000_eur_are_1279_usd_at_the_ask_and_1470_85_with_a_ratio_of_1_15():
    rate = rates(EURUSD=(1.2788, 1.279)).rate("EUR", "USD", buy=True)
    charged = netting_margin(EURUSD, Exposure(True, 1.0, 1.279, rate, 1.15), (), 100)

    assert 1_279.0 == pytest.approx(base_margin(EURUSD, 1.0, 1.279, 100) * rate)
    assert 1_470.85 == pytest.approx(charged)


def test_forex_without_leverage_is_the_contract_size():
    spec = dataclasses.replace(EURUSD, trade_calc_mode=SymbolCalcMode.FOREX_NO_LEVERAGE)

    assert 100_000.0 == base_margin(spec, 1.0, 1.279, 100)


def test_a_cfd_of_100_barrels_at_80_is_8000_usd():
    assert 8_000.0 == base_margin(cfd(), 1.0, 80.0, 100)
    assert 8_000.0 == base_margin(cfd(SymbolCalcMode.EXCH_STOCKS), 1.0, 80.0, 100)
    assert 80.0 == base_margin(cfd(SymbolCalcMode.CFDLEVERAGE), 1.0, 80.0, 100)


# MetaTrader 5's Python package, order_calc_margin: 0.1 lot, 1:100, in USD.


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("EURUSD", 109.91),
        ("GBPUSD", 122.73),
        ("USDJPY", 100.0),
        ("USDCHF", 100.0),
        ("EURJPY", 109.91),
        ("GBPJPY", 122.73),
    ],
)
def test_margins_of_the_python_packages_example(symbol, expected):
    known = rates(EURUSD=(1.0990, 1.0991), GBPUSD=(1.2272, 1.2273), USDJPY=(108.1, 108.2))
    spec = spec_for(symbol)
    rate = known.rate(spec.currency_margin, "USD", buy=True)

    assert expected == round(base_margin(spec, 0.1, 1.0, 100) * rate, 2)


# The same, order_calc_profit: 1 lot and 300 points. USDJPY is itself the rate, at its close.


@pytest.mark.parametrize(
    ("symbol", "quote", "is_buy", "expected"),
    [
        ("EURUSD", (1.0990, 1.0991), True, 300.0),
        ("EURUSD", (1.0990, 1.0991), False, 300.0),
        ("GBPUSD", (1.2272, 1.2273), True, 300.0),
        ("GBPUSD", (1.2272, 1.2273), False, 300.0),
        ("USDJPY", (108.179, 108.183), True, 276.54),
        ("USDJPY", (108.179, 108.183), False, 278.09),
    ],
)
def test_profits_of_the_python_packages_example(symbol, quote, is_buy, expected):
    spec = spec_for(symbol)
    opened = quote[1] if is_buy else quote[0]
    closed = opened + (300 if is_buy else -300) * spec.point
    profit = deposit_profit(
        spec, rates(**{symbol: quote}), "USD", 1.0, opened, closed, is_buy=is_buy
    )

    assert expected == round(profit, 2)


# "MetaTrader 5 features hedging position accounting system" (MQL5 article 2299).


@pytest.mark.parametrize(("hedged", "lots"), [(100_000.0, 1.0), (50_000.0, 0.5), (0.0, 0.0)])
def test_one_lot_each_way_is_charged_as_the_hedged_contract_says(hedged, lots):
    spec = dataclasses.replace(EURUSD, margin_hedged=hedged)
    both = [Exposure(True, 1.0, 1.1), Exposure(False, 1.0, 1.2)]

    assert 1_000.0 * lots == hedging_margin(spec, both, (), 100)


def test_what_is_not_covered_is_charged_in_full():
    spec = dataclasses.replace(EURUSD, margin_hedged=50_000.0)
    held = [Exposure(True, 3.0, 1.1), Exposure(False, 1.0, 1.2)]

    assert 2_000.0 + 500.0 == hedging_margin(spec, held, (), 100)


def test_with_an_initial_margin_the_hedged_one_is_an_amount():
    spec = cfd(SymbolCalcMode.FUTURES, margin_initial=2_000.0, margin_hedged=300.0)
    held = [Exposure(True, 2.0, 80.0), Exposure(False, 1.0, 80.0)]

    assert 2_000.0 + 300.0 == hedging_margin(spec, held, (), 100)


def test_the_larger_leg_counts_alone_where_the_symbol_says_so():
    spec = dataclasses.replace(EURUSD, margin_hedged=100_000.0, margin_hedged_use_leg=True)
    held = [Exposure(True, 1.0, 1.1), Exposure(False, 3.0, 1.2)]
    waiting = [Exposure(True, 1.5, 1.0)]

    assert 3_000.0 == hedging_margin(spec, held, waiting, 100)
    assert 4_000.0 == hedging_margin(spec, held, waiting * 2, 100)


def test_prices_and_rates_of_a_leg_are_weighted_by_volume():
    held = [Exposure(True, 1.0, 70.0, 1.0), Exposure(True, 3.0, 90.0, 2.0)]

    # 4 lots at 85 and a rate of 1.75.
    assert 4 * 100 * 85 * 1.75 == pytest.approx(hedging_margin(cfd(), held, (), 100))


# MetaTrader 5 Help, "Margin Calculation for Retail Forex, Futures": netting.

LONG = Exposure(True, 1.0, 1.1)


@pytest.mark.parametrize(
    ("position", "orders", "expected"),
    [
        (None, [], 0.0),
        (LONG, [], 1_000.0),
        (LONG, [Exposure(False, 1.0, 1.2)], 1_000.0),
        (LONG, [Exposure(False, 1.0, 1.0, is_stop=True)], 1_000.0),
        (LONG, [Exposure(True, 0.5, 1.0)], 1_500.0),
        (LONG, [Exposure(True, 0.5, 1.2, is_stop=True)], 1_500.0),
        (LONG, [Exposure(False, 1.5, 1.2)], 1_500.0),
        (None, [Exposure(True, 1.0, 1.0), Exposure(False, 2.0, 1.2)], 2_000.0),
        (
            None,
            [Exposure(True, 1.0, 1.2, is_stop=True), Exposure(False, 2.0, 1.0, is_stop=True)],
            3_000.0,
        ),
    ],
)
def test_opposite_sides_cover_one_another_in_netting(position, orders, expected):
    assert expected == netting_margin(EURUSD, position, orders, 100)


# The formulas of the other modes.


def test_futures_cost_their_initial_margin_and_then_their_maintenance_margin():
    future = spec_for("ES")

    assert 24_000.0 == base_margin(future, 2.0, 5_000.0, 100)
    assert 22_000.0 == base_margin(future, 2.0, 5_000.0, 100, maintain=True)


def test_without_a_maintenance_margin_the_initial_one_stays():
    future = dataclasses.replace(spec_for("ES"), margin_maintenance=0.0)

    assert 12_000.0 == base_margin(future, 1.0, 5_000.0, 100, maintain=True)


def test_an_initial_margin_replaces_the_formula_and_forex_still_divides_it():
    pair = dataclasses.replace(EURUSD, margin_initial=50_000.0)

    assert 500.0 == base_margin(pair, 1.0, 1.1, 100)
    assert 750.0 == base_margin(cfd(margin_initial=750.0), 1.0, 80.0, 100)


@pytest.mark.parametrize(
    ("spec", "margin", "profit"),
    [
        (cfd(SymbolCalcMode.CFDINDEX, trade_tick_value=5.0), 100 * 80 * 5 / 0.01, 200.0),
        (cfd(SymbolCalcMode.EXCH_BONDS, trade_face_value=1_000.0), 80_000.0, 2_000.0),
        (cfd(SymbolCalcMode.EXCH_OPTIONS), 8_000.0, 200.0),
        (cfd(SymbolCalcMode.FUTURES, trade_tick_value=0.5), 0.0, 100.0),
        (cfd(SymbolCalcMode.SERV_COLLATERAL), 0.0, 0.0),
    ],
    ids=lambda value: getattr(getattr(value, "trade_calc_mode", None), "name", None),
)
def test_formulas_by_mode(spec, margin, profit):
    assert margin == pytest.approx(base_margin(spec, 1.0, 80.0, 100))
    assert profit == pytest.approx(base_profit(spec, 1.0, 80.0, 82.0, is_buy=True))
    assert -profit == pytest.approx(base_profit(spec, 1.0, 80.0, 82.0, is_buy=False))


@pytest.mark.parametrize("mode", list(SymbolCalcMode))
def test_every_mode_has_a_margin_and_a_profit(mode):
    spec = cfd(mode, trade_face_value=1.0)

    assert base_margin(spec, 1.0, 80.0, 0) >= 0
    assert base_profit(spec, 1.0, 80.0, 81.0, is_buy=True) >= 0


# Rates.


def test_an_inverse_pair_is_bought_at_its_bid():
    known = rates(USDJPY=(150.0, 150.5))

    assert 1 / 150.0 == known.rate("JPY", "USD", buy=True)
    assert 1 / 150.5 == known.rate("JPY", "USD", buy=False)


def test_a_rate_without_a_pair_goes_over_a_third_currency():
    known = rates(EURUSD=(1.1, 1.2), USDCHF=(0.8, 0.9))

    assert 1.2 * 0.9 == known.rate("EUR", "CHF", buy=True)
    assert pytest.approx(1 / (1.2 * 0.9)) == known.rate("CHF", "EUR", buy=False)


def test_a_rate_that_no_symbol_tells_is_a_reference():
    assert 1.09 == rates().rate("EUR", "USD", buy=True)
    assert 1.09 / 0.0069 == rates().rate("EUR", "JPY", buy=False)
    assert 1.0 == rates().rate("XXX", "USD", buy=True)


def test_a_pair_without_a_price_tells_no_rate():
    known = Rates([EURUSD], {"EURUSD": MqlTick(1, 0.0, 0.0)}.get)

    assert 1.09 == known.rate("EUR", "USD", buy=True)
    assert 1.0 == known.rate("", "USD", buy=True) == known.rate("USD", "USD", buy=False)


def test_a_profit_is_sold_and_a_loss_is_bought():
    known = rates(USDJPY=(150.0, 160.0))
    spec = spec_for("EURJPY")

    assert pytest.approx(100_000 / 160.0) == (
        deposit_profit(spec, known, "USD", 1.0, 160.0, 161.0, is_buy=True)
    )
    assert pytest.approx(-100_000 / 150.0) == (
        deposit_profit(spec, known, "USD", 1.0, 160.0, 161.0, is_buy=False)
    )
