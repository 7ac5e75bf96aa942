"""``bridge.client.orders``: what each trading call asks and returns, without a socket."""

from __future__ import annotations

import math

import pytest

from bridge.bus.orders import order_result
from bridge.bus.requests import TRADING_METHODS, Method, validate_params
from bridge.client.flows import Calls, Inquiry
from bridge.client.orders import OrderCalls, check_identity, check_params
from bridge.client.replies import MalformedReply
from bridge.exceptions import (
    InvalidRequest,
    NotAvailable,
    OrderDenied,
    OrderUnknown,
    RequestError,
)
from bridge.model.enums import OrderType, OrderTypeFilling, TradeRequestActions
from bridge.model.trade import AccountRecord, OrderRecord, PositionRecord, asdict

BUY = {"action": "DEAL", "type": "BUY", "symbol": "EURUSD", "volume": 0.1}
PING = {"version": 1, "bus_version": 1}


class Desk:
    """
    Runs flows; notes what is asked, and answers what it is told to.
    """

    def __init__(self, answer=None, client_id="me"):
        self.calls = OrderCalls(Calls("demo"), client_id)
        self.asked = []
        self.answer = order_result(outcome="DONE") if answer is None else answer

    def run(self, flow):
        answer = problem = None
        while True:
            try:
                step = flow.send(answer) if problem is None else flow.throw(problem)
            except StopIteration as end:
                return end.value
            answer = problem = None
            assert isinstance(step, Inquiry)
            if step.method is Method.PING:
                answer = PING
                continue
            self.asked.append(step)
            if isinstance(self.answer, RequestError):
                problem = self.answer
            else:
                answer = self.answer


@pytest.fixture
def desk():
    """
    Return a desk at which everything is done.
    """
    return Desk()


def test_an_order_is_asked_for_once_under_its_id(desk):
    result = desk.run(desk.calls.trade(Method.ORDER_SEND, "run-17", BUY))

    assert result.done
    assert [Inquiry(Method.ORDER_SEND, BUY, "demo", "run-17")] == desk.asked


def test_what_is_not_given_is_not_sent(desk):
    desk.run(desk.calls.trade(Method.ORDER_SEND, "1", {**BUY, "sl": None, "magic": None}))

    assert BUY == desk.asked[0].params


def test_zero_is_given():
    assert {"position": 7, "sl": 0.0} == check_params(
        Method.POSITION_MODIFY, {"position": 7, "sl": 0.0, "tp": None}
    )


def test_members_of_enumerations_are_sent_as_their_numbers(desk):
    params = {
        **BUY,
        "action": TradeRequestActions.DEAL,
        "type": OrderType.SELL,
        "type_filling": OrderTypeFilling.IOC,
    }
    desk.run(desk.calls.trade(Method.ORDER_SEND, "1", params))

    sent = desk.asked[0].params
    assert (1, 1, 1) == (sent["action"], sent["type"], sent["type_filling"])
    assert {int} == {type(sent[name]) for name in ("action", "type", "type_filling")}
    assert validate_params(Method.ORDER_SEND, sent)


@pytest.mark.parametrize(
    ("method", "params", "field"),
    [
        (Method.ORDER_SEND, {**BUY, "volume": math.nan}, "volume"),
        (Method.ORDER_SEND, {**BUY, "volume": math.inf}, "volume"),
        (Method.ORDER_SEND, {**BUY, "volume": -0.1}, "volume"),
        (Method.ORDER_SEND, {**BUY, "volume": 0}, "volume"),
        (Method.ORDER_SEND, {**BUY, "volume": "0.1"}, "volume"),
        (Method.ORDER_SEND, {**BUY, "volume": 0.1234567891234}, "volume"),
        (Method.ORDER_SEND, {**BUY, "price": math.nan}, "price"),
        (Method.ORDER_SEND, {**BUY, "sl": -1.0}, "sl"),
        (Method.ORDER_SEND, {**BUY, "sl": 1.0, "sl_points": 10}, "sl_points"),
        (Method.ORDER_SEND, {**BUY, "sl_points": 1.5}, "sl_points"),
        (Method.ORDER_SEND, {**BUY, "symbol": ""}, "symbol"),
        (Method.ORDER_SEND, {**BUY, "magic": -1}, "magic"),
        (Method.ORDER_SEND, {**BUY, "type": "HOLD"}, "type"),
        (Method.ORDER_SEND, {**BUY, "type": "BUY_LIMIT"}, "type"),
        (Method.ORDER_SEND, {**BUY, "order": 5}, "order"),
        (Method.ORDER_SEND, {**BUY, "volumes": 5}, "volumes"),
        (Method.ORDER_SEND, {**BUY, "comment": "x" * 129}, "comment"),
        (Method.ORDER_SEND, {"action": "REMOVE"}, "order"),
        (Method.ORDER_SEND, {"symbol": "EURUSD"}, "action"),
        (Method.POSITION_CLOSE, {"position": 0}, "position"),
        (Method.POSITION_CLOSE_BY, {"position": 7, "position_by": 7}, "position_by"),
        (Method.POSITION_MODIFY, {"position": 7}, "sl"),
        (Method.ORDER_MODIFY, {"order": 7}, "price"),
        (Method.ORDER_CANCEL, {"order": True}, "order"),
        (Method.CLOSE_ALL, {"positions": False}, "positions"),
    ],
)
def test_bad_arguments_are_named_before_anything_is_asked(desk, method, params, field):
    with pytest.raises(InvalidRequest) as caught:
        desk.run(desk.calls.trade(method, "1", params))

    assert (field, "client", []) == (caught.value.field, caught.value.hop, desk.asked)


@pytest.mark.parametrize("name", ["", "a/b", "-1", "ä", "x" * 65, "a b", "a\n", 7, None])
def test_bad_ids_are_named_before_anything_is_asked(desk, name):
    with pytest.raises(InvalidRequest) as caught:
        desk.run(desk.calls.trade(Method.ORDER_SEND, name, BUY))

    assert ("client_order_id", []) == (caught.value.field, desk.asked)


@pytest.mark.parametrize("name", ["1", "run-17", "A.b_c:d-9", "x" * 64])
def test_ids_that_are_fine(name):
    check_identity(name, "client_order_id")


@pytest.mark.parametrize("method", sorted(TRADING_METHODS))
def test_without_a_client_id_of_its_own_a_client_does_not_trade(method):
    desk = Desk(client_id=None)
    with pytest.raises(InvalidRequest) as caught:
        desk.run(desk.calls.trade(method, "1", {}))

    assert ("client_id", []) == (caught.value.field, desk.asked)
    assert "Client(client_id=" in caught.value.hint


@pytest.mark.parametrize(
    "answer", [{}, {"outcome": None}, {"outcome": "DONE", "volume": "much"}, {"outcome": 1}]
)
def test_an_answer_that_cannot_be_read_is_no_answer(answer):
    """
    The order may have been executed: nothing else may be concluded from a broken reply.
    """
    desk = Desk(answer)
    with pytest.raises(OrderUnknown) as caught:
        desk.run(desk.calls.trade(Method.ORDER_SEND, "9", BUY))

    assert ("me", "9") == (caught.value.client_id, caught.value.client_order_id)
    assert "order_status('9')" in caught.value.hint
    assert 1 == len(desk.asked)


def test_a_refusal_is_a_result_unless_it_is_to_be_raised():
    desk = Desk(order_result(outcome="DENIED", reason="HALTED", hop="relay"))

    assert desk.run(desk.calls.trade(Method.ORDER_SEND, "1", BUY)).denied
    with pytest.raises(OrderDenied):
        desk.run(desk.calls.trade(Method.ORDER_SEND, "1", BUY, raise_on_reject=True))


def test_a_method_that_only_reads_is_no_order(desk):
    with pytest.raises(AssertionError):
        desk.run(desk.calls.trade(Method.POSITIONS, "1", {}))


def test_a_check_needs_no_id():
    desk = Desk({"retcode": 0, "margin": 12.5}, client_id=None)
    found = desk.run(desk.calls.check(BUY))

    assert (True, 12.5) == (found.passed, found.margin)
    assert [Inquiry(Method.ORDER_CHECK, BUY, "demo")] == desk.asked


@pytest.mark.parametrize(
    ("arguments", "params"),
    [
        (("9", None, None), {"client_id": "me", "client_order_id": "9"}),
        (("9", "other", None), {"client_id": "other", "client_order_id": "9"}),
        ((None, None, "other/9"), {"command_id": "other/9"}),
        ((None, None, "other/9/4711"), {"command_id": "other/9/4711"}),
    ],
)
def test_the_journal_is_asked_about_an_order(desk, arguments, params):
    result = desk.run(desk.calls.status(*arguments))

    assert result.done
    assert [Inquiry(Method.ORDER_STATUS, params)] == desk.asked


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ((None, None, None), "client_order_id"),
        (("a/b", None, None), "client_order_id"),
        (("9", "a/b", None), "client_id"),
        ((None, None, "9"), "command_id"),
        (("9", None, "me/9"), "client_order_id"),
        ((None, "me", "me/9"), "client_id"),
    ],
)
def test_which_order_is_meant_has_to_be_clear(desk, arguments, field):
    with pytest.raises(InvalidRequest) as caught:
        desk.run(desk.calls.status(*arguments))

    assert (field, []) == (caught.value.field, desk.asked)


def test_the_status_of_its_own_orders_needs_a_client_id():
    desk = Desk(client_id=None)
    with pytest.raises(InvalidRequest) as caught:
        desk.run(desk.calls.status("9", None, None))

    assert "client_id" == caught.value.field
    assert desk.run(desk.calls.status("9", "other", None)).done


def test_an_order_that_nobody_heard_of():
    desk = Desk(NotAvailable("never heard of me/9"))
    with pytest.raises(NotAvailable):
        desk.run(desk.calls.status("9", None, None))


def test_positions_orders_and_the_account():
    desk = Desk({"positions": [asdict(PositionRecord(ticket=7, symbol="EURUSD"))]}, client_id=None)
    found = desk.run(desk.calls.positions("EURUSD", None, 7))

    assert [(7, "EURUSD", "BUY")] == [(one.ticket, one.symbol, one.type_name) for one in found]
    assert [Inquiry(Method.POSITIONS, {"symbol": "EURUSD", "ticket": 7}, "demo")] == desk.asked

    desk = Desk({"orders": [asdict(OrderRecord(ticket=8, type=2))]})
    assert ["BUY_LIMIT"] == [one.type_name for one in desk.run(desk.calls.orders(None, None, None))]
    for answer in (asdict(AccountRecord(login=5)), {"account": asdict(AccountRecord(login=5))}):
        desk = Desk(answer)
        assert (5, True) == ((told := desk.run(desk.calls.account())).login, told.demo)


@pytest.mark.parametrize("answer", [{}, {"positions": {}}, {"positions": [{"symbol": "X"}]}])
def test_positions_that_cannot_be_read(answer):
    desk = Desk(answer)
    with pytest.raises(MalformedReply):
        desk.run(desk.calls.positions(None, None, None))
