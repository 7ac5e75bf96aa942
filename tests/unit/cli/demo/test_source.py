"""
What must arrive is computed apart from what is sent.
"""

from __future__ import annotations

import hashlib
import struct

import pytest

from bridge.cli.demo import source
from bridge.cli.demo.source import Expected, FileTicks, SyntheticTicks
from bridge.exceptions import TickFileError
from bridge.model.tick import MqlTick
from bridge.sim.tickfile import write_ticks

EURUSD = [MqlTick(1_000 + n, 1.1 + n / 1000, 1.2) for n in range(3)]
USDJPY = [MqlTick(1_001 + n, 100.0, 101.0 + n) for n in range(2)]


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / "USDJPY_20240101.csv", tmp_path / "EURUSD_20240101.csv"]
    write_ticks(paths[0], USDJPY, digits=3)
    write_ticks(paths[1], EURUSD, digits=5)
    return paths


def test_the_digest_is_over_time_bid_and_ask():
    packed = [struct.pack("<qdd", tick.time_msc, tick.bid, tick.ask) for tick in EURUSD]

    assert source.digest(map(source.pack, EURUSD)) == Expected(
        3, hashlib.sha256(b"".join(packed)).hexdigest()
    )


def test_files_are_merged_by_time_and_each_is_complete(files):
    ticks = FileTicks(files)

    assert [tick.time_msc for _, tick in ticks.pairs()] == [1000, 1001, 1001, 1002, 1002]
    assert [tick for name, tick in ticks.pairs() if name == "EURUSD"] == EURUSD
    assert [tick for name, tick in ticks.each() if name == "USDJPY"] == USDJPY
    assert ticks.first("USDJPY") == USDJPY[0]
    assert ticks.name == "USDJPY_20240101.csv, EURUSD_20240101.csv"


def test_what_must_arrive_of_files(files):
    assert source.expected(FileTicks(files)) == {
        "EURUSD": source.digest(map(source.pack, EURUSD)),
        "USDJPY": source.digest(map(source.pack, USDJPY)),
    }


def test_one_symbol_in_two_files_is_refused(files, tmp_path):
    again = tmp_path / "EURUSD_20240102.csv"

    with pytest.raises(TickFileError, match="has the file"):
        FileTicks([*files, again])


def test_a_synthetic_source_is_the_same_every_time():
    ticks = SyntheticTicks(symbols=("EURUSD", "ES"), count=200, rate_hz=5, seed=4, start_msc=0)

    assert list(ticks.pairs()) == list(ticks.each())
    assert sum(one.ticks for one in source.expected(ticks).values()) == 200
    assert ("ES", ticks.first("ES")) == next(pair for pair in ticks.pairs() if pair[0] == "ES")


def test_long_work_tells_how_far_it_is(monkeypatch):
    monkeypatch.setattr(source, "_PROGRESS_EVERY", 50)
    ticks = SyntheticTicks(symbols=("EURUSD",), count=120, rate_hz=5, seed=4, start_msc=0)
    told = []

    source.expected(ticks, told.append)

    assert told == [50, 100]


def test_the_digest_of_all_depends_on_every_part():
    one = {"A": Expected(1, "x"), "B": Expected(2, "y")}

    assert source.combined(one) == source.combined(dict(reversed(one.items())))
    assert source.combined(one) != source.combined({**one, "B": Expected(2, "z")})
    assert source.combined(one) != source.combined({**one, "B": Expected(3, "y")})
