from __future__ import annotations

import re
import tomllib

import pytest

from bridge.config import (
    Settings,
    TradingSettings,
    init_config,
    load,
    load_key,
    settings_table,
    toml_text,
)
from bridge.config.fields import FIELDS
from bridge.exceptions import ConfigError


def uncommented(text):
    return re.sub(r"^#(\w+ =|\[)", r"\1", text, flags=re.MULTILINE)


def test_the_file_as_written_changes_no_default(tmp_path):
    init_config(tmp_path, ["demo"])

    settings = load(tmp_path / "bridge.toml", {})

    assert settings.model_copy(update={"terminals": {}}) == Settings()
    assert {"demo"} == set(settings.terminals)


def test_every_commented_default_is_the_default(tmp_path):
    path = tmp_path / "bridge.toml"
    path.write_text(uncommented(toml_text(["demo"])))

    settings = load(path, {})

    for section in ("endpoints", "journal", "ticks", "limits", "session"):
        assert getattr(settings, section) == getattr(Settings(), section)
    assert TradingSettings() == settings.terminals["demo"].trading
    assert tmp_path / "keys" / "demo.key" == settings.terminals["demo"].key_file
    assert tmp_path / "data" == settings.relay.data_dir


@pytest.mark.parametrize("aliases", [[], ["demo"], ["demo", "ftmo-1"]])
def test_every_setting_is_there_once_for_each_section(aliases):
    tables = tomllib.loads(uncommented(toml_text(aliases)))

    for section, name in FIELDS:
        if section == "terminals":
            assert set(tables[section]) == set(aliases or ["demo"])
            assert all(name in terminal for terminal in tables[section].values())
        elif section == "terminals.trading":
            assert all(name in terminal["trading"] for terminal in tables["terminals"].values())
        else:
            assert name in tables[section]


def test_the_section_of_what_may_be_traded_follows_that_of_its_terminal():
    headers = re.findall(r"^#?(\[.*\])$", toml_text(["demo", "ftmo-1"]), re.MULTILINE)

    start = headers.index("[terminals.demo]")
    assert headers[start : start + 4] == [
        "[terminals.demo]",
        "[terminals.demo.trading]",
        "[terminals.ftmo-1]",
        "[terminals.ftmo-1.trading]",
    ]


def test_only_bytes_are_counted_in_kibibytes():
    table = settings_table()

    rows = [line for line in table.splitlines() if re.search(r"[KMG]iB to", line)]
    assert rows
    assert [] == [row for row in rows if "_bytes" not in row]


def test_lines_stay_within_100_columns():
    assert max(map(len, toml_text(["a" * 31]).splitlines())) <= 100


def test_init_tells_what_it_wrote_and_the_keys_work(tmp_path):
    done = init_config(tmp_path / "new", ["demo", "ftmo1"])

    keys = [tmp_path / "new" / "keys" / f"{alias}.key" for alias in ("demo", "ftmo1")]
    assert tmp_path / "new" / "bridge.toml" == done.config_file
    assert (*keys, done.config_file) == done.written
    assert ((), ()) == (done.kept, done.unlisted)
    assert load_key(keys[0]) != load_key(keys[1])
    assert keys[1] == load(done.config_file, {}).terminals["ftmo1"].key_file


def test_a_second_init_adds_a_key_and_keeps_the_rest(tmp_path):
    first = init_config(tmp_path, ["demo"])
    before = {path: path.read_bytes() for path in first.written}

    second = init_config(tmp_path, ["demo", "ftmo1"])

    assert before == {path: path.read_bytes() for path in before}
    assert (tmp_path / "keys" / "ftmo1.key",) == second.written
    assert set(second.kept) == set(first.written)
    assert ("ftmo1",) == second.unlisted


def test_force_writes_all_anew(tmp_path):
    first = init_config(tmp_path, ["demo"])
    before = {path: path.read_bytes() for path in first.written}
    first.config_file.write_text("broken", encoding="utf-8")

    second = init_config(tmp_path, ["demo"], force=True)

    key = tmp_path / "keys" / "demo.key"
    assert () == second.kept
    assert key.read_bytes() != before[key]
    assert before[first.config_file] == first.config_file.read_bytes()
    assert [] == sorted(tmp_path.rglob("*.new"))


@pytest.mark.parametrize("content", [b"broken", b"\xff\xfe", b"terminals = 5\n"])
def test_a_kept_file_may_be_broken(tmp_path, content):
    (tmp_path / "bridge.toml").write_bytes(content)

    assert ("demo",) == init_config(tmp_path, ["demo"]).unlisted


@pytest.mark.parametrize("alias", ["", "Demo", "-a", "a/b", "../a", "a" * 32, "ü", "a\n"])
def test_what_is_no_alias_is_refused_before_anything_is_written(tmp_path, alias):
    with pytest.raises(ConfigError, match="no alias"):
        init_config(tmp_path / "new", ["demo", alias])

    assert not (tmp_path / "new").exists()


def test_an_alias_given_twice_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="twice"):
        init_config(tmp_path, ["demo", "demo"])


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match="cannot be written") as caught:
        init_config(tmp_path / "file" / "below", ["demo"])

    # Windows names the file that is in the way, others the folder that cannot be below it.
    assert caught.value.source in {str(tmp_path / "file"), str(tmp_path / "file" / "below")}


def test_the_table_names_every_setting():
    table = settings_table()

    assert [] == [name for _, name in FIELDS if f"| `{name}` |" not in table]


def test_the_table_has_five_cells_in_every_row():
    rows = [line for line in settings_table().splitlines() if line.startswith("|")]

    assert {6} == {row.count("|") for row in rows}
