"""
The same options mean the same everywhere.
"""

from __future__ import annotations

import json

import click
import pytest
from click.testing import CliRunner

from bridge.cli.options import Access, Place, client_options
from bridge.config import init_config


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.delenv("BRIDGE_CONFIG", raising=False)
    monkeypatch.setenv("BRIDGE_HOME", str(tmp_path))
    init_config(tmp_path, ["demo"])
    return tmp_path


def access_of(*arguments):
    """
    Return what a client command gets from these options.
    """
    found = []

    @click.command()
    @client_options
    def command(access):
        found.append(access)

    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    return found[0] if found else result


def test_home_is_above_the_environment(home, monkeypatch, tmp_path):
    monkeypatch.setenv("BRIDGE_CONFIG", str(tmp_path / "not there.toml"))

    settings = Place(home=home).settings()

    assert settings.relay.data_dir == home / "data"


def test_config_and_home_are_told_to_the_next_command(tmp_path):
    place = Place(config=tmp_path / "a.toml", home=tmp_path)

    assert place.flags() == f' --config "{tmp_path / "a.toml"}" --home "{tmp_path}"'


def test_a_relay_is_looked_for_where_the_configuration_says(home, monkeypatch):
    monkeypatch.setenv("BRIDGE_ENDPOINTS_REQUEST", "tcp://127.0.0.1:7001")

    assert access_of().request_endpoint() == "tcp://127.0.0.1:7001"


def test_a_running_relay_knows_better_than_the_configuration(home):
    endpoints = {"request": "tcp://127.0.0.1:7002", "terminal": "tcp://127.0.0.1:7003"}
    (home / "data").mkdir()
    (home / "data" / "control.json").write_text(
        json.dumps({"v": 1, "pid": 1, "token": "x", "endpoints": endpoints})
    )

    assert access_of().request_endpoint() == "tcp://127.0.0.1:7002"
    assert access_of().terminal_endpoint() == "tcp://127.0.0.1:7003"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"endpoints": 5}', '{"v":1,"pid":1}'])
def test_a_broken_control_file_is_as_good_as_none(home, content):
    (home / "data").mkdir()
    (home / "data" / "control.json").write_text(content)

    assert access_of().request_endpoint() == "tcp://127.0.0.1:5556"


def test_the_flag_is_above_all_and_needs_no_configuration(home):
    (home / "bridge.toml").write_text("broken")

    access = access_of("--endpoint", "tcp://localhost:7004", "--terminal", "x", "--timeout", "2")

    assert access == Access(Place(), "tcp://127.0.0.1:7004", "x", 2.0, None)
    assert access.request_endpoint() == "tcp://127.0.0.1:7004"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--endpoint", "nonsense"], "must look like tcp://127.0.0.1:5556"),
        (["--endpoint", "tcp://127.0.0.1:0"], "port 0"),
        (["--endpoint", "tcp://10.0.0.1:5556"], "SSH tunnel"),
        (["--timeout", "0"], "0.0 is not in the range"),
        (["--timeout", "soon"], "'soon' is not a valid"),
    ],
)
def test_what_is_wrong_is_said(arguments, said):
    result = access_of(*arguments)

    assert result.exit_code == 2
    assert said in result.output
