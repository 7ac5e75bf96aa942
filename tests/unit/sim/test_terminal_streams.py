"""``bridge.sim.terminal``: streams, and calls that block."""

from __future__ import annotations

from bridge.model.record import RECORD_SIZE, Cursor
from bridge.model.tick import TickFlag
from bridge.sim.exchange_rules import BrokerRules
from bridge.sim.terminal import ALL_PERMISSIONS
from bridge.wire.messages import (
    Busy,
    Gap,
    New,
    Query,
    Refill,
    Result,
    Stream,
    Subscribe,
    Unsubscribe,
)
from bridge.wire.protocol import Ticks
from bridge.wire.spec import (
    MARKET_WINDOW,
    BusyKind,
    Continuity,
    ErrorCode,
    LogoutCode,
    Permission,
    StreamKind,
)
from tests.support.desk_bench import DeskBench, buy
from tests.support.terminal_world import MS, NO_DEADLINE, ORDER, T0, World, make_core

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


def test_ticks_go_on_between_the_orders_of_a_row():
    bench = DeskBench(rules=BrokerRules(execution_ms=(100, 100))).connect()
    bench.send(Subscribe(1, 1, "EURUSD", 0, 7, 86_400, None))
    bench.send(*(bench.new(buy(), f"test/{number}") for number in range(5)))
    for number in range(60):
        bench.quote(1.1 + number / 100_000, 1.1001 + number / 100_000)
        bench.advance(10)
    came = "".join(
        "R" if isinstance(one, Result) else "t"
        for one in bench.frames
        if isinstance(one, Result | Ticks)
    )

    # Behind each order but the first, whose ticks may be in the frame of the subscription.
    assert ["t"] * 4 == [between[:1] for between in came.split("R")[1:5]]


def test_streams_begin_between_the_orders_of_a_row():
    """As behind a reconnection, when orders and subscriptions have waited for it."""
    bench = DeskBench(rules=BrokerRules(execution_ms=(100, 100))).connect()
    bench.send(Subscribe(1, 1, "EURUSD", 0, 7, 86_400, None))
    bench.advance(500)
    bench.send(*(bench.new(buy(), f"test/{number}") for number in range(5)))
    bench.send(Subscribe(2, 1, "EURUSD", 0, 8, 86_400, None))
    bench.advance(1_000)
    came = [type(one) for one in bench.frames if isinstance(one, Result | Stream)]

    assert [Stream, Result, Stream, *[Result] * 4] == came


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
