"""``bridge.sim.trading``: what nobody knows for a while, and results that come later."""

from __future__ import annotations

import dataclasses

import pytest

from bridge.model.enums import AccountMarginMode, TradeRetcode
from bridge.model.trade import order_tag
from bridge.sim.account import Account
from bridge.sim.ledger import MemoryLedger
from bridge.wire.messages import EventCursor, QueriedCommand
from bridge.wire.spec import Evidence, OrderOutcome
from tests.support.desk_bench import INCARNATION, REMOVE, DeskBench, buy, request, sell
from tests.support.desk_outcomes import (
    DONE,
    INTENT,
    NOT_FOUND,
    PLACED,
    UNKNOWN,
    limit_buy,
    outcome,
    rule,
)


@pytest.fixture
def bench():
    return DeskBench().connect()


# UNKNOWN and QUERY ------------------------------------------------------------------------


def test_a_lost_reply_is_unknown_and_then_told_by_itself(bench):
    """
    The order is there, so the events show it: nobody has to ask.
    """
    rule(bench, lose_reply=1.0, reply_timeout_ms=2_000)
    bench.send(bench.new(buy(), "test/a"))
    bench.advance(3_000)

    assert [UNKNOWN, DONE] == [outcome(one) for one in bench.results]
    assert TradeRetcode.TIMEOUT == bench.results[0].retcode
    assert Evidence.HISTORY_DEALS == bench.results[1].evidence
    assert 1 == bench.executions("test/a")


def test_an_end_is_told_with_all_of_its_deals(bench):
    """
    Its position shows a moment before its deals.
    """
    rule(bench, lose_reply=1.0, reply_timeout_ms=100, visibility_ms=(1_000, 1_000))
    bench.send(bench.new(buy(), "test/a"))
    bench.advance(300)
    early = bench.query("test/a", settle_ms=3_000)["test/a"]
    bench.advance(1_200)
    late = bench.query("test/a", settle_ms=3_000)["test/a"]

    assert [INTENT, DONE] == [outcome(early), outcome(late)]
    assert 1 == len(late.deals)
    assert late.order == late.position


def short_in_netting():
    """
    Return the bench of a netting account that is short, and sees its deals after a minute.
    """
    account = Account(
        login=1001, server="Demo-Server", margin_mode=AccountMarginMode.RETAIL_NETTING
    )
    bench = DeskBench(account=account).connect()
    bench.send(bench.new(sell(0.1), "test/a"))
    bench.advance(1_000)
    rule(bench, fill_ms=(100, 100), visibility_ms=(60_000, 60_000))
    return bench


def test_an_order_that_reversed_a_position_is_not_taken_for_the_one_that_opened_it():
    """
    Its position has its ticket, the identifier of before, and less than it has traded.
    """
    netting = short_in_netting()
    rule(netting, lose_reply=1.0, reply_timeout_ms=200, visibility_ms=(60_000, 60_000))
    netting.send(netting.new(buy(0.3), "test/b"))
    netting.advance(40_000)
    early = netting.query("test/b", settle_ms=3_000)["test/b"]
    netting.advance(50_000)
    found = netting.query("test/b", settle_ms=3_000)["test/b"]
    (deal,) = netting.exchange.ledger().deals_of(order_tag("test/b"))

    assert UNKNOWN is outcome(early)
    assert (DONE, 0.3) == (outcome(found), found.volume)
    assert (deal.order, (deal.ticket,)) == (found.order, found.deals)


def test_a_position_adds_nothing_to_an_order_that_is_known_to_be_placed(bench):
    rule(bench, fill_ms=(100, 100), visibility_ms=(60_000, 60_000))
    bench.send(bench.new(buy(0.3), "test/a"))
    bench.advance(1_000)
    placed = bench.query("test/a", settle_ms=500)["test/a"]

    assert (PLACED, 0.0) == (outcome(placed), placed.volume)


def test_a_position_that_another_order_has_traded_in_does_not_tell_how_much_was_an_orders_own():
    netting = short_in_netting()
    rule(netting, lose_reply=1.0, reply_timeout_ms=10, visibility_ms=(60_000, 60_000))
    for name in ("test/b", "test/c"):
        netting.send(netting.new(buy(0.1, symbol="GBPUSD"), name))
        netting.advance(5_000)
    early = netting.query("test/b", settle_ms=3_000)["test/b"]
    netting.advance(90_000)
    late = netting.query("test/b", settle_ms=3_000)["test/b"]

    assert UNKNOWN is outcome(early)
    assert "its position has changed since" in early.text
    assert (DONE, 0.1) == (outcome(late), late.volume)


def test_deals_that_never_show_are_not_waited_for_any_longer_than_the_settle_time(bench):
    rule(bench, lose_reply=1.0, reply_timeout_ms=100, visibility_ms=(60_000, 60_000))
    bench.send(bench.new(buy(), "test/a"))
    bench.advance(3_500)
    late = bench.query("test/a", settle_ms=3_000)["test/a"]

    assert (DONE, Evidence.POSITIONS) == (outcome(late), late.evidence)
    assert late.order == late.position > 0


def test_a_lost_request_is_not_found_after_the_settle_time(bench):
    rule(bench, lose_request=1.0, reply_timeout_ms=1_000)
    bench.send(bench.new(buy(), "test/a"))
    bench.advance(1_100)
    early = bench.query("test/a", settle_ms=3_000)["test/a"]
    bench.advance(2_500)
    still = bench.query("test/a", settle_ms=3_000)["test/a"]
    bench.advance(600)
    late = bench.query("test/a", settle_ms=3_000)["test/a"]
    again = bench.order(buy(), "test/a")

    assert [INTENT, INTENT, NOT_FOUND] == [outcome(one) for one in (early, still, late)]
    assert NOT_FOUND is outcome(again)
    assert 0 == bench.executions("test/a")


def test_the_settle_time_does_not_run_without_the_trade_server(bench):
    rule(bench, lose_request=1.0, reply_timeout_ms=500)
    bench.send(bench.new(buy(), "test/a"))
    bench.advance(600)
    rule(bench, connected=False)
    bench.advance(5_000)
    away = bench.query("test/a", settle_ms=2_000)["test/a"]
    rule(bench, connected=True)
    bench.advance(1_000)
    back = bench.query("test/a", settle_ms=2_000)["test/a"]
    bench.advance(1_500)
    settled = bench.query("test/a", settle_ms=2_000)["test/a"]

    assert [INTENT, INTENT, NOT_FOUND] == [outcome(one) for one in (away, back, settled)]


def test_the_settle_time_begins_anew_with_the_program(bench):
    """
    Its clock began anew, and the wall clock is no measure.
    """
    rule(bench, lose_request=1.0, reply_timeout_ms=500)
    bench.send(bench.new(buy(), "test/a"))
    bench.advance(5_000)
    bench.crash().connect()
    bench.advance(1_000)
    early = bench.query("test/a", settle_ms=2_000)["test/a"]
    bench.advance(1_500)
    late = bench.query("test/a", settle_ms=2_000)["test/a"]

    assert [INTENT, NOT_FOUND] == [outcome(early), outcome(late)]


def test_a_program_killed_inside_of_the_call_finds_what_it_sent(bench):
    rule(bench, execution_ms=(300, 300))
    bench.send(bench.new(buy(), "test/a"))
    bench.crash().connect()
    early = bench.query("test/a")["test/a"]
    bench.advance(400)
    late = bench.query("test/a")["test/a"]

    assert [INTENT, DONE] == [outcome(early), outcome(late)]
    assert late.replayed
    assert 1 == len(late.deals)


def test_a_program_killed_between_intent_and_call_did_not_execute(bench):
    """
    The ledger has the intent, the broker nothing: after the settle time that is the truth.
    """
    bench.exchange.order_send = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        bench.send(bench.new(buy(), "test/a"))
    del bench.exchange.order_send
    bench.crash().connect()
    early = bench.query("test/a", settle_ms=1_000)["test/a"]
    bench.advance(1_100)
    late = bench.query("test/a", settle_ms=1_000)["test/a"]

    assert [INTENT, NOT_FOUND] == [outcome(early), outcome(late)]
    assert 0 == bench.executions("test/a")


def test_deals_that_are_late_correct_a_not_found(bench):
    """
    The settle time was too short: the broker's word counts, and everybody is told.
    """
    rule(bench, execution_ms=(5_000, 5_000), lose_reply=1.0, reply_timeout_ms=200)
    bench.send(bench.new(buy(), "test/a"))
    bench.advance(300)
    bench.advance(1_000)
    wrong = bench.query("test/a", settle_ms=500)["test/a"]
    bench.advance(5_000)

    assert NOT_FOUND is outcome(wrong)
    assert DONE is outcome(bench.results[-1])
    assert DONE is bench.ledger.find("test/a").outcome


def test_an_id_that_the_ledger_does_not_know_was_never_seen(bench):
    answer = bench.query("test/a")["test/a"]

    assert (OrderOutcome.NEVER_SEEN, INCARNATION) == (outcome(answer), answer.incarnation)


def test_an_end_is_answered_from_the_ledger(bench):
    first = bench.order(buy(), "test/a")
    answer = bench.query("test/a")["test/a"]

    assert dataclasses.replace(first, replayed=True, evidence=int(Evidence.LEDGER)) == answer


def test_every_id_of_a_query_gets_one_answer(bench):
    bench.order(buy(), "test/0")
    before = len(bench.results)
    names = [f"test/{number}" for number in range(64)]
    bench.query(*names)

    assert names == [result.command_id for result in bench.results[before:]]


def test_a_ledger_that_is_lost_leaves_the_brokers_word(bench):
    """
    Rule 4 of QUERY: found is found, and nothing found is for a person to decide.
    """
    sent_msc = bench.server_msc - 120 * 60_000
    wanted = {
        "test/a": buy(0.2, magic=3),
        "test/b": limit_buy(),
        "test/never": buy(0.7, magic=3),
    }
    bench.order(wanted["test/a"], "test/a")
    bench.order(wanted["test/b"], "test/b")
    bench.ledger = MemoryLedger(bytes(range(16, 32)))
    bench.crash().connect()
    bench.advance(10_000)
    answers = bench.query(
        *wanted,
        settle_ms=0,
        commands=[
            QueriedCommand(order_tag(name), sent_msc, 0, one) for name, one in wanted.items()
        ],
    )

    assert [DONE, PLACED, UNKNOWN] == [outcome(answers[name]) for name in wanted]
    assert {bench.ledger.incarnation} == {one.incarnation for one in answers.values()}


# Later RESULTs ------------------------------------------------------------------------------


def test_a_request_that_was_taken_is_placed_and_then_done(bench):
    rule(bench, fill_ms=(500, 500))
    bench.send(bench.new(buy(0.2), "test/a"))
    bench.advance(1_000)

    assert [PLACED, DONE] == [outcome(one) for one in bench.results]
    assert (0.2, 1) == (bench.results[1].volume, len(bench.results[1].deals))
    assert TradeRetcode.PLACED == bench.results[1].retcode


def test_a_pending_order_that_is_filled_later_is_done(bench):
    bench.order(limit_buy(1.05), "test/a")
    bench.advance(1_000)
    bench.quote(1.0400, 1.0401)
    bench.advance(1_000)

    assert [PLACED, DONE] == [outcome(one) for one in bench.results]
    (position,) = bench.exchange.positions()
    assert position.ticket == bench.results[1].position


def test_a_pending_order_that_is_cancelled_stays_placed(bench):
    placed = bench.order(limit_buy(1.05), "test/a")
    bench.order(request(REMOVE, order=placed.order), "test/b")
    bench.advance(2_000)

    assert [PLACED, DONE] == [outcome(one) for one in bench.results]
    assert PLACED is outcome(bench.query("test/a")["test/a"])


def test_what_ended_while_the_relay_was_away_is_told_with_its_events(bench):
    bench.order(limit_buy(1.05), "test/a")
    bench.advance(200)
    bench.place = EventCursor(bench.server_msc, 0)
    bench.disconnect()
    bench.quote(1.0400, 1.0401)
    bench.advance(1_000)
    bench.connect().advance(200)

    assert [PLACED, DONE] == [outcome(one) for one in bench.results]


def test_an_answer_that_was_lost_on_the_way_is_told_again_with_its_events(bench):
    bench.place = EventCursor(bench.server_msc, 0)
    rule(bench, execution_ms=(100, 100))
    bench.send(bench.new(buy(), "test/a"))
    bench.disconnect().advance(500).connect().advance(200)

    assert [DONE] == [outcome(one) for one in bench.results]
    assert bench.results[0].replayed


def test_what_is_done_is_not_told_twice(bench):
    bench.order(buy(), "test/a")
    bench.advance(5_000)

    assert 1 == len(bench.results)
