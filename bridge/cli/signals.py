"""Signals that ask a command to end."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = ["stop_signals"]


@contextlib.contextmanager
def stop_signals(action: Callable[[], object]) -> Iterator[None]:
    """
    Call ``action`` in the main thread on Ctrl-C, Ctrl-Break and SIGTERM; restore afterwards.

    What it raises is raised in the middle of whatever the main thread does.
    """

    def handle(_number: int, _frame: FrameType | None) -> None:
        action()

    # Windows alone has SIGBREAK, and cannot send SIGTERM to another process.
    names = ("SIGINT", "SIGTERM", "SIGBREAK")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
