"""The order path: what the end of the relay leaves, and a person's word for what nobody can find out."""

from __future__ import annotations

import pytest

from bridge.bus.bodies import TradeKind
from bridge.bus.requests import Method
from bridge.exceptions import JournalError
from bridge.wire.spec import OrderOutcome, TradingState
from tests.support.orders import BUY, SECOND, FakeReply, OrderBench


@pytest.fixture
def bench():
    made = OrderBench()
    made.connect()
    return made


# --- the end -----------------------------------------------------------------------------------------------


def test_at_the_end_everybody_gets_the_reply_that_is_true(bench):
    sent = bench.order("1")
    bench.view.busy_us = bench.us + SECOND
    waiting = bench.order("2")
    bench.orders.stop()

    assert ("UNKNOWN", "SHUTTING_DOWN") == (sent.outcome, waiting.outcome)


def test_status_names_the_unresolved_and_the_state(bench):
    bench.order(valid_for_ms=100)
    bench.wait(SECOND)
    bench.view.busy_us = bench.us + SECOND
    bench.order("2")

    assert {
        "enabled": True,
        "state": "ACTIVE",
        "reason": "",
        "open_orders": 1,
        "unresolved": ["c/1"],
        "waiting": 1,
    } == bench.orders.describe()
    assert "UNKNOWN" == bench.status("c/2")
    assert "nothing was sent" in bench.orders.status("c/2")["message"]


def test_what_was_never_heard_of_has_no_status(bench):
    assert bench.orders.status("c/9") is None


# --- a person's word -----------------------------------------------------------------------------------------


def resolve(bench, name="c/1", executed=False, **tickets):
    reply = FakeReply()
    given = {"order": 0, "deal": 0, **tickets}
    bench.orders.resolve(
        name,
        executed=executed,
        evidence="seen at the broker",
        who="me",
        reply=reply,
        now=bench.now,
        **given,
    )
    bench.turn()
    return reply


@pytest.mark.parametrize(
    ("executed", "expected"), [(True, "DONE"), (False, "REJECTED(NOT_EXECUTED)")]
)
def test_a_person_ends_what_nobody_else_can(bench, executed, expected):
    bench.order(valid_for_ms=100)
    bench.wait(SECOND)
    reply = resolve(bench, executed=executed)

    assert (expected, expected) == (reply.outcome, bench.status())
    assert [TradeKind.ORDER_LIFE] == [kind for kind, _ in bench.published]

    bench.asked()
    bench.wait(60 * SECOND)

    assert [] == bench.asked()


def test_a_person_ends_nothing_that_is_known_or_under_way(bench):
    bench.order()
    under_way = resolve(bench)
    bench.answer()
    known = resolve(bench)
    nothing = resolve(bench, "c/9")

    assert ["INVALID_REQUEST", "INVALID_REQUEST", "NOT_AVAILABLE"] == [
        reply.outcome for reply in (under_way, known, nothing)
    ]


def test_a_halt_is_not_undone_by_the_resume_before_it(bench):
    """The resume's disk comes when the halt has been obeyed already."""
    bench.orders.set_state(TradingState.HALTED, "first", "test", lambda _: None, bench.now)
    bench.turn()
    bench.orders.set_state(TradingState.ACTIVE, "", "test", lambda _: None, bench.now)
    bench.orders.set_state(TradingState.HALTED, "second", "test", lambda _: None, bench.now)
    bench.store.flush(1)
    bench.orders.poll(bench.now)

    assert TradingState.HALTED is bench.orders.state
    assert "DENIED(HALTED)" == bench.submit().outcome

    bench.turn()

    assert TradingState.ACTIVE not in bench.halts()
    assert "second" == bench.orders.describe()["reason"]


def test_a_halt_holds_when_its_disk_fails_behind_a_resume(bench):
    told = []
    bench.orders.set_state(TradingState.HALTED, "first", "test", lambda _: None, bench.now)
    bench.turn()
    bench.orders.set_state(TradingState.ACTIVE, "", "test", lambda _: None, bench.now)
    bench.orders.set_state(TradingState.HALTED, "second", "test", told.append, bench.now)
    bench.store.flush(1)
    bench.store.fail = JournalError("the disk is full")
    bench.turn()
    bench.store.fail = None

    assert told[0] is not None
    assert TradingState.HALTED is bench.orders.state


def test_the_same_id_gets_a_reply_when_the_journal_cannot_be_read_any_more(bench, monkeypatch):
    bench.order()
    bench.answer()
    again = bench.submit()

    def find(command_id):
        raise JournalError("the record is damaged")

    monkeypatch.setattr(bench.journal, "find", find)
    bench.turn()

    assert "INTERNAL" == again.outcome


def ask_again_behind_a_disk_that_stands_still(bench):
    bench.order()
    bench.answer(outcome=OrderOutcome.PARTIAL)
    bench.tell("c/1", OrderOutcome.DONE)
    again = bench.submit(valid_for_ms=2_000)

    assert not again.is_used
    return again


def test_the_same_id_is_not_kept_waiting_for_a_disk_that_stands_still(bench):
    again = ask_again_behind_a_disk_that_stands_still(bench)
    bench.us += 3 * SECOND - 1
    bench.orders.poll(bench.now)

    assert not again.is_used
    assert bench.us + 1 == bench.orders.next_deadline()

    bench.us += 1
    bench.orders.poll(bench.now)

    assert "INTERNAL" == again.outcome

    bench.turn()

    assert "DONE" == bench.order().outcome


def test_the_same_id_gets_its_reply_at_the_end_of_the_relay(bench):
    again = ask_again_behind_a_disk_that_stands_still(bench)
    bench.orders.stop()

    assert "INTERNAL" == again.outcome

    bench.turn()


def test_an_id_that_was_told_unknown_stays_that_orders_when_the_disk_has_lost_it(bench):
    """Who was told UNKNOWN asks again: another order under its id would be taken for this one."""
    reply = bench.submit(valid_for_ms=500)
    bench.us += 2 * SECOND
    bench.orders.poll(bench.now)

    assert "UNKNOWN" == reply.outcome

    bench.store.fail = JournalError("the disk is full", writable=True)
    bench.turn()
    bench.store.fail = None
    other = bench.order("1", Method.ORDER_SEND, BUY | {"volume": 0.2})

    assert ("DENIED(DIVERGED)", []) == (other.outcome, bench.news())

    bench.order("1")

    assert ["c/1"] == bench.news()


def test_an_id_that_cannot_be_looked_up_is_denied_and_stops_nothing(bench, monkeypatch):
    """It was free a moment ago: nothing was sent under it."""
    bench.submit()
    reply = FakeReply()
    bench.orders.submit(bench.want("2"), reply, bench.now)

    def reserve(*args, **options):
        raise JournalError("the record is damaged")

    monkeypatch.setattr(bench.journal, "reserve", reserve)
    bench.turn()

    assert "DENIED(JOURNAL)" == reply.outcome
    assert ["c/1"] == bench.news()


def test_a_session_that_was_halted_for_the_journal_begins_anew_when_that_is_well(bench):
    """
    A HALT that says ACTIVE would also end what a dead man's switch of the terminal has latched.
    """
    bench.cut()
    bench.store.fail = JournalError("the disk is full")
    bench.connect()

    assert [] == bench.ends

    bench.store.fail = None
    bench.orders.stir()
    bench.turn()
    bench.orders.stir()
    bench.turn()

    assert (["orders are taken again: the journal works again"], []) == (bench.ends, bench.halts())

    bench.connect()
    bench.orders.stir()
    bench.turn()

    assert (1, []) == (len(bench.ends), bench.halts())
    bench.order("2")

    assert ["c/2"] == bench.news()


def test_a_session_that_takes_no_orders_goes_on_when_the_journal_is_well(bench):
    bench.cut()
    bench.store.fail = JournalError("the disk is full")
    bench.connect(may_trade=False)
    bench.store.fail = None
    bench.orders.stir()
    bench.turn()

    assert [] == bench.ends


def test_a_resume_reaches_the_terminal_whatever_the_relay_thinks(bench):
    bench.orders.set_state(TradingState.ACTIVE, "", "test", lambda _: None, bench.now)
    bench.turn()

    assert [TradingState.ACTIVE] == bench.halts()
