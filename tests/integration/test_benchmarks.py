"""The benchmark's own programs: what they send goes through a relay whole and in order.

Nothing here looks at a clock: how fast it is, ``make bench`` tells.
"""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import orders, rows
from benchmarks.building import build, missing_tools
from benchmarks.processes import ALIAS, BenchmarkError, Processes, cpu_ns, rss_mib
from benchmarks.rounds import Run, c_source, pyzmq_source, relay_source

linux = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks read /proc")


@pytest.fixture(scope="module")
def programs():
    problem = missing_tools()
    if problem:
        pytest.skip(problem)
    return build()


@pytest.fixture(scope="module")
def relay(programs, tmp_path_factory):
    with Processes() as processes:
        folder = tmp_path_factory.mktemp("relay")
        yield relay_source("relay", programs, processes, folder)


@pytest.fixture
def processes():
    with Processes() as processes:
        yield processes


@linux
@pytest.mark.parametrize(
    "options",
    [
        {"batch": 64},
        {"batch": 8},
        {"batch": 1},
        {"batch": 64, "run": 4},
        {"batch": 50, "run": 7},
    ],
    ids=str,
)
def test_flood_arrives_whole_and_in_order(relay, options):
    """Some 5,000 ticks, so that the last frame is not a full one and the window fills."""
    relay.join(1)

    run = relay.flood(5_003, **options)

    assert run.problem == ""
    assert run.sent == 5_003


@linux
def test_paced_ticks_carry_their_stamps(relay):
    relay.join(1)

    run = relay.pace(500, 1_000)

    assert run.problem == ""
    assert run.p99_us >= run.p50_us > 0


@linux
def test_every_subscriber_receives_everything(relay):
    relay.join(3)

    run = relay.flood(5_003, batch=64)

    assert run.problem == ""


@linux
def test_streams_go_on_after_the_subscribers_were_replaced(relay):
    """The second subscriber joins streams that have sequence numbers behind them."""
    for _ in range(2):
        relay.join(1)
        assert relay.flood(1_000, batch=8).problem == ""


@linux
def test_a_python_subscriber_counts_the_same(relay):
    relay.join(1, python=True)

    assert relay.flood(2_000, batch=64).problem == ""


@linux
def test_references_are_driven_in_the_same_way(programs, processes):
    c = c_source(programs, processes)
    loop, versions = pyzmq_source(programs, processes)
    hop = c_source(programs, processes, hop=True)
    for source in (c, hop, loop):
        source.join(2)
        assert source.flood(5_003).problem == ""
    assert c.pace(500, 1_000).problem == ""
    assert hop.pace(500, 1_000).problem == ""
    assert versions.startswith("pyzmq ")


@linux
def test_generator_with_another_key_says_why(programs, processes, relay, tmp_path):
    """The generator checks the relay's proof before it gives its own."""
    key_file = tmp_path / "other.key"
    key_file.write_text("ab" * 32)
    port = relay.publisher.process.args[relay.publisher.process.args.index("--port") + 1]
    command = ["--port", port, "--alias", ALIAS, "--key-file", str(key_file)]
    stranger = processes.helper("stranger", [str(programs["generator"]), *command])

    with pytest.raises(BenchmarkError, match="does not have this terminal's key"):
        stranger.answer()


@linux
def test_no_process_is_left_behind(programs):
    with Processes() as processes:
        source = c_source(programs, processes)
        source.join(1)
        process = source.publisher.process
        assert cpu_ns(process.pid) > 0
        assert rss_mib(process.pid) > 0

    assert process.poll() is not None


@linux
@pytest.mark.parametrize("memory", [False, True], ids=["on disk", "in memory"])
def test_orders_go_through_a_relay_with_either_journal(processes, tmp_path, memory):
    bench = orders.OrderRelay(processes, tmp_path / "relay", memory=memory)
    found = bench.orders.timed(20)
    bench.orders.close()
    journal = tmp_path / "relay" / "data" / "journal.sqlite"

    assert found.p99 >= found.p50 > 0
    # The one difference between the two.
    assert journal.exists() is not memory


@linux
def test_ticks_are_paced_beside_orders(processes, programs, tmp_path):
    bench = orders.OrderRelay(processes, tmp_path / "relay")
    source = relay_source("relay", programs, processes, relay=bench.relay)
    source.join(1)
    with orders.Load(bench.orders, 50) as load:
        run = source.pace(500, 1_000)
    bench.orders.close()

    assert ("", "") == (run.problem, load.problem)
    assert load.sent > 0


def test_a_bare_commit_is_durable_and_timed(tmp_path):
    commits = orders.Commits(tmp_path / "bare.sqlite")
    found = commits.timed(5)
    commits.close()

    assert found.p99 >= found.p50 > 0


def of_orders(p50, p99=10.0):
    return [orders.Timed(p50, p99)] * 3


def of_ticks(p99_us, problem=""):
    return [Run(1, 1.0, 1.0, 1.0, p99_us, False, problem)] * 3


def rows_of(**problems):
    found = orders.rows_of(
        {
            "on disk": of_orders(2.0, 9.0),
            "in memory": of_orders(1.2, 7.5),
            "on disk again": of_orders(2.5),
            "bare commit": of_orders(0.25),
        },
        {
            "ticks alone": of_ticks(200.0),
            "ticks with orders": of_ticks(220.0, **problems),
            "ticks alone again": of_ticks(250.0),
        },
    )
    return {row.name: row for row in found}


def test_what_is_durable_costs_the_difference_within_a_round():
    found = {name: row.value for name, row in rows_of().items()}

    assert (0.8, 1.5, 3.2, 0.3) == tuple(
        pytest.approx(found[name])
        for name in (
            "durable_p50_ms",
            "durable_p99_ms",
            "durable_p50_vs_fsync",
            "durable_p50_own_ms",
        )
    )
    assert pytest.approx(1.1) == found["tick_p99_with_orders_ratio"]
    assert pytest.approx(0.8) == found["aa_order_p50"]


def test_the_gates_of_orders_fail_for_what_is_too_slow_or_was_not_sent():
    assert [name for name, row in rows_of().items() if not row.ok] == ["durable_p50_ms"]
    assert not rows_of(problem="only 3 orders")["tick_p99_with_orders_ratio"].ok


def test_a_row_is_the_median_between_the_quartiles():
    row = rows.ratios("ceiling_vs_pyzmq", [(1.0, 2.0), (3.0, 4.0), (9.0, 10.0)])

    assert (row.value, row.low, row.high, row.pairs) == (0.75, 0.625, 0.825, 3)
    assert row.gate == ">= 0.6"
    assert row.ok


def test_a_gate_fails_on_the_wrong_side_or_when_something_was_lost():
    good = [(1.0, 1.0)] * 3

    assert not rows.ratios("ceiling_vs_pyzmq", [(1.0, 2.0)] * 3).ok
    assert not rows.ratios("cpu_vs_pyzmq", [(2.0, 1.0)] * 3).ok
    assert not rows.ratios("ceiling_vs_pyzmq", good[:2]).ok
    assert not rows.ratios("ceiling_vs_pyzmq", good, "received 1 of 2").ok
    assert not rows.ratios("aa_ceiling", []).ok
    assert rows.ratios("aa_ceiling", good).ok


def test_latencies_are_compared_by_their_lower_quartiles():
    pairs = [(100.0, 50.0), (100.0, 50.0), (100.0, 50.0), (100.0, 50.0), (9_000.0, 50.0)]

    assert rows.quartile_ratio("p50_10k_vs_c", pairs).value == 2.0


def test_the_document_has_the_fields_that_were_promised():
    document = json.loads(rows.document([rows.measured("rss_idle_mib", [43.21987])]))

    assert document == {
        "v": 1,
        "rows": {
            "rss_idle_mib": {
                "value": 43.22,
                "low": 43.22,
                "high": 43.22,
                "gate": "<= 60.0",
                "ok": True,
                "pairs": 1,
            }
        },
    }


def test_every_row_with_a_gate_is_explained():
    names = {*rows.GATES, *rows_of()}
    table = rows.table([rows.measured(name, [1.0]) for name in names])

    assert all(len(line.split("  ")) > 5 for line in table.splitlines())
