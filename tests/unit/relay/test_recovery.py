"""After a cut or a crash: first what is open, then what is new; and a way out meanwhile."""

from __future__ import annotations

import pytest

from bridge.bus.requests import Method
from bridge.wire.spec import OrderOutcome
from tests.support.orders import BUY, LEDGER, SECOND, OrderBench

OPENINGS = {
    "a deal": (Method.ORDER_SEND, {**BUY, "symbol": "GBPUSD"}),
    "a pending order": (
        Method.ORDER_SEND,
        {**BUY, "symbol": "GBPUSD", "action": "PENDING", "type": "BUY_LIMIT", "price": 1.05},
    ),
    "a change": (Method.POSITION_MODIFY, {"position": 7, "sl": 1.0}),
}
CLOSES = {
    "a close": (Method.POSITION_CLOSE, {"position": 7}),
    "a close-by": (Method.POSITION_CLOSE_BY, {"position": 7, "position_by": 8}),
}
CANCEL = (Method.ORDER_CANCEL, {"order": 9})


def cut(bench, netting):
    bench.cut()
    bench.connect(netting=netting)


def kill_the_relay(bench, netting):
    bench.start()
    bench.connect(netting=netting)


def replace_the_session(bench, netting):
    """The terminal is back before its old connection was seen to end."""
    bench.orders.link_down(bench.now)
    bench.connect(netting=netting)


WAYS = [cut, kill_the_relay, replace_the_session]


def recovering(way, *, netting=False, symbol="EURUSD"):
    """
    Return a bench whose terminal is back and was asked for one order that it did not answer yet.
    """
    bench = OrderBench()
    bench.connect(netting=netting)
    bench.order("1", params={**BUY, "symbol": symbol})
    bench.news()
    way(bench, netting)
    bench.view.tickets.update({7: "EURUSD", 8: "EURUSD", 9: "EURUSD"})

    assert ["c/1"] == bench.asked()
    return bench


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("opening", OPENINGS)
def test_what_opens_or_changes_waits_for_the_answers_about_earlier_orders(way, opening):
    bench = recovering(way)
    method, params = OPENINGS[opening]
    bench.order("2", method, params)

    assert [] == bench.news()

    bench.answer("c/1", OrderOutcome.UNKNOWN)

    assert ["c/2"] == bench.news()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("close", CLOSES)
def test_closes_pass_meanwhile_where_positions_are_apart(way, close):
    bench = recovering(way)
    method, params = CLOSES[close]
    bench.order("2", method, params)

    assert ["c/2"] == bench.news()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("netting", [False, True])
def test_cancels_pass_meanwhile(way, netting):
    bench = recovering(way, netting=netting)
    bench.order("2", *CANCEL)

    assert ["c/2"] == bench.news()


@pytest.mark.parametrize("way", WAYS)
def test_in_netting_a_close_needs_the_state_of_its_symbol(way):
    bench = recovering(way, netting=True)
    method, params = CLOSES["a close"]
    reply = bench.order("2", method, params)

    assert [] == bench.news()

    bench.answer("c/1", OrderOutcome.UNKNOWN)

    assert [] == bench.news()

    bench.wait(3 * SECOND)

    assert "DENIED(UNRESOLVED)" == reply.outcome


@pytest.mark.parametrize("way", WAYS)
def test_in_netting_a_close_of_another_symbol_passes_meanwhile(way):
    bench = recovering(way, netting=True, symbol="GBPUSD")
    bench.order("2", *CLOSES["a close"])

    assert ["c/2"] == bench.news()


@pytest.mark.parametrize("way", WAYS)
def test_in_netting_a_close_of_a_ticket_that_nobody_knows_waits(way):
    bench = recovering(way, netting=True, symbol="GBPUSD")
    bench.order("2", Method.POSITION_CLOSE, {"position": 77})

    assert [] == bench.news()


def test_everything_can_be_closed_while_an_order_is_not_answered():
    bench = recovering(cut)
    bench.order("2", Method.CLOSE_ALL, {"orders": True})
    bench.read("positions", [{"ticket": 7, "symbol": "EURUSD", "magic": 0, "time_msc": 1}])
    bench.read("orders", [{"ticket": 9, "symbol": "EURUSD", "magic": 0}])

    assert ["c/2/7", "c/2/9"] == bench.news()


def test_a_terminal_that_never_answers_does_not_keep_anybody_in():
    """The one question stays open for a minute; a way out is there all the time."""
    bench = recovering(cut)
    for at in range(6):
        bench.wait(10 * SECOND)
        bench.order(f"close{at}", *CLOSES["a close"])

        assert [f"c/close{at}"] == bench.news()

        bench.answer(f"c/close{at}")

    opening = bench.order("2", params=BUY)
    bench.wait(5 * SECOND)

    assert "DENIED(UNRESOLVED)" == opening.outcome


def test_what_was_never_seen_waits_for_the_other_answers_before_it_is_sent_again():
    bench = OrderBench()
    bench.connect()
    for name in ("1", "2"):
        bench.order(name, params={**BUY, "volume": float(name)}, valid_for_ms=30_000)
    bench.news()
    cut(bench, netting=False)
    bench.answer("c/1", OrderOutcome.NEVER_SEEN, incarnation=LEDGER)

    assert [] == bench.news()

    bench.answer("c/2", OrderOutcome.DONE)

    assert ["c/1"] == bench.news()
