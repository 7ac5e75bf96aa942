"""The two sides of a session: the terminal's and the relay's. What they share is ``session``."""

from __future__ import annotations

from bridge.exceptions import LocalProtocolError, RemoteProtocolError
from bridge.wire import auth
from bridge.wire.events import (
    Closed,
    HelloReceived,
    LoggedOn,
    LogonRequested,
    SessionEvent,
    Ticks,
)
from bridge.wire.frame import Run
from bridge.wire.messages import (
    Challenge,
    EventCursor,
    Hello,
    Welcome,
    pack_message,
    unpack_message,
)
from bridge.wire.session import NEVER_US, Session
from bridge.wire.spec import (
    FRAME_OVERHEAD,
    HEARTBEAT_INTERVAL_MAX_MS,
    HEARTBEAT_INTERVAL_MIN_MS,
    MARKET_FRAME_MAX,
    SILENCE_LIMIT_MAX_MS,
    VERSION,
    VERSION_MIN,
    FrameType,
    LogoutCode,
)
from bridge.wire.states import RELAY_RECEIVES, TERMINAL_RECEIVES, State
from bridge.wire.ticks import receive_ticks

__all__ = [
    "NEVER_US",
    "Closed",
    "HelloReceived",
    "LoggedOn",
    "LogonRequested",
    "RelaySession",
    "Run",
    "Session",
    "SessionEvent",
    "TerminalSession",
    "Ticks",
]


class TerminalSession(Session):
    """
    The terminal's side: says HELLO, lets the relay prove itself, then proves itself.

    ``hello.nonce`` must never repeat for this key: it is what stops a replayed relay.
    """

    _receives = TERMINAL_RECEIVES
    _sends = RELAY_RECEIVES[State.ACTIVE] - {FrameType.LOGOUT, FrameType.TICKS}

    def __init__(self, key: bytes, hello: Hello, now_us: int, *, deadline_ms: int = 5000) -> None:
        super().__init__(State.HELLO_SENT, now_us, logon_deadline_ms=deadline_ms)
        self._key = key
        self._hello = hello
        self._hello_body = pack_message(hello)
        #: what both sides have, and the relay's fencing epoch; known after CHALLENGE
        self.capabilities = 0
        self.relay_epoch = 0
        self._lanes.push(FrameType.HELLO, self._hello_body)

    def send_market(self, body: bytes) -> None:
        """
        Queue the body of a TICKS frame: runs of at most 8,160 bytes together.

        Raises:
            LocalProtocolError: the session is not active or the body too large.
        """
        if self.state is not State.ACTIVE or len(body) + FRAME_OVERHEAD > MARKET_FRAME_MAX:
            raise LocalProtocolError(
                LogoutCode.NORMAL,
                f"{len(body)} bytes of ticks cannot be sent: the session is {self.state.value}",
            )
        self._lanes.push(FrameType.TICKS, body)

    def _receive_logon(self, frame_type: int, body: memoryview, now_us: int) -> None:
        if frame_type == FrameType.CHALLENGE:
            self._receive_challenge(bytes(body))
            return
        welcome = unpack_message(Welcome, body)
        interval_ms, limit_ms = welcome.heartbeat_interval_ms, welcome.silence_limit_ms
        if not (
            HEARTBEAT_INTERVAL_MIN_MS <= interval_ms <= HEARTBEAT_INTERVAL_MAX_MS
            and 2 * interval_ms <= limit_ms <= SILENCE_LIMIT_MAX_MS
        ):
            raise RemoteProtocolError(
                LogoutCode.BAD_MESSAGE,
                f"WELCOME: a heartbeat every {interval_ms} ms with a silence limit of "
                f"{limit_ms} ms is out of bounds",
            )
        self._heartbeat_us = welcome.heartbeat_interval_ms * 1000
        self._silence_us = welcome.silence_limit_ms * 1000
        self._activate(now_us)
        self.observe_stamp(welcome.time_us, now_us)
        self._events.append(LoggedOn(welcome))

    def _receive_challenge(self, body: bytes) -> None:
        fields, proof = body[: -auth.PROOF_SIZE], body[-auth.PROOF_SIZE :]
        challenge = unpack_message(Challenge, fields)
        if not self._hello.version_min <= challenge.version <= self._hello.version_max:
            raise RemoteProtocolError(
                LogoutCode.VERSION_MISMATCH, f"the relay chose version {challenge.version}"
            )
        secrets = auth.derive(self._key, self._hello_body, fields)
        if not auth.same(proof, secrets.relay_proof):
            raise RemoteProtocolError(
                LogoutCode.BAD_RELAY_KEY,
                "the relay does not have this terminal's key (compare both key files)",
            )
        if challenge.relay_epoch < self._hello.relay_epoch_seen:
            raise RemoteProtocolError(
                LogoutCode.STALE_RELAY,
                f"relay epoch {challenge.relay_epoch} is older than {self._hello.relay_epoch_seen}",
            )
        self.capabilities = challenge.capabilities & self._hello.capabilities
        self.relay_epoch = challenge.relay_epoch
        self._lanes.push(FrameType.PROOF, secrets.terminal_proof)
        self._send_tagger = auth.Tagger(secrets.terminal_key)
        self._receive_tagger = auth.Tagger(secrets.relay_key)
        self._enter(State.PROOF_SENT)


class RelaySession(Session):
    """
    The relay's side of one connection.
    """

    _receives = RELAY_RECEIVES
    _sends = TERMINAL_RECEIVES[State.ACTIVE] - {FrameType.LOGOUT}

    def __init__(
        self,
        now_us: int,
        *,
        heartbeat_interval_ms: int = 1000,
        silence_limit_ms: int = 4000,
        logon_deadline_ms: int = 5000,
    ) -> None:
        super().__init__(
            State.EXPECT_HELLO,
            now_us,
            heartbeat_interval_ms=heartbeat_interval_ms,
            silence_limit_ms=silence_limit_ms,
            logon_deadline_ms=logon_deadline_ms,
        )
        self.hello: Hello | None = None
        self.capabilities = 0
        self._hello_body = b""
        self._secrets: auth.LogonSecrets | None = None

    def receive_data(self, data: bytes | bytearray | memoryview, now_us: int) -> None:
        """
        Take bytes from the connection, in any portions.

        Whole TICKS frames in their order, almost all there is to receive, are taken in one
        loop. It leaves to the common way whatever is not exactly that, errors included.
        """
        view = memoryview(data)
        while view and self._buffer.missing:
            # An earlier read ended within this frame.
            rest = self._buffer.missing
            super().receive_data(view[:rest], now_us)
            view = view[rest:]
        tagger = self._receive_tagger
        if self.state is State.ACTIVE and tagger is not None:
            at, seq = receive_ticks(view, self._receive_seq, tagger.tag, self._events)
            if at:
                self._receive_seq = seq
                self.last_received_us = now_us
                view = view[at:]
        if view:
            super().receive_data(view, now_us)

    def challenge(self, key: bytes, nonce: bytes, relay_epoch: int, capabilities: int) -> None:
        """
        Answer a ``HelloReceived``: prove that we have the key and ask for the same.

        ``nonce``: 32 bytes from a cryptographic source, never used before.

        Raises:
            LocalProtocolError: no HELLO is waiting for an answer.
        """
        if self.state is not State.HELLO_RECEIVED or self.hello is None:
            raise LocalProtocolError(
                LogoutCode.NORMAL, f"no HELLO to answer: the session is {self.state.value}"
            )
        version = min(VERSION, self.hello.version_max)
        fields = pack_message(Challenge(version, int(capabilities), relay_epoch, nonce))
        self._secrets = auth.derive(key, self._hello_body, fields)
        self.capabilities = int(capabilities) & self.hello.capabilities
        self._lanes.push(FrameType.CHALLENGE, fields + self._secrets.relay_proof)
        # From here on this side tags: whoever has the key can tell our LOGOUT from another's.
        self._send_tagger = auth.Tagger(self._secrets.relay_key)
        self._enter(State.EXPECT_PROOF)

    def accept(
        self,
        alias: str,
        program: str,
        now_us: int,
        time_utc_msc: int,
        trading_state: int = 0,
        event_cursor: EventCursor | None = None,
    ) -> None:
        """
        Answer a ``LogonRequested``: open the session.

        Raises:
            LocalProtocolError: no proved terminal is waiting.
        """
        if self.state is not State.ADMISSION:
            raise LocalProtocolError(
                LogoutCode.NORMAL, f"nobody to accept: the session is {self.state.value}"
            )
        self._activate(now_us)
        self._queue(
            Welcome(
                alias,
                program,
                self._heartbeat_us // 1000,
                self._silence_us // 1000,
                trading_state,
                now_us,
                time_utc_msc,
                event_cursor,
            )
        )

    def refuse(self, code: int, text: str, retry_after_ms: int = 0) -> None:
        """
        Answer a ``HelloReceived`` or ``LogonRequested`` with no.
        """
        self.logout(code, text, retry_after_ms)

    def _receive_logon(
        self,
        frame_type: int,
        body: memoryview,
        now_us: int,  # noqa: ARG002  # the terminal's side needs it
    ) -> None:
        if frame_type == FrameType.HELLO:
            self._hello_body = bytes(body)
            hello = unpack_message(Hello, self._hello_body)
            if hello.version_min > VERSION or hello.version_max < VERSION_MIN:
                raise RemoteProtocolError(
                    LogoutCode.VERSION_MISMATCH,
                    f"the terminal speaks versions {hello.version_min}..{hello.version_max}, "
                    f"this relay {VERSION_MIN}..{VERSION}",
                )
            self.hello = hello
            self._enter(State.HELLO_RECEIVED)
            self._events.append(HelloReceived(hello))
            return
        secrets = self._secrets
        if secrets is None or self.hello is None or not auth.same(body, secrets.terminal_proof):
            raise RemoteProtocolError(
                LogoutCode.BAD_TERMINAL_KEY,
                "the terminal does not have the key of this alias (compare both key files)",
            )
        self._receive_tagger = auth.Tagger(secrets.terminal_key)
        self._enter(State.ADMISSION)
        self._events.append(LogonRequested(self.hello))
