"""From a request to its one true answer: the order path with a disk and a terminal of the test."""

from __future__ import annotations

import pytest

from bridge.bus.bodies import TradeKind
from bridge.bus.requests import Method
from bridge.exceptions import JournalError
from bridge.wire.messages import New
from bridge.wire.spec import DenyReason, NewFlag, OrderOutcome, TradingState
from tests.support.orders import BUY, LEDGER, LIMIT, SECOND, OrderBench


@pytest.fixture
def bench():
    made = OrderBench()
    made.connect()
    return made


# --- a reply only when it is true ------------------------------------------------------------


def test_nothing_is_sent_before_its_reservation_is_on_disk(bench):
    reply = bench.submit()

    assert ([], False) == (bench.news(), reply.is_used)

    bench.turn()

    assert ["c/1"] == bench.news()
    assert not reply.is_used


def test_nothing_is_replied_before_the_verdict_is_on_disk(bench):
    reply = bench.order()
    bench.tell("c/1", OrderOutcome.DONE)

    assert not reply.is_used

    bench.turn()

    assert "DONE" == reply.outcome


def test_the_new_says_what_was_asked_for_and_to_whom(bench):
    bench.order(params={**BUY, "comment": "my words", "sl_points": 100, "magic": 7})
    (new,) = bench.taken(New)

    assert ("c/1", 1, LEDGER, 1001) == (
        new.command_id,
        new.relay_epoch,
        new.incarnation,
        new.login,
    )
    assert new.tag.startswith("zb1:")
    assert NewFlag.SL_POINTS == new.flags
    assert ("EURUSD", 0.1, 100.0, 7, None) == (
        new.request.symbol,
        new.request.volume,
        new.request.sl,
        new.request.magic,
        new.request.comment,
    )
    # The last part of valid_for_ms is the trade server's (answer_ms, 2 s).
    assert (bench.us, bench.us + 3 * SECOND) == (new.sent_us, new.deadline_us)


def test_the_result_has_the_users_comment_and_the_brokers(bench):
    reply = bench.order(params={**BUY, "comment": "my words"})
    bench.answer(comment="Request executed", order=11, deal=12, deals=(12,), price=1.5)
    (result,) = reply.results

    assert ("my words", "Request executed") == (result["comment"], result["broker_comment"])
    assert (11, 12, [12], 1.5) == (
        result["order"],
        result["deal"],
        result["deals"],
        result["price"],
    )
    assert ("c/1", "1", True, False) == (
        result["command_id"],
        result["client_order_id"],
        result["final"],
        result["replayed"],
    )
    assert (10009, "DONE", "TRADE_SERVER") == (
        result["retcode"],
        result["retcode_name"],
        result["evidence"],
    )


@pytest.mark.parametrize(
    ("params", "outcome", "fields", "expected"),
    [
        (BUY, OrderOutcome.DONE, {}, "DONE"),
        (BUY, OrderOutcome.PARTIAL, {}, "PARTIAL"),
        (LIMIT, OrderOutcome.PLACED, {}, "PLACED"),
        (BUY, OrderOutcome.REJECTED, {"retcode": 10019}, "REJECTED"),
        (BUY, OrderOutcome.DENIED, {"reason": DenyReason.NOT_PERMITTED}, "DENIED(NOT_PERMITTED)"),
        (BUY, OrderOutcome.DENIED, {"reason": 200}, "DENIED(OTHER)"),
        (BUY, OrderOutcome.EXPIRED_NOT_SENT, {}, "DENIED(EXPIRED)"),
        (BUY, OrderOutcome.NOT_FOUND, {}, "REJECTED(NOT_EXECUTED)"),
    ],
)
def test_each_end_at_the_terminal_is_an_outcome(bench, params, outcome, fields, expected):
    reply = bench.order(params=params)
    bench.answer("c/1", outcome, **fields)

    assert expected == reply.outcome
    assert reply.results[0]["final"]
    assert expected == bench.status()


def test_a_rejection_says_what_it_means_and_what_to_do(bench):
    reply = bench.order()
    bench.answer("c/1", OrderOutcome.REJECTED, retcode=10019)
    (result,) = reply.results

    assert ("NO_MONEY", "trade_server") == (result["retcode_name"], result["hop"])
    assert "margin" in result["message"]
    assert "order_check" in result["hint"]


@pytest.mark.parametrize("outcome", [OrderOutcome.INTENT, OrderOutcome.UNKNOWN, 77])
def test_what_is_no_end_is_asked_for_until_it_is_one(bench, outcome):
    """Also an outcome that only a later version knows."""
    reply = bench.order()
    bench.news()
    bench.answer("c/1", outcome)

    assert not reply.is_used

    bench.wait(SECOND)

    assert bench.asked().count("c/1") > 0

    bench.answer("c/1", OrderOutcome.DONE)

    assert "DONE" == reply.outcome
    assert [] == bench.news()


def test_a_market_order_that_is_only_placed_is_asked_for(bench):
    """Its deals are to come. At the deadline that is what is certain."""
    reply = bench.order()
    bench.answer("c/1", OrderOutcome.PLACED)

    assert not reply.is_used

    bench.wait(5 * SECOND)

    assert "PLACED" == reply.outcome
    assert not reply.results[0]["final"]

    bench.answer("c/1", OrderOutcome.DONE)

    assert "DONE" == bench.status()


def test_a_partial_fill_that_becomes_a_full_one_is_told(bench):
    reply = bench.order()
    bench.answer("c/1", OrderOutcome.PARTIAL, deals=(1,))
    bench.answer("c/1", OrderOutcome.DONE, deals=(1, 2))

    assert "PARTIAL" == reply.outcome
    assert "DONE" == bench.status()
    assert ["PARTIAL", "DONE"] == [record["outcome"] for _, record in bench.published]


def test_a_result_that_says_nothing_new_is_no_event(bench):
    bench.order()
    bench.answer()
    bench.answer(replayed=True)

    assert [TradeKind.ORDER_LIFE] == [kind for kind, _ in bench.published]


# --- the same id -------------------------------------------------------------------------------


def test_the_same_id_with_the_same_content_gets_the_stored_answer(bench):
    first = bench.order()
    bench.answer(deal=5)
    again = bench.order()

    assert {**first.results[0], "replayed": True} == again.results[0]
    assert ["c/1"] == bench.news()


def test_the_stored_answer_comes_also_from_the_next_relay_and_while_halted(bench):
    """A retry asks what became of an order; no policy stands before the answer."""
    bench.order()
    bench.answer(deal=5)
    bench.orders.set_state(TradingState.HALTED, "", "test", lambda _: None, bench.now)
    bench.turn()
    bench.start()
    again = bench.order()

    assert ("DONE", 5, True) == (
        again.outcome,
        again.results[0]["deal"],
        again.results[0]["replayed"],
    )


@pytest.mark.parametrize("when", ["reserving", "sent", "done", "next relay"])
def test_the_same_id_with_other_content_is_refused(bench, when):
    first = bench.submit()
    if when != "reserving":
        bench.turn()
    if when in {"done", "next relay"}:
        bench.answer()
    if when == "next relay":
        bench.start()
        bench.connect()
    other = bench.order(params={**BUY, "volume": 0.2})

    assert "DENIED(DIVERGED)" == other.outcome
    assert "client_order_id" == other.results[0]["field"]
    if when in {"reserving", "sent"}:
        bench.answer()
    assert "DONE" == first.outcome
    assert ["c/1"] == bench.news()


@pytest.mark.parametrize("when", ["waiting", "reserving", "sent", "concluding"])
def test_who_asks_again_meanwhile_waits_with_the_first(bench, when):
    """Each gets one reply, and only the first is not a replay."""
    if when == "waiting":
        bench.view.busy_us = bench.us + SECOND
    first = bench.submit()
    if when in {"sent", "concluding"}:
        bench.turn()
    if when == "concluding":
        bench.tell("c/1", OrderOutcome.DONE)
    others = [bench.submit() for _ in range(3)]
    bench.view.busy_us = 0
    bench.orders.stir()
    bench.turn()
    if when != "concluding":
        bench.answer()

    assert ["DONE"] * 4 == [reply.outcome for reply in (first, *others)]
    assert [False, True, True, True] == [reply.results[0]["replayed"] for reply in (first, *others)]
    assert ["c/1"] == bench.news()


def test_each_who_waits_has_a_deadline_of_his_own(bench):
    patient = bench.order(valid_for_ms=60_000)
    bench.wait(SECOND)
    hasty = bench.order(valid_for_ms=100)
    bench.wait(SECOND)

    assert ("", "UNKNOWN") == (patient.outcome, hasty.outcome)

    bench.answer()

    assert "DONE" == patient.outcome


def test_a_denied_id_is_free(bench):
    bench.cut()
    away = bench.order()

    assert "DENIED(TERMINAL_AWAY)" == away.outcome
    assert "" == bench.status()

    bench.connect()
    again = bench.order(params={**BUY, "volume": 0.3})
    bench.answer()

    assert "DONE" == again.outcome


# --- time ------------------------------------------------------------------------------------------


def test_without_an_answer_the_reply_is_unknown_and_the_finding_out_goes_on(bench):
    reply = bench.order()
    bench.news()
    bench.wait(5 * SECOND - 1)

    assert ([], False) == (bench.asked(), reply.is_used)

    bench.wait(1)

    assert "UNKNOWN" == reply.outcome
    assert ("c/1", False) == (reply.results[0]["command_id"], reply.results[0]["final"])
    assert "order_status" in reply.results[0]["hint"]
    assert ["c/1"] == bench.asked()

    bench.answer("c/1", OrderOutcome.DONE, deal=3)

    assert "DONE" == bench.status()
    assert [(TradeKind.ORDER_LIFE, "DONE")] == [
        (kind, record["outcome"]) for kind, record in bench.published
    ]


def test_the_questions_come_ever_more_slowly(bench):
    bench.order(valid_for_ms=100)
    times = []
    for _ in range(120):
        bench.wait(SECOND // 2)
        times += [bench.us] * len(bench.asked())
        if times and times[-1] == bench.us:
            bench.answer("c/1", OrderOutcome.UNKNOWN)

    assert 6 <= len(times) <= 12


def test_a_busy_terminal_is_given_the_time_that_it_asked_for(bench):
    reply = bench.order()
    bench.view.busy_us = bench.us + 20 * SECOND
    bench.wait(19 * SECOND)

    assert ([], False) == (bench.asked(), reply.is_used)

    bench.wait(SECOND)

    assert "UNKNOWN" == reply.outcome


def test_a_command_whose_time_is_over_before_it_can_be_sent_never_is(bench):
    """On disk, but the terminal became busy in between: this relay knows that it sent nothing."""
    reply = bench.submit()
    bench.view.busy_us = bench.us + 60 * SECOND
    bench.turn()
    bench.wait(3 * SECOND)

    assert "DENIED(EXPIRED)" == reply.outcome
    assert [] == bench.news()
    assert "DENIED(EXPIRED)" == bench.status()


def test_a_disk_that_hangs_does_not_keep_a_client_waiting_for_ever(bench):
    reply = bench.order()
    bench.tell("c/1", OrderOutcome.DONE)
    for _ in range(70):
        bench.us += SECOND // 10
        bench.orders.poll(bench.now)

    assert "UNKNOWN" == reply.outcome

    bench.turn()

    assert "DONE" == bench.status()


# --- the link ----------------------------------------------------------------------------------------


def test_when_the_link_is_lost_the_reply_is_unknown_at_once(bench):
    reply = bench.order()
    bench.cut()

    assert "UNKNOWN" == reply.outcome


def test_a_reservation_whose_link_is_gone_before_it_is_on_disk_is_never_sent(bench):
    reply = bench.submit()
    bench.orders.link_down(bench.now)
    bench.turn()

    assert "DENIED(TERMINAL_AWAY)" == reply.outcome

    bench.connect()

    assert ([], []) == (bench.news(), bench.asked())


def test_a_reservation_of_an_older_session_is_not_sent_in_a_newer_one(bench):
    """The new session may be of another account or ledger."""
    reply = bench.submit()
    bench.orders.link_down(bench.now)
    bench.orders.link_up(bench.connect(), bench.now)
    bench.turn()

    assert "DENIED(TERMINAL_AWAY)" == reply.outcome
    assert [] == bench.news()


def test_a_verdict_on_its_way_to_disk_is_told_though_the_link_is_lost(bench):
    reply = bench.order()
    bench.tell("c/1", OrderOutcome.DONE)
    bench.orders.link_down(bench.now)
    bench.turn()

    assert "DONE" == reply.outcome


# --- the journal ---------------------------------------------------------------------------------------


def test_what_cannot_be_written_is_not_sent(bench):
    bench.store.fail = JournalError("the disk is broken", hint="buy another one")
    reply = bench.order()

    assert "DENIED(JOURNAL)" == reply.outcome
    assert [] == bench.news()


def test_what_fails_to_be_written_is_not_sent_and_its_id_is_free(bench):
    reply = bench.submit()
    bench.store.fail = JournalError("the disk is full", hint="make room", writable=True)
    bench.turn()

    assert "DENIED(JOURNAL)" == reply.outcome
    assert "make room" == reply.results[0]["hint"]
    assert [] == bench.news()

    bench.store.fail = None
    again = bench.order()
    bench.answer()

    assert "DONE" == again.outcome


def test_on_a_full_disk_closes_still_pass(bench):
    """The journal keeps room for them; what opens is denied."""
    bench.store.fail = JournalError("the disk is full", writable=True)
    opened = bench.submit()
    closed = bench.submit("2", Method.POSITION_CLOSE, {"position": 5})
    bench.store.fail = None
    bench.turn()

    assert ("DENIED(JOURNAL)", ["c/2"]) == (opened.outcome, bench.news())
    assert not closed.is_used


def test_an_answer_that_cannot_be_written_is_true_all_the_same(bench):
    reply = bench.order()
    bench.tell("c/1", OrderOutcome.DONE)
    bench.store.fail = JournalError("the disk is full", writable=True)
    bench.turn()

    assert "DONE" == reply.outcome

    bench.store.fail = None
    bench.asked()
    bench.wait(2 * SECOND)

    assert "c/1" in bench.asked()

    bench.answer(replayed=True)
    bench.start()

    assert "DONE" == bench.status()


@pytest.mark.parametrize(
    ("told", "later", "kept", "corrected"),
    [
        (OrderOutcome.DONE, OrderOutcome.PARTIAL, "DONE", False),
        (OrderOutcome.DONE, OrderOutcome.UNKNOWN, "DONE", False),
        (OrderOutcome.PARTIAL, OrderOutcome.DONE, "DONE", False),
        (OrderOutcome.REJECTED, OrderOutcome.INTENT, "REJECTED", False),
        (OrderOutcome.REJECTED, OrderOutcome.DONE, "DONE", True),
    ],
)
def test_an_answer_that_was_told_and_lost_is_taken_back_by_nothing_less(
    bench, told, later, kept, corrected
):
    reply = bench.order()
    bench.tell("c/1", told)
    bench.store.fail = JournalError("the disk is full", writable=True)
    bench.turn()

    assert told.name == reply.outcome

    bench.store.fail = None
    bench.answer(outcome=later)
    again = bench.order()

    assert (kept, corrected) == (again.outcome, again.results[0]["corrected"])
    # A person hears of it when something was told that was not so.
    assert corrected == (bench.orders.state is TradingState.HALTED)


def test_a_journal_in_doubt_halts_the_terminal(bench):
    bench.store.fail = JournalError("the journal is damaged", hint="restore a copy")

    assert TradingState.HALTED is bench.orders.state


# --- halt and resume ---------------------------------------------------------------------------------------


def test_a_halt_holds_at_once_and_over_a_restart(bench):
    errors = []
    bench.orders.set_state(TradingState.HALTED, "news", "me", errors.append, bench.now)

    assert ([TradingState.HALTED], []) == (bench.halts(), errors)
    assert "DENIED(HALTED)" == bench.submit().outcome

    bench.turn()

    assert [None] == errors

    bench.start()

    assert TradingState.HALTED is bench.orders.state
    bench.connect()
    assert "DENIED(HALTED)" == bench.order().outcome
    assert "news" in bench.order().results[0]["message"]


def test_a_resume_holds_only_when_it_is_on_disk(bench):
    bench.orders.set_state(TradingState.HALTED, "", "me", lambda _: None, bench.now)
    bench.turn()
    bench.halts()
    bench.orders.set_state(TradingState.ACTIVE, "", "me", lambda _: None, bench.now)
    bench.orders.poll(bench.now)

    assert (TradingState.HALTED, []) == (bench.orders.state, bench.halts())

    bench.turn()

    assert (TradingState.ACTIVE, [TradingState.ACTIVE]) == (bench.orders.state, bench.halts())


def test_a_halt_holds_though_it_cannot_be_written(bench):
    bench.store.fail = JournalError("the disk is full", writable=True)
    errors = []
    bench.orders.set_state(TradingState.HALTED, "", "me", errors.append, bench.now)
    bench.turn()

    assert TradingState.HALTED is bench.orders.state
    assert [JournalError] == [type(error) for error in errors]


def test_a_halt_stops_what_is_on_its_way_to_disk(bench):
    reply = bench.submit()
    bench.orders.set_state(TradingState.HALTED, "stop", "me", lambda _: None, bench.now)
    bench.turn()

    assert "DENIED(HALTED)" == reply.outcome
    assert [] == bench.news()


def test_reducing_lets_closes_pass(bench):
    bench.orders.set_state(TradingState.REDUCING, "", "me", lambda _: None, bench.now)
    bench.turn()
    opened = bench.order()
    bench.order("2", Method.POSITION_CLOSE, {"position": 5})
    bench.order("3", Method.POSITION_MODIFY, {"position": 5, "sl": 1.0})
    bench.order("4", Method.ORDER_CANCEL, {"order": 6})

    assert "DENIED(REDUCING)" == opened.outcome
    assert ["c/2", "c/3", "c/4"] == bench.news()


def test_an_administrator_passes_a_halt(bench):
    bench.orders.set_state(TradingState.HALTED, "", "me", lambda _: None, bench.now)
    bench.turn()
    bench.order(admin=True)
    (new,) = bench.taken(New)

    assert NewFlag.ADMIN == new.flags
