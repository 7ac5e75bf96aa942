"""The steps of a demo. Everything is triggered by numbers of ticks, so that it happens in
the middle of the stream at any speed.

::

     0 %  subscribe, ticks begin
    20 %  the link is cut while ticks are being sent
    40 %  the relay is killed while ticks are being sent, and started again
    70 %  a second subscriber joins while ticks go on
    80 %  the link is cut again
   100 %  everybody has everything; then orders are sent (``orders``)

Before each of them the subscriber has caught up, so that what is lost afterwards was lost
there. Behind it ticks go on: what the market does during an outage is part of the claim.
A step that does not come to its end is a claim that did not hold.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from bridge.cli.demo.audience import Subscriber, compare_late, latency
from bridge.cli.demo.orders import OrderSteps
from bridge.cli.demo.report import Check, Late, Orders, Report
from bridge.cli.demo.show import Show
from bridge.cli.demo.source import Expected, TickSource, combined
from bridge.cli.demo.stage import ALIAS, Stage
from bridge.cli.demo.terminals import ACCOUNT
from bridge.exceptions import BridgeError

__all__ = ["TICKS_MIN", "Scenario"]

#: With fewer there is no middle of the stream to cut.
TICKS_MIN: Final = 100
_STALL_S: Final = 20.0
_LOOK_AGAIN_S: Final = 0.002
_LIVE_EVERY_S: Final = 0.25
_LINE_EVERY_S: Final = 1.0
_MARKS: Final = (0.2, 0.4, 0.7, 0.8)
#: Of all ticks: sent while something is being broken, and made by the market right after it.
_BURST: Final = 0.02
_KILLED: Final = "relay killed"


class _Stalled(Exception):
    # A step did not come to its end; the text says what was waited for.
    pass


class Scenario:
    """
    One run. ``run`` returns the report, also of a run in which something did not hold.

    ``expected`` is what must arrive of each symbol, ``speed`` ``None`` for as fast as it goes.
    """

    def __init__(
        self,
        source: TickSource,
        expected: Mapping[str, Expected],
        speed: float | None,
        show: Show,
        *,
        keep: bool,
        terminal: str = "simulated",
    ) -> None:
        self._source = source
        self._expected = expected
        self._speed = speed
        self._total = sum(one.ticks for one in expected.values())
        self._show = show
        self._keep = keep
        self._terminal = terminal
        self._stage: Stage
        self._subscriber: Subscriber | None = None
        self._late: Subscriber | None = None
        self._orders: OrderSteps | None = None
        self._cuts = 0
        self._failed: list[Check] = []
        self._started = time.monotonic()
        self._shown_at = 0.0
        self._shown_received = 0

    def run(self) -> Report:
        """
        Play everything and return what held.

        Raises:
            BridgeError: a part could not be started at all.
            OSError: a file cannot be read.
        """
        self._started = time.monotonic()
        with Stage(self._source, self._speed, keep=self._keep, terminal=self._terminal) as stage:
            self._stage = stage
            self._open(stage)
            try:
                self._steps(stage)
            except _Stalled as stalled:
                self._failed.append(Check("every_step_ends", ok=False, detail=str(stalled)))
            except BridgeError as error:
                self._failed.append(Check("every_step_ends", ok=False, detail=str(error)))
            finally:
                self._show.close()
            return self._report(stage)

    # --- the steps --------------------------------------------------------------------------

    def _open(self, stage: Stage) -> None:
        say = self._show.say
        if self._keep:
            say(f"folder        {stage.home}")
        stage.start()
        say(f"relay         process {stage.relay.pid}, endpoints on free ports:")
        for name, endpoint in stage.relay.endpoints.items():
            say(f"                {name:<9} {endpoint}")
        say(
            f"terminal      {ALIAS} connected ({stage.terminal.kind}, {ACCOUNT.trade_mode.name}), "
            f"account {ACCOUNT.login}, {ACCOUNT.server}"
        )
        self._subscriber = stage.subscriber()
        say(f"subscriber    joined, {len(stage.symbols)} symbols ({self._source.name})")
        self._subscriber.start()

    def _steps(self, stage: Stage) -> None:
        cut_1, kill, join, cut_2 = (int(self._total * mark) for mark in _MARKS)
        # A terminal that loads a symbol's history begins its stream when it has it, and with
        # the tick of that moment.
        self._settle(stage)
        self._play_until(stage, cut_1)
        self._break(stage, "link cut", self._cut, until=kill)
        self._play_until(stage, kill)
        self._break(stage, _KILLED, stage.relay.kill, until=join)
        self._play_until(stage, join)
        self._join_late(stage, cut_2 - stage.played)
        self._play_until(stage, cut_2)
        self._break(stage, "link cut", self._cut, until=self._total)
        self._play_until(stage, self._total)
        self._wait("the late subscriber has everything", self._late_has_everything)
        self._orders = stage.orders()
        if self._orders is not None:
            self._orders.run(self._show.say)

    def _play_until(self, stage: Stage, count: int) -> None:
        if count > stage.played:
            self._play(stage, count - stage.played)
        self._settle(stage)

    def _play(self, stage: Stage, count: int) -> None:
        stage.play(count)
        self._wait_played(stage)

    def _wait_played(self, stage: Stage) -> None:
        # However long the market takes for that: there may be hours between two ticks.
        while stage.playing:
            stage.terminal.check()
            self._look()

    def _settle(self, stage: Stage) -> None:
        self._wait(
            f"the subscriber has {stage.played} ticks", lambda: self._received >= stage.played
        )
        stage.send_times.steady = True

    def _break(self, stage: Stage, what: str, action: Callable[[], None], *, until: int) -> None:
        # In the middle of a burst, in the thread that sends it.
        burst = max(2, int(self._total * _BURST))
        stage.send_times.steady = False
        broken = threading.Event()
        began = time.monotonic()
        before = stage.terminal.reconnects

        def strike() -> None:
            action()
            broken.set()

        stage.terminal.when_sent(burst // 2, strike)
        self._play(stage, burst)
        self._wait(f"{what} in the middle of {burst} ticks", broken.is_set)
        self._show.say(f"{what:<13} after {self._received} of {self._total} ticks received")
        reached = stage.played
        # The market does not wait for us. At full speed it would have no ticks left for later.
        ahead = until - stage.played
        stage.play(min(burst, ahead) if self._speed is None else ahead)
        if what == _KILLED:
            stage.relay.start()
            self._show.say(f"  restarted   process {stage.relay.pid}, same endpoints")
        self._wait("the terminal has reconnected", lambda: stage.terminal.reconnects > before)
        self._wait(f"the subscriber has {reached} ticks", lambda: self._received >= reached)
        took = time.monotonic() - began
        self._show.say(f"  healed      after {took:.1f} s, {self._received} ticks received")
        # At full speed there is a queue now, and its length would be measured.
        stage.send_times.steady = self._speed is not None
        self._wait_played(stage)

    def _cut(self) -> None:
        self._stage.link.cut()
        self._cuts += 1

    def _join_late(self, stage: Stage, count: int) -> None:
        # Joining takes longer than playing at full speed: play small parts meanwhile.
        joined: list[Subscriber] = []
        problems: list[BridgeError] = []

        def join() -> None:
            try:
                joined.append(stage.subscriber())
            except BridgeError as error:
                problems.append(error)

        thread = threading.Thread(target=join, name="demo late subscriber", daemon=True)
        thread.start()
        part = max(1, count // 50)
        left = count
        while thread.is_alive():
            if left >= part:
                self._play(stage, part)
                left -= part
            self._look()
        if problems:
            raise problems[0]
        self._late = joined[0]
        self._late.start()
        self._show.say(f"late joiner   after {self._received} of {self._total} ticks received")

    # --- waiting ----------------------------------------------------------------------------

    @property
    def _received(self) -> int:
        return 0 if self._subscriber is None else self._subscriber.received

    def _late_has_everything(self) -> bool:
        first, late = self._subscriber, self._late
        return (
            first is not None
            and late is not None
            and all(
                numbers[-1:] == late.numbers[symbol][-1:]
                for symbol, numbers in first.numbers.items()
            )
        )

    def _wait(self, what: str, condition: Callable[[], bool]) -> None:
        # By progress, not by a total time: a slow machine may take as long as it needs.
        seen, since = self._progress(), time.monotonic()
        while not condition():
            self._look()
            progress = self._progress()
            if progress != seen:
                seen, since = progress, time.monotonic()
            elif time.monotonic() - since > _STALL_S:
                raise _Stalled(f"waited {_STALL_S:g} s in vain until {what}")

    def _progress(self) -> tuple[int, int]:
        # Not the bytes on the link: heartbeats are none.
        return self._received, 0 if self._late is None else self._late.received

    def _look(self) -> None:
        for subscriber in (self._subscriber, self._late):
            if subscriber is not None and subscriber.error is not None:
                raise subscriber.error
        now = time.monotonic()
        every = _LIVE_EVERY_S if self._show.is_terminal else _LINE_EVERY_S
        if now - self._shown_at >= every:
            rate = (self._received - self._shown_received) / (now - self._shown_at)
            if self._shown_at:
                self._show.live(
                    f"  ticks       {self._received:,} of {self._total:,} received, {rate:,.0f} a second"
                )
            self._shown_at, self._shown_received = now, self._received
        time.sleep(_LOOK_AGAIN_S)

    # --- the end ----------------------------------------------------------------------------

    def _report(self, stage: Stage) -> Report:
        first, late, orders = self._subscriber, self._late, self._orders
        if first is None:
            raise AssertionError("a report without a subscriber")
        for subscriber in filter(None, (first, late)):
            subscriber.close()
        reconnects = stage.terminal.reconnects
        stage.end_terminal()
        got = first.digests()
        compared = None if late is None else compare_late(first, late)
        stopped = _stop(stage)
        return Report(
            terminal=self._terminal,
            source=self._source.name,
            speed=self._speed,
            symbols=len(stage.symbols),
            sent=self._total,
            received=first.received,
            gaps=first.gaps,
            replayed=first.replayed,
            backlog=first.backlog,
            link_cuts=self._cuts,
            reconnects=reconnects,
            relay_restarts=stage.relay.starts - 1,
            digest_sent=combined(self._expected),
            digest_received=combined(got),
            latency=latency(stage.send_times, first),
            late=compared,
            orders=Orders() if orders is None else orders.orders,
            duration_s=time.monotonic() - self._started,
            checks=[
                *self._failed,
                *self._tick_checks(first, got),
                *self._fault_checks(stage, reconnects),
                _late_check(compared),
                *(() if orders is None else orders.checks),
                stopped,
            ],
        )

    def _tick_checks(self, first: Subscriber, got: Mapping[str, Expected]) -> list[Check]:
        differing = [name for name, one in self._expected.items() if got.get(name) != one]
        return [
            Check(
                "all_ticks_received",
                ok=first.received == self._total,
                detail=f"{first.received} of {self._total}",
            ),
            Check("no_gap", ok=first.gaps == 0, detail=f"{first.gaps} gaps told"),
            Check(
                "ticks_equal",
                ok=not differing,
                detail=f"time_msc, bid and ask of {len(self._expected)} symbols, by SHA-256"
                if not differing
                else f"not those of {', '.join(differing[:5])}",
            ),
        ]

    def _fault_checks(self, stage: Stage, reconnects: int) -> list[Check]:
        restarts = stage.relay.starts - 1
        return [
            Check(
                "link_cut_and_healed",
                ok=self._cuts >= 2 and reconnects >= self._cuts,
                detail=f"{self._cuts} cuts, {reconnects} reconnects",
            ),
            Check(
                "relay_killed_and_restarted",
                ok=stage.relay.kills >= 1 and restarts == stage.relay.kills,
                detail=f"killed {stage.relay.kills}, restarted {restarts} on the same ports",
            ),
        ]


def _late_check(late: Late | None) -> Check:
    if late is None:
        return Check("late_subscriber_consistent", ok=False, detail="it never joined")
    return Check(
        "late_subscriber_consistent",
        ok=late.consistent,
        detail=f"joined behind tick {late.joined_after}, {late.compared} of its "
        f"{late.received} ticks equal to those of the first",
    )


def _stop(stage: Stage) -> Check:
    try:
        code = stage.relay.stop()
    except BridgeError as error:
        return Check("relay_stops_in_order", ok=False, detail=str(error))
    return Check("relay_stops_in_order", ok=code == 0, detail=f"exit code {code}")
