import pytest

from tests.mql5.findings import SourceError
from tests.mql5.lexer import TokenKind, lex, read_source
from tests.mql5.snippets import expected, places


def kinds_and_texts(text):
    tokens, findings = lex(text, "a.mqh")
    assert findings == []
    assert tokens[-1].kind is TokenKind.END
    return [(token.kind.name, token.text) for token in tokens[:-1]]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("name_1", "NAME"),
        ("_Symbol", "NAME"),
        ("0", "INTEGER"),
        ("42", "INTEGER"),
        ("0xDeadBeef", "INTEGER"),
        ("0b1010", "INTEGER"),
        ("1.5", "REAL"),
        ("1.", "REAL"),
        (".5", "REAL"),
        ("1e10", "REAL"),
        ("1.5E-3", "REAL"),
        ('""', "STRING"),
        ('"a\\"b"', "STRING"),
        ('"// no comment"', "STRING"),
        ("'A'", "CHARACTER"),
        ("'\\''", "CHARACTER"),
        ("'\\x41'", "CHARACTER"),
        ("D'2024.01.02 03:04'", "DATETIME"),
        ("C'1,2,3'", "COLOR"),
        ("// to the end", "COMMENT"),
        ("/* one */", "COMMENT"),
        ("/* two\nlines */", "COMMENT"),
        ("#property strict", "DIRECTIVE"),
        ("  #define X 1", "DIRECTIVE"),
    ],
)
def test_each_kind_of_token_is_one_token(text, kind):
    assert [(kind, text.strip())] == kinds_and_texts(text)


@pytest.mark.parametrize(
    "operator",
    [
        "<<=",
        ">>=",
        "->",
        "++",
        "--",
        "<<",
        ">>",
        "<=",
        ">=",
        "==",
        "!=",
        "&&",
        "||",
        "+=",
        "-=",
        "*=",
        "/=",
        "%=",
        "&=",
        "|=",
        "^=",
        "::",
        "+",
        "-",
        "*",
        "/",
        "%",
        "&",
        "|",
        "^",
        "~",
        "!",
        "<",
        ">",
        "=",
        "?",
        ":",
        ";",
        ",",
        ".",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
    ],
)
def test_the_longest_operator_is_taken(operator):
    assert [("NAME", "a"), ("OPERATOR", operator), ("NAME", "b")] == kinds_and_texts(
        f"a{operator}b"
    )


def test_places_count_lines_and_columns_from_one():
    tokens, _ = lex("a /* x\n */ b\r\n\tc", "a.mqh")

    assert [(1, 1), (1, 3), (2, 5), (3, 2), (3, 3)] == [
        (token.place.line, token.place.column) for token in tokens
    ]


def test_text_after_a_comment_of_several_lines_is_no_fresh_line_for_nothing():
    assert [("COMMENT", "/* a\n*/"), ("DIRECTIVE", "#define X 1")] == kinds_and_texts(
        "/* a\n*/ #define X 1"
    )


REJECTED = [
    ('string s="\u00e4"; //! L002'),
    ("int \u00e4=1; //! L002"),
    ("int a=@; //! L003"),
    ("int a=`1`; //! L003 L003"),
    ('string s="no end; //! L004'),
    ("int c='no end; //! L004"),
    ("int a; /* no end //! L004"),
    ("int a=017; //! L005"),
    ("int a=00; //! L005"),
    ("int a=5u; //! L005"),
    ("int a=5LL; //! L005"),
    ("float a=1.5f; //! L005"),
    ("int a=1'000; //! L005"),
    ("int a=0x1FG; //! L005"),
    ('string s=L"x"; //! L007'),
    ('string s=R"(x)"; //! L007'),
    ("int c=u'x'; //! L007"),
    ("int a; #define X 1 //! D006"),
]


@pytest.mark.parametrize("text", REJECTED)
def test_what_mql5_does_not_have_is_found_where_it_stands(text):
    _, findings = lex("int first;\n" + text + "\nint last;", "a.mqh")

    assert expected("\n" + text) == places(findings)


def test_comments_may_be_in_any_language():
    _, findings = lex("int a; // \u00e4\n/* \u4e2d */ int b;", "a.mqh")

    assert [] == findings


def test_after_a_fault_the_next_line_is_read():
    tokens, _ = lex('string a="b;\nint c;', "a.mqh")

    assert ["int", "c", ";"] == [token.text for token in tokens[3:-1]]


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"\xef\xbb\xbfint a;", 1),
        (b"\xff\xfei\x00", 1),
        (b"int a;\n// \xe4\n", 2),
    ],
)
def test_a_source_is_plain_utf8(data, line, tmp_path):
    path = tmp_path / "a.mqh"
    path.write_bytes(data)

    with pytest.raises(SourceError) as caught:
        read_source(str(path))

    assert [(line, "L001")] == places(caught.value.findings)
