"""``bridge.bus.codec``: both encodings, strictly, whatever comes in."""

from __future__ import annotations

import json
import math
import time

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.bus.codec import DEPTH_MAX, Encoding, Raw, Spliced, decode, encode, encoding_of
from bridge.exceptions import InvalidRequest

MAX = 65_536
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
JSON_INTEGERS = st.integers(-(2**53), 2**53)
MSGPACK_INTEGERS = st.integers(-(2**63), 2**64 - 1)


def values(integers, *more):
    """
    Return maps as requests and replies have them, at most a few levels deep.
    """
    leaf = st.one_of(st.none(), st.booleans(), integers, FINITE, TEXT, *more)
    tree = st.recursive(
        leaf,
        lambda item: st.lists(item, max_size=4) | st.dictionaries(TEXT, item, max_size=4),
        max_leaves=12,
    )
    return st.dictionaries(TEXT, tree, max_size=4)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"{}", Encoding.JSON),
        (b" {}", Encoding.JSON),
        (b"\t{}", Encoding.JSON),
        (b"\r\n{}", Encoding.JSON),
        (b"[1]", Encoding.JSON),
        (b"\x80", Encoding.MSGPACK),
        (b"\xde\x00\x00", Encoding.MSGPACK),
        (b"\x90", Encoding.MSGPACK),
        (b"", Encoding.MSGPACK),
        (b"null", Encoding.MSGPACK),
        (b"\xef\xbb\xbf{}", Encoding.MSGPACK),
    ],
)
def test_the_first_byte_tells_the_encoding(data: bytes, expected: Encoding) -> None:
    assert expected is encoding_of(data)


@given(value=values(MSGPACK_INTEGERS, st.binary(max_size=20)))
def test_msgpack_comes_back_as_it_was(value) -> None:
    data = encode(value, Encoding.MSGPACK)

    assert value == decode(data, max_bytes=MAX)
    assert data == msgpack.packb(value)


@given(value=values(JSON_INTEGERS))
def test_json_comes_back_as_it_was(value) -> None:
    assert value == decode(encode(value, Encoding.JSON), max_bytes=MAX)


@given(number=MSGPACK_INTEGERS)
@example(number=2**53)
@example(number=2**53 + 1)
@example(number=-(2**53))
@example(number=-(2**53) - 1)
def test_json_writes_integers_beyond_2_to_53_as_text(number: int) -> None:
    """A reader that keeps numbers as doubles gets every integer exactly."""
    actual = json.loads(encode({"n": number}, Encoding.JSON))["n"]

    assert (str(number) if abs(number) > 2**53 else number) == actual
    assert number == int(actual)
    assert isinstance(actual, str) or int(float(actual)) == number


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_json_writes_numbers_that_are_not_finite_as_null(number: float) -> None:
    """A terminal may report them; the request has to end in a reply all the same."""
    assert (
        encode({"margin": number, "rows": [number]}, Encoding.JSON)
        == b'{"margin":null,"rows":[null]}'
    )


def test_json_writes_bytes_as_hexadecimal() -> None:
    assert encode({"body": b"\x00\xff"}, Encoding.JSON) == b'{"body":"00ff"}'


def test_json_escapes_what_is_not_ascii() -> None:
    data = encode({"symbol": "€😀"}, Encoding.JSON)

    assert data.isascii()
    assert decode(data, max_bytes=MAX) == {"symbol": "€😀"}


@given(items=st.lists(values(MSGPACK_INTEGERS), max_size=4))
def test_spliced_messages_equal_an_array_of_them(items) -> None:
    """What is copied from the ring without decoding reads like what was never packed."""
    spliced = Spliced(len(items), b"".join(msgpack.packb(item) for item in items))
    plain = {"first": 1, "messages": items, "next": None}

    actual = {"first": 1, "messages": spliced, "next": None}

    assert encode(plain, Encoding.MSGPACK) == encode(actual, Encoding.MSGPACK)
    assert encode(plain, Encoding.JSON) == encode(actual, Encoding.JSON)


@given(item=values(MSGPACK_INTEGERS))
def test_a_raw_value_equals_the_value(item) -> None:
    raw = Raw(msgpack.packb(item))

    for encoding in Encoding:
        expected = encode({"topics": [{"body": item, "seq": 1}]}, encoding)

        assert expected == encode({"topics": [{"body": raw, "seq": 1}]}, encoding)


def test_a_megabyte_of_spliced_ticks_is_one_array() -> None:
    record = bytes.fromhex("99" + "ce00000001" + "cf0000000000000001" + "00" * 7)
    data = encode({"messages": Spliced(15_000, record * 15_000)}, Encoding.MSGPACK)
    expected = [1, 1, 0, 0, 0, 0, 0, 0, 0]

    actual = decode(data, max_bytes=2 * 1024 * 1024)["messages"]

    assert (15_000, expected) == (len(actual), actual[0])


# --- what is refused ---------------------------------------------------------------------


def refusal(data: bytes, max_bytes: int = MAX) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        decode(data, max_bytes=max_bytes)
    assert len(caught.value.message) < 400
    caught.value.message.encode()
    return caught.value


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b"{", "json"),
        (b'{"id":1', "json"),
        (b'{"id":1}}', "json"),
        (b'{"id":1} {"id":2}', "json"),
        (b"{'id':1}", "json"),
        (b'{"id":01}', "json"),
        (b'{"id":1,}', "json"),
        (b'{"id":1,"id":1}', "appears twice"),
        (b'{"id":1,"params":{"a":{"b":1,"b":2}}}', "appears twice"),
        (b'{"id":1,"\\u0069d":1}', "appears twice"),
        (b'{"volume":NaN}', "NaN"),
        (b'{"volume":Infinity}', "Infinity"),
        (b'{"volume":-Infinity}', "Infinity"),
        (b'{"volume":1e999}', "finite"),
        (b'{"volume":[-1e999]}', "finite"),
        (b'{"id":"\\ud800"}', "surrogate"),
        (b'{"\\udc00":1}', "surrogate"),
        (b'{"\\ud800":1,"\\ud800":2}', "appears twice"),
        (b'{"id":"\xff"}', "json"),
        (b'{"id":"\xed\xa0\x80"}', "json"),
        (b'{"id":"a\nb"}', "json"),
        (b'{"id":' + b"9" * 5000 + b"}", "digits"),
        (b"[" * 17 + b"]" * 17, "deeper"),
        (b'{"a":' * 17 + b"1" + b"}" * 17, "deeper"),
        (b"[" * 60_000, "deeper"),
        (b'{"a":' * 10_000, "deeper"),
    ],
)
def test_hostile_json_is_refused(data: bytes, why: str) -> None:
    assert why in refusal(data).message


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("81", "too early"),
        ("81a2", "too early"),
        ("81a26964", "too early"),
        ("de", "too early"),
        ("dfffffffff", "msgpack"),
        ("ddffffffff", "msgpack"),
        ("c6ffffffff", "msgpack"),
        ("dbffffffff", "msgpack"),
        ("80c0", "1 bytes behind"),
        ("8080", "1 bytes behind"),
        ("c1", "msgpack"),
        ("82a2696401a2696402", "appears twice"),
        ("81a2696482a16101a16102", "appears twice"),
        ("810101", "msgpack"),
        ("81900101", "msgpack"),
        ("81c4026964c0", "keys of a map"),
        ("81a26964c40161", None),
        ("81a26964cb7ff8000000000000", "finite"),
        ("81a26964ca7f800000", "finite"),
        ("81a26964cbfff0000000000000", "finite"),
        ("81a26964d40500", "msgpack"),
        ("81a26964c70005", "extension type 5"),
        ("81a26964c7000501", "msgpack"),
        ("81a26964d6ff00000001", "msgpack"),
        ("81a26964c700ff", "msgpack"),
        ("81a26964a1ff", "msgpack"),
        ("81a26964a3eda080", "msgpack"),
        ("81a1ff01", "msgpack"),
        ("91" * 17 + "c0", "deeper"),
        ("91" * 5000 + "c0", "deeper"),
        ("81a161" * 17 + "c0", "deeper"),
    ],
)
def test_hostile_msgpack_is_refused(data: str, why: str | None) -> None:
    if why is None:
        decode(bytes.fromhex(data), max_bytes=MAX)
    else:
        assert why in refusal(bytes.fromhex(data)).message


@pytest.mark.parametrize("opening", [b"[", b"\x91"])
def test_the_greatest_depth_is_allowed(opening: bytes) -> None:
    closing = b"]" if opening == b"[" else b""
    inner = b"" if opening == b"[" else b"\xc0"

    assert decode(opening * DEPTH_MAX + inner + closing * DEPTH_MAX, max_bytes=MAX)


@pytest.mark.parametrize("data", [b'{"id":1}', b"\x81\xa2id\x01"])
def test_size_is_checked_before_anything_else(data: bytes) -> None:
    assert decode(data, max_bytes=len(data)) == {"id": 1}
    assert "more than" in refusal(data, max_bytes=len(data) - 1).message


@pytest.mark.parametrize("data", [b"null", b"GET / HTTP/1.1", b"\xef\xbb\xbf{}", b""])
def test_who_sends_neither_is_told_what_to_send(data: bytes) -> None:
    assert "JSON object" in refusal(data).hint


def test_nested_headers_do_not_make_it_allocate() -> None:
    """64 KiB of array headers that promise 65,535 elements each cost 512 MiB and 0.1 s once."""
    bomb = b"\xdd\x00\x00\xff\xff" * 1000 + b"\x00" * 60_000
    started = time.process_time()
    for _ in range(20):
        refusal(bomb)

    assert time.process_time() - started < 0.5


REQUEST = {
    "id": "r-1",
    "method": "replay",
    "terminal": "demo",
    "params": {"topic": "tick/demo/EURUSD", "epoch": 7, "first": 2**40, "last": None, "x": [1.5]},
}


@pytest.mark.parametrize("encoding", Encoding)
def test_a_request_cut_anywhere_is_refused(encoding: Encoding) -> None:
    data = encode(REQUEST, encoding)
    for length in range(len(data)):
        refusal(data[:length])

    assert decode(data, max_bytes=MAX) == REQUEST


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("trailing", [b"\0", b"x", b"{}", b"\xc0"])
def test_a_request_with_something_behind_it_is_refused(encoding, trailing) -> None:
    refusal(encode(REQUEST, encoding) + trailing)


@given(data=st.binary(max_size=300))
@example(data=b"\xc1")
@example(data=b"{" + b"\xff" * 20)
def test_any_bytes_are_a_value_or_an_invalid_request(data: bytes) -> None:
    try:
        value = decode(data, max_bytes=MAX)
    except InvalidRequest as error:
        error.message.encode()
    else:
        if isinstance(value, dict):
            encode(value, encoding_of(data))


@given(data=st.text(max_size=200).map(lambda text: b"{" + text.encode(errors="replace")))
def test_any_text_is_a_value_or_an_invalid_request(data: bytes) -> None:
    try:
        decode(data, max_bytes=MAX)
    except InvalidRequest as error:
        error.message.encode()


@pytest.mark.parametrize("encoding", Encoding)
@given(place=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_request_with_one_byte_changed_is_a_value_or_an_invalid_request(
    encoding, place, byte
) -> None:
    data = bytearray(encode(REQUEST, encoding))
    data[place % len(data)] = byte
    try:
        decode(bytes(data), max_bytes=MAX)
    except InvalidRequest as error:
        error.message.encode()
