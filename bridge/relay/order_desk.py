"""What all parts of one terminal's order path look at: collaborators, session, trading state."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from bridge.bus.bodies import TradeKind
from bridge.bus.orders import LifeStep
from bridge.config import TradingSettings
from bridge.exceptions import JournalError
from bridge.journal import Account, Done, Entry, Journal, Step
from bridge.relay.asks import Answer
from bridge.relay.order_commands import Moment, TradeSession
from bridge.wire.spec import Permission, TradingState

__all__ = ["Desk", "TerminalView"]


class TerminalView(Protocol):
    """
    What the order path looks at in its terminal.
    """

    def permissions_now(self) -> Permission | None:
        """
        Permission flags of this session's last heartbeat, ``None`` before the first.
        """

    def busy_until_us(self) -> int:
        """
        Until when the terminal said that it may block; 0 when it does not.
        """

    def price_age_ms(self, symbol: str, utc_msc: int) -> int | None:
        """
        Age of the newest tick, ``None`` when there is none.
        """

    def open_symbols(self) -> list[str] | None:
        """
        The symbol of each open position and pending order, ``None`` when not known.
        """

    def symbol_of(self, ticket: int) -> str:
        """
        Symbol of a position or order, ``""`` when not known.
        """

    def executed(self, symbol: str) -> None:
        """
        A command ended: what is open has changed. ``symbol``: where it may have opened
        something that no read shows yet, or ``""``.
        """

    def ask(
        self, method: str, params: dict[str, Any], done: Callable[[Answer], None], deadline_us: int
    ) -> None:
        """
        Pass a read on to the terminal; ``done`` is called once.
        """


@dataclass(slots=True)
class Desk:
    """
    The common ground of a terminal's order path.

    ``publish(kind, record, utc_msc)`` tells ``trade/<alias>`` what became of a command.
    ``arrived`` holds what the journal and the terminal answered, until it is known what time
    it is; ``stirred``: something changed since the last look at what is open.
    """

    alias: str
    journal: Journal
    settings: TradingSettings
    view: TerminalView
    publish: Callable[[TradeKind, dict[str, Any], int], None]
    relay_epoch: int
    state: TradingState = TradingState.ACTIVE
    state_reason: str = ""
    session: TradeSession | None = None
    stirred: bool = True
    arrived: deque[Callable[[Moment], None]] = field(default_factory=deque)

    @property
    def netting(self) -> bool:
        """
        Whether a symbol has one position; also when that is not known.
        """
        return self.session is None or self.session.netting

    @property
    def account(self) -> Account | None:
        """
        The account of the session, ``None`` without one that trades.
        """
        session = self.session
        if session is None or not session.may_trade:
            return None
        return Account(session.login, session.server)

    def later(self, call: Callable[[JournalError | None, Moment], None]) -> Done:
        """
        Return a completion for the journal: ``call`` gets its error, and the time.
        """

        def done(error: JournalError | None) -> None:
            self.arrived.append(lambda now: call(error, now))

        return done

    def step(self, kind: LifeStep, now: Moment, **told: Any) -> Step:
        """
        Return a step in the life of a command; ``told`` are further fields of it.
        """
        return Step(kind.value, now.utc_msc, now.us, self.relay_epoch, **told)

    def note(self, name: str, kind: LifeStep, now: Moment, **told: Any) -> None:
        """
        Keep a step that changes nothing of what is known.
        """
        self.journal.note(name, self.step(kind, now, **told))

    def symbol_of(self, entry: Entry) -> str:
        """
        Return the symbol that a command concerns, ``""`` when it is not known.
        """
        request = entry.request
        if request is None:
            return ""
        return request.symbol or self.view.symbol_of(request.position or request.order or 0)
