"""
Each rule alone: what it denies, with which words, and what it must let pass.
"""

from __future__ import annotations

import dataclasses

import pytest

from bridge.bus.orders import Reason
from bridge.bus.requests import Hop
from bridge.config import TradingSettings
from bridge.model.enums import TradeRequestActions as Action
from bridge.policy import COMMANDS_WAITING_MAX, RULES, Context, Proposal, Scope, judge
from bridge.wire.spec import DenyReason, Permission, TradingState

ALL = Permission(sum(Permission))
NAN = float("nan")


def context(**changes):
    """
    Return a context in which everything may be traded, but for the changes.

    Names of settings go into the settings.
    """
    settings = {"enabled": True, "max_orders_per_minute": 0}
    settings |= {
        name: changes.pop(name) for name in TradingSettings.model_fields if name in changes
    }
    usual = Context(
        alias="demo",
        settings=TradingSettings(**settings),
        state=TradingState.ACTIVE,
        terminal_connected=True,
        permissions=ALL,
        orders_last_minute=0,
        open_positions=0,
        price_age_ms=0,
        netting=True,
    )
    return dataclasses.replace(usual, **changes)


def proposal(method, action, **fields):
    return Proposal(method=method, action=action, **{"symbol": "EURUSD", **fields})


DEAL = proposal("order_send", Action.DEAL, volume=0.1, type=0)
PENDING = proposal("order_send", Action.PENDING, volume=0.1, type=2)
SLTP = proposal("position_modify", Action.SLTP, position=7)
MODIFY = proposal("order_modify", Action.MODIFY, order=7)
CLOSE = proposal("position_close", Action.DEAL, position=7, reduces=True)
CLOSE_BY = proposal("position_close_by", Action.CLOSE_BY, position=7, reduces=True)
CANCEL = proposal("order_cancel", Action.REMOVE, order=7, reduces=True)

OPENINGS = [DEAL, PENDING]
CHANGES = [SLTP, MODIFY]
REDUCTIONS = [CLOSE, CLOSE_BY, CANCEL]
EVERYTHING = [*OPENINGS, *CHANGES, *REDUCTIONS]


def name_of(value):
    return f"{value.method}-{value.action}" if isinstance(value, Proposal) else None


def reason_of(what, **changes):
    denial = judge(what, context(**changes))
    return None if denial is None else denial.reason


@pytest.mark.parametrize("what", EVERYTHING, ids=name_of)
def test_what_nothing_forbids_may_be_sent(what):
    assert judge(what, context()) is None


# For each rule: what makes it deny, and which proposals it denies then.

DENIED = [
    (Reason.TRADING_DISABLED, {"enabled": False}, EVERYTHING),
    (Reason.HALTED, {"state": TradingState.HALTED}, EVERYTHING),
    (Reason.REDUCING, {"state": TradingState.REDUCING}, OPENINGS),
    (Reason.JOURNAL, {"journal_problem": "no space left on device"}, EVERYTHING),
    (Reason.TERMINAL_AWAY, {"terminal_connected": False}, EVERYTHING),
    (Reason.ROLE, {"terminal_trades": False}, EVERYTHING),
    (
        Reason.NOT_CONNECTED,
        {"permissions": ALL & ~Permission.TERMINAL_CONNECTED},
        EVERYTHING,
    ),
    (
        Reason.NOT_PERMITTED,
        {"permissions": ALL & ~Permission.MQL_TRADE_ALLOWED},
        EVERYTHING,
    ),
    (Reason.UNRESOLVED, {"unresolved": frozenset({"EURUSD"})}, [CLOSE, CLOSE_BY]),
    (
        Reason.TERMINAL_BUSY,
        {"commands_waiting": COMMANDS_WAITING_MAX},
        [*OPENINGS, *CHANGES],
    ),
    (Reason.SYMBOL_NOT_ALLOWED, {"symbols": ["EURUSD.r"]}, [*OPENINGS, *CHANGES]),
    (Reason.VOLUME_LIMIT, {"max_volume": 0.09}, OPENINGS),
    (Reason.POSITION_LIMIT, {"max_open_positions": 2, "open_positions": 2}, OPENINGS),
    (Reason.STALE_PRICE, {"max_price_age_ms": 500, "price_age_ms": 501}, OPENINGS),
    (
        Reason.RATE_LIMIT,
        {"max_orders_per_minute": 60, "orders_last_minute": 60},
        [*OPENINGS, *CHANGES],
    ),
]


@pytest.mark.parametrize(
    ("reason", "changes", "expected"), DENIED, ids=[reason for reason, *_ in DENIED]
)
def test_each_rule_denies_what_it_is_about_and_nothing_else(reason, changes, expected):
    denied = {what: reason_of(what, **changes) for what in EVERYTHING}

    assert denied == {what: reason if what in expected else None for what in EVERYTHING}


def test_the_rules_are_tried_in_the_order_of_the_table():
    """
    All of them would deny the first time; each is put right when it has had its say.
    """
    # Closing and opening at once is not possible; the one rule about closes is tested below.
    faults = {reason: changes for reason, changes, _ in DENIED if reason != Reason.UNRESOLVED}
    # Both are bits of one value.
    missing = ALL & ~Permission.TERMINAL_CONNECTED & ~Permission.MQL_TRADE_ALLOWED
    faults[Reason.NOT_CONNECTED] = {"permissions": missing}
    seen = []
    while faults:
        # A later fault of the same name would hide an earlier one.
        changes = {}
        for fault in faults.values():
            changes = fault | changes
        seen.append(reason_of(DEAL, **changes))
        del faults[seen[-1]]

    assert seen == [rule.reason for rule in RULES if rule.reason != Reason.UNRESOLVED]
    assert reason_of(DEAL) is None


def test_what_is_not_possible_at_all_is_said_before_what_has_to_wait():
    away = {"terminal_connected": False, "unresolved": frozenset({"EURUSD"})}

    assert Reason.TERMINAL_AWAY == reason_of(CLOSE, **away)


# The trading state


@pytest.mark.parametrize("what", EVERYTHING, ids=name_of)
@pytest.mark.parametrize("state", TradingState)
def test_an_administrator_passes_every_state(what, state):
    assert judge(dataclasses.replace(what, admin=True), context(state=state)) is None


@pytest.mark.parametrize(
    ("reason", "changes", "denied"),
    [case for case in DENIED if case[0] not in {Reason.HALTED, Reason.REDUCING}],
    ids=[reason for reason, *_ in DENIED if reason not in {Reason.HALTED, Reason.REDUCING}],
)
def test_an_administrator_passes_nothing_else(reason, changes, denied):
    for what in denied:
        assert reason == reason_of(dataclasses.replace(what, admin=True), **changes)


def test_a_state_that_is_not_known_is_halted():
    assert Reason.HALTED == reason_of(CANCEL, state=3)


def test_the_reason_of_the_state_is_told():
    denial = judge(DEAL, context(state=TradingState.HALTED, state_reason="a deal came late"))

    assert "terminal demo is halted: a deal came late" == denial.message
    assert "bridge resume" in denial.hint


# Permissions: which flag, and where to click


@pytest.mark.parametrize(
    ("flag", "click"),
    [
        (Permission.TERMINAL_CONNECTED, "Rescan Servers"),
        (Permission.TERMINAL_TRADE_ALLOWED, "the button Algo Trading"),
        (Permission.MQL_TRADE_ALLOWED, "Properties, tab Common: tick Allow Algo Trading"),
        (Permission.ACCOUNT_TRADE_ALLOWED, "main password"),
        (Permission.ACCOUNT_TRADE_EXPERT, "ask the broker to allow Expert Advisors"),
    ],
)
def test_a_missing_permission_is_named_with_the_place_to_click(flag, click):
    denial = judge(DEAL, context(permissions=ALL & ~flag))

    assert f"{flag.name} is off: " in denial.message
    assert click in denial.hint
    assert Hop.TERMINAL == denial.hop
    assert [] == [
        other.name for other in Permission if other != flag and other.name in denial.message
    ]


def test_all_missing_permissions_are_told_at_once():
    off = Permission.TERMINAL_TRADE_ALLOWED | Permission.MQL_TRADE_ALLOWED

    denial = judge(DEAL, context(permissions=ALL & ~off))

    assert "TERMINAL_TRADE_ALLOWED is off" in denial.message
    assert "MQL_TRADE_ALLOWED is off" in denial.message
    assert "; then " in denial.hint


def test_without_a_trade_server_the_flags_of_the_account_are_not_blamed():
    denial = judge(DEAL, context(permissions=Permission(0)))

    assert Reason.NOT_CONNECTED == denial.reason
    assert "ACCOUNT" not in denial.message


def test_a_flag_of_a_newer_terminal_does_no_harm():
    assert reason_of(DEAL, permissions=Permission(int(ALL) | 32)) is None


# The journal


@pytest.mark.parametrize("what", EVERYTHING, ids=name_of)
def test_a_full_disk_has_room_for_closes_and_cancels(what):
    full = {"journal_problem": "the disk is full", "journal_writable": True}

    assert (None if what in REDUCTIONS else Reason.JOURNAL) == reason_of(what, **full)


def test_a_journal_that_is_said_to_be_full_tells_why():
    denial = judge(DEAL, context(journal_problem="/d/journal.sqlite: the disk is full"))

    assert "/d/journal.sqlite: the disk is full" in denial.message


# An unresolved order in netting: a second close could open the reverse


def test_with_hedging_a_close_names_its_position_and_cannot_reverse():
    assert reason_of(CLOSE, netting=False, unresolved=frozenset({"EURUSD"})) is None


def test_another_symbol_may_be_closed():
    assert reason_of(CLOSE, unresolved=frozenset({"GBPUSD"})) is None


@pytest.mark.parametrize(
    ("symbol", "unresolved"), [("", {"GBPUSD"}), ("EURUSD", {""}), ("EURUSD", {"", "GBPUSD"})]
)
def test_a_symbol_that_is_not_known_may_be_the_one(symbol, unresolved):
    close = dataclasses.replace(CLOSE, symbol=symbol)

    assert Reason.UNRESOLVED == reason_of(close, unresolved=frozenset(unresolved))


def test_a_close_that_has_to_wait_says_how_to_go_on():
    denial = judge(CLOSE, context(unresolved=frozenset({"EURUSD"})))

    assert "EURUSD" in denial.message
    assert "order_status" in denial.hint
    assert "bridge order resolve" in denial.hint


# Limits


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        (0.3, None),
        (0.1 + 0.2, None),
        (0.30001, Reason.VOLUME_LIMIT),
        (1e9, Reason.VOLUME_LIMIT),
        (float("inf"), Reason.VOLUME_LIMIT),
        (NAN, Reason.VOLUME_LIMIT),
        (None, Reason.VOLUME_LIMIT),
    ],
)
def test_a_volume_is_compared_as_people_write_it(volume, expected):
    assert expected == reason_of(dataclasses.replace(DEAL, volume=volume), max_volume=0.3)


def test_a_close_may_be_larger_than_a_new_order():
    assert reason_of(dataclasses.replace(CLOSE, volume=5.0), max_volume=0.1) is None


def test_symbols_are_compared_exactly():
    assert reason_of(DEAL, symbols=["GBPUSD", "EURUSD"]) is None
    assert Reason.SYMBOL_NOT_ALLOWED == reason_of(
        dataclasses.replace(DEAL, symbol="eurusd"), symbols=["EURUSD"]
    )


def test_a_new_order_without_a_symbol_is_none_of_those_allowed():
    assert Reason.SYMBOL_NOT_ALLOWED == reason_of(
        dataclasses.replace(DEAL, symbol=""), symbols=["EURUSD"]
    )


def test_a_modification_whose_symbol_is_not_known_passes():
    assert reason_of(dataclasses.replace(SLTP, symbol=""), symbols=["GBPUSD"]) is None


def test_positions_that_are_not_counted_yet_are_too_many():
    assert Reason.POSITION_LIMIT == reason_of(DEAL, max_open_positions=5, open_positions=None)


def test_the_last_position_below_the_limit_may_be_opened():
    assert reason_of(DEAL, max_open_positions=3, open_positions=2) is None


def test_in_netting_a_deal_of_an_open_symbol_opens_no_further_position():
    full = {"max_open_positions": 2, "open_positions": 2, "open_symbols": frozenset({"EURUSD"})}

    assert reason_of(DEAL, netting=True, **full) is None
    assert Reason.POSITION_LIMIT == reason_of(DEAL, netting=False, **full)


def test_a_price_that_never_came_is_stale():
    denial = judge(DEAL, context(max_price_age_ms=500, price_age_ms=None))

    assert Reason.STALE_PRICE == denial.reason
    assert "no tick of EURUSD" in denial.message
    assert "tick/demo/EURUSD" in denial.hint


def test_a_price_from_the_future_says_that_a_clock_is_wrong():
    """Else a clock that is an hour slow would let any price pass."""
    denial = judge(DEAL, context(max_price_age_ms=500, price_age_ms=-3_600_000))

    assert Reason.STALE_PRICE == denial.reason
    assert "ahead of this machine's clock" in denial.message
    assert "NTP" in denial.hint


def test_clocks_that_differ_by_little_do_no_harm():
    assert reason_of(DEAL, max_price_age_ms=500, price_age_ms=-5_000) is None


def test_a_price_of_just_that_age_is_fresh():
    assert reason_of(DEAL, max_price_age_ms=500, price_age_ms=500) is None


def test_the_last_order_of_a_minute_passes():
    assert reason_of(DEAL, max_orders_per_minute=60, orders_last_minute=59) is None


def test_zero_is_no_limit():
    most = {"orders_last_minute": 10**6, "open_positions": None, "price_age_ms": None}

    assert judge(dataclasses.replace(DEAL, volume=1e6), context(**most)) is None


# Words


@pytest.mark.parametrize(
    ("reason", "changes", "denied"), DENIED, ids=[reason for reason, *_ in DENIED]
)
def test_each_denial_says_what_is_wrong_and_what_to_do(reason, changes, denied):
    denial = judge(denied[0], context(**changes))

    assert denial.message
    assert denial.hint
    for text in (denial.message, denial.hint):
        assert not text.endswith(".")
        assert len(text) < 500


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.setting], ids=lambda r: r.reason)
def test_a_denial_by_a_setting_names_it_and_its_section(rule):
    changes = next(changes for reason, changes, _ in DENIED if reason == rule.reason)

    denial = judge(DEAL, context(**changes))

    assert rule.setting in TradingSettings.model_fields
    assert rule.setting in denial.hint
    assert "[terminals.demo.trading]" in denial.hint


@pytest.mark.parametrize(
    ("reason", "field"),
    [(Reason.SYMBOL_NOT_ALLOWED, "params.symbol"), (Reason.VOLUME_LIMIT, "params.volume")],
)
def test_the_field_that_is_to_blame_is_named(reason, field):
    changes = next(changes for of, changes, _ in DENIED if of == reason)

    assert field == judge(DEAL, context(**changes)).field


def test_each_reason_has_one_rule():
    reasons = [rule.reason for rule in RULES]

    assert len(reasons) == len(set(reasons))
    assert {reason for reason, *_ in DENIED} == set(reasons)


def test_the_table_says_what_each_rule_looks_at():
    """
    The scope is what the documentation prints: it has to be what is denied.
    """
    expected = {
        Scope.EVERYTHING: EVERYTHING,
        Scope.OPENINGS: OPENINGS,
        Scope.OPENINGS_AND_CHANGES: [*OPENINGS, *CHANGES],
        Scope.CLOSES: [CLOSE, CLOSE_BY],
    }

    for rule in RULES:
        denied = next(denied for reason, _, denied in DENIED if reason == rule.reason)
        assert expected[rule.scope] == denied


def test_the_terminal_knows_the_reasons_that_it_can_find_itself():
    """
    It judges anew with what it sees, and answers with a number of the same name.
    """
    only_here = {
        Reason.TRADING_DISABLED,
        Reason.JOURNAL,
        Reason.TERMINAL_AWAY,
        Reason.TERMINAL_BUSY,
        Reason.UNRESOLVED,
        Reason.STALE_PRICE,
    }

    names = {rule.reason.name for rule in RULES if rule.reason not in only_here}
    assert names <= {reason.name for reason in DenyReason}
