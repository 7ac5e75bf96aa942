"""
The demo shows what it claims, and says so when something does not hold.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import re
import signal
import struct
import sys
from pathlib import Path

import pytest

from bridge.cli import main
from bridge.cli.demo import scenario
from bridge.cli.demo.audience import Subscriber
from bridge.sim.link import Link
from tests.support.processes import Bridge, run_bridge

CHECKS = [
    "all_ticks_received",
    "no_gap",
    "ticks_equal",
    "link_cut_and_healed",
    "relay_killed_and_restarted",
    "late_subscriber_consistent",
    "order_filled",
    "order_rejected_by_the_broker",
    "order_denied_by_the_bridge",
    "retry_answered_without_a_trade",
    "lost_answer_resolved",
    "position_closed",
    "no_order_twice",
    "relay_stops_in_order",
]


@pytest.fixture
def places(tmp_path):
    """
    Return the environment of a demo whose folders are seen by the test.
    """
    (tmp_path / "temp").mkdir()
    return {name: str(tmp_path / "temp") for name in ("TMPDIR", "TEMP", "TMP")}


def left_behind(places):
    """
    Return what a demo left in the folder for temporary files.
    """
    return [path.name for path in Path(places["TMPDIR"]).iterdir()]


def is_running(pid):
    """
    Return whether there is a process of this number.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def digest_of_files(paths):
    """
    Return what docs say of the digest, written down a second time and without our reader.
    """
    lines = []
    for path in sorted(paths, key=lambda path: path.name.split("_")[0]):
        symbol = path.name.split("_")[0]
        hashed, count, bid, ask = hashlib.sha256(), 0, 0.0, 0.0
        for line in path.read_text().splitlines()[1:]:
            date, time, bid_text, ask_text, *_ = line.split("\t")
            bid, ask = float(bid_text or bid), float(ask_text or ask)
            at = dt.datetime.strptime(f"{date} {time}+0000", "%Y.%m.%d %H:%M:%S.%f%z")
            hashed.update(struct.pack("<qdd", round(at.timestamp() * 1000), bid, ask))
            count += 1
        lines.append(f"{symbol} {count} {hashed.hexdigest()}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@pytest.mark.slow
def test_every_claim_holds_for_files_at_full_speed(tmp_path, places):
    written = run_bridge(
        "generate", tmp_path / "t", "--symbols", "4", "--count", "8000", "--seed", "3",
        home=tmp_path,
    )  # fmt: skip
    files = [Path(line) for line in written.out.splitlines()]

    finished = run_bridge(
        "demo", "--ticks", *files, "--speed", "max", "--json", home=tmp_path, env=places
    )

    told = json.loads(finished.out)
    assert (finished.code, told["v"], told["ok"]) == (0, 1, True), finished.err
    assert [(check["name"], check["ok"]) for check in told["checks"]] == [
        (name, True) for name in CHECKS
    ]
    ticks = told["ticks"]
    assert (ticks["sent"], ticks["received"], ticks["gaps"]) == (8000, 8000, 0)
    assert told["digest_sent"] == told["digest_received"] == digest_of_files(files)
    assert told["reconnects"] >= 3
    assert (told["link_cuts"], told["relay_restarts"]) == (2, 1)
    late = told["late_subscriber"]
    assert late["consistent"]
    assert 0 < late["joined_after"] < 8000
    assert late["joined_after"] + late["received"] == 8000
    assert told["latency_us"]["samples"] > 0
    assert 0 < told["latency_us"]["p50"] <= told["latency_us"]["p99"]
    assert told["duration_s"] > 0
    orders = told["orders"]
    assert orders.pop("done") == 3
    assert orders.pop("denied") == 1
    assert orders == {"rejected": 1, "unknown": 0, "duplicates": 0, "resolved": 1, "replayed": 1}
    assert left_behind(places) == []


def labels(lines):
    """
    Return what stands in the first column of each line, without what depends on time.
    """
    return [
        re.sub(r"[0-9.,]+", "#", " ".join(re.split(r"\s{2,}", line.strip())[:wide]))
        for line in lines
        if not line.startswith("  ticks ")
        for wide in [2 if line.strip().startswith("ok") else 1]
    ]


@pytest.mark.slow
def test_a_person_sees_what_the_readme_shows(tmp_path, places):
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"^```text\n(preparing.*?)^```$", readme, re.MULTILINE | re.DOTALL).group(1)

    finished = run_bridge("demo", "--seconds", "3", home=tmp_path, env=places)

    assert finished.code == 0, finished.out
    assert labels(finished.out.splitlines()) == labels(shown.splitlines())
    assert "  ticks " in finished.out
    assert finished.out.isascii()
    assert left_behind(places) == []


# What must make it fail ---------------------------------------------------------------


@pytest.fixture
def small(monkeypatch, tmp_path):
    """
    Return a function that runs a small demo in this process: exit code and document.
    """
    monkeypatch.setattr(scenario, "_STALL_S", 3.0)
    monkeypatch.setenv("BRIDGE_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))

    def run(capsys):
        code = main(["demo", "--count", "1000", "--symbols", "2", "--speed", "max", "--json"])
        told = json.loads(capsys.readouterr().out)
        return code, told, [check["name"] for check in told["checks"] if not check["ok"]]

    return run


def test_the_small_demo_holds_when_nothing_is_tampered_with(small, capsys):
    code, told, failed = small(capsys)

    assert (code, told["ok"], failed) == (0, True, [])


def test_a_subscriber_that_loses_a_tick_fails_the_demo(small, capsys, monkeypatch):
    take = Subscriber.take
    seen = []

    def lossy(self, tick):
        seen.append(tick)
        if len(seen) != 300:
            take(self, tick)

    monkeypatch.setattr(Subscriber, "take", lossy)

    code, told, failed = small(capsys)

    assert (code, told["ok"]) == (1, False)
    assert {"all_ticks_received", "ticks_equal"} <= set(failed)


def test_a_price_that_is_changed_in_its_last_bit_fails_the_demo(small, capsys, monkeypatch):
    take = Subscriber.take
    seen = []

    def wrong(self, tick):
        seen.append(tick)
        if len(seen) == 500:
            tick.ask = float.fromhex(tick.ask.hex()) + 2**-52
        take(self, tick)

    monkeypatch.setattr(Subscriber, "take", wrong)

    code, _, failed = small(capsys)

    assert code == 1
    assert "ticks_equal" in failed
    assert "all_ticks_received" not in failed


def test_a_cut_that_does_not_happen_fails_the_demo(small, capsys, monkeypatch):
    monkeypatch.setattr(Link, "cut", lambda _self: None)

    code, _, failed = small(capsys)

    assert code == 1
    assert "link_cut_and_healed" in failed


# Ends ---------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal for others")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_whoever_ends_a_demo_leaves_nothing_behind(tmp_path, places, number):
    with Bridge("demo", "--seconds", "60", home=tmp_path, env=places) as demo:
        child = int(re.search(r"process (\d+)", demo.out_line("relay ")).group(1))
        demo.out_line("a second")
        demo.process.send_signal(number)

        finished = demo.finish()

    assert (finished.code, finished.err.strip()) == (130, "")
    assert not is_running(child)
    assert left_behind(places) == []


@pytest.mark.slow
def test_what_is_kept_is_named(tmp_path, places):
    finished = run_bridge(
        "demo", "--count", "500", "--symbols", "1", "--speed", "max", "--keep",
        home=tmp_path, env=places,
    )  # fmt: skip

    folder = Path(re.search(r"folder +(.+)", finished.out).group(1))
    assert finished.code == 0, finished.out
    assert (folder / "bridge.toml").exists()
    assert (folder / "logs" / "bridge.jsonl").exists()


@pytest.mark.slow
def test_a_demo_nobody_looks_at_any_more_goes_on(tmp_path, places):
    with Bridge(
        "demo", "--count", "500", "--symbols", "1", "--speed", "max", home=tmp_path, env=places
    ) as demo:
        demo.out_line("relay ")
        demo.close_out()

        finished = demo.finish()

    assert (finished.code, finished.err) == (0, "")
    assert left_behind(places) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--count", "5"], "100<=x"),
        (["--symbols", "0"], "0 symbols"),
        (["--speed", "fast"], "neither a number"),
        (["--seconds", "-1"], "0<x"),
        (["x.csv"], "does not exist"),
    ],
)
def test_what_is_asked_for_wrongly_is_said(tmp_path, arguments, said):
    finished = run_bridge("demo", *arguments, home=tmp_path)

    assert finished.code == 2
    assert said in finished.err
