"""
The files of ``examples/deploy``: what Task Scheduler and systemd would make of them.
"""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import click
import pytest

from bridge.cli.app import cli
from bridge.cli.exits import ExitCode

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples" / "deploy"
UNITS = sorted(FOLDER.glob("*.service"))
TASK = FOLDER / "bridge-task.xml"
NAMES = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
#: The order is the schema's: Task Scheduler refuses another one (MS-TSCH 2.5).
PARTS = ["RegistrationInfo", "Triggers", "Principals", "Settings", "Actions"]


def parsed(words):
    """
    Parse a command line of ours; click raises at what it does not know.
    """
    context = click.Context(cli, info_name="bridge")
    command = cli.get_command(context, words[0])
    assert command is not None, words
    command.make_context(words[0], list(words[1:]), parent=context)


# Task Scheduler -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def task():
    return ET.parse(TASK).getroot()  # noqa: S314 - a file of ours


def text_of(task, path):
    return task.findtext("/".join(f"t:{name}" for name in path.split("/")), None, NAMES)


def test_a_task_has_its_parts_in_order(task):
    prefix = f"{{{NAMES['t']}}}"

    assert f"{prefix}Task" == task.tag
    assert PARTS == [part.tag.removeprefix(prefix) for part in task]


def test_a_task_can_be_read_in_any_encoding():
    """
    Without a declaration: PowerShell hands the text over as UTF-16, schtasks as it is.
    """
    content = TASK.read_bytes()

    assert content.isascii()
    assert b"<?xml" not in content


def test_a_relay_that_ended_is_started_again(task):
    """
    An action that ends with an error is no failure for RestartOnFailure (MS-TSCH 2.5.4.2).
    """
    trigger = "Triggers/LogonTrigger/Repetition"

    assert "PT1M" == text_of(task, f"{trigger}/Interval")
    assert text_of(task, f"{trigger}/Duration") is None
    assert "IgnoreNew" == text_of(task, "Settings/MultipleInstancesPolicy")
    # An unsignedByte.
    assert 1 <= int(text_of(task, "Settings/RestartOnFailure/Count")) <= 255


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ExecutionTimeLimit", "PT0S"),
        ("DisallowStartIfOnBatteries", "false"),
        ("StopIfGoingOnBatteries", "false"),
        ("RunOnlyIfIdle", "false"),
        ("IdleSettings/StopOnIdleEnd", "false"),
        ("Priority", "4"),
    ],
)
def test_nothing_ends_a_task_or_slows_it_down(task, name, value):
    assert value == text_of(task, f"Settings/{name}")


def test_a_task_runs_as_its_user_without_more_rights(task):
    principal = "Principals/Principal"

    assert "InteractiveToken" == text_of(task, f"{principal}/LogonType")
    assert "LeastPrivilege" == text_of(task, f"{principal}/RunLevel")
    # Whoever registers it.
    assert text_of(task, f"{principal}/UserId") is None


def test_a_task_runs_a_command_of_ours_from_where_the_page_installs_it(task):
    page = (ROOT / "docs" / "howto" / "windows-vps.md").read_text(encoding="utf-8")
    folder, _, name = text_of(task, "Actions/Exec/Command").rpartition("\\Scripts\\")
    words = shlex.split(text_of(task, "Actions/Exec/Arguments"))

    assert f'"{folder.replace("%LOCALAPPDATA%", "$env:LOCALAPPDATA")}"' in page
    assert ("pythonw.exe", ["-m", "bridge"]) == (name, words[:2])
    parsed(words[2:])


# systemd ------------------------------------------------------------------------------


def options_of(unit):
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str
    parser.read(unit, encoding="utf-8")
    return parser


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_runs_a_command_of_ours(unit):
    program, *words = shlex.split(options_of(unit)["Service"]["ExecStart"])

    assert program.endswith("/bin/bridge")
    parsed(words)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_again_unless_it_would_end_the_same_way(unit):
    service = options_of(unit)["Service"]
    final = {ExitCode.USAGE, ExitCode.CONFIG_INVALID, ExitCode.ALREADY_RUNNING}

    assert ("on-failure", "SIGTERM") == (service["Restart"], service["KillSignal"])
    assert final == {ExitCode(int(code)) for code in service["RestartPreventExitStatus"].split()}
    assert "0" == options_of(unit)["Unit"]["StartLimitIntervalSec"]


def test_the_unit_of_the_machine_does_not_run_as_root_and_has_a_home():
    service = options_of(FOLDER / "bridge-system.service")["Service"]

    assert service["User"] not in {"", "root", "0"}
    assert f"BRIDGE_HOME=%S/{service['StateDirectory']}" == service["Environment"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_pages_name_the_programs_of_the_units(unit):
    page = (ROOT / "docs" / "howto" / "linux-daemon.md").read_text(encoding="utf-8")
    program = shlex.split(options_of(unit)["Service"]["ExecStart"])[0].replace("%h", "~")

    assert f"{program} init demo" in page
    assert f"examples/deploy/{unit.name}" in page


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_nothing_wrong(unit, tmp_path):
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze checks units, and is not here")
    # It wants the program to be there; the rest of the unit stays as it is.
    text = re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={sys.executable}", unit.read_text("utf-8"))
    copy = tmp_path / unit.name
    copy.write_text(text, encoding="utf-8")
    kind = "--system" if "User=" in text else "--user"

    done = subprocess.run(
        [tool, kind, "--man=no", "verify", str(copy)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)},
    )

    complaints = [line for line in done.stderr.splitlines() if unit.name in line]
    assert [] == complaints
