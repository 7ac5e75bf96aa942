"""The wire protocol of the EA, executed, against the Python implementation as the oracle."""

from __future__ import annotations

import hmac
import itertools
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import msgpack
import pytest

from bridge.exceptions import LocalProtocolError, RemoteProtocolError
from bridge.wire import auth
from bridge.wire.events import Closed, LoggedOn
from bridge.wire.fields import MapField
from bridge.wire.frame import NO_TAG, pack_header
from bridge.wire.messages import (
    MESSAGES,
    Ack,
    Challenge,
    Heartbeat,
    Hello,
    Logout,
    Welcome,
    pack_message,
    unpack_message,
)
from bridge.wire.protocol import TerminalSession
from bridge.wire.spec import FRAME_OVERHEAD, FrameType, LogoutCode
from bridge.wire.states import State
from tests.mql5 import building
from tests.mql5.wire_cases import ODD_VALUES, mutated, vectors

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")

HERE = Path(__file__).resolve().parent
STATES = [State.HELLO_SENT, State.PROOF_SENT, State.ACTIVE, State.CLOSED]
OWN = (Heartbeat, MESSAGES[FrameType.TEST_REQUEST], Ack)
SENT = (
    FrameType.BUSY,
    FrameType.STREAM,
    FrameType.GAP,
    FrameType.PAGE,
    FrameType.RESULT,
    FrameType.EVENT,
)
TO_TERMINAL = (
    FrameType.HEARTBEAT,
    FrameType.TEST_REQUEST,
    FrameType.SUBSCRIBE,
    FrameType.UNSUBSCRIBE,
    FrameType.REFILL,
    FrameType.REQUEST,
    FrameType.CANCEL_REQUEST,
    FrameType.NEW,
    FrameType.QUERY,
    FrameType.EVENT_ACK,
    FrameType.HALT,
)


@pytest.fixture(scope="module")
def program():
    return building.build(HERE / "programs" / "wire_vectors.mq5", "asan")


@pytest.fixture
def answers(program, tmp_path):
    """
    Return a function: lines for the program, what it answers to each.
    """

    def run(lines):
        files = tmp_path / "MQL5" / "Files"
        files.mkdir(parents=True, exist_ok=True)
        (files / "wire_cases.txt").write_text("".join(line + "\n" for line in lines))
        (files / "wire_results.txt").unlink(missing_ok=True)
        done = subprocess.run(
            [program, "--option", f"data={tmp_path}"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-4000:]
        results = (files / "wire_results.txt").read_text().splitlines()
        assert len(lines) == len(results), done.stderr[-4000:]
        return results

    return run


# --- pieces --------------------------------------------------------------------------------


def test_hmac_is_that_of_the_vectors_and_of_python(answers, rng):
    cases = [
        (bytes.fromhex(case["key"]), bytes.fromhex(case["data"])) for case in vectors("hmac.json")
    ]
    cases += [(rng.randbytes(32), rng.randbytes(rng.randrange(1, 300))) for _ in range(50)]

    results = answers([f"hmac {key.hex()} {data.hex()}" for key, data in cases])

    assert [hmac.digest(key, data, "sha256").hex() for key, data in cases] == results


def test_crc_is_that_of_zlib(answers, rng):
    cases = [b"123456789", *(rng.randbytes(rng.randrange(1, 100)) for _ in range(50))]

    results = answers([f"crc {data.hex()}" for data in cases])

    assert [str(zlib.crc32(data)) for data in cases] == results
    assert str(0xCBF43926) == results[0]


def test_the_secrets_of_a_logon_are_those_of_the_vector(answers):
    logon = vectors("logon.json")
    challenge = logon["challenge_fields"] + logon["relay_proof"]

    results = answers([f"logon {logon['key']} {logon['hello_body']} {challenge}"])

    names = ("transcript", "relay_proof", "terminal_proof", "relay_key", "terminal_key")
    assert [" ".join(logon[name] for name in names)] == results


# --- messages ------------------------------------------------------------------------------


def has_map(cls):
    return any(isinstance(field, MapField) for _, field in cls.FIELDS)


def check_message(number, body, result):
    """
    Both sides accept a body, as the same message, or both refuse it.
    """
    cls = MESSAGES[number]
    try:
        expected, problem = unpack_message(cls, body), ""
    except RemoteProtocolError as error:
        expected, problem = None, error.reason
    if expected is None:
        assert result == "-", f"Python refuses: {problem}: {body.hex()}"
        return
    assert result.startswith("="), f"Python accepts: {expected}: {body.hex()}"
    packed = bytes.fromhex(result[1:])
    # Maps are forwarded as they came, so only what they mean is the same.
    assert expected == unpack_message(cls, packed)
    if not has_map(cls):
        assert pack_message(expected) == packed


def test_every_message_of_the_vectors_is_read_and_written_byte_for_byte(answers):
    cases = vectors("messages.json")

    results = answers([f"message {case['number']} {case['body']}" for case in cases])

    assert ["=" + case["body"] for case in cases] == results


def test_every_odd_value_in_every_field_is_taken_or_refused_as_in_python(answers):
    cases = []
    for case in vectors("messages.json"):
        fields = [msgpack.packb(value) for value in msgpack.unpackb(bytes.fromhex(case["body"]))]
        for at, odd in itertools.product(range(len(fields) + 1), ODD_VALUES):
            count = len(fields) + (at == len(fields))
            parts = [*fields[:at], odd, *fields[at + 1 :]]
            head = bytes([0x90 | count]) if count < 16 else struct.pack(">BH", 0xDC, count)
            cases.append((case["number"], head + b"".join(parts)))

    results = answers([f"message {number} {body.hex()}" for number, body in cases])

    for (number, body), result in zip(cases, results, strict=True):
        check_message(number, body, result)


def test_fuzzed_messages_are_taken_or_refused_as_in_python(answers, rng):
    cases = [
        (case["number"], mutated(rng, bytes.fromhex(case["body"])))
        for case in vectors("messages.json")
        for _ in range(200)
    ]

    results = answers([f"message {number} {body.hex()}" for number, body in cases])

    for (number, body), result in zip(cases, results, strict=True):
        check_message(number, body, result)


def test_values_of_a_map_are_found_by_their_keys(answers):
    value = {"symbol": "EURUSD", "öffnung": "ä", "n": -5, "big": 2**64 - 1, "f": 1.5, "on": True}
    value |= {"nil": None, "bin": b"x", "list": [1], "map": {"a": 1}, "empty": ""}

    (result,) = answers([f"map {msgpack.packb(value).hex()}"])

    bits = struct.unpack("<Q", struct.pack("<d", 1.5))[0]
    shown = ["text:" + b"EURUSD".hex(), "text:" + "ä".encode().hex(), "-5", str(2**64 - 1)]
    shown += [f"bits:{bits}", "true", "kind:1", "kind:7", "kind:8", "kind:9", "text:"]
    words = (f"{key.encode().hex()}={text}" for key, text in zip(value, shown, strict=True))
    assert " ".join(["11", *words]) == result


# --- sessions --------------------------------------------------------------------------------


def status(session):
    """
    Return what the program says of its session, of Python's.
    """
    text = (
        f"state={STATES.index(session.state)} next={session.next_deadline()}"
        f" wants={int(session.wants_to_send)} queued={session.market_queued}"
        f" flight={session.market_in_flight} pages={session.pages_queued}"
        f" capabilities={session.capabilities} epoch={session.relay_epoch}"
        f" rtt={-1 if session.rtt_us is None else session.rtt_us}"
    )
    if session.clock_offset_us is not None:
        text += f" offset={session.clock_offset_us}"
    for event in session.events_received():
        if isinstance(event, Closed):
            text += f" closed:{event.code}:{int(event.by_peer)}:{event.retry_after_ms}"
        elif isinstance(event, LoggedOn):
            text += f" opened:4:={pack_message(event.welcome).hex()}"
        elif not isinstance(event, OWN):
            text += f" message:{int(event.TYPE)}:={pack_message(event).hex()}"
    return text


def without_text(data):
    """
    Return frames, a LOGOUT's text and tag taken out: sentences need not be the same.
    """
    frames = []
    while data:
        length = struct.unpack_from("<I", data)[0]
        frame, data = data[:length], data[length:]
        if frame[4] == FrameType.LOGOUT:
            farewell = unpack_message(Logout, frame[16:-16])
            frame = (frame[5:16], farewell.code, farewell.retry_after_ms)
        frames.append(frame)
    return frames


class Conversation:
    """
    A session of Python and the lines that do the same to the EA's.
    """

    def __init__(self, key, hello, now_us=0, deadline_ms=5000):
        self.key = key
        self.hello_body = pack_message(hello)
        self.session = TerminalSession(key, hello, now_us, deadline_ms=deadline_ms)
        self.lines = [f"key {key.hex()}", f"begin {self.hello_body.hex()} {now_us} {deadline_ms}"]
        self.expected = ["32", status(self.session)]
        self.seq = 0
        self.tagger = None

    def _did(self, line, before=""):
        self.lines.append(line)
        self.expected.append(before + status(self.session))

    def receive(self, data, now_us):
        self.session.receive_data(data, now_us)
        self._did(f"receive {data.hex()} {now_us}")

    def timer(self, now_us):
        self.session.handle_timer(now_us)
        self._did(f"timer {now_us}")

    def test(self, now_us):
        self.session.test(now_us)
        self._did(f"test {now_us}")

    def eof(self):
        self.session.receive_eof()
        self._did("eof")

    def logout(self, code, retry_after_ms=0):
        self.session.logout(code, "the end", retry_after_ms)
        self._did(f"logout {int(code)} {retry_after_ms}")

    def state(self, body):
        self.session.terminal_state = unpack_message(Heartbeat, body).state
        self._did(f"state {body.hex()}")

    def send(self, number, body):
        before = "sent "
        try:
            self.session.send(unpack_message(MESSAGES[number], body))
        except LocalProtocolError:
            before = "refused "
        self._did(f"send {int(number)} {body.hex()}", before)

    def market(self, body):
        before = "sent "
        try:
            self.session.send_market(body)
        except LocalProtocolError:
            before = "refused "
        self._did(f"market {body.hex()}", before)

    def out(self, limit=65_536):
        data = self.session.data_to_send(limit)
        self.lines.append(f"out {limit}")
        self.expected.append(data)
        return data

    # what the relay says

    def frame(self, number, body, *, seq=None, tagged=True):
        if seq is None:
            self.seq += 1
            seq = self.seq
        data = pack_header(len(body) + FRAME_OVERHEAD, number, seq) + body
        return data + (self.tagger.tag(data) if tagged and self.tagger else NO_TAG)

    def challenge(self, challenge, key=None):
        fields = pack_message(challenge)
        secrets = auth.derive(key or self.key, self.hello_body, fields)
        frame = self.frame(FrameType.CHALLENGE, fields + secrets.relay_proof)
        self.tagger = auth.Tagger(secrets.relay_key)
        return frame

    def message(self, message):
        return self.frame(message.TYPE, pack_message(message))

    def log_on(self, now_us=0, interval_ms=1000, limit_ms=4000):
        self.out()
        self.receive(self.challenge(Challenge(1, 15, 7, bytes(range(32)))), now_us)
        self.out()
        welcome = Welcome(
            "demo", "relay", interval_ms, limit_ms, 0, 5_000_000, 1_546_380_000_000, None
        )
        self.receive(self.message(welcome), now_us)

    def compare(self, results):
        for line, expected, result in zip(self.lines, self.expected, results, strict=True):
            if isinstance(expected, bytes):
                size, _, data = result.partition(" ")
                got = bytes.fromhex(data)
                assert len(got) == int(size)
                if expected != got:
                    assert without_text(expected) == without_text(got), line
            else:
                assert expected == result, line[:300]


def hello(**changes):
    fields = msgpack.unpackb(bytes.fromhex(vectors("logon.json")["hello_body"]))
    names = [name for name, _ in Hello.FIELDS]
    return Hello(**{**dict(zip(names, fields, strict=True)), **changes})


@pytest.fixture
def conversation(rng):
    return Conversation(rng.randbytes(32), hello())


def test_a_logon_gives_the_frames_of_the_vector(answers):
    logon = vectors("logon.json")
    frames = {(frame["from"], frame["seq"]): frame["hex"] for frame in logon["frames"]}
    steps = [f"key {logon['key']}", f"begin {logon['hello_body']} 5000000 5000", "out 65536"]
    steps += [f"receive {frames['relay', 1]} 5000000", "out 65536"]
    steps += [f"receive {frames['relay', 2]} 5000000"]

    results = answers(steps)

    assert frames["terminal", 1] == results[2].split()[1]
    assert frames["terminal", 2] == results[4].split()[1]
    assert " opened:4:=" in results[5]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, None),
        ({"version": 2}, LogoutCode.VERSION_MISMATCH),
        ({"version": 0}, LogoutCode.VERSION_MISMATCH),
        ({"relay_epoch": 6}, None),
        ({"relay_epoch": 5}, LogoutCode.STALE_RELAY),
        ({"key": bytes(32)}, LogoutCode.BAD_RELAY_KEY),
    ],
)
def test_a_challenge_is_judged_in_the_order_of_the_specification(
    answers, conversation, change, code
):
    key = change.pop("key", None)
    challenge = {"version": 1, "capabilities": 3, "relay_epoch": 7, "nonce": bytes(32)} | change
    conversation.out()

    conversation.receive(conversation.challenge(Challenge(**challenge), key), 10)
    conversation.out()

    conversation.compare(answers(conversation.lines))
    closed = [word for word in conversation.expected[3].split() if word.startswith("closed")]
    assert closed == ([] if code is None else [f"closed:{int(code)}:1:0"])


def test_frames_that_must_end_a_session_end_it_with_their_code(answers):
    logon = vectors("logon.json")
    frames = {(frame["from"], frame["seq"]): frame["hex"] for frame in logon["frames"]}
    cases = [case for case in vectors("refused.json") if case["to"] == "terminal"]
    lines = [f"key {logon['key']}"]
    for case in cases:
        lines += [
            f"begin {logon['hello_body']} 5000000 5000",
            f"receive {frames['relay', 1]} 5000000",
            f"receive {frames['relay', 2]} 5000000",
            f"receive {case['hex']} 5000000",
        ]

    results = answers(lines)

    for case, result in zip(cases, results[4::4], strict=True):
        assert f" closed:{case['code']}:1:0" in result, case["name"]


@pytest.mark.parametrize("piece", [1, 15, 16, 17, 31, 1000])
def test_a_stream_may_be_cut_anywhere(answers, conversation, piece):
    conversation.log_on()
    bodies = [(case["number"], bytes.fromhex(case["body"])) for case in vectors("messages.json")]
    data = b"".join(
        conversation.frame(number, body) for number, body in bodies if number in TO_TERMINAL
    )

    for at in range(0, len(data), piece):
        conversation.receive(data[at : at + piece], at)

    conversation.compare(answers(conversation.lines))
    assert conversation.session.state is State.ACTIVE


def test_a_large_frame_may_follow_the_welcome_in_one_read(answers, conversation):
    conversation.out()
    first = conversation.challenge(Challenge(1, 15, 7, bytes(32)))
    conversation.receive(first, 0)
    welcome = Welcome("demo", "relay", 1000, 4000, 0, 1, 1, None)
    ids = tuple(f"client/{'x' * 150}{i:02}" for i in range(64))
    query = MESSAGES[FrameType.QUERY](ids, 5000, 1, ())

    conversation.receive(conversation.message(welcome) + conversation.message(query), 5)

    conversation.compare(answers(conversation.lines))
    assert "message:49" in conversation.expected[-1]


@pytest.mark.parametrize("length", [1_025, 65_536, 65_537, 2**32 - 1, 31, 0])
def test_a_length_is_judged_before_anything_waits_for_it(answers, conversation, length):
    conversation.out()

    conversation.receive(struct.pack("<IBBHQ", length, 2, 0, 0x354D, 1), 0)

    conversation.compare(answers(conversation.lines))
    assert "closed:" in conversation.expected[-1]


@pytest.mark.parametrize(
    ("interval_ms", "limit_ms"),
    [(9, 4000), (10, 20), (10, 19), (60_001, 200_000), (1, 2), (60_000, 300_001)],
)
def test_a_welcome_outside_of_its_limits_is_refused(answers, conversation, interval_ms, limit_ms):
    conversation.log_on(0, interval_ms, limit_ms)

    conversation.compare(answers(conversation.lines))


def test_a_logon_that_is_not_complete_in_time_ends(answers, conversation):
    conversation.out()
    conversation.timer(4_999_999)
    conversation.timer(5_000_000)
    conversation.out()

    conversation.compare(answers(conversation.lines))
    assert f"closed:{int(LogoutCode.LOGON_TIMEOUT)}:0:0" in conversation.expected[-2]


def test_silence_is_tested_and_then_ends_the_session(answers, conversation):
    conversation.log_on()
    for now_us in range(0, 4_200_000, 50_000):
        if now_us >= conversation.session.next_deadline():
            conversation.timer(now_us)
            conversation.out()

    conversation.compare(answers(conversation.lines))
    assert any(
        f"closed:{int(LogoutCode.HEARTBEAT_LOST)}" in str(text) for text in conversation.expected
    )


def test_a_stall_of_its_own_is_not_the_peers_silence(answers, conversation):
    conversation.log_on()
    conversation.timer(0)
    conversation.timer(30_000_000)
    conversation.out()
    conversation.timer(31_999_999)
    conversation.timer(32_000_000)

    conversation.compare(answers(conversation.lines))
    assert "closed" in conversation.expected[-1]


def test_commands_overtake_ticks_and_ticks_pages_within_the_window(answers, conversation):
    bodies = {case["number"]: bytes.fromhex(case["body"]) for case in vectors("messages.json")}
    page = msgpack.packb([1, 0, False, 0, "", 3, b"p" * 60_000])
    conversation.log_on()
    conversation.send(FrameType.PAGE, page)
    conversation.send(FrameType.PAGE, page)
    for i in range(20):
        conversation.market(bytes([i]) * 8_160)
    conversation.market(bytes(8_161))
    conversation.send(FrameType.BUSY, bodies[FrameType.BUSY])
    for _ in range(12):
        conversation.out(16_384)
    for seq in (5, 10, 10, 30):
        conversation.receive(conversation.message(Ack(seq)), 100 + seq)
        conversation.out(16_384)
        conversation.out(65_536)

    conversation.compare(answers(conversation.lines))


def test_a_peer_that_does_not_read_ends_the_session(answers, conversation):
    bodies = [
        bytes.fromhex(case["body"]) for case in vectors("messages.json") if case["number"] == 51
    ]
    event = msgpack.packb(
        [*msgpack.unpackb(bodies[0])[:6], {f"k{i}": "x" * 900 for i in range(64)}]
    )
    conversation.log_on()
    for _ in range(75):
        conversation.send(FrameType.EVENT, event)
    conversation.out(2**30)

    conversation.compare(answers(conversation.lines))
    assert any(
        f"closed:{int(LogoutCode.QUEUE_FULL)}" in str(text) for text in conversation.expected
    )


def relay_says(rng, talk, bodies):
    """
    Return a frame of the relay's, seldom a wrong one.
    """
    number, body = rng.choice(bodies)
    match rng.randrange(40):
        case 0:
            body = mutated(rng, body)
        case 1:
            return mutated(rng, talk.frame(number, body))
        case 2:
            return talk.frame(number, body, tagged=False)
        case 3:
            return talk.frame(rng.randrange(256), body)
        case 4:
            return talk.frame(number, body, seq=rng.choice([0, talk.seq, talk.seq + 2, 2**64 - 1]))
        case 5 | 6 | 7 | 8:
            return talk.message(Ack(rng.randrange(talk.session._send_seq + 2)))
        case 9 | 10:
            return talk.message(Heartbeat(rng.randrange(2**40), rng.randrange(2**30), 5, 0, None))
    return talk.frame(number, body)


def something_happens(rng, talk, now_us, cases):
    """
    Let one thing happen to both sessions.
    """
    number, body = rng.choice(cases)
    match rng.randrange(240):
        case 0:
            talk.logout(LogoutCode.SHUTTING_DOWN, rng.randrange(1000))
        case 1:
            talk.eof()
        case 2 | 3:
            talk.test(now_us)
        case roll if roll < 20:
            talk.market(rng.randbytes(rng.randrange(1, 8_161)))
        case roll if roll < 40 and number in SENT:
            talk.send(number, body)
        case roll if roll < 50 and number == FrameType.HEARTBEAT and len(body) > 20:
            talk.state(body)
        case roll if roll < 90:
            talk.out(rng.choice([1, 1000, 16_384, 65_536]))
        case roll if roll < 150:
            talk.timer(now_us)
        case _:
            bodies = [(number, body) for number, body in cases if number in TO_TERMINAL]
            data = b"".join(relay_says(rng, talk, bodies) for _ in range(rng.randrange(1, 4)))
            cut = rng.randrange(1, len(data)) if len(data) > 1 else 0
            talk.receive(data[:cut] or data, now_us)
            if cut:
                talk.receive(data[cut:], now_us)


@pytest.mark.parametrize("round_", range(4))
def test_random_conversations_go_as_in_python(answers, rng, round_):
    cases = [(case["number"], bytes.fromhex(case["body"])) for case in vectors("messages.json")]
    talks = []
    for _ in range(40):
        now_us = rng.randrange(10_000_000)
        talk = Conversation(rng.randbytes(32), hello(), now_us, rng.choice([1, 1000, 5000]))
        talk.log_on(now_us, rng.choice([10, 500, 1000]), rng.choice([1000, 4000]))
        for _ in range(60):
            now_us += rng.choice([0, 1, 1000, 100_000, 500_000, 1_000_000, 3_000_000])
            something_happens(rng, talk, now_us, cases)
        talk.out(2**30)
        talks.append(talk)

    results = iter(answers([line for talk in talks for line in talk.lines]))

    for talk in talks:
        talk.compare([next(results) for _ in talk.lines])
