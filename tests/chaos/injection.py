"""What is done to relay, terminal and links, in which order, and how soon they recover from it.

Half of the faults come when everything is up again, the others while something else recovers. Only
what happened alone is measured: an outage in which a second thing broke has no time of its own.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import random
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from bridge.sim.link import Direction, Link

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.actors import RelayProcess, TerminalProcess
    from tests.chaos.watching import Observer, Prober

__all__ = ["Counts", "Fault", "Injector", "Plan", "Recoveries", "StampedLink", "summary"]

#: Bytes that pass before a cut: mostly few, so that logons are hit as well.
_BYTES_MAX = 20_000
#: A link on which nothing passes is cut without waiting for its bytes.
_CUT_WITHIN_S = 2.0
#: How often a fault does not wait until everything is up again.
_AT_ONCE = 0.5
_PAUSE_S = 0.1
#: Longer than any recovery may take.
_RECOVERY_S = 20.0
#: How long a link stays frozen behind its being noticed.
_FROZEN_S = 0.3
#: How often a link is frozen to meet a terminal that is not busy.
_TRIES = 12


class Fault(enum.Enum):
    """
    What can be done.
    """

    CUT = "cut"
    CLIENT_CUT = "cut of a client's connection"
    RELAY = "SIGKILL of the relay"
    TERMINAL = "SIGKILL of the terminal"
    FREEZE = "half-open link"
    STOP = "SIGSTOP of the terminal"


class Plan(Protocol):
    """
    How many of each.
    """

    cuts: int
    relay_kills: int
    terminal_kills: int
    freezes: int
    stops: int


@dataclasses.dataclass(slots=True)
class Counts:
    """
    What was done.
    """

    cuts: int = 0
    relay_kills: int = 0
    terminal_kills: int = 0
    half_open: int = 0


@dataclasses.dataclass(slots=True)
class Recoveries:
    """
    Seconds, one of each undisturbed outage.
    """

    cut_to_tick: list[float] = dataclasses.field(default_factory=list)
    relay_answers: list[float] = dataclasses.field(default_factory=list)
    relay_trades: list[float] = dataclasses.field(default_factory=list)
    terminal_to_tick: list[float] = dataclasses.field(default_factory=list)
    noticed_by_relay: list[float] = dataclasses.field(default_factory=list)
    noticed_by_terminal: list[float] = dataclasses.field(default_factory=list)
    stop_noticed: list[float] = dataclasses.field(default_factory=list)
    #: faults behind which not everything came up again in time
    stuck: list[str] = dataclasses.field(default_factory=list)


def summary(samples: list[float]) -> dict[str, float | int] | None:
    """
    Return count, p50, p95, p99 and maximum; ``None`` without samples.
    """
    if not samples:
        return None
    ordered = sorted(samples)

    def rank(part: float) -> float:
        return round(ordered[max(0, math.ceil(part * len(ordered)) - 1)], 3)

    return {
        "n": len(ordered),
        "p50": rank(0.5),
        "p95": rank(0.95),
        "p99": rank(0.99),
        "max": round(ordered[-1], 3),
    }


class StampedLink(Link):
    """
    A link that knows when a cut came that had to wait for its bytes.
    """

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.cut_at = 0.0
        #: cuts that came
        self.came = 0
        self._cut = threading.Event()
        self._cut.set()

    def cut_at_byte(self, count: int, direction: Direction) -> None:
        """
        Arm a cut behind so many bytes; one that was armed and did not come yet comes now.
        """
        self.finish()
        self._cut.clear()
        self.cut_after(count, direction)

    def finish(self) -> None:
        """
        Let the cut come that is armed.
        """
        if not self._cut.is_set():
            self.cut_now()

    def wait_cut(self, within_s: float) -> bool:
        """
        Wait for the cut that was armed; return whether it came.
        """
        return self._cut.wait(within_s)

    def cut_now(self) -> None:
        """
        Cut all connections instead of waiting for the byte.
        """
        self._do(self._budgets.clear)
        if not self._cut.is_set():
            self.cut_at = time.monotonic()
            self.cut()
            self._note()

    def _cut_behind(self, connection: Any, pipe: Any) -> None:
        self.cut_at = time.monotonic()
        super()._cut_behind(connection, pipe)
        self._note()

    def _note(self) -> None:
        self.came += 1
        self._cut.set()


class Injector:
    """
    Carries out a plan. ``progress(part)`` is called before each fault with the part of the plan
    that is done; it may wait.
    """

    def __init__(
        self,
        rng: random.Random,
        *,
        relay: RelayProcess,
        terminal: TerminalProcess,
        link: StampedLink,
        client_link: StampedLink,
        observer: Observer,
        prober: Prober,
        progress: Callable[[float], None],
    ) -> None:
        self.counts = Counts()
        self.recoveries = Recoveries()
        self._rng = rng
        self._relay = relay
        self._terminal = terminal
        self._link = link
        self._client_link = client_link
        self._observer = observer
        self._prober = prober
        self._progress = progress
        # When the last fault began that everything has not recovered from.
        self._down_since: float | None = None

    def run(self, plan: Plan) -> None:
        """
        Do everything, in an order of chance; at the end everything is up again.
        """
        faults = (
            [Fault.CUT] * (plan.cuts - plan.cuts // 5)
            + [Fault.CLIENT_CUT] * (plan.cuts // 5)
            + [Fault.RELAY] * plan.relay_kills
            + [Fault.TERMINAL] * plan.terminal_kills
            + [Fault.FREEZE] * plan.freezes
            + [Fault.STOP] * plan.stops
        )
        self._rng.shuffle(faults)
        for done, fault in enumerate(faults):
            self._progress(done / len(faults))
            self._relay.check()
            self._terminal.check()
            threading.Event().wait(self._rng.uniform(0, _PAUSE_S))
            half_open = fault in {Fault.FREEZE, Fault.STOP}
            followed = self._rng.random() < _AT_ONCE and not half_open
            if half_open:
                self._recover(fault)
            alone = self._down_since is None
            measure = self._inflict(fault, wait=not followed)
            if followed:
                # The next one comes while this one is being recovered from.
                continue
            if alone and measure is not None:
                measure()
            self._recover(fault)
        self._link.finish()
        self._recover(None)
        self.counts.cuts = self._link.came + self._client_link.came

    def _recover(self, fault: Fault | None) -> None:
        # Wait until a tick comes that was made behind the last fault, and orders are taken.
        if self._down_since is None:
            return
        since = self._down_since
        if self._observer.wait_fresh(since, _RECOVERY_S) is None:
            self._stuck(f"no tick {_RECOVERY_S} s behind {fault}")
        if not self._prober.ready(_RECOVERY_S):
            self._stuck(f"no orders taken {_RECOVERY_S} s behind {fault}")
        self._down_since = None

    def _stuck(self, what: str) -> None:
        self.recoveries.stuck.append(what)

    def _inflict(self, fault: Fault, *, wait: bool) -> Callable[[], None] | None:
        # Do it. Return what measures the recovery, if that can be measured.
        if fault is Fault.CUT:
            return self._cut(wait=wait)
        if fault is Fault.CLIENT_CUT:
            self._cut_clients()
            return None
        if fault is Fault.RELAY:
            return self._kill_relay(wait=wait)
        if fault is Fault.TERMINAL:
            return self._kill_terminal()
        self._half_open(fault)
        return None

    def _cut(self, *, wait: bool) -> Callable[[], None] | None:
        link = self._link
        count = int(math.exp(self._rng.uniform(0, math.log(_BYTES_MAX))))
        link.cut_at_byte(count, self._rng.choice(list(Direction)))
        if not wait:
            # It comes while something else happens.
            self._down_since = time.monotonic()
            return None
        if not link.wait_cut(_CUT_WITHIN_S):
            link.cut_now()
        since = self._down_since = link.cut_at
        return lambda: self._measure_tick(since, self.recoveries.cut_to_tick, "a cut")

    def _cut_clients(self) -> None:
        # Nobody but clients notices: nothing is down.
        count = int(math.exp(self._rng.uniform(0, math.log(_BYTES_MAX))))
        self._client_link.cut_at_byte(count, self._rng.choice(list(Direction)))
        if not self._client_link.wait_cut(_CUT_WITHIN_S):
            self._client_link.cut_now()

    def _kill_relay(self, *, wait: bool) -> Callable[[], None] | None:
        self._relay.kill()
        self.counts.relay_kills += 1
        self._down_since = time.monotonic()
        if not wait:
            self._relay.start()
            return None
        served, thread = self._prober.start(_RECOVERY_S)
        self._relay.start()

        def measure() -> None:
            thread.join(_RECOVERY_S + 5)
            if served.answered_s is None or served.connected_s is None:
                self._stuck(f"a killed relay did not serve within {_RECOVERY_S} s")
                return
            self.recoveries.relay_answers.append(served.answered_s)
            self.recoveries.relay_trades.append(served.connected_s)

        return measure

    def _kill_terminal(self) -> Callable[[], None]:
        self._terminal.kill()
        self.counts.terminal_kills += 1
        since = self._down_since = time.monotonic()
        self._terminal.start()
        return lambda: self._measure_tick(
            since, self.recoveries.terminal_to_tick, "a kill of the terminal"
        )

    def _half_open(self, fault: Fault) -> None:
        # While OrderSend blocks a terminal, silence is what it has announced: a link that dies
        # then passes for a busy one, by design. That happens here as well, but shortly.
        for _ in range(_TRIES):
            if self._silence(fault):
                return
            self._recover(fault)
        self._stuck(f"{fault.value}: the terminal was busy {_TRIES} times")

    def _silence(self, fault: Fault) -> bool:
        # Return whether it was one that has to be noticed.
        frozen = fault is Fault.FREEZE
        told = len(self._terminal.told)
        since = self._down_since = time.monotonic()
        self.counts.half_open += 1
        (self._link.freeze if frozen else self._terminal.pause)()
        threading.Event().wait(_FROZEN_S)
        idle = not self._prober.is_busy()
        at = self._observer.wait_link_down(since, _RECOVERY_S) if idle else None
        if idle:
            threading.Event().wait(_FROZEN_S)
        (self._link.thaw if frozen else self._terminal.go_on)()
        if idle and at is None:
            self._stuck(f"{fault.value}: the relay did not notice it")
        elif idle and at is not None:
            noticed = self.recoveries.noticed_by_relay if frozen else self.recoveries.stop_noticed
            noticed.append(at - since)
            downs = [at for event, at in self._terminal.told[told:] if event == "down"]
            if frozen:
                self.recoveries.noticed_by_terminal += [one - since for one in downs[:1]]
        return idle

    def _measure_tick(self, since: float, samples: list[float], what: str) -> None:
        at = self._observer.wait_fresh(since, _RECOVERY_S)
        if at is None:
            self._stuck(f"no tick {_RECOVERY_S} s behind {what}")
        else:
            samples.append(at - since)
