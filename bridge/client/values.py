"""From bodies to what an iterator yields. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import msgpack

from bridge.bus.bodies import (
    BulkBody,
    RelayBody,
    StatusBody,
    pack_body,
    read_bulk,
    read_epoch_seq,
    read_relay,
    read_status,
    read_tick,
)
from bridge.client.core import Body, Item, TopicInfo
from bridge.client.replies import MalformedReply
from bridge.model.record import RECORD_SIZE, unpack_record
from bridge.model.tick import Gap, Tick

__all__ = ["Event", "Message", "event_from", "tick_from", "value_from"]


class Message(NamedTuple):
    """
    A message of a topic that this version has no type for. ``fields`` is the whole body.
    """

    topic: str
    epoch: int
    seq: int
    fields: list[Any]


#: What ``events`` yields.
Event: TypeAlias = Tick | Gap | StatusBody | RelayBody | BulkBody | Message


def tick_from(item: Item) -> Tick | None:
    """
    Return the tick of an item, ``None`` for anything else.

    Raises:
        MalformedReply: it is on a tick topic and is no tick.
    """
    info, body, gap = item
    if body is None or info.kind != "tick":
        return None
    return _tick(info, body, gap)


def event_from(item: Item) -> Event:
    """
    Return what an item is.

    Raises:
        MalformedReply: the body is not what its topic says.
    """
    info, body, gap = item
    if body is None:
        if gap is None:
            raise MalformedReply(f"{info.name}: neither a body nor a gap")
        return gap
    return value_from(info, body, gap)


def value_from(info: TopicInfo, body: Body, gap: Gap | None = None) -> Event:
    """
    Return what a body is, by its topic.

    Raises:
        MalformedReply: the body is not what its topic says.
    """
    if info.kind == "tick":
        return _tick(info, body, gap)
    # Replays carry bodies inside their own msgpack. But for ticks there are few of these, and
    # packed again they go through the one reader that checks every element.
    packed = pack_body(*body) if isinstance(body, list) else body
    try:
        match info.kind:
            case "status":
                return read_status(packed)
            case "relay":
                return read_relay(packed)
            case "ticks":
                return read_bulk(packed)
        epoch, seq = read_epoch_seq(packed)
        return Message(info.name, epoch, seq, msgpack.unpackb(packed, raw=False))
    except (TypeError, ValueError) as error:
        raise MalformedReply(f"{info.name}: {error}") from None


def _tick(info: TopicInfo, body: Body, gap: Gap | None) -> Tick:
    if isinstance(body, bytes):
        if len(body) == RECORD_SIZE:
            return Tick(info.alias, info.symbol, *unpack_record(body), gap)
        try:
            fields: list[Any] = list(read_tick(body))
        except ValueError as error:
            raise MalformedReply(f"{info.name}: {error}") from None
    else:
        fields = body
    try:
        epoch, seq, time_msc, bid, ask, last, volume_real, flags, utc_offset_min = fields[:9]
        return Tick(
            info.alias,
            info.symbol,
            epoch,
            seq,
            int(time_msc),
            float(bid),
            float(ask),
            float(last),
            float(volume_real),
            int(flags),
            int(utc_offset_min),
            gap,
        )
    except (TypeError, ValueError) as error:
        raise MalformedReply(f"{info.name}: not a tick: {error}") from None
