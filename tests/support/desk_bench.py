"""A simulated terminal that trades, the relay's session it talks to, and a clock, in memory.

Realistic in what goes over the wire and in the order of it. Every call of the terminal is
made in this process, so a test decides between which two steps it is killed.
"""

from __future__ import annotations

import itertools
import secrets

from bridge.model.enums import TradeRequestActions
from bridge.model.symbol import SymbolSpec
from bridge.model.tick import MqlTick
from bridge.model.trade import order_tag
from bridge.sim.account import Account, account_record
from bridge.sim.exchange import Exchange
from bridge.sim.ledger import MemoryLedger
from bridge.sim.market import Market
from bridge.sim.terminal import TerminalCore
from bridge.wire.events import Closed, HelloReceived, LogonRequested
from bridge.wire.messages import (
    Busy,
    Event,
    EventAck,
    Halt,
    New,
    OrderRequest,
    Page,
    Query,
    Request,
    Result,
    Stream,
)
from bridge.wire.protocol import RelaySession, Ticks
from bridge.wire.spec import Capability, TradingState

KEY = bytes(range(32))
INCARNATION = bytes(range(16))
#: the server's clock at the bench's time 0
SERVER_MSC = 1_700_000_000_000
LOGIN = 1001
MS = 1_000
ALL_CAPABILITIES = Capability.TICKS | Capability.READS | Capability.TRADE | Capability.EVENTS

DEAL = TradeRequestActions.DEAL
PENDING = TradeRequestActions.PENDING
SLTP = TradeRequestActions.SLTP
MODIFY = TradeRequestActions.MODIFY
REMOVE = TradeRequestActions.REMOVE
CLOSE_BY = TradeRequestActions.CLOSE_BY


def request(action, **fields):
    """
    Return an order request; fields that are left out are not given.
    """
    values = dict.fromkeys(OrderRequest._fields) | {"action": int(action)} | fields
    return OrderRequest(**values)


def buy(volume=0.1, symbol="EURUSD", **fields):
    return request(DEAL, symbol=symbol, volume=volume, type=0, **fields)


def sell(volume=0.1, symbol="EURUSD", **fields):
    return request(DEAL, symbol=symbol, volume=volume, type=1, **fields)


class DeskBench:
    """
    ``core`` and its broker; what the relay got is in ``results``, ``events``, ``frames``.

    ``acknowledges``: the relay answers events with EVENT_ACK. ``has_disk``: it remembers its
    place in the events for the next WELCOME.
    """

    def __init__(self, *, symbols=None, account=None, rules=None, seed=0, **options):
        specs = symbols or [SymbolSpec(name="EURUSD"), SymbolSpec(name="GBPUSD")]
        self.market = Market(specs)
        self.account = account or Account(login=LOGIN, server="Demo-Server")
        self.now = 5_000_000
        self.exchange = options.pop("exchange", None) or Exchange(
            self.market,
            account=account_record(self.account),
            seed=seed,
            rules=rules,
            server_clock_offset_us=SERVER_MSC * 1000,
        )
        self.ledger = options.pop("ledger", None) or MemoryLedger(INCARNATION)
        self.options = options
        self.session = None
        self.relay_epoch = 7
        self.relay_capabilities = ALL_CAPABILITIES
        self.trading_state = TradingState.ACTIVE
        self.acknowledges = True
        self.place = None
        self.results = []
        self.events = []
        self.frames = []
        self.pages = {}
        self.closed = []
        self._numbers = itertools.count(1)
        for spec in specs:
            self.quote(1.10000, 1.10010, symbol=spec.name)
        self.start()

    # --- the market ------------------------------------------------------------------------

    @property
    def server_msc(self):
        return SERVER_MSC + self.now // 1000

    def quote(self, bid, ask, symbol="EURUSD"):
        self.market.history.append(symbol, MqlTick(self.server_msc, bid, ask))

    # --- the terminal's program ------------------------------------------------------------

    def start(self):
        """
        Start the terminal's program, after a crash with nothing but its ledger.
        """
        self.core = TerminalCore(
            key=KEY,
            key_id="demo",
            account=self.account,
            market=self.market,
            incarnation=self.ledger.incarnation,
            connection_counter=self.ledger.connection_counter,
            commit_counter=self.ledger.commit_counter,
            exchange=self.exchange,
            ledger=self.ledger,
            **self.options,
        )
        return self

    def crash(self):
        """
        Kill the program and start it again, with the link down.
        """
        self.session = None
        return self.start()

    # --- the link --------------------------------------------------------------------------

    def connect(self):
        while not self.core.may_connect(self.now):
            self.now += 10 * MS
            self.core.poll(self.now)
        self.core.connection_made(self.now)
        self.session = RelaySession(self.now)
        return self.pump()

    def disconnect(self):
        self.session = None
        self.core.connection_lost(self.now)
        return self

    def reconnect(self):
        return self.disconnect().connect()

    def pump(self):
        """
        Carry bytes until nothing moves, at one moment.
        """
        quiet = 0
        while quiet < 3 and self.session is not None:
            self.core.poll(self.now)
            up = b""
            while data := self.core.data_to_send():
                up += data
            self.session.receive_data(up, self.now)
            self._take()
            if self.session is None:
                break
            down = self.session.data_to_send()
            self.core.data_received(down, self.now)
            quiet = 0 if up or down else quiet + 1
        return self

    def advance(self, ms, step=10):
        """
        Let time go by.
        """
        for _ in range(0, ms, step):
            self.now += step * MS
            if self.session is None:
                self.core.poll(self.now)
                continue
            self.session.handle_timer(self.now)
            self.pump()
        return self

    def _take(self):
        for event in self.session.events_received():
            match event:
                case HelloReceived():
                    self.hello = event.hello
                    self.session.challenge(
                        KEY,
                        secrets.token_bytes(32),
                        self.relay_epoch,
                        self.relay_capabilities,
                    )
                case LogonRequested():
                    self.session.accept(
                        "demo", "relay", self.now, 0, int(self.trading_state), self.place
                    )
                case Closed():
                    self.closed.append(event)
                case Result():
                    self.frames.append(event)
                    self.results.append(event)
                case Busy() | Stream() | Ticks():
                    self.frames.append(event)
                case Event():
                    self._take_event(event)
                case Page():
                    self.pages.setdefault(event.request_id, []).append(event)

    def _take_event(self, event):
        self.frames.append(event)
        self.events.append(event)
        if self.acknowledges and event.cursor_ticket:
            self.session.send(EventAck(event.cursor_time_msc, event.cursor_ticket))

    # --- what the relay says ---------------------------------------------------------------

    def new(self, wanted, command_id=None, **changes):
        """
        Return a NEW; ``changes`` are fields of it.
        """
        command_id = command_id or f"test/{next(self._numbers)}"
        values = {
            "command_id": command_id,
            "tag": order_tag(command_id),
            "sent_us": self.now,
            "deadline_us": self.now + 5_000 * MS,
            "relay_epoch": self.relay_epoch,
            "incarnation": self.ledger.incarnation,
            "login": LOGIN,
            "flags": 0,
            "request": wanted,
        }
        return New(**(values | changes))

    def send(self, *messages):
        for message in messages:
            self.session.send(message)
        return self.pump()

    def order(self, wanted, command_id=None, **changes):
        """
        Send a NEW and return the RESULT that it gets at once, ``None`` without one.
        """
        before = len(self.results)
        self.send(self.new(wanted, command_id, **changes))
        return self.results[-1] if len(self.results) > before else None

    def query(self, *command_ids, settle_ms=6_000, commands=()):
        """
        Send a QUERY and return the RESULTs it gets, by id.
        """
        before = len(self.results)
        self.send(Query(command_ids, settle_ms, self.now, tuple(commands)))
        return {result.command_id: result for result in self.results[before:]}

    def halt(self, state, epoch=None):
        epoch = self.relay_epoch if epoch is None else epoch
        return self.send(Halt(int(state), "a test", epoch))

    def read(self, method, **params):
        """
        Return the value that a REQUEST is answered with, or code and text of its refusal.
        """
        import msgpack

        number = next(self._numbers)
        self.send(Request(number, method, params, self.now + 5_000 * MS))
        pages = self.pages[number]
        if pages[-1].code:
            return pages[-1].code, pages[-1].text
        return msgpack.unpackb(b"".join(page.payload for page in pages))

    # --- the truth -------------------------------------------------------------------------

    def executions(self, command_id):
        """
        Return how often the broker executed a command.
        """
        return self.exchange.ledger().executions_of(order_tag(command_id))
