"""
A program that journals is killed at any moment, again and again: nothing it acknowledged is gone.

Each test has its counterpart, which makes the mistake on purpose and must be noticed.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys

import pytest

from bridge.journal import Account, EventKey, Journal, SqliteStore
from bridge.wire.spec import EventKind, OrderOutcome
from tests.support.journal import ALIAS, LOGIN, SERVER
from tests.support.processes import ROOT, environment

ACCOUNT = Account(LOGIN, SERVER)
CHILD = [sys.executable, "-m", "tests.support.journal_child"]


class Acknowledged:
    """
    What the killed programs said, and whether the file still knows.
    """

    def __init__(self, folder):
        self.folder = folder
        self.reserved = set()
        self.outcomes = {}
        self.events = {}
        self.state = None

    def take(self, line):
        word, *rest = line.split(" ")
        if word == "reserved":
            self.reserved.add(rest[0])
        elif word == "verdict":
            self.outcomes[rest[0]] = OrderOutcome(int(rest[1]))
        elif word == "state":
            self.state = int(rest[0])
        else:
            assert int(rest[0]) not in self.events
            self.events[int(rest[0])] = (int(rest[1]), " ".join(rest[2:]).encode())

    def missing(self):
        """
        Return what was acknowledged and is not in the file.
        """
        store = SqliteStore(
            self.folder / "journal.sqlite", deliver=lambda call: call(), spare_bytes=0
        )
        journal = Journal(store)
        journal.load()
        try:
            return [*self.missing_commands(journal), *self.missing_events(journal, store)]
        finally:
            journal.close()

    def missing_commands(self, journal):
        still_open = {entry.command_id for entry in journal.open_entries()}
        for name in self.reserved:
            entry = journal.find(name)
            said = self.outcomes.get(name)
            if entry is None or (said is not None and entry.verdict is None):
                yield name
            elif said == OrderOutcome.DONE and entry.verdict.outcome != said:
                yield f"verdict of {name}"
            elif not entry.final and name not in still_open:
                yield f"{name} is not open"

    def missing_events(self, journal, store):
        newest = journal.newest(ALIAS)[1]
        first, bodies = journal.read_trade(ALIAS, 1, newest, 10**9)
        assert newest == len(bodies)
        place = journal.event_cursor(ALIAS, LOGIN, SERVER)
        for seq, (ticket, body) in self.events.items():
            if seq > newest or body != bodies[seq - first]:
                yield f"event {seq}"
            elif ticket and not store.has_event(EventKey(ACCOUNT, EventKind.DEAL, ticket)):
                yield f"key of {ticket}"
            elif ticket and (place is None or place.ticket < ticket):
                yield f"place of {ticket}"


def live_and_die(folder, acknowledged, seed, kind, lines):
    """
    Let a program live for so many acknowledgements, kill it, and take what it said by then.
    """
    with subprocess.Popen(
        [*CHILD, str(folder), str(seed), kind],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(folder),
        cwd=ROOT,
    ) as child:
        said = []
        for _ in range(lines):
            line = child.stdout.readline()
            if not line:
                break
            said.append(line)
        child.send_signal(signal.SIGKILL)
        rest, error = child.communicate(timeout=60)
        said += rest.splitlines(keepends=True)

    assert b"" == error
    for line in said:
        # The last one may be cut: it was said to nobody.
        if line.endswith(b"\n"):
            acknowledged.take(line.decode().rstrip("\n"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_nothing_acknowledged_is_lost_in_any_kill(tmp_path, rng):
    acknowledged = Acknowledged(tmp_path)
    for life in range(1, 16):
        live_and_die(tmp_path, acknowledged, life, "", rng.randrange(1, 400))

        assert [] == acknowledged.missing(), f"after life {life}"
    assert len(acknowledged.reserved) > 100


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_the_kills_would_find_an_acknowledgement_that_comes_too_early(tmp_path, rng):
    for life in range(1, 40):
        folder = tmp_path / str(life)
        folder.mkdir()
        acknowledged = Acknowledged(folder)
        live_and_die(folder, acknowledged, life, "eager", rng.randrange(1, 60))
        if acknowledged.missing():
            return
    pytest.fail("no kill found that the program acknowledged what was not on disk")


# A power cut takes what was not synced. What the system was asked for is looked at instead.

#: pwrite64(5</tmp/x/journal.sqlite-wal>, ...; fdatasync(5</tmp/x/journal.sqlite-wal>); write(1<...
_CALL = re.compile(r"^(?:\d+ +)?(pwrite64|write|fdatasync|fsync)\((\d+)<([^>]*)>")


def unsynced_acknowledgements(folder, kind):
    """
    Return how many acknowledgements there were, and of them those with the log not synced.
    """
    trace = folder / "trace"
    command = ["strace", "-f", "-y", "-e", "trace=pwrite64,write,fdatasync,fsync", "-o", str(trace)]
    subprocess.run(
        [*command, *CHILD, str(folder), "1", kind, "40"],
        env=environment(folder),
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=100,
    )
    dirty = False
    acknowledged = early = 0
    for line in trace.read_text(encoding="utf-8", errors="replace").splitlines():
        match = _CALL.match(line)
        if match is None:
            continue
        call, descriptor, path = match.groups()
        if path.endswith("journal.sqlite-wal"):
            dirty = call in ("pwrite64", "write")
        elif call == "write" and descriptor == "1":
            acknowledged += 1
            early += dirty
    return acknowledged, early


def can_trace():
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", "/dev/null", "true"], check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not can_trace(), reason="strace is not there, or may not trace")
def test_the_log_is_synced_before_every_acknowledgement(tmp_path):
    acknowledged, early = unsynced_acknowledgements(tmp_path, "")

    assert acknowledged > 20
    assert 0 == early


@pytest.mark.slow
@pytest.mark.skipif(not can_trace(), reason="strace is not there, or may not trace")
def test_a_log_that_is_not_synced_would_be_noticed(tmp_path):
    acknowledged, early = unsynced_acknowledgements(tmp_path, "unsynced")

    assert acknowledged > 20
    assert early > 0
