"""Write the golden vectors of the wire protocol, or check that they are in step with the code.

``tests/vectors/wire/*.json`` holds bytes beside what they mean, so that another
implementation can be tested without this one. Everything in them is fixed: keys, nonces,
times. Whoever has to change a vector has changed the protocol.

    python -m tools.wire_vectors            write
    python -m tools.wire_vectors --check    only tell what differs; exit code 1 if anything does
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
from pathlib import Path
from typing import Any, Final

from bridge.model.record import Cursor, extend_cursor, pack_record
from bridge.model.tick import MqlTick, TickFlag
from bridge.wire import auth
from bridge.wire.frame import pack_header, pack_run_header
from bridge.wire.messages import (
    Ack,
    Busy,
    CancelRequest,
    Challenge,
    Event,
    EventAck,
    EventCursor,
    Gap,
    Halt,
    Heartbeat,
    Hello,
    Logout,
    Message,
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
    pack_message,
)
from bridge.wire.protocol import RelaySession, Session, TerminalSession
from bridge.wire.spec import (
    FRAME_OVERHEAD,
    VERSION,
    BusyKind,
    Continuity,
    EventKind,
    Evidence,
    FrameType,
    GapReason,
    LogoutCode,
    NewFlag,
    OrderOutcome,
    PageKind,
    TradingState,
)

__all__ = ["FOLDER", "Recording", "encoded", "main", "recorded_session", "vectors"]

FOLDER: Final = Path(__file__).resolve().parent.parent / "tests" / "vectors" / "wire"

KEY: Final = bytes(range(32))
TERMINAL_NONCE: Final = bytes(range(0x40, 0x60))
RELAY_NONCE: Final = bytes(range(0x80, 0xA0))
INCARNATION: Final = bytes(range(0xC0, 0xD0))
RELAY_EPOCH: Final = 7
CAPABILITIES: Final = 0b1111
#: the two monotonic clocks when the recording begins; they have nothing to do with each other
TERMINAL_START_US: Final = 5_000_000
RELAY_START_US: Final = 91_000_000_000
UTC_MSC: Final = 1_546_380_000_000
SERVER_MSC: Final = UTC_MSC + 120 * 60_000

HELLO: Final = Hello(
    version_min=1,
    version_max=1,
    capabilities=CAPABILITIES,
    key_id="demo",
    login=12345678,
    server="MetaQuotes-Demo",
    company="MetaQuotes Ltd.",
    currency="EUR",
    leverage=100,
    role=3,
    margin_mode=2,
    trade_mode=0,
    build=5836,
    program="Bridge.mq5 1.00",
    incarnation=INCARNATION,
    connection_counter=41,
    relay_epoch_seen=6,
    nonce=TERMINAL_NONCE,
)
CHALLENGE: Final = Challenge(1, CAPABILITIES, RELAY_EPOCH, RELAY_NONCE)

TICKS: Final = (
    MqlTick(SERVER_MSC, 1.1394, 1.13942, 0.0, 0.0, 6),
    MqlTick(SERVER_MSC + 17, 1.13941, 1.13942, 0.0, 0.0, 2),
    MqlTick(SERVER_MSC + 17, 1.13941, 1.13945, 0.0, 0.0, 4),
    MqlTick(SERVER_MSC + 17, 1.13938, 1.13945, 0.0, 0.0, 2),
    MqlTick(SERVER_MSC + 1_250, -37.63, 0.0, 1e-05, 2.5, 24),
)
_NOWHERE: Final = Cursor(0, 0, 0)

_STATE: Final = TerminalState(31, 0, 10_000, 250, SERVER_MSC, 120, 32_000, 2, 8_192)
_MARKET: Final = OrderRequest(
    action=1,
    magic=2**63 + 1,
    order=None,
    symbol="EURUSD",
    volume=0.1,
    price=1.13942,
    stoplimit=None,
    sl=1.13,
    tp=0.0,
    deviation=20,
    type=0,
    type_filling=None,
    type_time=None,
    expiration=None,
    comment="mine",
    position=None,
    position_by=None,
)
_CLOSE_BY: Final = OrderRequest(
    action=10,
    magic=None,
    order=None,
    symbol=None,
    volume=None,
    price=None,
    stoplimit=None,
    sl=None,
    tp=None,
    deviation=None,
    type=None,
    type_filling=None,
    type_time=None,
    expiration=None,
    comment=None,
    position=2**53 + 1,
    position_by=2**53 + 2,
)
_TAG: Final = "zb1:" + base64.b32encode(hashlib.sha256(b"bot/1").digest())[:16].decode()
_PLACE: Final = Cursor(SERVER_MSC + 17, 3, 0xDEADBEEF)

_NEW: Final = New(
    "bot/1", _TAG, 91_000_000_123, 91_002_000_123, 7, INCARNATION, 12345678, 0, _MARKET
)
_RESULT: Final = Result("bot/1", OrderOutcome.DONE, INCARNATION, False, Evidence.TRADE_SERVER, 10009, 0,
           1_111, 2_222, 3_333, 0.1, 1.13942, 1.1394, 1.13942, "Request executed", 4,
           SERVER_MSC, 120, 0, "", (1_111,), 0)  # fmt: skip
_EVENT: Final = Event(EventKind.DEAL, True, SERVER_MSC, 1_111, SERVER_MSC, 120,
          {"ticket": 1_111, "symbol": "EURUSD", "volume": 0.1, "reason": 3})  # fmt: skip

#: every message with a body of its own, once with much in it and often once with little
MESSAGES: Final[tuple[Message, ...]] = (
    HELLO,
    CHALLENGE,
    Welcome(
        "demo", "mt5-zmq-bridge 0.1.0", 1000, 4000, 0, 91_000_000_123, UTC_MSC,
        EventCursor(SERVER_MSC, 2**53 + 1),
    ),
    Welcome("ftmo1", "", 500, 2000, TradingState.HALTED, 1, 0, None),
    Logout(LogoutCode.NOT_DEMO, "alias 'demo' takes demo accounts only", 10_000),
    Logout(LogoutCode.NORMAL, "", 0),
    Heartbeat(5_000_000, 91_000_000_123, 350, 0, _STATE),
    Heartbeat(91_000_000_123, 0, 0, 0xFFFF_FFFF, None),
    Heartbeat(5, 4, 3, 2, TerminalState(0, 2, 0, 0, -1, -720, -1, 0, 0)),
    TestRequest(1),
    Busy(BusyKind.COPY_TICKS, 45_000),
    Busy(BusyKind.READY, 0),
    Ack(2**32),
    Subscribe(1, 1, "EURUSD", 0, 8, 86_400, Resume(7, 42, _PLACE, 43)),
    Subscribe(2, 1, "ÅÖ€.r", 0, 9, 86_400, None),
    Unsubscribe(1),
    Stream(1, 0, "", 1, 7, 43, Continuity.RESUMED, 5, 1e-05),
    Stream(2, 1, "the terminal has no symbol 'ÅÖ€.r'", 0, 0, 0, 0, 0, 0.0),
    Gap(1, GapReason.HISTORY_REVISED, 7, 42, _PLACE, 8, 1, Cursor(SERVER_MSC + 1_250, 1, 1),
        "the terminal's history differs at the last tick taken"),
    Refill(3, "EURUSD", _PLACE, SERVER_MSC + 60_000, 10_000, 91_005_000_000),
    Request(4, "symbol", {"symbol": "EURUSD"}, 91_005_000_000),
    Request(5, "terminal", {}, 91_005_000_000),
    Page(4, 0, True, 0, "", PageKind.MSGPACK, bytes.fromhex("81a664696769747305")),
    Page(5, 0, True, 4, "no such method", PageKind.MSGPACK, b""),
    CancelRequest(3),
    _NEW,
    New("bot/2", _TAG, 91_000_000_123, 91_002_000_123, 7, INCARNATION, 12345678,
        NewFlag.REDUCE_ONLY | NewFlag.ADMIN, _CLOSE_BY),
    Query(("bot/1", "bot/2"), 6_000, 91_000_000_123),
    Query(("bot/1",), 6_000, 91_000_000_123, (QueriedCommand(_TAG, UTC_MSC, 0, _MARKET),)),
    _RESULT,
    Result("bot/2", OrderOutcome.NEVER_SEEN, INCARNATION, True, Evidence.LEDGER, 0, 0, 0, 0, 0,
           0.0, 0.0, 0.0, 0.0, "", 0, 0, 120, 0, "", (), 0),
    _EVENT,
    EventAck(SERVER_MSC, 1_111),
    Halt(TradingState.REDUCING, "daily loss", 7),
)  # fmt: skip

_LONG_DATA: Final = (
    b"This is a test using a larger than block-size key and a larger than block-size data. The "
    b"key needs to be hashed before being used by the HMAC algorithm."
)
#: RFC 4231, section 4: key, data
_RFC_4231: Final = (
    (b"\x0b" * 20, b"Hi There"),
    (b"Jefe", b"what do ya want for nothing?"),
    (b"\xaa" * 20, b"\xdd" * 50),
    (bytes(range(1, 26)), b"\xcd" * 50),
    (b"\x0c" * 20, b"Test With Truncation"),
    (b"\xaa" * 131, b"Test Using Larger Than Block-Size Key - Hash Key First"),
    (
        b"\xaa" * 131,
        _LONG_DATA,
    ),
)


def encoded(value: Any) -> Any:
    """
    Return a field's value as JSON has it: bytes as ``{"bin": hex}``, a map as ``{"map": ...}``.
    """
    if isinstance(value, bytes):
        return {"bin": value.hex()}
    if isinstance(value, dict):
        return {"map": {key: encoded(item) for key, item in value.items()}}
    if isinstance(value, tuple | list):
        return [encoded(item) for item in value]
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _fields(message: Message) -> dict[str, Any]:
    return {name: encoded(getattr(message, name)) for name, _ in message.FIELDS}


def _frame(frame_type: int, seq: int, body: bytes, key: bytes | None) -> bytes:
    data = pack_header(len(body) + FRAME_OVERHEAD, frame_type, seq) + body
    return data + (bytes(16) if key is None else auth.tag(key, data))


def _hmac_cases() -> list[dict[str, Any]]:
    cases = []
    for number, (key, data) in enumerate(_RFC_4231, 1):
        cases.append(
            {
                "name": f"RFC 4231 test case {number}",
                "key": key.hex(),
                "data": data.hex(),
                "tag": auth.tag(key, data).hex(),
            }
        )
    for size in (1, 55, 56, 63, 64, 65, 119, 120, 8_192):
        data = bytes(i * 7 & 0xFF for i in range(size))
        cases.append(
            {
                "name": f"{size} bytes",
                "key": KEY.hex(),
                "data": data.hex(),
                "tag": auth.tag(KEY, data).hex(),
            }
        )
    return cases


def _logon() -> dict[str, Any]:
    hello, challenge = pack_message(HELLO), pack_message(CHALLENGE)
    secrets = auth.derive(KEY, hello, challenge)
    transcript = hashlib.sha256(len(hello).to_bytes(4, "little") + hello + challenge).hexdigest()
    welcome = Welcome("demo", "relay", 1000, 4000, 0, RELAY_START_US, UTC_MSC, None)
    frames = (
        ("terminal", FrameType.HELLO, 1, hello, None),
        ("relay", FrameType.CHALLENGE, 1, challenge + secrets.relay_proof, None),
        ("terminal", FrameType.PROOF, 2, secrets.terminal_proof, None),
        ("relay", FrameType.WELCOME, 2, pack_message(welcome), secrets.relay_key),
        (
            "terminal",
            FrameType.HEARTBEAT,
            3,
            pack_message(Heartbeat(TERMINAL_START_US, 0, 0, 0, None)),
            secrets.terminal_key,
        ),
        (
            "relay",
            FrameType.LOGOUT,
            3,
            pack_message(Logout(LogoutCode.SHUTTING_DOWN, "the relay is stopping", 1000)),
            secrets.relay_key,
        ),
    )
    return {
        "key": KEY.hex(),
        "hello": _fields(HELLO),
        "hello_body": hello.hex(),
        "challenge": _fields(CHALLENGE),
        "challenge_fields": challenge.hex(),
        "transcript": transcript,
        "relay_proof": secrets.relay_proof.hex(),
        "terminal_proof": secrets.terminal_proof.hex(),
        "relay_key": secrets.relay_key.hex(),
        "terminal_key": secrets.terminal_key.hex(),
        "frames": [
            {
                "from": side,
                "type": frame_type.name,
                "seq": seq,
                "hex": _frame(frame_type, seq, body, key).hex(),
            }
            for side, frame_type, seq, body, key in frames
        ],
    }


def _message_cases() -> list[dict[str, Any]]:
    return [
        {
            "type": message.TYPE.name,
            "number": int(message.TYPE),
            "fields": _fields(message),
            "body": pack_message(message).hex(),
        }
        for message in MESSAGES
    ]


def _records() -> dict[str, Any]:
    cursor, records, body = _NOWHERE, [], b""
    flags = (0, 0, 0, TickFlag.LATE, TickFlag.BACKLOG)
    for i, (tick, extra) in enumerate(zip(TICKS, flags, strict=True)):
        cursor = extend_cursor(cursor, tick)
        record = pack_record(RELAY_EPOCH, 65_534 + i, tick, 120, extra)
        body += record
        records.append(
            {
                "epoch": RELAY_EPOCH,
                "seq": 65_534 + i,
                "tick": dict(zip(tick._fields, tick, strict=True)),
                "extra_flags": int(extra),
                "utc_offset_min": 120,
                "record": record.hex(),
                "cursor": list(cursor),
            }
        )
    header = pack_run_header(1, len(TICKS), 65_534, TERMINAL_START_US, cursor)
    return {
        "records": records,
        "crc32_of_123456789": 0xCBF43926,
        "run": {
            "symbol_id": 1,
            "length": len(TICKS),
            "first_seq": 65_534,
            "sent_us": TERMINAL_START_US,
            "cursor": list(cursor),
            "header": header.hex(),
            "ticks_body": (header + body).hex(),
        },
    }


class Recording:
    """
    A session of two real ends, with clocks of their own and no delay between them.
    """

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []
        self.at_us = 0
        self.terminal = TerminalSession(KEY, HELLO, TERMINAL_START_US)
        self.relay = RelaySession(RELAY_START_US)

    def now_us(self, session: Session) -> int:
        """
        Return the time on the clock of a side.
        """
        start = TERMINAL_START_US if session is self.terminal else RELAY_START_US
        return start + self.at_us

    def carry(self) -> None:
        """
        Deliver until both sides are silent.
        """
        quiet = False
        while not quiet:
            quiet = True
            for name, sender, receiver in (
                ("terminal", self.terminal, self.relay),
                ("relay", self.relay, self.terminal),
            ):
                # One frame at a time: the limit is passed by whatever comes first.
                while data := sender.data_to_send(1):
                    quiet = False
                    self.frames.append(
                        {
                            "at_us": self.at_us,
                            "from": name,
                            "type": FrameType(data[4]).name,
                            "seq": int.from_bytes(data[8:16], "little"),
                            "hex": data.hex(),
                        }
                    )
                    receiver.receive_data(data, self.now_us(receiver))

    def wait(self, us: int) -> None:
        """
        Let time go by and run the timers that have become due.
        """
        self.at_us += us
        for session in (self.terminal, self.relay):
            if self.now_us(session) >= session.next_deadline():
                session.handle_timer(self.now_us(session))
        self.carry()

    def logon(self) -> None:
        """
        Let the two sides come together.
        """
        self.carry()
        self.relay.challenge(KEY, RELAY_NONCE, RELAY_EPOCH, CAPABILITIES)
        self.carry()
        self.relay.accept("demo", "relay", self.now_us(self.relay), UTC_MSC)
        self.carry()

    def say(self, session: Session, *messages: Message) -> None:
        """
        Send messages of one side.
        """
        for message in messages:
            session.send(message)
        self.carry()


def recorded_session() -> Recording:
    """
    Return a session with some of everything: streams, a gap, reads, an order, events.
    """
    record = Recording()
    terminal, relay = record.terminal, record.relay
    record.logon()
    terminal.terminal_state = _STATE
    record.wait(1)
    record.say(relay, Subscribe(1, 1, "EURUSD", 0, 8, 86_400, Resume(7, 65_533, _NOWHERE, 65_534)))
    record.say(terminal, Busy(BusyKind.COPY_TICKS, 45_000))
    record.wait(2_000_000)
    record.say(terminal, Busy(BusyKind.READY, 0))
    record.say(terminal, Stream(1, 0, "", 1, RELAY_EPOCH, 65_534, Continuity.RESUMED, 5, 1e-05))
    body = bytes.fromhex(_records()["run"]["ticks_body"])
    terminal.send_market(body)
    record.carry()
    relay.taken(int(record.frames[-1]["seq"]), len(body) + FRAME_OVERHEAD, record.now_us(relay))
    record.wait(200_000)
    record.say(relay, Subscribe(3, 1, "GBPUSD", 0, 9, 60, Resume(7, 42, _PLACE, 43)))
    record.say(
        terminal,
        Stream(3, 0, "", 2, 9, 1, Continuity.GAP, 5, 1e-05),
        Gap(2, GapReason.TOO_OLD, 7, 42, _PLACE, 9, 1, Cursor(SERVER_MSC, 1, 1), "too long ago"),
    )
    record.say(relay, Request(2, "symbol", {"symbol": "EURUSD"}, record.now_us(relay) + 5_000_000))
    record.say(
        terminal, Page(2, 0, True, 0, "", PageKind.MSGPACK, bytes.fromhex("81a664696769747305"))
    )
    record.say(relay, _NEW)
    record.say(terminal, Busy(BusyKind.ORDER_SEND, 60_000))
    record.say(terminal, _RESULT)
    record.say(terminal, _EVENT)
    record.say(relay, EventAck(SERVER_MSC, 1_111), Halt(TradingState.HALTED, "that will do", 7))
    relay.test(record.now_us(relay))
    record.wait(800_000)
    record.say(relay, Unsubscribe(1))
    terminal.logout(LogoutCode.REINITIALISED, "the chart's timeframe changed")
    record.carry()
    return record


def _refused() -> list[dict[str, Any]]:
    hello, challenge = pack_message(HELLO), pack_message(CHALLENGE)
    secrets = auth.derive(KEY, hello, challenge)
    beat = pack_message(Heartbeat(1, 0, 0, 0, None))
    good = {
        "relay": _frame(FrameType.HEARTBEAT, 3, beat, secrets.terminal_key),
        "terminal": _frame(FrameType.HEARTBEAT, 3, beat, secrets.relay_key),
    }
    cases = []
    for side, key in (("relay", secrets.terminal_key), ("terminal", secrets.relay_key)):
        changed = bytearray(good[side])
        changed[20] ^= 1
        wrong_type = FrameType.ACK if side == "relay" else FrameType.TICKS
        other = good["terminal" if side == "relay" else "relay"]
        for name, frame, code in (
            ("a bit changed", bytes(changed), LogoutCode.BAD_TAG),
            ("reflected", other, LogoutCode.BAD_TAG),
            ("not tagged", _frame(FrameType.HEARTBEAT, 3, beat, None), LogoutCode.BAD_TAG),
            ("a frame lost", _frame(FrameType.HEARTBEAT, 4, beat, key), LogoutCode.BAD_SEQUENCE),
            ("a frame again", _frame(FrameType.HEARTBEAT, 2, beat, key), LogoutCode.BAD_SEQUENCE),
            ("length 0", bytes(16), LogoutCode.BAD_FRAME),
            ("length 31", pack_header(31, 6, 3), LogoutCode.BAD_FRAME),
            ("length 65537", pack_header(65_537, 6, 3), LogoutCode.FRAME_TOO_LARGE),
            ("length 2^32-1", b"\xff" * 16, LogoutCode.FRAME_TOO_LARGE),
            ("other magic", good[side][:6] + b"XX" + good[side][8:], LogoutCode.BAD_MAGIC),
            ("flags", good[side][:5] + b"\1" + good[side][6:], LogoutCode.BAD_FRAME),
            ("unknown type", _frame(0x7F, 3, b"", key), LogoutCode.UNKNOWN_TYPE),
            ("wrong side", _frame(wrong_type, 3, b"\x91\1", key), LogoutCode.UNEXPECTED_TYPE),
            ("second HELLO", _frame(1, 3, hello, key), LogoutCode.UNEXPECTED_TYPE),
            ("empty body", _frame(FrameType.HEARTBEAT, 3, b"", key), LogoutCode.BAD_MESSAGE),
            (
                "a field short",
                _frame(FrameType.HEARTBEAT, 3, b"\x94" + beat[1:-1], key),
                LogoutCode.BAD_MESSAGE,
            ),
        ):
            cases.append({"name": name, "to": side, "hex": frame.hex(), "code": int(code)})
    ticks = bytes.fromhex(_records()["run"]["ticks_body"])
    for name, body in (
        ("TICKS without a run", b""),
        ("TICKS with half a run header", ticks[:20]),
        ("TICKS with half a record", ticks[:-33]),
        ("TICKS with a run of 2^32-1 records", ticks[:4] + b"\xff" * 4 + ticks[8:]),
        ("TICKS with a run of no records", ticks[:4] + bytes(4) + ticks[8:40]),
    ):
        frame = _frame(FrameType.TICKS, 3, body, secrets.terminal_key)
        cases.append(
            {"name": name, "to": "relay", "hex": frame.hex(), "code": int(LogoutCode.BAD_RECORDS)}
        )
    return cases


def vectors() -> dict[str, str]:
    """
    Return the text of every file, by its name.
    """
    files: dict[str, tuple[str, Any]] = {
        "hmac.json": (
            "tags: the first 16 bytes of HMAC-SHA256",
            _hmac_cases(),
        ),
        "logon.json": ("a logon, step by step, with the first frames behind it", _logon()),
        "messages.json": ("bodies of messages beside their fields", _message_cases()),
        "records.json": ("tick records, the cursor behind each, and a run of them", _records()),
        "session.json": (
            "a whole session, both directions; key and HELLO as in logon.json, at_us from its begin",
            recorded_session().frames,
        ),
        "refused.json": (
            "third frames that end a session logged on as in logon.json, and the LOGOUT's code",
            _refused(),
        ),
    }
    return {
        name: json.dumps(
            {"version": VERSION, "about": about, "data": data}, indent=1, ensure_ascii=False
        )
        + "\n"
        for name, (about, data) in files.items()
    }


def main(arguments: list[str] | None = None) -> int:
    """
    Write or check the files; return the exit code.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, tell what differs")
    check = parser.parse_args(arguments).check
    stale = 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in vectors().items():
        path = FOLDER / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale += 1
            print(f"{'stale' if check else 'written'}: {path.relative_to(FOLDER.parents[2])}")
            if not check:
                path.write_text(text, encoding="utf-8", newline="\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
