"""
The Expert Advisor streams from a terminal's history to a relay that says what the test wants.

On the virtual clock, with AddressSanitizer: seconds of the market cost what is done in them.
What the collector does alone is in ``test_ea_collector.py``; here it is the whole program, over
a socket, with BUSY before what blocks, restarts, and the relay's acknowledgements. What wakes it
and how it ends is in ``test_ea_events.py``.
"""

from __future__ import annotations

import pytest

from bridge.model.enums import MqlError
from bridge.model.record import Cursor
from bridge.model.tick import MqlTick, TickFlag
from bridge.sim.answers import pack_mql_tick
from bridge.wire.messages import (
    Busy,
    Halt,
    New,
    OrderRequest,
    Page,
    Query,
    Refill,
    Request,
    Result,
    Stream,
    Unsubscribe,
)
from bridge.wire.spec import (
    BusyKind,
    Continuity,
    DenyReason,
    ErrorCode,
    GapReason,
    LogoutCode,
    OrderOutcome,
    Permission,
    TradingState,
)
from tests.mql5.scenarios.expert import why_not
from tests.mql5.scenarios.market_bench import (
    NO_DEADLINE,
    SYMBOL,
    T0,
    content,
    market_bench,
    tick,
)
from tests.mql5.scenarios.world import ACCOUNT

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
    pytest.mark.slow,
    pytest.mark.timeout(300),
]

LATE = int(TickFlag.LATE)
BACKLOG = int(TickFlag.BACKLOG)


@pytest.fixture
def bench(tmp_path):
    with market_bench(tmp_path) as made:
        yield made


# Streaming.


def test_a_stream_begins_with_the_latest_tick_and_goes_on_live(bench):
    bench.append(1, 2)
    bench.start()
    answer, gap = bench.begin()
    bench.wait(0.2)
    bench.append(3, 4)
    bench.wait(0.2)

    assert (101, 1, Continuity.FRESH, 5, 1e-5, None) == (
        answer.epoch,
        answer.first_seq,
        answer.continuity,
        answer.digits,
        answer.point,
        gap,
    )
    assert [2, 3, 4] == bench.numbers()
    assert [BACKLOG | 6, 6, 6] == [record.flags for record in bench.received()]
    assert {0} == {record.utc_offset_min % 15 for record in bench.received()}


def test_bursts_within_a_millisecond_arrive_whole_and_in_order(bench):
    bench.append(1)
    bench.start().begin()
    for number in range(2, 400):
        bench.history.append(SYMBOL, tick(number, T0 + 1 + number // 37))
        if number % 11 == 0:
            bench.wait()
    bench.wait(1)

    assert bench.all_ticks == bench.content()
    assert [1.0 + n / 1e5 for n in range(1, 400)] == [record.bid for record in bench.received()]
    assert 0 == sum(record.flags & LATE for record in bench.received())


def test_a_millisecond_of_more_ticks_than_a_slice_is_read_whole(bench):
    bench.append(0)
    bench.start().begin()
    for number in range(6_000):
        bench.history.append(SYMBOL, tick(number, T0 + 5))
    for _ in range(24):
        if len(bench.received()) < 6_001:
            bench.wait(1)
    bench.wait(1)

    assert bench.all_ticks == bench.content()
    assert list(range(1, 6_002)) == [record.seq for record in bench.received()]


def test_several_symbols_stream_together(bench):
    for symbol in (SYMBOL, "USDJPY"):
        bench.append(1, symbol=symbol)
    bench.start()
    for symbol in (SYMBOL, "USDJPY"):
        bench.begin(symbol)
    for symbol in (SYMBOL, "USDJPY"):
        bench.append(*range(2, 1_500), symbol=symbol)
    bench.wait(2)

    assert list(range(1, 1_500)) == bench.numbers(SYMBOL) == bench.numbers("USDJPY")


def test_ticks_that_no_relay_would_take_and_flags_that_are_not_metatraders_stay_away(bench):
    bench.append(1)
    bench.start().begin()
    bench.wait()
    bench.history.append(SYMBOL, MqlTick(T0 + 3, float("inf"), 1.0))
    bench.history.append(SYMBOL, MqlTick(T0 + 3, 1.0, float("nan")))
    bench.history.append(SYMBOL, tick(4)._replace(flags=0xF06))
    bench.wait(5)

    assert [1, 4] == bench.numbers()
    assert [BACKLOG | 6, 6] == [record.flags for record in bench.received()]


@pytest.mark.parametrize(
    ("symbol", "kind", "code"),
    [
        ("NOPE", 1, ErrorCode.UNKNOWN_SYMBOL),
        ("X" * 128, 1, ErrorCode.UNKNOWN_SYMBOL),
        (SYMBOL, 2, ErrorCode.UNSUPPORTED),
    ],
)
def test_what_cannot_begin_is_refused_with_a_reason(bench, symbol, kind, code):
    bench.append(1)
    answer, gap = bench.start().begin(symbol, kind=kind)

    assert (code, 0, None) == (answer.code, answer.symbol_id, gap)
    assert answer.text


def test_an_unsubscribed_symbol_is_silent_and_given_back(bench):
    bench.append(1)
    bench.start()
    answer, _ = bench.begin()
    selected = bench.history.symbol_info_tick(SYMBOL).error
    bench.relay.send(Unsubscribe(answer.symbol_id))
    bench.wait(0.2)
    bench.append(2)
    bench.wait(0.2)

    assert [1] == bench.numbers()
    assert [0, MqlError.MARKET_NOT_SELECTED] == [
        selected,
        bench.history.symbol_info_tick(SYMBOL).error,
    ]


def test_a_symbol_that_was_selected_before_stays_so(bench):
    bench.append(1)
    bench.market.select(SYMBOL, True)
    answer, _ = bench.start().begin()
    bench.relay.send(Unsubscribe(answer.symbol_id))
    bench.wait(0.2)
    bench.stop()

    assert 0 == bench.history.symbol_info_tick(SYMBOL).error


def test_a_symbol_taken_out_of_market_watch_is_put_back(bench):
    bench.append(1)
    bench.start().begin()
    bench.market.select(SYMBOL, False)
    bench.append(2)
    bench.wait(2)

    assert [1, 2] == bench.numbers()


# Blocking.


def test_busy_goes_out_before_a_call_that_may_block_and_nothing_behind_it(bench):
    bench.append(1)
    bench.start()
    bench.history.block_first_call(SYMBOL, 30_000)
    bench.subscribe()
    bench.wait(1)
    bench.relay.events.clear()
    bench.wait(28)
    during = list(bench.said)
    heard = bench.relay.session.busy_kind
    bench.append(2)
    bench.wait(3)

    assert [Busy(BusyKind.COPY_TICKS, 45_000)] == during
    assert BusyKind.COPY_TICKS == heard
    assert [Busy, Stream, Busy] == [type(message) for message in bench.said]
    assert Busy(BusyKind.READY, 0) == bench.said[-1]
    assert ([], [1, 2]) == (bench.relay.ends, bench.numbers())


def test_busy_is_announced_once_a_symbol(bench):
    bench.append(1)
    bench.start().begin()
    bench.begin()
    bench.append(2)
    bench.wait(0.2)

    assert [BusyKind.COPY_TICKS, BusyKind.READY] == [busy.kind for busy in bench.of(Busy)]


def test_a_history_that_times_out_is_not_believed_and_waited_for(bench):
    """45 s, 4403 and a part of the ticks: the answer is not taken, and the relay waits."""
    bench.append(*range(100))
    bench.start()
    bench.history.answer_in_part(SYMBOL, calls=1, blocked_ms=45_000)
    answer, _ = bench.begin()
    bench.wait(0.2)

    assert (ErrorCode.OK, [99], []) == (answer.code, bench.numbers(), bench.relay.ends)
    assert [BusyKind.COPY_TICKS, BusyKind.READY] * 2 == [busy.kind for busy in bench.of(Busy)]


def test_a_history_that_does_not_come_is_an_answer_too(bench):
    bench.append(*range(100))
    bench.start()
    bench.history.answer_in_part(SYMBOL, calls=100, blocked_ms=20_000)
    answer, _ = bench.begin()

    assert (ErrorCode.NOT_SYNCHRONISED, []) == (answer.code, bench.relay.ends)


def test_partial_answers_while_it_streams_are_not_taken(bench):
    bench.append(1)
    bench.start().begin()
    bench.append(*range(2, 60))
    bench.history.answer_in_part(SYMBOL, calls=3, blocked_ms=2_000)
    bench.wait(30)

    assert list(range(1, 60)) == bench.numbers()
    assert [] == bench.relay.ends


def test_one_symbol_being_loaded_does_not_keep_others_waiting(bench):
    bench.append(*range(10))
    bench.append(*range(10), symbol="USDJPY")
    bench.start()
    bench.history.answer_in_part(SYMBOL, calls=3, blocked_ms=0)
    slow, fast = bench.subscribe(), bench.subscribe("USDJPY")
    bench.answer(Stream, fast)
    bench.answer(Stream, slow)

    assert [fast, slow] == [stream.request_id for stream in bench.of(Stream)]


# Resumption.


def test_after_a_cut_what_was_not_taken_is_sent_again(bench):
    bench.append(1)
    bench.start().begin()
    bench.append(*range(2, 300))
    bench.wait(0.2)
    del bench.checkpoints[SYMBOL][1:]
    bench.relay.hang_up()
    bench.append(*range(300, 310))
    bench.log_on()
    answer, gap = bench.begin()
    bench.wait(0.2)

    assert (Continuity.RESUMED, 101, 2, None) == (
        answer.continuity,
        answer.epoch,
        answer.first_seq,
        gap,
    )
    assert list(range(1, 310)) == bench.numbers()


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_a_restarted_terminal_goes_on_behind_the_relays_cursor(bench, how):
    bench.append(1)
    bench.start().begin()
    bench.append(*range(2, 100))
    bench.wait(0.2)
    getattr(bench, how)()
    bench.append(*range(100, 2_000))
    answer, gap = bench.begin()
    bench.wait(1)

    assert (Continuity.RESUMED, 101, 100, None) == (
        answer.continuity,
        answer.epoch,
        answer.first_seq,
        gap,
    )
    assert list(range(1, 2_000)) == bench.numbers()


def test_a_restarted_relay_gets_what_it_asks_again(bench):
    bench.append(1)
    bench.start().begin()
    bench.append(*range(2, 101))
    bench.wait(0.2)
    bench.relay.hang_up()
    bench.log_on()
    answer, _ = bench.begin(overlap=30)

    assert (Continuity.RESUMED, 71) == (answer.continuity, answer.first_seq)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda h: h.append(SYMBOL, tick(7_200_000)), GapReason.TOO_OLD),
        (lambda h: h.revise(SYMBOL, T0 + 9, 0, tick(99, T0 + 9)), GapReason.HISTORY_REVISED),
        (lambda h: h.revise(SYMBOL, T0 + 9, 0, None), GapReason.HISTORY_REVISED),
        (
            lambda h: [h.revise(SYMBOL, T0 + n, 0, None) for n in range(1, 10)],
            GapReason.HISTORY_MISSING,
        ),
    ],
)
def test_what_cannot_be_resumed_is_a_gap_with_both_cursors(bench, change, reason):
    bench.append(*range(1, 10))
    bench.start().begin()
    bench.wait(0.2)
    old = bench.checkpoints[SYMBOL][-1]
    bench.stop()
    bench.append(10, 11)
    change(bench.history)
    bench.start()
    answer, gap = bench.begin(max_age_s=3_600)
    bench.wait(0.2)
    newest = bench.history.ticks_of(SYMBOL)[-1]

    assert (Continuity.GAP, 102, 1) == (answer.continuity, answer.epoch, answer.first_seq)
    assert (reason, *old) == (gap.reason, gap.old_epoch, gap.old_seq, gap.old_cursor)
    assert (newest.time_msc, 0, 0) == gap.cursor
    assert content([newest]) == bench.content(epoch=102)
    assert gap.text


# Late and revised ticks, outages.


def test_a_late_tick_is_found_and_flagged(bench):
    bench.append(0)
    bench.start().begin()
    bench.append(*range(10, 100, 10))
    bench.wait(0.2)
    bench.history.insert_late(SYMBOL, tick(35))
    bench.wait(30)

    assert [35] == [one.time_msc - T0 for one in bench.received() if one.flags & LATE]
    assert bench.all_ticks == bench.content()


def test_a_revised_tick_is_sent_in_its_new_form(bench):
    bench.append(*range(5))
    bench.start().begin()
    bench.append(*range(5, 20))
    bench.wait(0.2)
    bench.history.revise(SYMBOL, T0 + 10, 0, tick(99, T0 + 10))
    bench.wait(30)

    last = bench.received()[-1]
    assert (T0 + 10, 1.0 + 99 / 1e5, LATE | 6) == (last.time_msc, last.bid, last.flags)


def test_after_an_outage_the_hole_is_read_before_the_newest_ticks(bench):
    bench.append(0)
    bench.start().begin()
    bench.append(*range(1, 100))
    bench.wait(0.2)
    bench.process.disconnect_trade_server()
    bench.wait(0.2)
    bench.history.hold_back(SYMBOL, T0 + 100, T0 + 199)
    bench.append(*range(100, 300))
    bench.process.reconnect_trade_server()
    bench.wait(0.2)
    before = len(bench.received())
    bench.history.release(SYMBOL)
    bench.wait(4)

    assert 100 == before
    assert list(range(300)) == bench.numbers()
    assert BACKLOG | 6 == bench.received()[-1].flags
    assert [] == bench.relay.ends


def test_without_its_trade_server_a_terminal_does_not_log_on(bench):
    bench.append(0)
    bench.start()
    bench.process.disconnect_trade_server()
    bench.relay.hang_up()
    bench.wait(5)
    logons = bench.relay.logons
    bench.process.reconnect_trade_server()
    bench.log_on()

    assert (1, 2) == (logons, bench.relay.logons)


def test_another_account_ends_the_session_and_logs_on_anew(bench):
    bench.append(0)
    bench.start().begin()
    bench.process.set_account(login=ACCOUNT.login + 1)
    bench.wait(2)
    bench.log_on()

    assert LogoutCode.ACCOUNT_CHANGED == bench.relay.ends[0].code
    assert ACCOUNT.login + 1 == bench.relay.session.hello.login


# Answers, orders, liveness.


def test_symbols_are_told_as_the_market_has_them(bench):
    bench.append(5)
    bench.start()
    described = bench.value("symbol", symbol=SYMBOL)["symbol"]
    listed = bench.value("symbols", group="*,!USD*")
    everything = bench.value("symbols", limit=1)
    now = bench.value("tick", symbol=SYMBOL)["tick"]

    expected = bench.market.describe(SYMBOL) | {"select": False, "visible": False}
    # The spread of a terminal is that of its newest tick.
    assert expected | {"spread": described["spread"]} == described
    assert list(expected) == list(described)
    assert ([SYMBOL], 1, None) == (
        [one["name"] for one in listed["symbols"]],
        listed["total"],
        listed["next_offset"],
    )
    assert list(bench.market.describe(SYMBOL, in_list=True)) == list(listed["symbols"][0])
    assert (1, 2, 1) == (
        len(everything["symbols"]),
        everything["total"],
        everything["next_offset"],
    )
    assert bench.history.ticks_of(SYMBOL)[-1]._asdict() | {"utc_offset_min": 0} == now | {
        "utc_offset_min": 0
    }


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("symbol", {"symbol": "NOPE"}, ErrorCode.UNKNOWN_SYMBOL),
        ("symbol", {"symbol": 5}, ErrorCode.UNKNOWN_SYMBOL),
        ("symbol", {}, ErrorCode.UNKNOWN_SYMBOL),
        ("symbols", {"group": 5}, ErrorCode.INVALID),
        ("symbols", {"group": "x" * 256}, ErrorCode.INVALID),
        ("symbols", {"offset": -1}, ErrorCode.INVALID),
        ("symbols", {"offset": True}, ErrorCode.INVALID),
        ("symbols", {"limit": 1_001}, ErrorCode.INVALID),
        ("tick", {"symbol": SYMBOL}, ErrorCode.NOT_FOUND),
        ("no_such_method", {}, ErrorCode.UNSUPPORTED),
    ],
)
def test_a_read_that_fails_says_why(bench, method, params, code):
    bench.start()

    assert code == bench.value(method, **params)
    assert bench.of(Page)[-1].text


def test_a_read_behind_its_deadline_is_not_answered_with_data(bench):
    bench.append(1)
    bench.start()
    bench.wait(0.2)
    number = bench.ask(Request, "symbol", {"symbol": SYMBOL}, bench.relay.clock() - 1_000_000)

    assert ErrorCode.DEADLINE_PASSED == bench.pages(number)


def test_a_refill_gives_the_ticks_behind_a_cursor(bench):
    bench.append(*range(2_500))
    bench.start()
    first = bench.history.ticks_of(SYMBOL)[0]
    number = bench.ask(Refill, SYMBOL, Cursor(0, 0, 0), T0 + 2_200, 5_000, NO_DEADLINE)
    payload = bench.pages(number)
    wrong = bench.ask(Refill, SYMBOL, Cursor(T0 + 5, 1, 1), 0, 10, NO_DEADLINE)

    expected = [one for one in bench.history.ticks_of(SYMBOL) if one.time_msc <= T0 + 2_200]
    assert b"".join(map(pack_mql_tick, expected)) == payload
    assert pack_mql_tick(first) == payload[:60]
    assert ErrorCode.NOT_FOUND == bench.pages(wrong)
    assert BusyKind.COPY_TICKS == bench.of(Busy)[0].kind


def test_a_session_without_orders_denies_them_and_knows_nothing_of_them(bench):
    bench.start()
    order = OrderRequest(1, *[None] * 16)
    hello = bench.relay.session.hello
    bench.relay.send(
        New("a/1", "zb1:X", 1, NO_DEADLINE, 7, hello.incarnation, hello.login, 0, order)
    )
    bench.relay.send(Query(("a/1", "a/2"), 1_000, 1, ()))
    bench.wait(0.1)

    assert [
        ("a/1", OrderOutcome.DENIED, DenyReason.NOT_PERMITTED),
        ("a/1", OrderOutcome.NEVER_SEEN, DenyReason.NONE),
        ("a/2", OrderOutcome.NEVER_SEEN, DenyReason.NONE),
    ] == [(one.command_id, one.outcome, one.reason) for one in bench.of(Result)]
    assert {hello.incarnation} == {one.incarnation for one in bench.of(Result)}


@pytest.mark.parametrize(
    ("said", "epoch", "taken"),
    [
        (1, 7, TradingState.REDUCING),
        (2, 7, TradingState.HALTED),
        (9, 7, TradingState.HALTED),
        (2, 6, TradingState.ACTIVE),
    ],
)
def test_heartbeats_show_that_a_halt_was_taken(bench, said, epoch, taken):
    bench.start()
    bench.relay.send(Halt(said, "because", epoch))
    bench.wait(1.5)

    assert taken == bench.heartbeat.state.trading_state


def test_heartbeats_carry_the_terminals_state(bench):
    bench.append(1)
    bench.start().begin()
    bench.process.set_permissions(Permission.TERMINAL_CONNECTED | Permission.MQL_TRADE_ALLOWED)
    bench.wait(2.5)

    state = bench.heartbeat.state
    assert (5, 0, 20_000, 1, 0) == (
        state.permissions,
        state.trading_state,
        state.ping_last_us,
        state.streams,
        state.unacked_bytes,
    )
    assert 5_000 < state.loop_interval_us < 100_000


def test_a_relay_that_reads_nothing_holds_back_what_is_sent(bench):
    """The window: without acknowledgements no more than it is on its way."""
    bench.append(1)
    bench.start().begin()
    bench.relay.acknowledge = lambda _: None
    bench.append(*range(2, 9_000))
    bench.wait(3)
    held = len(bench.received())

    assert 1_000 < held < 131_072 // 66
    assert bench.heartbeat.state.unacked_bytes <= 131_072
