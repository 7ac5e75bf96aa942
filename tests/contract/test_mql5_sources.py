"""The generated MQL5 sources say what the code says."""

from __future__ import annotations

import re
import struct

import pytest

from bridge.model.record import RECORD_SIZE, pack_record
from bridge.model.tick import MqlTick
from bridge.wire import spec
from bridge.wire.messages import MESSAGES
from tools import mql5_spec

SOURCES = mql5_spec.files()
SPEC = mql5_spec.spec_text()


def defined(name):
    match = re.search(rf"^#define {name} +(\S+)", SPEC, re.MULTILINE)
    assert match is not None, name
    return match[1]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_generated_sources_are_in_step_with_the_code(path):
    assert SOURCES[path] == path.read_text(encoding="utf-8"), "run: make docs"


def test_every_enumeration_of_the_specification_has_a_prefix():
    enums = {value for value in vars(spec).values() if isinstance(value, type(spec.FrameType))}

    assert enums - set(mql5_spec.PREFIXES) == {
        kind for kind in enums if kind.__module__ != spec.__name__
    }


def test_every_value_of_an_enumeration_is_there():
    for kind, prefix in mql5_spec.PREFIXES.items():
        for member in kind:
            assert re.search(rf"^   {prefix}_{member.name} *={member.value}\b", SPEC, re.MULTILINE)


def test_no_name_stands_twice():
    names = re.findall(r"^#define (\w+)|^   ([A-Z_0-9]+) *=", SPEC, re.MULTILINE)
    flat = [one or other for one, other in names]

    assert sorted(set(flat)) == sorted(flat)


@pytest.mark.parametrize(
    ("name", "layout", "value"),
    [
        ("EPOCH", ">I", 7),
        ("SEQ", ">Q", 9),
        ("TIME_MSC", ">q", 1_000),
        ("BID", ">d", 1.5),
        ("ASK", ">d", 2.5),
        ("LAST", ">d", 3.5),
        ("VOLUME_REAL", ">d", 4.5),
        ("FLAGS", ">H", 6),
        ("UTC_OFFSET_MIN", ">h", -90),
    ],
)
def test_offsets_of_the_record_are_where_the_fields_are(name, layout, value):
    record = pack_record(7, 9, MqlTick(1_000, 1.5, 2.5, 3.5, 4.5, 6), -90)

    assert struct.unpack_from(layout, record, int(defined(f"RECORD_AT_{name}")))[0] == value


def test_the_record_has_its_size():
    assert defined("RECORD_SIZE") == str(RECORD_SIZE)


def test_every_message_has_a_structure():
    text = "".join(SOURCES.values())

    for cls in MESSAGES.values():
        assert f"struct S{cls.__name__}\n" in text


def test_sources_are_ascii():
    for path, text in SOURCES.items():
        assert text.isascii(), path.name


def test_a_stale_source_is_told(monkeypatch, capsys):
    monkeypatch.setattr(mql5_spec, "spec_text", lambda: "another text")

    assert mql5_spec.main(["--check"]) == 1
    assert "stale: mql5/Include/Bridge/Wire/Spec.mqh" in capsys.readouterr().out
