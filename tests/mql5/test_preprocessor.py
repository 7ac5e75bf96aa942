from pathlib import Path

import pytest

from tests.mql5.findings import SourceError
from tests.mql5.preprocessor import preprocess
from tests.mql5.snippets import expected, places, preprocessed


def texts(source):
    return [token.text for token in source.tokens[:-1]]


GUARDED = "#ifndef A_MQH\n#define A_MQH\nint a;\n#endif\n"


def test_a_file_is_included_where_it_stands(tmp_path):
    source = preprocessed(tmp_path, main='int b;\n#include "a.mqh"\nint c;', a="int a;")

    assert ["int", "b", ";", "int", "a", ";", "int", "c", ";"] == texts(source)
    assert [] == source.findings


def test_a_file_is_included_once(tmp_path):
    source = preprocessed(
        tmp_path, main='#include "a.mqh"\n#include "b.mqh"\n', a="int a;", b='#include "a.mqh"\n'
    )

    assert ["int", "a", ";"] == texts(source)


def test_files_may_include_each_other(tmp_path):
    source = preprocessed(
        tmp_path,
        main='#include "a.mqh"\n',
        a='#include "b.mqh"\nint a;',
        b='#include "a.mqh"\nint b;',
    )

    assert ["int", "b", ";", "int", "a", ";"] == texts(source)


@pytest.mark.parametrize("written", ["<Sub/A.mqh>", "<Sub\\A.mqh>"])
def test_angle_brackets_look_below_include(written, tmp_path):
    source = preprocessed(tmp_path, main=f"#include {written} // why\n", Include__Sub__A="int a;")

    assert ["int", "a", ";"] == texts(source)


def test_quotes_look_beside_the_including_file(tmp_path):
    source = preprocessed(
        tmp_path,
        main="#include <Sub/A.mqh>\n",
        Include__Sub__A='#include "B.mqh"\n#include "../C.mqh"\n',
        Include__Sub__B="int b;",
        Include__C="int c;",
    )

    assert ["int", "b", ";", "int", "c", ";"] == texts(source)


def test_a_place_has_the_path_as_it_was_included(tmp_path, monkeypatch):
    preprocessed(tmp_path, main="#include <Sub/A.mqh>\n", Include__Sub__A="int a;")
    monkeypatch.chdir(tmp_path)

    source = preprocess("main.mq5", Path("Include"))

    assert "Include/Sub/A.mqh:1" == str(source.tokens[0].place)
    assert ["main.mq5", "Include/Sub/A.mqh"] == list(source.tokens_by_file)


def test_an_include_guard_leaves_no_trace(tmp_path):
    source = preprocessed(tmp_path, main='// first\n#include "a.mqh"\n', a="// why\n" + GUARDED)

    assert ["int", "a", ";"] == texts(source)
    assert [] == source.findings


def test_comments_and_directives_stay_for_the_rules(tmp_path):
    source = preprocessed(tmp_path, main="// first\n#property strict\nint a; // last\n")

    kept = source.tokens_by_file[str(tmp_path / "main.mq5")]
    assert ["// first", "#property strict", "int", "a", ";", "// last", ""] == [
        token.text for token in kept
    ]


def test_constants_and_properties_stay_tokens(tmp_path):
    source = preprocessed(tmp_path, main='#property version "1"\n#define X 1 // one\n')

    assert ['#property version "1"', "#define X 1 // one"] == texts(source)


REJECTED = [
    '#import "a.dll" //! D001',
    '#resource "a.bmp" //! D001',
    "#if X //! D001",
    "#ifdef X //! D001",
    "#else //! D001",
    "#undef X //! D001",
    "#pragma once //! D001",
    "#error no //! D001",
    "#nonsense //! D001",
    '#include "missing.mqh" //! D002',
    "#include <Missing.mqh> //! D002",
    '#include "C:/a.mqh" //! D003',
    '#include "/a.mqh" //! D003',
    "#include <../main.mq5> //! D003",
    "int a;\n#ifndef X //! D004\n#define X 1\n#endif //! D004",
    "#ifndef X //! D004\n#define Y 1\nint a;\n#endif",
    "#ifndef X //! D004\n#define X\n#endif\nint a;",
    "#ifndef //! D004\n#define X 1\n#endif",
    "#define X(a) a //! D005",
    "#define X //! D005",
    "#define 1 //! D006",
    "#define X 1 \\",
    "#include a.mqh //! D006",
    "#include //! D006",
]


@pytest.mark.parametrize("text", REJECTED)
def test_other_directives_are_found(text, tmp_path):
    source = preprocessed(tmp_path, main=text)

    wanted = [(1, "D006")] if text.endswith("\\") else expected(text)
    assert wanted == places(source.findings)


def test_a_comment_may_follow_a_string_with_slashes(tmp_path):
    source = preprocessed(tmp_path, main='#define URL "a//b" /* c */ // d\n')

    assert [] == source.findings


def test_faults_of_included_files_are_told(tmp_path):
    preprocessed(tmp_path, main='#include "a.mqh"\n')
    (tmp_path / "a.mqh").write_bytes(b"\xef\xbb\xbfint a;")

    source = preprocess(tmp_path / "main.mq5", tmp_path)

    assert [(1, "L001")] == places(source.findings)


def test_the_main_file_has_to_be_readable(tmp_path):
    (tmp_path / "main.mq5").write_bytes(b"\xff\xfe")

    with pytest.raises(SourceError):
        preprocess(tmp_path / "main.mq5", tmp_path)
