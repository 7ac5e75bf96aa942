"""Commands on their way: what is wanted, who waits for it, and how far it is."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from bridge.bus.orders import CloseAllParams, cancel_command, close_command, command_id
from bridge.bus.requests import Method
from bridge.journal import Entry, Verdict
from bridge.model.command import OrderCommand, OrderValues
from bridge.model.enums import TradeRequestActions
from bridge.policy import Denial, Proposal
from bridge.policy import proposal_of as proposal_of_command
from bridge.relay.clock import Clock
from bridge.wire.messages import Message, New, OrderRequest, QueriedCommand, Query
from bridge.wire.spec import NewFlag

__all__ = [
    "BACKOFF_US",
    "DISK_GRACE_US",
    "SETTLING_US",
    "Moment",
    "OpenCommand",
    "PendingCommand",
    "Reply",
    "Stage",
    "TradeSession",
    "Waiter",
    "Wanted",
    "child_id",
    "flags_of",
    "moves_volume",
    "new_of",
    "parts_of",
    "proposal_of",
    "query_of",
    "reduces",
    "request_of",
]

#: Time between two questions about a command whose end is not known; the last one stays.
BACKOFF_US: Final = (250_000, 500_000, 1_000_000, 2_000_000, 4_000_000, 8_000_000, 15_000_000)
#: At most that while the settle time runs.
SETTLING_US: Final = 2_000_000
#: How much longer than its deadline a request waits for a disk that has its answer.
DISK_GRACE_US: Final = 1_000_000

#: Actions that move a volume; the others change or remove what is there.
_MOVING: Final = frozenset(
    {TradeRequestActions.DEAL, TradeRequestActions.PENDING, TradeRequestActions.CLOSE_BY}
)
#: Actions that cannot add anything, whatever their flags are.
_REDUCING: Final = frozenset({TradeRequestActions.REMOVE, TradeRequestActions.CLOSE_BY})


class Moment(NamedTuple):
    """
    The two clocks: ``us`` only goes forward, ``utc_msc`` is for the journal and for people.
    """

    us: int
    utc_msc: int

    @classmethod
    def of(cls, clock: Clock) -> Moment:
        """
        Read both.
        """
        return cls(clock.now_us(), clock.utc_msc())


class Reply(Protocol):
    """
    The one reply that a request gets.
    """

    def result(self, result: dict[str, Any]) -> None:
        """
        The request ended with an outcome.
        """

    def error(self, error: dict[str, Any]) -> None:
        """
        Nothing left the relay for this request, and nothing will.
        """


@dataclass(frozen=True, slots=True)
class TradeSession:
    """
    What of a terminal's session matters to orders.

    ``may_trade``: its role and both sides' capabilities take orders. ``begin_anew`` ends it with
    a reason, and the terminal logs on again.
    """

    login: int
    server: str
    incarnation: bytes
    netting: bool
    may_trade: bool
    send: Callable[[Message], None]
    begin_anew: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    A validated request of a trading method: one command, or a ``close_all``.

    ``content_hash``: the same for two requests that ask for the same.
    """

    command_id: str
    method: Method
    content_hash: bytes
    valid_for_ms: int
    command: OrderCommand | None = None
    close_all: CloseAllParams | None = None
    admin: bool = False

    @property
    def comment(self) -> str:
        """
        The user's own comment.
        """
        return "" if self.command is None else self.command.comment


@dataclass(slots=True)
class Waiter:
    """
    A request that waits for a command's end, until its own deadline.
    """

    reply: Reply
    deadline_us: int
    replayed: bool


@dataclass(slots=True)
class PendingCommand:
    """
    A command that is not in the journal yet: nothing of it was sent, its id is free.

    ``held`` says what it waits for, and becomes its end when ``send_by_us`` comes first.
    """

    wanted: Wanted
    waiters: list[Waiter]
    send_by_us: int
    held: Denial | None = None
    #: it closes or cancels: it need not wait for the answers about earlier orders
    reducing: bool = False
    #: answers of the terminal that a ``close_all`` still waits for
    reading: int = 0
    found: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def content_hash(self) -> bytes:
        return self.wanted.content_hash


class Stage(enum.Enum):
    """
    How far a command of the journal is.
    """

    #: on its way to disk
    RESERVING = "reserving"
    #: on disk, not sent
    READY = "ready"
    #: NEW is out
    SENT = "sent"
    #: its answer is overdue or lost: from here on it is only asked for
    ASKING = "asking"
    #: a ``close_all``, whose parts are on their way
    PARTS = "parts"
    #: its end is on its way to disk
    CONCLUDING = "concluding"


@dataclass(slots=True)
class OpenCommand:
    """
    A command in the journal whose end is not on disk.

    ``send_by_us``: NEW is not sent behind it; 0 for a command of an earlier relay.
    """

    entry: Entry
    send_by_us: int
    stage: Stage
    waiters: list[Waiter] = field(default_factory=list)
    session: TradeSession | None = None
    children: tuple[str, ...] = ()
    next_query_us: int = 0
    queries: int = 0
    #: questions of this session without an answer
    unanswered: int = 0
    #: somebody was told UNKNOWN
    in_doubt: bool = False
    #: an end that was told, and that the disk then lost
    told: Verdict | None = None

    @property
    def content_hash(self) -> bytes:
        return self.entry.content_hash

    @property
    def is_resolved(self) -> bool:
        """
        Whether its end is known.
        """
        return self.stage is Stage.CONCLUDING


def request_of(values: OrderValues) -> OrderRequest:
    """
    Return the order request as it travels to the terminal.
    """
    return OrderRequest(*(getattr(values, name) for name in OrderRequest._fields))


def flags_of(command: OrderCommand, *, admin: bool) -> int:
    """
    Return the flags of NEW.
    """
    flags = NewFlag(0)
    if command.reduce_only:
        flags |= NewFlag.REDUCE_ONLY
    if command.sl_points:
        flags |= NewFlag.SL_POINTS
    if command.tp_points:
        flags |= NewFlag.TP_POINTS
    if admin:
        flags |= NewFlag.ADMIN
    return int(flags)


def new_of(entry: Entry, now_us: int, deadline_us: int, relay_epoch: int) -> New:
    """
    Return the NEW of a command.
    """
    return New(
        entry.command_id,
        entry.tag,
        now_us,
        deadline_us,
        relay_epoch,
        entry.incarnation,
        entry.login,
        entry.flags,
        _sent_request(entry),
    )


def query_of(entries: list[Entry], settle_ms: int, now_us: int, *, described: bool) -> Query:
    """
    Return a QUERY for at most 64 commands.

    ``described``: with what each of them was, for a ledger that never saw them.
    """
    commands: tuple[QueriedCommand, ...] = ()
    if described:
        commands = tuple(
            QueriedCommand(
                entry.tag,
                entry.reserved_utc_msc,
                entry.flags,
                _sent_request(entry),
            )
            for entry in entries
        )
    return Query(tuple(entry.command_id for entry in entries), settle_ms, now_us, commands)


def _sent_request(entry: Entry) -> OrderRequest:
    if entry.request is None:
        raise ValueError(f"{entry.command_id} is no single command")
    # The user's comment stays here: the broker gets the tag.
    return entry.request._replace(comment=None)


def moves_volume(entry: Entry) -> bool:
    """
    Tell whether a command may change how much is open.
    """
    return entry.request is not None and entry.request.action in _MOVING


def reduces(entry: Entry) -> bool:
    """
    Tell whether a command closes or cancels, so that it can add nothing.
    """
    request = entry.request
    return bool(entry.flags & NewFlag.REDUCE_ONLY) or (
        request is not None and request.action in _REDUCING
    )


def proposal_of(wanted: Wanted, symbol: str) -> Proposal:
    """
    Return what the policy judges. ``symbol``: that of the ticket, ``""`` when not known.
    """
    if wanted.command is not None:
        return proposal_of_command(wanted.method, wanted.command, symbol=symbol, admin=wanted.admin)
    return Proposal(
        method=wanted.method,
        action=int(TradeRequestActions.DEAL),
        symbol=symbol,
        reduces=True,
        admin=wanted.admin,
    )


def child_id(parent: str, part: str) -> str:
    """
    Return the id of a part of a ``close_all``.
    """
    client_id, client_order_id = parent.split("/")
    return command_id(client_id, client_order_id, part)


def parts_of(
    params: CloseAllParams, found: dict[str, list[dict[str, Any]]]
) -> list[tuple[str, OrderCommand]]:
    """
    Return name and command of each position and order that a ``close_all`` means.

    Oldest first: accounts with FIFO rules take no other order. The name is the ticket. An order
    that is filled in part can have that of its position: then it is ``<ticket>-order``.
    """
    parts: list[tuple[str, OrderCommand]] = []
    for record in _matching(params, found.get("positions", [])):
        ticket = int(record["ticket"])
        parts.append((str(ticket), close_command(ticket, deviation=params.deviation)))
    closed = {name for name, _ in parts}
    for record in _matching(params, found.get("orders", [])):
        ticket = int(record["ticket"])
        name = f"{ticket}-order" if str(ticket) in closed else str(ticket)
        parts.append((name, cancel_command(ticket)))
    return parts


def _matching(params: CloseAllParams, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    wanted = [
        record
        for record in records
        if (params.symbol is None or record.get("symbol") == params.symbol)
        and (params.magic is None or record.get("magic") == params.magic)
    ]
    return sorted(wanted, key=lambda record: (record.get("time_msc", 0), record["ticket"]))
