"""Two relays, one account: the one that was started later has it, the other never trades again."""

from __future__ import annotations

import pytest

from bridge.sim.ledger import SqliteLedger
from bridge.wire.messages import Halt
from bridge.wire.spec import DenyReason, LogoutCode, OrderOutcome, TradingState
from tests.support.desk_bench import DeskBench, buy
from tests.support.relay import RelayThread, make_settings
from tests.support.trading import TRADES, Trader, TradingThread


def test_a_terminal_that_a_newer_relay_had_does_not_come_back_to_an_older_one(tmp_path):
    settings, keys = make_settings(tmp_path, terminals=TRADES)
    with RelayThread(settings) as old, Trader(old.endpoints.request) as trader:
        epoch = trader.asker.ask("ping")["relay_epoch"]
        folder = tmp_path / "t"
        folder.mkdir()
        # What a logon at a relay that was started later leaves behind.
        ledger = SqliteLedger(folder / "ledger.sqlite")
        ledger.commit_epoch(epoch + 1)
        ledger.close()
        with TradingThread(old.endpoints.terminal, keys["demo"], folder) as terminal:
            core = terminal._thread.core
            trader.until(lambda: core.last_closed is not None)
            result = trader.order("1")

    assert LogoutCode.STALE_RELAY == core.last_closed.code
    assert ("DENIED", "TERMINAL_AWAY") == (result["outcome"], result["reason"])
    assert 0 == terminal.executions("c/1")


@pytest.fixture
def restarted(tmp_path):
    """
    Return a terminal that was killed and started again; a relay of epoch 7 had it before.
    """
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    bench = DeskBench(ledger=ledger).connect()
    ledger.close()
    bench.ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    yield bench.crash()
    bench.ledger.close()


def test_what_an_older_relay_wants_executed_is_refused_over_a_restart_of_the_terminal(restarted):
    restarted.connect()
    result = restarted.order(buy(), "test/old", relay_epoch=6)

    assert (OrderOutcome.DENIED, DenyReason.STALE_RELAY) == (result.outcome, result.reason)
    assert 0 == restarted.executions("test/old")


def test_an_older_relay_can_neither_halt_nor_resume_over_a_restart_of_the_terminal(restarted):
    restarted.connect()
    restarted.send(Halt(int(TradingState.HALTED), "an old one", 6))
    not_halted = restarted.core.trading_state
    restarted.halt(TradingState.HALTED)
    restarted.send(Halt(int(TradingState.ACTIVE), "an old one", 6))

    assert TradingState.ACTIVE is not_halted
    assert TradingState.HALTED is restarted.core.trading_state


def test_an_older_relay_gets_no_session_over_a_restart_of_the_terminal(restarted):
    restarted.relay_epoch = 6
    restarted.connect()

    assert not restarted.core.active
    assert LogoutCode.STALE_RELAY == restarted.core.last_closed.code
