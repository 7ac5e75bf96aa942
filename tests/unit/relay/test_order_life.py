"""What ``order_status`` tells of a command: every step, what is waited for, what to do."""

from __future__ import annotations

import dataclasses

import pytest

from bridge.bus.orders import STATUS_DEFAULTS, STEP_DEFAULTS
from bridge.bus.requests import Method
from bridge.exceptions import JournalError
from bridge.relay.order_life import life_of
from bridge.wire.spec import OrderOutcome
from tests.support.orders import BUY, LIMIT, MS, OTHER_LEDGER, SECOND, FakeReply, OrderBench

CLOSE_ALL = Method.CLOSE_ALL


@pytest.fixture
def bench():
    made = OrderBench()
    made.connect()
    return made


def life(bench, name="c/1"):
    return bench.orders.status(name)["life"]


def steps(bench, name="c/1"):
    return [one["step"] for one in life(bench, name)]


def waiting(bench, name="c/1"):
    status = bench.orders.status(name)
    return status["waiting_for"], status["advice"]


# --- the steps --------------------------------------------------------------------------------


def test_a_plain_order_was_reserved_sent_and_answered(bench):
    bench.order()
    bench.us += 30 * MS
    bench.answer("c/1", order=11, deal=12, volume=0.1, text="Request executed")
    reserved, sent, result = life(bench)

    assert ["RESERVED", "SENT", "RESULT"] == steps(bench)
    assert list(STEP_DEFAULTS) == list(reserved) == list(sent) == list(result)
    assert ("DONE", "TRADE_SERVER", 10009, "DONE", 11, 12, 0.1, "Request executed") == tuple(
        result[name]
        for name in (
            "said",
            "evidence",
            "retcode",
            "retcode_name",
            "order",
            "deal",
            "volume",
            "text",
        )
    )
    assert (False, True) == (sent["changed"], result["changed"])


def test_each_step_has_both_clocks(bench):
    bench.order()
    before = bench.now
    bench.us += 30 * MS
    bench.answer("c/1")
    sent, result = life(bench)[1:]

    assert (before.utc_msc, before.us) == (sent["time_utc_msc"], sent["relay_us"])
    assert (30, 30_000, 1) == (
        result["time_utc_msc"] - sent["time_utc_msc"],
        result["relay_us"] - sent["relay_us"],
        result["relay_epoch"],
    )


def test_a_status_has_the_fields_of_a_result_and_of_a_life(bench):
    reply = bench.order()
    bench.answer("c/1")

    assert [*reply.results[0], *STATUS_DEFAULTS] == list(bench.orders.status("c/1"))


def test_a_cut_and_the_questions_behind_it_are_steps(bench):
    bench.order()
    bench.cut()
    bench.connect()
    bench.answer("c/1", OrderOutcome.UNKNOWN, evidence=1, text="no trace yet", retcode=10012)
    bench.wait(60 * SECOND)
    bench.answer("c/1", OrderOutcome.NOT_FOUND, evidence=8)
    told = [(one["step"], one["said"], one["changed"]) for one in life(bench)]

    assert [
        ("RESERVED", "", False),
        ("SENT", "", False),
        ("LINK_LOST", "", False),
        ("ASKED", "", False),
        ("RESULT", "UNKNOWN", True),
        ("ASKED", "", False),
        ("RESULT", "NOT_FOUND", True),
    ] == told

    asked = life(bench)[5]

    assert asked["times"] > 3
    assert asked["last_utc_msc"] > asked["time_utc_msc"]


def test_a_life_goes_on_with_another_relay(bench):
    bench.order()
    bench.start()
    bench.connect()
    bench.answer("c/1")
    told = [(one["step"], one["relay_epoch"]) for one in life(bench)]

    assert [("RESERVED", 1), ("RESTORED", 2), ("ASKED", 2), ("RESULT", 2)] == told

    bench.start()

    assert told == [(one["step"], one["relay_epoch"]) for one in life(bench)]


def test_what_was_known_at_a_kill_is_still_told(bench):
    bench.order()
    bench.cut()
    bench.connect()
    bench.answer("c/1", OrderOutcome.UNKNOWN, text="no trace yet")
    bench.start()
    bench.turn()

    assert ["RESERVED", "SENT", "LINK_LOST", "ASKED", "RESULT", "RESTORED"] == steps(bench)


def test_what_was_sent_again_was_never_seen_before(bench):
    bench.order(valid_for_ms=30_000)
    bench.cut()
    bench.connect()
    bench.answer("c/1", OrderOutcome.NEVER_SEEN)
    bench.answer("c/1")

    assert ["RESERVED", "SENT", "LINK_LOST", "ASKED", "RESULT", "SENT", "RESULT"] == steps(bench)
    assert "NEVER_SEEN" == life(bench)[4]["said"]


def test_what_was_not_sent_after_all_says_why(bench):
    bench.submit()
    bench.orders.link_down(bench.now)
    bench.turn()
    reserved, not_sent = life(bench)

    assert ("RESERVED", "NOT_SENT", "DENIED") == (
        reserved["step"],
        not_sent["step"],
        not_sent["said"],
    )
    assert "link" in not_sent["text"]


def test_a_correction_names_the_deal_that_was_noticed(bench):
    bench.order()
    bench.cut()
    bench.connect()
    bench.answer("c/1", OrderOutcome.NOT_FOUND)
    tag = bench.orders.status("c/1")["tag"]
    bench.orders.noticed(tag, deal=12, order=11, position=13, now=bench.now)
    bench.turn()
    last = life(bench)[-1]

    assert ("NOTICED", 12, 11, True, True, "HISTORY_DEALS") == (
        last["step"],
        last["deal"],
        last["order"],
        last["changed"],
        last["corrected"],
        last["evidence"],
    )
    assert "bridge resume" in waiting(bench)[1]


def test_a_person_is_named_with_the_evidence(bench):
    bench.order()
    bench.cut()
    bench.orders.resolve(
        "c/1",
        executed=True,
        evidence="the broker's statement",
        who="the control endpoint",
        order=11,
        deal=0,
        reply=FakeReply(),
        now=bench.now,
    )
    bench.turn()
    last = life(bench)[-1]

    assert ("RESOLVED", "DONE", "the control endpoint", "the broker's statement", True) == (
        last["step"],
        last["said"],
        last["who"],
        last["text"],
        last["changed"],
    )


def test_a_close_all_and_its_parts_have_lives_of_their_own(bench):
    bench.order("1", CLOSE_ALL, {"orders": True})
    bench.read("positions", [{"ticket": 7, "symbol": "EURUSD", "time_msc": 1}])
    bench.read("orders", [{"ticket": 8, "symbol": "EURUSD"}])

    assert "2 of its 2 parts" in waiting(bench)[0]

    bench.answer("c/1/7")

    assert "1 of its 2 parts" in waiting(bench)[0]

    bench.answer("c/1/8")

    assert ["RESERVED", "PARTS"] == steps(bench)
    assert ["RESERVED", "SENT", "RESULT"] == steps(bench, "c/1/8")
    assert ["c/1/7", "c/1/8"] == [
        child["command_id"] for child in bench.orders.status("c/1")["children"]
    ]


def test_of_an_entry_of_an_earlier_version_the_first_and_the_last_step_are_known(bench):
    bench.order()
    bench.answer("c/1", order=11)
    told = life_of(dataclasses.replace(bench.journal.find("c/1"), life=()))

    assert ["RESERVED", "RESULT"] == [one["step"] for one in told]
    assert 11 == told[1]["order"]


def test_a_number_of_a_later_version_is_told_as_it_is(bench):
    bench.order()
    bench.answer("c/1", 77, evidence=99)

    assert ("77", "99") == (life(bench)[-1]["said"], life(bench)[-1]["evidence"])


def test_what_the_terminal_writes_cannot_move_a_persons_cursor(bench):
    bench.order()
    bench.answer("c/1", OrderOutcome.REJECTED, text="no\x1b[2J money")

    assert "\x1b" not in life(bench)[-1]["text"]


def test_steps_cost_no_write_of_their_own(bench):
    bench.order()
    commits = bench.store.commits
    bench.cut()
    bench.connect()
    bench.wait(60 * SECOND)

    assert commits == bench.store.commits
    assert "ASKED" in steps(bench)


def test_what_was_said_is_told_though_the_disk_lost_it(bench):
    bench.order()
    bench.store.fail = JournalError("the disk is gone")
    bench.answer("c/1")

    assert "RESULT" == steps(bench)[-1]
    assert "UNKNOWN" == bench.status()


# --- what is waited for -----------------------------------------------------------------------


def test_what_waits_at_the_relay_has_no_life_yet(bench):
    bench.view.busy_us = bench.us + 60 * SECOND
    bench.submit()

    assert [] == life(bench)
    assert "busy" in waiting(bench)[0]
    assert "nothing was sent" in waiting(bench)[1]


def test_what_has_its_end_waits_for_nothing(bench):
    bench.order()
    bench.answer("c/1")

    assert ("", "") == waiting(bench)


def test_a_pending_order_that_stands_can_be_followed(bench):
    bench.order(params=LIMIT)
    bench.answer("c/1", OrderOutcome.PLACED, retcode=10008)

    assert "" == waiting(bench)[0]
    assert "bridge orders" in waiting(bench)[1]


def on_the_way_to_disk(bench):
    bench.submit()


def sent(bench):
    bench.order()


def link_lost(bench):
    bench.order()
    bench.cut()


def another_account(bench):
    link_lost(bench)
    bench.connect(login=2002)


def no_trading_session(bench):
    link_lost(bench)
    bench.connect(may_trade=False)


def asked(bench):
    link_lost(bench)
    bench.connect()


def busy(bench):
    asked(bench)
    bench.view.busy_us = bench.us + 60 * SECOND


def no_trace_yet(bench):
    asked(bench)
    bench.answer("c/1", OrderOutcome.UNKNOWN)


def deals_to_come(bench):
    bench.order()
    bench.answer("c/1", OrderOutcome.PLACED)


def another_ledger(bench):
    link_lost(bench)
    bench.connect(incarnation=OTHER_LEDGER)
    bench.answer("c/1", OrderOutcome.NOT_FOUND, incarnation=OTHER_LEDGER)


def end_on_its_way_to_disk(bench):
    bench.order()
    bench.tell("c/1", OrderOutcome.DONE)


@pytest.mark.parametrize(
    ("situation", "what", "to_do"),
    [
        (on_the_way_to_disk, "disk", "moment"),
        (end_on_its_way_to_disk, "disk", "moment"),
        (sent, "the terminal's answer", "never send it under another id"),
        (link_lost, "not connected", "start MetaTrader"),
        (another_account, "account 1001 at Demo-Server", "bridge order resolve c/1"),
        (no_trading_session, "a session of the terminal that trades", "another id"),
        (asked, "answer to a question", "another id"),
        (busy, "busy", "another id"),
        (no_trace_yet, "settle time", "bridge order resolve c/1"),
        (deals_to_come, "its deals", "closes of its symbol"),
        (another_ledger, "without its ledger", "history"),
    ],
)
def test_each_situation_says_what_is_waited_for_and_what_to_do(bench, situation, what, to_do):
    situation(bench)
    found, advice = waiting(bench)

    assert what in found
    assert to_do in advice


def test_a_command_that_waits_for_earlier_answers_says_so(bench):
    bench.order()
    bench.cut()
    bench.connect()
    bench.submit("2", params={**BUY, "symbol": "GBPUSD"})

    assert "earlier orders" in waiting(bench, "c/2")[0]


def test_an_end_is_told_when_it_is_on_disk(bench):
    end_on_its_way_to_disk(bench)

    assert ("UNKNOWN", False) == (bench.status(), bench.orders.status("c/1")["final"])

    bench.turn()

    assert ("DONE", True) == (bench.status(), bench.orders.status("c/1")["final"])
