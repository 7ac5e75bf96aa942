"""What a session tells its caller, beside the messages of the peer themselves."""

from __future__ import annotations

from typing import NamedTuple

from bridge.wire.frame import Run
from bridge.wire.messages import Hello, Message, Welcome

__all__ = [
    "Closed",
    "HelloReceived",
    "LoggedOn",
    "LogonRequested",
    "SessionEvent",
    "Ticks",
]


class Ticks(NamedTuple):
    """
    A TICKS frame. The relay calls ``taken(seq)`` once its records are safe in its hands.
    """

    seq: int
    runs: list[Run]


class HelloReceived(NamedTuple):
    """
    A terminal introduced itself. Answer with ``challenge`` or ``refuse``.
    """

    hello: Hello


class LogonRequested(NamedTuple):
    """
    The terminal proved that it has the key. Answer with ``accept`` or ``refuse``.
    """

    hello: Hello


class LoggedOn(NamedTuple):
    """
    Terminal side: the session is open.
    """

    welcome: Welcome


class Closed(NamedTuple):
    """
    The session is over. ``by_peer``: the other side said so or broke the protocol first.

    Before a session is open anybody may have said it: a terminal goes on trying, however
    final ``code`` sounds, and bounds ``retry_after_ms``.
    """

    code: int
    reason: str
    by_peer: bool
    retry_after_ms: int = 0


SessionEvent = Message | Ticks | HelloReceived | LogonRequested | LoggedOn | Closed
