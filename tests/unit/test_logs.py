from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import structlog

from bridge import logs
from bridge.config import Key
from bridge.exceptions import ConfigError
from bridge.logs import LOG_FILE_NAME, configure_logging, get_logger

SECRET = bytes(range(32))


@pytest.fixture
def structlog_restored():
    """
    Take back what ``configure_logging`` does to structlog's global configuration.
    """
    yield
    structlog.reset_defaults()


@pytest.fixture
def logged(tmp_path, structlog_restored):
    """
    Return a function that lets ``act(log)`` log and returns console text and file lines.
    """

    def logged(act, level="debug", **keywords):
        stream = keywords.pop("stream", None) or io.StringIO()
        with configure_logging(level, tmp_path, stream=stream, **keywords) as output:
            act(get_logger("bridge.test"))
        lines = output.path.read_text(encoding="utf-8").splitlines()
        return stream, [json.loads(line) for line in lines]

    return logged


class StuckStream(io.StringIO):
    """
    A console that stands still until it is released, as one in which text is selected.
    """

    def __init__(self):
        super().__init__()
        self.released = threading.Event()
        self.entered = threading.Event()

    def write(self, text):
        self.entered.set()
        self.released.wait(10)
        return super().write(text)


# What a line holds


def test_a_file_line_is_json_with_its_facts(logged):
    _, [line] = logged(lambda log: log.warning("session cut", terminal="demo", code=3))

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("timestamp"))
    assert line == {
        "level": "warning",
        "logger": "bridge.test",
        "event": "session cut",
        "terminal": "demo",
        "code": 3,
    }


def test_a_console_line_is_for_people(logged):
    stream, _ = logged(lambda log: log.warning("session cut", terminal="demo", code=3))

    [line] = stream.getvalue().splitlines()
    assert re.search(r"warning +\] session cut .*terminal=demo code=3", line)


def test_less_severe_levels_are_left_out(logged):
    _, lines = logged(lambda log: (log.debug("no"), log.info("no"), log.error("yes")), "warning")

    assert ["yes"] == [line["event"] for line in lines]


def test_other_libraries_are_logged_too(logged):
    _, [line] = logged(lambda _: logging.getLogger("asyncio").error("took %d s", 5))

    assert ("asyncio", "took 5 s") == (line["logger"], line["event"])


def test_code_that_asks_structlog_itself_is_logged_too(logged):
    _, [line] = logged(lambda _: structlog.get_logger("other").info("event", a=1))

    assert ("other", "event", 1) == (line["logger"], line["event"], line["a"])


def test_a_traceback_is_one_field(logged):
    def act(log):
        try:
            raise RuntimeError("the cause")  # noqa: TRY301 - it has to be raised somewhere
        except RuntimeError:
            log.exception("failed")

    stream, [line] = logged(act)

    assert "failed" == line["event"]
    assert line["exception"].endswith("RuntimeError: the cause")
    assert "RuntimeError: the cause" in stream.getvalue()


def test_a_stack_is_one_field(logged):
    _, [line] = logged(lambda log: log.info("event", stack_info=True))

    assert "Stack (most recent call last)" in line["stack"]


@pytest.mark.parametrize("name", ["name", "process", "module", "args", "msg", "message"])
def test_a_field_may_be_called_as_an_attribute_of_a_record(logged, name):
    _, [line] = logged(lambda log: log.info("event", **{name: "EURUSD"}))

    assert "EURUSD" == line[name]


@pytest.mark.parametrize("name", ["level", "timestamp", "logger"])
def test_a_field_does_not_replace_what_every_line_has(logged, name):
    _, [line] = logged(lambda log: log.info("event", **{name: "mine"}))

    assert line[name] != "mine"
    assert "mine" == line[f"{name}_"]


def test_context_variables_are_merged(logged):
    def act(log):
        with structlog.contextvars.bound_contextvars(terminal="demo"):
            log.info("event")

    _, [line] = logged(act)

    assert "demo" == line["terminal"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (1.5, 1.5),
        (float("nan"), "nan"),
        (b"\x00\xff", "00ff"),
        (Path("a"), "a"),
        ({"a": (1, {2})}, {"a": [1, [2]]}),
        (ValueError("x"), "ValueError('x')"),
        ("x" * 20_000, "x" * 16_384 + "... [cut]"),
        (list(range(200)), list(range(100))),
        ("\u20ac \ud800", "\u20ac \ud800"),
    ],
)
def test_any_value_becomes_bounded_json(logged, value, expected):
    _, [line] = logged(lambda log: log.info("event", value=value))

    assert expected == line["value"]


def test_nesting_is_bounded(logged):
    value = []
    value.append(value)

    _, [line] = logged(lambda log: log.info("event", value=value))

    assert line["value"]


# Secrets


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"value": Key(SECRET)}, id="key object"),
        pytest.param({"value": [{"deep": Key(SECRET)}]}, id="key object inside"),
        pytest.param({"value": SECRET}, id="bytes"),
        pytest.param({"value": f"key={SECRET.hex()}."}, id="hex text"),
        pytest.param({"value": SECRET.hex().upper() + "00"}, id="longer hex text"),
        pytest.param({"value": {SECRET.hex(): 1}}, id="hex name"),
        pytest.param({"value": ValueError(SECRET.hex())}, id="exception"),
        pytest.param({"key": SECRET.hex()[:40]}, id="key"),
        pytest.param({"api_token": SECRET.hex()[:40]}, id="token"),
        pytest.param({"Password": SECRET.hex()[:40]}, id="password"),
        pytest.param({"value": {"client-secret": SECRET.hex()[:40]}}, id="secret inside"),
    ],
)
def test_secrets_are_not_written(logged, fields):
    stream, [line] = logged(lambda log: log.info("event", **fields))

    text = (stream.getvalue() + json.dumps(line)).lower()
    assert SECRET.hex()[:20] not in text
    assert "redacted" in text


def test_secrets_in_events_and_tracebacks_are_not_written(logged):
    def act(log):
        logging.getLogger("other").error("given %s", SECRET.hex())
        try:
            raise ValueError(SECRET.hex())  # noqa: TRY301 - it has to be raised somewhere
        except ValueError:
            log.exception("refused")

    stream, lines = logged(act)

    assert SECRET.hex()[:20] not in stream.getvalue() + json.dumps(lines)


def test_names_that_only_contain_such_a_word_are_shown(logged):
    _, [line] = logged(lambda log: log.info("event", key_file="demo.key", monkey="chimp"))

    assert ("demo.key", "chimp") == (line["key_file"], line["monkey"])


# The console


def test_outside_text_cannot_forge_lines_or_move_the_cursor(logged):
    evil = "x\n2026-01-01 [info] forged\x1b[2J\x9b2J"

    stream, [line] = logged(lambda log: log.info(evil, server=evil))

    assert 1 == len(stream.getvalue().splitlines())
    assert "\x1b" not in stream.getvalue()
    assert "\x9b" not in stream.getvalue()
    assert evil == line["server"]


def test_a_console_of_an_old_code_page_shows_the_rest():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="cp1252", errors="strict")

    with configure_logging(stream=stream) as output:
        get_logger("bridge.test").info("broker \u042f \u2264 caf\xe9")

    assert 0 == output.failed
    assert b"broker \\u042f \\u2264 caf\xe9" in raw.getvalue()


@pytest.mark.parametrize(
    ("is_terminal", "variables", "expected"),
    [
        (True, {}, True),
        (False, {}, False),
        (None, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="colours need colorama there")
def test_colours_are_for_people_who_want_them(
    logged, monkeypatch, is_terminal, variables, expected
):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    stream, _ = logged(lambda log: log.info("event"), is_terminal=is_terminal)

    assert ("\x1b[" in stream.getvalue()) is expected


def test_a_process_without_a_console_still_has_a_file(logged, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stderr", None)

    with configure_logging(log_dir=tmp_path) as output:
        get_logger("bridge.test").info("event")

    assert "event" in output.path.read_text()


def test_a_closed_pipe_is_counted_and_harms_nothing(logged):
    class Pipe(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    _, lines = logged(lambda log: log.info("event"), stream=Pipe())

    assert ["event"] == [line["event"] for line in lines]


# Queues


def test_a_console_that_stands_still_holds_nobody(tmp_path, structlog_restored):
    stream = StuckStream()
    output = configure_logging(log_dir=tmp_path, stream=stream, queue_limit=10)
    log = get_logger("bridge.test")
    log.info("first")
    assert stream.entered.wait(5)

    for number in range(50):
        log.info("event", number=number)
        # The file has room for ten as well: let it keep up.
        wait_for(lambda: output.path.read_text().count("\n") >= number + 2)  # noqa: B023 - at once

    assert 40 == output.dropped
    stream.released.set()
    output.close()
    assert 10 == stream.getvalue().count("number=")
    assert "40 log records were dropped" in stream.getvalue()


def test_close_returns_while_the_console_stands_still(tmp_path, structlog_restored, monkeypatch):
    monkeypatch.setattr(logs, "_CLOSE_TIMEOUT_S", 0.2)
    stream = StuckStream()
    output = configure_logging(log_dir=tmp_path, stream=stream)
    get_logger("bridge.test").info("event")
    assert stream.entered.wait(5)

    output.close()

    assert "event" in output.path.read_text()
    stream.released.set()


def test_close_returns_when_there_is_not_even_room_to_say_so(structlog_restored, monkeypatch):
    monkeypatch.setattr(logs, "_CLOSE_TIMEOUT_S", 0.2)
    stream = StuckStream()
    output = configure_logging(stream=stream, queue_limit=1)
    log = get_logger("bridge.test")
    log.info("written")
    assert stream.entered.wait(5)
    log.info("waits")
    log.info("dropped")

    output.close()

    assert 1 == output.dropped
    stream.released.set()


def test_drops_are_reported_at_the_end_at_the_latest(structlog_restored):
    stream = StuckStream()
    output = configure_logging(stream=stream, queue_limit=2)
    log = get_logger("bridge.test")
    log.info("written")
    assert stream.entered.wait(5)
    for _ in range(5):
        log.info("event")
    stream.released.set()

    output.close()

    assert "3 log records were dropped" in stream.getvalue()


def test_what_waits_is_written_at_close(logged):
    _, lines = logged(lambda log: [log.info("event", number=number) for number in range(5000)])

    assert [line["number"] for line in lines] == list(range(5000))


def test_close_may_be_called_again_and_restores_the_root_logger(tmp_path, structlog_restored):
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    output = configure_logging("error", tmp_path, stream=io.StringIO())

    output.close()
    output.close()

    assert before == (list(root.handlers), root.level)


def test_the_end_of_the_process_writes_what_waits(tmp_path):
    program = (
        "import sys, pathlib, bridge.logs as logs\n"
        "logs.configure_logging('info', pathlib.Path(sys.argv[1]))\n"
        "for number in range(1000): logs.get_logger('x').info('event', number=number)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert "" == done.stdout
    assert 1000 == done.stderr.count("number=")
    assert 1000 == (tmp_path / LOG_FILE_NAME).read_text().count("\n")


# The file


def test_files_are_rotated_and_the_oldest_goes(logged, tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "_FILE_BYTES", 1000)

    logged(lambda log: [log.info("event", number=number) for number in range(200)])

    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted([LOG_FILE_NAME, *(f"{LOG_FILE_NAME}.{n}" for n in range(1, 10))])
    assert max(path.stat().st_size for path in tmp_path.iterdir()) <= 1000


def test_a_file_that_cannot_be_rotated_is_written_on(logged, tmp_path, monkeypatch):
    """
    As on Windows, where a file that another process reads cannot be renamed.
    """

    def refuse(*_):
        raise PermissionError(13, "is used by another process")

    monkeypatch.setattr(logs, "_FILE_BYTES", 1000)
    monkeypatch.setattr("os.rename", refuse)

    stream, lines = logged(lambda log: [log.info("event", number=number) for number in range(50)])

    assert [line["number"] for line in lines] == list(range(50))
    assert "is not rotated" in stream.getvalue()
    assert stream.getvalue().count("is not rotated") < 10


def test_a_full_disk_is_told_once_and_counted(tmp_path, structlog_restored, monkeypatch):
    stream = io.StringIO()
    output = configure_logging(log_dir=tmp_path, stream=stream)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(logs._File, "shouldRollover", full)
    log = get_logger("bridge.test")
    for _ in range(20):
        log.info("event")
    output.close()

    assert 20 == output.failed
    assert 1 == stream.getvalue().count("No space left on device")


def test_a_folder_that_cannot_be_made_is_a_config_error(tmp_path):
    (tmp_path / "file").write_text("")
    before = logging.getLogger().level

    with pytest.raises(ConfigError) as caught:
        configure_logging(log_dir=tmp_path / "file" / "logs", stream=io.StringIO())

    assert "relay.log_dir" == caught.value.key
    assert before == logging.getLogger().level


def test_an_unknown_level_is_refused():
    with pytest.raises(ValueError, match="LOUD"):
        configure_logging("loud")


# Without configure_logging


def test_a_logger_works_in_somebody_elses_program(caplog, capsys):
    with caplog.at_level("INFO"):
        get_logger("bridge.client").info("reconnected", endpoint="tcp://127.0.0.1:5556")

    assert ["reconnected"] == [record.getMessage() for record in caplog.records]
    assert "" == capsys.readouterr().out


def wait_for(condition):
    event = threading.Event()
    for _ in range(2000):
        if condition():
            return
        event.wait(0.005)
    pytest.fail("waited for 10 s")
