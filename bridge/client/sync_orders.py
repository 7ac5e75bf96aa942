"""The trading calls of the blocking client. Same names in the same order as ``aio_orders``.

The arguments of a call have the names of its method's parameters, so ``locals()`` is what to
send: a call says what there is, not the same names once more. Nothing is assigned before it.
"""

from __future__ import annotations

import abc
from typing import Any, TypeVar

from bridge.bus.requests import Method
from bridge.client.base import Action, Filling, Parts, TypeOfOrder, TypeTime
from bridge.client.flows import Flow
from bridge.client.orders import BUY, SELL, params_of
from bridge.client.trade import (
    AccountInfo,
    CheckResult,
    OrderInfo,
    OrderResult,
    OrderStatus,
    PositionInfo,
)

__all__ = ["Trading"]

T = TypeVar("T")


class Trading(abc.ABC):
    """
    The part of ``Client`` that trades.

    A call that may trade needs a ``client_id`` (of the client) and a ``client_order_id``
    (of the call), both chosen by you and the same after a restart of your program: the same
    ids with the same arguments are executed once at most, and answered with what became of
    them. Nothing here ever sends an order again under another id.

    ``sl`` and ``tp`` are prices, ``sl_points`` and ``tp_points`` distances in points: give one
    form. ``None`` keeps what there is (a new order has none), 0 removes it. Volumes are lots,
    ``deviation`` is points. ``comment`` comes back with the order and everything it leads to;
    the trade server gets a tag in its place.

    ``timeout`` (seconds, the client's when ``None``) is how long the answer is waited for and
    how long the order may still be sent. A lost answer is asked for again meanwhile.
    ``raise_on_reject``: raise what else only the result tells.

    Every call that may trade raises, besides what every call does:
        InvalidRequest: an argument is wrong, ``field`` says which; nothing was sent.
        OrderUnknown: there was no answer in time. It may have been executed: ask
            ``order_status``, or call again with the same ids.
        OrderRejected: with ``raise_on_reject``: the terminal or the trade server refused it.
        OrderDenied: with ``raise_on_reject``: the bridge refused it.

    Any other error means that nothing was sent to the terminal, and nothing will be.
    """

    _parts: Parts

    def order_send(
        self,
        action: Action,
        *,
        client_order_id: str,
        magic: int | None = None,
        order: int | None = None,
        symbol: str | None = None,
        volume: float | None = None,
        price: float | None = None,
        stoplimit: float | None = None,
        sl: float | None = None,
        tp: float | None = None,
        sl_points: int | None = None,
        tp_points: int | None = None,
        deviation: int | None = None,
        type: TypeOfOrder | None = None,  # noqa: A002 - MqlTradeRequest has this name
        type_filling: Filling | None = None,
        type_time: TypeTime | None = None,
        expiration: int | None = None,
        comment: str | None = None,
        position: int | None = None,
        position_by: int | None = None,
        timeout: float | None = None,
        raise_on_reject: bool = False,
    ) -> OrderResult:
        """
        Send a trade request, as ``MqlTradeRequest``: any action with the fields it has.

        ``action`` and the ``type*`` arguments are members of MQL5's enumerations
        (``TradeRequestActions``, ``OrderType``, ...), their names (``"PENDING"``,
        ``"BUY_LIMIT"``) or their numbers. A market order without ``price`` takes the one of
        the moment; without ``type_filling`` the terminal chooses what the symbol allows.
        ``expiration`` is seconds since 1970 on the trade server's clock.

        MQL5 page: constants/structures/mqltraderequest
        """
        return self._trade(Method.ORDER_SEND, locals())

    def order_check(
        self,
        action: Action,
        *,
        magic: int | None = None,
        order: int | None = None,
        symbol: str | None = None,
        volume: float | None = None,
        price: float | None = None,
        stoplimit: float | None = None,
        sl: float | None = None,
        tp: float | None = None,
        sl_points: int | None = None,
        tp_points: int | None = None,
        deviation: int | None = None,
        type: TypeOfOrder | None = None,  # noqa: A002 - MqlTradeRequest has this name
        type_filling: Filling | None = None,
        type_time: TypeTime | None = None,
        expiration: int | None = None,
        comment: str | None = None,
        position: int | None = None,
        position_by: int | None = None,
    ) -> CheckResult:
        """
        Return what the account would be like after a trade request; nothing is sent.

        The arguments are those of ``order_send``.

        MQL5 page: trading/ordercheck
        """
        return self._run(self._parts.orders.check(params_of(locals())))

    def buy(
        self,
        symbol: str,
        volume: float,
        *,
        client_order_id: str,
        price: float | None = None,
        sl: float | None = None,
        tp: float | None = None,
        sl_points: int | None = None,
        tp_points: int | None = None,
        deviation: int | None = None,
        magic: int | None = None,
        type_filling: Filling | None = None,
        comment: str | None = None,
        timeout: float | None = None,
        raise_on_reject: bool = False,
    ) -> OrderResult:
        """
        Buy at the market.

        ``price`` is the price you saw, for symbols that are executed instantly; everywhere
        else it is not needed. On a hedging account this opens a position of its own, on a
        netting account it changes the symbol's.
        """
        return self._trade(Method.ORDER_SEND, {**locals(), **BUY})

    def sell(
        self,
        symbol: str,
        volume: float,
        *,
        client_order_id: str,
        price: float | None = None,
        sl: float | None = None,
        tp: float | None = None,
        sl_points: int | None = None,
        tp_points: int | None = None,
        deviation: int | None = None,
        magic: int | None = None,
        type_filling: Filling | None = None,
        comment: str | None = None,
        timeout: float | None = None,
        raise_on_reject: bool = False,
    ) -> OrderResult:
        """
        Sell at the market.

        The arguments are those of ``buy``. To close a position use ``position_close``.
        """
        return self._trade(Method.ORDER_SEND, {**locals(), **SELL})

    def order_modify(
        self,
        order: int,
        *,
        client_order_id: str,
        price: float | None = None,
        stoplimit: float | None = None,
        sl: float | None = None,
        tp: float | None = None,
        sl_points: int | None = None,
        tp_points: int | None = None,
        type_time: TypeTime | None = None,
        expiration: int | None = None,
        timeout: float | None = None,
        raise_on_reject: bool = False,
    ) -> OrderResult:
        """
        Change a pending order. What is ``None`` is kept.
        """
        return self._trade(Method.ORDER_MODIFY, locals())

    def position_modify(
        self,
        position: int,
        *,
        client_order_id: str,
        sl: float | None = None,
        tp: float | None = None,
        sl_points: int | None = None,
        tp_points: int | None = None,
        timeout: float | None = None,
        raise_on_reject: bool = False,
    ) -> OrderResult:
        """
        Change stop loss and take profit of a position. What is ``None`` is kept, 0 removes.
        """
        return self._trade(Method.POSITION_MODIFY, locals())

    def position_close(
        self,
        position: int,
        *,
        client_order_id: str,
        volume: float | None = None,
        deviation: int | None = None,
        comment: str | None = None,
        timeout: float | None = None,
        raise_on_reject: bool = False,
    ) -> OrderResult:
        """
        Close a position, or ``volume`` lots of it.

        Never more than is open just before it is sent: closing twice opens nothing.
        """
        return self._trade(Method.POSITION_CLOSE, locals())

    def position_close_by(
        self,
        position: int,
        position_by: int,
        *,
        client_order_id: str,
        timeout: float | None = None,
        raise_on_reject: bool = False,
    ) -> OrderResult:
        """
        Close a position by an opposite one of the same symbol (hedging accounts).
        """
        return self._trade(Method.POSITION_CLOSE_BY, locals())

    def order_cancel(
        self,
        order: int,
        *,
        client_order_id: str,
        timeout: float | None = None,
        raise_on_reject: bool = False,
    ) -> OrderResult:
        """
        Cancel a pending order.
        """
        return self._trade(Method.ORDER_CANCEL, locals())

    def close_all(
        self,
        *,
        client_order_id: str,
        symbol: str | None = None,
        magic: int | None = None,
        positions: bool = True,
        orders: bool = False,
        deviation: int | None = None,
        timeout: float | None = None,
        raise_on_reject: bool = False,
    ) -> OrderResult:
        """
        Close all positions (of a symbol, of a magic number); with ``orders`` also cancel orders.

        ``children`` of the result has one result for each. ``positions=False`` leaves the
        positions open.
        """
        return self._trade(Method.CLOSE_ALL, locals())

    def order_status(
        self,
        client_order_id: str | None = None,
        *,
        client_id: str | None = None,
        command_id: str | None = None,
    ) -> OrderStatus:
        """
        Return what became of an order of this client, or of another one, or of a command.

        With it comes its life: each step, what it waits for now, what to do.

        ``command_id`` is the one in results and records. The relay's journal answers: the
        terminal may be away.

        Raises:
            NotAvailable: the relay never heard of it; so it never sent it either.
        """
        return self._run(self._parts.orders.status(client_order_id, client_id, command_id))

    def positions(
        self,
        symbol: str | None = None,
        *,
        magic: int | None = None,
        ticket: int | None = None,
    ) -> list[PositionInfo]:
        """
        Return the open positions: all, or those of a symbol, a magic number, a ticket.

        Raises:
            TerminalUnavailable: the terminal is not connected.
        """
        return self._run(self._parts.orders.positions(symbol, magic, ticket))

    def orders(
        self,
        symbol: str | None = None,
        *,
        magic: int | None = None,
        ticket: int | None = None,
    ) -> list[OrderInfo]:
        """
        Return the open orders: all, or those of a symbol, a magic number, a ticket.

        Raises:
            TerminalUnavailable: the terminal is not connected.
        """
        return self._run(self._parts.orders.orders(symbol, magic, ticket))

    def account(
        self,
    ) -> AccountInfo:
        """
        Return the account: owner, kind, balance, margin, limits.

        Raises:
            TerminalUnavailable: the terminal is not connected.
        """
        return self._run(self._parts.orders.account())

    # --- inside -----------------------------------------------------------------------------

    @abc.abstractmethod
    def _run(self, flow: Flow[T], within: float | None = None) -> T: ...

    def _trade(self, method: Method, arguments: dict[str, Any]) -> OrderResult:
        return self._run(*self._parts.trade(method, arguments))
