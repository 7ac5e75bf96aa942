"""The rules, in the order in which they are tried: the first that fails is the answer.

The order goes from what stops everything to what stops one order, so that the answer names
what has to be changed first. The tables of ``docs/reference/policy.md`` are made from
``RULES``; after a change run ``make docs``.

Rule 1: what is not known counts as the worst; a comparison with NaN denies.
Rule 2: no limit holds back a close or a cancel. Only what makes one impossible does, and
what would let it open the reverse.
Rule 3: an administrator passes the trading state and nothing else.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from typing import Final

from bridge.bus.orders import Reason
from bridge.bus.requests import Hop
from bridge.policy.proposal import Context, Proposal
from bridge.policy.reasons import PERMISSIONS, Denial
from bridge.wire.spec import Permission, TradingState

__all__ = ["COMMANDS_WAITING_MAX", "RULES", "Rule", "Scope"]

#: Behind so many commands an order would hardly be sent before its deadline: one OrderSend
#: takes about 0.1 s, the default deadline is 5 s.
COMMANDS_WAITING_MAX: Final = 64
#: 0.1 + 0.2 is not above 0.3; the smallest volume step of any broker is far larger.
_VOLUME_TOLERANCE: Final = 1e-9
#: How far the trade server's clock may be ahead of this machine's before no age can be told.
_CLOCKS_MS: Final = 5_000


class Scope(enum.StrEnum):
    """
    Which proposals a rule looks at.
    """

    EVERYTHING = "everything"
    OPENINGS = "new deals and pending orders"
    OPENINGS_AND_CHANGES = "new deals, pending orders, modifications"
    CLOSES = "closes"

    def covers(self, proposal: Proposal) -> bool:
        """
        Return whether a rule of this scope looks at the proposal.
        """
        match self:
            case Scope.OPENINGS:
                return proposal.opens
            case Scope.OPENINGS_AND_CHANGES:
                return not proposal.reduces
            case Scope.CLOSES:
                return proposal.closes
            case _:
                return True


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """
    One rule: the reason of its denials, what it looks at, and when it denies, in words.

    ``check`` is called only for what ``scope`` covers.
    """

    reason: Reason
    scope: Scope
    denies: str
    setting: str
    check: Callable[[Proposal, Context], Denial | None]


def _section(context: Context) -> str:
    return f"[terminals.{context.alias or '<alias>'}.trading]"


def _name(context: Context) -> str:
    return f"terminal {context.alias}" if context.alias else "the terminal"


def _enabled(_: Proposal, context: Context) -> Denial | None:
    if context.settings.enabled:
        return None
    return Denial(
        Reason.TRADING_DISABLED,
        f"trading is not enabled for {_name(context)}",
        hint=f"set enabled = true in {_section(context)} and start the relay anew",
    )


def _not_halted(proposal: Proposal, context: Context) -> Denial | None:
    # A state that is not known is HALTED, as the wire protocol says.
    if proposal.admin or context.state in {TradingState.ACTIVE, TradingState.REDUCING}:
        return None
    return Denial(
        Reason.HALTED,
        f"{_name(context)} is halted{_because(context)}",
        hint="see why before 'bridge resume'",
    )


def _not_reducing(proposal: Proposal, context: Context) -> Denial | None:
    if proposal.admin or context.state != TradingState.REDUCING:
        return None
    return Denial(
        Reason.REDUCING,
        f"{_name(context)} only closes, cancels and modifies{_because(context)}",
        hint="see why before 'bridge resume'",
    )


def _because(context: Context) -> str:
    return f": {context.state_reason}" if context.state_reason else ""


def _journal_writes(proposal: Proposal, context: Context) -> Denial | None:
    if not context.journal_problem or (context.journal_writable and proposal.reduces):
        return None
    return Denial(
        Reason.JOURNAL,
        f"the journal cannot be written: {context.journal_problem}",
        hint="'bridge status' says what to do, 'bridge journal check' what is wrong",
    )


def _terminal_there(_: Proposal, context: Context) -> Denial | None:
    if context.terminal_connected:
        return None
    return Denial(
        Reason.TERMINAL_AWAY,
        f"{_name(context)} is not connected to the relay",
        hint="is MetaTrader running, with the EA on a chart? It connects again by itself",
        hop=Hop.TERMINAL,
    )


def _role_trades(_: Proposal, context: Context) -> Denial | None:
    if context.terminal_trades:
        return None
    return Denial(
        Reason.ROLE,
        f"{_name(context)} is connected only to read",
        hint="use an EA and a role that trade",
        hop=Hop.TERMINAL,
    )


def _trade_server_there(_: Proposal, context: Context) -> Denial | None:
    if Permission.TERMINAL_CONNECTED in context.permissions:
        return None
    return _missing(Reason.NOT_CONNECTED, [Permission.TERMINAL_CONNECTED])


def _permitted(_: Proposal, context: Context) -> Denial | None:
    off = [flag for flag in PERMISSIONS if flag not in context.permissions]
    return _missing(Reason.NOT_PERMITTED, off) if off else None


def _missing(reason: Reason, off: list[Permission]) -> Denial:
    return Denial(
        reason,
        "; ".join(f"{flag.name} is off: {PERMISSIONS[flag].meaning}" for flag in off),
        hint="; then ".join(PERMISSIONS[flag].where for flag in off),
        hop=Hop.TERMINAL,
    )


def _not_too_many_waiting(_: Proposal, context: Context) -> Denial | None:
    if context.commands_waiting < COMMANDS_WAITING_MAX:
        return None
    return Denial(
        Reason.TERMINAL_BUSY,
        f"{context.commands_waiting} commands wait for {_name(context)} already",
        hint="send more slowly; closes and cancels still pass",
        hop=Hop.TERMINAL,
    )


def _symbol_allowed(proposal: Proposal, context: Context) -> Denial | None:
    allowed = context.settings.symbols
    # A modification names a ticket; its symbol may not be known, and it opens nothing.
    if not allowed or proposal.symbol in allowed or (proposal.changes and not proposal.symbol):
        return None
    return Denial(
        Reason.SYMBOL_NOT_ALLOWED,
        f"{proposal.symbol or 'this symbol'} is not in the list of symbols that may be traded",
        hint=f"symbols in {_section(context)} is exact: the broker's suffix belongs to the name",
        field="params.symbol" if proposal.opens else "",
    )


def _volume_small_enough(proposal: Proposal, context: Context) -> Denial | None:
    most = context.settings.max_volume
    if not most:
        return None
    volume = proposal.volume
    # "not <=", because NaN is neither above nor below.
    if volume is not None and volume <= most * (1 + _VOLUME_TOLERANCE):
        return None
    told = "no volume is given" if volume is None else f"the volume is {volume:g} lots"
    return Denial(
        Reason.VOLUME_LIMIT,
        f"{told}, at most {most:g} are allowed",
        hint=f"max_volume in {_section(context)}",
        field="params.volume",
    )


def _positions_left(proposal: Proposal, context: Context) -> Denial | None:
    most = context.settings.max_open_positions
    if not most:
        return None
    if context.netting and proposal.symbol in context.open_symbols:
        # The symbol has its one position, or an order that will open it.
        return None
    count = context.open_positions
    if count is not None and count < most:
        return None
    told = (
        "it is not known how many positions are open"
        if count is None
        else (f"{count} positions are open or may still be opened by orders")
    )
    return Denial(
        Reason.POSITION_LIMIT,
        f"{told}, at most {most} are allowed",
        hint=f"max_open_positions in {_section(context)}",
    )


def _rate_low_enough(_: Proposal, context: Context) -> Denial | None:
    most = context.settings.max_orders_per_minute
    if not most or context.orders_last_minute < most:
        return None
    return Denial(
        Reason.RATE_LIMIT,
        f"{context.orders_last_minute} orders in the last 60 s, at most {most} are allowed",
        hint=f"wait, or raise max_orders_per_minute in {_section(context)}",
    )


def _price_fresh(proposal: Proposal, context: Context) -> Denial | None:
    most = context.settings.max_price_age_ms
    if not most:
        return None
    age = context.price_age_ms
    if age is not None and -_CLOCKS_MS <= age <= most:
        return None
    symbol = proposal.symbol or "the symbol"
    if age is not None and age < 0:
        return Denial(
            Reason.STALE_PRICE,
            f"the last tick of {symbol} is {-age} ms ahead of this machine's clock, so its age "
            "cannot be told",
            hint="set the clock of this machine, by NTP; utc_offset_min in 'bridge status' is what "
            "the terminal says of the trade server's",
            field="params.symbol",
        )
    told = (
        f"no tick of {symbol} has come"
        if age is None
        else (f"the last tick of {symbol} is {age} ms old")
    )
    return Denial(
        Reason.STALE_PRICE,
        f"{told}, it may be {most} ms old",
        hint=f"subscribe to tick/{context.alias or '<alias>'}/{symbol}; is the market open? "
        f"max_price_age_ms in {_section(context)}",
        field="params.symbol",
    )


def _nothing_unresolved(proposal: Proposal, context: Context) -> Denial | None:
    if not context.netting or not context.unresolved:
        return None
    symbol = proposal.symbol
    if symbol and not {symbol, ""} & context.unresolved:
        return None
    return Denial(
        Reason.UNRESOLVED,
        f"the outcome of an earlier order of {symbol or 'a symbol'} is not known yet, "
        "and this close could open the reverse",
        hint="wait until order_status tells its outcome, then send this again; "
        "if it stays UNKNOWN: 'bridge order resolve'",
    )


#: Every rule, in the order in which they are tried.
RULES: Final[tuple[Rule, ...]] = (
    Rule(
        Reason.TRADING_DISABLED,
        Scope.EVERYTHING,
        "trading is not enabled in the configuration",
        "enabled",
        _enabled,
    ),
    Rule(
        Reason.HALTED,
        Scope.EVERYTHING,
        "the terminal is HALTED, unless an administrator asks",
        "",
        _not_halted,
    ),
    Rule(
        Reason.REDUCING,
        Scope.OPENINGS,
        "the terminal is REDUCING, unless an administrator asks",
        "",
        _not_reducing,
    ),
    Rule(
        Reason.JOURNAL,
        Scope.EVERYTHING,
        "the journal cannot be written or is in doubt; on a full disk closes and cancels pass "
        "while the room kept for them lasts",
        "",
        _journal_writes,
    ),
    Rule(
        Reason.TERMINAL_AWAY,
        Scope.EVERYTHING,
        "the terminal is not connected to the relay",
        "",
        _terminal_there,
    ),
    Rule(
        Reason.ROLE,
        Scope.EVERYTHING,
        "the terminal's session does not trade",
        "",
        _role_trades,
    ),
    Rule(
        Reason.NOT_CONNECTED,
        Scope.EVERYTHING,
        "the terminal has no trade server",
        "",
        _trade_server_there,
    ),
    Rule(
        Reason.NOT_PERMITTED,
        Scope.EVERYTHING,
        "one of MetaTrader's permission flags is off",
        "",
        _permitted,
    ),
    Rule(
        Reason.UNRESOLVED,
        Scope.CLOSES,
        "in netting, an order of the symbol is unresolved: a second close could open the reverse",
        "",
        _nothing_unresolved,
    ),
    Rule(
        Reason.TERMINAL_BUSY,
        Scope.OPENINGS_AND_CHANGES,
        f"{COMMANDS_WAITING_MAX} commands wait for the terminal",
        "",
        _not_too_many_waiting,
    ),
    Rule(
        Reason.SYMBOL_NOT_ALLOWED,
        Scope.OPENINGS_AND_CHANGES,
        "there is a list of symbols, and the symbol is not in it",
        "symbols",
        _symbol_allowed,
    ),
    Rule(
        Reason.VOLUME_LIMIT,
        Scope.OPENINGS,
        "the volume is above the limit",
        "max_volume",
        _volume_small_enough,
    ),
    Rule(
        Reason.POSITION_LIMIT,
        Scope.OPENINGS,
        "as many positions are open as may be; pending orders and orders under way count, and in "
        "netting a symbol counts once",
        "max_open_positions",
        _positions_left,
    ),
    Rule(
        Reason.STALE_PRICE,
        Scope.OPENINGS,
        "the symbol's newest tick is too old, or none has come",
        "max_price_age_ms",
        _price_fresh,
    ),
    Rule(
        Reason.RATE_LIMIT,
        Scope.OPENINGS_AND_CHANGES,
        "as many orders were sent in the last 60 s as may be; closes and cancels count",
        "max_orders_per_minute",
        _rate_low_enough,
    ),
)
