"""Lives of a program that trades: killed at a place, power lost, started again at its broker."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mql5.host import ExitCode
from tests.mql5.scenarios.expert import why_not
from tests.mql5.trader import BUY, START_S, one, order
from tests.support.exchange_bench import ExchangeBench

pytestmark = [pytest.mark.skipif(bool(why_not()), reason=why_not()), pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
ONE_ORDER = Path(__file__).with_name("programs") / "one_order.mq5"


# --- lives ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "executed"), [("before", 0), ("sent", 1), ("after", 1)]
)  # fmt: skip
def test_a_program_dies_at_its_second_order(quiet, place, executed):
    bench = ExchangeBench(reply_ms=(10, 10))
    ea = quiet(bench, options={"die_at": f"OrderSend.{place}:2"})
    ea.chart_event(1, 0, 0.0, f"many times=5 {BUY}")
    ea.wait_for_exit()

    assert -9 == ea.exit_code
    assert 1 + executed == len(bench.exchange.positions())


def test_a_place_to_die_at_has_to_be_one(quiet):
    ea = quiet(options={"die_at": "OrderSend.later:1"})
    ea.chart_event(1, 0, 0.0, f"send {BUY}")

    assert ExitCode.USAGE == ea.wait_for_exit()


def test_lives_have_one_time_line_and_one_broker(quiet):
    bench = ExchangeBench(execution_ms=(50, 50), reply_ms=(50, 50))
    first = quiet(bench)
    first.advance(1000)
    first.chart_event(1, 0, 0.0, f"send {BUY}")
    first.advance(20)
    first.kill()
    second = quiet(bench)

    assert 1_020_000 == second.now_us
    assert "positions 0" == one(second, "positions")

    second.advance(100)

    assert "positions 1" == order(second, "positions")[0]
    assert f"server {START_S + 1} utc 1704153601" == order(second, "account")[2]
    assert "id 2 us 100000" in one(second, f"send {BUY}")


def test_what_happened_before_a_life_is_not_told_to_it(start):
    bench = ExchangeBench()
    bench.buy()
    ea = start(bench)
    ea.settle()

    assert [] == ea.said()


def test_the_command_gives_the_account_to_a_broker_that_outlives_it(tmp_path):
    words = ["--mode", "asan", "--symbols", "EURUSD", "--synthetic", "100", "--trade"]
    words += ["--broker", str(tmp_path / "broker.bin"), "--rule", "reply_ms=[1,2]"]
    said = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "tests.mql5", "run", str(ONE_ORDER), *words],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, input="", check=True,
            capture_output=True, text=True, timeout=500,
        )  # fmt: skip
        events = map(json.loads, done.stdout.splitlines())
        said += [event["text"] for event in events if event["event"] == "print"]

    assert [f"sent true retcode 10009 positions {count}" for count in (1, 2)] == said


# --- databases ----------------------------------------------------------------------------------------


def numbers_in(folder, tmp_path):
    """
    Return the largest number in the program's database, and what SQLite thinks of the file.
    """
    copy = tmp_path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder / "MQL5" / "Files", copy)
    database = sqlite3.connect(copy / "trader.sqlite")
    try:
        (checked,) = database.execute("PRAGMA integrity_check").fetchone()
        (number,) = database.execute("SELECT coalesce(max(number), 0) FROM numbers").fetchone()
    finally:
        database.close()
    return number, checked


@pytest.mark.parametrize(("mode", "synchronous"), [("WAL", "FULL"), ("DELETE", "EXTRA")])
def test_a_loss_of_power_takes_nothing_that_was_synced(quiet, tmp_path, seed, mode, synchronous):
    rng = random.Random(f"{seed}/{mode}")
    number, before = 0, 0
    for _ in range(6):
        nth = rng.randint(2, 12)
        ea = quiet(
            options={
                "losing_disk": 1,
                "die_at": f"Database.{rng.choice(['before', 'after'])}:{nth}",
            },
            name="lives",
        )
        ea.chart_event(1, 0, 0.0, f"database mode={mode} synchronous={synchronous} count=20")
        ea.wait_for_exit()
        before = number + ea.said().count("inserted")
        told = ea.power_loss(rng)
        number, checked = numbers_in(ea.folder, tmp_path)

        assert "ok" == checked, told
        assert before <= number <= before + 1, told


@pytest.mark.parametrize(
    ("mode", "synchronous", "sqlite"),
    [("WAL", "OFF", ""), ("DELETE", "FULL", ""), ("WAL", "FULL", "sync_ignored")],
)
def test_a_loss_of_power_takes_what_was_not_synced(
    quiet, tmp_path, seed, mode, synchronous, sqlite
):
    rng = random.Random(f"{seed}/{mode}/{synchronous}")
    lost = 0
    for turn in range(8):
        ea = quiet(options={"losing_disk": 1, "sqlite": sqlite}, name=f"turn{turn}")
        ea.chart_event(1, 0, 0.0, f"database mode={mode} synchronous={synchronous} count=3 ")
        ea.set_option("die_at", "Database.after:4")
        ea.wait_for_exit()
        ea.power_loss(rng)
        try:
            lost += numbers_in(ea.folder, tmp_path) != (3, "ok")
        except sqlite3.DatabaseError:
            lost += 1

    assert lost


def test_a_killed_program_loses_nothing_that_it_wrote(quiet, tmp_path):
    ea = quiet(options={"losing_disk": 1, "die_at": "Database.after:4"})
    ea.chart_event(1, 0, 0.0, "database mode=WAL synchronous=OFF count=5")
    ea.wait_for_exit()

    assert (3, "ok") == numbers_in(ea.folder, tmp_path)


def test_a_loss_of_power_needs_a_disk_that_can_lose(quiet, rng):
    ea = quiet()
    with pytest.raises(FileNotFoundError, match="losing_disk"):
        ea.power_loss(rng)


@pytest.mark.parametrize(
    ("sqlite", "error"),
    [("write_full", 5613), ("write_fails", 5610), ("sync_fails", 5610), ("locked", 5606),
     ("busy", 5605), ("full", 5613)],
)  # fmt: skip
def test_a_disk_can_fail(quiet, sqlite, error):
    ea = quiet()
    order(ea, "database mode=DELETE synchronous=FULL count=1")
    ea.set_option("sqlite", sqlite)
    failed = order(ea, "database mode=DELETE synchronous=FULL count=1")
    ea.set_option("sqlite", "")

    assert f" false error {error}" in " ".join(failed)
    assert "inserted" not in failed
    assert (
        "database done true error 0"
        == order(ea, "database mode=DELETE synchronous=FULL count=1")[-1]
    )
