"""Room on the disk that is kept for what must be written when there is no other."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

__all__ = ["SpareRoom"]

_FILL_BYTES: Final = 1024 * 1024


class SpareRoom:
    """
    A file of so many bytes beside the journal; none is kept with a size of 0.
    """

    def __init__(self, journal: Path, size: int) -> None:
        self.path = journal.with_name(journal.name + ".spare")
        self.size = size

    def keep(self) -> bool:
        """
        Have the room on disk; ``False`` when there is not enough.
        """
        if not self.size:
            return True
        try:
            if self.path.exists() and self.path.stat().st_size == self.size:
                return True
            # Random: a file system that compresses would keep no room for zeros.
            fill = os.urandom(_FILL_BYTES)
            with self.path.open("wb") as file:
                left = self.size
                while left:
                    left -= file.write(fill[:left])
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            self.give_back()
            return False
        return True

    def give_back(self) -> bool:
        """
        Free the room; ``False`` when there is none.
        """
        try:
            self.path.unlink()
        except OSError:
            return False
        return True
