"""Mailboxes: where the I/O thread leaves what an iterator takes.

Bounded by the reader, not by the writer: when a mailbox is full the engine stops reading
the subscriber behind it, and goes on when the iterator has taken what was there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from bridge.client.core import Item

__all__ = ["Mailbox"]


class Mailbox:
    """
    Holds items between two threads.

    ``capacity`` is the number of items at which ``full`` turns true. One chunk is taken at
    a time, all that is there, so at most that much again lies with the iterator. ``on_room``
    is called, from the iterator's thread, when a full mailbox was emptied.
    """

    def __init__(self, capacity: int, on_room: Callable[[], None]) -> None:
        self._capacity = capacity
        self._on_room = on_room
        # Re-entrant: the garbage collector may end a stream inside of ``put`` to its mailbox.
        self._lock = threading.RLock()
        self._items: list[Item] = []
        self._waker: Callable[[], None] | None = None
        self._error: Exception | None = None
        self._closed = False

    @property
    def full(self) -> bool:
        """
        Whether the engine has to stop reading.
        """
        return len(self._items) >= self._capacity

    def put(self, items: list[Item]) -> None:
        """
        Add items. Called by the engine.
        """
        with self._lock:
            if self._closed:
                return
            self._items += items
            waker, self._waker = self._waker, None
        if waker is not None:
            waker()

    def end(self, error: Exception | None) -> None:
        """
        Say that nothing follows: with an error for the iterator, or without.
        """
        with self._lock:
            if not self._closed:
                self._closed = True
                self._error = error
            waker, self._waker = self._waker, None
        if waker is not None:
            waker()

    def take(self) -> list[Item] | None:
        """
        Return all there is, ``[]`` for nothing yet, ``None`` for nothing any more.

        Raises:
            RequestError: the stream failed, and all it had delivered was taken.
        """
        with self._lock:
            items, self._items = self._items, []
            if not items and self._closed:
                if self._error is not None:
                    raise self._error
                return None
        if len(items) >= self._capacity:
            self._on_room()
        return items

    def arm(self, waker: Callable[[], None]) -> bool:
        """
        Have ``waker`` called once when there is something; ``False`` if there is already.

        It is called in the engine's thread and must not wait.
        """
        with self._lock:
            if self._items or self._closed:
                return False
            self._waker = waker
            return True

    def disarm(self) -> None:
        """
        Forget the waker.
        """
        with self._lock:
            self._waker = None
