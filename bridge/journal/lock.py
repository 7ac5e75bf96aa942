"""One program a journal, and the mark of how much of it was ever acknowledged.

The file beside the journal is locked as long as the journal is open. In it stands the mark.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO, Final

from bridge.exceptions import JournalError
from bridge.journal.mark import MARK_SIZE, pack_mark, unpack_mark

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["MOVE_AWAY", "JournalLock", "read_mark"]

#: What to do about a journal in doubt.
MOVE_AWAY: Final = (
    "stop the relay and run 'bridge journal quarantine': it moves the files away, and begins a new "
    "journal, halted, with all that can still be read"
)

_PID_SIZE: Final = 16
#: On Windows a locked byte cannot be read by others: lock one far behind the rest.
_LOCKED_BYTE: Final = 4096


class JournalLock:
    """
    The lock of a journal and its mark.
    """

    def __init__(self, journal: Path) -> None:
        self.path = journal.with_name(journal.name + ".lock")
        self._journal = journal
        self._file: BinaryIO | None = None

    def acquire(self) -> int:
        """
        Take the lock and return the mark, 0 for a new one.

        Raises:
            JournalError: another program has it, it cannot be made, or the mark is damaged.
        """
        mark = self.acquire_in_doubt()
        if mark is None:
            self.release()
            raise JournalError(
                "the mark of the last transaction is damaged", path=str(self.path), hint=MOVE_AWAY
            )
        return mark

    def acquire_in_doubt(self) -> int | None:
        """
        Take the lock and return the mark, ``None`` for a damaged one.

        Raises:
            JournalError: another program has it, or it cannot be made.
        """
        try:
            descriptor = os.open(
                self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600
            )
        except OSError as error:
            raise JournalError(
                f"the file cannot be written: {error.strerror}",
                path=str(self.path),
                hint="the user of the relay must be able to write into the folder",
            ) from None
        file = os.fdopen(descriptor, "r+b", buffering=0)
        try:
            _lock(file)
        except OSError:
            # On Windows the place in the file is that of the locked byte by now.
            file.seek(0)
            pid = file.read(_PID_SIZE).strip().decode("ascii", "replace")
            file.close()
            owner = f" (process {pid})" if pid.isdigit() else ""
            raise JournalError(
                f"another program{owner} has the journal open",
                path=str(self._journal),
                hint="one relay a journal: stop the other one, or give this one its own data folder",
            ) from None
        file.seek(0)
        file.write(f"{os.getpid():<{_PID_SIZE}}".encode())
        self._file = file
        return unpack_mark(file.read(MARK_SIZE))

    def write_mark(self, commits: int) -> None:
        """
        Note that everything up to this transaction may be acknowledged.

        Raises:
            OSError: the file cannot be written.
        """
        if self._file is None:
            raise AssertionError("the lock is not held")
        self._file.seek(_PID_SIZE)
        self._file.write(pack_mark(commits))

    def sync(self) -> None:
        """
        Have the file with its present mark on disk.
        """
        if self._file is not None:
            os.fsync(self._file.fileno())

    def release(self) -> None:
        """
        Give the lock back.
        """
        if self._file is not None:
            _unlock(self._file)
            self._file.close()
            self._file = None


def read_mark(journal: Path) -> int:
    """
    Return the mark of a journal that may be in use, 0 for none.

    Raises:
        JournalError: it is damaged.
        OSError: it cannot be read.
    """
    path = journal.with_name(journal.name + ".lock")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return 0
    mark = unpack_mark(data[_PID_SIZE : _PID_SIZE + MARK_SIZE])
    if mark is None:
        raise JournalError("the mark of the last transaction is damaged", path=str(path))
    return mark


def _lock(file: BinaryIO) -> None:
    if sys.platform == "win32":
        file.seek(_LOCKED_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    file.seek(0)


def _unlock(file: BinaryIO) -> None:
    if sys.platform == "win32":
        file.seek(_LOCKED_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
    else:
        fcntl.flock(file.fileno(), fcntl.LOCK_UN)
