"""The generated parts of the bus protocol's page that are about orders."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from bridge.bus.order_params import ACTION_FIELDS
from bridge.bus.orders import LifeStep, Outcome, Reason
from bridge.bus.requests import CONTROL_PARAMS, TRADING_METHODS, ControlMethod, Method
from tools.bus_order_examples import CONTROL_EXAMPLES, DENIED, UNKNOWN
from tools.bus_order_rows import (
    CONTROL_RESULTS,
    LIFE_STEPS,
    ORDER_PARTS,
    OUTCOME_MEANINGS,
    REASON_MEANINGS,
    TRADE_KINDS,
)
from tools.bus_rows import FieldRow
from tools.bus_tables import json_block, params_table, record_table, rows_table, table

__all__ = ["ORDER_TABLES", "REQUEST_ONLY", "SHARED_PARAMS", "SHARED_RESULTS"]

#: Whose parameters a method shares, and what the page says instead of a second table.
SHARED_PARAMS: Final = {Method.ORDER_CHECK: "Parameters: those of [`order_send`](#order_send)."}
_AN_ORDERS: Final = "Result: [the result of an order](#the-result-of-an-order)."
SHARED_RESULTS: Final = {
    **dict.fromkeys(TRADING_METHODS, _AN_ORDERS),
    Method.ORDER_STATUS: f"{_AN_ORDERS[:-1]}, and what it went through (below).",
}

#: Whose reply would only show the same fields again.
REQUEST_ONLY: Final = frozenset(SHARED_RESULTS) - {Method.ORDER_SEND, Method.CLOSE_ALL}


def _actions() -> str:
    rows = [
        [
            f"`{action.name}` {int(action)}",
            ", ".join(f"`{name}`" for name in needed),
            ", ".join(f"`{name}`" for name in sorted(possible)) or "none",
        ]
        for action, (needed, possible) in ACTION_FIELDS.items()
    ]
    return table(["`action`", "Required", "May be given"], rows)


def _examples(request: dict[str, Any], result: dict[str, Any]) -> str:
    reply = {"v": 1, "id": request["id"], "ok": True, "result": result}
    return f"{json_block(request)}\n\n{json_block(reply)}"


def _control(method: ControlMethod) -> str:
    params = CONTROL_PARAMS[method].model_json_schema()
    parts = ["Parameters:"]
    if params.get("properties"):
        parts.append(params_table(params))
    else:
        parts[0] += " none."
    rows: list[FieldRow] = CONTROL_RESULTS[method]
    if method == ControlMethod.ORDER_RESOLVE:
        parts.append(_AN_ORDERS)
        parts += ["Example:", json_block(CONTROL_EXAMPLES[method][0])]
    else:
        parts += ["Result:", rows_table(rows), "Example:", _examples(*CONTROL_EXAMPLES[method])]
    return "\n\n".join(parts)


ORDER_TABLES: Final[dict[str, Callable[[], str]]] = {
    "bus-order-actions": _actions,
    "bus-order-result": partial(rows_table, ORDER_PARTS["result"]),
    "bus-order-life": partial(rows_table, ORDER_PARTS["status"]),
    "bus-order-step": partial(rows_table, ORDER_PARTS["step"]),
    "bus-order-steps": lambda: table(
        ["Step", "Meaning"], [[f"`{step}`", LIFE_STEPS[step]] for step in LifeStep]
    ),
    "bus-trading": partial(rows_table, ORDER_PARTS["trading"]),
    "bus-outcomes": lambda: table(
        ["Outcome", "Meaning", "What to do"],
        [[f"`{outcome}`", *OUTCOME_MEANINGS[outcome]] for outcome in Outcome],
    ),
    "bus-reasons": lambda: table(
        ["Reason", "Meaning"], [[f"`{reason}`", REASON_MEANINGS[reason]] for reason in Reason]
    ),
    "bus-order-denied": lambda: json_block(DENIED),
    "bus-order-unknown": lambda: json_block(UNKNOWN),
    "bus-trade-kinds": lambda: table(
        ["Kind", "Meaning", "Record"],
        [[f"`{kind}`", *TRADE_KINDS[kind]] for kind in TRADE_KINDS],
    ),
    **{
        f"bus-{name}": partial(record_table, ORDER_PARTS[name])
        for name in ("position", "order", "deal", "account")
    },
    **{f"bus-control-{method}": partial(_control, method) for method in CONTROL_PARAMS},
}
