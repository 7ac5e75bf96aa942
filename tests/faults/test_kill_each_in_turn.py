"""Relay, terminal and client as processes, each killed in turn with orders open.

At the end every order that the client ever asked for has an end that is true of the broker's own
books: executed once where it says so, not at all where it does not, and nothing else is there.
"""

from __future__ import annotations

import random
import threading

import pytest

from bridge.model.enums import OrderState, OrderType
from bridge.model.trade import order_tag
from tests.support.relay import RelayProcess
from tests.support.strategy import CLIENT_ID, StrategyLog, StrategyProcess
from tests.support.trading import Trader, TradingProcess

TRADING = {"enabled": True, "settle_ms": 1500, "max_orders_per_minute": 0, "answer_ms": 1000}
#: A broker that takes its time, refuses some, loses answers, and shows its deals late.
RULES = {
    "execution_ms": [0, 40],
    "reply_ms": [0, 40],
    "visibility_ms": [0, 300],
    "reject": 0.05,
    "lose_reply": 0.05,
    "reply_timeout_ms": 200,
}
EXECUTED = {"DONE", "PARTIAL", "PLACED"}
ROUNDS = 2


def open_orders(trader):
    return trader.asker.ask("status")["trading"][0]["open_orders"]


def open_orders_after_some_ended(trader, folder, before):
    """
    Return how many orders are open, 0 unless a few have ended since the last kill.
    """
    return open_orders(trader) if len(StrategyLog(folder).ends) >= before + 5 else 0


def replayed(trader):
    """
    Return every body of trade/demo, page by page.
    """
    (state,) = trader.asker.ask("snapshot", {"topics": ["trade/demo"]})["topics"]
    bodies, first = [], 1
    while first is not None:
        asked = {"topic": "trade/demo", "epoch": state["epoch"], "first": first}
        page = trader.asker.ask("replay", asked)
        bodies += page["messages"]
        first = page["next"]
    return bodies


@pytest.mark.slow
@pytest.mark.parametrize("netting", [False, True])
def test_every_order_is_accounted_for_against_the_brokers_own_books(tmp_path, seed, netting):
    """Twice around."""
    rng = random.Random(f"{seed}/{netting}")
    terminals = {"demo": {"trading": TRADING}}
    with RelayProcess(tmp_path, terminals=terminals) as relay:
        endpoints = relay.endpoints
        terminal = TradingProcess(
            endpoints.terminal, relay.keys["demo"], tmp_path / "terminal", netting=netting, **RULES
        )
        strategy = StrategyProcess(endpoints.request, tmp_path, seed)
        with terminal, strategy, Trader(endpoints.request, "watch") as watch:
            killed_with = []
            for victim in (relay, terminal, strategy) * ROUNDS:
                watch.ready()
                ended = len(StrategyLog(strategy.log_path).ends)
                killed_with.append(
                    watch.until(
                        lambda ended=ended: open_orders_after_some_ended(
                            watch, strategy.log_path, ended
                        )
                    )
                )
                # At any step of what is open.
                threading.Event().wait(rng.random() * 0.05)
                victim.kill()
                victim.start()
            watch.ready()
            log = strategy.finish()
            watch.until(lambda: not open_orders(watch), 60.0)
            deals_told = watch.until(lambda: settled_deals(watch, terminal), 30.0)
            statuses = {
                name: watch.asker.ask("order_status", {"command_id": f"{CLIENT_ID}/{name}"})
                for name in log.asked
            }
            terminal.kill()
            ledger = terminal.books().ledger()

    # The kills hit orders that were open, and there were enough of all ends.
    assert all(killed_with)
    assert len(log.asked) > 20
    assert {"DONE", "PLACED"} <= {end["outcome"] for end in log.ends.values()}

    # Executed once where the client was told so, not at all where it was not.
    trades = [name for name, (method, _) in log.asked.items() if method != "order_cancel"]
    executions = {name: ledger.executions_of(order_tag(f"{CLIENT_ID}/{name}")) for name in trades}
    told = {name: int(log.ends[name]["outcome"] in EXECUTED) for name in trades}
    assert told == executions

    # A cancel leaves no tag, but an order that is cancelled.
    cancelled = {
        params["order"]
        for name, (method, params) in log.asked.items()
        if method == "order_cancel" and log.ends[name]["outcome"] == "DONE"
    }
    assert cancelled == {
        order.ticket for order in ledger.orders if order.state == OrderState.CANCELED
    } & {order.ticket for order in ledger.orders if order.type == OrderType.BUY_LIMIT}

    # What the relay says now is what the client was told.
    assert {name: log.ends[name]["outcome"] for name in statuses} == {
        name: status["outcome"] for name, status in statuses.items()
    }

    # Nothing is at the broker that nobody asked for.
    tags = {order_tag(f"{CLIENT_ID}/{name}") for name in log.asked}
    assert {request.comment for request in ledger.requests if request.comment} <= tags

    # Every deal was told, once.
    assert sorted(deal.ticket for deal in ledger.deals if deal.order) == sorted(deals_told)


def settled_deals(watch, terminal):
    """
    Return the tickets of all deals that were told, once they are as many as at the broker.
    """
    deals = [body[5] for body in replayed(watch) if body[3] == "DEAL"]
    tickets = [deal["ticket"] for deal in deals if deal["order"]]
    known = terminal.kept_books().ledger().deals
    return tickets if len(tickets) >= sum(1 for deal in known if deal.order) else []
