"""``bridge.sim.terminal`` against a relay's session, in memory, with a virtual clock."""

from __future__ import annotations

import msgpack
import pytest

from bridge.model.record import Cursor
from bridge.sim.terminal import ALL_PERMISSIONS, Account
from bridge.wire import auth
from bridge.wire.fields import FieldError
from bridge.wire.frame import pack_header
from bridge.wire.messages import (
    MESSAGES,
    CancelRequest,
    EventAck,
    Halt,
    Heartbeat,
    New,
    Query,
    Refill,
    Request,
    Resume,
    Stream,
    Subscribe,
    Unsubscribe,
    pack_message,
)
from bridge.wire.protocol import RelaySession
from bridge.wire.spec import FRAME_OVERHEAD, FrameType, LogoutCode, Permission, TradingState
from tests.support.terminal_world import MS, ORDER, T0, World, make_core, whole


def byte_by_byte(data):
    return [data[i : i + 1] for i in range(len(data))]


def in_pieces(data):
    """
    Every delivery ends inside of a frame.
    """
    return [data[i : i + 37] for i in range(0, len(data), 37)]


WAYS = pytest.mark.parametrize("way", [whole, byte_by_byte, in_pieces])


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


def test_who_was_let_in_comes_back_before_half_a_second_is_over():
    found = delays(make_core(), 9, up_ms=10)
    nominal = [100, 200, 400, 400, 400, 400, 400, 400, 400]

    assert all(0.8 * n <= delay <= 1.2 * n + 1 for n, delay in zip(nominal, found, strict=True))


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
