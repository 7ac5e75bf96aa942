"""How long the answers of a terminal hold: a real one has them in its memory.

A program asks dozens of times for an order, mostly for what has not changed. With such an answer it
is told for how long it holds (``runtime/link.cpp``), so it does not ask again.
"""

from __future__ import annotations

import functools
import struct
from typing import Final

from tests.mql5 import manifest
from tests.mql5.link import HOLDS_UNTIL_TOLD, HOLDS_UNTIL_WAIT, Call

__all__ = ["PROPERTY_KINDS", "holds"]

#: in the order of their numbers in a question
PROPERTY_KINDS: Final = ("INTEGER", "DOUBLE", "STRING")
#: what changes only with the broker's rules, apart from the numbers of an account and the prices
_STEADY: Final = frozenset(
    {
        Call.SYMBOL_INFO,
        Call.SYMBOL_EXIST,
        Call.ACCOUNT_INFO,
        Call.TERMINAL_INFO,
        Call.MQL_INFO,
        Call.MARGIN_RATE,
    }
)
#: what the broker or the market may change at any time, but not while the program neither waits
#: nor acts; lists are held by who tells them (``broker_trade``)
_STATE: Final = frozenset(
    {
        Call.TIME_SERVER,
        Call.SYMBOL_TICK,
        Call.POSITION_OF_SYMBOL,
        Call.POSITION_OF_TICKET,
        Call.ORDER_OF_TICKET,
    }
)
_PROPERTIES: Final = _STEADY - {Call.SYMBOL_EXIST, Call.MARGIN_RATE}
_MOVING: Final = ("ASK", "BID", "LAST", "SELECT", "SPREAD", "TIME", "VISIBLE", "VOLUME")
_LIMITS: Final = ("VOLUME_LIMIT", "VOLUME_MAX", "VOLUME_MIN", "VOLUME_STEP")
_DOUBLES: Final = 1
_PROPERTY: Final = struct.Struct("<Bi")


def holds(question: bytes, *, told: bool) -> int:
    """
    Return what the answer to a question is marked with, 0 when it holds for this once only.

    With ``told`` the host says when the broker's rules change; without, everything may have
    changed whenever the program has waited.
    """
    call = question[0]
    if call in _STATE:
        return HOLDS_UNTIL_WAIT
    if call not in _STEADY:
        return 0
    return HOLDS_UNTIL_TOLD if told and _is_of_the_rules(question) else HOLDS_UNTIL_WAIT


def _is_of_the_rules(question: bytes) -> bool:
    if question[0] not in _PROPERTIES:
        return True
    kind, number = _PROPERTY.unpack(question[-_PROPERTY.size :])
    if question[0] == Call.SYMBOL_INFO:
        return (kind, number) not in _prices()
    return question[0] != Call.ACCOUNT_INFO or kind != _DOUBLES


@functools.cache
def _prices() -> frozenset[tuple[int, int]]:
    enums = manifest.load().enums
    return frozenset(
        (kind, number)
        for kind, of in enumerate(PROPERTY_KINDS)
        for name, number in enums.get(f"ENUM_SYMBOL_INFO_{of}", {}).items()
        if (short := name.removeprefix("SYMBOL_")).startswith(_MOVING) and short not in _LIMITS
    )
