"""
What is written survives every console.
"""

from __future__ import annotations

import io
import json
import sys

import pytest

from bridge.cli import output


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Closed(io.StringIO):
    def write(self, _text):
        raise BrokenPipeError


def test_columns_are_aligned_and_numbers_stand_to_the_right():
    text = output.table(["symbol", "bid"], [["EURUSD", 1.5], ["US", 10.25]])

    assert text == "SYMBOL    BID\nEURUSD    1.5\nUS      10.25"


def test_what_is_not_known_is_a_dash_and_truth_is_a_word():
    assert output.table(["a", "b"], [[None, True], ["x", False]]) == "A  B\n-  yes\nx  no"


def test_a_table_without_rows_is_its_head():
    assert output.table(["a", "b"], []) == "A  B"


def test_names_cannot_forge_lines_or_move_the_cursor():
    assert output.table(["a"], [["x\n\x1b[2Jy"]]).splitlines() == ["A", "x\\x0a\\x1b[2Jy"]


def test_wide_letters_take_two_columns():
    assert output.table(["a", "b"], [["\u5916", "x"], ["yyyy", "z"]]).splitlines() == [
        "A     B",
        "\u5916    x",
        "yyyy  z",
    ]


def test_a_document_has_its_version_and_is_one_line_of_ascii():
    text = output.document({"name": "B\u00f6rse \u5916\n"})

    assert text.isascii()
    assert "\n" not in text
    assert json.loads(text) == {"v": 1, "name": "B\u00f6rse \u5916\n"}


def test_a_document_never_holds_what_is_no_json():
    with pytest.raises(ValueError, match="Out of range"):
        output.document({"price": float("nan")})


def test_people_get_a_table_and_programs_json(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())

    assert (output.form(None), output.form("table"), output.form(None, "jsonl")) == (
        "json",
        "table",
        "jsonl",
    )

    monkeypatch.setattr(sys, "stdout", Terminal())

    assert (output.form(None), output.form("json")) == ("table", "json")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("json", '{"v":1,"things":[{"a":1},{"a":2}]}\n'),
        ("jsonl", '{"v":1,"a":1}\n{"v":1,"a":2}\n'),
        ("table", "A\n1\n2\n"),
    ],
)
def test_records_in_every_form(capsys, wanted, expected):
    output.write_records("things", [{"a": 1}, {"a": 2}], wanted)

    assert capsys.readouterr().out == expected


def test_a_console_of_code_page_1252_gets_escapes(monkeypatch):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="cp1252", newline="")
    monkeypatch.setattr(sys, "stdout", stream)
    output.make_printable()

    output.write("B\u00f6rse \u5916")

    assert raw.getvalue() == b"B\xf6rse \\u5916\n"


def test_a_reader_that_went_away_is_told_apart(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Closed())

    with pytest.raises(output.ReaderGone):
        output.write("x")


def test_saying_something_to_nobody_is_no_error(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Closed())

    output.say("x")
