from __future__ import annotations

import pytest

from bridge.bus.orders import (
    OrderCancelParams,
    OrderModifyParams,
    OrderSendParams,
    PositionCloseByParams,
    PositionCloseParams,
    PositionModifyParams,
    command_of,
)
from bridge.policy import Proposal, proposal_of

DEAL = {"action": "DEAL", "symbol": "EURUSD", "volume": 0.1, "type": "BUY"}

OPENS, CHANGES, CLOSES, CANCELS = (
    {"opens": True, "changes": False, "closes": False, "reduces": False},
    {"opens": False, "changes": True, "closes": False, "reduces": False},
    {"opens": False, "changes": False, "closes": True, "reduces": True},
    {"opens": False, "changes": False, "closes": False, "reduces": True},
)


def kind_of(proposal):
    return {name: getattr(proposal, name) for name in OPENS}


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        pytest.param(OrderSendParams(**DEAL), OPENS, id="deal"),
        pytest.param(OrderSendParams(**DEAL, position=7), CLOSES, id="deal of a position"),
        pytest.param(
            OrderSendParams(**DEAL | {"action": "PENDING", "type": "BUY_LIMIT", "price": 1.1}),
            OPENS,
            id="pending",
        ),
        pytest.param(OrderSendParams(action="SLTP", position=7, sl=1.0), CHANGES, id="sltp"),
        pytest.param(OrderSendParams(action="MODIFY", order=7, price=1.0), CHANGES, id="modify"),
        pytest.param(OrderSendParams(action="REMOVE", order=7), CANCELS, id="remove"),
        pytest.param(
            OrderSendParams(action="CLOSE_BY", position=7, position_by=8), CLOSES, id="close by"
        ),
        pytest.param(OrderModifyParams(order=7, price=1.0), CHANGES, id="order_modify"),
        pytest.param(PositionModifyParams(position=7, tp=0.0), CHANGES, id="position_modify"),
        pytest.param(PositionCloseParams(position=7), CLOSES, id="position_close"),
        pytest.param(
            PositionCloseByParams(position=7, position_by=8), CLOSES, id="position_close_by"
        ),
        pytest.param(OrderCancelParams(order=7), CANCELS, id="order_cancel"),
    ],
)
def test_each_method_opens_changes_closes_or_cancels(params, expected):
    assert expected == kind_of(proposal_of("method", command_of(params)))


def test_an_action_that_is_not_known_counts_as_one_that_opens():
    assert OPENS == kind_of(Proposal(method="new_method", action=99))


def test_a_proposal_has_what_the_command_says():
    proposal = proposal_of("order_send", command_of(OrderSendParams(**DEAL)), admin=True)

    assert proposal == Proposal(
        method="order_send", action=1, symbol="EURUSD", volume=0.1, type=0, admin=True
    )


def test_the_symbol_of_a_ticket_comes_from_who_looked_it_up():
    close = command_of(PositionCloseParams(position=7))

    assert "XAUUSD" == proposal_of("position_close", close, symbol="XAUUSD").symbol
    assert "" == proposal_of("position_close", close).symbol


def test_the_symbol_of_the_command_is_above_the_one_looked_up():
    deal = command_of(OrderSendParams(**DEAL))

    assert "EURUSD" == proposal_of("order_send", deal, symbol="XAUUSD").symbol
