"""Sources of ticks with their subscribers, and single measured runs of them.

A source is anything that publishes the benchmark's messages: the relay fed by the
generator, the C publisher, the pyzmq loop. All are driven in the same way, so that a
difference between two results is a difference between the sources.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.processes import (
    ALIAS,
    BenchmarkError,
    Helper,
    Processes,
    Relay,
    cpu_ns,
)

__all__ = ["SYMBOLS", "Run", "Source", "c_source", "pyzmq_source", "relay_source"]

SYMBOLS: Final = 20
_HERE: Final = Path(__file__).resolve().parent
_JOIN_S: Final = 15.0
_IDLE_MS: Final = 5_000


class Run(NamedTuple):
    """
    One measured run. ``problem`` is empty when every subscriber received every tick, in order.
    """

    sent: int
    seconds: float
    cpu_us_per_tick: float
    p50_us: float
    p99_us: float
    saturated: bool
    problem: str

    @property
    def rate(self) -> float:
        """
        Ticks a second, from the first send to the last receive of the last subscriber.
        """
        return self.sent / self.seconds


class Source:
    """
    A publisher, what it is measured by, and the subscribers that are joined to it.
    """

    def __init__(
        self,
        name: str,
        publisher: Helper,
        endpoint: str,
        pid: int,
        programs: Mapping[str, Path],
        processes: Processes,
        *,
        gapless: bool = True,
    ) -> None:
        self.name = name
        self.publisher = publisher
        self.libzmq: set[str] = set()
        #: the process whose CPU counts
        self.pid = pid
        self._endpoint = endpoint
        self._programs = programs
        self._processes = processes
        self._gapless = gapless
        self._subscribers: list[Helper] = []
        self._rounds: Iterator[int] = itertools.count(1)

    def join(self, subscribers: int, *, python: bool = False) -> None:
        """
        Replace the subscribers by new ones, and wait until each hears every topic.
        """
        self.leave()
        program = [str(self._programs["subscriber"])]
        if python:
            program = [sys.executable, str(_HERE / "pyzmq_subscriber.py")]
        arguments = ["--endpoint", self._endpoint, "--alias", ALIAS, "--symbols", str(SYMBOLS)]
        self._subscribers = [
            self._processes.helper(f"subscriber {number} of {self.name}", [*program, *arguments])
            for number in range(1, subscribers + 1)
        ]
        for subscriber in self._subscribers:
            self.libzmq.add(str(subscriber.answer()["libzmq"]))
            subscriber.tell(f"join timeout_ms={_JOIN_S * 1000:.0f}")
        if self.publisher.name == "generator":
            self.publisher.ask(f"streams n={SYMBOLS} timeout_ms=8000")
        waiting = list(self._subscribers)
        deadline = time.monotonic() + _JOIN_S
        while waiting:
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{waiting[0].name}: does not hear all topics")
            self.publisher.ask("warm")
            heard = waiting[0].poll(0.02)
            if heard is None:
                continue
            if heard["topics"] < heard["of"]:
                raise BenchmarkError(f"{waiting[0].name}: hears {heard['topics']} topics only")
            waiting.pop(0)

    def leave(self) -> None:
        """
        End the subscribers.
        """
        for subscriber in self._subscribers:
            subscriber.close()
        self._subscribers = []

    def flood(self, count: int, **options: int) -> Run:
        """
        Send ``count`` ticks as fast as they go; ``options`` are the generator's.
        """
        return self._run("flood", count, options)

    def pace(self, count: int, rate: int) -> Run:
        """
        Send ``count`` ticks at ``rate`` a second, one a send, and take the latencies.
        """
        return self._run("pace", count, {"rate": rate})

    def _run(self, verb: str, count: int, options: Mapping[str, int]) -> Run:
        number = next(self._rounds)
        latency = int(verb == "pace")
        for subscriber in self._subscribers:
            subscriber.ask(
                f"expect round={number} count={count} idle_ms={_IDLE_MS} latency={latency}"
            )
        words = " ".join(f"{name}={value}" for name, value in options.items())
        cpu = cpu_ns(self.pid)
        sent = self.publisher.ask(f"{verb} round={number} count={count} {words}", 120.0)
        received = [subscriber.answer(60.0) for subscriber in self._subscribers]
        cpu = cpu_ns(self.pid) - cpu
        last_us = max(got["last_us"] for got in received)
        return Run(
            sent["sent"],
            max(last_us - sent["first_us"], 1) / 1e6,
            cpu / 1000 / count,
            max(got["p50_us"] for got in received),
            max(got["p99_us"] for got in received),
            bool(sent.get("saturated", False)),
            self._problem(sent["sent"], received),
        )

    def _problem(self, sent: int, received: list[dict[str, Any]]) -> str:
        for subscriber, got in zip(self._subscribers, received, strict=True):
            if got["received"] != sent:
                return f"{subscriber.name}: received {got['received']} of {sent}"
            if self._gapless and got["holes"]:
                return f"{subscriber.name}: {got['holes']} holes in the sequence numbers"
            if got["strange"]:
                return f"{subscriber.name}: {got['strange']} messages of no known topic"
        return ""


def relay_source(
    name: str,
    programs: Mapping[str, Path],
    processes: Processes,
    folder: Path | None = None,
    root: Path | None = None,
    *,
    relay: Relay | None = None,
) -> Source:
    """
    Start a relay (of the checkout ``root``), if there is none yet, and a generator that is logged
    on to it.
    """
    if relay is None:
        if folder is None:
            raise ValueError("a new relay needs a folder")
        relay = Relay(processes, folder, root)
    generator = processes.helper(
        "generator",
        [
            str(programs["generator"]),
            *("--port", str(relay.terminal_port)),
            *("--alias", ALIAS),
            *("--key-file", str(relay.key_file)),
        ],
    )
    generator.answer()
    return Source(name, generator, relay.publish, relay.pid, programs, processes)


def c_source(programs: Mapping[str, Path], processes: Processes, *, hop: bool = False) -> Source:
    """
    Start the C publisher: one hop of libzmq, no relay; with ``hop`` over TCP to a second
    process first, as ticks go through a relay.
    """
    publisher = processes.helper(
        "publisher",
        [
            str(programs["publisher"]),
            *("--alias", ALIAS),
            *("--symbols", str(SYMBOLS)),
            *("--hop", str(int(hop))),
        ],
    )
    endpoint = str(publisher.answer()["endpoint"])
    name = "C two hops" if hop else "C libzmq"
    return Source(name, publisher, endpoint, publisher.pid, programs, processes)


def pyzmq_source(programs: Mapping[str, Path], processes: Processes) -> tuple[Source, str]:
    """
    Start the pyzmq loop; return it and the versions it reports.
    """
    loop = processes.helper(
        "pyzmq loop",
        [
            sys.executable,
            str(_HERE / "pyzmq_loop.py"),
            *("--alias", ALIAS),
            *("--symbols", str(SYMBOLS)),
        ],
    )
    bound = loop.answer()
    source = Source(
        "pyzmq loop",
        loop,
        str(bound["endpoint"]),
        loop.pid,
        programs,
        processes,
        # It sends the same messages again and again: their numbers do not count on.
        gapless=False,
    )
    return source, f"pyzmq {bound['pyzmq']} with libzmq {bound['libzmq']}"
