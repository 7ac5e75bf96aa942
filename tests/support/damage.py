"""A journal's or a ledger's files, damaged at any byte: are they refused, or do they know all?

What is asked is what the product asks when it opens a file, in its own code; what is then compared
is every row, and every look-up through an index. The files lie in memory where there is a disk of
that kind: half a million openings are a matter of minutes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from bridge.exceptions import ConfigError, JournalError
from bridge.journal import Account, Journal, SqliteStore
from bridge.journal.checks import explained
from bridge.journal.mark import unpack_mark
from bridge.model.trade import TradeRequest
from bridge.sim.ledger import LedgerEntry, LedgerError, SqliteLedger
from bridge.sim.trading_ports import Moment
from bridge.sim.trading_results import ResultMaker
from bridge.wire.spec import EventKind, OrderOutcome, Permission, TradingState
from bridge.wire.structures import EventCursor
from tests.support.desk_bench import buy
from tests.support.journal import (
    ALIAS,
    LOGIN,
    NOW,
    SERVER,
    Completions,
    Deliveries,
    done_verdict,
    make_entry,
)

__all__ = [
    "REFUSED",
    "SOUND",
    "JournalSpecimen",
    "LedgerSpecimen",
    "PowerLosses",
    "Specimen",
    "fill_journal",
]

REFUSED = "refused"
SOUND = "knows all"
_PIECE = 65_536


def fill_journal(journal, deliveries, commands=16):
    """
    Write commands, verdicts, a family, events, a state and lines of the audit.
    """
    told = Completions()

    def wait():
        deliveries.run_until(lambda: not journal.pending)
        assert [] == told.failed

    family = [make_entry("a/all", request=None, tag=""), make_entry("a/all/7", parent="a/all")]
    journal.reserve(family, told.done("family"))
    wait()
    # In few transactions: a log of a few frames is soon read.
    with journal.together():
        for number in range(commands):
            journal.reserve([make_entry(f"a/{number}")], told.done("reserve"))
    wait()
    with journal.together():
        for number in range(0, commands, 2):
            journal.record(f"a/{number}", done_verdict(), NOW, told.done("verdict"))
            journal.note_event(
                ALIAS,
                Account(LOGIN, SERVER),
                EventKind.DEAL,
                number + 1,
                EventCursor(number + 1, number + 1),
                lambda epoch, seq: b"body %d" % seq,
                told.done("event"),
                now_utc_msc=NOW,
            )
    wait()
    journal.set_state(ALIAS, TradingState.HALTED, "why", "ann", told.done("x"), now_utc_msc=NOW)
    wait()
    journal.resolve("a/1", True, "seen in the terminal", "bob", 5, 6, NOW, told.done("resolve"))
    wait()


class Specimen:
    """
    Files, what they say, and a folder in which they are damaged.

    ``killed``: the program was killed, and its log lies beside the file; else it ended.
    """

    name = ""

    def __init__(self, folder: Path, *, killed: bool) -> None:
        self.folder = folder / "damaged"
        self.folder.mkdir(parents=True)
        source = folder / "source"
        source.mkdir()
        self.files: dict[str, bytes] = {}
        self._make(source, killed=killed)
        shutil.rmtree(source)
        self.restore()
        self.expected: Any = self._knowledge()
        self.restore()

    def restore(self) -> None:
        """
        Make the files what they were.
        """
        for path in self.folder.iterdir():
            path.unlink()
        for name, data in self.files.items():
            (self.folder / name).write_bytes(data)

    @property
    def targets(self) -> list[str]:
        """
        The files that are damaged: the database, and its log where there is one.
        """
        return [name for name in (self.name, f"{self.name}-wal") if self.files.get(name)]

    def places(self, target: str) -> range:
        """
        Return the last 64 KiB of a file.
        """
        size = len(self.files[target])
        return range(max(0, size - _PIECE), size)

    def flipped(self, target: str, place: int, mask: int) -> str:
        """
        Return what becomes of the files with these bits of a byte turned.
        """
        data = self.files[target]
        descriptor = os.open(self.folder / target, os.O_RDWR)
        try:
            os.pwrite(descriptor, bytes([data[place] ^ mask]), place)
            return self.verdict()
        finally:
            os.pwrite(descriptor, data[place : place + 1], place)
            os.close(descriptor)

    def truncated(self, target: str, length: int) -> str:
        """
        Return what becomes of the files when one of them ends here.
        """
        data = self.files[target]
        descriptor = os.open(self.folder / target, os.O_RDWR)
        try:
            os.ftruncate(descriptor, length)
            return self.verdict()
        finally:
            os.pwrite(descriptor, data[length:], length)
            os.close(descriptor)

    def verdict(self) -> str:
        """
        Return "refused", "knows all", or what is wrong; the files are as before.
        """
        try:
            found = self._knowledge()
        except (JournalError, ConfigError) as error:
            text = str(error)
            # With the reason, the file's name, and what to do.
            told = self.name in text and ("(" in text or "move" in text)
            return REFUSED if told else f"refused without help: {text}"
        except LedgerError:
            # Found when it was looked up.
            return REFUSED
        return SOUND if found == self.expected else "has forgotten"

    def opened(self) -> str:
        """
        Return the same by really opening it, as the product does; the files change.
        """
        raise NotImplementedError

    def _make(self, folder: Path, *, killed: bool) -> None:
        raise NotImplementedError

    def _knowledge(self) -> Any:
        raise NotImplementedError

    def _keep(self, folder: Path) -> None:
        for path in folder.iterdir():
            if not path.name.endswith("-shm"):
                self.files[path.name] = path.read_bytes()


class JournalSpecimen(Specimen):
    """
    A relay's journal.
    """

    name = "journal.sqlite"

    def _store(self, folder: Path, deliver: Any) -> SqliteStore:
        return SqliteStore(folder / self.name, deliver=deliver, new_epoch=5, spare_bytes=0)

    def _make(self, folder: Path, *, killed: bool) -> None:
        deliveries = Deliveries()
        journal = Journal(self._store(folder, deliveries))
        journal.load()
        fill_journal(journal, deliveries)
        if killed:
            self._keep(folder)
        journal.close()
        if not killed:
            self._keep(folder)

    def _knowledge(self) -> Any:
        store = self._store(self.folder, lambda call: call())
        mark = unpack_mark((self.folder / f"{self.name}.lock").read_bytes()[16:28])
        assert mark
        try:
            with explained(store.path):
                seen = store._look(mark)
                assert seen is not None
                reader = store._reader
                assert reader is not None
                tables = ("meta", "commands", "trade", "event_keys", "cursors", "states")
                rows = [reader.execute(f"SELECT * FROM {table}").fetchall() for table in tables]  # noqa: S608 - names of this file
                # The number of a line is its place among the others, and told to nobody.
                audit = reader.execute("SELECT * FROM audit ORDER BY id").fetchall()
                rows.append([(type(row[0]), *row[1:]) for row in audit])
                by_tag = [store.find_by_tag(f"zb1:a/{number}") for number in range(0, 16, 5)]
                return seen[1], rows, by_tag, store.children("a/all")
        finally:
            store._disconnect()

    def opened(self) -> str:
        store = self._store(self.folder, lambda call: call())
        try:
            store.open()
        except JournalError:
            return REFUSED
        with contextlib.closing(store):
            return SOUND


class LedgerSpecimen(Specimen):
    """
    A terminal's ledger.
    """

    name = "ledger.sqlite"

    def _make(self, folder: Path, *, killed: bool) -> None:
        make = ResultMaker(bytes(16)).make
        moment = Moment(0, 1_700_000_000_000, 120, Permission(31), 0)
        with contextlib.closing(SqliteLedger(folder / self.name)) as ledger:
            for number in range(4 if killed else 40):
                entry = LedgerEntry(
                    command_id=f"a/{number}",
                    tag=f"zb1:{number}",
                    flags=0,
                    request=buy(0.1),
                    sent=TradeRequest(action=1, symbol="EURUSD", volume=0.1, comment="x"),
                    intent_msc=1_000 + number,
                )
                ledger.write(entry)
                if number % 2:
                    result = make(entry.command_id, OrderOutcome.DONE, moment, order=number)
                    ledger.write(entry.with_result(result))
            ledger.commit_epoch(9)
            ledger.commit_state(TradingState.REDUCING)
            ledger.commit_counter(ledger.connection_counter + 1)
            if killed:
                self._keep(folder)
        if not killed:
            self._keep(folder)

    def _knowledge(self) -> Any:
        # What the constructor does before it writes, and then every row and look-up.
        ledger = SqliteLedger.__new__(SqliteLedger)
        ledger.path = self.folder / self.name
        ledger._mark = ledger.path.with_name(ledger.path.name + ".mark")
        ledger._inspect()
        with contextlib.closing(
            sqlite3.connect(f"{ledger.path.as_uri()}?mode=ro", uri=True)
        ) as reader:
            ledger._database = reader
            tables = ("identity", "trading", "commands", "checks")
            rows = [reader.execute(f"SELECT * FROM {table}").fetchall() for table in tables]  # noqa: S608 - names of this file
            looked = [ledger.find_tag(f"zb1:{number}") for number in range(0, 40, 9)]
            looked += [ledger.find_order(number) for number in range(1, 40, 9)]
            return rows, looked, ledger.unresolved(), ledger.count_since(1_020)

    def opened(self) -> str:
        try:
            SqliteLedger(self.folder / self.name).close()
        except ConfigError:
            return REFUSED
        return SOUND


class PowerLosses:
    """
    A journal, and what a loss of power may leave of it behind each acknowledgement.

    What was synced is there. Of what was written behind it any sectors are, in any state: a part,
    zeros, what was there before. The mark is not synced: it may be behind.
    """

    def __init__(self, folder: Path, transactions: int = 12) -> None:
        self._folder = folder
        self._name = JournalSpecimen.name
        self._log = self._path.with_name(f"{self._name}-wal")
        self._lock = self._path.with_name(f"{self._name}.lock")
        #: behind each acknowledgement: how long the log was, and the mark
        self.acknowledged: list[tuple[int, bytes]] = []
        deliveries = Deliveries()
        journal = Journal(self._store(deliveries))
        journal.load()
        told = Completions()
        for number in range(transactions):
            journal.reserve([make_entry(f"a/{number}")], told.done(number))
            if number:
                journal.record(f"a/{number - 1}", done_verdict(), NOW, told.done("verdict"))
            deliveries.run_until(lambda: not journal.pending)
            self.acknowledged.append((self._log.stat().st_size, self._lock.read_bytes()))
        self._main, self._whole = self._path.read_bytes(), self._log.read_bytes()
        journal.close()

    @property
    def _path(self) -> Path:
        return self._folder / self._name

    def _store(self, deliver: Any) -> SqliteStore:
        return SqliteStore(self._path, deliver=deliver, new_epoch=5, spare_bytes=0)

    def missing(self, rng: Any) -> list[str]:
        """
        Lose power once, and return what was acknowledged and is not there.
        """
        at = rng.randrange(len(self.acknowledged))
        synced, _ = self.acknowledged[at]
        # The mark is written behind the sync, and is on the disk when the system likes.
        _, mark = self.acknowledged[rng.randint(0, at)]
        tail = bytearray(self._whole[synced : rng.randint(synced, len(self._whole))])
        for sector in range(0, len(tail), 512):
            chance = rng.random()
            if chance < 0.3:
                tail[sector : sector + 512] = bytes(len(tail[sector : sector + 512]))
            elif chance < 0.5:
                tail[sector : sector + 512] = rng.randbytes(len(tail[sector : sector + 512]))
        for path in self._folder.iterdir():
            path.unlink()
        self._path.write_bytes(self._main)
        self._log.write_bytes(self._whole[:synced] + tail)
        self._lock.write_bytes(mark)
        journal = Journal(self._store(lambda call: call()))
        journal.load()
        try:
            found = {f"a/{number}": journal.find(f"a/{number}") for number in range(at + 1)}
        finally:
            journal.close()
        missing = [name for name, entry in found.items() if entry is None]
        return missing + [
            f"the verdict of {name}"
            for name, entry in list(found.items())[:-1]
            if entry is not None and entry.verdict is None
        ]
