"""A connection of a terminal: who may begin a logon, how it ends, and what waits."""

from __future__ import annotations

import pytest

from bridge.config import LimitSettings
from bridge.relay.links import Link, Links
from bridge.wire.frame import pack_header, pack_run_header
from bridge.wire.messages import (
    Halt,
    Request,
    Stream,
    Subscribe,
)
from bridge.wire.protocol import Closed, LoggedOn, TerminalSession
from bridge.wire.spec import LogoutCode
from tests.support.bench import Bench, FakeTransport, logged
from tests.support.terminal import cursor_of, make_hello, now_us, records_of

KEY = bytes(32)


class Wire:
    """
    A terminal's session at one end, the link under test at the other.
    """

    def __init__(self, links: Links, **hello) -> None:
        self.session = TerminalSession(KEY, make_hello(**hello), now_us())
        self.transport = FakeTransport()
        self.link = Link(links)
        self.link.connection_made(self.transport)
        self.events: list = []

    def write(self, data: bytes) -> None:
        self.link.get_buffer(-1)[: len(data)] = data
        self.link.buffer_updated(len(data))

    def run(self) -> list:
        """
        Carry bytes both ways until there are none; return what the terminal saw.
        """
        while True:
            out = self.session.data_to_send()
            if out:
                self.write(out)
            back, self.transport.written = bytes(self.transport.written), bytearray()
            self.session.receive_data(back, now_us())
            self.events += self.session.events_received()
            if not out and not back:
                return self.events

    def log_on(self) -> None:
        assert [LoggedOn] == [type(event) for event in self.run()], self.events

        self.events.clear()

    def expect(self, kind):
        found = [event for event in self.run() if isinstance(event, kind)]

        assert found, self.events

        return found[-1]

    def send(self, message) -> None:
        self.session.send(message)
        self.run()

    def end(self) -> Closed:
        return self.expect(Closed)

    def lose(self) -> None:
        self.link.connection_lost(None)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.fixture
def links(bench):
    return bench.make_links(program="relay under test")


# --- logon ---------------------------------------------------------------------------------


def test_a_terminal_logs_on(bench, links):
    """HELLO, CHALLENGE, PROOF, WELCOME; then the relay asks for what is subscribed."""
    bench.terminal().subscribe("EURUSD")
    wire = Wire(links)
    events = wire.run()

    assert [LoggedOn, Subscribe] == [type(event) for event in events][:2]
    assert ("demo", "relay under test") == (events[0].welcome.alias, events[0].welcome.program)
    assert bench.terminal().link is wire.link
    assert wire.link.logged_on
    assert set() == links.pending


def test_an_unknown_alias_is_refused_and_only_the_log_tells_the_known_ones(links, caplog):
    """The owner sees the aliases in the log; a stranger learns nothing of them."""
    wire = Wire(links, alias="dmeo")
    end = wire.end()

    assert LogoutCode.UNKNOWN_KEY == end.code
    assert "no terminal 'dmeo' is configured here; see the relay's log" == end.reason
    assert end.retry_after_ms >= 1000
    assert wire.transport.closing
    assert [("unknown terminal", "dmeo"), ("logon failed", "dmeo")] == [
        (e["event"], e["terminal"]) for e in logged(caplog)
    ]
    assert "demo" == logged(caplog)[0]["known"]


def test_a_refused_account_is_told_why(tmp_path, caplog):
    """The pin of the alias, in words."""
    bench = Bench(tmp_path, login=42)
    wire = Wire(bench.make_links())
    end = wire.end()

    assert LogoutCode.WRONG_ACCOUNT == end.code
    assert "pinned to login 42" in end.reason
    assert "pinned to login 42" in logged(caplog)[0]["reason"]


def test_a_wrong_key_is_noticed_by_the_terminal(links):
    """The relay proves itself first: a terminal with another key never says more."""
    wire = Wire(links)
    wire.session = TerminalSession(bytes(31) + b"\1", make_hello(), now_us())
    end = wire.end()

    assert LogoutCode.BAD_RELAY_KEY == end.code


def test_a_connection_that_ends_during_its_logon_leaves_nothing(bench, links, caplog):
    """Not a word in the log: a port scanner does this all day."""
    wire = Wire(links)
    wire.write(wire.session.data_to_send())
    wire.lose()

    assert set() == links.pending
    assert bench.terminal().link is None
    assert [] == [entry for entry in logged(caplog) if entry["level"] == "ERROR"]


@pytest.mark.parametrize("behind", [1, 2], ids=["HELLO", "PROOF"])
def test_garbage_behind_a_logon_frame_ends_it(bench, links, caplog, behind):
    """In one read with it: nobody is let in, and nothing of ours fails."""
    wire = Wire(links)
    if behind == 2:
        wire.write(wire.session.data_to_send())
        wire.session.receive_data(bytes(wire.transport.written), now_us())
    wire.write(wire.session.data_to_send() + bytes(64))

    assert wire.transport.closing
    assert not wire.link.logged_on
    assert bench.terminal().link is None
    assert ["logon failed"] == [entry["event"] for entry in logged(caplog)]


def test_too_many_logons_push_the_oldest_out(bench, links, caplog):
    """A flood of connections holds no more memory than its limit."""
    limit = LimitSettings().sessions_pending_logon
    wires = [Wire(links) for _ in range(limit + 3)]

    assert [True] * 3 + [False] * limit == [wire.transport.closing for wire in wires]
    assert limit == len(links.pending)
    assert 3 == links.refused
    assert "too many connections without a logon" == logged(caplog)[0]["reason"]

    wires[-1].log_on()

    assert bench.terminal().link is wires[-1].link


def test_logged_on_terminals_are_never_pushed_out(links):
    """They do not count as pending."""
    wire = Wire(links)
    wire.log_on()
    for _ in range(20):
        Wire(links)

    assert not wire.transport.closing


def test_a_logon_has_a_deadline(links):
    """Who opens a connection and says nothing is cut."""
    wire = Wire(links)
    links.tick(now_us() + 4_900_000)

    assert not wire.transport.closing

    links.tick(now_us() + 5_100_000)

    assert wire.transport.closing
    assert LogoutCode.LOGON_TIMEOUT == wire.end().code


# --- a session --------------------------------------------------------------------------------


def begin_stream(wire: Wire) -> int:
    wanted = wire.expect(Subscribe)
    wire.send(Stream(wanted.request_id, 0, "", 1, wanted.fresh_epoch, 1, 0, 5, 1e-5))
    return wanted.fresh_epoch


def market(epoch: int, first: int, length: int, claimed: int | None = None) -> bytes:
    header = pack_run_header(1, length, claimed or first, now_us(), cursor_of(first + length - 1))
    return header + records_of(epoch, first, length)


def test_ticks_are_published_and_acknowledged(bench, links):
    """What the terminal sent is on the bus, and it is told."""
    bench.terminal().subscribe("EURUSD")
    wire = Wire(links)
    epoch = begin_stream(wire)
    for first in range(1, 500, 100):
        wire.session.send_market(market(epoch, first, 100))
        wire.run()

    assert 500 == len(bench.socket.bodies("tick/demo/EURUSD"))
    assert wire.session.market_in_flight < 2 * 8192


def test_the_end_of_a_connection_ends_the_session(bench, links):
    """Whatever the reason, the terminal is away."""
    wire = Wire(links)
    wire.log_on()
    wire.lose()

    assert bench.terminal().link is None
    assert ["LINK_UP", "LINK_DOWN"] == bench.socket.events()


def test_the_relays_own_farewell_reaches_the_terminal(bench, links):
    """A LOGOUT with the reason, then the end of the connection."""
    wire = Wire(links)
    wire.log_on()
    wire.link.close(LogoutCode.SHUTTING_DOWN, "going down", 500)

    assert wire.transport.closing
    assert (LogoutCode.SHUTTING_DOWN, "going down", True, 500) == wire.end()
    assert bench.terminal().link is None


def test_a_peer_that_does_not_take_the_farewell_is_cut(links):
    """Two seconds for what is still in its queue, then no more."""
    wire = Wire(links)
    wire.log_on()
    wire.link.close(LogoutCode.SHUTTING_DOWN, "going down")
    links.tick(now_us() + 1_900_000)

    assert not wire.transport.aborted

    links.tick(now_us() + 2_100_000)

    assert wire.transport.aborted


def test_bad_records_end_the_session_with_their_topic(bench, links, caplog):
    """The reason is in the log, in the LOGOUT and on the status topic."""
    bench.terminal().subscribe("EURUSD")
    wire = Wire(links)
    epoch = begin_stream(wire)
    wire.session.send_market(market(epoch, 5, 3, claimed=1))
    end = wire.end()

    assert LogoutCode.BAD_RECORDS == end.code
    assert "tick/demo/EURUSD" in end.reason
    assert "LINK_DOWN" == bench.socket.events()[-1]
    assert end.reason == logged(caplog, "terminal disconnected")[0]["reason"]


def test_the_end_of_a_session_is_seen_behind_bad_records(bench, links):
    """Bad records and garbage in one read: two reasons to end, and one end."""
    bench.terminal().subscribe("EURUSD")
    wire = Wire(links)
    epoch = begin_stream(wire)
    wire.session.send_market(market(epoch, 5, 3, claimed=1))
    wire.write(wire.session.data_to_send() + bytes(64))

    assert bench.terminal().link is None
    assert "LINK_DOWN" == bench.socket.events()[-1]
    assert wire.transport.closing


def test_what_follows_bad_records_is_not_taken(bench, links):
    """A session that broke the protocol has said its last word."""
    bench.terminal().subscribe("EURUSD")
    wire = Wire(links)
    epoch = begin_stream(wire)
    wire.session.send_market(market(epoch, 5, 3, claimed=1))
    wire.session.send_market(market(epoch, 1, 3))
    wire.write(wire.session.data_to_send())

    assert [] == bench.socket.bodies("tick/demo/EURUSD")


def test_a_terminal_that_takes_no_commands_is_cut(bench, links, caplog, monkeypatch):
    """What waits for it is bounded; whoever asked it gets an answer at once, and one."""
    monkeypatch.setattr("bridge.wire.session.COMMAND_QUEUE_MAX", 10_000)
    wire = Wire(links)
    wire.log_on()
    wire.transport.stuck = True
    wire.transport.waiting = 70_000
    answers: list = []
    for _ in range(100):
        bench.terminal().ask("symbols", {"group": "x" * 200}, answers.append, now_us() + 10**9)

    assert bench.terminal().link is None
    assert wire.transport.closing
    assert {"TERMINAL_UNAVAILABLE"} == {answer.code for answer in answers}
    assert 100 == len(answers)
    assert LogoutCode.QUEUE_FULL == logged(caplog)[-1]["code"]


def test_commands_wait_in_the_session_when_the_kernel_is_full(bench, links):
    """So that an urgent one can overtake; they go out when the kernel takes more."""
    wire = Wire(links)
    wire.log_on()
    wire.transport.stuck = True
    wire.transport.waiting = 70_000
    wire.link.send(Request(1, "symbols", {}, 0))
    wire.link.send(Halt(2, "stop", 7))

    assert b"" == wire.transport.written

    wire.transport.waiting = 0
    wire.transport.stuck = False
    wire.link.resume_writing()
    events = [event for event in wire.run() if isinstance(event, Halt | Request)]

    assert [Halt, Request] == [type(event) for event in events]


def test_an_expected_silence_is_tested_and_then_ended(bench, links):
    """After half of the silence limit a question, after all of it the end."""
    wire = Wire(links)
    wire.log_on()
    begin = now_us()
    for step_ms in range(0, 2_500, 50):
        links.tick(begin + step_ms * 1000)
    back, wire.transport.written = bytes(wire.transport.written), bytearray()
    wire.session.receive_data(back, now_us())

    # The core answers a TEST_REQUEST by itself: its heartbeat carries the number.
    assert 0 < len(wire.session.data_to_send())
    assert bench.terminal().link is wire.link

    for step_ms in range(2_500, 4_200, 50):
        links.tick(begin + step_ms * 1000)

    assert bench.terminal().link is None
    assert LogoutCode.HEARTBEAT_LOST == wire.end().code


def test_the_link_tells_what_the_terminal_needs_to_know(links):
    """Capabilities of both, when something came last, the round trip."""
    wire = Wire(links)
    before = now_us()
    wire.log_on()

    assert 3 == wire.link.capabilities
    assert wire.link.last_received_us >= before
    assert wire.link.rtt_us is None

    links.tick(now_us() + 1_100_000)
    wire.run()
    wire.session.handle_timer(now_us() + 1_000_000)
    wire.run()

    assert wire.link.rtt_us is not None


def test_every_read_makes_the_loop_look_at_its_other_sockets(links):
    """What was published may have swallowed the edge of a subscription (Turn)."""
    turns: list[int] = []
    links.turn = lambda: turns.append(1)
    wire = Wire(links)
    wire.log_on()

    assert turns

    turns.clear()
    wire.lose()

    assert turns


def test_a_connection_during_the_stop_is_dropped(links):
    """Nobody logs on to a relay that is going down."""
    links.log_out()
    wire = Wire(links)

    assert wire.transport.aborted


def test_a_frame_that_is_too_large_before_the_logon_is_refused_at_its_header(links, caplog):
    """1 KiB is all that an unknown peer can make the relay hold."""
    wire = Wire(links)
    wire.write(pack_header(1_025, 1, 1))

    assert wire.transport.closing
    assert LogoutCode.FRAME_TOO_LARGE == logged(caplog)[0]["code"]
