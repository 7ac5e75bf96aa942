"""The EA's executor and ledger in place of the Python ones, inside of the Python trading desk.

``programs/executor.mq5`` has the real executor, request maker, evidence finder and ledger, and
a terminal whose broker is the test's exchange. The desk around it is that of
``bridge.sim.trading``: so its tests ask the EA what they ask the Python terminal. The desk's own
ledger gets what the EA's gets, because the tests look into it.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import msgpack

from bridge.model.enums import AccountMarginMode, AccountTradeMode
from bridge.model.trade import TradeRequest
from bridge.sim.exchange import Exchange
from bridge.sim.exchange_records import Sent, Transaction
from bridge.sim.ledger import Ledger, LedgerEntry, MemoryLedger
from bridge.sim.trading_commands import Commands
from bridge.sim.trading_executor import TradingLimits
from bridge.sim.trading_ports import Moment
from bridge.wire.messages import New, Result, pack_message, unpack_message
from bridge.wire.spec import Permission, Role, TradingState
from tests.mql5.broker_trade import TradeFaults, pack_transaction
from tests.mql5.host import EaProcess
from tests.mql5.link import Reader
from tests.mql5.scenarios.world import ACCOUNT

__all__ = ["LIMITS", "OVER", "TAG", "MqlExecutor", "Program"]

(
    OPEN, ANSWERS, SEND, OVER, RETURNED, KNOWN, RECORD, EPOCH, RETRY, LIMITS, CLOSE, TAG,
) = range(1, 13)  # fmt: skip
SERVER = "Demo-Server"
KEY = bytes(range(32)).hex()
#: longer than the EA waits for an answer
GIVES_UP_US = 61_000_000


class _Attempt(NamedTuple):
    # What the EA has sent, or is about to.
    sent: TradeRequest
    before: tuple[float, ...]


class Program:
    """
    The translated program with an executor in it. ``sends_async``: by OrderSendAsync.
    """

    def __init__(self, process: EaProcess, *, sends_async: bool) -> None:
        self.process = process
        self.sends_async = sends_async
        #: why its ledger takes no order, as of the last call
        self.problem = ""
        #: the last request that its terminal sent
        self.sent: Sent | None = None
        self.now_us = 0
        self._lines: list[str] = []
        self._aliases: list[Ledger] = []
        self._alias = ""
        self._lock: sqlite3.Connection | None = None
        process.on_event = self._take_event
        trade: Any = process.broker.trade
        trade._now_us = lambda: self.now_us
        # The desk gets the transactions, and lets the program hear of them.
        trade.transactions = list
        send = trade._send

        def watched(fields: Reader) -> Sent:
            sent: Sent = send(fields)
            self.sent = sent
            return sent

        trade._send = watched

    def forget(self) -> None:
        """
        Forget the last request that was sent.
        """
        self.sent = None

    def look_at(self, exchange: Exchange) -> None:
        """
        Let the terminal be one of this broker.
        """
        broker, account = self.process.broker, exchange.account()
        broker.market, broker.exchange, broker.trade.exchange = exchange.market, exchange, exchange
        broker.account = dataclasses.replace(
            ACCOUNT,
            margin_mode=AccountMarginMode(account.margin_mode),
            trade_mode=AccountTradeMode(account.trade_mode),
        )
        broker.trade.faults = TradeFaults()

    def alias_of(self, ledger: Ledger) -> str:
        """
        Return the name of the EA's ledger that stands for a Python one.
        """
        for number, known in enumerate(self._aliases):
            if known is ledger:
                return f"t{number}"
        self._aliases.append(ledger)
        return f"t{len(self._aliases) - 1}"

    @property
    def path(self) -> Path:
        """
        Return the file of the ledger that is open.
        """
        (path,) = (self.process.folder / "MQL5" / "Files").rglob(f"*{self._alias}-*.sqlite")
        return path

    def break_ledger(self, broken: bool) -> None:
        """
        Let nothing be written into the ledger that is open: somebody else writes, for ever.
        """
        if broken and self._lock is None:
            self._lock = sqlite3.connect(self.path, isolation_level=None)
            self._lock.execute("BEGIN IMMEDIATE")
        elif not broken and self._lock is not None:
            self._lock.close()
            self._lock = None

    def open(self, ledger: Ledger, login: int, role: Role) -> bytes:
        """
        Open the EA's ledger that stands for a Python one; return its incarnation.
        """
        self.break_ledger(False)
        self._alias = self.alias_of(ledger)
        words = (self._alias, login, SERVER, KEY, int(role), int(self.sends_async))
        (line,) = self.call(OPEN, *words)
        return bytes.fromhex(line[1:])

    def call(self, number: int, *words: object) -> list[str]:
        """
        Let the program make a call; return the lines that it printed.
        """
        return self.call_with_text(number, "|".join(map(str, words)))

    def call_with_text(self, number: int, text: str) -> list[str]:
        """
        Let the program make a call with words that have blanks in them.
        """
        self._lines.clear()
        self.process.chart_event(number, 0, 0.0, text)
        self.process.wait_for(lambda: self._lines and self._lines[-1].startswith("#"), 600)
        self.process.journal.clear()
        self.process.events.clear()
        *lines, last = self._lines
        self.problem = last[2:]
        assert not [line for line in lines if line.startswith("!")], lines
        return lines

    def hear(self, transaction: Transaction) -> None:
        """
        Let OnTradeTransaction come.
        """
        self.process.transaction(pack_transaction(transaction))

    def _take_event(self, event: dict[str, Any]) -> None:
        if event.get("event") == "print":
            self._lines.append(event["text"])


class MqlExecutor:
    """
    What ``bridge.sim.trading_executor.Executor`` is, made of calls to the program.
    """

    program: ClassVar[Program]

    def __init__(
        self,
        broker: Exchange,
        commands: Commands,
        maker: object,
        finder: object,
        results: object,
        *,
        incarnation: bytes,
        login: int,
        role: Role,
        limits: TradingLimits,
    ) -> None:
        del maker, finder, results
        self._commands = commands
        self._incarnation = incarnation
        self._entry: LedgerEntry | None = None
        self._at_us: int | None = None
        self.program.look_at(broker)
        self._theirs = self.program.open(commands.ledger, login, role)
        self._record = commands.record
        self._mirror(commands)
        self._heard: list[Transaction] = []
        self._listen(broker)
        self.limits = limits

    # --- what the desk calls ---------------------------------------------------------------

    @property
    def limits(self) -> TradingLimits:
        return self._limits

    @limits.setter
    def limits(self, limits: TradingLimits) -> None:
        self._limits = limits
        symbols = ",".join(sorted(limits.symbols))
        self.program.call(
            LIMITS,
            int(limits.read_only),
            int(limits.demo_only),
            repr(limits.max_volume),
            limits.max_positions,
            limits.max_per_minute,
            symbols,
        )

    @property
    def blocked_until_us(self) -> int | None:
        return self._at_us

    def begin(self, new: New, state: TradingState, login: int, moment: Moment) -> Result | None:
        result, _ = self._execute(ANSWERS, new, state, login, moment)
        return result

    def known(self, new: New, moment: Moment) -> Result | None:
        result, _ = self._execute(KNOWN, new, TradingState.ACTIVE, 0, moment)
        return result

    def send(self, new: New, state: TradingState, login: int, moment: Moment) -> Result | None:
        self.program.forget()
        result, attempt = self._execute(SEND, new, state, login, moment)
        if attempt is None:
            return result
        sent, before = attempt
        known = self._commands.find(new.command_id)
        if known is None:
            known = LedgerEntry(
                command_id=new.command_id,
                tag=new.tag,
                flags=new.flags,
                request=new.request,
                sent=sent,
                before=before,
                intent_msc=moment.server_msc,
            )
            # What OrderCheck refuses has no intent.
            self._commands.intend(known if result is None else known.with_result(result))
        if result is None:
            self._entry = known
            assert self.program.sent is not None
            self._at_us = self.program.sent.at_us
        return result

    def returned(self, moment: Moment) -> tuple[LedgerEntry, Result]:
        if self._entry is None:
            raise RuntimeError("nothing was sent")
        entry, self._entry, self._at_us = self._entry, None, None
        self._prepare(moment)
        self._heard += self._forward()
        connected = int(bool(moment.permissions & Permission.TERMINAL_CONNECTED))
        if self.program.call(OVER, moment.now_us, connected) != ["=yes"]:
            # The tests' trade server says sooner that it will not answer than the EA's deadline.
            assert self.program.sends_async
            assert self.program.sent is not None
            assert self.program.sent.result is None
            assert ["=yes"] == self.program.call(OVER, moment.now_us + GIVES_UP_US, connected)
        (line,) = self.program.call(RETURNED, *self._words(moment))
        result = self._ours(line)
        self._record(entry.with_result(result))
        return entry, result

    # --- inside ------------------------------------------------------------------------------

    def _execute(
        self, number: int, new: New, state: TradingState, login: int, moment: Moment
    ) -> tuple[Result | None, _Attempt | None]:
        self._prepare(moment)
        if new.incarnation == self._incarnation:
            new = dataclasses.replace(new, incarnation=self._theirs)
        body = pack_message(new).hex()
        lines = self.program.call(number, *self._words(moment), body, int(state), login)
        result: Result | None = None
        attempt: _Attempt | None = None
        for line in lines:
            if line.startswith("="):
                result = self._ours(line)
            else:
                sent, before = msgpack.unpackb(bytes.fromhex(line[1:]))
                request = TradeRequest(**dict(zip(_SENT, sent, strict=True)))
                attempt = _Attempt(request, tuple(before))
        return result, attempt

    def _prepare(self, moment: Moment) -> None:
        self.program.now_us = moment.now_us
        self._break()

    def _words(self, moment: Moment) -> tuple[int, ...]:
        return (
            moment.now_us,
            moment.server_msc,
            moment.utc_offset_min,
            int(moment.permissions),
            moment.clock_offset_us,
        )

    def _ours(self, line: str) -> Result:
        result = unpack_message(Result, bytes.fromhex(line[1:]))
        assert self._theirs == result.incarnation
        return dataclasses.replace(result, incarnation=self._incarnation)

    def _mirror(self, commands: Commands) -> None:
        # What the desk writes goes into the EA's ledger as well.
        record, commit, retry = commands.record, commands.commit_epoch, commands.retry

        def both_record(entry: LedgerEntry) -> None:
            record(entry)
            assert entry.result is not None
            body = dataclasses.replace(entry.result, incarnation=self._theirs)
            self._break()
            self.program.call(RECORD, pack_message(body).hex())

        def both_commit(epoch: int) -> None:
            commit(epoch)
            self._break()
            self.program.call(EPOCH, epoch)

        def both_retry(now_us: int) -> None:
            retry(now_us)
            if self.program.problem:
                self._break()
                self.program.call(RETRY, now_us)

        desk: Any = commands
        desk.record, desk.commit_epoch, desk.retry = both_record, both_commit, both_retry
        if commands.ledger.relay_epoch_seen:
            self.program.call(EPOCH, commands.ledger.relay_epoch_seen)

    def _break(self) -> None:
        self.program.break_ledger(
            isinstance(self._commands.ledger, MemoryLedger) and self._commands.ledger.broken
        )

    def _listen(self, broker: Exchange) -> None:
        # The desk and the EA hear of the same transactions.
        of_broker: Any = broker
        self._take: Callable[[], list[Transaction]] = getattr(
            of_broker.transactions, "take", of_broker.transactions
        )

        def transactions() -> list[Transaction]:
            heard, self._heard = self._heard, []
            return heard + self._forward()

        of_broker.transactions = transactions
        of_broker.transactions.take = self._take

    def _forward(self) -> list[Transaction]:
        heard = self._take()
        for transaction in heard:
            self.program.hear(transaction)
        return heard


_SENT = [field.name for field in dataclasses.fields(TradeRequest)]
