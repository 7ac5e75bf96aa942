"""``bridge run`` with a journal in memory: everything as it is, but nothing waits for a disk."""

from __future__ import annotations

import sys
from pathlib import Path

from bridge.cli import main
from bridge.journal import Deliver, MemoryStore
from bridge.relay import app

__all__ = ["in_memory"]


def in_memory(_path: Path, *, deliver: Deliver) -> MemoryStore:
    """
    Return a store that is durable at once, and told so through the loop like the real one.
    """
    return MemoryStore(deliver=deliver)


if __name__ == "__main__":
    app.SqliteStore = in_memory  # type: ignore[attr-defined,assignment] # the one difference to a relay
    sys.exit(main())
