"""
Which closes wait is tried with the tests of ``bridge.sim.trading_freshness``, the model of
``Freshness.mqh``.
"""

from __future__ import annotations

import pytest

from bridge.model.enums import MqlError
from tests.mql5.broker_trade import TradeFaults
from tests.mql5.evidence_program import patched, running
from tests.mql5.models import load_model
from tests.mql5.scenarios.expert import why_not

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
    pytest.mark.timeout(300),
]

model = load_model("test_trading_freshness")
books = model.books
globals().update({name: test for name, test in vars(model).items() if name.startswith("test_")})


@pytest.fixture(scope="module", autouse=True)
def program(tmp_path_factory):
    """
    Let the model's desks ask the translated program.
    """
    with running(tmp_path_factory.mktemp("freshness")) as program:
        with patched(program, model):
            yield program


def test_a_history_that_cannot_be_read_shows_no_deal(program, books):
    desk = model.Desk(books).traded()
    books.deals = [model.deal(0)]
    assert not desk.holds()
    trade = program.process.broker.trade
    trade.faults = TradeFaults(history_error=MqlError.HISTORY_NOT_FOUND)
    try:
        assert desk.holds()
    finally:
        trade.faults = TradeFaults()
