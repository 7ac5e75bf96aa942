"""A journal's file that writes when told, and can lose what it was not told to write."""

from __future__ import annotations

import functools
import tempfile
import threading
from collections import deque
from pathlib import Path

from bridge.exceptions import JournalError
from bridge.journal import SqliteStore

__all__ = ["HeldFile"]

DEADLINE_S = 20.0


class HeldFile:
    """
    ``SqliteStore`` with the calls of ``MemoryStore``: what waits is handed over by ``flush``.

    As realistic as a kill of the relay; what a power failure does to a file is not shown here.
    """

    def __init__(self, epoch):
        self.fail = None
        self._epoch = epoch
        self._folder = tempfile.TemporaryDirectory(prefix="journal-")
        self._inner = None
        self._waiting = deque()
        self._calls = deque()
        self._arrived = threading.Condition()
        self._generation = 0
        self._failed_generation = -1

    @property
    def problem(self):
        return self.fail or self._inner.problem

    def open(self):
        self._inner = SqliteStore(
            Path(self._folder.name) / "journal.sqlite",
            deliver=self._take,
            new_epoch=self._epoch,
            spare_bytes=0,
        )
        return self._inner.open()

    def _take(self, call):
        with self._arrived:
            self._calls.append(call)
            self._arrived.notify()

    def deliver(self, call):
        self._calls.append(call)

    def write(self, writes, done):
        self._waiting.append((writes, done, self._generation))

    def recover(self):
        self._generation += 1
        self._inner.recover()

    def commit(self, count=None):
        while self._waiting and count != 0:
            writes, done, generation = self._waiting.popleft()
            if self.fail is not None or generation <= self._failed_generation:
                self._failed_generation = generation
                error = self.fail or JournalError("a write before this one was lost")
                self.deliver(functools.partial(done, error))
            else:
                with self._arrived:
                    before = len(self._calls)
                    self._inner.write(writes, done)
                    assert self._arrived.wait_for(
                        lambda before=before: len(self._calls) > before, DEADLINE_S
                    )
            if count is not None:
                count -= 1

    def run_deliveries(self):
        while self._calls:
            self._calls.popleft()()

    def flush(self, count=None):
        while self._waiting and count != 0:
            self.commit(1)
            if count is not None:
                count -= 1
        self.run_deliveries()

    def crash(self):
        self._waiting.clear()
        self._generation += 1
        self._inner.close()
        self._calls.clear()

    def close(self):
        self._inner.close()
        self._folder.cleanup()

    def __getattr__(self, name):
        return getattr(self._inner, name)
