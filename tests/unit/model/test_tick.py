"""``bridge.model.tick``: ticks as MetaTrader has them and as they are published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bridge.model.tick import Gap, MqlTick, Tick, TickFlag

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"
CONSTANTS = DATA / "mt5_constants.json"
STRUCTS = DATA / "mt5_structs.json"

FIELDS: dict[str, Any] = {
    "terminal": "demo",
    "symbol": "EURUSD",
    "epoch": 3,
    "seq": 41,
    "time_msc": 1_546_383_600_078,
    "bid": 1.14605,
    "ask": 1.14643,
    "last": 0.0,
    "volume_real": 0.0,
    "flags": 6,
    "utc_offset_min": 120,
}


@pytest.mark.skipif(
    not CONSTANTS.exists(), reason=f"MetaQuotes' constants are not there: {CONSTANTS}"
)
def test_flags_have_mql5_values() -> None:
    """MetaTrader's tick flags have MetaQuotes' values, and ours lie above MetaTrader's byte."""
    rows = json.loads(CONSTANTS.read_text("utf-8"))["constants"]
    expected = {
        name.removeprefix("TICK_FLAG_"): row["value"]
        for name, row in rows.items()
        if name.startswith("TICK_FLAG_")
    }
    actual = {flag.name: flag.value for flag in TickFlag if flag < 256}

    assert expected == actual
    assert [256, 512] == [flag.value for flag in TickFlag if flag.name not in expected]


@pytest.mark.skipif(not STRUCTS.exists(), reason=f"MetaQuotes' structures are not there: {STRUCTS}")
def test_mql_tick_has_every_field_of_the_structure() -> None:
    """``MqlTick`` answers to every name of MetaTrader's structure."""
    tick = MqlTick(1, 1.0, 1.1)
    names = [field["name"] for field in json.loads(STRUCTS.read_text("utf-8"))["structs"]["Tick"]]

    assert [] == [name for name in names if not hasattr(tick, name)]


def test_mql_tick_derives_time_and_volume() -> None:
    """``time`` is whole seconds of ``time_msc``, ``volume`` the whole part of ``volume_real``."""
    tick = MqlTick(1_546_383_600_999, 1.0, 1.1, 1.05, 2.75, int(TickFlag.LAST | TickFlag.VOLUME))

    assert (1_546_383_600, 2) == (tick.time, tick.volume)


def test_mql_tick_is_a_quote_by_default() -> None:
    """A tick of three values changed bid and ask and has no trade."""
    assert MqlTick(1, 1.0, 1.1, 0.0, 0.0, 6) == MqlTick(1, 1.0, 1.1)


def test_tick_tells_how_it_came() -> None:
    """``backlog`` and ``late`` follow from the flags, each by itself."""
    plain = Tick(**FIELDS)
    backlog = Tick(**(FIELDS | {"flags": 6 | TickFlag.BACKLOG}))
    late = Tick(**(FIELDS | {"flags": 6 | TickFlag.LATE}))

    assert (False, False) == (plain.backlog, plain.late)
    assert (True, False) == (backlog.backlog, backlog.late)
    assert (False, True) == (late.backlog, late.late)


@pytest.mark.parametrize(("offset", "hours"), [(120, -2), (0, 0), (-330, 5.5)])
def test_tick_time_in_utc(offset: int, hours: float) -> None:
    """UTC is the server's clock minus the measured offset in minutes."""
    tick = Tick(**(FIELDS | {"utc_offset_min": offset}))

    assert int(hours * 3_600_000) == tick.time_utc_msc - tick.time_msc


def test_tick_as_dict_is_plain() -> None:
    """``as_dict`` survives JSON, has MetaTrader's flags alone, and spells out ours and UTC."""
    gap = Gap("tick/demo/EURUSD", 3, 39, 40, "terminal")
    tick = Tick(**(FIELDS | {"flags": 6 | TickFlag.BACKLOG, "gap": gap}))
    fields = {name: value for name, value in FIELDS.items() if name != "utc_offset_min"}
    expected = fields | {
        "flags": 6,
        "time_utc_msc": FIELDS["time_msc"] - 7_200_000,
        "backlog": True,
        "late": False,
        "gap": {
            "topic": "tick/demo/EURUSD",
            "epoch": 3,
            "first": 39,
            "last": 40,
            "reason": "terminal",
        },
    }
    actual = json.loads(json.dumps(tick.as_dict()))

    assert expected == actual


@pytest.mark.parametrize("name", FIELDS)
def test_ticks_differ_by_any_field(name: str) -> None:
    """Two ticks are equal when every field is, and differ as soon as one does."""
    other = f"{FIELDS[name]}x" if isinstance(FIELDS[name], str) else FIELDS[name] + 1

    assert Tick(**FIELDS) == Tick(**FIELDS)
    assert Tick(**FIELDS) != Tick(**(FIELDS | {name: other}))


def test_tick_equals_no_other_type() -> None:
    """A tick is never equal to something that is not a tick."""
    assert Tick(**FIELDS) != tuple(FIELDS.values())


def test_equal_ticks_are_one_in_a_set() -> None:
    """Equal ticks hash alike."""
    assert 1 == len({Tick(**FIELDS), Tick(**FIELDS)})


def test_repr_shows_identity_prices_and_marks() -> None:
    """``repr`` names the topic, the position, the exact prices and what is unusual."""
    gap = Gap("tick/demo/EURUSD", 3, 39, None, "relay")
    expected = "<Tick demo/EURUSD 3:41 1546383600078 bid=1.14605 ask=1.14643 backlog late gap>"
    actual = repr(Tick(**(FIELDS | {"flags": 6 | TickFlag.BACKLOG | TickFlag.LATE, "gap": gap})))

    assert expected == actual
