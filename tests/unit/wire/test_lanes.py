"""``bridge.wire.lanes``: what goes out next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.wire import lanes as lanes_module
from bridge.wire.lanes import SendLanes
from bridge.wire.spec import FRAME_OVERHEAD, MARKET_FRAME_MAX, MARKET_WINDOW, FrameType

TICKS, PAGE, HALT, NEW = FrameType.TICKS, FrameType.PAGE, FrameType.HALT, FrameType.NEW
FULL = bytes(MARKET_FRAME_MAX - FRAME_OVERHEAD)


def popped(lanes, first_seq=1):
    """
    Return everything that may go out, in order.
    """
    out = []
    while (frame := lanes.pop(first_seq + len(out))) is not None:
        out.append(frame)
    return out


def filled(*frames):
    """
    Return lanes with these frames in them.
    """
    lanes = SendLanes()
    for frame_type, body in frames:
        lanes.push(frame_type, body)
    return lanes


def test_commands_go_before_ticks_and_ticks_before_pages():
    lanes = filled((PAGE, b"p"), (TICKS, b"t1"), (NEW, b"n1"), (TICKS, b"t2"), (NEW, b"n2"))

    assert popped(lanes) == [
        (NEW, b"n1"), (NEW, b"n2"), (TICKS, b"t1"), (TICKS, b"t2"), (PAGE, b"p"),
    ]  # fmt: skip


def test_a_halt_goes_before_the_orders_that_wait():
    lanes = filled((NEW, b"n1"), (NEW, b"n2"), (HALT, b"h"))

    assert popped(lanes) == [(HALT, b"h"), (NEW, b"n1"), (NEW, b"n2")]


def test_the_window_bounds_ticks_and_pages_together():
    lanes = filled(*[(TICKS, FULL)] * 10, *[(PAGE, FULL)] * 10)

    assert len(popped(lanes)) == MARKET_WINDOW // MARKET_FRAME_MAX
    assert lanes.in_flight_bytes == MARKET_WINDOW
    assert lanes.pages == 4


def test_a_frame_that_does_not_fit_into_the_window_waits():
    lanes = filled((PAGE, bytes(60_000)), (PAGE, bytes(60_000)), (PAGE, bytes(60_000)))

    assert len(popped(lanes)) == 2
    assert not lanes.is_ready()


def test_a_full_window_does_not_hold_commands_back():
    lanes = filled(*[(TICKS, FULL)] * 17, (NEW, b"n"))

    assert popped(lanes)[0] == (NEW, b"n")
    lanes.push(NEW, b"n2")
    assert lanes.is_ready()
    assert popped(lanes) == [(NEW, b"n2")]


def test_an_acknowledgement_frees_the_window():
    lanes = filled(*[(TICKS, FULL)] * 20)
    popped(lanes)
    lanes.acknowledge(3)

    assert lanes.in_flight_bytes == MARKET_WINDOW - 3 * MARKET_FRAME_MAX
    assert len(popped(lanes, 17)) == 3


@pytest.mark.parametrize("seq", [0, 3])
def test_an_acknowledgement_that_says_nothing_new_frees_nothing(seq):
    lanes = filled(*[(TICKS, FULL)] * 5)
    popped(lanes)
    lanes.acknowledge(3)
    before = lanes.in_flight_bytes
    lanes.acknowledge(seq)

    assert lanes.in_flight_bytes == before


def test_what_waits_is_counted():
    lanes = filled((NEW, bytes(10)), (TICKS, bytes(20)), (PAGE, bytes(30)))

    assert (lanes.command_bytes, lanes.market_bytes, lanes.pages) == (42, 52, 1)
    popped(lanes)
    assert (lanes.command_bytes, lanes.market_bytes, lanes.pages) == (0, 0, 0)


def test_market_data_can_be_dropped_alone():
    lanes = filled((NEW, b"n"), (TICKS, b"t"), (PAGE, b"p"))
    lanes.drop_market()

    assert popped(lanes) == [(NEW, b"n")]


def test_everything_can_be_dropped():
    lanes = filled((NEW, b"n"), (TICKS, b"t"), (PAGE, b"p"))
    lanes.drop_all()

    assert not lanes.is_ready()
    assert popped(lanes) == []
    assert (lanes.command_bytes, lanes.market_bytes, lanes.pages) == (0, 0, 0)


@given(
    steps=st.lists(
        st.tuples(st.sampled_from([NEW, TICKS, PAGE, None]), st.integers(0, 8_000)), max_size=200
    )
)
def test_bytes_in_flight_are_never_more_than_the_window(steps):
    lanes, seq, pushed, out = SendLanes(), 0, 0, 0
    for frame_type, size in steps:
        if frame_type is None:
            lanes.acknowledge(size % (seq + 1))
        else:
            lanes.push(frame_type, bytes(size))
            pushed += 1
        frames = popped(lanes, seq + 1)
        seq += len(frames)
        out += len(frames)
        assert 0 <= lanes.in_flight_bytes <= MARKET_WINDOW
    lanes.acknowledge(seq)

    assert lanes.in_flight_bytes == 0
    assert out + len(popped(lanes, seq + 1)) <= pushed


def test_without_the_window_a_command_waits_behind_everything(monkeypatch):
    """Ablation: the bound is what keeps market data out of the kernel."""
    monkeypatch.setattr(lanes_module, "MARKET_WINDOW", 2**40)
    lanes = filled(*[(TICKS, FULL)] * 100)

    assert len(popped(lanes)) == 100
