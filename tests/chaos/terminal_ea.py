"""The Expert Advisor as a process that may be killed at any time; its broker is another process.

``python -m tests.chaos.terminal_ea OPTIONS``: as ``tests.chaos.terminal``, which it stands for. The
program is a child of this process and ends with it: a program without its terminal is gone at its
next call. The next one waits for that, as two terminals never share a folder.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bridge.model.trade import DealRecord, OrderRecord, TradeRequest, TradeResult
from bridge.sim.runner import clock_us
from tests.chaos.account import ACCOUNT, ALIAS
from tests.chaos.broker import make_rules
from tests.chaos.market import SYMBOLS, GridFeed, make_market
from tests.chaos.remote import RemoteBroker
from tests.mql5.feed import FeedThread
from tests.mql5.host import EaProcess
from tests.mql5.scenarios.expert import binary

if TYPE_CHECKING:
    from bridge.sim.exchange import Exchange
    from bridge.sim.exchange_rules import BrokerRules
    from bridge.sim.feed import Feed
    from bridge.sim.market import Market

__all__ = ["run"]

_SETTLES_S = 2.0
_LOOK_AGAIN_S = 0.001
_FETCH_US = 4_000
_OPEN_MAX = 10_000
#: What the program says when a session begins, and when one has ended.
_UP = "connected to "
_DOWN = ("disconnected: ", "not let in: ")


class _Sent:
    # What ``Exchange.order_send`` returns, of a broker that is asked.

    left = True
    request_id = 0

    def __init__(self, broker: _Broker, number: int, at_us: int) -> None:
        self._broker = broker
        self._number = number
        self.at_us = at_us
        self.result: TradeResult | None = None

    @property
    def known(self) -> bool:
        return self._number not in self._broker.open


class _Broker(RemoteBroker):
    # As the Expert Advisor's terminal wants an exchange.

    def __init__(self, port: int, rules: BrokerRules, offset_us: int, market: Market) -> None:
        self.market = market
        self.now_us = 0
        self.open: dict[int, Any] = {}
        super().__init__(port, rules, offset_us)
        self.open = cast("dict[int, Any]", self._sent)

    def next_deadline(self) -> int:
        return self.now_us + _FETCH_US

    def advance(self, now_us: int) -> None:
        self.now_us = max(self.now_us, now_us)
        super().advance(now_us)
        # Whoever waits for an answer waits for its end: the broker's clock may be behind.
        until = time.monotonic() + _SETTLES_S
        while any(one.at_us <= now_us for one in self._sent.values()):
            if time.monotonic() > until:
                raise ConnectionError("the broker does not end a request")
            time.sleep(_LOOK_AGAIN_S)
            super().advance(now_us)

    def history_order(self, ticket: int) -> OrderRecord | None:
        return self._history.get(ticket)

    def history_deal(self, ticket: int) -> DealRecord | None:
        return self._deals.get(ticket)

    def order_send(self, request: TradeRequest, now_us: int) -> Any:
        sending = super().order_send(request, now_us)
        (number,) = [key for key, value in self._sent.items() if value is sending]
        sent = _Sent(self, number, sending.at_us)
        self._sent[number] = cast("Any", sent)
        return sent


class _Feed(GridFeed):
    # As ``FeedThread`` wants it.

    symbols = SYMBOLS
    played = 0


def _say(event: str) -> None:
    os.write(1, f"{json.dumps([event, time.monotonic()])}\n".encode())


class _Teller:
    # Told of every line that the program says.

    def __init__(self) -> None:
        self._up = False

    def __call__(self, event: dict[str, Any]) -> None:
        text = str(event.get("text", ""))
        if event.get("event") == "comment":
            return
        if _UP in text and not self._up:
            self._up = True
            _say("up")
        elif self._up and any(word in text for word in _DOWN):
            self._up = False
            _say("down")


def _wait_for_the_last_one(note: Path) -> None:
    # One whose host was killed ends at its next call.
    try:
        place = Path(f"/proc/{int(note.read_text())}")
    except (OSError, ValueError):
        return
    while place.exists() and "Z" not in place.joinpath("stat").read_text().split(")")[1][:3]:
        time.sleep(_LOOK_AGAIN_S)


def run(options: dict[str, Any]) -> None:
    """
    Be a terminal until killed.
    """
    folder = Path(options["folder"]) / "terminal"
    note = Path(options["folder"]) / "terminal.pid"
    _wait_for_the_last_one(note)
    offset_us = options["offset_us"]
    server_msc = (clock_us() + offset_us) // 1000
    market = make_market(server_msc)
    broker = _Broker(options["broker"], make_rules(options["rules"]), offset_us, market)
    ea = EaProcess(
        binary("plain"),
        exchange=cast("Exchange", broker),
        account=ACCOUNT,
        inputs={
            "InpAlias": ALIAS,
            "InpKey": options["key"],
            "InpRelayPort": options["port"],
            "InpDemoOnly": False,
        },
        options={"socket_mode": "close_readable_1_read_minus_1"},
        folder=folder,
        symbol=SYMBOLS[0],
        now_us=clock_us(),
    )
    # Hundreds are open in the end, and the program looks at all of them: one by one they would cost
    # a message each.
    ea.broker.trade.few = _OPEN_MAX
    ea.on_event = _Teller()
    with ea:
        note.write_text(str(ea.pid))
        with FeedThread(ea, cast("Feed", _Feed(market, server_msc, offset_us))):
            while ea.running:
                threading.Event().wait(1.0)
        raise AssertionError(f"the program has ended: {ea.crash}")


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
