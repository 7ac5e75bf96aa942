"""One relay a data folder: a lock that the operating system takes back when we die."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO

from bridge.exceptions import DataFolderInUse

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["FolderLock"]

_NAME = "relay.lock"
#: On Windows a locked byte cannot be read by others: lock one far behind the pid.
_LOCKED_BYTE = 4096


class FolderLock:
    """
    The lock of a data folder, held until ``release`` or the end of the process.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME
        self._file: BinaryIO | None = None

    def acquire(self) -> None:
        """
        Take the lock.

        Raises:
            DataFolderInUse: another relay has it.
            OSError: the folder cannot be written.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        file = os.fdopen(descriptor, "r+b", buffering=0)
        try:
            _lock(file)
        except OSError:
            pid = _read_pid(file)
            file.close()
            raise DataFolderInUse(str(self._path.parent), pid) from None
        file.seek(0)
        file.write(f"{os.getpid():<12}\n".encode())
        self._file = file

    def release(self) -> None:
        """
        Give the lock back.
        """
        if self._file is not None:
            _unlock(self._file)
            self._file.close()
            self._file = None


def _read_pid(file: BinaryIO) -> int | None:
    file.seek(0)
    text = file.read(12).strip()
    return int(text) if text.isdigit() else None


def _lock(file: BinaryIO) -> None:
    if sys.platform == "win32":
        file.seek(_LOCKED_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


def _unlock(file: BinaryIO) -> None:
    if sys.platform == "win32":
        file.seek(_LOCKED_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
    else:
        fcntl.flock(file.fileno(), fcntl.LOCK_UN)
