"""The golden vectors of the wire protocol: in step with the code, and true by themselves."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import struct
import zlib

import msgpack
import pytest

from bridge.model.record import Cursor, check_records, extend_cursor, pack_record, unpack_record
from bridge.model.tick import MqlTick
from bridge.wire.frame import Run, read_runs
from bridge.wire.messages import MESSAGES, Hello, pack_message, unpack_message
from bridge.wire.protocol import (
    Closed,
    HelloReceived,
    LoggedOn,
    LogonRequested,
    RelaySession,
    TerminalSession,
)
from bridge.wire.spec import FrameType, LogoutCode
from tests.support.wire import Way, a_frame, feed, frames_of
from tools import wire_vectors

NAMES = sorted(wire_vectors.vectors())


def data_of(name):
    """
    Return what a file has below ``data``.
    """
    return json.loads((wire_vectors.FOLDER / name).read_text(encoding="utf-8"))["data"]


def decoded(value):
    """
    Return a value as msgpack has it: the reverse of ``encoded``.
    """
    if isinstance(value, list):
        return [decoded(item) for item in value]
    if isinstance(value, dict):
        if "bin" in value:
            return bytes.fromhex(value["bin"])
        return {key: decoded(item) for key, item in value["map"].items()}
    return value


LOGON = data_of("logon.json")
KEY = bytes.fromhex(LOGON["key"])
CASES = data_of("messages.json")
REFUSED = data_of("refused.json")
SESSION = data_of("session.json")


def by(name):
    """
    Return a function that gives a case's name.
    """
    return lambda case: case[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_what_the_code_makes(name):
    text = (wire_vectors.FOLDER / name).read_text(encoding="utf-8")

    assert text == wire_vectors.vectors()[name], "run: python -m tools.wire_vectors"


def test_there_are_no_other_files():
    assert NAMES == sorted(path.name for path in wire_vectors.FOLDER.iterdir())


def test_a_difference_is_told_and_repaired(monkeypatch, tmp_path, capsys):
    folder = tmp_path / "tests" / "vectors" / "wire"
    monkeypatch.setattr(wire_vectors, "FOLDER", folder)

    assert wire_vectors.main(["--check"]) == 1
    assert wire_vectors.main([]) == 0
    assert wire_vectors.main(["--check"]) == 0
    (folder / "hmac.json").write_text("{}", encoding="utf-8")
    capsys.readouterr()
    assert wire_vectors.main(["--check"]) == 1
    assert capsys.readouterr().out == "stale: tests/vectors/wire/hmac.json\n"


@pytest.mark.parametrize("case", data_of("hmac.json"), ids=by("name"))
def test_a_tag_is_the_first_half_of_the_standard_librarys_hmac(case):
    key, data = bytes.fromhex(case["key"]), bytes.fromhex(case["data"])

    assert bytes.fromhex(case["tag"]) == hmac.new(key, data, hashlib.sha256).digest()[:16]


def test_every_message_has_a_case():
    names = {case["type"] for case in CASES}

    assert names == {cls.TYPE.name for cls in MESSAGES.values()}


@pytest.mark.parametrize("case", CASES, ids=by("type"))
def test_a_body_decodes_to_its_fields_and_back(case):
    cls = MESSAGES[case["number"]]
    body = bytes.fromhex(case["body"])
    message = unpack_message(cls, body)

    assert cls.TYPE.name == case["type"]
    assert {name: wire_vectors.encoded(getattr(message, name)) for name, _ in cls.FIELDS} == (
        case["fields"]
    )
    assert body == pack_message(message)


@pytest.mark.parametrize("case", CASES, ids=by("type"))
def test_a_body_is_plain_msgpack(case):
    values = [decoded(value) for value in case["fields"].values()]

    assert values == msgpack.unpackb(bytes.fromhex(case["body"]))


def test_the_secrets_of_the_logon_follow_from_the_text_of_the_specification():
    hello = bytes.fromhex(LOGON["hello_body"])
    fields = bytes.fromhex(LOGON["challenge_fields"])
    transcript = hashlib.sha256(len(hello).to_bytes(4, "little") + hello + fields).digest()

    assert transcript.hex() == LOGON["transcript"]
    for name, label in (
        ("relay_proof", b"relay proof"),
        ("terminal_proof", b"terminal proof"),
        ("relay_key", b"relay to terminal"),
        ("terminal_key", b"terminal to relay"),
    ):
        text = b"mt5-zmq-bridge wire 1 " + label + transcript
        assert hmac.digest(KEY, text, "sha256").hex() == LOGON[name]


def test_the_frames_of_the_logon_are_header_body_and_tag():
    hello, challenge, proof, *tagged = LOGON["frames"]
    fields = bytes.fromhex(LOGON["challenge_fields"])
    relay_proof = bytes.fromhex(LOGON["relay_proof"])

    assert a_frame(1, 1, bytes.fromhex(LOGON["hello_body"])).hex() == hello["hex"]
    assert a_frame(2, 1, fields + relay_proof).hex() == challenge["hex"]
    assert a_frame(3, 2, bytes.fromhex(LOGON["terminal_proof"])).hex() == proof["hex"]
    for entry in tagged:
        frame = bytes.fromhex(entry["hex"])
        key = bytes.fromhex(LOGON[f"{entry['from']}_key"])
        assert frame == a_frame(FrameType[entry["type"]], entry["seq"], frame[16:-16], key)


@pytest.mark.parametrize("case", data_of("records.json")["records"], ids=by("seq"))
def test_a_record_is_its_tick(case):
    tick = MqlTick(**case["tick"])
    record = bytes.fromhex(case["record"])
    flags = tick.flags | case["extra_flags"]
    made = pack_record(
        case["epoch"], case["seq"], tick, case["utc_offset_min"], case["extra_flags"]
    )
    read = unpack_record(record)

    assert record == made
    assert list(read) == msgpack.unpackb(record)
    assert read[:2] == (case["epoch"], case["seq"])
    assert read[2:] == (*tick[:5], flags, case["utc_offset_min"])


def test_cursors_by_hand():
    before, crc, count = None, 0, 0
    for case in data_of("records.json")["records"]:
        tick = case["tick"]
        if tick["time_msc"] != before:
            before, crc, count = tick["time_msc"], 0, 0
        values = (tick["bid"], tick["ask"], tick["last"], tick["volume_real"])
        crc = zlib.crc32(struct.pack("<qdddd", before, *values), crc)
        count += 1

        assert [before, count, crc] == case["cursor"]


def test_the_cursor_of_the_code_is_the_same():
    cursor = Cursor(0, 0, 0)
    for case in data_of("records.json")["records"]:
        cursor = extend_cursor(cursor, MqlTick(**case["tick"]))
        assert list(cursor) == case["cursor"]


def test_a_run_is_read_from_its_bytes():
    run = data_of("records.json")["run"]
    body = bytes.fromhex(run["ticks_body"])
    records = body[40:]

    assert body[:40].hex() == run["header"]
    assert read_runs(a_frame(FrameType.TICKS, 1, body)) == [
        Run(
            run["symbol_id"],
            run["length"],
            run["first_seq"],
            run["sent_us"],
            struct.pack("<qII", *run["cursor"]),
            records,
        )
    ]
    assert check_records(records, 7, run["first_seq"]) is None


def ends():
    """
    Return a terminal and a relay as at the beginning of the recordings.
    """
    return {
        "terminal": TerminalSession(
            KEY, Hello(*(decoded(value) for value in LOGON["hello"].values())), 5_000_000
        ),
        "relay": RelaySession(91_000_000_000),
    }


def take(side, session):
    """
    Take the events of a session, answering for the relay's program.
    """
    events = session.events_received()
    for event in events:
        challenge = LOGON["challenge"]
        if isinstance(event, HelloReceived):
            session.challenge(
                KEY,
                bytes.fromhex(challenge["nonce"]["bin"]),
                challenge["relay_epoch"],
                challenge["capabilities"],
            )
        elif isinstance(event, LogonRequested):
            session.accept("demo", "relay", 91_000_000_000, 1_546_380_000_000)
    return events


def play(side, entries, way=Way.WHOLE):
    """
    Give one side of a recording what the other side sent; return session and events.
    """
    session = ends()[side]
    # It sends nothing here; an ACK is only taken for what was sent.
    session._send_seq = len(entries)
    events = []
    first = {"terminal": 5_000_000, "relay": 91_000_000_000}[side]
    for entry in entries:
        if entry["from"] != side:
            feed(session, bytes.fromhex(entry["hex"]), first + entry["at_us"], way)
            events += take(side, session)
    return session, events


@pytest.mark.parametrize("way", [Way.WHOLE, Way.BYTES], ids=lambda way: way.value)
@pytest.mark.parametrize("side", ["terminal", "relay"])
def test_either_side_understands_the_recorded_session(side, way):
    _, events = play(side, SESSION, way)
    kinds = [getattr(event, "TYPE", type(event)) for event in events]
    expected = {
        "CHALLENGE": [],
        "PROOF": [LogonRequested],
        "HELLO": [HelloReceived],
        "WELCOME": [LoggedOn],
        "TEST_REQUEST": [],
        "ACK": [],
        "TICKS": [type(event) for event in events if type(event).__name__ == "Ticks"],
        "LOGOUT": [Closed],
    }
    wanted = []
    for entry in SESSION:
        if entry["from"] != side:
            name = entry["type"]
            wanted += expected.get(name, [FrameType[name]])

    assert wanted == kinds
    assert [event for event in events[:-1] if isinstance(event, Closed)] == []


def test_the_recorded_session_has_every_type_that_is_used_today_or_tomorrow():
    rare = {"LOGOUT", "CANCEL_REQUEST", "REFILL", "QUERY"}

    assert {entry["type"] for entry in SESSION} | rare == {kind.name for kind in FrameType}


def test_the_recorded_session_is_numbered_without_a_gap():
    for side in ("terminal", "relay"):
        frames = [bytes.fromhex(entry["hex"]) for entry in SESSION if entry["from"] == side]
        numbers = [int.from_bytes(frame[8:16], "little") for frame in frames]

        assert numbers == list(range(1, len(frames) + 1))
        assert frames == frames_of(b"".join(frames))


@pytest.mark.parametrize("way", Way, ids=lambda way: way.value)
@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case['name']}, to {case['to']}")
def test_a_frame_that_must_be_refused_is(case, way):
    side = case["to"]
    session, _ = play(side, [{**entry, "at_us": 0} for entry in LOGON["frames"][:4]])
    assert not session.closed
    feed(session, bytes.fromhex(case["hex"]), session.last_received_us, way)
    (end,) = session.events_received()

    assert LogoutCode(case["code"]) == end.code


def test_the_tag_of_an_order_follows_from_its_id():
    (request, *_) = [case for case in CASES if case["type"] == "NEW"]
    digest = hashlib.sha256(request["fields"]["command_id"].encode()).digest()

    assert request["fields"]["tag"] == "zb1:" + base64.b32encode(digest)[:16].decode()
