from __future__ import annotations

import os
from pathlib import Path

import platformdirs
import platformdirs.windows
import pytest

from bridge.config import default_config_path, load, problems
from bridge.exceptions import ConfigError


@pytest.fixture
def write(tmp_path):
    """
    Return a function that writes a configuration and returns its path.
    """

    def write(text, encoding="utf-8"):
        path = tmp_path / "bridge.toml"
        path.write_text(text, encoding=encoding)
        return path

    return write


@pytest.fixture
def windows(tmp_path, monkeypatch):
    """
    Let platformdirs answer as on Windows, with a profile below ``tmp_path``.
    """
    folders = {"CSIDL_APPDATA": "Roaming", "CSIDL_LOCAL_APPDATA": "Local"}
    profile = tmp_path / "AppData"
    monkeypatch.setattr(
        platformdirs.windows, "get_win_folder", lambda name: str(profile / folders[name])
    )
    monkeypatch.setattr(platformdirs, "PlatformDirs", platformdirs.windows.Windows)
    return profile


def error_of(*arguments, **keywords):
    with pytest.raises(ConfigError) as caught:
        load(*arguments, **keywords)
    return caught.value


# Where the file is


def test_the_file_is_named_by_the_environment(tmp_path):
    env = {"BRIDGE_CONFIG": str(tmp_path / "x.toml"), "BRIDGE_HOME": "/srv/bridge"}

    assert tmp_path / "x.toml" == default_config_path(env)


def test_home_holds_the_file(tmp_path):
    assert tmp_path / "bridge.toml" == default_config_path({"BRIDGE_HOME": str(tmp_path)})


def test_home_may_start_with_a_tilde(monkeypatch, tmp_path):
    monkeypatch.setattr(os.path, "expanduser", lambda path: str(path).replace("~", str(tmp_path)))

    assert tmp_path / "b" / "bridge.toml" == default_config_path({"BRIDGE_HOME": "~/b"})


@pytest.mark.skipif(os.name == "nt", reason="on Windows every name could be a user's")
def test_an_unknown_user_is_told_by_the_variable():
    error = error_of(env={"BRIDGE_HOME": "~nobody-of-this-name/b"})

    assert "BRIDGE_HOME" == error.source


def test_without_either_the_platform_decides(windows):
    assert windows / "Roaming" / "bridge" / "bridge.toml" == default_config_path({})


def test_on_windows_data_and_logs_are_local_and_keys_lie_beside_the_file(windows):
    settings = load(env={}, overrides={"terminals.demo.login": 1})

    assert windows / "Local" / "bridge" == settings.relay.data_dir
    assert windows / "Local" / "bridge" / "Logs" == settings.relay.log_dir
    assert settings.terminals["demo"].key_file == (
        windows / "Roaming" / "bridge" / "keys" / "demo.key"
    )


def test_nothing_has_to_be_there(windows):
    assert "tcp://127.0.0.1:5556" == load(env={}).endpoints.request


@pytest.mark.parametrize("how", ["argument", "variable"])
def test_a_file_that_is_named_has_to_be_there(tmp_path, how):
    path = tmp_path / "absent.toml"

    error = error_of(path, {}) if how == "argument" else error_of(env={"BRIDGE_CONFIG": str(path)})

    assert error.source == str(path)
    assert "does not exist" in error.problem
    assert "bridge init" in error.hint


# What is above what


def test_environment_is_above_the_file_and_overrides_above_both(write):
    path = write("[limits]\nsend_hwm = 100\nsessions_pending_logon = 10\n")
    env = {"BRIDGE_LIMITS_SEND_HWM": "200", "BRIDGE_LIMITS_SESSIONS_PENDING_LOGON": "20"}

    limits = load(path, env, {"limits.send_hwm": 300}).limits

    assert (300, 20) == (limits.send_hwm, limits.sessions_pending_logon)


def test_overrides_that_were_not_given_are_skipped(write):
    path = write('[relay]\nlog_level = "debug"\n')

    assert "debug" == load(path, {}, {"relay.log_level": None}).relay.log_level


def test_empty_variables_are_not_set(write):
    path = write('[relay]\nlog_level = "debug"\n')

    assert "debug" == load(path, {"BRIDGE_LOG_LEVEL": "", "BRIDGE_HOME": ""}).relay.log_level


def test_the_short_name_of_the_log_level_gives_way_to_the_full_one(write):
    path = write('[relay]\nlog_level = "debug"\n')
    short = {"BRIDGE_LOG_LEVEL": "error"}

    assert "error" == load(path, short).relay.log_level
    assert "info" == load(path, {**short, "BRIDGE_RELAY_LOG_LEVEL": "info"}).relay.log_level
    assert "info" == load(path, {"BRIDGE_RELAY_LOG_LEVEL": "info", **short}).relay.log_level


@pytest.mark.parametrize(("text", "expected"), [("true", True), ("1", True), ("FALSE", False)])
def test_text_of_the_environment_becomes_truth(write, text, expected):
    env = {"BRIDGE_TERMINALS_DEMO_DEMO_ONLY": text}

    assert load(write(""), env).terminals["demo"].demo_only is expected


def test_text_of_the_environment_becomes_numbers(write):
    env = {
        "BRIDGE_TICKS_LINGER_AFTER_LAST_SUBSCRIBER_S": "0.25",
        "BRIDGE_TERMINALS_DEMO_LOGIN": "7",
    }

    settings = load(write(""), env)

    assert 0.25 == settings.ticks.linger_after_last_subscriber_s
    assert 7 == settings.terminals["demo"].login


def test_what_may_be_traded_comes_from_every_source(write):
    path = write("[terminals.ftmo-1.trading]\nenabled = true\nsymbols = ['EURUSD']\n")
    env = {
        "BRIDGE_TERMINALS_FTMO_1_TRADING_SYMBOLS": "XAUUSD, GBPUSD.r,",
        "BRIDGE_TERMINALS_FTMO_1_TRADING_MAX_VOLUME": "0.5",
    }

    settings = load(path, env, {"terminals.ftmo-1.trading.max_open_positions": "3"})

    trading = settings.terminals["ftmo-1"].trading
    assert {"ftmo-1"} == set(settings.terminals)
    assert (True, 3) == (trading.enabled, trading.max_open_positions)
    assert (("XAUUSD", "GBPUSD.r"), 0.5) == (trading.symbols, trading.max_volume)


def test_a_terminal_may_be_named_by_what_it_trades_alone(write, tmp_path):
    settings = load(write("[terminals.demo.trading]\n"), {})

    assert tmp_path / "keys" / "demo.key" == settings.terminals["demo"].key_file


def test_a_terminal_of_the_file_is_meant_whatever_its_dashes(write):
    path = write("[terminals.ftmo-1]\n[terminals.demo]\n")

    settings = load(path, {"BRIDGE_TERMINALS_FTMO_1_LOGIN": "7"})

    assert 7 == settings.terminals["ftmo-1"].login
    assert {"ftmo-1", "demo"} == set(settings.terminals)


def test_overrides_are_not_changed():
    table = {"log_level": "debug"}
    overrides = {"relay": table, "relay.data_dir": "/x"}

    load(env={"BRIDGE_HOME": "/srv/bridge"}, overrides=overrides)

    assert {"log_level": "debug"} == table


# Paths


def test_paths_of_the_file_start_at_the_file(write, tmp_path):
    path = write('[relay]\ndata_dir = "d"\n[terminals.demo]\nkey_file = "../k/demo.key"\n')

    settings = load(path, {})

    assert tmp_path / "d" == settings.relay.data_dir
    assert tmp_path.parent / "k" / "demo.key" == settings.terminals["demo"].key_file


def test_paths_of_the_shell_start_at_the_working_folder(write, tmp_path, monkeypatch):
    path = write("")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    settings = load(path, {"BRIDGE_RELAY_DATA_DIR": "d"}, {"relay.log_dir": Path("l")})

    assert tmp_path / "here" / "d" == settings.relay.data_dir
    assert tmp_path / "here" / "l" == settings.relay.log_dir


def test_keys_lie_beside_the_file(write, tmp_path):
    settings = load(write("[terminals.demo]\n"), {})

    assert tmp_path / "keys" / "demo.key" == settings.terminals["demo"].key_file


def test_home_has_everything_below_it(tmp_path):
    (tmp_path / "bridge.toml").write_text("[terminals.demo]\n")

    settings = load(env={"BRIDGE_HOME": str(tmp_path)})

    assert tmp_path / "data" == settings.relay.data_dir
    assert tmp_path / "logs" == settings.relay.log_dir
    assert tmp_path / "keys" / "demo.key" == settings.terminals["demo"].key_file


def test_home_gives_way_to_what_is_said_in_the_file(tmp_path):
    (tmp_path / "bridge.toml").write_text('[relay]\ndata_dir = "elsewhere"\n')

    settings = load(env={"BRIDGE_HOME": str(tmp_path)})

    assert tmp_path / "elsewhere" == settings.relay.data_dir
    assert tmp_path / "logs" == settings.relay.log_dir


# What is refused


@pytest.mark.parametrize(
    ("text", "key", "problem", "hint"),
    [
        pytest.param(
            "[tick]\n", "tick", "unknown setting", "did you mean ticks?", id="unknown section"
        ),
        pytest.param(
            "[ticks]\nresume_max_age = 5\n",
            "ticks.resume_max_age",
            "unknown setting",
            "did you mean ticks.resume_max_age_s?",
            id="unknown setting",
        ),
        pytest.param(
            "[ticks]\nx = 5\n",
            "ticks.x",
            "unknown setting",
            "known: ring_bytes_per_topic, ring_bytes_total",
            id="nothing near",
        ),
        pytest.param(
            "[terminals.demo]\nserver_name = 'x'\n",
            "terminals.demo.server_name",
            "unknown setting",
            "did you mean terminals.demo.server?",
            id="unknown setting of a terminal",
        ),
        pytest.param(
            "[ticks]\nresume_max_age_s = '60'\n",
            "ticks.resume_max_age_s",
            "must be a valid integer, not '60'",
            "",
            id="text for a number",
        ),
        pytest.param(
            "[ticks]\nresume_max_age_s = 60.0\n",
            "ticks.resume_max_age_s",
            "must be a valid integer, not 60.0",
            "",
            id="fraction for an integer",
        ),
        pytest.param(
            "[ticks]\nresume_max_age_s = true\n",
            "ticks.resume_max_age_s",
            "must be a valid integer, not True",
            "",
            id="truth for a number",
        ),
        pytest.param(
            "[ticks]\nresume_max_age_s = 1\n",
            "ticks.resume_max_age_s",
            "must be greater than or equal to 60, not 1",
            "",
            id="too small",
        ),
        pytest.param(
            "[terminals.demo]\ndemo_only = 1\n",
            "terminals.demo.demo_only",
            "must be a valid boolean, not 1",
            "",
            id="number for truth",
        ),
        pytest.param(
            "[relay]\nlog_level = 'loud'\n",
            "relay.log_level",
            "must be 'debug', 'info', 'warning' or 'error', not 'loud'",
            "",
            id="no such choice",
        ),
        pytest.param(
            "[relay]\ndata_dir = 5\n", "relay.data_dir", "not 5", "", id="number for a path"
        ),
        pytest.param("relay = 5\n", "relay", "must be a table, as in [relay]", "", id="no table"),
        pytest.param(
            "[terminals]\ndemo = 5\n",
            "terminals.demo",
            "must be a table, as in [terminals.demo]",
            "",
            id="terminal that is no table",
        ),
        pytest.param(
            "[terminals.demo]\ntrading = true\n",
            "terminals.demo.trading",
            "must be a table, as in [terminals.demo.trading]",
            "",
            id="trading that is no table",
        ),
        pytest.param(
            "[terminals.demo.trading]\nmax_volum = 1\n",
            "terminals.demo.trading.max_volum",
            "unknown setting",
            "did you mean terminals.demo.trading.max_volume?",
            id="unknown setting of what may be traded",
        ),
        pytest.param(
            "[terminals.demo.tradng]\nenabled = true\n",
            "terminals.demo.tradng",
            "unknown setting",
            "did you mean terminals.demo.trading?",
            id="misspelt section below a terminal",
        ),
        pytest.param(
            "[terminals.demo.trading]\nsymbols = 'EURUSD'\n",
            "terminals.demo.trading.symbols",
            'must be a list, as in symbols = ["EURUSD", "GBPUSD"]',
            "",
            id="text for a list",
        ),
        pytest.param(
            "[terminals.demo.trading]\nsymbols = ['EURUSD', 5]\n",
            "terminals.demo.trading.symbols",
            "not 5",
            "",
            id="number in a list of text",
        ),
        pytest.param(
            "[terminals.demo.trading]\nmax_volume = nan\n",
            "terminals.demo.trading.max_volume",
            "not nan",
            "",
            id="not a number",
        ),
        pytest.param("terminals = []\n", "terminals", "must be a table", "", id="list"),
        pytest.param(
            "[terminals.Demo]\n", "terminals.Demo", "no alias", "a-z0-9", id="upper case alias"
        ),
        pytest.param(
            '[terminals."a/b"]\n', "terminals.a/b", "no alias", "a-z0-9", id="slash in an alias"
        ),
        pytest.param(
            "[endpoints]\nrequest = 'tcp://0.0.0.0:5556'\n",
            "endpoints.request",
            "binding outside loopback needs keys and roles",
            "",
            id="outside loopback",
        ),
        pytest.param(
            "[session]\nsilence_limit_ms = 1500\n",
            "session",
            "silence_limit_ms must be at least twice heartbeat_interval_ms",
            "",
            id="two settings that do not fit",
        ),
    ],
)
def test_errors_name_file_key_problem_and_way_out(write, text, key, problem, hint):
    path = write(text)

    error = error_of(path, {})

    assert error.source == str(path)
    assert key == error.key
    assert problem in error.problem
    assert hint in error.hint


def test_a_long_value_is_not_shown_in_full(write):
    error = error_of(write(f"[limits]\nsend_hwm = '{'x' * 1000}'\n"), {})

    assert len(str(error)) < 300
    assert "xxx..." in error.problem


def test_an_error_names_the_variable_it_came_from(write):
    error = error_of(write(""), {"BRIDGE_LIMITS_SEND_HWM": "many"})

    assert "BRIDGE_LIMITS_SEND_HWM" == error.source
    assert "not 'many'" in error.problem


def test_an_error_names_the_command_line(write):
    error = error_of(write(""), {}, {"endpoints.publish": "tcp://10.0.0.1:5557"})

    assert ("command line", "endpoints.publish") == (error.source, error.key)


def test_an_error_between_two_settings_names_both_sources(write):
    path = write("[session]\nheartbeat_interval_ms = 5000\n")

    error = error_of(path, {"BRIDGE_SESSION_SILENCE_LIMIT_MS": "4000"})

    assert {str(path), "BRIDGE_SESSION_SILENCE_LIMIT_MS"} == set(error.source.split(" or "))


@pytest.mark.parametrize(
    "name", ["BRIDGE_TICKS_RESUME_MAX_AGE", "BRIDGE_RELAY_X", "BRIDGE_TERMINALS_LOGIN"]
)
def test_unknown_variables_of_a_section_are_refused(write, name):
    error = error_of(write(""), {name: "5"})

    assert name == error.source
    assert "BRIDGE_" in error.hint


def test_other_variables_are_not_ours(write):
    load(write(""), {"BRIDGE_TEST_SEED": "5", "BRIDGET": "x", "PATH": "/bin"})


def test_a_misspelt_override_is_refused(write):
    error = error_of(write(""), {}, {"endpoints.reqest": "tcp://127.0.0.1:1"})

    assert ("command line", "endpoints.reqest") == (error.source, error.key)
    assert "endpoints.request" in error.hint


def test_all_problems_are_told_at_once(write):
    path = write("[tick]\n[relay]\nlog_level = 'loud'\n")

    found = problems(path, {"BRIDGE_TICKS_X": "1"})

    assert {problem.key or problem.source for problem in found} == {
        "tick",
        "relay.log_level",
        "BRIDGE_TICKS_X",
    }


def test_a_file_that_cannot_be_read_is_one_problem(tmp_path):
    assert 1 == len(problems(tmp_path / "absent.toml", {}))


def test_a_good_configuration_has_no_problems(write):
    assert [] == problems(write("[terminals.demo]\n"), {})


# What is no TOML


def test_a_syntax_error_tells_the_line(write):
    assert "line 2" in error_of(write("[ticks]\nx y\n"), {}).problem


def test_a_windows_path_in_double_quotes_gets_a_hint(write):
    error = error_of(write('[relay]\ndata_dir = "C:\\Users\\me"\n'), {})

    assert "single quotes" in error.hint


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8"])
def test_a_byte_order_mark_is_no_error(write, encoding):
    path = write('[relay]\nlog_level = "debug"\n', encoding)

    assert "debug" == load(path, {}).relay.log_level


def test_another_encoding_is_told(write):
    assert "UTF-8" in error_of(write("# ä", "latin-1"), {}).hint


def test_a_huge_file_is_not_read(write):
    assert "more than" in error_of(write("#" * 1_100_000), {}).problem


def test_deep_nesting_is_an_error_not_a_crash(write):
    assert error_of(write(f"x = {'[' * 50_000}"), {}).source


def test_a_folder_is_no_file(tmp_path):
    assert "cannot be read" in error_of(tmp_path, {}).problem


# Secrets


@pytest.mark.parametrize("name", ["key_file", "login", "demo_only", "secret"])
def test_a_key_in_the_wrong_place_is_not_shown(write, name):
    secret = "0123456789abcdef" * 4

    error = error_of(write(f"[terminals.demo]\n{name} = '{secret}'\n"), {})

    assert f"terminals.demo.{name}" == error.key
    assert secret[:16] not in str(error)
