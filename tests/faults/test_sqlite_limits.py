"""
A full disk, a file that may not be written, of a newer program, of another relay: no new orders.

What the relay then does with orders, closes and cancellations is looked at with the relay's core
and a terminal; what the file says for itself, with real files and a real full disk where one can be
made.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys

import pytest

from bridge.exceptions import ConfigError, JournalError
from bridge.journal import Journal, SqliteStore
from bridge.sim.ledger import SqliteLedger
from bridge.wire.spec import TradingState
from tests.failpoints.stories import Cancel, CloseAll, MarketOrder, NettingClose, Story
from tests.failpoints.world import ALIAS, SECOND, World
from tests.support.journal import Completions, Deliveries, make_entry
from tests.support.processes import ROOT, environment

FULL = JournalError(
    "the disk is full: no new orders, closes and cancels go on", hint="make room", writable=True
)
DOUBTFUL = JournalError("the journal is damaged", path="journal.sqlite", hint="restore the copy")
BUY = {"action": "DEAL", "symbol": "EURUSD", "volume": 0.1, "type": "BUY"}


def refused(path):
    store = SqliteStore(path, deliver=lambda call: call(), spare_bytes=0)
    with pytest.raises(JournalError) as caught:
        store.open()
    return str(caught.value)


def made(path):
    journal = Journal(SqliteStore(path, deliver=lambda call: call(), spare_bytes=0))
    journal.load()
    return journal


# The relay in doubt ---------------------------------------------------------------------------


class Doubt:
    """
    A story in a world whose journal has a problem.
    """

    def __init__(self, story: type[Story], problem: JournalError) -> None:
        self.story = story(World(netting=story.netting, rules=story.rules))
        self.world = self.story.world
        self.story.prepare()
        relay = self.world.relay
        assert relay is not None
        relay.journal._store.problem = problem
        if not problem.writable:
            self.world.store.fail = problem

    def ask(self, method, params):
        number = self.world.ask("1", method, params)
        assert self.world.run(lambda: number in self.world.replies, 5 * SECOND)
        reply = self.world.replies[number]
        assert reply["ok"], reply
        return reply["result"]


@pytest.mark.parametrize("problem", [FULL, DOUBTFUL], ids=["full", "doubtful"])
def test_a_journal_with_a_problem_takes_no_new_order_and_says_how_to_go_on(problem):
    doubt = Doubt(MarketOrder, problem)
    result = doubt.ask("order_send", BUY)

    assert ("DENIED", "JOURNAL") == (result["outcome"], result["reason"])
    assert problem.problem in result["message"]
    assert [] == doubt.world.calls

    status = doubt.world.relay.core.status()["journal"]

    assert (False, problem.hint) == (status["healthy"], status["hint"])


def test_on_a_full_disk_a_position_can_be_closed():
    doubt = Doubt(NettingClose, FULL)
    (position,) = doubt.world.exchange.positions()
    result = doubt.ask("position_close", {"position": position.ticket})

    assert "DONE" == result["outcome"]
    assert [] == doubt.world.exchange.positions()


def test_on_a_full_disk_an_order_can_be_cancelled():
    doubt = Doubt(Cancel, FULL)
    (order,) = doubt.world.exchange.orders()
    result = doubt.ask("order_cancel", {"order": order.ticket})

    assert "DONE" == result["outcome"]
    assert [] == doubt.world.exchange.orders()


def test_on_a_full_disk_everything_can_be_closed():
    doubt = Doubt(CloseAll, FULL)
    result = doubt.ask("close_all", {"orders": True})

    assert "DONE" == result["outcome"]
    assert ([], []) == (doubt.world.exchange.positions(), doubt.world.exchange.orders())


def test_in_doubt_nothing_at_all_is_sent():
    """Without a journal nobody would know of a close either: its repetition would open a position."""
    doubt = Doubt(NettingClose, DOUBTFUL)
    (position,) = doubt.world.exchange.positions()
    result = doubt.ask("position_close", {"position": position.ticket})

    assert ("DENIED", "JOURNAL") == (result["outcome"], result["reason"])
    assert [] == doubt.world.calls
    assert TradingState.HALTED is doubt.world.relay.core.tradings[ALIAS].orders.state


# Files ------------------------------------------------------------------------------------------


def test_a_newer_journal_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "journal.sqlite"
    made(path).close()
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 9")
    before = path.read_bytes()
    text = refused(path)

    assert "version 9" in text
    assert "start the newer version" in text
    assert before == path.read_bytes()


def test_two_relays_do_not_share_a_journal(tmp_path):
    path = tmp_path / "journal.sqlite"
    first = made(path)
    text = refused(path)
    first.close()

    assert f"(process {os.getpid()}) has the journal open" in text
    assert "one relay a journal" in text

    made(path).close()


@contextlib.contextmanager
def unwritable(path):
    """
    A file that may be read and not written; root is kept from it by a mount of its own.
    """
    if os.geteuid():
        path.chmod(0o444)
        yield
        return
    mounts = (["--bind", str(path), str(path)], ["-o", "remount,bind,ro", str(path)])
    if sys.platform != "linux" or any(
        subprocess.run(["mount", *mount], check=False, capture_output=True).returncode
        for mount in mounts
    ):
        pytest.skip("root may write everything here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(path)], check=True)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_journal_that_may_not_be_written_is_refused_at_the_start(tmp_path):
    """Not at the first order."""
    path = tmp_path / "journal.sqlite"
    made(path).close()
    with unwritable(path):
        text = refused(path)

    assert "readonly" in text
    assert "the user of the relay may write there" in text


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_ledger_that_may_not_be_written_is_refused_at_the_start(tmp_path):
    path = tmp_path / "ledger.sqlite"
    SqliteLedger(path).close()
    with unwritable(path), pytest.raises(ConfigError, match=r"readonly.*may write there"):
        SqliteLedger(path)


@contextlib.contextmanager
def small_disk(folder, size):
    """
    A disk of so few bytes, a real one.
    """
    folder.mkdir()
    made_it = (
        sys.platform == "linux"
        and os.geteuid() == 0
        and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
            check=False,
            capture_output=True,
        ).returncode
        == 0
    )
    if not made_it:
        pytest.skip("a small disk can be made by root on Linux only")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(journal, deliveries, told):
    number = 0
    while journal.healthy is None:
        journal.reserve([make_entry(f"a/{number}")], told.done(f"a/{number}"))
        deliveries.run_until(lambda: not journal.pending)
        number += 1
        assert number < 5_000
    return number


def test_on_a_disk_that_is_full_closes_go_on_and_nothing_is_lost(tmp_path, monkeypatch):
    monkeypatch.setattr("bridge.journal.sqlite._REFILL_EVERY_S", 0.01)
    deliveries, told = Deliveries(), Completions()
    with small_disk(tmp_path / "disk", 1024 * 1024) as disk:
        path = disk / "journal.sqlite"
        store = SqliteStore(path, deliver=deliveries, spare_bytes=400_000)
        journal = Journal(store)
        journal.load()
        ballast = disk / "ballast"
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize
        ballast.write_bytes(bytes(max(0, free - 100_000)))
        # What else fills the disk must not take the room that is given back.
        keep = store._spare.keep
        monkeypatch.setattr(store._spare, "keep", lambda: not ballast.exists() and keep())
        fill(journal, deliveries, told)

        assert [] == told.failed
        assert journal.healthy.writable
        assert "make room" in str(journal.healthy)

        journal.reserve([make_entry("a/new")], told.done("new"))
        journal.reserve([make_entry("a/close")], told.done("close"), reducing=True)
        deliveries.run_until(lambda: "close" in told.names and "new" in told.failed)
        ballast.unlink()
        deliveries.run_until(lambda: journal.healthy is None)
        known = [name for name in told.names if name.startswith("a/")]
        journal.close()
        again = Journal(SqliteStore(path, deliver=deliveries, spare_bytes=0))
        again.load()
        forgotten = [name for name in known if again.find(name) is None]
        close = again.find("a/close")
        again.close()

    assert [] == forgotten
    assert close is not None


_LIMITED = """
import queue, resource, signal, sys
from pathlib import Path
from bridge.journal import Journal, SqliteStore
from tests.support.journal import make_entry
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
calls = queue.SimpleQueue()
journal = Journal(SqliteStore(Path(sys.argv[1]), deliver=calls.put, spare_bytes=0))
journal.load()
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
told, number = [], 0
while journal.healthy is None:
    name = f"a/{number}"
    number += 1
    done = lambda error, name=name: told.append(name) if error is None else None
    journal.reserve([make_entry(name)], done)
    while journal.pending:
        calls.get(timeout=20)()
print(len(told), journal.healthy, sep="\\n")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_FSIZE")
def test_a_file_that_may_not_grow_stops_orders_and_loses_none(tmp_path):
    path = tmp_path / "journal.sqlite"
    finished = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(path)],
        cwd=ROOT,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert finished.returncode == 0, finished.stderr

    count, problem = finished.stdout.splitlines()

    assert "restart the relay" in problem or "make room" in problem

    journal = made(path)
    forgotten = [number for number in range(int(count)) if journal.find(f"a/{number}") is None]
    journal.close()

    assert int(count) > 5
    assert [] == forgotten


def test_the_folder_of_the_files_is_small_again(tmp_path):
    """What reading leaves beside the file is taken away by the end of the journal."""
    path = tmp_path / "journal.sqlite"
    made(path).close()
    made(path).close()

    assert {"journal.sqlite", "journal.sqlite.lock"} == {one.name for one in tmp_path.iterdir()}
