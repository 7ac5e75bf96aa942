"""``bridge.sim.runner``: a simulated terminal against a minimal relay on a real socket."""

from __future__ import annotations

import contextlib
import secrets
import select
import socket
import threading
import time

import pytest

from bridge.model.record import Cursor, check_records, unpack_records
from bridge.model.symbol import SymbolSpec
from bridge.model.tick import MqlTick
from bridge.sim.feed import ReplayFeed
from bridge.sim.ledger import SqliteLedger
from bridge.sim.link import Direction, Link
from bridge.sim.market import Market
from bridge.sim.runner import TerminalThread, run_terminal
from bridge.sim.terminal import Account, TerminalCore
from bridge.wire.events import Closed, HelloReceived, LogonRequested, Ticks
from bridge.wire.messages import Resume, Stream, Subscribe
from bridge.wire.protocol import RelaySession
from bridge.wire.spec import CAPABILITIES, LogoutCode

KEY = bytes(range(32))
T0 = 1_546_383_600_000
DEADLINE_S = 20.0


def tick(number):
    return MqlTick(T0 + number, 1.0 + number / 1e5, 2.0)


def make_core(**options):
    values = {
        "key": KEY,
        "key_id": "demo",
        "account": Account(login=1001, server="Demo-Server"),
        "market": Market([SymbolSpec(name="EURUSD"), SymbolSpec(name="USDJPY")]),
        "incarnation": bytes(16),
        "connection_counter": time.time_ns(),
    }
    return TerminalCore(**(values | options))


class MinimalRelay:
    """
    One connection at a time, a session, everything that was streamed. Subscribes at logon.
    """

    def __init__(self, *symbols, port=0):
        self.symbols = symbols or ("EURUSD",)
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        self.records = {symbol: {} for symbol in self.symbols}
        self.resumes = {}
        self.hellos = []
        self.ends = []
        self.gaps = 0
        self.reads = True
        self._epoch = 0
        self._names = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopping = True
        self._thread.join(DEADLINE_S)
        self.listener.close()

    def wait_for(self, condition):
        with self._changed:
            assert self._changed.wait_for(condition, DEADLINE_S), "not in time"

    def numbers(self, symbol="EURUSD"):
        with self._changed:
            records = sorted(self.records[symbol].items())
        return [record.time_msc - T0 for _, record in records]

    def _run(self):
        while not self._stopping:
            if select.select([self.listener], [], [], 0.05)[0]:
                connection, _ = self.listener.accept()
                with contextlib.suppress(ConnectionError), connection:
                    self._serve(connection)

    def _serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session = RelaySession(_now())
        while not self._stopping and not session.closed:
            if self.reads and select.select([connection], [], [], 0.01)[0]:
                data = connection.recv(262_144)
                if data:
                    session.receive_data(data, _now())
                else:
                    session.receive_eof()
            session.handle_timer(_now())
            self._take_events(session)
            connection.sendall(session.data_to_send())
        if self._stopping:
            session.logout(LogoutCode.SHUTTING_DOWN, "the test is over")
            connection.sendall(session.data_to_send())

    def _take_events(self, session):
        with self._changed:
            for event in session.events_received():
                if session.closed and not isinstance(event, Closed | Ticks):
                    continue  # by what came behind it in the same read
                match event:
                    case HelloReceived():
                        self.hellos.append(event.hello)
                        session.challenge(KEY, secrets.token_bytes(32), 1, CAPABILITIES)
                    case LogonRequested():
                        session.accept("demo", "minimal relay", _now(), T0)
                        for number, symbol in enumerate(self.symbols):
                            self._subscribe(session, number, symbol)
                    case Stream():
                        assert not event.code
                        symbol = self.symbols[event.request_id]
                        self.gaps += event.continuity == 2
                        self._names[event.symbol_id] = symbol, event.epoch
                    case Ticks():
                        self._take_ticks(session, event)
                    case Closed():
                        self.ends.append(event)
            self._changed.notify_all()

    def _subscribe(self, session, number, symbol):
        self._epoch += 1
        session.send(Subscribe(number, 1, symbol, 0, self._epoch, 86_400, self.resumes.get(symbol)))

    def _take_ticks(self, session, ticks):
        size = 32
        for run in ticks.runs:
            symbol, epoch = self._names[run.symbol_id]
            assert check_records(run.records, epoch, run.first_seq) is None
            last = run.first_seq + run.length - 1
            for record in unpack_records(run.records):
                self.records[symbol][record.epoch, record.seq] = record
            parts = (run.cursor[:8], run.cursor[8:12], run.cursor[12:])
            cursor = Cursor(*(int.from_bytes(part, "little") for part in parts))
            self.resumes[symbol] = Resume(epoch, last, cursor, last + 1)
            size += 40 + len(run.records)
        session.taken(ticks.seq, size, _now())


def _now():
    return time.perf_counter_ns() // 1000


def feed_of(core, count, symbols=("EURUSD",), speed=None):
    return ReplayFeed(
        core.market.history,
        {symbol: [tick(n) for n in range(count)] for symbol in symbols},
        speed=speed,
        collector=core.collector,
        hold_until_subscribed=True,
    )


def test_a_file_is_streamed_from_its_first_tick_on():
    core = make_core()
    with MinimalRelay("EURUSD", "USDJPY") as relay:
        feed = feed_of(core, 20_000, ("EURUSD", "USDJPY"))
        with TerminalThread(core, relay.port, feed=feed) as terminal:
            relay.wait_for(lambda: len(relay.records["USDJPY"]) == 20_000)
            relay.wait_for(lambda: len(relay.records["EURUSD"]) == 20_000)

            assert terminal.wait_for(lambda: core.everything_sent, DEADLINE_S)
            assert (40_000, 0, 1) == (terminal.ticks_sent, terminal.reconnects, core.logons)

    assert list(range(20_000)) == relay.numbers("EURUSD") == relay.numbers("USDJPY")
    assert [LogoutCode.SHUTTING_DOWN] == [end.code for end in relay.ends]


def test_run_terminal_ends_when_its_feed_is_sent():
    core = make_core()
    with MinimalRelay() as relay:
        run_terminal(core, relay.port, feed=feed_of(core, 5_000), until_finished=True)
        relay.wait_for(lambda: bool(relay.ends))

    assert list(range(5_000)) == relay.numbers()
    assert ["the terminal stops"] == [end.reason for end in relay.ends]


def test_every_run_is_stamped_before_it_is_sent():
    core = make_core()
    stamps = []
    start_ns = time.monotonic_ns()
    with MinimalRelay() as relay:
        with TerminalThread(
            core,
            relay.port,
            feed=feed_of(core, 3_000),
            on_sent=lambda *sent: stamps.append(sent),
        ):
            relay.wait_for(lambda: len(relay.records["EURUSD"]) == 3_000)
    covered = [seq for _, first, length, _ in stamps for seq in range(first, first + length)]

    assert list(range(1, 3_001)) == covered
    assert sorted(stamps, key=lambda sent: sent[3]) == stamps
    assert start_ns < stamps[0][3] <= stamps[-1][3] < time.monotonic_ns()


def test_cuts_lose_nothing(rng):
    core = make_core()
    with MinimalRelay() as relay, Link(relay.port) as link:
        feed = feed_of(core, 2_000, speed=4.0)
        with TerminalThread(core, link.port, feed=feed) as terminal:
            for at in sorted(rng.sample(range(1, 1_800), 6)):
                relay.wait_for(lambda at=at: len(relay.records["EURUSD"]) >= at)
                direction = rng.choice(list(Direction))
                rng.choice((link.cut, lambda d=direction: link.cut_after(rng.randrange(300), d)))()
            relay.wait_for(lambda: len(relay.records["EURUSD"]) == 2_000)

            assert terminal.reconnects >= 1
    assert list(range(2_000)) == relay.numbers()
    assert 0 == relay.gaps


def test_a_frozen_link_is_noticed_and_survived():
    core = make_core()
    with MinimalRelay() as relay, Link(relay.port) as link:
        feed = feed_of(core, 20_000, speed=1.0)
        with TerminalThread(core, link.port, feed=feed) as terminal:
            relay.wait_for(lambda: len(relay.records["EURUSD"]) > 10)
            link.freeze()
            frozen = time.monotonic()

            assert terminal.wait_for(lambda: not core.active, DEADLINE_S)
            assert time.monotonic() - frozen < 5.5
            link.cut()
            link.thaw()
            before = len(relay.records["EURUSD"])
            relay.wait_for(lambda: len(relay.records["EURUSD"]) > before + 1_000)
            numbers = relay.numbers()
            assert list(range(len(numbers))) == numbers
            assert 1 <= terminal.reconnects


def test_a_relay_that_is_absent_is_dialled_again():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    core = make_core()
    with TerminalThread(core, port, feed=feed_of(core, 100)) as terminal:
        assert terminal.wait_for(lambda: core.next_deadline() > 0, DEADLINE_S)
        with MinimalRelay(port=port) as relay:
            relay.wait_for(lambda: len(relay.records["EURUSD"]) == 100)

    assert list(range(100)) == relay.numbers()


def test_a_restarted_terminal_goes_on():
    core = make_core()
    with MinimalRelay() as relay:
        first = TerminalThread(core, relay.port, feed=feed_of(core, 1_000, speed=10.0))
        first.start()
        relay.wait_for(lambda: len(relay.records["EURUSD"]) > 200)
        first.stop(abruptly=True)
        first.join()
        for number in range(core.market.history.ticks_of("EURUSD")[-1].time_msc - T0 + 1, 1_000):
            core.market.history.append("EURUSD", tick(number))
        with TerminalThread(make_core(market=core.market), relay.port):
            relay.wait_for(lambda: len(relay.records["EURUSD"]) == 1_000)

    assert list(range(1_000)) == relay.numbers()
    assert 0 == relay.gaps


def test_a_relay_that_does_not_read_stops_the_terminal_and_nothing_is_lost():
    core = make_core()
    with MinimalRelay() as relay:
        with TerminalThread(core, relay.port, feed=feed_of(core, 60_000)) as terminal:
            relay.wait_for(lambda: len(relay.records["EURUSD"]) > 1_000)
            relay.reads = False
            assert terminal.wait_for(lambda: not core.wants_to_send, DEADLINE_S)
            relay.reads = True
            relay.wait_for(lambda: len(relay.records["EURUSD"]) == 60_000)

    assert list(range(60_000)) == relay.numbers()


def test_a_permission_taken_away_is_told():
    core = make_core()
    with MinimalRelay() as relay, TerminalThread(core, relay.port) as terminal:
        relay.wait_for(lambda: bool(relay.hellos))
        assert terminal.wait_for(lambda: core.active, DEADLINE_S)
        terminal.call_soon(lambda: setattr(core, "account", Account(login=0, server="")))
        relay.wait_for(lambda: bool(relay.ends))

    assert [LogoutCode.ACCOUNT_CHANGED] == [end.code for end in relay.ends]


def test_counters_are_on_the_disk_before_the_relay_sees_them(tmp_path):
    path = tmp_path / "ledger.sqlite"
    ledger = SqliteLedger(path)
    first = ledger.connection_counter
    core = make_core(
        incarnation=ledger.incarnation,
        connection_counter=ledger.connection_counter,
        commit_counter=ledger.commit_counter,
    )
    with MinimalRelay() as relay, Link(relay.port) as link, TerminalThread(core, link.port):
        relay.wait_for(lambda: len(relay.hellos) == 1)
        link.cut()
        relay.wait_for(lambda: len(relay.hellos) == 2)
    ledger.close()

    assert [first + 1, first + 2] == [hello.connection_counter for hello in relay.hellos]
    assert {ledger.incarnation} == {hello.incarnation for hello in relay.hellos}
    with contextlib.closing(SqliteLedger(path)) as again:
        assert first + 2 <= again.connection_counter


def test_what_a_feed_raises_comes_out_of_join():
    core = make_core()
    feed = ReplayFeed(core.market.history, {"EURUSD": [tick(2), tick(1)]}, speed=None)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        terminal = TerminalThread(core, listener.getsockname()[1], feed=feed)
        terminal.start()

        with pytest.raises(ValueError, match="tick"):
            terminal.join()
    assert not terminal.wait_for(lambda: True, 0.0)


def test_a_terminal_can_be_stopped_before_it_ran():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        terminal = TerminalThread(make_core(), listener.getsockname()[1])
        terminal.stop()
        terminal.start()
        terminal.join()
