"""A small run of the deterministic simulation; ``make simulate`` is the large one."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.model.trade import PositionRecord
from bridge.sim.exchange_books import Change, Kind
from tests.simulation.broker import Broker
from tests.simulation.claims import Claim, Said, Wish
from tests.simulation.loop import Loop
from tests.simulation.oracle import Oracle
from tests.simulation.runs import run_seed
from tests.simulation.world import Plan

ROOT = Path(__file__).resolve().parents[2]
ORDERS = 120


@pytest.mark.parametrize("place", range(3))
def test_no_order_is_doubled_none_forgotten(place, seed):
    number = seed % 1_000_000 + place
    report = run_seed(number, Plan(orders=ORDERS))

    again = f"python -m tests.simulation --orders {ORDERS} --seed {number} --seeds 1"
    assert [] == report.failures, again
    assert report.executed > ORDERS // 4


def test_an_event_that_was_not_written_is_told_again_although_one_behind_it_was_known():
    """An ack of the known one passed over those before it, which a full disk did not take."""
    assert [] == run_seed(616_358, Plan(orders=ORDERS)).failures


def test_the_same_seed_is_the_same_run():
    first, second = (run_seed(11, Plan(orders=40)) for _ in range(2))
    other = run_seed(12, Plan(orders=40))

    assert first.digest == second.digest
    assert first.digest != other.digest


def test_the_command_ends_with_one_line_of_json():
    words = ["--orders", "30", "--seed", "3", "--seeds", "2", "--jobs", "2"]
    run = subprocess.run(
        [sys.executable, "-m", "tests.simulation", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    document = json.loads(run.stdout.splitlines()[-1])

    assert (0, 1, 30, 2, []) == (
        run.returncode,
        document["v"],
        document["orders"],
        document["seeds"],
        document["failing_seeds"],
    )
    assert {"cuts", "relay_kills", "terminal_kills", "seconds"} <= document.keys()
    assert [0] * 4 == [
        document[kind] for kind in ("lost", "duplicated", "wrong_verdicts", "unresolved")
    ]


# --- the oracle can tell


def wish_with(*claims, method="order_send", **params):
    from bridge.bus.requests import Method

    wish = Wish("s0", "o1", Method(method), params)
    wish.claims.extend(claims)
    return wish


def claim_of(outcome, at_us=10, *, traded=True, final=True, **fields):
    result = {
        "outcome": outcome,
        "final": final,
        "reason": "",
        "retcode_name": "",
        "order": 0,
        "deals": (),
        "volume": 0.0,
        "price": 0.0,
        "corrected": False,
        "children": (),
    } | fields
    return Claim(0, traded, Said.RESULT, at_us, at_us, result)


def told_as(place, outcome, since_us=0):
    """
    Return an answer of time 10; those of that time were told by their places.
    """
    claim = claim_of(outcome, order=1, deals=(101,), volume=0.1, price=1.1)
    claim.place, claim.since_us = place, since_us
    return claim


def broker_with(*volumes, entry=0):
    """
    Return orders, deals and tags of a broker that executed ``s0/o1`` with these volumes.
    """
    from bridge.model.enums import OrderState
    from bridge.model.trade import DealRecord, OrderRecord, order_tag

    orders = tuple(
        OrderRecord(
            ticket=number, state=int(OrderState.FILLED), volume_initial=volume, time_done_msc=1
        )
        for number, volume in enumerate(volumes, 1)
    )
    deals = tuple(
        DealRecord(
            ticket=100 + order.ticket,
            order=order.ticket,
            volume=order.volume_initial,
            price=1.1,
            entry=entry,
        )
        for order in orders
    )
    return orders, deals, {order.ticket: order_tag("s0/o1") for order in orders}


def events_of(deals):
    from bridge.bus.bodies import pack_body

    return [
        pack_body(1, seq, 0, "DEAL", False, {"ticket": deal.ticket})
        for seq, deal in enumerate(deals, 1)
    ]


DONE = claim_of("DONE", order=1, deals=(101,), volume=0.1, price=1.1)


@pytest.mark.parametrize(
    ("kind", "volumes", "claims"),
    [
        ("", [0.1], [DONE]),
        ("", [0.1], [claim_of("UNKNOWN", 5, final=False), DONE]),
        ("", [], [claim_of("REJECTED")]),
        ("lost", [], [DONE]),
        ("duplicated", [0.1, 0.1], [DONE]),
        ("duplicated", [0.2], [claim_of("DONE", order=1, deals=(101,), volume=0.2, price=1.1)]),
        ("wrong_verdicts", [0.1], [claim_of("REJECTED")]),
        ("wrong_verdicts", [0.1], [claim_of("DENIED", reason="EXPIRED")]),
        ("wrong_verdicts", [0.1], [Claim(0, True, Said.REFUSED, 9, 9)]),
        ("wrong_verdicts", [0.1], [claim_of("DONE", order=9, volume=0.1, price=1.1)]),
        ("wrong_verdicts", [0.1], [claim_of("DONE", order=1, volume=0.1, price=1.2)]),
        ("wrong_verdicts", [0.1], [claim_of("DONE", order=1, volume=0.05, price=1.1)]),
        ("wrong_verdicts", [0.1], [DONE, claim_of("REJECTED", 20)]),
        ("", [0.1], [told_as(2, "DONE"), told_as(1, "DENIED", since_us=-1)]),
        ("wrong_verdicts", [0.1], [told_as(1, "DONE"), told_as(2, "DENIED")]),
        ("unresolved", [0.1], [claim_of("UNKNOWN", final=False)]),
    ],
)
def test_the_oracle_sees_what_is_wrong(kind, volumes, claims):
    orders, deals, tags = broker_with(*volumes)
    oracle = Oracle(orders, deals, tags, [], events_of(deals))
    wish = wish_with(*claims, action="DEAL", volume=0.1, symbol="", type="BUY")
    found = {failure.kind for failure in oracle.judge([wish]).failures}

    assert ({kind} if kind else set()) == found & ({kind} if kind else found)


def test_the_oracle_counts_the_events_of_deals():
    orders, deals, tags = broker_with(0.1)
    wish = wish_with(DONE, action="DEAL", volume=0.1, symbol="", type="BUY")
    bodies = events_of([*deals, *deals])
    without = Oracle(orders, deals, tags, [], []).judge([wish])
    doubled = Oracle(orders, deals, tags, [], bodies).judge([wish])

    assert (1, 0) == (without.count("lost"), without.count("duplicated"))
    assert (0, 1) == (doubled.count("lost"), doubled.count("duplicated"))


def test_a_denial_is_wrong_unless_another_question_may_have_come_behind_it():
    orders, deals, tags = broker_with(0.1)
    denied = claim_of("DENIED", 10, reason="TERMINAL_AWAY")
    later = claim_of("DONE", 30, order=1, deals=(101,), volume=0.1, price=1.1)
    later.since_us = 20
    wish = wish_with(denied, later, action="DEAL", volume=0.1, symbol="", type="BUY")

    assert [] == Oracle(orders, deals, tags, [], events_of(deals)).judge([wish]).failures


def test_a_terminal_that_starts_is_not_told_of_what_is_gone():
    """A change of a position that came late showed it again although it was closed: reversed."""
    loop = Loop()
    broker = Broker(loop, random.Random(1), 1, netting=True, symbols=["EURUSD"], clock_offset_us=0)
    view = broker.exchange._view
    one, other = (PositionRecord(ticket=ticket, symbol="EURUSD") for ticket in (7, 8))
    view.schedule(Change(Kind.POSITION, 5, None), 4_000_000)
    view.schedule(Change(Kind.POSITION, 7, one), 3_000_000)
    view.schedule(Change(Kind.POSITION, 7, None), 1_000_000)
    view.schedule(Change(Kind.POSITION, 8, other), 1_000_000)
    view.arrive(2_000_000)

    broker.synchronise()

    assert [8] == [position.ticket for position in broker.exchange.positions()]
