"""``bridge.wire.protocol``: two sessions, a link, and everything that can go wrong on it."""

from __future__ import annotations

import hashlib
import hmac
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.exceptions import LocalProtocolError
from bridge.wire import auth, session
from bridge.wire.messages import (
    MESSAGES,
    Busy,
    Challenge,
    Event,
    Heartbeat,
    Logout,
    Page,
    pack_message,
)
from bridge.wire.protocol import (
    Closed,
    HelloReceived,
    LogonRequested,
    RelaySession,
    TerminalSession,
    Ticks,
)
from bridge.wire.spec import FRAME_MAX, MARKET_FRAME_MAX, FrameType, LogoutCode
from bridge.wire.states import RELAY_RECEIVES, TERMINAL_RECEIVES, State
from tests.support.wire import (
    CAPABILITIES,
    KEY,
    RELAY_EPOCH,
    RELAY_NONCE,
    START_US,
    TERMINAL_NONCE,
    UNFINISHED,
    WRONG_KEY,
    SessionPair,
    a_frame,
    a_hello,
    feed,
    flipped,
    ticks_body,
)
from tests.support.wire import MESSAGES as EXAMPLES
from tests.support.wire_sessions import (
    BODIES,
    SIDES,
    active_with,
    ended,
    next_seq,
    sent,
    session_in,
    sides,
)

# --- states and types --------------------------------------------------------------------------
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
