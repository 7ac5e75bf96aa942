"""``bridge.client.sync`` and ``aio``: two shells, one client."""

from __future__ import annotations

import inspect

import pytest

from bridge import AsyncClient, Client
from bridge.bus.requests import PARAMS, Method
from bridge.client.aio import AsyncStream
from bridge.client.orders import BUY, SELL, params_of
from bridge.client.sync import Stream
from bridge.exceptions import InvalidRequest

#: public name in the blocking shell: name in the other
TRANSLATED = {
    "__enter__": "__aenter__",
    "__exit__": "__aexit__",
    "__iter__": "__aiter__",
    "__next__": "__anext__",
}


def public(kind):
    """
    Return the public names of a class and its bases in the order in which they are written.
    """
    return [
        name
        for base in kind.__mro__
        if base.__module__.startswith("bridge.")
        for name, value in vars(base).items()
        if (not name.startswith("_") or name in {*TRANSLATED, *TRANSLATED.values(), "__del__"})
        and (callable(value) or isinstance(value, property))
    ]


def translated(names):
    return [TRANSLATED.get(name, name) for name in names]


def test_the_clients_have_the_same_methods_in_the_same_order():
    assert translated(public(Client)) == public(AsyncClient)


def test_the_streams_have_the_same_methods_in_the_same_order():
    asynchronous = [name for name in public(AsyncStream) if name != "aclose"]

    assert translated(public(Stream)) == asynchronous


@pytest.mark.parametrize("name", [*public(Client), "__init__"])
def test_the_parameters_are_the_same(name):
    blocking = getattr(Client, name)
    if isinstance(blocking, property):
        return
    other = getattr(AsyncClient, TRANSLATED.get(name, name))

    assert inspect.signature(blocking).parameters.keys() == (
        inspect.signature(other).parameters.keys()
    )
    for parameter, twin in zip(
        inspect.signature(blocking).parameters.values(),
        inspect.signature(other).parameters.values(),
        strict=True,
    ):
        assert (parameter.kind, parameter.default) == (twin.kind, twin.default)


#: what a call sends by itself, and what of its method it leaves out
DEAL_LEAVES_OUT = {"order", "stoplimit", "type_time", "expiration", "position", "position_by"}
CALLS = {
    "order_send": (Method.ORDER_SEND, {}, set()),
    "order_check": (Method.ORDER_CHECK, {}, set()),
    "buy": (Method.ORDER_SEND, BUY, DEAL_LEAVES_OUT),
    "sell": (Method.ORDER_SEND, SELL, DEAL_LEAVES_OUT),
    "order_modify": (Method.ORDER_MODIFY, {}, set()),
    "position_modify": (Method.POSITION_MODIFY, {}, set()),
    "position_close": (Method.POSITION_CLOSE, {}, set()),
    "position_close_by": (Method.POSITION_CLOSE_BY, {}, set()),
    "order_cancel": (Method.ORDER_CANCEL, {}, set()),
    "close_all": (Method.CLOSE_ALL, {}, set()),
}


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("name", CALLS)
def test_the_arguments_of_a_call_are_the_parameters_of_its_method(kind, name):
    method, fixed, left_out = CALLS[name]
    arguments = dict.fromkeys(inspect.signature(getattr(kind, name)).parameters)

    assert set(PARAMS[method].model_fields) - left_out == {*params_of(arguments), *fixed}
    assert set() == {*params_of(arguments)} & {*fixed}


@pytest.mark.parametrize("name", [name for name in public(Client) if not name.startswith("_")])
def test_all_but_the_iterators_are_awaited(name):
    other = inspect.getattr_static(AsyncClient, name)

    assert inspect.iscoroutinefunction(other) != (name in {"ticks", "trades", "events", "terminal"})


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"endpoint": "5556"}, "endpoint"),
        ({"endpoint": "ipc:///tmp/x"}, "endpoint"),
        ({"terminal": "Demo"}, "terminal"),
        ({"terminal": ""}, "terminal"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": -1.0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
        ({"timeout": None}, "timeout"),
        ({"timeout": 1e9}, "timeout"),
        ({"client_id": ""}, "client_id"),
        ({"client_id": "x" * 65}, "client_id"),
    ],
)
def test_wrong_arguments_are_named(kind, arguments, field):
    with pytest.raises(InvalidRequest) as caught:
        kind(**arguments)

    assert field == caught.value.field


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_making_a_client_starts_nothing(kind):
    client = kind()

    assert f"<{kind.__name__} tcp://127.0.0.1:5556 open>" == repr(client)
    assert not client._parts.engine.started


def test_closing_what_was_never_used_is_nothing():
    client = Client()
    client.close()
    client.close()

    assert "<Client tcp://127.0.0.1:5556 closed>" == repr(client)
    with pytest.raises(InvalidRequest, match="closed"):
        client.ping()


@pytest.mark.parametrize("buffer", [0, -1, 1.5, True, 10_000_000])
def test_wrong_buffers_are_named(buffer):
    with pytest.raises(InvalidRequest) as caught:
        AsyncClient().ticks("EURUSD", buffer=buffer)

    assert "buffer" == caught.value.field
