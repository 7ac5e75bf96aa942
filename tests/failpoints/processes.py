"""The two programs of the world, and what lies between them: disks, broker, connection.

Each port of theirs is a point of the world: it is told what comes there, and may end the program
that does. A process here is one life of it; the disks are what the next one finds.
"""

from __future__ import annotations

import functools
import itertools
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from bridge.config import Key, Settings, TerminalSettings, TradingSettings
from bridge.journal import Journal, MemoryStore
from bridge.journal.store import (
    PutCursor,
    PutEntry,
    PutEventKey,
    PutState,
    PutVerdict,
    Write,
)
from bridge.relay.checkpoints import Checkpoint
from bridge.relay.core import RelayCore
from bridge.sim.ledger import LedgerEntry, MemoryLedger
from bridge.sim.terminal import TerminalCore
from bridge.wire.messages import EventAck, Halt, New, Query
from bridge.wire.spec import FrameType, OrderOutcome, TradingState
from tests.support.bench import FakeTransport

if TYPE_CHECKING:
    from tests.failpoints.world import World

__all__ = [
    "ALIAS",
    "SETTLE_MS",
    "EagerStore",
    "LedgerDisk",
    "LinkBetween",
    "RelayProcess",
    "TerminalProcess",
]

ALIAS: Final = "demo"
SETTLE_MS: Final = 600
_KEY: Final = bytes(range(32))
_LENGTH: Final = struct.Struct("<I")


class RelayProcess:
    """
    One life of the relay.
    """

    def __init__(self, world: World, epoch: int) -> None:
        self.alive = True
        self._world = world
        self._store = StorePort(world, self)
        self.journal = Journal(self._store)
        self.journal.load()
        nonces = itertools.count(epoch * 1_000_000)
        trading = TradingSettings(
            enabled=True, settle_ms=SETTLE_MS, answer_ms=200, max_orders_per_minute=0
        )
        self.core = RelayCore(
            Settings(terminals={ALIAS: TerminalSettings(key_file="key", trading=trading)}),
            {ALIAS: Key(_KEY)},
            self.journal,
            saved=Checkpoint(0, 0, []),
            epoch=epoch,
            publish=world,
            request=world,
            clock=world,
            random_bytes=lambda size: next(nonces).to_bytes(size, "little"),
            program="relay under test",
            save_checkpoint=lambda _: None,
        )
        orders = self.core.tradings[ALIAS].orders
        judge = orders._pending._judge
        receive = orders.receive

        def judged(*args: Any) -> Any:
            world.here("the policy is asked", "relay")
            return judge(*args)

        def received(result: Any, now: Any) -> None:
            world.here(f"RESULT {_said(result.outcome)} is at the relay", "relay")
            receive(result, now)

        orders._pending._judge = judged
        orders.receive = received  # type: ignore[method-assign]  # no port of its own
        events = self.core.tradings[ALIAS].events
        receive_event = events.receive

        def received_event(event: Any, *args: Any) -> None:
            if event.cursor_ticket:
                world.here("EVENT is at the relay", "relay")
            receive_event(event, *args)

        events.receive = received_event  # type: ignore[method-assign]  # no port of its own

    def turn(self) -> bool:
        """
        Let the disk write one thing and tell of it, and do what is due.
        """
        moved = self._store.work()
        if moved:
            self.core.after_turn()
        if self._world.us >= self.core.next_deadline():
            self.core.tick()
        return moved


class StorePort:
    """
    The journal's store of one life of the relay: each write is a point.
    """

    def __init__(self, world: World, relay: RelayProcess) -> None:
        self._world = world
        self._relay = relay
        self._store = world.store
        self._points: deque[str] = deque()
        self.deliver = world.store.deliver
        self.problem = None
        for name in ("open", "find", "find_by_tag", "children", "has_event"):
            setattr(self, name, getattr(world.store, name))
        for name in ("read_trade", "trade_range", "audit", "recover"):
            setattr(self, name, getattr(world.store, name))

    def write(self, writes: Sequence[Write], done: Callable[[Any], None]) -> None:
        if not self._relay.alive:
            return
        self._store.write(writes, done)
        place = len(self._points)
        self._points.append("")
        self._points[place] = self._world.at(self._point_of(writes), "relay")

    def work(self) -> bool:
        """
        Sync the oldest write, then tell of it.
        """
        if isinstance(self._store, EagerStore):
            self._store.run_deliveries()
            self._relay.core.after_turn()
        if not self._points:
            self._store.run_deliveries()
            return False
        point = self._points.popleft()
        self._store.commit(1)
        self._world.past(point, "relay")
        self._world.here(f"{point.partition(' (')[0]}, told", "relay")
        self._store.run_deliveries()
        return True

    @staticmethod
    def _point_of(writes: Sequence[Write]) -> str:
        for write in writes:
            match write:
                case PutEntry(entry):
                    kind = "a family of commands" if entry.request is None else "a reservation"
                    return f"{kind} at the disk"
                case PutVerdict(entry, verdict):
                    who = "the parent" if entry.request is None else "a command"
                    return f"the verdict {_said(verdict.outcome)} of {who} at the disk"
                case PutState(_, state):
                    return f"the state {state.state.name} at the disk"
                case PutEventKey():
                    return "an event at the disk"
        if any(isinstance(write, PutCursor) for write in writes):
            return "the beginning of the events at the disk"
        return "an event without a place at the disk"


class EagerStore(MemoryStore):
    """
    Tells that a write is on the disk before it is: the mistake that all this is to find.
    """

    def write(self, writes: Sequence[Write], done: Callable[[Any], None]) -> None:
        self.deliver(functools.partial(done, None))
        super().write(writes, lambda _: None)


class LedgerDisk(MemoryLedger):
    """
    The terminal's ledger: what survives its program. Every write is synced before it returns;
    with ``synced`` false a power failure takes what was written behind the last ``sync``.
    """

    def __init__(self, *, synced: bool = True) -> None:
        super().__init__(bytes(range(16)))
        self._synced = synced
        self._safe: dict[str, LedgerEntry] = {}

    def write(self, entry: LedgerEntry) -> None:
        super().write(entry)
        if self._synced:
            self._safe = dict(self._entries)

    def lose_power(self) -> None:
        """
        Forget what is not synced.
        """
        self._entries = dict(self._safe)


class LedgerPort:
    """
    The ledger of one life of the terminal: each write is a point.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._ledger = world.ledger
        self.incarnation = world.ledger.incarnation
        self.durable = True
        for name in ("find", "find_tag", "find_order", "unresolved", "count_since"):
            setattr(self, name, getattr(world.ledger, name))

    @property
    def connection_counter(self) -> int:
        return self._ledger.connection_counter

    @property
    def relay_epoch_seen(self) -> int:
        return self._ledger.relay_epoch_seen

    @property
    def trading_state(self) -> TradingState:
        return self._ledger.trading_state

    def commit_counter(self, connection_counter: int) -> None:
        point = "the connection counter at the ledger"
        self._write(point, self._ledger.commit_counter, connection_counter)

    def commit_epoch(self, relay_epoch: int) -> None:
        self._write("the relay's epoch at the ledger", self._ledger.commit_epoch, relay_epoch)

    def commit_state(self, state: TradingState) -> None:
        self._write(f"the state {state.name} at the ledger", self._ledger.commit_state, state)

    def write(self, entry: LedgerEntry) -> None:
        said = "the intent" if entry.result is None else f"the outcome {_said(entry.outcome)}"
        self._write(f"{said} at the ledger", self._ledger.write, entry)

    def _write(self, point: str, write: Callable[[Any], None], value: Any) -> None:
        label = self._world.at(point, "terminal")
        write(value)
        self._world.past(label, "terminal")


class BrokerPort:
    """
    The broker as the terminal's program sees it: its calls are points.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world.exchange, name)

    def order_check(self, request: Any, now_us: int) -> Any:
        self._world.here("OrderCheck is called", "terminal")
        return self._world.exchange.order_check(request, now_us)

    def order_send(self, request: Any, now_us: int) -> Any:
        world = self._world
        world.here("OrderSend is called", "terminal")
        world.calls.append(
            (request.action, request.order, request.position, request.position_by, request.comment)
        )
        sent = world.exchange.order_send(request, now_us)
        world.here("the broker has executed, OrderSend has not returned", "terminal")
        return sent

    def history_deals(self, from_msc: int, to_msc: int) -> Any:
        if self._world.terminal is not None and self._world.terminal.looks:
            self._world.here("evidence is looked for", "terminal")
        return self._world.exchange.history_deals(from_msc, to_msc)


class TerminalProcess:
    """
    One life of the terminal's program.
    """

    def __init__(self, world: World) -> None:
        self.alive = True
        #: whether the history is read for a QUERY
        self.looks = False
        world.exchange.transactions()
        port = LedgerPort(world)
        self.core = TerminalCore(
            key=_KEY,
            key_id=ALIAS,
            account=world.account,
            market=world.market,
            incarnation=port.incarnation,
            connection_counter=port.connection_counter,
            commit_counter=port.commit_counter,
            exchange=BrokerPort(world),
            ledger=port,
        )
        trading = self.core.trading
        new, query, halt, acknowledged = (
            trading.new,
            trading.query,
            trading.halt,
            trading.event_ack,
        )

        def took_new(message: New, moment: Any) -> None:
            world.here("NEW is at the terminal", "terminal")
            new(message, moment)
            world.here("NEW waits in the terminal's queue", "terminal")

        def took_query(message: Query, moment: Any) -> None:
            world.here("QUERY is at the terminal", "terminal")
            query(message, moment)

        def took_halt(message: Halt) -> None:
            world.here("HALT is at the terminal", "terminal")
            halt(message)

        def took_ack(message: EventAck) -> None:
            world.here("EVENT_ACK is at the terminal", "terminal")
            acknowledged(message)

        answer = trading._answer  # type: ignore[attr-defined]  # a desk's

        def looked(*args: Any) -> None:
            self.looks = True
            try:
                answer(*args)
            finally:
                self.looks = False

        trading.new = took_new  # type: ignore[method-assign]  # no port of its own
        trading.query = took_query  # type: ignore[method-assign]  # no port of its own
        trading.halt = took_halt  # type: ignore[method-assign]  # no port of its own
        trading._answer = looked  # type: ignore[attr-defined]  # a desk's
        self.core._answer[EventAck] = took_ack


class LinkBetween:
    """
    A connection: carries one frame at a time, in two halves.
    """

    def __init__(self, world: World, relay: RelayProcess, terminal: TerminalProcess) -> None:
        self.broken = False
        self._world = world
        self._relay = relay
        self._terminal = terminal
        self._transport = FakeTransport()
        self._link = relay.core.links.new_link()
        self._down = bytearray()
        self._up = bytearray()
        send = self._link.send

        def sent(message: Any) -> None:
            send(message)
            name = type(message).__name__.upper().replace("EVENTACK", "EVENT_ACK")
            world.here(f"{name} is in the relay's lane", "relay")

        self._link.send = sent  # type: ignore[method-assign]  # no port of its own

    def made(self) -> None:
        """
        Both ends hear that the connection is there.
        """
        self._terminal.core.connection_made(self._world.us)
        self._link.connection_made(self._transport)

    def lost_at_relay(self) -> bool:
        """
        The relay hears that it is gone.
        """
        if self._relay.alive:
            self._link.connection_lost(None)
            self._relay.core.after_turn()
        return True

    def lost_at_terminal(self) -> bool:
        """
        The terminal hears that it is gone.
        """
        if self._terminal.alive:
            self._terminal.core.connection_lost(self._world.us)
        return True

    def carry(self) -> bool:
        """
        Carry what waits in both directions; return whether anything did.
        """
        self._down += self._transport.written
        self._transport.written.clear()
        self._up += self._terminal.core.data_to_send()
        moved = self._pass(self._down, self._to_terminal)
        moved = self._pass(self._up, self._to_relay) or moved
        ends = self._transport.closing or self._terminal.core.closing
        if ends and not self.broken:
            self.broken = True
        return moved

    def _pass(self, waiting: bytearray, deliver: Callable[[bytes], None]) -> bool:
        moved = False
        while len(waiting) >= _LENGTH.size and not self.broken:
            (length,) = _LENGTH.unpack_from(waiting)
            if len(waiting) < length:
                break
            frame = bytes(waiting[:length])
            del waiting[:length]
            moved = True
            deliver(frame[: length // 2])
            self._world.here(f"{FrameType(frame[4]).name} is half on the wire")
            if not self.broken:
                deliver(frame[length // 2 :])
        return moved

    def _to_terminal(self, data: bytes) -> None:
        if self._terminal.alive:
            self._terminal.core.data_received(data, self._world.us)

    def _to_relay(self, data: bytes) -> None:
        if self._relay.alive:
            self._link.get_buffer(-1)[: len(data)] = data
            self._link.buffer_updated(len(data))
            self._relay.core.after_turn()


def _said(outcome: int) -> str:
    return OrderOutcome(outcome).name
