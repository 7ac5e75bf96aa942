"""What is judged: one order as proposed, and everything known where it would go."""

from __future__ import annotations

import dataclasses
from typing import Final

from bridge.config import TradingSettings
from bridge.model.command import OrderCommand
from bridge.model.enums import TradeRequestActions
from bridge.wire.spec import Permission, TradingState

__all__ = ["Context", "Proposal", "proposal_of"]

_CHANGES: Final = frozenset({TradeRequestActions.SLTP, TradeRequestActions.MODIFY})
_REDUCES: Final = frozenset({TradeRequestActions.REMOVE, TradeRequestActions.CLOSE_BY})
_CLOSES: Final = frozenset({TradeRequestActions.DEAL, TradeRequestActions.CLOSE_BY})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """
    One order that somebody would like to send.

    ``symbol`` is ``""`` when it is not known, as for a ticket that nobody has looked up.
    ``volume`` is lots, ``None`` for all that is open. ``reduces``: a close, a cancel or a
    close-by; for a close the terminal must have been told so (REDUCE_ONLY), else it may open
    the reverse. ``admin``: the trading state does not hold it.
    """

    method: str
    action: int
    symbol: str = ""
    volume: float | None = None
    type: int | None = None
    position: int = 0
    order: int = 0
    reduces: bool = False
    admin: bool = False

    @property
    def changes(self) -> bool:
        """
        Whether it only modifies an order or a position that is there.
        """
        return not self.reduces and self.action in _CHANGES

    @property
    def opens(self) -> bool:
        """
        Whether it may add a position or an order; so does every action that is not known.
        """
        return not self.reduces and self.action not in _CHANGES

    @property
    def closes(self) -> bool:
        """
        Whether it trades volume away; a cancel does not.
        """
        return self.reduces and self.action in _CLOSES


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """
    Everything a rule may look at. What is not known is ``None``, and counts as the worst.

    Attributes:
        alias: Of the terminal, for the texts.
        settings: What the configuration allows.
        state: The latched trading state, the stricter of the relay's and the terminal's own.
        state_reason: What was said when it was set.
        journal_problem: Why no new risk can be journalled, or ``""``.
        journal_writable: There is still room for what closes or cancels.
        terminal_connected: There is an open session.
        terminal_trades: That session has the role and the capability to trade.
        permissions: Of the last heartbeat.
        commands_waiting: Commands sent to the terminal or waiting to be, without an answer.
        orders_last_minute: Commands sent to the terminal in the last 60 s.
        open_positions: Positions, and what may still become one: pending orders, orders under
            way or unresolved. In netting each symbol counts once.
        open_symbols: The symbols of those; in netting a deal of one of them opens no further.
        price_age_ms: Age of the symbol's newest tick; less than 0 when clocks differ.
        unresolved: Symbols of orders whose outcome is unknown; ``""`` for one whose symbol is
            not known.
        netting: The account has one position for each symbol; also when that is not known.
    """

    settings: TradingSettings
    state: TradingState
    terminal_connected: bool
    permissions: Permission
    orders_last_minute: int
    netting: bool
    alias: str = ""
    state_reason: str = ""
    journal_problem: str = ""
    journal_writable: bool = False
    terminal_trades: bool = True
    commands_waiting: int = 0
    open_positions: int | None = None
    open_symbols: frozenset[str] = frozenset()
    price_age_ms: int | None = None
    unresolved: frozenset[str] = frozenset()


def proposal_of(
    method: str, command: OrderCommand, *, symbol: str = "", admin: bool = False
) -> Proposal:
    """
    Return what a command proposes.

    ``symbol`` is that of the position or order that the command names by its ticket; the
    command's own is above it.
    """
    values = command.values
    deal = values.action == TradeRequestActions.DEAL
    return Proposal(
        method=method,
        action=values.action,
        symbol=values.symbol or symbol,
        volume=values.volume,
        type=values.type,
        position=values.position or 0,
        order=values.order or 0,
        reduces=values.action in _REDUCES or (deal and command.reduce_only),
        admin=admin,
    )
