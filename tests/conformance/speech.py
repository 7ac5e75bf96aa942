"""The wire protocol as the player speaks it: written from its specification, not with the product's.

Only the tables of fields are shared with the product, which the specification is generated from.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgpack

from bridge.wire.messages import MESSAGES
from bridge.wire.spec import FrameType
from tests.conformance.values import Mismatch
from tests.conformance.vocabulary import SPOKEN

__all__ = [
    "KEYS",
    "Conversation",
    "Received",
    "hello_nonce",
    "pack_body",
    "pack_ticks",
    "tag_of",
]

#: The keys of the terminals that every side under test knows, by alias; ``wrong`` is nobody's.
KEYS: Final = {
    "demo": bytes(range(32)),
    "second": bytes(range(100, 132)),
    "wrong": bytes(range(200, 232)),
}

_HEADER: Final = struct.Struct("<IBBHQ")
_MAGIC: Final = 0x354D
_NO_TAG: Final = bytes(16)
_RUN: Final = struct.Struct("<IIQQqII")
_RECORD: Final = struct.Struct(">BBIBQBqBdBdBdBdBHBh")
_CRC: Final = struct.Struct("<qdddd")
_SPREAD: Final = 0.0001
_UNTAGGED: Final = frozenset({"HELLO", "CHALLENGE", "PROOF"})


@dataclass(frozen=True, slots=True)
class Received:
    """
    A message that came, its fields by name.
    """

    name: str
    fields: dict[str, Any]

    def __str__(self) -> str:
        shown = " ".join(f"{name}={value!r}" for name, value in self.fields.items())
        return f"{self.name} {shown}"[:600]


def hello_nonce(number: int) -> bytes:
    """
    Return a nonce that no other number has.
    """
    return hashlib.sha256(f"conformance {number}".encode()).digest()


def tag_of(command_id: str) -> str:
    """
    Return the comment of a command's order.
    """
    digest = hashlib.sha256(command_id.encode()).digest()
    return "zb1:" + base64.b32encode(digest)[:16].decode()


def pack_body(name: str, values: dict[str, Any]) -> bytes:
    """
    Return a body; nothing is checked.
    """
    body: bytes = msgpack.packb([values[part] for part in SPOKEN[name] if part != "proof"])
    return body


def pack_ticks(values: dict[str, Any], sent_us: int) -> bytes:
    """
    Return the body of a TICKS frame: one run, a record for each bid.
    """
    bids = values["bid"]
    records = b""
    ticks = crc = 0
    for i, bid in enumerate(bids):
        tick = (values["time_msc"], bid, bid + _SPREAD, 0.0, 0.0)
        ticks += 1
        crc = zlib.crc32(_CRC.pack(*tick), crc)
        records += _RECORD.pack(
            0x99, 0xCE, values["epoch"], 0xCF, values["first_seq"] + i, 0xD3, tick[0], 0xCB,
            tick[1], 0xCB, tick[2], 0xCB, tick[3], 0xCB, tick[4], 0xCD, values["flags"], 0xD1,
            values["utc_offset_min"],
        )  # fmt: skip
    cursor = (values["time_msc"], ticks, crc)
    head = (values["symbol_id"], len(bids), values["first_seq"], sent_us)
    return _RUN.pack(*head, *cursor) + records


def _unpack_ticks(body: bytes) -> Iterator[Received]:
    at = 0
    while at < len(body):
        symbol_id, length, first, _, *_cursor = _RUN.unpack_from(body, at)
        at += _RUN.size
        for i in range(length):
            parts = _RECORD.unpack_from(body, at)
            at += _RECORD.size
            epoch, seq, time_msc, bid, ask, last, volume, flags, offset = parts[2::2]
            if seq != first + i:
                raise Mismatch(f"TICKS: record {seq} stands where {first + i} should")
            fields = {
                "symbol_id": symbol_id, "epoch": epoch, "seq": seq, "time_msc": time_msc,
                "bid": bid, "ask": ask, "last": last, "volume_real": volume, "flags": flags,
                "utc_offset_min": offset,
            }  # fmt: skip
            yield Received("TICK", fields)


@dataclass(slots=True)
class Conversation:
    """
    One connection as the player keeps it: frames, sequence, keys and tags of both directions.

    ``plays_relay``: whether the player is the relay of it.
    """

    plays_relay: bool
    key: bytes
    waiting: list[Received] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    hello: dict[str, Any] = field(default_factory=dict)
    epoch: int = 0
    active: bool = False
    ended: bool = False
    #: with a key that is nobody's, what the other side proves cannot be checked
    checks: bool = True
    next_heartbeat_us: int = 0
    #: test requests that wait for their answer
    asked: list[int] = field(default_factory=list)
    acknowledged: int = 0
    peer_time_us: int = 0
    peer_time_at_us: int = 0
    market_seq: int = 0
    _buffer: bytearray = field(default_factory=bytearray)
    _out_seq: int = 0
    _in_seq: int = 0
    _hello_body: bytes = b""
    _out_key: bytes | None = None
    _in_key: bytes | None = None
    _transcript: bytes = b""

    # --- sending --------------------------------------------------------------------------

    def frame(self, name: str, body: bytes, damage: dict[str, Any] | None = None) -> bytes:
        """
        Return the next frame, damaged as a ``!`` line says.
        """
        damage = damage or {}
        body = damage.get("body", body) + damage.get("append", b"")
        seq = self._out_seq + 1 + int(damage.get("seq", 0))
        length = damage.get("length", len(body) + 32)
        kind = damage.get("type", int(FrameType[name]))
        head = _HEADER.pack(length, kind, damage.get("flags", 0), damage.get("magic", _MAGIC), seq)
        key = None if name in _UNTAGGED else self._out_key
        tag = _NO_TAG if key is None else hmac.digest(key, head + body, "sha256")[:16]
        if damage.get("tag") == "wrong":
            tag = bytes([tag[0] ^ 1]) + tag[1:]
        elif damage.get("tag") == "zeros":
            tag = _NO_TAG
        self._out_seq += 1
        data = head + body + tag
        if "cut" in damage:
            data = data[: int(damage["cut"])]
        self._spoken(name, body)
        return data

    def proof(self, label: str) -> bytes:
        """
        Return the proof that this side gives.
        """
        label = f"mt5-zmq-bridge wire 1 {label} proof"
        return hmac.digest(self.key, label.encode() + self._transcript, "sha256")

    def challenge_body(self, fields: bytes) -> bytes:
        """
        Return the body of a CHALLENGE with its proof; the transcript is then known.
        """
        self._take_challenge(fields)
        return fields + self.proof("relay")

    def _spoken(self, name: str, body: bytes) -> None:
        # What changes behind a frame of ours.
        if name == "HELLO":
            self._hello_body = body
        elif not self._transcript:
            return
        elif name == "CHALLENGE":
            self._out_key = self._session_key("relay to terminal")
        elif name == "PROOF":
            self._out_key = self._session_key("terminal to relay")
            self._in_key = self._session_key("relay to terminal")
        elif name == "WELCOME":
            self.active = True
        elif name == "LOGOUT":
            self.active = False

    # --- receiving ------------------------------------------------------------------------

    def take(self, data: bytes, now_us: int) -> None:
        """
        Take bytes that came.

        Raises:
            Mismatch: a frame is not what the protocol demands.
        """
        self._buffer += data
        while len(self._buffer) >= 16:
            length, kind, flags, magic, seq = _HEADER.unpack_from(self._buffer)
            if not 32 <= length <= 65_536 or magic != _MAGIC or flags:
                raise Mismatch(f"a frame that is none came: {bytes(self._buffer[:16]).hex()}")
            if len(self._buffer) < length:
                return
            frame = bytes(self._buffer[:length])
            del self._buffer[:length]
            self._take_frame(frame, kind, seq, now_us)

    def _take_frame(self, frame: bytes, kind: int, seq: int, now_us: int) -> None:
        name = FrameType(kind).name
        if self.ended:
            raise Mismatch(f"{name} came behind LOGOUT")
        if seq != self._in_seq + 1:
            raise Mismatch(f"{name} has number {seq}, expected {self._in_seq + 1}")
        self._in_seq = seq
        body = frame[16:-16]
        if name == "CHALLENGE":
            self._take_challenge(body[:-32])
        key = None if name in _UNTAGGED else self._in_key
        if key is None and name == "LOGOUT" and not self.plays_relay and self._transcript:
            # The relay tags from CHALLENGE on, also before we have proved ourselves.
            key = self._session_key("relay to terminal")
        expected = _NO_TAG if key is None else hmac.digest(key, frame[:-16], "sha256")[:16]
        if self.checks and frame[-16:] != expected:
            raise Mismatch(f"{name}: its tag does not fit")
        for received in self._read(name, kind, body):
            self.waiting.append(received)
            self._heard(received, body, seq, now_us)

    def _read(self, name: str, kind: int, body: bytes) -> list[Received]:
        if name == "TICKS":
            return list(_unpack_ticks(body))
        if name == "PROOF":
            right = body == self.proof("terminal")
            return [Received(name, {"proof": body, "right": right})]
        fields, rest = (body[:-32], body[-32:]) if name == "CHALLENGE" else (body, b"")
        values = msgpack.unpackb(fields)
        kinds = MESSAGES[kind].FIELDS
        if not isinstance(values, list) or len(values) != len(kinds):
            raise Mismatch(f"{name}: its body is no array of {len(kinds)} fields")
        for (part, check), value in zip(kinds, values, strict=True):
            check.check(value, f"{name}.{part}")
        found = dict(zip((part for part, _ in kinds), values, strict=True))
        if name == "CHALLENGE":
            found["proof"] = rest
        return [Received(name, found)]

    def _heard(self, received: Received, body: bytes, seq: int, now_us: int) -> None:
        # What changes behind a frame of the other side's.
        match received.name:
            case "HELLO":
                self._hello_body = body
                self.hello = received.fields
            case "CHALLENGE":
                if self.checks and received.fields["proof"] != self.proof("relay"):
                    raise Mismatch("CHALLENGE: its proof is wrong")
                self.epoch = received.fields["relay_epoch"]
            case "PROOF":
                if self.checks and not received.fields["right"]:
                    raise Mismatch("PROOF: it is wrong")
                self._in_key = self._session_key("terminal to relay")
            case "WELCOME":
                self.active = True
                self.next_heartbeat_us = now_us
            case "HEARTBEAT":
                self.peer_time_us = received.fields["time_us"]
                self.peer_time_at_us = now_us
            case "LOGOUT":
                self.ended = True
                self.active = False
            case "TICK" | "PAGE":
                self.market_seq = seq

    def _take_challenge(self, fields: bytes) -> None:
        size = struct.pack("<I", len(self._hello_body))
        self._transcript = hashlib.sha256(size + self._hello_body + fields).digest()

    def _session_key(self, label: str) -> bytes:
        text = f"mt5-zmq-bridge wire 1 {label}".encode()
        return hmac.digest(self.key, text + self._transcript, "sha256")
