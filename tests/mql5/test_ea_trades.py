"""Orders through the running Expert Advisor: its broker is simulated, its relay scripted or real."""

from __future__ import annotations

import dataclasses
import math
import re
import struct
import time

import pytest

from bridge.model.enums import AccountTradeMode, OrderState, TradeRetcode
from bridge.model.symbol import spec_for
from bridge.model.tick import MqlTick
from bridge.model.trade import AccountRecord, order_tag
from bridge.sim.exchange import Exchange
from bridge.sim.market import Market
from bridge.wire.messages import QueriedCommand, Query, Result, Stream, Subscribe, pack_message
from bridge.wire.protocol import Ticks
from bridge.wire.spec import (
    BusyKind,
    Capability,
    DenyReason,
    ErrorCode,
    EventKind,
    Evidence,
    FrameType,
    NewFlag,
    OrderOutcome,
    TradingState,
)
from tests.mql5.broker_trade import TradeFaults
from tests.mql5.host import EaProcess
from tests.mql5.scenarios.expert import binary, why_not
from tests.mql5.trade_bench import trade_bench
from tests.support.desk_bench import CLOSE_BY, MODIFY, PENDING, REMOVE, SLTP, buy, request, sell
from tests.support.exchange_bench import START_MSC
from tests.support.relay import RelayThread, make_settings, port_of
from tests.support.trading import BUY, TRADES, Trader

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
    pytest.mark.timeout(300, func_only=True),
]

DONE, PLACED, REJECTED = OrderOutcome.DONE, OrderOutcome.PLACED, OrderOutcome.REJECTED
DENIED, UNKNOWN = OrderOutcome.DENIED, OrderOutcome.UNKNOWN
TRADING = Capability.TRADE | Capability.EVENTS


@pytest.fixture
def bench(tmp_path):
    with trade_bench(tmp_path) as made:
        yield made


def limit(price=1.0, volume=0.1, **fields):
    return request(PENDING, symbol="EURUSD", volume=volume, type=2, price=price, **fields)


def kinds(bench):
    return [(EventKind(one.kind), one.recovered) for one in bench.events]


# --- orders ------------------------------------------------------------------------------------


@pytest.mark.parametrize("sends_async", [False, True])
def test_an_order_is_announced_done_and_told_of(bench, sends_async):
    bench.bench.set(execution_ms=(300, 300), reply_ms=(20, 20))
    bench.start(InpSendAsync=sends_async)
    result = bench.order(buy(), "a/1")
    bench.wait(0.5)

    assert TRADING == bench.hello.capabilities & TRADING
    assert (DONE, False, Evidence.TRADE_SERVER) == (
        result.outcome,
        result.replayed,
        result.evidence,
    )
    assert (TradeRetcode.DONE, 0.1, bench.hello.incarnation) == (
        result.retcode,
        result.volume,
        result.incarnation,
    )
    assert (1, (result.deal,)) == (bench.executions("a/1"), result.deals)
    announced = [] if sends_async else [BusyKind.ORDER_SEND, BusyKind.READY]
    assert announced == [one.kind for one in bench.busy]
    if announced:
        assert [bench.busy[0], result, bench.busy[1]] == bench.frames
    assert {(EventKind.DEAL, False), (EventKind.ORDER_CLOSED, False)} <= set(kinds(bench))


def test_an_id_is_executed_once_whatever_comes(bench):
    bench.start()
    first = bench.order(buy(), "a/1")
    again = bench.order(buy(), "a/1")
    other = bench.order(buy(0.2), "a/1")
    bench.kill().start()
    later = bench.order(buy(), "a/1")

    stored = dataclasses.replace(first, replayed=True, evidence=int(Evidence.LEDGER))
    assert stored == again == later
    assert (DENIED, DenyReason.DIVERGED) == (other.outcome, other.reason)
    assert 1 == bench.executions("a/1")


def test_what_the_server_does_not_take_is_rejected(bench):
    bench.start()
    checked = bench.order(buy(90.0), "a/1")
    bench.bench.set(reject=1.0)
    refused = bench.order(buy(), "a/2")

    assert (REJECTED, TradeRetcode.NO_MONEY, Evidence.ORDER_CHECK) == (
        checked.outcome,
        checked.retcode,
        checked.evidence,
    )
    assert (REJECTED, TradeRetcode.REJECT) == (refused.outcome, refused.retcode)
    assert not bench.exchange.positions()
    assert REJECTED == bench.query("a/2")["a/2"].outcome


def test_every_action_goes_through(bench):
    bench.start()
    placed = bench.order(limit(), "p/1")
    moved = bench.order(request(MODIFY, order=placed.order, price=1.01), "p/2")
    (order,) = bench.exchange.orders()
    cancelled = bench.order(request(REMOVE, order=placed.order), "p/3")
    one = bench.order(buy(0.2), "d/1")
    levels = bench.order(request(SLTP, position=one.position, sl=1.0, tp=1.2), "d/2")
    (position,) = bench.exchange.positions()
    part = bench.order(
        request(1, symbol="EURUSD", position=one.position, volume=0.1, type=1),
        "d/3",
        flags=int(NewFlag.REDUCE_ONLY),
    )
    other = bench.order(sell(0.1), "d/4")
    by = bench.order(request(CLOSE_BY, position=one.position, position_by=other.position), "d/5")

    assert PLACED == placed.outcome
    assert (DONE, 1.01) == (moved.outcome, order.price_open)
    assert (DONE, OrderState.CANCELED) == (
        cancelled.outcome,
        next(old for old in bench.exchange.history_orders(0, 2**60)).state,
    )
    assert (DONE, (1.0, 1.2)) == (levels.outcome, (position.sl, position.tp))
    assert [DONE, DONE, DONE] == [part.outcome, other.outcome, by.outcome]
    assert not bench.exchange.positions()
    assert not bench.exchange.orders()


def test_halt_is_obeyed_at_once_and_over_restarts(bench):
    bench.start()
    position = bench.order(buy(), "a/1").position
    bench.halt(TradingState.REDUCING)
    opened = bench.order(buy(), "a/2")
    close = request(1, symbol="EURUSD", position=position)
    closed = bench.order(close, "a/3", flags=int(NewFlag.REDUCE_ONLY))
    bench.halt(TradingState.HALTED).halt(TradingState.ACTIVE, epoch=6)
    halted = bench.order(buy(), "a/4")
    admin = bench.order(buy(), "a/5", flags=int(NewFlag.ADMIN))
    bench.until(lambda: bench.heartbeat.state.trading_state == TradingState.HALTED)

    assert (DenyReason.REDUCING, DONE) == (opened.reason, closed.outcome)
    assert (DenyReason.HALTED, DONE) == (halted.reason, admin.outcome)
    assert "HALTED" in bench.process.said()[-1]


def test_a_halt_overtakes_what_waits_for_an_answer(bench):
    bench.bench.set(reply_ms=(2_000, 2_000))
    bench.start(InpSendAsync=True)
    bench.relay.send(bench.new(buy(), "a/1"))
    bench.relay.send(bench.new(buy(), "a/2"))
    bench.wait(0.5)
    waits = list(bench.results)
    bench.halt(TradingState.HALTED)
    bench.until(lambda: len(bench.results) == 2)

    assert not waits
    assert [("a/1", DONE, 0), ("a/2", DENIED, DenyReason.HALTED)] == [
        (one.command_id, one.outcome, one.reason) for one in bench.results
    ]


def test_ticks_go_on_while_an_order_is_under_way(bench):
    bench.bench.set(reply_ms=(3_000, 3_000))
    bench.start(InpSendAsync=True)
    bench.relay.send(Subscribe(1, 1, "EURUSD", 0, 7, 86_400, None))
    bench.wait(0.5)
    bench.relay.send(bench.new(buy(), "a/1"))
    bench.wait(0.5)
    before = len([one for one in bench.received if isinstance(one, Ticks)])
    bench.quote(1.2, 1.2001)
    bench.wait(1.0)

    assert before < len([one for one in bench.received if isinstance(one, Ticks)])
    assert not bench.results
    bench.until(lambda: bench.results)
    assert DONE == bench.results[0].outcome


def start_a_row_of_orders(bench):
    """
    Five orders of 200 ms wait, and a stream has begun.
    """
    bench.bench.set(execution_ms=(200, 200))
    bench.start()
    bench.relay.send(Subscribe(1, 1, "EURUSD", 0, 7, 86_400, None))
    bench.wait(0.5)
    for number in range(5):
        bench.relay.send(bench.new(buy(), f"a/{number}"))


def test_ticks_go_on_between_the_orders_of_a_row(bench):
    start_a_row_of_orders(bench)
    for number in range(100):
        bench.quote(1.1 + number / 100_000, 1.1001 + number / 100_000)
        bench.wait(0.01)
    bench.until(lambda: len(bench.results) == 5)
    came = [type(one) for one in bench.received if isinstance(one, Result | Ticks)]
    between = "".join("R" if one is Result else "t" for one in came).split("R")

    # Before, between and behind them.
    assert 6 == len(between)
    assert all(between[:5])


def test_streams_begin_between_the_orders_of_a_row(bench):
    """As behind a reconnection, when orders and subscriptions have waited for it."""
    start_a_row_of_orders(bench)
    bench.relay.send(Subscribe(2, 1, "EURUSD", 0, 8, 86_400, None))
    bench.until(lambda: len(bench.results) == 5)
    came = [type(one) for one in bench.received if isinstance(one, Result | Stream)]

    assert [Stream, Result, Stream, *[Result] * 4] == came


# --- what no message can raise -----------------------------------------------------------------


def test_limits_hold_whoever_asks(bench):
    bench.start(InpSymbols="EURUSD, USDJPY", InpMaxVolume=0.3, InpMaxPerMinute=3, InpMaxPositions=2)
    admin = int(NewFlag.ADMIN)
    foreign = bench.order(buy(symbol="GBPUSD"), "a/1", flags=admin)
    large = bench.order(buy(0.31), "a/2", flags=admin)
    first = bench.order(buy(0.3), "a/3")
    assert DONE == bench.order(buy(0.1), "a/4").outcome
    positions = bench.order(buy(0.1), "a/5", flags=admin)
    close = request(1, symbol="EURUSD", position=first.position)
    closed = bench.order(close, "a/6", flags=int(NewFlag.REDUCE_ONLY))
    rate = bench.order(buy(0.1), "a/7", flags=admin)
    bench.wait(61)
    later = bench.order(buy(0.1), "a/8")

    assert [
        DenyReason.SYMBOL_NOT_ALLOWED,
        DenyReason.VOLUME_LIMIT,
        DenyReason.POSITION_LIMIT,
        DenyReason.RATE_LIMIT,
    ] == [one.reason for one in (foreign, large, positions, rate)]
    assert [DONE, DONE] == [closed.outcome, later.outcome]


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [({"InpReadOnly": True}, DenyReason.READ_ONLY), ({}, DenyReason.DEMO_ONLY)],
)
def test_without_leave_nothing_is_traded(tmp_path, inputs, reason):
    with trade_bench(tmp_path, account={"trade_mode": AccountTradeMode.REAL}) as bench:
        bench.start(**inputs)
        result = bench.order(buy(), "a/1", flags=int(NewFlag.ADMIN))

        assert (DENIED, reason) == (result.outcome, result.reason)
        assert not bench.exchange.history_orders(0, 2**60)


def test_who_is_let_trades_real_money(tmp_path):
    with trade_bench(tmp_path, account={"trade_mode": AccountTradeMode.REAL}) as bench:
        bench.start(InpDemoOnly=False)

        assert DONE == bench.order(buy(), "a/1").outcome


def test_a_relay_that_says_anything_moves_nothing(bench):
    bench.start()
    bench.bench.deal(0)
    (foreign,) = bench.exchange.positions()
    wrong = [
        bench.order(buy(0.0)),
        bench.order(buy(-1.0)),
        bench.order(buy(1e300)),
        bench.order(request(77, symbol="EURUSD", volume=0.1, type=0)),
        bench.order(buy(), flags=1 << 31),
        bench.order(buy(), tag="zb1:SOMEBODYELSES00"),
        bench.order(buy(), login=8),
        bench.order(buy(), incarnation=bytes(16)),
        bench.order(buy(), relay_epoch=6),
    ]
    nobodys = bench.order(request(SLTP, position=foreign.ticket + 5, sl=1.0))
    stale = bench.order(buy(), deadline_us=-(2**63))
    for number in range(1_000):
        bench.relay.send(bench.new(buy(1e300), f"flood/{number}"))
    bench.until(lambda: len(bench.results) == 1_011)

    assert {DENIED} == {one.outcome for one in wrong}
    assert nobodys.outcome in {DENIED, REJECTED}
    assert OrderOutcome.EXPIRED_NOT_SENT == stale.outcome
    assert {DenyReason.INVALID, DenyReason.TOO_MANY} >= {
        DenyReason(one.reason) for one in bench.results[11:]
    }
    assert [foreign] == bench.exchange.positions()

    # What no relay can pack: the session ends, and a new one begins.
    logons = bench.relay.logons
    body = pack_message(bench.new(buy(1.25), "a/nan"))
    number = struct.pack(">d", 1.25)
    assert number in body
    bench.relay.push(int(FrameType.NEW), body.replace(number, struct.pack(">d", math.nan)))
    bench.until(lambda: bench.relay.logons > logons)
    assert [foreign] == bench.exchange.positions()
    assert DONE == bench.order(buy(), "a/good").outcome


#: what a relay may put into a field, by the kind of the field
_NUMBERS = (0, 1, 2, 3, 5, 8, 2**32 - 1, 2**63 - 1, 2**64 - 1)
_REALS = (-1.0, 0.0, 5e-324, 0.01, 0.05, 0.1, 0.11, 1.0, 1.1, 1.5, 1e9, 1e308, -1e308)
_TEXTS = ("", "EURUSD", "GBPUSD", "EURUSD,GBPUSD", "NOPE", "x" * 31, "\u20ac\U0001f600")
_FIELDS = {
    "action": (1, 2, 5, 6, 7, 8, 10, 255), "type": (*range(10), 255),
    "type_filling": (0, 1, 2, 3, 255), "type_time": (0, 1, 2, 3, 255),
    "symbol": _TEXTS, "comment": _TEXTS, "expiration": (-(2**63), 0, START_MSC // 1000, 2**63 - 1),
    **dict.fromkeys(("magic", "order", "deviation", "position", "position_by"), _NUMBERS),
    **dict.fromkeys(("volume", "price", "stoplimit", "sl", "tp"), _REALS),
}  # fmt: skip


def any_request(rng):
    action = rng.choice((1, 1, 1, *_FIELDS["action"]))
    given = {
        name: rng.choice(values)
        for name, values in _FIELDS.items()
        if name != "action" and rng.random() < 0.5
    }
    likely = {"symbol": "EURUSD", "volume": 0.1, "type": 0} if rng.random() < 0.5 else {}
    return request(action, **(given | likely))


def test_whatever_a_relay_makes_up_the_limits_hold(bench, rng):
    bench.start(InpSymbols="EURUSD", InpMaxVolume=0.1, InpMaxPositions=5, InpPumpMs=0)
    number = 0
    for _ in range(12):
        for _ in range(20):
            number += 1
            changes = {"flags": rng.choice((0, 0, 1, 2, 3, 4, 8, 15, 1 << 31))}
            if rng.random() < 0.2:
                changes["deadline_us"] = rng.choice((-(2**63), 0, 2**63 - 1))
            wanted = any_request(rng)
            bench.relay.send(bench.new(wanted, f"a/{number}", **changes))
            if rng.random() < 0.2:
                known = QueriedCommand(
                    order_tag(f"a/{number}"),
                    rng.choice((-(2**63), 0, 2**63 - 1)),
                    changes["flags"] & 0xFFFF_FFFF,
                    wanted,
                )
                bench.relay.send(
                    Query((f"a/{number}", ""), rng.choice((0, 2**32 - 1)), 0, (known, known))
                )
        bench.wait(1)

    bench.until(lambda: len({one.command_id for one in bench.results} - {""}) == number)
    assert len(bench.exchange.positions()) <= 5
    for position in bench.exchange.positions():
        close = request(1, symbol="EURUSD", position=position.ticket)
        bench.order(close, flags=int(NewFlag.REDUCE_ONLY))
    assert DONE == bench.order(buy(0.1), "a/good").outcome
    ordered = bench.exchange.ledger().orders
    assert {one.symbol for one in ordered} == {"EURUSD"}
    assert max(one.volume_initial for one in ordered) <= 0.1
    assert bench.process.crash == ""


# --- what became of it? ------------------------------------------------------------------------


def test_an_answer_that_was_lost_is_found_out(bench):
    bench.bench.set(lose_reply=1.0, reply_timeout_ms=3_000)
    bench.start()
    lost = bench.order(buy(), "a/1")
    bench.until(lambda: len(bench.results) > 1)

    assert (UNKNOWN, TradeRetcode.TIMEOUT) == (lost.outcome, lost.retcode)
    assert ("a/1", DONE) == (bench.results[1].command_id, bench.results[1].outcome)
    assert 1 == bench.executions("a/1")


def test_a_history_that_is_slow_to_come_ends_no_session(bench):
    """Who says nothing for four seconds without BUSY is taken for dead."""
    bench.faults = TradeFaults(history_loads_ms=9_000)
    bench.bench.set(lose_reply=1.0, reply_timeout_ms=3_000)
    bench.start()
    bench.order(buy(), "a/1")
    bench.until(lambda: len(bench.results) > 1)

    assert DONE == bench.results[1].outcome
    assert bench.process.now_us > 9_000_000
    assert 1 == bench.relay.logons


@pytest.mark.parametrize(
    ("place", "outcome"),
    [
        ("OrderSend.before:1", OrderOutcome.NOT_FOUND),
        ("OrderSend.sent:1", DONE),
        ("OrderSendAsync.sent:1", DONE),
    ],
)
def test_killed_between_intent_and_outcome_is_found_out(bench, place, outcome):
    bench.start(options={"die_at": place}, InpSendAsync="Async" in place)
    bench.relay.send(bench.new(buy(), "a/1"))
    bench.process.wait_for_exit()
    bench.kill().start()
    at_once = bench.query("a/1")["a/1"].outcome
    repeated = bench.order(buy(), "a/1")
    bench.wait(7)
    result = bench.query("a/1")["a/1"]

    assert at_once in {OrderOutcome.INTENT, outcome}
    assert repeated.outcome in {OrderOutcome.INTENT, outcome}
    assert (outcome, True) == (result.outcome, result.replayed)
    if outcome is DONE:
        assert Evidence.HISTORY_DEALS in {one.evidence for one in bench.results}
    assert int(outcome is DONE) == bench.executions("a/1")


def test_a_new_ledger_looks_for_what_an_old_one_sent(bench):
    bench.start()
    bench.order(buy(), "a/1")
    known = bench.hello.incarnation
    bench.kill()
    for path in (bench.folder / "terminal" / "MQL5" / "Files" / "Bridge").iterdir():
        path.unlink()
    bench.start()
    utc_msc = START_MSC - 60_000 * bench_offset(bench)
    commands = [QueriedCommand(order_tag(name), utc_msc, 0, buy()) for name in ("a/1", "a/2")]
    found = bench.query("a/1", "a/2", commands=commands)

    assert known != bench.hello.incarnation
    assert (DONE, UNKNOWN) == (found["a/1"].outcome, found["a/2"].outcome)
    assert "a person has to decide" in found["a/2"].text


def bench_offset(bench):
    bench.until(lambda: bench.heartbeat)
    return bench.heartbeat.state.utc_offset_min


# --- events ------------------------------------------------------------------------------------


def test_what_was_acknowledged_is_not_told_again_and_what_was_missed_is(bench):
    bench.start()
    first = bench.order(buy(), "a/1")
    bench.order(buy(), "a/2")
    bench.wait(1.5)
    seen = len(bench.events)
    bench.again().wait(1.5)
    again = {one.cursor_ticket for one in bench.events[seen:]}
    bench.kill()
    bench.bench.now_us = bench.exchange.now_us
    bench.bench.deal(1)
    bench.start().wait(1.5)
    missed = [one for one in kinds(bench)[seen:] if one[1]]

    assert not {first.deal, first.order} & again
    assert {(EventKind.DEAL, True), (EventKind.ORDER_CLOSED, True)} == set(missed)


# --- a ledger that cannot be used --------------------------------------------------------------


def test_without_a_ledger_nothing_is_traded_until_it_is_back(bench):
    bench.start(options={"sqlite": "full"})
    offered = bench.hello.capabilities & TRADING
    denied = bench.order(buy(), "a/1")
    asked = bench.query("a/1")["a/1"]
    read = bench.read("positions")
    bench.wait(2)
    chart = bench.process.comment
    bench.process.set_option("sqlite", "")
    logons = bench.relay.logons
    bench.until(lambda: bench.relay.logons > logons)
    bench.wait(0.5)

    assert not offered
    assert (DENIED, DenyReason.NOT_PERMITTED, UNKNOWN) == (
        denied.outcome,
        denied.reason,
        asked.outcome,
    )
    assert {"positions": []} == read
    assert "no trading: " in chart
    assert TRADING == bench.hello.capabilities & TRADING
    assert DONE == bench.order(buy(), "a/1").outcome
    (line,) = [line for line in bench.process.said() if "no trading" in line]
    assert re.search(r"the disk is full", line)


def test_a_ledger_that_another_program_has_for_a_moment_is_back_soon(bench):
    """
    It is looked at after 1, 2, 4 seconds: until then no position can be closed.
    """
    bench.start(options={"sqlite": "locked"})
    offered = bench.hello.capabilities & TRADING
    bench.wait(2)
    bench.process.set_option("sqlite", "")
    bench.wait(5)

    assert not offered
    assert DONE == bench.order(buy(), "a/1").outcome


def test_a_ledger_that_fails_meanwhile_stops_orders_until_it_works(bench):
    bench.start()
    bench.order(buy(), "a/1")
    bench.process.set_option("sqlite", "full")
    denied = bench.order(buy(), "a/2")
    bench.process.set_option("sqlite", "")
    bench.wait(2.5)

    assert (DENIED, DenyReason.NOT_DURABLE) == (denied.outcome, denied.reason)
    assert DONE == bench.order(buy(), "a/3").outcome
    assert 0 == bench.executions("a/2")
    said = bench.process.said()
    assert 1 == len([line for line in said if "no trading" in line])
    assert any("orders are taken again" in line for line in said)


# --- reads and capabilities --------------------------------------------------------------------


def test_the_account_is_read_through_the_relay(bench):
    bench.start()
    bench.order(buy(), "a/1")
    bench.order(limit(), "a/2")

    assert [0.1] == [one["volume"] for one in bench.read("positions")["positions"]]
    assert [1.0] == [one["price_open"] for one in bench.read("orders")["orders"]]
    assert 10_000.0 == bench.read("account")["account"]["balance"]
    check = bench.read("order_check", action=1, symbol="EURUSD", volume=0.1, type=0)
    assert 0 == check["check"]["retcode"]
    assert ErrorCode.UNKNOWN_SYMBOL == bench.read("positions", symbol="NOPE")[0]


def test_what_a_session_has_not_is_unsupported(bench):
    bench.relay.capabilities = Capability.TICKS
    bench.start()
    denied = bench.order(buy(), "a/1")

    assert (DENIED, DenyReason.NOT_PERMITTED) == (denied.outcome, denied.reason)
    assert ErrorCode.UNSUPPORTED == bench.read("positions")[0]
    assert not bench.events


# --- the real relay ----------------------------------------------------------------------------


@pytest.fixture
def exchange():
    """
    Return a broker on the clock of this machine.
    """
    now_msc = time.time_ns() // 1_000_000
    market = Market([spec_for("EURUSD")])
    market.history.append("EURUSD", MqlTick(now_msc, 1.1, 1.1002))
    account = AccountRecord(login=1001, currency="USD", balance=100_000.0)
    return Exchange(market, account=account, server_clock_offset_us=now_msc * 1000)


def test_an_order_goes_from_a_client_through_the_relay_to_the_broker(tmp_path, exchange):
    settings, keys = make_settings(tmp_path, terminals=TRADES)
    with (
        RelayThread(settings) as relay,
        Trader(relay.endpoints.request) as trader,
        EaProcess(
            binary("asan"),
            exchange=exchange,
            inputs={
                "InpAlias": "demo",
                "InpKey": keys["demo"].hex(),
                "InpRelayPort": port_of(relay.endpoints.terminal),
            },
            folder=tmp_path / "terminal",
            symbol="EURUSD",
        ) as ea,
    ):
        ea.wait_until_initialized()
        trader.ready()
        done = trader.order("one")
        again = trader.order("one")
        denied = trader.order("two", BUY | {"volume": 1e6})

        assert ("DONE", False, True) == (done["outcome"], done["replayed"], again["replayed"])
        assert done["order"] == again["order"]
        assert ("DENIED", "terminal") == (denied["outcome"], denied["hop"])
        with ea.lock:
            assert 1 == exchange.ledger().executions_of(order_tag("c/one"))
        assert "" == ea.crash
