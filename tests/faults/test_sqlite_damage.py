"""
Journal and ledger with a byte turned or their end cut: refused as they were found, or they know all.

``make journal-faults`` does this at every byte of the last 64 KiB; here are some of them.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3

import pytest

from bridge.exceptions import ConfigError, JournalError
from bridge.journal import Journal, SqliteStore, checks
from bridge.sim import ledger as ledger_module
from bridge.sim.ledger import SqliteLedger
from tests.support.damage import (
    REFUSED,
    SOUND,
    JournalSpecimen,
    LedgerSpecimen,
    PowerLosses,
)
from tests.support.journal_faults import Task, damages
from tests.support.ledger_lives import LedgerLives

KINDS = {"journal": JournalSpecimen, "ledger": LedgerSpecimen}


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "ended"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_refused_or_knows_all(kind, killed, seed, tmp_path):
    found = damages(Task(kind, killed, killed, seed % 400, 401, seed), tmp_path)

    assert {(REFUSED, ""), (SOUND, "")} >= set(found), found
    assert found[REFUSED, ""] > 20


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "ended"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_only_looks_decides_as_what_really_opens_does(kind, killed, rng, tmp_path):
    """The many openings of ``make journal-faults`` only look: this is why that is enough."""
    specimen = KINDS[kind](tmp_path, killed=killed)
    target = f"{specimen.name}-wal" if killed else specimen.name
    for place in rng.sample(specimen.places(target), 12):
        for change in (specimen.flipped, specimen.truncated):
            arguments = (place, 1) if change == specimen.flipped else (place,)
            looked = change(target, *arguments)
            data = specimen.files[target]
            turned = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
            damaged = turned if change == specimen.flipped else data[:place]
            (specimen.folder / target).write_bytes(damaged)
            opened = specimen.opened()
            specimen.restore()

            assert looked == opened, (target, place)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_refused_is_left_as_it_was_found(kind, tmp_path):
    """
    SQLite takes a log into its file up to the first damaged frame and deletes the rest of it, when
    it is opened for writing: one turned bit would have cost all that was acknowledged since.
    """
    specimen = KINDS[kind](tmp_path, killed=True)
    log = specimen.folder / f"{specimen.name}-wal"
    data = log.read_bytes()
    log.write_bytes(data[:5_000] + bytes([data[5_000] ^ 1]) + data[5_001:])
    before = {name: (specimen.folder / name).read_bytes() for name in specimen.files}

    assert REFUSED == specimen.opened()
    assert before == {name: (specimen.folder / name).read_bytes() for name in specimen.files}

    # So that whoever finds what was wrong loses nothing.
    log.write_bytes(data)

    assert SOUND == specimen.opened()


def test_without_checksums_a_turned_bit_of_the_ledger_would_be_believed(tmp_path, monkeypatch):
    """The ablation: SQLite has no checksums of what stands in its pages."""
    specimen = LedgerSpecimen(tmp_path, killed=False)
    places = [match.start() for match in re.finditer(b"EURUSD", specimen.files[specimen.name])]

    assert {REFUSED} == {specimen.flipped(specimen.name, place, 1) for place in places}

    monkeypatch.setattr(ledger_module, "_is_sound", lambda row: True)

    assert "has forgotten" in {specimen.flipped(specimen.name, place, 1) for place in places}


@pytest.mark.parametrize("name", [b"trading", b"identity"])
def test_a_turned_bit_in_a_check_that_has_no_value_is_noticed(name, tmp_path):
    """Two bytes before the name is the type of the value: 8 is 0, 9 is 1, 12 an empty blob."""
    specimen = LedgerSpecimen(tmp_path, killed=False)
    data = specimen.files[specimen.name]
    places = [match.start() for match in re.finditer(rb"\x08[\x04-\x06]" + name, data)]

    assert [8] == [data[place] for place in places]
    assert {REFUSED} == {
        specimen.flipped(specimen.name, place, 1 << bit) for place in places for bit in range(8)
    }


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_look_at_its_indexes_a_lost_entry_would_be_believed(
    kind, tmp_path, monkeypatch
):
    """The ablation: an order that is not found by its tag counts as not executed."""
    specimen = KINDS[kind](tmp_path, killed=False)
    data = specimen.files[specimen.name]
    places = [match.start() + 5 for match in re.finditer(rb"zb1:\w", data)]
    assert {REFUSED} == {specimen.flipped(specimen.name, place, 1) for place in places}

    if kind == "journal":
        monkeypatch.setattr(checks, "check_indexes", lambda reader: None)
    else:
        monkeypatch.setattr(ledger_module, "_value", _quick)

    assert "has forgotten" in {specimen.flipped(specimen.name, place, 1) for place in places}


def _quick(database, query):
    row = database.execute(query.replace("integrity_check", "quick_check")).fetchone()
    return None if row is None else row[0]


def test_without_its_mark_a_cut_ledger_would_be_believed(tmp_path):
    """The ablation: it would say "never seen" of what it executed."""
    specimen = LedgerSpecimen(tmp_path, killed=True)
    log = f"{specimen.name}-wal"
    half = len(specimen.files[log]) // 2

    assert REFUSED == specimen.truncated(log, half)

    (specimen.folder / f"{specimen.name}.mark").unlink()

    assert "has forgotten" == specimen.truncated(log, half)


def test_an_open_command_is_not_hidden_by_one_bit(tmp_path, monkeypatch):
    """Also before all records of a large journal were looked at."""
    specimen = JournalSpecimen(tmp_path, killed=False)
    with contextlib.closing(sqlite3.connect(specimen.folder / specimen.name)) as other:
        # As a turned bit would: the index of what is open is another page.
        other.execute("PRAGMA writable_schema = ON")
        other.execute("DELETE FROM sqlite_schema WHERE name = 'commands_open'")
        other.commit()
    with contextlib.closing(sqlite3.connect(specimen.folder / specimen.name)) as other:
        other.execute("UPDATE commands SET final = 1 WHERE command_id = 'a/3'")
        other.commit()
    monkeypatch.setattr("bridge.journal.sqlite._VERIFY_AT_ONCE", 1)

    assert REFUSED == specimen.opened()


def test_what_was_synced_survives_a_loss_of_power(tmp_path, rng):
    losses = PowerLosses(tmp_path)

    assert [] == [name for _ in range(60) for name in losses.missing(rng)]


def test_a_log_that_lost_what_was_synced_would_be_noticed(tmp_path, rng):
    """The ablation: acknowledged before the sync, and the sync never came."""
    losses = PowerLosses(tmp_path)
    losses.acknowledged = [(size // 2, mark) for size, mark in losses.acknowledged[3:]]
    found = 0
    for _ in range(30):
        try:
            found += bool(losses.missing(rng))
        except JournalError:
            # The mark was on the disk: it says so.
            found += 1

    assert found > 5


@pytest.mark.slow
@pytest.mark.skipif("sys.platform == 'win32'", reason="SIGKILL is POSIX")
def test_a_ledger_forgets_nothing_in_any_kill(tmp_path, rng):
    lives = LedgerLives(tmp_path)
    for life in range(1, 4):
        lives.live_and_die(life, rng.randrange(1, 150))

        assert [] == lives.missing(), f"after life {life}"
    assert len(lives.entries) > 20


# Older files --------------------------------------------------------------------------------


def downgraded(path, statements):
    with contextlib.closing(sqlite3.connect(path)) as other:
        for statement in statements:
            other.execute(statement)
        other.commit()


def test_a_journal_of_version_1_is_taken_over(tmp_path):
    specimen = JournalSpecimen(tmp_path, killed=False)
    path = specimen.folder / specimen.name
    downgraded(
        path,
        [
            "DROP INDEX commands_open",
            "ALTER TABLE audit DROP COLUMN crc",
            "PRAGMA user_version = 1",
        ],
    )
    journal = Journal(SqliteStore(path, deliver=lambda call: call(), spare_bytes=0))
    journal.load()
    lines = journal.audit()
    journal.close()

    assert ["HALTED", "resolve: executed"] == [line.action for line in lines]
    assert specimen.expected == specimen._knowledge()
    assert SOUND == specimen.opened()


def test_a_ledger_of_version_1_is_taken_over(tmp_path):
    specimen = LedgerSpecimen(tmp_path, killed=False)
    path = specimen.folder / specimen.name
    downgraded(
        path,
        ["DROP TABLE checks", "ALTER TABLE commands DROP COLUMN crc", "PRAGMA user_version = 1"],
    )
    (specimen.folder / f"{specimen.name}.mark").unlink()
    with contextlib.closing(SqliteLedger(path)) as ledger:
        assert 9 == ledger.relay_epoch_seen
        assert ledger.find("a/3") is not None
    rows, *looked = specimen._knowledge()
    expected_rows, *expected = specimen.expected

    assert expected == looked
    # All but the number of transactions, which begins anew.
    assert expected_rows[:3] == rows[:3]


def test_a_ledger_made_by_the_ea_is_taken_over(tmp_path):
    path = tmp_path / "ledger.sqlite"
    columns = (
        "id INTEGER PRIMARY KEY CHECK(id=1), incarnation TEXT NOT NULL, "
        "connection_counter INTEGER NOT NULL, relay_epoch_seen INTEGER NOT NULL"
    )
    row = f"INSERT INTO identity VALUES(1, '{bytes(range(16)).hex()}', 7, 3)"
    downgraded(path, [f"CREATE TABLE identity({columns})", row])
    for _ in range(2):
        with contextlib.closing(SqliteLedger(path)) as ledger:
            assert (bytes(range(16)), 7, 3) == (
                ledger.incarnation,
                ledger.connection_counter,
                ledger.relay_epoch_seen,
            )


def test_a_journal_whose_making_was_killed_is_made_again(tmp_path):
    path = tmp_path / "journal.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA journal_mode = WAL")
    assert path.stat().st_size > 0
    store = SqliteStore(path, deliver=lambda call: call(), new_epoch=3, spare_bytes=0)
    journal = Journal(store)
    journal.load()

    assert 3 == journal.epoch

    journal.close()


def test_a_damaged_mark_of_a_ledger_says_what_to_do(tmp_path):
    path = tmp_path / "ledger.sqlite"
    SqliteLedger(path).close()
    (tmp_path / "ledger.sqlite.mark").write_bytes(b"x" * 12)

    with pytest.raises(ConfigError, match=r"mark .* is damaged.*delete ledger\.sqlite\.mark"):
        SqliteLedger(path)


def test_an_older_copy_of_a_ledger_is_refused(tmp_path):
    path = tmp_path / "ledger.sqlite"
    SqliteLedger(path).close()
    copy = path.read_bytes()
    with contextlib.closing(SqliteLedger(path)) as ledger:
        ledger.commit_counter(ledger.connection_counter + 1)
    path.write_bytes(copy)

    with pytest.raises(ConfigError, match=r"older copy.*move ledger\.sqlite\* away"):
        SqliteLedger(path)


def test_a_turned_bit_in_what_sqlite_says_of_its_tables_is_noticed(tmp_path, monkeypatch):
    """It reads another column then, or none, and finds nothing wrong with the pages."""
    specimen = JournalSpecimen(tmp_path, killed=False)
    start = specimen.files[specimen.name].index(b"id INTEGER PRIMARY KEY, utc_msc")
    places = range(start, start + 22)
    found = {specimen.flipped(specimen.name, place, 1) for place in places}

    assert {REFUSED} == found

    monkeypatch.setattr(checks, "check_schema", lambda connection: None)

    assert "has forgotten" in {specimen.flipped(specimen.name, place, 1) for place in places}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_to_nothing_is_not_taken_for_a_new_one(kind, tmp_path):
    specimen = KINDS[kind](tmp_path, killed=False)

    assert REFUSED == specimen.truncated(specimen.name, 0)
