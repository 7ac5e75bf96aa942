"""
Every error becomes one line and an exit code; nobody sees a traceback.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import click
import pytest

from bridge.cli import app
from bridge.cli.options import place_options
from bridge.cli.output import ReaderGone
from bridge.exceptions import ConfigError, RelayUnreachable

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def ending_with(monkeypatch):
    """
    Return a function that runs a command which ends with an error, or returns a value.
    """

    def run(outcome):
        @click.command()
        def command():
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        monkeypatch.setattr(app.cli, "get_command", lambda _ctx, _name: command)
        return app.main(["anything"])

    return run


@pytest.mark.parametrize(
    ("outcome", "code", "line"),
    [
        (None, 0, ""),
        (ConfigError("wrong", source="f"), 3, "bridge: f: wrong\n"),
        (RelayUnreachable("gone"), 10, "bridge: [relay] RELAY_UNREACHABLE: gone\n"),
        (KeyboardInterrupt(), 130, "\n"),
    ],
)
def test_one_line_and_a_code(ending_with, capsys, outcome, code, line):
    result = ending_with(outcome)

    assert (result, capsys.readouterr().err) == (code, line)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["run", "--nonsense"], "--nonsense"),
        (["config"], "Usage: bridge config"),
        ([], "Usage: bridge"),
    ],
)
def test_a_wrong_command_line_has_code_2(capsys, arguments, said):
    code = app.main(arguments)

    assert code == 2
    assert said in capsys.readouterr().err


def test_a_defect_is_one_line_that_names_the_file_with_the_rest(
    ending_with, capsys, monkeypatch, tmp_path
):
    monkeypatch.setenv("BRIDGE_HOME", str(tmp_path))
    monkeypatch.delenv("BRIDGE_DEBUG", raising=False)

    code = ending_with(ZeroDivisionError("a\nb"))

    file = tmp_path / "logs" / "bridge-crash.log"
    assert code == 1
    assert capsys.readouterr().err == (
        f"bridge: this is a defect: ZeroDivisionError: a b (details are in {file})\n"
    )
    assert "Traceback" in file.read_text()


def test_a_defect_whose_file_cannot_be_written_is_still_one_line(
    ending_with, capsys, monkeypatch, tmp_path
):
    (tmp_path / "logs").write_text("in the way")
    monkeypatch.setenv("BRIDGE_HOME", str(tmp_path))
    monkeypatch.delenv("BRIDGE_DEBUG", raising=False)

    code = ending_with(ZeroDivisionError("x"))

    assert code == 1
    assert capsys.readouterr().err == (
        "bridge: this is a defect: ZeroDivisionError: x (set BRIDGE_DEBUG=1 to see where)\n"
    )


def test_who_debugs_gets_the_traceback(ending_with, capsys, monkeypatch):
    monkeypatch.setenv("BRIDGE_DEBUG", "1")

    code = ending_with(ZeroDivisionError("x"))

    assert code == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_went_away_is_no_error(ending_with, monkeypatch):
    discarded = []
    monkeypatch.setattr(app, "discard_stdout", lambda: discarded.append(True))

    code = ending_with(ReaderGone())

    assert (code, discarded) == (0, [True])


def test_exit_of_a_command_is_its_code(monkeypatch):
    @click.command()
    @click.pass_context
    def command(ctx):
        ctx.exit(7)

    monkeypatch.setattr(app.cli, "get_command", lambda _ctx, _name: command)

    assert app.main(["anything"]) == 7


@pytest.mark.parametrize("name", app.COMMANDS)
def test_the_list_of_commands_says_what_they_say(name):
    command = app.cli.get_command(click.Context(app.cli), name)

    assert command.name == name
    assert command.short_help == app.COMMANDS[name].help


def test_the_list_of_commands_is_printed(capsys):
    code = app.main(["--help"])

    out = capsys.readouterr().out
    assert code == 0
    assert all(lazy.help in out for lazy in app.COMMANDS.values())


def test_help_loads_nothing_but_click():
    """
    zmq, pydantic and structlog take ten times as long to import as the rest.
    """
    program = (
        "import sys; from bridge.cli import main; main(['--help']);"
        "print({'zmq', 'pydantic', 'structlog', 'msgpack', 'asyncio'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize("shell", ["bash_source", "zsh_source", "fish_source"])
def test_completion_is_clicks(shell):
    done = subprocess.run(
        [sys.executable, "-m", "bridge"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "_BRIDGE_COMPLETE": shell},
        capture_output=True,
        text=True,
        check=False,
    )

    # click asks the bash on the PATH for its version and wants 4.4.
    assert "_BRIDGE_COMPLETE" in done.stdout, done.stderr


def test_version(capsys):
    code = app.main(["--version"])

    assert code == 0
    assert capsys.readouterr().out.startswith("bridge ")


def test_a_defect_in_a_thread_fails_the_command(ending_with, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("BRIDGE_HOME", str(tmp_path))
    monkeypatch.delenv("BRIDGE_DEBUG", raising=False)
    before = threading.excepthook

    @click.command()
    def command():
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()

    monkeypatch.setattr(app.cli, "get_command", lambda _ctx, _name: command)

    code = app.main(["anything"])

    assert code == 1
    assert capsys.readouterr().err.startswith("bridge: this is a defect: ZeroDivisionError")
    assert threading.excepthook is before


def test_home_of_the_command_line_is_where_defects_go(capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("BRIDGE_DEBUG", raising=False)

    @click.command()
    @place_options
    def command(place):
        raise ZeroDivisionError(str(place.home))

    monkeypatch.setattr(app.cli, "get_command", lambda _ctx, _name: command)

    app.main(["anything", "--home", str(tmp_path)])

    assert (tmp_path / "logs" / "bridge-crash.log").exists()
