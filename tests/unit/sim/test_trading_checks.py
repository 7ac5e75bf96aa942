"""``bridge.sim.trading``: what is refused, by which check, and what a halt lets pass."""

from __future__ import annotations

import dataclasses

import pytest

from bridge.model.enums import AccountTradeMode
from bridge.sim.account import Account
from bridge.sim.ledger import MemoryLedger, SqliteLedger
from bridge.sim.terminal import ALL_PERMISSIONS
from bridge.sim.trading import TradingLimits
from bridge.wire.messages import Heartbeat
from bridge.wire.spec import (
    Capability,
    DenyReason,
    NewFlag,
    OrderOutcome,
    Permission,
    Role,
    TradingState,
)
from tests.support.desk_bench import (
    DEAL,
    INCARNATION,
    LOGIN,
    MODIFY,
    MS,
    REMOVE,
    SLTP,
    DeskBench,
    buy,
    request,
    sell,
)
from tests.support.desk_outcomes import (
    DENIED,
    DONE,
    NETTING,
    REDUCE,
    REJECTED,
    denied,
    limit_buy,
    outcome,
    rule,
)


@pytest.fixture
def bench():
    return DeskBench().connect()


# The order of the checks ----------------------------------------------------------------


def violations(bench):
    """
    Yield, from the last check to the first, what fails it: changes of the NEW, or of the bench.
    """
    yield OrderOutcome.EXPIRED_NOT_SENT, {"deadline_us": bench.now - 1}, lambda: None
    yield (
        DenyReason.NOT_PERMITTED,
        {},
        lambda: setattr(bench.core, "permissions", ALL_PERMISSIONS & ~Permission.MQL_TRADE_ALLOWED),
    )
    yield (
        DenyReason.NOT_CONNECTED,
        {},
        lambda: setattr(bench.core, "permissions", Permission(0)),
    )
    yield (
        DenyReason.READ_ONLY,
        {},
        lambda: setattr(bench.core.trading, "limits", TradingLimits(read_only=True)),
    )
    yield DenyReason.HALTED, {}, lambda: bench.halt(TradingState.HALTED)
    yield DenyReason.INVALID, {"flags": 64}, lambda: None
    yield DenyReason.WRONG_ACCOUNT, {"login": LOGIN + 1}, lambda: None
    yield DenyReason.WRONG_INCARNATION, {"incarnation": bytes(16)}, lambda: None
    yield DenyReason.STALE_RELAY, {"relay_epoch": bench.relay_epoch - 1}, lambda: None


def test_the_first_check_that_fails_answers(bench):
    """
    All that fails later is wrong already when the next one is broken.
    """
    changes = {}
    for expected, change, break_it in violations(bench):
        changes |= change
        break_it()
        result = bench.order(buy(), **changes)
        given = outcome(result) if isinstance(expected, OrderOutcome) else DenyReason(result.reason)

        assert expected is given

    assert () == bench.exchange.ledger().requests
    assert 0 == len(bench.ledger._entries)


def test_a_known_id_is_answered_whatever_else_is_wrong(bench):
    bench.order(buy(), "test/a")
    changes = {}
    for _, change, break_it in violations(bench):
        changes |= {name: value for name, value in change.items() if name != "flags"}
        break_it()

    assert DONE is outcome(bench.order(buy(), "test/a", **changes))


def test_what_is_denied_may_be_sent_again_under_its_id(bench):
    bench.halt(TradingState.HALTED)
    first = bench.order(buy(), "test/a")
    bench.halt(TradingState.ACTIVE)

    assert DenyReason.HALTED is denied(first)
    assert DONE is outcome(bench.order(buy(), "test/a"))


def test_a_ledger_that_is_not_durable_takes_no_order():
    bench = DeskBench(ledger=MemoryLedger(INCARNATION, durable=False)).connect()

    assert DenyReason.NOT_DURABLE is denied(bench.order(buy()))


def test_a_disk_that_is_full_denies_before_anything_is_sent(bench):
    bench.ledger.broken = True
    results = [bench.order(buy(), "test/a"), bench.order(buy(), "test/b")]
    bench.ledger.broken = False
    bench.advance(1_100)

    assert [DenyReason.NOT_DURABLE] * 2 == [denied(result) for result in results]
    assert () == bench.exchange.ledger().requests
    assert DONE is outcome(bench.order(buy(), "test/a"))


def test_an_outcome_that_cannot_be_written_is_true_all_the_same(bench):
    rule(bench, execution_ms=(100, 100))
    bench.send(bench.new(buy(), "test/a"))
    bench.ledger.broken = True
    bench.advance(200)
    told = bench.results[-1]
    after = bench.order(buy(), "test/b")
    again = bench.order(buy(), "test/a")
    bench.ledger.broken = False
    bench.advance(1_100)

    assert DONE is outcome(told)
    assert DenyReason.NOT_DURABLE is denied(after)
    assert DONE is outcome(again)
    assert DONE is bench.ledger.find("test/a").outcome


def test_a_refusal_that_cannot_be_written_is_not_told(bench):
    """
    OrderCheck has said no, and nothing was sent: what the ledger has not kept is denied.
    """
    bench.ledger.broken = True
    result = bench.order(buy(50.0), "test/a")
    bench.ledger.broken = False
    bench.advance(1_100)

    assert DenyReason.NOT_DURABLE is denied(result)
    assert bench.ledger.find("test/a") is None
    assert REJECTED is outcome(bench.order(buy(50.0), "test/a"))
    assert REJECTED is bench.ledger.find("test/a").outcome
    assert () == bench.exchange.ledger().requests


def test_a_relay_epoch_that_cannot_be_kept_allows_no_order():
    bench = DeskBench()
    commit = bench.ledger.commit_epoch

    def fail(epoch):
        bench.ledger.broken = True
        commit(epoch)

    bench.ledger.commit_epoch = fail
    bench.connect()

    assert DenyReason.NOT_DURABLE is denied(bench.order(buy()))


@pytest.mark.parametrize(
    ("rules", "reason", "hint"),
    [
        ({"connected": False}, DenyReason.NOT_CONNECTED, "trade server"),
        ({"client_disables_at": True}, DenyReason.NOT_PERMITTED, "AutoTrading"),
        ({"server_disables_at": True}, DenyReason.NOT_PERMITTED, "programs"),
        ({"trade_disabled": True}, DenyReason.NOT_PERMITTED, "this account"),
    ],
)
def test_what_the_broker_takes_away_is_told_with_what_to_do(bench, rules, reason, hint):
    rule(bench, **rules)
    result = bench.order(buy())

    assert reason is denied(result)
    assert hint in result.text


def test_a_deadline_counts_when_the_order_is_sent_and_not_when_it_arrives(bench):
    rule(bench, execution_ms=(300, 300))
    bench.send(
        bench.new(buy(), "test/a"),
        bench.new(buy(), "test/b", deadline_us=bench.now + 200 * MS),
    )
    bench.advance(700)

    assert [DONE, OrderOutcome.EXPIRED_NOT_SENT] == [outcome(one) for one in bench.results]
    assert bench.ledger.find("test/b") is None


def test_a_deadline_may_be_met_to_the_microsecond(bench):
    assert DONE is outcome(bench.order(buy(), deadline_us=bench.now))


def test_a_session_without_the_capability_denies():
    bench = DeskBench()
    bench.relay_capabilities = Capability.TICKS | Capability.READS
    bench.connect()

    assert DenyReason.NOT_PERMITTED is denied(bench.order(buy()))
    bench.exchange.order_send(
        dataclasses.replace(bench.core.trading._maker.make(buy(), 0, "x").request), bench.now
    )
    bench.advance(1_500)
    assert [] == bench.events


def test_a_role_that_does_not_trade_denies():
    bench = DeskBench(role=Role.MARKET).connect()

    assert not bench.hello.capabilities & Capability.TRADE
    assert DENIED is outcome(bench.order(buy()))


def test_another_account_in_the_terminal_denies(bench):
    bench.core.account = Account(login=LOGIN + 1, server="Demo-Server")
    bench.session = None
    bench.core.connection_lost(bench.now)
    bench.connect()

    assert DenyReason.WRONG_ACCOUNT is denied(bench.order(buy(), login=LOGIN + 1))


def test_a_tag_that_is_not_the_ids_is_invalid(bench):
    result = bench.order(buy(), tag="zb1:AAAAAAAAAAAAAAAA")

    assert DenyReason.INVALID is denied(result)
    assert result.text.startswith("tag:")


# The terminal's own limits ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "wanted", "reason"),
    [
        ({"symbols": frozenset({"GBPUSD"})}, buy(), DenyReason.SYMBOL_NOT_ALLOWED),
        ({"max_volume": 0.1}, buy(0.11), DenyReason.VOLUME_LIMIT),
        ({"max_positions": 1}, buy(), DenyReason.POSITION_LIMIT),
        ({"max_positions": 1}, limit_buy(), DenyReason.POSITION_LIMIT),
        ({"max_per_minute": 1}, buy(), DenyReason.RATE_LIMIT),
        ({"read_only": True}, buy(), DenyReason.READ_ONLY),
    ],
)
@pytest.mark.parametrize("flags", [0, int(NewFlag.ADMIN)])
def test_no_message_passes_the_terminals_own_limits(bench, limits, wanted, reason, flags):
    bench.order(buy())
    bench.core.trading.limits = TradingLimits(**limits)

    assert reason is denied(bench.order(wanted, flags=flags))


def test_limits_let_positions_be_closed(bench):
    ticket = bench.order(buy(1.0)).position
    bench.core.trading.limits = TradingLimits(
        symbols=frozenset({"GBPUSD"}), max_volume=0.1, max_positions=1, max_per_minute=1
    )

    assert DONE is outcome(bench.order(request(DEAL, position=ticket), flags=REDUCE))


def test_the_rate_is_counted_over_restarts_and_forgotten_after_a_minute(bench):
    bench.options["limits"] = TradingLimits(max_per_minute=2)
    bench.crash().connect()
    for _ in range(2):
        assert DONE is outcome(bench.order(buy()))
    bench.crash().connect()
    assert DenyReason.RATE_LIMIT is denied(bench.order(buy()))
    bench.advance(61_000, step=100)

    assert DONE is outcome(bench.order(buy()))


def test_demo_only_keeps_from_real_money():
    account = Account(login=LOGIN, server="Demo-Server", trade_mode=AccountTradeMode.REAL)
    bench = DeskBench(account=account, limits=TradingLimits(demo_only=True)).connect()

    assert DenyReason.DEMO_ONLY is denied(bench.order(buy()))


# Trading state ------------------------------------------------------------------------------


def test_reducing_lets_close_cancel_and_change(bench):
    position = bench.order(buy(0.2)).position
    placed = bench.order(limit_buy()).order
    bench.halt(TradingState.REDUCING)

    assert DenyReason.REDUCING is denied(bench.order(buy()))
    assert DenyReason.REDUCING is denied(bench.order(limit_buy()))
    assert DONE is outcome(bench.order(request(SLTP, position=position, sl=1.05)))
    assert DONE is outcome(bench.order(request(MODIFY, order=placed, price=1.04)))
    assert DONE is outcome(bench.order(request(REMOVE, order=placed)))
    assert DONE is outcome(bench.order(request(DEAL, position=position), flags=REDUCE))


def test_a_deal_of_a_position_reduces_in_hedging_and_not_in_netting():
    for account, expected in ((None, DONE), (NETTING, DENIED)):
        bench = DeskBench(account=account).connect()
        position = bench.order(buy(0.2)).position
        bench.halt(TradingState.REDUCING)

        assert expected is outcome(bench.order(sell(0.1, position=position)))


def test_halted_lets_only_an_administrator_close(bench):
    position = bench.order(buy()).position
    bench.halt(TradingState.HALTED)
    close = request(DEAL, position=position)

    assert DenyReason.HALTED is denied(bench.order(close, flags=REDUCE))
    assert DONE is outcome(bench.order(close, flags=REDUCE | NewFlag.ADMIN))


def test_a_halt_is_obeyed_by_what_waits_already(bench):
    rule(bench, execution_ms=(200, 200))
    bench.send(bench.new(buy(), "test/a"), bench.new(buy(), "test/b"))
    bench.halt(TradingState.HALTED)
    bench.advance(500)

    assert [DONE, DENIED] == [outcome(one) for one in bench.results]


def test_state_and_epoch_outlive_the_program(tmp_path):
    with_file = SqliteLedger(tmp_path / "ledger.sqlite")
    bench = DeskBench(ledger=with_file).connect()
    bench.halt(TradingState.REDUCING, epoch=9)
    with_file.close()
    bench.ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    bench.crash()

    assert TradingState.REDUCING is bench.core.trading_state
    assert 7 == bench.core.relay_epoch_seen
    bench.relay_epoch = 6
    bench.connect()
    assert not bench.core.active
    bench.ledger.close()


def test_a_halt_of_an_older_relay_is_ignored_and_welcome_says_the_state_anew(bench):
    bench.halt(TradingState.HALTED, epoch=6)
    ignored = bench.core.trading_state
    bench.trading_state = TradingState.REDUCING
    bench.reconnect()

    assert TradingState.ACTIVE is ignored
    assert TradingState.REDUCING is bench.core.trading_state
    assert TradingState.REDUCING is bench.ledger.trading_state


def test_heartbeats_show_the_brokers_flags(bench):
    rule(bench, server_disables_at=True)
    states = []
    bench.session.handle_timer(bench.now)
    original = bench.session.events_received

    def watched():
        events = original()
        states.extend(event.state for event in events if isinstance(event, Heartbeat))
        return events

    bench.session.events_received = watched
    bench.advance(2_100)

    assert Permission.ACCOUNT_TRADE_EXPERT & ~Permission(states[-1].permissions)
    assert bench.server_msc >= states[-1].server_time_msc > bench.server_msc - 2_000
