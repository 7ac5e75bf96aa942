"""Terminals for exact scenarios: one that does what the test says, one with a known history.

``ScriptedTerminal`` is a blocking socket and the protocol core: it says what the test
tells it, well-formed or not, and waits for what the test expects. ``SteadyTerminal`` runs
in a thread, has every tick that it ever will have in memory, and streams as many of them as
the test released: a reference that is simple enough to be right by reading it. The
simulated terminal of ``bridge.sim`` is the real thing and is tested against the same relay.
"""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self, TypeVar

import msgpack

from bridge.model.record import RECORD_SIZE, pack_record
from bridge.model.symbol import spec_for
from bridge.model.tick import MqlTick
from bridge.sim.market import Market
from bridge.sim.terminal import Account, TerminalCore
from bridge.wire.frame import pack_run_header
from bridge.wire.messages import Hello, Message, Page, Request, Stream, Subscribe, Unsubscribe
from bridge.wire.protocol import Closed, LoggedOn, TerminalSession
from bridge.wire.spec import MARKET_FRAME_MAX, RUN_HEADER_SIZE, ErrorCode

DEADLINE_S = 20.0
#: records that fit into one TICKS frame
RUN_MAX = (MARKET_FRAME_MAX - 32 - RUN_HEADER_SIZE) // RECORD_SIZE
OFFSET_MIN = 120

T = TypeVar("T")


def now_us() -> int:
    """
    Return microseconds of the clock that the relay uses.
    """
    return time.perf_counter_ns() // 1000


def tick_of(seq: int) -> MqlTick:
    """
    Return the tick that has this number: three of four share their millisecond.
    """
    bid = 1.1 + seq % 9973 * 1e-5
    return MqlTick(1_546_383_600_000 + seq // 4, bid, bid + 2e-5)


def records_of(epoch: int, first: int, length: int, flags: int = 0) -> bytes:
    """
    Return the records ``first`` to ``first + length - 1`` of ``tick_of``.
    """
    return b"".join(
        pack_record(epoch, seq, tick_of(seq), OFFSET_MIN, flags)
        for seq in range(first, first + length)
    )


def cursor_of(seq: int) -> tuple[int, int, int]:
    """
    Return a cursor that names the record behind which it stands (the relay only keeps it).
    """
    return (tick_of(seq).time_msc, seq % 4 + 1, seq & 0xFFFF_FFFF)


def make_hello(alias: str = "demo", **fields: Any) -> Hello:
    """
    Return the HELLO of an ordinary demo account, but for ``fields``.
    """
    values: dict[str, Any] = {
        "version_min": 1,
        "version_max": 1,
        "capabilities": 3,
        "key_id": alias,
        "login": 1001,
        "server": "Demo-Server",
        "company": "Company",
        "currency": "USD",
        "leverage": 100,
        "role": 3,
        "margin_mode": 2,
        "trade_mode": 0,
        "build": 5000,
        "program": "test terminal",
        "incarnation": bytes(16),
        "connection_counter": 1,
        "relay_epoch_seen": 0,
        "nonce": secrets.token_bytes(32),
    }
    return Hello(**{**values, **fields})


def address_of(endpoint: str) -> tuple[str, int]:
    """
    Return host and port of a tcp endpoint.
    """
    host, port = endpoint.removeprefix("tcp://").rsplit(":", 1)
    return host, int(port)


class ScriptedTerminal:
    """
    A terminal that does exactly what the test tells it.

    It lives only while the test waits for something through it: call ``expect`` or
    ``pump``. Everything that arrived and was not expected yet stands in ``waiting``.
    """

    def __init__(self, endpoint: str, key: bytes, alias: str = "demo", **hello: Any) -> None:
        self.hello = make_hello(alias, **hello)
        self.session = TerminalSession(key, self.hello, now_us())
        self.socket = socket.create_connection(address_of(endpoint), DEADLINE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.waiting: list[Any] = []
        self.sent = bytearray()
        self.received = bytearray()
        self.ended = False

    # --- what the test says ---------------------------------------------------------

    def send(self, message: Message) -> None:
        """
        Send a message at once.
        """
        self.session.send(message)
        self.flush()

    def accept_stream(self, subscribe: Subscribe, symbol_id: int = 1, **fields: Any) -> int:
        """
        Answer a SUBSCRIBE: the stream begins anew. Return its epoch.
        """
        values: dict[str, Any] = {
            "request_id": subscribe.request_id,
            "code": 0,
            "text": "",
            "symbol_id": symbol_id,
            "epoch": subscribe.fresh_epoch,
            "first_seq": 1,
            "continuity": 0,
            "digits": 5,
            "point": 1e-5,
        }
        values.update(fields)
        self.send(Stream(**values))
        return int(values["epoch"])

    def refuse_stream(self, subscribe: Subscribe, text: str = "no such symbol") -> None:
        """
        Answer a SUBSCRIBE with no.
        """
        self.accept_stream(
            subscribe, 0, code=int(ErrorCode.UNKNOWN_SYMBOL), text=text, epoch=0, first_seq=0
        )

    def send_ticks(self, symbol_id: int, epoch: int, first: int, length: int) -> None:
        """
        Send records of ``tick_of``, as many frames as they need.
        """
        for at in range(first, first + length, RUN_MAX):
            part = min(RUN_MAX, first + length - at)
            self.send_records(symbol_id, at, records_of(epoch, at, part))

    def send_records(self, symbol_id: int, first: int, records: bytes) -> None:
        """
        Send one run as it is.
        """
        length = len(records) // RECORD_SIZE
        header = pack_run_header(symbol_id, length, first, now_us(), cursor_of(first + length - 1))
        self.session.send_market(header + records)
        self.flush()

    def answer(self, request: Request, value: Any, **fields: Any) -> None:
        """
        Answer a REQUEST with one page.
        """
        values: dict[str, Any] = {
            "request_id": request.request_id,
            "page": 0,
            "last": True,
            "code": 0,
            "text": "",
            "kind": 0,
            "payload": msgpack.packb(value),
        }
        values.update(fields)
        self.send(Page(**values))

    def send_bytes(self, data: bytes) -> None:
        """
        Send bytes past the protocol core.
        """
        self.sent += data
        self.socket.sendall(data)

    def flush(self) -> None:
        """
        Send what the core has to send.
        """
        while data := self.session.data_to_send():
            self.sent += data
            try:
                self.socket.sendall(data)
            except OSError:
                self.ended = True
                return

    # --- what the test waits for ----------------------------------------------------

    def log_on(self) -> LoggedOn:
        """
        Wait for WELCOME.
        """
        return self.expect(LoggedOn)

    def expect(
        self,
        kind: type[T],
        where: Callable[[T], bool] = lambda _: True,
        within_s: float = DEADLINE_S,
    ) -> T:
        """
        Return the first event of this kind, waiting for it.
        """
        deadline = time.monotonic() + within_s
        while True:
            for event in self.waiting:
                if isinstance(event, kind) and where(event):
                    self.waiting.remove(event)
                    return event
            assert not self.ended, f"the link ended, no {kind.__name__}; here: {self.waiting}"
            left = deadline - time.monotonic()
            assert left > 0, f"no {kind.__name__} in time; here: {self.waiting}"
            self.pump(min(left, 0.05))

    def expect_end(self, within_s: float = DEADLINE_S) -> Closed:
        """
        Wait until the relay closed the connection; return why the session ended.
        """
        deadline = time.monotonic() + within_s
        while not self.ended:
            left = deadline - time.monotonic()
            assert left > 0, f"the relay did not cut; here: {self.waiting}"
            self.pump(min(left, 0.05))
        return self.expect(Closed)

    def until(self, happened: Callable[[], Any], within_s: float = DEADLINE_S) -> Any:
        """
        Live until something happened elsewhere; return what it was.
        """
        deadline = time.monotonic() + within_s
        while not (result := happened()):
            assert time.monotonic() < deadline, "it did not happen in time"
            self.pump(0.005)
        return result

    def pump(self, wait_s: float = 0.0) -> None:
        """
        Send, wait for bytes for at most ``wait_s``, take them, and run the timers.
        """
        self.flush()
        readable, _, _ = select.select([self.socket], [], [], wait_s)
        if readable:
            try:
                data = self.socket.recv(65_536)
            except OSError:
                data = b""
            self.received += data
            if data:
                self.session.receive_data(data, now_us())
            else:
                self.ended = True
                self.session.receive_eof()
        if now_us() >= self.session.next_deadline():
            self.session.handle_timer(now_us())
        self.waiting += self.session.events_received()
        self.flush()

    def close(self) -> None:
        """
        Close the connection without a word.
        """
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SteadyTerminal:
    """
    A terminal in a thread, with a history that the test releases tick by tick.

    It reconnects by itself, resumes where the relay asks it to, resends what was not
    acknowledged, and answers ``symbols``, ``symbol`` and ``tick``. With
    ``forgets_unacknowledged`` it does not resend: the ablation that shows what resending is
    for.
    """

    def __init__(
        self,
        endpoint: str,
        key: bytes,
        alias: str = "demo",
        *,
        symbols: Iterable[str] = ("EURUSD",),
        forgets_unacknowledged: bool = False,
        **hello: Any,
    ) -> None:
        self.endpoint = endpoint
        self.alias = alias
        #: how many ticks each symbol has by now
        self.released = dict.fromkeys(symbols, 0)
        #: sessions that were opened, and why each that ended did
        self.sessions = 0
        self.ends: list[Closed] = []
        self.subscribes: list[Subscribe] = []
        self._key = key
        self._hello = {"incarnation": secrets.token_bytes(16), **hello}
        self._forgets = forgets_unacknowledged
        self._sent: dict[str, int] = {}
        self._streams: dict[str, tuple[int, int]] = {}
        self._ids = 0
        self._counter = 0
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._wake_here, self._wake_there = socket.socketpair()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"terminal {alias}", daemon=True)

    # --- what the test says -----------------------------------------------------------

    def release(self, symbol: str, count: int = 1) -> int:
        """
        Let ``count`` more ticks happen; return how many there are now.
        """
        self.released[symbol] += count
        self._wake()
        return self.released[symbol]

    def sent(self, symbol: str) -> int:
        """
        Return the number of the last tick handed to the connection.
        """
        return self._sent.get(symbol, 0)

    def repeat(self, symbol: str, count: int) -> None:
        """
        Send the last ticks once more, as after a cut of which the relay knows nothing.
        """
        self._sent[symbol] -= count
        self._wake()

    def wait_for(self, happened: Callable[[], Any], within_s: float = DEADLINE_S) -> None:
        """
        Wait until something is true of this terminal.
        """
        with self._changed:
            assert self._changed.wait_for(happened, within_s), (
                f"not in time: {self.sessions} sessions, streams {self._streams}, {self.ends}"
            )

    def start(self) -> SteadyTerminal:
        """
        Start, and wait for the first session.
        """
        self._thread.start()
        self.wait_for(lambda: self.sessions > 0)
        return self

    def stop(self) -> None:
        """
        End the thread; what went wrong in it fails the test.
        """
        self._stop.set()
        self._wake()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()
        self._wake_here.close()
        self._wake_there.close()
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- inside -----------------------------------------------------------------------

    def _wake(self) -> None:
        self._wake_there.send(b"w")

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._serve()
                # Reconnect soon, but do not spin while the relay is away.
                self._stop.wait(0.02)
        except BaseException as error:  # noqa: BLE001 - handed to the test's thread
            self._error = error

    def _serve(self) -> None:
        self._counter += 1
        hello = make_hello(self.alias, connection_counter=self._counter, **self._hello)
        try:
            connection = socket.create_connection(address_of(self.endpoint), 1.0)
        except OSError:
            return
        session = TerminalSession(self._key, hello, now_us())
        self._streams.clear()
        try:
            self._talk(connection, session)
        except OSError:
            session.receive_eof()
            self._note(session)
        finally:
            connection.close()

    def _talk(self, connection: socket.socket, session: TerminalSession) -> None:
        while not self._stop.is_set():
            while data := session.data_to_send():
                connection.sendall(data)
            if session.closed:
                return
            wait_s = max(0.0, (session.next_deadline() - now_us()) / 1e6)
            readable, _, _ = select.select([connection, self._wake_here], [], [], wait_s)
            if self._wake_here in readable:
                self._wake_here.recv(65_536)
            if connection in readable:
                data = connection.recv(65_536)
                session.receive_data(data, now_us())
                if not data:
                    session.receive_eof()
            if now_us() >= session.next_deadline():
                session.handle_timer(now_us())
            self._note(session)
            if not session.closed:
                self._stream(session)

    def _note(self, session: TerminalSession) -> None:
        for event in session.events_received():
            with self._changed:
                if isinstance(event, LoggedOn):
                    self.sessions += 1
                elif isinstance(event, Closed):
                    self.ends.append(event)
                elif session.closed:
                    pass  # what came before the end of the session has no answer any more
                elif isinstance(event, Subscribe):
                    self.subscribes.append(event)
                    self._begin(session, event)
                elif isinstance(event, Unsubscribe):
                    self._streams = {
                        symbol: stream
                        for symbol, stream in self._streams.items()
                        if stream[0] != event.symbol_id
                    }
                elif isinstance(event, Request):
                    self._answer(session, event)
                self._changed.notify_all()

    def _begin(self, session: TerminalSession, wanted: Subscribe) -> None:
        symbol, resume = wanted.symbol, wanted.resume
        if symbol not in self.released:
            session.send(
                Stream(
                    wanted.request_id,
                    ErrorCode.UNKNOWN_SYMBOL,
                    "no such symbol",
                    0,
                    0,
                    0,
                    0,
                    0,
                    0.0,
                )
            )
            return
        self._ids += 1
        epoch, first, continuity = wanted.fresh_epoch, 1, 0
        if resume is not None:
            epoch, first, continuity = resume.epoch, resume.from_seq, 1
            if self._forgets:
                first = max(first, self._sent.get(symbol, 0) + 1)
        session.send(Stream(wanted.request_id, 0, "", self._ids, epoch, first, continuity, 5, 1e-5))
        self._streams[symbol] = (self._ids, epoch)
        self._sent[symbol] = first - 1

    def _stream(self, session: TerminalSession) -> None:
        for symbol, (symbol_id, epoch) in self._streams.items():
            while self._sent[symbol] < self.released[symbol] and session.market_queued < 65_536:
                first = self._sent[symbol] + 1
                length = min(RUN_MAX, self.released[symbol] - first + 1)
                header = pack_run_header(
                    symbol_id, length, first, now_us(), cursor_of(first + length - 1)
                )
                session.send_market(header + records_of(epoch, first, length))
                with self._changed:
                    self._sent[symbol] += length
                    self._changed.notify_all()

    def _answer(self, session: TerminalSession, request: Request) -> None:
        name = request.params.get("symbol")
        value: dict[str, Any] = {}
        if request.method == "symbols":
            names = sorted(self.released)
            value = {"symbols": names, "total": len(names)}
        elif name not in self.released:
            text = f"no symbol {name!r}"
            session.send(Page(request.request_id, 0, True, ErrorCode.UNKNOWN_SYMBOL, text, 0, b""))
            return
        elif request.method == "tick":
            value = {"tick": {"time_msc": tick_of(1).time_msc}}
        else:
            value = {"symbol": {"name": name}}
        payload = msgpack.packb(value)
        session.send(Page(request.request_id, 0, True, 0, "", 0, payload))


_CHILD = """
import json, sys
from tests.support.terminal import SteadyTerminal
endpoint, key, alias, released = sys.argv[1:5]
terminal = SteadyTerminal(endpoint, bytes.fromhex(key), alias, symbols=json.loads(released))
for symbol, count in json.loads(released).items():
    terminal.release(symbol, count)
with terminal:
    print("connected", flush=True)
    for line in sys.stdin:
        symbol, count = line.split()
        terminal.release(symbol, int(count))
"""


class TerminalProcess:
    """
    A steady terminal as a process of its own, that can be stopped and killed.
    """

    def __init__(self, endpoint: str, key: bytes, alias: str = "demo", **released: int) -> None:
        root = Path(__file__).resolve().parents[2]
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CHILD, endpoint, key.hex(), alias, json.dumps(released)],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def release(self, symbol: str, count: int) -> None:
        """
        Let more ticks happen.
        """
        assert self.process.stdin is not None
        self.process.stdin.write(f"{symbol} {count}\n")
        self.process.stdin.flush()

    def pause(self) -> None:
        """
        SIGSTOP: its connection stays open, and nothing comes.
        """
        self.process.send_signal(signal.SIGSTOP)
        # What it is asked now it may still answer, before it stands.
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)

    def go_on(self) -> None:
        """
        SIGCONT.
        """
        self.process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "connected\n":
            self.__exit__()
            raise AssertionError("the terminal's process did not connect")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def make_market(*symbols: str) -> Market:
    """
    Return a broker with these symbols, all in Market Watch, and no tick yet.
    """
    return Market([dataclasses.replace(spec_for(name), select=True) for name in symbols])


def make_core(key: bytes, market: Market, alias: str = "demo", **options: Any) -> TerminalCore:
    """
    Return a simulated terminal of this broker.

    A second one of the same broker is the same terminal after a restart: it knows nothing of
    what was sent before. Give it a higher ``connection_counter``, as its file would.
    """
    return TerminalCore(
        key=key,
        key_id=alias,
        account=Account(login=1001, server="Demo-Server"),
        market=market,
        **{"incarnation": bytes(16), **options},
    )
