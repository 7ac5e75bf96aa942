"""The way out of a journal in doubt: its files are moved away, a new one keeps what can be believed.

Nothing is deleted. Every command whose record is sound goes into the new journal, so its id stays
known; one without an end is asked for when its terminal is there. What cannot be read is counted
where that is possible, and told. Trading is HALTED in the new journal until a person resumes it.

Rule 1: a kill in between leaves something that a relay refuses, never an empty journal that it
takes for a new one. So the mark stays behind until the new file is in its place.
Rule 2: a journal that can be believed is not touched.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from bridge.exceptions import JournalError
from bridge.journal.checks import (
    NEWER_VERSION,
    check_header,
    connect_reader,
    explained,
    inspect,
    is_damage,
    is_empty,
)
from bridge.journal.entry import AliasState, Audit
from bridge.journal.lock import JournalLock, read_mark
from bridge.journal.schema import (
    SCHEMA_VERSION,
    cursor_of,
    entry_of,
    event_key_of,
    meta_of,
)
from bridge.journal.sqlite import SqliteStore
from bridge.journal.store import (
    PutAudit,
    PutCursor,
    PutEntry,
    PutEventKey,
    PutState,
    Write,
)
from bridge.wire.spec import TradingState

__all__ = ["Checked", "Quarantined", "check_journal", "quarantine"]

_ALL: Final = 2**62
_GROUP: Final = 256
_REASON: Final = "the journal was in doubt and was moved away"
#: Each with what reads a row, and turned round: behind a hole the other end can still be read.
_TABLES: Final[dict[str, tuple[str, Callable[[tuple[Any, ...]], Write]]]] = {
    "commands": ("command_id", lambda row: PutEntry(entry_of(row))),
    "cursors": ("login, server", lambda row: PutCursor(*cursor_of(row))),
    "event_keys": (
        "login, server, kind, ticket, state",
        lambda row: PutEventKey(*event_key_of(row)),
    ),
}


class Checked(NamedTuple):
    """
    A journal that can be believed: how much is in it. ``open_ids``: commands without an end.
    """

    path: Path
    epoch: int
    commits: int
    commands: int
    open_ids: tuple[str, ...]


class Quarantined(NamedTuple):
    """
    What became of a journal in doubt.

    ``commands`` are kept in the new one, ``open_ids`` of them without an end. ``damaged``: records
    that were there and could not be believed; ``whole``: all the others could be read.
    ``lost_commits``: so many transactions were acknowledged and are missing at the end.
    """

    path: Path
    problem: str
    moved_to: Path
    commands: int
    open_ids: tuple[str, ...]
    damaged: int
    whole: bool
    lost_commits: int
    halted: tuple[str, ...]


def check_journal(path: Path) -> Checked:
    """
    Look at every record of a journal; a relay may have it open meanwhile.

    Raises:
        JournalError: there is none, or it is in doubt; the hint says what to do.
    """
    with explained(path):
        mark = read_mark(path)
        if not check_header(path, mark):
            raise JournalError("there is no journal yet", hint="a relay makes it when it starts")
        reader = connect_reader(path)
        with contextlib.closing(reader):
            # One moment of a file that grows.
            reader.execute("BEGIN")
            if is_empty(reader, mark):
                raise JournalError("the journal is empty", hint="a relay makes it when it starts")
            found = inspect(reader, mark, _ALL)
            [(commands,)] = reader.execute("SELECT count(*) FROM commands").fetchall()
            names = reader.execute(
                "SELECT command_id FROM commands WHERE NOT final ORDER BY reserved"
            )
            return Checked(
                path, found.epoch, found.commits, commands, tuple(name for (name,) in names)
            )


def quarantine(
    path: Path,
    aliases: Sequence[str],
    *,
    who: str,
    now_utc_msc: int,
    damaged_version: bool = False,
) -> Quarantined:
    """
    Move a journal in doubt away and begin a new one with all of it that can be believed.

    ``aliases``: the terminals that are halted, besides those that the journal knows.
    ``damaged_version``: there never was a newer version here; a version that is too high is damage.

    Raises:
        JournalError: a relay has it open, it is not in doubt, or the disk does not let us.
    """
    lock = JournalLock(path)
    mark = lock.acquire_in_doubt()
    try:
        with explained(path):
            problem = _doubt(path, mark, damaged_version=damaged_version)
            # From here on a kill leaves a journal that is gone, and a mark that says so.
            lock.write_mark(max(mark or 0, 1))
            lock.sync()
            fresh = path.with_name(path.name + ".new")
            if not path.exists() and fresh.exists():
                # An earlier one was killed when all of it was written.
                salvage = _Salvage(fresh)
                names, commits = salvage.aliases, salvage.commits
            else:
                _remove(fresh)
                salvage = _Salvage(path)
                names = {*aliases, *salvage.aliases}
                commits = _write_new(fresh, salvage, sorted(names), problem, who, now_utc_msc)
            moved_to = _move_away(path, now_utc_msc)
            fresh.replace(path)
            _remove(fresh)
            # The mark of the old one fits no new one: it must not be written before this is so.
            _sync_folder(path.parent)
            lock.write_mark(commits)
            lock.sync()
    finally:
        lock.release()
    lost = max(mark - salvage.commits, 0) if mark and salvage.commits else 0
    return Quarantined(
        path,
        problem,
        moved_to,
        salvage.commands,
        tuple(salvage.open_ids),
        salvage.damaged,
        salvage.whole,
        lost,
        tuple(sorted(names)),
    )


def _doubt(path: Path, mark: int | None, *, damaged_version: bool) -> str:
    # Why it is in doubt; raises when it is not, or when that is not the trouble.
    if mark is None:
        return "the mark of the last transaction is damaged"
    try:
        if check_header(path, mark):
            with contextlib.closing(connect_reader(path)) as reader:
                if not is_empty(reader, mark):
                    newer = _newer_version(reader)
                    if newer:
                        return _allowed(newer, path, damaged_version=damaged_version)
                    inspect(reader, mark, _ALL)
    except JournalError as error:
        if error.hint:
            raise
        return error.problem
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if not is_damage(error):
            raise
        return f"the journal is damaged: {error}"
    raise JournalError(
        "the journal is not in doubt: nothing was moved",
        path=str(path),
        hint="'bridge journal check' tells what is in it",
    )


def _newer_version(reader: sqlite3.Connection) -> str:
    [(version,)] = reader.execute("PRAGMA user_version").fetchall()
    if version <= SCHEMA_VERSION:
        return ""
    return f"the journal has version {version}, this program knows up to {SCHEMA_VERSION}"


def _allowed(problem: str, path: Path, *, damaged_version: bool) -> str:
    # Also when the rest is damaged: this program cannot say what it would lose.
    if damaged_version:
        return problem
    raise JournalError(problem, path=str(path), hint=NEWER_VERSION)


class _Salvage:
    """
    What can still be read of a journal, and believed.
    """

    def __init__(self, path: Path) -> None:
        self.writes: list[Write] = []
        self.aliases: set[str] = set()
        self.open_ids: list[str] = []
        self.commands = 0
        self.damaged = 0
        self.whole = True
        self.epoch = 0
        self.commits = 0
        try:
            reader = connect_reader(path)
        except sqlite3.Error:
            self.whole = False
            return
        with contextlib.closing(reader):
            for name, value in self._rows(reader, "meta", "name", meta_of):
                self.epoch = value if name == "epoch" else self.epoch
                self.commits = value if name == "commits" else self.commits
            for table, (key, read) in _TABLES.items():
                self.writes.extend(self._rows(reader, table, key, read))
        for write in self.writes:
            if isinstance(write, PutEntry):
                self.commands += 1
                self.aliases.add(write.entry.alias)
                if not write.entry.final:
                    self.open_ids.append(write.entry.command_id)

    def _rows(
        self,
        reader: sqlite3.Connection,
        table: str,
        key: str,
        read: Callable[[tuple[Any, ...]], Any],
    ) -> list[Any]:
        columns = len(key.split(","))
        found: dict[tuple[Any, ...], Any] = {}
        bad: set[tuple[Any, ...]] = set()
        for direction in ("ASC", "DESC"):
            order = ", ".join(f"{name} {direction}" for name in key.split(", "))
            complete = False
            try:
                # Not through an index: only the table itself is checked against its checksums.
                cursor = reader.execute(f"SELECT * FROM {table} NOT INDEXED ORDER BY {order}")  # noqa: S608 - our own names
                for row in cursor:
                    place = row[:columns]
                    try:
                        found[place] = read(row)
                    except JournalError:
                        bad.add(place)
                complete = True
            except (sqlite3.Error, UnicodeDecodeError):
                self.whole = False
            if complete:
                break
        self.damaged += len(bad)
        return list(found.values())


def _write_new(
    path: Path,
    salvage: _Salvage,
    aliases: Sequence[str],
    problem: str,
    who: str,
    now_utc_msc: int,
) -> int:
    # Returns how many transactions it has.
    errors: list[JournalError] = []
    epoch = max(now_utc_msc // 1000, salvage.epoch + 1)
    store = SqliteStore(path, deliver=lambda call: call(), new_epoch=epoch, spare_bytes=0)
    store.open()
    try:
        state = AliasState(TradingState.HALTED, _REASON, who, now_utc_msc)
        audit = PutAudit(Audit(now_utc_msc, who, "quarantine", path.stem, problem))
        last: list[Write] = [*(PutState(alias, state) for alias in aliases), audit]
        for group in [*_groups(salvage.writes), last]:
            done = threading.Event()

            def written(error: JournalError | None, done: threading.Event = done) -> None:
                if error is not None:
                    errors.append(error)
                done.set()

            store.write(group, written)
            done.wait()
            if errors:
                raise errors[0]
        return store.commits
    finally:
        store.close()


def _groups(writes: Sequence[Write]) -> Iterator[Sequence[Write]]:
    for at in range(0, len(writes), _GROUP):
        yield writes[at : at + _GROUP]


def _move_away(path: Path, now_utc_msc: int) -> Path:
    number = 0
    while True:
        folder = path.with_name(f"{path.name}.quarantined-{now_utc_msc // 1000 + number}")
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            number += 1
            continue
        break
    # The file itself last: without it there is nothing to see.
    for ending in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + ending).rename(folder / (path.name + ending))
    return folder


def _sync_folder(folder: Path) -> None:
    # Windows has no such call, and keeps the order of renames by itself.
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(path: Path) -> None:
    for ending in ("", "-wal", "-shm", ".lock"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
