"""A relay of one connection at a time that says what the test wants, well-formed or not.

The protocol core on a real socket: it logs the terminal on and tags what it sends, so that
what it says is believed.
"""

from __future__ import annotations

import contextlib
import secrets
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

from bridge.wire.messages import Message, Stream, Subscribe
from bridge.wire.protocol import Closed, HelloReceived, LogonRequested, RelaySession, Ticks
from bridge.wire.spec import CAPABILITIES, Capability
from bridge.wire.structures import EventCursor
from tests.mql5.posix import listen_at, send_at_once

__all__ = ["ScriptedRelay"]

DEADLINE_S = 20.0
#: clocks begin long after zero, as real ones do
_START_US = 1_000_000_000
_TURN_US = 10_000
T = TypeVar("T")


class ScriptedRelay:
    """
    It lives only while the test waits for something through it. A context manager.

    ``connections``: how many there were. ``events``: what came and was not expected yet.
    With a ``path`` it listens on a UNIX socket and is a peer of ``EaProcess``: it lives on
    the virtual clock, whenever the program waits.
    """

    def __init__(self, key: bytes, path: Path | None = None) -> None:
        self.key = key
        self.path = path
        self.now_us = 0
        #: when bytes last went to the socket and came from it, ns of ``time.perf_counter_ns``
        self.sent_ns = self.received_ns = 0
        #: handed a session that waits for CHALLENGE or WELCOME; true: it was answered
        self.logon: Callable[[RelaySession, Any], bool] = lambda _session, _event: False
        #: nobody who connects is heard
        self.away = False
        #: what its sessions may have
        self.capabilities = CAPABILITIES | Capability.REFILL
        #: up to where it has the account's events, ``None`` for nothing
        self.place: EventCursor | None = None
        self.session: RelaySession | None = None
        self.connections = 0
        self.logons = 0
        self.events: list[Any] = []
        #: why each session ended
        self.ends: list[Closed] = []
        self._moves = 0
        self._news = False
        #: what the terminal has not taken yet
        self._out = bytearray()
        if path is None:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.port: int = self._listener.getsockname()[1]
        else:
            self._listener = listen_at(path)
        self._listener.setblocking(False)
        self._socket: socket.socket | None = None

    def clock(self) -> int:
        """
        Return microseconds of the clock it lives by.
        """
        return time.perf_counter_ns() // 1000 if self.path is None else _START_US + self.now_us

    # --- on the virtual clock ---------------------------------------------------------------

    def run(self, now_us: int) -> bool:
        """
        Do what is due; return whether there may be something for the program.
        """
        self.now_us = now_us
        before = self._moves
        self.pump()
        while self._moves != before:
            before = self._moves
            self.pump()
            self._news = True
        news, self._news = self._news, False
        return news

    def next_deadline(self) -> int:
        """
        Return when it wants to run again.
        """
        return self.now_us + _TURN_US

    # --- what the test says -----------------------------------------------------------------

    def send(self, message: Message) -> None:
        """
        Send a message as it should be.
        """
        assert self.session is not None
        self.session.send(message)
        self.flush()

    def push(self, kind: int, body: bytes) -> None:
        """
        Send a frame with any body, rightly numbered and tagged.
        """
        assert self.session is not None
        self.session._lanes._commands.append((kind, body))
        self.session._lanes.command_bytes += len(body) + 32
        self.flush()

    def raw(self, data: bytes) -> None:
        """
        Send bytes past the protocol core.
        """
        if self._socket is not None:
            self._news = True
            self._out += data
            self._send_what_fits(self._socket)

    def hang_up(self) -> None:
        """
        Close the connection without a word.
        """
        self._out.clear()
        if self._socket is not None:
            self._socket.close()
            self._news = True
        self._socket = None
        self.session = None

    def subscribe(self, symbol: str, number: int = 1, epoch: int = 7) -> Stream:
        """
        Ask for a symbol's ticks; return the answer.
        """
        self.send(Subscribe(number, 1, symbol, 0, epoch, 86_400, None))
        return self.expect(Stream, lambda stream: stream.request_id == number)

    def acknowledge(self, frame: Ticks) -> None:
        """
        Say that a frame of ticks was taken.
        """
        assert self.session is not None
        size = sum(40 + len(run.records) for run in frame.runs) + 32
        self.session.taken(frame.seq, size, self.clock())

    # --- what the test waits for --------------------------------------------------------------

    @property
    def active(self) -> bool:
        """
        Whether a terminal is logged on.
        """
        return self.session is not None and self.session.state.value == "active"

    def log_on(self) -> None:
        """
        Wait until a terminal is logged on.
        """
        self.until(lambda: self.active)

    def expect(self, kind: type[T], where: Callable[[T], bool] = lambda _: True) -> T:
        """
        Return the first event of this kind, waiting for it.
        """
        found: list[T] = []

        def look() -> bool:
            for event in self.events:
                if isinstance(event, kind) and where(event):
                    self.events.remove(event)
                    found.append(event)
                    return True
            return False

        self.until(look)
        return found[0]

    def until(self, happened: Callable[[], Any], within_s: float = DEADLINE_S) -> None:
        """
        Live until something is true.
        """
        deadline = time.monotonic() + within_s
        while not happened():
            assert time.monotonic() < deadline, f"not in time: {self.events[-5:]} {self.ends[-3:]}"
            self.pump(0.01)

    def pump(self, wait_s: float = 0.0) -> None:
        """
        Take what is here, waiting for it for a moment, and run the timers.
        """
        ends = [self._listener, *([self._socket] if self._socket else [])]
        readable, _, _ = select.select(ends, [], [], wait_s)
        if self._listener in readable:
            self._accept()
        elif self._socket is not None and self._socket in readable:
            self._receive(self._socket)
        if self._socket is not None:
            self._send_what_fits(self._socket)
        session = self.session
        if session is not None:
            if self.clock() >= session.next_deadline():
                session.handle_timer(self.clock())
            self._take_events(session)
            self.flush()

    def flush(self) -> None:
        """
        Send what the core has to send.
        """
        session = self.session
        while session is not None and (data := session.data_to_send()):
            self.raw(data)
        if session is not None and session.closed:
            self._take_events(session)
            self.hang_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()
        self._listener.close()

    # --- inside -------------------------------------------------------------------------------

    def _accept(self) -> None:
        self._moves += 1
        self.hang_up()
        if self.away:
            self._listener.accept()[0].close()
            return
        self._socket, _ = self._listener.accept()
        if self.path is None:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.session = RelaySession(self.clock())
        self.connections += 1

    def _send_what_fits(self, connection: socket.socket) -> None:
        # Never wait for it: on the virtual clock nobody would read meanwhile.
        self.sent_ns = time.perf_counter_ns() if self._out else self.sent_ns
        with contextlib.suppress(OSError):
            while self._out:
                sent = send_at_once(connection, self._out)
                del self._out[:sent]

    def _receive(self, connection: socket.socket) -> None:
        assert self.session is not None
        self._moves += 1
        try:
            data = connection.recv(65_536)
        except OSError:
            data = b""
        self.received_ns = time.perf_counter_ns()
        if data:
            self.session.receive_data(data, self.clock())
            return
        session = self.session
        session.receive_eof()
        self._take_events(session)
        self.hang_up()

    def _take_events(self, session: RelaySession) -> None:
        for event in session.events_received():
            if isinstance(event, Closed):
                self.ends.append(event)
            elif session.closed or (
                isinstance(event, HelloReceived | LogonRequested) and self.logon(session, event)
            ):
                continue
            elif isinstance(event, HelloReceived):
                nonce = secrets.token_bytes(32)
                session.challenge(self.key, nonce, 7, int(self.capabilities))
            elif isinstance(event, LogonRequested):
                session.accept(
                    "demo", "scripted relay", self.clock(), 1_546_380_000_123, 0, self.place
                )
                self.logons += 1
            else:
                if isinstance(event, Ticks):
                    self.acknowledge(event)
                self.events.append(event)
