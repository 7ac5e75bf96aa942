"""``bridge.client.subscriptions``: what names mean."""

from __future__ import annotations

import pytest

from bridge.client.core import StreamStats
from bridge.client.subscriptions import Subscriptions, sort_topics
from bridge.exceptions import InvalidRequest


def test_topics_and_prefixes_are_told_apart_and_taken_once():
    names = [
        "tick/demo/EURUSD",
        "relay",
        "tick/demo/",
        "tick/demo/EUR*",
        "*",
        "relay",
        "status/demo",
        "tick/demo/BTC/",
        "*",
    ]

    expected = (
        ["tick/demo/EURUSD", "relay", "status/demo", "tick/demo/BTC/"],
        ["tick/demo/", "tick/demo/EUR", ""],
    )
    assert expected == sort_topics(names)


@pytest.mark.parametrize(
    "names",
    [
        [],
        [""],
        ["EURUSD"],
        ["tick/demo"],
        ["sync/abcdefgh"],
        ["tick/DEMO/EURUSD"],
        ["tick/demo/EUR\0USD"],
        ["\0*"],
        [1],
        [None],
    ],
)
def test_anything_else_is_refused_and_the_field_named(names):
    with pytest.raises(InvalidRequest) as caught:
        sort_topics(names)

    assert "topics" == caught.value.field


def test_filters_are_exact_for_topics_and_open_for_prefixes():
    made = Subscriptions(["tick/demo/EURUSD", "status/*", "relay"], [], StreamStats())

    assert [b"tick/demo/EURUSD\0", b"status/", b"relay\0"] == made.filters
    assert ["tick/demo/EURUSD"] == [topic.info.name for topic in made]
    assert made.relay_wanted


@pytest.mark.parametrize(
    ("names", "wanted"), [(["rel*"], True), (["*"], True), (["tick/*"], False)]
)
def test_the_relays_topic_is_wanted_by_its_prefixes(names, wanted):
    assert wanted == Subscriptions(names, [], StreamStats()).relay_wanted
