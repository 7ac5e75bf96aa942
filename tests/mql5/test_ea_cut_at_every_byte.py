"""
A session of the Expert Advisor is cut at every byte; afterwards the stream is complete.

The EA itself and the relay's side, on one virtual clock: the relay's end delivers exactly so
many bytes in one direction and then closes.
"""

from __future__ import annotations

import os

import pytest

from bridge.sim.link import Direction
from tests.mql5.scenarios.expert import binary, why_not
from tests.mql5.scenarios.virtual import VirtualRelay, program_on
from tests.support.terminal import make_market, tick_of

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
    pytest.mark.slow,
    # Building is not what may take no longer.
    pytest.mark.timeout(
        1_800 if os.environ.get("BRIDGE_EA_MODES") == "all" else 120, func_only=True
    ),
]
SYMBOL = "EURUSD"
#: ticks of a session, in steps: several frames, several ticks in one millisecond
STEPS = 3
STEP = 4
#: every byte with ``make test-ea``; else a sample that meets all fields in the end
STRIDE = 1 if os.environ.get("BRIDGE_EA_MODES") == "all" else 29
WITHIN_S = 30.0


class Session:
    """
    An EA, a relay, and what must have been published by now.
    """

    def __init__(self, relay, folder):
        self.relay = relay
        self.market = make_market(SYMBOL)
        self.market.history.extend(SYMBOL, [tick_of(1)])
        self.happened = 1
        self.program = program_on(relay, binary(), self.market, folder / "terminal")

    def connect(self):
        """
        Let the EA connect anew, and ticks happen until the session is over or complete.
        """
        self.relay.hang_up()
        before = self.relay.connections
        self.program.wait_for(lambda: self.relay.connections > before, WITHIN_S)
        connection = self.relay.connections
        self.relay.subscribe(SYMBOL)
        self.program.wait_for(
            lambda: self.relay.active or self.relay.connections > connection, WITHIN_S
        )
        if not self.published():
            # A stream begins with the latest tick: it has to run before there are more.
            self.program.wait_for(self.published, WITHIN_S)
        for _ in range(STEPS):
            ticks = [tick_of(self.happened + n) for n in range(1, STEP + 1)]
            self.happened += STEP
            self.program.quote(SYMBOL, *ticks)
            self.program.advance(40)
        # Acknowledgements are due after 100 ms.
        self.program.advance(150)

    def complete(self):
        """
        Wait until everything that happened was published, and compare.
        """
        self.program.wait_for(lambda: len(self.published()) >= self.happened, WITHIN_S)
        found = self.published()

        assert list(range(1, self.happened + 1)) == [seq for _, seq, _ in found]
        assert 1 == len({epoch for epoch, _, _ in found})
        assert [tick_of(seq)[:3] for seq in range(1, self.happened + 1)] == [
            tick[:3] for _, _, tick in found
        ]

    def published(self):
        return self.relay.ticks(SYMBOL)


@pytest.fixture
def session(tmp_path):
    with VirtualRelay(tmp_path) as relay:
        made = Session(relay, tmp_path)
        with made.program:
            yield made
            code = made.program.deinit()

        assert (0, "") == (code, made.program.crash)


@pytest.mark.parametrize("direction", list(Direction), ids=lambda way: way.value)
def test_a_cut_at_every_byte_loses_nothing(session, direction):
    """Whatever was under way: it is sent again or was taken, never both, never neither."""
    session.connect()
    session.complete()
    session.connect()
    session.complete()
    total = session.relay.passed[direction]

    assert total > 300

    for budget in range(0, total + 1, STRIDE):
        session.relay.cut_after(direction, budget)
        session.connect()
        try:
            session.complete()
        except AssertionError as error:
            raise AssertionError(f"cut after {budget} of {total} bytes: {error}") from error


def test_a_relay_that_restarts_between_two_cuts_goes_on(session, rng):
    """With its checkpoint alone, as after kill -9; every cut somewhere else."""
    session.connect()
    session.complete()
    for _ in range(300 // STRIDE):
        session.relay.cut_after(rng.choice(list(Direction)), rng.randrange(900))
        session.connect()
        session.relay.restart()
        session.relay.subscribe(SYMBOL)
        session.complete()
