"""Every ask ends once: by its pages, an error, its deadline, or the loss of the link."""

from __future__ import annotations

import msgpack
import pytest

from bridge.exceptions import RemoteProtocolError
from bridge.relay import asks as module
from bridge.relay.asks import Answer, Ask, Asks, error_name
from bridge.wire.messages import Page
from bridge.wire.spec import ErrorCode, LogoutCode, PageKind


def page(number: int, payload: bytes, *, last: bool = False, **fields) -> Page:
    values = {"request_id": 7, "code": 0, "text": "", "kind": PageKind.MSGPACK}
    values.update(fields)
    return Page(page=number, last=last, payload=payload, **values)


@pytest.fixture
def answers() -> list[Answer]:
    return []


@pytest.fixture
def asks(answers) -> Asks:
    made = Asks(3)
    made.add(7, Ask(answers.append, deadline_us=1_000))
    return made


def test_one_page_is_an_answer(asks, answers):
    """The value of the payload, and the ask is gone."""
    asks.receive(page(0, msgpack.packb({"a": [1, "b"]}), last=True))

    assert [Answer({"a": [1, "b"]})] == answers
    assert 0 == len(asks)


def test_pages_are_put_together_in_order(asks, answers):
    """The payloads are cut anywhere; only the whole is msgpack."""
    data = msgpack.packb({"text": "x" * 100})
    for number, at in enumerate(range(0, 90, 30)):
        asks.receive(page(number, data[at : at + 30]))

        assert [] == answers

    asks.receive(page(3, data[90:], last=True))

    assert [Answer({"text": "x" * 100})] == answers


def test_bytes_stay_bytes(asks, answers):
    """History travels as packed structures."""
    asks.receive(page(0, b"\xc1\x00", last=True, kind=PageKind.MQL_TICK))

    assert [Answer(b"\xc1\x00")] == answers


@pytest.mark.parametrize("number", [0, 2, 7])
def test_a_page_out_of_order_breaks_the_protocol(asks, answers, number):
    """Lost or repeated pages would make an answer that is wrong without showing it."""
    asks.receive(page(0, b"\x81"))

    with pytest.raises(
        RemoteProtocolError, match=f"PAGE {number} of request 7 follows 0"
    ) as caught:
        asks.receive(page(number, b"\x01"))

    assert LogoutCode.BAD_MESSAGE == caught.value.code
    assert [] == answers


def test_a_page_of_nobody_is_ignored(asks, answers):
    """What was asked for may have ended meanwhile."""
    asks.receive(page(5, b"", request_id=8))

    assert [] == answers
    assert 1 == len(asks)


def test_an_error_ends_the_ask(asks, answers):
    """Whatever pages came before, the terminal's error is the answer."""
    asks.receive(page(0, b"\x81"))
    asks.receive(page(1, b"", code=ErrorCode.UNKNOWN_SYMBOL, text="no symbol X"))

    assert [Answer(code="UNKNOWN_SYMBOL", message="no symbol X")] == answers
    assert 0 == len(asks)


@pytest.mark.parametrize("code", list(ErrorCode)[1:])
def test_every_code_of_the_terminal_has_a_name(code):
    """A client sees the bus protocol's names only."""
    assert error_name(code).isupper()
    assert "INTERNAL" != error_name(code)


def test_a_code_of_a_newer_terminal_is_a_terminal_error():
    """What this version does not know is not guessed."""
    assert "TERMINAL_ERROR" == error_name(65_000)


def test_an_answer_has_a_largest_size(asks, answers, monkeypatch):
    """A terminal cannot fill the memory; the client is told what to do."""
    monkeypatch.setattr(module, "_ANSWER_MAX", 100)
    asks.receive(page(0, bytes(60), kind=PageKind.BYTES))
    asks.receive(page(1, bytes(41), kind=PageKind.BYTES, last=True))

    assert ["NOT_AVAILABLE"] == [answer.code for answer in answers]
    assert "ask for less at once" == answers[0].hint
    assert "relay" == answers[0].hop

    asks.receive(page(2, bytes(1), kind=PageKind.BYTES, last=True))

    assert 1 == len(answers)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        b"\x81",
        b"\x01\x02",
        msgpack.packb({1: 2}),
        msgpack.packb({b"bytes": 2}),
        msgpack.packb({"a": {b"bytes": 2}}),
        msgpack.packb(msgpack.ExtType(5, b"x")),
        b"\xd6\xff\x00\x00\x00\x00",
        b"\xa2\xc3\x28",
        b"\x91" * 3000 + b"\x01",
    ],
    ids=[
        "nothing",
        "reserved byte",
        "cut",
        "two values",
        "number as key",
        "bytes as key",
        "bytes as inner key",
        "extension",
        "timestamp",
        "text that is not UTF-8",
        "too deep",
    ],
)
def test_an_answer_that_no_client_could_read_breaks_the_protocol(asks, payload):
    """It never gets as far as the encoder of the reply."""
    with pytest.raises(RemoteProtocolError, match="PAGE") as caught:
        asks.receive(page(0, payload, last=True))

    assert LogoutCode.BAD_MESSAGE == caught.value.code


def test_headers_that_promise_much_cost_nothing(asks):
    """Nested arrays that announce millions of elements are refused before they are made."""
    bomb = b"\xdd\x00\xff\xff\xff" * 200

    with pytest.raises(RemoteProtocolError, match="PAGE"):
        asks.receive(page(0, bomb, last=True))


def test_a_deadline_ends_the_ask(asks, answers):
    """Not before its time, and once."""
    asks.expire(999)

    assert [] == answers

    asks.expire(1_000)
    asks.expire(2_000)

    assert ["DEADLINE_EXCEEDED"] == [answer.code for answer in answers]
    assert ["terminal"] == [answer.hop for answer in answers]


def test_the_loss_of_the_link_ends_all_asks(asks, answers):
    """With the reason why, so that the client knows which hop it was."""
    asks.add(8, Ask(answers.append, deadline_us=9_000))
    asks.abandon("the link was lost")

    assert ["TERMINAL_UNAVAILABLE"] * 2 == [answer.code for answer in answers]
    assert {"the link was lost"} == {answer.message for answer in answers}
    assert 0 == len(asks)


def test_an_answer_may_ask_again(asks, answers):
    """Ending asks while new ones come is safe."""

    def again(answer: Answer) -> None:
        answers.append(answer)
        asks.add(asks.next_id(), Ask(answers.append, deadline_us=1))

    asks.add(8, Ask(again, deadline_us=1_000))
    asks.expire(5_000)

    assert 2 == len(answers)
    assert 1 == len(asks)


def test_the_limit_counts_open_asks(asks):
    """Three are allowed here."""
    asks.add(8, Ask(print, 1))

    assert not asks.is_full()

    asks.add(9, Ask(print, 1))

    assert asks.is_full()


def test_ids_start_again_before_they_are_too_large(asks):
    """A request id is 32 bits on the wire."""
    asks._last_id = 2**32 - 2

    assert [2**32 - 1, 1, 2] == [asks.next_id() for _ in range(3)]


def test_an_id_in_use_is_passed_over(asks):
    """After four billion requests an old one may still be open."""
    asks._last_id = 6

    assert 8 == asks.next_id()
