"""``bridge.wire.protocol``: silence, lanes, the window, acknowledgements, and how a session ends."""

from __future__ import annotations

import pytest

from bridge.exceptions import LocalProtocolError
from bridge.wire import messages, session
from bridge.wire.fields import FieldError
from bridge.wire.messages import (
    Ack,
    Busy,
    Event,
    EventAck,
    Heartbeat,
    Logout,
    Page,
    Request,
    Subscribe,
    pack_message,
)
from bridge.wire.protocol import NEVER_US, Closed, RelaySession, TerminalSession
from bridge.wire.spec import (
    ACK_EVERY_BYTES,
    ACK_EVERY_MS,
    BUSY_LIMIT_MS,
    COMMAND_QUEUE_MAX,
    FRAME_MAX,
    FRAME_OVERHEAD,
    MARKET_FRAME_MAX,
    MARKET_WINDOW,
    FrameType,
    LogoutCode,
)
from bridge.wire.states import State
from tests.support.wire import (
    KEY,
    MS,
    START_US,
    STATE,
    SessionPair,
    a_frame,
    a_hello,
    feed,
    frames_of,
    ticks_body,
    type_of,
)
from tests.support.wire import MESSAGES as EXAMPLES
from tests.support.wire_sessions import BODIES, SIDES, ended, next_seq, sent, sides

FULL = bytes(MARKET_FRAME_MAX - FRAME_OVERHEAD)


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
