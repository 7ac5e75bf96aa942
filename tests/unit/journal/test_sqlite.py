"""The journal's file: durable as read back, one writer, many writes in one sync, refused in doubt."""

from __future__ import annotations

import dataclasses
import os
import re
import threading
import time

import pytest

from bridge.exceptions import JournalError
from bridge.journal import Account, EventKey, Journal, SqliteStore
from bridge.journal import schema as schema_module
from bridge.journal import sqlite as sqlite_module
from bridge.journal.store import PutEntry, PutVerdict
from bridge.wire.spec import TradingState
from bridge.wire.structures import EventCursor
from tests.support.journal import ALIAS, DAY, NOW, done_verdict, make_entry

# Durable


def test_wal_and_full_sync_are_set_and_read_back(bench):
    store = bench.store()
    store.open()

    assert [("wal",)] == store._writer.execute("PRAGMA journal_mode").fetchall()
    assert [(2,)] == store._writer.execute("PRAGMA synchronous").fetchall()


@pytest.mark.parametrize(
    "pragma", ["synchronous = OFF", "synchronous = NORMAL", "journal_mode = MEMORY"]
)
def test_a_file_that_is_not_durable_is_refused(bench, pragma):
    """The ablation: whoever weakens the setting is noticed by what SQLite says it does."""

    class Weak(SqliteStore):
        def _configure(self, connection):
            super()._configure(connection)
            connection.execute(f"PRAGMA {pragma}")

    with pytest.raises(JournalError, match=r"would not be durable.*local disk"):
        bench.store(Weak).open()


def test_nothing_is_acknowledged_before_the_commit(bench):
    """Whoever hears of a write finds it in the file, from another connection."""
    journal = bench.journal()
    seen = []

    def done(error):
        with bench.raw() as other:
            seen.append(other.execute("SELECT count(*) FROM commands").fetchone()[0])
        other.close()

    for number in range(20):
        journal.reserve([make_entry(f"a/{number}")], done)
    bench.deliveries.run_until(lambda: len(seen) == 20)

    assert all(count > number for number, count in enumerate(seen))


def test_what_waits_is_committed_in_one_transaction(bench, monkeypatch):
    store = bench.store()
    journal = Journal(store)
    journal.load()
    entered = threading.Event()
    go_on = threading.Event()
    commit = store._commit

    def slow(work):
        entered.set()
        assert go_on.wait(20)
        commit(work)

    monkeypatch.setattr(store, "_commit", slow)
    before = store.commits
    journal.reserve([make_entry("a/first")], bench.told.done("first"))
    assert entered.wait(20)
    for number in range(100):
        journal.reserve([make_entry(f"a/{number}")], bench.told.done(number))

    assert [] == bench.told

    go_on.set()
    bench.wait(101)

    assert ["first", *range(100)] == bench.told.names
    assert before + 2 == store.commits


def test_one_group_has_a_bound(bench, monkeypatch):
    monkeypatch.setattr(sqlite_module, "_GROUP_MAX", 10)
    journal = bench.journal()
    for number in range(95):
        journal.reserve([make_entry(f"a/{number}")], bench.told.done(number))
    bench.wait(95)

    assert bench.stores[0].commits >= 10
    assert list(range(95)) == bench.told.names


def test_closing_writes_what_waits_and_leaves_one_file(bench):
    journal = bench.journal()
    for number in range(50):
        journal.reserve([make_entry(f"a/{number}")], bench.told.done(number))
    journal.close()
    bench.wait(50)

    assert {"journal.sqlite", "journal.sqlite.lock"} == {
        path.name for path in bench.path.parent.iterdir()
    }
    assert 50 == len(bench.journal().open_entries())


def test_an_owner_that_is_gone_is_no_error(bench):
    def gone(call):
        raise RuntimeError("Event loop is closed")

    store = SqliteStore(bench.path, deliver=gone, spare_bytes=0)
    bench.stores.append(store)
    store.open()
    store.write([PutEntry(make_entry())], lambda error: None)
    store.close()

    assert [make_entry()] == bench.journal().open_entries()


def test_what_cannot_be_stored_is_a_defect_of_the_caller_and_harms_nobody(bench):
    journal = bench.journal()

    with pytest.raises(ValueError, match="cannot be journalled"):
        bench.stores[0].write([PutEntry(make_entry("a/\ud800"))], lambda error: None)

    journal.reserve([make_entry()], bench.told.done("fine"))
    bench.wait(1)

    assert ["fine"] == bench.told.names


def test_the_epoch_is_that_of_the_file(bench):
    bench.journal(new_epoch=77).close()

    assert 77 == bench.journal(new_epoch=78).epoch


def test_a_new_file_takes_its_epoch_from_utc(bench):
    before = int(time.time())
    epoch = bench.journal(new_epoch=None).epoch

    assert before <= epoch <= time.time()


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such permissions")
def test_the_file_is_its_owners_alone(bench):
    bench.journal()

    assert {0o600} == {
        path.stat().st_mode & 0o777
        for path in (bench.path, bench.path.with_name("journal.sqlite.lock"))
    }


# Refused


def test_a_second_program_is_refused(bench):
    bench.journal()

    assert f"(process {os.getpid()}) has the journal open" in bench.refused()


def test_the_lock_is_given_back_when_the_start_is_refused(bench):
    bench.path.write_bytes(b"garbage")
    bench.refused()
    bench.path.unlink()

    assert [] == bench.journal().open_entries()


def test_a_newer_version_is_refused(bench):
    bench.journal().close()
    with bench.raw() as other:
        other.execute("PRAGMA user_version = 3")
    other.close()
    text = bench.refused()

    assert "version 3, this program knows up to 2" in text
    assert "start the newer version" in text


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("PRAGMA application_id = 5", "not a journal of this program"),
        ("PRAGMA user_version = 0", "unknown version 0"),
        ("DELETE FROM meta", "no epoch"),
        ("DROP TABLE commands", "damaged|cannot be used"),
    ],
)
def test_a_database_of_something_else_is_refused(bench, change, problem):
    bench.journal().close()
    with bench.raw() as other:
        other.execute(change)
    other.close()

    with pytest.raises(JournalError, match=problem):
        bench.store().open()


def test_an_older_copy_is_refused(bench):
    """A restored backup has forgotten ids that were acknowledged: a retry would trade twice."""
    bench.journal().close()
    copy = bench.path.read_bytes()
    journal = bench.journal()
    journal.reserve([make_entry()], bench.told.done("x"))
    bench.wait(1)
    journal.close()
    bench.path.write_bytes(copy)

    assert "2 were acknowledged" in bench.refused()


def test_a_lost_file_is_not_silently_made_anew(bench):
    bench.journal().close()
    bench.path.unlink()
    text = bench.refused()

    assert "is gone or empty" in text
    assert "bridge journal quarantine" in text


def test_a_journal_moved_away_as_the_hint_says_makes_room_for_a_new_one(bench):
    bench.journal(new_epoch=1).close()
    for path in bench.path.parent.glob("journal.sqlite*"):
        path.unlink()

    assert 2 == bench.journal(new_epoch=2).epoch


def test_a_damaged_mark_is_refused_and_says_what_to_do(bench):
    bench.journal().close()
    lock = bench.path.with_name("journal.sqlite.lock")
    lock.write_bytes(lock.read_bytes()[:16] + b"x" * 12)
    text = bench.refused()

    assert "mark of the last transaction is damaged" in text
    assert "bridge journal quarantine" in text

    lock.unlink()

    assert [] == bench.journal().open_entries()


def test_a_folder_that_cannot_be_written_is_refused(bench):
    bench.path = bench.path / "no" / "such" / "folder"

    assert "must be able to write" in bench.refused()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE commands SET final = 1",
        "UPDATE commands SET command_id = 'a/x'",
        "UPDATE commands SET entry = x'00'",
        "UPDATE commands SET verdict = x'90'",
        "UPDATE commands SET tag = 'other'",
        "UPDATE commands SET crc = crc + 1",
        "UPDATE states SET state = 0",
        "UPDATE cursors SET ticket = 1",
    ],
)
def test_a_changed_record_is_noticed_although_sqlite_finds_nothing(bench, change):
    journal = bench.journal()
    journal.reserve([make_entry()], bench.told.done("x"))
    journal.set_state(ALIAS, TradingState.HALTED, "", "ann", bench.told.done("x"), now_utc_msc=NOW)
    journal.note_event(
        ALIAS,
        Account(5, "Broker"),
        1,
        9,
        EventCursor(8, 9),
        lambda epoch, seq: b"body",
        bench.told.done("x"),
        now_utc_msc=NOW,
    )
    bench.wait(3)
    journal.close()
    with bench.raw() as other:
        other.execute(change)
    other.close()

    assert "damaged" in bench.refused()


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM trade WHERE seq = 2",
        "UPDATE trade SET alias = 'dumo' WHERE seq = 2",
        "UPDATE trade SET alias = 'dumo' WHERE seq = 3",
        "UPDATE trade SET seq = 9 WHERE seq = 3",
        "UPDATE trade SET body = x'00' WHERE seq = 1",
        "UPDATE event_keys SET ticket = 99",
    ],
)
def test_lost_and_changed_events_are_noticed(bench, change):
    journal = bench.journal()
    for number in range(3):
        journal.append_life(
            ALIAS, lambda epoch, seq: b"life", bench.told.done(number), now_utc_msc=NOW
        )
    journal.note_event(
        "other",
        Account(5, "Broker"),
        1,
        9,
        EventCursor(8, 9),
        lambda epoch, seq: b"body",
        bench.told.done("x"),
        now_utc_msc=NOW,
    )
    bench.wait(4)
    journal.close()
    with bench.raw() as other:
        other.execute(change)
    other.close()

    assert re.search(r"trade/\w+ (are lost|is damaged)|of event 99 is damaged", bench.refused())


def test_events_that_get_lost_while_in_use_are_not_passed_over(bench):
    journal = bench.journal()
    for number in range(3):
        journal.append_life(
            ALIAS, lambda epoch, seq: b"life", bench.told.done(number), now_utc_msc=NOW
        )
    bench.wait(3)
    with bench.raw() as other:
        other.execute("DELETE FROM trade WHERE seq = 2")
    other.close()

    with pytest.raises(JournalError, match="are lost"):
        journal.read_trade(ALIAS, 1, 3, 1000)
    assert journal.healthy is not None


def test_a_large_journal_is_checked_behind_its_start(bench, monkeypatch):
    journal = bench.journal()
    for number in range(30):
        journal.reserve([make_entry(f"a/{number:02}")], bench.told.done(number))
    bench.wait(30)
    for number in range(30):
        journal.record(f"a/{number:02}", done_verdict(), NOW, bench.told.done(number))
    bench.wait(60)
    journal.close()
    with bench.raw() as other:
        other.execute("UPDATE commands SET entry = x'00' WHERE command_id = 'a/29'")
    other.close()
    monkeypatch.setattr(sqlite_module, "_VERIFY_AT_ONCE", 10)
    journal = bench.journal()
    store = bench.stores[-1]

    assert store.verified.wait(20)
    assert "'a/29' is damaged" in str(journal.healthy)
    assert not journal.healthy.writable

    journal.reserve([make_entry("a/new")], bench.told.done("new"))
    bench.wait(61)

    assert ["new"] == bench.told.failed


def test_a_large_journal_is_checked_with_pauses_and_closed_at_once(bench, monkeypatch):
    """The check takes the interpreter from a relay that has just started: not all the time."""
    journal = bench.journal()
    for number in range(30):
        journal.reserve([make_entry(f"a/{number:02}")], bench.told.done(number))
    bench.wait(30)
    journal.close()
    monkeypatch.setattr(sqlite_module, "_VERIFY_AT_ONCE", 10)
    monkeypatch.setattr(sqlite_module, "_CHECK_PAUSE", 1e6)
    journal = bench.journal()

    assert not bench.stores[-1].verified.is_set()

    journal.close()

    assert not bench.stores[-1].verified.is_set()


def test_a_record_that_is_damaged_while_in_use_ends_trading(bench):
    journal = bench.journal()
    journal.reserve([make_entry()], bench.told.done("x"))
    bench.wait(1)
    journal.record("strategy/1", done_verdict(), NOW, bench.told.done("x"))
    bench.wait(2)
    journal.close()
    journal = bench.journal()
    with bench.raw() as other:
        other.execute("UPDATE commands SET entry = x'00'")
    other.close()

    with pytest.raises(JournalError, match="'strategy/1' is damaged"):
        journal.find("strategy/1")
    assert "damaged" in str(journal.healthy)


# Retention


def test_of_many_events_the_newest_can_be_replayed(bench, monkeypatch):
    monkeypatch.setattr(schema_module, "TRADE_KEPT", 10)
    journal = bench.journal()
    for number in range(25):
        journal.append_life(
            ALIAS, lambda epoch, seq: b"%d" % seq, bench.told.done(number), now_utc_msc=NOW
        )
    bench.wait(25)
    journal.expire(NOW)
    journal.append_life("other", lambda epoch, seq: b"x", bench.told.done("x"), now_utc_msc=NOW)
    bench.wait(26)

    assert (16, 25) == journal.trade_range(ALIAS)
    assert (16, [b"%d" % seq for seq in range(16, 26)]) == journal.read_trade(ALIAS, 1, 99, 1000)
    assert (1, 1) == journal.trade_range("other")


def test_the_newest_events_stay_known_however_old_they_are(bench, monkeypatch):
    """After a quiet month the terminal tells of the last ones again."""
    monkeypatch.setattr(schema_module, "EVENT_KEYS_KEPT", 3)
    journal = bench.journal()
    store = bench.stores[0]
    keys = [EventKey(Account(5, "Broker"), 1, ticket) for ticket in range(1, 9)]
    for key in keys:
        journal.note_event(
            ALIAS,
            key.account,
            key.kind,
            key.ticket,
            EventCursor(key.ticket, key.ticket),
            lambda epoch, seq: b"body",
            bench.told.done(key),
            now_utc_msc=NOW + key.ticket,
        )
    bench.wait(8)
    journal.expire(NOW + 1000 * DAY)
    store.write([], bench.told.done("expired"))
    bench.wait(9)

    assert [5, 6, 7, 8] == [key.ticket for key in keys if store.has_event(key)]


# Many


@pytest.mark.slow
def test_a_journal_of_a_hundred_thousand_commands_loads_fast(bench):
    """Commands of a month: nothing that is final is taken into memory."""
    store = bench.store()
    store.open()
    said = []
    count = 100_000
    for first in range(0, count, 1000):
        writes = []
        for number in range(first, first + 1000):
            entry = make_entry(f"s/{number}", reserved=NOW + number * 20_000)
            writes.append(PutEntry(entry))
            if number % 1000:
                writes.append(PutVerdict(entry, done_verdict(utc_msc=NOW + number * 20_000)))
        store.write(writes, said.append)
    bench.deliveries.run_until(lambda: len(said) == 100, seconds=90)
    store.close()
    times = []
    for _ in range(3):
        begin = time.process_time()
        journal = bench.journal()
        times.append(time.process_time() - begin)
        found = journal.open_entries()
        sent = journal.sent_since(ALIAS, NOW + count * 20_000 - 60_000)
        journal.close()

    assert 100 == len(found)
    assert 3 == sent
    assert 100 == len(journal._live)
    # The processor's time, in which the check behind the start may have begun: the machine may
    # be busy with other tests.
    assert min(times) < 0.9


def test_a_write_that_cannot_be_stored_leaves_nothing_behind(bench):
    """A defect of the caller must not end the journal for everybody else."""
    journal = bench.journal()
    with pytest.raises(ValueError, match="cannot be journalled"):
        journal.reserve(
            [dataclasses.replace(make_entry("a/1"), comment="\ud800")], bench.told.done("bad")
        )
    with pytest.raises(ValueError, match="cannot be journalled"), journal.together():
        journal.reserve(
            [dataclasses.replace(make_entry("a/2"), comment="\ud800")], bench.told.done("bad")
        )
    journal.reserve([make_entry("a/3")], bench.told.done("good"))
    bench.wait(1)

    assert [("good", None)] == list(bench.told)
    assert (None, None) == (journal.find("a/1"), journal.find("a/2"))
    assert 0 == journal.pending


def test_many_events_do_not_make_the_journal_slow(bench, monkeypatch):
    """The relay's loop waits for the range, and an order for the removal before it."""
    monkeypatch.setattr(schema_module, "_REMOVED_AT_ONCE", 10)
    journal = bench.journal()
    with journal.together():
        for number in range(3_000):
            journal.append_life(ALIAS, lambda *_: b"", lambda _: None, now_utc_msc=number)
    journal.reserve([make_entry()], bench.told.done("written"))
    bench.wait(1)
    store = bench.stores[0]
    steps = []
    for connection in (store._reader, store._writer):
        connection.set_progress_handler(lambda: steps.append(100), 100)
    journal.trade_range(ALIAS)
    ranged = sum(steps)
    journal.expire(NOW + 60 * DAY)
    journal.reserve([make_entry("a/2")], bench.told.done("removed"))
    bench.wait(2)

    assert (11, 3_000) == journal.trade_range(ALIAS)
    assert ranged < 500
    assert sum(steps) < 5_000
