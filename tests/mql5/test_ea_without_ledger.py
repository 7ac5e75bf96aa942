"""The Expert Advisor whose ledger cannot be used: no trading, one clear line, and ticks go on."""

from __future__ import annotations

import pytest

from tests.mql5.scenarios.expert import why_not
from tests.mql5.scenarios.market_bench import market_bench

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
    pytest.mark.slow,
    pytest.mark.timeout(300),
]

SENTENCE = "no trading, ticks go on: "


@pytest.fixture
def bench(tmp_path):
    with market_bench(tmp_path) as made:
        yield made


def ledgers(bench):
    """
    Return the files of ledgers.
    """
    return list((bench.folder / "terminal" / "MQL5" / "Files" / "Bridge").glob("*.sqlite"))


def sentences(bench):
    return [line for line in bench.process.said() if SENTENCE in line]


def stream(bench, *numbers):
    """
    Let ticks come, and look that they arrive.
    """
    bench.append(*numbers)
    bench.wait(0.2)
    assert list(range(1, numbers[-1] + 1)) == bench.numbers()


def again(bench):
    """
    Cut the connection; the terminal comes back.
    """
    bench.relay.hang_up()
    bench.log_on()
    bench.begin()


def test_a_damaged_ledger_keeps_nobody_from_streaming(bench):
    bench.append(1)
    bench.start().begin()
    stream(bench, 2)
    known = bench.relay.session.hello.incarnation
    (path,) = ledgers(bench)
    bench.stop()
    sound = path.read_bytes()
    path.write_bytes(b"no database" * 500)

    bench.start().begin()
    stream(bench, 3)
    again(bench)
    stream(bench, 4)

    (line,) = sentences(bench)
    assert path.name in line
    assert "move it away" in line
    assert known != bench.relay.session.hello.incarnation
    assert b"no database" * 500 == path.read_bytes()

    # A person puts it right: the next connection is the known terminal's again.
    path.write_bytes(sound)
    again(bench)
    stream(bench, 5)
    assert known == bench.relay.session.hello.incarnation


@pytest.mark.parametrize(
    ("mode", "why"), [("full", "the disk is full"), ("busy", "another program uses it")]
)
def test_a_ledger_that_cannot_be_written_keeps_nobody_from_streaming(bench, mode, why):
    bench.append(1)
    bench.start().begin()
    stream(bench, 2)
    known = bench.relay.session.hello
    bench.process.set_option("sqlite", mode)
    stream(bench, 3)
    again(bench)
    stream(bench, 4)
    other = bench.relay.session.hello
    again(bench)

    (line,) = sentences(bench)
    assert why in line
    assert known.incarnation != other.incarnation
    assert len({known.nonce, other.nonce, bench.relay.session.hello.nonce}) == 3

    bench.process.set_option("sqlite", "")
    again(bench)
    stream(bench, 5)
    assert known.incarnation == bench.relay.session.hello.incarnation
    assert known.connection_counter < bench.relay.session.hello.connection_counter
