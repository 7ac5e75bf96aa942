"""How a terminal talks to its broker's process: frames of msgpack, one answer for each.

Records travel as the list of their values.
"""

from __future__ import annotations

import dataclasses
import socket
import struct
from typing import Any

import msgpack

__all__ = ["Connection", "from_values", "to_values"]

_LENGTH = struct.Struct("<I")
_CHUNK = 262_144
_NAMES: dict[type, tuple[str, ...]] = {}


def _names(kind: type) -> tuple[str, ...]:
    names = _NAMES.get(kind)
    if names is None:
        names = _NAMES[kind] = tuple(field.name for field in dataclasses.fields(kind))
    return names


def to_values(record: Any) -> list[Any]:
    """
    Return the values of a record; one inside of it becomes a list as well.
    """
    return [getattr(record, name) for name in _names(type(record))]


def from_values(kind: type, values: list[Any]) -> Any:
    """
    Return the record of these values.
    """
    return kind(**dict(zip(_names(kind), values, strict=True)))


class Connection:
    """
    One end: whole frames over a stream. ``None`` from ``receive``: the other end is gone.
    """

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()

    def fileno(self) -> int:
        return self.stream.fileno()

    def send(self, value: Any) -> None:
        data = msgpack.packb(value)
        self.stream.sendall(_LENGTH.pack(len(data)) + data)

    def receive(self) -> Any:
        while (value := self.buffered()) is None:
            data = self.stream.recv(_CHUNK)
            if not data:
                return None
            self._buffer += data
        return value

    def read(self) -> bool:
        """
        Take what is there; return whether the other end still is.
        """
        data = self.stream.recv(_CHUNK)
        self._buffer += data
        return bool(data)

    def buffered(self) -> Any:
        """
        Return the next frame that is here as a whole, or ``None``.
        """
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return None
        value = msgpack.unpackb(memoryview(self._buffer)[_LENGTH.size : end], strict_map_key=False)
        del self._buffer[:end]
        return value

    def close(self) -> None:
        self.stream.close()
