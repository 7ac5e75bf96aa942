"""
The Expert Advisor trades against the real relay's core, in every mode, with the broker's books as
the oracle; and the Python terminal does the same.

``make test`` runs every scenario once, in modes in which every two choices meet; ``make test-ea``
every scenario in every socket mode.
"""

from __future__ import annotations

import itertools
import os
from functools import partial

import pytest

from tests.mql5.pairwise import pairwise
from tests.mql5.scenarios.expert import binary, why_not
from tests.mql5.scenarios.modes import AXES, COPY_TICKS, SOCKETS, Mode, every_mode, mode_of
from tests.mql5.scenarios.steps_trade import TRADES, TRADES_OF_THE_EA
from tests.mql5.scenarios.trading_world import TradingWorlds, make_expert, make_python

# Building is not what may take no longer.
pytestmark = pytest.mark.timeout(120, func_only=True)
needs_compiler = pytest.mark.skipif(bool(why_not()), reason=why_not())
EVERYTHING = os.environ.get("BRIDGE_EA_MODES") == "all"


def combinations():
    """
    Return what runs: a scenario, a mode, and whether orders are sent without waiting.
    """
    return [
        pytest.param(name, mode, sends_async, id=f"{name}-{mode.name}{'-async' * sends_async}")
        for name, mode, sends_async in (every_combination() if EVERYTHING else some_combinations())
    ]


def every_combination():
    """
    Return the full product; both ways to send take turns, so that each choice meets both.
    """
    for (at, name), mode in itertools.product(enumerate(sorted(TRADES)), every_mode()):
        socket = mode.sockets[0] if mode.sockets else ""
        places = (at, SOCKETS.index(socket), COPY_TICKS.index(mode.ticks), mode.sleep_ms > 1)
        yield name, mode, sum(places) % 2 == 1


def some_combinations():
    """
    Return each scenario once, and each mode of those in which every two choices meet.
    """
    modes = pairwise({**AXES, "sends": ("sync", "async")}, seed=1)
    count = max(len(TRADES), len(modes))
    pairs = zip(itertools.cycle(sorted(TRADES)), itertools.cycle(modes), strict=False)
    for name, chosen in itertools.islice(pairs, count):
        yield name, mode_of(chosen), chosen["sends"] == "async"


def test_every_scenario_meets_every_mode_and_each_choice_both_ways_to_send():
    every = list(every_combination())

    assert {(name, mode) for name, mode, _ in every} == set(itertools.product(TRADES, every_mode()))
    for choice in (
        lambda name, mode: name,
        lambda name, mode: mode.sockets,
        lambda name, mode: mode.ticks,
        lambda name, mode: (mode.sockets, name),
    ):
        both = {(choice(name, mode), sends) for name, mode, sends in every}
        assert len(both) == 2 * len({one for one, _ in both})
    assert set(TRADES) == {name for name, _, _ in some_combinations()}


@pytest.fixture(scope="session")
def program():
    """
    Return the Expert Advisor, built.
    """
    return binary()


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize(("name", "mode", "sends_async"), combinations())
def test_the_ea_trades_as_the_scenario_says(tmp_path, program, seed, name, mode, sends_async):
    make = partial(make_expert, binary=program, seed=seed, sends_async=sends_async)
    TRADES[name](TradingWorlds(tmp_path, make, mode, sends_async=sends_async))


@pytest.mark.slow
@pytest.mark.parametrize("ticks", COPY_TICKS if EVERYTHING else COPY_TICKS[:1])
@pytest.mark.parametrize("name", sorted(set(TRADES) - TRADES_OF_THE_EA))
def test_the_python_terminal_trades_so_too(tmp_path, name, ticks):
    """The reference: a scenario that it does not pass is wrong itself."""
    TRADES[name](TradingWorlds(tmp_path, make_python, Mode(ticks=ticks)))
