"""Terminals without sockets: what the relay would publish and send is recorded."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

from bridge.bus.bodies import read_status
from bridge.bus.topics import split_message
from bridge.config import Key, Settings, TerminalSettings, TickSettings
from bridge.relay.clock import Clock, SystemClock
from bridge.relay.links import Links
from bridge.relay.publisher import Publisher
from bridge.relay.registry import Terminals
from bridge.relay.rings import RingBudget
from bridge.relay.terminals import Terminal
from bridge.wire.messages import Hello, Stream, Subscribe, TerminalState, pack_message
from bridge.wire.protocol import Run, Ticks
from bridge.wire.spec import Capability, TradingState
from tests.support.terminal import make_hello, records_of

SECOND = 1_000_000


class RecordingSocket:
    """
    An XPUB socket that keeps what was sent.
    """

    def __init__(self):
        self.sent: list[bytes] = []

    def send(self, message: bytes) -> None:
        self.sent.append(message)

    def bodies(self, topic: str) -> list[bytes]:
        parts = [split_message(message) for message in self.sent]
        return [body for name, body in parts if name == topic]

    def events(self, alias: str = "demo") -> list[str]:
        return [read_status(body).event for body in self.bodies(f"status/{alias}")]


class FakeLink:
    """
    A session of which the test decides what arrived.
    """

    def __init__(self, hello: Hello | None = None, **fields):
        self.hello = make_hello(**fields) if hello is None else hello
        self.capabilities = int(Capability.TICKS | Capability.READS)
        self.rtt_us = None
        self.last_received_us = 0
        self.busy_until_us = 0
        self.sent: list = []
        self.accepted: str | None = None
        self.closed: tuple[int, str, int] | None = None
        self.tests: list[int] = []
        self.acknowledged: list[tuple[int, int]] = []

    def send(self, message):
        pack_message(message)  # as the protocol core does: what does not fit raises here
        self.sent.append(message)

    def taken(self, seq, size, now_us):
        self.acknowledged.append((seq, size))

    def accept(self, alias, now_us, trading_state=TradingState.ACTIVE, event_cursor=None):
        self.accepted = alias
        self.welcome = (trading_state, event_cursor)

    def close(self, code, text, retry_after_ms=0):
        self.closed = (code, text, retry_after_ms)

    def test(self, now_us):
        self.tests.append(now_us)

    def sent_of(self, kind):
        return [message for message in self.sent if isinstance(message, kind)]


class FakeTransport(asyncio.Transport):
    """
    A connection that keeps what is written; the test decides what the kernel takes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.stuck = False
        self.waiting = 0
        self.closing = False
        self.aborted = False

    def write(self, data):
        if self.stuck:
            self.waiting += len(data)
        self.written += data

    def set_write_buffer_limits(self, high=None, low=None):
        self.high = high

    def get_write_buffer_size(self):
        return self.waiting

    def is_closing(self):
        return self.closing

    def close(self):
        self.closing = True

    def abort(self):
        self.closing = self.aborted = True


class Bench:
    """
    Terminals with a recording publisher.
    """

    def __init__(
        self,
        tmp_path,
        aliases=("demo",),
        ticks=None,
        limits=None,
        *,
        clock: Clock | None = None,
        **pins,
    ):
        self.clock = SystemClock() if clock is None else clock
        file = tmp_path / "key"
        self.settings = Settings(
            ticks=TickSettings(**(ticks or {})), **({"limits": limits} if limits else {})
        )
        self.socket = RecordingSocket()
        self.publisher = Publisher(self.socket, 5)
        self.minted = 100
        self.checkpoints = 0
        self.terminals = Terminals(
            {
                alias: Terminal(
                    alias,
                    Key(bytes(32)),
                    TerminalSettings(key_file=file, **pins),
                    self.settings,
                    self.publisher,
                    RingBudget(10_000_000),
                    self._mint,
                    self._checkpoint,
                    self.clock,
                )
                for alias in aliases
            }
        )

    def _mint(self):
        self.minted += 1
        return self.minted

    def _checkpoint(self):
        self.checkpoints += 1

    def make_links(self, epoch=7, program="relay") -> Links:
        """
        Return links to these terminals.
        """
        return Links(
            self.terminals,
            self.settings,
            epoch,
            program,
            clock=self.clock,
            random_bytes=secrets.token_bytes,
        )

    def terminal(self, alias="demo"):
        return self.terminals.get(alias)

    def admit(self, link, alias="demo", now=0):
        self.terminals.admit(self.terminal(alias), link, now)
        return link

    def connected(self, **fields):
        return self.admit(FakeLink(**fields))

    def streaming(self, symbol="EURUSD", symbol_id=1, **fields):
        """
        Return a link whose terminal streams ``symbol``.
        """
        link = self.connected(**fields)
        self.terminal().subscribe(symbol)
        self.begin(link, symbol_id)
        return link

    def begin(self, link, symbol_id=1, **fields):
        wanted = link.sent_of(Subscribe)[-1]
        values = {
            "request_id": wanted.request_id,
            "code": 0,
            "text": "",
            "symbol_id": symbol_id,
            "epoch": wanted.fresh_epoch,
            "first_seq": 1,
            "continuity": 0,
            "digits": 5,
            "point": 1e-5,
        }
        self.terminal().receive(Stream(**{**values, **fields}), self.clock.now_us())


def run_of(epoch, first, length, symbol_id=1, seq=9, flags=0):
    cursor = (1).to_bytes(8, "little") + (1).to_bytes(4, "little") + (2).to_bytes(4, "little")
    run = Run(symbol_id, length, first, 0, cursor, records_of(epoch, first, length, flags))
    return Ticks(seq, [run])


def state_of(**fields) -> TerminalState:
    return TerminalState(*[0] * 9)._replace(**fields)


def logged(caplog, event: str = "") -> list[dict[str, Any]]:
    """
    Return what was logged since the test began: each record as its event and fields.
    """
    entries = [
        {"event": record.getMessage(), "level": record.levelname, **_fields_of(record)}
        for record in caplog.records
    ]
    return [entry for entry in entries if not event or entry["event"] == event]


def _fields_of(record: Any) -> dict[str, Any]:
    fields: dict[str, Any] = getattr(record, "bridge_fields", {})
    return fields
