"""Pending commands: what is not in the journal yet.

Policy, and waiting for what passes: a busy terminal, the answers about earlier orders at logon,
in netting an unresolved order of the symbol. What waits has left no trace: when its time comes
it is denied, and its id is free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from bridge.bus.orders import LifeStep, Reason
from bridge.bus.requests import ErrorName, Hop, error_map
from bridge.exceptions import JournalError
from bridge.journal import Entry
from bridge.model.trade import order_tag
from bridge.policy import Context, Denial, Proposal
from bridge.relay.asks import Answer
from bridge.relay.open_commands import OpenCommands
from bridge.relay.order_commands import (
    Moment,
    PendingCommand,
    Stage,
    TradeSession,
    Waiter,
    Wanted,
    child_id,
    flags_of,
    moves_volume,
    parts_of,
    proposal_of,
    request_of,
)
from bridge.relay.order_desk import Desk
from bridge.relay.order_results import denied_result, diverged, no_journal
from bridge.wire.spec import Permission, TradingState

__all__ = ["PendingCommands"]

#: a further command is refused
_PENDING_MAX: Final = 256
_MINUTE_MS: Final = 60_000
_BOTH: Final = (False, True)
_ALL_PERMISSIONS: Final = Permission(0b11111)


class PendingCommands:
    """
    The commands of one terminal before their reservation.
    """

    def __init__(
        self,
        desk: Desk,
        judge: Callable[[Proposal, Context], Denial | None],
        commands: OpenCommands,
    ) -> None:
        self._desk = desk
        self._judge = judge
        self._commands = commands
        self._pending: dict[str, PendingCommand] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def get(self, name: str) -> PendingCommand | None:
        """
        Return the pending command of this id.
        """
        return self._pending.get(name)

    def add(self, wanted: Wanted, waiter: Waiter, now: Moment) -> None:
        """
        Take a new command, or deny it at once.
        """
        denial = self._first_denial(wanted, now)
        if denial is None and len(self._pending) >= _PENDING_MAX:
            denial = _too_many()
        if denial is not None:
            waiter.reply.result(denied_result(wanted.command_id, denial, comment=wanted.comment))
            return
        kept_us = min(self._desk.settings.answer_ms, wanted.valid_for_ms // 2) * 1000
        self._pending[wanted.command_id] = PendingCommand(
            wanted,
            [waiter],
            waiter.deadline_us - kept_us,
            reducing=proposal_of(wanted, "").reduces,
        )

    def advance(self, now: Moment) -> None:
        """
        Reserve what need not wait any more, and deny what cannot wait longer.
        """
        desk = self._desk
        # While all wait they need not be judged each time, unless nothing may pass any more.
        resting = desk.session is not None and desk.state is TradingState.ACTIVE
        held_back: dict[bool, Denial | None] = {}
        if resting and self._pending:
            held_back = {reducing: self._passing(now, reducing=reducing) for reducing in _BOTH}
        for pending in list(self._pending.values()):
            passing = held_back.get(pending.reducing)
            if now.us >= pending.send_by_us:
                self._deny(pending, pending.held or _expired())
            elif passing is not None:
                pending.held = passing
            elif not pending.reading:
                self._advance(pending, now)

    def deadlines(self) -> Iterator[int]:
        """
        Return the times at which there is something to do.
        """
        return (pending.send_by_us for pending in self._pending.values())

    def abandon(self, error: dict[str, Any]) -> None:
        """
        The relay ends: nothing of these was sent.
        """
        for pending in list(self._pending.values()):
            self._fail(pending, error)

    # --- the policy -----------------------------------------------------------------------------

    def _first_denial(self, wanted: Wanted, now: Moment) -> Denial | None:
        # What no waiting will change.
        return self._judge(*self._judged(wanted, now, waits=True))

    def _judged(self, wanted: Wanted, now: Moment, *, waits: bool) -> tuple[Proposal, Context]:
        # ``waits``: leave out what an order may wait for.
        desk = self._desk
        proposal = proposal_of(wanted, self._symbol_of(wanted))
        session, settings, view = desk.session, desk.settings, desk.view
        permissions = view.permissions_now()
        if permissions is None and waits:
            permissions = _ALL_PERMISSIONS
        open_symbols = self._open_symbols()
        problem = desk.journal.healthy
        if problem is not None and problem.writable and proposal.reduces:
            # The disk is full, but for the room that is kept for what ends or reduces.
            problem = None
        context = Context(
            alias=desk.alias,
            settings=settings,
            state=desk.state,
            state_reason=desk.state_reason,
            journal_problem="" if problem is None else str(problem),
            terminal_connected=session is not None,
            terminal_trades=session is not None and session.may_trade,
            permissions=permissions or Permission(0),
            commands_waiting=self._commands_before(wanted.command_id),
            orders_last_minute=desk.journal.sent_since(desk.alias, now.utc_msc - _MINUTE_MS),
            open_positions=None if open_symbols is None else len(open_symbols),
            open_symbols=frozenset(open_symbols or ()),
            price_age_ms=(
                view.price_age_ms(proposal.symbol, now.utc_msc)
                if settings.max_price_age_ms
                else None
            ),
            unresolved=frozenset() if waits else self._commands.unresolved(),
            netting=desk.netting,
        )
        return proposal, context

    def _symbol_of(self, wanted: Wanted) -> str:
        if wanted.close_all is not None:
            return wanted.close_all.symbol or ""
        values = None if wanted.command is None else wanted.command.values
        if values is None or values.symbol is not None:
            return ""
        return self._desk.view.symbol_of(values.position or values.order or 0)

    def _open_symbols(self) -> list[str] | None:
        # Positions, and what may still become one. In netting each symbol counts once.
        if not self._desk.settings.max_open_positions:
            return []
        known = self._desk.view.open_symbols()
        if known is None:
            return None
        coming = [
            command.entry.request.symbol or ""
            for command in self._commands
            if command.entry.request is not None
            and moves_volume(command.entry)
            and not command.entry.request.position
        ]
        symbols = known + coming
        return sorted(set(symbols)) if self._desk.netting else symbols

    def _commands_before(self, name: str) -> int:
        # What came later does not count: it must not push out what waits already.
        under_way = sum(
            command.stage in (Stage.RESERVING, Stage.READY, Stage.SENT)
            for command in self._commands
        )
        pending = list(self._pending)
        return under_way + (pending.index(name) if name in self._pending else len(pending))

    def _held(self, pending: PendingCommand, now: Moment) -> Denial | None:
        # What an order may wait for; it is denied with this when its time is over.
        passing = self._passing(now, reducing=pending.reducing)
        if passing is not None:
            return passing
        return self._judge(*self._judged(pending.wanted, now, waits=False))

    def _passing(self, now: Moment, *, reducing: bool) -> Denial | None:
        # What holds orders for a while. Closes and cancels need not wait for the answers about
        # earlier orders: in netting the policy looks at those of their symbol.
        desk = self._desk
        if desk.session is not None and desk.view.permissions_now() is None:
            return Denial(Reason.TERMINAL_BUSY, "the terminal has just connected", hop=Hop.TERMINAL)
        if self._commands.unheard and not reducing:
            return Denial(
                Reason.UNRESOLVED,
                f"the terminal is asked for {len(self._commands.unheard)} earlier orders first",
                hint="ask again in a moment",
                hop=Hop.TERMINAL,
            )
        if desk.view.busy_until_us() > now.us:
            return Denial(
                Reason.TERMINAL_BUSY,
                "the terminal was busy for all of the order's time",
                hint="a longer valid_for_ms lets the order wait longer",
                hop=Hop.TERMINAL,
            )
        return None

    # --- on the way into the journal --------------------------------------------------------------

    def _advance(self, pending: PendingCommand, now: Moment) -> None:
        denial = self._first_denial(pending.wanted, now)
        if denial is not None:
            self._deny(pending, denial)
            return
        pending.held = self._held(pending, now)
        session = self._desk.session
        if pending.held is not None or session is None:
            return
        wanted = pending.wanted
        if wanted.close_all is None:
            self._reserve(pending, [self._entry_of(wanted, session, now)])
        elif not pending.found:
            self._read(pending)
        elif parts := parts_of(wanted.close_all, pending.found):
            entries = [self._entry_of(wanted, session, now)]
            for name, command in parts:
                part = Wanted(
                    child_id(wanted.command_id, name),
                    wanted.method,
                    wanted.content_hash,
                    wanted.valid_for_ms,
                    command,
                    admin=wanted.admin,
                )
                entries.append(self._entry_of(part, session, now, parent=wanted.command_id))
            self._reserve(pending, entries)
        else:
            self._deny(pending, _nothing_to_close())

    def _entry_of(
        self, wanted: Wanted, session: TradeSession, now: Moment, parent: str = ""
    ) -> Entry:
        command = wanted.command
        return Entry(
            command_id=wanted.command_id,
            alias=self._desk.alias,
            login=session.login,
            server=session.server,
            incarnation=session.incarnation,
            method=str(wanted.method),
            content_hash=wanted.content_hash,
            request=None if command is None else request_of(command.values),
            flags=0 if command is None else flags_of(command, admin=wanted.admin),
            tag="" if command is None else order_tag(wanted.command_id),
            comment=wanted.comment,
            parent=parent,
            reserved_utc_msc=now.utc_msc,
            deadline_utc_msc=now.utc_msc + wanted.valid_for_ms,
            relay_epoch=self._desk.relay_epoch,
            life=(self._desk.step(LifeStep.RESERVED, now),),
        )

    def _reserve(self, pending: PendingCommand, entries: list[Entry]) -> None:
        try:
            reserved = self._commands.reserve(
                entries, pending.waiters, pending.send_by_us, reducing=pending.reducing
            )
        except JournalError as error:
            # Whether the id is taken cannot be looked up. Nothing was sent for this request.
            self._deny(pending, no_journal(error))
            return
        if reserved:
            del self._pending[pending.wanted.command_id]
        else:
            # The id was used for another terminal while it waited here.
            self._deny(pending, diverged())

    # --- what a close_all reads ---------------------------------------------------------------------

    def _read(self, pending: PendingCommand) -> None:
        params = pending.wanted.close_all
        if params is None:
            return
        chosen = {"symbol": params.symbol, "magic": params.magic}
        asked = {name: value for name, value in chosen.items() if value is not None}
        kinds = [name for name in ("positions", "orders") if getattr(params, name)]
        pending.reading = len(kinds)
        for kind in kinds:
            done = partial(self._answered, pending, kind)
            self._desk.view.ask(kind, asked, done, pending.send_by_us)

    def _answered(self, pending: PendingCommand, kind: str, answer: Answer) -> None:
        self._desk.arrived.append(lambda _: self._take(pending, kind, answer))

    def _take(self, pending: PendingCommand, kind: str, answer: Answer) -> None:
        if self._pending.get(pending.wanted.command_id) is not pending:
            return
        pending.reading -= 1
        records = answer.value.get(kind) if isinstance(answer.value, dict) else None
        if answer.code or not _are_records(records):
            error = error_map(
                answer.code or ErrorName.TERMINAL_ERROR,
                answer.message or f"the terminal's answer has no list of {kind}",
                hop=answer.hop,
                hint=answer.hint,
            )
            self._fail(pending, error)
        else:
            pending.found[kind] = records or []

    # --- replies ------------------------------------------------------------------------------------

    def _deny(self, pending: PendingCommand, denial: Denial) -> None:
        wanted = pending.wanted
        del self._pending[wanted.command_id]
        for waiter in pending.waiters:
            waiter.reply.result(denied_result(wanted.command_id, denial, comment=wanted.comment))

    def _fail(self, pending: PendingCommand, error: dict[str, Any]) -> None:
        del self._pending[pending.wanted.command_id]
        for waiter in pending.waiters:
            waiter.reply.error(error)


def _are_records(records: Any) -> bool:
    return isinstance(records, list) and all(
        isinstance(record, dict) and isinstance(record.get("ticket"), int) for record in records
    )


def _expired() -> Denial:
    return Denial(
        Reason.EXPIRED,
        "its time was over before it could be sent",
        hint="a longer valid_for_ms lets the order wait longer",
    )


def _too_many() -> Denial:
    return Denial(
        Reason.TOO_MANY, f"{_PENDING_MAX} orders wait for this terminal", hint="send more slowly"
    )


def _nothing_to_close() -> Denial:
    return Denial(Reason.NOTHING_TO_CLOSE, "nothing that was asked for is open", hop=Hop.TERMINAL)
