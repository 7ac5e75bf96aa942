"""``bridge.bus.orders``: names, results, and what a terminal is asked to do."""

from __future__ import annotations

import dataclasses

import pytest

from bridge.bus.orders import (
    RESULT_DEFAULTS,
    RESULT_FIELDS,
    CloseAllParams,
    OrderStatusParams,
    Outcome,
    Reason,
    cancel_command,
    close_command,
    command_id,
    command_of,
    order_result,
    status_command_id,
)
from bridge.bus.requests import Method, validate_params
from bridge.exceptions import InvalidRequest
from bridge.model.command import OrderCommand, OrderValues
from bridge.wire.messages import New, pack_message, unpack_message
from bridge.wire.spec import DenyReason
from bridge.wire.structures import OrderRequest

BUY = {"action": "DEAL", "symbol": "EURUSD", "volume": 0.1, "type": "BUY"}
LIMIT = {**BUY, "action": "PENDING", "type": "BUY_LIMIT", "price": 1.1}


def command(method: Method, **params) -> OrderCommand:
    return command_of(validate_params(method, params))


def given(values: OrderValues) -> dict:
    return {name: value for name, value in dataclasses.asdict(values).items() if value is not None}


# --- names -------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [Outcome, Reason])
def test_names_equal_their_values(names) -> None:
    assert [name.value for name in names] == [name.name for name in names]


def test_every_deny_reason_of_the_terminal_has_its_reason() -> None:
    assert {reason.name for reason in DenyReason if reason} <= set(Reason)


def test_a_command_has_the_names_of_its_client() -> None:
    assert "a/b" == command_id("a", "b")
    assert "a/b/18446744073709551615" == command_id("a", "b", 2**64 - 1)


def test_the_longest_name_of_a_command_fits_the_wire() -> None:
    longest = command_id("c" * 64, "o" * 64, 2**64 - 1)
    message = _new(longest, OrderValues(action=8, order=1))

    assert longest == unpack_message(New, pack_message(message)).command_id


# --- results -----------------------------------------------------------------------------


def test_a_result_has_every_field_in_order() -> None:
    actual = order_result(outcome="DONE", order=7)

    assert RESULT_FIELDS == tuple(actual)
    assert {**RESULT_DEFAULTS, "outcome": "DONE", "order": 7, "deals": [], "children": []} == actual


def test_a_result_of_which_nothing_is_said_is_unknown_and_not_final() -> None:
    assert ("UNKNOWN", False) == (order_result()["outcome"], order_result()["final"])


def test_results_share_no_lists() -> None:
    order_result()["deals"].append(1)
    deals = [1]
    result = order_result(deals=deals)
    deals.append(2)

    assert [] == order_result()["deals"]
    assert [1] == result["deals"]


def test_a_field_that_a_result_does_not_have_is_a_defect() -> None:
    with pytest.raises(TypeError, match="outcom"):
        order_result(outcom="DONE")


# --- which command order_status means -----------------------------------------------------


@pytest.mark.parametrize(
    ("params", "envelope", "expected"),
    [
        ({"command_id": "a/b/7"}, ("x", "y"), "a/b/7"),
        ({"client_id": "a", "client_order_id": "b"}, ("x", "y"), "a/b"),
        ({"client_order_id": "b"}, ("x", None), "x/b"),
        ({"client_id": "a"}, (None, "y"), "a/y"),
        ({}, ("x", "y"), "x/y"),
    ],
)
def test_the_envelope_fills_in_what_order_status_leaves_out(params, envelope, expected) -> None:
    assert expected == status_command_id(OrderStatusParams(**params), *envelope)


@pytest.mark.parametrize(
    ("params", "envelope", "field"),
    [
        ({}, (None, None), "params.client_order_id"),
        ({"client_id": "a"}, ("x", None), "params.client_order_id"),
        ({"client_order_id": "b"}, (None, None), "params.client_id"),
    ],
)
def test_order_status_of_nothing_is_refused(params, envelope, field) -> None:
    with pytest.raises(InvalidRequest) as caught:
        status_command_id(OrderStatusParams(**params), *envelope)

    assert field == caught.value.field


# --- what the terminal is asked to do -------------------------------------------------------


def test_a_market_order_asks_for_what_was_given_and_nothing_else() -> None:
    actual = command(Method.ORDER_SEND, **BUY)

    assert {"action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0} == given(actual.values)
    assert (False, False, False, "") == (
        actual.reduce_only,
        actual.sl_points,
        actual.tp_points,
        actual.comment,
    )


def test_every_field_of_a_request_arrives() -> None:
    params = {
        **LIMIT,
        "magic": 2**64 - 1,
        "type": "BUY_STOP_LIMIT",
        "stoplimit": 1.2,
        "sl": 1.0,
        "tp": 1.5,
        "type_filling": "RETURN",
        "type_time": "SPECIFIED_DAY",
        "expiration": 1_767_362_400,
        "comment": "mine",
    }
    expected = OrderValues(
        action=5,
        magic=2**64 - 1,
        symbol="EURUSD",
        volume=0.1,
        price=1.1,
        stoplimit=1.2,
        sl=1.0,
        tp=1.5,
        type=6,
        type_filling=2,
        type_time=3,
        expiration=1_767_362_400,
    )

    assert OrderCommand(values=expected, comment="mine") == command(Method.ORDER_SEND, **params)


def test_names_and_numbers_ask_for_the_same() -> None:
    """A content hash over commands must not tell them apart."""
    numbers = {"action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0, "magic": "7"}

    assert command(Method.ORDER_SEND, **BUY, magic=7) == command(Method.ORDER_SEND, **numbers)


def test_enumerations_travel_as_plain_numbers() -> None:
    values = command(Method.ORDER_SEND, **LIMIT, type_time="DAY", type_filling="IOC").values

    assert {int} == {
        type(values.action),
        type(values.type),
        type(values.type_time),
        type(values.type_filling),
    }


def test_null_keeps_and_0_removes() -> None:
    actual = command(Method.POSITION_MODIFY, position=7, sl=None, tp=0)

    assert {"action": 6, "position": 7, "tp": 0.0} == given(actual.values)


def test_points_travel_in_the_place_of_the_price_with_their_flag() -> None:
    actual = command(Method.ORDER_SEND, **BUY, sl_points=300, tp=1.5)

    assert (300.0, 1.5, True, False) == (
        actual.values.sl,
        actual.values.tp,
        actual.sl_points,
        actual.tp_points,
    )
    assert float is type(actual.values.sl)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        (Method.ORDER_SEND, BUY),
        (Method.ORDER_MODIFY, {"order": 7}),
        (Method.POSITION_MODIFY, {"position": 7}),
    ],
)
def test_each_method_with_levels_tells_points_by_their_flags(method, params) -> None:
    actual = command(method, **params, sl_points=10, tp_points=20)

    assert (10.0, 20.0, True, True) == (
        actual.values.sl,
        actual.values.tp,
        actual.sl_points,
        actual.tp_points,
    )


def test_a_deal_that_names_a_position_may_only_reduce() -> None:
    """On a netting account a second close would open the reverse."""
    assert command(Method.ORDER_SEND, **{**BUY, "type": "SELL"}, position=7).reduce_only
    assert not command(Method.ORDER_SEND, **{**BUY, "type": "SELL"}).reduce_only


def test_a_close_leaves_side_and_symbol_to_the_terminal() -> None:
    actual = command(Method.POSITION_CLOSE, position=7, deviation=20, comment="mine")

    assert {"action": 1, "position": 7, "deviation": 20} == given(actual.values)
    assert (True, "mine") == (actual.reduce_only, actual.comment)
    assert 0.05 == command(Method.POSITION_CLOSE, position=7, volume=0.05).values.volume


def test_close_all_makes_the_commands_of_close_and_cancel() -> None:
    assert close_command(7, deviation=5) == command(Method.POSITION_CLOSE, position=7, deviation=5)
    assert cancel_command(7) == command(Method.ORDER_CANCEL, order=7)


@pytest.mark.parametrize(
    ("method", "params", "action"),
    [
        (Method.ORDER_MODIFY, {"order": 7, "price": 1.5}, "MODIFY"),
        (Method.POSITION_MODIFY, {"position": 7, "sl": 1.5}, "SLTP"),
        (Method.POSITION_CLOSE_BY, {"position": 7, "position_by": 8}, "CLOSE_BY"),
        (Method.ORDER_CANCEL, {"order": 7}, "REMOVE"),
    ],
)
def test_a_method_with_a_name_is_an_order_send_with_its_action(method, params, action) -> None:
    assert command(Method.ORDER_SEND, action=action, **params) == command(method, **params)


def test_close_all_is_no_single_command() -> None:
    with pytest.raises(TypeError, match="CloseAllParams"):
        command_of(CloseAllParams())


def test_values_have_the_fields_of_the_wire_in_its_order() -> None:
    assert OrderRequest._fields == tuple(field.name for field in dataclasses.fields(OrderValues))


@pytest.mark.parametrize(
    "params",
    [
        {**BUY, "volume": 10_000_000, "magic": 2**64 - 1, "symbol": "€" * 42},
        {**LIMIT, "price": 1e12, "expiration": 32_535_215_999, "type_time": "SPECIFIED"},
        {"action": "CLOSE_BY", "position": 2**64 - 1, "position_by": "18446744073709551614"},
        {**BUY, "deviation": 1_000_000_000, "tp_points": 1_000_000_000},
    ],
)
def test_whatever_is_taken_can_be_sent_to_a_terminal(params) -> None:
    values = command(Method.ORDER_SEND, **params).values
    sent = unpack_message(New, pack_message(_new("a/b", values)))

    assert dataclasses.astuple(values) == tuple(sent.request)


def _new(name: str, values: OrderValues) -> New:
    request = OrderRequest(**dataclasses.asdict(values))
    return New(name, "zb1:AAAAAAAAAAAAAAAA", 0, 0, 1, bytes(16), 1, 0, request)
