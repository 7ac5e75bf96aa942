"""``bridge run`` and ``bridge stop``: the relay as a process."""

from __future__ import annotations

import io

import click

from bridge.cli.control import stop_relay
from bridge.cli.options import Place, log_level_option, place_options, seconds
from bridge.cli.output import say
from bridge.config import Settings
from bridge.exceptions import BridgeError
from bridge.logs import configure_logging, get_logger
from bridge.relay.app import run_relay

__all__ = ["run", "stop"]

_data_dir = click.option(
    "--data-dir", type=click.Path(file_okay=False), help="Folder of the relay's state."
)


@click.command(short_help="Run the relay until it is stopped.")
@place_options
@_data_dir
@click.option("--terminal-endpoint", metavar="tcp://...", help="Where terminals connect to.")
@click.option("--request-endpoint", metavar="tcp://...", help="Where clients send requests to.")
@click.option("--publish-endpoint", metavar="tcp://...", help="Where clients subscribe.")
@click.option("--control-endpoint", metavar="tcp://...", help="Where 'bridge stop' asks.")
@log_level_option
def run(
    place: Place,
    data_dir: str | None,
    terminal_endpoint: str | None,
    request_endpoint: str | None,
    publish_endpoint: str | None,
    control_endpoint: str | None,
    log_level: str | None,
) -> None:
    """
    Run the relay in the foreground.

    Ctrl-C, Ctrl-Break, SIGTERM and 'bridge stop' end it in order, a second signal at once.
    Port 0 takes a free port. The log tells where the relay listens.
    """
    settings = place.settings(
        {
            "relay.data_dir": data_dir,
            "relay.log_level": log_level,
            "endpoints.terminal": terminal_endpoint,
            "endpoints.request": request_endpoint,
            "endpoints.publish": publish_endpoint,
            "endpoints.control": control_endpoint,
        }
    )
    try:
        with configure_logging(settings.relay.log_level, settings.relay.log_dir):
            run_relay(settings)
    except BridgeError as error:
        _log_end(settings, error)
        raise


@click.command(short_help="Stop the relay of this data folder.")
@place_options
@_data_dir
@click.option(
    "--timeout",
    type=seconds(),
    default=10.0,
    show_default=True,
    help="How long to wait for its end.",
)
def stop(place: Place, data_dir: str | None, timeout: float) -> None:
    """
    Stop the relay of this data folder in order, and wait until it has ended.
    """
    settings = place.settings({"relay.data_dir": data_dir})
    stop_relay(settings.relay.data_dir, timeout)
    say("relay stopped")


def _log_end(settings: Settings, error: BridgeError) -> None:
    # The one line on stderr is lost where nobody reads it, as under the Task Scheduler.
    nowhere = io.StringIO()
    with configure_logging(settings.relay.log_level, settings.relay.log_dir, stream=nowhere):
        get_logger(__name__).error("relay ended", error=str(error))
