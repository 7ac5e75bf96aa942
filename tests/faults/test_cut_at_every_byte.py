"""A session is cut at every byte, in both directions; afterwards the stream is complete.

In memory: the real terminal core and the real relay side, a fake wire between them. It
delivers exactly so many bytes in one direction and then ends for both. A sample runs over
sockets.
"""

from __future__ import annotations

import pytest
import zmq

from bridge.bus.bodies import read_tick
from bridge.model.tick import MqlTick
from bridge.relay.links import Link
from bridge.sim.link import Direction
from bridge.sim.link import Link as Proxy
from bridge.sim.resumption import Resumption
from bridge.sim.runner import TerminalThread
from tests.support.bench import Bench, FakeTransport
from tests.support.relay import RelayThread, make_settings, port_of
from tests.support.subscriber import Subscriber
from tests.support.terminal import make_core, make_market, now_us, tick_of

KEY = bytes(32)
SYMBOL = "EURUSD"
TOPIC = f"tick/demo/{SYMBOL}"
#: ticks of a session, in steps: several frames, several ticks in one millisecond
TICKS = 12
STEP = 4


class World:
    """
    A broker, a terminal and a relay, which may each be replaced by one without memory.
    """

    def __init__(self, folder) -> None:
        self.folder = folder
        self.market = make_market(SYMBOL)
        self.market.history.extend(SYMBOL, [tick_of(1)])
        self.happened = 1
        self.published: list[bytes] = []
        self.ahead_us = 0
        self.core = make_core(KEY, self.market)
        self.start_relay()

    def now(self) -> int:
        return now_us() + self.ahead_us

    # --- lives ------------------------------------------------------------------------

    def start_relay(self) -> None:
        self.bench = Bench(self.folder)
        self.links = self.bench.make_links()

    def restart_relay(self) -> None:
        """
        A new relay with the checkpoint of the old one, whose subscribers are still there.
        """
        self.keep()
        saved = [stream.save() for stream in self.bench.terminal().streams.values()]
        minted = self.bench.minted
        self.start_relay()
        self.bench.minted = minted
        for stream in saved:
            if stream is not None:
                self.bench.terminal().restore(stream, now_us())

    def restart_terminal(self) -> None:
        self.core = make_core(KEY, self.market, connection_counter=self.core.connection_counter + 9)

    def keep(self) -> None:
        self.published += self.bench.socket.bodies(TOPIC)
        self.bench.socket.sent.clear()

    # --- a connection --------------------------------------------------------------------

    def connect(self, direction=None, budget=0) -> tuple[int, int]:
        """
        Run a connection until all has happened and nothing moves, or ``budget`` bytes passed
        in ``direction``; then it ends for both. Return the bytes of both directions.
        """
        self.bench.terminal().subscribe(SYMBOL)
        transport = FakeTransport()
        link = Link(self.links)
        link.connection_made(transport)
        while not self.core.may_connect(self.now()):
            self.ahead_us += 50_000
        self.core.connection_made(self.now())
        passed = {Direction.TO_RELAY: 0, Direction.TO_TERMINAL: 0}
        quiet = 0
        while quiet < 3:
            self.ahead_us += 1_000
            self.happen()
            self.core.poll(self.now())
            out = self.core.data_to_send()
            back, transport.written = bytes(transport.written), bytearray()
            quiet = 0 if out or back or self.happened < 1 + TICKS else quiet + 1
            for data, way in ((out, Direction.TO_RELAY), (back, Direction.TO_TERMINAL)):
                cut = way is direction and passed[way] + len(data) >= budget
                part = data[: budget - passed[way]] if cut else data
                passed[way] += len(part)
                if part:
                    self.deliver(link, way, part)
                if cut:
                    self.lose(link)
                    return passed[Direction.TO_RELAY], passed[Direction.TO_TERMINAL]
            # Acknowledgements are due after 100 ms.
            self.links.tick(now_us() + (120_000 if quiet else 0))
        self.lose(link)
        return passed[Direction.TO_RELAY], passed[Direction.TO_TERMINAL]

    def deliver(self, link, way, data) -> None:
        if way is Direction.TO_TERMINAL:
            self.core.data_received(data, self.now())
            return
        link.get_buffer(-1)[: len(data)] = data
        link.buffer_updated(len(data))

    def lose(self, link) -> None:
        link.connection_lost(ConnectionResetError())
        self.core.connection_lost(self.now())

    def happen(self) -> None:
        # The broker's ticks begin to come once the stream runs for the first time.
        if self.happened <= TICKS and (
            self.happened > 1 or SYMBOL in self.core.collector.streaming
        ):
            ticks = [tick_of(self.happened + n) for n in range(1, STEP + 1)]
            self.market.history.extend(SYMBOL, ticks)
            self.happened += STEP

    def check(self) -> None:
        """
        Every tick was published, in order, once, in one epoch.
        """
        self.keep()
        ticks = [read_tick(body) for body in self.published]

        assert list(range(1, 2 + TICKS)) == [tick.seq for tick in ticks]
        assert 1 == len({tick.epoch for tick in ticks})
        assert [tick_of(seq) for seq in range(1, 2 + TICKS)] == [
            MqlTick(*tick[2:7], tick.flags & 0xFF) for tick in ticks
        ]


def sizes(folder) -> tuple[int, int]:
    """
    Return how many bytes an uncut session has in each direction.
    """
    world = World(folder)
    found = world.connect()
    world.check()
    return found


def nothing(_world) -> None:
    return


SURVIVORS = {
    "both go on": nothing,
    "the terminal restarts": World.restart_terminal,
    "the relay restarts": World.restart_relay,
}


@pytest.mark.slow
@pytest.mark.parametrize("after", SURVIVORS)
@pytest.mark.parametrize("direction", list(Direction), ids=lambda way: way.value)
def test_a_cut_at_every_byte_loses_nothing(tmp_path, direction, after):
    """Whatever was under way: it is sent again or was taken, never both, never neither."""
    total = sizes(tmp_path)[0 if direction is Direction.TO_RELAY else 1]

    assert total > 300

    # Restarts change nothing about where a frame is cut: every fifth byte is enough there.
    for budget in range(0, total + 1, 1 if after == "both go on" else 5):
        world = World(tmp_path)
        world.connect(direction, budget)
        SURVIVORS[after](world)
        world.connect()
        try:
            world.check()
        except AssertionError as error:
            raise AssertionError(f"cut after {budget} of {total} bytes") from error


@pytest.mark.slow
@pytest.mark.parametrize("direction", list(Direction), ids=lambda way: way.value)
def test_two_cuts_in_a_row_lose_nothing(tmp_path, direction, rng):
    """Also the recovery is cut, at any of its bytes."""
    total = sizes(tmp_path)[0 if direction is Direction.TO_RELAY else 1]
    for _ in range(150):
        budgets = [rng.randrange(total + 1) for _ in range(rng.randint(2, 4))]
        world = World(tmp_path)
        for budget in budgets:
            world.connect(rng.choice(list(Direction)), budget)
            rng.choice(list(SURVIVORS.values()))(world)
        world.connect()
        try:
            world.check()
        except AssertionError as error:
            raise AssertionError(f"cuts after {budgets} bytes") from error


def test_without_resending_a_cut_loses_ticks(tmp_path, monkeypatch):
    """The ablation: a terminal that takes what it sent for taken. The check notices."""
    decide = Resumption.decide

    def forgetful(self):
        start, known = decide(self), self._known
        if known is None or start.place is not None:
            return start
        return start._replace(first_seq=max(start.first_seq, known.send_seq))

    monkeypatch.setattr(Resumption, "decide", forgetful)
    total, _ = sizes(tmp_path)
    noticed = 0
    for budget in range(total // 2, total, 20):
        world = World(tmp_path)
        world.connect(Direction.TO_RELAY, budget)
        world.connect()
        try:
            world.check()
        except AssertionError:
            noticed += 1

    assert noticed


@pytest.mark.slow
def test_cuts_on_real_sockets_lose_nothing(tmp_path, rng):
    """A sample of the same over TCP, with a proxy that cuts after so many bytes."""
    settings, keys = make_settings(tmp_path)
    market = make_market(SYMBOL)
    market.history.extend(SYMBOL, [tick_of(1)])
    context = zmq.Context()
    cuts = 20
    with RelayThread(settings) as relay, Proxy(port_of(relay.endpoints.terminal)) as link:
        subscriber = Subscriber(context, relay.endpoints.publish, TOPIC)
        core = make_core(keys["demo"], market)
        quick(core)
        with TerminalThread(core, link.port) as terminal:
            last = 1
            first = read_tick(subscriber.receive()[1])
            ticks = [first]
            for done in range(cuts):
                way = rng.choice(list(Direction))
                link.cut_after(rng.randrange(1_500 if way is Direction.TO_RELAY else 400), way)
                while link.cuts <= done:
                    batch = [tick_of(last + n) for n in range(1, 6)]
                    terminal.call_soon(lambda batch=batch: market.history.extend(SYMBOL, batch))
                    last += 5
                    while subscriber.socket.poll(5):
                        ticks.append(read_tick(subscriber.receive()[1]))
            while ticks[-1].seq < last:
                ticks.append(read_tick(subscriber.receive()[1]))
        subscriber.close()
    context.destroy(0)

    assert list(range(1, last + 1)) == [tick.seq for tick in ticks]
    assert [tick_of(seq).bid for seq in range(1, last + 1)] == [tick.bid for tick in ticks]
    assert core.logons >= 2


def quick(core) -> None:
    """
    Let a terminal dial again at once: here its patience is not what is tested.
    """
    core._back_off.delay_us = lambda closed, active_us: 5_000
