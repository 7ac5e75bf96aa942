"""The client for asyncio. Same names in the same order as ``sync``.

The engine's thread does the input and output and reaches the loop by
``call_soon_threadsafe`` alone, so any loop will do, the Proactor loop of Windows too.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

from bridge.client.aio_orders import AsyncTrading
from bridge.client.base import BUFFER, ENDPOINT, TIMEOUT_S, Opening, Parts, check_buffer
from bridge.client.core import Item, StreamStats
from bridge.client.engine import StreamHandle
from bridge.client.flows import Flow, Pause
from bridge.client.models import Pong, RelayStatus, SymbolInfo, TerminalInfo, TopicSnapshot
from bridge.client.values import Event, TradeEvent, event_from, tick_from, trade_from
from bridge.exceptions import DeadlineExceeded, RequestError
from bridge.model.tick import Tick

__all__ = ["AsyncClient", "AsyncStream"]

T = TypeVar("T")

#: How long finding the reason of a silence may take.
_EXPLAIN_S: Final = 1.0
#: After so many items that were there already, the other tasks get their turn.
_TURN: Final = 100


class AsyncStream(Generic[T]):
    """
    An iterator over what is published. Made by ``AsyncClient.ticks`` and ``events``.

    Subscribes when it is entered (``async with``) or first asked for an item. Ends with
    ``close``, with its client, or when it is dropped. Belongs to one task at a time.

    Raises (from ``anext``):
        UnknownSymbol: the terminal has no such symbol.
        TerminalUnavailable: the terminal is not connected, and ``wait`` is false.
        DeadlineExceeded: nothing came for the ``timeout`` of the stream. It goes on when it
            is asked again.
        RequestError: the relay refused to go on.
    """

    def __init__(
        self,
        client: AsyncClient,
        topics: Sequence[str] | Callable[[], Flow[list[str]]],
        opening: Opening[T],
        buffer: int,
        *,
        wait: bool,
    ) -> None:
        self._handle: StreamHandle | None = None
        self._client = client
        self._topics = topics
        self._opening = opening
        self._buffer = check_buffer(buffer)
        self._wait = wait
        self._ended = False
        self._batch: Iterator[Item] = iter(())
        self._in_turn = 0

    @property
    def stats(self) -> StreamStats:
        """
        Counters since the stream was opened.
        """
        return StreamStats() if self._handle is None else self._handle.core.stats.copy()

    async def close(self) -> None:
        """
        End the stream and its subscriptions. May be called twice.
        """
        self._end()
        self._batch = iter(())

    #: so that ``contextlib.aclosing`` works
    aclose = close

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if self._ended:
            raise StopAsyncIteration
        handle = self._handle or await self._open()
        deadline: float | None = None
        while True:
            if self._in_turn >= _TURN:
                # Before an item is taken: a cancellation here loses none.
                self._in_turn = 0
                await asyncio.sleep(0)
            for item in self._batch:
                value = self._opening.decode(item)
                if value is not None:
                    self._in_turn += 1
                    return value
            items = handle.mailbox.take()
            if items is None:
                raise StopAsyncIteration
            if items:
                self._batch = iter(items)
                continue
            self._in_turn = 0
            if deadline is None and self._opening.timeout is not None:
                deadline = time.monotonic() + self._opening.timeout
            if not await _woken(handle, deadline):
                raise await self._client._explain(self._opening)  # noqa: SLF001 - made by it

    async def __aenter__(self) -> Self:
        if self._handle is None:
            await self._open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        # Leaving a loop by ``break`` is no mistake: the subscriptions end without a word.
        self._end()

    async def _open(self) -> StreamHandle:
        parts = self._client._parts  # noqa: SLF001 - made by it
        topics = self._topics
        if callable(topics):
            topics = await self._client._run(topics())  # noqa: SLF001 - made by it
        handle = parts.open(topics, self._buffer, wait=self._wait, current=self._opening.current)
        try:
            await asyncio.wrap_future(handle.joined)
        except BaseException:
            parts.engine.end(handle)
            raise
        self._handle = handle
        return handle

    def _end(self) -> None:
        self._ended = True
        if self._handle is not None:
            self._client._parts.engine.end(self._handle)  # noqa: SLF001 - made by it


class AsyncClient(AsyncTrading):
    """
    A connection to a relay, for asyncio.

    ``endpoint`` is the relay's request endpoint. ``terminal`` is an alias; it may be left
    out when the relay has exactly one terminal. ``timeout`` (seconds) bounds every call as
    a whole. ``client_id`` names this client in the relay's log; who trades has to give one.

    A thread of its own does the input and output; it starts with the first call. After a
    fork, make a new client in the child.

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

    async def connect(self) -> None:
        """
        Check that the relay is there and speaks the same version of the bus protocol, once.

        Entering an ``async with`` block does this, and every call not preceded by it.
        """
        await self._run(self._parts.calls.connect())

    async def close(self) -> None:
        """
        End all iterators and calls. May be called twice.
        """
        await asyncio.to_thread(self._parts.engine.close)

    async def ping(self) -> Pong:
        """
        Return the relay's versions and clock.
        """
        return await self._run(self._parts.calls.ping())

    async def status(self) -> RelayStatus:
        """
        Return what the relay is doing.
        """
        return await self._run(self._parts.calls.status())

    async def terminals(self) -> list[TerminalInfo]:
        """
        Return the terminals that are configured, connected or not.
        """
        return await self._run(self._parts.calls.terminals())

    async def symbols(self, group: str = "*") -> list[SymbolInfo]:
        """
        Return the terminal's symbols.

        ``group`` is a mask as in MetaTrader: ``*`` stands for anything, several masks are
        separated by commas, ``!`` excludes (``"*USD*,!*JPY*"``).

        Raises:
            TerminalUnavailable: the terminal is not connected.
        """
        return await self._run(self._parts.calls.symbols(group))

    async def symbol(self, name: str) -> SymbolInfo:
        """
        Return the properties of a symbol.

        Raises:
            UnknownSymbol: the terminal has no such symbol.
            TerminalUnavailable: the terminal is not connected.
        """
        return await self._run(self._parts.calls.symbol(name))

    async def tick(self, name: str) -> Tick:
        """
        Return the last tick of a symbol. ``epoch`` and ``seq`` are 0 if it does not stream.

        Raises:
            UnknownSymbol: the terminal has no such symbol.
            TerminalUnavailable: the terminal is not connected.
            NotAvailable: there was no tick of it yet.
        """
        return await self._run(self._parts.calls.tick(name))

    def ticks(
        self, *symbols: str, timeout: float | None = None, buffer: int = BUFFER, wait: bool = True
    ) -> AsyncStream[Tick]:
        """
        Return an iterator over the ticks of symbols, the current one first.

        Each symbol's ticks come complete and in order: what gets lost on the way is replayed
        before anything newer is delivered. What cannot be had any more is told in ``gap`` of
        the next tick. ``backlog`` ticks were read after an outage and are no live prices.

        ``timeout``: seconds without a tick after which ``DeadlineExceeded`` says why, as far
        as that can be found out. ``buffer``: ticks that wait for a slow reader; beyond that
        nothing is lost, it is replayed later. ``wait``: a terminal that is away is waited
        for, so that a strategy may be started before it; with ``wait=False`` it is an error.

        The subscription begins with the iteration, which raises what is listed at
        ``AsyncStream``.
        """
        opening = Opening(f"tick of {', '.join(map(str, symbols))}", tick_from, timeout)
        find = functools.partial(self._parts.calls.tick_topics, symbols)
        return AsyncStream(self, find, opening, buffer, wait=wait)

    def trades(
        self, *, timeout: float | None = None, buffer: int = BUFFER, wait: bool = True
    ) -> AsyncStream[TradeEvent]:
        """
        Return an iterator over what happens to the account and to orders of the bridge.

        It begins with the next one, not with the last: what happened before is in
        ``positions``, ``orders``, ``account``, and in ``replay`` of the topic
        ``trade/<alias>``, whose numbers go on over restarts of the relay. ``recovered``
        events were read from the terminal's history after an outage. ``timeout``, ``buffer``
        and ``wait`` are as for ``ticks``.

        The subscription begins with the iteration, which raises what is listed at
        ``AsyncStream``.
        """
        opening = Opening("trade event", trade_from, timeout, current=False)
        return AsyncStream(self, self._parts.calls.trade_topics, opening, buffer, wait=wait)

    def events(
        self, *topics: str, timeout: float | None = None, buffer: int = BUFFER, wait: bool = True
    ) -> AsyncStream[Event]:
        """
        Return an iterator over everything published on topics.

        A name is a topic (``tick/demo/EURUSD``, ``trade/demo``, ``relay``) or, when it ends
        with ``*`` or ``/``, a prefix, which starts no streams but receives those that run.
        Yields ``Tick``, ``TradeEvent``, ``AccountEvent``, ``PositionEvent``, ``StatusBody``,
        ``RelayBody``, ``BulkBody``, ``Message`` for topics of a newer relay, and a ``Gap`` as
        soon as something is known to be lost.
        ``timeout``, ``buffer`` and ``wait`` are as for ``ticks``.

        The subscription begins with the iteration, which raises what is listed at
        ``AsyncStream``.
        """
        opening: Opening[Event] = Opening(
            f"event of {', '.join(map(str, topics))}", event_from, timeout
        )
        return AsyncStream(self, topics, opening, buffer, wait=wait)

    async def snapshot(self, *topics: str) -> list[TopicSnapshot]:
        """
        Return what the relay knows of topics, without subscribing.
        """
        return await self._run(self._parts.calls.snapshot(topics))

    async def replay(
        self, topic: str, epoch: int, first: int, last: int | None = None
    ) -> list[Event]:
        """
        Return messages ``first`` to ``last`` of a topic, to the newest without ``last``.

        What the relay does not hold is a ``Gap`` in its place.

        Raises:
            NotAvailable: this topic cannot be replayed.
        """
        return await self._run(self._parts.calls.replay(topic, epoch, first, last))

    async def __aenter__(self) -> Self:
        try:
            await self.connect()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        parts = getattr(self, "_parts", None)  # None: the constructor failed
        if parts is not None and parts.engine.started:
            parts.engine.stop()
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)

    def __repr__(self) -> str:
        state = "closed" if self._parts.engine.closed else "open"
        return f"<AsyncClient {self._parts.endpoint} {state}>"

    # --- inside -----------------------------------------------------------------------------

    async def _run(self, flow: Flow[T], within: float | None = None) -> T:
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
                    await asyncio.sleep(step.seconds)
                continue
            try:
                request = self._parts.engine.request(step, max(left, 0.001))
                answer = await asyncio.wrap_future(request)
            except RequestError as error:
                problem = error

    async def _explain(self, opening: Opening[T]) -> RequestError:
        flow = self._parts.calls.explain_silence(opening.what, opening.timeout or 0.0)
        return await self._run(flow, _EXPLAIN_S)


async def _woken(handle: StreamHandle, deadline: float | None) -> bool:
    loop = asyncio.get_running_loop()
    woken = loop.create_future()

    def wake() -> None:
        # In the engine's thread. The loop may be closed: then nobody waits any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_resolve, woken)

    if not handle.mailbox.arm(wake):
        return True
    try:
        async with asyncio.timeout(None if deadline is None else deadline - time.monotonic()):
            await woken
    except TimeoutError:
        return False
    finally:
        handle.mailbox.disarm()
    return True


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
