"""The engine: one thread that owns every socket of a client.

Both shells use it, so no event loop ever polls a ZeroMQ socket: the Proactor loop of
Windows and notebooks need nothing special.

Rule 1: sockets are made, used and closed in the engine's thread. Other threads leave a
command in a deque and wake it by a byte through a socket pair.
Rule 2: one SUB socket a stream. A slow iterator stops the reading of its own socket alone;
then ZeroMQ's queue fills, the relay drops for this subscriber, and the sequence numbers
show it. Closing the socket takes every subscription back.
Rule 3: one DEALER with ZMQ_IMMEDIATE: a request waits in ``OpenRequests`` and not in a queue
of ZeroMQ's, so one whose deadline has passed is never sent when the relay comes back.
What becomes of requests is decided there; the engine gives it the socket and the time.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import math
import os
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

import zmq

from bridge.client.actions import Ask, Connect, Fail, Joined, Subscribe, Unsubscribe
from bridge.client.flows import Inquiry
from bridge.client.mailbox import Mailbox
from bridge.client.requests import OpenRequests
from bridge.client.stream import StreamCore
from bridge.exceptions import InvalidRequest, RequestError, RequestRefused

__all__ = ["Engine", "StreamHandle"]

log = logging.getLogger(__name__)

#: Of a DEALER: half-open connections are noticed within 1 + 3 s.
_HEARTBEAT_IVL_MS: Final = 1_000
_HEARTBEAT_TIMEOUT_MS: Final = 3_000
_RECONNECT_IVL_MS: Final = 100
_RECONNECT_IVL_MAX_MS: Final = 1_000
_CONNECT_TIMEOUT_MS: Final = 3_000
_HANDSHAKE_IVL_MS: Final = 3_000
#: The system notices that the relay's computer is gone, also of a SUB that is not read.
_KEEPALIVE_IDLE_S: Final = 2
_KEEPALIVE_INTVL_S: Final = 1
_KEEPALIVE_CNT: Final = 3
_RCVHWM: Final = 100_000
#: A page of a replay is 1 MiB; a snapshot or a page of symbols is less.
_REPLY_MAX: Final = 8 * 1024 * 1024
_MESSAGE_MAX: Final = 1024 * 1024
#: Frames taken from one socket before the others get their turn.
_BURST: Final = 1_000
_REPLIES: Final = 100
_STREAMS_MAX: Final = 256
_CLOSE_TIMEOUT_S: Final = 5.0
_NEVER: Final = float("inf")
_CLOSED: Final = "CLIENT_CLOSED"


class StreamHandle:
    """
    A stream inside of the engine: its state, its socket, where its items go.

    ``joined`` is resolved when every topic is subscribed, or with the error that ended it.
    """

    def __init__(self, core: StreamCore, capacity: int, engine: Engine) -> None:
        self.core = core
        self.mailbox = Mailbox(capacity, lambda: engine.resume(self))
        self.joined: Future[None] = Future()
        self.joined.set_running_or_notify_cancel()
        # The rest belongs to the engine's thread.
        self.burst = max(min(capacity, _BURST), 1)
        self.socket: zmq.Socket[bytes] | None = None
        self.endpoint = ""
        self.paused = False

    def end(self, error: RequestError) -> None:
        """
        Tell the iterator why nothing follows. Called by the engine, once.
        """
        # For an iterator the end of its client is an end, not a failure.
        self.mailbox.end(None if error.code == _CLOSED else error)
        if not self.joined.done():
            self.joined.set_exception(error)


class Engine:
    """
    One client's connection to a relay. Methods may be called from any thread.

    The thread starts with the first request and ends with ``close``, or with the
    interpreter.
    """

    def __init__(self, endpoint: str, client_id: str) -> None:
        self.endpoint = endpoint
        # Re-entrant: the garbage collector may drop a client inside of any call.
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._commands: deque[Callable[[], None]] = deque()
        self._wakeup: tuple[socket.socket, socket.socket] | None = None
        self._woken = False
        self._closing = False
        self._thread: threading.Thread | None = None
        # Everything below belongs to the thread.
        self._context: zmq.Context[zmq.Socket[bytes]]
        self._dealer: zmq.Socket[bytes]
        self._poller = zmq.Poller()
        self._streams: list[StreamHandle] = []
        self._requests = OpenRequests(endpoint, client_id)
        #: what becomes of everything that is open when the thread ends
        self._outcome: RequestError = RequestRefused(
            "the client's I/O thread ended unexpectedly",
            code="INTERNAL",
            hop="client",
            hint="this is a defect: please report the traceback that is on stderr",
        )
        _ENGINES.add(self)

    # --- from any thread --------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """
        Whether ``close`` was called.
        """
        return self._closing

    @property
    def started(self) -> bool:
        """
        Whether there is anything to close.
        """
        return self._thread is not None and not self._closing and os.getpid() == self._pid

    def request(self, inquiry: Inquiry, timeout_s: float) -> Future[dict[str, Any]]:
        """
        Send a request; the future has its result or its error by the deadline.

        Raises:
            InvalidRequest: the client is closed, or was inherited through a fork.
        """
        future: Future[dict[str, Any]] = Future()
        # Whoever waits may go away; the outcome is set all the same and nobody minds.
        future.set_running_or_notify_cancel()
        done, failed, since = future.set_result, future.set_exception, time.monotonic()
        self._post(lambda: self._ask(inquiry, timeout_s, done, failed, since))
        return future

    def open(self, core: StreamCore, capacity: int) -> StreamHandle:
        """
        Start a stream.

        Raises:
            InvalidRequest: the client is closed, or was inherited through a fork.
        """
        handle = StreamHandle(core, capacity, self)
        self._post(lambda: self._open(handle))
        return handle

    def resume(self, handle: StreamHandle) -> None:
        """
        The iterator of a stream has room again.
        """
        self._post_quietly(lambda: self._resume(handle))

    def end(self, handle: StreamHandle) -> None:
        """
        End a stream and its subscriptions; its iterator stops.
        """
        handle.mailbox.end(None)
        self._post_quietly(lambda: self._end(handle, _closed()))

    def close(self, timeout_s: float = _CLOSE_TIMEOUT_S) -> None:
        """
        End everything and wait for the thread. Calls that wait fail, iterators stop.

        May be called twice, from any thread, and in a forked child, where it does nothing.
        """
        self.stop()
        thread = self._thread
        if os.getpid() != self._pid or thread is None or thread is threading.current_thread():
            return
        thread.join(timeout_s)
        if thread.is_alive():
            log.warning("the client's I/O thread did not end within %s s", timeout_s)

    def stop(self) -> None:
        """
        End everything, like ``close``, but do not wait for it.
        """
        if os.getpid() == self._pid:
            with self._lock:
                self._closing = True
            self._wake()

    # --- inside, any thread -----------------------------------------------------------------

    def _post(self, command: Callable[[], None]) -> None:
        if os.getpid() != self._pid:
            raise InvalidRequest(
                "a client cannot be used in a forked child",
                code="FORKED",
                hint="make a new client there, or start processes with 'spawn'",
            )
        with self._lock:
            if self._closing:
                raise _closed()
            self._commands.append(command)
            if self._thread is None:
                self._start()
        self._wake()

    def _post_quietly(self, command: Callable[[], None]) -> None:
        # For what is pointless, not wrong, once the client is closed.
        if os.getpid() == self._pid and not self._closing:
            self._commands.append(command)
            self._wake()

    def _start(self) -> None:
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        self._wakeup = reader, writer
        self._thread = threading.Thread(
            target=self._run,
            args=(reader, writer),
            name=f"bridge client of {self.endpoint}",
            daemon=True,
        )
        self._thread.start()

    def _wake(self) -> None:
        # The flag is cleared before the commands are run: a command that finds it set will
        # be run by the wake-up that is under way.
        if self._wakeup is not None and not self._woken:
            self._woken = True
            # Full: a wake-up is under way. Closed: there is nobody left to wake.
            with contextlib.suppress(OSError):
                self._wakeup[1].send(b"\0")

    # --- the thread -------------------------------------------------------------------------

    def _run(self, reader: socket.socket, writer: socket.socket) -> None:
        self._context = zmq.Context()
        try:
            problem = self._dial()
            if problem is None:
                self._poller.register(reader.fileno(), zmq.POLLIN)
                self._poller.register(self._dealer, zmq.POLLIN)
                self._serve(reader)
                problem = _closed()
            self._outcome = problem
        finally:
            with self._lock:
                self._closing = True
            # Nothing is added to the commands any more; what is there fails like the rest.
            self._run_commands()
            for handle in list(self._streams):
                self._end(handle, self._outcome)
            self._requests.fail_all(self._outcome)
            self._context.destroy(linger=0)
            reader.close()
            writer.close()

    def _serve(self, reader: socket.socket) -> None:
        waker = reader.fileno()
        while not self._closing:
            ready = dict(self._poller.poll(self._poll_ms()))
            if waker in ready:
                with contextlib.suppress(BlockingIOError):
                    reader.recv(4096)
                self._woken = False
            self._run_commands()
            if self._dealer in ready:
                self._read_replies()
            if self._requests.unsent:
                self._send_requests()
            for handle in list(self._streams):
                if handle.socket is not None and handle.socket in ready and not handle.paused:
                    self._read(handle)
            self._run_timers()

    def _poll_ms(self) -> int | None:
        deadline = self._requests.deadline
        for handle in self._streams:
            deadline = min(deadline, handle.core.deadline)
        if deadline == _NEVER:
            return None
        return max(math.ceil((deadline - time.monotonic()) * 1000), 0)

    def _run_commands(self) -> None:
        while self._commands:
            self._commands.popleft()()

    def _run_timers(self) -> None:
        now = time.monotonic()
        for handle in list(self._streams):
            if now >= handle.core.deadline:
                handle.core.timer(now)
                self._flush(handle, now)
        if now >= self._requests.deadline:
            self._requests.timer(now)
            self._send_requests()

    def _dial(self) -> RequestError | None:
        self._dealer = self._make_socket(zmq.DEALER, _REPLY_MAX)
        self._dealer.setsockopt(zmq.IMMEDIATE, 1)
        try:
            self._dealer.connect(self.endpoint)
        except zmq.ZMQError as error:
            return InvalidRequest(f"{self.endpoint}: {error.strerror}", field="endpoint")
        return None

    def _make_socket(self, kind: int, message_max: int) -> zmq.Socket[bytes]:
        made = self._context.socket(kind)
        made.linger = 0
        made.setsockopt(zmq.RCVHWM, _RCVHWM)
        made.setsockopt(zmq.MAXMSGSIZE, message_max)
        if kind == zmq.DEALER:
            # Not a SUB: one that is not read hears no PONG, and libzmq 4.3 aborts the process when
            # it is read again (libzmq issues 3937, 4767).
            made.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_IVL_MS)
            made.setsockopt(zmq.HEARTBEAT_TIMEOUT, _HEARTBEAT_TIMEOUT_MS)
        made.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_IVL_MS)
        made.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_IVL_MAX_MS)
        made.setsockopt(zmq.CONNECT_TIMEOUT, _CONNECT_TIMEOUT_MS)
        made.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_IVL_MS)
        made.setsockopt(zmq.IPV6, int("[" in self.endpoint))
        made.setsockopt(zmq.TCP_KEEPALIVE, 1)
        made.setsockopt(zmq.TCP_KEEPALIVE_IDLE, _KEEPALIVE_IDLE_S)
        made.setsockopt(zmq.TCP_KEEPALIVE_INTVL, _KEEPALIVE_INTVL_S)
        made.setsockopt(zmq.TCP_KEEPALIVE_CNT, _KEEPALIVE_CNT)
        return made

    # --- requests ---------------------------------------------------------------------------

    def _ask(
        self,
        inquiry: Inquiry,
        timeout_s: float,
        done: Callable[[dict[str, Any]], None],
        failed: Callable[[RequestError], None],
        since: float,
    ) -> None:
        if self._closing:
            failed(self._outcome)
            return
        self._requests.ask(inquiry, timeout_s, done, failed, since)
        self._send_requests()

    def _send_requests(self) -> None:
        self._requests.send(self._take, time.monotonic())
        events = zmq.POLLIN | zmq.POLLOUT if self._requests.unsent else zmq.POLLIN
        self._poller.modify(self._dealer, events)

    def _take(self, frame: bytes) -> bool:
        try:
            self._dealer.send(frame, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def _read_replies(self) -> None:
        for _ in range(_REPLIES):
            try:
                frames = self._dealer.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._requests.receive(frames[-1], time.monotonic())

    # --- streams ----------------------------------------------------------------------------

    def _open(self, handle: StreamHandle) -> None:
        if self._closing:
            handle.end(self._outcome)
            return
        if len(self._streams) >= _STREAMS_MAX:
            handle.end(
                InvalidRequest(
                    f"{_STREAMS_MAX} iterators of this client are open",
                    hint="close those that are not used, or give one iterator several symbols",
                )
            )
            return
        handle.socket = self._make_socket(zmq.SUB, _MESSAGE_MAX)
        self._streams.append(handle)
        self._poller.register(handle.socket, zmq.POLLIN)
        now = time.monotonic()
        handle.core.start(now)
        self._flush(handle, now)

    def _read(self, handle: StreamHandle) -> None:
        if handle.socket is None:
            return
        now = time.monotonic()
        receive, recv = handle.core.receive, handle.socket.recv
        count = 0
        try:
            while count < handle.burst:
                receive(recv(zmq.NOBLOCK), now)
                count += 1
        except zmq.Again:
            pass
        if count:
            self._requests.hear(now)
            handle.core.stats.received += count
            self._flush(handle, now)

    def _flush(self, handle: StreamHandle, now: float) -> None:
        core = handle.core
        items = core.take_items()
        if items:
            handle.mailbox.put(items)
        for action in core.take_actions():
            sub = handle.socket
            if sub is None:
                return
            match action:
                case Ask():
                    self._ask_for(handle, action, now)
                case Connect():
                    self._connect(handle, sub, action.endpoint)
                case Subscribe():
                    sub.setsockopt(zmq.SUBSCRIBE, action.prefix)
                case Unsubscribe():
                    sub.setsockopt(zmq.UNSUBSCRIBE, action.prefix)
                case Joined():
                    for waiting in action.waiting:
                        log.warning("%s; waiting", waiting)
                    handle.joined.set_result(None)
                case Fail():
                    self._end(handle, action.error)
                    return
        if not handle.paused and handle.mailbox.full and handle.socket is not None:
            handle.paused = True
            self._poller.unregister(handle.socket)
            core.pause()

    def _ask_for(self, handle: StreamHandle, ask: Ask, now: float) -> None:
        def done(result: dict[str, Any]) -> None:
            if handle.socket is not None:
                later = time.monotonic()
                handle.core.replied(ask.token, result, later)
                self._flush(handle, later)

        def failed(error: RequestError) -> None:
            if handle.socket is not None:
                later = time.monotonic()
                handle.core.refused(ask.token, error, later)
                self._flush(handle, later)

        self._ask(Inquiry(ask.method, ask.params), ask.timeout_s, done, failed, now)

    def _connect(self, handle: StreamHandle, sub: zmq.Socket[bytes], endpoint: str) -> None:
        if handle.endpoint:
            sub.disconnect(handle.endpoint)
        sub.connect(endpoint)
        handle.endpoint = endpoint

    def _resume(self, handle: StreamHandle) -> None:
        if handle.paused and handle.socket is not None:
            handle.paused = False
            self._poller.register(handle.socket, zmq.POLLIN)
            now = time.monotonic()
            handle.core.resume(now)
            self._flush(handle, now)

    def _end(self, handle: StreamHandle, error: RequestError) -> None:
        if handle.socket is None:
            return
        if not handle.paused:
            self._poller.unregister(handle.socket)
        handle.socket.close(linger=0)
        handle.socket = None
        self._streams.remove(handle)
        handle.end(error)


#: What is open when the interpreter ends is closed by it, before threads are killed.
_ENGINES: Final[weakref.WeakSet[Engine]] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for engine in list(_ENGINES):
        engine.close()


def _closed() -> RequestError:
    return InvalidRequest("the client is closed", code=_CLOSED, hint="make a new one")
