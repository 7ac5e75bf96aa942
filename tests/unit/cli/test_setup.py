"""
``bridge init`` writes what ``bridge config check`` accepts.
"""

from __future__ import annotations

import json

import pytest

from bridge.cli import main


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("BRIDGE_CONFIG", raising=False)
    monkeypatch.setenv("BRIDGE_HOME", str(tmp_path / "home"))


def test_init_writes_and_check_accepts(capsys, tmp_path):
    first = main(["init"])
    written = capsys.readouterr()
    code = main(["config", "check"])
    checked = capsys.readouterr()

    home = tmp_path / "home"
    assert (first, code) == (0, 0)
    assert written.out.splitlines() == [
        f"written: {home / 'keys' / 'demo.key'}",
        f"written: {home / 'bridge.toml'}",
    ]
    assert written.err == "next: bridge run\n"
    assert checked.out == f"ok: {home / 'bridge.toml'}; terminals: demo\n"


def test_a_second_terminal_is_added_and_nothing_is_broken(capsys, tmp_path):
    main(["init"])
    key = (tmp_path / "home" / "keys" / "demo.key").read_bytes()
    capsys.readouterr()

    code = main(["init", "demo", "ftmo1"])

    said = capsys.readouterr()
    assert code == 0
    assert "kept: " in said.out
    assert "add this line" in said.err
    assert "[terminals.ftmo1]" in said.err
    assert (tmp_path / "home" / "keys" / "demo.key").read_bytes() == key


def test_force_makes_new_keys(tmp_path):
    main(["init"])
    key = (tmp_path / "home" / "keys" / "demo.key").read_bytes()

    main(["init", "--force"])

    assert (tmp_path / "home" / "keys" / "demo.key").read_bytes() != key


def test_init_goes_where_it_is_told(capsys, tmp_path):
    code = main(["init", "--home", str(tmp_path / "a b")])

    assert code == 0
    assert (tmp_path / "a b" / "bridge.toml").exists()
    assert capsys.readouterr().err == f'next: bridge run --home "{tmp_path / "a b"}"\n'


def test_init_does_not_write_beside_what_would_be_read(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("BRIDGE_CONFIG", str(tmp_path / "mine.toml"))

    code = main(["init"])

    assert code == 2
    assert "--home" in capsys.readouterr().err


def test_an_alias_that_is_none_is_a_configuration_error(capsys):
    code = main(["init", "My Broker"])

    assert code == 3
    assert capsys.readouterr().err.startswith("bridge: 'My Broker' is no alias")


def test_check_tells_everything_that_is_wrong(capsys, tmp_path):
    main(["init"])
    file = tmp_path / "home" / "bridge.toml"
    file.write_text("[relay]\nlog_levl = 'info'\n[ticks]\nring_bytes_per_topic = 1\n")
    capsys.readouterr()

    code = main(["config", "check"])

    lines = capsys.readouterr().err.splitlines()
    assert code == 3
    assert len(lines) == 2
    assert "did you mean relay.log_level?" in lines[0] + lines[1]


def test_check_looks_into_the_keys(capsys, tmp_path):
    main(["init"])
    (tmp_path / "home" / "keys" / "demo.key").write_text("short")
    capsys.readouterr()

    code = main(["config", "check", "-o", "json"])

    found = json.loads(capsys.readouterr().out)
    assert code == 3
    assert (found["v"], found["ok"]) == (1, False)
    assert [problem["problem"] for problem in found["problems"]] == [
        "expected 64 characters, found 5"
    ]


def test_check_without_a_file_says_what_to_do(capsys):
    code = main(["config", "check"])

    said = capsys.readouterr()
    assert code == 0
    assert "defaults" in said.out
    assert "'bridge init'" in said.err
