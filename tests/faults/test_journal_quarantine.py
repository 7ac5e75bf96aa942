"""The way out of a journal in doubt: what can be believed stays known, the rest is told, nothing is
traded before a person says so.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from bridge.exceptions import JournalError
from bridge.journal import Journal, SqliteStore
from bridge.journal.quarantine import check_journal, quarantine
from bridge.journal.schema import SCHEMA_VERSION, meta_row
from bridge.wire.spec import TradingState
from tests.faults.test_journal_damage import (
    ACCOUNT,
    COMMANDS,
    NAME,
    Specimen,
    flipped,
    open_journal,
)
from tests.support.journal import ALIAS, LOGIN, NOW, SERVER, make_entry

NAMES = [f"a/{number}" for number in range(COMMANDS)]
OPEN = tuple(f"a/{number}" for number in range(0, COMMANDS, 2))


@pytest.fixture(scope="module")
def specimens(tmp_path_factory):
    return {
        kind: Specimen(tmp_path_factory.mktemp(kind), killed=kind == "killed")
        for kind in ("killed", "closed")
    }


@pytest.fixture(params=["killed", "closed"])
def specimen(request, specimens):
    specimens[request.param].restore()
    return specimens[request.param]


@pytest.fixture
def closed(specimens):
    specimens["closed"].restore()
    return specimens["closed"]


def path_of(specimen):
    return specimen.copy / NAME


def move_away(specimen, *aliases):
    return quarantine(path_of(specimen), aliases, who="ann", now_utc_msc=NOW)


def entries(specimen):
    """
    Return what the journal knows now; it must be one that can be trusted.
    """
    journal = open_journal(specimen.copy, lambda call: call())
    try:
        return {name: entry for name in NAMES if (entry := journal.find(name)) is not None}
    finally:
        journal.close()


def damage_a_record(specimen, name="a/3"):
    with sqlite3.connect(path_of(specimen)) as database:
        database.execute(
            "UPDATE commands SET reserved = reserved + 1 WHERE command_id = ?", (name,)
        )
    database.close()


def cut_the_end(specimen):
    """
    Let the journal be an older copy: fewer transactions than were acknowledged.
    """
    with sqlite3.connect(path_of(specimen)) as database:
        [(value,)] = database.execute("SELECT value FROM meta WHERE name = 'commits'").fetchall()
        database.execute("DELETE FROM meta WHERE name = 'commits'")
        database.execute("INSERT INTO meta VALUES (?, ?, ?)", meta_row("commits", value - 3))
    database.close()


# --- one record is damaged --------------------------------------------------------------------


def test_all_but_the_damaged_record_stays_known(closed):
    expected = dict(zip(NAMES, closed.expected[1], strict=True))
    damage_a_record(closed)
    found = move_away(closed)
    del expected["a/3"]

    assert expected == entries(closed)
    assert (COMMANDS - 1, 1, True, 0, OPEN) == (
        found.commands,
        found.damaged,
        found.whole,
        found.lost_commits,
        tuple(sorted(found.open_ids, key=NAMES.index)),
    )
    assert "a/3" in found.problem


def test_before_it_the_journal_is_refused_and_its_hint_names_the_command(closed):
    damage_a_record(closed)
    with pytest.raises(JournalError, match="bridge journal quarantine"):
        open_journal(closed.copy, lambda call: call())


def test_nothing_is_deleted(closed):
    damage_a_record(closed)
    before = path_of(closed).read_bytes()
    found = move_away(closed)

    assert before == (found.moved_to / NAME).read_bytes()


def test_the_place_in_the_events_and_what_was_taken_of_them_stay_known(closed):
    damage_a_record(closed)
    move_away(closed)
    journal = open_journal(closed.copy, lambda call: call())
    try:
        assert closed.expected[5] == journal.event_cursor(ALIAS, LOGIN, SERVER)
        again = journal.note_event(
            ALIAS,
            ACCOUNT,
            1,
            1,
            journal.event_cursor(ALIAS, LOGIN, SERVER)._replace(time_msc=1, ticket=1),
            lambda *_: b"",
            lambda _: None,
            now_utc_msc=NOW,
        )
    finally:
        journal.close()

    assert again is None


def test_the_numbers_of_trade_begin_anew_and_are_never_taken_for_the_old_ones(closed):
    damage_a_record(closed)
    old_epoch = closed.expected[0]
    move_away(closed)
    journal = open_journal(closed.copy, lambda call: call())
    journal.close()

    assert journal.epoch > old_epoch


def test_every_terminal_is_halted_and_the_audit_says_by_whom_and_why(closed):
    damage_a_record(closed)
    found = move_away(closed, "other")
    journal = open_journal(closed.copy, lambda call: call())
    try:
        states = [journal.state_of(alias).state for alias in (ALIAS, "other")]
        last = journal.audit()[-1]
    finally:
        journal.close()

    assert [TradingState.HALTED] * 2 == states
    assert (ALIAS, "other") == found.halted
    assert ("ann", "quarantine", found.problem) == (last.who, last.action, last.text)


def tried(specimen):
    try:
        return move_away(specimen), ""
    except JournalError as error:
        return None, str(error)


# --- whatever the damage ----------------------------------------------------------------------


def test_any_damage_leaves_a_journal_that_knows_nothing_wrong(specimen, rng):
    expected = dict(zip(NAMES, specimen.expected[1], strict=True))
    for _ in range(20):
        specimen.restore()
        file = rng.choice([name for name in specimen.files if not name.endswith(".spare")])
        data = specimen.files[file]
        if not data:
            continue
        place = rng.randrange(len(data))
        damaged = (
            data[:place] if rng.random() < 0.4 else flipped(data, place, 1 << rng.randrange(8))
        )
        path = specimen.copy / file
        path.write_bytes(damaged)
        found, refusal = tried(specimen)
        if found is None:
            # The harmless ones are not touched, nor what a newer version may have written.
            assert "not in doubt" in refusal or "--damaged-version" in refusal
            continue
        known = entries(specimen)

        assert found.commands == len(known)
        for name, entry in known.items():
            # At most its newest verdict is lost: then it is open, and asked for.
            assert entry == expected[name] or entry.verdict is None
            assert (name in found.open_ids) is (entry.verdict is None)
        if len(known) < COMMANDS:
            assert found.damaged or found.lost_commits or not found.whole


@pytest.mark.parametrize("content", [None, b"", b"this is no journal" * 1000])
def test_a_journal_of_which_nothing_is_left_is_replaced_and_that_is_told(closed, content):
    path_of(closed).unlink()
    if content is not None:
        path_of(closed).write_bytes(content)
    found = move_away(closed, ALIAS)

    assert (0, False, (ALIAS,)) == (found.commands, found.whole, found.halted)
    assert {} == entries(closed)


def test_an_end_that_is_missing_is_counted(closed):
    cut_the_end(closed)
    found = move_away(closed)

    assert (3, COMMANDS) == (found.lost_commits, found.commands)
    assert COMMANDS == len(entries(closed))


def test_a_damaged_mark_is_a_doubt_like_any_other(closed):
    lock = specimen_lock(closed)
    data = lock.read_bytes()
    lock.write_bytes(data[:16] + b"\xff" * 12)
    with pytest.raises(JournalError, match="bridge journal quarantine"):
        open_journal(closed.copy, lambda call: call())
    move_away(closed)

    assert COMMANDS == len(entries(closed))


def specimen_lock(specimen):
    return specimen.copy / f"{NAME}.lock"


# --- what it does not touch -------------------------------------------------------------------


def test_a_sound_journal_is_not_touched(specimen):
    before = {path.name: path.read_bytes() for path in specimen.copy.iterdir()}
    with pytest.raises(JournalError, match="not in doubt"):
        move_away(specimen)
    after = {path.name: path.read_bytes() for path in specimen.copy.iterdir()}

    assert before[NAME] == after[NAME]
    assert not [name for name in after if "quarantined" in name or name.endswith(".new")]


def test_a_journal_in_use_is_not_touched(closed):
    journal = open_journal(closed.copy, lambda call: call())
    try:
        with pytest.raises(JournalError, match="another program"):
            move_away(closed)
    finally:
        journal.close()


def test_a_journal_of_a_newer_version_is_not_touched(closed):
    database = sqlite3.connect(path_of(closed))
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    database.close()
    with pytest.raises(JournalError, match="newer version"):
        move_away(closed)

    assert path_of(closed).exists()


def test_a_version_that_nobody_ever_had_is_damage_when_a_person_says_so(closed):
    database = sqlite3.connect(path_of(closed))
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 2048}")
    database.close()
    with pytest.raises(JournalError, match="--damaged-version"):
        open_journal(closed.copy, lambda call: call())
    found = quarantine(path_of(closed), (), who="ann", now_utc_msc=NOW, damaged_version=True)

    assert (COMMANDS, True) == (found.commands, "version" in found.problem)
    assert COMMANDS == len(entries(closed))


def test_what_is_no_text_any_more_is_damage(closed, monkeypatch):
    """SQLite's own words about a damaged index may be no UTF-8."""

    def inspected(*_):
        b"\xff".decode()

    with monkeypatch.context() as patched:
        patched.setattr("bridge.journal.quarantine.inspect", inspected)
        found = move_away(closed)

    assert "damaged" in found.problem
    assert COMMANDS == len(entries(closed))


# --- a kill in between ------------------------------------------------------------------------


class Killed(BaseException):
    pass


@pytest.mark.parametrize("step", range(9))
def test_a_kill_at_any_step_leaves_no_empty_journal_that_is_taken_for_a_new_one(
    closed, monkeypatch, step
):
    """Whatever a relay finds then, it refuses, or it is the new journal as it should be."""
    damage_a_record(closed)
    count = 0

    def stepping(function):
        def wrapped(*args, **options):
            nonlocal count
            count += 1
            if count == step + 1:
                raise Killed
            return function(*args, **options)

        return wrapped

    with monkeypatch.context() as patched:
        for name in ("rename", "replace", "mkdir", "unlink"):
            patched.setattr(Path, name, stepping(getattr(Path, name)))
        with pytest.raises(Killed):
            move_away(closed)
    try:
        known = entries(closed)
    except JournalError:
        move_away(closed)
        known = entries(closed)

    assert COMMANDS - 1 == len(known)
    assert halted(closed)


def halted(specimen):
    journal = open_journal(specimen.copy, lambda call: call())
    try:
        return journal.state_of(ALIAS).state is TradingState.HALTED
    finally:
        journal.close()


# --- looking only -----------------------------------------------------------------------------


def test_a_check_counts_what_is_there(specimen):
    found = check_journal(path_of(specimen))

    assert (COMMANDS, set(OPEN), specimen.expected[0]) == (
        found.commands,
        set(found.open_ids),
        found.epoch,
    )


def test_a_check_can_be_made_while_a_relay_writes(closed):
    journal = open_journal(closed.copy, lambda call: call())
    try:
        journal.reserve([make_entry("a/new")], lambda _: None)
        found = check_journal(path_of(closed))
    finally:
        journal.close()

    assert found.commands >= COMMANDS


def test_a_check_of_a_damaged_journal_says_what_to_do(closed):
    damage_a_record(closed)
    with pytest.raises(JournalError, match=r"a/3.*bridge journal quarantine"):
        check_journal(path_of(closed))


def test_a_check_makes_nothing(tmp_path):
    with pytest.raises(JournalError, match="no journal yet"):
        check_journal(tmp_path / NAME)

    assert [] == list(tmp_path.iterdir())


def test_a_new_journal_is_written_like_any_other(closed):
    damage_a_record(closed)
    move_away(closed)
    store = SqliteStore(path_of(closed), deliver=lambda call: call(), spare_bytes=0)
    journal = Journal(store)
    journal.load()
    journal.close()

    assert not list(closed.copy.glob("*.new*"))
