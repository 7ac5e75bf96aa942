"""The life of a command: which steps are kept, and that they come back from the disk."""

from __future__ import annotations

import dataclasses

import msgpack
import pytest

from bridge.bus.orders import LifeStep
from bridge.exceptions import JournalError
from bridge.journal import Journal, MemoryStore
from bridge.journal.entry import Verdict, pack_entry, unpack_entry
from bridge.journal.life import LIFE_MAX, Step, extended, steps_of
from tests.support.journal import make_entry


def ignore(error):
    del error


def make_journal():
    store = MemoryStore()
    journal = Journal(store)
    journal.load()
    return journal, store


def step(kind=LifeStep.ASKED, at=1, **fields):
    return Step(kind.value, at, at * 1000, 7, **fields)


def lived(*steps):
    life = ()
    for one in steps:
        life = extended(life, one)
    return life


def kinds(life):
    return [(one.kind, one.times) for one in life]


def test_what_comes_again_and_again_is_counted():
    unknown = {"said": 8, "text": "no trace yet"}
    rounds = [
        one for at in range(2, 1_000) for one in (step(at=at), step(LifeStep.RESULT, at, **unknown))
    ]
    life = lived(step(LifeStep.SENT), *rounds)

    assert [("SENT", 1), ("ASKED", 998), ("RESULT", 998)] == kinds(life)
    assert (2, 999) == (life[1].utc_msc, life[1].last_utc_msc)


def test_what_changes_something_is_never_counted_together():
    changed = step(LifeStep.RESULT, 2, said=8, changed=True)
    life = lived(step(), changed, changed._replace(utc_msc=3), step(at=4))

    assert [("ASKED", 1), ("RESULT", 1), ("RESULT", 1), ("ASKED", 1)] == kinds(life)


@pytest.mark.parametrize(
    "other", [{"said": 8}, {"text": "else"}, {"relay_epoch": 8}, {"deal": 1}], ids=str
)
def test_what_says_something_else_is_kept_apart(other):
    life = lived(step(), step()._replace(**other))

    assert [("ASKED", 1), ("ASKED", 1)] == kinds(life)


def test_of_a_long_life_the_middle_is_left_out_and_that_is_told():
    life = lived(*(step(LifeStep.SENT, at) for at in range(1, 200)))
    (left_out,) = [one for one in life if one.kind == LifeStep.LEFT_OUT]

    assert LIFE_MAX == len(life)
    assert 199 == sum(one.times for one in life)
    assert (1, 199) == (life[0].utc_msc, life[-1].utc_msc)
    assert 12 == life.index(left_out)


def test_a_life_comes_back_from_the_disk():
    life = lived(step(LifeStep.RESERVED), step(LifeStep.RESULT, 2, said=6, volume=0.1, who="a"))
    entry = dataclasses.replace(make_entry("c/1"), life=life)

    assert entry == unpack_entry(pack_entry(entry), None)


def test_an_entry_of_an_earlier_version_has_no_life():
    fields = msgpack.unpackb(pack_entry(make_entry("c/1")))

    assert () == unpack_entry(msgpack.packb(fields[:-1]), None).life


def test_a_step_of_a_later_version_is_read_without_what_it_added():
    assert (step(),) == steps_of([[*step(), "something new"]])


@pytest.mark.parametrize("values", [3, [4], [["SENT"]]], ids=str)
def test_what_is_no_life_is_refused(values):
    with pytest.raises(ValueError, match="not the steps"):
        steps_of(values)


# --- in the journal ---------------------------------------------------------------------------


def test_a_step_that_changes_nothing_gets_to_disk_with_the_next_that_does():
    journal, store = make_journal()
    journal.reserve([make_entry("c/1")], ignore)
    store.flush()
    commits = store.commits
    journal.note("c/1", step(LifeStep.SENT))

    assert (commits, 0) == (store.commits, journal.pending)
    assert ["SENT"] == [one.kind for one in journal.find("c/1").life]
    assert () == store.find("c/1").life

    done = Verdict(outcome=6)
    journal.record("c/1", done, 5, ignore, step=step(LifeStep.RESULT, 5, said=6))
    store.flush()

    assert [("SENT", False), ("RESULT", True)] == [
        (one.kind, one.changed) for one in store.find("c/1").life
    ]


def test_a_result_that_changes_nothing_is_a_step_all_the_same():
    journal, store = make_journal()
    journal.reserve([make_entry("c/1")], ignore)
    store.flush()
    for at in (5, 6):
        said = step(LifeStep.RESULT, at, said=8)
        journal.record("c/1", Verdict(outcome=8), at, ignore, step=said)
        store.flush()

    assert [True, False] == [one.changed for one in journal.find("c/1").life]


def test_an_end_that_is_told_again_is_no_step():
    """Else a life would be longer before a restart than after it."""
    journal, store = make_journal()
    journal.reserve([make_entry("c/1")], ignore)
    store.flush()
    for at in (5, 6):
        said = step(LifeStep.RESULT, at, said=6)
        journal.record("c/1", Verdict(outcome=6), at, ignore, step=said)
    store.flush()

    assert [5] == [one.utc_msc for one in journal.find("c/1").life]


def test_a_correction_is_marked_once():
    journal, store = make_journal()
    journal.reserve([make_entry("c/1")], ignore)
    store.flush()
    for outcome in (9, 6):
        said = step(LifeStep.RESULT, said=outcome)
        journal.record("c/1", Verdict(outcome=outcome, deals=(outcome,)), 5, ignore, step=said)
        store.flush()

    assert [False, True] == [one.corrected for one in journal.find("c/1").life]


def test_what_was_said_stays_said_when_the_disk_fails():
    journal, store = make_journal()
    journal.reserve([make_entry("c/1")], ignore)
    store.flush()
    store.fail = JournalError("the disk is gone")
    journal.record("c/1", Verdict(outcome=6), 5, ignore, step=step(LifeStep.RESULT, 5, said=6))
    store.flush()

    assert journal.find("c/1").verdict is None
    assert ["RESULT"] == [one.kind for one in journal.find("c/1").life]


def test_a_step_of_a_command_that_is_not_open_is_not_kept():
    journal, _ = make_journal()
    journal.note("c/1", step())

    assert journal.find("c/1") is None
