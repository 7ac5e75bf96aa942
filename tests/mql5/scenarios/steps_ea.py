"""Scenarios of what only an Expert Advisor has: a chart, inputs, a journal, a list of addresses."""

from __future__ import annotations

import threading
from typing import Any

from bridge.wire.messages import Hello, Logout, unpack_message
from bridge.wire.spec import HEADER_SIZE, TAG_SIZE, FrameType, LogoutCode
from tests.mql5.host import ExitCode
from tests.mql5.scenarios.steps import begun, last_session, of_the_ea
from tests.mql5.scenarios.wire_log import frames_of
from tests.mql5.scenarios.world import World, Worlds

__all__ = ["program_of"]

#: OnDeinit may take 2.5 s; the rest is for the machine
_DEINIT_S = 20.0


def program_of(world: World) -> Any:
    """
    Return the EA's process.
    """
    return world.terminal.process  # type: ignore[attr-defined]  # scenarios of the EA only


def said_anywhere(world: World) -> str:
    """
    Return everything that its user can read.
    """
    process = program_of(world)
    return "\n".join([process.comment, *process.alerts, *process.said()])


def wait_until_said(world: World, text: str) -> None:
    """
    Wait until its user can read a text.
    """
    world.wait_for(lambda: text in said_anywhere(world))


def wait_for_hello(world: World, before: int) -> None:
    """
    Wait until there were more HELLOs than before.
    """
    world.wait_for(lambda: len(hellos(world)) > before)


def hellos(world: World) -> list[Hello]:
    """
    Return the HELLO of every connection so far.
    """
    return [
        unpack_message(Hello, frame[HEADER_SIZE:-TAG_SIZE])
        for recording in list(world.link.recordings)
        for kind, frame in frames_of(bytes(recording.to_relay))
        if kind is FrameType.HELLO
    ]


def let_pass(seconds: float) -> None:
    """
    Let time pass: for what must not happen.
    """
    threading.Event().wait(seconds)


# --- what its user has to do --------------------------------------------------------------------


@of_the_ea
def an_address_that_is_not_allowed_is_told_and_then_found(worlds: Worlds) -> None:
    with worlds.new() as world, world.audience() as audience:
        world.options = {"socket_mode": "allow_list_4014"}
        world.begin()
        world.wait_for(lambda: "Expert Advisors" in said_anywhere(world))

        assert "127.0.0.1" in said_anywhere(world)
        assert 0 == world.status()["sessions"]

        program_of(world).set_option("socket_mode", "")
        audience.wait_for(len(world.symbols))
        world.happen(5)
        world.check(audience)


@of_the_ea
def an_address_that_is_not_allowed_without_its_own_error_is_told_too(worlds: Worlds) -> None:
    """Whether there is an error of its own for it, no page says."""
    with worlds.new() as world:
        world.options = {"socket_mode": "allow_list_5272"}
        world.begin()
        world.wait_for(lambda: "Expert Advisors" in said_anywhere(world))
        program_of(world).set_option("socket_mode", "")
        world.wait_connected()


@of_the_ea
def a_connect_that_blocks_is_survived(worlds: Worlds) -> None:
    with worlds.new() as world:
        world.options = {"socket_mode": "connect_blocks"}
        world.begin()
        let_pass(1.0)
        program_of(world).set_option("socket_mode", "")
        world.wait_connected()


@of_the_ea
def a_send_that_blocks_ends_the_connection(worlds: Worlds) -> None:
    with worlds.new() as world, world.audience() as audience:
        begun(world, audience)
        world.happen(5)
        world.check(audience)
        before = world.link.connections
        program_of(world).set_option("socket_mode", "send_blocks")
        world.happen(5)
        world.wait_connected(False)
        program_of(world).set_option("socket_mode", "")
        world.wait_for(lambda: world.link.connections > before)
        world.happen(5)
        world.check(audience)


@of_the_ea
def a_key_that_is_none_is_told(worlds: Worlds) -> None:
    for text in ("", "zz", "ab" * 31, "ab" * 33):
        with worlds.new() as world:
            world.inputs = {"InpKey": text}
            world.begin()
            wait_until_said(world, "InpKey")

            assert 0 == world.status()["sessions"]


@of_the_ea
def the_strategy_tester_is_left_alone(worlds: Worlds) -> None:
    with worlds.new() as world:
        world.options = {"tester": 1}
        world.begin()
        world.wait_for(lambda: "ester" in said_anywhere(world))
        world.terminal.tick(world.symbols[0], world.some_ticks(world.symbols[0], 3))
        let_pass(0.3)

        assert 0 == world.status()["sessions"]


# --- lives ----------------------------------------------------------------------------------------


@of_the_ea
def another_symbol_on_the_chart_changes_nothing(worlds: Worlds) -> None:
    """OnDeinit and OnInit, and every global variable keeps its value."""
    with worlds.new() as world, world.audience() as audience:
        begun(world, audience)
        for number, symbol in enumerate([*world.symbols[1:], world.symbols[0]]):
            world.happen(10, burst=1 + number)
            program_of(world).reinit(3, symbol=symbol)
            world.happen(10)
        world.check(audience)


@of_the_ea
def inputs_may_change_while_it_runs(worlds: Worlds) -> None:
    with worlds.new() as world, world.audience() as audience:
        begun(world, audience)
        world.happen(10)
        program_of(world).reinit(5, inputs={"InpTimerMs": 100, "InpPumpMs": 50})
        world.happen(10)
        world.check(audience)


@of_the_ea
def an_ea_that_is_killed_never_repeats_a_counter(worlds: Worlds) -> None:
    with worlds.new() as world, world.audience() as audience:
        begun(world, audience)
        for _ in range(3):
            world.happen(5)
            program_of(world).kill()
            program_of(world).close()
            for symbol in world.symbols:
                missed = world.some_ticks(symbol, 2)
                world.truth[symbol] += missed
                world.market.history.extend(symbol, missed)
            before = len(hellos(world))
            world.begin()
            wait_for_hello(world, before)
            world.happen(5)
        world.check(audience)
        said = hellos(world)
        counters = [hello.connection_counter for hello in said]

        assert len(said) >= 4
        assert sorted(set(counters)) == counters
        assert len(said) == len({hello.nonce for hello in said})
        assert 1 == len({hello.incarnation for hello in said})
        assert {bytes(16)} != {hello.incarnation for hello in said}


@of_the_ea
def it_ends_in_time_when_nobody_reads(worlds: Worlds) -> None:
    """The link stands still and its buffers are full: OnDeinit must not wait for it."""
    with worlds.new() as world, world.audience() as audience:
        world.options = {"socket_send_buffer": 4_096}
        begun(world, audience)
        world.link.freeze()
        world.happen(2_000, burst=1_000)
        process = program_of(world)

        assert ExitCode.ENDED == process.deinit(1, within_s=_DEINIT_S)

        world.link.thaw()


@of_the_ea
def the_reason_of_the_end_is_told(worlds: Worlds) -> None:
    for reason, code in ((1, LogoutCode.SHUTTING_DOWN), (4, LogoutCode.SHUTTING_DOWN)):
        with worlds.new() as world:
            world.begin()
            world.wait_connected()
            # The relay knows before the terminal has read that it is let in.
            program_of(world).wait_for(lambda: "connected to" in world.terminal.said())

            assert ExitCode.ENDED == program_of(world).deinit(reason)

            world.wait_connected(False)
            kind, frame = list(frames_of(last_session(world).to_relay))[-1]
            if "send_minus_1_after_part" in worlds.mode.sockets and kind is not FrameType.LOGOUT:
                continue  # also the farewell may fail
            assert FrameType.LOGOUT is kind, (kind, world.terminal.said())
            assert code == unpack_message(Logout, frame[HEADER_SIZE:-TAG_SIZE]).code


@of_the_ea
def two_of_one_alias_do_not_fight_for_ever(worlds: Worlds) -> None:
    """One EA on two charts: the relay keeps one, and both survive it."""
    with worlds.new() as world, world.audience() as audience:
        begun(world, audience)
        first = world.terminal
        world.begin()
        world.happen(10)
        let_pass(0.5)
        first.stop()
        world.happen(10)
        audience.wait_for(1)


@of_the_ea
def a_journal_that_nobody_reads_does_not_grow(worlds: Worlds) -> None:
    """A relay that is away for long is told once in a while, not at every attempt."""
    with worlds.new() as world:
        world.link.refuse()
        world.begin()
        world.wait_for(lambda: world.link.refused >= 8)

        assert len(program_of(world).said()) < 2 * world.link.refused + 10
