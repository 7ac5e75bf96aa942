"""``bridge.model.record``: one tick as bytes, its cursor, and the bulk check of a run."""

from __future__ import annotations

import math
import struct
import zlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.model.record import (
    RECORD_SIZE,
    Cursor,
    TickRecord,
    check_records,
    extend_cursor,
    pack_record,
    unpack_record,
    unpack_records,
)
from bridge.model.tick import MqlTick, TickFlag

TICK = MqlTick(0x168_0607_0809, 1.5, -2.0, 0.0, 1e-5, 6)
PRICES = st.floats(-1e300, 1e300)
TICKS = st.builds(
    MqlTick, st.integers(0, 2**48), PRICES, PRICES, PRICES, PRICES, st.integers(0, 255)
)
#: offsets of the type markers
MARKERS = (0, 1, 6, 15, 24, 33, 42, 51, 60, 63)
PRICE_OFFSETS = (25, 34, 43, 52)


def a_run(length=5, epoch=7, first_seq=1):
    """
    Return the records of a run.
    """
    return b"".join(
        pack_record(epoch, first_seq + i, MqlTick(1_546_387_200_000 + i, 1.1, 1.2), 120)
        for i in range(length)
    )


def changed(data, offset, new):
    """
    Return ``data`` with other bytes at an offset.
    """
    return data[:offset] + new + data[offset + len(new) :]


def test_the_bytes_of_a_record():
    expected = bytes.fromhex(
        "99 ce00000007 cf000000000000002b d30000016806070809"
        "cb3ff8000000000000 cbc000000000000000 cb0000000000000000 cb3ee4f8b588e368f1"
        "cd0106 d1ff88"
    )

    assert expected == pack_record(7, 43, TICK, -120, TickFlag.BACKLOG)
    assert len(expected) == RECORD_SIZE == 66


@given(
    epoch=st.integers(0, 2**32 - 1),
    seq=st.integers(0, 2**64 - 1),
    tick=TICKS,
    offset=st.integers(-(2**15), 2**15 - 1),
)
def test_any_msgpack_library_reads_a_record(epoch, seq, tick, offset):
    record = pack_record(epoch, seq, tick, offset)
    expected = TickRecord(epoch, seq, *tick, offset)

    assert expected == unpack_record(record)
    assert list(expected) == msgpack.unpackb(record)
    assert [expected, expected] == unpack_records(record * 2)
    assert check_records(record, epoch, seq) is None


def test_a_record_is_read_at_its_offset():
    assert unpack_record(b"xyz" + pack_record(7, 43, TICK, 0), 3).seq == 43


@pytest.mark.parametrize(
    "arguments",
    [
        (-1, 1, TICK, 0),
        (2**32, 1, TICK, 0),
        (1, 2**64, TICK, 0),
        (1, 1, TICK._replace(time_msc=2**63), 0),
        (1, 1, TICK._replace(flags=2**16), 0),
        (1, 1, TICK, 2**15),
    ],
)
def test_a_field_out_of_range_is_not_written(arguments):
    with pytest.raises(struct.error):
        pack_record(*arguments)


# --- the cursor -------------------------------------------------------------------------


def test_the_bytes_under_the_crc_of_a_cursor():
    data = bytes.fromhex(
        "0908070668010000 000000000000f83f 00000000000000c0 0000000000000000 f168e388b5f8e43e"
    )

    assert extend_cursor(Cursor(0, 0, 0), TICK) == (TICK.time_msc, 1, zlib.crc32(data))


def test_the_crc_is_the_usual_one():
    """IEEE 802.3: reflected, polynomial 0xEDB88320, all ones before and after."""
    assert zlib.crc32(b"123456789") == 0xCBF43926


def test_ticks_of_one_millisecond_are_counted_and_summed_up_together():
    other = TICK._replace(bid=1.25)
    both = extend_cursor(extend_cursor(Cursor(0, 0, 0), TICK), other)
    data = b"".join(struct.pack("<qdddd", *tick[:5]) for tick in (TICK, other))

    assert both == (TICK.time_msc, 2, zlib.crc32(data))


def test_a_new_millisecond_begins_anew():
    later = TICK._replace(time_msc=TICK.time_msc + 1)
    cursor = extend_cursor(extend_cursor(Cursor(0, 0, 0), TICK), later)

    assert cursor == extend_cursor(Cursor(0, 0, 0), later)


@pytest.mark.parametrize("field", ["bid", "ask", "last", "volume_real"])
def test_a_revised_tick_shows_in_the_crc(field):
    revised = TICK._replace(**{field: 3.0})

    assert extend_cursor(Cursor(0, 0, 0), TICK) != extend_cursor(Cursor(0, 0, 0), revised)


def test_the_order_of_ticks_of_one_millisecond_shows_in_the_crc():
    other = TICK._replace(bid=1.25)
    one = extend_cursor(extend_cursor(Cursor(0, 0, 0), TICK), other)
    two = extend_cursor(extend_cursor(Cursor(0, 0, 0), other), TICK)

    assert one.crc != two.crc


# --- the bulk check ---------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 2, 3, 64, 123, 1024])
@pytest.mark.parametrize(
    "first_seq", [1, 200, 255, 256, 65_000, 65_535, 65_536, 2**24 - 3, 2**32 - 1, 2**64 - 1024]
)
def test_a_good_run_has_nothing_wrong(length, first_seq):
    assert check_records(a_run(length, 7, first_seq), 7, first_seq) is None


@pytest.mark.parametrize(
    "records", [b"", a_run(1)[:-1], a_run(2)[:-1], a_run(1) + b"\0", a_run(1025)]
)
def test_a_run_of_another_size_is_refused(records):
    assert "bytes are not 1..1024 records" in check_records(records, 7, 1)


@pytest.mark.parametrize("first_seq", [-1, 2**64 - 1, 2**64])
def test_a_sequence_number_out_of_range_is_refused(first_seq):
    assert "out of range" in check_records(a_run(2), 7, first_seq)


@given(
    length=st.integers(1, 40),
    first_seq=st.integers(1, 2**20) | st.integers(65_500, 65_540),
    data=st.data(),
)
def test_any_changed_marker_epoch_or_number_is_found(length, first_seq, data):
    records = a_run(length, 7, first_seq)
    where = data.draw(st.integers(0, length - 1)) * RECORD_SIZE
    where += data.draw(st.sampled_from([*range(15), *MARKERS]))
    mask = data.draw(st.integers(1, 255))

    assert check_records(changed(records, where, bytes([records[where] ^ mask])), 7, first_seq)


@given(
    length=st.integers(1, 40),
    value=st.sampled_from([math.nan, -math.nan, math.inf, -math.inf, 1e305, -1e305]),
    data=st.data(),
)
def test_any_price_that_is_no_number_is_found(length, value, data):
    where = data.draw(st.integers(0, length - 1)) * RECORD_SIZE
    where += data.draw(st.sampled_from(PRICE_OFFSETS))
    records = changed(a_run(length), where, struct.pack(">d", value))

    assert "is not a finite number" in check_records(records, 7, 1)


@given(bits=st.integers(0, 2**52 - 1), sign=st.sampled_from([0, 1]))
def test_every_bit_pattern_of_nan_is_found(bits, sign):
    pattern = (sign << 63 | 0x7FF << 52 | bits).to_bytes(8, "big")

    assert check_records(changed(a_run(3), RECORD_SIZE + 25, pattern), 7, 1)


@pytest.mark.parametrize("price", [0.0, -0.0, -37.63, 5e-324, 1e300, -1e300])
def test_odd_prices_are_prices(price):
    record = pack_record(7, 1, MqlTick(1, price, price, price, price), 0)

    assert check_records(record, 7, 1) is None


@pytest.mark.parametrize(
    ("epoch", "first_seq"), [(8, 1), (7, 2), (7, 0), (7, 257), (7, 65_537), (7, 2**32 + 1)]
)
def test_a_run_that_is_not_the_announced_one_is_found(epoch, first_seq):
    assert check_records(a_run(5), epoch, first_seq)


def test_records_in_another_order_are_found():
    one, two, three = (a_run(3)[i : i + RECORD_SIZE] for i in (0, 66, 132))

    assert check_records(one + three + two, 7, 1)
    assert check_records(one + one + two, 7, 1)
    assert check_records(one + three, 7, 1)


@pytest.mark.parametrize("first_seq", [250, 65_530])
def test_a_number_repeated_where_the_bytes_carry_is_found(first_seq):
    records = a_run(20, 7, first_seq)
    twice = records[: 10 * 66] + records[9 * 66 : 19 * 66]

    assert check_records(twice, 7, first_seq)
