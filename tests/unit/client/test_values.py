"""``bridge.client.values``: from bodies to ticks and events, published or replayed."""

from __future__ import annotations

import msgpack
import pytest

from bridge.bus.bodies import BulkBody, RelayBody, StatusBody, Tail, pack_body
from bridge.client.core import TopicInfo
from bridge.client.replies import MalformedReply
from bridge.client.trade import AccountInfo, DealInfo, OrderInfo, OrderResult, PositionInfo
from bridge.client.values import (
    AccountEvent,
    Message,
    PositionEvent,
    TradeEvent,
    event_from,
    tick_from,
    trade_from,
    value_from,
)
from bridge.model.tick import Gap, Tick
from tests.support.relay_model import tick_body

TICK = TopicInfo("tick/demo/EURUSD", "tick", "demo", "EURUSD")
GAP = Gap(TICK.name, 7, 1, 2, "lost")
EXPECTED = Tick("demo", "EURUSD", 7, 3, 1_600_000_000_003, 4.0, 5.0, 0.0, 7.0, 6, 120, GAP)

TRADE = TopicInfo("trade/demo", "trade", "demo", "")
ACCOUNT = TopicInfo("account/demo", "account", "demo", "")
POSITION = TopicInfo("position/demo", "position", "demo", "")

OTHERS = [
    (
        TopicInfo("status/demo", "status", "demo", ""),
        (1, 2, 3, "READY", {"a": 1}),
        StatusBody(1, 2, 3, "READY", {"a": 1}),
    ),
    (
        TopicInfo("relay", "relay", "", ""),
        (1, 2, 3, [["tick/demo/X", 4, 5]]),
        RelayBody(1, 2, 3, [Tail("tick/demo/X", 4, 5)]),
    ),
    (
        TopicInfo("ticks/demo", "ticks", "demo", ""),
        (1, 2, "X", 3, 4, 1, bytes(66)),
        BulkBody(1, 2, "X", 3, 4, 1, bytes(66)),
    ),
    (
        TopicInfo("weather/demo", "", "", ""),
        (1, 2, "rain"),
        Message("weather/demo", 1, 2, [1, 2, "rain"]),
    ),
    (
        TRADE,
        (1, 2, 3, "DEAL", True, {"ticket": 9}),
        TradeEvent("demo", 1, 2, 3, "DEAL", True, DealInfo(ticket=9)),
    ),
    (
        ACCOUNT,
        (1, 2, 3, {"login": 5}),
        AccountEvent("demo", 1, 2, 3, AccountInfo(login=5)),
    ),
    (
        POSITION,
        (1, 2, 3, [{"ticket": 7}]),
        PositionEvent("demo", 1, 2, 3, [PositionInfo(ticket=7)]),
    ),
]


@pytest.mark.parametrize(
    "body",
    [
        tick_body(7, 3),
        msgpack.unpackb(tick_body(7, 3)),
        [*msgpack.unpackb(tick_body(7, 3)), "appended later"],
        msgpack.packb([*msgpack.unpackb(tick_body(7, 3)), "appended later"]),
    ],
    ids=["published", "replayed", "longer", "published longer"],
)
def test_a_tick_is_the_same_however_it_came(body):
    assert EXPECTED == tick_from((TICK, body, GAP))
    assert EXPECTED == event_from((TICK, body, GAP))


@pytest.mark.parametrize(("info", "fields", "expected"), OTHERS, ids=lambda part: str(part)[:30])
def test_other_bodies_are_the_same_however_they_came(info, fields, expected):
    assert expected == event_from((info, pack_body(*fields), None))
    assert expected == value_from(info, msgpack.unpackb(pack_body(*fields)))
    assert expected == value_from(info, list(fields) + (["later"] if info.kind else []))
    assert tick_from((info, pack_body(*fields), None)) is None


def test_a_gap_is_an_event_and_no_tick():
    assert GAP == event_from((TICK, None, GAP))
    assert tick_from((TICK, None, GAP)) is None


@pytest.mark.parametrize(
    ("info", "body"),
    [
        (TICK, b""),
        (TICK, b"\xc0"),
        (TICK, [1, 2]),
        (TICK, [7, 3, "x", 1, 2, 3, 4, 5, 6]),
        (TICK, [7, 3, 1, None, 2, 3, 4, 5, 6]),
        (OTHERS[0][0], b"\xc0"),
        (OTHERS[0][0], [1]),
        (OTHERS[1][0], [1, 2, 3, 4]),
        (OTHERS[1][0], [1, 2, 3, [[1]]]),
        (OTHERS[2][0], b"\x91\x01"),
        (OTHERS[3][0], b"\xc0"),
        (OTHERS[3][0], []),
        (TICK, None),
        (TRADE, [1, 2, 3, "DEAL", False]),
        (TRADE, [1, 2, 3, "DEAL", 1, {}]),
        (ACCOUNT, [1, 2, 3, {"balance": 1.0}]),
        (ACCOUNT, [1, 2, 3, []]),
        (POSITION, [1, 2, 3, [7]]),
        (POSITION, [1, 2, 3, [{"symbol": "X"}]]),
    ],
)
def test_anything_else_is_a_malformed_reply_that_names_the_topic(info, body):
    with pytest.raises(MalformedReply, match=info.name):
        event_from((info, body, None))


@pytest.mark.parametrize(
    ("kind", "record", "expected"),
    [
        ("DEAL", {"ticket": 9}, DealInfo(ticket=9)),
        ("ORDER", {"ticket": 9}, OrderInfo(ticket=9)),
        ("ORDER_CLOSED", {"ticket": 9}, OrderInfo(ticket=9)),
        ("POSITION", {"ticket": 9}, PositionInfo(ticket=9)),
        ("ORDER_LIFE", {"outcome": "DONE"}, OrderResult(outcome="DONE")),
        ("VERDICT_CORRECTED", {"outcome": "DONE"}, OrderResult(outcome="DONE")),
        ("REQUEST", {"ticket": 9}, {"ticket": 9}),
        ("SOMETHING_NEW", {"a": 1}, {"a": 1}),
        ("DEAL", {"no": "ticket"}, {"no": "ticket"}),
    ],
)
def test_the_record_of_a_trade_event_has_the_type_of_its_kind(kind, record, expected):
    event = trade_from((TRADE, pack_body(1, 2, 3, kind, False, record), GAP))

    assert (expected, type(expected), GAP) == (event.record, type(event.record), event.gap)


def test_only_trade_events_are_trade_events():
    assert trade_from((TRADE, None, GAP)) is None
    assert trade_from((ACCOUNT, pack_body(1, 2, 3, {"login": 5}), None)) is None
