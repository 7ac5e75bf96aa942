"""Programs/Trader.mq5 at a simulated broker: started, told what to do, and heard."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.mql5 import building
from tests.mql5.host import EaProcess
from tests.support.exchange_bench import START_MSC, ExchangeBench

__all__ = [
    "BUY",
    "LIMIT",
    "SELL",
    "START_S",
    "Trader",
    "build",
    "one",
    "order",
    "starting",
    "value_of",
]

START_S = START_MSC // 1000
BUY = "action=1 symbol=EURUSD volume=0.5 type=0"
SELL = "action=1 symbol=EURUSD volume=0.5 type=1"
LIMIT = "action=5 symbol=EURUSD volume=0.5 type=2 price=1.05 filling=2"
_SOURCE = Path(__file__).with_name("programs") / "Trader.mq5"

#: ``begin(bench=None, clock="virtual", options=None, folder="", **inputs)``
Trader = Callable[..., EaProcess]


def build() -> Path:
    """
    Return the program, with the sanitizers in it.
    """
    return building.build(_SOURCE, mode="asan")


def starting(program: Path, folder: Path) -> Iterator[Trader]:
    """
    Give a fixture what starts the program: as often as it takes, and all end with the test.
    """
    running: list[EaProcess] = []

    def begin(
        bench: ExchangeBench | None = None,
        *,
        clock: str = "virtual",
        options: dict[str, Any] | None = None,
        name: str = "",
        **inputs: Any,
    ) -> EaProcess:
        if bench is None:
            bench = ExchangeBench()
        ea = EaProcess(
            program,
            exchange=bench.exchange,
            symbol="EURUSD",
            inputs=inputs,
            options=options,
            clock=clock,
            folder=folder / (name or str(len(running))),
        )
        running.append(ea)
        ea.start()
        return ea

    yield begin
    for ea in running:
        ea.close()


def order(ea: EaProcess, text: str, number: int = 0) -> list[str]:
    """
    Let the program do something, and all the time that it takes; return what it printed.
    """
    before = len(ea.said())
    ea.chart_event(1, number, 0.0, text)
    ea.wait_for(lambda: len(ea.said()) > before, within_s=200)
    ea.settle()
    return ea.said()[before:]


def one(ea: EaProcess, text: str, number: int = 0) -> str:
    """
    The same, for the one line that is printed.
    """
    (line,) = order(ea, text, number)
    return line


def value_of(line: str, name: str) -> str:
    """
    Return the word behind a name in a line.
    """
    found = re.search(rf"\b{name} (\S+)", line)
    assert found is not None, line
    return found[1]
