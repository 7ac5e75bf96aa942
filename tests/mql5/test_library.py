"""The runtime's library, by its own self test: one program, and one result for each of its tests."""

import base64
import datetime as dt
import functools
import hashlib
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.mql5.building import compile_program
from tests.mql5.header import prototype
from tests.mql5.manifest import load

RUNTIME = Path(__file__).parent / "runtime"
MAIN = RUNTIME / "selftest_library.cpp"
SELF_TESTS = sorted(RUNTIME.glob("selftest_library_*.cpp"))
#: What the library stands on; clock, journal and end of the process are the self test's own.
NEEDED = [
    RUNTIME / name
    for name in ("failpoints.cpp", "language.cpp", "language_text.cpp", "options.cpp")
]
NAMES = [
    name
    for path in SELF_TESTS
    for name in re.findall(r"^TEST\((\w+)\)", path.read_text("utf-8"), re.MULTILINE)
]

# The first run compiles the library, with the others waiting for it.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def program():
    """
    Return the self test, with the sanitizers in it.
    """
    library = sorted(RUNTIME.glob("library_*.cpp"))
    sources = [*NEEDED, *library, *SELF_TESTS]
    return compile_program("selftest_library", MAIN.read_text("utf-8"), "asan", sources)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("library")


@functools.cache
def results(program, folder, seed):
    """
    Return what each test said, ended by PASS or FAIL; the program runs once.
    """
    done = subprocess.run(
        [program, folder],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "BRIDGE_TEST_SEED": str(seed)},
        timeout=120,
    )
    found = {}
    lines = []
    for line in done.stdout.splitlines():
        verdict, _, name = line.partition(" ")
        if verdict in {"PASS", "FAIL"}:
            found[name] = "\n".join([*lines, verdict])
            lines = []
        else:
            lines.append(line)
    # Where a sanitizer writes, it does not say of which test it speaks.
    print(done.stderr)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_library_does_what_its_self_test_says(program, folder, seed, name):
    assert results(program, folder, seed).get(name, "did not run") == "PASS"


def answers(program, questions):
    text = "".join(f"{function} {argument}\n" for function, argument in questions)
    done = subprocess.run(
        [program, "answer"], input=text, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.splitlines()


def some_bytes(rng, size):
    """
    Return bytes among which those that matter to UTF-8 are frequent.
    """
    matter = bytes.fromhex("00417f80bfc0c2dfe0edeff0f4f5ffa09f908f")
    return bytes(
        rng.choice(matter) if rng.random() < 0.7 else rng.randrange(256) for _ in range(size)
    )


def test_ill_formed_utf8_becomes_what_python_makes_of_it(program, rng):
    """
    Both replace each maximal ill-formed part once; CharArrayToString also ends at the first 0.
    """
    data = [some_bytes(rng, rng.randrange(12)) for _ in range(3000)]

    expected = [
        (item.split(b"\0")[0].decode("utf-8", "replace").encode() + b"\0").hex() for item in data
    ]
    assert expected == answers(program, [("utf8", item.hex()) for item in data])


@pytest.mark.parametrize("function", ["sha256", "sha1", "md5"])
def test_hashes_are_those_of_python(program, rng, function):
    data = [rng.randbytes(rng.randrange(300)) for _ in range(300)]

    expected = [hashlib.new(function, item, usedforsecurity=False).hexdigest() for item in data]
    assert expected == answers(program, [(function, item.hex()) for item in data])


def test_base64_is_that_of_python(program, rng):
    data = [rng.randbytes(rng.randrange(1, 50)) for _ in range(300)]

    expected = [base64.b64encode(item).hex() for item in data]
    assert expected == answers(program, [("base64", item.hex()) for item in data])


def test_dates_are_those_of_python(program, rng):
    last = 32_535_215_999
    seconds = [0, last, *(rng.randrange(last) for _ in range(1000))]

    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    expected = [f"{epoch + dt.timedelta(seconds=item):%Y.%m.%d %H:%M:%S}" for item in seconds]
    assert expected == answers(program, [("time", item) for item in seconds])


def test_numbers_are_read_as_python_reads_them(program, rng):
    numbers = [rng.uniform(-1, 1) * 10.0 ** rng.randrange(-300, 300) for _ in range(1000)]

    found = answers(program, [("number", f"{item!r} x".encode().hex()) for item in numbers])
    assert numbers == [float(item) for item in found]


def test_every_self_test_has_a_name_of_its_own():
    assert len(NAMES) == len(set(NAMES))


def test_no_function_of_the_library_is_forgotten(program):
    """
    What the manifest leaves to the library is there, for an expert may call any of it; templates
    are found by g++ when they are called.
    """
    symbols = subprocess.run(
        ["nm", "-C", "--defined-only", program], capture_output=True, text=True, check=True
    ).stdout
    defined = set(re.findall(r"\bmql::(\w+)\(", symbols))

    manifest = load()
    wanted = {
        name
        for name, overloads in manifest.functions.items()
        if manifest.implemented_in[name] == "library" and any(map(prototype, overloads))
    }

    assert sorted(wanted - defined) == []
