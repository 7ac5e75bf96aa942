"""``bridge.sim.market`` and ``bridge.sim.answers``: what is told without a session."""

from __future__ import annotations

import struct

import pytest

from bridge.model.symbol import SymbolSpec, default_symbols
from bridge.model.tick import MqlTick
from bridge.sim.answers import pack_mql_tick
from bridge.sim.market import Market

NAMES = ("EURUSD", "EURUSD.r", "USDJPY", "XAUUSD")


def market():
    return Market([SymbolSpec(name=name) for name in NAMES])


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("*", NAMES),
        ("EURUSD", ("EURUSD",)),
        ("EUR*", ("EURUSD", "EURUSD.r")),
        ("*USD", ("EURUSD", "XAUUSD")),
        ("*U*D*", ("EURUSD", "EURUSD.r", "USDJPY", "XAUUSD")),
        ("*,!*USD*", ()),
        ("*,!EUR*", ("USDJPY", "XAUUSD")),
        ("!EUR*,*", NAMES),
        ("USDJPY, XAU*", ("USDJPY", "XAUUSD")),
        ("EURUSD?r", ()),
        ("[A-Z]*", ()),
        ("", ()),
        ("EURUSD*EURUSD", ()),
        ("*" * 255, NAMES),
        ("*a" * 127, ()),
    ],
)
def test_groups_are_metatraders(group, expected):
    assert list(expected) == market().names(group)


def test_what_is_selected_is_visible():
    known = market()
    known.select("USDJPY", True)
    visible = [name for name in NAMES if known.describe(name)["visible"]]
    known.select("USDJPY", False)

    assert ["USDJPY"] == visible
    assert not known.describe("USDJPY", in_list=True)["select"]
    assert known.select("NOPE", True)


def test_what_only_the_brokers_sums_need_is_not_told():
    told = market().describe("EURUSD")

    assert "trade_contract_size" in told
    assert [] == [name for name in told if name.startswith(("margin_", "swap_"))]


def test_symbols_of_the_market_watch_are_selected_from_the_start():
    known = Market([SymbolSpec(name="A", select=True), SymbolSpec(name="B")])
    known.history.append("A", MqlTick(5, 1.0, 2.0))
    known.history.append("B", MqlTick(9, 1.0, 2.0))

    assert 5 == known.time_current_msc()
    assert known.describe("A")["select"]


def test_what_is_selected_is_told():
    known = Market([SymbolSpec(name="A", select=True), SymbolSpec(name="B")])

    assert (True, False, False) == tuple(map(known.is_selected, ("A", "B", "C")))


def test_the_servers_time_does_not_go_back_with_the_last_symbol():
    known = Market([SymbolSpec(name="A", select=True), SymbolSpec(name="B")])
    known.history.append("A", MqlTick(9, 1.0, 2.0))
    known.history.append("B", MqlTick(5, 1.0, 2.0))
    known.select("A", False)
    alone = known.time_current_msc()
    known.select("B", True)

    assert (9, 9) == (alone, known.time_current_msc())


def test_without_ticks_there_is_no_current_time():
    assert 0 == market().time_current_msc()


def test_every_property_is_a_plain_value():
    known = Market(default_symbols())
    for name in known.specs:
        assert {bool, int, float, str} >= {type(v) for v in known.describe(name).values()}


def test_a_symbol_comes_once():
    with pytest.raises(ValueError, match="twice"):
        Market([SymbolSpec(name="A"), SymbolSpec(name="A")])


def test_a_tick_is_packed_as_mql5_has_it():
    tick = MqlTick(1_546_383_600_123, 1.5, 2.5, 3.5, 4.75, 134)

    assert struct.pack(
        "<qdddQqId", 1_546_383_600, 1.5, 2.5, 3.5, 4, 1_546_383_600_123, 134, 4.75
    ) == pack_mql_tick(tick)
    assert 60 == len(pack_mql_tick(tick))
    assert 60 == len(pack_mql_tick(tick._replace(volume_real=-1.0)))
    assert 60 == len(pack_mql_tick(tick._replace(volume_real=1e30)))
