"""``bridge.journal.core``: events without holes, what belongs together, and trading states."""

from __future__ import annotations

import pytest

from bridge.journal import Account, AliasState
from bridge.wire.spec import EventKind, TradingState
from bridge.wire.structures import EventCursor
from tests.support.journal import ALIAS, LOGIN, NOW, SERVER, done_verdict, make_entry
from tests.support.journal_core import ACCOUNT, FULL, body, note, reserve, start

# Events


def test_events_are_numbered_without_holes_and_over_restarts(journal, store, told):
    assert (41, 0) == journal.newest(ALIAS)
    assert 1 == note(journal, told, "deal", 5, 100)
    assert 2 == journal.append_life(ALIAS, body("life"), told.done("life"), now_utc_msc=NOW)
    assert (41, 0) == journal.newest(ALIAS)

    store.flush()
    again = start(store)

    assert ["deal", "life"] == told.names
    assert (41, 2) == journal.newest(ALIAS) == again.newest(ALIAS)
    assert (1, [b"41/1/deal", b"41/2/life"]) == again.read_trade(ALIAS, 0, 99, 10_000)
    assert (2, [b"41/2/life"]) == again.read_trade(ALIAS, 2, 2, 10_000)
    assert (1, [b"41/1/deal"]) == again.read_trade(ALIAS, 1, 2, 1)
    assert [] == again.read_trade(ALIAS, 3, 9, 100)[1]
    assert (1, 2) == again.trade_range(ALIAS)
    assert 3 == note(again, told, "more", 6, 101)


def test_what_is_not_on_disk_is_not_replayed_and_its_number_is_given_again(journal, store, told):
    note(journal, told, "lost", 5, 100)

    assert [] == journal.read_trade(ALIAS, 1, 9, 1000)[1]

    store.crash()

    assert 1 == note(start(store), told, "deal", 5, 100)


def test_a_repeated_event_is_dropped_and_acknowledged_when_the_first_is_on_disk(
    journal, store, told
):
    assert 1 == note(journal, told, "first", 5, 100)
    assert note(journal, told, "again", 5, 100, kind=EventKind.DEAL) is None
    assert [] == told

    store.flush()
    journal = start(store)

    assert note(journal, told, "recovered", 5, 100) is None

    store.flush()

    assert ["first", "again", "recovered"] == told.names
    assert (41, 1) == journal.newest(ALIAS)


def test_a_repetition_is_not_told_before_what_came_before_it(journal, store, told):
    """Its EVENT_ACK says that the terminal need not send anything before it again."""
    note(journal, told, "first", 5, 100)
    store.flush()
    note(journal, told, "lost", 4, 99)
    note(journal, told, "repetition", 5, 100)

    assert ["first"] == told.names

    store.fail = FULL
    store.flush()

    assert ["lost", "repetition"] == told.failed


def test_a_deal_and_an_order_of_the_same_number_and_time_are_two_events(journal, store, told):
    numbers = [
        note(journal, told, "deal", 5, 100),
        note(journal, told, "order", 5, 100, kind=EventKind.ORDER_CLOSED),
        note(journal, told, "of another account", 5, 100, account=Account(1, SERVER)),
        note(journal, told, "another state", 5, 100, state="2"),
    ]

    assert [1, 2, 3, 4] == numbers


def test_what_has_no_place_in_the_order_is_never_a_repetition(journal, store, told):
    first = note(journal, told, "a", 5, None, kind=EventKind.POSITION)
    second = note(journal, told, "b", 5, None, kind=EventKind.POSITION)

    assert (1, 2) == (first, second)
    assert journal.event_cursor(ALIAS, LOGIN, SERVER) is None


def test_the_place_for_welcome_is_the_newest_on_disk(journal, store, told):
    note(journal, told, "a", 5, 100)
    store.flush()
    note(journal, told, "late", 9, 90)
    note(journal, told, "b", 4, 100)
    note(journal, told, "c", 1, 101)

    assert EventCursor(100, 5) == journal.event_cursor(ALIAS, LOGIN, SERVER)

    store.flush()

    for found in (journal, start(store)):
        assert EventCursor(101, 1) == found.event_cursor(ALIAS, LOGIN, SERVER)
        assert found.event_cursor(ALIAS, LOGIN + 1, SERVER) is None


def test_the_place_for_welcome_is_not_ahead_of_the_disk(journal, store, told):
    note(journal, told, "a", 5, 100)
    note(journal, told, "b", 6, 101)
    store.flush(1)

    assert EventCursor(100, 5) == journal.event_cursor(ALIAS, LOGIN, SERVER)


def test_a_lost_event_can_be_taken_again(journal, store, told):
    note(journal, told, "a", 5, 100)
    store.flush()
    note(journal, told, "lost", 6, 101)
    note(journal, told, "repetition", 6, 101)
    journal.append_life(ALIAS, body("life"), told.done("life"), now_utc_msc=NOW)
    store.fail = FULL
    store.flush()
    store.fail = None

    assert ["lost", "repetition", "life"] == told.failed
    assert EventCursor(100, 5) == journal.event_cursor(ALIAS, LOGIN, SERVER)
    assert 2 == note(journal, told, "b", 6, 101)

    store.flush()

    assert EventCursor(101, 6) == journal.event_cursor(ALIAS, LOGIN, SERVER)
    assert (1, [b"41/1/a", b"41/2/b"]) == journal.read_trade(ALIAS, 1, 9, 1000)


def test_where_events_begin_is_noted_once_and_moves_with_the_first_one(journal, store, told):
    journal.begin_events(ACCOUNT, EventCursor(50, 0), told.done("begin"))

    assert journal.event_cursor(ALIAS, LOGIN, SERVER) is None

    store.flush()
    journal = start(store)
    journal.begin_events(ACCOUNT, EventCursor(70, 0), told.done("again"))
    store.flush()

    assert ["begin", "again"] == told.names
    assert EventCursor(50, 0) == start(store).event_cursor(ALIAS, LOGIN, SERVER)

    note(journal, told, "a", 5, 60)
    store.flush()

    assert EventCursor(60, 5) == start(store).event_cursor(ALIAS, LOGIN, SERVER)


def test_a_lost_beginning_can_be_noted_again(journal, store, told):
    journal.begin_events(ACCOUNT, EventCursor(50, 0), told.done("lost"))
    store.fail = FULL
    store.flush()
    store.fail = None
    journal.begin_events(ACCOUNT, EventCursor(60, 0), told.done("begin"))
    store.flush()

    assert (["lost"], ["begin"]) == (told.failed, told.names)
    assert EventCursor(60, 0) == journal.event_cursor(ALIAS, LOGIN, SERVER)


def test_a_verdict_and_the_event_that_tells_of_it_are_one_transaction(journal, store, told):
    reserve(journal, store, told, make_entry())
    before = store.commits
    with journal.together():
        journal.record("strategy/1", done_verdict(), NOW, told.done("record"))
        with journal.together():
            journal.append_life(ALIAS, body("life"), told.done("life"), now_utc_msc=NOW)
    store.flush()

    assert before + 1 == store.commits
    assert ["record", "life"] == told.names


def test_what_belongs_together_is_lost_together(journal, store, told):
    reserve(journal, store, told, make_entry())
    with journal.together():
        journal.record("strategy/1", done_verdict(), NOW, told.done("record"))
        journal.append_life(ALIAS, body("life"), told.done("life"), now_utc_msc=NOW)
    store.fail = FULL
    store.flush()

    assert ["record", "life"] == told.failed
    assert ([make_entry()], (41, 0)) == (journal.open_entries(), journal.newest(ALIAS))


def test_an_exception_inside_does_not_keep_the_disk_from_following_the_memory(journal, store, told):
    def broken():
        with journal.together():
            journal.reserve([make_entry()], told.done("reserve"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    store.flush()

    assert (["reserve"], make_entry()) == (told.names, start(store).find("strategy/1"))


def test_a_completion_that_raises_keeps_nobody_else_from_hearing(journal, store, told):
    def broken(error):
        raise ZeroDivisionError

    with journal.together():
        journal.reserve([make_entry("a/1")], broken)
        journal.reserve([make_entry("a/2")], told.done("second"))
    with pytest.raises(ZeroDivisionError):
        store.flush()
    store.flush()

    assert ["second"] == told.names
    assert journal.is_durable("a/1")


# Trading states


def test_a_state_is_latched_over_restarts(journal, store, told):
    assert AliasState() == journal.state_of(ALIAS)

    journal.set_state(
        ALIAS, TradingState.HALTED, "too wild", "ann", told.done("halt"), now_utc_msc=NOW
    )

    assert TradingState.HALTED == journal.state_of(ALIAS).state
    assert [] == told

    store.flush()

    expected = AliasState(TradingState.HALTED, "too wild", "ann", NOW)
    assert expected == start(store).state_of(ALIAS)
    assert AliasState() == start(store).state_of("other")
    assert [("HALTED", ALIAS, "too wild")] == [
        (line.action, line.subject, line.text) for line in journal.audit()
    ]


def test_a_halt_that_cannot_be_written_still_holds(journal, store, told):
    store.fail = FULL
    journal.set_state(ALIAS, TradingState.HALTED, "", "ann", told.done("halt"), now_utc_msc=NOW)
    store.flush()

    assert (["halt"], TradingState.HALTED) == (told.failed, journal.state_of(ALIAS).state)


def test_a_resume_that_cannot_be_written_does_not_hold(journal, store, told):
    journal.set_state(ALIAS, TradingState.REDUCING, "", "ann", told.done("halt"), now_utc_msc=NOW)
    store.flush()
    store.fail = FULL
    journal.set_state(ALIAS, TradingState.HALTED, "", "ann", told.done("halt"), now_utc_msc=NOW)
    journal.set_state(ALIAS, TradingState.ACTIVE, "", "bob", told.done("resume"), now_utc_msc=NOW)
    store.flush()

    assert ["halt", "resume"] == told.failed
    assert TradingState.HALTED == journal.state_of(ALIAS).state
