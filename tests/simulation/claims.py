"""What clients asked for and were told: all that the oracle knows beside the broker's records."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

from bridge.bus.orders import command_id
from bridge.bus.requests import Method
from bridge.model.trade import order_tag

__all__ = ["Claim", "Said", "Wish"]


class Said(enum.Enum):
    """
    How a question about an order ended for its client.
    """

    #: a result map
    RESULT = "result"
    #: an error of the relay: this request led to nothing
    REFUSED = "refused"
    #: ``order_status``: nothing was ever sent under this id
    UNHEARD = "unheard of"
    #: no word of what became of it
    NOTHING = "nothing"


@dataclasses.dataclass(slots=True)
class Claim:
    """
    A question about an order and its answer; ``until_us``: the latest time at which a frame of
    the question may have reached a relay.
    """

    since_us: int
    traded: bool
    said: Said = Said.NOTHING
    at_us: int = 0
    until_us: int = 0
    result: dict[str, Any] | None = None
    error: str = ""
    #: asked when everything had come to an end
    asked_last: bool = False
    #: in which place of its order's it was told: several may be told at the same time
    place: int = 0

    @property
    def outcome(self) -> str:
        """
        The result's outcome, ``""`` without a result.
        """
        return "" if self.result is None else str(self.result["outcome"])

    @property
    def final(self) -> bool:
        """
        Whether the client was told an end.
        """
        return self.result is not None and bool(self.result["final"])


@dataclasses.dataclass(slots=True)
class Wish:
    """
    An order that a client has decided to have, under one id for ever; kept over its restarts.
    """

    client_id: str
    name: str
    method: Method
    params: dict[str, Any]
    #: what must stay as it is until this has an end
    locks: tuple[Any, ...] = ()
    claims: list[Claim] = dataclasses.field(default_factory=list)
    attempts: int = 0
    #: questions under way
    threads: int = 0
    #: the client asks no more
    over: bool = False
    #: the client was told an end at some time
    ended: bool = False

    def hears(self, claim: Claim, now_us: int) -> None:
        """
        Note that one of its questions has its answer.
        """
        claim.place = 1 + max(one.place for one in self.claims)
        claim.at_us = claim.until_us = now_us

    @property
    def command_id(self) -> str:
        return command_id(self.client_id, self.name)

    @property
    def tag(self) -> str:
        return order_tag(self.command_id)
