"""The calls of a client as flows: what to ask, what to make of the answer. Pure.

A flow is a generator. It yields an ``Inquiry`` and is sent its result (or thrown its
``RequestError``), or it yields a ``Pause`` and is sent ``None``; what it returns is the
call's result. Both shells run the same flows, so they cannot come to differ.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from pydantic import BaseModel, ValidationError

from bridge.bus.requests import BUS_VERSION, Method
from bridge.bus.topics import parse_topic, tick_topic, trade_topic
from bridge.client.core import NOT_HELD, TopicInfo
from bridge.client.learning import SNAPSHOT_TOPICS, position
from bridge.client.models import Pong, RelayStatus, SymbolInfo, TerminalInfo, TopicSnapshot
from bridge.client.replies import (
    MalformedReply,
    RateLimited,
    ReplayPage,
    TopicEntry,
    fields_of,
    read_replay,
    read_snapshot,
)
from bridge.client.stream import wrong_version
from bridge.client.values import Event, value_from
from bridge.exceptions import DeadlineExceeded, InvalidRequest, RequestError
from bridge.model.tick import Gap, Tick

__all__ = ["Calls", "Flow", "Inquiry", "Pause", "model_from"]

_PAGE: Final = 500
#: More pages than any terminal has symbols: a relay that never says it is done is wrong.
_PAGES_MAX: Final = 1_000

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


@dataclasses.dataclass(frozen=True, slots=True)
class Inquiry:
    """
    A request that a flow wants answered.

    With ``client_order_id`` it may trade: only a reply can say that it did not.
    """

    method: Method
    params: dict[str, Any]
    terminal: str | None = None
    client_order_id: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Pause:
    """
    A flow wants to go on after this time.
    """

    seconds: float


Flow: TypeAlias = Generator[Inquiry | Pause, Any, T]


class Calls:
    """
    The flows of one client; remembers the relay's version and the only terminal's alias.
    """

    def __init__(self, terminal: str | None) -> None:
        self._terminal = terminal
        self._aliases: list[str] | None = None
        self._connected = False

    @property
    def terminal(self) -> str:
        """
        The alias that is meant: the one named, or the only one there is.

        Raises:
            InvalidRequest: none was named and there is not exactly one, or nobody asked yet.
        """
        if self._terminal is not None:
            return self._terminal
        aliases = self._aliases
        if aliases is None:
            raise InvalidRequest(
                "not known yet which terminals there are", field="terminal", hint="connect first"
            )
        if len(aliases) == 1:
            return aliases[0]
        raise InvalidRequest(
            "the relay has several terminals; say which" if aliases else "the relay has none",
            field="terminal",
            hint=f"configured: {', '.join(aliases)}" if aliases else "'bridge init' makes one",
        )

    def connect(self) -> Flow[None]:
        """
        Check that the relay is there and speaks our version; once is enough.

        Raises:
            RequestRefused: it speaks another version.
        """
        if not self._connected:
            yield from self.ping()
            self._connected = True
            if self._terminal is None:
                yield from self.terminals()

    def ping(self) -> Flow[Pong]:
        """
        Ask for a sign of life.
        """
        result = yield Inquiry(Method.PING, {})
        if result.get("bus_version") != BUS_VERSION:
            raise wrong_version(result)
        return model_from(Pong, result)

    def status(self) -> Flow[RelayStatus]:
        """
        Ask how the relay is.
        """
        yield from self.connect()
        return model_from(RelayStatus, (yield Inquiry(Method.STATUS, {})))

    def terminals(self) -> Flow[list[TerminalInfo]]:
        """
        Ask for the configured terminals.
        """
        yield from self.connect()
        result = yield Inquiry(Method.TERMINALS, {})
        found = [model_from(TerminalInfo, entry) for entry in _array(result, "terminals")]
        self._aliases = [terminal.alias for terminal in found]
        return found

    def alias(self) -> Flow[str]:
        """
        Find which terminal is meant.

        Raises:
            InvalidRequest: none was named and there is not exactly one.
        """
        yield from self.connect()
        if self._terminal is None and len(self._aliases or ()) != 1:
            yield from self.terminals()  # the configuration may be another one by now
        return self.terminal

    def symbols(self, group: str) -> Flow[list[SymbolInfo]]:
        """
        Ask for the terminal's symbols, page by page.
        """
        alias = yield from self.alias()
        found: list[SymbolInfo] = []
        offset = 0
        for _ in range(_PAGES_MAX):
            params = {"group": group, "offset": offset, "limit": _PAGE}
            result = yield Inquiry(Method.SYMBOLS, params, alias)
            found += [model_from(SymbolInfo, entry) for entry in _array(result, "symbols")]
            following = result.get("next_offset")
            if following is None:
                return found
            if type(following) is not int or following <= offset:
                break
            offset = following
        raise MalformedReply("the pages do not come to an end", field="next_offset")

    def symbol(self, name: str) -> Flow[SymbolInfo]:
        """
        Ask for all properties of a symbol.
        """
        alias = yield from self.alias()
        result = yield Inquiry(Method.SYMBOL, {"symbol": name}, alias)
        return model_from(SymbolInfo, fields_of(result, "symbol"))

    def tick(self, name: str) -> Flow[Tick]:
        """
        Ask for the last tick of a symbol.
        """
        alias = yield from self.alias()
        result = yield Inquiry(Method.TICK, {"symbol": name}, alias)
        fields = fields_of(result, "tick")
        try:
            return Tick(
                alias,
                name,
                int(fields.get("epoch") or 0),
                int(fields.get("seq") or 0),
                int(fields["time_msc"]),
                float(fields["bid"]),
                float(fields["ask"]),
                float(fields.get("last") or 0.0),
                float(fields.get("volume_real") or 0.0),
                int(fields.get("flags") or 0),
                int(fields.get("utc_offset_min") or 0),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise MalformedReply(f"not a tick: {error!r}", field="tick") from None

    def tick_topics(self, symbols: Sequence[str]) -> Flow[list[str]]:
        """
        Find the topics of symbols.

        Raises:
            InvalidRequest: no symbols, or a name that no symbol can have.
        """
        if not symbols:
            raise InvalidRequest("no symbols", field="symbols", hint="for example ticks('EURUSD')")
        for symbol in symbols:
            if not isinstance(symbol, str) or parse_topic(tick_topic("a", symbol)) is None:
                raise InvalidRequest(f"{symbol!r} is not a symbol", field="symbols")
        alias = yield from self.alias()
        return [tick_topic(alias, symbol) for symbol in symbols]

    def trade_topics(self) -> Flow[list[str]]:
        """
        Find the topic of the terminal's trade events.
        """
        alias = yield from self.alias()
        return [trade_topic(alias)]

    def snapshot(self, topics: Sequence[str]) -> Flow[list[TopicSnapshot]]:
        """
        Ask what the relay knows of topics.
        """
        if not topics:
            raise InvalidRequest("no topics", field="topics", hint="name at least one")
        yield from self.connect()
        found: list[TopicSnapshot] = []
        for at in range(0, len(topics), SNAPSHOT_TOPICS):
            page = list(topics[at : at + SNAPSHOT_TOPICS])
            result = yield Inquiry(Method.SNAPSHOT, {"topics": page, "wait_ms": 0})
            found += [_topic_snapshot(entry) for entry in read_snapshot(result)]
        return found

    def replay(self, topic: str, epoch: int, first: int, last: int | None) -> Flow[list[Event]]:
        """
        Ask for messages again, page by page; a ``Gap`` stands where something is missing.
        """
        yield from self.connect()
        info = _info(topic)
        found: list[Event] = []
        while True:
            params: dict[str, Any] = {"topic": topic, "epoch": epoch, "first": first}
            if last is not None:
                params["last"] = last
            try:
                page = read_replay((yield Inquiry(Method.REPLAY, params)))
            except RateLimited as limited:
                yield Pause(limited.retry_after_s)
                continue
            found += _in_order(info, epoch, page)
            if page.next_seq is None:
                return found
            if page.next_seq <= first:
                raise MalformedReply("the pages do not come to an end", field="next")
            first = page.next_seq

    def explain_silence(self, what: str, timeout: float) -> Flow[DeadlineExceeded]:
        """
        Find out why no ``what`` came for ``timeout`` seconds, as well as can be told.
        """
        message = f"no {what} for {timeout:g} s"
        try:
            alias = yield from self.alias()
            infos = {info.alias: info for info in (yield from self.terminals())}
        except RequestError as error:
            return DeadlineExceeded(f"{message}: {error.message}", hop=error.hop, hint=error.hint)
        info = infos.get(alias)
        if info is None or not info.connected:
            return DeadlineExceeded(
                f"{message}: the terminal {alias!r} is not connected to the relay",
                hop="terminal",
                hint="start MetaTrader with the EA attached (or 'bridge sim')",
            )
        # Before its first heartbeat a terminal has told nothing of this.
        if info.server_time_msc and info.permissions.get("terminal_connected") is False:
            return DeadlineExceeded(
                f"{message}: the terminal {alias!r} has no connection to its trade server",
                hop="trade_server",
                hint="look at the connection status in the terminal's lower right corner",
            )
        if info.busy:
            return DeadlineExceeded(
                f"{message}: the terminal {alias!r} is busy with a call that blocks it",
                hop="terminal",
                hint="a first synchronisation of a symbol can take 45 s",
            )
        return DeadlineExceeded(
            f"{message}: the terminal {alias!r} is connected and sent nothing",
            hop="trade_server",
            hint="the market may be closed",
        )


def model_from(model: type[M], values: Any) -> M:
    """
    Return what the relay told as a model.

    Raises:
        MalformedReply: it is not one; ``field`` says where.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in problem["loc"])
        raise MalformedReply(f"{model.__name__}: {problem['msg']}", field=field) from None


def _array(result: dict[str, Any], name: str) -> list[Any]:
    value = result.get(name)
    if not isinstance(value, list):
        raise MalformedReply("expected an array", field=name)
    return value


def _in_order(info: TopicInfo, epoch: int, page: ReplayPage) -> list[Event]:
    places: list[tuple[int, Event]] = [
        (seq, Gap(info.name, epoch, seq, last, NOT_HELD)) for seq, last in page.missing
    ]
    for body in page.bodies:
        at = position(body)
        if at is None:
            raise MalformedReply("a body begins with epoch and seq", field="messages")
        places.append((at[1], value_from(info, body)))
    return [value for _, value in sorted(places, key=lambda place: place[0])]


def _info(topic: str) -> TopicInfo:
    parsed = parse_topic(topic)
    if parsed is None:
        raise InvalidRequest(f"{topic!r} is not a topic", field="topic")
    return TopicInfo(topic, parsed.kind, parsed.alias, parsed.symbol)


def _topic_snapshot(entry: TopicEntry) -> TopicSnapshot:
    return TopicSnapshot(
        topic=entry.topic,
        status=entry.status,
        epoch=entry.epoch,
        seq=entry.seq,
        oldest_seq=entry.oldest_seq,
        value=None if entry.body is None else value_from(_info(entry.topic), entry.body),
        error=entry.error,
    )
