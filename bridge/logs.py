"""Logs: structlog in front, the standard library behind, no waiting in between.

A record is formatted where it happens and written by a thread of its own, one for the
console and one for the file. So neither a full disk nor a console that stands still
(on Windows it does while text in it is selected) can hold the event loop. Each of the
two queues has a bound; what does not fit is dropped, counted, and reported as soon as
there is room.

Rule 1: nothing is written before it went through ``_clean``, which takes secrets out.
Rule 2: data goes to stdout, logs never do.
Rule 3: loggers come from ``get_logger``. They work without ``configure_logging`` too
(the client in somebody's notebook): then the program's own logging decides, and
structlog's global configuration is neither needed nor touched.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import logging
import logging.handlers
import math
import os
import queue
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol, Self, TextIO, cast

import structlog

from bridge.config import Key
from bridge.exceptions import ConfigError

__all__ = ["LOG_FILE_NAME", "LogOutput", "configure_logging", "get_logger"]

LOG_FILE_NAME: Final = "bridge.jsonl"
_FILE_BYTES: Final = 10_000_000
_FILES: Final = 10
#: About 10 MB of waiting lines at worst; the relay logs a few lines a minute.
_QUEUE_LIMIT: Final = 10_000
#: A writer that stands still at the end is left behind after this.
_CLOSE_TIMEOUT_S: Final = 2.0

_REDACTED: Final = "[redacted]"
_SECRET_NAME = re.compile(r"(?:^|[_-])(?:key|token|password|secret)$", re.IGNORECASE)
#: The form in which keys are stored and pasted. Digests of 32 bytes look the same.
_SECRET_TEXT = re.compile(r"[0-9a-fA-F]{64,}")
_MAX_TEXT: Final = 16_384
_MAX_ITEMS: Final = 100
_MAX_DEPTH: Final = 6
#: C0, DEL and C1: what a console would obey instead of show.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_FIELDS: Final = "bridge_fields"
_OWN_FIELDS: Final = frozenset({"timestamp", "level", "logger", "event", "exception", "stack"})


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """
    Return the logger of a module, which calls this with its ``__name__``.

    Facts go in as keywords: ``log.warning("session cut", terminal="demo", code=3)``.
    A value named ``key``, ``token``, ``password`` or ``secret`` is not shown.
    """
    logger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=_PROCESSORS,
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return cast("structlog.stdlib.BoundLogger", logger)


def configure_logging(
    level: str = "info",
    log_dir: Path | None = None,
    *,
    stream: TextIO | None = None,
    is_terminal: bool | None = None,
    queue_limit: int = _QUEUE_LIMIT,
) -> LogOutput:
    """
    Send the records of the whole process to a console and, with ``log_dir``, to a file.

    The caller **must** ``close()`` the result, or use it as a context manager; else the
    end of the process does. Close one before configuring anew.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        log_dir: Folder of ``bridge.jsonl`` and its nine predecessors; made if need be.
        stream: The console, ``sys.stderr`` by default. A process without one (a
            service, ``pythonw``) has no console output.
        is_terminal: Whether a person reads it; asked of ``stream`` by default. Colours
            are used only then, and not with ``NO_COLOR`` set.
        queue_limit: Records that may wait for the console, and as many for the file.

    Raises:
        ConfigError: the file cannot be written.
        ValueError: there is no such level.
    """
    root = logging.getLogger()
    output = LogOutput(root, root.level)
    root.setLevel(level.upper())
    stream = sys.stderr if stream is None else stream
    # Python sets sys.stderr to None where there is none, whatever its type says.
    if cast("TextIO | None", stream) is not None:
        is_terminal = stream.isatty() if is_terminal is None else is_terminal
        console = _ConsoleFormatter(colors=is_terminal and _wants_colors())
        output.add("console", _Console(stream), console, queue_limit)
    if log_dir is not None:
        try:
            log_dir.mkdir(parents=True, exist_ok=True)
            file = _File(log_dir / LOG_FILE_NAME, output.report)
        except OSError as error:
            output.close()
            reason = error.strerror or str(error)
            problem = f"the log file cannot be written: {reason}"
            raise ConfigError(problem, source=str(log_dir), key="relay.log_dir") from error
        output.path = log_dir / LOG_FILE_NAME
        output.add("file", file, _JsonFormatter(), queue_limit)
    # For code that asks structlog itself; cached loggers would keep what was before.
    structlog.configure(
        processors=_PROCESSORS,
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    atexit.register(output.close)
    return output


class LogOutput:
    """
    The open outputs of ``configure_logging``.

    ``path`` is the log file or ``None``; ``dropped`` counts records that found a full
    queue, ``failed`` those that could not be written.
    """

    def __init__(self, root: logging.Logger, level_before: int) -> None:
        self.path: Path | None = None
        self._root = root
        self._level_before = level_before
        self._lanes: list[_Lane] = []
        self._closed = False

    @property
    def dropped(self) -> int:
        return sum(lane.dropped for lane in self._lanes)

    @property
    def failed(self) -> int:
        return sum(lane.sink.failed for lane in self._lanes)

    def add(self, name: str, sink: _Sink, formatter: logging.Formatter, limit: int) -> None:
        """
        Open one more output (used by ``configure_logging``).
        """
        lane = _Lane(name, sink, formatter, limit)
        self._lanes.append(lane)
        self._root.addHandler(lane)

    def report(self, text: str) -> None:
        """
        Say something about the logs themselves, on the first output only.
        """
        self._lanes[0].handle(_record(text))

    def close(self) -> None:
        """
        Write what waits and close the outputs; records that come later are not logged.

        Returns within a few seconds even when an output stands still: then what waits
        for it is lost. May be called again.
        """
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.close)
        for lane in self._lanes:
            self._root.removeHandler(lane)
        self._root.setLevel(self._level_before)
        deadline = time.monotonic() + _CLOSE_TIMEOUT_S
        # Last opened, first closed: what a file reports at its end still has a console.
        for lane in reversed(self._lanes):
            lane.finish(deadline)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# From logger to record ----------------------------------------------------------------


def _to_record(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> tuple[tuple[object, ...], dict[str, Any]]:
    # All fields under one name: a field called "name" or "process" would clash with the
    # attributes of a record, and logging raises then.
    options = {name: event.pop(name) for name in ("exc_info", "stack_info") if name in event}
    message = event.pop("event", "")
    args = event.pop("positional_args", ())
    return (message, *args), {**options, "extra": {_FIELDS: dict(event)}}


_PROCESSORS: Final[list[Any]] = [
    structlog.stdlib.filter_by_level,
    structlog.contextvars.merge_contextvars,
    _to_record,
]


def _record(text: str) -> logging.LogRecord:
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, None, None)


# From record to text ------------------------------------------------------------------


class _Formatter(logging.Formatter):
    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        created = datetime.fromtimestamp(record.created, tz=UTC)
        fields: dict[str, Any] = {
            "timestamp": created.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _clean_text(record.getMessage()),
        }
        for name, value in _clean(getattr(record, _FIELDS, {})).items():
            fields[f"{name}_" if name in _OWN_FIELDS else name] = value
        if record.exc_info and record.exc_info[0] is not None:
            fields["exception"] = _clean_text(self.formatException(record.exc_info))
        if record.stack_info:
            fields["stack"] = _clean_text(record.stack_info)
        return fields


class _JsonFormatter(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(self.fields(record), ensure_ascii=False)


class _ConsoleFormatter(_Formatter):
    def __init__(self, *, colors: bool) -> None:
        super().__init__()
        # A traceback with local variables would show what they hold: keep it plain.
        self._render = structlog.dev.ConsoleRenderer(
            colors=colors, sort_keys=False, exception_formatter=structlog.dev.plain_traceback
        )

    def format(self, record: logging.LogRecord) -> str:
        fields = self.fields(record)
        for name, value in fields.items():
            if isinstance(value, str) and name not in {"exception", "stack"}:
                fields[name] = _CONTROL.sub(_escaped, value)
        return str(self._render(None, "", fields))


def _escaped(match: re.Match[str]) -> str:
    # Names and reasons come from outside: they must not forge lines or move the cursor.
    return match[0].encode("unicode_escape").decode("ascii")


def _clean(value: object, depth: int = 0) -> Any:
    # The same value as plain JSON types, bounded, without what must not be seen.
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, Key):
        return _REDACTED
    if isinstance(value, bytes | bytearray | memoryview):
        return _clean_text(bytes(value[:_MAX_TEXT]).hex())
    if depth < _MAX_DEPTH:
        if isinstance(value, Mapping):
            return {
                _clean_text(str(name)): _REDACTED
                if _SECRET_NAME.search(str(name))
                else _clean(below, depth + 1)
                for name, below in list(value.items())[:_MAX_ITEMS]
            }
        if isinstance(value, list | tuple | set | frozenset):
            return [_clean(below, depth + 1) for below in list(value)[:_MAX_ITEMS]]
    return _clean_text(repr(value) if isinstance(value, BaseException) else str(value))


def _clean_text(text: str) -> str:
    text = _SECRET_TEXT.sub(_REDACTED, text)
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}... [cut]"


def _wants_colors() -> bool:
    # https://no-color.org; on Windows structlog draws colours with colorama only.
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return sys.platform != "win32" or importlib.util.find_spec("colorama") is not None


# From text to disk and console --------------------------------------------------------


class _Sink(Protocol):
    failed: int

    def write(self, record: logging.LogRecord) -> None: ...

    def close(self) -> None: ...


class _Lane(logging.handlers.QueueHandler):
    # logging.handlers.QueueListener would do, but its stop() raises on a full queue and
    # waits for ever on a writer that stands still.

    def __init__(self, name: str, sink: _Sink, formatter: logging.Formatter, limit: int) -> None:
        self._waiting: queue.Queue[logging.LogRecord | None] = queue.Queue(limit)
        super().__init__(self._waiting)
        self.setFormatter(formatter)
        self.sink = sink
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name=f"bridge-log-{name}", daemon=True)
        self._thread.start()

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self._waiting.put_nowait(record)
        except queue.Full:
            self.dropped += 1

    def finish(self, deadline: float) -> None:
        try:
            self._waiting.put(None, timeout=max(0.0, deadline - time.monotonic()))
        except queue.Full:
            return
        self._thread.join(max(0.0, deadline - time.monotonic()))
        self.close()

    def _run(self) -> None:
        reported = 0
        while (record := self._waiting.get()) is not None:
            self.sink.write(record)
            # Not while it is still full: one line for a burst, not one for each record.
            if self.dropped > reported and self._waiting.empty():
                reported = self._report(reported)
        if self.dropped > reported:
            self._report(reported)
        self.sink.close()

    def _report(self, reported: int) -> int:
        dropped = self.dropped
        text = f"{dropped - reported} log records were dropped: more came than could be written"
        self.sink.write(self.prepare(_record(text)))
        return dropped


class _Console:
    # Not a logging.Handler: the interpreter takes the lock of each of those at its end,
    # and would wait for a console that stands still.

    def __init__(self, stream: TextIO) -> None:
        self.failed = 0
        self._stream = stream
        self._encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, record: logging.LogRecord) -> None:
        # A console of code page 1252 cannot show every broker's name.
        line = f"{record.getMessage()}\n"
        shown = line.encode(self._encoding, "backslashreplace").decode(self._encoding)
        try:
            self._stream.write(shown)
            self._stream.flush()
        except (OSError, ValueError):
            # Whoever read it is gone (a closed pipe); there is nowhere left to say so.
            self.failed += 1

    def close(self) -> None:
        # The stream belongs to the caller.
        return


class _File(logging.handlers.RotatingFileHandler):
    def __init__(self, path: Path, report: Callable[[str], None]) -> None:
        super().__init__(
            path,
            maxBytes=_FILE_BYTES,
            backupCount=_FILES - 1,
            encoding="utf-8",
            errors="backslashreplace",
        )
        self.failed = 0
        self._failing = False
        self._report = report

    def write(self, record: logging.LogRecord) -> None:
        failed = self.failed
        self.handle(record)
        self._failing = self.failed > failed

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's name
        self.failed += 1
        if not self._failing:
            self._report(f"the log file {self.baseFilename} is not written: {sys.exception()}")

    def doRollover(self) -> None:  # noqa: N802 - logging's name
        try:
            super().doRollover()
        except OSError as error:
            # On Windows a file that somebody reads cannot be renamed. Go on with it and
            # try again later, rather than lose the record and every one after it.
            self.maxBytes += _FILE_BYTES
            self._report(f"the log file {self.baseFilename} is not rotated: {error}")
            if cast("TextIO | None", self.stream) is None:
                self.stream = self._open()
        else:
            self.maxBytes = _FILE_BYTES
