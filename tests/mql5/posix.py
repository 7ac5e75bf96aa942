"""What only Linux has of the standard library; the types say so to a check for Windows."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import IO

__all__ = ["dial", "listen_at", "lock", "receive_at_once", "send_at_once", "try_to_lock"]

_RECEIVE_SIZE = 65_536


def receive_at_once(connection: socket.socket) -> bytes | None:
    """
    Read what a socket that does not block has; None: nothing now, empty: it is over.
    """
    try:
        return connection.recv(_RECEIVE_SIZE)
    except BlockingIOError:
        return None
    except OSError:
        return b""


if sys.platform == "win32":
    _WHY = "the EA is executed on Linux"

    def lock(file: IO[str]) -> None:
        """
        Refuse.
        """
        raise OSError(_WHY)

    def try_to_lock(file: IO[str]) -> bool:
        """
        Refuse.
        """
        raise OSError(_WHY)

    def listen_at(path: Path) -> socket.socket:
        """
        Refuse.
        """
        raise OSError(_WHY)

    def dial(path: Path) -> socket.socket:
        """
        Refuse.
        """
        raise OSError(_WHY)

    def send_at_once(connection: socket.socket, data: bytes | bytearray) -> int:
        """
        Refuse.
        """
        raise OSError(_WHY)

else:
    import fcntl

    def lock(file: IO[str]) -> None:
        """
        Lock a file against other processes, waiting for them.
        """
        fcntl.flock(file, fcntl.LOCK_EX)

    def try_to_lock(file: IO[str]) -> bool:
        """
        Lock a file; false when another process has it.
        """
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def listen_at(path: Path) -> socket.socket:
        """
        Return a UNIX socket that takes connections.
        """
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        listener.listen(4)
        return listener

    def dial(path: Path) -> socket.socket:
        """
        Return a connection to a UNIX socket.

        Raises:
            OSError: nobody listens.
        """
        dialled = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            dialled.connect(str(path))
        except OSError:
            dialled.close()
            raise
        return dialled

    def send_at_once(connection: socket.socket, data: bytes | bytearray) -> int:
        """
        Send what a blocking socket takes without waiting; return how much that was.

        Raises:
            OSError: it takes nothing now, or is gone.
        """
        return connection.send(data, socket.MSG_DONTWAIT)
