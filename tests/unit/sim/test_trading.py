"""``bridge.sim.trading``: a terminal that trades, with a broker, over the wire, in memory."""

from __future__ import annotations

import dataclasses

import pytest

from bridge.model.enums import AccountMarginMode, AccountTradeMode, TradeRetcode
from bridge.model.trade import order_tag
from bridge.sim.account import Account
from bridge.sim.exchange_rules import BrokerRules
from bridge.sim.ledger import MemoryLedger, SqliteLedger
from bridge.sim.terminal import ALL_PERMISSIONS
from bridge.sim.trading import ORDER_SEND_LIMIT_MS, TradingLimits
from bridge.wire.messages import Busy, EventCursor, Heartbeat, QueriedCommand, Result
from bridge.wire.spec import (
    BusyKind,
    Capability,
    DenyReason,
    Evidence,
    NewFlag,
    OrderOutcome,
    Permission,
    Role,
    TradingState,
)
from tests.support.desk_bench import (
    CLOSE_BY,
    DEAL,
    INCARNATION,
    LOGIN,
    MODIFY,
    MS,
    PENDING,
    REMOVE,
    SLTP,
    DeskBench,
    buy,
    request,
    sell,
)

NETTING = Account(login=LOGIN, server="Demo-Server", margin_mode=AccountMarginMode.RETAIL_NETTING)
REDUCE = int(NewFlag.REDUCE_ONLY)
DONE, PLACED, PARTIAL = OrderOutcome.DONE, OrderOutcome.PLACED, OrderOutcome.PARTIAL
DENIED, REJECTED, UNKNOWN = OrderOutcome.DENIED, OrderOutcome.REJECTED, OrderOutcome.UNKNOWN
INTENT, NOT_FOUND = OrderOutcome.INTENT, OrderOutcome.NOT_FOUND


@pytest.fixture
def bench():
    return DeskBench().connect()


def rule(bench, **changes):
    bench.exchange.rules = dataclasses.replace(bench.exchange.rules, **changes)
    return bench


def limit_buy(price=1.05, **fields):
    return request(PENDING, symbol="EURUSD", volume=0.1, price=price, type=2, **fields)


def outcome(result):
    return OrderOutcome(result.outcome)


def denied(result):
    assert DENIED is outcome(result)
    return DenyReason(result.reason)


# A command and its answer -------------------------------------------------------------


def test_an_order_is_executed_and_answered(bench):
    result = bench.order(buy(0.2, magic=5), "test/a")

    (position,) = bench.exchange.positions()
    assert DONE is outcome(result)
    assert Evidence.TRADE_SERVER == result.evidence
    assert (TradeRetcode.DONE, 0.2, 1.1001) == (result.retcode, result.volume, result.price)
    assert (position.ticket, (result.deal,)) == (result.position, result.deals)
    assert (0.2, 5, order_tag("test/a")) == (position.volume, position.magic, position.comment)
    assert not result.replayed


def test_the_brokers_comment_is_the_tag_and_not_the_users(bench):
    bench.order(buy(comment="secret"), "test/a")

    assert [order_tag("test/a")] == [one.comment for one in bench.exchange.positions()]


def test_a_terminal_that_trades_says_so():
    bench = DeskBench().connect()

    assert bench.hello.capabilities & Capability.TRADE
    assert bench.hello.capabilities & Capability.EVENTS


def test_busy_is_on_the_wire_before_the_call_and_ready_after_the_answer(bench):
    rule(bench, execution_ms=(300, 300))
    before = len(bench.frames)
    bench.send(bench.new(buy(), "test/a"))
    during = list(bench.frames[before:])
    sent = bench.exchange.next_deadline()
    bench.advance(400)

    assert [Busy(int(BusyKind.ORDER_SEND), ORDER_SEND_LIMIT_MS)] == during
    assert sent is not None
    answer, ready = [
        frame for frame in bench.frames[before + 1 :] if isinstance(frame, Busy | Result)
    ]
    assert DONE is outcome(answer)
    assert Busy(int(BusyKind.READY), 0) == ready


def test_nothing_is_sent_to_the_broker_before_busy_has_left(bench):
    """
    The relay would take a terminal that blocks without a word for dead.
    """
    bench.session.send(bench.new(buy(), "test/a"))
    bench.core.data_received(bench.session.data_to_send(), bench.now)
    bench.core.poll(bench.now)
    bench.core.poll(bench.now)
    before = bench.exchange.ledger().requests
    bench.pump()

    assert () == before
    assert 1 == len(bench.exchange.ledger().requests)


def test_a_terminal_that_blocks_hears_and_says_nothing(bench):
    rule(bench, execution_ms=(500, 500))
    bench.send(bench.new(buy(), "test/a"))
    bench.halt(TradingState.HALTED)
    bench.advance(400)
    during = (bench.core.trading_state, len(bench.results))
    bench.advance(200)

    assert (TradingState.ACTIVE, 0) == during
    assert (TradingState.HALTED, 1) == (bench.core.trading_state, len(bench.results))


def test_orders_are_executed_one_after_the_other(bench):
    rule(bench, execution_ms=(100, 100))
    bench.send(*(bench.new(buy(), f"test/{name}") for name in "abc"))
    bench.advance(500)

    assert ["test/a", "test/b", "test/c"] == [one.command_id for one in bench.results]
    assert 3 == len(bench.exchange.positions())


def test_the_intent_is_durable_before_the_order_is_sent():
    """
    Killed inside of OrderSend, the ledger has the intent, whatever the broker did.
    """
    bench = DeskBench(rules=BrokerRules(execution_ms=(200, 200))).connect()
    bench.send(bench.new(buy(), "test/a"))

    assert INTENT is bench.ledger.find("test/a").outcome
    assert () == bench.exchange.ledger().orders
    assert "EURUSD" == bench.ledger.find("test/a").sent.symbol


def test_the_outcome_is_in_the_ledger_before_it_is_told(bench):
    bench.session.send(bench.new(buy(), "test/a"))
    bench.core.data_received(bench.session.data_to_send(), bench.now)
    for _ in range(5):
        bench.core.poll(bench.now)
        data = bench.core.data_to_send()
        if bench.ledger.find("test/a") is not None:
            break
    # The bytes of RESULT are in ``data`` at the earliest.
    assert DONE is bench.ledger.find("test/a").outcome
    assert data == b"" or bench.ledger.find("test/a").result is not None


def test_a_rejection_by_order_check_is_not_sent(bench):
    result = bench.order(buy(50.0))

    assert (REJECTED, TradeRetcode.NO_MONEY) == (outcome(result), result.retcode)
    assert Evidence.ORDER_CHECK == result.evidence
    assert () == bench.exchange.ledger().requests
    assert REJECTED is bench.ledger.find(result.command_id).outcome


def test_a_rejection_by_the_trade_server_is_final(bench):
    bench.exchange.force(TradeRetcode.REQUOTE)
    result = bench.order(buy())

    assert (REJECTED, TradeRetcode.REQUOTE) == (outcome(result), result.retcode)
    assert Evidence.TRADE_SERVER == result.evidence
    assert "REQUOTE" in result.text


@pytest.mark.parametrize(
    "retcode", [TradeRetcode.TIMEOUT, TradeRetcode.ERROR, 10005, 10037, 12345, 0]
)
@pytest.mark.parametrize("executed", [True, False])
def test_an_ambiguous_or_unlisted_code_is_unknown(bench, retcode, executed):
    bench.exchange.force(retcode, executed=executed)
    result = bench.order(buy(), "test/a")

    assert UNKNOWN is outcome(bench.results[0])
    assert retcode == result.retcode
    assert UNKNOWN is OrderOutcome(bench.results[0].outcome)


def test_a_pending_order_is_placed_whatever_the_servers_code(bench):
    for code in (TradeRetcode.PLACED, TradeRetcode.DONE):
        rule(bench, pending_retcode=code)

        result = bench.order(limit_buy())

        assert PLACED is outcome(result)
        assert 0.0 == result.volume
        assert bench.exchange.orders(ticket=result.order)


def test_a_partial_fill_is_partial(bench):
    rule(bench, partial=1.0)
    result = bench.order(buy(1.0))

    assert PARTIAL is outcome(result)
    assert 0 < result.volume < 1.0


def test_an_id_is_executed_once(bench):
    first = bench.order(buy(), "test/a")
    second = bench.order(buy(), "test/a")
    bench.reconnect()
    third = bench.order(buy(), "test/a", deadline_us=bench.now + 10**9)
    bench.crash().connect()
    fourth = bench.order(buy(), "test/a")

    assert 1 == bench.executions("test/a")
    replay = dataclasses.replace(first, replayed=True, evidence=int(Evidence.LEDGER))
    assert [replay] * 3 == [second, third, fourth]


def test_two_new_of_one_id_at_once_are_one_order(bench):
    rule(bench, execution_ms=(100, 100))
    bench.send(bench.new(buy(), "test/a"), bench.new(buy(), "test/a"))
    bench.advance(300)

    assert 1 == bench.executions("test/a")
    assert [False, True] == [result.replayed for result in bench.results]


def test_an_id_with_another_content_is_denied(bench):
    bench.order(buy(0.1), "test/a")

    assert DenyReason.DIVERGED is denied(bench.order(buy(0.2), "test/a"))
    assert DenyReason.DIVERGED is denied(bench.order(buy(0.1), "test/a", flags=2))
    assert 1 == bench.executions("test/a")


def test_an_id_whose_intent_is_all_that_is_known_is_not_sent_again(bench):
    rule(bench, execution_ms=(200, 200), lose_reply=1.0)
    bench.send(bench.new(buy(), "test/a"))
    bench.crash().connect()
    result = bench.order(buy(), "test/a")

    assert INTENT is outcome(result)
    assert result.replayed
    bench.advance(1_000)
    assert 1 == bench.executions("test/a")


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


# Closing ------------------------------------------------------------------------------------


def test_a_close_needs_nothing_but_the_position(bench):
    ticket = bench.order(buy(0.3, magic=77)).position
    result = bench.order(request(DEAL, position=ticket), "test/close", flags=REDUCE)

    assert (DONE, 0.3) == (outcome(result), result.volume)
    assert [] == bench.exchange.positions()
    assert 77 == bench.exchange.ledger().deals[-1].magic


def test_a_close_never_trades_more_than_is_open():
    for account in (None, NETTING):
        bench = DeskBench(account=account).connect()
        ticket = bench.order(buy(0.3)).position
        result = bench.order(request(DEAL, position=ticket, volume=2.0), flags=REDUCE)

        assert (DONE, 0.3) == (outcome(result), result.volume)
        assert [] == bench.exchange.positions()


def test_a_second_close_in_netting_does_not_open_the_reverse():
    bench = DeskBench(account=NETTING).connect()
    bench.order(buy(0.3))
    close = sell(0.3)
    bench.send(bench.new(close, "test/a", flags=REDUCE), bench.new(close, "test/b", flags=REDUCE))

    assert [DONE, DENIED] == [outcome(one) for one in bench.results[1:]]
    assert DenyReason.NOTHING_TO_CLOSE is denied(bench.results[-1])
    assert [] == bench.exchange.positions()


def test_a_part_is_closed(bench):
    ticket = bench.order(buy(0.3)).position
    result = bench.order(request(DEAL, position=ticket, volume=0.1), flags=REDUCE)

    assert (DONE, 0.1) == (outcome(result), result.volume)
    assert [0.2] == [one.volume for one in bench.exchange.positions()]


@pytest.mark.parametrize(
    ("account", "wanted"),
    [
        (None, request(DEAL, position=99)),
        (None, request(DEAL, position=1, type=0)),
        (None, request(DEAL, position=1, symbol="GBPUSD")),
        (NETTING, buy(0.1)),
        (NETTING, sell(0.1, symbol="GBPUSD")),
    ],
)
def test_what_is_not_open_on_the_other_side_is_nothing_to_close(account, wanted):
    bench = DeskBench(account=account).connect()
    assert 1 == bench.order(buy(0.3)).position

    assert DenyReason.NOTHING_TO_CLOSE is denied(bench.order(wanted, flags=REDUCE))
    assert 1 == len(bench.exchange.ledger().requests)


def test_two_positions_are_closed_by_each_other(bench):
    one, other = bench.order(buy(0.3)).position, bench.order(sell(0.2)).position
    result = bench.order(request(CLOSE_BY, position=one, position_by=other))

    assert DONE is outcome(result)
    assert [(one, 0.1)] == [
        (left.ticket, pytest.approx(left.volume)) for left in bench.exchange.positions()
    ]


# The queue --------------------------------------------------------------------------------


def test_what_waited_when_the_link_was_lost_is_never_executed(bench):
    """
    Its relay asks, hears NEVER_SEEN, and may send it again: executed now, it would be twice.
    """
    rule(bench, execution_ms=(200, 200))
    bench.send(bench.new(buy(), "test/a"), bench.new(buy(), "test/b"))
    bench.disconnect().advance(1_000).connect()
    answers = bench.query("test/a", "test/b")

    assert DONE is outcome(answers["test/a"])
    assert OrderOutcome.NEVER_SEEN is outcome(answers["test/b"])
    assert 0 == bench.executions("test/b")


def test_a_query_is_answered_behind_the_new_before_it(bench):
    """
    NEVER_SEEN of an order that is about to be sent would be a lie.
    """
    rule(bench, execution_ms=(200, 200))
    bench.send(bench.new(buy(), "test/a"), bench.new(buy(), "test/b"))
    before = bench.query("test/b")
    bench.advance(600)

    assert {} == before
    assert ["test/a", "test/b", "test/b"] == [one.command_id for one in bench.results]
    assert [DONE] * 3 == [outcome(one) for one in bench.results]


def test_too_many_commands_are_denied_but_for_those_that_are_known(bench):
    rule(bench, execution_ms=(10_000, 10_000))
    bench.order(buy(), "test/known")
    bench.advance(10_100, step=50)
    rule(bench, execution_ms=(0, 0))
    blocked = bench.core.block
    blocked(500)
    for number in range(256):
        bench.session.send(bench.new(buy(0.01), f"test/w{number}", flags=REDUCE))
    bench.session.send(bench.new(buy(), "test/more"))
    bench.session.send(bench.new(buy(), "test/known"))
    bench.session.send(bench.new(buy(0.01), "test/w7", flags=REDUCE))
    bench.advance(700)
    answers = {}
    for result in bench.results[1:]:
        answers.setdefault(result.command_id, []).append(DenyReason(result.reason))

    assert [DenyReason.TOO_MANY] == answers.pop("test/more")
    assert [DenyReason.NONE] == answers.pop("test/known")
    assert {(DenyReason.INVALID,)} == {tuple(reasons) for reasons in answers.values()}
    assert 256 == len(answers)


# UNKNOWN and QUERY ------------------------------------------------------------------------


def test_a_lost_reply_is_unknown_and_then_told_by_itself(bench):
    """
    The order is there, so the events show it: nobody has to ask.
    """
    rule(bench, lose_reply=1.0, reply_timeout_ms=2_000)
    bench.send(bench.new(buy(), "test/a"))
    bench.advance(3_000)

    assert [UNKNOWN, DONE] == [outcome(one) for one in bench.results]
    assert TradeRetcode.TIMEOUT == bench.results[0].retcode
    assert Evidence.HISTORY_DEALS == bench.results[1].evidence
    assert 1 == bench.executions("test/a")


def test_a_lost_request_is_not_found_after_the_settle_time(bench):
    rule(bench, lose_request=1.0, reply_timeout_ms=1_000)
    bench.send(bench.new(buy(), "test/a"))
    bench.advance(1_100)
    early = bench.query("test/a", settle_ms=3_000)["test/a"]
    bench.advance(2_500)
    still = bench.query("test/a", settle_ms=3_000)["test/a"]
    bench.advance(600)
    late = bench.query("test/a", settle_ms=3_000)["test/a"]
    again = bench.order(buy(), "test/a")

    assert [INTENT, INTENT, NOT_FOUND] == [outcome(one) for one in (early, still, late)]
    assert NOT_FOUND is outcome(again)
    assert 0 == bench.executions("test/a")


def test_the_settle_time_does_not_run_without_the_trade_server(bench):
    rule(bench, lose_request=1.0, reply_timeout_ms=500)
    bench.send(bench.new(buy(), "test/a"))
    bench.advance(600)
    rule(bench, connected=False)
    bench.advance(5_000)
    away = bench.query("test/a", settle_ms=2_000)["test/a"]
    rule(bench, connected=True)
    bench.advance(1_000)
    back = bench.query("test/a", settle_ms=2_000)["test/a"]
    bench.advance(1_500)
    settled = bench.query("test/a", settle_ms=2_000)["test/a"]

    assert [INTENT, INTENT, NOT_FOUND] == [outcome(one) for one in (away, back, settled)]


def test_the_settle_time_begins_anew_with_the_program(bench):
    """
    Its clock began anew, and the wall clock is no measure.
    """
    rule(bench, lose_request=1.0, reply_timeout_ms=500)
    bench.send(bench.new(buy(), "test/a"))
    bench.advance(5_000)
    bench.crash().connect()
    bench.advance(1_000)
    early = bench.query("test/a", settle_ms=2_000)["test/a"]
    bench.advance(1_500)
    late = bench.query("test/a", settle_ms=2_000)["test/a"]

    assert [INTENT, NOT_FOUND] == [outcome(early), outcome(late)]


def test_a_program_killed_inside_of_the_call_finds_what_it_sent(bench):
    rule(bench, execution_ms=(300, 300))
    bench.send(bench.new(buy(), "test/a"))
    bench.crash().connect()
    early = bench.query("test/a")["test/a"]
    bench.advance(400)
    late = bench.query("test/a")["test/a"]

    assert [INTENT, DONE] == [outcome(early), outcome(late)]
    assert late.replayed
    assert 1 == len(late.deals)


def test_a_program_killed_between_intent_and_call_did_not_execute(bench):
    """
    The ledger has the intent, the broker nothing: after the settle time that is the truth.
    """
    bench.exchange.order_send = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        bench.send(bench.new(buy(), "test/a"))
    del bench.exchange.order_send
    bench.crash().connect()
    early = bench.query("test/a", settle_ms=1_000)["test/a"]
    bench.advance(1_100)
    late = bench.query("test/a", settle_ms=1_000)["test/a"]

    assert [INTENT, NOT_FOUND] == [outcome(early), outcome(late)]
    assert 0 == bench.executions("test/a")


def test_deals_that_are_late_correct_a_not_found(bench):
    """
    The settle time was too short: the broker's word counts, and everybody is told.
    """
    rule(bench, execution_ms=(5_000, 5_000), lose_reply=1.0, reply_timeout_ms=200)
    bench.send(bench.new(buy(), "test/a"))
    bench.advance(300)
    bench.advance(1_000)
    wrong = bench.query("test/a", settle_ms=500)["test/a"]
    bench.advance(5_000)

    assert NOT_FOUND is outcome(wrong)
    assert DONE is outcome(bench.results[-1])
    assert DONE is bench.ledger.find("test/a").outcome


def test_an_id_that_the_ledger_does_not_know_was_never_seen(bench):
    answer = bench.query("test/a")["test/a"]

    assert (OrderOutcome.NEVER_SEEN, INCARNATION) == (outcome(answer), answer.incarnation)


def test_an_end_is_answered_from_the_ledger(bench):
    first = bench.order(buy(), "test/a")
    answer = bench.query("test/a")["test/a"]

    assert dataclasses.replace(first, replayed=True, evidence=int(Evidence.LEDGER)) == answer


def test_every_id_of_a_query_gets_one_answer(bench):
    bench.order(buy(), "test/0")
    before = len(bench.results)
    names = [f"test/{number}" for number in range(64)]
    bench.query(*names)

    assert names == [result.command_id for result in bench.results[before:]]


def test_a_ledger_that_is_lost_leaves_the_brokers_word(bench):
    """
    Rule 4 of QUERY: found is found, and nothing found is for a person to decide.
    """
    sent_msc = bench.server_msc - 120 * 60_000
    wanted = {
        "test/a": buy(0.2, magic=3),
        "test/b": limit_buy(),
        "test/never": buy(0.7, magic=3),
    }
    bench.order(wanted["test/a"], "test/a")
    bench.order(wanted["test/b"], "test/b")
    bench.ledger = MemoryLedger(bytes(range(16, 32)))
    bench.crash().connect()
    bench.advance(10_000)
    answers = bench.query(
        *wanted,
        settle_ms=0,
        commands=[
            QueriedCommand(order_tag(name), sent_msc, 0, one) for name, one in wanted.items()
        ],
    )

    assert [DONE, PLACED, UNKNOWN] == [outcome(answers[name]) for name in wanted]
    assert {bench.ledger.incarnation} == {one.incarnation for one in answers.values()}


# Later RESULTs ------------------------------------------------------------------------------


def test_a_request_that_was_taken_is_placed_and_then_done(bench):
    rule(bench, fill_ms=(500, 500))
    bench.send(bench.new(buy(0.2), "test/a"))
    bench.advance(1_000)

    assert [PLACED, DONE] == [outcome(one) for one in bench.results]
    assert (0.2, 1) == (bench.results[1].volume, len(bench.results[1].deals))
    assert TradeRetcode.PLACED == bench.results[1].retcode


def test_a_pending_order_that_is_filled_later_is_done(bench):
    bench.order(limit_buy(1.05), "test/a")
    bench.advance(1_000)
    bench.quote(1.0400, 1.0401)
    bench.advance(1_000)

    assert [PLACED, DONE] == [outcome(one) for one in bench.results]
    (position,) = bench.exchange.positions()
    assert position.ticket == bench.results[1].position


def test_a_pending_order_that_is_cancelled_stays_placed(bench):
    placed = bench.order(limit_buy(1.05), "test/a")
    bench.order(request(REMOVE, order=placed.order), "test/b")
    bench.advance(2_000)

    assert [PLACED, DONE] == [outcome(one) for one in bench.results]
    assert PLACED is outcome(bench.query("test/a")["test/a"])


def test_what_ended_while_the_relay_was_away_is_told_with_its_events(bench):
    bench.order(limit_buy(1.05), "test/a")
    bench.advance(200)
    bench.place = EventCursor(bench.server_msc, 0)
    bench.disconnect()
    bench.quote(1.0400, 1.0401)
    bench.advance(1_000)
    bench.connect().advance(200)

    assert [PLACED, DONE] == [outcome(one) for one in bench.results]


def test_an_answer_that_was_lost_on_the_way_is_told_again_with_its_events(bench):
    bench.place = EventCursor(bench.server_msc, 0)
    rule(bench, execution_ms=(100, 100))
    bench.send(bench.new(buy(), "test/a"))
    bench.disconnect().advance(500).connect().advance(200)

    assert [DONE] == [outcome(one) for one in bench.results]
    assert bench.results[0].replayed


def test_what_is_done_is_not_told_twice(bench):
    bench.order(buy(), "test/a")
    bench.advance(5_000)

    assert 1 == len(bench.results)


# Reads ----------------------------------------------------------------------------------------


def test_positions_orders_and_account_are_read(bench):
    bench.order(buy(0.2, magic=5))
    bench.order(buy(0.1, symbol="GBPUSD"))
    bench.order(limit_buy(magic=6))

    everything = bench.read("positions")["positions"]
    assert ["EURUSD", "GBPUSD"] == [one["symbol"] for one in everything]
    assert [0.2] == [one["volume"] for one in bench.read("positions", magic=5)["positions"]]
    assert [everything[1]] == bench.read("positions", symbol="GBPUSD")["positions"]
    assert [everything[1]] == bench.read("positions", ticket=everything[1]["ticket"])["positions"]
    assert [] == bench.read("positions", ticket=99)["positions"]
    assert [6] == [one["magic"] for one in bench.read("orders")["orders"]]
    assert 10_000.0 == bench.read("account")["account"]["balance"]


def test_an_order_check_asks_and_sends_nothing(bench):
    good = bench.read("order_check", action=1, symbol="EURUSD", volume=0.1, type=0)
    poor = bench.read("order_check", action=1, symbol="EURUSD", volume=90.0, type=0)

    assert 0 == good["check"]["retcode"]
    assert 1.1001 == good["request"]["price"]
    assert TradeRetcode.NO_MONEY == poor["check"]["retcode"]
    assert () == bench.exchange.ledger().requests


@pytest.mark.parametrize(
    ("method", "params", "field"),
    [
        ("positions", {"symbol": "NONE"}, "NONE"),
        ("positions", {"ticket": -1}, "ticket"),
        ("orders", {"magic": "x"}, "magic"),
        ("order_check", {"action": 99}, "action"),
        ("order_check", {}, "action"),
        ("order_check", {"action": 1, "volume": "x"}, "volume"),
        ("order_check", {"action": 1, "colour": 1}, "colour"),
        ("order_check", {"action": 1, "symbol": "EURUSD", "volume": 0.015, "type": 0}, "volume"),
        ("order_check", {"action": 1, "flags": 1, "position": 99}, "99"),
    ],
)
def test_a_read_that_cannot_be_answered_names_the_field(bench, method, params, field):
    code, text = bench.read(method, **params)

    assert code
    assert field in text


# Wild input ---------------------------------------------------------------------------------


def wild_request(rng):
    """
    Return a request of the right types, mostly one that could be meant.
    """
    u64 = rng.choice([None, 0, 1, 2, 3, 2**63, 2**64 - 1])
    f64 = rng.choice([None, 0.0, -0.0, 1.1, 0.1, -5.0, 1e308, 5e-324, 1.0 / 3])
    u8 = rng.choice([None, 0, 1, 2, 3, 6, 255])
    return request(
        rng.choice([1, 5, 6, 7, 8, 10, 0, 255]),
        magic=u64,
        order=rng.choice([u64, 1, 2]),
        symbol=rng.choice([None, "EURUSD", "GBPUSD", "", "NOPE", "\u20ac" * 40]),
        volume=rng.choice([f64, 0.1]),
        price=f64,
        stoplimit=rng.choice([None, f64]),
        sl=rng.choice([None, f64]),
        tp=rng.choice([None, f64]),
        deviation=u64,
        type=u8,
        type_filling=rng.choice([None, u8]),
        type_time=rng.choice([None, u8]),
        expiration=rng.choice([None, 0, -(2**63), 2**63 - 1, 1_800_000_000]),
        comment=rng.choice([None, "", "\u20ac" * 40]),
        position=rng.choice([u64, 1, 2]),
        position_by=rng.choice([None, u64, 1]),
    )


def test_no_command_raises_whatever_it_asks(rng):
    """
    Every NEW gets an answer, and every id of a QUERY; what is executed is executed once.
    """
    bench = DeskBench(seed=rng.randrange(2**32)).connect()
    ids = []
    for number in range(400):
        bench.exchange.rules = BrokerRules(
            lose_request=0.1, lose_reply=0.1, reply_timeout_ms=20, partial=0.2, reject=0.1
        )
        command_id = f"test/{number % 300}"
        ids.append(command_id)
        flags = rng.choice([0, 0, 0, 1, 2, 4, 8, 13, 2**31])
        before = len(bench.results)
        bench.send(bench.new(wild_request(rng), command_id, flags=flags))
        bench.advance(rng.choice([10, 30]))
        bench.advance(20)
        if rng.random() < 0.1:
            command = QueriedCommand(
                "zb1:x", rng.choice([0, -(2**63), 2**63 - 1]), flags, wild_request(rng)
            )
            bench.query(command_id, f"other/{number}", commands=[command, command])
        if rng.random() < 0.05:
            bench.halt(rng.choice([0, 1, 2, 77]))
            bench.halt(0)
        if rng.random() < 0.03:
            bench.place = rng.choice(
                [None, EventCursor(-(2**63), 0), EventCursor(2**63 - 1, 2**64 - 1)]
            )
            bench.crash().connect()
        assert command_id in {result.command_id for result in bench.results[before:]}

    assert bench.core.active
    assert all(bench.executions(command_id) <= 1 for command_id in ids)
