"""The life of an order as ``order_status`` tells it, with real programs, over a kill of the relay."""

from __future__ import annotations

import json

from bridge.bus.orders import RESULT_FIELDS, STATUS_DEFAULTS, STEP_DEFAULTS
from bridge.cli import main
from tests.support.relay import RelayProcess
from tests.support.trading import TRADES, Trader, TradingThread


def steps(status):
    return [one["step"] for one in status["life"]]


def test_a_life_is_told_over_a_kill_of_the_relay(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BRIDGE_HOME", str(tmp_path / "home"))
    with RelayProcess(tmp_path, terminals=TRADES) as relay:
        terminal = TradingThread(
            relay.endpoints.terminal, relay.keys["demo"], tmp_path / "t", reply_ms=(1_500, 1_500)
        )
        with terminal, Trader(relay.endpoints.request) as trader:
            trader.ready()
            trader.start("1", valid_for_ms=30_000)
            sent = trader.until(
                lambda: terminal.executions("c/1") and trader.status("1"), within_s=10
            )
            relay.kill()
            relay.start()
            ended = trader.final("1")
            shown = []
            for form in ("table", "json"):
                code = main(
                    ["order", "status", "c/1", "--endpoint", relay.endpoints.request, "-o", form]
                )
                shown.append((code, capsys.readouterr().out))
            relay.kill()
            relay.start()
            again = trader.until(lambda: trader.status("1"))

    # The answer to NEW found no relay any more: the next one asked.
    assert ["RESERVED", "SENT"] == steps(sent)
    assert "the terminal's answer" == sent["waiting_for"]
    assert [*RESULT_FIELDS, *STATUS_DEFAULTS] == list(sent)
    assert [list(STEP_DEFAULTS)] * 2 == [list(one) for one in sent["life"]]
    assert ["RESERVED", "RESTORED", "ASKED"] == steps(ended)[:3]
    assert ("RESULT", "DONE", True) == tuple(
        ended["life"][-1][name] for name in ("step", "said", "changed")
    )
    assert ended["life"][0]["relay_epoch"] < ended["life"][-1]["relay_epoch"]
    assert ended["life"] == again["life"]
    assert ("", "DONE") == (ended["waiting_for"], ended["outcome"])

    (table_code, text), (json_code, document) = shown

    assert (0, 0) == (table_code, json_code)
    assert all(step in text for step in ("RESERVED", "RESTORED", "ASKED", "RESULT"))
    assert ended["life"] == json.loads(document)["result"]["life"]
