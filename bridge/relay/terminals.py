"""A terminal: what the relay knows of it, its streams, and what was asked of it."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Final, Protocol

from bridge.bus.bodies import StatusEvent
from bridge.bus.requests import ErrorName, Hop
from bridge.config import Key, Settings, TerminalSettings
from bridge.exceptions import RemoteProtocolError
from bridge.logs import get_logger
from bridge.relay.asks import Answer, Ask, Asks, error_name
from bridge.relay.clock import Clock
from bridge.relay.publisher import Publisher
from bridge.relay.rings import RingBudget
from bridge.relay.streams import SavedStream, Stream, StreamError, StreamState
from bridge.relay.trading import TerminalTrading
from bridge.wire.fields import FieldError
from bridge.wire.messages import (
    Busy,
    Event,
    EventCursor,
    Gap,
    Heartbeat,
    Hello,
    Message,
    Page,
    Request,
    Result,
    Subscribe,
    TerminalState,
    Unsubscribe,
)
from bridge.wire.messages import Stream as StreamMessage
from bridge.wire.protocol import Run, Ticks
from bridge.wire.spec import (
    FRAME_OVERHEAD,
    BusyKind,
    Capability,
    Continuity,
    GapReason,
    LogoutCode,
    Permission,
    Role,
    StreamKind,
    TradingState,
)

__all__ = ["SessionLink", "Terminal"]

log = get_logger(__name__)

#: a symbol that was refused is asked for again by a snapshot no sooner than this
_RETRY_FAILED_US: Final = 2_000_000
#: a stream begins with the latest tick; where none comes by then, the symbol has none
_FIRST_RECORD_US: Final = 300_000
#: the tick record and its run header: what a run costs on the link
_RUN_HEADER: Final = 40


def _name(kind: type[enum.Enum], value: int) -> str:
    # A newer terminal may use a member that this version does not know.
    try:
        return kind(value).name
    except ValueError:
        return str(value)


class SessionLink(Protocol):
    """
    A terminal's connection, as far as the terminal has to know it.
    """

    @property
    def hello(self) -> Hello | None:
        """
        What the terminal said of itself.
        """

    @property
    def capabilities(self) -> int:
        """
        What both sides can do.
        """

    @property
    def rtt_us(self) -> int | None:
        """
        Round trip of the last heartbeat.
        """

    @property
    def last_received_us(self) -> int:
        """
        When the last frame came.
        """

    @property
    def busy_until_us(self) -> int:
        """
        Until when the terminal said that it may block; 0 when it does not.
        """

    def send(self, message: Message) -> None:
        """
        Send in the command lane.
        """

    def taken(self, seq: int, size: int, now_us: int) -> None:
        """
        Acknowledge a TICKS frame.
        """

    def accept(
        self,
        alias: str,
        now_us: int,
        trading_state: TradingState = TradingState.ACTIVE,
        event_cursor: EventCursor | None = None,
    ) -> None:
        """
        Open the session.
        """

    def close(self, code: int, text: str, retry_after_ms: int = 0) -> None:
        """
        Log out and close.
        """

    def test(self, now_us: int) -> None:
        """
        Send a test request.
        """


class Terminal:
    """
    One configured terminal: its session, its streams, what was asked of it.
    """

    def __init__(
        self,
        alias: str,
        key: Key,
        pins: TerminalSettings,
        settings: Settings,
        publisher: Publisher,
        budget: RingBudget,
        mint_epoch: Callable[[], int],
        checkpoint_now: Callable[[], None],
        clock: Clock,
    ) -> None:
        self.alias = alias
        self.key = key
        self.pins = pins
        self.streams: dict[str, Stream] = {}
        self.asks = Asks(settings.limits.pending_requests_per_terminal)
        self.link: SessionLink | None = None
        self.hello: Hello | None = None
        self.state: TerminalState | None = None
        self.busy_kind = int(BusyKind.READY)
        self.since_utc_msc = 0
        self.sessions = 0
        self.gaps = 0
        #: set by who puts the relay together
        self.trading: TerminalTrading | None = None
        self._settings = settings
        self._publisher = publisher
        self._budget = budget
        self._mint_epoch = mint_epoch
        self._checkpoint_now = checkpoint_now
        self._clock = clock
        self._by_id: dict[int, Stream] = {}
        self._requested: dict[int, Stream] = {}
        publisher.add_alias(alias)

    # --- the link ------------------------------------------------------------------

    def link_up(self, link: SessionLink, now_us: int) -> None:
        """
        A proved and admitted session is the terminal's from now on.
        """
        hello = link.hello
        if hello is None:  # a session is admitted only after HELLO
            return
        self.link = link
        self.hello = hello
        self.state = None
        self.sessions += 1
        self.since_utc_msc = self._clock.utc_msc()
        if self.trading is None:
            link.accept(self.alias, now_us)
        else:
            link.accept(self.alias, now_us, *self.trading.welcome(hello))
        log.info(
            "terminal connected",
            terminal=self.alias,
            login=hello.login,
            server=hello.server,
            demo=hello.trade_mode == 0,
            program=hello.program,
            build=hello.build,
        )
        self._status(StatusEvent.LINK_UP, {"login": hello.login, "server": hello.server})
        if self.trading is not None:
            # What is open is asked for before anything else.
            self.trading.link_up(link, hello)
        for stream in self.streams.values():
            self._request(stream)

    def link_down(self, link: SessionLink, code: int, reason: str) -> None:
        """
        The session ended; streams wait, asks end.
        """
        if self.link is not link:
            return
        self.link = None
        self.busy_kind = int(BusyKind.READY)
        self.since_utc_msc = self._clock.utc_msc()
        self._by_id.clear()
        self._requested.clear()
        for stream in self.streams.values():
            stream.suspend()
        if self.trading is not None:
            self.trading.link_down()
        self.asks.abandon(f"the link to the terminal was lost: {reason}")
        log.warning("terminal disconnected", terminal=self.alias, code=code, reason=reason)
        self._status(StatusEvent.LINK_DOWN, {"code": code, "reason": reason})

    # --- streams ---------------------------------------------------------------------

    def restore(self, saved: SavedStream, now_us: int) -> None:
        """
        Take a stream over from an earlier relay; it lingers until a subscriber is back.
        """
        stream = self._new_stream(saved.symbol)
        stream.restore(saved)
        stream.last_subscriber_left_us = now_us

    def subscribe(self, symbol: str) -> None:
        """
        The first subscriber of this symbol's topic is here.
        """
        stream = self.streams.get(symbol)
        if stream is None:
            if self.is_full():
                log.warning("too many streams", terminal=self.alias, symbol=symbol)
                return
            stream = self._new_stream(symbol)
        stream.subscribed = True
        if stream.state in (StreamState.WAITING, StreamState.FAILED):
            self._request(stream)

    def is_full(self) -> bool:
        """
        Tell whether no further symbol would be streamed.
        """
        return len(self.streams) >= self._settings.ticks.max_streams_per_terminal

    def unsubscribe(self, symbol: str, now_us: int) -> None:
        """
        The last subscriber left; the stream lingers.
        """
        stream = self.streams.get(symbol)
        if stream is not None:
            stream.subscribed = False
            stream.last_subscriber_left_us = now_us

    def retry_failed(self, stream: Stream, now_us: int) -> None:
        """
        Ask again for a stream that the terminal refused some time ago.
        """
        if stream.state is StreamState.FAILED and now_us - stream.failed_at_us > _RETRY_FAILED_US:
            self._request(stream)

    def end_unused(self, now_us: int) -> None:
        """
        Stop the streams that nobody has listened to for the time of the settings.
        """
        linger_us = int(self._settings.ticks.linger_after_last_subscriber_s * 1e6)
        for stream in list(self.streams.values()):
            if stream.subscribed or now_us - stream.last_subscriber_left_us < linger_us:
                continue
            if stream.symbol_id is not None:
                self._by_id.pop(stream.symbol_id, None)
                if self.link is not None:
                    self.link.send(Unsubscribe(stream.symbol_id))
            self._requested.pop(stream.request_id, None)
            stream.ring.close()
            del self.streams[stream.symbol]
            log.info("stream stopped", terminal=self.alias, symbol=stream.symbol)
            self._status(
                StatusEvent.STREAM_STOPPED,
                {"symbol": stream.symbol, "epoch": stream.epoch, "seq": stream.newest},
            )

    def receive_ticks(self, ticks: Ticks, now_us: int) -> None:
        """
        Publish a TICKS frame. Hot path: one call a frame.

        Raises:
            RemoteProtocolError: records that are malformed or not where they belong.
        """
        size = FRAME_OVERHEAD
        for run in ticks.runs:
            size += len(run.records) + _RUN_HEADER
            stream = self._by_id.get(run.symbol_id)
            if stream is None:
                # Sent before our UNSUBSCRIBE arrived: nobody listens any more.
                continue
            if stream.noted and stream.is_next(run):
                # Published first, remembered then: subscribers need not wait for it.
                self._publisher.publish_run(stream, run.first_seq, run.length, run.records)
                stream.keep(run)
            else:
                self._take(stream, run)
        if self.link is not None:
            self.link.taken(ticks.seq, size, now_us)

    def _take(self, stream: Stream, run: Run) -> None:
        taken = stream.take(run)
        if taken.skipped:
            self._skipped(stream, taken.first, taken.skipped)
        if taken.length:
            self._publisher.publish_run(stream, taken.first, taken.length, taken.records)
        if taken.late or not stream.noted:
            # A re-read after a restart would number late ticks in time order: the
            # cursor behind them must be on disk before both sides can forget. And a
            # stream that no checkpoint knows yet cannot be resumed at all.
            stream.noted = True
            self._checkpoint_now()

    # --- messages --------------------------------------------------------------------

    def receive(self, message: Message, now_us: int) -> None:
        """
        Take a message of the session.

        Raises:
            RemoteProtocolError: its content breaks the protocol.
        """
        match message:
            case Heartbeat():
                self._receive_state(message.state)
                self._stir()
            case Page():
                self.asks.receive(message)
            case StreamMessage():
                self._receive_stream(message, now_us)
            case Gap():
                self._receive_gap(message)
            case Busy():
                self._receive_busy(message)
                self._stir()
            case Result() | Event() if self.trading is not None:
                self.trading.receive(message)
            case _:
                log.warning("not used yet", terminal=self.alias, message=message.TYPE.name)

    def ask(
        self, method: str, params: dict[str, Any], done: Callable[[Answer], None], deadline_us: int
    ) -> None:
        """
        Pass a read on to the terminal; ``done`` is called once.
        """
        if self.link is None:
            done(self.away())
            return
        if self.asks.is_full():
            done(
                Answer(
                    code=ErrorName.TOO_MANY_REQUESTS,
                    hop=Hop.RELAY,
                    message=f"{len(self.asks)} requests wait for this terminal",
                    hint="wait for replies before asking more",
                )
            )
            return
        if not self.link.capabilities & Capability.READS:
            done(Answer(code=ErrorName.UNSUPPORTED, message="this terminal answers no reads"))
            return
        request_id = self.asks.next_id()
        self.asks.add(request_id, Ask(done, deadline_us))
        try:
            self.link.send(Request(request_id, method, params, deadline_us))
        except FieldError as error:
            field, _, problem = str(error).partition(": ")
            self.asks.refuse(
                request_id,
                Answer(
                    code=ErrorName.INVALID_REQUEST, hop=Hop.CLIENT, message=problem, field=field
                ),
            )

    def away(self) -> Answer:
        """
        Return the error of a terminal that is not connected.
        """
        return Answer(
            code=ErrorName.TERMINAL_UNAVAILABLE,
            message=f"the terminal {self.alias!r} is not connected to the relay",
            hint="start MetaTrader with the EA attached (or 'bridge sim'); "
            "the relay's log tells why the last session ended",
        )

    # --- inside ----------------------------------------------------------------------

    def _new_stream(self, symbol: str) -> Stream:
        ticks = self._settings.ticks
        stream = Stream(
            self.alias,
            symbol,
            ticks.ring_bytes_per_topic,
            self._budget,
            ticks.resume_overlap_ticks,
        )
        self.streams[symbol] = stream
        return stream

    def _request(self, stream: Stream) -> None:
        link, hello = self.link, self.hello
        if link is None or hello is None:
            stream.suspend()
            return
        if not (hello.role & Role.MARKET and link.capabilities & Capability.TICKS):
            problem = "this terminal's session has no market data"
            stream.fail(StreamError(ErrorName.UNSUPPORTED, Hop.TERMINAL, problem, ""), 0)
            return
        request_id = self.asks.next_id()
        self._requested.pop(stream.request_id, None)
        self._requested[request_id] = stream
        stream.request_id = request_id
        stream.state = StreamState.REQUESTED
        subscribe = Subscribe(
            request_id,
            int(StreamKind.TICK),
            stream.symbol,
            0,
            self._mint_epoch(),
            self._settings.ticks.resume_max_age_s,
            stream.resume(hello.server),
        )
        try:
            link.send(subscribe)
        except FieldError as error:
            # A topic may be longer than any symbol; the session must not end by it.
            self._requested.pop(request_id, None)
            problem = f"no terminal can have this symbol: {error}"
            stream.fail(StreamError(ErrorName.UNKNOWN_SYMBOL, Hop.RELAY, problem, ""), 0)

    def _receive_stream(self, message: StreamMessage, now_us: int) -> None:
        if not message.request_id:
            self._stream_changed(message, now_us)
            return
        stream = self._requested.pop(message.request_id, None)
        if stream is None or self.hello is None:
            if not message.code and self.link is not None:
                # The stream ended before this answer to its SUBSCRIBE came.
                self.link.send(Unsubscribe(message.symbol_id))
            return
        if message.code:
            self._refused(stream, message, now_us)
            return
        if self._by_id.get(message.symbol_id, stream) is not stream:
            raise RemoteProtocolError(
                LogoutCode.BAD_MESSAGE,
                f"STREAM: symbol id {message.symbol_id} belongs to "
                f"{self._by_id[message.symbol_id].symbol!r} already",
            )
        self._by_id[message.symbol_id] = stream
        self._started(stream, message, self.hello.server, now_us)

    def _refused(self, stream: Stream, message: StreamMessage, now_us: int) -> None:
        code = error_name(message.code)
        stream.fail(StreamError(code, Hop.TERMINAL, message.text, ""), now_us)
        log.warning(
            "stream refused", terminal=self.alias, symbol=stream.symbol, reason=message.text
        )
        self._status(
            StatusEvent.STREAM_FAILED,
            {"symbol": stream.symbol, "code": code, "reason": message.text},
        )

    def _started(self, stream: Stream, message: StreamMessage, server: str, now_us: int) -> None:
        stream.first_record_by_us = now_us + _FIRST_RECORD_US
        stream.begin(message.symbol_id, message.epoch, message.first_seq, server, message.digits)
        log.info(
            "stream started",
            terminal=self.alias,
            symbol=stream.symbol,
            epoch=message.epoch,
            first_seq=message.first_seq,
            continuity=_name(Continuity, message.continuity).lower(),
        )
        self._status(
            StatusEvent.STREAM_STARTED,
            {"symbol": stream.symbol, "epoch": message.epoch, "first_seq": message.first_seq},
        )

    def _stream_changed(self, message: StreamMessage, now_us: int) -> None:
        # Unasked (request 0): a stream that runs ended, or goes on in a new epoch.
        stream = self._by_id.get(message.symbol_id)
        if stream is None or self.hello is None:
            return
        if message.code:
            del self._by_id[message.symbol_id]
            self._refused(stream, message, now_us)
        else:
            self._started(stream, message, self.hello.server, now_us)

    def _receive_gap(self, gap: Gap) -> None:
        self.gaps += 1
        stream = self._by_id.get(gap.symbol_id)
        symbol = "" if stream is None else stream.symbol
        reason = _name(GapReason, gap.reason)
        log.warning("gap", terminal=self.alias, symbol=symbol, reason=reason, text=gap.text)
        self._status(
            StatusEvent.GAP,
            {
                "symbol": symbol,
                "reason": reason,
                "text": gap.text,
                "old_epoch": gap.old_epoch,
                "old_seq": gap.old_seq,
                "old_time_msc": gap.old_cursor.time_msc,
                "epoch": gap.epoch,
                "first_seq": gap.first_seq,
                "time_msc": gap.cursor.time_msc,
            },
        )

    def _skipped(self, stream: Stream, first: int, skipped: int) -> None:
        self.gaps += 1
        log.error(
            "records missing from the terminal",
            terminal=self.alias,
            symbol=stream.symbol,
            before=first,
            missing=skipped,
        )
        self._status(
            StatusEvent.GAP,
            {
                "symbol": stream.symbol,
                "reason": "SKIPPED",
                "text": f"the terminal skipped {skipped} records before {first}",
                "epoch": stream.epoch,
                "first_seq": first,
            },
        )

    def _receive_state(self, state: TerminalState | None) -> None:
        if state is None:
            return
        before, self.state = self.state, state
        if before is None or before.permissions != state.permissions:
            permissions = self.permissions()
            log.info("permissions", terminal=self.alias, **permissions)
            self._status(StatusEvent.PERMISSIONS, permissions)
        if before is None or before.utc_offset_min != state.utc_offset_min:
            self._status(StatusEvent.UTC_OFFSET, {"utc_offset_min": state.utc_offset_min})

    def _stir(self) -> None:
        # An order may have waited for this.
        if self.trading is not None:
            self.trading.stir()

    def _receive_busy(self, busy: Busy) -> None:
        if busy.kind == self.busy_kind:
            return
        self.busy_kind = busy.kind
        if busy.kind:
            kind = _name(BusyKind, busy.kind)
            self._status(StatusEvent.BUSY, {"kind": kind, "limit_ms": busy.limit_ms})
        else:
            self._status(StatusEvent.READY, {})

    def permissions(self) -> dict[str, bool]:
        """
        Return the permission flags by name, as of the last heartbeat.
        """
        bits = 0 if self.state is None else self.state.permissions
        return {str(flag.name).lower(): bool(bits & flag) for flag in Permission}

    def describe(self) -> dict[str, Any]:
        """
        Return the entry of the reply to ``terminals``.
        """
        hello, state = self.hello, self.state
        link = self.link
        return {
            "alias": self.alias,
            "state": "away" if link is None else "connected",
            "login": hello.login if hello else 0,
            "server": hello.server if hello else "",
            "company": hello.company if hello else "",
            "currency": hello.currency if hello else "",
            "leverage": hello.leverage if hello else 0,
            "trade_mode": hello.trade_mode if hello else 0,
            "margin_mode": hello.margin_mode if hello else 0,
            "build": hello.build if hello else 0,
            "program": hello.program if hello else "",
            "role": _name(Role, hello.role).lower() if hello else "",
            "since_utc_msc": self.since_utc_msc,
            "sessions": self.sessions,
            "permissions": self.permissions(),
            "server_time_msc": state.server_time_msc if state else 0,
            "utc_offset_min": state.utc_offset_min if state else 0,
            "ping_last_us": state.ping_last_us if state else 0,
            "rtt_us": link.rtt_us if link else None,
            "loop_interval_us": state.loop_interval_us if state else 0,
            "lag_us": state.lag_us if state else 0,
            "busy": bool(self.busy_kind),
            "streams": len(self._by_id),
            "gaps": self.gaps,
        }

    def _status(self, event: StatusEvent, details: dict[str, Any]) -> None:
        self._publisher.publish_status(self.alias, self._clock.utc_msc(), event, details)
