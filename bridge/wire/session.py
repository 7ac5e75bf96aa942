"""What both sides of a session share: bytes in, events out. The sides are in ``protocol``.

Theory of operation. A session is driven by four methods and a clock that the caller
reads: ``receive_data``, ``receive_eof``, ``data_to_send``, ``events_received``, and
``handle_timer`` when ``next_deadline`` has come. Times are microseconds of the caller's
own monotonic clock. After every one of these calls the caller **must** take
``events_received()`` and ``data_to_send()``; when ``closed`` is true it flushes what
``data_to_send`` still gave and closes the connection.

Rule 1: nothing raises out of ``receive_data``. A peer that breaks the protocol gets a
LOGOUT with the reason, and the caller a ``Closed`` event with the same. A session may have
ended behind the event that is being handled: look at ``closed`` before answering it.
Rule 2: sequence number and tag are given to a frame when it becomes the next on the
wire, so that commands overtake market data in the queue without breaking the sequence.
Rule 3: the bytes of ``Ticks`` events are copies; nothing refers to the receive buffer.
Rule 4: three lanes, in this order: commands (everything but the following), TICKS, PAGE.
The last two together are bounded by the window, because bytes in the kernel cannot be
overtaken.
"""

from __future__ import annotations

from typing import Final

from bridge.exceptions import LocalProtocolError, RemoteProtocolError
from bridge.wire import auth
from bridge.wire.clock import ClockOffset
from bridge.wire.events import (
    Closed,
    SessionEvent,
    Ticks,
)
from bridge.wire.fields import clip, printable
from bridge.wire.frame import NO_TAG, FrameBuffer, pack_header, read_header, read_runs
from bridge.wire.lanes import SendLanes
from bridge.wire.messages import (
    MESSAGES,
    Ack,
    Busy,
    Heartbeat,
    Logout,
    Message,
    TerminalState,
    TestRequest,
    pack_message,
    unpack_message,
)
from bridge.wire.spec import (
    ACK_EVERY_BYTES,
    ACK_EVERY_MS,
    BUSY_LIMIT_MS,
    COMMAND_QUEUE_MAX,
    CRITICAL_TYPE_MAX,
    FRAME_MAX,
    FRAME_OVERHEAD,
    HEADER_SIZE,
    LOGON_FRAME_MAX,
    TAG_SIZE,
    BusyKind,
    FrameType,
    LogoutCode,
)
from bridge.wire.states import State

__all__ = ["NEVER_US", "Session"]

_UNTAGGED: Final = frozenset({FrameType.HELLO, FrameType.CHALLENGE, FrameType.PROOF})
#: our own loop was away so long that the peer's frames may simply wait in the socket
_OWN_STALL_US: Final = 1_000_000
#: a deadline that does not come
NEVER_US: Final = 2**63 - 1


class Session:
    """
    What both sides share: frames, sequence, tags, liveness, clock offset, send lanes.
    """

    _receives: dict[State, frozenset[FrameType]]
    _sends: frozenset[FrameType]

    def __init__(
        self,
        state: State,
        now_us: int,
        *,
        heartbeat_interval_ms: int = 1000,
        silence_limit_ms: int = 4000,
        logon_deadline_ms: int = 5000,
    ) -> None:
        self._enter(state)
        #: the peer's clock as seen here: least (receive time - stamp) of the last minutes
        self.clock_offset_us: int | None = None
        #: round trip by the last echoed heartbeat
        self.rtt_us: int | None = None
        #: until when the peer said it may block; 0 when it is not busy
        self.busy_until_us = 0
        self.busy_kind = int(BusyKind.READY)
        #: terminal side: what the next heartbeats report; the caller keeps it fresh
        self.terminal_state: TerminalState | None = None
        self.last_received_us = now_us
        self._heartbeat_us = heartbeat_interval_ms * 1000
        self._silence_us = silence_limit_ms * 1000
        self._logon_deadline_us = now_us + logon_deadline_ms * 1000
        self._next_heartbeat_us = now_us
        self._last_timer_us = now_us
        self._test_sent_us = -1
        self._excused_us = now_us
        self._test_id = 0
        self._peer_time_us = 0
        self._peer_time_at_us = 0
        self._buffer = FrameBuffer(LOGON_FRAME_MAX)
        self._events: list[SessionEvent] = []
        self._lanes = SendLanes()
        self._clock = ClockOffset(now_us)
        self._send_seq = 0
        self._receive_seq = 0
        self._send_tagger: auth.Tagger | None = None
        self._receive_tagger: auth.Tagger | None = None
        self._ack_seq = 0
        self._ack_bytes = 0
        self._ack_due_us = 0

    # --- what the caller drives -------------------------------------------------

    @property
    def closed(self) -> bool:
        return self.state is State.CLOSED

    def receive_data(self, data: bytes | bytearray | memoryview, now_us: int) -> None:
        """
        Take bytes from the connection, in any portions.
        """
        if self.state is State.CLOSED:
            return
        try:
            for frame in self._buffer.feed(data):
                self._receive_frame(frame, now_us)
                if self.closed:
                    return
        except RemoteProtocolError as error:
            self._fail(error.code, error.reason, by_peer=True)

    def receive_eof(self) -> None:
        """
        The connection ended, or cannot be used any more.
        """
        if self.state is not State.CLOSED:
            self._lanes.drop_all()
            self._close(LogoutCode.NORMAL, "the connection ended without a logout", by_peer=True)

    def events_received(self) -> list[SessionEvent]:
        """
        Return what happened since the last call, in order.
        """
        events, self._events = self._events, []
        return events

    def data_to_send(self, limit: int = FRAME_MAX) -> bytes:
        """
        Return the next bytes to send: whole frames, commands before ticks before pages.

        Stops at the first frame that goes past ``limit``, so call it only when the
        connection can take more: bytes handed out cannot be overtaken any more.
        """
        out = bytearray()
        while len(out) < limit and (frame := self._lanes.pop(self._send_seq + 1)) is not None:
            out += self._frame(*frame)
        return bytes(out)

    @property
    def wants_to_send(self) -> bool:
        """
        Whether ``data_to_send`` would return anything.
        """
        return self._lanes.is_ready()

    def next_deadline(self) -> int:
        """
        Return when ``handle_timer`` wants to be called next, in microseconds;
        ``NEVER_US`` when the session is closed.
        """
        if self.state is State.CLOSED:
            return NEVER_US
        if self.state is not State.ACTIVE:
            return self._logon_deadline_us
        silence_us = self._silence_us // 2 if self._test_is_due() else self._silence_us
        deadline = min(self._next_heartbeat_us, self._silent_since() + silence_us)
        if self._ack_due_us:
            deadline = min(deadline, self._ack_due_us)
        return deadline

    def handle_timer(self, now_us: int) -> None:
        """
        Do what is due: heartbeat, acknowledgement, test request, or ending a dead session.
        """
        stalled = now_us - self._last_timer_us > self._heartbeat_us + _OWN_STALL_US
        self._last_timer_us = now_us
        if self.state is State.CLOSED:
            return
        if self.state is not State.ACTIVE:
            if now_us >= self._logon_deadline_us:
                self._fail(
                    LogoutCode.LOGON_TIMEOUT,
                    f"no complete logon in time (state: {self.state.value})",
                    by_peer=False,
                )
            return
        if stalled:
            # A stall of our own is not the peer's silence: let it be heard first.
            self._excused_us = now_us - self._silence_us // 2
        if now_us >= self._next_heartbeat_us:
            late = now_us - self._next_heartbeat_us
            self._next_heartbeat_us = now_us + self._heartbeat_us - late % self._heartbeat_us
            self._queue_heartbeat(now_us, 0)
            if self.closed:
                return
        if self._ack_due_us and now_us >= self._ack_due_us:
            self._queue_ack()
        silence = now_us - self._silent_since()
        if silence >= self._silence_us:
            self._fail(
                LogoutCode.HEARTBEAT_LOST,
                f"nothing received for {silence // 1000} ms",
                by_peer=False,
            )
        elif silence >= self._silence_us // 2 and self._test_is_due():
            self.test(now_us)

    def test(self, now_us: int) -> None:
        """
        Send a TEST_REQUEST, if the session is active: a living peer answers at once.
        """
        if self.state is not State.ACTIVE:
            return
        self._test_sent_us = now_us
        self._test_id = self._test_id % 0xFFFF_FFFF + 1
        self._queue(TestRequest(self._test_id))

    def send(self, message: Message) -> None:
        """
        Queue a message: a PAGE behind the ticks, a HALT before everything, else in order.

        Raises:
            LocalProtocolError: the session is not active, this side may not send it (a
                LOGOUT is sent with ``logout``), it is larger than a frame, or the peer
                does not read and the lane is full: then the session has ended.
            FieldError: a field is of the wrong type or out of range.
        """
        if self.state is not State.ACTIVE or message.TYPE not in self._sends:
            raise LocalProtocolError(
                LogoutCode.UNEXPECTED_TYPE,
                f"{message.TYPE.name} cannot be sent from here: the session is {self.state.value}",
            )
        self._queue(message)
        if self.closed:
            raise LocalProtocolError(
                LogoutCode.QUEUE_FULL, f"{message.TYPE.name} cannot be sent: the peer reads nothing"
            )

    def logout(self, code: int, text: str, retry_after_ms: int = 0) -> None:
        """
        End the session; the peer is told why.
        """
        if self.state is not State.CLOSED:
            self._end(code, text, retry_after_ms)
            self._close(code, text, by_peer=False)

    # --- market data, terminal side ----------------------------------------------

    @property
    def market_queued(self) -> int:
        """
        Bytes of market frames not yet handed to ``data_to_send``.
        """
        return self._lanes.market_bytes

    @property
    def market_in_flight(self) -> int:
        """
        Bytes of TICKS and PAGE frames handed out and not acknowledged.
        """
        return self._lanes.in_flight_bytes

    @property
    def pages_queued(self) -> int:
        """
        How many PAGE frames were not yet handed to ``data_to_send``.
        """
        return self._lanes.pages

    # --- acknowledgements, relay side ----------------------------------------------

    def taken(self, seq: int, size: int, now_us: int) -> None:
        """
        Market data up to frame ``seq`` (``size`` bytes of it) is published and kept. A PAGE
        counts as taken when it was handed out as an event.
        """
        if self.state is not State.ACTIVE:
            return
        self._ack_seq = max(self._ack_seq, seq)
        self._ack_bytes += size
        if self._ack_bytes >= ACK_EVERY_BYTES:
            self._queue_ack()
        elif not self._ack_due_us:
            self._ack_due_us = now_us + ACK_EVERY_MS * 1000

    # --- inside -----------------------------------------------------------------

    def _silent_since(self) -> int:
        return max(self.last_received_us, self.busy_until_us, self._excused_us)

    def _test_is_due(self) -> bool:
        # Not more than one test request for the same silence.
        return self._test_sent_us < max(self.last_received_us, self._excused_us)

    def _queue(self, message: Message) -> None:
        body = pack_message(message)
        size = len(body) + FRAME_OVERHEAD
        if size > FRAME_MAX:
            raise LocalProtocolError(
                LogoutCode.FRAME_TOO_LARGE,
                f"{message.TYPE.name} of {size} bytes is larger than a frame",
            )
        self._lanes.push(message.TYPE, body)
        if self._lanes.command_bytes > COMMAND_QUEUE_MAX and self.state is State.ACTIVE:
            waiting = self._lanes.command_bytes
            self._lanes.drop_all()
            self._fail(
                LogoutCode.QUEUE_FULL,
                f"the peer does not read: {waiting} bytes waited for it",
                by_peer=False,
            )

    def _queue_ack(self) -> None:
        self._ack_due_us = 0
        self._ack_bytes = 0
        self._queue(Ack(self._ack_seq))

    def _queue_heartbeat(self, now_us: int, test_id: int) -> None:
        delay = now_us - self._peer_time_at_us if self._peer_time_us else 0
        self._queue(
            Heartbeat(
                now_us,
                self._peer_time_us,
                min(max(delay, 0), 0xFFFF_FFFF),
                test_id,
                self.terminal_state,
            )
        )

    def _frame(self, frame_type: int, body: bytes) -> bytes:
        self._send_seq += 1
        data = pack_header(len(body) + FRAME_OVERHEAD, frame_type, self._send_seq) + body
        tagger = self._send_tagger
        if tagger is None or frame_type in _UNTAGGED:
            return data + NO_TAG
        return data + tagger.tag(data)

    def _receive_frame(self, frame: memoryview, now_us: int) -> None:
        frame_type, seq = read_header(frame)
        if seq != self._receive_seq + 1:
            raise RemoteProtocolError(
                LogoutCode.BAD_SEQUENCE,
                f"frame {seq} follows frame {self._receive_seq}: lost, repeated or reordered",
            )
        tagger = self._receive_tagger
        end = len(frame) - TAG_SIZE
        expected = NO_TAG if tagger is None else tagger.tag(frame[:end])
        if not auth.same(frame[end:], expected):
            raise RemoteProtocolError(
                LogoutCode.BAD_TAG, f"the tag of frame {seq} does not fit its bytes"
            )
        self._receive_seq = seq
        self.last_received_us = now_us
        if self.busy_kind and frame_type not in (FrameType.TICKS, FrameType.PAGE):
            # The block is over; another BUSY begins a new one. Market data says nothing:
            # what was queued before the BUSY follows it onto the wire.
            self.busy_until_us = 0
            self.busy_kind = int(BusyKind.READY)
        if frame_type not in self._allowed:
            self._reject_type(frame_type)
        elif frame_type == FrameType.TICKS:
            self._events.append(Ticks(seq, read_runs(frame)))
        else:
            self._receive_message(frame_type, frame[HEADER_SIZE:end], now_us)
            if frame_type == FrameType.PAGE:
                self.taken(seq, len(frame), now_us)

    def _reject_type(self, frame_type: int) -> None:
        try:
            name = FrameType(frame_type).name
        except ValueError:
            if frame_type > CRITICAL_TYPE_MAX and self.state is State.ACTIVE:
                return
            raise RemoteProtocolError(
                LogoutCode.UNKNOWN_TYPE, f"frame type {frame_type:#04x} is not known"
            ) from None
        raise RemoteProtocolError(
            LogoutCode.UNEXPECTED_TYPE, f"{name} must not arrive here (state: {self.state.value})"
        )

    def _receive_message(self, frame_type: int, body: memoryview, now_us: int) -> None:
        if frame_type in (FrameType.HELLO, FrameType.CHALLENGE, FrameType.PROOF, FrameType.WELCOME):
            self._receive_logon(frame_type, body, now_us)
            return
        message = unpack_message(MESSAGES[frame_type], body)
        match message:
            case Heartbeat():
                self._receive_heartbeat(message, now_us)
            case TestRequest():
                self._queue_heartbeat(now_us, message.test_id)
                return
            case Ack():
                self._receive_ack(message.seq)
                return
            case Busy():
                limit_us = min(message.limit_ms, BUSY_LIMIT_MS) * 1000
                if message.kind:
                    self.busy_until_us = now_us + limit_us
                    self.busy_kind = message.kind
            case Logout():
                self._lanes.drop_all()
                text = printable(message.text)
                self._close(message.code, text, by_peer=True, retry_after_ms=message.retry_after_ms)
                return
        self._events.append(message)

    def _receive_heartbeat(self, message: Heartbeat, now_us: int) -> None:
        self._peer_time_us = message.time_us
        self._peer_time_at_us = now_us
        self.observe_stamp(message.time_us, now_us)
        if message.echo_time_us:
            self.rtt_us = max(0, now_us - message.echo_time_us - message.echo_delay_us)

    def observe_stamp(self, stamp_us: int, now_us: int) -> None:
        """
        Use a stamp of the peer's clock, received now, for the clock offset.
        """
        self.clock_offset_us = self._clock.observe(stamp_us, now_us)

    def _receive_ack(self, seq: int) -> None:
        if seq > self._send_seq:
            raise RemoteProtocolError(
                LogoutCode.BAD_MESSAGE, f"ACK of frame {seq}, which was not sent"
            )
        self._lanes.acknowledge(seq)

    def _receive_logon(self, frame_type: int, body: memoryview, now_us: int) -> None:
        raise NotImplementedError

    def _activate(self, now_us: int) -> None:
        self._enter(State.ACTIVE)
        self._buffer.frame_max = FRAME_MAX
        self.last_received_us = self._last_timer_us = self._next_heartbeat_us = now_us
        self._excused_us = now_us

    def _fail(self, code: int, reason: str, *, by_peer: bool) -> None:
        self._end(code, reason, 0)
        self._close(code, reason, by_peer=by_peer)

    def _end(self, code: int, reason: str, retry_after_ms: int) -> None:
        # What is in the command lane still goes out, then the LOGOUT; no more market data.
        self._lanes.drop_market()
        farewell = Logout(int(code), clip(reason), retry_after_ms)
        self._lanes.push(FrameType.LOGOUT, pack_message(farewell))

    def _enter(self, state: State) -> None:
        self.state = state
        self._allowed = self._receives[state]

    def _close(self, code: int, reason: str, *, by_peer: bool, retry_after_ms: int = 0) -> None:
        self._enter(State.CLOSED)
        self._events.append(Closed(int(code), reason, by_peer, retry_after_ms))
