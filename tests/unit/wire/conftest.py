"""Fixtures of the tests with two wire sessions."""

from __future__ import annotations

import pytest

from tests.support.wire import SessionPair, Way


@pytest.fixture(params=Way, ids=lambda way: way.value)
def way(request):
    """
    Return how bytes arrive: every case runs all three ways.
    """
    return request.param


@pytest.fixture
def pair():
    """
    Return two sessions that are logged on.
    """
    return SessionPair().logon()
