"""The link between the host and a translated program: frames, fields, the numbers of both.

What must change together: this file and ``tests/mql5/runtime/link.hpp``, ``terminal.cpp``.
"""

from __future__ import annotations

import enum
import socket
import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

from bridge.model.tick import MqlTick

__all__ = [
    "GIVEN_BEFORE",
    "HOLDS_UNTIL_TOLD",
    "HOLDS_UNTIL_WAIT",
    "TICK_SIZE",
    "Call",
    "EventKind",
    "Frame",
    "Link",
    "LinkEnded",
    "Reader",
    "Why",
    "Writer",
    "pack_ticks",
]

#: ``MqlTick``, packed: time, bid, ask, last, volume, time_msc, flags, volume_real.
_TICK: Final = struct.Struct("<qdddQqId")
TICK_SIZE: Final = _TICK.size
#: in the place of how long a call blocked: the answer holds until the option ``told`` changes, or
#: until the program waits or acts; of calls without an error (``runtime/link.cpp``)
HOLDS_UNTIL_TOLD: Final = 0xFFFF_FFFF
HOLDS_UNTIL_WAIT: Final = 0xFFFF_FFFE
#: in the place of the size of a record of the history: the program has it
GIVEN_BEFORE: Final = 0xFFFF_FFFF
_HEAD: Final = struct.Struct("<IB")
#: More, and each receive would ask the system for memory.
_RECEIVE_SIZE: Final = 1 << 16


class Call(enum.IntEnum):
    """
    What a program asks.
    """

    COPY_TICKS = 1
    COPY_TICKS_RANGE = 2
    SYMBOL_TICK = 3
    SYMBOL_INFO = 4
    SYMBOL_SELECT = 5
    SYMBOLS_TOTAL = 6
    SYMBOL_NAME = 7
    SYMBOL_EXIST = 8
    SYMBOL_SYNCHRONIZED = 9
    BOOK_ADD = 10
    BOOK_RELEASE = 11
    BOOK_GET = 12
    ACCOUNT_INFO = 13
    TERMINAL_INFO = 14
    MQL_INFO = 15
    TIME_LAST = 16
    COPY_RATES = 17
    TIME_SERVER = 18
    MARGIN_RATE = 19
    ORDER_CHECK = 32
    ORDER_SEND = 33
    ORDER_SEND_ASYNC = 34
    ORDER_RETURNED = 35
    CALC_MARGIN = 36
    CALC_PROFIT = 37
    POSITIONS_TOTAL = 40
    POSITION_AT = 41
    POSITION_OF_SYMBOL = 42
    POSITION_OF_TICKET = 43
    ORDERS_TOTAL = 44
    ORDER_AT = 45
    ORDER_OF_TICKET = 46
    HISTORY_OF_TIME = 47
    HISTORY_OF_POSITION = 48
    HISTORY_ORDER = 49
    HISTORY_DEAL = 50


class Why(enum.IntEnum):
    """
    Why a program waits.
    """

    IDLE = 0
    SLEEP = 1
    SOCKET = 2
    BLOCKED = 3


class EventKind(enum.IntEnum):
    """
    What the host tells a program.
    """

    TICK = 1
    BOOK = 2
    CHART = 3
    TRADE = 4
    TRANSACTION = 5
    DEINIT = 6
    OPTION = 7
    INPUT = 8


class LinkEnded(Exception):
    """
    The program's process is gone.
    """


class Frame(NamedTuple):
    """
    ``kind``: Q, W or J; ``body`` without it.
    """

    kind: str
    body: bytes


class Writer:
    """
    Writes fields one behind the other; each method returns the writer.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def pack(self, layout: str, *values: float) -> Writer:
        """
        Write fields of a ``struct`` layout, little endian.
        """
        self._parts.append(struct.pack("<" + layout, *values))
        return self

    def text(self, value: str) -> Writer:
        """
        Write a text.
        """
        data = value.encode()
        self._parts.append(struct.pack("<I", len(data)) + data)
        return self

    def raw(self, data: bytes) -> Writer:
        """
        Write bytes as they are.
        """
        self._parts.append(data)
        return self

    def bytes(self) -> bytes:
        """
        Return what was written.
        """
        return b"".join(self._parts)


class Reader:
    """
    Reads fields one behind the other.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def unpack(self, layout: str) -> tuple[int, ...]:
        """
        Read fields of a ``struct`` layout, little endian.
        """
        layout = "<" + layout
        values = struct.unpack_from(layout, self._data, self._at)
        self._at += struct.calcsize(layout)
        return values

    def text(self) -> str:
        """
        Read a text.
        """
        (size,) = self.unpack("I")
        self._at += size
        return self._data[self._at - size : self._at].decode(errors="replace")


class Link:
    """
    The host's end of a link. ``receive`` belongs to one thread; the caller guards ``send``.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._inbox = bytearray()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, kind: str, body: bytes, held: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """
        Send a frame, behind answers to other questions that hold until the program waits;
        nothing when the program is gone: ``receive`` tells that.
        """
        frames = [
            _HEAD.pack(len(question) + len(answer) + 5, ord("H"))
            + len(question).to_bytes(4, "little")
            + question
            + answer
            for question, answer in held
        ]
        frames.append(_HEAD.pack(len(body) + 1, ord(kind)) + body)
        try:
            self._socket.sendall(b"".join(frames))
        except OSError:
            return

    def receive(self) -> Frame:
        """
        Wait for the next frame.

        Raises:
            LinkEnded: there is none any more.
            TimeoutError: none came within the socket's timeout.
        """
        inbox = self._inbox
        while True:
            if len(inbox) >= _HEAD.size:
                length, kind = _HEAD.unpack_from(inbox)
                if len(inbox) >= 4 + length:
                    body = bytes(inbox[_HEAD.size : 4 + length])
                    del inbox[: 4 + length]
                    return Frame(chr(kind), body)
            try:
                data = self._socket.recv(_RECEIVE_SIZE)
            except TimeoutError:
                raise
            except OSError as error:
                raise LinkEnded from error
            if not data:
                raise LinkEnded
            inbox += data

    def close(self) -> None:
        """
        Close this end; the program takes it for the end of its host.
        """
        self._socket.close()


def pack_ticks(ticks: list[MqlTick]) -> bytes:
    """
    Return ticks as an array of ``MqlTick``.
    """
    pack = _TICK.pack
    return b"".join(
        [
            pack(msc // 1000, bid, ask, last, int(volume), msc, flags, volume)
            for msc, bid, ask, last, volume, flags in ticks
        ]
    )
