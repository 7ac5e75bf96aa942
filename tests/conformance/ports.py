"""What the player needs of a side under test: bytes, time, and a few commands.

The player speaks the protocol itself. A terminal or a relay, in whatever language, takes part by
implementing this port; nothing in it is Python's.
"""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["Peer"]


class Peer(Protocol):
    """
    A side under test, whole: with its disk, and what is around it.

    Time stands still but for ``advance``. After each call everything that is due at that time
    has been done.
    """

    #: its clock and the player's are one, microseconds
    now_us: int

    @property
    def utc_msc(self) -> int:
        """
        The time on the wall.
        """

    @property
    def server_msc(self) -> int:
        """
        The trade server's clock.
        """

    def connect(self, number: int) -> bool:
        """
        Make a connection: a relay accepts it, a terminal dials. ``False``: it does not now.
        """

    def send(self, number: int, data: bytes) -> None:
        """
        Hand over bytes.
        """

    def receive(self, number: int) -> bytes:
        """
        Return the bytes that came since the last time.
        """

    def is_open(self, number: int) -> bool:
        """
        Tell whether the side under test has not closed the connection.
        """

    def cut(self, number: int) -> None:
        """
        End the connection without a word.
        """

    def advance(self, until_us: int) -> None:
        """
        Let time go by.
        """

    def command(self, name: str, values: dict[str, Any]) -> None:
        """
        Do what ``=`` says. The names are in the page of the scripts.
        """

    def question(self, name: str, values: dict[str, Any]) -> str:
        """
        Answer ``=?``: what is wrong, or nothing. A terminal's only.
        """

    def ask(self, label: str, request: dict[str, Any]) -> None:
        """
        Let a client send a request. A relay's only, as all below.
        """

    def reply(self, label: str) -> dict[str, Any] | None:
        """
        Return the reply, and forget it; ``None`` while there is none.
        """

    def subscribe(self, topic: str, *, wanted: bool = True) -> None:
        """
        Let a client subscribe to a topic, or not any more.
        """

    def published(self, topic: str) -> list[Any]:
        """
        Return what was published on a topic since the last time, decoded.
        """
