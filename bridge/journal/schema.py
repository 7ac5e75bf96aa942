"""The tables of the journal's file: how writes become statements, and rows entries again.

Every row that money hangs on carries a CRC-32 over all of its columns: SQLite checks the shape of
its pages, not what stands in them. A command's row is its own index (WITHOUT ROWID), so an id that
is damaged is a row that is damaged.

What must change together: these tables, ``SCHEMA_VERSION`` and ``upgrade_1``. A program that finds a
higher version refuses the file and takes a lower one over; fields are appended to the packed entry
and verdict without a new one.

Version 2: checksums in the audit, and an index of what is open beside the column that says so:
one turned bit cannot hide an open command, also before all records were looked at.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

import msgpack

from bridge.exceptions import JournalError
from bridge.journal.entry import (
    Account,
    AliasState,
    Audit,
    Entry,
    EventKey,
    Verdict,
    pack_entry,
    pack_verdict,
    unpack_entry,
    unpack_verdict,
)
from bridge.journal.store import (
    PutAudit,
    PutCursor,
    PutEntry,
    PutEventKey,
    PutState,
    PutTrade,
    PutVerdict,
    RemoveOld,
    Write,
)
from bridge.wire.spec import TradingState
from bridge.wire.structures import EventCursor

__all__ = [
    "APPLICATION_ID",
    "DDL",
    "EVENT_KEYS_KEPT",
    "SCHEMA_VERSION",
    "TRADE_KEPT",
    "Statement",
    "audit_of",
    "body_of",
    "check_audit",
    "check_command",
    "check_event_key",
    "cursor_of",
    "entry_of",
    "event_key_of",
    "event_key_row",
    "meta_of",
    "meta_row",
    "state_of",
    "statements",
    "upgrade_1",
]

#: In the header of the file: "zbj1".
APPLICATION_ID: Final = 0x7A626A31
SCHEMA_VERSION: Final = 2

#: So many of the newest events of an alias can be replayed, however new they are.
TRADE_KEPT: Final = 20_000
#: So many event keys stay, however old: a terminal reads its history again from the last place.
EVENT_KEYS_KEPT: Final = 4_096
#: What one RemoveOld takes from a table: a removal must not keep an order waiting.
_REMOVED_AT_ONCE: Final = 500

_OPEN_INDEX: Final = "CREATE INDEX commands_open ON commands (reserved) WHERE NOT final"

_AUDIT_TABLE: Final = """CREATE TABLE audit (
        id INTEGER PRIMARY KEY, utc_msc INTEGER NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL,
        subject TEXT NOT NULL, text TEXT NOT NULL, crc INTEGER NOT NULL)"""

DDL: Final = (
    """CREATE TABLE meta (
        name TEXT PRIMARY KEY, value INTEGER NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE commands (
        command_id TEXT PRIMARY KEY, alias TEXT NOT NULL, parent TEXT NOT NULL, tag TEXT NOT NULL,
        sent INTEGER NOT NULL, reserved INTEGER NOT NULL, touched INTEGER NOT NULL,
        final INTEGER NOT NULL, entry BLOB NOT NULL, verdict BLOB NOT NULL, crc INTEGER NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX commands_tag ON commands (tag)",
    "CREATE INDEX commands_parent ON commands (parent) WHERE parent <> ''",
    "CREATE INDEX commands_touched ON commands (touched)",
    _OPEN_INDEX,
    """CREATE TABLE trade (
        alias TEXT NOT NULL, seq INTEGER NOT NULL, utc_msc INTEGER NOT NULL, body BLOB NOT NULL,
        crc INTEGER NOT NULL, PRIMARY KEY (alias, seq)) WITHOUT ROWID""",
    """CREATE TABLE event_keys (
        login INTEGER NOT NULL, server TEXT NOT NULL, kind INTEGER NOT NULL,
        ticket INTEGER NOT NULL, state TEXT NOT NULL, utc_msc INTEGER NOT NULL,
        crc INTEGER NOT NULL, PRIMARY KEY (login, server, kind, ticket, state)) WITHOUT ROWID""",
    "CREATE INDEX event_keys_utc_msc ON event_keys (utc_msc)",
    """CREATE TABLE cursors (
        login INTEGER NOT NULL, server TEXT NOT NULL, time_msc INTEGER NOT NULL,
        ticket INTEGER NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY (login, server)) WITHOUT ROWID""",
    """CREATE TABLE states (
        alias TEXT PRIMARY KEY, state INTEGER NOT NULL, reason TEXT NOT NULL, who TEXT NOT NULL,
        utc_msc INTEGER NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID""",
    _AUDIT_TABLE,
)

_INSERT_COMMAND: Final = "INSERT INTO commands VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
# The whole row: the old one may just have been removed for its age.
_REPLACE_COMMAND: Final = "INSERT OR REPLACE INTO commands VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_TRADE: Final = "INSERT INTO trade VALUES (?, ?, ?, ?, ?)"
_INSERT_EVENT_KEY: Final = "INSERT INTO event_keys VALUES (?, ?, ?, ?, ?, ?, ?)"
_REPLACE_CURSOR: Final = "INSERT OR REPLACE INTO cursors VALUES (?, ?, ?, ?, ?)"
_REPLACE_STATE: Final = "INSERT OR REPLACE INTO states VALUES (?, ?, ?, ?, ?, ?)"
_INSERT_AUDIT: Final = """
    INSERT INTO audit (utc_msc, who, action, subject, text, crc) VALUES (?, ?, ?, ?, ?, ?)
"""

# What may go is looked up in an index, and looked at again in its table.
_REMOVE_COMMANDS: Final = """
    DELETE FROM commands WHERE final AND touched < ?1 AND command_id IN (
        SELECT command_id FROM commands WHERE touched < ?1 AND final ORDER BY touched LIMIT ?2)
"""
# Of trade/ only a beginning goes, and never the newest: what is held has no holes, and the
# numbers go on from it. Of each alias the oldest are looked at, not all. One order of the loops
# (CROSS JOIN) and one end of each range: of several SQLite's versions choose differently, and
# one choice reads all rows.
_REMOVE_TRADE: Final = """
    WITH RECURSIVE names (alias) AS (
        SELECT min(alias) FROM trade
        UNION ALL
        SELECT (SELECT min(alias) FROM trade WHERE alias > names.alias)
        FROM names WHERE names.alias IS NOT NULL
    ), bound AS MATERIALIZED (
        SELECT alias,
            (SELECT min(seq) FROM trade WHERE alias = names.alias) + ?2 AS until,
            (SELECT max(seq) FROM trade WHERE alias = names.alias) AS newest
        FROM names WHERE alias IS NOT NULL
    ), old AS MATERIALIZED (
        SELECT bound.alias, max(held.seq) AS seq
        FROM bound CROSS JOIN trade AS held ON held.alias = bound.alias AND held.seq < bound.until
        WHERE held.utc_msc < ?1 OR held.seq <= bound.newest - ?3
        GROUP BY bound.alias
    )
    DELETE FROM trade WHERE (alias, seq) IN (
        SELECT held.alias, held.seq
        FROM old
        CROSS JOIN bound ON bound.alias = old.alias
        CROSS JOIN trade AS held
            ON held.alias = old.alias AND held.seq <= min(old.seq, bound.newest - 1))
"""
_REMOVE_EVENT_KEYS: Final = """
    DELETE FROM event_keys WHERE utc_msc < ?1 AND (login, server, kind, ticket, state) IN (
        SELECT login, server, kind, ticket, state FROM event_keys
        WHERE utc_msc < (SELECT utc_msc FROM event_keys ORDER BY utc_msc DESC LIMIT 1 OFFSET ?3)
        ORDER BY utc_msc LIMIT ?2)
"""

Statement: TypeAlias = tuple[str, tuple[Any, ...]]


def statements(write: Write) -> list[Statement]:
    """
    Return what a write does to the tables.

    Raises:
        ValueError: a field cannot be stored: a defect of the caller.
    """
    try:
        return _statements(write)
    except (TypeError, OverflowError, UnicodeError) as error:
        raise ValueError(f"cannot be journalled: {error}") from error


def _statements(write: Write) -> list[Statement]:
    match write:
        case PutEntry(entry):
            return [(_INSERT_COMMAND, _command(entry, entry.verdict))]
        case PutVerdict(entry, verdict):
            return [(_REPLACE_COMMAND, _command(entry, verdict))]
        case PutTrade(alias, seq, body, utc_msc):
            return [(_INSERT_TRADE, _with_crc((alias, seq, utc_msc, body)))]
        case PutEventKey(key, utc_msc):
            return [(_INSERT_EVENT_KEY, _with_crc((*event_key_row(key), utc_msc)))]
        case PutCursor(account, cursor):
            place = (_i64(account.login), account.server, cursor.time_msc, _i64(cursor.ticket))
            return [(_REPLACE_CURSOR, _with_crc(place))]
        case PutState(alias, state):
            row = (alias, int(state.state), state.reason, state.who, state.utc_msc)
            return [(_REPLACE_STATE, _with_crc(row))]
        case PutAudit(audit):
            return [(_INSERT_AUDIT, _with_crc(tuple(audit)))]
        case RemoveOld(utc_msc):
            # A part of them at a time.
            return [
                (_REMOVE_COMMANDS, (utc_msc, _REMOVED_AT_ONCE)),
                (_REMOVE_TRADE, (utc_msc, _REMOVED_AT_ONCE, TRADE_KEPT)),
                (_REMOVE_EVENT_KEYS, (utc_msc, _REMOVED_AT_ONCE, EVENT_KEYS_KEPT)),
            ]


def meta_row(name: str, value: int) -> tuple[Any, ...]:
    """
    Return the row of ``meta`` that gives a name its value.
    """
    return _with_crc((name, value))


def meta_of(row: tuple[Any, ...]) -> tuple[str, int]:
    """
    Return the name and the value of a row of ``meta``.

    Raises:
        JournalError: the row is damaged.
    """
    _check(row, f"the value {row[0]!r} of the journal")
    return row[0], row[1]


def check_event_key(row: tuple[Any, ...]) -> None:
    """
    Look at a row of ``event_keys``.

    Raises:
        JournalError: the row is damaged.
    """
    _check(row, f"what is known of event {row[3]!r}")


def check_command(row: tuple[Any, ...]) -> None:
    """
    Look at a row of ``commands``.

    Raises:
        JournalError: the row is damaged.
    """
    _check(row, f"the record of {row[0]!r}")


def check_audit(row: tuple[Any, ...]) -> None:
    """
    Look at a row of ``audit``.

    Raises:
        JournalError: the row is damaged.
    """
    _check(row[1:], f"line {row[0]!r} of the audit")


def event_key_of(row: tuple[Any, ...]) -> tuple[EventKey, int]:
    """
    Return the event of a row of ``event_keys``, and when it was taken.

    Raises:
        JournalError: the row is damaged.
    """
    check_event_key(row)
    login, server, kind, ticket, state, utc_msc = row[:6]
    return EventKey(Account(_u64(login), server), kind, _u64(ticket), state), utc_msc


def event_key_row(key: EventKey) -> tuple[Any, ...]:
    """
    Return the columns by which an event is known.
    """
    return _i64(key.account.login), key.account.server, key.kind, _i64(key.ticket), key.state


def entry_of(row: tuple[Any, ...]) -> Entry:
    """
    Return the entry of a row of ``commands``.

    Raises:
        JournalError: the row is damaged.
    """
    _check(row, f"the record of {row[0]!r}")
    try:
        verdict = unpack_verdict(row[9]) if row[9] else None
        return unpack_entry(row[8], verdict)
    except ValueError as error:
        raise JournalError(f"the record of {row[0]!r} cannot be read: {error}") from None


def body_of(row: tuple[Any, ...]) -> bytes:
    """
    Return the body of a row of ``trade``.

    Raises:
        JournalError: the row is damaged.
    """
    _check(row, f"event {row[1]} of trade/{row[0]}")
    body: bytes = row[3]
    return body


def cursor_of(row: tuple[Any, ...]) -> tuple[Account, EventCursor]:
    """
    Return what a row of ``cursors`` says.

    Raises:
        JournalError: the row is damaged.
    """
    _check(row, "the place in the event order of an account")
    return Account(_u64(row[0]), row[1]), EventCursor(row[2], _u64(row[3]))


def state_of(row: tuple[Any, ...]) -> tuple[str, AliasState]:
    """
    Return what a row of ``states`` says; a state that is not known is HALTED.

    Raises:
        JournalError: the row is damaged.
    """
    _check(row, f"the trading state of {row[0]!r}")
    try:
        state = TradingState(row[1])
    except ValueError:
        state = TradingState.HALTED
    return row[0], AliasState(state, row[2], row[3], row[4])


def audit_of(row: tuple[Any, ...]) -> Audit:
    """
    Return a row of ``audit``, without its number.

    Raises:
        JournalError: the row is damaged.
    """
    check_audit(row)
    return Audit(*row[1:-1])


def upgrade_1(audit: Iterable[tuple[Any, ...]]) -> list[Statement]:
    """
    Return what makes tables of version 1 those of version 2; ``audit`` are all rows of it.
    """
    return [
        (_OPEN_INDEX, ()),
        # Made anew: what SQLite has written down of a table is looked at, letter by letter.
        ("DROP TABLE audit", ()),
        (_AUDIT_TABLE, ()),
        *(
            ("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)", (number, *columns, _crc(columns)))
            for number, *columns in audit
        ),
    ]


def _command(entry: Entry, verdict: Verdict | None) -> tuple[Any, ...]:
    entry = dataclasses.replace(entry, verdict=verdict)
    return _with_crc(
        (
            entry.command_id,
            entry.alias,
            entry.parent,
            entry.tag,
            int(entry.request is not None),
            entry.reserved_utc_msc,
            entry.touched_utc_msc,
            int(entry.final),
            pack_entry(entry),
            pack_verdict(verdict) if verdict is not None else b"",
        )
    )


def _with_crc(columns: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*columns, _crc(columns))


def _crc(columns: Iterable[Any]) -> int:
    return zlib.crc32(msgpack.packb(list(columns)))


def _check(row: tuple[Any, ...], what: str) -> None:
    try:
        sound = _crc(row[:-1]) == row[-1]
    except (TypeError, ValueError, OverflowError):
        sound = False
    if not sound:
        raise JournalError(f"{what} is damaged")


# SQLite's integers have a sign, tickets and logins do not.


def _i64(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _u64(value: int) -> int:
    return value + 2**64 if value < 0 else value
