"""A short run of ``make chaos``, and runs that it has to fail."""

from __future__ import annotations

import pytest

from tests.chaos import run
from tests.chaos.__main__ import main
from tests.chaos.run import Plan, report, run_chaos


@pytest.mark.slow
def test_orders_survive_cuts_and_kills_of_real_processes(tmp_path, seed):
    """Without the limits of time: other tests run beside."""
    plan = Plan(
        orders=200,
        seed=seed,
        cuts=10,
        relay_kills=3,
        terminal_kills=2,
        freezes=0,
        stops=0,
        rows=0,
    )
    outcome = run_chaos(plan, tmp_path)
    line, _ = report(outcome)

    assert [] == outcome.judgement.shown
    assert [] == outcome.recoveries.stuck
    assert (0, 0, 0, 0) == (
        line["lost"],
        line["duplicated"],
        line["wrong_verdicts"],
        line["unresolved"],
    )
    assert (10, 3, 2) == (line["cuts"], line["relay_kills"], line["terminal_kills"])
    assert outcome.deals == outcome.deals_told
    assert outcome.finished
    # There was something to judge.
    assert outcome.judgement.orders >= 200
    assert outcome.judgement.executed >= 50
    assert outcome.unanswered


@pytest.mark.slow
def test_new_names_and_a_lost_journal_are_noticed(tmp_path, seed):
    """Strategies that ask again under a new id trade twice; a relay that forgets, loses orders."""
    plan = Plan(
        orders=24,
        seed=seed,
        cuts=1,
        relay_kills=1,
        terminal_kills=0,
        freezes=0,
        stops=0,
        rows=0,
        # One order at a time: more would wait for each other until their deadlines are over.
        threads=1,
        rules={"lose_reply": 0.5, "reply_timeout_ms": 500},
        timeouts_s=(0.3, 0.4),
        renames=True,
        forgets=True,
    )
    outcome = run_chaos(plan, tmp_path)

    assert outcome.judgement.duplicated
    assert outcome.judgement.lost
    assert not outcome.judgement.clean
    assert [seed] == report(outcome)[0]["failing_seeds"]


def test_another_terminal_is_refused_plainly(capsys):
    assert 2 == main(["--terminal", "none"])
    assert "TERMINAL=python" in capsys.readouterr().err


def test_the_last_order_is_not_waited_for_in_vain(monkeypatch):
    """Less than half a life for each process was missing, and none was allowed."""

    class Almost:
        orders = 9
        lives = 4

        def check(self):
            pass

        def say(self, words):
            if words.startswith("allow") and int(words.split()[1]) > self.lives:
                self.lives += 1
                self.orders += 1

    clients = [Almost(), Almost()]
    # Without the wait nothing but a defect ends the loop.
    monkeypatch.setattr(run, "_PATIENCE_S", 5.0)
    pacer = run._Pacer(Plan(orders=19), clients, 0.0)
    pacer.finish()

    assert pacer.orders >= 19
