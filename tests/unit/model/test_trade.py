"""``bridge.model.trade``: records, and copies of them."""

from __future__ import annotations

import dataclasses

import pytest

from bridge.model.trade import (
    AccountRecord,
    DealRecord,
    OrderRecord,
    PositionRecord,
    TradeCheckResult,
    TradeRequest,
    TradeResult,
    replace,
)

RECORDS = (
    AccountRecord(login=1, currency="USD"),
    DealRecord(ticket=1, price=1.1),
    OrderRecord(ticket=1, comment="zb1:A"),
    PositionRecord(ticket=1, swap=-0.5),
    TradeCheckResult(retcode=0, comment="Done"),
    TradeRequest(action=1, symbol="EURUSD"),
    TradeResult(retcode=10009, comment="Done"),
)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_copy_has_all_fields_but_the_changed_ones(record):
    last = dataclasses.fields(record)[-1].name

    assert dataclasses.replace(record, **{last: 7}) == replace(record, **{last: 7})
    assert record == replace(record)
    assert record is not replace(record)


def test_what_is_copied_stays_as_it_is():
    order = OrderRecord(ticket=1, state=1)
    replace(order, state=4)

    assert 1 == order.state


def test_a_field_that_is_not_there_is_named():
    with pytest.raises(TypeError, match="OrderRecord has no field 'stat'"):
        replace(OrderRecord(ticket=1), stat=4)
