"""The engine: one thread that owns every socket of a client.

Both shells use it, so no event loop ever polls a ZeroMQ socket: the Proactor loop of
Windows and notebooks need nothing special.

Rule 1: sockets are made, used and closed in the engine's thread. Other threads leave a
command in a deque and wake it by a byte through a socket pair.
Rule 2: one SUB socket a stream. A slow iterator stops the reading of its own socket alone;
then ZeroMQ's queue fills, the relay drops for this subscriber, and the sequence numbers
show it. Closing the socket takes every subscription back.
Rule 3: one DEALER with ZMQ_IMMEDIATE: a request waits here and not in a queue of ZeroMQ's,
so one whose deadline has passed is never sent when the relay comes back.
Rule 4: every request has one outcome: the result, the relay's error, or at its deadline
``DeadlineExceeded``, or ``RelayUnreachable`` if the relay was not heard at all since.
Rule 5: a request that may trade, once sent, is undone by nothing but the relay's word. It is
asked again under the same ids, which the relay executes once at most; an error counts when
every question that was sent has got one; else the outcome is ``OrderUnknown``.
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

from bridge.bus.requests import ErrorName
from bridge.client.actions import Ask, Connect, Fail, Joined, Subscribe, Unsubscribe
from bridge.client.flows import Inquiry
from bridge.client.mailbox import Mailbox
from bridge.client.replies import MalformedReply, pack_request, read_reply
from bridge.client.stream import StreamCore
from bridge.exceptions import (
    DeadlineExceeded,
    InvalidRequest,
    OrderUnknown,
    RelayUnreachable,
    RequestError,
    RequestRefused,
)

__all__ = ["Engine", "StreamHandle"]

log = logging.getLogger(__name__)

#: Half-open connections are noticed within 1 + 3 s.
_HEARTBEAT_IVL_MS: Final = 1_000
_HEARTBEAT_TIMEOUT_MS: Final = 3_000
_RECONNECT_IVL_MS: Final = 100
_RECONNECT_IVL_MAX_MS: Final = 1_000
_CONNECT_TIMEOUT_MS: Final = 3_000
_HANDSHAKE_IVL_MS: Final = 3_000
_KEEPALIVE_IDLE_S: Final = 30
_RCVHWM: Final = 100_000
#: A page of a replay is 1 MiB; a snapshot or a page of symbols is less.
_REPLY_MAX: Final = 8 * 1024 * 1024
_MESSAGE_MAX: Final = 1024 * 1024
#: Frames taken from one socket before the others get their turn.
_BURST: Final = 1_000
_REPLIES: Final = 100
_OPEN_MAX: Final = 10_000
_STREAMS_MAX: Final = 256
_CLOSE_TIMEOUT_S: Final = 5.0
#: An order without a reply is asked for again after this time, or this part of its deadline.
_AGAIN_S: Final = 1.0
_AGAIN_PART: Final = 0.25
_NEVER: Final = float("inf")
_CLOSED: Final = "CLIENT_CLOSED"


class _Request:
    """
    A request on its way. Exactly one of ``done`` and ``failed`` is called, once.
    """

    __slots__ = (
        "again_at",
        "deadline",
        "done",
        "doubtful",
        "error",
        "failed",
        "ids",
        "inquiry",
        "sent",
        "since",
        "timeout_s",
        "unanswered",
    )

    def __init__(
        self,
        inquiry: Inquiry,
        since: float,
        timeout_s: float,
        done: Callable[[dict[str, Any]], None],
        failed: Callable[[RequestError], None],
    ) -> None:
        self.inquiry = inquiry
        self.since = since
        self.timeout_s = timeout_s
        self.deadline = since + timeout_s
        self.sent = False
        self.done = done
        self.failed = failed
        #: of the frames that ask for it: more than one only for an order
        self.ids: list[int] = []
        self.unanswered = 0
        self.again_at = _NEVER
        #: the last error of the relay, and whether one of them leaves open what was done
        self.error: RequestError | None = None
        self.doubtful = False

    @property
    def trades(self) -> bool:
        """
        Whether it may have led to a trade once it was sent.
        """
        return self.inquiry.client_order_id is not None


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
        self.client_id = client_id
        self.malformed = 0
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
        #: requests without an outcome, and by the ids of frames that wait for a reply
        self._open_requests: dict[_Request, None] = {}
        self._requests: dict[int, _Request] = {}
        self._unsent: deque[int] = deque()
        self._last_id = 0
        self._heard = -_NEVER
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
        request = _Request(
            inquiry, time.monotonic(), timeout_s, future.set_result, future.set_exception
        )
        self._post(lambda: self._ask(request))
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
            for request in self._open_requests:
                request.failed(self._lost(request, self._outcome))
            self._open_requests.clear()
            self._requests.clear()
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
            if self._unsent:
                self._send_unsent()
            for handle in list(self._streams):
                if handle.socket is not None and handle.socket in ready and not handle.paused:
                    self._read(handle)
            self._run_timers()

    def _poll_ms(self) -> int | None:
        deadline = min(
            (min(request.deadline, request.again_at) for request in self._open_requests),
            default=_NEVER,
        )
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
        for request in list(self._open_requests):
            if now >= request.deadline:
                self._forget(request)
                request.failed(self._lost(request, self._expired(request)))
            elif now >= request.again_at:
                self._put(request)
                self._send_unsent()

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
        made.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_IVL_MS)
        made.setsockopt(zmq.HEARTBEAT_TIMEOUT, _HEARTBEAT_TIMEOUT_MS)
        made.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_IVL_MS)
        made.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_IVL_MAX_MS)
        made.setsockopt(zmq.CONNECT_TIMEOUT, _CONNECT_TIMEOUT_MS)
        made.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_IVL_MS)
        made.setsockopt(zmq.IPV6, int("[" in self.endpoint))
        made.setsockopt(zmq.TCP_KEEPALIVE, 1)
        made.setsockopt(zmq.TCP_KEEPALIVE_IDLE, _KEEPALIVE_IDLE_S)
        return made

    # --- requests ---------------------------------------------------------------------------

    def _ask(self, request: _Request) -> None:
        if self._closing:
            request.failed(self._outcome)
            return
        if len(self._open_requests) >= _OPEN_MAX:
            request.failed(
                InvalidRequest(
                    f"{_OPEN_MAX} requests of this client wait for their replies",
                    code="TOO_MANY_REQUESTS",
                    hint="wait for replies before asking more",
                )
            )
            return
        self._open_requests[request] = None
        self._put(request)
        self._send_unsent()

    def _put(self, request: _Request) -> None:
        # A frame of its own id each time: only so it shows which of them were answered.
        self._last_id += 1
        self._requests[self._last_id] = request
        request.ids.append(self._last_id)
        request.again_at = _NEVER  # it waits for the socket until it is sent
        self._unsent.append(self._last_id)

    def _forget(self, request: _Request) -> None:
        self._open_requests.pop(request, None)
        for request_id in request.ids:
            self._requests.pop(request_id, None)

    def _send_unsent(self) -> None:
        now = time.monotonic()
        while self._unsent:
            request_id = self._unsent[0]
            request = self._requests.get(request_id)
            if request is not None and now < request.deadline:
                try:
                    # Packed when it is sent: the relay is told what is left of the deadline.
                    frame = pack_request(
                        request_id,
                        self.client_id,
                        request.inquiry.method,
                        request.inquiry.params,
                        terminal=request.inquiry.terminal,
                        timeout_s=request.deadline - now,
                        client_order_id=request.inquiry.client_order_id,
                    )
                    self._dealer.send(frame, zmq.NOBLOCK)
                    request.sent = True
                    request.unanswered += 1
                    if request.trades:
                        request.again_at = now + min(_AGAIN_S, request.timeout_s * _AGAIN_PART)
                except zmq.Again:
                    break
                except InvalidRequest as error:
                    self._forget(request)
                    request.failed(error)
            self._unsent.popleft()
        events = zmq.POLLIN | zmq.POLLOUT if self._unsent else zmq.POLLIN
        self._poller.modify(self._dealer, events)

    def _read_replies(self) -> None:
        for _ in range(_REPLIES):
            try:
                frames = self._dealer.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._heard = time.monotonic()
            try:
                reply = read_reply(frames[-1])
            except ValueError as error:
                self.malformed += 1
                log.warning("a frame from %s is not a reply: %s", self.endpoint, error)
                continue
            request = self._requests.pop(reply.id, None)
            if request is None:
                continue  # its deadline has passed, and that was its outcome
            request.unanswered -= 1
            if reply.result is not None:
                self._forget(request)
                request.done(reply.result)
            elif reply.error is not None and self._concludes(request, reply.error):
                self._forget(request)
                request.failed(reply.error)

    def _concludes(self, request: _Request, error: RequestError) -> bool:
        # By its error the relay says that this question led to nothing. One that was sent
        # before it may have led to a trade all the same, and a defect says nothing at all.
        if not request.trades:
            return True
        request.error = error
        if isinstance(error, MalformedReply) or error.code == ErrorName.INTERNAL:
            request.doubtful = True
        return not request.doubtful and not request.unanswered

    def _lost(self, request: _Request, error: RequestError) -> RequestError:
        if not request.trades or not request.sent:
            return error
        return OrderUnknown(
            f"{error.message}; the order may have been executed"
            + ("" if request.error is None else f"; last heard: {request.error.message}"),
            client_id=self.client_id,
            client_order_id=str(request.inquiry.client_order_id),
            hop=error.hop,
            hint=f"ask order_status({request.inquiry.client_order_id!r}), or send the same again "
            "under the same id; never under another one",
        )

    def _expired(self, request: _Request) -> RequestError:
        method = request.inquiry.method
        within = f"within {request.timeout_s:.3g} s"
        if not request.sent or self._heard < request.since:
            return RelayUnreachable(
                f"nothing answered {method} at {self.endpoint} {within}",
                hint="is the relay running ('bridge run'), and is this its request endpoint?",
            )
        return DeadlineExceeded(
            f"the relay at {self.endpoint} is there but did not answer {method} {within}",
            hint="'bridge status' shows what it is doing; or allow more with timeout=",
        )

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
            self._heard = now
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

        inquiry = Inquiry(ask.method, ask.params)
        self._ask(_Request(inquiry, now, ask.timeout_s, done, failed))

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
