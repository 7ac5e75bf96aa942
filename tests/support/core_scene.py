"""A relay's core among made-up terminals, clients and a disk, on a virtual clock.

What happens is drawn from a seed before it begins, or by the terminals as they react; it does
not depend on when the core's ``tick`` is called. So two runs of a seed differ only by that.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack

from bridge.config import (
    Key,
    RelaySettings,
    SessionSettings,
    Settings,
    TerminalSettings,
    TickSettings,
    TradingSettings,
)
from bridge.exceptions import JournalError
from bridge.journal import Journal, MemoryStore
from bridge.relay.checkpoints import Checkpoint
from bridge.relay.core import RelayCore
from bridge.relay.links import Link
from bridge.wire.events import Closed, LoggedOn
from bridge.wire.frame import pack_run_header
from bridge.wire.messages import Busy, Event, New, Page, Query, Request, Stream, Subscribe
from bridge.wire.protocol import TerminalSession
from bridge.wire.spec import EventKind, OrderOutcome
from tests.support.bench import FakeTransport, state_of
from tests.support.orders import BUY, make_result
from tests.support.terminal import cursor_of, make_hello, records_of

__all__ = ["Scene"]

KEY = bytes(32)
MS = 1_000
_START_US = 1_000_000_000
_START_UTC_MSC = 1_700_000_000_000
_SYMBOLS = ("EURUSD", "GBPUSD", "NOPE")
_ALL_CAPABILITIES = 15
_TRADE_ALLOWED = 0b11111
#: so often may it want to be called in the same microsecond
_AT_ONCE_MAX = 5
_LEDGERS = (bytes(15) + b"\x01", bytes(15) + b"\x02")


class Clock:
    """
    Stands still until it is moved.
    """

    def __init__(self) -> None:
        self.us = _START_US

    def now_us(self) -> int:
        return self.us

    def utc_msc(self) -> int:
        return _START_UTC_MSC + (self.us - _START_US) // MS


@dataclass
class Record:
    """
    What left the core, and when: the same for two runs that are the same.
    """

    clock: Clock
    seen: list[tuple[int, str, Any]] = field(default_factory=list)

    def note(self, kind: str, what: Any) -> None:
        self.seen.append(((self.clock.us - _START_US) // MS, kind, what))

    def send(self, message: bytes) -> None:
        self.note("publish", message)

    def send_multipart(self, frames: list[bytes]) -> None:
        self.note("reply", list(frames))


class Peer:
    """
    A terminal that answers what it likes, when it is not mute.
    """

    def __init__(self, scene: Scene, counter: int, ledger: bytes) -> None:
        self.scene = scene
        self.ledger = ledger
        self.mute = False
        self.gone = False
        #: does not take the farewell: its connection has to be cut
        self.stubborn = scene.rng.random() < 0.2
        hello = make_hello(
            capabilities=_ALL_CAPABILITIES,
            incarnation=ledger,
            connection_counter=counter,
            nonce=bytes(32),
        )
        self.session = TerminalSession(KEY, hello, scene.clock.us)
        self.session.terminal_state = state_of(
            permissions=_TRADE_ALLOWED, server_time_msc=_START_UTC_MSC
        )
        self.transport = FakeTransport()
        self.link: Link = scene.core.links.new_link()
        self.link.connection_made(self.transport)
        self._logged_on = False
        self._streams: dict[int, tuple[int, int]] = {}

    @property
    def active(self) -> bool:
        return self._logged_on and not self.gone and not self.session.closed

    def turn(self) -> bool:
        """
        Carry bytes both ways and react; return whether the core received anything.
        """
        now = self.scene.clock.us
        written, self.transport.written = bytes(self.transport.written), bytearray()
        if written:
            self.scene.record.note("link", written)
        if self.transport.aborted or (self.transport.closing and not self.stubborn):
            self.lose()
            return True
        if self.mute or self.transport.closing:
            return False
        self.session.receive_data(written, now)
        for event in self.session.events_received():
            if isinstance(event, Closed):
                self.lose()
                return True
            self._logged_on = self._logged_on or isinstance(event, LoggedOn)
            self._react(event)
        if now >= self.session.next_deadline():
            self.session.handle_timer(now)
        return self._deliver()

    def lose(self) -> None:
        """
        The connection ends.
        """
        if not self.gone:
            self.gone = True
            self.link.connection_lost(None)

    def send(self, message: Any) -> None:
        if self.active:
            self.session.send(message)

    def send_ticks(self) -> None:
        for symbol_id, (epoch, seq) in self._streams.items() if self.active else ():
            length = self.scene.rng.randint(1, 3)
            header = pack_run_header(symbol_id, length, seq, 0, cursor_of(seq))
            self.session.send_market(header + records_of(epoch, seq, length))
            self._streams[symbol_id] = (epoch, seq + length)

    def _deliver(self) -> bool:
        out = self.session.data_to_send()
        if out:
            self.link.get_buffer(-1)[: len(out)] = out
            self.link.buffer_updated(len(out))
        return bool(out)

    def _react(self, event: Any) -> None:
        rng = self.scene.rng
        if not self.active or rng.random() < 0.25:
            return
        match event:
            case Subscribe():
                refused = event.symbol == "NOPE"
                symbol_id = 0 if refused else 1 + _SYMBOLS.index(event.symbol)
                self.send(
                    Stream(
                        event.request_id,
                        1 if refused else 0,
                        "no such symbol" if refused else "",
                        symbol_id,
                        event.fresh_epoch,
                        1,
                        0,
                        5,
                        1e-5,
                    )
                )
                if not refused:
                    self._streams[symbol_id] = (event.fresh_epoch, 1)
            case Request():
                values: dict[str, Any] = {"account": {}, "symbol": {}}
                value = {event.method: values.get(event.method, [])}
                self.send(Page(event.request_id, 0, True, 0, "", 0, msgpack.packb(value)))
            case New():
                self._answer(event.command_id, (OrderOutcome.DONE, OrderOutcome.REJECTED))
            case Query():
                for name in event.command_ids:
                    self._answer(name, (OrderOutcome.NEVER_SEEN, OrderOutcome.NOT_FOUND))
            case _:
                pass

    def _answer(self, name: str, outcomes: tuple[OrderOutcome, ...]) -> None:
        outcome = self.scene.rng.choice(outcomes)
        self.send(make_result(name, outcome, incarnation=self.ledger))


class Scene:
    """
    A relay's core and what happens to it. ``ticks``: how often ``tick`` was called.
    """

    def __init__(self, folder: Path, seed: str, *, journal: Journal | None = None) -> None:
        self.rng = random.Random(seed)
        self.clock = Clock()
        self.record = Record(self.clock)
        self.ticks = 0
        self.store = MemoryStore()
        if journal is None:
            journal = Journal(self.store)
            journal.load()
        self.journal = journal
        numbers = itertools.count(1)
        self.core = RelayCore(
            _settings(folder),
            {"demo": Key(KEY)},
            journal,
            saved=Checkpoint(0, 0, []),
            epoch=7,
            publish=self.record,
            request=self.record,
            clock=self.clock,
            random_bytes=lambda size: next(numbers).to_bytes(size, "little"),
            program="relay under test",
            save_checkpoint=lambda checkpoint: self.record.note("checkpoint", checkpoint),
        )
        self._peers: list[Peer] = []
        self._connections = itertools.count(1)
        self._requests = itertools.count(1)

    def run(
        self, length_ms: int, *, jumping: bool, resting: bool = False
    ) -> list[tuple[int, str, Any]]:
        """
        Return what left the core in so many milliseconds.

        ``tick`` is called in each of them; or, ``jumping``, only when the deadline has come that
        the core gave when it was last touched; ``resting``, then until it wants no more.
        """
        happenings = self._happenings(length_ms)
        deadline = 0
        for now_ms in range(length_ms):
            self.clock.us = _START_US + now_ms * MS
            touched = now_ms in happenings
            received = False
            for happening in happenings.get(now_ms, ()):
                happening()
                # A disk that works again tells nobody.
                received = received or happening != self._disk
            for peer in self._peers:
                received = peer.turn() or received
            self._peers = [peer for peer in self._peers if not peer.gone]
            if now_ms % 7 == 0 and self.journal.pending:
                self.store.flush()
                received = True
            if received:
                self.core.after_turn()
            if touched or received:
                deadline = self.core.next_deadline()
            if not jumping or self.clock.us >= deadline:
                deadline = self._tick()
                for _ in range(_AT_ONCE_MAX if resting else 0):
                    if deadline <= self.clock.us:
                        deadline = self._tick()
                assert not resting or deadline > self.clock.us, "it wants to be called all the time"
        return self.record.seen

    def _tick(self) -> int:
        self.ticks += 1
        self.core.tick()
        return self.core.next_deadline()

    def _happenings(self, length_ms: int) -> dict[int, list[Callable[[], None]]]:
        rng = self.rng
        kinds: list[tuple[Callable[[], None], int]] = [
            (self._connect, 6),
            (self._cut, 1),
            (self._fall_silent, 1),
            (self._subscribe, 4),
            (self._unsubscribe, 3),
            (self._snapshot, 6),
            (self._symbol, 6),
            (self._order, 12),
            (self._ticks, 12),
            (self._busy, 3),
            (self._event, 4),
            (self._disk, 1),
        ]
        chosen: dict[int, list[Callable[[], None]]] = {0: [self._connect, self._subscribe]}
        for _ in range(length_ms // 25):
            (kind,) = rng.choices([one for one, _ in kinds], [weight for _, weight in kinds])
            chosen.setdefault(rng.randrange(length_ms), []).append(kind)
        return chosen

    # --- what happens -----------------------------------------------------------------------

    def _peer(self) -> Peer | None:
        return self.rng.choice(self._peers) if self._peers else None

    def _connect(self) -> None:
        ledger = self.rng.choice(_LEDGERS)
        self._peers.append(Peer(self, next(self._connections), ledger))

    def _cut(self) -> None:
        if (peer := self._peer()) is not None:
            peer.lose()

    def _fall_silent(self) -> None:
        if (peer := self._peer()) is not None:
            peer.mute = True

    def _subscribe(self) -> None:
        self.core.receive_subscription(b"\x01" + self._topic())

    def _unsubscribe(self) -> None:
        self.core.receive_subscription(b"\x00" + self._topic())

    def _topic(self) -> bytes:
        return f"tick/demo/{self.rng.choice(_SYMBOLS)}\0".encode()

    def _ask(self, method: str, params: dict[str, Any], **envelope: Any) -> None:
        request = {"id": next(self._requests), "method": method, "params": params, **envelope}
        self.core.router.receive([b"client", b"", msgpack.packb(request)])

    def _snapshot(self) -> None:
        topics = [f"tick/demo/{self.rng.choice(_SYMBOLS)}"]
        self._ask("snapshot", {"topics": topics, "wait_ms": self.rng.randint(1, 700)})

    def _symbol(self) -> None:
        symbol = self.rng.choice(_SYMBOLS)
        self._ask("symbol", {"symbol": symbol}, valid_for_ms=self.rng.randint(50, 800))

    def _order(self) -> None:
        self._ask(
            "order_send",
            BUY,
            client_id="c",
            client_order_id=str(self.rng.randint(1, 40)),
            valid_for_ms=self.rng.randint(100, 1500),
        )

    def _ticks(self) -> None:
        if (peer := self._peer()) is not None:
            peer.send_ticks()

    def _busy(self) -> None:
        if (peer := self._peer()) is not None:
            peer.send(Busy(1, self.rng.randint(50, 600)))

    def _event(self) -> None:
        if (peer := self._peer()) is not None:
            ticket = self.rng.randint(1, 10**6)
            time_msc = self.clock.utc_msc()
            record = {"ticket": ticket, "comment": ""}
            peer.send(Event(int(EventKind.DEAL), False, time_msc, ticket, time_msc, 0, record))

    def _disk(self) -> None:
        failing = self.store.fail is not None
        self.store.fail = None if failing else JournalError("the disk is full", writable=True)


def _settings(folder: Path) -> Settings:
    trading = TradingSettings(enabled=True, settle_ms=300, answer_ms=200)
    return Settings(
        relay=RelaySettings(data_dir=folder / "data", log_dir=folder / "logs"),
        terminals={"demo": TerminalSettings(key_file=folder / "key", trading=trading)},
        ticks=TickSettings(linger_after_last_subscriber_s=0.3, checkpoint_interval_s=0.7),
        session=SessionSettings(
            heartbeat_interval_ms=150, silence_limit_ms=700, logon_deadline_ms=400
        ),
    )
