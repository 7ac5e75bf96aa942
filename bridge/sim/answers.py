"""Answers to what the relay reads: REQUEST and REFILL become PAGEs, one at a time.

A page is made when there is room for it on the wire, so an answer of any length holds no more
memory than its source. Every request ends with one page that says ``last``: the rest of the
answer, or an error.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import msgpack

from bridge.model.enums import MqlError
from bridge.model.record import Cursor
from bridge.sim.collector import refuse
from bridge.sim.trading_reads import TRADE_READS, ReadProblem
from bridge.wire.fields import clip
from bridge.wire.messages import Message, Page, Refill, Request, Stream, Subscribe
from bridge.wire.spec import PAGE_PAYLOAD_MAX, Capability, ErrorCode, PageKind

if TYPE_CHECKING:
    from bridge.model.tick import MqlTick
    from bridge.sim.market import Market
    from bridge.sim.tickreader import TickReader
    from bridge.sim.trading_reads import TradeReads

__all__ = ["Answers", "pack_mql_tick", "refusal_of"]

_OPEN_MAX: Final = 64
_LIMIT_MAX: Final = 1_000
_GROUP_MAX: Final = 255
_REFILL_MAX: Final = 1_000_000
_END_OF_TIME: Final = 2**63 - 1

#: MqlTick, packed: time, bid, ask, last, volume, time_msc, flags, volume_real
_MQL_TICK: Final = struct.Struct("<qdddQqId")
_REFILL_TICKS: Final = PAGE_PAYLOAD_MAX // _MQL_TICK.size
_VOLUME_MAX: Final = 2**64 - 1


def pack_mql_tick(tick: MqlTick) -> bytes:
    """
    Return the 60 bytes that MQL5 and the official Python package have of a tick.
    """
    volume = min(max(int(tick.volume_real), 0), _VOLUME_MAX)
    return _MQL_TICK.pack(
        tick.time_msc // 1000,
        tick.bid,
        tick.ask,
        tick.last,
        volume,
        tick.time_msc,
        tick.flags,
        tick.volume_real,
    )


class _Part(NamedTuple):
    kind: PageKind
    payload: bytes
    last: bool


class _Work(Protocol):
    # The rest of one answer.

    #: a symbol whose history has to be read for the next part
    symbol: str | None

    def part(self) -> _Part: ...


class _Value:
    # An answer that is there already.

    symbol: str | None = None

    def __init__(self, value: dict[str, Any]) -> None:
        packed: bytes = msgpack.packb(value)
        self._rest = memoryview(packed)

    def part(self) -> _Part:
        payload, self._rest = self._rest[:PAGE_PAYLOAD_MAX], self._rest[PAGE_PAYLOAD_MAX:]
        return _Part(PageKind.MSGPACK, bytes(payload), not self._rest)


class _Ticks:
    # Ticks of the history behind a cursor, read page by page.

    symbol: str | None

    def __init__(self, reader: TickReader, refill: Refill) -> None:
        self.symbol = refill.symbol
        self._reader = reader
        self._name = refill.symbol
        self._until_msc = refill.until_msc if refill.until_msc > 0 else _END_OF_TIME
        self._left = min(refill.max_ticks, _REFILL_MAX)
        self._after = refill.after
        self._found = refill.after == Cursor(0, 0, 0)
        self._at_msc = max(1, refill.after.time_msc)
        self._seen = refill.after.ticks

    def part(self) -> _Part:
        if not self._found:
            try:
                reason, _ = self._reader.find(self._name, self._after)
            except TimeoutError as error:
                raise ReadProblem(ErrorCode.NOT_SYNCHRONISED, str(error)) from None
            if reason is not None:
                raise ReadProblem(
                    ErrorCode.NOT_FOUND, f"the history does not have the cursor: {reason.name}"
                )
            self._found = True
        wanted = min(self._left, _REFILL_TICKS)
        if not wanted:
            return _Part(PageKind.MQL_TICK, b"", True)
        ticks = self._reader.read(self._name, self._at_msc, self._seen + wanted)
        if ticks is None:
            raise ReadProblem(
                ErrorCode.NOT_SYNCHRONISED,
                f"the terminal is still loading the ticks of {self._name!r}; ask again",
            )
        full = len(ticks) >= self._seen + wanted
        new = ticks[self._seen :]
        if new:
            newest_msc = new[-1].time_msc
            # All of ``ticks`` begin at _at_msc, so those of the newest millisecond are all there.
            self._seen = sum(1 for tick in ticks if tick.time_msc == newest_msc)
            self._at_msc = newest_msc
        self._left -= len(new)
        taken = [tick for tick in new if tick.time_msc <= self._until_msc]
        last = not full or self._left <= 0 or len(taken) < len(new)
        return _Part(PageKind.MQL_TICK, b"".join(map(pack_mql_tick, taken)), last)


class _Open:
    __slots__ = ("deadline_us", "pages", "request_id", "work")

    def __init__(self, request_id: int, deadline_us: int, work: _Work) -> None:
        self.request_id = request_id
        self.deadline_us = deadline_us
        self.work = work
        self.pages = 0

    def part(self, now_us: int) -> _Part:
        if now_us > self.deadline_us:
            text = "the request's deadline passed at the terminal"
            raise ReadProblem(ErrorCode.DEADLINE_PASSED, text)
        return self.work.part()


class Answers:
    """
    The open requests of a session, answered in turn.

    ``deadline_us`` of every method is on this terminal's clock.
    """

    def __init__(self, market: Market, reader: TickReader, reads: TradeReads | None = None) -> None:
        self._market = market
        self._reader = reader
        self._trade_reads = reads
        self._open: deque[_Open] = deque()
        self._refused: deque[Page] = deque()

    def __bool__(self) -> bool:
        return bool(self._open or self._refused)

    def request(self, request: Request, deadline_us: int, utc_offset_min: int) -> None:
        """
        Take a REQUEST.
        """
        self.cancel(request.request_id)
        try:
            self._check_room()
            value = self._value(request.method, request.params, utc_offset_min)
        except ReadProblem as problem:
            self._refuse(request.request_id, 0, problem)
            return
        self._open.append(_Open(request.request_id, deadline_us, _Value(value)))

    def refill(self, refill: Refill, deadline_us: int) -> None:
        """
        Take a REFILL: ticks behind ``after`` up to ``until_msc`` (0: to the end).
        """
        self.cancel(refill.request_id)
        try:
            self._check_room()
            self._check_symbol(refill.symbol)
        except ReadProblem as problem:
            self._refuse(refill.request_id, 0, problem)
            return
        self._reader.select(refill.symbol)
        self._open.append(_Open(refill.request_id, deadline_us, _Ticks(self._reader, refill)))

    def cancel(self, request_id: int) -> None:
        """
        Make no more pages of this request.
        """
        self._open = deque(job for job in self._open if job.request_id != request_id)

    def clear(self) -> None:
        """
        The session is over.
        """
        self._open.clear()
        self._refused.clear()

    def wants_blocking(self) -> bool:
        """
        Tell whether making the next page may block: send BUSY first.
        """
        if self._refused or not self._open:
            return False
        symbol = self._open[0].work.symbol
        return symbol is not None and self._reader.may_block(symbol)

    def next_page(self, now_us: int) -> Page | None:
        """
        Make the next page, ``None`` when nothing is asked.
        """
        if self._refused:
            return self._refused.popleft()
        if not self._open:
            return None
        job = self._open.popleft()
        try:
            part = job.part(now_us)
        except ReadProblem as problem:
            self._refuse(job.request_id, job.pages, problem)
            return self._refused.popleft()
        page = Page(
            job.request_id,
            job.pages,
            part.last,
            int(ErrorCode.OK),
            "",
            int(part.kind),
            part.payload,
        )
        job.pages += 1
        if not part.last:
            # Others get their turn.
            self._open.append(job)
        return page

    # --- inside ------------------------------------------------------------------------

    def _refuse(self, request_id: int, page: int, problem: ReadProblem) -> None:
        self._refused.append(_refused(request_id, page, problem))

    def _check_room(self) -> None:
        if len(self._open) >= _OPEN_MAX:
            raise ReadProblem(ErrorCode.TOO_MANY, f"{_OPEN_MAX} requests are open")

    def _check_symbol(self, symbol: object) -> str:
        if not isinstance(symbol, str) or symbol not in self._market.specs:
            raise ReadProblem(
                ErrorCode.UNKNOWN_SYMBOL, f"the terminal has no symbol {symbol!r}"[:200]
            )
        return symbol

    def _value(self, method: str, params: dict[str, Any], utc_offset_min: int) -> dict[str, Any]:
        match method:
            case "symbols":
                return self._symbols(params)
            case "symbol":
                return {"symbol": self._market.describe(self._check_symbol(params.get("symbol")))}
            case "tick":
                return self._tick(self._check_symbol(params.get("symbol")), utc_offset_min)
        if self._trade_reads is not None and method in TRADE_READS:
            return self._trade_reads.answer(method, params)
        raise ReadProblem(ErrorCode.UNSUPPORTED, f"this terminal does not know {method!r}")

    def _symbols(self, params: dict[str, Any]) -> dict[str, Any]:
        group = params.get("group", "*")
        if not isinstance(group, str) or len(group) > _GROUP_MAX:
            raise ReadProblem(ErrorCode.INVALID, f"group: expected text of at most {_GROUP_MAX}")
        offset = _whole_number(params, "offset", 0, 0, 2**31)
        limit = _whole_number(params, "limit", 500, 1, _LIMIT_MAX)
        names = self._market.names(group)
        end = offset + limit
        return {
            "symbols": [self._market.describe(name, in_list=True) for name in names[offset:end]],
            "total": len(names),
            "next_offset": end if end < len(names) else None,
        }

    def _tick(self, symbol: str, utc_offset_min: int) -> dict[str, Any]:
        self._reader.select(symbol)
        tick, error = self._market.tick(symbol)
        if tick is None:
            if error == MqlError.MARKET_LASTTIME_UNKNOWN:
                raise ReadProblem(ErrorCode.NOT_FOUND, f"{symbol} has no tick yet")
            raise ReadProblem(ErrorCode.TERMINAL_ERROR, f"SymbolInfoTick failed with {error}")
        return {"tick": tick._asdict() | {"utc_offset_min": utc_offset_min}}


def refusal_of(message: Message, capabilities: int) -> Stream | Page | None:
    """
    Return the answer to a message whose capability the session does not have.

    ``None``: it has it, or the message is not answered.
    """
    text = "this session was logged on without it"
    match message:
        case Subscribe() if not capabilities & Capability.TICKS:
            return refuse(message, ErrorCode.UNSUPPORTED, text)
        case Request() if not capabilities & Capability.READS:
            return _refused(message.request_id, 0, ReadProblem(ErrorCode.UNSUPPORTED, text))
        case Refill() if not capabilities & Capability.REFILL:
            return _refused(message.request_id, 0, ReadProblem(ErrorCode.UNSUPPORTED, text))
    return None


def _refused(request_id: int, page: int, problem: ReadProblem) -> Page:
    code, text = int(problem.code), clip(problem.text)
    return Page(request_id, page, True, code, text, int(PageKind.MSGPACK), b"")


def _whole_number(params: dict[str, Any], name: str, default: int, low: int, high: int) -> int:
    value = params.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ReadProblem(
            ErrorCode.INVALID, f"{name}: expected a whole number from {low} to {high}"
        )
    return value
