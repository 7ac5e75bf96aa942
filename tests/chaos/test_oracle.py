"""The judge: each kind of wrong is seen, and nothing else."""

from __future__ import annotations

import dataclasses
import json

import pytest

from bridge.model.enums import OrderState, TradeRequestActions
from bridge.model.trade import DealRecord, OrderRecord, order_tag
from bridge.sim.exchange_records import Ledger, Processed
from tests.chaos.oracle import judge, read_answers

NAME = "chaos/0-1-0"
TAG = order_tag(NAME)
DONE = {
    "outcome": "DONE",
    "final": True,
    "tag": TAG,
    "order": 1,
    "deals": [5],
    "volume": 0.1,
}
REJECTED = {"outcome": "REJECTED", "final": True, "tag": TAG}
UNKNOWN = {"outcome": "UNKNOWN", "final": False, "tag": TAG}
FREE = {"outcome": "DENIED", "final": True}


def make_ledger(times=1, tag=TAG, volume=0.1):
    """
    Return a ledger in which a market order was executed so many times.
    """
    return Ledger(
        orders=tuple(
            OrderRecord(ticket=n, state=int(OrderState.FILLED)) for n in range(1, times + 1)
        ),
        deals=tuple(DealRecord(ticket=4 + n, order=n, volume=volume) for n in range(1, times + 1)),
        requests=tuple(
            Processed(
                at_us=n,
                action=int(TradeRequestActions.DEAL),
                comment=tag,
                retcode=10_009,
                order=n,
                deal=4 + n,
            )
            for n in range(1, times + 1)
        ),
        tags=dict.fromkeys(range(1, times + 1), tag),
    )


def tell(tmp_path, *events, status=None, name=NAME, method="buy", args=()):
    """
    Return what one asker was told; an event is a result or the name of something else.
    """
    path = tmp_path / "answers.jsonl"
    asked = {"asker": "0-1", "method": method, "args": list(args), "options": {}}
    lines = []
    for event in events:
        lines.append((1.0, name, "ask", asked))
        if isinstance(event, dict):
            lines.append((2.0, name, "result", event))
        else:
            lines.append((2.0, name, event, {"asker": "0-1"}))
    lines.sort(key=lambda line: line[0])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    told = read_answers([path])
    told[name].status = status
    return told


def counts(judgement):
    return (judgement.lost, judgement.duplicated, judgement.wrong, judgement.unresolved)


@pytest.mark.parametrize(
    ("events", "status", "times"),
    [
        ((DONE,), DONE, 1),
        (("unanswered", UNKNOWN, DONE), DONE, 1),
        ((REJECTED,), REJECTED, 0),
        ((FREE, "given up"), None, 0),
        ((FREE, DONE), DONE, 1),
    ],
)
def test_what_is_true_is_clean(tmp_path, events, status, times):
    judgement = judge(tell(tmp_path, *events, status=status), make_ledger(times))

    assert (0, 0, 0, 0) == counts(judgement)
    assert judgement.clean


@pytest.mark.parametrize(
    ("events", "status", "times", "expected"),
    [
        pytest.param((DONE,), DONE, 2, (0, 1, 0, 0), id="executed twice"),
        pytest.param(("unanswered",), None, 1, (1, 0, 0, 0), id="executed and not known"),
        pytest.param((UNKNOWN,), None, 0, (1, 0, 0, 0), id="told of and forgotten"),
        pytest.param(("unanswered",), REJECTED, 1, (1, 0, 0, 0), id="executed, said to be not"),
        pytest.param((REJECTED,), DONE, 1, (0, 0, 1, 0), id="told the wrong end first"),
        pytest.param((DONE,), DONE, 0, (0, 0, 2, 0), id="told of an execution that was none"),
        pytest.param((UNKNOWN,), UNKNOWN, 1, (0, 0, 0, 1), id="no end"),
        pytest.param(
            (DONE, {**DONE, "corrected": True}), DONE, 1, (0, 0, 1, 0), id="an end taken back"
        ),
        pytest.param(({**DONE, "volume": 0.2},), DONE, 1, (0, 0, 1, 0), id="another volume"),
        pytest.param(({**DONE, "deals": []},), DONE, 1, (0, 0, 1, 0), id="a deal left out"),
        pytest.param((FREE, "given up"), DONE, 1, (0, 0, 1, 0), id="denied, and executed"),
    ],
)
def test_what_is_not_true_is_counted(tmp_path, events, status, times, expected):
    judgement = judge(tell(tmp_path, *events, status=status), make_ledger(times))

    assert expected == counts(judgement)
    assert not judgement.clean
    assert judgement.shown


def test_an_execution_that_nobody_asked_for_is_counted(tmp_path):
    judgement = judge(tell(tmp_path, REJECTED, status=REJECTED), make_ledger(1, tag="zb1:other"))

    assert (0, 1, 0, 0) == counts(judgement)


def test_a_pending_order_may_be_refused_when_its_price_comes(tmp_path):
    """Placed, and rejected at its activation: both are true."""
    placed = {"outcome": "PLACED", "final": True, "tag": TAG, "order": 1}
    refused = OrderRecord(ticket=1, state=int(OrderState.REJECTED))
    ledger = dataclasses.replace(make_ledger(), orders=(refused,), deals=())
    told = tell(tmp_path, placed, status={**REJECTED, "order": 1})

    assert (0, 0, 0, 0) == counts(judge(told, ledger))
    assert (1, 0, 0, 0) == counts(judge(told, make_ledger()))


def test_a_cancel_is_found_by_the_order_that_it_names(tmp_path):
    result = {"outcome": "DONE", "final": True, "tag": TAG}
    removal = Processed(
        at_us=1, action=int(TradeRequestActions.REMOVE), comment="", retcode=10_009, order=7
    )
    for state, expected in ((OrderState.CANCELED, 0), (OrderState.FILLED, 2)):
        ledger = Ledger(
            orders=(OrderRecord(ticket=7, state=int(state)),),
            deals=(),
            requests=(removal,),
            tags={7: "zb1:pending"},
        )
        told = tell(tmp_path, result, status=result, method="order_cancel", args=[7])

        assert (0, 0, expected, 0) == counts(judge(told, ledger))


def test_two_names_of_one_wish_may_come_true_once(tmp_path):
    renamed = f"{NAME}:1"
    told = tell(tmp_path, "unanswered", status=DONE)
    status = {**DONE, "order": 2, "deals": [6], "tag": order_tag(renamed)}
    told |= tell(tmp_path, status, status=status, name=renamed)
    first, second = make_ledger(1), make_ledger(2, tag=order_tag(renamed))
    ledger = Ledger(
        orders=second.orders,
        deals=second.deals,
        requests=(first.requests[0], second.requests[1]),
        tags={1: TAG, 2: order_tag(renamed)},
    )

    assert (0, 1, 0, 0) == counts(judge(told, ledger))
