"""``bridge.sim.identity``: what a terminal keeps over restarts."""

from __future__ import annotations

import json

import pytest

from bridge.exceptions import ConfigError
from bridge.sim.identity import IdentityFile


def test_a_new_terminal_gets_an_incarnation_of_its_own(tmp_path):
    first = IdentityFile(tmp_path / "a.json").load()
    second = IdentityFile(tmp_path / "b.json").load()

    assert (16, 0) == (len(first.incarnation), first.connection_counter)
    assert first.incarnation != second.incarnation
    assert [] == list(tmp_path.iterdir())


def test_what_was_committed_is_there_after_a_restart(tmp_path):
    path = tmp_path / "identity.json"
    file = IdentityFile(path)
    identity = file.load()
    file.commit(1)
    file.commit(2)

    assert identity._replace(connection_counter=2) == IdentityFile(path).load()
    assert [path] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        json.dumps({"incarnation": "00", "connection_counter": 1}),
        json.dumps({"incarnation": "zz" * 16, "connection_counter": 1}),
        json.dumps({"incarnation": 5, "connection_counter": 1}),
        json.dumps({"incarnation": "00" * 16, "connection_counter": -1}),
        json.dumps({"incarnation": "00" * 16, "connection_counter": 2**64}),
        json.dumps({"incarnation": "00" * 16, "connection_counter": "1"}),
        "x" * 10_000,
    ],
)
def test_a_damaged_file_is_refused(tmp_path, text):
    """A counter that began anew would repeat a nonce."""
    path = tmp_path / "identity.json"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ConfigError, match="damaged"):
        IdentityFile(path).load()


def test_a_folder_in_the_way_is_named(tmp_path):
    with pytest.raises(ConfigError) as caught:
        IdentityFile(tmp_path).load()

    assert str(tmp_path) in str(caught.value)
