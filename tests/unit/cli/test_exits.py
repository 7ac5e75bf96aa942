"""
What a command tells the program that started it.
"""

from __future__ import annotations

import pytest

from bridge import exceptions
from bridge.cli.exits import MEANINGS, ExitCode, exit_code_of


def test_every_code_has_a_meaning():
    assert list(MEANINGS) == list(ExitCode)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (exceptions.BridgeError("x"), 1),
        (exceptions.ConfigError("x"), 3),
        (exceptions.EndpointInUse("tcp://127.0.0.1:1", "endpoints.request"), 4),
        (exceptions.DataFolderInUse("/x"), 5),
        (exceptions.RelayUnreachable("x"), 10),
        (exceptions.TerminalUnavailable("x"), 11),
        (exceptions.DeadlineExceeded("x"), 12),
        (exceptions.OrderUnknown("x"), 12),
        (exceptions.OrderRejected("x"), 13),
        (exceptions.OrderDenied("x"), 13),
        (exceptions.UnknownSymbol("x"), 1),
        (exceptions.TickFileError("x.csv", 3, "x"), 1),
        (exceptions.RequestRefused("x"), 1),
    ],
)
def test_errors_have_stable_codes(error, code):
    assert exit_code_of(error) == code
