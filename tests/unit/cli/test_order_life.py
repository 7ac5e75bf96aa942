"""The life of an order for people."""

from __future__ import annotations

from bridge.cli.order_life import life_text
from bridge.client.trade import OrderStatus

UTC = 1_767_362_400_000
RESERVED = {"step": "RESERVED", "time_utc_msc": UTC, "relay_epoch": 4, "relay_us": 1_000_000}


def text(*steps, **fields):
    status = OrderStatus.model_validate({"outcome": "UNKNOWN", "life": list(steps), **fields})
    return life_text(status)


def test_an_order_without_a_life_has_no_table():
    assert "" == text()


def test_each_step_is_a_line_with_both_times():
    sent = {**RESERVED, "step": "SENT", "relay_us": 1_002_000, "time_utc_msc": UTC - 500}
    lines = text(RESERVED, sent).splitlines()

    assert ["UTC", "AFTER", "RELAY", "STEP", "SAID", "FROM", "WHAT"] == lines[0].split()
    assert lines[1].startswith("2026-01-02 14:00:00.000  +0.000 s  4      RESERVED")
    # The wall clock was set back in between; the other one was not.
    assert lines[2].startswith("2026-01-02 13:59:59.500  +0.002 s  4      SENT")


def test_behind_a_restart_only_the_wall_clock_tells_the_time_between():
    restored = {
        **RESERVED,
        "step": "RESTORED",
        "relay_epoch": 5,
        "relay_us": 7,
        "time_utc_msc": UTC + 90_000,
    }

    assert "+90.000 s  5      RESTORED" in text(RESERVED, restored)


def test_what_was_said_is_in_one_line():
    result = {
        **RESERVED,
        "step": "RESULT",
        "said": "DONE",
        "evidence": "HISTORY_DEALS",
        "retcode_name": "DONE",
        "retcode": 10009,
        "volume": 0.1,
        "order": 11,
        "deal": 12,
        "changed": True,
        "text": "found",
    }

    assert "RESULT  DONE  HISTORY_DEALS  taken, DONE, 0.1 lots, order 11, deal 12, found" in text(
        result
    )


def test_what_came_again_and_again_says_how_often_and_until_when():
    asked = {**RESERVED, "step": "ASKED", "times": 40, "last_utc_msc": UTC + 600_000}

    assert "40 times, the last at 2026-01-02 14:10:00.000" in text(asked)


def test_a_correction_cannot_be_overlooked():
    noticed = {**RESERVED, "step": "NOTICED", "changed": True, "corrected": True}

    assert "CORRECTED: an earlier end was wrong" in text(noticed)


def test_a_person_is_named():
    assert "taken, by anna, seen" in text(
        {**RESERVED, "step": "RESOLVED", "changed": True, "who": "anna", "text": "seen"}
    )


def test_what_is_waited_for_and_what_to_do_stand_behind_it():
    lines = text(waiting_for="the terminal", advice="start it").splitlines()

    assert ["waits for: the terminal", "what to do: start it"] == lines


def test_nothing_from_outside_can_forge_a_line():
    told = text({**RESERVED, "text": "a\nb"}, waiting_for="c\nd")

    assert 3 == len(told.splitlines())


def test_a_time_that_is_none_is_told_as_it_is():
    assert str(2**62) in text({**RESERVED, "time_utc_msc": 2**62})


def test_the_tag_is_what_to_look_for_in_metatrader():
    assert "comment at the broker: zb1:AAAA" == text(tag="zb1:AAAA")
