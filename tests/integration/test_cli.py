"""
The commands as processes: their exit codes, their one line, their end.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import sys
from pathlib import Path

import pytest

from bridge.cli import main
from bridge.config import init_config
from bridge.model.tick import MqlTick
from bridge.relay import app as relay_app
from bridge.sim.ledger import SqliteLedger
from bridge.sim.tickfile import read_ticks, symbol_from_filename, write_ticks
from tests.support.processes import FREE_PORTS, Bridge, ports_of_ones_own, run_bridge

on_posix = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has no such signal for another process"
)


@pytest.fixture
def home(tmp_path):
    init_config(tmp_path, ["demo"])
    return tmp_path


@pytest.fixture
def relay(home):
    """
    Return a running relay.
    """
    with Bridge("run", *FREE_PORTS, home=home) as process:
        process.err_line("relay ready")
        yield process


def one_line(text):
    """
    Return the only line of a text.
    """
    lines = text.splitlines()
    assert len(lines) == 1, text
    return lines[0]


# Life of a relay ----------------------------------------------------------------------


def test_the_log_tells_where_the_relay_listens(home):
    with Bridge("run", *FREE_PORTS, home=home) as relay:
        line = relay.err_line("relay ready")
        endpoints = json.loads((home / "data" / "control.json").read_text())["endpoints"]

    assert sorted(endpoints) == ["control", "publish", "request", "terminal"]
    assert all(f"{name}={endpoint}" in line for name, endpoint in endpoints.items())


def test_bridge_stop_ends_a_relay_in_order(home, relay):
    stopped = run_bridge("stop", home=home)

    assert (stopped.code, stopped.out, stopped.err) == (0, "", "relay stopped\n")
    assert relay.finish().code == 0
    assert not (home / "data" / "control.json").exists()


@on_posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_relay_in_order(relay, number):
    relay.process.send_signal(number)

    finished = relay.finish()
    assert finished.code == 0
    assert finished.err.splitlines()[-1].count("relay stopped") == 1


def test_a_relay_starts_again_after_a_kill(home, relay):
    relay.kill()

    with Bridge("run", *FREE_PORTS, home=home) as again:
        again.err_line("relay ready")


def test_a_second_relay_on_the_same_data_is_refused(home, relay):
    finished = run_bridge("run", *FREE_PORTS, home=home)

    line = one_line(finished.err)
    assert finished.code == 5
    assert f"process {relay.process.pid}" in line
    assert "'bridge stop'" in line


@pytest.mark.parametrize("name", ["terminal", "request", "publish", "control"])
def test_a_port_in_use_is_named(home, name):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        flags = [flag for flag in FREE_PORTS if not flag.startswith(f"--{name}")]
        finished = run_bridge("run", *flags, f"--{name}-endpoint", endpoint, home=home)

    line = one_line(finished.err)
    assert finished.code == 4
    assert endpoint in line
    assert f"endpoints.{name}" in line


def test_an_endpoint_outside_of_this_machine_is_refused(home):
    finished = run_bridge("run", "--publish-endpoint", "tcp://0.0.0.0:5557", home=home)

    line = one_line(finished.err)
    assert finished.code == 3
    assert "endpoints.publish" in line
    assert "SSH tunnel" in line


def test_a_misspelt_setting_is_refused_with_a_suggestion(home):
    (home / "bridge.toml").write_text("[ticks]\nresume_max_age = 5\n")

    finished = run_bridge("run", *FREE_PORTS, home=home)

    line = one_line(finished.err)
    assert finished.code == 3
    assert "did you mean ticks.resume_max_age_s?" in line


def test_without_a_terminal_run_says_init(tmp_path):
    finished = run_bridge("run", *FREE_PORTS, home=tmp_path)

    assert finished.code == 3
    assert "'bridge init'" in one_line(finished.err)


def test_a_missing_key_says_init(home):
    (home / "keys" / "demo.key").unlink()

    finished = run_bridge("run", *FREE_PORTS, home=home)

    assert finished.code == 3
    assert "'bridge init'" in one_line(finished.err)


def test_stop_without_a_relay(home):
    finished = run_bridge("stop", home=home)

    assert finished.code == 10
    line = one_line(finished.err)
    assert "no relay runs on the data folder" in line
    assert "--home says which relay is meant" in line


def test_stop_after_a_kill(home, relay):
    relay.kill()

    finished = run_bridge("stop", "--timeout", "0.5", home=home)

    assert finished.code == 10
    assert "'bridge run'" in one_line(finished.err)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGBREAK"])
def test_every_stop_signal_of_a_platform_is_taken(home, monkeypatch, name):
    """
    Windows alone has SIGBREAK; here SIGUSR1 plays it.
    """
    number = getattr(signal, name, None) or signal.SIGUSR1
    monkeypatch.setattr(signal, name, number, raising=False)
    monkeypatch.setenv("BRIDGE_HOME", str(home))
    # Signal handlers are for the main thread: run it here, and let the log be the trigger.
    taken = []
    original = relay_app.Relay

    def relay_that_gets_a_signal(settings):
        made = original(settings, on_ready=lambda _: signal.raise_signal(number))
        taken.append(made)
        return made

    monkeypatch.setattr(relay_app, "Relay", relay_that_gets_a_signal)
    before = signal.getsignal(number)

    code = main(["run", *FREE_PORTS])

    assert (code, len(taken)) == (0, 1)
    assert signal.getsignal(number) == before


# Reading ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """
    Return the home of a relay with a simulated terminal that has logged on.
    """
    home = tmp_path_factory.mktemp("market")
    init_config(home, ["demo"])
    with Bridge("run", *FREE_PORTS, home=home) as relay:
        # Before that, nobody knows which ports were free.
        relay.err_line("relay ready")
        with Bridge("sim", "--symbols", "EURUSD,USDJPY,ES", "--rate", "50", home=home) as sim:
            sim.err_line("logged on")
            yield home
            sim.interrupt()
            assert sim.finish().code == 0
        relay.interrupt()
        assert relay.finish().code == 0


def test_status_as_json(market):
    finished = run_bridge("status", home=market)

    told = json.loads(one_line(finished.out))
    assert (finished.code, finished.err, told["v"]) == (0, "", 1)
    assert [(one["alias"], one["state"]) for one in told["terminals"]] == [("demo", "connected")]
    assert sorted(told["endpoints"]) == ["control", "publish", "request", "terminal"]


def test_status_as_table(market):
    finished = run_bridge("status", "-o", "table", home=market)

    assert finished.code == 0
    assert finished.out.startswith("relay: mt5-zmq-bridge")
    assert "DEMO" in finished.out


def test_status_of_a_terminal_that_is_there(market):
    assert run_bridge("status", "--terminal", "demo", home=market).code == 0


def test_symbols_of_a_group(market):
    finished = run_bridge("symbols", "*USD*,!USDJPY", home=market)

    told = json.loads(one_line(finished.out))
    assert (finished.code, told["v"]) == (0, 1)
    assert [one["name"] for one in told["symbols"]] == ["EURUSD"]


def test_symbols_as_table(market):
    finished = run_bridge("symbols", "-o", "table", home=market)

    lines = finished.out.splitlines()
    assert finished.code == 0
    assert [line.split()[0] for line in lines] == ["SYMBOL", "EURUSD", "USDJPY", "ES"]


def test_symbols_one_a_line(market):
    finished = run_bridge("symbols", "-o", "jsonl", home=market)

    documents = [json.loads(line) for line in finished.out.splitlines()]
    assert [one["name"] for one in documents] == ["EURUSD", "USDJPY", "ES"]
    assert {one["v"] for one in documents} == {1}


def test_quotes(market):
    finished = run_bridge("quote", "EURUSD", "ES", "-o", "table", home=market)

    lines = finished.out.splitlines()
    assert finished.code == 0
    assert [line.split()[0] for line in lines] == ["SYMBOL", "EURUSD", "ES"]


def test_tail_counts(market):
    finished = run_bridge("tail", "EURUSD", "USDJPY", "--count", "20", home=market)

    ticks = [json.loads(line) for line in finished.out.splitlines()]
    assert (finished.code, len(ticks)) == (0, 20)
    assert {tick["symbol"] for tick in ticks} == {"EURUSD", "USDJPY"}
    assert all(tick["event"] == "tick" and tick["gap"] is None for tick in ticks)


def test_tail_for_a_time_as_one_document(market):
    finished = run_bridge("tail", "EURUSD", "--seconds", "0.5", "-o", "json", home=market)

    told = json.loads(one_line(finished.out))
    assert (finished.code, told["v"]) == (0, 1)
    assert told["events"]


def test_tail_as_one_document_needs_an_end(market):
    finished = run_bridge("tail", "EURUSD", "-o", "json", home=market)

    assert finished.code == 2
    assert "--count" in finished.err


def test_tail_of_topics(market):
    finished = run_bridge("tail", "relay", "--count", "1", "-o", "table", home=market)

    assert finished.code == 0
    assert finished.out.startswith("relay ")


def test_tail_into_a_reader_that_goes_away(market):
    with Bridge("tail", "EURUSD", home=market) as tail:
        tail.out_line("EURUSD")
        tail.close_out()

        finished = tail.finish()

    assert (finished.code, finished.err) == (0, "")


@on_posix
def test_tail_ends_by_ctrl_c_without_a_word(market):
    with Bridge("tail", "EURUSD", home=market) as tail:
        tail.out_line("EURUSD")
        tail.interrupt()

        finished = tail.finish()

    assert (finished.code, finished.err.strip()) == (130, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("quote", "NOSUCH"),
        ("positions", "NOSUCH"),
        ("tail", "NOSUCH"),
        ("tail", "EURUSD", "BTC/USD"),
    ],
)
def test_an_unknown_symbol_is_one_line(market, arguments):
    finished = run_bridge(*arguments, home=market)

    assert (finished.code, finished.out) == (1, "")
    line = one_line(finished.err)
    assert "[terminal] UNKNOWN_SYMBOL" in line
    assert "('bridge symbols' lists them, with case and suffix)" in line


def test_an_unknown_terminal_is_one_line(market):
    finished = run_bridge("quote", "EURUSD", "--terminal", "other", home=market)

    assert finished.code == 1
    assert "configured: demo" in one_line(finished.err)


def test_a_console_that_knows_few_letters(market):
    finished = run_bridge(
        "quote", "\u20acUR\u5916", home=market, env={"PYTHONIOENCODING": "cp1252"}
    )

    assert finished.code == 1
    assert "\\u5916" in one_line(finished.err)


@pytest.mark.parametrize("arguments", [("status",), ("symbols",), ("quote", "EURUSD"), ("tail",)])
def test_without_a_relay_every_command_says_so_in_one_line(home, arguments):
    with ports_of_ones_own(1) as (port,):
        endpoint = f"tcp://127.0.0.1:{port}"
        finished = run_bridge(*arguments, "--endpoint", endpoint, "--timeout", "0.3", home=home)

    assert (finished.code, finished.out) == (10, "")
    assert "'bridge run'" in one_line(finished.err)


@pytest.mark.parametrize(
    "arguments",
    [("symbols",), ("quote", "EURUSD"), ("tail", "EURUSD"), ("status", "--terminal", "demo")],
)
def test_without_a_terminal_every_command_says_so_in_one_line(home, relay, arguments):
    finished = run_bridge(*arguments, home=home)

    assert finished.code == 11
    assert "demo" in one_line(finished.err)


def test_a_tail_may_wait_for_its_terminal(home, relay):
    with Bridge("tail", "EURUSD", "--wait", "--count", "1", home=home) as tail:
        with Bridge("sim", "--rate", "20", home=home) as sim:
            sim.err_line("logged on")
            assert tail.finish().code == 0
            sim.interrupt()
            assert sim.finish().code == 0


# The simulated terminal ---------------------------------------------------------------


def test_a_simulated_terminal_dials_until_the_relay_is_there(home):
    with ports_of_ones_own(1) as (port,):
        endpoint = FREE_PORTS[0].replace(":0", f":{port}")
        with Bridge("sim", "--endpoint", endpoint.partition("=")[2], home=home) as sim:
            sim.err_line("no session with the relay")
            with Bridge("run", endpoint, *FREE_PORTS[1:], home=home) as relay:
                relay.err_line("terminal connected")
                sim.err_line("logged on")


def test_a_simulated_terminal_counts_its_connections_over_restarts(home, relay):
    """
    A counter that repeats would let a recorded relay be played again.
    """
    counters = []
    for _ in range(2):
        with Bridge("sim", home=home) as sim:
            sim.err_line("logged on")
            sim.kill()
        (path,) = (home / "data" / "sim" / "demo").glob("ledger-*.sqlite")
        with contextlib.closing(SqliteLedger(path)) as ledger:
            counters.append((ledger.incarnation, ledger.connection_counter))

    (first, one), (second, two) = counters
    assert first == second
    assert two > one > 0


def test_a_wrong_key_is_told_on_both_sides(home, relay, tmp_path):
    other = tmp_path / "other"
    init_config(other, ["demo"])
    endpoint = json.loads((home / "data" / "control.json").read_text())["endpoints"]["terminal"]
    with Bridge("sim", "--endpoint", endpoint, home=other) as sim:
        sim.err_line("key")
        relay.err_line("key")


def test_a_second_terminal_of_one_name_is_refused(market):
    finished = run_bridge("sim", home=market)

    assert finished.code == 5
    assert "runs already" in one_line(finished.err)


def test_a_terminal_that_is_not_configured(home):
    finished = run_bridge("sim", "--terminal", "other", home=home)

    assert finished.code == 3
    assert "known: demo" in one_line(finished.err)


def test_files_are_played_from_their_first_tick(home, relay, tmp_path):
    written = run_bridge("generate", tmp_path / "t", "--symbols", "2", "--count", "500", home=home)
    files = written.out.splitlines()
    with Bridge("tail", "EURUSD", "GBPUSD", "--count", "500", "--wait", home=home) as tail:
        tail.err_line("subscribed")
        with Bridge("sim", "--ticks", *files, "--speed", "max", "--hold", home=home) as sim:
            heard = tail.finish()
            sim.interrupt()
            assert sim.finish().code == 0

    ticks = [json.loads(line) for line in heard.out.splitlines()]
    played = {
        symbol: [
            (tick["time_msc"], tick["bid"], tick["ask"])
            for tick in ticks
            if tick["symbol"] == symbol
        ]
        for symbol in ("EURUSD", "GBPUSD")
    }
    assert written.code == 0
    assert played == {
        symbol_from_filename(file): [
            (tick.time_msc, tick.bid, tick.ask) for tick in read_ticks(file)
        ]
        for file in files
    }


@pytest.mark.parametrize("command", ["sim", "demo"])
def test_a_broken_line_of_a_tick_file_is_named(home, tmp_path, command):
    path = tmp_path / "EURUSD_20240101.csv"
    write_ticks(path, [MqlTick(1000 + n, 1.1, 1.2) for n in range(3)], digits=5)
    path.write_text(path.read_text() + "2024.01.01\t00:00:00.000\tone\t1.2\t\t\t6\n")

    finished = run_bridge(command, "--ticks", path, home=home)

    line = finished.err.splitlines()[-1]
    assert finished.code == 1
    assert f"{path}:5: <BID> 'one'" in line


def test_a_tick_file_that_is_not_there(home, tmp_path):
    finished = run_bridge("sim", "--ticks", tmp_path / "EURUSD.csv", home=home)

    assert finished.code == 2
    assert "does not exist" in finished.err


# Writing tick files -------------------------------------------------------------------


def test_the_same_seed_writes_the_same_files(home, tmp_path):
    arguments = ("--symbols", "EURUSD,ES", "--count", "300", "--seed", "7")
    one = run_bridge("generate", tmp_path / "a", *arguments, home=home)
    two = run_bridge("generate", tmp_path / "b", *arguments, home=home)

    assert (one.code, two.code, len(one.out.splitlines())) == (0, 0, 2)
    for left, right in zip(one.out.splitlines(), two.out.splitlines(), strict=True):
        assert Path(left).read_bytes() == Path(right).read_bytes()


def test_files_are_not_written_over(home, tmp_path):
    run_bridge("generate", tmp_path, "--count", "10", home=home)

    finished = run_bridge("generate", tmp_path, "--count", "10", home=home)

    assert finished.code == 1
    assert "--force" in one_line(finished.err)
