"""Each rule of the event queue and of a program's life, proved by a program that obeys orders."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.model.symbol import spec_for
from bridge.model.tick import MqlTick
from bridge.sim.market import Market
from bridge.sim.terminal import Account
from tests.mql5 import building
from tests.mql5.host import EaProcess, ExitCode
from tests.mql5.link import Writer
from tests.mql5.scenarios.expert import why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

PUPPET = Path(__file__).with_name("programs") / "Puppet.mq5"
ACCOUNT = Account(login=1001, server="Demo-Server")


@pytest.fixture(scope="session")
def program():
    return building.build(PUPPET, mode="asan")


@pytest.fixture
def start(program, tmp_path):
    running = []

    def begin(clock="virtual", options=None, **inputs):
        specs = [replace(spec_for(name), select=True) for name in ("EURUSD", "GBPUSD")]
        ea = EaProcess(
            program,
            market=Market(specs),
            account=ACCOUNT,
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
    Let the program do something; return what it printed.
    """
    before = len(ea.said())
    ea.chart_event(number, lparam, dparam, sparam)
    ea.settle()
    return ea.said()[before:]


def transaction(deal):
    """
    Return the fields of a transaction without request and result.
    """
    fields = Writer().pack("QQ", deal, 0).text("EURUSD").pack("iiiii", 6, 0, 0, 0, 0)
    return fields.pack("qddddd", 0, 1.1, 0.0, 0.0, 0.0, 0.1).pack("QQ", 0, 0).bytes()


def test_ticks_that_come_while_ontick_runs_are_ignored(start):
    ea = start(InpTickMs=100)
    ea.tick("EURUSD")
    ea.advance(50)
    for _ in range(5):
        ea.tick("EURUSD")
    ea.advance(1000)

    assert 1 == ea.said().count("OnTick")

    ea.tick("EURUSD")
    ea.advance(0)

    assert 2 == ea.said().count("OnTick")


def test_ticks_that_come_together_are_one_event(start):
    ea = start()
    for _ in range(5):
        ea.tick("EURUSD")
    ea.settle()

    assert 1 == ea.said().count("OnTick")


def test_a_tick_of_another_symbol_is_no_event(start):
    ea = start()
    ea.tick("GBPUSD")
    ea.settle()

    assert 0 == ea.said().count("OnTick")


def test_a_tick_waits_while_another_handler_runs(start):
    ea = start(InpBookMs=100)
    ea.book_event("GBPUSD")
    ea.advance(50)
    ea.tick("EURUSD")
    ea.tick("EURUSD")
    ea.advance(100)

    assert ["OnBookEvent GBPUSD", "OnTick"] == ea.said()[-2:]


def test_every_book_event_is_queued(start):
    ea = start(InpBookMs=10)
    for _ in range(20):
        ea.book_event("GBPUSD")
    ea.advance(1000)

    assert 20 == ea.said().count("OnBookEvent GBPUSD")


def test_the_queue_overflows_silently(start):
    ea = start(options={"queue_limit": 10}, InpBookMs=10)
    for _ in range(20):
        ea.book_event("GBPUSD")
    ea.advance(1000)

    assert 10 == ea.said().count("OnBookEvent GBPUSD")


def test_chart_events_coalesce(start):
    ea = start()
    for number in range(100, 105):
        ea.chart_event(number, 7, 0.5, "x")
    ea.settle()

    assert ["OnChartEvent 100 7 0.5 x"] == ea.said()[2:]


def test_a_chart_event_to_oneself_is_dropped_while_one_is_handled(start):
    ea = start()

    assert ["posted true"] == order(ea, 27)


def test_of_transactions_beyond_1024_the_oldest_are_displaced(start):
    ea = start(InpTickMs=100)
    ea.tick("EURUSD")
    ea.settle()
    for deal in range(1, 2001):
        ea.transaction(transaction(deal))
    ea.trade()
    ea.advance(200)

    assert "OnTrade deals 1024 first 977 last 2000" == ea.said()[-1]


def test_a_transaction_of_a_request_brings_request_and_result(start):
    ea = start(InpTradeMs=1)
    fields = Writer().raw(transaction(5)).pack("iQQ", 1, 42, 0).text("EURUSD")
    fields.pack("dddddQiiiq", 0.1, 1.1, 0.0, 0.0, 0.0, 20, 0, 0, 0, 0).text("mine")
    fields.pack("QQ", 0, 0).pack("IQQdddd", 10009, 5, 6, 0.1, 1.1, 1.1, 1.2)
    ea.transaction(fields.text("done").pack("Ii", 1, 0).bytes())
    ea.settle()

    assert "OnTradeTransaction 5 EURUSD mine 10009" == ea.said()[-1]


def test_the_timer_is_not_faster_than_its_floor(start):
    ea = start(InpTimerMs=1)
    ea.advance(160)

    assert [f"OnTimer {us}" for us in range(16_000, 160_001, 16_000)] == ea.said()[2:]


def test_the_floor_of_the_timer_is_an_option(start):
    ea = start(options={"timer_floor_ms": 10}, InpTimerMs=1)
    ea.advance(30)

    assert ["OnTimer 10000", "OnTimer 20000", "OnTimer 30000"] == ea.said()[2:]


def test_the_timer_is_lost_while_its_handler_runs(start):
    ea = start(InpTimerMs=20, InpTimerWorkMs=50)
    ea.advance(200)

    assert ["OnTimer 20000", "OnTimer 80000", "OnTimer 140000", "OnTimer 200000"] == ea.said()[2:]


def test_one_timer_event_is_kept_while_another_handler_runs(start):
    ea = start(InpTimerMs=20, InpTickMs=110)
    ea.tick("EURUSD")
    ea.advance(125)

    assert ["OnTick", "OnTimer 110000", "OnTimer 120000"] == ea.said()[2:]


def test_a_second_timer_replaces_the_first(start):
    ea = start(InpTimerMs=20)
    order(ea, 21, 50)
    ea.advance(100)

    assert ["OnTimer 50000", "OnTimer 100000"] == ea.said()[3:]


def test_a_killed_timer_is_silent(start):
    ea = start(InpTimerMs=20)
    order(ea, 22)
    ea.advance(100)

    assert 2 == len(ea.said())


def test_a_timer_can_fail(start):
    ea = start(options={"timer_fails": 1})

    assert ["timer false error 4108"] == order(ea, 21, 20)


def test_events_before_oninit_returns_are_dropped(start):
    ea = start(InpInitMs=100)
    ea.advance(50)
    ea.tick("EURUSD")
    ea.book_event("GBPUSD")
    ea.advance(500)

    assert ["OnInit done"] == ea.said()[1:]


def test_an_oninit_that_fails_ends_with_reason_8(start):
    ea = start(InpInitResult=1)

    assert ExitCode.INIT_FAILED == ea.wait_for_exit()
    assert ["OnDeinit 8 8 stopped true", "OnDeinit done"] == ea.said()[-2:]


def test_an_expert_that_removes_itself_is_deinitialised(start):
    ea = start()
    ea.chart_event(20, 0, 0.0, "")
    ea.tick("EURUSD")

    assert ExitCode.ENDED == ea.wait_for_exit()
    assert ["removed true", "OnDeinit 0 0 stopped true", "OnDeinit done"] == ea.said()[-3:]


def test_globals_keep_their_values_and_inputs_do_not(start):
    ea = start(InpText="first")
    ea.reinit(5, inputs={"InpText": "second"})
    ea.reinit(3, symbol="GBPUSD")

    begins = [line for line in ea.said() if line.startswith("OnInit life")]
    assert [
        "OnInit life 1 text first symbol EURUSD timer 0",
        "OnInit life 2 text second symbol EURUSD timer 0",
        "OnInit life 3 text second symbol GBPUSD timer 0",
    ] == begins
    assert [5, 3] == [event["reason"] for event in ea.happened("deinitialized")]


def test_events_between_ondeinit_and_oninit_are_lost(start):
    ea = start(InpBookMs=100)
    for _ in range(5):
        ea.book_event("GBPUSD")
    ea.settle()
    ea.reinit(3)
    ea.advance(1000)

    assert 1 == ea.said().count("OnBookEvent GBPUSD")


def test_a_timer_ends_with_its_life(start):
    ea = start(InpTimerMs=20)
    ea.reinit(5, inputs={"InpTimerMs": 0})
    ea.advance(100)

    assert "OnInit done" == ea.said()[-1]


def test_an_ondeinit_that_takes_too_long_is_killed(start):
    ea = start("real", InpDeinitMs=60_000)
    ea.wait_until_initialized()

    assert ExitCode.DEINIT_TIMEOUT == ea.deinit()
    assert "OnDeinit 1 1 stopped true" == ea.said()[-1]


def test_an_ondeinit_that_waits_too_long_is_killed(start):
    """
    On the virtual clock, by a socket that takes its time.
    """
    ea = start(options={"socket_mode": "connect_blocks"}, InpText="connect at the end")
    order(ea, 1)
    ea.ask_to_end()
    ea.advance(2400)

    assert ea.running

    assert ExitCode.DEINIT_TIMEOUT == ea.wait_for_exit()
    assert "2.5 s" in ea.crash


def test_sleep_takes_whole_steps_of_the_system_timer(start):
    ea = start(options={"sleep_granularity_us": 15_600})
    ea.chart_event(24, 1, 0.0, "")
    ea.advance(100)

    assert "slept 15600" == ea.said()[-1]


def test_sleep_looks_at_the_halt_flag_every_100_ms(start):
    ea = start()
    ea.chart_event(24, 10_000, 0.0, "")
    ea.advance(130)
    ea.ask_to_end()
    ea.wait_for_exit()

    assert ["slept 200000", "OnDeinit 1 1 stopped true", "OnDeinit done"] == ea.said()[-3:]


@pytest.mark.parametrize(
    ("how", "error"),
    [(0, "array out of range"), (1, "zero divide"), (2, "invalid pointer access")],
)
def test_a_critical_error_ends_the_program_without_ondeinit(start, how, error):
    ea = start()
    order(ea, 23, how)

    assert ExitCode.CRITICAL == ea.wait_for_exit()
    assert error in ea.crash
    assert "Puppet.mq5:" in ea.crash
    assert not ea.happened("deinitialized")


def test_objects_left_behind_are_told_when_the_program_is_unloaded(start):
    ea = start()
    order(ea, 23, 3)

    assert ExitCode.ENDED == ea.deinit()
    assert "undeleted object" in " ".join(line.text for line in ea.journal)


def test_a_program_that_never_waits_does_not_hang_the_virtual_clock(start):
    ea = start()
    ea.chart_event(29, 1000, 0.0, "")

    assert ExitCode.BUSY_LOOP == ea.wait_for_exit()


def test_a_wrong_input_is_told(start):
    ea = start(InpTimerMs="soon")

    assert ExitCode.USAGE == ea.wait_for_exit()
    assert "InpTimerMs=soon" in ea.crash


def test_an_input_that_is_none_is_told(start):
    ea = start(InpNothing=1)

    assert ExitCode.USAGE == ea.wait_for_exit()
    assert "InpNothing" in ea.crash


def test_real_time_has_the_same_rules(start):
    ea = start("real", InpTimerMs=20)
    ea.wait_until_initialized()
    ea.quote("EURUSD", MqlTick(1_000, 1.1, 1.2))
    ea.wait_for_line("OnTick")
    ea.wait_for(lambda: len([line for line in ea.said() if line.startswith("OnTimer")]) >= 5)
    times = [int(line.split()[1]) for line in ea.said() if line.startswith("OnTimer")]

    assert all(later - earlier >= 5_000 for earlier, later in itertools.pairwise(times))
    assert ExitCode.ENDED == ea.deinit()


def test_a_killed_terminal_is_noticed(start):
    ea = start("real")
    ea.wait_until_initialized()
    ea.kill()

    assert -9 == ea.exit_code
