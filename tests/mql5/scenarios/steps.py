"""The scenarios. Each is a function of ``Worlds``; its name says what must hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Final

from bridge import BridgeError, UnknownSymbol
from bridge.model.symbol import default_symbols
from bridge.sim.link import Direction, Recording
from bridge.wire.spec import FrameType
from tests.mql5.scenarios.wire_log import frames_of
from tests.mql5.scenarios.world import ACCOUNT, World, Worlds

__all__ = ["EA_ONLY", "SCENARIOS", "begun", "last_session", "of_the_ea", "scenario"]

#: every scenario by its name
SCENARIOS: Final[dict[str, Callable[[Worlds], None]]] = {}
#: those that have no meaning for the Python terminal
EA_ONLY: Final[set[str]] = set()


def scenario(function: Callable[[Worlds], None]) -> Callable[[Worlds], None]:
    """
    List a scenario.
    """
    SCENARIOS[function.__name__] = function
    return function


def of_the_ea(function: Callable[[Worlds], None]) -> Callable[[Worlds], None]:
    """
    List a scenario of what only an Expert Advisor has: a chart, a journal, inputs.
    """
    EA_ONLY.add(function.__name__)
    return scenario(function)


def begun(world: World, audience: Any) -> None:
    """
    Start the terminal and wait until all symbols stream.
    """
    world.begin()
    world.wait_connected()
    audience.wait_for(len(world.symbols))


def dialled_again(world: World, before: int) -> None:
    """
    Wait until there were more connections than before.
    """
    world.wait_for(lambda: world.link.connections > before)


def refused(world: World) -> None:
    """
    Wait until the relay has answered a logon, whoever dialled before.
    """
    world.wait_for(lambda: any(recording.to_terminal for recording in world.link.recordings))


def last_session(world: World) -> Recording:
    """
    Return the newest connection that was logged on. On a busy machine a dial may fail, and
    another test's terminal may dial a port that was its own before.
    """
    return [
        recording
        for recording in world.link.recordings
        if any(kind is FrameType.WELCOME for kind, _ in frames_of(recording.to_terminal))
    ][-1]


# --- ticks -------------------------------------------------------------------------------------


@scenario
def every_tick_of_several_symbols_arrives(worlds: Worlds) -> None:
    with worlds.new() as world, world.audience() as audience:
        begun(world, audience)
        world.happen(60)
        world.check(audience)


@scenario
def bursts_arrive_whole(worlds: Worlds) -> None:
    """More than one run, frame, window and page of CopyTicks at once."""
    with worlds.new() as world, world.audience() as audience:
        begun(world, audience)
        world.happen(5_000, burst=2_500)
        world.happen(30)
        world.check(audience)


@scenario
def ticks_of_one_millisecond_that_come_apart_are_told_apart(worlds: Worlds) -> None:
    with worlds.new(symbols=1) as world, world.audience() as audience:
        begun(world, audience)
        (symbol,) = world.symbols
        for _ in range(8):
            ticks = world.some_ticks(symbol, 3, at_once=True)
            # Two equal ones are two ticks.
            ticks.append(ticks[-1])
            for tick in ticks:
                world.truth[symbol].append(tick)
                world.terminal.tick(symbol, [tick])
                audience.wait_for(len(world.truth[symbol]) - 1)
        world.check(audience)


@scenario
def who_subscribes_late_gets_what_comes(worlds: Worlds) -> None:
    with worlds.new() as world:
        world.begin()
        world.wait_connected()
        world.happen(20)
        for symbol in world.symbols:
            world.truth[symbol] = world.truth[symbol][-1:]
        with world.audience() as audience:
            audience.wait_for(len(world.symbols))
            world.happen(20)
            world.check(audience)


@scenario
def a_symbol_that_is_not_in_market_watch_streams(worlds: Worlds) -> None:
    with worlds.new() as world:
        symbol = world.symbols[-1]
        world.market.select(symbol, False)
        with world.audience(symbol) as audience:
            world.begin()
            audience.wait_for(1)
            world.happen(20, symbols=[symbol])
            world.check(audience, symbol)


# --- links -------------------------------------------------------------------------------------


@scenario
def cut_links_heal_without_a_gap(worlds: Worlds) -> None:
    with worlds.new() as world, world.audience() as audience:
        begun(world, audience)
        for _ in range(3):
            world.happen(20)
            before = world.link.connections
            world.link.cut()
            world.happen(20)
            dialled_again(world, before)
        world.happen(10)
        world.check(audience)


@scenario
def a_link_that_is_cut_within_a_frame_heals(worlds: Worlds) -> None:
    with worlds.new() as world, world.audience() as audience:
        begun(world, audience)
        for direction, size in ((Direction.TO_RELAY, 700), (Direction.TO_TERMINAL, 90)):
            cuts = world.link.cuts
            world.link.cut_after(size, direction)
            while world.link.cuts == cuts:
                world.happen(5)
                audience.wait_for(1)
        world.happen(10)
        world.check(audience)


@scenario
def a_silent_link_is_noticed_and_replaced(worlds: Worlds) -> None:
    """Nobody says that it is dead: a cable that was pulled."""
    with worlds.new() as world, world.audience() as audience:
        begun(world, audience)
        world.happen(10)
        before = world.link.connections
        world.link.freeze()
        world.happen(10)
        world.wait_connected(False)
        # Until the terminal has noticed, too: its new connection waits in the listener.
        world.link.cut()
        world.link.thaw()
        world.wait_for(lambda: world.link.connections > before)
        world.happen(10)
        world.check(audience)


@scenario
def a_relay_that_is_away_at_first_is_found(worlds: Worlds) -> None:
    with worlds.new() as world, world.audience() as audience:
        world.link.refuse()
        world.begin()
        world.wait_for(lambda: world.link.refused >= 2)
        world.happen(5)
        for symbol in world.symbols:
            world.truth[symbol] = world.truth[symbol][-1:]
        world.link.allow()
        begun_at = len(world.symbols)
        audience.wait_for(begun_at)
        world.happen(10)
        world.check(audience)


@scenario
def a_relay_that_is_killed_and_comes_back_misses_nothing(worlds: Worlds) -> None:
    with worlds.new(killable=True) as world, world.audience() as audience:
        begun(world, audience)
        world.happen(30)
        # Younger than that a stream begins anew behind a gap that is told.
        world.wait_for(lambda: set(world.symbols) <= world.relay.checkpointed())
        world.relay.kill()
        world.happen(30)
        world.relay.start()
        world.happen(30)
        world.check(audience)


@scenario
def a_terminal_that_ends_says_so(worlds: Worlds) -> None:
    with worlds.new() as world, world.audience() as audience:
        begun(world, audience)
        world.happen(10)
        world.check(audience)
        world.end()
        world.wait_connected(False)

        if "send_minus_1_after_part" in worlds.mode.sockets:
            return  # also the farewell may fail
        assert "LOGOUT" == list(frames_of(last_session(world).to_relay))[-1][0].name


@scenario
def a_restarted_terminal_goes_on_where_it_was(worlds: Worlds) -> None:
    """What happened while there was no terminal is read from history; the numbers go on."""
    with worlds.new() as world, world.audience() as audience:
        begun(world, audience)
        world.happen(30)
        audience.wait_for(31 * len(world.symbols))
        world.end()
        for symbol in world.symbols:
            missed = world.some_ticks(symbol, 10)
            world.truth[symbol] += missed
            world.market.history.extend(symbol, missed)
        world.begin()
        world.wait_connected()
        world.happen(10)
        world.check(audience)

        assert dict.fromkeys(world.symbols, 1) == {
            symbol: len(epochs) for symbol, epochs in audience.epochs.items()
        }


# --- logon -------------------------------------------------------------------------------------


@scenario
def a_wrong_key_is_never_let_in(worlds: Worlds) -> None:
    with worlds.new() as world:
        key, world.keys["demo"] = world.keys["demo"], bytes(32)
        world.begin()
        refused(world)

        assert "away" == world.status()["state"]

        world.end()
        world.keys["demo"] = key
        world.begin()
        world.wait_connected()


@scenario
def another_account_is_another_logon(worlds: Worlds) -> None:
    with worlds.new() as world, world.audience() as audience:
        begun(world, audience)
        world.happen(10)
        world.check(audience)
        world.terminal.set_account(dataclasses.replace(ACCOUNT, login=2002))
        status = world.wait_status(lambda status: status["login"] == 2002)

        assert "connected" == status["state"]


@scenario
def an_account_that_is_pinned_otherwise_is_refused(worlds: Worlds) -> None:
    with worlds.new(terminals={"demo": {"login": 7}}) as world:
        world.begin()
        refused(world)

        assert "away" == world.status()["state"]


@scenario
def an_outage_of_the_trade_server_is_caught_up_with(worlds: Worlds) -> None:
    with worlds.new() as world, world.audience() as audience:
        begun(world, audience)
        world.happen(10)
        world.check(audience)
        world.terminal.set_connected(False)
        world.wait_status(
            lambda status: (
                status["state"] == "away" or not status["permissions"].get("terminal_connected")
            )
        )
        world.terminal.set_connected(True)
        world.happen(20)
        world.check(audience)


# --- requests ----------------------------------------------------------------------------------


@scenario
def requests_are_answered(worlds: Worlds) -> None:
    with worlds.new(symbols=5) as world, world.audience(world_symbol := "EURUSD") as audience:
        world.begin()
        world.wait_connected()
        client, ask = audience.client, audience.ask

        assert world.symbols == [symbol.name for symbol in ask(client.symbols)]
        assert [name for name in world.symbols if name.startswith("EUR")] == [
            symbol.name for symbol in ask(client.symbols, "EUR*")
        ]
        for spec in world.specs:
            told = ask(client.symbol, spec.name)
            assert (spec.digits, spec.point) == (told.digits, told.point)
            assert world.truth[spec.name][-1].bid == ask(client.tick, spec.name).bid
        for call in (client.symbol, client.tick):
            try:
                ask(call, "NOSUCH")
            except UnknownSymbol:
                continue
            raise AssertionError("an unknown symbol was found")
        assert world_symbol in audience.ticks


@scenario
def a_long_list_comes_in_pages(worlds: Worlds) -> None:
    every = len(default_symbols())
    with worlds.new(symbols=every) as world, world.audience("EURUSD") as audience:
        world.begin()
        world.wait_connected()

        assert world.symbols == [symbol.name for symbol in audience.ask(audience.client.symbols)]


@scenario
def a_symbol_that_is_not_there_is_refused(worlds: Worlds) -> None:
    with worlds.new() as world:
        world.begin()
        world.wait_connected()
        try:
            with world.audience("NOSUCH") as audience:
                audience.wait_for(1)
        except BridgeError:
            return
        raise AssertionError("an unknown symbol streams")
