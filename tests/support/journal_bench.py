"""A journal in a file, and its owner."""

from __future__ import annotations

import sqlite3

import pytest

from bridge.exceptions import JournalError
from bridge.journal import Journal, SqliteStore
from tests.support.journal import Completions, Deliveries

__all__ = ["SqliteBench"]


class SqliteBench:
    """
    A folder, the stores opened in it, and the thread that owns them.
    """

    def __init__(self, folder):
        self.path = folder / "journal.sqlite"
        self.deliveries = Deliveries()
        self.told = Completions()
        self.stores = []

    def store(self, cls=SqliteStore, **options):
        options = {"spare_bytes": 0, "new_epoch": 9, **options}
        store = cls(self.path, deliver=self.deliveries, **options)
        self.stores.append(store)
        return store

    def journal(self, cls=SqliteStore, **options):
        journal = Journal(self.store(cls, **options))
        journal.load()
        return journal

    def wait(self, count):
        self.deliveries.run_until(lambda: len(self.told) >= count)

    def raw(self):
        """
        Return a connection of somebody who changes the file behind the journal's back.
        """
        return sqlite3.connect(self.path, isolation_level=None)

    def refused(self):
        with pytest.raises(JournalError) as caught:
            self.store().open()
        return str(caught.value)
