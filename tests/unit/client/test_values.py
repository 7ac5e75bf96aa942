"""``bridge.client.values``: from bodies to ticks and events, published or replayed."""

from __future__ import annotations

import msgpack
import pytest

from bridge.bus.bodies import BulkBody, RelayBody, StatusBody, Tail, pack_body
from bridge.client.core import TopicInfo
from bridge.client.replies import MalformedReply
from bridge.client.values import Message, event_from, tick_from, value_from
from bridge.model.tick import Gap, Tick
from tests.support.relay_model import tick_body

TICK = TopicInfo("tick/demo/EURUSD", "tick", "demo", "EURUSD")
GAP = Gap(TICK.name, 7, 1, 2, "lost")
EXPECTED = Tick("demo", "EURUSD", 7, 3, 1_600_000_000_003, 4.0, 5.0, 0.0, 7.0, 6, 120, GAP)

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
    ],
)
def test_anything_else_is_a_malformed_reply_that_names_the_topic(info, body):
    with pytest.raises(MalformedReply, match=info.name):
        event_from((info, body, None))
