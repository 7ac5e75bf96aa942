"""The Expert Advisor as the terminal of a demo: its real source, executed as the tests do it.

The translator and its runtime belong to the tests, which are not installed. So it runs as a
process of the source checkout, and this module talks to it by lines: ticks go to its stdin,
and what it tells comes as JSON on its stdout. It ends when its stdin ends.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bridge.cli.demo.audience import SendTimes
from bridge.cli.demo.terminals import ACCOUNT, ALIAS, LOGON_S, Pairs
from bridge.exceptions import BridgeError
from bridge.model.record import RECORD_SIZE
from bridge.model.symbol import SymbolSpec
from bridge.model.tick import MqlTick
from bridge.sim.feed import Feed
from bridge.sim.history import TickHistory
from bridge.sim.link import Direction, Link

__all__ = ["ExpertTerminal", "checkout"]

#: Translating and compiling; afterwards it is cached.
_BUILD_S: Final = 300.0
_END_S: Final = 10.0
_LOOK_AGAIN_S: Final = 0.001
_SOURCE: Final = Path("mql5", "Experts", "Bridge.mq5")
_LINES_KEPT: Final = 5


def checkout() -> Path:
    """
    Return the source checkout that this package lies in.

    Raises:
        BridgeError: it does not lie in one, or there is no compiler; the text says what to do.
    """
    root = Path(__file__).resolve().parents[3]
    if not (root / _SOURCE).is_file() or not (root / "tests" / "mql5").is_dir():
        raise BridgeError(
            "--terminal ea executes the Expert Advisor from its source, and this installation has "
            "none: run 'make demo ARGS=\"--terminal ea\"' in a clone of the repository"
        )
    if shutil.which("g++") is None:
        raise BridgeError(
            "--terminal ea translates the Expert Advisor to C++ and needs g++, which is not on the "
            "PATH (Debian, Ubuntu: apt-get install g++ libsqlite3-dev)"
        )
    return root


class ExpertTerminal:
    """
    ``python -m tests.mql5 run`` as a child process, fed with ticks.

    Raises:
        BridgeError: there is no checkout or no compiler here.
    """

    kind = "Expert Advisor, translated"

    def __init__(
        self, specs: list[SymbolSpec], speed: float | None, send_times: SendTimes, home: Path
    ) -> None:
        self._root = checkout()
        self._home = home
        self._specs = specs
        self._speed = speed
        self._send_times = send_times
        self._numbers: dict[str, int] = {}
        self._first: list[str] = []
        self._feeds: queue.SimpleQueue[Feed | None] = queue.SimpleQueue()
        self._feed: Feed | None = None
        #: lines that ask its broker something, and what it said, by their numbers
        self._questions: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._tags: dict[str, list[str]] = {}
        self._asked = 0
        self._trigger: tuple[int, Callable[[], None]] | None = None
        self._told: list[dict[str, Any]] = []
        self._error: BaseException | None = None
        self._process: subprocess.Popen[str] | None = None
        self._threads: list[threading.Thread] = []
        self._link: Link

    def put_first(self, symbol: str, tick: MqlTick) -> None:
        self._numbers[symbol] = 1
        self._first.append(_line(symbol, tick))

    def start(self, link: Link, key_file: Path) -> None:
        self._link = link
        command = [
            *(sys.executable, "-m", "tests.mql5", "run", str(_SOURCE)),
            *("--input", f"InpAlias={ALIAS}"),
            *("--input-file", f"InpKey={key_file}"),
            *("--input", f"InpRelayPort={link.port}"),
            *("--login", str(ACCOUNT.login), "--server", ACCOUNT.server),
            *("--symbols", ",".join(spec.name for spec in self._specs)),
            *("--data", str(self._home / "terminal"), "--ticks", "-", "--trade"),
        ]
        with (self._home / "terminal-stderr.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - our own program, no shell
                command,
                cwd=self._root,
                env={**os.environ, "PYTHONPATH": str(self._root)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                # Ctrl-C is for the demo, which ends its parts one behind the other.
                start_new_session=sys.platform != "win32",
            )
        self._process = process
        for work in (self._listen, self._play):
            thread = threading.Thread(target=work, args=(process,), name="demo EA", daemon=True)
            thread.start()
            self._threads.append(thread)
        self._wait_until_logged_on(process)

    def play(self, pairs: Pairs) -> None:
        feed = Feed(
            _Pipe(self),
            pairs,
            symbols=[spec.name for spec in self._specs],
            speed=self._speed,
        )
        self._feed = feed
        self._feeds.put(feed)

    @property
    def playing(self) -> bool:
        return self._feed is not None and not self._feed.finished

    def when_sent(self, count: int, action: Callable[[], None]) -> None:
        # By bytes on the link: a tick is one record, and everything else is small.
        self._trigger = (self.progress + count * RECORD_SIZE, action)

    @property
    def progress(self) -> int:
        return self._link.bytes_passed[Direction.TO_RELAY]

    @property
    def reconnects(self) -> int:
        return max(0, self._link.connections - 1)

    def tags(self) -> list[str] | None:
        self._asked += 1
        number = str(self._asked)
        self._questions.put(f"?tags {number}\n")
        deadline = time.monotonic() + LOGON_S
        while number not in self._tags:
            self.check()
            if time.monotonic() > deadline:
                raise BridgeError("the Expert Advisor's broker does not answer")
            time.sleep(_LOOK_AGAIN_S)
        return self._tags.pop(number)

    def check(self) -> None:
        if self._error is not None:
            raise self._error
        process = self._process
        if process is not None and process.poll() is not None:
            raise BridgeError(f"the Expert Advisor has ended: {self._said()}")

    def end(self) -> None:
        process = self._process
        if process is None:
            return
        self._feeds.put(None)
        try:
            code = process.wait(_END_S)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"the Expert Advisor has not ended within {_END_S:g} s") from None
        if code:
            raise BridgeError(f"the Expert Advisor ended with code {code}: {self._said()}")

    def close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        self._feeds.put(None)
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for thread in self._threads:
            thread.join(_END_S)

    # --- its stdout -----------------------------------------------------------------------------

    def _listen(self, process: subprocess.Popen[str]) -> None:
        if process.stdout is None:
            return
        with process.stdout:
            for line in process.stdout:
                try:
                    told = json.loads(line)
                except ValueError:
                    told = {"event": "output", "text": line.strip()}
                if told.get("event") == "tags":
                    self._tags[told["number"]] = told["tags"]
                    continue
                self._told = [*self._told[-_LINES_KEPT:], told]

    def _said(self) -> str:
        texts = [str(told.get("text", told)) for told in self._told]
        try:
            log = (self._home / "terminal-stderr.log").read_text("utf-8", "replace").splitlines()
        except OSError:
            log = []
        return " | ".join([*texts, *log[-_LINES_KEPT:]]) or "it said nothing"

    def _wait_until_logged_on(self, process: subprocess.Popen[str]) -> None:
        # The first connection ends the wait for the compiler; a logon takes frames both ways.
        deadline = time.monotonic() + _BUILD_S
        answered = self._link.bytes_passed
        while not answered[Direction.TO_TERMINAL]:
            if process.poll() is not None:
                raise BridgeError(f"the Expert Advisor cannot be executed: {self._said()}")
            if time.monotonic() > deadline:
                raise BridgeError(f"the Expert Advisor has not logged on: {self._said()}")
            time.sleep(_LOOK_AGAIN_S)

    # --- its stdin ------------------------------------------------------------------------------

    def put(self, symbol: str, tick: MqlTick) -> None:
        """
        Let a tick happen now.
        """
        process = self._process
        if process is None or process.stdin is None:
            return
        number = self._numbers[symbol] = self._numbers.get(symbol, 0) + 1
        self._send_times.taken(symbol, number, 1, time.monotonic_ns())
        process.stdin.write(_line(symbol, tick))

    def _play(self, process: subprocess.Popen[str]) -> None:
        stdin = process.stdin
        if stdin is None:
            return
        try:
            stdin.write("".join(self._first))
            stdin.flush()
            feed: Feed | None = None
            while True:
                if feed is None or feed.finished:
                    try:
                        feed = self._feeds.get(timeout=_LOOK_AGAIN_S)
                    except queue.Empty:
                        feed = None
                    else:
                        if feed is None:
                            break
                elif feed.due(time.perf_counter_ns() // 1000):
                    stdin.flush()
                else:
                    time.sleep(_LOOK_AGAIN_S)
                self._strike()
                while not self._questions.empty():
                    stdin.write(self._questions.get())
                    stdin.flush()
            stdin.close()
        except (OSError, ValueError) as error:
            # It is gone, which check() tells; or the feed gave what cannot be played.
            if process.poll() is None:
                self._error = error

    def _strike(self) -> None:
        trigger = self._trigger
        if trigger is not None and self.progress >= trigger[0]:
            self._trigger = None
            trigger[1]()


class _Pipe(TickHistory):
    # What a feed takes for the terminal's history.

    def __init__(self, expert: ExpertTerminal) -> None:
        super().__init__()
        self._expert = expert

    def append(self, symbol: str, tick: MqlTick) -> None:
        self._expert.put(symbol, tick)


def _line(symbol: str, tick: MqlTick) -> str:
    # repr() of a float is read back as the same bits.
    fields = (tick.time_msc, tick.bid, tick.ask, tick.last, tick.volume_real, int(tick.flags))
    return f"{symbol} {' '.join(map(repr, fields))}\n"
