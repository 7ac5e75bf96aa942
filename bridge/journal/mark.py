"""The mark: the number of the last transaction that somebody was told of, beside the file.

It is written without a sync: it survives every end of a process, and after a power cut it may be
behind, never ahead. A file that is behind its mark has lost something: the end of its log was cut
or damaged, or it is an older copy. SQLite says nothing in either case.
"""

from __future__ import annotations

import zlib
from typing import Final

__all__ = ["MARK_SIZE", "pack_mark", "unpack_mark"]

MARK_SIZE: Final = 12


def pack_mark(commits: int) -> bytes:
    """
    Return the mark of a transaction.
    """
    body = commits.to_bytes(8, "little")
    return body + zlib.crc32(body).to_bytes(4, "little")


def unpack_mark(data: bytes) -> int | None:
    """
    Return the number of the transaction, 0 for no mark, ``None`` for a damaged one.
    """
    if not data.strip(b"\0"):
        return 0
    commits = int.from_bytes(data[:8], "little")
    return commits if data == pack_mark(commits) else None
