"""
Whatever is proposed and whatever is known: what must hold for every answer.
"""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from bridge.bus.orders import Reason
from bridge.config import TradingSettings
from bridge.policy import RULES, Context, Proposal, judge
from bridge.policy import engine as engine_module
from bridge.wire.spec import Permission, TradingState

ALL = Permission(sum(Permission))
SYMBOLS = st.sampled_from(["", "EURUSD", "GBPUSD"])
#: What keeps anything from being sent; a limit is none of these.
OBSTACLES = {
    Reason.TRADING_DISABLED,
    Reason.HALTED,
    Reason.JOURNAL,
    Reason.TERMINAL_AWAY,
    Reason.ROLE,
    Reason.NOT_CONNECTED,
    Reason.NOT_PERMITTED,
    Reason.UNRESOLVED,
}

settings = st.builds(
    TradingSettings,
    enabled=st.booleans(),
    symbols=st.lists(st.sampled_from(["EURUSD", "GBPUSD"])),
    max_volume=st.floats(0, 10),
    max_open_positions=st.integers(0, 3),
    max_orders_per_minute=st.integers(0, 3),
    max_price_age_ms=st.integers(0, 3),
)
contexts = st.builds(
    Context,
    settings=settings,
    state=st.sampled_from(TradingState),
    state_reason=st.sampled_from(["", "why"]),
    journal_problem=st.sampled_from(["", "full"]),
    journal_writable=st.booleans(),
    terminal_connected=st.booleans(),
    terminal_trades=st.booleans(),
    permissions=st.integers(0, int(ALL)).map(Permission),
    commands_waiting=st.integers(0, 100),
    orders_last_minute=st.integers(0, 4),
    open_positions=st.none() | st.integers(0, 4),
    open_symbols=st.frozensets(SYMBOLS),
    price_age_ms=st.none() | st.integers(0, 4),
    unresolved=st.frozensets(SYMBOLS),
    netting=st.booleans(),
)
proposals = st.builds(
    Proposal,
    method=st.just("order_send"),
    action=st.sampled_from([1, 5, 6, 7, 8, 10, 99]),
    symbol=SYMBOLS,
    volume=st.none() | st.floats(),
    reduces=st.booleans(),
    admin=st.booleans(),
)


@given(proposals, contexts)
def test_an_answer_is_none_or_explains_itself(proposal, context):
    denial = judge(proposal, context)

    if denial is not None:
        assert denial.reason in {rule.reason for rule in RULES}
        assert denial.message
        assert denial.hint


@given(proposals, contexts)
def test_the_same_question_has_the_same_answer(proposal, context):
    assert judge(proposal, context) == judge(proposal, context)


@given(proposals, contexts)
def test_no_limit_holds_back_a_close_or_a_cancel(proposal, context):
    denial = judge(dataclasses.replace(proposal, reduces=True), context)

    assert denial is None or denial.reason in OBSTACLES


@given(proposals, contexts)
def test_nothing_passes_that_was_not_enabled_or_is_halted(proposal, context):
    if judge(proposal, context) is None:
        assert context.settings.enabled
        assert proposal.admin or context.state != TradingState.HALTED
        assert context.permissions == ALL
        assert context.terminal_connected


@given(proposals, contexts)
def test_what_a_reducing_terminal_lets_through_opens_nothing(proposal, context):
    reducing = dataclasses.replace(context, state=TradingState.REDUCING)

    if judge(proposal, reducing) is None:
        assert proposal.admin or not proposal.opens


@given(proposals, contexts, st.sampled_from(TradingState))
def test_a_stricter_state_never_lets_more_through(proposal, context, state):
    stricter = dataclasses.replace(context, state=max(state, context.state))

    if judge(proposal, context) is not None:
        assert judge(proposal, stricter) is not None


def test_without_its_rules_the_engine_lets_everything_through(monkeypatch):
    """
    The rules are what denies: the engine adds none of its own.
    """
    monkeypatch.setattr(engine_module, "RULES", ())
    context = Context(
        settings=TradingSettings(),
        state=TradingState.HALTED,
        terminal_connected=False,
        permissions=Permission(0),
        orders_last_minute=0,
        netting=True,
    )

    assert judge(Proposal(method="order_send", action=1), context) is None
