"""``bridge.bus.requests``: the envelope, the parameters, and refusals that name the field."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.bus.codec import Encoding, decode, encode
from bridge.bus.requests import (
    CONTROL_PARAMS,
    PARAMS,
    TRADING_METHODS,
    ControlMethod,
    EmptyParams,
    ErrorName,
    Hop,
    Method,
    ReplayParams,
    Request,
    error_map,
    identity_of,
    validate_control_params,
    validate_params,
    validate_request,
)
from bridge.exceptions import InvalidRequest

#: One value of every type that a decoder can return, and numbers at the edges.
ANYTHING = [
    None,
    True,
    False,
    0,
    1,
    -1,
    2**63,
    2**64 - 1,
    10**400,
    0.0,
    1.0,
    1.5,
    1e308,
    "",
    "x",
    "1",
    "x" * 300,
    "\0",
    "a\nb",
    b"x",
    [],
    [1],
    ["relay"],
    {},
    {"a": 1},
]
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda item: st.lists(item, max_size=3) | st.dictionaries(st.text(), item, max_size=3),
    max_leaves=8,
)
GOOD_PARAMS = {
    Method.PING: {},
    Method.STATUS: {},
    Method.TERMINALS: {},
    Method.SYMBOLS: {"group": "EUR*,!*.r", "offset": 0, "limit": 1000},
    Method.SYMBOL: {"symbol": "EURUSD.r"},
    Method.TICK: {"symbol": "#US 500 €😀"},
    Method.SNAPSHOT: {"topics": ["relay", "tick/demo/EURUSD"], "wait_ms": 0},
    Method.SYNC: {"nonce": "n0nce_-Z"},
    Method.REPLAY: {"topic": "relay", "epoch": 2**32 - 1, "first": 0, "last": 2**64 - 1},
    Method.ORDER_SEND: {"action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0},
    Method.ORDER_CHECK: {"action": 1, "symbol": "EURUSD", "volume": 500.0, "type": 1},
    Method.ORDER_MODIFY: {"order": 7, "price": 1.5, "stoplimit": 1.4, "type_time": 0},
    Method.POSITION_MODIFY: {"position": 7, "sl": 0.0, "tp": 1.5},
    Method.POSITION_CLOSE: {"position": 7, "volume": 0.1, "deviation": 0, "comment": ""},
    Method.POSITION_CLOSE_BY: {"position": 7, "position_by": 8},
    Method.ORDER_CANCEL: {"order": 7},
    Method.CLOSE_ALL: {"symbol": "EURUSD", "magic": 0, "positions": True, "orders": True},
    Method.ORDER_STATUS: {"client_id": "ma-cross", "client_order_id": "1"},
    Method.POSITIONS: {"symbol": "EURUSD", "magic": 2**64 - 1, "ticket": 7},
    Method.ORDERS: {},
    Method.ACCOUNT: {},
}
GOOD_CONTROL_PARAMS = {
    ControlMethod.HALT: {"reducing": True, "reason": "news"},
    ControlMethod.RESUME: {},
    ControlMethod.ORDER_RESOLVE: {"command_id": "a/b/7", "executed": True, "evidence": "seen"},
}


def refusal(function, *arguments) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        function(*arguments)
    return caught.value


def outcome(function, *arguments) -> InvalidRequest | None:
    """
    Return the refusal, or ``None`` when it was taken; any other exception is a defect.
    """
    try:
        function(*arguments)
    except InvalidRequest as error:
        return error
    return None


# --- envelope ----------------------------------------------------------------------------


def test_the_least_request() -> None:
    expected = Request(id="1", method="ping")

    actual = validate_request({"id": "1", "method": "ping"})

    assert expected == actual
    assert (
        actual.client_id,
        actual.terminal,
        actual.params,
        actual.client_order_id,
        actual.valid_for_ms,
        actual.token,
    ) == (None, None, {}, None, None, None)


def test_the_largest_request() -> None:
    values = {
        "id": 2**63 - 1,
        "method": "m" * 64,
        "client_id": "Strategy-1.eu:" + "c" * 50,
        "terminal": "a" * 31,
        "params": {"any": ["thing"]},
        "client_order_id": "o" * 64,
        "valid_for_ms": 600_000,
        "token": "t" * 128,
    }

    assert values == validate_request(values).model_dump()


@pytest.mark.parametrize("given_id", ["1", "x" * 64, "€", 0, 1, 2**63 - 1])
def test_an_id_comes_back_as_it_was(given_id) -> None:
    actual = validate_request({"id": given_id, "method": "ping"}).id

    assert (given_id, type(given_id)) == (actual, type(actual))


@pytest.mark.parametrize("values", [None, 1, "x", b"x", [], [{}], 1.5, True])
def test_a_request_is_a_map(values) -> None:
    assert "map" in refusal(validate_request, values).message


BAD_FIELDS = [
    ("id", [None, True, -1, 2**63, 1.0, 1.5, "", "x" * 65, b"1", [], {}]),
    ("method", [None, True, 1, 1.5, "", "m" * 65, b"ping", [], {}]),
    ("client_id", [True, 1, "", "x" * 65, "a/b", "a b", "-a", "a\n", "é", "a\0", b"x", [], {}]),
    ("terminal", [True, 1, "", "Demo", "-a", "a" * 32, "a/b", "demo\n", "dem\0", b"demo", [], {}]),
    ("params", [None, True, 1, "x", b"x", [], [1]]),
    ("client_order_id", [True, 1, "", "x" * 65, "a/b", "a b", "a\n", "é", b"x", [], {}]),
    ("valid_for_ms", [True, 0, -1, 600_001, 1.0, 1.5, "5", b"5", [], {}, 10**400]),
    ("token", [True, 1, "x" * 129, b"x", [], {}]),
]


@pytest.mark.parametrize(
    ("field", "value"),
    [(field, value) for field, bad in BAD_FIELDS for value in bad],
    ids=lambda value: repr(value)[:20],
)
def test_a_wrong_field_is_named(field: str, value) -> None:
    values = {"id": "1", "method": "ping", field: value}
    error = refusal(validate_request, values)

    assert field == error.field
    assert (error.code, error.hop) == ("INVALID_REQUEST", "client")
    assert error.message


@pytest.mark.parametrize("field", ["id", "method"])
def test_a_missing_field_is_named(field: str) -> None:
    values = {"id": "1", "method": "ping"}
    del values[field]
    error = refusal(validate_request, values)

    assert (field, "field required") == (error.field, error.message)


@pytest.mark.parametrize("field", ["metod", "client-id", "Id", "", "a.b", "constrained-str", "é"])
def test_an_unknown_field_is_named(field: str) -> None:
    """With any name: "client-id" is the commonest misspelling of all."""
    error = refusal(validate_request, {"id": "1", "method": "ping", field: 1})

    assert (field, "unknown field") == (error.field, error.message)


def test_a_huge_name_of_a_field_does_not_come_back_whole() -> None:
    error = refusal(validate_request, {"id": "1", "method": "ping", "x" * 60_000: 1})

    assert error.field == "x" * 100


@given(values=TREES | st.dictionaries(st.sampled_from(list(Request.model_fields)), TREES))
def test_anything_is_a_request_or_an_invalid_one(values) -> None:
    error = outcome(validate_request, values)

    assert error is None or error.message


# --- parameters --------------------------------------------------------------------------


def test_every_method_has_its_parameters() -> None:
    assert set(Method) == set(PARAMS)


@pytest.mark.parametrize("method", Method)
def test_good_parameters_are_taken(method: Method) -> None:
    actual = validate_params(method, GOOD_PARAMS[method])

    assert type(actual) is PARAMS[method]
    assert GOOD_PARAMS[method] == actual.model_dump(exclude_unset=True)


def test_defaults() -> None:
    assert tuple(
        validate_params(Method.SYMBOLS, {}).model_dump()[name]
        for name in ("group", "offset", "limit")
    ) == ("*", 0, 500)
    assert validate_params(Method.SNAPSHOT, {"topics": ["relay"]}).wait_ms == 3000
    assert validate_params(Method.REPLAY, {"topic": "x", "epoch": 0, "first": 0}).last is None


def test_parameters_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        EmptyParams().x = 1


BAD_PARAMS = [
    (Method.SYMBOLS, "group", [None, 1, "x" * 256, b"*", []]),
    (Method.SYMBOLS, "offset", [None, True, -1, 2**31, "0", 1.0, []]),
    (Method.SYMBOLS, "limit", [None, True, 0, -1, 1001, "1", 1.0, []]),
    (Method.SYMBOL, "symbol", [None, 1, "", "x" * 65, "a\0", "a\n", "\x1f", b"EURUSD", []]),
    (Method.TICK, "symbol", [None, 1, "", "x" * 65, "a\0", "a\n", "\x1f", b"EURUSD", {}]),
    (Method.SNAPSHOT, "topics", [None, 1, "relay", [], ["x"] * 257, {}]),
    (Method.SNAPSHOT, "topics.0", [[None], [1], [""], ["x" * 256], ["a\0b"], [b"relay"], [[]]]),
    (Method.SNAPSHOT, "wait_ms", [None, True, -1, 60_001, "1", 1.0, []]),
    (
        Method.SYNC,
        "nonce",
        [None, 1, "", "short77", "n" * 65, "nonce 12", "nonce_12\n", b"nonce_12"],
    ),
    (Method.REPLAY, "topic", [None, 1, "", "x" * 256, "a\0", b"relay", []]),
    (Method.REPLAY, "epoch", [None, True, -1, 2**32, "1", 1.0, []]),
    (Method.REPLAY, "first", [None, True, -1, 2**64, 1.0, 1.5, "", "x", "-1", "01", []]),
    (Method.REPLAY, "last", [True, -1, 2**64, 1.0, 1.5, "", "x", "+1", "1 ", "1e3", []]),
]


@pytest.mark.parametrize(
    ("method", "field", "value"),
    [(method, field, value) for method, field, bad in BAD_PARAMS for value in bad],
    ids=lambda value: repr(value)[:20],
)
def test_a_wrong_parameter_is_named(method: Method, field: str, value) -> None:
    name = field.partition(".")[0]
    error = refusal(validate_params, method, {**GOOD_PARAMS[method], name: value})

    assert f"params.{field}" == error.field
    assert error.message


@pytest.mark.parametrize("method", Method)
def test_every_parameter_survives_anything(method: Method) -> None:
    """Each field with one value of every type: taken, or an error that names this field."""
    for field in PARAMS[method].model_fields:
        for value in ANYTHING:
            error = outcome(validate_params, method, {**GOOD_PARAMS[method], field: value})

            assert error is None or error.field.startswith(f"params.{field}")


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("field", ["symbool", "wait-ms", "Topic", ""])
def test_an_unknown_parameter_is_named(method: Method, field: str) -> None:
    error = refusal(validate_params, method, {**GOOD_PARAMS[method], field: 1})

    assert (f"params.{field}", "unknown field") == (error.field, error.message)


@pytest.mark.parametrize(
    ("method", "field"),
    [
        (method, name)
        for method, model in PARAMS.items()
        for name, field in model.model_fields.items()
        if field.is_required()
    ],
)
def test_a_missing_parameter_is_named(method: Method, field: str) -> None:
    good = GOOD_PARAMS[method]
    error = refusal(validate_params, method, {name: good[name] for name in good if name != field})

    assert (f"params.{field}", "field required") == (error.field, error.message)


@given(params=st.dictionaries(st.text(), TREES), method=st.sampled_from(Method))
def test_any_map_is_parameters_or_an_invalid_request(params, method) -> None:
    error = outcome(validate_params, method, params)

    assert error is None or error.field.startswith("params.")


# --- control -----------------------------------------------------------------------------


@pytest.mark.parametrize("method", CONTROL_PARAMS)
def test_good_parameters_of_control_methods_are_taken(method: ControlMethod) -> None:
    actual = validate_control_params(method, GOOD_CONTROL_PARAMS[method])

    assert type(actual) is CONTROL_PARAMS[method]
    assert GOOD_CONTROL_PARAMS[method] == actual.model_dump(exclude_unset=True)


@pytest.mark.parametrize("method", CONTROL_PARAMS)
def test_every_parameter_of_control_methods_survives_anything(method: ControlMethod) -> None:
    for field in CONTROL_PARAMS[method].model_fields:
        for value in ANYTHING:
            params = {**GOOD_CONTROL_PARAMS[method], field: value}
            error = outcome(validate_control_params, method, params)

            assert error is None or error.field.startswith(f"params.{field}")


def test_control_methods_without_parameters_look_at_none() -> None:
    assert EmptyParams() == validate_control_params(ControlMethod.STOP, {"any": "thing"})


def test_a_halt_is_a_full_one_unless_it_says_otherwise() -> None:
    actual = validate_control_params(ControlMethod.HALT, {})

    assert (False, "") == (actual.reducing, actual.reason)


# --- identity ----------------------------------------------------------------------------


def test_an_identity_is_both_names() -> None:
    request = Request(id=1, method="order_send", client_id="a", client_order_id="b")

    assert ("a", "b") == identity_of(request)


@pytest.mark.parametrize("field", ["client_id", "client_order_id"])
def test_a_missing_part_of_an_identity_is_named(field: str) -> None:
    names = {"client_id": "a", "client_order_id": "b", field: None}
    error = refusal(identity_of, Request(id=1, method="order_send", **names))

    assert (field, "required with order_send") == (error.field, error.message)


def test_what_may_trade_is_known() -> None:
    reads = {Method.ORDER_CHECK, Method.ORDER_STATUS, Method.POSITIONS, Method.ORDERS}
    market = {name for name in Method if PARAMS[name].__module__ == "bridge.bus.requests"}

    assert set(Method) == TRADING_METHODS | reads | market | {Method.ACCOUNT}


# --- what JSON cannot carry as a number --------------------------------------------------


@given(seq=st.integers(0, 2**64 - 1))
def test_a_sequence_number_may_be_decimal_text(seq: int) -> None:
    """A client whose numbers are doubles sends and gets 64 bits as text."""
    params = {"topic": "relay", "epoch": 1, "first": str(seq), "last": seq}
    expected = ReplayParams(topic="relay", epoch=1, first=seq, last=seq)

    assert expected == validate_params(Method.REPLAY, params)


@given(seq=st.integers(0, 2**64 - 1))
def test_what_the_relay_writes_in_json_it_reads_again(seq: int) -> None:
    params = {"topic": "relay", "epoch": 1, "first": seq}
    request = {"id": 1, "method": "replay", "params": params}
    request = validate_request(decode(encode(request, Encoding.JSON), max_bytes=4096))

    assert seq == validate_params(Method.REPLAY, request.params).first


@pytest.mark.parametrize(
    "text", ["18446744073709551616", "99999999999999999999", "9" * 400, "٣", "1_0", "0x1", " 1"]
)
def test_text_that_is_no_u64_is_refused(text: str) -> None:
    params = {"topic": "relay", "epoch": 1, "first": text}

    assert refusal(validate_params, Method.REPLAY, params).field == "params.first"


# --- errors ------------------------------------------------------------------------------


def test_an_error_has_every_key() -> None:
    expected = {
        "code": "UNKNOWN_SYMBOL",
        "hop": "terminal",
        "message": "no such symbol",
        "field": "params.symbol",
        "hint": "ask 'symbols'",
    }
    actual = error_map(
        ErrorName.UNKNOWN_SYMBOL,
        "no such symbol",
        hop=Hop.TERMINAL,
        field="params.symbol",
        hint="ask 'symbols'",
    )

    assert expected == actual
    assert expected == json.loads(encode(actual, Encoding.JSON))
    assert {str} == {type(value) for value in actual.values()}


def test_an_error_of_the_relay_is_the_default() -> None:
    assert error_map(ErrorName.INTERNAL, "m") == {
        "code": "INTERNAL",
        "hop": "relay",
        "message": "m",
        "field": "",
        "hint": "",
    }


@pytest.mark.parametrize("names", [ErrorName, Hop, Method, ControlMethod])
def test_names_equal_their_values(names) -> None:
    assert [name.value.upper() for name in names] == [name.name for name in names]


def test_nan_is_in_no_field() -> None:
    error = refusal(validate_request, {"id": 1, "method": "ping", "valid_for_ms": math.nan})

    assert error.field == "valid_for_ms"
