"""
The manifest as C++ compiles, and says the same.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.mql5 import header, manifest

LOADED = manifest.load()
RUNTIME = Path(header.__file__).parent / "runtime"
PROGRAM = r"""
#include "api.hpp"
#include "library.hpp"

namespace mql {

// What a caller may leave out and hand over.
inline bool use(MqlTick &tick, darr<MqlTick> &ticks, darr<uchar> &bytes,
                darr<MqlRates> &rates) {
    uchar fixed[4] = {};
    const MqlTick none = {};
    return SymbolInfoTick("A", tick) && CopyTicks("A", ticks) == 0 &&
           SocketSend(1, fixed, 4) == 4 && SocketSend(1, bytes, 4u) == 4 &&
           SocketCreate() == INVALID_HANDLE && none.bid == 0.0 &&
           FileOpen("a", FILE_READ | FILE_BIN) != INVALID_HANDLE &&
           SymbolInfoInteger("A", SYMBOL_DIGITS) == 5 && EnumToString(PERIOD_H1) == "PERIOD_H1" &&
           CopyRates("A", PERIOD_M1, 0, 10, rates) == 10;
}

static_assert(LONG_MIN == -9223372036854775807LL - 1);
static_assert(sizeof(LONG_MAX) == 8 && sizeof(INT_MIN) == 4);
static_assert(COPY_TICKS_ALL == 0xFFFFFFFFU);
static_assert(EMPTY_VALUE == DBL_MAX);
static_assert(sizeof(ENUM_TIMEFRAMES) == 4);

}  // namespace mql
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "SocketRead",
            (
                "int SocketRead(int socket, aref<unsigned char> buffer, unsigned int buffer_maxlen, "
                "unsigned int timeout_ms)"
            ),
        ),
        (
            "SocketSend",
            "int SocketSend(int socket, caref<unsigned char> buffer, unsigned int buffer_len)",
        ),
        ("SymbolInfoTick", "bool SymbolInfoTick(const string &symbol, MqlTick &tick)"),
        ("ArrayResize", None),
        ("PrintFormat", None),
        ("GetPointer", None),
        (
            "FileOpen",
            (
                "int FileOpen(const string &file_name, int open_flags, "
                r"short delimiter = static_cast<short>(u'\t'), "
                "unsigned int codepage = static_cast<unsigned int>(CP_ACP))"
            ),
        ),
        (
            "GlobalVariablesDeleteAll",
            (
                "int GlobalVariablesDeleteAll(const string &prefix_name = string(), "
                "long long limit_data = 0)"
            ),
        ),
        (
            "StringCompare",
            (
                "int StringCompare(const string &string1, const string &string2, "
                "bool case_sensitive = true)"
            ),
        ),
    ],
)
def test_a_function_is_declared_with_the_types_of_the_runtime(name, expected):
    assert expected == header.prototype(LOADED.functions[name][0])


def test_a_definition_repeats_no_defaults():
    found = header.prototype(LOADED.functions["SocketCreate"][0], defaults=False)

    assert "int SocketCreate(unsigned int flags)" == found


def test_files_that_are_right_are_not_written_again(tmp_path):
    header.write(tmp_path)
    stamps = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    header.write(tmp_path)

    assert {"api.hpp", "api_values.hpp"} == stamps.keys()
    assert stamps == {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ here")
def test_the_headers_compile_with_the_runtime(tmp_path):
    header.write(tmp_path)
    (tmp_path / "use.cpp").write_text(PROGRAM)
    command = ["g++", "-std=c++17", "-fsyntax-only", "-Wall", "-Wextra", "-Werror"]
    command += [f"-I{tmp_path}", f"-I{RUNTIME}", str(tmp_path / "use.cpp")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (0, "") == (done.returncode, done.stderr)
