"""
The strategies of ``examples/`` trade on the simulated terminal, and the broker's own ledger says
what really happened.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from bridge.model.trade import order_tag
from bridge.sim.exchange_rules import BrokerRules
from tests.support.program import Program
from tests.support.turning_market import BAR_MS, TurningMarket

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CLIENT_ID = "ma-test"
SETTINGS = ["--fast", "3", "--slow", "8", "--bar-ms", str(BAR_MS), "--client-id", CLIENT_ID]
#: 2019: no strategy may take these for prices of now.
LONG_AGO_MSC = 1_546_383_600_000


@pytest.fixture(params=["python", "node"])
def start(request, tmp_path):
    """
    Return what starts a strategy: the same arguments, in Python and in Node.js.
    """
    state = ["--state", str(tmp_path / "state.json")]
    if request.param == "node":
        folder = request.getfixturevalue("node_client")
        return lambda endpoint, *more: Program(
            ["node", "strategy.mjs", endpoint, "demo", "EURUSD", *SETTINGS, *state, *more], folder
        )
    program = [sys.executable, "-u", str(EXAMPLES / "moving_average.py"), "EURUSD"]
    return lambda endpoint, *more: Program(
        [*program, "--endpoint", endpoint, "--terminal", "demo", *SETTINGS, *state, *more]
    )


def accounted_for(market: TurningMarket, results: list[dict]) -> None:
    """
    Every order of the strategy was executed once, and the broker has no other ones.
    """
    ledger = market.exchange.ledger()
    done = {line["id"] for line in results if line["outcome"] == "DONE"}
    tags = {order_tag(f"{CLIENT_ID}/{name}") for name in done}

    assert dict.fromkeys(done, 1) == {name: market.executions(CLIENT_ID, name) for name in done}
    assert tags == {ledger.tags[order.ticket] for order in ledger.orders}


@pytest.mark.parametrize("netting", [False, True], ids=["hedging", "netting"])
def test_a_strategy_trades_and_every_order_is_accounted_for(start, tmp_path, netting):
    """It turns its one position at each crossing: close and open, sell and buy by turns."""
    with TurningMarket(tmp_path, netting=netting) as market:
        with start(market.endpoint, "--max-age-ms", "0", "--max-orders", "5") as program:
            assert program.end() == 0, (program.said, program.err)

    results = program.results()
    sides = Counter(deal.type for deal in market.exchange.ledger().deals if deal.order)

    assert ["DONE"] * 5 == [line["outcome"] for line in results]
    assert ["open", "close", "open", "close", "open"] == [
        line["id"].split(":")[2] for line in results
    ]
    assert len(market.exchange.positions()) == 1
    assert {2, 3} == set(sides.values())
    assert not (tmp_path / "state.json").exists()
    accounted_for(market, results)


def test_a_strategy_that_is_killed_and_started_again_trades_nothing_twice(start, tmp_path):
    with TurningMarket(tmp_path) as market:
        results = []
        for runs in range(3):
            more = ["--max-age-ms", "0", *(["--max-orders", "2"] if runs == 2 else [])]
            with start(market.endpoint, *more) as program:
                if runs < 2:
                    program.wait_for(lambda said=program: len(said.results("DONE")) >= 2)
                    program.kill()
                else:
                    assert program.end() == 0, (program.said, program.err)
                results += program.said

    ends = {
        line["id"]: line["outcome"] for line in results if line["event"] in {"result", "recovered"}
    }
    executed = Counter(market.exchange.ledger().tags.values())

    assert set(executed.values()) == {1}
    assert len(market.exchange.positions()) <= 1
    # What was said is what happened: also of an order that the kill kept from being sent.
    assert {name: outcome == "DONE" for name, outcome in ends.items()} == {
        name: order_tag(f"{CLIENT_ID}/{name}") in executed for name in ends
    }, results


def test_an_answer_that_is_lost_is_found_out(start, tmp_path):
    """
    The broker executes, its answer never comes, and its traces show after the deadline only:
    UNKNOWN, then DONE, and nothing twice.
    """
    delay = (1_500, 1_500)
    rules = BrokerRules(
        lose_reply=1.0, reply_timeout_ms=100, visibility_ms=delay, state_delay_ms=delay
    )
    with TurningMarket(tmp_path, rules=rules) as market:
        with start(
            market.endpoint, "--max-age-ms", "0", "--max-orders", "2", "--valid-ms", "700"
        ) as program:
            assert program.end() == 0, (program.said, program.err)

    unknown = [line["id"] for line in program.said if line["event"] == "unknown"]

    assert unknown == [line["id"] for line in program.results("DONE")]
    assert len(unknown) == 2
    accounted_for(market, program.results())


def test_prices_of_the_past_are_not_traded(start, tmp_path):
    with TurningMarket(tmp_path, start_msc=LONG_AGO_MSC) as market:
        with start(market.endpoint) as program:
            program.wait_for(lambda: [line for line in program.said if line["event"] == "passed"])
            program.kill()

    assert market.exchange.ledger().orders == ()


def test_what_the_bridge_denies_is_told_and_not_traded(start, tmp_path):
    with TurningMarket(tmp_path, trading={"max_volume": 0.05}) as market:
        with start(market.endpoint, "--max-age-ms", "0") as program:
            program.wait_for(lambda: len(program.results()) >= 2)
            program.kill()

    assert {("DENIED", "VOLUME_LIMIT")} == {
        (line["outcome"], line["reason"]) for line in program.results()
    }
    assert market.exchange.ledger().orders == ()


def test_an_intent_that_was_never_sent_is_forgotten(start, tmp_path):
    """Killed between writing the name and sending the order."""
    (tmp_path / "state.json").write_text(json.dumps({"id": "s.EURUSD:1:open"}))
    with TurningMarket(tmp_path) as market:
        with start(market.endpoint, "--max-age-ms", "0", "--max-orders", "1") as program:
            assert program.end() == 0, (program.said, program.err)

    assert {"event": "recovered", "id": "s.EURUSD:1:open", "outcome": "NEVER_SENT"} in program.said
    accounted_for(market, program.results())
