"""Links that are open and dead, and peers that are silent for a good reason.

Silence is noticed by the side that waits, never by TCP: a peer whose process stands still
has a kernel that acknowledges everything.
"""

from __future__ import annotations

import time

import pytest
import zmq

from bridge.bus.bodies import read_status, read_tick
from bridge.sim.link import Link
from bridge.wire.messages import Busy, Subscribe
from bridge.wire.spec import BusyKind, LogoutCode
from tests.support.relay import RelayProcess, RelayThread, make_settings, port_of
from tests.support.subscriber import Asker, Subscriber
from tests.support.terminal import ScriptedTerminal, SteadyTerminal, TerminalProcess

TOPIC = "tick/demo/EURUSD"
STATUS = "status/demo"
#: what a test that need not wait for seconds takes
QUICK = {"heartbeat_interval_ms": 100, "silence_limit_ms": 500}


class Watcher:
    """
    A subscriber of one symbol and of the terminal's status.
    """

    def __init__(self, context, endpoint):
        self.subscriber = Subscriber(context, endpoint, TOPIC, STATUS)
        self.seqs = []
        self.events = []

    def take(self, topic, body):
        if topic == TOPIC:
            self.seqs.append(read_tick(body).seq)
        else:
            self.events.append(read_status(body))

    def until_seq(self, seq):
        while not self.seqs or self.seqs[-1] < seq:
            self.take(*self.subscriber.receive())

    def until_event(self, name):
        """
        Return the details of the next event of this name.
        """
        while True:
            self.take(*self.subscriber.receive())
            if self.events and self.events[-1].event == name:
                return self.events.pop().details

    def names(self):
        return [event.event for event in self.events]

    def close(self):
        self.subscriber.close()


@pytest.fixture
def context():
    made = zmq.Context()
    yield made
    made.destroy(0)


def attach(context, relay, seq):
    """
    Return a watcher that has seen the stream up to ``seq``.
    """
    watcher = Watcher(context, relay.endpoints.publish)
    watcher.until_seq(seq)
    return watcher


@pytest.mark.slow
def test_a_half_open_link_is_noticed_within_five_seconds(tmp_path, context):
    """With the default settings, on both sides; then the stream goes on without a hole."""
    settings, keys = make_settings(tmp_path)
    with (
        RelayThread(settings) as relay,
        Link(port_of(relay.endpoints.terminal)) as link,
        SteadyTerminal(f"tcp://127.0.0.1:{link.port}", keys["demo"]) as terminal,
    ):
        terminal.release("EURUSD", 100)
        watcher = attach(context, relay, 100)
        link.freeze()
        begin = time.monotonic()
        details = watcher.until_event("LINK_DOWN")
        noticed = time.monotonic() - begin
        terminal.release("EURUSD", 50)
        link.thaw()
        watcher.until_event("LINK_UP")
        watcher.until_seq(150)
        watcher.close()
        ends = [end.code for end in terminal.ends]

    assert LogoutCode.HEARTBEAT_LOST == details["code"]
    assert noticed <= 5.0
    assert list(range(1, 151)) == watcher.seqs
    # The terminal noticed as well, or heard of it when the link was thawed.
    assert LogoutCode.HEARTBEAT_LOST == ends[0]


def test_a_terminal_that_stands_still_is_noticed(tmp_path, context):
    """SIGSTOP: its kernel goes on acknowledging. Afterwards it comes back by itself."""
    settings, keys = make_settings(tmp_path, session=QUICK)
    with (
        RelayThread(settings) as relay,
        TerminalProcess(relay.endpoints.terminal, keys["demo"], EURUSD=100) as terminal,
    ):
        watcher = attach(context, relay, 100)
        asker = Asker(context, relay.endpoints.request)
        terminal.pause()
        begin = time.monotonic()
        waiting = asker.start("symbol", {"symbol": "EURUSD"}, valid_for_ms=60_000)
        details = watcher.until_event("LINK_DOWN")
        noticed = time.monotonic() - begin
        answer = asker.reply(waiting)
        terminal.go_on()
        watcher.until_event("LINK_UP")
        terminal.release("EURUSD", 50)
        watcher.until_seq(150)
        watcher.close()
        asker.close()

    assert LogoutCode.HEARTBEAT_LOST == details["code"]
    assert 0.4 <= noticed <= 2.5
    # Whoever waited for the terminal is told which hop it was.
    assert "TERMINAL_UNAVAILABLE" == answer["error"]["code"]
    assert list(range(1, 151)) == watcher.seqs


def test_a_short_freeze_is_no_outage(tmp_path, context):
    """Less than the limit: nothing is cut, nothing is lost, nothing is said."""
    settings, keys = make_settings(tmp_path, session={**QUICK, "silence_limit_ms": 2_000})
    with (
        RelayThread(settings) as relay,
        Link(port_of(relay.endpoints.terminal)) as link,
        SteadyTerminal(f"tcp://127.0.0.1:{link.port}", keys["demo"]) as terminal,
    ):
        terminal.release("EURUSD", 100)
        watcher = attach(context, relay, 100)
        asker = Asker(context, relay.endpoints.request)
        link.freeze()
        terminal.release("EURUSD", 50)
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            asker.ask("ping")
        link.thaw()
        watcher.until_seq(150)
        watcher.close()
        asker.close()

        assert 1 == terminal.sessions
    assert list(range(1, 151)) == watcher.seqs
    assert "LINK_DOWN" not in watcher.names()


def test_a_busy_terminal_is_waited_for(tmp_path, context):
    """BUSY extends the limit: a first CopyTicks may take 45 s. The status says so."""
    settings, keys = make_settings(tmp_path, session=QUICK)
    with (
        RelayThread(settings) as relay,
        ScriptedTerminal(relay.endpoints.terminal, keys["demo"]) as terminal,
    ):
        watcher = Watcher(context, relay.endpoints.publish)
        terminal.log_on()
        epoch = terminal.accept_stream(terminal.expect(Subscribe))
        terminal.send(Busy(BusyKind.COPY_TICKS, 10_000))
        busy = watcher.until_event("BUSY")
        begin = time.monotonic()
        asker = Asker(context, relay.endpoints.request)
        while time.monotonic() - begin < 1.5:  # three times the limit, not a word
            (described,) = asker.ask("terminals")["terminals"]

            assert ("connected", True) == (described["state"], described["busy"])
        terminal.session.last_received_us += 1_500_000  # it was blocked: it noticed nothing
        terminal.send(Busy(BusyKind.READY, 0))
        watcher.until_event("READY")
        terminal.send_ticks(1, epoch, 1, 3)
        terminal.until(lambda: watcher.subscriber.socket.poll(0))
        watcher.until_seq(3)
        watcher.close()
        asker.close()

    assert {"kind": "COPY_TICKS", "limit_ms": 10_000} == busy
    assert "LINK_DOWN" not in watcher.names()


def test_busy_is_not_for_ever(tmp_path, context):
    """Past what it announced, and the limit, it is as dead as any other."""
    settings, keys = make_settings(tmp_path, session=QUICK)
    with (
        RelayThread(settings) as relay,
        ScriptedTerminal(relay.endpoints.terminal, keys["demo"]) as terminal,
    ):
        watcher = Watcher(context, relay.endpoints.publish)
        terminal.log_on()
        terminal.expect(Subscribe)
        terminal.send(Busy(BusyKind.COPY_TICKS, 500))
        watcher.until_event("BUSY")
        begin = time.monotonic()
        details = watcher.until_event("LINK_DOWN")
        noticed = time.monotonic() - begin
        watcher.close()

    assert LogoutCode.HEARTBEAT_LOST == details["code"]
    assert 0.8 <= noticed <= 3.0


@pytest.mark.slow
def test_a_stall_of_the_relay_is_not_the_terminals_silence(tmp_path, context):
    """SIGSTOP of the relay for 3 s, three times its limit: what waits in its socket is heard."""
    session = {"heartbeat_interval_ms": 300, "silence_limit_ms": 1_000}
    with (
        RelayProcess(tmp_path, session=session) as relay,
        ScriptedTerminal(relay.endpoints.terminal, relay.keys["demo"]) as terminal,
    ):
        watcher = Watcher(context, relay.endpoints.publish)
        terminal.log_on()
        # Only the relay's patience is asked for here.
        terminal.session._silence_us = 60_000_000
        epoch = terminal.accept_stream(terminal.expect(Subscribe))
        terminal.send_ticks(1, epoch, 1, 10)
        watcher.until_seq(10)
        for first in (11, 21):
            relay.pause()
            until = time.monotonic() + (3.0 if first == 11 else 1.5)
            terminal.until(lambda: time.monotonic() > until)  # noqa: B023 - called in this round
            relay.go_on()
            terminal.send_ticks(1, epoch, first, 10)
            terminal.until(lambda: watcher.subscriber.socket.poll(0))
            watcher.until_seq(first + 9)
        watcher.close()

        assert not terminal.ended
    assert list(range(1, 31)) == watcher.seqs
    assert "LINK_DOWN" not in watcher.names()
