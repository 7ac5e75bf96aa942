"""A program that journals and says so, until it is killed. Run as a module with a folder.

Each line of its output is an acknowledgement: what it names is on disk, or the journal has lied.
``python -m tests.support.journal_child FOLDER SEED [eager|unsynced]``: *eager* acknowledges before the
commit, *unsynced* does not sync: what the tests must notice.
"""

from __future__ import annotations

import contextlib
import os
import queue
import random
import sys
from pathlib import Path

from bridge.exceptions import JournalError
from bridge.journal import Account, Journal, SqliteStore, Verdict
from bridge.wire.spec import EventKind, OrderOutcome, TradingState
from bridge.wire.structures import EventCursor
from tests.support.journal import ALIAS, LOGIN, NOW, SERVER, make_entry

ACCOUNT = Account(LOGIN, SERVER)


class Eager(SqliteStore):
    """
    Tells before it commits, and commits when the next group comes: the mistake that all this is
    to prevent, so that every kill behind an acknowledgement meets it.
    """

    _told = None

    def _write_group(self, group):
        self._complete(group, None)
        told, self._told = self._told, group
        if told is not None:
            self._try_commit(told)


class Unsynced(SqliteStore):
    """
    Does not sync, and does not look whether it does.
    """

    def _configure(self, connection):
        super()._configure(connection)
        connection.execute("PRAGMA synchronous = OFF")

    def _set_durable(self, connection):
        pass


STORES = {"": SqliteStore, "eager": Eager, "unsynced": Unsynced}


class Child:
    """
    Reserves, records, numbers events, and acknowledges each.
    """

    def __init__(self, folder, seed, kind, at_once):
        self.rng = random.Random(seed)
        self.calls = queue.SimpleQueue()
        self.at_once = at_once
        store = STORES[kind](folder / "journal.sqlite", deliver=self.calls.put, spare_bytes=65_536)
        self.journal = Journal(store)
        self.journal.load()
        self.name = f"life-{seed}"
        self.seed = seed
        self.count = 0
        self.sent = []

    def done(self, text, then=None, line=None):
        def done(error):
            if error is not None:
                raise SystemExit(str(error))
            os.write(1, f"{text or line[0]}\n".encode())
            if then is not None:
                self.sent.append(then)

        return done

    def step(self):
        self.count += 1
        journal = self.journal
        kind = self.rng.random()
        name = f"{self.name}/{self.count}"
        if kind < 0.45:
            journal.reserve([make_entry(name)], self.done(f"reserved {name}", name))
        elif kind < 0.75 and self.sent:
            name = self.rng.choice(self.sent)
            outcome = self.rng.choice([OrderOutcome.UNKNOWN, OrderOutcome.DONE])
            if outcome == OrderOutcome.DONE:
                self.sent.remove(name)
            verdict = Verdict(outcome=outcome, deals=(self.count,))
            with journal.together():
                journal.record(name, verdict, NOW, self.done(f"verdict {name} {int(outcome)}"))
                self.append(f"life of {name}")
        elif kind < 0.95:
            self.note()
        else:
            state = self.rng.choice(list(TradingState))
            journal.set_state(
                ALIAS, state, "", "child", self.done(f"state {int(state)}"), now_utc_msc=NOW
            )

    def note(self):
        # No ticket comes twice: a repetition would not be numbered.
        ticket = self.seed * 1_000_000 + self.count
        self.publish(
            f"deal {ticket}",
            lambda make_body, done: self.journal.note_event(
                ALIAS,
                ACCOUNT,
                EventKind.DEAL,
                ticket,
                EventCursor(ticket, ticket),
                make_body,
                done,
                now_utc_msc=NOW,
            ),
            ticket,
        )

    def append(self, text):
        self.publish(
            text,
            lambda make_body, done: self.journal.append_life(
                ALIAS, make_body, done, now_utc_msc=NOW
            ),
        )

    def publish(self, text, write, ticket=0):
        # The number is known when the body is made, before ``done`` can be called.
        line = []

        def make_body(_, seq):
            line.append(f"event {seq} {ticket} {text}")
            return text.encode()

        done = self.done(None, line=line)
        write(make_body, done)

    def run(self, steps):
        while steps is None or self.count < steps:
            burst = 1 if self.at_once else self.rng.randrange(1, 30)
            for _ in range(burst):
                self.step()
            while self.journal.pending or not self.calls.empty():
                with contextlib.suppress(queue.Empty):
                    self.calls.get(timeout=0.05)()
        self.journal.close()


def main():
    folder, seed = Path(sys.argv[1]), int(sys.argv[2])
    kind = sys.argv[3] if len(sys.argv) > 3 else ""
    steps = int(sys.argv[4]) if len(sys.argv) > 4 else None
    try:
        Child(folder, seed, kind, at_once=steps is not None).run(steps)
    except JournalError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
