"""``bridge.client.trade``: what trading calls return."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from bridge.bus.orders import RESULT_FIELDS, Outcome, order_result
from bridge.client.trade import (
    AccountInfo,
    CheckResult,
    DealInfo,
    OrderInfo,
    OrderResult,
    PositionInfo,
)
from bridge.exceptions import OrderDenied, OrderError, OrderRejected, OrderUnknown
from bridge.model.trade import (
    AccountRecord,
    DealRecord,
    OrderRecord,
    PositionRecord,
    TradeCheckResult,
    asdict,
)

QUESTIONS = ("done", "partial", "placed", "rejected", "denied", "unknown")


def made(**known):
    return OrderResult.model_validate(order_result(**known))


@pytest.mark.parametrize(
    ("model", "record", "more"),
    [
        (PositionInfo, PositionRecord(ticket=1), {"tag", "command_id"}),
        (OrderInfo, OrderRecord(ticket=1), {"tag", "command_id"}),
        (DealInfo, DealRecord(ticket=1), {"tag", "command_id"}),
        (AccountInfo, AccountRecord(login=1), set()),
        (CheckResult, TradeCheckResult(retcode=0), {"retcode_name"}),
    ],
)
def test_a_model_has_the_fields_of_its_record(model, record, more):
    assert set(asdict(record)) | more == set(model.model_fields)
    assert asdict(record) == model.model_validate(asdict(record)).model_dump(exclude=more)


def test_a_result_has_the_fields_of_the_bus():
    assert RESULT_FIELDS == tuple(OrderResult.model_fields)


@pytest.mark.parametrize("outcome", Outcome)
def test_exactly_one_question_is_answered_with_yes(outcome):
    result = made(outcome=outcome)

    assert [outcome.name.lower()] == [name for name in QUESTIONS if getattr(result, name)]


@pytest.mark.parametrize("outcome", ["", "FILLED_ON_MARS", "done"])
def test_an_outcome_of_a_newer_relay_is_unknown(outcome):
    result = made(outcome=outcome)

    assert ["unknown"] == [name for name in QUESTIONS if getattr(result, name)]


def test_a_newer_relay_may_tell_more():
    result = OrderResult.model_validate({**order_result(outcome="DONE"), "slippage": 3})

    assert 3 == result.slippage


def test_results_cannot_be_changed():
    with pytest.raises(ValidationError):
        made(outcome="UNKNOWN").outcome = "DONE"


@pytest.mark.parametrize("outcome", ["DONE", "PARTIAL", "PLACED"])
def test_what_was_executed_raises_nothing(outcome):
    result = made(outcome=outcome)

    assert result is result.raise_on_reject()


@pytest.mark.parametrize(
    ("known", "kind", "text"),
    [
        (
            {"outcome": "REJECTED", "hop": "trade_server", "retcode": 10019},
            OrderRejected,
            "[trade_server] REJECTED: NO_MONEY",
        ),
        (
            {
                "outcome": "DENIED",
                "hop": "relay",
                "reason": "VOLUME_LIMIT",
                "message": "2 lots are more than 1",
                "field": "volume",
                "hint": "see max_volume",
            },
            OrderDenied,
            "[relay] DENIED: volume: VOLUME_LIMIT: 2 lots are more than 1 (see max_volume)",
        ),
        (
            {"outcome": "UNKNOWN", "hop": "terminal", "message": "the link was lost"},
            OrderUnknown,
            "[terminal] UNKNOWN: the link was lost",
        ),
        ({"outcome": "NEW_WORD"}, OrderUnknown, "[relay] NEW_WORD: no reason was told"),
    ],
)
def test_what_was_not_is_an_error_that_names_the_hop(known, kind, text):
    result = made(command_id="me/7", client_order_id="7", **known)

    with pytest.raises(OrderError) as caught:
        result.raise_on_reject()
    assert kind is type(caught.value)
    assert text == str(caught.value)
    assert ("me", "7", result) == (
        caught.value.client_id,
        caught.value.client_order_id,
        caught.value.result,
    )


@pytest.mark.parametrize(
    ("known", "text"),
    [
        (
            {"outcome": "DONE", "volume": 0.1, "price": 1.08345, "order": 5, "deal": 7},
            "DONE 0.1 lots at 1.08345, order 5, deal 7",
        ),
        ({"outcome": "PLACED", "order": 5, "retcode": 10008}, "PLACED, order 5"),
        (
            {"outcome": "REJECTED", "retcode": 10016, "message": "Invalid stops"},
            "REJECTED: INVALID_STOPS: Invalid stops",
        ),
        ({"outcome": "DENIED", "reason": "HALTED", "hint": "resume"}, "DENIED: HALTED (resume)"),
        ({"outcome": "UNKNOWN"}, "UNKNOWN"),
        ({"outcome": "REJECTED", "retcode": 19999}, "REJECTED"),
    ],
)
def test_a_result_in_one_line(known, text):
    assert text == str(made(**known))


def test_the_representation_has_what_is_known():
    text = repr(made(outcome="DONE", order=5))

    assert "OrderResult(outcome='DONE', final=False, replayed=False, order=5, corrected=False)" == (
        text
    )


def test_a_notebook_shows_a_table_in_which_comments_are_no_markup():
    text = PositionInfo(ticket=7, comment="<b>bold</b>")._repr_html_()

    assert "<th>ticket</th><td>7</td>" in text
    assert "&lt;b&gt;bold" in text


@pytest.mark.parametrize(
    ("record", "names"),
    [
        (PositionInfo(ticket=1, type=1), {"type_name": "SELL"}),
        (PositionInfo(ticket=1, type=9), {"type_name": "9"}),
        (OrderInfo(ticket=1, type=2, state=1), {"type_name": "BUY_LIMIT", "state_name": "PLACED"}),
        (DealInfo(ticket=1, type=0, entry=1), {"type_name": "BUY", "entry_name": "OUT"}),
        (
            AccountInfo(login=1, trade_mode=0, margin_mode=2),
            {"trade_mode_name": "DEMO", "demo": True, "hedging": True},
        ),
        (AccountInfo(login=1, trade_mode=1), {"trade_mode_name": "CONTEST", "demo": False}),
        (AccountInfo(login=1, trade_mode=2, margin_mode=0), {"demo": False, "hedging": False}),
        (AccountInfo(login=1, margin_mode=0), {"margin_mode_name": "RETAIL_NETTING"}),
        (CheckResult(retcode=0), {"passed": True}),
        (CheckResult(retcode=10019), {"passed": False}),
    ],
)
def test_numbers_have_names(record, names):
    assert names == {name: getattr(record, name) for name in names}


def test_an_account_that_does_not_tell_its_kind_is_no_demo():
    """
    What decides whether real money may be spent must not be a default.
    """
    assert not AccountInfo(login=1).demo
