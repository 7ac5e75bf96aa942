"""
How orders end, for people and as exit codes. What is sent: tests/integration/test_cli_orders.py.
"""

from __future__ import annotations

import click
import pytest

from bridge.bus.orders import Outcome
from bridge.bus.requests import TRADING_METHODS
from bridge.cli import main
from bridge.cli.account import account_text, orders_text, positions_text
from bridge.cli.orders import exit_code_of_result, order, result_text
from bridge.client.trade import AccountInfo, OrderInfo, OrderResult, PositionInfo

CODES = {"DONE": 0, "PLACED": 0, "PARTIAL": 14, "REJECTED": 13, "DENIED": 13, "UNKNOWN": 12}


@pytest.mark.parametrize("outcome", [*Outcome, "A_NEWER_ONE"])
def test_every_outcome_has_its_exit_code(outcome):
    assert CODES.get(outcome, 12) == exit_code_of_result(OrderResult(outcome=outcome))


def test_an_order_that_nobody_knows_about_says_how_to_ask():
    result = OrderResult(outcome="UNKNOWN", command_id="me/1", message="the link was lost")

    assert [
        "UNKNOWN: the link was lost",
        "id: me/1",
        "ask again: bridge order status me/1",
    ] == result_text(result).splitlines()


def test_parts_have_lines_of_their_own():
    parts = (
        OrderResult(outcome="DONE", command_id="me/1/7", volume=0.1, price=1.5, deal=9),
        OrderResult(outcome="REJECTED", command_id="me/1/8", retcode_name="MARKET_CLOSED"),
    )
    lines = result_text(OrderResult(outcome="PARTIAL", children=parts)).splitlines()

    assert ["me/1/7", "DONE", "0.1", "1.5", "-", "9", "-", "-"] == lines[-2].split()
    assert ["me/1/8", "REJECTED", *["-"] * 5, "MARKET_CLOSED"] == lines[-1].split()


def test_comments_forge_no_lines():
    text = result_text(OrderResult(outcome="REJECTED", message="a\nid: b\x1b[2J"))

    assert r"REJECTED: a\x0aid: b\x1b[2J" == text.splitlines()[0]
    assert r"a\x0ab" in positions_text([PositionInfo(ticket=7, comment="a\nb")])
    assert r"a\x0ab" in orders_text([OrderInfo(ticket=7, comment="a\nb")])
    assert r"a\x0ab" in account_text(AccountInfo(login=5, server="a\nb"))


def test_a_broker_may_have_any_clock_and_any_number_of_digits():
    assert str(2**62) in positions_text([PositionInfo(ticket=7, time_msc=2**62)])
    assert "balance" in account_text(AccountInfo(login=5, currency_digits=2**31))


def test_whatever_trades_asks_for_consent_and_has_an_id():
    """
    A command that is added later must not forget --yes.
    """
    reading = {"status", "resolve", "check"}
    trading = set(order.commands) - reading
    options = {
        name: {option.name for option in order.commands[name].get_params(click.Context(order))}
        for name in trading
    }

    assert len(TRADING_METHODS) <= len(trading)
    assert {name: set() for name in trading} == {
        name: {"yes", "dry_run", "key", "client_id", "admin"} - found
        for name, found in options.items()
    }


@pytest.mark.parametrize("command", ["status", "resolve"])
@pytest.mark.parametrize("name", ["a/b/c", "/", "a//1", "a b/c"])
def test_what_names_no_order_is_told_in_words(monkeypatch, tmp_path, capsys, command, name):
    """
    And not as the regular expression that it does not match.
    """
    monkeypatch.setenv("BRIDGE_HOME", str(tmp_path))
    more = ["--not-executed", "--evidence", "x"] if command == "resolve" else []
    code = main(["order", command, name, *more])

    assert 1 == code
    [line] = capsys.readouterr().err.splitlines()
    assert f"bridge: [client] INVALID_REQUEST: command_id: {name!r} names no order (it " in line
    assert "as in results: cli/1, me/run-17/4711)" in line
