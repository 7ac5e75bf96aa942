"""
The language of the scripts: what is read, and that everything else is an error with its line.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.language import ScriptError, read_script
from tests.conformance.player import Player
from tests.conformance.sides import make_peer

PATH = Path("group/name.txt")
HEAD = "# It is shown.\n# Holds: fault 7; wire 13 NEW\n"


def script_of(*lines, side="terminal"):
    return read_script(PATH, "\n".join([HEAD.rstrip(), f"for {side}", "", *lines]) + "\n")


def problem_of(*lines, side="terminal"):
    with pytest.raises(ScriptError) as caught:
        script_of(*lines, side=side)
    return caught.value.line, caught.value.problem


def failure_of(*lines, side="terminal"):
    script = script_of(*lines, side=side)
    with pytest.raises(ScriptError) as caught:
        Player(script, make_peer(side)).play()
    return caught.value.line


def test_a_script_is_read():
    script = script_of("I", "> TEST_REQUEST test_id=7", "# said", "", "< HEARTBEAT", "  test_id=7")

    assert "It is shown." == script.title
    assert ("fault 7", "wire 13 NEW") == script.holds
    assert ["I", ">", "<"] == [step.sign for step in script.steps]
    assert [5, 6, 9] == [step.line for step in script.steps]
    assert ["test_id"] == [one.name for one in script.steps[2].fields]
    assert "group/name" == script.name


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("$ NEW", "no sign"),
        ("> NEWS", "no such message"),
        ("> NEW comand_id=a/1", "no such field"),
        ("> NEW request={symbl=EURUSD}", "no such field"),
        ("> NEW command_id", "name=value"),
        ("> NEW command_id=", "a value is missing"),
        ("> NEW command_id=*", "cannot be sent"),
        ("> NEW command_id!=a/1", "sent with ="),
        ("> NEW flags=HEDGED", "is not known"),
        ("> NEW command_id=$known", "has no value yet"),
        ("> RESULT command_id=a/1", "does not go this way"),
        ("< NEW", "does not go this way"),
        ("< TICKS symbol_id=1", "expected as TICK"),
        ("< RESULT outcome=FINE", "is not known"),
        ("< RESULT outcome=[", "is missing"),
        ('< RESULT text="so', "does not end"),
        ("< nothing but=this", "may stand"),
        ("! HEARTBEAT / sequence=1", "one of"),
        ("! HEARTBEAT / seq", "name=value"),
        ("! bytes", "one word"),
        ("@ 2s", "expected '@"),
        ("@ +2s loud", "expected '@"),
        ("= sleep ms=5", "expected one of"),
        ("= kill now=true", "takes"),
        ("=? profit above=5", "expected one of"),
        ("? o1 order_send", "only a relay"),
        ("% politeness off", "one of"),
        ("I login=1", "no such field"),
        ("x now", "nothing stands behind"),
    ],
)
def test_an_error_has_its_line(line, word):
    number, problem = problem_of("I", line)

    assert 6 == number
    assert word in problem


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("for terminal\nI\n", "says in a sentence"),
        ("# It is shown.\nfor terminal\nI\n", "Holds"),
        ("# It is shown.\n# Holds: everything\nfor terminal\nI\n", "fault N"),
        (HEAD + "I\n", "for terminal"),
        (HEAD + "for everybody\nI\n", "for terminal"),
        (HEAD + "for terminal\n", "nothing happens"),
    ],
)
def test_the_heading_is_checked(text, word):
    with pytest.raises(ScriptError) as caught:
        read_script(PATH, text)

    assert word in caught.value.problem


@pytest.mark.parametrize(
    "line",
    [
        "< RESULT outcome=NOT_FOUND",
        "< HEARTBEAT test_id=9",
        "< nothing",
        "< END",
    ],
)
def test_what_does_not_come_fails_at_its_line(line):
    query = '> QUERY command_ids=["a/1"]'

    assert 7 == failure_of("I", query, line)


def test_what_comes_and_is_not_expected_fails():
    assert 6 == failure_of("I", '> QUERY command_ids=["a/1"]')
    assert 8 == failure_of(
        "I", '> QUERY command_ids=["a/1"]', "@ +1s", "< HEARTBEAT", '> QUERY command_ids=["a/2"]'
    )


def test_what_the_broker_says_counts():
    assert 6 == failure_of("I", "=? executed command_id=a/1 times=1")
    assert 6 == failure_of("I", "=? position symbol=EURUSD volume=0.1")


def test_a_reply_that_is_another_fails():
    assert 6 == failure_of("? s ping", ": s error code=*", side="relay")
    assert 6 == failure_of("? s ping", ": s version=2", side="relay")
    assert 6 == failure_of("? s ping", ": s nothing", side="relay")


def test_a_variable_takes_what_came_and_is_compared_then():
    lines = ["I", '> QUERY command_ids=["a/1" "a/2"]', "< RESULT command_id=$id"]

    assert 8 == failure_of(*lines, "< RESULT command_id=$id")
