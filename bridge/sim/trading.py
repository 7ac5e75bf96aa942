"""What a simulated terminal says to orders: it does not trade yet, and it obeys its relay."""

from __future__ import annotations

from bridge.wire.messages import Halt, Result, Welcome
from bridge.wire.spec import DenyReason, OrderOutcome, TradingState

__all__ = ["Trading"]


class Trading:
    """
    The trading state that the relay sets, and the answers to NEW and QUERY.

    Args:
        incarnation: 16 bytes that name this terminal's ledger.
    """

    def __init__(self, incarnation: bytes) -> None:
        #: whether orders may pass, as a relay that is not outdated last said
        self.state = TradingState.ACTIVE
        #: newest fencing epoch of a relay; the word of an older relay does not count
        self.relay_epoch_seen = 0
        self._incarnation = incarnation

    def welcomed(self, welcome: Welcome, relay_epoch: int) -> None:
        """
        A relay of this epoch logged us on, and says what holds from now on.
        """
        self.relay_epoch_seen = max(self.relay_epoch_seen, relay_epoch)
        self._obey(welcome.trading_state)

    def halt(self, halt: Halt) -> None:
        """
        Take a HALT.
        """
        if halt.relay_epoch >= self.relay_epoch_seen:
            self._obey(halt.trading_state)

    def denied(self, command_id: str, time_msc: int, utc_offset_min: int) -> Result:
        """
        Return the answer to a NEW.
        """
        return self._result(
            command_id, OrderOutcome.DENIED, DenyReason.NOT_PERMITTED, time_msc, utc_offset_min
        )

    def never_seen(self, command_id: str, time_msc: int, utc_offset_min: int) -> Result:
        """
        Return the answer to one id of a QUERY.
        """
        return self._result(
            command_id, OrderOutcome.NEVER_SEEN, DenyReason.NONE, time_msc, utc_offset_min
        )

    # --- inside ------------------------------------------------------------------------

    def _obey(self, said: int) -> None:
        try:
            self.state = TradingState(said)
        except ValueError:
            # A state of a later version: the safe one.
            self.state = TradingState.HALTED

    def _result(
        self,
        command_id: str,
        outcome: OrderOutcome,
        reason: DenyReason,
        time_msc: int,
        utc_offset_min: int,
    ) -> Result:
        return Result(
            command_id=command_id,
            outcome=int(outcome),
            incarnation=self._incarnation,
            replayed=False,
            evidence=0,
            retcode=0,
            retcode_external=0,
            deal=0,
            order=0,
            position=0,
            volume=0.0,
            price=0.0,
            bid=0.0,
            ask=0.0,
            comment="",
            request_id=0,
            time_msc=time_msc,
            utc_offset_min=utc_offset_min,
            error=0,
            text="this terminal does not trade yet",
            deals=(),
            reason=int(reason),
        )
