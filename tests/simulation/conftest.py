"""What all tests of the simulation share."""

from __future__ import annotations

import logging

import pytest


@pytest.fixture(autouse=True)
def quiet():
    """
    Let nobody log: a simulated fault is no news.
    """
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
