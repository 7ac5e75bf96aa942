"""The journal's file: SQLite in WAL mode, synced at every commit, written by one thread.

**Group commit**: what waits while a transaction is synced goes into the next one, so many orders
at once cost little more than one. Completions go back through ``deliver``, in their order.

**Doubt ends trading.** At the start: the lock, the pages (``quick_check``), the version, the mark of
the last acknowledged transaction, the checksum of every record, the indexes, the durability read
back. Of a large journal only what is open is checked at once, the rest in the background. A file in
doubt is left as it was found. An error of the disk that is not "full" ends the journal until the
relay starts again: after a failed sync nobody knows what is on it.

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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from bridge.exceptions import JournalError
from bridge.journal.checks import (
    Inspection,
    check_header,
    check_indexes,
    check_rows,
    check_schema,
    connect_reader,
    explained,
    inspect,
    is_empty,
    is_full,
    take_back,
)
from bridge.journal.entry import Audit, Entry, EventKey
from bridge.journal.lock import JournalLock
from bridge.journal.schema import (
    APPLICATION_ID,
    DDL,
    SCHEMA_VERSION,
    Statement,
    audit_of,
    body_of,
    cursor_of,
    entry_of,
    event_key_row,
    meta_row,
    state_of,
    statements,
    upgrade_1,
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
#: Behind each part of the check of a large journal: a pause so many times as long as the part took.
_CHECK_PAUSE: Final = 3.0
#: How often a full disk is tried for room.
_REFILL_EVERY_S: Final = 1.0
#: How many events are read at once.
_PAGE_ROWS: Final = 64
_SYNCHRONOUS_FULL: Final = 2

_REPLACE_META: Final = "INSERT OR REPLACE INTO meta VALUES (?, ?, ?)"
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


#: Twice: as the records say, and as the index of what is open says.
_OPEN: Final = "SELECT * FROM commands NOT INDEXED WHERE NOT final"
_OPEN_NAMES: Final = "SELECT command_id FROM commands INDEXED BY commands_open WHERE NOT final"


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
        self._ending = threading.Event()
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
            with explained(self.path):
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
        self._ending.set()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        if self._writer is not None and not self._broken:
            with contextlib.suppress(sqlite3.Error):
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._disconnect()
        self._lock.release()

    def _open(self, mark: int) -> tuple[Loaded, int]:
        # Before a connection that may write changes it.
        seen = self._look(mark)
        writer = self._writer = self._connect()
        self._set_durable(writer)
        if seen is None:
            self._create(writer)
            seen = self._look(mark)
            if seen is None:
                raise AssertionError("the journal was not made")
        elif seen[0].version < SCHEMA_VERSION:
            self._upgrade(writer)
        found, loaded = seen
        self.commits = found.commits
        # A file that may not be written is refused now, not at the first order. BEGIN alone
        # would not notice: SQLite makes a transaction that only reads of it.
        writer.execute("BEGIN IMMEDIATE")
        writer.execute(_REPLACE_META, meta_row("commits", self.commits))
        writer.execute("ROLLBACK")
        if found.rows <= _VERIFY_AT_ONCE:
            self.verified.set()
        if not self._spare.keep():
            self._problem = self._full(writable=True)
        self._lock.write_mark(self.commits)
        self._lock.sync()
        return loaded, found.rows

    def _look(self, mark: int) -> tuple[Inspection, Loaded] | None:
        # Everything that decides whether the file is believed; ``None`` for one still to be made.
        if self._reader is None:
            take_back(self.path)
        if not check_header(self.path, mark):
            return None
        reader = self._reader = self._reader or connect_reader(self.path)
        if is_empty(reader, mark):
            return None
        found = inspect(reader, mark, _VERIFY_AT_ONCE)
        return found, self._load(reader, found)

    def _connect(self) -> sqlite3.Connection:
        # Serialized by SQLite itself: it is made here and then used by the writer's thread.
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        self._configure(connection)
        return connection

    def _configure(self, connection: sqlite3.Connection) -> None:
        """
        Set what concerns the writer; a test changes it to see what is noticed.
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

    @staticmethod
    def _upgrade(connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        for sql, parameters in upgrade_1(connection.execute("SELECT * FROM audit").fetchall()):
            connection.execute(sql, parameters)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        check_schema(connection)
        connection.execute("COMMIT")

    def _load(self, reader: sqlite3.Connection, found: Inspection) -> Loaded:
        # Not through an index: those of a large journal are not checked against their tables yet.
        unfinished = reader.execute(_OPEN).fetchall()
        if found.version > 1:
            names = {name for (name,) in reader.execute(_OPEN_NAMES)}
            if names != {row[0] for row in unfinished}:
                raise JournalError("which commands are open is damaged")
        sent: dict[str, list[int]] = {}
        for alias, reserved in reader.execute(_SENT, (SENT_HORIZON_MSC,)):
            sent.setdefault(alias, []).append(reserved)
        return Loaded(
            found.epoch,
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
                if not is_full(error):
                    raise
                self._roll_back()
                room = self._spare.give_back()
                self._problem = self._full(writable=room)
                if not room:
                    return self._problem
                self._commit(work)
        except sqlite3.OperationalError as error:
            if is_full(error):
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
        writer.execute(_REPLACE_META, row)
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
            "SELECT * FROM audit ORDER BY id DESC LIMIT ?",
            (max(limit, 0),),
            audit_of,
        )
        return rows[::-1]

    def _read(
        self, sql: str, parameters: tuple[Any, ...], take: Callable[[tuple[Any, ...]], Any]
    ) -> list[Any]:
        try:
            with explained(self.path):
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
            with explained(self.path):
                connection = connect_reader(self.path)
                try:
                    # The other clock of Windows moves in steps of 15 ms.
                    begun = time.perf_counter()
                    for _ in check_rows(connection):
                        # Who has just started has better things to do with the interpreter.
                        if self._ending.wait((time.perf_counter() - begun) * _CHECK_PAUSE):
                            return
                        begun = time.perf_counter()
                    check_indexes(connection)
                finally:
                    connection.close()
        except JournalError as error:
            self._doubt(error)
        self.verified.set()
