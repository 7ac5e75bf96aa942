"""The broker as a process of its own: what it did stands, whoever is killed around it.

``python -m tests.chaos.broker OPTIONS``, which are JSON. It says its port on stdout and works
until its standard input ends. A request that arrived is worked on, whether its terminal lives or
not; an answer whose terminal is gone is told to nobody.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import selectors
import socket
import sys
from typing import Any

from bridge.model.trade import TradeRequest
from bridge.sim.account import account_record
from bridge.sim.exchange import Exchange
from bridge.sim.exchange_records import Sent
from bridge.sim.exchange_rules import BrokerRules
from bridge.sim.runner import clock_us
from tests.chaos.account import ACCOUNT, BALANCE
from tests.chaos.market import GridFeed, make_market
from tests.chaos.rpc import Connection, from_values, to_values

__all__ = ["Broker", "make_rules"]

#: Prices move on in between.
_TURN_S = 0.025


def make_rules(given: dict[str, Any]) -> BrokerRules:
    """
    Return the rules that JSON names.
    """
    return BrokerRules(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in given.items()
        }
    )


class _Terminal:
    # What one connection has been told, and what it waits for.

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.deals = 0
        self.history = 0
        self.sent: dict[int, Sent] = {}


class Broker:
    """
    Serves an exchange to terminals, one at a time in life, and its ledger to the judge.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        offset_us = options["offset_us"]
        server_msc = (clock_us() + offset_us) // 1000
        market = make_market(server_msc)
        self._feed = GridFeed(market, server_msc, offset_us)
        self.exchange = Exchange(
            market,
            # Never stopped out: its worth need not be told anew at every step.
            account=dataclasses.replace(account_record(ACCOUNT, BALANCE), margin_so_so=0.0),
            seed=options["seed"],
            rules=make_rules(options["rules"]),
            server_clock_offset_us=offset_us,
        )
        self._selector = selectors.DefaultSelector()
        self._serial = itertools.count(1)
        # In the order in which they came to be seen: a terminal is told what it has not.
        self._deals: list[list[Any]] = []
        self._history: list[list[Any]] = []

    def run(self) -> None:
        """
        Serve until standard input ends.
        """
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ)
        self._selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
        print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
        while True:
            ready = self._selector.select(self._idle_s())
            now_us = clock_us()
            self._feed.due(now_us)
            self.exchange.advance(now_us)
            for key, _ in ready:
                if key.fileobj is listener:
                    with contextlib.suppress(OSError):
                        stream, _ = listener.accept()
                        connection = Connection(stream)
                        self._selector.register(stream, selectors.EVENT_READ, _Terminal(connection))
                        # A terminal that starts knows no transaction of before.
                        self.exchange.transactions()
                elif isinstance(key.data, _Terminal):
                    self._serve(key.data)
                elif not os.read(sys.stdin.fileno(), 4096):
                    return

    def _idle_s(self) -> float:
        due_us = self.exchange.next_deadline()
        if due_us is None:
            return _TURN_S
        return min(_TURN_S, max(0.0, (due_us - clock_us()) / 1e6))

    def _serve(self, terminal: _Terminal) -> None:
        try:
            alive = terminal.connection.read()
        except OSError:
            alive = False
        # Also what a terminal that is gone had sent: it left it, so it arrived.
        while (request := terminal.connection.buffered()) is not None:
            answer = self._answer(terminal, request)
            with contextlib.suppress(OSError):
                terminal.connection.send(answer)
        if not alive:
            self._selector.unregister(terminal.connection.stream)
            terminal.connection.close()

    def _answer(self, terminal: _Terminal, request: list[Any]) -> Any:
        name, *args = request
        exchange = self.exchange
        now_us = clock_us()
        if name == "advance":
            exchange.advance(now_us)
            return self._news(terminal)
        if name == "send":
            sent = exchange.order_send(from_values(TradeRequest, args[0]), now_us)
            number = next(self._serial)
            terminal.sent[number] = sent
            return [number, sent.at_us]
        if name == "check":
            return to_values(exchange.order_check(from_values(TradeRequest, args[0]), now_us))
        if name == "positions":
            found = exchange.positions(symbol=args[0], ticket=args[1])
            return [to_values(one) for one in found]
        if name == "orders":
            return [to_values(one) for one in exchange.orders(symbol=args[0], ticket=args[1])]
        if name == "account":
            return to_values(exchange.account())
        if name == "ledger":
            ledger = exchange.ledger()
            return {
                "orders": [to_values(one) for one in ledger.orders],
                "deals": [to_values(one) for one in ledger.deals],
                "requests": [to_values(one) for one in ledger.requests],
                "tags": list(ledger.tags.items()),
            }
        raise ValueError(f"no such function: {name}")

    def _news(self, terminal: _Terminal) -> list[Any]:
        view = self.exchange._view
        for told, shown in ((self._deals, view.deals), (self._history, view.history)):
            if len(shown) > len(told):
                new = itertools.islice(shown.values(), len(told), None)
                told.extend(to_values(one) for one in new)
        deals, history = self._deals[terminal.deals :], self._history[terminal.history :]
        terminal.deals, terminal.history = len(self._deals), len(self._history)
        transactions = [_plain(one) for one in self.exchange.transactions()]
        settled = []
        for number, sent in list(terminal.sent.items()):
            if sent.known and sent.at_us <= clock_us():
                result = sent.result
                settled.append([number, None if result is None else to_values(result)])
                del terminal.sent[number]
        return [transactions, deals, history, settled]


def _plain(transaction: Any) -> list[Any]:
    values = to_values(transaction)
    values[0] = transaction.type.value
    for place in (-2, -1):
        if values[place] is not None:
            values[place] = to_values(values[place])
    return values


def ledger_of(plain: dict[str, Any]) -> Any:
    """
    Return the ``Ledger`` of the answer to ``ledger``.
    """
    from bridge.model.trade import DealRecord, OrderRecord
    from bridge.sim.exchange_records import Ledger, Processed

    return Ledger(
        orders=tuple(from_values(OrderRecord, one) for one in plain["orders"]),
        deals=tuple(from_values(DealRecord, one) for one in plain["deals"]),
        requests=tuple(from_values(Processed, one) for one in plain["requests"]),
        tags=dict(plain["tags"]),
    )


if __name__ == "__main__":
    Broker(json.loads(sys.argv[1])).run()
