"""What may be traded: pure rules, each with a reason code, in one order.

Layer 3: no input or output, no clock, no randomness. Whoever asks brings everything that a
rule looks at in a ``Context``; the relay does so before an order is journalled, and a terminal
may ask the same rules again.
"""

from __future__ import annotations

from bridge.policy.engine import judge
from bridge.policy.proposal import Context, Proposal, proposal_of
from bridge.policy.reasons import PERMISSIONS, Denial, PermissionHelp
from bridge.policy.rules import COMMANDS_WAITING_MAX, RULES, Rule, Scope

__all__ = [
    "COMMANDS_WAITING_MAX",
    "PERMISSIONS",
    "RULES",
    "Context",
    "Denial",
    "PermissionHelp",
    "Proposal",
    "Rule",
    "Scope",
    "judge",
    "proposal_of",
]
