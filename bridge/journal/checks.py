"""Whether a journal's file can be believed: looked at through a connection that only reads.

SQLite changes a file when it is opened for writing: a log with a damaged frame is taken into the
file up to there, and the rest of it is deleted. So a file is looked at first, and what is doubtful
is left as it was found: it may be all that is known of somebody's orders.
"""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from bridge.exceptions import JournalError
from bridge.journal.lock import MOVE_AWAY
from bridge.journal.schema import (
    APPLICATION_ID,
    DDL,
    SCHEMA_VERSION,
    body_of,
    check_audit,
    check_command,
    check_event_key,
    meta_of,
)

__all__ = [
    "NEWER_VERSION",
    "Inspection",
    "check_header",
    "check_indexes",
    "check_rows",
    "check_schema",
    "connect_reader",
    "explained",
    "inspect",
    "is_damage",
    "is_empty",
    "is_full",
    "take_back",
]

#: What to do about a version that is too high.
NEWER_VERSION: Final = (
    "start the newer version of the bridge again that wrote it; if there never was one here, the "
    "number is damaged: 'bridge journal quarantine --damaged-version'"
)
_HEADER: Final = b"SQLite format 3\0"

_NEXT_COMMANDS: Final = "SELECT * FROM commands WHERE command_id > ? ORDER BY command_id LIMIT 500"
_NEXT_TRADE: Final = """
    SELECT * FROM trade WHERE (alias, seq) > (?, ?) ORDER BY alias, seq LIMIT 500
"""
_NEXT_EVENT_KEYS: Final = """
    SELECT * FROM event_keys WHERE (login, server, kind, ticket, state) > (?, ?, ?, ?, ?)
    ORDER BY login, server, kind, ticket, state LIMIT 500
"""
_NEXT_AUDIT: Final = "SELECT * FROM audit WHERE id > ? ORDER BY id LIMIT 500"
#: Counted to the bound only.
_ROWS: Final = """
    SELECT (SELECT count(*) FROM (SELECT 1 FROM commands LIMIT ?1))
        + (SELECT count(*) FROM (SELECT 1 FROM event_keys LIMIT ?1))
        + (SELECT count(*) FROM (SELECT 1 FROM trade LIMIT ?1))
"""
#: What is read in parts: the next rows, what is before the first one, what looks at one.
_CHECKED: Final[tuple[tuple[str, tuple[Any, ...], Callable[[tuple[Any, ...]], object]], ...]] = (
    (_NEXT_COMMANDS, ("",), check_command),
    (_NEXT_TRADE, ("", 0), body_of),
    (_NEXT_EVENT_KEYS, (-(2**63), "", 0, 0, ""), check_event_key),
    (_NEXT_AUDIT, (-(2**63),), check_audit),
)


class Inspection(NamedTuple):
    """
    What a file that can be believed says of itself. ``rows`` is counted to a bound.
    """

    version: int
    epoch: int
    commits: int
    rows: int


def check_header(path: Path, mark: int) -> bool:
    """
    Return whether there is a file with something in it.

    Raises:
        JournalError: it is no database, or it is gone.
    """
    try:
        with path.open("rb") as file:
            header = file.read(len(_HEADER))
    except FileNotFoundError:
        header = b""
    if not header and mark:
        raise JournalError(f"the journal is gone or empty, but {mark} were acknowledged")
    if header not in (b"", _HEADER):
        raise JournalError("the file is not a journal, or its beginning is damaged")
    return bool(header)


def take_back(path: Path) -> None:
    """
    Take back a transaction that a loss of power cut off before there was a write-ahead log.

    Nothing can be read before that is done, and a connection that only reads cannot do it.
    """
    if not path.with_name(path.name + "-journal").exists():
        return
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()


def connect_reader(path: Path) -> sqlite3.Connection:
    """
    Return a connection that cannot change the file, nor take its log into it.
    """
    # Serialized by SQLite itself: it is made in one thread and used in another.
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=64,
    )
    # What is not text any more must get as far as its checksum.
    connection.text_factory = _text
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def is_empty(reader: sqlite3.Connection, mark: int) -> bool:
    """
    Return whether nothing was ever written: the program ended while it made the file.

    Raises:
        JournalError: something was, and is gone.
    """
    [(application,)] = reader.execute("PRAGMA application_id").fetchall()
    [(version,)] = reader.execute("PRAGMA user_version").fetchall()
    [(tables,)] = reader.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    if tables or application or version:
        return False
    if mark:
        raise JournalError(f"the journal is empty, but {mark} were acknowledged")
    return True


def inspect(reader: sqlite3.Connection, mark: int, rows_max: int) -> Inspection:
    """
    Check pages, version and end of a file, and all records if they are at most ``rows_max``.

    Raises:
        JournalError: it is damaged, of another program or version, or has lost its end.
        sqlite3.Error: SQLite finds so.
    """
    [(application,)] = reader.execute("PRAGMA application_id").fetchall()
    [(version,)] = reader.execute("PRAGMA user_version").fetchall()
    if application != APPLICATION_ID:
        raise JournalError("the file is a database, but not a journal of this program")
    if version > SCHEMA_VERSION:
        raise JournalError(
            f"the journal has version {version}, this program knows up to {SCHEMA_VERSION}",
            hint=NEWER_VERSION,
        )
    if version < 1:
        raise JournalError(f"the journal has the unknown version {version}")
    if version == SCHEMA_VERSION:
        check_schema(reader)
    [(rows,)] = reader.execute(_ROWS, (rows_max + 1,)).fetchall()
    if rows <= rows_max:
        check_indexes(reader)
    else:
        _check_pages(reader, "quick_check")
    meta = dict(meta_of(row) for row in reader.execute("SELECT * FROM meta").fetchall())
    if "epoch" not in meta or "commits" not in meta:
        raise JournalError("the journal has no epoch")
    commits = meta["commits"]
    if commits < mark:
        raise JournalError(
            f"the journal ends at transaction {commits}, but {mark} were acknowledged: "
            "it is an older copy, or the end of its log is lost"
        )
    if rows <= rows_max:
        for _ in check_rows(reader, version):
            pass
    return Inspection(version, meta["epoch"], commits, rows)


def schema_of(connection: sqlite3.Connection) -> frozenset[tuple[str, str, str, str]]:
    """
    Return what a database says of its tables and indexes; blanks and letters' case do not count.
    """
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql > ''")
    return frozenset((*names, "".join(str(sql).split()).upper()) for *names, sql in rows)


@functools.cache
def schema_made_by(statements: tuple[str, ...]) -> frozenset[tuple[str, str, str, str]]:
    """
    Return what a database says that these statements have made.
    """
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        for statement in statements:
            database.execute(statement)
        return schema_of(database)


def check_schema(connection: sqlite3.Connection) -> None:
    """
    Check that the tables are those of this program: a bit turned in what SQLite has written down
    about them, and it reads another column or no row, and says nothing.

    Raises:
        JournalError: they are not.
    """
    if schema_of(connection) != schema_made_by(DDL):
        raise JournalError("the journal is damaged: its tables are not those of this version")


def check_indexes(reader: sqlite3.Connection) -> None:
    """
    Check the pages, and that every index says what its table says: what one has lost is not found.

    Raises:
        JournalError: one does not.
    """
    _check_pages(reader, "integrity_check")


def check_rows(reader: sqlite3.Connection, version: int = SCHEMA_VERSION) -> Iterator[None]:
    """
    Check the checksum of every record, in parts.

    Raises:
        JournalError: a record is damaged.
    """
    # In parts: a long read would keep the log from being taken into the file.
    for sql, key, check in _CHECKED:
        if sql is _NEXT_AUDIT and version == 1:
            continue  # the audit had no checksums yet
        last = key
        while rows := reader.execute(sql, last).fetchall():
            for row in rows:
                check(row)
            last = rows[-1][: len(key)]
            yield


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """
    Every way in which a file can be wrong becomes a ``JournalError`` that says what to do.
    """
    may_write = "see that the disk has room and the user of the relay may write there"
    try:
        yield
    except JournalError as error:
        if not error.path:
            error.path = str(path)
            error.hint = error.hint or MOVE_AWAY
        raise
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if is_damage(error):
            raise JournalError(
                f"the journal is damaged: {error}", path=str(path), hint=MOVE_AWAY
            ) from None
        raise JournalError(
            f"the journal cannot be used: {error}", path=str(path), hint=may_write
        ) from None
    except OSError as error:
        raise JournalError(
            f"the journal cannot be used: {error.strerror or error}",
            path=str(path),
            hint=may_write,
        ) from None


def is_full(error: sqlite3.Error) -> bool:
    """
    Tell whether the disk has no room.
    """
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL


def is_damage(error: Exception) -> bool:
    """
    Tell whether the file is at fault, not the disk, a right or another program.
    """
    """
    Tell whether the content is wrong, and not the disk or the permissions.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or not isinstance(
        error, sqlite3.OperationalError
    )


def _check_pages(reader: sqlite3.Connection, pragma: str) -> None:
    found = reader.execute(f"PRAGMA {pragma}(1)").fetchall()
    if found != [("ok",)]:
        raise JournalError(f"the journal is damaged: {found[0][0]}")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
