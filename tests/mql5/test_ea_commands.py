"""The commands of the EA's ledger, as its trading side uses them: ``Commands.mqh``, executed."""

from __future__ import annotations

import dataclasses
import itertools

import msgpack
import pytest

from bridge.model.trade import TradeRequest, order_tag
from bridge.sim.ledger import LedgerEntry
from bridge.sim.trading_evidence import Case
from bridge.sim.trading_results import ResultMaker
from bridge.wire.spec import OrderOutcome
from tests.mql5.evidence_program import Call, pack_case, pack_entry, running
from tests.mql5.scenarios.expert import why_not
from tests.support.desk_bench import INCARNATION, REMOVE, buy, request

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
    pytest.mark.timeout(300),
]

MOMENT = type("Moment", (), {"server_msc": 5_000, "utc_offset_min": 0})()
FAILED, ABSENT, FOUND = -1, 0, 1
S = 1_000_000


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    with running(tmp_path_factory.mktemp("commands")) as program:
        yield program


#: Commands of one test are no other's: the ledger keeps all of them.
numbers = itertools.count(1)


class Commands:
    """
    What ``CCommands`` is, as the program has it; ``prefix`` makes its ids this test's.
    """

    def __init__(self, program):
        self.program = program
        self.number = next(numbers)
        assert program.ask(Call.COMMANDS_OPEN)

    def entry(self, name, outcome=None, order=0, *, intent_msc=1_000, **sent):
        command_id = f"{self.number}/{name}"
        result = None
        if outcome is not None:
            result = ResultMaker(INCARNATION).make(command_id, outcome, MOMENT, order=order)
        # A symbol of its own: no other test's command is a rival.
        request = {"action": 1, "symbol": f"S{self.number}", "volume": 0.2} | sent
        return LedgerEntry(
            command_id=command_id,
            tag=order_tag(command_id),
            flags=0,
            request=buy(0.2),
            sent=TradeRequest(**request),
            intent_msc=intent_msc,
            result=result,
        )

    def intend(self, entry):
        return bool(self.program.ask(Call.INTEND, pack_entry(entry)))

    def record(self, entry):
        self.program.call(Call.RECORD, pack_entry(entry))

    def retry(self, now_us):
        self.program.call(Call.RETRY, lparam=now_us)
        return self.program.problem

    def find(self, entry):
        return self._found(self.program.call(Call.FIND, entry.command_id))

    def trace(self, comment="", order=0):
        return self._found(self.program.call(Call.TRACE, [comment, order]))

    def belongs_to_another(self, entry, order):
        return self.program.ask(Call.ANOTHER, [entry.command_id, order])

    def rivals(self, entry):
        case = Case(
            entry.command_id,
            entry.tag,
            entry.request,
            entry.sent,
            (),
            entry.intent_msc,
            entry.intent_msc + 100_000,
        )
        return self.program.ask(Call.RIVALS, pack_case(case))

    def _found(self, answers):
        (body,) = answers
        look, command_id, outcome, order = msgpack.unpackb(body)
        return (look, command_id, OrderOutcome(outcome), order) if look == FOUND else look


@pytest.fixture
def commands(program):
    return Commands(program)


@pytest.fixture
def disk(program):
    """
    Return a function that sets what the disk does, which ends with the test.
    """
    yield lambda mode: program.process.set_option("sqlite", mode)
    program.process.set_option("sqlite", "")


def test_what_is_recorded_is_found_by_id_tag_and_order(commands):
    entry = commands.entry("a", OrderOutcome.DONE, 1_000_001)
    assert commands.intend(commands.entry("a"))
    assert (FOUND, entry.command_id, OrderOutcome.INTENT, 0) == commands.find(entry)

    commands.record(entry)
    found = (FOUND, entry.command_id, OrderOutcome.DONE, 1_000_001)

    assert found == commands.find(entry)
    assert found == commands.trace(entry.tag)
    assert found == commands.trace("", 1_000_001)
    assert found == commands.trace("of another program", 1_000_001)
    assert ABSENT == commands.trace("of another program", 77)
    assert ABSENT == commands.trace(order_tag("nobody/knows"), 0)
    assert ABSENT == commands.find(commands.entry("b"))


@pytest.mark.parametrize("mode", ["full", "busy", "ioerr"])
def test_an_intent_that_is_not_on_the_disk_must_not_be_sent(commands, disk, mode):
    entry = commands.entry("a")
    disk(mode)

    assert not commands.intend(entry)
    assert "" != commands.program.problem
    disk("")
    assert ABSENT == commands.find(entry)


def test_no_order_is_taken_until_the_disk_takes_what_is_written_again(commands, disk):
    disk("full")
    commands.intend(commands.entry("a"))

    assert "the disk is full" in commands.retry(10 * S)
    disk("")
    # Once a second.
    assert "the disk is full" in commands.retry(10 * S + S // 2)
    assert "" == commands.retry(11 * S)
    assert commands.intend(commands.entry("a"))


def test_an_outcome_that_could_not_be_written_is_known_and_written_later(commands, disk):
    entry = commands.entry("a")
    commands.intend(entry)
    disk("full")
    commands.record(commands.entry("a", OrderOutcome.PLACED, 2_000_001))
    commands.record(commands.entry("a", OrderOutcome.DONE, 2_000_001))
    done = (FOUND, entry.command_id, OrderOutcome.DONE, 2_000_001)

    assert 1 == commands.program.unwritten
    assert done == commands.find(entry) == commands.trace(entry.tag)
    assert done == commands.trace("", 2_000_001)
    assert "the disk is full" in commands.retry(10 * S)
    disk("")
    assert "" == commands.retry(20 * S)
    assert 0 == commands.program.unwritten
    assert done == commands.find(entry)
    again = Commands(commands.program)
    assert done == again.find(entry)


def test_a_later_outcome_that_is_written_replaces_one_that_was_not(commands, disk):
    commands.intend(commands.entry("a"))
    disk("full")
    commands.record(commands.entry("a", OrderOutcome.UNKNOWN))
    disk("")
    commands.record(commands.entry("a", OrderOutcome.DONE, 3))

    assert 0 == commands.program.unwritten
    assert OrderOutcome.DONE is commands.find(commands.entry("a"))[2]


def test_a_state_and_an_epoch_that_cannot_be_written_stop_orders_too(commands, disk):
    for number in (Call.EPOCH, Call.STATE):
        disk("full")
        commands.program.call(number, lparam=2)
        assert "the disk is full" in commands.program.problem
        disk("")
        assert "" == commands.retry((100 + number) * S)
    commands.program.call(Call.STATE, lparam=0)


def test_a_file_that_does_not_keep_what_is_written_takes_no_order(program, disk):
    disk("pragma_ignored")
    commands = Commands(program)

    assert "does not keep" in commands.program.problem
    # Trying again does not help.
    assert "does not keep" in commands.retry(1_000 * S)


@pytest.mark.parametrize("mode", ["ioerr", "corrupt"])
def test_what_cannot_be_read_is_neither_absent_nor_nobodys(commands, disk, mode):
    entry = commands.entry("a", OrderOutcome.UNKNOWN, 4_000_001)
    commands.intend(entry)
    disk(mode)

    assert FAILED == commands.find(entry)
    assert FAILED == commands.trace(entry.tag)
    assert FAILED == commands.trace("", 4_000_001)
    assert -1 == commands.belongs_to_another(entry, 4_000_001)
    assert -1 == commands.rivals(entry)


def test_an_order_is_another_commands_when_the_ledger_says_so(commands):
    mine = commands.entry("a", OrderOutcome.DONE, 5_000_001)
    commands.record(mine)

    assert 0 == commands.belongs_to_another(mine, 5_000_001)
    assert 1 == commands.belongs_to_another(commands.entry("b"), 5_000_001)
    assert 0 == commands.belongs_to_another(mine, 5_000_002)
    assert 0 == commands.belongs_to_another(mine, 0)


@pytest.mark.parametrize("written", [True, False])
def test_an_order_is_not_that_of_the_command_that_cancelled_it(commands, disk, written):
    cancelled = dataclasses.replace(
        commands.entry("cancel", OrderOutcome.DONE, 5_000_003),
        request=request(REMOVE, order=5_000_003),
    )
    disk("" if written else "full")
    commands.record(cancelled)

    assert 0 == commands.belongs_to_another(commands.entry("a"), 5_000_003)
    assert ABSENT == commands.trace("", 5_000_003)


def test_rivals_are_commands_without_an_end_that_would_leave_the_same_trace(commands):
    near, far = 1_000 + 119_000, 1_000 + 121_000
    mine = commands.entry("mine")
    others = {
        "same": commands.entry("same", intent_msc=near),
        "unknown": commands.entry("unknown", OrderOutcome.UNKNOWN),
        "long ago": commands.entry("long ago", intent_msc=far),
        "done": commands.entry("done", OrderOutcome.DONE),
        "side": commands.entry("side", type=1),
        "magic": commands.entry("magic", magic=3),
        "volume": commands.entry("volume", volume=0.3),
        "symbol": commands.entry("symbol", symbol="XAUUSD"),
    }
    commands.intend(mine)
    counts = {"mine": commands.rivals(mine)}
    for name, entry in others.items():
        commands.record(entry)
        counts[name] = commands.rivals(mine)

    added = [after - before for before, after in itertools.pairwise(counts.values())]
    assert [0, 1, 1, 0, 0, 0, 0, 0, 0] == [counts["mine"], *added]
