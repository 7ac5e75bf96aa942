"""The ledger as the trading side uses it: what cannot be written is kept in memory and tried
again, and no new order is taken meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bridge.sim.ledger import LedgerError

if TYPE_CHECKING:
    from bridge.sim.ledger import Ledger, LedgerEntry
    from bridge.wire.spec import TradingState

__all__ = ["Commands"]

_AGAIN_AFTER_US: Final = 1_000_000


class Commands:
    """
    The commands of one ledger.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        #: why no order is taken; empty when the ledger does what it should
        self.problem = "" if ledger.durable else "the ledger's file does not keep what is written"
        self._unwritten: dict[str, LedgerEntry] = {}
        self._again_us = 0

    def find(self, command_id: str) -> LedgerEntry | None:
        """
        Return the newest that is known of a command.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        return self._unwritten.get(command_id) or self.ledger.find(command_id)

    def find_trace(self, tag: str, order: int) -> LedgerEntry | None:
        """
        Return the command whose order has this comment, or else that made the one of this ticket.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        entry = self.ledger.find_tag(tag) or self.ledger.find_order(order)
        if entry is not None:
            return self._unwritten.get(entry.command_id, entry)
        # A ticket that could not be written yet.
        unwritten = self._unwritten.values() if order else ()
        return next((one for one in unwritten if one.made_order == order), None)

    def unresolved(self) -> list[LedgerEntry]:
        """
        Return the commands without an end.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        return self.ledger.unresolved()

    def intend(self, entry: LedgerEntry) -> None:
        """
        Write an intent, before its order is sent.

        Raises:
            LedgerError: it is not on the disk; the order must not be sent.
        """
        try:
            self.ledger.write(entry)
        except LedgerError as error:
            self.problem = str(error)
            raise

    def record(self, entry: LedgerEntry) -> None:
        """
        Write an outcome. When that fails it is kept in memory and tried again: the RESULT is
        true all the same, and after a crash the evidence at the broker is the same.
        """
        try:
            self.ledger.write(entry)
            self._unwritten.pop(entry.command_id, None)
        except LedgerError as error:
            self.problem = str(error)
            self._unwritten[entry.command_id] = entry

    def commit_epoch(self, relay_epoch: int) -> None:
        """
        Remember a relay's epoch; without it on the disk no order is taken.
        """
        try:
            self.ledger.commit_epoch(relay_epoch)
        except LedgerError as error:
            self.problem = str(error)

    def commit_state(self, state: TradingState) -> None:
        """
        Remember the trading state; it holds at once, also when the disk refuses.
        """
        try:
            self.ledger.commit_state(state)
        except LedgerError as error:
            self.problem = str(error)

    def retry(self, now_us: int) -> None:
        """
        Try once a second to write what could not be written.
        """
        if not self.problem or not self.ledger.durable or now_us < self._again_us:
            return
        self._again_us = now_us + _AGAIN_AFTER_US
        try:
            # A ledger that takes these takes an intent.
            self.ledger.commit_epoch(self.ledger.relay_epoch_seen)
            self.ledger.commit_state(self.ledger.trading_state)
            for entry in list(self._unwritten.values()):
                self.ledger.write(entry)
                del self._unwritten[entry.command_id]
        except LedgerError:
            return
        self.problem = ""
