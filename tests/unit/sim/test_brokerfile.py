"""``bridge.sim.brokerfile``: a broker whose orders survive its terminal's process."""

from __future__ import annotations

import dataclasses

import pytest

from bridge.exceptions import ConfigError
from bridge.model.enums import AccountMarginMode
from bridge.model.symbol import SymbolSpec
from bridge.sim.account import Account, account_record
from bridge.sim.brokerfile import KeptExchange
from bridge.sim.exchange_rules import BrokerRules
from bridge.sim.ledger import SqliteLedger
from bridge.sim.market import Market
from bridge.wire.spec import OrderOutcome
from tests.support.desk_bench import (
    LOGIN,
    PENDING,
    SERVER_MSC,
    DeskBench,
    buy,
    request,
)

ACCOUNT = Account(login=LOGIN, server="Demo-Server")


def make_market(*names):
    return Market([SymbolSpec(name=name) for name in names or ("EURUSD", "GBPUSD")])


def opened(path, market, *, account=ACCOUNT, now_us=5_000_000, **options):
    return KeptExchange.open(
        path,
        market,
        account=account_record(account),
        now_us=now_us,
        server_clock_offset_us=SERVER_MSC * 1000,
        **options,
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "broker.bin"


@pytest.fixture
def bench(path):
    bench = DeskBench()
    bench.exchange = opened(path, bench.market)
    return bench.start().connect()


def killed(bench, path):
    """
    Start the terminal's process anew: nothing is left but the file.
    """
    bench.exchange = opened(path, bench.market, now_us=bench.now)
    return bench.crash().connect()


def test_a_new_account_begins_with_its_balance(path):
    exchange = opened(path, make_market())

    assert 10_000.0 == exchange.account().balance
    assert not path.exists()


def test_positions_orders_and_history_are_there_again(bench, path):
    position = bench.order(buy(0.2)).position
    order = bench.order(request(PENDING, symbol="EURUSD", volume=0.1, price=1.05, type=2)).order
    bench.advance(100)
    before = bench.exchange.ledger()
    killed(bench, path)

    assert [position] == [one.ticket for one in bench.exchange.positions()]
    assert [order] == [one.ticket for one in bench.exchange.orders()]
    assert before == bench.exchange.ledger()


def test_an_order_that_was_on_its_way_when_the_process_died_arrives(bench, path):
    bench.exchange.rules = BrokerRules(execution_ms=(500, 500))
    bench.send(bench.new(buy(), "test/a"))
    killed(bench, path).advance(700)

    assert 1 == bench.executions("test/a")
    assert OrderOutcome.DONE == bench.query("test/a")["test/a"].outcome


def test_what_was_told_is_on_the_disk(bench, path):
    """
    Otherwise a process that is killed takes back what its relay has heard.
    """
    bench.order(request(PENDING, symbol="EURUSD", volume=0.1, price=1.05, type=2), "test/a")
    bench.quote(1.0400, 1.0401)
    bench.advance(100)
    told = {event.record.get("ticket") for event in bench.events if event.kind == 1}
    killed(bench, path)

    assert told
    assert told <= {deal.ticket for deal in bench.exchange.ledger().deals}


def test_a_pending_order_is_filled_by_the_market_of_the_next_process(bench, path):
    bench.order(request(PENDING, symbol="EURUSD", volume=0.1, price=1.05, type=2), "test/a")
    killed(bench, path)
    bench.quote(1.0400, 1.0401)
    bench.advance(1_000)

    assert 1 == len(bench.exchange.positions())


def test_a_file_of_another_account_is_refused(bench, path):
    bench.order(buy())
    other = dataclasses.replace(ACCOUNT, login=LOGIN + 1)
    netting = dataclasses.replace(ACCOUNT, margin_mode=AccountMarginMode.RETAIL_NETTING)

    for account in (other, netting):
        with pytest.raises(ConfigError, match="another account"):
            opened(path, bench.market, account=account)


def test_a_market_without_the_symbols_that_are_held_is_refused(bench, path):
    bench.order(buy(symbol="GBPUSD"))

    with pytest.raises(ConfigError, match="GBPUSD"):
        opened(path, make_market("EURUSD"))


@pytest.mark.parametrize("data", [b"", b"\xc1", b"rubbish", b"\x81\xa7version\x01", b"\x80"])
def test_a_damaged_file_is_refused(path, data):
    path.write_bytes(data)

    with pytest.raises(ConfigError, match="damaged"):
        opened(path, make_market())


def test_a_file_that_cannot_be_read_is_refused(path):
    path.mkdir()

    with pytest.raises(ConfigError, match="cannot be read"):
        opened(path, make_market())


def test_nothing_is_written_when_nothing_happens(bench, path):
    bench.order(buy())
    bench.advance(2_000)
    path.unlink()
    bench.quote(1.1002, 1.1003)
    bench.advance(2_000)

    assert not path.exists()


def test_ledger_and_broker_together_survive(bench, path, tmp_path):
    """
    The terminal's process as ``bridge sim`` has it: both in files, killed again and again.
    """
    bench.ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    bench.crash().connect()
    for number in range(10):
        bench.exchange.rules = BrokerRules(execution_ms=(0, 300), visibility_ms=(0, 300))
        bench.send(bench.new(buy(0.01), f"test/{number}"))
        bench.advance(40 * number)
        bench.ledger.close()
        bench.ledger = SqliteLedger(tmp_path / "ledger.sqlite")
        killed(bench, path)
        bench.send(bench.new(buy(0.01), f"test/{number}"))
    bench.advance(1_000)
    answers = bench.query(*(f"test/{number}" for number in range(10)))
    bench.ledger.close()

    assert {OrderOutcome.DONE} == {OrderOutcome(one.outcome) for one in answers.values()}
    assert [1] * 10 == [bench.executions(f"test/{number}") for number in range(10)]
