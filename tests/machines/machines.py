"""All machines by name."""

from __future__ import annotations

import logging
import traceback
from typing import NamedTuple

from tests.machines.desk_machine import DeskMachine
from tests.machines.exchange_machine import ExchangeMachine
from tests.machines.journal_machine import JournalFileMachine, JournalMachine
from tests.machines.order_machine import OrderMachine
from tests.machines.running import Machine, many, run
from tests.machines.trade_stream_machine import TradeStreamMachine

__all__ = ["MACHINES", "Entry", "run_part"]


class Entry(NamedTuple):
    """
    A machine, and its share of the examples.
    """

    machine: type[Machine]
    share: float = 1.0


MACHINES = {
    "desk": Entry(DeskMachine),
    "exchange": Entry(ExchangeMachine),
    "orders": Entry(OrderMachine),
    "journal": Entry(JournalMachine),
    # What a file adds to the same machine does not depend on as many orders of calls.
    "journal-file": Entry(JournalFileMachine, share=0.05),
    "trade-stream": Entry(TradeStreamMachine),
}


def run_part(name, examples, seed):
    """
    Run a part of a machine's examples; return how many there were, and what failed.
    """
    logging.disable(logging.CRITICAL)
    try:
        return run(MACHINES[name].machine, many(examples), seed), ""
    except Exception:  # noqa: BLE001  # whatever it is, the part failed and says so
        return examples, traceback.format_exc()
