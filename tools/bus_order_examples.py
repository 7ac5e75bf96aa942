"""One request and its result for every method about orders, and for the control endpoint."""

from __future__ import annotations

from typing import Any, Final

from bridge.bus.orders import (
    STATUS_DEFAULTS,
    STEP_DEFAULTS,
    LifeStep,
    Outcome,
    Reason,
    command_id,
    order_result,
)
from bridge.bus.requests import ControlMethod, Hop, Method
from bridge.model.enums import TradeRetcode
from bridge.model.trade import (
    AccountRecord,
    DealRecord,
    OrderRecord,
    PositionRecord,
    asdict,
    order_tag,
)

__all__ = [
    "CONTROL_EXAMPLES",
    "DEAL",
    "DENIED",
    "ORDER_EXAMPLES",
    "POSITION",
    "UNKNOWN",
]

_CLIENT: Final = "ma-cross"
_TOKEN: Final = "Zb3cJv0o7hFqk1yWmS9tQx2LrPd5uEiA"  # noqa: S105 - an example
_TIME_S: Final = 1_767_362_400
_TIME_MSC: Final = 1_767_362_400_212


def _request(number: int, method: Method, order_id: str, **params: Any) -> dict[str, Any]:
    return {
        "id": str(number),
        "method": str(method),
        "client_id": _CLIENT,
        "client_order_id": order_id,
        "terminal": "demo",
        "params": params,
    }


def _read(number: int, method: Method, **params: Any) -> dict[str, Any]:
    return {"id": str(number), "method": str(method), "terminal": "demo", "params": params}


def _result(order_id: str, *, ticket: int | None = None, **known: Any) -> dict[str, Any]:
    name = command_id(_CLIENT, order_id, ticket)
    return order_result(
        **{"command_id": name, "client_order_id": order_id, "tag": order_tag(name), **known}
    )


def _answered(order_id: str, outcome: Outcome, retcode: TradeRetcode, **known: Any) -> Any:
    answer = {
        "outcome": outcome.value,
        "final": True,
        "retcode": retcode.value,
        "retcode_name": retcode.name,
        "time_msc": _TIME_MSC,
        "utc_offset_min": 120,
        "evidence": "TRADE_SERVER",
        "request_id": 17,
    }
    return _result(order_id, **{**answer, **known})


_BOUGHT: Final = _answered(
    "2026-01-02T12:00",
    Outcome.DONE,
    TradeRetcode.DONE,
    order=880_017,
    deal=990_021,
    position=880_017,
    deals=[990_021],
    volume=0.1,
    price=1.17429,
    bid=1.17421,
    ask=1.17429,
    comment="crossed upwards",
    broker_comment="Request executed",
)


def _step(step: LifeStep, after_ms: int, **told: Any) -> dict[str, Any]:
    utc_msc = _TIME_MSC - 7_200_000 + after_ms
    known = {
        "step": step.value,
        "time_utc_msc": utc_msc,
        "last_utc_msc": utc_msc,
        "relay_epoch": 1_767_350_000,
        "relay_us": 5_155_000_000 + 1_000 * after_ms,
    }
    return {**STEP_DEFAULTS, **known, **told}


_LIFE: Final = [
    _step(LifeStep.RESERVED, 0),
    _step(LifeStep.SENT, 2),
    _step(
        LifeStep.RESULT,
        31,
        said="DONE",
        evidence="TRADE_SERVER",
        retcode=TradeRetcode.DONE.value,
        retcode_name=TradeRetcode.DONE.name,
        order=880_017,
        deal=990_021,
        volume=0.1,
        changed=True,
    ),
]
_CLOSED: Final = _answered(
    "close-all-7",
    Outcome.DONE,
    TradeRetcode.DONE,
    ticket=880_017,
    order=880_031,
    deal=990_035,
    position=880_017,
    deals=[990_035],
    volume=0.1,
    price=1.17502,
)
#: The result of an order that the bridge refused.
DENIED: Final = _result(
    "2026-01-02T12:05",
    outcome=Outcome.DENIED.value,
    final=True,
    reason=Reason.VOLUME_LIMIT.value,
    hop=Hop.RELAY.value,
    message="5.0 lots are more than the 1.0 lots that one order may have",
    field="params.volume",
    hint="setting terminals.demo.trading.max_volume",
)
#: The result of an order of which nobody knows yet.
UNKNOWN: Final = _result(
    "2026-01-02T12:10",
    hop=Hop.TERMINAL.value,
    message="the link to the terminal was lost; the relay asks when it is back",
    comment="crossed downwards",
)

#: The position that the first example opened, as ``positions`` shows it.
POSITION: Final = {
    **asdict(
        PositionRecord(
            ticket=880_017,
            time=_TIME_S,
            time_msc=_TIME_MSC,
            time_update=_TIME_S,
            time_update_msc=_TIME_MSC,
            magic=4_711,
            identifier=880_017,
            reason=3,
            volume=0.1,
            price_open=1.17429,
            sl=1.17129,
            price_current=1.17431,
            profit=0.2,
            symbol="EURUSD",
            comment="crossed upwards",
        )
    ),
    "tag": _BOUGHT["tag"],
    "command_id": _BOUGHT["command_id"],
}
#: Its deal, as an event tells it.
DEAL: Final = {
    **asdict(
        DealRecord(
            ticket=990_021,
            order=880_017,
            time=_TIME_S,
            time_msc=_TIME_MSC,
            magic=4_711,
            position_id=880_017,
            reason=3,
            volume=0.1,
            price=1.17429,
            commission=-0.35,
            symbol="EURUSD",
            comment="crossed upwards",
        )
    ),
    "tag": _BOUGHT["tag"],
    "command_id": _BOUGHT["command_id"],
}
_ORDER: Final = {
    **asdict(
        OrderRecord(
            ticket=880_019,
            time_setup=_TIME_S,
            time_setup_msc=_TIME_MSC,
            time_expiration=_TIME_S + 86_400,
            type=2,
            type_time=2,
            type_filling=2,
            state=1,
            magic=2**63 + 1,
            volume_initial=0.2,
            volume_current=0.2,
            price_open=1.165,
            sl=1.16,
            price_current=1.17429,
            symbol="EURUSD",
            comment="zb1:AAAAAAAAAAAAAAAA",
        )
    ),
    "tag": "zb1:AAAAAAAAAAAAAAAA",
    "command_id": "",
}
_ACCOUNT: Final = asdict(
    AccountRecord(
        login=5_012_345,
        margin_so_call=50.0,
        margin_so_so=30.0,
        balance=10_000.0,
        profit=0.2,
        equity=10_000.2,
        margin=117.43,
        margin_free=9_882.77,
        margin_level=8_515.88,
        name="Jane Doe",
        server="Broker-Demo",
        currency="USD",
        company="Broker Ltd",
    )
)

#: For each method: a request, and the result of its reply.
ORDER_EXAMPLES: Final[dict[Method, tuple[dict[str, Any], dict[str, Any]]]] = {
    Method.ORDER_SEND: (
        _request(
            20,
            Method.ORDER_SEND,
            "2026-01-02T12:00",
            action="DEAL",
            symbol="EURUSD",
            volume=0.1,
            type="BUY",
            magic=4_711,
            sl_points=300,
            comment="crossed upwards",
        ),
        _BOUGHT,
    ),
    Method.ORDER_CHECK: (
        _read(21, Method.ORDER_CHECK, action="DEAL", symbol="EURUSD", volume=500.0, type="SELL"),
        {
            "retcode": TradeRetcode.NO_MONEY.value,
            "retcode_name": TradeRetcode.NO_MONEY.name,
            "balance": 10_000.0,
            "equity": 10_000.0,
            "profit": 0.0,
            "margin": 587_105.0,
            "margin_free": -577_105.0,
            "margin_level": 1.7,
            "comment": "No money",
        },
    ),
    Method.ORDER_MODIFY: (
        _request(22, Method.ORDER_MODIFY, "move-1", order=880_019, price=1.164, tp_points=500),
        _answered(
            "move-1", Outcome.REJECTED, TradeRetcode.FROZEN, hop="trade_server", order=880_019
        ),
    ),
    Method.POSITION_MODIFY: (
        _request(23, Method.POSITION_MODIFY, "trail-1", position=880_017, sl=1.1735, tp=0),
        _answered("trail-1", Outcome.DONE, TradeRetcode.DONE, position=880_017),
    ),
    Method.POSITION_CLOSE: (
        _request(24, Method.POSITION_CLOSE, "2026-01-02T12:10", position=880_017, deviation=20),
        UNKNOWN,
    ),
    Method.POSITION_CLOSE_BY: (
        _request(25, Method.POSITION_CLOSE_BY, "by-1", position=880_017, position_by=880_025),
        _answered(
            "by-1",
            Outcome.DONE,
            TradeRetcode.DONE,
            order=880_029,
            position=880_017,
            deals=[990_030, 990_031],
            volume=0.1,
        ),
    ),
    Method.ORDER_CANCEL: (
        _request(26, Method.ORDER_CANCEL, "cancel-1", order=2**63 + 9),
        _answered("cancel-1", Outcome.DONE, TradeRetcode.DONE, order=2**63 + 9),
    ),
    Method.CLOSE_ALL: (
        _request(27, Method.CLOSE_ALL, "close-all-7", symbol="EURUSD"),
        _result("close-all-7", outcome=Outcome.DONE.value, final=True, children=[_CLOSED]),
    ),
    Method.ORDER_STATUS: (
        _read(28, Method.ORDER_STATUS, command_id=_BOUGHT["command_id"]),
        {**_BOUGHT, "replayed": True, **STATUS_DEFAULTS, "life": _LIFE},
    ),
    Method.POSITIONS: (
        _read(29, Method.POSITIONS, symbol="EURUSD"),
        {"positions": [POSITION]},
    ),
    Method.ORDERS: (_read(30, Method.ORDERS), {"orders": [_ORDER]}),
    Method.ACCOUNT: (_read(31, Method.ACCOUNT), {"account": _ACCOUNT}),
}

#: The same for methods of the control endpoint that have parameters.
CONTROL_EXAMPLES: Final[dict[ControlMethod, tuple[dict[str, Any], dict[str, Any]]]] = {
    ControlMethod.HALT: (
        {
            "id": "32",
            "method": "halt",
            "terminal": "demo",
            "token": _TOKEN,
            "params": {"reducing": True, "reason": "news at 14:30"},
        },
        {"terminals": [{"alias": "demo", "trading_state": "REDUCING", "reason": "news at 14:30"}]},
    ),
    ControlMethod.RESUME: (
        {"id": "33", "method": "resume", "token": _TOKEN},
        {"terminals": [{"alias": "demo", "trading_state": "ACTIVE", "reason": ""}]},
    ),
    ControlMethod.ORDER_RESOLVE: (
        {
            "id": "34",
            "method": "order_resolve",
            "token": _TOKEN,
            "params": {
                "command_id": UNKNOWN["command_id"],
                "executed": False,
                "evidence": "broker's statement of 2026-01-02, ticket 4711",
            },
        },
        {
            **UNKNOWN,
            "outcome": Outcome.REJECTED.value,
            "final": True,
            "reason": Reason.NOT_EXECUTED.value,
            "message": "not executed, says a person: broker's statement of 2026-01-02, ticket 4711",
        },
    ),
}
