"""Hostile and broken terminals over TCP: cut with a reason, and nobody else notices."""

from __future__ import annotations

import contextlib
import socket
import struct
import time

import pytest
import zmq

from bridge.bus.bodies import read_tick
from bridge.model.record import RECORD_SIZE
from bridge.wire.frame import pack_header, pack_run_header
from bridge.wire.messages import Heartbeat, Stream, Subscribe, Unsubscribe, pack_message
from bridge.wire.protocol import TerminalSession
from bridge.wire.spec import FrameType, LogoutCode
from tests.support.bench import logged
from tests.support.relay import RelayThread, make_settings
from tests.support.subscriber import Asker, Subscriber
from tests.support.terminal import (
    ScriptedTerminal,
    SteadyTerminal,
    address_of,
    cursor_of,
    make_hello,
    now_us,
    records_of,
)

DEADLINE_S = 20.0


class Arena:
    """
    A relay, a healthy terminal ``good`` that streams, and room for a bad one, ``demo``.
    """

    def __init__(self, relay, keys, context, good, log):
        self.relay = relay
        self.keys = keys
        self.context = context
        self.good = good
        self.endpoint = relay.endpoints.terminal
        self._log = log
        self._subscriber = Subscriber(context, relay.endpoints.publish, "tick/good/EURUSD")
        #: what listens to the bad terminal
        self.subscriber = self._subscriber
        self._sockets = [self._subscriber]
        self.check()

    def terminal(self, **hello):
        """
        Return a terminal of the alias ``demo``.
        """
        return ScriptedTerminal(self.endpoint, self.keys["demo"], **hello)

    def streaming(self, symbol="EURUSD", symbol_id=1):
        """
        Return a terminal that streams, and its epoch.
        """
        terminal = self.terminal()
        terminal.log_on()
        self.subscriber = self.subscribe(f"tick/demo/{symbol}")
        return terminal, terminal.accept_stream(terminal.expect(Subscribe), symbol_id)

    def subscribe(self, *topics):
        self._sockets.append(Subscriber(self.context, self.relay.endpoints.publish, *topics))
        return self._sockets[-1]

    def raw(self):
        """
        Return a bare connection to the terminal endpoint.
        """
        connection = socket.create_connection(address_of(self.endpoint), DEADLINE_S)
        self._sockets.append(connection)
        return connection

    def check(self):
        """
        See that the healthy terminal goes on: every tick arrives, in its one session.
        """
        last = self.good.release("EURUSD", 10)
        seen = [read_tick(self._subscriber.receive()[1]) for _ in range(10)]

        assert list(range(last - 9, last + 1)) == [tick.seq for tick in seen]
        assert 1 == self.good.sessions
        assert [] == [entry for entry in self.log() if entry["level"] == "ERROR"]

    def log(self, event=""):
        return logged(self._log, event)

    def close(self):
        for one in self._sockets:
            one.close()


@pytest.fixture
def arena(tmp_path, caplog, request):
    options = getattr(request, "param", {})
    settings, keys = make_settings(tmp_path, aliases=("demo", "good"), **options)
    context = zmq.Context()
    with (
        RelayThread(settings) as relay,
        SteadyTerminal(relay.endpoints.terminal, keys["good"], "good", login=2002) as good,
    ):
        made = Arena(relay, keys, context, good, caplog)
        yield made
        made.check()
        made.close()
    context.destroy(0)


def read_to_the_end(connection) -> bytes:
    """
    Return all that comes until the relay closed the connection.
    """
    connection.settimeout(DEADLINE_S)
    data = b""
    while True:
        try:
            part = connection.recv(65_536)
        except ConnectionResetError:
            return data
        if not part:
            return data
        data += part


def impatient(**session):
    return {"session": {"logon_deadline_ms": 200, **session}}


# --- before the logon --------------------------------------------------------------------------


GARBAGE = {
    "text": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "zeros": bytes(64),
    "ones": b"\xff" * 64,
    "4 GiB announced": struct.pack("<IBBHQ", 2**32 - 1, 1, 0, 0x354D, 1),
    "a byte more than a logon may have": pack_header(1_025, 1, 1),
    "a frame too short to be one": pack_header(31, 1, 1),
    "a wrong magic": struct.pack("<IBBHQ", 48, 1, 0, 0x1234, 1) + bytes(32),
    "flags": struct.pack("<IBBHQ", 48, 1, 1, 0x354D, 1) + bytes(32),
    "a wrong number": pack_header(48, 1, 7) + bytes(32),
    "a tag where there is no key": pack_header(32, 1, 1) + b"\1" * 16,
    "a body that is no msgpack": pack_header(48, 1, 1) + b"\xc1" * 16 + bytes(16),
    "ticks": pack_header(98, FrameType.TICKS, 1) + bytes(82),
    "a proof": pack_header(64, FrameType.PROOF, 1) + bytes(48),
    "an unknown type": pack_header(32, 0x7E, 1) + bytes(16),
    "an unknown type that may be ignored later": pack_header(32, 0xFE, 1) + bytes(16),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_cut_with_a_reason(arena, name):
    """At its first wrong byte, without waiting for more."""
    connection = arena.raw()
    connection.sendall(GARBAGE[name])
    read_to_the_end(connection)
    (entry,) = arena.log("logon failed")

    assert LogoutCode.BAD_FRAME <= entry["code"] <= LogoutCode.UNKNOWN_TYPE
    assert entry["reason"]


def test_random_bytes_are_cut(arena, rng):
    """A hundred connections of nothing but noise."""
    for _ in range(100):
        connection = arena.raw()
        connection.sendall(rng.randbytes(rng.randint(16, 2_000)))
        read_to_the_end(connection)

    assert 100 == len(arena.log("logon failed"))


@pytest.mark.parametrize("arena", [impatient()], indirect=True)
@pytest.mark.parametrize("said", ["nothing", "half a HELLO", "HELLO", "HELLO and a byte"])
def test_a_half_logon_ends_at_the_deadline(arena, said):
    """Who connects and says no more holds a place for a moment only."""
    terminal = arena.terminal()
    data = terminal.session.data_to_send()
    cut = {"nothing": 0, "half a HELLO": len(data) // 2}.get(said, len(data))
    begin = time.monotonic()
    connection = arena.raw()
    connection.sendall(data[:cut] + (b"\0" if said == "HELLO and a byte" else b""))
    read_to_the_end(connection)
    terminal.close()

    assert 0.15 < time.monotonic() - begin < 5.0
    assert LogoutCode.LOGON_TIMEOUT in {entry["code"] for entry in arena.log("logon failed")}


@pytest.mark.parametrize("cut", [1, 3, 4, 15, 16, 17, 100, -17, -1])
def test_a_cut_in_the_logon_is_no_event(arena, cut):
    """Terminals come and go: not worth a warning, and nothing is left behind."""
    terminal = arena.terminal()
    data = terminal.session.data_to_send()
    terminal.send_bytes(data[:cut])
    terminal.close()
    with arena.terminal() as again:
        assert "demo" == again.log_on().welcome.alias


@pytest.mark.parametrize("arena", [{"limits": {"sessions_pending_logon": 4}}], indirect=True)
def test_a_flood_of_connections_is_bounded(arena):
    """The oldest that said nothing go; a terminal that does log on gets in."""
    flood = [arena.raw() for _ in range(50)]
    for connection in flood[:46]:
        read_to_the_end(connection)
    asker = Asker(arena.context, arena.relay.endpoints.request)
    try:
        assert 46 == asker.ask("status")["refused_connections"]
    finally:
        asker.close()
    with arena.terminal() as terminal:
        terminal.log_on()


# --- identity -----------------------------------------------------------------------------------


def test_a_wrong_key_is_explained_on_both_sides(arena):
    """The relay proves itself first, so it is the terminal that says no, and tells why."""
    with ScriptedTerminal(arena.endpoint, bytes(32)) as terminal:
        end = terminal.expect_end()
        (entry,) = wait_for_log(arena, "logon failed")

    assert LogoutCode.BAD_RELAY_KEY == end.code == entry["code"]
    assert "compare both key files" in end.reason
    assert "compare both key files" in entry["reason"]
    assert "demo" == entry["terminal"]


def wait_for_log(arena, event):
    """
    Return the records of this event when there are any.
    """
    deadline = time.monotonic() + DEADLINE_S
    while not (found := arena.log(event)):
        assert time.monotonic() < deadline, arena.log()
    return found


class Credulous(TerminalSession):
    """
    A terminal without the key that does not mind whether the relay has it.
    """

    def _receive_challenge(self, body):
        self._lanes.push(FrameType.PROOF, bytes(32))


def test_a_terminal_without_the_key_does_not_get_in(arena):
    """It is told so, and the log says what to compare."""
    with arena.terminal() as terminal:
        terminal.session = Credulous(bytes(32), terminal.hello, now_us())
        reply = b""
        while b"key of this alias" not in reply:
            terminal.pump(0.05)
            reply = bytes(terminal.received)
        (entry,) = wait_for_log(arena, "logon failed")

    assert LogoutCode.BAD_TERMINAL_KEY == entry["code"]
    assert "compare both key files" in entry["reason"]


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        ({"key_id": "dmeo"}, LogoutCode.UNKNOWN_KEY, "no terminal 'dmeo'"),
        ({"version_min": 2, "version_max": 3}, LogoutCode.VERSION_MISMATCH, "speaks versions 2..3"),
        ({"version_min": 0, "version_max": 0}, LogoutCode.VERSION_MISMATCH, "speaks versions 0..0"),
        ({"login": 0}, LogoutCode.WRONG_ACCOUNT, "no account"),
        ({"login": 2002}, LogoutCode.DUPLICATE_SESSION, "under alias 'good'"),
        ({"role": 4}, LogoutCode.ROLE_UNSUPPORTED, "no role 4"),
    ],
)
def test_who_may_not_come_in_is_told_why(arena, fields, code, text):
    """In the LOGOUT, where the person at the terminal sees it, and in the log."""
    with arena.terminal(**fields) as terminal:
        end = terminal.expect_end()
        (entry,) = wait_for_log(arena, "logon failed")

    assert code == end.code == entry["code"]
    assert text in end.reason
    assert text in entry["reason"]


def test_a_recorded_session_cannot_be_played_again(arena):
    """The relay's nonce is new: the proof of yesterday proves nothing."""
    terminal, epoch = arena.streaming()
    terminal.send_ticks(1, epoch, 1, 100)
    recorded = bytes(terminal.sent)
    terminal.close()
    connection = arena.raw()
    connection.sendall(recorded)
    reply = read_to_the_end(connection)

    # Behind HELLO everything is out of place until the relay has answered.
    assert arena.log("logon failed")[-1]["code"] in {
        LogoutCode.BAD_TERMINAL_KEY,
        LogoutCode.UNEXPECTED_TYPE,
    }
    assert reply

    # Played with the patience of somebody who waits for each answer.
    connection = arena.raw()
    hello = struct.unpack_from("<I", recorded)[0]
    proof = struct.unpack_from("<I", recorded, hello)[0]
    connection.sendall(recorded[:hello])

    assert connection.recv(65_536)

    connection.sendall(recorded[hello : hello + proof])
    read_to_the_end(connection)

    assert LogoutCode.BAD_TERMINAL_KEY == arena.log("logon failed")[-1]["code"]


def test_two_programs_with_one_key_do_not_push_each_other_out(arena):
    """The EA on two charts: the second one is refused, the first one goes on."""
    with arena.terminal() as first:
        first.log_on()
        with arena.terminal(incarnation=b"another program!") as second:
            deadline = time.monotonic() + DEADLINE_S
            while not second.ended:
                assert time.monotonic() < deadline

                first.pump(0.01)  # answers the test request
                second.pump(0.01)
            end = second.expect_end()

        assert LogoutCode.DUPLICATE_SESSION == end.code
        assert "two charts" in end.reason

        first.until(lambda: first.session.rtt_us is not None)

        assert not first.ended


def test_a_silent_session_makes_room_for_another_program(arena):
    """MetaTrader was killed and reinstalled: two seconds, then the new one is in."""
    with arena.terminal() as first:
        first.log_on()
        begin = time.monotonic()
        with arena.terminal(incarnation=b"another program!") as second:
            second.log_on()

            assert 1.5 < time.monotonic() - begin < 5.0
        assert LogoutCode.REPLACED == first.expect_end().code


def test_a_reconnect_of_the_same_program_is_let_in_at_once(arena):
    """Its old connection may look alive for seconds: a higher counter is enough."""
    with arena.terminal(connection_counter=1) as first:
        first.log_on()
        with arena.terminal(connection_counter=2) as second:
            begin = time.monotonic()
            second.log_on()

            assert time.monotonic() - begin < 1.0
        assert LogoutCode.REPLACED == first.expect_end().code


# --- in a session ----------------------------------------------------------------------------------


def frame_of(session, frame_type, body):
    """
    Return the next frame of a session, tagged as it should be.
    """
    return session._frame(frame_type, body)


def run_of(epoch, first, records, symbol_id=1, length=None):
    count = len(records) // RECORD_SIZE if length is None else length
    return pack_run_header(symbol_id, count, first, now_us(), cursor_of(first)) + records


def damaged(records, offset, data):
    """
    Return records whose second one has other bytes at ``offset``.
    """
    at = RECORD_SIZE + offset
    return records[:at] + data + records[at + len(data) :]


def bad_runs(epoch):
    good = records_of(epoch, 1, 3)
    return {
        "NaN": run_of(epoch, 1, damaged(good, 25, struct.pack(">d", float("nan")))),
        "infinity": run_of(epoch, 1, damaged(good, 34, struct.pack(">d", float("inf")))),
        "a number too small to be one": run_of(
            epoch, 1, damaged(good, 43, struct.pack(">d", float("-inf")))
        ),
        "a wrong sequence number": run_of(epoch, 1, damaged(good, 14, b"\x77")),
        "numbers that do not fit the header": run_of(epoch, 2, good),
        "another epoch": run_of(epoch, 1, records_of(epoch + 1, 1, 3)),
        "a wrong marker": run_of(epoch, 1, damaged(good, 60, b"\xcc")),
        "more records than there are": run_of(epoch, 1, good, length=4),
        "fewer records than there are": run_of(epoch, 1, good, length=2),
        "no record": run_of(epoch, 1, b""),
        "a header that is cut": run_of(epoch, 1, good)[:-1],
        "nothing": b"",
    }


@pytest.mark.parametrize("name", bad_runs(1))
def test_bad_records_are_never_published(arena, name):
    """The terminal is cut with the reason; the log names the topic or the frame."""
    terminal, epoch = arena.streaming()
    terminal.send_bytes(frame_of(terminal.session, FrameType.TICKS, bad_runs(epoch)[name]))
    end = terminal.expect_end()
    terminal.close()

    assert LogoutCode.BAD_RECORDS == end.code
    assert end.reason == wait_for_log(arena, "terminal disconnected")[0]["reason"]
    assert [] == list(arena.subscriber.waiting())


BAD_FRAMES = {
    "a frame again": LogoutCode.BAD_SEQUENCE,
    "two frames in another order": LogoutCode.BAD_SEQUENCE,
    "a frame left out": LogoutCode.BAD_SEQUENCE,
    "a flipped bit": LogoutCode.BAD_TAG,
    "no tag": LogoutCode.BAD_TAG,
    "the tag of another frame": LogoutCode.BAD_TAG,
    "a frame of the logon": LogoutCode.UNEXPECTED_TYPE,
    "a frame that only the relay sends": LogoutCode.UNEXPECTED_TYPE,
    "a critical type of the future": LogoutCode.UNKNOWN_TYPE,
    "an oversized frame": LogoutCode.FRAME_TOO_LARGE,
    "too many ticks in a frame": LogoutCode.FRAME_TOO_LARGE,
    "a body that is no msgpack": LogoutCode.BAD_MESSAGE,
    "a body with a field too few": LogoutCode.BAD_MESSAGE,
    "a field of a wrong type": LogoutCode.BAD_MESSAGE,
}


@pytest.mark.parametrize("name", BAD_FRAMES)
def test_a_frame_out_of_place_ends_the_session(arena, name):
    """The peer is cut, and both sides have the reason."""
    terminal, epoch = arena.streaming()
    session = terminal.session
    body = run_of(epoch, 1, records_of(epoch, 1, 3))
    state = pack_message(Heartbeat(now_us(), 0, 0, 0, None))
    first = frame_of(session, FrameType.TICKS, body)
    data = {
        "a frame again": lambda: first + first,
        "two frames in another order": lambda: (
            frame_of(session, FrameType.HEARTBEAT, state) + first
        ),
        "a frame left out": lambda: frame_of(session, FrameType.HEARTBEAT, state),
        "a flipped bit": lambda: first[:100] + bytes([first[100] ^ 4]) + first[101:],
        "no tag": lambda: first[:-16] + bytes(16),
        "the tag of another frame": lambda: (
            first[:-16] + frame_of(session, FrameType.TICKS, body)[-16:]
        ),
        "a frame of the logon": lambda: first + frame_of(session, FrameType.WELCOME, b"\x90"),
        "a frame that only the relay sends": lambda: (
            first + frame_of(session, FrameType.ACK, b"\x91\x01")
        ),
        "a critical type of the future": lambda: first + frame_of(session, 0x7F, b""),
        "an oversized frame": lambda: first + pack_header(65_537, FrameType.PAGE, 99),
        "too many ticks in a frame": lambda: (
            first + frame_of(session, FrameType.TICKS, run_of(epoch, 4, records_of(epoch, 4, 200)))
        ),
        "a body that is no msgpack": lambda: first + frame_of(session, FrameType.GAP, b"\xc1"),
        "a body with a field too few": lambda: (
            first + frame_of(session, FrameType.BUSY, b"\x91\x01")
        ),
        "a field of a wrong type": lambda: (
            first + frame_of(session, FrameType.BUSY, b"\x92\xa1x\x01")
        ),
    }[name]()
    terminal.send_bytes(data)
    end = terminal.expect_end()
    terminal.close()

    assert BAD_FRAMES[name] == end.code, end
    assert end.reason == wait_for_log(arena, "terminal disconnected")[0]["reason"]


def test_what_a_later_version_may_send_is_ignored(arena):
    """Types above 7f are not critical: this relay passes over them."""
    terminal, epoch = arena.streaming()
    with terminal:
        terminal.send_bytes(frame_of(terminal.session, 0x80, b"anything at all"))
        terminal.send_ticks(1, epoch, 1, 3)
        terminal.until(lambda: terminal.session.market_in_flight == 0)


@pytest.mark.parametrize("symbol_id", [0, 2, 2**32 - 1])
def test_ticks_of_an_unknown_symbol_id_are_dropped(arena, symbol_id):
    """They may have been under way when the stream was ended; they are acknowledged."""
    terminal, epoch = arena.streaming()
    with terminal:
        terminal.send_records(symbol_id, 1, records_of(epoch, 1, 3))
        terminal.send_ticks(1, epoch, 4, 3)
        terminal.until(lambda: terminal.session.market_in_flight == 0)

        assert [4, 5, 6] == [read_tick(arena.subscriber.receive()[1]).seq for _ in range(3)]
        assert not terminal.ended


def test_an_answer_to_nothing_is_undone(arena):
    """A STREAM that nobody asked for is stopped; it is no reason to cut."""
    with arena.terminal() as terminal:
        terminal.log_on()
        terminal.send(Stream(77, 0, "", 5, 9, 1, 0, 5, 1e-5))

        assert Unsubscribe(5) == terminal.expect(Unsubscribe)


def test_one_id_for_two_symbols_ends_the_session(arena):
    """The ticks of one would be published as the other's."""
    terminal, _ = arena.streaming()
    arena.subscribe("tick/demo/USDJPY")
    terminal.accept_stream(terminal.expect(Subscribe), 1)
    end = terminal.expect_end()
    terminal.close()

    assert LogoutCode.BAD_MESSAGE == end.code
    assert "symbol id 1" in end.reason


@pytest.mark.parametrize(
    "arena", [{"session": {"heartbeat_interval_ms": 50, "silence_limit_ms": 300}}], indirect=True
)
def test_a_terminal_that_falls_silent_is_cut(arena):
    """Its connection is open, nothing comes: the relay does not wait for ever."""
    with arena.terminal() as terminal:
        terminal.log_on()
        begin = time.monotonic()
        (entry,) = wait_for_log(arena, "terminal disconnected")

        assert LogoutCode.HEARTBEAT_LOST == entry["code"]
        assert 0.25 < time.monotonic() - begin < 5.0


def test_a_terminal_that_never_reads_harms_only_itself(arena, monkeypatch):
    """What is queued for it is bounded; past the bound it is cut, and the askers are told."""
    monkeypatch.setattr("bridge.wire.session.COMMAND_QUEUE_MAX", 65_536)
    terminal = arena.terminal()
    terminal.log_on()
    asker = Asker(arena.context, arena.relay.endpoints.request)
    params = {"group": "\N{DIRECT HIT}" * 255}
    # It lives: its heartbeats come. But it takes nothing of what it is asked.
    while not arena.log("terminal disconnected"):
        terminal.session.last_received_us = now_us()
        terminal.session.handle_timer(now_us())
        terminal.flush()
        numbers = [
            asker.start("symbols", params, terminal="demo", valid_for_ms=1) for _ in range(250)
        ]
        replies = [asker.reply(number) for number in numbers]

        assert {False} == {reply["ok"] for reply in replies}
    asker.close()
    terminal.close()

    assert LogoutCode.QUEUE_FULL == arena.log("terminal disconnected")[0]["code"]


@pytest.mark.slow
def test_a_terminal_that_has_the_key_may_send_anything(arena, rng):
    """Hundreds of authentic frames of nonsense: taken, ignored or cut, never our defect."""
    types = [*sorted(FrameType), 0, 0x50, 0x7F, 0x80, 0xFF]
    for counter in range(1, 301):
        terminal = arena.terminal(connection_counter=counter)
        terminal.log_on()
        for _ in range(rng.randint(1, 5)):
            kind = rng.choice(types)
            body = rng.randbytes(rng.choice([0, 1, 5, 40, 106, 500]))
            if kind in terminal_messages() and rng.random() < 0.7:
                body = mutated(pack_message(terminal_messages()[kind]), rng)
            with contextlib.suppress(OSError):  # cut already
                terminal.send_bytes(frame_of(terminal.session, kind, body))
        with contextlib.suppress(OSError):
            terminal.socket.shutdown(socket.SHUT_WR)
        read_to_the_end(terminal.socket)
        terminal.close()

    assert {0} < {entry["code"] for entry in arena.log("terminal disconnected")}
    assert [] == [entry for entry in arena.log() if entry["level"] == "ERROR"]


def terminal_messages():
    return {
        FrameType.HEARTBEAT: Heartbeat(1, 1, 1, 0, None),
        FrameType.STREAM: Stream(1, 0, "", 1, 1, 1, 0, 5, 1e-5),
        FrameType.HELLO: make_hello(),
    }


def mutated(body, rng):
    data = bytearray(body)
    for _ in range(rng.randint(0, 3)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def test_the_reason_of_a_peer_cannot_forge_log_lines(arena):
    """Its text is printable when it is logged, whatever it was."""
    with arena.terminal() as terminal:
        terminal.log_on()
        terminal.session.logout(LogoutCode.NORMAL, "bye\r\n2026-01-01 ERROR \x1b[31mfaked")
        terminal.flush()
        (entry,) = wait_for_log(arena, "terminal disconnected")

    assert entry["reason"].isprintable()
