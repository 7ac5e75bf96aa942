"""One question: may this order be sent?"""

from __future__ import annotations

from bridge.policy.proposal import Context, Proposal
from bridge.policy.reasons import Denial
from bridge.policy.rules import RULES

__all__ = ["judge"]


def judge(proposal: Proposal, context: Context) -> Denial | None:
    """
    Return why the order must not be sent, or ``None`` when it may.

    The rules are tried in the order of ``RULES``; the first that fails is the answer. An order
    that is denied is not journalled, and its id is not consumed.
    """
    for rule in RULES:
        if rule.scope.covers(proposal):
            denial = rule.check(proposal, context)
            if denial is not None:
                return denial
    return None
