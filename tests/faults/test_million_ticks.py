"""A million ticks through a link that is cut 200 times, to readers that come late or stall.

The oracle knows what happened in the market; it compares by number and digest what each
reader delivered, replayed or was told is gone. Readers are written from the bus protocol
and share no code with ``bridge.client``.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import time
from collections import defaultdict
from collections.abc import Iterator

import pytest
import zmq

from bridge.model.record import pack_record
from bridge.model.symbol import default_symbols
from bridge.model.tick import MqlTick
from bridge.sim import backoff
from bridge.sim.feed import ReplayFeed
from bridge.sim.link import Direction, Link
from bridge.sim.runner import TerminalThread
from bridge.sim.synthetic import SyntheticMarket
from bridge.wire.protocol import NEVER_US
from tests.support.relay import RelayProcess, port_of
from tests.support.subscriber import Reader, TopicLog, said_by
from tests.support.terminal import make_core, make_market

SYMBOLS = 10
TICKS = 1_000_000
CUTS = 200
LATE = 20
#: About 12,000 ticks: a reader that stalls for longer than that cannot get all of them.
RING_BYTES = 1 << 20
#: So far is the market ahead of a reader that reads, over all symbols. A machine may be busy;
#: what such a reader must get is what the ring holds.
AHEAD = 20_000
#: A cut falls on any of so many bytes: acknowledgements are few, ticks are many.
BYTES_TO_CUT = {Direction.TO_RELAY: 100_000, Direction.TO_TERMINAL: 500}
#: The market's hours pass in this time, so that cuts and joins fall in the middle of it.
PLAYED_IN_S = 20
DEADLINE_S = 100
SAID_SIZE = len(said_by(bytes(66)))


class Oracle:
    """
    What the market did: the n-th tick of a symbol has the number n.
    """

    def __init__(self, ticks: dict[str, list[MqlTick]]) -> None:
        self.count = {symbol: len(own) for symbol, own in ticks.items()}
        self._said = {
            symbol: b"".join(said_by(pack_record(0, 0, tick, 0)) for tick in own)
            for symbol, own in ticks.items()
        }

    def problems(self, log: TopicLog) -> Iterator[str]:
        """
        Yield what is wrong with what a reader saw: a hole, an overlap, another tick.
        """
        symbol = log.name.rsplit("/", 1)[1]
        parts = [(first, last, digest) for _, first, last, digest in log.seen()]
        parts += [(first, last, None) for _, first, last in log.gaps]
        parts.sort()
        at = parts[0][0] if parts else log.seq + 1
        for first, last, digest in parts:
            if first != at:
                yield f"{symbol}: {first} follows {at - 1}"
            at = last + 1
            if digest is not None and digest != self._digest(symbol, first, last):
                yield f"{symbol}: other ticks in {first}..{last}"
        if at != self.count[symbol] + 1:
            yield f"{symbol}: ends at {at - 1}, not at {self.count[symbol]}"

    def _digest(self, symbol: str, first: int, last: int) -> str:
        said = self._said[symbol][(first - 1) * SAID_SIZE : last * SAID_SIZE]
        return hashlib.blake2b(said, digest_size=16).hexdigest()


class Saboteur:
    """
    Cuts the link in the middle of what the terminal sends, evenly spread over the ticks.
    """

    def __init__(self, link: Link, rng: random.Random) -> None:
        self._link = link
        self._rng = rng
        self._sent = 0
        self._cuts = 0

    def __call__(self, symbol: str, first_seq: int, length: int, now_ns: int) -> None:
        self._sent += length
        if self._sent >= (self._cuts + 1) * TICKS // (CUTS + 1) and self._cuts < CUTS:
            self._cuts += 1
            direction = self._rng.choice(list(Direction))
            self._link.cut_after(self._rng.randrange(BYTES_TO_CUT[direction]), direction)


class PacedFeed(ReplayFeed):
    """
    A market that waits for those who read it, however slow the machine is.
    """

    reader: Reader | None = None

    def due(self, now_us: int) -> int:
        return 0 if self._is_ahead() else super().due(now_us)

    def next_due(self) -> int:
        # Behind what is due it would be asked again at once, and again.
        return NEVER_US if self._is_ahead() else super().next_due()

    def _is_ahead(self) -> bool:
        delivered = sum(log.delivered for log in self.reader.logs.values()) if self.reader else 0
        return self.played - delivered > AHEAD


def span_s(ticks: dict[str, list[MqlTick]]) -> float:
    """
    Return the time from the first to the last tick.
    """
    first = min(own[0].time_msc for own in ticks.values())
    return (max(own[-1].time_msc for own in ticks.values()) - first) / 1000


def is_complete(reader: Reader, oracle: Oracle) -> bool:
    return all(log.seq == oracle.count[name.rsplit("/", 1)[1]] for name, log in reader.logs.items())


@pytest.fixture
def quick_back_off(monkeypatch):
    """
    Dial again at once: 200 waits of a second would be most of the test.
    """
    monkeypatch.setattr(backoff, "_FIRST_MS", 2)
    monkeypatch.setattr(backoff, "_MAX_MS", 10)
    monkeypatch.setattr(backoff, "_OPEN_MAX_MS", 10)


@pytest.mark.slow
@pytest.mark.timeout(DEADLINE_S + 60)
def test_a_million_ticks_with_cuts_late_joiners_and_stalled_readers(tmp_path, rng, quick_back_off):
    """Every gap is seen; what the ring holds is repaired, the rest told; no false gap."""
    specs = default_symbols()[:SYMBOLS]
    ticks: dict[str, list[MqlTick]] = defaultdict(list)
    market_of = SyntheticMarket(
        specs,
        seed=rng.randrange(2**32),
        start_msc=1_546_383_600_000,
        rate_hz=20.0,
        burst_probability=0.1,
    )
    for symbol, tick in market_of.generate(TICKS):
        ticks[symbol].append(tick)
    oracle = Oracle(ticks)
    topics = [f"tick/demo/{symbol}" for symbol in ticks]
    market = make_market(*ticks)

    with contextlib.ExitStack() as stack:
        relay = stack.enter_context(
            RelayProcess(
                tmp_path,
                limits={"send_hwm": 5_000},
                ticks={"ring_bytes_per_topic": RING_BYTES},
            )
        )
        context = zmq.Context()
        stack.callback(context.destroy, linger=0)
        core = make_core(relay.keys["demo"], market)
        feed = PacedFeed(
            market.history,
            ticks,
            speed=span_s(ticks) / PLAYED_IN_S,
            collector=core.collector,
            hold_until_subscribed=True,
        )
        link = stack.enter_context(Link(port_of(relay.endpoints.terminal)))
        where = relay.endpoints.request, relay.endpoints.publish
        first = feed.reader = Reader(context, *where, *topics)
        stalled = [Reader(context, *where, topic, rcvhwm=100, rcvbuf=4_096) for topic in topics[:2]]
        for reader in (first, *stalled):
            reader.join()
        saboteur = Saboteur(link, rng)
        terminal = stack.enter_context(TerminalThread(core, link.port, feed=feed, on_sent=saboteur))
        late: list[Reader] = []
        deadline = time.monotonic() + DEADLINE_S
        readers = [first, *stalled]
        while not all(is_complete(reader, oracle) for reader in readers) or len(late) < LATE:
            assert time.monotonic() < deadline, (feed.played, link.cuts, [r.logs for r in readers])
            share = feed.played / TICKS
            if len(late) < LATE and (share > (len(late) + 1) / (LATE + 2) or feed.finished):
                late.append(Reader(context, *where, rng.choice(topics)).join())
                readers.append(late[-1])
            first.pump(0.02)
            for reader in late:
                reader.pump(0)
            if not 0.1 < share < 0.8:
                # In between they do not read at all: the relay drops for them alone.
                for reader in stalled:
                    reader.pump(0)
        reconnects = terminal.reconnects

    assert [] == [
        problem
        for reader in readers
        for log in reader.logs.values()
        for problem in oracle.problems(log)
    ]
    assert [] == [log.gaps for reader in (first, *late) for log in reader.logs.values() if log.gaps]
    assert TICKS == sum(log.delivered for log in first.logs.values())
    # The stalled ones missed more than the ring holds, were told so, and got the rest.
    for reader in stalled:
        (log,) = reader.logs.values()

        assert log.gaps
        assert log.replayed
    assert link.cuts >= CUTS * 0.9
    assert reconnects >= CUTS * 0.9
