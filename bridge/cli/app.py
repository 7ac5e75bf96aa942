"""The group of all commands, and the edge between errors and users.

Commands are loaded when they run: ``bridge --help`` imports click and nothing else.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib
import os
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import click

from bridge.cli.exits import ExitCode, exit_code_of
from bridge.cli.options import Session, require_subcommand
from bridge.cli.output import ReaderGone, discard_stdout, make_printable, say
from bridge.exceptions import BridgeError

__all__ = ["COMMANDS", "LazyCommand", "cli", "main"]

_DEBUG: Final = "BRIDGE_DEBUG"
_CRASH_FILE: Final = "bridge-crash.log"


class LazyCommand(NamedTuple):
    """
    Where a command is, and its line in the list; a test compares it with the command's.
    """

    module: str
    attribute: str
    help: str


COMMANDS: Final = {
    "init": LazyCommand("bridge.cli.setup", "init", "Write a configuration and a key."),
    "run": LazyCommand("bridge.cli.run", "run", "Run the relay until it is stopped."),
    "stop": LazyCommand("bridge.cli.run", "stop", "Stop the relay of this data folder."),
    "status": LazyCommand(
        "bridge.cli.read", "status", "Show the relay, its terminals and streams."
    ),
    "sim": LazyCommand("bridge.cli.simulate", "sim", "Be a simulated terminal."),
    "generate": LazyCommand(
        "bridge.cli.market", "generate", "Write tick files of a synthetic market."
    ),
    "demo": LazyCommand(
        "bridge.cli.demo.command",
        "demo",
        "Show everything at work, with proof that nothing got lost.",
    ),
    "tail": LazyCommand("bridge.cli.tail", "tail", "Show what is published, as it comes."),
    "quote": LazyCommand("bridge.cli.read", "quote", "Show the last tick of symbols."),
    "symbols": LazyCommand("bridge.cli.read", "symbols", "List the symbols of a terminal."),
    "account": LazyCommand("bridge.cli.account", "account", "Show the account of a terminal."),
    "positions": LazyCommand(
        "bridge.cli.account", "positions", "List the open positions of a terminal."
    ),
    "orders": LazyCommand("bridge.cli.account", "orders", "List the open orders of a terminal."),
    "order": LazyCommand("bridge.cli.orders", "order", "Trade, and ask what became of orders."),
    "halt": LazyCommand("bridge.cli.halt", "halt", "Stop trading, of one terminal or of all."),
    "resume": LazyCommand("bridge.cli.halt", "resume", "Trade again after a halt."),
    "journal": LazyCommand("bridge.cli.journal", "journal", "Check the journal of orders."),
    "config": LazyCommand("bridge.cli.setup", "config", "Check the configuration."),
}


class _Commands(click.Group):
    # click's own groups hold commands; this one holds where they are.

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        lazy = COMMANDS.get(cmd_name)
        if lazy is None:
            return None
        command = getattr(importlib.import_module(lazy.module), lazy.attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - the table above is ours
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.help) for name, lazy in COMMANDS.items()])


def _version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click calls it
    if wanted and not ctx.resilient_parsing:
        import bridge  # noqa: PLC0415 - reads the metadata, and for --version only

        click.echo(f"bridge {bridge.__version__}")
        ctx.exit()


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 96},
    epilog="Data goes to stdout, logs to stderr. Exit codes: docs/reference/command-line.md",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """
    A ZeroMQ message bus for MetaTrader 5.
    """
    require_subcommand(ctx)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run one command and return its exit code; every error becomes one line on stderr.
    """
    make_printable()
    session = Session()
    before, threading.excepthook = threading.excepthook, _thread_hook(session)
    try:
        code = _run(arguments, session)
    finally:
        threading.excepthook = before
    return ExitCode.ERROR if session.defects else code


def _run(arguments: Sequence[str] | None, session: Session) -> int:
    try:
        result = cli.main(
            None if arguments is None else list(arguments),
            prog_name="bridge",
            standalone_mode=False,
            obj=session,
        )
    except click.Abort:
        return ExitCode.INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BridgeError as error:
        say(f"bridge: {error}")
        return exit_code_of(error)
    except ReaderGone:
        # "bridge tail | head": the reader has what it wanted.
        discard_stdout()
        return ExitCode.OK
    except Exception as error:  # noqa: BLE001 - the edge: a defect must not show as a traceback
        return _crashed(error, session)
    # With standalone_mode off click returns the code of ctx.exit(), else what the command did.
    return result if isinstance(result, int) else ExitCode.OK


def _thread_hook(session: Session) -> Callable[[threading.ExceptHookArgs], None]:
    # A defect in a thread of ours is a defect of the command.
    def hook(found: threading.ExceptHookArgs) -> None:
        if isinstance(found.exc_value, Exception):
            _crashed(found.exc_value, session)

    return hook


def _crashed(error: Exception, session: Session) -> int:
    session.defects += 1
    if os.environ.get(_DEBUG):
        traceback.print_exception(error)
        return ExitCode.ERROR
    where = f"set {_DEBUG}=1 to see where"
    with contextlib.suppress(OSError):
        where = f"details are in {_write_crash(error, session)}"
    detail = " ".join(str(error).split())[:200]
    say(f"bridge: this is a defect: {type(error).__name__}: {detail} ({where})")
    return ExitCode.ERROR


def _write_crash(error: Exception, session: Session) -> Path:
    # Not bridge.jsonl: a running relay owns that file, and Windows lets one write only.
    import platformdirs  # noqa: PLC0415 - needed once in a program's life

    home = session.home or os.environ.get("BRIDGE_HOME")
    folder = (
        Path(home) / "logs" if home else Path(platformdirs.user_log_dir("bridge", appauthor=False))
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _CRASH_FILE
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    lines = [f"{now} {' '.join(sys.argv)}\n", *traceback.format_exception(error)]
    path.write_text("".join(lines), encoding="utf-8", errors="backslashreplace")
    return path
