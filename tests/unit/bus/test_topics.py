"""``bridge.bus.topics``: names, subscriptions, and that one never matches another's messages."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.bus import topics
from bridge.bus.topics import (
    NONCE_PATTERN,
    RELAY,
    TOPIC_MAX,
    Topic,
    account_topic,
    bulk_topic,
    exact,
    join_message,
    parse_topic,
    position_topic,
    split_message,
    status_topic,
    sync_topic,
    tick_topic,
    trade_topic,
)

#: Every text that UTF-8 can carry and a symbol may be: no control characters, not empty.
SYMBOLS = st.text(
    st.characters(exclude_categories=["Cs"], min_codepoint=0x20), min_size=1, max_size=40
)
ALIASES = st.from_regex(topics.ALIAS_PATTERN, fullmatch=True)


def test_builders_and_parser_agree() -> None:
    """What a builder writes, the parser takes apart."""
    nonce = "n0nce_-Z"
    expected = {
        tick_topic("demo", "EURUSD.r"): Topic("tick", "demo", "EURUSD.r"),
        bulk_topic("demo"): Topic("ticks", "demo"),
        trade_topic("demo"): Topic("trade", "demo"),
        account_topic("demo"): Topic("account", "demo"),
        position_topic("demo"): Topic("position", "demo"),
        status_topic("ftmo-1"): Topic("status", "ftmo-1"),
        sync_topic(nonce): Topic("sync", nonce=nonce),
        RELAY: Topic("relay"),
    }

    assert list(expected.values()) == [parse_topic(topic) for topic in expected]


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("tick/demo/BTC/USD", Topic("tick", "demo", "BTC/USD")),
        ("tick/demo/#US 500 Ä€😀", Topic("tick", "demo", "#US 500 Ä€😀")),
        ("book/demo/EURUSD", Topic("book", "demo", "EURUSD")),
        ("bar/demo/EURUSD/M5", Topic("bar", "demo", "EURUSD", "M5")),
        ("bar/demo/BTC/USD/H1", Topic("bar", "demo", "BTC/USD", "H1")),
        ("trade/demo", Topic("trade", "demo")),
        ("account/demo", Topic("account", "demo")),
        ("position/demo", Topic("position", "demo")),
        ("calendar/demo", Topic("calendar", "demo")),
        ("tick/" + "a" * 31 + "/X", Topic("tick", "a" * 31, "X")),
        ("tick/demo/" + "x" * (TOPIC_MAX - 10), Topic("tick", "demo", "x" * (TOPIC_MAX - 10))),
    ],
)
def test_topics_of_the_protocol_are_taken_apart(topic: str, expected: Topic) -> None:
    assert expected == parse_topic(topic)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "/",
        "tick",
        "tick/",
        "tick/demo",
        "tick/demo/",
        "tick//EURUSD",
        "tick/Demo/EURUSD",
        "tick/-demo/EURUSD",
        "tick/" + "a" * 32 + "/X",
        "tick/demo\n/X",
        "tick/demo/EUR\0USD",
        "tick/demo/EURUSD\0",
        "tick/demo/EUR\nUSD",
        "tick/demo/\ud800",
        "tick/demo/" + "x" * (TOPIC_MAX - 9),
        "tick/demo/" + "€" * 82,
        "Tick/demo/EURUSD",
        "ticks/demo/",
        "ticks/demo/EURUSD",
        "ticks/",
        "status/demo/x",
        "bar/demo/M5",
        "bar/demo//M5",
        "bar/demo/EURUSD/",
        "relay/",
        "relays",
        "sync",
        "sync/",
        "sync/short77",
        "sync/" + "n" * 65,
        "sync/nonce!nonce",
        "sync/nonce_12/x",
        "sync/nonce_12\n",
        "order/demo",
    ],
)
def test_anything_else_is_no_topic(topic: str) -> None:
    assert parse_topic(topic) is None


@given(topic=st.text())
def test_the_parser_answers_any_text(topic: str) -> None:
    """Half a surrogate pair, control characters, anything: parts or ``None``, no exception."""
    parts = parse_topic(topic)

    assert parts is None or parts.kind in topic


@given(alias=ALIASES, symbol=SYMBOLS)
def test_a_symbol_keeps_its_bytes(alias: str, symbol: str) -> None:
    topic = tick_topic(alias, symbol)

    assert Topic("tick", alias, symbol) == parse_topic(topic)
    assert (topic, b"\x93\x01") == split_message(join_message(topic, b"\x93\x01"))
    assert exact(topic) == join_message(topic, b"")


@given(subscribed=SYMBOLS, published=SYMBOLS, body=st.binary(max_size=80))
@example(subscribed="EURUSD", published="EURUSD.r", body=b"")
@example(subscribed="EURUSD.r", published="EURUSD", body=b"")
@example(subscribed="EUR", published="EURUSD", body=b"\0EURUSD")
@example(subscribed="\u00e9", published="e\u0301", body=b"")
@example(subscribed="A", published="A ", body=b"")
def test_an_exact_subscription_matches_its_own_symbol_alone(
    subscribed: str, published: str, body: bytes
) -> None:
    """ZeroMQ compares prefixes; the NUL makes ``EURUSD`` no prefix of ``EURUSD.r``."""
    subscription = exact(tick_topic("demo", subscribed))
    message = join_message(tick_topic("demo", published), body)

    assert (subscribed == published) is message.startswith(subscription)


@given(symbol=SYMBOLS, body=st.binary(max_size=80))
def test_an_exact_tick_subscription_never_matches_the_bulk_topic(symbol: str, body: bytes) -> None:
    message = join_message(bulk_topic("demo"), body)

    assert not message.startswith(exact(tick_topic("demo", symbol)))


def test_the_body_may_hold_nuls() -> None:
    assert split_message(b"relay\0\0\0") == ("relay", b"\0\0")


@pytest.mark.parametrize("message", [b"", b"relay", b"tick/demo/EURUSD"])
def test_a_message_without_separator_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match="NUL"):
        split_message(message)


def test_a_topic_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(UnicodeDecodeError):
        split_message(b"tick/demo/\xff\0body")


def test_a_nonce_fits_into_a_topic() -> None:
    longest = "n" * 64

    assert re.fullmatch(NONCE_PATTERN, longest)
    assert Topic("sync", nonce=longest) == parse_topic(sync_topic(longest))
