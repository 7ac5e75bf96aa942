"""
A relay that has the right key and says anything at all cannot crash the Expert Advisor.

On the virtual clock, with AddressSanitizer and UndefinedBehaviorSanitizer: an array that is
read one byte too far ends the program, and the test.
"""

from __future__ import annotations

import os

import pytest

from bridge.wire.messages import Challenge, Stream, Subscribe, Welcome, pack_message
from bridge.wire.protocol import HelloReceived, Ticks
from bridge.wire.spec import CAPABILITIES, FrameType, LogoutCode
from tests.mql5.scenarios.expert import binary, why_not
from tests.mql5.scenarios.malformed import bodies, broken_frames, odd_messages
from tests.mql5.scenarios.scripted import ScriptedRelay
from tests.mql5.scenarios.virtual import KEY, program_on
from tests.support.terminal import make_market, tick_of

EVERYTHING = os.environ.get("BRIDGE_EA_MODES") == "all"
pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
    pytest.mark.slow,
    # Building is not what may take no longer.
    pytest.mark.timeout(3_600 if EVERYTHING else 120, func_only=True),
]
ROUNDS = 6_000 if EVERYTHING else 600
#: A relay may have said "retry after"; the EA does, for a minute at most.
WITHIN_S = 90.0


class Hostile:
    """
    An EA and a relay that says what the test wants.
    """

    def __init__(self, relay, program, market):
        self.relay = relay
        self.program = program
        self.market = market

    def log_on(self):
        """
        Wait until the EA is logged on, again if need be.
        """
        self.program.wait_for(lambda: self.relay.active, WITHIN_S)

    def provoke(self, *frames):
        """
        Say these things to a logged-on EA, and let it react.
        """
        self.log_on()
        for kind, body in frames:
            if self.relay.active:
                self.relay.push(kind, body)
        self.program.advance(20)

        assert self.program.running, self.program.crash

    def is_well(self):
        """
        Make sure that the EA still does what it should.
        """
        # What was said last may have ended the session, which takes the EA a while.
        self.program.advance(5_000)
        self.log_on()
        self.relay.events.clear()
        self.relay.send(Subscribe(999, 1, "EURUSD", 0, 77, 86_400, None))
        self.program.wait_for(lambda: self.events(Stream), WITHIN_S)
        self.program.quote("EURUSD", tick_of(self.market.history.ticks_of("EURUSD").__len__() + 1))
        self.program.wait_for(lambda: self.events(Ticks), WITHIN_S)

    def events(self, kind):
        return [event for event in self.relay.events if isinstance(event, kind)]


@pytest.fixture
def hostile(tmp_path):
    market = make_market("EURUSD", "USDJPY")
    for symbol in market.specs:
        market.history.extend(symbol, [tick_of(1)])
    with ScriptedRelay(KEY, tmp_path / "relay.sock") as relay:
        program = program_on(relay, binary(), market, tmp_path / "terminal")
        with program:
            made = Hostile(relay, program, market)
            yield made
            made.is_well()
            code = program.deinit()

        assert (0, "") == (code, program.crash)


def test_malformed_bodies_end_a_session_at_most(hostile, rng):
    source = bodies(rng)
    for _ in range(ROUNDS):
        hostile.provoke(*(next(source) for _ in range(rng.randint(1, 3))))


def test_messages_that_make_no_sense_end_a_session_at_most(hostile):
    for message in odd_messages():
        hostile.provoke((int(message.TYPE), pack_message(message)))


def test_everything_at_once_is_survived(hostile):
    """More than any queue of the EA holds, and faster than it answers."""
    for number in range(1, 3_000):
        if number % 100 == 0:
            # As much as a socket holds: nobody but the EA takes it out again.
            hostile.program.advance(1)
        hostile.log_on()
        body = pack_message(Subscribe(number, 1, f"S{number}", 0, 7, 1, None))
        hostile.relay.push(FrameType.SUBSCRIBE, body)
    hostile.program.advance(2_000)


@pytest.mark.parametrize("number", range(21))
def test_headers_that_lie_end_the_session(hostile, rng, number):
    frame = list(broken_frames(rng))[number]
    hostile.log_on()
    logons = hostile.relay.logons
    hostile.relay.raw(frame)
    hostile.program.advance(20)
    if len(frame) < 32:
        # The beginning of a frame that never goes on: silence ends it.
        hostile.relay.hang_up()
    hostile.program.wait_for(lambda: hostile.relay.logons > logons, WITHIN_S)


@pytest.mark.parametrize("kind", [FrameType.CHALLENGE, FrameType.WELCOME])
def test_a_logon_that_goes_wrong_is_tried_again(hostile, rng, kind):
    """Malformed answers before anything is proved, and behind the proof."""
    challenge = pack_message(Challenge(1, int(CAPABILITIES), 7, bytes(32))) + bytes(32)
    welcome = pack_message(Welcome("demo", "relay", 1000, 4000, 0, 1, 1, None))
    valid = challenge if kind is FrameType.CHALLENGE else welcome
    tried = []

    def answer(session, event):
        if isinstance(event, HelloReceived) is not (kind is FrameType.CHALLENGE):
            return False
        body = bytearray(valid)
        for _ in range(rng.randint(1, 3)):
            body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
        tried.append(bytes(body[: rng.randrange(len(body) + 1)]))
        session._lanes.push(kind, tried[-1])
        return True

    hostile.relay.logon = answer
    wanted = 300 if EVERYTHING else 25
    hostile.relay.hang_up()
    hostile.program.wait_for(lambda: len(tried) >= wanted, 20.0 * wanted)
    hostile.relay.logon = lambda _session, _event: False
    hostile.relay.hang_up()

    assert hostile.program.running, hostile.program.crash


@pytest.mark.parametrize("code", [code for code in LogoutCode if code >= LogoutCode.UNKNOWN_KEY])
def test_a_logout_that_needs_a_person_is_told_with_what_to_do(hostile, code):
    """On the chart and in the journal, whatever the relay's own words are."""
    hostile.log_on()
    hostile.relay.session.logout(int(code), "the relay's words")
    hostile.relay.flush()
    hostile.program.wait_for(lambda: "the relay's words; " in hostile.program.comment, WITHIN_S)

    assert [line for line in hostile.program.said() if "error: " in line and "words; " in line]
