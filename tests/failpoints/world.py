"""A relay, a terminal, their broker and a client in one thread, with a fault at a named point.

All of the product's parts are real (``RelayCore``, ``Journal``, the wire's sessions,
``TerminalCore``, ``Exchange``); time, disks and connections are this file's. Realistic in what
each part knows when it is stopped: a killed program knows what is on its disk and nothing else,
a connection loses what is on its way, also half of a frame, and a power failure takes from both
disks what was not synced. Not realistic: nothing happens at the same time as something else.
"""

from __future__ import annotations

import collections
import functools
import itertools
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgpack

from bridge.bus.bodies import read_trade
from bridge.bus.codec import decode
from bridge.bus.order_params import HaltParams
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
from bridge.model.enums import AccountMarginMode
from bridge.model.symbol import SymbolSpec
from bridge.model.tick import MqlTick
from bridge.relay.checkpoints import Checkpoint
from bridge.relay.core import RelayCore
from bridge.relay.order_commands import Moment
from bridge.sim.account import Account, account_record
from bridge.sim.exchange import Exchange
from bridge.sim.exchange_rules import BrokerRules
from bridge.sim.ledger import LedgerEntry, MemoryLedger
from bridge.sim.market import Market
from bridge.sim.terminal import TerminalCore
from bridge.wire.messages import EventAck, Halt, New, Query
from bridge.wire.spec import FrameType, OrderOutcome, TradingState
from tests.failpoints.points import Fault, Strike
from tests.support.bench import FakeTransport

__all__ = ["ALIAS", "MS", "SECOND", "SETTLE_MS", "EagerStore", "LedgerDisk", "World"]

ALIAS: Final = "demo"
MS: Final = 1_000
SECOND: Final = 1_000_000
_KEY: Final = bytes(range(32))
_START_US: Final = 1_000_000_000
_UTC_MSC: Final = 1_704_873_600_000
#: the trade server's clock minus this world's: Wednesday, 10:00
_SERVER_US: Final = 1_704_880_800_000_000 - _START_US
SETTLE_MS: Final = 600
_VALID_FOR_MS: Final = 2_000
_DOWN_US: Final = 200 * MS
_LENGTH: Final = struct.Struct("<I")


class Killed(BaseException):
    """
    The program that runs now ends here. Not an ``Exception``: nobody in it may catch it.
    """


class World:
    """
    ``strike``: the fault, and the point at which it happens; it happens once.

    ``rules`` are the broker's, ``store`` and ``ledger`` the disks.
    """

    def __init__(
        self,
        strike: Strike | None = None,
        *,
        netting: bool = False,
        rules: dict[str, Any] | None = None,
        store: MemoryStore | None = None,
        ledger: MemoryLedger | None = None,
    ) -> None:
        self.us = _START_US
        self.strike = strike
        #: every point that was reached, in its order
        self.reached: list[str] = []
        self.struck = False
        self._times: collections.Counter[str] = collections.Counter()
        #: points count only while it is on: a story begins behind its preparations
        self.recording = False
        mode = AccountMarginMode.RETAIL_NETTING if netting else AccountMarginMode.RETAIL_HEDGING
        self.account = Account(login=1001, server="Demo-Server", margin_mode=mode)
        self.market = Market([SymbolSpec(name="EURUSD"), SymbolSpec(name="GBPUSD")])
        self.exchange = Exchange(
            self.market,
            account=account_record(self.account, 100_000.0),
            rules=BrokerRules(**{"reply_ms": (20, 20), **(rules or {})}),
            server_clock_offset_us=_SERVER_US,
        )
        for symbol in ("EURUSD", "GBPUSD"):
            self.quote(1.1, 1.1001, symbol)
        self.store = MemoryStore() if store is None else store
        self.ledger = LedgerDisk() if ledger is None else ledger
        #: of every call of OrderSend, what it asked for
        self.calls: list[tuple[Any, ...]] = []
        #: what the relay published of ``trade/``, by place: nothing is published twice otherwise
        self.published: dict[tuple[int, int], bytes] = {}
        self.replies: dict[int, dict[str, Any]] = {}
        self._epochs = itertools.count(1)
        self._requests = itertools.count(1)
        self.relay: RelayProcess | None = None
        self.terminal: TerminalProcess | None = None
        self.link: LinkBetween | None = None
        self._relay_back_us = self._terminal_back_us = self.us

    # --- points -----------------------------------------------------------------------------

    def at(self, point: str, running: str = "") -> str:
        """
        Come to a point: what is to be written there is handed over and not on the disk.

        ``running``: whose program comes there; it does not go on when it is killed. Returns what
        ``past`` is to be called with.
        """
        if not self.recording:
            return ""
        self._times[point] += 1
        times = self._times[point]
        label = point if times == 1 else f"{point} ({times})"
        self.reached.append(label)
        if self._is_due(label, after=False):
            self._strike(running)
        return label

    def past(self, label: str, running: str = "") -> None:
        """
        What is written at this point is on the disk, and nobody knows it yet.
        """
        if self._is_due(label, after=True):
            self._strike(running)

    def here(self, point: str, running: str = "") -> None:
        """
        Come to a point at which nothing of its own is written: both disks sync what they have.
        """
        label = self.at(point, running)
        if self._is_due(label, after=True):
            self.store.commit()
            self._strike(running)

    def _is_due(self, label: str, *, after: bool) -> bool:
        strike = self.strike
        if self.struck or strike is None:
            return False
        return (strike.point, strike.after) == (label, after)

    def _strike(self, running: str) -> None:
        assert self.strike is not None
        self.struck = True
        fault = self.strike.fault
        if fault is Fault.CUT:
            self._cut()
            return
        dead = {
            Fault.KILL_RELAY: {"relay"},
            Fault.KILL_TERMINAL: {"terminal"},
        }.get(fault, {"relay", "terminal"})
        if "relay" in dead:
            self._kill_relay()
        if "terminal" in dead:
            self._kill_terminal(power=fault is Fault.POWER)
        if running in dead:
            raise Killed

    # --- faults -----------------------------------------------------------------------------

    def cut(self) -> None:
        """
        Cut the connection.
        """
        self._cut()

    def _cut(self) -> None:
        if self.link is not None:
            self.link.broken = True

    def _kill_relay(self) -> None:
        self._cut()
        if self.relay is not None:
            self.relay.alive = False
            self.relay = None
            self.store.crash()
            self._relay_back_us = self.us + _DOWN_US

    def _kill_terminal(self, *, power: bool) -> None:
        self._cut()
        if self.terminal is not None:
            self.terminal.alive = False
            self.terminal = None
            if power and isinstance(self.ledger, LedgerDisk):
                self.ledger.lose_power()
            self._terminal_back_us = self.us + _DOWN_US

    # --- time -------------------------------------------------------------------------------

    def now_us(self) -> int:
        """
        Be a clock of the relay.
        """
        return self.us

    def utc_msc(self) -> int:
        """
        Be a clock of the relay.
        """
        return _UTC_MSC + (self.us - _START_US) // MS

    def run(self, condition: Callable[[], bool], limit_us: int) -> bool:
        """
        Let the world go on until a condition holds; ``False`` when it does not in time.
        """
        until = self.us + limit_us
        quiet = 0
        while not condition():
            if self.us > until:
                return False
            quiet = 0 if self._turn() else quiet + 1
            # In a world in which nothing moves time may go faster.
            self.us += 5 * MS if quiet < 20 else 50 * MS
        return True

    def _turn(self) -> bool:
        moved = False
        self.exchange.advance(self.us)
        self._keep_up()
        for _ in range(200):
            again = self._guarded(self._relay_turn)
            again = self._guarded(self._terminal_turn) or again
            again = self._guarded(self._carry) or again
            moved = moved or again
            if not again:
                return moved
        raise AssertionError("the world does not come to rest")

    def _guarded(self, step: Callable[[], bool]) -> bool:
        try:
            return step()
        except Killed:
            return True

    def _keep_up(self) -> None:
        if self.link is not None and self.link.broken:
            link, self.link = self.link, None
            self._guarded(link.lost_at_relay)
            self._guarded(link.lost_at_terminal)
        if self.relay is None and self.us >= self._relay_back_us:
            self.relay = RelayProcess(self, next(self._epochs))
        if self.terminal is None and self.us >= self._terminal_back_us:
            self.terminal = TerminalProcess(self)
        ready = self.relay is not None and self.terminal is not None and self.link is None
        if ready and self.terminal is not None and self.terminal.core.may_connect(self.us):
            self._guarded(self._connect)

    def _connect(self) -> bool:
        assert self.relay is not None
        assert self.terminal is not None
        self.link = LinkBetween(self, self.relay, self.terminal)
        self.link.made()
        return True

    def _relay_turn(self) -> bool:
        return self.relay is not None and self.relay.turn()

    def _terminal_turn(self) -> bool:
        if self.terminal is not None:
            self.terminal.core.poll(self.us)
        return False

    def _carry(self) -> bool:
        return self.link is not None and not self.link.broken and self.link.carry()

    # --- the market and the client ---------------------------------------------------------------

    def quote(self, bid: float, ask: float, symbol: str = "EURUSD") -> None:
        """
        Let a tick come.
        """
        time_msc = (self.us + _SERVER_US) // MS
        self.market.history.append(symbol, MqlTick(time_msc, bid, ask))
        self.exchange.advance(self.us)

    def ask(self, name: str, method: str, params: dict[str, Any]) -> int:
        """
        Send a request under an id, or the same again; ``replies`` gets the answer by its number.
        """
        number = next(self._requests)
        body = msgpack.packb(
            {
                "id": number,
                "method": method,
                "params": params,
                "client_id": "c",
                "client_order_id": name,
                "terminal": ALIAS,
                "valid_for_ms": _VALID_FOR_MS,
            }
        )

        def receive() -> bool:
            if self.relay is not None:
                if method != "order_status":
                    self.here("the request is at the relay", "relay")
                self.relay.core.router.receive([b"c", b"", body])
                self.relay.core.after_turn()
            return True

        self._guarded(receive)
        return number

    def set_state(self, state: TradingState, told: list[Any]) -> None:
        """
        Halt the terminal or resume, as an administrator; ``told`` gets the answer.
        """

        def receive() -> bool:
            if self.relay is not None:
                moment = Moment.of(self)
                orders = self.relay.core.orders
                if state is TradingState.ACTIVE:
                    orders.resume(ALIAS, _Told(told), moment)
                else:
                    orders.halt(ALIAS, HaltParams(reason="a test"), _Told(told), moment)
                self.relay.core.after_turn()
            return True

        self._guarded(receive)

    # --- ports of the relay ------------------------------------------------------------------------

    def send_multipart(self, frames: list[bytes]) -> None:
        """
        Be the relay's socket of requests.
        """
        reply = decode(frames[-1], max_bytes=1_000_000)
        is_order = reply["ok"] and "outcome" in reply["result"]
        if is_order:
            self.here("the reply is about to be sent", "relay")
        self.replies[reply["id"]] = reply
        if is_order:
            self.here("the reply is sent", "relay")

    def send(self, message: bytes) -> None:
        """
        Be the relay's socket of topics.
        """
        topic, _, body = message.partition(b"\0")
        if topic != f"trade/{ALIAS}".encode():
            return
        told = read_trade(body)
        place, kind = (told.epoch, told.seq), told.kind
        self.here(f"the event {kind} is about to be published", "relay")
        assert self.published.setdefault(place, body) == body, "one number for two events"
        self.here(f"the event {kind} is published", "relay")


class _Told:
    # The reply of an administrator's request.
    def __init__(self, told: list[Any]) -> None:
        self._told = told

    def result(self, result: dict[str, Any]) -> None:
        self._told.append(result)

    def error(self, error: dict[str, Any]) -> None:
        self._told.append(error)


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
