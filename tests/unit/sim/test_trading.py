"""``bridge.sim.trading``: a terminal that trades, with a broker, over the wire, in memory."""

from __future__ import annotations

import dataclasses

import pytest

from bridge.model.enums import TradeRetcode
from bridge.model.trade import order_tag
from bridge.sim.exchange_rules import BrokerRules
from bridge.sim.trading import ORDER_SEND_LIMIT_MS
from bridge.wire.messages import Busy, EventCursor, Halt, QueriedCommand, Result
from bridge.wire.spec import BusyKind, Capability, DenyReason, Evidence, OrderOutcome, TradingState
from tests.support.desk_bench import CLOSE_BY, DEAL, DeskBench, buy, request, sell
from tests.support.desk_outcomes import (
    DENIED,
    DONE,
    INTENT,
    NETTING,
    PARTIAL,
    PLACED,
    REDUCE,
    REJECTED,
    UNKNOWN,
    denied,
    limit_buy,
    outcome,
    rule,
)


@pytest.fixture
def bench():
    return DeskBench().connect()


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


def test_metatrader_fills_the_result_of_an_order_whose_answer_is_lost():
    bench = DeskBench(rules=BrokerRules(lose_reply=1.0, reply_timeout_ms=2_000)).connect()
    bench.send(bench.new(buy(), "test/a"))
    bench.advance(3_000)
    lost = bench.results[0]

    assert (TradeRetcode.TIMEOUT, "Timeout", 1) == (lost.retcode, lost.comment, lost.request_id)


def test_a_halt_that_waits_in_the_socket_is_heard_before_the_next_order_that_waits():
    """A runner reads only when the terminal listens, and while a call blocks it does not."""
    bench = DeskBench(rules=BrokerRules(execution_ms=(100, 100))).connect()
    for name in ("test/a", "test/b"):
        bench.session.send(bench.new(buy(), name))
    bench.pump()
    bench.session.send(Halt(int(TradingState.HALTED), "a test", bench.relay_epoch))
    socket = bench.session.data_to_send()
    while len(bench.results) < 2:
        bench.core.poll(bench.now)
        bench.session.receive_data(bench.core.data_to_send(), bench.now)
        bench._take()
        bench.now = max(bench.now, bench.core.next_deadline())
        if socket and bench.core.wants_to_receive:
            bench.core.data_received(socket, bench.now)
            socket = b""

    assert [DONE, DENIED] == [outcome(result) for result in bench.results]
    assert DenyReason.HALTED == bench.results[1].reason
    assert 0 == bench.executions("test/b")


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


@pytest.mark.parametrize("lots", [0.1, 50.0])
def test_order_check_is_asked_before_there_is_an_intent(bench, lots):
    """
    Killed there, nothing was sent and nothing has to be found out: the relay may send it again.
    """
    bench.exchange.order_check = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        bench.send(bench.new(buy(lots), "test/a"))
    del bench.exchange.order_check
    bench.crash().connect()

    assert OrderOutcome.NEVER_SEEN is outcome(bench.query("test/a")["test/a"])
    assert (DONE if lots < 1 else REJECTED) is outcome(bench.order(buy(lots), "test/a"))


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


def test_a_close_waits_while_the_position_does_not_show_its_last_deal():
    """
    Netting: the answer of a deal is there before what is open shows it, and a close that goes by
    the old volume would open the reverse.
    """
    bench = DeskBench(account=NETTING).connect()
    ticket = bench.order(buy(0.3)).position
    bench.exchange.rules = BrokerRules(state_delay_ms=(400, 400))
    first = bench.order(request(DEAL, position=ticket), "test/first", flags=REDUCE)
    early = bench.order(request(DEAL, position=ticket), "test/second", flags=REDUCE)

    assert (DONE, None) == (outcome(first), early)
    assert 0.3 == bench.exchange.positions()[0].volume

    bench.advance(500)

    assert DenyReason.NOTHING_TO_CLOSE is denied(bench.results[-1])
    assert [0, 1] == [deal.entry for deal in bench.exchange.ledger().deals]


def test_a_close_that_waits_too_long_has_expired():
    bench = DeskBench(account=NETTING).connect()
    ticket = bench.order(buy(0.3)).position
    bench.exchange.rules = BrokerRules(state_delay_ms=(9_000, 9_000))
    bench.order(sell(0.1))
    wanted = bench.new(request(DEAL, position=ticket), flags=REDUCE)
    bench.send(wanted)
    bench.advance(6_000)

    assert OrderOutcome.EXPIRED_NOT_SENT == bench.results[-1].outcome
    assert wanted.command_id == bench.results[-1].command_id


def test_a_position_that_never_shows_a_deal_is_closed_as_it_is():
    bench = DeskBench(account=NETTING).connect()
    ticket = bench.order(buy(0.3)).position
    bench.exchange.rules = BrokerRules(state_delay_ms=(60_000, 60_000))
    bench.order(sell(0.1))
    bench.send(
        bench.new(
            request(DEAL, position=ticket, volume=0.1),
            flags=REDUCE,
            deadline_us=bench.now + 30_000_000,
        )
    )
    bench.advance(9_900)
    assert 2 == len(bench.results)
    bench.advance(200)

    assert DONE == outcome(bench.results[-1])


def test_a_hedging_account_closes_at_once():
    bench = DeskBench().connect()
    ticket = bench.order(buy(0.3)).position
    bench.exchange.rules = BrokerRules(state_delay_ms=(400, 400))
    bench.order(request(DEAL, position=ticket, volume=0.1), flags=REDUCE)

    assert DONE == outcome(bench.order(request(DEAL, position=ticket, volume=0.1), flags=REDUCE))


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
