"""Writes on their way to the disk: in order, and taken back together when one is lost."""

from __future__ import annotations

import contextlib
import functools
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from bridge.exceptions import JournalError
from bridge.journal.store import Done, Store, Write

__all__ = ["WritePipeline"]


class _Pending:
    # A write on its way: how to take it back, what holds once it is on disk, whom to tell.
    __slots__ = ("done", "over", "settle", "undo")

    def __init__(self, undo: Callable[[], None], settle: Callable[[], None], done: Done) -> None:
        self.undo = undo
        self.settle = settle
        self.done = done
        self.over = False


def _nothing() -> None:
    pass


class WritePipeline:
    """
    Hands writes to the store and keeps memory in step with it.

    ``settle`` of a write is called when it is on disk, ``undo`` when it never will be, and
    behind both ``done``. When a write is lost all behind it are: they are undone, the newest first,
    so memory is then what is on disk.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pending: deque[_Pending] = deque()
        self._group: tuple[list[Write], list[_Pending]] | None = None

    def __len__(self) -> int:
        return len(self._pending)

    def submit(
        self,
        writes: Sequence[Write],
        done: Done,
        *,
        undo: Callable[[], None] = _nothing,
        settle: Callable[[], None] = _nothing,
    ) -> None:
        """
        Hand over writes that belong together. Without any, ``done`` waits for those before it.
        """
        pending = _Pending(undo, settle, done)
        self._pending.append(pending)
        if self._group is not None:
            self._group[0].extend(writes)
            self._group[1].append(pending)
        else:
            self._hand_over(writes, [pending])

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """
        What is submitted inside is one write.
        """
        if self._group is not None:
            yield
            return
        writes: list[Write] = []
        pending: list[_Pending] = []
        self._group = writes, pending
        try:
            yield
        finally:
            # Also after an exception: memory has changed, and the disk must follow.
            self._group = None
            if pending:
                self._hand_over(writes, pending)

    def _hand_over(self, writes: Sequence[Write], pending: Sequence[_Pending]) -> None:
        try:
            self._store.write(writes, functools.partial(self._complete, pending))
        except ValueError:
            # A defect of the caller: it hears of it, and all is as before. They are the newest.
            for write in reversed(pending):
                self._pending.pop()
                write.undo()
            raise

    def _complete(self, written: Sequence[_Pending], error: JournalError | None) -> None:
        if written[0].over:
            return
        if error is not None:
            self._lose(error)
            return
        for pending in written:
            if self._pending.popleft() is not pending:
                raise AssertionError("the store completed writes out of their order")
            pending.settle()
        # All are told, in order, also when one of them raises.
        with contextlib.ExitStack() as stack:
            for pending in reversed(written):
                stack.callback(pending.done, None)

    def _lose(self, error: JournalError) -> None:
        lost = list(self._pending)
        self._pending.clear()
        for write in reversed(lost):
            write.over = True
            write.undo()
        self._store.recover()
        # At once: what is handed over from here on is written, though it follows what was lost.
        with contextlib.ExitStack() as stack:
            for write in reversed(lost):
                stack.callback(write.done, error)
