"""What each return code of the trade server says about an order: the one table.

``docs/reference/retcodes.md`` is made from it.

Rule 1: the code decides what became of a request, never what ``OrderSend`` returned.
Rule 2: a code is definitive only if the server cannot have executed, and will not execute,
what it refused. In doubt it is ambiguous: the broker's own records decide then.
Rule 3: a code that is not in the table is ambiguous, 0 as well: MetaTrader may get new ones.

MQL5 page: constants/errorswarnings/enum_trade_return_codes
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Final

from bridge.model.enums import TradeRetcode

__all__ = ["RETCODES", "Retcode", "RetcodeClass", "retcode_class", "retcode_name"]


class RetcodeClass(enum.StrEnum):
    """
    What a return code says about the request.
    """

    #: Not executed, and it never will be.
    DEFINITIVE_REJECT = "DEFINITIVE_REJECT"
    #: Executed in full.
    DONE = "DONE"
    #: Executed in part; the rest is given up, or still to come.
    PARTIAL = "PARTIAL"
    #: Taken: a pending order stands, or the deals are to come.
    PLACED = "PLACED"
    #: It may have been executed: only orders, deals and positions can tell.
    AMBIGUOUS = "AMBIGUOUS"


@dataclasses.dataclass(frozen=True, slots=True)
class Retcode:
    """
    One return code: its class, what it means, what to do.

    ``retryable``: what was refused may pass a little later or at another price, without a
    person; always as a new order with a new id.
    """

    code: TradeRetcode
    verdict: RetcodeClass
    meaning: str
    advice: str
    retryable: bool = False


_REJECT: Final = RetcodeClass.DEFINITIVE_REJECT
_AMBIGUOUS: Final = RetcodeClass.AMBIGUOUS
_FIND_OUT: Final = "wait: the bridge finds out; never send it under a new id meanwhile"

_TABLE: Final = (
    Retcode(
        TradeRetcode.REQUOTE,
        _REJECT,
        "the price has moved away and the dealer offers another",
        "look at bid and ask of the result; a new order if it is still wanted, or more deviation",
        retryable=True,
    ),
    Retcode(
        TradeRetcode.REJECT,
        _REJECT,
        "the server or the dealer refused, without a closer reason",
        "see broker_comment and retcode_external; ask the broker if it repeats",
    ),
    Retcode(
        TradeRetcode.CANCEL,
        _REJECT,
        "the request was cancelled before it was executed",
        "a new order if it is still wanted",
        retryable=True,
    ),
    Retcode(
        TradeRetcode.PLACED,
        RetcodeClass.PLACED,
        "the order is placed; of a market order the deals are to come",
        "follow trade/<alias> or order_status",
    ),
    Retcode(TradeRetcode.DONE, RetcodeClass.DONE, "done", "nothing"),
    Retcode(
        TradeRetcode.DONE_PARTIAL,
        RetcodeClass.PARTIAL,
        "only a part of the volume was executed",
        "take volume from the result; a new order for the rest if it is wanted",
    ),
    Retcode(
        TradeRetcode.ERROR,
        _AMBIGUOUS,
        "the server failed while it handled the request",
        _FIND_OUT,
    ),
    Retcode(
        TradeRetcode.TIMEOUT,
        _AMBIGUOUS,
        "no answer of the server in time; it may still execute",
        _FIND_OUT,
    ),
    Retcode(
        TradeRetcode.INVALID,
        _REJECT,
        "the request does not make sense to the server",
        "compare its fields with what the action needs",
    ),
    Retcode(
        TradeRetcode.INVALID_VOLUME,
        _REJECT,
        "the volume is below the least, above the largest, or off the step of the symbol",
        "volume_min, volume_max and volume_step of the symbol",
    ),
    Retcode(
        TradeRetcode.INVALID_PRICE,
        _REJECT,
        "the price is off the tick size, or on the wrong side of the market",
        "a multiple of trade_tick_size; buy limits and sell stops below the market, the others above",
    ),
    Retcode(
        TradeRetcode.INVALID_STOPS,
        _REJECT,
        "stop loss, take profit or order price is on the wrong side or too near",
        "keep trade_stops_level points of distance from the market",
        retryable=True,
    ),
    Retcode(
        TradeRetcode.TRADE_DISABLED,
        _REJECT,
        "trading is disabled: for the symbol, or for the account",
        "trade_mode of the symbol; ask the broker",
    ),
    Retcode(
        TradeRetcode.MARKET_CLOSED,
        _REJECT,
        "the market is closed",
        "wait for the session; the symbol's specification in MetaTrader has its hours",
    ),
    Retcode(
        TradeRetcode.NO_MONEY,
        _REJECT,
        "the free margin is too small",
        "less volume; order_check tells the margin without trading",
    ),
    Retcode(
        TradeRetcode.PRICE_CHANGED,
        _REJECT,
        "the price changed while the request was handled",
        "a new order if it is still wanted, or more deviation",
        retryable=True,
    ),
    Retcode(
        TradeRetcode.PRICE_OFF,
        _REJECT,
        "the server has no price for the symbol",
        "wait for ticks; a new order if it is still wanted",
        retryable=True,
    ),
    Retcode(
        TradeRetcode.INVALID_EXPIRATION,
        _REJECT,
        "the expiration is in the past, or the symbol does not allow one",
        "expiration in seconds of the server's clock; expiration_mode of the symbol",
    ),
    Retcode(
        TradeRetcode.ORDER_CHANGED,
        _REJECT,
        "the order has changed in between, as by being filled",
        "read orders and positions anew",
    ),
    Retcode(
        TradeRetcode.TOO_MANY_REQUESTS,
        _REJECT,
        "requests come too fast for the broker",
        "wait some seconds; lower max_orders_per_minute",
        retryable=True,
    ),
    Retcode(
        TradeRetcode.NO_CHANGES,
        _REJECT,
        "order or position already has these values",
        "nothing: it is as it was asked for",
    ),
    Retcode(
        TradeRetcode.SERVER_DISABLES_AT,
        _REJECT,
        "the server does not let programs trade on this account",
        "ask the broker",
    ),
    Retcode(
        TradeRetcode.CLIENT_DISABLES_AT,
        _REJECT,
        "the terminal does not let programs trade",
        "the button Algo Trading in the tool bar of MetaTrader, and Allow Algo Trading "
        "in the properties of the EA",
    ),
    Retcode(
        TradeRetcode.LOCKED,
        _AMBIGUOUS,
        "the request is being handled already",
        _FIND_OUT,
    ),
    Retcode(
        TradeRetcode.FROZEN,
        _REJECT,
        "order or position is frozen: the market is too near its price",
        "wait until the market is further than trade_freeze_level points",
        retryable=True,
    ),
    Retcode(
        TradeRetcode.INVALID_FILL,
        _REJECT,
        "the symbol does not allow this filling",
        "leave type_filling out: the terminal chooses one that the symbol allows",
    ),
    Retcode(
        TradeRetcode.CONNECTION,
        _AMBIGUOUS,
        "the terminal has lost the trade server",
        _FIND_OUT,
    ),
    Retcode(
        TradeRetcode.ONLY_REAL,
        _REJECT,
        "allowed on real accounts only",
        "another account",
    ),
    Retcode(
        TradeRetcode.LIMIT_ORDERS,
        _REJECT,
        "the account has as many pending orders as it may have",
        "cancel one; limit_orders of the account",
    ),
    Retcode(
        TradeRetcode.LIMIT_VOLUME,
        _REJECT,
        "orders and positions of the symbol have as much volume as they may have",
        "volume_limit of the symbol",
    ),
    Retcode(
        TradeRetcode.INVALID_ORDER,
        _REJECT,
        "this type of order does not exist or is not allowed for the symbol",
        "order_mode of the symbol",
    ),
    Retcode(
        TradeRetcode.POSITION_CLOSED,
        _REJECT,
        "the position is closed already",
        "nothing, if it was to be closed; read positions anew",
    ),
    Retcode(
        TradeRetcode.INVALID_CLOSE_VOLUME,
        _REJECT,
        "more was to be closed than is open",
        "leave volume out to close all of it; read positions anew",
    ),
    Retcode(
        TradeRetcode.CLOSE_ORDER_EXIST,
        _REJECT,
        "an order that closes this position is under way already",
        "wait for that one; read orders and positions anew",
    ),
    Retcode(
        TradeRetcode.LIMIT_POSITIONS,
        _REJECT,
        "the account has as many positions as it may have; "
        "with hedging, pending orders are counted too",
        "close a position or cancel an order",
    ),
    Retcode(
        TradeRetcode.REJECT_CANCEL,
        _REJECT,
        "the pending order could not be activated and was cancelled",
        "a new order if it is still wanted",
    ),
    Retcode(
        TradeRetcode.LONG_ONLY,
        _REJECT,
        "the symbol may only be bought",
        "trade_mode of the symbol",
    ),
    Retcode(
        TradeRetcode.SHORT_ONLY,
        _REJECT,
        "the symbol may only be sold",
        "trade_mode of the symbol",
    ),
    Retcode(
        TradeRetcode.CLOSE_ONLY,
        _REJECT,
        "positions of the symbol may only be closed",
        "trade_mode of the symbol",
    ),
    Retcode(
        TradeRetcode.FIFO_CLOSE,
        _REJECT,
        "the account closes the oldest position of a symbol first",
        "close the oldest one; fifo_close of the account",
    ),
    Retcode(
        TradeRetcode.HEDGE_PROHIBITED,
        _REJECT,
        "the account does not allow opposite positions of one symbol",
        "close the other position first",
    ),
)

#: Every known code, in the order of the codes.
RETCODES: Final[Mapping[int, Retcode]] = {int(entry.code): entry for entry in _TABLE}


def retcode_class(retcode: int) -> RetcodeClass:
    """
    Return what a return code of ``OrderSend`` says; a code not in the table is ambiguous.

    0 is not in it: for ``OrderCheck`` it means that nothing is against the request.
    """
    entry = RETCODES.get(retcode)
    return RetcodeClass.AMBIGUOUS if entry is None else entry.verdict


def retcode_name(retcode: int) -> str:
    """
    Return MQL5's name without ``TRADE_RETCODE_``, or ``""`` for a code that is not known.
    """
    entry = RETCODES.get(retcode)
    return "" if entry is None else entry.code.name
