"""Ports that stay one's own while the relay that listens on them is away."""

from __future__ import annotations

import socket
import sys

__all__ = ["HeldPorts"]


class HeldPorts:
    """
    Free ports of 127.0.0.1 that no other program gets by asking for any port or by dialling
    out, though nobody listens on them. The caller **must** ``close`` it.

    A program that restarts on the ports that it had would sometimes find one of them taken.
    Bound with SO_REUSEADDR and not listening, a socket of Linux keeps its port from all that
    do not ask for this very one, and a listener that sets SO_REUSEADDR shares it, as asyncio's
    and libzmq's do; until then the port refuses as if nobody held it (bind(2), ip(7)). On other
    systems such a listener would be refused: there are none, ``numbers`` is empty.
    """

    def __init__(self, count: int) -> None:
        self._sockets: list[socket.socket] = []
        if sys.platform == "linux":
            for _ in range(count):
                held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
                self._sockets.append(held)
                held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                held.bind(("127.0.0.1", 0))

    @property
    def numbers(self) -> list[int]:
        """
        Return the ports, as many as were asked for, or none.
        """
        return [held.getsockname()[1] for held in self._sockets]

    def close(self) -> None:
        """
        Give the ports back. May be called again.
        """
        while self._sockets:
            self._sockets.pop().close()
