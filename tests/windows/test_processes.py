"""
Relay, simulated terminal, client and command line as Windows processes: begin, work, end.

``make test-windows`` runs them, under Wine on Linux; ``make test`` on Windows does too.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from contextlib import contextmanager

import pytest

from bridge import Client
from bridge.bus.topics import tick_topic
from bridge.cli.control import read_control_file
from bridge.cli.exits import ExitCode
from bridge.config import init_config
from tests.support.press import press
from tests.support.processes import DEADLINE_S, FREE_PORTS, Bridge, run_bridge

if sys.platform != "win32":
    pytest.skip("Windows processes: make test-windows", allow_module_level=True)

SYMBOLS = "EURUSD,USDJPY"


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
    with Bridge("run", *FREE_PORTS, home=home) as process:
        process.err_line("relay ready")
        yield process


@pytest.fixture
def terminal(home, relay):
    with a_terminal(home) as process:
        process.err_line("logged on")
        yield process


def a_terminal(home):
    return Bridge("sim", "--symbols", SYMBOLS, "--rate", "50", home=home)


@contextmanager
def next_relay(home, ports):
    """
    Give the relay after the one that was killed, when it serves.

    A connection that another program dialled out may have one of the ports for a moment: the
    relay says so and ends, and is begun again.
    """
    until = time.monotonic() + DEADLINE_S
    while True:
        with Bridge("run", *ports, home=home) as relay:
            try:
                relay.err_line("relay ready")
            except AssertionError:
                if relay.process.wait(DEADLINE_S) != ExitCode.PORT_IN_USE:
                    raise
                if time.monotonic() > until:
                    raise
                continue
            yield relay
            return


def endpoint(home):
    """
    Return where the running relay takes requests.
    """
    return read_control_file(home / "data").endpoints["request"]


def ticks_of(home, count):
    """
    Return the positions of so many ticks of EURUSD, as a client gets them.
    """
    with Client(endpoint(home), terminal="demo", timeout=30) as client:
        stream = client.ticks("EURUSD", timeout=30)
        return [(tick.epoch, tick.seq) for tick, _ in zip(stream, range(count), strict=False)]


def without_a_gap(positions):
    return all((one[0], one[1] + 1) == after for one, after in itertools.pairwise(positions))


# Beginning, working -------------------------------------------------------------------


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """
    Return the home of a relay with a terminal, for tests that only read.
    """
    home = tmp_path_factory.mktemp("Märkte 1")
    init_config(home, ["demo"])
    with Bridge("run", *FREE_PORTS, home=home) as relay:
        relay.err_line("relay ready")
        with a_terminal(home) as terminal:
            terminal.err_line("logged on")
            yield home


def test_ticks_reach_a_client_without_a_gap(market):
    positions = ticks_of(market, 100)

    assert len(positions) == 100
    assert without_a_gap(positions)


def test_the_command_line_reads_what_a_client_reads(market):
    status = run_bridge("status", "--terminal", "demo", home=market)
    quote = run_bridge("quote", "EURUSD", "-o", "jsonl", "--timeout", "30", home=market)

    assert [0, 0] == [one.code for one in (status, quote)]
    assert "connected" == json.loads(status.out)["terminals"][0]["state"]
    assert "EURUSD" == json.loads(quote.out)["symbol"]


def test_ctrl_c_ends_a_command_that_reads(market):
    with Bridge("tail", "EURUSD", "--timeout", "30", home=market) as tail:
        tail.out_line("EURUSD")
        tail.interrupt()
        assert 130 == tail.finish().code


def test_a_closed_pipe_ends_a_command_without_a_word(market):
    """
    ``bridge tail | more`` and q: Windows tells it as an invalid argument.
    """
    with Bridge("tail", "EURUSD", "--timeout", "30", home=market) as tail:
        tail.out_line()
        tail.close_out()
        finished = tail.finish()

    assert (0, "") == (finished.code, finished.err)


def test_a_second_terminal_of_the_same_name_is_refused(market):
    finished = run_bridge("sim", "--symbols", SYMBOLS, home=market)

    assert 5 == finished.code
    assert "runs already (process " in finished.err


def test_a_second_relay_does_not_take_a_port_away(market, tmp_path):
    """
    Without SO_EXCLUSIVEADDRUSE Windows would hand it over.
    """
    other = tmp_path / "other"
    init_config(other, ["demo"])
    taken = read_control_file(market / "data").endpoints["terminal"]
    flags = [flag for flag in FREE_PORTS if not flag.startswith("--terminal")]

    finished = run_bridge("run", *flags, f"--terminal-endpoint={taken}", home=other)

    assert 4 == finished.code
    assert taken in finished.err


# Ending -------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["c", "break"])
def test_a_key_ends_a_relay_in_order(home, relay, key):
    press(relay.process.pid, key)

    finished = relay.finish()
    name = {"c": "SIGINT", "break": "SIGBREAK"}[key]
    assert 0 == finished.code
    assert f"reason={name}" in finished.err
    assert "relay stopped" in finished.err.splitlines()[-1]
    assert not (home / "data" / "control.json").exists()


@pytest.mark.parametrize("key", ["c", "break"])
def test_a_key_ends_a_terminal_in_order(terminal, key):
    press(terminal.process.pid, key)

    finished = terminal.finish()
    assert 0 == finished.code
    assert "simulated terminal stopped" in finished.err.splitlines()[-1]


def test_a_second_relay_is_refused_and_bridge_stop_ends_the_first(home, relay):
    second = run_bridge("run", *FREE_PORTS, home=home)
    stopped = run_bridge("stop", home=home)

    assert 5 == second.code
    assert f"process {relay.process.pid}" in second.err
    assert (0, "relay stopped") == (stopped.code, stopped.err.strip())
    assert 0 == relay.finish().code
    assert not (home / "data" / "control.json").exists()


# Being killed -------------------------------------------------------------------------


def test_after_a_kill_of_the_relay_the_next_one_goes_on(home, terminal, relay):
    """
    TerminateProcess: nothing is flushed, nobody is told, the lock is Windows' to give back.
    """
    where = read_control_file(home / "data").endpoints
    ports = [f"--{name}-endpoint={endpoint}" for name, endpoint in where.items()]
    with Client(where["request"], terminal="demo", timeout=60) as client:
        stream = client.ticks("EURUSD", timeout=60)
        before = [next(stream) for _ in range(50)]
        relay.kill()
        with next_relay(home, ports) as again:
            after = [next(stream) for _ in range(100)]

            assert tick_topic("demo", "EURUSD") in run_bridge("status", home=home).out
            again.interrupt()
            assert 0 == again.finish().code
    ticks = [*before, *after]
    times = [tick.time_msc for tick in ticks]
    assert sorted(times) == times
    # Where a stream could not go on, it must say so; silently lost is what may not be.
    assert all(
        (one.epoch, one.seq + 1) == (two.epoch, two.seq) or two.gap or one.epoch != two.epoch
        for one, two in itertools.pairwise(ticks)
    )


def test_after_a_kill_of_the_terminal_ticks_go_on(home, terminal):
    with Client(endpoint(home), terminal="demo", timeout=60) as client:
        stream = client.ticks("EURUSD", timeout=60)
        next(stream)
        terminal.kill()
        with a_terminal(home) as again:
            again.err_line("logged on")

            assert 50 == len([next(stream) for _ in range(50)])
