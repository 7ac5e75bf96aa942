"""Each machine has teeth: what it guards is taken out, and it must notice."""

from __future__ import annotations

import pytest

from bridge.client.core import Topic
from bridge.journal import core as journal_core
from bridge.journal.core import Journal
from bridge.relay.open_commands import OpenCommands
from bridge.relay.orders import Orders
from bridge.relay.trade_events import TradeEvents
from bridge.sim import exchange_checks, trading, trading_events
from bridge.sim.exchange_books import Books
from bridge.sim.trading import TradingDesk
from bridge.sim.trading_executor import Executor
from tests.machines.machines import MACHINES
from tests.machines.running import finds


def is_noticed(name, seed=1):
    """
    ``seed``: one with which a rare fault is found soon; any other finds it later.
    """
    return finds(MACHINES[name].machine, seed)


# --- the terminal's trading side -----------------------------------------------------------------


def test_desk_without_a_look_at_the_ledger(monkeypatch):
    monkeypatch.setattr(Executor, "known", lambda *_: None)

    assert is_noticed("desk")


def test_desk_that_believes_transactions(monkeypatch):
    """They are lost now and then: without a look at the history deals are not told."""

    def look(self, moment):
        if self._hinted:
            looked(self, moment)

    looked = trading_events.EventStream._look
    monkeypatch.setattr(trading_events.EventStream, "_look", look)

    assert is_noticed("desk")


def test_desk_whose_history_is_not_read_again_from_before_the_place(monkeypatch):
    monkeypatch.setattr(trading_events, "_OVERLAP_MSC", 0)

    def hint(self, kind, ticket, *_):
        self._hinted[kind, ticket] = None

    # Nor from where a transaction told of something that cannot be seen yet.
    monkeypatch.setattr(trading_events.EventStream, "_await", hint)

    assert is_noticed("desk")


def test_desk_that_forgets_what_it_told_in_a_session(monkeypatch):
    looked = trading_events.EventStream._look

    def look(self, moment):
        self._known.clear()
        looked(self, moment)

    monkeypatch.setattr(trading_events.EventStream, "_look", look)

    assert is_noticed("desk")


def test_desk_without_a_window(monkeypatch):
    monkeypatch.setattr(trading_events.EventStream, "acknowledge", lambda self, ack: None)

    assert is_noticed("desk")


def test_desk_that_believes_not_found_at_once(monkeypatch):
    monkeypatch.setattr(TradingDesk, "_is_settled", lambda *_: True)

    assert is_noticed("desk")


def test_desk_that_takes_each_finding_for_news(monkeypatch):
    monkeypatch.setattr(trading, "adds_to", lambda known, finding: True)

    assert is_noticed("desk")


# --- the broker ------------------------------------------------------------------------------------


def test_broker_that_takes_two_closes_of_one_position(monkeypatch):
    monkeypatch.setattr(exchange_checks, "_close_orders", lambda books, position: [])

    assert is_noticed("exchange", seed=5)


def test_broker_that_books_a_deal_without_its_swap(monkeypatch):
    added = Books.add_deal

    def add_deal(self, *args, **fields):
        balance = self.account.balance
        deal = added(self, *args, **fields)
        self.set_balance(balance + deal.profit + deal.commission + deal.fee)
        return deal

    monkeypatch.setattr(Books, "add_deal", add_deal)

    assert is_noticed("exchange")


# --- the relay's order path ------------------------------------------------------------------------


def test_relay_that_does_not_know_an_id_again(monkeypatch):
    monkeypatch.setattr(Orders, "_is_known", lambda *_: False)

    assert is_noticed("orders")


def test_relay_that_sends_before_the_disk_has_it(monkeypatch):
    reserved = OpenCommands.reserve

    def reserve(self, entries, *args, **options):
        answer = reserved(self, entries, *args, **options)
        if answer:
            self._reserved([entry.command_id for entry in entries], None, None)
        return answer

    monkeypatch.setattr(OpenCommands, "reserve", reserve)

    assert is_noticed("orders")


def test_relay_that_tells_nobody_at_the_deadline(monkeypatch):
    monkeypatch.setattr(OpenCommands, "expire", lambda *_: None)

    assert is_noticed("orders")


def test_relay_that_takes_every_verdict(monkeypatch):
    monkeypatch.setattr(journal_core, "successor", lambda old, new: new)

    assert is_noticed("orders")
    assert is_noticed("journal")


# --- the journal -----------------------------------------------------------------------------------


def test_journal_that_takes_an_event_twice(monkeypatch):
    monkeypatch.setattr(Journal, "_is_repetition", lambda *_: False)

    assert is_noticed("journal")
    assert is_noticed("trade-stream")


def test_journal_that_counts_orders_that_could_not_be_reserved(monkeypatch):
    unreserved = Journal._unreserve

    def unreserve(self, entries):
        counted = {alias: list(times) for alias, times in self._sent.items()}
        unreserved(self, entries)
        for alias, times in counted.items():
            self._sent[alias].clear()
            self._sent[alias].extend(times)

    monkeypatch.setattr(Journal, "_unreserve", unreserve)

    assert is_noticed("journal", seed=5)


def test_journal_that_forgets_what_is_not_old(monkeypatch):
    monkeypatch.setattr(journal_core, "_DAY_MSC", 1_000)
    made = Journal.__init__

    def make(self, store, retention_days=30):
        made(self, store, retention_days)
        self._retention_msc = 30 * 1_000

    monkeypatch.setattr(Journal, "__init__", make)

    assert is_noticed("journal", seed=3)


# --- trade/<alias> ---------------------------------------------------------------------------------


def test_stream_that_goes_on_behind_a_lost_event(monkeypatch):
    nothing = property(lambda self: 0, lambda self, value: None)
    monkeypatch.setattr(TradeEvents, "lost", nothing, raising=False)

    assert is_noticed("trade-stream", seed=5)


@pytest.mark.parametrize("method", ["hear_tail", "take_replay"])
def test_subscriber_that_does_not_heal(monkeypatch, method):
    monkeypatch.setattr(Topic, method, lambda *args, **options: True)

    assert is_noticed("trade-stream")
