"""``bridge.client.flows``: what each call asks and returns, without a socket."""

from __future__ import annotations

import pytest

from bridge.client.flows import Calls, Inquiry, Pause
from bridge.client.models import SymbolInfo
from bridge.client.replies import MalformedReply, error_from
from bridge.exceptions import (
    DeadlineExceeded,
    InvalidRequest,
    NotAvailable,
    RequestError,
    RequestRefused,
    UnknownSymbol,
)
from bridge.model.tick import Gap, Tick
from tests.support.relay_model import Refusal, RelayModel

EURUSD = "tick/demo/EURUSD"


class Driver:
    """
    Runs flows against a relay model; notes the pauses.
    """

    def __init__(self, relay, terminal=None):
        self.relay = relay
        self.calls = Calls(terminal)
        self.pauses = []
        self.terminals = []

    def run(self, flow):
        answer = problem = None
        while True:
            try:
                step = flow.send(answer) if problem is None else flow.throw(problem)
            except StopIteration as end:
                return end.value
            answer = problem = None
            if isinstance(step, Pause):
                self.pauses.append(step.seconds)
                continue
            assert isinstance(step, Inquiry)
            self.terminals.append(step.terminal)
            try:
                answer = self.relay.answer(step.method, step.params)
            except Refusal as refusal:
                problem = error_from(refusal.error)
            except RequestError as error:
                problem = error


@pytest.fixture
def relay():
    """
    Return a relay with five messages of EURUSD.
    """
    model = RelayModel()
    for _ in range(5):
        model.publish(EURUSD)
    return model


@pytest.fixture
def driver(relay):
    """
    Return a driver of a client that named no terminal.
    """
    return Driver(relay)


def methods(relay):
    return [method for method, _ in relay.asked]


def test_the_relay_is_checked_once(driver, relay):
    driver.run(driver.calls.status())
    driver.run(driver.calls.status())

    assert ["ping", "terminals", "status", "status"] == methods(relay)


def test_another_version_is_refused_by_every_call(driver, relay):
    relay._ping = lambda _: {"bus_version": 3}

    for flow in (driver.calls.ping(), driver.calls.status(), driver.calls.symbol("EURUSD")):
        with pytest.raises(RequestRefused, match="version 3"):
            driver.run(flow)


def test_the_only_terminal_is_meant(driver, relay):
    driver.run(driver.calls.symbol("EURUSD"))

    assert "demo" == driver.calls.terminal
    assert [None, None, "demo"] == driver.terminals


def test_a_named_terminal_is_not_looked_for(relay):
    driver = Driver(relay, "demo")
    driver.run(driver.calls.symbol("EURUSD"))

    assert ["ping", "symbol"] == methods(relay)


@pytest.mark.parametrize(
    ("aliases", "text"),
    [
        (["demo", "ftmo1"], r"several terminals; say which \(configured: demo, ftmo1\)"),
        ([], "none"),
    ],
)
def test_without_exactly_one_terminal_a_name_is_needed(driver, relay, aliases, text):
    relay.terminals = [{"alias": alias, "state": "away"} for alias in aliases]

    with pytest.raises(InvalidRequest, match=text) as caught:
        driver.run(driver.calls.symbol("EURUSD"))
    assert "terminal" == caught.value.field


def test_before_the_first_call_nobody_knows(driver):
    with pytest.raises(InvalidRequest, match="not known yet"):
        _ = driver.calls.terminal


def test_a_terminal_that_was_configured_meanwhile_is_found(driver, relay):
    configured, relay.terminals = relay.terminals, []
    driver.run(driver.calls.connect())
    relay.terminals = configured

    assert "demo" == driver.run(driver.calls.alias())


def test_symbols_are_listed_page_by_page(driver, relay):
    relay.page = 2
    for name in "ABCD":
        relay.publish(f"tick/demo/{name}")
    found = driver.run(driver.calls.symbols("*"))

    assert ["A", "B", "C", "D", "EURUSD"] == [info.name for info in found]
    assert 3 == methods(relay).count("symbols")


@pytest.mark.parametrize("following", [0, -1, "x", 1.5])
def test_pages_that_never_end_are_refused(driver, relay, following):
    relay._symbols = lambda _: {"symbols": [], "next_offset": following}

    with pytest.raises(MalformedReply):
        driver.run(driver.calls.symbols("*"))


def test_a_symbol_keeps_what_we_do_not_know(driver):
    info = driver.run(driver.calls.symbol("EURUSD"))

    assert isinstance(info, SymbolInfo)
    assert ("EURUSD", 5, None, 1) == (info.name, info.digits, info.point, info.made_up)


def test_an_error_is_raised_where_it_was_asked(driver):
    with pytest.raises(UnknownSymbol, match="no symbol 'X'"):
        driver.run(driver.calls.symbol("X"))


def test_the_last_tick(driver):
    tick = driver.run(driver.calls.tick("EURUSD"))

    assert Tick("demo", "EURUSD", 7, 5, 1_600_000_000_005, 6.0, 7.0, 0.0, 7.0, 6, 120) == tick


def test_the_last_tick_of_a_symbol_that_does_not_stream(driver, relay):
    relay._tick = lambda _: {"tick": {"time_msc": 1, "bid": 1, "ask": 2}}
    tick = driver.run(driver.calls.tick("EURUSD"))

    assert Tick("demo", "EURUSD", 0, 0, 1, 1.0, 2.0, 0.0, 0.0, 0, 0) == tick


@pytest.mark.parametrize("answer", [{}, {"tick": 1}, {"tick": {}}, {"tick": {"time_msc": "x"}}])
def test_a_malformed_tick(driver, relay, answer):
    relay._tick = lambda _: answer

    with pytest.raises(MalformedReply):
        driver.run(driver.calls.tick("EURUSD"))


@pytest.mark.parametrize("answer", [{}, {"terminals": 1}, {"terminals": [1]}, {"terminals": [{}]}])
def test_malformed_terminals(driver, relay, answer):
    driver.run(driver.calls.ping())
    relay.answer = lambda *_: {**answer, "bus_version": 1, "version": 1}

    with pytest.raises(MalformedReply):
        driver.run(driver.calls.terminals())


def test_topics_of_symbols(driver):
    assert [EURUSD, "tick/demo/BTC/USD"] == driver.run(
        driver.calls.tick_topics(["EURUSD", "BTC/USD"])
    )


@pytest.mark.parametrize("symbols", [[], [""], ["EUR\0USD"], ["X" * 300], [1]])
def test_names_that_no_symbol_has(driver, symbols):
    with pytest.raises(InvalidRequest) as caught:
        driver.run(driver.calls.tick_topics(symbols))

    assert "symbols" == caught.value.field


def test_a_snapshot_tells_values_and_errors(driver, relay):
    topic = relay.topic("tick/demo/NOPE")
    topic.epoch = 0
    topic.status = "error"
    topic.error = Refusal("UNKNOWN_SYMBOL", "no such symbol", "terminal").error
    known, idle, nope = driver.run(driver.calls.snapshot([EURUSD, "status/demo", "tick/demo/NOPE"]))

    assert ("ok", 7, 5, 1) == (known.status, known.epoch, known.seq, known.oldest_seq)
    assert 5 == known.value.seq
    assert ("idle", None, None, None) == (idle.status, idle.epoch, idle.value, idle.error)
    assert isinstance(nope.error, UnknownSymbol)


def test_a_snapshot_of_many_topics_takes_several_requests(driver, relay):
    found = driver.run(driver.calls.snapshot([f"tick/demo/S{n}" for n in range(300)]))

    assert 300 == len(found)
    assert 2 == methods(relay).count("snapshot")


def test_a_snapshot_of_nothing(driver):
    with pytest.raises(InvalidRequest, match="no topics"):
        driver.run(driver.calls.snapshot([]))


def test_a_replay_is_complete_and_says_what_is_missing(driver, relay):
    relay.page = 2
    del relay.topics[EURUSD].held[1]
    found = driver.run(driver.calls.replay(EURUSD, 7, 1, None))

    assert [(1, 1), 2, 3, 4, 5] == [
        (value.first, value.last) if isinstance(value, Gap) else value.seq for value in found
    ]
    assert 2 == methods(relay).count("replay")


def test_a_replay_waits_when_it_is_asked_to(driver, relay):
    replay, limited = relay._replay, [Refusal("TOO_MANY_REQUESTS", retry_after_ms=300)]

    def answer(params):
        if limited:
            raise limited.pop()
        return replay(params)

    relay._replay = answer

    assert 2 == len(driver.run(driver.calls.replay(EURUSD, 7, 2, 3)))
    assert [0.3] == driver.pauses


def test_a_replay_of_what_cannot_be_replayed(driver, relay):
    relay._replay = lambda _: (_ for _ in ()).throw(Refusal("NOT_AVAILABLE"))

    with pytest.raises(NotAvailable):
        driver.run(driver.calls.replay("ticks/demo", 7, 2, 3))


@pytest.mark.parametrize(
    "answer",
    [
        {"messages": [["x", 1]], "missing": [], "next": None},
        {"messages": [[7, 1]], "missing": [], "next": None},
        {"messages": [], "missing": [], "next": 1},
    ],
)
def test_a_malformed_replay(driver, relay, answer):
    relay._replay = lambda _: answer

    with pytest.raises(MalformedReply):
        driver.run(driver.calls.replay(EURUSD, 7, 1, 3))


def test_a_replay_of_no_topic(driver):
    with pytest.raises(InvalidRequest):
        driver.run(driver.calls.replay("EURUSD", 7, 1, 3))


@pytest.mark.parametrize(
    ("told", "hop", "text"),
    [
        ({"state": "away"}, "terminal", "not connected to the relay"),
        (
            {"permissions": {"terminal_connected": False}, "server_time_msc": 1},
            "trade_server",
            "no connection to its trade server",
        ),
        ({"permissions": {"terminal_connected": False}}, "trade_server", "sent nothing"),
        ({"busy": True}, "terminal", "busy"),
        ({}, "trade_server", "the market may be closed"),
    ],
)
def test_a_silence_is_explained_as_well_as_it_can_be(driver, relay, told, hop, text):
    relay.terminals = [{"alias": "demo", "state": "connected", **told}]
    error = driver.run(driver.calls.explain_silence("tick of EURUSD", 30.0))

    assert isinstance(error, DeadlineExceeded)
    assert "no tick of EURUSD for 30 s" in str(error)
    assert text in str(error)
    assert hop == error.hop


def test_a_silence_of_the_relay_is_the_relays(driver, relay):
    def answer(*_):
        raise DeadlineExceeded("it did not answer", hop="relay", hint="look")

    relay.answer = answer
    error = driver.run(driver.calls.explain_silence("tick of EURUSD", 30.0))

    assert "[relay] DEADLINE_EXCEEDED: no tick of EURUSD for 30 s: it did not answer (look)" == str(
        error
    )


def test_a_terminal_that_is_configured_no_more(relay):
    driver = Driver(relay, "gone")
    error = driver.run(driver.calls.explain_silence("tick of EURUSD", 30.0))

    assert "'gone' is not connected" in str(error)
