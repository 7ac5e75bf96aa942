"""Which terminal a request about orders concerns, and what it is told."""

from __future__ import annotations

import pytest

from bridge.bus.order_params import HaltParams
from bridge.bus.requests import Method, validate_params, validate_request
from bridge.config import TradingSettings
from bridge.exceptions import InvalidRequest, JournalError
from bridge.journal import Journal, MemoryStore
from bridge.relay.asks import Answer
from bridge.relay.order_commands import Moment
from bridge.relay.order_requests import OrderRequests
from bridge.relay.publisher import Publisher
from bridge.relay.trading import TerminalTrading
from tests.support.bench import RecordingSocket
from tests.support.orders import BUY, FakeReply

NOW = Moment(1_000_000, 1_700_000_000_000)


class FakeTerminal:
    def __init__(self):
        self.state = None
        self.streams = {}
        self.asked = []

    def ask(self, method, params, done, deadline_us):
        self.asked.append((method, params, done, deadline_us))


class Bench:
    """
    Two terminals that are away, and a journal.
    """

    def __init__(self):
        self.store = MemoryStore()
        self.journal = Journal(self.store)
        self.journal.load()
        self.terminals = {"demo": FakeTerminal(), "live": FakeTerminal()}
        publisher = Publisher(RecordingSocket(), 5)
        self.tradings = {
            alias: TerminalTrading(
                alias,
                terminal,
                TradingSettings(enabled=True),
                self.journal,
                publisher,
                1,
                lambda: NOW,
            )
            for alias, terminal in self.terminals.items()
        }
        self.requests = OrderRequests(self.journal, self.tradings)

    def turn(self):
        for _ in range(5):
            self.store.flush()
            for trading in self.tradings.values():
                trading.poll(NOW)

    def read(self, method, params, value):
        reply = FakeReply()
        given = validate_params(method, params)
        self.requests.read("demo", method, given, reply, 9)
        (_, asked, done, _) = self.terminals["demo"].asked.pop()
        done(Answer(value))
        return asked, reply


@pytest.fixture
def bench():
    return Bench()


def envelope(method, **fields):
    return validate_request({"id": 1, "method": method, **fields})


def test_an_order_without_an_identity_is_refused(bench):
    request = envelope("order_send", params=BUY, client_id="c")
    params = validate_params(Method.ORDER_SEND, BUY)

    with pytest.raises(InvalidRequest) as caught:
        bench.requests.submit("demo", request, params, FakeReply(), NOW)

    assert "client_order_id" == caught.value.field


def test_status_of_what_was_never_heard_of_is_an_error(bench):
    reply = FakeReply()
    request = envelope("order_status", client_id="c", client_order_id="1")
    bench.requests.status(request, validate_params(Method.ORDER_STATUS, {}), reply)

    assert "NOT_AVAILABLE" == reply.outcome


def test_with_a_journal_in_doubt_nothing_counts_as_never_heard_of(bench):
    bench.store.fail = JournalError("it is damaged", hint="restore a copy")
    reply = FakeReply()
    request = envelope("order_status", client_id="c", client_order_id="1")
    bench.requests.status(request, validate_params(Method.ORDER_STATUS, {}), reply)

    assert ("INTERNAL", "restore a copy") == (reply.outcome, reply.errors[0]["hint"])


def test_halt_and_resume_concern_all_terminals_or_one(bench):
    told = []
    for method, alias in (("halt", None), ("resume", "live")):
        reply = FakeReply()
        if method == "halt":
            bench.requests.halt(alias, HaltParams(reason="news"), reply, NOW)
        else:
            bench.requests.resume(alias, reply, NOW)
        bench.turn()
        told.append({one["alias"]: one["trading_state"] for one in reply.results[0]["terminals"]})

    assert [{"demo": "HALTED", "live": "HALTED"}, {"live": "ACTIVE"}] == told
    assert ["HALTED", "ACTIVE"] == [one.orders.state.name for one in bench.tradings.values()]


def test_a_halt_that_is_not_on_disk_is_told_as_such_and_holds(bench):
    bench.store.fail = JournalError("the disk is full", writable=True)
    reply = FakeReply()
    bench.requests.halt(None, HaltParams(), reply, NOW)
    bench.turn()

    assert "it holds" in reply.errors[0]["message"]
    assert {"HALTED"} == {one.orders.state.name for one in bench.tradings.values()}


def test_a_terminal_that_is_not_configured_is_an_error(bench):
    with pytest.raises(InvalidRequest) as caught:
        bench.requests.resume("nope", FakeReply(), NOW)

    assert ("UNKNOWN_TERMINAL", "terminal") == (caught.value.code, caught.value.field)


def test_positions_come_back_with_tag_and_comment(bench):
    found = [{"ticket": 1, "comment": "by hand"}]
    asked, reply = bench.read(
        Method.POSITIONS, {"symbol": "EURUSD", "ticket": 1}, {"positions": found}
    )

    assert {"symbol": "EURUSD", "ticket": 1} == asked
    assert {
        "positions": [{"ticket": 1, "comment": "by hand", "tag": "by hand", "command_id": ""}]
    } == reply.results[0]


def test_order_check_asks_with_the_fields_and_flags_of_new(bench):
    asked, reply = bench.read(
        Method.ORDER_CHECK, {**BUY, "sl_points": 50}, {"check": {"retcode": 10019}}
    )

    assert {
        "action": 1,
        "symbol": "EURUSD",
        "volume": 0.1,
        "type": 0,
        "sl": 50.0,
        "flags": 4,
    } == asked
    assert {"retcode": 10019, "retcode_name": "NO_MONEY"} == reply.results[0]


@pytest.mark.parametrize("value", [None, [], {}, {"positions": 5}, {"positions": [5]}])
def test_an_answer_of_the_wrong_form_is_an_error_of_the_terminal(bench, value):
    _, reply = bench.read(Method.POSITIONS, {}, value)

    assert ("TERMINAL_ERROR", "terminal") == (reply.outcome, reply.errors[0]["hop"])
