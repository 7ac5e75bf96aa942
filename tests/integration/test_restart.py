"""Relay, terminal or both end without a word, and come back: numbering and ticks go on."""

from __future__ import annotations

import itertools
import time

import pytest
import zmq

from bridge.bus.bodies import read_status
from bridge.relay.checkpoints import CheckpointFile
from bridge.relay.clock import SystemClock
from bridge.sim.runner import TerminalThread
from tests.support.relay import RelayProcess, RelayThread, Requester, make_settings, port_of
from tests.support.subscriber import Reader, Subscriber, digest_of
from tests.support.terminal import (
    SteadyTerminal,
    make_core,
    make_market,
    tick_of,
)

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
    """
    Return what a reader saw that missed nothing of this range.
    """
    return digest_of(tick_of(seq) for seq in range(first, last + 1))


def flow(terminal, reader, count, *, step=50):
    """
    Let ``count`` ticks happen while the reader reads.
    """
    for _ in range(0, count, step):
        terminal.release("EURUSD", step)
        reader.pump(0.002)
    return terminal.released["EURUSD"]


def noted(relay):
    """
    Wait until the stream is in the relay's checkpoint: a moment after its first tick.
    """
    path = relay.folder / "data"
    deadline = time.monotonic() + 20.0
    while True:
        files = CheckpointFile(path, SystemClock())
        saved = files.load().streams
        files.close(None)
        if saved:
            return
        assert time.monotonic() < deadline


def caught_up(reader, seq):
    reader.until(lambda: reader.log(TOPIC).seq >= seq)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["kill", "stop"])
def test_a_relay_that_ends_comes_back_where_it_was(tmp_path, context, way):
    """Three times, killed or stopped in order, while ticks flow: everything arrives once."""
    with RelayProcess(tmp_path) as relay:
        terminal = SteadyTerminal(relay.endpoints.terminal, relay.keys["demo"])
        with terminal:
            terminal.release("EURUSD", 10)
            reader = reader_of(context, relay)
            noted(relay)
            epochs = []
            for _ in range(3):
                caught_up(reader, flow(terminal, reader, 1_000))
                with Requester(relay.endpoints.request) as ask:
                    epochs.append(ask("ping")["relay_epoch"])
                terminal.release("EURUSD", 500)  # some of it is under way at the end
                getattr(relay, way)()
                terminal.release("EURUSD", 500)
                relay.start()
            last = flow(terminal, reader, 1_000)
            caught_up(reader, last)
            log = reader.log(TOPIC)
            ((epoch, first, end, digest),) = log.seen()
            reader.close()

            assert [] == log.gaps
            assert (6_000 + 1_000 + 10, expected(first, last)) == (end, digest)
            assert sorted(set(epochs)) == epochs
            # One stream, one epoch: the one that the first relay gave it.
            assert {epoch} == {
                one.resume.epoch for one in terminal.subscribes if one.resume is not None
            }


def test_the_same_with_subscribers_that_come_after_the_restart(tmp_path, context):
    """Nobody was there to hold the numbers but the checkpoint and the terminal."""
    with RelayProcess(tmp_path) as relay:
        with SteadyTerminal(relay.endpoints.terminal, relay.keys["demo"]) as terminal:
            terminal.release("EURUSD", 10)
            reader = reader_of(context, relay)
            noted(relay)
            caught_up(reader, flow(terminal, reader, 500))
            epoch = reader.log(TOPIC).epoch
            reader.close()
            relay.kill()
            terminal.release("EURUSD", 500)
            relay.start()
            late = reader_of(context, relay)
            caught_up(late, flow(terminal, late, 500))
            ((again, first, last, digest),) = late.log(TOPIC).seen()
            late.close()

    assert (epoch, 1_510) == (again, last)
    assert expected(first, last) == digest
    assert [] == late.log(TOPIC).gaps


NO_CHECKPOINT = """
from bridge.relay.checkpoints import CheckpointFile
load = CheckpointFile.load
CheckpointFile.load = lambda self: load(self)._replace(streams=[])
"""


def damage(relay):
    path = relay.folder / "data" / "checkpoint.msgpack"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def forget(relay):
    relay.ablation = NO_CHECKPOINT


@pytest.mark.parametrize("what", [damage, forget])
def test_without_its_checkpoint_a_relay_loses_nothing_silently(tmp_path, context, what):
    """A damaged file, or none (the ablation): a new epoch, and everybody knows."""
    with RelayProcess(tmp_path) as relay:
        with SteadyTerminal(relay.endpoints.terminal, relay.keys["demo"]) as terminal:
            terminal.release("EURUSD", 10)
            reader = reader_of(context, relay)
            noted(relay)
            caught_up(reader, flow(terminal, reader, 500))
            epoch = reader.log(TOPIC).epoch
            relay.kill()
            what(relay)
            relay.start()
            reader.until(lambda: reader.log(TOPIC).epoch > epoch)
            flow(terminal, reader, 500)
            log = reader.log(TOPIC)
            runs = log.seen()
            reader.close()

    # The oracle of the tests above, "no gap and one run", does report it.
    assert (epoch, 511, None) == log.gaps[0]
    assert 2 == len(runs)
    assert (epoch, 510) == (runs[0][0], runs[0][2])
    assert runs[1][0] > epoch


def test_a_terminal_that_does_not_resend_is_found_out(tmp_path, context):
    """The ablation of resending: what was not acknowledged is lost, and told as a gap."""
    with RelayProcess(tmp_path) as relay:
        with SteadyTerminal(
            relay.endpoints.terminal, relay.keys["demo"], forgets_unacknowledged=True
        ) as terminal:
            terminal.release("EURUSD", 10)
            reader = reader_of(context, relay)
            noted(relay)
            caught_up(reader, flow(terminal, reader, 500))
            relay.pause()  # what is sent now is never read
            terminal.release("EURUSD", 300)
            terminal.wait_for(lambda: terminal.sent("EURUSD") == 810)
            relay.kill()
            relay.start()
            caught_up(reader, flow(terminal, reader, 500))
            log = reader.log(TOPIC)
            runs = log.seen()
            reader.close()

    assert [(log.epoch, 511, 810)] == log.gaps
    assert [510, 1_310] == [last for _, _, last, _ in runs]


NO_REPEATED_CHECK = """
from bridge.relay.streams import Stream
take = Stream.take
def taking_everything(self, run):
    self.next_seq = run.first_seq
    self.published = 0
    return take(self, run)
Stream.take = taking_everything
"""


@pytest.mark.parametrize("ablation", ["", NO_REPEATED_CHECK])
def test_what_was_published_is_not_published_again(tmp_path, context, ablation):
    """After a cut of the link the terminal resends; with the check by number nobody sees it."""
    with RelayProcess(tmp_path, ablation=ablation) as relay:
        with Requester(relay.endpoints.request) as ask:
            subscriber = Subscriber(context, relay.endpoints.publish, TOPIC)
            with SteadyTerminal(relay.endpoints.terminal, relay.keys["demo"]) as terminal:
                terminal.release("EURUSD", 500)
                seen = [subscriber.receive()[1] for _ in range(500)]
                terminal.repeat("EURUSD", 100)
                terminal.release("EURUSD", 1)
                while not seen or seq_of(seen[-1]) != 501:
                    seen.append(subscriber.receive()[1])
                status = ask("status")
            subscriber.close()

    seqs = [seq_of(body) for body in seen]
    if ablation:
        assert seqs != sorted(set(seqs)), "the ablation was not noticed"
    else:
        assert list(range(1, 502)) == seqs
        assert 501 == status["published"]


def seq_of(body):
    return int.from_bytes(body[7:15], "big")


# --- the terminal -------------------------------------------------------------------------------


def feed(market, first, count):
    """
    Append ticks to the broker's history, in the thread of the terminal.
    """
    ticks = [tick_of(seq) for seq in range(first, first + count)]
    return lambda: market.history.extend("EURUSD", ticks)


def length_of(market):
    return len(market.history.ticks_of("EURUSD"))


def streams(core):
    return "EURUSD" in core.collector.streaming


@pytest.mark.parametrize("way", ["killed", "stopped"])
def test_a_terminal_that_restarts_resumes_without_memory(tmp_path, context, way):
    """The relay's cursor is all it has: nothing is lost, nothing is sent twice."""
    settings, keys = make_settings(tmp_path)
    market = make_market("EURUSD")
    market.history.extend("EURUSD", [tick_of(1)])
    with RelayThread(settings) as relay:
        port = port_of(relay.endpoints.terminal)
        reader = Reader(context, relay.endpoints.request, relay.endpoints.publish, TOPIC)
        last = 1
        for life in range(4):
            core = make_core(keys["demo"], market, connection_counter=life * 100)
            with TerminalThread(core, port) as terminal:
                if life == 0:
                    reader.join()
                assert terminal.wait_for(lambda: streams(core))  # noqa: B023 - this round's

                for _ in range(20):
                    terminal.call_soon(feed(market, last + 1, 50))
                    last += 50
                    reader.pump(0.002)
                assert terminal.wait_for(lambda: length_of(market) == last)  # noqa: B023 - this round's

                if life < 3:
                    terminal.stop(abruptly=way == "killed")
                else:
                    caught_up(reader, last)
            # While it is away the broker goes on.
            market.history.extend("EURUSD", [tick_of(seq) for seq in range(last + 1, last + 31)])
            last += 30
        log = reader.log(TOPIC)
        reader.close()

        assert [] == log.gaps

        ((_, first, end, digest),) = log.seen()
    assert last - 30 == end
    assert expected(first, end) == digest


def test_relay_and_terminal_end_in_the_same_moment(tmp_path, context):
    """
    The checkpoint has the cursor, the broker has the history: numbers and ticks go on.

    What a subscriber did not get of the time just before is in no memory any more: it is told.
    """
    market = make_market("EURUSD")
    market.history.extend("EURUSD", [tick_of(1)])
    with RelayProcess(tmp_path) as relay:
        reader = Reader(context, relay.endpoints.request, relay.endpoints.publish, TOPIC)
        last = 1
        for life in range(3):
            core = make_core(relay.keys["demo"], market, connection_counter=life * 100)
            with TerminalThread(core, port_of(relay.endpoints.terminal)) as terminal:
                if life == 0:
                    reader.join()
                    noted(relay)
                for _ in range(20):
                    terminal.call_soon(feed(market, last + 1, 50))
                    last += 50
                    reader.pump(0.002)
                assert terminal.wait_for(lambda: length_of(market) == last)  # noqa: B023 - this round's

                if life < 2:
                    relay.kill()
                    terminal.stop(abruptly=True)
                else:
                    caught_up(reader, last)
            if life < 2:
                relay.start()
        log = reader.log(TOPIC)
        reader.close()
    runs = log.seen()

    assert {log.epoch} == {epoch for epoch, *_ in (*runs, *log.gaps)}
    assert [digest for *_, digest in runs] == [expected(first, end) for _, first, end, _ in runs]
    # Every number was delivered or told, each once.
    assert last == log.account()[1]


def test_a_terminal_with_a_shorter_history_tells_the_gap(tmp_path, context):
    """What the broker no longer has cannot be resumed: an event, and a gap in the numbers."""
    settings, keys = make_settings(tmp_path)
    market = make_market("EURUSD")
    market.history.extend("EURUSD", [tick_of(seq) for seq in range(1, 101)])
    with RelayThread(settings) as relay:
        port = port_of(relay.endpoints.terminal)
        reader = Reader(context, relay.endpoints.request, relay.endpoints.publish, TOPIC)
        status = Subscriber(context, relay.endpoints.publish, "status/demo")
        with TerminalThread(make_core(keys["demo"], market), port) as terminal:
            reader.join()
            assert terminal.wait_for(lambda: streams(terminal.core))

            terminal.call_soon(feed(market, 101, 100))
            # A stream begins with the latest tick there is: 101 ticks of this epoch.
            caught_up(reader, 101)
            epoch = reader.log(TOPIC).epoch
        other = make_market("EURUSD")
        other.history.extend("EURUSD", [tick_of(seq) for seq in range(5_000, 5_100)])
        core = make_core(keys["demo"], other, connection_counter=100)
        with TerminalThread(core, port) as terminal:
            events = [
                read_status(body)
                for _, body in status.until(lambda _, body: read_status(body).event == "GAP")
            ]
            reader.until(lambda: reader.log(TOPIC).epoch > epoch)
        gaps = reader.log(TOPIC).gaps
        reader.close()
        status.close()

    assert epoch == events[-1].details["old_epoch"]
    assert [(epoch, 102, None)] == list(itertools.islice(gaps, 1))
