"""A few examples of each machine; ``make machines`` runs 10,000."""

from __future__ import annotations

import pytest

from tests.machines.machines import MACHINES
from tests.machines.running import few, run


@pytest.mark.parametrize("name", MACHINES)
def test_what_must_hold_holds_after_every_step(name, seed):
    run(MACHINES[name].machine, few(), seed)
