"""What a denial says, and where in MetaTrader a permission is given."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

from bridge.bus.orders import Reason
from bridge.bus.requests import Hop
from bridge.wire.spec import Permission

__all__ = ["PERMISSIONS", "Denial", "PermissionHelp"]


@dataclasses.dataclass(frozen=True, slots=True)
class Denial:
    """
    Why an order is not sent: a code for programs, a sentence and a hint for people.

    ``field`` is the request's field that is to blame, or ``""``. ``hop`` is where something
    has to change.
    """

    reason: Reason
    message: str
    hint: str = ""
    field: str = ""
    hop: Hop = Hop.RELAY


@dataclasses.dataclass(frozen=True, slots=True)
class PermissionHelp:
    """
    One permission flag: what it means that it is off, and where to click.
    """

    meaning: str
    where: str


#: In the order in which they are worth looking at: without a trade server MetaTrader
#: reports the account's flags as off, too.
#:
#: MQL5 page: runtime/tradepermission
PERMISSIONS: Final[Mapping[Permission, PermissionHelp]] = {
    Permission.TERMINAL_CONNECTED: PermissionHelp(
        "MetaTrader has no connection to the trade server",
        "click the connection bars in the lower right corner of MetaTrader, Rescan Servers; "
        "or File, Login to Trade Account",
    ),
    Permission.TERMINAL_TRADE_ALLOWED: PermissionHelp(
        "MetaTrader does not let programs trade",
        "click the button Algo Trading in the tool bar of MetaTrader, so that it turns green",
    ),
    Permission.MQL_TRADE_ALLOWED: PermissionHelp(
        "this EA is not allowed to trade",
        "right-click the chart of the EA, Expert List, Properties, tab Common: "
        "tick Allow Algo Trading",
    ),
    Permission.ACCOUNT_TRADE_ALLOWED: PermissionHelp(
        "the account may not trade: it was logged on with the investor password, "
        "it is archived, or the broker has switched trading off",
        "File, Login to Trade Account, with the main password and not the investor password; "
        "if that does not help, ask the broker",
    ),
    Permission.ACCOUNT_TRADE_EXPERT: PermissionHelp(
        "the broker does not let programs trade on this account",
        "ask the broker to allow Expert Advisors on this account",
    ),
}
