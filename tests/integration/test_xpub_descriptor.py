"""A subscription that arrives while the relay publishes is seen at once.

ZeroMQ's descriptors are edge-triggered, and a send swallows the edge of what was received
meanwhile (architecture, section 4). ``Turn`` looks at every socket after every turn of the
loop. Here the safety tick of 50 ms is taken away, so that only ``Turn`` can save a
subscription, and then ``Turn`` is, to see that these tests would notice.
"""

from __future__ import annotations

import contextlib
import select

import zmq

from bridge.relay import app
from bridge.relay.turn import Turn
from bridge.wire.messages import Subscribe
from tests.support.relay import RelayThread, make_settings
from tests.support.terminal import ScriptedTerminal

TRIALS = 300
#: no safety tick, and no silence by which the two would miss it
NEVER_S = 3_600.0
SESSION = {
    "heartbeat_interval_ms": 10_000,
    "silence_limit_ms": 60_000,
    "logon_deadline_ms": 60_000,
}


class EdgeOnly(Turn):
    """
    The ablation: a reader that believes the descriptor. Once ``armed`` it reads all there is
    when the descriptor says so, and never else.
    """

    armed = False

    def add(self, socket, read):
        self._sockets.append((socket, read))

        def drain():
            while read(64):
                pass

        self._loop.add_reader(socket.fileno(), drain)
        drain()

    def request(self):
        if not self.armed:
            super().request()


@contextlib.contextmanager
def busy_relay(folder):
    """
    A relay, a terminal that streams one symbol, and a subscriber.
    """
    settings, keys = make_settings(folder, session=SESSION)
    context = zmq.Context()
    try:
        with (
            RelayThread(settings) as relay,
            ScriptedTerminal(relay.endpoints.terminal, keys["demo"]) as terminal,
            context.socket(zmq.SUB) as sub,
        ):
            terminal.log_on()
            sub.linger = 0
            sub.connect(relay.endpoints.publish)
            sub.subscribe(b"tick/demo/BUSY\0")
            epoch = terminal.accept_stream(terminal.expect(Subscribe))
            yield terminal, sub, epoch
    finally:
        context.destroy(0)


def trials(terminal, sub, epoch, count, within_s):
    """
    Subscribe to ``count`` topics while ticks are published; return how many were seen.
    """
    first = 1
    for trial in range(count):
        sub.subscribe(b"tick/demo/S%d\0" % trial)
        for _ in range(4):
            terminal.send_ticks(1, epoch, first, 100)
            first += 100
        try:
            wanted = terminal.expect(Subscribe, within_s=within_s)
        except AssertionError:
            return trial

        assert f"S{trial}" == wanted.symbol

        terminal.pump()  # acknowledgements open the window
    return count


def test_a_send_swallows_the_edge_of_a_subscription():
    """What libzmq does, in every trial: the reason for all this."""
    context = zmq.Context()
    silent = 0
    with context.socket(zmq.XPUB) as xpub, context.socket(zmq.SUB) as sub:
        port = xpub.bind_to_random_port("tcp://127.0.0.1")
        sub.connect(f"tcp://127.0.0.1:{port}")
        sub.subscribe(b"first")

        assert xpub.poll(10_000)

        xpub.recv()
        for trial in range(100):
            while xpub.getsockopt(zmq.EVENTS) & zmq.POLLIN:
                xpub.recv(zmq.NOBLOCK)
            sub.subscribe(b"topic %d" % trial)

            assert select.select([xpub.fileno()], [], [], 10.0)[0]

            # libzmq looks for commands once a millisecond when it sends much.
            while select.select([xpub.fileno()], [], [], 0)[0]:
                xpub.send(b"x")
            # The descriptor is silent now, and the subscription is there all the same.
            silent += bool(xpub.getsockopt(zmq.EVENTS) & zmq.POLLIN)
    context.destroy(0)

    assert 100 == silent


def test_a_subscription_during_publishing_is_seen(tmp_path, monkeypatch):
    """Hundreds of them, without the safety tick: each reaches the terminal."""
    monkeypatch.setattr(app, "_TICK_S", NEVER_S)
    with busy_relay(tmp_path) as (terminal, sub, epoch):
        assert TRIALS == trials(terminal, sub, epoch, TRIALS, within_s=20.0)


def test_without_the_turn_a_subscription_is_stuck(tmp_path, monkeypatch):
    """The ablation: who trusts the descriptor waits in vain, soon."""
    monkeypatch.setattr(app, "_TICK_S", NEVER_S)
    monkeypatch.setattr(app, "Turn", EdgeOnly)
    with busy_relay(tmp_path) as (terminal, sub, epoch):
        monkeypatch.setattr(EdgeOnly, "armed", True)

        assert trials(terminal, sub, epoch, TRIALS, within_s=1.0) < TRIALS
