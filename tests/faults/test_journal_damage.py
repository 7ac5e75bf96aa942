"""
The journal's files are cut short and bits of them turned: it refuses, or it knows everything.

The files are those of a program that was killed (with a log beside the file) and of one that ended.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3

import pytest

from bridge.exceptions import JournalError
from bridge.journal import Account, EventKey, Journal, SqliteStore
from bridge.wire.spec import EventKind, TradingState
from bridge.wire.structures import EventCursor
from tests.support.journal import (
    ALIAS,
    LOGIN,
    NOW,
    SERVER,
    Completions,
    Deliveries,
    done_verdict,
    make_entry,
)

ACCOUNT = Account(LOGIN, SERVER)
COMMANDS = 12
NAME = "journal.sqlite"


def open_journal(folder, deliver):
    journal = Journal(SqliteStore(folder / NAME, deliver=deliver, new_epoch=5, spare_bytes=0))
    journal.load()
    return journal


def fill(journal, deliveries):
    told = Completions()
    for number in range(COMMANDS):
        name = f"a/{number}"
        journal.reserve([make_entry(name)], told.done("reserve"))
        deliveries.run_until(lambda: told)
        told.clear()
        if number % 2:
            journal.record(name, done_verdict(), NOW, told.done("record"))
        else:
            journal.note_event(
                ALIAS,
                ACCOUNT,
                EventKind.DEAL,
                number + 1,
                EventCursor(number + 1, number + 1),
                lambda epoch, seq: b"body %d" % seq,
                told.done("event"),
                now_utc_msc=NOW,
            )
        deliveries.run_until(lambda: told)
        told.clear()
    journal.set_state(ALIAS, TradingState.HALTED, "", "ann", told.done("x"), now_utc_msc=NOW)
    deliveries.run_until(lambda: told)


def knowledge(folder):
    """
    Return everything that money hangs on.

    Raises:
        JournalError: the journal is not to be trusted.
    """
    journal = open_journal(folder, lambda call: call())
    store = journal._store
    try:
        return (
            journal.epoch,
            [journal.find(f"a/{number}") for number in range(COMMANDS)],
            journal.open_entries(),
            journal.read_trade(ALIAS, 1, 99, 10**9),
            journal.newest(ALIAS),
            journal.event_cursor(ALIAS, LOGIN, SERVER),
            [store.has_event(EventKey(ACCOUNT, EventKind.DEAL, n)) for n in range(COMMANDS + 2)],
            journal.state_of(ALIAS),
        )
    finally:
        journal.close()


class Specimen:
    """
    Files of a journal, what they say, and a folder to damage copies of them in.
    """

    def __init__(self, folder, *, killed):
        self.source = folder / "source"
        self.source.mkdir()
        self.copy = folder / "copy"
        deliveries = Deliveries()
        journal = open_journal(self.source, deliveries)
        fill(journal, deliveries)
        self.files = {}
        if killed:
            # What is on disk at a kill: the files as they are, without what the end would do.
            self.keep()
        journal.close()
        if not killed:
            self.keep()
        self.restore()
        self.expected = knowledge(self.copy)

        assert None not in self.expected[1]
        assert (1, COMMANDS // 2) == (self.expected[3][0], len(self.expected[3][1]))

    def keep(self):
        self.files = {
            path.name: path.read_bytes()
            for path in self.source.iterdir()
            if not path.name.endswith("-shm")
        }

    def restore(self):
        shutil.rmtree(self.copy, ignore_errors=True)
        self.copy.mkdir()
        for name, data in self.files.items():
            (self.copy / name).write_bytes(data)

    def verdict(self, name, data):
        """
        Return "refused", "knows all", or what went wrong, for a file with other bytes.
        """
        self.restore()
        (self.copy / name).write_bytes(data)
        try:
            found = knowledge(self.copy)
        except JournalError as error:
            text = str(error)
            return "refused" if NAME in text and "(" in text else f"does not help: {text}"
        return "knows all" if found == self.expected else "has forgotten"


@pytest.fixture(scope="module", params=["killed", "closed"])
def specimen(request, tmp_path_factory):
    return Specimen(tmp_path_factory.mktemp(request.param), killed=request.param == "killed")


def flipped(data, place, mask):
    return data[:place] + bytes([data[place] ^ mask]) + data[place + 1 :]


def targets(specimen):
    return [name for name in specimen.files if specimen.files[name] and "lock" not in name]


@pytest.mark.slow
def test_a_turned_bit_is_noticed_or_harmless(specimen, rng):
    found = {}
    for name in targets(specimen):
        data = specimen.files[name]
        places = [*rng.sample(range(len(data)), 150), *range(24), *range(len(data) - 24, len(data))]
        for place in places:
            verdict = specimen.verdict(name, flipped(data, place, 1 << rng.randrange(8)))
            found.setdefault(verdict, []).append((name, place))

    assert {"refused", "knows all"} >= set(found), found
    assert "refused" in found


@pytest.mark.slow
def test_a_turned_bit_in_a_record_is_noticed(tmp_path):
    """SQLite's own check finds nothing here: it does not look at what is in a record."""
    specimen = Specimen(tmp_path, killed=False)
    data = specimen.files[NAME]
    places = [match.start() for match in re.finditer(b"my comment", data)]
    found = [specimen.verdict(NAME, flipped(data, place, 1)) for place in places]

    assert ["refused"] * COMMANDS == found


@pytest.mark.slow
def test_a_file_cut_short_is_refused(specimen, rng):
    found = {}
    for name in targets(specimen):
        data = specimen.files[name]
        lengths = [*rng.sample(range(len(data)), 60), 0, 1, 15, 16, 100, len(data) - 1]
        for length in lengths:
            verdict = specimen.verdict(name, data[:length])
            found.setdefault(verdict, []).append((name, length))

    # The last bytes of the last page may be empty room.
    assert {"refused", "knows all"} >= set(found), found
    assert len(found["refused"]) > 50


@pytest.mark.slow
def test_a_loss_of_power_while_the_file_is_made_is_taken_back(tmp_path):
    """
    The first transaction has no write-ahead log yet, but a journal that a connection which only
    reads cannot take back.
    """
    path = tmp_path / NAME
    log = tmp_path / f"{NAME}-journal"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        # Much is written before the end of the transaction.
        database.execute("PRAGMA cache_size=1")
        database.execute("BEGIN IMMEDIATE")
        database.execute("CREATE TABLE more(text)")
        database.executemany("INSERT INTO more VALUES(?)", [("x" * 3_000,)] * 300)
        files = {file: file.read_bytes() for file in (path, log)}
        database.execute("ROLLBACK")
    for file, data in files.items():
        file.write_bytes(data)

    deliveries = Deliveries()
    journal = open_journal(tmp_path, deliveries)
    fill(journal, deliveries)
    journal.close()

    assert not log.exists()


def test_a_lost_log_is_refused(tmp_path):
    """SQLite opens a file without its log and says nothing."""
    specimen = Specimen(tmp_path, killed=True)
    specimen.files.pop(f"{NAME}-wal")
    specimen.restore()

    with pytest.raises(JournalError, match="were acknowledged"):
        knowledge(specimen.copy)


@pytest.mark.slow
def test_without_the_mark_a_cut_log_would_be_believed(tmp_path):
    """The ablation: this is why the mark is there."""
    specimen = Specimen(tmp_path, killed=True)
    specimen.files.pop(f"{NAME}.lock")
    log = specimen.files[f"{NAME}-wal"]

    assert "has forgotten" == specimen.verdict(f"{NAME}-wal", log[: len(log) // 2])
