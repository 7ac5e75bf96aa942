"""Options that several commands share, and what they lead to.

Rule: the same option has the same name, meaning and default in every command. The
decorators hand a command one object instead of the options: ``Place`` is where the
configuration is, ``Access`` how a relay is reached.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from bridge.config import Settings

__all__ = [
    "LOG_LEVELS",
    "Access",
    "Place",
    "Session",
    "client_options",
    "log_level_option",
    "output_option",
    "place_options",
    "require_subcommand",
    "seconds",
    "terminal_options",
]

LOG_LEVELS: Final = ("debug", "info", "warning", "error")
#: Long enough for a first synchronisation of a symbol that is quick, short for a person.
DEFAULT_TIMEOUT_S: Final = 5.0
_MAX_TIMEOUT_S: Final = 600.0

_Command = Callable[..., None]


class _Seconds(click.FloatRange):
    # The name appears in the help: "--timeout SECONDS".
    name = "seconds"

    def get_metavar(self, *_: Any, **__: Any) -> str:
        return "SECONDS"


def seconds(maximum: float | None = None) -> click.FloatRange:
    """
    Return the type of an option that takes a time above 0.
    """
    return _Seconds(min=0, min_open=True, max=maximum)


@dataclasses.dataclass(slots=True)
class Session:
    """
    What is worth knowing when a command has failed (click's ``ctx.obj``).
    """

    home: Path | None = None
    defects: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """
    Where the configuration is: what ``--config`` and ``--home`` said.
    """

    config: Path | None = None
    home: Path | None = None

    def environment(self) -> Mapping[str, str]:
        """
        Return the environment with ``--home`` in it, which is above ``BRIDGE_CONFIG``.
        """
        if self.home is None:
            return os.environ
        env = {name: value for name, value in os.environ.items() if name != "BRIDGE_CONFIG"}
        return {**env, "BRIDGE_HOME": str(self.home)}

    def settings(self, overrides: Mapping[str, object] | None = None) -> Settings:
        """
        Return the settings, ``overrides`` (dotted names) above all other sources.

        Raises:
            ConfigError: as ``bridge.config.load``.
        """
        from bridge.config import load  # noqa: PLC0415 - pydantic takes longer than --help

        return load(self.config, self.environment(), overrides)

    def flags(self) -> str:
        """
        Return the options that lead another command to the same place.
        """
        words = [("--config", self.config), ("--home", self.home)]
        return "".join(f' {name} "{path}"' for name, path in words if path is not None)


@dataclasses.dataclass(frozen=True, slots=True)
class Access:
    """
    How a relay is reached: ``--endpoint``, else what a running relay wrote down, else the
    configuration. ``terminal`` is ``None`` for the only one, ``timeout`` in seconds,
    ``log_level`` ``None`` when it was not given.
    """

    place: Place
    endpoint: str | None
    terminal: str | None
    timeout: float
    log_level: str | None

    def request_endpoint(self) -> str:
        """
        Return where requests go.

        Raises:
            ConfigError: the configuration is wrong, and no ``--endpoint`` was given.
        """
        return self.endpoint or self._endpoint("request")

    def terminal_endpoint(self) -> str:
        """
        Return where terminals connect to.

        Raises:
            ConfigError: the configuration is wrong, and no ``--endpoint`` was given.
        """
        return self.endpoint or self._endpoint("terminal")

    def _endpoint(self, name: str) -> str:
        from bridge.cli.control import read_control_file  # noqa: PLC0415 - imports zmq

        settings = self.place.settings()
        # Ports may have been chosen by a flag, or freely: the running relay knows.
        running = read_control_file(settings.relay.data_dir)
        told = running.endpoints.get(name) if running is not None else None
        return told or str(getattr(settings.endpoints, name))


# Decorators ---------------------------------------------------------------------------


def place_options(command: _Command) -> _Command:
    """
    Add ``--config`` and ``--home``; the command gets ``place``.
    """

    @functools.wraps(command)
    def wrapped(*args: Any, config: Path | None, home: Path | None, **rest: Any) -> None:
        session = click.get_current_context().find_object(Session)
        if session is not None:
            session.home = home
        command(*args, place=Place(config, home), **rest)

    return _config_option(home_option(wrapped))


def home_option(command: _Command) -> _Command:
    """
    Add ``--home`` alone.
    """
    return click.option(
        "--home",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder of configuration, keys, data and logs.  [env: BRIDGE_HOME]",
    )(command)


def _config_option(command: _Command) -> _Command:
    return click.option(
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Configuration file.  [env: BRIDGE_CONFIG]",
    )(command)


def client_options(command: _Command) -> _Command:
    """
    Add all that ``Access`` has; the command gets ``access``.
    """
    timeout = click.option(
        "--timeout",
        type=seconds(_MAX_TIMEOUT_S),
        default=DEFAULT_TIMEOUT_S,
        show_default=True,
        help="How long to wait for an answer.",
    )
    return _access(timeout(command), "Where the relay takes requests, if not as configured.")


def terminal_options(command: _Command) -> _Command:
    """
    Add what a simulated terminal needs of ``Access``: all but ``--timeout``.
    """
    return _access(command, "Where the relay awaits terminals, if not as configured.")


def _access(command: _Command, about_endpoint: str) -> _Command:
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        place: Place,
        endpoint: str | None,
        terminal: str | None,
        log_level: str | None,
        timeout: float = DEFAULT_TIMEOUT_S,
        **rest: Any,
    ) -> None:
        access = Access(place, endpoint, terminal, timeout, log_level)
        command(*args, access=access, **rest)

    about_terminal = "Which terminal; needed if there are several."
    terminal = click.option("--terminal", metavar="ALIAS", help=about_terminal)
    endpoint = click.option(
        "--endpoint", metavar="tcp://...", callback=_checked_endpoint, help=about_endpoint
    )
    return place_options(endpoint(terminal(log_level_option(wrapped))))


def _checked_endpoint(
    _ctx: click.Context, _option: click.Parameter, value: str | None
) -> str | None:
    if value is None:
        return None
    from bridge.config import split_endpoint  # noqa: PLC0415 - pydantic takes longer than --help

    try:
        host, port = split_endpoint(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if not port:
        raise click.BadParameter("port 0 is for a relay that takes a free one")
    return f"tcp://{host}:{port}"


def log_level_option(command: _Command) -> _Command:
    """
    Add ``--log-level``.
    """
    return click.option(
        "--log-level",
        type=click.Choice(LOG_LEVELS),
        help="Least level of what is logged on stderr.",
    )(command)


def output_option(*forms: str, about: str) -> Callable[[_Command], _Command]:
    """
    Add ``-o``; the command gets ``output``, ``None`` when it was not given.
    """
    return click.option("-o", "--output", type=click.Choice(forms), help=about)


def require_subcommand(ctx: click.Context) -> None:
    """
    End a group that was called alone: its help on stderr, exit code 2 in every click.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)
