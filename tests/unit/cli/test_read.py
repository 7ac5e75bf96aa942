"""
The status as text.
"""

from __future__ import annotations

import pytest

from bridge.cli import read
from bridge.client.models import RelayStatus, TradingStatus
from bridge.exceptions import InvalidRequest, TerminalUnavailable
from bridge.model.tick import Tick

STATUS = RelayStatus.model_validate(
    {
        "version": 1,
        "bus_version": 1,
        "program": "p 1.0",
        "uptime_ms": 61_000,
        "published": 7,
        "requests": 3,
        "endpoints": {"request": "tcp://127.0.0.1:5556"},
        "terminals": [
            {"alias": "a", "state": "connected", "login": 5, "server": "S", "streams": 1},
            {"alias": "b", "state": "connected", "login": 6, "trade_mode": 99, "busy": True},
            {"alias": "c", "state": "away"},
        ],
        "streams": [
            {"topic": "tick/a/EURUSD", "state": "streaming", "seq": 9, "ticks": 4},
            {"topic": "tick/a/X", "state": "failed", "error": "no such symbol"},
        ],
    }
)


def test_the_status_for_people():
    assert read.status_text(STATUS).splitlines() == [
        "relay: p 1.0, up 61 s, 7 messages published, 3 requests",
        "  request   tcp://127.0.0.1:5556",
        "",
        "TERMINAL  STATE      ACCOUNT  SERVER  LOGIN  PROGRAM  STREAMS",
        "a         connected  DEMO     S       5      -              1",
        "b         busy       99       -       6      -              0",
        "c         away       -        -       -      -              0",
        "",
        "TOPIC          STATE      SEQ  TICKS  SUBSCRIBED  ERROR",
        "tick/a/EURUSD  streaming    9      4  no          -",
        "tick/a/X       failed       0      0  no          no such symbol",
    ]


@pytest.mark.parametrize(
    ("trading", "lines"),
    [
        ({"enabled": False, "state": "ACTIVE"}, []),
        (
            {"enabled": True, "state": "ACTIVE", "open_orders": 1, "unresolved": ["me/1"]},
            [
                "TRADING  ENABLED  STATE   OPEN ORDERS  WAITING  BEING FOUND OUT  REASON",
                "a        yes      ACTIVE            1        0  me/1             -",
            ],
        ),
        (
            {"enabled": True, "state": "HALTED", "reason": "news"},
            [
                "TRADING  ENABLED  STATE   OPEN ORDERS  WAITING  BEING FOUND OUT  REASON",
                "a        yes      HALTED            0        0  -                news",
            ],
        ),
        (
            {"enabled": False, "state": "HALTED"},
            [
                "TRADING  ENABLED  STATE   OPEN ORDERS  WAITING  BEING FOUND OUT  REASON",
                "a        no       HALTED            0        0  -                -",
            ],
        ),
    ],
)
def test_the_state_of_trading_is_shown_where_there_is_some(trading, lines):
    told = STATUS.model_copy(update={"trading": [TradingStatus(alias="a", **trading)]})
    text = read.status_text(told).splitlines()

    assert lines == text[8 : 8 + len(lines)]
    assert ("TRADING" in "".join(text)) == bool(lines)


def test_a_terminal_that_is_asked_for_has_to_be_there():
    read.require(STATUS, "a")

    with pytest.raises(TerminalUnavailable, match="c is not connected"):
        read.require(STATUS, "c")
    with pytest.raises(InvalidRequest, match="configured: a, b, c"):
        read.require(STATUS, "d")


def test_times_are_the_servers():
    tick = Tick("demo", "EURUSD", 1, 1, 1_700_000_000_007, 1.0, 2.0, 0.0, 0.0, 6, 120)

    assert read.time_text(tick) == "2023.11.14 22:13:20.007"
