"""The scenarios of trading. Each is a function of ``TradingWorlds``; its name says what must hold.

Whatever else a scenario says, ``world.check`` compares all that was told with the broker's books.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from bridge.bus.requests import Method
from bridge.model.enums import OrderState
from bridge.sim.link import Direction
from bridge.wire.messages import Result, unpack_message
from bridge.wire.spec import HEADER_SIZE, TAG_SIZE, FrameType, OrderOutcome
from tests.mql5.scenarios.trading_world import BUY, TradingWorld, TradingWorlds
from tests.mql5.scenarios.wire_log import frames_of

__all__ = ["TRADES", "TRADES_OF_THE_EA"]

#: every scenario by its name
TRADES: Final[dict[str, Callable[[TradingWorlds], None]]] = {}
#: those that have no meaning for the Python terminal
TRADES_OF_THE_EA: Final[set[str]] = set()

_LIMIT: Final[dict[str, Any]] = {
    "action": "PENDING",
    "symbol": "EURUSD",
    "volume": 0.3,
    "type": "BUY_LIMIT",
    "price": 1.05,
}
#: how long the broker takes where something has to happen meanwhile
_SLOW: Final = (300, 300)
_WAITING: Final = ("w1", "w2", "w3", "w4", "w5", "w6")
_DEAD_MAN_S: Final = 5
#: so long the client waits for the first answer, where it will not be the last
_SOON_MS: Final = 8_000
_AGAIN_S: Final = 0.2
_ATTEMPTS_MAX: Final = 50
_RESUMED_MAX: Final = 10
#: looks seldom, where much time has to pass: each look costs
_SELDOM: Final = {"InpTimerMs": 250}


def trades(function: Callable[[TradingWorlds], None]) -> Callable[[TradingWorlds], None]:
    """
    List a scenario.
    """
    TRADES[function.__name__] = function
    return function


def trades_of_the_ea(function: Callable[[TradingWorlds], None]) -> Callable[[TradingWorlds], None]:
    """
    List a scenario of what only an Expert Advisor has.
    """
    TRADES_OF_THE_EA.add(function.__name__)
    return trades(function)


def buy(volume: float, **more: Any) -> dict[str, Any]:
    """
    Return the parameters of a market order.
    """
    return {**BUY, "volume": volume, **more}


def sends_fail(worlds: TradingWorlds) -> bool:
    """
    Tell whether any send may end the session, and with it what waited.
    """
    return "send_minus_1_after_part" in worlds.mode.sockets


def at_the_broker(world: TradingWorld, name: str) -> int:
    """
    Ask for an order until the broker has it; return the number of the request.
    """
    for _ in range(_ATTEMPTS_MAX):
        number = world.start(name)
        world.until(lambda: world.has_order(name) or number in world.relay.replies)  # noqa: B023  # at once
        if world.has_order(name) or not world.leaves_it_free(world.answer(number)):
            break
        world.wait(_AGAIN_S)
    world.until(lambda: world.has_order(name))
    return number


def results_sent(world: TradingWorld) -> list[Result]:
    """
    Return every RESULT that reached the relay.
    """
    return [
        unpack_message(Result, frame[HEADER_SIZE:-TAG_SIZE])
        for recording in world.relay.recordings
        for kind, frame in frames_of(recording.to_relay)
        if kind is FrameType.RESULT
    ]


def told_as(world: TradingWorld, name: str, outcome: str) -> dict[str, Any]:
    """
    Wait until an order is told to have come to this end; return what is told.
    """
    for _ in range(100):
        result = world.final(name)
        if result["outcome"] == outcome:
            return result
        world.wait(0.1)
    raise AssertionError(f"never told as {outcome}: {result}")


def volumes(world: TradingWorld) -> list[float]:
    """
    Return the volumes of what is open at the broker.
    """
    return sorted(round(one.volume, 8) for one in world.exchange.positions())


# --- what an order ends as ---------------------------------------------------------------------


@trades
def an_order_is_filled(worlds: TradingWorlds) -> None:
    with worlds.new() as world:
        world.begin()
        result = world.order("one")

        assert ("DONE", 0.1) == (result["outcome"], result["volume"])
        assert 1 == world.executions("one")
        assert [0.1] == [one["volume"] for one in world.read(Method.POSITIONS)["positions"]]
        world.check()


@trades
def an_order_that_the_broker_rejects_is_told_as_rejected(worlds: TradingWorlds) -> None:
    with worlds.new(reject=1.0) as world:
        world.begin()
        refused = world.order("refused")
        unpaid = world.order("unpaid", buy(90.0))
        world.set(reject=0.0)
        again = world.order("refused")

        assert ["REJECTED"] * 3 == [one["outcome"] for one in (refused, unpaid, again)]
        assert (refused["retcode"], True) == (again["retcode"], again["replayed"])
        assert "trade_server" == refused["hop"]
        assert [] == volumes(world)
        world.check()


@trades
def an_order_beyond_the_terminals_own_limits_is_denied(worlds: TradingWorlds) -> None:
    with worlds.new(limits={"max_volume": 0.2, "symbols": "EURUSD"}) as world:
        world.begin()
        denied = [
            world.order("large", buy(0.21)),
            world.order("foreign", buy(0.1, symbol="GBPUSD")),
        ]
        done = world.order("small", buy(0.2))

        assert [
            ("DENIED", "VOLUME_LIMIT", "terminal"),
            ("DENIED", "SYMBOL_NOT_ALLOWED", "terminal"),
        ] == [(one["outcome"], one["reason"], one["hop"]) for one in denied]
        assert "DONE" == done["outcome"]
        assert [0.2] == volumes(world)
        world.check()


@trades
def a_pending_order_is_placed_changed_and_cancelled(worlds: TradingWorlds) -> None:
    with worlds.new() as world:
        world.begin()
        placed = world.order("place", _LIMIT)
        changed = {"order": placed["order"], "price": 1.04, "sl": 1.01}
        modified = world.order("change", changed, Method.ORDER_MODIFY)
        (there,) = world.exchange.orders()
        cancelled = world.order("cancel", {"order": placed["order"]}, Method.ORDER_CANCEL)

        assert ["PLACED", "DONE", "DONE"] == [
            one["outcome"] for one in (placed, modified, cancelled)
        ]
        assert (1.04, 1.01, 0.3) == (there.price_open, there.sl, there.volume_current)
        assert () == tuple(world.exchange.orders())
        (ended,) = world.exchange.history_orders(0, 2**62)
        assert OrderState.CANCELED == ended.state
        world.check()


@trades
def a_pending_order_is_filled_when_its_price_comes(worlds: TradingWorlds) -> None:
    with worlds.new() as world:
        world.begin()
        placed = world.order("place", _LIMIT)
        world.quote(1.04, 1.0401)
        world.until(lambda: volumes(world) == [0.3])
        filled = told_as(world, "place", "DONE")

        assert ("PLACED", "DONE") == (placed["outcome"], filled["outcome"])
        assert placed["order"] == filled["order"]
        world.check()


@trades
def a_position_is_changed_closed_in_part_and_closed(worlds: TradingWorlds) -> None:
    with worlds.new() as world:
        world.begin()
        ticket = world.order("open", buy(0.5))["position"]
        levels = {"position": ticket, "sl": 1.01, "tp": 1.2}
        results = [world.order("levels", levels, Method.POSITION_MODIFY)]
        some = {"position": ticket, "volume": 0.2}
        results.append(world.order("some", some, Method.POSITION_CLOSE))
        (left,) = world.exchange.positions()
        results.append(world.order("rest", {"position": ticket}, Method.POSITION_CLOSE))
        nothing = world.order("nothing", {"position": ticket}, Method.POSITION_CLOSE)

        assert [("DONE", 0.2), ("DONE", 0.3)] == [
            (one["outcome"], round(one["volume"], 8)) for one in results[1:]
        ]
        assert "DONE" == results[0]["outcome"]
        assert (0.3, 1.01, 1.2) == (round(left.volume, 8), left.sl, left.tp)
        assert nothing["outcome"] in {"DENIED", "REJECTED"}
        assert [] == volumes(world)
        world.check()


# --- once --------------------------------------------------------------------------------------


@trades
def an_id_trades_once_whoever_asks_how_often(worlds: TradingWorlds) -> None:
    """Twice at once, with another content, after a restart of the terminal, of the relay, of both."""
    with worlds.new() as world:
        world.begin()
        first = world.order("one")
        numbers = [world.start("two"), world.start("two"), world.start("two")]
        for number in numbers:
            world.answer(number)
        world.order("two")
        world.wishes["other"] = world.wishes.pop("two")
        diverged = world.relay.ask(Method.ORDER_SEND, buy(0.7), "one")
        world.wishes["two"] = world.wishes.pop("other")

        assert "DIVERGED" == world.answer(diverged)["reason"]

        world.kill().begin()
        again = [world.order("one")]
        world.relay.kill()
        world.relay.start()
        world.ready()
        again.append(world.order("one"))
        world.end()
        world.relay.kill()
        world.relay.start()
        world.begin()
        again.append(world.order("one"))

        assert [(True, first["order"], "DONE")] * 3 == [
            (one["replayed"], one["order"], one["outcome"]) for one in again
        ]
        assert (1, 1) == (world.executions("one"), world.executions("two"))
        assert [0.1, 0.1] == volumes(world)
        world.check()


# --- an answer that is lost ----------------------------------------------------------------------


@trades
def an_answer_that_is_lost_in_a_cut_is_found_out(worlds: TradingWorlds) -> None:
    with worlds.new(execution_ms=_SLOW, reply_ms=_SLOW) as world:
        world.begin()
        world.quote()
        number = at_the_broker(world, "one")

        told = world.relay.replies.get(number)
        assert told is None or (sends_fail(worlds) and not told["result"]["final"]), told

        assert "DONE" == world.cut().outcome(number, "one")["outcome"]
        assert 1 == world.executions("one")
        world.check()


@trades
def a_result_that_is_cut_at_any_byte_is_told_once(worlds: TradingWorlds) -> None:
    """Every cut somewhere else in the RESULT's frame, or behind it."""
    with worlds.new() as world:
        world.begin()
        for number, size in enumerate((1, 90, 180, 400)):
            world.cut().relay.cut_after(Direction.TO_RELAY, 1_500 + size)
            world.ready()
            name = f"o{number}"
            world.order(name)

            assert "DONE" == world.final(name)["outcome"]
            assert 1 == world.executions(name)
        assert [0.1] * 4 == volumes(world)
        world.check()


@trades
def an_answer_that_the_trade_server_lost_is_found_out(worlds: TradingWorlds) -> None:
    with worlds.new(lose_reply=1.0, reply_timeout_ms=2_000) as world:
        world.inputs = _SELDOM
        world.begin()
        first = world.answer(world.start("one", valid_for_ms=_SOON_MS))
        final = world.final("one")

        assert first["outcome"] in {"UNKNOWN", "DONE"}, first
        assert "DONE" == final["outcome"]
        assert 1 == world.executions("one")
        world.check()


@trades
def a_request_that_never_reached_the_server_is_not_executed(worlds: TradingWorlds) -> None:
    with worlds.new(lose_request=1.0, reply_timeout_ms=2_000) as world:
        world.inputs = _SELDOM
        world.begin()
        world.answer(world.start("one", valid_for_ms=_SOON_MS))
        final = world.final("one")
        world.set(lose_request=0.0)
        again = world.order("one")

        assert ("REJECTED", "NOT_EXECUTED") == (final["outcome"], final["reason"])
        assert (True, "REJECTED") == (again["replayed"], again["outcome"])
        assert 0 == world.executions("one")
        world.check()


@trades
def a_terminal_that_is_killed_while_it_sends_knows_afterwards(worlds: TradingWorlds) -> None:
    with worlds.new(execution_ms=_SLOW, reply_ms=_SLOW) as world:
        world.begin()
        number = at_the_broker(world, "one")
        world.kill().wait(1.0).begin()

        assert "DONE" == world.outcome(number, "one")["outcome"]
        assert "DONE" == world.order("one")["outcome"]
        assert 1 == world.executions("one")
        world.check()


@trades_of_the_ea
def a_kill_at_any_place_of_sending_is_found_out(worlds: TradingWorlds) -> None:
    """Before the request left, after it left, after its answer came: nobody was told yet."""
    sends = "OrderSendAsync" if worlds.sends_async else "OrderSend"
    with worlds.new() as world:
        for number, place in enumerate(("before", "sent", "after")):
            name = f"o{number}"
            world.options = {"die_at": f"{sends}.{place}:1"}
            world.begin()
            world.quote()
            asked = world.until_dead(name)
            world.options = {}
            world.begin()
            world.answer(asked)
            final = world.final(name)
            expected = ("REJECTED", 0) if place == "before" else ("DONE", 1)

            assert expected == (final["outcome"], world.executions(name))
            world.order(name)
            assert expected[1] == world.executions(name)
            world.end()
        world.begin()
        world.check()


@trades
def a_relay_that_is_killed_with_an_order_under_way_asks_for_it(worlds: TradingWorlds) -> None:
    with worlds.new(execution_ms=_SLOW, reply_ms=_SLOW) as world:
        world.begin()
        world.quote()
        at_the_broker(world, "one")
        world.relay.kill()
        world.wait(1.0)
        world.relay.start()
        world.ready()

        assert "DONE" == world.final("one")["outcome"]
        assert 1 == world.executions("one")
        world.check()


# --- who may stop it -----------------------------------------------------------------------------


@trades
def a_halt_reaches_the_terminal(worlds: TradingWorlds) -> None:
    """What waits at the terminal behind an order that is under way obeys it as well."""
    with worlds.new(execution_ms=_SLOW, max_requests_per_s=0) as world:
        world.begin()
        position = world.order("open")["position"]
        under_way = at_the_broker(world, "one")
        waiting = {name: world.start(name) for name in _WAITING}
        world.relay.halt()
        world.until(lambda: world.relay.told)
        first = world.outcome(under_way, "one")
        ends = {name: world.outcome(number, name) for name, number in waiting.items()}
        denied = world.order("four")
        world.relay.halt(reducing=True)
        world.kill().begin()
        reducing = world.order("five")
        closed = world.order("close", {"position": position}, Method.POSITION_CLOSE)
        world.relay.resume()

        assert "DONE" == first["outcome"]
        reasons = {"HALTED"}
        if sends_fail(worlds):
            reasons.add("TERMINAL_AWAY")
        halted = [name for name, end in ends.items() if end["reason"] in reasons]
        # A last byte of HALT that is doubtful (SocketIsReadable) comes behind the next order.
        doubtful = int("short_reads" in worlds.mode.sockets)
        assert len(halted) >= len(waiting) - doubtful, ends
        assert [0] * len(halted) == [world.executions(name) for name in halted]
        assert ("HALTED", "REDUCING") == (denied["reason"], reducing["reason"])
        assert "DONE" == closed["outcome"]
        assert "DONE" == world.order("six")["outcome"]
        world.check()


@trades_of_the_ea
def the_dead_mans_switch_acts_once_when_the_relay_is_gone(worlds: TradingWorlds) -> None:
    for action, orders, left in ((1, 1, [0.1, 0.4]), (2, 0, [0.1, 0.4]), (3, 0, [0.4])):
        with worlds.new() as world:
            switch = {"InpDeadManS": _DEAD_MAN_S, "InpDeadManAction": action}
            world.inputs = {**_SELDOM, **switch}
            world.begin()
            world.order("open")
            world.order("place", _LIMIT)
            world.by_hand(0.4)
            world.wait(0.1).relay.kill()
            world.wait(_DEAD_MAN_S - 1)

            assert (1, [0.1, 0.4]) == (len(world.exchange.orders()), volumes(world))

            world.wait(3)

            assert (orders, left) == (len(world.exchange.orders()), volumes(world))

            world.relay.start()
            world.ready()
            denied = world.order("later")

            assert ("DENIED", "REDUCING", "terminal") == (
                denied["outcome"],
                denied["reason"],
                denied["hop"],
            )
            # A session that ends may take the HALT with it unread: a person says it again.
            for again in range(_RESUMED_MAX if sends_fail(worlds) else 1):
                world.ready()
                world.relay.resume()
                resumed = world.order(f"resumed{again}")
                if resumed["reason"] != "REDUCING":
                    break
            assert "DONE" == resumed["outcome"]
            world.check()


# --- what happened to the account ------------------------------------------------------------------


@trades
def events_go_on_behind_their_cursor_over_cuts(worlds: TradingWorlds) -> None:
    """Each deal and each closed order once, whatever came while the link was down."""
    with worlds.new(visibility_ms=(0, 200)) as world:
        world.begin()
        for number in range(3):
            world.order(f"o{number}")
            world.cut()
            world.by_hand(0.2)
            world.ready()
            world.by_hand(0.3)
            world.wait(0.3)
        world.check()

        assert 9 == len(world.told_of("DEAL"))


@trades
def what_a_person_does_while_the_relay_is_away_is_told_as_recovered(
    worlds: TradingWorlds,
) -> None:
    with worlds.new() as world:
        world.begin()
        world.order("one")
        world.until(lambda: world.told_of("ORDER_CLOSED"))
        world.relay.kill()
        world.wait(0.2)
        by_hand = world.by_hand(0.4)
        world.wait(1.0)
        world.relay.start()
        world.ready()
        world.check()
        told = {
            int(one.record["ticket"]): one for one in world.relay.events() if one.kind == "DEAL"
        }

        assert told[by_hand.deal].recovered
        assert [0.1, 0.4] == volumes(world)


@trades
def what_happened_without_the_terminal_is_told_when_it_is_back(worlds: TradingWorlds) -> None:
    """A pending order of ours is filled, and a person buys, while no terminal runs."""
    with worlds.new() as world:
        world.begin()
        placed = world.order("place", _LIMIT)
        # Who comes back is not told again of what has no place in the events.
        world.until(lambda: world.told_of("ORDER") or sends_fail(worlds))
        world.kill()
        world.quote(1.04, 1.0401)
        world.wait(0.5)
        by_hand = world.by_hand(0.4)
        world.wait(0.5).begin()
        world.check()
        told = {
            int(one.record["ticket"]): one for one in world.relay.events() if one.kind == "DEAL"
        }

        assert [0.3, 0.4] == volumes(world)
        assert {True} == {one.recovered for one in told.values()}
        assert by_hand.deal in told
        assert OrderOutcome.DONE.name == world.final("place")["outcome"]
        assert placed["order"] in world.told_of("ORDER_CLOSED")


@trades
def an_order_without_the_trade_server_is_denied(worlds: TradingWorlds) -> None:
    with worlds.new() as world:
        world.begin()
        world.order("one")
        world.terminal.set_connected(False)
        world.set(connected=False)
        world.wait(0.2)
        denied = world.answer(world.start("two"))
        world.terminal.set_connected(True)
        world.set(connected=True)
        # The relay knows it by a heartbeat.
        world.wait(2.0)
        world.ready()
        again = world.order("two")
        done = world.order("three")

        reasons = {"NOT_CONNECTED"}
        if sends_fail(worlds):
            # Without the trade server there is no new session.
            reasons.add("TERMINAL_AWAY")
        # By the relay, when it knew from a heartbeat: that leaves the id free.
        kept = bool(denied["tag"])
        if sends_fail(worlds) and "UNKNOWN" == denied["outcome"]:
            # It was on its way when a send ended the session: the next one tells.
            kept = "DONE" != again["outcome"]
        else:
            assert "DENIED" == denied["outcome"]
            assert denied["reason"] in reasons
        assert ("DENIED" if kept else "DONE", "DONE") == (again["outcome"], done["outcome"])
        assert (int(not kept), 1) == (world.executions("two"), world.executions("three"))
        world.check()
