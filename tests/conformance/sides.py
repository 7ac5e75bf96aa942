"""The sides that scripts run against here. The Expert Advisor joins them in its own issue."""

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
