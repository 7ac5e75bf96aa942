"""
The EA's results, evidence and events as the classes of ``bridge.sim`` that they mirror.

``programs/evidence.mq5`` has them; each call of one of these classes is a chart event for it. The
broker that the Python desk trades with answers the program's trade functions, so a test of the
Python class is a test of the EA's.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Final

import msgpack
import pytest

from bridge.model.trade import DealRecord, OrderRecord, TradeRequest, asdict
from bridge.sim.exchange_records import Transaction
from bridge.sim.ledger import LedgerEntry, LedgerError
from bridge.sim.market import Market
from bridge.sim.trading_evidence import Case, Finding
from bridge.sim.trading_ports import Moment
from bridge.sim.trading_reads import ReadProblem
from bridge.wire.messages import (
    Event,
    EventAck,
    EventCursor,
    New,
    Result,
    pack_message,
    unpack_message,
)
from bridge.wire.spec import ErrorCode, Evidence, NewFlag, OrderOutcome
from tests.mql5 import building
from tests.mql5.broker_trade import pack_transaction
from tests.mql5.host import EaProcess
from tests.mql5.printed import values
from tests.mql5.scenarios.world import ACCOUNT

__all__ = [
    "Call",
    "MqlEvents",
    "MqlFinder",
    "MqlFreshness",
    "MqlReads",
    "MqlResults",
    "Program",
    "pack_entry",
    "patched",
    "running",
]

ROOT: Final = Path(__file__).resolve().parents[2]
#: In place of how many rivals there are.
RIVALS_CANNOT_BE_TOLD, WHOSE_CANNOT_BE_TOLD = -1, -2


class Call:
    """
    Numbers of the program's ``ENUM_ORDER_OF_TEST``.
    """

    OUTCOME, MAKE, DENIED, FOUND, ADDS, REPLAYED, LOOK, DEALS = range(1, 9)
    EVENTS_BEGIN, EVENTS_END, EVENTS_CLOCK, EVENTS_ACK, EVENTS_TAKE = range(9, 14)
    COMMANDS_OPEN, INTEND, RECORD, FIND, TRACE, EPOCH, STATE, RETRY = range(14, 22)
    ANOTHER, RIVALS, READ, TRADED, HOLDS, SENDS = range(22, 28)


class SeenBroker:
    """
    What the program may see of a broker: it reads, and nothing else happens.
    """

    #: later than any time, so that nobody lets it work
    now_us = 2**62

    def __init__(self, broker: Any) -> None:
        self._broker = broker

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    def advance(self, now_us: int) -> None:
        """
        The desk lets it work.
        """

    def transactions(self) -> list[Transaction]:
        return []

    def order_check(self, request: TradeRequest, _: int) -> Any:
        return self._broker.order_check(request, self._broker.now_us)

    def next_deadline(self) -> None:
        """
        Nothing of it happens here.
        """

    def history_order(self, ticket: int) -> Any:
        return self._of_ticket(self._broker.history_orders(-(2**62), 2**62), ticket)

    def history_deal(self, ticket: int) -> Any:
        return self._of_ticket(self._broker.history_deals(-(2**62), 2**62), ticket)

    @staticmethod
    def _of_ticket(records: Iterable[Any], ticket: int) -> Any:
        return next((one for one in records if one.ticket == ticket), None)


class Program:
    """
    The translated program, and what its last call left.
    """

    def __init__(self, process: EaProcess) -> None:
        self.process = process
        self.lines: list[str] = []
        self.events: MqlEvents | None = None
        #: whose stream it is, also between sessions
        self.streaming: MqlEvents | None = None
        process.on_event = self._take_event

    def _take_event(self, event: dict[str, Any]) -> None:
        if event.get("event") == "print":
            self.lines.append(event["text"])

    def look_at(self, broker: Any) -> None:
        """
        From now on the program's trade functions are this broker's.
        """
        seen: Any = SeenBroker(broker)
        self.process.broker.exchange = seen
        self.process.broker.trade.exchange = seen
        self.process.broker.market = getattr(broker, "market", self.process.broker.market)

    def call(
        self, number: int, arguments: Any = None, lparam: int = 0, dparam: float = 0.0
    ) -> list[bytes]:
        """
        Make a call; return what the program gave.
        """
        packed = b"" if arguments is None else msgpack.packb(arguments)
        self.lines.clear()
        self.process.chart_event(number, lparam, float(dparam), packed.hex())
        self.process.wait_for(lambda: self.lines and self.lines[-1].startswith("#"), 300)
        found = values(self.lines)
        answer, unwritten, known, overflown, look_us, problem = self.lines[-1][1:].split(" ", 5)
        self.answer, self.unwritten, self.known = int(answer), int(unwritten), int(known)
        self.overflown, self.look_us = overflown == "1", int(look_us)
        self.problem = "" if problem == "-" else problem
        self.process.journal.clear()
        self.process.events.clear()
        return found

    def ask(self, number: int, arguments: Any = None, lparam: int = 0, dparam: float = 0.0) -> int:
        """
        Make a call that answers with a number.
        """
        self.call(number, arguments, lparam, dparam)
        return self.answer


@contextlib.contextmanager
def running(folder: Path, **options: Any) -> Iterator[Program]:
    """
    Run the program without a broker: ``look_at`` gives it one.
    """
    binary = building.build(ROOT / "tests" / "mql5" / "programs" / "evidence.mq5", mode="asan")
    process = EaProcess(
        binary,
        market=Market([]),
        account=ACCOUNT,
        clock="virtual",
        folder=folder,
        symbol="EURUSD",
        **options,
    )
    with process:
        yield Program(process)
        code = process.deinit()
        assert (0, "") == (code, process.crash)


@contextlib.contextmanager
def patched(program: Program, *modules: ModuleType) -> Iterator[None]:
    """
    Let the Python desk, and the tests of these modules, use the program's classes.
    """
    classes: dict[str, Callable[..., Any]] = {
        "EvidenceFinder": MqlFinder,
        "ResultMaker": MqlResults,
        "EventStream": MqlEvents,
        "TradeReads": MqlReads,
        "Freshness": MqlFreshness,
        "adds_to": lambda known, finding: bool(
            program.ask(Call.ADDS, [_packed(known), _of_finding(finding)])
        ),
        "replayed": lambda result: _result(program.call(Call.REPLAYED, _packed(result))),
        "outcome_of": lambda retcode, action: OrderOutcome(
            program.ask(Call.OUTCOME, None, retcode, action)
        ),
    }
    with pytest.MonkeyPatch.context() as patch:
        for one in (MqlFinder, MqlResults, MqlEvents, MqlReads, MqlFreshness):
            patch.setattr(one, "program", program, raising=False)
        for module in modules:
            for name, made in classes.items():
                if hasattr(module, name):
                    patch.setattr(module, name, made)
        yield


# --- how things are told -----------------------------------------------------------------------


def pack_entry(entry: LedgerEntry) -> list[Any]:
    """
    Return an entry of a ledger as the program reads it.
    """
    attempt = [list(asdict(entry.sent).values()), list(entry.before)]
    return [
        entry.command_id,
        msgpack.packb([entry.tag, entry.flags, list(entry.request)]),
        msgpack.packb(attempt),
        entry.intent_msc,
        None if entry.result is None else pack_message(entry.result),
    ]


def pack_case(case: Case) -> list[Any]:
    """
    Return a case as the program reads it. A level in points travels as a flag.
    """
    flags = 0
    changes: dict[str, Any] = {}
    for name, flag in (("sl", NewFlag.SL_POINTS), ("tp", NewFlag.TP_POINTS)):
        if math.isnan(getattr(case.request, name) or 0.0):
            flags |= int(flag)
            changes[name] = None
    entry = LedgerEntry(
        command_id=case.command_id,
        tag=case.tag,
        flags=0,
        request=case.request._replace(**changes),
        sent=case.sent or TradeRequest(action=0),
        before=case.before,
        intent_msc=0,
    )
    return [
        pack_entry(entry),
        case.sent is not None,
        case.from_msc,
        case.until_msc,
        case.ended,
        flags,
    ]


def _packed(result: Result | None) -> bytes | None:
    return None if result is None else pack_message(result)


def _result(found: list[bytes]) -> Result:
    (body,) = found
    return unpack_message(Result, body)


def _of_moment(moment: Moment) -> list[int]:
    return [int(value) for value in moment]


def _of_finding(finding: Finding) -> list[Any]:
    return [int(finding.outcome), int(finding.evidence), finding.order, list(finding.deals),
            finding.position, finding.volume, finding.price, finding.time_msc, finding.text,
            finding.complete]  # fmt: skip


# --- the classes -------------------------------------------------------------------------------


class MqlFinder:
    """
    What ``EvidenceFinder`` is.
    """

    program: ClassVar[Program]

    def __init__(
        self,
        broker: Any,
        belongs_to_another: Callable[[str, int], bool],
        rivals: Callable[[Case], int],
    ) -> None:
        self._broker = broker
        self._belongs_to_another = belongs_to_another
        self._rivals = rivals

    def look(self, case: Case) -> Finding:
        broker, ever = self._broker, (-(2**62), 2**62)
        seen = {order.ticket for order in (*broker.orders(), *broker.history_orders(*ever))}
        seen |= {deal.order for deal in broker.history_deals(*ever)}
        try:
            others = [one for one in seen if self._belongs_to_another(case.command_id, one)]
        except LedgerError:
            others, rivals = [], WHOSE_CANNOT_BE_TOLD
        else:
            rivals = self._counted(case)
        self.program.look_at(broker)
        (body,) = self.program.call(Call.LOOK, [pack_case(case), others, rivals])
        outcome, evidence, order, deals, *rest = msgpack.unpackb(body)
        known = OrderOutcome(outcome), Evidence(evidence), order, tuple(deals), *rest[:-1]
        return Finding(*known)._replace(complete=bool(rest[-1]))

    def _counted(self, case: Case) -> int:
        try:
            return self._rivals(case)
        except LedgerError:
            return RIVALS_CANNOT_BE_TOLD

    def deals_of(self, order: int, from_msc: int) -> list[DealRecord]:
        self.program.look_at(self._broker)
        (body,) = self.program.call(Call.DEALS, [order, from_msc])
        return [DealRecord(**record) for record in msgpack.unpackb(body)]


class MqlResults:
    """
    What ``ResultMaker`` is. The fields of a RESULT that its caller sets are set here.
    """

    program: ClassVar[Program]

    def __init__(self, incarnation: bytes) -> None:
        self._incarnation = incarnation

    def make(self, command_id: str, outcome: int, moment: Moment, **fields: Any) -> Result:
        made = self._call(Call.MAKE, moment, command_id, int(outcome), fields.pop("text", ""))
        if "deals" in fields:
            fields["deals"] = tuple(fields["deals"])[:256]
        return dataclasses.replace(made, **fields)

    def denied(self, command_id: str, reason: int, text: str, moment: Moment) -> Result:
        return self._call(Call.DENIED, moment, command_id, int(reason), text)

    def found(
        self, command_id: str, known: Result | None, finding: Finding, moment: Moment
    ) -> Result:
        return self._call(Call.FOUND, moment, _packed(known), command_id, _of_finding(finding))

    def _call(self, number: int, moment: Moment, *rest: Any) -> Result:
        arguments = [self._incarnation, _of_moment(moment), *rest]
        return _result(self.program.call(number, arguments))


class MqlEvents:
    """
    What ``EventStream`` is. The program has one at a time.
    """

    program: ClassVar[Program]

    def __init__(self, broker: Any) -> None:
        self._broker = broker
        self._quiet_until_us = 0

    def begin(self, cursor: EventCursor | None, moment: Moment, *, told: bool) -> None:
        self.program.events = self
        self.program.look_at(self._broker)
        place = None if cursor is None else list(cursor)
        is_new = self.program.streaming is not self
        self.program.streaming = self
        self.program.call(Call.EVENTS_BEGIN, [place, _of_moment(moment), told, is_new])
        self._quiet_until_us = 0

    def end(self) -> None:
        if self.program.events is self:
            self.program.events = None
            self.program.call(Call.EVENTS_END)

    def hint(self, transactions: list[Transaction], now_us: int) -> None:
        if self.program.events is not self or not transactions:
            return
        self.program.look_at(self._broker)
        self.program.call(Call.EVENTS_CLOCK, lparam=now_us)
        for transaction in transactions:
            self.program.process.transaction(pack_transaction(transaction))
        self._quiet_until_us = 0

    def acknowledge(self, ack: EventAck) -> None:
        if self.program.events is self:
            self.program.call(Call.EVENTS_ACK, [ack.cursor_time_msc, ack.cursor_ticket])
            self._quiet_until_us = 0

    def take(
        self, moment: Moment, limit: int
    ) -> list[tuple[Event, DealRecord | OrderRecord | None]]:
        if self.program.events is not self or moment.now_us < self._quiet_until_us:
            return []
        self.program.look_at(self._broker)
        taken: list[tuple[Event, DealRecord | OrderRecord | None]] = []
        for body in self.program.call(Call.EVENTS_TAKE, [_of_moment(moment), limit]):
            fields, has_place, is_order, ticket, order, comment = msgpack.unpackb(body)
            event = unpack_message(Event, msgpack.packb(fields))
            record: DealRecord | OrderRecord | None = None
            if has_place:
                record = (OrderRecord if is_order else DealRecord)(**event.record)
                assert (ticket, comment) == (record.ticket, record.comment)
                assert order == getattr(record, "order", record.ticket)
            taken.append((event, record))
        # Without anything new it would say the same until it looks again.
        self._quiet_until_us = self.program.look_us if len(taken) < limit else 0
        return taken


class MqlReads:
    """
    What ``TradeReads`` is.
    """

    program: ClassVar[Program]

    def __init__(self, broker: Any, specs: Any, quote: Any, clock_us: Any) -> None:
        del specs, quote, clock_us  # the terminal's own functions tell the program
        self._broker = broker

    def answer(self, method: str, params: dict[str, Any]) -> Any:
        self.program.look_at(self._broker)
        (body,) = self.program.call(Call.READ, [method, params])
        code, text, value = msgpack.unpackb(body)
        if code:
            raise ReadProblem(ErrorCode(code), text)
        return value


class MqlFreshness:
    """
    What ``Freshness`` is. The program has one at a time, and asks the account for its kind.
    """

    program: ClassVar[Program]

    def __init__(self, broker: Any, finder: Any, *, hedging: bool) -> None:
        del finder, hedging
        self._broker = broker
        self.program.call(Call.TRADED)

    def sends(self) -> None:
        self._look()
        self.program.call(Call.SENDS)

    def traded(self, entry: LedgerEntry, result: Result, now_us: int) -> None:
        self._look()
        self.program.call(Call.TRADED, pack_entry(entry.with_result(result)), now_us)

    def holds(self, new: New, now_us: int) -> bool:
        self._look()
        return bool(self.program.ask(Call.HOLDS, pack_message(new), now_us))

    def _look(self) -> None:
        self.program.look_at(self._broker)
        # An account without an exchange of its own answers for the terminal.
        self.program.process.set_account(margin_mode=self._broker.account().margin_mode)
