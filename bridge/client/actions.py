"""What the pure parts of the client want done. The engine does it, in order."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeAlias

from bridge.bus.requests import Method
from bridge.exceptions import RequestError

__all__ = ["Action", "Ask", "Connect", "Fail", "Joined", "Subscribe", "Unsubscribe"]


@dataclasses.dataclass(frozen=True, slots=True)
class Ask:
    """
    Send a request; its outcome comes back under ``token``, exactly once.
    """

    token: int
    method: Method
    params: dict[str, Any]
    timeout_s: float


@dataclasses.dataclass(frozen=True, slots=True)
class Connect:
    """
    Connect the SUB socket to ``endpoint`` and to nothing else, even if it is there already.
    """

    endpoint: str


@dataclasses.dataclass(frozen=True, slots=True)
class Subscribe:
    """
    Subscribe the SUB socket to everything that begins with ``prefix``.
    """

    prefix: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Unsubscribe:
    """
    Take a subscription back.
    """

    prefix: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Joined:
    """
    Every topic is subscribed. ``waiting``: which of them have to wait, and for what.
    """

    waiting: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Fail:
    """
    The stream is over; whoever iterates gets ``error``.
    """

    error: RequestError


Action: TypeAlias = Ask | Connect | Subscribe | Unsubscribe | Joined | Fail
