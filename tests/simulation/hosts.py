"""The two programs that are killed and started again: the relay and the terminal."""

from __future__ import annotations

import random
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Protocol

from bridge.config import Key, Settings
from bridge.exceptions import JournalError
from bridge.journal import Journal
from bridge.relay.checkpoints import Checkpoint
from bridge.relay.core import RelayCore, begin_epoch
from bridge.sim.ledger import LedgerError
from bridge.sim.terminal import TerminalCore
from tests.simulation.broker import Broker
from tests.simulation.ledger import SimulatedLedger
from tests.simulation.loop import MS, Alarm, Loop
from tests.simulation.network import BusLine, Wire
from tests.simulation.store import Disk, SimulatedStore

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["ALIAS", "KEY", "UTC_MSC", "RelayHost", "Terminal", "TerminalHost", "settings_for"]

ALIAS: Final = "demo"
KEY: Final = bytes(range(32))
INCARNATION: Final = bytes(range(16))
#: UTC when the world begins
UTC_MSC: Final = 1_704_873_600_000
#: how often the relay looks at its timers
_GRID_US: Final = 50 * MS
#: how often the terminal's program looks at what came and at its broker, as a timer would
_LOOK_US: Final = 10 * MS
_TURNS_MAX: Final = 50


class _Clock:
    # The relay's clocks: one that only goes forward from anywhere, and UTC, which may be wrong.
    def __init__(self, loop: Loop, offset_us: int, skew_msc: int) -> None:
        self._loop = loop
        self._offset_us = offset_us
        self._utc_msc = UTC_MSC + skew_msc

    def now_us(self) -> int:
        return self._loop.now + self._offset_us

    def utc_msc(self) -> int:
        return self._utc_msc + self._loop.now // 1000


class _Published:
    # The XPUB socket without subscribers: the journal has what counts.
    def send(self, frame: bytes, *_: Any) -> None:
        pass

    def recv(self, *_: Any) -> bytes:
        raise AssertionError("nobody subscribes")


class RelayHost:
    """
    One relay's process, from its start to its end.
    """

    def __init__(self, world: World, disk: Disk, rng: random.Random) -> None:
        self.alive = True
        self.wires: dict[Wire, None] = {}
        self._world = world
        self._loop = world.loop
        self._lines: dict[bytes, BusLine] = {}
        self._calls: deque[Any] = deque()
        self._running = False
        self.clock = _Clock(world.loop, rng.randint(1, 10**9), rng.randint(-5_000, 5_000))
        #: on disk before anything is served with it
        epoch, world.checkpoint = begin_epoch(world.checkpoint, self.clock.utc_msc())
        self.epoch = epoch
        self.store: SimulatedStore = world.options.make_store(
            disk, deliver=self._deliver, loop=world.loop, rng=rng
        )
        self.journal = Journal(self.store)
        self.journal.load()
        self.core = RelayCore(
            world.settings,
            {ALIAS: Key(KEY)},
            self.journal,
            saved=world.checkpoint,
            epoch=epoch,
            publish=_Published(),
            request=self,
            clock=self.clock,
            random_bytes=rng.randbytes,
            program="simulated relay",
            save_checkpoint=self._save,
        )
        self._alarm = Alarm(world.loop, self._tick)
        self._turn()

    # --- the bus ---------------------------------------------------------------------------

    def join(self, line: BusLine, identity: bytes) -> None:
        """
        A client connects.
        """
        self._lines[identity] = line
        line.connect(self, identity)

    def take(self, line: BusLine, identity: bytes, frame: bytes) -> None:
        if self.alive:
            self._lines[identity] = line
            self.core.router.receive([identity, frame])
            self._turn()

    def send_multipart(self, frames: list[bytes]) -> None:
        """
        Send a reply: ROUTER drops what is for nobody.
        """
        line = self._lines.get(frames[0])
        if line is not None and line.identity == frames[0]:
            line.reply(frames[-1])

    # --- the terminal's port -----------------------------------------------------------------

    def accept(self, terminal: Terminal, rng: random.Random, latency_us: int) -> Wire:
        """
        A terminal dials.
        """
        link = self.core.links.new_link()
        wire = Wire(self._loop, rng, link, terminal, self._turn, latency_us)
        self.wires[wire] = None
        if len(self.wires) > 8:
            self.wires = {one: None for one in self.wires if one.up}
        return wire

    # --- life ------------------------------------------------------------------------------------

    def kill(self) -> None:
        """
        Be no more, at once.
        """
        self.alive = False
        self._alarm.off()
        self.store.crash()
        for wire in self.wires:
            wire.relay_gone()

    def fill_disk(self, *, spare: bool) -> None:
        """
        Let the disk take nothing, or with ``spare`` only what the kept room is for.
        """
        self.store.full = JournalError("the disk is full", writable=spare)

    def free_disk(self) -> None:
        """
        There is room again.
        """
        self.store.full = None
        self._turn()

    def _save(self, checkpoint: Checkpoint) -> None:
        if self.alive:
            self._world.checkpoint = checkpoint

    def _deliver(self, call: Any) -> None:
        # As ``call_soon_threadsafe``: soon, in order, never inside of what runs now.
        self._calls.append(call)
        if len(self._calls) == 1:
            self._loop.at(self._loop.now, self._run_calls)

    def _run_calls(self) -> None:
        calls = self._calls
        while calls and self.alive:
            calls.popleft()()
        calls.clear()
        self._turn()

    def _turn(self) -> None:
        if self.alive:
            self.core.after_turn()
            self._set_alarm()

    def _tick(self) -> None:
        self.core.tick()
        self.core.after_turn()
        self._set_alarm()

    def _set_alarm(self) -> None:
        # The relay looks at its timers every 50 ms: what is due waits for that.
        due = self.core.next_deadline() - self.clock.now_us() + self._loop.now
        self._alarm.set(max(_grid(due, _GRID_US), self._loop.now + MS))


class Terminal(Protocol):
    """
    The terminal's machine, as the world deals with it.
    """

    @property
    def alive(self) -> bool:
        """
        Whether the program runs.
        """

    @property
    def patience_us(self) -> int:
        """
        How long it may wait for an answer that does not come.
        """

    @property
    def wire(self) -> Wire | None:
        """
        The connection, if one is up.
        """

    def start(self) -> None:
        """
        Start the program, if it does not run.
        """

    def kill(self, *, power: bool = False) -> None:
        """
        Be no more, at once.
        """

    def close(self) -> None:
        """
        Leave nothing behind.
        """

    def break_ledger(self) -> None:
        """
        Let nothing be written to the ledger.
        """

    def mend_ledger(self) -> None:
        """
        Let it be written to again.
        """

    def calm(self) -> None:
        """
        Let nothing more go wrong with the terminal itself.
        """

    def arrived(self, wire: Wire, data: bytes) -> None:
        """
        Bytes wait in the socket; none: the connection ended.
        """


class TerminalHost:
    """
    The terminal's machine: its program, which is killed and started, and its ledger, which stays.
    """

    def __init__(self, world: World, broker: Broker, clock_offset_us: int) -> None:
        self.broker = broker
        self.ledger: SimulatedLedger = world.options.make_ledger(INCARNATION)
        self.core: TerminalCore | None = None
        self._world = world
        self._loop = world.loop
        self._rng = world.rng_of("terminal")
        self._offset_us = clock_offset_us
        self._alarm = Alarm(world.loop, self._step)
        self._wire: Wire | None = None
        self._inbox: deque[bytes] = deque()
        self._starts = 0
        broker.stirred = self._step
        self.start()

    def start(self) -> None:
        """
        Start the program, with nothing but its ledger.
        """
        if self.core is not None:
            return
        self._starts += 1
        self.broker.advance()
        self.broker.synchronise()
        self.core = TerminalCore(
            key=KEY,
            key_id=ALIAS,
            account=self.broker.account,
            market=self.broker.market,
            incarnation=self.ledger.incarnation,
            connection_counter=self.ledger.connection_counter,
            commit_counter=self.ledger.commit_counter,
            seed=self._starts,
            exchange=self.broker.exchange,
            ledger=self.ledger,
        )
        self._world.watch_terminal(self.core)
        self._step()

    def kill(self, *, power: bool = False) -> None:
        """
        Be no more, at once; with ``power`` the disk forgets what was not synced.
        """
        if self.core is None:
            return
        self.broker.advance()
        self.core = None
        self._inbox.clear()
        self._hang_up()
        if power:
            self.ledger.lose_power()
        self.broker.forget_unsent()
        self._step()

    def close(self) -> None:
        """
        Nothing: all of it is in this process.
        """

    def break_ledger(self) -> None:
        """
        Let every write to the ledger fail.
        """
        self.ledger.broken = True

    def mend_ledger(self) -> None:
        """
        It can be written to again.
        """
        self.ledger.broken = False

    def calm(self) -> None:
        self.mend_ledger()

    @property
    def patience_us(self) -> int:
        """
        None: the call ends before.
        """
        return 0

    @property
    def alive(self) -> bool:
        """
        Whether the program runs.
        """
        return self.core is not None

    @property
    def wire(self) -> Wire | None:
        """
        The connection, if one is up.
        """
        return self._wire

    def arrived(self, wire: Wire, data: bytes) -> None:
        if wire is self._wire:
            self._inbox.append(data)
            self._alarm.set(_grid(self._loop.now + 1, _LOOK_US))

    # --- inside --------------------------------------------------------------------------------

    @property
    def _now(self) -> int:
        return self._loop.now + self._offset_us

    def _step(self) -> None:
        core = self.core
        if core is None:
            self.broker.advance()
            self._set_alarm(None)
            return
        now = self._now
        for _ in range(_TURNS_MAX):
            self._receive(core)
            core.poll(now)
            self._send(core)
            moved = self._tend(core)
            if self.core is not core:
                return
            if not moved and core.next_deadline() > now:
                break
        self._set_alarm(core)

    def _set_alarm(self, core: TerminalCore | None) -> None:
        if core is not None and self._now < core._blocked_until_us:
            # While a call blocks nothing is looked at; the broker catches up behind it.
            self._alarm.set(_grid(core._blocked_until_us - self._offset_us, _LOOK_US))
            return
        due = self.broker.next_deadline()
        times = [] if due is None else [due]
        if core is not None:
            times.append(core.next_deadline() - self._offset_us)
            events = core.trading._events  # type: ignore[attr-defined]  # no port tells it
            # With its queue full, after the next ack.
            if events._on and not events._queue:
                times.append(events._next_look_us - self._offset_us)
            if core.trading._queue:  # type: ignore[attr-defined]  # nor that one waits
                times.append(self._loop.now + 20 * MS)
        if times:
            self._alarm.set(_grid(max(min(times), self._loop.now + 1), _LOOK_US))

    def _send(self, core: TerminalCore) -> None:
        wire = self._wire
        if wire is None:
            return
        data = core.data_to_send()
        if data and not wire.send(data):
            self._lose(core)

    def _receive(self, core: TerminalCore) -> None:
        while self._inbox and self._wire is not None:
            if not (core.closing or core.wants_to_receive):
                break
            data = self._inbox.popleft()
            if data:
                core.data_received(data, self._now)
            else:
                self._lose(core)

    def _tend(self, core: TerminalCore) -> bool:
        if self._wire is None:
            if not core.may_connect(self._now):
                return False
            return self._dial(core)
        if core.closing and not core.wants_to_send:
            self._lose(core)
            return True
        return False

    def _dial(self, core: TerminalCore) -> bool:
        relay = self._world.dialled()
        if relay is None:
            core.connection_lost(self._now)
            return True
        wire = relay.accept(self, self._rng, self._world.latency_us)
        self._wire = wire
        self._inbox.clear()
        self._world.connected(wire)
        try:
            core.connection_made(self._now)
        except LedgerError:
            # A program whose counter cannot be written ends; it is started again.
            self.kill()
            self._loop.after(500 * MS, self.start)
            return False
        return True

    def _hang_up(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.hang_up()

    def _lose(self, core: TerminalCore) -> None:
        self._hang_up()
        self._inbox.clear()
        core.connection_lost(self._now)


def _grid(at_us: int, step_us: int) -> int:
    return -(-at_us // step_us) * step_us


def settings_for(settle_ms: int) -> Settings:
    """
    Return the relay's settings.
    """
    return Settings.model_validate(
        {
            "terminals": {
                ALIAS: {
                    "key_file": "demo.key",
                    "trading": {
                        "enabled": True,
                        "settle_ms": settle_ms,
                        "max_orders_per_minute": 0,
                    },
                }
            },
            # No tick streams here: nothing of it changes.
            "ticks": {"checkpoint_interval_s": 60.0},
            "session": {"heartbeat_interval_ms": 3_000, "silence_limit_ms": 9_000},
        }
    )
