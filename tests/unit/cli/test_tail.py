"""
Every event as a line and as a document.
"""

from __future__ import annotations

import pytest

from bridge.bus.bodies import BulkBody, RelayBody, StatusBody, Tail
from bridge.cli.output import document
from bridge.cli.tail import describe, line
from bridge.client.values import Message
from bridge.model.tick import Gap, Tick

TICK = Tick("demo", "EURUSD", 7, 3, 1_700_000_000_123, 1.1, 1.25, 0.0, 0.0, 6, 120)
TRADE = Tick("demo", "ES", 7, 3, 1_700_000_000_123, 1.0, 2.0, 1.5, 2.0, 6 | 256 | 512, 0)
GAP = Gap("tick/demo/EURUSD", 7, 4, 9, "lost")
STATUS = StatusBody(7, 1, 1_700_000_000_123, "LINK_UP", {"login": 5})


@pytest.mark.parametrize(
    ("event", "text"),
    [
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
        (BulkBody(7, 1, "ES", 7, 1, 0, b"\x01"), "message", {"records": "01"}),
        (Message("new/demo", 7, 2, [7, 2, b"\xff"]), "message", {"fields": [7, 2, "ff"]}),
    ],
)  # fmt: skip
def test_documents(event, kind, more):
    told = describe(event)

    assert told["event"] == kind
    assert {name: told[name] for name in more} == more
    assert document(told)
