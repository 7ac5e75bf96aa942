"""The Expert Advisor as the terminal of a scenario."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import cast, get_args

from bridge.model.tick import MqlTick
from bridge.sim.market import Market
from bridge.sim.terminal import Account
from tests.mql5 import building
from tests.mql5.host import EaProcess, ExitCode
from tests.mql5.scenarios.world import ACCOUNT, ALIAS, World

__all__ = ["LIMIT_INPUTS", "SOURCE", "ExpertTerminal", "binary", "why_not"]

ROOT = Path(__file__).resolve().parents[3]
SOURCE = ROOT / "mql5" / "Experts" / "Bridge.mq5"
#: its input for each field of ``TradingLimits``
LIMIT_INPUTS = {
    "read_only": "InpReadOnly",
    "demo_only": "InpDemoOnly",
    "symbols": "InpSymbols",
    "max_volume": "InpMaxVolume",
    "max_positions": "InpMaxPositions",
    "max_per_minute": "InpMaxPerMinute",
}


def why_not() -> str:
    """
    Return why the Expert Advisor cannot be executed here, or ``""``.
    """
    if shutil.which("g++") is None:
        return "g++ is not installed (Debian: apt-get install g++ libsqlite3-dev)"
    if not Path("/usr/include/sqlite3.h").exists():
        return "sqlite3.h is not installed (Debian: apt-get install libsqlite3-dev)"
    return ""


def binary(mode: building.Mode = "asan") -> Path:
    """
    Return the Expert Advisor's program: built now, or from the cache.

    ``mode``: asan finds most, plain is what the figures are of. ``BRIDGE_EA_BUILD`` says
    otherwise for all tests.
    """
    said = os.environ.get("BRIDGE_EA_BUILD", mode)
    if said not in get_args(building.Mode):
        raise ValueError(f"BRIDGE_EA_BUILD is {said!r}: expected {get_args(building.Mode)}")
    return building.build(SOURCE, mode=cast("building.Mode", said))


class ExpertTerminal:
    """
    ``mql5/Experts/Bridge.mq5``, translated and running.

    Its files stay in the world's folder: a second one of the same world is the same terminal
    after a restart.
    """

    is_ea = True

    def __init__(
        self,
        world: World,
        key: bytes,
        *,
        binary: Path,
        seed: int = 1,
        account: Account = ACCOUNT,
        market_only: bool = False,
    ) -> None:
        self.process = EaProcess(
            binary,
            market=world.market,
            account=account,
            inputs={
                "InpAlias": ALIAS,
                "InpKey": key.hex(),
                "InpRelayPort": world.link.port,
                "InpMarketOnly": market_only,
                **world.inputs,
            },
            options={**world.mode.options(seed), **world.options},
            folder=world.folder / "terminal",
        )

    def start(self) -> None:
        self.process.start()

    def stop(self) -> None:
        process = self.process
        try:
            if process.running:
                process.deinit()
        finally:
            process.close()

        assert process.exit_code in {ExitCode.ENDED, ExitCode.INIT_FAILED}, process.crash
        assert "" == process.crash

    def change(self, change: Callable[[Market], object]) -> None:
        with self.process.lock:
            change(self.process.broker.market)

    def tick(self, symbol: str, ticks: list[MqlTick]) -> None:
        self.process.quote(symbol, *ticks)

    def set_account(self, account: Account) -> None:
        self.process.set_account(account)
        # MetaTrader loads it anew: another process of the same terminal.
        self.process.reinit(6)

    def set_connected(self, connected: bool) -> None:
        if connected:
            self.process.reconnect_trade_server()
        else:
            self.process.disconnect_trade_server()

    def said(self) -> str:
        process = self.process
        lines = "\n".join(process.said()[-20:])
        return (
            f"comment {process.comment!r}, exit code {process.exit_code}\n{lines}\n{process.crash}"
        )
