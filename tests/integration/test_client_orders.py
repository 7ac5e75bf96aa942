"""Orders of both clients against a relay of real sockets that does what the test says.

What matters: an order is never sent under another id, a lost answer is asked for again under
the same, and nothing but the relay's own word ever says that an order was not executed.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter

import msgpack
import pytest

from bridge import AsyncClient, Client
from bridge.bus.bodies import pack_body
from bridge.bus.orders import order_result
from bridge.bus.requests import TRADING_METHODS, Method
from bridge.bus.topics import exact
from bridge.client.trade import DealInfo, OrderResult
from bridge.client.values import AccountEvent, PositionEvent, TradeEvent
from bridge.exceptions import (
    InvalidRequest,
    OrderDenied,
    OrderUnknown,
    RelayUnreachable,
    RequestError,
    RequestRefused,
    TerminalUnavailable,
)
from bridge.model.trade import AccountRecord, DealRecord, OrderRecord, PositionRecord, asdict
from tests.support.relay_model import Refusal, RelayModel
from tests.support.scripted_relay import DEADLINE_S, ScriptedRelay

SHORT_S = 0.8


class Journal:
    """
    A relay's order path: each id is executed once, and answered with what became of it.

    ``script``: what happens to the requests in turn, then all are answered: ``"lose"`` executes
    and says nothing, ``"drop"`` does neither, ``"garble"`` executes and answers nonsense, a
    ``Refusal`` is an error reply.
    """

    def __init__(self, script=(), **result):
        self.script = list(script)
        self.known = {"outcome": "DONE", "final": True, "order": 5, **result}
        self.executed = []
        self.requests = []

    def __call__(self, request):
        self.requests.append(request)
        what = self.script.pop(0) if self.script else "answer"
        if isinstance(what, Refusal):
            raise what
        if what == "drop":
            return None
        name = request["client_id"], request["client_order_id"]
        replayed = name in self.executed
        if not replayed:
            self.executed.append(name)
        if what == "lose":
            return None
        if what == "garble":
            return msgpack.packb({"v": 1, "id": request["id"], "ok": "certainly"})
        return order_result(
            **self.known,
            command_id="/".join(name),
            client_order_id=name[1],
            replayed=replayed,
        )


@pytest.fixture
def relay():
    """
    Return a running relay.
    """
    with ScriptedRelay(RelayModel()) as scripted:
        yield scripted


@pytest.fixture
def client(relay):
    """
    Return a connected client that may trade; its thread has ended when the test has.
    """
    with Client(relay.endpoint, client_id="me", timeout=DEADLINE_S) as connected:
        yield connected
    assert not connected._parts.engine._thread.is_alive()


def journal_of(relay, *script, method="order_send", **result):
    journal = Journal(script, **result)
    relay.answers[method] = journal
    return journal


# --- calls


CALLS = {
    Method.ORDER_SEND: (
        "order_send",
        ["DEAL"],
        {"type": "BUY", "symbol": "EURUSD", "volume": 0.1, "comment": "mine"},
        {"action": "DEAL", "type": "BUY", "symbol": "EURUSD", "volume": 0.1, "comment": "mine"},
    ),
    Method.ORDER_MODIFY: ("order_modify", [5], {"price": 1.5}, {"order": 5, "price": 1.5}),
    Method.POSITION_MODIFY: (
        "position_modify",
        [7],
        {"sl": 0, "tp_points": 100},
        {"position": 7, "sl": 0, "tp_points": 100},
    ),
    Method.POSITION_CLOSE: (
        "position_close",
        [7],
        {"volume": 0.1},
        {"position": 7, "volume": 0.1},
    ),
    Method.POSITION_CLOSE_BY: (
        "position_close_by",
        [7, 8],
        {},
        {"position": 7, "position_by": 8},
    ),
    Method.ORDER_CANCEL: ("order_cancel", [5], {}, {"order": 5}),
    Method.CLOSE_ALL: (
        "close_all",
        [],
        {"symbol": "EURUSD", "orders": True},
        {"symbol": "EURUSD", "positions": True, "orders": True},
    ),
}


def test_every_trading_method_has_its_call():
    assert TRADING_METHODS == set(CALLS)


@pytest.mark.parametrize("method", sorted(CALLS))
def test_both_clients_ask_the_same(relay, method):
    name, arguments, fields, params = CALLS[method]
    journal = journal_of(relay, method=method)

    async def main():
        async with AsyncClient(relay.endpoint, client_id="me") as mt:
            return await getattr(mt, name)(*arguments, **fields, client_order_id="2")

    with Client(relay.endpoint, client_id="me") as mt:
        first = getattr(mt, name)(*arguments, **fields, client_order_id="1")
    second = asyncio.run(main())

    assert ("me/1", "me/2") == (first.command_id, second.command_id)
    assert [params, params] == [request["params"] for request in journal.requests]
    assert ["demo", "demo"] == [request["terminal"] for request in journal.requests]


@pytest.mark.parametrize(("name", "kind"), [("buy", 0), ("sell", 1)])
def test_buy_and_sell_are_deals(relay, client, name, kind):
    journal = journal_of(relay)

    getattr(client, name)("EURUSD", 0.1, sl_points=200, tp=1.5, magic=3, client_order_id="1")

    assert {
        "action": 1,
        "type": kind,
        "symbol": "EURUSD",
        "volume": 0.1,
        "sl_points": 200,
        "tp": 1.5,
        "magic": 3,
    } == journal.requests[0]["params"]


def test_what_is_read(relay, client):
    relay.answers |= {
        "positions": lambda _: {"positions": [asdict(PositionRecord(ticket=7))]},
        "orders": lambda _: {"orders": [asdict(OrderRecord(ticket=8))]},
        "account": lambda _: {"account": asdict(AccountRecord(login=5))},
        "order_check": lambda _: {"retcode": 10019, "retcode_name": "NO_MONEY"},
        "order_status": lambda _: order_result(outcome="UNKNOWN"),
    }

    assert [7] == [one.ticket for one in client.positions("EURUSD")]
    assert [8] == [one.ticket for one in client.orders(magic=3)]
    assert 5 == client.account().login
    assert not client.order_check("DEAL", type="BUY", symbol="EURUSD", volume=0.1).passed
    assert client.order_status("9").unknown
    assert {"client_id": "me", "client_order_id": "9"} == (relay.asked("order_status")[0]["params"])


def test_the_same_from_asyncio(relay):
    relay.answers |= {
        "positions": lambda _: {"positions": [asdict(PositionRecord(ticket=7))]},
        "orders": lambda _: {"orders": [asdict(OrderRecord(ticket=8))]},
        "account": lambda _: {"account": asdict(AccountRecord(login=5))},
        "order_check": lambda _: {"retcode": 0},
        "order_status": lambda _: order_result(outcome="DONE"),
    }

    async def main():
        async with AsyncClient(relay.endpoint, client_id="me") as mt:
            assert [7] == [one.ticket for one in await mt.positions()]
            assert [8] == [one.ticket for one in await mt.orders()]
            assert 5 == (await mt.account()).login
            assert (await mt.order_check("REMOVE", order=5)).passed
            assert (await mt.order_status(command_id="other/1")).done
            journal_of(relay, outcome="DENIED", reason="HALTED")
            with pytest.raises(OrderDenied):
                await mt.sell("EURUSD", 0.1, client_order_id="1", raise_on_reject=True)

    asyncio.run(main())


def test_what_is_wrong_is_told_without_asking_anybody(relay):
    with Client(relay.endpoint, client_id="me") as mt:
        with pytest.raises(InvalidRequest, match="volume"):
            mt.buy("EURUSD", float("nan"), client_order_id="1")
        with pytest.raises(InvalidRequest, match="timeout"):
            mt.buy("EURUSD", 0.1, client_order_id="1", timeout=-1)
    with Client(relay.endpoint) as mt, pytest.raises(InvalidRequest, match="client_id"):
        mt.buy("EURUSD", 0.1, client_order_id="1")

    assert [] == relay.asked("order_send")


# --- answers that do not come


@pytest.mark.parametrize("lost", ["lose", "drop", "garble"])
def test_a_lost_answer_is_asked_for_again_under_the_same_id(relay, client, lost):
    journal = journal_of(relay, lost)

    result = client.buy("EURUSD", 0.1, client_order_id="run-17", timeout=4.0)

    assert result.done
    assert result.replayed == (lost != "drop")
    assert [("me", "run-17")] == journal.executed
    assert 2 == len(journal.requests)
    assert journal.requests[0]["params"] == journal.requests[1]["params"]
    assert journal.requests[0]["valid_for_ms"] > journal.requests[1]["valid_for_ms"]


def test_the_first_answer_counts_also_when_it_comes_late(relay, client):
    """
    The answer to the first question comes after the second question was sent.
    """
    asked = threading.Event()
    ids = []

    def answer(request):
        ids.append(request["id"])
        if len(ids) == 1:
            return None
        asked.set()
        result = order_result(outcome="DONE", order=5)
        return msgpack.packb({"v": 1, "id": ids[0], "ok": True, "result": result})

    relay.answers["order_send"] = answer
    result = client.buy("EURUSD", 0.1, client_order_id="1", timeout=4.0)

    assert asked.is_set()
    assert 5 == result.order


def test_at_its_deadline_an_order_without_an_answer_is_unknown(relay, client):
    journal = journal_of(relay, *["lose"] * 99)

    with pytest.raises(OrderUnknown) as caught:
        client.buy("EURUSD", 0.1, client_order_id="run-17", timeout=SHORT_S)

    assert ("me", "run-17") == (caught.value.client_id, caught.value.client_order_id)
    assert "may have been executed" in str(caught.value)
    assert "order_status('run-17')" in str(caught.value)
    assert {("me", "run-17")} == {
        (request["client_id"], request["client_order_id"]) for request in journal.requests
    }
    # It may be asked for again later, and is still the same order.
    journal.script.clear()
    assert client.buy("EURUSD", 0.1, client_order_id="run-17").replayed
    assert [("me", "run-17")] == journal.executed


def test_the_same_from_asyncio_at_its_deadline(relay):
    journal_of(relay, *["lose"] * 99)

    async def main():
        async with AsyncClient(relay.endpoint, client_id="me") as mt:
            with pytest.raises(OrderUnknown, match="may have been executed"):
                await mt.buy("EURUSD", 0.1, client_order_id="1", timeout=SHORT_S)

    asyncio.run(main())


def test_what_only_reads_is_asked_twice(relay, client):
    asked = []
    relay.answers["account"] = asked.append

    with pytest.raises(RelayUnreachable, match="nothing answered account"):
        client._run(client._parts.orders.account(), SHORT_S)
    assert 2 == len(asked)


# --- errors: nothing left the relay, or nobody knows


def test_an_error_means_that_nothing_was_sent(relay, client):
    journal = journal_of(relay, Refusal("TERMINAL_UNAVAILABLE", "away", "terminal"))

    with pytest.raises(TerminalUnavailable) as caught:
        client.buy("EURUSD", 0.1, client_order_id="1")

    assert "terminal" == caught.value.hop
    assert 1 == len(journal.requests)


def test_an_error_after_a_lost_answer_proves_nothing(relay, client):
    """
    The first question was executed. That the second was refused does not undo it.
    """
    refusals = [Refusal("TOO_MANY_REQUESTS", "too many")] * 99
    journal = journal_of(relay, "lose", *refusals)

    with pytest.raises(OrderUnknown, match="last heard: too many"):
        client.buy("EURUSD", 0.1, client_order_id="1", timeout=SHORT_S)
    assert [("me", "1")] == journal.executed


def test_errors_to_every_question_prove_that_nothing_was_sent(relay, client):
    ids = []

    def answer(request):
        ids.append(request["id"])
        if len(ids) == 1:
            return None
        # First the second question is refused, with that the first one as well.
        error = Refusal("NOT_ALLOWED", "no").error
        relay._router.send_multipart(
            [relay_peer[0], msgpack.packb({"v": 1, "id": ids[1], "ok": False, "error": error})]
        )
        return msgpack.packb({"v": 1, "id": ids[0], "ok": False, "error": error})

    relay_peer = []
    answered = relay._answer

    def remember(frames):
        relay_peer[:] = [frames[0]]
        answered(frames)

    relay._answer = remember
    relay.answers["order_send"] = answer

    with pytest.raises(RequestRefused, match="NOT_ALLOWED"):
        client.buy("EURUSD", 0.1, client_order_id="1", timeout=4.0)


def test_a_defect_of_the_relay_proves_nothing(relay, client):
    journal = journal_of(relay, Refusal("INTERNAL", "a defect"))

    assert client.buy("EURUSD", 0.1, client_order_id="1", timeout=4.0).done
    assert 2 == len(journal.requests)

    journal_of(relay, *[Refusal("INTERNAL", "a defect")] * 99)
    with pytest.raises(OrderUnknown, match="last heard: a defect"):
        client.buy("EURUSD", 0.1, client_order_id="2", timeout=SHORT_S)


def test_a_result_that_cannot_be_read_is_unknown(relay, client):
    relay.answers["order_send"] = lambda _: {"outcome": 7}

    with pytest.raises(OrderUnknown, match="cannot be read"):
        client.buy("EURUSD", 0.1, client_order_id="1")


def test_without_a_relay_nothing_was_sent(relay, client):
    relay.stop()
    # What ZeroMQ takes before it has noticed may have been sent.
    with contextlib.suppress(OrderUnknown, RelayUnreachable):
        client.buy("EURUSD", 0.1, client_order_id="1", timeout=SHORT_S)

    with pytest.raises(RelayUnreachable):
        client.buy("EURUSD", 0.1, client_order_id="2", timeout=SHORT_S)


def test_what_waited_for_a_relay_that_comes_back_is_sent_once(relay, client):
    journal = journal_of(relay)
    results = []
    relay.stop()
    buyer = threading.Thread(
        target=lambda: results.append(client.buy("EURUSD", 0.1, client_order_id="1"))
    )
    buyer.start()
    relay.start()
    buyer.join(DEADLINE_S)

    assert [True] == [result.done for result in results]
    assert [("me", "1")] == journal.executed


def test_a_relay_that_is_restarted_is_asked_again_for_the_same_order(relay, client):
    """
    The answer was on its way when the relay ended; its journal knows the order.
    """
    journal = journal_of(relay, "lose")
    results = []
    buyer = threading.Thread(
        target=lambda: results.append(client.buy("EURUSD", 0.1, client_order_id="1"))
    )
    buyer.start()
    relay.wait_for(lambda: journal.executed)
    relay.stop()
    relay.start()
    buyer.join(DEADLINE_S)

    assert [(True, True)] == [(result.done, result.replayed) for result in results]
    assert [("me", "1")] == journal.executed


def test_closing_the_client_leaves_an_open_order_unknown(relay):
    journal = journal_of(relay, *["lose"] * 99)
    errors = []
    mt = Client(relay.endpoint, client_id="me", timeout=DEADLINE_S)

    def buy():
        with pytest.raises(OrderUnknown) as caught:
            mt.buy("EURUSD", 0.1, client_order_id="1")
        errors.append(caught.value)

    buyer = threading.Thread(target=buy)
    buyer.start()
    relay.wait_for(lambda: journal.executed)
    mt.close()
    buyer.join(DEADLINE_S)

    assert ["the client is closed; the order may have been executed"] == [
        error.message for error in errors
    ]


def test_threads_with_one_id_make_one_order(relay, client):
    journal = journal_of(relay, "lose", "drop")
    results = []

    def buy():
        results.append(client.buy("EURUSD", 0.1, client_order_id="1", timeout=4.0))

    buyers = [threading.Thread(target=buy) for _ in range(5)]
    for buyer in buyers:
        buyer.start()
    for buyer in buyers:
        buyer.join(DEADLINE_S)

    assert [True] * 5 == [result.done for result in results]
    assert [("me", "1")] == journal.executed


def test_whatever_happens_to_questions_and_answers_an_order_is_what_it_is_said_to_be(relay, rng):
    """
    Questions and answers are lost, spoilt and refused at random. Each order is executed once at
    most, and never when its call says that it was not.
    """
    faults = ["lose", "drop", "garble", "internal", "refuse", "answer", "answer"]
    executed = Counter()

    def answer(request):
        name = request["client_order_id"]
        fault = rng.choice(faults)
        if fault == "refuse" and name in executed:
            fault = "late refusal"
        if fault == "refuse":
            raise Refusal("NOT_ALLOWED", "no")
        if fault == "late refusal":
            raise Refusal("TOO_MANY_REQUESTS", "later")
        if fault == "drop":
            return None
        executed[name] = 1
        if fault == "internal":
            raise Refusal("INTERNAL", "a defect")
        if fault == "lose":
            return None
        if fault == "garble":
            return msgpack.packb({"v": 1, "id": request["id"]})
        return order_result(outcome="DONE", final=True, client_order_id=name)

    relay.answers["order_send"] = answer

    async def one(mt, name):
        try:
            return (await mt.buy("EURUSD", 0.1, client_order_id=name, timeout=SHORT_S)).outcome
        except RequestError as error:
            return type(error)

    async def main():
        async with AsyncClient(relay.endpoint, client_id="me") as mt:
            names = [f"order-{number}" for number in range(200)]
            ends = await asyncio.gather(*(one(mt, name) for name in names))
            return dict(zip(names, ends, strict=True))

    ends = asyncio.run(main())

    assert {name for name, end in ends.items() if end == "DONE"} <= set(executed)
    refused = {name for name, end in ends.items() if end is RequestRefused}
    assert set() == refused & set(executed)
    assert set(ends.values()) <= {"DONE", RequestRefused, OrderUnknown}
    assert {"DONE", RequestRefused, OrderUnknown} <= set(ends.values())
    sent = {(r["client_id"], r["client_order_id"]) for r in relay.asked("order_send")}
    assert {("me", name) for name in ends} == sent


# --- what is published


DEAL = asdict(DealRecord(ticket=9, order=5, symbol="EURUSD", volume=0.1))


def publish(relay, topic, *fields):
    def command():
        state = relay.model.topic(topic)
        state.seq += 1
        body = pack_body(state.epoch, state.seq, *fields)
        state.held[state.seq] = body
        relay.model._changed.add(topic)
        relay._publisher.send(exact(topic) + body)

    relay.run(command)


def test_trades_begin_with_the_next_one(relay, client):
    publish(relay, "trade/demo", 1, "DEAL", False, DEAL)
    with client.trades(timeout=DEADLINE_S) as trades:
        publish(relay, "trade/demo", 2, "DEAL", True, {**DEAL, "ticket": 10})
        publish(relay, "trade/demo", 3, "ORDER_LIFE", False, order_result(outcome="DONE"))
        publish(relay, "trade/demo", 4, "SOMETHING_NEW", False, {"a": 1})
        deal, life, new = next(trades), next(trades), next(trades)

    assert isinstance(deal.record, DealInfo)
    assert ("demo", 2, 2, "DEAL", True, 10) == (
        deal.terminal,
        deal.seq,
        deal.time_utc_msc,
        deal.kind,
        deal.recovered,
        deal.record.ticket,
    )
    assert isinstance(life.record, OrderResult)
    assert {"a": 1} == new.record


def test_lost_trades_are_replayed(relay, client):
    def lost():
        state = relay.model.topic("trade/demo")
        state.seq += 1
        state.held[state.seq] = pack_body(state.epoch, state.seq, 1, "DEAL", False, DEAL)

    with client.trades(timeout=DEADLINE_S) as trades:
        relay.run(lost)
        publish(relay, "trade/demo", 2, "DEAL", False, DEAL)

        assert [1, 2] == [next(trades).seq for _ in range(2)]


def test_trades_from_asyncio(relay):
    async def main():
        async with (
            AsyncClient(relay.endpoint, client_id="me") as mt,
            mt.trades(timeout=DEADLINE_S) as trades,
        ):
            await asyncio.to_thread(publish, relay, "trade/demo", 1, "DEAL", False, DEAL)
            return await anext(trades)

    assert 9 == asyncio.run(main()).record.ticket


def test_events_of_the_account_and_its_positions(relay, client):
    publish(relay, "trade/demo", 1, "DEAL", False, DEAL)
    publish(relay, "account/demo", 1, asdict(AccountRecord(login=5)))
    publish(relay, "position/demo", 1, [asdict(PositionRecord(ticket=7))])
    with client.events("trade/demo", "account/demo", "position/demo", timeout=DEADLINE_S) as all_:
        found = {type(event): event for event in (next(all_), next(all_), next(all_))}

    assert {TradeEvent, AccountEvent, PositionEvent} == set(found)
    assert 5 == found[AccountEvent].account.login
    assert [7] == [one.ticket for one in found[PositionEvent].positions]


def test_silence_of_trades_is_explained(relay, client):
    with client.trades(timeout=0.05) as trades, pytest.raises(Exception, match="no trade event"):
        next(trades)


def test_waiting_for_answers_costs_no_time(relay, client):
    """
    The engine waits for the next thing to do, and does not ask again before it is time.
    """
    journal = journal_of(relay)
    started = time.monotonic()
    for number in range(50):
        client.buy("EURUSD", 0.1, client_order_id=str(number))

    assert 50 == len(journal.requests)
    assert time.monotonic() - started < DEADLINE_S
