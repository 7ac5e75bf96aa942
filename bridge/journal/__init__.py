"""The journal of orders: on disk before anything is sent, and the only memory of what was.

Layer 3. ``core`` and ``entry`` are pure, ``store`` is the port, ``memory`` a store for tests,
``sqlite`` the real one: one file, one writer thread, many writes in one transaction.

How the order path uses it::

    journal = Journal(SqliteStore(path, deliver=loop.call_soon_threadsafe))
    journal.load()                                     # JournalError: do not trade, say its hint
    match journal.known(command_id, digest, done):     # Known: answer it when done(None) comes
    ... policy ...
    match journal.reserve([entry], done):              # Reserved: send NEW at done(None)
    with journal.together():                                   # one transaction
        change = journal.record(command_id, verdict, now, done)    # reply at done(None)
        journal.append_life(alias, make_body, publish, now_utc_msc=now)

``done`` is called exactly once for every method that takes it, in the order of the calls, but for
``Diverged``. With an error, what was asked for is not on disk, nor is anything asked behind it,
and memory is as before. Times ``now_utc_msc`` are arguments.
"""

from __future__ import annotations

from bridge.journal.answers import Change, Diverged, Known, Reservation, Reserved
from bridge.journal.core import RETENTION_DAYS_MIN, Journal, MakeBody
from bridge.journal.entry import (
    EXECUTED,
    NOT_EXECUTED,
    Account,
    AliasState,
    Audit,
    Entry,
    EventKey,
    Verdict,
    content_hash,
    is_final,
    successor,
)
from bridge.journal.life import Step
from bridge.journal.memory import MemoryStore
from bridge.journal.sqlite import SPARE_BYTES, SqliteStore
from bridge.journal.store import Deliver, Done, Store, TradeRange

__all__ = [
    "EXECUTED",
    "NOT_EXECUTED",
    "RETENTION_DAYS_MIN",
    "SPARE_BYTES",
    "Account",
    "AliasState",
    "Audit",
    "Change",
    "Deliver",
    "Diverged",
    "Done",
    "Entry",
    "EventKey",
    "Journal",
    "Known",
    "MakeBody",
    "MemoryStore",
    "Reservation",
    "Reserved",
    "SqliteStore",
    "Step",
    "Store",
    "TradeRange",
    "Verdict",
    "content_hash",
    "is_final",
    "successor",
]
