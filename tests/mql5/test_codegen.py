import itertools
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.mql5 import tree
from tests.mql5.building import build
from tests.mql5.codegen import translate
from tests.mql5.codegen_types import (
    GENERATED,
    constant,
    identifier,
    mark,
    resolve_marks,
    string_literal,
)
from tests.mql5.frontend import compile_unit
from tests.mql5.types import BOOL, COLOR, DOUBLE, FLOAT, INT, LONG, STRING, UCHAR, UINT, ULONG

PROGRAM = Path(__file__).with_name("programs") / "language.mq5"
SOURCE = PROGRAM.read_text().splitlines()
TYPES = PROGRAM.with_name("language_types.mqh").read_text().splitlines()
needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None, reason="g++ compiles what the translator makes"
)

# --- the text ------------------------------------------------------------------------------------


@pytest.fixture
def translated(tmp_path):
    def run(text):
        path = tmp_path / "Experts" / "snippet.mq5"
        path.parent.mkdir(exist_ok=True)
        (tmp_path / "Include").mkdir(exist_ok=True)
        path.write_text(text)
        return translate(compile_unit(path), "snippet.cpp", str(tmp_path))

    return run


@pytest.mark.parametrize(
    ("value", "of", "expected"),
    [
        (5, INT, "5"),
        (-5, INT, "(-5)"),
        (-(2**31), INT, "(-2147483647 - 1)"),
        (-(2**63), LONG, "(-9223372036854775807LL - 1)"),
        (2**64 - 1, ULONG, "18446744073709551615ULL"),
        (7, UINT, "7U"),
        (255, COLOR, "255U"),
        (9, UCHAR, "static_cast<unsigned char>(9)"),
        (1.0, DOUBLE, "1.0"),
        (-0.1, DOUBLE, "(-0.1)"),
        (1e300, DOUBLE, "1e+300"),
        (0.5, FLOAT, "0.5f"),
        (True, BOOL, "true"),
        ("a", STRING, 'u"a"_s'),
        (None, STRING, "mql::string()"),
    ],
)
def test_a_constant_has_the_type_it_is_used_as(value, of, expected):
    assert expected == constant(value, of)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", 'u"plain"_s'),
        ('a"b\\', 'u"a\\"b\\\\"_s'),
        ("\n\t\r", 'u"\\n\\t\\r"_s'),
        ("\x011", 'u"\\0011"_s'),
        ("é€", 'u"\\351\\u20AC"_s'),
        ("\U0001f600a", 'u"\\xD83D" u"\\xDE00" u"a"_s'),
        ("\ud800", 'u"\\xD800" u""_s'),
    ],
)
def test_a_string_literal_is_ascii(text, expected):
    assert expected == string_literal(text)


@pytest.mark.parametrize("name", ["errno", "NAN", "assert", "mql_x", "std"])
def test_names_that_mean_something_in_cpp_are_renamed(name):
    assert f"{name}_" == identifier(name)


def test_marks_become_lines_of_the_source():
    text = "".join(
        [
            "glue\n",
            mark(tree.Place("a.mq5", 10, 1)),
            "x = ",
            mark(tree.Place("a.mq5", 10, 9)),
            "y +",
            mark(tree.Place("a.mq5", 12, 1)),
            "z;\n",
            GENERATED,
            "glue",
        ]
    )
    expected = ["glue", '#line 10 "a.mq5"', "x = y +", "", "z;", '#line 7 "own.cpp"', "glue"]

    assert expected == resolve_marks(text, "own.cpp").split("\n")


def test_lines_far_away_and_lines_before_get_a_directive():
    far = [mark(tree.Place("a.mq5", line, 1)) + f"line {line};" for line in (1, 100, 99)]
    expected = [
        '#line 1 "a.mq5"', "line 1;", '#line 100 "a.mq5"', "line 100;", '#line 99 "a.mq5"', "line 99;",
    ]  # fmt: skip

    assert expected == resolve_marks("".join(far), "own.cpp").split("\n")


def test_the_folder_of_the_project_is_left_out_of_places():
    text = mark(tree.Place("/there/mql5/a.mqh", 3, 1)) + "x"

    assert '#line 3 "mql5/a.mqh"\nx' == resolve_marks(text, "own.cpp", "/there")


def test_handlers_are_in_the_table_and_others_are_null(translated):
    text = translated(
        "int OnInit()\n  {\n   return INIT_SUCCEEDED;\n  }\n"
        "void OnDeinit(const int reason)\n  {\n  }\n"
        "void OnBookEvent(const string &symbol)\n  {\n   Print(symbol);\n  }\n"
        "void Other()\n  {\n  }\n"
    )
    table = text[text.index("const Program program") :].split("\n")[1:11]
    expected = [
        '    "snippet",',
        "    +[]() -> int { return mql::source::OnInit(); },",
        "    +[](int reason) -> void { mql::source::OnDeinit(reason); },",
        *["    nullptr,"] * 5,
        "    +[](const mql::string &symbol) -> void { mql::source::OnBookEvent(symbol); },",
        "    nullptr,",
    ]

    assert expected == table


def test_operands_get_the_type_of_the_result(translated):
    text = translated(
        "void OnStart()\n  {\n   const uchar a=1;\n   const long b=2;\n"
        "   Print(a+b,a<<3,a/2,a<b);\n  }\n"
    )

    assert "(static_cast<long long>(a) + b)" in text
    assert "(static_cast<int>(a) << 3)" in text
    assert "mql::div<int>(static_cast<int>(a), 2)" in text
    assert "(a < b)" in text


def test_defaults_are_written_at_the_call(translated):
    text = translated(
        'int Run(const long a,const string b="x",const double c=1)\n  {\n   return (int)a;\n  }\n'
        "void OnStart()\n  {\n   Print(Run(1));\n  }\n"
    )

    assert 'mql::source::Run(static_cast<long long>(1), u"x"_s, static_cast<double>(1))' in text


# --- behaviour -------------------------------------------------------------------------------------


def expectations():
    # The texts behind "//=" of each function that a case calls.
    function, texts = "", {}
    for line in [*SOURCE, *TYPES]:
        begin = re.match(r"(?:void|bool) (\w+)\(.*\)$", line)
        if begin:
            function = begin.group(1)
        found = re.search(r"//= (.*)$", line)
        if found:
            texts.setdefault(function, []).append(found.group(1))
    return texts


def failing_lines():
    marked = re.compile(r"// fails (\d+)")
    return {
        int(found.group(1)): number
        for number, line in enumerate(SOURCE, 1)
        if (found := marked.search(line))
    }


EXPECTED = expectations()
FAILING = failing_lines()


@pytest.fixture(scope="module")
def program():
    return build(PROGRAM)


def run(program, *inputs):
    words = itertools.chain.from_iterable(("--input", text) for text in inputs)
    return subprocess.run(
        [program, *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )


def printed(done):
    return [
        line.removeprefix("print: ")
        for line in done.stderr.splitlines()
        if line.startswith("print: ")
    ]


@needs_compiler
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("case", sorted(EXPECTED))
def test_the_translated_program_prints_what_mql5_prints(program, case):
    done = run(program, f"InpCase=CASE_{case.upper()}")

    assert EXPECTED[case] == printed(done), done.stderr
    assert 0 == done.returncode


@needs_compiler
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("failure", "what"),
    [
        (1, "array out of range (index 0 of 0)"),
        (2, "array out of range (index 2 of 2)"),
        (3, "array out of range (index -1 of 2)"),
        (4, "zero divide"),
        (5, "zero divide"),
        (6, "invalid pointer access"),
        (7, "invalid pointer access"),
        (8, 'no integer for an integer specification in format "%d"'),
        (9, "array out of range (index 3 of 3)"),
        (10, "invalid pointer access"),
        (11, "delete of an invalid pointer"),
        (12, "array out of range (index 2 of 2)"),
        (15, "zero divide"),
    ],
)
def test_a_critical_error_ends_the_program_and_tells_the_line(program, failure, what):
    done = run(program, f"InpFailure={failure}")
    place = f"tests/mql5/programs/language.mq5:{FAILING[failure]}"

    assert f"error: critical error: {what} at {place}" in done.stderr.splitlines()
    assert 70 == done.returncode
    assert "went on" not in done.stderr


@needs_compiler
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("failure", "what"),
    [
        (13, "shift exponent 32"),
        (14, "not a valid value for type 'bool'"),
        (16, "outside the range of representable values of type 'int'"),
    ],
)
def test_what_mql5_leaves_undefined_ends_the_program(program, failure, what):
    done = run(program, f"InpFailure={failure}")

    assert 77 == done.returncode
    assert what in done.stderr
    assert f"language.mq5:{FAILING[failure]}:" in done.stderr


@needs_compiler
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((), "default text 1.5 false 18446744073709551615 7"),
        (("InpText=é", "InpNumber=-2", "InpFlag=true", "InpHuge=5"), "é -2.0 true 5 7"),
    ],
)
def test_inputs_are_set_by_their_names(program, given, expected):
    done = run(program, "InpCase=CASE_INPUTS", *given)

    assert [expected] == printed(done)


@needs_compiler
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("given", ["InpSmall=256", "InpSmall=x", "InpFlag=yes", "InpCase=CASE_X"])
def test_an_input_that_is_no_such_value_is_refused(program, given):
    done = run(program, given)

    assert 0 != done.returncode
    assert given.partition("=")[0] in done.stderr


@needs_compiler
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_objects_that_are_not_deleted_are_told_at_the_end(program):
    done = run(program, "InpCase=CASE_LEAKS")
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    expected = [
        "error: 2 undeleted objects left",
        "error: 1 object of type CSquare left",
        "error: 1 object of type CUnit left",
    ]

    assert expected == errors[:3]
    assert re.fullmatch(r"error: \d+ bytes of leaked memory", errors[3])
