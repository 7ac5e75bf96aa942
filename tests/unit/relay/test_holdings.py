"""What is open is read anew after each event, not more often than need be."""

from __future__ import annotations

import pytest

from bridge.bus.requests import ErrorName
from bridge.journal import Journal, MemoryStore
from bridge.relay.asks import Answer
from bridge.relay.holdings import Holdings
from bridge.relay.order_comments import OrderComments

MS = 1_000
POSITION = {"ticket": 1, "symbol": "EURUSD", "comment": ""}


class Bench:
    """
    Holdings, and a terminal of which the test decides what it answers.
    """

    def __init__(self):
        self.now = 0
        self.asked = {}
        self.positions = []
        self.accounts = []
        self.holdings = Holdings(
            "demo",
            self._ask,
            OrderComments(Journal(MemoryStore())),
            self.positions.append,
            self.accounts.append,
        )
        self.holdings.link_up()
        self.poll()

    def _ask(self, method, params, done, deadline_us):
        self.asked.setdefault(method, []).append(done)

    def poll(self, ms=0):
        self.now += ms * MS
        self.holdings.poll(self.now)
        return sorted(self.asked)

    def answer(self, positions=(), orders=(), account=None):
        told = {"positions": list(positions), "orders": list(orders)}
        told["account"] = account or {"balance": 1.0}
        for method, waiting in list(self.asked.items()):
            del self.asked[method]
            for done in waiting:
                done(Answer({method: told[method]}))


@pytest.fixture
def bench():
    return Bench()


def test_at_a_logon_everything_is_read_and_told(bench):
    assert ["account", "orders", "positions"] == sorted(bench.asked)

    bench.answer([POSITION])

    assert [[{**POSITION, "tag": "", "command_id": ""}]] == bench.positions
    assert [{"balance": 1.0}] == bench.accounts
    assert (["EURUSD"], "EURUSD", "") == (
        bench.holdings.open_symbols(),
        bench.holdings.symbol_of(1),
        bench.holdings.symbol_of(2),
    )


def test_what_did_not_change_is_not_told_again(bench):
    bench.answer([POSITION])
    bench.holdings.changed()
    bench.poll(200)
    bench.answer([POSITION])

    assert (1, 1) == (len(bench.positions), len(bench.accounts))


def test_many_events_are_one_reading(bench):
    bench.answer()
    for _ in range(50):
        bench.holdings.changed()
        bench.poll(1)

    assert {} == bench.asked

    bench.poll(50)

    assert [1, 1, 1] == [len(waiting) for waiting in bench.asked.values()]


def test_what_changes_during_a_reading_is_read_once_more(bench):
    bench.holdings.changed()
    bench.answer()

    assert bench.now + 100 * MS == bench.holdings.next_deadline()
    assert 3 == len(bench.poll(100))


def test_without_changes_nothing_is_read(bench):
    bench.answer()

    assert ([], None) == (bench.poll(60_000), bench.holdings.next_deadline())


def test_a_reading_that_failed_is_tried_again(bench):
    for done in bench.asked.pop("positions"):
        done(Answer(code=ErrorName.TERMINAL_ERROR, message="no"))
    bench.answer()

    assert ([], None) == (bench.poll(500), bench.holdings.open_symbols())
    assert 3 == len(bench.poll(500))


@pytest.mark.parametrize("value", [None, {}, {"positions": 1}, {"positions": [1]}])
def test_an_answer_that_is_none_is_not_believed(bench, value):
    for done in bench.asked.pop("positions"):
        done(Answer(value))
    bench.answer()

    assert ([], None) == (bench.positions, bench.holdings.open_symbols())


def test_what_was_opened_counts_until_a_reading_that_began_later(bench):
    bench.holdings.changed("GBPUSD")
    bench.answer()

    assert ["GBPUSD"] == bench.holdings.open_symbols()

    bench.poll(100)

    assert ["GBPUSD"] == bench.holdings.open_symbols()

    bench.answer([{**POSITION, "symbol": "GBPUSD"}])

    assert ["GBPUSD"] == bench.holdings.open_symbols()


def test_without_a_link_nothing_is_known_and_old_answers_do_not_count(bench):
    old = bench.asked.pop("positions")
    bench.holdings.link_down()
    bench.holdings.link_up()
    for done in old:
        done(Answer({"positions": [POSITION]}))

    assert (None, []) == (bench.holdings.open_symbols(), bench.positions)
