"""What tests of the core of the journal begin with."""

from __future__ import annotations

from bridge.exceptions import JournalError
from bridge.journal import Account, Journal, Reserved
from bridge.wire.spec import EventKind
from bridge.wire.structures import EventCursor
from tests.support.journal import ALIAS, LOGIN, NOW, SERVER

__all__ = ["ACCOUNT", "FULL", "body", "note", "reserve", "start"]

ACCOUNT = Account(LOGIN, SERVER)
FULL = JournalError("the disk is full", path="journal.sqlite", hint="make room", writable=False)


def start(store):
    journal = Journal(store)
    journal.load()
    return journal


def reserve(journal, store, told, *entries):
    """
    Have entries on disk.
    """
    answer = journal.reserve(entries, told.done("reserve"))
    store.flush()

    assert isinstance(answer, Reserved)
    told.clear()


def body(text):
    return lambda epoch, seq: f"{epoch}/{seq}/{text}".encode()


def note(journal, told, name, ticket, time_msc, kind=EventKind.DEAL, **more):
    cursor = EventCursor(time_msc, ticket) if time_msc is not None else None
    return journal.note_event(
        ALIAS,
        more.pop("account", ACCOUNT),
        kind,
        ticket,
        cursor,
        body(name),
        told.done(name),
        now_utc_msc=NOW,
        **more,
    )
