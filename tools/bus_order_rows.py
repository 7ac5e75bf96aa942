"""What the bus protocol says of orders: bodies, results, outcomes, reasons, and their meaning."""

from __future__ import annotations

from typing import Any, Final

from bridge.bus.bodies import TradeKind
from bridge.bus.orders import (
    RESULT_DEFAULTS,
    STATUS_DEFAULTS,
    STEP_DEFAULTS,
    LifeStep,
    Outcome,
    Reason,
)
from bridge.bus.requests import TRADING_METHODS, ControlMethod, Method
from bridge.model.trade import (
    AccountRecord,
    DealRecord,
    OrderRecord,
    PositionRecord,
    TradeCheckResult,
)
from bridge.wire.spec import Evidence, OrderOutcome, TradingState
from tools.bus_rows import (
    BOOL,
    EPOCH,
    F64,
    I16,
    I32,
    I64,
    MAP,
    SEQ,
    TEXT,
    TIME,
    U32,
    U64,
    Body,
    FieldRow,
    array,
    object_of,
    one_of,
    record_rows,
    row,
)

__all__ = [
    "CONTROL_RESULTS",
    "LIFE_STEPS",
    "ORDER_BODIES",
    "ORDER_PARTS",
    "ORDER_RESULTS",
    "OUTCOME_MEANINGS",
    "REASON_MEANINGS",
    "TRADE_KINDS",
    "TRADING",
]

OUTCOME_MEANINGS: Final[dict[Outcome, tuple[str, str]]] = {
    Outcome.DONE: ("executed, all of it", "go on"),
    Outcome.PARTIAL: (
        "executed in part: `volume` is what was; the rest is cancelled or still works",
        "look at `volume`, and at the order if `final` is false",
    ),
    Outcome.PLACED: (
        "the trade server has taken it; a pending order waits, a market order is being executed",
        "a market order: wait for the `ORDER_LIFE` event, or ask `order_status`",
    ),
    Outcome.REJECTED: (
        "the terminal or the trade server refused it, or it is proved that nothing was executed",
        "read `retcode_name`; a new try is a new order with a new `client_order_id`",
    ),
    Outcome.DENIED: (
        "the bridge refused it; nothing was sent to the trade server",
        "read `reason` and `hint`",
    ),
    Outcome.UNKNOWN: (
        "**it may have been executed.** The relay goes on finding out",
        "wait, ask `order_status` or send the same again with the same ids; never under a new id",
    ),
}

REASON_MEANINGS: Final[dict[Reason, str]] = {
    Reason.TRADING_DISABLED: "trading is not enabled for this terminal in the relay's "
    "configuration",
    Reason.SYMBOL_NOT_ALLOWED: "the symbol is not in the list of allowed symbols",
    Reason.VOLUME_LIMIT: "more lots than one order may have",
    Reason.POSITION_LIMIT: "as many positions are open as may be",
    Reason.RATE_LIMIT: "as many orders were sent in the last minute as may be",
    Reason.STALE_PRICE: "the last price of the symbol is older than allowed",
    Reason.REDUCING: "only closes, cancels and changes of what is there may pass now",
    Reason.HALTED: "trading is halted",
    Reason.NOT_CONNECTED: "the terminal has no connection to its trade server",
    Reason.NOT_PERMITTED: "a permission is missing in MetaTrader; `hint` says where to click",
    Reason.TERMINAL_AWAY: "the terminal is not connected to the relay",
    Reason.TERMINAL_BUSY: "the terminal is busy for longer than the order is valid",
    Reason.UNRESOLVED: "what became of an earlier order is still being found out, and this one "
    "could do it a second time",
    Reason.DIVERGED: "this id was used before for something else",
    Reason.JOURNAL: "the relay's journal cannot be written, so nothing may be sent",
    Reason.EXPIRED: "its deadline passed before it was sent to the trade server",
    Reason.INVALID: "it cannot be carried out as it is; `field` and `message` say why",
    Reason.NOTHING_TO_CLOSE: "the position is not open (any more)",
    Reason.WRONG_ACCOUNT: "the terminal is logged in to another account",
    Reason.WRONG_INCARNATION: "the terminal's ledger is not the one that the relay knows",
    Reason.STALE_RELAY: "a newer relay has taken over this terminal",
    Reason.NOT_DURABLE: "the terminal cannot keep a ledger, so it does not trade",
    Reason.READ_ONLY: "the terminal's program is set to read only",
    Reason.DEMO_ONLY: "the terminal's program trades on demo accounts only",
    Reason.ROLE: "the terminal's session does not carry orders",
    Reason.TOO_MANY: "too many orders are under way at this terminal",
    Reason.NOT_EXECUTED: "with REJECTED: the broker has no trace of it after the settle time",
    Reason.OTHER: "`message` says why",
}

LIFE_STEPS: Final[dict[LifeStep, str]] = {
    LifeStep.RESERVED: "it is in the journal, before anything of it was sent",
    LifeStep.SENT: "it was sent to the terminal (NEW); once more only after NEVER_SEEN",
    LifeStep.NOT_SENT: "the relay ended it without sending it; `text` says why",
    LifeStep.ASKED: "the terminal was asked what became of it (QUERY)",
    LifeStep.RESULT: "the terminal said `said`, known from `evidence`",
    LifeStep.NOTICED: "a deal or an order with its tag was seen in the account's events",
    LifeStep.LINK_LOST: "the session with the terminal ended while it had no end",
    LifeStep.RESTORED: "another relay found it in the journal: it counts as sent",
    LifeStep.PARTS: "all parts of `close_all` have an end",
    LifeStep.RESOLVED: "a person, `who`, said what became of it; `text` is the evidence",
    LifeStep.LEFT_OUT: "`times` steps of the middle of a long life are left out",
}

#: For each kind of event what it means, and what its record is.
TRADE_KINDS: Final[dict[TradeKind, tuple[str, str]]] = {
    TradeKind.DEAL: ("a deal was done", "deal"),
    TradeKind.ORDER_CLOSED: ("an order has come to its end", "order"),
    TradeKind.ORDER: ("an open order came or changed", "order"),
    TradeKind.POSITION: ("a position changed without a deal (stop loss, swap)", "position"),
    TradeKind.REQUEST: ("the trade server answered a request", "map; keys may be added"),
    TradeKind.ORDER_LIFE: (
        "what is known of a command changed; the first one when it is answered",
        "result of a trading method",
    ),
    TradeKind.VERDICT_CORRECTED: (
        "a command that was thought not executed was: **trading is halted**",
        "result of a trading method, `corrected` true",
    ),
}

_TYPES: Final[dict[str, dict[str, Any]]] = {
    "retcode": U32,
    "retcode_external": I32,
    "order": U64,
    "deal": U64,
    "position": U64,
    "deals": array(U64),
    "request_id": U32,
    "time_msc": I64,
    "utc_offset_min": I16,
    "error": U32,
    "children": array(MAP),
}
_MEANINGS: Final = {
    "outcome": "how it ended, see below; values may be added: take an unknown one as `UNKNOWN`",
    "final": "true: no further result is expected for this command",
    "reason": "why it was denied, see below; with `REJECTED` only `NOT_EXECUTED`; else empty",
    "hop": "where it was refused, or lost; empty when it was done",
    "message": "a sentence for people; not stable",
    "field": "the parameter that is to blame, or empty",
    "hint": "what to do about it, or empty",
    "command_id": "name of the command for ever: `client_id/client_order_id`, for a part of "
    "`close_all` with `/ticket`",
    "client_order_id": "as in the request",
    "replayed": "true: answered from the journal, nothing was sent for this request",
    "retcode": "MqlTradeResult.retcode, 0: there is none",
    "retcode_name": "its name without `TRADE_RETCODE_`, or empty",
    "retcode_external": "return code of the external trading system",
    "order": "ticket of the order, 0: none",
    "deal": "ticket of the deal, 0: none",
    "position": "ticket of the position, 0: none or not known",
    "deals": "tickets of all its deals",
    "volume": "lots executed; of a pending order that was placed: its volume",
    "price": "executed at",
    "bid": "at that time, 0: not known",
    "ask": "at that time, 0: not known",
    "comment": "the user's own",
    "broker_comment": "MqlTradeResult.comment: what the broker says to it",
    "tag": "the comment that order and deals have at the broker",
    "request_id": "MqlTradeResult.request_id, 0: none",
    "time_msc": "of the outcome, ms on the trade server's clock, 0: not known",
    "utc_offset_min": "that clock minus UTC, in minutes",
    "evidence": f"where the terminal knows it from, or empty: {', '.join(f'`{kind.name}`' for kind in Evidence if kind)}",
    "corrected": "true: an earlier verdict was wrong, this one replaces it",
    "error": "the terminal's _LastError, 0: none",
    "children": "the results of the parts of `close_all`; else empty",
}


def _result_rows() -> list[FieldRow]:
    rows = []
    for name, default in RESULT_DEFAULTS.items():
        schema = _TYPES.get(name)
        if schema is None:
            schema = BOOL if isinstance(default, bool) else F64 if default == 0 else TEXT
        rows.append(row(name, schema, _MEANINGS[name]))
    return rows


_RESULT: Final = _result_rows()

_STEP_TYPES: Final[dict[str, dict[str, Any]]] = {
    "time_utc_msc": I64,
    "last_utc_msc": I64,
    "relay_epoch": U32,
    "relay_us": I64,
    "retcode": U32,
    "order": U64,
    "deal": U64,
    "volume": F64,
    "times": U32,
}
_STEP_MEANINGS: Final = {
    "step": "what was done or said, see below; steps may be added",
    "time_utc_msc": "when: ms since 1970, UTC, on the relay's machine",
    "relay_epoch": "which relay it was: epochs grow with each start",
    "relay_us": "when, in microseconds of a clock that only goes forward: "
    "compare it between steps of one `relay_epoch`; 0: not known",
    "said": "the outcome in the words of the wire protocol, or empty: "
    f"{', '.join(f'`{outcome.name}`' for outcome in OrderOutcome)}",
    "evidence": "as in the result",
    "retcode": "MqlTradeResult.retcode, 0: none",
    "retcode_name": "its name without `TRADE_RETCODE_`, or empty",
    "order": "ticket of the order, 0: none",
    "deal": "ticket of the deal, 0: none",
    "volume": "lots executed",
    "text": "a sentence for people; not stable",
    "who": "the person, if it was one",
    "changed": "true: what is known of the command changed with it",
    "corrected": "true: it was thought not executed until then, and was",
    "times": "so many of this kind, when they brought nothing new",
    "last_utc_msc": "when the last one of these was",
}


def _step_rows() -> list[FieldRow]:
    rows = []
    for name, default in STEP_DEFAULTS.items():
        schema = BOOL if isinstance(default, bool) else _STEP_TYPES.get(name, TEXT)
        rows.append(row(name, schema, _STEP_MEANINGS[name]))
    return rows


_STEP: Final = _step_rows()
_STATUS_FIELDS: Final = {
    "waiting_for": row("waiting_for", TEXT, "for people: what it waits for now, or empty"),
    "advice": row("advice", TEXT, "for people: what to do about it, or empty"),
    "life": row("life", array(object_of(_STEP)), "its steps, oldest first, see below"),
}
_STATUS: Final = [*_RESULT, *(_STATUS_FIELDS[name] for name in STATUS_DEFAULTS)]

_OURS: Final = [
    row("tag", TEXT, "the comment at the broker; of a command of the bridge it begins with `zb1:`"),
    row("command_id", TEXT, "the command that made it, or empty: not known"),
]
_COMMENT: Final = {"comment": "the user's own where the relay knows it, else the broker's"}
_POSITION: Final = [*record_rows(PositionRecord, _COMMENT), *_OURS]
_ORDER: Final = [*record_rows(OrderRecord, _COMMENT), *_OURS]
_DEAL: Final = [*record_rows(DealRecord, _COMMENT), *_OURS]
_ACCOUNT: Final = record_rows(AccountRecord)

_CHECK_MEANINGS: Final = {
    "retcode": "0: nothing speaks against it; else as in a result",
    "balance": "after it was executed",
    "equity": "after it was executed",
    "profit": "floating profit after it was executed",
    "margin": "margin after it was executed",
    "margin_free": "free margin after it was executed",
    "margin_level": "margin level after it was executed, percent",
    "comment": "what the terminal says to it",
}
_CHECK: Final = [
    row("retcode", U32, _CHECK_MEANINGS["retcode"]),
    row("retcode_name", TEXT, "its name without `TRADE_RETCODE_`; empty for 0"),
    *(
        row._replace(meaning=_CHECK_MEANINGS[row.name])
        for row in record_rows(TradeCheckResult)
        if row.name != "retcode"
    ),
]

ORDER_RESULTS: Final[dict[str, list[FieldRow]]] = {
    **{method: _RESULT for method in Method if method in TRADING_METHODS},
    Method.ORDER_CHECK: _CHECK,
    Method.ORDER_STATUS: _STATUS,
    Method.POSITIONS: [row("positions", array(object_of(_POSITION)), "open positions, see below")],
    Method.ORDERS: [row("orders", array(object_of(_ORDER)), "pending orders, see below")],
    Method.ACCOUNT: [row("account", object_of(_ACCOUNT), "see below")],
}

_STATE: Final = [
    row("alias", TEXT, "name of the terminal"),
    row("trading_state", one_of([state.name for state in TradingState]), "the state from now on"),
    row("reason", TEXT, "why, for people"),
]
#: What ``status`` tells of each terminal's trading.
TRADING: Final = [
    row("alias", TEXT, "name of the terminal"),
    row("enabled", BOOL, "whether the relay's configuration lets it trade"),
    row("state", one_of([state.name for state in TradingState]), "all, closes only, or nothing"),
    row("reason", TEXT, "why it is not ACTIVE, for people"),
    row("open_orders", U32, "commands whose end is not known yet"),
    row("unresolved", array(TEXT), "the first of those that are being found out, by command id"),
    row("waiting", U32, "commands that wait before anything of them is sent"),
]

CONTROL_RESULTS: Final[dict[str, list[FieldRow]]] = {
    ControlMethod.HALT: [row("terminals", array(object_of(_STATE)), "every terminal concerned")],
    ControlMethod.RESUME: [row("terminals", array(object_of(_STATE)), "every terminal concerned")],
    ControlMethod.ORDER_RESOLVE: _RESULT,
}

ORDER_PARTS: Final = {
    "result": _RESULT,
    "status": [*_STATUS_FIELDS.values()],
    "step": _STEP,
    "trading": TRADING,
    "position": _POSITION,
    "order": _ORDER,
    "deal": _DEAL,
    "account": _ACCOUNT,
}

ORDER_BODIES: Final = {
    "trade": Body(
        "trade/{alias}",
        "Something happened to an account, or to a command",
        [
            EPOCH,
            SEQ,
            TIME,
            FieldRow("kind", TEXT, "str", "what happened, see below; kinds may be added"),
            FieldRow(
                "recovered",
                BOOL,
                "bool",
                "true: read from the history afterwards, not seen as it happened",
            ),
            FieldRow("record", MAP, "map", "what the kind has to tell; keys may be added"),
        ],
    ),
    "account": Body(
        "account/{alias}",
        "The account as it is now",
        [EPOCH, SEQ, TIME, FieldRow("account", MAP, "map", "as in the method `account`")],
    ),
    "position": Body(
        "position/{alias}",
        "Every open position as it is now",
        [
            EPOCH,
            SEQ,
            TIME,
            FieldRow(
                "positions",
                array(MAP),
                "array of maps",
                "all of them, as in the method `positions`",
            ),
        ],
    ),
}
