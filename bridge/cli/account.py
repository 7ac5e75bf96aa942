"""``bridge account``, ``positions`` and ``orders``: what the terminal has."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any, Final

import click

from bridge.cli.options import Access, client_options, output_option
from bridge.cli.output import document, form, printable, table, write, write_records
from bridge.cli.read import open_client
from bridge.client.trade import AccountInfo, OrderInfo, PositionInfo

__all__ = ["account", "account_text", "orders", "orders_text", "positions", "positions_text"]

_FORMS_ABOUT: Final = "Form of the output.  [default: table for people, json for programs]"
_U64_MAX: Final = 2**64 - 1
_DIGITS_MAX: Final = 8

_Command = Callable[..., None]


def _selection(command: _Command) -> _Command:
    number = click.IntRange(0, _U64_MAX)
    for option in (
        click.option("--ticket", type=number, help="Only the one of this ticket."),
        click.option("--magic", type=number, help="Only with this number."),
        click.argument("symbol", required=False),
    ):
        command = option(command)
    return command


@click.command(short_help="Show the account of a terminal.")
@client_options
@output_option("table", "json", about=_FORMS_ABOUT)
def account(access: Access, output: str | None) -> None:
    """
    Show the account of a terminal: owner, kind, money.
    """
    with open_client(access) as client:
        told = client.account()
    if form(output) == "json":
        write(document({"account": told.model_dump(mode="json")}))
    else:
        write(account_text(told))


@click.command(short_help="List the open positions of a terminal.")
@_selection
@client_options
@output_option("table", "json", "jsonl", about=_FORMS_ABOUT)
def positions(
    symbol: str | None,
    magic: int | None,
    ticket: int | None,
    access: Access,
    output: str | None,
) -> None:
    """
    List the open positions of a terminal, or those of SYMBOL.
    """
    with open_client(access) as client:
        found = client.positions(symbol, magic=magic, ticket=ticket)
    if form(output) == "table":
        write(positions_text(found))
    else:
        write_records("positions", [_told(one) for one in found], output)


@click.command(short_help="List the open orders of a terminal.")
@_selection
@client_options
@output_option("table", "json", "jsonl", about=_FORMS_ABOUT)
def orders(
    symbol: str | None,
    magic: int | None,
    ticket: int | None,
    access: Access,
    output: str | None,
) -> None:
    """
    List the open orders of a terminal, or those of SYMBOL.
    """
    with open_client(access) as client:
        found = client.orders(symbol, magic=magic, ticket=ticket)
    if form(output) == "table":
        write(orders_text(found))
    else:
        write_records("orders", [_told(one) for one in found], output)


def account_text(told: AccountInfo) -> str:
    """
    Return an account for people.
    """
    digits = min(max(told.currency_digits, 0), _DIGITS_MAX)
    money = ("balance", "equity", "profit", "credit", "margin", "margin_free")
    amounts = [[name, f"{getattr(told, name):,.{digits}f}"] for name in money]
    width = max(len(amount) for _, amount in amounts)
    may = "yes" if told.trade_allowed and told.trade_expert else "no"
    head = f"{told.trade_mode_name} account {told.login} at {printable(told.server)}"
    return "\n".join(
        [
            f"{head}, {told.margin_mode_name}, 1:{told.leverage}, {printable(told.currency)}",
            *(f"  {name:<12} {amount:>{width}}" for name, amount in amounts),
            f"  margin_level {told.margin_level:.2f} %",
            f"  programs may trade: {may}",
        ]
    )


def positions_text(found: Sequence[PositionInfo]) -> str:
    """
    Return positions for people.
    """
    columns = ["ticket", "symbol", "type", "volume", "open", "now", "sl", "tp", "profit", "magic",
               "time (server)", "comment"]  # fmt: skip
    rows = [
        [str(one.ticket), one.symbol, one.type_name, one.volume, one.price_open, one.price_current,
         one.sl or None, one.tp or None, one.profit, one.magic, _time(one.time_msc),
         one.comment or None]
        for one in found
    ]  # fmt: skip
    return table(columns, rows)


def orders_text(found: Sequence[OrderInfo]) -> str:
    """
    Return orders for people.
    """
    columns = ["ticket", "symbol", "type", "volume", "price", "now", "sl", "tp", "state", "magic",
               "time (server)", "comment"]  # fmt: skip
    rows = [
        [str(one.ticket), one.symbol, one.type_name, one.volume_current, one.price_open,
         one.price_current, one.sl or None, one.tp or None, one.state_name, one.magic,
         _time(one.time_setup_msc), one.comment or None]
        for one in found
    ]  # fmt: skip
    return table(columns, rows)


def _told(record: PositionInfo | OrderInfo) -> dict[str, Any]:
    return record.model_dump(mode="json")


def _time(time_msc: int) -> str:
    try:
        return dt.datetime.fromtimestamp(time_msc / 1000, tz=dt.UTC).strftime("%Y.%m.%d %H:%M:%S")
    except (OverflowError, OSError, ValueError):
        return str(time_msc)  # a broker's clock that no calendar has
