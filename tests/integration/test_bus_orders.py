"""
What a real relay answers to orders, and publishes of them, is what the schemas and the page say.

A terminal with a simulated broker trades; the client is a bare socket.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import time

import msgpack
import pytest
import zmq

from bridge.bus.codec import Encoding, decode, encode
from bridge.bus.orders import RESULT_FIELDS, STATUS_DEFAULTS
from bridge.bus.requests import TRADING_METHODS, ControlMethod, Method
from bridge.bus.topics import exact, split_message
from bridge.model.trade import order_tag
from tests.support.json_schema import problems
from tests.support.turning_market import TurningMarket
from tools import bus_schema
from tools.bus_examples import to_json

SCHEMAS = bus_schema.schemas()
DEADLINE_S = 30.0
BUY = {"action": "DEAL", "symbol": "EURUSD", "volume": 0.1, "type": "BUY"}
LIMIT = {**BUY, "action": "PENDING", "type": "BUY_LIMIT", "price": 1.0}
TOPICS = ["trade/demo", "account/demo", "position/demo"]


class Trader:
    """
    Asks a relay, and checks each reply with its schema.
    """

    def __init__(self, market: TurningMarket, folder, stack: contextlib.ExitStack) -> None:
        self.market = market
        self.folder = folder
        self.bodies: dict[str, list[bytes]] = {}
        self._ids = itertools.count(1)
        self._encodings = itertools.cycle(Encoding)
        self._context = stack.enter_context(zmq.Context())
        self._requester = self._socket(stack, zmq.REQ, market.endpoint)
        self.control = json.loads((folder / "data" / "control.json").read_text())
        self._controller = self._socket(stack, zmq.REQ, self.control["endpoints"]["control"])
        self._subscriber = self._socket(stack, zmq.SUB, self.control["endpoints"]["publish"])
        for topic in [*TOPICS, "tick/demo/EURUSD"]:
            self._subscriber.subscribe(exact(topic))
        self.wait_for("tick/demo/EURUSD", lambda _: True)

    def _socket(self, stack, kind: int, endpoint: str) -> zmq.Socket[bytes]:
        socket = stack.enter_context(self._context.socket(kind))
        socket.linger = 0
        socket.rcvtimeo = int(DEADLINE_S * 1000)
        socket.connect(endpoint)
        return socket

    def ask(self, method: str, params: dict | None = None, order_id: str | None = None, **more):
        """
        Return the reply, asked for in msgpack and in JSON by turns.
        """
        request = {"id": str(next(self._ids)), "method": str(method), "params": params or {}}
        if method in TRADING_METHODS:
            request["client_id"] = "schema"
            request["client_order_id"] = order_id or f"order-{request['id']}"
        socket = self._controller if "token" in more else self._requester
        encoding = next(self._encodings)
        socket.send(encode({**request, **more}, encoding))
        reply = decode(socket.recv(), max_bytes=2**24)
        shown = reply if encoding is Encoding.JSON else to_json(reply)

        assert problems(SCHEMAS["reply.json"], shown) == []
        if shown["ok"]:
            assert problems(SCHEMAS[f"result-{method}.json"], shown["result"]) == []
        return shown

    def result(self, method: str, params: dict | None = None, **more):
        reply = self.ask(method, params, **more)

        assert reply["ok"], reply
        if method in TRADING_METHODS:
            assert list(reply["result"]) == list(RESULT_FIELDS)
        if method == Method.ORDER_STATUS:
            assert list(reply["result"]) == [*RESULT_FIELDS, *STATUS_DEFAULTS]
        return reply["result"]

    def done(self, method: str, params: dict | None = None, **more):
        """
        Return the result of an order that is carried out.
        """
        result = self.result(method, params, **more)

        assert (result["outcome"], result["final"]) == ("DONE", True), result
        return result

    def admin(self, method: str, params: dict | None = None, **more):
        return self.ask(method, params, token=self.control["token"], **more)

    def wait_for(self, topic: str, wanted) -> list:
        """
        Take what is published until a body of the topic is wanted; return it.
        """
        seen = 0
        deadline = time.monotonic() + DEADLINE_S
        while True:
            for body in self.bodies.get(topic, [])[seen:]:
                seen += 1
                value = msgpack.unpackb(body)
                if wanted(value):
                    return value
            assert time.monotonic() < deadline, f"nothing came on {topic}"
            if self._subscriber.poll(50):
                name, body = split_message(self._subscriber.recv())
                self.bodies.setdefault(name, []).append(body)


@pytest.fixture(scope="module")
def trader(tmp_path_factory):
    folder = tmp_path_factory.mktemp("orders")
    with contextlib.ExitStack() as stack:
        market = stack.enter_context(TurningMarket(folder, bars=100_000))
        yield Trader(market, folder, stack)


def test_an_order_is_done_once(trader):
    first = trader.done(Method.ORDER_SEND, {**BUY, "comment": "mine"}, order_id="once")
    again = trader.done(Method.ORDER_SEND, {**BUY, "comment": "mine"}, order_id="once")

    assert (False, True) == (first["replayed"], again["replayed"])
    assert {**first, "replayed": True} == again
    assert "schema/once" == first["command_id"]
    assert order_tag("schema/once") == first["tag"]
    assert ("mine", 0.1, 10_009, "DONE") == tuple(
        first[name] for name in ("comment", "volume", "retcode", "retcode_name")
    )
    status = trader.result(Method.ORDER_STATUS, {"client_id": "schema", "client_order_id": "once"})

    assert status == trader.result(Method.ORDER_STATUS, {"command_id": "schema/once"})
    assert again.items() <= status.items()
    assert ["RESERVED", "SENT", "RESULT"] == [step["step"] for step in status["life"]]


@pytest.mark.parametrize(
    "same",
    [{"type": 0, "action": 1}, {"volume": 0.1 + 1e-17}, {"magic": None}],
    ids=["numbers", "noise", "null"],
)
def test_the_same_content_in_other_words_is_the_same_order(trader, same):
    order_id = f"same-{next(iter(same))}"
    trader.done(Method.ORDER_SEND, BUY, order_id=order_id)

    assert trader.done(Method.ORDER_SEND, {**BUY, **same}, order_id=order_id)["replayed"]


def test_another_content_under_the_same_identity_is_denied(trader):
    trader.done(Method.ORDER_SEND, BUY, order_id="other")
    result = trader.result(Method.ORDER_SEND, {**BUY, "volume": 0.2}, order_id="other")

    assert ("DENIED", "DIVERGED", True) == (result["outcome"], result["reason"], result["final"])
    status = trader.result(Method.ORDER_STATUS, {"command_id": "schema/other"})

    assert ("DONE", 0.1) == (status["outcome"], status["volume"])


def test_the_methods_about_positions_do_what_the_page_says(trader):
    opened = trader.done(Method.ORDER_SEND, {**BUY, "magic": 2**64 - 1, "sl_points": 500})
    ticket = opened["position"]
    (position,) = trader.result(Method.POSITIONS, {"ticket": ticket})["positions"]

    assert str(2**64 - 1) == position["magic"]
    assert opened["command_id"] == position["command_id"]
    assert opened["tag"] == position["tag"]
    assert position["sl"] == pytest.approx(opened["price"] - 0.005)

    trader.done(Method.POSITION_MODIFY, {"position": ticket, "sl": 0, "tp_points": 900})
    (position,) = trader.result(Method.POSITIONS, {"ticket": ticket})["positions"]

    assert (0, pytest.approx(position["price_open"] + 0.009)) == (position["sl"], position["tp"])

    part = trader.done(Method.POSITION_CLOSE, {"position": ticket, "volume": 0.04})
    rest = trader.done(Method.POSITION_CLOSE, {"position": str(ticket)})
    none = trader.result(Method.POSITION_CLOSE, {"position": ticket})

    assert (0.04, 0.06) == (part["volume"], pytest.approx(rest["volume"]))
    assert ("DENIED", "NOTHING_TO_CLOSE") == (none["outcome"], none["reason"])


def test_two_positions_are_closed_with_each_other(trader):
    first = trader.done(Method.ORDER_SEND, BUY)["position"]
    second = trader.done(Method.ORDER_SEND, {**BUY, "type": "SELL"})["position"]
    trader.done(Method.POSITION_CLOSE_BY, {"position": first, "position_by": second})
    open_now = trader.result(Method.POSITIONS)["positions"]

    assert not {first, second} & {position["ticket"] for position in open_now}


def test_the_methods_about_pending_orders_do_what_the_page_says(trader):
    placed = trader.result(Method.ORDER_SEND, {**LIMIT, "comment": "waits"})
    ticket = placed["order"]

    assert placed["outcome"] in {"PLACED", "DONE"}
    trader.result(Method.ORDER_MODIFY, {"order": ticket, "price": 0.99, "type_time": "DAY"})
    (order,) = trader.result(Method.ORDERS, {"ticket": ticket})["orders"]

    assert (0.99, "waits", placed["command_id"], 1) == tuple(
        order[name] for name in ("price_open", "comment", "command_id", "type_time")
    )
    trader.done(Method.ORDER_CANCEL, {"order": ticket})

    assert trader.result(Method.ORDERS, {"ticket": ticket})["orders"] == []


def test_close_all_closes_what_is_there_and_names_each_part(trader):
    trader.done(Method.ORDER_SEND, {**BUY, "magic": 77})
    trader.done(Method.ORDER_SEND, {**BUY, "type": "SELL", "magic": 77})
    trader.result(Method.ORDER_SEND, {**LIMIT, "magic": 77})
    result = trader.done(Method.CLOSE_ALL, {"magic": 77, "orders": True}, order_id="all")
    names = [child["command_id"].split("/") for child in result["children"]]

    assert [["schema", "all"]] * 3 == [name[:2] for name in names]
    assert {"DONE"} == {child["outcome"] for child in result["children"]}
    assert trader.result(Method.POSITIONS, {"magic": 77})["positions"] == []
    assert trader.result(Method.ORDERS, {"magic": 77})["orders"] == []
    for child in result["children"]:
        status = trader.result(Method.ORDER_STATUS, {"command_id": child["command_id"]})

        assert {**child, "replayed": True}.items() <= status.items()


def test_a_rejected_order_says_what_the_trade_server_said(trader):
    result = trader.result(Method.ORDER_SEND, {**BUY, "sl": 2.0})

    assert ("REJECTED", "INVALID_STOPS", 10_016) == tuple(
        result[name] for name in ("outcome", "retcode_name", "retcode")
    )
    assert result["hop"] in {"terminal", "trade_server"}


def test_a_check_sends_nothing(trader):
    before = len(trader.result(Method.POSITIONS)["positions"])
    fine = trader.result(Method.ORDER_CHECK, BUY)
    poor = trader.result(Method.ORDER_CHECK, {**BUY, "volume": 100})

    assert ((0, ""), (10_019, "NO_MONEY")) == tuple(
        (check["retcode"], check["retcode_name"]) for check in (fine, poor)
    )
    assert before == len(trader.result(Method.POSITIONS)["positions"])


def test_the_account_is_read(trader):
    account = trader.result(Method.ACCOUNT)["account"]

    assert (5_012_345, "Broker-Demo", 0) == tuple(
        account[name] for name in ("login", "server", "trade_mode")
    )


@pytest.mark.parametrize(
    ("method", "params", "field"),
    [
        (Method.ORDER_SEND, {**BUY, "volume": -1}, "params.volume"),
        (Method.ORDER_SEND, {**BUY, "volum": 1}, "params.volum"),
        (Method.POSITION_CLOSE, {"position": 0}, "params.position"),
        (Method.ORDER_STATUS, {"client_id": "a"}, "params.client_order_id"),
    ],
)
def test_a_wrong_request_is_an_error_and_its_identity_stays_free(trader, method, params, field):
    error = trader.ask(method, params, order_id="wrong")["error"]

    assert ("INVALID_REQUEST", "client", field) == tuple(
        error[name] for name in ("code", "hop", "field")
    )
    if method in TRADING_METHODS:
        unheard = trader.ask(Method.ORDER_STATUS, {"command_id": "schema/wrong"})

        assert "NOT_AVAILABLE" == unheard["error"]["code"]


@pytest.mark.parametrize("missing", ["client_id", "client_order_id"])
def test_an_order_without_an_identity_is_an_error(trader, missing):
    error = trader.ask(Method.ORDER_SEND, BUY, **{missing: None})["error"]

    assert ("INVALID_REQUEST", missing) == (error["code"], error["field"])


def test_a_terminal_that_is_not_configured_is_an_error(trader):
    error = trader.ask(Method.ORDER_SEND, BUY, terminal="nobody")["error"]

    assert "UNKNOWN_TERMINAL" == error["code"]


def test_what_happens_is_published_as_the_page_says(trader):
    done = trader.done(Method.ORDER_SEND, {**BUY, "comment": "watched"})
    life = trader.wait_for(
        "trade/demo", lambda body: body[3] == "ORDER_LIFE" and body[5]["order"] == done["order"]
    )
    deal = trader.wait_for(
        "trade/demo", lambda body: body[3] == "DEAL" and body[5]["ticket"] == done["deal"]
    )
    trader.wait_for(
        "position/demo",
        lambda body: done["position"] in {position["ticket"] for position in body[3]},
    )
    trader.wait_for("account/demo", lambda body: body[3]["login"] == 5_012_345)

    assert (done["command_id"], "DONE") == (life[5]["command_id"], life[5]["outcome"])
    assert (done["command_id"], "watched", done["tag"]) == tuple(
        deal[5][name] for name in ("command_id", "comment", "tag")
    )
    for topic in TOPICS:
        for body in trader.bodies[topic]:
            shown = to_json({"body": msgpack.unpackb(body)})["body"]
            kind = topic.partition("/")[0]

            assert problems(SCHEMAS[f"body-{kind}.json"], shown) == []
            if kind == "trade" and shown[3] == "ORDER_LIFE":
                assert problems(SCHEMAS["result-order_send.json"], shown[5]) == []


def test_events_follow_each_other_and_are_replayed_byte_for_byte(trader):
    trader.done(Method.ORDER_SEND, BUY)
    newest = trader.wait_for("trade/demo", lambda body: body[3] == "ORDER_LIFE" and body[1] > 0)
    seen = [msgpack.unpackb(body) for body in trader.bodies["trade/demo"]]
    numbers = [body[1] for body in seen]

    assert list(range(numbers[0], numbers[0] + len(numbers))) == numbers
    params = {"topic": "trade/demo", "epoch": newest[0], "first": 1, "last": numbers[-1]}
    replay = trader.result(Method.REPLAY, params)
    messages = replay["messages"]

    assert [[message[0], message[1]] for message in messages[-len(seen) :]] == [
        body[:2] for body in seen
    ]
    assert (1, []) == (replay["first"], replay["missing"])
    state = trader.result(Method.SNAPSHOT, {"topics": TOPICS})["topics"]

    assert ["ok"] * 3 == [topic["status"] for topic in state]


def test_a_halt_holds_until_it_is_lifted(trader):
    """And with the token a person can close what is open meanwhile."""
    ticket = trader.done(Method.ORDER_SEND, BUY)["position"]
    try:
        (halted,) = trader.admin(ControlMethod.HALT, {"reason": "test"})["result"]["terminals"]
        denied = trader.result(Method.POSITION_CLOSE, {"position": ticket})
        (told,) = trader.result(Method.STATUS)["trading"]
        closed = trader.admin(Method.POSITION_CLOSE, {"position": ticket})["result"]
        (reducing,) = trader.admin(ControlMethod.HALT, {"reducing": True})["result"]["terminals"]
        reduced = trader.result(Method.ORDER_SEND, BUY)
    finally:
        (resumed,) = trader.admin(ControlMethod.RESUME)["result"]["terminals"]

    assert {"alias": "demo", "trading_state": "HALTED", "reason": "test"} == halted
    assert ("DENIED", "HALTED") == (denied["outcome"], denied["reason"])
    assert ("HALTED", "test") == (told["state"], told["reason"])
    assert "DONE" == closed["outcome"]
    assert ("REDUCING", "ACTIVE") == (reducing["trading_state"], resumed["trading_state"])
    assert ("DENIED", "REDUCING") == (reduced["outcome"], reduced["reason"])
    trader.done(Method.ORDER_SEND, BUY)


def test_only_the_token_halts_and_resolves(trader):
    for method, params in (
        (ControlMethod.HALT, {}),
        (ControlMethod.RESUME, {}),
        (ControlMethod.ORDER_RESOLVE, {"command_id": "a/b", "executed": True, "evidence": "x"}),
        (Method.ORDER_SEND, BUY),
    ):
        error = trader.ask(method, params, token="wrong")["error"]  # noqa: S106 - it is wrong

        assert "NOT_ALLOWED" == error["code"]


def test_what_is_known_is_not_resolved_by_a_person(trader):
    trader.done(Method.ORDER_SEND, BUY, order_id="known")
    params = {"command_id": "schema/known", "executed": False, "evidence": "a feeling"}

    error = trader.admin(ControlMethod.ORDER_RESOLVE, params)["error"]
    unheard = trader.admin(ControlMethod.ORDER_RESOLVE, {**params, "command_id": "schema/no"})

    assert ("INVALID_REQUEST", "params.command_id") == (error["code"], error["field"])
    assert "NOT_AVAILABLE" == unheard["error"]["code"]
