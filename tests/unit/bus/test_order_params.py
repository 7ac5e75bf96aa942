"""``bridge.bus.order_params`` and ``fields``: what is taken, and what is refused at which field."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.bus.fields import DECIMALS_MAX, PRICE_MAX, VOLUME_MAX
from bridge.bus.order_params import ACTION_FIELDS, OrderSendParams
from bridge.bus.requests import (
    CONTROL_PARAMS,
    PARAMS,
    ControlMethod,
    Method,
    validate_control_params,
    validate_params,
)
from bridge.exceptions import InvalidRequest
from bridge.model.enums import OrderType, OrderTypeFilling, OrderTypeTime, TradeRequestActions
from tests.support.json_schema import problems

BUY = {"action": "DEAL", "symbol": "EURUSD", "volume": 0.1, "type": "BUY"}
LIMIT = {**BUY, "action": "PENDING", "type": "SELL_LIMIT", "price": 1.5}
#: The least request of each action.
LEAST = {
    "DEAL": BUY,
    "PENDING": LIMIT,
    "SLTP": {"action": "SLTP", "position": 7, "sl": 1.1},
    "MODIFY": {"action": "MODIFY", "order": 7, "price": 1.1},
    "REMOVE": {"action": "REMOVE", "order": 7},
    "CLOSE_BY": {"action": "CLOSE_BY", "position": 7, "position_by": 8},
}
#: A value that each field would take where its action has it.
VALUES = {
    "magic": 1,
    "order": 9,
    "symbol": "EURUSD",
    "volume": 0.1,
    "price": 1.1,
    "stoplimit": 1.1,
    "sl": 1.1,
    "tp": 1.1,
    "sl_points": 10,
    "tp_points": 10,
    "deviation": 10,
    "type": "BUY",
    "type_filling": "FOK",
    "type_time": "GTC",
    "expiration": 1_767_362_400,
    "comment": "mine",
    "position": 9,
    "position_by": 10,
}


def send(**params):
    return validate_params(Method.ORDER_SEND, params)


def refused(method: Method, **params) -> tuple[str, str]:
    with pytest.raises(InvalidRequest) as caught:
        validate_params(method, params)
    assert "INVALID_REQUEST" == caught.value.code
    return caught.value.field, caught.value.message


# --- numbers that cannot be meant -----------------------------------------------------------

NO_NUMBERS = [True, "0.1", b"\1", [], {}, math.nan, math.inf, -math.inf, -0.1, 10**400, 1e13]


@pytest.mark.parametrize("field", ["volume", "price", "stoplimit", "sl", "tp"])
@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: repr(value)[:12])
def test_a_number_that_cannot_be_meant_is_refused_with_its_field(field, value) -> None:
    params = {**LIMIT, "type": "SELL_STOP_LIMIT", "stoplimit": 1.4, field: value}

    assert f"params.{field}" == refused(Method.ORDER_SEND, **params)[0]


@pytest.mark.parametrize("field", ["volume", "price", "stoplimit"])
@pytest.mark.parametrize("value", [0, 0.0, -0.0, 1e-9, 5e-11, 5e-324])
def test_what_must_be_there_is_more_than_nothing(field, value) -> None:
    params = {**LIMIT, "type": "SELL_STOP_LIMIT", "stoplimit": 1.4, field: value}

    assert f"params.{field}" == refused(Method.ORDER_SEND, **params)[0]


@pytest.mark.parametrize("field", ["sl", "tp"])
@pytest.mark.parametrize("value", [0, 0.0, -0.0])
def test_a_level_may_be_nothing_and_has_one_form_of_it(field, value) -> None:
    """-0.0 has other bytes: two requests that mean the same would differ."""
    actual = getattr(send(**BUY, **{field: value}), field)

    assert (0.0, 1.0) == (actual, math.copysign(1.0, actual))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("volume", VOLUME_MAX),
        ("volume", 0.00000001),
        ("price", PRICE_MAX),
        ("price", 1),
        ("volume", 123456.12345678),
        ("price", 99999.99999999),
    ],
)
def test_numbers_at_the_edges_are_taken_as_they_are(field, value) -> None:
    assert value == getattr(send(**{**BUY, field: value}), field)


@pytest.mark.parametrize(
    ("field", "value"),
    [("volume", math.nextafter(VOLUME_MAX, math.inf)), ("price", math.nextafter(PRICE_MAX, 1e13))],
)
def test_the_next_number_behind_the_edge_is_not(field, value) -> None:
    assert f"params.{field}" == refused(Method.ORDER_SEND, **{**BUY, field: value})[0]


def test_noise_of_arithmetic_is_rounded_away() -> None:
    assert 0.3 == send(**{**BUY, "volume": 0.1 + 0.2}).volume
    assert 1.1012 == send(**BUY, price=1.1 + 0.0012).price


@pytest.mark.parametrize("value", [0.123456789, 1.000000001, 1234.567890123, 1 / 3])
def test_digits_that_were_meant_are_not_rounded_away(value) -> None:
    expected = ("params.volume", f"must have at most {DECIMALS_MAX} decimals")

    assert expected == refused(Method.ORDER_SEND, **{**BUY, "volume": value})


@given(units=st.integers(1, 10**15))
def test_every_volume_of_at_most_eight_decimals_is_taken(units: int) -> None:
    volume = units / 10**8

    assert volume == send(**{**BUY, "volume": volume}).volume


def _taken_or_field(volume: float) -> float | str:
    try:
        return send(**{**BUY, "volume": volume}).volume
    except InvalidRequest as error:
        return error.field


@given(volume=st.floats())
def test_any_volume_is_taken_as_what_was_said_or_refused(volume: float) -> None:
    taken = _taken_or_field(volume)

    assert taken == "params.volume" or (
        0 < taken <= VOLUME_MAX and math.isclose(taken, volume, rel_tol=1e-13, abs_tol=1e-10)
    )


@pytest.mark.parametrize("field", ["sl_points", "tp_points"])
@pytest.mark.parametrize("value", [0, -1, 1.0, 0.5, "10", True, 10**10, 10**400])
def test_points_are_whole_and_above_0(field, value) -> None:
    assert f"params.{field}" == refused(Method.ORDER_SEND, **BUY, **{field: value})[0]


# --- enumerations --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "kind", "base"),
    [
        ("type", OrderType, {**LIMIT, "stoplimit": None}),
        ("type_filling", OrderTypeFilling, BUY),
        ("type_time", OrderTypeTime, LIMIT),
    ],
)
@pytest.mark.parametrize("value", [True, False, -1, 99, "", "buy", "ORDER_TYPE_BUY", 0.0, "0", []])
def test_an_enumeration_takes_names_and_numbers_only(field, kind, base, value) -> None:
    name, message = refused(Method.ORDER_SEND, **{**base, field: value})

    assert f"params.{field}" == name
    assert all(member in message for member in kind.__members__)


@pytest.mark.parametrize("action", TradeRequestActions)
def test_an_action_is_taken_by_name_and_by_number(action) -> None:
    params = LEAST[action.name]

    assert action == send(**params).action == send(**{**params, "action": int(action)}).action


# --- what belongs to an action ---------------------------------------------------------------


@pytest.mark.parametrize("action", TradeRequestActions)
def test_the_needed_fields_of_an_action_are_required(action) -> None:
    for field in ACTION_FIELDS[action][0]:
        params = LEAST[action.name]
        expected = (f"params.{field}", f"field required with action {action.name}")

        assert expected == refused(Method.ORDER_SEND, **{**params, field: None})
        assert expected == refused(
            Method.ORDER_SEND, **{name: params[name] for name in params if name != field}
        )


@pytest.mark.parametrize("action", TradeRequestActions)
def test_a_field_of_another_action_is_refused(action) -> None:
    needed, possible = ACTION_FIELDS[action]
    foreign = set(OrderSendParams.model_fields) - {"action", *needed} - possible

    for field in foreign:
        expected = (f"params.{field}", f"not a field of action {action.name}")

        assert expected == refused(
            Method.ORDER_SEND, **{**LEAST[action.name], field: VALUES[field]}
        )


@pytest.mark.parametrize("action", TradeRequestActions)
def test_a_field_of_another_action_may_be_null(action) -> None:
    nothing = dict.fromkeys(VALUES)

    assert send(**LEAST[action.name]) == send(**{**nothing, **LEAST[action.name]})


@pytest.mark.parametrize("kind", OrderType)
def test_each_type_belongs_to_one_action(kind) -> None:
    market = kind in {OrderType.BUY, OrderType.SELL}
    pending = not market and kind is not OrderType.CLOSE_BY
    stoplimit = 1.4 if kind.name.endswith("STOP_LIMIT") else None

    for action, takes in (("DEAL", market), ("PENDING", pending)):
        params = {**LEAST[action], "type": kind.name}
        if action == "PENDING":
            params["stoplimit"] = stoplimit
        if takes:
            assert kind is send(**params).type
        else:
            assert "params.type" == refused(Method.ORDER_SEND, **params)[0]


@pytest.mark.parametrize("name", ["BUY_STOP_LIMIT", "SELL_STOP_LIMIT"])
def test_a_stop_limit_order_needs_its_limit(name) -> None:
    expected = ("params.stoplimit", "field required with stop-limit orders")

    assert expected == refused(Method.ORDER_SEND, **{**LIMIT, "type": name})


@pytest.mark.parametrize("name", ["BUY_LIMIT", "SELL_LIMIT", "BUY_STOP", "SELL_STOP"])
def test_another_pending_order_has_no_second_price(name) -> None:
    params = {**LIMIT, "type": name, "stoplimit": 1.4}

    assert "params.stoplimit" == refused(Method.ORDER_SEND, **params)[0]


@pytest.mark.parametrize("name", ["SPECIFIED", "SPECIFIED_DAY"])
def test_a_lifetime_with_an_end_needs_the_end(name) -> None:
    params = {**LIMIT, "type_time": name}

    assert "params.expiration" == refused(Method.ORDER_SEND, **params)[0]
    assert 1 == send(**params, expiration=1).expiration


@pytest.mark.parametrize("name", ["GTC", "DAY", None])
def test_a_lifetime_without_an_end_has_none(name) -> None:
    params = {**LIMIT, "type_time": name, "expiration": 1}

    assert "params.expiration" == refused(Method.ORDER_SEND, **params)[0]


def test_the_end_of_an_order_may_be_moved_without_its_type() -> None:
    """The order has a type already: it is kept."""
    expected = 1_767_362_400

    actual = validate_params(Method.ORDER_MODIFY, {"order": 7, "expiration": expected})

    assert expected == actual.expiration


@pytest.mark.parametrize("name", ["SPECIFIED", "SPECIFIED_DAY"])
def test_a_deal_has_no_end(name) -> None:
    assert "params.type_time" == refused(Method.ORDER_SEND, **BUY, type_time=name)[0]


@pytest.mark.parametrize(
    ("method", "params"),
    [
        (Method.ORDER_SEND, BUY),
        (Method.ORDER_SEND, LIMIT),
        (Method.ORDER_MODIFY, {"order": 7}),
        (Method.POSITION_MODIFY, {"position": 7}),
    ],
)
@pytest.mark.parametrize("name", ["sl", "tp"])
@pytest.mark.parametrize("price", [1.1, 0])
def test_a_level_is_a_price_or_points(method, params, name, price) -> None:
    both = {**params, name: price, f"{name}_points": 10}

    assert f"params.{name}_points" == refused(method, **both)[0]


@pytest.mark.parametrize(
    ("method", "params", "field"),
    [
        (Method.ORDER_SEND, {"action": "SLTP", "position": 7}, "sl"),
        (Method.ORDER_SEND, {"action": "MODIFY", "order": 7}, "price"),
        (Method.ORDER_MODIFY, {"order": 7, "sl": None}, "price"),
        (Method.POSITION_MODIFY, {"position": 7, "tp": None}, "sl"),
        (Method.CLOSE_ALL, {"positions": False}, "positions"),
    ],
)
def test_a_request_for_nothing_is_refused(method, params, field) -> None:
    name, message = refused(method, **params)

    assert f"params.{field}" == name
    assert "nothing" in message


@pytest.mark.parametrize("method", [Method.POSITION_CLOSE_BY, Method.ORDER_SEND])
def test_a_position_does_not_close_itself(method) -> None:
    params = {"position": 7, "position_by": "7"}
    if method is Method.ORDER_SEND:
        params["action"] = "CLOSE_BY"

    assert "params.position_by" == refused(method, **params)[0]


# --- tickets, texts ----------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, "0", -1, 2**64, "18446744073709551616", 7.0, "07", True, ""])
def test_a_ticket_is_a_number_of_64_bits_or_its_text(value) -> None:
    assert "params.order" == refused(Method.ORDER_CANCEL, order=value)[0]


@pytest.mark.parametrize("ticket", [1, 2**53 + 1, 2**64 - 1])
def test_a_ticket_is_exact_as_text_too(ticket) -> None:
    assert ticket == validate_params(Method.ORDER_CANCEL, {"order": str(ticket)}).order


@pytest.mark.parametrize("value", ["x" * 129, "a\nb", "\0", 1, b"x", []])
def test_a_comment_is_a_line_of_at_most_128_characters(value) -> None:
    assert "params.comment" == refused(Method.ORDER_SEND, **BUY, comment=value)[0]
    assert "€" * 128 == send(**BUY, comment="€" * 128).comment


def test_a_symbol_fits_the_wire_protocol() -> None:
    assert "€" * 42 == send(**{**BUY, "symbol": "€" * 42}).symbol
    assert "params.symbol" == refused(Method.ORDER_SEND, **{**BUY, "symbol": "€" * 43})[0]


@pytest.mark.parametrize(
    "name", ["a", "a/", "/b", "a/b/0", "a/b/x", "a/b/7/8", "a b/c", "a/b\n", "a" * 65 + "/b", 7]
)
def test_the_name_of_a_command_is_two_names_and_perhaps_a_ticket(name) -> None:
    assert "params.command_id" == refused(Method.ORDER_STATUS, command_id=name)[0]


@pytest.mark.parametrize("field", ["client_id", "client_order_id"])
def test_a_command_is_named_in_one_way(field) -> None:
    assert f"params.{field}" == refused(Method.ORDER_STATUS, command_id="a/b", **{field: "a"})[0]


@pytest.mark.parametrize("field", ["order", "deal"])
def test_what_was_not_executed_has_no_tickets(field) -> None:
    params = {"command_id": "a/b", "executed": False, "evidence": "seen", field: 7}
    with pytest.raises(InvalidRequest) as caught:
        validate_control_params(ControlMethod.ORDER_RESOLVE, params)

    assert f"params.{field}" == caught.value.field
    assert 7 == getattr(
        validate_control_params(ControlMethod.ORDER_RESOLVE, {**params, "executed": True}), field
    )


# --- schema and model say the same ---------------------------------------------------------

_SOME = {
    "action": st.sampled_from([*TradeRequestActions.__members__, *TradeRequestActions, 2, True]),
    "type": st.sampled_from([*OrderType.__members__, *OrderType, 99]),
    "type_time": st.sampled_from([*OrderTypeTime.__members__, *OrderTypeTime, "X"]),
    "type_filling": st.sampled_from([*OrderTypeFilling.__members__, 9]),
    "positions": st.booleans(),
    "orders": st.booleans(),
    "executed": st.booleans(),
    "reducing": st.booleans(),
    "command_id": st.sampled_from(["a/b", "a/b/7", "a"]),
    "client_id": st.sampled_from(["a", ""]),
    "client_order_id": st.sampled_from(["b", "/"]),
    "evidence": st.sampled_from(["seen", ""]),
    "reason": st.sampled_from(["", "news", "a\n"]),
    "ticket": st.sampled_from([1, 0, "2"]),
    "position_by": st.sampled_from([10, 0, "11"]),
    "unknown": st.just(1),
}


def _field_values(name: str) -> st.SearchStrategy:
    return st.none() | _SOME.get(name, st.sampled_from([VALUES.get(name), VALUES.get(name), 0, -1]))


@st.composite
def _requests(draw: st.DrawFn) -> tuple:
    every = {**PARAMS, **CONTROL_PARAMS}
    orders = [name for name in every if every[name].__module__.endswith("order_params")]
    method = draw(st.sampled_from([Method.ORDER_SEND, *orders]))
    model = every[method]
    names = [*model.model_fields, "unknown"]
    params = dict(draw(st.sampled_from([*LEAST.values(), {}]))) if "action" in names else {}
    chosen = draw(st.lists(st.sampled_from(names), unique=True, max_size=4))
    return model, {**params, **{name: draw(_field_values(name)) for name in chosen}}


@given(_requests())
def test_a_schema_takes_what_the_model_takes(request_) -> None:
    model, params = request_
    try:
        model.model_validate(params)
        taken = True
    except (ValueError, InvalidRequest):
        taken = False

    assert taken == (problems(model.model_json_schema(), params) == [])
