"""The blocking client. Same names in the same order as ``aio``."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

from bridge.client.base import BUFFER, ENDPOINT, TIMEOUT_S, Opening, Parts, check_buffer
from bridge.client.core import Item, StreamStats
from bridge.client.engine import StreamHandle
from bridge.client.flows import Flow, Pause
from bridge.client.models import Pong, RelayStatus, SymbolInfo, TerminalInfo, TopicSnapshot
from bridge.client.sync_orders import Trading
from bridge.client.values import Event, TradeEvent, event_from, tick_from, trade_from
from bridge.exceptions import DeadlineExceeded, RequestError
from bridge.model.tick import Tick

__all__ = ["Client", "Stream"]

T = TypeVar("T")

#: Windows does not interrupt a thread that waits for a lock: look for Ctrl-C in between.
_SLICE_S: Final = 0.1 if os.name == "nt" else float("inf")
#: How long finding the reason of a silence may take.
_EXPLAIN_S: Final = 1.0


class Stream(Generic[T]):
    """
    An iterator over what is published. Made by ``Client.ticks`` and ``Client.events``.

    Ends with ``close``, with its client, or when it is dropped; used as a context manager,
    at the end of the block. Belongs to one thread at a time.

    Raises (from ``next``):
        DeadlineExceeded: nothing came for the ``timeout`` of the stream. It goes on when it
            is asked again.
        UnknownSymbol: a terminal that was waited for has no such symbol.
        RequestError: the relay refused to go on.
    """

    def __init__(self, client: Client, handle: StreamHandle, opening: Opening[T]) -> None:
        self._client = client  # keeps it from being closed while somebody iterates
        self._handle = handle
        self._opening = opening
        self._batch: Iterator[Item] = iter(())
        self._woken = threading.Event()

    @property
    def stats(self) -> StreamStats:
        """
        Counters since the stream was opened.
        """
        return self._handle.core.stats.copy()

    def close(self) -> None:
        """
        End the stream and its subscriptions. May be called twice, from any thread.
        """
        self._client._parts.engine.end(self._handle)  # noqa: SLF001 - made by it
        self._batch = iter(())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        deadline: float | None = None
        while True:
            for item in self._batch:
                value = self._opening.decode(item)
                if value is not None:
                    return value
            items = self._handle.mailbox.take()
            if items is None:
                raise StopIteration
            if items:
                self._batch = iter(items)
                continue
            if deadline is None and self._opening.timeout is not None:
                deadline = time.monotonic() + self._opening.timeout
            self._woken.clear()
            if self._handle.mailbox.arm(self._woken.set) and not _wait(self._woken, deadline):
                raise self._client._explain(self._opening)  # noqa: SLF001 - made by it

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # Leaving a loop by ``break`` is no mistake: the subscriptions end without a word.
        self._client._parts.engine.end(self._handle)  # noqa: SLF001 - made by it


class Client(Trading):
    """
    A connection to a relay, for programs that wait.

    ``endpoint`` is the relay's request endpoint. ``terminal`` is an alias; it may be left
    out when the relay has exactly one terminal. ``timeout`` (seconds) bounds every call as
    a whole. ``client_id`` names this client in the relay's log; who trades has to give one.

    Safe to use from several threads. A thread of its own does the input and output; it
    starts with the first call. After a fork, make a new client in the child.

    Raises (from the constructor):
        InvalidRequest: an argument is malformed or out of range.

    Every call raises, besides what it lists:
        RelayUnreachable: nothing was heard from the relay within ``timeout``.
        DeadlineExceeded: the relay is there, the answer is not; ``hop`` tells who kept it.
        InvalidRequest: an argument is wrong, or the client is closed.
        RequestRefused: any other error of the relay; ``code`` tells which.
    """

    def __init__(
        self,
        endpoint: str = ENDPOINT,
        *,
        terminal: str | None = None,
        timeout: float = TIMEOUT_S,
        client_id: str | None = None,
    ) -> None:
        self._parts = Parts(endpoint, terminal, timeout, client_id)

    @property
    def terminal(self) -> str:
        """
        The alias of the terminal: the one given, or the relay's only one.

        Raises:
            InvalidRequest: the relay has several and none was given, or there was no call yet
                that could have found out (``connect``).
        """
        return self._parts.calls.terminal

    def connect(self) -> None:
        """
        Check that the relay is there and speaks the same version of the bus protocol, once.

        Entering a ``with`` block does this, and every call that has not been preceded by it.
        """
        self._run(self._parts.calls.connect())

    def close(self) -> None:
        """
        End all iterators and calls. May be called twice, from any thread.
        """
        self._parts.engine.close()

    def ping(self) -> Pong:
        """
        Return the relay's versions and clock.
        """
        return self._run(self._parts.calls.ping())

    def status(self) -> RelayStatus:
        """
        Return what the relay is doing.
        """
        return self._run(self._parts.calls.status())

    def terminals(self) -> list[TerminalInfo]:
        """
        Return the terminals that are configured, connected or not.
        """
        return self._run(self._parts.calls.terminals())

    def symbols(self, group: str = "*") -> list[SymbolInfo]:
        """
        Return the terminal's symbols.

        ``group`` is a mask as in MetaTrader: ``*`` stands for anything, several masks are
        separated by commas, ``!`` excludes (``"*USD*,!*JPY*"``).

        Raises:
            TerminalUnavailable: the terminal is not connected.
        """
        return self._run(self._parts.calls.symbols(group))

    def symbol(self, name: str) -> SymbolInfo:
        """
        Return the properties of a symbol.

        Raises:
            UnknownSymbol: the terminal has no such symbol.
            TerminalUnavailable: the terminal is not connected.
        """
        return self._run(self._parts.calls.symbol(name))

    def tick(self, name: str) -> Tick:
        """
        Return the last tick of a symbol. ``epoch`` and ``seq`` are 0 if it does not stream.

        Raises:
            UnknownSymbol: the terminal has no such symbol.
            TerminalUnavailable: the terminal is not connected.
            NotAvailable: there was no tick of it yet.
        """
        return self._run(self._parts.calls.tick(name))

    def ticks(
        self, *symbols: str, timeout: float | None = None, buffer: int = BUFFER, wait: bool = True
    ) -> Stream[Tick]:
        """
        Subscribe to symbols and return an iterator over their ticks, the current one first.

        Each symbol's ticks come complete and in order: what gets lost on the way is replayed
        before anything newer is delivered. What cannot be had any more is told in ``gap`` of
        the next tick. ``backlog`` ticks were read after an outage and are no live prices.

        ``timeout``: seconds without a tick after which ``DeadlineExceeded`` says why, as far
        as that can be found out. ``buffer``: ticks that wait for a slow reader; beyond that
        nothing is lost, it is replayed later. ``wait``: a terminal that is away is waited
        for, so that a strategy may be started before it; with ``wait=False`` it is an error.

        Raises:
            UnknownSymbol: the terminal has no such symbol.
            TerminalUnavailable: the terminal is not connected, and ``wait`` is false.
        """
        opening = Opening(f"tick of {', '.join(map(str, symbols))}", tick_from, timeout)
        topics = self._run(self._parts.calls.tick_topics(symbols))
        return self._open(topics, opening, buffer, wait=wait)

    def trades(
        self, *, timeout: float | None = None, buffer: int = BUFFER, wait: bool = True
    ) -> Stream[TradeEvent]:
        """
        Subscribe to everything that happens to the account and to orders of the bridge.

        It begins with the next one, not with the last: what happened before is in
        ``positions``, ``orders``, ``account``, and in ``replay`` of the topic
        ``trade/<alias>``, whose numbers go on over restarts of the relay. ``recovered``
        events were read from the terminal's history after an outage. ``timeout``, ``buffer``
        and ``wait`` are as for ``ticks``.

        Raises:
            TerminalUnavailable: the terminal is not connected, and ``wait`` is false.
        """
        opening = Opening("trade event", trade_from, timeout, current=False)
        topics = self._run(self._parts.calls.trade_topics())
        return self._open(topics, opening, buffer, wait=wait)

    def events(
        self, *topics: str, timeout: float | None = None, buffer: int = BUFFER, wait: bool = True
    ) -> Stream[Event]:
        """
        Subscribe to topics and return an iterator over everything published on them.

        A name is a topic (``tick/demo/EURUSD``, ``trade/demo``, ``relay``) or, when it ends
        with ``*`` or ``/``, a prefix, which starts no streams but receives those that run.
        Yields ``Tick``, ``TradeEvent``, ``AccountEvent``, ``PositionEvent``, ``StatusBody``,
        ``RelayBody``, ``BulkBody``, ``Message`` for topics of a newer relay, and a ``Gap`` as
        soon as something is known to be lost.
        ``timeout``, ``buffer`` and ``wait`` are as for ``ticks``.

        Raises:
            UnknownSymbol: the terminal has no symbol of one of the topics.
            TerminalUnavailable: the terminal is not connected, and ``wait`` is false.
        """
        opening: Opening[Event] = Opening(
            f"event of {', '.join(map(str, topics))}", event_from, timeout
        )
        return self._open(topics, opening, buffer, wait=wait)

    def snapshot(self, *topics: str) -> list[TopicSnapshot]:
        """
        Return what the relay knows of topics, without subscribing.
        """
        return self._run(self._parts.calls.snapshot(topics))

    def replay(self, topic: str, epoch: int, first: int, last: int | None = None) -> list[Event]:
        """
        Return messages ``first`` to ``last`` of a topic, to the newest without ``last``.

        What the relay does not hold is a ``Gap`` in its place.

        Raises:
            NotAvailable: this topic cannot be replayed.
        """
        return self._run(self._parts.calls.replay(topic, epoch, first, last))

    def __enter__(self) -> Self:
        try:
            self.connect()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        parts = getattr(self, "_parts", None)  # None: the constructor failed
        if parts is not None and parts.engine.started:
            parts.engine.stop()
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)

    def __repr__(self) -> str:
        state = "closed" if self._parts.engine.closed else "open"
        return f"<Client {self._parts.endpoint} {state}>"

    # --- inside -----------------------------------------------------------------------------

    def _run(self, flow: Flow[T], within: float | None = None) -> T:
        deadline = time.monotonic() + (within or self._parts.timeout)
        answer: Any = None
        problem: RequestError | None = None
        while True:
            try:
                step = flow.send(answer) if problem is None else flow.throw(problem)
            except StopIteration as end:
                result: T = end.value
                return result
            answer, problem = None, None
            left = deadline - time.monotonic()
            if isinstance(step, Pause):
                if step.seconds >= left:
                    problem = DeadlineExceeded("the relay asked for more patience than is left")
                else:
                    _wait(threading.Event(), time.monotonic() + step.seconds)
                continue
            try:
                answer = _outcome(self._parts.engine.request(step, max(left, 0.001)))
            except RequestError as error:
                problem = error

    def _open(
        self, topics: list[str] | tuple[str, ...], opening: Opening[T], buffer: int, *, wait: bool
    ) -> Stream[T]:
        handle = self._parts.open(topics, check_buffer(buffer), wait=wait, current=opening.current)
        try:
            _outcome(handle.joined)
        except BaseException:
            self._parts.engine.end(handle)
            raise
        return Stream(self, handle, opening)

    def _explain(self, opening: Opening[T]) -> RequestError:
        flow = self._parts.calls.explain_silence(opening.what, opening.timeout or 0.0)
        return self._run(flow, _EXPLAIN_S)


def _outcome(future: Future[T]) -> T:
    # The engine gives every future its outcome at its deadline: no time-out here.
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    _wait(done, None)
    return future.result()


def _wait(event: threading.Event, deadline: float | None) -> bool:
    while True:
        left = float("inf") if deadline is None else deadline - time.monotonic()
        if left <= 0:
            return event.is_set()
        part = min(left, _SLICE_S)
        if event.wait(None if part == float("inf") else part):
            return True
