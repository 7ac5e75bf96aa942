"""
The demo with the Expert Advisor itself as its terminal.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.cli import main
from bridge.cli.demo import expert
from tests.mql5 import building
from tests.mql5.scenarios.expert import why_not
from tests.support.processes import Bridge

EXPERT = Path(__file__).resolve().parents[2] / "mql5" / "Experts" / "Bridge.mq5"
needs_compiler = pytest.mark.skipif(bool(why_not()), reason=why_not())


@pytest.fixture(scope="module")
def built():
    """
    Build the EA before: how long the compiler takes is not what the demo is measured by.
    """
    building.build(EXPERT, mode="asan")


@needs_compiler
@pytest.mark.slow
@pytest.mark.timeout(300, func_only=True)
@pytest.mark.usefixtures("built")
@pytest.mark.parametrize(
    "arguments",
    [
        ("--seconds", "4", "--symbols", "3"),
        ("--count", "20000", "--symbols", "4", "--speed", "max"),
    ],
    ids=["paced", "full speed"],
)
def test_every_claim_holds_with_the_ea(tmp_path, arguments):
    """Also what is said of the digests, and the latencies are there."""
    # The build that the other tests need, too, where a user's is the fast one.
    words = ("demo", "--terminal", "ea", "--json", *arguments)
    with Bridge(*words, home=tmp_path, env={"MQL5_BUILD": "asan"}) as demo:
        finished = demo.finish(150.0)

    told = json.loads(finished.out)
    assert [] == [check for check in told["checks"] if not check["ok"]], finished.err
    assert (0, True, "ea") == (finished.code, told["ok"], told["terminal"])
    assert told["digest_sent"] == told["digest_received"]
    assert (told["ticks"]["sent"], 0) == (told["ticks"]["received"], told["ticks"]["gaps"])
    orders = told["orders"]
    assert orders.pop("done") == 3
    assert orders.pop("denied") == 1
    assert orders == {"rejected": 1, "unknown": 0, "duplicates": 0, "resolved": 1, "replayed": 1}
    assert told["latency_us"]["samples"] > 0
    assert 0 < told["latency_us"]["p50"] <= told["latency_us"]["p99"]


def test_without_a_compiler_one_line_says_what_to_do(monkeypatch, capsys):
    monkeypatch.setattr(expert.shutil, "which", lambda _name: None)

    code = main(["demo", "--terminal", "ea"])

    said = capsys.readouterr().err.strip()
    assert 1 == code
    assert "g++" in said
    assert 1 == len(said.splitlines())


def test_without_a_checkout_one_line_says_what_to_do(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(expert, "__file__", str(tmp_path / "a" / "b" / "c" / "expert.py"))

    code = main(["demo", "--terminal", "ea"])

    said = capsys.readouterr().err.strip()
    assert 1 == code
    assert "clone of the repository" in said
    assert 1 == len(said.splitlines())
