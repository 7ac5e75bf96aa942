"""Complete ticks of any number of symbols: read by cursor, numbered, logged, sent in runs.

Theory of operation. Each symbol that the relay subscribed to is a stream: an epoch, the next
sequence number, a cursor into the terminal's history, a log of the records numbered last, and
a pointer into the log that says what is sent next. ``poll`` reads on from the cursor, ``take``
gives the body of the next TICKS frame.

Rule 1: the log is the send queue. A record in it never changes: what the relay did not take
is sent again byte for byte.
Rule 2: a read moves the cursor only when it gave n >= 0 **and** no error, and only when the
ticks at the cursor's millisecond are the ones that were taken (their CRC).
Rule 3: what was taken is remembered for a minute of ticks. When the CRC does not fit, after an
outage of the trade server's link, and every now and then, history is read again and compared
with that memory, as multisets: MQL5 reports no error for ticks that are filled in later. What
is new behind the cursor is numbered next and flagged LATE, what is gone is counted.
Rule 4: late ticks go before newer ones, and the cursor behind a late record fits no history
until all that were found together are numbered. So a terminal that lost its memory in between
says GAP instead of skipping the rest.
Rule 5: a number is given once in an epoch. Whoever cannot keep that begins a new epoch.
Rule 6: nothing is read while the relay does not listen; the history is the longer queue.

What must change together: this file, ``tickstream``, ``resumption``, "Streams" in
``docs/reference/wire-protocol.md`` and ``mql5/Include/Bridge/Market/``.
"""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bridge.model.enums import MqlError
from bridge.model.record import RECORD_SIZE, Cursor
from bridge.model.symbol import SymbolSpec, spec_for
from bridge.model.tick import TickFlag
from bridge.sim.resumption import Resumption, Start, StreamRefused
from bridge.sim.tickreader import TickReader, TickSource, cursor_over
from bridge.sim.tickstream import BATCH, MEMORY_MSC, Settling, TickStream
from bridge.wire.fields import clip
from bridge.wire.frame import pack_run_header
from bridge.wire.messages import Gap, Resume, Stream, Subscribe
from bridge.wire.spec import (
    FRAME_OVERHEAD,
    MARKET_FRAME_MAX,
    RUN_HEADER_SIZE,
    ErrorCode,
    StreamKind,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "FRAME_BODY_MAX",
    "LOG_RECORDS",
    "UNSENT_MAX",
    "PendingStream",
    "TickCollector",
    "refuse",
]

#: Records kept of a symbol; twice what the window of unacknowledged frames can hold.
LOG_RECORDS: Final = 4_096
#: With more than this unsent, a symbol is not read on.
UNSENT_MAX: Final = 512
#: The body of one TICKS frame.
FRAME_BODY_MAX: Final = MARKET_FRAME_MAX - FRAME_OVERHEAD
_STREAMS_MAX: Final = 1_024

#: Between the two reads that must agree after an outage, and when they may disagree no longer.
_SETTLE_US: Final = 500_000
_SETTLE_MAX_US: Final = 30_000_000
#: After an outage or a resumption history may still be filled in: looked at often, so long.
_WATCH_EVERY_US: Final = 2_000_000
_WATCH_US: Final = 60_000_000
_AUDIT_EVERY_US: Final = 20_000_000
#: After a read that was refused.
_RETRY_US: Final = 200_000
_END_OF_TIME: Final = 2**63 - 1

_BACKLOG: Final = int(TickFlag.BACKLOG)


@dataclass(slots=True)
class PendingStream:
    """
    A SUBSCRIBE that waits for its turn or for the history.
    """

    subscribe: Subscribe
    until_us: int
    not_before_us: int = 0


class TickCollector:
    """
    The streams of one terminal.

    Args:
        source: the terminal's history.
        specs: digits and points; a symbol that is not in it gets a guess by its name.
        log_records: records kept of each symbol.
        audit_every_us: how often what was taken is compared with the history, 0 for never.
    """

    def __init__(
        self,
        source: TickSource,
        specs: Mapping[str, SymbolSpec],
        *,
        log_records: int = LOG_RECORDS,
        audit_every_us: int = _AUDIT_EVERY_US,
    ) -> None:
        #: reads the history; the caller sends BUSY first where its ``may_block`` says so, and
        #: asks its ``take_blocked_ms`` after every ``begin`` and ``poll``
        self.reader = TickReader(source)
        #: the server's clock minus UTC, stamped on every record read from now on
        self.utc_offset_min = 0
        #: called for every run that ``take`` gives out: symbol, first seq, length
        self.on_taken: Callable[[str, int, int], None] | None = None
        #: records made, ticks found late, ticks found gone or changed
        self.numbered = 0
        self.late = 0
        self.revised = 0
        self._specs = specs
        self._log_records = log_records
        self._audit_every_us = audit_every_us
        self._streams: dict[str, TickStream] = {}
        self._by_id: dict[int, TickStream] = {}
        self._ids = itertools.count(1)
        self._ready: deque[TickStream] = deque()
        self._connected = True

    def __len__(self) -> int:
        return len(self._by_id)

    # --- what the relay asks for -------------------------------------------------------

    def may_block(self, subscribe: Subscribe) -> bool:
        """
        Return whether ``begin`` may block: say BUSY before.
        """
        known = subscribe.symbol in self._specs
        return (
            known and subscribe.kind == StreamKind.TICK and self.reader.may_block(subscribe.symbol)
        )

    def begin(
        self, subscribe: Subscribe, now_us: int, time_current_msc: int = 0
    ) -> tuple[Stream, Gap | None]:
        """
        Begin a stream (or begin it again); return what to answer, in this order.

        ``time_current_msc``: MQL5's TimeCurrent, where a symbol without any tick begins. With
        ``ErrorCode.NOT_SYNCHRONISED`` nothing has changed: try again later.
        """
        symbol = subscribe.symbol
        known = self._streams.get(symbol)
        try:
            self._admit(subscribe)
            if known is not None and not self._compare(known):
                # Late ticks must be known before any place behind them is chosen.
                raise TimeoutError(f"the history of {symbol!r} is being loaded; ask again")  # noqa: TRY301  # one way out
            start = Resumption(self.reader, subscribe, known, time_current_msc).decide()
        except StreamRefused as refused:
            return refuse(subscribe, refused.code, refused.text), None
        except TimeoutError as error:
            return refuse(subscribe, ErrorCode.NOT_SYNCHRONISED, str(error)), None
        if known is None:
            known = TickStream(symbol, self._specs.get(symbol) or spec_for(symbol))
            self._streams[symbol] = known
        return self._open(known, subscribe, start, now_us)

    def end(self, symbol_id: int) -> None:
        """
        Stop a stream and forget its id, and give its symbol back; an unknown id means nothing.
        """
        stream = self._by_id.pop(symbol_id, None)
        if stream is not None:
            stream.give_up()
            self.reader.release(stream.symbol)
            if stream.queued:
                self._ready.remove(stream)
                stream.queued = False

    def rewind(self) -> None:
        """
        The link to the relay is lost: nothing is read or sent until the streams begin again.
        """
        for stream in self._by_id.values():
            stream.symbol_id = 0
            stream.queued = False
        self._by_id.clear()
        self._ready.clear()

    def forget(self) -> None:
        """
        Forget all streams: the account is another one, and so is its history.
        """
        self.rewind()
        self._streams.clear()
        self.reader.connection_was_lost()

    def acknowledged(self) -> None:
        """
        The relay has taken everything that was given out so far.
        """
        for stream in self._by_id.values():
            if stream.send_seq > stream.log.first_seq:
                stream.acknowledged = True

    # --- what the terminal does ----------------------------------------------------------

    def wants_blocking(self, now_us: int) -> bool:
        """
        Tell whether a stream waits for a ``poll`` that may block.
        """
        may_block = self.reader.may_block
        return any(
            may_block(stream.symbol) and now_us >= stream.not_before_us
            for stream in self._by_id.values()
        )

    def poll(self, now_us: int, *, may_block: bool = True) -> None:
        """
        Read on, and back where that is due; without ``may_block`` only what will not block.
        """
        for stream in self._by_id.values():
            if stream.unsent > UNSENT_MAX or now_us < stream.not_before_us:
                continue
            if not may_block and self.reader.may_block(stream.symbol):
                continue
            if not stream.late:
                self._look_back(stream, now_us)
            if stream.late:
                self._number_late(stream)
            elif stream.settling is None and not self._read_on(stream):
                stream.not_before_us = now_us + _RETRY_US

    def take(self, now_us: int, max_bytes: int = FRAME_BODY_MAX) -> bytes | None:
        """
        Return the body of the next TICKS frame, ``None`` when nothing waits.

        Symbols take turns. What was given out counts as sent.
        """
        parts: list[bytes | bytearray] = []
        room = max_bytes
        ready = self._ready
        while ready and room >= RUN_HEADER_SIZE + RECORD_SIZE:
            stream = ready.popleft()
            length = min(stream.unsent, (room - RUN_HEADER_SIZE) // RECORD_SIZE)
            seq, log = stream.send_seq, stream.log
            cursor = log.cursors[seq + length - 1 - log.first_seq]
            parts.append(pack_run_header(stream.symbol_id, length, seq, now_us, cursor))
            parts.append(log.read(seq, length))
            room -= RUN_HEADER_SIZE + length * RECORD_SIZE
            stream.send_seq = seq + length
            stream.queued = stream.unsent > 0
            if stream.queued:
                ready.append(stream)
            if self.on_taken is not None:
                self.on_taken(stream.symbol, seq, length)
        return b"".join(parts) if parts else None

    @property
    def wants_to_send(self) -> bool:
        """
        Whether ``take`` would return anything.
        """
        return bool(self._ready)

    def outage_began(self) -> None:
        """
        TERMINAL_CONNECTED turned false: keep the memory from a minute before on.
        """
        self._connected = False
        for stream in self._streams.values():
            pinned = stream.cursor.time_msc - MEMORY_MSC
            if stream.pinned_msc is None or pinned < stream.pinned_msc:
                stream.pinned_msc = pinned

    def outage_ended(self, now_us: int) -> None:
        """
        TERMINAL_CONNECTED turned true: read again until two readings agree, then go on.
        """
        self._connected = True
        self.reader.connection_was_lost()
        for stream in self._streams.values():
            if stream.kept:
                stream.settling = Settling(now_us)
                stream.look_again_us = now_us
                stream.catching_up = True
                stream.behind = True

    # --- what a feed wants to know ---------------------------------------------------------

    @property
    def streaming(self) -> frozenset[str]:
        """
        Symbols that the relay listens to and whose history has been caught up with.
        """
        return frozenset(s.symbol for s in self._by_id.values() if not s.catching_up)

    @property
    def keeps_up(self) -> bool:
        """
        Whether everything that was there at the last poll is read and mostly sent.
        """
        return all(
            stream.symbol_id and not stream.behind and stream.unsent <= UNSENT_MAX
            for stream in self._streams.values()
            if stream.kept
        )

    # --- inside ------------------------------------------------------------------------------

    def _admit(self, subscribe: Subscribe) -> None:
        symbol = subscribe.symbol
        if subscribe.kind != StreamKind.TICK:
            raise StreamRefused(ErrorCode.UNSUPPORTED, "this terminal streams ticks only")
        error = self.reader.select(symbol)
        if error == MqlError.MARKET_UNKNOWN_SYMBOL:
            raise StreamRefused(
                ErrorCode.UNKNOWN_SYMBOL,
                f"the terminal has no symbol {symbol!r}: take the exact name, case and suffix "
                "included, from its Market Watch",
            )
        if error:
            raise StreamRefused(
                ErrorCode.SYMBOL_NOT_SELECTED,
                f"the terminal cannot show {symbol!r} in Market Watch (error {error})",
            )
        known = self._streams.get(symbol)
        if (known is None or not known.symbol_id) and len(self._by_id) >= _STREAMS_MAX:
            raise StreamRefused(
                ErrorCode.TOO_MANY, f"{_STREAMS_MAX} streams are running: unsubscribe some first"
            )

    def _open(
        self, stream: TickStream, subscribe: Subscribe, start: Start, now_us: int
    ) -> tuple[Stream, Gap | None]:
        # A new id each time: an UNSUBSCRIBE of the old one that is on its way means nothing.
        self._by_id.pop(stream.symbol_id, None)
        stream.symbol_id = next(self._ids)
        self._by_id[stream.symbol_id] = stream
        place = start.place
        if place is not None:
            stream.place(start.epoch, start.first_seq, place.cursor, place.taken, place.from_msc)
            if place.first is not None:
                stream.number([place.first], _BACKLOG, self.utc_offset_min)
                self.numbered += 1
            stream.late += place.late
            # A hole that an outage left may be filled only now.
            stream.pinned_msc = place.from_msc
            stream.watch_until_us = now_us + _WATCH_US
            stream.look_again_us = now_us + _WATCH_EVERY_US
        stream.send_seq = start.first_seq
        stream.not_before_us = 0
        stream.catching_up = True
        stream.behind = True
        if stream.queued:
            self._ready.remove(stream)
            stream.queued = False
        self._queue(stream)
        answer = Stream(
            subscribe.request_id,
            int(ErrorCode.OK),
            "",
            stream.symbol_id,
            start.epoch,
            start.first_seq,
            int(start.continuity),
            stream.digits,
            stream.point,
        )
        if start.reason is None:
            return answer, None
        old = subscribe.resume or Resume(0, 0, Cursor(0, 0, 0), 0)
        gap = Gap(
            stream.symbol_id,
            int(start.reason),
            old.epoch,
            old.seq,
            old.cursor,
            start.epoch,
            start.first_seq,
            start.cursor,
            start.text,
        )
        return answer, gap

    def _read_on(self, stream: TickStream) -> bool:
        cursor = stream.cursor
        wanted = cursor.ticks + BATCH
        ticks = self.reader.read(stream.symbol, max(1, cursor.time_msc), wanted)
        if ticks is None:
            return False
        if cursor_over(cursor.time_msc, ticks[: cursor.ticks]) != cursor:
            return self._compare(stream)
        if len(ticks) > cursor.ticks:
            before = stream.next_seq
            flags = _BACKLOG if stream.catching_up else 0
            stream.number(ticks[cursor.ticks :], flags, self.utc_offset_min)
            self._numbered(stream, before)
        stream.behind = len(ticks) == wanted
        if not stream.behind:
            stream.catching_up = False
        return True

    def _number_late(self, stream: TickStream) -> None:
        before = stream.next_seq
        stream.number_late(self.utc_offset_min)
        self._numbered(stream, before)

    def _numbered(self, stream: TickStream, before: int) -> None:
        self.numbered += stream.next_seq - before
        stream.prune(self._log_records)
        self._queue(stream)

    def _queue(self, stream: TickStream) -> None:
        if not stream.queued and stream.unsent > 0:
            stream.queued = True
            self._ready.append(stream)

    def _look_back(self, stream: TickStream, now_us: int) -> None:
        if now_us < stream.look_again_us:
            return
        if stream.settling is not None:
            stream.look_again_us = now_us + _SETTLE_US
            self._settle(stream, stream.settling, now_us)
        elif now_us < stream.watch_until_us:
            stream.look_again_us = now_us + _WATCH_EVERY_US
            self._compare(stream)
        else:
            if self._connected:
                stream.pinned_msc = None
            stream.look_again_us = now_us + (self._audit_every_us or _AUDIT_EVERY_US)
            if self._audit_every_us:
                self._compare(stream)

    def _settle(self, stream: TickStream, settling: Settling, now_us: int) -> None:
        read = self.reader.read_range(stream.symbol, stream.memory_from_msc, _END_OF_TIME)
        before = settling.previous
        # Live prices must not wait for ever; what comes later is found by watching.
        agreed = now_us - settling.since_us >= _SETTLE_MAX_US
        if read is not None:
            agreed |= before is not None and read[0][: len(before)] == before
            stream.settling = Settling(settling.since_us, read[0])
        if agreed:
            stream.settling = None
            stream.watch_until_us = now_us + _WATCH_US
            stream.look_again_us = now_us + _WATCH_EVERY_US
            self._compare(stream)

    def _compare(self, stream: TickStream) -> bool:
        read = self.reader.read_range(stream.symbol, stream.memory_from_msc, stream.cursor.time_msc)
        if read is None:
            return False
        late, gone = stream.compare(*read)
        self.late += late
        self.revised += gone
        stream.prune(self._log_records)
        return True


def refuse(subscribe: Subscribe, code: ErrorCode, text: str) -> Stream:
    """
    Return the answer to a SUBSCRIBE that begins no stream.
    """
    return Stream(subscribe.request_id, int(code), clip(text), 0, 0, 0, 0, 0, 0.0)
