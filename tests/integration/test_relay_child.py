"""
The demo's relay is a process that can be killed and comes back.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.cli.demo.child import RelayChild
from bridge.exceptions import BridgeError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def child(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    # The user's own settings are for the user's own relay.
    monkeypatch.setenv("BRIDGE_ENDPOINTS_REQUEST", "nonsense")
    made = RelayChild(tmp_path, "demo")
    yield made
    made.close()


def test_a_killed_relay_comes_back_on_the_same_ports(child):
    child.start()
    endpoints, pid = child.endpoints, child.pid
    child.kill()
    child.start()

    assert child.endpoints == endpoints
    assert child.pid != pid
    assert (child.starts, child.kills) == (2, 1)
    assert child.stop() == 0
    assert child.pid is None
    assert child.stop() == 0


def test_a_relay_that_does_not_start_says_why(child):
    (child.home / "bridge.toml").write_text("nonsense = 1\n")

    with pytest.raises(BridgeError, match=r"code 3: .*nonsense"):
        child.start()

    assert child.pid is None
    assert child.starts == 0
