"""The account of a simulated terminal: as HELLO tells it, and as its broker begins with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bridge.model.enums import AccountMarginMode, AccountTradeMode
from bridge.model.trade import AccountRecord

__all__ = ["BALANCE", "Account", "account_record"]

#: What an account begins with.
BALANCE: Final = 10_000.0
#: Percent of margin level: a call to add money, and the end of the largest loss.
_MARGIN_CALL: Final = 100.0
_STOP_OUT: Final = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """
    The account that is logged on in the terminal; ``login`` 0 means none.
    """

    login: int
    server: str
    company: str = "Simulated Broker"
    currency: str = "USD"
    leverage: int = 100
    margin_mode: AccountMarginMode = AccountMarginMode.RETAIL_HEDGING
    trade_mode: AccountTradeMode = AccountTradeMode.DEMO


def account_record(account: Account, balance: float = BALANCE) -> AccountRecord:
    """
    Return the same account as a broker has it at its beginning.
    """
    return AccountRecord(
        login=account.login,
        trade_mode=int(account.trade_mode),
        leverage=account.leverage,
        margin_mode=int(account.margin_mode),
        balance=balance,
        equity=balance,
        margin_free=balance,
        margin_so_call=_MARGIN_CALL,
        margin_so_so=_STOP_OUT,
        name="Simulated Trader",
        server=account.server,
        currency=account.currency,
        company=account.company,
    )
