"""The store port: what the journal's core needs of whatever keeps its bytes.

**Writes** are handed over in an order and become durable in that order: when the completion of
one says that it is on disk, everything handed over before it is, too. When one fails, it and
everything behind it is as if it had never been written, until ``recover``. So what is on disk is
always a beginning of what was written, the same that a crash would leave.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

from bridge.exceptions import JournalError
from bridge.journal.entry import Account, AliasState, Audit, Entry, EventKey, Verdict
from bridge.wire.structures import EventCursor

__all__ = [
    "SENT_HORIZON_MSC",
    "Deliver",
    "Done",
    "Loaded",
    "PutAudit",
    "PutCursor",
    "PutEntry",
    "PutEventKey",
    "PutState",
    "PutTrade",
    "PutVerdict",
    "RemoveOld",
    "Store",
    "TradeRange",
    "Write",
]

#: How far back the times of reservations are kept at hand, for orders per minute.
SENT_HORIZON_MSC: Final = 3_600_000

#: Called once, with ``None`` when everything is on disk.
Done: TypeAlias = Callable[[JournalError | None], None]
#: Runs a call in the thread of the journal's owner, in the order of delivery.
Deliver: TypeAlias = Callable[[Callable[[], None]], object]


class PutEntry(NamedTuple):
    """
    A new command; its id is not in the store.
    """

    entry: Entry


class PutVerdict(NamedTuple):
    """
    The verdict of a command that is in the store.
    """

    entry: Entry
    verdict: Verdict


class PutTrade(NamedTuple):
    """
    A body of ``trade/<alias>``.
    """

    alias: str
    seq: int
    body: bytes
    utc_msc: int


class PutEventKey(NamedTuple):
    """
    An event that is not to be taken again.
    """

    key: EventKey
    utc_msc: int


class PutCursor(NamedTuple):
    """
    The place of an account's newest event.
    """

    account: Account
    cursor: EventCursor


class PutState(NamedTuple):
    """
    The trading state of a terminal, kept over restarts.
    """

    alias: str
    state: AliasState


class PutAudit(NamedTuple):
    """
    A line of the audit.
    """

    audit: Audit


class RemoveOld(NamedTuple):
    """
    Commands with a final verdict, events and their keys from before ``utc_msc`` may go.
    """

    utc_msc: int


Write: TypeAlias = (
    PutEntry | PutVerdict | PutTrade | PutEventKey | PutCursor | PutState | PutAudit | RemoveOld
)


class TradeRange(NamedTuple):
    """
    The sequence numbers of ``trade/<alias>`` that are held; ``newest`` 0: none ever was.
    """

    oldest: int
    newest: int


@dataclasses.dataclass(slots=True)
class Loaded:
    """
    What a start needs in memory. ``sent`` are the times of the last hour's reservations.
    """

    epoch: int
    open: list[Entry]
    trade: dict[str, TradeRange]
    cursors: dict[Account, EventCursor]
    states: dict[str, AliasState]
    sent: dict[str, list[int]]


class Store(Protocol):
    """
    Keeps the journal. All methods are called from one thread; ``done`` comes through ``deliver``.
    """

    deliver: Deliver

    @property
    def problem(self) -> JournalError | None:
        """
        Why no new risk may be written, or ``None``.
        """

    def open(self) -> Loaded:
        """
        Take the lock, check everything, and return what a start needs.

        Raises:
            JournalError: it is another program's, damaged, of a newer version, not durable.
        """

    def write(self, writes: Sequence[Write], done: Done) -> None:
        """
        Hand over writes that belong together: all of them become durable, or none.

        An empty sequence is done when everything before it is.
        """

    def recover(self) -> None:
        """
        After a failure: what is written from now on is to be tried again.
        """

    def find(self, command_id: str) -> Entry | None:
        """
        Return a durable entry.
        """

    def find_by_tag(self, tag: str) -> Entry | None:
        """
        Return the newest durable entry with this tag.
        """

    def children(self, command_id: str) -> list[Entry]:
        """
        Return the durable parts of a command, by id.
        """

    def has_event(self, key: EventKey) -> bool:
        """
        Return whether an event is durable.
        """

    def read_trade(
        self, alias: str, first: int, last: int, max_bytes: int
    ) -> tuple[int, list[bytes]]:
        """
        Return the sequence number of the first body held of ``first..last``, and the bodies from
        there on, at least one if there is any.
        """

    def trade_range(self, alias: str) -> TradeRange:
        """
        Return what is held of ``trade/<alias>``.
        """

    def audit(self, limit: int) -> list[Audit]:
        """
        Return the newest lines of the audit, oldest first.
        """

    def close(self) -> None:
        """
        Write what waits, and give the lock back.
        """
