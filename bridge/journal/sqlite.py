"""The journal's file: SQLite in WAL mode, synced at every commit, written by one thread.

**Group commit**: what waits while a transaction is synced goes into the next one, so many orders
at once cost little more than one. Completions go back through ``deliver``, in their order.

**Doubt ends trading.** At the start: the lock, the pages (``quick_check``), the durability read
back, the version, the mark of the last acknowledged transaction, the checksum of what is open. A
large journal's other records are checked in the background. An error of the disk that is not "full"
ends the journal until the relay starts again: after a failed sync nobody knows what is on it.

**Disk full**: room is kept in a file of its own. When the disk is full it is given back, new risk
is refused, and verdicts, halts and closes can still be written. When there is room again, it is
kept again, and all is well.
"""

from __future__ import annotations

import contextlib
import functools
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from bridge.exceptions import JournalError
from bridge.journal.entry import Audit, Entry, EventKey
from bridge.journal.lock import JournalLock
from bridge.journal.schema import (
    APPLICATION_ID,
    DDL,
    SCHEMA_VERSION,
    Statement,
    audit_of,
    body_of,
    check_event_key,
    cursor_of,
    entry_of,
    event_key_row,
    meta_of,
    meta_row,
    state_of,
    statements,
)
from bridge.journal.spare import SpareRoom
from bridge.journal.store import (
    SENT_HORIZON_MSC,
    Deliver,
    Done,
    Loaded,
    TradeRange,
    Write,
)

__all__ = ["SPARE_BYTES", "SqliteStore"]

#: Kept for what must be written on a full disk.
SPARE_BYTES: Final = 16 * 1024 * 1024
#: One transaction takes at most so many writes: the first one waits for the last one's sync.
_GROUP_MAX: Final = 512
#: A journal of so many commands is checked before it is used, a larger one behind that.
_VERIFY_AT_ONCE: Final = 2_000
#: How often a full disk is tried for room.
_REFILL_EVERY_S: Final = 1.0
#: How many events are read at once.
_PAGE_ROWS: Final = 64
_HEADER: Final = b"SQLite format 3\0"
_SYNCHRONOUS_FULL: Final = 2

_MOVE_AWAY: Final = (
    "restore the newest copy of it, or move all files {name}* away and begin a new one: "
    "then compare the terminals' orders and positions with your strategies before you trade on"
)


#: By the newest time in the journal: no clock is read here.
_SENT: Final = """
    SELECT alias, reserved FROM commands WHERE sent
        AND touched >= (SELECT max(touched) FROM commands) - ?1
        AND reserved >= (SELECT max(touched) FROM commands) - ?1
"""
_TRADE: Final = """
    SELECT * FROM trade WHERE alias = ? AND seq BETWEEN ? AND ? ORDER BY seq LIMIT ?
"""
#: Two questions: SQLite answers one that asks for both by reading every event.
_TRADE_RANGE: Final = """
    SELECT (SELECT min(seq) FROM trade WHERE alias = ?1),
        (SELECT max(seq) FROM trade WHERE alias = ?1)
"""
_TRADE_RANGES: Final = "SELECT alias, min(seq), max(seq), count(*) FROM trade GROUP BY alias"
_HAS_EVENT: Final = """
    SELECT 1 FROM event_keys
    WHERE login = ? AND server = ? AND kind = ? AND ticket = ? AND state = ?
"""


_NEXT_COMMANDS: Final = "SELECT * FROM commands WHERE command_id > ? ORDER BY command_id LIMIT 500"
_NEXT_EVENT_KEYS: Final = """
    SELECT * FROM event_keys WHERE (login, server, kind, ticket, state) > (?, ?, ?, ?, ?)
    ORDER BY login, server, kind, ticket, state LIMIT 500
"""
#: Counted to the bound only.
_ROWS: Final = """
    SELECT (SELECT count(*) FROM (SELECT 1 FROM commands LIMIT ?1))
        + (SELECT count(*) FROM (SELECT 1 FROM event_keys LIMIT ?1))
        + (SELECT count(*) FROM (SELECT 1 FROM trade LIMIT ?1))
"""
_NEXT_TRADE: Final = """
    SELECT * FROM trade WHERE (alias, seq) > (?, ?) ORDER BY alias, seq LIMIT 500
"""


class _Item(NamedTuple):
    statements: Sequence[Statement]
    done: Done
    generation: int


class SqliteStore:
    """
    Keeps the journal in one file; the folder must be on a local disk.

    ``deliver`` runs a call in the owner's thread (``loop.call_soon_threadsafe``).
    ``new_epoch`` is the epoch of a file that is made now, UTC's seconds unless given.
    """

    def __init__(
        self,
        path: Path,
        *,
        deliver: Deliver,
        new_epoch: int | None = None,
        spare_bytes: int = SPARE_BYTES,
    ) -> None:
        self.path = path
        self.deliver = deliver
        #: transactions so far, in the life of the file
        self.commits = 0
        #: set when every record of the file has been checked
        self.verified = threading.Event()
        self._new_epoch = new_epoch
        self._spare = SpareRoom(path, spare_bytes)
        self._lock = JournalLock(path)
        self._problem: JournalError | None = None
        self._broken = False
        self._generation = 0
        self._failed_generation = -1
        self._queue: deque[_Item] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._threads: list[threading.Thread] = []
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None

    @property
    def problem(self) -> JournalError | None:
        return self._problem

    # Start and end

    def open(self) -> Loaded:
        """
        Take the lock, check everything, start the writer, and return what a start needs.

        Raises:
            JournalError: it is another program's, damaged, of a newer version, not durable.
        """
        mark = self._lock.acquire()
        try:
            with self._explained():
                loaded, rows = self._open(mark)
        except BaseException:
            self._disconnect()
            self._lock.release()
            raise
        self._start(self._write_loop, "journal-writer")
        if rows > _VERIFY_AT_ONCE:
            self._start(self._verify_later, "journal-check")
        return loaded

    def close(self) -> None:
        """
        Write what waits, end the threads, and give the lock back.
        """
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        if self._writer is not None and not self._broken:
            with contextlib.suppress(sqlite3.Error):
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._disconnect()
        self._lock.release()

    def _open(self, mark: int) -> tuple[Loaded, int]:
        self._check_header(mark)
        writer = self._writer = self._connect()
        self._set_durable(writer)
        self._check_pages(writer)
        self._check_version(writer)
        meta = dict(meta_of(row) for row in writer.execute("SELECT * FROM meta").fetchall())
        if "epoch" not in meta or "commits" not in meta:
            raise JournalError("the journal has no epoch")
        self.commits = meta["commits"]
        if self.commits < mark:
            raise JournalError(
                f"the journal ends at transaction {self.commits}, but {mark} were acknowledged: "
                "it is an older copy, or the end of its log is lost"
            )
        reader = self._reader = self._connect()
        reader.execute("PRAGMA query_only = ON")
        if not self._spare.keep():
            self._problem = self._full(writable=True)
        loaded = self._load(reader, meta["epoch"])
        [(rows,)] = reader.execute(_ROWS, (_VERIFY_AT_ONCE + 1,)).fetchall()
        if rows <= _VERIFY_AT_ONCE:
            for _ in self._verify(reader):
                pass
            self.verified.set()
        self._lock.write_mark(self.commits)
        self._lock.sync()
        return loaded, rows

    def _check_header(self, mark: int) -> None:
        try:
            with self.path.open("rb") as file:
                header = file.read(len(_HEADER))
        except FileNotFoundError:
            header = b""
        if header in (b"", _HEADER):
            if not header and mark:
                raise JournalError(f"the journal is gone or empty, but {mark} were acknowledged")
            return
        raise JournalError("the file is not a journal, or its beginning is damaged")

    def _connect(self) -> sqlite3.Connection:
        # Serialized by SQLite itself; the writer's is made here and then used by its thread.
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        # What is not text any more must get as far as its checksum.
        connection.text_factory = _text
        self._configure(connection)
        return connection

    def _configure(self, connection: sqlite3.Connection) -> None:
        """
        Set what concerns a connection; a test changes it to see what is noticed.
        """
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        # What fsync means on macOS; elsewhere it is not looked at.
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA checkpoint_fullfsync = ON")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA journal_size_limit = 8388608")

    def _set_durable(self, connection: sqlite3.Connection) -> None:
        [(mode,)] = connection.execute("PRAGMA journal_mode").fetchall()
        [(synchronous,)] = connection.execute("PRAGMA synchronous").fetchall()
        if mode != "wal" or synchronous != _SYNCHRONOUS_FULL:
            raise JournalError(
                f"the journal would not be durable: journal_mode is {mode}, synchronous is "
                f"{synchronous}, and must be wal and {_SYNCHRONOUS_FULL}",
                path=str(self.path),
                hint="put the data folder on a local disk, not on a network or a synchronised one",
            )

    def _check_pages(self, connection: sqlite3.Connection) -> None:
        found = connection.execute("PRAGMA quick_check(1)").fetchall()
        if found != [("ok",)]:
            raise JournalError(f"the journal is damaged: {found[0][0]}")

    def _check_version(self, connection: sqlite3.Connection) -> None:
        [(application,)] = connection.execute("PRAGMA application_id").fetchall()
        [(version,)] = connection.execute("PRAGMA user_version").fetchall()
        [(tables,)] = connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        if not tables and not application and not version:
            self._create(connection)
            return
        if application != APPLICATION_ID:
            raise JournalError("the file is a database, but not a journal of this program")
        if version > SCHEMA_VERSION:
            raise JournalError(
                f"the journal has version {version}, this program knows up to {SCHEMA_VERSION}",
                path=str(self.path),
                hint="start the newer version of the bridge again that wrote it",
            )
        if version < 1:
            raise JournalError(f"the journal has the unknown version {version}")

    def _create(self, connection: sqlite3.Connection) -> None:
        epoch = self._new_epoch if self._new_epoch is not None else int(time.time())
        connection.execute("BEGIN IMMEDIATE")
        for statement in DDL:
            connection.execute(statement)
        for name, value in (("epoch", epoch), ("commits", 1)):
            connection.execute("INSERT INTO meta VALUES (?, ?, ?)", meta_row(name, value))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
        with contextlib.suppress(OSError):
            self.path.chmod(0o600)

    def _load(self, reader: sqlite3.Connection, epoch: int) -> Loaded:
        # Not through an index: SQLite does not check those against their table.
        unfinished = reader.execute("SELECT * FROM commands NOT INDEXED WHERE NOT final")
        sent: dict[str, list[int]] = {}
        for alias, reserved in reader.execute(_SENT, (SENT_HORIZON_MSC,)):
            sent.setdefault(alias, []).append(reserved)
        return Loaded(
            epoch,
            [entry_of(row) for row in unfinished],
            self._load_trade(reader),
            dict(cursor_of(row) for row in reader.execute("SELECT * FROM cursors")),
            dict(state_of(row) for row in reader.execute("SELECT * FROM states")),
            sent,
        )

    def _load_trade(self, reader: sqlite3.Connection) -> dict[str, TradeRange]:
        found: dict[str, TradeRange] = {}
        for alias, oldest, newest, count in reader.execute(_TRADE_RANGES):
            last = reader.execute(_TRADE, (alias, newest, newest, 1)).fetchall()
            # A number must not be given twice: the newest one is what the next one follows.
            if alias in found or count != newest - oldest + 1 or len(last) != 1:
                raise JournalError(f"events of trade/{alias} are lost")
            body_of(last[0])
            found[alias] = TradeRange(oldest, newest)
        return found

    def _disconnect(self) -> None:
        for connection in (self._reader, self._writer):
            if connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    connection.close()
        self._reader = self._writer = None

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        # Every way in which a file can be wrong, with what to do about it.
        try:
            yield
        except JournalError as error:
            if not error.path:
                error.path = str(self.path)
                error.hint = error.hint or _MOVE_AWAY.format(name=self.path.name)
            raise
        except (sqlite3.Error, UnicodeDecodeError) as error:
            if _is_damage(error):
                raise JournalError(
                    f"the journal is damaged: {error}",
                    path=str(self.path),
                    hint=_MOVE_AWAY.format(name=self.path.name),
                ) from None
            raise JournalError(
                f"the journal cannot be used: {error}",
                path=str(self.path),
                hint="see that the disk has room and the user of the relay may write there",
            ) from None
        except OSError as error:
            raise JournalError(
                f"the journal cannot be used: {error.strerror or error}",
                path=str(self.path),
                hint="see that the disk has room and the user of the relay may write there",
            ) from None

    def _start(self, target: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    # Writing

    def write(self, writes: Sequence[Write], done: Done) -> None:
        """
        Hand over writes that belong together; ``done`` comes through ``deliver``.

        Raises:
            ValueError: a field cannot be stored: a defect of the caller. Nothing was written.
        """
        prepared = [statement for write in writes for statement in statements(write)]
        with self._wake:
            self._queue.append(_Item(prepared, done, self._generation))
            self._wake.notify()

    def recover(self) -> None:
        """
        After a failure: what is written from now on is tried again.
        """
        with self._wake:
            self._generation += 1

    def _write_loop(self) -> None:
        while True:
            with self._wake:
                while not self._queue and not self._closing:
                    waiting = self._problem is not None and not self._broken
                    if not self._wake.wait(_REFILL_EVERY_S if waiting else None):
                        break
                group = [self._queue.popleft() for _ in range(min(len(self._queue), _GROUP_MAX))]
            if group:
                self._write_group(group)
            elif self._closing:
                return
            elif self._problem is not None and not self._broken:
                self._refill_spare()

    def _write_group(self, group: Sequence[_Item]) -> None:
        # Behind a write that was lost nothing is written before the owner knows of it.
        lost = [item for item in group if item.generation <= self._failed_generation]
        rest = group[len(lost) :]
        error = self._problem
        if lost:
            self._complete(lost, error or JournalError("a write before this one was lost"))
        if not rest:
            return
        error = self._problem if self._broken else self._try_commit(rest)
        if error is not None:
            self._failed_generation = rest[-1].generation
        self._complete(rest, error)

    def _complete(self, items: Sequence[_Item], error: JournalError | None) -> None:
        for item in items:
            try:
                self.deliver(functools.partial(item.done, error))
            except RuntimeError:
                # The owner's loop is closed: a relay that ended does not wait for answers.
                return

    def _try_commit(self, items: Sequence[_Item]) -> JournalError | None:
        work = [statement for item in items for statement in item.statements]
        if not work:
            return None
        try:
            try:
                self._commit(work)
            except sqlite3.OperationalError as error:
                if not _is_full(error):
                    raise
                self._roll_back()
                room = self._spare.give_back()
                self._problem = self._full(writable=room)
                if not room:
                    return self._problem
                self._commit(work)
        except sqlite3.OperationalError as error:
            if _is_full(error):
                self._roll_back()
                self._problem = self._full(writable=False)
                return self._problem
            return self._break(error)
        except (sqlite3.Error, OSError) as error:
            return self._break(error)
        return None

    def _commit(self, work: Sequence[Statement]) -> None:
        writer = self._connected(self._writer)
        writer.execute("BEGIN IMMEDIATE")
        for sql, parameters in work:
            writer.execute(sql, parameters)
        row = meta_row("commits", self.commits + 1)
        writer.execute("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", row)
        writer.execute("COMMIT")
        self.commits += 1
        # Before anybody is told: a later start must find at least this.
        self._lock.write_mark(self.commits)

    def _roll_back(self) -> None:
        writer = self._connected(self._writer)
        if writer.in_transaction:
            writer.execute("ROLLBACK")

    def _break(self, error: Exception) -> JournalError:
        # Nobody knows what is on the disk now: only a new start can find out.
        self._broken = True
        self._problem = JournalError(
            f"the journal cannot be written: {error}",
            path=str(self.path),
            hint="see to the disk, then restart the relay; until then it sends no orders",
        )
        with contextlib.suppress(sqlite3.Error):
            self._roll_back()
        return self._problem

    @staticmethod
    def _connected(connection: sqlite3.Connection | None) -> sqlite3.Connection:
        if connection is None:
            raise AssertionError("the journal is not open")
        return connection

    def _refill_spare(self) -> None:
        if self._spare.keep():
            with self._wake:
                if not self._broken:
                    self._problem = None

    def _full(self, *, writable: bool) -> JournalError:
        what = (
            "the disk is full: no new orders, closes and cancels go on"
            if writable
            else "the disk is full: nothing more can be journalled, so nothing is sent"
        )
        return JournalError(
            what,
            path=str(self.path),
            hint=f"make room on it, at least {self._spare.size // 1024 // 1024 + 16} MiB; "
            "the relay then goes on by itself",
            writable=writable,
        )

    # Reading

    def find(self, command_id: str) -> Entry | None:
        """
        Return a durable entry.

        Raises:
            JournalError: the file is damaged or cannot be read; from then on it is broken.
        """
        rows = self._read("SELECT * FROM commands WHERE command_id = ?", (command_id,), entry_of)
        return rows[0] if rows else None

    def find_by_tag(self, tag: str) -> Entry | None:
        """
        Return the newest durable entry with this tag.

        Raises:
            JournalError: as ``find``.
        """
        rows = self._read(
            "SELECT * FROM commands WHERE tag = ? ORDER BY reserved DESC LIMIT 1",
            (tag,),
            entry_of,
        )
        return rows[0] if rows else None

    def children(self, command_id: str) -> list[Entry]:
        """
        Return the durable parts of a command, by id.

        Raises:
            JournalError: as ``find``.
        """
        return self._read(
            "SELECT * FROM commands WHERE parent = ? AND parent <> '' ORDER BY command_id",
            (command_id,),
            entry_of,
        )

    def has_event(self, key: EventKey) -> bool:
        """
        Return whether an event is durable.

        Raises:
            JournalError: as ``find``.
        """
        return bool(self._read(_HAS_EVENT, event_key_row(key), bool))

    def read_trade(
        self, alias: str, first: int, last: int, max_bytes: int
    ) -> tuple[int, list[bytes]]:
        """
        Return the first sequence number held of ``first..last``, and the bodies from there on.

        Raises:
            JournalError: as ``find``.
        """
        held = self.trade_range(alias)
        start = place = max(first, held.oldest)
        end = min(last, held.newest)
        bodies: list[bytes] = []
        size = 0
        while place <= end:
            rows = self._read(
                _TRADE,
                (alias, place, end, _PAGE_ROWS),
                lambda row: (row[1], body_of(row)),
            )
            if [seq for seq, _ in rows] != list(range(place, min(place + _PAGE_ROWS, end + 1))):
                error = JournalError(f"events of trade/{alias} behind {place} are lost")
                self._doubt(error)
                raise error
            for _, body in rows:
                if bodies and size + len(body) > max_bytes:
                    return start, bodies
                bodies.append(body)
                size += len(body)
            place += len(rows)
        return (start, bodies) if bodies else (first, bodies)

    def trade_range(self, alias: str) -> TradeRange:
        """
        Return what is held of ``trade/<alias>``.

        Raises:
            JournalError: as ``find``.
        """
        [(oldest, newest)] = self._read(_TRADE_RANGE, (alias,), tuple)
        return TradeRange(oldest, newest) if newest is not None else TradeRange(1, 0)

    def audit(self, limit: int) -> list[Audit]:
        """
        Return the newest lines of the audit, oldest first.

        Raises:
            JournalError: as ``find``.
        """
        rows = self._read(
            "SELECT utc_msc, who, action, subject, text FROM audit ORDER BY id DESC LIMIT ?",
            (max(limit, 0),),
            audit_of,
        )
        return rows[::-1]

    def _read(
        self, sql: str, parameters: tuple[Any, ...], take: Callable[[tuple[Any, ...]], Any]
    ) -> list[Any]:
        try:
            with self._explained():
                rows = self._connected(self._reader).execute(sql, parameters).fetchall()
                return [take(row) for row in rows]
        except JournalError as error:
            self._doubt(error)
            raise

    def _doubt(self, error: JournalError) -> None:
        with self._wake:
            self._broken = True
            if self._problem is None or self._problem.writable:
                self._problem = error

    # Checking every record

    def _verify_later(self) -> None:
        try:
            with self._explained():
                connection = self._connect()
                try:
                    connection.execute("PRAGMA query_only = ON")
                    for _ in self._verify(connection):
                        if self._closing:
                            return
                finally:
                    connection.close()
        except JournalError as error:
            self._doubt(error)
        self.verified.set()

    def _verify(self, connection: sqlite3.Connection) -> Iterator[None]:
        # In parts: a long read would keep the log from being taken into the file.
        for sql, key, check in _CHECKED:
            last = key
            while rows := connection.execute(sql, last).fetchall():
                for row in rows:
                    check(row)
                last = rows[-1][: len(key)]
                yield


#: What is read in parts: the next rows, what is before the first one, what looks at one.
_CHECKED: Final[tuple[tuple[str, tuple[Any, ...], Callable[[tuple[Any, ...]], object]], ...]] = (
    (_NEXT_COMMANDS, ("",), entry_of),
    (_NEXT_TRADE, ("", 0), body_of),
    (_NEXT_EVENT_KEYS, (-(2**63), "", 0, 0, ""), check_event_key),
)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _is_full(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL


def _is_damage(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or not isinstance(
        error, sqlite3.OperationalError
    )
