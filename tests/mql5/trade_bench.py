"""The Expert Advisor that trades: on the virtual clock, with a broker and a scripted relay."""

from __future__ import annotations

import itertools
from contextlib import contextmanager

import msgpack

from bridge.model.tick import MqlTick
from bridge.model.trade import order_tag
from bridge.wire.messages import (
    Busy,
    Event,
    EventAck,
    Halt,
    Heartbeat,
    New,
    Page,
    Query,
    Request,
    Result,
)
from bridge.wire.spec import CAPABILITIES, Capability
from bridge.wire.structures import EventCursor
from tests.mql5.broker_trade import TradeFaults
from tests.mql5.host import EaProcess
from tests.mql5.scenarios.expert import binary
from tests.mql5.scenarios.scripted import ScriptedRelay
from tests.mql5.scenarios.virtual import KEY
from tests.support.exchange_bench import START_MSC, ExchangeBench

__all__ = [
    "ALIAS",
    "CAPABILITIES_THAT_TRADE",
    "LOGIN",
    "NO_DEADLINE",
    "TradeBench",
    "trade_bench",
]

ALIAS = "demo"
LOGIN = 7
EPOCH = 7
NO_DEADLINE = 2**62
WITHIN_S = 200.0
CAPABILITIES_THAT_TRADE = CAPABILITIES | Capability.REFILL | Capability.TRADE | Capability.EVENTS


@contextmanager
def trade_bench(folder, bench=None, **rules):
    """
    Give a bench with a relay; at the end the program must not have crashed.
    """
    with ScriptedRelay(KEY, folder / "relay.sock") as relay:
        relay.capabilities = CAPABILITIES_THAT_TRADE
        made = TradeBench(folder, relay, bench or ExchangeBench(**rules))
        yield made
        made.stop()


class TradeBench:
    """
    An Expert Advisor that can be killed and started again, its broker, and its relay.

    ``results``, ``events``, ``busy``: what the relay got.
    """

    def __init__(self, folder, relay, bench):
        self.folder = folder
        self.relay = relay
        self.bench = bench
        self.exchange = bench.exchange
        self.process = None
        self.results = []
        self.events = []
        self.busy = []
        #: results and BUSY as they came
        self.frames = []
        #: everything, as it came
        self.received = []
        self.heartbeat = None
        #: of the last event with a place
        self.last_place = None
        #: of the programs that are started from now on
        self.faults = TradeFaults()
        #: answers events with EVENT_ACK
        self.acknowledges = True
        self._pages = []
        self._numbers = itertools.count(1)

    # --- the program -----------------------------------------------------------------------

    def start(self, *, wait=True, options=None, **inputs):
        self.process = EaProcess(
            binary("asan"),
            exchange=self.exchange,
            inputs={
                "InpAlias": ALIAS,
                "InpKey": KEY.hex(),
                "InpRelayPort": 5555,
                "InpPumpMs": 0,
                # What happens between two turns of an idle program is nothing.
                "InpTimerMs": 100,
                **inputs,
            },
            options={"unix_socket": self.relay.path, **(options or {})},
            clock="virtual",
            folder=self.folder / "terminal",
            symbol="EURUSD",
        )
        self.process.broker.trade.faults = self.faults
        self.process.peers.append(self.relay)
        self.process.start()
        return self.log_on() if wait else self

    def log_on(self):
        logons = self.relay.logons
        self.process.wait_for(lambda: self.relay.active and self.relay.logons >= logons, WITHIN_S)
        self.wait(0.1)
        return self

    def stop(self):
        process, self.process = self.process, None
        if process is None:
            return
        if process.running:
            process.deinit()
        process.close()

        assert "" == process.crash

    def kill(self):
        """
        Kill the program, or bury one that died; its relay sees the end of the connection.
        """
        process, self.process = self.process, None
        if process.running:
            process.kill()
        process.close()
        self.relay.hang_up()
        return self

    def wait(self, seconds=0.0):
        self.process.advance(seconds * 1000 + 50)
        self.take()
        assert self.process.running, self.process.crash
        return self

    def until(self, condition, within_s=WITHIN_S):
        """
        Let time go by until something is so; return what it gave.
        """

        def happened():
            self.take()
            return condition()

        return self.process.wait_for(happened, within_s)

    def again(self):
        """
        Cut the connection; the terminal comes back.
        """
        logons = self.relay.logons
        self.relay.hang_up()
        self.process.wait_for(lambda: self.relay.logons > logons, WITHIN_S)
        return self.wait(0.1)

    def leave(self):
        """
        Let the relay be gone.
        """
        self.relay.away = True
        self.relay.hang_up()
        return self

    def come_back(self):
        """
        Let the relay be there again, and wait until the terminal has found it.
        """
        logons = self.relay.logons
        self.relay.away = False
        self.process.wait_for(lambda: self.relay.logons > logons, WITHIN_S)
        return self.wait(0.1)

    @property
    def hello(self):
        return self.relay.session.hello

    def quote(self, bid, ask, symbol="EURUSD"):
        """
        Let the price move.
        """
        time_msc = START_MSC + self.process.now_us // 1000
        self.process.quote(symbol, MqlTick(time_msc, bid, ask, bid))
        return self

    # --- what the relay says ---------------------------------------------------------------

    def new(self, wanted, command_id=None, **changes):
        """
        Return a NEW; ``changes`` are fields of it.
        """
        command_id = command_id or f"test/{next(self._numbers)}"
        values = {
            "command_id": command_id,
            "tag": order_tag(command_id),
            "sent_us": self.relay.clock(),
            "deadline_us": self.relay.clock() + 60_000_000,
            "relay_epoch": EPOCH,
            "incarnation": self.hello.incarnation,
            "login": LOGIN,
            "flags": 0,
            "request": wanted,
        }
        return New(**(values | changes))

    def order(self, wanted, command_id=None, **changes):
        """
        Send a NEW and return the RESULT that it gets.
        """
        before = len(self.results)
        self.relay.send(self.new(wanted, command_id, **changes))
        self.until(lambda: len(self.results) > before)
        return self.results[before]

    def query(self, *command_ids, settle_ms=6_000, commands=()):
        """
        Send a QUERY and return the RESULTs it gets, by id.
        """
        before = len(self.results)
        self.relay.send(Query(command_ids, settle_ms, self.relay.clock(), tuple(commands)))
        self.until(lambda: len(self.results) >= before + len(command_ids))
        return {result.command_id: result for result in self.results[before:]}

    def halt(self, state, epoch=EPOCH):
        self.relay.send(Halt(int(state), "a test", epoch))
        return self

    def read(self, method, **params):
        """
        Return the value that a REQUEST is answered with, or code and text of its refusal.
        """
        number = next(self._numbers)
        self.relay.send(Request(number, method, params, NO_DEADLINE))

        def pages():
            return [page for page in self._pages if page.request_id == number]

        self.until(lambda: any(page.last for page in pages()))
        if (last := pages()[-1]).code:
            return last.code, last.text
        return msgpack.unpackb(b"".join(page.payload for page in pages()))

    # --- what came -------------------------------------------------------------------------

    def take(self):
        events, self.relay.events[:] = list(self.relay.events), []
        for event in events:
            self.received.append(event)
            match event:
                case Result():
                    self.results.append(event)
                    self.frames.append(event)
                case Busy():
                    self.busy.append(event)
                    self.frames.append(event)
                case Event():
                    self.events.append(event)
                    if self.acknowledges and event.cursor_ticket and self.relay.active:
                        self.last_place = EventCursor(event.cursor_time_msc, event.cursor_ticket)
                        self.relay.place = self.last_place
                        self.relay.send(EventAck(event.cursor_time_msc, event.cursor_ticket))
                case Heartbeat():
                    self.heartbeat = event
                case Page():
                    self._pages.append(event)

    # --- the truth -------------------------------------------------------------------------

    def executions(self, command_id):
        """
        Return how often the broker executed a command.
        """
        return self.exchange.ledger().executions_of(order_tag(command_id))
