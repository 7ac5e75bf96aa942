"""``bridge.wire.protocol``: two sessions, a link, and everything that can go wrong on it."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.exceptions import LocalProtocolError
from bridge.wire import auth, messages, session
from bridge.wire.fields import FieldError
from bridge.wire.messages import (
    MESSAGES,
    Ack,
    Busy,
    Challenge,
    Event,
    EventAck,
    EventCursor,
    Heartbeat,
    Logout,
    Page,
    Request,
    Subscribe,
    Welcome,
    pack_message,
)
from bridge.wire.protocol import (
    NEVER_US,
    Closed,
    HelloReceived,
    LoggedOn,
    LogonRequested,
    RelaySession,
    TerminalSession,
    Ticks,
)
from bridge.wire.spec import (
    ACK_EVERY_BYTES,
    ACK_EVERY_MS,
    BUSY_LIMIT_MS,
    COMMAND_QUEUE_MAX,
    FRAME_MAX,
    FRAME_OVERHEAD,
    LOGON_FRAME_MAX,
    MARKET_FRAME_MAX,
    MARKET_WINDOW,
    FrameType,
    LogoutCode,
)
from bridge.wire.states import RELAY_RECEIVES, TERMINAL_RECEIVES, State
from tests.support.wire import (
    CAPABILITIES,
    KEY,
    MS,
    RELAY_EPOCH,
    RELAY_NONCE,
    START_US,
    STATE,
    TERMINAL_NONCE,
    UNFINISHED,
    WRONG_KEY,
    SessionPair,
    Way,
    a_frame,
    a_hello,
    feed,
    flipped,
    frames_of,
    ticks_body,
    type_of,
)
from tests.support.wire import MESSAGES as EXAMPLES

SIDES = ("terminal", "relay")
FULL = bytes(MARKET_FRAME_MAX - FRAME_OVERHEAD)


@pytest.fixture(params=Way, ids=lambda way: way.value)
def way(request):
    """
    Return how bytes arrive: every case runs all three ways.
    """
    return request.param


@pytest.fixture
def pair():
    """
    Return two sessions that are logged on.
    """
    return SessionPair().logon()


def sides(pair, side):
    """
    Return the session of a side, and the key with which its peer tags.
    """
    up, down = pair.keys
    return (pair.terminal, down) if side == "terminal" else (pair.relay, up)


def ended(session):
    """
    Return the one Closed event of a session.
    """
    (end,) = [event for event in session.events_received() if isinstance(event, Closed)]
    assert session.closed
    return end


def next_seq(session):
    """
    Return the sequence number that a session expects.
    """
    return session._receive_seq + 1


def sent(session):
    """
    Return types and bodies of what a session has to send.
    """
    frames = []
    while data := session.data_to_send():
        frames += frames_of(data)
    return [(type_of(frame), frame[16:-16]) for frame in frames]


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


def active_with(pair):
    """
    Tell whether either side of a pair, once at rest, is active.
    """
    with contextlib.suppress(AssertionError):
        pair.settle()
    return State.ACTIVE in (pair.terminal.state, pair.relay.state)


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


# --- states and types --------------------------------------------------------------------------


def session_in(state):
    """
    Return a session in a state, with the key its peer tags with (None before there is one).
    """
    pair = SessionPair()
    if state is State.HELLO_SENT:
        return pair.terminal, None
    if state is State.EXPECT_HELLO:
        return pair.relay, None
    pair.relay.receive_data(pair.terminal.data_to_send(), START_US)
    if state is State.HELLO_RECEIVED:
        return pair.relay, None
    pair.relay.challenge(KEY, RELAY_NONCE, RELAY_EPOCH, CAPABILITIES)
    challenge = pair.relay.data_to_send()
    if state is State.EXPECT_PROOF:
        return pair.relay, None
    pair.terminal.receive_data(challenge, START_US)
    if state is State.PROOF_SENT:
        return pair.terminal, pair.relay._send_tagger.key
    pair.relay.receive_data(pair.terminal.data_to_send(), START_US)
    assert state is State.ADMISSION
    return pair.relay, pair.terminal._send_tagger.key


def bodies():
    """
    Return a valid body for each frame type.
    """
    known = {int(message.TYPE): pack_message(message) for message in EXAMPLES}
    known[FrameType.HELLO] = pack_message(a_hello())
    known[FrameType.CHALLENGE] = pack_message(Challenge(1, 0, 7, RELAY_NONCE)) + bytes(32)
    known[FrameType.PROOF] = bytes(32)
    known[FrameType.TICKS] = ticks_body()
    known[FrameType.ACK] = pack_message(Ack(1))
    return known


BODIES = bodies()
CASES = [
    (side, state, frame_type)
    for side, table in (("terminal", TERMINAL_RECEIVES), ("relay", RELAY_RECEIVES))
    for state in table
    if state is not State.CLOSED
    for frame_type in FrameType
]


def test_the_cases_have_a_body_for_every_type():
    assert set(FrameType) == set(BODIES)


@pytest.mark.parametrize(
    ("side", "state", "frame_type"), CASES, ids=lambda value: getattr(value, "name", value)
)
def test_a_type_is_taken_in_its_states_and_nowhere_else(side, state, frame_type):
    if state is State.ACTIVE:
        session, key = sides(SessionPair().logon(), side)
    else:
        session, key = session_in(state)
    session.events_received()
    frame = a_frame(frame_type, next_seq(session), BODIES[frame_type], key)
    session.receive_data(frame, START_US)
    events = session.events_received()
    codes = [event.code for event in events if isinstance(event, Closed)]
    table = TERMINAL_RECEIVES if side == "terminal" else RELAY_RECEIVES

    if frame_type in table[state]:
        assert LogoutCode.UNEXPECTED_TYPE not in codes
    else:
        assert codes == [LogoutCode.UNEXPECTED_TYPE]
        assert events == [event for event in events if isinstance(event, Closed)]
        assert sent(session)[-1][0] is FrameType.LOGOUT


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("frame_type", [0x00, 0x0A, 0x16, 0x23, 0x36, 0x7F])
def test_an_unknown_critical_type_ends_the_session(way, side, frame_type):
    session, key = sides(SessionPair().logon(), side)
    feed(session, a_frame(frame_type, next_seq(session), b"later", key), START_US, way)

    assert ended(session).code == LogoutCode.UNKNOWN_TYPE


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("frame_type", [0x80, 0xFF])
def test_an_unknown_type_that_is_not_critical_is_ignored(way, side, frame_type):
    session, key = sides(SessionPair().logon(), side)
    seq = next_seq(session)
    feed(session, a_frame(frame_type, seq, b"later", key), START_US, way)

    assert session.state is State.ACTIVE
    assert session.events_received() == []
    assert next_seq(session) == seq + 1


@pytest.mark.parametrize("frame_type", [0x0A, 0x80])
@pytest.mark.parametrize("state", [State.EXPECT_HELLO, State.HELLO_SENT, State.ADMISSION])
def test_before_the_logon_every_unknown_type_is_refused(way, state, frame_type):
    session, key = session_in(state)
    session.events_received()
    feed(session, a_frame(frame_type, next_seq(session), b"", key), START_US, way)

    assert ended(session).code == LogoutCode.UNKNOWN_TYPE


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: message.TYPE.name)
@pytest.mark.parametrize("side", SIDES)
def test_a_side_sends_only_what_the_other_takes(side, message):
    pair = SessionPair().logon()
    session = getattr(pair, side)
    other = RELAY_RECEIVES if side == "terminal" else TERMINAL_RECEIVES
    if message.TYPE in other[State.ACTIVE] - {FrameType.LOGOUT}:
        session.send(message)
        assert [sent_type for sent_type, _ in sent(session)] == [message.TYPE]
    else:
        with pytest.raises(LocalProtocolError, match=message.TYPE.name):
            session.send(message)


# --- sequence and tags ---------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    "step", [-1, 0, 2, 3, 2**63], ids=["before", "repeated", "lost", "lost 2", "far"]
)
def test_a_frame_out_of_sequence_ends_the_session(way, side, step):
    session, key = sides(SessionPair().logon(), side)
    body = pack_message(Heartbeat(1, 0, 0, 0, None))
    feed(
        session, a_frame(FrameType.HEARTBEAT, session._receive_seq + step, body, key), START_US, way
    )

    assert ended(session).code == LogoutCode.BAD_SEQUENCE


@pytest.mark.parametrize("state", [State.EXPECT_HELLO, State.HELLO_SENT])
@pytest.mark.parametrize("seq", [0, 2])
def test_the_first_frame_is_number_one(way, state, seq):
    session, _ = session_in(state)
    frame_type = FrameType.HELLO if state is State.EXPECT_HELLO else FrameType.CHALLENGE
    feed(session, a_frame(frame_type, seq, BODIES[frame_type]), START_US, way)

    assert ended(session).code == LogoutCode.BAD_SEQUENCE


@pytest.mark.parametrize("side", SIDES)
def test_a_repeated_frame_ends_the_session(way, side):
    pair = SessionPair().logon()
    line = pair.down if side == "terminal" else pair.up
    line.sender.test(pair.now_us)
    (frame,) = line.collect()
    line.waiting = [frame, frame]
    line.deliver(pair.now_us, way)

    assert ended(line.receiver).code == LogoutCode.BAD_SEQUENCE


def test_a_lost_frame_ends_the_session(pair, way):
    pair.terminal.send(Busy(1, 1000))
    pair.terminal.send(Busy(0, 0))
    del pair.up.collect()[0]
    pair.up.deliver(pair.now_us, way)

    assert ended(pair.relay).code == LogoutCode.BAD_SEQUENCE


def test_reordered_frames_end_the_session(pair, way):
    pair.terminal.send(Busy(1, 1000))
    pair.terminal.send(Busy(0, 0))
    pair.up.collect().reverse()
    pair.up.deliver(pair.now_us, way)

    assert ended(pair.relay).code == LogoutCode.BAD_SEQUENCE


def test_without_the_sequence_check_a_repeated_frame_is_taken_twice(pair, monkeypatch):
    """Ablation: tags alone do not stop a repeated event."""
    pair.terminal.send(Busy(1, 1000))
    (frame,) = pair.up.collect()
    monkeypatch.setattr(
        session, "read_header", lambda frame: (frame[4], pair.relay._receive_seq + 1)
    )
    pair.relay.receive_data(frame + frame, START_US)

    assert pair.relay.events_received() == [Busy(1, 1000), Busy(1, 1000)]


@pytest.mark.parametrize("side", SIDES)
def test_no_tagged_frame_survives_a_changed_bit(side):
    """Where the length grew the frame waits for more, and is refused when it comes."""
    pair = SessionPair().logon()
    line = pair.down if side == "terminal" else pair.up
    line.sender.test(pair.now_us)
    (frame,) = line.collect()
    session = line.receiver
    before = dict(session.__dict__)

    for bit in range(8 * len(frame)):
        session.__dict__.update(before)
        session._enter(State.ACTIVE)
        session._events = []
        session._buffer = type(session._buffer)(FRAME_MAX)
        session.receive_data(flipped(frame, bit), START_US)
        session.receive_data(bytes(FRAME_MAX), START_US)
        assert session.closed, bit
        assert [type(event) for event in session.events_received()] == [Closed], bit


def test_without_the_tag_a_changed_frame_is_taken(pair, monkeypatch):
    """Ablation: a changed volume or price would go through."""
    monkeypatch.setattr(auth, "same", lambda one, other: True)
    pair.terminal.send(Busy(1, 100))
    (frame,) = pair.up.collect()
    pair.relay.receive_data(flipped(frame, 8 * 17), START_US)

    assert pair.relay.events_received() == [Busy(0, 100)]


def test_without_the_comparison_of_proofs_anybody_logs_on(monkeypatch):
    """Ablation: both keys are wrong, and both sides are content."""
    monkeypatch.setattr(auth, "same", lambda one, other: True)
    pair = SessionPair(relay_key=WRONG_KEY)

    assert active_with(pair)


@pytest.mark.parametrize("side", SIDES)
def test_a_reflected_frame_is_refused(way, side):
    """The two directions have keys of their own."""
    pair = SessionPair().logon()
    session = getattr(pair, side)
    session._send_seq = session._receive_seq
    session.test(pair.now_us)
    frame = session.data_to_send()
    feed(session, frame, START_US, way)

    assert ended(session).code == LogoutCode.BAD_TAG


def test_a_reflected_hello_is_refused(way):
    terminal = TerminalSession(KEY, a_hello(), START_US)
    feed(terminal, terminal.data_to_send(), START_US, way)

    assert ended(terminal).code == LogoutCode.UNEXPECTED_TYPE


def test_a_frame_of_another_session_is_refused(pair, way):
    """Also one of the same two programs, with the same sequence number."""
    other = SessionPair(hello=a_hello(nonce=b"\x44" * 32)).logon()
    other.terminal.test(START_US)
    pair.terminal.test(START_US)
    feed(pair.relay, other.up.collect()[0], START_US, way)

    assert ended(pair.relay).code == LogoutCode.BAD_TAG


@pytest.mark.parametrize("side", SIDES)
def test_an_untagged_frame_is_refused_once_there_are_keys(way, side):
    session, _ = sides(SessionPair().logon(), side)
    frame = a_frame(FrameType.LOGOUT, next_seq(session), pack_message(Logout(0, "", 0)))
    feed(session, frame, START_US, way)

    assert ended(session).code == LogoutCode.BAD_TAG


def test_the_tag_is_the_hmac_over_header_and_body(pair):
    """From the specification's text, without the code under test."""
    fields = pack_message(Challenge(1, CAPABILITIES, RELAY_EPOCH, RELAY_NONCE))
    hello = pack_message(a_hello())
    transcript = hashlib.sha256(len(hello).to_bytes(4, "little") + hello + fields).digest()
    label = b"mt5-zmq-bridge wire 1 terminal to relay"
    key = hmac.digest(KEY, label + transcript, "sha256")
    pair.terminal.test(pair.now_us)
    frame = pair.terminal.data_to_send()

    assert frame[-16:] == hmac.digest(key, frame[:-16], "sha256")[:16]


# --- broken frames ------------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (a_frame(6, 9, length=FRAME_MAX + 1), LogoutCode.FRAME_TOO_LARGE),
        (a_frame(6, 9, length=2**32 - 1), LogoutCode.FRAME_TOO_LARGE),
        (a_frame(6, 9, length=0), LogoutCode.BAD_FRAME),
        (a_frame(6, 9, length=31), LogoutCode.BAD_FRAME),
        (a_frame(6, 9, magic=0), LogoutCode.BAD_MAGIC),
        (a_frame(6, 9, flags=1), LogoutCode.BAD_FRAME),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", LogoutCode.FRAME_TOO_LARGE),
        (bytes(64), LogoutCode.BAD_FRAME),
        (b"\xff" * 64, LogoutCode.FRAME_TOO_LARGE),
    ],
    ids=["too large", "far too large", "zero length", "too small", "magic", "flags", "http",
         "zeros", "ones"],
)  # fmt: skip
def test_a_broken_frame_ends_the_session(way, side, frame, code):
    pair = SessionPair().logon()
    session = getattr(pair, side)
    feed(session, frame, START_US, way)

    assert ended(session).code == code
    assert session._buffer.pending <= 64
    assert sent(session)[-1][0] is FrameType.LOGOUT


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x90", b"\x95", b"\x95" + b"\xc0" * 5])
def test_a_broken_body_ends_the_session(way, side, body):
    session, key = sides(SessionPair().logon(), side)
    feed(session, a_frame(FrameType.HEARTBEAT, next_seq(session), body, key), START_US, way)

    assert ended(session).code == LogoutCode.BAD_MESSAGE


@pytest.mark.parametrize("body", [b"", ticks_body()[:-1], ticks_body() + b"\0"])
def test_broken_runs_end_the_session(pair, way, body):
    frame = a_frame(FrameType.TICKS, next_seq(pair.relay), body, pair.keys[0])
    feed(pair.relay, frame, START_US, way)

    assert ended(pair.relay).code == LogoutCode.BAD_RECORDS


def test_a_market_frame_above_its_limit_ends_the_session(pair, way):
    body = bytes(MARKET_FRAME_MAX)
    feed(pair.relay, a_frame(FrameType.TICKS, next_seq(pair.relay), body, pair.keys[0]), way=way)

    assert ended(pair.relay).code == LogoutCode.FRAME_TOO_LARGE


def test_ticks_to_a_terminal_end_the_session(pair, way):
    frame = a_frame(FrameType.TICKS, next_seq(pair.terminal), ticks_body(), pair.keys[1])
    feed(pair.terminal, frame, START_US, way)

    assert ended(pair.terminal).code == LogoutCode.UNEXPECTED_TYPE


def test_a_cut_at_every_byte_leaves_nothing_half_done():
    size = sum(len(frame) for frame in recorded())

    for at in range(size):
        pair = SessionPair().logon()
        fill(pair)
        pair.up.collect()
        pair.up.cut_after(at, pair.now_us)
        events = pair.relay.events_received()
        assert isinstance(events[-1], Closed)
        assert events[:-1] == EXPECTED[: len(events) - 1]


def fill(pair):
    """
    Queue a tick, a page and an event at the terminal.
    """
    pair.terminal.send(Event(1, False, 5, 111, 5, 0, {"ticket": 111}))
    pair.terminal.send_market(ticks_body())
    pair.terminal.send(Page(1, 0, True, 0, "", 0, b"\x80"))


def recorded():
    """
    Return the frames of ``fill``.
    """
    pair = SessionPair().logon()
    fill(pair)
    return pair.up.collect()


def expected_events():
    """
    Return the events that ``fill`` makes.
    """
    pair = SessionPair().logon()
    fill(pair)
    pair.up.collect()
    pair.up.deliver(pair.now_us)
    return pair.relay.events_received()


EXPECTED = expected_events()


def test_what_was_sent_arrives_in_the_order_of_the_lanes():
    assert [type(event) for event in EXPECTED] == [Event, Ticks, Page]


# --- liveness -----------------------------------------------------------------------------------


def test_heartbeats_go_both_ways_at_once_and_then_every_second(pair):
    pair.advance(10_000)

    for events in (pair.terminal_events, pair.relay_events):
        assert [type(event) for event in events] == [Heartbeat] * 11


def test_a_heartbeat_carries_the_terminals_state(pair):
    pair.terminal.terminal_state = STATE
    pair.advance(1000)

    assert pair.relay_events[-1].state == STATE
    assert pair.terminal_events[-1].state is None


@pytest.mark.parametrize("side", SIDES)
def test_a_half_open_link_is_noticed_within_five_seconds(side):
    pair = SessionPair().logon().advance(3_500)
    line = pair.down if side == "terminal" else pair.up
    line.dead = True
    before = pair.now_us
    while not line.receiver.closed:
        pair.advance(50)

    assert pair.now_us - before <= 5_000 * MS
    assert pair.end_of(side).code == LogoutCode.HEARTBEAT_LOST


def test_at_half_of_the_limit_a_living_peer_is_asked(pair):
    pair.relay.handle_timer(START_US + 1_000_000)
    sent(pair.relay)
    pair.relay.handle_timer(START_US + 1_999_999)
    assert sent(pair.relay) == []
    pair.relay.handle_timer(START_US + 2_000_000)

    assert [sent_type for sent_type, _ in sent(pair.relay)] == [
        FrameType.HEARTBEAT,
        FrameType.TEST_REQUEST,
    ]


def test_one_silence_is_one_test_request(pair):
    types = []
    for at in range(100_000, 4_000_000, 100_000):
        pair.relay.handle_timer(START_US + at)
        types += [sent_type for sent_type, _ in sent(pair.relay)]

    assert types.count(FrameType.TEST_REQUEST) == 1


def test_next_deadline_is_reached_in_steps_that_end(pair):
    now = START_US
    for _ in range(20):
        now = pair.relay.next_deadline()
        if now == NEVER_US:
            break
        pair.relay.handle_timer(now)

    assert pair.relay.closed
    assert ended(pair.relay).code == LogoutCode.HEARTBEAT_LOST


@pytest.mark.parametrize("side", SIDES)
def test_a_test_request_is_answered_at_once(way, side):
    session, key = sides(SessionPair().logon(), side)
    body = pack_message(messages.TestRequest(0xDEADBEEF))
    feed(session, a_frame(FrameType.TEST_REQUEST, next_seq(session), body, key), START_US, way)
    ((sent_type, answer),) = sent(session)

    assert sent_type is FrameType.HEARTBEAT
    assert answer[-6:] == bytes.fromhex("cedeadbeef c0")


def test_a_stall_of_our_own_is_not_the_peers_silence(pair):
    """The peer's frames wait in the socket: it is asked before it is given up."""
    pair.advance(1_000)
    now = pair.now_us + 30_000_000
    pair.relay.handle_timer(now)

    assert not pair.relay.closed
    assert FrameType.TEST_REQUEST in [sent_type for sent_type, _ in sent(pair.relay)]
    pair.relay.handle_timer(now + 1_000_000)
    assert not pair.relay.closed
    pair.relay.handle_timer(now + 2_000_000)
    assert ended(pair.relay).code == LogoutCode.HEARTBEAT_LOST


def test_a_stall_does_not_pass_for_a_frame_received(pair):
    """The registry compares this time with that of its test request."""
    pair.relay.test(START_US + 1)
    pair.relay.handle_timer(START_US + 30_000_000)

    assert pair.relay.last_received_us == START_US


def test_without_the_stall_rule_a_stopped_relay_cuts_everybody(pair, monkeypatch):
    """Ablation: one suspended process would end all sessions when it goes on."""
    monkeypatch.setattr(session, "_OWN_STALL_US", 2**60)
    pair.relay.handle_timer(START_US + 30_000_000)

    assert pair.relay.closed


def test_after_a_stall_one_heartbeat_goes_out_not_a_heap(pair):
    pair.relay.handle_timer(START_US + 30_300_000)

    assert [sent_type for sent_type, _ in sent(pair.relay)].count(FrameType.HEARTBEAT) == 1
    pair.relay.handle_timer(START_US + 30_300_001)
    assert sent(pair.relay) == []


def test_busy_extends_the_limit_by_what_it_announces(pair):
    pair.terminal.send(Busy(2, 45_000))
    pair.settle()
    pair.up.dead = True
    before = pair.now_us
    pair.advance(48_900)
    assert not pair.relay.closed
    pair.advance(200)

    assert pair.relay.closed
    assert pair.now_us - before < 50_000 * MS


def test_busy_extends_the_limit_by_a_minute_at_most(pair):
    pair.terminal.send(Busy(255, 2**32 - 1))
    pair.settle()

    assert pair.relay.busy_until_us == pair.now_us + BUSY_LIMIT_MS * MS
    pair.up.dead = True
    pair.advance(BUSY_LIMIT_MS + 4_001)
    assert pair.relay.closed


@pytest.mark.parametrize(
    ("frame_type", "body"),
    [
        (FrameType.HEARTBEAT, BODIES[FrameType.HEARTBEAT]),
        (FrameType.BUSY, pack_message(Busy(0, 0))),
        (FrameType.EVENT, BODIES[FrameType.EVENT]),
        (0x80, b"a later version's"),
    ],
)
def test_busy_ends_with_the_next_frame_that_is_no_market_data(pair, way, frame_type, body):
    pair.terminal.send(Busy(2, 45_000))
    pair.terminal.send_market(ticks_body())
    pair.terminal.send(Page(1, 0, True, 0, "", 0, b"\x80"))
    pair.settle()
    assert (pair.relay.busy_kind, pair.relay.busy_until_us > 0) == (2, True)
    feed(pair.relay, a_frame(frame_type, next_seq(pair.relay), body, pair.keys[0]), way=way)

    assert (pair.relay.busy_kind, pair.relay.busy_until_us) == (0, 0)


def test_round_trip_and_offset_by_the_echo(pair):
    """The terminal's clock is 7 s ahead; 30 ms up, 20 ms down, and 400 ms before the echo."""
    ahead = 7_000_000
    up, _ = pair.keys
    pair.relay._clock = type(pair.relay._clock)(0)
    out = pair.now_us
    echo = Heartbeat(out + 20 * MS + 400 * MS + ahead, out, 400 * MS, 0, None)
    frame = a_frame(FrameType.HEARTBEAT, next_seq(pair.relay), pack_message(echo), up)
    pair.relay.receive_data(frame, out + 450 * MS)

    assert pair.relay.rtt_us == 50 * MS
    assert pair.relay.clock_offset_us == 30 * MS - ahead


def test_a_heartbeat_echoes_the_peers_stamp(pair):
    up, _ = pair.keys
    stamp = pack_message(Heartbeat(123_456_789, 0, 0, 0, None))
    pair.relay.receive_data(
        a_frame(FrameType.HEARTBEAT, next_seq(pair.relay), stamp, up), START_US + 100
    )
    pair.relay.receive_data(
        a_frame(FrameType.TEST_REQUEST, next_seq(pair.relay), b"\x91\x05", up), START_US + 350
    )
    ((_, body),) = sent(pair.relay)

    assert body == pack_message(Heartbeat(START_US + 350, 123_456_789, 250, 5, None))


# --- lanes, window, acknowledgements ----------------------------------------------------------------


def test_a_command_queued_behind_a_hundred_market_frames_leaves_first(pair):
    for _ in range(100):
        pair.terminal.send_market(FULL)
    handed_out = frames_of(pair.terminal.data_to_send(3 * MARKET_FRAME_MAX))
    pair.terminal.send(Event(1, False, 5, 111, 5, 0, {}))
    (first, *_) = frames_of(pair.terminal.data_to_send())

    assert [type_of(frame) for frame in handed_out] == [FrameType.TICKS] * 3
    assert type_of(first) is FrameType.EVENT


def test_market_data_stops_at_the_window_and_goes_on_with_the_acknowledgement(pair):
    for _ in range(40):
        pair.terminal.send_market(FULL)
    first = sent(pair.terminal)

    assert len(first) * MARKET_FRAME_MAX == MARKET_WINDOW == pair.terminal.market_in_flight
    assert not pair.terminal.wants_to_send
    seq = pair.terminal._send_seq
    ack = a_frame(FrameType.ACK, next_seq(pair.terminal), pack_message(Ack(seq)), pair.keys[1])
    pair.terminal.receive_data(ack, START_US)
    assert pair.terminal.market_in_flight == 0
    assert len(sent(pair.terminal)) == 16


@pytest.mark.parametrize("beyond", [1, 2**63])
def test_an_acknowledgement_of_what_was_not_sent_ends_the_session(pair, way, beyond):
    body = pack_message(Ack(pair.terminal._send_seq + beyond))
    frame = a_frame(FrameType.ACK, next_seq(pair.terminal), body, pair.keys[1])
    feed(pair.terminal, frame, START_US, way)

    assert ended(pair.terminal).code == LogoutCode.BAD_MESSAGE


def test_the_relay_acknowledges_after_enough_bytes(pair):
    pair.relay.taken(5, ACK_EVERY_BYTES - 1, START_US)
    assert sent(pair.relay) == []
    pair.relay.taken(6, 1, START_US)

    assert sent(pair.relay) == [(FrameType.ACK, b"\x91\x06")]


def test_the_relay_acknowledges_after_enough_time(pair):
    pair.relay.handle_timer(START_US)
    sent(pair.relay)
    pair.relay.taken(5, 1, START_US)
    due = START_US + ACK_EVERY_MS * MS

    assert pair.relay.next_deadline() == due
    pair.relay.handle_timer(due - 1)
    assert sent(pair.relay) == []
    pair.relay.handle_timer(due)
    assert sent(pair.relay) == [(FrameType.ACK, b"\x91\x05")]


def test_a_page_is_acknowledged_when_it_was_handed_out(pair):
    pair.terminal.send(Page(1, 0, True, 0, "", 3, bytes(60_000)))
    pair.settle()

    assert [type(event) for event in pair.relay_events] == [Page]
    assert pair.terminal.market_in_flight == 0
    assert [type_of(frame) for frame in pair.down.delivered[-1:]] == [FrameType.ACK]


def test_an_acknowledgement_never_goes_back(pair):
    """A PAGE behind TICKS is acknowledged by the core, the TICKS by its caller, later."""
    pair.relay.taken(9, ACK_EVERY_BYTES, START_US)
    pair.relay.taken(8, ACK_EVERY_BYTES, START_US)

    assert sent(pair.relay) == [(FrameType.ACK, b"\x91\x09")] * 2


def test_pages_wait_for_ticks_and_both_for_the_window(pair):
    for _ in range(3):
        pair.terminal.send(Page(1, 0, False, 0, "", 3, bytes(60_000)))
    pair.terminal.send_market(FULL)
    types = [sent_type for sent_type, _ in sent(pair.terminal)]

    assert types == [FrameType.TICKS, FrameType.PAGE, FrameType.PAGE]
    assert (pair.terminal.pages_queued, pair.terminal.market_queued) == (1, 0)


def test_the_records_of_a_run_arrive_as_they_were_sent(pair):
    body = ticks_body(1, 5, 3) + ticks_body(2, 1, 100)
    pair.terminal.send_market(body)
    pair.up.collect()
    seq = pair.terminal._send_seq
    pair.up.deliver(pair.now_us)
    (ticks,) = pair.relay.events_received()

    assert ticks.seq == seq
    assert [(run.symbol_id, run.first_seq, run.length) for run in ticks.runs] == [
        (1, 5, 3),
        (2, 1, 100),
    ]
    assert ticks.runs[0].records == ticks_body(1, 5, 3)[40:]


@pytest.mark.parametrize("size", [MARKET_FRAME_MAX, MARKET_FRAME_MAX - FRAME_OVERHEAD + 1])
def test_a_market_body_above_the_limit_is_not_taken(pair, size):
    with pytest.raises(LocalProtocolError):
        pair.terminal.send_market(bytes(size))


def test_a_halt_overtakes_the_commands_that_wait(pair):
    for message in EXAMPLES:
        if message.TYPE in {FrameType.NEW, FrameType.QUERY, FrameType.HALT}:
            pair.relay.send(message)

    assert [sent_type for sent_type, _ in sent(pair.relay)] == [
        FrameType.HALT,
        FrameType.NEW,
        FrameType.QUERY,
    ]


def test_a_message_larger_than_a_frame_is_not_sent(pair):
    with pytest.raises(LocalProtocolError, match="larger than a frame"):
        pair.relay.send(Request(1, "x", {"a": "x" * FRAME_MAX}, 0))

    assert pair.relay.state is State.ACTIVE


def test_a_message_with_a_wrong_field_is_not_sent(pair):
    with pytest.raises(FieldError):
        pair.relay.send(EventAck(-(2**64), 0))

    assert sent(pair.relay) == []


def test_a_peer_that_does_not_read_ends_the_session(pair):
    message = Request(1, "x", {"a": "x" * 60_000}, 0)
    for _ in range(COMMAND_QUEUE_MAX // 60_100):
        pair.relay.send(message)
    with pytest.raises(LocalProtocolError, match="reads nothing"):
        pair.relay.send(message)

    assert ended(pair.relay).code == LogoutCode.QUEUE_FULL
    assert [sent_type for sent_type, _ in sent(pair.relay)] == [FrameType.LOGOUT]


def test_a_peer_that_only_asks_does_not_fill_our_memory(pair, monkeypatch):
    """Every TEST_REQUEST wants an answer, and this peer never reads one."""
    monkeypatch.setattr(session, "COMMAND_QUEUE_MAX", 100_000)
    answers = 0
    while not pair.relay.closed:
        body = pack_message(messages.TestRequest(5))
        frame = a_frame(FrameType.TEST_REQUEST, next_seq(pair.relay), body, pair.keys[0])
        pair.relay.receive_data(frame, START_US)
        answers += 1
        assert answers < 100_000 // FRAME_OVERHEAD

    assert ended(pair.relay).code == LogoutCode.QUEUE_FULL
    assert [sent_type for sent_type, _ in sent(pair.relay)] == [FrameType.LOGOUT]


def test_a_heartbeat_that_finds_the_lane_full_is_the_last_thing_tried(pair, monkeypatch):
    monkeypatch.setattr(session, "COMMAND_QUEUE_MAX", FRAME_OVERHEAD)
    pair.relay.taken(1, 1, START_US)
    pair.relay.handle_timer(START_US + 5_000_000)

    assert ended(pair.relay).code == LogoutCode.QUEUE_FULL
    assert [sent_type for sent_type, _ in sent(pair.relay)] == [FrameType.LOGOUT]


# --- the end ------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
def test_a_logout_tells_the_other_side_why(way, side):
    pair = SessionPair().logon()
    line = pair.up if side == "terminal" else pair.down
    line.sender.logout(LogoutCode.SHUTTING_DOWN, "we stop", 1500)
    line.collect()
    line.deliver(pair.now_us, way)

    assert ended(line.sender) == Closed(LogoutCode.SHUTTING_DOWN, "we stop", False, 0)
    assert ended(line.receiver) == Closed(LogoutCode.SHUTTING_DOWN, "we stop", True, 1500)


def test_a_result_that_waited_still_leaves_before_the_logout(pair):
    pair.terminal.send(Event(1, False, 5, 111, 5, 0, {}))
    pair.terminal.send_market(ticks_body())
    pair.terminal.logout(LogoutCode.REINITIALISED, "timeframe changed")

    assert [sent_type for sent_type, _ in sent(pair.terminal)] == [
        FrameType.EVENT,
        FrameType.LOGOUT,
    ]
    assert pair.terminal.market_queued == 0


def test_a_logout_is_not_answered(pair, way):
    pair.terminal.send(Busy(1, 1))
    pair.terminal.send_market(ticks_body())
    frame = a_frame(
        FrameType.LOGOUT,
        next_seq(pair.terminal),
        pack_message(Logout(0, "", 0)),
        pair.keys[1],
    )
    feed(pair.terminal, frame, START_US, way)

    assert sent(pair.terminal) == []


def test_the_text_of_a_logout_is_printable(pair):
    body = pack_message(Logout(1, "a\x1b[2Jb\nc", 0))
    pair.relay.receive_data(
        a_frame(FrameType.LOGOUT, next_seq(pair.relay), body, pair.keys[0]), START_US
    )

    assert ended(pair.relay).reason == "a [2Jb c"


def test_a_reason_of_any_length_fits(pair):
    pair.relay.logout(LogoutCode.NORMAL, "€" * 1000 + "\0")
    pair.settle()

    assert pair.end_of("terminal").reason == "€" * 83


@pytest.mark.parametrize("side", SIDES)
def test_the_end_of_the_connection_is_the_end_of_the_session(side):
    pair = SessionPair().logon()
    session = getattr(pair, side)
    session.test(pair.now_us)
    session.receive_eof()

    assert ended(session).by_peer
    assert sent(session) == []
    session.receive_eof()
    assert session.events_received() == []


@pytest.mark.parametrize("side", SIDES)
def test_after_the_end_everything_is_ignored(way, side):
    pair = SessionPair().logon()
    session, key = sides(pair, side)
    seq = next_seq(session)
    session.logout(LogoutCode.NORMAL, "done")
    ended(session)
    sent(session)
    feed(session, a_frame(FrameType.HEARTBEAT, seq, BODIES[FrameType.HEARTBEAT], key), way=way)
    feed(session, b"\xff" * 100, way=way)
    session.handle_timer(START_US + 10**9)
    session.test(START_US)
    session.logout(LogoutCode.BAD_TAG, "again")
    session.receive_eof()

    assert session.events_received() == []
    assert sent(session) == []
    assert session.next_deadline() == NEVER_US
    with pytest.raises(LocalProtocolError, match="the session is closed"):
        session.send(messages.TestRequest(1))


def test_after_the_end_no_acknowledgement_is_queued(pair):
    pair.relay.logout(LogoutCode.NORMAL, "done")
    sent(pair.relay)
    pair.relay.taken(1, ACK_EVERY_BYTES, START_US)

    assert sent(pair.relay) == []


def test_before_the_logon_nothing_can_be_sent():
    with pytest.raises(LocalProtocolError, match="the session is hello sent"):
        TerminalSession(KEY, a_hello(), START_US).send(Busy(1, 1))
    with pytest.raises(LocalProtocolError):
        TerminalSession(KEY, a_hello(), START_US).send_market(ticks_body())
    with pytest.raises(LocalProtocolError, match="the session is expect hello"):
        RelaySession(START_US).send(Subscribe(1, 1, "EURUSD", 0, 8, 1, None))


def test_what_trails_behind_the_last_frame_is_ignored(pair):
    pair.terminal.logout(LogoutCode.NORMAL, "bye")
    data = pair.terminal.data_to_send()
    pair.relay.receive_data(data + b"\xff" * 1000, START_US)

    assert ended(pair.relay).code == LogoutCode.NORMAL


# --- anything at all ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "state",
    [State.EXPECT_HELLO, State.HELLO_RECEIVED, State.EXPECT_PROOF, State.ADMISSION,
     State.HELLO_SENT, State.PROOF_SENT, State.ACTIVE],
    ids=lambda state: state.value,
)  # fmt: skip
@given(chunks=st.lists(st.binary(max_size=300), max_size=6))
def test_arbitrary_bytes_never_raise_and_hold_no_memory(state, chunks):
    session = SessionPair().logon().relay if state is State.ACTIVE else session_in(state)[0]
    for chunk in chunks:
        session.receive_data(chunk, START_US)
        assert session._buffer.pending <= session._buffer.frame_max
    assert len(session.events_received()) <= 3


@given(
    frame_type=st.integers(0, 255),
    body=st.binary(max_size=300) | st.sampled_from(list(BODIES.values())),
    side=st.sampled_from(SIDES),
)
def test_arbitrary_bodies_of_a_peer_that_has_the_key_never_raise(frame_type, body, side):
    session, key = sides(SessionPair().logon(), side)
    session.receive_data(a_frame(frame_type, next_seq(session), body, key), START_US)
    session.handle_timer(START_US + 500_000)

    assert session.closed == bool(
        [event for event in session.events_received() if isinstance(event, Closed)]
    )


def whole_session():
    """
    Return what a terminal sent in a session with some of everything.
    """
    pair = SessionPair().logon()
    for length in (1, 3, 100):
        pair.terminal.send_market(ticks_body(1, length, length))
        fill(pair)
        pair.advance(700)
    pair.terminal.logout(LogoutCode.NORMAL, "bye")
    pair.settle()
    return b"".join(pair.up.delivered)


STREAM = whole_session()


def replayed(chunks):
    """
    Return the events of a relay that gets a recorded terminal in these chunks.
    """
    relay = RelaySession(START_US)
    events = []
    for chunk in chunks:
        # Split where the program has to answer, as it does between two reads.
        for frame_end in ends_within(relay, chunk):
            relay.receive_data(frame_end, START_US)
            for event in relay.events_received():
                events.append(event)
                if isinstance(event, HelloReceived):
                    relay.challenge(KEY, RELAY_NONCE, RELAY_EPOCH, CAPABILITIES)
                elif isinstance(event, LogonRequested):
                    relay.accept("demo", "relay", START_US, 0)
    return events


def ends_within(relay, chunk):
    """
    Return a chunk, or its bytes as long as the logon goes on.
    """
    while chunk and relay.state is not State.ACTIVE:
        yield chunk[:1]
        chunk = chunk[1:]
    if chunk:
        yield chunk


@settings(max_examples=50)
@given(splits=st.lists(st.integers(1, len(STREAM) - 1), max_size=40))
def test_any_split_of_a_session_gives_the_same_events(splits):
    points = [0, *sorted(set(splits)), len(STREAM)]
    chunks = [STREAM[a:b] for a, b in itertools.pairwise(points)]

    assert replayed([STREAM]) == replayed(chunks)


def test_a_whole_session_has_all_kinds_of_events():
    kinds = {type(event) for event in replayed([STREAM])}

    assert kinds == {HelloReceived, LogonRequested, Heartbeat, Ticks, Event, Page, Closed}


@settings(max_examples=200)
@given(at=st.integers(0, len(STREAM) - 1), mask=st.integers(1, 255))
def test_a_changed_byte_of_a_session_is_never_taken_for_the_real_thing(at, mask):
    changed = bytearray(STREAM)
    changed[at] ^= mask
    real = replayed([STREAM])
    events = replayed([bytes(changed)])
    cut = next((i for i, event in enumerate(events) if isinstance(event, Closed)), len(events))

    # What came before is what was sent; HELLO alone is believed only after the PROOF.
    assert events[1:cut] == real[1:cut]
    assert cut < len(real)


@settings(max_examples=200)
@given(data=st.data())
def test_two_sessions_over_a_link_that_does_anything_stay_sane(data):
    """Frames are dropped, repeated, swapped and changed: both sides end, none ever raises."""
    pair = SessionPair()
    for _ in range(data.draw(st.integers(1, 12))):
        pair.up.collect()
        pair.down.collect()
        for line in (pair.up, pair.down):
            if line.waiting:
                deed = data.draw(
                    st.sampled_from(["nothing"] * 4 + ["drop", "twice", "swap", "flip"])
                )
                if deed == "drop":
                    line.waiting.pop()
                elif deed == "twice":
                    line.waiting.append(line.waiting[-1])
                elif deed == "swap":
                    line.waiting.reverse()
                elif deed == "flip":
                    last = line.waiting[-1]
                    line.waiting[-1] = flipped(last, data.draw(st.integers(0, 8 * len(last) - 1)))
            line.deliver(pair.now_us)
        pair.take_events()
        pair.now_us += data.draw(st.integers(0, 2_000_000))
        for side in (pair.terminal, pair.relay):
            side.handle_timer(pair.now_us)
    pair.up.dead = pair.down.dead = True
    pair.advance(70_000)

    assert pair.terminal.closed
    assert pair.relay.closed


def test_the_nonces_of_the_tests_are_what_they_seem():
    assert (TERMINAL_NONCE, len(UNFINISHED)) == (b"\x11" * 32, 3)
    assert set(MESSAGES) == {message.TYPE for message in EXAMPLES} | {
        FrameType.HELLO,
        FrameType.CHALLENGE,
    }
