"""Open commands: what is in the journal and has no end on disk yet.

From the reservation to the verdict: sending, results, asking again, telling who waits.

    RESERVING --on disk--> READY --> SENT --result--> CONCLUDING --on disk--> (gone)
                                      |                  ^
                       late, link lost v                  |
                                    ASKING --result------+

Rule 1: nothing leaves before its reservation is on disk. A reservation found after a crash
counts as sent.
Rule 2: behind a NEW there are only QUERYs. NEW goes out again only when the terminal answers
NEVER_SEEN to the one question that is open, with the ledger that the NEW was sent to, which has
said nothing else of it before, and before its deadline. What was told as an end is never sent.
Rule 3: who waits gets the end once it is on disk, or UNKNOWN at the deadline, or at once when
the link is lost. The finding out goes on.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from bridge.bus.bodies import TradeKind
from bridge.bus.orders import LifeStep, Reason
from bridge.exceptions import JournalError
from bridge.journal import (
    EXECUTED,
    NOT_EXECUTED,
    Account,
    Change,
    Entry,
    Reserved,
    Step,
    Verdict,
    successor,
)
from bridge.logs import get_logger
from bridge.model.enums import TradeRequestActions
from bridge.relay.order_commands import (
    BACKOFF_US,
    DISK_GRACE_US,
    SETTLING_US,
    Moment,
    OpenCommand,
    Stage,
    TradeSession,
    Waiter,
    moves_volume,
    new_of,
    query_of,
    reduces,
)
from bridge.relay.order_desk import Desk
from bridge.relay.order_life import Waiting, waiting_of, waiting_of_end
from bridge.relay.order_results import (
    ANOTHER_LEDGER,
    LEDGER_FORGOT,
    aggregate,
    denied_result,
    no_journal,
    not_sent,
    result_of,
    unknown,
)
from bridge.wire.messages import Result
from bridge.wire.spec import Evidence, NewFlag, OrderOutcome, TradingState

__all__ = ["OpenCommands"]

log = get_logger(__name__)

#: ids of one QUERY (wire protocol)
_QUERY_MAX: Final = 64
#: the newest ids are kept that were told UNKNOWN and never got to disk
_DOUBTFUL_MAX: Final = 2_048
_LINK_LOST: Final = "the link was lost before it could be sent"
#: what only the ledger that a NEW was sent to can say
_OF_ITS_LEDGER: Final = frozenset(
    {OrderOutcome.EXPIRED_NOT_SENT, OrderOutcome.DENIED, OrderOutcome.NOT_FOUND}
)


class OpenCommands:
    """
    The commands of one terminal between reservation and verdict.

    ``corrected(entry, now)`` is called when one that counted as not executed was executed.
    """

    def __init__(self, desk: Desk, corrected: Callable[[Entry, Moment], None]) -> None:
        self._desk = desk
        self._corrected = corrected
        self._open: dict[str, OpenCommand] = {}
        #: commands of before this session that it has not been heard of
        self.unheard: set[str] = set()
        #: contents of what was told UNKNOWN and never got to disk: another content is another order
        self._doubtful: OrderedDict[str, bytes] = OrderedDict()
        self._restored: list[str] = []
        for entry in desk.journal.open_entries(desk.alias):
            self._restore(entry)

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[OpenCommand]:
        return iter(self._open.values())

    def get(self, name: str) -> OpenCommand | None:
        """
        Return the open command of this id.
        """
        return self._open.get(name)

    def known(self, name: str) -> Entry | None:
        """
        Return what is known of a command, open or not.
        """
        command = self._open.get(name)
        return self._desk.journal.find(name) if command is None else command.entry

    def may_take(self, name: str, content_hash: bytes) -> bool:
        """
        Return whether an id that the journal does not have may be taken for this content.
        """
        return self._doubtful.get(name, content_hash) == content_hash

    def result(self, entry: Entry, *, replayed: bool = False) -> dict[str, Any]:
        """
        Return the result map of a command, with its parts.
        """
        children: Sequence[Entry] = ()
        if entry.request is None:
            try:
                children = self._children(entry.command_id)
            except JournalError as error:
                # Its own verdict is true all the same.
                self._cannot_read(entry.command_id, error)
        return result_of(entry, replayed=replayed, children=children)

    def waiting(self, entry: Entry) -> Waiting:
        """
        Return what a command waits for, and what can be done.
        """
        command = self._open.get(entry.command_id)
        if command is None:
            return waiting_of_end(entry)
        parts = sum(name in self._open for name in command.children)
        return waiting_of(self._desk, command, parts, questioned=bool(self.unheard))

    def unresolved(self) -> frozenset[str]:
        """
        Return the symbols of orders whose end is not known, ``""`` for one not known.
        """
        return frozenset(
            self._desk.symbol_of(command.entry)
            for command in self._open.values()
            if not command.is_resolved and moves_volume(command.entry)
        )

    # --- the reservation --------------------------------------------------------------------

    def reserve(
        self,
        entries: Sequence[Entry],
        waiters: list[Waiter],
        send_by_us: int,
        *,
        reducing: bool,
    ) -> bool:
        """
        Reserve a command, or a ``close_all`` (first) and its parts; ``False``: the id is taken.
        """
        names = [entry.command_id for entry in entries]
        answer = self._desk.journal.reserve(
            entries,
            self._desk.later(lambda error, now: self._reserved(names, error, now)),
            reducing=reducing,
        )
        if not isinstance(answer, Reserved):
            return False
        for entry in entries:
            self._open[entry.command_id] = OpenCommand(
                entry, send_by_us, Stage.RESERVING, session=self._desk.session
            )
        first = self._open[names[0]]
        first.waiters = waiters
        first.children = tuple(names[1:])
        return True

    def _reserved(self, names: Sequence[str], error: JournalError | None, now: Moment) -> None:
        for name in names:
            command = self._open.get(name)
            if command is None or command.stage is not Stage.RESERVING:
                continue
            if error is not None:
                del self._open[name]
                if command.in_doubt:
                    self._doubtful[name] = command.content_hash
                    if len(self._doubtful) > _DOUBTFUL_MAX:
                        self._doubtful.popitem(last=False)
                denied = denied_result(name, no_journal(error), comment=command.entry.comment)
                for waiter in command.waiters:
                    waiter.reply.result(denied)
            elif command.entry.request is None:
                command.stage = Stage.PARTS
            else:
                command.stage = Stage.READY
                if command.session is not self._desk.session:
                    self._not_sent(command, Reason.TERMINAL_AWAY, _LINK_LOST, now)

    def _restore(self, entry: Entry) -> None:
        # An earlier relay reserved it: it counts as sent, and its time as over.
        stage = Stage.ASKING
        children: tuple[str, ...] = ()
        if entry.request is None:
            stage = Stage.PARTS
            try:
                parts = self._desk.journal.children(entry.command_id)
                children = tuple(part.command_id for part in parts)
            except JournalError as error:
                # They are read again for its end.
                self._cannot_read(entry.command_id, error)
        self._open[entry.command_id] = OpenCommand(entry, 0, stage, children=children)
        self._restored.append(entry.command_id)

    # --- the link -------------------------------------------------------------------------------

    def link_up(self, now: Moment) -> None:
        """
        A session is open: what is open of its account is asked for first.
        """
        self.unheard.clear()
        account = self._desk.account
        if account is None:
            return
        foreign = 0
        for command in self._open.values():
            if command.stage not in (Stage.SENT, Stage.ASKING):
                continue
            if command.entry.account != account:
                foreign += 1
                continue
            command.stage = Stage.ASKING
            command.unanswered = command.queries = 0
            command.next_query_us = now.us
            self.unheard.add(command.entry.command_id)
        if foreign:
            log.warning("open orders of another account", terminal=self._desk.alias, orders=foreign)

    def link_down(self, now: Moment) -> None:
        """
        The session ended: who waits for something that was sent is told UNKNOWN at once.
        """
        self.unheard.clear()
        for command in list(self._open.values()):
            if command.stage is Stage.READY:
                self._not_sent(command, Reason.TERMINAL_AWAY, _LINK_LOST, now)
            elif command.stage is Stage.SENT:
                command.stage = Stage.ASKING
            if command.stage is Stage.ASKING:
                self._desk.note(command.entry.command_id, LifeStep.LINK_LOST, now)
        for command in list(self._open.values()):
            unknown_parts = command.stage is Stage.PARTS and not self._ends_soon(command)
            if command.stage is Stage.ASKING or unknown_parts:
                self.tell_unknown(command, command.waiters)

    # --- sending ----------------------------------------------------------------------------------

    def send(self, now: Moment) -> None:
        """
        Send what is on disk, and ask for what is overdue.
        """
        for command in list(self._open.values()):
            if command.stage is Stage.READY:
                self._send(command, now)
            elif command.stage is Stage.PARTS and now.us >= command.next_query_us:
                self._end_parts(command, now)
        self._inquire(now)

    def _send(self, command: OpenCommand, now: Moment) -> None:
        desk = self._desk
        session = desk.session
        if session is None or command.session is not session:
            self._not_sent(command, Reason.TERMINAL_AWAY, _LINK_LOST, now)
        elif now.us >= command.send_by_us:
            text = "its time was over before it could be sent"
            self._not_sent(command, Reason.EXPIRED, text, now)
        elif desk.state is TradingState.HALTED and not command.entry.flags & NewFlag.ADMIN:
            # Halted since the reservation. The terminal would deny it, too.
            text = desk.state_reason or "the terminal is halted"
            self._not_sent(command, Reason.HALTED, text, now)
        elif (not self.unheard or reduces(command.entry)) and desk.view.busy_until_us() <= now.us:
            command.stage = Stage.SENT
            desk.note(command.entry.command_id, LifeStep.SENT, now)
            session.send(new_of(command.entry, now.us, command.send_by_us, desk.relay_epoch))

    def _not_sent(self, command: OpenCommand, reason: Reason, text: str, now: Moment) -> None:
        # This relay knows that it never sent it: a definite end.
        self._end_unsent(command.entry, reason, text, now)

    def _end_unsent(self, entry: Entry, reason: Reason, text: str, now: Moment) -> None:
        verdict = not_sent(reason, text, now.utc_msc)
        step = self._desk.step(LifeStep.NOT_SENT, now, said=verdict.outcome, text=text)
        self.record(entry, verdict, now, step)

    def _inquire(self, now: Moment) -> None:
        session = self._desk.session
        if session is None or self._desk.view.busy_until_us() > now.us:
            return
        account = self._desk.account
        due = [
            command
            for command in self._open.values()
            if _is_to_be_asked(command, account) and now.us >= command.next_query_us
        ]
        if due:
            same = [one for one in due if one.entry.incarnation == session.incarnation]
            others = [one for one in due if one.entry.incarnation != session.incarnation]
            self._query(session, same, now, described=False)
            self._query(session, others, now, described=True)

    def _query(
        self,
        session: TradeSession,
        commands: Sequence[OpenCommand],
        now: Moment,
        *,
        described: bool,
    ) -> None:
        for at in range(0, len(commands), _QUERY_MAX):
            page = commands[at : at + _QUERY_MAX]
            for command in page:
                command.queries += 1
                command.unanswered += 1
                _ask_later(command, now)
                self._desk.note(command.entry.command_id, LifeStep.ASKED, now)
            entries = [command.entry for command in page]
            settle_ms = self._desk.settings.settle_ms
            session.send(query_of(entries, settle_ms, now.us, described=described))

    # --- results ------------------------------------------------------------------------------------

    def receive(self, result: Result, now: Moment) -> None:
        """
        Take a RESULT.
        """
        self.unheard.discard(result.command_id)
        command = self._open.get(result.command_id)
        try:
            entry = self.known(result.command_id)
        except JournalError as error:
            # It is not open. The terminal's ledger keeps what it says of it.
            self._cannot_read(result.command_id, error)
            return
        if entry is None or entry.alias != self._desk.alias or entry.request is None:
            log.error("a result of no command", terminal=self._desk.alias, id=result.command_id)
            return
        if command is not None:
            command.unanswered = max(0, command.unanswered - 1)
        if result.outcome == OrderOutcome.NEVER_SEEN:
            self._never_seen(command, result, now)
        elif command is not None and command.stage in (Stage.RESERVING, Stage.READY):
            log.error("a result before its NEW", terminal=self._desk.alias, id=entry.command_id)
        elif _tells_nothing(result):
            # The terminal could not look: what was known before is still what is known.
            self._desk.journal.note(entry.command_id, self._step_of(result, result.text, now))
        elif result.outcome in _OF_ITS_LEDGER and result.incarnation != entry.incarnation:
            self._take_as_unknown(entry, result, ANOTHER_LEDGER, now)
        else:
            verdict = Verdict.from_result(result, now.utc_msc)
            self.record(entry, verdict, now, self._step_of(result, result.text, now))

    def _take_as_unknown(self, entry: Entry, result: Result, text: str, now: Moment) -> None:
        step = self._step_of(result, text, now)
        self.record(entry, unknown(text, now.utc_msc), now, step)

    def _step_of(self, result: Result, text: str, now: Moment) -> Step:
        return self._desk.step(
            LifeStep.RESULT,
            now,
            said=int(result.outcome),
            evidence=int(result.evidence),
            retcode=result.retcode,
            order=result.order,
            deal=result.deal,
            volume=result.volume,
            text=text,
        )

    def _never_seen(self, command: OpenCommand | None, result: Result, now: Moment) -> None:
        if command is None or command.stage is not Stage.ASKING or command.unanswered:
            # The answer to a question that is overtaken; there is another on its way.
            return
        entry = command.entry
        if result.incarnation != entry.incarnation:
            self._take_as_unknown(entry, result, ANOTHER_LEDGER, now)
        elif entry.verdict is not None:
            # It was there before: the ledger was put back to an older state.
            self._take_as_unknown(entry, result, LEDGER_FORGOT, now)
        else:
            self._desk.journal.note(entry.command_id, self._step_of(result, "", now))
            if now.us < command.send_by_us:
                command.session = self._desk.session
                command.stage = Stage.READY
            else:
                text = "it did not reach the terminal in time"
                self._end_unsent(entry, Reason.EXPIRED, text, now)

    def noticed(self, tag: str, *, deal: int, order: int, position: int, now: Moment) -> None:
        """
        A deal, or an order that was placed, has a command's tag: evidence of an execution.

        A command that is open is asked for at once. One that counted as not executed is
        corrected.
        """
        try:
            entry = self._desk.journal.find_by_tag(tag)
        except JournalError as error:
            self._cannot_read(tag, error)
            return
        if entry is None or entry.alias != self._desk.alias or entry.request is None:
            return
        command = self._open.get(entry.command_id)
        step = self._desk.step(LifeStep.NOTICED, now, order=order, deal=deal)
        if command is not None and not command.is_resolved:
            self._desk.journal.note(entry.command_id, step)
            if command.stage is Stage.ASKING and not command.unanswered:
                command.next_query_us = now.us
            return
        if entry.verdict is None or entry.verdict.outcome not in NOT_EXECUTED:
            return
        if not deal and entry.request.action != TradeRequestActions.PENDING:
            # A market order stands in the history also when it was refused.
            return
        verdict = Verdict(
            outcome=int(OrderOutcome.DONE if deal else OrderOutcome.PLACED),
            deal=deal,
            order=order,
            position=position,
            deals=(deal,) if deal else (),
            text="found in the account's events, after it counted as not executed",
            evidence=int(Evidence.HISTORY_DEALS if deal else Evidence.ORDERS),
            utc_msc=now.utc_msc,
        )
        said = step._replace(said=verdict.outcome, evidence=verdict.evidence, text=verdict.text)
        self.record(entry, verdict, now, said)

    # --- verdicts -----------------------------------------------------------------------------------

    def record(self, entry: Entry, verdict: Verdict, now: Moment, step: Step) -> None:
        """
        Write a verdict; who waits is told when it is on disk. ``step``: that of its life.
        """
        command = self._open.get(entry.command_id)
        if command is not None and command.told is not None:
            # The disk has lost it, not those who were told: what they are told next is no less.
            verdict = successor(command.told, verdict) or command.told
        change: Change

        def recorded(error: JournalError | None, then: Moment) -> None:
            self.recorded(change, error, then)

        with self._desk.journal.together():
            change = self._desk.journal.record(
                entry.command_id, verdict, now.utc_msc, self._desk.later(recorded), step=step
            )
            self.changed(change, now)

    def _record_parts(self, entry: Entry, verdict: Verdict, now: Moment) -> None:
        told = {"said": verdict.outcome, "text": verdict.text}
        self.record(entry, verdict, now, self._desk.step(LifeStep.PARTS, now, **told))

    def changed(self, change: Change, now: Moment) -> None:
        """
        The journal took a verdict, or let the earlier one stand.
        """
        entry = change.entry
        if entry is None:
            return
        command = self._open.get(entry.command_id)
        if command is not None:
            command.entry = entry
            if entry.final:
                command.stage = Stage.CONCLUDING
            elif command.stage in (Stage.SENT, Stage.ASKING):
                if command.stage is Stage.SENT:
                    command.queries = 0
                command.stage = Stage.ASKING
                _ask_later(command, now)
        if change.changed:
            self._desk.publish(TradeKind.ORDER_LIFE, self.result(entry), now.utc_msc)
            if entry.parent and entry.final and entry.parent not in self._open:
                self._amend_parent(entry.parent, now)
        if change.corrected:
            self._desk.publish(TradeKind.VERDICT_CORRECTED, self.result(entry), now.utc_msc)
            self._corrected(entry, now)

    def _amend_parent(self, name: str, now: Moment) -> None:
        # The end of a part changed behind that of its close_all.
        try:
            parent = self.known(name)
            verdict = aggregate(self._children(name), now.utc_msc)
        except JournalError as error:
            self._cannot_read(name, error)
            return
        if parent is not None and verdict is not None:
            self._record_parts(parent, verdict, now)

    def recorded(self, change: Change, error: JournalError | None, now: Moment) -> None:
        """
        A verdict is on disk, or the disk failed.
        """
        entry = change.entry
        command = None if entry is None else self._open.get(entry.command_id)
        if entry is None or command is None or not entry.final:
            return
        self.unheard.discard(entry.command_id)
        if error is not None and command.waiters:
            command.told = entry.verdict
        # Also when the disk failed: the answer is true all the same.
        self._tell(command, command.waiters, entry)
        if error is not None:
            # The journal has forgotten it. The terminal has not, and is asked again.
            log.error("a verdict is not on disk", terminal=self._desk.alias, reason=str(error))
            command.entry = self._desk.journal.find(entry.command_id) or command.entry
            command.stage = Stage.PARTS if entry.request is None else Stage.ASKING
            # Its end was told. NEVER_SEEN, as of what was denied, must not send it again.
            command.send_by_us = 0
            command.queries += 1
            _ask_later(command, now)
            return
        del self._open[entry.command_id]
        self._desk.view.executed(self._opened_symbol(entry))

    def _opened_symbol(self, entry: Entry) -> str:
        request, verdict = entry.request, entry.verdict
        opened = (
            request is not None
            and verdict is not None
            and verdict.outcome in EXECUTED
            and moves_volume(entry)
            and not request.position
        )
        return self._desk.symbol_of(entry) if opened else ""

    def _end_parts(self, command: OpenCommand, now: Moment) -> None:
        if any(name in self._open for name in command.children):
            return
        try:
            children = self._children(command.entry.command_id)
        except JournalError as error:
            self._cannot_read(command.entry.command_id, error)
            command.queries += 1
            _ask_later(command, now)
            return
        verdict = aggregate(children, now.utc_msc)
        if verdict is not None:
            self._record_parts(command.entry, verdict, now)

    def _cannot_read(self, what: str, error: JournalError) -> None:
        # The store takes no new risk from here on, and says why in ``healthy``.
        log.error(
            "the journal cannot be read", terminal=self._desk.alias, id=what, reason=str(error)
        )

    def _ends_soon(self, command: OpenCommand) -> bool:
        # Its end, or that of all its parts, is about to be on disk.
        if command.stage is Stage.PARTS:
            parts = [self._open[name] for name in command.children if name in self._open]
            return all(part.is_resolved for part in parts)
        return command.is_resolved

    # --- time and replies ---------------------------------------------------------------------------

    def expire(self, now: Moment) -> None:
        """
        Tell UNKNOWN to those whose deadline has come; from then on the terminal is asked.
        """
        while self._restored:
            # An earlier relay's; its life goes on with this one.
            self._desk.note(self._restored.pop(), LifeStep.RESTORED, now)
        # A terminal that blocks in OrderSend is given the time that it asked for.
        busy_until_us = self._busy_until_us()
        for command in list(self._open.values()):
            late = [
                waiter
                for waiter in command.waiters
                if now.us >= max(waiter.deadline_us, busy_until_us)
            ]
            if late and (grace_us := self._grace_us(command)):
                late = [
                    waiter
                    for waiter in late
                    if now.us >= max(waiter.deadline_us, busy_until_us) + grace_us
                ]
            if late:
                self.tell_unknown(command, late)
            unheard = not command.waiters and now.us >= max(
                self._ask_from_us(command), busy_until_us
            )
            if command.stage is Stage.SENT and (late or unheard):
                command.stage = Stage.ASKING
                command.next_query_us = now.us

    def _ask_from_us(self, command: OpenCommand) -> int:
        # When the answer to a NEW is overdue for which nobody waits.
        return command.send_by_us + self._desk.settings.answer_ms * 1000

    def _grace_us(self, command: OpenCommand) -> int:
        # The disk has the answer, or decides it: what is not reserved by now is never sent.
        unsent = command.stage in (Stage.RESERVING, Stage.READY)
        return DISK_GRACE_US if unsent or self._ends_soon(command) else 0

    def deadlines(self) -> Iterator[int]:
        """
        Return the times at which there may be something to do.
        """
        account = self._desk.account
        busy_until_us = self._busy_until_us()
        for command in self._open.values():
            grace_us = self._grace_us(command) if command.waiters else 0
            for waiter in command.waiters:
                yield max(waiter.deadline_us, busy_until_us) + grace_us
            if command.stage is Stage.READY:
                yield command.send_by_us
            elif command.stage is Stage.SENT and not command.waiters:
                yield max(self._ask_from_us(command), busy_until_us)
            elif command.stage is Stage.PARTS and command.next_query_us:
                yield command.next_query_us
            elif _is_to_be_asked(command, account):
                yield max(command.next_query_us, busy_until_us)

    def _busy_until_us(self) -> int:
        return 0 if self._desk.session is None else self._desk.view.busy_until_us()

    def tell_unknown(self, command: OpenCommand, waiters: Sequence[Waiter]) -> None:
        """
        Tell these what is certain now, which is no end.
        """
        entry = command.entry
        if command.is_resolved:
            # What is not on disk is not told.
            entry = dataclasses.replace(entry, verdict=None)
        command.in_doubt = command.in_doubt or bool(waiters)
        self._tell(command, waiters, entry)

    def _tell(self, command: OpenCommand, waiters: Sequence[Waiter], entry: Entry) -> None:
        told = list(waiters)
        command.waiters = [waiter for waiter in command.waiters if waiter not in told]
        if told:
            result = self.result(entry)
            for waiter in told:
                waiter.reply.result({**result, "replayed": waiter.replayed})

    def _children(self, parent: str) -> list[Entry]:
        return [
            self._open[child.command_id].entry if child.command_id in self._open else child
            for child in self._desk.journal.children(parent)
        ]


def _tells_nothing(result: Result) -> bool:
    unfounded = result.evidence == Evidence.NONE and not result.replayed
    return result.outcome == OrderOutcome.UNKNOWN and unfounded


def _is_to_be_asked(command: OpenCommand, account: Account | None) -> bool:
    return command.stage is Stage.ASKING and command.entry.account == account


def _ask_later(command: OpenCommand, now: Moment) -> None:
    wait_us = BACKOFF_US[min(command.queries, len(BACKOFF_US) - 1)]
    verdict = command.entry.verdict
    if verdict is not None and verdict.outcome == OrderOutcome.INTENT:
        # The terminal waits for its settle time alone: whatever that is, its end is not missed.
        wait_us = min(wait_us, SETTLING_US)
    command.next_query_us = now.us + wait_us
