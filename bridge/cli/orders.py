"""``bridge order``: what trades, and what became of it.

Rule 1: a command sends one order under one id, once. Called again with the same --key it
asks for the same order, which is executed once at most.
Rule 2: without --yes nothing is sent unless the terminal says that its account is a demo.
Rule 3: what is wrong with the arguments is told before anything is asked of anybody.
"""

from __future__ import annotations

import dataclasses
import functools
import secrets
from collections.abc import Callable
from typing import Any, Final

import click
from pydantic import ValidationError

from bridge import Client
from bridge.bus.requests import ControlMethod, ErrorName, Method
from bridge.cli.account import orders_text, positions_text
from bridge.cli.control import NoReply, ask
from bridge.cli.exits import ExitCode
from bridge.cli.halt import OPERATOR_TIMEOUT_S, command_relay, running_relay
from bridge.cli.options import (
    Access,
    Place,
    client_options,
    output_option,
    place_options,
    require_subcommand,
    seconds,
)
from bridge.cli.order_life import life_text
from bridge.cli.output import document, form, printable, say, table, write
from bridge.cli.read import open_client
from bridge.client.flows import model_from
from bridge.client.orders import check_identity, check_params
from bridge.client.trade import CheckResult, OrderInfo, OrderResult, PositionInfo
from bridge.exceptions import InvalidRequest, OrderUnknown, RequestError
from bridge.model.enums import OrderType, PositionType, TradeRequestActions

__all__ = ["exit_code_of_result", "order", "result_text"]

_CLIENT_ID: Final = "cli"
_FORMS_ABOUT: Final = "Form of the answer.  [default: table for people, json for programs]"
_U64_MAX: Final = 2**64 - 1
#: How much of the time-out an order has that goes through the control endpoint.
_ANSWER_PART: Final = 0.9
_ACTIONS: Final = tuple(action.name for action in TradeRequestActions)

_Command = Callable[..., None]
_TICKET: Final = click.IntRange(1, _U64_MAX)


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """
    How an order is asked for: the options that every command has which trades.
    """

    access: Access
    client_id: str
    key: str | None
    dry_run: bool
    yes: bool
    admin: bool
    output: str | None


@click.group(invoke_without_command=True, short_help="Trade, and ask what became of orders.")
@click.pass_context
def order(ctx: click.Context) -> None:
    """
    Trade, and ask what became of orders.
    """
    require_subcommand(ctx)


# Options ------------------------------------------------------------------------------


def _options(*options: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    def decorate(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _price(name: str, about: str) -> Callable[[_Command], _Command]:
    return click.option(f"--{name}", metavar="PRICE", type=float, help=about)


def _points(name: str, about: str) -> Callable[[_Command], _Command]:
    return click.option(f"--{name}-points", metavar="N", type=int, help=about)


_magic = click.option("--magic", type=click.IntRange(0, _U64_MAX), help="The strategy's number.")
_deviation = click.option(
    "--deviation", metavar="N", type=int, help="The most points that the price may be worse."
)
_comment = click.option("--comment", help="Yours; it comes back with all the order leads to.")
_filling = click.option(
    "--type-filling", metavar="NAME", help="FOK, IOC, RETURN or BOC; else the terminal chooses."
)
_levels = _options(
    _price("sl", "Stop loss; 0 removes it."),
    _price("tp", "Take profit; 0 removes it."),
    _points("sl", "Stop loss as a distance in points."),
    _points("tp", "Take profit as a distance in points."),
)
_lifetime = _options(
    click.option("--type-time", metavar="NAME", help="GTC, DAY, SPECIFIED or SPECIFIED_DAY."),
    click.option(
        "--expiration", metavar="SECONDS", type=int, help="When it ends: since 1970, server clock."
    ),
)
_market = _options(
    _price("price", "The price you saw; for instant execution."),
    _levels,
    _deviation,
    _magic,
    _filling,
    _comment,
)
_request = _options(
    click.option("--symbol", help="Exactly as the terminal has it."),
    click.option("--volume", metavar="LOTS", type=float, help="How much."),
    click.option("--type", "type_", metavar="NAME", help="BUY, SELL, BUY_LIMIT, SELL_STOP, ..."),
    _price("price", "At which; a deal without it takes the price of the moment."),
    _price("stoplimit", "Of the limit order that a stop-limit order places."),
    _levels,
    _deviation,
    _magic,
    _filling,
    _lifetime,
    _comment,
    click.option("--order", "order_", metavar="TICKET", type=_TICKET, help="The pending order."),
    click.option("--position", metavar="TICKET", type=_TICKET, help="The position."),
    click.option("--position-by", metavar="TICKET", type=_TICKET, help="The opposite position."),
)
_client_id = click.option(
    "--client-id",
    default=_CLIENT_ID,
    show_default=True,
    help="Who asks; with the key an order's identity.",
)


def _trading(command: _Command) -> _Command:
    # The command gets ``asked``.
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        access: Access,
        client_id: str,
        key: str | None,
        output: str | None,
        dry_run: bool,
        yes: bool,
        admin: bool,
        **rest: Any,
    ) -> None:
        if admin and access.endpoint is not None:
            raise click.UsageError("--admin is for the relay of this machine, without --endpoint")
        asked = Asked(access, client_id, key, dry_run, yes, admin, output)
        command(*args, asked=asked, **rest)

    return _options(
        click.option("--key", metavar="ID", help="The order's id; the same again asks again."),
        _client_id,
        click.option("--dry-run", is_flag=True, help="Only tell what would be sent, and check it."),
        click.option("--yes", is_flag=True, help="Trade on an account that is no demo, too."),
        click.option("--admin", is_flag=True, help="Pass a halt; on the relay's own machine."),
        client_options,
        output_option("table", "json", "jsonl", about=_FORMS_ABOUT),
    )(wrapped)


# Commands -----------------------------------------------------------------------------


@order.command(short_help="Buy at the market.")
@click.argument("symbol")
@click.argument("volume", type=float)
@_market
@_trading
def buy(symbol: str, volume: float, asked: Asked, **fields: Any) -> None:
    """
    Buy VOLUME lots of SYMBOL at the market.
    """
    _send(asked, _deal(OrderType.BUY, symbol, volume, fields))


@order.command(short_help="Sell at the market.")
@click.argument("symbol")
@click.argument("volume", type=float)
@_market
@_trading
def sell(symbol: str, volume: float, asked: Asked, **fields: Any) -> None:
    """
    Sell VOLUME lots of SYMBOL at the market.

    On a hedging account this opens a position; `bridge order close` closes one.
    """
    _send(asked, _deal(OrderType.SELL, symbol, volume, fields))


@order.command(short_help="Send a trade request of any kind.")
@click.argument("action", type=click.Choice(_ACTIONS, case_sensitive=False))
@_request
@_trading
def send(action: str, asked: Asked, **fields: Any) -> None:
    """
    Send a trade request of any kind, with the fields that its ACTION has.

    A pending order: `bridge order send PENDING --type BUY_LIMIT --symbol EURUSD --volume 0.1
    --price 1.05`.
    """
    _send(asked, _request_fields(action, fields))


@order.command(short_help="Change a pending order or a position.")
@click.option("--order", "order_", metavar="TICKET", type=_TICKET, help="The pending order.")
@click.option("--position", metavar="TICKET", type=_TICKET, help="The position.")
@_levels
@_price("price", "Of the pending order.")
@_price("stoplimit", "Of the limit order that a stop-limit order places.")
@_lifetime
@_trading
def modify(order_: int | None, position: int | None, asked: Asked, **fields: Any) -> None:
    """
    Change a pending order, or stop loss and take profit of a position.

    What is not given stays as it is.
    """
    if (order_ is None) == (position is None):
        raise click.UsageError("name one of --order and --position")
    given = {name: value for name, value in fields.items() if value is not None}
    if position is not None:
        check = {"action": TradeRequestActions.SLTP, "position": position, **given}
        _trade(asked, Method.POSITION_MODIFY, {"position": position, **given}, check)
    else:
        check = {"action": TradeRequestActions.MODIFY, "order": order_, **given}
        _trade(asked, Method.ORDER_MODIFY, {"order": order_, **given}, check)


@order.command(short_help="Cancel a pending order.")
@click.argument("ticket", type=_TICKET)
@_trading
def cancel(ticket: int, asked: Asked) -> None:
    """
    Cancel the pending order TICKET.
    """
    check = {"action": TradeRequestActions.REMOVE, "order": ticket}
    _trade(asked, Method.ORDER_CANCEL, {"order": ticket}, check)


@order.command(short_help="Close a position, or a part of it.")
@click.argument("ticket", type=_TICKET)
@click.option("--volume", metavar="LOTS", type=float, help="Only a part.  [default: all of it]")
@_deviation
@_comment
@_trading
def close(ticket: int, asked: Asked, **fields: Any) -> None:
    """
    Close the position TICKET. Never more than is open: closing twice opens nothing.
    """
    _trade(asked, Method.POSITION_CLOSE, {"position": ticket, **fields}, _closing)


@order.command("close-by", short_help="Close a position by an opposite one.")
@click.argument("ticket", type=_TICKET)
@click.argument("opposite", type=_TICKET)
@_trading
def close_by(ticket: int, opposite: int, asked: Asked) -> None:
    """
    Close the position TICKET by the position OPPOSITE of the same symbol (hedging accounts).
    """
    params = {"position": ticket, "position_by": opposite}
    check = {"action": TradeRequestActions.CLOSE_BY, **params}
    _trade(asked, Method.POSITION_CLOSE_BY, params, check)


@order.command("close-all", short_help="Close all positions; cancel all orders, if asked.")
@click.option("--symbol", help="Only of this symbol.")
@_magic
@click.option("--orders", is_flag=True, help="Cancel pending orders too.")
@click.option("--no-positions", is_flag=True, help="Leave positions open.")
@_deviation
@_trading
def close_all(
    symbol: str | None,
    magic: int | None,
    deviation: int | None,
    asked: Asked,
    *,
    orders: bool,
    no_positions: bool,
) -> None:
    """
    Close all positions, or those of a symbol or of a number.
    """
    params = {
        "symbol": symbol,
        "magic": magic,
        "positions": not no_positions,
        "orders": orders,
        "deviation": deviation,
    }
    _trade(asked, Method.CLOSE_ALL, params, None)


@order.command(short_help="Tell what became of an order.")
@click.argument("id_", metavar="ID")
@_client_id
@client_options
@output_option("table", "json", "jsonl", about=_FORMS_ABOUT)
def status(id_: str, client_id: str, access: Access, output: str | None) -> None:
    """
    Tell what became of an order, from the relay's journal, with every step of its life.

    ID is its --key, or a command_id as in results: cli/1, me/run-17/4711. The exit code is that
    of the order.
    """
    name = _command_id(id_, client_id)
    with open_client(access) as client:
        result = client.order_status(command_id=name)
    _show(result, output)
    if form(output) == "table" and (life := life_text(result)):
        write(life)
    click.get_current_context().exit(exit_code_of_result(result))


@order.command(short_help="Tell the relay what became of an order that it cannot find out.")
@click.argument("id_", metavar="ID")
@click.option("--executed/--not-executed", default=None, help="What really happened.")
@click.option("--evidence", required=True, help="How you know; kept for ever with your name.")
@click.option("--order", "order_", metavar="TICKET", type=_TICKET, help="The order, if executed.")
@click.option("--deal", metavar="TICKET", type=_TICKET, help="The deal, if executed.")
@_client_id
@click.option(
    "--timeout",
    type=seconds(),
    default=OPERATOR_TIMEOUT_S,
    show_default=True,
    help="How long to wait for the answer.",
)
@place_options
@output_option("table", "json", "jsonl", about=_FORMS_ABOUT)
def resolve(
    id_: str,
    executed: bool | None,  # noqa: FBT001 - click calls it by name
    evidence: str,
    order_: int | None,
    deal: int | None,
    client_id: str,
    timeout: float,
    place: Place,
    output: str | None,
) -> None:
    """
    Tell the relay what became of an order whose outcome it cannot find out.

    Look at the account first, in the terminal: its history, by the order's tag and time. A
    wrong word here makes the bridge believe it. Works on the relay's own machine only.
    """
    if executed is None:
        raise click.UsageError("say --executed or --not-executed")
    params = {
        "command_id": _command_id(id_, client_id),
        "executed": executed,
        "evidence": evidence,
        "order": order_,
        "deal": deal,
    }
    given = {name: value for name, value in params.items() if value is not None}
    told = command_relay(place, ControlMethod.ORDER_RESOLVE, given, timeout, None)
    _show(model_from(OrderResult, told), output)


@order.command(short_help="Check a trade request without sending it.")
@click.argument("action", type=click.Choice(_ACTIONS, case_sensitive=False))
@_request
@client_options
@output_option("table", "json", "jsonl", about=_FORMS_ABOUT)
def check(action: str, access: Access, output: str | None, **fields: Any) -> None:
    """
    Check a trade request without sending it: what the account would be like afterwards.

    Exit code 13 when something is against it. No promise that it will be executed.
    """
    params = check_params(Method.ORDER_CHECK, _request_fields(action, fields))
    with open_client(access) as client:
        checked = client.order_check(**params)
    if form(output) == "table":
        write(_check_text(checked))
    else:
        _write_one("check", checked.model_dump(mode="json"), output)
    click.get_current_context().exit(ExitCode.OK if checked.passed else ExitCode.REJECTED)


# What they share ----------------------------------------------------------------------


def _deal(side: OrderType, symbol: str, volume: float, fields: dict[str, Any]) -> dict[str, Any]:
    action = TradeRequestActions.DEAL
    return {"action": action, "type": side, "symbol": symbol, "volume": volume, **fields}


def _request_fields(action: str, fields: dict[str, Any]) -> dict[str, Any]:
    renamed = {name.removesuffix("_"): value for name, value in fields.items()}
    return {"action": action.upper(), **renamed}


def _command_id(name: str, client_id: str) -> str:
    if "/" in name:
        try:
            check_params(Method.ORDER_STATUS, {"command_id": name})
        except InvalidRequest:
            # Its own words are a regular expression.
            raise InvalidRequest(
                f"{name!r} names no order",
                field="command_id",
                hint="it is a --key, or a command_id as in results: cli/1, me/run-17/4711",
            ) from None
        return name
    check_identity(name, "client_order_id")
    check_identity(client_id, "client_id")
    return f"{client_id}/{name}"


def _send(asked: Asked, params: dict[str, Any]) -> None:
    _trade(asked, Method.ORDER_SEND, params, params)


_Checked = dict[str, Any] | Callable[[Client, dict[str, Any]], dict[str, Any]] | None


def _trade(asked: Asked, method: Method, params: dict[str, Any], checked: _Checked) -> None:
    # ``checked``: the trade request for a dry run, or what makes it of the parameters.
    key = asked.key or secrets.token_hex(8)
    check_identity(asked.client_id, "client_id")
    check_identity(key, "client_order_id")
    given = check_params(method, params)
    with open_client(asked.access, asked.client_id) as client:
        if asked.dry_run:
            code = _rehearse(client, asked, method, key, given, checked)
        else:
            if not asked.yes:
                _require_demo(client)
            if asked.key is None:
                # Before it is sent: whatever happens then, it can be asked for.
                say(f"bridge: the id of this order is {asked.client_id}/{key}")
            if asked.admin:
                result = _commanded(client, asked, method, key, given)
            else:
                result = _asked_for(client, method, key, given)
            _show(result, asked.output)
            code = exit_code_of_result(result)
    click.get_current_context().exit(code)


def _asked_for(client: Client, method: Method, key: str, given: dict[str, Any]) -> OrderResult:
    call: Callable[..., OrderResult] = getattr(client, str(method))
    try:
        return call(**given, client_order_id=key)
    except OrderUnknown as error:
        raise _unknown(error, error.client_id, key) from None


def _commanded(
    client: Client, asked: Asked, method: Method, key: str, given: dict[str, Any]
) -> OrderResult:
    timeout = asked.access.timeout
    try:
        told = ask(
            running_relay(asked.access.place),
            str(method),
            timeout,
            params=given,
            terminal=client.terminal,
            client_id=asked.client_id,
            client_order_id=key,
            # Its own answer comes before we give up.
            valid_for_ms=max(int(timeout * _ANSWER_PART * 1000), 1),
        )
        return OrderResult.model_validate(told)
    except RequestError as error:
        # Any other error of the relay means that nothing was sent. A defect says nothing.
        if isinstance(error, NoReply) or error.code == ErrorName.INTERNAL:
            raise _unknown(error, asked.client_id, key) from None
        raise
    except ValidationError:
        problem = RequestError("the relay's answer cannot be read")
        raise _unknown(problem, asked.client_id, key) from None


def _unknown(error: RequestError, client_id: str, key: str) -> OrderUnknown:
    known = isinstance(error, OrderUnknown)
    return OrderUnknown(
        error.message if known else f"{error.message}; the order may have been executed",
        client_id=client_id,
        client_order_id=key,
        hop=error.hop,
        hint=f"'bridge order status {client_id}/{key}' tells; or give the same command again "
        f"with --key {key}; never with another one",
    )


def _require_demo(client: Client) -> None:
    account = client.account()
    if not account.demo:
        raise click.UsageError(
            f"account {account.login} at {printable(account.server)} is {account.trade_mode_name}, "
            "no demo: add --yes to trade on it"
        )


def _closing(client: Client, given: dict[str, Any]) -> dict[str, Any]:
    # The deal that closing a position comes to; terminal and relay make it themselves.
    found = client.positions(ticket=given["position"])
    if not found:
        raise InvalidRequest(
            f"there is no position {given['position']}", field="position", hint="bridge positions"
        )
    buys = found[0].type == PositionType.BUY
    deal = {
        "action": TradeRequestActions.DEAL,
        "type": OrderType.SELL if buys else OrderType.BUY,
        "symbol": found[0].symbol,
        "volume": found[0].volume,
    }
    return {**deal, **given}


def _rehearse(
    client: Client,
    asked: Asked,
    method: Method,
    key: str,
    given: dict[str, Any],
    checked: _Checked,
) -> ExitCode:
    would_send = {
        "method": str(method),
        "client_id": asked.client_id,
        "client_order_id": key,
        "terminal": client.terminal,
        "params": given,
    }
    told: dict[str, Any] = {"dry_run": True, "would_send": would_send}
    text = [f"would send: {document(would_send)}"]
    code = ExitCode.OK
    if checked is None:
        positions, orders = _concerned(client, given)
        told["positions"] = [one.model_dump(mode="json") for one in positions]
        told["orders"] = [one.model_dump(mode="json") for one in orders]
        text += [f"would close {len(positions)} positions", positions_text(positions)]
        text += [f"would cancel {len(orders)} orders", orders_text(orders)]
    else:
        request = checked(client, given) if callable(checked) else checked
        found = client.order_check(**check_params(Method.ORDER_CHECK, request))
        told["check"] = found.model_dump(mode="json")
        text.append(_check_text(found))
        code = ExitCode.OK if found.passed else ExitCode.REJECTED
    if form(asked.output) == "table":
        write("\n".join(text))
    else:
        write(document(told))
    return code


def _concerned(client: Client, given: dict[str, Any]) -> tuple[list[PositionInfo], list[OrderInfo]]:
    symbol, magic = given.get("symbol"), given.get("magic")
    positions = client.positions(symbol, magic=magic) if given["positions"] else []
    return positions, client.orders(symbol, magic=magic) if given["orders"] else []


# Output -------------------------------------------------------------------------------


def exit_code_of_result(result: OrderResult) -> ExitCode:
    """
    Return the exit code of a command whose order ended so.
    """
    if result.done or result.placed:
        return ExitCode.OK
    if result.partial:
        return ExitCode.PARTIAL
    return ExitCode.TIMED_OUT if result.unknown else ExitCode.REJECTED


def result_text(result: OrderResult) -> str:
    """
    Return how an order ended, for people.
    """
    lines = [printable(str(result)), f"id: {result.command_id or '-'}"]
    if result.unknown:
        lines.append(f"ask again: bridge order status {result.command_id}")
    if result.children:
        columns = ["id", "outcome", "volume", "price", "order", "deal", "position", "why"]
        rows = [
            [one.command_id, one.outcome, one.volume or None, one.price or None, one.order or None,
             one.deal or None, one.position or None,
             one.reason or one.retcode_name if not (one.done or one.placed) else None]
            for one in result.children
        ]  # fmt: skip
        lines.append(table(columns, rows))
    return "\n".join(lines)


def _show(result: OrderResult, output: str | None) -> None:
    if form(output) == "table":
        write(result_text(result))
    else:
        _write_one("result", result.model_dump(mode="json"), output)


def _write_one(name: str, values: dict[str, Any], output: str | None) -> None:
    write(document(values if form(output) == "jsonl" else {name: values}))


def _check_text(found: CheckResult) -> str:
    verdict = "passes" if found.passed else f"refused: {found.retcode_name or found.retcode}"
    comment = f" ({printable(found.comment)})" if found.comment else ""
    return (
        f"check: {verdict}{comment}; afterwards balance {found.balance:g}, equity "
        f"{found.equity:g}, margin {found.margin:g}, free {found.margin_free:g}"
    )
