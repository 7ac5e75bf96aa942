"""The one account of a chaos run."""

from __future__ import annotations

from bridge.model.enums import AccountMarginMode
from bridge.sim.account import Account

__all__ = ["ACCOUNT", "ALIAS", "BALANCE", "CLIENT_ID"]

ALIAS = "demo"
CLIENT_ID = "chaos"
BALANCE = 10_000_000.0
ACCOUNT = Account(login=1001, server="Demo-Server", margin_mode=AccountMarginMode.RETAIL_HEDGING)
