"""``bridge.sim.ledger``: what a terminal keeps of its commands, and how durably."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from bridge.exceptions import ConfigError
from bridge.model.trade import TradeRequest
from bridge.sim.ledger import (
    LedgerEntry,
    LedgerError,
    MemoryLedger,
    SqliteLedger,
    content_of,
)
from bridge.sim.trading_ports import Moment
from bridge.sim.trading_results import ResultMaker
from bridge.wire.spec import OrderOutcome, Permission, TradingState
from tests.support.desk_bench import REMOVE, buy, request

MOMENT = Moment(0, 1_700_000_000_000, 120, Permission(31), 0)


def entry(number=1, *, outcome=None, order=0, intent_msc=1_000, **changes):
    values = {
        "command_id": f"test/{number}",
        "tag": f"zb1:{number}",
        "flags": 1,
        "request": buy(0.1, comment="häuptling"),
        "sent": TradeRequest(action=1, symbol="EURUSD", volume=0.1, price=1.1, comment="zb1:1"),
        "before": (1.5, 0.0),
        "intent_msc": intent_msc,
    }
    made = LedgerEntry(**(values | changes))
    if outcome is None:
        return made
    return made.with_result(
        ResultMaker(bytes(16)).make(
            made.command_id, outcome, MOMENT, order=order, deals=[7, 8], text="ä", price=1.25
        )
    )


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request, tmp_path):
    if request.param == "memory":
        yield MemoryLedger(bytes(16))
        return
    with contextlib.closing(SqliteLedger(tmp_path / "ledger.sqlite")) as made:
        yield made


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


def reopened(path):
    return contextlib.closing(SqliteLedger(path))


# What both keep -----------------------------------------------------------------------


def test_an_intent_is_found_again(ledger):
    ledger.write(entry())

    assert entry() == ledger.find("test/1")
    assert OrderOutcome.INTENT is ledger.find("test/1").outcome


def test_an_outcome_replaces_the_intent(ledger):
    ledger.write(entry())
    done = entry(outcome=OrderOutcome.DONE, order=2**63 + 5)
    ledger.write(done)

    assert done == ledger.find("test/1")


def test_what_is_not_there_is_none(ledger):
    ledger.write(entry())

    assert ledger.find("test/2") is None
    assert ledger.find_tag("zb1:2") is None
    assert ledger.find_order(99) is None


def test_an_entry_without_a_ticket_is_not_found_by_the_ticket_0(ledger):
    ledger.write(entry())

    assert ledger.find_order(0) is None


def test_an_entry_is_found_by_tag_and_by_ticket(ledger):
    made = entry(3, outcome=OrderOutcome.PLACED, order=2**63 + 5)
    ledger.write(made)

    assert made == ledger.find_tag("zb1:3")
    assert made == ledger.find_order(2**63 + 5)


def test_who_cancelled_an_order_did_not_make_it(ledger):
    ledger.write(entry(3, outcome=OrderOutcome.DONE, order=7, request=request(REMOVE, order=7)))
    assert ledger.find_order(7) is None

    made = entry(4, outcome=OrderOutcome.PLACED, order=7)
    ledger.write(made)
    assert made == ledger.find_order(7)


def test_entries_without_an_end_come_oldest_first(ledger):
    ledger.write(entry(1, intent_msc=30))
    ledger.write(entry(2, outcome=OrderOutcome.UNKNOWN, intent_msc=10))
    ledger.write(entry(3, outcome=OrderOutcome.DONE, intent_msc=20))
    ledger.write(entry(4, outcome=OrderOutcome.NOT_FOUND, intent_msc=20))

    assert ["test/2", "test/1"] == [one.command_id for one in ledger.unresolved()]


def test_intents_are_counted_by_time(ledger):
    for number in range(1, 6):
        ledger.write(entry(number, intent_msc=number * 100))

    assert [5, 2, 0] == [ledger.count_since(msc) for msc in (0, 300, 500)]


def test_content_is_what_is_asked_and_nothing_else():
    same = content_of("zb1:1", 1, buy(0.1, comment="häuptling"))

    assert same == entry().content
    assert same != content_of("zb1:2", 1, buy(0.1, comment="häuptling"))
    assert same != content_of("zb1:1", 0, buy(0.1, comment="häuptling"))
    assert same != content_of("zb1:1", 1, buy(0.2, comment="häuptling"))


# The file ---------------------------------------------------------------------------------


def test_everything_is_there_after_a_restart(path):
    with reopened(path) as first:
        first.commit_counter(first.connection_counter + 1)
        first.commit_epoch(2**63 + 9)
        first.commit_state(TradingState.REDUCING)
        first.write(entry())
        first.write(entry(2, outcome=OrderOutcome.DONE, order=4))
        expected = (first.incarnation, first.connection_counter)
    with reopened(path) as second:
        assert expected == (second.incarnation, second.connection_counter)
        assert 2**63 + 9 == second.relay_epoch_seen
        assert TradingState.REDUCING is second.trading_state
        assert entry() == second.find("test/1")
        assert entry(2, outcome=OrderOutcome.DONE, order=4) == second.find("test/2")


def test_a_write_is_seen_by_others_at_once(path):
    """
    Nothing waits for a commit: a process that is killed loses nothing that it wrote.
    """
    with reopened(path) as ledger:
        ledger.write(entry())
        with reopened(path) as other:
            assert entry() == other.find("test/1")


def test_a_lower_epoch_is_not_remembered(path):
    with reopened(path) as ledger:
        ledger.commit_epoch(9)
        ledger.commit_epoch(3)
    with reopened(path) as ledger:
        assert 9 == ledger.relay_epoch_seen


def test_a_new_ledger_is_a_new_incarnation(tmp_path):
    with reopened(tmp_path / "a.sqlite") as one, reopened(tmp_path / "b.sqlite") as other:
        assert 16 == len(one.incarnation)
        assert one.incarnation != other.incarnation


def test_a_new_ledger_counts_on_from_where_no_lost_one_was(path):
    """
    The counter is in the nonce, which must not repeat for a key.
    """
    with reopened(path) as first:
        for _ in range(50):
            first.commit_counter(first.connection_counter + 1)
        used = first.connection_counter
    path.unlink()
    with reopened(path) as second:
        # Fewer than one connection a second since the first began: far fewer in real life.
        assert second.connection_counter + 50 >= used


def test_durability_is_read_back(path):
    with reopened(path) as ledger:
        assert ledger.durable


@pytest.mark.parametrize("journal", ["memory", "off", "delete"])
def test_a_journal_that_is_not_synced_is_not_durable(path, monkeypatch, journal):
    """
    The file system, or a wrapper of SQLite, may not do what the pragma asked for.
    """
    read = SqliteLedger._read

    def refused(self, query):
        if "journal_mode" in query:
            return journal
        return read(self, query)

    monkeypatch.setattr(SqliteLedger, "_read", refused)
    with reopened(path) as ledger:
        assert not ledger.durable


def test_a_sync_that_was_not_taken_is_not_durable(path, monkeypatch):
    read = SqliteLedger._read

    def refused(self, query):
        return 1 if query == "PRAGMA synchronous" else read(self, query)

    monkeypatch.setattr(SqliteLedger, "_read", refused)
    with reopened(path) as ledger:
        assert not ledger.durable


@pytest.mark.parametrize("content", [b"not a database" * 100, b"SQLite format 3\0" + bytes(2000)])
def test_a_damaged_file_is_refused_and_left_alone(path, content):
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=r"damaged.*ledger|ledger.*damaged"):
        SqliteLedger(path)

    assert content == path.read_bytes()


def test_a_transaction_that_a_loss_of_power_cut_off_is_taken_back(path):
    """
    Before there is a write-ahead log, as when the file is made: a connection that only reads
    could not even look at it.
    """
    journal = path.with_name(path.name + "-journal")
    with reopened(path) as ledger:
        ledger.write(entry())
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=DELETE")
        # Much is written before the end of the transaction.
        database.execute("PRAGMA cache_size=1")
        database.execute("BEGIN IMMEDIATE")
        database.execute("CREATE TABLE more(text)")
        database.executemany("INSERT INTO more VALUES(?)", [("x" * 3_000,)] * 300)
        files = {file: file.read_bytes() for file in (path, journal)}
        database.execute("ROLLBACK")
    for file, data in files.items():
        file.write_bytes(data)

    with reopened(path) as ledger:
        assert entry() == ledger.find("test/1")
        assert ledger.durable
        ledger.write(entry(2))


def test_a_damaged_page_is_refused(path):
    with reopened(path) as ledger:
        for number in range(200):
            ledger.write(entry(number))
        ledger._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    data[8192:12288] = bytes(4096)
    path.write_bytes(data)

    with pytest.raises(ConfigError, match="damaged"):
        SqliteLedger(path)


def test_a_damaged_incarnation_is_refused(path):
    with reopened(path) as ledger:
        ledger._database.execute("UPDATE identity SET incarnation='xx'")

    with pytest.raises(ConfigError, match="damaged"):
        SqliteLedger(path)


def test_a_later_version_is_refused(path):
    with reopened(path) as ledger:
        ledger._database.execute("PRAGMA user_version=3")

    with pytest.raises(ConfigError, match="version 3"):
        SqliteLedger(path)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be opened"):
        SqliteLedger(tmp_path / "nowhere" / "ledger.sqlite")


def test_a_state_of_a_later_version_is_halted(path):
    with reopened(path) as ledger:
        ledger.commit_state(9)
    with reopened(path) as ledger:
        assert TradingState.HALTED is ledger.trading_state


def test_a_write_that_fails_says_so(path):
    with reopened(path) as ledger:
        ledger._database.execute("PRAGMA query_only=ON")
        with pytest.raises(LedgerError, match="cannot be written"):
            ledger.write(entry())
        with pytest.raises(LedgerError, match="cannot be written"):
            ledger.commit_counter(1)


def test_an_entry_that_cannot_be_read_says_so(path):
    with reopened(path) as ledger:
        ledger.write(entry())
        ledger._database.execute("UPDATE commands SET content=x'c1'")
        with pytest.raises(LedgerError, match="cannot be read"):
            ledger.find("test/1")


def test_the_tables_are_those_of_the_ea(path):
    """
    ``Support/Identity.mqh`` makes the first one; both programs may come across the other's file.
    """
    with reopened(path) as ledger:
        ledger.write(entry())
    with contextlib.closing(sqlite3.connect(path)) as database:
        columns = [
            [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            for table in ("identity", "trading", "commands")
        ]

    assert [
        ["id", "incarnation", "connection_counter", "relay_epoch_seen"],
        ["id", "state"],
        [
            "command_id",
            "tag",
            "content",
            "attempt",
            "intent_msc",
            "outcome",
            "order_ticket",
            "result",
            "crc",
        ],
    ] == columns


def test_a_memory_ledger_can_break():
    ledger = MemoryLedger(bytes(16))
    ledger.broken = True

    with pytest.raises(LedgerError):
        ledger.write(entry())

    assert ledger.find("test/1") is None
