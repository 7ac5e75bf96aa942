"""
What the relay reads of an account is run through the tests of the Python terminal's reads.

``bridge.sim.trading_reads`` is the model of ``TradeReads.mqh``.
"""

from __future__ import annotations

import pytest

from bridge.sim import trading_reads
from bridge.wire.spec import ErrorCode
from tests.mql5.evidence_program import MqlReads, patched, running
from tests.mql5.models import MARKS, load_model
from tests.support.desk_bench import DeskBench, buy
from tests.support.desk_outcomes import limit_buy

pytestmark = MARKS

model = load_model("test_trading")


@pytest.fixture(scope="module", autouse=True)
def program(tmp_path_factory):
    """
    Let the model's terminals answer with the translated program.
    """
    with running(tmp_path_factory.mktemp("reads")) as program:
        with patched(program, trading_reads):
            yield program


bench = model.bench
test_positions_orders_and_account_are_read = model.test_positions_orders_and_account_are_read
test_an_order_check_asks_and_sends_nothing = model.test_an_order_check_asks_and_sends_nothing
test_a_read_that_cannot_be_answered_names_the_field = (
    model.test_a_read_that_cannot_be_answered_names_the_field
)


@pytest.fixture
def both():
    """
    Return a bench, and what the Python class and the EA's answer about its broker.
    """
    bench = DeskBench().connect()
    specs = bench.market.specs
    quote = bench.core.trading._maker._quote
    given = (bench.exchange, specs, quote, lambda: bench.now)

    def ask(method, **params):
        answers = []
        for made in (_PYTHON, MqlReads):
            try:
                answers.append(made(*given).answer(method, params))
            except trading_reads.ReadProblem as problem:
                # The field, or what is missing; not how its value is printed.
                answers.append((problem.code, problem.text.split(":")[0].split(" symbol ")[0]))
        return answers

    bench.order(buy(0.2, magic=5, sl=1.05))
    bench.order(buy(0.1, symbol="GBPUSD", magic=2**64 - 1))
    bench.order(limit_buy(magic=6))
    return ask


_PYTHON = trading_reads.TradeReads


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("positions", {}),
        ("positions", {"symbol": None, "ticket": None, "magic": None}),
        ("positions", {"magic": 2**64 - 1}),
        ("positions", {"symbol": "EURUSD", "magic": 6}),
        ("positions", {"symbol": ""}),
        ("positions", {"symbol": 7}),
        ("positions", {"magic": -1}),
        ("positions", {"magic": True}),
        ("positions", {"ticket": 1.0}),
        ("orders", {}),
        ("orders", {"symbol": "GBPUSD"}),
        ("account", {}),
        ("order_check", {"action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0, "sl": 1.01}),
        ("order_check", {"action": 1, "symbol": "EURUSD", "volume": 1, "type": 1, "price": None}),
        ("order_check", {"action": 5, "symbol": "EURUSD", "volume": 0.1, "type": 2, "price": 1.0}),
        ("order_check", {"action": 1, "flags": -1}),
        ("order_check", {"action": 1, "flags": 2**32}),
        ("order_check", {"action": "1"}),
        ("order_check", {"action": 1, "symbol": ["EURUSD"]}),
        ("order_check", {"action": 1, "symbol": {"a": 1}, "volume": 0.1, "type": 0}),
        ("order_check", {"action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 256}),
        ("order_check", {"action": 1, "symbol": "EURUSD", "type": 0, "comment": "x" * 200}),
        ("order_check", {"": 1}),
    ],
)
def test_both_give_the_same_answer(both, method, params):
    expected, actual = both(method, **params)

    assert expected == actual


def test_what_cannot_be_read_is_no_empty_list(monkeypatch):
    """
    A list that is never the same twice: two positions, and one ticket.
    """
    bench = DeskBench().connect()
    bench.order(buy(0.2))
    held = bench.exchange.positions()
    monkeypatch.setattr(bench.exchange, "positions", lambda **_: held * 2)

    with pytest.raises(trading_reads.ReadProblem) as caught:
        MqlReads(bench.exchange, None, None, None).answer("positions", {})

    assert ErrorCode.TERMINAL_ERROR is caught.value.code
