"""The relay as a whole: how it starts, what it tells, how it ends."""

from __future__ import annotations

import contextlib
import json
import socket
import threading

import msgpack
import pytest
import zmq

from bridge.bus.bodies import read_relay
from bridge.bus.requests import BUS_VERSION
from bridge.bus.topics import exact, split_message
from bridge.config import TradingSettings
from bridge.exceptions import ConfigError, DataFolderInUse, EndpointInUse
from bridge.journal import Journal, SqliteStore
from bridge.journal.schema import _REMOVED_AT_ONCE
from bridge.model.record import Cursor
from bridge.relay import core as module
from bridge.relay.app import Relay, program_name
from bridge.relay.checkpoints import CheckpointFile
from bridge.relay.clock import SystemClock
from bridge.relay.control import CONTROL_FILE
from bridge.wire.messages import Request, Subscribe
from bridge.wire.spec import LogoutCode
from tests.support.bench import logged
from tests.support.journal import make_entry
from tests.support.relay import RelayThread, Requester, make_settings
from tests.support.terminal import ScriptedTerminal, cursor_of

ENDPOINTS = ("terminal", "request", "publish", "control")


@pytest.fixture
def settings(tmp_path):
    made, _ = make_settings(tmp_path)
    return made


@contextlib.contextmanager
def subscriber(relay, *topics):
    """
    A SUB socket of the relay, subscribed to these topics.
    """
    context = zmq.Context()
    sub = context.socket(zmq.SUB)
    sub.linger = 0
    sub.rcvtimeo = 10_000
    for topic in topics:
        sub.subscribe(topic if isinstance(topic, bytes) else exact(topic))
    sub.connect(relay.endpoints.publish)
    try:
        yield sub
    finally:
        sub.close()
        context.destroy(0)


def saved(settings):
    files = CheckpointFile(settings.relay.data_dir, SystemClock())
    try:
        return files.load()
    finally:
        files.close(None)


# --- start ------------------------------------------------------------------------------------


def test_a_relay_without_terminals_does_not_start(tmp_path):
    """It would serve nobody; the error names the command that helps."""
    settings, _ = make_settings(tmp_path, aliases=())

    with pytest.raises(ConfigError, match="bridge init") as caught:
        Relay(settings)

    assert "terminals" == caught.value.key


def test_a_key_that_cannot_be_read_stops_the_start(tmp_path):
    """Before anything is bound."""
    settings, _ = make_settings(tmp_path)
    settings.terminals["demo"].key_file.unlink()

    with pytest.raises(ConfigError):
        Relay(settings)


def test_free_ports_are_told(settings):
    """To the caller, in the control file, and by ``ping``."""
    with RelayThread(settings) as relay, Requester(relay.endpoints.request) as ask:
        control = json.loads((settings.relay.data_dir / CONTROL_FILE).read_text())
        pong = ask("ping")

        assert relay.endpoints._asdict() == control["endpoints"]
        assert all(endpoint.startswith("tcp://127.0.0.1:") for endpoint in relay.endpoints)
        assert 4 == len(set(relay.endpoints))
        assert (relay.endpoints.publish, BUS_VERSION, program_name()) == (
            pong["publish"],
            pong["bus_version"],
            pong["program"],
        )


@pytest.mark.parametrize("name", ENDPOINTS)
def test_a_port_that_is_taken_is_named_with_its_setting(tmp_path, name):
    """And nothing stays bound or locked: the next start succeeds."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        endpoint = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        settings, _ = make_settings(tmp_path, endpoints={name: endpoint})

        with pytest.raises(EndpointInUse, match=endpoint) as caught:
            Relay(settings).run()

        assert f"endpoints.{name}" == caught.value.key
        assert not (settings.relay.data_dir / CONTROL_FILE).exists()

    with RelayThread(settings) as relay:
        assert endpoint == getattr(relay.endpoints, name)


def test_one_relay_a_data_folder(settings):
    """Two would write one checkpoint."""
    with RelayThread(settings), pytest.raises(DataFolderInUse):
        Relay(settings).run()

    with RelayThread(settings):
        pass


def test_a_data_folder_that_is_a_file(settings):
    """Named, with what the operating system said."""
    settings.relay.data_dir.write_text("")

    with pytest.raises(ConfigError, match="cannot be used") as caught:
        Relay(settings).run()

    assert "relay.data_dir" == caught.value.key
    assert str(settings.relay.data_dir) == caught.value.hint


def test_a_data_folder_that_cannot_be_written(settings):
    """The new epoch must be on disk before anything is served with it."""
    (settings.relay.data_dir / "checkpoint.new").mkdir(parents=True)

    with pytest.raises(ConfigError, match="cannot be written") as caught:
        Relay(settings).run()

    assert "relay.data_dir" == caught.value.key


def epoch_of_a_start(settings):
    with RelayThread(settings) as relay, Requester(relay.endpoints.request) as ask:
        return ask("ping")["relay_epoch"]


def test_the_epoch_grows_with_every_start(settings):
    """Also twice in a second, and when the clock was put back."""
    first, second = epoch_of_a_start(settings), epoch_of_a_start(settings)

    assert first < second


def test_the_epoch_grows_when_the_clock_was_put_back(settings, monkeypatch):
    """It is on disk, not only in the clock."""
    first = epoch_of_a_start(settings)
    monkeypatch.setattr(SystemClock, "utc_msc", lambda _: 1_000_000)

    assert first < epoch_of_a_start(settings)


def test_the_epoch_is_on_disk_before_anything_is_served(settings):
    """A kill at once after the start must not use the number again."""
    seen: list[int] = []

    def ready(_endpoints):
        seen.append(saved(settings).epoch)
        relay.stop("seen")

    relay = Relay(settings, on_ready=ready)
    relay.run()

    assert relay.core is not None
    assert relay.core.epoch <= seen[0]


def test_no_epoch_is_used_twice_when_nothing_could_be_written(tmp_path, monkeypatch):
    """A kill before the disk took the checkpoint, in the same second: all numbers are new."""
    monkeypatch.setattr(SystemClock, "utc_msc", lambda _: 1_700_000_000_000)
    monkeypatch.setattr(CheckpointFile, "save", lambda self, checkpoint: None)
    close = CheckpointFile.close
    monkeypatch.setattr(CheckpointFile, "close", lambda self, last: close(self, None))
    settings, keys = make_settings(tmp_path)
    symbols = [f"S{number}" for number in range(30)]
    lives = []
    for order in (symbols, symbols[::-1]):
        with (
            RelayThread(settings) as relay,
            ScriptedTerminal(relay.endpoints.terminal, keys["demo"]) as terminal,
            subscriber(relay, *(f"tick/demo/{symbol}" for symbol in order)),
        ):
            lives.append([terminal.expect(Subscribe).fresh_epoch for _ in symbols])

    assert max(lives[0]) < min(lives[1])


def test_a_damaged_checkpoint_does_not_stop_the_relay(settings, caplog):
    """It is put aside and said; streams begin new epochs."""
    settings.relay.data_dir.mkdir()
    (settings.relay.data_dir / "checkpoint.msgpack").write_bytes(b"garbage")
    with RelayThread(settings):
        assert 1 == len(list(settings.relay.data_dir.glob("checkpoint.damaged-*")))
    assert "damaged" in logged(caplog)[0]["event"]


def test_no_epoch_is_used_twice_after_a_damage(settings):
    """The file that knew which ones were used is gone; the relay skips far ahead."""
    used = epoch_of_a_start(settings) + 1_000
    (settings.relay.data_dir / "checkpoint.msgpack").write_bytes(b"garbage")

    assert used < epoch_of_a_start(settings)


# --- what it tells -----------------------------------------------------------------------------


def test_the_status_shows_everything(tmp_path):
    """Terminals, streams, counters, folders."""
    settings, keys = make_settings(tmp_path, aliases=("demo", "other"))
    with (
        RelayThread(settings) as relay,
        Requester(relay.endpoints.request) as ask,
        ScriptedTerminal(relay.endpoints.terminal, keys["demo"]) as terminal,
        subscriber(relay, "tick/demo/EURUSD") as sub,
    ):
        epoch = terminal.accept_stream(terminal.expect(Subscribe))
        terminal.send_ticks(1, epoch, 1, 5)
        for _ in range(5):
            sub.recv()
        status = ask("status")

        assert [("demo", "connected"), ("other", "away")] == [
            (entry["alias"], entry["state"]) for entry in status["terminals"]
        ]
        assert [
            {
                "topic": "tick/demo/EURUSD",
                "state": "streaming",
                "epoch": epoch,
                "seq": 5,
                "ticks": 5,
                "oldest_seq": 1,
                "subscribed": True,
                "error": "",
            }
        ] == status["streams"]
        assert (5, 1, 0) == (
            status["published"],
            status["requests"],
            status["refused_connections"],
        )
        assert relay.endpoints._asdict() == status["endpoints"]
        assert str(settings.relay.data_dir) == status["data_dir"]
        assert status["ring_bytes"] > 5 * 66
        assert status["uptime_ms"] >= 0


@pytest.mark.parametrize(
    "topic",
    [
        b"tick/demo/EURUSD",
        b"tick/demo/",
        b"",
        b"tick/nope/EURUSD\0",
        b"tick/demo/\xff\0",
        b"tick/demo/\0",
        b"ticks/demo\0",
        b"status/demo\0",
        b"\0",
    ],
)
def test_only_an_exact_tick_topic_makes_a_terminal_stream(settings, topic):
    """A prefix selects nothing; what is no topic is nothing."""
    with RelayThread(settings) as relay, Requester(relay.endpoints.request) as ask:
        with subscriber(relay, topic, "tick/demo/LAST"):
            # XPUB takes subscriptions in their order: after the last one all were read.
            wait_for(lambda: streams_of(ask) == ["tick/demo/LAST"])


def streams_of(ask):
    return [stream["topic"] for stream in ask("status")["streams"]]


def wait_for(happened):
    """
    Wait until something is true, asking as fast as the relay answers.
    """
    until = threading.Event()
    timer = threading.Timer(10.0, until.set)
    timer.start()
    try:
        while not happened():
            assert not until.is_set(), "it did not happen in time"
    finally:
        timer.cancel()


def test_tails_come_every_second(settings):
    """With nothing to tell they tell that the relay lives."""
    with RelayThread(settings) as relay, subscriber(relay, "relay") as sub:
        first = read_relay(split_message(sub.recv())[1])
        second = read_relay(split_message(sub.recv())[1])

        assert 1 == second.seq - first.seq
        assert 900 <= second.time_utc_msc - first.time_utc_msc <= 3_000


def test_what_fails_in_the_loop_is_logged(settings, caplog, monkeypatch):
    """A defect is never silent, and the relay goes on."""

    def broken(_self):
        monkeypatch.undo()
        raise RuntimeError("broken")

    with RelayThread(settings) as relay, Requester(relay.endpoints.request) as ask:
        monkeypatch.setattr(module.Router, "poll", lambda self, now: broken(self))
        ask("ping")
        wait_for(lambda: logged(caplog, "defect"))

        assert ask("ping")


def test_what_fails_in_what_is_done_in_time_is_logged(settings, caplog, monkeypatch):
    """Nobody asked for it, and it is no reason to end either."""

    def broken(_self):
        monkeypatch.undo()
        raise RuntimeError("broken")

    with RelayThread(settings) as relay, Requester(relay.endpoints.request) as ask:
        monkeypatch.setattr(module.RelayCore, "tick", broken)
        wait_for(lambda: logged(caplog, "defect"))

        assert ask("ping")


# --- stop -----------------------------------------------------------------------------------------


def test_a_stop_before_the_start_is_kept(settings):
    """A signal during the start is not lost."""
    relay = Relay(settings)
    relay.stop("too early")
    relay.run()

    assert relay.endpoints is None


def test_stopping_twice_is_stopping(settings):
    """And after the end it does nothing."""
    relay = RelayThread(settings).start()
    relay.relay.stop("one")
    relay.stop()
    relay.relay.stop("three")


def test_the_control_endpoint_stops_the_relay(settings):
    """Whoever can read the token file may; the reply still arrives."""
    relay = RelayThread(settings).start()
    token = json.loads((settings.relay.data_dir / CONTROL_FILE).read_text())["token"]
    with Requester(relay.endpoints.control) as ask:
        assert {"stopping": True} == ask.ask("stop", {}, token=token)["result"]

    relay._thread.join(20)

    assert not relay._thread.is_alive()
    assert not (settings.relay.data_dir / CONTROL_FILE).exists()


def test_a_graceful_stop_says_good_bye(tmp_path):
    """Terminals get a LOGOUT, clients their replies, subscribers the tails, the disk the cursors."""
    settings, keys = make_settings(tmp_path)
    relay = RelayThread(settings).start()
    context = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.linger = 0
    dealer.rcvtimeo = 10_000
    dealer.connect(relay.endpoints.request)
    try:
        with (
            ScriptedTerminal(relay.endpoints.terminal, keys["demo"]) as terminal,
            subscriber(relay, "tick/demo/EURUSD", "tick/demo/SLOW", "relay") as sub,
        ):
            wanted = terminal.expect(Subscribe, lambda message: message.symbol == "EURUSD")
            epoch = terminal.accept_stream(wanted)
            terminal.expect(Subscribe)  # SLOW is never answered
            terminal.send_ticks(1, epoch, 1, 5)
            seen = []
            while len(seen) < 5:
                topic, body = split_message(sub.recv())
                seen += [body] if topic == "tick/demo/EURUSD" else []
            dealer.send(
                msgpack.packb({"id": 1, "method": "symbol", "params": {"symbol": "EURUSD"}})
            )
            terminal.expect(Request)
            snapshot = {"topics": ["tick/demo/SLOW"], "wait_ms": 60_000}
            dealer.send(msgpack.packb({"id": 2, "method": "snapshot", "params": snapshot}))
            dealer.send(msgpack.packb({"id": 3, "method": "ping"}))
            replies = [msgpack.unpackb(dealer.recv())]
            relay.stop()
            end = terminal.expect_end()
            replies += [msgpack.unpackb(dealer.recv()) for _ in range(2)]
            tails = [read_relay(split_message(sub.recv())[1]).tails]
            while sub.poll(0):
                tails.append(read_relay(split_message(sub.recv())[1]).tails)
    finally:
        dealer.close()
        context.destroy(0)

    assert (LogoutCode.SHUTTING_DOWN, 1_000) == (end.code, end.retry_after_ms)
    assert [1, 2, 3] == sorted(reply["id"] for reply in replies)
    assert "TERMINAL_UNAVAILABLE" == next(r for r in replies if r["id"] == 1)["error"]["code"]
    assert next(r for r in replies if r["id"] == 2)["ok"]
    assert ("tick/demo/EURUSD", epoch, 5) in [tuple(tail) for part in tails for tail in part]
    assert [("EURUSD", epoch, 5, Cursor(*cursor_of(5)))] == [
        (stream.symbol, stream.epoch, stream.seq, stream.cursor)
        for stream in saved(settings).streams
    ]


def test_streams_go_on_after_a_restart(tmp_path):
    """The terminal is offered what the checkpoint holds; a refused symbol is not in it."""
    settings, keys = make_settings(tmp_path)
    with (
        RelayThread(settings) as relay,
        ScriptedTerminal(relay.endpoints.terminal, keys["demo"]) as terminal,
        subscriber(relay, "tick/demo/EURUSD", "tick/demo/NOPE") as sub,
    ):
        wanted = terminal.expect(Subscribe, lambda message: message.symbol == "EURUSD")
        terminal.refuse_stream(terminal.expect(Subscribe))
        epoch = terminal.accept_stream(wanted)
        terminal.send_ticks(1, epoch, 1, 5)
        for _ in range(5):
            sub.recv()

    with (
        RelayThread(settings) as relay,
        ScriptedTerminal(relay.endpoints.terminal, keys["demo"]) as terminal,
    ):
        wanted = terminal.expect(Subscribe)

        assert ("EURUSD", (epoch, 5, Cursor(*cursor_of(5)), 1)) == (wanted.symbol, wanted.resume)
        assert wanted.fresh_epoch > epoch


def test_a_stream_of_an_alias_that_is_gone_is_left_out(tmp_path):
    """Somebody took the terminal out of the configuration."""
    settings, keys = make_settings(tmp_path)
    with (
        RelayThread(settings) as relay,
        ScriptedTerminal(relay.endpoints.terminal, keys["demo"]) as terminal,
        subscriber(relay, "tick/demo/EURUSD") as sub,
    ):
        epoch = terminal.accept_stream(terminal.expect(Subscribe))
        terminal.send_ticks(1, epoch, 1, 1)
        sub.recv()
    other, _ = make_settings(tmp_path, aliases=("other",))
    with RelayThread(other) as relay, Requester(relay.endpoints.request) as ask:
        assert [] == ask("status")["streams"]


def test_the_cursor_is_on_disk_within_the_interval(tmp_path):
    """A kill loses no more than the setting says."""
    settings, keys = make_settings(tmp_path, ticks={"checkpoint_interval_s": 0.05})
    with (
        RelayThread(settings) as relay,
        ScriptedTerminal(relay.endpoints.terminal, keys["demo"]) as terminal,
        subscriber(relay, "tick/demo/EURUSD"),
    ):
        epoch = terminal.accept_stream(terminal.expect(Subscribe))
        terminal.send_ticks(1, epoch, 1, 500)
        terminal.until(
            lambda: [500] == [stream.seq for stream in saved(settings).streams], within_s=10
        )


# --- the journal ------------------------------------------------------------------------------


def test_what_is_old_leaves_the_journal_while_the_relay_runs(settings, monkeypatch):
    enough = threading.Event()
    times = []

    def expire(self, now_utc_msc):
        times.append(now_utc_msc)
        if len(times) > 2:
            enough.set()

    monkeypatch.setattr(module.Journal, "expire", expire)
    monkeypatch.setattr(module, "_EXPIRE_EVERY_US", 1)
    with RelayThread(settings):
        assert enough.wait(10)


def test_what_is_old_leaves_the_journal_faster_than_orders_can_come():
    """Else the journal of a busy relay grows until the disk is full."""
    expired_a_minute = _REMOVED_AT_ONCE * 60_000_000 / module._EXPIRE_EVERY_US
    orders_a_minute = TradingSettings().max_orders_per_minute

    assert expired_a_minute > 4 * orders_a_minute


def test_open_orders_of_a_terminal_that_is_not_configured_any_more_are_told(settings, caplog):
    """As when it got another name: nobody asks what became of them."""
    settings.relay.data_dir.mkdir(parents=True, exist_ok=True)
    journal = Journal(SqliteStore(settings.journal_file, deliver=lambda call: call()))
    journal.load()
    journal.reserve([make_entry("c/1", alias="old name")], lambda _: None)
    journal.close()
    with RelayThread(settings):
        (told,) = logged(caplog, "open orders of a terminal that is not configured")

    assert ("old name", "c/1") == (told["terminal"], told["id"])
