"""What tests ask of two wire sessions that are back to back."""

from __future__ import annotations

import contextlib

from bridge.wire.messages import Ack, Challenge, pack_message
from bridge.wire.protocol import Closed
from bridge.wire.spec import FrameType
from bridge.wire.states import State
from tests.support.wire import (
    CAPABILITIES,
    KEY,
    RELAY_EPOCH,
    RELAY_NONCE,
    START_US,
    SessionPair,
    a_hello,
    frames_of,
    ticks_body,
    type_of,
)
from tests.support.wire import MESSAGES as EXAMPLES

__all__ = [
    "BODIES",
    "SIDES",
    "active_with",
    "bodies",
    "ended",
    "next_seq",
    "sent",
    "session_in",
    "sides",
]

SIDES = ("terminal", "relay")


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


def active_with(pair):
    """
    Tell whether either side of a pair, once at rest, is active.
    """
    with contextlib.suppress(AssertionError):
        pair.settle()
    return State.ACTIVE in (pair.terminal.state, pair.relay.state)


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
