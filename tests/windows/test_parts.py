"""
What ``make test-windows`` does before a Windows process runs, as far as it is pure.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest

from tests.windows.forwarder import exports_of_library, forwarder_dll

if sys.platform == "win32":
    pytest.skip("the parts are put together on Linux", allow_module_level=True)

from tests.windows import __main__ as program
from tests.windows import parts

HEADERS = 0x200
SECTION = 0x1000


def text_at(dll, address):
    start = address - SECTION + HEADERS
    return dll[start : dll.index(b"\0", start)].decode("ascii")


def exports_of_dll(dll):
    """
    Read a DLL as a loader does, from its headers to the texts, and check what it relies on.
    """
    (start,) = struct.unpack_from("<I", dll, 60)
    assert (b"MZ", b"PE\0\0") == (dll[:2], dll[start : start + 4])
    machine, sections = struct.unpack_from("<HH", dll, start + 4)
    (magic,) = struct.unpack_from("<H", dll, start + 24)
    assert (0x8664, 1, 0x20B) == (machine, sections, magic)
    (size_of_image,) = struct.unpack_from("<I", dll, start + 24 + 56)
    assert size_of_image % SECTION == 0
    assert len(dll) % HEADERS == 0
    table, size = struct.unpack_from("<II", dll, start + 24 + 112)
    at = table - SECTION + HEADERS
    count, named, functions, names, ordinals = struct.unpack_from("<5I", dll, at + 20)
    assert count == named
    found = {}
    for number in range(count):
        (name,) = struct.unpack_from("<I", dll, names - SECTION + HEADERS + 4 * number)
        (ordinal,) = struct.unpack_from("<H", dll, ordinals - SECTION + HEADERS + 2 * number)
        (target,) = struct.unpack_from("<I", dll, functions - SECTION + HEADERS + 4 * ordinal)
        # Only an address inside of the table of exports is a reference.
        assert table <= target < table + size
        found[text_at(dll, name)] = text_at(dll, target)
    assert sorted(found) == list(found)
    return found


def import_library(*symbols):
    """
    Return the head of an import library, as a linker writes it.
    """
    names = b"".join(symbol.encode() + b"\0" for symbol in symbols)
    table = struct.pack(">I", len(symbols)) + bytes(4 * len(symbols)) + names
    return b"!<arch>\n" + b"/".ljust(48) + str(len(table)).encode().ljust(10) + b"`\n" + table


# DLLs ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "targets",
    [
        {"ProcessPrng": "advapi32.SystemFunction036"},
        {"zeta": "other.Zeta", "Alpha": "one.two", "_x": "a.b"},
        {f"Py_{number}": f"python313.Py_{number}" for number in range(900)},
    ],
    ids=["one", "unsorted", "many"],
)
def test_a_reference_is_found_by_its_name(targets):
    assert targets == exports_of_dll(forwarder_dll("some.dll", targets))


def test_the_exports_of_an_import_library_are_those_with_a_pointer():
    library = import_library("PyList_New", "__imp_PyList_New", "__imp_PyErr_Clear", "__NULL_THUNK")

    assert ["PyErr_Clear", "PyList_New"] == exports_of_library(library)


@pytest.mark.parametrize("content", [b"", b"MZ", b"!<arch>\n", b"!<arch>\nfile.o/".ljust(80)])
def test_what_is_no_import_library_is_refused(content):
    with pytest.raises(ValueError, match="not an import library"):
        exports_of_library(content)


# Wheels -------------------------------------------------------------------------------


def metadata(name, *requirements):
    lines = [f"Name: {name}", *(f"Requires-Dist: {one}" for one in requirements)]
    return "\n".join(lines) + "\n\nA description: with a colon\n"


def test_what_windows_alone_needs_is_missing():
    """
    On Linux pip does not fetch colorama for click, however it is told to.
    """
    there = [
        metadata("click", 'colorama; platform_system == "Windows"', 'x; sys_platform == "linux"'),
        metadata("pyzmq", 'cffi; implementation_name == "pypy"'),
        metadata("pydantic", "typing_extensions>=4.12", 'email-validator; extra == "email"'),
        metadata("Typing-Extensions"),
    ]

    assert ["colorama"] == parts.missing_requirements(there)


def test_a_version_that_is_asked_for_stays():
    assert ["a<2,>=1"] == parts.missing_requirements([metadata("b", "a>=1,<2")])


def test_the_project_says_what_is_installed():
    text = (parts.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    names = {one.partition(">")[0] for one in parts.requirements_of_project(text)}

    assert {"pyzmq", "pydantic", "pytest", "pytest-timeout"} <= names


# Programs -----------------------------------------------------------------------------


def test_a_file_of_this_machine_has_a_name_in_wine():
    assert r"Z:\work\a b\c.py" == parts.windows_path(Path("/work/a b/c.py"))


def test_the_environment_of_this_machine_does_not_leak():
    """
    A BRIDGE_HOME or PYTHONPATH of here would lead to files that are not Windows'.
    """
    ours = {"BRIDGE_HOME": "/x", "PYTHONPATH": "/y", "DISPLAY": ":0", "LC_CTYPE": "C", "HOME": "/h"}

    env = parts.environment(ours)

    assert {"BRIDGE_HOME", "PYTHONPATH", "DISPLAY", "LC_CTYPE"}.isdisjoint(env)
    assert ("/h", "C.UTF-8", "Jörg Müller") == (env["HOME"], env["LC_ALL"], env["USER"])
    assert str(parts.PREFIX) == env["WINEPREFIX"]


@pytest.mark.parametrize("platform", ["darwin", "freebsd14"])
def test_where_wine_is_not_started_that_is_said(monkeypatch, capsys, tmp_path, platform):
    monkeypatch.setattr(parts, "BUILD", tmp_path)
    monkeypatch.setattr(parts.sys, "platform", platform)

    assert program.main([]) == 0
    assert capsys.readouterr().out.startswith("test-windows skipped: Wine is started on Linux only")


def test_without_wine_and_without_rights_that_is_said(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(parts, "BUILD", tmp_path)
    monkeypatch.setattr(parts.shutil, "which", {"apt-get": "/usr/bin/apt-get"}.get)
    monkeypatch.setattr(parts, "_inside_of_debian", lambda: None)
    monkeypatch.setattr(parts.os, "geteuid", lambda: 1000)

    assert program.main([]) == 0
    assert "installing it takes root: apt-get install wine wine64" in capsys.readouterr().out


def test_a_download_that_fails_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(parts, "BUILD", tmp_path)

    with pytest.raises(parts.Unavailable, match="cannot be fetched"):
        parts.fetched(parts.Download("http://127.0.0.1:9/some.jar", "0" * 64))


def test_a_download_that_is_not_what_it_was_is_not_used(monkeypatch, tmp_path):
    monkeypatch.setattr(parts, "BUILD", tmp_path)
    there = tmp_path / "there.jar"
    there.write_bytes(b"something else")

    with pytest.raises(parts.Unavailable, match="SHA-256"):
        parts.fetched(parts.Download(there.as_uri(), "0" * 64))
    assert not (tmp_path / "downloads" / "there.jar").exists()


def test_a_second_run_is_kept_out(monkeypatch, tmp_path):
    monkeypatch.setattr(parts, "BUILD", tmp_path)

    with parts.only_one():
        with pytest.raises(parts.Unavailable, match="another 'make test-windows' runs"):
            with parts.only_one():
                pass


def test_what_is_selected_exists():
    missing = [one for one in program.SELECTION if not (parts.ROOT / one).exists()]

    assert [] == missing
