"""A terminal that trades, with its broker: in a thread, or as a process that can be killed.

The broker is another machine in life. In a process of its own terminal it writes its books to a
file whenever something happens (``KeptExchange``), so it survives a kill as a broker would; what
was due while nobody ran it happens when it runs again.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import zmq

from bridge.model.enums import AccountMarginMode
from bridge.model.tick import MqlTick
from bridge.model.trade import order_tag
from bridge.sim.account import Account, account_record
from bridge.sim.brokerfile import KeptExchange
from bridge.sim.exchange import Exchange
from bridge.sim.exchange_rules import BrokerRules
from bridge.sim.ledger import Ledger, SqliteLedger
from bridge.sim.market import Market
from bridge.sim.runner import TerminalThread, clock_us
from bridge.sim.terminal import TerminalCore
from tests.support.relay import port_of
from tests.support.subscriber import Asker
from tests.support.terminal import make_market

DEADLINE_S = 20.0
LOGIN = 1001
SERVER = "Demo-Server"
BID, ASK = 1.1, 1.1002
BUY = {"action": "DEAL", "symbol": "EURUSD", "volume": 0.1, "type": "BUY"}
TRADES = {"demo": {"trading": {"enabled": True, "settle_ms": 500}}}


def make_account(*, netting: bool = False) -> Account:
    mode = AccountMarginMode.RETAIL_NETTING if netting else AccountMarginMode.RETAIL_HEDGING
    return Account(login=LOGIN, server=SERVER, margin_mode=mode)


def _priced_market() -> tuple[Market, int]:
    market = make_market("EURUSD", "GBPUSD")
    now_msc = time.time_ns() // 1_000_000
    for symbol in ("EURUSD", "GBPUSD"):
        market.history.append(symbol, MqlTick(now_msc, BID, ASK))
    return market, now_msc * 1000 - clock_us()


class TradingThread:
    """
    A terminal in a thread of the test's process; its broker is ``exchange``.

    ``stop`` and ``start`` are a terminal that is closed and opened: the ledger stays.
    """

    def __init__(
        self, endpoint: str, key: bytes, folder: Path, *, netting: bool = False, **rules: Any
    ) -> None:
        self._endpoint = endpoint
        self._key = key
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._account = make_account(netting=netting)
        self._market, offset_us = _priced_market()
        self.exchange = Exchange(
            self._market,
            account=account_record(self._account, 100_000.0),
            rules=BrokerRules(**rules),
            server_clock_offset_us=offset_us,
        )
        self._thread: TerminalThread | None = None
        self._ledger: Ledger | None = None

    def rule(self, **changes: Any) -> None:
        """
        Let the broker behave otherwise from now on.
        """
        self.exchange.rules = dataclasses.replace(self.exchange.rules, **changes)

    def quote(self, bid: float, ask: float, symbol: str = "EURUSD") -> None:
        """
        Let the price move.
        """
        now_msc = time.time_ns() // 1_000_000
        self._market.history.append(symbol, MqlTick(now_msc, bid, ask))

    def start(self) -> Self:
        ledger = SqliteLedger(self._folder / "ledger.sqlite")
        core = TerminalCore(
            key=self._key,
            key_id="demo",
            account=self._account,
            market=self._market,
            incarnation=ledger.incarnation,
            connection_counter=ledger.connection_counter,
            commit_counter=ledger.commit_counter,
            exchange=self.exchange,
            ledger=ledger,
        )
        self._ledger = ledger
        self._thread = TerminalThread(core, port_of(self._endpoint))
        self._thread.start()
        return self

    def stop(self, *, abruptly: bool = False) -> None:
        if self._thread is not None:
            self._thread.stop(abruptly=abruptly)
            self._thread.join()
            self._thread = None
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    def executions(self, command_id: str) -> int:
        """
        Return how often the broker executed a command.
        """
        return self.exchange.ledger().executions_of(order_tag(command_id))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class Trader:
    """
    A strategy: a DEALER with a client id.
    """

    def __init__(self, endpoint: str, client_id: str = "c") -> None:
        self._context = zmq.Context()
        self.asker = Asker(self._context, endpoint)
        self.client_id = client_id

    def start(
        self,
        name: str,
        params: dict[str, Any] | None = None,
        method: str = "order_send",
        **more: Any,
    ) -> int:
        """
        Send an order; return the request's id.
        """
        return self.asker.start(
            method,
            BUY if params is None else params,
            client_id=self.client_id,
            client_order_id=name,
            **more,
        )

    def result(self, request_id: int) -> dict[str, Any]:
        """
        Return the result; an error reply fails the test.
        """
        reply = self.asker.reply(request_id)
        assert reply["ok"], reply
        result: dict[str, Any] = reply["result"]
        return result

    def order(self, name: str, *args: Any, **more: Any) -> dict[str, Any]:
        """
        Send an order and return its result.
        """
        return self.result(self.start(name, *args, **more))

    def error(self, name: str, *args: Any, **more: Any) -> dict[str, Any]:
        """
        Send an order and return its error.
        """
        reply = self.asker.reply(self.start(name, *args, **more))
        assert not reply["ok"], reply
        error: dict[str, Any] = reply["error"]
        return error

    def status(self, name: str) -> dict[str, Any]:
        return self.asker.ask(
            "order_status", {"client_id": self.client_id, "client_order_id": name}
        )

    def final(self, name: str) -> dict[str, Any]:
        """
        Return the end of an order, waiting for it.
        """
        return self.until(lambda: (found := self.status(name))["final"] and found)

    def ready(self) -> Self:
        """
        Wait until the terminal takes orders: its account was read after the logon.
        """
        self.until(
            lambda: self.asker.ask("status")["terminals"][0]["permissions"]["mql_trade_allowed"]
        )
        return self

    def until(self, happened: Callable[[], Any], within_s: float = DEADLINE_S) -> Any:
        """
        Wait until something is true; return what it was.
        """
        deadline = time.monotonic() + within_s
        while not (result := happened()):
            assert time.monotonic() < deadline, "it did not happen in time"
            threading.Event().wait(0.01)
        return result

    def close(self) -> None:
        self.asker.close()
        self._context.destroy(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def run_terminal_process(endpoint: str, key: str, folder: str, rules: str, netting: str) -> None:
    """
    Be a terminal with a broker whose books are in ``folder``, until killed.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    market, offset_us = _priced_market()
    account = make_account(netting=netting == "True")
    given = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in json.loads(rules).items()
    }
    ledger = SqliteLedger(place / "ledger.sqlite")
    exchange = KeptExchange.open(
        place / "broker.bin",
        market,
        account=account_record(account, 1_000_000.0),
        now_us=clock_us(),
        seed=os.getpid(),
        rules=BrokerRules(**given),
        server_clock_offset_us=offset_us,
    )
    core = TerminalCore(
        key=bytes.fromhex(key),
        key_id="demo",
        account=account,
        market=market,
        incarnation=ledger.incarnation,
        connection_counter=ledger.connection_counter,
        commit_counter=ledger.commit_counter,
        exchange=exchange,
        ledger=ledger,
    )
    thread = TerminalThread(core, port_of(endpoint))
    thread.start()
    print("started", flush=True)
    while True:
        try:
            thread.join(3600.0)
        except TimeoutError:
            continue
        return


_CHILD = """
import sys
from tests.support.trading import run_terminal_process
run_terminal_process(*sys.argv[1:])
"""


class TradingProcess:
    """
    A terminal as a process of its own; ``kill`` is SIGKILL. The broker's books stay.
    """

    def __init__(
        self, endpoint: str, key: bytes, folder: Path, *, netting: bool = False, **rules: Any
    ) -> None:
        self._arguments = [endpoint, key.hex(), str(folder), json.dumps(rules), str(netting)]
        self._folder = folder
        self._netting = netting
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> Self:
        root = Path(__file__).resolve().parents[2]
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CHILD, *self._arguments],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "started\n", "the terminal did not start"
        return self

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def books(self) -> Exchange:
        """
        Return the broker as its file has it; call it while the terminal does not run.
        """
        assert self.process is None
        return self.kept_books()

    def kept_books(self) -> Exchange:
        """
        Return the broker as its file has it now: whole, and perhaps old already.
        """
        market, _ = _priced_market()
        return Exchange.load((self._folder / "broker.bin").read_bytes(), market)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
