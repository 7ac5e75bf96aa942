"""What the tests of ``Trader.mq5`` share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mql5.trader import Trader, build, starting


@pytest.fixture(scope="session")
def trader() -> Path:
    """
    Return the program.
    """
    return build()


@pytest.fixture
def start(trader: Path, tmp_path: Path) -> Iterator[Trader]:
    """
    Give what starts the program.
    """
    yield from starting(trader, tmp_path)


@pytest.fixture
def quiet(start: Trader) -> Trader:
    """
    Start the program without its lines on transactions.
    """
    return lambda *bench, **given: start(*bench, InpTradeQuiet=True, **given)
