"""The journal's core against a store in memory that commits, fails and crashes when told."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import pytest

import bridge.journal
from bridge.exceptions import JournalError
from bridge.journal import Change, Diverged, Journal, Known, MemoryStore, Reserved, Verdict
from bridge.journal import core as core_module
from bridge.model.enums import TradeRequestActions
from bridge.wire.spec import Evidence, OrderOutcome
from tests.support.journal import ALIAS, DAY, NOW, done_verdict, make_entry
from tests.support.journal_core import FULL, body, note, reserve, start

Is = OrderOutcome


# Reserving


def test_nothing_is_said_before_the_reservation_is_on_disk(journal, store, told):
    answer = journal.reserve([make_entry()], told.done("reserve"))

    assert (Reserved((make_entry(),)), []) == (answer, told)
    assert not journal.is_durable("strategy/1")

    store.flush()

    assert [("reserve", None)] == told
    assert journal.is_durable("strategy/1")


def test_a_command_that_is_not_on_disk_is_not_among_those_that_may_have_been_sent(journal, store):
    journal.reserve([make_entry()], lambda error: None)

    assert [] == journal.open_entries()

    store.flush()

    assert [make_entry()] == journal.open_entries()
    assert [make_entry()] == journal.open_entries(ALIAS)
    assert [] == journal.open_entries("other")


def test_the_same_id_and_content_is_answered_with_what_is_known(journal, store, told):
    reserve(journal, store, told, make_entry())
    journal.record("strategy/1", done_verdict(), NOW, told.done("record"))
    store.flush()
    answer = journal.reserve([make_entry(reserved=NOW + 9)], told.done("again"))
    store.flush()

    assert isinstance(answer, Known)
    assert Is.DONE == answer.entry.verdict.outcome
    assert ["record", "again"] == told.names


def test_the_same_id_with_other_content_is_refused_and_changes_nothing(journal, store, told):
    reserve(journal, store, told, make_entry())
    answer = journal.reserve([make_entry(content="other")], told.done("again"))
    store.flush()

    assert Diverged(make_entry()) == answer
    assert [] == told
    assert make_entry() == store.find("strategy/1")


def test_who_asks_while_the_first_is_on_its_way_waits_for_the_disk_too(journal, store, told):
    journal.reserve([make_entry()], told.done("first"))
    answer = journal.reserve([make_entry()], told.done("second"))
    third = journal.known("strategy/1", make_entry().content_hash, told.done("third"))

    assert [Known(make_entry()), Known(make_entry())] == [answer, third]
    assert [] == told

    store.flush()

    assert ["first", "second", "third"] == told.names


def test_when_the_first_is_lost_who_waited_hears_it_and_the_id_is_free(journal, store, told):
    journal.reserve([make_entry()], told.done("first"))
    journal.reserve([make_entry()], told.done("second"))
    store.fail = FULL
    store.flush()

    assert [("first", FULL), ("second", FULL)] == told
    assert journal.find("strategy/1") is None
    assert 0 == journal.sent_since(ALIAS, 0)
    assert journal.find_by_tag("zb1:strategy/1") is None

    store.fail = None
    reserve(journal, store, told, make_entry(content="other"))

    assert make_entry(content="other") == journal.find("strategy/1")


def test_a_commit_that_fails_is_seen_in_healthy(journal, store, told):
    assert journal.healthy is None

    store.fail = FULL

    assert FULL is journal.healthy


def test_while_the_journal_cannot_write_nothing_is_reserved(journal, store, told):
    store.fail = FULL
    journal.reserve([make_entry()], told.done("first"))
    store.run_deliveries()

    assert [("first", FULL)] == told
    assert journal.find("strategy/1") is None
    assert 0 == journal.pending


def test_while_room_is_kept_only_what_reduces_is_reserved(journal, store, told):
    low = JournalError("the disk is full", writable=True)
    store.fail = low
    journal.reserve([make_entry("a/1")], told.done("open"))
    journal.reserve([make_entry("a/2")], told.done("close"), reducing=True)
    store.fail = None
    store.flush()

    assert [("open", low), ("close", None)] == told
    assert make_entry("a/2") == store.find("a/2")


def test_what_is_known_is_answered_although_the_journal_cannot_write(journal, store, told):
    reserve(journal, store, told, make_entry())
    store.fail = FULL
    answer = journal.reserve([make_entry()], told.done("again"))
    store.run_deliveries()

    assert (Known(make_entry()), ["again"]) == (answer, told.names)


def test_a_close_all_and_its_parts_are_reserved_together_or_not_at_all(journal, store, told):
    parent = make_entry("a/9", request=None, tag="")
    parts = [make_entry(f"a/9/{ticket}", parent="a/9") for ticket in (3, 1, 2)]
    journal.reserve([parent, *parts], told.done("all"))
    store.crash()

    assert [] == start(store).open_entries()

    journal = start(store)
    reserve(journal, store, told, parent, *parts)

    assert 1 == store.commits
    assert ["a/9/1", "a/9/2", "a/9/3"] == [entry.command_id for entry in journal.children("a/9")]
    assert journal.children("a/9") == start(store).children("a/9")


def test_the_first_id_that_is_known_decides_and_none_is_written(journal, store, told):
    reserve(journal, store, told, make_entry("a/2"))

    assert Known(make_entry("a/2")) == journal.reserve(
        [make_entry("a/1"), make_entry("a/2")], told.done("x")
    )
    assert journal.find("a/1") is None
    assert Diverged(make_entry("a/2")) == journal.reserve(
        [make_entry("a/1"), make_entry("a/2", content="other")], told.done("x")
    )
    assert journal.find("a/1") is None


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [make_entry(), make_entry()],
        [dataclasses.replace(make_entry(), verdict=done_verdict())],
    ],
)
def test_what_cannot_be_meant_is_a_defect(journal, entries):
    with pytest.raises(ValueError):
        journal.reserve(entries, lambda error: None)


def test_after_a_kill_what_was_reserved_is_open_and_what_was_not_is_unknown(journal, store, told):
    reserve(journal, store, told, make_entry("a/1"))
    journal.reserve([make_entry("a/2")], told.done("lost"))
    store.crash()
    again = start(store)

    assert [make_entry("a/1")] == again.open_entries()
    assert again.find("a/2") is None
    assert [] == told


def test_a_kill_between_commit_and_completion_leaves_a_command_that_may_have_been_sent(
    journal, store, told
):
    journal.reserve([make_entry()], told.done("first"))
    store.commit()
    store.crash()

    assert [] == told
    assert [make_entry()] == start(store).open_entries()


def test_open_commands_come_oldest_first(journal, store, told):
    entries = [make_entry(f"a/{age}", reserved=NOW + age) for age in (5, 1, 3)]
    reserve(journal, store, told, *entries)

    for found in (journal, start(store)):
        assert ["a/1", "a/3", "a/5"] == [entry.command_id for entry in found.open_entries()]


# Verdicts


def test_a_verdict_is_final_in_memory_at_once_and_told_when_on_disk(journal, store, told):
    reserve(journal, store, told, make_entry())
    change = journal.record("strategy/1", done_verdict(utc_msc=0), NOW + 1, told.done("record"))

    assert (True, False, NOW + 1) == (
        change.changed,
        change.corrected,
        change.entry.verdict.utc_msc,
    )
    assert change.entry == journal.find("strategy/1")
    assert [] == told

    store.flush()

    assert ["record"] == told.names
    assert [] == journal.open_entries()
    assert change.entry == start(store).find("strategy/1")
    assert [] == start(store).open_entries()


def test_a_verdict_that_changes_nothing_waits_for_the_one_that_did(journal, store, told):
    reserve(journal, store, told, make_entry())
    journal.record("strategy/1", done_verdict(), NOW, told.done("first"))
    change = journal.record(
        "strategy/1", done_verdict(evidence=Evidence.LEDGER), NOW, told.done("replay")
    )

    assert (False, []) == (change.changed, told)

    store.flush()

    assert ["first", "replay"] == told.names
    assert 2 == store.commits - 1


@pytest.mark.parametrize("ending", [Is.REJECTED, Is.NOT_FOUND, Is.DENIED, Is.EXPIRED_NOT_SENT])
def test_a_deal_that_turns_up_later_corrects_the_verdict_once(journal, store, told, ending):
    reserve(journal, store, told, make_entry())
    journal.record("strategy/1", Verdict(outcome=ending), NOW, told.done("no"))
    store.flush()
    journal = start(store)
    first = journal.record("strategy/1", done_verdict(), NOW + 1, told.done("yes"))
    second = journal.record("strategy/1", done_verdict(deals=(5, 6)), NOW + 2, told.done("more"))
    store.flush()

    assert [(True, True), (True, False)] == [
        (change.changed, change.corrected) for change in (first, second)
    ]
    assert start(store).find("strategy/1").verdict.corrected


def test_a_verdict_for_what_is_not_on_disk_is_for_nobody(journal, store, told):
    journal.reserve([make_entry("a/1")], told.done("reserve"))
    nothing = Change(None, changed=False, corrected=False)

    assert nothing == journal.record("a/1", done_verdict(), NOW, told.done("early"))
    assert nothing == journal.record("a/2", done_verdict(), NOW, told.done("never heard of"))

    store.flush()

    assert ["reserve", "early", "never heard of"] == told.names
    assert [make_entry("a/1")] == journal.open_entries()


def test_a_lost_verdict_leaves_the_command_open(journal, store, told):
    reserve(journal, store, told, make_entry())
    journal.record("strategy/1", Verdict(outcome=Is.PLACED, order=3), NOW, told.done("placed"))
    journal.record("strategy/1", done_verdict(), NOW, told.done("done"))
    store.fail = FULL
    store.flush()

    assert ["placed", "done"] == told.failed
    assert [make_entry()] == journal.open_entries()

    store.fail = None
    journal.record("strategy/1", done_verdict(), NOW, told.done("again"))
    store.flush()

    assert ["again"] == told.names
    assert [] == start(store).open_entries()


def test_of_two_verdicts_on_their_way_the_first_stays_when_the_second_is_lost(journal, store, told):
    reserve(journal, store, told, make_entry())
    journal.record("strategy/1", Verdict(outcome=Is.PLACED, order=3), NOW, told.done("placed"))
    journal.record("strategy/1", done_verdict(), NOW, told.done("done"))
    store.flush(1)
    store.fail = FULL
    store.flush()

    assert (["placed"], ["done"]) == (told.names, told.failed)
    assert [Is.PLACED] == [entry.verdict.outcome for entry in journal.open_entries()]


def test_a_lost_correction_leaves_the_final_verdict(journal, store, told):
    reserve(journal, store, told, make_entry())
    journal.record("strategy/1", Verdict(outcome=Is.NOT_FOUND), NOW, told.done("no"))
    store.flush()
    journal.record("strategy/1", done_verdict(), NOW, told.done("yes"))
    store.fail = FULL
    store.flush()

    assert ["yes"] == told.failed
    assert Is.NOT_FOUND == journal.find("strategy/1").verdict.outcome
    assert [] == journal.open_entries()


# A person's word


@pytest.mark.parametrize(
    ("executed", "action", "outcome"),
    [
        (True, TradeRequestActions.DEAL, Is.DONE),
        (True, TradeRequestActions.PENDING, Is.PLACED),
        (False, TradeRequestActions.DEAL, Is.NOT_FOUND),
    ],
)
def test_a_person_can_end_what_nobody_finds_out(journal, store, told, executed, action, outcome):
    reserve(journal, store, told, make_entry(action=action))
    journal.record("strategy/1", Verdict(outcome=Is.UNKNOWN, retcode=10012), NOW, told.done("?"))
    deal = 8 if executed else 0
    change = journal.resolve(
        "strategy/1", executed, "statement of the broker", "ann", 7, deal, NOW + 5, told.done("end")
    )
    store.flush()
    verdict = start(store).find("strategy/1").verdict

    assert change.changed
    assert (outcome, 10012, "ann", "statement of the broker", deal, NOW + 5) == (
        verdict.outcome,
        verdict.retcode,
        verdict.resolved_by,
        verdict.evidence_text,
        verdict.deal,
        verdict.utc_msc,
    )
    assert [] == start(store).open_entries()
    [line] = start(store).audit()
    assert ("ann", "strategy/1", "statement of the broker") == (line.who, line.subject, line.text)


def test_a_person_cannot_change_a_final_verdict(journal, store, told):
    reserve(journal, store, told, make_entry())
    journal.record("strategy/1", Verdict(outcome=Is.REJECTED), NOW, told.done("no"))
    change = journal.resolve("strategy/1", True, "I think", "bob", 0, 0, NOW, told.done("end"))
    store.flush()

    assert (False, Is.REJECTED) == (change.changed, change.entry.verdict.outcome)
    assert [] == journal.audit()


def test_a_person_who_was_wrong_is_corrected_by_the_broker(journal, store, told):
    reserve(journal, store, told, make_entry())
    journal.resolve("strategy/1", False, "no such deal", "bob", 0, 0, NOW, told.done("end"))
    store.flush()
    change = journal.record("strategy/1", done_verdict(), NOW, told.done("found"))

    assert (True, "bob") == (change.corrected, change.entry.verdict.resolved_by)


def test_what_was_never_heard_of_cannot_be_resolved(journal, store, told):
    change = journal.resolve("a/1", True, "", "bob", 0, 0, NOW, told.done("end"))

    assert Change(None, changed=False, corrected=False) == change


# Orders per minute


def test_reservations_are_counted_over_restarts(journal, store, told):
    for age in (61_000, 60_000, 59_999, 0):
        reserve(journal, store, told, make_entry(f"a/{age}", reserved=NOW - age))
    parent = make_entry("a/all", request=None, tag="")
    reserve(journal, store, told, parent, make_entry("a/all/1", parent="a/all"))
    reserve(journal, store, told, make_entry("b/1", alias="other"))

    for found in (journal, start(store)):
        assert 4 == found.sent_since(ALIAS, NOW - 60_000)
        assert 1 == found.sent_since("other", NOW - 60_000)
        assert 0 == found.sent_since("third", 0)


def test_times_of_old_reservations_leave_the_memory(journal, store, told):
    for hour in range(10):
        reserve(journal, store, told, make_entry(f"a/{hour}", reserved=NOW + hour * 3_600_001))

    assert 1 == journal.sent_since(ALIAS, 0)


# Tags, retention, memory


def test_a_command_is_found_by_its_tag(journal, store, told):
    journal.reserve([make_entry("a/1")], told.done("reserve"))

    assert make_entry("a/1") == journal.find_by_tag("zb1:a/1")

    store.flush()
    journal.record("a/1", done_verdict(), NOW, told.done("record"))
    store.flush()

    for found in (journal, start(store)):
        assert "a/1" == found.find_by_tag("zb1:a/1").command_id
        assert found.find_by_tag("zb1:other") is None


def test_final_commands_are_remembered_for_the_retention_and_open_ones_for_ever(
    journal, store, told
):
    reserve(journal, store, told, make_entry("a/open"), make_entry("a/final"), make_entry("a/late"))
    journal.record("a/final", done_verdict(), NOW, told.done("x"))
    journal.record("a/late", done_verdict(), NOW + 9 * DAY, told.done("x"))
    store.flush()
    journal.expire(NOW + 30 * DAY)
    store.flush()

    assert journal.find("a/final") is not None

    journal.expire(NOW + 30 * DAY + 1)
    store.flush()

    for found in (journal, start(store)):
        assert found.find("a/final") is None
        assert found.find("a/late") is not None

    journal.expire(NOW + 1000 * DAY)
    store.flush()

    assert ["a/open"] == [entry.command_id for entry in start(store).open_entries()]


def test_numbers_go_on_when_all_events_are_expired(journal, store, told):
    note(journal, told, "a", 5, 100)
    store.flush()
    journal.expire(NOW + 1000 * DAY)
    store.flush()
    again = start(store)

    assert (41, 1) == again.newest(ALIAS)
    assert 2 == note(again, told, "b", 6, 101)


def test_retention_is_at_least_thirty_days(store):
    with pytest.raises(ValueError):
        Journal(store, 29)


def test_a_verdict_on_its_way_survives_the_removal_of_its_old_command(journal, store, told):
    reserve(journal, store, told, make_entry())
    journal.record("strategy/1", Verdict(outcome=Is.NOT_FOUND), NOW, told.done("no"))
    store.flush()
    journal.expire(NOW + 31 * DAY)
    journal.record("strategy/1", done_verdict(), NOW + 31 * DAY, told.done("yes"))
    store.flush()

    assert ["no", "yes"] == told.names
    assert start(store).find("strategy/1").verdict.corrected


def test_memory_holds_what_is_open_and_a_bounded_rest(journal, store, told, monkeypatch):
    monkeypatch.setattr(core_module, "_RECENT_MAX", 10)
    monkeypatch.setattr(core_module, "_EVENTS_MAX", 10)
    for number in range(200):
        name = f"a/{number}"
        reserve(journal, store, told, make_entry(name))
        note(journal, told, "deal", number, number)
        if number % 10:
            journal.record(name, done_verdict(), NOW, told.done("x"))
    store.flush()
    sizes = {name: len(getattr(journal, name)) for name in ("_live", "_tags", "_recent", "_events")}

    assert {"_live": 20, "_tags": 20, "_recent": 10, "_events": 10} == sizes
    assert not journal._new_events
    assert Is.DONE == journal.find("a/11").verdict.outcome


def test_what_is_asked_for_after_a_loss_is_not_lost_with_it(journal, store, told):
    def again(error):
        journal.reserve([make_entry("a/new")], told.done("new"))

    journal.reserve([make_entry("a/1")], again)
    journal.reserve([make_entry("a/2")], told.done("second"))
    store.fail = FULL
    store.commit(1)
    store.fail = None
    store.run_deliveries()

    assert ["second"] == told.failed

    store.flush()

    assert (["new"], None) == (told.names, store.find("a/2"))
    assert ["a/new"] == [entry.command_id for entry in journal.open_entries()]


def test_every_completion_comes_once_and_in_order(journal, store, told):
    expected = []
    for number in range(50):
        journal.reserve([make_entry(f"a/{number}")], told.done(number))
        journal.append_life(ALIAS, body("x"), told.done(-number), now_utc_msc=NOW)
        expected += [number, -number]
        if number % 7 == 0:
            store.flush(3)
    store.flush()

    assert expected == told.names


def test_with_a_loop_completions_come_after_the_call(told):
    calls = []
    journal = start(MemoryStore(deliver=calls.append))
    answer = journal.reserve([make_entry()], told.done("reserve"))

    assert (Reserved((make_entry(),)), []) == (answer, told)

    while calls:
        calls.pop(0)()

    assert ["reserve"] == told.names


@pytest.mark.parametrize("name", ["core", "entry", "pipeline", "store", "memory", "schema"])
def test_the_core_is_pure(name):
    path = Path(bridge.journal.__file__).with_name(f"{name}.py")
    imported = {
        node.module.split(".")[0] if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    impure = {"asyncio", "os", "random", "secrets", "socket", "sqlite3", "threading", "time"}

    assert set() == imported & impure
