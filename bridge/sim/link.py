"""A TCP connection that fails on command: a proxy between terminal and relay.

Real sockets on loopback, one thread, a free port. The terminal dials the link, the link dials
the relay. Each fault's docstring says how realistic it is.
"""

from __future__ import annotations

import contextlib
import enum
import selectors
import socket
import struct
import sys
import threading
from collections import deque
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Direction", "Link", "Recording"]

_READ: Final = selectors.EVENT_READ
_WRITE: Final = selectors.EVENT_WRITE
_CHUNK: Final = 65_536
#: With so much waiting for one side, the other side is not read: the sender's window closes.
_HIGH: Final = 262_144
_RECORD_MAX: Final = 64 * 1024 * 1024
_DIAL_TIMEOUT_S: Final = 2.0
_ANSWER_TIMEOUT_S: Final = 10.0
#: Connections at a time; more are turned away.
_CONNECTIONS_MAX: Final = 64
#: struct linger, two ints, on Windows two shorts: on close send RST, do not wait.
_NO_LINGER: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


class Direction(enum.Enum):
    """
    Where bytes go.
    """

    TO_RELAY = "to relay"
    TO_TERMINAL = "to terminal"


@dataclass(slots=True)
class Recording:
    """
    What one connection carried, up to 64 MiB in each direction.
    """

    to_relay: bytearray = field(default_factory=bytearray)
    to_terminal: bytearray = field(default_factory=bytearray)


class _Pipe:
    # One direction of one connection.

    def __init__(
        self,
        source: socket.socket,
        sink: socket.socket,
        direction: Direction,
        record: bytearray | None,
    ) -> None:
        self.source = source
        self.sink = sink
        self.direction = direction
        self.record = record
        self.waiting = bytearray()
        self.ended = False

    @property
    def wants_to_read(self) -> bool:
        return not self.ended and len(self.waiting) < _HIGH


class _Connection:
    def __init__(
        self, terminal: socket.socket, relay: socket.socket, recording: Recording | None
    ) -> None:
        self.terminal = terminal
        self.relay = relay
        to_relay = recording.to_relay if recording else None
        to_terminal = recording.to_terminal if recording else None
        self.pipes = (
            _Pipe(terminal, relay, Direction.TO_RELAY, to_relay),
            _Pipe(relay, terminal, Direction.TO_TERMINAL, to_terminal),
        )

    def interest_in(self, end: socket.socket, frozen: frozenset[Direction]) -> int:
        interest = 0
        for pipe in self.pipes:
            if pipe.direction in frozen:
                continue
            if pipe.source is end and pipe.wants_to_read:
                interest |= _READ
            if pipe.sink is end and pipe.waiting:
                interest |= _WRITE
        return interest


class Link:
    """
    A proxy to a port of this machine; a context manager. Methods may be called from any
    thread; when one returns, its effect is there.

    Args:
        relay_port: where connections are passed on to.
        record: keep the bytes of both directions in ``recordings``.
    """

    def __init__(
        self, relay_port: int, *, relay_host: str = "127.0.0.1", record: bool = False
    ) -> None:
        self.bytes_passed = dict.fromkeys(Direction, 0)
        #: connections passed on, cut by a fault, and turned away
        self.connections = 0
        self.cuts = 0
        self.refused = 0
        self.recordings: list[Recording] = []
        self._relay = (relay_host, relay_port)
        self._record = record
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._connections: list[_Connection] = []
        self._watched: dict[socket.socket, int] = {}
        self._frozen: frozenset[Direction] = frozenset()
        self._refuses = False
        self._budgets: dict[Direction, int] = {}
        self._calls: deque[Callable[[], None]] = deque()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """
        Begin to accept connections.
        """
        self._thread.start()

    def stop(self) -> None:
        """
        Close everything, with RST, and end the thread.

        Raises:
            TimeoutError: the thread did not end.
        """
        if not self._thread.is_alive():
            self._close_all()
            return
        self._do(self._stop)
        self._thread.join(_ANSWER_TIMEOUT_S)
        if self._thread.is_alive():
            raise TimeoutError("the link's thread did not end")

    # --- faults --------------------------------------------------------------------------

    def cut(self) -> None:
        """
        Cut all connections: RST to both sides, what is on its way is lost.

        As realistic as a router that lost its state or a killed process. A cable that is
        pulled gives no RST: that is ``freeze``.
        """
        self._do(self._cut_all)

    def cut_after(self, bytes_more: int, direction: Direction) -> None:
        """
        Let exactly so many further bytes pass in one direction, then cut that connection;
        with 0 when the next byte comes.

        The receiver gets them all and then the end of the stream, the sender a RST. Real
        networks lose a part of the last bytes, too; exactly ``n`` is for tests that try
        every place in a conversation.
        """
        self._do(lambda: self._set_budget(direction, bytes_more))

    def freeze(self, *directions: Direction) -> None:
        """
        Forward nothing more in these directions, without one in either, but keep all open.

        As a half-open link looks to both sides, except that their kernels still get
        acknowledgements until this side's buffers are full.
        """
        self._do(lambda: self._set_frozen(directions or tuple(Direction)))

    def thaw(self) -> None:
        """
        Forward again, beginning with what has waited: what TCP does after a short outage.
        """
        self._do(lambda: self._set_frozen(()))

    def refuse(self) -> None:
        """
        Turn new connections away: they are accepted and reset at once.

        A dead relay's port would refuse in the first place; this is a relay that dies while
        it is dialled. For a port that nobody listens on, give the terminal another port.
        """
        self._do(lambda: self._set_refusing(True))

    def allow(self) -> None:
        """
        Pass new connections on again.
        """
        self._do(lambda: self._set_refusing(False))

    # --- inside: commands ------------------------------------------------------------------

    def _do(self, call: Callable[[], None]) -> None:
        done = threading.Event()

        def run() -> None:
            call()
            done.set()

        self._calls.append(run)
        self._wake_write.send(b"\0")
        if not done.wait(_ANSWER_TIMEOUT_S):
            raise TimeoutError("the link's thread does not answer")

    def _stop(self) -> None:
        self._stopping = True

    def _set_frozen(self, directions: tuple[Direction, ...]) -> None:
        self._frozen = frozenset(directions)

    def _set_refusing(self, refuses: bool) -> None:  # noqa: FBT001  # called from here only
        self._refuses = refuses

    def _set_budget(self, direction: Direction, bytes_more: int) -> None:
        self._budgets[direction] = bytes_more

    def _cut_all(self) -> None:
        for connection in list(self._connections):
            self.cuts += 1
            self._reset(connection)

    # --- inside: the loop --------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._selector.register(self._listener, _READ)
            self._selector.register(self._wake_read, _READ)
            while not self._stopping:
                self._watch()
                for key, events in self._selector.select():
                    end = key.fileobj
                    if end is self._listener:
                        self._accept()
                    elif end is self._wake_read:
                        self._wake_read.recv(_CHUNK)
                        while self._calls:
                            self._calls.popleft()()
                    elif isinstance(end, socket.socket):
                        self._serve(end, events)
        finally:
            self._close_all()

    def _watch(self) -> None:
        for connection in self._connections:
            for end in (connection.terminal, connection.relay):
                interest = connection.interest_in(end, self._frozen)
                before = self._watched.get(end, 0)
                if interest and not before:
                    self._selector.register(end, interest)
                elif before and not interest:
                    self._selector.unregister(end)
                elif interest != before:
                    self._selector.modify(end, interest)
                self._watched[end] = interest

    def _accept(self) -> None:
        try:
            terminal, _ = self._listener.accept()
        except OSError:
            return
        if self._refuses or len(self._connections) >= _CONNECTIONS_MAX:
            self.refused += 1
            _reset(terminal)
            return
        try:
            relay = socket.create_connection(self._relay, _DIAL_TIMEOUT_S)
        except OSError:
            self.refused += 1
            _reset(terminal)
            return
        for end in (terminal, relay):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        recording = None
        if self._record:
            recording = Recording()
            self.recordings.append(recording)
        self.connections += 1
        self._connections.append(_Connection(terminal, relay, recording))

    def _serve(self, end: socket.socket, events: int) -> None:
        for connection in list(self._connections):
            for pipe in connection.pipes:
                # A fault of the first pipe closes the second as well.
                if connection in self._connections and pipe.direction not in self._frozen:
                    if pipe.source is end and events & _READ:
                        self._read(connection, pipe)
                    elif pipe.sink is end and events & _WRITE:
                        self._write(connection, pipe)

    def _read(self, connection: _Connection, pipe: _Pipe) -> None:
        budget = self._budgets.get(pipe.direction)
        try:
            data = pipe.source.recv(_CHUNK if budget is None else min(_CHUNK, max(1, budget)))
        except BlockingIOError:
            return
        except OSError:
            self._reset(connection)
            return
        if not data:
            pipe.ended = True
        elif budget is not None and budget <= 0:
            self._cut_behind(connection, pipe)
            return
        else:
            pipe.waiting += data
            if pipe.record is not None and len(pipe.record) < _RECORD_MAX:
                pipe.record += data
            if budget is not None:
                self._budgets[pipe.direction] = budget - len(data)
        self._write(connection, pipe)

    def _write(self, connection: _Connection, pipe: _Pipe) -> None:
        try:
            while pipe.waiting:
                sent = pipe.sink.send(pipe.waiting)
                self.bytes_passed[pipe.direction] += sent
                del pipe.waiting[:sent]
        except BlockingIOError:
            return
        except OSError:
            self._pass_last_words(connection, pipe.sink)
            self._reset(connection)
            return
        if self._budgets.get(pipe.direction) == 0:
            self._cut_behind(connection, pipe)
        elif pipe.ended:
            with contextlib.suppress(OSError):
                pipe.sink.shutdown(socket.SHUT_WR)
            if all(other.ended and not other.waiting for other in connection.pipes):
                self._forget(connection)
                connection.terminal.close()
                connection.relay.close()

    def _pass_last_words(self, connection: _Connection, gone: socket.socket) -> None:
        # Who closes with something unread has reset: what he had said before is still there.
        for pipe in connection.pipes:
            if pipe.source is not gone or pipe.direction in self._budgets:
                continue
            with contextlib.suppress(OSError):
                while data := gone.recv(_CHUNK):
                    pipe.waiting += data
                    if pipe.record is not None and len(pipe.record) < _RECORD_MAX:
                        pipe.record += data
            with contextlib.suppress(OSError):
                self.bytes_passed[pipe.direction] += pipe.sink.send(pipe.waiting)

    def _cut_behind(self, connection: _Connection, pipe: _Pipe) -> None:
        # The budget is used up: the receiver has all of it.
        del self._budgets[pipe.direction]
        self.cuts += 1
        self._forget(connection)
        pipe.sink.close()
        _reset(pipe.source)

    def _reset(self, connection: _Connection) -> None:
        self._forget(connection)
        _reset(connection.terminal)
        _reset(connection.relay)

    def _forget(self, connection: _Connection) -> None:
        self._connections.remove(connection)
        for end in (connection.terminal, connection.relay):
            if self._watched.pop(end, 0):
                self._selector.unregister(end)

    def _close_all(self) -> None:
        for connection in list(self._connections):
            self._reset(connection)
        for end in (self._listener, self._wake_read, self._wake_write):
            end.close()
        self._selector.close()


def _reset(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    end.close()
