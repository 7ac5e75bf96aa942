"""
An order is stopped at every step of its life: it ends, once, and what is told of it is true.

``make failpoints`` tries every point of every story; here are all points of a market order with
every fault, and the other stories' own points with two each.
"""

from __future__ import annotations

import pytest

from tests.failpoints.points import POINTS, Case, Fault, Strike, cases, some_cases
from tests.failpoints.processes import EagerStore, LedgerDisk
from tests.failpoints.stories import STORIES
from tests.failpoints.telling import points_of, tell, try_case

#: frames that come and go with time, not with an order
WITHOUT_ORDER = {"ACK is half on the wire", "HEARTBEAT is half on the wire"}
OTHERS = [case for story in POINTS if story != "market order" for case in some_cases(story)]


def by_title(given):
    return [pytest.param(case, id=case.title) for case in given]


@pytest.mark.parametrize("case", by_title(cases("market order")))
def test_a_market_order_survives(case):
    assert "" == try_case(case)


@pytest.mark.parametrize("case", by_title(OTHERS))
def test_every_other_order_survives(case):
    assert "" == try_case(case)


@pytest.mark.parametrize("name", STORIES)
def test_without_a_fault_a_story_ends_as_it_should(name):
    story = tell(name)
    story.check()

    assert [story.outcome] == [order.ends[0]["outcome"] for order in story.orders]


@pytest.mark.parametrize("name", STORIES)
def test_the_points_are_those_that_a_story_passes(name):
    passed = points_of(name)
    once = {point for point in passed if not point.endswith(")")} - WITHOUT_ORDER

    assert [] == [point for point in POINTS[name] if point not in passed]
    assert set() == once - {*POINTS["market order"], *POINTS[name]}


def test_there_are_more_than_enough_points():
    assert len({point for points in POINTS.values() for point in points}) >= 25
    assert set(STORIES) == set(POINTS)


def test_a_point_that_is_not_reached_fails_its_case():
    case = Case("market order", Strike("a point that is not there", Fault.CUT, after=False))

    assert "the point was never reached" == try_case(case)


# The ablations: what the points are worth. Each takes one sync away.


def failed(story, fault, **disks):
    found = [
        try_case(case, **{name: make() for name, make in disks.items()})
        for case in cases(story)
        if case.strike.fault is fault
    ]
    return [problem for problem in found if problem]


def test_a_ledger_that_does_not_sync_is_noticed():
    found = failed("market order", Fault.POWER, ledger=lambda: LedgerDisk(synced=False))

    assert any("an end was told" in problem for problem in found), found


def test_a_journal_that_tells_before_it_syncs_is_noticed():
    assert failed("market order", Fault.POWER, store=EagerStore)
