from __future__ import annotations

import pytest

from bridge.model.enums import TradeRetcode
from bridge.model.retcodes import RETCODES, RetcodeClass, retcode_class, retcode_name

SUCCESS = {
    TradeRetcode.PLACED: RetcodeClass.PLACED,
    TradeRetcode.DONE: RetcodeClass.DONE,
    TradeRetcode.DONE_PARTIAL: RetcodeClass.PARTIAL,
}
#: After these the server may have executed the request, or may still do so.
IN_DOUBT = {
    TradeRetcode.ERROR,
    TradeRetcode.TIMEOUT,
    TradeRetcode.LOCKED,
    TradeRetcode.CONNECTION,
}


def test_every_code_of_metatrader_is_in_the_table_once_and_in_order():
    assert list(RETCODES) == sorted(int(code) for code in TradeRetcode)
    assert [int(entry.code) for entry in RETCODES.values()] == list(RETCODES)


@pytest.mark.parametrize("code", TradeRetcode, ids=lambda code: code.name)
def test_each_code_has_its_class(code):
    expected = (
        RetcodeClass.AMBIGUOUS
        if code in IN_DOUBT
        else SUCCESS.get(code, RetcodeClass.DEFINITIVE_REJECT)
    )

    assert expected == retcode_class(code)


@pytest.mark.parametrize("code", [0, 1, -1, 10_005, 10_037, 10_047, 2**32 - 1])
def test_a_code_that_is_not_listed_is_in_doubt(code):
    assert RetcodeClass.AMBIGUOUS == retcode_class(code)
    assert "" == retcode_name(code)


def test_a_name_is_that_of_mql5_without_its_prefix():
    assert "INVALID_FILL" == retcode_name(10_030)


@pytest.mark.parametrize("entry", RETCODES.values(), ids=lambda entry: entry.code.name)
def test_each_code_says_what_it_means_and_what_to_do(entry):
    for text in (entry.meaning, entry.advice):
        assert text
        assert not text.endswith(".")
        assert "|" not in text


@pytest.mark.parametrize("entry", RETCODES.values(), ids=lambda entry: entry.code.name)
def test_only_what_was_certainly_not_executed_may_be_tried_again(entry):
    assert not entry.retryable or RetcodeClass.DEFINITIVE_REJECT == entry.verdict
