"""The order path of one terminal: from a validated request to its one true answer.

Pure: no socket, no clock, no waiting. Time is an argument (``Moment``), a timer a value
(``next_deadline``), and what the journal or the terminal answer later is taken up in ``poll``.

    request -> known id? -> policy -> (denied: the id stays free)        pending_commands
            -> journal.reserve, on disk -> NEW -> RESULT                 open_commands
            -> journal.record, on disk -> reply

Every request gets exactly one reply. A command that was sent is asked for until its end is
known, whoever still waits for it. At every logon all open commands are asked for before a new
one is accepted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Final

from bridge.bus.bodies import TradeKind
from bridge.bus.orders import LifeStep, order_result
from bridge.bus.requests import ErrorName, Hop, error_map
from bridge.config import TradingSettings
from bridge.exceptions import JournalError
from bridge.journal import Change, Diverged, Entry, Journal
from bridge.logs import get_logger
from bridge.policy import Context, Denial, Proposal
from bridge.relay.open_commands import OpenCommands
from bridge.relay.order_commands import (
    DISK_GRACE_US,
    Moment,
    Reply,
    Stage,
    TradeSession,
    Waiter,
    Wanted,
)
from bridge.relay.order_desk import Desk, TerminalView
from bridge.relay.order_life import life_of, waiting_of_pending
from bridge.relay.order_results import denied_result, diverged
from bridge.relay.pending_commands import PendingCommands
from bridge.wire.fields import clip
from bridge.wire.messages import Halt, Result
from bridge.wire.spec import OrderOutcome, TradingState

__all__ = ["Orders"]

log = get_logger(__name__)

_NEVER_US: Final = 2**63 - 1
_TOLD_MAX: Final = 64
#: What one turn brings about may arrive at once, as a read that cannot be asked.
_ROUNDS_MAX: Final = 8


class Orders:
    """
    All commands of one terminal, from request to verdict.

    After any call, ``poll`` is to be called, and again at ``next_deadline`` and whenever the
    journal delivered something.
    """

    def __init__(
        self,
        alias: str,
        *,
        journal: Journal,
        judge: Callable[[Proposal, Context], Denial | None],
        settings: TradingSettings,
        view: TerminalView,
        publish: Callable[[TradeKind, dict[str, Any], int], None],
        relay_epoch: int,
    ) -> None:
        self.alias = alias
        self._journal = journal
        self._desk = Desk(alias, journal, settings, view, publish, relay_epoch)
        latched = journal.state_of(alias)
        self._desk.state = latched.state
        self._desk.state_reason = latched.reason
        self._commands = OpenCommands(self._desk, self._corrected)
        self._pending = PendingCommands(self._desk, judge, self._commands)
        #: requests for what has ended, until what is known of it is on disk
        self._repeats: list[Waiter] = []
        self._next_us = 0
        #: how often the state was set: what is on disk late must not undo what came after it
        self._states_asked = 0
        #: what the terminal was told, in WELCOME or HALT
        self._told = self.state

    @property
    def state(self) -> TradingState:
        """
        Whether orders may pass. A journal that cannot be trusted lets none.
        """
        problem = self._journal.healthy
        if problem is not None and not problem.writable:
            return TradingState.HALTED
        return self._desk.state

    # --- requests -----------------------------------------------------------------------

    def submit(self, wanted: Wanted, reply: Reply, now: Moment) -> None:
        """
        Take a request of a trading method; ``reply`` is used once, now or later.
        """
        self.stir()
        waiter = Waiter(reply, now.us + wanted.valid_for_ms * 1000, replayed=False)
        if not self._is_known(wanted, waiter):
            self._pending.add(wanted, waiter, now)

    def _is_known(self, wanted: Wanted, waiter: Waiter) -> bool:
        # The same id once more: the stored answer, or one more who waits for it.
        name = wanted.command_id
        denied = denied_result(name, diverged(), comment=wanted.comment)
        waiting = self._commands.get(name) or self._pending.get(name)
        if waiting is not None:
            if waiting.content_hash == wanted.content_hash:
                waiter.replayed = True
                waiting.waiters.append(waiter)
            else:
                waiter.reply.result(denied)
            return True

        def answer(_: JournalError | None, __: Moment) -> None:
            if waiter not in self._repeats:
                return
            self._repeats.remove(waiter)
            problem = "it is not in the journal any more"
            entry = None
            try:
                entry = self._commands.known(name)
            except JournalError as error:
                problem = str(error)
            if entry is not None:
                waiter.reply.result(self._commands.result(entry, replayed=True))
            else:
                waiter.reply.error(_not_looked_up(problem))

        known = self._journal.known(name, wanted.content_hash, self._desk.later(answer))
        if isinstance(known, Diverged):
            waiter.reply.result(denied)
            return True
        if known is not None:
            self._repeats.append(waiter)
            return True
        if not self._commands.may_take(name, wanted.content_hash):
            waiter.reply.result(denied)
            return True
        return False

    def status(self, command_id: str) -> dict[str, Any] | None:
        """
        Return the result map of a command with its life, ``None`` when it was never heard of.
        """
        entry = self._commands.known(command_id)
        if entry is not None:
            # The journal's has the steps that changed nothing, too.
            life = life_of(self._journal.find(command_id) or entry)
            waiting = self._commands.waiting(entry)
            command = self._commands.get(command_id)
            if command is not None and command.is_resolved:
                # An end is told when it is on disk.
                entry = dataclasses.replace(entry, verdict=None)
            result = self._commands.result(entry, replayed=True)
            return {**result, **waiting._asdict(), "life": life}
        pending = self._pending.get(command_id)
        if pending is None:
            return None
        why = "" if pending.held is None else f": {pending.held.message}"
        result = order_result(
            command_id=command_id,
            client_order_id=command_id.split("/")[1],
            hop=Hop.RELAY.value,
            message=f"it waits at the relay, nothing was sent yet{why}",
            comment=pending.wanted.comment,
        )
        return {**result, **waiting_of_pending(pending)._asdict(), "life": []}

    # --- the terminal ---------------------------------------------------------------------

    def link_up(self, session: TradeSession, now: Moment) -> None:
        """
        A session is open. What is open of its account is asked for before anything else.
        """
        self.stir()
        self._desk.session = session
        self._told = self.state
        self._commands.link_up(now)

    def link_down(self, now: Moment) -> None:
        """
        The session ended: who waits for something that was sent is told UNKNOWN at once.
        """
        self.stir()
        self._desk.session = None
        self._commands.link_down(now)

    def receive(self, result: Result, now: Moment) -> None:
        """
        Take a RESULT.
        """
        self.stir()
        self._commands.receive(result, now)

    def noticed(self, tag: str, *, deal: int, order: int, position: int, now: Moment) -> None:
        """
        A deal, or an order that was placed, has a command's tag: evidence of an execution.
        """
        self.stir()
        self._commands.noticed(tag, deal=deal, order=order, position=position, now=now)

    def stir(self) -> None:
        """
        Something changed that an order may wait for: a heartbeat, the end of BUSY.
        """
        self._desk.stirred = True

    # --- what an administrator does ---------------------------------------------------------

    def set_state(
        self,
        state: TradingState,
        reason: str,
        who: str,
        done: Callable[[JournalError | None], None],
        now: Moment,
    ) -> None:
        """
        Halt, reduce or resume; latched over restarts. ``done`` is called in ``poll``.

        A stricter state holds at once, whatever the journal says; a looser one only when it
        is on disk, and if nothing else was asked for since.
        """
        self.stir()
        desk = self._desk
        self._states_asked += 1
        number = self._states_asked
        at_once = state > desk.state

        def latched(error: JournalError | None, _: Moment) -> None:
            if error is None and number == self._states_asked and not at_once:
                self._obey(state, reason)
            done(error)

        log.warning("trading state", terminal=self.alias, state=state.name, reason=reason, who=who)
        if at_once:
            self._obey(state, reason)
        self._journal.set_state(
            self.alias, state, reason, who, desk.later(latched), now_utc_msc=now.utc_msc
        )

    def resolve(
        self,
        command_id: str,
        *,
        executed: bool,
        evidence: str,
        who: str,
        order: int,
        deal: int,
        reply: Reply,
        now: Moment,
    ) -> None:
        """
        Take a person's word for what became of a command.
        """
        self.stir()
        command = self._commands.get(command_id)
        entry = self._commands.known(command_id)
        problem = ""
        if entry is None or entry.alias != self.alias:
            reply.error(error_map(ErrorName.NOT_AVAILABLE, f"there is no command {command_id}"))
            return
        if entry.request is None:
            problem = "a close_all ends with its parts: resolve those"
        elif command is None:
            problem = "its end is known already: see order_status"
        elif command.stage is not Stage.ASKING:
            problem = "it is under way: wait for its end"
        if problem:
            error = error_map(ErrorName.INVALID_REQUEST, problem, field="params.command_id")
            reply.error(error)
            return
        change: Change

        def resolved(error: JournalError | None, then: Moment) -> None:
            self._commands.recorded(change, error, then)
            if error is None and change.entry is not None:
                reply.result(self._commands.result(change.entry, replayed=True))
            else:
                reply.error(error_map(ErrorName.INTERNAL, f"the journal cannot write: {error}"))

        with self._journal.together():
            change = self._journal.resolve(
                command_id,
                executed,
                evidence,
                who,
                order,
                deal,
                now.utc_msc,
                self._desk.later(resolved),
                step=self._desk.step(
                    LifeStep.RESOLVED,
                    now,
                    said=int(OrderOutcome.DONE if executed else OrderOutcome.NOT_FOUND),
                    order=order,
                    deal=deal,
                    text=evidence,
                    who=who,
                ),
            )
            self._commands.changed(change, now)

    def describe(self) -> dict[str, Any]:
        """
        Return what ``status`` tells of trading.
        """
        unresolved = [
            command.entry.command_id for command in self._commands if command.stage is Stage.ASKING
        ]
        return {
            "enabled": self._desk.settings.enabled,
            "state": self.state.name,
            "reason": self._desk.state_reason,
            "open_orders": len(self._commands),
            "unresolved": unresolved[:_TOLD_MAX],
            "waiting": len(self._pending),
        }

    def stop(self) -> None:
        """
        The relay ends: whoever waits gets the reply that is true now.
        """
        self._pending.abandon(
            error_map(ErrorName.SHUTTING_DOWN, "the relay is stopping; nothing was sent")
        )
        self._abandon_repeats(self._repeats, "the relay is stopping")
        for command in list(self._commands):
            self._commands.tell_unknown(command, command.waiters)

    # --- time -------------------------------------------------------------------------------

    def next_deadline(self) -> int:
        """
        Return when ``poll`` wants to be called next, in microseconds.
        """
        return 0 if self._desk.stirred or self._desk.arrived else self._next_us

    def poll(self, now: Moment) -> None:
        """
        Take up what arrived, and do what is due.
        """
        desk = self._desk
        if not desk.arrived and not desk.stirred and now.us < self._next_us:
            return
        for _ in range(_ROUNDS_MAX):
            while desk.arrived:
                desk.arrived.popleft()(now)
            desk.stirred = False
            if desk.session is not None and desk.session.may_trade and self._told > self.state:
                # WELCOME told it HALTED for the journal's sake, and that is well again. The next
                # one says so: a HALT would also end what a dead man's switch has latched.
                self._told = self.state
                desk.session.begin_anew("orders are taken again: the journal works again")
            self._commands.expire(now)
            late = [one for one in self._repeats if now.us >= one.deadline_us + DISK_GRACE_US]
            self._abandon_repeats(late, "the disk of the journal does not answer")
            self._pending.advance(now)
            self._commands.send(now)
            if not desk.arrived and not desk.stirred:
                break
        times = [_NEVER_US, *self._commands.deadlines(), *self._pending.deadlines()]
        times += [waiter.deadline_us + DISK_GRACE_US for waiter in self._repeats]
        busy_until_us = desk.view.busy_until_us()
        if len(times) > 1 and busy_until_us > now.us:
            times.append(busy_until_us)
        self._next_us = min(times)

    def _abandon_repeats(self, waiters: Sequence[Waiter], problem: str) -> None:
        for waiter in list(waiters):
            self._repeats.remove(waiter)
            waiter.reply.error(_not_looked_up(problem))

    # --- the trading state --------------------------------------------------------------------

    def _obey(self, state: TradingState, reason: str) -> None:
        desk = self._desk
        desk.state = state
        desk.state_reason = reason
        self._told = state
        if desk.session is not None and desk.session.may_trade:
            desk.session.send(Halt(int(state), clip(reason), desk.relay_epoch))

    def _corrected(self, entry: Entry, now: Moment) -> None:
        log.critical(
            "an order that counted as not executed was executed",
            terminal=self.alias,
            id=entry.command_id,
        )
        reason = f"{entry.command_id} counted as not executed and was executed after all"
        self.set_state(TradingState.HALTED, reason, "relay", _ignore, now)


def _not_looked_up(problem: str) -> dict[str, Any]:
    # No word of what became of it (bus protocol, "INTERNAL").
    return error_map(ErrorName.INTERNAL, f"it cannot be looked up: {problem}")


def _ignore(error: JournalError | None) -> None:
    del error  # it holds in memory; the journal says by itself that it cannot be written
