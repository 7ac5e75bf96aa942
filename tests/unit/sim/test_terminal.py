"""``bridge.sim.terminal`` against a relay's session, in memory, with a virtual clock."""

from __future__ import annotations

import itertools
import secrets

import msgpack
import pytest

from bridge.model.record import RECORD_SIZE, Cursor, check_records, unpack_records
from bridge.model.symbol import SymbolSpec
from bridge.model.tick import MqlTick, TickFlag
from bridge.sim.market import Market
from bridge.sim.terminal import ALL_PERMISSIONS, Account, TerminalCore
from bridge.wire import auth
from bridge.wire.events import Closed, HelloReceived, LogonRequested, Ticks
from bridge.wire.fields import FieldError
from bridge.wire.frame import pack_header
from bridge.wire.messages import (
    MESSAGES,
    Busy,
    CancelRequest,
    EventAck,
    Gap,
    Halt,
    Heartbeat,
    New,
    OrderRequest,
    Page,
    Query,
    Refill,
    Request,
    Result,
    Resume,
    Stream,
    Subscribe,
    Unsubscribe,
    pack_message,
)
from bridge.wire.protocol import RelaySession
from bridge.wire.spec import (
    CAPABILITIES,
    FRAME_OVERHEAD,
    MARKET_WINDOW,
    PAGE_PAYLOAD_MAX,
    BusyKind,
    Continuity,
    DenyReason,
    ErrorCode,
    FrameType,
    LogoutCode,
    OrderOutcome,
    PageKind,
    Permission,
    StreamKind,
    TradingState,
)

KEY = bytes(range(32))
T0 = 1_546_383_600_000
MS = 1_000
NO_DEADLINE = 2**62
ACCOUNT = Account(login=1001, server="Demo-Server")
ORDER = OrderRequest(1, *[None] * 16)


def tick(number):
    return MqlTick(T0 + number, 1.0 + number / 1e5, 2.0)


def whole(data):
    return [data]


def byte_by_byte(data):
    return [data[i : i + 1] for i in range(len(data))]


def in_pieces(data):
    """
    Every delivery ends inside of a frame.
    """
    return [data[i : i + 37] for i in range(0, len(data), 37)]


WAYS = pytest.mark.parametrize("way", [whole, byte_by_byte, in_pieces])


def make_core(*symbols, **options):
    market = Market([SymbolSpec(name=name) for name in symbols or ("EURUSD", "USDJPY")])
    values = {
        "key": KEY,
        "key_id": "demo",
        "account": ACCOUNT,
        "market": market,
        "incarnation": bytes(16),
    }
    return TerminalCore(**(values | options))


class World:
    """
    A core, the relay's session that it talks to, and the time. The relay takes everything.
    """

    def __init__(self, core=None, *, relay_key=KEY, way=whole):
        self.core = core or make_core()
        self.relay_key = relay_key
        self.way = way
        self.now = 5_000_000
        self.session = None
        self.acknowledges = True
        self.messages = []
        self.ended = []
        self.records = {}
        self.names = {}
        self.cursors = {}
        self.relay_epoch = 1
        self.trading_state = TradingState.ACTIVE
        self._requested = {}
        self._ids = itertools.count(1)

    @property
    def history(self):
        return self.core.market.history

    def append(self, *numbers, symbol="EURUSD"):
        for number in numbers:
            self.history.append(symbol, tick(number))

    def connect(self):
        assert self.core.may_connect(self.now)
        self.core.connection_made(self.now)
        self.session = RelaySession(self.now)
        return self.pump()

    def disconnect(self):
        self.session = None
        self.core.connection_lost(self.now)

    def reconnect(self):
        self.disconnect()
        while not self.core.may_connect(self.now):
            self.now += 10 * MS
            self.core.poll(self.now)
        return self.connect()

    def pump(self):
        """
        Carry bytes until nothing moves.
        """
        quiet = 0
        while quiet < 3 and self.session is not None:
            self.core.poll(self.now)
            up = b""
            while data := self.core.data_to_send():
                up += data
            for part in self.way(up):
                self.session.receive_data(part, self.now)
            self.take_events()
            down = self.session.data_to_send()
            for part in self.way(down):
                self.core.data_received(part, self.now)
            quiet = 0 if up or down else quiet + 1
        return self

    def advance(self, ms, step=10):
        """
        Let time go by; the core is polled every ``step`` ms, the relay's timers run.
        """
        for _ in range(0, ms, step):
            self.now += step * MS
            if self.session is not None:
                self.session.handle_timer(self.now)
            self.pump()
            if self.core.closing:
                self.disconnect()
        return self

    def take_events(self):
        for event in self.session.events_received():
            match event:
                case HelloReceived():
                    self.hello = event.hello
                    self.session.challenge(
                        self.relay_key, secrets.token_bytes(32), self.relay_epoch, CAPABILITIES
                    )
                case LogonRequested():
                    self.session.accept(
                        "demo", "relay", self.now, T0, trading_state=self.trading_state
                    )
                case Closed():
                    self.ended.append(event)
                case Ticks():
                    self.take_ticks(event)
                case Stream():
                    name = self._requested.pop(event.request_id)
                    self.messages.append(event)
                    if not event.code:
                        self.names[event.symbol_id] = name, event.epoch
                case Heartbeat():
                    self.heartbeat = event
                case _:
                    self.messages.append(event)

    def take_ticks(self, event):
        size = FRAME_OVERHEAD
        for run in event.runs:
            name, epoch = self.names[run.symbol_id]
            assert check_records(run.records, epoch, run.first_seq) is None
            known = self.records.setdefault(name, {})
            known.update({(r.epoch, r.seq): r for r in unpack_records(run.records)})
            self.cursors[name] = epoch, run.first_seq + run.length - 1, run.cursor
            size += 40 + len(run.records)
        if self.acknowledges:
            self.session.taken(event.seq, size, self.now)

    def subscribe(self, symbol="EURUSD", *, resume=False, fresh_epoch=7, kind=StreamKind.TICK):
        offered = None
        if resume:
            epoch, seq, cursor = self.cursors[symbol]
            offered = Resume(
                epoch,
                seq,
                Cursor(
                    int.from_bytes(cursor[:8], "little", signed=True),
                    int.from_bytes(cursor[8:12], "little"),
                    int.from_bytes(cursor[12:], "little"),
                ),
                seq + 1,
            )
        request_id = next(self._ids)
        self._requested[request_id] = symbol
        self.session.send(Subscribe(request_id, int(kind), symbol, 0, fresh_epoch, 3_600, offered))
        return self.pump()

    def ask(self, method, deadline_us=NO_DEADLINE, **params):
        request_id = next(self._ids)
        self.session.send(Request(request_id, method, params, deadline_us))
        self.pump()
        return request_id

    def pages(self, request_id):
        return [m for m in self.messages if isinstance(m, Page) and m.request_id == request_id]

    def answer(self, request_id):
        pages = self.pages(request_id)
        assert [page.page for page in pages] == list(range(len(pages)))
        assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
        if pages[-1].code:
            return ErrorCode(pages[-1].code)
        return msgpack.unpackb(b"".join(page.payload for page in pages))

    def of(self, kind):
        return [message for message in self.messages if isinstance(message, kind)]

    def numbers(self, symbol="EURUSD"):
        return [record.time_msc - T0 for _, record in sorted(self.records[symbol].items())]


# Logon.


@WAYS
def test_a_terminal_logs_on_and_streams(way):
    world = World(way=way)
    world.append(1)
    world.connect().subscribe()
    world.append(2, 3)
    world.advance(20)

    assert [1, 2, 3] == world.numbers()
    assert (1, [], True) == (world.core.logons, world.ended, world.core.active)


@WAYS
def test_what_follows_a_logout_is_not_looked_at(way, rng):
    world = World()
    world.connect()
    world.session.logout(LogoutCode.SHUTTING_DOWN, "stops", 3_000)
    for part in way(world.session.data_to_send() + rng.randbytes(100)):
        world.core.data_received(part, world.now)
    world.core.poll(world.now)

    assert (LogoutCode.SHUTTING_DOWN, True) == (
        world.core.last_closed.code,
        world.core.last_closed.by_peer,
    )
    assert world.core.closing


def test_hello_tells_who_logs_on():
    world = World(make_core(connection_counter=41))
    world.connect()
    hello = world.hello

    assert ("demo", 1001, "Demo-Server", 42, 2, 0) == (
        hello.key_id,
        hello.login,
        hello.server,
        hello.connection_counter,
        hello.margin_mode,
        hello.trade_mode,
    )


def test_the_counter_is_committed_before_it_is_used():
    committed = []

    def commit(counter):
        committed.append((counter, core.data_to_send()))

    core = make_core(connection_counter=7, commit_counter=commit)
    core.connection_made(0)

    assert [(8, b"")] == committed
    assert core.data_to_send()


def test_a_nonce_never_repeats():
    """Not even when clock and account are the same."""
    world = World()
    nonces = set()
    for _ in range(20):
        world.connect()
        nonces.add(world.hello.nonce)
        world.disconnect()
        world.core._next_connect_us = 0

    assert 20 == len(nonces)


@pytest.mark.parametrize(
    ("permissions", "login", "expected"),
    [
        (ALL_PERMISSIONS, 1001, True),
        (Permission.TERMINAL_CONNECTED, 1001, True),
        (ALL_PERMISSIONS & ~Permission.TERMINAL_CONNECTED, 1001, False),
        (ALL_PERMISSIONS, 0, False),
    ],
)
def test_no_logon_without_trade_server_and_account(permissions, login, expected):
    core = make_core(account=Account(login=login, server="S"))
    core.permissions = permissions

    assert expected == core.may_connect(0)


def test_permissions_lost_while_dialling_end_the_logon():
    world = World()
    world.core.permissions = Permission(0)
    world.core.connection_made(world.now)

    assert world.core.closing


def test_a_relay_without_the_key_is_not_logged_on_to():
    world = World(relay_key=bytes(32))
    world.connect()

    assert LogoutCode.BAD_RELAY_KEY == world.core.last_closed.code
    assert [LogoutCode.BAD_RELAY_KEY] == [event.code for event in world.ended]
    assert world.core.closing
    world.disconnect()
    assert not world.core.may_connect(world.now + 9_999 * MS)
    assert world.core.may_connect(world.now + 12_001 * MS)


def test_a_relay_that_does_not_believe_us_is_not_dialled_at_once():
    world = World()
    world.core.connection_made(world.now)
    world.session = RelaySession(world.now)
    challenge = world.session.challenge

    def forged(*arguments):
        challenge(*arguments)
        world.session._secrets = world.session._secrets._replace(terminal_proof=bytes(32))

    world.session.challenge = forged
    world.pump()

    assert (LogoutCode.BAD_TERMINAL_KEY, True) == (
        world.core.last_closed.code,
        world.core.last_closed.by_peer,
    )
    world.disconnect()
    assert not world.core.may_connect(world.now + 9_999 * MS)


def test_an_older_relay_is_refused():
    world = World()
    world.relay_epoch = 5
    world.connect()
    world.relay_epoch = 4
    world.reconnect()

    assert LogoutCode.STALE_RELAY == world.core.last_closed.code


def test_an_account_that_does_not_fit_the_protocol_is_refused_at_once():
    with pytest.raises(FieldError):
        make_core(account=Account(login=1, server="x" * 200))


def test_a_relay_that_says_nothing_is_given_up():
    core = make_core()
    core.connection_made(0)
    core.data_to_send()
    core.poll(5_000 * MS)

    assert (True, LogoutCode.LOGON_TIMEOUT) == (core.closing, core.last_closed.code)


# The account.


def test_another_account_ends_the_session_and_its_streams():
    world = World()
    world.append(1)
    world.connect().subscribe()
    world.core.account = Account(login=2002, server="Demo-Server")
    world.advance(10)

    assert [LogoutCode.ACCOUNT_CHANGED] == [event.code for event in world.ended]
    world.reconnect()
    assert 2002 == world.hello.login
    world.subscribe(resume=False, fresh_epoch=9)
    assert [7, 9] == [stream.epoch for stream in world.of(Stream)]


def test_an_account_changed_while_the_relay_is_away_begins_anew_too():
    world = World()
    world.append(1)
    world.connect().subscribe()
    world.append(2)
    world.advance(10)
    world.disconnect()
    world.core.account = Account(login=2002, server="Demo-Server")
    world.reconnect().subscribe(fresh_epoch=9)

    assert [7, 9] == [stream.epoch for stream in world.of(Stream)]


def test_an_account_that_logged_off_ends_the_session():
    world = World()
    world.connect()
    world.core.account = Account(login=0, server="")
    world.advance(10)

    assert [LogoutCode.ACCOUNT_CHANGED] == [event.code for event in world.ended]
    assert not world.core.may_connect(world.now + 60_000 * MS)


# Heartbeats.


def test_heartbeats_carry_the_terminals_state():
    world = World()
    world.append(1)
    world.connect().subscribe()
    world.core.permissions = Permission.TERMINAL_CONNECTED | Permission.ACCOUNT_TRADE_EXPERT
    world.core.utc_offset_min = -300
    world.core.ping_last_us = 777
    world.advance(1_100)
    state = world.heartbeat.state

    assert (17, 0, T0 + 1, -300, 777, 1) == (
        state.permissions,
        state.trading_state,
        state.server_time_msc,
        state.utc_offset_min,
        state.ping_last_us,
        state.streams,
    )
    assert 9_000 <= state.loop_interval_us <= 11_000


def test_the_servers_clock_can_run_by_itself():
    world = World()
    world.core.server_clock_offset_us = T0 * 1000
    world.connect().advance(1_100)

    assert (world.now // 1000 + T0) - 1_000 <= world.heartbeat.state.server_time_msc
    assert world.heartbeat.state.server_time_msc <= world.now // 1000 + T0


@pytest.mark.parametrize(("said", "taken"), [(0, 0), (1, 1), (2, 2), (200, 2)])
def test_heartbeats_show_that_a_halt_was_taken(said, taken):
    world = World()
    world.connect()
    world.session.send(Halt(said, "because", 1))
    world.advance(1_100)

    assert (TradingState(taken), taken) == (
        world.core.trading_state,
        world.heartbeat.state.trading_state,
    )


@pytest.mark.parametrize(("said", "taken"), [(0, 0), (1, 1), (2, 2), (200, 2)])
def test_the_relay_says_the_trading_state_with_every_logon(said, taken):
    world = World()
    world.connect()
    world.session.send(Halt(TradingState.REDUCING, "because", 1))
    world.pump()
    before = world.core.trading_state
    world.trading_state = said
    world.reconnect().advance(1_100)

    assert TradingState.REDUCING == before
    assert (TradingState(taken), taken) == (
        world.core.trading_state,
        world.heartbeat.state.trading_state,
    )


@pytest.mark.parametrize(
    ("epoch", "taken"),
    [
        (4, TradingState.ACTIVE),
        (5, TradingState.HALTED),
        (6, TradingState.HALTED),
    ],
)
def test_a_halt_of_an_older_relay_is_ignored(epoch, taken):
    world = World()
    world.relay_epoch = 5
    world.connect()
    world.session.send(Halt(TradingState.HALTED, "because", epoch))
    world.advance(1_100)

    assert (taken, taken) == (world.core.trading_state, world.heartbeat.state.trading_state)


def test_a_muted_terminal_is_noticed_by_the_relay():
    world = World()
    world.connect()
    world.core.muted = True
    world.advance(5_000)

    assert [LogoutCode.HEARTBEAT_LOST] == [event.code for event in world.ended]


def test_a_relay_that_fell_silent_is_noticed():
    core = make_core()
    world = World(core)
    world.connect()
    for _ in range(500):
        world.now += 10 * MS
        core.poll(world.now)
        core.data_to_send()

    assert (True, LogoutCode.HEARTBEAT_LOST) == (core.closing, core.last_closed.code)


# Streams.


def test_streams_are_refused_with_a_reason():
    world = World()
    world.connect().subscribe("NOPE").subscribe(kind=StreamKind.BAR)

    assert [ErrorCode.UNKNOWN_SYMBOL, ErrorCode.UNSUPPORTED] == [s.code for s in world.of(Stream)]
    assert [] == world.of(Busy)


def test_after_a_cut_the_stream_goes_on():
    world = World()
    world.append(1)
    world.connect().subscribe()
    world.append(*range(2, 300))
    world.advance(30)
    world.disconnect()
    world.append(*range(300, 500))
    while not world.core.may_connect(world.now):
        world.now += 10 * MS
        world.core.poll(world.now)
    world.connect().subscribe(resume=True)
    world.append(500)
    world.advance(30)

    assert [Continuity.FRESH, Continuity.RESUMED] == [s.continuity for s in world.of(Stream)]
    assert list(range(1, 501)) == world.numbers()
    flags = [
        record.flags & TickFlag.BACKLOG for _, record in sorted(world.records["EURUSD"].items())
    ]
    assert [256] + [0] * 298 + [256] * 200 + [0] == flags


def test_a_gap_is_told_behind_its_stream():
    world = World()
    world.append(1)
    world.connect().subscribe()
    world.append(2)
    world.advance(10)
    world.core.collector.forget()
    world.append(8_000_000)
    world.reconnect().subscribe(resume=True, fresh_epoch=8)

    assert [Busy, Stream, Gap, Busy] == [type(message) for message in world.messages[-4:]]
    assert {1, 2, 8_000_000} == set(world.numbers())


def test_an_unsubscribed_stream_is_silent():
    world = World()
    world.append(1)
    world.connect().subscribe()
    world.session.send(Unsubscribe(world.of(Stream)[0].symbol_id))
    world.session.send(Unsubscribe(4_000_000_000))
    world.pump()
    world.append(2)
    world.advance(50)

    assert [1] == world.numbers()


def test_a_symbol_is_given_back_when_its_stream_ends():
    world = World()
    world.append(1)
    world.connect().subscribe()
    first = world.of(Stream)[0]
    selected = world.core.market.is_selected("EURUSD")
    world.session.send(Unsubscribe(first.symbol_id))
    world.advance(1_100)

    assert (True, False) == (selected, world.core.market.is_selected("EURUSD"))
    assert T0 + 1 == world.heartbeat.state.server_time_msc
    world.messages.clear()
    world.subscribe(fresh_epoch=8)
    world.append(2)
    world.advance(50)
    # Its history may have to be loaded anew.
    assert [Busy, Stream, Busy] == [type(message) for message in world.messages]
    assert [ErrorCode.OK] == [stream.code for stream in world.of(Stream)]
    assert {1, 2} == set(world.numbers())


def test_a_stream_that_has_begun_again_keeps_its_symbol():
    world = World()
    world.append(1)
    world.connect().subscribe().subscribe()
    world.session.send(Unsubscribe(world.of(Stream)[0].symbol_id))
    world.append(2)
    world.advance(50)

    assert world.core.market.is_selected("EURUSD")
    assert 2 in world.numbers()


def test_symbols_that_the_user_selected_stay_so():
    world = World()
    world.core.market.select("EURUSD", True)
    world.append(1)
    world.connect().subscribe()
    world.session.send(Unsubscribe(world.of(Stream)[0].symbol_id))
    world.pump()
    world.core.log_out("the user closed it")

    assert world.core.market.is_selected("EURUSD")


def test_market_watch_is_left_as_it_was_found():
    """
    Whatever a symbol was selected for: a stream, a tick, a refill, or put back by the user's
    removing it while it streams.
    """
    names = ("EURUSD", "USDJPY", "GBPUSD", "XAUUSD", "NZDUSD")
    world = World(make_core(*names))
    market = world.core.market
    for symbol in ("XAUUSD", "NZDUSD"):
        market.select(symbol, True)
    for symbol in names:
        world.append(1, symbol=symbol)
    world.connect().subscribe("EURUSD").subscribe("XAUUSD")
    world.ask("tick", symbol="USDJPY")
    world.session.send(Refill(9, "GBPUSD", Cursor(0, 0, 0), 0, 1, NO_DEADLINE))
    world.pump()
    market.select("XAUUSD", False)
    world.advance(500)
    during = [name for name in names if market.is_selected(name)]
    world.core.log_out("the user closed it")

    assert list(names) == during
    assert ["NZDUSD"] == [name for name in names if market.is_selected(name)]


def test_a_lost_link_leaves_the_symbols_selected():
    world = World()
    world.append(1)
    world.connect().subscribe()
    world.disconnect()

    assert world.core.market.is_selected("EURUSD")


def test_several_symbols_stream_together():
    world = World()
    for symbol in ("EURUSD", "USDJPY"):
        world.append(0, symbol=symbol)
    world.connect().subscribe("EURUSD").subscribe("USDJPY")
    for symbol in ("EURUSD", "USDJPY"):
        world.append(*range(1, 2_000), symbol=symbol)
    world.advance(500)

    assert list(range(2_000)) == world.numbers("EURUSD") == world.numbers("USDJPY")


def test_unacknowledged_data_is_bounded_and_commands_overtake_it():
    world = World()
    world.acknowledges = False
    world.append(0)
    world.connect().subscribe()
    world.append(*range(1, 9_000))
    world.advance(300)
    in_flight = world.core._session.market_in_flight
    received = len(world.numbers())
    request_id = world.ask("symbols")

    assert MARKET_WINDOW - 8_192 < in_flight <= MARKET_WINDOW
    assert received < MARKET_WINDOW // RECORD_SIZE
    assert not world.core.wants_to_send
    assert [] == world.pages(request_id)
    world.session.send(New("id", "tag", 0, 0, 1, bytes(16), 1001, 0, ORDER))
    world.pump()
    assert 1 == len(world.of(Result))


def test_after_an_outage_of_the_trade_server_the_hole_is_filled():
    world = World()
    world.append(1)
    world.connect().subscribe()
    world.append(*range(2, 50))
    world.advance(50)
    world.core.permissions = ALL_PERMISSIONS & ~Permission.TERMINAL_CONNECTED
    world.advance(100)
    world.history.hold_back("EURUSD", T0 + 50, T0 + 99)
    world.append(*range(50, 150))
    world.core.permissions = ALL_PERMISSIONS
    world.advance(100)
    world.history.release("EURUSD")
    world.advance(2_000)

    assert list(range(1, 150)) == world.numbers()
    assert [] == world.ended


def test_subscriptions_beyond_all_measure_are_refused():
    world = World()
    world.append(*range(10))
    world.connect()
    world.history.answer_in_part("EURUSD", calls=100, blocked_ms=20_000)
    for request_id in range(1_100):
        world._requested[request_id] = "EURUSD"
        world.session.send(Subscribe(request_id, 1, "EURUSD", 0, 7, 0, None))
    data = b""
    while more := world.session.data_to_send():
        data += more
    world.core.data_received(data, world.now)
    world.pump()

    assert [ErrorCode.TOO_MANY] * 76 == [stream.code for stream in world.of(Stream)]


def test_a_relay_that_asks_and_does_not_read_is_cut_off():
    core = make_core()
    world = World(core)
    world.connect()
    for _ in range(2_000):
        world.session.send(Query(("x" * 160,) * 64, 0, 0))
        core.data_received(world.session.data_to_send(), world.now)
        core.poll(world.now)
        if core.closing:
            break

    assert (True, LogoutCode.QUEUE_FULL) == (core.closing, core.last_closed.code)


# Blocking.


def test_busy_goes_out_before_a_call_that_may_block_and_ready_after_it():
    world = World()
    world.append(1)
    world.connect()
    world.history.block_first_call("EURUSD", 30_000)
    world.subscribe()
    during = list(world.messages)
    world.append(2)
    world.advance(29_900)
    waiting = list(world.messages)
    world.advance(200)

    assert [Busy(BusyKind.COPY_TICKS, 45_000)] == during == waiting
    assert [Busy, Stream, Busy] == [type(message) for message in world.messages]
    assert Busy(BusyKind.READY, 0) == world.messages[-1]
    assert [] == world.ended
    assert [1, 2] == world.numbers()


def test_what_arrives_while_a_call_blocks_waits():
    world = World()
    world.append(1)
    world.connect()
    world.history.block_first_call("EURUSD", 3_000)
    world.subscribe()
    request_id = world.ask("tick", symbol="EURUSD")
    assert [] == world.pages(request_id)
    assert not world.core.wants_to_receive
    world.advance(3_100)

    assert "tick" in world.answer(request_id)
    assert world.core.wants_to_receive


def test_busy_is_announced_once_a_symbol():
    world = World()
    world.append(1)
    world.connect().subscribe().subscribe()
    world.append(2)
    world.advance(100)

    assert [BusyKind.COPY_TICKS, BusyKind.READY] == [busy.kind for busy in world.of(Busy)]


def test_a_history_that_is_loaded_in_parts_is_waited_for():
    world = World()
    world.append(*range(100))
    world.connect()
    world.history.answer_in_part("EURUSD", calls=1, blocked_ms=45_000)
    world.subscribe()
    world.advance(46_000)

    assert [ErrorCode.OK] == [stream.code for stream in world.of(Stream)]
    assert [99] == world.numbers()
    assert [] == world.ended


def test_a_history_that_does_not_come_is_an_answer_too():
    world = World()
    world.append(*range(100))
    world.connect()
    world.history.answer_in_part("EURUSD", calls=100, blocked_ms=20_000)
    world.subscribe()
    world.advance(125_000, step=100)

    assert [ErrorCode.NOT_SYNCHRONISED] == [stream.code for stream in world.of(Stream)]
    assert [] == world.ended


def test_one_symbol_being_loaded_does_not_keep_others_waiting():
    world = World()
    world.append(*range(10))
    world.append(*range(10), symbol="USDJPY")
    world.connect()
    world.history.answer_in_part("EURUSD", calls=3, blocked_ms=0)
    world.subscribe("EURUSD").subscribe("USDJPY")

    assert [("USDJPY", 7)] == list(world.names.values())
    world.advance(1_000)
    assert {("USDJPY", 7), ("EURUSD", 7)} == set(world.names.values())


def test_nothing_follows_busy_before_the_call():
    """The relay would take it for the end of the block."""
    world = World()
    world.append(1)
    world.connect()
    session = world.session
    session.send(Subscribe(1, 1, "EURUSD", 0, 7, 0, None))
    world._requested[1] = "EURUSD"
    session.test(world.now)
    world.core.data_received(session.data_to_send(), world.now)
    world.core.poll(world.now)
    session.test(world.now)
    world.core.data_received(session.data_to_send(), world.now)
    session.receive_data(world.core.data_to_send(), world.now)

    assert BusyKind.COPY_TICKS == session.busy_kind


def test_busy_that_cannot_be_sent_ends_the_session():
    core = make_core()
    world = World(core)
    world.append(1)
    world.connect()
    world.session.send(Subscribe(1, 1, "EURUSD", 0, 7, 0, None))
    core.data_received(world.session.data_to_send(), world.now)
    for _ in range(60):
        world.now += 100 * MS
        core.poll(world.now)

    assert (True, LogoutCode.HEARTBEAT_LOST) == (core.closing, core.last_closed.code)


def test_a_block_without_warning_is_taken_for_a_dead_terminal():
    world = World()
    world.connect()
    world.core.block(10_000)
    world.advance(9_000)

    assert [LogoutCode.HEARTBEAT_LOST] == [event.code for event in world.ended]
    world.disconnect()
    assert not world.core.may_connect(world.now)
    world.advance(1_500)
    assert world.core.may_connect(world.now)


# Reads.


def test_symbols_are_listed_in_portions():
    names = [f"SYM{n:03}" for n in range(25)]
    world = World(make_core(*names))
    world.connect()
    first = world.answer(world.ask("symbols", limit=20))
    second = world.answer(world.ask("symbols", offset=first["next_offset"], limit=20))

    assert (25, 20, 25, None) == (
        first["total"],
        first["next_offset"],
        second["total"],
        second["next_offset"],
    )
    assert names == [s["name"] for s in first["symbols"] + second["symbols"]]
    assert {"name", "description", "path", "digits", "visible"} <= set(first["symbols"][0])


def test_an_answer_may_have_several_pages():
    market = Market(SymbolSpec(name=f"SYMBOL{n:04}", description="d" * 120) for n in range(1_000))
    world = World(make_core(market=market))
    world.connect()
    request_id = world.ask("symbols", limit=1_000)
    world.advance(1_000)
    answer = world.answer(request_id)

    assert 1_000 == len(answer["symbols"])
    assert 3 < len(world.pages(request_id))
    assert {PageKind.MSGPACK} == {page.kind for page in world.pages(request_id)}
    assert PAGE_PAYLOAD_MAX == max(len(page.payload) for page in world.pages(request_id))


def test_pages_come_through_while_ticks_saturate_the_link():
    market = Market([SymbolSpec(name=f"SYM{n:04}", description="d" * 120) for n in range(999)])
    world = World(make_core(market=market))
    world.append(0, symbol="SYM0001")
    world.connect().subscribe("SYM0001")
    request_id = None
    for first in range(1, 20_000, 600):
        world.append(*range(first, first + 600), symbol="SYM0001")
        if first == 6_001:
            world.session.send(Request(99, "symbols", {"limit": 1_000}, NO_DEADLINE))
            request_id = 99
        world.advance(10)
    half = len(world.records["SYM0001"])

    assert 999 == len(world.answer(request_id)["symbols"])
    assert half > 15_000


def test_a_symbol_is_told_with_all_its_properties():
    world = World()
    world.connect()
    symbol = world.answer(world.ask("symbol", symbol="EURUSD"))["symbol"]

    assert ("EURUSD", 5, 1e-5, 0.01, False, 4) == (
        symbol["name"],
        symbol["digits"],
        symbol["point"],
        symbol["volume_min"],
        symbol["visible"],
        symbol["trade_mode"],
    )


def test_a_tick_is_told_with_the_offset():
    world = World()
    world.append(1, 2)
    world.connect()

    assert {
        "tick": {
            "time_msc": T0 + 2,
            "bid": 1.00002,
            "ask": 2.0,
            "last": 0.0,
            "volume_real": 0.0,
            "flags": 6,
            "utc_offset_min": 120,
        }
    } == world.answer(world.ask("tick", symbol="EURUSD"))


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("nonsense", {}, ErrorCode.UNSUPPORTED),
        ("symbol", {"symbol": "NOPE"}, ErrorCode.UNKNOWN_SYMBOL),
        ("symbol", {}, ErrorCode.UNKNOWN_SYMBOL),
        ("symbol", {"symbol": ["EURUSD"]}, ErrorCode.UNKNOWN_SYMBOL),
        ("tick", {"symbol": "NOPE"}, ErrorCode.UNKNOWN_SYMBOL),
        ("tick", {"symbol": "EURUSD"}, ErrorCode.NOT_FOUND),
        ("symbols", {"group": 5}, ErrorCode.INVALID),
        ("symbols", {"group": "*" * 300}, ErrorCode.INVALID),
        ("symbols", {"limit": 0}, ErrorCode.INVALID),
        ("symbols", {"limit": True}, ErrorCode.INVALID),
        ("symbols", {"offset": -1}, ErrorCode.INVALID),
        ("symbols", {"offset": 1.5}, ErrorCode.INVALID),
    ],
)
def test_a_read_that_fails_says_why(method, params, code):
    world = World()
    world.connect()
    request_id = world.ask(method, **params)

    assert code == world.answer(request_id)
    assert world.pages(request_id)[0].text


def test_a_read_behind_its_deadline_is_not_answered_with_data():
    """The deadline is on the relay's clock, which need not be ours."""
    world = World()
    world.connect().advance(1_000)
    request_id = next(world._ids)
    world.session.send(Request(request_id, "symbols", {}, world.now + 50 * MS))
    data = world.session.data_to_send()
    world.now += 60 * MS
    world.core.data_received(data, world.now)
    world.pump()

    assert ErrorCode.DEADLINE_PASSED == world.answer(request_id)


def test_a_refill_gives_the_ticks_behind_a_cursor():
    world = World()
    world.append(*range(5_000))
    world.connect().subscribe()
    world.append(5_000)
    world.advance(10)
    _, seq, cursor = world.cursors["EURUSD"]
    world.append(*range(5_001, 8_000))
    after = Cursor(*(int.from_bytes(cursor[a:b], "little") for a, b in ((0, 8), (8, 12), (12, 16))))
    world.session.send(Refill(50, "EURUSD", after, T0 + 7_500, 100_000, NO_DEADLINE))
    world.advance(1_000)
    pages = world.pages(50)
    data = b"".join(page.payload for page in pages)

    assert [PageKind.MQL_TICK] * len(pages) == [page.kind for page in pages]
    assert [False] * (len(pages) - 1) + [True] == [page.last for page in pages]
    assert 2_500 * 60 == len(data)
    times = [int.from_bytes(data[at + 40 : at + 48], "little") for at in range(0, len(data), 60)]
    assert list(range(5_001, 7_501)) == [time_msc - T0 for time_msc in times]
    assert seq == 2


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 1_500),
        ({"max_ticks": 0}, 0),
        ({"max_ticks": 1_200}, 1_200),
        ({"until_msc": T0 + 999}, 1_000),
        ({"until_msc": T0 - 1}, 0),
        ({"until_msc": -5}, 1_500),
        ({"symbol": "NOPE"}, ErrorCode.UNKNOWN_SYMBOL),
        ({"after": Cursor(T0 + 5, 1, 1)}, ErrorCode.NOT_FOUND),
        ({"after": Cursor(-(2**63), 2**32 - 1, 0)}, ErrorCode.NOT_FOUND),
        ({"after": Cursor(2**63 - 1, 1, 0)}, ErrorCode.NOT_FOUND),
        ({"deadline_us": -(2**63)}, ErrorCode.DEADLINE_PASSED),
    ],
)
def test_refills_of_all_kinds_end(changes, expected):
    world = World()
    world.append(*range(1_500))
    world.connect()
    values = {
        "request_id": 9,
        "symbol": "EURUSD",
        "after": Cursor(0, 0, 0),
        "until_msc": 0,
        "max_ticks": 2**32 - 1,
        "deadline_us": NO_DEADLINE,
    }
    world.session.send(Refill(**(values | changes)))
    world.advance(300)
    pages = world.pages(9)

    assert pages[-1].last
    got = ErrorCode(pages[-1].code) or sum(len(page.payload) for page in pages) // 60
    assert expected == got


def test_a_refill_announces_that_it_may_block():
    world = World()
    world.append(1)
    world.connect()
    world.history.block_first_call("EURUSD", 5_000)
    world.session.send(Refill(9, "EURUSD", Cursor(0, 0, 0), 0, 10, NO_DEADLINE))
    world.pump()
    during = list(world.messages)
    world.advance(5_100)

    assert [Busy(BusyKind.COPY_TICKS, 45_000)] == during
    assert [Busy, Busy, Page] == [type(message) for message in world.messages]
    assert [] == world.ended


def test_a_cancelled_request_has_no_more_pages():
    world = World()
    world.append(*range(20_000))
    world.connect().subscribe()
    world.session.send(Refill(9, "EURUSD", Cursor(0, 0, 0), 0, 10**6, NO_DEADLINE))
    world.core.data_received(world.session.data_to_send(), world.now)
    world.core.poll(world.now)
    sent = world.core.data_to_send(1)
    world.session.send(CancelRequest(9))
    world.session.send(CancelRequest(10))
    world.core.data_received(world.session.data_to_send(), world.now)
    world.session.receive_data(sent, world.now)
    world.advance(1_000)

    assert [0] == [page.page for page in world.pages(9)]


def test_too_many_requests_are_refused():
    world = World()
    world.append(*range(20_000))
    world.connect()
    for request_id in range(100):
        world.session.send(Refill(request_id, "EURUSD", Cursor(0, 0, 0), 0, 1, NO_DEADLINE))
    world.advance(1_000)
    codes = [world.pages(request_id)[-1].code for request_id in range(100)]

    assert [ErrorCode.OK] * 64 + [ErrorCode.TOO_MANY] * 36 == codes


# Orders.


def test_orders_are_denied():
    world = World()
    world.connect()
    world.session.send(New("my order", "tag", 0, 0, 1, bytes(16), 1001, 0, ORDER))
    world.session.send(Query(("a", "b"), 0, 0))
    world.session.send(EventAck(0, 0))
    world.pump()
    results = world.of(Result)

    assert [
        ("my order", OrderOutcome.DENIED, DenyReason.NOT_PERMITTED),
        ("a", OrderOutcome.NEVER_SEEN, DenyReason.NONE),
        ("b", OrderOutcome.NEVER_SEEN, DenyReason.NONE),
    ] == [(result.command_id, result.outcome, result.reason) for result in results]
    assert {"this terminal does not trade yet"} == {result.text for result in results}


# Dialling again.


def delays(core, count, up_ms=0):
    """
    Return the delays after sessions that ended, in ms.
    """
    world = World(core)
    found = []
    for _ in range(count):
        world.connect()
        world.advance(up_ms)
        world.disconnect()
        start = world.now
        while not core.may_connect(world.now):
            world.now += MS
        found.append((world.now - start) / MS)
    return found


def test_the_back_off_doubles_up_to_a_second():
    found = delays(make_core(), 9)
    nominal = [100, 200, 400, 800, 1_000, 1_000, 1_000, 1_000, 1_000]

    assert all(0.8 * n <= delay <= 1.2 * n + 1 for n, delay in zip(nominal, found, strict=True))
    assert found != delays(make_core(seed=1), 9)


def test_a_session_that_stayed_up_begins_the_back_off_anew():
    assert all(delay <= 121 for delay in delays(make_core(), 4, up_ms=1_100))


@pytest.mark.parametrize(
    ("code", "retry_after_ms", "low", "high"),
    [
        (LogoutCode.SHUTTING_DOWN, 0, 80, 121),
        (LogoutCode.SHUTTING_DOWN, 3_000, 3_000, 3_001),
        (LogoutCode.SHUTTING_DOWN, 2**32 - 1, 60_000, 60_001),
        (LogoutCode.NOT_DEMO, 0, 10_000, 12_001),
        (LogoutCode.NOT_DEMO, 20_000, 20_000, 20_001),
        (65_535, 0, 10_000, 12_001),
        # A twin with the same ledger: throwing it out in turn would never end.
        (LogoutCode.REPLACED, 0, 60_000, 60_001),
        (LogoutCode.REPLACED, 20_000, 60_000, 60_001),
    ],
)
def test_the_relay_may_ask_for_patience(code, retry_after_ms, low, high):
    world = World()
    world.connect()
    world.session.logout(code, "later", retry_after_ms)
    world.core.data_received(world.session.data_to_send(), world.now)
    world.disconnect()

    assert not world.core.may_connect(world.now + (low - 1) * MS)
    assert world.core.may_connect(world.now + high * MS)


def test_deadlines_say_when_to_dial_again():
    world = World()
    world.connect()
    world.disconnect()

    assert world.core.may_connect(world.core.next_deadline())
    assert not world.core.may_connect(world.core.next_deadline() - 1)


def test_a_terminal_logs_out_in_order():
    world = World()
    world.connect()
    world.core.log_out("the user closed it")
    world.session.receive_data(world.core.data_to_send(), world.now)
    world.take_events()

    assert [(LogoutCode.SHUTTING_DOWN, "the user closed it")] == [
        (event.code, event.reason) for event in world.ended
    ]


# Wild input.


def wild_values(rng, field_count):
    pool = [
        None,
        True,
        0,
        -1,
        1,
        2**31,
        2**63 - 1,
        -(2**63),
        2**64 - 1,
        0.0,
        float("nan"),
        "",
        "EURUSD",
        "x" * rng.randrange(300),
        b"",
        rng.randbytes(rng.randrange(64)),
        [],
        [1, 2, [3]],
        {},
        {"symbol": "EURUSD"},
    ]
    return [rng.choice(pool) for _ in range(field_count)]


def plausible(rng, cls):
    """
    Return a message of the right types with values that nobody would send.
    """
    u32 = rng.choice([0, 1, 7, 2**32 - 1])
    i64 = rng.choice([0, 1, T0 + 5, -(2**63), 2**63 - 1])
    cursor = Cursor(i64, u32, u32)
    text = rng.choice(["EURUSD", "USDJPY", "", "\u20ac" * 40, "NOPE"])
    match cls.__name__:
        case "Subscribe":
            resume = rng.choice([None, Resume(u32, u32, cursor, rng.choice([0, 2**64 - 1]))])
            return Subscribe(u32, rng.choice([1, 1, 1, 255]), text, u32, u32, u32, resume)
        case "Refill":
            return Refill(u32, text, cursor, i64, u32, i64)
        case "Request":
            method = rng.choice(["symbols", "symbol", "tick", "\u20ac" * 20])
            params = [("group", text), ("symbol", text), ("offset", i64), ("limit", u32)]
            return Request(u32, method, dict(rng.sample(params, 2)), i64)
        case "Unsubscribe":
            return Unsubscribe(rng.choice([1, 2, u32]))
        case "CancelRequest":
            return CancelRequest(u32)
        case "New":
            return New(text, "", i64, i64, u32, bytes(16), u32, u32, ORDER)
        case "Query":
            return Query((text,) * rng.randrange(64), u32, i64)
        case "Halt":
            return Halt(rng.randrange(256), text, u32)
        case "EventAck":
            return EventAck(i64, u32)
        case "Heartbeat":
            return Heartbeat(i64, i64, u32, u32, None)
    return None


def wild_frame(rng, session):
    """
    Return a frame of the relay with a good tag, whatever is in it, or without one.
    """
    received = [cls for cls in MESSAGES.values() if plausible(rng, cls) is not None]
    kind = rng.random()
    cls = rng.choice(received)
    frame_type = int(cls.TYPE)
    if kind < 0.6:
        body = pack_message(plausible(rng, cls))
    elif kind < 0.8:
        body = msgpack.packb(wild_values(rng, len(cls.FIELDS)))
    else:
        frame_type = rng.choice([*FrameType, rng.randrange(256)])
        body = rng.randbytes(rng.randrange(200))
    session._send_seq += 1
    data = pack_header(len(body) + FRAME_OVERHEAD, frame_type, session._send_seq) + body
    data += auth.tag(session._send_tagger.key, data)
    if rng.random() < 0.02:
        at = rng.randrange(len(data))
        data = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    return data


def test_nothing_that_a_relay_says_raises(rng):
    world = World()
    world.append(*range(3_000))
    world.append(*range(50), symbol="USDJPY")
    world.connect()
    ends = 0
    for number in range(2_000):
        data = wild_frame(rng, world.session)
        for part in rng.choice((whole, in_pieces))(data):
            world.core.data_received(part, world.now)
        world.now += rng.choice((0, 10, 400)) * MS
        world.core.poll(world.now)
        while world.core.wants_to_send and world.core.data_to_send():
            pass
        world.core.next_deadline()
        if number % 50 == 0:
            world.append(3_000 + number)
        if world.core.closing:
            ends += 1
            world.core._next_connect_us = 0
            world.core.permissions = ALL_PERMISSIONS
            world.reconnect()

    assert 100 < ends < 1_900
    assert world.core.active


def test_bytes_before_the_logon_do_not_raise_either(rng):
    for _ in range(300):
        core = make_core()
        core.connection_made(0)
        core.data_to_send()
        core.data_received(rng.randbytes(rng.randrange(1, 400)), 1)
        core.poll(2)
        core.connection_lost(3)

        assert not core.active
