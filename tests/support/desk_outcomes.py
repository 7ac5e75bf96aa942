"""What tests ask of the outcomes of a simulated trading desk."""

from __future__ import annotations

import dataclasses

from bridge.model.enums import AccountMarginMode
from bridge.sim.account import Account
from bridge.wire.spec import DenyReason, NewFlag, OrderOutcome
from tests.support.desk_bench import LOGIN, PENDING, request

__all__ = [
    "DENIED",
    "DONE",
    "INTENT",
    "NETTING",
    "NOT_FOUND",
    "PARTIAL",
    "PLACED",
    "REDUCE",
    "REJECTED",
    "UNKNOWN",
    "denied",
    "limit_buy",
    "outcome",
    "rule",
]

NETTING = Account(login=LOGIN, server="Demo-Server", margin_mode=AccountMarginMode.RETAIL_NETTING)
REDUCE = int(NewFlag.REDUCE_ONLY)
DONE, PLACED, PARTIAL = OrderOutcome.DONE, OrderOutcome.PLACED, OrderOutcome.PARTIAL
DENIED, REJECTED, UNKNOWN = OrderOutcome.DENIED, OrderOutcome.REJECTED, OrderOutcome.UNKNOWN
INTENT, NOT_FOUND = OrderOutcome.INTENT, OrderOutcome.NOT_FOUND


def rule(bench, **changes):
    """
    Change rules of the broker.
    """
    bench.exchange.rules = dataclasses.replace(bench.exchange.rules, **changes)
    return bench


def limit_buy(price=1.05, **fields):
    """
    Return a buy limit order.
    """
    return request(PENDING, symbol="EURUSD", volume=0.1, price=price, type=2, **fields)


def outcome(result):
    """
    Return the outcome of a RESULT as a member of its enumeration.
    """
    return OrderOutcome(result.outcome)


def denied(result):
    """
    Return why a RESULT is a denial, which it has to be.
    """
    assert DENIED is outcome(result)
    return DenyReason(result.reason)
