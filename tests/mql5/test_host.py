"""The host: market, account and time as a program sees them, and the two clocks."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.model.symbol import spec_for
from bridge.model.tick import MqlTick
from bridge.sim.feed import Feed
from bridge.sim.market import Market
from bridge.sim.terminal import Account
from bridge.wire.spec import Permission
from tests.mql5 import building, run
from tests.mql5.broker import BookLevel
from tests.mql5.feed import FeedThread, Reading, play_lines, tick_of_line
from tests.mql5.host import NEVER_US, WITHIN_S, EaProcess, ExitCode, ProgramFailed
from tests.mql5.scenarios.expert import why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

PUPPET = Path(__file__).with_name("programs") / "Puppet.mq5"
ROOT = Path(__file__).resolve().parents[2]
SLEEP, TICKS, TELL, SAY, SELECT, BOOK = 24, 25, 26, 28, 30, 32
TICK = MqlTick(1_546_383_600_078, 1.14605, 1.14643, 1.1462, 3.7, 6)


@pytest.fixture(scope="session")
def program():
    return building.build(PUPPET, mode="asan")


@pytest.fixture
def market():
    return Market([replace(spec_for("EURUSD"), select=True), spec_for("XAUUSD"), spec_for("ES")])


@pytest.fixture
def start(program, market, tmp_path):
    running = []

    def begin(clock="virtual", options=None, **inputs):
        ea = EaProcess(
            program,
            market=market,
            account=Account(login=1001, server="Demo-Server", leverage=50),
            inputs=inputs,
            options=options,
            clock=clock,
            folder=tmp_path / str(len(running)),
        )
        running.append(ea)
        ea.start()
        return ea

    yield begin
    for ea in running:
        ea.close()


def order(ea, number, lparam=0, dparam=0.0, sparam=""):
    """
    Let the program do something, and all the time that it takes; return what it printed.
    """
    before = len(ea.said())
    ea.chart_event(number, lparam, dparam, sparam)
    ea.wait_for(lambda: len(ea.said()) > before, within_s=100)
    return ea.said()[before:]


def test_ticks_arrive_as_they_are(start):
    ea = start()
    ea.quote("EURUSD", TICK)

    expected = "tick 1546383600078 1546383600 1.14605 1.14643 1.1462 3 3.7 6"
    assert ["OnTick", "ticks 1 error 0 ms 0", expected] == order(ea, TICKS, 0, 10, "EURUSD")


def test_the_chart_symbol_has_no_name_to_be_given(start):
    ea = start()
    ea.quote("EURUSD", TICK)

    assert "ticks 1 error 0 ms 0" in order(ea, TICKS, 0, 10, "")


def test_copyticks_has_the_errors_of_the_history(start):
    ea = start()

    assert ["ticks -1 error 4301 ms 0"] == order(ea, TICKS, 0, 10, "NOTHING")
    assert ["ticks -1 error 4302 ms 0"] == order(ea, TICKS, 0, 10, "XAUUSD")
    assert ["select true error 0"] == order(ea, SELECT, 1, 0.0, "XAUUSD")
    assert ["ticks 0 error 0 ms 0"] == order(ea, TICKS, 0, 10, "XAUUSD")


def test_a_copyticks_that_blocks_takes_its_time(start, market):
    market.history.extend("EURUSD", [TICK] * 3)
    market.history.answer_in_part("EURUSD", blocked_ms=45_000)
    ea = start()
    first = order(ea, TICKS, 0, 10, "EURUSD")

    assert first[0].endswith(" error 4403 ms 45000")
    assert "ticks 3 error 0 ms 0" == order(ea, TICKS, 0, 10, "EURUSD")[0]
    assert 45_000_000 == ea.now_us


def test_properties_have_the_values_of_market_account_and_terminal(start):
    ea = start()
    ea.quote("EURUSD", TICK)
    ea.settle()
    ea.set_permissions(Permission.TERMINAL_CONNECTED)

    assert [
        "digits 5 point 0.00001 base EUR error 0",
        "last true 1546383600078 error 0",
        "exists true custom false total 3 selected 1 first EURUSD",
        "login 1001 server Demo-Server currency USD leverage 50",
        "connected 1 build 5836 tester 0 name Puppet allowed 0",
        "current 1546383600 offset 7200 utc 1704153600",
    ] == [line.replace("1e-05", "0.00001") for line in order(ea, TELL, 0, 0.0, "EURUSD")]


def test_an_unknown_symbol_has_no_properties(start):
    lines = order(start(), TELL, 0, 0.0, "NOTHING")

    assert "digits 0 point 0.0 base  error 4301" == lines[0]
    assert "last false 0 error 4301" == lines[1]
    assert lines[2].startswith("exists false")


def test_the_trade_server_can_be_lost_and_found(start):
    ea = start()
    ea.disconnect_trade_server()
    lost = order(ea, TELL)
    ea.reconnect_trade_server()
    found = order(ea, TELL)

    assert lost[4].startswith("connected 0 ")
    assert found[4].startswith("connected 1 ")


def test_the_account_can_change(start):
    ea = start()
    ea.set_account(login=0)

    assert order(ea, TELL)[3].startswith("login 0 server Demo-Server")


def test_comment_and_alert_reach_the_host(start):
    ea = start()
    ea.chart_event(SAY, 0, 0.0, 'says "so" \\ é')
    ea.settle()

    assert 'says "so" \\ é' == ea.comment
    assert ['says "so" \\ é'] == ea.alerts


def test_a_book_has_the_levels_of_the_broker(start):
    ea = start()
    ea.broker.books["ES"] = [BookLevel(1, 5000.25, 3.0), BookLevel(2, 5000.0, 7.5)]

    assert [
        "book true error 0",
        "levels true 2 error 0",
        "level 1 5000.25 3 3.0",
        "level 2 5000.0 7 7.5",
        "released true error 0",
    ] == order(ea, BOOK, 0, 0.0, "ES")


def test_a_symbol_without_a_book_refuses(start):
    lines = order(start(), BOOK, 0, 0.0, "EURUSD")

    assert [
        "book false error 4901",
        "levels false 0 error 4903",
        "released false error 4902",
    ] == lines


def test_the_virtual_clock_moves_only_when_told(start):
    ea = start()
    ea.chart_event(SLEEP, 1000, 0.0, "")
    ea.advance(999.999)
    before = len(ea.said())
    ea.advance(0.001)

    assert 2 == before
    assert "slept 1000000" == ea.said()[-1]


def test_the_same_calls_give_the_same_journal(start, rng):
    plan = [(rng.choice(["tick", "book", "sleep"]), rng.randrange(100)) for _ in range(200)]

    def play():
        ea = start(options={"utc_shift_ms": 0}, InpTimerMs=10, InpBookMs=5)
        for what, number in plan:
            if what == "tick":
                ea.tick("EURUSD")
            elif what == "book":
                ea.book_event("XAUUSD")
            else:
                ea.chart_event(SLEEP, number, 0.0, "")
            ea.advance(number)
        return ea.journal

    assert play() == play()


class Clock:
    """
    A peer that wants its turn every 300 us.
    """

    def __init__(self):
        self.turns = []

    def run(self, now_us):
        if not self.turns or now_us - self.turns[-1] >= 300:
            self.turns.append(now_us)
        return False

    def next_deadline(self):
        return self.turns[-1] + 300 if self.turns else NEVER_US


def test_a_peer_gets_its_turn_when_it_wants_it(start):
    ea = start(InpTimerMs=20)
    clock = Clock()
    ea.peers.append(clock)
    ea.advance(1.2)

    assert [0, 300, 600, 900, 1200] == clock.turns


def test_waiting_for_what_does_not_happen_fails_with_the_story(start):
    ea = start()
    with pytest.raises(ProgramFailed, match="OnInit done"):
        ea.wait_for_line("never", within_s=1)


def test_inputs_are_not_on_the_command_line(start):
    ea = start(InpText="secret")
    command = Path(f"/proc/{ea.pid}/cmdline").read_bytes()

    assert "text secret" in ea.said()[0]
    assert b"secret" not in command


def test_the_program_ends_when_its_host_does(start):
    ea = start()
    ea._link.close()

    assert ExitCode.LINK_LOST == ea._process.wait(WITHIN_S)


def test_a_feed_plays_into_the_market_and_tells(start, market):
    ea = start("real")
    ea.wait_until_initialized()
    ticks = [MqlTick(TICK.time_msc + i, 1.1, 1.2) for i in range(100)]
    feed = Feed(market.history, (("EURUSD", tick) for tick in ticks), symbols=["EURUSD"], speed=10)
    with FeedThread(ea, feed) as thread:
        ea.wait_for(lambda: thread.finished)

    assert thread.error is None
    assert ticks == market.history.ticks_of("EURUSD")
    ea.wait_for_line("OnTick")


def test_reading_tells_whether_the_program_has_the_newest_tick(start):
    ea = start()
    reading = Reading(ea.broker)
    ea.quote("EURUSD", TICK)

    assert set() == reading.streaming

    order(ea, TICKS, 0, 10, "EURUSD")
    ea.settle()

    assert {"EURUSD"} == reading.streaming
    assert reading.keeps_up

    ea.quote("EURUSD", TICK._replace(time_msc=TICK.time_msc + 1))

    assert not reading.keeps_up


def test_lines_are_ticks(market):
    told = []
    line = f"EURUSD {' '.join(map(repr, TICK))}\n"
    import threading

    count = play_lines(io.StringIO(line * 2), market.history, threading.Lock(), told.append)

    assert 2 == count
    assert ["EURUSD"] * 2 == told
    assert [TICK, TICK] == market.history.ticks_of("EURUSD")


@pytest.mark.parametrize("line", ["", "EURUSD 1 2", "EURUSD x 1.0 1.0 0.0 0.0 6"])
def test_a_line_that_is_no_tick_is_refused(line):
    with pytest.raises(ValueError):
        tick_of_line(line)


def test_the_command_runs_a_program_until_its_stdin_ends(tmp_path, program):
    key = tmp_path / "key"
    key.write_text("secret\n")
    words = ["--mode", "asan", "--symbols", "EURUSD", "--ticks", "-", "--data", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.mql5", "run", str(PUPPET), *words,
         "--input-file", f"InpText={key}"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        heard = []
        for line in process.stdout:
            heard.append(json.loads(line))
            if heard[-1]["event"] == "initialized":
                process.stdin.write(f"EURUSD {' '.join(map(repr, TICK))}\n")
                process.stdin.flush()
            if heard[-1].get("text") == "OnTick":
                process.stdin.close()
        code = process.wait(WITHIN_S)

    assert 0 == code
    texts = [event.get("text") for event in heard]
    assert "OnInit life 1 text secret symbol EURUSD timer 0" in texts
    assert "OnDeinit 9 9 stopped true" in texts
    assert {"event": "ended", "code": 0, "text": ""} == heard[-1]


def test_the_command_tells_the_program_of_a_tick_that_comes_at_once(tmp_path, monkeypatch, capsys):
    """Whoever reads that it is initialized may be quicker than the command itself."""
    reading, writing = os.pipe()
    start = EaProcess.start

    def start_and_hold(self):
        start(self)
        try:
            self.wait_until_initialized()
            os.write(writing, f"EURUSD {' '.join(map(repr, TICK))}\n".encode())
            self.wait_for_line("OnTick")
        finally:
            os.close(writing)

    monkeypatch.setattr(EaProcess, "start", start_and_hold)
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        words = ["--mode", "asan", "--symbols", "EURUSD", "--ticks", "-", "--data", str(tmp_path)]

        assert 0 == run.main([str(PUPPET), *words])

    assert {"event": "ended", "code": 0, "text": ""} == json.loads(
        capsys.readouterr().out.splitlines()[-1]
    )
