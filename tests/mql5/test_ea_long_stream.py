"""
A hundred thousand ticks of fifty symbols, in bursts, through twenty cuts.
"""

from __future__ import annotations

import hashlib
from functools import partial

import pytest

from bridge.model.record import pack_record
from bridge.sim.link import Direction
from tests.mql5.scenarios.expert import ExpertTerminal, binary, why_not
from tests.mql5.scenarios.modes import PLAIN
from tests.mql5.scenarios.world import Worlds

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
    pytest.mark.slow,
    # Building is not what may take no longer.
    pytest.mark.timeout(300, func_only=True),
]
SYMBOLS = 50
TICKS = 100_000
CUTS = 20
#: more than either side says until the logon is complete
LOGON_BYTES = 600


def digest(ticks):
    """
    Return the digest of each symbol's ticks, as they are published.
    """
    found = {}
    for symbol, own in ticks.items():
        made = hashlib.sha256()
        for tick in own:
            made.update(pack_record(1, 1, tick, 0))
        found[symbol] = made.hexdigest()
    return found


def test_a_hundred_thousand_ticks_survive_twenty_cuts(tmp_path, rng):
    """Every tick once, in order, bit by bit; every cut in the middle of a burst."""
    worlds = Worlds(tmp_path, partial(ExpertTerminal, binary=binary("asan")), PLAIN)
    left = TICKS // SYMBOLS - 1
    with worlds.new(symbols=SYMBOLS) as world, world.audience() as audience:
        world.begin()
        world.wait_connected()
        audience.wait_for(SYMBOLS)
        part = left // (CUTS + 1)
        for _ in range(CUTS):
            way = rng.choice(list(Direction))
            cuts = world.link.cuts
            # Behind the logon: a cut within it may be noticed by its time limit only.
            most = 30_000 if way is Direction.TO_RELAY else 3_000
            world.link.cut_after(rng.randrange(LOGON_BYTES, most), way)
            world.happen(part, burst=rng.choice((part, part // 3 + 1, 7)))
            left -= part
            world.wait_for(lambda cuts=cuts: world.link.cuts > cuts)
        world.happen(left, burst=left)
        audience.wait_for(TICKS)

    assert [] == audience.gaps
    assert digest(world.truth) == digest(audience.ticks)
    assert TICKS == sum(map(len, audience.ticks.values()))
