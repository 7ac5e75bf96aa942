"""``bridge.model.symbol``: the properties of symbols and their defaults."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from bridge.model.enums import SymbolTradeExecution
from bridge.model.symbol import SymbolSpec, default_symbols, spec_for

STRUCTS = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "mt5_structs.json"


@pytest.mark.skipif(not STRUCTS.exists(), reason=f"MetaQuotes' structures are not there: {STRUCTS}")
def test_fields_have_metatraders_names() -> None:
    """Every field of ``SymbolSpec`` is a field of the package's ``SymbolInfo``."""
    known = {
        field["name"] for field in json.loads(STRUCTS.read_text("utf-8"))["structs"]["SymbolInfo"]
    }
    actual = {field.name for field in dataclasses.fields(SymbolSpec)} - known

    assert set() == actual


def test_point_and_tick_size_follow_from_digits() -> None:
    """Left out, the point is ``10**-digits`` exactly and the tick size is one point."""
    spec = SymbolSpec(name="EURUSD", digits=5)

    assert (1e-05, 1e-05, 1) == (spec.point, spec.trade_tick_size, spec.tick_size_points)


def test_a_tick_is_worth_its_size_unless_the_symbol_says_otherwise() -> None:
    """Left out, the value of a tick is that of its size in a lot."""
    future = spec_for("ES")
    index = dataclasses.replace(future, trade_tick_value=2.0)

    assert (12.5, 2.0) == (future.trade_tick_value, index.trade_tick_value)


def test_replace_derives_another_symbol() -> None:
    """``dataclasses.replace`` changes a name and keeps the rest; the original stays."""
    spec = SymbolSpec(name="EURUSD")
    other = dataclasses.replace(spec, name="EURUSD.r")

    assert ("EURUSD", "EURUSD.r") == (spec.name, other.name)
    assert spec.point == other.point


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "EUR\0USD"},
        {"digits": -1},
        {"digits": 9},
        {"point": 0.001},
        {"trade_tick_size": -0.25},
        {"trade_tick_size": 0.000015},
        {"trade_tick_size": float("nan")},
        {"trade_contract_size": 0.0},
        {"volume_min": 0.0},
        {"volume_step": float("inf")},
        {"volume_max": 0.001},
        {"volume_limit": -1.0},
        {"margin_initial": -1.0},
        {"margin_hedged": float("nan")},
        {"trade_stops_level": -1},
        {"spread": 0},
    ],
    ids=str,
)
def test_contradictions_are_refused(fields: dict[str, Any]) -> None:
    """A field out of range, or against another field, is refused when the object is made."""
    with pytest.raises(ValueError, match="expected"):
        SymbolSpec(**({"name": "EURUSD"} | fields))


def test_defaults_are_28_pairs_gold_and_an_exchange_symbol() -> None:
    """The default table has every pair of eight currencies once, gold, and one exchange symbol."""
    specs = default_symbols()
    pairs = {frozenset((s.currency_base, s.currency_profit)) for s in specs[:28]}

    assert 30 == len(specs) == len({spec.name for spec in specs})
    assert 28 == len(pairs)
    assert ["XAUUSD", "ES"] == [spec.name for spec in specs[28:]]
    assert ["ES"] == [spec.name for spec in specs if spec.has_last]


def test_exchange_symbol_has_a_coarse_price_step() -> None:
    """The exchange-like default rounds to 25 points, so digits alone do not round its prices."""
    spec = spec_for("ES")

    assert (0.25, 0.01, 25) == (spec.trade_tick_size, spec.point, spec.tick_size_points)
    assert spec.trade_exemode is SymbolTradeExecution.EXCHANGE


@pytest.mark.parametrize(
    ("name", "digits", "base"),
    [
        ("EURUSD", 5, "EUR"),
        ("USDJPY", 3, "USD"),
        ("XAUUSD", 2, "XAU"),
        ("XAUUSD.m", 2, "XAU"),
        ("EURUSDm", 5, "EUR"),
        ("GBPJPY#", 3, "GBP"),
        ("USDSEK", 5, "USD"),
        ("SGDJPY.pro", 3, "SGD"),
        ("ESP35", 5, ""),
        ("oil", 5, ""),
    ],
)
def test_spec_for_any_name(name: str, digits: int, base: str) -> None:
    """A known name, with or without a broker's suffix, is known; any other is guessed."""
    spec = spec_for(name)

    assert (name, digits, base) == (spec.name, spec.digits, spec.currency_base)


def test_spec_for_a_default_is_that_default() -> None:
    """A listed name gives the listed specification unchanged."""
    for spec in default_symbols():
        assert spec == spec_for(spec.name)
