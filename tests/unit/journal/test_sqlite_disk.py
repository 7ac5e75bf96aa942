"""``bridge.journal.sqlite``: a disk that is full, and a disk that is broken."""

from __future__ import annotations

import sqlite3
import threading

from bridge.journal import Journal, SqliteStore
from bridge.journal import spare as spare_module
from bridge.journal import sqlite as sqlite_module
from bridge.journal.store import PutEntry
from tests.support.journal import ALIAS, NOW, done_verdict, make_entry

# A disk that is full, a disk that is broken


class Small(SqliteStore):
    """
    A file that may not grow beyond ``pages``: SQLite then answers as on a full disk.
    """

    pages = 24

    def _configure(self, connection):
        super()._configure(connection)
        connection.execute(f"PRAGMA max_page_count = {self.pages}")

    def make_room(self):
        self._writer.execute("PRAGMA max_page_count = 100000")


def fill(bench, journal):
    number = 0
    while not bench.told.failed:
        count = len(bench.told)
        journal.reserve([make_entry(f"a/{number}")], bench.told.done(f"a/{number}"))
        bench.wait(count + 1)
        number += 1
    return number - 1


def test_on_a_full_disk_the_reservation_fails_and_nothing_before_it_is_lost(bench):
    journal = bench.journal(Small)
    acknowledged = fill(bench, journal)
    [(name, error)] = [(name, error) for name, error in bench.told if error is not None]

    assert "disk is full" in str(error)
    assert "make room" in str(error)
    assert not journal.healthy.writable
    assert journal.find(name) is None

    journal.close()
    again = bench.journal()

    assert acknowledged == len(again.open_entries())
    assert again.find(name) is None


def test_when_there_is_room_again_the_journal_goes_on_by_itself(bench, monkeypatch):
    monkeypatch.setattr(sqlite_module, "_REFILL_EVERY_S", 0.01)
    journal = bench.journal(Small)
    fill(bench, journal)
    store = bench.stores[0]
    store.make_room()
    bench.deliveries.run_until(lambda: journal.healthy is None)
    count = len(bench.told)
    journal.reserve([make_entry("a/again")], bench.told.done("again"))
    bench.wait(count + 1)

    assert "again" == bench.told.names[-1]


def test_the_spare_room_lets_what_reduces_be_written(bench, monkeypatch):
    """Nothing is lost when the disk gets full: the room kept for that takes it."""
    monkeypatch.setattr(sqlite_module, "_REFILL_EVERY_S", 0.01)
    journal = bench.journal(Small, spare_bytes=100_000)
    store = bench.stores[0]
    spare = bench.path.with_name("journal.sqlite.spare")

    assert 100_000 == spare.stat().st_size

    free = threading.Event()
    room = store._spare
    give_back, keep = room.give_back, room.keep

    def give_back_pages():
        found = give_back()
        store._writer.execute("PRAGMA max_page_count = 64")
        return found

    monkeypatch.setattr(room, "give_back", give_back_pages)
    monkeypatch.setattr(room, "keep", lambda: free.is_set() and keep())
    number = 0
    while journal.healthy is None:
        count = len(bench.told)
        journal.reserve([make_entry(f"a/{number}")], bench.told.done(number))
        bench.wait(count + 1)
        number += 1

    assert [] == bench.told.failed
    assert not spare.exists()
    assert journal.healthy.writable
    assert "closes and cancels go on" in str(journal.healthy)

    count = len(bench.told)
    journal.reserve([make_entry("a/open")], bench.told.done("open"))
    journal.reserve([make_entry("a/close")], bench.told.done("close"), reducing=True)
    journal.record("a/0", done_verdict(), NOW, bench.told.done("verdict"))
    bench.wait(count + 3)

    assert ["open"] == bench.told.failed
    assert {"close", "verdict"} <= set(bench.told.names)

    store.make_room()
    free.set()
    bench.deliveries.run_until(lambda: journal.healthy is None)

    assert 100_000 == spare.stat().st_size


def test_a_disk_too_full_for_the_spare_room_is_said_at_the_start(bench, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    journal = bench.journal()
    journal.close()
    monkeypatch.setattr(spare_module.os, "fsync", full)
    monkeypatch.setattr(sqlite_module.JournalLock, "sync", lambda self: None)
    journal = bench.journal(spare_bytes=1000)

    assert journal.healthy.writable


def test_behind_a_lost_write_nothing_is_written_before_the_owner_knows(bench, monkeypatch):
    """Else a later event could be on disk, and an earlier one of a lower number not."""
    store = bench.store()
    journal = Journal(store)
    journal.load()
    entered = threading.Event()
    go_on = threading.Event()
    commit = store._commit

    def full_once(work):
        monkeypatch.setattr(store, "_commit", commit)
        entered.set()
        assert go_on.wait(20)
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    monkeypatch.setattr(store, "_commit", full_once)
    journal.reserve([make_entry("a/1")], bench.told.done("a/1"))
    assert entered.wait(20)
    journal.reserve([make_entry("a/2")], bench.told.done("a/2"))
    go_on.set()
    bench.wait(2)

    assert ["a/1", "a/2"] == bench.told.failed

    store.write([], bench.told.done("what was handed over before has been tried"))
    bench.wait(3)

    assert store.find("a/2") is None


def test_after_an_error_of_the_disk_nothing_is_written_until_a_new_start(bench, monkeypatch):
    store = bench.store()
    journal = Journal(store)
    journal.load()

    def broken(work):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(store, "_commit", broken)
    journal.reserve([make_entry("a/1")], bench.told.done("a/1"))
    bench.wait(1)
    monkeypatch.undo()
    journal.reserve([make_entry("a/2")], bench.told.done("a/2"), reducing=True)
    journal.append_life(ALIAS, lambda epoch, seq: b"x", bench.told.done("life"), now_utc_msc=NOW)
    bench.wait(3)

    assert ["a/1", "a/2", "life"] == sorted(bench.told.failed)
    assert "restart the relay" in str(journal.healthy)
    assert not journal.healthy.writable

    journal.close()
    again = bench.journal()

    assert again.healthy is None
    assert [] == again.open_entries()


def test_an_id_that_is_in_the_file_against_all_expectation_ends_trading(bench):
    store = bench.store()
    journal = Journal(store)
    journal.load()
    journal.reserve([make_entry("a/1")], bench.told.done("a/1"))
    bench.wait(1)
    said = []
    store.write([PutEntry(make_entry("a/1"))], said.append)
    bench.deliveries.run_until(lambda: said)

    assert "cannot be written" in str(said[0])
    assert journal.healthy is not None


def test_the_mark_is_written_before_anybody_is_told(bench, monkeypatch):
    store = bench.store()
    journal = Journal(store)
    journal.load()

    def full(commits):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(store._lock, "write_mark", full)
    journal.reserve([make_entry("a/1")], bench.told.done("a/1"))
    bench.wait(1)

    assert ["a/1"] == bench.told.failed
