"""
Orders with relay and terminal as Windows processes: journal and ledger on a Windows disk.
"""

from __future__ import annotations

import json
import sys

import pytest

from bridge.cli.control import read_control_file
from bridge.config import init_config
from tests.support.processes import FREE_PORTS, Bridge, run_bridge

if sys.platform != "win32":
    pytest.skip("Windows processes: make test-windows", allow_module_level=True)

ENABLED = {"BRIDGE_TERMINALS_DEMO_TRADING_ENABLED": "true"}
BUY = ("order", "buy", "EURUSD", "0.1", "--timeout", "30", "--key")


@pytest.fixture
def home(tmp_path):
    """
    Return a folder whose name has a blank and letters that are not ASCII.
    """
    folder = tmp_path / "Größe und Maß"
    init_config(folder, ["demo"])
    return folder


@pytest.fixture
def relay(home):
    with a_relay(home, FREE_PORTS) as process:
        yield process


@pytest.fixture
def terminal(home, relay):
    with a_terminal(home) as process:
        yield process


class a_relay(Bridge):  # noqa: N801 - read as a sentence, "with a_relay(...)"
    def __init__(self, home, ports):
        super().__init__("run", *ports, home=home, env=ENABLED)

    def __enter__(self):
        self.err_line("relay ready")
        return super().__enter__()


class a_terminal(Bridge):  # noqa: N801 - as above
    def __init__(self, home):
        super().__init__("sim", "--symbols", "EURUSD", "--rate", "50", home=home)

    def __enter__(self):
        self.err_line("logged on")
        return super().__enter__()


def told(home, *words):
    """
    Return what a command tells as JSON.
    """
    finished = run_bridge(*words, "-o", "json", home=home)
    assert finished.code == 0, finished.err
    return json.loads(finished.out)


def ports_of(home):
    where = read_control_file(home / "data").endpoints
    return [f"--{name}-endpoint={endpoint}" for name, endpoint in where.items()]


def test_an_order_is_executed_once_whoever_is_killed(home, relay, terminal):
    """
    TerminateProcess at each in turn: what is known afterwards is what was on the disk.
    """
    first = told(home, *BUY, "k1")["result"]
    again = told(home, *BUY, "k1")["result"]

    assert ("DONE", False, 10009) == (first["outcome"], first["replayed"], first["retcode"])
    assert (True, first["deal"]) == (again["replayed"], again["deal"])

    ports = ports_of(home)
    relay.kill()
    with a_relay(home, ports) as next_relay:
        status = told(home, "order", "status", "cli/k1")["result"]
        # Before it is traded again, the command asks whether the account is a demo one.
        terminal.err_line("logged on")
        replayed = told(home, *BUY, "k1")["result"]
        terminal.kill()
        with a_terminal(home) as next_terminal:
            positions = told(home, "positions", "--timeout", "30")["positions"]
            closed = told(home, "order", "close-all", "--key", "k2", "--timeout", "30")["result"]
            after = told(home, "positions", "--timeout", "30")["positions"]
            next_terminal.interrupt()
            assert 0 == next_terminal.finish().code
        next_relay.interrupt()
        assert 0 == next_relay.finish().code

    assert first["deal"] == status["deal"]
    assert (True, first["deal"]) == (replayed["replayed"], replayed["deal"])
    assert [(first["position"], 0.1)] == [(one["ticket"], one["volume"]) for one in positions]
    assert "DONE" == closed["outcome"]
    assert [] == after


def test_an_order_is_denied_where_trading_is_off(home):
    with Bridge("run", *FREE_PORTS, home=home) as relay:
        relay.err_line("relay ready")
        with a_terminal(home):
            finished = run_bridge(*BUY, "k1", "-o", "json", home=home)

    assert 13 == finished.code
    assert "TRADING_DISABLED" == json.loads(finished.out)["result"]["reason"]
