"""``bridge``: its public names, and that importing it costs nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import bridge
from bridge import exceptions

ROOT = Path(__file__).resolve().parents[2]


def test_every_exception_and_the_promised_names_are_exported():
    expected = {
        "Client",
        "AsyncClient",
        "Tick",
        "Gap",
        "TickFlag",
        "AccountInfo",
        "CheckResult",
        "DealInfo",
        "OrderInfo",
        "OrderResult",
        "OrderStatus",
        "OrderStep",
        "PositionInfo",
        "TradeEvent",
        "__version__",
        *exceptions.__all__,
    }

    assert expected == set(bridge.__all__)


def test_every_name_is_there_and_listed():
    for name in bridge.__all__:
        assert getattr(bridge, name) is not None
    assert set(bridge.__all__) <= set(dir(bridge))


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="no attribute 'Broker'"):
        _ = bridge.Broker


def test_the_version_is_text_without_an_installation_too(monkeypatch):
    assert bridge.__version__
    monkeypatch.setattr(bridge, "_DISTRIBUTION", "mt5-zmq-bridge-not-installed")

    assert "0+source" == bridge._read_version()


def test_importing_it_imports_nothing_heavy():
    program = (
        "import sys, bridge, bridge.exceptions;"
        "print([n for n in ('zmq', 'pydantic', 'msgpack', 'asyncio', 'structlog') if n in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert "[]" == run.stdout.strip()


def test_a_star_import_has_everything():
    program = "from bridge import *; print(Client.__name__, UnknownSymbol.__name__)"
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert "Client UnknownSymbol" == run.stdout.strip()
