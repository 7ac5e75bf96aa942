"""The EA's ledger in place of the Python one: the translated program, its calls and its files."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from pathlib import Path
from typing import Any, ClassVar

import msgpack

from bridge.exceptions import ConfigError
from bridge.model.symbol import spec_for
from bridge.model.trade import TradeRequest, asdict
from bridge.sim.ledger import LedgerEntry, LedgerError
from bridge.sim.market import Market
from bridge.sim.terminal import Account
from bridge.wire.messages import Result, pack_message, unpack_message
from bridge.wire.spec import TradingState
from bridge.wire.structures import ORDER_REQUEST
from tests.mql5.host import EaProcess
from tests.mql5.printed import values

__all__ = ["NEXT", "OPEN", "SEE_EPOCH", "TRANSIENT", "Folder", "MqlLedger", "Program", "number"]

OPEN, CLOSE, NEXT, EPOCH, STATE, FIND, FIND_TAG, FIND_ORDER = range(1, 9)
UNRESOLVED, COUNT, WRITE, SAME, TRANSIENT, SEE_EPOCH = range(9, 15)
SLOTS = 4


class Program:
    """
    The translated program with its ledgers, in a folder; it may be killed and started again.
    """

    def __init__(self, binary: Path, folder: Path, **options: object) -> None:
        self.binary = binary
        self.folder = folder
        self.options = options
        self.lines: list[str] = []
        self.start()

    def start(self) -> None:
        """
        Begin a life of it.
        """
        self.free = set(range(SLOTS))
        self.process = EaProcess(
            self.binary,
            market=Market([spec_for("EURUSD")]),
            account=Account(login=77, server="Demo"),
            clock="virtual",
            folder=self.folder,
            symbol="EURUSD",
            options=self.options,
        )
        self.process.start()
        self.process.on_event = self.take_event
        self.process.wait_until_initialized()

    def close(self) -> None:
        """
        End it.
        """
        self.process.close()

    def take_event(self, event: dict[str, Any]) -> None:
        """
        Keep what it prints.
        """
        if event.get("event") == "print":
            self.lines.append(event["text"])

    @property
    def bridge(self) -> Path:
        """
        The folder of the ledgers.
        """
        return self.folder / "MQL5" / "Files" / "Bridge"

    def path(self, alias: str) -> Path:
        """
        Return the file of an alias.
        """
        return self.bridge / f"{alias}-77-Demo.sqlite"

    def call(
        self, number: int, slot: int, text: str = ""
    ) -> tuple[list[bytes], str, str, list[str]]:
        """
        Let the program make a call; return what it gave: values, sentences and the last line.
        """
        self.lines.clear()
        self.process.chart_event(number, slot, 0.0, text)
        self.process.wait_for(lambda: self.lines and self.lines[-1].startswith("#"), 120)
        found = values(self.lines)
        problem = durability = ""
        for line in self.lines:
            if line.startswith("?"):
                problem = line[1:]
            elif line.startswith("~"):
                durability = line[1:]
        self.process.journal.clear()
        self.process.events.clear()
        return found, problem, durability, self.lines[-1][1:].split()


def packed(made: LedgerEntry) -> bytes:
    """
    Return an entry as the program reads it.
    """
    data: bytes = msgpack.packb(
        [
            made.command_id,
            made.content,
            msgpack.packb([list(asdict(made.sent).values()), list(made.before)]),
            made.intent_msc,
            None if made.result is None else pack_message(made.result),
        ]
    )
    return data


def unpacked(data: bytes) -> LedgerEntry:
    """
    Return the entry that the program printed.
    """
    command_id, content, attempt, intent_msc, result = msgpack.unpackb(data)
    tag, flags, request = msgpack.unpackb(content)
    sent, before = msgpack.unpackb(attempt)
    return LedgerEntry(
        command_id=command_id,
        tag=tag,
        flags=flags,
        request=ORDER_REQUEST.check(request, "request"),
        sent=TradeRequest(**dict(zip(asdict(TradeRequest(action=0)), sent, strict=True))),
        before=tuple(before),
        intent_msc=intent_msc,
        result=None if result is None else unpack_message(Result, result),
    )


def number(value: int) -> str:
    """
    Return a number as the program reads it.
    """
    return (value % 2**64).to_bytes(8, "big").hex()


class MqlLedger:
    """
    What ``SqliteLedger`` is, made of calls to the program.
    """

    program: ClassVar[Program]

    def __init__(self, path: Path) -> None:
        self.path = path
        self.slot = self.program.free.pop()
        self._raw: sqlite3.Connection | None = None
        alias = path.name.removesuffix("-77-Demo.sqlite")
        assert path == self.program.path(alias)
        try:
            self._call(OPEN, alias, error=ConfigError)
        except ConfigError:
            self.program.free.add(self.slot)
            raise

    def close(self) -> None:
        if self._raw is not None:
            self._raw.close()
        self._call(CLOSE)
        self.program.free.add(self.slot)

    @property
    def _database(self) -> sqlite3.Connection:
        if self._raw is None:
            self._raw = sqlite3.connect(self.path, isolation_level=None)
        return self._raw

    def commit_counter(self, connection_counter: int) -> None:
        assert self.connection_counter + 1 == connection_counter
        self._call(NEXT)
        assert self.connection_counter == connection_counter

    def commit_epoch(self, relay_epoch: int) -> None:
        self._call(EPOCH, number(relay_epoch))

    def commit_state(self, state: TradingState) -> None:
        self._call(STATE, number(int(state)))

    def find(self, command_id: str) -> LedgerEntry | None:
        return self._one(FIND, command_id)

    def find_tag(self, tag: str) -> LedgerEntry | None:
        return self._one(FIND_TAG, tag)

    def find_order(self, order: int) -> LedgerEntry | None:
        return self._one(FIND_ORDER, number(order))

    def unresolved(self) -> list[LedgerEntry]:
        return [unpacked(data) for data in self._call(UNRESOLVED)]

    def count_since(self, server_msc: int) -> int:
        self._call(COUNT, number(server_msc))
        return self._number

    def write(self, made: LedgerEntry) -> None:
        self._call(WRITE, packed(made).hex())

    def same(self, made: LedgerEntry) -> bool:
        return self.tried(SAME, packed(made).hex())

    def _one(self, call: int, text: str) -> LedgerEntry | None:
        found = self._call(call, text)
        return unpacked(found[0]) if found else None

    def tried(self, call: int, text: str = "") -> bool:
        """
        Make a call; return whether it was done.
        """
        with contextlib.suppress(LedgerError):
            self._call(call, text)
            return True
        return False

    def _call(self, call: int, text: str = "", error: type[Exception] = LedgerError) -> list[bytes]:
        found, self.problem, self.durability, state = self.program.call(call, self.slot, text)
        done, durable, counter, epoch, trading, number, is_open = map(int, state[:7])
        self.durable = bool(durable)
        self.connection_counter = counter
        self.relay_epoch_seen = epoch
        self.trading_state = TradingState(trading) if trading <= 2 else trading
        self.incarnation = bytes.fromhex(state[7])
        self.is_open = bool(is_open)
        self._number = number
        if not done:
            raise error(self.problem)
        return found


class Folder:
    """
    Stands for a folder of a test: its files are the program's.
    """

    numbers = itertools.count(1)

    def __init__(self, program: Program) -> None:
        self._program = program
        self._number = next(self.numbers)

    def __truediv__(self, name: str) -> Path:
        self._program.bridge.mkdir(parents=True, exist_ok=True)
        return self._program.path(f"{Path(name).stem}{self._number}")
