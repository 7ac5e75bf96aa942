"""How the machines are run: few examples in ``make test``, 10,000 of each in ``make machines``."""

from __future__ import annotations

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

__all__ = ["STEPS", "Machine", "few", "finds", "many", "run"]

STEPS = 50
#: ``make test`` runs this part of a property test's examples of each machine.
_FEW = 5

# Steps take what they take on a shared machine, and an example is 50 of them.
_ANY_SPEED = (HealthCheck.too_slow, HealthCheck.data_too_large)


class Machine(RuleBasedStateMachine):
    """
    A machine that counts its examples.
    """

    #: examples begun in this process, of all machines
    examples = 0

    def __init__(self):
        super().__init__()
        Machine.examples += 1


def few(**changes):
    """
    Return the settings of ``make test``: 20 examples, 1,000 in the profile "thorough".
    """
    given = {
        "max_examples": settings.default.max_examples // _FEW,
        "stateful_step_count": STEPS,
        "deadline": None,
        "suppress_health_check": _ANY_SPEED,
    }
    return settings(**(given | changes))


def many(examples):
    """
    Return the settings of ``make machines`` for a part of a machine's examples.
    """
    # Without a database: parts run at the same time, and the seed repeats each.
    return few(max_examples=examples, database=None, phases=(Phase.generate, Phase.shrink))


def run(machine, chosen, seed=None):
    """
    Run a machine; return how many examples there were.
    """
    seeded = (
        machine if seed is None else hypothesis.seed(seed)(type(machine.__name__, (machine,), {}))
    )
    before = Machine.examples
    run_state_machine_as_test(seeded, settings=chosen)
    return Machine.examples - before


def finds(machine, seed, examples=400):
    """
    Return whether a machine notices the fault that is in what it drives now.
    """
    chosen = few(
        max_examples=examples,
        database=None,
        phases=(Phase.generate,),
        report_multiple_bugs=False,
    )
    try:
        run(machine, chosen, seed)
    except AssertionError:
        return True
    return False
