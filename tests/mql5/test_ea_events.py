"""
What wakes the Expert Advisor, what it reads then, and what it leaves behind at its end.

On the virtual clock, with AddressSanitizer. The broker counts what it is asked.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.model.symbol import spec_for
from bridge.sim.market import Market
from bridge.wire.messages import Unsubscribe
from bridge.wire.spec import Continuity, ErrorCode, LogoutCode
from tests.mql5.scenarios.expert import why_not
from tests.mql5.scenarios.market_bench import SYMBOL, T0, market_bench, tick

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
    pytest.mark.slow,
    pytest.mark.timeout(300),
]


@pytest.fixture
def bench(tmp_path):
    with market_bench(tmp_path) as made:
        yield made


# What wakes it, and what it reads then.


def with_books(bench, *symbols):
    """
    Give symbols an order book.
    """
    specs = bench.market.specs.values()
    depths = {spec.name: 10 if spec.name in symbols else 0 for spec in specs}
    bench.market = Market([replace(spec, ticks_bookdepth=depths[spec.name]) for spec in specs])


def test_the_book_of_a_streamed_symbol_is_opened_once_and_closed_once(bench):
    with_books(bench, SYMBOL)
    for symbol in (SYMBOL, "USDJPY"):
        bench.append(1, symbol=symbol)
    bench.start()
    broker = bench.process.broker
    for symbol in (SYMBOL, "USDJPY", SYMBOL):
        answer, _ = bench.begin(symbol)
    opened = dict(broker.book_subscriptions)
    bench.relay.hang_up()
    bench.log_on()
    answer, _ = bench.begin()
    again = dict(broker.book_subscriptions)
    bench.relay.send(Unsubscribe(answer.symbol_id))
    bench.wait(0.2)
    ended = dict(broker.book_subscriptions)
    bench.begin()
    bench.stop()

    assert [{SYMBOL: 1}, {SYMBOL: 1}, {SYMBOL: 0}] == [opened, again, ended]
    assert {SYMBOL: 0} == broker.book_subscriptions
    assert (2, 2) == (broker.calls["BOOK_ADD"], broker.calls["BOOK_RELEASE"])


def test_a_book_that_cannot_be_opened_is_a_line_for_developers_only(bench):
    bench.append(1)
    bench.start(InpLogLevel="LOG_LEVEL_DEBUG")
    broker = bench.process.broker
    broker.properties[f"{SYMBOL}.SYMBOL_TICKS_BOOKDEPTH"] = 10
    answer, _ = bench.begin()
    bench.stop()

    assert (ErrorCode.OK, 1) == (answer.code, broker.calls["BOOK_ADD"])
    assert ["demo: debug: the order book of 'EURUSD' cannot be opened (error 4901)"] == [
        line for line in bench.process.said() if "order book" in line
    ]
    assert "BOOK_RELEASE" not in broker.calls


def test_each_book_event_is_one_turn_that_waits_for_nothing(bench):
    with_books(bench, "USDJPY")
    bench.append(1, symbol="USDJPY")
    bench.start(InpPumpMs=10, InpTimerMs=1_000).begin("USDJPY")
    bench.wait(0.2)
    for number in range(2, 52):
        bench.append(number, symbol="USDJPY")
        bench.process.book_event("USDJPY")
    bench.process.settle()
    bench.take()
    bench.stop()

    assert list(range(1, 52)) == bench.numbers("USDJPY")
    assert (50, 0) == (bench.process.counts["OnBookEvent"], bench.process.counts["discarded"])


def test_the_book_of_a_symbol_that_nobody_asked_for_is_no_work(bench):
    with_books(bench, SYMBOL, "USDJPY")
    bench.append(1)
    bench.start(InpTimerMs=1_000).begin()
    bench.wait(0.2)
    before = dict(bench.process.broker.calls)
    bench.process.book_event("USDJPY")
    bench.process.settle()
    idle = dict(bench.process.broker.calls)
    bench.process.book_event(SYMBOL)
    bench.process.settle()

    assert before == idle
    assert idle != bench.process.broker.calls


def test_symbols_without_news_are_read_at_the_timer_only(bench):
    quiet = [f"QUIET{number}" for number in range(30)]
    bench.market = Market([spec_for(name) for name in (SYMBOL, *quiet)])
    for symbol in bench.market.specs:
        bench.append(1, symbol=symbol)
    bench.start(InpPumpMs=10)
    for symbol in bench.market.specs:
        bench.begin(symbol)
    calls = bench.process.broker.calls
    before = calls["COPY_TICKS"]
    for number in range(2, 202):
        bench.append(number)
        bench.process.tick(SYMBOL)
        bench.process.advance(1)
    copied = calls["COPY_TICKS"] - before
    bench.wait()

    assert list(range(1, 202)) == bench.numbers()
    # Each new tick once, and everything at each of the timer's events.
    assert copied <= 2 * 200 + 31 * (200 // 16 + 2)


def test_ticks_that_hide_behind_an_equal_one_wait_for_the_timer_only(bench):
    for symbol in (SYMBOL, "USDJPY"):
        bench.append(1, symbol=symbol)
    bench.start(InpPumpMs=10)
    for symbol in (SYMBOL, "USDJPY"):
        bench.begin(symbol)
    bench.wait(0.2)
    bench.append(1, 1, symbol="USDJPY")
    for number in range(2, 42):
        bench.append(number)
        bench.process.tick(SYMBOL)
        bench.process.advance(1)
    bench.take()

    assert [1, 1, 1] == bench.numbers("USDJPY")


def test_a_price_that_changes_within_a_millisecond_is_news(bench):
    """In the wait behind an event, not at the timer: that is a second away."""
    for symbol in (SYMBOL, "USDJPY"):
        bench.append(1, symbol=symbol)
    bench.start(InpPumpMs=10, InpTimerMs=1_000)
    for symbol in (SYMBOL, "USDJPY"):
        bench.begin(symbol)
    bench.wait(0.2)
    bench.process.tick(SYMBOL)
    bench.process.advance(2)
    bench.history.append("USDJPY", tick(2, T0 + 1))
    bench.process.advance(3)
    bench.take()

    assert [1, 1] == bench.numbers("USDJPY")


def test_a_frame_that_the_socket_takes_in_parts_does_not_wait_for_an_event_for_each_part(bench):
    bench.append(1)
    bench.start(InpPumpMs=0, InpTimerMs=1_000).begin()
    bench.process.set_option("socket_mode", "short_writes")
    for number in range(2, 42):
        bench.append(number)
        bench.process.tick(SYMBOL)
        bench.process.settle()
    bench.take()

    # The socket takes nothing behind one part in four: those of its ticks come with the next.
    assert len(bench.numbers()) > 30


# The end.


@pytest.mark.parametrize("mode", ["send_blocks", "send_crawls"])
def test_the_goodbye_takes_less_than_a_second(bench, mode):
    bench.append(1)
    bench.start().begin()
    bench.process.set_option("socket_mode", f"{mode},writable_always")
    before_us = bench.process.now_us
    bench.stop()

    assert 0 < bench.process.now_us - before_us <= 1_000_000


@pytest.mark.parametrize("reason", [1, 4, 9])
def test_an_end_gives_back_what_was_selected(bench, reason):
    bench.append(1)
    bench.market.select("USDJPY", True)
    bench.start()
    for symbol in (SYMBOL, "USDJPY"):
        bench.begin(symbol)
    bench.process.deinit(reason)

    assert [False, True] == [bench.history.is_selected(name) for name in (SYMBOL, "USDJPY")]


@pytest.mark.parametrize("reason", [2, 3, 5, 7])
def test_a_new_beginning_leaves_market_watch_as_it_is(bench, reason):
    """Taken out and put in again, every symbol would have to be synchronised."""
    with_books(bench, SYMBOL)
    bench.append(1)
    bench.start().begin()
    broker = bench.process.broker
    selections = broker.calls["SYMBOL_SELECT"]
    bench.process.reinit(reason)
    closed = dict(broker.book_subscriptions)
    bench.append(2)
    bench.log_on()
    answer, _ = bench.begin()
    bench.wait(0.2)

    assert LogoutCode.REINITIALISED == bench.relay.ends[0].code
    assert (Continuity.RESUMED, [1, 2]) == (answer.continuity, bench.numbers())
    assert selections == broker.calls["SYMBOL_SELECT"]
    assert bench.history.is_selected(SYMBOL)
    assert [{SYMBOL: 0}, {SYMBOL: 1}] == [closed, broker.book_subscriptions]
