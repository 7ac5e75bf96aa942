"""How a command ends: the exit codes, and which error means which.

The numbers are part of the public interface: service managers and scripts act on them.
``docs/reference/command-line.md`` has this table (``make docs``).
"""

from __future__ import annotations

import enum
from typing import Final

from bridge.exceptions import (
    BridgeError,
    ConfigError,
    DataFolderInUse,
    DeadlineExceeded,
    EndpointInUse,
    OrderDenied,
    OrderRejected,
    OrderUnknown,
    RelayUnreachable,
    TerminalUnavailable,
)

__all__ = ["MEANINGS", "ExitCode", "exit_code_of"]


class ExitCode(enum.IntEnum):
    """
    What a command tells the program that started it.
    """

    OK = 0
    ERROR = 1
    USAGE = 2
    CONFIG_INVALID = 3
    PORT_IN_USE = 4
    ALREADY_RUNNING = 5
    RELAY_UNREACHABLE = 10
    TERMINAL_MISSING = 11
    TIMED_OUT = 12
    REJECTED = 13
    PARTIAL = 14
    INTERRUPTED = 130


#: What the user is told about each; a test compares it with the page.
MEANINGS: Final = {
    ExitCode.OK: "done; for `run` and `sim` also: stopped in order, by a signal or `bridge stop`",
    ExitCode.ERROR: "any other error; the line on stderr says which",
    ExitCode.USAGE: "the command line is wrong",
    ExitCode.CONFIG_INVALID: "the configuration, or a key file it names, is wrong",
    ExitCode.PORT_IN_USE: "another program has the port of an endpoint",
    ExitCode.ALREADY_RUNNING: "another relay runs on this data folder",
    ExitCode.RELAY_UNREACHABLE: "no relay answers",
    ExitCode.TERMINAL_MISSING: "the relay answers, the terminal is not connected to it",
    ExitCode.TIMED_OUT: "no answer in time; of an order: it may have been executed, "
    "`bridge order status` tells",
    ExitCode.REJECTED: "an order was refused, by the bridge, the terminal or the trade server; "
    "it was not executed",
    ExitCode.PARTIAL: "a part of an order was executed",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C",
}

_CODES: Final[tuple[tuple[type[BridgeError], ExitCode], ...]] = (
    (ConfigError, ExitCode.CONFIG_INVALID),
    (EndpointInUse, ExitCode.PORT_IN_USE),
    (DataFolderInUse, ExitCode.ALREADY_RUNNING),
    (RelayUnreachable, ExitCode.RELAY_UNREACHABLE),
    (TerminalUnavailable, ExitCode.TERMINAL_MISSING),
    (DeadlineExceeded, ExitCode.TIMED_OUT),
    (OrderUnknown, ExitCode.TIMED_OUT),
    (OrderRejected, ExitCode.REJECTED),
    (OrderDenied, ExitCode.REJECTED),
)


def exit_code_of(error: BridgeError) -> ExitCode:
    """
    Return the exit code of a command that ended with ``error``.
    """
    return next((code for kind, code in _CODES if isinstance(error, kind)), ExitCode.ERROR)
