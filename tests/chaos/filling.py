"""A journal that has been in use for a while, made quickly: through ``bridge.journal`` itself."""

from __future__ import annotations

import itertools
import queue
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.config import JOURNAL_FILE
from bridge.journal import Entry, Journal, SqliteStore, Verdict, content_hash
from bridge.model.enums import TradeRequestActions
from bridge.model.trade import order_tag
from bridge.wire.spec import OrderOutcome
from bridge.wire.structures import OrderRequest
from tests.chaos.account import ACCOUNT, ALIAS

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.exceptions import JournalError

__all__ = ["fill_journal"]

#: Commands of one transaction.
_GROUP = 500
_DAY_MSC = 86_400_000
_DEADLINE_S = 120.0


def fill_journal(folder: Path, commands: int) -> None:
    """
    Put so many commands with their ends into the journal of a data folder, the newest of them
    a day old.
    """
    if not commands:
        return
    folder.mkdir(parents=True, exist_ok=True)
    calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
    journal = Journal(SqliteStore(folder / JOURNAL_FILE, deliver=calls.put))
    journal.load()
    now_msc = time.time_ns() // 1_000_000 - _DAY_MSC
    numbers = iter(range(commands))
    while group := list(itertools.islice(numbers, _GROUP)):
        entries = [_entry(number, now_msc - commands + number) for number in group]
        journal.reserve(entries, _check)
        _drain(journal, calls)
        # Only what is on disk can have an end.
        with journal.together():
            for entry in entries:
                journal.record(entry.command_id, _verdict(entry), now_msc, _check)
        _drain(journal, calls)
    assert not journal.open_entries()
    journal.close()


def _drain(journal: Journal, calls: queue.SimpleQueue[Callable[[], object]]) -> None:
    until = time.monotonic() + _DEADLINE_S
    while journal.pending:
        calls.get(timeout=max(0.0, until - time.monotonic()))()


def _check(error: JournalError | None) -> None:
    if error is not None:
        raise error


def _entry(number: int, at_msc: int) -> Entry:
    name = f"before/{number}"
    values = dict.fromkeys(OrderRequest._fields)
    values |= {"action": int(TradeRequestActions.DEAL), "symbol": "EURUSD", "volume": 0.1}
    values |= {"type": 0}
    return Entry(
        command_id=name,
        alias=ALIAS,
        login=ACCOUNT.login,
        server=ACCOUNT.server,
        incarnation=b"incarnation-0001",
        method="order_send",
        content_hash=content_hash("order_send", ALIAS, {"number": number}),
        request=OrderRequest(**values),
        tag=order_tag(name),
        comment="from before",
        reserved_utc_msc=at_msc,
        deadline_utc_msc=at_msc + 5_000,
        relay_epoch=1,
    )


def _verdict(entry: Entry) -> Verdict:
    return Verdict(
        outcome=OrderOutcome.DONE,
        retcode=10_009,
        deal=1,
        order=1,
        deals=(1,),
        volume=0.1,
        price=1.1,
        comment="Done",
        utc_msc=entry.reserved_utc_msc,
    )
