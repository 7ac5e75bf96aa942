"""``bridge.client.mailbox``: what one thread leaves for another."""

from __future__ import annotations

import pytest

from bridge.client.mailbox import Mailbox
from bridge.exceptions import UnknownSymbol


@pytest.fixture
def room():
    """
    Return the list of calls that told of room.
    """
    return []


@pytest.fixture
def box(room):
    """
    Return a mailbox that is full with three items.
    """
    return Mailbox(3, lambda: room.append(1))


def test_all_that_is_there_is_taken_at_once(box):
    box.put([1])
    box.put([2, 3])

    assert [1, 2, 3] == box.take()
    assert [] == box.take()


def test_room_is_told_only_when_there_was_none(box, room):
    box.put([1, 2])
    box.take()
    assert [] == room
    box.put([1, 2])
    box.put([3, 4])
    assert box.full
    box.take()

    assert [1] == room
    assert not box.full


def test_whoever_waits_is_woken_once(box):
    woken = []
    assert box.arm(lambda: woken.append(1))
    box.put([1])
    box.put([2])

    assert [1] == woken
    assert not box.arm(lambda: woken.append(1))


def test_nobody_who_stopped_waiting_is_woken(box):
    woken = []
    box.arm(lambda: woken.append(1))
    box.disarm()
    box.put([1])

    assert [] == woken


def test_the_end_comes_after_what_was_left(box):
    woken = []
    box.put([1])
    box.end(None)
    box.put([2])
    assert not box.arm(lambda: woken.append(1))

    assert [1] == box.take()
    assert box.take() is None
    assert box.take() is None


def test_a_failure_comes_after_what_was_left_and_stays(box):
    box.put([1])
    box.end(UnknownSymbol("no"))
    box.end(None)

    assert [1] == box.take()
    for _ in range(2):
        with pytest.raises(UnknownSymbol):
            box.take()


def test_the_end_wakes_whoever_waits(box):
    woken = []
    box.arm(lambda: woken.append(1))
    box.end(None)

    assert [1] == woken
