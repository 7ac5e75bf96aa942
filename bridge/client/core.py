"""One topic, as a subscriber has to treat it. Pure: no sockets, no clock, no threads.

Theory of operation::

    JOINING ──snapshot──▶ LIVE ──a message or a tail beyond the next one──▶ HEALING
                           ▲                                                   │
                           └──────────── everything up to ``top`` is settled ──┘

``next`` is the sequence number that is delivered next, ``top`` the highest one that is
known to exist. The state is derived from these, so it cannot disagree with them.

Rule 1: a message is delivered when its number is ``next``, never otherwise. So nothing is
delivered twice or out of order, whatever arrives in whatever order.
Rule 2: ``next`` passes a number that was not delivered only when the relay said that it is
not held, or when asking for it was given up. Exactly these numbers are in a ``Gap``.
Rule 3: what cannot be kept is forgotten from the newest end; ``top`` remembers that it
exists, and it is replayed later.
Rule 4: where nothing is known of a topic when it is joined, all of its messages are wanted
from number 1 on. What of their beginning the relay does not hold was never published by
it, unless the subscriber was interrupted meanwhile.
Rule 5: a later epoch waits until the one before it is wound up. It ends with a ``Gap``
whose ``last`` is ``None``, because nobody can know what else belonged to it. That gap
covers everything up to the next delivered message: what the relay no longer holds of
the beginning of the new epoch is not reported once more.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from bridge.bus.bodies import read_epoch_seq
from bridge.model.tick import Gap

__all__ = [
    "BEGAN_ANEW",
    "NOT_HELD",
    "Body",
    "Budget",
    "Item",
    "Range",
    "StreamStats",
    "Topic",
    "TopicInfo",
    "TopicState",
    "epoch_seq",
]

#: A body as published, or already decoded (replies carry bodies inside their own msgpack).
Body: TypeAlias = bytes | list[Any]

NOT_HELD: Final = "the relay does not hold it any more"
BEGAN_ANEW: Final = "the stream began anew"

#: What a decoded body is counted as; a list of nine numbers takes about this much.
_LIST_BYTES: Final = 400
_ENTRY_BYTES: Final = 100


class TopicState(enum.Enum):
    """
    Where a topic stands.
    """

    JOINING = "joining"
    LIVE = "live"
    HEALING = "healing"


class TopicInfo(NamedTuple):
    """
    A topic's name and its parts; parts it does not have are ``""``.
    """

    name: str
    kind: str
    alias: str
    symbol: str


#: What is delivered: (topic, body, the gap before it) or (topic, ``None``, a gap).
Item: TypeAlias = tuple[TopicInfo, Body | None, Gap | None]


class Range(NamedTuple):
    """
    What to ask the relay to replay; ``last`` is ``None`` for everything from ``first`` on.
    """

    epoch: int
    first: int
    last: int | None


@dataclasses.dataclass(slots=True)
class StreamStats:
    """
    Counters of a stream since it was opened.

    ``received``: published frames read. ``items``: handed to the iterator. ``duplicates``:
    dropped because they were delivered before. ``replayed``: messages that came by replay.
    ``gaps``: gaps reported. ``missing``: messages inside those gaps whose end is known.
    ``overflowed``: messages put back because too many waited behind a hole; they were asked
    for again. ``malformed``: frames that are not of the bus protocol.
    """

    received: int = 0
    items: int = 0
    duplicates: int = 0
    replayed: int = 0
    gaps: int = 0
    missing: int = 0
    overflowed: int = 0
    malformed: int = 0

    @property
    def delivered(self) -> int:
        """
        Messages handed to the iterator, gaps not counted.
        """
        return self.items - self.gaps

    def copy(self) -> StreamStats:
        """
        Return the counters as they are now.
        """
        return dataclasses.replace(self)


class Budget:
    """
    The bytes that all topics of a stream may buffer together.
    """

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def take(self, size: int) -> bool:
        """
        Count ``size`` bytes, or return ``False`` when they do not fit.
        """
        if self.used + size > self.limit:
            return False
        self.used += size
        return True

    def give(self, size: int) -> None:
        """
        Take ``size`` bytes off the count.
        """
        self.used -= size


def epoch_seq(body: Body) -> tuple[int, int]:
    """
    Return (epoch, seq) of a body.

    Raises:
        ValueError: it does not begin with two whole numbers.
    """
    if isinstance(body, bytes):
        return read_epoch_seq(body)
    if len(body) < 2 or type(body[0]) is not int or type(body[1]) is not int:
        raise ValueError("a body begins with two integers, epoch and seq")
    return body[0], body[1]


def _size(body: Body) -> int:
    return _ENTRY_BYTES + (len(body) if isinstance(body, bytes) else _LIST_BYTES)


class Topic:
    """
    The state of one topic. Everything it delivers is appended to ``out``, in order.

    ``limit`` bounds the messages that wait behind a hole, ``budget`` their bytes.
    """

    __slots__ = (
        "_budget",
        "_gap",
        "_interrupted",
        "_joining",
        "_later",
        "_later_tail",
        "_limit",
        "_open_start",
        "_out",
        "_pending",
        "_seen",
        "_stats",
        "epoch",
        "info",
        "next",
        "steady",
        "top",
    )

    def __init__(
        self, info: TopicInfo, out: list[Item], stats: StreamStats, budget: Budget, limit: int
    ) -> None:
        self.info = info
        #: ``None`` while nothing is known of the topic
        self.epoch: int | None = None
        self.next = 1
        self.top = 0
        #: The next message may be delivered by its number alone (the hot path of ``Stream``).
        self.steady = False
        self._joining = True
        #: Nothing of this epoch was delivered, and nothing says where it begins.
        self._open_start = False
        #: What would have been the first message may have been lost.
        self._interrupted = False
        #: Something of this epoch was delivered.
        self._seen = False
        #: What the next delivered message has to tell.
        self._gap: Gap | None = None
        self._pending: dict[int, Body] = {}
        #: Messages that came while joining, or of an epoch that is not begun yet.
        self._later: list[tuple[int, int, Body]] = []
        self._later_tail: tuple[int, int] | None = None
        self._out = out
        self._stats = stats
        self._budget = budget
        self._limit = limit

    @property
    def state(self) -> TopicState:
        """
        Where the topic stands.
        """
        if self._joining:
            return TopicState.JOINING
        return TopicState.HEALING if self.behind else TopicState.LIVE

    @property
    def behind(self) -> bool:
        """
        Whether something is to be replayed.
        """
        if self._joining or self.epoch is None:
            return False
        return self.next <= self.top or self._is_ending()

    @property
    def known(self) -> bool:
        """
        Whether anything is known of the topic: a message, or where its next one begins.
        """
        return self.epoch is not None

    # --- what comes in -------------------------------------------------------------------

    def receive(self, epoch: int, seq: int, body: Body) -> None:
        """
        Take a message, live or replayed; deliver what is due.
        """
        if self._joining:
            self._put_off(epoch, seq, body)
            return
        if self.epoch is None:
            self._begin(epoch)
        if epoch == self.epoch:
            self._accept(seq, body)
            self._settle()
        elif self.epoch is not None and epoch < self.epoch:
            self._stats.duplicates += 1
        else:
            self._put_off(epoch, seq, body)
            self.steady = False

    def hear_tail(self, epoch: int, seq: int) -> None:
        """
        Learn that the message ``seq`` of ``epoch`` was published.
        """
        if self._joining:
            return  # the snapshot is still to come and tells more
        if self.epoch is None:
            self._begin(epoch)
        if epoch == self.epoch:
            self.top = max(self.top, seq)
        elif self.epoch is not None and epoch > self.epoch:
            self._later_tail = max(self._later_tail or (epoch, seq), (epoch, seq))
            self.steady = False

    def join(self, epoch: int | None, seq: int, body: Body | None) -> None:
        """
        Take the snapshot: go on behind (epoch, seq), and deliver ``body`` first if given.

        ``epoch`` ``None``: the relay knew nothing of the topic, so whatever it publishes
        later was published after the subscription, and all of it is wanted.
        """
        if not self._joining:
            raise AssertionError(f"{self.info.name} is joined already")
        self._joining = False
        held, tail = self._take_later()
        if epoch is not None:
            self.epoch = epoch
            self.next = seq + 1
            self.top = seq
            if body is not None:
                self._deliver(body)
        for held_epoch, held_seq, held_body in held:
            if epoch is None or (held_epoch, held_seq) > (epoch, seq):
                self.receive(held_epoch, held_seq, held_body)
        if tail is not None:
            self.hear_tail(*tail)
        self._settle()

    def first_held(self, epoch: int) -> int | None:
        """
        Return the first message of an epoch that came while joining, ``None`` without one.
        """
        return min((seq for held, seq, _ in self._later if held == epoch), default=None)

    def start_at(self, epoch: int, seq: int) -> None:
        """
        Begin with this message: what came before it was not asked for.
        """
        self.join(epoch, seq - 1, None)

    def interrupt(self) -> None:
        """
        Learn that messages may have been lost since the topic was joined.

        Matters only until the first one is delivered: if the relay no longer holds the
        beginning, this may be why, and then it is reported as a gap. Without this call an
        epoch begins where the relay first had something of it, and nothing is missing.
        """
        # Messages on ``ticks`` cannot be replayed, so their beginning is never known.
        self._interrupted = not self._seen and self.info.kind != "ticks"

    def restart(self) -> None:
        """
        Forget the epoch: its numbers do not compare with those that come now.
        """
        if self._joining or self.epoch is None:
            return
        self._report_end()
        self._forget_pending()
        held, tail = self._take_later()
        self.epoch = None
        self.next, self.top = 1, 0
        self._seen = False
        self._open_start = True
        self.steady = False
        for epoch, seq, body in held:
            self.receive(epoch, seq, body)
        if tail is not None:
            self.hear_tail(*tail)

    # --- healing -------------------------------------------------------------------------

    def wanted(self) -> Range | None:
        """
        Return what to replay next, or ``None`` when nothing is missing.
        """
        if not self.behind or self.epoch is None:
            return None
        if self.next <= self.top:
            last = min(self._pending) - 1 if self._pending else self.top
            return Range(self.epoch, self.next, last)
        # All that is known of this epoch was delivered, and a later one has begun. The end
        # of this one may have been lost: ask before it is closed.
        return Range(self.epoch, self.next, None)

    def take_replay(
        self,
        asked: Range,
        bodies: Sequence[Body],
        missing: Iterable[tuple[int, int]],
        *,
        complete: bool,
    ) -> bool:
        """
        Take one page of a replay; return whether it settled anything.

        ``missing``: ranges that the relay does not hold. ``complete``: nothing of what was
        asked follows this page.
        """
        if asked.epoch != self.epoch:
            return True
        before = self.next
        lost = sorted(missing)
        for body in bodies:
            try:
                epoch, seq = epoch_seq(body)
            except ValueError:
                self._stats.malformed += 1
                continue
            while lost and lost[0][0] < seq:
                self._lose(*lost.pop(0), NOT_HELD)
            if epoch == asked.epoch and seq >= self.next and seq not in self._pending:
                self._stats.replayed += 1
                self._accept(seq, body)
        for first, last in lost:
            self._lose(first, last, NOT_HELD)
        progress = self.next > before
        if asked.last is None and complete:
            if self._is_ending() and self.next > self.top:
                self._turn()
                return True
            progress = True
        self._settle()
        return progress

    def give_up(self, asked: Range, reason: str) -> None:
        """
        Stop asking for this range and report it as a gap.
        """
        if asked.epoch != self.epoch or self._joining:
            return
        if asked.last is None:
            if self._is_ending():
                self._turn()
            return
        self._lose(self.next, asked.last, reason)
        self._settle()

    # --- inside --------------------------------------------------------------------------

    def _is_ending(self) -> bool:
        return bool(self._later) or self._later_tail is not None

    def _begin(self, epoch: int) -> None:
        self.epoch = epoch
        self.next, self.top = 1, 0
        self._open_start = True
        self._seen = False

    def _accept(self, seq: int, body: Body) -> None:
        if seq == self.next:
            self._deliver(body)
            self.next = seq + 1
            self._drain()
        elif seq < self.next or seq in self._pending:
            self._stats.duplicates += 1
        else:
            self.top = max(self.top, seq)
            if len(self._pending) < self._limit and self._budget.take(_size(body)):
                self._pending[seq] = body
            else:
                self._stats.overflowed += 1

    def _drain(self) -> None:
        pending = self._pending
        while pending and self.next in pending:
            body = pending.pop(self.next)
            self._budget.give(_size(body))
            self._deliver(body)
            self.next += 1

    def _deliver(self, body: Body) -> None:
        self._out.append((self.info, body, self._gap))
        self._gap = None
        self._open_start = False
        self._interrupted = False
        self._seen = True

    def _lose(self, first: int, last: int, reason: str) -> None:
        # Only what begins at ``next`` is settled. What lies behind another hole is asked
        # for again once that one is closed.
        if first > self.next or self.epoch is None:
            return
        while self.next <= last:
            held = [seq for seq in self._pending if seq <= last]
            end = min(held) - 1 if held else last
            if end >= self.next:
                if self._interrupted or not self._open_start:
                    self._report(Gap(self.info.name, self.epoch, self.next, end, reason))
                    self._stats.missing += end - self.next + 1
                self.next = end + 1
            self._drain()

    def _report(self, gap: Gap) -> None:
        self._out.append((self.info, None, gap))
        self._stats.gaps += 1
        before = self._gap
        if before is None:
            self._gap = gap
        elif before.epoch == gap.epoch and before.last is not None and before.last + 1 == gap.first:
            self._gap = gap._replace(first=before.first)
        # Else the earlier one stays: it has no end and covers this one too.

    def _report_end(self) -> None:
        if self._seen and self.epoch is not None:
            self._report(Gap(self.info.name, self.epoch, self.next, None, BEGAN_ANEW))
            self._interrupted = False

    def _turn(self) -> None:
        # From the epoch that has ended to the next one.
        self._report_end()
        self._forget_pending()
        held, tail = self._take_later()
        epoch = min([epoch for epoch, _, _ in held] + ([] if tail is None else [tail[0]]))
        self._begin(epoch)
        for held_epoch, held_seq, body in held:
            self.receive(held_epoch, held_seq, body)
        if tail is not None:
            self.hear_tail(*tail)
        self._settle()

    def _put_off(self, epoch: int, seq: int, body: Body) -> None:
        if len(self._later) < self._limit and self._budget.take(_size(body)):
            self._later.append((epoch, seq, body))
            return
        self._stats.overflowed += 1
        self._later_tail = max(self._later_tail or (epoch, seq), (epoch, seq))

    def _take_later(self) -> tuple[list[tuple[int, int, Body]], tuple[int, int] | None]:
        held, tail = self._later, self._later_tail
        self._later, self._later_tail = [], None
        for _, _, body in held:
            self._budget.give(_size(body))
        return held, tail

    def _forget_pending(self) -> None:
        for body in self._pending.values():
            self._budget.give(_size(body))
        self._pending.clear()

    def _settle(self) -> None:
        self.steady = (
            self._seen
            and self._gap is None
            and not self._joining
            and not self._open_start
            and not self._pending
        )
