"""``bridge.wire.states``: the two tables, complete and without a hole."""

from __future__ import annotations

import pytest

from bridge.wire.spec import FrameType
from bridge.wire.states import RELAY_RECEIVES, TERMINAL_RECEIVES, State

TABLES = {"relay": RELAY_RECEIVES, "terminal": TERMINAL_RECEIVES}


@pytest.mark.parametrize("side", TABLES)
def test_a_closed_session_takes_nothing(side):
    assert TABLES[side][State.CLOSED] == frozenset()


@pytest.mark.parametrize("side", TABLES)
def test_a_logout_is_taken_in_every_other_state(side):
    missing = [
        state
        for state, types in TABLES[side].items()
        if state is not State.CLOSED and FrameType.LOGOUT not in types
    ]

    assert missing == []


def test_a_side_has_only_its_own_states():
    common = {State.ACTIVE, State.CLOSED}

    assert set(RELAY_RECEIVES) & set(TERMINAL_RECEIVES) == common
    assert set(RELAY_RECEIVES) | set(TERMINAL_RECEIVES) == set(State)


def test_every_type_is_taken_somewhere():
    taken = frozenset().union(*RELAY_RECEIVES.values(), *TERMINAL_RECEIVES.values())

    assert taken == set(FrameType)


@pytest.mark.parametrize(
    ("state", "awaited"),
    [
        (State.EXPECT_HELLO, {FrameType.HELLO}),
        (State.HELLO_RECEIVED, set()),
        (State.EXPECT_PROOF, {FrameType.PROOF}),
        (State.ADMISSION, set()),
    ],
)
def test_before_the_logon_the_relay_awaits_one_frame(state, awaited):
    assert RELAY_RECEIVES[state] == awaited | {FrameType.LOGOUT}


@pytest.mark.parametrize(
    ("state", "awaited"),
    [(State.HELLO_SENT, FrameType.CHALLENGE), (State.PROOF_SENT, FrameType.WELCOME)],
)
def test_before_the_logon_the_terminal_awaits_one_frame(state, awaited):
    assert TERMINAL_RECEIVES[state] == {awaited, FrameType.LOGOUT}


def test_what_both_may_send_is_about_the_session_itself():
    both = RELAY_RECEIVES[State.ACTIVE] & TERMINAL_RECEIVES[State.ACTIVE]

    assert both == {FrameType.HEARTBEAT, FrameType.TEST_REQUEST, FrameType.LOGOUT}


def test_no_frame_of_the_logon_is_taken_later():
    logon = {FrameType.HELLO, FrameType.CHALLENGE, FrameType.PROOF, FrameType.WELCOME}
    later = RELAY_RECEIVES[State.ACTIVE] | TERMINAL_RECEIVES[State.ACTIVE]

    assert logon & later == set()
