"""The relay's ZeroMQ sockets: bound, read and written without ever waiting.

What is behind them (publisher, router, control) knows frames alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Final

import zmq

from bridge.config import EndpointSettings, LimitSettings, split_endpoint
from bridge.exceptions import EndpointInUse
from bridge.logs import get_logger

__all__ = ["BoundSockets", "PublishPort", "RequestPort"]

log = get_logger(__name__)

#: where requests come in. RFC 7/MDP brokers close idle peers in seconds; here one may be idle, not gone
_HEARTBEAT_IVL_MS: Final = 1_000
_HEARTBEAT_TIMEOUT_MS: Final = 4_000
#: the system notices that the other computer is gone, whether its program reads or not
_KEEPALIVE_IDLE_S: Final = 2
_KEEPALIVE_INTVL_S: Final = 1
_KEEPALIVE_CNT: Final = 3
_HANDSHAKE_IVL_MS: Final = 2_000
_SUBSCRIPTION_MAX: Final = 1_024
#: at the end, so long for what subscribers have not taken, and for the last replies
_LINGER_PUBLISH_MS: Final = 200
_LINGER_REPLY_MS: Final = 2_000
_RCVHWM: Final = 10_000


class PublishPort:
    """
    An XPUB: ``send`` publishes a message, ``read`` takes what subscribers sent.
    """

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket
        self.send = _sender(socket)

    def read(self, receive: Callable[[bytes], None], limit: int) -> bool:
        """
        Hand over waiting frames; return whether ``limit`` was reached and more may wait.
        """
        for _ in range(limit):
            try:
                frame = self.socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return False
            receive(frame)
        return True


class RequestPort:
    """
    A ROUTER: requests come in, replies go out.
    """

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket

    def read(self, receive: Callable[[list[bytes]], None], limit: int) -> bool:
        """
        Hand over waiting requests; return whether ``limit`` was reached and more may wait.
        """
        for _ in range(limit):
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return False
            receive(frames)
        return True

    def send_multipart(self, frames: Sequence[bytes]) -> None:
        """
        Send a reply; who does not read it does without.
        """
        try:
            self.socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.ZMQError as error:
            # Its queue is full, or it is gone (ROUTER_MANDATORY is off: then silently).
            log.warning("reply dropped", reason=str(error))


class BoundSockets:
    """
    The sockets of one relay, and the endpoints where they listen, free ports resolved.

    Raises (from the constructor):
        EndpointInUse: a port is taken; then nothing stays bound.
    """

    def __init__(self, endpoints: EndpointSettings, limits: LimitSettings) -> None:
        self._limits = limits
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        with contextlib.ExitStack() as stack:
            stack.callback(self._context.term)
            publish, self.publish_at = self._bind(stack, zmq.XPUB, "publish", endpoints)
            request, self.request_at = self._bind(stack, zmq.ROUTER, "request", endpoints)
            control, self.control_at = self._bind(stack, zmq.ROUTER, "control", endpoints)
            self._open = stack.pop_all()
        self.publish = PublishPort(publish)
        self.request = RequestPort(request)
        self.control = RequestPort(control)

    def close(self) -> None:
        """
        Close all; what is on its way is given a moment.
        """
        self._open.close()

    def _bind(
        self, stack: contextlib.ExitStack, kind: int, name: str, endpoints: EndpointSettings
    ) -> tuple[zmq.Socket[bytes], str]:
        endpoint: str = getattr(endpoints, name)
        socket = self._context.socket(kind)
        publishes = kind == zmq.XPUB
        linger_ms = _LINGER_PUBLISH_MS if publishes else _LINGER_REPLY_MS
        stack.callback(socket.close, linger_ms)
        size = _SUBSCRIPTION_MAX if publishes else self._limits.request_max_bytes
        socket.setsockopt(zmq.LINGER, linger_ms)
        socket.setsockopt(zmq.SNDHWM, self._limits.send_hwm)
        socket.setsockopt(zmq.RCVHWM, _RCVHWM)
        socket.setsockopt(zmq.MAXMSGSIZE, size)
        socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_IVL_MS)
        if not publishes:
            # A subscriber that reads nothing for a while answers no PING either; and libzmq 4.3
            # aborts its process when it reads again (libzmq issues 3937, 4767).
            socket.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_IVL_MS)
            socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, _HEARTBEAT_TIMEOUT_MS)
        socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, _KEEPALIVE_IDLE_S)
        socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, _KEEPALIVE_INTVL_S)
        socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, _KEEPALIVE_CNT)
        host, port = split_endpoint(endpoint)
        try:
            socket.bind(f"tcp://{host}:{port or '*'}")
        except zmq.ZMQError as error:
            raise EndpointInUse(endpoint, f"endpoints.{name}") from error
        return socket, socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")


def _sender(socket: zmq.Socket[bytes]) -> Callable[[bytes], object]:
    # The Cython method without pyzmq's Python layer around it saves a quarter of a
    # microsecond a message; where a future pyzmq has no such method, the documented one.
    backend = getattr(getattr(zmq, "backend", None), "Socket", None)
    if backend is not None and isinstance(socket, backend):
        bound: Callable[[bytes], object] = backend.send.__get__(socket)
        return bound
    return socket.send
