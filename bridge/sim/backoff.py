"""When to dial the relay again."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from bridge.wire.spec import LogoutCode

if TYPE_CHECKING:
    from bridge.wire.events import Closed

__all__ = ["BackOff"]

_FIRST_MS: Final = 100
_MAX_MS: Final = 1_000
#: The same after a session that was open: who was let in is wanted back before a second is over.
_OPEN_MAX_MS: Final = 400
_JITTER: Final = 0.2
#: A session that stayed up so long begins the back-off anew.
_STABLE_US: Final = 1_000_000
#: After a logout that a person must act on.
_REFUSED_MS: Final = 10_000
#: After another program with our identity took our place: dialling at once would throw it out
#: in turn, for ever.
_TWIN_MS: Final = 60_000
#: Before the logon anybody may have said "retry after": nobody has proved anything yet.
_RETRY_AFTER_MAX_MS: Final = 60_000


class BackOff:
    """
    Delays that double from 100 ms to 1 s, to 400 ms after a session that was open, each up to a
    fifth shorter or longer, so that terminals that lost the same relay do not come back at once.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  # jitter is no secret
        self._attempt = 0

    def delay_us(self, closed: Closed | None, active_us: int) -> int:
        """
        Return how long to wait after a connection ended.

        ``closed``: how its session ended, ``None`` when the relay was not reached.
        ``active_us``: how long the session was open, 0 for not at all.
        """
        if active_us >= _STABLE_US:
            self._attempt = 0
        longest_ms = _OPEN_MAX_MS if active_us else _MAX_MS
        delay_ms = min(_FIRST_MS * 2 ** min(self._attempt, 16), longest_ms)
        delay_ms *= self._random.uniform(1 - _JITTER, 1 + _JITTER)
        self._attempt += 1
        if closed is not None and closed.by_peer:
            delay_ms = max(delay_ms, min(closed.retry_after_ms, _RETRY_AFTER_MAX_MS))
        if closed is not None and closed.code >= LogoutCode.UNKNOWN_KEY:
            delay_ms = max(delay_ms, _REFUSED_MS * self._random.uniform(1, 1 + _JITTER))
        if closed is not None and closed.by_peer and closed.code == LogoutCode.REPLACED:
            delay_ms = max(delay_ms, _TWIN_MS)
        return int(delay_ms * 1000)
