"""Holdings: positions, pending orders and the account of a terminal, as last read.

Events are hints; what is open is read anew after each, coalesced, and at every logon. The
readings feed the topics ``position/`` and ``account/`` and the policy's limit of positions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from bridge.bus.requests import Method
from bridge.logs import get_logger
from bridge.relay.asks import Answer
from bridge.relay.order_comments import OrderComments

__all__ = ["Holdings"]

log = get_logger(__name__)

#: no two readings begin within this
_BETWEEN_US: Final = 100_000
#: after a reading that failed
_RETRY_US: Final = 1_000_000
_READ_US: Final = 5_000_000
_KINDS: Final = (Method.POSITIONS, Method.ORDERS, Method.ACCOUNT)

Ask = Callable[[str, dict[str, Any], Callable[[Answer], None], int], None]


class Holdings:
    """
    What one terminal holds.

    ``publish_positions`` and ``publish_account`` are called when a reading differs from the one
    before. After any call, ``poll`` is to be called.
    """

    def __init__(
        self,
        alias: str,
        ask: Ask,
        comments: OrderComments,
        publish_positions: Callable[[list[dict[str, Any]]], None],
        publish_account: Callable[[dict[str, Any]], None],
    ) -> None:
        self._alias = alias
        self._ask = ask
        self._comments = comments
        self._publish_positions = publish_positions
        self._publish_account = publish_account
        self._positions: list[dict[str, Any]] | None = None
        self._orders: list[dict[str, Any]] | None = None
        self._told_positions: list[dict[str, Any]] | None = None
        self._told_account: dict[str, Any] | None = None
        self._connected = False
        self._dirty = False
        self._due_us = 0
        #: kinds of the running reading that have not been answered; a new session is a new one
        self._waiting: set[Method] = set()
        self._reading = 0
        self._failed = False
        #: symbols in which something was opened that no reading shows: before and after it began
        self._opened_before: list[str] = []
        self._opened_since: list[str] = []

    def link_up(self) -> None:
        """
        A session is open: read everything.
        """
        self._connected = True
        self._waiting.clear()
        self._reading += 1
        self._dirty = True
        self._due_us = 0

    def link_down(self) -> None:
        """
        The session ended: what is open is not known any more.
        """
        self._connected = False
        self._waiting.clear()
        self._reading += 1
        self._positions = self._orders = None

    def changed(self, symbol: str = "") -> None:
        """
        Something happened. ``symbol``: where an order of ours may have opened something.
        """
        self._dirty = True
        if symbol:
            self._opened_since.append(symbol)

    def open_symbols(self) -> list[str] | None:
        """
        Return the symbol of each position and pending order, ``None`` when not known.
        """
        if self._positions is None or self._orders is None:
            return None
        records = [*self._positions, *self._orders]
        known = [str(record.get("symbol", "")) for record in records]
        return known + self._opened_before + self._opened_since

    def symbol_of(self, ticket: int) -> str:
        """
        Return the symbol of a position or order, ``""`` when not known.
        """
        for record in (*(self._positions or ()), *(self._orders or ())):
            if record.get("ticket") == ticket:
                return str(record.get("symbol", ""))
        return ""

    def poll(self, now_us: int) -> None:
        """
        Begin a reading if one is due.
        """
        if not self._dirty or not self._connected or self._waiting or now_us < self._due_us:
            return
        self._dirty = self._failed = False
        self._due_us = now_us + _BETWEEN_US
        self._waiting = set(_KINDS)
        self._opened_before += self._opened_since
        self._opened_since = []
        reading = self._reading
        for kind in _KINDS:
            done = partial(self._answered, reading, kind, now_us)
            self._ask(kind.value, {}, done, now_us + _READ_US)

    def next_deadline(self) -> int | None:
        """
        Return when ``poll`` wants to be called, ``None`` for not at all.
        """
        return self._due_us if self._dirty and self._connected and not self._waiting else None

    def _answered(self, reading: int, kind: Method, now_us: int, answer: Answer) -> None:
        if reading != self._reading:
            return
        self._waiting.discard(kind)
        value = answer.value.get(kind.value) if isinstance(answer.value, dict) else None
        if kind is Method.ACCOUNT:
            good = isinstance(value, dict)
        else:
            good = isinstance(value, list) and all(isinstance(one, dict) for one in value)
        if answer.code or not good:
            if not self._failed:
                log.warning(
                    "holdings not read", terminal=self._alias, what=kind, reason=answer.message
                )
            self._failed = self._dirty = True
            self._due_us = now_us + _RETRY_US
            return
        self._take(kind, value)
        if not self._waiting and not self._failed:
            self._opened_before = []

    def _take(self, kind: Method, value: Any) -> None:
        if kind is Method.ACCOUNT:
            if value != self._told_account:
                self._told_account = value
                self._publish_account(value)
        elif kind is Method.ORDERS:
            self._orders = value
        else:
            self._positions = value
            told = [self._comments.put_back(record) for record in value]
            if told != self._told_positions:
                self._told_positions = told
                self._publish_positions(told)
