"""RESULTs: made anew, made of what the trade server said, or of evidence found later."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

from bridge.model.enums import TradeRequestActions
from bridge.model.retcodes import RetcodeClass, retcode_class
from bridge.wire.fields import clip
from bridge.wire.messages import Result
from bridge.wire.spec import DenyReason, Evidence, OrderOutcome

if TYPE_CHECKING:
    from bridge.sim.trading_evidence import Finding
    from bridge.sim.trading_ports import Moment

__all__ = ["EXECUTED", "ResultMaker", "adds_to", "outcome_of", "replayed"]

#: Outcomes of what has done something at the broker, or is about to.
EXECUTED: Final = frozenset({OrderOutcome.PLACED, OrderOutcome.PARTIAL, OrderOutcome.DONE})
_DEALS_MAX: Final = 256
#: Outcomes that any evidence of an execution replaces.
_NOT_EXECUTED: Final = frozenset(
    {OrderOutcome.INTENT, OrderOutcome.UNKNOWN, OrderOutcome.NOT_FOUND, OrderOutcome.REJECTED}
)
_RANK: Final = {OrderOutcome.PLACED: 1, OrderOutcome.PARTIAL: 2, OrderOutcome.DONE: 3}

_OUTCOMES: Final = {
    RetcodeClass.DEFINITIVE_REJECT: OrderOutcome.REJECTED,
    RetcodeClass.DONE: OrderOutcome.DONE,
    RetcodeClass.PARTIAL: OrderOutcome.PARTIAL,
    RetcodeClass.PLACED: OrderOutcome.PLACED,
    RetcodeClass.AMBIGUOUS: OrderOutcome.UNKNOWN,
}


def outcome_of(retcode: int, action: int) -> OrderOutcome:
    """
    Return what a return code of ``OrderSend`` means: some servers answer an accepted pending
    order with DONE, and it is placed all the same.
    """
    outcome = _OUTCOMES[retcode_class(retcode)]
    if action == TradeRequestActions.PENDING and outcome is OrderOutcome.DONE:
        return OrderOutcome.PLACED
    return outcome


def replayed(result: Result) -> Result:
    """
    Return what the ledger says again.
    """
    return dataclasses.replace(result, replayed=True, evidence=int(Evidence.LEDGER))


def adds_to(known: Result | None, finding: Finding) -> bool:
    """
    Tell whether evidence says more than the last RESULT did.
    """
    if known is None:
        return finding.outcome in EXECUTED or finding.outcome is OrderOutcome.REJECTED
    outcome = OrderOutcome(known.outcome)
    if finding.outcome is OrderOutcome.REJECTED:
        return outcome in {OrderOutcome.UNKNOWN, OrderOutcome.INTENT, OrderOutcome.PLACED}
    if finding.outcome not in EXECUTED:
        return False
    if outcome in _NOT_EXECUTED:
        return True
    if _RANK.get(finding.outcome, 0) != _RANK.get(outcome, 0):
        return _RANK.get(finding.outcome, 0) > _RANK.get(outcome, 0)
    return bool(set(finding.deals) - set(known.deals)) and len(known.deals) < _DEALS_MAX


class ResultMaker:
    """
    Makes the RESULTs of one ledger.
    """

    def __init__(self, incarnation: bytes) -> None:
        self._incarnation = incarnation

    def make(self, command_id: str, outcome: OrderOutcome, moment: Moment, **fields: Any) -> Result:
        """
        Return a RESULT: the given fields, and nothing in the others.
        """
        values: dict[str, Any] = {
            "replayed": False,
            "evidence": int(Evidence.NONE),
            "retcode": 0,
            "retcode_external": 0,
            "deal": 0,
            "order": 0,
            "position": 0,
            "volume": 0.0,
            "price": 0.0,
            "bid": 0.0,
            "ask": 0.0,
            "comment": "",
            "request_id": 0,
            "time_msc": moment.server_msc,
            "error": 0,
            "text": "",
            "deals": (),
        }
        values |= fields
        values["text"] = clip(values["text"])
        values["deals"] = tuple(values["deals"])[:_DEALS_MAX]
        return Result(
            command_id=command_id,
            outcome=int(outcome),
            incarnation=self._incarnation,
            utc_offset_min=moment.utc_offset_min,
            **values,
        )

    def denied(self, command_id: str, reason: DenyReason, text: str, moment: Moment) -> Result:
        """
        Return a DENIED: nothing was sent.
        """
        return self.make(command_id, OrderOutcome.DENIED, moment, reason=int(reason), text=text)

    def found(
        self, command_id: str, known: Result | None, finding: Finding, moment: Moment
    ) -> Result:
        """
        Return what evidence says, with what was known from the trade server before.
        """
        base = known or self.make(command_id, OrderOutcome.INTENT, moment)
        return dataclasses.replace(
            base,
            outcome=int(finding.outcome),
            replayed=True,
            evidence=int(finding.evidence),
            order=finding.order or base.order,
            deal=base.deal or (finding.deals[-1] if finding.deals else 0),
            deals=tuple(dict.fromkeys((*base.deals, *finding.deals)))[:_DEALS_MAX],
            position=finding.position or base.position,
            volume=finding.volume or base.volume,
            price=finding.price or base.price,
            time_msc=finding.time_msc or base.time_msc,
            utc_offset_min=moment.utc_offset_min,
            text=clip(finding.text),
            reason=int(DenyReason.NONE),
        )
