import shutil
import subprocess

import pytest

from tests.mql5.building import compile_program, runtime_files

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(shutil.which("g++") is None, reason="the runtime is C++: g++ compiles it"),
]


@pytest.fixture(scope="module")
def selftest():
    text = runtime_files("selftest_language.cpp")[0].read_text()
    sources = runtime_files("language.cpp", "language_text.cpp")
    return compile_program("selftest_language", text, "asan", sources)


def run(program, *arguments):
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def test_all_checks_of_the_self_test_hold(selftest):
    done = run(selftest)

    assert "0 failures\n" == done.stdout
    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dynamic", "array out of range (index 0 of 0) at Bridge/App/Some.mqh:101"),
        ("fixed", "array out of range (index 3 of 3) at Bridge/App/Some.mqh:102"),
        ("negative", "array out of range (index -1 of 3) at Bridge/App/Some.mqh:103"),
        ("divide", "zero divide at Bridge/App/Some.mqh:104"),
        ("modulo", "zero divide at Bridge/App/Some.mqh:105"),
        ("overflow", "integer overflow in a division at Bridge/App/Some.mqh:106"),
        ("null", "invalid pointer access at Bridge/App/Some.mqh:107"),
        ("deleted", "invalid pointer access at Bridge/App/Some.mqh:108"),
        ("poisoned", "invalid pointer access at Bridge/App/Some.mqh:109"),
        ("twice", "delete of an invalid pointer at Bridge/App/Some.mqh:110"),
        ("cast", "incorrect casting of pointers at Bridge/App/Some.mqh:111"),
    ],
)
def test_a_critical_error_tells_where_it_is(selftest, name, expected):
    done = run(selftest, name)

    assert f"critical error: {expected}\n" == done.stdout
    assert (70, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("format_type", 'no integer for an integer specification in format "%d"'),
        ("format_size", '64 bits for a specification without I64 or ll in format "%d"'),
        ("format_few", 'fewer arguments than format specifications in format "%d %d"'),
        ("format_many", 'more arguments than format specifications in format "%d"'),
        ("format_sign", 'a number that the specification shows as another one in format "%u"'),
        ("format_unknown", 'unknown format specification in format "%n"'),
    ],
)
def test_a_format_that_does_not_match_ends_the_program(selftest, name, expected):
    """
    MetaTrader prints something or other instead.
    """
    done = run(selftest, name)

    assert done.stdout.startswith(f"critical error: {expected} at Bridge/App/Some.mqh:")
    assert 70 == done.returncode


def test_a_bool_that_was_never_set_is_no_bool(selftest):
    done = run(selftest, "bool")

    assert 77 == done.returncode
    assert "load of value 205, which is not a valid value for type 'bool'" in done.stderr
