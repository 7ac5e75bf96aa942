"""
The demo's relay is a process that can be killed and comes back.
"""

from __future__ import annotations

import errno
import socket
import sys
from pathlib import Path

import pytest

from bridge.cli.demo.child import RelayChild
from bridge.exceptions import BridgeError
from tests.support.relay import port_of

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


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can hold a port for another")
def test_nobody_else_gets_the_ports_of_a_relay_that_is_down(child):
    """
    Neither before its first start nor behind a kill: asked for, or dialled out from.
    """
    taken = []
    for _ in range(2):
        for endpoint in child.endpoints.values():
            with socket.socket() as other, pytest.raises(OSError, match="in use") as refused:
                other.bind(("127.0.0.1", port_of(endpoint)))
            taken.append(refused.value.errno)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port_of(endpoint)))
        child.start()
        child.kill()

    assert taken == [errno.EADDRINUSE] * 8


def test_a_relay_that_does_not_start_says_why(child):
    (child.home / "bridge.toml").write_text("nonsense = 1\n")

    with pytest.raises(BridgeError, match=r"code 3: .*nonsense"):
        child.start()

    assert child.pid is None
    assert child.starts == 0
