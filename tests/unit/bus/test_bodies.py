"""``bridge.bus.bodies``: what stands behind a topic, from whoever wrote it."""

from __future__ import annotations

import contextlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.bus import bodies
from bridge.bus.bodies import (
    AccountBody,
    BulkBody,
    PositionBody,
    RelayBody,
    StatusBody,
    StatusEvent,
    Tail,
    TradeBody,
    TradeKind,
    pack_body,
    read_account,
    read_bulk,
    read_epoch_seq,
    read_position,
    read_relay,
    read_status,
    read_tick,
    read_trade,
)
from bridge.model.record import RECORD_SIZE, TickRecord, pack_record
from bridge.model.tick import MqlTick

RECORDS = st.builds(
    TickRecord,
    epoch=st.integers(0, 2**32 - 1),
    seq=st.integers(0, 2**64 - 1),
    time_msc=st.integers(-(2**63), 2**63 - 1),
    bid=st.floats(allow_nan=False),
    ask=st.floats(allow_nan=False),
    last=st.floats(allow_nan=False),
    volume_real=st.floats(allow_nan=False),
    flags=st.integers(0, 2**16 - 1),
    utc_offset_min=st.integers(-(2**15), 2**15 - 1),
)
READERS = [
    read_tick,
    read_bulk,
    read_status,
    read_trade,
    read_account,
    read_position,
    read_relay,
    read_epoch_seq,
]


def fixed(record: TickRecord) -> bytes:
    """
    Return a tick's body in the form in which the terminal writes it.
    """
    tick = MqlTick(*record[2:8])
    return pack_record(record.epoch, record.seq, tick, record.utc_offset_min)


@given(record=RECORDS)
def test_a_tick_reads_the_same_in_every_form(record: TickRecord) -> None:
    """The fixed width is one way to write msgpack; a reader takes the others as well."""
    body = fixed(record)

    assert len(body) == RECORD_SIZE
    assert record == read_tick(body)
    assert list(record) == msgpack.unpackb(body)
    assert record == read_tick(pack_body(*record))
    assert record == read_tick(pack_body(*record, "appended later", {"x": 1}))


@given(record=RECORDS)
def test_epoch_and_seq_are_read_without_the_rest(record: TickRecord) -> None:
    expected = (record.epoch, record.seq)

    assert expected == read_epoch_seq(fixed(record))
    assert expected == read_epoch_seq(pack_body(*record))
    assert expected == read_epoch_seq(pack_body(*expected))
    assert expected == read_epoch_seq(pack_body(*expected, {"any": ["thing"]}))


def test_a_body_that_only_has_the_length_of_a_tick_is_read_as_what_it_is() -> None:
    """66 bytes are no proof: the markers decide."""
    record = TickRecord(7, 2**40, 1_546_383_600_078, 1.1, 1.2, 0.0, 0.0, 6, 120)
    appended = pack_body(*record)
    appended = pack_body(*record, "x" * (RECORD_SIZE - len(appended) - 1))
    text = pack_body(7, 41, "x" * (RECORD_SIZE - 5))

    assert (len(appended), len(text)) == (RECORD_SIZE, RECORD_SIZE)
    assert record == read_tick(appended)
    assert read_epoch_seq(text) == (7, 41)
    with pytest.raises(ValueError, match="at least 9 elements"):
        read_tick(text)


def test_every_marker_of_a_tick_is_looked_at() -> None:
    body = fixed(TickRecord(7, 41, 1_546_383_600_078, 1.1, 1.2, 0.0, 0.0, 6, 120))
    for offset in (0, 1, 6, 15, 24, 33, 42, 51, 60, 63):
        broken = bytearray(body)
        broken[offset] = 0xC1
        with pytest.raises(ValueError):
            read_tick(bytes(broken))


def test_a_bulk_body_is_read() -> None:
    records = b"".join(
        fixed(TickRecord(3, seq, 1_546_383_600_078, 1.1, 1.2, 0.0, 0.0, 6, 120)) for seq in (8, 9)
    )
    expected = BulkBody(1, 2, "EURUSD", 3, 8, 2, records)

    assert expected == read_bulk(pack_body(*expected))
    assert expected == read_bulk(pack_body(*expected, "appended later"))


@pytest.mark.parametrize(("length", "size"), [(1, 132), (2, 66), (1, 65), (0, 66), (-1, 0)])
def test_a_bulk_body_whose_length_is_not_that_of_its_records_is_refused(length, size) -> None:
    with pytest.raises(ValueError, match="records"):
        read_bulk(pack_body(1, 2, "EURUSD", 3, 8, length, b"\0" * size))


def test_a_status_body_is_read() -> None:
    expected = StatusBody(1, 2, 1_546_376_400_000, StatusEvent.GAP, {"symbol": "EURUSD"})

    assert expected == read_status(pack_body(*expected))
    assert expected == read_status(pack_body(*expected, None))


def test_an_event_of_a_later_version_is_read() -> None:
    assert read_status(pack_body(1, 2, 3, "SOMETHING_NEW", {})).event == "SOMETHING_NEW"


def test_a_relay_body_is_read() -> None:
    tails = [Tail("tick/demo/EURUSD", 7, 2**60), Tail("status/demo", 1, 4)]
    expected = RelayBody(1, 2, 1_546_376_400_000, tails)

    assert expected == read_relay(pack_body(*expected))
    assert expected == read_relay(
        pack_body(1, 2, 1_546_376_400_000, [[*tail, "appended later"] for tail in tails], "later")
    )
    assert RelayBody(1, 3, 4, []) == read_relay(pack_body(1, 3, 4, []))


GOOD = {
    read_tick: [7, 41, 1_546_383_600_078, 1.1, 1.2, 0.0, 0.0, 6, 120],
    read_bulk: [1, 2, "EURUSD", 3, 8, 0, b""],
    read_status: [1, 2, 1_546_376_400_000, "GAP", {}],
    read_trade: [1, 2, 1_546_376_400_000, str(TradeKind.DEAL), False, {}],
    read_account: [1, 2, 1_546_376_400_000, {}],
    read_position: [1, 2, 1_546_376_400_000, []],
    read_relay: [1, 2, 1_546_376_400_000, [["relay", 1, 2]]],
}


@pytest.mark.parametrize("reader", GOOD, ids=lambda reader: reader.__name__)
@pytest.mark.parametrize("wrong", [None, True, "x", b"x", [1], {"a": 1}, 1.5, 3], ids=repr)
def test_a_field_of_the_wrong_type_is_a_value_error(reader, wrong) -> None:
    fields = GOOD[reader]
    assert reader(pack_body(*fields))
    for place, good in enumerate(fields):
        if type(wrong) is type(good) or (isinstance(good, float) and wrong == 3):
            continue
        with pytest.raises(ValueError):
            reader(pack_body(*fields[:place], wrong, *fields[place + 1 :]))


def test_kinds_of_events_equal_their_values() -> None:
    assert [kind.value for kind in TradeKind] == [kind.name for kind in TradeKind]


def test_a_trade_body_is_read() -> None:
    expected = TradeBody(1, 2**60, 1_546_376_400_000, "DEAL", True, {"ticket": 2**64 - 1})

    assert expected == read_trade(pack_body(*expected))
    assert expected == read_trade(pack_body(*expected, "appended later"))


def test_an_account_and_positions_are_read() -> None:
    account = AccountBody(1, 2, 3, {"balance": 1.5})
    positions = PositionBody(1, 2, 3, [{"ticket": 7}, {"ticket": 8}])

    assert account == read_account(pack_body(*account, "later"))
    assert positions == read_position(pack_body(*positions, "later"))


@pytest.mark.parametrize("positions", [[1], [[]], [None], [{}, 1]])
def test_a_position_that_is_no_map_is_a_value_error(positions) -> None:
    with pytest.raises(ValueError):
        read_position(pack_body(1, 2, 3, positions))


@pytest.mark.parametrize(
    "tails",
    [[1], [[]], [["relay"]], [["relay", 1]], [["relay", "1", 2]], [[1, 1, 2]], [{}], [None]],
)
def test_a_wrong_tail_is_a_value_error(tails) -> None:
    with pytest.raises(ValueError):
        read_relay(pack_body(1, 2, 3, tails))


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
@pytest.mark.parametrize(
    "body", [b"", b"\xc1", b"\x80", b"\x01", b"\x90", b"\x91\x01", b"\x92\xc2\xc3", b"\xdd\xff\xff"]
)
def test_what_is_no_body_is_a_value_error(reader, body: bytes) -> None:
    with pytest.raises(ValueError):
        reader(body)


@pytest.mark.parametrize("reader", GOOD, ids=lambda reader: reader.__name__)
def test_a_body_cut_anywhere_or_with_something_behind_it_is_a_value_error(reader) -> None:
    body = pack_body(*GOOD[reader])
    for cut in range(len(body)):
        with pytest.raises(ValueError):
            reader(body[:cut])
    with pytest.raises(ValueError):
        reader(body + b"\0")


@pytest.mark.parametrize("body", [b"\x92\x01", b"\x92\xce\x00", b"\x92\x01\xff", b"\x92\xa11\x01"])
def test_epoch_and_seq_are_two_integers_from_0(body: bytes) -> None:
    with pytest.raises(ValueError):
        read_epoch_seq(body)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
@given(body=st.binary(max_size=120))
def test_any_bytes_are_a_body_or_a_value_error(reader, body: bytes) -> None:
    with contextlib.suppress(ValueError):
        reader(body)


@pytest.mark.parametrize("reader", GOOD, ids=lambda reader: reader.__name__)
@given(place=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_body_with_one_byte_changed_is_a_body_or_a_value_error(reader, place, byte) -> None:
    body = bytearray(pack_body(*GOOD[reader]))
    body[place % len(body)] = byte
    with contextlib.suppress(ValueError):
        reader(bytes(body))


def test_a_relay_message_with_all_its_tails_is_small() -> None:
    """So many tails that one message never holds up the others: below 150 KiB."""
    tail = Tail("tick/" + "a" * 31 + "/" + "x" * 218, 2**32 - 1, 2**64 - 1)
    body = pack_body(1, 2, 3, [tail] * bodies.TAILS_PER_MESSAGE)

    assert len(body) < 150 * 1024
