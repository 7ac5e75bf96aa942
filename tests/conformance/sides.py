"""
The sides that scripts run against here. The Expert Advisor is one more: ``expert_peer``, which
needs a folder and a compiler, and which ``tests/mql5/test_ea_conformance.py`` plays against.
"""

from __future__ import annotations

from tests.conformance.ports import Peer
from tests.conformance.relay_peer import RelayPeer
from tests.conformance.terminal_peer import TerminalPeer

__all__ = ["make_peer"]


def make_peer(side: str) -> Peer:
    """
    Return a fresh side under test.
    """
    return TerminalPeer() if side == "terminal" else RelayPeer()
