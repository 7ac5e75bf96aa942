"""The trading side of a simulated terminal.

``Trading`` is a terminal that does not trade: it denies every NEW and obeys its relay.
``TradingDesk`` trades with a broker. Both are driven by the terminal's core in the same way.

Theory of operation. Commands wait in one queue, in the order in which they came: a QUERY
behind a NEW is answered when that is done, never before. What can be answered without a call
that blocks is; a NEW that is to be sent waits until BUSY is on the wire (``wants_call``), then
``call`` sends it, and the answer is there when the call has returned (``settle``). Answers and
events wait in ``take``.

Rule 1: HALT is obeyed at once, also by what waits in the queue.
Rule 2: what waits when a link is lost was never begun, and is forgotten: its relay asks.
Rule 3: an outcome may be told again and better when more becomes known, never worse.

What must change together: this file, its ``trading_*`` parts and ``mql5/Include/Bridge/Trade/``.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final

from bridge.model.trade import OrderRecord
from bridge.sim.ledger import LedgerEntry, LedgerError, MemoryLedger
from bridge.sim.trading_commands import Commands
from bridge.sim.trading_events import EventStream
from bridge.sim.trading_evidence import Case, EvidenceFinder, Finding
from bridge.sim.trading_executor import Executor, TradingLimits
from bridge.sim.trading_freshness import Freshness
from bridge.sim.trading_request import RequestMaker
from bridge.sim.trading_results import ResultMaker, adds_to, replayed
from bridge.wire.messages import (
    Busy,
    EventAck,
    Halt,
    Message,
    New,
    OrderRequest,
    QueriedCommand,
    Query,
    Result,
    Welcome,
)
from bridge.wire.spec import (
    BusyKind,
    Capability,
    DenyReason,
    Evidence,
    NewFlag,
    OrderOutcome,
    Permission,
    Role,
    TradingState,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bridge.model.symbol import SymbolSpec
    from bridge.model.tick import MqlTick
    from bridge.model.trade import DealRecord
    from bridge.sim.exchange_rules import BrokerRules
    from bridge.sim.ledger import Ledger
    from bridge.sim.trading_ports import Broker, Moment

__all__ = ["ORDER_SEND_LIMIT_MS", "Trading", "TradingDesk", "TradingLimits", "make_trading"]

#: What ``OrderSend`` may take; announced with BUSY.
ORDER_SEND_LIMIT_MS: Final = 60_000
_QUEUE_MAX: Final = 256
#: Commands answered and events made in one turn, so that what arrives is heard in between.
_PER_TURN: Final = 32
#: For how long after its call an order without a tag may be a command's.
_UNTIL_MSC: Final = 60_000
_MINUTE_MSC: Final = 60_000
_ALL: Final = Permission(31)
_UNRESOLVED: Final = frozenset({OrderOutcome.INTENT, OrderOutcome.UNKNOWN})
_DOES_NOT_TRADE: Final = "this terminal does not trade yet"


class Trading:
    """
    A terminal that does not trade.

    Args:
        incarnation: 16 bytes that name this terminal's ledger.
    """

    #: what HELLO says beside the rest
    capabilities = Capability(0)

    def __init__(self, incarnation: bytes) -> None:
        #: whether orders may pass, as a relay that is not outdated last said
        self.state = TradingState.ACTIVE
        #: newest fencing epoch of a relay; the word of an older relay does not count
        self.relay_epoch_seen = 0
        self._results = ResultMaker(incarnation)
        self._outbox: deque[Message] = deque()

    # --- what the core drives --------------------------------------------------------------

    @property
    def trades(self) -> bool:
        """
        Whether there is a broker, and so anything to do in every turn.
        """
        return False

    @property
    def wants_call(self) -> bool:
        """
        Whether a NEW is to be sent as soon as BUSY is on the wire.
        """
        return False

    def permissions(self, given: Permission) -> Permission:
        """
        Return the terminal's flags: what the broker takes away is taken away.
        """
        return given

    def server_time_msc(self, now_us: int) -> int | None:  # noqa: ARG002  # the desk needs it
        """
        Return the trade server's time, ``None`` without a trade server.
        """
        return None

    def advance(self, now_us: int, permissions: Permission) -> None:
        """
        Let the broker work: first in every turn, also while a call blocks.
        """

    def settle(self, moment: Moment) -> None:
        """
        A call that blocked has returned.
        """

    def welcomed(
        self,
        welcome: Welcome,
        relay_epoch: int,
        capabilities: int,  # noqa: ARG002  # the desk needs it
        moment: Moment,  # noqa: ARG002  # the desk needs it
    ) -> None:
        """
        A relay of this epoch logged us on, and says what holds from now on.
        """
        self._see_epoch(relay_epoch)
        self._obey(welcome.trading_state)

    def link_lost(self) -> None:
        """
        The session is over.
        """
        self._outbox.clear()

    def halt(self, halt: Halt) -> None:
        """
        Take a HALT.
        """
        if halt.relay_epoch >= self.relay_epoch_seen:
            self._obey(halt.trading_state)

    def new(self, new: New, moment: Moment) -> None:
        """
        Take a NEW.
        """
        self._outbox.append(
            self._results.denied(new.command_id, DenyReason.NOT_PERMITTED, _DOES_NOT_TRADE, moment)
        )

    def query(self, query: Query, moment: Moment) -> None:
        """
        Take a QUERY.
        """
        for command_id in query.command_ids:
            self._outbox.append(
                self._results.make(
                    command_id, OrderOutcome.NEVER_SEEN, moment, text=_DOES_NOT_TRADE
                )
            )

    def event_ack(self, ack: EventAck) -> None:
        """
        Take an EVENT_ACK.
        """

    def work(self, login: int, moment: Moment) -> None:
        """
        Do what cannot block. Call it in an open session only.
        """

    def call(self, login: int, moment: Moment) -> int:
        """
        Make the call that BUSY announced; return until when it blocks.
        """
        del login
        return moment.now_us

    def take(self) -> list[Message]:
        """
        Return what is to be sent, in order.
        """
        messages = list(self._outbox)
        self._outbox.clear()
        return messages

    # --- inside ------------------------------------------------------------------------

    def _see_epoch(self, relay_epoch: int) -> None:
        self.relay_epoch_seen = max(self.relay_epoch_seen, relay_epoch)

    def _obey(self, said: int) -> None:
        try:
            self.state = TradingState(said)
        except ValueError:
            # A state of a later version: the safe one.
            self.state = TradingState.HALTED


class TradingDesk(Trading):
    """
    A terminal that trades.

    Args:
        broker: the trade functions; one account.
        ledger: of this account.
        specs: the broker's symbols.
        quote: the newest tick of a symbol.
        login: of the account.
        role: what the sessions are for.
        limits: the terminal's own.
    """

    def __init__(
        self,
        broker: Broker,
        ledger: Ledger,
        *,
        specs: Mapping[str, SymbolSpec],
        quote: Callable[[str], MqlTick | None],
        login: int,
        role: Role = Role.BOTH,
        limits: TradingLimits = TradingLimits(),  # noqa: B008  # immutable
    ) -> None:
        super().__init__(ledger.incarnation)
        self.broker = broker
        self.state = ledger.trading_state
        self.relay_epoch_seen = ledger.relay_epoch_seen
        if role & Role.TRADE:
            self.capabilities = Capability.TRADE | Capability.EVENTS
        self._commands = Commands(ledger)
        self._incarnation = ledger.incarnation
        self._maker = RequestMaker(broker, specs, quote)
        self._finder = EvidenceFinder(broker, self._belongs_to_another, self._rivals)
        self._executor = Executor(
            broker,
            self._commands,
            self._maker,
            self._finder,
            self._results,
            incarnation=ledger.incarnation,
            login=login,
            role=role,
            limits=limits,
        )
        self._freshness = Freshness(broker, self._finder, hedging=self._maker.hedging)
        self._events = EventStream(broker)
        self._rules: BrokerRules | None = None
        self._left = _ALL
        self._queue: deque[New | Query] = deque()
        self._session_capabilities = 0
        self._ready = False
        #: from when on the settle time counts: the program's begin, the server's connection
        self._connected_since_us: int | None = None
        #: when the call of a command returned without an end
        self._returned_us: dict[str, int] = {}
        #: commands whose RESULT was told in this session because of an event
        self._retold: set[str] = set()

    @property
    def limits(self) -> TradingLimits:
        """
        The terminal's own limits; assign others to change them.
        """
        return self._executor.limits

    @limits.setter
    def limits(self, limits: TradingLimits) -> None:
        self._executor.limits = limits

    @property
    def trades(self) -> bool:
        return True

    @property
    def wants_call(self) -> bool:
        return self._ready

    # --- what the core drives --------------------------------------------------------------

    def permissions(self, given: Permission) -> Permission:
        rules = self.broker.rules
        if rules is not self._rules:
            # Asked for several times in every turn.
            self._rules = rules
            self._left = _left_by(rules)
        return given if self._left is _ALL else given & self._left

    def server_time_msc(self, now_us: int) -> int | None:
        return self.broker.server_time_msc(now_us)

    def advance(self, now_us: int, permissions: Permission) -> None:
        self.broker.advance(now_us)
        self._events.hint(self.broker.transactions(), now_us)
        if not permissions & Permission.TERMINAL_CONNECTED:
            self._connected_since_us = None
        elif self._connected_since_us is None:
            self._connected_since_us = now_us
        self._commands.retry(now_us)

    def settle(self, moment: Moment) -> None:
        blocked_until_us = self._executor.blocked_until_us
        if blocked_until_us is None or moment.now_us < blocked_until_us:
            return
        self.broker.advance(moment.now_us)
        entry, result = self._executor.returned(moment)
        self._freshness.traded(entry, result, moment.now_us)
        if result.outcome == OrderOutcome.UNKNOWN:
            self._returned_us[result.command_id] = moment.now_us
        self._outbox.append(result)
        self._outbox.append(Busy(int(BusyKind.READY), 0))

    def welcomed(
        self, welcome: Welcome, relay_epoch: int, capabilities: int, moment: Moment
    ) -> None:
        super().welcomed(welcome, relay_epoch, capabilities, moment)
        self._session_capabilities = capabilities
        told = bool(capabilities & Capability.EVENTS)
        self._events.begin(welcome.event_cursor, moment, told=told)

    def link_lost(self) -> None:
        super().link_lost()
        self._queue.clear()
        self._ready = False
        self._session_capabilities = 0
        self._events.end()
        self._retold.clear()

    def new(self, new: New, moment: Moment) -> None:
        if not self._session_capabilities & Capability.TRADE:
            text = "this session does not trade"
            self._deny(new, DenyReason.NOT_PERMITTED, text, moment)
        elif len(self._queue) < _QUEUE_MAX:
            self._queue.append(new)
        elif (known := self._executor.known(new, moment)) is not None:
            self._outbox.append(known)
        elif not any(
            isinstance(waiting, New) and waiting.command_id == new.command_id
            for waiting in self._queue
        ):
            text = f"{_QUEUE_MAX} commands wait at the terminal"
            self._deny(new, DenyReason.TOO_MANY, text, moment)

    def query(self, query: Query, moment: Moment) -> None:
        if len(self._queue) < _QUEUE_MAX:
            self._queue.append(query)
            return
        for command_id in query.command_ids:
            text = f"{_QUEUE_MAX} commands wait at the terminal; ask again"
            self._outbox.append(
                self._results.make(command_id, OrderOutcome.UNKNOWN, moment, text=text)
            )

    def event_ack(self, ack: EventAck) -> None:
        self._events.acknowledge(ack)

    def work(self, login: int, moment: Moment) -> None:
        if self._executor.blocked_until_us is not None:
            return
        self._ready = False
        for _ in range(_PER_TURN):
            if not self._queue:
                break
            command = self._queue[0]
            if isinstance(command, Query):
                self._answer(command, moment)
            else:
                result = self._executor.begin(command, self.state, login, moment)
                if result is None:
                    if self._freshness.holds(command, moment.now_us):
                        # It waits for what it is about to be seen, until its deadline.
                        break
                    self._ready = True
                    return
                self._outbox.append(result)
            self._queue.popleft()
        self._tell(moment)

    def call(self, login: int, moment: Moment) -> int:
        self._ready = False
        new = self._queue[0] if self._queue else None
        if not isinstance(new, New):
            return moment.now_us
        self._queue.popleft()
        self._freshness.sends()
        result = self._executor.send(new, self.state, login, moment)
        if result is not None:
            self._outbox.append(result)
            self._outbox.append(Busy(int(BusyKind.READY), 0))
        blocked_until_us = self._executor.blocked_until_us
        return moment.now_us if blocked_until_us is None else blocked_until_us

    # --- events --------------------------------------------------------------------------

    def _tell(self, moment: Moment) -> None:
        told = self._session_capabilities & Capability.EVENTS
        for event, record in self._events.take(moment, _PER_TURN):
            if told:
                self._outbox.append(event)
            if record is not None:
                self._seen(record, recovered=event.recovered, moment=moment)

    def _seen(self, record: DealRecord | OrderRecord, *, recovered: bool, moment: Moment) -> None:
        # A deal or closed order may end a command, or correct an end.
        order = getattr(record, "order", record.ticket)
        try:
            entry = self._commands.find_trace(record.comment, order)
        except LedgerError:
            return
        if entry is None:
            return
        result = None if _is_told(entry, record) else self._refreshed(entry, moment)
        if result is not None:
            self._retold.add(entry.command_id)
            self._outbox.append(result)
        elif recovered and entry.result is not None and entry.command_id not in self._retold:
            # It may have ended while no relay was there to be told.
            self._retold.add(entry.command_id)
            self._outbox.append(replayed(entry.result))

    def _refreshed(self, entry: LedgerEntry, moment: Moment) -> Result | None:
        # The RESULT that evidence adds to what is known of a command, written; or None.
        finding = self._finder.look(self._case(entry))
        if not adds_to(entry.result, finding):
            return None
        if not finding.complete and entry.outcome in _UNRESOLVED:
            return None  # a QUERY is behind it, which knows how long to wait
        if not finding.complete and finding.evidence is Evidence.POSITIONS:
            return None  # others may have traded in it: its deals will tell how much was its own
        return self._found(entry, finding, moment)

    def _found(self, entry: LedgerEntry, finding: Finding, moment: Moment) -> Result:
        result = self._results.found(entry.command_id, entry.result, finding, moment)
        self._commands.record(entry.with_result(result))
        self._freshness.traded(entry, result, moment.now_us)
        self._returned_us.pop(entry.command_id, None)
        return result

    # --- QUERY ---------------------------------------------------------------------------

    def _answer(self, query: Query, moment: Moment) -> None:
        told = query.commands if len(query.commands) == len(query.command_ids) else ()
        for place, command_id in enumerate(query.command_ids):
            try:
                entry = self._commands.find(command_id)
            except LedgerError as error:
                result = self._results.make(
                    command_id, OrderOutcome.UNKNOWN, moment, text=str(error)
                )
            else:
                if entry is not None:
                    result = self._known(entry, query.settle_ms, moment)
                elif told:
                    result = self._without_ledger(command_id, told[place], moment)
                else:
                    result = self._results.make(
                        command_id,
                        OrderOutcome.NEVER_SEEN,
                        moment,
                        replayed=True,
                        evidence=int(Evidence.LEDGER),
                    )
            self._outbox.append(result)

    def _known(self, entry: LedgerEntry, settle_ms: int, moment: Moment) -> Result:
        # Rules 1 and 2 of QUERY.
        connected = bool(moment.permissions & Permission.TERMINAL_CONNECTED)
        outcome = entry.outcome
        if outcome not in _UNRESOLVED:
            better = self._refreshed(entry, moment) if connected else None
            if better is not None:
                return better
            return replayed(entry.result) if entry.result else self._open(entry, "", moment)
        if not connected:
            return self._open(entry, "the terminal has no connection to the trade server", moment)
        finding = self._finder.look(self._case(entry))
        settled = self._is_settled(entry, settle_ms, moment.now_us)
        if adds_to(entry.result, finding):
            if not finding.complete and not settled:
                # An end that lacks a deal would be told once and put right behind it.
                return self._open(entry, "not all of its deals can be seen yet", moment)
            return self._found(entry, finding, moment)
        if finding.outcome is OrderOutcome.UNKNOWN:
            return self._open(entry, finding.text, moment, OrderOutcome.UNKNOWN)
        if not settled:
            return self._open(entry, "no trace yet", moment)
        text = f"no trace after the settle time: not executed {finding.text}".rstrip()
        return self._found(entry, finding._replace(text=text), moment)

    def _open(
        self,
        entry: LedgerEntry,
        text: str,
        moment: Moment,
        outcome: OrderOutcome = OrderOutcome.INTENT,
    ) -> Result:
        finding = Finding(outcome, Evidence.LEDGER, text=text)
        return self._results.found(entry.command_id, entry.result, finding, moment)

    def _is_settled(self, entry: LedgerEntry, settle_ms: int, now_us: int) -> bool:
        # Counted by this program's own clock alone, from the latest of: the return of the
        # call, the begin of this program, the connection to the trade server.
        since_us = self._connected_since_us
        if since_us is None:
            return False
        since_us = max(since_us, self._returned_us.get(entry.command_id, since_us))
        return now_us - since_us >= settle_ms * 1000

    def _without_ledger(self, command_id: str, command: QueriedCommand, moment: Moment) -> Result:
        # Rule 4 of QUERY: only what is found counts.
        from_msc = command.time_utc_msc + moment.utc_offset_min * _MINUTE_MSC
        case = Case(
            command_id,
            command.tag,
            _comparable(command.request, command.flags),
            None,
            (),
            from_msc,
            from_msc + _UNTIL_MSC,
        )
        if moment.permissions & Permission.TERMINAL_CONNECTED:
            finding = self._finder.look(case)
            if adds_to(None, finding):
                return self._results.found(command_id, None, finding, moment)
        text = "another ledger took it, and there is no trace: a person has to decide"
        return self._results.make(
            command_id, OrderOutcome.UNKNOWN, moment, replayed=True, text=text
        )

    def _case(self, entry: LedgerEntry) -> Case:
        return Case(
            entry.command_id,
            entry.tag,
            entry.request,
            entry.sent,
            entry.before,
            entry.intent_msc,
            entry.intent_msc + ORDER_SEND_LIMIT_MS + _UNTIL_MSC,
            entry.outcome in {OrderOutcome.REJECTED, OrderOutcome.NOT_FOUND},
        )

    def _belongs_to_another(self, command_id: str, order: int) -> bool:
        entry = self._commands.find_trace("", order)
        return entry is not None and entry.command_id != command_id

    def _rivals(self, case: Case) -> int:
        sent = case.sent
        if sent is None:
            return 0
        return sum(
            1
            for other in self._commands.unresolved()
            if other.command_id != case.command_id
            and (other.sent.symbol, other.sent.type, other.sent.magic, other.sent.volume)
            == (sent.symbol, sent.type, sent.magic, sent.volume)
            and abs(other.intent_msc - case.from_msc) <= ORDER_SEND_LIMIT_MS + _UNTIL_MSC
        )

    # --- inside ------------------------------------------------------------------------

    def _deny(self, new: New, reason: DenyReason, text: str, moment: Moment) -> None:
        self._outbox.append(self._results.denied(new.command_id, reason, text, moment))

    def _see_epoch(self, relay_epoch: int) -> None:
        if relay_epoch > self.relay_epoch_seen:
            super()._see_epoch(relay_epoch)
            self._commands.commit_epoch(relay_epoch)

    def _obey(self, said: int) -> None:
        before = self.state
        super()._obey(said)
        if self.state is not before:
            self._commands.commit_state(self.state)


def make_trading(
    broker: Broker | None,
    ledger: Ledger | None,
    incarnation: bytes,
    specs: Mapping[str, SymbolSpec],
    quote: Callable[[str], MqlTick | None],
    login: int,
    role: Role,
    limits: TradingLimits,
) -> Trading:
    """
    Return the trading side of a terminal: a desk where there is a broker.

    Raises:
        ValueError: the ledger has another incarnation than the terminal.
    """
    if broker is None:
        return Trading(incarnation)
    if ledger is None:
        ledger = MemoryLedger(incarnation)
    if ledger.incarnation != incarnation:
        raise ValueError("the ledger's incarnation is the terminal's: give it as such")
    return TradingDesk(
        broker,
        ledger,
        specs=specs,
        quote=quote,
        login=login,
        role=role,
        limits=limits,
    )


def _left_by(rules: BrokerRules) -> Permission:
    # The flags that the broker leaves.
    left = _ALL
    if not rules.connected:
        left &= ~Permission.TERMINAL_CONNECTED
    if rules.client_disables_at:
        left &= ~Permission.TERMINAL_TRADE_ALLOWED
    if rules.trade_disabled:
        left &= ~Permission.ACCOUNT_TRADE_ALLOWED
    if rules.server_disables_at:
        left &= ~Permission.ACCOUNT_TRADE_EXPERT
    return left


def _is_told(entry: LedgerEntry, record: DealRecord | OrderRecord) -> bool:
    # Nothing is new in it: an order may have been filled by more deals than its answer told of.
    if entry.result is None or entry.outcome is not OrderOutcome.DONE:
        return False
    return isinstance(record, OrderRecord) or record.ticket in entry.result.deals


def _comparable(request: OrderRequest, flags: int) -> OrderRequest:
    # A level in points cannot be compared with one at the broker: it equals nothing.
    if flags & NewFlag.SL_POINTS:
        request = request._replace(sl=math.nan)
    if flags & NewFlag.TP_POINTS:
        request = request._replace(tp=math.nan)
    return request
