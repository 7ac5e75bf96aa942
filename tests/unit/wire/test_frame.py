"""``bridge.wire.frame``: a byte stream becomes frames, however it was split."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.exceptions import RemoteProtocolError
from bridge.model.record import Cursor
from bridge.wire.frame import (
    NO_TAG,
    RUN_HEADER,
    FrameBuffer,
    Run,
    pack_header,
    pack_run_header,
    read_header,
    read_runs,
)
from bridge.wire.spec import (
    FRAME_MAX,
    FRAME_OVERHEAD,
    LOGON_FRAME_MAX,
    MARKET_FRAME_MAX,
    RUN_HEADER_SIZE,
    FrameType,
    LogoutCode,
)
from tests.support.wire import UNFINISHED, a_frame, flipped, ticks_body

#: an ACK of frame 17, as frame 3, with a tag of zeros
ACK = bytes.fromhex("22000000 09 00 4d35 0300000000000000 9111" + 16 * "00")
FRAMES = [ACK, a_frame(0x80, 4), a_frame(0x13, 5, bytes(range(200)))]


def cut(buffer, *chunks):
    """
    Return the frames that a buffer makes of chunks.
    """
    return [bytes(frame) for chunk in chunks for frame in buffer.feed(chunk)]


def refused(buffer, *chunks):
    """
    Return the code with which a buffer refuses chunks.
    """
    with pytest.raises(RemoteProtocolError) as caught:
        cut(buffer, *chunks)
    return caught.value.code


def test_the_header_is_sixteen_bytes_little_endian():
    expected = bytes.fromhex("22000000 09 00 4d35 0807060504030201")

    assert expected == pack_header(0x22, 0x09, 0x0102030405060708)


def test_a_header_comes_back():
    assert read_header(ACK) == (FrameType.ACK, 3)


def test_a_frame_without_the_magic_is_refused():
    with pytest.raises(RemoteProtocolError) as caught:
        read_header(a_frame(9, 1, magic=0x4D35))

    assert caught.value.code == LogoutCode.BAD_MAGIC


@pytest.mark.parametrize("flags", [0x01, 0x80, 0xFF])
def test_a_frame_with_flags_is_refused(flags):
    with pytest.raises(RemoteProtocolError) as caught:
        read_header(a_frame(9, 1, flags=flags))

    assert caught.value.code == LogoutCode.BAD_FRAME


def test_frames_arrive_whole():
    assert cut(FrameBuffer(FRAME_MAX), b"".join(FRAMES)) == FRAMES


def test_frames_arrive_byte_by_byte():
    data = b"".join(FRAMES)

    assert cut(FrameBuffer(FRAME_MAX), *(data[i : i + 1] for i in range(len(data)))) == FRAMES


def test_trailing_bytes_wait_for_the_rest():
    buffer = FrameBuffer(FRAME_MAX)

    assert cut(buffer, b"".join(FRAMES) + UNFINISHED) == FRAMES
    assert buffer.pending == len(UNFINISHED)


@pytest.mark.parametrize("size", range(1, len(ACK)))
def test_a_truncated_frame_is_no_frame(size):
    buffer = FrameBuffer(FRAME_MAX)

    assert cut(buffer, ACK[:size]) == []
    assert buffer.pending == size


@given(
    bodies=st.lists(st.binary(max_size=300), max_size=8),
    splits=st.lists(st.integers(1, 120), max_size=60),
)
def test_any_split_gives_the_same_frames(bodies, splits):
    frames = [a_frame(0x80, i, body) for i, body in enumerate(bodies, 1)]
    data = b"".join(frames)
    chunks = []
    for size in splits:
        chunks.append(data[:size])
        data = data[size:]

    assert cut(FrameBuffer(FRAME_MAX), *chunks, data) == frames


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_kind_of_bytes_is_taken(kind):
    assert cut(FrameBuffer(FRAME_MAX), kind(ACK)) == [ACK]


@pytest.mark.parametrize("length", [0, 1, 15, 16, FRAME_OVERHEAD - 1])
def test_a_length_smaller_than_an_empty_frame_is_refused(length):
    assert refused(FrameBuffer(FRAME_MAX), a_frame(9, 1, length=length)) == LogoutCode.BAD_FRAME


@pytest.mark.parametrize("length", [FRAME_MAX + 1, 2**31 - 1, 2**31, 2**32 - 1])
@pytest.mark.parametrize("split", [1, 16, 64])
def test_a_length_above_the_limit_is_refused_before_anything_is_held(length, split):
    buffer = FrameBuffer(FRAME_MAX)
    data = a_frame(9, 1, bytes(64), length=length)

    code = refused(buffer, *(data[i : i + split] for i in range(0, len(data), split)))

    assert code == LogoutCode.FRAME_TOO_LARGE
    assert buffer.pending <= 16


def test_the_largest_frame_is_taken():
    frame = a_frame(9, 1, bytes(FRAME_MAX - FRAME_OVERHEAD))

    assert cut(FrameBuffer(FRAME_MAX), frame) == [frame]


def test_before_the_logon_frames_are_small():
    data = a_frame(1, 1, bytes(LOGON_FRAME_MAX - FRAME_OVERHEAD + 1))

    assert refused(FrameBuffer(LOGON_FRAME_MAX), data) == LogoutCode.FRAME_TOO_LARGE


def test_a_raised_limit_holds_for_the_next_frame_of_the_same_read():
    buffer = FrameBuffer(LOGON_FRAME_MAX)
    large = a_frame(9, 2, bytes(2000))
    frames = []

    for frame in buffer.feed(ACK + large):
        frames.append(bytes(frame))
        buffer.frame_max = FRAME_MAX

    assert frames == [ACK, large]


def test_a_frame_that_comes_slowly_takes_no_more_memory_than_itself():
    buffer = FrameBuffer(FRAME_MAX)
    frame = a_frame(9, 1, bytes(FRAME_MAX - FRAME_OVERHEAD))
    tracemalloc.start()
    try:
        for i in range(0, len(frame) - 1, 7):
            assert cut(buffer, frame[i : min(i + 7, len(frame) - 1)]) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 2 * FRAME_MAX


@given(data=st.binary(max_size=400))
def test_garbage_is_refused_or_waits(data):
    buffer = FrameBuffer(LOGON_FRAME_MAX)
    with contextlib.suppress(RemoteProtocolError):
        frames = cut(buffer, data)
        assert b"".join(frames) == data[: len(data) - buffer.pending]


# --- runs ---------------------------------------------------------------------------


def test_the_header_of_a_run_is_forty_bytes():
    expected = bytes.fromhex(
        "01000000 02000000 2b00000000000000 404b4c0000000000"  # symbol id, records, seq, sent
        "0908070668010000 02000000 efbeadde"  # cursor: time, ticks, crc
    )

    cursor = Cursor(0x168_0607_0809, 2, 0xDEADBEEF)

    assert expected == pack_run_header(1, 2, 43, 5_000_000, cursor)
    assert len(expected) == RUN_HEADER_SIZE == RUN_HEADER.size + 16


def test_runs_come_back():
    one, two = ticks_body(1, 43, 2), ticks_body(9, 2**40, 1)

    runs = read_runs(a_frame(0x13, 1, one + two))

    assert runs == [
        Run(1, 2, 43, 5_000_000, one[24:40], one[40:]),
        Run(9, 1, 2**40, 5_000_000, two[24:40], two[40:]),
    ]


def test_the_bytes_of_a_run_are_copies():
    data = bytearray(a_frame(0x13, 1, ticks_body()))
    runs = read_runs(memoryview(data))
    before = runs[0].records
    data[:] = bytes(len(data))

    assert before == ticks_body()[40:]
    assert any(before)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0",
        ticks_body()[:39],
        ticks_body()[:40],
        ticks_body()[:-1],
        ticks_body() + b"\0",
        ticks_body() + ticks_body()[:40],
        struct.pack("<IIQQ", 1, 0, 1, 1) + bytes(16),
        struct.pack("<IIQQ", 1, 2**32 - 1, 1, 1) + bytes(16) + bytes(66),
        struct.pack("<IIQQ", 1, 65_075_263, 1, 1)
        + bytes(16)
        + bytes(66),  # times 66 is 62 mod 2^32
    ],
    ids=range(10),
)
def test_runs_that_do_not_fit_their_frame_are_refused(body):
    with pytest.raises(RemoteProtocolError) as caught:
        read_runs(a_frame(0x13, 1, body))

    assert caught.value.code == LogoutCode.BAD_RECORDS


def test_a_market_frame_above_its_limit_is_refused():
    body = bytes(MARKET_FRAME_MAX - FRAME_OVERHEAD + 1)

    with pytest.raises(RemoteProtocolError) as caught:
        read_runs(a_frame(0x13, 1, body))

    assert caught.value.code == LogoutCode.FRAME_TOO_LARGE


@given(body=st.binary(max_size=500))
def test_arbitrary_runs_are_read_or_refused(body):
    with contextlib.suppress(RemoteProtocolError):
        runs = read_runs(a_frame(0x13, 1, body))
        assert len(body) == sum(RUN_HEADER_SIZE + len(run.records) for run in runs)


@given(bit=st.integers(0, len(ticks_body(length=3)) * 8 - 1))
def test_a_changed_bit_never_makes_a_run_longer_than_its_frame(bit):
    body = flipped(ticks_body(length=3), bit)
    with contextlib.suppress(RemoteProtocolError):
        runs = read_runs(a_frame(0x13, 1, body))
        assert sum(len(run.records) for run in runs) < len(body)


def test_the_tag_of_an_untagged_frame_is_zeros():
    assert bytes(16) == NO_TAG
