"""
Every signal of the platform that asks to end is taken, and given back.
"""

from __future__ import annotations

import signal

import pytest

from bridge.cli.signals import stop_signals


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGBREAK"])
def test_a_signal_calls_the_action(monkeypatch, name):
    """
    Windows alone has SIGBREAK; here SIGUSR1 plays it.
    """
    number = getattr(signal, name, None) or signal.SIGUSR1
    monkeypatch.setattr(signal, name, number, raising=False)
    before = signal.getsignal(number)
    called = []

    with stop_signals(lambda: called.append(name)):
        signal.raise_signal(number)

    assert called == [name]
    assert signal.getsignal(number) == before


def test_a_platform_without_ctrl_break(monkeypatch):
    monkeypatch.delattr(signal, "SIGBREAK", raising=False)
    called = []

    with stop_signals(lambda: called.append(True)):
        signal.raise_signal(signal.SIGTERM)

    assert called == [True]
