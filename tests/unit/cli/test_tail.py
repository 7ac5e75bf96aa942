"""
Every event as a line and as a document.
"""

from __future__ import annotations

import pytest

from bridge.bus.bodies import BulkBody, RelayBody, StatusBody, Tail
from bridge.cli.output import document
from bridge.cli.tail import describe, line
from bridge.client.trade import AccountInfo, DealInfo, OrderInfo, OrderResult, PositionInfo
from bridge.client.values import AccountEvent, Message, PositionEvent, TradeEvent
from bridge.model.tick import Gap, Tick

TICK = Tick("demo", "EURUSD", 7, 3, 1_700_000_000_123, 1.1, 1.25, 0.0, 0.0, 6, 120)
TRADE = Tick("demo", "ES", 7, 3, 1_700_000_000_123, 1.0, 2.0, 1.5, 2.0, 6 | 256 | 512, 0)
GAP = Gap("tick/demo/EURUSD", 7, 4, 9, "lost")
STATUS = StatusBody(7, 1, 1_700_000_000_123, "LINK_UP", {"login": 5})
DEAL = DealInfo(ticket=9, symbol="EURUSD", type=0, volume=0.1, price=1.5)
POSITION = PositionInfo(ticket=7, symbol="EURUSD", type=1, volume=0.3, price_open=1.25)
AT = 1_700_000_000_123


def trade(record, kind="DEAL", *, recovered=False):
    return TradeEvent("demo", 7, 3, AT, kind, recovered, record)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (trade(DEAL), "2023.11.14 22:13:20 UTC demo DEAL 9 EURUSD BUY 0.1 at 1.5"),
        (
            trade(
                OrderInfo(ticket=8, symbol="ES", type=3, volume_initial=1.0, price_open=2.5),
                "ORDER_CLOSED",
                recovered=True,
            ),
            "2023.11.14 22:13:20 UTC demo ORDER_CLOSED recovered 8 ES SELL_LIMIT 1 at 2.5",
        ),
        (
            trade(OrderResult(outcome="DONE", command_id="me/1", order=5), "ORDER_LIFE"),
            "2023.11.14 22:13:20 UTC demo ORDER_LIFE me/1 DONE, order 5",
        ),
        (
            trade({"comment": "a\nb"}, "NEWER"),
            r"2023.11.14 22:13:20 UTC demo NEWER comment='a\nb'",
        ),
        (
            AccountEvent("demo", 7, 1, AT, AccountInfo(login=5, balance=100.5, equity=99.0)),
            "2023.11.14 22:13:20 UTC demo ACCOUNT balance 100.5 equity 99 free 0",
        ),
        (
            PositionEvent("demo", 7, 1, AT, [POSITION]),
            "2023.11.14 22:13:20 UTC demo POSITIONS 7 EURUSD SELL 0.3 at 1.25",
        ),
        (
            PositionEvent("demo", 7, 1, AT, []),
            "2023.11.14 22:13:20 UTC demo POSITIONS none",
        ),
        (TICK, "2023.11.14 22:13:20.123 demo/EURUSD             1.1       1.25"),
        (
            TRADE,
            (
                "2023.11.14 22:13:20.123 demo/ES                 1.0        2.0        1.5 x 2"
                " backlog late"
            ),
        ),
        (GAP, "GAP tick/demo/EURUSD 7:4-9 (lost)"),
        (GAP._replace(last=None), "GAP tick/demo/EURUSD 7:4-? (lost)"),
        (STATUS, "2023.11.14 22:13:20 UTC LINK_UP login=5"),
        (RelayBody(7, 2, 0, [Tail("a", 1, 1)]), "relay 7:2, 1 topics moved"),
        (Message("new/demo", 7, 2, [7, 2]), "Message 7:2"),
    ],
)
def test_lines(event, text):
    assert line(event) == text


@pytest.mark.parametrize(
    ("event", "kind", "more"),
    [
        (TICK, "tick", {"symbol": "EURUSD", "seq": 3, "gap": None}),
        (GAP, "gap", {"topic": "tick/demo/EURUSD", "first": 4, "last": 9}),
        (STATUS, "status", {"what": "LINK_UP", "details": {"login": 5}}),
        (RelayBody(7, 2, 0, [Tail("a", 1, 5)]), "relay", {"tails": [{"topic": "a", "epoch": 1, "seq": 5}]}),
        (trade(DEAL), "trade", {"terminal": "demo", "kind": "DEAL", "gap": None}),
        (AccountEvent("demo", 7, 1, AT, AccountInfo(login=5)), "account", {"seq": 1}),
        (PositionEvent("demo", 7, 1, AT, [POSITION]), "position", {"epoch": 7}),
        (BulkBody(7, 1, "ES", 7, 1, 0, b"\x01"), "message", {"records": "01"}),
        (Message("new/demo", 7, 2, [7, 2, b"\xff"]), "message", {"fields": [7, 2, "ff"]}),
    ],
)  # fmt: skip
def test_documents(event, kind, more):
    told = describe(event)

    assert told["event"] == kind
    assert {name: told[name] for name in more} == more
    assert document(told)


def test_records_are_plain_in_documents():
    told = describe(trade(DEAL))

    assert (9, "EURUSD") == (told["record"]["ticket"], told["record"]["symbol"])
    assert 7 == describe(PositionEvent("demo", 7, 1, AT, [POSITION]))["positions"][0]["ticket"]
