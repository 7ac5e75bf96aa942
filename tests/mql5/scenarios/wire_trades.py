"""What a terminal that trades said, without what differs between any two terminals.

The same commands at the same broker give the same frames, in the same order, with the same
fields. May differ, by the wire protocol:

* who speaks: ``nonce``, ``program``, ``connection_counter``, ``incarnation`` (section 8, HELLO;
  13, Ledger and incarnation: each ledger has its own);
* when something is said or done, by the time between two looks of a terminal: all fields that
  are times are compared for that distance, but never left out. The frame's own ``time_msc`` may
  differ by a second: TimeTradeServer has no milliseconds, and a terminal has to estimate them;
  and what no transaction tells of, as of the account, is looked for once a second (section 13,
  EVENT: it is told as it is when it is told);
* the words in which an answer is refused: of a REQUEST that is INVALID the field is named first
  (section 12), the rest is a sentence for a person;
* when heartbeats, test requests and acknowledgements come (section 10).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Final, NamedTuple, cast

import msgpack

from bridge.wire.messages import Ack, Heartbeat, Hello, Message, Page, Result
from bridge.wire.messages import TestRequest as Probe
from bridge.wire.spec import ErrorCode

__all__ = ["APART_MSC", "Frame", "apart", "said"]

#: longer than two terminals look apart, for as many orders as are sent one behind the other: the
#: timer of one, the grid of the other
APART_MSC: Final = 100
_TOLD: Final = "/time_msc"
_SECOND_MSC: Final = 1_000 + APART_MSC
_WHEN: Final = (Heartbeat, Probe, Ack)
_WHO: Final = {
    Hello: {"nonce", "program", "connection_counter", "incarnation"},
    Result: {"incarnation"},
}
_MS: Final = "_msc"
_SECONDS: Final = frozenset({"time", "time_setup", "time_done", "time_update"})


class Frame(NamedTuple):
    """
    One frame: its kind, its fields without times, and its times by their path, in ms.
    """

    kind: str
    fields: dict[str, Any]
    times: dict[str, int]


def said(messages: Iterable[Any]) -> list[Frame]:
    """
    Return the frames of these messages that can be compared.
    """
    return [_frame(one) for one in messages if isinstance(one, Message) and not _is_timed(one)]


def apart(one: Frame, other: Frame) -> bool:
    """
    Return whether the times of two frames are further apart than two looks.
    """
    return one.times.keys() != other.times.keys() or any(
        not _is_near(time, other.times[name], _SECOND_MSC if name == _TOLD else APART_MSC)
        for name, time in one.times.items()
    )


def _is_near(one: int, other: int, apart_msc: int) -> bool:
    # A time that is not known is 0 for both.
    return bool(one) == bool(other) and abs(one - other) <= apart_msc


def _is_timed(message: Message) -> bool:
    return isinstance(message, _WHEN)


def _frame(message: Message) -> Frame:
    times: dict[str, int] = {}
    left_out = _WHO.get(type(message), set())
    fields = {
        field.name: getattr(message, field.name)
        for field in dataclasses.fields(cast("Any", message))
        if field.name not in left_out
    }
    if isinstance(message, Page) and message.payload:
        fields["payload"] = msgpack.unpackb(message.payload)
    if isinstance(message, Page) and message.code == ErrorCode.INVALID:
        fields["text"] = message.text.split(":")[0]
    return Frame(type(message).__name__, _without_times("", fields, times), times)


def _without_times(path: str, value: Any, times: dict[str, int]) -> Any:
    if isinstance(value, list | tuple):
        return [_without_times(f"{path}/{at}", one, times) for at, one in enumerate(value)]
    if not isinstance(value, dict):
        return value
    kept = {}
    for name, one in value.items():
        if name.endswith(_MS):
            times[f"{path}/{name}"] = one
        elif name in _SECONDS and name + _MS in value:
            # The same time twice: the seconds are those of the milliseconds.
            kept[name] = one == value[name + _MS] // 1000
        else:
            kept[name] = _without_times(f"{path}/{name}", one, times)
    return kept
