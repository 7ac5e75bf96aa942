"""``bridge status``, ``symbols`` and ``quote``: what can be asked."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from typing import Any, Final

import click

from bridge import Client
from bridge.cli.options import Access, client_options, output_option
from bridge.cli.output import document, form, table, write, write_records
from bridge.client.models import RelayStatus, SymbolInfo, TerminalInfo
from bridge.exceptions import InvalidRequest, TerminalUnavailable, UnknownSymbol
from bridge.logs import configure_logging
from bridge.model.enums import AccountTradeMode
from bridge.model.tick import Tick

__all__ = ["open_client", "quote", "require", "status", "status_text", "symbols", "time_text"]

#: A command that reads has nothing to say but what is wrong.
_LOG_LEVEL: Final = "warning"
_FORMS_ABOUT: Final = "Form of the output.  [default: table for people, json for programs]"


@contextlib.contextmanager
def open_client(access: Access, client_id: str | None = None) -> Iterator[Client]:
    """
    Give a client of the relay that the options name, and what it logs to stderr.
    """
    endpoint = access.request_endpoint()
    with (
        configure_logging(access.log_level or _LOG_LEVEL),
        Client(
            endpoint, terminal=access.terminal, timeout=access.timeout, client_id=client_id
        ) as client,
    ):
        try:
            yield client
        except UnknownSymbol as error:
            hint = error.hint or "'bridge symbols' lists them, with case and suffix"
            raise UnknownSymbol(
                error.message, hop=error.hop, field=error.field, hint=hint
            ) from error


@click.command(short_help="Show the relay, its terminals and streams.")
@client_options
@output_option("table", "json", about=_FORMS_ABOUT)
def status(access: Access, output: str | None) -> None:
    """
    Show the relay, its terminals and streams.

    With --terminal the exit code is 11 when that terminal is not connected.
    """
    with open_client(access) as client:
        told = client.status()
    if form(output) == "json":
        write(document(told.model_dump(mode="json")))
    else:
        write(status_text(told))
    if access.terminal is not None:
        require(told, access.terminal)


@click.command(short_help="List the symbols of a terminal.")
@click.argument("group", default="*")
@client_options
@output_option("table", "json", "jsonl", about=_FORMS_ABOUT)
def symbols(group: str, access: Access, output: str | None) -> None:
    """
    List the symbols of a terminal.

    GROUP has masks separated by commas: "EUR*,!EURCHF" (quote it: shells expand *).
    """
    with open_client(access) as client:
        found = client.symbols(group)
    if form(output) == "table":
        write(
            table(
                ["symbol", "digits", "currency", "description"],
                [[one.name, one.digits, one.currency_profit, one.description] for one in found],
            )
        )
    else:
        write_records("symbols", [_told(one) for one in found], output)


@click.command(short_help="Show the last tick of symbols.")
@click.argument("names", metavar="SYMBOL...", nargs=-1, required=True)
@client_options
@output_option("table", "json", "jsonl", about=_FORMS_ABOUT)
def quote(names: tuple[str, ...], access: Access, output: str | None) -> None:
    """
    Show the last tick of each SYMBOL, without subscribing to it.
    """
    with open_client(access) as client:
        ticks = [client.tick(name) for name in names]
    if form(output) == "table":
        rows = [[tick.symbol, tick.bid, tick.ask, tick.last, time_text(tick)] for tick in ticks]
        write(table(["symbol", "bid", "ask", "last", "time (server)"], rows))
    else:
        write_records("ticks", [tick.as_dict() for tick in ticks], output)


def time_text(tick: Tick) -> str:
    """
    Return a tick's time on the trade server's clock.
    """
    instant = dt.datetime.fromtimestamp(tick.time_msc / 1000, tz=dt.UTC)
    return instant.strftime("%Y.%m.%d %H:%M:%S.") + f"{tick.time_msc % 1000:03}"


def _told(symbol: SymbolInfo) -> dict[str, Any]:
    return symbol.model_dump(mode="json", exclude_none=True)


def status_text(told: RelayStatus) -> str:
    """
    Return the status for people.
    """
    where = [f"  {name:<9} {endpoint}" for name, endpoint in told.endpoints.items()]
    head = f"relay: {told.program}, up {told.uptime_ms / 1000:.0f} s"
    counts = f"{told.published} messages published, {told.requests} requests"
    terminals = table(
        ["terminal", "state", "account", "server", "login", "program", "streams"],
        [
            [one.alias, _state(one), _account(one), one.server or None, one.login or None,
             one.program or None, one.streams]
            for one in told.terminals
        ],
    )  # fmt: skip
    parts = ["\n".join([f"{head}, {counts}", *where]), terminals]
    if any(one.enabled or one.state != "ACTIVE" for one in told.trading):
        rows = [
            [one.alias, one.enabled, one.state, one.open_orders, one.waiting,
             ", ".join(one.unresolved) or None, one.reason or None]
            for one in told.trading
        ]  # fmt: skip
        columns = [
            "trading",
            "enabled",
            "state",
            "open orders",
            "waiting",
            "being found out",
            "reason",
        ]
        parts.append(table(columns, rows))
    if told.streams:
        rows = [
            [one.topic, one.state, one.seq, one.ticks, one.subscribed, one.error or None]
            for one in told.streams
        ]
        columns = ["topic", "state", "seq", "ticks", "subscribed", "error"]
        parts.append(table(columns, rows))
    return "\n\n".join(parts)


def _state(terminal: TerminalInfo) -> str:
    return "busy" if terminal.connected and terminal.busy else terminal.state


def _account(terminal: TerminalInfo) -> str | None:
    # A terminal that never logged on has told nothing, and 0 means demo.
    if not terminal.login:
        return None
    try:
        return AccountTradeMode(terminal.trade_mode).name
    except ValueError:
        return str(terminal.trade_mode)


def require(told: RelayStatus, alias: str) -> None:
    """
    Make sure that a terminal is connected.

    Raises:
        InvalidRequest: no terminal of this alias is configured.
        TerminalUnavailable: it is not connected.
    """
    found = [one for one in told.terminals if one.alias == alias]
    if not found:
        known = ", ".join(one.alias for one in told.terminals) or "none"
        raise InvalidRequest(
            f"no terminal {alias!r} is configured", field="terminal", hint=f"configured: {known}"
        )
    if not found[0].connected:
        raise TerminalUnavailable(
            f"the terminal {alias} is not connected",
            hint="is it running, with the bridge attached, the right key and endpoint?",
        )
