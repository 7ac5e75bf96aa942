"""``bridge.sim.terminal``: what the relay can ask for."""

from __future__ import annotations

import pytest

from bridge.model.record import Cursor
from bridge.model.symbol import SymbolSpec
from bridge.sim.market import Market
from bridge.wire.messages import (
    Busy,
    CancelRequest,
    EventAck,
    New,
    Page,
    Query,
    Refill,
    Request,
    Result,
)
from bridge.wire.spec import (
    PAGE_PAYLOAD_MAX,
    BusyKind,
    DenyReason,
    ErrorCode,
    OrderOutcome,
    PageKind,
)
from tests.support.terminal_world import MS, NO_DEADLINE, ORDER, T0, World, make_core

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
