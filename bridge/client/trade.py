"""What trading calls return: account, positions, orders, deals, and how an order ended.

The records have the names of the official Python package. In each, ``comment`` is the
comment that was given with the order, ``tag`` what stands at the broker instead of it, and
``command_id`` the order's identity, where the relay's journal knows them.

Volumes are lots, prices the symbol's, ``*_msc`` milliseconds and other times seconds since
1970 on the trade server's clock.
"""

from __future__ import annotations

import enum
import html
from collections.abc import Iterable
from typing import Any, Self

from bridge.bus.orders import Outcome
from bridge.client.record import Model
from bridge.exceptions import OrderDenied, OrderError, OrderRejected, OrderUnknown
from bridge.model.enums import (
    AccountMarginMode,
    AccountTradeMode,
    DealEntry,
    DealType,
    OrderState,
    OrderType,
    PositionType,
)
from bridge.model.retcodes import retcode_name

__all__ = [
    "AccountInfo",
    "CheckResult",
    "DealInfo",
    "OrderInfo",
    "OrderResult",
    "OrderStatus",
    "OrderStep",
    "PositionInfo",
]


class _Record(Model):
    # What is 0, "" or empty is not worth a place on the screen.
    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            if value or value is False:
                yield name, value

    def _repr_html_(self) -> str:
        # Notebooks ask for it. Comments come from outside: they must not become markup.
        rows = "".join(
            f"<tr><th>{html.escape(str(name))}</th><td>{html.escape(str(value))}</td></tr>"
            for name, value in self.__repr_args__()
        )
        return f"<table><caption>{type(self).__name__}</caption>{rows}</table>"


class PositionInfo(_Record):
    """
    An open position.

    ``type``: a ``PositionType``. ``identifier``: stays the same when a netting position is
    turned round, ``ticket`` may not. ``profit``: floating, without ``swap``.
    """

    ticket: int
    symbol: str = ""
    type: int = 0
    volume: float = 0.0
    price_open: float = 0.0
    price_current: float = 0.0
    sl: float = 0.0
    tp: float = 0.0
    profit: float = 0.0
    swap: float = 0.0
    magic: int = 0
    identifier: int = 0
    reason: int = 0
    time: int = 0
    time_msc: int = 0
    time_update: int = 0
    time_update_msc: int = 0
    comment: str = ""
    external_id: str = ""
    tag: str = ""
    command_id: str = ""

    @property
    def type_name(self) -> str:
        """
        ``"BUY"`` or ``"SELL"``.
        """
        return _name(PositionType, self.type)


class OrderInfo(_Record):
    """
    An order, open or closed.

    ``type``: an ``OrderType``; ``state``: an ``OrderState``. ``price_open``: where it is
    triggered or filled. ``time_done*``: 0 while it is open.
    """

    ticket: int
    symbol: str = ""
    type: int = 0
    state: int = 0
    volume_initial: float = 0.0
    volume_current: float = 0.0
    price_open: float = 0.0
    price_current: float = 0.0
    price_stoplimit: float = 0.0
    sl: float = 0.0
    tp: float = 0.0
    type_time: int = 0
    type_filling: int = 0
    magic: int = 0
    position_id: int = 0
    position_by_id: int = 0
    reason: int = 0
    time_setup: int = 0
    time_setup_msc: int = 0
    time_done: int = 0
    time_done_msc: int = 0
    time_expiration: int = 0
    comment: str = ""
    external_id: str = ""
    tag: str = ""
    command_id: str = ""

    @property
    def type_name(self) -> str:
        """
        The name in ``OrderType``, as ``"BUY_LIMIT"``.
        """
        return _name(OrderType, self.type)

    @property
    def state_name(self) -> str:
        """
        The name in ``OrderState``, as ``"PLACED"``.
        """
        return _name(OrderState, self.state)


class DealInfo(_Record):
    """
    A deal: what was executed.

    ``type``: a ``DealType``; ``entry``: a ``DealEntry``. ``profit``, ``commission``, ``swap``
    and ``fee`` are in the account's currency.
    """

    ticket: int
    order: int = 0
    symbol: str = ""
    type: int = 0
    entry: int = 0
    volume: float = 0.0
    price: float = 0.0
    profit: float = 0.0
    commission: float = 0.0
    swap: float = 0.0
    fee: float = 0.0
    position_id: int = 0
    magic: int = 0
    reason: int = 0
    time: int = 0
    time_msc: int = 0
    comment: str = ""
    external_id: str = ""
    tag: str = ""
    command_id: str = ""

    @property
    def type_name(self) -> str:
        """
        The name in ``DealType``, as ``"BUY"``.
        """
        return _name(DealType, self.type)

    @property
    def entry_name(self) -> str:
        """
        The name in ``DealEntry``, as ``"IN"``.
        """
        return _name(DealEntry, self.entry)


class AccountInfo(_Record):
    """
    A trading account. Amounts are in ``currency``; ``margin_level`` is percent.

    ``trade_mode``: an ``AccountTradeMode``; ``margin_mode``: an ``AccountMarginMode``.
    """

    login: int
    server: str = ""
    trade_mode: int = int(AccountTradeMode.REAL)  # not told: nobody may take it for a demo
    margin_mode: int = 0
    currency: str = ""
    currency_digits: int = 2
    leverage: int = 0
    balance: float = 0.0
    credit: float = 0.0
    profit: float = 0.0
    equity: float = 0.0
    margin: float = 0.0
    margin_free: float = 0.0
    margin_level: float = 0.0
    margin_so_mode: int = 0
    margin_so_call: float = 0.0
    margin_so_so: float = 0.0
    margin_initial: float = 0.0
    margin_maintenance: float = 0.0
    assets: float = 0.0
    liabilities: float = 0.0
    commission_blocked: float = 0.0
    limit_orders: int = 0
    trade_allowed: bool = False
    trade_expert: bool = False
    fifo_close: bool = False
    name: str = ""
    company: str = ""

    @property
    def demo(self) -> bool:
        """
        Whether it is a demo account; contests and whatever is new are not.
        """
        return self.trade_mode == AccountTradeMode.DEMO

    @property
    def hedging(self) -> bool:
        """
        Whether a symbol may have several positions.
        """
        return self.margin_mode == AccountMarginMode.RETAIL_HEDGING

    @property
    def trade_mode_name(self) -> str:
        """
        ``"DEMO"``, ``"CONTEST"`` or ``"REAL"``.
        """
        return _name(AccountTradeMode, self.trade_mode)

    @property
    def margin_mode_name(self) -> str:
        """
        ``"RETAIL_NETTING"``, ``"EXCHANGE"`` or ``"RETAIL_HEDGING"``.
        """
        return _name(AccountMarginMode, self.margin_mode)


class CheckResult(_Record):
    """
    What the account would be like after an order. ``retcode`` 0: nothing is against it.

    A check promises nothing: prices move, and the trade server decides.
    """

    retcode: int
    retcode_name: str = ""
    balance: float = 0.0
    equity: float = 0.0
    profit: float = 0.0
    margin: float = 0.0
    margin_free: float = 0.0
    margin_level: float = 0.0
    comment: str = ""

    @property
    def passed(self) -> bool:
        """
        Whether nothing is against the order.
        """
        return self.retcode == 0


class OrderResult(_Record):
    """
    How an order ended, as far as is known.

    ``outcome``: see ``Outcome``; one that is not known here counts as unknown. ``final``:
    nothing about it will change, corrections apart. ``reason``, ``message``, ``field`` and
    ``hint``: why it was refused, and ``hop`` by whom. ``replayed``: the answer was known,
    nothing was sent for this request. ``deals``: tickets of all deals; ``volume`` and
    ``price``: what was executed. ``comment``: yours; ``broker_comment``: the trade server's
    word on the result. ``evidence``: from what an outcome was concluded that no return code
    told. ``corrected``: an earlier final outcome was wrong. ``error``: ``_LastError`` in the
    terminal. ``children``: of ``close_all``, one for each position and order.
    """

    outcome: str
    final: bool = False
    reason: str = ""
    hop: str = ""
    message: str = ""
    field: str = ""
    hint: str = ""
    command_id: str = ""
    client_order_id: str = ""
    replayed: bool = False
    retcode: int = 0
    retcode_name: str = ""
    retcode_external: int = 0
    order: int = 0
    deal: int = 0
    position: int = 0
    deals: tuple[int, ...] = ()
    volume: float = 0.0
    price: float = 0.0
    bid: float = 0.0
    ask: float = 0.0
    comment: str = ""
    broker_comment: str = ""
    tag: str = ""
    request_id: int = 0
    time_msc: int = 0
    utc_offset_min: int = 0
    evidence: str = ""
    corrected: bool = False
    error: int = 0
    children: tuple[OrderResult, ...] = ()

    @property
    def done(self) -> bool:
        """
        Whether it was executed in full.
        """
        return self.outcome == Outcome.DONE

    @property
    def partial(self) -> bool:
        """
        Whether a part of it was executed; ``volume`` tells how much.
        """
        return self.outcome == Outcome.PARTIAL

    @property
    def placed(self) -> bool:
        """
        Whether it stands as an order: a pending one, or a deal still to come.
        """
        return self.outcome == Outcome.PLACED

    @property
    def rejected(self) -> bool:
        """
        Whether the terminal or the trade server refused it. It was not executed.
        """
        return self.outcome == Outcome.REJECTED

    @property
    def denied(self) -> bool:
        """
        Whether the bridge refused it. It was not executed.
        """
        return self.outcome == Outcome.DENIED

    @property
    def unknown(self) -> bool:
        """
        Whether nobody knows yet if it was executed. The relay finds out: ``order_status``.
        """
        return not (self.done or self.partial or self.placed or self.rejected or self.denied)

    def raise_on_reject(self) -> Self:
        """
        Return this result unless nothing was executed, or nobody knows.

        Raises:
            OrderRejected: the terminal or the trade server refused it.
            OrderDenied: the bridge refused it.
            OrderUnknown: it may have been executed.
        """
        if not (self.rejected or self.denied or self.unknown):
            return self
        kind: type[OrderError] = OrderUnknown
        if not self.unknown:
            kind = OrderRejected if self.rejected else OrderDenied
        client_id, _, rest = self.command_id.partition("/")
        raise kind(
            self._why() or "no reason was told",
            client_id=client_id,
            client_order_id=self.client_order_id or rest,
            result=self,
            code=self.outcome,
            hop=self.hop or None,
            field=self.field,
            hint=self.hint,
        )

    def __str__(self) -> str:
        volume = f" {self.volume:g} lots" if self.volume else ""
        price = f" at {self.price!r}" if self.price else ""
        tickets = ("order", self.order), ("deal", self.deal), ("position", self.position)
        text = ", ".join(
            [f"{self.outcome}{volume}{price}"]
            + [f"{name} {ticket}" for name, ticket in tickets if ticket]
        )
        field = f"{self.field}: " if self.field else ""
        why = self._why(field)
        hint = f" ({self.hint})" if self.hint else ""
        return f"{text}: {why}{hint}" if why else text

    def _why(self, field: str = "") -> str:
        code = self.reason or ("" if self.done or self.placed else self._retcode())
        return ": ".join(part for part in (code, f"{field}{self.message}") if part)

    def _retcode(self) -> str:
        return self.retcode_name or (retcode_name(self.retcode) if self.retcode else "")


class OrderStep(_Record):
    """
    A step in the life of an order.

    ``step``: a ``LifeStep``. ``relay_us``: microseconds of a clock that only goes forward, of the
    relay with ``relay_epoch``. ``said``: the outcome that was told in this step, ``evidence``
    from where it was known. ``changed``: what is known of the order changed with it;
    ``corrected``: it was thought not executed until then. ``times``: so many alike, the last
    one at ``last_utc_msc``.
    """

    step: str
    time_utc_msc: int = 0
    relay_epoch: int = 0
    relay_us: int = 0
    said: str = ""
    evidence: str = ""
    retcode: int = 0
    retcode_name: str = ""
    order: int = 0
    deal: int = 0
    volume: float = 0.0
    text: str = ""
    who: str = ""
    changed: bool = False
    corrected: bool = False
    times: int = 1
    last_utc_msc: int = 0


class OrderStatus(OrderResult):
    """
    How an order ended, as far as is known, and its whole life.

    ``waiting_for`` and ``advice`` are for people: what it waits for now, and what to do about
    it. ``life``: the steps, oldest first; empty while it waits at the relay.
    """

    waiting_for: str = ""
    advice: str = ""
    life: tuple[OrderStep, ...] = ()


def _name(kind: type[enum.IntEnum], value: int) -> str:
    try:
        return kind(value).name
    except ValueError:
        return str(value)
