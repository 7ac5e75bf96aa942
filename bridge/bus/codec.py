"""Requests and replies as bytes: msgpack or JSON, told by the first byte.

One strict decoder for both: bounded size and depth, no duplicate keys, no NaN, no
extension types, no text that is not Unicode. A reply goes back in the encoding of its
request. In JSON, integers beyond 2^53 are strings, because most readers keep numbers as
doubles; bytes are hexadecimal and a number that is not finite is ``null``.
"""

from __future__ import annotations

import enum
import json
import math
from typing import Any, Final

import msgpack

from bridge.exceptions import InvalidRequest

__all__ = ["DEPTH_MAX", "Encoding", "Raw", "Spliced", "decode", "encode", "encoding_of"]

DEPTH_MAX: Final = 16
_JSON_SAFE: Final = 2**53
#: In msgpack these bytes are small integers, and no request is an integer.
_JSON_FIRST: Final = (b"{", b" ", b"\t", b"\r", b"\n", b"[")
_HINT: Final = "send one msgpack map, or one JSON object that begins with {"


class Encoding(enum.Enum):
    """
    How a request came and its reply goes.
    """

    MSGPACK = "msgpack"
    JSON = "json"


class Raw:
    """
    One value that is msgpack already.
    """

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class Spliced:
    """
    An array whose elements are msgpack bytes already, one behind the other.

    Replays of a thousand ticks are copied as they lie in the ring, not decoded.
    """

    __slots__ = ("data", "length")

    def __init__(self, length: int, data: bytes) -> None:
        self.length = length
        self.data = data


def encoding_of(data: bytes) -> Encoding:
    """
    Tell JSON by its first byte; everything else is taken for msgpack.
    """
    return Encoding.JSON if data[:1] in _JSON_FIRST else Encoding.MSGPACK


def _no_duplicates(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[Any] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key {key!r} appears twice")
            seen.add(key)
    return result


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not allowed")


def _no_extension(code: int, _data: bytes) -> Any:
    raise ValueError(f"extension type {code} is not allowed")


def _check_text(text: Any) -> None:
    if not isinstance(text, str):
        raise ValueError("the keys of a map must be text")  # noqa: TRY004 - one kind of refusal
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            # JSON can spell half of a surrogate pair; nothing behind us could encode it again.
            raise ValueError("text with half of a surrogate pair") from None


def _check(value: Any, depth: int) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("numbers must be finite")
    elif isinstance(value, dict | list):
        if depth == 0:
            raise ValueError(f"nested deeper than {DEPTH_MAX}")
        if isinstance(value, dict):
            for key, item in value.items():
                _check_text(key)
                _check(item, depth - 1)
        else:
            for item in value:
                _check(item, depth - 1)


def _unpack(data: bytes) -> Any:
    # An array's header makes the reader allocate for all its elements. Nested headers that
    # promise more than there is made 64 KiB cost 500 MiB: so walk it once without building.
    unpacker = msgpack.Unpacker(read_size=len(data), max_buffer_size=len(data))
    unpacker.feed(data)
    try:
        unpacker.skip()
    except msgpack.OutOfData:
        raise ValueError("it ends too early") from None
    except msgpack.StackError:
        raise ValueError(f"nested deeper than {DEPTH_MAX}") from None
    if unpacker.tell() != len(data):
        raise ValueError(f"{len(data) - unpacker.tell()} bytes behind its end")
    return msgpack.unpackb(
        data,
        raw=False,
        strict_map_key=True,
        object_pairs_hook=_no_duplicates,
        ext_hook=_no_extension,
        max_ext_len=0,
    )


def _printable(text: str) -> str:
    # The text quotes what was sent; half a surrogate pair in it could not be sent back.
    return text.encode(errors="backslashreplace").decode()


def decode(data: bytes, *, max_bytes: int) -> Any:
    """
    Return the value in ``data``.

    Raises:
        InvalidRequest: empty, too large, malformed, too deep, a duplicate key, a NaN.
    """
    if len(data) > max_bytes:
        raise InvalidRequest(f"{len(data)} bytes are more than {max_bytes}")
    if not data:
        raise InvalidRequest("an empty frame", hint=_HINT)
    encoding = encoding_of(data)
    try:
        if encoding is Encoding.JSON:
            value = json.loads(
                data.decode(), object_pairs_hook=_no_duplicates, parse_constant=_no_constant
            )
        else:
            value = _unpack(data)
        _check(value, DEPTH_MAX)
    except RecursionError:
        raise InvalidRequest(
            f"not valid {encoding.value}: nested deeper than {DEPTH_MAX}"
        ) from None
    except (ValueError, TypeError) as error:
        text = str(error) or type(error).__name__
        text = f"not valid {encoding.value}: {text}"[:300]
        # Text that is neither comes here too: say what was expected, unless it began as a map.
        a_map = data[0] & 0xF0 == 0x80 or data[0] in b"\xde\xdf{"
        raise InvalidRequest(_printable(text), hint="" if a_map else _HINT) from None
    return value


def _for_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _for_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_for_json(item) for item in value]
    if isinstance(value, Raw):
        return _for_json(msgpack.unpackb(value.data, raw=False))
    if isinstance(value, Spliced):
        unpacker = msgpack.Unpacker(raw=False, max_buffer_size=0)
        unpacker.feed(value.data)
        return [_for_json(item) for item in unpacker]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _JSON_SAFE:
        return str(int(value))
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, bytes):
        return value.hex()
    return value


def encode(value: dict[str, Any], encoding: Encoding) -> bytes:
    """
    Return a reply as bytes.
    """
    if encoding is Encoding.JSON:
        return json.dumps(_for_json(value), allow_nan=False, separators=(",", ":")).encode()
    return _pack(value)


#: What can hold nothing else: packed without another look.
_SCALARS: Final = frozenset({str, int, float, bool, type(None)})


def _pack(value: Any) -> bytes:
    packer = msgpack.Packer(autoreset=False)
    parts: list[bytes] = []

    def walk(item: Any) -> None:
        if isinstance(item, Raw | Spliced):
            if isinstance(item, Spliced):
                packer.pack_array_header(item.length)
            parts.append(packer.bytes())
            packer.reset()
            parts.append(item.data)
        elif isinstance(item, dict):
            packer.pack_map_header(len(item))
            for key, entry in item.items():
                packer.pack(key)
                if type(entry) in _SCALARS:
                    packer.pack(entry)
                else:
                    walk(entry)
        elif isinstance(item, list | tuple):
            packer.pack_array_header(len(item))
            for entry in item:
                walk(entry)
        else:
            packer.pack(item)

    walk(value)
    parts.append(packer.bytes())
    return b"".join(parts)
