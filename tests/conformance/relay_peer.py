"""The relay as a side under test: its core, disk, clients and subscribers, without sockets."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from pathlib import Path
from typing import Any, Final

import msgpack
from pydantic import BaseModel

from bridge.bus.bodies import (
    read_account,
    read_position,
    read_relay,
    read_status,
    read_tick,
    read_trade,
)
from bridge.bus.requests import TRADING_METHODS, ControlMethod
from bridge.bus.topics import exact, split_message
from bridge.config import (
    Key,
    LimitSettings,
    SessionSettings,
    Settings,
    TerminalSettings,
    TickSettings,
    TradingSettings,
)
from bridge.exceptions import JournalError
from bridge.journal import Journal, MemoryStore
from bridge.relay.checkpoints import Checkpoint
from bridge.relay.control import Control
from bridge.relay.core import RelayCore, begin_epoch
from bridge.relay.links import Link
from tests.conformance.speech import KEYS
from tests.conformance.values import SyntaxProblem

__all__ = ["RelayPeer"]

#: Wednesday, 2024-01-10, 08:00 UTC; the trade server is two hours ahead.
_UTC_MSC: Final = 1_704_873_600_000
_OFFSET_MSC: Final = 120 * 60_000
_START_US: Final = 2_000_000_000
_QUIET_ROUNDS: Final = 3
_ALIASES: Final = ("demo", "second")
_TOKEN: Final = "the control token"  # noqa: S105  # of no relay but this one
_READERS: Final[dict[str, Any]] = {
    "account": read_account,
    "position": read_position,
    "relay": read_relay,
    "status": read_status,
    "tick": read_tick,
    "trade": read_trade,
}
#: Where a name of ``= settings`` belongs.
_SECTIONS: Final[dict[str, type[BaseModel]]] = {
    "trading": TradingSettings,
    "terminal": TerminalSettings,
    "ticks": TickSettings,
    "limits": LimitSettings,
    "session": SessionSettings,
}


class _Transport(asyncio.Transport):
    """
    A connection that takes everything at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closing = False

    def write(self, data: Any) -> None:
        self.written += data

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True


class _Publish:
    def __init__(self, publish: dict[str, list[bytes]]) -> None:
        self._publish = publish

    def send(self, message: bytes) -> None:
        topic, body = split_message(message)
        if topic in self._publish:
            self._publish[topic].append(body)


class _Request:
    # Replies by the label that their request went in with.
    def __init__(self, replies: dict[str, list[Any]]) -> None:
        self._replies = replies

    def send_multipart(self, frames: Any) -> None:
        self._replies.setdefault(frames[0].decode(), []).append(msgpack.unpackb(frames[-1]))


class _Disk(MemoryStore):
    """
    A disk that may be full but for the room that is kept for what ends or reduces.
    """

    full = False

    @property
    def problem(self) -> JournalError | None:
        return JournalError("the disk is full", writable=True) if self.full else self.fail


class RelayPeer:
    """
    Implements ``ports.Peer``.

    ``core`` makes the relay: a test that takes a mechanism out gives another.
    """

    def __init__(self, core: type[RelayCore] = RelayCore) -> None:
        self.now_us = _START_US
        self._make = core
        self._store = _Disk()
        self._slow = False
        self._given: dict[str, dict[str, Any]] = {name: {} for name in _SECTIONS}
        self._given["trading"]["enabled"] = True
        self._saved = Checkpoint(0, 0, [])
        self._random = itertools.count(1)
        self._core: RelayCore | None = None
        self._control: Control | None = None
        self._links: dict[int, tuple[Link, _Transport]] = {}
        self._closed: set[Link] = set()
        self._replies: dict[str, list[Any]] = {}
        self._published: dict[str, list[bytes]] = {}
        self._wanted: dict[str, bool] = {}

    # --- the port ---------------------------------------------------------------------------

    @property
    def utc_msc(self) -> int:
        return _UTC_MSC + (self.now_us - _START_US) // 1000

    @property
    def server_msc(self) -> int:
        return self.utc_msc + _OFFSET_MSC

    def connect(self, number: int) -> bool:
        link, transport = self._relay().links.new_link(), _Transport()
        self._links[number] = (link, transport)
        link.connection_made(transport)
        self._run()
        return True

    def send(self, number: int, data: bytes) -> None:
        link, transport = self._links[number]
        if not transport.closing:
            link.get_buffer(-1)[: len(data)] = data
            link.buffer_updated(len(data))
            self._run()

    def receive(self, number: int) -> bytes:
        transport = self._links[number][1]
        data, transport.written = bytes(transport.written), bytearray()
        return data

    def is_open(self, number: int) -> bool:
        return not self._links[number][1].closing

    def cut(self, number: int) -> None:
        link, transport = self._links[number]
        transport.closing = True
        if link not in self._closed:
            self._closed.add(link)
            link.connection_lost(None)
        self._run()

    def advance(self, until_us: int) -> None:
        while self.now_us < until_us:
            core = self._core
            if core is None:
                self.now_us = until_us
                return
            self.now_us = min(until_us, max(self.now_us + 1, core.next_deadline()))
            core.tick()
            self._run()

    def command(self, name: str, values: dict[str, Any]) -> None:
        getattr(self, f"_do_{name}")(**values)
        self._run()

    def question(self, name: str, values: dict[str, Any]) -> str:
        raise NotImplementedError

    def ask(self, label: str, request: dict[str, Any]) -> None:
        core = self._relay()
        method = request["method"]
        admin = request.pop("admin", False) or method in set(ControlMethod) - {"ping", "status"}
        whole = {"v": 1, "id": label, "client_id": "a", "terminal": "demo", **request}
        del whole["v"]
        if method in TRADING_METHODS:
            whole.setdefault("client_order_id", label)
        if admin:
            whole["token"] = _TOKEN
        frames = [label.encode(), b"", msgpack.packb(whole)]
        if admin and self._control is not None:
            self._control.receive(frames)
        else:
            core.router.receive(frames)
        self._run()

    def reply(self, label: str) -> dict[str, Any] | None:
        waiting = self._replies.get(label)
        return waiting.pop(0) if waiting else None

    def subscribe(self, topic: str, *, wanted: bool = True) -> None:
        core = self._relay()
        self._published.setdefault(topic, [])
        self._wanted[topic] = wanted
        core.receive_subscription(bytes([wanted]) + exact(topic))
        self._run()

    def published(self, topic: str) -> list[Any]:
        bodies = self._published.get(topic, [])
        found = [_READERS[topic.partition("/")[0]](body)._asdict() for body in bodies]
        bodies.clear()
        return found

    # --- the clock ----------------------------------------------------------------------------

    class _Clock:
        def __init__(self, peer: RelayPeer) -> None:
            self._peer = peer

        def now_us(self) -> int:
            return self._peer.now_us

        def utc_msc(self) -> int:
            return self._peer.utc_msc

    # --- inside -------------------------------------------------------------------------------

    def _relay(self) -> RelayCore:
        if self._core is None:
            self._do_start()
        assert self._core is not None
        return self._core

    def _settings(self) -> Settings:
        given = self._given
        terminals = {}
        for alias in _ALIASES:
            pins = given["terminal"] if alias == "demo" else {}
            terminals[alias] = TerminalSettings(
                key_file=Path(f"{alias}.key"), trading=TradingSettings(**given["trading"]), **pins
            )
        return Settings(
            terminals=terminals,
            ticks=TickSettings(**given["ticks"]),
            limits=LimitSettings(**given["limits"]),
            session=SessionSettings(**given["session"]),
        )

    def _random_bytes(self, size: int) -> bytes:
        return hashlib.shake_256(f"relay {next(self._random)}".encode()).digest(size)

    def _run(self) -> None:
        core = self._core
        if core is None:
            return
        quiet = 0
        while quiet < _QUIET_ROUNDS:
            core.after_turn()
            if not self._slow:
                self._store.flush()
            moved = False
            for link, transport in self._links.values():
                if transport.closing and link not in self._closed:
                    self._closed.add(link)
                    link.connection_lost(None)
                    moved = True
            quiet = 0 if moved else quiet + 1

    # --- what = says ----------------------------------------------------------------------------

    def _do_settings(self, **values: Any) -> None:
        if self._core is not None:
            raise SyntaxProblem("settings: the relay runs already")
        for name, value in values.items():
            section = next((s for s, m in _SECTIONS.items() if name in m.model_fields), None)
            if section is None:
                raise SyntaxProblem(f"settings {name}: there is no such setting")
            self._given[section][name] = value

    def _do_start(self) -> None:
        if self._core is not None:
            raise SyntaxProblem("start: the relay runs already")
        epoch, saved = begin_epoch(self._saved, self.utc_msc)
        old, self._saved = self._saved, saved
        journal = Journal(self._store)
        journal.load()
        clock = self._Clock(self)
        request = _Request(self._replies)
        core = self._core = self._make(
            self._settings(),
            {alias: Key(KEYS[alias]) for alias in _ALIASES},
            journal,
            saved=old,
            epoch=epoch,
            publish=_Publish(self._published),
            request=request,
            clock=clock,
            random_bytes=self._random_bytes,
            program="relay",
            save_checkpoint=self._save,
        )
        self._control = Control(
            request, _TOKEN, core.status, core.pong, lambda _: None, core.orders, clock
        )
        core.tick()
        for topic, wanted in self._wanted.items():
            # Subscribers come back by themselves.
            if wanted:
                core.receive_subscription(b"\x01" + exact(topic))

    def _save(self, checkpoint: Checkpoint) -> None:
        self._saved = checkpoint

    def _do_kill(self) -> None:
        # What is not on the disk is lost, and nobody is told.
        self._core = self._control = None
        self._store.crash()
        for link, transport in self._links.values():
            transport.closing = True
            self._closed.add(link)
        self._slow = False

    def _do_stop(self) -> None:
        core = self._relay()
        core.links.log_out()
        core.links.abort()
        self._run()
        core.stop()
        self._saved = core.checkpoint(last=True)
        self._core = self._control = None

    def _do_disk(self, *, fails: bool = False, full: bool = False, slow: bool = False) -> None:
        self._slow = slow
        self._store.full = full
        self._store.fail = JournalError("the disk does not answer") if fails else None
