"""
The commands of ``compose.yaml``, in its order, as processes that share one loopback.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from tests.support.processes import FREE_PORTS, Bridge, run_bridge

yaml = pytest.importorskip("yaml", reason="PyYAML reads compose.yaml: pip install pyyaml")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="containers are for Linux")

ROOT = Path(__file__).resolve().parents[2]
SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
DEADLINE_S = 30.0


def wait_until_healthy(words, home):
    """
    Repeat a health check as an engine does, until it ends with 0.
    """
    until = time.monotonic() + DEADLINE_S
    while (finished := run_bridge(*words, home=home)).code:
        assert time.monotonic() < until, finished.err
    return finished


def test_the_services_start_in_order_and_become_healthy(tmp_path):
    terminal_check = SERVICES["terminal"]["healthcheck"]["test"][2:]
    relay_check = ["status", "--timeout", "5"]

    # As in the image: everything below one folder, which a second start finds as it was.
    starts = [run_bridge(*SERVICES["init"]["command"], home=tmp_path).code for _ in range(2)]
    with Bridge(*SERVICES["relay"]["command"], *FREE_PORTS, home=tmp_path) as relay:
        wait_until_healthy(relay_check, tmp_path)
        assert 11 == run_bridge(*terminal_check, home=tmp_path).code
        with Bridge(*SERVICES["terminal"]["command"], home=tmp_path) as terminal:
            told = wait_until_healthy(terminal_check, tmp_path)
            terminal.process.terminate()
            assert 0 == terminal.finish().code
        relay.process.terminate()
        assert 0 == relay.finish().code

    assert [0, 0] == starts
    assert "connected" == json.loads(told.out)["terminals"][0]["state"]
