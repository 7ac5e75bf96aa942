"""``bridge order`` and its company against a relay that does what the test says."""

from __future__ import annotations

import json

import pytest

from bridge.bus.orders import order_result
from bridge.cli import main
from bridge.config import init_config
from bridge.model.trade import AccountRecord, OrderRecord, PositionRecord, asdict
from tests.support.relay_model import Refusal, RelayModel
from tests.support.scripted_relay import ScriptedRelay

TRADING = (
    "order_send",
    "order_modify",
    "position_modify",
    "position_close",
    "position_close_by",
    "order_cancel",
    "close_all",
)
DEMO = asdict(AccountRecord(login=5, server="Broker-Demo", currency="USD", balance=10_000.0))
REAL = {**DEMO, "trade_mode": 2, "server": "Broker-Live"}
EURUSD = asdict(
    PositionRecord(ticket=7, symbol="EURUSD", type=1, volume=0.3, time_msc=1_700_000_000_000)
)
PENDING = asdict(OrderRecord(ticket=8, symbol="EURUSD", type=2, volume_current=0.1, state=1))


@pytest.fixture
def relay():
    """
    Return a relay with a demo account, which does every order.
    """
    with ScriptedRelay(RelayModel()) as scripted:
        scripted.answers["account"] = lambda _: {"account": DEMO}
        scripted.answers["positions"] = lambda _: {"positions": [EURUSD]}
        scripted.answers["orders"] = lambda _: {"orders": [PENDING]}
        scripted.answers["order_check"] = lambda _: {"retcode": 0, "margin": 12.5}
        for method in TRADING:
            scripted.answers[method] = answering(outcome="DONE", order=5)
        yield scripted


@pytest.fixture
def bridge(relay, tmp_path, monkeypatch, capsys):
    """
    Return a function that runs a command: its exit code, stdout and stderr.
    """
    monkeypatch.setenv("BRIDGE_HOME", str(tmp_path))
    monkeypatch.delenv("BRIDGE_CONFIG", raising=False)
    monkeypatch.delenv("BRIDGE_DEBUG", raising=False)

    def run(*words):
        code = main([*words, "--endpoint", relay.endpoint])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        assert "defect" not in err
        return code, out, err

    return run


def answering(**known):
    def answer(request):
        name = f"{request['client_id']}/{request['client_order_id']}"
        return order_result(
            **{"command_id": name, "client_order_id": request["client_order_id"], **known}
        )

    return answer


def asked(relay):
    return [request for request in relay.requests if request["method"] in TRADING]


# --- what is sent


@pytest.mark.parametrize(
    ("words", "method", "params"),
    [
        (
            ["buy", "EURUSD", "0.1"],
            "order_send",
            {"action": 1, "type": 0, "symbol": "EURUSD", "volume": 0.1},
        ),
        (
            ["sell", "EURUSD", "0.1", "--sl-points", "200", "--tp", "1.5", "--magic", "3"],
            "order_send",
            {
                "action": 1,
                "type": 1,
                "symbol": "EURUSD",
                "volume": 0.1,
                "sl_points": 200,
                "tp": 1.5,
                "magic": 3,
            },
        ),
        (
            ["send", "pending", "--type", "BUY_LIMIT", "--symbol", "EURUSD", "--volume", "0.1",
             "--price", "1.05", "--type-time", "DAY", "--comment", "mine"],
            "order_send",
            {
                "action": "PENDING",
                "type": "BUY_LIMIT",
                "symbol": "EURUSD",
                "volume": 0.1,
                "price": 1.05,
                "type_time": "DAY",
                "comment": "mine",
            },
        ),
        (["send", "REMOVE", "--order", "8"], "order_send", {"action": "REMOVE", "order": 8}),
        (["modify", "--order", "8", "--price", "1.1"], "order_modify", {"order": 8, "price": 1.1}),
        (["modify", "--position", "7", "--sl", "0"], "position_modify", {"position": 7, "sl": 0.0}),
        (["cancel", "8"], "order_cancel", {"order": 8}),
        (["close", "7"], "position_close", {"position": 7}),
        (["close", "7", "--volume", "0.1"], "position_close", {"position": 7, "volume": 0.1}),
        (["close-by", "7", "9"], "position_close_by", {"position": 7, "position_by": 9}),
        (["close-all"], "close_all", {"positions": True, "orders": False}),
        (
            ["close-all", "--symbol", "EURUSD", "--orders", "--no-positions"],
            "close_all",
            {"symbol": "EURUSD", "positions": False, "orders": True},
        ),
    ],
)  # fmt: skip
def test_a_command_sends_one_request(relay, bridge, words, method, params):
    code, out, err = bridge("order", *words, "--key", "k1", "-o", "json")

    assert (0, "") == (code, err)
    assert [(method, params, "cli", "k1", "demo")] == [
        (one["method"], one["params"], one["client_id"], one["client_order_id"], one["terminal"])
        for one in asked(relay)
    ]
    told = json.loads(out)
    assert (1, "DONE", "cli/k1") == (
        told["v"],
        told["result"]["outcome"],
        told["result"]["command_id"],
    )


def test_an_id_that_was_not_given_is_told_before_the_order_is_sent(relay, bridge):
    _, _, err = bridge("order", "buy", "EURUSD", "0.1", "--client-id", "desk")

    sent = asked(relay)[0]
    assert f"bridge: the id of this order is desk/{sent['client_order_id']}\n" == err
    bridge("order", "buy", "EURUSD", "0.1")
    assert 2 == len({one["client_order_id"] for one in asked(relay)})


# --- the account


def test_nothing_is_sent_to_an_account_that_is_no_demo(relay, bridge):
    relay.answers["account"] = lambda _: {"account": REAL}
    for words in (["buy", "EURUSD", "0.1"], ["close", "7"], ["close-all"], ["cancel", "8"]):
        code, out, err = bridge("order", *words, "--key", "k1")

        assert (2, "") == (code, out)
        assert "account 5 at Broker-Live is REAL, no demo: add --yes to trade on it" in err
    assert [] == asked(relay)


def test_yes_means_any_account(relay, bridge):
    relay.answers["account"] = lambda _: {"account": REAL}
    code, _, _ = bridge("order", "buy", "EURUSD", "0.1", "--key", "k1", "--yes")

    assert (0, 1) == (code, len(asked(relay)))


@pytest.mark.parametrize("told", [{**DEMO, "trade_mode": 1}, {"login": 5}, {"login": 5, "x": 1}])
def test_an_account_whose_kind_is_not_demo_is_none(relay, bridge, told):
    relay.answers["account"] = lambda _: {"account": told}
    code, _, _ = bridge("order", "buy", "EURUSD", "0.1", "--key", "k1")

    assert (2, []) == (code, asked(relay))


def test_without_the_account_nothing_is_sent(relay, bridge):
    def away(_):
        raise Refusal("TERMINAL_UNAVAILABLE", "the terminal is away", "terminal")

    relay.answers["account"] = away
    code, _, err = bridge("order", "buy", "EURUSD", "0.1", "--key", "k1")

    assert (11, "bridge: [terminal] TERMINAL_UNAVAILABLE: the terminal is away\n") == (code, err)
    assert [] == asked(relay)


# --- how it ends


@pytest.mark.parametrize(
    ("known", "code", "text"),
    [
        ({"outcome": "DONE", "volume": 0.1, "price": 1.5}, 0, "DONE 0.1 lots at 1.5"),
        ({"outcome": "PLACED", "order": 5}, 0, "PLACED, order 5"),
        ({"outcome": "PARTIAL", "volume": 0.05}, 14, "PARTIAL 0.05 lots"),
        (
            {"outcome": "REJECTED", "retcode": 10019, "hop": "trade_server"},
            13,
            "REJECTED: NO_MONEY",
        ),
        (
            {"outcome": "DENIED", "reason": "HALTED", "message": "halted", "hint": "resume"},
            13,
            "DENIED: HALTED: halted (resume)",
        ),
        ({"outcome": "UNKNOWN"}, 12, "ask again: bridge order status cli/k1"),
        ({"outcome": "NEW_WORD"}, 12, "NEW_WORD"),
    ],
)
def test_the_outcome_is_the_exit_code(relay, bridge, known, code, text):
    relay.answers["order_send"] = answering(**known)
    found, out, _ = bridge("order", "buy", "EURUSD", "0.1", "--key", "k1", "-o", "table")

    assert code == found
    assert text in out
    assert "id: cli/k1" in out


def test_parts_have_a_table(relay, bridge):
    part = {"outcome": "REJECTED", "reason": "NOT_EXECUTED", "command_id": "cli/k1/7"}
    relay.answers["close_all"] = answering(outcome="PARTIAL", children=[order_result(**part)])
    _, out, _ = bridge("order", "close-all", "--key", "k1", "-o", "table")

    assert "cli/k1/7  REJECTED" in out
    assert "NOT_EXECUTED" in out


def test_no_answer_is_unknown_and_says_how_to_find_out(relay, bridge):
    relay.answers["order_send"] = lambda _: None
    code, out, err = bridge("order", "buy", "EURUSD", "0.1", "--key", "k1", "--timeout", "0.5")

    assert (12, "") == (code, out)
    assert 1 == len(err.splitlines())
    assert "may have been executed" in err
    assert "'bridge order status cli/k1' tells" in err
    assert {"k1"} == {one["client_order_id"] for one in asked(relay)}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["buy", "EURUSD", "nan"], "volume"),
        (["buy", "EURUSD", "inf"], "volume"),
        (["buy", "EURUSD", "0"], "volume"),
        (["buy", "", "0.1"], "symbol"),
        (["buy", "EURUSD", "0.1", "--sl", "1", "--sl-points", "5"], "sl_points"),
        (["buy", "EURUSD", "0.1", "--deviation", "-1"], "deviation"),
        (["buy", "EURUSD", "0.1", "--type-filling", "ALL"], "type_filling"),
        (["buy", "EURUSD", "0.1", "--key", "a b"], "client_order_id"),
        (["buy", "EURUSD", "0.1", "--client-id", "a/b"], "client_id"),
        (["send", "REMOVE"], "order"),
        (["modify", "--order", "8"], "price"),
        (["close-by", "7", "7"], "position_by"),
        (["close-all", "--no-positions"], "positions"),
        (["check", "DEAL"], "symbol"),
        (["status", "a b"], "client_order_id"),
        (["status", "a/b/c"], "command_id"),
    ],
)
def test_bad_arguments_are_named_before_anybody_is_asked(relay, bridge, words, said):
    code, out, err = bridge("order", *words)

    assert (1, "", 1) == (code, out, len(err.splitlines()))
    assert f"[client] INVALID_REQUEST: {said}: " in err
    assert {"ping"} >= {request["method"] for request in relay.requests}


@pytest.mark.parametrize(
    "words",
    [
        ["buy", "EURUSD"],
        ["buy", "EURUSD", "much"],
        ["send", "HOLD"],
        ["cancel", "0"],
        ["close", "18446744073709551616"],
        ["modify", "--sl", "1"],
        ["modify", "--sl", "1", "--order", "8", "--position", "7"],
        [],
    ],
)
def test_wrong_usage(relay, bridge, words):
    if not words:
        assert 2 == main(["order"])
        return
    code, _, err = bridge("order", *words)

    assert 2 == code
    assert "Usage: bridge order" in err
    assert [] == asked(relay)


# --- only looking


def test_a_dry_run_sends_nothing_and_tells_what_it_would(relay, bridge):
    relay.answers["account"] = lambda _: {"account": REAL}
    code, out, err = bridge(
        "order", "buy", "EURUSD", "0.1", "--key", "k1", "--dry-run", "-o", "json"
    )

    told = json.loads(out)
    params = {"action": 1, "type": 0, "symbol": "EURUSD", "volume": 0.1}
    assert (0, "", []) == (code, err, asked(relay))
    assert {
        "method": "order_send",
        "client_id": "cli",
        "client_order_id": "k1",
        "terminal": "demo",
        "params": params,
    } == told["would_send"]
    assert (0, 12.5) == (told["check"]["retcode"], told["check"]["margin"])
    assert [params] == [request["params"] for request in relay.asked("order_check")]


@pytest.mark.parametrize(
    ("words", "checked"),
    [
        (["cancel", "8"], {"action": 8, "order": 8}),
        (["modify", "--order", "8", "--price", "1"], {"action": 7, "order": 8, "price": 1.0}),
        (["modify", "--position", "7", "--sl", "0"], {"action": 6, "position": 7, "sl": 0.0}),
        (["close-by", "7", "9"], {"action": 10, "position": 7, "position_by": 9}),
        (
            ["close", "7"],
            {"action": 1, "type": 0, "symbol": "EURUSD", "volume": 0.3, "position": 7},
        ),
        (
            ["close", "7", "--volume", "0.1"],
            {"action": 1, "type": 0, "symbol": "EURUSD", "volume": 0.1, "position": 7},
        ),
    ],
)
def test_a_dry_run_checks_the_request_that_it_comes_to(relay, bridge, words, checked):
    code, _, _ = bridge("order", *words, "--dry-run")

    assert (0, []) == (code, asked(relay))
    assert [checked] == [request["params"] for request in relay.asked("order_check")]


def test_a_dry_run_of_closing_what_is_not_open(relay, bridge):
    relay.answers["positions"] = lambda _: {"positions": []}
    code, _, err = bridge("order", "close", "7", "--dry-run")

    assert 1 == code
    assert "there is no position 7" in err


def test_a_dry_run_of_closing_all_lists_what_there_is(relay, bridge):
    code, out, _ = bridge("order", "close-all", "--orders", "--dry-run", "-o", "table")

    assert (0, []) == (code, asked(relay))
    assert "would close 1 positions" in out
    assert "would cancel 1 orders" in out
    _, out, _ = bridge("order", "close-all", "--dry-run", "-o", "json")
    assert ([7], []) == tuple(
        [one["ticket"] for one in json.loads(out)[kind]] for kind in ("positions", "orders")
    )


def test_a_check_that_fails_is_exit_code_13(relay, bridge):
    relay.answers["order_check"] = lambda _: {"retcode": 10019, "retcode_name": "NO_MONEY"}
    words = ["DEAL", "--type", "BUY", "--symbol", "EURUSD", "--volume", "9"]

    code, out, _ = bridge("order", "check", *words, "-o", "table")
    assert 13 == code
    assert "refused: NO_MONEY" in out
    code, _, _ = bridge("order", "buy", "EURUSD", "9", "--dry-run")
    assert 13 == code


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["k1"], "cli/k1"),
        (["k1", "--client-id", "desk"], "desk/k1"),
        (["desk/k1"], "desk/k1"),
        (["desk/k1/7"], "desk/k1/7"),
    ],
)
def test_the_status_of_an_order(relay, bridge, words, name):
    relay.answers["order_status"] = lambda _: order_result(outcome="REJECTED", command_id=name)
    code, out, _ = bridge("order", "status", *words, "-o", "jsonl")

    assert (13, name) == (code, json.loads(out)["command_id"])
    assert [{"command_id": name}] == [one["params"] for one in relay.asked("order_status")]


def test_the_status_of_an_order_that_nobody_heard_of(relay, bridge):
    def never(_):
        raise Refusal("NOT_AVAILABLE", "never heard of it")

    relay.answers["order_status"] = never
    code, out, err = bridge("order", "status", "k1")

    assert (1, "") == (code, out)
    assert "never heard of it" in err


def test_positions_orders_and_the_account_for_people(bridge):
    _, out, _ = bridge("positions", "-o", "table")
    assert ["7", "EURUSD", "SELL", "0.3"] == out.splitlines()[1].split()[:4]
    assert "2023.11.14 22:13:20" in out
    _, out, _ = bridge("orders", "-o", "table")
    assert ["8", "EURUSD", "BUY_LIMIT", "0.1"] == out.splitlines()[1].split()[:4]
    _, out, _ = bridge("account", "-o", "table")
    assert "DEMO account 5 at Broker-Demo, RETAIL_HEDGING, 1:100, USD" in out
    assert "10,000.00" in out


def test_positions_orders_and_the_account_for_programs(relay, bridge):
    _, out, _ = bridge("positions", "EURUSD", "--magic", "3", "--ticket", "7")
    assert [7] == [one["ticket"] for one in json.loads(out)["positions"]]
    assert {"symbol": "EURUSD", "magic": 3, "ticket": 7} == relay.asked("positions")[0]["params"]
    _, out, _ = bridge("orders", "-o", "jsonl")
    assert 8 == json.loads(out)["ticket"]
    _, out, _ = bridge("account")
    assert 5 == json.loads(out)["account"]["login"]


# --- the operator


@pytest.fixture
def operator(relay, tmp_path, monkeypatch, capsys):
    """
    Return a function that runs a command on the relay's own machine.
    """
    init_config(tmp_path, ["demo"])
    monkeypatch.setenv("BRIDGE_HOME", str(tmp_path))
    monkeypatch.delenv("BRIDGE_CONFIG", raising=False)
    (tmp_path / "data").mkdir(exist_ok=True)
    endpoints = {"control": relay.endpoint, "request": relay.endpoint}
    content = json.dumps({"pid": 1, "token": "secret", "endpoints": endpoints})
    (tmp_path / "data" / "control.json").write_text(content)

    def run(*words):
        code = main(list(words))
        out, err = capsys.readouterr()
        assert "defect" not in err
        assert "secret" not in out + err
        return code, out, err

    return run


@pytest.mark.parametrize(
    ("words", "method", "params", "terminal"),
    [
        (["halt"], "halt", {"reducing": False, "reason": ""}, None),
        (
            ["halt", "--reducing", "--reason", "news", "--terminal", "demo"],
            "halt",
            {"reducing": True, "reason": "news"},
            "demo",
        ),
        (["resume", "--terminal", "demo"], "resume", {}, "demo"),
        (
            ["order", "resolve", "k1", "--not-executed", "--evidence", "not in the history"],
            "order_resolve",
            {
                "command_id": "cli/k1",
                "executed": False,
                "evidence": "not in the history",
            },
            None,
        ),
        (
            ["order", "resolve", "me/1/7", "--executed", "--evidence", "deal 9", "--deal", "9"],
            "order_resolve",
            {"command_id": "me/1/7", "executed": True, "evidence": "deal 9", "deal": 9},
            None,
        ),
    ],
)
def test_what_the_operator_says_goes_to_the_control_endpoint(
    relay, operator, words, method, params, terminal
):
    relay.answers[method] = lambda _: order_result(outcome="DONE") if "order" in words else {}
    code, out, _ = operator(*words, "-o", "table")

    assert 0 == code
    assert out
    assert [("secret", params, terminal)] == [
        (request["token"], request.get("params"), request.get("terminal"))
        for request in relay.requests
    ]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["order", "resolve", "k1", "--evidence", "x"], 2, "say --executed or --not-executed"),
        (["order", "resolve", "k1", "--executed"], 2, "--evidence"),
        (["order", "resolve", "k1", "--executed", "--evidence", ""], 1, "evidence: "),
        (
            ["order", "resolve", "k1", "--not-executed", "--evidence", "x", "--deal", "9"],
            1,
            "deal: only with executed true",
        ),
        (["halt", "--reason", "x" * 300], 1, "reason: "),
    ],
)
def test_what_the_operator_says_has_to_be_clear(relay, operator, words, code, said):
    found, out, err = operator(*words)

    assert (code, "", []) == (found, out, relay.requests)
    assert said in err


def test_an_error_of_the_relay_names_field_and_hop(relay, operator):
    def unknown(_):
        raise Refusal("UNKNOWN_TERMINAL", "no terminal 'x'", "client", field="terminal")

    relay.answers["halt"] = unknown
    code, _, err = operator("halt", "--terminal", "x")

    assert (1, "bridge: [client] UNKNOWN_TERMINAL: terminal: no terminal 'x'\n") == (code, err)


def test_an_order_of_an_administrator_goes_to_the_control_endpoint(relay, operator):
    code, out, _ = operator("order", "close", "7", "--admin", "--key", "k1", "-o", "json")

    assert (0, "DONE") == (code, json.loads(out)["result"]["outcome"])
    assert [("secret", "cli", "k1", "demo", {"position": 7}, 4500)] == [
        tuple(
            request[name]
            for name in (
                "token", "client_id", "client_order_id", "terminal", "params", "valid_for_ms"
            )
        )
        for request in asked(relay)
    ]  # fmt: skip


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: None,
        lambda _: b"nonsense",
        lambda _: b"\x93\x01\x02\x03",
        lambda _: {"outcome": 7},
        lambda _: (_ for _ in ()).throw(Refusal("INTERNAL", "broken")),
    ],
)
def test_an_order_of_an_administrator_without_an_answer_is_unknown(relay, operator, answer):
    relay.answers["position_close"] = answer
    code, out, err = operator("order", "close", "7", "--admin", "--key", "k1", "--timeout", "0.5")

    assert (12, "", 1) == (code, out, len(err.splitlines()))
    assert "may have been executed" in err
    assert "'bridge order status cli/k1' tells" in err
    assert 1 == len(asked(relay))


def test_an_order_of_an_administrator_that_was_refused_was_not_sent(relay, operator):
    def refuse(_):
        raise Refusal("TERMINAL_UNAVAILABLE", "away", "terminal")

    relay.answers["position_close"] = refuse
    code, _, err = operator("order", "close", "7", "--admin", "--key", "k1")

    assert (11, "bridge: [terminal] TERMINAL_UNAVAILABLE: away\n") == (code, err)


def test_an_administrator_means_the_relay_of_this_machine(bridge, relay):
    code, _, err = bridge("order", "close", "7", "--admin")

    assert (2, []) == (code, asked(relay))
    assert "without --endpoint" in err


def test_a_relay_that_was_killed_was_sent_nothing(relay, operator):
    relay.stop()
    code, _, err = operator("halt", "--timeout", "0.2")

    assert 10 == code
    assert "no relay answers" in err


def test_without_a_relay_there_is_nobody_to_halt(operator, tmp_path):
    (tmp_path / "data" / "control.json").unlink()
    code, _, err = operator("halt")

    assert 10 == code
    assert "on the relay's own machine" in err
