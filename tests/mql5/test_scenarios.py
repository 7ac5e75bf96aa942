"""
The Expert Advisor against the real relay, in every mode; and against the Python terminal.

``make test`` runs combinations in which every two choices meet; ``make test-ea`` every
scenario in every socket mode.
"""

from __future__ import annotations

import os
from functools import partial

import pytest

from tests.mql5.pairwise import pairwise, product
from tests.mql5.scenarios import steps_ea
from tests.mql5.scenarios.expert import ExpertTerminal, binary, why_not
from tests.mql5.scenarios.modes import AXES, COPY_TICKS, PLAIN, Mode, every_mode, mode_of
from tests.mql5.scenarios.steps import EA_ONLY, SCENARIOS
from tests.mql5.scenarios.wire_log import said_by
from tests.mql5.scenarios.world import PythonTerminal, Worlds

assert steps_ea.__all__

# Building is not what may take no longer.
pytestmark = pytest.mark.timeout(120, func_only=True)
needs_compiler = pytest.mark.skipif(bool(why_not()), reason=why_not())
EVERYTHING = os.environ.get("BRIDGE_EA_MODES") == "all"
#: Of which nobody can foresee how often what is said: there a link breaks in the middle.
TIMED = {
    "cut_links_heal_without_a_gap",
    "a_silent_link_is_noticed_and_replaced",
    "a_relay_that_is_away_at_first_is_found",
    "a_relay_that_is_killed_and_comes_back_misses_nothing",
    "an_outage_of_the_trade_server_is_caught_up_with",
    "another_account_is_another_logon",
}
#: Where even the number of ticks, or of logons that were refused, is a matter of time.
ENDLESS = {
    "a_link_that_is_cut_within_a_frame_heals",
    "a_wrong_key_is_never_let_in",
    "an_account_that_is_pinned_otherwise_is_refused",
}
COMPARABLE = sorted(set(SCENARIOS) - EA_ONLY)


def combinations():
    """
    Return what runs: a scenario with a mode.
    """
    if EVERYTHING:
        chosen = [(one["scenario"], one["mode"]) for one in every_combination()]
    else:
        axes = {"scenario": tuple(sorted(SCENARIOS)), **AXES}
        chosen = [(one["scenario"], mode_of(one)) for one in pairwise(axes, seed=1)]
    return [
        pytest.param(name, mode, id=f"{name}-{mode.name}")
        for name, mode in sorted(chosen, key=lambda pair: (pair[0], pair[1].name))
    ]


def every_combination():
    """
    Return the full product.
    """
    return product({"scenario": tuple(sorted(SCENARIOS)), "mode": tuple(every_mode())})


@pytest.fixture(scope="session")
def program():
    """
    Return the Expert Advisor, built.
    """
    return binary()


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize(("name", "mode"), combinations())
def test_the_ea_does_what_the_scenario_says(tmp_path, program, seed, name, mode):
    make = partial(ExpertTerminal, binary=program, seed=seed)
    SCENARIOS[name](Worlds(tmp_path, make, mode))


@pytest.mark.slow
@pytest.mark.parametrize("ticks", COPY_TICKS if EVERYTHING else COPY_TICKS[:1])
@pytest.mark.parametrize("name", COMPARABLE)
def test_the_python_terminal_does_so_too(tmp_path, name, ticks):
    """The reference: a scenario that it does not pass is wrong itself."""
    SCENARIOS[name](Worlds(tmp_path, PythonTerminal, Mode(ticks=ticks)))


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(COMPARABLE) - ENDLESS))
def test_both_terminals_put_the_same_on_the_wire(tmp_path, program, name):
    """
    Frame by frame and byte by byte, but for clocks, nonces and tags; of the market, because no
    broker stands behind the account here.
    """
    said = []
    python = partial(PythonTerminal, market_only=True)
    expert = partial(ExpertTerminal, binary=program, market_only=True)
    for number, make in enumerate((python, expert)):
        folder = tmp_path / str(number)
        folder.mkdir()
        worlds = Worlds(folder, make, PLAIN)
        SCENARIOS[name](worlds)
        said.append(said_by(worlds.recordings))
    python, ea = said

    if name in TIMED:
        assert {kind for kind, _ in python.commands} == {kind for kind, _ in ea.commands}
        assert without_repetition(python.records) == without_repetition(ea.records)
    else:
        assert python.commands == ea.commands
        assert python.pages == ea.pages
        assert python.records == ea.records


def without_repetition(records):
    """
    Return what was said of each number at last.
    """
    return {symbol: {record[:15]: record for record in own} for symbol, own in records.items()}
