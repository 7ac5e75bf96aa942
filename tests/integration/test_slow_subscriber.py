"""Subscribers that do not keep up harm only themselves, and always know what they miss."""

from __future__ import annotations

import time

import pytest
import zmq

from tests.support.relay import RelayProcess, RelayThread, make_settings
from tests.support.subscriber import Reader, digest_of
from tests.support.terminal import SteadyTerminal, tick_of

TOPIC = "tick/demo/EURUSD"


@pytest.fixture
def context():
    made = zmq.Context()
    yield made
    made.destroy(0)


def reader_of(context, relay, **options):
    return Reader(
        context, relay.endpoints.request, relay.endpoints.publish, TOPIC, **options
    ).join()


def expected(first, last):
    return digest_of(tick_of(seq) for seq in range(first, last + 1))


def check_runs(log):
    """
    What was delivered is what the terminal had, each number once.
    """
    for _, first, last, digest in log.seen():
        assert expected(first, last) == digest


@pytest.mark.slow
@pytest.mark.parametrize("held", ["all of it", "a part"])
def test_a_stalled_subscriber_heals_from_the_ring(tmp_path, context, held):
    """
    It reads nothing while its queue overflows, then there is silence: the hole, its end
    included, is replayed as far as the ring holds it, and the rest is told exactly.
    """
    count = 150_000
    ring = 16 * 1024 * 1024 if held == "all of it" else 1024 * 1024
    with (
        RelayProcess(
            tmp_path, limits={"send_hwm": 1_000}, ticks={"ring_bytes_per_topic": ring}
        ) as relay,
        SteadyTerminal(relay.endpoints.terminal, relay.keys["demo"]) as terminal,
    ):
        terminal.release("EURUSD", 10)
        healthy = reader_of(context, relay)
        stalled = reader_of(context, relay, rcvhwm=100, rcvbuf=4_096)
        # A healthy reader's queue is as short: it must not be outrun, or it heals as well.
        for _ in range(count // 500):
            terminal.release("EURUSD", 500)
            healthy.until(lambda: healthy.log(TOPIC).seq >= terminal.released["EURUSD"] - 500)
        last = terminal.released["EURUSD"]
        healthy.until(lambda: healthy.log(TOPIC).seq == last)
        first_held = healthy.asker.ask("snapshot", {"topics": [TOPIC]})["topics"][0]["oldest_seq"]
        stalled.until(lambda: stalled.log(TOPIC).seq == last)
        logs = healthy.log(TOPIC), stalled.log(TOPIC)
        healthy.close()
        stalled.close()

    assert ([], last) == (logs[0].gaps, logs[0].account()[1])
    # It did miss much, and noticed.
    assert logs[1].replayed > 1_000
    assert last == logs[1].account()[1]
    if held == "all of it":
        assert [] == logs[1].gaps
    else:
        # Here and there a message got through. What is told lies before what is held, and
        # the last of it ends exactly there.
        assert first_held - 1 == max(end for _, _, end in logs[1].gaps)
    for log in logs:
        check_runs(log)


def test_a_lost_tail_is_noticed_within_about_a_second(tmp_path, context):
    """The last message before a silence: nothing after it would show the hole; ``relay`` does."""
    settings, keys = make_settings(tmp_path)
    with (
        RelayThread(settings) as relay,
        SteadyTerminal(relay.endpoints.terminal, keys["demo"]) as terminal,
    ):
        terminal.release("EURUSD", 10)
        reader = reader_of(context, relay)
        reader.dropping = frozenset({109, 110})
        reader.until(lambda: reader.log(TOPIC).seq == 10)
        terminal.release("EURUSD", 100)
        # The tails may come right behind the last message, and both be read at once.
        reader.until(lambda: reader.log(TOPIC).seq >= 108)
        begin = time.monotonic()
        reader.until(lambda: reader.log(TOPIC).seq == 110)
        noticed = time.monotonic() - begin
        log = reader.log(TOPIC)
        reader.close()

    assert noticed < 1.6
    assert (2, []) == (log.replayed, log.gaps)
    check_runs(log)


def test_without_tails_a_lost_tail_is_not_noticed(tmp_path, context):
    """The ablation: a subscriber that ignores ``relay`` never learns of it."""
    settings, keys = make_settings(tmp_path)
    with (
        RelayThread(settings) as relay,
        SteadyTerminal(relay.endpoints.terminal, keys["demo"]) as terminal,
    ):
        terminal.release("EURUSD", 10)
        reader = reader_of(context, relay, ignores_tails=True)
        reader.dropping = frozenset({110})
        terminal.release("EURUSD", 100)
        reader.until(lambda: reader.log(TOPIC).seq == 109)
        until = time.monotonic() + 2.2
        while time.monotonic() < until:
            reader.pump()
        log = reader.log(TOPIC)
        reader.close()

    assert (109, 109, False) == (log.seq, log.top, log.is_behind)


def test_a_hole_in_the_middle_is_healed_in_place(tmp_path, context):
    """Behind it wait the messages that came; they are delivered in order, each once."""
    settings, keys = make_settings(tmp_path)
    with (
        RelayThread(settings) as relay,
        SteadyTerminal(relay.endpoints.terminal, keys["demo"]) as terminal,
    ):
        terminal.release("EURUSD", 10)
        reader = reader_of(context, relay)
        reader.dropping = frozenset({50, 60, 61, 62, 99})
        terminal.release("EURUSD", 100)
        reader.until(lambda: reader.log(TOPIC).seq == 110)
        log = reader.log(TOPIC)
        reader.close()

    assert (5, []) == (log.replayed, log.gaps)
    assert 1 == len(log.seen())
    check_runs(log)
