"""Asks: requests that were passed on to a terminal and wait for its pages.

Every ask ends once: with all its pages, with the terminal's error, at its deadline, or
when the terminal's link is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgpack

from bridge.bus.requests import ErrorName, Hop
from bridge.exceptions import RemoteProtocolError
from bridge.wire.messages import Page
from bridge.wire.session import NEVER_US
from bridge.wire.spec import ErrorCode, LogoutCode, PageKind

__all__ = ["Answer", "Ask", "Asks", "error_name"]

#: all pages of one answer together
_ANSWER_MAX: Final = 16 * 1024 * 1024

_ERRORS: Final = {
    ErrorCode.UNKNOWN_SYMBOL: ErrorName.UNKNOWN_SYMBOL,
    ErrorCode.SYMBOL_NOT_SELECTED: ErrorName.UNKNOWN_SYMBOL,
    ErrorCode.UNSUPPORTED: ErrorName.UNSUPPORTED,
    ErrorCode.NOT_ALLOWED: ErrorName.NOT_ALLOWED,
    ErrorCode.NOT_FOUND: ErrorName.NOT_AVAILABLE,
    ErrorCode.NOT_SYNCHRONISED: ErrorName.NOT_AVAILABLE,
    ErrorCode.DEADLINE_PASSED: ErrorName.DEADLINE_EXCEEDED,
    ErrorCode.INVALID: ErrorName.INVALID_REQUEST,
    ErrorCode.TOO_MANY: ErrorName.TOO_MANY_REQUESTS,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """
    How an ask ended: ``value`` or an error (``code`` not empty).
    """

    value: Any = None
    code: str = ""
    hop: str = Hop.TERMINAL
    message: str = ""
    hint: str = ""
    field: str = ""


@dataclass(slots=True)
class Ask:
    """
    One request on its way.
    """

    done: Callable[[Answer], None]
    deadline_us: int
    pages: list[bytes] = field(default_factory=list)
    size: int = 0


def error_name(code: int) -> str:
    """
    Return the bus protocol's name for a terminal's error code.
    """
    try:
        return str(_ERRORS.get(ErrorCode(code), ErrorName.TERMINAL_ERROR))
    except ValueError:
        return str(ErrorName.TERMINAL_ERROR)


def _text_keys(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    if not all(type(key) is str for key, _ in pairs):
        raise ValueError("the keys of a map must be text")
    return dict(pairs)


def _unpack(data: bytes) -> Any:
    try:
        # Headers that announce more elements than there are would be allocated for: walk the
        # answer once without building anything.
        unpacker = msgpack.Unpacker(read_size=len(data), max_buffer_size=max(len(data), 1))
        unpacker.feed(data)
        unpacker.skip()
        return msgpack.unpackb(
            data, raw=False, strict_map_key=True, max_ext_len=0, object_pairs_hook=_text_keys
        )
    except (ValueError, RecursionError, msgpack.UnpackException) as error:
        reason = str(error) or type(error).__name__
        raise RemoteProtocolError(
            LogoutCode.BAD_MESSAGE, f"PAGE: not valid msgpack: {reason}"[:200]
        ) from None


class Asks:
    """
    The open asks of one terminal.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: dict[int, Ask] = {}
        self._last_id = 0

    def __len__(self) -> int:
        return len(self._open)

    def next_id(self) -> int:
        """
        Return an id that no open ask has.
        """
        self._last_id = self._last_id % 0xFFFF_FFFF + 1
        while self._last_id in self._open:
            self._last_id = self._last_id % 0xFFFF_FFFF + 1
        return self._last_id

    def is_full(self) -> bool:
        """
        Tell whether a further ask must be refused.
        """
        return len(self._open) >= self._limit

    def add(self, request_id: int, ask: Ask) -> None:
        """
        Wait for the pages of this request.
        """
        self._open[request_id] = ask

    def receive(self, page: Page) -> None:
        """
        Take a page; pages of asks that ended already are ignored.

        Raises:
            RemoteProtocolError: pages out of order, too much, or not decodable.
        """
        ask = self._open.get(page.request_id)
        if ask is None:
            return
        if page.code:
            self._end(page.request_id, Answer(code=error_name(page.code), message=page.text))
            return
        if page.page != len(ask.pages):
            raise RemoteProtocolError(
                LogoutCode.BAD_MESSAGE,
                f"PAGE {page.page} of request {page.request_id} follows {len(ask.pages) - 1}",
            )
        ask.pages.append(page.payload)
        ask.size += len(page.payload)
        if ask.size > _ANSWER_MAX:
            self._end(
                page.request_id,
                Answer(
                    code=ErrorName.NOT_AVAILABLE,
                    hop=Hop.RELAY,
                    message=f"the answer is larger than {_ANSWER_MAX} bytes",
                    hint="ask for less at once",
                ),
            )
            return
        if page.last:
            data = b"".join(ask.pages)
            value: Any = data
            if page.kind == PageKind.MSGPACK:
                value = _unpack(data)
            self._end(page.request_id, Answer(value))

    def refuse(self, request_id: int, answer: Answer) -> None:
        """
        End an ask that could not be sent.
        """
        if request_id in self._open:
            self._end(request_id, answer)

    def expire(self, now_us: int) -> None:
        """
        End the asks whose deadline has come.
        """
        for request_id, ask in list(self._open.items()):
            if now_us >= ask.deadline_us:
                self._end(
                    request_id,
                    Answer(
                        code=ErrorName.DEADLINE_EXCEEDED,
                        message="the terminal did not answer in time",
                        hint="it may be busy; 'bridge status' shows its loop and its last heartbeat",
                    ),
                )

    def next_deadline(self) -> int:
        """
        Return when ``expire`` has something to do, in microseconds.
        """
        return min((ask.deadline_us for ask in self._open.values()), default=NEVER_US)

    def abandon(self, message: str) -> None:
        """
        End all asks: the terminal is gone.
        """
        for request_id in list(self._open):
            self._end(
                request_id,
                Answer(
                    code=ErrorName.TERMINAL_UNAVAILABLE,
                    message=message,
                    hint="the terminal reconnects by itself; ask again then",
                ),
            )

    def _end(self, request_id: int, answer: Answer) -> None:
        self._open.pop(request_id).done(answer)
