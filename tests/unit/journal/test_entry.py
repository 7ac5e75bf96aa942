"""Content hashes, the precedence of verdicts, and entries as they are kept."""

from __future__ import annotations

import dataclasses
import enum
import math

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.journal.entry import (
    EXECUTED,
    NOT_EXECUTED,
    Verdict,
    content_hash,
    is_final,
    pack_entry,
    pack_verdict,
    successor,
    unpack_entry,
    unpack_verdict,
)
from bridge.model.enums import TradeRequestActions
from bridge.wire.messages import Result
from bridge.wire.spec import DenyReason, Evidence, OrderOutcome
from tests.support.journal import make_entry

Is = OrderOutcome


class Colour(enum.StrEnum):
    RED = "red"


class Number(enum.IntEnum):
    TWO = 2


# Content


def digest(params):
    return content_hash("order_send", "demo", params)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"volume": 1}, {"volume": 1.0}),
        ({"volume": -0.0}, {"volume": 0}),
        ({"sl": None}, {}),
        ({"a": {"x": None, "y": 1}}, {"a": {"y": 1.0}}),
        ({"a": (1, 2)}, {"a": [1, 2]}),
        ({"a": Colour.RED}, {"a": "red"}),
        ({"a": Number.TWO}, {"a": 2}),
        ({"order": 2**63}, {"order": float(2**63)}),
    ],
)
def test_the_same_content_has_the_same_hash(one, other):
    assert digest(one) == digest(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"volume": 0.1}, {"volume": math.nextafter(0.1, 1)}),
        ({"sl": 0}, {"sl": None}),
        ({"a": True}, {"a": 1}),
        ({"a": "1"}, {"a": 1}),
        ({"a": "1"}, {"a": b"1"}),
        ({"a": "\u00e9"}, {"a": "e\u0301"}),
        ({"a": 1}, {"b": 1}),
        ({"a": [1, [2]]}, {"a": [1, 2]}),
        ({"a": {"b": 1}}, {"a": [["b", 1]]}),
        ({"order": 2**53}, {"order": 2**53 + 1}),
    ],
)
def test_other_content_has_another_hash(one, other):
    assert digest(one) != digest(other)


def test_method_and_terminal_are_content():
    hashes = {
        content_hash("order_send", "demo", {}),
        content_hash("close_all", "demo", {}),
        content_hash("order_send", "live", {}),
    }

    assert 3 == len(hashes)


def test_the_hash_is_the_same_in_every_version_and_process():
    """A journal keeps hashes for months: a changed canonical form would make retries diverge."""
    assert (
        "3c5df99f5f9b58ff6fda3cd3c021b0d6"
        == content_hash(
            "order_send",
            "demo",
            {
                "action": 1,
                "symbol": "EURUSD",
                "volume": 0.1,
                "sl": 1.0,
                "tp": None,
                "x": [True, b"a"],
            },
        ).hex()[:32]
    )


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, object(), {1, 2}, 2**64, -(2**63) - 1, "\ud800"]
)
def test_what_is_no_request_has_no_hash(value):
    with pytest.raises(ValueError):
        digest({"a": value})


def test_a_request_without_an_end_has_no_hash():
    deep = []
    for _ in range(50):
        deep = [deep]

    with pytest.raises(ValueError):
        digest({"a": deep})


SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=8)
PARAMS = st.dictionaries(
    st.text(min_size=1, max_size=8),
    st.recursive(
        SCALARS | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=6,
    ),
    max_size=5,
)


@given(PARAMS, st.randoms(use_true_random=False))
def test_the_order_of_keys_never_counts(params, rng):
    keys = list(params)
    rng.shuffle(keys)

    assert digest(params) == digest({key: params[key] for key in keys})


# Which verdict wins


ENDINGS = sorted(NOT_EXECUTED)
EXECUTIONS = sorted(EXECUTED)
OPEN = [Is.INTENT, Is.UNKNOWN]


def verdict(outcome, **fields):
    return Verdict(outcome=outcome, **fields)


@pytest.mark.parametrize("old", ENDINGS)
@pytest.mark.parametrize("new", ENDINGS + OPEN)
def test_an_end_without_a_trade_stands_against_everything_but_an_execution(old, new):
    assert successor(verdict(old), verdict(new, text="later")) is None


@pytest.mark.parametrize("old", ENDINGS)
@pytest.mark.parametrize("new", EXECUTIONS)
def test_an_execution_behind_an_end_without_a_trade_is_a_correction(old, new):
    after = successor(verdict(old), verdict(new, deals=(9,)))

    assert (new, True, (9,)) == (after.outcome, after.corrected, after.deals)


@pytest.mark.parametrize("old", [None, *OPEN])
@pytest.mark.parametrize("new", ENDINGS + EXECUTIONS + OPEN)
def test_what_is_open_takes_what_comes(old, new):
    before = None if old is None else verdict(old)
    after = successor(before, verdict(new, price=1.5))

    assert (new, False) == (after.outcome, after.corrected)


@pytest.mark.parametrize("old", EXECUTIONS)
@pytest.mark.parametrize(
    "new", [Is.INTENT, Is.UNKNOWN, Is.NOT_FOUND, Is.DENIED, Is.EXPIRED_NOT_SENT]
)
def test_an_execution_is_not_forgotten(old, new):
    assert successor(verdict(old, deals=(1,)), verdict(new)) is None


def test_an_order_that_was_taken_back_without_a_deal_is_rejected():
    assert Is.REJECTED == successor(verdict(Is.PLACED, order=4), verdict(Is.REJECTED)).outcome


@pytest.mark.parametrize(
    "old", [verdict(Is.PLACED, deals=(1,)), verdict(Is.PARTIAL), verdict(Is.DONE)]
)
def test_what_traded_is_not_rejected_any_more(old):
    assert successor(old, verdict(Is.REJECTED)) is None


@pytest.mark.parametrize(
    ("old", "new"), [(Is.PLACED, Is.PARTIAL), (Is.PLACED, Is.DONE), (Is.PARTIAL, Is.DONE)]
)
def test_an_execution_goes_forward_and_keeps_its_tickets(old, new):
    before = verdict(old, order=4, position=6, deals=(1,), deal=1)
    after = successor(before, verdict(new, deals=(2,), deal=2))

    assert (new, 4, 6, (1, 2), 2) == (
        after.outcome,
        after.order,
        after.position,
        after.deals,
        after.deal,
    )


@pytest.mark.parametrize(
    ("old", "new"), [(Is.DONE, Is.PARTIAL), (Is.DONE, Is.PLACED), (Is.PARTIAL, Is.PLACED)]
)
def test_of_a_replay_of_less_only_new_deals_count(old, new):
    before = verdict(old, volume=1.0, deals=(1,), utc_msc=5)

    assert successor(before, verdict(new, volume=0.5, utc_msc=9)) is None
    # It is kept for as long as any other verdict of that time.
    assert dataclasses.replace(before, deals=(1, 2), utc_msc=9) == successor(
        before, verdict(new, volume=0.5, deals=(1, 2), utc_msc=9)
    )


@pytest.mark.parametrize("outcome", EXECUTIONS + OPEN)
def test_the_same_again_changes_nothing(outcome):
    first = verdict(outcome, deals=(3,), evidence=Evidence.TRADE_SERVER, utc_msc=5, bid=1.0)
    replay = dataclasses.replace(first, evidence=Evidence.LEDGER, utc_msc=9, bid=2.0, text="again")

    assert successor(first, replay) is None


@pytest.mark.parametrize("old", [None, *(verdict(outcome) for outcome in Is if outcome)])
def test_never_seen_is_no_verdict(old):
    assert successor(old, verdict(Is.NEVER_SEEN)) is None


def test_an_outcome_that_is_not_known_is_unknown():
    assert Is.UNKNOWN == successor(None, verdict(77)).outcome
    assert successor(verdict(Is.REJECTED), verdict(77)) is None


def test_who_resolved_a_command_stays_known_when_it_is_corrected():
    before = verdict(Is.NOT_FOUND, resolved_by="ann", evidence_text="looked at the history")
    after = successor(before, verdict(Is.DONE, deals=(8,)))

    assert ("ann", True) == (after.resolved_by, after.corrected)


VERDICTS = st.builds(
    Verdict,
    outcome=st.sampled_from([int(outcome) for outcome in Is] + [200]),
    deals=st.lists(st.integers(1, 6), max_size=3, unique=True).map(tuple),
    order=st.sampled_from([0, 4]),
)


@given(st.lists(VERDICTS, max_size=12))
def test_whatever_comes_an_execution_is_never_forgotten_and_a_correction_stays_one(history):
    now = None
    deals = set()
    executed = False
    corrected = False
    for new in history:
        after = successor(now, new)
        taken = after if after is not None else now
        if new.outcome in EXECUTED:
            executed = True
            deals |= set(new.deals)
            corrected |= now is not None and now.outcome in NOT_EXECUTED
        now = taken
        if now is None:
            continue
        if executed and now.outcome == Is.REJECTED:
            # Taken back: no deal was ever known.
            executed = bool(deals)
        assert not executed or (now.outcome in EXECUTED and deals <= set(now.deals))
        assert corrected == now.corrected
        # Once more the same: nothing to write.
        assert successor(now, now) is None


# Final, and kept


@pytest.mark.parametrize("outcome", [*ENDINGS, Is.PARTIAL, Is.DONE])
def test_an_end_is_final(outcome):
    assert is_final(outcome, TradeRequestActions.DEAL)


@pytest.mark.parametrize("outcome", [Is.NEVER_SEEN, Is.INTENT, Is.UNKNOWN, 200])
def test_what_may_have_been_executed_is_not_final(outcome):
    assert not is_final(outcome, TradeRequestActions.PENDING)


@pytest.mark.parametrize(
    ("action", "final"),
    [
        (TradeRequestActions.DEAL, False),
        (TradeRequestActions.PENDING, True),
        (TradeRequestActions.REMOVE, True),
        (None, True),
    ],
)
def test_placed_is_the_end_of_all_but_a_deal(action, final):
    assert final == is_final(Is.PLACED, action)


def test_an_entry_comes_back_as_it_was_kept():
    found = make_entry()
    full = Verdict(
        outcome=Is.DONE,
        retcode=10009,
        deal=2**64 - 1,
        price=1.1,
        comment="zb1:X",
        deals=(1, 2),
        reason="OTHER",
        incarnation=b"x" * 16,
        corrected=True,
    )
    found = dataclasses.replace(found, verdict=full)

    assert found == unpack_entry(pack_entry(found), unpack_verdict(pack_verdict(full)))


def test_a_command_that_is_not_sent_itself_comes_back():
    found = make_entry(request=None)

    assert found == unpack_entry(pack_entry(found), None)


def test_what_an_older_version_kept_is_read_with_defaults():
    fields = msgpack.unpackb(pack_verdict(Verdict(outcome=6, retcode=10009)))

    assert Verdict(outcome=6, retcode=10009) == unpack_verdict(msgpack.packb(fields[:2]))


@pytest.mark.parametrize("data", [msgpack.packb(1), msgpack.packb([]), b"\xc1"])
def test_what_was_never_packed_is_not_read(data):
    with pytest.raises(ValueError):
        unpack_entry(data, None)
    with pytest.raises(ValueError):
        unpack_verdict(data)


def make_result(**fields):
    values = {
        "command_id": "a/b",
        "outcome": Is.DENIED,
        "incarnation": b"i" * 16,
        "replayed": False,
        "evidence": Evidence.LEDGER,
        "retcode": 0,
        "retcode_external": -3,
        "deal": 0,
        "order": 0,
        "position": 0,
        "volume": 0.0,
        "price": 0.0,
        "bid": 0.0,
        "ask": 0.0,
        "comment": "",
        "request_id": 0,
        "time_msc": 5,
        "utc_offset_min": 120,
        "error": 4756,
        "text": "no",
        "deals": (1,),
        "reason": DenyReason.HALTED,
    }
    return Result(**{**values, **fields})


def test_a_result_becomes_a_verdict():
    expected = Verdict(
        outcome=Is.DENIED,
        retcode_external=-3,
        time_msc=5,
        utc_offset_min=120,
        error=4756,
        text="no",
        deals=(1,),
        reason="HALTED",
        hop="terminal",
        evidence=Evidence.LEDGER,
        incarnation=b"i" * 16,
        utc_msc=9,
    )

    assert expected == Verdict.from_result(make_result(), 9, hop="terminal")


@pytest.mark.parametrize(
    ("fields", "outcome", "reason"),
    [
        ({"outcome": 99}, Is.UNKNOWN, "HALTED"),
        ({"reason": 0}, Is.DENIED, ""),
        ({"reason": 99}, Is.DENIED, "OTHER"),
    ],
)
def test_what_a_newer_terminal_says_is_taken_with_care(fields, outcome, reason):
    found = Verdict.from_result(make_result(**fields), 9)

    assert (outcome, reason) == (found.outcome, found.reason)
