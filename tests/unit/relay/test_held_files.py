from __future__ import annotations

from pathlib import Path

import pytest

from bridge.relay import held_files
from bridge.relay.held_files import remove_file, replace_file
from tests.support.bench import logged


@pytest.fixture
def held(monkeypatch):
    """
    Return a function that lets an operation of files fail so many times, as Windows does.
    """
    monkeypatch.setattr(held_files, "_PAUSE_S", 0)

    def hold(name, times):
        original = getattr(Path, name)
        left = [times]

        def operation(self, *arguments, **options):
            if left[0]:
                left[0] -= 1
                raise PermissionError(13, "The process cannot access the file")
            return original(self, *arguments, **options)

        monkeypatch.setattr(Path, name, operation)

    return hold


@pytest.fixture
def files(tmp_path):
    new, old = tmp_path / "x.new", tmp_path / "x"
    new.write_text("new")
    old.write_text("old")
    return new, old


@pytest.mark.parametrize("times", [0, 1, 19])
def test_a_file_that_is_read_is_replaced_a_moment_later(files, held, times):
    held("replace", times)

    replace_file(*files)

    assert "new" == files[1].read_text()


def test_a_file_that_stays_open_is_an_error(files, held):
    held("replace", 20)

    with pytest.raises(PermissionError):
        replace_file(*files)


@pytest.mark.parametrize("times", [0, 1, 19])
def test_a_file_that_is_read_is_removed_a_moment_later(files, held, times):
    held("unlink", times)

    remove_file(files[1])

    assert not files[1].exists()


def test_a_file_that_cannot_be_removed_stays_and_the_log_tells(files, held, caplog):
    held("unlink", 20)

    remove_file(files[1])

    assert files[1].exists()
    assert [str(files[1])] == [one["file"] for one in logged(caplog)]


def test_a_file_that_is_not_there_is_removed(tmp_path):
    remove_file(tmp_path / "nothing")
