r"""Topics: what a published message is about.

A published message is one ZeroMQ frame, ``topic NUL body``. The NUL ends the topic, so
that a subscription to ``tick/demo/EURUSD\0`` never matches ``tick/demo/EURUSD.r``.
A subscription with the NUL at its end is **exact** and makes the terminal stream the
symbol; one without is a prefix and only receives what streams already.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = [
    "ALIAS_PATTERN",
    "NONCE_PATTERN",
    "RELAY",
    "SEPARATOR",
    "TOPIC_MAX",
    "Topic",
    "account_topic",
    "bulk_topic",
    "exact",
    "join_message",
    "parse_topic",
    "position_topic",
    "split_message",
    "status_topic",
    "sync_topic",
    "tick_topic",
    "trade_topic",
]

SEPARATOR: Final = b"\0"
#: An alias (32) and a symbol of 128 bytes fit with room to spare.
TOPIC_MAX: Final = 255
ALIAS_PATTERN: Final = r"[a-z0-9][a-z0-9_-]{0,30}"
NONCE_PATTERN: Final = r"[A-Za-z0-9_-]{8,64}"
RELAY: Final = "relay"

_ALIAS: Final = re.compile(ALIAS_PATTERN)
_NONCE: Final = re.compile(NONCE_PATTERN)
#: The NUL ends a topic; the other control characters are in no name and would forge log lines.
_CONTROL: Final = re.compile(r"[\x00-\x1f]")
_WITH_ALIAS: Final = frozenset({"ticks", "trade", "account", "position", "calendar", "status"})
_WITH_SYMBOL: Final = frozenset({"tick", "book"})


class Topic(NamedTuple):
    """
    A topic taken apart; parts that a kind does not have are ``""``.
    """

    kind: str
    alias: str = ""
    symbol: str = ""
    timeframe: str = ""
    nonce: str = ""


def tick_topic(alias: str, symbol: str) -> str:
    """
    Return the topic of a symbol's ticks.
    """
    return f"tick/{alias}/{symbol}"


def bulk_topic(alias: str) -> str:
    """
    Return the topic on which a recorder receives many records a message.
    """
    return f"ticks/{alias}"


def status_topic(alias: str) -> str:
    """
    Return the topic of a terminal's link and stream events.
    """
    return f"status/{alias}"


def trade_topic(alias: str) -> str:
    """
    Return the topic of an account's deals, orders and of what becomes of commands.
    """
    return f"trade/{alias}"


def account_topic(alias: str) -> str:
    """
    Return the topic of an account's money.
    """
    return f"account/{alias}"


def position_topic(alias: str) -> str:
    """
    Return the topic of an account's open positions.
    """
    return f"position/{alias}"


def sync_topic(nonce: str) -> str:
    """
    Return the topic of a client's own barrier.
    """
    return f"sync/{nonce}"


def exact(topic: str) -> bytes:
    """
    Return the subscription that matches this topic alone; also the prefix of its messages.
    """
    return topic.encode() + SEPARATOR


def parse_topic(topic: str) -> Topic | None:
    """
    Return the parts of a topic, or ``None`` when it is not one of the protocol's.
    """
    try:
        size = len(topic.encode())
    except UnicodeEncodeError:
        return None
    if size > TOPIC_MAX or _CONTROL.search(topic):
        return None
    if topic == RELAY:
        return Topic(RELAY)
    kind, _, rest = topic.partition("/")
    if kind == "sync":
        return Topic(kind, nonce=rest) if _NONCE.fullmatch(rest) else None
    alias, _, rest = rest.partition("/")
    if not _ALIAS.fullmatch(alias):
        return None
    if kind in _WITH_ALIAS:
        return Topic(kind, alias) if topic == f"{kind}/{alias}" else None
    if kind in _WITH_SYMBOL:
        return Topic(kind, alias, rest) if rest else None
    if kind == "bar":
        # A symbol may contain a slash (BTC/USD), a timeframe cannot.
        symbol, _, timeframe = rest.rpartition("/")
        return Topic(kind, alias, symbol, timeframe) if symbol and timeframe else None
    return None


def join_message(topic: str, body: bytes) -> bytes:
    """
    Return the frame that is published.
    """
    return topic.encode() + SEPARATOR + body


def split_message(message: bytes) -> tuple[str, bytes]:
    """
    Return (topic, body) of a published frame.

    Raises:
        ValueError: there is no separator, or the topic is not UTF-8.
    """
    topic, separator, body = message.partition(SEPARATOR)
    if not separator:
        raise ValueError("a published frame without the NUL that ends its topic")
    return topic.decode(), body
