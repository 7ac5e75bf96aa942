"""``bridge.wire.messages``: every message comes back as it was, and nothing else gets in."""

from __future__ import annotations

import contextlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.exceptions import RemoteProtocolError
from bridge.wire.fields import (
    BinField,
    FieldError,
    ListField,
    MapField,
    NumberField,
    OptionalField,
    TextField,
    TupleField,
)
from bridge.wire.messages import (
    MESSAGES,
    Ack,
    Busy,
    Challenge,
    Event,
    Halt,
    Heartbeat,
    Logout,
    New,
    Request,
    Unsubscribe,
    pack_message,
    unpack_message,
)
from bridge.wire.spec import FrameType, LogoutCode
from tests.support.wire import MESSAGES as EXAMPLES
from tests.support.wire import RELAY_NONCE, a_hello, largest

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
ALL = (*EXAMPLES, a_hello(), Challenge(1, 3, 7, RELAY_NONCE))


def values_of(field):
    """
    Return a strategy for the values of a field.
    """
    match field:
        case OptionalField():
            return st.none() | values_of(field.field)
        case ListField():
            return st.lists(values_of(field.field), max_size=3).map(tuple)
        case TupleField():
            return st.builds(field._make, *(values_of(part) for _, part in field.fields))
        case TextField():
            return TEXT.filter(lambda text: len(text.encode()) <= field._max)
        case BinField() if field._exact:
            return st.binary(min_size=field._size, max_size=field._size)
        case BinField():
            return st.binary(max_size=min(field._size, 100))
        case MapField():
            leaf = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | TEXT
            leaf |= st.binary(max_size=20) | st.floats(allow_nan=False, allow_infinity=False)
            inner = st.lists(leaf, max_size=3) | st.dictionaries(TEXT, leaf, max_size=3)
            return st.dictionaries(TEXT, leaf | inner, max_size=3)
        case NumberField() if field._high is None:
            return st.floats(allow_nan=False, allow_infinity=False)
        case NumberField():
            return st.integers(field._low, field._high)
    return st.booleans()


def messages_of(cls):
    """
    Return a strategy for the messages of a class.
    """
    return st.builds(cls, *(values_of(field) for _, field in cls.FIELDS))


def refused(cls, body):
    """
    Return why a body is refused.
    """
    with pytest.raises(RemoteProtocolError) as caught:
        unpack_message(cls, body)
    assert caught.value.code == LogoutCode.BAD_MESSAGE
    return caught.value.reason


@pytest.mark.parametrize("cls", MESSAGES.values(), ids=lambda cls: cls.__name__)
@given(data=st.data())
def test_every_message_comes_back_as_it_was(cls, data):
    message = data.draw(messages_of(cls))

    assert message == unpack_message(cls, pack_message(message))


@pytest.mark.parametrize("message", ALL, ids=lambda message: type(message).__name__)
def test_elements_of_a_later_version_are_ignored(message):
    values = [*msgpack.unpackb(pack_message(message)), "later", {"more": 1}]

    assert message == unpack_message(type(message), msgpack.packb(values))


@pytest.mark.parametrize("message", ALL, ids=lambda message: type(message).__name__)
def test_a_missing_element_is_refused(message):
    values = msgpack.unpackb(pack_message(message))

    for size in range(len(values)):
        assert "is not an array of" in refused(type(message), msgpack.packb(values[:size]))


@pytest.mark.parametrize("message", ALL, ids=lambda message: type(message).__name__)
def test_every_field_has_a_type(message):
    cls = type(message)
    values = msgpack.unpackb(pack_message(message))

    for i, (name, _) in enumerate(cls.FIELDS):
        wrong = [*values[:i], [[[[[]]]]], *values[i + 1 :]]
        assert refused(cls, msgpack.packb(wrong)).startswith(f"{cls.TYPE.name}.{name}")


@pytest.mark.parametrize("message", ALL, ids=lambda message: type(message).__name__)
def test_a_truncated_or_prolonged_body_is_refused(message):
    body = pack_message(message)

    for size in range(len(body)):
        assert refused(type(message), body[:size])
    assert refused(type(message), body + b"\xc0")


@pytest.mark.parametrize("cls", MESSAGES.values(), ids=lambda cls: cls.__name__)
@given(body=st.binary(max_size=200))
def test_arbitrary_bytes_are_a_message_or_refused(cls, body):
    with contextlib.suppress(RemoteProtocolError):
        unpack_message(cls, body)


@pytest.mark.parametrize(
    ("message", "body"),
    [
        (Ack(17), "9111"),
        (Ack(2**64 - 1), "91cfffffffffffffffff"),
        (Busy(2, 45_000), "9202cdafc8"),
        (Unsubscribe(0xDEADBEEF), "91cedeadbeef"),
        (Logout(1, "bye", 0), "9301a362796500"),
        (Heartbeat(-1, 0, 0, 0, None), "95ff000000c0"),
        (Halt(2, "€", 7), "9302a3e282ac07"),
        (Request(3, "tick", {"symbol": "ES"}, -1), "9403a47469636b81a673796d626f6ca24553ff"),
    ],
)
def test_the_bytes_of_small_messages(message, body):
    assert bytes.fromhex(body) == pack_message(message)
    assert message == unpack_message(type(message), bytes.fromhex(body))


@pytest.mark.parametrize(
    ("cls", "body", "value"),
    [
        (Ack, "91cc11", Ack(17)),  # u8 where a fixint would do
        (Ack, "91cd0011", Ack(17)),
        (Ack, "91ce00000011", Ack(17)),
        (Ack, "91cf0000000000000011", Ack(17)),
        (Ack, "91d011", Ack(17)),  # and as signed
        (Ack, "91d30000000000000011", Ack(17)),
        (Ack, "dc000111", Ack(17)),  # array16
        (Ack, "dd0000000111", Ack(17)),  # array32
        (Logout, "9300d90178 00", Logout(0, "x", 0)),  # str8
        (Logout, "9300da000178 00", Logout(0, "x", 0)),  # str16
    ],
)
def test_any_msgpack_form_of_a_value_is_taken(cls, body, value):
    """So that a writer in MQL5 may use one form for all integers."""
    assert value == unpack_message(cls, bytes.fromhex(body))


@pytest.mark.parametrize(
    ("cls", "body"),
    [
        (Ack, ""),
        (Ack, "c1"),  # never used in msgpack
        (Ack, "c0"),
        (Ack, "11"),
        (Ack, "81a373657111"),  # a map
        (Ack, "91c3"),  # true is no integer
        (Ack, "91cb4031000000000000"),  # 17.0 is no integer
        (Ack, "91d0ff"),  # -1
        (Ack, "91d6ff00000000"),  # timestamp extension
        (Ack, "91d40100"),  # extension
        (Ack, "9111c0c0"),  # two values too many behind the array
        (Logout, "9300a1ff00"),  # not UTF-8
        (Logout, "9300c4017800"),  # bytes are no text
        (Ack, "dd00001001" + "00" * 4097),  # an array of 4,097
        (Request, "9401a17884a16101a16102a16203a1640401"),  # a key twice
        (Request, "9401a178810101" + "00"),  # a key that is no text
    ],
)
def test_what_is_not_the_message_is_refused(cls, body):
    assert refused(cls, bytes.fromhex(body)).startswith(cls.TYPE.name)


def test_nesting_without_end_is_refused():
    assert refused(Ack, b"\x91" * 60_000)


def test_a_key_that_stands_twice_is_named():
    body = bytes.fromhex("9401a17882a16101a1610200")

    assert "a key stands twice in a map" in refused(Request, body)


def test_the_reason_is_bounded():
    body = msgpack.packb([1, "x" * 300, 0])

    assert len(refused(Logout, body)) <= 200


def test_a_message_of_ours_that_does_not_fit_raises():
    with pytest.raises(FieldError, match=r"^seq: -1"):
        pack_message(Ack(-1))


@pytest.mark.parametrize("cls", [Request, Event])
def test_a_map_that_msgpack_could_not_write_raises_a_field_error(cls):
    message = largest(cls)
    name = "params" if cls is Request else "record"
    values = [getattr(message, field) for field, _ in cls.FIELDS]
    values[[field for field, _ in cls.FIELDS].index(name)] = {"a": 2**64}

    with pytest.raises(FieldError, match=f"^{name}.a"):
        pack_message(cls(*values))


def test_every_frame_type_with_an_array_has_a_class():
    assert set(FrameType) - {FrameType.PROOF, FrameType.TICKS} == set(MESSAGES)


def test_messages_are_immutable():
    with pytest.raises(AttributeError):
        Ack(1).seq = 2


def test_an_order_request_has_mql5s_fields_in_mql5s_order():
    names = New.FIELDS[-1][1].fields

    assert [name for name, _ in names] == [
        "action", "magic", "order", "symbol", "volume", "price", "stoplimit", "sl", "tp",
        "deviation", "type", "type_filling", "type_time", "expiration", "comment", "position",
        "position_by",
    ]  # fmt: skip
