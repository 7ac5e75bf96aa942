"""Orders from a client's socket to the broker and back, through a real relay and terminal."""

from __future__ import annotations

import itertools
import json
import math

import msgpack
import pytest
import zmq

from bridge.bus.bodies import read_position, read_tick, read_trade
from bridge.model.trade import order_tag
from tests.support.relay import RelayProcess, RelayThread, make_settings
from tests.support.subscriber import Asker, Subscriber
from tests.support.trading import ASK, BUY, TRADES, Trader, TradingThread

LIMIT = {**BUY, "action": "PENDING", "type": "BUY_LIMIT", "price": 1.05}


class Arena:
    """
    A relay, a terminal with a broker, and a trader.
    """

    def __init__(self, tmp_path, *, terminals=None, **options):
        settings, keys = make_settings(tmp_path, terminals=terminals or TRADES)
        self.folder = tmp_path
        self.relay = RelayThread(settings).start()
        self.terminal = TradingThread(
            self.relay.endpoints.terminal, keys["demo"], tmp_path / "terminal", **options
        ).start()
        self.trader = Trader(self.relay.endpoints.request).ready()
        self._context = zmq.Context()
        self.sockets = []

    def subscriber(self, *topics):
        made = Subscriber(self._context, self.relay.endpoints.publish, *topics)
        barrier = f"sync/barrier{len(self.sockets):04}_"
        made.socket.subscribe(barrier)
        self.sockets.append(made)
        asked = itertools.count(1)
        self.trader.until(lambda: self._is_subscribed(made, f"{barrier}{next(asked):04}"))
        return made

    def _is_subscribed(self, made, barrier):
        self.trader.asker.ask("sync", {"nonce": barrier.removeprefix("sync/")})
        seen = [topic for topic, _ in made.waiting() if topic.startswith("sync/")]
        # When an earlier one came, this one does: the test reads none of them.
        while seen and seen[-1] != barrier:
            seen.append(made.receive()[0])
        return bool(seen)

    def control(self, method, params=None, **envelope):
        found = json.loads((self.folder / "data" / "control.json").read_text())
        asker = Asker(self._context, found["endpoints"]["control"])
        try:
            return asker.ask(method, params, token=found["token"], **envelope)
        finally:
            asker.close()

    def cut(self):
        """
        Cut the connection of the terminal, as a network would.
        """
        relay = self.relay.relay
        relay._loop.call_soon_threadsafe(relay.core.terminals.get("demo").link.abort)

    def close(self):
        for one in self.sockets:
            one.close()
        self.trader.close()
        self._context.destroy(0)
        self.terminal.stop()
        self.relay.stop()


@pytest.fixture
def arena(tmp_path):
    made = Arena(tmp_path)
    yield made
    made.close()


@pytest.fixture
def make_arena(tmp_path):
    made = []

    def make(**options):
        made.append(Arena(tmp_path, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


# --- the four endings ----------------------------------------------------------------------


def test_an_order_is_filled(arena):
    result = arena.trader.order("1", {**BUY, "comment": "my words", "magic": 7})

    assert ("DONE", True, False) == (result["outcome"], result["final"], result["replayed"])
    assert ("my words", ASK, 0.1, "DONE") == (
        result["comment"],
        result["price"],
        result["volume"],
        result["retcode_name"],
    )
    assert 1 == arena.terminal.executions("c/1")
    (position,) = arena.trader.asker.ask("positions")["positions"]
    assert ("my words", "c/1", order_tag("c/1"), 7) == (
        position["comment"],
        position["command_id"],
        position["tag"],
        position["magic"],
    )
    assert {**result, "replayed": True}.items() <= arena.trader.status("1").items()


def test_an_order_is_rejected_by_the_broker(arena):
    result = arena.trader.order("1", {**BUY, "volume": 95.0})

    assert ("REJECTED", "NO_MONEY", True) == (
        result["outcome"],
        result["retcode_name"],
        result["final"],
    )
    assert result["hint"]


@pytest.mark.parametrize(
    ("trading", "params", "reason"),
    [
        ({"enabled": False}, BUY, "TRADING_DISABLED"),
        ({"enabled": True, "symbols": ["GBPUSD"]}, BUY, "SYMBOL_NOT_ALLOWED"),
        ({"enabled": True, "max_volume": 0.05}, BUY, "VOLUME_LIMIT"),
        ({"enabled": True, "max_price_age_ms": 1000}, BUY, "STALE_PRICE"),
    ],
)
def test_an_order_is_denied_by_the_bridge(make_arena, trading, params, reason):
    arena = make_arena(terminals={"demo": {"trading": trading}})
    result = arena.trader.order("1", params)

    assert ("DENIED", reason, "relay") == (result["outcome"], result["reason"], result["hop"])
    assert () == arena.terminal.exchange.ledger().requests
    error = arena.trader.asker.reply(
        arena.trader.asker.start("order_status", {"client_id": "c", "client_order_id": "1"})
    )
    assert "NOT_AVAILABLE" == error["error"]["code"]


def test_an_answer_is_lost_in_a_cut_and_found_out(arena):
    """UNKNOWN at once; behind the next logon the terminal's ledger has the end."""
    arena.terminal.rule(reply_ms=(400, 400))
    request = arena.trader.start("1", valid_for_ms=10_000)
    arena.trader.until(lambda: arena.terminal.executions("c/1"))
    arena.cut()
    result = arena.trader.result(request)

    assert ("UNKNOWN", False) == (result["outcome"], result["final"])

    final = arena.trader.final("1")
    again = arena.trader.order("1")

    assert ("DONE", "DONE", True) == (final["outcome"], again["outcome"], again["replayed"])
    assert 1 == arena.terminal.executions("c/1")


def test_an_answer_that_the_broker_loses_is_found_in_its_records(arena):
    arena.terminal.rule(lose_reply=1.0, reply_timeout_ms=300)
    result = arena.trader.order("1", valid_for_ms=10_000)

    assert "DONE" == result["outcome"]
    assert result["evidence"] not in {"", "TRADE_SERVER"}
    assert 1 == arena.terminal.executions("c/1")


def test_a_request_that_never_arrived_is_not_executed_after_the_settle_time(arena):
    arena.terminal.rule(lose_request=1.0, reply_timeout_ms=100)
    result = arena.trader.order("1", valid_for_ms=15_000)

    assert ("REJECTED", "NOT_EXECUTED", True) == (
        result["outcome"],
        result["reason"],
        result["final"],
    )
    assert 0 == arena.terminal.executions("c/1")


def test_an_order_without_time_is_denied(arena):
    result = arena.trader.order("1", valid_for_ms=1)

    assert ("DENIED", "EXPIRED") == (result["outcome"], result["reason"])
    assert 0 == arena.terminal.executions("c/1")


def test_an_order_whose_terminal_is_away_is_denied(arena):
    arena.terminal.stop()
    arena.trader.until(lambda: arena.trader.asker.ask("status")["terminals"][0]["state"] == "away")
    result = arena.trader.order("1")

    assert ("DENIED", "TERMINAL_AWAY") == (result["outcome"], result["reason"])


# --- identity --------------------------------------------------------------------------------


def test_a_retry_trades_once(arena):
    first = arena.trader.order("1")
    again = [arena.trader.order("1") for _ in range(3)]

    assert [{**first, "replayed": True}] * 3 == again
    assert 1 == arena.terminal.executions("c/1")


def test_many_at_once_with_one_id_trade_once(arena):
    """Each gets one reply, from one execution."""
    arena.terminal.rule(execution_ms=(100, 100))
    traders = [Trader(arena.relay.endpoints.request) for _ in range(5)]
    requests = [(trader, trader.start("1", valid_for_ms=10_000)) for trader in traders]
    results = [trader.result(request) for trader, request in requests]
    for trader in traders:
        trader.close()

    assert ["DONE"] * 5 == [result["outcome"] for result in results]
    assert 4 == sum(result["replayed"] for result in results)
    assert 1 == arena.terminal.executions("c/1")


def test_the_same_id_with_other_content_is_refused(arena):
    arena.trader.order("1")
    result = arena.trader.order("1", {**BUY, "volume": 0.2})

    assert ("DENIED", "DIVERGED") == (result["outcome"], result["reason"])
    assert 1 == arena.terminal.executions("c/1")


def test_two_clients_with_one_order_id_are_two_orders(arena):
    arena.trader.order("1")
    with Trader(arena.relay.endpoints.request, "other") as other:
        other.order("1")

    assert (1, 1) == (arena.terminal.executions("c/1"), arena.terminal.executions("other/1"))


# --- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"volume": -0.1}, "params.volume"),
        ({"volume": "0.1"}, "params.volume"),
        ({"volume": None}, "params.volume"),
        ({"type": "BYE"}, "params.type"),
        ({"symbol": ""}, "params.symbol"),
        ({"simbol": "EURUSD"}, "params.simbol"),
        ({"sl": 1.0, "sl_points": 5}, "params.sl_points"),
        ({"comment": "x" * 200}, "params.comment"),
    ],
)
def test_what_cannot_be_meant_is_an_error_that_names_the_field(arena, changes, field):
    error = arena.trader.error("1", {**BUY, **changes})

    assert ("INVALID_REQUEST", "client", field) == (error["code"], error["hop"], error["field"])
    assert () == arena.terminal.exchange.ledger().requests


@pytest.mark.parametrize("volume", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_an_error(arena, volume):
    """The request is not even read to its id."""
    arena.trader.start("1", {**BUY, "volume": volume})
    reply = arena.trader.asker.reply(None)

    assert ("INVALID_REQUEST", "client") == (reply["error"]["code"], reply["error"]["hop"])
    assert () == arena.terminal.exchange.ledger().requests


@pytest.mark.parametrize("missing", ["client_id", "client_order_id"])
def test_an_order_without_an_identity_is_an_error(arena, missing):
    envelope = {"client_id": "c", "client_order_id": "1"}
    del envelope[missing]
    reply = arena.trader.asker.reply(arena.trader.asker.start("order_send", BUY, **envelope))

    assert ("INVALID_REQUEST", missing) == (reply["error"]["code"], reply["error"]["field"])
    assert () == arena.terminal.exchange.ledger().requests


@pytest.mark.parametrize("changes", [{"volume": 0.105}, {"symbol": "NOPE"}, {"sl": 5.0}])
def test_what_the_broker_would_not_take_is_not_executed(arena, changes):
    result = arena.trader.order("1", {**BUY, **changes})

    assert result["outcome"] in {"DENIED", "REJECTED"}
    assert result["message"]
    assert 0 == arena.terminal.executions("c/1")


# --- the other methods -----------------------------------------------------------------------------


def test_the_life_of_a_position(arena):
    ask = arena.trader.order
    position = ask("open")["position"]
    modified = ask("sl", {"position": position, "sl": 1.0}, "position_modify")
    half = ask("half", {"position": position, "volume": 0.05}, "position_close")
    rest = ask("rest", {"position": position}, "position_close")
    nothing = ask("again", {"position": position}, "position_close")

    assert ["DONE", "DONE", "DONE"] == [one["outcome"] for one in (modified, half, rest)]
    assert (0.05, 0.05) == (half["volume"], rest["volume"])
    assert nothing["outcome"] in {"DENIED", "REJECTED"}
    assert [] == arena.trader.asker.ask("positions")["positions"]


def test_the_life_of_a_pending_order(arena):
    ask = arena.trader.order
    placed = ask("place", {**LIMIT, "comment": "wait"})
    order = placed["order"]
    ask("move", {"order": order, "price": 1.04}, "order_modify")
    (found,) = arena.trader.asker.ask("orders")["orders"]
    cancelled = ask("cancel", {"order": order}, "order_cancel")

    assert ("PLACED", True, "DONE") == (placed["outcome"], placed["final"], cancelled["outcome"])
    assert (order, 1.04, "wait", "c/place") == (
        found["ticket"],
        found["price_open"],
        found["comment"],
        found["command_id"],
    )
    assert [] == arena.trader.asker.ask("orders")["orders"]


def test_two_positions_close_each_other(arena):
    one = arena.trader.order("1")["position"]
    other = arena.trader.order("2", {**BUY, "type": "SELL"})["position"]
    result = arena.trader.order("3", {"position": one, "position_by": other}, "position_close_by")

    assert "DONE" == result["outcome"]
    assert [] == arena.trader.asker.ask("positions")["positions"]


@pytest.mark.parametrize("netting", [False, True])
def test_close_all_closes_all(make_arena, netting):
    arena = make_arena(netting=netting)
    arena.trader.order("1")
    arena.trader.order("2", {**BUY, "symbol": "GBPUSD"})
    arena.trader.order("3", LIMIT)
    result = arena.trader.order("all", {"orders": True}, "close_all")

    assert ("DONE", ["DONE"] * 3) == (
        result["outcome"],
        [child["outcome"] for child in result["children"]],
    )
    assert [] == arena.trader.asker.ask("positions")["positions"]
    assert [] == arena.trader.asker.ask("orders")["orders"]
    again = arena.trader.order("all", {"orders": True}, "close_all")
    assert [True] * 3 == [child["replayed"] for child in again["children"]]
    nothing = arena.trader.order("more", {"orders": True}, "close_all")
    assert ("DENIED", "NOTHING_TO_CLOSE") == (nothing["outcome"], nothing["reason"])


def test_in_netting_two_closes_at_once_never_open_the_reverse(make_arena):
    arena = make_arena(netting=True, execution_ms=(100, 100))
    position = arena.trader.order("open")["position"]
    requests = [
        arena.trader.start(str(n), {"position": position}, "position_close") for n in range(3)
    ]
    outcomes = sorted(arena.trader.result(request)["outcome"] for request in requests)

    assert 1 == outcomes.count("DONE")
    assert [] == arena.trader.asker.ask("positions")["positions"]


def test_order_check_says_what_would_happen_and_does_nothing(arena):
    fine = arena.trader.asker.ask("order_check", BUY)
    refused = arena.trader.asker.ask("order_check", {**BUY, "volume": 95.0})

    assert (0, "", "NO_MONEY") == (
        fine["retcode"],
        fine["retcode_name"],
        refused["retcode_name"],
    )
    assert fine["margin"] > 0
    assert () == arena.terminal.exchange.ledger().requests


def test_the_account_is_read(arena):
    account = arena.trader.asker.ask("account")["account"]

    assert (1001, 100_000.0, "USD") == (
        account["login"],
        account["balance"],
        account["currency"],
    )


# --- topics ------------------------------------------------------------------------------------------


def test_what_happens_is_published_with_the_users_comment(arena):
    subscriber = arena.subscriber("trade/demo", "position/demo", "account/demo")
    arena.trader.order("1", {**BUY, "comment": "my words"})
    bodies = {"trade/demo": [], "position/demo": [], "account/demo": []}

    def all_came(topic, body):
        bodies.setdefault(topic, []).append(body)
        kinds = {read_trade(one).kind for one in bodies["trade/demo"]}
        return (
            {"DEAL", "ORDER_LIFE"} <= kinds and bodies["position/demo"] and bodies["account/demo"]
        )

    subscriber.until(all_came)
    trades = [read_trade(body) for body in bodies["trade/demo"]]
    (deal,) = [body.record for body in trades if body.kind == "DEAL"]
    (life,) = [body.record for body in trades if body.kind == "ORDER_LIFE"]
    positions = read_position(bodies["position/demo"][-1]).positions

    assert ("my words", "c/1") == (deal["comment"], deal["command_id"])
    assert ("DONE", "my words") == (life["outcome"], life["comment"])
    assert list(range(trades[0].seq, trades[0].seq + len(trades))) == [one.seq for one in trades]
    assert [("my words", "c/1")] == [(one["comment"], one["command_id"]) for one in positions]


def events_of(trader):
    """
    Return all bodies of trade/demo that can be replayed, and their epoch.
    """
    (state,) = trader.asker.ask("snapshot", {"topics": ["trade/demo"]})["topics"]
    asked = {"topic": "trade/demo", "epoch": state["epoch"], "first": 1}
    page = trader.asker.ask("replay", asked)
    assert [] == page["missing"]
    return list(page["messages"]), state["epoch"]


def deals_of(trader):
    return [body[5] for body in events_of(trader)[0] if body[3] == "DEAL"]


def test_trade_events_go_on_over_a_restart_of_the_relay(tmp_path):
    """Epoch and numbers go on, everything is there once, also what the kill came before."""
    with RelayProcess(tmp_path, terminals=TRADES) as relay:
        with (
            TradingThread(relay.endpoints.terminal, relay.keys["demo"], tmp_path / "t"),
            Trader(relay.endpoints.request) as trader,
        ):
            trader.ready()
            trader.order("1")
            _, before = events_of(trader)
            relay.kill()
            relay.start()
            trader.ready()
            trader.order("2")
            trader.until(lambda: len(deals_of(trader)) > 1)
            bodies, after = events_of(trader)

    assert before == after
    assert list(range(1, len(bodies) + 1)) == [body[1] for body in bodies]
    lives = [body[5]["command_id"] for body in bodies if body[3] == "ORDER_LIFE"]
    deals = [body[5]["command_id"] for body in bodies if body[3] == "DEAL"]
    assert (["c/1", "c/2"], ["c/1", "c/2"]) == (lives, sorted(deals))


def test_deals_that_happened_while_the_relay_was_away_are_recovered(tmp_path):
    with RelayProcess(tmp_path, terminals=TRADES) as relay:
        terminal = TradingThread(relay.endpoints.terminal, relay.keys["demo"], tmp_path / "t")
        with terminal, Trader(relay.endpoints.request) as trader:
            trader.ready()
            trader.order("1", LIMIT)
            relay.kill()
            terminal.quote(1.04, 1.0402)
            trader.until(lambda: terminal.exchange.ledger().deals)
            relay.start()
            trader.ready()
            (deal,) = trader.until(lambda: deals_of(trader))
            (body,) = [body for body in events_of(trader)[0] if body[3] == "DEAL"]

    assert ("c/1", True) == (deal["command_id"], body[4])


# --- halt and resume -----------------------------------------------------------------------------------


def test_a_halt_holds_until_resume_also_over_a_restart(tmp_path):
    with RelayProcess(tmp_path, terminals=TRADES) as relay:
        context = zmq.Context()

        def control(method, params=None):
            found = json.loads((tmp_path / "data" / "control.json").read_text())
            asker = Asker(context, found["endpoints"]["control"])
            reply = asker.ask(method, params, token=found["token"])
            asker.close()
            return reply

        with (
            TradingThread(relay.endpoints.terminal, relay.keys["demo"], tmp_path / "t"),
            Trader(relay.endpoints.request) as trader,
        ):
            position = trader.ready().order("1")["position"]
            halted = control("halt", {"reason": "news"})
            relay.kill()
            relay.start()
            trader.ready()
            denied = trader.order("2")
            closing = trader.order("3", {"position": position}, "position_close")
            control("halt", {"reducing": True})
            closed = trader.order("4", {"position": position}, "position_close")
            still = trader.order("5")
            control("resume")
            traded = trader.order("6")
        context.destroy(0)

    assert [{"alias": "demo", "trading_state": "HALTED", "reason": "news"}] == halted["terminals"]
    assert ["HALTED", "HALTED", "", "REDUCING", ""] == [
        one["reason"] for one in (denied, closing, closed, still, traded)
    ]
    assert ["DONE", "DONE"] == [closed["outcome"], traded["outcome"]]


def test_an_administrator_closes_while_halted(arena):
    position = arena.trader.order("1")["position"]
    arena.control("halt")
    result = arena.control(
        "position_close", {"position": position}, client_id="admin", client_order_id="1"
    )

    assert "DONE" == result["outcome"]


def test_order_resolve_needs_the_token_and_an_open_order(arena):
    arena.trader.order("1")
    found = json.loads((arena.folder / "data" / "control.json").read_text())
    asker = Asker(arena._context, found["endpoints"]["control"])
    params = {"command_id": "c/1", "executed": True, "evidence": "seen"}
    without = asker.reply(asker.start("order_resolve", params))
    known = asker.reply(asker.start("order_resolve", params, token=found["token"]))
    asker.close()

    assert "NOT_ALLOWED" == without["error"]["code"]
    assert "known already" in known["error"]["message"]


# --- kills ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("abruptly", [False, True])
def test_a_terminal_that_ends_with_an_order_open_resolves_it_when_it_is_back(arena, abruptly):
    arena.terminal.rule(execution_ms=(300, 300))
    request = arena.trader.start("1", valid_for_ms=10_000)
    arena.trader.until(lambda: arena.trader.asker.ask("status")["trading"][0]["open_orders"])
    arena.terminal.stop(abruptly=abruptly)
    result = arena.trader.result(request)
    arena.terminal.start()
    final = arena.trader.final("1")

    assert result["outcome"] in {"UNKNOWN", "DONE", "DENIED"}
    assert (final["outcome"] == "DONE") is (arena.terminal.executions("c/1") == 1)


def test_a_relay_killed_with_orders_open_finds_out_about_all_of_them(tmp_path):
    with RelayProcess(tmp_path, terminals=TRADES) as relay:
        terminal = TradingThread(
            relay.endpoints.terminal, relay.keys["demo"], tmp_path / "t", reply_ms=(100, 100)
        )
        with terminal, Trader(relay.endpoints.request) as trader:
            trader.ready()
            for number in range(5):
                trader.start(str(number), valid_for_ms=10_000)
            trader.until(lambda: terminal.executions("c/0"))
            relay.kill()
            relay.start()
            finals = {str(n): trader.order(str(n), valid_for_ms=20_000) for n in range(5)}
            executions = {name: terminal.executions(f"c/{name}") for name in finals}

    assert {"DONE"} | {"DENIED"} >= {final["outcome"] for final in finals.values()}
    assert {name: int(final["outcome"] == "DONE") for name, final in finals.items()} == executions
    assert 1 == executions["0"]


# --- a journal in doubt ------------------------------------------------------------------------------------


def test_with_a_damaged_journal_ticks_flow_and_orders_are_denied(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "journal.sqlite").write_bytes(b"this is no journal" * 1000)
    arena = Arena(tmp_path)
    try:
        subscriber = arena.subscriber("tick/demo/EURUSD")
        arena.terminal.quote(1.2, 1.2002)
        subscriber.until(lambda _, body: read_tick(body).bid == 1.2)
        result = arena.trader.order("1")
        status = arena.trader.asker.ask("status")
        reply = arena.trader.asker.reply(
            arena.trader.asker.start("order_status", {"command_id": "c/1"})
        )
    finally:
        arena.close()

    assert ("DENIED", "JOURNAL") == (result["outcome"], result["reason"])
    assert result["hint"]
    assert (False, "HALTED") == (status["journal"]["healthy"], status["trading"][0]["state"])
    assert status["journal"]["hint"]
    assert "INTERNAL" == reply["error"]["code"]
    assert () == arena.terminal.exchange.ledger().requests


def test_replies_are_msgpack_maps_of_the_documented_fields(arena):
    from bridge.bus.orders import RESULT_FIELDS

    result = arena.trader.order("1")

    assert list(RESULT_FIELDS) == list(result)
    assert msgpack.unpackb(msgpack.packb(result)) == result
