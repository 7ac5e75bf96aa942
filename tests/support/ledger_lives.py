"""Lives of a terminal's ledger, each ended by SIGKILL. Run as a module it is the program.

``python -m tests.support.ledger_lives FOLDER SEED``: each line that it prints is of a write that
has returned: what it names is on the disk.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from bridge.model.trade import TradeRequest
from bridge.sim.ledger import LedgerEntry, SqliteLedger
from bridge.sim.trading_ports import Moment
from bridge.sim.trading_results import ResultMaker
from bridge.wire.spec import OrderOutcome, Permission, TradingState
from tests.support.desk_bench import buy
from tests.support.processes import ROOT, environment

__all__ = ["LedgerLives"]

_FILE = "ledger.sqlite"


class LedgerLives:
    """
    What the killed programs said, and whether the ledger still knows.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries: dict[str, str] = {}
        self._said: dict[str, int] = {}

    def live_and_die(self, seed: int, lines: int) -> None:
        """
        Let a program live for so many lines, and kill it.
        """
        with subprocess.Popen(
            [sys.executable, "-m", "tests.support.ledger_lives", str(self.folder), str(seed)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(self.folder),
            cwd=ROOT,
        ) as child:
            assert child.stdout is not None
            said = [child.stdout.readline() for _ in range(lines)]
            child.send_signal(signal.SIGKILL)
            rest, error = child.communicate(timeout=60)
        assert error == b""
        # The last line may be cut: it was said to nobody.
        for line in [*said, *rest.splitlines(keepends=True)]:
            if line.endswith(b"\n"):
                word, name, value = line.decode().split()
                if word == "entry":
                    self.entries[name] = value
                else:
                    self._said[name] = int(value)

    def missing(self) -> list[str]:
        """
        Return what was said and is not in the ledger.
        """
        with contextlib.closing(SqliteLedger(self.folder / _FILE)) as ledger:
            missing = [
                name
                for name, outcome in self.entries.items()
                if (entry := ledger.find(name)) is None
                or (outcome == "DONE" and entry.outcome is not OrderOutcome.DONE)
                or ledger.find_tag(f"zb1:{name}") is None
            ]
            for name, value in self._said.items():
                if getattr(ledger, name) < value:
                    missing.append(name)
        return missing


def _live(folder: Path, seed: int) -> None:
    rng = random.Random(seed)
    ledger = SqliteLedger(folder / _FILE)
    make = ResultMaker(ledger.incarnation).make
    moment = Moment(0, 1_700_000_000_000, 120, Permission(31), 0)
    number = 0
    while True:
        number += 1
        name = f"life-{seed}/{number}"
        entry = LedgerEntry(
            command_id=name,
            tag=f"zb1:{name}",
            flags=0,
            request=buy(0.1),
            sent=TradeRequest(action=1, symbol="EURUSD", volume=0.1),
            intent_msc=number,
        )
        ledger.write(entry)
        os.write(1, f"entry {name} INTENT\n".encode())
        if rng.random() < 0.6:
            ledger.write(entry.with_result(make(name, OrderOutcome.DONE, moment, order=number)))
            os.write(1, f"entry {name} DONE\n".encode())
        if rng.random() < 0.2:
            counter = ledger.connection_counter + 1
            ledger.commit_counter(counter)
            os.write(1, f"said connection_counter {counter}\n".encode())
        if rng.random() < 0.1:
            epoch = ledger.relay_epoch_seen + 1
            ledger.commit_epoch(epoch)
            ledger.commit_state(rng.choice(list(TradingState)))
            os.write(1, f"said relay_epoch_seen {epoch}\n".encode())


if __name__ == "__main__":
    _live(Path(sys.argv[1]), int(sys.argv[2]))
