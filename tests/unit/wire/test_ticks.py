"""``bridge.wire.ticks``: the hot path takes exactly what the common way would take."""

import pytest

from bridge.model.record import pack_record
from bridge.model.tick import MqlTick
from bridge.wire.frame import pack_run_header
from bridge.wire.messages import Busy
from bridge.wire.protocol import RelaySession, Session
from tests.support.wire import START_US, SessionPair


def runs_of(rng, first):
    """
    Return the body of a TICKS frame: one to three runs of one to nine records.
    """
    body = b""
    for symbol_id in range(1, rng.choice((2, 2, 4))):
        length = rng.randint(1, 9)
        records = (
            pack_record(7, seq, MqlTick(seq, 1.1, 1.2), 120) for seq in range(first, first + length)
        )
        body += pack_run_header(symbol_id, length, first, 0, (first, 1, 0)) + b"".join(records)
    return body


def stream_of(rng, pair):
    """
    Return what a terminal sends: TICKS frames, here and there another frame.
    """
    frames = []
    for number in range(1, 30):
        if rng.random() < 0.1:
            pair.terminal.send(Busy(1, 1000))
        pair.terminal.send_market(runs_of(rng, number * 100))
        frames.append(pair.terminal.data_to_send(1 << 20))
    return b"".join(frames)


def harmed(rng, data):
    """
    Return the stream with a byte changed, some of it cut out or said twice, or as it is.
    """
    at = rng.randrange(len(data))
    length = rng.randint(1, 300)
    match rng.randrange(5):
        case 0:
            return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        case 1:
            return data[:at] + data[at + length :]
        case 2:
            return data[: at + length] + data[at:]
        case 3:
            return data[:at]
        case _:
            return data


def receive(session, data, cuts, receive_data):
    """
    Return all events, and how far the session came.
    """
    events = []
    for begin, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
        receive_data(session, data[begin:end], START_US)
        events += session.events_received()
    return events, session._receive_seq, session.state, session.data_to_send()


@pytest.mark.parametrize("case", range(150))
def test_the_hot_path_and_the_common_way_agree(rng, case):
    """Events, sequence, state and farewell are the same, for harmed streams too, in any portions."""
    one, other = SessionPair().logon(), SessionPair().logon()
    data = harmed(rng, stream_of(rng, one))
    stream_of(rng, other)
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice((0, 1, 5, 60))))

    expected = receive(other.relay, data, cuts, Session.receive_data)
    found = receive(one.relay, data, cuts, RelaySession.receive_data)

    assert expected == found


def test_nearly_all_frames_take_the_hot_path(rng, monkeypatch):
    """However the reads fall, the common way completes cut frames and does no more."""
    pair = SessionPair().logon()
    for number in range(1, 30):
        pair.terminal.send_market(runs_of(rng, number * 100))
    data = pair.terminal.data_to_send(1 << 20)
    before = pair.relay._receive_seq
    common = []
    whole = Session._receive_frame
    monkeypatch.setattr(
        Session,
        "_receive_frame",
        lambda self, frame, now_us: (common.append(len(frame)), whole(self, frame, now_us)),
    )

    receive(pair.relay, data, [len(data) // 3, len(data) // 2], RelaySession.receive_data)

    assert 2 >= len(common)
    assert 29 == pair.relay._receive_seq - before
