"""The relay as a process: the only place where files, threads, the loop and clocks are made.

Start: lock the data folder, read the checkpoint, write the new epoch to disk, bind
everything, then serve. Stop: log terminals out, write the cursors, flush, unlock. A kill
at any point is survived: the start is the recovery. What it serves is in ``core``.
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
from functools import partial
from importlib import metadata
from typing import Any, Final

from bridge.config import Settings, load_key, split_endpoint
from bridge.exceptions import ConfigError, JournalError
from bridge.journal import Journal, MemoryStore
from bridge.journal.sqlite import SqliteStore
from bridge.logs import get_logger
from bridge.relay.checkpoints import Checkpoint, CheckpointFile
from bridge.relay.clock import SystemClock
from bridge.relay.control import Control, write_control_file
from bridge.relay.core import Endpoints, RelayCore, begin_epoch
from bridge.relay.held_files import remove_file
from bridge.relay.listener import Listener
from bridge.relay.lock import FolderLock
from bridge.relay.sockets import BoundSockets
from bridge.relay.turn import Turn

__all__ = ["Endpoints", "Relay", "run_relay"]

log = get_logger(__name__)

_TICK_S: Final = 0.05
#: at the end: so long for what the journal still has to write, and the replies that wait for it
_LAST_WRITES_S: Final = 2.0
#: the number of this parameter in glibc's malloc.h
_M_MXFAST: Final = 1


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
        #: what decides, as soon as it is being served
        self.core: RelayCore | None = None
        self._keys = {alias: load_key(pins.key_file) for alias, pins in settings.terminals.items()}
        self._on_ready = on_ready
        self._folder = settings.relay.data_dir
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop_event: asyncio.Event | None = None
        self._stop_reason = ""
        self._lock = threading.Lock()
        self._clock = SystemClock()

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
            files = CheckpointFile(self._folder, self._clock)
            stack.callback(files.close, None)
            epoch, saved = self._begin_epoch(files)
            turn = Turn(asyncio.get_running_loop())
            journal = self._open_journal(turn)
            stack.callback(journal.close)
            sockets = BoundSockets(self.settings.endpoints, self.settings.limits)
            stack.callback(sockets.close)
            core = self.core = RelayCore(
                self.settings,
                self._keys,
                journal,
                saved=saved,
                epoch=epoch,
                publish=sockets.publish,
                request=sockets.request,
                clock=self._clock,
                random_bytes=secrets.token_bytes,
                program=program_name(),
                save_checkpoint=files.save,
            )
            listener = await self._open(core, sockets, turn, stack)

            def do_what_is_due() -> None:
                core.tick()
                files.poll()
                turn.request()

            while not event.is_set():
                # By the loop, which logs a defect and goes on.
                asyncio.get_running_loop().call_soon(do_what_is_due)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_TICK_S):
                        await event.wait()
            log.info("relay stopping", reason=self._stop_reason)
            await listener.stop()
            await self._last_writes(journal)
            core.stop()
            files.close(core.checkpoint(last=True))
        log.info("relay stopped")

    def _begin_epoch(self, files: CheckpointFile) -> tuple[int, Checkpoint]:
        # On disk before anything is served with it.
        saved = files.load()
        epoch, first = begin_epoch(saved, self._clock.utc_msc())
        try:
            files.save_now(first)
        except OSError as error:
            raise ConfigError(
                f"the data folder cannot be written: {error.strerror}",
                key="relay.data_dir",
                hint=str(self._folder),
            ) from error
        return epoch, saved

    async def _open(
        self, core: RelayCore, sockets: BoundSockets, turn: Turn, stack: contextlib.ExitStack
    ) -> Listener:
        core.links.turn = turn.request
        core.links.published = turn.published
        token = secrets.token_urlsafe(24)
        control = Control(
            sockets.control, token, core.status, core.pong, self.stop, core.orders, self._clock
        )
        stack.callback(turn.close)
        turn.add(sockets.control.socket, partial(sockets.control.read, control.receive))
        turn.add(sockets.publish.socket, partial(sockets.publish.read, core.receive_subscription))
        turn.add(sockets.request.socket, partial(sockets.request.read, core.router.receive))
        turn.after(core.after_turn)
        host, port = split_endpoint(self.settings.endpoints.terminal)
        listener = Listener(core.links)
        port = await listener.listen(host, port)
        endpoints = Endpoints(
            f"tcp://{host}:{port}", sockets.request_at, sockets.publish_at, sockets.control_at
        )
        self.endpoints = core.endpoints = endpoints
        control_file = write_control_file(self._folder, token, endpoints._asdict())
        stack.callback(remove_file, control_file)
        log.info("relay ready", program=core.program, **endpoints._asdict())
        if self._on_ready is not None:
            self._on_ready(endpoints)
        return listener

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

    async def _last_writes(self, journal: Journal) -> None:
        # Verdicts that are on their way to disk are still told.
        until = self._clock.now_us() + int(_LAST_WRITES_S * 1e6)
        while journal.pending and self._clock.now_us() < until:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.005)


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
