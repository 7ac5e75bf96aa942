from __future__ import annotations

import pytest

from bridge import exceptions
from bridge.exceptions import (
    BridgeError,
    ConfigError,
    DataFolderInUse,
    DeadlineExceeded,
    EndpointInUse,
    InvalidRequest,
    LocalProtocolError,
    NotAvailable,
    OrderDenied,
    OrderError,
    OrderRejected,
    OrderUnknown,
    ProtocolError,
    RelayUnreachable,
    RemoteProtocolError,
    RequestError,
    RequestRefused,
    TerminalUnavailable,
    TickFileError,
    UnknownSymbol,
)


@pytest.mark.parametrize("name", exceptions.__all__)
def test_everything_is_a_bridge_error(name):
    assert issubclass(getattr(exceptions, name), BridgeError)


def test_the_tree_in_the_docstring_names_every_class():
    tree = exceptions.__doc__

    assert [] == [name for name in exceptions.__all__ if name not in tree]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConfigError("is wrong"), "is wrong"),
        (ConfigError("is wrong", source="bridge.toml"), "bridge.toml: is wrong"),
        (ConfigError("is wrong", key="a.b"), "a.b: is wrong"),
        (
            ConfigError("is wrong", source="bridge.toml", key="a.b", hint="mend it"),
            "bridge.toml: a.b: is wrong (mend it)",
        ),
        (TickFileError("ticks.csv", 7, "no bid"), "ticks.csv:7: no bid"),
        (RemoteProtocolError(3, "bad tag"), "bad tag"),
        (LocalProtocolError(3, "not logged on"), "not logged on"),
        (RequestError("no"), "[relay] ERROR: no"),
        (
            InvalidRequest("must be text", field="params.symbol", hint="quote it"),
            "[client] INVALID_REQUEST: params.symbol: must be text (quote it)",
        ),
        (RequestRefused("later", code="BUSY", hop="terminal"), "[terminal] BUSY: later"),
    ],
)
def test_the_sentence_is_built_from_the_facts(error, text):
    assert text == str(error)


def test_a_used_data_folder_names_the_owner_and_the_way_out():
    error = DataFolderInUse("/data", 4711)

    assert "process 4711" in str(error)
    assert "/data" in str(error)
    assert "bridge stop" in str(error)


def test_a_used_data_folder_of_an_unknown_owner_names_no_process():
    assert "process" not in str(DataFolderInUse("/data"))


def test_a_used_endpoint_names_the_setting_to_change():
    error = EndpointInUse("tcp://127.0.0.1:5556", "endpoints.request")

    assert "tcp://127.0.0.1:5556" in str(error)
    assert "endpoints.request" in str(error)


def test_whose_fault_it_is_can_be_told_apart():
    assert not issubclass(LocalProtocolError, RemoteProtocolError)
    assert not issubclass(RemoteProtocolError, LocalProtocolError)
    assert issubclass(RemoteProtocolError, ProtocolError)


@pytest.mark.parametrize(
    ("kind", "code", "hop"),
    [
        (InvalidRequest, "INVALID_REQUEST", "client"),
        (RelayUnreachable, "RELAY_UNREACHABLE", "relay"),
        (TerminalUnavailable, "TERMINAL_UNAVAILABLE", "terminal"),
        (UnknownSymbol, "UNKNOWN_SYMBOL", "terminal"),
        (DeadlineExceeded, "DEADLINE_EXCEEDED", "relay"),
        (NotAvailable, "NOT_AVAILABLE", "relay"),
        (OrderRejected, "REJECTED", "trade_server"),
        (OrderDenied, "DENIED", "relay"),
        (OrderUnknown, "UNKNOWN", "relay"),
    ],
)
def test_each_request_error_has_its_code_and_hop(kind, code, hop):
    error = kind("text")

    assert (code, hop, "", "") == (error.code, error.hop, error.field, error.hint)


def test_an_instance_may_name_another_hop_and_leaves_its_class_alone():
    DeadlineExceeded("slow", hop="terminal", code="SLOW")

    assert ("DEADLINE_EXCEEDED", "relay") == (DeadlineExceeded.code, DeadlineExceeded.hop)


def test_the_error_of_an_order_has_its_identity_and_everything_that_is_known():
    error = OrderUnknown("lost", client_id="me", client_order_id="7", result="r", hint="ask")

    assert "[relay] UNKNOWN: lost (ask)" == str(error)
    assert ("me", "7", "r") == (error.client_id, error.client_order_id, error.result)
    assert isinstance(error, OrderError)
