"""The real relay's core on the virtual clock: orders, journal, events, and a client of it.

Everything of ``bridge.relay`` that decides; only ZeroMQ, the disk and the loop are left out. Its
journal survives ``kill``.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Self

import msgpack

from bridge.bus.bodies import TradeBody, read_trade
from bridge.bus.orders import HaltParams
from bridge.bus.requests import Method
from bridge.config import (
    Key,
    RelaySettings,
    SessionSettings,
    Settings,
    TerminalSettings,
    TradingSettings,
)
from bridge.journal import Journal, MemoryStore
from bridge.relay.checkpoints import Checkpoint
from bridge.relay.core import RelayCore, begin_epoch
from bridge.relay.order_commands import Moment
from tests.mql5.scenarios.virtual import KEY, RelayEnd

__all__ = ["ALIAS", "CLIENT", "SETTLE_MS", "TradingRelay"]

ALIAS: Final = "demo"
CLIENT: Final = "c"
SETTLE_MS: Final = 500
#: as often as the relay's process looks at its timers
_TICK_US: Final = 50_000
_WAY: Final = [b"client", b""]
_STREAMS: Final = ("EURUSD", "GBPUSD")
_NEWEST: Final = 2**62


class TradingRelay(RelayEnd):
    """
    A relay and what its one client asks and hears. A context manager.

    ``replies``: by the number of the request; ``told``: to the administrator.
    """

    def __init__(self, folder: Path, start_utc_msc: int) -> None:
        super().__init__(folder, start_utc_msc)
        self.replies: dict[int, dict[str, Any]] = {}
        self.told: list[dict[str, Any]] = []
        self._settings = _settings(folder)
        self._calls: deque[Callable[[], None]] = deque()
        self._store = MemoryStore(deliver=self._calls.append)
        self._checkpoint = Checkpoint(0, 0, [])
        self._next_tick_us = 0
        self._numbers = 0
        self._begun = False
        self.core: RelayCore

    # --- life -------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self.start()

    def start(self) -> Self:
        """
        Begin, with nothing but what was written.
        """
        epoch, self._checkpoint = begin_epoch(self._checkpoint, self.clock.utc_msc())
        journal = Journal(self._store)
        journal.load()
        self.core = RelayCore(
            self._settings,
            {ALIAS: Key(KEY)},
            journal,
            saved=self._checkpoint,
            epoch=epoch,
            publish=self,
            request=self,
            clock=self.clock,
            random_bytes=secrets.token_bytes,
            program="relay of a scenario",
            save_checkpoint=self._save,
        )
        self.links = self.core.links
        for symbol in _STREAMS:
            self.core.receive_subscription(b"\x01" + f"tick/{ALIAS}/{symbol}\0".encode())
        self.away = False
        self._next_tick_us = 0
        self._turn()
        return self

    def kill(self) -> None:
        """
        Be no more, until ``start``.
        """
        self.away = True
        self._calls.clear()
        self._store.crash()
        # Nobody is told anything any more by who was killed.
        self._link = None
        self.hang_up()

    def next_deadline(self) -> int:
        """
        Return when it wants to run again; behind what comes it runs anyway.
        """
        return self.now_us + _TICK_US if self.away else self._next_tick_us

    # --- the client ---------------------------------------------------------------------------

    def ask(self, method: Method, params: dict[str, Any], name: str = "", **more: Any) -> int:
        """
        Send a request; return its number.
        """
        self._numbers += 1
        request = {"id": self._numbers, "method": method.value, "params": params, **more}
        if name:
            request |= {"client_id": CLIENT, "client_order_id": name}
        if not self.away:
            self.core.router.receive([*_WAY, msgpack.packb(request)])
            self._turn()
        return self._numbers

    def bodies(self) -> list[bytes]:
        """
        Return what is kept of ``trade/demo``, from the first on.
        """
        return self._store.read_trade(ALIAS, 1, _NEWEST, _NEWEST)[1]

    def events(self) -> list[TradeBody]:
        """
        Return the same, read.
        """
        return [read_trade(body) for body in self.bodies()]

    def terminal(self) -> dict[str, Any]:
        """
        Return what the relay says of its terminal.
        """
        return self.core.terminals.get(ALIAS).describe()  # type: ignore[union-attr]  # it is there

    def halt(self, *, reducing: bool = False) -> None:
        """
        Halt trading, as an administrator.
        """
        params = HaltParams(reducing=reducing, reason="a test")
        self.core.orders.halt(ALIAS, params, _Told(self.told), Moment.of(self.clock))
        self._turn()

    def resume(self) -> None:
        """
        Let trading go on.
        """
        self.core.orders.resume(ALIAS, _Told(self.told), Moment.of(self.clock))
        self._turn()

    # --- its sockets ----------------------------------------------------------------------------

    def send(self, message: bytes, /) -> None:
        """
        Take what is published: the journal has what counts.
        """

    def send_multipart(self, frames: Sequence[bytes], /) -> None:
        """
        Take a reply.
        """
        reply = msgpack.unpackb(frames[-1])
        assert reply["id"] not in self.replies, "a request gets one reply"
        self.replies[reply["id"]] = reply

    # --- inside -----------------------------------------------------------------------------------

    def _tick(self) -> None:
        if self.away:
            return
        if self.now_us >= self._next_tick_us:
            self._next_tick_us = self.now_us + _TICK_US
            self.core.tick()
        self._turn()

    def _turn(self) -> None:
        self.core.after_turn()
        while self._calls:
            self._calls.popleft()()
            self.core.after_turn()

    def _save(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint


class _Told:
    # The reply to an administrator.

    def __init__(self, replies: list[dict[str, Any]]) -> None:
        self._replies = replies

    def result(self, result: dict[str, Any]) -> None:
        self._replies.append(result)

    def error(self, error: dict[str, Any]) -> None:
        raise AssertionError(error)


def _settings(folder: Path) -> Settings:
    trading = TradingSettings(enabled=True, settle_ms=SETTLE_MS, max_orders_per_minute=0)
    return Settings(
        relay=RelaySettings(data_dir=folder / "data", log_dir=folder / "logs"),
        terminals={ALIAS: TerminalSettings(key_file=folder / "key", trading=trading)},
        session=SessionSettings(heartbeat_interval_ms=500, silence_limit_ms=2_000),
    )
