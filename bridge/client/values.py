"""From bodies to what an iterator yields. Pure."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

import msgpack
from pydantic import ValidationError

from bridge.bus.bodies import (
    BulkBody,
    RelayBody,
    StatusBody,
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
from bridge.client.core import Body, Item, TopicInfo
from bridge.client.record import Model
from bridge.client.replies import MalformedReply
from bridge.client.trade import AccountInfo, DealInfo, OrderInfo, OrderResult, PositionInfo
from bridge.model.record import RECORD_SIZE, unpack_record
from bridge.model.tick import Gap, Tick

__all__ = [
    "AccountEvent",
    "Event",
    "Message",
    "PositionEvent",
    "TradeEvent",
    "event_from",
    "tick_from",
    "trade_from",
    "value_from",
]


class Message(NamedTuple):
    """
    A message of a topic that this version has no type for. ``fields`` is the whole body.
    """

    topic: str
    epoch: int
    seq: int
    fields: list[Any]


class TradeEvent(NamedTuple):
    """
    Something happened to an account, or to an order of the bridge.

    ``kind``: a ``TradeKind``. ``record``: a ``DealInfo`` with DEAL, an ``OrderInfo`` with ORDER
    and ORDER_CLOSED, a ``PositionInfo`` with POSITION, an ``OrderResult`` with ORDER_LIFE and
    VERDICT_CORRECTED, and a map with every other kind. ``recovered``: read from the history
    after an outage, not seen as it happened. ``time_utc_msc``: milliseconds since 1970 in UTC.
    ``gap``: what is missing directly before it, or ``None``.
    """

    terminal: str
    epoch: int
    seq: int
    time_utc_msc: int
    kind: str
    recovered: bool
    record: DealInfo | OrderInfo | PositionInfo | OrderResult | dict[str, Any]
    gap: Gap | None = None


class AccountEvent(NamedTuple):
    """
    The account as it was at ``time_utc_msc``.
    """

    terminal: str
    epoch: int
    seq: int
    time_utc_msc: int
    account: AccountInfo


class PositionEvent(NamedTuple):
    """
    All open positions as they were at ``time_utc_msc``.
    """

    terminal: str
    epoch: int
    seq: int
    time_utc_msc: int
    positions: list[PositionInfo]


#: What ``events`` yields.
Event: TypeAlias = (
    Tick
    | Gap
    | StatusBody
    | RelayBody
    | BulkBody
    | TradeEvent
    | AccountEvent
    | PositionEvent
    | Message
)

#: The kinds of trade events that have a type for their record.
_RECORDS: Final[dict[str, type[Model]]] = {
    TradeKind.DEAL: DealInfo,
    TradeKind.ORDER: OrderInfo,
    TradeKind.ORDER_CLOSED: OrderInfo,
    TradeKind.POSITION: PositionInfo,
    TradeKind.ORDER_LIFE: OrderResult,
    TradeKind.VERDICT_CORRECTED: OrderResult,
}


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


def trade_from(item: Item) -> TradeEvent | None:
    """
    Return the trade event of an item, ``None`` for anything else.

    Raises:
        MalformedReply: it is on a trade topic and is no trade event.
    """
    info, body, gap = item
    if body is None or info.kind != "trade":
        return None
    value = value_from(info, body, gap)
    return value if isinstance(value, TradeEvent) else None


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
            case "trade":
                return _trade(info, packed, gap)
            case "account":
                account = read_account(packed)
                owner = AccountInfo.model_validate(account.account)
                return AccountEvent(info.alias, *account[:3], owner)
            case "position":
                told = read_position(packed)
                positions = [PositionInfo.model_validate(record) for record in told.positions]
                return PositionEvent(info.alias, *told[:3], positions)
        epoch, seq = read_epoch_seq(packed)
        return Message(info.name, epoch, seq, msgpack.unpackb(packed, raw=False))
    except (TypeError, ValueError) as error:
        raise MalformedReply(f"{info.name}: {error}") from None


def _trade(info: TopicInfo, body: bytes, gap: Gap | None) -> TradeEvent:
    trade = read_trade(body)
    record: Any = trade.record
    kind = _RECORDS.get(trade.kind)
    if kind is not None:
        try:
            record = kind.model_validate(record)
        except ValidationError:
            # An event of a kind we know, in a form we do not: better as a map than not at all.
            record = trade.record
    return TradeEvent(info.alias, *trade[:5], record, gap)


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
