"""Links: the TCP connections of terminals.

One ``BufferedProtocol`` a connection, which reads into a kept buffer and drives the
sans-IO session; ``Links`` bounds how many may be on their way to a logon. Whoever accepts
connections (``listener``) makes a link for each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

from bridge.config import Settings
from bridge.exceptions import LocalProtocolError, RemoteProtocolError
from bridge.logs import get_logger
from bridge.relay.clock import Clock
from bridge.relay.registry import Terminals
from bridge.relay.terminals import Terminal
from bridge.wire.messages import EventCursor, Hello, Message
from bridge.wire.protocol import (
    Closed,
    HelloReceived,
    LogonRequested,
    RelaySession,
    SessionEvent,
    Ticks,
)
from bridge.wire.spec import CAPABILITIES, NONCE_SIZE, LogoutCode, TradingState

__all__ = ["Link", "Links"]

log = get_logger(__name__)

#: one read takes at most this; kept, because allocating it for each read costs more than reading
_RECEIVE_BUFFER: Final = 262_144
#: with so much waiting in the transport nothing more is handed to it, so commands can overtake
_WRITE_HIGH: Final = 65_536
#: a terminal that does not read is cut when so much waits for it
_WRITE_MAX: Final = 8 * 1024 * 1024
#: a peer that does not take the logout is cut after this
_CLOSING_MAX_US: Final = 2_000_000


class Link(asyncio.BufferedProtocol):
    """
    One connection of a terminal.
    """

    def __init__(self, links: Links) -> None:
        self._links = links
        self._clock = links.clock
        self._now_us = links.clock.now_us
        self._session = links.new_session()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray(_RECEIVE_BUFFER)
        self._view = memoryview(self._buffer)
        self.peer = ""
        self.terminal: Terminal | None = None
        self.logged_on = False
        self._closing_since_us = 0

    # --- what the terminal sees (SessionLink) ----------------------------------------

    @property
    def hello(self) -> Hello | None:
        return self._session.hello

    @property
    def capabilities(self) -> int:
        return self._session.capabilities

    @property
    def rtt_us(self) -> int | None:
        return self._session.rtt_us

    @property
    def last_received_us(self) -> int:
        return self._session.last_received_us

    @property
    def busy_until_us(self) -> int:
        return self._session.busy_until_us

    def send(self, message: Message) -> None:
        try:
            self._session.send(message)
        except LocalProtocolError:
            if not self._session.closed:
                raise
            # The peer reads nothing and its lane is full: that has ended the session.
            self._handle_events(self._now_us())
        self._flush()

    def taken(self, seq: int, size: int, now_us: int) -> None:
        self._session.taken(seq, size, now_us)

    def accept(
        self,
        alias: str,
        now_us: int,
        trading_state: TradingState = TradingState.ACTIVE,
        event_cursor: EventCursor | None = None,
    ) -> None:
        self.logged_on = True
        self._links.pending.discard(self)
        self._session.accept(
            alias,
            self._links.program,
            now_us,
            self._clock.utc_msc(),
            int(trading_state),
            event_cursor,
        )
        self._flush()

    def close(self, code: int, text: str, retry_after_ms: int = 0) -> None:
        self._session.logout(code, text, retry_after_ms)
        self._handle_events(self._now_us())

    def test(self, now_us: int) -> None:
        self._session.test(now_us)
        self._flush()

    # --- asyncio ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(_WRITE_HIGH - 1)
        name = transport.get_extra_info("peername")
        self.peer = f"{name[0]}:{name[1]}" if name else "?"
        self._links.connected(self)

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - asyncio calls it so
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        now = self._now_us()
        session = self._session
        session.receive_data(self._view[:nbytes], now)
        if self._handle_events(now):
            self._links.published()
        else:
            self._links.turn()

    def resume_writing(self) -> None:
        self._flush()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio calls it so
        self._transport = None
        self._session.receive_eof()
        self._handle_events(self._now_us())
        self._links.disconnected(self)
        self._links.turn()

    # --- inside ----------------------------------------------------------------------

    def tick(self, now: int) -> None:
        """
        Do what the session's timers want.
        """
        if self._closing_since_us and now - self._closing_since_us > _CLOSING_MAX_US:
            self._closing_since_us = 0
            self.abort()
        elif now >= self._session.next_deadline():
            self._session.handle_timer(now)
            self._handle_events(now)

    def next_deadline(self) -> int:
        """
        Return when ``tick`` has something to do, in microseconds.
        """
        deadline = self._session.next_deadline()
        if self._closing_since_us:
            deadline = min(deadline, self._closing_since_us + _CLOSING_MAX_US + 1)
        return deadline

    def _handle_events(self, now: int) -> bool:
        # Returns whether nothing but ticks came, which concern the publisher alone.
        session = self._session
        broken = False
        only_ticks = True
        for event in session.events_received():
            only_ticks = only_ticks and type(event) is Ticks
            # Behind what broke the protocol nothing is taken but the end of the session,
            # which the same read may have brought.
            if broken and not isinstance(event, Closed):
                continue
            try:
                self._handle(event, now)
            except RemoteProtocolError as error:
                broken = True
                session.logout(error.code, error.reason)
        self._flush()
        if session.closed:
            # A logout from inside the loop above is an event of its own.
            for event in session.events_received():
                if isinstance(event, Closed):
                    self._closed(event)
            self._finish()
            return False
        return only_ticks

    def _handle(self, event: SessionEvent, now: int) -> None:
        terminal = self.terminal
        if type(event) is Ticks:
            if terminal is not None:
                terminal.receive_ticks(event, now)
        elif isinstance(event, HelloReceived | LogonRequested):
            if self._session.closed:
                return  # by what came behind it in the same read
            if isinstance(event, HelloReceived):
                self._receive_hello(event.hello)
            elif terminal is not None:
                self._links.terminals.admit(terminal, self, now)
        elif isinstance(event, Closed):
            self._closed(event)
        elif isinstance(event, Message) and terminal is not None:
            terminal.receive(event, now)

    def _receive_hello(self, hello: Hello) -> None:
        terminal = self._links.terminals.get(hello.key_id)
        if terminal is None:
            # Nothing is proved yet: a stranger learns nothing, the log tells the owner.
            known = ", ".join(self._links.terminals.aliases()) or "none"
            log.warning("unknown terminal", peer=self.peer, terminal=hello.key_id, known=known)
            self._session.refuse(
                LogoutCode.UNKNOWN_KEY,
                f"no terminal {hello.key_id!r} is configured here; see the relay's log",
                10_000,
            )
            return
        self.terminal = terminal
        self._session.challenge(
            terminal.key.reveal(),
            self._links.random_bytes(NONCE_SIZE),
            self._links.relay_epoch,
            self._links.capabilities,
        )

    def _closed(self, event: Closed) -> None:
        terminal = self.terminal
        if self.logged_on and terminal is not None:
            terminal.link_down(self, event.code, event.reason)
        else:
            self._links.terminals.forget(self)
            if event.code or not event.by_peer:
                hello = self.hello
                log.warning(
                    "logon failed",
                    peer=self.peer,
                    terminal=hello.key_id if hello else "?",
                    code=event.code,
                    reason=event.reason,
                )
        self.logged_on = False

    def _flush(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        waiting = transport.get_write_buffer_size()
        while waiting < _WRITE_HIGH and self._session.wants_to_send:
            transport.write(self._session.data_to_send())
            waiting = transport.get_write_buffer_size()
        if waiting > _WRITE_MAX:
            transport.abort()

    def _finish(self) -> None:
        transport = self._transport
        if transport is not None and not transport.is_closing():
            self._closing_since_us = self._now_us()
            transport.close()

    def abort(self) -> None:
        """
        Cut the connection without a word.
        """
        if self._transport is not None:
            self._transport.abort()


class Links:
    """
    All connections. ``random_bytes``: a cryptographic source, for the challenges.
    """

    def __init__(
        self,
        terminals: Terminals,
        settings: Settings,
        relay_epoch: int,
        program: str,
        capabilities: int = int(CAPABILITIES),
        *,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self.terminals = terminals
        self.capabilities = capabilities
        self.relay_epoch = relay_epoch
        self.program = program
        self.clock = clock
        self.random_bytes = random_bytes
        self.pending: set[Link] = set()
        self.refused = 0
        #: called after every read: something may have been sent on a ZeroMQ socket
        self.turn = _nothing
        #: called instead when it was ticks alone
        self.published = _nothing
        self._settings = settings
        self._links: dict[Link, None] = {}
        self._stopping = False

    def new_link(self) -> Link:
        """
        Return the protocol of a new connection, for whoever accepted it.
        """
        return Link(self)

    def new_session(self) -> RelaySession:
        """
        Return the protocol core for a new connection.
        """
        session = self._settings.session
        return RelaySession(
            self.clock.now_us(),
            heartbeat_interval_ms=session.heartbeat_interval_ms,
            silence_limit_ms=session.silence_limit_ms,
            logon_deadline_ms=session.logon_deadline_ms,
        )

    def connected(self, link: Link) -> None:
        """
        A connection was accepted; too many that have not logged on push the oldest out.
        """
        self._links[link] = None
        if self._stopping:
            link.abort()
            return
        self.pending.add(link)
        if len(self.pending) > self._settings.limits.sessions_pending_logon:
            oldest = next(known for known in self._links if known in self.pending)
            self.pending.discard(oldest)
            self.refused += 1
            oldest.close(LogoutCode.LOGON_TIMEOUT, "too many connections without a logon")

    def disconnected(self, link: Link) -> None:
        """
        A connection is gone.
        """
        self._links.pop(link, None)
        self.pending.discard(link)

    def tick(self, now: int) -> None:
        """
        Run the timers of all sessions.
        """
        for link in list(self._links):
            link.tick(now)
        self.terminals.decide(now)

    def next_deadline(self) -> int:
        """
        Return when ``tick`` has something to do, in microseconds.
        """
        deadlines = [link.next_deadline() for link in self._links]
        return min([self.terminals.next_deadline(), *deadlines])

    def log_out(self) -> None:
        """
        Log all terminals out, and let nobody in any more.
        """
        self._stopping = True
        for link in list(self._links):
            link.close(LogoutCode.SHUTTING_DOWN, "the relay is stopping", 1_000)

    def abort(self) -> None:
        """
        Cut all connections.
        """
        for link in list(self._links):
            link.abort()


def _nothing() -> None:
    return
