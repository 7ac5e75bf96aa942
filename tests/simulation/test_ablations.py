"""Each mechanism of the guarantee is needed: without it the simulation fails, with it it does not."""

from __future__ import annotations

import pytest

from tests.simulation.ablations import ABLATIONS

#: Most of them are noticed in the first seed.
SEEDS = range(1, 17)


@pytest.mark.parametrize("ablation", ABLATIONS, ids=lambda one: one.name.replace(" ", "-"))
def test_the_simulation_notices_when_it_is_missing(ablation):
    for seed in SEEDS:
        found = ablation.run(seed).counts
        if any(found[kind] for kind in ablation.kinds):
            break
    else:
        pytest.fail(f"{ablation.name}: not noticed in {len(SEEDS)} seeds")

    assert [] == ablation.run_whole(seed).failures
