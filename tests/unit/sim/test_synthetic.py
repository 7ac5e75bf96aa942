"""``bridge.sim.synthetic``: reproducible ticks."""

from __future__ import annotations

import dataclasses
from itertools import islice, pairwise
from typing import Any

import pytest

from bridge.model.symbol import SymbolSpec, default_symbols, spec_for
from bridge.model.tick import MqlTick, TickFlag
from bridge.sim.synthetic import SyntheticMarket

START_MSC = 1_700_000_000_000
SEEDS = [1, 2, 20_260_101]


PINNED = [
    ("ES", MqlTick(1_700_000_000_007, 5000.0, 5000.25, 0.0, 0.0, 6)),
    ("EURUSD", MqlTick(1_700_000_000_045, 1.09, 1.09008, 0.0, 0.0, 6)),
    ("EURUSD", MqlTick(1_700_000_000_062, 1.09, 1.09009, 0.0, 0.0, 4)),
    ("EURUSD", MqlTick(1_700_000_000_068, 1.09001, 1.09009, 0.0, 0.0, 2)),
    ("EURUSD", MqlTick(1_700_000_000_080, 1.09002, 1.0901, 0.0, 0.0, 6)),
    ("EURUSD", MqlTick(1_700_000_000_081, 1.09003, 1.0901, 0.0, 0.0, 2)),
    ("EURUSD", MqlTick(1_700_000_000_096, 1.09004, 1.09013, 0.0, 0.0, 6)),
    ("ES", MqlTick(1_700_000_000_101, 5000.0, 5000.25, 5000.0, 14.0, 88)),
]


def market(*names: str, seed: int = 1, **settings: Any) -> SyntheticMarket:
    # A failing test shows its seed in its name, or it is this 1.
    return SyntheticMarket(
        [spec_for(name) for name in names or ("EURUSD", "USDJPY", "ES")],
        **({"seed": seed, "start_msc": START_MSC, "rate_hz": 50.0} | settings),
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_same_seed_same_ticks(seed: int) -> None:
    """Two markets with the same settings give the same stream, and another seed another one."""
    expected = market(seed=seed).generate(2_000)

    assert expected == market(seed=seed).generate(2_000)
    assert expected != market(seed=seed + 1).generate(2_000)


def test_stream_is_pinned() -> None:
    """The first ticks of a seed stay what they are, so that a reported seed can be run again."""
    expected = PINNED
    actual = market("EURUSD", "ES", seed=1).generate(len(PINNED))

    assert expected == actual


def test_iterators_do_not_disturb_one_another() -> None:
    """Reading two iterators in turns gives each the whole stream from its start."""
    source = market()
    first, second = iter(source), iter(source)
    taken: tuple[list[Any], list[Any]] = ([], [])
    for turn in range(300):
        taken[0].extend(islice(first, turn % 3))
        taken[1].extend(islice(second, turn % 5))
    expected = source.generate(600)

    assert expected[: len(taken[0])] == taken[0]
    assert expected[: len(taken[1])] == taken[1]


def test_symbol_does_not_depend_on_the_others() -> None:
    """A symbol's ticks are the same alone and beside others."""
    together = [tick for name, tick in market().generate(3_000) if name == "USDJPY"]
    alone = [tick for _, tick in market("USDJPY").generate(len(together))]

    assert alone == together
    assert alone == list(islice(market().ticks_of("USDJPY"), len(together)))


def test_unknown_symbol_is_a_key_error() -> None:
    """The ticks of a symbol that is not in the market cannot be had."""
    with pytest.raises(KeyError):
        market().ticks_of("GBPUSD")


@pytest.mark.parametrize("seed", SEEDS)
def test_time_order_over_all_symbols(seed: int) -> None:
    """Times never go back, start at the start, and equal times keep the order of the symbols."""
    source = market(seed=seed, rate_hz=1_000.0)
    order = [spec.name for spec in source.symbols]
    pairs = source.generate(10_000)
    keys = [(tick.time_msc, order.index(name)) for name, tick in pairs]

    assert sorted(keys) == keys
    assert keys[0][0] >= START_MSC


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["EURUSD", "USDJPY", "XAUUSD", "ES"])
def test_flags_name_what_changed(name: str, seed: int) -> None:
    """Each quote's flags are exactly its changed prices; a trade changes nothing else."""
    ticks = [tick for _, tick in market(name, seed=seed).generate(5_000)]

    assert TickFlag.BID | TickFlag.ASK == ticks[0].flags
    for before, tick in pairwise(ticks):
        changed = TickFlag.BID * (before.bid != tick.bid) | TickFlag.ASK * (before.ask != tick.ask)
        if tick.flags & TickFlag.LAST:
            side = TickFlag.BUY if tick.flags & TickFlag.BUY else TickFlag.SELL
            price = tick.ask if side is TickFlag.BUY else tick.bid

            assert TickFlag.LAST | TickFlag.VOLUME | side == tick.flags
            assert (0, price) == (changed, tick.last)
            assert tick.volume_real > 0
        else:
            assert changed == tick.flags
            assert (before.last, before.volume_real) == (tick.last, tick.volume_real)
        assert before[1:] != tick[1:]


def test_only_some_ticks_change_both_prices() -> None:
    """There are ticks of the bid alone, of the ask alone, and of both."""
    flags = [tick.flags for _, tick in market("EURUSD").generate(4_000)]

    assert {2, 4, 6} == set(flags)
    assert all(flags.count(kind) > 400 for kind in (2, 4, 6))


@pytest.mark.parametrize("spec", default_symbols(), ids=lambda spec: spec.name)
def test_prices_are_rounded_with_a_positive_spread(spec: SymbolSpec) -> None:
    """Prices are exactly their decimal text, on the tick size's grid, and the bid is below."""
    for _, tick in market(spec.name).generate(500):
        for price in (tick.bid, tick.ask, tick.last):
            points = round(price * 10**spec.digits)

            assert float(f"{price:.{spec.digits}f}") == price
            assert 0 == points % spec.tick_size_points
        assert 0 < tick.bid < tick.ask


@pytest.mark.parametrize("digits", [0, 1, 8])
def test_unusual_digits(digits: int) -> None:
    """A symbol with very few or many digits walks too, and above 0."""
    spec = SymbolSpec(name="X", digits=digits, spread=500)
    made = SyntheticMarket([spec], seed=1, start_msc=0, rate_hz=10.0)

    assert all(0 < tick.bid < tick.ask for _, tick in made.generate(1_000))


def test_brokers_suffix_starts_at_the_known_price() -> None:
    """``EURUSD.r`` walks where ``EURUSD`` does, not where an unknown symbol does."""
    tick = next(market("EURUSD.r").ticks_of("EURUSD.r"))

    assert 1.08 < tick.bid < 1.1


def test_prices_stay_in_their_band() -> None:
    """A long walk does not leave half to twice its first price."""
    spec = dataclasses.replace(spec_for("ES"), name="BIG", trade_tick_size=500.0)
    made = SyntheticMarket([spec], seed=3, start_msc=0, rate_hz=10.0)
    bids = [tick.bid for _, tick in made.generate(20_000)]

    assert bids[0] / 2 <= min(bids)
    assert max(bids) <= bids[0] * 2


@pytest.mark.parametrize("seed", SEEDS)
def test_bursts_share_a_millisecond(seed: int) -> None:
    """Bursts come about as often as asked, with 2 to ``burst_max`` ticks of one millisecond."""
    settings: dict[str, Any] = {"rate_hz": 0.01, "burst_probability": 0.5, "burst_max": 5}
    sizes: dict[int, int] = {}
    for _, tick in market("EURUSD", seed=seed, **settings).generate(6_000):
        sizes[tick.time_msc] = sizes.get(tick.time_msc, 0) + 1
    # The last burst may be cut by the count.
    counts = list(sizes.values())[:-1]

    assert {1, 2, 3, 4, 5} == set(counts)
    assert 0.45 < sum(count > 1 for count in counts) / len(counts) < 0.55


def test_no_bursts() -> None:
    """With probability 0 and a low rate, no two ticks share a millisecond."""
    ticks = market("EURUSD", rate_hz=0.01, burst_probability=0.0).generate(2_000)

    assert 2_000 == len({tick.time_msc for _, tick in ticks})


@pytest.mark.parametrize("burst_probability", [0.0, 0.3, 1.0])
def test_rate_includes_bursts(burst_probability: float) -> None:
    """The mean rate is the one asked for, however many ticks come in bursts."""
    settings: dict[str, Any] = {"burst_probability": burst_probability, "burst_max": 6}
    ticks = market("EURUSD", rate_hz=200.0, **settings).generate(20_000)
    seconds = (ticks[-1][1].time_msc - START_MSC) / 1000

    assert 190 < len(ticks) / seconds < 210


def test_rate_of_each_symbol() -> None:
    """Symbols can have rates of their own."""
    names = [n for n, _ in market("EURUSD", "ES", rate_hz={"EURUSD": 90, "ES": 10}).generate(5_000)]

    assert 4_300 < names.count("EURUSD") < 4_700


def test_only_exchange_symbols_trade() -> None:
    """A dealer's symbol has no LAST and VOLUME; on an exchange one tick in four is a trade."""
    pairs = market("EURUSD", "ES").generate(8_000)
    dealt = [tick for name, tick in pairs if name == "EURUSD"]
    traded = [tick for name, tick in pairs if name == "ES"]

    assert {(0.0, 0.0)} == {(tick.last, tick.volume_real) for tick in dealt}
    assert 0.2 < sum(bool(tick.flags & TickFlag.LAST) for tick in traded) / len(traded) < 0.3


def test_repr_has_all_that_makes_the_stream() -> None:
    """``repr`` is enough to make the market again."""
    shown = repr(market("EURUSD", seed=77, rate_hz=3.5, burst_probability=0.25, burst_max=9))

    for part in ("seed=77", f"start_msc={START_MSC}", "3.5", "0.25", "burst_max=9", "EURUSD"):
        assert part in shown


@pytest.mark.parametrize(
    "settings",
    [
        {"symbols": []},
        {"symbols": [spec_for("EURUSD"), spec_for("EURUSD")]},
        {"start_msc": -1},
        {"rate_hz": 0.0},
        {"rate_hz": float("nan")},
        {"rate_hz": {"EURUSD": -1.0}},
        {"rate_hz": {}},
        {"rate_hz": {"EURUSD": 1.0, "USDJPY": 1.0}},
        {"burst_probability": 1.5},
        {"burst_max": 1},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    """A setting that makes no market is refused when it is made."""
    usual: dict[str, Any] = {
        "symbols": [spec_for("EURUSD")],
        "seed": 1,
        "start_msc": START_MSC,
        "rate_hz": 1.0,
    }
    with pytest.raises(ValueError, match="expected"):
        SyntheticMarket(**(usual | settings))
