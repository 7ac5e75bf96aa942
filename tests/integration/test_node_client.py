"""
The Node.js client, which was written from the specification alone, against the real relay.

Node runs as a process. Between it and the relay stands, where a test wants losses,
``LossyBus``: ZeroMQ on both sides, so what it drops is what a full queue would drop.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import msgpack
import pytest
import zmq

from bridge.bus.bodies import read_epoch_seq
from bridge.bus.topics import split_message
from bridge.model.symbol import spec_for
from bridge.relay.checkpoints import CheckpointFile
from bridge.relay.clock import SystemClock
from bridge.sim.feed import ReplayFeed
from bridge.sim.market import Market
from bridge.sim.runner import TerminalThread
from bridge.sim.terminal import Account, TerminalCore
from tests.support.node import DEADLINE_S, Node
from tests.support.relay import (
    RelayProcess,
    RelayThread,
    Requester,
    make_settings,
    port_of,
)
from tests.support.terminal import SteadyTerminal, tick_of

ROOT = Path(__file__).resolve().parents[2]
TOPIC = "tick/demo/EURUSD"


# --- Node ----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def client(node_client):
    """
    Return the folder with the client and its packages.
    """
    return node_client


def run_ticks(client: Path, endpoint: str, *arguments: str) -> Node:
    return Node(client, "ticks.mjs", endpoint, "demo", *arguments)


# --- losses --------------------------------------------------------------------------------


class LossyBus:
    """
    Stands between a client and the relay and drops published messages.

    Realistic as to what is lost: single messages of one subscriber, in the order of the
    socket, as at a full queue. Not realistic as to when: a full queue loses runs.
    """

    def __init__(self, relay: Any, drops: Callable[[str, int], bool]) -> None:
        self.dropped: list[tuple[str, int]] = []
        self.replays = 0
        self._relay = relay
        self._drops = drops
        self._context = zmq.Context()
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        with contextlib.ExitStack() as stack:

            def made(kind: int) -> zmq.Socket[bytes]:
                socket = stack.enter_context(self._context.socket(kind))
                socket.linger = 0
                socket.sndhwm = socket.rcvhwm = 0
                return socket

            near_publish, far_publish = made(zmq.XPUB), made(zmq.XSUB)
            near_request, far_request = made(zmq.ROUTER), made(zmq.DEALER)
            far_publish.connect(self._relay.publish)
            far_request.connect(self._relay.request)
            near_publish.bind("tcp://127.0.0.1:*")
            near_request.bind("tcp://127.0.0.1:*")
            self.publish = near_publish.last_endpoint.decode()
            self.request = near_request.last_endpoint.decode()
            self._ready.set()
            ways: dict[Any, Callable[[list[bytes]], None]] = {
                near_publish: far_publish.send_multipart,
                far_publish: lambda frames: self._pass(frames, near_publish),
                near_request: lambda frames: self._ask(frames, far_request),
                far_request: lambda frames: self._answer(frames, near_request),
            }
            poller = zmq.Poller()
            for socket in ways:
                poller.register(socket, zmq.POLLIN)
            while not self._stop.is_set():
                for socket, _ in poller.poll(50):
                    ways[socket](socket.recv_multipart())

    def _pass(self, frames: list[bytes], to: zmq.Socket[bytes]) -> None:
        topic, body = split_message(frames[0])
        seq = read_epoch_seq(body)[1]
        if self._drops(topic, seq):
            self.dropped.append((topic, seq))
        else:
            to.send_multipart(frames)

    def _ask(self, frames: list[bytes], to: zmq.Socket[bytes]) -> None:
        if msgpack.unpackb(frames[-1])["method"] == "replay":
            self.replays += 1
        to.send_multipart(frames)

    def _answer(self, frames: list[bytes], to: zmq.Socket[bytes]) -> None:
        reply = msgpack.unpackb(frames[-1])
        if reply["ok"] and "publish" in reply["result"]:
            reply["result"]["publish"] = self.publish
            frames[-1] = msgpack.packb(reply)
        to.send_multipart(frames)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(DEADLINE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()
        self._context.term()


class OvertakenBus(LossyBus):
    """
    The reply to the first ``snapshot`` overtakes all that was published before it, the message
    with the number ``until`` at the latest: two connections have no order between them.
    """

    def __init__(self, relay: Any, until: int, on_snapshot: Callable[[], Any]) -> None:
        super().__init__(relay, lambda _topic, _seq: False)
        self.held: list[list[bytes]] = []
        self._until = until
        self._on_snapshot = on_snapshot
        self._holds = False
        self._put_off: Callable[[], None] | None = None

    def _ask(self, frames: list[bytes], to: zmq.Socket[bytes]) -> None:
        method = msgpack.unpackb(frames[-1])["method"]
        if method == "snapshot" and not self.held:
            self._holds = True
            self._put_off = functools.partial(super()._ask, frames, to)
            self._on_snapshot()
            return
        if self._put_off is None:
            self._holds = False
        super()._ask(frames, to)

    def _pass(self, frames: list[bytes], to: zmq.Socket[bytes]) -> None:
        if not self._holds:
            while self.held:
                super()._pass(self.held.pop(0), to)
            super()._pass(frames, to)
            return
        self.held.append(frames)
        topic, body = split_message(frames[0])
        if self._put_off is not None and (TOPIC, self._until) == (topic, read_epoch_seq(body)[1]):
            self._put_off()
            self._put_off = None


def wait_until(happened: Callable[[], bool]) -> None:
    """
    Look every 10 ms until something is true.
    """
    deadline = time.monotonic() + DEADLINE_S
    while not happened():
        assert time.monotonic() < deadline, "not in time"
        threading.Event().wait(0.01)


# --- what is expected ----------------------------------------------------------------------


def steady(endpoint: str, key: bytes, symbols: tuple[str, ...] = ("EURUSD",)) -> SteadyTerminal:
    """
    Return a terminal whose symbols have one tick: a join then waits for no first one.
    """
    terminal = SteadyTerminal(endpoint, key, symbols=symbols)
    terminal.released = dict.fromkeys(symbols, 1)
    return terminal


@pytest.fixture
def make_relay(tmp_path):
    with contextlib.ExitStack() as stack:

        def make(**options: Any) -> tuple[RelayThread, dict[str, bytes]]:
            settings, keys = make_settings(tmp_path, **options)
            return stack.enter_context(RelayThread(settings)), keys

        yield make


def expected_lines(first: int, last: int) -> list[tuple[int, int, float, float]]:
    ticks = [(seq, tick_of(seq)) for seq in range(first, last + 1)]
    return [(seq, tick.time_msc, tick.bid, tick.ask) for seq, tick in ticks]


def told(lines: list[dict[str, Any]]) -> list[tuple[int, int, float, float]]:
    return [(line["seq"], line["time_msc"], line["bid"], line["ask"]) for line in lines]


def gaps_in(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line["gap"] for line in lines if line["gap"] is not None]


# --- tests ---------------------------------------------------------------------------------


def test_the_golden_vectors_are_read(client):
    """Every vector means the same to another msgpack library in another language."""
    folder = str(ROOT / "tests" / "vectors" / "bus")
    with Node(client, "check_vectors.mjs", folder) as node:
        node.process.wait(DEADLINE_S)

        assert node.process.returncode == 0, node.err


def test_received_ticks_equal_the_sent_ones(client, make_relay):
    """Every tick once, in order, with its own numbers, times and prices."""
    relay, keys = make_relay()
    with (
        steady(relay.endpoints.terminal, keys["demo"]) as terminal,
        run_ticks(client, relay.endpoints.request, "EURUSD", "--count", "5000", "--json") as node,
    ):
        node.wait_for_err(f"joined {TOPIC}: ok")
        for _ in range(49):
            terminal.release("EURUSD", 100)
        terminal.release("EURUSD", 99)
        lines = node.rest()

        assert expected_lines(1, 5000) == told(lines)
        assert gaps_in(lines) == []
        assert {("demo", "EURUSD", 1)} == {
            (line["terminal"], line["symbol"], line["v"]) for line in lines
        }
        assert {120 * 60_000} == {line["time_msc"] - line["time_utc_msc"] for line in lines}
        assert node.process.returncode == 0


def test_who_joins_late_begins_with_the_newest_tick(client, make_relay):
    relay, keys = make_relay()
    with (
        steady(relay.endpoints.terminal, keys["demo"]) as terminal,
        run_ticks(client, relay.endpoints.request, "EURUSD", "--json") as early,
    ):
        early.wait_for_err(f"joined {TOPIC}: ok")
        terminal.release("EURUSD", 999)
        early.lines_up_to(1000)
        with run_ticks(
            client, relay.endpoints.request, "EURUSD", "--count", "11", "--json"
        ) as late:
            late.wait_for_err(f"joined {TOPIC}: ok")
            terminal.release("EURUSD", 10)
            lines = late.rest()

        assert expected_lines(1000, 1010) == told(lines)


def test_a_snapshot_that_overtakes_what_was_published_costs_nothing_of_it(client, make_relay):
    """Who subscribes to a stream that nobody had begins with its first tick."""
    relay, keys = make_relay()
    with (
        SteadyTerminal(relay.endpoints.terminal, keys["demo"]) as terminal,
        OvertakenBus(relay.endpoints, 10, lambda: terminal.release("EURUSD", 10)) as bus,
        run_ticks(client, bus.request, "EURUSD", "--count", "20", "--json") as node,
    ):
        node.wait_for_err(f"joined {TOPIC}: ok")
        terminal.release("EURUSD", 10)
        lines = node.rest()

        assert expected_lines(1, 20) == told(lines)
        assert gaps_in(lines) == []


def test_gaps_and_the_lost_tail_are_healed(client, make_relay):
    """Every seventh tick is lost, and the last ones before a silence: nothing is missing."""
    relay, keys = make_relay()

    def drops(topic: str, seq: int) -> bool:
        return topic == TOPIC and (seq % 7 == 0 or 500 <= seq < 800 or seq > 1990)

    with (
        steady(relay.endpoints.terminal, keys["demo"]) as terminal,
        LossyBus(relay.endpoints, drops) as bus,
        run_ticks(client, bus.request, "EURUSD", "--count", "2000", "--json") as node,
    ):
        node.wait_for_err(f"joined {TOPIC}: ok")
        terminal.release("EURUSD", 1999)
        lines = node.rest()

        assert expected_lines(1, 2000) == told(lines)
        assert gaps_in(lines) == []
        assert (TOPIC, 2000) in bus.dropped
        assert bus.replays > 0
        assert node.process.returncode == 0


def test_what_is_lost_and_not_held_is_told_exactly(client, make_relay):
    """The ring is too small for what was lost: the gap says from where to where."""
    relay, keys = make_relay(ticks={"ring_bytes_per_topic": 16_384})

    def drops(topic: str, seq: int) -> bool:
        return topic == TOPIC and 101 <= seq <= 3000

    with (
        steady(relay.endpoints.terminal, keys["demo"]) as terminal,
        LossyBus(relay.endpoints, drops) as bus,
        run_ticks(client, bus.request, "EURUSD", "--json") as node,
    ):
        node.wait_for_err(f"joined {TOPIC}: ok")
        terminal.release("EURUSD", 3009)
        lines = node.lines_up_to(3010)
        (gap,) = gaps_in(lines)
        numbers = [line["seq"] for line in lines]
        with Requester(relay.endpoints.request) as ask:
            (state,) = ask("snapshot", topics=[TOPIC])["topics"]

        assert (TOPIC, 101, state["oldest_seq"] - 1) == (gap["topic"], gap["first"], gap["last"])
        assert [*range(1, 101), *range(state["oldest_seq"], 3011)] == numbers


def test_lost_relay_messages_hide_no_lost_tick(client, make_relay):
    """The tail that would have told of the loss is lost as well: its own number tells."""
    relay, keys = make_relay()
    silent = threading.Event()

    def drops(topic: str, seq: int) -> bool:
        return silent.is_set() and topic in {TOPIC, "relay"}

    with (
        steady(relay.endpoints.terminal, keys["demo"]) as terminal,
        LossyBus(relay.endpoints, drops) as bus,
        run_ticks(client, bus.request, "EURUSD", "--count", "100", "--json") as node,
    ):
        node.wait_for_err(f"joined {TOPIC}: ok")
        terminal.release("EURUSD", 59)
        node.lines_up_to(60)
        silent.set()
        terminal.release("EURUSD", 40)
        wait_until(lambda: {(TOPIC, 100), "relay"} <= {*bus.dropped, *dict(bus.dropped)})
        silent.clear()
        lines = node.rest()

        assert expected_lines(61, 100) == told(lines)
        assert gaps_in(lines) == []


def wait_for_checkpoint(relay: RelayProcess, seq: int) -> None:
    """
    Wait until a relay that starts now would know of this tick.
    """
    file = CheckpointFile(relay.folder / "data", SystemClock())
    wait_until(lambda: any(stream.seq >= seq for stream in file.load().streams))


@pytest.mark.slow
def test_a_killed_relay_costs_no_tick(client, tmp_path):
    """
    Twice SIGKILL with ticks behind the last checkpoint, ticks while it is gone, and then
    the same ports again.
    """
    with (
        RelayProcess(tmp_path) as relay,
        steady(relay.endpoints.terminal, relay.keys["demo"]) as terminal,
        run_ticks(client, relay.endpoints.request, "EURUSD", "--count", "3000", "--json") as node,
    ):
        node.wait_for_err(f"joined {TOPIC}: ok")
        lines = []
        for _ in range(2):
            wait_for_checkpoint(relay, terminal.release("EURUSD", 399))
            terminal.release("EURUSD", 101)
            lines += node.lines_up_to(terminal.released["EURUSD"])
            sessions = terminal.sessions
            relay.kill()
            newest = terminal.release("EURUSD", 500)
            relay.start()
            terminal.wait_for(lambda before=sessions: terminal.sessions > before)
            lines += node.lines_up_to(newest)
        terminal.release("EURUSD", 3000 - terminal.released["EURUSD"])
        lines += node.rest()

        assert expected_lines(1, 3000) == told(lines)
        assert gaps_in(lines) == []
        assert len({line["epoch"] for line in lines}) == 1
        assert node.process.returncode == 0


@pytest.mark.slow
def test_a_silent_relay_makes_prices_old(client, tmp_path):
    """3 s without a sign: the client says so, and goes on when the relay does."""
    with (
        RelayProcess(tmp_path) as relay,
        steady(relay.endpoints.terminal, relay.keys["demo"]) as terminal,
        run_ticks(client, relay.endpoints.request, "EURUSD", "--count", "20", "--json") as node,
    ):
        node.wait_for_err(f"joined {TOPIC}: ok")
        terminal.release("EURUSD", 9)
        node.lines_up_to(10)
        relay.pause()
        try:
            node.wait_for_err("the relay is silent")
        finally:
            relay.go_on()
        node.wait_for_err("the relay is back")
        terminal.release("EURUSD", 10)

        assert expected_lines(11, 20) == told(node.rest())


def test_several_symbols_are_told_apart(client, make_relay):
    """EURUSD receives nothing of EURUSD.r, and each is complete."""
    relay, keys = make_relay()
    symbols = ("EURUSD", "EURUSD.r", "BTC/USD", "#Ä€😀")
    with (
        steady(relay.endpoints.terminal, keys["demo"], symbols) as terminal,
        run_ticks(client, relay.endpoints.request, *symbols, "--count", "400", "--json") as node,
    ):
        node.wait_for_err(f"joined tick/demo/{symbols[-1]}: ok")
        for symbol in symbols:
            terminal.release(symbol, 99)
        lines = node.rest()

        for symbol in symbols:
            own = [line for line in lines if line["symbol"] == symbol]

            assert expected_lines(1, 100) == told(own)


def test_the_simulated_terminal_is_received_whole(client, make_relay, rng):
    """The terminal that users try first, with bursts in a millisecond, over the same sockets."""
    relay, keys = make_relay()
    market = Market([spec_for("EURUSD"), spec_for("EURUSD.r")], seed=rng.randrange(2**32))
    core = TerminalCore(
        key=keys["demo"],
        key_id="demo",
        account=Account(login=5_012_345, server="Broker-Demo"),
        market=market,
        incarnation=rng.randbytes(16),
        seed=rng.randrange(2**32),
    )
    sent = {symbol: [tick_of(seq) for seq in range(1, 2001)] for symbol in market.specs}
    feed = ReplayFeed(
        market.history,
        sent,
        speed=None,
        collector=core.collector,
        hold_until_subscribed=True,
    )
    port = port_of(relay.endpoints.terminal)
    with TerminalThread(core, port, feed=feed) as terminal, contextlib.ExitStack() as stack:
        assert terminal.wait_for(lambda: core.logons > 0, DEADLINE_S)
        node = run_ticks(client, relay.endpoints.request, *sent, "--count", "4000", "--json")
        lines = stack.enter_context(node).rest()

        for symbol in sent:
            own = [line for line in lines if line["symbol"] == symbol]

            assert expected_lines(1, 2000) == told(own)
        assert gaps_in(lines) == []
        assert node.process.returncode == 0


def test_no_relay_is_one_clear_line(client):
    # Bound, so that no other test gets it, and nobody listens.
    nobody = socket.socket()
    nobody.bind(("127.0.0.1", 0))
    endpoint = f"tcp://127.0.0.1:{nobody.getsockname()[1]}"
    with nobody, run_ticks(client, endpoint, "EURUSD", "--count", "1", "--json") as node:
        assert node.rest() == []
        assert node.process.returncode == 10
        assert [line for line in node.err if endpoint in line] == node.err
        assert len(node.err) == 1
        assert "bridge run" in node.err[0]


def test_no_terminal_is_one_clear_line(client, make_relay):
    relay, _ = make_relay()
    with run_ticks(client, relay.endpoints.request, "EURUSD") as node:
        assert node.rest() == []
        assert node.process.returncode == 11
        assert "TERMINAL_UNAVAILABLE" in node.wait_for_err("[terminal]")


def test_an_unknown_symbol_is_told(client, make_relay):
    relay, keys = make_relay()
    with (
        steady(relay.endpoints.terminal, keys["demo"]),
        run_ticks(client, relay.endpoints.request, "EURUSD", "NOSUCH") as node,
    ):
        assert node.rest() == []
        assert node.process.returncode == 1
        assert "tick/demo/NOSUCH" in node.wait_for_err("[terminal] UNKNOWN_SYMBOL")


def test_too_few_ticks_end_at_the_timeout(client, make_relay):
    relay, keys = make_relay()
    with (
        steady(relay.endpoints.terminal, keys["demo"]),
        run_ticks(
            client, relay.endpoints.request, "EURUSD", "--count", "2", "--timeout", "0.5", "--json"
        ) as node,
    ):
        assert len(node.rest()) == 1
        assert node.process.returncode == 12


@pytest.mark.parametrize("arguments", [[], ["tcp://127.0.0.1:1", "demo"], ["--nonsense"]])
def test_wrong_usage_is_one_line(client, arguments):
    with Node(client, "ticks.mjs", *arguments) as node:
        assert node.rest() == []
        assert node.process.returncode == 2
        assert len(node.err) == 1
