"""``bridge.client.replies``: what is sent, and that no answer of the relay confuses us."""

from __future__ import annotations

import contextlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.bus.codec import decode
from bridge.bus.requests import (
    ErrorName,
    Method,
    identity_of,
    validate_params,
    validate_request,
)
from bridge.client.replies import (
    MalformedReply,
    RateLimited,
    error_from,
    fields_of,
    host_of,
    pack_request,
    publish_endpoint,
    read_replay,
    read_reply,
    read_snapshot,
)
from bridge.exceptions import (
    DeadlineExceeded,
    InvalidRequest,
    NotAvailable,
    RequestError,
    RequestRefused,
    TerminalUnavailable,
    UnknownSymbol,
)

JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        (Method.PING, {}),
        (Method.SYMBOLS, {"group": "*", "offset": 0, "limit": 500}),
        (Method.SNAPSHOT, {"topics": ["relay"], "wait_ms": 3000}),
        (Method.SYNC, {"nonce": "abcdefgh"}),
        (Method.REPLAY, {"topic": "tick/demo/X", "epoch": 1, "first": 1}),
    ],
)
def test_the_relay_accepts_what_we_send(method, params):
    frame = pack_request(7, "me", method, params, terminal="demo", timeout_s=5.0)
    request = validate_request(decode(frame, max_bytes=10_000))

    assert (7, "me", method, "demo", 4750) == (
        request.id,
        request.client_id,
        request.method,
        request.terminal,
        request.valid_for_ms,
    )
    validate_params(method, request.params)
    assert request.client_order_id is None


def test_an_order_carries_its_identity():
    params = {"order": 5}
    frame = pack_request(
        7,
        "me",
        Method.ORDER_CANCEL,
        params,
        terminal="demo",
        timeout_s=5.0,
        client_order_id="run-17",
    )

    assert ("me", "run-17") == identity_of(validate_request(decode(frame, max_bytes=10_000)))


@pytest.mark.parametrize(
    ("timeout_s", "expected"), [(0.0001, 1), (1.0, 900), (5.0, 4750), (86_400.0, 600_000)]
)
def test_the_relay_gives_up_a_little_before_we_do(timeout_s, expected):
    frame = pack_request(7, "me", Method.PING, {}, terminal=None, timeout_s=timeout_s)

    assert expected == msgpack.unpackb(frame)["valid_for_ms"]


@pytest.mark.parametrize("value", ["\ud800", 2**64, object()])
def test_what_cannot_be_packed_is_an_invalid_request(value):
    with pytest.raises(InvalidRequest):
        pack_request(1, "me", Method.SYMBOL, {"symbol": value}, terminal=None, timeout_s=1)


def test_a_result_is_read():
    reply = read_reply(msgpack.packb({"v": 1, "id": 3, "ok": True, "result": {"a": 1}, "new": 0}))

    assert (3, {"a": 1}, None) == reply


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("INVALID_REQUEST", InvalidRequest),
        ("TERMINAL_UNAVAILABLE", TerminalUnavailable),
        ("UNKNOWN_SYMBOL", UnknownSymbol),
        ("DEADLINE_EXCEEDED", DeadlineExceeded),
        ("NOT_AVAILABLE", NotAvailable),
        ("TOO_MANY_REQUESTS", RateLimited),
        ("UNKNOWN_TERMINAL", RequestRefused),
        ("SOMETHING_NEW", RequestRefused),
    ],
)
def test_an_error_has_its_class_and_its_facts(code, kind):
    error = {"code": code, "hop": "terminal", "message": "no", "field": "params.x", "hint": "do"}
    reply = read_reply(msgpack.packb({"id": 3, "ok": False, "error": error}))

    assert type(reply.error) is kind
    assert f"[terminal] {code}: params.x: no (do)" == str(reply.error)


def test_every_code_of_the_protocol_becomes_a_request_error():
    kinds = {code: error_from({"code": str(code)}) for code in ErrorName}

    assert all(isinstance(error, RequestError) for error in kinds.values())
    assert all(str(code) == error.code for code, error in kinds.items())


@pytest.mark.parametrize(
    ("told", "expected"), [(250, 0.25), (None, 1.0), ("x", 1.0), (-5, 1.0), (1e12, 1.0)]
)
def test_the_patience_that_is_asked_for_is_believed_within_reason(told, expected):
    error = error_from({"code": "TOO_MANY_REQUESTS", "retry_after_ms": told})

    assert isinstance(error, RateLimited)
    assert expected == error.retry_after_s


@pytest.mark.parametrize(
    "reply",
    [
        {"id": 1},
        {"id": 1, "ok": True},
        {"id": 1, "ok": True, "result": []},
        {"id": 1, "ok": False, "error": "no"},
        {"id": 1, "ok": 1, "result": {}},
    ],
)
def test_a_reply_without_an_outcome_is_an_error_of_its_request(reply):
    assert isinstance(read_reply(msgpack.packb(reply)).error, MalformedReply)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xc1",
        b"\x80",
        msgpack.packb([]),
        msgpack.packb({"id": "1"}),
        msgpack.packb({"id": True}),
        msgpack.packb({"id": 1}) + b"\x00",
        msgpack.packb({"id": 1})[:-1],
        b"\x91" * 5_000 + b"\x00",
        b"\x81\xa2id\xd4\x01\x00",
    ],
)
def test_what_is_no_reply_is_a_value_error(frame):
    with pytest.raises(ValueError, match=r".*"):
        read_reply(frame)


@given(st.binary(max_size=200))
def test_whatever_arrives_is_a_reply_or_a_value_error(frame):
    with contextlib.suppress(ValueError):
        read_reply(frame)


@given(JSONISH)
def test_whatever_a_result_holds_is_read_or_refused(value):
    for name, read in (("topics", read_snapshot), ("messages", read_replay)):
        with contextlib.suppress(MalformedReply):
            read({name: value, "missing": [], "next": None})
    with contextlib.suppress(MalformedReply):
        read_replay({"messages": [], "missing": value, "next": value})
    with contextlib.suppress(MalformedReply):
        read_snapshot({"topics": [{"topic": "x", "epoch": value, "seq": 1, "body": value}]})
    assert isinstance(error_from({"code": value, "hop": value, "message": value}), RequestError)


def test_an_epoch_of_zero_means_that_nothing_is_known():
    [entry] = read_snapshot(
        {"topics": [{"topic": "x", "status": "idle", "epoch": 0, "seq": 9, "body": [1]}]}
    )

    assert (None, 0, None) == (entry.epoch, entry.seq, entry.body)


def test_a_map_is_taken_or_missed():
    assert {"a": 1} == fields_of({"tick": {"a": 1}}, "tick")
    with pytest.raises(MalformedReply, match="tick: expected a map"):
        fields_of({}, "tick")


@pytest.mark.parametrize(
    ("request_at", "told", "expected"),
    [
        ("tcp://127.0.0.1:5556", "tcp://127.0.0.1:5557", "tcp://127.0.0.1:5557"),
        ("tcp://vps.example:15556", "tcp://127.0.0.1:5557", "tcp://vps.example:5557"),
        ("tcp://[::1]:5556", "tcp://0.0.0.0:9", "tcp://[::1]:9"),
    ],
)
def test_the_publish_port_is_looked_for_on_the_host_that_was_given(request_at, told, expected):
    assert expected == publish_endpoint(request_at, told)


@pytest.mark.parametrize(
    "told", ["", "None", "ipc:///tmp/x", "tcp://x", "tcp://x:123456", "tcp://x:0", "tcp://x:65536"]
)
def test_what_is_no_endpoint_is_refused(told):
    with pytest.raises(MalformedReply):
        publish_endpoint("tcp://127.0.0.1:5556", told)


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "127.0.0.1:5556",
        "tcp://127.0.0.1",
        "tcp://h:0",
        "tcp://h:65536",
        "tcp://a b:1",
        "tcp://*:1",
        "tcp://-:1",
    ],
)
def test_a_wrong_endpoint_of_ours_is_an_invalid_request(endpoint):
    with pytest.raises(InvalidRequest, match="endpoint"):
        host_of(endpoint)
