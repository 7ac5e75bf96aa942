"""``bridge halt`` and ``resume``: what an operator says to the relay itself.

They use the control endpoint of a relay on this machine, which is never queued behind
orders; so does ``bridge order resolve``.
"""

from __future__ import annotations

from typing import Any, Final

import click

from bridge.bus.requests import ControlMethod, validate_control_params
from bridge.cli.control import ControlFile, ask, find_relay
from bridge.cli.options import Place, output_option, place_options, seconds
from bridge.cli.output import document, form, write
from bridge.exceptions import InvalidRequest

__all__ = ["OPERATOR_TIMEOUT_S", "command_relay", "halt", "resume", "running_relay"]

OPERATOR_TIMEOUT_S: Final = 10.0
_FORMS_ABOUT: Final = "Form of the answer.  [default: table for people, json for programs]"

_timeout = click.option(
    "--timeout",
    type=seconds(),
    default=OPERATOR_TIMEOUT_S,
    show_default=True,
    help="How long to wait for the answer.",
)
_terminal = click.option("--terminal", metavar="ALIAS", help="Which terminal; without it all.")


@click.command(short_help="Stop trading, of one terminal or of all.")
@place_options
@_terminal
@click.option("--reducing", is_flag=True, help="Let closes, cancels and stop losses pass.")
@click.option("--reason", default="", help="Why; comes back with every order that is denied.")
@_timeout
@output_option("table", "json", about=_FORMS_ABOUT)
def halt(
    place: Place,
    terminal: str | None,
    reason: str,
    timeout: float,
    output: str | None,
    *,
    reducing: bool,
) -> None:
    """
    Stop trading, of one terminal or of all, until `bridge resume`.

    The state outlives restarts of the relay and of the terminal. Orders that stand at the
    broker stay there: `bridge order close-all --orders` before, or --reducing, ends them.
    """
    params = {"reducing": reducing, "reason": reason}
    told = command_relay(place, ControlMethod.HALT, params, timeout, terminal)
    _tell(told, "reducing" if reducing else "halted", terminal, output)


@click.command(short_help="Trade again after a halt.")
@place_options
@_terminal
@_timeout
@output_option("table", "json", about=_FORMS_ABOUT)
def resume(place: Place, terminal: str | None, timeout: float, output: str | None) -> None:
    """
    Trade again after a halt, one terminal or all.
    """
    told = command_relay(place, ControlMethod.RESUME, {}, timeout, terminal)
    _tell(told, "active", terminal, output)


def command_relay(
    place: Place,
    method: ControlMethod,
    params: dict[str, Any],
    timeout: float,
    terminal: str | None,
) -> dict[str, Any]:
    """
    Send a command to the relay of a data folder on this machine; return its answer.

    Raises:
        InvalidRequest: a parameter is wrong.
        RelayUnreachable: there is none, or it does not answer within ``timeout`` seconds.
        RequestError: it answers with an error.
        ConfigError: the configuration is wrong.
    """
    try:
        validate_control_params(method, params)
    except InvalidRequest as error:
        raise InvalidRequest(
            error.message, field=error.field.removeprefix("params."), hint=error.hint
        ) from None
    return ask(running_relay(place), method, timeout, params=params, terminal=terminal)


def running_relay(place: Place) -> ControlFile:
    """
    Return how the relay of a data folder on this machine is commanded.

    Raises:
        RelayUnreachable: there is none.
        ConfigError: the configuration is wrong.
    """
    return find_relay(place.settings().relay.data_dir)


def _tell(told: dict[str, Any], state: str, terminal: str | None, output: str | None) -> None:
    if form(output) == "json":
        write(document(told))
    else:
        write(f"{terminal or 'all terminals'}: {state}")
