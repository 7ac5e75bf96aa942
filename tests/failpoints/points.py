"""The points at which an order is stopped, and the faults: tests and tables are made of these.

A **point** is a step of an order's life at which a port of the relay or the terminal is passed. In
``(2)`` it is passed for the second time. ``POINTS`` has those of a market order, and of every other
story those that are its own or differ there.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Final, NamedTuple

__all__ = ["POINTS", "Case", "Fault", "Strike", "cases", "place_of", "some_cases"]


class Fault(enum.StrEnum):
    """
    What happens at a point.
    """

    KILL_RELAY = "relay killed"
    KILL_TERMINAL = "terminal killed"
    KILL_BOTH = "both killed"
    CUT = "link cut"
    POWER = "power lost"


class Strike(NamedTuple):
    """
    A fault at a point; ``after``: what is to be written there was synced.
    """

    point: str
    fault: Fault
    after: bool


class Case(NamedTuple):
    """
    A strike in a story.
    """

    story: str
    strike: Strike

    @property
    def title(self) -> str:
        """
        Return a sentence, for the name of the test.
        """
        when = "after" if self.strike.after else "before"
        return f"{self.story}: {self.strike.point}, {self.strike.fault} {when} fsync"


POINTS: Final[dict[str, tuple[str, ...]]] = {
    "market order": (
        "the request is at the relay",
        "the policy is asked",
        "a reservation at the disk",
        "a reservation at the disk, told",
        "NEW is in the relay's lane",
        "NEW is half on the wire",
        "NEW is at the terminal",
        "NEW waits in the terminal's queue",
        "BUSY is half on the wire",
        "OrderCheck is called",
        "the intent at the ledger",
        "OrderSend is called",
        "the broker has executed, OrderSend has not returned",
        "the outcome DONE at the ledger",
        "RESULT is half on the wire",
        "RESULT DONE is at the relay",
        "the verdict DONE of a command at the disk",
        "EVENT is half on the wire",
        "an event without a place at the disk",
        "EVENT is at the relay",
        "an event at the disk",
        "the verdict DONE of a command at the disk, told",
        "the event ORDER_LIFE is about to be published",
        "the event ORDER_LIFE is published",
        "the reply is about to be sent",
        "the reply is sent",
        "an event without a place at the disk, told",
        "the event REQUEST is about to be published",
        "the event REQUEST is published",
        "an event at the disk, told",
        "the event DEAL is about to be published",
        "the event DEAL is published",
        "EVENT_ACK is in the relay's lane",
        "EVENT_ACK is half on the wire",
        "EVENT_ACK is at the terminal",
        "the event ORDER_CLOSED is about to be published",
        "the event ORDER_CLOSED is published",
    ),
    "lost answer": (
        "the outcome UNKNOWN at the ledger",
        "RESULT UNKNOWN is at the relay",
        "the verdict UNKNOWN of a command at the disk",
        "the verdict UNKNOWN of a command at the disk, told",
        "QUERY is in the relay's lane",
        "QUERY is half on the wire",
        "QUERY is at the terminal",
        "REQUEST is in the relay's lane",
        "evidence is looked for",
        "REQUEST is half on the wire",
        "PAGE is half on the wire",
    ),
    "lost request": (
        "the outcome UNKNOWN at the ledger",
        "RESULT UNKNOWN is at the relay",
        "the verdict UNKNOWN of a command at the disk",
        "the verdict UNKNOWN of a command at the disk, told",
        "QUERY is in the relay's lane",
        "QUERY is half on the wire",
        "QUERY is at the terminal",
        "evidence is looked for",
        "RESULT INTENT is at the relay",
        "the verdict INTENT of a command at the disk",
        "the verdict INTENT of a command at the disk, told",
        "the outcome NOT_FOUND at the ledger",
        "RESULT NOT_FOUND is at the relay",
        "the verdict NOT_FOUND of a command at the disk",
        "the verdict NOT_FOUND of a command at the disk, told",
        "REQUEST is in the relay's lane",
        "REQUEST is half on the wire",
        "PAGE is half on the wire",
    ),
    "rejected order": (
        "the outcome REJECTED at the ledger",
        "RESULT REJECTED is at the relay",
        "the verdict REJECTED of a command at the disk",
        "the verdict REJECTED of a command at the disk, told",
    ),
    "netting close": (
        "NEW is half on the wire",
        "the intent at the ledger",
        "the broker has executed, OrderSend has not returned",
        "RESULT is half on the wire",
        "the verdict DONE of a command at the disk",
    ),
    "cancel": (
        "NEW is half on the wire",
        "the intent at the ledger",
        "the broker has executed, OrderSend has not returned",
        "RESULT is half on the wire",
        "the verdict DONE of a command at the disk",
    ),
    "pending order": (
        "NEW is half on the wire",
        "the intent at the ledger",
        "the broker has executed, OrderSend has not returned",
        "the outcome PLACED at the ledger",
        "RESULT PLACED is at the relay",
        "the verdict PLACED of a command at the disk",
        "EVENT is half on the wire",
        "the verdict PLACED of a command at the disk, told",
        "the event ORDER is about to be published",
        "the event ORDER is published",
        "the outcome DONE at the ledger",
        "an event at the disk",
        "the verdict DONE of a command at the disk",
    ),
    "close all": (
        "REQUEST is in the relay's lane",
        "REQUEST is half on the wire",
        "PAGE is half on the wire",
        "a family of commands at the disk",
        "a family of commands at the disk, told",
        "NEW is half on the wire",
        "NEW is half on the wire (2)",
        "NEW is half on the wire (3)",
        "the broker has executed, OrderSend has not returned",
        "the broker has executed, OrderSend has not returned (2)",
        "the verdict DONE of a command at the disk (2)",
        "the broker has executed, OrderSend has not returned (3)",
        "RESULT is half on the wire (3)",
        "the verdict DONE of a command at the disk (3)",
        "the verdict DONE of the parent at the disk",
        "the verdict DONE of the parent at the disk, told",
        "the reply is about to be sent",
    ),
    "logon with an open order": (
        "the outcome DONE at the ledger",
        "the connection counter at the ledger",
        "HELLO is half on the wire",
        "CHALLENGE is half on the wire",
        "PROOF is half on the wire",
        "QUERY is in the relay's lane",
        "REQUEST is in the relay's lane",
        "WELCOME is half on the wire",
        "QUERY is half on the wire",
        "QUERY is at the terminal",
        "REQUEST is half on the wire",
        "evidence is looked for",
        "RESULT is half on the wire",
        "the verdict DONE of a command at the disk",
        "PAGE is half on the wire",
    ),
    "halt": (
        "HALT is in the relay's lane",
        "the state HALTED at the disk",
        "the state HALTED at the disk, told",
        "HALT is half on the wire",
        "HALT is at the terminal",
        "the state HALTED at the ledger",
        "the reply is about to be sent",
        "the state ACTIVE at the disk",
        "the state ACTIVE at the disk, told",
        "the state ACTIVE at the ledger",
        "NEW is half on the wire",
        "REQUEST is in the relay's lane",
        "REQUEST is half on the wire",
        "PAGE is half on the wire",
    ),
}


def cases(story: str, points: tuple[str, ...] | None = None) -> Iterator[Case]:
    """
    Return every point of a story with every fault, before and after the sync.
    """
    for point in POINTS[story] if points is None else points:
        for fault in Fault:
            for after in (False, True):
                yield Case(story, Strike(point, fault, after))


def some_cases(story: str) -> Iterator[Case]:
    """
    Return every point of a story with two of the faults, in turn.
    """
    for number, point in enumerate(POINTS[story]):
        every = list(cases(story, (point,)))
        yield every[(3 * number) % len(every)]
        yield every[(3 * number + 5) % len(every)]


def place_of(point: str) -> str:
    """
    Return where a point lies: a program, or the wire.
    """
    if "on the wire" in point:
        return "wire"
    at_terminal = ("at the ledger", "terminal", "OrderCheck", "OrderSend", "evidence")
    return "terminal" if any(word in point for word in at_terminal) else "relay"
