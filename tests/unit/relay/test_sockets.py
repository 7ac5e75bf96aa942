"""The ZeroMQ sockets: where they are bound, and that nothing waits for them."""

from __future__ import annotations

import socket

import pytest
import zmq

from bridge.config import EndpointSettings, LimitSettings
from bridge.exceptions import EndpointInUse
from bridge.relay.sockets import BoundSockets, PublishPort, RequestPort

ANY = "tcp://127.0.0.1:0"


def endpoints(**others: str) -> EndpointSettings:
    where = dict.fromkeys(("terminal", "request", "publish", "control"), ANY)
    return EndpointSettings(**{**where, **others})


def test_free_ports_are_resolved_and_served():
    sockets = BoundSockets(endpoints(), LimitSettings())
    context = zmq.Context()
    try:
        for port, at in (
            (sockets.request, sockets.request_at),
            (sockets.control, sockets.control_at),
        ):
            with context.socket(zmq.REQ) as client:
                client.linger = 0
                client.rcvtimeo = 10_000
                client.connect(at)
                client.send(b"question")

                assert port.socket.poll(10_000)

                requests: list[list[bytes]] = []

                assert not port.read(requests.append, 10)

                (frames,) = requests
                port.send_multipart([*frames[:-1], b"answer"])

                assert b"question" == frames[-1]
                assert b"answer" == client.recv()
    finally:
        context.destroy(0)
        sockets.close()


@pytest.mark.parametrize("name", ["request", "publish", "control"])
def test_a_port_that_is_taken_leaves_nothing_bound(name):
    """All that was bound before it can be bound again."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"tcp://127.0.0.1:{other.getsockname()[1]}"

        with pytest.raises(EndpointInUse, match=taken) as caught:
            BoundSockets(endpoints(**{name: taken}), LimitSettings())

    assert f"endpoints.{name}" == caught.value.key

    sockets = BoundSockets(endpoints(**{name: taken}), LimitSettings())
    sockets.close()


def test_publishing_goes_past_the_python_layer_of_pyzmq():
    """And without such a layer the documented way: what counts is that it is sent."""

    class Plain:
        def __init__(self):
            self.sent: list[bytes] = []

        def send(self, message):
            self.sent.append(message)

    plain = Plain()
    PublishPort(plain).send(b"message")

    assert [b"message"] == plain.sent

    context = zmq.Context()
    with context.socket(zmq.XPUB) as xpub:
        assert PublishPort(xpub).send != xpub.send
    context.term()


def test_a_reply_to_nobody_is_dropped(caplog):
    """The client is gone."""
    context = zmq.Context()
    with context.socket(zmq.ROUTER) as router:
        router.router_mandatory = 1
        RequestPort(router).send_multipart([b"nobody", b"", b"answer"])
    context.term()

    assert ["reply dropped"] == [record.getMessage() for record in caplog.records]
