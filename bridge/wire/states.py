"""The states of a session and what may arrive in each: one table a side.

Rule 1: a frame that the table does not name for the present state ends the session.
Rule 2: LOGOUT may arrive in every state but CLOSED.
What must change together: this file, the state diagram in
``docs/reference/wire-protocol.md``, and ``CSession`` in ``mql5/Include/Bridge/Wire/``.
"""

from __future__ import annotations

import enum
from typing import Final

from bridge.wire.spec import FrameType

__all__ = ["RELAY_RECEIVES", "TERMINAL_RECEIVES", "State"]


class State(enum.Enum):
    """
    Where a session stands. The relay's side never is in HELLO_SENT or PROOF_SENT, the
    terminal's never in the EXPECT states or ADMISSION.
    """

    #: terminal: HELLO is out, the relay's CHALLENGE is awaited
    HELLO_SENT = "hello sent"
    #: terminal: the relay is proved, our PROOF is out, WELCOME is awaited
    PROOF_SENT = "proof sent"
    #: relay: a connection, nothing known of it
    EXPECT_HELLO = "expect hello"
    #: relay: HELLO is here, the program decides whether to challenge
    HELLO_RECEIVED = "hello received"
    #: relay: CHALLENGE is out
    EXPECT_PROOF = "expect proof"
    #: relay: the terminal is proved, the registry decides whether it may come in
    ADMISSION = "admission"
    ACTIVE = "active"
    CLOSED = "closed"


_BOTH: Final = frozenset({FrameType.HEARTBEAT, FrameType.TEST_REQUEST, FrameType.LOGOUT})
_LOGOUT: Final = frozenset({FrameType.LOGOUT})

#: what the relay's side may receive
RELAY_RECEIVES: Final[dict[State, frozenset[FrameType]]] = {
    State.EXPECT_HELLO: _LOGOUT | {FrameType.HELLO},
    State.HELLO_RECEIVED: _LOGOUT,
    State.EXPECT_PROOF: _LOGOUT | {FrameType.PROOF},
    State.ADMISSION: _LOGOUT,
    State.ACTIVE: _BOTH
    | {
        FrameType.BUSY,
        FrameType.STREAM,
        FrameType.TICKS,
        FrameType.GAP,
        FrameType.PAGE,
        FrameType.RESULT,
        FrameType.EVENT,
    },
    State.CLOSED: frozenset(),
}

#: what the terminal's side may receive
TERMINAL_RECEIVES: Final[dict[State, frozenset[FrameType]]] = {
    State.HELLO_SENT: _LOGOUT | {FrameType.CHALLENGE},
    State.PROOF_SENT: _LOGOUT | {FrameType.WELCOME},
    State.ACTIVE: _BOTH
    | {
        FrameType.ACK,
        FrameType.SUBSCRIBE,
        FrameType.UNSUBSCRIBE,
        FrameType.REFILL,
        FrameType.REQUEST,
        FrameType.CANCEL_REQUEST,
        FrameType.NEW,
        FrameType.QUERY,
        FrameType.EVENT_ACK,
        FrameType.HALT,
    },
    State.CLOSED: frozenset(),
}
