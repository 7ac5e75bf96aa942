"""What a relay with the right key could say wrongly: bodies and frames for the EA's parsers."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgpack

from bridge.wire.messages import (
    Ack,
    CancelRequest,
    EventAck,
    Halt,
    Heartbeat,
    Logout,
    Message,
    New,
    Query,
    Refill,
    Request,
    Subscribe,
    TestRequest,
    Unsubscribe,
    pack_message,
)
from bridge.wire.spec import FRAME_MAGIC, FrameType
from tests.support.wire import MESSAGES

__all__ = ["bodies", "broken_frames", "odd_messages"]

#: what a relay may send in a session
_FROM_RELAY: Final = (
    Logout,
    Heartbeat,
    TestRequest,
    Ack,
    Subscribe,
    Unsubscribe,
    Refill,
    Request,
    CancelRequest,
    New,
    Query,
    EventAck,
    Halt,
)
_VALID: Final = tuple(one for one in MESSAGES if isinstance(one, _FROM_RELAY))
#: beginnings of msgpack values that promise more than there is, or are not allowed
_MARKERS: Final = (
    b"\xc1",
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x01",
    b"\xdc\xff\xff",
    b"\xde\xff\xff",
    b"\xd9\xff",
    b"\xc4\xff",
    b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00",
    b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",
    b"\xcb\xff\xf0\x00\x00\x00\x00\x00\x00",
    b"\xca\x7f\xc0\x00\x00",
    b"\xa3\xed\xa0\x80",
    b"\xa2\xff\xfe",
    b"\xa3a\x00b",
    b"\xd6\xff\x00\x00\x00\x00",
    b"\x91" * 200,
    b"\x81\xa1a" * 100,
)


def bodies(rng: random.Random) -> Iterator[tuple[int, bytes]]:
    """
    Yield type and body of frames without end, most of them wrong in one place.
    """
    changes: tuple[Callable[[random.Random, bytes], bytes], ...] = (
        _flip,
        _cut,
        _lengthen,
        _splice,
        _swap_value,
        _random,
    )
    while True:
        message = rng.choice(_VALID)
        kind = int(message.TYPE)
        if rng.random() < 0.05:
            kind = rng.choice([*FrameType, 0x00, 0x3F, 0x7F, 0x80, 0xFF])
        yield kind, rng.choice(changes)(rng, pack_message(message))


def odd_messages() -> list[Message]:
    """
    Return messages that are well-formed and make no sense.
    """
    top64, top63 = 2**64 - 1, 2**63 - 1
    return [
        Ack(top64),
        Ack(0),
        Heartbeat(top63, top63, 2**32 - 1, 2**32 - 1, None),
        Heartbeat(-(2**63), -(2**63), 0, 0, None),
        TestRequest(0),
        Unsubscribe(0),
        Unsubscribe(2**32 - 1),
        CancelRequest(2**32 - 1),
        EventAck(top63, top64),
        Halt(255, "x" * 200, top64),
        Subscribe(1, 1, "EURUSD", 0, 0, 0, None),
        Subscribe(1, 1, "EURUSD", 0, 2**32 - 1, 2**32 - 1, None),
        Subscribe(2, 255, "EURUSD", 2**32 - 1, 1, 1, None),
        Subscribe(3, 1, "\u20ac" * 10, 0, 1, 1, None),
        Subscribe(4, 1, "", 0, 1, 1, None),
        Request(5, "", {}, 0),
        Request(6, "symbol", {"symbol": None}, top63),
        Request(7, "symbol", {"symbol": ["EURUSD"]}, -(2**63)),
        Request(8, "symbols", {"group": "*" * 255, "offset": -1, "limit": 0}, top63),
        Request(9, "symbols", {"limit": 1e308}, top63),
        Request(10, "tick", {"symbol": "EURUSD", "x": {"y": [[]]}}, top63),
        Request(11, "nonsense", {str(n): n for n in range(60)}, top63),
    ]


def broken_frames(rng: random.Random) -> Iterator[bytes]:
    """
    Yield frames whose header lies, for the place behind the logon.
    """
    for length in (0, 1, 15, 31, 65_537, 2**31, 2**32 - 1):
        yield struct.pack("<IBBHQ", length, FrameType.HEARTBEAT, 0, FRAME_MAGIC, 3) + bytes(64)
    yield struct.pack("<IBBHQ", 32, FrameType.HEARTBEAT, 1, FRAME_MAGIC, 3) + bytes(16)
    yield struct.pack("<IBBHQ", 32, FrameType.HEARTBEAT, 0, 0, 3) + bytes(16)
    yield struct.pack("<IBBHQ", 32, FrameType.HEARTBEAT, 0, FRAME_MAGIC, 3) + bytes(16)
    yield struct.pack("<IBBHQ", 32, FrameType.HEARTBEAT, 0, FRAME_MAGIC, 2**64 - 1) + bytes(16)
    for _ in range(10):
        yield rng.randbytes(rng.randrange(1, 300))


def _flip(rng: random.Random, body: bytes) -> bytes:
    changed = bytearray(body)
    for _ in range(rng.randint(1, 4)):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(rng: random.Random, body: bytes) -> bytes:
    return body[: rng.randrange(len(body))]


def _lengthen(rng: random.Random, body: bytes) -> bytes:
    return body + rng.randbytes(rng.randrange(1, 40))


def _splice(rng: random.Random, body: bytes) -> bytes:
    at = rng.randrange(len(body) + 1)
    return body[:at] + rng.choice(_MARKERS) + body[at + rng.randrange(3) :]


def _swap_value(rng: random.Random, body: bytes) -> bytes:
    values: list[Any] = msgpack.unpackb(body)
    if not values:
        return b"\x91\x01"
    odd: tuple[Any, ...]
    odd = (None, True, -1, 2**64 - 1, -(2**63), 1e308, "", "x" * 300, b"", b"\0" * 40, [], {}, [[]])
    values[rng.randrange(len(values))] = rng.choice(odd)
    packed: bytes = msgpack.packb(values)
    return packed


def _random(rng: random.Random, body: bytes) -> bytes:
    return rng.randbytes(rng.randrange(80))
