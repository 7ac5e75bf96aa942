"""How a simulated broker behaves: what it allows, charges, delays, refuses and loses.

Every rule is off by default: requests are executed at once, in full, free of charge, and
everything is visible at once.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping
from typing import Final

from bridge.model.enums import TradeRetcode

__all__ = ["NO_DELAY", "BrokerRules", "CommentMode", "MarginRatios"]

#: A range of delays that is none.
NO_DELAY: Final = (0, 0)

_RANGES: Final = ("execution_ms", "fill_ms", "reply_ms", "visibility_ms", "state_delay_ms")
_ODDS: Final = (
    "requote",
    "reject",
    "partial",
    "lose_request",
    "lose_reply",
    "late_reply",
)
_NOT_NEGATIVE: Final = (
    "max_orders",
    "max_positions",
    "max_requests_per_s",
    "late_reply_ms",
    "reply_timeout_ms",
    "slippage_points",
    "commission_per_lot",
    "fee_per_lot",
)


class CommentMode(enum.StrEnum):
    """
    What the broker does to the comments of orders; ``truncate`` leaves ten characters.
    """

    KEEP = "keep"
    DROP = "drop"
    TRUNCATE = "truncate"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MarginRatios:
    """
    Margin ratios of a symbol by kind of order (``SymbolInfoMarginRate``); 0 charges nothing.

    MQL5 page: marketinformation/symbolinfomarginrate
    """

    buy: float = 1.0
    sell: float = 1.0
    pending: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BrokerRules:
    """
    The rules of one broker; assign others to ``Exchange.rules`` to change them.

    Probabilities are from 0 to 1, drawn for each request. Ranges ``(low, high)`` are
    milliseconds, drawn evenly. Limits of 0 are none. Money is in the deposit's currency.

    ``connected``: the terminal reaches the trade server; without it the broker goes on trading,
    and the terminal sees nothing. What happened meanwhile shows afterwards, but its transactions
    are lost.

    Time: ``execution_ms`` from sending to the server's work, ``fill_ms`` from a market order's
    acceptance to its fill (then the answer is PLACED, and the deal comes later), ``reply_ms``
    from the work to the answer, ``visibility_ms`` until deals and closed orders show in the
    terminal's history, ``state_delay_ms`` until positions and open orders do. With
    ``late_reply`` an answer takes ``late_reply_ms`` longer. ``lose_request``: nothing arrives;
    ``lose_reply``: it is executed and the answer is lost. In both the caller is blocked for
    ``reply_timeout_ms``.

    Refusals: ``requote`` in the modes that can (REQUEST and INSTANT), ``reject`` of any request,
    ``partial``: only a part of the volume is there.

    Charges: ``commission_per_lot`` and ``fee_per_lot`` for each deal, as positive numbers.
    ``slippage_points``: most points that a market execution is worse than the quote.

    Raises:
        ValueError: a probability, range or limit is out of range.
    """

    connected: bool = True
    #: AutoTrading is switched off in the terminal
    client_disables_at: bool = False
    #: the broker lets no program trade
    server_disables_at: bool = False
    #: nobody trades on this account (investor password, closed account)
    trade_disabled: bool = False
    #: only accounts with real money may trade
    only_real: bool = False
    #: hedging accounts may not hold both sides of a symbol
    hedge_prohibited: bool = False
    #: symbols outside of their trading session
    market_closed: frozenset[str] = frozenset()
    #: symbols without quotes to trade at
    no_quotes: frozenset[str] = frozenset()

    max_orders: int = 0
    max_positions: int = 0
    max_requests_per_s: int = 0

    execution_ms: tuple[int, int] = NO_DELAY
    fill_ms: tuple[int, int] = NO_DELAY
    reply_ms: tuple[int, int] = NO_DELAY
    visibility_ms: tuple[int, int] = NO_DELAY
    state_delay_ms: tuple[int, int] = NO_DELAY

    requote: float = 0.0
    reject: float = 0.0
    partial: float = 0.0
    lose_request: float = 0.0
    lose_reply: float = 0.0
    late_reply: float = 0.0
    late_reply_ms: int = 30_000
    reply_timeout_ms: int = 60_000

    slippage_points: int = 0
    commission_per_lot: float = 0.0
    fee_per_lot: float = 0.0
    #: positions held over midnight of the server are charged by the symbol's swap
    swap: bool = True
    margin_ratios: Mapping[str, MarginRatios] = dataclasses.field(default_factory=dict)
    comment: CommentMode = CommentMode.KEEP
    #: transactions that become known together come in any order
    shuffle_transactions: bool = False
    #: what answers an accepted pending order: servers differ
    pending_retcode: TradeRetcode = TradeRetcode.PLACED

    def __post_init__(self) -> None:
        for name in _ODDS:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} {getattr(self, name)}: expected 0 to 1")
        for name in _RANGES:
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise ValueError(f"{name} {(low, high)}: expected 0 <= low <= high")
        for name in _NOT_NEGATIVE:
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} {value}: expected 0 or more")
        if self.pending_retcode not in {TradeRetcode.PLACED, TradeRetcode.DONE}:
            raise ValueError(f"pending_retcode {self.pending_retcode!r}: expected PLACED or DONE")

    def ratios_of(self, symbol: str) -> MarginRatios:
        """
        Return the margin ratios of a symbol.
        """
        return self.margin_ratios.get(symbol, _DEFAULT_RATIOS)

    def rewritten(self, comment: str) -> str:
        """
        Return what the broker makes of an order's comment.
        """
        if self.comment is CommentMode.DROP:
            return ""
        limit = _TRUNCATED if self.comment is CommentMode.TRUNCATE else _COMMENT_MAX
        return comment[:limit]


_DEFAULT_RATIOS: Final = MarginRatios()
#: MetaTrader's own limit of a comment, and what a broker that truncates leaves.
_COMMENT_MAX: Final = 31
_TRUNCATED: Final = 10
