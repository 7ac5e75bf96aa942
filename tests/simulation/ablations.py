"""The mechanisms of the guarantee, each taken out alone: the simulation has to notice.

Nothing in the product knows of this. What is taken out is replaced in the world of the test: a
store, a ledger, a method of one class.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

from bridge.journal import Journal
from bridge.journal.store import Done, Write
from bridge.policy import Context, Denial, Proposal, judge
from bridge.relay import trading as relay_trading
from bridge.relay.open_commands import OpenCommands
from bridge.relay.order_commands import new_of
from bridge.sim.trading import Trading, TradingDesk
from tests.simulation.ledger import SimulatedLedger
from tests.simulation.loop import MS, SECOND
from tests.simulation.runs import Report, run_seed
from tests.simulation.store import SimulatedStore
from tests.simulation.world import Options, Plan

__all__ = ["ABLATIONS", "CROWDED", "QUICK", "SPLIT", "VIOLENT", "Ablation", "no_place"]


@dataclasses.dataclass(frozen=True)
class Ablation:
    """
    One mechanism taken out, in a world that needs it. ``kinds``: failures of which at least one
    must be found, in one of few seeds; with the mechanism the same seed is clean.
    """

    name: str
    kinds: frozenset[str]
    plan: Plan
    options: Options = dataclasses.field(default_factory=Options)
    patch: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext

    def run(self, seed: int) -> Report:
        """
        Run a seed without the mechanism.
        """
        with self.patch():
            return run_seed(seed, self.plan, self.options)

    def run_whole(self, seed: int) -> Report:
        """
        Run the same with it.
        """
        return run_seed(seed, self.plan, Options(two_relays=self.options.two_relays))


# --- no fsync in the relay -------------------------------------------------------------------


class _LazyStore(SimulatedStore):
    # Says that it is on the disk at once; it is there when the disk is next flushed.
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._durable = self.disk.copy()
        if self._loop is not None:
            self._loop.after(3 * SECOND, self._flush)

    def write(self, writes: Sequence[Write], done: Done) -> None:
        self.disk.apply(writes)
        self.deliver(functools.partial(done, None))

    def crash(self) -> None:
        self._alive = False
        vars(self.disk).update(vars(self._durable))

    def _flush(self) -> None:
        if self._alive and self._loop is not None:
            self._durable = self.disk.copy()
            self._loop.after(3 * SECOND, self._flush)


# --- none in the terminal's ledger -----------------------------------------------------------


class _LazyLedger(SimulatedLedger):
    # Everything waits for a sync that a power loss comes before.
    def __init__(self, incarnation: bytes) -> None:
        super().__init__(incarnation)
        self.synced = False
        self._counter = 0

    def write(self, entry: Any) -> None:
        self._counter += 1
        if self._counter % 20 == 0:
            self.sync()
        super().write(entry)


# --- no ledger -------------------------------------------------------------------------------


class _NoLedger(SimulatedLedger):
    # What a program knows it knows until it ends.
    def lose_power(self) -> None:
        self.forget()

    def forget(self) -> None:
        for table in (self._entries, self._tags, self._orders, self._open):
            table.clear()
        self._intents.clear()


# --- the others ------------------------------------------------------------------------------


def _send_again(
    self: OpenCommands, session: Any, commands: Any, now: Any, *, described: bool
) -> None:
    # NEW once more, with time to be executed, instead of a question.
    del described
    for command in commands:
        command.queries += 1
        command.unanswered += 1
        command.next_query_us = now.us + 250 * MS * 2 ** min(command.queries, 5)
        deadline_us = now.us + 5 * SECOND
        session.send(new_of(command.entry, now.us, deadline_us, self._desk.relay_epoch))


def _sees_no_epoch(self: Trading, relay_epoch: int) -> None:
    del self, relay_epoch


def _without_netting_rule(proposal: Proposal, context: Context) -> Denial | None:
    return judge(proposal, dataclasses.replace(context, unresolved=frozenset()))


def no_place(self: Journal, alias: str, login: int, server: str) -> None:
    """
    Know no cursor.
    """
    del self, alias, login, server


def _method(target: Any, name: str, instead: Any) -> Callable[[], Any]:
    return functools.partial(mock.patch.object, target, name, instead)


@contextlib.contextmanager
def _no_fences() -> Iterator[None]:
    with (
        mock.patch.object(Trading, "_see_epoch", _sees_no_epoch),
        mock.patch.object(TradingDesk, "_see_epoch", _sees_no_epoch),
    ):
        yield


_SMALL = Plan(orders=100)
VIOLENT = dataclasses.replace(
    _SMALL, cuts=60.0, relay_kills=40.0, terminal_kills=40.0, line_cuts=30.0
)

#: A terminal that is back before the trade server has worked on its last request.
QUICK = dataclasses.replace(
    _SMALL, terminal_kills=150.0, down_ms=(50, 150), execution_ms=400, doubles=0.6
)
#: The answer to a close is lost, and its position still shows as open.
CROWDED = dataclasses.replace(
    _SMALL, netting=True, clients=2, in_burst_ms=150, doubles=0.8, closing=0.75, lossy=True
)
SPLIT = dataclasses.replace(_SMALL, relay_kills=60.0, execution_ms=400, in_burst_ms=30, cuts=10.0)

ABLATIONS: tuple[Ablation, ...] = (
    Ablation(
        "no fsync in the relay",
        frozenset({"lost", "wrong_verdicts", "duplicated"}),
        VIOLENT,
        options=Options(make_store=_LazyStore),
    ),
    Ablation(
        "no fsync in the ledger",
        frozenset({"wrong_verdicts", "duplicated"}),
        VIOLENT,
        options=Options(make_ledger=_LazyLedger),
    ),
    Ablation(
        "NEW again instead of QUERY",
        frozenset({"unresolved", "duplicated", "wrong_verdicts"}),
        VIOLENT,
        patch=_method(OpenCommands, "_query", _send_again),
    ),
    Ablation(
        "not found is believed at once",
        frozenset({"wrong_verdicts"}),
        QUICK,
        patch=_method(TradingDesk, "_is_settled", lambda *_: True),
    ),
    Ablation(
        "no ledger",
        frozenset({"wrong_verdicts", "duplicated"}),
        VIOLENT,
        options=Options(make_ledger=_NoLedger),
    ),
    Ablation(
        "no fencing",
        frozenset({"wrong_verdicts", "duplicated"}),
        SPLIT,
        patch=_no_fences,
        options=Options(two_relays=True),
    ),
    Ablation(
        "no netting rule",
        frozenset({"duplicated"}),
        CROWDED,
        patch=_method(relay_trading, "judge", _without_netting_rule),
    ),
    Ablation(
        "no event cursor",
        frozenset({"lost"}),
        VIOLENT,
        patch=_method(Journal, "event_cursor", no_place),
    ),
)
