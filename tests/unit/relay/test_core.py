"""The relay's core: all that decides, without a socket, a file, a thread or a clock of its own."""

from __future__ import annotations

import logging

import msgpack
import pytest

from bridge.exceptions import JournalError
from bridge.journal import Journal, MemoryStore
from bridge.relay import core as module
from bridge.relay import links
from bridge.relay.asks import Asks
from bridge.relay.checkpoints import Checkpoint
from bridge.relay.core import begin_epoch
from bridge.relay.links import Link
from bridge.relay.order_commands import Moment, Waiter
from bridge.relay.registry import Terminals
from bridge.relay.router import Router
from bridge.relay.trading import TerminalTrading
from bridge.wire.session import NEVER_US
from bridge.wire.spec import CAPABILITIES, Capability, LogoutCode, TradingState
from tests.support.bench import FakeLink
from tests.support.core_scene import Scene
from tests.support.journal import make_entry
from tests.support.orders import FakeReply

LENGTH_MS = 3_000
SEEDS = 4


# --- epochs -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("used", "utc_s", "epoch"),
    [(0, 1_700_000_000, 1_700_000_000), (1_800_000_000, 1_700_000_000, 1_800_000_001), (0, 0, 1)],
)
def test_an_epoch_is_above_all_that_were_used(used, utc_s, epoch):
    """Those that its streams may get before the next checkpoint are on disk as used, too."""
    saved = Checkpoint(used, 0, [], relay_epoch=used)
    found, first = begin_epoch(saved, utc_s * 1000)

    assert epoch == found
    assert (epoch + 10_000, epoch) == (first.epoch, first.relay_epoch)


def test_kills_do_not_carry_the_relays_epoch_ahead_of_the_clock():
    """Else a relay that lost its data folder would be older than itself for terminals."""
    saved = Checkpoint(0, 0, [])
    for second in range(2, 102):
        epoch, saved = begin_epoch(saved, second * 1000)

        assert second == epoch
    assert saved.epoch >= 100 * 10_000


def test_the_last_checkpoint_keeps_no_epochs_back(tmp_path):
    core = Scene(tmp_path, "quiet").core

    assert (7, 7 + 10_000) == (core.checkpoint(last=True).epoch, core.checkpoint().epoch)
    assert 7 == core.checkpoint().relay_epoch


# --- what it tells -------------------------------------------------------------------------------


def test_a_core_that_nobody_has_bound_answers_all_the_same(tmp_path):
    scene = Scene(tmp_path, "quiet")
    scene.core.router.receive([b"me", b"", msgpack.packb({"id": 1, "method": "status"})])
    ((_, kind, frames),) = scene.record.seen
    result = msgpack.unpackb(frames[-1])["result"]

    assert ("reply", [b"me", b""]) == (kind, frames[:-1])
    assert ("", {}, "relay under test", 7) == (
        result["publish"],
        result["endpoints"],
        result["program"],
        result["relay_epoch"],
    )


@pytest.mark.parametrize(
    "problem", [None, JournalError("it is damaged"), JournalError("full", writable=True)]
)
def test_without_a_journal_no_events_are_taken(tmp_path, problem):
    """They could not be kept. HALT still has to pass. A disk that is full will not be so for ever."""
    store = MemoryStore()
    journal = Journal(store)
    journal.load()
    store.fail = problem
    capabilities = Scene(tmp_path, "quiet", journal=journal).core.links.capabilities
    expected = CAPABILITIES | Capability.TRADE
    if problem is None or problem.writable:
        expected |= Capability.EVENTS

    assert expected == capabilities


def test_who_waits_for_an_order_is_told_when_the_relay_ends(tmp_path):
    """Nothing was sent, or UNKNOWN: what is true then."""
    store = MemoryStore()
    journal = Journal(store)
    journal.load()
    entry = make_entry("c/1", alias="demo")
    journal.reserve([entry], lambda _: None)
    store.flush()
    core = Scene(tmp_path, "quiet", journal=journal).core
    reply = FakeReply()
    (command,) = core.tradings["demo"].orders._commands
    command.waiters.append(Waiter(reply, NEVER_US, replayed=False))
    core.stop()

    assert "UNKNOWN" == reply.outcome


def test_a_session_that_was_halted_for_the_journal_ends_when_that_is_well(tmp_path):
    """By its link, as one that may dial again at once."""
    scene = Scene(tmp_path, "quiet")
    trading = scene.core.tradings["demo"]
    link = FakeLink()
    link.capabilities = int(CAPABILITIES | Capability.TRADE)
    scene.store.fail = JournalError("it cannot be read")
    told, _ = trading.welcome(link.hello)
    trading.link_up(link, link.hello)
    trading.poll(Moment(scene.clock.us, scene.clock.utc_msc()))

    assert (TradingState.HALTED, None) == (told, link.closed)

    scene.store.fail = None
    trading.stir()
    trading.poll(Moment(scene.clock.us, scene.clock.utc_msc()))

    assert (LogoutCode.NORMAL, 0) == (link.closed[0], link.closed[2])
    assert "the journal works again" in link.closed[1]


# --- time -------------------------------------------------------------------------------------


@pytest.fixture
def expired(monkeypatch, caplog):
    """
    What happens once a minute happens in a scene; when it did.
    """
    # The log of a thousand faults costs more than they do.
    caplog.set_level(logging.CRITICAL, "bridge")
    monkeypatch.setattr(module, "_EXPIRE_EVERY_US", 1_300_000)
    monkeypatch.setattr(links, "_CLOSING_MAX_US", 200_000)
    times: list[int] = []
    monkeypatch.setattr(Journal, "expire", lambda _, now_utc_msc: times.append(now_utc_msc))
    return times


def play(folder, seed, expired, *, jumping):
    scene = Scene(folder, seed)
    seen = [*scene.run(LENGTH_MS, jumping=jumping), (LENGTH_MS, "expired", list(expired))]
    expired.clear()
    return scene, seen


def test_ticking_only_when_it_is_wanted_is_the_same_as_ticking_all_the_time(
    tmp_path, seed, expired
):
    """Else a simulation that jumps from deadline to deadline is not that of the relay."""
    for part in range(SEEDS):
        _, expected = play(tmp_path, f"{seed}/{part}", expired, jumping=False)
        scene, seen = play(tmp_path, f"{seed}/{part}", expired, jumping=True)

        assert expected == seen
        assert scene.ticks < LENGTH_MS / 5


@pytest.mark.usefixtures("expired")
def test_when_all_is_done_the_next_deadline_lies_ahead(tmp_path, seed):
    """Else whoever jumps to it stays where he is."""
    for part in range(SEEDS):
        Scene(tmp_path, f"{seed}/{part}").run(LENGTH_MS, jumping=True, resting=True)


TIMERS = {
    "sessions": Link,
    "admissions": Terminals,
    "asks": Asks,
    "snapshots": Router,
    "orders": TerminalTrading,
}


@pytest.mark.parametrize("left_out", TIMERS)
def test_a_deadline_that_is_left_out_is_noticed(tmp_path, seed, expired, monkeypatch, left_out):
    """Something then happens too late: the test before this one sees each timer."""
    for part in range(20):
        _, expected = play(tmp_path, f"{seed}/{part}", expired, jumping=False)
        with monkeypatch.context() as without:
            without.setattr(TIMERS[left_out], "next_deadline", lambda *_: NEVER_US)
            _, seen = play(tmp_path, f"{seed}/{part}", expired, jumping=True)
        if expected != seen:
            return
    pytest.fail("nobody missed it")
