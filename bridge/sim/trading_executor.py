"""Executes a NEW: the checks in the protocol's order, OrderCheck, the intent, OrderSend.

Theory of operation. ``begin`` answers what needs no call that may block; ``None`` from it means
that BUSY goes out first and ``send`` is called then, which looks at everything again. ``send``
answers, or the terminal is blocked until ``blocked_until_us`` and ``returned`` answers.

Rule 1: an id is executed at most once, ever. What is in the ledger is never sent again.
Rule 2: the intent is on the disk before OrderSend is called, the outcome before it is told.
Rule 3: the return code decides, never the function's own result. Only a definitive code is an
end; everything else is UNKNOWN, and the evidence is looked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from bridge.model.enums import (
    AccountTradeMode,
    MqlError,
    TradeRequestActions,
    TradeRetcode,
)
from bridge.model.retcodes import retcode_name
from bridge.model.trade import TradeResult, order_tag
from bridge.sim.ledger import LedgerEntry, LedgerError, content_of
from bridge.sim.trading_request import Draft, Refused, RequestMaker, reduces
from bridge.sim.trading_results import outcome_of, replayed
from bridge.wire.spec import (
    DenyReason,
    Evidence,
    NewFlag,
    OrderOutcome,
    Permission,
    Role,
    TradingState,
)

if TYPE_CHECKING:
    from bridge.sim.trading_commands import Commands
    from bridge.sim.trading_evidence import EvidenceFinder
    from bridge.sim.trading_ports import Broker, Moment, Sending
    from bridge.sim.trading_results import ResultMaker
    from bridge.wire.messages import New, OrderRequest, Result

__all__ = ["Executor", "TradingLimits"]

_MINUTE_MSC: Final = 60_000
#: The flags without which a program may not trade, with what to do about each.
_FLAGS: Final = (
    (Permission.TERMINAL_TRADE_ALLOWED, "switch on AutoTrading in the toolbar"),
    (Permission.MQL_TRADE_ALLOWED, "allow algo trading in the program's properties"),
    (Permission.ACCOUNT_TRADE_ALLOWED, "the broker does not let this account trade"),
    (Permission.ACCOUNT_TRADE_EXPERT, "the broker does not let programs trade"),
)


class TradingLimits(NamedTuple):
    """
    The terminal's own limits, which no message can raise; 0 and empty are none.

    ``symbols``, ``max_volume`` (lots of one order), ``max_positions`` and ``max_per_minute`` do
    not keep anything from being closed or cancelled.
    """

    read_only: bool = False
    demo_only: bool = False
    symbols: frozenset[str] = frozenset()
    max_volume: float = 0.0
    max_positions: int = 0
    max_per_minute: int = 0


class _Attempt(NamedTuple):
    # A request on its way to the trade server.
    entry: LedgerEntry
    sending: Sending


class Executor:
    """
    Executes commands one at a time.

    Args:
        broker: the trade functions.
        commands: the ledger.
        maker: makes the requests.
        finder: reads the deals of an order.
        results: makes the RESULTs.
        incarnation: of the ledger.
        login: of the account whose broker it is.
        role: what this terminal's sessions are for.
        limits: the terminal's own.
    """

    def __init__(
        self,
        broker: Broker,
        commands: Commands,
        maker: RequestMaker,
        finder: EvidenceFinder,
        results: ResultMaker,
        *,
        incarnation: bytes,
        login: int,
        role: Role,
        limits: TradingLimits,
    ) -> None:
        self.limits = limits
        self._broker = broker
        self._commands = commands
        self._maker = maker
        self._finder = finder
        self._results = results
        self._incarnation = incarnation
        self._login = login
        self._role = role
        self._attempt: _Attempt | None = None

    @property
    def blocked_until_us(self) -> int | None:
        """
        When the call of OrderSend returns; ``None`` when there is none.
        """
        return None if self._attempt is None else self._attempt.sending.at_us

    def begin(self, new: New, state: TradingState, login: int, moment: Moment) -> Result | None:
        """
        Return the answer to a NEW, ``None`` when it is to be sent.
        """
        try:
            self._prepare(new, state, login, moment)
        except _Answered as answered:
            return answered.result
        return None

    def send(self, new: New, state: TradingState, login: int, moment: Moment) -> Result | None:
        """
        Send a NEW. Return the answer, or ``None`` while OrderSend blocks.
        """
        try:
            entry = _entry(new, self._prepare(new, state, login, moment), moment)
            self._check(entry, moment)
            self._intend(entry, moment)
        except _Answered as answered:
            return answered.result
        self._attempt = _Attempt(entry, self._broker.order_send(entry.sent, moment.now_us))
        return None

    def returned(self, moment: Moment) -> tuple[LedgerEntry, Result]:
        """
        OrderSend has returned: write the outcome; return its entry and the answer.

        Raises:
            RuntimeError: nothing was sent.
        """
        attempt, self._attempt = self._attempt, None
        if attempt is None:
            raise RuntimeError("nothing was sent")
        answer = attempt.sending.result or _unanswered(attempt.sending, moment)
        result = self._answered(attempt.entry, answer, moment)
        self._commands.record(attempt.entry.with_result(result))
        return attempt.entry, result

    def known(self, new: New, moment: Moment) -> Result | None:
        """
        Return what the ledger says of the id of a NEW, ``None`` when it does not know it.
        """
        try:
            entry = self._commands.find(new.command_id)
        except LedgerError as error:
            return self._results.denied(new.command_id, DenyReason.NOT_DURABLE, str(error), moment)
        if entry is None:
            return None
        if entry.content != content_of(new.tag, new.flags, new.request):
            text = "this id was used for another order: take a new one"
            return self._results.denied(new.command_id, DenyReason.DIVERGED, text, moment)
        if entry.result is None:
            return self._results.make(
                entry.command_id,
                OrderOutcome.INTENT,
                moment,
                replayed=True,
                evidence=int(Evidence.LEDGER),
                text="it may have been sent; what became of it is being found out",
            )
        return replayed(entry.result)

    # --- checks ------------------------------------------------------------------------

    def _prepare(self, new: New, state: TradingState, login: int, moment: Moment) -> Draft:
        # The order of the checks is the protocol's; it is tested.
        known = self.known(new, moment)
        if known is not None:
            raise _Answered(known)
        try:
            self._check_address(new, login)
            self._maker.check(new.request, new.flags)
            self._check_state(new, state)
            self._check_limits(new, moment)
            _check_permissions(moment.permissions)
            if moment.now_us > new.deadline_us + moment.clock_offset_us:
                text = "its deadline had passed before it was sent"
                raise _Answered(
                    self._results.make(
                        new.command_id, OrderOutcome.EXPIRED_NOT_SENT, moment, text=text
                    )
                )
            return self._maker.make(new.request, new.flags, new.tag)
        except Refused as refused:
            raise _Answered(
                self._results.denied(new.command_id, refused.reason, refused.text, moment)
            ) from None

    def _check_address(self, new: New, login: int) -> None:
        if self._commands.problem:
            raise Refused(DenyReason.NOT_DURABLE, self._commands.problem)
        seen = self._commands.ledger.relay_epoch_seen
        if new.relay_epoch < seen:
            raise Refused(
                DenyReason.STALE_RELAY, f"relay epoch {new.relay_epoch} is older than {seen}"
            )
        if new.incarnation != self._incarnation:
            raise Refused(DenyReason.WRONG_INCARNATION, "it is meant for another ledger")
        if new.login != login or login != self._login:
            raise Refused(DenyReason.WRONG_ACCOUNT, f"it is meant for {new.login}, here is {login}")
        if new.tag != order_tag(new.command_id):
            # Without its tag a command could not be found again.
            raise Refused(DenyReason.INVALID, "tag: it is not the one of this id")

    def _check_state(self, new: New, state: TradingState) -> None:
        if not new.flags & NewFlag.ADMIN:
            if state is TradingState.HALTED:
                raise Refused(DenyReason.HALTED, "trading is halted")
            if state is TradingState.REDUCING and not self._passes_reducing(new):
                raise Refused(
                    DenyReason.REDUCING, "only closing, cancelling and changing is allowed"
                )
        if not self._role & Role.TRADE:
            raise Refused(DenyReason.ROLE, "this session does not trade")

    def _passes_reducing(self, new: New) -> bool:
        changes = new.request.action in {TradeRequestActions.SLTP, TradeRequestActions.MODIFY}
        return changes or reduces(new.request, new.flags, hedging=self._maker.hedging)

    def _check_limits(self, new: New, moment: Moment) -> None:
        limits, request = self.limits, new.request
        if limits.read_only:
            raise Refused(DenyReason.READ_ONLY, "the program is set to read only")
        if limits.demo_only and self._maker.trade_mode != AccountTradeMode.DEMO:
            raise Refused(DenyReason.DEMO_ONLY, "the program is set to trade demo accounts only")
        if reduces(request, new.flags, hedging=self._maker.hedging):
            return
        symbol = self._symbol_of(request)
        if limits.symbols and symbol not in limits.symbols:
            raise Refused(
                DenyReason.SYMBOL_NOT_ALLOWED,
                f"symbol: {symbol or 'an unknown one'} is not on the program's list"[:150],
            )
        if limits.max_volume and (request.volume or 0.0) > limits.max_volume:
            raise Refused(
                DenyReason.VOLUME_LIMIT,
                f"volume: {request.volume:g} is above the program's {limits.max_volume:g}",
            )
        if limits.max_per_minute:
            try:
                sent = self._commands.ledger.count_since(moment.server_msc - _MINUTE_MSC)
            except LedgerError as error:
                raise Refused(DenyReason.NOT_DURABLE, str(error)) from None
            if sent >= limits.max_per_minute:
                raise Refused(DenyReason.RATE_LIMIT, f"{sent} orders were sent in the last minute")
        opens = request.action in {TradeRequestActions.DEAL, TradeRequestActions.PENDING}
        if limits.max_positions and opens:
            count = len(self._broker.positions())
            if count >= limits.max_positions:
                raise Refused(DenyReason.POSITION_LIMIT, f"{count} positions are open")

    def _symbol_of(self, request: OrderRequest) -> str:
        if request.symbol:
            return request.symbol
        position = self._maker.position(request.position or 0)
        if position is not None:
            return position.symbol
        order = self._maker.order(request.order or 0)
        return "" if order is None else order.symbol

    # --- the call --------------------------------------------------------------------------

    def _check(self, entry: LedgerEntry, moment: Moment) -> None:
        # Before the intent: what is not sent leaves nothing behind that would have to be found out.
        check = self._broker.order_check(entry.sent, moment.now_us)
        if not check.retcode:
            return
        result = self._results.make(
            entry.command_id,
            OrderOutcome.REJECTED,
            moment,
            evidence=int(Evidence.ORDER_CHECK),
            retcode=check.retcode,
            comment=_cut(check.comment),
            error=int(MqlError.TRADE_SEND_FAILED),
            text=f"OrderCheck: {_name(check.retcode)}; nothing was sent",
        )
        self._intend(entry.with_result(result), moment)
        raise _Answered(result)

    def _intend(self, entry: LedgerEntry, moment: Moment) -> None:
        try:
            self._commands.intend(entry)
        except LedgerError as error:
            raise _Answered(
                self._results.denied(entry.command_id, DenyReason.NOT_DURABLE, str(error), moment)
            ) from None

    def _answered(self, entry: LedgerEntry, answer: TradeResult, moment: Moment) -> Result:
        outcome = outcome_of(answer.retcode, entry.sent.action)
        executed = outcome in {OrderOutcome.DONE, OrderOutcome.PARTIAL, OrderOutcome.PLACED}
        deals = self._finder.deals_of(answer.order, entry.intent_msc) if executed else []
        tickets = [deal.ticket for deal in deals]
        if answer.deal and answer.deal not in tickets:
            # It cannot be seen yet.
            tickets.append(answer.deal)
        text = "" if executed else f"trade server: {_name(answer.retcode)}"
        if outcome is OrderOutcome.UNKNOWN:
            text += "; what became of it is being found out"
        return self._results.make(
            entry.command_id,
            outcome,
            moment,
            evidence=int(Evidence.TRADE_SERVER),
            retcode=answer.retcode,
            retcode_external=answer.retcode_external,
            deal=answer.deal,
            order=answer.order,
            position=self._position_of(entry, answer, deals[0].position_id if deals else 0),
            volume=answer.volume if outcome is not OrderOutcome.PLACED else 0.0,
            price=answer.price,
            bid=answer.bid,
            ask=answer.ask,
            comment=_cut(answer.comment),
            request_id=answer.request_id,
            time_msc=deals[-1].time_msc if deals else moment.server_msc,
            error=0 if executed else int(MqlError.TRADE_SEND_FAILED),
            text=text,
            deals=tickets,
        )

    def _position_of(self, entry: LedgerEntry, answer: TradeResult, of_deal: int) -> int:
        if entry.sent.position or of_deal:
            return entry.sent.position or of_deal
        if entry.sent.action != TradeRequestActions.DEAL or not answer.order:
            return 0
        for position in self._broker.positions(symbol=entry.sent.symbol):
            if answer.order in {position.ticket, position.identifier}:
                return position.ticket
        return 0


class _Answered(Exception):
    def __init__(self, result: Result) -> None:
        super().__init__(result)
        self.result = result


def _entry(new: New, draft: Draft, moment: Moment) -> LedgerEntry:
    return LedgerEntry(
        command_id=new.command_id,
        tag=new.tag,
        flags=new.flags,
        request=new.request,
        sent=draft.request,
        before=draft.before,
        intent_msc=moment.server_msc,
    )


def _unanswered(sending: Sending, moment: Moment) -> TradeResult:
    # MetaTrader fills the result by itself.
    connected = moment.permissions & Permission.TERMINAL_CONNECTED
    retcode = TradeRetcode.TIMEOUT if connected else TradeRetcode.CONNECTION
    comment = retcode.name.capitalize()
    return TradeResult(retcode=int(retcode), comment=comment, request_id=sending.request_id)


def _check_permissions(permissions: Permission) -> None:
    if not permissions & Permission.TERMINAL_CONNECTED:
        raise Refused(
            DenyReason.NOT_CONNECTED, "the terminal has no connection to the trade server"
        )
    for flag, advice in _FLAGS:
        if not permissions & flag:
            raise Refused(DenyReason.NOT_PERMITTED, f"{flag.name}: {advice}")


def _name(retcode: int) -> str:
    return retcode_name(retcode) or f"return code {retcode}"


def _cut(comment: str) -> str:
    return comment.replace("\0", " ").encode()[:128].decode(errors="ignore")
