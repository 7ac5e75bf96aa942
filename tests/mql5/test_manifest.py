"""
The manifest is what the reference says, and refuses to be anything else.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from tests.mql5 import manifest
from tests.mql5.parser_words import NEVER_NAMES

DOCUMENT = json.loads(Path(manifest.__file__).with_name("manifest.json").read_text("ascii"))
LOADED = manifest.load()


def test_a_signature_is_read_whole():
    expected = manifest.Signature(
        name="SocketRead",
        returns="int",
        parameters=(
            manifest.ApiParameter("int", "socket"),
            manifest.ApiParameter("uchar", "buffer", reference=True, array=True),
            manifest.ApiParameter("uint", "buffer_maxlen"),
            manifest.ApiParameter("uint", "timeout_ms"),
        ),
        programs=frozenset({"expert", "script"}),
        may_fail=True,
        sets_last_error=True,
    )

    assert (expected,) == LOADED.functions["SocketRead"]


def test_defaults_and_const_are_kept():
    (found,) = LOADED.functions["CopyTicks"]

    assert [None, None, "COPY_TICKS_ALL", "0", "0"] == [one.default for one in found.parameters]
    assert 2 == found.required
    assert LOADED.functions["SocketSend"][0].parameters[1].const


def test_any_number_of_arguments_is_known():
    (found,) = LOADED.functions["PrintFormat"]

    assert (True, 1) == (found.variadic, len(found.parameters))


def test_the_three_forms_of_copy_rates_are_there():
    forms = [
        [parameter.type for parameter in form.parameters[2:4]]
        for form in LOADED.functions["CopyRates"]
    ]

    assert [["int", "int"], ["datetime", "int"], ["datetime", "datetime"]] == forms


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("MqlTick", 60),
        ("MqlRates", 60),
        ("MqlBookInfo", 28),
        ("MqlDateTime", 32),
        ("MqlTradeRequest", None),
    ],
)
def test_structs_have_no_gaps(name, size):
    assert size == LOADED.structs[name].size


def test_published_numbers_are_those_of_metaquotes():
    assert 5 == LOADED.enums["ENUM_TRADE_REQUEST_ACTIONS"]["TRADE_ACTION_PENDING"]
    assert 16408 == LOADED.enums["ENUM_TIMEFRAMES"]["PERIOD_D1"]
    assert ("uint", 10009) == LOADED.constants["TRADE_RETCODE_DONE"]
    assert ("int", 5273) == LOADED.constants["ERR_NETSOCKET_IO_ERROR"]
    assert ("uint", 65001) == LOADED.constants["CP_UTF8"]


def test_numbers_that_nobody_publishes_are_marked():
    transactions = LOADED.enums["ENUM_TRADE_TRANSACTION_TYPE"]

    assert transactions.keys() <= LOADED.unpublished
    assert 0 not in transactions.values()
    assert "TRADE_ACTION_DEAL" not in LOADED.unpublished
    assert "ENUM_DEAL_REASON" == LOADED.enum_of("DEAL_REASON_CORPORATE_ACTION")
    assert LOADED.enum_of("NOTHING") is None


def test_reserved_words_are_those_of_the_parser():
    assert set() == LOADED.reserved - NEVER_NAMES


def test_timers_are_not_for_services():
    assert "service" not in LOADED.functions["EventSetTimer"][0].programs
    assert "service" in LOADED.functions["Sleep"][0].programs
    assert "indicator" not in LOADED.functions["Sleep"][0].programs


def changed(path, value):
    document = copy.deepcopy(DOCUMENT)
    *folders, last = path
    place = document
    for key in folders:
        place = place[key]
    place[last] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (("more",), {}, "unknown"),
        (("functions", "Sleep", "pages"), 1, "unknown"),
        (("functions", "Sleep", "page"), "0241", "no page"),
        (("functions", "Sleep", "implemented_in"), "nowhere", "implemented in nowhere"),
        (("functions", "Sleep", "programs"), ["game"], "no such program"),
        (("functions", "Sleep", "errors"), [1], "no constant"),
        (("functions", "Sleep", "signatures"), [], "another name"),
        (("functions", "Sleep", "signatures"), ["void Sleeps(int a)"], "another name"),
        (("functions", "Sleep", "signatures"), ["void Sleep"], "not a declaration"),
        (("functions", "Sleep", "signatures"), ["void Sleep(int)"], "not a parameter"),
        (("functions", "Sleep", "signatures"), ["void Sleep(integer a)"], "unknown type"),
        (("functions", "Sleep", "signatures"), ["void Sleep(int a, int a)"], "comes twice"),
        (("functions", "Sleep", "signatures"), ["void Sleep(int a=1, int b)"], "no default"),
        (("functions", "Sleep", "signatures"), ["void Sleep(int a=SOON)"], "unknown SOON"),
        (("structs", "MqlTick", "size"), 64, "64 bytes"),
        (("structs", "MqlTick", "fields"), ["double"], "not a field"),
        (("structs", "MqlTick", "fields"), ["real bid"], "unknown type"),
        (("enums", "ENUM_BOOK_TYPE", "members"), {"A": 1, "B": 1}, "one number"),
        (("enums", "ENUM_BOOK_TYPE", "members"), {"INT_MAX": 1}, "come twice"),
        (("variables", "_Digits"), "number", "unknown type"),
        (("constants", 0, "type"), "number", "unknown type"),
        (("constants", 1, "values"), {"ERR_SUCCESS": 0}, "comes twice"),
    ],
)
def test_a_mistake_in_the_file_is_told(path, value, problem):
    with pytest.raises(manifest.ManifestError, match=problem):
        manifest.parse(changed(path, value))


def test_a_key_that_comes_twice_is_told(tmp_path):
    path = tmp_path / "manifest.json"
    path.write_text('{"source": "a", "source": "b"}')

    with pytest.raises(manifest.ManifestError, match="source comes twice"):
        manifest.load(path)


def test_a_fixed_array_counts_with_all_its_cells():
    document = changed(("structs", "MqlX"), {"page": "D:0001", "size": 5, "fields": ["uchar a[5]"]})

    assert (("uchar", "a", 5),) == manifest.parse(document).structs["MqlX"].fields
