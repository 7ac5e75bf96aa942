"""
Orders of the Node.js client against a relay that does what the test says.

``orders.mjs`` was written from the specification; the requests it sends are checked by the
relay's own models.
"""

from __future__ import annotations

import json
import threading

import pytest

from bridge.bus.orders import order_result
from bridge.bus.requests import (
    TRADING_METHODS,
    Method,
    identity_of,
    validate_params,
    validate_request,
)
from tests.support.node import DEADLINE_S, Node
from tests.support.relay_model import Refusal
from tests.support.scripted_relay import ScriptedRelay

#: Runs one expression with ``orders`` and prints what it resolved or rejected with.
DRIVER = """
import { BridgeClient } from "./bridge_client.mjs";
import { Orders } from "./orders.mjs";
const client = await BridgeClient.connect(process.argv[1]);
const orders = new Orders(client, { clientId: "node", terminal: "demo" });
const plain = (_, value) => (typeof value === "bigint" ? String(value) : value);
const told = await (async () => EXPRESSION)().then(
  (result) => ({ result }),
  (error) => ({ code: error.code, hop: error.hop, field: error.field, message: error.message }),
);
console.log(JSON.stringify(told, plain));
client.close();
"""
DONE = order_result(
    outcome="DONE", final=True, command_id="node/a", client_order_id="a", order=2**63 + 9
)


def done(request):
    return DONE


def told_by(client, relay: ScriptedRelay, expression: str) -> dict:
    script = DRIVER.replace("EXPRESSION", expression)
    with Node(client, "--input-type=module", "-e", script, relay.endpoint) as node:
        lines = node.rest()

        assert node.process.returncode == 0, node.err
    (line,) = lines
    return line


@pytest.fixture
def relay():
    with ScriptedRelay() as scripted:
        yield scripted


CALLS = [
    ("orders.buy('a', 'EURUSD', 0.1, { sl_points: 300 })", "order_send"),
    ("orders.sell('a', 'EURUSD', 1, { magic: 2n ** 64n - 1n, position: 7n })", "order_send"),
    ("orders.orderSend('a', { action: 8, order: 7 })", "order_send"),
    ("orders.orderModify('a', 2n ** 63n + 9n, { price: 1.5, tp: 0 })", "order_modify"),
    ("orders.positionModify('a', 7n, { sl: 0 })", "position_modify"),
    ("orders.positionClose('a', 7n, { volume: 0.1, validForMs: 900 })", "position_close"),
    ("orders.positionCloseBy('a', 7n, 8n)", "position_close_by"),
    ("orders.orderCancel('a', 7n)", "order_cancel"),
    ("orders.closeAll('a', { symbol: 'EURUSD', orders: true })", "close_all"),
]


@pytest.mark.parametrize(("expression", "method"), CALLS, ids=[call for call, _ in CALLS])
def test_every_call_is_a_request_that_the_relay_takes(node_client, relay, expression, method):
    relay.answers[method] = done
    result = told_by(node_client, relay, expression)["result"]
    (request,) = relay.asked(method)
    taken = validate_request(request)

    validate_params(Method(method), taken.params)
    assert identity_of(taken) == ("node", "a")
    assert taken.terminal == "demo"
    assert taken.valid_for_ms is not None
    assert (result["outcome"], result["order"]) == ("DONE", str(2**63 + 9))


def test_every_method_that_trades_is_called(node_client):
    assert {method for _, method in CALLS} == TRADING_METHODS


def test_a_lost_reply_is_asked_for_again_under_the_same_identity(node_client, relay):
    """And within the same time: an order that is lost on its way is not executed late."""
    relay.answers["order_send"] = lambda _: None if len(relay.asked("order_send")) < 2 else DONE
    result = told_by(node_client, relay, "orders.buy('a', 'EURUSD', 0.1)")["result"]
    first, second = relay.asked("order_send")

    assert result["outcome"] == "DONE"
    assert first["id"] != second["id"]
    assert {**first, "id": "", "valid_for_ms": 0} == {**second, "id": "", "valid_for_ms": 0}
    assert first["valid_for_ms"] - second["valid_for_ms"] >= 1_900


def test_no_reply_at_all_is_unknown(node_client, relay):
    relay.answers["order_send"] = lambda _: None
    result = told_by(node_client, relay, "orders.buy('a', 'EURUSD', 0.1, { validForMs: 300 })")

    assert (result["result"]["outcome"], result["result"]["final"]) == ("UNKNOWN", False)
    assert result["result"]["command_id"] == "node/a"


def refuse(code: str):
    def answer(request):
        raise Refusal(code, "no", "client", field="params.volume")

    return answer


def test_an_error_is_an_error_and_nothing_is_asked_again(node_client, relay):
    relay.answers["order_send"] = refuse("INVALID_REQUEST")
    told = told_by(node_client, relay, "orders.buy('a', 'EURUSD', 0.1)")

    assert (told["code"], told["field"]) == ("INVALID_REQUEST", "params.volume")
    assert len(relay.asked("order_send")) == 1


def test_an_error_behind_a_lost_reply_is_unknown(node_client, relay):
    """The first request may have been executed: that the second was refused says nothing of it."""

    def answer(request):
        return refuse("TOO_MANY_REQUESTS")(request) if len(relay.asked("order_send")) > 1 else None

    relay.answers["order_send"] = answer
    expression = "orders.buy('a', 'EURUSD', 0.1, { validForMs: 2500 })"

    assert told_by(node_client, relay, expression)["result"]["outcome"] == "UNKNOWN"


def test_a_defect_of_the_relay_is_unknown(node_client, relay):
    relay.answers["order_send"] = refuse("INTERNAL")
    expression = "orders.buy('a', 'EURUSD', 0.1, { validForMs: 300 })"

    assert told_by(node_client, relay, expression)["result"]["outcome"] == "UNKNOWN"


def test_an_outcome_of_a_later_version_is_unknown_until_it_is_settled(node_client, relay):
    outcomes = ["SOMETHING_NEW", "UNKNOWN", "DONE"]
    relay.answers["order_status"] = lambda _: {**DONE, "outcome": outcomes.pop(0)}

    assert told_by(node_client, relay, "orders.settled('a')")["result"]["outcome"] == "DONE"
    assert outcomes == []


def test_what_the_relay_never_heard_of_was_not_executed(node_client, relay):
    relay.answers["order_status"] = refuse("NOT_AVAILABLE")

    assert told_by(node_client, relay, "orders.settled('a')")["result"] is None


def test_reads_name_the_terminal_and_no_order(node_client, relay):
    relay.answers["positions"] = lambda _: {"positions": [{"ticket": 2**63 + 1}]}
    relay.answers["account"] = lambda _: {"account": {"balance": 1.5}}
    positions = told_by(node_client, relay, "orders.positions({ symbol: 'EURUSD' })")["result"]
    account = told_by(node_client, relay, "orders.account()")["result"]

    assert ([{"ticket": str(2**63 + 1)}], {"balance": 1.5}) == (positions, account)
    for method in ("positions", "account"):
        (request,) = relay.asked(method)

        assert validate_request(request).terminal == "demo"
        assert "client_order_id" not in request
        validate_params(Method(method), request["params"])


# --- the strategy ----------------------------------------------------------------------------


def run_strategy(client, relay: ScriptedRelay, folder, *arguments: str) -> Node:
    state = str(folder / "state.json")
    names = ["--client-id", "ma-node", "--state", state]
    return Node(client, "strategy.mjs", relay.endpoint, "demo", "EURUSD", *names, *arguments)


def test_the_strategy_does_not_trade_on_a_real_account(node_client, relay, tmp_path):
    relay.answers["account"] = lambda _: {"account": {"login": 7, "trade_mode": 2}}
    with run_strategy(node_client, relay, tmp_path) as node:
        assert node.rest() == []
        assert node.process.returncode == 1
        assert "--yes" in node.wait_for_err("[client] REAL_ACCOUNT")


def test_the_strategy_finds_out_what_its_last_run_left(node_client, relay, tmp_path):
    """Killed between sending and answer: the next run asks before it does anything else."""
    known = threading.Event()

    def status(request):
        return DONE if known.is_set() else order_result(command_id="ma-node/x")

    relay.answers["account"] = lambda _: {"account": {"trade_mode": 0, "balance": 1}}
    relay.answers["order_status"] = status
    (tmp_path / "state.json").write_text(json.dumps({"id": "x"}))
    with run_strategy(node_client, relay, tmp_path) as node:
        relay.wait_for(lambda: len(relay.asked("order_status")) > 1, DEADLINE_S)

        assert relay.asked("snapshot") == []

        known.set()
        line = node.line()

        assert {"event": "recovered", "id": "x", "outcome": "DONE"} == line
        assert {"client_id": "ma-node", "client_order_id": "x"} == {
            **relay.asked("order_status")[0]["params"]
        }
        relay.wait_for(lambda: relay.asked("snapshot"), DEADLINE_S)

        assert not (tmp_path / "state.json").exists()


@pytest.mark.parametrize(
    "arguments",
    [["--fast", "20"], ["--volume", "0"], ["--bar-ms", "0.5"], ["--nonsense"], ["one", "more"]],
)
def test_wrong_usage_is_told(node_client, relay, tmp_path, arguments):
    with run_strategy(node_client, relay, tmp_path, *arguments) as node:
        assert node.rest() == []
        assert node.process.returncode == 2
        assert len(node.err) == 1
