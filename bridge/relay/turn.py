"""The turn: reading what ZeroMQ sockets have, at the right moments.

A ZeroMQ file descriptor is edge-triggered: it becomes readable once, when something
happened, and stays silent until the socket's events were read. Any send on a socket may
swallow the edge of something received on it. So after **every** turn of the loop in which
anything was read or sent, and every 50 ms, the events of **every** socket are read.
Measured without it: a subscription that arrives while the relay publishes leaves
``select`` silent. ``tests/integration/test_xpub_descriptor.py`` holds this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import zmq

__all__ = ["Turn"]

#: so many messages of a socket are taken before the loop may do something else
_BURST: Final = 64


class Turn:
    """
    Drains the ZeroMQ sockets once a turn of the loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._sockets: list[tuple[zmq.Socket[bytes], Callable[[int], bool]]] = []
        self._publish: zmq.Socket[bytes] | None = None
        self._after: Callable[[], None] = _nothing
        self._scheduled = False

    def add(self, socket: zmq.Socket[bytes], read: Callable[[int], bool]) -> None:
        """
        Call ``read(limit)`` when ``socket`` has something; it returns whether more may wait.
        """
        self._sockets.append((socket, read))
        if socket.type == zmq.XPUB:
            self._publish = socket
        self._loop.add_reader(socket.fileno(), self.request)

    def after(self, callback: Callable[[], None]) -> None:
        """
        Call this at the end of every drain.
        """
        self._after = callback

    def request(self) -> None:
        """
        Something was read or sent: drain in the next turn of the loop, once.
        """
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._drain)

    def published(self) -> None:
        """
        Ticks were sent on the XPUB: look whether that swallowed one of its own edges.

        Cheaper than a drain, and enough: a send touches the state of its own socket alone.
        """
        publish = self._publish
        if publish is not None and not self._scheduled and _is_readable(publish):
            self.request()

    def close(self) -> None:
        """
        Take the sockets from the loop.
        """
        for socket, _ in self._sockets:
            self._loop.remove_reader(socket.fileno())
        self._sockets.clear()

    def _drain(self) -> None:
        self._scheduled = False
        more = False
        for socket, read in self._sockets:
            if _is_readable(socket):
                more = read(_BURST) or more
        self._after()
        # Answering may have swallowed an edge: look once more before the loop waits.
        for socket, _ in self._sockets:
            if _is_readable(socket):
                more = True
        if more:
            self.request()


def _is_readable(socket: zmq.Socket[bytes]) -> bool:
    return bool(int(socket.getsockopt(zmq.EVENTS)) & int(zmq.POLLIN))


def _nothing() -> None:
    return
