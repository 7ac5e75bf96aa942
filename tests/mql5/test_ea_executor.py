"""
The EA's executor is run through the tests of the Python trading desk, one by one.

``bridge.sim.trading_executor`` is the model: what the desk's tests say of it must be true of
``mql5/Include/Bridge/Trade/Executor.mqh``, with its own ledger, its own request maker and its
own limits, whether it sends with OrderSend or with OrderSendAsync.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from pathlib import Path

import pytest

from bridge.model.enums import TradeRequestActions, TradeRetcode
from bridge.model.retcodes import RETCODES
from bridge.model.trade import TradeRequest, TradeResult, order_tag
from bridge.sim import trading
from bridge.sim.exchange_records import Transaction, TransactionType
from bridge.sim.exchange_rules import BrokerRules
from bridge.sim.ledger import MemoryLedger
from bridge.sim.market import Market
from bridge.sim.trading_commands import Commands
from bridge.sim.trading_executor import TradingLimits
from bridge.sim.trading_ports import Moment
from bridge.sim.trading_results import outcome_of
from bridge.wire.spec import DenyReason, Evidence, OrderOutcome, Permission, Role, TradingState
from tests.mql5 import building
from tests.mql5.executor_program import LIMITS, OVER, TAG, MqlExecutor, Program
from tests.mql5.host import EaProcess
from tests.mql5.link import Call
from tests.mql5.models import MARKS, load_model
from tests.mql5.scenarios.world import ACCOUNT
from tests.support import desk_bench, desk_outcomes

pytestmark = MARKS

PROGRAM = Path(__file__).with_name("programs") / "executor.mq5"
#: What the tests ask of the Python desk alone, and why.
NOT_OF_THE_EA = {
    "test_a_ledger_that_is_not_durable_takes_no_order": "of a ledger in memory",
    "test_a_program_killed_between_intent_and_call_did_not_execute": "patches the Python call",
    "test_order_check_is_asked_before_there_is_an_intent": "patches the Python call; see below",
    "test_heartbeats_show_the_brokers_flags": "has no order in it",
    "test_metatrader_fills_the_result_of_an_order_whose_answer_is_lost": "OrderSend alone does",
}


#: Where the trade server has to work before the call returns: here it returns before the test
#: goes on.
ONLY_ASYNC = {
    "test_the_intent_is_durable_before_the_order_is_sent",
    "test_a_program_killed_inside_of_the_call_finds_what_it_sent",
}


def pytest_generate_tests(metafunc):
    """
    Run each test with both ways to send, unless it is about one of them.
    """
    waits = "waiting" in metafunc.fixturenames or metafunc.function.__name__ in ONLY_ASYNC
    ways = ["OrderSendAsync"] if waits else ["OrderSend", "OrderSendAsync"]
    metafunc.parametrize("program", ways, indirect=True, scope="module")


models = [
    load_model(name) for name in ("test_trading", "test_trading_checks", "test_trading_unknown")
]
bench = models[0].bench


@pytest.fixture(scope="module", autouse=True)
def program(request, tmp_path_factory):
    """
    Let the desk's tests execute orders with the translated program.
    """
    binary = building.build(PROGRAM, mode="asan")
    process = EaProcess(
        binary,
        market=Market([]),
        account=ACCOUNT,
        clock="virtual",
        folder=tmp_path_factory.mktemp("executor"),
        symbol="EURUSD",
    )
    with process, pytest.MonkeyPatch.context() as patch:
        running = Program(process, sends_async=request.param == "OrderSendAsync")
        patch.setattr(MqlExecutor, "program", running, raising=False)
        patch.setattr(trading, "Executor", MqlExecutor)
        yield running
        running.break_ledger(False)
        code = process.deinit()

    assert (0, "") == (code, process.crash)


def of_the_models():
    """
    Return the desk's tests that are true of every executor.
    """
    found = {}
    for item in [item for model in models for item in vars(model).items()]:
        name, test = item
        if name.startswith("test_") and name not in NOT_OF_THE_EA:
            assert name not in found
            found[name] = test
    return found


globals().update(of_the_models())


# The executor by itself --------------------------------------------------------------------

ALL = Permission(31)


class Scene:
    """
    An executor with a broker, and what the test decides: moments, answers, transactions.
    """

    def __init__(self, program, **rules):
        self.program = program
        self.bench = desk_bench.DeskBench(rules=BrokerRules(**rules) if rules else None)
        self.exchange = self.bench.exchange
        self.ledger = MemoryLedger(desk_bench.INCARNATION)
        self.executor = MqlExecutor(
            self.exchange,
            Commands(self.ledger),
            None,
            None,
            None,
            incarnation=self.ledger.incarnation,
            login=desk_bench.LOGIN,
            role=Role.BOTH,
            limits=TradingLimits(),
        )

    def moment(self, **changes):
        now_us = self.bench.now
        return Moment(now_us, self.bench.server_msc, 0, ALL, 0)._replace(**changes)

    def send(self, wanted, command_id="test/a", *, moment=None, **changes):
        new = self.bench.new(wanted, command_id, **changes)
        moment = moment or self.moment()
        return self.executor.send(new, TradingState.ACTIVE, desk_bench.LOGIN, moment)

    def order(self, wanted, command_id="test/a"):
        """
        Send an order and return its RESULT.
        """
        result = self.send(wanted, command_id)
        return result or self.executor.returned(self.moment())[1]

    def is_over(self, after_ms=0, *, connected=True):
        return ["=yes"] == self.program.call(OVER, self.bench.now + after_ms * 1000, int(connected))

    def answer_of(self, **changes):
        """
        Return the transaction that a request of the terminal is answered with.
        """
        done = TradeResult(retcode=10009, deal=77, order=88, volume=0.1, price=1.1, request_id=1)
        sent = TradeRequest(action=1, symbol="EURUSD", comment=order_tag("test/a"))
        request = {name: changes.pop(name) for name in _SENT & set(changes)}
        return Transaction(
            type=changes.pop("kind", TransactionType.REQUEST),
            request=dataclasses.replace(sent, **request),
            result=dataclasses.replace(done, **changes),
        )


_SENT = {field.name for field in dataclasses.fields(TradeRequest)}


@pytest.fixture
def scene(program):
    return Scene(program)


@pytest.fixture
def waiting(program):
    """
    A scene with a request that is under way, whose answer does not come.
    """
    scene = Scene(program, lose_request=1.0, reply_timeout_ms=600_000)
    assert scene.send(desk_bench.buy()) is None
    assert not scene.is_over()
    return scene


def test_a_command_has_the_same_tag_on_both_sides(program, rng):
    """
    With another one no order of the Python relay would be taken.
    """
    names = ["a/1", "c/x.y-z", "test/" + "\u20ac" * 20, "x" * 160]
    names += [f"client/{rng.randrange(10**9)}" for _ in range(20)]

    assert [f"={order_tag(name)}" for name in names] == [program.call(TAG, n)[0] for n in names]


@pytest.mark.parametrize(
    "foreign",
    [
        {"request_id": 2},
        {"action": 5},
        {"symbol": "GBPUSD"},
        {"comment": "somebody else's"},
        {"kind": TransactionType.DEAL_ADD},
    ],
)
def test_the_answer_of_another_program_is_not_taken(waiting, foreign):
    """
    Every program of the terminal hears of every request.
    """
    waiting.program.hear(waiting.answer_of(**foreign))
    before = waiting.is_over(59_000)
    waiting.program.hear(waiting.answer_of(retcode=10006))

    assert not before
    assert waiting.is_over()


def test_the_answer_counts_once_and_by_its_code(waiting):
    """
    Doubled, or followed by another one: the first one was the answer.
    """
    for retcode in (10009, 10009, 10006):
        waiting.program.hear(waiting.answer_of(retcode=retcode))
    _, result = waiting.executor.returned(waiting.moment())

    assert (OrderOutcome.DONE, Evidence.TRADE_SERVER) == (result.outcome, result.evidence)
    assert (10009, 77, 88, 1) == (result.retcode, result.deal, result.order, result.request_id)
    assert (77,) == result.deals
    assert not waiting.is_over()


def test_what_is_not_answered_in_time_is_unknown(waiting):
    assert [False, True] == [waiting.is_over(59_999), waiting.is_over(60_000)]
    result = waiting.executor.returned(waiting.moment())[1]

    assert (OrderOutcome.UNKNOWN, TradeRetcode.TIMEOUT) == (result.outcome, result.retcode)
    assert OrderOutcome.UNKNOWN is waiting.ledger.find("test/a").outcome


def test_a_lost_trade_server_ends_the_wait(waiting):
    away = waiting.moment(permissions=ALL & ~Permission.TERMINAL_CONNECTED)
    assert waiting.is_over(connected=False)
    result = waiting.executor.returned(away)[1]

    assert (OrderOutcome.UNKNOWN, TradeRetcode.CONNECTION) == (result.outcome, result.retcode)


def test_an_answer_that_is_late_is_not_the_next_ones(waiting):
    """
    The evidence tells of the first one; the second has an id of its own.
    """
    assert waiting.is_over(60_000)
    waiting.executor.returned(waiting.moment())
    assert waiting.send(desk_bench.buy(), "test/b") is None
    waiting.program.hear(waiting.answer_of())
    late = waiting.is_over()
    waiting.program.hear(waiting.answer_of(request_id=2, comment=order_tag("test/b")))

    assert not late
    assert waiting.is_over()


def test_nothing_else_is_sent_while_a_request_is_under_way(waiting):
    result = waiting.send(desk_bench.buy(), "test/b")

    assert DenyReason.TOO_MANY == result.reason
    assert waiting.ledger.find("test/b") is None
    assert () == waiting.exchange.ledger().requests


def test_the_code_decides_and_not_what_the_function_returned(program):
    """
    Every code that is known, and some that are not, with a function that says true to all.
    """
    codes = [*RETCODES, 0, 1, 10005, 10037, 10047, 2**31, 2**32 - 1]
    for wanted in (desk_bench.buy(), desk_outcomes.limit_buy()):
        scene = Scene(program)
        program.process.broker.trade.faults.true_when_sent = True
        for number, code in enumerate(codes):
            scene.exchange.force(code)
            result = scene.order(wanted, f"test/{number}")

            assert (outcome_of(code, wanted.action), code) == (result.outcome, result.retcode)


def test_the_intent_lies_between_order_check_and_the_sending(scene):
    """
    What OrderCheck refuses was not sent: killed before its record, it must leave no doubt.
    """
    process = scene.program.process
    answers = process.broker._answers
    sends = (Call.ORDER_SEND, Call.ORDER_SEND_ASYNC)
    before = {call: answers[call] for call in (Call.ORDER_CHECK, *sends)}
    rows = []

    def look(call):
        def answer(fields):
            with contextlib.closing(sqlite3.connect(scene.program.path)) as ledger:
                rows.append((call in sends, *ledger.execute("SELECT COUNT(*) FROM commands")))
            return before[call](fields)

        return answer

    answers.update({call: look(call) for call in before})
    try:
        results = [scene.order(desk_bench.buy(lots), f"test/{lots}") for lots in (50.0, 0.1)]
    finally:
        answers.update(before)

    assert [OrderOutcome.REJECTED, OrderOutcome.DONE] == [one.outcome for one in results]
    assert [(False, (0,)), (False, (1,)), (True, (2,))] == rows


@pytest.mark.parametrize("wrong", ["check", "send"])
def test_what_the_terminal_refuses_by_itself_was_not_sent(scene, wrong):
    """
    AutoTrading was switched off a moment ago: OrderCheck says so, or else the call.
    """
    trade = scene.program.process.broker.trade
    check = trade.answers[Call.ORDER_CHECK]
    answers = scene.program.process.broker._answers

    def refuse(fields):
        answer = check(fields)
        scene.program.process.set_permissions(ALL & ~Permission.TERMINAL_TRADE_ALLOWED)
        return answer

    if wrong == "check":
        scene.program.process.set_permissions(ALL & ~Permission.TERMINAL_TRADE_ALLOWED)
    else:
        answers[Call.ORDER_CHECK] = refuse
    try:
        result = scene.order(desk_bench.buy())
    finally:
        answers[Call.ORDER_CHECK] = check
        scene.program.process.set_permissions(ALL)

    assert (OrderOutcome.REJECTED, 10027, 4752) == (result.outcome, result.retcode, result.error)
    assert (Evidence.ORDER_CHECK if wrong == "check" else Evidence.TRADE_SERVER) == result.evidence
    assert () == scene.exchange.ledger().requests


@pytest.mark.parametrize(
    ("deadline_us", "offset_us", "expired"),
    [
        (2**63 - 1, 0, False),
        (2**63 - 1, 2**63 - 1, False),
        (-(2**63), 0, True),
        (-(2**63), -(2**63), True),
        (2**63 - 1, -(2**63), True),
        (-(2**63), 2**63 - 1, True),
        (0, 2**63 - 1, False),
    ],
)
def test_no_deadline_overflows(scene, deadline_us, offset_us, expired):
    """
    A relay may say any number, and a sum that wraps would let an old order pass.
    """
    result = scene.send(
        desk_bench.buy(),
        moment=scene.moment(clock_offset_us=offset_us),
        deadline_us=deadline_us,
    )
    if result is None:
        _, result = scene.executor.returned(scene.moment())

    assert expired is (OrderOutcome.EXPIRED_NOT_SENT == result.outcome)


@pytest.mark.parametrize(
    ("names", "allowed"),
    [
        ({"EURUSD"}, True),
        ({"GBPUSD"}, False),
        ({" EURUSD "}, True),
        ({"EURUSD;GBPUSD"}, False),
        ({"eurusd"}, False),
        ({"", " "}, False),
    ],
)
def test_a_slip_in_the_list_of_symbols_opens_nothing(scene, names, allowed):
    scene.program.call_with_text(LIMITS, "0|0|0|0|0|" + ",".join(sorted(names)))
    result = scene.order(desk_bench.buy())

    assert allowed is (OrderOutcome.DONE == result.outcome)


def test_a_modification_is_no_way_around_the_limits(scene):
    """
    Levels and pending orders of a symbol that is not allowed stay as they are.
    """
    position = scene.order(desk_bench.buy(), "test/p").position
    order = scene.order(desk_outcomes.limit_buy(), "test/o").order
    scene.executor.limits = TradingLimits(symbols=frozenset({"GBPUSD"}))
    wanted = (
        desk_bench.request(TradeRequestActions.SLTP, position=position, sl=1.05),
        desk_bench.request(TradeRequestActions.MODIFY, order=order, price=1.04),
        desk_bench.request(TradeRequestActions.SLTP, position=position + 50, sl=1.05),
    )
    reasons = [scene.order(one, f"test/{at}").reason for at, one in enumerate(wanted)]

    assert [DenyReason.SYMBOL_NOT_ALLOWED] * 3 == reasons
    removed = desk_bench.request(TradeRequestActions.REMOVE, order=order)
    assert OrderOutcome.DONE == scene.order(removed, "test/r").outcome
