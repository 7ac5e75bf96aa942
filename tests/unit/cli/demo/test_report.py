"""
The report is ok when every claim is.
"""

from __future__ import annotations

import dataclasses
import json

import pytest

from bridge.cli.demo.report import Check, Late, Latency, Orders, Report, percentile
from bridge.cli.output import document

REPORT = Report(
    terminal="simulated",
    source="synthetic",
    speed=1.0,
    symbols=2,
    sent=10,
    received=10,
    gaps=0,
    replayed=1,
    backlog=2,
    link_cuts=2,
    reconnects=3,
    relay_restarts=1,
    digest_sent="a",
    digest_received="a",
    latency=Latency(5, 1500, 9000),
    late=Late(4, 6, 6, 0, consistent=True),
    orders=Orders(done=3, rejected=1, denied=1, resolved=1, replayed=1),
    duration_s=1.23456,
    checks=[Check("one", ok=True, detail="1 of 1"), Check("other", ok=True, detail="2")],
)
FAILED = dataclasses.replace(REPORT, checks=[*REPORT.checks, Check("x", ok=False, detail="no")])


def test_the_document():
    told = json.loads(document(REPORT.as_dict()))

    assert told["v"] == 1
    assert told["ok"] is True
    assert told["ticks"] == {"sent": 10, "received": 10, "gaps": 0, "replayed": 1, "backlog": 2}
    assert told["latency_us"] == {"samples": 5, "p50": 1500, "p99": 9000}
    assert told["late_subscriber"]["consistent"] is True
    assert told["orders"] == {
        "done": 3,
        "rejected": 1,
        "denied": 1,
        "unknown": 0,
        "duplicates": 0,
        "resolved": 1,
        "replayed": 1,
    }
    assert told["duration_s"] == 1.235
    assert told["checks"][0] == {"name": "one", "ok": True, "detail": "1 of 1"}


def test_one_claim_that_did_not_hold_is_enough():
    assert (REPORT.ok, FAILED.ok) == (True, False)


def test_the_summary():
    assert list(REPORT.as_text()) == [
        "  ok    one    1 of 1",
        "  ok    other  2",
        "",
        (
            "latency, terminal to subscriber: p50 1.5 ms, p99 9.0 ms "
            "(5 live ticks, everything on this machine)"
        ),
        "all 2 claims held, in 1.2 s",
    ]
    assert list(FAILED.as_text())[-1] == "1 of 3 claims did not hold, in 1.2 s"


def test_the_latency_of_full_speed_is_that_of_its_queues():
    fast = dataclasses.replace(REPORT, speed=None)

    assert "queues" in list(fast.as_text())[-2]
    assert fast.as_dict()["speed"] == "max"


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, None), ([4], 0.99, 4), (list(range(100)), 0.5, 50), (list(range(100)), 0.99, 99)],
)
def test_percentiles(values, share, expected):
    assert percentile(values, share) == expected
