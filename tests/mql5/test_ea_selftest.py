"""BridgeSelfTest.mq5, executed: it passes here, and fails where a terminal would."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from bridge.model.symbol import spec_for
from bridge.sim.market import Market
from bridge.sim.terminal import Account
from tests.mql5 import building
from tests.mql5.host import EaProcess, ExitCode

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")

SOURCE = Path(__file__).resolve().parents[2] / "mql5" / "Experts" / "BridgeSelfTest.mq5"


@pytest.fixture(scope="module")
def program():
    return building.build(SOURCE, "asan")


@pytest.fixture
def said(program, tmp_path):
    """
    Return a function: options of the runtime, the lines that the self-test printed.
    """

    def run(**options):
        with EaProcess(
            program,
            market=Market([spec_for("EURUSD")]),
            account=Account(login=1001, server="Demo-Server"),
            options=options,
            folder=tmp_path,
        ) as ea:
            assert ExitCode.ENDED == ea.wait_for_exit()
            return ea.said()

    return run


def test_everything_passes(said):
    lines = said()

    assert [] == [line for line in lines if line.startswith("FAIL")]
    found = re.fullmatch(r"BridgeSelfTest: (\d+) passed, 0 failed, build \d+", lines[-1])
    assert found is not None, lines[-1]
    assert sum(line.startswith("PASS ") for line in lines) == int(found[1])
    assert int(found[1]) >= 25


def test_a_database_that_is_not_durable_fails(said):
    lines = said(sqlite="pragma_refused")

    # How fast it hashes is another matter, and asked of a machine with other work.
    failed = [line for line in lines if line.startswith("FAIL") and "within" not in line]
    assert 2 == len(failed)
    assert all("durable" in line for line in failed)


def test_a_database_that_cannot_be_written_fails(said):
    lines = said(sqlite="busy")

    assert any(line.startswith("FAIL SQLite keeps an identity") for line in lines)
    assert re.fullmatch(r"BridgeSelfTest: \d+ passed, [1-9] failed, build \d+", lines[-1])
