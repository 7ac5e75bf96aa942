"""Lives of a program that journals, each ended by SIGKILL, and what it had acknowledged by then."""

from __future__ import annotations

import signal
import subprocess
import sys

from bridge.journal import Account, EventKey, Journal, SqliteStore
from bridge.wire.spec import EventKind, OrderOutcome
from tests.support.journal import ALIAS, LOGIN, SERVER
from tests.support.processes import ROOT, environment

__all__ = ["CHILD", "Acknowledged", "live_and_die"]

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
