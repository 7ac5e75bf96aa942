"""A simulated world: clients, a relay, a terminal, a broker, the lines and disks between them.

Everything happens on one virtual clock and comes from one number, the seed: the same seed is the
same run. Faults come by chance until the last order is decided. Then they stop, everything that
is down is started, and every order has to come to an end.
"""

from __future__ import annotations

import dataclasses
import hashlib
import random
from collections.abc import Callable
from typing import Any, Final
from unittest import mock

from bridge.bus.requests import Method
from bridge.relay import holdings
from bridge.relay.checkpoints import Checkpoint
from bridge.sim import trading_events, trading_evidence
from bridge.sim.terminal import TerminalCore
from bridge.wire.messages import New, Query
from tests.simulation.broker import Broker, lending
from tests.simulation.claims import Claim, Said, Wish
from tests.simulation.clients import Strategy, plain
from tests.simulation.hosts import RelayHost, Terminal, TerminalHost, settings_for
from tests.simulation.ledger import SimulatedLedger
from tests.simulation.loop import MS, SECOND, Loop
from tests.simulation.network import Wire
from tests.simulation.store import Disk, SimulatedStore

__all__ = ["Counts", "Options", "Plan", "World"]

#: How long the last answer of the terminal may take, behind the settle time.
_GRACE_US: Final = 5 * SECOND
_LAST_QUESTION_S: Final = 3.0
#: Longer than an order waits for its turn, and its deal until it is told.
_LAST_ORDERS_US: Final = 10 * SECOND
_ASKED_AGAIN: Final = 0.15
_WITHOUT_DEALS: Final = frozenset(
    {Method.POSITION_MODIFY, Method.ORDER_MODIFY, Method.ORDER_CANCEL}
)
#: Orders come in bursts, and faults where orders are: between bursts there is time to settle.
_BETWEEN_US: Final = 6 * SECOND
_STRIKES_US: Final = SECOND


@dataclasses.dataclass(frozen=True)
class Plan:
    """
    How many orders, and how many faults for 1,000 of them.
    """

    orders: int = 5_000
    cuts: float = 27.0
    line_cuts: float = 12.0
    relay_kills: float = 9.4
    terminal_kills: float = 11.6
    client_restarts: float = 2.0
    stalls: float = 3.0
    outages: float = 2.0
    disks: float = 1.0
    moods: float = 3.0
    #: how long a killed terminal is down
    down_ms: tuple[int, int] = (20, 700)
    #: how often a close is asked for that may be under way already
    doubles: float = 0.1
    #: how often a client that holds little closes or changes it all the same
    closing: float = 0.4
    #: netting or hedging, and how long the trade server takes at most; else by chance
    netting: bool | None = None
    execution_ms: int = 0
    #: many answers are lost, and positions show late what was done
    lossy: bool = False
    #: how many clients; else by chance
    clients: int = 0
    in_burst_ms: int = 30
    #: how many orders a burst has
    burst: int = 12


@dataclasses.dataclass
class Options:
    """
    What is put in the place of something; ``two_relays``: a relay that is given up for dead goes
    on, with a copy of the disk.
    """

    make_store: Callable[..., SimulatedStore] = SimulatedStore
    make_ledger: Callable[[bytes], SimulatedLedger] = SimulatedLedger
    make_terminal: Callable[[World, Broker, int], Terminal] = TerminalHost
    two_relays: bool = False


@dataclasses.dataclass
class Counts:
    """
    What happened in a run.
    """

    orders: int = 0
    cuts: int = 0
    relay_kills: int = 0
    terminal_kills: int = 0


class World:
    """
    One run.
    """

    def __init__(
        self,
        seed: int,
        plan: Plan,
        options: Options | None = None,
        traced: str = "",
    ) -> None:
        self.seed = seed
        self.plan = plan
        self.options = options or Options()
        self.loop = Loop()
        self.counts = Counts()
        self.checkpoint = Checkpoint(0, 0, [])
        self.traced = traced
        self.lines: list[str] = []
        self._digest = hashlib.sha256()
        rng = self._rng = self.rng_of("world")
        self.netting = rng.random() < 0.5 if plan.netting is None else plan.netting
        self.settle_ms = rng.choice((4_000, 6_000))
        self.latency_us = rng.choice((100, 300, 1_000, 5_000))
        self.settings = settings_for(self.settle_ms)
        clients = plan.clients or rng.randint(3, 5)
        symbols = [f"EURUSD{place}" for place in range(clients + rng.randint(0, 2))]
        offset_us = rng.randint(1, 10**9)
        self.disk = Disk()
        self.broker = Broker(
            self.loop,
            self.rng_of("broker"),
            seed,
            netting=self.netting,
            symbols=symbols,
            clock_offset_us=offset_us,
            execution_ms=plan.execution_ms,
            lossy=plan.lossy,
        )
        #: the terminal has not reached the new one of two relays yet
        self.first_dial = False
        self._relays = 0
        self._refused_until = 0
        self._calm = self._over = False
        self.relay: RelayHost | None = None
        self.old_relay: RelayHost | None = None
        self.terminal = self.options.make_terminal(self, self.broker, offset_us)
        self.clients = [
            Strategy(self, number, symbols[number::clients]) for number in range(clients)
        ]
        self._start_relay()

    def rng_of(self, name: str) -> random.Random:
        """
        Return a generator of its own for a part of the world.
        """
        return random.Random(f"{self.seed}/{name}")

    # --- the run -----------------------------------------------------------------------------

    def run(self) -> None:
        """
        Let it all happen.
        """
        # Times that only cost: what is open is read after every event of the account, a session
        # begins with the last minute's events, though here none is later than seconds, and an
        # order is looked for in a whole day, though here all clocks of the broker agree.
        with (
            lending(),
            mock.patch.object(holdings, "_BETWEEN_US", 5 * SECOND),
            mock.patch.object(trading_events, "_OVERLAP_MSC", 10_000),
            mock.patch.object(trading_evidence, "_MARGIN_MSC", 60_000),
        ):
            self._run()

    def _run(self) -> None:
        self._faults = [
            (rate / 1_000, fault)
            for rate, fault in (
                (self.plan.cuts, self._cut),
                (self.plan.line_cuts, self._cut_line),
                (self.plan.relay_kills, self._kill_relay),
                (self.plan.terminal_kills, self._kill_terminal),
                (self.plan.client_restarts, self._restart_client),
                (self.plan.stalls, self._stall),
                (self.plan.outages, self._outage),
                (self.plan.disks, self._fill_disk),
                (self.plan.moods, self.broker.change_mood),
            )
        ]
        self.loop.after(SECOND, self._burst)
        self.loop.run(lambda: self.counts.orders >= self.plan.orders)
        self._stop_faults()
        patience_us = self.terminal.patience_us
        deadline_us = self.loop.now + patience_us + self.settle_ms * 1000 + _GRACE_US
        self.loop.run(lambda: False, deadline_us)
        self._last_questions()
        # What the journal still has to hear of the account, when nothing more happens to it.
        self._over = True
        self.broker.close_market()
        self.loop.run(lambda: False, self.loop.now + _LAST_ORDERS_US)

    def close(self) -> None:
        """
        End what of it is outside of this process.
        """
        self.terminal.close()

    @property
    def calm(self) -> bool:
        """
        Whether nothing happens any more that was not asked for.
        """
        return self._calm

    @property
    def over(self) -> bool:
        """
        Whether nobody asks for anything any more.
        """
        return self._over

    @property
    def digest(self) -> str:
        """
        The same for the same run.
        """
        return self._digest.hexdigest()

    def wishes(self) -> list[Wish]:
        """
        Return all that was wanted.
        """
        return [wish for client in self.clients for wish in client.wishes.values()]

    def _burst(self) -> None:
        if self._calm:
            return
        rng = self._rng
        size = rng.randint(1, 2 * self.plan.burst - 1)
        at_us = self.loop.now
        for _ in range(size):
            self.loop.at(at_us, self._decide)
            at_us += int(rng.expovariate(1 / self.plan.in_burst_ms) * MS)
        for rate, fault in self._faults:
            expected = rate * size
            while rng.random() < expected:
                expected -= 1
                span = _STRIKES_US if rng.random() < 0.85 else _BETWEEN_US
                self.loop.after(rng.randint(0, span), self._strike, fault)
        self.loop.at(at_us + int(rng.uniform(0.2, 1.8) * _BETWEEN_US), self._burst)

    def _decide(self) -> None:
        if not self._calm:
            self.counts.orders += 1
            self._rng.choice(self.clients).decide(self.counts.orders)

    def _strike(self, fault: Callable[[], None]) -> None:
        if not self._calm:
            fault()

    def _last_questions(self) -> None:
        # Of everything whose end is not known, or may be another one by now.
        for client in self.clients:
            for wish in client.wishes.values():
                last = wish.claims[-1]
                open_end = not wish.over or not last.final or last.outcome in {"PLACED", "PARTIAL"}
                # What was executed may have been told before its deals could be seen. Another end
                # without deals is mostly true for ever: some of those are asked about anew.
                dealt = bool((last.result or {}).get("deals", True))
                early = last.outcome == "DONE" and wish.method not in _WITHOUT_DEALS
                if open_end or (not dealt and (early or self._rng.random() < _ASKED_AGAIN)):
                    self._ask_last(client, wish)
        self.loop.run(lambda: False, self.loop.now + int(_LAST_QUESTION_S * SECOND) + SECOND)

    def _ask_last(self, client: Strategy, wish: Wish) -> None:
        claim = Claim(self.loop.now, traded=False, asked_last=True)
        wish.claims.append(claim)
        self.trace(wish, "asks", "the last question")

        def done(value: Any, error: Any) -> None:
            wish.hears(claim, self.loop.now)
            if error is None:
                claim.said, claim.result = Said.RESULT, plain(value)
            elif error.code == "NOT_AVAILABLE":
                claim.said = Said.UNHEARD
            claim.error = "" if error is None else f"{error.code}: {error.message}"
            self.trace(wish, "told", claim.error or f"{claim.outcome} final={claim.final}")

        flow = client.calls.status(wish.name, None, None)
        client.run(flow, _LAST_QUESTION_S, done)

    # --- what the others tell -------------------------------------------------------------------

    def trace(self, wish: Wish, what: str, text: str) -> None:
        """
        Note a part of the life of an order, if it is the one that is looked at.
        """
        if self.traced and wish.command_id == self.traced:
            self.note(f"{wish.command_id} {what}: {text}")

    def note(self, text: str) -> None:
        """
        Note what happened, if anybody looks.
        """
        if self.traced:
            self.lines.append(f"{self.loop.now / SECOND:12.6f}  {text}")

    def told(self, wish: Wish, claim: Claim) -> None:
        """
        A client got an answer.
        """
        line = f"{self.loop.now} {wish.command_id} {claim.said.value} {claim.outcome}\n"
        self._digest.update(line.encode())

    def watch_terminal(self, core: TerminalCore) -> None:
        """
        A terminal's program was started.
        """
        if not self.traced:
            return
        trading = core.trading
        for kind, name in ((New, "new"), (Query, "query")):
            call = core._answer[kind]

            def seen(message: Any, name: str = name, call: Any = call) -> None:
                ids = getattr(message, "command_ids", None) or (message.command_id,)
                if self.traced in ids:
                    epoch = getattr(message, "relay_epoch", "")
                    self.note(f"the terminal hears {name} {epoch} of {self.traced}")
                call(message)

            core._answer[kind] = seen
        take = trading.take

        def taken() -> Any:
            messages = take()
            for message in messages:
                if getattr(message, "command_id", "") == self.traced:
                    self.note(f"the terminal says {message}")
            return messages

        trading.take = taken  # type: ignore[method-assign]  # an observer

    def connected(self, wire: Wire) -> None:
        """
        The terminal has dialled: perhaps the line will not last.
        """
        if not self._calm and self._rng.random() < 0.15:
            direction = self._rng.choice(("up", "down"))
            wire.cut_after(direction, self._rng.randrange(1, 3_000))
            self.counts.cuts += 1

    def dialled(self) -> RelayHost | None:
        """
        Return who answers at the relay's port now.
        """
        if self.loop.now < self._refused_until:
            return None
        old = self.old_relay
        if old is not None and not self.first_dial and self._rng.random() < 0.5:
            return old
        # The new one is the first to be reached: from here on the terminal knows of it.
        self.first_dial = self.first_dial and self.relay is None
        return self.relay

    # --- faults -------------------------------------------------------------------------------------

    def _cut(self) -> None:
        wire = self.terminal.wire
        if wire is None or not wire.up:
            return
        self.counts.cuts += 1
        self.note("the line between terminal and relay is cut")
        if self._rng.random() < 0.5:
            wire.cut()
        else:
            wire.cut_after(self._rng.choice(("up", "down")), self._rng.randrange(1, 600))
        if self._rng.random() < 0.1:
            self._refused_until = self.loop.now + self._rng.randint(50 * MS, SECOND)

    def _cut_line(self) -> None:
        client = self._rng.choice(self.clients)
        if client.line.connected:
            self.counts.cuts += 1
            client.line.cut()
            self.loop.after(self._rng.randint(30 * MS, 400 * MS), self._join, client)

    def _stall(self) -> None:
        wire = self.terminal.wire
        if wire is not None and wire.up:
            self.note("the line stands still")
            dead = self._rng.random() < 0.3
            self.counts.cuts += dead
            longest = self._rng.choice((SECOND // 2, SECOND, 5 * SECOND))
            wire.stall(self._rng.randint(100 * MS, longest), dead=dead)

    def _kill_relay(self) -> None:
        if self.relay is None:
            return
        self.counts.relay_kills += 1
        self.note("the relay is killed")
        old, self.relay = self.relay, None
        if self.options.two_relays and self.old_relay is None:
            self._split(old)
        else:
            old.kill()
        for client in self.clients:
            client.line.cut()
        down_us = self._rng.randint(20 * MS, 500 * MS)
        self.loop.after(down_us // (10 if self.old_relay else 1), self._start_relay)

    def _split(self, old: RelayHost) -> None:
        # It goes on, on a disk of its own; the new one has a copy.
        self.old_relay = old
        self.disk = self.disk.copy()
        self.first_dial = True
        for wire in old.wires:
            wire.cut()
        for _ in range(4):
            # The terminal goes to and fro between the two.
            self.loop.after(self._rng.randint(300 * MS, 3 * SECOND), self._strike, self._cut)

        def end() -> None:
            old.kill()
            self.old_relay = None

        self.loop.after(self._rng.randint(5 * SECOND, 30 * SECOND), end)

    def _start_relay(self) -> None:
        if self.relay is None:
            self._relays += 1
            self.relay = RelayHost(self, self.disk, self.rng_of(f"relay/{self._relays}"))
            self.note(f"relay {self.relay.epoch} starts")
            for client in self.clients:
                self.loop.after(self._rng.randint(5 * MS, 300 * MS), self._join, client)

    def _join(self, client: Strategy) -> None:
        if self.relay is not None and not client.line.connected:
            self.relay.join(client.line, self._rng.randbytes(5))

    def _kill_terminal(self) -> None:
        if not self.terminal.alive:
            return
        power = self._rng.random() < 0.4
        self.note("the terminal is killed" + (", by a power loss" if power else ""))
        self.terminal.kill(power=power)
        self.terminal_died()

    def terminal_died(self) -> None:
        """
        The terminal's program is gone: somebody starts it again.
        """
        self.counts.terminal_kills += 1
        self.note("the terminal is gone")
        low, high = self.plan.down_ms
        self.loop.after(self._rng.randint(low * MS, high * MS), self._start_terminal)

    def _start_terminal(self) -> None:
        self.note("the terminal starts")
        self.terminal.start()

    def _restart_client(self) -> None:
        client = self._rng.choice(self.clients)
        client.line.cut()
        client.restart()
        self.loop.after(self._rng.randint(30 * MS, 400 * MS), self._join, client)

    def _outage(self) -> None:
        if self.broker.exchange.rules.connected:
            self.note("the trade server is away")
            longest = self._rng.choice((SECOND, SECOND, 4 * SECOND))
            self.broker.disconnect(self._rng.randint(200 * MS, longest))

    def _fill_disk(self) -> None:
        chance = self._rng.random()
        duration = self._rng.randint(100 * MS, self._rng.choice((SECOND // 2, 3 * SECOND)))
        if chance < 0.3:
            self.terminal.break_ledger()
            self.loop.after(duration, self.terminal.mend_ledger)
        elif self.relay is not None:
            self.note("the relay's disk is full")
            self.relay.fill_disk(spare=chance < 0.6)
            self.loop.after(duration, self._free_disk)

    def _free_disk(self) -> None:
        if self.relay is not None:
            self.relay.free_disk()

    def _stop_faults(self) -> None:
        self.note("faults stop")
        self._calm = True
        self._refused_until = 0
        self.broker.calm()
        self.terminal.calm()
        self._free_disk()
        if self.old_relay is not None:
            self.old_relay.kill()
            self.old_relay = None
        self._start_relay()
        self.terminal.start()
        for client in self.clients:
            client.line.calm = True
        if not self.broker.exchange.rules.connected:
            self.broker.disconnect(0)
