from __future__ import annotations

import copy
import os
import stat

import pytest

from bridge.config import KEY_BYTES, Key, keys, load_key
from bridge.config.keys import write_key
from bridge.exceptions import ConfigError

SECRET = bytes(range(32))
posix_only = pytest.mark.skipif(os.name != "posix", reason="file modes mean nothing on Windows")


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "demo.key"
    write_key(path, Key(SECRET))
    return path


@pytest.mark.parametrize("shown", [str, repr, "{}".format, lambda key: f"{[key]}"])
def test_a_key_does_not_show_itself(shown):
    text = shown(Key(SECRET))

    assert "redacted" in text
    assert SECRET.hex()[:8] not in text


def test_reveal_gives_the_secret():
    assert SECRET == Key(SECRET).reveal()


def test_equal_keys_are_equal_and_hash_alike():
    assert Key(SECRET) == Key(SECRET)
    assert hash(Key(SECRET)) == hash(Key(SECRET))
    assert Key(SECRET) != Key(SECRET[::-1])
    assert Key(SECRET) != SECRET


def test_the_fingerprint_tells_keys_apart_without_a_part_of_them():
    fingerprint = Key(SECRET).fingerprint

    assert 8 == len(fingerprint)
    assert Key(SECRET).fingerprint == fingerprint
    assert fingerprint != Key(SECRET[::-1]).fingerprint
    assert fingerprint not in SECRET.hex()


def test_a_key_is_not_serialised():
    with pytest.raises(TypeError, match="path of its file"):
        copy.copy(Key(SECRET))


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_key_has_exactly_32_bytes(length):
    with pytest.raises(ValueError, match="32 bytes"):
        Key(b"x" * length)


def test_generated_keys_differ():
    assert 100 == len({Key.generate() for _ in range(100)})


def test_a_written_key_is_read_back(key_file):
    assert load_key(key_file) == Key(SECRET)


def test_the_file_holds_64_characters_that_can_be_pasted(key_file):
    assert SECRET.hex().encode() + b"\n" == key_file.read_bytes()


@posix_only
def test_only_the_owner_reads_the_file_and_its_new_folder(tmp_path):
    path = tmp_path / "keys" / "demo.key"

    write_key(path, Key(SECRET))

    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert 0o700 == stat.S_IMODE(path.parent.stat().st_mode)


def test_an_existing_key_is_not_overwritten(key_file):
    with pytest.raises(FileExistsError):
        write_key(key_file, Key.generate())

    assert load_key(key_file) == Key(SECRET)


def test_force_replaces_and_leaves_nothing_behind(key_file):
    write_key(key_file, Key(SECRET[::-1]), force=True)

    assert load_key(key_file) == Key(SECRET[::-1])
    assert [key_file] == list(key_file.parent.iterdir())


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(SECRET.hex().upper().encode(), id="upper case"),
        pytest.param(b"\xef\xbb\xbf" + SECRET.hex().encode() + b"\r\n", id="notepad"),
        pytest.param(b"  " + SECRET.hex().encode() + b"\n\n", id="blanks around"),
    ],
)
def test_harmless_variants_are_accepted(key_file, content):
    key_file.write_bytes(content)

    assert load_key(key_file) == Key(SECRET)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(b"", "found 0", id="empty"),
        pytest.param(SECRET.hex()[:-1].encode(), "found 63", id="short"),
        pytest.param(SECRET.hex().encode() + b"0", "found 65", id="long"),
        pytest.param(SECRET, "found", id="raw bytes"),
        pytest.param(b"0x" + SECRET.hex()[2:].encode(), "not hexadecimal", id="prefix"),
        pytest.param(b"g" + SECRET.hex()[1:].encode(), "not hexadecimal", id="letter"),
        pytest.param(SECRET.hex()[:62].encode() + b" 0", "not hexadecimal", id="blank inside"),
        pytest.param("é".encode() * 32, "not hexadecimal", id="not ascii"),
        pytest.param(SECRET.hex().encode("utf-16"), "found", id="utf-16"),
        pytest.param(b"0" * 10_000, "over 1024", id="huge"),
    ],
)
def test_anything_else_is_refused_without_quoting_it(key_file, content, problem):
    key_file.write_bytes(content)

    with pytest.raises(ConfigError, match=problem) as caught:
        load_key(key_file)

    assert caught.value.source == str(key_file)
    assert SECRET.hex()[4:20] not in str(caught.value)


def test_a_missing_key_names_the_command_that_makes_it(tmp_path):
    with pytest.raises(ConfigError, match="bridge init"):
        load_key(tmp_path / "absent.key")


def test_a_folder_is_no_key(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_key(tmp_path)


@posix_only
@pytest.mark.parametrize("mode", [0o604, 0o644, 0o666, 0o620])
def test_a_key_that_others_can_read_or_change_is_refused(key_file, mode):
    key_file.chmod(mode)

    with pytest.raises(ConfigError, match=f"{mode:04o}.*chmod 600"):
        load_key(key_file)


@posix_only
@pytest.mark.parametrize("mode", [0o400, 0o600, 0o640])
def test_the_owner_and_its_group_may_read(key_file, mode):
    key_file.chmod(mode)

    assert load_key(key_file) == Key(SECRET)


def test_on_windows_the_mode_is_not_looked_at(key_file, monkeypatch):
    key_file.chmod(0o666)
    monkeypatch.setattr(keys, "_checks_modes", lambda: False)

    assert load_key(key_file) == Key(SECRET)


def test_the_size_is_that_of_sha256():
    assert 32 == KEY_BYTES
