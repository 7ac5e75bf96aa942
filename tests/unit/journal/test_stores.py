"""What every store must do: the one in memory and the one in a file are interchangeable."""

from __future__ import annotations

import dataclasses

import pytest

from bridge.journal import Account, AliasState, Audit, EventKey, MemoryStore, SqliteStore
from bridge.journal.store import (
    PutAudit,
    PutCursor,
    PutEntry,
    PutEventKey,
    PutState,
    PutTrade,
    PutVerdict,
    RemoveOld,
    TradeRange,
)
from bridge.wire.spec import TradingState
from bridge.wire.structures import EventCursor
from tests.simulation.store import Disk, SimulatedStore
from tests.support.journal import ALIAS, DAY, NOW, Deliveries, done_verdict, make_entry

ACCOUNT = Account(2**64 - 1, "Broker")


class MemoryBench:
    def __init__(self):
        self.store = MemoryStore(epoch=9)

    def reopen(self):
        return self.store.open()

    def write(self, *writes):
        self.store.write(writes, lambda error: None)
        self.store.flush()

    def close(self):
        self.store.close()


class FileBench:
    def __init__(self, path):
        self.path = path
        self.deliveries = Deliveries()
        self.store = None

    def reopen(self):
        self.close()
        self.store = SqliteStore(
            self.path / "journal.sqlite",
            deliver=self.deliveries,
            new_epoch=9,
            spare_bytes=0,
        )
        return self.store.open()

    def write(self, *writes):
        said = []
        self.store.write(writes, said.append)
        self.deliveries.run_until(lambda: said)

        assert [None] == said

    def close(self):
        if self.store is not None:
            self.store.close()


class SimulatedBench:
    # The store of tests/simulation: what it does to the relay must be what the others do.
    def __init__(self):
        self.store = SimulatedStore(Disk(9), deliver=lambda call: call())

    def reopen(self):
        return self.store.open()

    def write(self, *writes):
        self.store.write(writes, lambda error: None)

    def close(self):
        self.store.close()


@pytest.fixture(params=["memory", "file", "simulated"])
def bench(request, tmp_path):
    kinds = {"memory": MemoryBench, "simulated": SimulatedBench}
    bench = FileBench(tmp_path) if request.param == "file" else kinds[request.param]()
    bench.reopen()
    yield bench
    bench.close()


def test_a_new_store_is_empty(bench):
    loaded = bench.reopen()

    assert (9, [], {}, {}, {}, {}) == dataclasses.astuple(loaded)
    assert TradeRange(1, 0) == bench.store.trade_range(ALIAS)
    assert (4, []) == bench.store.read_trade(ALIAS, 4, 8, 100)
    assert bench.store.find("a/1") is None
    assert [] == bench.store.audit(10)


def test_everything_comes_back_after_a_restart(bench):
    state = AliasState(TradingState.REDUCING, "why", "ann", NOW)
    audit = [Audit(NOW, "ann", "REDUCING", ALIAS, "why"), Audit(NOW, "bob", "resolve", "a/1", "")]
    final = dataclasses.replace(make_entry("a/2"), verdict=done_verdict(deal=2**64 - 1))
    bench.write(
        PutEntry(make_entry("a/1")),
        PutEntry(make_entry("a/2")),
        PutVerdict(make_entry("a/2"), final.verdict),
        PutTrade(ALIAS, 1, b"one", NOW),
        PutCursor(ACCOUNT, EventCursor(5, 2**64 - 1)),
        PutCursor(ACCOUNT, EventCursor(6, 2**64 - 1)),
        PutState(ALIAS, AliasState()),
        PutState(ALIAS, state),
        PutAudit(audit[0]),
        PutAudit(audit[1]),
    )
    loaded = bench.reopen()

    assert [make_entry("a/1")] == loaded.open
    assert {ALIAS: TradeRange(1, 1)} == loaded.trade
    assert {ACCOUNT: EventCursor(6, 2**64 - 1)} == loaded.cursors
    assert {ALIAS: state} == loaded.states
    assert {ALIAS: [NOW, NOW]} == loaded.sent
    assert final == bench.store.find("a/2")
    assert audit == bench.store.audit(10)
    assert audit[1:] == bench.store.audit(1)


def test_entries_are_found_by_tag_and_parent(bench):
    parent = make_entry("a/1", request=None, tag="")
    older = make_entry("a/1/8", parent="a/1", tag="same")
    newer = make_entry("a/1/7", parent="a/1", tag="same", reserved=NOW + 1)
    bench.write(PutEntry(parent), PutEntry(older), PutEntry(newer))

    assert newer == bench.store.find_by_tag("same")
    assert bench.store.find_by_tag("other") is None
    assert [newer, older] == bench.store.children("a/1")
    assert [] == bench.store.children("a/1/7")


def test_an_event_is_known_by_its_whole_key(bench):
    key = EventKey(ACCOUNT, 1, 2**64 - 1, "")
    bench.write(PutEventKey(key, NOW))
    bench.reopen()
    others = [
        key._replace(account=Account(1, "Broker")),
        key._replace(account=ACCOUNT._replace(server="Other")),
        key._replace(kind=2),
        key._replace(ticket=1),
        key._replace(state="x"),
    ]

    assert bench.store.has_event(key)
    assert [False] * 5 == [bench.store.has_event(other) for other in others]


def test_events_are_read_in_pages(bench):
    bench.write(*(PutTrade(ALIAS, seq, b"%04d" % seq, NOW) for seq in range(1, 201)))
    bench.write(PutTrade("other", 1, b"x", NOW))

    assert (1, [b"%04d" % seq for seq in range(1, 201)]) == bench.store.read_trade(
        ALIAS, -5, 900, 10**6
    )
    assert (7, [b"0007", b"0008"]) == bench.store.read_trade(ALIAS, 7, 8, 10**6)
    assert (7, [b"0007", b"0008"]) == bench.store.read_trade(ALIAS, 7, 200, 11)
    assert (7, [b"0007"]) == bench.store.read_trade(ALIAS, 7, 200, 0)
    assert 125 == len(bench.store.read_trade(ALIAS, 1, 200, 500)[1])
    assert TradeRange(1, 200) == bench.store.trade_range(ALIAS)


def test_only_what_is_old_and_final_is_removed(bench):
    old = make_entry("a/old", reserved=NOW - DAY)
    still_open = make_entry("a/open", reserved=NOW - DAY)
    late = make_entry("a/late", reserved=NOW - DAY)
    bench.write(
        PutEntry(old),
        PutEntry(still_open),
        PutEntry(late),
        PutVerdict(old, done_verdict(utc_msc=NOW - 1)),
        PutVerdict(late, done_verdict(utc_msc=NOW)),
        PutTrade(ALIAS, 1, b"old", NOW - 1),
        PutTrade(ALIAS, 2, b"new", NOW),
    )
    bench.write(RemoveOld(NOW))
    loaded = bench.reopen()

    assert bench.store.find("a/old") is None
    assert [still_open] == loaded.open
    assert bench.store.find("a/late") is not None
    assert (2, [b"new"]) == bench.store.read_trade(ALIAS, 1, 2, 100)
    assert 2 == bench.store.trade_range(ALIAS).newest


def test_numbers_survive_the_removal_of_their_events(bench):
    bench.write(PutTrade(ALIAS, 1, b"a", NOW), PutTrade(ALIAS, 2, b"b", NOW))
    bench.write(RemoveOld(NOW + 1))

    assert 2 == bench.reopen().trade[ALIAS].newest


def test_a_verdict_brings_back_its_removed_command(bench):
    bench.write(PutVerdict(make_entry("a/1"), done_verdict()))

    assert dataclasses.replace(make_entry("a/1"), verdict=done_verdict()) == bench.store.find("a/1")
