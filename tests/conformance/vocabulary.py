"""The words of conformance scripts: messages, their fields and enumerations, and what is left out.

Everything here is in ``docs/reference/wire-protocol.md``; the defaults are in the page of the
scripts.
"""

from __future__ import annotations

import enum
from typing import Final

from bridge.model.enums import (
    AccountMarginMode,
    AccountTradeMode,
    OrderType,
    OrderTypeFilling,
    OrderTypeTime,
    TradeRequestActions,
    TradeRetcode,
)
from bridge.model.tick import TickFlag
from bridge.wire.fields import F64, I16, I64, U16, U32, U64, BinField, Field, ListField
from bridge.wire.messages import MESSAGES
from bridge.wire.spec import (
    BusyKind,
    Capability,
    Continuity,
    DenyReason,
    ErrorCode,
    EventKind,
    Evidence,
    FrameType,
    GapReason,
    LogoutCode,
    NewFlag,
    OrderOutcome,
    PageKind,
    Permission,
    Role,
    StreamKind,
    TradingState,
)
from bridge.wire.states import RELAY_RECEIVES, TERMINAL_RECEIVES

__all__ = [
    "DAMAGES",
    "FROM_RELAY",
    "FROM_TERMINAL",
    "QUIET",
    "SPOKEN",
    "TICK",
    "number_of",
]

_PROOF: Final[dict[str, Field]] = {"proof": BinField(32)}

#: What a record of a TICKS frame has, as ``< TICK`` names it.
TICK: Final[dict[str, Field]] = {
    "symbol_id": U32,
    "epoch": U32,
    "seq": U64,
    "time_msc": I64,
    "bid": F64,
    "ask": F64,
    "last": F64,
    "volume_real": F64,
    "flags": U16,
    "utc_offset_min": I16,
}
#: What ``> TICKS`` takes: one run, a record for each bid.
_TICKS: Final[dict[str, Field]] = {
    "symbol_id": U32,
    "epoch": U32,
    "first_seq": U64,
    "bid": ListField(F64, 1024),
    "time_msc": I64,
    "flags": U16,
    "utc_offset_min": I16,
}

#: The fields of everything that can be sent or expected, by name.
SPOKEN: Final[dict[str, dict[str, Field]]] = {
    **{FrameType(number).name: dict(kind.FIELDS) for number, kind in MESSAGES.items()},
    "PROOF": _PROOF,
    "TICKS": _TICKS,
    "TICK": TICK,
}
SPOKEN["CHALLENGE"] |= _PROOF

_ALL_FROM_TERMINAL: Final = {one for state in RELAY_RECEIVES.values() for one in state}
_ALL_FROM_RELAY: Final = {one for state in TERMINAL_RECEIVES.values() for one in state}
FROM_TERMINAL: Final = frozenset(one.name for one in _ALL_FROM_TERMINAL) | {"TICK"}
FROM_RELAY: Final = frozenset(one.name for one in _ALL_FROM_RELAY)

#: What comes all the time: passed over unless a line expects it.
QUIET: Final = frozenset({"HEARTBEAT", "ACK", "TEST_REQUEST"})

#: What ``!`` can do to a frame.
DAMAGES: Final = frozenset(
    {"seq", "tag", "magic", "flags", "length", "type", "body", "cut", "append"}
)

#: The enumeration of a field, by message where the same name means different things.
_ENUMS: Final[dict[str, type[enum.IntEnum | enum.IntFlag]]] = {
    "LOGOUT.code": LogoutCode,
    "STREAM.code": ErrorCode,
    "PAGE.code": ErrorCode,
    "BUSY.kind": BusyKind,
    "SUBSCRIBE.kind": StreamKind,
    "PAGE.kind": PageKind,
    "EVENT.kind": EventKind,
    "GAP.reason": GapReason,
    "RESULT.reason": DenyReason,
    "NEW.flags": NewFlag,
    "QUERY.flags": NewFlag,
    "TICK.flags": TickFlag,
    "TICKS.flags": TickFlag,
    "role": Role,
    "capabilities": Capability,
    "permissions": Permission,
    "trading_state": TradingState,
    "continuity": Continuity,
    "outcome": OrderOutcome,
    "evidence": Evidence,
    "retcode": TradeRetcode,
    "action": TradeRequestActions,
    "type": OrderType,
    "type_filling": OrderTypeFilling,
    "type_time": OrderTypeTime,
    "margin_mode": AccountMarginMode,
    "trade_mode": AccountTradeMode,
}


def number_of(message: str, field: str, word: str) -> int | None:
    """
    Return the number of a name, or of several with ``|`` between; ``None``: there is none.
    """
    kind = _ENUMS.get(f"{message}.{field}") or _ENUMS.get(field)
    if kind is None:
        return None
    number = 0
    for name in word.split("|"):
        if name not in kind.__members__:
            return None
        number |= int(kind[name])
    return number
