"""Runs a simulated terminal over a TCP connection to the relay.

One thread, one selector, nothing waits: the loop that the EA's timer and pump make in
MetaTrader. The relay may be absent, come and go: the core says when to dial again.
"""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import threading
import time
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from bridge.sim.terminal import SEND_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.sim.feed import Feed
    from bridge.sim.terminal import TerminalCore

__all__ = ["TerminalRunner", "TerminalThread", "clock_us", "run_terminal"]

#: The EA's timer: how often ticks are looked for.
_POLL_US: Final = 10_000
_CONNECT_TIMEOUT_US: Final = 5_000_000
#: How long the relay has to close after the last frame.
_CLOSE_TIMEOUT_US: Final = 500_000
_RECEIVE_SIZE: Final = 65_536
#: Sends in one turn at most, so that what arrives is heard in between.
_SENDS_PER_TURN: Final = 16
_WAITING_MAX: Final = 1_000
#: A connection that is under way; Windows says EWOULDBLOCK, with its own number.
_UNDER_WAY: Final = frozenset({0, errno.EINPROGRESS, errno.EWOULDBLOCK, 10035})

_READ: Final = selectors.EVENT_READ
_WRITE: Final = selectors.EVENT_WRITE


def clock_us() -> int:
    """
    Return the time on the clock that terminals are driven by, in microseconds.
    """
    # Not monotonic(): on Windows it moves in steps of 16 ms before Python 3.13.
    return time.perf_counter_ns() // 1000


class TerminalRunner:
    """
    Connects a core to a port and drives it. ``run`` belongs to one thread; ``stop``,
    ``call_soon`` and ``wait_for`` may be called from any other.

    Args:
        core: the terminal; touched in the thread of ``run`` only.
        port: of the relay's terminal endpoint.
        host: where the relay is; an address, not a name.
        feed: what plays ticks into the core's market.
        on_sent: called with symbol, first seq, length and ``time.monotonic_ns()`` for every
            run right before its bytes are handed to the socket.
    """

    def __init__(
        self,
        core: TerminalCore,
        port: int,
        *,
        host: str = "127.0.0.1",
        feed: Feed | None = None,
        on_sent: Callable[[str, int, int, int], None] | None = None,
    ) -> None:
        self.core = core
        self.feed = feed
        #: records and bytes handed to the socket, TCP connections made
        self.ticks_sent = 0
        self.bytes_sent = 0
        self.connections = 0
        self._address = (host, port)
        self._on_sent = on_sent
        self._runs: list[tuple[str, int, int]] = []
        core.collector.on_taken = self._note_run
        self._selector: selectors.BaseSelector = selectors.DefaultSelector()
        #: written to by others to end a wait; there while ``run`` is
        self._wake_write: socket.socket | None = None
        self._socket: socket.socket | None = None
        self._interest = 0
        self._connecting_until_us = 0
        self._closing_until_us = 0
        self._shut = False
        self._out = memoryview(b"")
        self._buffer = memoryview(bytearray(_RECEIVE_SIZE))
        self._lock = threading.Lock()
        self._calls: deque[Callable[[], object]] = deque()
        self._waiters: list[tuple[Callable[[], bool], threading.Event]] = []
        self._stopping = False
        self._abruptly = False
        self._ended = False

    @property
    def reconnects(self) -> int:
        """
        Sessions after the first one.
        """
        return max(0, self.core.logons - 1)

    def run(self, *, until_finished: bool = False) -> None:
        """
        Run until ``stop``, or until the feed is played and what was asked of it is sent; then
        log out and close. A runner runs once.

        Raises:
            LedgerError: the connection counter cannot be committed.
            ValueError: the feed gives ticks that are out of order.
        """
        wake_read, wake_write = socket.socketpair()
        with wake_read, wake_write:
            wake_read.setblocking(False)
            wake_write.setblocking(False)
            self._selector.register(wake_read, _READ)
            with self._lock:
                self._wake_write = wake_write
            try:
                while not self._stopping and not (until_finished and self._is_finished()):
                    self._turn()
                if not self._abruptly:
                    self._say_goodbye()
            finally:
                self._close_socket()
                self._selector.close()
                with self._lock:
                    self._ended = True
                    self._wake_write = None
                    waiters, self._waiters = self._waiters, []
                for _, event in waiters:
                    event.set()

    def stop(self, *, abruptly: bool = False) -> None:
        """
        Let ``run`` end; ``abruptly`` without a LOGOUT, as when the terminal is killed.
        """
        with self._lock:
            self._abruptly = self._abruptly or abruptly
            self._stopping = True
        self._wake()

    def call_soon(self, call: Callable[[], object]) -> None:
        """
        Run a function in the thread of ``run``, before its next turn: how others may touch
        core, market and feed. What it raises ends ``run``.
        """
        with self._lock:
            self._calls.append(call)
        self._wake()

    def wait_for(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """
        Wait until a condition holds, asked in the thread of ``run`` at every turn; return
        whether it did.

        Raises:
            RuntimeError: too many wait already.
        """
        held = threading.Event()
        ended = threading.Event()

        def check() -> bool:
            if condition():
                held.set()
            return held.is_set()

        with self._lock:
            if len(self._waiters) >= _WAITING_MAX:
                raise RuntimeError(f"{_WAITING_MAX} conditions are waited for")
            if not self._ended:
                self._waiters.append((check, ended))
        if not self._ended:
            self._wake()
            ended.wait(timeout_s)
        return held.is_set()

    # --- the loop --------------------------------------------------------------------------

    def _turn(self) -> None:
        core, feed = self.core, self.feed
        before = (core.collector.numbered, self.bytes_sent)
        self._run_calls()
        now_us = clock_us()
        played = 0 if feed is None else feed.due(now_us)
        core.poll(now_us)
        self._send()
        self._tend_connection(now_us)
        self._check_waiters()
        busy = played or before != (core.collector.numbered, self.bytes_sent)
        self._select(0 if busy else self._timeout_us())

    def _is_finished(self) -> bool:
        return self.feed is not None and self.feed.finished and self.core.everything_sent

    def _run_calls(self) -> None:
        while self._calls:
            with self._lock:
                call = self._calls.popleft()
            call()

    def _check_waiters(self) -> None:
        if self._waiters:
            done = [waiter for waiter in list(self._waiters) if waiter[0]()]
            with self._lock:
                self._waiters = [waiter for waiter in self._waiters if waiter not in done]
            for _, event in done:
                event.set()

    def _timeout_us(self) -> int:
        wanted_us = self.core.next_deadline()
        if self.feed is not None:
            if self.feed.is_ready:
                return 0
            wanted_us = min(wanted_us, self.feed.next_due())
        if self._is_up() and not self._out and self.core.wants_to_send:
            return 0
        return max(0, min(_POLL_US, wanted_us - clock_us()))

    def _select(self, timeout_us: int) -> None:
        self._watch()
        for key, events in self._selector.select(timeout_us / 1e6):
            if key.fileobj is self._socket:
                if self._connecting_until_us:
                    self._connected()
                elif events & _READ:
                    self._receive()
            elif isinstance(key.fileobj, socket.socket) and key.fileobj.fileno() >= 0:
                with contextlib.suppress(BlockingIOError):
                    key.fileobj.recv(_RECEIVE_SIZE)

    def _watch(self) -> None:
        # What the socket is to be watched for. Not for reading while a call blocks: a blocked
        # EA does not read, and its relay sees the window close.
        if self._socket is None:
            return
        if self._connecting_until_us:
            interest = _WRITE
        else:
            interest = _READ if self.core.closing or self.core.wants_to_receive else 0
            if self._out:
                interest |= _WRITE
        if interest == self._interest:
            return
        if not interest:
            self._selector.unregister(self._socket)
        elif not self._interest:
            self._selector.register(self._socket, interest)
        else:
            self._selector.modify(self._socket, interest)
        self._interest = interest

    # --- the connection ----------------------------------------------------------------------

    def _tend_connection(self, now_us: int) -> None:
        core = self.core
        if self._socket is None:
            if core.may_connect(now_us):
                self._dial(now_us)
        elif self._connecting_until_us:
            if now_us >= self._connecting_until_us:
                self._lose()
        elif core.closing:
            if not self._closing_until_us:
                self._closing_until_us = now_us + _CLOSE_TIMEOUT_US
            if now_us >= self._closing_until_us:
                self._lose()
            elif not self._shut and not self._out and not core.wants_to_send:
                # Closed at once, the last frame could be lost with what we did not read: the
                # relay closes first, within its time.
                self._shut = True
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_WR)

    def _is_up(self) -> bool:
        return self._socket is not None and not self._connecting_until_us and not self._shut

    def _dial(self, now_us: int) -> None:
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.setblocking(False)
        self._socket = connection
        self._interest = 0
        if connection.connect_ex(self._address) in _UNDER_WAY:
            self._connecting_until_us = now_us + _CONNECT_TIMEOUT_US
        else:
            self._lose()

    def _connected(self) -> None:
        connection = self._socket
        if connection is None:
            return
        self._connecting_until_us = 0
        try:
            error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            # A free port of this machine may connect to itself: that is no relay.
            if error or connection.getsockname() == connection.getpeername():
                self._lose()
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            self._lose()
            return
        self.connections += 1
        self.core.connection_made(clock_us())
        self._send()

    def _receive(self) -> None:
        connection = self._socket
        if connection is None:
            return
        try:
            size = connection.recv_into(self._buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            size = 0
        if not size:
            self._lose()
        else:
            self.core.data_received(self._buffer[:size], clock_us())
            self._send()

    def _send(self) -> None:
        connection = self._socket
        if connection is None or not self._is_up():
            return
        try:
            for _ in range(_SENDS_PER_TURN):
                if not self._out:
                    self._out = memoryview(self.core.data_to_send(SEND_LIMIT))
                    self._tell_sent()
                    if not self._out:
                        return
                sent = connection.send(self._out)
                self.bytes_sent += sent
                self._out = self._out[sent:]
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._lose()

    def _note_run(self, symbol: str, first_seq: int, length: int) -> None:
        self.ticks_sent += length
        if self._on_sent is not None:
            self._runs.append((symbol, first_seq, length))

    def _tell_sent(self) -> None:
        if self._on_sent is not None and self._runs:
            stamp_ns = time.monotonic_ns()
            for symbol, first_seq, length in self._runs:
                self._on_sent(symbol, first_seq, length, stamp_ns)
            self._runs.clear()

    def _lose(self) -> None:
        self._close_socket()
        self.core.connection_lost(clock_us())

    def _close_socket(self) -> None:
        connection, self._socket = self._socket, None
        self._out = memoryview(b"")
        self._connecting_until_us = self._closing_until_us = 0
        self._shut = False
        if connection is not None:
            if self._interest:
                self._selector.unregister(connection)
                self._interest = 0
            connection.close()

    def _say_goodbye(self) -> None:
        self.core.log_out("the terminal stops")
        self._send()
        until_us = clock_us() + _CLOSE_TIMEOUT_US
        while self._socket is not None and clock_us() < until_us:
            self._send()
            self._tend_connection(clock_us())
            self._select(_POLL_US)

    def _wake(self) -> None:
        with self._lock:
            if self._wake_write is not None:
                # A full pipe wakes as well.
                with contextlib.suppress(BlockingIOError):
                    self._wake_write.send(b"\0")


class TerminalThread:
    """
    A terminal in a thread of its own, for demos and tests; a context manager.

    Arguments are those of ``TerminalRunner``.
    """

    def __init__(
        self,
        core: TerminalCore,
        port: int,
        *,
        host: str = "127.0.0.1",
        feed: Feed | None = None,
        on_sent: Callable[[str, int, int, int], None] | None = None,
    ) -> None:
        self.runner = TerminalRunner(core, port, host=host, feed=feed, on_sent=on_sent)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="terminal", daemon=True)

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
        self.join()

    @property
    def core(self) -> TerminalCore:
        return self.runner.core

    @property
    def ticks_sent(self) -> int:
        return self.runner.ticks_sent

    @property
    def reconnects(self) -> int:
        return self.runner.reconnects

    def start(self) -> None:
        """
        Start the thread; once.
        """
        self._thread.start()

    def stop(self, *, abruptly: bool = False) -> None:
        """
        Let the terminal log out and end; ``abruptly`` without a word.
        """
        self.runner.stop(abruptly=abruptly)

    def join(self, timeout_s: float = 10.0) -> None:
        """
        Wait for the thread.

        Raises:
            TimeoutError: it did not end.
            Exception: what ended it, if it was not ``stop``.
        """
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise TimeoutError(f"the terminal's thread did not end within {timeout_s} s")
        if self._error is not None:
            raise self._error

    def wait_for(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> bool:
        """
        Do what ``TerminalRunner.wait_for`` does.
        """
        return self.runner.wait_for(condition, timeout_s)

    def call_soon(self, call: Callable[[], object]) -> None:
        """
        Do what ``TerminalRunner.call_soon`` does.
        """
        self.runner.call_soon(call)

    def _run(self) -> None:
        try:
            self.runner.run()
        except BaseException as error:  # noqa: BLE001  # raised again by join()
            self._error = error


def run_terminal(
    core: TerminalCore,
    port: int,
    *,
    host: str = "127.0.0.1",
    feed: Feed | None = None,
    until_finished: bool = False,
) -> None:
    """
    Run a terminal in this thread until KeyboardInterrupt, or until its feed is played and sent.

    Raises:
        LedgerError: the connection counter cannot be committed.
        ValueError: the feed gives ticks that are out of order.
    """
    TerminalRunner(core, port, host=host, feed=feed).run(until_finished=until_finished)
