"""``bridge.wire.auth``: proofs and session keys, step by step and against the RFC."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.wire import auth
from bridge.wire.messages import Challenge, pack_message
from tests.support.wire import KEY, RELAY_NONCE, WRONG_KEY, a_hello, flipped

HELLO = pack_message(a_hello())
CHALLENGE = pack_message(Challenge(1, 3, 7, RELAY_NONCE))


def hmac_by_hand(key, data):
    """
    Return HMAC-SHA256 the way MQL5 has to build it: from the hash alone.
    """
    block = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in block) + data).digest()
    return hashlib.sha256(bytes(b ^ 0x5C for b in block) + inner).digest()


#: RFC 4231, section 4: key, data, HMAC-SHA256
RFC_4231 = [
    ("0b" * 20, b"Hi There".hex(), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (b"Jefe".hex(), b"what do ya want for nothing?".hex(), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    ("aa" * 20, "dd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    (bytes(range(1, 26)).hex(), "cd" * 50, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
    ("0c" * 20, b"Test With Truncation".hex(), "a3b6167473100ee06e0c796c2955552b"),
    ("aa" * 131, b"Test Using Larger Than Block-Size Key - Hash Key First".hex(), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
    ("aa" * 131, b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.".hex(), "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "data", "expected"), RFC_4231, ids=range(1, 8))
def test_the_cases_of_rfc_4231(key, data, expected):
    key, data, expected = bytes.fromhex(key), bytes.fromhex(data), bytes.fromhex(expected)

    assert expected == hmac_by_hand(key, data)[: len(expected)]
    assert expected[:16] == auth.tag(key, data)


def test_a_tag_is_the_first_half_of_the_hmac():
    assert hmac_by_hand(KEY, b"a frame")[:16] == auth.tag(KEY, b"a frame")
    assert auth.tag(KEY, b"a frame") == auth.tag(KEY, memoryview(b"a frame"))


def test_the_derivation_step_by_step():
    """As the specification words it; the golden vectors have the same."""
    length = len(HELLO).to_bytes(4, "little")
    transcript = hashlib.sha256(length + HELLO + CHALLENGE).digest()
    secrets = auth.derive(KEY, HELLO, CHALLENGE)

    assert secrets == (
        hmac_by_hand(KEY, b"mt5-zmq-bridge wire 1 relay proof" + transcript),
        hmac_by_hand(KEY, b"mt5-zmq-bridge wire 1 terminal proof" + transcript),
        hmac_by_hand(KEY, b"mt5-zmq-bridge wire 1 relay to terminal" + transcript),
        hmac_by_hand(KEY, b"mt5-zmq-bridge wire 1 terminal to relay" + transcript),
    )


def test_all_four_secrets_differ():
    assert len(set(auth.derive(KEY, HELLO, CHALLENGE))) == 4


def test_no_secret_survives_a_changed_bit():
    """Neither of the key, nor of HELLO, nor of CHALLENGE."""
    secrets = set(auth.derive(KEY, HELLO, CHALLENGE))

    for bit in range(len(KEY) * 8):
        assert secrets.isdisjoint(auth.derive(flipped(KEY, bit), HELLO, CHALLENGE))
    for bit in range(len(HELLO) * 8):
        assert secrets.isdisjoint(auth.derive(KEY, flipped(HELLO, bit), CHALLENGE))
    for bit in range(len(CHALLENGE) * 8):
        assert secrets.isdisjoint(auth.derive(KEY, HELLO, flipped(CHALLENGE, bit)))


def test_bytes_moved_from_one_part_to_the_other_change_everything():
    """The length before HELLO keeps the two parts apart."""
    secrets = set(auth.derive(KEY, HELLO, CHALLENGE))

    assert secrets.isdisjoint(auth.derive(KEY, HELLO + CHALLENGE[:1], CHALLENGE[1:]))


def test_secrets_do_not_show_themselves():
    secrets = auth.derive(KEY, HELLO, CHALLENGE)

    assert repr(secrets) == "<LogonSecrets (redacted)>"
    assert str(secrets) == f"{secrets}" == "<LogonSecrets (redacted)>"


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [(KEY, KEY, True), (KEY, WRONG_KEY, False), (KEY, KEY[:-1], False), (KEY, b"", False)],
)
def test_comparison(one, other, expected):
    assert expected == auth.same(one, other)
    assert expected == auth.same(memoryview(one), other)


@given(key=st.binary(min_size=32, max_size=32), data=st.binary(max_size=300))
def test_a_tagger_makes_the_same_tags(key, data):
    """The hashed key blocks are only a saving."""
    tagger = auth.Tagger(key)

    assert auth.tag(key, data) == tagger.tag(data)
    assert auth.tag(key, data) == tagger.tag(memoryview(data))
    assert "redacted" in repr(tagger)
