"""Trade events: what happens to an account, through the journal to ``trade/<alias>``.

An event gets its number from the journal and is published when it is on disk, so that the
numbers go on over a restart of the relay and everything published can be replayed. The
terminal's EVENT_ACK follows the disk, too.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Final, Protocol

from bridge.bus.bodies import TradeKind, pack_body
from bridge.exceptions import JournalError
from bridge.journal import Account, Journal
from bridge.logs import get_logger
from bridge.model.enums import OrderState
from bridge.model.trade import TAG_PREFIX
from bridge.relay.order_comments import OrderComments
from bridge.relay.rings import Replay
from bridge.wire.messages import Event, EventAck, EventCursor, Message
from bridge.wire.spec import EventKind

__all__ = ["TradeEvents", "TradeLog"]

log = get_logger(__name__)

#: An order in one of these states was taken by the trade server at some time.
_WAS_PLACED: Final = frozenset(
    {
        OrderState.PLACED,
        OrderState.CANCELED,
        OrderState.PARTIAL,
        OrderState.FILLED,
        OrderState.EXPIRED,
    }
)
_OF_ORDERS: Final = frozenset({EventKind.ORDER, EventKind.ORDER_CLOSED})


class Noticed(Protocol):
    """
    Who wants to know that something with a command's tag exists at the broker.
    """

    def __call__(self, tag: str, *, deal: int, order: int, position: int) -> None:
        """
        A deal (``deal`` not 0), or an order that was placed, has this tag.
        """


class TradeLog:
    """
    What of ``trade/<alias>`` is on disk, as a ring that can be replayed.
    """

    def __init__(self, alias: str, journal: Journal) -> None:
        self._alias = alias
        self._journal = journal

    @property
    def epoch(self) -> int:
        """
        Epoch of all numbers: the journal's.
        """
        return self._journal.newest(self._alias)[0]

    @property
    def oldest(self) -> int | None:
        """
        Number of the oldest event held, ``None`` without one.
        """
        held = self._journal.trade_range(self._alias)
        return held.oldest if held.newest else None

    @property
    def newest(self) -> int | None:
        """
        Number of the newest event, ``None`` without one.
        """
        return self._journal.newest(self._alias)[1] or None

    def last_record(self) -> bytes | None:
        """
        Return the newest body.
        """
        newest = self.newest
        bodies = [] if newest is None else self._read(newest, newest, 1)[1]
        return bodies[0] if bodies else None

    def read(self, first: int, last: int, max_bytes: int) -> Replay:
        """
        Return what is held of ``first..last``, from the first held one on, in one page.
        """
        begin, bodies = self._read(first, last, max_bytes)
        return Replay(begin, len(bodies), b"".join(bodies))

    def _read(self, first: int, last: int, max_bytes: int) -> tuple[int, list[bytes]]:
        return self._journal.read_trade(self._alias, first, last, max_bytes)


class TradeEvents:
    """
    The events of one terminal.

    ``publish(epoch, seq, body)`` is called for each in order, when it is on disk.
    """

    def __init__(
        self,
        alias: str,
        journal: Journal,
        comments: OrderComments,
        publish: Callable[[int, int, bytes], None],
        noticed: Noticed,
    ) -> None:
        #: events that could not be written: they come again with the next session
        self.lost = 0
        self._alias = alias
        self._journal = journal
        self._comments = comments
        self._publish = publish
        self._noticed = noticed
        self._begun = False

    def link_up(self) -> None:
        """
        A session is open: what is missing comes again.
        """
        self.lost = 0
        self._begun = False

    def begin(self, account: Account, server_time_msc: int) -> None:
        """
        Note where the events of an account begin, if nothing of it is on disk: once a session.
        """
        if not self._begun:
            self._begun = True
            place = EventCursor(server_time_msc, 0)
            self._journal.begin_events(account, place, lambda _: None)

    def life(self, kind: TradeKind, record: dict[str, Any], utc_msc: int) -> None:
        """
        Tell what became of a command.
        """
        made: list[tuple[int, int, bytes]] = []

        def body(epoch: int, seq: int) -> bytes:
            made.append((epoch, seq, pack_body(epoch, seq, utc_msc, str(kind), False, record)))
            return made[-1][2]

        def written(error: JournalError | None) -> None:
            if error is None:
                self._publish(*made[-1])

        self._journal.append_life(self._alias, body, written, now_utc_msc=utc_msc)

    def receive(
        self, event: Event, account: Account, send: Callable[[Message], None], utc_msc: int
    ) -> None:
        """
        Take an EVENT; ``send`` is the session's that it came in.

        Behind one that was lost none is taken: its place on disk would pass the lost one over.
        """
        if self.lost:
            return
        has_place = bool(event.cursor_ticket)
        cursor = EventCursor(event.cursor_time_msc, event.cursor_ticket) if has_place else None
        kind = _name(EventKind, event.kind)
        record = self._comments.put_back(event.record)
        made: list[tuple[int, int, bytes]] = []

        def body(epoch: int, seq: int) -> bytes:
            packed = pack_body(epoch, seq, utc_msc, kind, event.recovered, record)
            made.append((epoch, seq, packed))
            return packed

        def written(error: JournalError | None) -> None:
            if error is not None:
                self.lost += 1
                log.error("an event is not on disk", terminal=self._alias, reason=str(error))
                return
            for one in made:
                self._publish(*one)
            if cursor is not None and not self.lost:
                send(EventAck(cursor.time_msc, cursor.ticket))

        try:
            self._journal.note_event(
                self._alias,
                account,
                event.kind,
                event.cursor_ticket,
                cursor,
                body,
                written,
                now_utc_msc=utc_msc,
            )
        except JournalError as error:
            written(error)
        if made:
            self._look_for_tag(event.kind, event.record)

    def _look_for_tag(self, kind: int, record: dict[str, Any]) -> None:
        tag = record.get("comment")
        if not isinstance(tag, str) or not tag.startswith(TAG_PREFIX):
            return
        ticket = _number(record, "ticket")
        position = _number(record, "position_id")
        if kind == EventKind.DEAL:
            order = _number(record, "order")
            self._noticed(tag, deal=ticket, order=order, position=position)
        elif kind in _OF_ORDERS and record.get("state") in _WAS_PLACED:
            self._noticed(tag, deal=0, order=ticket, position=position)


def _name(kind: type[enum.Enum], value: int) -> str:
    # A newer terminal may use a member that this version does not know.
    try:
        return kind(value).name
    except ValueError:
        return str(value)


def _number(record: dict[str, Any], name: str) -> int:
    value = record.get(name, 0)
    return value if isinstance(value, int) else 0
