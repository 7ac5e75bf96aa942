"""A relay, a terminal, their broker and a client in one thread, with a fault at a named point.

All of the product's parts are real (``RelayCore``, ``Journal``, the wire's sessions,
``TerminalCore``, ``Exchange``); time is this file's, disks and connections are those of
``processes``. Realistic in what each part knows when it is stopped: a killed program knows what is
on its disk and nothing else, a connection loses what is on its way, also half of a frame, and a
power failure takes from both disks what was not synced. Not realistic: nothing happens at the same
time as something else.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable
from typing import Any, Final

import msgpack

from bridge.bus.bodies import read_trade
from bridge.bus.codec import decode
from bridge.bus.order_params import HaltParams
from bridge.journal import MemoryStore
from bridge.model.enums import AccountMarginMode
from bridge.model.symbol import SymbolSpec
from bridge.model.tick import MqlTick
from bridge.relay.order_commands import Moment
from bridge.sim.account import Account, account_record
from bridge.sim.exchange import Exchange
from bridge.sim.exchange_rules import BrokerRules
from bridge.sim.ledger import MemoryLedger
from bridge.sim.market import Market
from bridge.wire.spec import TradingState
from tests.failpoints.points import Fault, Strike
from tests.failpoints.processes import (
    ALIAS,
    LedgerDisk,
    LinkBetween,
    RelayProcess,
    TerminalProcess,
)

__all__ = ["ALIAS", "MS", "SECOND", "World"]

MS: Final = 1_000
SECOND: Final = 1_000_000
_START_US: Final = 1_000_000_000
_UTC_MSC: Final = 1_704_873_600_000
#: the trade server's clock minus this world's: Wednesday, 10:00
_SERVER_US: Final = 1_704_880_800_000_000 - _START_US
_VALID_FOR_MS: Final = 2_000
_DOWN_US: Final = 200 * MS


class Killed(BaseException):
    """
    The program that runs now ends here. Not an ``Exception``: nobody in it may catch it.
    """


class World:
    """
    ``strike``: the fault, and the point at which it happens; it happens once.

    ``rules`` are the broker's, ``store`` and ``ledger`` the disks.
    """

    def __init__(
        self,
        strike: Strike | None = None,
        *,
        netting: bool = False,
        rules: dict[str, Any] | None = None,
        store: MemoryStore | None = None,
        ledger: MemoryLedger | None = None,
    ) -> None:
        self.us = _START_US
        self.strike = strike
        #: every point that was reached, in its order
        self.reached: list[str] = []
        self.struck = False
        self._times: collections.Counter[str] = collections.Counter()
        #: points count only while it is on: a story begins behind its preparations
        self.recording = False
        mode = AccountMarginMode.RETAIL_NETTING if netting else AccountMarginMode.RETAIL_HEDGING
        self.account = Account(login=1001, server="Demo-Server", margin_mode=mode)
        self.market = Market([SymbolSpec(name="EURUSD"), SymbolSpec(name="GBPUSD")])
        self.exchange = Exchange(
            self.market,
            account=account_record(self.account, 100_000.0),
            rules=BrokerRules(**{"reply_ms": (20, 20), **(rules or {})}),
            server_clock_offset_us=_SERVER_US,
        )
        for symbol in ("EURUSD", "GBPUSD"):
            self.quote(1.1, 1.1001, symbol)
        self.store = MemoryStore() if store is None else store
        self.ledger = LedgerDisk() if ledger is None else ledger
        #: of every call of OrderSend, what it asked for
        self.calls: list[tuple[Any, ...]] = []
        #: what the relay published of ``trade/``, by place: nothing is published twice otherwise
        self.published: dict[tuple[int, int], bytes] = {}
        self.replies: dict[int, dict[str, Any]] = {}
        self._epochs = itertools.count(1)
        self._requests = itertools.count(1)
        self.relay: RelayProcess | None = None
        self.terminal: TerminalProcess | None = None
        self.link: LinkBetween | None = None
        self._relay_back_us = self._terminal_back_us = self.us

    # --- points -----------------------------------------------------------------------------

    def at(self, point: str, running: str = "") -> str:
        """
        Come to a point: what is to be written there is handed over and not on the disk.

        ``running``: whose program comes there; it does not go on when it is killed. Returns what
        ``past`` is to be called with.
        """
        if not self.recording:
            return ""
        self._times[point] += 1
        times = self._times[point]
        label = point if times == 1 else f"{point} ({times})"
        self.reached.append(label)
        if self._is_due(label, after=False):
            self._strike(running)
        return label

    def past(self, label: str, running: str = "") -> None:
        """
        What is written at this point is on the disk, and nobody knows it yet.
        """
        if self._is_due(label, after=True):
            self._strike(running)

    def here(self, point: str, running: str = "") -> None:
        """
        Come to a point at which nothing of its own is written: both disks sync what they have.
        """
        label = self.at(point, running)
        if self._is_due(label, after=True):
            self.store.commit()
            self._strike(running)

    def _is_due(self, label: str, *, after: bool) -> bool:
        strike = self.strike
        if self.struck or strike is None:
            return False
        return (strike.point, strike.after) == (label, after)

    def _strike(self, running: str) -> None:
        assert self.strike is not None
        self.struck = True
        fault = self.strike.fault
        if fault is Fault.CUT:
            self._cut()
            return
        dead = {
            Fault.KILL_RELAY: {"relay"},
            Fault.KILL_TERMINAL: {"terminal"},
        }.get(fault, {"relay", "terminal"})
        if "relay" in dead:
            self._kill_relay()
        if "terminal" in dead:
            self._kill_terminal(power=fault is Fault.POWER)
        if running in dead:
            raise Killed

    # --- faults -----------------------------------------------------------------------------

    def cut(self) -> None:
        """
        Cut the connection.
        """
        self._cut()

    def _cut(self) -> None:
        if self.link is not None:
            self.link.broken = True

    def _kill_relay(self) -> None:
        self._cut()
        if self.relay is not None:
            self.relay.alive = False
            self.relay = None
            self.store.crash()
            self._relay_back_us = self.us + _DOWN_US

    def _kill_terminal(self, *, power: bool) -> None:
        self._cut()
        if self.terminal is not None:
            self.terminal.alive = False
            self.terminal = None
            if power and isinstance(self.ledger, LedgerDisk):
                self.ledger.lose_power()
            self._terminal_back_us = self.us + _DOWN_US

    # --- time -------------------------------------------------------------------------------

    def now_us(self) -> int:
        """
        Be a clock of the relay.
        """
        return self.us

    def utc_msc(self) -> int:
        """
        Be a clock of the relay.
        """
        return _UTC_MSC + (self.us - _START_US) // MS

    def run(self, condition: Callable[[], bool], limit_us: int) -> bool:
        """
        Let the world go on until a condition holds; ``False`` when it does not in time.
        """
        until = self.us + limit_us
        quiet = 0
        while not condition():
            if self.us > until:
                return False
            quiet = 0 if self._turn() else quiet + 1
            # In a world in which nothing moves time may go faster.
            self.us += 5 * MS if quiet < 20 else 50 * MS
        return True

    def _turn(self) -> bool:
        moved = False
        self.exchange.advance(self.us)
        self._keep_up()
        for _ in range(200):
            again = self._guarded(self._relay_turn)
            again = self._guarded(self._terminal_turn) or again
            again = self._guarded(self._carry) or again
            moved = moved or again
            if not again:
                return moved
        raise AssertionError("the world does not come to rest")

    def _guarded(self, step: Callable[[], bool]) -> bool:
        try:
            return step()
        except Killed:
            return True

    def _keep_up(self) -> None:
        if self.link is not None and self.link.broken:
            link, self.link = self.link, None
            self._guarded(link.lost_at_relay)
            self._guarded(link.lost_at_terminal)
        if self.relay is None and self.us >= self._relay_back_us:
            self.relay = RelayProcess(self, next(self._epochs))
        if self.terminal is None and self.us >= self._terminal_back_us:
            self.terminal = TerminalProcess(self)
        ready = self.relay is not None and self.terminal is not None and self.link is None
        if ready and self.terminal is not None and self.terminal.core.may_connect(self.us):
            self._guarded(self._connect)

    def _connect(self) -> bool:
        assert self.relay is not None
        assert self.terminal is not None
        self.link = LinkBetween(self, self.relay, self.terminal)
        self.link.made()
        return True

    def _relay_turn(self) -> bool:
        return self.relay is not None and self.relay.turn()

    def _terminal_turn(self) -> bool:
        if self.terminal is not None:
            self.terminal.core.poll(self.us)
        return False

    def _carry(self) -> bool:
        return self.link is not None and not self.link.broken and self.link.carry()

    # --- the market and the client ---------------------------------------------------------------

    def quote(self, bid: float, ask: float, symbol: str = "EURUSD") -> None:
        """
        Let a tick come.
        """
        time_msc = (self.us + _SERVER_US) // MS
        self.market.history.append(symbol, MqlTick(time_msc, bid, ask))
        self.exchange.advance(self.us)

    def ask(self, name: str, method: str, params: dict[str, Any]) -> int:
        """
        Send a request under an id, or the same again; ``replies`` gets the answer by its number.
        """
        number = next(self._requests)
        body = msgpack.packb(
            {
                "id": number,
                "method": method,
                "params": params,
                "client_id": "c",
                "client_order_id": name,
                "terminal": ALIAS,
                "valid_for_ms": _VALID_FOR_MS,
            }
        )

        def receive() -> bool:
            if self.relay is not None:
                if method != "order_status":
                    self.here("the request is at the relay", "relay")
                self.relay.core.router.receive([b"c", b"", body])
                self.relay.core.after_turn()
            return True

        self._guarded(receive)
        return number

    def set_state(self, state: TradingState, told: list[Any]) -> None:
        """
        Halt the terminal or resume, as an administrator; ``told`` gets the answer.
        """

        def receive() -> bool:
            if self.relay is not None:
                moment = Moment.of(self)
                orders = self.relay.core.orders
                if state is TradingState.ACTIVE:
                    orders.resume(ALIAS, _Told(told), moment)
                else:
                    orders.halt(ALIAS, HaltParams(reason="a test"), _Told(told), moment)
                self.relay.core.after_turn()
            return True

        self._guarded(receive)

    # --- ports of the relay ------------------------------------------------------------------------

    def send_multipart(self, frames: list[bytes]) -> None:
        """
        Be the relay's socket of requests.
        """
        reply = decode(frames[-1], max_bytes=1_000_000)
        is_order = reply["ok"] and "outcome" in reply["result"]
        if is_order:
            self.here("the reply is about to be sent", "relay")
        self.replies[reply["id"]] = reply
        if is_order:
            self.here("the reply is sent", "relay")

    def send(self, message: bytes) -> None:
        """
        Be the relay's socket of topics.
        """
        topic, _, body = message.partition(b"\0")
        if topic != f"trade/{ALIAS}".encode():
            return
        told = read_trade(body)
        place, kind = (told.epoch, told.seq), told.kind
        self.here(f"the event {kind} is about to be published", "relay")
        assert self.published.setdefault(place, body) == body, "one number for two events"
        self.here(f"the event {kind} is published", "relay")


class _Told:
    # The reply of an administrator's request.
    def __init__(self, told: list[Any]) -> None:
        self._told = told

    def result(self, result: dict[str, Any]) -> None:
        self._told.append(result)

    def error(self, error: dict[str, Any]) -> None:
        self._told.append(error)
