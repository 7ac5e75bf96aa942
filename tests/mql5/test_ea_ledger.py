"""The EA's ledger is run through the tests of the Python one; then its file is damaged.

``bridge.sim.ledger`` is the model: what its tests say of it must be true of
``mql5/Include/Bridge/Trade/Ledger.mqh``, and each reads what the other wrote.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import shutil
import signal
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.exceptions import ConfigError
from bridge.model.trade import TradeRequest
from bridge.sim.ledger import LedgerError, SqliteLedger
from bridge.wire.spec import OrderOutcome, TradingState
from tests.mql5 import building
from tests.mql5.host import ProgramFailed
from tests.mql5.ledger_program import (
    NEXT,
    OPEN,
    SEE_EPOCH,
    TRANSIENT,
    Folder,
    MqlLedger,
    Program,
    number,
)
from tests.support.desk_bench import buy

pytestmark = [
    pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed"),
    pytest.mark.timeout(600),
]

ROOT = Path(__file__).resolve().parents[2]
#: What the tests ask of the Python ledger alone, and why.
NOT_OF_THE_EA = {
    "test_content_is_what_is_asked_and_nothing_else": "calls a function; here it is SameContent",
    "test_a_journal_that_is_not_synced_is_not_durable": "patches the Python object; here a runtime's mode",
    "test_a_sync_that_was_not_taken_is_not_durable": "the same",
    "test_a_folder_that_is_not_there_is_refused": "the EA makes its folder",
    "test_a_write_that_fails_says_so": "sets a pragma of the connection; here a runtime's mode",
    "test_a_memory_ledger_can_break": "is of another class",
}


def load_model():
    """
    Return a copy of the Python ledger's tests: other tests must not see what is changed in it.
    """
    path = ROOT / "tests" / "unit" / "sim" / "test_ledger.py"
    spec = importlib.util.spec_from_file_location("test_ledger_of_the_ea", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


model = load_model()
entry = model.entry


@pytest.fixture(scope="module")
def binary():
    return building.build(ROOT / "tests" / "mql5" / "programs" / "ledger.mq5", mode="asan")


@pytest.fixture(scope="module", autouse=True)
def program(binary, tmp_path_factory):
    """
    Let the model's tests make ledgers of the translated program.
    """
    made = Program(binary, tmp_path_factory.mktemp("ledger"))
    with contextlib.closing(made), pytest.MonkeyPatch.context() as patch:
        patch.setattr(MqlLedger, "program", made, raising=False)
        patch.setattr(model, "SqliteLedger", MqlLedger)
        yield made
        code = made.process.deinit()

    assert (0, "") == (code, made.process.crash)


@pytest.fixture
def tmp_path(program):
    return Folder(program)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger"


@pytest.fixture
def ledger(path):
    with contextlib.closing(MqlLedger(path)) as made:
        yield made


@pytest.fixture
def option(program):
    """
    Return a function that sets options of the runtime, which end with the test.
    """
    names = set()

    def change(name, value):
        names.add(name)
        program.process.set_option(name, value)

    yield change
    for name in names:
        program.process.set_option(name, "")


def reopened(path):
    return contextlib.closing(MqlLedger(path))


def of_the_model():
    """
    Return the model's tests that are true of every ledger with a file.
    """
    return {
        name: test
        for name, test in vars(model).items()
        if name.startswith("test_") and name not in NOT_OF_THE_EA
    }


globals().update(of_the_model())


def test_what_is_not_asked_of_the_ea_is_asked_of_python():
    assert all(hasattr(model, name) for name in NOT_OF_THE_EA)


# The same file -----------------------------------------------------------------------------


FULL = entry(
    7,
    outcome=OrderOutcome.PARTIAL,
    order=2**64 - 1,
    intent_msc=-5,
    flags=2**32 - 1,
    request=buy(0.1, comment="h\u00e4uptling \U0001f600", magic=2**64 - 1, sl=None, price=1e-300),
    sent=TradeRequest(
        action=5,
        magic=2**64 - 1,
        order=2**63,
        symbol="EURUSD",
        volume=0.1,
        price=1.1,
        stoplimit=1e300,
        sl=-0.0,
        tp=1.25,
        deviation=2**64 - 1,
        type=8,
        type_filling=3,
        type_time=3,
        expiration=2**40,
        comment="zb1:ABC \U0001f600",
        position=2**64 - 2,
        position_by=2**63 + 1,
    ),
    before=(1.5, 0.0, -1.0, 4.0, 5.0, 6.0),
)
ENTRIES = (entry(1), entry(2, outcome=OrderOutcome.DONE, order=4), FULL)


def test_python_reads_what_the_ea_wrote(path):
    with reopened(path) as ledger:
        for made in ENTRIES:
            ledger.write(made)
        ledger.commit_epoch(2**63 + 9)
        ledger.commit_state(TradingState.REDUCING)
        counter, incarnation = ledger.connection_counter, ledger.incarnation
    with contextlib.closing(SqliteLedger(path)) as other:
        assert list(ENTRIES) == [other.find(made.command_id) for made in ENTRIES]
        assert (counter, incarnation) == (other.connection_counter, other.incarnation)
        assert 2**63 + 9 == other.relay_epoch_seen
        assert TradingState.REDUCING is other.trading_state


def test_the_ea_reads_what_python_wrote(path):
    with contextlib.closing(SqliteLedger(path)) as ledger:
        for made in ENTRIES:
            ledger.write(made)
        ledger.commit_counter(ledger.connection_counter + 1)
        incarnation = ledger.incarnation
    with reopened(path) as other:
        assert list(ENTRIES) == [other.find(made.command_id) for made in ENTRIES]
        assert incarnation == other.incarnation
        other.write(entry(9))
    with contextlib.closing(SqliteLedger(path)) as ledger:
        assert entry(9) == ledger.find("test/9")


def test_both_write_the_same_rows(tmp_path):
    rows = []
    for cls, name in ((MqlLedger, "one"), (SqliteLedger, "other")):
        path = tmp_path / name
        with contextlib.closing(cls(path)) as ledger:
            for made in ENTRIES:
                ledger.write(made)
        with contextlib.closing(sqlite3.connect(path)) as database:
            rows.append(database.execute("SELECT * FROM commands").fetchall())
            rows.append(database.execute("SELECT sql FROM sqlite_schema ORDER BY name").fetchall())

    assert rows[0] == rows[2]
    assert rows[1] == rows[3]


def test_two_new_of_one_id_must_be_equal_in_what_they_ask_for(ledger):
    ledger.write(FULL)

    assert ledger.same(FULL)
    assert ledger.same(replace(FULL, intent_msc=7, before=(), result=None))
    assert not ledger.same(replace(FULL, tag="zb1:8"))
    assert not ledger.same(replace(FULL, flags=0))
    assert not ledger.same(replace(FULL, request=FULL.request._replace(sl=0.0)))
    assert not ledger.same(replace(FULL, request=FULL.request._replace(magic=1)))


def test_an_id_is_found_by_all_of_its_bytes(ledger):
    """
    Not by upper and lower case, nor by what stands before a blank at its end.
    """
    ledger.write(entry(command_id="Test/\u00e4"))

    assert ledger.find("test/\u00e4") is None
    assert ledger.find("Test/\u00e4 ") is None
    assert ledger.find("Test/a\u0308") is None
    assert ledger.find("Test/\u00e4") is not None


def test_two_charts_with_one_ledger_do_not_spoil_it(path):
    """
    It should not be, but a person may attach the program twice.
    """
    with reopened(path) as one, reopened(path) as other:
        counters = []
        for i in range(3):
            for ledger in (one, other):
                assert ledger.tried(NEXT)
                counters.append(ledger.connection_counter)
            one.write(entry(i))
            other.write(entry(i, outcome=OrderOutcome.DONE, order=i + 1))
        assert len(set(counters)) == len(counters)
    with reopened(path) as ledger:
        assert entry(2, outcome=OrderOutcome.DONE, order=3) == ledger.find("test/2")


# What cannot be kept -------------------------------------------------------------------------


def test_a_seen_epoch_that_could_not_be_written_is_tried_again(path, option):
    with reopened(path) as ledger:
        option("sqlite", "full")
        assert not ledger.tried(SEE_EPOCH, number(9))
        assert 9 == ledger.relay_epoch_seen
        option("sqlite", "")
        assert ledger.tried(SEE_EPOCH, number(9))
    with reopened(path) as ledger:
        assert 9 == ledger.relay_epoch_seen


@pytest.mark.parametrize(
    ("mode", "advice"),
    [
        ("busy", "another program uses it"),
        ("full", "the disk is full"),
        ("ioerr", "error 5610"),
        ("corrupt", "move it away"),
    ],
)
def test_what_cannot_be_written_is_one_sentence_and_later_written(path, option, mode, advice):
    with reopened(path) as ledger:
        ledger.write(entry(1))
        option("sqlite", mode)
        for write in (
            lambda: ledger.write(entry(2)),
            lambda: ledger.commit_counter(ledger.connection_counter + 1),
            lambda: ledger.commit_state(TradingState.HALTED),
        ):
            with pytest.raises(LedgerError, match=advice) as caught:
                write()
            assert "\n" not in str(caught.value)
            assert path.name in str(caught.value)
        # It holds all the same.
        assert TradingState.HALTED is ledger.trading_state
        option("sqlite", "")
        assert ledger.find("test/2") is None
        ledger.write(entry(2))
        assert entry(2) == ledger.find("test/2")


@pytest.mark.parametrize("mode", ["ioerr", "corrupt"])
def test_what_cannot_be_read_is_not_taken_for_absent(path, option, mode):
    with reopened(path) as ledger:
        ledger.write(entry(1))
        option("sqlite", mode)
        for read in (
            lambda: ledger.find("test/1"),
            lambda: ledger.find_tag("zb1:1"),
            lambda: ledger.find_order(5),
            ledger.unresolved,
            lambda: ledger.count_since(0),
        ):
            with pytest.raises(LedgerError):
                read()


@pytest.mark.parametrize("mode", ["pragma_refused", "pragma_ignored"])
def test_a_terminal_without_pragmas_has_no_durable_ledger(path, option, mode):
    option("sqlite", mode)
    for _ in range(2):
        with reopened(path) as ledger:
            assert not ledger.durable
            assert ledger.durability
            ledger.commit_counter(ledger.connection_counter + 1)


def test_a_counter_goes_on_without_pragmas(path, option):
    option("sqlite", "pragma_refused")
    with reopened(path) as ledger:
        ledger.commit_counter(ledger.connection_counter + 1)
        expected = (ledger.connection_counter, ledger.incarnation)
    with reopened(path) as ledger:
        assert expected == (ledger.connection_counter, ledger.incarnation)


def test_a_file_that_may_only_be_read_is_refused(path, option):
    with reopened(path) as ledger:
        ledger.write(entry(1))
    option("sqlite", "readonly")

    with pytest.raises(ConfigError, match="it is read-only"):
        MqlLedger(path)


def test_a_terminal_without_a_ledger_may_still_stream(path):
    """
    With an incarnation that no ledger has, and never as one that trades.
    """
    path.write_bytes(b"no database" * 500)
    program = MqlLedger.program
    _, problem, _, _ = program.call(OPEN, 3, path.name.removesuffix("-77-Demo.sqlite"))
    _, _, durability, state = program.call(TRANSIENT, 3)
    _, _, _, again = program.call(TRANSIENT, 3)

    assert "1" == state[0]
    assert "0" == state[1]
    assert "damaged" in problem
    assert problem == durability
    assert int(again[2]) > int(state[2])
    assert "00" * 16 != state[7]


# Damage --------------------------------------------------------------------------------------


def written(path, count=3):
    """
    Make a ledger whose file has everything in it; return the file and its mark.
    """
    with reopened(path) as ledger:
        for i in range(count):
            ledger.write(entry(i))
        ledger._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes(), path.with_name(path.name + ".mark").read_bytes()


def test_an_older_copy_is_refused(path):
    data, _ = written(path)
    with reopened(path) as ledger:
        ledger.write(entry(9))
    path.write_bytes(data)

    with pytest.raises(ConfigError, match="older copy"):
        MqlLedger(path)
    assert data == path.read_bytes()


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda mark: mark[:5], "damaged .mark"),
        (lambda mark: bytes([mark[0] ^ 1]) + mark[1:], "damaged .mark"),
        (lambda mark: b"", ""),
        (lambda mark: bytes(12), ""),
    ],
)
def test_a_damaged_mark_is_told(path, damage, sentence):
    _, mark = written(path)
    path.with_name(path.name + ".mark").write_bytes(damage(mark))

    if sentence:
        with pytest.raises(ConfigError, match=sentence):
            MqlLedger(path)
    else:
        with reopened(path) as ledger:
            assert entry(0) == ledger.find("test/0")


def test_a_file_cut_anywhere_is_refused_or_whole(path, rng):
    data, _ = written(path, 20)
    for _ in range(25):
        cut = rng.randrange(1, len(data))
        path.write_bytes(data[:cut])
        with pytest.raises(ConfigError) as caught:
            MqlLedger(path)
        assert "\n" not in str(caught.value)
        assert data[:cut] == path.read_bytes(), cut


def test_a_flipped_bit_is_refused_or_changes_nothing(path, rng):
    """
    Never is an entry found changed or taken for absent.
    """
    data, mark = written(path, 20)
    refused = 0
    # Most of a small database is empty.
    written_at = [at for at, byte in enumerate(data) if byte]
    for at in rng.sample(written_at, 15) + rng.sample(range(len(data)), 10):
        bit = rng.randrange(8)
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
        path.with_name(path.name + ".mark").write_bytes(mark)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        try:
            with reopened(path) as ledger:
                for i in range(20):
                    assert entry(i) == ledger.find(f"test/{i}"), (at, bit)
                    assert entry(i) == ledger.find_tag(f"zb1:{i}"), (at, bit)
        except (ConfigError, LedgerError):
            refused += 1

    assert refused >= 2


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE commands SET command_id='test/other' WHERE command_id='test/1'",
        "UPDATE commands SET outcome=6 WHERE command_id='test/1'",
        "UPDATE commands SET crc=crc+1 WHERE command_id='test/1'",
        "UPDATE commands SET result=x'00' WHERE command_id='test/1'",
        "UPDATE identity SET connection_counter=5",
        "UPDATE identity SET relay_epoch_seen=5",
        "UPDATE trading SET state=1",
        "UPDATE checks SET value=5 WHERE name='commits'",
        "DELETE FROM checks WHERE name='commits'",
        "DELETE FROM checks WHERE name='identity'",
        "DELETE FROM identity",
    ],
)
def test_a_changed_row_is_refused(path, statement):
    written(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(statement)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    with pytest.raises(ConfigError, match="damaged"):
        MqlLedger(path)


def test_a_log_that_lost_its_end_is_refused(path, program):
    """
    SQLite takes what is left of it, and says nothing.
    """
    with reopened(path) as ledger:
        for i in range(5):
            ledger.write(entry(i))
        log = path.with_name(path.name + "-wal")
        files = {file: file.read_bytes() for file in (path, log)}
    for file, data in files.items():
        file.write_bytes(data)
    log.write_bytes(files[log][: len(files[log]) * 2 // 3])

    with pytest.raises(ConfigError, match="the end of its log is lost"):
        MqlLedger(path)


def test_statements_that_are_kept_hold_no_place_in_the_file(path):
    """
    One that stood on a row would keep the log from being taken in: it would grow without an end.
    """
    with reopened(path) as ledger:
        for i in range(300):
            ledger.write(entry(i))
            ledger.write(entry(i, outcome=OrderOutcome.DONE, order=i + 1))
            assert ledger.find(f"test/{i}") is not None
            assert ledger.find_tag(f"zb1:{i}") is not None
            assert ledger.find_order(i + 1) is not None
            assert ledger.find(f"test/{i + 1}") is None
        pages = path.with_name(path.name + "-wal").stat().st_size // 4096
        with contextlib.closing(sqlite3.connect(path)) as other:
            busy, log, taken_in = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

        assert (0, 0, 0) == (busy, log, taken_in)
        assert pages < 1100
        assert entry(299, outcome=OrderOutcome.DONE, order=300) == ledger.find("test/299")


# The end of the process, or of the power -------------------------------------------------------


class Told:
    """
    What a program's ledger said is written.
    """

    def __init__(self):
        self.entries = {}
        self.counter = self.epoch = 0
        self.state = TradingState.ACTIVE
        self.incarnation = b""

    def fill(self, path):
        """
        Write until the program dies.
        """
        ledger = MqlLedger(path)
        self.incarnation = ledger.incarnation
        for i in itertools.count():
            for made in (entry(i), entry(i, outcome=OrderOutcome.DONE, order=i + 1)):
                self.begun = made
                ledger.write(made)
                self.entries[made.command_id] = made
            ledger.commit_counter(ledger.connection_counter + 1)
            self.counter = ledger.connection_counter
            ledger.commit_epoch(i + 5)
            self.epoch = i + 5
            ledger.commit_state(TradingState(i % 3))
            self.state = TradingState(i % 3)

    def check(self, ledger):
        """
        All of it is there, and of what was begun last nothing or all.
        """
        if not self.incarnation:
            return
        assert self.incarnation == ledger.incarnation
        assert self.counter <= ledger.connection_counter
        assert self.epoch <= ledger.relay_epoch_seen
        for command_id, made in self.entries.items():
            found = ledger.find(command_id)
            assert found in (made, self.begun), command_id
            assert found == made or command_id == self.begun.command_id


def killed(binary, folder, rng, die_at, **options):
    """
    Let a program die while it writes, take the power away when its disk may lose something, and
    look at what is there.
    """
    told = Told()
    first = Program(binary, folder, die_at=die_at, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MqlLedger, "program", first, raising=False)
        path = first.path("demo")
        with contextlib.closing(first):
            with pytest.raises(ProgramFailed):
                told.fill(path)
            assert -signal.SIGKILL == first.process.exit_code
        if "losing_disk" in options:
            first.process.power_loss(rng)
        second = Program(binary, folder)
        patch.setattr(MqlLedger, "program", second, raising=False)
        with contextlib.closing(second), reopened(path) as ledger:
            told.check(ledger)
            assert ledger.durable
            ledger.write(entry(100))
            assert entry(100) == ledger.find("test/100")


@pytest.mark.parametrize("place", ["Database.before", "Database.after", "Commit.after"])
@pytest.mark.parametrize("lost", ["process", "power"])
def test_what_was_told_is_there_after_an_end_at_any_write(
    binary, tmp_path_factory, rng, place, lost
):
    options = {"losing_disk": 1} if lost == "power" else {}
    for _ in range(3):
        # The first ones make the file.
        count = rng.randrange(1, 40 if place != "Commit.after" else 12)
        folder = tmp_path_factory.mktemp("killed")
        killed(binary, folder, rng, f"{place}:{count}", **options)


def test_on_a_disk_that_lies_the_same_is_seen_to_fail(binary, tmp_path_factory, rng):
    """
    The ablation: a sync that is told and not done.
    """
    for _ in range(20):
        count = rng.randrange(6, 12)
        folder = tmp_path_factory.mktemp("lied")
        try:
            killed(
                binary, folder, rng, f"Commit.after:{count}", losing_disk=1, sqlite="sync_ignored"
            )
        except (ConfigError, AssertionError):
            return
    pytest.fail("nothing was lost")


# The file of version 0.1 ---------------------------------------------------------------------


def old_file(path):
    """
    Make what the EA of version 0.1 kept under a name without the server.
    """
    old = path.with_name(path.name.replace("-Demo", ""))
    with contextlib.closing(sqlite3.connect(old, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute(
            "CREATE TABLE identity(id INTEGER PRIMARY KEY CHECK(id=1),incarnation TEXT NOT NULL,"
            "connection_counter INTEGER NOT NULL,relay_epoch_seen INTEGER NOT NULL)"
        )
        database.execute("INSERT INTO identity VALUES(1,?,41,-5)", ("ab" * 16,))
    return old


def test_the_file_of_version_0_1_becomes_the_ledger(path):
    old = old_file(path)
    with reopened(path) as ledger:
        assert b"\xab" * 16 == ledger.incarnation
        assert (41, 2**64 - 5) == (ledger.connection_counter, ledger.relay_epoch_seen)
        assert ledger.durable
        ledger.write(entry(1))
    assert not old.exists()
    with reopened(path) as ledger:
        assert b"\xab" * 16 == ledger.incarnation


def test_a_ledger_that_is_there_is_not_replaced_by_an_old_file(path):
    written(path)
    old = old_file(path)

    with reopened(path) as ledger:
        assert entry(1) == ledger.find("test/1")
        assert b"\xab" * 16 != ledger.incarnation
    assert old.exists()


def test_an_old_file_that_is_no_database_is_left_where_it_is(path):
    old = path.with_name(path.name.replace("-Demo", ""))
    old.write_bytes(b"no database" * 500)

    with reopened(path) as ledger:
        assert ledger.durable
    assert b"no database" * 500 == old.read_bytes()
