"""What the journal says to a reservation and to a verdict."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from bridge.journal.entry import Entry

__all__ = ["Change", "Diverged", "Known", "Reservation", "Reserved"]


class Reserved(NamedTuple):
    """
    The ids are new. They are reserved once ``done(None)`` was called, and only then.
    """

    entries: tuple[Entry, ...]


class Known(NamedTuple):
    """
    The id is there with this content: ``entry`` is the answer. ``done`` waits for its disk, too.
    """

    entry: Entry


class Diverged(NamedTuple):
    """
    The id is there with other content. Nothing was written; ``done`` is not called.
    """

    entry: Entry


Reservation: TypeAlias = Reserved | Known | Diverged


class Change(NamedTuple):
    """
    What a verdict did. ``entry`` is the entry now, ``None`` when no such command is on disk;
    ``corrected``: it was thought not executed until now, and was.
    """

    entry: Entry | None
    changed: bool
    corrected: bool
