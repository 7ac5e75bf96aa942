"""What is open is asked for until its end is known, and never sent twice."""

from __future__ import annotations

import itertools

import pytest

from bridge.bus.bodies import TradeKind
from bridge.bus.requests import Method
from bridge.exceptions import JournalError
from bridge.wire.messages import New, Query
from bridge.wire.spec import OrderOutcome, TradingState
from tests.support.orders import BUY, LIMIT, OTHER_LEDGER, SECOND, OrderBench


@pytest.fixture
def bench():
    made = OrderBench()
    made.connect()
    return made


def cut_with_an_open_order(bench, **options):
    """
    Return the reply to an order of which nothing is known.
    """
    reply = bench.order(**options)
    bench.news()
    bench.cut()
    return reply


# --- at a logon ------------------------------------------------------------------------------


def test_at_a_logon_what_is_open_is_asked_for(bench):
    cut_with_an_open_order(bench)
    bench.connect()
    (query,) = bench.taken(Query)

    assert (("c/1",), 6000, bench.us, ()) == (
        query.command_ids,
        query.settle_ms,
        query.sent_us,
        query.commands,
    )

    bench.answer(replayed=True)

    assert "DONE" == bench.status()
    assert [] == bench.news()


def test_before_the_answers_no_new_order_is_accepted(bench):
    cut_with_an_open_order(bench)
    bench.connect()
    reply = bench.order("2")

    assert ([], False) == (bench.news(), reply.is_used)

    bench.answer("c/1", OrderOutcome.INTENT)

    assert ["c/2"] == bench.news()


def test_an_order_that_waited_for_these_answers_too_long_is_denied(bench):
    cut_with_an_open_order(bench)
    bench.connect()
    reply = bench.order("2")
    bench.wait(3 * SECOND)

    assert "DENIED(UNRESOLVED)" == reply.outcome
    assert "" == bench.status("c/2")


def test_there_are_at_most_64_ids_in_a_question():
    bench = OrderBench(max_orders_per_minute=0)
    bench.connect()
    for number in range(130):
        bench.order(str(number), valid_for_ms=100)
        bench.answer(f"c/{number}", OrderOutcome.UNKNOWN)
    bench.cut()
    bench.taken(Query)
    bench.connect()

    assert [64, 64, 2] == [len(query.command_ids) for query in bench.taken(Query)]


def test_another_ledger_is_told_what_each_command_was(bench):
    cut_with_an_open_order(bench, params={**BUY, "comment": "my words", "tp_points": 50})
    sent_at = bench.now.utc_msc
    bench.connect(incarnation=OTHER_LEDGER)
    (query,) = bench.taken(Query)
    (command,) = query.commands

    assert (("c/1",), 8, "EURUSD", 50.0, None) == (
        query.command_ids,
        command.flags,
        command.request.symbol,
        command.request.tp,
        command.request.comment,
    )
    assert command.tag.startswith("zb1:")
    assert command.time_utc_msc <= sent_at


def test_old_and_new_ledger_are_asked_apart(bench):
    cut_with_an_open_order(bench)
    bench.connect(incarnation=OTHER_LEDGER)
    bench.taken(Query)
    bench.answer("c/1", OrderOutcome.UNKNOWN, incarnation=OTHER_LEDGER)
    bench.order("2")
    bench.cut()
    bench.connect(incarnation=OTHER_LEDGER)

    assert {("c/1",): 1, ("c/2",): 0} == {
        query.command_ids: len(query.commands) for query in bench.taken(Query)
    }


def test_the_orders_of_another_account_are_not_asked_for_there(bench):
    cut_with_an_open_order(bench)
    bench.connect(login=2002)

    assert [] == bench.asked()

    bench.order("2")

    assert ["c/2"] == bench.news()


def test_a_session_that_does_not_trade_is_not_asked(bench):
    cut_with_an_open_order(bench)
    bench.connect(may_trade=False)

    assert [] == bench.asked()
    assert "DENIED(ROLE)" == bench.order("2").outcome


@pytest.mark.parametrize(
    ("outcome", "longest"), [(OrderOutcome.INTENT, 2), (OrderOutcome.UNKNOWN, 15)]
)
def test_while_its_settle_time_runs_a_command_is_asked_for_often(bench, outcome, longest):
    """
    INTENT: the terminal has no trace yet, and may have an end any moment. UNKNOWN: it cannot tell.
    """
    cut_with_an_open_order(bench)
    bench.connect()
    asked = []
    for _ in range(80):
        if bench.asked():
            asked.append(bench.us)
            bench.answer("c/1", outcome)
        bench.wait(SECOND // 2)
    waits = [later - earlier for earlier, later in itertools.pairwise(asked)]

    assert longest == round(max(waits) / SECOND)


# --- NEVER_SEEN --------------------------------------------------------------------------------


def test_what_the_same_ledger_never_saw_is_sent_again_in_its_time(bench):
    cut_with_an_open_order(bench)
    bench.wait(SECOND)
    bench.connect()
    bench.answer("c/1", OrderOutcome.NEVER_SEEN)
    (new,) = bench.taken(New)

    assert ("c/1", bench.us + 2 * SECOND) == (new.command_id, new.deadline_us)

    bench.answer()

    assert "DONE" == bench.status()


def test_what_the_same_ledger_never_saw_has_expired_after_its_time(bench):
    cut_with_an_open_order(bench)
    bench.wait(4 * SECOND)
    bench.connect()
    bench.answer("c/1", OrderOutcome.NEVER_SEEN)

    assert [] == bench.news()
    assert "DENIED(EXPIRED)" == bench.status()


def test_what_another_ledger_never_saw_is_unknown(bench):
    """The new ledger says nothing about what the old one did."""
    cut_with_an_open_order(bench)
    bench.connect(incarnation=OTHER_LEDGER)
    bench.answer("c/1", OrderOutcome.NEVER_SEEN, incarnation=OTHER_LEDGER)

    assert [] == bench.news()
    assert "UNKNOWN" == bench.status()

    bench.wait(20 * SECOND)

    assert "UNKNOWN" == bench.status()
    assert bench.asked()


def test_an_answer_to_an_overtaken_question_sends_nothing_again(bench):
    """Two questions are open; NEVER_SEEN to the first may be older than what happened since."""
    bench.order(valid_for_ms=60_000)
    bench.news()
    bench.cut()
    bench.connect()
    bench.wait(SECOND)

    assert 2 <= len(bench.asked())

    bench.answer("c/1", OrderOutcome.NEVER_SEEN)

    assert [] == bench.news()

    bench.answer("c/1", OrderOutcome.NEVER_SEEN)

    assert ["c/1"] == bench.news()


def test_never_seen_right_behind_a_new_is_no_reason_to_send_it_again(bench):
    """A terminal that breaks the protocol: the answer is to nothing that was asked."""
    bench.order()
    bench.answer("c/1", OrderOutcome.NEVER_SEEN)

    assert ["c/1"] == bench.news()


def test_a_second_new_needs_a_second_never_seen(bench):
    cut_with_an_open_order(bench, valid_for_ms=60_000)
    bench.connect()
    bench.answer("c/1", OrderOutcome.NEVER_SEEN)
    bench.news()
    bench.answer("c/1", OrderOutcome.NEVER_SEEN)

    assert [] == bench.news()


@pytest.mark.parametrize("outcome", [OrderOutcome.INTENT, OrderOutcome.UNKNOWN])
@pytest.mark.parametrize("waited", [0, 30 * SECOND])
def test_what_the_ledger_knew_and_does_not_know_any_more_is_never_sent_again(
    bench, outcome, waited
):
    """The terminal's ledger was put back to an older state: it says nothing any more."""
    bench.order(valid_for_ms=20_000)
    bench.news()
    bench.answer("c/1", outcome)
    bench.cut()
    bench.wait(waited)
    bench.connect()
    bench.answer("c/1", OrderOutcome.NEVER_SEEN)

    assert [] == bench.news()
    assert "UNKNOWN" == bench.status()


def could_not_look(bench):
    bench.answer("c/1", OrderOutcome.UNKNOWN, evidence=0, text="256 commands wait")


def test_a_terminal_that_could_not_look_has_not_said_that_its_ledger_knew_the_command(bench):
    """Too many commands waited: it was UNKNOWN for ever when the ledger was asked at last."""
    cut_with_an_open_order(bench)
    bench.wait(4 * SECOND)
    bench.connect()
    could_not_look(bench)

    assert "UNKNOWN" == bench.status()

    bench.wait(SECOND)
    bench.answer("c/1", OrderOutcome.NEVER_SEEN)

    assert ([], "DENIED(EXPIRED)") == (bench.news(), bench.status())


def test_a_terminal_that_could_not_look_does_not_unsay_what_its_ledger_knew(bench):
    bench.order(valid_for_ms=20_000)
    bench.answer("c/1", OrderOutcome.INTENT)
    bench.cut()
    bench.connect()
    could_not_look(bench)
    bench.wait(SECOND)
    bench.taken(New)
    bench.answer("c/1", OrderOutcome.NEVER_SEEN)

    assert ([], "UNKNOWN") == (bench.news(), bench.status())


def test_what_the_ledger_knew_in_an_earlier_life_of_the_relay_is_not_called_expired(bench):
    bench.order(valid_for_ms=20_000)
    bench.answer("c/1", OrderOutcome.INTENT)
    bench.start()
    bench.sent.clear()
    bench.connect()
    bench.answer("c/1", OrderOutcome.NEVER_SEEN)

    assert ([], "UNKNOWN") == (bench.news(), bench.status())


@pytest.mark.parametrize(
    "outcome", [OrderOutcome.NOT_FOUND, OrderOutcome.DENIED, OrderOutcome.EXPIRED_NOT_SENT]
)
def test_another_ledger_cannot_say_that_it_was_not_executed(bench, outcome):
    cut_with_an_open_order(bench)
    bench.connect(incarnation=OTHER_LEDGER)
    bench.answer("c/1", outcome, incarnation=OTHER_LEDGER)

    assert "UNKNOWN" == bench.status()


# --- a disk that fails ------------------------------------------------------------------------


def lose_the_verdict(bench):
    """
    Let the write fail that is on its way, and the disk work again.
    """
    bench.store.fail = JournalError("the disk is full")
    bench.turn()
    bench.store.fail = None


def test_what_was_told_as_denied_is_not_sent_again_when_its_verdict_was_lost(bench):
    """It is not in the terminal's ledger: NEVER_SEEN is what the terminal says of it."""
    reply = bench.order(valid_for_ms=60_000)
    bench.news()
    bench.tell("c/1", OrderOutcome.DENIED, reason=9)
    lose_the_verdict(bench)

    assert "DENIED(RATE_LIMIT)" == reply.outcome

    bench.wait(SECOND)
    for _ in bench.asked():
        bench.answer("c/1", OrderOutcome.NEVER_SEEN)

    assert [] == bench.news()
    assert bench.status().startswith("DENIED")


def test_what_was_told_as_halted_is_not_sent_when_that_verdict_was_lost(bench):
    bench.view.busy_us = bench.us
    reply = bench.submit(valid_for_ms=60_000)
    bench.view.busy_us = bench.us + SECOND
    bench.store.flush()
    bench.orders.poll(bench.now)
    bench.orders.set_state(TradingState.HALTED, "stop", "test", lambda _: None, bench.now)
    bench.orders.poll(bench.now)
    lose_the_verdict(bench)

    assert "DENIED(HALTED)" == reply.outcome

    bench.orders.set_state(TradingState.ACTIVE, "", "test", lambda _: None, bench.now)
    bench.wait(5 * SECOND)
    for _ in bench.asked():
        bench.answer("c/1", OrderOutcome.NEVER_SEEN)

    assert [] == bench.news()
    assert bench.status().startswith("DENIED")


def test_the_end_of_a_close_all_is_tried_again_after_a_while_and_not_all_the_time(bench):
    reply = bench.order(method=Method.CLOSE_ALL, params={}, valid_for_ms=60_000)
    bench.read("positions", [{"ticket": 7, "symbol": "EURUSD"}])
    bench.tell("c/1/7", OrderOutcome.DONE)
    bench.store.flush()
    bench.orders.poll(bench.now)
    bench.store.fail = JournalError("the disk is full")
    bench.turn()

    assert "DONE" == reply.outcome

    bench.wait(SECOND)
    bench.store.fail = None
    bench.wait(30 * SECOND)
    bench.start()

    assert "DONE" == bench.status()


def unreadable(*args):
    raise JournalError("the record is damaged")


def test_a_result_of_a_command_that_cannot_be_read_stops_nothing(bench, monkeypatch):
    bench.order()
    monkeypatch.setattr(bench.journal, "find", unreadable)
    bench.tell("c/old", OrderOutcome.DONE)
    bench.answer()

    assert [("DONE", "c/1")] == [(r["outcome"], r["command_id"]) for _, r in bench.published]


def test_a_tag_that_cannot_be_looked_up_stops_nothing(bench, monkeypatch):
    monkeypatch.setattr(bench.journal, "find_by_tag", unreadable)
    bench.orders.noticed("zb1:AAAAAAAAAAAAAAAA", deal=1, order=1, position=1, now=bench.now)
    bench.turn()

    assert [] == bench.published


def test_a_close_all_whose_parts_cannot_be_read_has_no_end_yet(bench, monkeypatch):
    reply = bench.order(method=Method.CLOSE_ALL, params={})
    bench.read("positions", [{"ticket": 7, "symbol": "EURUSD"}])
    with monkeypatch.context() as damaged:
        damaged.setattr(bench.journal, "children", unreadable)
        bench.answer("c/1/7", OrderOutcome.DONE)
        bench.wait(10 * SECOND)

        assert "UNKNOWN" == reply.outcome

    bench.wait(30 * SECOND)

    assert "DONE" == bench.status()


def test_a_relay_starts_though_the_parts_of_a_close_all_cannot_be_read(bench, monkeypatch):
    bench.order(method=Method.CLOSE_ALL, params={}, valid_for_ms=60_000)
    bench.read("positions", [{"ticket": 7, "symbol": "EURUSD"}])
    with monkeypatch.context() as damaged:
        damaged.setattr(bench.store, "children", unreadable)
        bench.start()
    bench.connect()
    bench.answer("c/1/7", OrderOutcome.DONE)
    bench.wait(30 * SECOND)

    assert "DONE" == bench.status()


# --- without an answer ------------------------------------------------------------------------


def test_a_part_of_a_close_all_that_is_not_answered_is_asked_for(bench):
    bench.order(method=Method.CLOSE_ALL, params={})
    bench.read("positions", [{"ticket": 7, "symbol": "EURUSD"}])

    assert ["c/1/7"] == bench.news()

    bench.wait(10 * SECOND)

    assert "c/1/7" in bench.asked()


def test_what_is_sent_again_after_its_client_was_told_is_asked_for(bench):
    """Nobody waits for it any more, and it must be found out all the same."""
    cut_with_an_open_order(bench)
    bench.connect()
    bench.answer("c/1", OrderOutcome.NEVER_SEEN)

    assert ["c/1"] == bench.news()

    bench.asked()
    bench.wait(10 * SECOND)

    assert "c/1" in bench.asked()


# --- after a kill of the relay -------------------------------------------------------------------


@pytest.mark.parametrize("sent", [True, False])
def test_what_an_earlier_relay_reserved_counts_as_sent(bench, sent):
    bench.submit(valid_for_ms=60_000)
    bench.store.flush()  # on disk; whether NEW went out, no other relay can tell
    if sent:
        bench.turn()
    bench.sent.clear()
    bench.start()
    bench.connect()

    assert (["c/1"], []) == (bench.asked(), bench.news())

    bench.answer("c/1", OrderOutcome.NEVER_SEEN)

    # Its deadline was on the clock of the relay that is gone.
    assert [] == bench.news()
    assert "DENIED(EXPIRED)" == bench.status()


def test_what_was_not_on_disk_at_the_kill_was_not_sent(bench):
    bench.submit()
    bench.start()
    bench.connect()

    assert ([], [], "") == (bench.asked(), bench.news(), bench.status())


def test_a_retry_after_a_kill_waits_for_the_end(bench):
    bench.order()
    bench.start()
    bench.connect()
    again = bench.order()

    assert not again.is_used

    bench.answer(replayed=True)

    assert ("DONE", True) == (again.outcome, again.results[0]["replayed"])


# --- corrections -----------------------------------------------------------------------------------


def not_found(bench, params=BUY):
    bench.order(params=params, valid_for_ms=100)
    bench.wait(SECOND)
    bench.answer("c/1", OrderOutcome.NOT_FOUND)
    bench.sent.clear()
    bench.published.clear()
    assert "REJECTED(NOT_EXECUTED)" == bench.status()


def tag_of(bench):
    return bench.journal.find("c/1").tag


def test_a_deal_that_turns_up_late_corrects_the_verdict_and_halts_the_terminal(bench):
    not_found(bench)
    bench.orders.noticed(tag_of(bench), deal=77, order=76, position=75, now=bench.now)
    bench.turn()

    assert "DONE" == bench.status()
    result = bench.orders.status("c/1")
    assert (True, 77, [77], 76, 75) == (
        result["corrected"],
        result["deal"],
        result["deals"],
        result["order"],
        result["position"],
    )
    assert [TradeKind.ORDER_LIFE, TradeKind.VERDICT_CORRECTED] == [
        kind for kind, _ in bench.published
    ]
    assert [TradingState.HALTED] == bench.halts()
    assert "DENIED(HALTED)" == bench.order("2").outcome

    bench.start()

    assert TradingState.HALTED is bench.orders.state
    assert "c/1" in bench.orders.describe()["reason"]


def test_a_late_result_of_the_terminal_does_the_same(bench):
    not_found(bench)
    bench.answer("c/1", OrderOutcome.DONE, deal=77)

    assert ("DONE", [TradingState.HALTED]) == (bench.status(), bench.halts())


def test_a_pending_order_that_turns_up_late_corrects_the_verdict(bench):
    not_found(bench, LIMIT)
    bench.orders.noticed(tag_of(bench), deal=0, order=76, position=0, now=bench.now)
    bench.turn()

    assert ("PLACED", [TradingState.HALTED]) == (bench.status(), bench.halts())


def test_a_market_order_in_the_history_is_no_evidence_of_an_execution(bench):
    """One that was refused stands there, too; only a deal says that it traded."""
    bench.order()
    bench.answer("c/1", OrderOutcome.REJECTED, retcode=10006)
    bench.orders.noticed(tag_of(bench), deal=0, order=76, position=0, now=bench.now)
    bench.turn()

    assert ("REJECTED", []) == (bench.status(), bench.halts())


def test_a_deal_of_an_order_that_is_done_or_open_corrects_nothing(bench):
    bench.order("1")
    bench.orders.noticed(tag_of(bench), deal=77, order=76, position=75, now=bench.now)
    bench.answer()
    bench.orders.noticed(tag_of(bench), deal=77, order=76, position=75, now=bench.now)
    bench.turn()

    assert ("DONE", []) == (bench.status(), bench.halts())


def test_a_deal_of_an_open_order_is_a_reason_to_ask_at_once(bench):
    bench.order(valid_for_ms=100)
    bench.wait(30 * SECOND)
    for _ in bench.asked():
        bench.answer("c/1", OrderOutcome.UNKNOWN)
    bench.asked()
    bench.orders.noticed(tag_of(bench), deal=77, order=76, position=75, now=bench.now)
    bench.turn()

    assert ["c/1"] == bench.asked()


def test_a_tag_of_somebody_else_is_none_of_our_business(bench):
    bench.orders.noticed("zb1:AAAAAAAAAAAAAAAA", deal=1, order=1, position=1, now=bench.now)
    bench.turn()

    assert [] == bench.published


@pytest.mark.parametrize(("late", "whole"), [("c/1/7", "PARTIAL"), ("c/1/8", "DONE")])
def test_a_part_that_is_corrected_corrects_its_close_all(bench, late, whole):
    bench.order(method=Method.CLOSE_ALL, params={})
    records = [{"ticket": ticket, "symbol": "EURUSD"} for ticket in (7, 8)]
    bench.read("positions", records)
    bench.answer("c/1/7", OrderOutcome.NOT_FOUND if whole == "PARTIAL" else OrderOutcome.DONE)
    bench.answer("c/1/8", OrderOutcome.NOT_FOUND)
    bench.answer(late, OrderOutcome.DONE, deal=77)

    assert whole == bench.status()
    assert late in bench.orders.describe()["reason"]

    bench.start()

    assert whole == bench.status()


# --- what a terminal must not do ---------------------------------------------------------------------


@pytest.mark.parametrize("outcome", list(OrderOutcome))
def test_a_result_of_a_command_that_does_not_exist_changes_nothing(bench, outcome):
    bench.answer("c/never", outcome)

    assert ("", []) == (bench.status("c/never"), bench.published)


def test_a_result_before_its_new_is_not_believed(bench):
    reply = bench.submit()
    bench.tell("c/1", OrderOutcome.DONE)
    bench.turn()

    assert not reply.is_used
    assert ["c/1"] == bench.news()
