"""The relay as a whole: the only place where sockets, clocks and the loop are made.

Start: lock the data folder, read the checkpoint, write the new epoch to disk, bind
everything, then serve. Stop: log terminals out, write the cursors, flush, unlock. A kill
at any point is survived: the start is the recovery.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import secrets
import signal
import sys
import threading
from collections.abc import Callable
from importlib import metadata
from typing import Any, Final, NamedTuple

import zmq

from bridge.bus.requests import BUS_VERSION
from bridge.bus.topics import parse_topic
from bridge.config import Settings, load_key, split_endpoint
from bridge.exceptions import ConfigError, EndpointInUse, JournalError
from bridge.journal import Journal, MemoryStore
from bridge.journal.sqlite import SqliteStore
from bridge.logs import get_logger
from bridge.relay.checkpoints import Checkpoint, CheckpointFile
from bridge.relay.clock import now_us, utc_msc
from bridge.relay.control import Control, write_control_file
from bridge.relay.held_files import remove_file
from bridge.relay.links import Links
from bridge.relay.lock import FolderLock
from bridge.relay.order_commands import Moment
from bridge.relay.order_requests import OrderRequests
from bridge.relay.publisher import Publisher
from bridge.relay.registry import Terminals
from bridge.relay.rings import RingBudget
from bridge.relay.router import Router
from bridge.relay.streams import StreamState
from bridge.relay.terminals import Terminal
from bridge.relay.trading import TerminalTrading
from bridge.relay.turn import Turn
from bridge.wire.spec import CAPABILITIES, VERSION, Capability

__all__ = ["Endpoints", "Relay", "run_relay"]

log = get_logger(__name__)

_TICK_S: Final = 0.05
#: The epochs that may be given to streams before the next checkpoint is on disk. Those of
#: streams that a killed relay could not write down must not be given to others.
_EPOCHS_AHEAD: Final = 10_000
_TAILS_EVERY_US: Final = 1_000_000
#: RFC 7/MDP brokers close idle peers in seconds; here a peer may be idle but not gone
_HEARTBEAT_IVL_MS: Final = 1_000
_HEARTBEAT_TIMEOUT_MS: Final = 4_000
_HANDSHAKE_IVL_MS: Final = 2_000
_SUBSCRIPTION_MAX: Final = 1_024
_LINGER_MS: Final = 200
#: the journal forgets a part of what is old each time
_EXPIRE_EVERY_US: Final = 60_000_000
#: at the end: so long for what the journal still has to write, and the replies that wait for it
_LAST_WRITES_S: Final = 2.0
#: the number of this parameter in glibc's malloc.h
_M_MXFAST: Final = 1


class Endpoints(NamedTuple):
    """
    Where the relay listens, free ports resolved.
    """

    terminal: str
    request: str
    publish: str
    control: str


def program_name() -> str:
    """
    Return name and version as they are told to peers.
    """
    try:
        version = metadata.version("mt5-zmq-bridge")
    except metadata.PackageNotFoundError:
        version = "0+source"
    return f"mt5-zmq-bridge {version}"


class Relay:
    """
    One relay. ``run`` serves until ``stop`` is called, from any thread.

    Raises (from the constructor):
        ConfigError: no terminal is configured, or a key cannot be read.
    """

    def __init__(
        self, settings: Settings, *, on_ready: Callable[[Endpoints], None] | None = None
    ) -> None:
        if not settings.terminals:
            raise ConfigError(
                "no terminal is configured",
                key="terminals",
                hint="'bridge init' writes a configuration with one, and its key",
            )
        self.settings = settings
        self.endpoints: Endpoints | None = None
        self._keys = {alias: load_key(pins.key_file) for alias, pins in settings.terminals.items()}
        self._on_ready = on_ready
        self._folder = settings.relay.data_dir
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop_event: asyncio.Event | None = None
        self._stop_reason = ""
        self._lock = threading.Lock()
        self._started_us = 0
        self._epoch = 0
        self._last_epoch = 0
        self._next_tails_us = 0
        self._next_checkpoint_us = 0
        self._checkpoint_wanted = False
        self._next_expire_us = 0
        self._tradings: dict[str, TerminalTrading] = {}

    # --- life -----------------------------------------------------------------------------

    def run(self) -> None:
        """
        Serve until stopped.

        Raises:
            DataFolderInUse: another relay has the data folder.
            EndpointInUse: a port is taken.
            ConfigError: the data folder cannot be written.
        """
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._run())

    def stop(self, reason: str) -> None:
        """
        Ask the relay to end; returns at once. May be called from any thread.
        """
        with self._lock:
            if not self._stop_reason:
                self._stop_reason = reason
            loop, event = self._loop, self._stop_event
        if loop is not None and event is not None:
            # The loop may have ended in between: then there is nothing to stop.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(event.set)

    async def _run(self) -> None:
        event = asyncio.Event()
        asyncio.get_running_loop().set_exception_handler(_log_defect)
        with self._lock:
            self._loop = asyncio.get_running_loop()
            self._stop_event = event
            if self._stop_reason:
                return
        lock = FolderLock(self._folder)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except OSError as error:
            raise ConfigError(
                f"the data folder cannot be used: {error.strerror}",
                key="relay.data_dir",
                hint=str(self._folder),
            ) from error
        try:
            await self._serve(event)
        finally:
            lock.release()

    async def _serve(self, event: asyncio.Event) -> None:
        with contextlib.ExitStack() as stack:
            files = CheckpointFile(self._folder)
            stack.callback(files.close, None)
            saved = self._begin_epoch(files)
            context = zmq.Context()
            stack.callback(context.term)
            turn = Turn(asyncio.get_running_loop())
            self._journal = self._open_journal(turn)
            stack.callback(self._journal.close)
            await self._open(saved, context, turn, stack)
            while not event.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_TICK_S):
                        await event.wait()
                self._tick(files)
                turn.request()
            log.info("relay stopping", reason=self._stop_reason)
            await self._links.stop()
            await self._last_writes()
            self._publisher.publish_tails(utc_msc())
            files.close(self._checkpoint(epochs_ahead=0))
        log.info("relay stopped")

    def _begin_epoch(self, files: CheckpointFile) -> Checkpoint:
        # On disk before anything is served with it: an epoch is never used twice.
        saved = files.load()
        self._epoch = self._last_epoch = max(saved.epoch + 1, utc_msc() // 1000)
        try:
            files.save_now(saved._replace(epoch=self._epoch + _EPOCHS_AHEAD))
        except OSError as error:
            raise ConfigError(
                f"the data folder cannot be written: {error.strerror}",
                key="relay.data_dir",
                hint=str(self._folder),
            ) from error
        return saved

    async def _open(
        self,
        saved: Checkpoint,
        context: zmq.Context[zmq.Socket[bytes]],
        turn: Turn,
        stack: contextlib.ExitStack,
    ) -> None:
        publish, publish_at = self._bind(context, zmq.XPUB, "publish", stack)
        request, request_at = self._bind(context, zmq.ROUTER, "request", stack)
        control, control_at = self._bind(context, zmq.ROUTER, "control", stack)
        self._publisher = Publisher(publish, self._epoch)
        self._budget = RingBudget(self.settings.ticks.ring_bytes_total)
        self._terminals = self._make_terminals(saved)
        capabilities = CAPABILITIES | Capability.TRADE | Capability.EVENTS
        if self._journal.healthy is not None:
            # HALT still has to pass; events could not be kept.
            capabilities &= ~Capability.EVENTS
        self._links = Links(
            self._terminals, self.settings, self._epoch, program_name(), int(capabilities)
        )
        self._links.turn = turn.request
        self._links.published = turn.published
        orders = OrderRequests(self._journal, self._tradings)
        self._router = Router(
            request,
            self._terminals,
            self._publisher,
            self.settings,
            self.status,
            self.pong,
            orders,
        )
        token = secrets.token_urlsafe(24)
        controller = Control(control, token, self.status, self.pong, self.stop, orders)
        stack.callback(turn.close)
        turn.add(control, controller.read)
        turn.add(publish, self._read_subscriptions)
        turn.add(request, self._router.read)
        turn.after(self._after_turn)
        self._started_us = now_us()
        host, port = split_endpoint(self.settings.endpoints.terminal)
        port = await self._links.listen(host, port)
        endpoints = Endpoints(f"tcp://{host}:{port}", request_at, publish_at, control_at)
        self.endpoints = endpoints
        control_file = write_control_file(self._folder, token, endpoints._asdict())
        stack.callback(remove_file, control_file)
        log.info("relay ready", program=program_name(), **endpoints._asdict())
        if self._on_ready is not None:
            self._on_ready(endpoints)

    # --- what the parts need -----------------------------------------------------------------

    def subscribed(self, topic: bytes) -> None:
        """
        The first subscriber of a topic: an exact tick topic starts its stream.
        """
        symbol = self._symbol_of(topic)
        if symbol is not None:
            symbol[0].subscribe(symbol[1])

    def unsubscribed(self, topic: bytes) -> None:
        """
        The last subscriber of a topic left.
        """
        symbol = self._symbol_of(topic)
        if symbol is not None:
            symbol[0].unsubscribe(symbol[1], now_us())

    def pong(self) -> dict[str, Any]:
        """
        Return the result of ``ping``.
        """
        return {
            "version": VERSION,
            "bus_version": BUS_VERSION,
            "program": program_name(),
            "time_utc_msc": utc_msc(),
            "relay_epoch": self._epoch,
            "publish": self.endpoints.publish if self.endpoints else "",
        }

    def status(self) -> dict[str, Any]:
        """
        Return the result of ``status``.
        """
        now = now_us()
        streams = [
            {
                "topic": stream.topic,
                "state": stream.state.value,
                "epoch": stream.epoch,
                "seq": stream.newest,
                "ticks": stream.ticks,
                "oldest_seq": stream.ring.oldest,
                "subscribed": stream.subscribed,
                "error": "" if stream.error is None else stream.error.message,
            }
            for terminal in self._terminals
            for stream in terminal.streams.values()
        ]
        return {
            **self.pong(),
            "uptime_ms": (now - self._started_us) // 1000,
            "endpoints": self.endpoints._asdict() if self.endpoints else {},
            "data_dir": str(self._folder),
            "terminals": [terminal.describe() for terminal in self._terminals],
            "streams": streams,
            "published": self._publisher.published,
            "requests": self._router.requests,
            "request_errors": self._router.errors,
            "ring_bytes": self._budget.used,
            "refused_connections": self._links.refused,
            "trading": [
                {"alias": alias, **trading.orders.describe()}
                for alias, trading in self._tradings.items()
            ],
            "journal": self._journal_status(),
        }

    # --- inside -------------------------------------------------------------------------------

    def _open_journal(self, turn: Turn) -> Journal:
        # In doubt there are no orders, but ticks: the relay is there, and says what to do.
        loop = asyncio.get_running_loop()

        def deliver(call: Callable[[], None]) -> None:
            def run() -> None:
                call()
                turn.request()

            loop.call_soon_threadsafe(run)

        settings = self.settings
        days = settings.journal.retention_days
        journal = Journal(SqliteStore(settings.journal_file, deliver=deliver), days)
        try:
            journal.load()
        except JournalError as error:
            log.error(  # noqa: TRY400 - the reason says it all
                "no orders: the journal cannot be used",
                file=str(settings.journal_file),
                reason=error.problem,
                hint=error.hint,
            )
            nothing = MemoryStore(deliver=deliver)
            nothing.fail = error
            journal = Journal(nothing, days)
        return journal

    def _journal_status(self) -> dict[str, Any]:
        problem = self._journal.healthy
        return {
            "healthy": problem is None,
            "problem": "" if problem is None else problem.problem,
            "hint": "" if problem is None else problem.hint,
            "path": str(self.settings.journal_file),
            "writes_pending": self._journal.pending,
        }

    async def _last_writes(self) -> None:
        # Verdicts that are on their way to disk are still told.
        until = now_us() + int(_LAST_WRITES_S * 1e6)
        while self._journal.pending and now_us() < until:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.005)
        self._poll_tradings()
        for trading in self._tradings.values():
            trading.orders.stop()

    def _make_terminals(self, saved: Checkpoint) -> Terminals:
        now = now_us()
        terminals = {
            alias: Terminal(
                alias,
                self._keys[alias],
                pins,
                self.settings,
                self._publisher,
                self._budget,
                self._mint_epoch,
                self._want_checkpoint,
            )
            for alias, pins in self.settings.terminals.items()
        }
        for alias, owner in terminals.items():
            trading = TerminalTrading(
                alias,
                owner,
                self.settings.terminals[alias].trading,
                self._journal,
                self._publisher,
                self._epoch,
                _moment,
            )
            owner.trading = self._tradings[alias] = trading
        for entry in self._journal.open_entries():
            if entry.alias not in terminals:
                log.error(
                    "open orders of a terminal that is not configured",
                    terminal=entry.alias,
                    id=entry.command_id,
                    hint="under this name again, it is asked what became of them",
                )
        for stream in saved.streams:
            terminal = terminals.get(stream.alias)
            if terminal is not None:
                terminal.restore(stream, now)
        return Terminals(terminals)

    def _mint_epoch(self) -> int:
        self._last_epoch = max(self._last_epoch + 1, utc_msc() // 1000)
        self._checkpoint_wanted = True
        return self._last_epoch

    def _want_checkpoint(self) -> None:
        self._checkpoint_wanted = True

    def _checkpoint(self, *, epochs_ahead: int = _EPOCHS_AHEAD) -> Checkpoint:
        streams = [
            saved
            for terminal in self._terminals
            for stream in terminal.streams.values()
            if stream.state is not StreamState.FAILED and (saved := stream.save()) is not None
        ]
        return Checkpoint(self._last_epoch + epochs_ahead, utc_msc(), streams)

    def _tick(self, files: CheckpointFile) -> None:
        now = now_us()
        self._links.tick(now)
        for terminal in self._terminals:
            terminal.asks.expire(now)
        self._poll_tradings()
        self._router.poll(now)
        if now >= self._next_expire_us:
            self._next_expire_us = now + _EXPIRE_EVERY_US
            self._journal.expire(utc_msc())
        if now >= self._next_tails_us:
            self._next_tails_us = now + _TAILS_EVERY_US
            self._publisher.publish_tails(utc_msc())
            for terminal in self._terminals:
                terminal.end_unused(now)
        if self._checkpoint_wanted or now >= self._next_checkpoint_us:
            self._checkpoint_wanted = False
            interval = self.settings.ticks.checkpoint_interval_s
            self._next_checkpoint_us = now + int(interval * 1_000_000)
            files.save(self._checkpoint())
        files.poll()

    def _after_turn(self) -> None:
        self._poll_tradings()
        self._router.poll(now_us())

    def _poll_tradings(self) -> None:
        now = _moment()
        for trading in self._tradings.values():
            trading.poll(now)

    def _read_subscriptions(self, limit: int) -> bool:
        return self._publisher.read_subscriptions(self, limit)

    def _symbol_of(self, topic: bytes) -> tuple[Terminal, str] | None:
        if not topic.endswith(b"\0"):
            return None
        try:
            parsed = parse_topic(topic[:-1].decode())
        except UnicodeDecodeError:
            return None
        if parsed is None or parsed.kind != "tick":
            return None
        terminal = self._terminals.get(parsed.alias)
        return None if terminal is None else (terminal, parsed.symbol)

    def _bind(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        kind: int,
        name: str,
        stack: contextlib.ExitStack,
    ) -> tuple[zmq.Socket[bytes], str]:
        endpoint: str = getattr(self.settings.endpoints, name)
        socket = context.socket(kind)
        stack.callback(socket.close, _LINGER_MS)
        limits = self.settings.limits
        socket.setsockopt(zmq.LINGER, _LINGER_MS)
        socket.setsockopt(zmq.SNDHWM, limits.send_hwm)
        socket.setsockopt(zmq.RCVHWM, 10_000)
        size = _SUBSCRIPTION_MAX if kind == zmq.XPUB else limits.request_max_bytes
        socket.setsockopt(zmq.MAXMSGSIZE, size)
        socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_IVL_MS)
        socket.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_IVL_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, _HEARTBEAT_TIMEOUT_MS)
        host, port = split_endpoint(endpoint)
        try:
            socket.bind(f"tcp://{host}:{port or '*'}")
        except zmq.ZMQError as error:
            raise EndpointInUse(endpoint, f"endpoints.{name}") from error
        bound = socket.getsockopt_string(zmq.LAST_ENDPOINT)
        return socket, bound.rstrip("\0")


def _moment() -> Moment:
    return Moment(now_us(), utc_msc())


def _log_defect(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    log.error("defect", what=context["message"], exc_info=context.get("exception"))


def _keep_small_blocks() -> None:
    # libzmq allocates every message here and frees it in its own thread. glibc's fast bins
    # take blocks up to 64 bytes; with 160, their limit, messages of ticks are among them:
    # 15 % less CPU a tick (``mallopt(3)``). Elsewhere there is no such function.
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MXFAST, 160)


def run_relay(settings: Settings) -> None:
    """
    Run a relay in the main thread until a signal or a stop request.

    The first Ctrl-C, Ctrl-Break or SIGTERM stops it in order, the second at once.

    Raises:
        as ``Relay`` and ``Relay.run``.
    """
    _keep_small_blocks()
    relay = Relay(settings)
    names = ("SIGINT", "SIGTERM", "SIGBREAK")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}

    def stop(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        relay.stop(signal.Signals(number).name)

    for number in numbers:
        signal.signal(number, stop)
    try:
        relay.run()
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
