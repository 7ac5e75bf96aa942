"""``bridge.wire.fields``: one check for what is sent and what arrives."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.wire.fields import (
    BOOL,
    F64,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    BinField,
    FieldError,
    ListField,
    MapField,
    OptionalField,
    TextField,
    TupleField,
    clip,
    printable,
)

PAIR = TupleField(lambda *parts: parts, (("a", U8), ("b", TextField(3))))
PLAIN = MapField(3, 2)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        (U8, 0, 0),
        (U8, 255, 255),
        (U16, 65_535, 65_535),
        (U32, 2**32 - 1, 2**32 - 1),
        (U64, 2**64 - 1, 2**64 - 1),
        (I16, -32_768, -32_768),
        (I32, -(2**31), -(2**31)),
        (I64, -(2**63), -(2**63)),
        (I64, 2**63 - 1, 2**63 - 1),
        (F64, 1.5, 1.5),
        (F64, 2, 2.0),
        (F64, -0.0, -0.0),
        (F64, 5e-324, 5e-324),
        (BOOL, True, True),
        (TextField(3), "", ""),
        (TextField(3), "abc", "abc"),
        (TextField(3), "€", "€"),
        (BinField(2), b"ab", b"ab"),
        (BinField(2, exact=False), b"", b""),
        (OptionalField(U8), None, None),
        (OptionalField(U8), 7, 7),
        (ListField(U8, 2), [], ()),
        (ListField(U8, 2), [1, 2], (1, 2)),
        (PAIR, [1, "x"], (1, "x")),
        (PAIR, (1, "x", "a later version's"), (1, "x")),
        (PLAIN, {}, {}),
        (PLAIN, {"a": [1, None], "b": {"c": b"x"}}, {"a": [1, None], "b": {"c": b"x"}}),
    ],
)
def test_a_value_that_fits_is_kept(field, value, expected):
    assert expected == field.check(value, "x")


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        (U8, -1, "x: -1 is outside 0..255"),
        (U8, 256, "x: 256 is outside 0..255"),
        (U8, True, "x: expected an integer, got bool"),
        (U8, 1.0, "x: expected an integer, got float"),
        (U8, None, "x: expected an integer, got NoneType"),
        (U64, 2**64, "x: 18446744073709551616 is outside 0..18446744073709551615"),
        (I16, 32_768, "x: 32768 is outside -32768..32767"),
        (F64, math.nan, "x: nan is not finite"),
        (F64, math.inf, "x: inf is not finite"),
        (F64, -math.inf, "x: -inf is not finite"),
        (F64, "1.5", "x: expected a number, got str"),
        (F64, True, "x: expected a number, got bool"),
        (BOOL, 1, "x: expected true or false, got int"),
        (TextField(3), b"abc", "x: expected text, got bytes"),
        (TextField(3), "abcd", "x: 4 bytes are more than 3"),
        (TextField(3), "€€", "x: 6 bytes are more than 3"),
        (TextField(3), "a\0", "x: contains a NUL"),
        (TextField(3), "\ud800", "x: is not valid Unicode"),
        (BinField(2), "ab", "x: expected bytes, got str"),
        (BinField(2), b"a", "x: 1 bytes, expected = 2"),
        (BinField(2, exact=False), b"abc", "x: 3 bytes, expected <= 2"),
        (OptionalField(U8), "", "x: expected an integer, got str"),
        (ListField(U8, 2), [1, 2, 3], "x: 3 elements are more than 2"),
        (ListField(U8, 2), [1, -1], "x[1]: -1 is outside 0..255"),
        (ListField(U8, 2), "ab", "x: expected an array, got str"),
        (PAIR, [1], "x: 1 of 2 elements"),
        (PAIR, [1, "abcd"], "x.b: 4 bytes are more than 3"),
        (PAIR, {"a": 1}, "x: expected an array, got dict"),
        (PLAIN, [], "x: expected a map, got list"),
        (PLAIN, {"a": 1, "b": 2, "c": 3, "d": 4}, "x: 4 entries are more than 3"),
        (PLAIN, {"a": [1, 2, 3, 4]}, "x.a: 4 entries are more than 3"),
        (PLAIN, {"a": {"b": {}}}, "x.a.b: nested too deeply"),
        (PLAIN, {"a": [[]]}, "x.a[0]: nested too deeply"),
        (PLAIN, {b"a": 1}, "x: keys must be text"),
        (PLAIN, {1: 1}, "x: keys must be text"),
        (PLAIN, {"a\0": 1}, "x: contains a NUL"),
        (PLAIN, {"a": "b\0"}, "x.a: contains a NUL"),
        (PLAIN, {"a": "\ud800"}, "x.a: is not valid Unicode"),
        (PLAIN, {"a": 2**64}, "x.a: 18446744073709551616 does not fit 64 bits"),
        (PLAIN, {"a": math.nan}, "x.a: nan is not finite"),
        (PLAIN, {"a": object()}, "x.a: object is not allowed"),
    ],
)
def test_a_value_that_does_not_fit_is_named(field, value, reason):
    with pytest.raises(FieldError) as caught:
        field.check(value, "x")

    assert reason == str(caught.value)


def test_an_integer_too_large_for_a_double_is_no_number():
    with pytest.raises(FieldError, match="does not fit a double"):
        F64.check(10**400, "x")


@given(
    value=st.recursive(
        st.none() | st.integers() | st.text() | st.binary() | st.floats(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
        max_leaves=8,
    )
)
@pytest.mark.parametrize(
    "field",
    [U8, I64, F64, BOOL, TextField(5), BinField(5), PAIR, PLAIN, ListField(U8, 2)],
    ids=lambda field: field.label,
)
def test_nothing_but_a_field_error_is_raised(field, value):
    with contextlib.suppress(FieldError):
        field.check(value, "x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("short", "short"),
        ("a\0b", "a b"),
        ("x" * 300, "x" * 250),
        ("€" * 100, "€" * 83),
        ("\ud800", "?"),
    ],
)
def test_our_own_text_is_clipped_to_its_field(text, expected):
    assert expected == clip(text)
    assert TextField(256).check(clip(text), "text") == clip(text)


def test_a_peer_cannot_write_on_our_terminal():
    assert printable("a\x1b[31mb\r\nc\u202ed") == "a [31mb  c d"
