"""BridgeSelfTest.mq5, executed: it passes here, and fails where a terminal would."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from bridge.model.enums import OrderState
from bridge.model.symbol import spec_for
from bridge.sim.exchange_rules import CommentMode
from bridge.sim.market import Market
from bridge.sim.terminal import Account
from tests.mql5 import building
from tests.mql5.host import EaProcess, ExitCode
from tests.support.exchange_bench import ExchangeBench

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")

SOURCE = Path(__file__).resolve().parents[2] / "mql5" / "Experts" / "BridgeSelfTest.mq5"


@pytest.fixture(scope="module")
def program():
    return building.build(SOURCE, "asan")


@pytest.fixture
def said(program, tmp_path):
    """
    Return a function: options of the runtime, the lines that the self-test printed.
    """

    def run(**options):
        with EaProcess(
            program,
            market=Market([spec_for("EURUSD")]),
            account=Account(login=1001, server="Demo-Server"),
            options=options,
            folder=tmp_path,
        ) as ea:
            assert ExitCode.ENDED == ea.wait_for_exit()
            return ea.said()

    return run


def failed(lines):
    """
    Return what failed. How fast it hashes and sleeps is asked of a machine with other work.
    """
    timed = ("within 2 ms", "less than 50 ms")
    return [line for line in lines if line.startswith("FAIL") and not any(t in line for t in timed)]


def test_everything_passes(said):
    lines = said()

    assert [] == failed(lines)
    found = re.fullmatch(r"BridgeSelfTest: (\d+) passed, (\d+) failed, build \d+", lines[-1])
    assert found is not None, lines[-1]
    assert sum(line.startswith("PASS ") for line in lines) == int(found[1])
    assert sum(line.startswith("FAIL ") for line in lines) == int(found[2])
    assert int(found[1]) >= 25


def test_a_database_that_is_not_durable_fails(said):
    lines = said(sqlite="pragma_refused")

    assert 2 == len(failed(lines))
    assert all("durable" in line for line in failed(lines))


def test_a_database_that_cannot_be_written_fails(said):
    lines = said(sqlite="busy")

    assert any(line.startswith("FAIL SQLite keeps an identity") for line in lines)
    assert re.fullmatch(r"BridgeSelfTest: \d+ passed, [1-9] failed, build \d+", lines[-1])


# --- the list of what was seen -------------------------------------------------------------


def listed(lines):
    """
    Return what was seen and what was not, by item.
    """
    pairs = [line.partition(": ") for line in lines]
    return {head: value for head, _, value in pairs if head.startswith(("SEEN ", "NOT SEEN "))}


@pytest.fixture
def traded(program, tmp_path):
    """
    Return a function: runs it with a broker, returns its lines and the broker.
    """

    def run(inputs=None, **rules):
        bench = ExchangeBench(**rules)
        with EaProcess(
            program,
            exchange=bench.exchange,
            symbol="EURUSD",
            inputs=inputs or {},
            folder=tmp_path,
        ) as ea:
            assert ExitCode.ENDED == ea.wait_for_exit()
            return ea.said(), bench.exchange

    return run


def test_what_only_a_real_terminal_shows_is_listed(said):
    found = listed(said())

    assert {
        "SEEN build",
        "SEEN broker",
        "SEEN account",
        "SEEN Sleep(1)",
        "SEEN time of a commit",
        "SEEN SymbolInfoTick",
        "SEEN CopyTicks",
        "SEEN connection to 127.0.0.1",
        "SEEN connection to an address that is not listed",
        "SEEN a timer of 1 ms",
        "NOT SEEN an order's comment",
    } == set(found)
    assert "20 times" in found["SEEN a timer of 1 ms"]
    assert "refused, error " in found["SEEN connection to an address that is not listed"]


def test_it_trades_nothing_unless_it_is_told_to(traded):
    _, exchange = traded()

    assert () == exchange.ledger().requests


def test_a_comment_that_stays_is_seen(traded):
    lines, exchange = traded({"InpTryOrder": True})
    found = listed(lines)

    assert "kept" == found["SEEN an order's comment"]
    assert "kept" == found["SEEN an order's comment in the history"]
    assert "true, retcode 1000" in found["SEEN OrderSend"]
    assert [] == list(exchange.orders())
    assert [OrderState.CANCELED] == [order.state for order in exchange.ledger().orders]


def test_a_comment_that_the_broker_rewrites_is_seen(traded):
    lines, _ = traded({"InpTryOrder": True}, comment=CommentMode.TRUNCATE)

    assert "became 'zb1:" in listed(lines)["SEEN an order's comment"]
