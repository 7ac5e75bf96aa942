"""Two real wire sessions back to back, and a fake link between them that can do harm."""

from __future__ import annotations

import enum
import hmac
import struct

from bridge.model.record import Cursor, extend_cursor, pack_record
from bridge.model.tick import MqlTick
from bridge.wire.fields import (
    BinField,
    ListField,
    MapField,
    NumberField,
    OptionalField,
    TextField,
    TupleField,
)
from bridge.wire.frame import pack_run_header
from bridge.wire.messages import (
    Ack,
    Busy,
    CancelRequest,
    Event,
    EventAck,
    Gap,
    Halt,
    Heartbeat,
    Hello,
    Logout,
    New,
    OrderRequest,
    Page,
    QueriedCommand,
    Query,
    Refill,
    Request,
    Result,
    Resume,
    Stream,
    Subscribe,
    TerminalState,
    TestRequest,
    Unsubscribe,
    Welcome,
)
from bridge.wire.protocol import (
    Closed,
    HelloReceived,
    LogonRequested,
    RelaySession,
    TerminalSession,
)
from bridge.wire.spec import FRAME_MAGIC, FRAME_OVERHEAD, FrameType

KEY = bytes(range(32))
WRONG_KEY = bytes(range(1, 33))
TERMINAL_NONCE = b"\x11" * 32
RELAY_NONCE = b"\x22" * 32
INCARNATION = b"\x33" * 16
RELAY_EPOCH = 7
CAPABILITIES = 0x3FF
START_US = 1_000_000_000
MS = 1_000
#: the beginning of a frame that never goes on
UNFINISHED = bytes.fromhex("400000")


class Way(enum.Enum):
    """
    How bytes arrive: at once, one by one, or with the beginning of a further frame.
    """

    WHOLE = "whole"
    BYTES = "byte by byte"
    TRAILING = "with trailing bytes"


def feed(session, data, now_us=START_US, way=Way.WHOLE):
    """
    Give bytes to a session the way they are to arrive.
    """
    if way is Way.BYTES:
        for i in range(len(data)):
            session.receive_data(data[i : i + 1], now_us)
    else:
        session.receive_data(data + (UNFINISHED if way is Way.TRAILING else b""), now_us)


def a_hello(**changes):
    """
    Return a HELLO of a demo account.
    """
    fields = {
        "version_min": 1,
        "version_max": 1,
        "capabilities": CAPABILITIES,
        "key_id": "demo",
        "login": 12345678,
        "server": "MetaQuotes-Demo",
        "company": "MetaQuotes Ltd.",
        "currency": "USD",
        "leverage": 100,
        "role": 3,
        "margin_mode": 2,
        "trade_mode": 0,
        "build": 5836,
        "program": "Bridge.mq5 1.00",
        "incarnation": INCARNATION,
        "connection_counter": 1,
        "relay_epoch_seen": 0,
        "nonce": TERMINAL_NONCE,
    }
    return Hello(**{**fields, **changes})


CURSOR = Cursor(1_546_387_200_123, 2, 0xDEADBEEF)
ORDER = OrderRequest(
    1, 20_240_101, None, "EURUSD", 0.1, 1.1, None, 1.09, 1.11, 20, 0, None, None, None, "mine",
    None, None,
)  # fmt: skip
STATE = TerminalState(31, 0, 10_000, 250, 1_546_387_200_123, 120, 32_000, 2, 8_192)

#: one message of each kind with plausible values, beside HELLO and CHALLENGE
MESSAGES = (
    Welcome("demo", "mt5-zmq-bridge 0.1.0", 1000, 4000, 0, 5_000_000, 1_546_380_000_123, None),
    Logout(1, "the relay is stopping", 1000),
    Heartbeat(5_000_000, 4_000_000, 350, 0, STATE),
    TestRequest(1),
    Busy(2, 45_000),
    Ack(17),
    Subscribe(1, 1, "EURUSD", 0, 8, 86_400, Resume(7, 42, CURSOR, 43)),
    Unsubscribe(1),
    Stream(1, 0, "", 1, 7, 43, 1, 5, 0.00001),
    Gap(1, 2, 7, 42, CURSOR, 8, 1, CURSOR, "the history differs"),
    Refill(2, "EURUSD", CURSOR, 1_546_387_260_000, 10_000, 6_000_000),
    Request(3, "symbol", {"symbol": "EURUSD"}, 6_000_000),
    Page(3, 0, True, 0, "", 0, b"\x80"),
    CancelRequest(3),
    New("bot/1", "zb1:ABCDEFGHIJKLMNOP", 5_000_000, 7_000_000, 7, INCARNATION, 12345678, 1, ORDER),
    Query(
        ("bot/1",),
        6_000,
        5_000_000,
        (QueriedCommand("zb1:ABCDEFGHIJKLMNOP", 1_546_380_000_123, 1, ORDER),),
    ),
    Result(
        "bot/1", 6, INCARNATION, False, 3, 10009, 0, 111, 222, 333, 0.1, 1.1, 1.1, 1.1001, "done",
        4, 1_546_387_200_123, 120, 0, "", (111,), 0,
    ),
    Event(1, True, 1_546_387_200_123, 111, 1_546_387_200_123, 120, {"ticket": 111}),
    EventAck(1_546_387_200_123, 111),
    Halt(2, "an administrator", 7),
)  # fmt: skip


def ticks_body(symbol_id=1, first_seq=1, length=1, epoch=7):
    """
    Return the body of a TICKS frame with one run.
    """
    cursor = Cursor(0, 0, 0)
    records = b""
    for i in range(length):
        tick = MqlTick(1_546_387_200_000 + i, 1.1 + i / 100_000, 1.2)
        cursor = extend_cursor(cursor, tick)
        records += pack_record(epoch, first_seq + i, tick, 120)
    return pack_run_header(symbol_id, length, first_seq, 5_000_000, cursor) + records


def a_frame(frame_type, seq, body=b"", key=None, *, flags=0, magic=FRAME_MAGIC, length=None):
    """
    Return the bytes of a frame, built without ``bridge.wire``; ``key`` None: zeros for a tag.
    """
    if length is None:
        length = len(body) + FRAME_OVERHEAD
    data = struct.pack("<IBBHQ", length, frame_type, flags, magic, seq) + body
    return data + (bytes(16) if key is None else hmac.digest(key, data, "sha256")[:16])


def frames_of(data):
    """
    Return the frames that ``data`` consists of.
    """
    frames = []
    while data:
        length = int.from_bytes(data[:4], "little")
        frames.append(data[:length])
        data = data[length:]
    return frames


def type_of(frame):
    """
    Return the type of a frame.
    """
    return FrameType(frame[4])


def flipped(data, bit):
    """
    Return ``data`` with one bit the other way round.
    """
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


class Line:
    """
    One direction of the fake link. ``waiting`` has the frames that are under way; a test may
    drop, repeat, reorder or change them. With ``dead`` they vanish, as on a half-open link.
    """

    def __init__(self, sender, receiver):
        self.sender = sender
        self.receiver = receiver
        self.waiting = []
        self.delivered = []
        self.dead = False

    def collect(self):
        """
        Take what the sender has to send.
        """
        while data := self.sender.data_to_send():
            self.waiting += frames_of(data)
        if self.dead:
            self.waiting.clear()
        return self.waiting

    def deliver(self, now_us, way=Way.WHOLE):
        """
        Give everything that waits to the receiver.
        """
        frames, self.waiting = self.waiting, []
        self.delivered += frames
        if frames:
            feed(self.receiver, b"".join(frames), now_us, way)

    def cut_after(self, size, now_us):
        """
        Deliver the first ``size`` bytes, then end the connection.
        """
        data = b"".join(self.waiting)
        self.waiting = []
        self.receiver.receive_data(data[:size], now_us)
        self.receiver.receive_eof()


class SessionPair:
    """
    A terminal's and a relay's session, a clock, and a line each way.

    ``settle`` carries frames until nothing moves, and answers for the two programs: a HELLO
    with a challenge, a logon with a welcome. ``advance`` lets time go by.
    """

    def __init__(self, *, terminal_key=KEY, relay_key=KEY, hello=None, way=Way.WHOLE, **timing):
        self.now_us = START_US
        self.way = way
        self.relay_key = relay_key
        self.terminal = TerminalSession(terminal_key, hello or a_hello(), self.now_us)
        self.relay = RelaySession(self.now_us, **timing)
        self.up = Line(self.terminal, self.relay)
        self.down = Line(self.relay, self.terminal)
        self.terminal_events = []
        self.relay_events = []

    def settle(self):
        """
        Deliver until both sides are silent.
        """
        for _ in range(1000):
            self.up.collect()
            self.down.collect()
            if not self.up.waiting and not self.down.waiting:
                return self
            # With the unfinished frame of Way.TRAILING behind it, nothing more could follow.
            way = Way.WHOLE if self.way is Way.TRAILING else self.way
            self.up.deliver(self.now_us, way)
            self.down.deliver(self.now_us, way)
            self.take_events()
        raise AssertionError("the two sides do not come to rest")

    def take_events(self):
        """
        Take the events of both sides, and answer for the relay's program.
        """
        self.terminal_events += self.terminal.events_received()
        for event in self.relay.events_received():
            self.relay_events.append(event)
            if self.relay.closed:
                continue  # by what came behind the event in the same read
            if isinstance(event, HelloReceived):
                self.relay.challenge(self.relay_key, RELAY_NONCE, RELAY_EPOCH, CAPABILITIES)
            elif isinstance(event, LogonRequested):
                self.relay.accept("demo", "relay", self.now_us, 1_546_380_000_123)

    def logon(self):
        """
        Log on and forget the events of it.
        """
        self.settle()
        assert not self.terminal.closed, self.terminal_events
        assert not self.relay.closed, self.relay_events
        self.terminal_events.clear()
        self.relay_events.clear()
        return self

    def advance(self, ms):
        """
        Let time go by: timers are called when they are due, frames take no time.
        """
        end_us = self.now_us + ms * MS
        while self.now_us < end_us:
            due = min(self.terminal.next_deadline(), self.relay.next_deadline())
            self.now_us = min(end_us, max(due, self.now_us + 1))
            for session in (self.terminal, self.relay):
                if self.now_us >= session.next_deadline():
                    session.handle_timer(self.now_us)
            self.settle()
            self.take_events()
        return self

    @property
    def keys(self):
        """
        The session keys: terminal to relay, relay to terminal.
        """
        return self.terminal._send_tagger.key, self.relay._send_tagger.key

    def end_of(self, side):
        """
        Return the Closed event of ``"terminal"`` or ``"relay"``, after taking all events.
        """
        self.take_events()
        events = self.terminal_events if side == "terminal" else self.relay_events
        ends = [event for event in events if isinstance(event, Closed)]
        assert len(ends) <= 1
        return ends[0] if ends else None


def largest(cls):
    """
    Return a message whose every field takes as many bytes as it may; maps are empty.
    """
    return cls(*(_largest(field) for _, field in cls.FIELDS))


def _largest(field):
    match field:
        case OptionalField():
            return _largest(field.field)
        case ListField():
            return (_largest(field.field),) * field.max_items
        case TupleField():
            return field._make(*(_largest(part) for _, part in field.fields))
        case TextField():
            return "x" * field._max
        case BinField():
            return b"x" * field._size
        case MapField():
            return {}
        case NumberField():
            return 1.5 if field._high is None else field._high
    return True
