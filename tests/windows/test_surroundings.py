"""
Paths, user names, encodings and the installed program, as Windows has them.
"""

from __future__ import annotations

import json
import locale
import os
import subprocess
import sys
import time
from pathlib import Path

import platformdirs
import pytest

from bridge.config import init_config
from tests.support.press import press, under_wine
from tests.support.processes import (
    DEADLINE_S,
    FREE_PORTS,
    Bridge,
    Process,
    environment,
    run_bridge,
)

if sys.platform != "win32":
    pytest.skip("Windows processes: make test-windows", allow_module_level=True)


def program():
    """
    Return ``bridge.exe`` as pip made it.
    """
    path = Path(sys.executable).parent / "Scripts" / "bridge.exe"
    if not path.exists():
        path = Path(sys.executable).with_name("bridge.exe")
    if not path.exists():
        pytest.skip("mt5-zmq-bridge is not installed for this Python, so there is no bridge.exe")
    return path


def users_environment():
    """
    Return the environment of a user that has set nothing.
    """
    env = environment(Path("unused"))
    del env["BRIDGE_HOME"], env["PYTHONPATH"]
    return env


@pytest.fixture
def profile():
    """
    Return the two folders of the user's profile, without what a former run left in them.
    """
    config = platformdirs.user_config_path("bridge", appauthor=False, roaming=True)
    local = platformdirs.user_data_path("bridge", appauthor=False)
    if not under_wine():
        pytest.skip("the profile of a real user is not for tests")
    for folder in (config, local):
        subprocess.run(["cmd", "/c", "rmdir", "/s", "/q", str(folder)], check=False)
    return config, local


def test_the_installed_program_uses_the_users_profile(profile):
    """
    What a user does first, with a name of letters that are not ASCII, and no option at all.
    """
    config, local = profile
    bridge, env = str(program()), users_environment()
    with Process([bridge, "init"], env) as init:
        done = init.finish()

    assert 0 == done.code
    assert [f"written: {config / 'keys' / 'demo.key'}", f"written: {config / 'bridge.toml'}"] == (
        done.out.splitlines()
    )
    with Process([bridge, "run", *FREE_PORTS], env) as relay:
        relay.err_line("relay ready")
        with Process([bridge, "status"], env) as status:
            told = json.loads(status.finish().out)
        assert str(local) in told["data_dir"]
        # The key reaches the launcher and the interpreter that it waits for.
        press(relay.process.pid, "c")
        finished = relay.finish()
    assert 0 == finished.code
    assert "relay stopped" in finished.err.splitlines()[-1]


@pytest.mark.parametrize("name", ["with blanks", "Größe", "O'Brien & (x86) 100%"])
def test_a_folder_of_any_name(tmp_path, name):
    home = tmp_path / name
    done = run_bridge("init", "--home", home, home=tmp_path)
    with Bridge("run", *FREE_PORTS, "--home", str(home), home=tmp_path) as relay:
        relay.err_line("relay ready")
        stopped = run_bridge("stop", "--home", home, home=tmp_path)
        finished = relay.finish()

    assert [0, 0, 0] == [done.code, stopped.code, finished.code]
    assert str(home) in done.out
    assert (home / "logs" / "bridge.jsonl").exists()


def test_a_folder_that_the_code_page_cannot_show(tmp_path):
    """
    Written as escapes, where another program would end with an error of encoding.
    """
    home = tmp_path / "Торговля 取引"
    done = run_bridge("init", "--home", home, home=tmp_path)
    with Bridge("run", *FREE_PORTS, "--home", str(home), home=tmp_path) as relay:
        relay.err_line("relay ready")
        stopped = run_bridge("stop", "--home", home, home=tmp_path)
        finished = relay.finish()

    assert [0, 0, 0] == [done.code, stopped.code, finished.code]
    if locale.getpreferredencoding(False).lower() == "cp1252":
        assert r"\u0422\u043e\u0440\u0433" in done.out


def test_a_console_of_code_page_1252_shows_a_log_of_any_language(tmp_path):
    home = tmp_path / "home"
    init_config(home, ["demo"])
    missing = home / "Торговля.csv"

    finished = run_bridge("sim", "--ticks", missing, home=home)

    assert 2 == finished.code
    assert "does not exist" in finished.err


def test_a_variable_of_the_environment_may_have_any_letters(tmp_path):
    home = tmp_path / "取引"
    init_config(home, ["demo"])

    finished = run_bridge("config", "check", home=home, env={"BRIDGE_HOME": str(home)})

    assert 0 == finished.code


def test_files_that_somebody_reads_do_not_keep_a_relay_from_ending(tmp_path):
    """
    On Windows a file that is open elsewhere can be neither renamed nor removed.
    """
    home = tmp_path / "home"
    init_config(home, ["demo"])
    with Bridge("run", *FREE_PORTS, home=home) as relay:
        relay.err_line("relay ready")
        with (
            (home / "logs" / "bridge.jsonl").open("rb") as log,
            (home / "data" / "control.json").open("rb"),
        ):
            assert 0 == run_bridge("stop", home=home).code
            assert b"relay ready" in log.read()
        finished = relay.finish()

    assert 0 == finished.code
    assert "a file cannot be removed" in finished.err


def test_without_a_console_a_relay_runs_and_stops(tmp_path):
    """
    ``pythonw``, as the Task Scheduler starts it: there is neither stdout nor stderr.
    """
    interpreter = Path(sys.executable).with_name("pythonw.exe")
    if not interpreter.exists():
        pytest.skip("this Python has no pythonw.exe")
    home = tmp_path / "home"
    init_config(home, ["demo"])
    log = home / "logs" / "bridge.jsonl"
    relay = subprocess.Popen(
        [str(interpreter), "-m", "bridge", "run", *FREE_PORTS],
        env=environment(home),
        creationflags=subprocess.DETACHED_PROCESS,
    )
    try:
        until = time.monotonic() + DEADLINE_S
        while not (log.exists() and "relay ready" in log.read_text(encoding="utf-8")):
            assert relay.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        assert 0 == run_bridge("stop", home=home).code
        assert 0 == relay.wait(DEADLINE_S)
    finally:
        relay.kill()
        relay.wait(DEADLINE_S)
    assert "relay stopped" in log.read_text(encoding="utf-8").splitlines()[-1]


def test_the_code_page_is_what_users_have():
    """
    Under Wine only: a real Windows may be set to another one.
    """
    if not under_wine():
        pytest.skip("the code page of this Windows is its user's")

    assert "cp1252" == locale.getpreferredencoding(False).lower()
    assert "Jörg Müller" == os.environ["USERNAME"]
