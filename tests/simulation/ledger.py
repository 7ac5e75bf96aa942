"""The terminal's ledger on a disk of its own: what was synced survives, the rest may not."""

from __future__ import annotations

from typing import Final

from bridge.sim.ledger import UNRESOLVED, LedgerEntry, LedgerError
from bridge.wire.spec import TradingState

__all__ = ["SimulatedLedger"]

_UNRESOLVED: Final = frozenset(UNRESOLVED)


class SimulatedLedger:
    """
    A ledger as the ``Ledger`` port wants it, with every look-up by an index.

    ``synced`` false: a write returns before it is on the disk, which has it at the next
    ``sync``; ``lose_power`` takes back what it has not. ``broken``: every write fails.
    """

    def __init__(self, incarnation: bytes) -> None:
        self.incarnation = incarnation
        self.durable = True
        self.connection_counter = 0
        self.relay_epoch_seen = 0
        self.trading_state = TradingState.ACTIVE
        self.broken = False
        self.synced = True
        self._entries: dict[str, LedgerEntry] = {}
        self._tags: dict[str, str] = {}
        self._orders: dict[int, str] = {}
        self._open: dict[str, None] = {}
        self._intents: list[int] = []
        #: how each entry was when the disk had it last
        self._unsynced: dict[str, LedgerEntry | None] = {}

    def commit_counter(self, connection_counter: int) -> None:
        self._check()
        self.connection_counter = connection_counter

    def commit_epoch(self, relay_epoch: int) -> None:
        self.relay_epoch_seen = max(self.relay_epoch_seen, relay_epoch)
        self._check()

    def commit_state(self, state: TradingState) -> None:
        self.trading_state = state
        self._check()

    def find(self, command_id: str) -> LedgerEntry | None:
        return self._entries.get(command_id)

    def find_tag(self, tag: str) -> LedgerEntry | None:
        return self._entries.get(self._tags.get(tag, ""))

    def find_order(self, order: int) -> LedgerEntry | None:
        return self._entries.get(self._orders.get(order, "")) if order else None

    def unresolved(self) -> list[LedgerEntry]:
        found = [self._entries[name] for name in self._open]
        return sorted(found, key=lambda entry: entry.intent_msc)

    def count_since(self, server_msc: int) -> int:
        return sum(intent > server_msc for intent in self._intents)

    def write(self, entry: LedgerEntry) -> None:
        self._check()
        if not self.synced:
            before = self._entries.get(entry.command_id)
            self._unsynced.setdefault(entry.command_id, before)
        self._put(entry)

    # --- what the world does -------------------------------------------------------------

    def sync(self) -> None:
        """
        The disk has everything now.
        """
        self._unsynced.clear()

    def lose_power(self) -> None:
        """
        What was not synced is gone.
        """
        for name, before in self._unsynced.items():
            entry = self._entries.pop(name)
            self._tags.pop(entry.tag, None)
            self._orders.pop(entry.made_order, None)
            self._open.pop(name, None)
            if before is not None:
                self._put(before)
        self._unsynced.clear()

    def _put(self, entry: LedgerEntry) -> None:
        name = entry.command_id
        if name not in self._entries:
            self._intents.append(entry.intent_msc)
        self._entries[name] = entry
        self._tags[entry.tag] = name
        if entry.made_order:
            self._orders.setdefault(entry.made_order, name)
        if int(entry.outcome) in _UNRESOLVED:
            self._open[name] = None
        else:
            self._open.pop(name, None)

    def _check(self) -> None:
        if self.broken:
            raise LedgerError("the ledger cannot be written: it is broken")
