"""The trading calls as flows, like ``flows``: what to ask, what to make of the answer. Pure.

Rule 1: what is wrong with an order is found here if it can be, before anything is sent.
Rule 2: an order is asked for once by a flow. Asking again after a lost reply, under
the same ids, is for ``requests``; nothing here ever makes a new order of an old one.
Rule 3: an answer that cannot be read is no answer: the order may have been executed.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from bridge.bus.fields import NAME_PATTERN
from bridge.bus.requests import TRADING_METHODS, Method, validate_params
from bridge.client.flows import Calls, Flow, Inquiry, model_from
from bridge.client.replies import MalformedReply
from bridge.client.trade import (
    AccountInfo,
    CheckResult,
    OrderInfo,
    OrderResult,
    OrderStatus,
    PositionInfo,
)
from bridge.exceptions import InvalidRequest, OrderUnknown
from bridge.model.enums import OrderType, TradeRequestActions

__all__ = ["BUY", "SELL", "OrderCalls", "check_identity", "check_params", "params_of"]

#: What makes a deal of the arguments of ``buy`` and ``sell``.
BUY: Final = {"action": TradeRequestActions.DEAL, "type": OrderType.BUY}
SELL: Final = {"action": TradeRequestActions.DEAL, "type": OrderType.SELL}

_NAME: Final = re.compile(NAME_PATTERN)
#: What the shells' calls take besides the parameters of their method.
_OF_THE_CALL: Final = frozenset({"self", "client_order_id", "timeout", "raise_on_reject"})
_NAME_HINT: Final = "letters, digits and . _ : - , at most 64, the first one a letter or a digit"


class OrderCalls:
    """
    The trading flows of one client.

    ``client_id`` is ``None`` when the user named none: then it cannot trade.
    """

    def __init__(self, calls: Calls, client_id: str | None) -> None:
        self._calls = calls
        self._client_id = client_id

    def trade(
        self,
        method: Method,
        client_order_id: str,
        params: dict[str, Any],
        *,
        raise_on_reject: bool = False,
    ) -> Flow[OrderResult]:
        """
        Ask for an order, or for a change of one.

        Raises:
            InvalidRequest: a parameter or an id is wrong; nothing was sent.
            OrderUnknown: there is no answer that can be read; it may have been executed.
            OrderRejected, OrderDenied, OrderUnknown: with ``raise_on_reject``, by the outcome.
        """
        if method not in TRADING_METHODS:
            raise AssertionError(f"{method} does not trade")
        client_id = self._own_id()
        check_identity(client_order_id, "client_order_id")
        given = check_params(method, params)
        alias = yield from self._calls.alias()
        told = yield Inquiry(method, given, alias, client_order_id)
        try:
            result = OrderResult.model_validate(told)
        except ValidationError as error:
            raise OrderUnknown(
                f"the answer to {method} cannot be read: {error.error_count()} fields are wrong",
                client_id=client_id,
                client_order_id=client_order_id,
                hint=f"ask order_status({client_order_id!r}); never send it under another id",
            ) from None
        return result.raise_on_reject() if raise_on_reject else result

    def check(self, params: dict[str, Any]) -> Flow[CheckResult]:
        """
        Ask the terminal what it thinks of an order. Nothing is sent to the trade server.
        """
        given = check_params(Method.ORDER_CHECK, params)
        alias = yield from self._calls.alias()
        return model_from(CheckResult, (yield Inquiry(Method.ORDER_CHECK, given, alias)))

    def status(
        self, client_order_id: str | None, client_id: str | None, command_id: str | None
    ) -> Flow[OrderStatus]:
        """
        Ask the journal what became of an order.
        """
        params: dict[str, Any] = {"command_id": command_id, "client_id": client_id}
        if command_id is None:
            if client_order_id is None:
                raise InvalidRequest(
                    "say which order", field="client_order_id", hint="or give command_id"
                )
            check_identity(client_order_id, "client_order_id")
            params["client_id"] = client_id or self._own_id()
        params["client_order_id"] = client_order_id
        given = check_params(Method.ORDER_STATUS, params)
        # Not the terminal: the journal of the relay knows, whether that is connected or not.
        yield from self._calls.connect()
        return model_from(OrderStatus, (yield Inquiry(Method.ORDER_STATUS, given)))

    def positions(
        self, symbol: str | None, magic: int | None, ticket: int | None
    ) -> Flow[list[PositionInfo]]:
        """
        Ask the terminal for its open positions.
        """
        found = yield from self._selected(Method.POSITIONS, symbol, magic, ticket)
        return [model_from(PositionInfo, record) for record in found]

    def orders(
        self, symbol: str | None, magic: int | None, ticket: int | None
    ) -> Flow[list[OrderInfo]]:
        """
        Ask the terminal for its open orders.
        """
        found = yield from self._selected(Method.ORDERS, symbol, magic, ticket)
        return [model_from(OrderInfo, record) for record in found]

    def account(self) -> Flow[AccountInfo]:
        """
        Ask the terminal for its account.
        """
        alias = yield from self._calls.alias()
        result = yield Inquiry(Method.ACCOUNT, {}, alias)
        # ``account`` as one map, beside the others' lists.
        return model_from(AccountInfo, result.get("account", result))

    def _selected(
        self, method: Method, symbol: str | None, magic: int | None, ticket: int | None
    ) -> Flow[list[Any]]:
        given = check_params(method, {"symbol": symbol, "magic": magic, "ticket": ticket})
        alias = yield from self._calls.alias()
        result = yield Inquiry(method, given, alias)
        records = result.get(str(method))
        if not isinstance(records, list):
            raise MalformedReply("expected an array", field=str(method))
        return records

    def _own_id(self) -> str:
        if self._client_id is None:
            raise InvalidRequest(
                "an order needs a client_id that is the same after a restart",
                field="client_id",
                hint="for example Client(client_id='my-strategy')",
            )
        check_identity(self._client_id, "client_id")
        return self._client_id


def params_of(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the parameters among the arguments of a shell's call: they have the same names.
    """
    return {name: value for name, value in arguments.items() if name not in _OF_THE_CALL}


def check_identity(name: Any, field: str) -> None:
    """
    Make sure that a ``client_id`` or ``client_order_id`` can be one.

    Raises:
        InvalidRequest: it cannot.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidRequest(f"{name!r} cannot be used", field=field, hint=_NAME_HINT)


def check_params(method: Method, params: dict[str, Any]) -> dict[str, Any]:
    """
    Return what is given of the parameters, the form in which it is sent.

    Raises:
        InvalidRequest: one of them is wrong; ``field`` is its name.
    """
    # What is not given is not sent: an older relay does not know the newest fields.
    given = {
        name: int(value) if isinstance(value, enum.IntEnum) else value
        for name, value in params.items()
        if value is not None
    }
    try:
        validate_params(method, given)
    except InvalidRequest as error:
        raise InvalidRequest(
            error.message, field=error.field.removeprefix("params."), hint=error.hint
        ) from None
    return given
