"""The ledger of a terminal that trades: every command it ever took, and what became of it.

Theory of operation. An entry is written before its order is sent (the intent) and again when
the outcome is known; ``write`` returns when it is on the disk. Entries are never removed: a
terminal executes an id at most once, ever. The ledger also holds who the terminal is (its
incarnation and connection counter), the highest relay epoch it has accepted and the trading
state that it obeys.

Rule 1: the incarnation is made with the ledger and lost with it. Whoever kept it elsewhere
would say "never seen" of commands that a lost ledger had.
Rule 2: durability is not what was asked for but what was read back. A ledger that does not
keep what it writes is not ``durable``, and its terminal takes no order.
Rule 3: a ledger that has forgotten is worse than none: it would say "never seen" of what it
executed. Every row has a checksum (SQLite has none), and a file beside the ledger says how
many transactions it had at least. A ledger in doubt is refused and left as it was found.

What must change together: this file and ``mql5/Include/Bridge/Trade/``, which has the same
tables in the same file as ``Support/Identity.mqh``. Version 2 has the checksums.
"""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import sqlite3
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import msgpack

from bridge.exceptions import BridgeError, ConfigError, RemoteProtocolError
from bridge.journal.checks import connect_reader, is_damage, schema_made_by, schema_of, take_back
from bridge.journal.mark import MARK_SIZE, pack_mark, unpack_mark
from bridge.model.enums import TradeRequestActions
from bridge.model.trade import TradeRequest, asdict
from bridge.wire.fields import FieldError
from bridge.wire.messages import OrderRequest, Result, pack_message, unpack_message
from bridge.wire.spec import OrderOutcome, TradingState
from bridge.wire.structures import ORDER_REQUEST

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

__all__ = [
    "UNRESOLVED",
    "Ledger",
    "LedgerEntry",
    "LedgerError",
    "MemoryLedger",
    "SqliteLedger",
    "content_of",
]

_INCARNATION_SIZE: Final = 16
#: ``PRAGMA user_version`` of the tables below.
_SCHEMA_VERSION: Final = 2
_BUSY_TIMEOUT_S: Final = 5.0
#: Journals that are synced with every commit when ``synchronous`` is FULL. One that is deleted
#: comes back when its folder was not synced, and takes the transaction back.
_SYNCED_JOURNALS: Final = frozenset({"wal", "truncate", "persist"})
_FULL: Final = 2

#: Outcomes that are no end: evidence is looked for.
UNRESOLVED: Final = frozenset({int(OrderOutcome.INTENT), int(OrderOutcome.UNKNOWN)})
#: Actions on what is there already.
_OF_ANOTHERS: Final = frozenset(
    {TradeRequestActions.SLTP, TradeRequestActions.MODIFY, TradeRequestActions.REMOVE}
)


class LedgerError(BridgeError):
    """
    The ledger could not be read or written; the sentence says why.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """
    One command.

    ``content`` is what two NEW of one id must have in common. ``sent`` is what ``OrderSend``
    was given. ``before`` are the values that a modification or a close-by was about to change,
    in the order that ``trading_evidence`` reads them in. ``intent_msc`` is the server's clock
    when the intent was written. ``result`` is the last RESULT, ``None`` while there is only
    the intent.
    """

    command_id: str
    tag: str
    flags: int
    request: OrderRequest
    sent: TradeRequest
    before: tuple[float, ...] = ()
    intent_msc: int
    result: Result | None = None

    @property
    def outcome(self) -> OrderOutcome:
        """
        What became of it, as far as it is known.
        """
        return OrderOutcome.INTENT if self.result is None else OrderOutcome(self.result.outcome)

    @property
    def order(self) -> int:
        """
        The ticket of its order at the broker, 0 while it is not known.
        """
        return 0 if self.result is None else self.result.order

    @property
    def made_order(self) -> int:
        """
        The same, if it made that order: who changes or cancels one tells of another command's.
        """
        return 0 if self.request.action in _OF_ANOTHERS else self.order

    @property
    def content(self) -> bytes:
        """
        What another NEW of this id must be equal in.
        """
        return content_of(self.tag, self.flags, self.request)

    def with_result(self, result: Result) -> LedgerEntry:
        """
        Return the entry with a later RESULT.
        """
        return dataclasses.replace(self, result=result)


def content_of(tag: str, flags: int, request: OrderRequest) -> bytes:
    """
    Return the bytes in which two NEW of one id must be equal: not when and by whom they were
    sent, but what they ask for.
    """
    packed: bytes = msgpack.packb([tag, flags, list(request)])
    return packed


class Ledger(Protocol):
    """
    What the trading side of a terminal needs of its ledger.

    Every method that reads or writes commands may raise ``LedgerError``.
    """

    #: 16 bytes, made when the ledger was made
    incarnation: bytes
    #: whether what is written survives a power failure, as it was read back
    durable: bool
    #: the last one used; raised and committed before a connection
    connection_counter: int
    #: highest fencing epoch of a relay that was accepted, 0 for none
    relay_epoch_seen: int
    trading_state: TradingState

    def commit_counter(self, connection_counter: int) -> None:
        """
        Write a connection counter, before it is used.
        """

    def commit_epoch(self, relay_epoch: int) -> None:
        """
        Write the epoch of an accepted relay, before a command of it is executed.
        """

    def commit_state(self, state: TradingState) -> None:
        """
        Write the trading state that holds from now on.
        """

    def find(self, command_id: str) -> LedgerEntry | None:
        """
        Return the entry of a command.
        """

    def find_tag(self, tag: str) -> LedgerEntry | None:
        """
        Return the entry whose order has this comment.
        """

    def find_order(self, order: int) -> LedgerEntry | None:
        """
        Return the entry that made the order with this ticket.
        """

    def unresolved(self) -> list[LedgerEntry]:
        """
        Return the entries without an end, oldest first.
        """

    def count_since(self, server_msc: int) -> int:
        """
        Return how many intents were written after a time of the server's clock.
        """

    def write(self, entry: LedgerEntry) -> None:
        """
        Add an entry or replace it; it is on the disk when this returns.
        """


class MemoryLedger:
    """
    A ledger without a disk, for tests: it lasts as long as the object.

    ``broken``: every write fails, as with a full disk.
    """

    def __init__(self, incarnation: bytes, *, durable: bool = True) -> None:
        self.incarnation = incarnation
        self.durable = durable
        self.connection_counter = 0
        self.relay_epoch_seen = 0
        self.trading_state = TradingState.ACTIVE
        self.broken = False
        #: how many writes there were
        self.writes = 0
        self._entries: dict[str, LedgerEntry] = {}

    def commit_counter(self, connection_counter: int) -> None:
        self._write()
        self.connection_counter = connection_counter

    def commit_epoch(self, relay_epoch: int) -> None:
        self.relay_epoch_seen = max(self.relay_epoch_seen, relay_epoch)
        self._write()

    def commit_state(self, state: TradingState) -> None:
        self.trading_state = state
        self._write()

    def find(self, command_id: str) -> LedgerEntry | None:
        return self._entries.get(command_id)

    def find_tag(self, tag: str) -> LedgerEntry | None:
        return next((entry for entry in self._entries.values() if entry.tag == tag), None)

    def find_order(self, order: int) -> LedgerEntry | None:
        if not order:
            return None
        return next((entry for entry in self._entries.values() if entry.made_order == order), None)

    def unresolved(self) -> list[LedgerEntry]:
        found = [entry for entry in self._entries.values() if int(entry.outcome) in UNRESOLVED]
        return sorted(found, key=lambda entry: entry.intent_msc)

    def count_since(self, server_msc: int) -> int:
        return sum(1 for entry in self._entries.values() if entry.intent_msc > server_msc)

    def write(self, entry: LedgerEntry) -> None:
        self._write()
        self._entries[entry.command_id] = entry

    def _write(self) -> None:
        if self.broken:
            raise LedgerError("the ledger cannot be written: it is broken")
        self.writes += 1


class SqliteLedger:
    """
    A ledger in a SQLite file, one for each alias and login.

    Used in one thread at a time; ``close`` it.

    Args:
        path: the file; made when it is not there, with a new incarnation.

    Raises:
        ConfigError: the file cannot be opened, is damaged, has lost its end, or is of a later
            version.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.incarnation = b""
        self.durable = False
        self.connection_counter = 0
        self.relay_epoch_seen = 0
        self.trading_state = TradingState.HALTED
        self._commits = 0
        self._mark = self.path.with_name(self.path.name + ".mark")
        try:
            # Before a connection that may write changes it.
            self._inspect()
            self._database = sqlite3.connect(
                self.path,
                timeout=_BUSY_TIMEOUT_S,
                isolation_level=None,
                # Made in one thread, used in the terminal's, never in both at a time.
                check_same_thread=False,
            )
        except (sqlite3.Error, OSError) as error:
            raise self._refusal(f"the ledger cannot be opened: {error}") from error
        try:
            self._open()
        except (sqlite3.Error, OSError) as error:
            self._database.close()
            raise self._unusable(error) from error
        except ConfigError:
            self._database.close()
            raise

    def close(self) -> None:
        """
        Close the file; the ledger must not be used any more.
        """
        self._database.close()

    def commit_counter(self, connection_counter: int) -> None:
        self._commit_identity(connection_counter, self.relay_epoch_seen)
        self.connection_counter = connection_counter

    def commit_epoch(self, relay_epoch: int) -> None:
        # In memory at once: an older relay is not accepted any more, whatever the disk says.
        self.relay_epoch_seen = max(self.relay_epoch_seen, relay_epoch)
        self._commit_identity(self.connection_counter, self.relay_epoch_seen)

    def commit_state(self, state: TradingState) -> None:
        self.trading_state = state
        row = (1, int(state))
        self._commit([("UPDATE trading SET state=?", row[1:]), _check("trading", row)])

    def find(self, command_id: str) -> LedgerEntry | None:
        return self._first("command_id=?", command_id)

    def find_tag(self, tag: str) -> LedgerEntry | None:
        return self._first("tag=?", tag)

    def find_order(self, order: int) -> LedgerEntry | None:
        if not order:
            return None
        entries = self._select("order_ticket=? ORDER BY intent_msc", _signed(order))
        return next((entry for entry in entries if entry.made_order == order), None)

    def unresolved(self) -> list[LedgerEntry]:
        return self._select("outcome IN (?,?) ORDER BY intent_msc", *sorted(UNRESOLVED))

    def count_since(self, server_msc: int) -> int:
        try:
            row = self._database.execute(
                "SELECT COUNT(*) FROM commands WHERE intent_msc>?", (server_msc,)
            ).fetchone()
        except sqlite3.Error as error:
            raise LedgerError(f"the ledger cannot be read: {error}") from error
        return int(row[0])

    def write(self, entry: LedgerEntry) -> None:
        row = (
            entry.command_id,
            entry.tag,
            entry.content,
            msgpack.packb([list(asdict(entry.sent).values()), list(entry.before)]),
            entry.intent_msc,
            int(entry.outcome),
            _signed(entry.order),
            None if entry.result is None else pack_message(entry.result),
        )
        self._commit([(_REPLACE_COMMAND, (*row, _crc(row)))])

    # --- inside ------------------------------------------------------------------------

    def _inspect(self) -> None:
        # Raises OSError when the folder is not there: nothing could be made in it.
        mark = unpack_mark(self._mark.read_bytes()[:MARK_SIZE]) if self._mark.exists() else 0
        if mark is None:
            raise self._refusal(
                "the mark of the ledger's last transaction is damaged",
                hint=f"if the ledger is no older copy, delete {self._mark.name}",
            )
        if not self.path.exists():
            # A new one, with an incarnation of its own: nobody takes it for the one that is lost.
            return
        if not self.path.stat().st_size:
            if mark:
                raise self._refusal(f"the ledger is empty, but had {mark} transactions")
            return
        try:
            take_back(self.path)
            with contextlib.closing(connect_reader(self.path)) as reader:
                self._check(reader, mark)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            # SQLite's own words can have bytes of a damaged name in them.
            raise self._unusable(error) from None

    def _check(self, reader: sqlite3.Connection, mark: int) -> None:
        version = _value(reader, "PRAGMA user_version")
        if version > _SCHEMA_VERSION:
            raise self._refusal(
                f"the ledger is of version {version}, this program knows {_SCHEMA_VERSION}",
                hint="use the newer program",
            )
        # Also the indexes: an entry that is not found by its tag counts as not executed.
        if _value(reader, "PRAGMA integrity_check(1)") != "ok":
            raise self._refusal("the ledger is damaged")
        commits = 0
        if version == _SCHEMA_VERSION:
            # A bit turned in what SQLite has written down of its tables: it reads other columns.
            if schema_of(reader) != schema_made_by(_TABLES):
                raise self._refusal(
                    "the ledger is damaged: its tables are not those of its version"
                )
            for row in reader.execute("SELECT * FROM commands"):
                if not _is_sound(row):
                    raise self._refusal(f"the ledger is damaged: the entry of {row[0]!r}")
            checks = {name: rest for name, *rest in reader.execute("SELECT * FROM checks")}
            for table in ("identity", "trading"):
                rows = reader.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608  # names of this file
                value, crc = checks.get(table, (0, None))
                # Only "commits" has a value: in another row it is a turned bit.
                if value != 0 or len(rows) != 1 or not _is_sound((*rows[0], crc)):
                    raise self._refusal(f"the ledger is damaged: its {table}")
            commits, crc = checks.get("commits", (0, None))
            if not _is_sound(("commits", commits, crc)):
                raise self._refusal("the ledger is damaged: the number of its transactions")
        if commits < mark:
            raise self._refusal(
                f"the ledger ends at transaction {commits}, but had {mark}: it is an older copy, "
                "or the end of its log is lost"
            )

    def _open(self) -> None:
        journal = str(self._read("PRAGMA journal_mode=WAL")).lower()
        self._database.execute("PRAGMA synchronous=FULL")
        synchronous = self._read("PRAGMA synchronous")
        self.durable = synchronous >= _FULL and journal in _SYNCED_JOURNALS
        if self._read("PRAGMA user_version") < _SCHEMA_VERSION:
            self._make_tables()
        incarnation, self.connection_counter, epoch = self._database.execute(
            "SELECT incarnation,connection_counter,relay_epoch_seen FROM identity"
        ).fetchone()
        self.incarnation = _incarnation(incarnation)
        self.relay_epoch_seen = _unsigned(epoch)
        state = self._read("SELECT state FROM trading")
        # One of a later version leaves the safe one.
        with contextlib.suppress(ValueError):
            self.trading_state = TradingState(state)
        self._commits = self._read("SELECT value FROM checks WHERE name='commits'")
        # A ledger that may not be written is refused now, not at the first order.
        self._database.execute("BEGIN IMMEDIATE")
        self._database.execute("UPDATE checks SET value=value WHERE name='commits'")
        self._database.execute("ROLLBACK")
        self._write_mark()

    def _make_tables(self) -> None:
        # New ones, or those of version 1 and of the EA's Identity.mqh, which have no checksums.
        database = self._database
        database.execute("BEGIN IMMEDIATE")
        with database:
            columns = [row[1] for row in database.execute("PRAGMA table_info(commands)")]
            rows: list[tuple[Any, ...]] = []
            if columns and "crc" not in columns:
                # Made anew: what SQLite has written down of a table is looked at as it stands.
                rows = database.execute("SELECT * FROM commands").fetchall()
                database.execute("DROP TABLE commands")
            for statement in _TABLES:
                database.execute(statement)
            database.executemany(_REPLACE_COMMAND, [(*row, _crc(row)) for row in rows])
            # A counter that begins with the seconds since 1970 is higher than all that a lost
            # ledger of this terminal used: it is in the nonce, which must not repeat.
            database.execute(
                "INSERT OR IGNORE INTO identity VALUES(1,?,?,0)",
                (secrets.token_hex(_INCARNATION_SIZE), int(time.time())),
            )
            database.execute("INSERT OR IGNORE INTO trading VALUES(1,0)")
            for table in ("identity", "trading"):
                [row] = database.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608  # names of this file
                database.execute(*_check(table, row))
            database.execute(_PUT_CHECK, ("commits", 1, _crc(("commits", 1))))
            database.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")
            if schema_of(database) != schema_made_by(_TABLES):
                raise self._refusal("the ledger's tables are not those of an older version")

    def _read(self, query: str) -> Any:
        return _value(self._database, query)

    def _commit_identity(self, connection_counter: int, relay_epoch: int) -> None:
        row = (1, self.incarnation.hex(), connection_counter, _signed(relay_epoch))
        update = "UPDATE identity SET connection_counter=?,relay_epoch_seen=?"
        self._commit([(update, row[2:]), _check("identity", row)])

    def _commit(self, statements: Sequence[_Statement]) -> None:
        commits = self._commits + 1
        database = self._database
        try:
            database.execute("BEGIN IMMEDIATE")
            with database:
                for statement, values in statements:
                    database.execute(statement, values)
                database.execute(_PUT_CHECK, ("commits", commits, _crc(("commits", commits))))
            self._commits = commits
            # Before anybody is told: a later start must find at least this.
            self._write_mark()
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(f"the ledger cannot be written: {error}") from error

    def _write_mark(self) -> None:
        with self._mark.open("r+b" if self._mark.exists() else "wb", buffering=0) as file:
            file.write(pack_mark(self._commits))

    def _first(self, condition: str, value: int | str) -> LedgerEntry | None:
        entries = self._select(f"{condition} ORDER BY intent_msc LIMIT 1", value)
        return entries[0] if entries else None

    def _select(self, condition: str, *values: int | str) -> list[LedgerEntry]:
        try:
            rows = self._database.execute(
                f"SELECT * FROM commands WHERE {condition}",  # noqa: S608  # conditions of this file, values bound
                values,
            ).fetchall()
            return [_entry(row) for row in rows]
        except (
            sqlite3.Error,
            msgpack.UnpackException,
            ValueError,
            TypeError,
            FieldError,
            RemoteProtocolError,
        ) as error:
            raise LedgerError(f"the ledger cannot be read: {error}") from error

    def _unusable(self, error: Exception) -> ConfigError:
        if isinstance(error, OSError) or not is_damage(error):
            return self._refusal(
                f"the ledger cannot be used: {error}",
                hint="see that the disk has room and the user of the terminal may write there",
            )
        return self._refusal(f"the ledger is damaged or cannot be read: {error}")

    def _refusal(self, problem: str, *, hint: str = "") -> ConfigError:
        return ConfigError(
            problem,
            source=str(self.path),
            hint=hint or f"move {self.path.name}* away: the terminal then begins as a new one",
        )


_IDENTITY_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS identity(id INTEGER PRIMARY KEY CHECK(id=1),"
    "incarnation TEXT NOT NULL,connection_counter INTEGER NOT NULL,"
    "relay_epoch_seen INTEGER NOT NULL)"
)
_TRADING_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS trading(id INTEGER PRIMARY KEY CHECK(id=1),state INTEGER NOT NULL)"
)
_COMMANDS_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS commands(command_id TEXT PRIMARY KEY,tag TEXT NOT NULL,"
    "content BLOB NOT NULL,attempt BLOB NOT NULL,intent_msc INTEGER NOT NULL,"
    "outcome INTEGER NOT NULL,order_ticket INTEGER NOT NULL,result BLOB,"
    "crc INTEGER NOT NULL) WITHOUT ROWID"
)
#: Checksums of the rows of ``identity`` and ``trading``, and how many transactions there were.
_CHECKS_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS checks(name TEXT PRIMARY KEY,value INTEGER NOT NULL,"
    "crc INTEGER NOT NULL) WITHOUT ROWID"
)
_TABLES: Final = (
    _IDENTITY_TABLE,
    _TRADING_TABLE,
    _COMMANDS_TABLE,
    _CHECKS_TABLE,
    "CREATE INDEX IF NOT EXISTS commands_tag ON commands(tag)",
    "CREATE INDEX IF NOT EXISTS commands_order ON commands(order_ticket)",
    "CREATE INDEX IF NOT EXISTS commands_outcome ON commands(outcome)",
    "CREATE INDEX IF NOT EXISTS commands_intent ON commands(intent_msc)",
)


_PUT_CHECK: Final = "INSERT OR REPLACE INTO checks VALUES(?,?,?)"
_REPLACE_COMMAND: Final = "INSERT OR REPLACE INTO commands VALUES(?,?,?,?,?,?,?,?,?)"

_Statement: TypeAlias = "tuple[str, tuple[Any, ...]]"


def _value(database: sqlite3.Connection, query: str) -> Any:
    row = database.execute(query).fetchone()
    return None if row is None else row[0]


def _crc(columns: Iterable[Any]) -> int:
    return zlib.crc32(msgpack.packb(list(columns)))


def _check(table: str, row: tuple[Any, ...]) -> _Statement:
    return _PUT_CHECK, (table, 0, _crc(row))


def _is_sound(row: tuple[Any, ...]) -> bool:
    try:
        return bool(_crc(row[:-1]) == row[-1])
    except (TypeError, ValueError, OverflowError):
        return False


def _entry(row: tuple[Any, ...]) -> LedgerEntry:
    command_id, _, content, attempt, intent_msc, _, _, result, _ = row
    if not _is_sound(row):
        raise ValueError(f"the entry of {command_id!r} is damaged")
    tag, flags, request = msgpack.unpackb(content)
    sent, before = msgpack.unpackb(attempt)
    names = (field.name for field in dataclasses.fields(TradeRequest))
    return LedgerEntry(
        command_id=command_id,
        tag=tag,
        flags=flags,
        request=ORDER_REQUEST.check(request, "request"),
        sent=TradeRequest(**dict(zip(names, sent, strict=True))),
        before=tuple(before),
        intent_msc=intent_msc,
        result=None if result is None else unpack_message(Result, result),
    )


def _incarnation(text: str) -> bytes:
    try:
        incarnation = bytes.fromhex(text)
    except (ValueError, TypeError):
        incarnation = b""
    if len(incarnation) != _INCARNATION_SIZE:
        raise sqlite3.DatabaseError("the incarnation is damaged")
    return incarnation


def _signed(value: int) -> int:
    # SQLite's integers are signed: the bits are those of the unsigned value.
    return value - 2**64 if value >= 2**63 else value


def _unsigned(value: int) -> int:
    return value + 2**64 if value < 0 else value
