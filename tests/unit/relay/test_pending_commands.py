"""What waits before its reservation has left no trace, and ends in its time."""

from __future__ import annotations

import pytest

from bridge.bus.requests import ErrorName, Method
from bridge.relay.asks import Answer
from bridge.wire.messages import New
from bridge.wire.spec import DenyReason, NewFlag, OrderOutcome, Permission
from tests.support.orders import BUY, LIMIT, SECOND, OrderBench


@pytest.fixture
def bench():
    made = OrderBench()
    made.connect()
    return made


def make_bench(*, netting=False, **settings):
    made = OrderBench(**settings)
    made.connect(netting=netting)
    return made


def position(ticket, symbol="EURUSD", **fields):
    return {"ticket": ticket, "symbol": symbol, "magic": 0, "time_msc": ticket, **fields}


# --- the policy ----------------------------------------------------------------------------------


def test_trading_is_off_until_it_is_enabled():
    bench = make_bench(enabled=False)

    assert "DENIED(TRADING_DISABLED)" == bench.submit().outcome


@pytest.mark.parametrize(
    ("settings", "params", "reason"),
    [
        ({"symbols": ["GBPUSD"]}, BUY, "SYMBOL_NOT_ALLOWED"),
        ({"max_volume": 0.05}, BUY, "VOLUME_LIMIT"),
        ({"max_price_age_ms": 1000}, BUY, "STALE_PRICE"),
    ],
)
def test_a_denial_names_the_rule_and_sends_nothing(settings, params, reason):
    bench = make_bench(**settings)
    bench.view.price_age = None
    reply = bench.order(params=params)

    assert f"DENIED({reason})" == reply.outcome
    assert [] == bench.news()
    assert bench.journal.find("c/1") is None


def test_orders_per_minute_count_over_a_restart():
    bench = make_bench(max_orders_per_minute=2)
    for name in ("1", "2"):
        bench.order(name)
        bench.answer(f"c/{name}")

    assert "DENIED(RATE_LIMIT)" == bench.order("3").outcome

    bench.start()
    bench.connect()

    assert "DENIED(RATE_LIMIT)" == bench.order("3").outcome

    bench.wait(61 * SECOND)

    assert "" == bench.order("3").outcome


def test_orders_under_way_count_as_positions():
    bench = make_bench(max_open_positions=2)
    bench.view.symbols = ["EURUSD"]
    bench.order("1")

    assert "DENIED(POSITION_LIMIT)" == bench.order("2").outcome

    bench.answer("c/1", OrderOutcome.REJECTED, retcode=10019)

    assert "" == bench.order("2").outcome


def test_what_was_opened_is_told_to_the_holdings(bench):
    """They count it until a reading shows it."""
    bench.order("1")
    bench.answer("c/1")
    bench.order("2", Method.POSITION_CLOSE, {"position": 5})
    bench.answer("c/2")

    assert ["EURUSD", ""] == bench.view.ended


@pytest.mark.parametrize("flag", list(Permission))
def test_a_missing_permission_says_where_to_click(bench, flag):
    bench.view.permissions = Permission(0b11111) & ~flag
    reply = bench.submit()
    reason = "NOT_CONNECTED" if flag is Permission.TERMINAL_CONNECTED else "NOT_PERMITTED"

    assert f"DENIED({reason})" == reply.outcome
    assert flag.name in reply.results[0]["message"]
    assert reply.results[0]["hint"]


# --- waiting ---------------------------------------------------------------------------------------


def test_right_after_the_logon_an_order_waits_for_the_first_heartbeat(bench):
    bench.view.permissions = None
    bench.submit()
    bench.turn()

    assert [] == bench.news()

    bench.view.permissions = Permission(0b11111)
    bench.orders.stir()
    bench.turn()

    assert ["c/1"] == bench.news()


def test_while_the_terminal_is_busy_an_order_waits(bench):
    bench.view.busy_us = bench.us + 2 * SECOND
    bench.order()

    assert [] == bench.news()
    assert bench.journal.find("c/1") is None

    bench.wait(2 * SECOND)

    assert ["c/1"] == bench.news()


def test_an_order_that_cannot_wait_so_long_is_denied_and_its_id_is_free(bench):
    bench.view.busy_us = bench.us + 60 * SECOND
    reply = bench.order()
    bench.wait(3 * SECOND)

    assert "DENIED(TERMINAL_BUSY)" == reply.outcome
    assert "" == bench.status()


def test_a_waiting_order_is_judged_again(bench):
    bench.view.busy_us = bench.us + 2 * SECOND
    reply = bench.order()
    bench.view.permissions = Permission(0)
    bench.wait(2 * SECOND)

    assert "DENIED(NOT_CONNECTED)" == reply.outcome
    assert [] == bench.news()


def test_a_waiting_order_ends_with_the_link(bench):
    bench.view.busy_us = bench.us + 2 * SECOND
    reply = bench.order()
    bench.cut()

    assert "DENIED(TERMINAL_AWAY)" == reply.outcome


def test_more_than_a_reasonable_number_does_not_wait(bench):
    bench = make_bench(max_orders_per_minute=0)
    bench.view.busy_us = bench.us + 2 * SECOND
    opened = [bench.submit(str(number)) for number in range(65)]
    closed = [
        bench.submit(f"close{number}", Method.POSITION_CLOSE, {"position": number + 1})
        for number in range(193)
    ]

    assert ["DENIED(TERMINAL_BUSY)"] == [one.outcome for one in opened if one.is_used]
    assert ["DENIED(TOO_MANY)"] == [one.outcome for one in closed if one.is_used]


# --- netting ---------------------------------------------------------------------------------------------


def test_in_netting_a_second_close_waits_for_the_first():
    bench = make_bench(netting=True)
    bench.view.tickets = {5: "EURUSD"}
    bench.order("1", Method.POSITION_CLOSE, {"position": 5})
    second = bench.order("2", Method.POSITION_CLOSE, {"position": 5})

    assert (["c/1"], False) == (bench.news(), second.is_used)

    bench.answer("c/1")

    assert ["c/2"] == bench.news()


@pytest.mark.parametrize("tickets", [{5: "EURUSD"}, {}])
def test_in_netting_a_close_of_an_unresolved_symbol_is_denied_in_the_end(tickets):
    """Also when nobody knows which symbol the position is of."""
    bench = make_bench(netting=True)
    bench.view.tickets = tickets
    bench.order("1", valid_for_ms=100)
    second = bench.order("2", Method.POSITION_CLOSE, {"position": 5})
    bench.wait(3 * SECOND)

    assert "DENIED(UNRESOLVED)" == second.outcome
    assert "" == bench.status("c/2")


def test_in_netting_another_symbol_does_not_wait():
    bench = make_bench(netting=True)
    bench.view.tickets = {5: "GBPUSD"}
    bench.order("1")
    bench.order("2", Method.POSITION_CLOSE, {"position": 5})

    assert ["c/1", "c/2"] == bench.news()


def test_with_hedging_no_close_waits(bench):
    bench.view.tickets = {5: "EURUSD"}
    bench.order("1", Method.POSITION_CLOSE, {"position": 5})
    bench.order("2", Method.POSITION_CLOSE, {"position": 5})
    news = bench.taken(New)

    assert ["c/1", "c/2"] == [new.command_id for new in news]
    # The terminal closes no more than is open.
    assert {int(NewFlag.REDUCE_ONLY)} == {new.flags for new in news}


def test_what_changes_no_volume_leaves_nothing_unresolved():
    bench = make_bench(netting=True)
    bench.view.tickets = {5: "EURUSD"}
    bench.order("1", Method.POSITION_MODIFY, {"position": 5, "sl": 1.0}, valid_for_ms=100)
    bench.wait(SECOND)
    bench.order("2", Method.POSITION_CLOSE, {"position": 5})

    assert ["c/1", "c/2"] == bench.news()


# --- close_all ---------------------------------------------------------------------------------------------


def close_all(bench, positions=(), orders=None, **params):
    reply = bench.order("all", Method.CLOSE_ALL, {"orders": orders is not None, **params})
    bench.read("positions", list(positions))
    if orders is not None:
        bench.read("orders", list(orders))
    return reply


def test_close_all_closes_every_position_under_an_id_of_its_own(bench):
    reply = close_all(bench, [position(12), position(11)])
    news = bench.taken(New)

    # The oldest first: accounts with FIFO rules take no other order.
    assert [("c/all/11", 11), ("c/all/12", 12)] == [
        (new.command_id, new.request.position) for new in news
    ]
    assert {(int(NewFlag.REDUCE_ONLY), None)} == {(new.flags, new.request.volume) for new in news}

    bench.answer("c/all/11")

    assert not reply.is_used

    bench.answer("c/all/12")
    (result,) = reply.results

    assert ("DONE", True) == (result["outcome"], result["final"])
    assert [("c/all/11", "DONE"), ("c/all/12", "DONE")] == [
        (child["command_id"], child["outcome"]) for child in result["children"]
    ]
    assert {"all"} == {child["client_order_id"] for child in result["children"]}


def test_close_all_also_cancels_the_rest_of_an_order_that_is_filled_in_part(bench):
    """It has its position's ticket: one id for both would leave it standing."""
    close_all(bench, [position(11)], [position(11), position(12)])

    assert [("c/all/11", 11, None), ("c/all/11-order", None, 11), ("c/all/12", None, 12)] == [
        (new.command_id, new.request.position, new.request.order) for new in bench.taken(New)
    ]


def test_nothing_of_close_all_is_sent_before_all_of_it_is_on_disk(bench):
    bench.order("all", Method.CLOSE_ALL, {})
    commits = bench.store.commits
    (_, _, done, _) = bench.view.asked.pop()
    done(Answer({"positions": [position(11), position(12)]}))
    bench.orders.poll(bench.now)

    assert [] == bench.news()

    bench.store.flush()
    bench.orders.poll(bench.now)

    assert (1, ["c/all/11", "c/all/12"]) == (bench.store.commits - commits, bench.news())


def test_close_all_takes_only_what_was_asked_for(bench):
    """Whatever the terminal answers."""
    close_all(
        bench,
        [position(1), position(2, "GBPUSD"), position(3, magic=7), position(4, "GBPUSD", magic=7)],
        [position(5, magic=7), position(6)],
        symbol="EURUSD",
        magic=7,
    )

    assert ["c/all/3", "c/all/5"] == bench.news()


def test_close_all_of_nothing_is_denied_and_its_id_is_free(bench):
    reply = close_all(bench)

    assert "DENIED(NOTHING_TO_CLOSE)" == reply.outcome
    assert bench.journal.find("c/all") is None


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ((OrderOutcome.DONE, OrderOutcome.REJECTED), "PARTIAL"),
        ((OrderOutcome.REJECTED, OrderOutcome.DENIED), "REJECTED"),
        ((OrderOutcome.DENIED, OrderOutcome.REJECTED), "DENIED(NOTHING_TO_CLOSE)"),
        ((OrderOutcome.PARTIAL, OrderOutcome.DONE), "PARTIAL"),
    ],
)
def test_the_end_of_close_all_is_made_of_its_parts(bench, outcomes, expected):
    reply = close_all(bench, [position(11), position(12)])
    for ticket, outcome in zip((11, 12), outcomes, strict=True):
        reason = DenyReason.NOTHING_TO_CLOSE if outcome is OrderOutcome.DENIED else 0
        bench.answer(f"c/all/{ticket}", outcome, reason=reason)

    assert expected == reply.outcome
    assert 2 == len(reply.results[0]["children"])


def test_while_a_part_is_unknown_so_is_close_all(bench):
    reply = close_all(bench, [position(11), position(12)])
    bench.answer("c/all/11")
    bench.cut()
    (result,) = reply.results

    assert ("UNKNOWN", False) == (result["outcome"], result["final"])
    assert ["DONE", "UNKNOWN"] == [child["outcome"] for child in result["children"]]

    bench.connect()

    assert ["c/all/12"] == bench.asked()

    bench.answer("c/all/12", OrderOutcome.DONE)

    assert "DONE" == bench.status("c/all")


def test_the_next_relay_finds_out_about_the_parts(bench):
    close_all(bench, [position(11), position(12)])
    bench.answer("c/all/11")
    bench.start()
    again = bench.submit("all", Method.CLOSE_ALL, {"orders": False})
    bench.connect()

    assert ["c/all/12"] == bench.asked()

    bench.answer("c/all/12", OrderOutcome.DONE)

    assert ("DONE", True) == (again.outcome, again.results[0]["replayed"])
    assert ["DONE", "DONE"] == [child["outcome"] for child in again.results[0]["children"]]


def test_a_kill_between_the_last_part_and_the_whole_leaves_the_whole_to_the_next_relay(bench):
    close_all(bench, [position(11)])
    bench.tell("c/all/11", OrderOutcome.DONE)
    bench.store.flush()
    bench.start()
    bench.turn()

    assert "DONE" == bench.status("c/all")


def test_when_the_terminal_cannot_be_read_nothing_was_done(bench):
    reply = bench.order("all", Method.CLOSE_ALL, {"orders": True})
    (_, _, done, _) = bench.view.asked[1]
    done(Answer(code=ErrorName.TERMINAL_ERROR, message="no"))
    bench.turn()
    bench.view.asked[0][2](Answer({"positions": [position(1)]}))
    bench.turn()

    assert ("TERMINAL_ERROR", []) == (reply.outcome, bench.news())
    assert bench.journal.find("c/all") is None


@pytest.mark.parametrize(
    "value", [None, {}, {"positions": 1}, {"positions": [1]}, {"positions": [{"ticket": "1"}]}]
)
def test_an_answer_that_is_no_list_of_positions_closes_nothing(bench, value):
    reply = bench.order("all", Method.CLOSE_ALL, {})
    bench.view.asked[0][2](Answer(value))
    bench.turn()

    assert ("TERMINAL_ERROR", []) == (reply.outcome, bench.news())


def test_close_all_waits_for_a_busy_terminal_between_its_parts(bench):
    close_all(bench, [position(11)])
    bench.news()
    reply = bench.order("more", Method.CLOSE_ALL, {})
    bench.view.busy_us = bench.us + SECOND
    bench.read("positions", [position(12)])

    assert ([], False) == (bench.news(), reply.is_used)

    bench.wait(SECOND)

    assert ["c/more/12"] == bench.news()


def test_pending_orders_are_cancelled(bench):
    reply = bench.order("all", Method.CLOSE_ALL, {"positions": False, "orders": True})
    bench.read("orders", [position(21)])
    (new,) = bench.taken(New)

    assert ("c/all/21", 8, 21) == (new.command_id, new.request.action, new.request.order)

    bench.answer("c/all/21")

    assert "DONE" == reply.outcome


def test_a_pending_order_opens_and_a_cancel_does_not(bench):
    bench = make_bench(symbols=["GBPUSD"])
    opened = bench.order("1", params=LIMIT)
    bench.order("2", Method.ORDER_CANCEL, {"order": 5})

    assert ("DENIED(SYMBOL_NOT_ALLOWED)", ["c/2"]) == (opened.outcome, bench.news())
