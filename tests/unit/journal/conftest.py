"""Fixtures of the tests of the journal."""

from __future__ import annotations

import pytest

from bridge.journal import MemoryStore
from tests.support.journal import Completions
from tests.support.journal_bench import SqliteBench
from tests.support.journal_core import start


@pytest.fixture
def store():
    """
    Return a store in memory.
    """
    return MemoryStore(epoch=41)


@pytest.fixture
def told():
    """
    Return the list of what was told, in order.
    """
    return Completions()


@pytest.fixture
def journal(store):
    """
    Return a journal that has been loaded from ``store``.
    """
    return start(store)


@pytest.fixture
def bench(tmp_path):
    """
    Return a folder for journals in files; they are closed at the end.
    """
    made = SqliteBench(tmp_path)
    yield made
    for store in made.stores:
        store.close()
