"""``bridge.wire.protocol``: who may log on, with every bit of it changed on the way."""

from __future__ import annotations

import pytest

from bridge.exceptions import LocalProtocolError
from bridge.wire import auth
from bridge.wire.messages import Challenge, EventCursor, Welcome, pack_message
from bridge.wire.protocol import (
    Closed,
    HelloReceived,
    LoggedOn,
    LogonRequested,
    RelaySession,
    TerminalSession,
)
from bridge.wire.spec import FRAME_OVERHEAD, LOGON_FRAME_MAX, FrameType, LogoutCode
from bridge.wire.states import State
from tests.support.wire import (
    CAPABILITIES,
    KEY,
    RELAY_EPOCH,
    RELAY_NONCE,
    START_US,
    WRONG_KEY,
    SessionPair,
    Way,
    a_frame,
    a_hello,
    feed,
    flipped,
    type_of,
)
from tests.support.wire_sessions import SIDES, active_with, ended, sent, session_in


def waiting_challenge(way, **options):
    """
    Return a pair whose CHALLENGE is under way.
    """
    pair = SessionPair(way=way, **options)
    pair.up.collect()
    pair.up.deliver(pair.now_us)
    pair.take_events()
    pair.down.collect()
    return pair


# --- logon -----------------------------------------------------------------------------------


def test_both_prove_themselves_and_the_session_opens(way):
    pair = SessionPair(way=way).settle()
    welcome = Welcome("demo", "relay", 1000, 4000, 0, START_US, 1_546_380_000_123, None)

    assert pair.relay_events[:2] == [HelloReceived(a_hello()), LogonRequested(a_hello())]
    assert pair.terminal_events[0] == LoggedOn(welcome)
    assert (pair.terminal.state, pair.relay.state) == (State.ACTIVE, State.ACTIVE)
    assert pair.terminal.relay_epoch == RELAY_EPOCH
    assert pair.terminal.capabilities == pair.relay.capabilities == CAPABILITIES


def test_a_logon_step_is_taken_however_it_arrives(way):
    pair = SessionPair()
    for line, state in ((pair.up, State.HELLO_RECEIVED), (pair.down, State.PROOF_SENT)):
        line.collect()
        line.deliver(pair.now_us, way)
        assert line.receiver.state is state
        # What trails must not be lost: here it is taken back, for the next frame to begin.
        line.receiver._buffer._partial.clear()
        pair.take_events()
    pair.settle()

    assert pair.relay.state is State.ACTIVE


def test_capabilities_are_those_that_both_have():
    pair = SessionPair(hello=a_hello(capabilities=0b1010))
    pair.relay.receive_data(pair.terminal.data_to_send(), START_US)
    pair.relay.challenge(KEY, RELAY_NONCE, 1, 0b0110)
    pair.terminal.receive_data(pair.relay.data_to_send(), START_US)

    assert pair.terminal.capabilities == pair.relay.capabilities == 0b0010


def test_the_first_frames_are_not_tagged_and_all_later_ones_are():
    pair = SessionPair().settle()
    tags = [(type_of(frame), any(frame[-16:])) for frame in pair.up.delivered[:3]]
    tags += [(type_of(frame), any(frame[-16:])) for frame in pair.down.delivered[:3]]

    assert tags == [
        (FrameType.HELLO, False),
        (FrameType.PROOF, False),
        (FrameType.HEARTBEAT, True),
        (FrameType.CHALLENGE, False),
        (FrameType.WELCOME, True),
        (FrameType.HEARTBEAT, True),
    ] or tags[:2] == [(FrameType.HELLO, False), (FrameType.PROOF, False)]


def test_the_event_cursor_travels_in_the_welcome():
    pair = SessionPair()
    pair.relay.receive_data(pair.terminal.data_to_send(), START_US)
    pair.relay.challenge(KEY, RELAY_NONCE, 1, 0)
    pair.terminal.receive_data(pair.relay.data_to_send(), START_US)
    pair.relay.receive_data(pair.terminal.data_to_send(), START_US)
    pair.relay.accept("demo", "relay", START_US, 1, event_cursor=EventCursor(5, 2**63))
    pair.terminal.receive_data(pair.relay.data_to_send(), START_US)

    assert pair.terminal.events_received()[0].welcome.event_cursor == EventCursor(5, 2**63)


@pytest.mark.parametrize("keys", [(KEY, WRONG_KEY), (WRONG_KEY, KEY)])
def test_with_a_wrong_key_both_sides_say_why(way, keys):
    pair = SessionPair(terminal_key=keys[0], relay_key=keys[1], way=way).settle()

    for side, by_peer in (("terminal", True), ("relay", True)):
        end = pair.end_of(side)
        assert (end.code, end.by_peer) == (LogoutCode.BAD_RELAY_KEY, by_peer)
        assert "key" in end.reason


def test_a_terminal_without_the_key_is_told_so(way):
    """A relay proves itself first, so only a forged PROOF comes so far."""
    pair = waiting_challenge(way)
    pair.down.deliver(pair.now_us)
    (proof,) = pair.up.collect()
    pair.up.waiting = [flipped(proof, 16 * 8)]
    pair.up.deliver(pair.now_us, way)
    pair.down.collect()
    pair.down.deliver(pair.now_us, way)

    assert ended(pair.relay).code == LogoutCode.BAD_TERMINAL_KEY
    end = ended(pair.terminal)
    assert (end.code, end.by_peer) == (LogoutCode.BAD_TERMINAL_KEY, True)


def test_a_recorded_relay_is_refused(way):
    record = SessionPair().settle()
    terminal = TerminalSession(KEY, a_hello(nonce=b"\x44" * 32, connection_counter=2), START_US)
    feed(terminal, b"".join(record.down.delivered), START_US, way)

    assert ended(terminal).code == LogoutCode.BAD_RELAY_KEY


def test_a_terminal_whose_nonce_repeats_takes_a_recorded_relay_for_the_real_one(way):
    """Ablation: this is what the terminal's nonce counter is for."""
    record = SessionPair().settle()
    terminal = TerminalSession(KEY, a_hello(), START_US)
    feed(terminal, b"".join(record.down.delivered), START_US, way)

    assert terminal.state is State.ACTIVE


def test_a_recorded_terminal_is_refused(way):
    record = SessionPair().settle()
    relay = RelaySession(START_US)
    hello, proof = record.up.delivered[:2]
    relay.receive_data(hello, START_US)
    relay.challenge(KEY, b"\x55" * 32, RELAY_EPOCH, CAPABILITIES)
    feed(relay, proof, START_US, way)

    assert ended(relay).code == LogoutCode.BAD_TERMINAL_KEY


def test_a_relay_whose_nonce_repeats_takes_a_recorded_terminal_for_the_real_one():
    """Ablation: the relay's nonce is what makes a session new."""
    record = SessionPair().settle()
    relay = RelaySession(START_US)
    hello, *rest = record.up.delivered
    relay.receive_data(hello, START_US)
    relay.challenge(KEY, RELAY_NONCE, RELAY_EPOCH, CAPABILITIES)
    relay.receive_data(rest[0], START_US)
    relay.accept("demo", "relay", START_US, 0)
    relay.receive_data(b"".join(rest[1:]), START_US)

    assert relay.state is State.ACTIVE


@pytest.mark.parametrize(("low", "high"), [(2, 3), (0, 0)])
def test_a_terminal_of_another_version_is_refused(way, low, high):
    pair = SessionPair(hello=a_hello(version_min=low, version_max=high), way=way).settle()

    assert pair.end_of("relay").code == LogoutCode.VERSION_MISMATCH
    assert pair.end_of("terminal").code == LogoutCode.VERSION_MISMATCH


def test_a_terminal_that_speaks_more_versions_is_answered_in_ours():
    pair = SessionPair(hello=a_hello(version_min=1, version_max=9)).logon()

    assert pair.relay.state is State.ACTIVE


def test_a_version_that_was_not_offered_is_refused(way):
    terminal = TerminalSession(KEY, a_hello(), START_US)
    terminal.data_to_send()
    fields = pack_message(Challenge(2, 0, 1, RELAY_NONCE))
    feed(terminal, a_frame(FrameType.CHALLENGE, 1, fields + bytes(32)), START_US, way)

    assert ended(terminal).code == LogoutCode.VERSION_MISMATCH


def with_changed_hello(bit):
    """
    Return a pair between whose sides somebody changes one bit of HELLO.
    """
    pair = SessionPair()
    (hello,) = pair.up.collect()
    pair.up.waiting = [flipped(hello, bit)]
    return pair


def with_changed_challenge(bit):
    """
    Return a pair between whose sides somebody changes one bit of CHALLENGE.
    """
    pair = waiting_challenge(Way.WHOLE)
    pair.down.waiting = [flipped(pair.down.waiting[0], bit)]
    return pair


HELLO_BITS = 8 * len(SessionPair().up.collect()[0])
CHALLENGE_BITS = 8 * len(waiting_challenge(Way.WHOLE).down.waiting[0])


def test_no_logon_survives_a_changed_bit_of_hello():
    """Login, server, role, demo or real, version, nonce: all are in the transcript."""
    assert [bit for bit in range(HELLO_BITS) if active_with(with_changed_hello(bit))] == []


def test_no_logon_survives_a_changed_bit_of_challenge():
    assert [bit for bit in range(CHALLENGE_BITS) if active_with(with_changed_challenge(bit))] == []


def test_without_the_transcript_a_man_in_the_middle_changes_the_logon(monkeypatch):
    """Ablation: keys that do not depend on what was said let a real account pass for a demo."""
    real = auth.derive
    monkeypatch.setattr(auth, "derive", lambda key, *_: real(key, b"", b""))

    assert any(active_with(with_changed_hello(bit)) for bit in range(128, HELLO_BITS - 128))


@pytest.mark.parametrize("epoch", [0, RELAY_EPOCH])
def test_a_relay_of_the_newest_known_epoch_is_taken(epoch):
    assert SessionPair(hello=a_hello(relay_epoch_seen=epoch)).logon()


def test_an_older_relay_is_fenced_off(way):
    pair = SessionPair(hello=a_hello(relay_epoch_seen=RELAY_EPOCH + 1), way=way).settle()

    assert pair.end_of("terminal").code == LogoutCode.STALE_RELAY
    assert pair.end_of("relay").code == LogoutCode.STALE_RELAY


@pytest.mark.parametrize(
    ("interval_ms", "limit_ms"),
    [(0, 4000), (9, 4000), (60_001, 300_000), (1000, 1999), (1000, 300_001)],
)
def test_a_welcome_with_impossible_timing_is_refused(way, interval_ms, limit_ms):
    timing = {"heartbeat_interval_ms": interval_ms, "silence_limit_ms": limit_ms}
    pair = waiting_challenge(way, **timing)
    pair.settle()

    assert pair.end_of("terminal").code == LogoutCode.BAD_MESSAGE


@pytest.mark.parametrize("code", [LogoutCode.UNKNOWN_KEY, LogoutCode.NOT_DEMO])
def test_the_relay_can_refuse_an_introduction(way, code):
    pair = SessionPair(way=way)
    pair.up.collect()
    pair.up.deliver(pair.now_us)
    pair.relay.refuse(code, "not here", 10_000)
    pair.settle()

    assert pair.end_of("terminal") == Closed(code, "not here", True, 10_000)
    assert pair.end_of("relay") == Closed(code, "not here", False, 0)


def test_the_relay_can_refuse_a_proved_terminal(way):
    pair = waiting_challenge(way)
    pair.down.deliver(pair.now_us)
    pair.up.collect()
    pair.up.deliver(pair.now_us)
    pair.relay.refuse(LogoutCode.DUPLICATE_SESSION, "the other one lives", 10_000)
    pair.down.collect()
    pair.down.deliver(pair.now_us, way)

    assert any(pair.down.delivered[-1][-16:])
    end = Closed(LogoutCode.DUPLICATE_SESSION, "the other one lives", True, 10_000)
    assert ended(pair.terminal) == end


def test_a_terminal_must_not_run_ahead(way):
    """After HELLO nothing may follow before CHALLENGE."""
    relay = RelaySession(START_US)
    hello = SessionPair().up.collect()[0]
    feed(relay, hello + a_frame(FrameType.PROOF, 2, bytes(32)), START_US, way)

    assert ended(relay).code == LogoutCode.UNEXPECTED_TYPE


@pytest.mark.parametrize("size", [0, 31, 33, 100])
def test_a_proof_of_another_size_is_refused(way, size):
    pair = waiting_challenge(way)
    feed(pair.relay, a_frame(FrameType.PROOF, 2, bytes(size)), START_US, way)

    assert ended(pair.relay).code == LogoutCode.BAD_TERMINAL_KEY


@pytest.mark.parametrize("size", [0, 1, 31, 32, 40])
def test_a_challenge_that_is_too_short_is_refused(way, size):
    terminal = TerminalSession(KEY, a_hello(), START_US)
    feed(terminal, a_frame(FrameType.CHALLENGE, 1, bytes(size)), START_US, way)

    assert ended(terminal).code == LogoutCode.BAD_MESSAGE


@pytest.mark.parametrize("side", SIDES)
def test_an_oversized_logon_frame_is_refused(way, side):
    pair = SessionPair()
    session = getattr(pair, side)
    body = bytes(LOGON_FRAME_MAX - FRAME_OVERHEAD + 1)
    feed(session, a_frame(FrameType.HELLO, 1, body), START_US, way)

    assert ended(session).code == LogoutCode.FRAME_TOO_LARGE
    assert session._buffer.pending <= LOGON_FRAME_MAX


@pytest.mark.parametrize(
    "state",
    [State.HELLO_SENT, State.PROOF_SENT, State.EXPECT_HELLO, State.HELLO_RECEIVED,
     State.EXPECT_PROOF, State.ADMISSION],
    ids=lambda state: state.value,
)  # fmt: skip
def test_a_logon_that_does_not_go_on_times_out(state):
    session = session_in(state)[0]

    assert session.next_deadline() == START_US + 5_000_000
    session.handle_timer(START_US + 4_999_999)
    assert not session.closed
    session.handle_timer(START_US + 5_000_000)
    assert ended(session).code == LogoutCode.LOGON_TIMEOUT
    assert sent(session)[-1][0] is FrameType.LOGOUT


def test_the_program_may_answer_only_what_was_asked():
    relay = RelaySession(START_US)

    with pytest.raises(LocalProtocolError, match="no HELLO to answer"):
        relay.challenge(KEY, RELAY_NONCE, 1, 0)
    with pytest.raises(LocalProtocolError, match="nobody to accept"):
        relay.accept("demo", "relay", START_US, 0)
