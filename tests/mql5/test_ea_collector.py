"""
The EA's tick collector is run through the tests of the Python one, one by one.

``bridge.sim.collector`` is the model: what its tests say of it must be true of
``mql5/Include/Bridge/Market``, on the same histories and with the same faults.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from bridge.sim.collector import FRAME_BODY_MAX
from bridge.sim.market import Market
from bridge.wire.frame import RUN_HEADER
from bridge.wire.messages import Gap, Stream, pack_message, unpack_message
from bridge.wire.spec import RUN_HEADER_SIZE
from tests.mql5 import building
from tests.mql5.host import EaProcess
from tests.mql5.models import MARKS, load_model
from tests.mql5.printed import values
from tests.mql5.scenarios.world import ACCOUNT
from tests.support import collector_bench

pytestmark = MARKS

PROGRAM = Path(__file__).with_name("programs") / "collector.mq5"
#: What the tests ask of the Python collector alone, and why.
NOT_OF_THE_EA = {
    "test_a_way_too_long_to_prove_is_not_promised": "patches a constant of the Python module",
    "test_streaming_names_what_was_caught_up_with": "asks what only a simulated feed needs",
    "test_memory_is_bounded": "looks inside the Python object",
}
EXAMPLES = 12
RECORD = 66
NEW, BEGIN, END, REWIND, ACKNOWLEDGED, POLL, TAKE, OUTAGE_BEGAN, OUTAGE_ENDED = range(1, 10)
OFFSET, WANTS_BLOCKING = 10, 11


models = [load_model(name) for name in ("test_collector", "test_collector_resumption")]


class Program:
    """
    The translated program with a collector in it, and what it printed last.
    """

    def __init__(self, process):
        self.process = process
        self.lines = []
        process.on_event = self.take_event

    def take_event(self, event):
        if event.get("event") == "print":
            self.lines.append(event["text"])

    def call(self, number, lparam=0, dparam=0.0, sparam=""):
        """
        Let the program make a call; return the bytes that it gave, and its state.
        """
        self.lines.clear()
        self.process.chart_event(number, lparam, dparam, sparam)
        self.process.wait_for(lambda: self.lines and self.lines[-1].startswith("#"), 300)
        found = values(self.lines)
        self.process.journal.clear()
        self.process.events.clear()
        return found, [int(word) for word in self.lines[-1][1:].split()]


class MqlCollector:
    """
    What ``TickCollector`` is, made of calls to the program.
    """

    program = None

    def __init__(self, source, specs, *, log_records=4_096, audit_every_us=20_000_000):
        self.on_taken = None
        self.reader = self
        self._symbols = {}
        process = self.program.process
        process.broker.market = Market(specs.values(), history=source)
        self._blocked_us = process.now_us
        self._call(NEW, log_records, audit_every_us)

    def __len__(self):
        return self._streams

    def begin(self, subscribe, now_us, time_current_msc=0):
        bodies = self._call(BEGIN, now_us, time_current_msc, pack_message(subscribe).hex())
        answer = unpack_message(Stream, bodies[0])
        self._symbols[answer.symbol_id] = subscribe.symbol
        return answer, unpack_message(Gap, bodies[1]) if len(bodies) > 1 else None

    def end(self, symbol_id):
        self._call(END, symbol_id)

    def rewind(self):
        self._call(REWIND)

    def acknowledged(self):
        self._call(ACKNOWLEDGED)

    def poll(self, now_us, *, may_block=True):
        self._call(POLL, now_us, may_block)

    def take(self, now_us, max_bytes=FRAME_BODY_MAX):
        bodies = self._call(TAKE, now_us, max_bytes)
        if not bodies:
            return None
        at = 0
        while self.on_taken is not None and at < len(bodies[0]):
            symbol_id, length, first_seq, _ = RUN_HEADER.unpack_from(bodies[0], at)
            self.on_taken(self._symbols[symbol_id], first_seq, length)
            at += RUN_HEADER_SIZE + length * RECORD
        return bodies[0]

    def outage_began(self):
        self._call(OUTAGE_BEGAN)

    def outage_ended(self, now_us):
        self._call(OUTAGE_ENDED, now_us)

    def wants_blocking(self, now_us):
        self._call(WANTS_BLOCKING, now_us)
        return bool(self._wants_blocking)

    def take_blocked_ms(self):
        now_us = self.program.process.now_us
        blocked_ms = (now_us - self._blocked_us) // 1000
        self._blocked_us = now_us
        return blocked_ms

    @property
    def utc_offset_min(self):
        raise NotImplementedError

    @utc_offset_min.setter
    def utc_offset_min(self, minutes):
        self._call(OFFSET, minutes)

    def _call(self, number, lparam=0, dparam=0.0, sparam=""):
        found, state = self.program.call(number, lparam, float(dparam), sparam)
        self.numbered, self.late, self.revised, self._streams = state[:4]
        self.wants_to_send, self.keeps_up = map(bool, state[4:6])
        self._wants_blocking = state[6]
        return found


@pytest.fixture(scope="module", autouse=True)
def program(tmp_path_factory):
    """
    Let the model's tests make collectors of the translated program.
    """
    binary = building.build(PROGRAM, mode="asan")
    process = EaProcess(
        binary,
        market=Market([]),
        account=ACCOUNT,
        clock="virtual",
        folder=tmp_path_factory.mktemp("collector"),
        symbol="EURUSD",
    )
    with process, pytest.MonkeyPatch.context() as patch:
        patch.setattr(MqlCollector, "program", Program(process))
        patch.setattr(collector_bench, "TickCollector", MqlCollector)
        yield process
        code = process.deinit()

    assert (0, "") == (code, process.crash)


def of_the_model():
    """
    Return the model's tests that are true of every collector; examples cost more here.
    """
    found = {}
    tests = [item for model in models for item in vars(model).items()]
    for name, test in tests:
        if name.startswith("test_") and name not in NOT_OF_THE_EA:
            assert name not in found
            if hasattr(test, "hypothesis"):
                test = settings(  # noqa: PLW2901  # the same test with other settings
                    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck)
                )(test)
            found[name] = test
    return found


globals().update(of_the_model())
