"""The listener: the TCP port that terminals connect to."""

from __future__ import annotations

import asyncio
import socket
import sys

from bridge.exceptions import EndpointInUse
from bridge.relay.links import Link, Links

__all__ = ["Listener"]


class _TcpLink(Link):
    # A link whose transport is a TCP connection.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)


class Listener:
    """
    Accepts the connections of terminals and hands them to ``links``.
    """

    def __init__(self, links: Links) -> None:
        self._links = links
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> int:
        """
        Begin to listen; return the port.

        Raises:
            EndpointInUse: the port is taken.
        """
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if sys.platform == "win32":
                # Windows would let another process take over the port otherwise.
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            else:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(
                lambda: _TcpLink(self._links), sock=listener, backlog=64
            )
        except OSError as error:
            listener.close()
            raise EndpointInUse(f"tcp://{host}:{port}", "endpoints.terminal") from error
        bound: int = listener.getsockname()[1]
        return bound

    async def stop(self) -> None:
        """
        Log all terminals out and close.
        """
        if self._server is not None:
            # asyncio cannot make the links of what was accepted last when the server is closed.
            for listener in self._server.sockets:
                asyncio.get_running_loop().remove_reader(listener)
            await _turns(2)
            self._server.close()
        self._links.log_out()
        # One turn lets the transports write the logouts, another one close what is cut.
        await _turns(1)
        self._links.abort()
        await _turns(1)


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
