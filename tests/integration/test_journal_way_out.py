"""A journal in doubt: what the relay says to do is done here, step by step, with real programs."""

from __future__ import annotations

import json
import sqlite3

import pytest

from bridge.cli import main
from tests.support.relay import RelayProcess
from tests.support.trading import BUY, TRADES, Trader, TradingThread


@pytest.fixture
def bridge(tmp_path, capsys):
    """
    Return a function that runs a command on the relay's folder: exit code, stdout, stderr.
    """
    config = tmp_path / "bridge.toml"
    config.write_text(f'[relay]\ndata_dir = "{(tmp_path / "data").as_posix()}"\n[terminals.demo]\n')

    def run(*words):
        code = main([*words, "--config", str(config)])
        return code, *capsys.readouterr()

    return run


def damage(tmp_path, name):
    with sqlite3.connect(tmp_path / "data" / "journal.sqlite") as database:
        database.execute(
            "UPDATE commands SET reserved = reserved + 1 WHERE command_id = ?", (name,)
        )
    database.close()


def test_what_is_said_to_do_leads_back_to_trading(tmp_path, bridge):
    with RelayProcess(tmp_path, terminals=TRADES) as relay:
        terminal = TradingThread(relay.endpoints.terminal, relay.keys["demo"], tmp_path / "t")
        with terminal, Trader(relay.endpoints.request) as trader:
            trader.ready()
            first = trader.order("1")
            terminal.rule(reply_ms=(1_500, 1_500))
            trader.start("2", valid_for_ms=30_000)
            trader.until(lambda: terminal.executions("c/2"))
            relay.kill()
            damage(tmp_path, "c/1")

            # In doubt: nothing is traded, and what to do is said wherever somebody looks.
            relay.start()
            trader.ready()
            denied = trader.order("3")
            told = trader.asker.ask("status")["journal"]
            checked = bridge("journal", "check")
            relay.kill()

            # What was said is done.
            code, out, _ = bridge("journal", "quarantine", "-o", "json")
            again = bridge("journal", "quarantine")
            found = json.loads(out)
            sound = bridge("journal", "check", "-o", "json")
            relay.start()

            # Closed until somebody says so; what was open is found out meanwhile.
            trader.ready()
            halted = trader.order("4")
            resolved = trader.final("2")
            lost = trader.asker.reply(trader.asker.start("order_status", {"command_id": "c/1"}))[
                "error"
            ]
            resumed = bridge("resume", "--terminal", "demo")
            repeated = trader.order("1", valid_for_ms=20_000)
            new = trader.order("5", valid_for_ms=20_000)
            executions = {name: terminal.executions(f"c/{name}") for name in "12345"}

    assert "DONE" == first["outcome"]
    assert ("DENIED", "JOURNAL") == (denied["outcome"], denied["reason"])
    assert "bridge journal quarantine" in denied["message"] + denied["hint"]
    assert "bridge journal quarantine" in told["hint"]
    assert 1 == checked[0]
    assert "c/1" in checked[2]
    assert "bridge journal quarantine" in checked[2]

    assert 0 == code
    assert (1, ["c/2"], 1, True, 0, ["demo"]) == tuple(
        found[name]
        for name in ("commands", "open_ids", "damaged", "whole", "lost_commits", "halted")
    )
    assert (1, True) == (again[0], "not in doubt" in again[2])
    assert (0, ["c/2"]) == (sound[0], json.loads(sound[1])["open_ids"])

    assert ("DENIED", "HALTED") == (halted["outcome"], halted["reason"])
    assert "quarantine" in halted["message"] or "journal" in halted["message"]
    assert "DONE" == resolved["outcome"]
    # It was lost, and that is not called "never sent".
    assert "NOT_AVAILABLE" == lost["code"]
    assert "was begun at" in lost["message"]
    assert "since then" in lost["hint"]

    assert 0 == resumed[0]
    assert ("DONE", "DONE") == (repeated["outcome"], new["outcome"])
    assert first["deals"] == repeated["deals"]
    assert {"1": 1, "2": 1, "3": 0, "4": 0, "5": 1} == executions


def test_the_words_for_people(tmp_path, bridge):
    with RelayProcess(tmp_path, terminals=TRADES) as relay:
        terminal = TradingThread(relay.endpoints.terminal, relay.keys["demo"], tmp_path / "t")
        with terminal, Trader(relay.endpoints.request) as trader:
            trader.ready()
            trader.order("1", BUY)
            running = bridge("journal", "check", "-o", "table")
            relay.kill()
    damage(tmp_path, "c/1")
    code, out, _ = bridge("journal", "quarantine", "-o", "table")

    assert (0, True) == (running[0], "1 commands, each with its end" in running[1])
    assert 0 == code
    for words in (
        "in doubt: the record of 'c/1' is damaged",
        "moved to: ",
        "kept: 0 commands",
        "lost: 1 records that are damaged. An order in it is unknown to the relay now",
        "halted: demo",
        "bridge resume",
    ):
        assert words in out
