"""Where a stream begins: what SUBSCRIBE offers against what the terminal knows and has.

==========================================  ================================================
the relay offers, the terminal has          the stream
==========================================  ================================================
nothing                                     FRESH: the latest tick, in a new epoch; or the log,
                                            when no record of it was ever acknowledged
a record that the log reaches back to       RESUMED from the log, byte for byte
an older record of the same epoch           RESUMED by reading again with the same numbers;
                                            if that cannot be proved, GAP(ORDER_LOST): the
                                            same ticks with new numbers
an older epoch                              GAP(OTHER): the log from its oldest record
a record, and the terminal remembers        RESUMED behind its cursor, if the history fits
nothing of it (it was restarted)            and the cursor is not too old; else GAP and the
                                            latest tick
==========================================  ================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from bridge.model.record import Cursor
from bridge.sim.tickreader import TickReader, cursor_over
from bridge.sim.tickstream import MEMORY_MSC, TickStream
from bridge.wire.spec import Continuity, ErrorCode, GapReason

if TYPE_CHECKING:
    from bridge.model.tick import MqlTick
    from bridge.wire.messages import Resume, Subscribe

__all__ = ["Place", "Resumption", "Start", "StreamRefused"]

_PATH_MAX: Final = 1_000_000
_SEQ_MAX: Final = 2**63
_EPOCH_MAX: Final = 2**32 - 1

_TEXTS: Final = {
    GapReason.HISTORY_MISSING: "the terminal's history does not reach back to the last tick taken",
    GapReason.HISTORY_REVISED: "the terminal's history differs at the last tick taken",
}


class StreamRefused(Exception):
    """
    A stream cannot begin: ``code`` and ``text`` of the answer.
    """

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text


class Place(NamedTuple):
    """
    A cursor, the ticks from ``from_msc`` through it, which count as taken, the tick to begin
    with, if it is there already, and ticks before the cursor to be sent first, as late.
    """

    cursor: Cursor
    taken: list[MqlTick]
    from_msc: int
    first: MqlTick | None = None
    late: tuple[MqlTick, ...] = ()


class Start(NamedTuple):
    """
    How a stream begins: inside its log (``place`` is ``None``) or from a place in history.

    ``reason``, ``text`` and ``cursor`` (behind the last tick that is not sent) are a GAP's.
    """

    continuity: Continuity
    epoch: int
    first_seq: int
    place: Place | None = None
    reason: GapReason | None = None
    text: str = ""
    cursor: Cursor = Cursor(0, 0, 0)


class Resumption:
    """
    The decision for one SUBSCRIBE.

    ``known`` is the stream in memory, if there is one; ``time_current_msc`` is where a symbol
    without any tick begins.
    """

    def __init__(
        self,
        reader: TickReader,
        subscribe: Subscribe,
        known: TickStream | None,
        time_current_msc: int,
    ) -> None:
        self._reader = reader
        self._subscribe = subscribe
        self._symbol = subscribe.symbol
        self._known = known
        self._time_current_msc = time_current_msc

    def decide(self) -> Start:
        """
        Return where the stream begins; nothing is changed.

        Raises:
            StreamRefused: no epoch is left.
            TimeoutError: the history cannot be read now.
        """
        resume, known = self._subscribe.resume, self._known
        if resume is None:
            return self._fresh()
        if known is not None and known.epoch > resume.epoch:
            text = f"the terminal has gone on to epoch {known.epoch}"
            if not known.kept:
                return self._anew(GapReason.OTHER, text)
            log = known.log
            return Start(
                Continuity.GAP,
                known.epoch,
                log.first_seq,
                reason=GapReason.OTHER,
                text=text,
                cursor=log.before,
            )
        if known is not None and known.epoch == resume.epoch and resume.seq < known.next_seq:
            log = known.log
            if known.kept and resume.seq + 1 >= log.first_seq:
                first_seq = max(log.first_seq, min(resume.from_seq, resume.seq + 1))
                return Start(Continuity.RESUMED, known.epoch, first_seq)
            return self._again(known, resume)
        return self._adopt(resume)

    def _fresh(self) -> Start:
        known = self._known
        if known is not None and known.kept and not known.acknowledged and known.log.first_seq == 1:
            # The link was lost before the relay had the first record of an earlier beginning:
            # it cannot name what it waits for, and waits for it nevertheless.
            return Start(Continuity.FRESH, known.epoch, 1)
        return Start(Continuity.FRESH, self._new_epoch(), 1, self._latest())

    def _anew(self, reason: GapReason, text: str) -> Start:
        place = self._latest()
        return Start(Continuity.GAP, self._new_epoch(), 1, place, reason, text, place.cursor)

    def _again(self, known: TickStream, resume: Resume) -> Start:
        # The log does not reach back so far: read it all again.
        reason, taken = self._reader.find(self._symbol, resume.cursor)
        if reason is not None:
            return self._anew(reason, _TEXTS[reason])
        place = self._behind(resume.cursor, taken)
        in_order = not known.late and resume.seq >= known.disorder_seq
        if in_order and self._leads_to(known, resume):
            return Start(Continuity.RESUMED, known.epoch, resume.seq + 1, place)
        late = known.late_since(resume.seq, resume.cursor.time_msc)
        return Start(
            Continuity.GAP,
            self._new_epoch(),
            1,
            place._replace(late=tuple(late)),
            GapReason.ORDER_LOST,
            f"the order of the ticks behind {resume.seq} cannot be had again: "
            "all of them follow with new numbers",
            resume.cursor,
        )

    def _leads_to(self, known: TickStream, resume: Resume) -> bool:
        # As many ticks as were numbered since must end at the same place.
        numbered = known.next_seq - 1 - resume.seq
        if numbered > _PATH_MAX:
            return False
        return self._reader.walk(self._symbol, resume.cursor, numbered) == known.cursor

    def _adopt(self, resume: Resume) -> Start:
        if resume.seq >= _SEQ_MAX:
            return self._anew(GapReason.OTHER, f"sequence number {resume.seq} is out of range")
        newest = self._reader.must_read(self._symbol, 0, 1)
        if newest:
            age_s = (newest[-1].time_msc - resume.cursor.time_msc) / 1000
            limit_s = self._subscribe.resume_max_age_s
            if age_s > limit_s:
                return self._anew(
                    GapReason.TOO_OLD,
                    f"the last tick taken is {age_s:.0f} s older than the newest one, "
                    f"the limit is {limit_s} s",
                )
        reason, taken = self._reader.find(self._symbol, resume.cursor)
        if reason is not None:
            return self._anew(reason, _TEXTS[reason])
        place = self._behind(resume.cursor, taken)
        return Start(Continuity.RESUMED, resume.epoch, resume.seq + 1, place)

    def _behind(self, cursor: Cursor, taken: list[MqlTick]) -> Place:
        # What the history holds of the minute before counts as taken: whatever appears there
        # from now on is late.
        from_msc, last_msc = cursor.time_msc - MEMORY_MSC, cursor.time_msc - 1
        read = self._reader.read_range(self._symbol, from_msc, last_msc)
        if read is None:
            raise TimeoutError(f"the history of {self._symbol!r} is being loaded; ask again")
        if read[1] < last_msc:
            return Place(cursor, taken, cursor.time_msc)
        return Place(cursor, read[0] + taken, from_msc)

    def _latest(self) -> Place:
        newest = self._reader.must_read(self._symbol, 0, 1)
        if not newest:
            cursor = Cursor(self._time_current_msc, 0, 0)
            return Place(cursor, [], cursor.time_msc)
        time_msc = newest[-1].time_msc
        read = self._reader.read_range(self._symbol, time_msc, time_msc)
        if read is None or not read[0]:
            raise TimeoutError(f"the history of {self._symbol!r} changes while it is read")
        *taken, first = read[0]
        return Place(cursor_over(time_msc, taken), taken, time_msc, first)

    def _new_epoch(self) -> int:
        epoch = self._subscribe.fresh_epoch
        if self._known is not None:
            # Numbers of an epoch that was used must not be given again.
            epoch = max(epoch, self._known.epoch + 1)
        if epoch > _EPOCH_MAX:
            raise StreamRefused(ErrorCode.INVALID, f"no epoch is left behind {_EPOCH_MAX}")
        return epoch
