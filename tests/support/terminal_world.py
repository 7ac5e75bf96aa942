"""A simulated terminal, the relay of the test, and the link between them."""

from __future__ import annotations

import itertools
import secrets

import msgpack

from bridge.model.record import Cursor, check_records, unpack_records
from bridge.model.symbol import SymbolSpec
from bridge.model.tick import MqlTick
from bridge.sim.market import Market
from bridge.sim.terminal import Account, TerminalCore
from bridge.wire.events import Closed, HelloReceived, LogonRequested, Ticks
from bridge.wire.messages import Heartbeat, OrderRequest, Page, Request, Resume, Stream, Subscribe
from bridge.wire.protocol import RelaySession
from bridge.wire.spec import (
    CAPABILITIES,
    FRAME_OVERHEAD,
    Capability,
    ErrorCode,
    StreamKind,
    TradingState,
)

__all__ = [
    "ACCOUNT",
    "KEY",
    "MS",
    "NO_DEADLINE",
    "ORDER",
    "T0",
    "World",
    "make_core",
    "tick",
    "whole",
]

KEY = bytes(range(32))
T0 = 1_546_383_600_000
MS = 1_000
NO_DEADLINE = 2**62
ACCOUNT = Account(login=1001, server="Demo-Server")
ORDER = OrderRequest(1, *[None] * 16)


def tick(number):
    return MqlTick(T0 + number, 1.0 + number / 1e5, 2.0)


def whole(data):
    return [data]


def make_core(*symbols, **options):
    market = Market([SymbolSpec(name=name) for name in symbols or ("EURUSD", "USDJPY")])
    values = {
        "key": KEY,
        "key_id": "demo",
        "account": ACCOUNT,
        "market": market,
        "incarnation": bytes(16),
    }
    return TerminalCore(**(values | options))


class World:
    """
    A core, the relay's session that it talks to, and the time. The relay takes everything.
    """

    def __init__(self, core=None, *, relay_key=KEY, way=whole):
        self.core = core or make_core()
        self.relay_key = relay_key
        self.way = way
        self.now = 5_000_000
        self.session = None
        self.acknowledges = True
        self.messages = []
        self.ended = []
        self.records = {}
        self.names = {}
        self.cursors = {}
        self.relay_epoch = 1
        self.trading_state = TradingState.ACTIVE
        self._requested = {}
        self._ids = itertools.count(1)

    @property
    def history(self):
        return self.core.market.history

    def append(self, *numbers, symbol="EURUSD"):
        for number in numbers:
            self.history.append(symbol, tick(number))

    def connect(self):
        assert self.core.may_connect(self.now)
        self.core.connection_made(self.now)
        self.session = RelaySession(self.now)
        return self.pump()

    def disconnect(self):
        self.session = None
        self.core.connection_lost(self.now)

    def reconnect(self):
        self.disconnect()
        while not self.core.may_connect(self.now):
            self.now += 10 * MS
            self.core.poll(self.now)
        return self.connect()

    def pump(self):
        """
        Carry bytes until nothing moves.
        """
        quiet = 0
        while quiet < 3 and self.session is not None:
            self.core.poll(self.now)
            up = b""
            while data := self.core.data_to_send():
                up += data
            for part in self.way(up):
                self.session.receive_data(part, self.now)
            self.take_events()
            down = self.session.data_to_send()
            for part in self.way(down):
                self.core.data_received(part, self.now)
            quiet = 0 if up or down else quiet + 1
        return self

    def advance(self, ms, step=10):
        """
        Let time go by; the core is polled every ``step`` ms, the relay's timers run.
        """
        for _ in range(0, ms, step):
            self.now += step * MS
            if self.session is not None:
                self.session.handle_timer(self.now)
            self.pump()
            if self.core.closing:
                self.disconnect()
        return self

    def take_events(self):
        for event in self.session.events_received():
            match event:
                case HelloReceived():
                    self.hello = event.hello
                    self.session.challenge(
                        self.relay_key,
                        secrets.token_bytes(32),
                        self.relay_epoch,
                        CAPABILITIES | Capability.REFILL,
                    )
                case LogonRequested():
                    self.session.accept(
                        "demo", "relay", self.now, T0, trading_state=self.trading_state
                    )
                case Closed():
                    self.ended.append(event)
                case Ticks():
                    self.take_ticks(event)
                case Stream():
                    name = self._requested.pop(event.request_id)
                    self.messages.append(event)
                    if not event.code:
                        self.names[event.symbol_id] = name, event.epoch
                case Heartbeat():
                    self.heartbeat = event
                case _:
                    self.messages.append(event)

    def take_ticks(self, event):
        size = FRAME_OVERHEAD
        for run in event.runs:
            name, epoch = self.names[run.symbol_id]
            assert check_records(run.records, epoch, run.first_seq) is None
            known = self.records.setdefault(name, {})
            known.update({(r.epoch, r.seq): r for r in unpack_records(run.records)})
            self.cursors[name] = epoch, run.first_seq + run.length - 1, run.cursor
            size += 40 + len(run.records)
        if self.acknowledges:
            self.session.taken(event.seq, size, self.now)

    def subscribe(self, symbol="EURUSD", *, resume=False, fresh_epoch=7, kind=StreamKind.TICK):
        offered = None
        if resume:
            epoch, seq, cursor = self.cursors[symbol]
            offered = Resume(
                epoch,
                seq,
                Cursor(
                    int.from_bytes(cursor[:8], "little", signed=True),
                    int.from_bytes(cursor[8:12], "little"),
                    int.from_bytes(cursor[12:], "little"),
                ),
                seq + 1,
            )
        request_id = next(self._ids)
        self._requested[request_id] = symbol
        self.session.send(Subscribe(request_id, int(kind), symbol, 0, fresh_epoch, 3_600, offered))
        return self.pump()

    def ask(self, method, deadline_us=NO_DEADLINE, **params):
        request_id = next(self._ids)
        self.session.send(Request(request_id, method, params, deadline_us))
        self.pump()
        return request_id

    def pages(self, request_id):
        return [m for m in self.messages if isinstance(m, Page) and m.request_id == request_id]

    def answer(self, request_id):
        pages = self.pages(request_id)
        assert [page.page for page in pages] == list(range(len(pages)))
        assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
        if pages[-1].code:
            return ErrorCode(pages[-1].code)
        return msgpack.unpackb(b"".join(page.payload for page in pages))

    def of(self, kind):
        return [message for message in self.messages if isinstance(message, kind)]

    def numbers(self, symbol="EURUSD"):
        return [record.time_msc - T0 for _, record in sorted(self.records[symbol].items())]
