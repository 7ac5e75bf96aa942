"""The requests of a client that have no outcome yet. Pure: no sockets, threads or clock.

Times are seconds of a clock that never goes back, and arguments; frames come out and go in
as bytes. The engine joins this to its socket, the simulation to its network.

Theory of operation::

    ask ──▶ UNSENT ──handed to the socket──▶ SENT ──▶ done, or failed by the relay's word
              │                               │  ▲
              │                               └──┘ what has no reply is asked for again
              └──────────── deadline ─────────┴──▶ failed: unreachable, too late, unknown

Rule 1: every request has one outcome, told once: the result, the relay's error, or at its
deadline ``DeadlineExceeded``, or ``RelayUnreachable`` if the relay was not heard at all since.
Rule 2: a request waits here until the socket takes it, and is packed when it does. One whose
deadline has passed is never sent, whenever the relay comes back.
Rule 3: a request that may trade, once sent, is undone by nothing but the relay's word. It is
asked again under the same ids, which the relay executes once at most; an error, or a DENIED
that is in no journal, is the relay's word for one question: it counts when every question that
was sent has got one; else the outcome is ``OrderUnknown``. What only reads is asked for once more:
the socket may have given the first frame to a connection that was just ending.
Rule 4: an outcome is told last, when nothing here is left to be changed: whoever hears it may
ask the next thing at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from bridge.bus.orders import Outcome
from bridge.bus.requests import ErrorName
from bridge.client.flows import Inquiry
from bridge.client.replies import MalformedReply, pack_request, read_reply
from bridge.exceptions import (
    DeadlineExceeded,
    InvalidRequest,
    OrderUnknown,
    RelayUnreachable,
    RequestError,
)

__all__ = ["OpenRequests"]

log = logging.getLogger(__name__)

_OPEN_MAX: Final = 10_000
#: What has no reply is asked for again after this time, or this part of its deadline: an order again
#: and again, anything else once, in case a connection took it that was just ending.
_AGAIN_S: Final = 1.0
_AGAIN_PART: Final = 0.25
_NEVER: Final = float("inf")


class _Request:
    """
    A request on its way. Exactly one of ``done`` and ``failed`` is called, once.
    """

    __slots__ = (
        "again_at",
        "deadline",
        "denied",
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
        #: of the frames that ask for it
        self.ids: list[int] = []
        self.unanswered = 0
        self.again_at = _NEVER
        #: the last error of the relay, and whether one of them leaves open what was done
        self.error: RequestError | None = None
        self.doubtful = False
        #: the reason of a denial that holds for one of the questions only
        self.denied = ""

    @property
    def trades(self) -> bool:
        """
        Whether it may have led to a trade once it was sent.
        """
        return self.inquiry.client_order_id is not None


class OpenRequests:
    """
    What one client has asked a relay and has no outcome of.

    Whoever has the socket calls ``send`` whenever something was asked, ``timer`` was called or
    the socket takes frames again, ``receive`` with each reply, and ``timer`` at ``deadline``.
    """

    def __init__(self, endpoint: str, client_id: str) -> None:
        self.endpoint = endpoint
        self.client_id = client_id
        #: frames that are no replies
        self.malformed = 0
        self._open: dict[_Request, None] = {}
        #: by the ids of their frames: those that wait for a reply, those that wait to be sent
        self._asked: dict[int, _Request] = {}
        self._unsent: dict[int, _Request] = {}
        self._last_id = 0
        self._heard = -_NEVER

    def __len__(self) -> int:
        """
        Return how many requests have no outcome yet.
        """
        return len(self._open)

    @property
    def unsent(self) -> int:
        """
        How many frames wait for the socket.
        """
        return len(self._unsent)

    @property
    def deadline(self) -> float:
        """
        When ``timer`` has something to do; infinity when nothing is open.
        """
        return min(
            (min(request.deadline, request.again_at) for request in self._open), default=_NEVER
        )

    def ask(
        self,
        inquiry: Inquiry,
        timeout_s: float,
        done: Callable[[dict[str, Any]], None],
        failed: Callable[[RequestError], None],
        since: float,
    ) -> None:
        """
        Take a request that was made at ``since``; call ``send`` afterwards.

        Either ``done`` gets its result or ``failed`` its error, once: the latter at once when
        too many are open already.
        """
        if len(self._open) >= _OPEN_MAX:
            failed(
                InvalidRequest(
                    f"{_OPEN_MAX} requests of this client wait for their replies",
                    code="TOO_MANY_REQUESTS",
                    hint="wait for replies before asking more",
                )
            )
            return
        request = _Request(inquiry, since, timeout_s, done, failed)
        self._open[request] = None
        self._put(request)

    def send(self, take: Callable[[bytes], bool], now: float) -> None:
        """
        Hand over what waits, oldest first, until ``take`` returns ``False``.

        What ``take`` returned ``False`` for counts as not sent and is handed over again.
        """
        while self._unsent:
            request_id, request = next(iter(self._unsent.items()))
            if now < request.deadline:
                try:
                    frame = self._pack(request_id, request, now)
                except InvalidRequest as error:
                    self._forget(request)
                    request.failed(error)
                    continue
                if not take(frame):
                    return
                request.sent = True
                request.unanswered += 1
                if not request.denied and (request.trades or len(request.ids) == 1):
                    request.again_at = now + min(_AGAIN_S, request.timeout_s * _AGAIN_PART)
            # What is too late stays open until ``timer`` tells so.
            del self._unsent[request_id]

    def hear(self, now: float) -> None:
        """
        Learn that the relay gave a sign of life other than a reply.
        """
        self._heard = now

    def receive(self, frame: bytes, now: float) -> None:
        """
        Take the last frame of what the relay sent; whatever it is, nothing is raised.
        """
        self._heard = now
        try:
            reply = read_reply(frame)
        except ValueError as error:
            self.malformed += 1
            log.warning("a frame from %s is not a reply: %s", self.endpoint, error)
            return
        request = self._asked.pop(reply.id, None)
        if request is None:
            return  # its deadline has passed, and that was its outcome
        request.unanswered -= 1
        if reply.result is not None:
            if self._settles(request, reply.result):
                self._forget(request)
                request.done(reply.result)
        elif reply.error is not None and self._concludes(request, reply.error):
            self._forget(request)
            request.failed(reply.error)

    def timer(self, now: float) -> None:
        """
        Fail what is too late, ask again for what has no reply; call ``send`` afterwards.
        """
        late = [request for request in self._open if now >= request.deadline]
        for request in late:
            self._forget(request)
        for request in self._open:
            if now >= request.again_at:
                self._put(request)
        for request in late:
            request.failed(self._lost(request, self._expired(request)))

    def fail_all(self, error: RequestError) -> None:
        """
        End everything that is open: ``error`` for what cannot have traded, else unknown.
        """
        open_requests = list(self._open)
        self._open.clear()
        self._asked.clear()
        self._unsent.clear()
        for request in open_requests:
            request.failed(self._lost(request, error))

    # --- inside -----------------------------------------------------------------------------

    def _put(self, request: _Request) -> None:
        # A frame of its own id each time: only so it shows which of them were answered.
        self._last_id += 1
        self._asked[self._last_id] = request
        self._unsent[self._last_id] = request
        request.ids.append(self._last_id)
        request.again_at = _NEVER  # it waits for the socket until it is sent

    def _pack(self, request_id: int, request: _Request, now: float) -> bytes:
        # Packed when it is sent: the relay is told what is left of the deadline.
        return pack_request(
            request_id,
            self.client_id,
            request.inquiry.method,
            request.inquiry.params,
            terminal=request.inquiry.terminal,
            timeout_s=request.deadline - now,
            client_order_id=request.inquiry.client_order_id,
        )

    def _forget(self, request: _Request) -> None:
        del self._open[request]
        for request_id in request.ids:
            self._asked.pop(request_id, None)
            self._unsent.pop(request_id, None)

    def _concludes(self, request: _Request, error: RequestError) -> bool:
        # By its error the relay says that this question led to nothing. One that was sent
        # before it may have led to a trade all the same, and a defect says nothing at all.
        if not request.trades:
            return True
        request.error = error
        if isinstance(error, MalformedReply) or error.code == ErrorName.INTERNAL:
            request.doubtful = True
        return not request.doubtful and not request.unanswered

    def _settles(self, request: _Request, result: dict[str, Any]) -> bool:
        # A DENIED without a tag left no trace: the relay takes the next question of this id as
        # the first, and one may be on its way already. From here on none is added to them.
        if not request.trades or result.get("outcome") != Outcome.DENIED or result.get("tag"):
            return True
        if not request.doubtful and not request.unanswered:
            return True
        request.denied = str(result.get("reason") or Outcome.DENIED)
        request.again_at = _NEVER
        for request_id in request.ids:
            self._unsent.pop(request_id, None)
        return False

    def _lost(self, request: _Request, error: RequestError) -> RequestError:
        if not request.trades or not request.sent:
            return error
        heard = "" if request.error is None else request.error.message
        if request.denied:
            heard = f"denied ({request.denied}), to one of the questions"
        return OrderUnknown(
            f"{error.message}; the order may have been executed"
            + ("" if not heard else f"; last heard: {heard}"),
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
