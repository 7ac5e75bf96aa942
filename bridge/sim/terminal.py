"""A simulated terminal: what the EA is, without sockets and clock.

Theory of operation. ``TerminalCore`` is driven like the EA's ``Poll()``: the caller tells it of
its connection (``connection_made``, ``data_received``, ``connection_lost``) and calls ``poll``
again and again; after each of these it sends what ``data_to_send`` gives, in portions, and
only while the connection can take more. Times are microseconds of the caller's monotonic
clock. When ``closing`` is true, the caller flushes and closes the connection.

Rule 1: one thing at a time, as in MQL5's one thread. While a call blocks, nothing is heard,
sent or timed; what arrives waits, as it would in the socket.
Rule 2: before a call that may block, BUSY goes out and nothing follows it: the relay takes
any frame for the end of the block.
Rule 3: ticks and pages are made when there is room for them on the wire, never queued in the
session. So a command waits for one frame at most, and a stream can begin anew at any moment.
Rule 4: whatever the relay says, nothing raises: the session ends, or an answer says no.

What must change together: this file and ``mql5/Include/Bridge/App/``.
"""

from __future__ import annotations

import hashlib
import struct
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from bridge.exceptions import LocalProtocolError
from bridge.sim.account import Account
from bridge.sim.answers import Answers, refusal_of
from bridge.sim.backoff import BackOff
from bridge.sim.collector import PendingStream, TickCollector, refuse
from bridge.sim.meter import LoopMeter
from bridge.sim.trading import ORDER_SEND_LIMIT_MS, TradingLimits, make_trading
from bridge.sim.trading_ports import Moment
from bridge.sim.trading_reads import make_reads
from bridge.wire.events import Closed, LoggedOn
from bridge.wire.messages import (
    Busy,
    CancelRequest,
    EventAck,
    Halt,
    Hello,
    Message,
    New,
    Query,
    Refill,
    Request,
    Subscribe,
    TerminalState,
    Unsubscribe,
)
from bridge.wire.protocol import NEVER_US, TerminalSession
from bridge.wire.spec import (
    FRAME_MAX,
    MARKET_FRAME_MAX,
    MARKET_WINDOW,
    VERSION,
    VERSION_MIN,
    BusyKind,
    Capability,
    ErrorCode,
    FrameType,
    LogoutCode,
    Permission,
    Role,
    TradingState,
)
from bridge.wire.states import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.model.tick import MqlTick
    from bridge.sim.ledger import Ledger
    from bridge.sim.market import Market
    from bridge.sim.trading_ports import Broker

__all__ = ["ALL_PERMISSIONS", "BLOCK_LIMIT_MS", "SEND_LIMIT", "Account", "TerminalCore"]

#: What ``CopyTicks`` may take; announced with BUSY.
BLOCK_LIMIT_MS: Final = 45_000
#: What one call of ``data_to_send`` gives out, about: more cannot be overtaken any more.
SEND_LIMIT: Final = 16_384
ALL_PERMISSIONS: Final = Permission(31)

#: What every terminal has; one that trades says more.
_CAPABILITIES: Final = Capability.TICKS | Capability.READS | Capability.REFILL
_PENDING_MAX: Final = 1_024
#: Streams that begin between two orders of a row.
_BEGINS_PER_ORDER: Final = 8
#: How long SUBSCRIBE waits for a history that is being loaded.
_SYNCHRONISE_US: Final = 60_000_000
_SYNCHRONISE_EVERY_US: Final = 200_000
_STATE_EVERY_US: Final = 50_000
#: What the EA sets with SocketTimeouts.
_SEND_TIMEOUT_US: Final = 5_000_000
_U32_MAX: Final = 0xFFFF_FFFF
_NONCE: Final = struct.Struct("<QqQ")


class TerminalCore:
    """
    One terminal with one account, connected to one relay or trying to be.

    Args:
        key: 32 bytes shared with the relay, named ``key_id`` there.
        account: who is logged on; assign another one to change the account.
        market: symbols and ticks.
        incarnation: 16 bytes that name this terminal's ledger.
        connection_counter: the last one used. It must never repeat for a key: it is in the
            nonce that stops a replayed relay.
        commit_counter: called with a counter before it is used, to persist it.
        role: what the session is for.
        seed: of the back-off's jitter.
        audit_every_us: as in ``TickCollector``.
        exchange: the account at its broker; without it the terminal does not trade.
        ledger: of this account, with this incarnation; in memory when it is left out.
        limits: the terminal's own for orders.

    Raises:
        FieldError: a text of the account is too long for HELLO.
        ValueError: the ledger has another incarnation.
    """

    def __init__(
        self,
        *,
        key: bytes,
        key_id: str,
        account: Account,
        market: Market,
        incarnation: bytes,
        connection_counter: int = 0,
        commit_counter: Callable[[int], None] | None = None,
        role: Role = Role.BOTH,
        program: str = "mt5-zmq-bridge simulated terminal",
        build: int = 5836,
        seed: int = 0,
        audit_every_us: int = 20_000_000,
        exchange: Broker | None = None,
        ledger: Ledger | None = None,
        limits: TradingLimits = TradingLimits(),  # noqa: B008  # immutable
    ) -> None:
        self.account = account
        self.market = market
        self.connection_counter = connection_counter
        #: the terminal's flags; assign others to change them
        self.permissions = ALL_PERMISSIONS
        #: the server's clock minus UTC
        self.utc_offset_min = 120
        #: the server's clock minus the caller's; None: its newest tick; not with an exchange
        self.server_clock_offset_us: int | None = None
        self.ping_last_us = 20_000
        #: fault: nothing is sent any more, not even heartbeats, while everything else goes on
        self.muted = False
        #: sessions that were opened, and the end of the last one
        self.logons = 0
        self.last_closed: Closed | None = None
        self.collector = TickCollector(market, market.specs, audit_every_us=audit_every_us)
        self._key = key
        self._key_id = key_id
        self._incarnation = incarnation
        self._meter = LoopMeter()
        self._commit_counter = commit_counter
        self._role = role
        self._program = program
        self._build = build
        self._back_off = BackOff(seed)
        specs, quote = market.specs, self._quote
        self.trading = make_trading(
            exchange, ledger, incarnation, specs, quote, account.login, role, limits
        )
        reads = make_reads(exchange, specs, quote, lambda: self._now_us)
        self._answers = Answers(market, self.collector.reader, reads)
        self._session: TerminalSession | None = None
        self._logged_on: Account | None = None
        self._connected = True
        self._now_us = 0
        self._next_connect_us = 0
        self._active_since_us: int | None = None
        self._pending: deque[PendingStream] = deque()
        self._held: deque[bytes] = deque()
        #: when BUSY was queued, while the call that it announces has not been made
        self._announced_us: int | None = None
        self._announced_kind = BusyKind.READY
        self._blocked_until_us = 0
        #: OrderSend was called; it has returned, and the caller is to read before anything else
        self._called = self._reads_first = False
        self._page_turn = False
        self._next_state_us = 0
        self._answer: dict[type[Message], Callable[[Any], None]] = {
            Subscribe: self._receive_subscribe,
            Unsubscribe: lambda ended: self.collector.end(ended.symbol_id),
            Request: self._receive_request,
            Refill: self._receive_refill,
            CancelRequest: lambda cancel: self._answers.cancel(cancel.request_id),
            New: lambda new: self.trading.new(new, self._moment()),
            Query: lambda query: self.trading.query(query, self._moment()),
            Halt: self._receive_halt,
            EventAck: self.trading.event_ack,
        }
        # Made for its checks only: no text of the account may surprise us at the first logon.
        TerminalSession(key, self._hello(0), 0)

    # --- the connection ------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """
        Whether a session is open.
        """
        return self._session is not None and self._session.state is State.ACTIVE

    @property
    def trading_state(self) -> TradingState:
        """
        Whether orders may pass, as the relay last said with WELCOME or HALT.
        """
        return self.trading.state

    @property
    def relay_epoch_seen(self) -> int:
        """
        The newest fencing epoch of a relay; an older relay is refused.
        """
        return self.trading.relay_epoch_seen

    @property
    def closing(self) -> bool:
        """
        Whether the caller has to flush and close the connection.
        """
        return self._session is not None and self._session.closed

    def may_connect(self, now_us: int) -> bool:
        """
        Tell whether to dial now: an account is logged on, the back-off is over.
        """
        return (
            self._session is None
            and self._may_log_on()
            and now_us >= max(self._next_connect_us, self._blocked_until_us)
        )

    def connection_made(self, now_us: int) -> None:
        """
        The relay's port was reached: the logon begins.
        """
        self._now_us = max(self._now_us, now_us)
        self.connection_counter += 1
        if self._commit_counter is not None:
            self._commit_counter(self.connection_counter)
        if self.account != self._logged_on:
            self.collector.forget()
        self._session = TerminalSession(self._key, self._hello(now_us), now_us)
        self._logged_on = self.account
        self._next_state_us = now_us
        if not self._may_log_on():
            self._session.logout(LogoutCode.NORMAL, "the terminal is not connected")
            self._take_events(self._session)

    def data_received(self, data: bytes | bytearray | memoryview, now_us: int) -> None:
        """
        Take bytes from the connection, in any portions.
        """
        self._now_us = max(self._now_us, now_us)
        if self._session is None:
            return
        if self._held or not self._listens():
            self._held.append(bytes(data))
            return
        self._receive(self._session, data)

    @property
    def wants_to_receive(self) -> bool:
        """
        Whether to read the connection; what is read while a call blocks is kept for later.
        """
        return self._session is not None and not self._held and self._listens()

    def connection_lost(self, now_us: int) -> None:
        """
        The connection ended or could not be made: dial again when ``may_connect`` says so.
        """
        self._now_us = max(self._now_us, now_us)
        closed = None
        if self._session is not None:
            self._session.receive_eof()
            self._take_events(self._session)
            closed = self.last_closed
        self._session = None
        self._announced_us = None
        self._held.clear()
        self.trading.link_lost()
        self._pending.clear()
        self._answers.clear()
        self.collector.rewind()
        since_us = self._now_us if self._active_since_us is None else self._active_since_us
        self._active_since_us = None
        delay_us = self._back_off.delay_us(closed, self._now_us - since_us)
        self._next_connect_us = self._now_us + delay_us

    def log_out(self, text: str) -> None:
        """
        End the session in order, and leave Market Watch as it was found; the caller flushes
        and closes the connection.
        """
        if self._session is not None:
            self._session.logout(LogoutCode.SHUTTING_DOWN, text)
            self._take_events(self._session)
        self.collector.reader.release_all()

    # --- the pump ------------------------------------------------------------------------

    def poll(self, now_us: int) -> None:
        """
        Do what is due. Call it when data came, at ``next_deadline`` and, like the EA's timer,
        every 10 ms: ticks are found by looking for them.
        """
        self._meter.turned(now_us)
        self._now_us = max(self._now_us, now_us)
        self.trading.advance(self._now_us, self._allowed())
        if now_us < self._blocked_until_us:
            return
        self._watch_permissions()
        if self.trading.trades:
            self.trading.settle(self._moment())
            self._send_answers()
        session = self._session
        if session is None:
            return
        if self._announced_us is not None:
            if session.wants_to_send and not self.muted:
                if now_us - self._announced_us >= _SEND_TIMEOUT_US:
                    # SocketSend's timeout: nobody at the other end reads.
                    session.logout(LogoutCode.HEARTBEAT_LOST, "BUSY could not be sent in time")
                    self._take_events(session)
                return
            self._announced_us = None
            self._call_that_may_block(session)
            if now_us < self._blocked_until_us:
                return
        while self._held and not session.closed:
            self._receive(session, self._held.popleft())
        if self._called:
            # Else a HALT that came meanwhile, and ticks, would wait for all orders before them.
            self._called, self._reads_first = False, True
            if session.state is State.ACTIVE:
                self._begin_at_once(_BEGINS_PER_ORDER)
            self.collector.poll(self._now_us, may_block=False)
            self._blocked()
            return
        self._reads_first = False
        self._run_timers(session)
        if session.state is State.ACTIVE:
            self._work()

    def next_deadline(self) -> int:
        """
        Return when ``poll`` wants to be called next, apart from looking for ticks.
        """
        deadline_us = self._deadline()
        self._meter.expect(deadline_us)
        return deadline_us

    def data_to_send(self, limit: int = SEND_LIMIT) -> bytes:
        """
        Return the next bytes to send, about ``limit`` of them; nothing while a call blocks.
        """
        session = self._session
        if session is None or not self._is_heard():
            return b""
        out = bytearray()
        while len(out) < limit:
            if session.wants_to_send:
                out += session.data_to_send(limit - len(out))
            elif not self._make_frame(session):
                break
        return bytes(out)

    @property
    def wants_to_send(self) -> bool:
        """
        Whether ``data_to_send`` would return anything.
        """
        session = self._session
        if session is None or not self._is_heard():
            return False
        return session.wants_to_send or self._next_frame(session) is not None

    @property
    def everything_sent(self) -> bool:
        """
        Whether the relay has taken all ticks of its streams that are there.
        """
        in_flight = 0 if self._session is None else self._session.market_in_flight
        return self.collector.keeps_up and not self.collector.wants_to_send and not in_flight

    # --- faults --------------------------------------------------------------------------

    def block(self, duration_ms: int) -> None:
        """
        Block for so long, without BUSY: an indicator of another program is stuck.

        As realistic as it gets without MQL5: nothing is read, sent or timed, and what arrives
        is processed afterwards, late.
        """
        self._blocked_until_us = max(self._blocked_until_us, self._now_us + duration_ms * 1000)

    # --- inside: session -----------------------------------------------------------------

    def _may_log_on(self) -> bool:
        return bool(self._allowed() & Permission.TERMINAL_CONNECTED and self.account.login)

    def _allowed(self) -> Permission:
        return self.trading.permissions(self.permissions)

    def _is_heard(self) -> bool:
        return not self.muted and self._now_us >= self._blocked_until_us

    def _listens(self) -> bool:
        return self._announced_us is None and self._now_us >= self._blocked_until_us

    def _hello(self, now_us: int) -> Hello:
        account = self.account
        nonce = hashlib.sha256(
            self._key + _NONCE.pack(self.connection_counter, now_us, account.login)
        ).digest()
        return Hello(
            VERSION_MIN,
            VERSION,
            int(_CAPABILITIES | self.trading.capabilities),
            self._key_id,
            account.login,
            account.server,
            account.company,
            account.currency,
            account.leverage,
            int(self._role),
            int(account.margin_mode),
            int(account.trade_mode),
            self._build,
            self._program,
            self._incarnation,
            self.connection_counter,
            self.relay_epoch_seen,
            nonce,
        )

    def _receive(self, session: TerminalSession, data: bytes | bytearray | memoryview) -> None:
        self._refresh_state(session)
        in_flight = session.market_in_flight
        session.receive_data(data, self._now_us)
        if in_flight and not session.market_in_flight:
            self.collector.acknowledged()
        self._take_events(session)

    def _take_events(self, session: TerminalSession) -> None:
        for event in session.events_received():
            if isinstance(event, Closed):
                self.last_closed = event
            elif isinstance(event, LoggedOn):
                self.logons += 1
                self._active_since_us = self._now_us
                self.trading.welcomed(
                    event.welcome, session.relay_epoch, session.capabilities, self._moment()
                )
                self._next_state_us = self._now_us
            elif isinstance(event, Message):
                answer = self._answer.get(type(event))
                if (refusal := refusal_of(event, session.capabilities)) is not None:
                    self._send(refusal)
                elif answer is not None:
                    answer(event)
                    self._send_answers()

    def _send(self, message: Message) -> None:
        session = self._session
        if session is None or session.state is not State.ACTIVE:
            # The relay logged out behind its question: nobody waits for the answer.
            return
        try:
            session.send(message)
        except LocalProtocolError:
            # The relay asks and does not read: the session has ended itself and said why.
            self._take_events(session)

    def _send_answers(self) -> None:
        for message in self.trading.take():
            self._send(message)

    def _run_timers(self, session: TerminalSession) -> None:
        self._refresh_state(session)
        if self.account != self._logged_on:
            session.logout(LogoutCode.ACCOUNT_CHANGED, "another account logged on", 0)
            self.collector.forget()
        if self._now_us >= session.next_deadline():
            session.handle_timer(self._now_us)
        self._take_events(session)

    def _watch_permissions(self) -> None:
        connected = bool(self._allowed() & Permission.TERMINAL_CONNECTED)
        if connected and not self._connected:
            self.collector.outage_ended(self._now_us)
        elif self._connected and not connected:
            self.collector.outage_began()
        self._connected = connected

    # --- inside: work --------------------------------------------------------------------

    def _work(self) -> None:
        # What cannot block is done at once. One thing that may block is announced, and done
        # when BUSY is on its way: orders before everything.
        if self.trading.trades:
            self.trading.work(self.account.login, self._moment())
            self._send_answers()
        if self.trading.wants_call:
            self._announce(BusyKind.ORDER_SEND, ORDER_SEND_LIMIT_MS)
            return
        self.collector.utc_offset_min = self.utc_offset_min
        next_may_block = self._begin_at_once(len(self._pending))
        self.collector.poll(self._now_us, may_block=False)
        self._blocked()
        pages_block = self._answers.wants_blocking()
        if next_may_block or pages_block or self.collector.wants_blocking(self._now_us):
            self._announce(BusyKind.COPY_TICKS, BLOCK_LIMIT_MS)

    def _announce(self, kind: BusyKind, limit_ms: int) -> None:
        self._send(Busy(int(kind), limit_ms))
        self._announced_us = self._now_us
        self._announced_kind = kind

    def _call_that_may_block(self, session: TerminalSession) -> None:
        if session.state is not State.ACTIVE:
            return
        if self._announced_kind is BusyKind.ORDER_SEND:
            self._order_send()
            return
        if self._next_pending() is not None:
            self._begin(self._pending.popleft())
        elif self._answers.wants_blocking():
            self._make_page()
        else:
            self.collector.poll(self._now_us)
        self._send(Busy(int(BusyKind.READY), 0))
        self._blocked()

    def _order_send(self) -> None:
        self._called = True
        until_us = self.trading.call(self.account.login, self._moment())
        self._blocked_until_us = max(self._blocked_until_us, until_us)
        self.trading.settle(self._moment())
        self._send_answers()

    def _blocked(self) -> None:
        blocked_ms = self.collector.reader.take_blocked_ms()
        if blocked_ms:
            self.block(blocked_ms)

    def _next_pending(self) -> PendingStream | None:
        # Those whose history is being loaded let others pass.
        for _ in range(len(self._pending)):
            if self._now_us >= self._pending[0].not_before_us:
                return self._pending[0]
            self._pending.rotate(-1)
        return None

    def _begin_at_once(self, most: int) -> bool:
        # Whether the next one may block.
        for _ in range(most):
            pending = self._next_pending()
            if pending is None or self.collector.may_block(pending.subscribe):
                return pending is not None
            self._begin(self._pending.popleft())
        return False

    def _begin(self, pending: PendingStream) -> None:
        now_us = self._now_us
        stream, gap = self.collector.begin(
            pending.subscribe, now_us, self.market.time_current_msc()
        )
        if stream.code == ErrorCode.NOT_SYNCHRONISED and now_us < pending.until_us:
            pending.not_before_us = now_us + _SYNCHRONISE_EVERY_US
            self._pending.append(pending)
            return
        self._send(stream)
        if gap is not None:
            self._send(gap)

    def _next_frame(self, session: TerminalSession) -> FrameType | None:
        # Ticks and pages take turns when both wait; a page waits for its room, and ticks for it.
        if session.state is not State.ACTIVE or self._announced_us is not None:
            return None
        ticks_wait = self.collector.wants_to_send
        pages_wait = bool(self._answers) and not self._answers.wants_blocking()
        in_flight = session.market_in_flight
        if pages_wait and (self._page_turn or not ticks_wait):
            return FrameType.PAGE if in_flight + FRAME_MAX <= MARKET_WINDOW else None
        if ticks_wait and in_flight + MARKET_FRAME_MAX <= MARKET_WINDOW:
            return FrameType.TICKS
        return None

    def _make_frame(self, session: TerminalSession) -> bool:
        kind = self._next_frame(session)
        if kind is None:
            return False
        self._page_turn = kind is FrameType.TICKS
        if kind is FrameType.PAGE:
            self._make_page()
        elif (body := self.collector.take(self._now_us)) is not None:
            session.send_market(body)
        return True

    def _make_page(self) -> None:
        page = self._answers.next_page(self._now_us)
        if page is not None:
            self._send(page)

    # --- inside: what the relay says ---------------------------------------------------------

    def _receive_subscribe(self, subscribe: Subscribe) -> None:
        if len(self._pending) >= _PENDING_MAX:
            self._send(refuse(subscribe, ErrorCode.TOO_MANY, f"{_PENDING_MAX} wait already"))
            return
        self._pending.append(PendingStream(subscribe, self._now_us + _SYNCHRONISE_US))

    def _receive_request(self, request: Request) -> None:
        deadline_us = self._here(request.deadline_us)
        self._answers.request(request, deadline_us, self.utc_offset_min)

    def _receive_refill(self, refill: Refill) -> None:
        self._answers.refill(refill, self._here(refill.deadline_us))

    def _receive_halt(self, halt: Halt) -> None:
        self.trading.halt(halt)
        self._next_state_us = self._now_us

    def _here(self, relay_time_us: int) -> int:
        # A time of the relay's clock on ours.
        session = self._session
        offset = None if session is None else session.clock_offset_us
        return relay_time_us + (offset or 0)

    # --- inside: time ------------------------------------------------------------------------

    def _moment(self) -> Moment:
        return Moment(
            self._now_us,
            self._server_time_msc(),
            self.utc_offset_min,
            self._allowed(),
            self._here(0),
        )

    def _quote(self, symbol: str) -> MqlTick | None:
        self.collector.reader.select(symbol)
        return self.market.tick(symbol).tick

    def _server_time_msc(self) -> int:
        time_msc = self.trading.server_time_msc(self._now_us)
        if time_msc is not None:
            return time_msc
        if self.server_clock_offset_us is None:
            return self.market.time_current_msc()
        return (self._now_us + self.server_clock_offset_us) // 1000

    def _refresh_state(self, session: TerminalSession) -> None:
        if self._now_us < self._next_state_us:
            return
        self._next_state_us = self._now_us + _STATE_EVERY_US
        session.terminal_state = TerminalState(
            int(self._allowed()),
            int(self.trading_state),
            self._meter.interval_us,
            self._meter.lag_us,
            self._server_time_msc(),
            self.utc_offset_min,
            self.ping_last_us,
            len(self.collector),
            min(session.market_in_flight, _U32_MAX),
        )

    def _deadline(self) -> int:
        if self._now_us < self._blocked_until_us:
            return self._blocked_until_us
        session = self._session
        if session is None:
            return self._next_connect_us if self._may_log_on() else NEVER_US
        if self._announced_us is not None:
            # Looked at again soon: the caller sends BUSY meanwhile.
            return self._now_us + (1000 if session.wants_to_send else 0)
        if self._held or self._reads_first:
            return self._now_us
        deadline = session.next_deadline()
        for pending in self._pending:
            deadline = min(deadline, max(pending.not_before_us, self._now_us))
        return deadline
