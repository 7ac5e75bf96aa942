"""The router: requests of clients in, exactly one reply each out.

Everything before the last frame of a request is the way back and is echoed as it came,
so REQ, DEALER and REQ with RELAXED and CORRELATE all work. What needs a terminal is
passed on and answered later; nothing here waits.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from bridge.bus.codec import Encoding, Raw, Spliced, decode, encode, encoding_of
from bridge.bus.requests import (
    DEFAULT_VALID_FOR_MS,
    TRADING_METHODS,
    ErrorName,
    Hop,
    Method,
    ReplayParams,
    Request,
    SnapshotParams,
    SymbolParams,
    SymbolsParams,
    SyncParams,
    error_map,
    validate_params,
    validate_request,
)
from bridge.bus.topics import exact, parse_topic
from bridge.config import Settings
from bridge.exceptions import InvalidRequest, JournalError
from bridge.logs import get_logger
from bridge.model.record import TickRecord, unpack_record
from bridge.relay.asks import Answer
from bridge.relay.clock import Clock
from bridge.relay.order_commands import Moment
from bridge.relay.order_requests import OrderRequests
from bridge.relay.publisher import Publisher
from bridge.relay.registry import Terminals
from bridge.relay.rings import BodyRing, RecordRing
from bridge.relay.streams import StreamState
from bridge.relay.terminals import Terminal
from bridge.relay.trade_events import TradeLog
from bridge.wire.session import NEVER_US

__all__ = ["RequestSocket", "Router"]

log = get_logger(__name__)

_FRAMES_MAX: Final = 8
_CLIENTS_MAX: Final = 1024
_WAITING_SNAPSHOTS_MAX: Final = 1024


class RequestSocket(Protocol):
    """
    What is needed of a ROUTER socket to answer its requests.
    """

    def send_multipart(self, frames: Sequence[bytes], /) -> object:
        """
        Send a reply; whoever cannot take it does without. Does not wait.
        """


class _Way(NamedTuple):
    """
    The way back to whoever asked.
    """

    frames: list[bytes]
    encoding: Encoding
    request_id: str | int | None


class _Reply(NamedTuple):
    """
    The one reply of a request that is answered later.
    """

    router: Router
    way: _Way

    def result(self, result: dict[str, Any]) -> None:
        self.router._reply(self.way, result)  # noqa: SLF001 - a part of the router

    def error(self, error: dict[str, Any]) -> None:
        self.router._fail(self.way, error)  # noqa: SLF001 - a part of the router


class _Error(Exception):
    """
    Ends a request with an error reply.
    """

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.error = error


@dataclass(slots=True)
class _Bucket:
    """
    What a client may still replay; refilled by time.
    """

    bytes_left: float
    at_us: int


@dataclass(slots=True)
class _Snapshot:
    """
    A snapshot that waits for streams which are just being started.
    """

    way: _Way
    topics: list[str]
    deadline_us: int


class Router:
    """
    Answers what comes in at the request endpoint.
    """

    def __init__(
        self,
        socket: RequestSocket,
        terminals: Terminals,
        publisher: Publisher,
        settings: Settings,
        status: Callable[[], dict[str, Any]],
        pong: Callable[[], dict[str, Any]],
        orders: OrderRequests,
        clock: Clock,
    ) -> None:
        self.requests = 0
        self.errors = 0
        self._socket = socket
        self._terminals = terminals
        self._publisher = publisher
        self._limits = settings.limits
        self._status = status
        self._pong = pong
        self._orders = orders
        self._clock = clock
        self._buckets: OrderedDict[bytes, _Bucket] = OrderedDict()
        self._snapshots: list[_Snapshot] = []

    def poll(self, now: int) -> None:
        """
        Answer the snapshots whose streams have come or whose time is up.
        """
        for waiting in list(self._snapshots):
            if now >= waiting.deadline_us or not self._is_starting(waiting.topics, now):
                self._snapshots.remove(waiting)
                try:
                    self._reply(waiting.way, self._snapshot(waiting.topics))
                except JournalError as error:
                    self._fail(waiting.way, _no_journal(error))

    def next_deadline(self, now: int) -> int:
        """
        Return when ``poll`` has something to do, in microseconds; what has passed is at once.
        """
        deadline = NEVER_US
        for waiting in self._snapshots:
            if not self._is_starting(waiting.topics, now):
                return now
            deadline = min(deadline, waiting.deadline_us, *self._first_records(waiting, now))
        return deadline

    def receive(self, frames: list[bytes]) -> None:
        """
        Take a request, as its frames came: it gets one reply, now or later.
        """
        self.requests += 1
        if not 2 <= len(frames) <= _FRAMES_MAX:
            # Without a body there is no id; answer on the way it came, once.
            way = _Way([*frames[:1], b""], Encoding.MSGPACK, None)
            self._fail(way, error_map(ErrorName.INVALID_REQUEST, f"{len(frames)} frames"))
            return
        body = frames[-1]
        way = _Way(frames[:-1], encoding_of(body), None)
        try:
            values = decode(body, max_bytes=self._limits.request_max_bytes)
            if isinstance(values, dict) and isinstance(values.get("id"), str | int):
                way = way._replace(request_id=values["id"])
            self._dispatch(way, validate_request(values))
        except InvalidRequest as error:
            self._fail(
                way,
                error_map(
                    error.code, error.message, hop=Hop.CLIENT, field=error.field, hint=error.hint
                ),
            )
        except _Error as error:
            self._fail(way, error.error)
        except Exception:
            # A defect of ours must not leave a client without its one reply.
            log.exception("request failed", body=body[:200].hex())
            self._fail(
                way,
                error_map(
                    ErrorName.INTERNAL,
                    "the relay failed on this request",
                    hint="please report it, with the relay's log",
                ),
            )

    def _dispatch(self, way: _Way, request: Request) -> None:
        try:
            method = Method(request.method)
        except ValueError:
            known = ", ".join(sorted(Method))
            raise _Error(
                error_map(
                    ErrorName.UNKNOWN_METHOD,
                    f"there is no method {request.method!r}",
                    hop=Hop.CLIENT,
                    field="method",
                    hint=f"known: {known}",
                )
            ) from None
        params: Any = validate_params(method, request.params)
        match method:
            case Method.PING:
                self._reply(way, self._pong())
            case Method.STATUS:
                self._reply(way, self._status())
            case Method.TERMINALS:
                self._reply(way, {"terminals": [t.describe() for t in self._terminals]})
            case Method.SYNC:
                self._sync(way, params)
            case Method.SNAPSHOT:
                self._ask_snapshot(way, params)
            case Method.REPLAY:
                self._replay(way, params)
            case Method.TICK:
                self._tick(way, request, params)
            case Method.SYMBOLS:
                self._symbols(way, request, params)
            case Method.SYMBOL:
                self._forward(way, request, method, {"symbol": params.symbol})
            case _:
                self._dispatch_order(request, method, params, _Reply(self, way))

    def _dispatch_order(self, request: Request, method: Method, params: Any, reply: _Reply) -> None:
        now = Moment.of(self._clock)
        if method is Method.ORDER_STATUS:
            self._orders.status(request, params, reply)
        elif method in TRADING_METHODS:
            self._orders.submit(self._terminal(request).alias, request, params, reply, now)
        else:
            deadline_us = now.us + (request.valid_for_ms or DEFAULT_VALID_FOR_MS) * 1000
            alias = self._terminal(request).alias
            self._orders.read(alias, method, params, reply, deadline_us)

    # --- answered here ------------------------------------------------------------------

    def _sync(self, way: _Way, params: SyncParams) -> None:
        self._publisher.publish_sync(params.nonce, self._clock.utc_msc())
        self._reply(way, {})

    def _ask_snapshot(self, way: _Way, params: SnapshotParams) -> None:
        now = self._clock.now_us()
        for name in params.topics:
            topic = parse_topic(name)
            if topic is None or topic.kind == "sync":
                raise _Error(
                    error_map(
                        ErrorName.INVALID_REQUEST,
                        f"{name!r} is not a topic",
                        hop=Hop.CLIENT,
                        field="params.topics",
                        hint="for example tick/demo/EURUSD, without the NUL",
                    )
                )
            terminal = self._terminals.get(topic.alias)
            if terminal is not None and topic.kind == "tick":
                stream = terminal.streams.get(topic.symbol)
                if stream is not None and stream.subscribed:
                    terminal.retry_failed(stream, now)
                elif stream is None and self._publisher.is_subscribed(exact(name)):
                    terminal.subscribe(topic.symbol)  # there was no room for it before
        if not params.wait_ms or not self._is_starting(params.topics, now):
            self._reply(way, self._snapshot(params.topics))
        elif len(self._snapshots) >= _WAITING_SNAPSHOTS_MAX:
            raise _Error(
                error_map(
                    ErrorName.TOO_MANY_REQUESTS,
                    "too many snapshots wait for streams",
                    hint="set params.wait_ms to 0 or ask later",
                )
            )
        else:
            self._snapshots.append(_Snapshot(way, params.topics, now + params.wait_ms * 1000))

    def _is_starting(self, names: list[str], now: int) -> bool:
        for name in names:
            topic = parse_topic(name)
            if topic is None or topic.kind != "tick":
                continue
            terminal = self._terminals.get(topic.alias)
            if terminal is None or terminal.link is None:
                continue
            stream = terminal.streams.get(topic.symbol)
            if stream is None:
                continue
            if stream.state is StreamState.REQUESTED:
                return True
            if (
                stream.state is StreamState.STREAMING
                and stream.ring.newest is None
                and now < stream.first_record_by_us
            ):
                return True
        return False

    def _first_records(self, waiting: _Snapshot, now: int) -> Iterator[int]:
        # When streams are no longer waited for whose first record has not come.
        for name in waiting.topics:
            topic = parse_topic(name)
            terminal = None if topic is None else self._terminals.get(topic.alias)
            if topic is None or terminal is None or topic.kind != "tick":
                continue
            stream = terminal.streams.get(topic.symbol)
            if stream is not None and stream.first_record_by_us > now:
                yield stream.first_record_by_us

    def _snapshot(self, names: list[str]) -> dict[str, Any]:
        return {"topics": [self._topic_state(name) for name in names]}

    def _topic_state(self, name: str) -> dict[str, Any]:
        topic = parse_topic(name)
        state: dict[str, Any] = {
            "topic": name,
            "status": "idle",
            "epoch": 0,
            "seq": 0,
            "body": None,
            "oldest_seq": None,
            "error": None,
        }
        if topic is None:
            return state
        if topic.kind != "tick":
            kept = self._kept(name)
            if kept is not None:
                epoch, seq, ring = kept
                body = ring.last_record()
                state.update(
                    status="ok",
                    epoch=epoch,
                    seq=seq,
                    body=None if body is None else Raw(body),
                    oldest_seq=ring.oldest,
                )
            return state
        terminal = self._terminals.get(topic.alias)
        if terminal is None:
            state.update(status="error", error=self._unknown_terminal(topic.alias))
            return state
        stream = terminal.streams.get(topic.symbol)
        if stream is not None:
            record = stream.ring.last_record()
            state.update(
                epoch=stream.epoch,
                seq=stream.newest,
                body=None if record is None else Raw(record),
                oldest_seq=stream.ring.oldest,
            )
        if stream is not None and stream.error is not None:
            error = stream.error
            state.update(
                status="error",
                error=error_map(error.code, error.message, hop=error.hop, hint=error.hint),
            )
        elif terminal.link is None:
            state.update(status="error", error=_as_error(terminal.away()))
        elif stream is not None and stream.state is StreamState.STREAMING:
            state.update(status="ok")
        elif self._publisher.is_subscribed(exact(name)):
            full = stream is None and terminal.is_full()
            state.update(status="error", error=_no_room() if full else _not_yet())
        return state

    def _replay(self, way: _Way, params: ReplayParams) -> None:
        epoch, ring = self._ring(params.topic)
        newest = ring.newest if ring is not None else None
        if params.last is not None and params.last < params.first:
            raise _Error(
                error_map(
                    ErrorName.INVALID_REQUEST,
                    f"{params.last} is before first ({params.first})",
                    hop=Hop.CLIENT,
                    field="params.last",
                )
            )
        if ring is None or epoch != params.epoch or newest is None:
            # Nothing of this epoch is held: all that was asked for is missing.
            missing = [] if params.last is None else [[params.first, params.last]]
            self._reply(
                way,
                {
                    "topic": params.topic,
                    "epoch": params.epoch,
                    "messages": [],
                    "first": params.first,
                    "next": None,
                    "missing": missing,
                },
            )
            return
        bucket = self._bucket(way.frames[0])
        if bucket.bytes_left <= 0:
            rate = self._limits.replay_bytes_per_s_per_client
            error = error_map(
                ErrorName.TOO_MANY_REQUESTS, "this client replays faster than the limit allows"
            )
            error["retry_after_ms"] = int(-bucket.bytes_left * 1000 / rate) + 1
            raise _Error(error)
        last = newest if params.last is None else min(params.last, newest)
        page = ring.read(params.first, last, self._limits.replay_page_bytes)
        bucket.bytes_left -= len(page.data)
        missing = []
        oldest = ring.oldest or 0
        if params.first < oldest:
            end = oldest - 1 if params.last is None else min(params.last, oldest - 1)
            missing.append([params.first, end])
        following = page.first + page.length
        self._reply(
            way,
            {
                "topic": params.topic,
                "epoch": params.epoch,
                "messages": Spliced(page.length, page.data),
                "first": page.first if page.length else params.first,
                "next": following if page.length and following <= last else None,
                "missing": missing,
            },
        )

    def _kept(self, name: str) -> tuple[int, int, BodyRing | TradeLog] | None:
        # Epoch, newest number and ring of a topic without ticks; None: nothing was published.
        topic = parse_topic(name)
        if topic is not None and topic.kind == "trade":
            terminal = self._terminals.get(topic.alias)
            if terminal is None or terminal.trading is None:
                return None
            trade = terminal.trading.log
            return trade.epoch, trade.newest or 0, trade
        quiet = self._publisher.quiet_ring(name)
        return None if quiet is None else (self._publisher.epoch, *quiet)

    def _ring(self, name: str) -> tuple[int, RecordRing | BodyRing | TradeLog | None]:
        topic = parse_topic(name)
        if topic is not None and topic.kind == "tick":
            terminal = self._terminals.get(topic.alias)
            stream = None if terminal is None else terminal.streams.get(topic.symbol)
            return (0, None) if stream is None else (stream.epoch, stream.ring)
        kept = None if topic is None else self._kept(name)
        if kept is None:
            raise _Error(
                error_map(
                    ErrorName.NOT_AVAILABLE,
                    f"{name!r} cannot be replayed",
                    field="params.topic",
                    hint="tick/, trade/, account/, position/ and status/ topics can, once something "
                    "was published; for ticks/... replay the tick topics",
                )
            )
        return kept[0], kept[2]

    def _bucket(self, client: bytes) -> _Bucket:
        rate = self._limits.replay_bytes_per_s_per_client
        now = self._clock.now_us()
        bucket = self._buckets.get(client)
        if bucket is None:
            bucket = self._buckets[client] = _Bucket(float(rate), now)
            if len(self._buckets) > _CLIENTS_MAX:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(client)
        bucket.bytes_left = min(
            float(rate), bucket.bytes_left + (now - bucket.at_us) * rate / 1_000_000
        )
        bucket.at_us = now
        return bucket

    # --- answered by a terminal -----------------------------------------------------------

    def _tick(self, way: _Way, request: Request, params: SymbolParams) -> None:
        terminal = self._terminal(request)
        stream = terminal.streams.get(params.symbol)
        record = None if stream is None else stream.ring.last_record()
        if stream is None or record is None or stream.state is not StreamState.STREAMING:
            self._forward(way, request, Method.TICK, {"symbol": params.symbol}, streaming=False)
            return
        fields: TickRecord = unpack_record(record)
        self._reply(way, {"tick": fields._asdict(), "streaming": True})

    def _symbols(self, way: _Way, request: Request, params: SymbolsParams) -> None:
        self._forward(
            way,
            request,
            Method.SYMBOLS,
            {"group": params.group, "offset": params.offset, "limit": params.limit},
        )

    def _forward(
        self, way: _Way, request: Request, method: Method, params: dict[str, Any], **extra: Any
    ) -> None:
        terminal = self._terminal(request)
        valid_for_ms = request.valid_for_ms or DEFAULT_VALID_FOR_MS

        def done(answer: Answer) -> None:
            if answer.code:
                self._fail(way, _as_error(answer))
            elif isinstance(answer.value, dict):
                self._reply(way, {**answer.value, **extra})
            else:
                self._fail(
                    way,
                    error_map(
                        ErrorName.TERMINAL_ERROR,
                        "the terminal's answer is not a map",
                        hop=Hop.TERMINAL,
                    ),
                )

        terminal.ask(method, params, done, self._clock.now_us() + valid_for_ms * 1000)

    def _terminal(self, request: Request) -> Terminal:
        aliases = self._terminals.aliases()
        alias = request.terminal
        if alias is None:
            if len(aliases) != 1:
                raise _Error(
                    error_map(
                        ErrorName.INVALID_REQUEST,
                        "there is more than one terminal" if aliases else "there is no terminal",
                        hop=Hop.CLIENT,
                        field="terminal",
                        hint=f"configured: {', '.join(aliases) or 'none'}",
                    )
                )
            alias = aliases[0]
        terminal = self._terminals.get(alias)
        if terminal is None:
            raise _Error(self._unknown_terminal(alias))
        return terminal

    def _unknown_terminal(self, alias: str) -> dict[str, Any]:
        return error_map(
            ErrorName.UNKNOWN_TERMINAL,
            f"no terminal {alias!r} is configured",
            field="terminal",
            hint=f"configured: {', '.join(self._terminals.aliases()) or 'none'}",
        )

    # --- replies ---------------------------------------------------------------------------

    def _reply(self, way: _Way, result: dict[str, Any]) -> None:
        self._send(way, {"v": 1, "id": way.request_id, "ok": True, "result": result})

    def _fail(self, way: _Way, error: dict[str, Any]) -> None:
        self.errors += 1
        self._send(way, {"v": 1, "id": way.request_id, "ok": False, "error": error})

    def _send(self, way: _Way, reply: dict[str, Any]) -> None:
        self._socket.send_multipart([*way.frames, encode(reply, way.encoding)])


def _no_journal(error: JournalError) -> dict[str, Any]:
    message = f"the journal cannot be read: {error.problem}"
    return error_map(ErrorName.INTERNAL, message, hint=error.hint)


def _not_yet() -> dict[str, Any]:
    return error_map(
        ErrorName.DEADLINE_EXCEEDED,
        "the terminal has not answered the subscription yet",
        hop=Hop.TERMINAL,
        hint="a first synchronisation of a symbol can take 45 s; ask again",
    )


def _no_room() -> dict[str, Any]:
    return error_map(
        ErrorName.TOO_MANY_REQUESTS,
        "this terminal streams as many symbols as it may",
        hint="ask again when others have ended, or raise ticks.max_streams_per_terminal",
    )


def _as_error(answer: Answer) -> dict[str, Any]:
    return error_map(
        answer.code, answer.message, hop=answer.hop, field=answer.field, hint=answer.hint
    )
