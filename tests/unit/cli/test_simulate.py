"""
What ``bridge sim`` refuses, and how it ends.
"""

from __future__ import annotations

import pytest

from bridge.cli import main, simulate
from bridge.config import init_config
from bridge.model.tick import MqlTick
from bridge.sim.tickfile import write_ticks


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.delenv("BRIDGE_CONFIG", raising=False)
    monkeypatch.setenv("BRIDGE_HOME", str(tmp_path))
    # Nobody listens there: what is refused is refused before.
    monkeypatch.setenv("BRIDGE_ENDPOINTS_TERMINAL", "tcp://127.0.0.1:1")
    init_config(tmp_path, ["demo"])
    return tmp_path


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "EURUSD_20240101.csv"
    write_ticks(path, [MqlTick(1000 + n, 1.1, 1.2) for n in range(3)], digits=5)
    return path


def test_files_need_their_option(file, capsys):
    code = main(["sim", str(file)])

    assert code == 2
    assert "--ticks" in capsys.readouterr().err


def test_hold_is_for_files(capsys):
    code = main(["sim", "--hold"])

    assert code == 2
    assert "--hold" in capsys.readouterr().err


def test_one_symbol_in_two_files_is_refused(file, tmp_path, capsys):
    other = tmp_path / "EURUSD_20240102.csv"
    other.write_bytes(file.read_bytes())

    code = main(["sim", "--ticks", str(file), str(other)])

    assert code == 1
    assert "has the symbol EURUSD as well" in capsys.readouterr().err


def test_without_a_configuration_it_says_init(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("BRIDGE_HOME", str(tmp_path / "empty"))

    code = main(["sim"])

    assert code == 3
    assert "'bridge init'" in capsys.readouterr().err


def test_several_terminals_need_a_choice(home, capsys):
    (home / "bridge.toml").write_text("[terminals.a]\n[terminals.b]\n")

    code = main(["sim"])

    assert code == 2
    assert "one of a, b" in capsys.readouterr().err


def test_a_folder_that_cannot_be_used(home, capsys):
    (home / "data").write_text("in the way")

    code = main(["sim"])

    assert code == 3
    assert "the folder cannot be used" in capsys.readouterr().err


def test_while_nobody_is_there_it_says_where_it_dials_and_what_to_do(monkeypatch, capsys):
    monkeypatch.setattr(simulate, "_FIRST_TELL_S", 0.0)
    code = main(["sim", "--symbols", "EURUSD", "--seconds", "0.3"])

    assert code == 0
    [line] = [line for line in capsys.readouterr().err.splitlines() if "dialling" in line]
    assert "relay=tcp://127.0.0.1:1 " in line
    assert "'bridge run'" in line


@pytest.mark.parametrize(
    "arguments", [["--symbols", "EURUSD"], ["--speed", "max", "--ticks"], ["--symbols", "2"]]
)
def test_it_ends_after_its_time(file, capsys, arguments):
    arguments = [*arguments, str(file)] if arguments[-1] == "--ticks" else arguments

    code = main(["sim", *arguments, "--seconds", "0.3"])

    said = capsys.readouterr()
    assert (code, said.out) == (0, "")
    assert "simulated terminal stopped" in said.err


def folder_of(home):
    folder = home / "data" / "sim" / "demo"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ledger-5000001.sqlite", []),
        ("broker-5000001.bin", []),
        ("ledger-5000002.sqlite", ["--netting"]),
        ("broker-5000002.bin", ["--netting"]),
    ],
)
def test_a_damaged_file_is_named_and_kept(home, capsys, name, options):
    path = folder_of(home) / name
    path.write_bytes(b"damaged" * 1000)

    code = main(["sim", "--symbols", "1", "--seconds", "1", *options])

    assert code != 0
    assert name in capsys.readouterr().err
    assert b"damaged" * 1000 == path.read_bytes()


def test_an_account_of_each_mode_has_files_of_its_own(home):
    folder = folder_of(home)
    for options in ([], ["--netting"]):
        assert main(["sim", "--symbols", "1", "--seconds", "0.1", *options]) == 0

    assert ["ledger-5000001.sqlite", "ledger-5000002.sqlite"] == sorted(
        path.name for path in folder.glob("ledger-*.sqlite")
    )
