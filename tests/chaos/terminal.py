"""The Python terminal as a process that may be killed at any time: ``bridge.sim`` as it is.

``python -m tests.chaos.terminal OPTIONS``, which are JSON. Its ledger is in the folder, its broker
another process. Every line of its output is ``[event, monotonic time]``, event ``up`` or ``down``.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from bridge.sim.ledger import SqliteLedger
from bridge.sim.runner import TerminalThread, clock_us
from bridge.sim.terminal import TerminalCore
from tests.chaos.account import ACCOUNT, ALIAS
from tests.chaos.broker import make_rules
from tests.chaos.market import GridFeed, make_market
from tests.chaos.remote import RemoteBroker

__all__ = ["run"]


class _Teller:
    # Asked in every turn of the terminal's loop; never true, so it is asked for ever.

    def __init__(self, core: TerminalCore) -> None:
        self._core = core
        self._up = False

    def __call__(self) -> bool:
        if self._core.active is not self._up:
            self._up = self._core.active
            line = json.dumps(["up" if self._up else "down", time.monotonic()])
            os.write(1, f"{line}\n".encode())
        return False


def run(options: dict[str, Any]) -> None:
    """
    Be a terminal until killed.
    """
    offset_us = options["offset_us"]
    server_msc = (clock_us() + offset_us) // 1000
    market = make_market(server_msc)
    ledger = SqliteLedger(Path(options["folder"]) / "ledger.sqlite")
    core = TerminalCore(
        key=bytes.fromhex(options["key"]),
        key_id=ALIAS,
        account=ACCOUNT,
        market=market,
        incarnation=ledger.incarnation,
        connection_counter=ledger.connection_counter,
        commit_counter=ledger.commit_counter,
        seed=os.getpid(),
        exchange=RemoteBroker(options["broker"], make_rules(options["rules"]), offset_us),
        ledger=ledger,
    )
    core.utc_offset_min = 0
    feed: Any = GridFeed(market, server_msc, offset_us)
    terminal = TerminalThread(core, options["port"], feed=feed)
    terminal.start()
    told = threading.Thread(
        target=terminal.wait_for, args=(_Teller(core), threading.TIMEOUT_MAX), daemon=True
    )
    told.start()
    while True:
        try:
            terminal.join(3600.0)
        except TimeoutError:
            continue
        return


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
