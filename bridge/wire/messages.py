"""The messages of wire protocol version 1: names, order, types and bounds of their fields.

Each class is one frame type. The tables of the specification are generated from
``FIELDS``; add a field only at the end, and with a new capability bit or version.

TICKS, PROOF and the proof at the end of CHALLENGE are not msgpack: they are read in
``bridge.wire.frame`` and ``bridge.wire.protocol`` by fixed offsets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeVar

import msgpack

from bridge.exceptions import RemoteProtocolError
from bridge.model.record import Cursor
from bridge.wire.fields import (
    BOOL,
    F64,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    BinField,
    Field,
    FieldError,
    ListField,
    MapField,
    OptionalField,
    TextField,
)
from bridge.wire.spec import PAGE_PAYLOAD_MAX, FrameType, LogoutCode
from bridge.wire.structures import (
    COMMAND_ID,
    CURSOR,
    EVENT_CURSOR,
    INCARNATION,
    ORDER_REQUEST,
    ORDER_TAG,
    QUERIED_COMMAND,
    RESUME,
    SYMBOL,
    TERMINAL_STATE,
    TEXT,
    EventCursor,
    OrderRequest,
    QueriedCommand,
    Resume,
    TerminalState,
)

__all__ = [
    "MESSAGES",
    "Ack",
    "Busy",
    "CancelRequest",
    "Challenge",
    "Event",
    "EventAck",
    "EventCursor",
    "Gap",
    "Halt",
    "Heartbeat",
    "Hello",
    "Logout",
    "Message",
    "New",
    "OrderRequest",
    "Page",
    "QueriedCommand",
    "Query",
    "Refill",
    "Request",
    "Result",
    "Resume",
    "Stream",
    "Subscribe",
    "TerminalState",
    "TestRequest",
    "Unsubscribe",
    "Welcome",
    "pack_message",
    "unpack_message",
]

Fields = tuple[tuple[str, Field], ...]


class Message:
    """
    Base of all messages: a frame type and the table of its fields.
    """

    __slots__ = ()
    TYPE: ClassVar[FrameType]
    FIELDS: ClassVar[Fields]


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """
    Terminal to relay, first frame, not tagged: who wants to log on.
    """

    TYPE: ClassVar = FrameType.HELLO
    FIELDS: ClassVar[Fields] = (
        ("version_min", U16),
        ("version_max", U16),
        ("capabilities", U64),
        ("key_id", TextField(32)),
        ("login", U64),
        ("server", TextField(128)),
        ("company", TextField(128)),
        ("currency", TextField(16)),
        ("leverage", U32),
        ("role", U8),
        ("margin_mode", U8),
        ("trade_mode", U8),
        ("build", U32),
        ("program", TextField(64)),
        ("incarnation", INCARNATION),
        ("connection_counter", U64),
        ("relay_epoch_seen", U64),
        ("nonce", BinField(32)),
    )

    version_min: int
    version_max: int
    capabilities: int
    key_id: str
    login: int
    server: str
    company: str
    currency: str
    leverage: int
    role: int
    margin_mode: int
    trade_mode: int
    build: int
    program: str
    incarnation: bytes
    connection_counter: int
    relay_epoch_seen: int
    nonce: bytes


@dataclass(frozen=True, slots=True)
class Challenge(Message):
    """
    Relay to terminal, not tagged; 32 bytes of relay proof follow the array.
    """

    TYPE: ClassVar = FrameType.CHALLENGE
    FIELDS: ClassVar[Fields] = (
        ("version", U16),
        ("capabilities", U64),
        ("relay_epoch", U64),
        ("nonce", BinField(32)),
    )

    version: int
    capabilities: int
    relay_epoch: int
    nonce: bytes


@dataclass(frozen=True, slots=True)
class Welcome(Message):
    """
    Relay to terminal, the first tagged frame: the session is open.
    """

    TYPE: ClassVar = FrameType.WELCOME
    FIELDS: ClassVar[Fields] = (
        ("alias", TextField(32)),
        ("program", TextField(64)),
        ("heartbeat_interval_ms", U32),
        ("silence_limit_ms", U32),
        ("trading_state", U8),
        ("time_us", I64),
        ("time_utc_msc", I64),
        ("event_cursor", OptionalField(EVENT_CURSOR)),
    )

    alias: str
    program: str
    heartbeat_interval_ms: int
    silence_limit_ms: int
    trading_state: int
    time_us: int
    time_utc_msc: int
    event_cursor: EventCursor | None


@dataclass(frozen=True, slots=True)
class Logout(Message):
    """
    Either side, last frame: why the session ends. Tagged once session keys exist.
    """

    TYPE: ClassVar = FrameType.LOGOUT
    FIELDS: ClassVar[Fields] = (("code", U16), ("text", TEXT), ("retry_after_ms", U32))

    code: int
    text: str
    retry_after_ms: int


@dataclass(frozen=True, slots=True)
class Heartbeat(Message):
    """
    Either side, every heartbeat interval, and at once in answer to a TEST_REQUEST.
    """

    TYPE: ClassVar = FrameType.HEARTBEAT
    FIELDS: ClassVar[Fields] = (
        ("time_us", I64),
        ("echo_time_us", I64),
        ("echo_delay_us", U32),
        ("test_id", U32),
        ("state", OptionalField(TERMINAL_STATE)),
    )

    time_us: int
    echo_time_us: int
    echo_delay_us: int
    test_id: int
    state: TerminalState | None


@dataclass(frozen=True, slots=True)
class TestRequest(Message):
    """
    Either side: answer with a HEARTBEAT that carries ``test_id``.
    """

    TYPE: ClassVar = FrameType.TEST_REQUEST
    FIELDS: ClassVar[Fields] = (("test_id", U32),)

    test_id: int


@dataclass(frozen=True, slots=True)
class Busy(Message):
    """
    Terminal to relay, before a call that may block for up to ``limit_ms``.
    """

    TYPE: ClassVar = FrameType.BUSY
    FIELDS: ClassVar[Fields] = (("kind", U8), ("limit_ms", U32))

    kind: int
    limit_ms: int


@dataclass(frozen=True, slots=True)
class Ack(Message):
    """
    Relay to terminal: every frame up to ``seq`` was taken.
    """

    TYPE: ClassVar = FrameType.ACK
    FIELDS: ClassVar[Fields] = (("seq", U64),)

    seq: int


@dataclass(frozen=True, slots=True)
class Subscribe(Message):
    """
    Relay to terminal: stream this symbol; go on from ``resume`` where that is possible.
    """

    TYPE: ClassVar = FrameType.SUBSCRIBE
    FIELDS: ClassVar[Fields] = (
        ("request_id", U32),
        ("kind", U8),
        ("symbol", SYMBOL),
        ("timeframe", U32),
        ("fresh_epoch", U32),
        ("resume_max_age_s", U32),
        ("resume", OptionalField(RESUME)),
    )

    request_id: int
    kind: int
    symbol: str
    timeframe: int
    fresh_epoch: int
    resume_max_age_s: int
    resume: Resume | None


@dataclass(frozen=True, slots=True)
class Unsubscribe(Message):
    """
    Relay to terminal: stop this stream and forget its id.
    """

    TYPE: ClassVar = FrameType.UNSUBSCRIBE
    FIELDS: ClassVar[Fields] = (("symbol_id", U32),)

    symbol_id: int


@dataclass(frozen=True, slots=True)
class Stream(Message):
    """
    Terminal to relay, the answer to SUBSCRIBE: the stream's id and first record, or why not.
    """

    TYPE: ClassVar = FrameType.STREAM
    FIELDS: ClassVar[Fields] = (
        ("request_id", U32),
        ("code", U16),
        ("text", TEXT),
        ("symbol_id", U32),
        ("epoch", U32),
        ("first_seq", U64),
        ("continuity", U8),
        ("digits", U8),
        ("point", F64),
    )

    request_id: int
    code: int
    text: str
    symbol_id: int
    epoch: int
    first_seq: int
    continuity: int
    digits: int
    point: float


@dataclass(frozen=True, slots=True)
class Gap(Message):
    """
    Terminal to relay: ticks between two cursors were not and will not be sent.
    """

    TYPE: ClassVar = FrameType.GAP
    FIELDS: ClassVar[Fields] = (
        ("symbol_id", U32),
        ("reason", U8),
        ("old_epoch", U32),
        ("old_seq", U64),
        ("old_cursor", CURSOR),
        ("epoch", U32),
        ("first_seq", U64),
        ("cursor", CURSOR),
        ("text", TEXT),
    )

    symbol_id: int
    reason: int
    old_epoch: int
    old_seq: int
    old_cursor: Cursor
    epoch: int
    first_seq: int
    cursor: Cursor
    text: str


@dataclass(frozen=True, slots=True)
class Refill(Message):
    """
    Relay to terminal: ticks from history behind ``after`` up to ``until``, as PAGEs of MqlTick.
    """

    TYPE: ClassVar = FrameType.REFILL
    FIELDS: ClassVar[Fields] = (
        ("request_id", U32),
        ("symbol", SYMBOL),
        ("after", CURSOR),
        ("until_msc", I64),
        ("max_ticks", U32),
        ("deadline_us", I64),
    )

    request_id: int
    symbol: str
    after: Cursor
    until_msc: int
    max_ticks: int
    deadline_us: int


@dataclass(frozen=True, slots=True)
class Request(Message):
    """
    Relay to terminal: anything that is only read; answered by one or more PAGEs.
    """

    TYPE: ClassVar = FrameType.REQUEST
    FIELDS: ClassVar[Fields] = (
        ("request_id", U32),
        ("method", TextField(64)),
        ("params", MapField(64)),
        ("deadline_us", I64),
    )

    request_id: int
    method: str
    params: dict[str, Any]
    deadline_us: int


@dataclass(frozen=True, slots=True)
class Page(Message):
    """
    Terminal to relay: one part of an answer, in order; the last one says so.
    """

    TYPE: ClassVar = FrameType.PAGE
    FIELDS: ClassVar[Fields] = (
        ("request_id", U32),
        ("page", U32),
        ("last", BOOL),
        ("code", U16),
        ("text", TEXT),
        ("kind", U8),
        ("payload", BinField(PAGE_PAYLOAD_MAX, exact=False)),
    )

    request_id: int
    page: int
    last: bool
    code: int
    text: str
    kind: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class CancelRequest(Message):
    """
    Relay to terminal: send no more pages of this request.
    """

    TYPE: ClassVar = FrameType.CANCEL_REQUEST
    FIELDS: ClassVar[Fields] = (("request_id", U32),)

    request_id: int


@dataclass(frozen=True, slots=True)
class New(Message):
    """
    Relay to terminal: execute this order request once, before its deadline, or never.
    """

    TYPE: ClassVar = FrameType.NEW
    FIELDS: ClassVar[Fields] = (
        ("command_id", COMMAND_ID),
        ("tag", ORDER_TAG),
        ("sent_us", I64),
        ("deadline_us", I64),
        ("relay_epoch", U64),
        ("incarnation", INCARNATION),
        ("login", U64),
        ("flags", U32),
        ("request", ORDER_REQUEST),
    )

    command_id: str
    tag: str
    sent_us: int
    deadline_us: int
    relay_epoch: int
    incarnation: bytes
    login: int
    flags: int
    request: OrderRequest


@dataclass(frozen=True, slots=True)
class Query(Message):
    """
    Relay to terminal: what became of these commands? Each is answered by a RESULT.

    ``commands`` is empty, or has one element for each id, in the same order: needed when
    the terminal's ledger is not the one that the commands were sent to.
    """

    TYPE: ClassVar = FrameType.QUERY
    FIELDS: ClassVar[Fields] = (
        ("command_ids", ListField(COMMAND_ID, 64)),
        ("settle_ms", U32),
        ("sent_us", I64),
        ("commands", ListField(QUERIED_COMMAND, 64)),
    )

    command_ids: tuple[str, ...]
    settle_ms: int
    sent_us: int
    commands: tuple[QueriedCommand, ...] = ()


@dataclass(frozen=True, slots=True)
class Result(Message):
    """
    Terminal to relay: what the terminal knows of one command, and from where.
    """

    TYPE: ClassVar = FrameType.RESULT
    FIELDS: ClassVar[Fields] = (
        ("command_id", COMMAND_ID),
        ("outcome", U8),
        ("incarnation", INCARNATION),
        ("replayed", BOOL),
        ("evidence", U8),
        ("retcode", U32),
        ("retcode_external", I32),
        ("deal", U64),
        ("order", U64),
        ("position", U64),
        ("volume", F64),
        ("price", F64),
        ("bid", F64),
        ("ask", F64),
        ("comment", TextField(128)),
        ("request_id", U32),
        ("time_msc", I64),
        ("utc_offset_min", I16),
        ("error", U32),
        ("text", TEXT),
        ("deals", ListField(U64, 256)),
        ("reason", U8),
    )

    command_id: str
    outcome: int
    incarnation: bytes
    replayed: bool
    evidence: int
    retcode: int
    retcode_external: int
    deal: int
    order: int
    position: int
    volume: float
    price: float
    bid: float
    ask: float
    comment: str
    request_id: int
    time_msc: int
    utc_offset_min: int
    error: int
    text: str
    deals: tuple[int, ...]
    reason: int = 0


@dataclass(frozen=True, slots=True)
class Event(Message):
    """
    Terminal to relay: something happened to the account, with its place in the event order.
    """

    TYPE: ClassVar = FrameType.EVENT
    FIELDS: ClassVar[Fields] = (
        ("kind", U8),
        ("recovered", BOOL),
        ("cursor_time_msc", I64),
        ("cursor_ticket", U64),
        ("time_msc", I64),
        ("utc_offset_min", I16),
        ("record", MapField(64)),
    )

    kind: int
    recovered: bool
    cursor_time_msc: int
    cursor_ticket: int
    time_msc: int
    utc_offset_min: int
    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class EventAck(Message):
    """
    Relay to terminal: events up to this cursor are on disk.
    """

    TYPE: ClassVar = FrameType.EVENT_ACK
    FIELDS: ClassVar[Fields] = (("cursor_time_msc", I64), ("cursor_ticket", U64))

    cursor_time_msc: int
    cursor_ticket: int


@dataclass(frozen=True, slots=True)
class Halt(Message):
    """
    Relay to terminal: the trading state from now on; heartbeats show it taken.
    """

    TYPE: ClassVar = FrameType.HALT
    FIELDS: ClassVar[Fields] = (("trading_state", U8), ("reason", TEXT), ("relay_epoch", U64))

    trading_state: int
    reason: str
    relay_epoch: int


MESSAGES: Final[dict[int, type[Message]]] = {
    int(cls.TYPE): cls
    for cls in (
        Hello,
        Challenge,
        Welcome,
        Logout,
        Heartbeat,
        TestRequest,
        Busy,
        Ack,
        Subscribe,
        Unsubscribe,
        Stream,
        Gap,
        Refill,
        Request,
        Page,
        CancelRequest,
        New,
        Query,
        Result,
        Event,
        EventAck,
        Halt,
    )
}

M = TypeVar("M", bound=Message)


def pack_message(message: Message) -> bytes:
    """
    Return the body of a message.

    Raises:
        FieldError: a field is of the wrong type or out of range: a defect of the caller.
    """
    values = [field.check(getattr(message, name), name) for name, field in message.FIELDS]
    packed: bytes = msgpack.packb(values)
    return packed


def _unique_keys(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice in a map")
    return result


def unpack_message(cls: type[M], body: bytes | memoryview) -> M:
    """
    Return the message in ``body``.

    Raises:
        RemoteProtocolError: the body is not msgpack, not an array, too short, or a
            field is of the wrong type or out of range. The reason names the field.
    """
    try:
        values = msgpack.unpackb(
            body,
            raw=False,
            strict_map_key=True,
            max_array_len=4096,
            max_map_len=256,
            max_ext_len=0,
            object_pairs_hook=_unique_keys,
        )
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError(
            LogoutCode.BAD_MESSAGE, f"{cls.TYPE.name}: not valid msgpack: {error}"[:200]
        ) from None
    if not isinstance(values, list) or len(values) < len(cls.FIELDS):
        reason = f"{cls.TYPE.name}: the body is not an array of {len(cls.FIELDS)} fields"
        raise RemoteProtocolError(LogoutCode.BAD_MESSAGE, reason)
    try:
        return cls(
            *(
                field.check(value, part)
                for (part, field), value in zip(cls.FIELDS, values, strict=False)
            )
        )
    except FieldError as error:
        reason = f"{cls.TYPE.name}.{error}"[:200]
        raise RemoteProtocolError(LogoutCode.BAD_MESSAGE, reason) from None
