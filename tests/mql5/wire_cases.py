"""What the tests of the wire protocol in MQL5 feed to both sides: vectors, odd and broken bytes."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, Final

__all__ = ["ODD_VALUES", "mutated", "vectors"]

_VECTORS: Final = Path(__file__).resolve().parents[1] / "vectors" / "wire"

#: Msgpack values at the bounds of what a field may be, and no msgpack at all.
ODD_VALUES: Final = [
    b"\xc0",
    b"\xc1",
    b"\xc2",
    b"\xc3",
    b"\x7f",
    b"\xe0",
    b"\xcc\xff",
    b"\xcd\xff\xff",
    b"\xce\xff\xff\xff\xff",
    b"\xcf" + b"\xff" * 8,
    b"\xcf\x80" + bytes(7),
    b"\xd0\x80",
    b"\xd0\x01",
    b"\xd1\x80\x00",
    b"\xd1\x7f\xff",
    b"\xd2\x80\x00\x00\x00",
    b"\xd2\x7f\xff\xff\xff",
    b"\xd3\x80" + bytes(7),
    b"\xd3\x00\x00\x00\x00\x80\x00\x00\x00",
    b"\xca\x3f\xc0\x00\x00",
    b"\xca\x7f\x80\x00\x00",
    b"\xca\x00\x00\x00\x01",
    b"\xcb\x3f\xf8" + bytes(6),
    b"\xcb\x7f\xf0" + bytes(6),
    b"\xcb\xff\xf8" + bytes(6),
    b"\xcb\x80" + bytes(7),
    b"\xa0",
    b"\xa1\x00",
    b"\xa3a\x00b",
    b"\xa2\xc3\xa4",
    b"\xa2\xc0\x80",
    b"\xa3\xed\xa0\x80",
    b"\xa3\xe2\x82\xac",
    b"\xa4\xf0\x9f\x92\xb6",
    b"\xa4\xf4\x90\x80\x80",
    b"\xa1\x80",
    b"\xd9\x03abc",
    b"\xd9\xa1" + b"x" * 161,
    b"\xda\x00\x03abc",
    b"\xdb\x00\x00\x00\x03abc",
    b"\xdb\xff\xff\xff\xff",
    b"\xc4\x10" + bytes(16),
    b"\xc4\x20" + bytes(32),
    b"\xc5\x00\x10" + bytes(16),
    b"\xc6\x00\x00\x00\x10" + bytes(16),
    b"\xc6\xff\xff\xff\xff",
    b"\x90",
    b"\x91\xc0",
    b"\x93\x01\x02\x03",
    b"\x94\x01\x02\x03\x04",
    b"\xdc\x00\x03\x01\x02\x03",
    b"\xdd\x00\x00\x00\x03\x01\x02\x03",
    b"\xdd\xff\xff\xff\xff",
    b"\xdc\x10\x00" + b"\xc0" * 4096,
    b"\xdc\x10\x01" + b"\xc0" * 4097,
    b"\x80",
    b"\x81\xa1a\xc0",
    b"\x82\xa1a\xc0\xa1a\xc0",
    b"\x82\xa1a\xc0\xd9\x01a\xc0",
    b"\x82\xa1a\xc0\xc4\x01a\xc0",
    b"\x81\xc4\x01a\xc0",
    b"\x81\x01\xc0",
    b"\x81\x90\xc0",
    b"\x81\xa2a\x00\xc0",
    b"\x81\xa1a\x81\xa1b\x81\xa1c\x81\xa1d\x01",
    b"\x81\xa1a\x81\xa1b\x81\xa1c\x81\xa1d\x81\xa1e\x01",
    b"\x81\xa1a\x91\x91\x91\x01",
    b"\x81\xa1a\x91\x91\x91\x91\x01",
    b"\x81\xa1a\xcb\x7f\xf8" + bytes(6),
    b"\xde\x00\x01\xa1a\xc0",
    b"\xdf\x00\x00\x00\x01\xa1a\xc0",
    b"\xdf\xff\xff\xff\xff",
    b"\xde\x00\x40" + b"".join(b"\xa2%02x\xc0" % i for i in range(64)),
    b"\xde\x00\x41" + b"".join(b"\xa2%02x\xc0" % i for i in range(65)),
    b"\xde\x01\x00" + b"".join(b"\xa2%02x\xc0" % i for i in range(256)),
    b"\xde\x01\x01" + b"".join(b"\xa3%03x\xc0" % i for i in range(257)),
    b"\xc7\x00\x05",
    b"\xc7\x00\xff",
    b"\xc7\x01\x05a",
    b"\xc8\x00\x00\x05",
    b"\xc9\x00\x00\x00\x00\x05",
    b"\xd4\x05a",
    b"\xd6\xff\x00\x00\x00\x00",
    b"\x91" * 1022 + b"\xc0",
    b"\x91" * 1023 + b"\xc0",
    b"\x91" * 1024 + b"\xc0",
    b"\x91" * 1023 + b"\x90",
    b"",
]


def vectors(name: str) -> Any:
    """
    Return the data of one file of golden vectors.
    """
    return json.loads((_VECTORS / name).read_text(encoding="utf-8"))["data"]


def mutated(rng: random.Random, body: bytes) -> bytes:
    """
    Return a body with a few things wrong: bits, bytes, a cut, a copy, a huge length.
    """
    data = bytearray(body)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(data)) if data else 0
        match rng.randrange(7):
            case 0 if data:
                data[at] ^= 1 << rng.randrange(8)
            case 1 if data:
                data[at] = rng.randrange(256)
            case 2:
                del data[at:]
            case 3:
                data[at:at] = rng.choice(ODD_VALUES)[:40]
            case 4:
                data[at:at] = data[at : at + rng.randrange(1, 20)]
            case 5:
                del data[at : at + rng.randrange(1, 5)]
            case _ if data:
                data[at] = rng.choice(b"\xc4\xc5\xc6\xc9\xd9\xda\xdb\xdc\xdd\xde\xdf\x9f\x8f\xbf")
    return bytes(data)
