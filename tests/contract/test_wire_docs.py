"""The page of the wire protocol says what the code does."""

from __future__ import annotations

import enum
import re
import struct

import pytest

from bridge.model.record import RECORD_SIZE
from bridge.wire import auth, spec, structures
from bridge.wire.frame import RUN_HEADER
from bridge.wire.messages import MESSAGES
from bridge.wire.spec import Capability, FrameType
from bridge.wire.states import RELAY_RECEIVES, TERMINAL_RECEIVES, State
from tools import docs, wire_docs, wire_words

PAGE = docs.DOCS / wire_docs.PAGE
TEXT = PAGE.read_text(encoding="utf-8")


def test_the_page_is_in_step_with_the_code():
    assert docs.rendered(TEXT) == TEXT, "run: make docs"


@pytest.mark.parametrize("name", wire_docs.TABLES)
def test_every_table_is_on_the_page_once(name):
    assert TEXT.count(f"<!-- BEGIN GENERATED {name} -->") == 1
    assert wire_docs.render_tables()[name].strip() in TEXT


def test_a_difference_is_told_and_repaired(monkeypatch, tmp_path, capsys):
    page = tmp_path / "docs" / wire_docs.PAGE
    page.parent.mkdir(parents=True)
    page.write_text(TEXT.replace("0x13 | TICKS", "0x14 | TICKS"), encoding="utf-8")
    monkeypatch.setattr(docs, "DOCS", tmp_path / "docs")

    assert wire_docs.main(["--check"]) == 1
    assert capsys.readouterr().out == "stale: docs/reference/wire-protocol.md\n"
    assert wire_docs.main([]) == 0
    assert wire_docs.main(["--check"]) == 0
    assert page.read_text(encoding="utf-8") == TEXT


# --- complete --------------------------------------------------------------------------------


def test_every_field_has_a_meaning_and_every_meaning_a_field():
    fields = {cls.__name__: cls.FIELDS for cls in MESSAGES.values()}
    fields |= {
        "Cursor": structures.CURSOR.fields,
        "Resume": structures.RESUME.fields,
        "TerminalState": structures.TERMINAL_STATE.fields,
        "EventCursor": structures.EVENT_CURSOR.fields,
        "OrderRequest": structures.ORDER_REQUEST.fields,
        "QueriedCommand": structures.QUERIED_COMMAND.fields,
    }
    names = {name: [part for part, _ in parts] for name, parts in fields.items()}

    assert names == {name: list(meanings) for name, meanings in wire_words.FIELDS.items()}


def test_every_enumeration_has_a_table():
    kinds = {
        value
        for name in spec.__all__
        if isinstance(value := getattr(spec, name), type) and issubclass(value, enum.Enum)
    }

    assert kinds - {FrameType} <= set(wire_words.ENUMS)


@pytest.mark.parametrize("kind", wire_words.ENUMS, ids=lambda kind: kind.__name__)
def test_every_name_of_an_enumeration_has_a_meaning(kind):
    assert len(list(kind)) == len(wire_words.ENUMS[kind])


def test_every_limit_is_in_the_table():
    numbers = {
        name
        for name in spec.__all__
        if isinstance(value := getattr(spec, name), int) and not isinstance(value, enum.Enum)
    }

    assert numbers - {"FRAME_MAGIC", "VERSION", "VERSION_MIN"} == set(wire_words.LIMITS)


def test_every_state_is_explained():
    assert list(wire_words.STATES) == list(State)


# --- true --------------------------------------------------------------------------------------


def test_who_sends_a_type_is_who_does_not_receive_it():
    to_relay = frozenset().union(*RELAY_RECEIVES.values())
    to_terminal = frozenset().union(*TERMINAL_RECEIVES.values())
    senders = {
        kind: {(True, True): "both", (True, False): "terminal", (False, True): "relay"}[
            kind in to_relay, kind in to_terminal
        ]
        for kind in FrameType
    }

    assert senders == {kind: sender for kind, (sender, _, _) in wire_words.DIRECTIONS.items()}


def test_the_capabilities_of_the_types_exist():
    named = {
        name
        for _, _, capabilities in wire_words.DIRECTIONS.values()
        for name in capabilities.split(", ")
        if name
    }

    assert named <= {str(capability.name) for capability in Capability}


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("relay proof", auth._RELAY_PROOF),
        ("terminal proof", auth._TERMINAL_PROOF),
        ("relay key", auth._RELAY_KEY),
        ("terminal key", auth._TERMINAL_KEY),
    ],
)
def test_the_labels_of_the_derivation_are_those_of_the_code(name, label):
    found = re.search(rf'^{name} += HMAC\( key, "([^"]+)" +\|\| transcript \)$', TEXT, re.MULTILINE)

    assert found is not None
    assert found[1].encode() == label


def test_the_labels_have_the_lengths_that_the_page_says():
    labels = (auth._RELAY_PROOF, auth._TERMINAL_PROOF, auth._RELAY_KEY, auth._TERMINAL_KEY)

    assert "have {}, {}, {} and {} bytes".format(*map(len, labels)) in TEXT


def rows_below(heading):
    """
    Return the first table below a heading, as lists of cells.
    """
    table = re.search(r"(?:^\|.*\|\n)+", TEXT[TEXT.index(heading) :], re.MULTILINE)[0]
    lines = [line.strip("|").split("|") for line in table.splitlines()]
    return [[cell.strip() for cell in line] for line in lines[2:]]


def test_the_offsets_of_a_record_follow_from_its_parts():
    offset = 0
    for at, size, _, _ in rows_below("### The record"):
        assert int(at) == offset
        offset += sum(int(part) if part.isdigit() else 1 for part in size.split(" + "))

    assert offset == RECORD_SIZE


@pytest.mark.parametrize(
    ("heading", "size"),
    [
        ("## 3. Frames", spec.HEADER_SIZE),
        ("### The run", spec.RUN_HEADER_SIZE),
        ("### The cursor", struct.calcsize("<qdddd")),
    ],
)
def test_the_offsets_of_a_layout_follow_from_its_sizes(heading, size):
    offset = 0
    for at, length, *_ in rows_below(heading):
        if not length.isdigit():
            break
        assert int(at) == offset
        offset += int(length)

    assert offset == size
    assert RUN_HEADER.size + 16 == spec.RUN_HEADER_SIZE


def test_mqltick_and_mqlrates_have_sixty_bytes():
    sizes = {"i64": 8, "f64": 8, "u64": 8, "u32": 4, "i32": 4}
    ends = []
    for at, field, _, other_at, other in rows_below("they equal the numpy types"):
        assert at == other_at or (at, other_at) == ("52", "52")
        ends.append([int(at) + sizes[re.search(r"[iuf]\d\d", text)[0]] for text in (field, other)])

    assert ends[-1] == [60, 60]


def test_a_reserved_number_is_not_in_use():
    reserved = re.search(r"^0x([0-9a-f]{2}) is reserved", TEXT, re.MULTILINE)

    assert int(reserved[1], 16) not in set(FrameType)


def test_every_code_that_the_text_names_exists():
    """Words in capitals and code marks are names of the protocol, or of MQL5."""
    known = {str(kind) for kind in wire_words.LIMITS}
    known |= {member.name for kind in (*wire_words.ENUMS, FrameType, State) for member in kind}
    mql5 = {"HMAC", "TERMINAL_CONNECTED", "CP_UTF8", "ENUM_TRADE_TRANSACTION_TYPE"}
    named = set(re.findall(r"`([A-Z][A-Z0-9_]{2,})`", TEXT))

    assert named - known - mql5 == set()
